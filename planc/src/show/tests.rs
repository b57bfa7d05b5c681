//! Views of one graph, as snapshots.

use super::*;
use crate::graph::{Demand, RatePiece};
use crate::units::{Rate, parse_duration, parse_rate};
use serde_json::json;

fn duration(text: &str) -> serde_json::Value {
    serde_json::to_value(parse_duration(text).expect("a duration")).expect("json")
}

fn rate(text: &str) -> Rate {
    parse_rate(text).expect("a rate")
}

fn request(method: &str, url: &str) -> serde_json::Value {
    json!({"method": method, "url": [{"literal": url}], "query": {}, "headers": {}, "body": null,
        "timeout": null, "redirects": 10})
}

fn check(name: &str, probe: serde_json::Value, static_guard: bool) -> serde_json::Value {
    json!({"name": name, "probe": probe, "expect": [], "within": null, "fix": null, "override_env": null,
        "static_guard": static_guard})
}

fn http(id: u32, name: &str) -> serde_json::Value {
    json!({"id": id, "name": name, "tags": {}, "kind": {"http": {"request": request("POST", "/hb"),
        "endpoint": null, "token": null, "cookies": true, "expect": [], "capture": [], "record": [],
        "on_failure": "next_iteration"}}})
}

fn scenario(
    name: &str,
    executor: &str,
    demand: serde_json::Value,
    more: serde_json::Value,
) -> serde_json::Value {
    let mut scenario = json!({"name": name, "executor": executor, "demand": demand, "start_time": duration("0s"),
        "graceful_stop": duration("30s"), "needs": [], "smoke": false, "draw": [], "connections": "keep",
        "pause_on_failure": null, "setup": [], "steps": [http(0, "beat")], "tags": {}});
    scenario.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    scenario
}

fn graph() -> ExecutionGraph {
    let branches =
        json!([{"weight": 3, "steps": [http(2, "a")]}, {"weight": 1, "steps": [http(3, "b"), http(4, "c")]}]);
    let choose = json!({"id": 1, "name": "mix", "tags": {}, "kind": {"choose": branches}});
    let pieces = json!([
        {"target": rate("400/s"), "duration": duration("1m")},
        {"target": rate("400/s"), "duration": duration("2m")},
        {"target": rate("0/s"), "duration": duration("30s")},
    ]);
    let document = json!({
        "schema": 1, "plan": "agent-storm", "about": "agents heartbeating", "profile": "default", "seed": 42,
        "inputs": {}, "open_inputs": {}, "target": null, "database": null,
        "guards": [
            check("a test environment", json!({"http": request("GET", "/api/health")}), false),
            check("inputs are there", json!({"file": {"path": [{"literal": "x.json"}]}}), true),
        ],
        "services": [{"name": "postgres", "kind": {"postgres": {"database": "fleet_test", "keep": null, "settings": {}}}}],
        "fixtures": [{"name": "agents", "fixture": "agents", "about": "", "rows": 5000, "verify": [], "kind": {"table": {
            "table": "agents", "identity": ["id"], "on_conflict": "refresh", "adopt": false, "columns": {}}}}],
        "tokens": {"fleet": {"source": {"given": [{"slot": {"path": ["inputs", "api_key"]}}]}, "header": "authorization",
            "header_value": [], "scopes": ["agents.heartbeat"], "verify": null}},
        "preflight": [check("migrated", json!({"sql": {"statement": [{"literal": "select\n 1"}]}}), false)],
        "metrics": {}, "setup": [], "teardown": [],
        "scenarios": [
            scenario("browse", "ramping-vus", json!({"users": {"start_vus": 0, "graceful_ramp_down": duration("30s"),
                "pieces": [{"target": 50, "duration": duration("1m")}]}}), json!({"needs": ["storm"]})),
            scenario("probe", "shared-iterations", json!({"iterations": {"vus": 1, "iterations": 1, "shared": true,
                "max_duration": duration("10m")}}), json!({"smoke": true})),
            scenario("storm", "ramping-arrival-rate", json!({"arrivals": {"start_rate": rate("0/s"), "pieces": pieces,
                "pre_allocated_vus": 50, "max_vus": 800}}), json!({"steps": [choose],
                "draw": [{"binding": "agent", "fixture": "agents", "order": "round_robin"}]})),
        ],
        "gates": [{"metric": "http_req_duration", "selector": {"scenario": "storm"}, "text": "p(95) < 500ms",
            "aggregate": {"percentile": 95000000}, "op": "<", "bound": {"duration": duration("500ms")},
            "level": "required", "min_samples": 59, "abort_on_fail": false, "delay_abort_eval": duration("0s"),
            "confident": false, "drops": {}, "steps": []}],
        "health": {"lateness_p99": duration("10ms"), "achieved": 990000},
        "report": {"summary": null, "junit": null, "markdown": null, "html": null},
    });
    serde_json::from_value(document).expect("a graph")
}

/// A view, without the graph's id, which changes with every field of the format.
fn drawn(view: &str) -> String {
    let graph = graph();
    (format(view).expect("known").render)(&graph).replace(&graph.id(), "<id>")
}

#[test]
fn tree() {
    insta::assert_snapshot!(drawn("tree"));
}

#[test]
fn mermaid() {
    insta::assert_snapshot!(drawn("mermaid"));
}

#[test]
fn dot() {
    insta::assert_snapshot!(drawn("dot"));
}

#[test]
fn json() {
    insta::assert_snapshot!(drawn("json"));
}

#[test]
fn arrivals_are_the_integral_of_the_rate() {
    for (start, pieces, expected) in [
        ("167/s", vec![("167/s", "5m")], 50_100),
        ("0/s", vec![("100/s", "10s")], 500),
        ("0/s", vec![("100/s", "0s"), ("100/s", "10s")], 1_000),
        ("10/m", vec![("10/m", "90s")], 15),
        ("0/s", vec![], 0),
    ] {
        let pieces = pieces
            .into_iter()
            .map(|(target, time)| RatePiece {
                target: rate(target),
                duration: parse_duration(time).expect("a duration"),
                hold: None,
            })
            .collect();
        let demand = Demand::Arrivals { start_rate: rate(start), pieces, pre_allocated_vus: 1, max_vus: 1 };
        assert_eq!(arrivals(&demand), Some(expected), "{start}");
    }
}

#[test]
fn numbers_are_grouped() {
    for (n, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(crate::units::grouped(n), expected);
    }
}
