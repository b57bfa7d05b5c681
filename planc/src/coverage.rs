//! Gate coverage: which steps some gate or expectation could fail for, and which none could.

use crate::graph::{Comparison, Gate, PONG_CHECK, Step, StepId, StepKind, switched_off};
use crate::resolve::is_latency;
use crate::resolved::{self, ResolvedPlan, blind, decides, walk};
use crate::source::Span;
use crate::units::PartsPerMillion;
use std::collections::BTreeMap;

/// Coverage of all steps of the load, in one or several profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Profiles in which it is this; empty when it is the same in all.
    pub profiles: Vec<String>,
    /// Every step of every scenario that the target answers, in order of scenario and place.
    pub steps: Vec<StepCoverage>,
}

/// What holds one step. Only gates that decide and that can fail count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepCoverage {
    /// Its scenario.
    pub scenario: String,
    /// Its name.
    pub step: String,
    /// Where it is written.
    pub span: Span,
    /// Of a smoke scenario, which fails with any expectation and needs no gates.
    pub smoke: bool,
    /// Upper bounds on how long it takes.
    pub latency: Vec<String>,
    /// Bounds on how often it fails.
    pub errors: Vec<String>,
    /// Expectations and captures that the plan writes for it. The status that is expected of every step is not among them.
    pub expectations: Vec<String>,
    /// Played once by each virtual user.
    pub(crate) setup: bool,
    pub(crate) id: StepId,
    /// The `name` that its samples carry.
    pub(crate) tag: String,
    /// The metric of how long it takes.
    pub(crate) measure: &'static str,
}

impl StepCoverage {
    /// Cells of the table that are covered, and cells there are.
    pub fn cells(&self) -> (u64, u64) {
        let cells = match self.smoke {
            true => vec![&self.expectations],
            false => vec![&self.latency, &self.errors, &self.expectations],
        };
        (cells.iter().filter(|cell| !cell.is_empty()).count() as u64, cells.len() as u64)
    }
}

impl Coverage {
    /// Covered cells of all; everything when there is no step.
    pub fn share(&self) -> PartsPerMillion {
        let cells = || self.steps.iter().map(StepCoverage::cells);
        let (covered, all) = cells().fold((0, 0), |(a, b), (covered, all)| (a + covered, b + all));
        PartsPerMillion((covered * 1_000_000).checked_div(all).map_or(1_000_000, |share| share as u32))
    }
}

/// Takes in the coverage of one more profile.
pub(crate) fn add(plan: &ResolvedPlan, all: &mut Vec<Coverage>) {
    if plan.seed_only {
        return;
    }
    let steps = steps(plan);
    match all.iter_mut().find(|known| known.steps == steps) {
        Some(known) => known.profiles.push(plan.profile.clone()),
        None => all.push(Coverage { profiles: vec![plan.profile.clone()], steps }),
    }
}

/// What holds each step of a profile.
pub(crate) fn steps(plan: &ResolvedPlan) -> Vec<StepCoverage> {
    let by_step = gates_by_step(plan);
    let mut out = Vec::new();
    for scenario in &plan.scenarios {
        let graph = &scenario.scenario;
        for (steps, setup) in [(&graph.setup, true), (&graph.steps, false)] {
            let off = switched_off(steps);
            walk(steps, &mut |step| {
                if !off.contains(&step.id) {
                    out.extend(of_step(plan, scenario, step, setup, &by_step));
                }
            });
        }
    }
    out
}

fn of_step(
    plan: &ResolvedPlan,
    scenario: &resolved::Scenario,
    step: &Step,
    setup: bool,
    by_step: &BTreeMap<StepId, (Vec<String>, Vec<String>)>,
) -> Option<StepCoverage> {
    if !step.kind.is_answered() {
        return None;
    }
    let place = plan.place(step.id);
    let (latency, errors) = by_step.get(&step.id).cloned().unwrap_or_default();
    let tag = step.tags.get("name").and_then(|name| name.as_literal());
    Some(StepCoverage {
        scenario: scenario.scenario.name.clone(),
        step: step.name.clone(),
        span: place.span,
        smoke: scenario.scenario.smoke,
        latency,
        errors,
        expectations: expectations(step, &place.expects),
        tag: tag.unwrap_or(&step.name).to_string(),
        measure: measure(&step.kind),
        setup,
        id: step.id,
    })
}

/// What the plan itself expects of a step.
fn expectations(step: &Step, written: &[String]) -> Vec<String> {
    let captures = step.kind.captures().iter().map(|capture| format!("capture {}", capture.name));
    let own: Vec<String> = match &step.kind {
        // That it comes at all is expected.
        StepKind::Receive(receive) => vec![receive.check()],
        StepKind::Ping { .. } => vec![PONG_CHECK.to_string()],
        // Nothing but 101 opens a session.
        StepKind::WebSocket(session) => {
            session.handshake.expect.iter().map(|expect| expect.name.clone()).collect()
        }
        kind => {
            let expect = kind.request().into_iter().flat_map(|http| &http.expect);
            expect.map(|expect| expect.name.clone()).filter(|name| written.contains(name)).collect()
        }
    };
    own.into_iter().chain(captures).collect()
}

fn measure(kind: &StepKind) -> &'static str {
    match kind {
        StepKind::WebSocket(_) => "ws_connecting",
        StepKind::Receive(_) => "ws_receive_duration",
        StepKind::Ping { .. } => "ws_ping",
        _ => "http_req_duration",
    }
}

/// Gates on latency and on errors, by the step that they see.
fn gates_by_step(plan: &ResolvedPlan) -> BTreeMap<StepId, (Vec<String>, Vec<String>)> {
    let inner = inner_steps(plan);
    let mut out: BTreeMap<StepId, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for gate in plan.gates.iter().filter(|gate| gate.reachable) {
        let latency = bounds_latency(&gate.gate);
        if !latency && !bounds_errors(&gate.gate) {
            continue;
        }
        let shown = format!("{} {}", gate.gate.subject(), gate.gate.condition());
        let mut seen: Vec<StepId> = gate.gate.steps.clone();
        match gate.gate.metric.as_str() {
            // A group or an iteration takes as long as what is in it.
            "group_duration" => {
                seen = seen.iter().flat_map(|id| inner.groups.get(id)).flatten().copied().collect()
            }
            // A session takes as long and fails as often as what is in it.
            "ws_session_duration" | "ws_failed" => {
                let inside = seen.iter().flat_map(|id| inner.groups.get(id)).flatten().copied();
                let inside: Vec<StepId> = inside.collect();
                seen.extend(inside);
            }
            "iteration_duration" => {
                seen = gate
                    .expected
                    .keys()
                    .flat_map(|name| inner.scenarios.get(name))
                    .flatten()
                    .copied()
                    .collect();
            }
            _ => {}
        }
        for id in seen {
            let (latencies, errors) = out.entry(id).or_default();
            if latency { latencies } else { errors }.push(shown.clone());
        }
    }
    out
}

/// Whether a step under these is a request over HTTP, which is no part of the session around it.
fn is_request(steps: &[Step], id: StepId) -> bool {
    let mut found = false;
    walk(steps, &mut |step| found |= step.id == id && matches!(step.kind, StepKind::Http(_)));
    found
}

/// Answered steps inside of groups, sessions and scenarios.
#[derive(Default)]
struct Inner {
    groups: BTreeMap<StepId, Vec<StepId>>,
    scenarios: BTreeMap<String, Vec<StepId>>,
}

fn inner_steps(plan: &ResolvedPlan) -> Inner {
    let requests = |steps| {
        let mut out = Vec::new();
        walk(steps, &mut |step: &Step| out.extend(step.kind.is_answered().then_some(step.id)));
        out
    };
    let mut inner = Inner::default();
    for scenario in &plan.scenarios {
        inner.scenarios.insert(scenario.scenario.name.clone(), requests(&scenario.scenario.steps));
        for steps in [&scenario.scenario.setup, &scenario.scenario.steps] {
            walk(steps, &mut |step| match &step.kind {
                StepKind::Group { steps, .. } => drop(inner.groups.insert(step.id, requests(steps))),
                StepKind::WebSocket(session) => {
                    let waits = requests(&session.steps).into_iter();
                    let waits = waits.filter(|id| !is_request(&session.steps, *id)).collect();
                    inner.groups.insert(step.id, waits);
                }
                _ => {}
            });
        }
    }
    inner
}

/// Whether a gate breaks when requests get slow.
pub(crate) fn bounds_latency(gate: &Gate) -> bool {
    decides(gate) && is_latency(&gate.metric) && upper(gate)
}

/// Whether a gate breaks when requests fail.
pub(crate) fn bounds_errors(gate: &Gate) -> bool {
    let lower = matches!(gate.op, Comparison::Gt | Comparison::Ge | Comparison::Eq);
    let by_outcome = ["outcome", "status", "expected_response", "error_code"];
    decides(gate)
        && blind(gate).is_none()
        && match gate.metric.as_str() {
            "http_req_failed" | "http_server_errors" | "ws_failed" => upper(gate),
            "http_reqs" => upper(gate) && gate.selector.keys().any(|tag| by_outcome.contains(&tag.as_str())),
            "checks" => lower && !gate.selector.contains_key("check"),
            _ => false,
        }
}

fn upper(gate: &Gate) -> bool {
    matches!(gate.op, Comparison::Lt | Comparison::Le | Comparison::Eq)
}
