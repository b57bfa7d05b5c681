//! Thresholds: k6's grammar with units, held against what the load can emit.

use super::Resolver;
use super::conditions::{kind_of, needed, read_condition, upper};
use super::emits::{TagValue, emitters};
use super::index::Index;
use super::metrics::{self, Family, is_latency};
use super::over;
use super::scrapes;
use crate::ast;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::graph::{self, Aggregate, Bound, Demand, GateLevel, MetricKind, MetricRef, Over};
use crate::near::listed;
use crate::resolved::{Gate, ResolvedPlan, decides};
use crate::source::Span;
use crate::units;
use crate::yaml::TOO_LARGE;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A threshold of which both halves could be read.
struct Written<'a> {
    selector: &'a ast::Selector,
    text: &'a ast::Text,
    own_min_samples: bool,
    needed: u64,
}

/// Fills in the plan's gates, in the order of metric, selector and position.
pub(crate) fn resolve(plan: &ast::Plan, resolved: &mut ResolvedPlan, diagnostics: &mut Diagnostics) {
    let emitters = emitters(resolved);
    let index = Index::new(&emitters);
    let mut gates: Vec<Gate> = Vec::new();
    for threshold in &plan.thresholds {
        let inputs = std::mem::take(&mut resolved.inputs);
        let mut resolver = Resolver::new(plan, inputs, diagnostics);
        resolver.at.place = "gate".into();
        let read = resolver.threshold(threshold, &resolved.metrics);
        let part = resolver.part_asked(threshold);
        let Resolver { inputs, used, .. } = resolver;
        resolved.inputs = inputs;
        resolved.used.inputs.extend(used.inputs);
        resolved.used.told.extend(used.told.iter().cloned());
        let (Some((gate, needed)), Some(part), Some(selector), Some(text)) =
            (read, part, &threshold.selector, &threshold.text)
        else {
            resolved.lost.thresholds = true;
            continue;
        };
        let written = Written { selector, text, own_min_samples: threshold.min_samples.is_some(), needed };
        let selectors = expand(selector, &index, diagnostics);
        // A gate that was meant and cannot be expanded is no gate that is missing.
        resolved.lost.thresholds |= selectors.is_empty();
        for selector in selectors {
            let mut gate = reach(&written, graph::Gate { selector, ..gate.clone() }, &index, resolved);
            gate.hangs.clone_from(&used.hangs);
            match over::part(threshold, &part, &gate, resolved, diagnostics) {
                Some(part) => gate.gate.over = part,
                None => {
                    resolved.lost.thresholds = true;
                    break;
                }
            }
            gates.push(gate);
        }
    }
    for reference in &mut resolved.references {
        let MetricRef { metric, selector, .. } = &reference.number;
        let sources = index.sources(&metrics::family(metric), selector);
        reference.reachable = !sources.is_empty();
        let mut expected = BTreeMap::new();
        for source in &sources {
            if let Some(scenario) = &source.scenario {
                let sum = expected.entry(scenario.clone()).or_insert(0_u64);
                *sum = sum.saturating_add(source.weight);
            }
        }
        reference.expected = sources.iter().all(|source| source.counted).then_some(expected);
    }
    searches(plan, resolved, &gates, diagnostics);
    // A stable sort: conditions under one selector stay in the order of writing.
    gates.sort_by(|a, b| (&a.gate.metric, &a.gate.selector).cmp(&(&b.gate.metric, &b.gate.selector)));
    for gate in &mut gates {
        gate.bare = gate.bare && is_time(&gate.gate.metric, &resolved.metrics);
    }
    resolved.gates = gates;
}

/// A search for the highest rate that holds needs a gate that can break.
fn searches(plan: &ast::Plan, resolved: &ResolvedPlan, gates: &[Gate], diagnostics: &mut Diagnostics) {
    let written = |name: &str| plan.scenarios.iter().any(|scenario| scenario.name.value == name);
    let lost = resolved.lost.thresholds || resolved.lost.steps;
    let searches = resolved.scenarios.iter().filter(|s| s.scenario.find_max.is_some() && s.sound && !lost);
    for search in searches.filter(|search| written(&search.scenario.name)) {
        let name = &search.scenario.name;
        let own = |gate: &Gate| gate.gate.over == Over::EachStage(name.clone()) && decides(&gate.gate);
        if !gates.iter().any(own) {
            let message = format!("`{name}` raises its rate until a gate of its own breaks, and it has none");
            diagnostics.push(
                Diagnostic::error(codes::BAD_DEMAND, search.span, message).help(format!(
                    "write one, such as `http_req_duration{{scenario:{name}}}: p(95) < 500ms`"
                )),
            );
        }
    }
}

/// The smaller of 10 ms and a tenth of the tightest latency bound, never under 1 ms.
pub(crate) fn default_lateness<'g>(gates: impl IntoIterator<Item = &'g graph::Gate>) -> Duration {
    let bounds = gates.into_iter().filter_map(|gate| match gate.bound {
        Bound::Duration(bound) if is_latency(&gate.metric) && upper(gate.op) => Some(bound),
        _ => None,
    });
    let tenth = bounds.min().map_or(Duration::MAX, |bound| bound / 10);
    tenth.clamp(Duration::from_millis(1), Duration::from_millis(10))
}

fn is_time(metric: &str, custom: &BTreeMap<String, MetricKind>) -> bool {
    kind_of(metric, custom) == Some(MetricKind::TimeTrend)
}

impl Resolver<'_> {
    fn threshold(
        &mut self,
        threshold: &ast::Threshold,
        custom: &BTreeMap<String, MetricKind>,
    ) -> Option<(graph::Gate, u64)> {
        let text = threshold.text.as_ref().and_then(|text| match text.parsed.value.as_literal() {
            Some(literal) => Some(literal.to_string()),
            None => self.known_text(text, "a bound"),
        });
        let delay = self.typed_or(threshold.delay_abort_eval.as_ref(), Duration::ZERO);
        let abort_on_fail = self.typed_or(threshold.abort_on_fail.as_ref(), false);
        let confident = self.typed_or(threshold.confident.as_ref(), false);
        let min_samples = threshold.min_samples.as_ref().and_then(|samples| self.typed(samples));
        let metric = &threshold.selector.as_ref()?.metric;
        let Some(kind) = kind_of(&metric.value, custom) else {
            self.unknown_metric(metric, custom);
            return None;
        };
        let condition = match read_condition(&text?, kind) {
            Ok(condition) => condition,
            Err(problem) => {
                let written = threshold.text.as_ref()?;
                let diagnostic = self.with_origin(problem.diagnostic(written.span), written);
                self.diagnostics.push(diagnostic);
                return None;
            }
        };
        let scraped = self.is_scraped(&metric.value);
        self.has_mean(&metric.value, kind, condition.aggregate, threshold.text.as_ref()?.span)?;
        let needed = match scraped {
            true => scrapes::NEEDED,
            false => needed(condition.aggregate, condition.op, condition.bound, kind),
        };
        let gate = graph::Gate {
            metric: metric.value.clone(),
            selector: BTreeMap::new(),
            text: condition.text,
            aggregate: condition.aggregate,
            op: condition.op,
            bound: condition.bound,
            level: threshold.level.map_or(GateLevel::Required, |level| level.value),
            min_samples: min_samples.unwrap_or(needed),
            abort_on_fail,
            delay_abort_eval: delay,
            confident,
            drops: BTreeMap::new(),
            steps: Vec::new(),
            over: Over::Load,
        };
        Some((gate, needed))
    }
}

/// So many gates of one condition nobody reads.
const MAX_SELECTORS: usize = 10_000;

/// One selector for each combination of values that `*` stands for.
fn expand(
    selector: &ast::Selector,
    index: &Index<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<BTreeMap<String, String>> {
    let family = metrics::family(&selector.metric.value);
    let mut out: Vec<BTreeMap<String, String>> = vec![BTreeMap::new()];
    for (tag, value) in selector.tags.iter().filter(|(_, value)| value.value != "*") {
        out[0].insert(tag.value.clone(), value.value.clone());
    }
    for (tag, value) in selector.tags.iter().filter(|(_, value)| value.value == "*") {
        let mut next = Vec::new();
        for selector in &out {
            let sources = index.sources(&family, selector).into_iter();
            let mut values: Vec<String> = Vec::new();
            for known in sources.filter_map(|emitter| emitter.tags.get(&tag.value)) {
                match known {
                    TagValue::Plan(known) => values.extend(known.iter().cloned()),
                    _ => {
                        diagnostics.push(open_wildcard(tag, value.span, known));
                        return Vec::new();
                    }
                }
            }
            values.sort();
            values.dedup();
            if values.is_empty() {
                // Left as it is, for `vacuous-threshold` to tell that nothing carries the tag.
                values.push("*".into());
            }
            next.extend(values.into_iter().map(|value| {
                let mut selector = selector.clone();
                selector.insert(tag.value.clone(), value);
                selector
            }));
            if next.len() > MAX_SELECTORS {
                let message = format!("`*` stands for more than {MAX_SELECTORS} combinations of values");
                diagnostics.push(
                    Diagnostic::error(TOO_LARGE, value.span, message)
                        .help("select one tag at a time, or name the values that matter"),
                );
                return Vec::new();
            }
        }
        out = next;
    }
    out
}

fn open_wildcard(tag: &ast::Word, span: Span, known: &TagValue) -> Diagnostic {
    let message = format!("`*` needs to know which values `{}` takes", tag.value);
    let diagnostic = Diagnostic::error(codes::OPEN_WILDCARD, span, message);
    match known {
        TagValue::Open { .. } => {
            diagnostic.note("its text is made by the run, from what only the run knows").help(format!(
                "declare them where the tag is set, `{}: {{ value: …, values: [a, b] }}`",
                tag.value
            ))
        }
        TagValue::Engine(values) => {
            diagnostic.help(format!("name one of {}", listed(values.iter().copied(), "or")))
        }
        _ => diagnostic.help("name the value"),
    }
}

/// Finds out which steps can emit into a gate, and what drops mean to it.
fn reach(written: &Written<'_>, mut gate: graph::Gate, index: &Index<'_>, plan: &ResolvedPlan) -> Gate {
    let family = metrics::family(&gate.metric);
    let sources = index.sources(&family, &gate.selector);
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for source in &sources {
        gate.steps.extend(source.step);
        if let Some(scenario) = &source.scenario {
            let sum = expected.entry(scenario.clone()).or_insert(0);
            *sum = sum.saturating_add(source.weight);
        }
    }
    gate.steps.sort();
    gate.steps.dedup();
    gate.drops = drops(&gate, &family, &expected, plan);
    let tag_spans = written
        .selector
        .tags
        .iter()
        .map(|(tag, value)| (tag.value.clone(), (tag.span, value.span)))
        .collect();
    let stars = written.selector.tags.iter().filter(|(_, value)| value.value == "*");
    let spread = stars.map(|(tag, _)| tag.value.clone()).collect();
    let bare = written
        .text
        .parsed
        .value
        .as_literal()
        .and_then(|text| text.rsplit(['<', '>', '=', '!']).next())
        .is_some_and(|bound| units::parse_fixed(bound).is_ok());
    Gate {
        hangs: BTreeSet::new(),
        reachable: !sources.is_empty(),
        counted: sources.iter().all(|source| source.counted),
        gate,
        span: written.text.span,
        metric_span: written.selector.metric.span,
        tag_spans,
        spread,
        bare,
        own_min_samples: written.own_min_samples,
        needed: written.needed,
        expected,
    }
}

/// Dropped iterations that enter a gate: those of open models and those that `max_duration` left over, in gates on latency that do not select by what came back.
fn drops(
    gate: &graph::Gate,
    family: &Family,
    expected: &BTreeMap<String, u64>,
    plan: &ResolvedPlan,
) -> BTreeMap<String, u64> {
    let by_answer = ["outcome", "status", "error_code", "proto", "expected_response"];
    let of_samples =
        matches!(gate.aggregate, Aggregate::Percentile(_) | Aggregate::Med | Aggregate::Max | Aggregate::Avg);
    if !is_latency(&gate.metric)
        || !of_samples
        || *family == Family::Run
        || gate.selector.keys().any(|tag| by_answer.contains(&tag.as_str()))
    {
        return BTreeMap::new();
    }
    let counted = |name: &String| {
        plan.scenario(name).is_some_and(|s| !matches!(s.scenario.demand, Demand::Users { .. }))
    };
    expected
        .iter()
        .filter(|(name, weight)| **weight > 0 && counted(name))
        .map(|(n, w)| (n.clone(), *w))
        .collect()
}
