//! When to start an iteration. There are three drivers for ever; executors come down to them.

pub(crate) mod arrivals;
pub(crate) mod iterations;
pub(crate) mod run;
pub(crate) mod schedule;
pub(crate) mod users;

use crate::load::STOP_NOW;
use crate::pace::Pacer;
use crate::worker::{Message, Worker};
use planc::graph::Demand;
use run::ScenarioRun;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// How often a waiting driver looks whether to stop.
const LOOK: Duration = Duration::from_millis(10);
/// Time that all workers get to learn of a beginning that was fixed while they waited.
const LEAD: Duration = Duration::from_millis(30);

/// Users that begin one right after the other when a driver is behind, before those that have begun go on.
const TOGETHER: usize = 16;
/// Between the beginnings of two users, each of whom opens a connection: 10,000 a second are less than servers take in.
const APART: Duration = Duration::from_micros(100);
/// The same where each has a TLS handshake: half of a core for the generator.
const APART_OVER_TLS: Duration = Duration::from_micros(500);

/// How far apart users begin at the least.
fn apart(worker: &Worker) -> Duration {
    if worker.program.target.secure { APART_OVER_TLS } else { APART }
}

/// Plays a worker's shard of a scenario from its beginning to its end.
pub(crate) async fn drive(
    worker: Rc<Worker>,
    run: Rc<ScenarioRun>,
    to: Sender<Message>,
) -> std::io::Result<()> {
    let pacer = Pacer::new()?;
    let scenario = &worker.program.scenarios[run.index];
    if let Some(begin) = begin(&worker, &run, &pacer).await? {
        run.begun.set(Some(begin));
        if run.shard == 0 {
            drop(to.send(Message::Began(run.index)));
        }
        match &scenario.demand {
            Demand::Arrivals { .. } => arrivals::drive(&worker, &run, &pacer, begin).await?,
            Demand::Users { .. } => users::drive(&worker, &run, &pacer, begin).await?,
            Demand::Iterations { .. } => iterations::drive(&worker, &run, &pacer, begin).await?,
        }
    }
    if matches!(scenario.demand, Demand::Arrivals { .. }) {
        arrivals::close(&worker, &run).await;
    }
    run.ending.set(true);
    run.wake_all();
    let deadline = Instant::now() + scenario.graceful_stop;
    while run.is_busy() && Instant::now() < deadline && worker.shared.stop_level(run.index) < STOP_NOW {
        pacer.until((Instant::now() + LOOK).min(deadline)).await?;
    }
    run.cut_off_all(&worker);
    if worker.shared.scenarios[run.index].worker_ended(worker.shared.now_us()) {
        drop(to.send(Message::Ended(run.index)));
    }
    Ok(())
}

/// The moment at which the scenario begins on all workers; none when it is to stop before. Waits for what it
/// needs, and for virtual users made before the start to be set up.
async fn begin(
    worker: &Rc<Worker>,
    run: &Rc<ScenarioRun>,
    pacer: &Pacer,
) -> std::io::Result<Option<Instant>> {
    let shared = &worker.shared;
    let scenario = &worker.program.scenarios[run.index];
    let state = &shared.scenarios[run.index];
    while !scenario.needs.iter().all(|needed| shared.scenarios[*needed].has_ended()) {
        if shared.stop_level(run.index) > 0 {
            return Ok(None);
        }
        pacer.until(Instant::now() + LOOK).await?;
    }
    let warming = match &scenario.demand {
        Demand::Arrivals { pre_allocated_vus, .. } => {
            arrivals::make_users(worker, run, pacer, *pre_allocated_vus).await?
        }
        _ => 0,
    };
    // Arrivals are due by the clock: they begin when every worker has its users waiting, else the first ones would be
    // late, or dropped, for no fault but that threads take time to start. All shards must decide alike.
    let waits = !scenario.needs.is_empty() || matches!(scenario.demand, Demand::Arrivals { .. });
    let offset = scenario.start_time;
    if !waits {
        return Ok(Some(shared.start + offset));
    }
    while run.warm.get() < warming {
        if shared.stop_level(run.index) > 0 {
            return Ok(None);
        }
        pacer.until(Instant::now() + LOOK).await?;
    }
    state.worker_ready(shared.now_us(), LEAD + offset);
    loop {
        if let Some(begin) = state.begin(shared.start) {
            return Ok(Some(begin));
        }
        if shared.stop_level(run.index) > 0 {
            return Ok(None);
        }
        pacer.until(Instant::now() + LOOK).await?;
    }
}

/// What a driver waited for and what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The moment.
    Due,
    /// The end of a hold became known: what is due must be asked again.
    Changed,
    /// The scenario is to stop.
    Stop,
}

/// Waits until a moment, or until more than `known` holds have ended.
pub(crate) async fn wait_on(
    worker: &Worker,
    run: &ScenarioRun,
    pacer: &Pacer,
    due: Instant,
    known: u32,
) -> std::io::Result<Waited> {
    let course = &worker.program.scenarios[run.index].course;
    loop {
        if worker.shared.stop_level(run.index) > 0 {
            return Ok(Waited::Stop);
        }
        // Read before the holds: what ends one does so a moment ahead, so nothing due by now belongs behind it.
        let now = Instant::now();
        if course.fixed() != known {
            return Ok(Waited::Changed);
        }
        if now >= due {
            return Ok(Waited::Due);
        }
        pacer.until(due.min(now + LOOK)).await?;
    }
}

/// Waits until the moment at which one more user begins; false when the scenario is to stop first. A driver that is
/// behind lets users that have begun go on before it begins many more.
async fn begins(
    worker: &Worker,
    run: &ScenarioRun,
    pacer: &Pacer,
    at: usize,
    due: Instant,
) -> std::io::Result<bool> {
    if (at + 1).is_multiple_of(TOGETHER) {
        tokio::task::yield_now().await;
    }
    wait(worker, run, pacer, due).await
}

/// Waits until a moment; false when the scenario is to stop first.
pub(crate) async fn wait(
    worker: &Worker,
    run: &ScenarioRun,
    pacer: &Pacer,
    due: Instant,
) -> std::io::Result<bool> {
    loop {
        if worker.shared.stop_level(run.index) > 0 {
            return Ok(false);
        }
        let now = Instant::now();
        if now >= due {
            return Ok(true);
        }
        pacer.until(due.min(now + LOOK)).await?;
    }
}
