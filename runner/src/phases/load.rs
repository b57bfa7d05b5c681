//! Everything that plays steps: rehearsal, smoke, set-up, load, teardown.

use super::{Halt, Part, Run};
use crate::checks::Seen;
use crate::evidence::{End, LoadRecord, NodeOutcome, Trend, ViewRecord};
use crate::guards::record;
use crate::judge;
use crate::load::{self, AbortCheck, LoadEnd, LoadInput, RehearsalFailure, SearchCheck};
use crate::watch::Watcher;
use planc::graph::Step;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Instant;

impl Run<'_> {
    /// Each scenario once with every expectation on; nothing of it is counted.
    pub fn rehearse(&mut self) -> Part {
        let names = self.scenarios(|_| true);
        if names.is_empty() {
            return Ok(());
        }
        self.listener.part("rehearsal");
        let start = Instant::now();
        let input = self.input(names.clone(), Arc::clone(&self.world.signals.stop));
        let outcome = load::rehearse(&input);
        self.halt_if_interrupted()?;
        match outcome {
            Err(error) => {
                let seen = Seen::new(NodeOutcome::Failed, error.message);
                self.note(record("rehearsal", "all scenarios", seen, error.help, start));
            }
            Ok(failures) => {
                for name in &names {
                    let told: Vec<String> =
                        failures.iter().filter(|f| f.scenario == *name).map(step_failure).collect();
                    let seen = match told.is_empty() {
                        true => Seen::new(NodeOutcome::Passed, "every step did what is expected"),
                        false => Seen::new(NodeOutcome::Different, told.join("; ")),
                    };
                    self.note(record("rehearsal", name, seen, None, start));
                }
            }
        }
        self.halt_if_failed("rehearsal", End::PreflightRefused)
    }

    /// Smoke scenarios; the load begins only if they hold.
    pub fn smoke(&mut self) -> Part {
        self.began = true;
        let names = self.scenarios(|scenario| scenario.smoke);
        if names.is_empty() {
            return Ok(());
        }
        self.listener.part("smoke");
        let start = Instant::now();
        let (record_, end) = self.play(names.clone(), false)?;
        let aborted = match end {
            LoadEnd::Completed | LoadEnd::Stopped => None,
            LoadEnd::AbortedByGate(gate) => Some(format!("gate `{gate}`")),
            LoadEnd::AbortedByStep(step) => Some(format!("step `{step}` and its `on_failure`")),
        };
        let reasons = judge::judge_smoke(&self.graph, &record_, aborted.as_deref());
        self.load = Some(record_);
        self.halt_if_interrupted()?;
        if reasons.is_empty() {
            return Ok(());
        }
        let seen = Seen::new(NodeOutcome::Failed, reasons.join("; "));
        self.note(record("scenario", &names.join(", "), seen, None, start));
        Err(Halt(End::SmokeRefused))
    }

    /// Top-level set-up steps, once.
    pub fn setup(&mut self) -> Part {
        self.began = true;
        let steps = self.graph.setup.clone();
        let stop = Arc::clone(&self.world.signals.stop);
        let failed = self.once("setup", &steps, stop);
        self.halt_if_interrupted()?;
        if failed.is_some() { Err(Halt(End::SetupFailed)) } else { Ok(()) }
    }

    /// The load.
    pub fn load(&mut self) -> Result<End, Halt> {
        let all: BTreeSet<String> = self.graph.scenarios.iter().map(|s| s.name.clone()).collect();
        let chosen: BTreeSet<String> = self.scenarios(|_| true).into_iter().collect();
        for name in all.difference(&chosen) {
            let seen = Seen::new(NodeOutcome::Skipped, "left out by `--only`");
            self.note(record("scenario", name, seen, None, Instant::now()));
        }
        let names = self.scenarios(|scenario| !scenario.smoke);
        if names.is_empty() {
            return Ok(End::Completed);
        }
        self.listener.part("load");
        let (measured, end) = self.play(names, true)?;
        self.load = Some(match self.load.take() {
            Some(smoke) => joined(smoke, measured),
            None => measured,
        });
        self.halt_if_interrupted()?;
        Ok(match end {
            LoadEnd::Completed | LoadEnd::Stopped => End::Completed,
            LoadEnd::AbortedByGate(gate) => End::AbortedByGate { gate },
            LoadEnd::AbortedByStep(step) => End::AbortedByStep { step },
        })
    }

    /// Top-level teardown steps, once, whatever happened.
    pub fn teardown(&mut self) {
        if !self.began {
            return;
        }
        let steps = self.graph.teardown.clone();
        let stop = Arc::clone(&self.world.signals.stop_teardown);
        let mut failed: Vec<String> = self.once("teardown", &steps, stop).into_iter().collect();
        failed.extend(self.teardown_commands());
        if !failed.is_empty() {
            self.load.get_or_insert_default().teardown_failed = Some(failed.join("; "));
        }
    }

    /// Programs after those steps, one after the other, each whatever the one before it did.
    fn teardown_commands(&mut self) -> Vec<String> {
        let graph = Arc::clone(&self.graph);
        let mut failed = Vec::new();
        for check in &graph.teardown_commands {
            let prober = self.prober();
            let start = Instant::now();
            let seen = match &check.skipped {
                Some(condition) => Seen::new(NodeOutcome::Skipped, format!("`{condition}` is not so")),
                None => self.runtime.block_on(async {
                    // The signal that ended the load does not end what cleans up after it; a second one does.
                    tokio::select! {
                        seen = prober.evaluate(check) => seen,
                        () = self.world.signals.insisted() => Seen::new(NodeOutcome::Failed, "interrupted"),
                    }
                }),
            };
            if !matches!(seen.outcome, NodeOutcome::Passed | NodeOutcome::Skipped) {
                failed.push(self.masker.hide(&format!("`{}`: {}", check.name, seen.detail)));
            }
            self.note(record("teardown", &check.name, seen, check.fix.clone(), start));
        }
        failed
    }

    /// Plays steps once; why they failed, if they did.
    fn once(&mut self, what: &str, steps: &[Step], stop: Arc<AtomicU8>) -> Option<String> {
        if steps.is_empty() {
            return None;
        }
        self.listener.part(what);
        let start = Instant::now();
        let mut input = self.input(Vec::new(), stop);
        let outcome = load::play_once(&mut input, steps, what);
        self.values.replace(input.values);
        let why = match outcome {
            Err(error) => Some(error.message),
            Ok(failures) if failures.is_empty() => None,
            Ok(failures) => Some(failures.iter().map(step_failure).collect::<Vec<_>>().join("; ")),
        };
        let seen = match &why {
            None => Seen::new(NodeOutcome::Passed, "every step did what is expected"),
            Some(why) => Seen::new(NodeOutcome::Failed, why.clone()),
        };
        self.note(record(what, what, seen, None, start));
        why.map(|why| self.masker.hide(&why))
    }

    /// Plays scenarios; what is watched is watched beside the load, not beside a smoke.
    fn play(&mut self, names: Vec<String>, watched: bool) -> Result<(LoadRecord, LoadEnd), Halt> {
        let start = Instant::now();
        let mut input = self.input(names.clone(), Arc::clone(&self.world.signals.stop));
        if let Some(detour) = &self.options.harm.detour {
            input.known_as = Some(input.base_url.clone());
            input.base_url = match (detour.0)(&input.base_url) {
                Ok(base_url) => base_url,
                Err(why) => {
                    self.note(record(
                        "preflight",
                        "detour",
                        Seen::new(NodeOutcome::Failed, why),
                        None,
                        start,
                    ));
                    return Err(Halt(End::PreflightRefused));
                }
            };
        }
        let watcher = if watched { self.watch(&mut input) } else { Ok(None) };
        let watcher = match watcher {
            Ok(watcher) => watcher,
            Err(error) => {
                let seen = Seen::new(NodeOutcome::Failed, format!("nothing can be watched: {error}"));
                self.note(record("preflight", &names.join(", "), seen, None, start));
                return Err(Halt(End::PreflightRefused));
            }
        };
        let pusher = self.pusher(&mut input);
        let listener = &mut *self.listener;
        let outcome = load::run(input, &mut |event| listener.event(&event));
        let found = watcher.map(Watcher::finish).unwrap_or_default();
        self.triaged(found);
        if let (Some(pusher), Ok((measured, _))) = (pusher, &outcome) {
            self.pushed(pusher, measured, start);
        }
        match outcome {
            Ok(done) => Ok(done),
            Err(error) => {
                let seen =
                    Seen::new(NodeOutcome::Failed, format!("the load could not begin: {}", error.message));
                self.note(record("preflight", &names.join(", "), seen, error.help, start));
                Err(Halt(End::PreflightRefused))
            }
        }
    }

    fn input(&self, scenarios: Vec<String>, stop: Arc<AtomicU8>) -> LoadInput {
        let now = (self.world.clock)();
        let mut base_micros: BTreeMap<String, i64> =
            self.graph.fixtures.iter().map(|fixture| (fixture.name.clone(), now)).collect();
        base_micros.extend(self.receipts.iter().map(|receipt| (receipt.name.clone(), receipt.base_micros)));
        LoadInput {
            graph: Arc::clone(self.sampled.as_ref().unwrap_or(&self.graph)),
            values: self.values.map().clone(),
            base_url: self.base.clone().unwrap_or_default(),
            known_as: None,
            token_headers: self.token_headers.clone(),
            base_micros,
            secrets: self.secrets.clone(),
            files: Arc::clone(&self.files),
            scenarios,
            run_id: self.run_id.clone(),
            workers: self.options.workers,
            stop,
            clock: self.world.clock,
            abort: self.abort(),
            from_stage: self.options.from_stage.clone(),
            search: Some(self.search()),
            scraped: None,
            stream: None,
        }
    }

    pub(super) fn abort(&self) -> Option<AbortCheck> {
        let graph = Arc::clone(&self.graph);
        let any = graph.gates.iter().any(|gate| gate.abort_on_fail);
        any.then(|| -> AbortCheck { Box::new(move |so_far| judge::aborting_gate(&graph, so_far)) })
    }

    fn search(&self) -> SearchCheck {
        let graph = Arc::clone(&self.graph);
        Box::new(move |so_far, scenario, number| judge::search(&graph, so_far, scenario, number))
    }

    /// Names of the chosen scenarios that are wanted, those they need included.
    fn scenarios(&self, wanted: impl Fn(&planc::graph::Scenario) -> bool) -> Vec<String> {
        let mut chosen: BTreeSet<&str> = self.options.only.iter().map(String::as_str).collect();
        loop {
            let before = chosen.len();
            for scenario in &self.graph.scenarios {
                if chosen.contains(scenario.name.as_str()) {
                    chosen.extend(scenario.needs.iter().map(String::as_str));
                }
            }
            if chosen.len() == before {
                break;
            }
        }
        let all = self.options.only.is_empty();
        let scenarios = self.graph.scenarios.iter();
        let scenarios = scenarios.filter(|s| (all || chosen.contains(s.name.as_str())) && wanted(s));
        scenarios.map(|scenario| scenario.name.clone()).collect()
    }
}

fn step_failure(failure: &RehearsalFailure) -> String {
    // The engine's words begin with the step's name as a rule.
    let message = failure.message.strip_prefix(&format!("{}: ", failure.step));
    format!("step `{}`: {}", failure.step, message.unwrap_or(&failure.message))
}

/// Smoke and load in one record: the time and seconds of the load, counts and samples of both (a smoke
/// scenario's carry its name, and only its own gates look at them), and the worst of the generator's health.
fn joined(smoke: LoadRecord, mut load: LoadRecord) -> LoadRecord {
    load.on_time.series.extend(smoke.on_time.series);
    load.late.series.extend(smoke.late.series);
    // Of a view that both reach, the load's parts are what its gates judge.
    let own = |view: &ViewRecord, of: &[ViewRecord]| {
        of.iter().any(|v| v.metric == view.metric && v.selector == view.selector && v.over == view.over)
    };
    let smoked: Vec<ViewRecord> = smoke.views.into_iter().filter(|view| !own(view, &load.views)).collect();
    load.views.extend(smoked);
    load.scenarios.extend(smoke.scenarios);
    load.stages.splice(0..0, smoke.stages);
    for (step, times) in smoke.steps_played {
        *load.steps_played.entry(step).or_default() += times;
    }
    for (what, times) in smoke.health.exhausted {
        *load.health.exhausted.entry(what).or_default() += times;
    }
    add(&mut load.health.lateness, &smoke.health.lateness);
    add(&mut load.health.loop_delay, &smoke.health.loop_delay);
    load.health.panicked += smoke.health.panicked;
    if load.health.clock_jump_us == 0 {
        load.health.clock_jump_us = smoke.health.clock_jump_us;
    }
    load.error = load.error.or(smoke.error);
    load.exemplars.extend(smoke.exemplars);
    load
}

fn add(to: &mut Trend, from: &Trend) {
    if from.buckets.is_empty() {
        to.infinite += from.infinite;
        return;
    }
    let mut buckets: BTreeMap<u64, u64> = to.buckets.iter().copied().collect();
    to.min = if buckets.is_empty() { from.min } else { to.min.min(from.min) };
    for (value, count) in &from.buckets {
        *buckets.entry(*value).or_default() += count;
    }
    to.buckets = buckets.into_iter().collect();
    to.infinite += from.infinite;
    to.sum += from.sum;
    to.max = to.max.max(from.max);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smoke_leaves_its_own_counts_and_the_generators_troubles() {
        let graph = crate::testing::graph(Vec::new());
        let load = || crate::testing::evidence(&graph).load.expect("load");
        let (mut smoke, load) = (load(), load());
        let record = smoke.scenarios.remove("s").expect("the scenario");
        smoke.scenarios.insert("smoke".into(), record);
        smoke.health.exhausted.insert("no free port".into(), 2);
        smoke.health.lateness = crate::testing::trend(50_000, 100, 0);
        let both = joined(smoke, load);
        assert_eq!(both.scenarios.len(), 2);
        assert_eq!(both.health.exhausted["no free port"], 2);
        assert_eq!(both.health.lateness.buckets, [(100, 1_000), (50_000, 100)]);
        assert_eq!((both.health.lateness.min, both.health.lateness.max), (100, 50_000));
        assert_eq!(both.duration_us, 10_000_000);
    }
}
