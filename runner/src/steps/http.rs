//! An HTTP step: rendered, sent (redirects included), judged by its expectations, measured.

mod hop;
mod lean;
mod samples;
mod send;

use super::series;
use crate::drive::run::ScenarioRun;
use crate::expect::{Observed, Outcome3, redacted, shorten};
use crate::http::connection::{Answer, Opening, Phases};
use crate::http::error::{Code, Failure};
use crate::prepare::{CaptureOp, CaptureSource, HttpOp, Op, ScenarioProgram};
use crate::record::{Dist, Family, Recorder};
use crate::text::Var;
use crate::trace::{Place, Traced};
use crate::vu::{InFlight, Vu, VuCore};
use crate::worker::Worker;
use ::http::{HeaderMap, Version};
use hop::{follow, redirect};
use planc::eval::EvalError;
use planc::graph::Json;
use samples::{Of, custom, record};
use send::{Trip, send};
use std::collections::BTreeMap;
use std::time::Instant;

pub(super) use hop::{add_cookies, render, unix_now};

/// As much of a body is looked at, in bytes, to tell people its beginning.
const EXCERPT: usize = 4_096;

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
    let sent = exchange(vu, scenario, op).await;
    vu.core.in_flight.set(None);
    match sent {
        Ok((sent, passed)) => finish(vu, scenario, op, variant, sent, passed),
        Err(error) => unrendered(vu, op, variant, &error),
    }
}

/// The request and the redirects that it leads to.
async fn exchange(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &HttpOp,
) -> Result<(Sent, Vec<Passed>), EvalError> {
    let mut trip = match &op.lean {
        Some(plan) if vu.worker.target_allowed => Trip::Lean(lean::render(vu, scenario, op, plan)?),
        _ => match render(vu, scenario, op).await? {
            Ok(hop) => Trip::Full(hop),
            Err(failure) => return Ok((Sent::not(failure), Vec::new())),
        },
    };
    let mut passed = Vec::new();
    loop {
        let sent = send(vu, scenario, op, &mut trip).await;
        let answer = sent.result.as_ref().ok().filter(|_| passed.len() < op.redirects as usize);
        let Some((answer, to)) = answer.and_then(|answer| Some((answer, redirect(answer)?))) else {
            return Ok((sent, passed));
        };
        let status = answer.status.as_u16();
        let taken = Taken { status, outcome: Outcome::Ok, code: None, version: answer.version };
        vu.run.answered(vu.worker.shared.now_us());
        passed.push(Passed { opening: sent.opening, phases: sent.phases, taken });
        vu.core.passed.set(passed.len() as u32);
        let hop = match trip {
            Trip::Lean(lean) => lean.into_hop(op, &vu.wire),
            Trip::Full(hop) => Some(hop),
        };
        let hop = hop.ok_or_else(|| EvalError("the request cannot be read back for its redirect".into()))?;
        trip = match follow(vu, op, hop, &to, status).await {
            Ok(hop) => Trip::Full(hop),
            Err(failure) => return Ok((Sent::not(failure), passed)),
        };
    }
}

impl Sent {
    /// A request that could not be sent.
    fn not(failure: Failure) -> Self {
        Sent { result: Err(failure), opening: Opening::default(), phases: Phases::none() }
    }
}

/// The trace of a request that begins now.
pub(super) fn traced(vu: &Vu, scenario: &ScenarioProgram) -> Option<Traced> {
    let trace = scenario.trace?;
    let due = vu.intended.unwrap_or_else(Instant::now);
    Some(vu.run.ids.next(trace, vu.run.shard, due))
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

/// The number of this iteration's values of templated tags.
fn variant(vu: &mut Vu, scenario: &ScenarioProgram, op: &HttpOp) -> Result<u32, EvalError> {
    series::variant(vu, scenario, op.step, &op.name, &op.slotted_tags)
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
        Ok(answer) => (Some(answer), &answer.body[..]),
        Err(_) => (None, &[][..]),
    };
    let status = head.map(|head| head.status.as_u16());
    let service = phases.service();
    if status.is_some() {
        vu.run.answered(vu.worker.shared.us_at(phases.sent + service));
    }
    let observed = Observed::new(status, head.map_or(&no_headers, |head| &head.fields), body, service);
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
