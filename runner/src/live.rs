//! `live.json`: where a run is, for whoever watches it from outside. Rewritten each second, never appended.

use crate::evidence::NodeRecord;
use crate::listen::Listener;
use crate::load::Event;
use crate::output;
use seeders::{Misfit, Progress, Receipt};
use serde_json::json;
use std::path::PathBuf;

/// Writes `live.json`.
pub struct Live {
    path: PathBuf,
    part: String,
}

impl Live {
    /// Into this file.
    pub fn new(path: PathBuf) -> Self {
        Live { path, part: String::new() }
    }

    fn write(&self, value: &serde_json::Value) {
        // Watching is a convenience: that the folder cannot be written to is told with the evidence.
        let _ = output::write_unsynced(&self.path, &format!("{value}\n"));
    }
}

impl Listener for Live {
    fn part(&mut self, name: &str) {
        self.part = name.to_owned();
        self.write(&json!({ "part": name }));
    }

    fn node(&mut self, _: &NodeRecord) {}
    fn seeding(&mut self, _: &Progress) {}
    fn receipt(&mut self, _: &Receipt) {}
    fn misfits(&mut self, _: &[Misfit]) {}

    fn event(&mut self, event: &Event) {
        if let Event::Tick { tick, scenarios } = event {
            let scenarios: serde_json::Map<String, serde_json::Value> = scenarios
                .iter()
                .map(|(name, (vus, started, planned))| {
                    (name.clone(), json!({ "vus": vus, "started": started, "planned": planned }))
                })
                .collect();
            self.write(&json!({ "part": self.part, "tick": tick, "scenarios": scenarios }));
        }
    }
}
