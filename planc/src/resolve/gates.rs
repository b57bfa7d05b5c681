//! Thresholds: k6's grammar with units, held against what the load can emit.

use super::Resolver;
use super::emits::{TagValue, emitters};
use super::index::Index;
use super::metrics::{self, Family, is_latency};
use super::over;
use crate::ast;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::graph::{self, Aggregate, Bound, Comparison, Demand, GateLevel, MetricKind, Over};
use crate::near::{listed, nearest};
use crate::parse::unit_diagnostic;
use crate::resolved::{Gate, ResolvedPlan};
use crate::source::Span;
use crate::units::{self, Fixed, UnitError};
use crate::yaml::TOO_LARGE;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A condition, read.
struct Condition {
    aggregate: Aggregate,
    op: Comparison,
    bound: Bound,
    text: String,
}

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
    // A stable sort: conditions under one selector stay in the order of writing.
    gates.sort_by(|a, b| (&a.gate.metric, &a.gate.selector).cmp(&(&b.gate.metric, &b.gate.selector)));
    for gate in &mut gates {
        gate.bare = gate.bare && is_time(&gate.gate.metric, &resolved.metrics);
    }
    resolved.gates = gates;
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

fn upper(op: Comparison) -> bool {
    matches!(op, Comparison::Lt | Comparison::Le)
}

fn is_time(metric: &str, custom: &BTreeMap<String, MetricKind>) -> bool {
    kind_of(metric, custom) == Some(MetricKind::TimeTrend)
}

fn kind_of(metric: &str, custom: &BTreeMap<String, MetricKind>) -> Option<MetricKind> {
    metrics::built_in(metric).map(|(kind, _)| kind).or_else(|| custom.get(metric).copied())
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
        let needed = needed(condition.aggregate, condition.op, condition.bound, kind);
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

    fn unknown_metric(&mut self, metric: &ast::Word, custom: &BTreeMap<String, MetricKind>) {
        // A metric whose declaration is wrong was reported there.
        if self.plan.metrics.iter().any(|declared| declared.name.value == metric.value) {
            return;
        }
        let message = format!("unknown metric `{}`", metric.value);
        let diagnostic = Diagnostic::error(codes::UNKNOWN_METRIC, metric.span, message);
        let known: Vec<&str> = metrics::names().chain(custom.keys().map(String::as_str)).collect();
        self.diagnostics.push(match nearest(&metric.value, known.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")).suggest(metric.span, near),
            None => diagnostic.help(format!("declare it under `metrics`, such as `{}: trend`", metric.value)),
        });
    }
}

/// What is wrong with a condition.
enum Problem {
    Grammar(String),
    Unit(String, UnitError),
    Misfit(String, String),
}

impl Problem {
    fn diagnostic(self, span: Span) -> Diagnostic {
        match self {
            Problem::Grammar(message) => Diagnostic::error(codes::BAD_THRESHOLD, span, message)
                .help("write a condition such as `p(95) < 500ms` or `rate < 1%`"),
            Problem::Unit(text, error) => unit_diagnostic(span, &text, error, false),
            Problem::Misfit(message, help) => {
                Diagnostic::error(codes::AGGREGATE_MISFIT, span, message).help(help)
            }
        }
    }
}

/// Reads `p(95) < 500ms`.
fn read_condition(text: &str, kind: MetricKind) -> Result<Condition, Problem> {
    let shown = text.trim();
    let grammar = || Problem::Grammar(format!("`{shown}` is not a threshold"));
    let at = shown.find(['<', '>', '=', '!']).ok_or_else(grammar)?;
    let (left, rest) = shown.split_at(at);
    let (op, right) = [
        ("===", Comparison::Eq),
        ("<=", Comparison::Le),
        (">=", Comparison::Ge),
        ("==", Comparison::Eq),
        ("!=", Comparison::Ne),
        ("<", Comparison::Lt),
        (">", Comparison::Gt),
    ]
    .into_iter()
    .find_map(|(sign, op)| rest.strip_prefix(sign).map(|right| (op, right.trim())))
    .ok_or_else(grammar)?;
    let (aggregate, name) = read_aggregate(left.trim())
        .ok_or_else(|| Problem::Grammar(format!("`{}` is not an aggregate", left.trim())))?;
    allowed(aggregate, kind, &name)?;
    let (bound, bound_text) = read_bound(right, aggregate, kind)?;
    let text = format!("{name} {} {bound_text}", op.as_str());
    Ok(Condition { aggregate, op, bound, text })
}

/// `p(95)`, `p95`, `avg` … and how it is written in reports.
fn read_aggregate(text: &str) -> Option<(Aggregate, String)> {
    let aggregate = match text {
        "avg" => Aggregate::Avg,
        "med" => Aggregate::Med,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        "rate" => Aggregate::Rate,
        "count" => Aggregate::Count,
        "value" => Aggregate::Value,
        _ => {
            let inner = text.strip_prefix('p')?.trim();
            let inner = match inner.strip_prefix('(') {
                Some(inner) => inner.strip_suffix(')')?,
                None => inner,
            };
            let percent = units::parse_fixed(inner).ok()?;
            if percent.0 <= 0 || percent.0 >= 100_000_000 {
                return None;
            }
            return Some((Aggregate::Percentile(percent), format!("p({percent})")));
        }
    };
    Some((aggregate, text.to_string()))
}

/// k6's table of aggregates for each kind of metric.
fn allowed(aggregate: Aggregate, kind: MetricKind, name: &str) -> Result<(), Problem> {
    let (fits, what, those) = match kind {
        MetricKind::Counter => {
            (matches!(aggregate, Aggregate::Count | Aggregate::Rate), "a counter", "`count` and `rate`")
        }
        MetricKind::Rate => {
            (matches!(aggregate, Aggregate::Rate | Aggregate::Count), "a rate", "`rate` and `count`")
        }
        MetricKind::Gauge => (
            matches!(aggregate, Aggregate::Value | Aggregate::Min | Aggregate::Max),
            "a gauge",
            "`value`, `min` and `max`",
        ),
        MetricKind::Trend | MetricKind::TimeTrend => (
            !matches!(aggregate, Aggregate::Rate | Aggregate::Value),
            "a trend",
            "`p(N)`, `avg`, `med`, `min`, `max` and `count`",
        ),
    };
    if fits {
        return Ok(());
    }
    Err(Problem::Misfit(format!("{what} has no `{name}`"), format!("{what} has {those}")))
}

/// The bound and how it is written.
fn read_bound(text: &str, aggregate: Aggregate, kind: MetricKind) -> Result<(Bound, String), Problem> {
    let unit = |error| Problem::Unit(text.to_string(), error);
    match (kind, aggregate) {
        (_, Aggregate::Count) => {
            // `data_sent: count < 10MiB` is a number of bytes.
            let number = match units::parse_size(text) {
                Ok(bytes) => {
                    i64::try_from(bytes).ok().and_then(|bytes| bytes.checked_mul(1_000_000)).map(Fixed)
                }
                Err(_) => None,
            };
            let number = match number {
                Some(number) => number,
                None => units::parse_fixed(text).map_err(unit)?,
            };
            Ok((Bound::Number(number), number.to_string()))
        }
        (MetricKind::Rate, _) => {
            let share = units::parse_share(text).map_err(unit)?;
            Ok((Bound::Share(share), share.to_string()))
        }
        (MetricKind::TimeTrend, _) => {
            // k6: a bare number is milliseconds.
            if let Ok(ms) = units::parse_fixed(text) {
                let nanos = u64::try_from(ms.0).map_err(|_| {
                    unit(UnitError { message: format!("`{text}` is not a duration"), suggestion: None })
                })?;
                let bound = Duration::from_nanos(nanos);
                return Ok((Bound::Duration(bound), units::show_duration(bound)));
            }
            let bound = units::parse_duration(text).map_err(unit)?;
            Ok((Bound::Duration(bound), units::show_duration(bound)))
        }
        (MetricKind::Counter, _) => {
            let number = match units::parse_rate(text) {
                Ok(rate) => Fixed((rate.per_second() * 1e6).round() as i64),
                Err(_) => units::parse_fixed(text).map_err(unit)?,
            };
            Ok((Bound::Number(number), format!("{number}/s")))
        }
        _ => {
            let number = units::parse_fixed(text).map_err(unit)?;
            Ok((Bound::Number(number), number.to_string()))
        }
    }
}

/// Samples that must all lie under the bound to claim it at 95 %.
fn needed(aggregate: Aggregate, op: Comparison, bound: Bound, kind: MetricKind) -> u64 {
    let claim = |share: f64| -> u64 {
        if share <= 0.0 || share >= 1.0 {
            return 1;
        }
        (0.05f64.ln() / share.ln()).ceil().max(1.0) as u64
    };
    match (aggregate, bound) {
        (Aggregate::Percentile(percent), _) => claim(percent.as_f64() / 100.0),
        (Aggregate::Med, _) => claim(0.5),
        (Aggregate::Rate, Bound::Share(share)) if kind == MetricKind::Rate && upper(op) => {
            claim(1.0 - share.as_f64())
        }
        _ => 1,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, kind: MetricKind) -> String {
        match read_condition(text, kind) {
            Ok(condition) => {
                let samples = needed(condition.aggregate, condition.op, condition.bound, kind);
                format!("{} [{samples}]", condition.text)
            }
            Err(problem) => {
                let mut sources = crate::source::SourceMap::default();
                let file = sources.add("", "");
                let diagnostic = problem.diagnostic(Span::new(file, 0..0));
                format!("{}: {}", diagnostic.code.name, diagnostic.message)
            }
        }
    }

    #[test]
    fn conditions() {
        let time = MetricKind::TimeTrend;
        assert_eq!(read("p(95)<500", time), "p(95) < 500ms [59]");
        assert_eq!(read(" p90 <= 1.5s ", time), "p(90) <= 1.5s [29]");
        assert_eq!(read("p(99) < 1s", time), "p(99) < 1s [299]");
        assert_eq!(read("p(99.9)<2000", time), "p(99.9) < 2s [2995]");
        assert_eq!(read("max<3s", time), "max < 3s [1]");
        assert_eq!(read("rate<0.001", MetricKind::Rate), "rate < 0.1% [2995]");
        assert_eq!(read("rate < 1%", MetricKind::Rate), "rate < 1% [299]");
        assert_eq!(read("rate>0.99", MetricKind::Rate), "rate > 99% [1]");
        assert_eq!(read("count>=10_000", MetricKind::Counter), "count >= 10000 [1]");
        assert_eq!(read("rate>150", MetricKind::Counter), "rate > 150/s [1]");
        assert_eq!(read("rate<5", MetricKind::Rate), "bad-value: a share is at most 100%, not `5`");
        assert_eq!(read("rate<5", time), "aggregate-misfit: a trend has no `rate`");
        assert_eq!(read("p(100)<5", time), "bad-threshold: `p(100)` is not an aggregate");
        assert_eq!(read("p(95) 500ms", time), "bad-threshold: `p(95) 500ms` is not a threshold");
        assert_eq!(
            read("p(95) < 5 parsecs", time),
            "bad-value: unknown unit of time `parsecs`: the units are `ms`, `s`, `m` and `h`"
        );
    }
}
