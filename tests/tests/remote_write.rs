//! Prometheus remote write while a load runs: what arrives is what the summary says, and an endpoint that is away costs
//! a line and nothing else.

use serde_json::Value;
use std::net::TcpListener;
use tests::remote_write::{Receiver, Sample};
use tests::{Ground, Out, Said, alone, command, run};

/// Runs a plan that pushes to this URL every second, or to another that the arguments name.
fn apply(ground: &Ground, out: &Out, url: &str, more: &[&str]) -> Said {
    let mut command = command("runner");
    command
        .args(["apply", "tests/plans/remote-write.yaml", "--set", "lateness=2s", "--out", out.arg()])
        .args(more);
    run(command.env("TARGET_URL", &ground.url).env("PROMETHEUS_URL", url).env("PROMETHEUS_TOKEN", TOKEN))
}

const TOKEN: &str = "a-token-that-must-never-be-printed";

/// The sum over all series of a name.
fn sum(samples: &[Sample], name: &str) -> f64 {
    let of = samples.iter().filter(|(labels, _)| labels["__name__"] == name);
    of.map(|(_, value)| value).sum()
}

#[test]
fn what_arrives_is_what_the_run_measured() {
    let _alone = alone();
    let (ground, receiver, out) = (Ground::start(None, &[]), Receiver::start(), Out::new());
    let said =
        apply(&ground, &out, &receiver.url, &[]).expect_code(0).expect("prometheus").expect_without(TOKEN);
    let pushes = receiver.pushes();
    let last = pushes.last().unwrap_or_else(|| panic!("nothing was pushed: {}", said.all()));
    let summary =
        run(command("runner").arg("report").arg(out.path()).args(["--format", "json"])).expect_code(0);
    let summary: Value = serde_json::from_str(&summary.out).expect("JSON");
    let count = |metric: &str| summary["metrics"][metric]["values"]["count"].as_f64().expect("a count");
    for metric in ["http_reqs", "iterations"] {
        assert_eq!(sum(last, &format!("k6_{metric}_total")), count(metric), "{metric}");
    }
    let quick = |name: &str| {
        let of = last.iter().filter(|(labels, _)| labels["__name__"] == name);
        let of = of.filter(|(labels, _)| labels.get("name").is_some_and(|step| step == "slow"));
        of.map(|(_, value)| *value).next().expect("a series")
    };
    assert!(quick("k6_http_req_duration_min") >= 0.03, "the slow step takes 30 ms, in seconds");
    assert!(quick("k6_http_req_duration_p99") >= quick("k6_http_req_duration_med"));
    let run_id = out.evidence()["run_id"].as_str().expect("an id").to_owned();
    assert!(last.iter().all(|(labels, _)| labels["testid"] == run_id));
    assert!(pushes.iter().any(|push| sum(push, "k6_vus") > 0.0), "users were alive while it ran");
    let stages: Vec<f64> = pushes.iter().map(|push| sum(push, "planc_stage")).collect();
    assert!(stages.contains(&1.0) && stages.contains(&2.0), "{stages:?}");
    assert!(receiver.heads().iter().all(|head| head.contains(&format!("authorization: Bearer {TOKEN}"))));
    assert!(!out.everything().contains(TOKEN), "the token is in an output");
}

#[test]
fn an_endpoint_that_is_away_is_told_and_the_run_is_unharmed() {
    let _alone = alone();
    let (ground, out) = (Ground::start(None, &[]), Out::new());
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/api/v1/write", taken.local_addr().expect("an address"));
    drop(taken);
    // The token is the plan's own endpoint's, and is not sent to another.
    let named = Receiver::start();
    apply(&ground, &out, &named.url, &["--prometheus-rw", &url])
        .expect_code(0)
        .expect("prometheus")
        .expect("lost");
    let evidence = out.evidence();
    let nodes = evidence["nodes"].as_array().expect("nodes");
    let told = nodes.iter().find(|node| node["kind"] == "report").expect("what became of the pushes");
    assert!(named.pushes().is_empty());
    assert_eq!((&told["name"], &told["outcome"]), (&"prometheus".into(), &"failed".into()));
}
