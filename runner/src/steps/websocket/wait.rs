//! What a session waits for: a message that matches, a pong.

use super::{
    Place, Session, State, account, begin, closed_early, fail, inner_variant, passed_by, record, taken,
    valueless,
};
use crate::expect::{Observed, Outcome3};
use crate::http::error::{Code, Failure};
use crate::http::websocket::Event;
use crate::prepare::{PingOp, ReceiveOp, ScenarioProgram};
use crate::record::Ws;
use crate::steps::http::{bind, in_flight};
use crate::vu::Vu;
use ::http::HeaderMap;
use hyper::body::Bytes;
use planc::graph::PONG_CHECK;
use std::time::{Duration, Instant};

/// The next thing that comes over a session, which is counted; none where nothing comes until then.
pub(super) async fn next(
    vu: &Vu,
    scenario: &ScenarioProgram,
    session: &mut Session,
    until: Instant,
) -> Result<Option<Event>, Failure> {
    let until = tokio::time::Instant::from_std(until);
    let Ok(event) = tokio::time::timeout_at(until, session.socket.next()).await else { return Ok(None) };
    if let Ok(Event::Message(_)) = &event {
        vu.run.answered(vu.worker.shared.now_us());
        record::message(vu, scenario, session);
    }
    account(vu, scenario, session);
    event.map(Some)
}

/// Why a step that waits was left waiting.
struct Missed {
    failure: Failure,
    /// The session is over.
    lost: bool,
}

/// Waits for a message that matches; others pass by.
pub(in crate::steps) async fn receive(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &ReceiveOp,
    place: Place,
) -> Option<usize> {
    begin(vu, &op.tagged, place);
    let mut session = match taken(vu, scenario, &op.tagged.name, place) {
        Ok(session) => session,
        Err(next) => return next,
    };
    let variant = match inner_variant(vu, scenario, &op.tagged) {
        Ok(variant) => variant,
        Err(error) => return valueless(vu, scenario, session, &op.tagged, place, &error),
    };
    let begun = Instant::now();
    let asked = session.asked.take().unwrap_or(begun);
    let within = op.within.unwrap_or(session.timeout);
    vu.core.in_flight.set(Some(in_flight(vu, variant)));
    let found = matching(vu, scenario, op, &mut session, begun + within, within).await;
    vu.core.in_flight.set(None);
    let (arrived, message) = match found {
        Ok(found) => found,
        Err(Missed { failure, lost }) => {
            unset(vu, op);
            record::received(vu, op, variant, None);
            if lost {
                session.state = State::Lost;
            }
            return fail(vu, scenario, session, &op.tagged.name, place, Some(failure.code), failure.message);
        }
    };
    let headers = HeaderMap::new();
    let observed = Observed::new(None, &headers, &message, Duration::ZERO);
    let mut missing = None;
    let held: Vec<bool> = op.captures.iter().map(|capture| bind(vu, capture, &observed)).collect();
    for (capture, held) in op.captures.iter().zip(&held) {
        if !held {
            missing.get_or_insert(format!("capture {}: what it looks for is absent", capture.name));
        }
    }
    // A message that lacks what is needed of it is no quick answer.
    let took = missing.is_none().then(|| arrived.saturating_duration_since(asked));
    record::came(vu, op, variant, took, &held);
    match missing {
        None => {
            vu.session = Some(session);
            Some(place.at + 1)
        }
        Some(message) => fail(vu, scenario, session, &op.tagged.name, place, None, message),
    }
}

/// The first message that matches, of those that wait and of those that come.
async fn matching(
    vu: &Vu,
    scenario: &ScenarioProgram,
    op: &ReceiveOp,
    session: &mut Session,
    deadline: Instant,
    within: Duration,
) -> Result<(Instant, Bytes), Missed> {
    let (mut passed, mut last) = (0, None);
    loop {
        let (arrived, message) = match session.oldest() {
            Some(waiting) => waiting,
            None => match next(vu, scenario, session, deadline).await {
                Ok(Some(Event::Message(message))) => (Instant::now(), message),
                Ok(Some(Event::Pong(_))) => continue,
                Ok(Some(Event::Closed(code))) => {
                    return Err(Missed { failure: closed_early(code), lost: true });
                }
                Ok(None) => return Err(too_late(vu, session, within, passed, last.as_ref())),
                Err(failure) => return Err(Missed { failure, lost: true }),
            },
        };
        if arrived > deadline {
            return Err(too_late(vu, session, within, passed, last.as_ref()));
        }
        match mismatch(vu, scenario, op, &message) {
            None => return Ok((arrived, message)),
            Some(seen) => {
                passed += 1;
                last = Some(seen);
            }
        }
    }
}

/// What a message has in the place of what it must hold; none where it matches.
fn mismatch(vu: &Vu, scenario: &ScenarioProgram, op: &ReceiveOp, message: &Bytes) -> Option<Outcome3> {
    let headers = HeaderMap::new();
    let observed = Observed::new(None, &headers, message, Duration::ZERO);
    let scope = vu.scope(scenario);
    op.expect.iter().map(|expect| expect.check(&observed, &scope)).find(|outcome| !outcome.holds())
}

fn too_late(vu: &Vu, session: &Session, within: Duration, passed: u64, last: Option<&Outcome3>) -> Missed {
    if session.overflowed && vu.rehearsal.is_none() {
        // Whether it was among them nobody knows.
        let text = "more messages than a session keeps came before a `receive` looked at them";
        *vu.worker.recorder.borrow_mut().exhausted.entry(text.to_owned()).or_default() += 1;
    }
    let message = format!("no such message within {within:?}: {}", passed_by(passed, last));
    Missed { failure: Failure::new(Code::Timeout, message), lost: false }
}

fn unset(vu: &mut Vu, op: &ReceiveOp) {
    for capture in &op.captures {
        vu.env.vars[capture.var] = crate::text::Var::Unset;
    }
}

/// Pings the server and waits for its pong; messages that come meanwhile wait.
pub(in crate::steps) async fn ping(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &PingOp,
    place: Place,
) -> Option<usize> {
    begin(vu, &op.tagged, place);
    let mut session = match taken(vu, scenario, &op.tagged.name, place) {
        Ok(session) => session,
        Err(next) => return next,
    };
    let variant = match inner_variant(vu, scenario, &op.tagged) {
        Ok(variant) => variant,
        Err(error) => return valueless(vu, scenario, session, &op.tagged, place, &error),
    };
    session.asked = None;
    session.pings += 1;
    let payload = Bytes::copy_from_slice(&session.pings.to_be_bytes());
    let within = op.within.unwrap_or(session.timeout);
    vu.core.in_flight.set(Some(in_flight(vu, variant)));
    let begun = Instant::now();
    let ponged = pong(vu, scenario, &mut session, payload, begun + within, within).await;
    let took = begun.elapsed();
    vu.core.in_flight.set(None);
    record::timed(vu, &op.tagged, variant, Ws::Ping, ponged.is_ok().then_some(took));
    record::check(vu, &op.tagged, variant, 0, &PONG_CHECK, ponged.is_ok());
    match ponged {
        Ok(()) => {
            vu.session = Some(session);
            Some(place.at + 1)
        }
        Err(Missed { failure, lost }) => {
            if lost {
                session.state = State::Lost;
            }
            fail(vu, scenario, session, &op.tagged.name, place, Some(failure.code), failure.message)
        }
    }
}

async fn pong(
    vu: &Vu,
    scenario: &ScenarioProgram,
    session: &mut Session,
    payload: Bytes,
    deadline: Instant,
    within: Duration,
) -> Result<(), Missed> {
    let missed = || {
        let failure = Failure::new(Code::Timeout, format!("no pong within {within:?}"));
        Missed { failure, lost: false }
    };
    match tokio::time::timeout(within, session.socket.ping(payload.clone())).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => return Err(Missed { failure, lost: true }),
        Err(_) => return Err(missed()),
    }
    loop {
        match next(vu, scenario, session, deadline).await {
            Ok(Some(Event::Pong(answer))) if answer == payload => return Ok(()),
            Ok(Some(Event::Message(message))) if session.op(scenario).receives => session.keep(message),
            Ok(Some(Event::Message(_) | Event::Pong(_))) => {}
            Ok(Some(Event::Closed(code))) => {
                return Err(Missed { failure: closed_early(code), lost: true });
            }
            Ok(None) => return Err(missed()),
            Err(failure) => return Err(Missed { failure, lost: true }),
        }
        if Instant::now() >= deadline {
            return Err(missed());
        }
    }
}
