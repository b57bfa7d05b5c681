//! What all workers of a load share: whether to stop, and how far each scenario is. Atomics only,
//! read at the pace of wake-ups, never per sample.

use crate::drive::run::Order;
use crate::load::{LoadEnd, STOP_GRACEFUL, STOP_NOW};
use crate::prepare::Program;
use planc::graph::Demand;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Virtual users below which an arrival scenario's pool is not split further: a shard of a few would
/// drop arrivals while another shard has users free.
const SMALLEST_POOL: u32 = 8;

/// State of a load.
pub(crate) struct Shared {
    /// Start of the load.
    pub(crate) start: Instant,
    outside: Arc<AtomicU8>,
    inside: AtomicU8,
    end: Mutex<Option<LoadEnd>>,
    error: Mutex<Option<String>>,
    panicked: AtomicU64,
    /// By number of the scenario.
    pub(crate) scenarios: Vec<ScenarioShared>,
}

/// State of one scenario.
pub(crate) struct ScenarioShared {
    /// Workers that play it: those with the lowest numbers.
    pub(crate) shards: usize,
    /// Places of each shard's virtual users (open models).
    pub(crate) places: Vec<Places>,
    /// Iterations handed out (`shared-iterations`).
    pub(crate) iterations: AtomicU64,
    /// `exclusive` had no more rows.
    pub(crate) rows_ran_out: AtomicBool,
    /// The step that stopped it.
    pub(crate) stopped_by: Mutex<Option<String>>,
    stop: AtomicU8,
    ready: AtomicUsize,
    ended: AtomicUsize,
    /// Microseconds after the load's start plus one; 0 until known.
    begin: AtomicU64,
    end: AtomicU64,
}

/// How many more arrivals the users of a shard can take. Each arrival takes one place, of its own shard or of
/// another, and gives it back when its iteration has ended: two atomics an iteration.
#[derive(Default)]
pub(crate) struct Places {
    left: AtomicU32,
    closed: AtomicBool,
    to: OnceLock<UnboundedSender<Order>>,
}

impl Places {
    /// So many places. What other shards send comes out here.
    pub(crate) fn open(&self, places: u32) -> UnboundedReceiver<Order> {
        let (to, from) = unbounded_channel();
        self.to.get_or_init(|| to);
        self.left.store(places, Ordering::Release);
        from
    }

    /// Takes a place, if there is one.
    pub(crate) fn take(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        !self.closed.load(Ordering::Relaxed)
            && self.left.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less).is_ok()
    }

    /// Gives a place back.
    pub(crate) fn give_back(&self) {
        self.left.fetch_add(1, Ordering::AcqRel);
    }

    /// Sends an arrival whose place was taken; false when the shard takes no more.
    pub(crate) fn send(&self, order: Order) -> bool {
        self.to.get().is_some_and(|to| to.send(order).is_ok())
    }

    /// Takes no more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// State of a load that starts now.
    pub(crate) fn new(program: &Program, workers: usize, outside: Arc<AtomicU8>) -> Self {
        let scenario = |demand: &Demand| ScenarioShared {
            shards: shards(demand, workers),
            places: (0..shards(demand, workers)).map(|_| Places::default()).collect(),
            iterations: AtomicU64::new(0),
            rows_ran_out: AtomicBool::new(false),
            stopped_by: Mutex::new(None),
            stop: AtomicU8::new(0),
            ready: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            begin: AtomicU64::new(0),
            end: AtomicU64::new(0),
        };
        Shared {
            start: Instant::now(),
            outside,
            inside: AtomicU8::new(0),
            end: Mutex::new(None),
            error: Mutex::new(None),
            panicked: AtomicU64::new(0),
            scenarios: program.scenarios.iter().map(|s| scenario(&s.demand)).collect(),
        }
    }

    /// 0, [`STOP_GRACEFUL`] or [`STOP_NOW`] for a scenario.
    pub(crate) fn stop_level(&self, scenario: usize) -> u8 {
        let own = self.scenarios[scenario].stop.load(Ordering::Relaxed);
        own.max(self.run_level())
    }

    /// The same for the whole load.
    pub(crate) fn run_level(&self) -> u8 {
        self.outside.load(Ordering::Relaxed).max(self.inside.load(Ordering::Relaxed))
    }

    /// Ends the load at once; the first reason counts.
    pub(crate) fn abort(&self, why: LoadEnd) {
        self.end.lock().expect("no one panics while holding it").get_or_insert(why);
        self.inside.store(STOP_NOW, Ordering::Relaxed);
    }

    /// Ends the load at once for an error of the engine's own; the first counts.
    pub(crate) fn give_up(&self, why: String) {
        self.error.lock().expect("no one panics while holding it").get_or_insert(why);
        self.inside.store(STOP_NOW, Ordering::Relaxed);
    }

    /// Ends the load at once because part of it was lost to a bug of ours.
    pub(crate) fn lost(&self, what: &str) {
        self.panicked.fetch_add(1, Ordering::Relaxed);
        self.give_up(format!("{what} panicked"));
    }

    /// The error that ended the load.
    pub(crate) fn error(&self) -> Option<String> {
        self.error.lock().expect("no one panics while holding it").clone()
    }

    /// How many virtual users and workers were lost.
    pub(crate) fn panicked(&self) -> u64 {
        self.panicked.load(Ordering::Relaxed)
    }

    /// Why the load ended.
    pub(crate) fn end(&self) -> LoadEnd {
        let inside = self.end.lock().expect("no one panics while holding it").clone();
        inside.unwrap_or(if self.outside.load(Ordering::Relaxed) > 0 {
            LoadEnd::Stopped
        } else {
            LoadEnd::Completed
        })
    }

    /// Ends a scenario; its iterations get their graceful stop.
    pub(crate) fn stop_scenario(&self, scenario: usize, step: &str) {
        let scenario = &self.scenarios[scenario];
        scenario.stopped_by.lock().expect("no one panics while holding it").get_or_insert(step.to_owned());
        scenario.stop.store(STOP_GRACEFUL, Ordering::Relaxed);
    }

    /// Ends a scenario because of what was seen of its stages.
    pub(crate) fn halt(&self, scenario: usize) {
        self.scenarios[scenario].stop.store(STOP_GRACEFUL, Ordering::Relaxed);
    }

    /// Ends a scenario for want of rows.
    pub(crate) fn ran_out(&self, scenario: usize) {
        let scenario = &self.scenarios[scenario];
        scenario.rows_ran_out.store(true, Ordering::Relaxed);
        scenario.stop.store(STOP_GRACEFUL, Ordering::Relaxed);
    }

    /// Microseconds since the load's start.
    pub(crate) fn now_us(&self) -> u64 {
        self.us_at(Instant::now())
    }

    /// Microseconds from the load's start to a moment; 0 before it.
    pub(crate) fn us_at(&self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.start).as_micros() as u64
    }
}

impl ScenarioShared {
    /// One worker more is ready. The last one fixes the beginning for all, `lead` from now.
    pub(crate) fn worker_ready(&self, now_us: u64, lead: Duration) {
        if self.ready.fetch_add(1, Ordering::AcqRel) + 1 == self.shards {
            self.begin.store(now_us + lead.as_micros() as u64 + 1, Ordering::Release);
        }
    }

    /// When it begins, once that is fixed.
    pub(crate) fn begin(&self, start: Instant) -> Option<Instant> {
        let begin = self.begin.load(Ordering::Acquire);
        (begin > 0).then(|| start + Duration::from_micros(begin - 1))
    }

    /// One worker more has ended it; true for the last.
    pub(crate) fn worker_ended(&self, now_us: u64) -> bool {
        let last = self.ended.fetch_add(1, Ordering::AcqRel) + 1 == self.shards;
        if last {
            self.end.store(now_us + 1, Ordering::Release);
        }
        last
    }

    /// When all workers had ended it, microseconds of the load; 0 while they have not.
    pub(crate) fn ended_us(&self) -> u64 {
        self.end.load(Ordering::Acquire).saturating_sub(1)
    }

    /// Whether all workers have ended it.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.load(Ordering::Acquire) > 0
    }
}

/// How many workers play a scenario.
fn shards(demand: &Demand, workers: usize) -> usize {
    let most = match demand {
        Demand::Arrivals { max_vus, .. } => max_vus / SMALLEST_POOL,
        other => other.max_vus(),
    };
    workers.min(most as usize).max(1)
}
