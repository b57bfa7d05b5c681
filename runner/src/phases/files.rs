//! Files that requests send: read once, before the load, with what was read in the evidence.

use super::Run;
use crate::body::Files;
use crate::checks::Seen;
use crate::evidence::NodeOutcome;
use crate::guards::record;
use planc::graph::{ExecutionGraph, StepKind, walk};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// The paths of all files that steps send.
pub(super) fn sent(graph: &ExecutionGraph) -> BTreeSet<&str> {
    let mut paths = BTreeSet::new();
    let scenarios = graph.scenarios.iter().flat_map(|scenario| [&scenario.setup, &scenario.steps]);
    for steps in scenarios.chain([&graph.setup, &graph.teardown]) {
        walk(steps, &mut |step| {
            if let StepKind::Http(http) = &step.kind {
                let body = http.request.body.iter();
                body.for_each(|body| body.files(&mut |path| paths.extend([path])));
            }
        });
    }
    paths
}

impl Run<'_> {
    /// Reads them all; those that cannot be read are failures of preflight.
    pub(super) fn read(&mut self, paths: &BTreeSet<&str>) {
        let mut files = Files::new();
        for path in paths {
            let start = Instant::now();
            let (seen, fix) = match std::fs::read(self.world.folder.join(path)) {
                Ok(bytes) => {
                    let told = told(&bytes);
                    files.insert((*path).to_owned(), bytes.into());
                    (Seen::new(NodeOutcome::Passed, told), None)
                }
                Err(error) => {
                    let why = Seen::new(NodeOutcome::Absent, format!("it cannot be read: {error}"));
                    (why, Some(format!("put the file there; `{path}` counts from the working folder")))
                }
            };
            self.note(record("preflight", &format!("the file {path}"), seen, fix, start));
        }
        self.files = Arc::new(files);
    }
}

/// `3145728 bytes, sha256 9f86d081…`: all of it, so that two runs can be told apart.
fn told(bytes: &[u8]) -> String {
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes, sha256 {digest}", bytes.len())
}
