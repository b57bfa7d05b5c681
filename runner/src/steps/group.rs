//! `group`: inner steps under a name, and how long they took.

use super::Frame;
use crate::drive::run::ScenarioRun;
use crate::prepare::{GroupOp, Op};
use crate::record::{Cell as Sample, Dist, Family, Key, Labels};
use crate::views::Moment;
use crate::vu::{Vu, VuCore};
use crate::worker::Worker;
use std::time::Instant;

/// Enters a group.
pub(super) fn begin(vu: &mut Vu, step: u32, place: (bool, usize)) {
    vu.worker.count_step(step);
    let begun = Instant::now();
    let at = vu.run.moment(&vu.worker, Some(begun));
    vu.core.groups.borrow_mut().push((place.0, place.1, at));
    vu.frames.push(Frame::Group(begun));
}

/// Leaves a group that was played to its end.
pub(super) fn end(vu: &mut Vu, op: &GroupOp) {
    let Some(Frame::Group(begun)) = vu.frames.pop() else { return };
    let at = vu.core.groups.borrow_mut().pop().and_then(|(_, _, at)| at);
    if vu.rehearsal.is_none() {
        let took = begun.elapsed().as_micros() as u64;
        add(&vu.worker, op, vu.late, at, |dist| dist.add(took));
    }
}

/// Records the groups that a user did not play to their end: above every bound.
pub(crate) fn abandon(worker: &Worker, run: &ScenarioRun, core: &VuCore) {
    leave(worker, run, core, 0);
}

/// The same for those inside of the first so many.
pub(super) fn leave(worker: &Worker, run: &ScenarioRun, core: &VuCore, keep: usize) {
    let scenario = &worker.program.scenarios[run.index];
    let inner = core.groups.borrow_mut().split_off(keep);
    for (set_up, place, at) in inner {
        let ops = if set_up { &scenario.setup } else { &scenario.steps };
        if let Some(Op::Group(op)) = ops.get(place) {
            add(worker, op, core.late.get(), at, Dist::add_infinite);
        }
    }
}

fn add(worker: &Worker, op: &GroupOp, late: bool, at: Option<Moment>, add: impl Fn(&mut Dist)) {
    let key = Key { owner: op.step, family: Family::Group, variant: 0, result: 0, late };
    let fresh = || {
        let labels = Labels { metric: "group_duration".into(), tags: op.tags.clone(), late };
        (labels, Sample::Trend(Default::default()))
    };
    worker.recorder.borrow_mut().add(key, at, fresh, |cell| {
        if let Sample::Trend(dist) = cell {
            add(dist);
        }
    });
}
