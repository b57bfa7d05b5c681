//! The outline for programs. Durations are milliseconds.

use super::outline::{ScenarioOutline, outline};
use crate::graph::{ExecutionGraph, Json};
use serde_json::json;
use std::time::Duration;

pub(super) fn render(graph: &ExecutionGraph) -> String {
    let outline = outline(graph);
    let phases = outline.phases.iter().map(|phase| {
        let items = phase.items.iter().map(|(name, detail)| json!({ "name": name, "detail": detail }));
        json!({ "phase": phase.name, "items": items.collect::<Json>() })
    });
    let gates = outline.gates.iter().map(|(selector, condition, remark)| {
        json!({ "selector": selector, "condition": condition, "remark": remark })
    });
    let document = json!({
        "plan": outline.plan,
        "about": outline.about,
        "profile": outline.profile,
        "seed": outline.seed,
        "graph": outline.id,
        "phases": phases.collect::<Json>(),
        "scenarios": outline.scenarios.iter().map(scenario).collect::<Json>(),
        "gates": gates.collect::<Json>(),
        "totals": {
            "rows": outline.rows,
            "iterations": outline.iterations,
            "requests": { "least": outline.requests.0, "most": outline.requests.1 },
            "depends_on_latency": outline.unknown,
            "duration_ms": { "least": millis(outline.duration.0), "most": millis(outline.duration.1) },
        },
    });
    format!("{document:#}\n")
}

fn scenario(s: &ScenarioOutline) -> Json {
    json!({
        "name": s.name,
        "executor": s.executor,
        "smoke": s.smoke,
        "needs": s.needs,
        "start_ms": millis(s.start),
        "duration_ms": millis(s.duration),
        "duration_is_ceiling": s.ceiling,
        "shape": s.shape,
        "iterations": s.iterations,
        "requests": s.requests.map(|(least, most)| json!({ "least": least, "most": most })),
        "users": s.users,
        "draws": s.draws,
        "traces": s.traces,
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
