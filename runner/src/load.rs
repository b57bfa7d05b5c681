//! The load engine's front door: what it is given and what it gives back.
//!
//! `run` starts one thread per worker, each with its own current-thread runtime, virtual users,
//! connections and recorder, and merges their snapshots once a second. The engine never names
//! `report`; whoever listens gets [`Event`]s of low rate.

use crate::evidence::{LoadRecord, Tick};
use planc::graph::{ExecutionGraph, Json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;

/// What the engine needs beside the graph.
pub struct LoadInput {
    /// The graph; the engine reads target, scenarios, fixtures (as row functions), metrics, gates (for abort) and health.
    pub graph: Arc<ExecutionGraph>,
    /// Values of names known at the start: `inputs.x` (secrets too), `services.x.url`, `run_id`.
    pub values: BTreeMap<String, Json>,
    /// Base URL of the target, slots filled in.
    pub base_url: String,
    /// Header value of each token.
    pub token_headers: BTreeMap<String, String>,
    /// Base time of each fixture's rows, microseconds since 1970, from its receipt.
    pub base_micros: BTreeMap<String, i64>,
    /// Names of the scenarios to run, those with `needs` included in order.
    pub scenarios: Vec<String>,
    /// Unique over runs.
    pub run_id: String,
    /// Worker threads; 0 means one per core, at most the most virtual users.
    pub workers: usize,
    /// Set to [`STOP_GRACEFUL`] or [`STOP_NOW`] from outside.
    pub stop: Arc<AtomicU8>,
}

/// Value of [`LoadInput::stop`]: iterations get their graceful stop.
pub const STOP_GRACEFUL: u8 = 1;
/// Value of [`LoadInput::stop`]: everything in flight is censored at once.
pub const STOP_NOW: u8 = 2;

/// What listeners hear.
#[derive(Debug, Clone)]
pub enum Event {
    /// A scenario began.
    ScenarioStarted {
        /// Its name.
        name: String,
    },
    /// A second passed.
    Tick {
        /// Totals of the second.
        tick: Tick,
        /// By scenario: virtual users alive, iterations started so far, planned so far.
        scenarios: BTreeMap<String, (u32, u64, Option<u64>)>,
    },
    /// A scenario ended.
    ScenarioEnded {
        /// Its name.
        name: String,
    },
}

/// Why the engine stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadEnd {
    /// As planned.
    Completed,
    /// [`LoadInput::stop`] was set.
    Stopped,
    /// A gate with `abort_on_fail` broke: metric and condition.
    AbortedByGate(String),
    /// A step with `on_failure: abort_run` failed: its name.
    AbortedByStep(String),
}

/// Why the load could not begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// What happened.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Runs scenarios to their end. Blocks; call it from a thread that may.
pub fn run(input: LoadInput, on_event: &mut dyn FnMut(Event)) -> Result<(LoadRecord, LoadEnd), LoadError> {
    let _ = (input, on_event);
    Err(LoadError { message: "not yet".into(), help: None })
}

/// One step's result when a scenario is rehearsed.
#[derive(Debug, Clone)]
pub struct RehearsalFailure {
    /// The scenario.
    pub scenario: String,
    /// The step's name.
    pub step: String,
    /// What was expected and what was seen; never a secret.
    pub message: String,
}

/// Plays every scenario's set-up and one iteration with all expectations on, every branch of `choose` included, before
/// any load. Draws row 1 of each fixture, or the last row where `exclusive`; nothing of it is counted.
/// `run_id` is `<run_id>-rehearsal`.
pub fn rehearse(input: &LoadInput) -> Result<Vec<RehearsalFailure>, LoadError> {
    let _ = input;
    Err(LoadError { message: "not yet".into(), help: None })
}

/// Plays top-level `setup` or `teardown` steps once; captures are added to `values`.
pub fn play_once(
    input: &mut LoadInput,
    steps: &[planc::graph::Step],
    what: &str,
) -> Result<Vec<RehearsalFailure>, LoadError> {
    let _ = (input, steps, what);
    Err(LoadError { message: "not yet".into(), help: None })
}
