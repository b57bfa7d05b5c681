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

/// One figure of a metric under any selector, `http_req_duration{name:bet}` and `p(95)`, and its unit: microseconds, a
/// share or a number. None where nothing was sampled.
///
/// # Errors
/// When the plan cannot emit such a sample, or the figure is none of this metric.
pub(crate) fn figure(
    evidence: &Evidence,
    subject: &str,
    stat: &str,
    stage: Option<u32>,
) -> Result<Option<(f64, Unit)>, String> {
    let (metric, selector) = parse_subject(subject)?;
    let load = evidence.load.as_ref();
    let populations: Vec<&Population> = load.iter().flat_map(|load| [&load.on_time, &load.late]).collect();
    let known = series(&populations).any(|series| series.metric == metric);
    let graph = &evidence.graph;
    if !known && !graph.metrics.contains_key(&metric) && !planc::is_built_in_metric(&metric) {
        return Err(format!("no metric is named `{metric}`"));
    }
    for (tag, value) in &selector {
        if let Some(values) = declared(graph, tag).filter(|values| !values.contains(value.as_str())) {
            let values: Vec<&str> = values.into_iter().collect();
            return Err(format!("nothing has `{tag}:{value}`; there are {}", values.join(", ")));
        }
    }
    let seconds = load.map_or(0.0, |load| load.duration_us as f64 / 1e6);
    let of: Vec<Series> = match stage {
        None => {
            let matching = |series: &&Series| {
                series.metric == metric
                    && selector.iter().all(|(tag, value)| series.tags.get(tag) == Some(value))
            };
            series(&populations).filter(matching).cloned().collect()
        }
        Some(stage) => of_stage(evidence, &metric, &selector, stage)?,
    };
    let row = fold(graph, metric, subject.to_owned(), of.iter(), seconds);
    let unit = if matches!(stat, "count" | "passes" | "fails") { Unit::Plain } else { row.unit() };
    if row.samples == 0 {
        return Ok(None);
    }
    if let Some(value) = row.values.get(stat) {
        return Ok(Some((*value, unit)));
    }
    match (row.is_trend(), stat, percent(stat)) {
        (true, "count", _) => Ok(Some((row.samples as f64, Unit::Plain))),
        (true, _, Some(millionths)) => {
            let mut trend = Distribution::default();
            for series in &of {
                if let Samples::Trend(samples) = &series.samples {
                    trend.add(samples);
                }
            }
            let scale = if row.kind == MetricKind::Trend { 1e3 } else { 1.0 };
            Ok(trend.percentile(millionths).map(|value| (value / scale, unit)))
        }
        _ => {
            let known: Vec<&str> = row.values.keys().copied().collect();
            Err(format!("`{}` has no figure `{stat}`; it has {}", row.metric, known.join(", ")))
        }
    }
}

/// `p(99.9)` in millionths of a percent.
fn percent(stat: &str) -> Option<i64> {
    let number = stat.strip_prefix("p(")?.strip_suffix(')')?;
    let fixed = planc::units::parse_fixed(number.trim()).ok()?;
    (0..=100_000_000).contains(&fixed.0).then_some(fixed.0)
}

/// Metric and tags of `metric{tag:value,…}`.
fn parse_subject(subject: &str) -> Result<(String, BTreeMap<String, String>), String> {
    let wrong = || format!("`{subject}` is not `metric` or `metric{{tag:value,other:value}}`");
    let (metric, rest) = match subject.split_once('{') {
        Some((metric, rest)) => (metric, rest.trim_end().strip_suffix('}').ok_or_else(wrong)?),
        None => (subject, ""),
    };
    let pairs = rest.split(',').filter(|pair| !pair.trim().is_empty());
    let tags: Option<BTreeMap<String, String>> = pairs
        .map(|pair| pair.split_once(':').map(|(tag, value)| (tag.trim().into(), value.trim().into())))
        .collect();
    Ok((metric.trim().to_owned(), tags.ok_or_else(wrong)?))
}

/// All values that a tag of the engine's own can have; none for tags whose values only the run knows.
fn declared<'g>(graph: &'g ExecutionGraph, tag: &str) -> Option<BTreeSet<&'g str>> {
    let mut out = BTreeSet::new();
    if tag == "scenario" {
        return Some(graph.scenarios.iter().map(|scenario| scenario.name.as_str()).collect());
    }
    let mut visit = |step: &'g planc::graph::Step| match (&step.kind, tag) {
        (planc::graph::StepKind::Http(http), "endpoint") => out.extend(http.endpoint.as_deref()),
        (_, "name") => drop(out.insert(step.name.as_str())),
        _ => {}
    };
    for scenario in &graph.scenarios {
        planc::graph::walk(&scenario.setup, &mut visit);
        planc::graph::walk(&scenario.steps, &mut visit);
    }
    matches!(tag, "endpoint" | "name").then_some(out)
}

/// What was kept of a stage: the run keeps apart what a gate with this `stage` looks at.
fn of_stage(
    evidence: &Evidence,
    metric: &str,
    selector: &BTreeMap<String, String>,
    stage: u32,
) -> Result<Vec<Series>, String> {
    let views = evidence.load.iter().flat_map(|load| &load.views);
    let view = views
        .filter(|view| view.metric == metric && view.selector == *selector)
        .find(|view| matches!(&view.over, planc::graph::Over::Stage { number, .. } if *number == stage));
    let view = view.ok_or_else(|| {
        let subject = subject(metric, selector);
        format!("stage {stage} of `{subject}` was not kept apart; a threshold with `stage: {stage}` keeps it")
    })?;
    let samples = view.parts.values().flat_map(|part| [&part.on_time, &part.late]).flatten();
    let series = samples.map(|samples| Series {
        metric: metric.to_owned(),
        tags: selector.clone(),
        samples: samples.clone(),
    });
    Ok(series.collect())
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
