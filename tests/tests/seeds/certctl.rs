//! Seed 001: each plan green against a healthy service in a shortened form, and red for what its document fears.

use crate::short::Short;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tests::{Out, Said, alone, binary, command, run};

/// Shortened to what the gates' floors allow; the machine is shared, so lateness is not what is tested.
const BULK: [&str; 3] = ["rate=10/s", "duration=30s", "lateness=5s"];
const BURST: [&str; 4] = ["vus=40", "duration=20s", "ari_limit=80", "lateness=5s"];
const STORM: [&str; 2] = ["duration=20s", "lateness=5s"];
const ORDERS: [&str; 4] = ["vus=60", "duration=30s", "forgeries=4/s", "lateness=5s"];
const SHAKES: [&str; 3] = ["rate=20/s", "duration=16s", "lateness=5s"];

/// A server with a fault from the start, as the program that a plan starts.
struct Faulty(tempfile::TempDir);

impl Faulty {
    fn new(fault: &Value) -> Faulty {
        let folder = tempfile::Builder::new().prefix("planc-test-faulty").tempdir().expect("a folder");
        let path = folder.path().join("server");
        let program = binary("proving-ground");
        let script = format!("#!/bin/sh\nexec '{}' --fault '{fault}' \"$@\"\n", program.display());
        std::fs::write(&path, script).expect("a script");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("chmod");
        Faulty(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("server")
    }
}

fn apply(plan: &str, fault: Option<Value>, set: &[&str]) -> (Out, Said) {
    let _alone = alone();
    let faulty = fault.as_ref().map(Faulty::new);
    let server = faulty.as_ref().map_or_else(|| binary("proving-ground"), Faulty::path);
    let out = Out::new();
    let mut runner = command("runner");
    runner.args(["apply", &format!("plans/certctl/{plan}.yaml"), "--out", out.arg()]);
    runner.args(["--set", &format!("server={}", server.display())]);
    if plan == "handshakes" {
        runner.args(["--set", &format!("ca={}", out.path().join("ca").display())]);
    }
    for input in set {
        runner.args(["--set", input]);
    }
    let said = run(&mut runner);
    (out, said)
}

/// The sum of a counter over a run's series.
fn sum(out: &Out, metric: &str) -> f64 {
    let text = std::fs::read_dir(out.path()).expect("the folder").flatten();
    let summary = text
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("summary-")));
    let text = std::fs::read_to_string(summary.expect("a summary")).expect("it can be read");
    let summary: Value = serde_json::from_str(&text).expect("JSON");
    summary["metrics"][metric]["values"]["count"].as_f64().unwrap_or(0.0)
}

#[test]
fn a_bulk_renewal_takes_all_that_it_matched() {
    let (out, said) = apply("bulk-renew", None, &BULK);
    said.expect_code(0).expect("certificates_left_out");
    assert_eq!(out.evidence()["load"]["scenarios"]["bulk_renewal"]["started"], 300);
}

#[test]
fn fifty_of_ten_thousand_is_red() {
    let (out, said) = apply("bulk-renew", Some(json!({ "certctl": { "renew_at_most": 50 } })), &BULK);
    said.expect_code(99).expect("certificates_left_out");
    assert!(sum(&out, "certificates_left_out") > 1_000.0);
}

#[test]
fn an_acme_burst_is_refused_in_the_shape_of_the_rfc() {
    let (out, said) = apply("acme-burst", None, &BURST);
    said.expect_code(0).expect("acme_rate_limit_shape_wrong");
    assert!(sum(&out, "http_reqs") > 1_000.0);
}

#[test]
fn a_refusal_of_another_shape_is_red() {
    let set = ["vus=40", "duration=20s", "ari_limit=40", "lateness=5s"];
    let (out, said) = apply("acme-burst", Some(json!({ "certctl": { "limit_shape": true } })), &set);
    said.expect_code(99).expect("acme_rate_limit_shape_wrong");
    assert!(sum(&out, "acme_rate_limit_shape_wrong") > 0.0);
}

#[test]
fn a_storm_of_agents_reaches_each_row_at_most_once_before_any_twice() {
    let (out, said) = apply("agent-storm", None, &STORM);
    said.expect_code(0).expect("agents");
    let coverage = out.evidence()["load"]["scenarios"]["agent_storm"]["coverage"]["agent"].clone();
    assert_eq!((&coverage["rows"], &coverage["most_hits"]), (&json!(5_000), &json!(1)), "{coverage}");
    assert!(coverage["distinct"].as_u64().is_some_and(|rows| rows > 3_000), "{coverage}");
}

#[test]
fn heartbeats_that_fail_are_red() {
    // The rehearsal's own heartbeat is the first throw, and comes through.
    let fault = json!({ "path_prefix": "/api/v1/agents", "error_share": 0.05, "seed": 2 });
    let (_, said) = apply("agent-storm", Some(fault), &STORM);
    said.expect_code(99).expect("http_req_failed");
}

#[test]
fn signed_orders_become_certificates() {
    let (out, said) = apply("acme-orders", None, &ORDERS);
    said.expect_code(0).expect("acme_orders_finalised");
    let orders = sum(&out, "acme_orders_finalised");
    assert!(orders > 100.0, "{orders}");
    assert_eq!(sum(&out, "acme_forgeries_taken"), 0.0);
}

#[test]
fn a_server_that_takes_forgeries_is_not_let_under_load() {
    for (fault, step) in [("any_nonce", "used_nonce"), ("any_signature", "strangers_key")] {
        let (_, said) = apply("acme-orders", Some(json!({ "certctl": { fault: true } })), &ORDERS);
        said.expect_code(115).expect(&format!("step `{step}`")).expect("201");
    }
}

#[test]
fn a_server_that_begins_to_take_used_nonces_is_red() {
    let orders = Short {
        plan: "plans/certctl/acme-orders.yaml",
        set: &ORDERS,
        service: "certctl",
        routes: "new-order",
    };
    let (said, out) = orders.broken(&[], json!({ "certctl": { "any_nonce": true } }));
    said.expect_code(99).expect("acme_forgeries_taken count == 0");
    assert!(sum(&out, "acme_forgeries_taken") > 0.0);
}

#[test]
fn a_nonce_that_is_refused_is_told_as_such() {
    let (_, said) = apply("acme-orders", Some(json!({ "certctl": { "no_nonce": true } })), &ORDERS);
    said.expect_code(115).expect("badNonce");
}

#[test]
fn handshakes_are_quick_with_four_connectors() {
    let (out, said) = apply("handshakes", None, &SHAKES);
    said.expect_code(0).expect("http_req_tls_handshaking");
    for connector in ["nginx", "apache", "haproxy", "f5"] {
        assert_eq!(out.evidence()["load"]["scenarios"][connector]["finished"], 320, "{connector}");
    }
    assert!(out.path().join("ca/ca.pem").exists());
}

#[test]
fn a_slow_handshake_is_red_where_it_is_slow() {
    let (_, said) = apply("handshakes", Some(json!({ "certctl": { "handshake_ms": 1_500 } })), &SHAKES);
    said.expect_code(99).expect("http_req_tls_handshaking");
}

/// A plan of one scenario against a server that is up, with its CA.
fn shaking(url: &str, folder: &std::path::Path, connections: &str) -> PathBuf {
    let plan = format!(
        "plan: shaking\n\
         target: {{ url: \"{url}\", allow_hosts: [127.0.0.1], tls: {{ ca: \"{}/ca/ca.pem\" }} }}\n\
         scenarios:\n  one:\n    executor: shared-iterations\n    vus: 2\n    iterations: 60\n    \
         max_duration: 1m\n    connections: {connections}\n    \
         steps: [{{ get: /api/health, expect: {{ status: 200 }} }}]\n\
         thresholds:\n  http_req_duration: [\"p(95) < 30s\"]\n  http_req_failed: [\"rate < 10%\"]\n  \
         http_req_tls_handshaking: [\"max < 30s\"]\nhealth: {{ lateness_p99: 250ms }}\n",
        folder.display()
    );
    let path = folder.join(format!("{connections}.yaml"));
    std::fs::write(&path, plan).expect("a plan");
    path
}

#[test]
fn connections_are_new_and_no_session_is_resumed() {
    let _alone = alone();
    let out = Out::new();
    let mut server = command("proving-ground");
    server.args(["--no-database", "--tls", &out.path().join("ca").display().to_string()]);
    let mut server = tests::Running::start(&mut server);
    let line = server.read_until("listening on");
    let url = line.trim().rsplit(' ').next().expect("a URL").to_owned();
    assert!(url.starts_with("https://"), "{line}");
    for (connections, least, most) in [("per_iteration", 60, 70), ("keep", 1, 10)] {
        let before = handshakes(&url, out.path());
        let plan = shaking(&url, out.path(), connections);
        let runs = out.path().join(connections);
        run(command("runner").arg("apply").arg(plan).arg("--out").arg(runs)).expect_code(0);
        let after = handshakes(&url, out.path());
        let [full, resumed] = [0, 1].map(|at| after[at] - before[at]);
        // The rehearsal shakes hands too, and so does whoever asks for the counters.
        assert!((least..=most).contains(&full), "{connections}: {full} full handshakes");
        if connections == "per_iteration" {
            assert_eq!(resumed, 0, "a session was resumed");
        }
    }
}

/// Full and resumed handshakes that a server counted.
fn handshakes(url: &str, folder: &std::path::Path) -> [u64; 2] {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = std::fs::read(folder.join("ca/ca.pem")).expect("a CA");
    let ca = reqwest::Certificate::from_pem(&ca).expect("a certificate");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let stats: Value = runtime.block_on(async {
        let client = reqwest::Client::builder().tls_certs_only([ca]).build().expect("a client");
        let answer = client.get(format!("{url}/_stats")).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    });
    ["full", "resumed"].map(|kind| stats["handshakes"][kind].as_u64().unwrap_or(0))
}
