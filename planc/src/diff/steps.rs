//! Steps: which went, which ask for less, which are played less often.

use super::change::{Change, quoted, some_of};
use super::codes;
use super::expectations;
use super::gates::orphans;
use super::leaves;
use super::pairs::{Pairs, StepLists, bare_steps, json, place, restless};
use super::visits::{rest, visits};
use crate::graph::{Demand, HttpStep, OnFailure, Step, StepId, StepKind, WebSocketStep};
use crate::units::count;
use crate::units::show_duration;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) fn compare(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    for list in &pairs.lists {
        let told = out.len();
        removed_and_added(pairs, list, out);
        for (old, new) in &list.steps.both {
            let subject = format!("{}, step {}", list.of, quoted(&new.name));
            match (&old.kind, &new.kind) {
                (StepKind::Http(o), StepKind::Http(n)) => http(pairs, &subject, (old, o), (new, n), out),
                (StepKind::WebSocket(o), StepKind::WebSocket(n)) => {
                    http(pairs, &subject, (old, &o.handshake), (new, &n.handshake), out);
                }
                (StepKind::Receive(_), _) | (StepKind::Ping { .. }, _) | (StepKind::Close { .. }, _) => {
                    waits(pairs, &subject, old, new, out);
                }
                _ => {}
            }
        }
        shares(pairs, list, out);
        // Whatever else changed in there has no name of its own. Pauses that changed on the whole are told with the load.
        let mut bare = (bare_steps(list.old), bare_steps(list.new));
        if list.scenario.is_some_and(|name| closed(pairs, name)) && rest(list.old) != rest(list.new) {
            bare = (restless(bare.0), restless(bare.1));
        }
        if out.len() == told && json(&bare.0) != json(&bare.1) {
            let message = leaves::told(&bare.0, &bare.1);
            out.push(Change::neutral(list.of.clone(), message).at(origin(pairs, list)));
        }
    }
}

/// Whether a scenario's users wait for the target.
fn closed(pairs: &Pairs<'_>, name: &str) -> bool {
    let scenario = pairs.new.graph.scenarios.iter().find(|scenario| scenario.name == name);
    scenario.is_some_and(|scenario| !matches!(scenario.demand, Demand::Arrivals { .. }))
}

fn origin(pairs: &Pairs<'_>, list: &StepLists<'_>) -> Option<crate::source::Span> {
    pairs.new.origin(&format!("scenarios.{}", list.scenario?))
}

fn removed_and_added(pairs: &Pairs<'_>, list: &StepLists<'_>, out: &mut Vec<Change>) {
    let gone: BTreeSet<StepId> = list.steps.removed.iter().map(|step| step.id).collect();
    let all = pairs.gone();
    for old in list.steps.removed.iter().filter(|step| step.kind.is_answered()) {
        let message = format!("{} is gone", words(old));
        let change = Change::weaker(codes::STEP_REMOVED, list.of.clone(), message);
        let with_it = |gate: &crate::graph::Gate| {
            gate.steps.contains(&old.id)
                && gate.steps.iter().all(|step| all.contains(step))
                && gate.steps.iter().any(|step| gone.contains(step))
                && !pairs
                    .new
                    .graph
                    .gates
                    .iter()
                    .any(|n| n.metric == gate.metric && n.selector == gate.selector)
        };
        let change = orphans(pairs, &with_it).into_iter().fold(change, Change::note);
        out.push(change.at(origin(pairs, list)));
    }
    for new in list.steps.added.iter().filter(|step| step.kind.is_answered()) {
        let message = format!("{} is new", words(new));
        out.push(Change::stronger(list.of.clone(), message).at(pairs.new.step_span(new.id)));
    }
}

/// `` step `login`, `POST /login` ``.
fn words(step: &Step) -> String {
    let name = quoted(&step.name);
    match place(step) {
        Some(place)
            if step.kind.request().is_some()
                && place != step.name
                && place != format!("call {}", step.name) =>
        {
            format!("step {name}, {}", quoted(&place))
        }
        _ => format!("step {name}"),
    }
}

fn http(
    pairs: &Pairs<'_>,
    subject: &str,
    old: (&Step, &HttpStep),
    new: (&Step, &HttpStep),
    out: &mut Vec<Change>,
) {
    let span = pairs.new.step_span(new.0.id);
    let (o, n) = (old.1, new.1);
    let mut asked = expectations::compare(&o.expect, &n.expect);
    if severity(n.on_failure) != severity(o.on_failure) {
        let told = format!("a failed expectation {}, it {}", deed(n.on_failure), past(o.on_failure));
        let weaker = severity(n.on_failure) < severity(o.on_failure);
        if weaker { &mut asked.weaker } else { &mut asked.stronger }.push(told);
    }
    if o.request.timeout != n.request.timeout
        && let Some((before, after)) = timeout(pairs.old, o).zip(timeout(pairs.new, n))
    {
        let told =
            format!("an answer may take {} instead of {}", show_duration(after), show_duration(before));
        match after.cmp(&before) {
            std::cmp::Ordering::Greater => asked.weaker.push(told),
            std::cmp::Ordering::Less => asked.stronger.push(told),
            std::cmp::Ordering::Equal => {}
        }
    }
    let told = out.len();
    out.extend(
        asked
            .weaker
            .iter()
            .map(|message| Change::weaker(codes::EXPECTATION_WEAKENED, subject, message).at(span)),
    );
    out.extend(asked.stronger.iter().map(|message| Change::stronger(subject, message).at(span)));
    out.extend(asked.other.iter().map(|message| Change::neutral(subject, message).at(span)));
    let others = |step: &Step, http: &HttpStep| {
        let mut http = http.clone();
        http.expect.clear();
        http.on_failure = OnFailure::NextIteration;
        http.request.timeout = None;
        let kind = match &step.kind {
            // What is in the session is compared by itself.
            StepKind::WebSocket(session) => StepKind::WebSocket(Box::new(WebSocketStep {
                handshake: http,
                subprotocol: session.subprotocol.clone(),
                steps: Vec::new(),
            })),
            _ => StepKind::Http(Box::new(http)),
        };
        bare_steps(&[Step { kind, ..step.clone() }]).remove(0)
    };
    let (o, n) = (others(old.0, o), others(new.0, n));
    if json(&o) != json(&n) && (out.len() == told || request_changed(&o, &n)) {
        out.push(Change::neutral(subject, leaves::told(&o, &n)).at(span));
    }
}

/// What is waited for in a session, and how long.
fn waits(pairs: &Pairs<'_>, subject: &str, old: &Step, new: &Step, out: &mut Vec<Change>) {
    let span = pairs.new.step_span(new.id);
    let (before, after) = (deadline(&old.kind), deadline(&new.kind));
    let mut asked = match (&old.kind, &new.kind) {
        (StepKind::Receive(o), StepKind::Receive(n)) => expectations::compare(&o.expect, &n.expect),
        _ => expectations::compare(&[], &[]),
    };
    if before != after {
        let told = format!("it may take {} instead of {}", shown(after), shown(before));
        let longer = before.is_some_and(|before| after.is_none_or(|after| after > before));
        if longer { &mut asked.weaker } else { &mut asked.stronger }.push(told);
    }
    let weaker = |message| Change::weaker(codes::EXPECTATION_WEAKENED, subject, message).at(span);
    out.extend(asked.weaker.iter().map(weaker));
    out.extend(asked.stronger.iter().map(|message| Change::stronger(subject, message).at(span)));
    out.extend(asked.other.iter().map(|message| Change::neutral(subject, message).at(span)));
}

/// How long the step itself says that it waits.
fn deadline(kind: &StepKind) -> Option<Duration> {
    match kind {
        StepKind::Receive(receive) => receive.within,
        StepKind::Ping { within } | StepKind::Close { within, .. } => *within,
        _ => None,
    }
}

fn shown(deadline: Option<Duration>) -> String {
    deadline.map_or("as long as the handshake".into(), show_duration)
}

fn request_changed(old: &Step, new: &Step) -> bool {
    match (&old.kind, &new.kind) {
        (StepKind::Http(o), StepKind::Http(n)) => o.request != n.request || o.token != n.token,
        (StepKind::WebSocket(o), StepKind::WebSocket(n)) => {
            let (old, new) = (&o.handshake, &n.handshake);
            old.request != new.request || old.token != new.token || o.subprotocol != n.subprotocol
        }
        _ => true,
    }
}

fn timeout(side: &super::side::Side, http: &HttpStep) -> Option<Duration> {
    http.request.timeout.or(side.graph.target.as_ref().map(|target| target.timeout))
}

fn severity(on_failure: OnFailure) -> u8 {
    match on_failure {
        OnFailure::Continue => 0,
        OnFailure::NextIteration => 1,
        OnFailure::StopScenario => 2,
        OnFailure::AbortRun => 3,
    }
}

fn deed(on_failure: OnFailure) -> &'static str {
    match on_failure {
        OnFailure::Continue => "lets the iteration go on",
        OnFailure::NextIteration => "ends the iteration",
        OnFailure::StopScenario => "stops the scenario",
        OnFailure::AbortRun => "ends the run",
    }
}

fn past(on_failure: OnFailure) -> &'static str {
    match on_failure {
        OnFailure::Continue => "let it go on",
        OnFailure::NextIteration => "ended it",
        OnFailure::StopScenario => "stopped the scenario",
        OnFailure::AbortRun => "ended the run",
    }
}

/// How often an iteration plays its requests.
fn shares(pairs: &Pairs<'_>, list: &StepLists<'_>, out: &mut Vec<Change>) {
    let times = |steps| -> BTreeMap<StepId, f64> {
        visits(steps).iter().filter_map(|visit| Some((visit.step.id, visit.times?))).collect()
    };
    let (before, after) = (times(list.old), times(list.new));
    let (mut less, mut more) = (Vec::new(), Vec::new());
    for (old, new) in list.steps.both.iter().filter(|(old, _)| old.kind.is_answered()) {
        let Some((o, n)) = before.get(&old.id).zip(after.get(&new.id)) else { continue };
        if (o - n).abs() > 1e-9 {
            if n < o { &mut less } else { &mut more }.push((new.name.as_str(), *o, *n));
        }
    }
    let names = |steps: &[(&str, f64, f64)]| some_of(steps.iter().map(|step| step.0));
    if !less.is_empty() {
        let message = format!("an iteration plays {} less often", names(&less));
        let change = Change::weaker(codes::LOAD_REDUCED, list.of.clone(), message);
        let notes = less.iter().take(4).map(|(name, before, after)| {
            format!(
                "{}: {} a hundred iterations, not {}",
                quoted(name),
                per_hundred(*after),
                per_hundred(*before)
            )
        });
        out.push(notes.fold(change, Change::note).at(origin(pairs, list)));
    }
    if !more.is_empty() {
        let message = format!("an iteration plays {} more often", names(&more));
        out.push(Change::stronger(list.of.clone(), message).at(origin(pairs, list)));
    }
}

fn per_hundred(times: f64) -> String {
    let hundred = times * 100.0;
    if hundred >= 1.0 && (hundred - hundred.round()).abs() < 1e-6 {
        return count(hundred.round() as u64, "time");
    }
    format!("{hundred:.1} times")
}
