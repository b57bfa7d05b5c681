//! Triage: what is watched beside the load, and what is looked up when a gate broke only at its end.

use super::Run;
use crate::checks::Seen;
use crate::evidence::{NodeOutcome, TriageRecord};
use crate::guards::record;
use crate::judge;
use crate::load::LoadInput;
use crate::watch::{Begun, Desk, Ground, Scene, Watcher, begun};
use planc::graph::When;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

impl Run<'_> {
    /// Begins to watch, when there is anything to be watched.
    pub(super) fn watch(&self, input: &mut LoadInput) -> std::io::Result<Option<Watcher>> {
        if self.graph.scrapes.is_empty() && self.graph.triage.is_empty() {
            return Ok(None);
        }
        let Begun { watcher, scraped, desk } = Watcher::start(self.ground())?;
        input.scraped = Some(scraped);
        if !self.graph.triage.is_empty() {
            input.abort = self.abort_or_triage(desk);
        }
        Ok(Some(watcher))
    }

    fn abort_or_triage(&self, desk: Desk) -> Option<crate::load::AbortCheck> {
        let by_gate = self.abort();
        Some(Box::new(move |so_far| {
            // Triage first: what it looks up belongs to this moment.
            let by_triage = desk.look(so_far);
            by_gate.as_ref().and_then(|abort| abort(so_far)).or(by_triage)
        }))
    }

    /// Takes over what triage found.
    pub(super) fn triaged(&mut self, found: Vec<TriageRecord>) {
        for record_ in found {
            self.tell_triage(&record_, Instant::now());
            self.triage.push(record_);
        }
    }

    /// Entries on gates, where a gate broke that did not break before the end.
    pub fn triage_at_end(&mut self) {
        let graph = Arc::clone(&self.graph);
        let open: Vec<_> = graph
            .triage
            .iter()
            .filter(|entry| {
                entry.when == When::Gate && self.triage.iter().all(|known| known.name != entry.name)
            })
            .collect();
        let Some(load) = self.load.as_ref().filter(|_| !open.is_empty()) else { return };
        let skipped: BTreeSet<String> = self
            .nodes
            .iter()
            .filter(|node| node.kind == "scenario" && node.outcome == NodeOutcome::Skipped)
            .map(|node| node.name.clone())
            .collect();
        let at_us = load.duration_us;
        let Some(seen) = judge::broken_gate(&graph, load, &self.sql_gates, &self.run_id, skipped) else {
            return;
        };
        let scene = Scene::of(&self.ground());
        for entry in open {
            let start = Instant::now();
            let mut found = TriageRecord { at_us, at_end: true, ..begun(entry, seen.clone()) };
            for look in &entry.evidence {
                let Ok(looked) = self.block(scene.look(look)) else { return };
                found.looks.push(looked);
            }
            self.tell_triage(&found, start);
            self.triage.push(found);
        }
    }

    fn tell_triage(&mut self, found: &TriageRecord, start: Instant) {
        let failed = found.looks.iter().filter(|look| look.error.is_some()).count();
        let failed = if failed > 0 { format!(", {failed} of them without an answer") } else { String::new() };
        let detail = format!("{}; {} looks{failed}", found.seen, found.looks.len());
        // Found, and therefore nothing that passed.
        let seen = Seen::new(NodeOutcome::Different, detail);
        self.note(record("triage", &found.name, seen, None, start));
    }

    fn ground(&self) -> Ground {
        Ground {
            graph: Arc::clone(&self.graph),
            web: self.web.clone(),
            base: self.base.clone(),
            database: self.database.clone(),
            values: self.values.clone(),
            env: self.world.env.clone(),
            folder: self.world.folder.clone(),
        }
    }
}
