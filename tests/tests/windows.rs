//! A gate over every window, through the real binaries.

use serde_json::{Value, json};
use tests::{Ground, Out, alone, command, run};

#[test]
fn a_stall_breaks_the_window_that_it_is_in_and_the_evidence_says_the_same() {
    let _alone = alone();
    let ground = Ground::start(None, &[]);
    // Once in any six seconds: of 600 arrivals 50 wait for longer than the bound, of the 200 around them a quarter.
    let stall = json!({ "stall": { "every_ms": 6_000, "for_ms": 600 } });
    ground.send("PUT", "/_faults", Some(stall));
    let out = Out::new();
    let mut command_ = command("runner");
    command_.args(["apply", "tests/plans/windows.yaml", "--set", "lateness=2s", "--out", out.arg()]);
    let said = run(command_.env("TARGET_URL", &ground.url)).expect_code(99);
    let said =
        said.expect("http_req_duration p(90) < 100ms in every 2s: measured").expect("in the window from");
    let evidence = out.evidence();
    let view = &evidence["load"]["views"][0];
    assert_eq!(view["metric"], "http_req_duration", "{}", said.all());
    assert_eq!(view["parts"].as_object().expect("parts").len(), 3, "{view}");
    let summary = std::fs::read_to_string(out.path().join("summary.json")).expect("a summary");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    let thresholds = &summary["metrics"]["http_req_duration"]["thresholds"];
    assert_eq!(thresholds["p(90) < 100ms in every 2s"]["ok"], false, "{thresholds}");
    assert_eq!(summary["load"]["all"]["planned"], 600);
    let seconds = evidence["load"]["health"]["seconds"].as_array().expect("the generator's seconds");
    assert_eq!(seconds.len() as u64, summary["generator"]["seconds"].as_u64().expect("a number"));
    let path = out.path().join("evidence.json");
    let judged = run(command("runner").args(["judge", "--format", "json"]).arg(&path)).expect_code(99);
    let judged: Value = serde_json::from_str(&judged.out).expect("JSON");
    assert_eq!(judged["gates"], summary["verdict"]["gates"]);
    assert_eq!(judged["causes"], summary["verdict"]["causes"]);
}
