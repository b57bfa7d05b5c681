//! What listeners of a run hear. They only listen; one that fails does not stop the run.

use crate::evidence::NodeRecord;
use crate::load::Event;
use seeders::{Misfit, Progress, Receipt};

/// Hears what a run does. Texts are masked already.
pub trait Listener: Send {
    /// A part of the run begins: `guards`, `services`, `fixtures` …
    fn part(&mut self, name: &str);
    /// A node ended.
    fn node(&mut self, node: &NodeRecord);
    /// A fixture is being seeded.
    fn seeding(&mut self, progress: &Progress);
    /// A fixture is seeded.
    fn receipt(&mut self, receipt: &Receipt);
    /// Fixtures do not fit the live database.
    fn misfits(&mut self, misfits: &[Misfit]);
    /// Something of the load.
    fn event(&mut self, event: &Event);
}

/// Two listeners; the second hears after the first.
pub struct Both<A, B>(pub A, pub B);

impl<A: Listener, B: Listener> Listener for Both<A, B> {
    fn part(&mut self, name: &str) {
        self.0.part(name);
        self.1.part(name);
    }

    fn node(&mut self, node: &NodeRecord) {
        self.0.node(node);
        self.1.node(node);
    }

    fn seeding(&mut self, progress: &Progress) {
        self.0.seeding(progress);
        self.1.seeding(progress);
    }

    fn receipt(&mut self, receipt: &Receipt) {
        self.0.receipt(receipt);
        self.1.receipt(receipt);
    }

    fn misfits(&mut self, misfits: &[Misfit]) {
        self.0.misfits(misfits);
        self.1.misfits(misfits);
    }

    fn event(&mut self, event: &Event) {
        self.0.event(event);
        self.1.event(event);
    }
}

/// Hears nothing.
pub struct Silent;

impl Listener for Silent {
    fn part(&mut self, _: &str) {}
    fn node(&mut self, _: &NodeRecord) {}
    fn seeding(&mut self, _: &Progress) {}
    fn receipt(&mut self, _: &Receipt) {}
    fn misfits(&mut self, _: &[Misfit]) {}
    fn event(&mut self, _: &Event) {}
}
