//! The closed model: so many virtual users loop.

use super::run::ScenarioRun;
use super::schedule::user_events;
use super::{TOGETHER, Waited, apart, wait_on};
use crate::pace::Pacer;
use crate::worker::Worker;
use planc::graph::Demand;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

/// Begins and retires this shard's users: those whose number is the shard's modulo the number of shards.
pub(crate) async fn drive(
    worker: &Rc<Worker>,
    run: &Rc<ScenarioRun>,
    pacer: &Pacer,
    begin: Instant,
) -> std::io::Result<()> {
    let Demand::Users { graceful_ramp_down, .. } = &worker.program.scenarios[run.index].demand else {
        unreachable!("the demand chose this driver");
    };
    let course = &worker.program.scenarios[run.index].course;
    let mut retired: VecDeque<(Instant, usize)> = VecDeque::new();
    let mut known = course.fixed();
    let mut so_far = course.so_far();
    let apart = apart(worker);
    let mut events = user_events(&so_far, apart);
    // What was done stays the same, whatever becomes known of the rest.
    let mut done = 0;
    loop {
        let event = events.get(done).copied();
        if event.is_some_and(|event| event.user as usize % run.shards != run.shard) {
            done += 1;
            continue;
        }
        let due = begin + event.map_or(so_far.duration(), |event| event.at);
        match wait_cutting(worker, run, pacer, (due, known), &mut retired).await? {
            Waited::Stop => return Ok(()),
            Waited::Changed => {
                known = course.fixed();
                so_far = course.so_far();
                events = user_events(&so_far, apart);
                continue;
            }
            Waited::Due => {}
        }
        let Some(event) = event else { return Ok(()) };
        done += 1;
        let at = event.user as usize / run.shards;
        if event.begins {
            retired.retain(|(_, user)| *user != at);
            begin_user(worker, run, at);
            // A driver that is behind lets users that have begun go on before it begins more.
            if at % TOGETHER == TOGETHER - 1 {
                tokio::task::yield_now().await;
            }
        } else {
            run.retire(&run.vus.borrow()[at]);
            retired.push_back((begin + event.at + *graceful_ramp_down, at));
        }
    }
}

/// Waits, cutting off retired users whose time is up.
async fn wait_cutting(
    worker: &Rc<Worker>,
    run: &Rc<ScenarioRun>,
    pacer: &Pacer,
    (due, known): (Instant, u32),
    retired: &mut VecDeque<(Instant, usize)>,
) -> std::io::Result<Waited> {
    while let Some((deadline, at)) = retired.front().copied().filter(|(deadline, _)| *deadline <= due) {
        match wait_on(worker, run, pacer, deadline, known).await? {
            Waited::Due => {}
            other => return Ok(other),
        }
        retired.pop_front();
        let core = run.vus.borrow()[at].clone();
        if core.busy.get() {
            run.cut_off(worker, &core);
        }
    }
    wait_on(worker, run, pacer, due, known).await
}

fn begin_user(worker: &Rc<Worker>, run: &Rc<ScenarioRun>, at: usize) {
    let known = run.vus.borrow().get(at).cloned();
    match known {
        None => drop(run.make_user(worker, false, None)),
        Some(core) if core.task.borrow().is_some() => {
            run.activate(&core);
            core.wake();
        }
        // It was cut off when it was retired: someone new takes its number.
        Some(_) => run.replace_user(worker, at),
    }
}
