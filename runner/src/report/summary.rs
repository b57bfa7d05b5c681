//! k6's `handleSummary` shape, so that whatever reads k6's summaries reads ours, and the verdict beside it.

use super::metrics::{self, Row};
use crate::evidence::Evidence;
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
        "state": { "isStdOutTTY": false, "isStdErrTTY": false, "testRunDurationMs": duration_ms },
        "options": { "summaryTrendStats": metrics::TREND_STATS, "summaryTimeUnit": "", "noColor": false },
        "verdict": verdict,
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

fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 && value.is_finite() {
        return json!(value as i64);
    }
    if value.is_finite() { json!(value) } else { Value::Null }
}

/// k6 takes MD5 of the path; all that anyone relies on is that it is stable and unique.
fn id(path: &str) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(path);
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
