//! What was measured as Prometheus series, with the names that k6's own remote write gives them, so that dashboards made
//! for k6 show it.

use super::stages;
use crate::evidence::{LoadRecord, Samples, Series};
use crate::judge::{Distribution, kind_of};
use planc::graph::{ExecutionGraph, MetricKind};
use std::collections::BTreeMap;

/// One series and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    /// Sorted by name, `__name__` among them.
    pub(crate) labels: Vec<(String, String)>,
    /// Its value.
    pub(crate) value: f64,
}

/// Figures of a trend and the end of their names.
const FIGURES: [(&str, Option<i64>); 4] =
    [("med", Some(50)), ("p90", Some(90)), ("p95", Some(95)), ("p99", Some(99))];

/// All series of a record, sums and percentiles since the load's start, and the stage of each scenario.
pub(super) fn points(graph: &ExecutionGraph, record: &LoadRecord, run_id: &str) -> Vec<Point> {
    let mut merged: BTreeMap<(&str, &BTreeMap<String, String>), Vec<&Series>> = BTreeMap::new();
    for series in record.on_time.series.iter().chain(&record.late.series) {
        merged.entry((&series.metric, &series.tags)).or_default().push(series);
    }
    let mut out = Vec::new();
    for ((metric, tags), series) in merged {
        let kind = kind_of(graph, metric);
        let mut push = |suffix: &str, value: f64| {
            let name = format!("k6_{metric}{suffix}");
            out.push(Point { labels: labels(&name, tags, run_id), value });
        };
        match kind {
            MetricKind::Counter => push("_total", series.iter().map(|one| counted(&one.samples)).sum()),
            MetricKind::Rate => {
                let shares = series.iter().map(|one| share(&one.samples));
                let (trues, total) = shares.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
                if total > 0 {
                    push("_rate", trues as f64 / total as f64);
                }
            }
            MetricKind::Gauge => {
                if let Some(value) = newest(&series) {
                    push("", value);
                }
            }
            MetricKind::Trend | MetricKind::TimeTrend => trend(&series, kind, &mut push),
        }
    }
    for (scenario, stage) in stages::current(graph, record) {
        let tags = BTreeMap::from([("scenario".to_owned(), scenario)]);
        out.push(Point { labels: labels("planc_stage", &tags, run_id), value: f64::from(stage) });
    }
    out
}

/// Times in seconds, as Prometheus has them. A series of failures alone has no finite time: it is in the counts.
fn trend(series: &[&Series], kind: MetricKind, push: &mut dyn FnMut(&str, f64)) {
    let mut all = Distribution::default();
    for one in series {
        if let Samples::Trend(samples) = &one.samples {
            all.add(samples);
        }
    }
    let scale = if kind == MetricKind::TimeTrend { 1e6 } else { 1e3 };
    let mut figure = |name: &str, value: Option<f64>| {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            push(&format!("_{name}"), value / scale);
        }
    };
    figure("avg", all.mean());
    figure("min", all.min());
    figure("max", all.max());
    for (name, percent) in FIGURES {
        figure(name, percent.and_then(|percent| all.percentile(percent * 1_000_000)));
    }
}

fn counted(samples: &Samples) -> f64 {
    match samples {
        Samples::Counter { sum_milli, .. } => *sum_milli as f64 / 1e3,
        _ => 0.0,
    }
}

fn share(samples: &Samples) -> (u64, u64) {
    match samples {
        Samples::Rate { trues, total } => (*trues, *total),
        _ => (0, 0),
    }
}

fn newest(series: &[&Series]) -> Option<f64> {
    let gauges = series.iter().filter_map(|one| match &one.samples {
        Samples::Gauge { last_milli, at_us, .. } => Some((*at_us, *last_milli as f64 / 1e3)),
        _ => None,
    });
    gauges.max_by_key(|(at_us, _)| *at_us).map(|(_, value)| value)
}

/// Tags as labels. `testid` is what k6's dashboards choose a run by.
fn labels(name: &str, tags: &BTreeMap<String, String>, run_id: &str) -> Vec<(String, String)> {
    let mut labels = BTreeMap::from([("__name__".to_owned(), plain(name)), ("testid".into(), run_id.into())]);
    for (tag, value) in tags.iter().filter(|(_, value)| !value.is_empty()) {
        labels.entry(plain(tag)).or_insert_with(|| value.clone());
    }
    labels.into_iter().collect()
}

/// Letters, digits and `_`, not beginning with a digit: all that Prometheus takes.
fn plain(name: &str) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let plain: String = name.chars().map(fine).collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) { format!("_{plain}") } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_k6s() {
        let graph = crate::testing::graph(Vec::new());
        let record = crate::testing::evidence(&graph).load.expect("load");
        let points = points(&graph, &record, "run-1");
        let value = |name: &str| {
            let is = |point: &&Point| point.labels.contains(&("__name__".into(), name.into()));
            points.iter().find(is).map(|point| point.value)
        };
        assert_eq!(value("k6_http_req_duration_p95"), Some(0.02), "times are in seconds");
        assert_eq!(value("k6_http_req_failed_rate"), Some(0.0));
        assert_eq!(value("k6_http_reqs_total"), Some(1_000.0));
        for point in &points {
            assert!(point.labels.is_sorted(), "{point:?}");
            assert!(point.labels.contains(&("testid".into(), "run-1".into())), "{point:?}");
        }
    }

    #[test]
    fn what_prometheus_does_not_take_is_made_plain() {
        let tags = BTreeMap::from([("order-kind".into(), "a b".into()), ("9".into(), "x".into())]);
        let labels = labels("k6_x", &tags, "r");
        let names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["_9", "__name__", "order_kind", "testid"]);
    }
}
