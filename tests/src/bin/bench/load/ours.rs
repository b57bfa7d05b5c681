//! Our own run: its command, and what its evidence tells.

use super::told::Told;
use super::{Mode, Task, text};
use crate::process::Finished;
use runner::evidence::{Evidence, LoadRecord, Samples, Trend};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

pub(super) fn command(task: &Task) -> Result<Command, String> {
    let plan = match task.mode {
        Mode::Bare => "bare.yaml",
        Mode::Full => "full.yaml",
        Mode::Open => "open.yaml",
        Mode::Many if task.ca.is_some() => "many-tls.yaml",
        Mode::Many => "many.yaml",
        Mode::Start => "one.yaml",
    };
    let mut command = Command::new(task.bin.join("runner"));
    // Files of a run before it must not be taken for those of this one.
    for name in ["evidence.json", "summary.json"] {
        let _ = std::fs::remove_file(task.out.join(name));
    }
    command.args(["apply", text(&task.plans.join(plan))?, "--quiet", "--workers", "1"]);
    command.args(["--out", text(task.out)?]).env("PLANC_HISTORY", task.out.join("history"));
    let mut set = vec![("base_url", task.url.clone())];
    if task.mode != Mode::Start {
        set.push(("vus", task.connections.to_string()));
        set.push(("duration", format!("{}s", task.seconds)));
    }
    if task.mode == Mode::Open {
        set.push(("rate", format!("{}/s", task.rate)));
    }
    if let (Mode::Many, Some(ca)) = (task.mode, &task.ca) {
        set.push(("ca", text(ca)?.to_owned()));
    }
    for (name, value) in set {
        command.args(["--set", &format!("{name}={value}")]);
    }
    Ok(command)
}

/// What the run left behind, whatever its verdict: what it says against itself is told as it says it.
pub(super) fn told(finished: &Finished, task: &Task) -> Result<Told, String> {
    let evidence: Evidence = read(&task.out.join("evidence.json"))?;
    let summary: Value = read(&task.out.join("summary.json"))?;
    let load = evidence.load.ok_or_else(|| format!("no load: {}", finished.said))?;
    let mut told = of(&load);
    told.complaints = complaints(&summary["verdict"]);
    Ok(told)
}

/// The figures of a load.
fn of(load: &LoadRecord) -> Told {
    let all = || load.on_time.series.iter().chain(&load.late.series);
    let duration = trend(all().filter(|s| s.metric == "http_req_duration").map(|series| &series.samples));
    let failed = all().filter(|series| series.metric == "http_req_failed").map(|series| &series.samples);
    let failed: u64 = failed.map(|s| if let Samples::Rate { trues, .. } = s { *trues } else { 0 }).sum();
    let sums = load.sums();
    let lateness = &load.health.lateness;
    let ms = |us: u64| us as f64 / 1e3;
    let open = |us: Option<u64>| us.filter(|_| !lateness.buckets.is_empty()).map(|us| us as f64);
    Told {
        requests: count(&duration) as f64,
        seconds: load.duration_us as f64 / 1e6,
        failed: (failed + sums.dropped_by_target + sums.dropped_by_generator) as f64,
        p50_ms: quantile(&duration, 0.5).map(ms),
        p99_ms: quantile(&duration, 0.99).map(ms),
        lateness_p50_us: open(quantile(lateness, 0.5)),
        lateness_p99_us: open(quantile(lateness, 0.99)),
        lateness_max_us: open(Some(lateness.max)),
        beside: load.scenarios.len() as f64,
        ..Told::default()
    }
}

/// What the verdict says of the generator and of the load; gates are no matter of a benchmark.
fn complaints(verdict: &Value) -> Vec<String> {
    let causes = verdict["causes"].as_array().into_iter().flatten();
    let causes = causes.filter(|cause| cause["kind"] != "gate").map(|cause| &cause["text"]);
    let warnings = verdict["warnings"].as_array().into_iter().flatten();
    causes.chain(warnings).filter_map(|text| Some(text.as_str()?.to_owned())).collect()
}

fn trend<'a>(samples: impl Iterator<Item = &'a Samples>) -> Trend {
    let mut buckets = BTreeMap::new();
    let mut sum = Trend::default();
    for samples in samples {
        let Samples::Trend(trend) = samples else { continue };
        for (value, count) in &trend.buckets {
            *buckets.entry(*value).or_insert(0) += count;
        }
        sum.infinite += trend.infinite;
    }
    Trend { buckets: buckets.into_iter().collect(), ..sum }
}

fn count(trend: &Trend) -> u64 {
    trend.infinite + trend.buckets.iter().map(|(_, count)| count).sum::<u64>()
}

/// Of all samples, those above every bound included: `None` where it is one of those.
fn quantile(trend: &Trend, q: f64) -> Option<u64> {
    let rank = ((count(trend) as f64 * q).ceil() as u64).max(1);
    let mut seen = 0;
    trend.buckets.iter().find_map(|(value, count)| {
        seen += count;
        (seen >= rank).then_some(*value)
    })
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runner::evidence::{Population, Series};
    use serde_json::json;

    #[test]
    fn times_of_all_seconds_and_requests_without_an_answer_count() {
        let times = |buckets: &[(u64, u64)], infinite| Series {
            metric: "http_req_duration".into(),
            tags: BTreeMap::new(),
            samples: Samples::Trend(Trend { buckets: buckets.to_vec(), infinite, ..Trend::default() }),
        };
        let mut load = LoadRecord {
            duration_us: 2_000_000,
            on_time: Population { series: vec![times(&[(1_000, 50), (3_000, 48)], 0)] },
            late: Population { series: vec![times(&[(2_000, 2)], 0)] },
            ..LoadRecord::default()
        };
        let told = of(&load);
        assert_eq!((told.requests, told.seconds, told.rate()), (100.0, 2.0, 50.0));
        assert_eq!((told.p50_ms, told.p99_ms, told.lateness_p99_us), (Some(1.0), Some(3.0), None));
        load.late.series = vec![times(&[], 2)];
        load.health.lateness = Trend { buckets: vec![(60, 99), (200, 1)], max: 190, ..Trend::default() };
        let told = of(&load);
        assert_eq!((told.p50_ms, told.p99_ms), (Some(1.0), None), "the slowest of a hundred has no time");
        assert_eq!((told.lateness_p50_us, told.lateness_max_us), (Some(60.0), Some(190.0)));
    }

    #[test]
    fn only_gates_are_no_complaints() {
        let verdict = json!({
            "causes": [{ "kind": "gate", "text": "p(99) broke" }, { "kind": "generator", "text": "late" }],
            "warnings": ["a core was busy"],
        });
        assert_eq!(complaints(&verdict), ["late", "a core was busy"]);
    }
}
