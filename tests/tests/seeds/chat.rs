//! `plans/chat/{smoke,ramp}.yaml`: 004.

use crate::short::{Short, broken_gates};
use serde_json::json;

const SMOKE: Short = Short {
    plan: "plans/chat/smoke.yaml",
    set: &["duration=32s", "lateness=250ms"],
    service: "backend",
    routes: "/api/chat",
};
const RAMP: Short = Short {
    plan: "plans/chat/ramp.yaml",
    set: &["vus=60", "climb=3s", "hold=12s", "fall=2s", "lateness=250ms"],
    ..SMOKE
};

#[test]
fn smoke_is_green() {
    SMOKE.run(&["--profile", "mock"]).0.expect_code(0).expect("pass");
}

#[test]
fn the_ramp_is_green_with_either_way_to_sign_in() {
    RAMP.run(&["--profile", "mock"]).0.expect_code(0).expect("pass");
    let (said, out) = RAMP.run(&["--profile", "live", "--set", "login=per_vu"]);
    said.expect_code(0).expect("pass").expect("step `login` of `people` is switched off by the inputs");
    let evidence = out.evidence();
    let played = evidence["load"]["steps_played"].as_object().expect("steps");
    assert!(played.values().any(|n| n == 60), "60 sign-ins, one a user: {played:?}");
}

#[test]
fn a_login_without_csrf_token_is_red() {
    let (said, out) = RAMP.broken(&["--profile", "mock"], json!({ "csrf_missing": true }));
    said.expect_code(99).expect("csrf");
    let broken = broken_gates(&out).join("\n");
    assert!(broken.contains("checks") && broken.contains("auth"), "{broken}");
}

#[test]
fn a_provider_at_its_quota_is_red() {
    let fault = json!({ "path_prefix": "/api/chat", "limited_share": 0.2 });
    let (said, out) = RAMP.broken(&["--profile", "mock"], fault);
    said.expect_code(99).expect("triage `the provider refuses`");
    let broken = broken_gates(&out).join("\n");
    assert!(broken.contains("http_rate_limited"), "{broken}");
}

#[test]
fn accounts_that_were_never_registered_are_told_before_the_load() {
    let (said, out) = RAMP.run(&["--profile", "mock", "--skip-seed"]);
    said.expect_code(115).expect("every account of users.json exists").expect("runner seed");
    assert!(out.evidence()["load"].is_null(), "no load was sent");
}

#[test]
fn a_backend_that_is_not_for_tests_is_refused() {
    let (said, _) = RAMP.run(&["--set", "app_env=production"]);
    said.expect_code(113).expect("health is ok and the target is a test environment");
}
