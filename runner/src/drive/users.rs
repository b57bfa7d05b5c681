//! The closed model: so many virtual users loop.

use super::run::ScenarioRun;
use super::schedule::user_events;
use super::wait;
use crate::pace::Pacer;
use crate::worker::Worker;
use planc::graph::Demand;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Begins and retires this shard's users: those whose number is the shard's modulo the number of shards.
pub(crate) async fn drive(
    worker: &Rc<Worker>,
    run: &Rc<ScenarioRun>,
    pacer: &Pacer,
    begin: Instant,
) -> std::io::Result<()> {
    let Demand::Users { start_vus, pieces, graceful_ramp_down } = &worker.program.scenarios[run.index].demand
    else {
        unreachable!("the demand chose this driver");
    };
    let duration: Duration = pieces.iter().map(|piece| piece.duration).sum();
    let mut retired: VecDeque<(Instant, usize)> = VecDeque::new();
    for event in user_events(*start_vus, pieces) {
        if event.user as usize % run.shards != run.shard {
            continue;
        }
        if !wait_cutting(worker, run, pacer, begin + event.at, &mut retired).await? {
            return Ok(());
        }
        let at = event.user as usize / run.shards;
        if event.begins {
            retired.retain(|(_, user)| *user != at);
            begin_user(worker, run, at);
        } else {
            run.retire(&run.vus.borrow()[at]);
            retired.push_back((begin + event.at + *graceful_ramp_down, at));
        }
    }
    wait_cutting(worker, run, pacer, begin + duration, &mut retired).await?;
    Ok(())
}

/// Waits, cutting off retired users whose time is up.
async fn wait_cutting(
    worker: &Rc<Worker>,
    run: &Rc<ScenarioRun>,
    pacer: &Pacer,
    due: Instant,
    retired: &mut VecDeque<(Instant, usize)>,
) -> std::io::Result<bool> {
    while let Some((deadline, at)) = retired.front().copied().filter(|(deadline, _)| *deadline <= due) {
        if !wait(worker, run, pacer, deadline).await? {
            return Ok(false);
        }
        retired.pop_front();
        let core = run.vus.borrow()[at].clone();
        if core.busy.get() {
            run.cut_off(worker, &core);
        }
    }
    wait(worker, run, pacer, due).await
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
