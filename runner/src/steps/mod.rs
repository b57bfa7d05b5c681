//! Playing steps: one loop over flat operations, so that neither nesting nor looping costs memory
//! or a boxed future. Each kind's deed is in its own file.

mod choose;
mod group;
mod http;
mod loops;
mod pause;
mod series;
mod websocket;

pub(crate) use group::abandon;
pub(crate) use websocket::{Mark, Session};

use crate::drive::run::ScenarioRun;
use crate::prepare::{Op, ScenarioProgram};
use crate::record::{Cell as Sample, Family, Key, Labels};
use crate::vu::{Vu, VuCore};
use crate::worker::Worker;
use planc::eval::{self, EvalError};
use planc::graph::Json;
use std::collections::BTreeMap;
use std::time::Instant;
use websocket::Place;

/// A loop, group or (in a rehearsal) choice being played.
pub(crate) enum Frame {
    /// Elements that are left, and the name they are bound to.
    Loop { left: std::vec::IntoIter<Json>, var: Option<usize> },
    /// Turns that are left, the next number, and the name it is bound to.
    Repeat { left: u64, next: u64, var: Option<usize> },
    /// When it began.
    Group(Instant),
    /// The next branch to rehearse.
    Branch(usize),
}

/// Plays the set-up or one iteration; false when it ended by a failure.
pub(crate) async fn play(vu: &mut Vu, scenario: &ScenarioProgram, set_up: bool) -> bool {
    let ops = if set_up { &scenario.setup } else { &scenario.steps };
    vu.frames.clear();
    vu.core.groups.borrow_mut().clear();
    let mut at = 0;
    while let Some(op) = ops.get(at) {
        let next = match op {
            Op::Http(op) => {
                vu.core.place.set((set_up, at));
                http::play(vu, scenario, op).await.then_some(at + 1)
            }
            Op::Pause(step, pause) => {
                vu.worker.count_step(*step);
                pause::play(vu, scenario, pause, Place { set_up, at }).await
            }
            Op::Open(op) => websocket::open(vu, scenario, op, Place { set_up, at }).await,
            Op::SessionEnd => websocket::end(vu, scenario, Place { set_up, at }).await,
            Op::Send(op) => websocket::send(vu, scenario, op, Place { set_up, at }).await,
            Op::Receive(op) => websocket::receive(vu, scenario, op, Place { set_up, at }).await,
            Op::Ping(op) => websocket::ping(vu, scenario, op, Place { set_up, at }).await,
            Op::Close(op) => websocket::close(vu, scenario, op, Place { set_up, at }).await,
            Op::Choose(op) => Some(choose::begin(vu, op)),
            Op::BranchEnd { choose, end } => Some(choose::end(vu, ops, *choose, *end)),
            Op::Repeat(op) => {
                let next = loops::repeat(vu, scenario, op, at);
                valued(vu, scenario, op.step, &op.name, next)
            }
            Op::Each(op) => {
                let next = loops::each(vu, scenario, op, at);
                valued(vu, scenario, op.step, &op.name, next)
            }
            Op::LoopEnd { body } => Some(loops::turn(vu, *body).unwrap_or(at + 1)),
            Op::When { step, name, condition, end } => {
                vu.worker.count_step(*step);
                let holds = eval::eval(condition, &vu.scope(scenario)).map(|value| eval::truthy(&value));
                let next = holds.map(|holds| if holds { at + 1 } else { *end });
                valued(vu, scenario, *step, name, next)
            }
            Op::Group(op) => {
                group::begin(vu, op.step, (set_up, at));
                Some(at + 1)
            }
            Op::GroupEnd(op) => {
                group::end(vu, op);
                Some(at + 1)
            }
        };
        match next {
            Some(next) => at = next,
            None => {
                websocket::abandon(vu, scenario);
                if vu.rehearsal.is_none() {
                    abandon(&vu.worker, &vu.run, &vu.core);
                }
                return false;
            }
        }
    }
    true
}

/// Records what a user waited for when it was cut off, and the session that it had open.
pub(crate) fn censor(worker: &Worker, run: &ScenarioRun, core: &VuCore) {
    let waited = websocket::censor(worker, run, core);
    http::censor(worker, run, core);
    websocket::cut_off(worker, run, core, waited);
}

/// Where to go on, or a failed check and none where an expression had no value.
fn valued(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    step: u32,
    name: &str,
    next: Result<usize, EvalError>,
) -> Option<usize> {
    match next {
        Ok(next) => Some(next),
        Err(error) => {
            let tags = BTreeMap::from([
                ("scenario".to_owned(), scenario.name.clone()),
                ("name".to_owned(), name.to_owned()),
            ]);
            no_value(vu, step, name, &tags, &error);
            None
        }
    }
}

/// Counts a failed check for an expression without a value.
fn no_value(vu: &mut Vu, step: u32, name: &str, tags: &BTreeMap<String, String>, error: &EvalError) {
    if vu.rehearsal.is_some() {
        return vu.tell(name, format!("an expression has no value: {}", error.0));
    }
    let key = Key { owner: step, family: Family::Render, variant: 0, result: 0, late: vu.late };
    let fresh = || {
        let mut tags = tags.clone();
        tags.insert("check".into(), "expressions have a value".into());
        (Labels { metric: "checks".into(), tags, late: vu.late }, Sample::Rate(0, 0))
    };
    vu.worker.recorder.borrow_mut().add(key, vu.at, fresh, |cell| {
        if let Sample::Rate(_, total) = cell {
            *total += 1;
        }
    });
}

impl Vu {
    /// Notes a failure of a rehearsal, the first of each step.
    fn tell(&mut self, step: &str, message: String) {
        let scenario = self.worker.program.scenarios[self.run.index].name.clone();
        if let Some(failures) = &mut self.rehearsal
            && !failures.iter().any(|failure| failure.step == step)
        {
            failures.push(crate::load::RehearsalFailure { scenario, step: step.to_owned(), message });
        }
    }
}
