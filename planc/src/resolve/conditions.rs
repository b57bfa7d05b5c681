//! Conditions on a metric: k6's grammar with units.

use super::Resolver;
use super::metrics;
use crate::ast;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::{Aggregate, Bound, Comparison, MetricKind};
use crate::near::nearest;
use crate::parse::unit_diagnostic;
use crate::source::Span;
use crate::units::{self, Fixed, UnitError};
use std::collections::BTreeMap;
use std::time::Duration;

/// A condition, read.
pub(super) struct Condition {
    pub(super) aggregate: Aggregate,
    pub(super) op: Comparison,
    pub(super) bound: Bound,
    pub(super) text: String,
}

/// The kind of a metric, the engine's own or declared.
pub(super) fn kind_of(metric: &str, custom: &BTreeMap<String, MetricKind>) -> Option<MetricKind> {
    metrics::built_in(metric).map(|(kind, _)| kind).or_else(|| custom.get(metric).copied())
}

impl Resolver<'_> {
    pub(super) fn unknown_metric(&mut self, metric: &ast::Word, custom: &BTreeMap<String, MetricKind>) {
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
pub(super) enum Problem {
    Grammar(String),
    Unit(String, UnitError),
    Misfit(String, String),
}

impl Problem {
    pub(super) fn diagnostic(self, span: Span) -> Diagnostic {
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
pub(super) fn read_condition(text: &str, kind: MetricKind) -> Result<Condition, Problem> {
    let grammar = || Problem::Grammar(format!("`{}` is not a threshold", text.trim()));
    let (left, op, right) = sides(text.trim()).ok_or_else(grammar)?;
    let (aggregate, name) =
        read_aggregate(left).ok_or_else(|| Problem::Grammar(format!("`{left}` is not an aggregate")))?;
    allowed(aggregate, kind, &name)?;
    let (bound, bound_text) = read_bound(right, aggregate, kind)?;
    let text = format!("{name} {} {bound_text}", op.as_str());
    Ok(Condition { aggregate, op, bound, text })
}

/// What stands before a comparison's sign, the sign, and what stands behind it.
pub(super) fn sides(text: &str) -> Option<(&str, Comparison, &str)> {
    let (left, rest) = text.split_at(text.find(['<', '>', '=', '!'])?);
    [
        ("===", Comparison::Eq),
        ("<=", Comparison::Le),
        (">=", Comparison::Ge),
        ("==", Comparison::Eq),
        ("!=", Comparison::Ne),
        ("<", Comparison::Lt),
        (">", Comparison::Gt),
    ]
    .into_iter()
    .find_map(|(sign, op)| rest.strip_prefix(sign).map(|right| (left.trim(), op, right.trim())))
}

/// `p(95)`, `p95`, `avg` … and how it is written in reports.
pub(super) fn read_aggregate(text: &str) -> Option<(Aggregate, String)> {
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
pub(super) fn allowed(aggregate: Aggregate, kind: MetricKind, name: &str) -> Result<(), Problem> {
    let (fits, what, those) = match kind {
        MetricKind::Counter => {
            (matches!(aggregate, Aggregate::Count | Aggregate::Rate), "a counter", "`count` and `rate`")
        }
        MetricKind::Rate => {
            (matches!(aggregate, Aggregate::Rate | Aggregate::Count), "a rate", "`rate` and `count`")
        }
        MetricKind::Gauge => (
            // Of gauges that are not scraped there is no mean; who resolves them tells so.
            matches!(aggregate, Aggregate::Value | Aggregate::Min | Aggregate::Max | Aggregate::Avg),
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
pub(super) fn read_bound(
    text: &str,
    aggregate: Aggregate,
    kind: MetricKind,
) -> Result<(Bound, String), Problem> {
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
pub(super) fn needed(aggregate: Aggregate, op: Comparison, bound: Bound, kind: MetricKind) -> u64 {
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

pub(super) fn upper(op: Comparison) -> bool {
    matches!(op, Comparison::Lt | Comparison::Le)
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
