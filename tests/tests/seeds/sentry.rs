//! `plans/sentry/inbound.yaml`: 000.

use crate::short::{Short, broken_gates};
use serde_json::json;

/// Long enough for the 2,995 requests that an error rate under 0.1 % needs.
const GREEN: Short = Short {
    plan: "plans/sentry/inbound.yaml",
    set: &["warm_vus=20", "warm_up=20s", "climb=18s", "cool_down=2s", "lateness=250ms"],
    service: "sentry",
    routes: "/api/v1/inbound",
};
const RED: Short = Short { set: &["warm_up=2s", "climb=10s", "cool_down=1s", "lateness=250ms"], ..GREEN };

/// That these gates broke, and those did not.
fn broke(broken: &[String], wanted: &[&str], others: &[&str]) {
    for wanted in wanted {
        assert!(broken.iter().any(|gate| gate.contains(wanted)), "{wanted} did not break: {broken:#?}");
    }
    for other in others {
        assert!(!broken.iter().any(|gate| gate.contains(other)), "{other} broke as well: {broken:#?}");
    }
}

#[test]
fn the_inbound_burst_is_green() {
    let (said, out) = GREEN.run(&[]);
    let said = said.expect_code(0).expect("pass");
    assert!(!out.everything().contains("load-test-admin"), "the admin key is in an output");
    assert_eq!(out.evidence()["load"]["scenarios"]["burst"]["failed"], 0, "{}", said.all());
}

#[test]
fn a_leak_of_5xx_is_red() {
    let fault = json!({ "path_prefix": "/api/v1/inbound", "error_share": 0.05 });
    let (said, out) = RED.broken(&[], fault);
    said.expect_code(99).expect("status 500").expect("triage `a 5xx`");
    broke(&broken_gates(&out), &["http_server_errors", "http_req_failed"], &[]);
}

#[test]
fn one_slow_endpoint_is_red_by_its_own_name() {
    let fault = json!({ "path_prefix": "/api/v1/inbound/items", "latency": { "fixed_ms": 450.0 } });
    let (said, out) = RED.broken(&[], fault);
    said.expect_code(99);
    let others = ["customers", "vendors", "sales_orders", "purchase_orders", "http_server_errors"];
    broke(&broken_gates(&out), &["items"], &others);
}

#[test]
fn conflicts_of_the_wrong_kind_are_red() {
    let (said, out) = RED.broken(&[], json!({ "conflict_kind": true }));
    said.expect_code(99).expect("not met: `json $.error_kind equals stale_version`");
    broke(&broken_gates(&out), &["http_req_failed"], &["http_server_errors"]);
}

#[test]
fn a_source_system_without_a_mapping_document_does_not_boot() {
    let (said, _) = RED.run(&["--set", "source_system=other-erp"]);
    said.expect_code(116).expect("no mapping document for SOURCE_SYSTEM other-erp");
    let folder = tests::Out::new();
    let mapping = r#"{ "source_system": "other-erp", "resources": {} }"#;
    std::fs::write(folder.path().join("other-erp.json"), mapping).expect("written");
    let mappings = format!("mappings={}", folder.arg());
    let (said, _) = RED.run(&["--set", "source_system=other-erp", "--set", &mappings]);
    said.expect_code(116).expect("other-erp is not in inbound_source_systems_allowlist");
}

#[test]
fn a_forked_chain_is_red() {
    let (said, out) = RED.broken(&[], json!({ "chain_fork": true }));
    said.expect_code(99).expect("the audit chain is unbroken");
    broke(&broken_gates(&out), &["the audit chain is unbroken"], &["http_server_errors", "http_req_failed"]);
}
