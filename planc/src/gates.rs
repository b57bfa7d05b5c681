//! Gates over a graph that is there already, for evidence of another day: what if it were judged by others?
//!
//! Nothing of a plan's text is left then. The graph is put back into the form in which gates are resolved, so that a
//! threshold means the same here and there; what only the text said (declared values of a templated tag) is open.

use crate::Compilation;
use crate::ast::{self, Selector, Threshold};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, Level};
use crate::graph::{self, ExecutionGraph, Gate, SqlGate, Step, StepKind};
use crate::lints;
use crate::parse::{Parser, empty_plan};
use crate::resolve::{default_lateness, emitters, family, resolve_gates};
use crate::resolved::{
    Fixture, HealthPlaces, Input, InputValue, ResolvedPlan, Scenario, StepPlace, Used, walk,
};
use crate::source::{SourceMap, Span, Spanned};
use crate::yaml::{MAX_NODES, Node, NodeKind};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The graph with these gates in place of its own, each written `metric{tag:value} p(95) < 500ms`, with the errors that
/// `thresholds:` of a plan would give. A limit of late starts that follows from the gates follows from these.
pub fn with_gates(graph: &ExecutionGraph, conditions: &[String]) -> Compilation {
    let mut ground = Ground::new(&conditions.join("\n"));
    let mut plan = empty_plan(ground.nowhere);
    let mut from = 0;
    for condition in conditions {
        plan.thresholds.extend(ground.written(condition, from));
        from += condition.len() + 1;
    }
    let gates = ground.resolve(&plan, graph);
    let Ground { sources, diagnostics, .. } = ground;
    let graph = gates.filter(|_| !diagnostics.has_errors()).map(|gates| {
        let mut health = graph.health.clone();
        if health.lateness_p99 == default_lateness(&graph.gates) {
            health.lateness_p99 = default_lateness(&gates);
        }
        // What a statement gave is answered by its own gate alone.
        ExecutionGraph { gates, health, sql_gates: Vec::new(), ..graph.clone() }
    });
    Compilation { sources, diagnostics, graph, ..Compilation::default() }
}

/// The graph `onto` with the gates and the limits of `plan`, for evidence that an older form of the plan left behind.
///
/// # Errors
/// Why the two are not about the same load: scenarios, steps and samples that one of them lacks.
pub fn move_gates(plan: &ExecutionGraph, onto: &ExecutionGraph) -> Result<ExecutionGraph, Vec<String>> {
    let mut missing = differences(plan, onto);
    if !missing.is_empty() {
        return Err(missing);
    }
    let mut gates = Vec::new();
    for gate in &plan.gates {
        let mut ground = Ground::new("");
        let threshold = ground.of_gate(gate);
        let text = ast::Plan { thresholds: threshold.into_iter().collect(), ..empty_plan(ground.nowhere) };
        match ground.resolve(&text, onto).as_deref() {
            Some([found]) if !ground.diagnostics.has_errors() => {
                gates.push(Gate { steps: found.steps.clone(), drops: found.drops.clone(), ..gate.clone() });
            }
            _ => {
                let found = ground.diagnostics.into_sorted();
                let why = found.iter().find(|d| d.level == Level::Error).map(|d| format!(": {}", d.message));
                let why = why.unwrap_or_default();
                missing.push(format!("`{} {}` cannot be answered{why}", gate.subject(), gate.text));
            }
        }
    }
    let sql_gates = move_sql_gates(plan, onto, &mut missing);
    match missing.is_empty() {
        true => Ok(ExecutionGraph { gates, sql_gates, health: plan.health.clone(), ..onto.clone() }),
        false => Err(missing),
    }
}

/// Gates in SQL whose statements were asked in that run, on its steps.
fn move_sql_gates(plan: &ExecutionGraph, onto: &ExecutionGraph, missing: &mut Vec<String>) -> Vec<SqlGate> {
    let raised = raise(onto, Ground::new("").nowhere);
    let emitters = raised.as_ref().map_or(Vec::new(), emitters);
    let mut moved = plan.sql_gates.clone();
    moved.retain_mut(|gate| {
        let same = |known: &SqlGate| {
            known.name == gate.name && known.statement == gate.statement && known.increase == gate.increase
        };
        if !onto.sql_gates.iter().any(same) {
            missing
                .push(format!("`{}` cannot be answered: its statement was not asked in that run", gate.name));
            return false;
        }
        for read in gate.metrics.values_mut() {
            let family = family(&read.of.metric);
            let sources = emitters.iter().filter(|e| e.family == family && e.matches(&read.of.selector));
            let steps: BTreeSet<_> = sources.filter_map(|source| source.step).collect();
            read.steps = steps.into_iter().collect();
        }
        true
    });
    moved
}

/// Scenarios and steps with samples of their own that only one of the two has.
fn differences(plan: &ExecutionGraph, onto: &ExecutionGraph) -> Vec<String> {
    let (ours, theirs) = (parts(plan), parts(onto));
    let mut out = Vec::new();
    for (name, steps) in &ours {
        match theirs.get(name) {
            None => out.push(format!("it has no scenario `{name}`")),
            Some(known) => out.extend(
                steps.difference(known).map(|step| format!("it has no step `{step}` in scenario `{name}`")),
            ),
        }
    }
    for (name, steps) in &theirs {
        match ours.get(name) {
            None => out.push(format!("the plan has no scenario `{name}` any more")),
            Some(known) => out.extend(
                steps
                    .difference(known)
                    .map(|step| format!("the plan has no step `{step}` in scenario `{name}` any more")),
            ),
        }
    }
    out
}

fn parts(graph: &ExecutionGraph) -> BTreeMap<&str, BTreeSet<&str>> {
    graph.scenarios.iter().map(|scenario| (scenario.name.as_str(), emitting(scenario))).collect()
}

/// Names of the steps that have samples of their own.
fn emitting(scenario: &graph::Scenario) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for steps in [&scenario.setup, &scenario.steps] {
        walk(steps, &mut |step| {
            if matches!(step.kind, StepKind::Http(_) | StepKind::Group { .. }) {
                names.insert(step.name.as_str());
            }
        });
    }
    names
}

/// What gates are read and resolved with.
struct Ground {
    sources: SourceMap,
    diagnostics: Diagnostics,
    /// A place for what has none.
    nowhere: Span,
}

impl Ground {
    /// On the texts of all thresholds, one below the other.
    fn new(texts: &str) -> Ground {
        let mut sources = SourceMap::default();
        let nowhere = Span::new(sources.add("--threshold", texts), 0..0);
        Ground { sources, diagnostics: Diagnostics::default(), nowhere }
    }

    /// The threshold that a text is, which begins at byte `from` of all texts.
    fn written(&mut self, text: &str, from: usize) -> Option<Threshold> {
        let (selector, condition) = halves(text);
        let file = self.nowhere.file;
        let place = |range: &Range<usize>| Span::new(file, range.start + from..range.end + from);
        if condition.is_empty() {
            let message = match selector.is_empty() {
                true => "there is no threshold".to_string(),
                false => format!("`{}` has no condition", &text[selector.clone()]),
            };
            let diagnostic = Diagnostic::error(codes::BAD_THRESHOLD, place(&selector), message);
            self.diagnostics
                .push(diagnostic.help("write `metric p(95) < 500ms` or `metric{tag:value} rate < 1%`"));
            return None;
        }
        let key = Spanned::new(text[selector.clone()].to_string(), place(&selector));
        let span = place(&condition);
        let selector = self.parser(|parser| parser.selector(&key))?;
        Some(self.threshold(&selector, &text[condition], span))
    }

    /// The threshold that a gate came from.
    fn of_gate(&mut self, gate: &Gate) -> Option<Threshold> {
        let word = |text: &String| Spanned::new(text.clone(), self.nowhere);
        let tags = gate.selector.iter().map(|(tag, value)| (word(tag), word(value))).collect();
        let selector = Selector { metric: word(&gate.metric), tags };
        Some(self.threshold(&selector, &gate.text, self.nowhere))
    }

    fn threshold(&mut self, selector: &Selector, text: &str, span: Span) -> Threshold {
        let node = Node { span, kind: NodeKind::Scalar { text: text.to_string(), plain: true } };
        self.parser(|parser| parser.threshold(Some(selector), &node))
    }

    fn parser<T>(&mut self, read: impl FnOnce(&mut Parser<'_>) -> T) -> T {
        let mut allows = Vec::new();
        read(&mut Parser { sources: &self.sources, diagnostics: &mut self.diagnostics, allows: &mut allows })
    }

    /// The gates of a plan that has nothing else, over the load of a graph.
    fn resolve(&mut self, plan: &ast::Plan, graph: &ExecutionGraph) -> Option<Vec<Gate>> {
        let Some(mut raised) = raise(graph, self.nowhere) else {
            let message = "the graph has more steps than any plan";
            self.diagnostics.push(Diagnostic::error(codes::BAD_VALUE, self.nowhere, message));
            return None;
        };
        resolve_gates(plan, &mut raised, &mut self.diagnostics);
        lints::vacuous(&raised, &mut self.diagnostics);
        Some(raised.gates.into_iter().map(|gate| gate.gate).collect())
    }
}

/// Where the selector and the condition of `metric{tag:value}: p(95) < 500ms` lie; the colon may be left out.
fn halves(text: &str) -> (Range<usize>, Range<usize>) {
    let start = text.len() - text.trim_start().len();
    let body = &text[start..];
    let name = body.find(|c: char| c.is_whitespace() || ":{<>=!".contains(c)).unwrap_or(body.len());
    let length = match body[name..].starts_with('{') {
        true => body.find('}').map_or(body.len(), |close| close + 1),
        false => name,
    };
    let rest = &body[length..];
    let condition = rest.trim_start().strip_prefix(':').unwrap_or(rest).trim();
    let from = condition.as_ptr() as usize - text.as_ptr() as usize;
    (start..start + length, from..from + condition.len())
}

/// A graph as what it was lowered from, as far as gates hang on it. `None` when its step numbers are no plan's.
fn raise(graph: &ExecutionGraph, nowhere: Span) -> Option<ResolvedPlan> {
    let place = StepPlace {
        span: nowhere,
        url_span: nowhere,
        token_span: None,
        expects: Vec::new(),
        checked: true,
        timeout: None,
        tag_values: BTreeMap::new(),
    };
    let input = |value: &graph::Json| Input {
        span: nowhere,
        kind: None,
        value: InputValue::Closed(value.clone()),
        value_span: None,
        outside: None,
        told_by: None,
        literal_secret: None,
        placeholder: None,
    };
    let scenario = |scenario: &graph::Scenario| Scenario {
        span: nowhere,
        scenario: scenario.clone(),
        sound: true,
        options: BTreeMap::new(),
        stages: Vec::new(),
        draws: BTreeMap::new(),
    };
    Some(ResolvedPlan {
        lost: ast::Lost::default(),
        seed_only: false,
        name: graph.plan.clone(),
        about: graph.about.clone(),
        profile: graph.profile.clone(),
        seed: graph.seed,
        inputs: graph.inputs.iter().map(|(name, value)| (name.clone(), input(value))).collect(),
        target: None,
        database: None,
        guards: Vec::new(),
        services: Vec::new(),
        fixtures: graph
            .fixtures
            .iter()
            .map(|f| Fixture { span: nowhere, columns: BTreeMap::new(), fixture: f.clone() })
            .collect(),
        tokens: BTreeMap::new(),
        preflight: Vec::new(),
        endpoints: BTreeMap::new(),
        metrics: graph.metrics.clone(),
        scrapes: graph.scrapes.clone(),
        setup: Vec::new(),
        teardown: Vec::new(),
        teardown_commands: Vec::new(),
        scenarios: graph.scenarios.iter().map(scenario).collect(),
        idle: Vec::new(),
        places: vec![place; steps_of(graph)?],
        has_thresholds: true,
        gates: Vec::new(),
        references: Vec::new(),
        sql_gates: Vec::new(),
        triage: Vec::new(),
        health: graph.health.clone(),
        health_places: HealthPlaces::default(),
        report: graph.report.clone(),
        when_to_run: graph.when_to_run.clone(),
        history: graph.history,
        used: Used::default(),
        origins: BTreeMap::new(),
    })
}

/// One more than the highest step number; `None` beyond what any plan has.
fn steps_of(graph: &ExecutionGraph) -> Option<usize> {
    let mut count = 0;
    let mut see = |step: &Step| count = count.max(step.id.0 as usize + 1);
    for scenario in &graph.scenarios {
        walk(&scenario.setup, &mut see);
        walk(&scenario.steps, &mut see);
    }
    (count <= MAX_NODES).then_some(count)
}
