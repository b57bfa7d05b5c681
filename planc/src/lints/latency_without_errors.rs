//! A latency gate whose failures nobody counts.

use super::{Lint, decides};
use crate::coverage;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Comparison, Demand, Gate, Over, StepId};
use crate::resolve::is_latency;
use crate::resolved::{self, ResolvedPlan, blind};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0403", name: "latency-without-errors" },
    page: include_str!("latency-without-errors.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    if plan.lost.thresholds {
        return;
    }
    let gates = || plan.gates.iter().map(|gate| &gate.gate).filter(|gate| decides(gate));
    let on_errors = OnErrors::new(plan);
    sessions(plan, diagnostics);
    let mut told: BTreeSet<(&str, BTreeMap<String, String>)> = BTreeSet::new();
    for gate in plan.gates.iter().filter(|gate| gate.reachable && decides(&gate.gate)) {
        if !gate.gate.metric.starts_with("http_req_") || !is_latency(&gate.gate.metric) {
            continue;
        }
        let mut population = gate.gate.selector.clone();
        let narrowed =
            population.remove("outcome").is_some() | population.remove("expected_response").is_some();
        let key = (gate.gate.metric.as_str(), gate.gate.selector.clone());
        if told.contains(&key) {
            continue;
        }
        let shown = show(&population);
        if !on_errors.count(&population, narrowed, &gate.gate.over) {
            told.insert(key.clone());
            let message = format!("a gate on latency, and none on errors of the same requests{shown}");
            let help = format!("write `http_req_failed{}: [\"rate < 1%\"]` beside it", braces(&population));
            diagnostics.push(if narrowed {
                Diagnostic::error(LINT.code, gate.metric_span, message)
                    .note("only requests that went well are measured here, so a target that fails them all passes")
                    .help(help)
            } else {
                Diagnostic::warning(LINT.code, gate.metric_span, message)
                    .note("failed requests count as above every bound, but a share of them is let through unseen")
                    .help(help)
            });
        }
        let mut sources = gate.expected.keys().filter_map(|name| plan.scenario(name));
        let mut dropping =
            || sources.any(|scenario| matches!(scenario.scenario.demand, Demand::Arrivals { .. }));
        let on_drops = |other: &Gate| other.metric == "dropped_iterations";
        if narrowed && dropping() && !gates().any(on_drops) && !told.contains(&key) {
            told.insert(key);
            let message = "a gate on latency that dropped iterations do not enter, and none on them";
            diagnostics.push(
                Diagnostic::warning(LINT.code, gate.metric_span, message)
                    .help("write `dropped_iterations: [\"count == 0\"]` beside it"),
            );
        }
    }
}

/// Latencies of WebSockets: whatever fails in a session is in `ws_failed`.
fn sessions(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let of_session = |gate: &Gate| gate.metric.starts_with("ws_") && is_latency(&gate.metric);
    let mut gates = plan.gates.iter().filter(|gate| gate.reachable && decides(&gate.gate)).peekable();
    // One that sees nothing has an error of its own, and was meant for any of the latencies.
    let astray = |gate: &resolved::Gate| !gate.reachable && gate.gate.metric == "ws_failed";
    if gates.peek().is_none() || plan.gates.iter().any(astray) {
        return;
    }
    let steps = coverage::steps(plan);
    let mut told = BTreeSet::new();
    for gate in gates.filter(|gate| of_session(&gate.gate)) {
        let uncounted = |id: &StepId| steps.iter().any(|step| step.id == *id && step.errors.is_empty());
        let key = (gate.gate.metric.as_str(), &gate.gate.selector);
        if !gate.gate.steps.iter().any(uncounted) || !told.insert(key) {
            continue;
        }
        let mut population = gate.gate.selector.clone();
        population.retain(|tag, _| tag == "scenario");
        let message = "a gate on latency, and none on failures of the same sessions";
        diagnostics.push(
            Diagnostic::warning(LINT.code, gate.metric_span, message)
                .note("failed sessions count as above every bound, but a share of them is let through unseen")
                .help(format!("write `ws_failed{}: [\"rate < 1%\"]` beside it", braces(&population))),
        );
    }
}

/// Gates that count errors, by the first tag that they select: a plan may have a thousand of them.
struct OnErrors<'a> {
    /// One that sees nothing has an error of its own, and was meant for any of the latencies.
    meant: Vec<&'a resolved::Gate>,
    everywhere: Vec<&'a resolved::Gate>,
    by_tag: BTreeMap<(&'a str, &'a str), Vec<&'a resolved::Gate>>,
}

impl<'a> OnErrors<'a> {
    fn new(plan: &'a ResolvedPlan) -> Self {
        let mut out = OnErrors { meant: Vec::new(), everywhere: Vec::new(), by_tag: BTreeMap::new() };
        for gate in plan.gates.iter().filter(|gate| decides(&gate.gate) && counts_errors(&gate.gate, false)) {
            if !gate.reachable || blind(&gate.gate).is_some() {
                out.meant.push(gate);
            } else if let Some((tag, value)) = narrowing(gate).next() {
                out.by_tag.entry((tag, value)).or_default().push(gate);
            } else {
                out.everywhere.push(gate);
            }
        }
        out
    }

    /// Whether any of them counts the errors of every request of a population, over the same part of the load.
    fn count(&self, population: &BTreeMap<String, String>, all: bool, over: &Over) -> bool {
        let by_tag =
            population.iter().filter_map(|(tag, value)| self.by_tag.get(&(tag.as_str(), value.as_str())));
        let mut covering = by_tag.flatten().filter(|gate| covers(gate, population));
        let fits = |gate: &&resolved::Gate| {
            counts_errors(&gate.gate, all) && (sees_all(&gate.gate) || gate.gate.over == *over)
        };
        self.meant.iter().chain(&self.everywhere).any(fits) || covering.any(fits)
    }
}

/// Whether a gate fails when requests do. Server errors alone leave out refusals and what never arrived, and a latency
/// of what went well leaves out all three.
fn counts_errors(gate: &Gate, all: bool) -> bool {
    let upper = matches!(gate.op, Comparison::Lt | Comparison::Le | Comparison::Eq);
    let lower = matches!(gate.op, Comparison::Gt | Comparison::Ge | Comparison::Eq);
    match gate.metric.as_str() {
        "http_req_failed" => upper,
        "http_server_errors" => upper && !all,
        "checks" => lower,
        _ => false,
    }
}

/// Whether a gate looks at all of the load: a stage is a part of it.
fn sees_all(gate: &Gate) -> bool {
    !matches!(gate.over, Over::Stage { .. })
}

/// Whether a gate, with its siblings where it is one of `{tag:*}`, sees every request of the population.
fn covers(gate: &resolved::Gate, population: &BTreeMap<String, String>) -> bool {
    narrowing(gate).all(|(tag, value)| population.get(tag).is_some_and(|known| known == value))
}

/// The tags that a gate selects alone.
fn narrowing(gate: &resolved::Gate) -> impl Iterator<Item = (&str, &str)> {
    let tags = gate.gate.selector.iter().filter(|(tag, _)| !gate.spread.contains(*tag));
    tags.map(|(tag, value)| (tag.as_str(), value.as_str()))
}

fn braces(selector: &BTreeMap<String, String>) -> String {
    if selector.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = selector.iter().map(|(tag, value)| format!("{tag}:{value}")).collect();
    format!("{{{}}}", pairs.join(","))
}

fn show(selector: &BTreeMap<String, String>) -> String {
    match braces(selector) {
        braces if braces.is_empty() => braces,
        braces => format!(" (`{braces}`)"),
    }
}
