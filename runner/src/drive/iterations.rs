//! A fixed number of iterations, shared by all users or for each.

use super::LOOK;
use super::run::ScenarioRun;
use crate::pace::Pacer;
use crate::worker::Worker;
use planc::graph::Demand;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Begins all users and waits until they have nothing left or time is up.
pub(crate) async fn drive(
    worker: &Rc<Worker>,
    run: &Rc<ScenarioRun>,
    pacer: &Pacer,
    begin: Instant,
) -> std::io::Result<()> {
    let Demand::Iterations { vus, iterations, shared, max_duration } =
        &worker.program.scenarios[run.index].demand
    else {
        unreachable!("the demand chose this driver");
    };
    if !super::wait(worker, run, pacer, begin).await? {
        return Ok(());
    }
    let mine = run.part_of(*vus);
    run.counts.planned.add(match (*shared, run.shard) {
        (false, _) => mine as u64 * iterations,
        (true, 0) => *iterations,
        (true, _) => 0,
    });
    let deadline = begin.checked_add(*max_duration);
    for at in 0..mine {
        let due = begin + super::apart(worker) * (at * run.shards + run.shard) as u32;
        if deadline.is_some_and(|deadline| due >= deadline) {
            break;
        }
        if !super::begins(worker, run, pacer, at, due).await? {
            return Ok(());
        }
        run.make_user(worker, false, None);
    }
    let timed_out = loop {
        if run.vus.borrow().len() == mine && run.vus.borrow().iter().all(|core| core.done.get()) {
            break false;
        }
        if worker.shared.stop_level(run.index) > 0 {
            break false;
        }
        let now = Instant::now();
        if deadline.is_some_and(|deadline| now >= deadline) {
            break true;
        }
        let look = now + LOOK / 10;
        pacer.until(deadline.map_or(look, |deadline| deadline.min(look))).await?;
    };
    run.ending.set(true);
    let state = &worker.shared.scenarios[run.index];
    if timed_out {
        // As in k6, iterations that were left when time was up are dropped ones. Shared ones belong to no worker: the
        // first to be here counts them all, and nobody can take another.
        let left = if *shared {
            iterations.saturating_sub(state.iterations.swap(*iterations, Ordering::AcqRel))
        } else {
            (mine as u64 * iterations).saturating_sub(run.counts.started.total())
        };
        // They were due at no time of their own: the last moment is theirs, so that the last part tells them.
        let last = deadline.map_or_else(Instant::now, |deadline| deadline - Duration::from_micros(1));
        for _ in 0..left {
            run.drop_one(worker, false, last);
        }
    }
    Ok(())
}
