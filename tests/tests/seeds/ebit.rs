//! `plans/ebit/ramp.yaml`: 003.

use crate::short::{Short, broken_gates, judged};
use serde_json::{Value, json};
use tests::Out;

/// From the eighth stage on, so that a handful of players suffices for every window.
const RAMP: Short = Short {
    plan: "plans/ebit/ramp.yaml",
    set: &[
        "scale=0.006",
        "stage=10s",
        "smoke=20s",
        "think=500ms",
        "users=60",
        "hash_kib=64",
        "dice_ms=5",
        "p95_floor=100ms",
        "lateness=1s",
    ],
    service: "ebit",
    routes: "/api/casino",
};
const FROM_8: [&str; 2] = ["--from-stage", "8"];

fn stages(out: &Out) -> Vec<Value> {
    out.evidence()["load"]["stages"].as_array().expect("stages").clone()
}

/// What the evidence kept of a row of the matrix.
fn looked(out: &Out, row: &str) -> Value {
    let entries = out.evidence()["triage"].as_array().cloned().unwrap_or_default();
    entries.into_iter().find(|entry| entry["name"] == row).unwrap_or_else(|| panic!("no look for `{row}`"))
}

#[test]
fn a_casino_that_absorbs_every_step_is_green() {
    let (said, out) = RAMP.run(&FROM_8);
    said.expect_code(0).expect("pass");
    let held: Vec<_> =
        stages(&out).iter().filter(|it| it["outcome"] == "held").map(|it| it["number"].clone()).collect();
    assert_eq!(held, [8, 9, 10]);
    let users = std::fs::read_to_string(tests::root().join(".planc/ebit/users.json")).expect("the export");
    let users: Vec<Value> = serde_json::from_str(&users).expect("a list");
    assert_eq!(users.len(), 60);
}

#[test]
fn a_p95_that_still_climbs_halts_the_ramp() {
    // Slow enough that the hold tells of it before sign-in's own bound does.
    let fault = json!({ "path_prefix": "/api/casino", "latency": { "climb_ms_per_s": 18 } });
    let (said, out) = RAMP.broken_at("▸ players: stage 8", &FROM_8, fault);
    said.expect_code(99).expect("http_req_duration{scenario:players}");
    let last = stages(&out).last().cloned().expect("a stage");
    assert_eq!(last["outcome"], "never_settled", "{last:#}");
}

#[test]
fn a_queue_that_grows_halts_the_ramp() {
    let (said, out) = RAMP.run(&[FROM_8[0], FROM_8[1], "--set", "settle_rate=2"]);
    said.expect_code(99).expect("queue_depth");
    let last = stages(&out).last().cloned().expect("a stage");
    assert_eq!(last["outcome"], "never_settled", "{last:#}");
}

#[test]
fn handshakes_that_time_out_are_looked_into_and_halt() {
    let (said, out) = RAMP.broken_at("▶ players", &FROM_8, json!({ "path_prefix": "/ws", "hang": true }));
    said.expect_code(99).expect("WS handshakes time out");
    looked(&out, "WS handshakes time out");
}

#[test]
fn slow_sign_ins_abort_the_run() {
    let fault = json!({ "path_prefix": "/api/casino/signin", "latency": { "fixed_ms": 1500 } });
    let (said, out) = RAMP.broken_at("▶ players", &FROM_8, fault);
    said.expect_code(99);
    let broken = broken_gates(&out).join("\n");
    assert!(broken.contains("signin") && broken.contains("p(95) < 500ms"), "{broken}");
    let verdict = judged(&out);
    assert!(stages(&out).iter().all(|it| it["number"] != 10 || it["outcome"] != "held"), "{verdict:#}");
}

#[test]
fn refusals_of_a_throttle_are_told_as_an_artefact() {
    let (said, out) =
        RAMP.broken_at("▶ players", &FROM_8, json!({ "path_prefix": "/api/casino", "limited_share": 0.4 }));
    said.expect_code(99).expect("an artefact of the test");
    let broken = broken_gates(&out).join("\n");
    assert!(broken.contains("http_req_failed") && broken.contains("rate < 5%"), "{broken}");
}
