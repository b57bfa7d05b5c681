//! Judging without a load: what if, recorded evidence, unit tests of plans.

use serde_json::Value;
use tests::{Out, planc, root, runner};

const HEALTHY: &str = "plans/runs/quickstart-healthy.evidence.json";
const SLOW: &str = "plans/runs/quickstart-slow-heartbeats.evidence.json";

/// A copy of the shipped plan with its fixtures and evidence, to be changed.
struct Copy(Out);

impl Copy {
    fn new() -> Copy {
        let out = Out::new();
        for folder in ["plans/runs", "fixtures/chat"] {
            std::fs::create_dir_all(out.path().join(folder)).unwrap();
        }
        for file in ["plans/quickstart.yaml", "plans/quickstart.test.yaml", HEALTHY, SLOW]
            .into_iter()
            .chain(["fixtures/agents.yaml", "fixtures/certificates.yaml"])
            .chain(["fixtures/chat/users.yaml", "fixtures/chat/users.json"])
        {
            std::fs::copy(root().join(file), out.path().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        }
        Copy(out)
    }

    /// Replaces a text that is there.
    fn change(&self, file: &str, from: &str, to: &str) {
        let path = self.0.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "`{from}` is not in {file}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
    }

    fn test(&self) -> tests::Said {
        runner(&["test", self.0.arg()])
    }
}

#[test]
fn the_shipped_unit_tests_pass() {
    let said = runner(&["test"]).expect_code(0);
    said.expect("plans/quickstart.test.yaml").expect("a healthy service passes").expect("2 passed");
    runner(&["test", "plans"]).expect_code(0);
    let said = runner(&["test", "plans/quickstart.test.yaml", "--format", "junit"]).expect_code(0);
    said.expect("<testsuites tests=\"2\" failures=\"0\" errors=\"0\">");
    planc(&["check", "--deny", "warnings", "plans/quickstart.yaml", "plans/quickstart.test.yaml"])
        .expect_code(0);
}

#[test]
fn a_gate_that_was_loosened_is_found_by_its_test() {
    let copy = Copy::new();
    copy.test().expect_code(0);
    copy.change(
        "plans/quickstart.yaml",
        "\"p(95) < 500ms\", \"p(99) < 1s\"",
        "\"p(95) < 5s\", \"p(99) < 10s\"",
    );
    copy.test()
        .expect_code(99)
        .expect("FAILED")
        .expect("heartbeats that take a third of a second are red")
        .expect("expected fail, got pass")
        .expect("1 passed, 1 failed");
    let said = runner(&["test", copy.0.arg(), "--format", "junit"]).expect_code(99);
    said.expect("failures=\"1\"").expect("expected fail, got pass");
}

#[test]
fn a_gate_that_no_longer_tells_the_cause_is_found() {
    let copy = Copy::new();
    copy.change(
        "plans/quickstart.yaml",
        "\"p(95) < 500ms\", \"p(99) < 1s\"",
        "\"p(95) < 400ms\", \"p(99) < 1s\"",
    );
    copy.test()
        .expect_code(99)
        .expect("no cause says `http_req_duration{scenario:heartbeats} p(95) < 500ms`")
        .expect("p(95) < 400ms: measured");
}

#[test]
fn evidence_of_another_load_is_to_be_recorded_anew() {
    let copy = Copy::new();
    copy.change("plans/quickstart.yaml", "  renewals:\n    executor", "  renewing:\n    executor");
    copy.change("plans/quickstart.yaml", "{scenario:renewals}", "{scenario:renewing}");
    copy.test()
        .expect_code(99)
        .expect("record it anew")
        .expect("it has no scenario `renewing`")
        .expect("the plan has no scenario `renewals` any more");
}

#[test]
fn a_metric_that_was_trimmed_away_is_told() {
    let copy = Copy::new();
    copy.change(
        "plans/quickstart.yaml",
        "thresholds:\n",
        "thresholds:\n  http_req_waiting: [\"p(95) < 1s\"]\n",
    );
    copy.test().expect_code(99).expect("`http_req_waiting` was trimmed away").expect("record it anew");
}

#[test]
fn what_is_wrong_with_a_test_or_its_plan_is_104_and_hides_no_other() {
    let copy = Copy::new();
    std::fs::write(copy.0.path().join("plans/a.test.yaml"), "plan: a.yaml\ncases: []\n").unwrap();
    copy.test().expect_code(104).expect("cannot read").expect("there is no case").expect("2 passed");
    let copy = Copy::new();
    copy.change("plans/quickstart.yaml", "p(95) < 500ms", "p(95) < 500 parsecs");
    copy.test().expect_code(104).expect("parsecs").expect("could not be run");
    let copy = Copy::new();
    copy.change(HEALTHY, "\"plan\":\"quickstart\"", "\"plan\":\"slowstart\"");
    copy.test().expect_code(99).expect("not the one that was applied").expect("1 passed, 1 failed");
    runner(&["test", "fixtures"]).expect_code(2).expect("no unit tests");
    runner(&["test", "no-such-folder"]).expect_code(104).expect("no-such-folder");
    planc(&["graph", "plans/quickstart.test.yaml"]).expect_code(1).expect("not a plan");
}

#[test]
fn what_if_is_answered_from_the_evidence() {
    runner(&["judge", HEALTHY]).expect_code(0);
    runner(&["judge", SLOW]).expect_code(99);
    let gate = "http_req_duration{scenario:heartbeats} p(95)";
    let ask = |file: &str, bound: &str| runner(&["judge", file, "--threshold", &format!("{gate} < {bound}")]);
    ask(SLOW, "2s").expect_code(0).expect(&format!("✓ {gate} < 2s")).expect("n=5,010").expect("margin");
    ask(SLOW, "500ms").expect_code(99).expect(&format!("✗ {gate} < 500ms")).expect("0 of 1 gates");
    ask(HEALTHY, "500ms").expect_code(0);
    let several = ["http_req_failed: rate < 1%", "http_req_duration{endpoint:*} p(95) < 600ms"];
    let arguments = ["judge", SLOW, "--threshold", several[0], "--threshold", several[1]];
    runner(&arguments).expect_code(99).expect("5 of 6 gates would have held").expect("{endpoint:heartbeat}");
    let said = runner(&[&arguments[..], &["--format", "json"]].concat()).expect_code(99);
    let verdict: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(verdict["gates"].as_array().unwrap().len(), 6);
    assert_eq!(verdict["status"], "fail");
    let too_few = "http_req_duration{scenario:renewals} p(99.9) < 10s";
    runner(&["judge", HEALTHY, "--threshold", too_few]).expect_code(111).expect("2995 are needed");
    runner(&["judge", HEALTHY, "--threshold", "http_req_waiting p(95) < 1s"])
        .expect_code(111)
        .expect("trimmed away");
    let misspelt = "http_req_duration{scenario:heartbeat} p(95) < 1s";
    runner(&["judge", HEALTHY, "--threshold", misspelt])
        .expect_code(2)
        .expect("did you mean")
        .expect("--threshold:1:");
}

#[test]
fn what_is_recorded_is_small_and_says_no_secret() {
    for file in [HEALTHY, SLOW] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(text.len() < 100_000, "{file} has {} bytes", text.len());
        for word in ["load-test-token", "password", "loadtest-bulk", "postgres://", "/work", "127.0.0.1"] {
            assert!(!text.contains(word), "{file} holds `{word}`");
        }
        // Trimming what is trimmed changes nothing more; a newer program may write fields that an older one had not.
        let out = Out::new();
        let trim = |from: &str, to: &str| {
            let to = out.path().join(to);
            runner(&["judge", from, "--trim", to.to_str().unwrap()]).expect("wrote");
            to
        };
        let once = trim(file, "once.json");
        let twice = trim(once.to_str().unwrap(), "twice.json");
        assert!(std::fs::read(once).unwrap() == std::fs::read(twice).unwrap(), "{file} changes");
    }
}
