//! An HTTP step: rendered, sent (redirects included), judged by its expectations, measured.

use super::series::{self, Play};
use crate::body::{self, BodyPlan};
use crate::drive::run::ScenarioRun;
use crate::expect::{Observed, Outcome3, redacted, shorten};
use crate::http::connection::{Answer, Connection, Keep, Opening, Phases};
use crate::http::error::{Code, Failure};
use crate::http::origin::Origin;
use crate::http::payload::Payload;
use crate::prepare::{CaptureOp, CaptureSource, HttpOp, Op, RecordOp, ScenarioProgram, UrlPlan};
use crate::record::{Bundle, Cell as Sample, Dist, Family, GaugeCell, Recorder};
use crate::text::{InScope, Var};
use crate::trace::{Place, Traced};
use crate::views::Moment;
use crate::vu::{InFlight, Vu, VuCore};
use crate::worker::Worker;
use ::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION,
};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use hyper::body::Bytes;
use planc::eval::{self, EvalError};
use planc::graph::{Connections, Json, MetricKind, Protocol};
use reqwest::Url;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::Sleep;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The `outcome` tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Outcome {
    Ok,
    ExpectedError,
    Limited,
    ClientError,
    ServerError,
    Transport,
    FailedCheck,
    Censored,
}

/// A request on its way: the step's own, or a redirect's.
pub(super) struct Hop {
    pub(super) origin: Rc<Origin>,
    method: Method,
    /// Path and query.
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    payload: Payload,
    /// From when the timeout counts.
    pub(super) begun: Instant,
}

/// What came of a hop.
struct Sent {
    result: Result<Answer, Failure>,
    opening: Opening,
    phases: Phases,
}

/// An answered redirect on the way to the answer that counts.
struct Passed {
    opening: Opening,
    phases: Phases,
    taken: Taken,
}

/// What is recorded of a hop.
struct Taken {
    status: u16,
    outcome: Outcome,
    code: Option<Code>,
    version: Version,
}

/// Plays the step; false ends the iteration.
pub(super) async fn play(vu: &mut Vu, scenario: &ScenarioProgram, op: &HttpOp) -> bool {
    vu.worker.count_step(op.step);
    vu.at = vu.run.moment(&vu.worker, vu.intended);
    vu.run.count(&vu.worker, vu.at, |view| view.counts_plays_of(op.step), |counts| counts.plays += 1);
    vu.traced = traced(vu, scenario);
    let variant = match variant(vu, scenario, op) {
        Ok(variant) => variant,
        Err(error) => return unrendered(vu, op, 0, &error),
    };
    // A name that is being looked up is a request in flight as well.
    vu.core.in_flight.set(Some(in_flight(vu, variant)));
    let rendered = render(vu, scenario, op).await;
    vu.core.in_flight.set(None);
    let mut hop = match rendered {
        Ok(Ok(hop)) => hop,
        Ok(Err(failure)) => {
            let sent = Sent { result: Err(failure), opening: Opening::default(), phases: Phases::none() };
            return finish(vu, scenario, op, variant, sent, Vec::new());
        }
        Err(error) => return unrendered(vu, op, variant, &error),
    };
    let mut redirects = op.redirects;
    let mut passed = Vec::new();
    loop {
        vu.core.in_flight.set(Some(in_flight(vu, variant)));
        let again = (redirects > 0).then(|| (hop.method.clone(), hop.headers.clone(), hop.payload.clone()));
        let from = (hop.origin.clone(), hop.uri.clone());
        let sent = send(vu, scenario, op, hop).await;
        vu.core.in_flight.set(None);
        let Some(to) = again.as_ref().and_then(|_| redirect(&sent)) else {
            return finish(vu, scenario, op, variant, sent, passed);
        };
        let status = sent.result.as_ref().map_or(0, |answer| answer.head.status.as_u16());
        let version = sent.result.as_ref().map_or(Version::HTTP_11, |answer| answer.head.version);
        let taken = Taken { status, outcome: Outcome::Ok, code: None, version };
        vu.run.answered(vu.worker.shared.now_us());
        passed.push(Passed { opening: sent.opening, phases: sent.phases, taken });
        vu.core.passed.set(passed.len() as u32);
        redirects -= 1;
        let (method, headers, payload) = again.expect("looked at above");
        vu.core.in_flight.set(Some(in_flight(vu, variant)));
        let followed = follow(vu, op, &from, &to, status, method, headers, payload).await;
        vu.core.in_flight.set(None);
        match followed {
            Ok(next) => hop = next,
            Err(failure) => {
                let sent = Sent { result: Err(failure), opening: Opening::default(), phases: Phases::none() };
                return finish(vu, scenario, op, variant, sent, passed);
            }
        }
    }
}

/// The trace of a request that begins now.
pub(super) fn traced(vu: &Vu, scenario: &ScenarioProgram) -> Option<Traced> {
    let due = vu.intended.unwrap_or_else(Instant::now);
    scenario.trace.map(|trace| vu.run.ids.next(trace, vu.run.shard, due))
}

/// Records the request that a user had in flight when it was cut off.
pub(crate) fn censor(worker: &Worker, run: &ScenarioRun, core: &VuCore) {
    let Some(InFlight { variant, late, at, traced }) = core.in_flight.take() else { return };
    let scenario = &worker.program.scenarios[run.index];
    let (set_up, place) = core.place.get();
    let ops = if set_up { &scenario.setup } else { &scenario.steps };
    let Some(Op::Http(op)) = ops.get(place) else { return };
    let taken = Taken { status: 0, outcome: Outcome::Censored, code: None, version: worker.version() };
    let mut recorder = worker.recorder.borrow_mut();
    // Redirects that were followed led to no answer either.
    let requests = 1 + u64::from(core.passed.take());
    let mut of = Of { recorder: &mut recorder, op, variant, late, at };
    of.request(&taken, |bundle| {
        bundle.totals.requests += requests;
        bundle.totals.failed += requests;
        bundle.totals.server_errors += 1;
        for _ in 0..requests {
            bundle.times.iter_mut().for_each(Dist::add_infinite);
        }
    });
    of.nothing_held();
    if let Some(traced) = traced {
        keep_trace(worker, run, &mut recorder, op, traced, &taken);
    }
    run.counts.censored.add(1);
}

/// Keeps the trace of a request that has ended, if it is among the slowest of its step and stage.
fn keep_trace(
    worker: &Worker,
    run: &ScenarioRun,
    recorder: &mut Recorder,
    op: &HttpOp,
    traced: Traced,
    taken: &Taken,
) {
    let start = worker.shared.start;
    let Some(found) = traced.found(start, traced.due.elapsed(), taken.status, taken.outcome.tag()) else {
        return;
    };
    let begun = run.begun.get().unwrap_or(start);
    let own_us = traced.due.saturating_duration_since(begun).as_micros() as u64;
    let scenario = &worker.program.scenarios[run.index];
    let place = Place {
        scenario: run.index as u16,
        stage: scenario.staged.then(|| scenario.course.stage_at(own_us)).flatten().unwrap_or(0),
        step: op.step,
        failed: !matches!(taken.outcome, Outcome::Ok | Outcome::ExpectedError),
    };
    recorder.slowest.add(place, found);
}

pub(super) fn in_flight(vu: &Vu, variant: u32) -> InFlight {
    InFlight { variant, late: vu.late, at: vu.at, traced: vu.traced }
}

/// Where the samples of one play of a step go.
struct Of<'r> {
    recorder: &'r mut Recorder,
    op: &'r HttpOp,
    variant: u32,
    late: bool,
    at: Option<Moment>,
}

/// The number of this iteration's values of templated tags.
fn variant(vu: &mut Vu, scenario: &ScenarioProgram, op: &HttpOp) -> Result<u32, EvalError> {
    series::variant(vu, scenario, op.step, &op.name, &op.slotted_tags)
}

/// The request. The inner error is a request that must not or cannot be sent.
pub(super) async fn render(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &HttpOp,
) -> Result<Result<Hop, Failure>, EvalError> {
    let begun = Instant::now();
    let key = match &op.body {
        BodyPlan::Jws(jws) => Some(vu.key(jws.key, scenario)?),
        _ => None,
    };
    let mut buffer = std::mem::take(&mut vu.buffer);
    let mut desk = std::mem::take(&mut vu.desk);
    let scope = vu.scope(scenario);
    let mut rendered = |text: &crate::text::Text| -> Result<Bytes, EvalError> {
        buffer.clear();
        text.render(&scope, &mut buffer)?;
        Ok(Bytes::copy_from_slice(buffer.as_bytes()))
    };
    let (url, absolute) = match &op.url {
        UrlPlan::Fixed(uri) => (Some(uri.clone()), None),
        UrlPlan::Path(text) => (uri(rendered(text)?)?, None),
        UrlPlan::Any(text) => {
            let bytes = rendered(text)?;
            let whole = String::from_utf8_lossy(&bytes).into_owned();
            if whole.starts_with('/') {
                (uri(Bytes::from(format!("{}{whole}", vu.worker.program.prefix)))?, None)
            } else {
                (None, Some(whole))
            }
        }
    };
    let mut headers = op.headers.clone();
    for (name, text, secret) in &op.slotted {
        let value = HeaderValue::from_maybe_shared(rendered(text)?);
        let mut value =
            value.map_err(|_| EvalError(format!("header `{name}` has characters no header carries")))?;
        value.set_sensitive(*secret);
        headers.insert(name.clone(), value);
    }
    if let Some(traced) = &vu.traced {
        headers.insert(TRACEPARENT, traced.header());
    }
    let payload = match &op.body {
        BodyPlan::Fixed(payload) => payload.clone(),
        BodyPlan::Text(text) => Payload::bytes(rendered(text)?),
        BodyPlan::Parts(parts) => body::render_parts(parts, &scope, &mut buffer)?,
        BodyPlan::Jws(jws) => {
            let key = key.as_ref().expect("taken above");
            let whole = match (&url, &absolute) {
                (Some(uri), _) => vu.worker.program.known_as.url(uri),
                (None, whole) => whole.clone().unwrap_or_default(),
            };
            jws.render(key, &whole, &scope, &mut desk, &mut buffer)?;
            Payload::bytes(Bytes::copy_from_slice(buffer.as_bytes()))
        }
    };
    (vu.buffer, vu.desk) = (buffer, desk);
    let place = match (url, absolute) {
        (Some(uri), _) => {
            let target = vu.worker.target.clone();
            in_time(begun, op, allowed_target(vu, target)).await.map(|origin| (origin, uri))
        }
        (None, Some(whole)) => in_time(begun, op, elsewhere(vu, &whole)).await,
        (None, None) => Err(Failure::new(Code::Other, "the path is not one that a request can carry")),
    };
    Ok(place.map(|(origin, uri)| Hop { origin, method: op.method.clone(), uri, headers, payload, begun }))
}

fn uri(bytes: Bytes) -> Result<Option<Uri>, EvalError> {
    let shown = bytes.clone();
    Uri::from_maybe_shared(bytes)
        .map(Some)
        .map_err(|_| EvalError(format!("`{}` is not a path", String::from_utf8_lossy(&shown))))
}

async fn allowed_target(vu: &Vu, target: Rc<Origin>) -> Result<Rc<Origin>, Failure> {
    if vu.worker.target_allowed { Ok(target) } else { vu.worker.origin(Origin::clone(&target)).await }
}

async fn elsewhere(vu: &Vu, url: &str) -> Result<(Rc<Origin>, Uri), Failure> {
    let (origin, path) = Origin::split(url).map_err(|why| Failure::new(Code::Other, why))?;
    let origin = vu.worker.origin(origin).await?;
    let uri = path.parse().map_err(|_| Failure::new(Code::Other, format!("`{path}` is not a path")))?;
    Ok((origin, uri))
}

/// Where a redirect leads.
fn redirect(sent: &Sent) -> Option<String> {
    let answer = sent.result.as_ref().ok()?;
    if !matches!(answer.head.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    Some(answer.head.headers.get(LOCATION)?.to_str().ok()?.to_owned())
}

#[expect(clippy::too_many_arguments, reason = "the parts of the request that is repeated")]
async fn follow(
    vu: &mut Vu,
    op: &HttpOp,
    from: &(Rc<Origin>, Uri),
    to: &str,
    status: u16,
    method: Method,
    mut headers: HeaderMap,
    mut payload: Payload,
) -> Result<Hop, Failure> {
    let (origin, at) = from;
    let begun = Instant::now();
    let whole = resolved(origin, at, to)?;
    let (target, uri) = in_time(begun, op, elsewhere(vu, &whole)).await?;
    let as_get = status == 303 || (matches!(status, 301 | 302) && method == Method::POST);
    let method = if as_get && method != Method::HEAD { Method::GET } else { method };
    if as_get {
        payload = Payload::default();
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_LENGTH);
    }
    if !target.same(origin) {
        // What identifies us to one host is not another's to see. The jar keeps its cookies apart by itself.
        for name in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, HOST] {
            headers.remove(name);
        }
        headers.retain_insensitive();
    }
    Ok(Hop { origin: target, method, uri, headers, payload, begun })
}

/// Where a `location` leads, by RFC 3986.
fn resolved(origin: &Origin, at: &Uri, to: &str) -> Result<String, Failure> {
    let base = origin.url(at);
    let no_url = |e: &dyn std::fmt::Display| {
        Failure::new(Code::Malformed, format!("a redirect to `{to}`, which is not a URL: {e}"))
    };
    let mut url = Url::parse(&base).and_then(|base| base.join(to)).map_err(|e| no_url(&e))?;
    url.set_fragment(None);
    Ok(url.into())
}

/// Looking a name up takes of the request's time.
async fn in_time<T>(
    begun: Instant,
    op: &HttpOp,
    wanted: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let deadline = tokio::time::Instant::from_std(begun + op.timeout);
    tokio::time::timeout_at(deadline, wanted).await.unwrap_or_else(|_| {
        Err(Failure::new(Code::Dns, format!("the name was not resolved within {:?}", op.timeout)))
    })
}

/// Removing what is marked as sensitive.
trait Retain {
    fn retain_insensitive(&mut self);
}

impl Retain for HeaderMap {
    fn retain_insensitive(&mut self) {
        let secret: Vec<_> = self.iter().filter(|(_, v)| v.is_sensitive()).map(|(k, _)| k.clone()).collect();
        for name in secret {
            self.remove(name);
        }
    }
}

/// Sends a hop over a kept or a new connection, within the step's timeout.
async fn send(vu: &mut Vu, scenario: &ScenarioProgram, op: &HttpOp, mut hop: Hop) -> Sent {
    let begun = Instant::now();
    let deadline = hop.begun + op.timeout;
    if op.cookies {
        add_cookies(vu, &mut hop);
    }
    let (origin, path) = (hop.origin.clone(), hop.uri.clone());
    let mut opening = Opening::default();
    let mut timer = vu.timer.take();
    let mut open = None;
    let result = exchange(vu, op, hop, deadline, &mut timer, &mut opening, &mut open).await;
    vu.timer = timer;
    let phases = open.as_ref().map_or(Phases::at(begun), |connection: &Connection| connection.phases(begun));
    if let Ok(answer) = &result {
        if op.cookies && answer.head.headers.contains_key(::http::header::SET_COOKIE) {
            vu.jar.store(&answer.head.headers, &origin.host, path.path(), unix_now());
        }
        if scenario.connections != Connections::PerRequest {
            vu.connections.extend(open);
        }
    }
    Sent { result, opening, phases }
}

/// The exchange itself; the connection stays in `open`, whatever came of it.
async fn exchange(
    vu: &mut Vu,
    op: &HttpOp,
    hop: Hop,
    deadline: Instant,
    timer: &mut Option<Pin<Box<Sleep>>>,
    opening: &mut Opening,
    open: &mut Option<Connection>,
) -> Result<Answer, Failure> {
    let keep_body = match op.reads_body {
        true => Keep::All,
        false if vu.rehearsal.is_some() => Keep::Beginning,
        false => Keep::Nothing,
    };
    if let Some(at) = vu.connections.iter().position(|kept| kept.origin.same(&hop.origin)) {
        let mut kept = vu.connections.swap_remove(at);
        if kept.is_usable().await {
            *open = Some(kept);
        }
    }
    let origin = hop.origin.clone();
    let kept = vu.worker.program.scenarios[vu.run.index].connections == Connections::Keep;
    let mut request = Some(hop.into_request(vu.worker.dialer.protocol));
    // Twice at most: again only where a kept connection was closed before anything was written.
    loop {
        let reused = open.is_some();
        let connection = match open {
            Some(connection) => connection,
            None => {
                let opening = Connection::open(&vu.worker.dialer, &origin, kept, opening);
                let opened = within(timer, deadline, opening).await;
                let opened = opened.ok_or_else(|| {
                    Failure::new(Code::DialTimeout, format!("no connection to {} in time", origin.authority))
                })?;
                open.insert(opened?)
            }
        };
        let sending = request.take().expect("given back before another turn");
        match within(timer, deadline, connection.exchange(sending, keep_body)).await {
            None => return Err(Failure::new(Code::Timeout, format!("no answer within {:?}", op.timeout))),
            Some(Ok(answer)) => return Ok(answer),
            Some(Err((_, Some(unsent)))) if reused => {
                request = Some(unsent);
                *open = None;
            }
            Some(Err((failure, _))) => return Err(failure),
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

pub(super) fn add_cookies(vu: &Vu, hop: &mut Hop) {
    let Some(cookies) = vu.jar.header(&hop.origin.host, hop.uri.path(), hop.origin.secure, unix_now()) else {
        return;
    };
    let own = hop.headers.get(COOKIE).and_then(|own| own.to_str().ok());
    let all = own.map_or(cookies.clone(), |own| format!("{own}; {cookies}"));
    if let Ok(value) = HeaderValue::from_str(&all) {
        hop.headers.insert(COOKIE, value);
    }
}

pub(super) fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

impl Hop {
    fn into_request(self, protocol: Protocol) -> Request<Payload> {
        let mut request = Request::new(self.payload);
        *request.method_mut() = self.method;
        *request.headers_mut() = self.headers;
        match protocol {
            Protocol::Http1 => {
                if !request.headers().contains_key(HOST)
                    && let Ok(host) = HeaderValue::from_str(&self.origin.authority)
                {
                    request.headers_mut().insert(HOST, host);
                }
                *request.uri_mut() = self.uri;
            }
            Protocol::Http2 => {
                let scheme = if self.origin.secure { "https" } else { "http" };
                let mut parts = self.uri.into_parts();
                parts.scheme = scheme.parse().ok();
                parts.authority = self.origin.authority.parse().ok();
                if let Ok(uri) = Uri::from_parts(parts) {
                    *request.uri_mut() = uri;
                }
                *request.version_mut() = Version::HTTP_2;
            }
        }
        request
    }
}

/// Judges the answer by the step's expectations, keeps what it captures, and records all of it.
fn finish(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &HttpOp,
    variant: u32,
    sent: Sent,
    passed: Vec<Passed>,
) -> bool {
    let Sent { result, opening, phases } = sent;
    let no_headers = HeaderMap::new();
    let (head, body) = match &result {
        Ok(answer) => (Some(&answer.head), &answer.body[..]),
        Err(_) => (None, &[][..]),
    };
    let status = head.map(|head| head.status.as_u16());
    if status.is_some() {
        vu.run.answered(vu.worker.shared.now_us());
    }
    let observed =
        Observed::new(status, head.map_or(&no_headers, |head| &head.headers), body, phases.service());
    let mut first_failure: Option<(String, Outcome3)> = None;
    let mut status_held = true;
    for (at, expectation) in op.expect.iter().enumerate() {
        let outcome = expectation.check(&observed, &vu.scope(scenario));
        let held = status.is_some() && outcome.holds();
        status_held &= held || expectation.statuses().is_none();
        check(vu, op, variant, Family::Check(at as u16), &expectation.name, held);
        if !held && first_failure.is_none() {
            first_failure = Some((expectation.name.clone(), outcome));
        }
    }
    if status.is_some() {
        if let Some(miss) = capture(vu, op, variant, &observed) {
            first_failure.get_or_insert(miss);
        }
    } else {
        unset_captures(vu, op);
        if vu.rehearsal.is_none() {
            of(vu, &mut vu.worker.recorder.borrow_mut(), op, variant).captures_missed();
        }
    }
    let outcome = match (&result, status) {
        (Err(_), _) | (_, None) => Outcome::Transport,
        (Ok(_), Some(status)) => outcome(op, status, status_held, first_failure.is_none()),
    };
    let taken = Taken {
        status: status.unwrap_or(0),
        outcome,
        code: result.as_ref().err().map(|failure| failure.code),
        version: head.map_or(vu.worker.version(), |head| head.version),
    };
    let well = matches!(outcome, Outcome::Ok | Outcome::ExpectedError);
    vu.core.passed.set(0);
    for mut hop in passed {
        // Ten quick redirects to nowhere must not hide the one failure that they led to.
        if !well {
            hop.taken.outcome = outcome;
        }
        record(vu, op, variant, &hop.opening, &hop.phases, &hop.taken);
    }
    record(vu, op, variant, &opening, &phases, &taken);
    if let Some(traced) = vu.traced.take()
        && vu.rehearsal.is_none()
    {
        let mut recorder = vu.worker.recorder.borrow_mut();
        keep_trace(&vu.worker, &vu.run, &mut recorder, op, traced, &taken);
    }
    if !op.records.is_empty() {
        custom(vu, scenario, op, variant, &observed);
    }
    if let Err(Failure { exhausted: Some(text), .. }) = &result {
        *vu.worker.recorder.borrow_mut().exhausted.entry((*text).to_owned()).or_default() += 1;
    }
    if well {
        return true;
    }
    if vu.rehearsal.is_some() {
        let message = told(op, first_failure, &result, &observed);
        vu.tell(&op.name, message);
    }
    vu.failed(op.on_failure, &op.name)
}

fn outcome(op: &HttpOp, status: u16, status_held: bool, all_held: bool) -> Outcome {
    match status {
        _ if all_held && (status < 400 || !op.statuses().any(|wanted| wanted.matches(status))) => Outcome::Ok,
        _ if all_held => Outcome::ExpectedError,
        _ if status_held => Outcome::FailedCheck,
        429 => Outcome::Limited,
        400..=499 => Outcome::ClientError,
        500.. => Outcome::ServerError,
        _ => Outcome::FailedCheck,
    }
}

/// `POST /api/x: status is 2xx: 401 (body: "…")`.
fn told(
    op: &HttpOp,
    first: Option<(String, Outcome3)>,
    result: &Result<Answer, Failure>,
    observed: &Observed<'_>,
) -> String {
    let what = match result {
        Err(failure) => return format!("{}: {}", op.name, failure.message),
        Ok(_) => first.map_or_else(String::new, |(name, seen)| format!("{name}: {seen}")),
    };
    let body = &observed.body[..observed.body.len().min(EXCERPT)];
    let body = redacted(&String::from_utf8_lossy(body));
    format!("{}: {what} (body: {:?})", op.name, shorten(&body, 200))
}

/// Binds what is captured; the first that finds nothing is told.
fn capture(vu: &mut Vu, op: &HttpOp, variant: u32, observed: &Observed<'_>) -> Option<(String, Outcome3)> {
    let mut miss = None;
    for (at, capture) in op.captures.iter().enumerate() {
        let held = bind(vu, capture, observed);
        if !held {
            let name = format!("capture {}", capture.name);
            miss.get_or_insert((name, Outcome3::Absent { what: "what it looks for".into() }));
        }
        let family = Family::Capture(at as u16);
        check(vu, op, variant, family, &format_args!("capture {}", capture.name), held);
    }
    miss
}

/// Binds one name; false where nothing is found.
pub(super) fn bind(vu: &mut Vu, capture: &CaptureOp, observed: &Observed<'_>) -> bool {
    let found = match &capture.from {
        CaptureSource::Json(path) => observed.json().and_then(|body| path.first(body)).cloned(),
        CaptureSource::Header(name) => observed.header(name).map(|value| Json::String(value.into_owned())),
        CaptureSource::Cookie(name) => observed.cookie(name).map(Json::String),
        CaptureSource::Regex(pattern) => {
            let text = String::from_utf8_lossy(observed.body);
            pattern.captures(&text).and_then(|found| {
                found.get(1).or_else(|| found.get(0)).map(|m| Json::String(m.as_str().to_owned()))
            })
        }
        CaptureSource::Body => {
            let text = String::from_utf8_lossy(observed.body);
            (!text.is_empty()).then(|| Json::String(text.into_owned()))
        }
    };
    let found = found.filter(|value| !value.is_null() && value.as_str() != Some(""));
    let held = found.is_some();
    // What an earlier turn of a loop found is not this one's.
    vu.env.vars[capture.var] = found.map_or(Var::Unset, Var::Value);
    held
}

/// What a step without an answer captures is not what it captured before.
fn unset_captures(vu: &mut Vu, op: &HttpOp) {
    for capture in &op.captures {
        vu.env.vars[capture.var] = Var::Unset;
    }
}

fn check(vu: &Vu, op: &HttpOp, variant: u32, family: Family, name: &dyn std::fmt::Display, held: bool) {
    if vu.rehearsal.is_none() {
        of(vu, &mut vu.worker.recorder.borrow_mut(), op, variant).check(family, name, held);
    }
}

fn of<'r>(vu: &Vu, recorder: &'r mut Recorder, op: &'r HttpOp, variant: u32) -> Of<'r> {
    Of { recorder, op, variant, late: vu.late, at: vu.at }
}

impl<'r> Of<'r> {
    fn play(&self) -> Play<'r> {
        let HttpOp { step, tags, slotted_tags, .. } = self.op;
        Play { step: *step, tags, slotted: slotted_tags, variant: self.variant, late: self.late, at: self.at }
    }

    /// Adds to a series with more tags than the step's own.
    fn add(
        &mut self,
        family: Family,
        result: u64,
        fresh: impl FnOnce() -> (String, Vec<(&'static str, String)>, Sample),
        add: impl Fn(&mut Sample),
    ) {
        self.play().add(self.recorder, family, result, fresh, add);
    }

    fn check(&mut self, family: Family, name: &dyn std::fmt::Display, held: bool) {
        self.play().check(self.recorder, family, 0, name, Vec::new(), held);
    }

    /// Counts every expectation and capture of a step without an answer as one that did not hold.
    fn nothing_held(&mut self) {
        for (at, expectation) in self.op.expect.iter().enumerate() {
            self.check(Family::Check(at as u16), &expectation.name, false);
        }
        self.captures_missed();
    }

    fn captures_missed(&mut self) {
        for (at, capture) in self.op.captures.iter().enumerate() {
            self.check(Family::Capture(at as u16), &format_args!("capture {}", capture.name), false);
        }
    }

    fn request(&mut self, taken: &Taken, add: impl Fn(&mut Bundle)) {
        let code = taken.code.map_or(0, |code| code as u16);
        let proto = u64::from(taken.version == Version::HTTP_2);
        let result =
            u64::from(taken.status) << 32 | u64::from(code) << 16 | (taken.outcome as u64) << 8 | proto;
        let fresh = || {
            let expected = matches!(taken.outcome, Outcome::Ok | Outcome::ExpectedError);
            let mut more = vec![
                ("status", taken.status.to_string()),
                ("outcome", taken.outcome.tag().to_owned()),
                ("expected_response", expected.to_string()),
                ("proto", if proto == 1 { "HTTP/2.0" } else { "HTTP/1.1" }.to_owned()),
            ];
            more.extend(taken.code.map(|code| ("error_code", code.tag())));
            (String::new(), more, Sample::Request(Box::default()))
        };
        self.add(Family::Request, result, fresh, |cell| match cell {
            Sample::Request(bundle) => add(bundle),
            _ => unreachable!("the family says that it is a request"),
        });
    }
}

/// Records the metrics of a hop.
fn record(vu: &mut Vu, op: &HttpOp, variant: u32, opening: &Opening, phases: &Phases, taken: &Taken) {
    let intended = vu.intended.take();
    if vu.rehearsal.is_some() {
        return;
    }
    let micros = |duration: Duration| duration.as_micros() as u64;
    let service = phases.service();
    let waited = intended.map_or(Duration::ZERO, |due| phases.sent.saturating_duration_since(due));
    let failed = !matches!(taken.outcome, Outcome::Ok | Outcome::ExpectedError);
    let mut recorder = vu.worker.recorder.borrow_mut();
    of(vu, &mut recorder, op, variant).request(taken, |Bundle { totals, times }| {
        totals.requests += 1;
        totals.failed += u64::from(failed);
        totals.server_errors += u64::from(taken.status == 0 || taken.status >= 500);
        totals.limited += u64::from(taken.status == 429);
        totals.sent += phases.bytes_sent;
        totals.received += phases.bytes_received;
        if failed {
            // No phase of a failure is fast: a refused connection did not connect in no time.
            times.iter_mut().for_each(Dist::add_infinite);
            return;
        }
        times[0].add(micros(waited + service));
        times[1].add(micros(service));
        // A connection belongs to its user: there is never a wait for one.
        times[2].add(0);
        times[3].add(micros(opening.connecting));
        times[4].add(micros(opening.handshaking));
        times[5].add(micros(phases.sending));
        times[6].add(micros(phases.waiting));
        times[7].add(micros(phases.receiving));
    });
}

/// Adds to custom metrics.
fn custom(vu: &mut Vu, scenario: &ScenarioProgram, op: &HttpOp, variant: u32, observed: &Observed<'_>) {
    for (at, record) in op.records.iter().enumerate() {
        let sample = {
            let scope = InScope { response: Some(observed), ..vu.scope(scenario) };
            custom_sample(record, &scope)
        };
        match sample {
            Ok(None) => {}
            Ok(Some(value)) => add_custom(vu, op, variant, at, record, value),
            Err(error) => super::no_value(vu, op.step, &op.name, &op.tags, &error),
        }
    }
}

/// A custom sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Custom {
    /// In thousandths.
    Milli(i64),
    /// The time of an answer that never came.
    Infinite,
}

/// As much of a body is looked at, in bytes, to tell people its beginning.
const EXCERPT: usize = 4_096;
/// Numbers beyond it do not fit in thousandths.
const MOST: f64 = 9e15;

/// The value; none where its condition is false.
fn custom_sample(record: &RecordOp, scope: &InScope<'_>) -> Result<Option<Custom>, EvalError> {
    let holds = match &record.when {
        Some(when) => Some(eval::truthy(&eval::eval(when, scope)?)),
        None => None,
    };
    let value = match &record.value {
        Some(value) => Some(eval::eval(value, scope)?),
        None => None,
    };
    if record.kind == MetricKind::Rate {
        let sample = holds.or_else(|| value.as_ref().map(eval::truthy)).unwrap_or(true);
        return Ok(Some(Custom::Milli(i64::from(sample))));
    }
    if holds == Some(false) {
        return Ok(None);
    }
    let is_trend = matches!(record.kind, MetricKind::Trend | MetricKind::TimeTrend);
    if is_trend && record.reads_duration && scope.response.is_some_and(|seen| seen.status.is_none()) {
        return Ok(Some(Custom::Infinite));
    }
    let number = match &value {
        None => Some(1.0),
        Some(Json::String(text)) => text.trim().parse().ok(),
        Some(Json::Bool(value)) => Some(f64::from(*value)),
        Some(other) => other.as_f64(),
    };
    let number = number.filter(|n| n.abs() < MOST && !(is_trend && *n < 0.0)).ok_or_else(|| {
        let what = if is_trend { "a number of at least 0 and under 9e15" } else { "a number under 9e15" };
        EvalError(format!("`{}` needs {what}, not {}", record.metric, value.unwrap_or_default()))
    })?;
    Ok(Some(Custom::Milli((number * 1_000.0).round() as i64)))
}

fn add_custom(vu: &Vu, op: &HttpOp, variant: u32, at: usize, record: &RecordOp, value: Custom) {
    if vu.rehearsal.is_some() {
        return;
    }
    let fresh = || {
        let cell = match record.kind {
            MetricKind::Counter => Sample::Counter(0, 0),
            MetricKind::Rate => Sample::Rate(0, 0),
            MetricKind::Trend | MetricKind::TimeTrend => Sample::Trend(Default::default()),
            MetricKind::Gauge => Sample::Gauge(GaugeCell::default()),
        };
        (record.metric.clone(), Vec::new(), cell)
    };
    let now_us = vu.worker.shared.now_us();
    let mut recorder = vu.worker.recorder.borrow_mut();
    of(vu, &mut recorder, op, variant).add(Family::Record(at as u16), 0, fresh, |cell| match (value, cell) {
        (Custom::Infinite, Sample::Trend(dist)) => dist.add_infinite(),
        (Custom::Infinite, _) => unreachable!("only trends have infinite samples"),
        (Custom::Milli(value), Sample::Counter(sum, count)) => {
            *sum = sum.saturating_add(value);
            *count += 1;
        }
        (Custom::Milli(value), Sample::Rate(trues, total)) => {
            *trues += value as u64;
            *total += 1;
        }
        // Thousandths of a number, or of the milliseconds that are microseconds.
        (Custom::Milli(value), Sample::Trend(dist)) => dist.add(value.max(0) as u64),
        (Custom::Milli(value), Sample::Gauge(gauge)) => gauge.set(value, now_us),
        (Custom::Milli(_), Sample::Request(_)) => unreachable!("the family says that it is a custom sample"),
    });
}

/// A step whose texts have no value is not sent and has failed: as a request that got no answer.
fn unrendered(vu: &mut Vu, op: &HttpOp, variant: u32, error: &EvalError) -> bool {
    let tags: BTreeMap<String, String> = op.tags.clone();
    vu.traced = None;
    super::no_value(vu, op.step, &op.name, &tags, error);
    let taken = Taken {
        status: 0,
        outcome: Outcome::Transport,
        code: Some(Code::Other),
        version: vu.worker.version(),
    };
    record(vu, op, variant, &Opening::default(), &Phases::none(), &taken);
    unset_captures(vu, op);
    if vu.rehearsal.is_none() {
        of(vu, &mut vu.worker.recorder.borrow_mut(), op, variant).nothing_held();
    }
    vu.failed(op.on_failure, &op.name)
}

impl Outcome {
    fn tag(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::ExpectedError => "expected_error",
            Outcome::Limited => "limited",
            Outcome::ClientError => "client_error",
            Outcome::ServerError => "server_error",
            Outcome::Transport => "transport",
            Outcome::FailedCheck => "failed_check",
            Outcome::Censored => "censored",
        }
    }
}
