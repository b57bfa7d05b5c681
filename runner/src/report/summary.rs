//! k6's `handleSummary` shape, so that whatever reads k6's summaries reads ours, and the verdict beside it.

use super::baseline;
use super::metrics::{self, Row};
use crate::evidence::{Evidence, HealthRecord, HealthSecond, LoadRecord, ScenarioRecord};
use crate::judge::{GateState, Unit, Verdict};
use planc::graph::MetricKind;
use serde_json::{Map, Value, json};

/// The summary as JSON.
pub(crate) fn render(evidence: &Evidence, verdict: &Verdict) -> String {
    let mut all = Map::new();
    for row in metrics::rows(evidence) {
        all.insert(row.subject.clone(), metric(&row));
    }
    for gate in &verdict.gates {
        let entry = all.entry(gate.subject()).or_insert_with(|| json!({ "values": {} }));
        let ok = gate.state == GateState::Pass;
        entry["thresholds"][&gate.text] = json!({ "ok": ok, "state": gate.state, "advisory": gate.advisory });
    }
    let checks: Vec<Value> = metrics::checks(evidence)
        .into_iter()
        .map(|(name, (passes, fails))| {
            let path = format!("::{name}");
            json!({ "name": name, "path": path, "id": id(&path), "passes": passes, "fails": fails })
        })
        .collect();
    let duration_ms = evidence.load.as_ref().map_or(0.0, |load| load.duration_us as f64 / 1e3);
    let summary = json!({
        "metrics": all,
        "root_group": { "name": "", "path": "", "id": id(""), "groups": [], "checks": checks },
        "state": { "isStdOutTTY": false, "isStdErrTTY": false, "testRunDurationMs": number(duration_ms) },
        "options": { "summaryTrendStats": metrics::TREND_STATS, "summaryTimeUnit": "", "noColor": false },
        "verdict": verdict,
        "load": evidence.load.as_ref().map(load),
        "generator": evidence.load.as_ref().map(|load| generator(&load.health)),
        "baseline": baseline::rows(evidence),
        "exemplars": evidence.load.as_ref().map(|load| &load.exemplars),
        "run": {
            "plan": evidence.graph.plan,
            "profile": evidence.graph.profile,
            "graph_id": evidence.graph_id,
            "run_id": evidence.run_id,
            "environment": evidence.environment,
            "overrides": evidence.overrides,
        },
    });
    // Pretty, since people read it and line-based tools compare it.
    let mut text = serde_json::to_string_pretty(&summary).unwrap_or_default();
    text.push('\n');
    text
}

/// What became of the iterations: planned = started + dropped, started = finished + failed + cut off.
fn load(load: &LoadRecord) -> Value {
    let sums = |record: &ScenarioRecord| {
        json!({
            "planned": record.planned,
            "started": record.started,
            "dropped": { "by_target": record.dropped_by_target, "by_generator": record.dropped_by_generator },
            "finished": record.finished,
            "failed": record.failed,
            "cut_off": record.interrupted,
            "censored_requests": record.censored,
        })
    };
    let scenarios: Map<String, Value> =
        load.scenarios.iter().map(|(name, record)| (name.clone(), sums(record))).collect();
    json!({ "all": sums(&load.sums()), "scenarios": scenarios })
}

/// The generator over the seconds of the load; the seconds themselves are in the evidence.
fn generator(health: &HealthRecord) -> Value {
    type Figure = fn(&HealthSecond) -> Option<u64>;
    let figures: [(&str, Figure); 11] = [
        ("start_lateness_p99_us", |s| s.starts_us.map(|[_, p99, _]| p99)),
        ("read_delay_p99_us", |s| s.reads_us.map(|[_, p99, _]| p99)),
        ("cpu_centicores", |s| s.cpu_centicores.map(u64::from)),
        ("busiest_core_percent", |s| s.cores_percent.iter().max().map(|percent| u64::from(*percent))),
        ("run_queue_ppm", |s| s.run_queue_ppm.map(u64::from)),
        ("steal_ppm", |s| s.steal_ppm.map(u64::from)),
        ("throttled_ppm", |s| s.throttled_ppm.map(u64::from)),
        ("pressure_ppm", |s| s.pressure_ppm.map(u64::from)),
        ("open_files", |s| Some(s.open_files)),
        ("connections", |s| Some(s.connections)),
        ("sockets", |s| s.sockets),
    ];
    let seconds: Map<String, Value> = figures
        .into_iter()
        .filter_map(|(name, figure)| {
            let (mean, max) = health.mean_and_max(figure)?;
            Some((name.to_owned(), json!({ "mean": mean, "max": max })))
        })
        .collect();
    json!({
        "workers": health.workers,
        "seconds": health.seconds.len(),
        "late_seconds": health.seconds.iter().filter(|second| second.late).count(),
        "by_second": seconds,
        "open_files_limit": health.open_files.map(|(_, limit)| limit),
        "ephemeral_ports": health.ports,
        "exhausted": health.exhausted,
    })
}

fn metric(row: &Row) -> Value {
    let (kind, contains) = match row.kind {
        MetricKind::TimeTrend => ("trend", "time"),
        MetricKind::Trend => ("trend", "default"),
        MetricKind::Rate => ("rate", "default"),
        MetricKind::Counter if row.metric.starts_with("data_") => ("counter", "data"),
        MetricKind::Counter => ("counter", "default"),
        MetricKind::Gauge => ("gauge", "default"),
    };
    let scale = if row.unit() == Unit::Time { 1e3 } else { 1.0 };
    let mut values = Map::new();
    for (name, value) in &row.values {
        // What lies above every bound has no number: null, and `infinite` says how many.
        values.insert((*name).to_owned(), number(value / scale));
    }
    if row.is_trend() {
        values.insert("count".into(), json!(row.samples));
        values.insert("infinite".into(), json!(row.infinite));
    }
    json!({ "type": kind, "contains": contains, "values": values })
}

/// As Go and JavaScript write it: whole numbers without a fraction.
fn number(value: f64) -> Value {
    match value {
        v if !v.is_finite() => Value::Null,
        v if v.fract() == 0.0 && v.abs() < 9e15 => json!(v as i64),
        v => json!(v),
    }
}

/// k6 takes MD5 of the path; all that anyone relies on is that it is stable and unique.
fn id(path: &str) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(path);
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
