//! A plan in which every name is found and every default filled in, for one profile.
//!
//! Built of the graph's own parts, with the places beside them that lints point at: what `lower` drops is here, what
//! the graph holds is not said twice. Where something could not be resolved it is left out and was reported, so that
//! lints need not (and do not) complain about it again.

use crate::ast::{InputType, Lost};
pub(crate) use crate::graph::walk;
use crate::graph::{self, Json, StepId, Template};
use crate::source::Span;
use crate::units::Rate;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One profile of a plan.
#[derive(Debug)]
pub(crate) struct ResolvedPlan {
    pub(crate) lost: Lost,
    /// A fixture file alone: there is no load to judge.
    pub(crate) seed_only: bool,
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) profile: String,
    pub(crate) seed: u64,
    pub(crate) inputs: BTreeMap<String, Input>,
    pub(crate) target: Option<Target>,
    pub(crate) database: Option<Database>,
    pub(crate) guards: Vec<Check>,
    /// In starting order.
    pub(crate) services: Vec<graph::Service>,
    /// Parents first.
    pub(crate) fixtures: Vec<Fixture>,
    pub(crate) tokens: BTreeMap<String, Token>,
    pub(crate) preflight: Vec<Check>,
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
    pub(crate) metrics: BTreeMap<String, graph::MetricKind>,
    pub(crate) scrapes: BTreeMap<String, graph::Scrape>,
    pub(crate) setup: Vec<graph::Step>,
    pub(crate) teardown: Vec<graph::Step>,
    pub(crate) teardown_commands: Vec<Check>,
    /// Sorted by name.
    pub(crate) scenarios: Vec<Scenario>,
    /// What is written and never done, whatever the inputs are.
    pub(crate) idle: Vec<(Span, Idle)>,
    /// Place of each step, by its number.
    pub(crate) places: Vec<StepPlace>,
    /// Whether the plan writes any threshold, sound or not.
    pub(crate) has_thresholds: bool,
    pub(crate) gates: Vec<Gate>,
    /// Numbers that something waits for.
    pub(crate) references: Vec<Reference>,
    /// Sorted by name.
    pub(crate) sql_gates: Vec<SqlGate>,
    pub(crate) triage: Vec<graph::Triage>,
    pub(crate) health: graph::HealthLimits,
    pub(crate) health_places: HealthPlaces,
    pub(crate) report: graph::Report,
    pub(crate) when_to_run: Option<graph::WhenToRun>,
    pub(crate) history: Option<graph::History>,
    pub(crate) used: Used,
    /// Graph paths to places, for complaints about the living world.
    pub(crate) origins: BTreeMap<String, Span>,
}

/// An input of this profile.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) span: Span,
    pub(crate) kind: Option<InputType>,
    pub(crate) value: InputValue,
    /// Where the value was written, when it was in the plan.
    pub(crate) value_span: Option<Span>,
    /// Who gives or may change the value when the plan is run, in words: `` `SHOP_RATE` ``.
    pub(crate) outside: Option<String>,
    /// How a value that was not written in the plan came in: `--set rate=50`.
    pub(crate) told_by: Option<String>,
    /// Place of a secret's value, as default or in this profile, that is not said to be for tests only.
    pub(crate) literal_secret: Option<Span>,
    /// A written value that stands for one still to be given, and why it is taken for one.
    pub(crate) placeholder: Option<(Span, &'static str)>,
}

/// What is known of an input before the run.
#[derive(Debug, Clone)]
pub(crate) enum InputValue {
    /// Its value.
    Closed(Json),
    /// A secret, a late one, or one without a value (`missing`).
    Open { open: graph::OpenInput, missing: bool },
    /// Wrong, and reported.
    Broken,
}

#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) target: graph::Target,
    pub(crate) url_span: Span,
    /// Where its timeout is written, when it is.
    pub(crate) timeout_span: Option<Span>,
    /// The plan's own service behind it.
    pub(crate) service: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) url: Template,
    /// What the service opens to it, and where that is said.
    pub(crate) pool: Option<(graph::Pool, Span)>,
    /// It is replaced by a clone of a kept one.
    pub(crate) template: bool,
    /// The plan's own service behind it.
    pub(crate) service: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) check: graph::Check,
    /// Place of the URL of an HTTP check.
    pub(crate) url_span: Option<Span>,
}

#[derive(Debug)]
pub(crate) struct Fixture {
    /// Its name in the plan.
    pub(crate) span: Span,
    /// Names of its columns.
    pub(crate) columns: BTreeMap<String, Span>,
    pub(crate) fixture: graph::Fixture,
}

#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) span: Span,
    pub(crate) token: graph::Token,
}

#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) span: Span,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) limit: Option<Rate>,
    /// It is in the catalogue because the OpenAPI file has it.
    pub(crate) imported: bool,
    /// Its method and URL, where both are literal.
    pub(crate) address: Option<(&'static str, String)>,
}

#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) span: Span,
    pub(crate) scenario: graph::Scenario,
    /// False when the executor or one of its options could not be read: its numbers mean nothing then.
    pub(crate) sound: bool,
    /// Places of the executor's options that were written.
    pub(crate) options: BTreeMap<&'static str, Span>,
    /// Its stages, in order.
    pub(crate) stages: Vec<StagePlace>,
    /// Places of the draws, by binding.
    pub(crate) draws: BTreeMap<String, Span>,
}

/// A stage of a scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StagePlace {
    /// Its target.
    pub(crate) span: Span,
    /// Its duration hangs on no input.
    pub(crate) fixed: bool,
}

/// Why something that is written is never done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idle {
    /// A branch of weight 0.
    Weight,
    /// `repeat: 0`.
    Times,
    /// `each` of an empty list.
    Elements,
    /// A condition that is false.
    Condition,
}

/// Where the limits of the generator's health are written, when they are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HealthPlaces {
    pub(crate) lateness_p99: Option<Span>,
    pub(crate) achieved: Option<Span>,
}

/// What the graph does not say of a step.
#[derive(Debug, Clone)]
pub(crate) struct StepPlace {
    /// The key that says what it does.
    pub(crate) span: Span,
    /// Its URL or the endpoint's name.
    pub(crate) url_span: Span,
    pub(crate) token_span: Option<Span>,
    /// How long its request may take, when it says so itself.
    pub(crate) timeout: Option<Duration>,
    /// Names of the expectations that the plan writes for it.
    pub(crate) expects: Vec<String>,
    /// Whether it says anything of the answer, sound or not.
    pub(crate) checked: bool,
    /// Declared values of templated tags.
    pub(crate) tag_values: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) gate: graph::Gate,
    /// The condition.
    pub(crate) span: Span,
    /// The metric in the selector.
    pub(crate) metric_span: Span,
    /// Values in the selector, by tag.
    pub(crate) tag_spans: BTreeMap<String, (Span, Span)>,
    /// Tags that were written as `*`: with its siblings the gate sees all their values.
    pub(crate) spread: BTreeSet<String>,
    /// A bound on a time without a unit.
    pub(crate) bare: bool,
    /// The user asked for `min_samples` himself.
    pub(crate) own_min_samples: bool,
    /// Samples that the condition needs, whatever the user asked for.
    pub(crate) needed: u64,
    /// Samples that one iteration is expected to emit into it, by scenario, in millionths.
    pub(crate) expected: BTreeMap<String, u64>,
    /// False when only the run knows how often some source of it is passed.
    pub(crate) counted: bool,
    /// Whether anything can emit into it.
    pub(crate) reachable: bool,
    /// Inputs behind its bound and its rules.
    pub(crate) hangs: BTreeSet<Hang>,
}

/// A reference to a number of the stream of samples.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) number: graph::MetricRef,
    /// All of it.
    pub(crate) span: Span,
    /// The metric in the selector.
    pub(crate) metric_span: Span,
    /// Tags and values in the selector, by tag.
    pub(crate) tag_spans: BTreeMap<String, (Span, Span)>,
    /// Whether anything can emit such samples.
    pub(crate) reachable: bool,
    /// Samples that one iteration is expected to emit, by scenario, in millionths; none when only the run knows.
    pub(crate) expected: Option<BTreeMap<String, u64>>,
}

#[derive(Debug)]
pub(crate) struct SqlGate {
    pub(crate) gate: graph::SqlGate,
    /// Its name.
    pub(crate) span: Span,
}

/// One thing that happens to the names of an iteration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Flow {
    /// A scenario, or the steps played once, begins: no name is known any more.
    Begin,
    /// A step keeps a value of its response.
    Captured {
        name: String,
        span: Span,
        from: graph::CaptureFrom,
    },
    /// A name is read.
    Read(String),
    /// A name is meant, by one that is misspelt or read too soon; both were reported.
    Meant(String),
    /// What is inside may be played again.
    LoopBegin,
    LoopEnd,
}

/// A part of the plan that hangs on an input which the plan alone does not decide. The graph holds the value alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hang {
    /// `guards.the shop is a test shop`, `steps.3`.
    pub(crate) place: String,
    /// Which part of it: `expect json $.env`, `rate`; empty for those without a name.
    pub(crate) part: String,
    /// Who gives the value.
    pub(crate) by: String,
    /// The part as the plan writes it.
    pub(crate) words: String,
}

/// Names that something refers to.
#[derive(Debug, Default)]
pub(crate) struct Used {
    pub(crate) inputs: BTreeSet<String>,
    pub(crate) tokens: BTreeSet<String>,
    pub(crate) fixtures: BTreeSet<String>,
    pub(crate) endpoints: BTreeSet<String>,
    pub(crate) metrics: BTreeSet<String>,
    /// What steps capture and read, in the order of play.
    pub(crate) flow: Vec<Flow>,
    /// What hangs on inputs that the plan alone does not decide.
    pub(crate) hangs: BTreeSet<Hang>,
    /// Where inputs are used whose value is not in the plan, and where it is from.
    pub(crate) told: BTreeSet<(Span, String)>,
}

/// Whether a gate decides.
pub(crate) fn decides(gate: &graph::Gate) -> bool {
    gate.level == graph::GateLevel::Required
}

/// The tag that leaves out all that the metric counts.
pub(crate) fn blind(gate: &graph::Gate) -> Option<(&'static str, &'static str)> {
    let tags: &[(&str, &str)] = match gate.metric.as_str() {
        "http_req_failed" => &[("outcome", "ok"), ("expected_response", "true")],
        "http_server_errors" => &[("outcome", "ok")],
        _ => &[],
    };
    let upper = matches!(gate.op, graph::Comparison::Lt | graph::Comparison::Le | graph::Comparison::Eq);
    let is = |(tag, value): &&(&str, &str)| gate.selector.get(*tag).is_some_and(|known| known == value);
    tags.iter().find(is).copied().filter(|_| upper)
}

impl Endpoint {
    /// Whether a request that does not name it is one of its own.
    pub(crate) fn is_asked_by(&self, request: &graph::Request) -> bool {
        self.address.as_ref().is_some_and(|(method, url)| {
            request.method == *method && request.url.as_literal() == Some(url.as_str())
        })
    }
}

impl ResolvedPlan {
    pub(crate) fn place(&self, step: StepId) -> &StepPlace {
        &self.places[step.0 as usize]
    }

    /// Every step of the plan, set-up and teardown included.
    pub(crate) fn all_steps(&self) -> Vec<&graph::Step> {
        let mut out = Vec::new();
        let lists = self.scenarios.iter().flat_map(|s| [&s.scenario.setup, &s.scenario.steps]);
        for steps in [&self.setup, &self.teardown].into_iter().chain(lists) {
            walk(steps, &mut |step| out.push(step));
        }
        out
    }

    pub(crate) fn scenario(&self, name: &str) -> Option<&Scenario> {
        let at = self.scenarios.binary_search_by(|scenario| scenario.scenario.name.as_str().cmp(name));
        at.ok().map(|at| &self.scenarios[at])
    }

    pub(crate) fn fixture(&self, name: &str) -> Option<&Fixture> {
        self.fixtures.iter().find(|fixture| fixture.fixture.name == name)
    }
}
