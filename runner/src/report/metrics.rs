//! The metrics of a run as rows: every metric over all its samples, and under each selector that a gate uses.

use crate::evidence::{Evidence, Population, Samples, Series};
use crate::judge::{Distribution, Unit, kind_of, show};
use planc::graph::subject;
use planc::graph::{ExecutionGraph, MetricKind};
use std::collections::{BTreeMap, BTreeSet};

/// Statistics of a trend, in the order in which they are shown.
pub(crate) const TREND_STATS: [&str; 7] = ["avg", "min", "med", "max", "p(90)", "p(95)", "p(99)"];

/// One metric under one selector.
pub(crate) struct Row {
    /// `http_req_duration{scenario:s}`.
    pub(crate) subject: String,
    /// The metric alone.
    pub(crate) metric: String,
    /// What it is.
    pub(crate) kind: MetricKind,
    /// Figures by name: microseconds, shares, numbers; infinite where a percentile lies above every bound.
    pub(crate) values: BTreeMap<&'static str, f64>,
    /// Samples.
    pub(crate) samples: u64,
    /// Of them above every bound.
    pub(crate) infinite: u64,
}

/// All rows, sorted by metric, the whole before its parts.
pub(crate) fn rows(evidence: &Evidence) -> Vec<Row> {
    let Some(load) = &evidence.load else { return Vec::new() };
    let populations = [&load.on_time, &load.late];
    let mut wanted: BTreeSet<(String, BTreeMap<String, String>)> =
        series(&populations).map(|series| (series.metric.clone(), BTreeMap::new())).collect();
    let present: BTreeSet<String> = wanted.iter().map(|(metric, _)| metric.clone()).collect();
    for gate in &evidence.graph.gates {
        if present.contains(&gate.metric) {
            wanted.insert((gate.metric.clone(), gate.selector.clone()));
        }
    }
    let seconds = load.duration_us as f64 / 1e6;
    let row = |(metric, selector): (String, BTreeMap<String, String>)| {
        let of = series(&populations).filter(|series| {
            series.metric == metric && selector.iter().all(|(tag, value)| series.tags.get(tag) == Some(value))
        });
        fold(&evidence.graph, metric.clone(), subject(&metric, &selector), of, seconds)
    };
    wanted.into_iter().map(row).collect()
}

/// Passed and failed samples of each named check.
pub(crate) fn checks(evidence: &Evidence) -> BTreeMap<String, (u64, u64)> {
    let mut out = BTreeMap::<String, (u64, u64)>::new();
    let Some(load) = &evidence.load else { return out };
    for series in series(&[&load.on_time, &load.late]).filter(|series| series.metric == "checks") {
        if let (Some(name), Samples::Rate { trues, total }) = (series.tags.get("check"), &series.samples) {
            let entry = out.entry(name.clone()).or_default();
            entry.0 += trues;
            entry.1 += total - trues;
        }
    }
    out
}

impl Row {
    /// Unit of a named figure.
    pub(crate) fn unit(&self) -> Unit {
        match self.kind {
            MetricKind::TimeTrend => Unit::Time,
            MetricKind::Rate => Unit::Share,
            _ => Unit::Plain,
        }
    }

    /// A named figure for people.
    pub(crate) fn text(&self, name: &str) -> String {
        self.values.get(name).map_or("–".into(), |value| show(*value, self.unit()))
    }

    /// All of it in one line, for metrics that are no trend.
    pub(crate) fn line(&self) -> String {
        let value = |name: &str| self.values.get(name).copied().unwrap_or_default();
        match self.kind {
            MetricKind::Rate => format!("{} ({:.0} of {})", self.text("rate"), value("passes"), self.samples),
            MetricKind::Counter if self.metric.starts_with("data_") => {
                format!("{} ({}/s)", bytes(value("count")), bytes(value("rate")))
            }
            MetricKind::Counter => {
                format!("{} ({}/s)", show(value("count"), Unit::Plain), show(value("rate"), Unit::Plain))
            }
            _ => format!(
                "{} (min {}, max {})",
                show(value("value"), Unit::Plain),
                show(value("min"), Unit::Plain),
                show(value("max"), Unit::Plain)
            ),
        }
    }

    /// Whether it is a distribution.
    pub(crate) fn is_trend(&self) -> bool {
        matches!(self.kind, MetricKind::Trend | MetricKind::TimeTrend)
    }
}

fn series<'a>(populations: &'a [&'a Population]) -> impl Iterator<Item = &'a Series> {
    populations.iter().flat_map(|population| &population.series)
}

fn fold<'a>(
    graph: &ExecutionGraph,
    metric: String,
    subject: String,
    series: impl Iterator<Item = &'a Series>,
    seconds: f64,
) -> Row {
    let kind = kind_of(graph, &metric);
    let mut row = Row { subject, metric, kind, values: BTreeMap::new(), samples: 0, infinite: 0 };
    let mut trend = Distribution::default();
    let (mut trues, mut sum, mut newest) = (0, 0.0, None);
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    for series in series {
        match &series.samples {
            Samples::Trend(samples) => trend.add(samples),
            Samples::Rate { trues: t, total } => {
                trues += t;
                row.samples += total;
            }
            Samples::Counter { sum_milli, count } => {
                sum += *sum_milli as f64 / 1e3;
                row.samples += count;
            }
            Samples::Gauge { last_milli, at_us, min_milli, max_milli, count } => {
                if newest.is_none_or(|(at, _)| *at_us >= at) {
                    newest = Some((*at_us, *last_milli as f64 / 1e3));
                }
                min = min.min(*min_milli as f64 / 1e3);
                max = max.max(*max_milli as f64 / 1e3);
                row.samples += count;
            }
        }
    }
    match kind {
        MetricKind::Trend | MetricKind::TimeTrend => {
            let scale = if kind == MetricKind::Trend { 1e3 } else { 1.0 };
            let p = |percent: i64| trend.percentile(percent * 1_000_000);
            let stats = [trend.mean(), trend.min(), p(50), trend.max(), p(90), p(95), p(99)];
            let named = TREND_STATS.into_iter().zip(stats);
            row.values = named.filter_map(|(name, value)| Some((name, value? / scale))).collect();
            (row.samples, row.infinite) = (trend.total(), trend.infinite);
        }
        MetricKind::Rate => {
            let share = if row.samples > 0 { trues as f64 / row.samples as f64 } else { 0.0 };
            let fails = (row.samples - trues) as f64;
            row.values = BTreeMap::from([("rate", share), ("passes", trues as f64), ("fails", fails)]);
        }
        MetricKind::Counter => {
            let rate = if seconds > 0.0 { sum / seconds } else { 0.0 };
            row.values = BTreeMap::from([("count", sum), ("rate", rate)]);
        }
        MetricKind::Gauge => {
            if let Some((_, last)) = newest {
                row.values = BTreeMap::from([("value", last), ("min", min), ("max", max)]);
            }
        }
    }
    row
}

fn bytes(count: f64) -> String {
    let mut value = count;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1_000.0 {
            return if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1_000.0;
    }
    format!("{value:.1} TB")
}
