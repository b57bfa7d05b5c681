//! Sending: over a kept or a new connection, within the step's timeout.

use super::Sent;
use super::hop::{Hop, add_cookies, unix_now};
use super::lean::{self, Lean};
use crate::http::connection::{Answer, Ask, Connection, Keep, Opening, Phases};
use crate::http::error::{Code, Failure};
use crate::http::h1::{Fields, Sending, TOGETHER, Wanted, closes, write_head};
use crate::http::origin::Origin;
use crate::http::payload::Payload;
use crate::prepare::{HttpOp, ScenarioProgram};
use crate::vu::Vu;
use ::http::Method;
use ::http::header::{COOKIE, SET_COOKIE};
use planc::graph::{Connections, Protocol};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;
use tokio::time::Sleep;

/// A request ready to be sent.
pub(super) enum Trip {
    /// As bytes.
    Lean(Lean),
    /// In its parts.
    Full(Hop),
}

impl Trip {
    fn origin(&self) -> &Rc<Origin> {
        match self {
            Trip::Lean(lean) => &lean.origin,
            Trip::Full(hop) => &hop.origin,
        }
    }

    fn begun(&self) -> Instant {
        match self {
            Trip::Lean(lean) => lean.begun,
            Trip::Full(hop) => hop.begun,
        }
    }
}

/// Sends a request over a kept or a new connection, within the step's timeout.
pub(super) async fn send(vu: &mut Vu, scenario: &ScenarioProgram, op: &HttpOp, trip: &mut Trip) -> Sent {
    let begun = trip.begun();
    let deadline = begun + op.timeout;
    let mut wire = std::mem::take(&mut vu.wire);
    let wanted = wanted(vu, op);
    let ask = match &mut *trip {
        Trip::Lean(lean) => {
            let (bytes, body) = (lean.bytes(op, &wire), lean.payload.clone());
            let head = op.method == Method::HEAD;
            Ask::Http1(Sending { bytes, body, chunked: false, head, last: false, wanted })
        }
        Trip::Full(hop) => ask(vu, op, hop, &mut wire, wanted),
    };
    let mut opening = Opening::default();
    let mut timer = vu.timer.take();
    let mut open = None;
    let way = Way { ask, origin: trip.origin(), deadline };
    let result = exchange(vu, op, way, &mut timer, &mut opening, &mut open).await;
    vu.timer = timer;
    let phases = open.as_ref().map_or(Phases::at(begun), |connection: &Connection| connection.phases(begun));
    if let Ok(answer) = &result {
        if op.cookies && answer.fields.contains_key(SET_COOKIE) {
            let path = match &*trip {
                Trip::Lean(lean) => lean::path(lean.bytes(op, &wire)),
                Trip::Full(hop) => hop.uri.path(),
            };
            vu.jar.store(&answer.fields, &trip.origin().host, path, unix_now());
        }
        if scenario.connections != Connections::PerRequest {
            vu.connections.extend(open);
        }
    }
    vu.wire = wire;
    Sent { result, opening, phases }
}

fn wanted(vu: &Vu, op: &HttpOp) -> Wanted {
    let rehearsed = vu.rehearsal.is_some();
    Wanted {
        fields: if op.reads_fields || rehearsed { Fields::All } else { Fields::Acted },
        body: match op.reads_body {
            true => Keep::All,
            false if rehearsed => Keep::Beginning,
            false => Keep::Nothing,
        },
    }
}

/// A request in its parts as its protocol sends it; the jar's cookies are in it and not in its parts.
fn ask<'w>(vu: &Vu, op: &HttpOp, hop: &mut Hop, wire: &'w mut Vec<u8>, wanted: Wanted) -> Ask<'w> {
    let own = hop.headers.get(COOKIE).cloned();
    if op.cookies {
        add_cookies(vu, hop);
    }
    let ask = match vu.worker.dialer.protocol {
        Protocol::Http2 => Ask::Http2(Box::new(hop.to_http2()), wanted.body),
        Protocol::Http1 => {
            wire.clear();
            let length = hop.payload.length();
            let line = (&hop.method, hop.target());
            let chunked = write_head(wire, line, &hop.origin.authority, &hop.headers, length);
            let together = length <= TOGETHER && !chunked;
            if together {
                hop.payload.append_to(wire);
            }
            let body = if together { Payload::default() } else { hop.payload.clone() };
            let (head, last) = (hop.method == Method::HEAD, closes(&hop.headers));
            Ask::Http1(Sending { bytes: wire, body, chunked, head, last, wanted })
        }
    };
    match own {
        Some(own) => drop(hop.headers.insert(COOKIE, own)),
        None => drop(hop.headers.remove(COOKIE)),
    }
    ask
}

/// A request, where it goes, and by when it must be answered.
struct Way<'a> {
    ask: Ask<'a>,
    origin: &'a Rc<Origin>,
    deadline: Instant,
}

/// The exchange itself; the connection stays in `open`, whatever came of it.
async fn exchange(
    vu: &mut Vu,
    op: &HttpOp,
    Way { ask, origin, deadline }: Way<'_>,
    timer: &mut Option<Pin<Box<Sleep>>>,
    opening: &mut Opening,
    open: &mut Option<Connection>,
) -> Result<Answer, Failure> {
    if let Some(at) = vu.connections.iter().position(|kept| kept.origin.same(origin)) {
        let mut kept = vu.connections.swap_remove(at);
        if kept.is_usable().await {
            *open = Some(kept);
        }
    }
    let kept = vu.worker.program.scenarios[vu.run.index].connections == Connections::Keep;
    // Twice at most: again only where a kept connection was closed before anything was written.
    loop {
        let reused = open.is_some();
        let connection = match open {
            Some(connection) => connection,
            None => {
                let opening = Connection::open(&vu.worker.dialer, origin, kept, opening);
                let opened = within(timer, deadline, opening).await;
                let opened = opened.ok_or_else(|| {
                    Failure::new(Code::DialTimeout, format!("no connection to {} in time", origin.authority))
                })?;
                open.insert(opened?)
            }
        };
        match within(timer, deadline, connection.exchange(&ask)).await {
            None => return Err(Failure::new(Code::Timeout, format!("no answer within {:?}", op.timeout))),
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(broken)) if broken.unsent && reused => *open = None,
            Some(Err(broken)) => return Err(broken.failure),
        }
    }
}

/// Awaits something until a deadline. The timer is reset when it fires early or is set too late,
/// which is once in a timeout's time and not once a request.
async fn within<T>(
    timer: &mut Option<Pin<Box<Sleep>>>,
    deadline: Instant,
    wanted: impl Future<Output = T>,
) -> Option<T> {
    let deadline = tokio::time::Instant::from_std(deadline);
    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
    if timer.deadline() > deadline {
        timer.as_mut().reset(deadline);
    }
    let mut wanted = pin!(wanted);
    poll_fn(|cx| {
        if let Poll::Ready(value) = wanted.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(None);
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    })
    .await
}
