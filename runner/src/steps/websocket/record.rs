//! What is recorded of sessions. Whatever failed is above every bound.

use super::{Mark, Place, Session, of};
use crate::drive::run::ScenarioRun;
use crate::http::error::Code;
use crate::prepare::{Op, ReceiveOp, ScenarioProgram, SessionOp, Tagged};
use crate::record::{Cell as Sample, Family, Recorder, Ws};
use crate::steps::series::Play;
use crate::vu::{Vu, VuCore, add_one as one_more};
use crate::worker::Worker;
use planc::graph::PONG_CHECK;
use std::time::Duration;

impl Ws {
    fn metric(self) -> &'static str {
        match self {
            Ws::Connecting => "ws_connecting",
            Ws::Sessions => "ws_sessions",
            Ws::Duration => "ws_session_duration",
            Ws::Failed => "ws_failed",
            Ws::Sent => "ws_msgs_sent",
            Ws::Received => "ws_msgs_received",
            Ws::Receive => "ws_receive_duration",
            Ws::Ping => "ws_ping",
            Ws::DataSent => "data_sent",
            Ws::DataReceived => "data_received",
        }
    }

    fn cell(self) -> Sample {
        match self {
            Ws::Connecting | Ws::Duration | Ws::Receive | Ws::Ping => Sample::Trend(Default::default()),
            Ws::Failed => Sample::Rate(0, 0),
            Ws::Sessions | Ws::Sent | Ws::Received | Ws::DataSent | Ws::DataReceived => Sample::Counter(0, 0),
        }
    }
}

/// How a handshake was answered, or how a session ended: the status, and why there was no answer.
type Answer = (u16, Option<Code>);

/// A play of a session's step.
fn add(
    recorder: &mut Recorder,
    play: &Play<'_>,
    which: Ws,
    answer: Option<Answer>,
    add: impl Fn(&mut Sample),
) {
    let (status, code) = answer.unwrap_or((0, None));
    let result = u64::from(status) << 32 | u64::from(code.map_or(0, |code| code as u16)) << 16;
    let fresh = || {
        let mut more = Vec::new();
        more.extend(answer.map(|(status, _)| ("status", status.to_string())));
        more.extend(code.map(|code| ("error_code", code.tag())));
        (which.metric().to_owned(), more, which.cell())
    };
    play.add(recorder, of(which), result, fresh, add);
}

fn time(cell: &mut Sample, took: Option<Duration>) {
    if let Sample::Trend(dist) = cell {
        match took {
            Some(took) => dist.add(took.as_micros() as u64),
            None => dist.add_infinite(),
        }
    }
}

fn truth(cell: &mut Sample, value: bool) {
    if let Sample::Rate(trues, total) = cell {
        *trues += u64::from(value);
        *total += 1;
    }
}

/// A handshake that took so long, or that failed. A session that was never open has failed as well.
pub(super) fn opened(vu: &Vu, op: &SessionOp, variant: u32, answer: Answer, took: Option<Duration>) {
    if vu.rehearsal.is_none() {
        let play = Play::of(&op.tagged, variant, vu.late, vu.at);
        let mut recorder = vu.worker.recorder.borrow_mut();
        opening(&mut recorder, &play, answer, took);
        // A refusal that the plan expects is the end of it, and no failure.
        if took.is_some() && answer.0 != 101 {
            add(&mut recorder, &play, Ws::Failed, Some(answer), |cell| truth(cell, false));
            add(&mut recorder, &play, Ws::Duration, Some(answer), |cell| time(cell, took));
        }
    }
}

fn opening(recorder: &mut Recorder, play: &Play<'_>, answer: Answer, took: Option<Duration>) {
    add(recorder, play, Ws::Sessions, Some(answer), one_more);
    add(recorder, play, Ws::Connecting, Some(answer), |cell| time(cell, took));
    if took.is_none() {
        add(recorder, play, Ws::Failed, Some(answer), |cell| truth(cell, true));
        add(recorder, play, Ws::Duration, Some(answer), |cell| time(cell, None));
    }
}

/// Whether the answer to a handshake was as expected.
pub(super) fn handshake_check(
    vu: &Vu,
    op: &SessionOp,
    variant: u32,
    status: Option<u16>,
    (at, name): (usize, &str),
    held: bool,
) {
    if vu.rehearsal.is_none() {
        let play = Play::of(&op.tagged, variant, vu.late, vu.at);
        expected(&mut vu.worker.recorder.borrow_mut(), &play, status.unwrap_or(0), (at, name), held);
    }
}

fn expected(recorder: &mut Recorder, play: &Play<'_>, status: u16, (at, name): (usize, &str), held: bool) {
    let more = vec![("status", status.to_string())];
    play.check(recorder, Family::Check(at as u16), u64::from(status) << 32, &name, more, held);
}

/// One more of what a step counts.
pub(super) fn add_one(vu: &Vu, tagged: &Tagged, variant: u32, which: Ws) {
    if vu.rehearsal.is_none() {
        let play = Play::of(tagged, variant, vu.late, vu.at);
        add(&mut vu.worker.recorder.borrow_mut(), &play, which, None, one_more);
    }
}

/// How long a step took, or that it was in vain.
pub(super) fn timed(vu: &Vu, tagged: &Tagged, variant: u32, which: Ws, took: Option<Duration>) {
    if vu.rehearsal.is_none() {
        let play = Play::of(tagged, variant, vu.late, vu.at);
        add(&mut vu.worker.recorder.borrow_mut(), &play, which, None, |cell| time(cell, took));
    }
}

/// A check of a step.
pub(super) fn check(
    vu: &Vu,
    tagged: &Tagged,
    variant: u32,
    at: u16,
    name: &dyn std::fmt::Display,
    held: bool,
) {
    if vu.rehearsal.is_none() {
        let play = Play::of(tagged, variant, vu.late, vu.at);
        let mut recorder = vu.worker.recorder.borrow_mut();
        play.check(&mut recorder, Family::Check(at), 0, name, Vec::new(), held);
    }
}

/// A message that was waited for did not come.
pub(super) fn received(vu: &Vu, op: &ReceiveOp, variant: u32, took: Option<Duration>) {
    if vu.rehearsal.is_none() {
        let play = Play::of(&op.tagged, variant, vu.late, vu.at);
        receive(&mut vu.worker.recorder.borrow_mut(), &play, op, took, false, &[]);
    }
}

/// The message that was waited for came; `held` says which captures found something in it.
pub(super) fn came(vu: &Vu, op: &ReceiveOp, variant: u32, took: Option<Duration>, held: &[bool]) {
    if vu.rehearsal.is_none() {
        let play = Play::of(&op.tagged, variant, vu.late, vu.at);
        receive(&mut vu.worker.recorder.borrow_mut(), &play, op, took, true, held);
    }
}

fn receive(
    recorder: &mut Recorder,
    play: &Play<'_>,
    op: &ReceiveOp,
    took: Option<Duration>,
    matched: bool,
    held: &[bool],
) {
    add(recorder, play, Ws::Receive, None, |cell| time(cell, took));
    play.check(recorder, Family::Check(0), 0, &op.check, Vec::new(), matched);
    for (at, capture) in op.captures.iter().enumerate() {
        let found = held.get(at).copied().unwrap_or(false);
        let name = format_args!("capture {}", capture.name);
        play.check(recorder, Family::Capture(at as u16), 0, &name, Vec::new(), found);
    }
}

/// A message that came over a session, whoever waits for it.
pub(super) fn message(vu: &Vu, scenario: &ScenarioProgram, session: &Session) {
    if vu.rehearsal.is_none() {
        let play = session.play(scenario);
        add(&mut vu.worker.recorder.borrow_mut(), &play, Ws::Received, Some((101, None)), one_more);
    }
}

/// Bytes that went over a session's connection.
pub(super) fn bytes(vu: &Vu, scenario: &ScenarioProgram, session: &Session, sent: u64, received: u64) {
    if vu.rehearsal.is_some() {
        return;
    }
    let mut recorder = vu.worker.recorder.borrow_mut();
    for (which, bytes) in [(Ws::DataSent, sent), (Ws::DataReceived, received)] {
        if bytes > 0 {
            add(&mut recorder, &session.play(scenario), which, None, |cell| {
                if let Sample::Counter(sum, count) = cell {
                    *sum = sum.saturating_add((bytes as i64).saturating_mul(1_000));
                    *count += 1;
                }
            });
        }
    }
}

/// The end of a session that was open.
pub(super) fn ended(vu: &Vu, scenario: &ScenarioProgram, session: &Session) {
    vu.core.session.set(None);
    if vu.rehearsal.is_none() {
        let play = session.play(scenario);
        over(&mut vu.worker.recorder.borrow_mut(), &play, session.mark, session.failed);
    }
}

fn over(recorder: &mut Recorder, play: &Play<'_>, mark: Mark, failed: Option<Option<Code>>) {
    let answer = Some((101, failed.flatten()));
    let took = failed.is_none().then(|| mark.begun.elapsed());
    add(recorder, play, Ws::Failed, answer, |cell| truth(cell, failed.is_some()));
    add(recorder, play, Ws::Duration, answer, |cell| time(cell, took));
}

impl Session {
    fn play<'s>(&self, scenario: &'s ScenarioProgram) -> Play<'s> {
        self.mark.play(&self.op(scenario).tagged)
    }
}

impl Mark {
    fn play(self, tagged: &Tagged) -> Play<'_> {
        Play::of(tagged, self.variant, self.late, self.at)
    }
}

/// Records what a user waited for in a session when it was cut off; says whether there was anything.
pub(in crate::steps) fn censor(worker: &Worker, run: &ScenarioRun, core: &VuCore) -> bool {
    let scenario = &worker.program.scenarios[run.index];
    let (set_up, at) = core.place.get();
    let ops = Place { set_up, at }.ops(scenario);
    let Some(Op::Open(_) | Op::Send(_) | Op::Receive(_) | Op::Ping(_) | Op::Close(_) | Op::SessionEnd) =
        ops.get(at)
    else {
        return false;
    };
    let Some(waiting) = core.in_flight.take() else { return false };
    let mut recorder = worker.recorder.borrow_mut();
    let play = |tagged| Play::of(tagged, waiting.variant, waiting.late, waiting.at);
    match &ops[at] {
        Op::Open(op) => {
            opening(&mut recorder, &play(&op.tagged), (0, None), None);
            for (at, expectation) in op.handshake.expect.iter().enumerate() {
                expected(&mut recorder, &play(&op.tagged), 0, (at, &expectation.name), false);
            }
        }
        Op::Receive(op) => receive(&mut recorder, &play(&op.tagged), op, None, false, &[]),
        Op::Ping(op) => {
            let play = play(&op.tagged);
            add(&mut recorder, &play, Ws::Ping, None, |cell| time(cell, None));
            play.check(&mut recorder, Family::Check(0), 0, &PONG_CHECK, Vec::new(), false);
        }
        _ => {}
    }
    run.counts.censored.add(1);
    true
}

/// Records the end of the session of a user that was cut off; one that waited for nothing has not failed.
pub(in crate::steps) fn cut_off(worker: &Worker, run: &ScenarioRun, core: &VuCore, waited: bool) {
    let Some(mark) = core.session.take() else { return };
    let scenario = &worker.program.scenarios[run.index];
    let (set_up, at) = mark.place;
    if let Some(Op::Open(op)) = (Place { set_up, at }).ops(scenario).get(at) {
        over(&mut worker.recorder.borrow_mut(), &mark.play(&op.tagged), mark, waited.then_some(None));
    }
}
