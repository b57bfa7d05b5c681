//! One core: its virtual users, its connections, its recorder.

use crate::drive;
use crate::drive::run::{Deltas, ScenarioRun};
use crate::http::connection::Dialer;
use crate::http::error::{Code, Failure};
use crate::http::h1::Scratch;
use crate::http::origin::Origin;
use crate::pace::Pacer;
use crate::prepare::Program;
use crate::record::{Cell as Sample, Family, Key, Labels, Recorder, Snapshot};
use crate::shared::Shared;
use crate::views::Moment;
use planc::graph::Protocol;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

/// How often snapshots are handed over.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// How often the probe arms its timer.
const PROBE: Duration = Duration::from_millis(10);

/// What a worker tells the coordinator.
pub(crate) enum Message {
    /// A scenario began on the first worker that plays it.
    Began(usize),
    /// A scenario ended on all workers.
    Ended(usize),
    /// What happened since the last one.
    Tick(usize, Box<WorkerTick>),
    /// The worker is done, well or not: by scenario and draw, how often each row was hit.
    Done(usize, Vec<Vec<Vec<u32>>>),
}

/// What happened on a worker in one tick.
#[derive(Default)]
pub(crate) struct WorkerTick {
    /// Samples.
    pub(crate) snapshot: Snapshot,
    /// By scenario.
    pub(crate) scenarios: Vec<Deltas>,
    /// How often each step was begun.
    pub(crate) played: Vec<u32>,
    /// Open connections.
    pub(crate) connections: u32,
}

/// A worker.
pub(crate) struct Worker {
    /// What is played.
    pub(crate) program: Arc<Program>,
    /// What all workers share.
    pub(crate) shared: Arc<Shared>,
    /// Samples of this worker.
    pub(crate) recorder: RefCell<Recorder>,
    /// How connections are made.
    pub(crate) dialer: Dialer,
    /// The target.
    pub(crate) target: Rc<Origin>,
    /// Whether it is allowed and has an address, so that requests need not ask.
    pub(crate) target_allowed: bool,
    others: RefCell<Vec<Rc<Origin>>>,
    played: RefCell<Vec<u32>>,
    runs: RefCell<Vec<Option<Rc<ScenarioRun>>>>,
}

impl Worker {
    /// A worker without virtual users.
    pub(crate) fn new(program: Arc<Program>, shared: Arc<Shared>) -> Self {
        Worker {
            recorder: RefCell::new(Recorder::new(program.views.clone())),
            dialer: Dialer {
                protocol: program.protocol,
                tls: program.tls.clone(),
                upgrade_tls: program.upgrade_tls.clone(),
                server_name: program.server_name.clone(),
                open: Rc::default(),
                scratch: Scratch::default(),
            },
            target: Rc::new(program.target.clone()),
            target_allowed: program.allow.allows(&program.target) && !program.target.addresses.is_empty(),
            others: RefCell::default(),
            played: RefCell::new(vec![0; program.steps]),
            runs: RefCell::new(program.scenarios.iter().map(|_| None).collect()),
            program,
            shared,
        }
    }

    /// The protocol of requests that got no answer.
    pub(crate) fn version(&self) -> http::Version {
        match self.program.protocol {
            Protocol::Http1 => http::Version::HTTP_11,
            Protocol::Http2 => http::Version::HTTP_2,
        }
    }

    /// Counts that a step was begun.
    pub(crate) fn count_step(&self, step: u32) {
        if let Some(count) = self.played.borrow_mut().get_mut(step as usize) {
            *count += 1;
        }
    }

    /// The origin with its addresses, if any request may go there.
    pub(crate) async fn origin(&self, origin: Origin) -> Result<Rc<Origin>, Failure> {
        if !self.program.allow.allows(&origin) {
            let message = format!("`{}` is not among the allowed hosts", origin.authority);
            return Err(Failure::new(Code::HostNotAllowed, message));
        }
        if origin.same(&self.target) && !self.target.addresses.is_empty() {
            return Ok(self.target.clone());
        }
        if let Some(known) = self.others.borrow().iter().find(|known| known.same(&origin)) {
            return Ok(known.clone());
        }
        let resolved = origin.resolved().await?;
        let mut others = self.others.borrow_mut();
        // Another user may have looked it up meanwhile.
        if let Some(known) = others.iter().find(|known| known.same(&resolved)) {
            return Ok(known.clone());
        }
        others.push(resolved.clone());
        Ok(resolved)
    }

    /// Adds to a series of a scenario.
    pub(crate) fn scenario_sample(
        &self,
        scenario: usize,
        family: Family,
        late: bool,
        at: Option<Moment>,
        add: impl Fn(&mut Sample),
    ) {
        let key = Key { owner: u32::MAX - scenario as u32, family, variant: 0, result: 0, late };
        let fresh = || {
            let (metric, cell) = match family {
                Family::IterationDuration => ("iteration_duration", Sample::Trend(Default::default())),
                Family::Dropped => ("dropped_iterations", Sample::Counter(0, 0)),
                _ => ("iterations", Sample::Counter(0, 0)),
            };
            let tags = self.program.scenarios[scenario].tags.clone();
            (Labels { metric: metric.to_owned(), tags, late }, cell)
        };
        self.recorder.borrow_mut().add(key, at, fresh, add);
    }

    fn take(&self) -> WorkerTick {
        let mut snapshot = self.recorder.borrow_mut().take();
        let limit = self.program.lateness_limit.as_micros() as u64;
        let late = snapshot.lateness.quantile(0.99) > limit;
        if late {
            snapshot.counts.values_mut().for_each(|counts| counts.dropped_late = counts.dropped);
        }
        let runs = self.runs.borrow();
        let start = self.shared.start;
        let scenarios =
            runs.iter().map(|run| run.as_ref().map(|run| run.take(late, start)).unwrap_or_default());
        let scenarios = scenarios.collect();
        let played = self.played.borrow_mut().iter_mut().map(std::mem::take).collect();
        WorkerTick { snapshot, scenarios, played, connections: self.dialer.open.get() }
    }
}

/// A worker's thread: plays its shard of every scenario to the end.
pub(crate) fn main(number: usize, program: Arc<Program>, shared: Arc<Shared>, to: Sender<Message>) {
    let (telling, state) = (to.clone(), shared.clone());
    let played = AssertUnwindSafe(|| play_all(number, program, shared, to));
    if std::panic::catch_unwind(played).is_err() {
        state.lost("a worker");
        drop(telling.send(Message::Done(number, Vec::new())));
    }
}

fn play_all(number: usize, program: Arc<Program>, shared: Arc<Shared>, to: Sender<Message>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            shared.give_up(format!("cannot start a worker: {error}"));
            return drop(to.send(Message::Done(number, Vec::new())));
        }
    };
    let local = LocalSet::new();
    let worker = Rc::new(Worker::new(program, shared.clone()));
    let played = local.block_on(&runtime, play(number, worker.clone(), to.clone()));
    // Tasks that were cut off are dropped before the last hand-over.
    drop(local);
    // A name that is being looked up holds nothing up.
    runtime.shutdown_background();
    // What was measured until an error is handed over all the same; the error ends the load for all workers.
    let hits = played.unwrap_or_else(|error| {
        shared.give_up(format!("a worker's timer: {error}"));
        Vec::new()
    });
    // The coordinator is gone only when the run is lost already.
    drop(to.send(Message::Tick(number, Box::new(worker.take()))));
    drop(to.send(Message::Done(number, hits)));
}

async fn play(number: usize, worker: Rc<Worker>, to: Sender<Message>) -> std::io::Result<Vec<Vec<Vec<u32>>>> {
    let ticker = tokio::task::spawn_local(tick(number, worker.clone(), to.clone(), Pacer::new()?));
    let prober = tokio::task::spawn_local(probe(worker.clone(), Pacer::new()?));
    let mut drives = Vec::new();
    for (index, scenario) in worker.shared.scenarios.iter().enumerate() {
        if number < scenario.shards {
            let run = Rc::new(ScenarioRun::new(&worker, index, number));
            worker.runs.borrow_mut()[index] = Some(run.clone());
            drives.push(tokio::task::spawn_local(drive::drive(worker.clone(), run, to.clone())));
        }
    }
    for drive in drives {
        match drive.await {
            Ok(ended) => ended?,
            Err(error) if error.is_panic() => worker.shared.lost("a driver"),
            Err(error) => return Err(std::io::Error::other(error)),
        }
    }
    ticker.abort();
    prober.abort();
    let runs = worker.runs.borrow();
    let hits = runs.iter().map(|run| run.as_ref().map(|run| run.take_hits()).unwrap_or_default());
    Ok(hits.collect())
}

/// Hands over once a second. After a pause of the whole process the seconds missed are handed over
/// empty, so that the workers' ticks stay in step.
async fn tick(number: usize, worker: Rc<Worker>, to: Sender<Message>, pacer: Pacer) {
    let mut next = worker.shared.start + TICK;
    while pacer.until(next).await.is_ok() {
        let now = Instant::now();
        let mut due = worker.take();
        while next <= now {
            let (scenarios, connections) = (due.standing(), due.connections);
            let empty = WorkerTick { scenarios, connections, ..WorkerTick::default() };
            let handed = std::mem::replace(&mut due, empty);
            if to.send(Message::Tick(number, Box::new(handed))).is_err() {
                return;
            }
            next += TICK;
        }
    }
}

/// Measures how late a due timer fires on this worker.
async fn probe(worker: Rc<Worker>, pacer: Pacer) {
    let mut due = Instant::now() + PROBE;
    while pacer.until(due).await.is_ok() {
        let now = Instant::now();
        let mut recorder = worker.recorder.borrow_mut();
        // A pause that misses ten deadlines is ten samples: one alone would hide among those that were on time.
        while due <= now {
            recorder.loop_delay.add((now - due).as_micros() as u64);
            due += PROBE;
        }
    }
}

impl WorkerTick {
    /// The standing numbers (users alive and busy) without anything new.
    fn standing(&self) -> Vec<Deltas> {
        self.scenarios.iter().map(Deltas::standing).collect()
    }
}
