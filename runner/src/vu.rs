//! A virtual user: what it remembers, and how it plays an iteration.

use crate::drive::run::{Order, ScenarioRun};
use crate::http::connection::Connection;
use crate::http::cookies::Jar;
use crate::load::{LoadEnd, RehearsalFailure};
use crate::prepare::ScenarioProgram;
use crate::record::{Cell as Sample, Family};
use crate::rows::Draw;
use crate::sign::{Desk, Key};
use crate::steps::{self, Frame, Mark, Session};
use crate::text::{Env, InScope, Var, key_of, mix};
use crate::trace::Traced;
use crate::views::Moment;
use crate::worker::Worker;
use planc::eval::EvalError;
use planc::graph::{Connections, Demand, DrawOrder, JwsKey, OnFailure};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;
use tokio::time::Sleep;

/// What the driver and the virtual user's own task both see.
#[derive(Default)]
pub(crate) struct VuCore {
    /// Number in the scenario, from 1.
    pub(crate) number: u32,
    /// Its number in the worker's pool.
    pub(crate) at: usize,
    /// An arrival to play.
    pub(crate) order: Cell<Option<Order>>,
    /// Holds one of its shard's places (open models).
    pub(crate) holds: Cell<bool>,
    /// May begin iterations (closed models).
    pub(crate) active: Cell<bool>,
    /// Is in an iteration.
    pub(crate) busy: Cell<bool>,
    /// Plays no more.
    pub(crate) done: Cell<bool>,
    /// Started an iteration that has not ended.
    pub(crate) started: Cell<bool>,
    /// In set-up (true) or iteration, and the operation being played.
    pub(crate) place: Cell<(bool, usize)>,
    /// A request is in flight.
    pub(crate) in_flight: Cell<Option<InFlight>>,
    /// Its open WebSocket session.
    pub(crate) session: Cell<Option<Mark>>,
    /// Redirects that were followed on its way so far.
    pub(crate) passed: Cell<u32>,
    /// Groups that it is in: in set-up or iteration, where they begin, and when they were begun.
    pub(crate) groups: RefCell<Vec<(bool, usize, Option<Moment>)>>,
    /// When its iteration was to begin, where gates judge parts of the load.
    pub(crate) began: Cell<Option<Moment>>,
    /// Its iteration was started late by the generator.
    pub(crate) late: Cell<bool>,
    /// Its task.
    pub(crate) task: RefCell<Option<tokio::task::AbortHandle>>,
    /// Wakes its task.
    pub(crate) waker: Cell<Option<Waker>>,
}

/// A request in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InFlight {
    /// The values of its templated tags.
    pub(crate) variant: u32,
    /// Its iteration was started late.
    pub(crate) late: bool,
    /// When it was to start.
    pub(crate) at: Option<Moment>,
    /// Its trace.
    pub(crate) traced: Option<Traced>,
}

/// A virtual user.
pub(crate) struct Vu {
    /// Its worker.
    pub(crate) worker: Rc<Worker>,
    /// Its scenario on this worker.
    pub(crate) run: Rc<ScenarioRun>,
    /// What its driver sees.
    pub(crate) core: Rc<VuCore>,
    /// What expressions see.
    pub(crate) env: Env,
    /// Cookies.
    pub(crate) jar: Jar,
    /// Open connections, one for each origin.
    pub(crate) connections: Vec<Connection>,
    /// Its open WebSocket session.
    pub(crate) session: Option<Box<Session>>,
    /// Timer of request timeouts, reset only when it fires early.
    pub(crate) timer: Option<Pin<Box<Sleep>>>,
    /// Loops and groups being played.
    pub(crate) frames: Vec<Frame>,
    /// When the iteration was due, until its first request is measured.
    pub(crate) intended: Option<Instant>,
    /// The iteration was started late by the generator.
    pub(crate) late: bool,
    /// When the step being played was to start, where gates judge parts of the load.
    pub(crate) at: Option<Moment>,
    /// Trace of the request being made.
    pub(crate) traced: Option<Traced>,
    /// Room for rendering.
    pub(crate) buffer: String,
    /// Room for a request's bytes.
    pub(crate) wire: Vec<u8>,
    /// Room for signing.
    pub(crate) desk: Desk,
    /// Its own key, and that of its iteration, once they have signed.
    keys: [Option<Rc<Key>>; 2],
    /// Failures of what is played before or after the load; present means that nothing is counted.
    pub(crate) rehearsal: Option<Vec<RehearsalFailure>>,
    /// All branches are played, and pauses are passed over.
    pub(crate) all_branches: bool,
    set_up: bool,
    /// What set-up bound, kept for every iteration.
    kept: Vec<Var>,
}

/// What came of drawing an iteration's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drawing {
    /// All are there.
    Rows,
    /// `exclusive` has no more.
    RanOut,
    /// A row has no value.
    Failed,
}

impl VuCore {
    /// Gives an arrival.
    pub(crate) fn give(&self, order: Order) {
        self.holds.set(true);
        self.order.set(Some(order));
        self.wake();
    }

    /// Lets it look again whether it may begin.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits until `ready` has something.
    pub(crate) async fn wait<T>(&self, mut ready: impl FnMut(&Self) -> Option<T>) -> T {
        poll_fn(|cx| match ready(self) {
            Some(value) => Poll::Ready(value),
            None => {
                self.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}

impl Vu {
    /// A virtual user that has done nothing yet.
    pub(crate) fn new(worker: Rc<Worker>, run: Rc<ScenarioRun>, core: Rc<VuCore>) -> Self {
        let names = worker.program.scenarios[run.index].names.bound.len();
        Vu {
            env: Env { vars: vec![Var::Unset; names], vu: core.number, ..Env::default() },
            kept: vec![Var::Unset; names],
            set_up: worker.program.scenarios[run.index].setup.is_empty(),
            worker,
            run,
            core,
            jar: Jar::default(),
            connections: Vec::new(),
            session: None,
            timer: None,
            frames: Vec::new(),
            intended: None,
            late: false,
            at: None,
            traced: None,
            buffer: String::new(),
            wire: Vec::new(),
            desk: Desk::default(),
            keys: [None, None],
            rehearsal: None,
            all_branches: false,
        }
    }

    /// Plays iterations until there are no more. `warm` plays set-up before the first is asked for.
    pub(crate) async fn live(mut self, warm: bool) {
        let program = self.worker.program.clone();
        let scenario = &program.scenarios[self.run.index];
        if warm {
            self.warm_up(scenario).await;
            self.run.warm.set(self.run.warm.get() + 1);
        }
        let shared = self.worker.shared.clone();
        let run = self.run.clone();
        while let Some(order) = run.next(&self.core, self.env.iteration, scenario, &shared).await {
            // A user whose requests all fail at once must not starve the others.
            tokio::task::coop::consume_budget().await;
            self.iterate(scenario, order).await;
            if !self.core.active.get() && matches!(scenario.demand, Demand::Users { .. }) {
                self.connections.clear();
            }
        }
        self.core.done.set(true);
        run.retire(&self.core);
    }

    async fn warm_up(&mut self, scenario: &ScenarioProgram) {
        if self.set_up || scenario.draws.iter().any(|draw| draw.order == DrawOrder::Exclusive) {
            return;
        }
        self.begin_iteration(u64::from(self.core.number) - 1, scenario);
        if self.draw(scenario) == Drawing::Rows {
            self.play_set_up(scenario).await;
        }
    }

    async fn play_set_up(&mut self, scenario: &ScenarioProgram) -> bool {
        // A stream of its own: what set-up draws at random is not what the iteration draws again.
        let key = self.env.random_key;
        self.env.random_key = key_of(key, "setup");
        self.set_up = steps::play(self, scenario, true).await;
        self.env.random_key = key;
        self.env.random_taken.set(0);
        if self.set_up {
            self.kept.clone_from(&self.env.vars);
            for draw in &scenario.draws {
                self.kept[draw.var] = Var::Unset;
            }
        }
        self.set_up
    }

    /// Keys and names of iteration `k`.
    pub(crate) fn begin_iteration(&mut self, k: u64, scenario: &ScenarioProgram) {
        self.env.k = k;
        self.env.random_taken.set(0);
        self.env.random_key = match scenario.demand {
            Demand::Users { .. } | Demand::Iterations { shared: false, .. } => {
                mix(scenario.key ^ mix(u64::from(self.env.vu)) ^ mix(self.env.iteration).rotate_left(17))
            }
            _ => mix(scenario.key ^ mix(k)),
        };
        self.env.vars.clone_from(&self.kept);
        self.keys[1] = None;
    }

    /// The key that signs: a virtual user has the same run after run, so that its account is there already.
    pub(crate) fn key(&mut self, whose: JwsKey, scenario: &ScenarioProgram) -> Result<Rc<Key>, EvalError> {
        let (at, seed) = match whose {
            JwsKey::Vu => (0, mix(key_of(scenario.key, "key") ^ u64::from(self.env.vu))),
            JwsKey::Iteration => (1, key_of(self.env.random_key, "key")),
        };
        if let Some(key) = &self.keys[at] {
            return Ok(key.clone());
        }
        let key = Rc::new(Key::seeded(seed).map_err(EvalError)?);
        Ok(self.keys[at].insert(key).clone())
    }

    fn draw(&mut self, scenario: &ScenarioProgram) -> Drawing {
        for (plan, drawn) in scenario.draws.iter().zip(&self.run.drawn) {
            match plan.draw(drawn, self.env.k, self.env.vu) {
                Draw::Row(row) => self.env.vars[plan.var] = Var::Row(row),
                Draw::RanOut => {
                    self.worker.shared.ran_out(self.run.index);
                    return Drawing::RanOut;
                }
                Draw::Failed(why) => {
                    let text = format!("row of `{}` without a value: {why}", plan.binding);
                    *self.worker.recorder.borrow_mut().exhausted.entry(text).or_default() += 1;
                    return Drawing::Failed;
                }
            }
        }
        Drawing::Rows
    }

    async fn iterate(&mut self, scenario: &ScenarioProgram, order: Order) {
        let run = self.run.clone();
        self.core.busy.set(true);
        self.begin_iteration(order.k, scenario);
        let drawn = self.draw(scenario);
        if drawn == Drawing::RanOut {
            if let Demand::Arrivals { .. } = scenario.demand {
                run.drop_one(&self.worker, true, order.intended.unwrap_or_else(Instant::now));
            }
            self.core.busy.set(false);
            return;
        }
        self.core.started.set(true);
        let begun = Instant::now();
        let at = run.moment(&self.worker, Some(order.intended.unwrap_or(begun)));
        self.core.began.set(at);
        self.at = at;
        run.begin_one(&self.worker, at);
        self.late = order.late;
        self.core.late.set(order.late);
        // A row without a value is an iteration that failed, and not one that is tried for ever.
        let drawn = drawn == Drawing::Rows;
        let set_up = drawn && (self.set_up || self.play_set_up(scenario).await);
        self.intended = order.intended;
        let well = set_up && steps::play(self, scenario, false).await;
        self.core.started.set(false);
        if well { &run.counts.finished } else { &run.counts.failed }.add(1);
        let took = begun.elapsed().as_micros() as u64;
        self.worker.scenario_sample(run.index, Family::IterationDuration, self.late, at, |cell| {
            if let Sample::Trend(dist) = cell {
                // An iteration that failed early was not a short one.
                if well { dist.add(took) } else { dist.add_infinite() }
            }
        });
        self.worker.scenario_sample(run.index, Family::Iterations, self.late, at, add_one);
        self.env.iteration += 1;
        if scenario.connections != Connections::Keep {
            self.connections.clear();
        }
        if let Some(pause) = scenario.pause_on_failure.filter(|_| !well) {
            tokio::time::sleep(pause).await;
        }
        self.core.busy.set(false);
    }

    /// The scope of expressions.
    pub(crate) fn scope<'a>(&'a self, scenario: &'a ScenarioProgram) -> InScope<'a> {
        InScope { names: &scenario.names, env: &self.env, response: None }
    }

    /// Does what a failed step asks for; false ends the iteration.
    pub(crate) fn failed(&self, on_failure: OnFailure, step: &str) -> bool {
        if self.rehearsal.is_none() {
            match on_failure {
                OnFailure::StopScenario => self.worker.shared.stop_scenario(self.run.index, step),
                OnFailure::AbortRun => self.worker.shared.abort(LoadEnd::AbortedByStep(step.to_owned())),
                OnFailure::Continue | OnFailure::NextIteration => {}
            }
        }
        on_failure == OnFailure::Continue
    }
}

/// Adds one to a counter.
pub(crate) fn add_one(cell: &mut Sample) {
    if let Sample::Counter(sum, count) = cell {
        *sum += 1_000;
        *count += 1;
    }
}
