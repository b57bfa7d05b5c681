//! The load engine's front door: what it is given and what it gives back.
//!
//! `run` starts one thread per worker, each with its own current-thread runtime, virtual users,
//! connections and recorder, and merges their snapshots once a second. The engine never names
//! `report`; whoever listens gets [`Event`]s of low rate.

use crate::body::Files;
use crate::clock::Watch;
use crate::coordinator::{Asked, Coordinator};
use crate::evidence::{LoadRecord, StageOutcome, StageRecord, Tick};
use crate::prepare::Program;
use crate::rows::{Accounts, RowSources};
use crate::shared::Shared;
use crate::worker::Message;
use crate::{health, rehearse, worker};
use planc::graph::{ExecutionGraph, Json};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, mpsc};
use std::time::Instant;

/// Open files that are not connections: timers, event queues, standard streams, reports.
const SPARE_FILES: u64 = 64;

/// Says from all that was measured so far why the load must end: metric and condition of a gate that broke.
pub type AbortCheck = Box<dyn Fn(&LoadRecord) -> Option<String> + Send>;

/// Says of a scenario's stage why a search for the highest rate ends with it; `None` while it holds.
pub type SearchCheck = Box<dyn Fn(&LoadRecord, &str, u32) -> Option<StageOutcome> + Send>;
/// Whoever wants to hear of the load while it runs.
pub struct Stream {
    /// How often, in seconds.
    pub every: u64,
    /// Told all that was measured so far; must not block.
    pub take: Box<dyn FnMut(&LoadRecord) + Send>,
}

/// What the engine needs beside the graph.
pub struct LoadInput {
    /// The graph; the engine reads target, scenarios, fixtures (as row functions), metrics, gates (for abort) and health.
    pub graph: Arc<ExecutionGraph>,
    /// Values of names known at the start: `inputs.x` (secrets too), `services.x.url`, `run_id`.
    pub values: BTreeMap<String, Json>,
    /// Base URL of the target, slots filled in.
    pub base_url: String,
    /// What the target calls itself where `base_url` is a detour to it: signed requests are signed for that.
    pub known_as: Option<String>,
    /// Header value of each token.
    pub token_headers: BTreeMap<String, String>,
    /// Base time of each fixture's rows, microseconds since 1970, from its receipt.
    pub base_micros: BTreeMap<String, i64>,
    /// What services told once of the accounts of fixtures, by fixture.
    pub secrets: BTreeMap<String, Arc<seeders::Secrets>>,
    /// Files that bodies are made of.
    pub files: Arc<Files>,
    /// Names of the scenarios to run, those with `needs` included in order.
    pub scenarios: Vec<String>,
    /// Unique over runs.
    pub run_id: String,
    /// Worker threads; 0 means one per core, at most the most virtual users.
    pub workers: usize,
    /// Set to [`STOP_GRACEFUL`] or [`STOP_NOW`] from outside.
    pub stop: Arc<AtomicU8>,
    /// The machine's clock, microseconds since 1970.
    pub clock: fn() -> i64,
    /// Told every so often all that was measured so far.
    pub stream: Option<Stream>,
    /// Asked once a second with all that was measured so far, when any gate has `abort_on_fail`: tells metric and
    /// condition of a gate that broke, which ends the load.
    pub abort: Option<AbortCheck>,
    /// By scenario, the stage to begin at (`--from-stage`).
    pub from_stage: BTreeMap<String, u32>,
    /// Asked when a step of a search for the highest rate is over, and again while its late samples come in.
    pub search: Option<SearchCheck>,
    /// What is scraped beside the load, by whoever does that.
    pub scraped: Option<mpsc::Receiver<Scraped>>,
}

/// One look at a scraped metric.
#[derive(Debug, Clone)]
pub struct Scraped {
    /// The metric.
    pub metric: String,
    /// When.
    pub at: Instant,
    /// Its value in thousandths, or why there is none.
    pub value: Result<i64, String>,
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
    /// A stage of a scenario began, or ended.
    Stage {
        /// As it stands.
        stage: StageRecord,
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

impl LoadError {
    /// An error whose message says all.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        LoadError { message: message.into(), help: None }
    }
}

/// Runs scenarios to their end. Blocks; call it from a thread that may.
pub fn run(input: LoadInput, on_event: &mut dyn FnMut(Event)) -> Result<(LoadRecord, LoadEnd), LoadError> {
    let rows = row_sources(&input)?;
    run_with(input, &rows, on_event)
}

/// [`run`] over given rows.
pub(crate) fn run_with(
    mut input: LoadInput,
    rows: &RowSources,
    on_event: &mut dyn FnMut(Event),
) -> Result<(LoadRecord, LoadEnd), LoadError> {
    let program = Arc::new(Program::new(&input, rows)?);
    let users: u64 = program.scenarios.iter().map(|s| u64::from(s.demand.max_vus())).sum();
    let files = health::raise_open_files();
    if users + SPARE_FILES > files {
        return Err(LoadError {
            message: format!("{users} virtual users need more open files than the limit of {files}"),
            help: Some(format!("raise it with `ulimit -n {}`, or lower the virtual users", users + 1_024)),
        });
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = if input.workers == 0 { cores } else { input.workers };
    let workers = wanted.min(users as usize).max(1);
    let shared = Arc::new(Shared::new(&program, workers, input.stop.clone()));
    let (to, from) = mpsc::channel();
    let mut threads = Vec::new();
    for number in 0..workers {
        let (program, shared, to) = (program.clone(), shared.clone(), to.clone());
        let thread = std::thread::Builder::new().name(format!("load-{number}"));
        let (failing, telling) = (shared.clone(), to.clone());
        match thread.spawn(move || worker::main(number, program, shared, to)) {
            Ok(spawned) => threads.push(spawned),
            Err(error) => {
                failing.give_up(format!("cannot start a worker: {error}"));
                drop(telling.send(Message::Done(number, Vec::new())));
            }
        }
    }
    drop(to);
    let asked = Asked { abort: input.abort.take(), search: input.search.take() };
    let coordinator = Coordinator::new(program, shared, workers, asked, Watch::new(input.clock))
        .with_scraped(input.scraped.take())
        .streaming(input.stream.take());
    let told = coordinator.listen(&from, on_event);
    for thread in threads {
        // A worker tells of its own panic before it ends.
        drop(thread.join());
    }
    Ok(told)
}

/// The rows of all fixtures that the scenarios draw from.
fn row_sources(input: &LoadInput) -> Result<RowSources, LoadError> {
    let mut sources = RowSources::new();
    let played = input.graph.scenarios.iter().filter(|scenario| input.scenarios.contains(&scenario.name));
    for draw in played.flat_map(|scenario| &scenario.draw) {
        let name = &draw.fixture;
        let no_rows = |why: String| LoadError::new(format!("the rows of `{name}`: {why}"));

        // Without a receipt (a fixture that was not seeded by this run) times count from now.
        let base = input.base_micros.get(name).copied().unwrap_or_else(input.clock);
        let source = seeders::RowSource::new(&input.graph, name, &input.values, base);
        let source = source.map_err(|e| no_rows(e.to_string()))?;
        let rows: Arc<dyn crate::rows::Rows> = match input.secrets.get(name) {
            Some(secrets) => Arc::new(Accounts::new(source, secrets.clone(), &input.graph, name)),
            None => Arc::new(source),
        };
        sources.insert(name.clone(), rows);
    }
    Ok(sources)
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
    rehearse::scenarios(input, &row_sources(input)?)
}

/// Plays top-level `setup` or `teardown` steps once; captures are added to `values`.
pub fn play_once(
    input: &mut LoadInput,
    steps: &[planc::graph::Step],
    what: &str,
) -> Result<Vec<RehearsalFailure>, LoadError> {
    rehearse::once(input, steps, what)
}

#[cfg(test)]
mod tests;
