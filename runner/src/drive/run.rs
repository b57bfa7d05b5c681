//! One worker's shard of a scenario: its virtual users and what became of its iterations.

use crate::prepare::ScenarioProgram;
use crate::record::{Cell as Sample, Family, PartCounts};
use crate::rows::Drawn;
use crate::shared::Shared;
use crate::steps;
use crate::trace::Ids;
use crate::views::{Moment, View};
use crate::vu::{Vu, VuCore, add_one};
use crate::worker::Worker;
use planc::graph::Demand;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// An iteration to be played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    /// Its number in the scenario.
    pub(crate) k: u64,
    /// When it was due (open models).
    pub(crate) intended: Option<Instant>,
    /// It starts late by the generator's fault.
    pub(crate) late: bool,
}

/// A worker's shard of a scenario.
pub(crate) struct ScenarioRun {
    /// The scenario's number.
    pub(crate) index: usize,
    /// Which shard.
    pub(crate) shard: usize,
    /// Of how many.
    pub(crate) shards: usize,
    /// Virtual users made so far.
    pub(crate) vus: RefCell<Vec<Rc<VuCore>>>,
    /// Those that wait for an arrival.
    pub(crate) free: RefCell<Vec<usize>>,
    /// Iterations by what became of them.
    pub(crate) counts: Counts,
    /// Rows drawn, by draw.
    pub(crate) drawn: Vec<Drawn>,
    /// Users whose set-up before the start is done.
    pub(crate) warm: Cell<u32>,
    /// Plays the arrivals of other shards.
    pub(crate) lent: RefCell<Option<tokio::task::JoinHandle<()>>>,
    /// Tells it to end.
    pub(crate) closing: tokio::sync::Notify,
    /// When it began.
    pub(crate) begun: Cell<Option<Instant>>,
    /// No more iterations begin.
    pub(crate) ending: Cell<bool>,
    /// Trace ids.
    pub(crate) ids: Ids,
    /// Gates judge parts of it.
    viewed: bool,
    alive: Cell<u32>,
    most_alive: Cell<u32>,
    last_answer_us: Cell<u64>,
}

/// Iterations by what became of them, since the last hand-over.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Asked for: counted where arrivals are released and where iterations are demanded, whatever becomes of them.
    pub(crate) planned: Tally,
    /// Begun.
    pub(crate) started: Tally,
    /// Ended well.
    pub(crate) finished: Tally,
    /// Ended by a failure.
    pub(crate) failed: Tally,
    /// Cut off.
    pub(crate) interrupted: Tally,
    /// Not begun for want of a free user.
    pub(crate) dropped: Tally,
    /// Not begun, and due longer ago than the lateness limit when they were looked at.
    pub(crate) dropped_late: Tally,
    /// Requests in flight when cut off.
    pub(crate) censored: Tally,
}

/// A count: since the last hand-over, and over all.
#[derive(Debug, Default)]
pub(crate) struct Tally(Cell<u64>, Cell<u64>);

/// What a shard hands over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deltas {
    /// Asked for.
    pub(crate) planned: u64,
    /// Begun.
    pub(crate) started: u64,
    /// Ended well.
    pub(crate) finished: u64,
    /// Ended by a failure.
    pub(crate) failed: u64,
    /// Cut off.
    pub(crate) interrupted: u64,
    /// Not begun by the target's fault.
    pub(crate) dropped_by_target: u64,
    /// Not begun by the generator's fault.
    pub(crate) dropped_by_generator: u64,
    /// Requests in flight when cut off.
    pub(crate) censored: u64,
    /// Users alive now.
    pub(crate) vus: u32,
    /// Most users alive at once.
    pub(crate) most_vus: u32,
    /// Of them in an iteration.
    pub(crate) busy: u32,
    /// When a request was last answered, microseconds of the load.
    pub(crate) last_answer_us: u64,
    /// When the scenario began, microseconds of the load.
    pub(crate) began_us: Option<u64>,
}

impl Tally {
    /// Adds.
    pub(crate) fn add(&self, more: u64) {
        self.0.set(self.0.get() + more);
        self.1.set(self.1.get() + more);
    }

    /// Over all.
    pub(crate) fn total(&self) -> u64 {
        self.1.get()
    }

    fn take(&self) -> u64 {
        self.0.take()
    }
}

impl Counts {
    /// An iteration begins.
    pub(crate) fn begin(&self) {
        self.started.add(1);
    }

    /// An iteration is not begun for want of a free user; `late` by more than the limit.
    fn drop_one(&self, late: bool) {
        self.dropped.add(1);
        self.dropped_late.add(u64::from(late));
    }
}

impl Deltas {
    /// The standing numbers alone.
    pub(crate) fn standing(&self) -> Self {
        Deltas { vus: self.vus, most_vus: self.vus, busy: self.busy, ..Deltas::default() }
    }
}

/// Tells of a task that panics.
struct PanicGuard(Arc<Shared>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lost("a virtual user");
        }
    }
}

impl ScenarioRun {
    /// A shard without users.
    pub(crate) fn new(worker: &Worker, index: usize, shard: usize) -> Self {
        let draws = worker.program.scenarios[index].draws.len();
        ScenarioRun {
            index,
            shard,
            shards: worker.shared.scenarios[index].shards,
            vus: RefCell::default(),
            free: RefCell::default(),
            counts: Counts::default(),
            drawn: std::iter::repeat_with(Drawn::default).take(draws).collect(),
            warm: Cell::new(0),
            lent: RefCell::default(),
            closing: tokio::sync::Notify::new(),
            begun: Cell::new(None),
            ending: Cell::new(false),
            ids: Ids::default(),
            viewed: !worker.program.views.is_empty(),
            alive: Cell::new(0),
            most_alive: Cell::new(0),
            last_answer_us: Cell::new(0),
        }
    }

    /// This shard's part of so many users: v/n, and one more for the first v mod n.
    pub(crate) fn part_of(&self, users: u32) -> usize {
        let (users, shards) = (users as usize, self.shards);
        users / shards + usize::from(self.shard < users % shards)
    }

    /// Makes a virtual user.
    pub(crate) fn make_user(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        warm: bool,
        order: Option<Order>,
    ) -> Rc<VuCore> {
        let at = self.vus.borrow().len();
        let core = self.user(worker, at, warm, order);
        self.vus.borrow_mut().push(core.clone());
        core
    }

    /// Makes a virtual user in the place of one that was cut off.
    pub(crate) fn replace_user(self: &Rc<Self>, worker: &Rc<Worker>, at: usize) {
        let core = self.user(worker, at, false, None);
        self.vus.borrow_mut()[at] = core;
    }

    fn user(self: &Rc<Self>, worker: &Rc<Worker>, at: usize, warm: bool, order: Option<Order>) -> Rc<VuCore> {
        let number = (at * self.shards + self.shard + 1) as u32;
        let core = Rc::new(VuCore { number, at, ..VuCore::default() });
        core.holds.set(order.is_some());
        core.order.set(order);
        self.activate(&core);
        let vu = Vu::new(worker.clone(), self.clone(), core.clone());
        let guard = PanicGuard(worker.shared.clone());
        let task = tokio::task::spawn_local(async move {
            // Nobody awaits the task: a panic that was not told here would only be a user that is silent.
            let _guard = guard;
            vu.live(warm).await;
        });
        *core.task.borrow_mut() = Some(task.abort_handle());
        core
    }

    /// The next iteration of a user; none when there are no more.
    pub(crate) async fn next(
        &self,
        core: &VuCore,
        iteration: u64,
        scenario: &ScenarioProgram,
        shared: &Shared,
    ) -> Option<Order> {
        let state = &shared.scenarios[self.index];
        let ending = || self.ending.get() || shared.stop_level(self.index) > 0;
        let closed = |k| Order { k, intended: None, late: false };
        match &scenario.demand {
            Demand::Arrivals { .. } => {
                if let Some(order) = core.order.take() {
                    return Some(order);
                }
                self.free.borrow_mut().push(core.at);
                if core.holds.take() {
                    state.places[self.shard].give_back();
                }
                core.wait(|core| match core.order.take() {
                    Some(order) => Some(Some(order)),
                    None if ending() => Some(None),
                    None => None,
                })
                .await
            }
            demand @ Demand::Users { .. } => {
                core.wait(|core| match (ending(), core.active.get()) {
                    (true, _) => Some(None),
                    // Strided, so that every row is drawn about as often: user v's i-th iteration is i × users + v - 1.
                    (false, true) => Some(Some(closed(
                        iteration * u64::from(demand.max_vus()) + u64::from(core.number) - 1,
                    ))),
                    (false, false) => None,
                })
                .await
            }
            _ if ending() => None,
            Demand::Iterations { iterations, shared: true, .. } => {
                let k = state.iterations.fetch_add(1, Ordering::Relaxed);
                (k < *iterations).then(|| closed(k))
            }
            Demand::Iterations { iterations, vus, shared: false, .. } => (iteration < *iterations)
                .then(|| closed(iteration * u64::from(*vus) + u64::from(core.number) - 1)),
        }
    }

    /// A user may begin iterations.
    pub(crate) fn activate(&self, core: &VuCore) {
        if !core.active.replace(true) {
            self.alive.set(self.alive.get() + 1);
            self.most_alive.set(self.most_alive.get().max(self.alive.get()));
        }
    }

    /// A user may begin no more iterations.
    pub(crate) fn retire(&self, core: &VuCore) {
        if core.active.replace(false) {
            self.alive.set(self.alive.get() - 1);
        }
    }

    /// Whether any user is in an iteration.
    pub(crate) fn is_busy(&self) -> bool {
        self.vus
            .borrow()
            .iter()
            .any(|core| core.busy.get() || core.in_flight.get().is_some() || core.order.get().is_some())
    }

    /// Lets all users see that no more iterations begin.
    pub(crate) fn wake_all(&self) {
        for core in self.vus.borrow().iter() {
            core.wake();
        }
    }

    /// Cuts a user off: its request in flight is censored, its iteration interrupted.
    pub(crate) fn cut_off(&self, worker: &Worker, core: &VuCore) {
        if let Some(task) = core.task.borrow_mut().take() {
            task.abort();
        }
        steps::censor(worker, self, core);
        steps::abandon(worker, self, core);
        if let Some(order) = core.order.take() {
            // Given and not yet looked at.
            let at = self.moment(worker, order.intended);
            self.begin_one(worker, at);
            self.interrupt(worker, order.late, at);
        }
        if core.started.take() {
            self.interrupt(worker, core.late.get(), core.began.get());
        }
        core.busy.set(false);
        self.retire(core);
    }

    /// When something that is intended to start then does so, or now; none where no gate asks, or before the scenario
    /// began.
    pub(crate) fn moment(&self, worker: &Worker, intended: Option<Instant>) -> Option<Moment> {
        let begun = self.begun.get().filter(|_| self.viewed)?;
        let when = intended.unwrap_or_else(Instant::now);
        Some(Moment {
            own_us: when.checked_duration_since(begun)?.as_micros() as u64,
            begun_us: begun.saturating_duration_since(worker.shared.start).as_micros() as u64,
        })
    }

    /// An iteration begins.
    pub(crate) fn begin_one(&self, worker: &Worker, at: Option<Moment>) {
        self.counts.begin();
        self.count(worker, at, View::counts_iterations, |counts| counts.plays += 1);
    }

    /// An iteration that was due is not begun; `late` says that it is the generator's fault.
    pub(crate) fn drop_one(&self, worker: &Worker, late: bool, due: Instant) {
        self.counts.drop_one(late);
        let at = self.moment(worker, Some(due));
        worker.scenario_sample(self.index, Family::Dropped, late, at, add_one);
        let dropped = |counts: &mut PartCounts| {
            counts.dropped += 1;
            counts.dropped_late += u64::from(late);
        };
        self.count(worker, at, |_| true, dropped);
    }

    /// Counts in the parts in which `at` lies.
    pub(crate) fn count(
        &self,
        worker: &Worker,
        at: Option<Moment>,
        which: impl Fn(&View) -> bool,
        count: impl Fn(&mut PartCounts),
    ) {
        if at.is_some() {
            let name = &worker.program.scenarios[self.index].name;
            worker.recorder.borrow_mut().count((self.index, name), at, which, count);
        }
    }

    fn interrupt(&self, worker: &Worker, late: bool, at: Option<Moment>) {
        self.counts.interrupted.add(1);
        worker.scenario_sample(self.index, Family::IterationDuration, late, at, |cell| {
            if let Sample::Trend(dist) = cell {
                dist.add_infinite();
            }
        });
    }

    /// A request was answered, whatever the answer.
    pub(crate) fn answered(&self, now_us: u64) {
        self.last_answer_us.set(now_us);
    }

    /// Cuts all users off.
    pub(crate) fn cut_off_all(&self, worker: &Worker) {
        for core in self.vus.borrow().iter() {
            self.cut_off(worker, core);
        }
    }

    /// What happened since the last call; `late` says that this worker was late in this time.
    pub(crate) fn take(&self, late: bool, start: Instant) -> Deltas {
        let counts = &self.counts;
        let (dropped, dropped_late) = (counts.dropped.take(), counts.dropped_late.take());
        let by_generator = if late { dropped } else { dropped_late };
        let vus = self.vus.borrow();
        Deltas {
            planned: counts.planned.take(),
            started: counts.started.take(),
            finished: counts.finished.take(),
            failed: counts.failed.take(),
            interrupted: counts.interrupted.take(),
            dropped_by_target: dropped - by_generator,
            dropped_by_generator: by_generator,
            censored: counts.censored.take(),
            vus: self.alive.get(),
            most_vus: self.most_alive.replace(self.alive.get()),
            busy: vus.iter().filter(|core| core.busy.get()).count() as u32,
            last_answer_us: self.last_answer_us.get(),
            began_us: self.begun.get().map(|at| at.saturating_duration_since(start).as_micros() as u64),
        }
    }

    /// How often each row was drawn, by draw.
    pub(crate) fn take_hits(&self) -> Vec<Vec<u32>> {
        self.drawn.iter().map(Drawn::take_hits).collect()
    }
}
