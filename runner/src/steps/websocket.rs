//! A WebSocket session: opened, talked over, closed. It lives from its step's beginning to its end; whatever else is
//! played meanwhile, what the server sends waits.

mod record;
mod wait;

pub(super) use record::{censor, cut_off};
pub(super) use wait::{ping, receive};

use super::http::{add_cookies, in_flight, render, unix_now};
use super::series;
use crate::expect::{Observed, Outcome3};
use crate::http::error::{Code, Failure};
use crate::http::websocket::{Answered, Asked, Event, Socket};
use crate::prepare::{CloseOp, Op, ScenarioProgram, SendOp, SessionOp, Tagged};
use crate::record::{Family, Ws};
use crate::views::{Moment, View};
use crate::vu::Vu;
use ::http::HeaderMap;
use ::http::header::SET_COOKIE;
use hyper::body::Bytes;
use planc::eval::EvalError;
use planc::graph::Connections;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Status code of a session that ends as it should.
const NORMAL: u16 = 1000;
/// Messages and bytes that wait at most for a `receive` that is still to come.
const MOST_WAITING: (usize, usize) = (1_000, 256 << 10);

/// An open session of a virtual user.
pub(crate) struct Session {
    socket: Socket,
    mark: Mark,
    /// How long whatever says nothing of its own may take.
    timeout: Duration,
    state: State,
    /// Something in it failed, with the code where there is one.
    failed: Option<Option<Code>>,
    /// The `send` just before.
    asked: Option<Instant>,
    /// Messages that came and that nobody has looked at, with their times.
    waiting: VecDeque<(Instant, Bytes)>,
    waiting_bytes: usize,
    overflowed: bool,
    pings: u32,
    /// Loops and groups around it.
    frames: usize,
    groups: usize,
}

/// What is known of an open session where its task is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// In set-up (true) or iteration, and the operation that opened it.
    place: (bool, usize),
    variant: u32,
    late: bool,
    at: Option<Moment>,
    begun: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Closed by a step.
    Closed,
    /// Ended by the server.
    Lost,
}

/// A step of a session: where it stands, for what comes after it.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// In set-up.
    pub(super) set_up: bool,
    /// The operation.
    pub(super) at: usize,
}

impl Place {
    fn ops(self, scenario: &ScenarioProgram) -> &[Op] {
        if self.set_up { &scenario.setup } else { &scenario.steps }
    }
}

impl Session {
    fn op<'s>(&self, scenario: &'s ScenarioProgram) -> &'s SessionOp {
        let (set_up, at) = self.mark.place;
        match &(Place { set_up, at }).ops(scenario)[at] {
            Op::Open(op) => op,
            _ => unreachable!("a session is where it was opened"),
        }
    }

    fn keep(&mut self, message: Bytes) {
        self.waiting_bytes += message.len();
        self.waiting.push_back((Instant::now(), message));
        while self.waiting.len() > MOST_WAITING.0 || self.waiting_bytes > MOST_WAITING.1 {
            self.overflowed = true;
            self.waiting_bytes -= self.waiting.pop_front().map_or(0, |(_, oldest)| oldest.len());
        }
    }

    fn oldest(&mut self) -> Option<(Instant, Bytes)> {
        let oldest = self.waiting.pop_front()?;
        self.waiting_bytes -= oldest.1.len();
        Some(oldest)
    }
}

/// Opens a session. Gives the next place, and none where the iteration ends.
pub(super) async fn open(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &SessionOp,
    place: Place,
) -> Option<usize> {
    begin(vu, &op.tagged, place);
    let begun = Instant::now();
    vu.traced = super::http::traced(vu, scenario);
    let due = vu.intended.take().map_or(begun, |due| due.min(begun));
    let handshake = &op.handshake;
    let variant =
        match series::variant(vu, scenario, handshake.step, &handshake.name, &handshake.slotted_tags) {
            Ok(variant) => variant,
            Err(error) => return unopened(vu, op, 0, &error),
        };
    vu.core.in_flight.set(Some(in_flight(vu, variant)));
    // Boxed, so that a user who is idle does not carry the room for it.
    let answered = Box::pin(shake(vu, scenario, op)).await;
    vu.core.in_flight.set(None);
    vu.traced = None;
    let answered = match answered {
        Ok(answered) => answered,
        Err(error) => return unopened(vu, op, variant, &error),
    };
    let told = judge(vu, scenario, op, variant, &answered, begun.elapsed());
    let status = answered.as_ref().map_or(0, |(head, _)| head.status.as_u16());
    let code = answered.as_ref().err().map(|failure| failure.code);
    if let Err(Failure { exhausted: Some(text), .. }) = &answered {
        *vu.worker.recorder.borrow_mut().exhausted.entry((*text).to_owned()).or_default() += 1;
    }
    record::opened(vu, op, variant, (status, code), told.is_none().then(|| due.elapsed()));
    let socket = answered.ok().and_then(|(_, socket)| socket);
    match (told, socket) {
        (None, Some(socket)) => {
            let at = (place.set_up, place.at);
            let mark = Mark { place: at, variant, late: vu.late, at: vu.at, begun };
            vu.core.session.set(Some(mark));
            vu.session = Some(Box::new(Session {
                socket,
                mark,
                timeout: handshake.timeout,
                state: State::Open,
                failed: None,
                asked: None,
                waiting: VecDeque::new(),
                waiting_bytes: 0,
                overflowed: false,
                pings: 0,
                frames: vu.frames.len(),
                groups: vu.core.groups.borrow().len(),
            }));
            Some(place.at + 1)
        }
        // Refused as the plan expects.
        (None, None) => Some(op.end + 1),
        (Some(message), _) => {
            if vu.rehearsal.is_some() {
                vu.tell(&op.tagged.name, format!("{}: {message}", op.tagged.name));
            }
            vu.failed(handshake.on_failure, &op.tagged.name).then_some(op.end + 1)
        }
    }
}

/// The handshake, within its timeout.
async fn shake(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &SessionOp,
) -> Result<Result<Answered, Failure>, EvalError> {
    let handshake = &op.handshake;
    let mut hop = match render(vu, scenario, handshake).await? {
        Ok(hop) => hop,
        Err(failure) => return Ok(Err(failure)),
    };
    if handshake.cookies {
        add_cookies(vu, &mut hop);
    }
    let deadline = tokio::time::Instant::from_std(hop.begun + handshake.timeout);
    let kept = vu.worker.program.scenarios[vu.run.index].connections == Connections::Keep;
    let asked = Asked {
        kept,
        origin: &hop.origin,
        uri: &hop.uri,
        headers: std::mem::take(&mut hop.headers),
        subprotocol: op.subprotocol.as_deref(),
    };
    let opened = tokio::time::timeout_at(deadline, Socket::open(&vu.worker.dialer, asked)).await;
    let answered = opened.unwrap_or_else(|_| {
        let message = format!("no answer to the handshake within {:?}", handshake.timeout);
        Err(Failure::new(Code::Timeout, message))
    });
    if let Ok((head, _)) = &answered {
        vu.run.answered(vu.worker.shared.now_us());
        if handshake.cookies && head.headers.contains_key(SET_COOKIE) {
            vu.jar.store(&head.headers, &hop.origin.host, hop.uri.path(), unix_now());
        }
    }
    Ok(answered)
}

/// Holds the answer against what is expected of it; tells what is wrong with it.
fn judge(
    vu: &Vu,
    scenario: &ScenarioProgram,
    op: &SessionOp,
    variant: u32,
    answered: &Result<Answered, Failure>,
    took: Duration,
) -> Option<String> {
    let no_headers = HeaderMap::new();
    let head = answered.as_ref().ok().map(|(head, _)| head);
    let status = head.map(|head| head.status.as_u16());
    let observed = Observed::new(status, head.map_or(&no_headers, |head| &head.headers), &[], took);
    let mut told = answered.as_ref().err().map(|failure| failure.message.clone());
    for (at, expectation) in op.handshake.expect.iter().enumerate() {
        let outcome = expectation.check(&observed, &vu.scope(scenario));
        let held = status.is_some() && outcome.holds();
        record::handshake_check(vu, op, variant, status, (at, &expectation.name), held);
        if !held {
            told.get_or_insert_with(|| format!("{}: {outcome}", expectation.name));
        }
    }
    told
}

/// A session whose texts have no value is not opened and has failed.
fn unopened(vu: &mut Vu, op: &SessionOp, variant: u32, error: &EvalError) -> Option<usize> {
    super::no_value(vu, op.tagged.step, &op.tagged.name, &op.tagged.tags, error);
    for (at, expectation) in op.handshake.expect.iter().enumerate() {
        record::handshake_check(vu, op, variant, None, (at, &expectation.name), false);
    }
    record::opened(vu, op, variant, (0, Some(Code::Other)), None);
    vu.failed(op.handshake.on_failure, &op.tagged.name).then_some(op.end + 1)
}

/// A step of a session begins.
fn begin(vu: &mut Vu, tagged: &Tagged, place: Place) {
    vu.core.place.set((place.set_up, place.at));
    vu.worker.count_step(tagged.step);
    vu.at = vu.run.moment(&vu.worker, vu.intended);
    let counts_it = |view: &View| view.counts_plays_of(tagged.step);
    vu.run.count(&vu.worker, vu.at, counts_it, |counts| counts.plays += 1);
}

/// The open session; none, with where to go on, where a step has closed it or the server refused it.
fn taken(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    name: &str,
    place: Place,
) -> Result<Box<Session>, Option<usize>> {
    let Some(session) = vu.session.take() else { return Err(Some(place.at + 1)) };
    if session.state == State::Open {
        return Ok(session);
    }
    // A rehearsal plays all branches one after the other, those that close before those that do not.
    if vu.all_branches {
        vu.session = Some(session);
        return Err(Some(place.at + 1));
    }
    Err(fail(vu, scenario, session, name, place, None, "the session is closed already".into()))
}

/// Sends a message.
pub(super) async fn send(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &SendOp,
    place: Place,
) -> Option<usize> {
    begin(vu, &op.tagged, place);
    let mut session = match taken(vu, scenario, &op.tagged.name, place) {
        Ok(session) => session,
        Err(next) => return next,
    };
    let mut text = String::new();
    let rendered = op.text.render(&vu.scope(scenario), &mut text);
    let variant = rendered.and_then(|()| inner_variant(vu, scenario, &op.tagged));
    let variant = match variant {
        Ok(variant) => variant,
        Err(error) => return valueless(vu, scenario, session, &op.tagged, place, &error),
    };
    vu.core.in_flight.set(Some(in_flight(vu, variant)));
    session.asked = Some(Instant::now());
    let sent = tokio::time::timeout(session.timeout, session.socket.send(text)).await;
    vu.core.in_flight.set(None);
    let sent = sent.unwrap_or_else(|_| {
        let message = format!("the server took no message for {:?}", session.timeout);
        Err(Failure::new(Code::Timeout, message))
    });
    account(vu, scenario, &session);
    match sent {
        Ok(()) => {
            record::add_one(vu, &op.tagged, variant, Ws::Sent);
            vu.session = Some(session);
            Some(place.at + 1)
        }
        Err(failure) => {
            session.state = State::Lost;
            fail(vu, scenario, session, &op.tagged.name, place, Some(failure.code), failure.message)
        }
    }
}

/// Waits while a session is open: messages are counted, and pings of the server answered.
pub(super) async fn pause(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    length: Duration,
    place: Place,
) -> Option<usize> {
    let Some(mut session) = vu.session.take() else { return Some(place.at + 1) };
    session.asked = None;
    let until = Instant::now() + length;
    if session.state != State::Open {
        tokio::time::sleep(length).await;
        vu.session = Some(session);
        return Some(place.at + 1);
    }
    let ended = loop {
        match wait::next(vu, scenario, &mut session, until).await {
            Ok(None) => break None,
            Ok(Some(Event::Message(message))) if session.op(scenario).receives => session.keep(message),
            Ok(Some(Event::Message(_) | Event::Pong(_))) => {}
            Ok(Some(Event::Closed(code))) => break Some(closed_early(code)),
            Err(failure) => break Some(failure),
        }
        if Instant::now() >= until {
            break None;
        }
    };
    match ended {
        None => {
            vu.session = Some(session);
            Some(place.at + 1)
        }
        Some(failure) => {
            session.state = State::Lost;
            let name = &session.op(scenario).tagged.name;
            fail(vu, scenario, session, name, place, Some(failure.code), failure.message)
        }
    }
}

/// Closes the session before its steps end.
pub(super) async fn close(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &CloseOp,
    place: Place,
) -> Option<usize> {
    vu.worker.count_step(op.step);
    let mut session = match taken(vu, scenario, &op.name, place) {
        Ok(session) => session,
        Err(next) => return next,
    };
    let within = op.within.unwrap_or(session.timeout);
    match shut(vu, scenario, &mut session, op.code, within, place).await {
        Ok(()) => {
            vu.session = Some(session);
            Some(place.at + 1)
        }
        Err(failure) => fail(vu, scenario, session, &op.name, place, Some(failure.code), failure.message),
    }
}

/// The end of a session's steps.
pub(super) async fn end(vu: &mut Vu, scenario: &ScenarioProgram, place: Place) -> Option<usize> {
    let Some(mut session) = vu.session.take() else { return Some(place.at + 1) };
    let op = session.op(scenario);
    let mut goes_on = true;
    if session.state == State::Open {
        let timeout = session.timeout;
        if let Err(failure) = shut(vu, scenario, &mut session, NORMAL, timeout, place).await {
            session.failed.get_or_insert(Some(failure.code));
            if vu.rehearsal.is_some() {
                vu.tell(&op.tagged.name, format!("{}: {}", op.tagged.name, failure.message));
            }
            goes_on = vu.failed(op.handshake.on_failure, &op.tagged.name);
        }
    }
    record::ended(vu, scenario, &session);
    goes_on.then_some(place.at + 1)
}

/// The iteration ends by a failure while a session is open.
pub(super) fn abandon(vu: &mut Vu, scenario: &ScenarioProgram) {
    if let Some(session) = vu.session.take() {
        record::ended(vu, scenario, &session);
    }
}

/// Says goodbye and waits until the server has closed its side.
async fn shut(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    session: &mut Session,
    code: u16,
    within: Duration,
    place: Place,
) -> Result<(), Failure> {
    vu.core.place.set((place.set_up, place.at));
    vu.core.in_flight.set(Some(in_flight(vu, session.mark.variant)));
    session.state = State::Closed;
    let deadline = Instant::now() + within;
    let closed = tokio::time::timeout(within, session.socket.close(code)).await;
    let mut ended = closed.unwrap_or_else(|_| Err(not_closed(within)));
    while ended.is_ok() {
        match wait::next(vu, scenario, session, deadline).await {
            Ok(Some(Event::Closed(_))) => break,
            Ok(Some(_)) if Instant::now() < deadline => {}
            Ok(_) => ended = Err(not_closed(within)),
            Err(failure) => ended = Err(failure),
        }
    }
    vu.core.in_flight.set(None);
    account(vu, scenario, session);
    ended
}

fn not_closed(within: Duration) -> Failure {
    Failure::new(Code::Timeout, format!("the server did not close its side within {within:?}"))
}

fn closed_early(code: Option<u16>) -> Failure {
    let with = code.map_or(String::new(), |code| format!(" with {code}"));
    Failure::new(Code::WebSocketClosed, format!("the server closed the session{with}, which had steps left"))
}

fn inner_variant(vu: &mut Vu, scenario: &ScenarioProgram, tagged: &Tagged) -> Result<u32, EvalError> {
    series::variant(vu, scenario, tagged.step, &tagged.name, &tagged.slotted_tags)
}

/// A step of the session has failed. Gives the next place, and none where the iteration ends.
fn fail(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    mut session: Box<Session>,
    name: &str,
    place: Place,
    code: Option<Code>,
    message: String,
) -> Option<usize> {
    session.failed.get_or_insert(code);
    if vu.rehearsal.is_some() {
        vu.tell(name, format!("{name}: {message}"));
    }
    let op = session.op(scenario);
    let goes_on = vu.failed(op.handshake.on_failure, name);
    let over = session.state != State::Open;
    let (frames, groups) = (session.frames, session.groups);
    vu.session = Some(session);
    match (goes_on, over) {
        (false, _) => None,
        (true, false) => Some(place.at + 1),
        // Nothing more can be said over it; what was begun in it is not played to its end.
        (true, true) => {
            vu.frames.truncate(frames);
            if vu.rehearsal.is_none() {
                super::group::leave(&vu.worker, &vu.run, &vu.core, groups);
            } else {
                vu.core.groups.borrow_mut().truncate(groups);
            }
            Some(op.end)
        }
    }
}

/// A step whose text has no value: nothing is sent, and the session has failed.
fn valueless(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    session: Box<Session>,
    tagged: &Tagged,
    place: Place,
    error: &EvalError,
) -> Option<usize> {
    super::no_value(vu, tagged.step, &tagged.name, &tagged.tags, error);
    let message = format!("an expression has no value: {}", error.0);
    fail(vu, scenario, session, &tagged.name, place, Some(Code::Other), message)
}

/// Adds the bytes that went over a session's connection.
fn account(vu: &Vu, scenario: &ScenarioProgram, session: &Session) {
    let (sent, received) = session.socket.take_bytes();
    record::bytes(vu, scenario, session, sent, received);
}

/// What a message that did not match looked like.
fn passed_by(passed: u64, last: Option<&Outcome3>) -> String {
    let others = match passed {
        0 => return "no message came".to_owned(),
        1 => "1 other message came".to_owned(),
        n => format!("{n} other messages came"),
    };
    last.map_or(others.clone(), |seen| format!("{others}, the last with {seen}"))
}

/// The family of a metric of a WebSocket.
fn of(which: Ws) -> Family {
    Family::WebSocket(which)
}
