//! Which samples the load can emit: the truth that selectors are held against.

use super::metrics::Family;
use crate::expr::{self, Expr, Function};
use crate::graph::{self, Demand, Json, Step, StepId, StepKind};
use crate::resolved::{ResolvedPlan, Scenario};
use std::collections::BTreeMap;

/// One in the arithmetic of expected samples.
const MILLION: u64 = 1_000_000;

/// What a tag of a sample can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TagValue {
    /// Set by the plan: one of these.
    Plan(Vec<String>),
    /// Set by the engine: one of these.
    Engine(&'static [&'static str]),
    /// An HTTP status, or 0 when there was no answer.
    Status,
    /// Text that only the run knows.
    Open,
}

impl TagValue {
    /// Whether a sample can carry the value.
    pub(crate) fn can_be(&self, value: &str) -> bool {
        match self {
            TagValue::Plan(values) => values.iter().any(|known| known == value),
            TagValue::Engine(values) => values.contains(&value),
            TagValue::Status => value == "0" || value.parse::<u16>().is_ok_and(|s| (100..600).contains(&s)),
            TagValue::Open => true,
        }
    }
}

/// A source of samples.
#[derive(Debug, Clone)]
pub(crate) struct Emitter {
    pub(crate) family: Family,
    pub(crate) tags: BTreeMap<String, TagValue>,
    pub(crate) step: Option<StepId>,
    /// The scenario it belongs to; none for the run's own.
    pub(crate) scenario: Option<String>,
    /// Samples that one iteration is expected to emit, in millionths.
    pub(crate) weight: u64,
}

impl Emitter {
    /// Whether a sample of this source can carry all these tags.
    pub(crate) fn matches(&self, selector: &BTreeMap<String, String>) -> bool {
        selector.iter().all(|(tag, value)| self.tags.get(tag).is_some_and(|known| known.can_be(value)))
    }
}

const OUTCOMES: &[&str] =
    &["ok", "expected_error", "limited", "client_error", "server_error", "transport", "failed_check"];

/// All sources of the load. Top-level set-up and teardown are not load and emit nothing that is judged.
pub(crate) fn emitters(plan: &ResolvedPlan) -> Vec<Emitter> {
    let mut out =
        vec![Emitter { family: Family::Run, tags: BTreeMap::new(), step: None, scenario: None, weight: 0 }];
    for scenario in &plan.scenarios {
        of_scenario(scenario, &mut out);
        // Once for each virtual user, not for each iteration: reachable, but nothing an iteration can be expected to emit.
        of_steps(plan, scenario, &scenario.scenario.setup, 0, &mut out);
        of_steps(plan, scenario, &scenario.scenario.steps, MILLION, &mut out);
    }
    out
}

fn of_scenario(scenario: &Scenario, out: &mut Vec<Emitter>) {
    let graph = &scenario.scenario;
    let mut tags: BTreeMap<String, TagValue> =
        graph.tags.iter().map(|(tag, value)| (tag.clone(), plan_value(value, None))).collect();
    tags.insert("scenario".into(), TagValue::Plan(vec![graph.name.clone()]));
    let mut push = |family, weight| {
        let scenario = Some(graph.name.clone());
        out.push(Emitter { family, tags: tags.clone(), step: None, scenario, weight });
    };
    push(Family::Iterations, MILLION);
    push(Family::Data, MILLION);
    if !matches!(graph.demand, Demand::Users { .. }) {
        push(Family::Dropped, 0);
    }
}

fn of_steps(plan: &ResolvedPlan, scenario: &Scenario, steps: &[Step], weight: u64, out: &mut Vec<Emitter>) {
    for step in steps {
        match &step.kind {
            StepKind::Http(http) => of_request(plan, scenario, step, http, weight, out),
            StepKind::Choose(branches) => {
                let total: u64 = branches.iter().map(|branch| u64::from(branch.weight)).sum();
                for branch in branches {
                    let share = scaled(weight, u64::from(branch.weight), total.max(1));
                    // A branch of weight 0 is never taken: its steps emit nothing.
                    if branch.weight > 0 {
                        of_steps(plan, scenario, &branch.steps, share, out);
                    }
                }
            }
            StepKind::Repeat { count, steps, .. } => {
                let times = constant(count).and_then(|count| count.as_u64());
                if times != Some(0) {
                    of_steps(plan, scenario, steps, scaled(weight, times.unwrap_or(1), 1), out);
                }
            }
            StepKind::Each { list, steps, .. } => {
                let times = list_length(list);
                if times != Some(0) {
                    of_steps(plan, scenario, steps, scaled(weight, times.unwrap_or(1), 1), out);
                }
            }
            StepKind::When { condition: Expr::Const(condition), .. } if !crate::eval::truthy(condition) => {}
            StepKind::When { steps, .. } => of_steps(plan, scenario, steps, weight, out),
            StepKind::Group { steps, .. } => {
                let tags = step_tags(plan, step);
                out.push(emitter(Family::Group, tags, step, scenario, weight));
                of_steps(plan, scenario, steps, weight, out);
            }
            StepKind::Pause(_) => {}
        }
    }
}

fn of_request(
    plan: &ResolvedPlan,
    scenario: &Scenario,
    step: &Step,
    http: &graph::HttpStep,
    weight: u64,
    out: &mut Vec<Emitter>,
) {
    let mut tags = step_tags(plan, step);
    tags.insert("status".into(), TagValue::Status);
    tags.insert("outcome".into(), TagValue::Engine(OUTCOMES));
    tags.insert("expected_response".into(), TagValue::Engine(&["true", "false"]));
    tags.insert("error_code".into(), TagValue::Open);
    tags.insert("proto".into(), TagValue::Open);
    for record in &http.record {
        out.push(emitter(Family::Custom(record.metric.clone()), tags.clone(), step, scenario, weight));
    }
    let captures = http.capture.iter().map(|capture| format!("capture {}", capture.name));
    let checks: Vec<String> = http.expect.iter().map(|expect| expect.name.clone()).chain(captures).collect();
    out.push(emitter(Family::Http, tags.clone(), step, scenario, weight));
    let count = checks.len() as u64;
    tags.insert("check".into(), TagValue::Plan(checks));
    out.push(emitter(Family::Checks, tags, step, scenario, scaled(weight, count, 1)));
}

fn emitter(
    family: Family,
    tags: BTreeMap<String, TagValue>,
    step: &Step,
    scenario: &Scenario,
    weight: u64,
) -> Emitter {
    Emitter { family, tags, step: Some(step.id), scenario: Some(scenario.scenario.name.clone()), weight }
}

fn step_tags(plan: &ResolvedPlan, step: &Step) -> BTreeMap<String, TagValue> {
    let declared = &plan.place(step.id).tag_values;
    step.tags.iter().map(|(tag, value)| (tag.clone(), plan_value(value, declared.get(tag)))).collect()
}

fn plan_value(value: &graph::Template, declared: Option<&Vec<String>>) -> TagValue {
    match (value.as_literal(), declared) {
        (Some(literal), _) => TagValue::Plan(vec![literal.to_string()]),
        (None, Some(values)) => TagValue::Plan(values.clone()),
        (None, None) => TagValue::Open,
    }
}

fn list_length(list: &Expr) -> Option<u64> {
    if let Expr::List(items) = list {
        return Some(items.len() as u64);
    }
    constant(list)?.as_array().map(|items| items.len() as u64)
}

/// The value of an expression that hangs on nothing.
fn constant(expr: &Expr) -> Option<Json> {
    let mut free = true;
    expr.paths(&mut |_| free = false);
    expr.calls(&mut |function| free &= function == Function::Range);
    if free { crate::eval::eval(expr, &Nothing).ok() } else { None }
}

/// No name is in scope.
struct Nothing;

impl expr::Scope for Nothing {
    fn get(&self, _: &[String]) -> Option<Json> {
        None
    }

    fn random(&self) -> u64 {
        0
    }

    fn now_micros(&self) -> i64 {
        0
    }
}

fn scaled(weight: u64, times: u64, over: u64) -> u64 {
    let product = u128::from(weight) * u128::from(times) / u128::from(over);
    u64::try_from(product).unwrap_or(u64::MAX)
}
