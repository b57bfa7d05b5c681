//! Which samples the load can emit: the truth that selectors are held against.

mod websocket;

use super::metrics::Family;
use crate::expr::{self, Expr, Function};
use crate::graph::{self, Demand, Generator, Json, JsonTemplate, Segment, Step, StepId, StepKind};
use crate::resolved::{ResolvedPlan, Scenario, walk};
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
    /// Text that only the run knows, between what is literal in its template.
    Open { prefix: String, suffix: String },
}

impl TagValue {
    /// Any text.
    fn open() -> Self {
        TagValue::Open { prefix: String::new(), suffix: String::new() }
    }

    /// Whether a sample can carry the value.
    pub(crate) fn can_be(&self, value: &str) -> bool {
        match self {
            TagValue::Plan(values) => values.iter().any(|known| known == value),
            TagValue::Engine(values) => values.contains(&value),
            TagValue::Status => value == "0" || value.parse::<u16>().is_ok_and(|s| (100..600).contains(&s)),
            TagValue::Open { prefix, suffix } => {
                let rest = value.strip_prefix(prefix.as_str());
                rest.is_some_and(|rest| rest.ends_with(suffix.as_str()))
            }
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
    /// Whether the weight can be told: false inside a `repeat` or an `each` whose length only the run knows.
    pub(crate) counted: bool,
}

/// How often an iteration passes some steps.
#[derive(Debug, Clone, Copy)]
struct Passes {
    millionths: u64,
    counted: bool,
}

impl Passes {
    fn times(self, times: Option<u64>) -> Passes {
        Passes {
            millionths: scaled(self.millionths, times.unwrap_or(1), 1),
            counted: self.counted && times.is_some(),
        }
    }
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
    let mut out = vec![Emitter {
        family: Family::Run,
        tags: BTreeMap::new(),
        step: None,
        scenario: None,
        weight: 0,
        counted: false,
    }];
    // Scraped beside the load, whoever is under way.
    out.extend(plan.scrapes.keys().map(|metric| Emitter {
        family: Family::Custom(metric.clone()),
        tags: BTreeMap::new(),
        step: None,
        scenario: None,
        weight: 0,
        counted: false,
    }));
    for scenario in &plan.scenarios {
        of_scenario(plan, scenario, &mut out);
        // Once for each virtual user, not for each iteration: reachable, but nothing an iteration can be expected to emit.
        of_steps(
            plan,
            scenario,
            &scenario.scenario.setup,
            Passes { millionths: 0, counted: false },
            &mut out,
        );
        of_steps(
            plan,
            scenario,
            &scenario.scenario.steps,
            Passes { millionths: MILLION, counted: true },
            &mut out,
        );
    }
    out
}

fn of_scenario(plan: &ResolvedPlan, scenario: &Scenario, out: &mut Vec<Emitter>) {
    let graph = &scenario.scenario;
    let mut tags: BTreeMap<String, TagValue> = graph
        .tags
        .iter()
        .map(|(tag, value)| (tag.clone(), plan_value(plan, scenario, value, None)))
        .collect();
    tags.insert("scenario".into(), TagValue::Plan(vec![graph.name.clone()]));
    let mut push = |family, weight| {
        let scenario = Some(graph.name.clone());
        out.push(Emitter { family, tags: tags.clone(), step: None, scenario, weight, counted: true });
    };
    push(Family::Iterations, MILLION);
    push(Family::Data, MILLION);
    if !matches!(graph.demand, Demand::Users { .. }) {
        push(Family::Dropped, 0);
    }
}

fn of_steps(
    plan: &ResolvedPlan,
    scenario: &Scenario,
    steps: &[Step],
    passes: Passes,
    out: &mut Vec<Emitter>,
) {
    for step in steps {
        match &step.kind {
            StepKind::Http(http) => of_request(plan, scenario, step, http, passes, out),
            StepKind::Choose(branches) => {
                let total: u64 = branches.iter().map(|branch| u64::from(branch.weight)).sum();
                for branch in branches {
                    let millionths = scaled(passes.millionths, u64::from(branch.weight), total.max(1));
                    // A branch of weight 0 is never taken: its steps emit nothing.
                    if branch.weight > 0 {
                        of_steps(plan, scenario, &branch.steps, Passes { millionths, ..passes }, out);
                    }
                }
            }
            StepKind::Repeat { count, steps, .. } => {
                let times = constant(count).and_then(|count| count.as_u64());
                if times != Some(0) {
                    of_steps(plan, scenario, steps, passes.times(times), out);
                }
            }
            StepKind::Each { list, steps, .. } => {
                let times = list_length(list);
                if times != Some(0) {
                    of_steps(plan, scenario, steps, passes.times(times), out);
                }
            }
            StepKind::When { condition: Expr::Const(condition), .. } if !crate::eval::truthy(condition) => {}
            StepKind::When { steps, .. } => of_steps(plan, scenario, steps, passes, out),
            StepKind::Group { steps, .. } => {
                let tags = step_tags(plan, scenario, step);
                out.push(emitter(Family::Group, tags, step, scenario, passes));
                of_steps(plan, scenario, steps, passes, out);
            }
            StepKind::WebSocket(session) => {
                websocket::of_session(plan, scenario, step, session, passes, out);
                of_steps(plan, scenario, &session.steps, passes, out);
            }
            StepKind::Send(_) => out.push(websocket::inside(plan, scenario, step, Family::Sent, passes)),
            StepKind::Receive(receive) => {
                websocket::of_receive(plan, scenario, step, receive, passes, out);
            }
            StepKind::Ping { .. } => websocket::of_ping(plan, scenario, step, passes, out),
            StepKind::Pause(_) | StepKind::Close { .. } => {}
        }
    }
}

fn of_request(
    plan: &ResolvedPlan,
    scenario: &Scenario,
    step: &Step,
    http: &graph::HttpStep,
    passes: Passes,
    out: &mut Vec<Emitter>,
) {
    let mut tags = step_tags(plan, scenario, step);
    tags.insert("status".into(), TagValue::Status);
    tags.insert("outcome".into(), TagValue::Engine(OUTCOMES));
    tags.insert("expected_response".into(), TagValue::Engine(&["true", "false"]));
    tags.insert("error_code".into(), TagValue::open());
    tags.insert("proto".into(), TagValue::open());
    for record in &http.record {
        out.push(emitter(Family::Custom(record.metric.clone()), tags.clone(), step, scenario, passes));
    }
    let captures = http.capture.iter().map(|capture| format!("capture {}", capture.name));
    let checks: Vec<String> = http.expect.iter().map(|expect| expect.name.clone()).chain(captures).collect();
    out.push(emitter(Family::Http, tags.clone(), step, scenario, passes));
    out.push(checked(checks, tags, step, scenario, passes));
}

/// The source of so many checks of a step.
fn checked(
    checks: Vec<String>,
    mut tags: BTreeMap<String, TagValue>,
    step: &Step,
    scenario: &Scenario,
    passes: Passes,
) -> Emitter {
    let count = checks.len() as u64;
    tags.insert("check".into(), TagValue::Plan(checks));
    emitter(Family::Checks, tags, step, scenario, passes.times(Some(count)))
}

fn emitter(
    family: Family,
    tags: BTreeMap<String, TagValue>,
    step: &Step,
    scenario: &Scenario,
    passes: Passes,
) -> Emitter {
    let scenario = Some(scenario.scenario.name.clone());
    let Passes { millionths: weight, counted } = passes;
    Emitter { family, tags, step: Some(step.id), scenario, weight, counted }
}

fn step_tags(plan: &ResolvedPlan, scenario: &Scenario, step: &Step) -> BTreeMap<String, TagValue> {
    let declared = &plan.place(step.id).tag_values;
    let value = |(tag, value): (&String, &graph::Template)| {
        (tag.clone(), plan_value(plan, scenario, value, declared.get(tag)))
    };
    step.tags.iter().map(value).collect()
}

fn plan_value(
    plan: &ResolvedPlan,
    scenario: &Scenario,
    value: &graph::Template,
    declared: Option<&Vec<String>>,
) -> TagValue {
    match (value.as_literal(), declared) {
        (Some(literal), _) => TagValue::Plan(vec![literal.to_string()]),
        (None, Some(values)) => TagValue::Plan(values.clone()),
        (None, None) => shaped(plan, scenario, value),
    }
}

/// What a template with slots can be: each value of a drawn column that has few, else anything between its ends.
fn shaped(plan: &ResolvedPlan, scenario: &Scenario, value: &graph::Template) -> TagValue {
    let literal = |segment: Option<&Segment>| match segment {
        Some(Segment::Literal(text)) => text.clone(),
        _ => String::new(),
    };
    let (prefix, suffix) = (literal(value.segments.first()), literal(value.segments.last()));
    let mut slots = value.segments.iter().filter_map(|segment| match segment {
        Segment::Slot(slot) => Some(slot),
        Segment::Literal(_) => None,
    });
    if let (Some(Expr::Path(path)), None) = (slots.next(), slots.next())
        && let Some(values) = drawn(plan, scenario, path)
    {
        return TagValue::Plan(values.iter().map(|value| format!("{prefix}{value}{suffix}")).collect());
    }
    TagValue::Open { prefix, suffix }
}

/// The values of a drawn column, where its generator has a fixed few: `{{ agent.os }}` is `linux`, `windows` or `darwin`.
fn drawn(plan: &ResolvedPlan, scenario: &Scenario, path: &[String]) -> Option<Vec<String>> {
    let [binding, column] = path else { return None };
    let draw = scenario.scenario.draw.iter().find(|draw| draw.binding == *binding)?;
    // A capture of the same name takes its place from then on.
    let mut hidden = false;
    for steps in [&scenario.scenario.setup, &scenario.scenario.steps] {
        walk(steps, &mut |step| {
            hidden |= step.kind.captures().iter().any(|capture| capture.name == *binding);
        });
    }
    if hidden {
        return None;
    }
    let column = plan.fixture(&draw.fixture)?.fixture.columns().get(column)?;
    let texts = |values: Vec<&Json>| -> Option<Vec<String>> {
        values.into_iter().map(|value| value.as_str().map(str::to_string)).collect()
    };
    match &column.generator {
        Generator::Weighted(values) => {
            texts(values.iter().filter(|value| value.weight > 0).map(|value| &value.value).collect())
        }
        Generator::Value(JsonTemplate::Const(value)) => texts(vec![value]),
        _ => None,
    }
}

pub(super) fn list_length(list: &Expr) -> Option<u64> {
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
