//! The open model: iterations start at computed times, whoever is free plays them.

use super::run::{Order, ScenarioRun};
use super::schedule::Arrivals;
use super::{Waited, wait_on};
use crate::pace::Pacer;
use crate::shared::Places;
use crate::worker::Worker;
use std::rc::Rc;
use std::time::Instant;
use tokio::sync::mpsc::UnboundedReceiver;

/// Makes this shard's part of the users that exist before the start; tells how many. Those that are set up each open
/// a connection, and begin no faster than users of the closed models.
pub(crate) async fn make_users(
    worker: &Rc<Worker>,
    run: &Rc<ScenarioRun>,
    pacer: &Pacer,
    pre_allocated: u32,
) -> std::io::Result<u32> {
    let scenario = &worker.program.scenarios[run.index];
    let max = scenario.demand.max_vus();
    let part = run.part_of(pre_allocated.min(max));
    let (now, apart) = (Instant::now(), super::apart(worker) * run.shards as u32);
    for at in 0..part {
        let due = now + apart * at as u32;
        if !scenario.setup.is_empty() && !super::begins(worker, run, pacer, at, due).await? {
            break;
        }
        run.make_user(worker, true, None);
    }
    let places = &worker.shared.scenarios[run.index].places[run.shard];
    let sent = places.open(run.part_of(max) as u32);
    *run.lent.borrow_mut() = Some(tokio::task::spawn_local(play_lent(worker.clone(), run.clone(), sent)));
    Ok(part as u32)
}

/// Plays the arrivals of other shards whose own users are all busy.
async fn play_lent(worker: Rc<Worker>, run: Rc<ScenarioRun>, mut sent: UnboundedReceiver<Order>) {
    loop {
        tokio::select! {
            order = sent.recv() => match order {
                Some(order) => place(&worker, &run, order),
                None => return,
            },
            () = run.closing.notified() => sent.close(),
        }
    }
}

/// Takes no more arrivals of other shards, and gives those that were sent to their users.
pub(crate) async fn close(worker: &Worker, run: &ScenarioRun) {
    worker.shared.scenarios[run.index].places[run.shard].close();
    let lent = run.lent.borrow_mut().take();
    if let Some(lent) = lent {
        run.closing.notify_one();
        if lent.await.is_err_and(|error| error.is_panic()) {
            worker.shared.lost("a driver");
        }
    }
}

/// Releases this shard's arrivals: those whose number is the shard's modulo the number of shards.
pub(crate) async fn drive(
    worker: &Rc<Worker>,
    run: &Rc<ScenarioRun>,
    pacer: &Pacer,
    begin: Instant,
) -> std::io::Result<()> {
    let course = &worker.program.scenarios[run.index].course;
    let mut known = course.fixed();
    let mut schedule = Arrivals::of(&course.so_far());
    let mut k = run.shard as u64;
    loop {
        let due = schedule.due(k);
        let until = begin + due.unwrap_or(schedule.duration());
        match wait_on(worker, run, pacer, until, known).await? {
            Waited::Stop => return Ok(()),
            Waited::Changed => {
                known = course.fixed();
                schedule = Arrivals::of(&course.so_far());
                continue;
            }
            Waited::Due if due.is_none() => return Ok(()),
            Waited::Due => release(worker, run, k, until),
        }
        k += run.shards as u64;
        // All that is due is released together; a long backlog still lets users read their sockets.
        if (k / run.shards as u64).is_multiple_of(256) {
            tokio::task::yield_now().await;
        }
    }
}

/// Gives one arrival to a free user of this shard or, when there is none, of another; drops it when the pool of the
/// scenario is at its limit. So the number of cores has no part in the verdict.
fn release(worker: &Rc<Worker>, run: &Rc<ScenarioRun>, k: u64, due: Instant) {
    let lateness = Instant::now().saturating_duration_since(due);
    worker.recorder.borrow_mut().lateness.add(lateness.as_micros() as u64);
    let late = lateness > worker.program.lateness_limit;
    let order = Order { k, intended: Some(due), late };
    run.counts.planned.add(1);
    let places = &worker.shared.scenarios[run.index].places;
    if places[run.shard].take() {
        return place(worker, run, order);
    }
    let others = (1..run.shards).map(|next| &places[(run.shard + next) % run.shards]);
    let mut others = others.filter(|other| other.take());
    if !others.next().is_some_and(|other: &Places| other.send(order)) {
        run.drop_one(worker, late, due);
    }
}

/// Gives an arrival for which a place was taken to a user of this shard.
fn place(worker: &Rc<Worker>, run: &Rc<ScenarioRun>, order: Order) {
    let free = run.free.borrow_mut().pop();
    match free {
        Some(at) => run.vus.borrow()[at].give(order),
        None => drop(run.make_user(worker, false, Some(order))),
    }
}
