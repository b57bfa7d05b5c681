//! The open model: iterations start at computed times, whoever is free plays them.

use super::run::{Order, ScenarioRun};
use super::schedule::Arrivals;
use super::wait;
use crate::pace::Pacer;
use crate::record::Family;
use crate::vu::add_one;
use crate::worker::Worker;
use planc::graph::Demand;
use std::rc::Rc;
use std::time::Instant;

/// Makes this shard's part of the users that exist before the start; tells how many.
pub(crate) fn make_users(worker: &Rc<Worker>, run: &Rc<ScenarioRun>, pre_allocated: u32) -> u32 {
    let max = worker.program.scenarios[run.index].demand.max_vus();
    let part = run.part_of(pre_allocated.min(max));
    for _ in 0..part {
        run.make_user(worker, true, None);
    }
    part as u32
}

/// Releases this shard's arrivals: those whose number is the shard's modulo the number of shards.
pub(crate) async fn drive(
    worker: &Rc<Worker>,
    run: &Rc<ScenarioRun>,
    pacer: &Pacer,
    begin: Instant,
) -> std::io::Result<()> {
    let Demand::Arrivals { start_rate, pieces, max_vus, .. } = &worker.program.scenarios[run.index].demand
    else {
        unreachable!("the demand chose this driver");
    };
    let schedule = Arrivals::new(*start_rate, pieces);
    let pool = run.part_of(*max_vus);
    let mut k = run.shard as u64;
    while let Some(due) = schedule.due(k) {
        let due = begin + due;
        if Instant::now() < due && !wait(worker, run, pacer, due).await? {
            return Ok(());
        }
        release(worker, run, k, due, pool);
        k += run.shards as u64;
        // All that is due is released together; a long backlog still lets users read their sockets.
        if (k / run.shards as u64).is_multiple_of(256) {
            tokio::task::yield_now().await;
        }
    }
    wait(worker, run, pacer, begin + schedule.duration()).await?;
    Ok(())
}

/// Gives one arrival to a free user, or drops it.
fn release(worker: &Rc<Worker>, run: &Rc<ScenarioRun>, k: u64, due: Instant, pool: usize) {
    let lateness = Instant::now().saturating_duration_since(due);
    worker.recorder.borrow_mut().lateness.add(lateness.as_micros() as u64);
    let late = lateness > worker.program.lateness_limit;
    let order = Order { k, intended: Some(due), late };
    let free = run.free.borrow_mut().pop();
    match free {
        Some(at) => run.vus.borrow()[at].give(order),
        None if run.vus.borrow().len() < pool => drop(run.make_user(worker, false, Some(order))),
        None => {
            run.counts.drop_one(late);
            worker.scenario_sample(run.index, Family::Dropped, late, add_one);
        }
    }
}
