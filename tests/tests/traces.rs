//! Trace ids: what the evidence names is what the service saw, in every report.

use serde_json::Value;
use std::collections::BTreeSet;
use tests::{Ground, Out, Said, alone, command, run};

fn apply(ground: &Ground, out: &Out) -> Said {
    let mut command = command("runner");
    command.args(["apply", "tests/plans/traces.yaml", "--set", "lateness=2s", "--out", out.arg()]);
    run(command.env("TARGET_URL", &ground.url))
}

fn report(out: &Out, arguments: &[&str]) -> Said {
    let evidence = out.path().join("evidence.json");
    run(command("runner").arg("report").arg(evidence).args(arguments))
}

#[test]
fn the_slowest_traces_are_those_that_the_service_saw() {
    let _alone = alone();
    let ground = Ground::start(None, &[]);
    let out = Out::new();
    let said = apply(&ground, &out).expect_code(0).expect("slowest traces");
    let (_, seen) = ground.send("GET", "/_traces", None);
    let seen: BTreeSet<&str> = seen.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let requests = ground.requests("/static") + ground.requests("/delay");
    assert_eq!(seen.len() as u64, requests, "every request, the rehearsal's too, has an id of its own");
    let evidence = out.evidence();
    let kept = evidence["load"]["exemplars"].as_array().expect("exemplars").clone();
    let of = |stage: u64, name: &str| -> Vec<&Value> {
        kept.iter().filter(|one| one["stage"] == stage && one["name"] == name).collect()
    };
    for stage in [1, 2] {
        for name in ["quick", "slow"] {
            assert_eq!(of(stage, name).len(), 3, "stage {stage}, {name}: {}", said.all());
        }
        let took = |one: &Value| one["duration_us"].as_u64().expect("a number");
        assert!(of(stage, "slow").iter().all(|one| took(one) >= 30_000), "{kept:#?}");
    }
    for one in &kept {
        let id = one["trace_id"].as_str().expect("an id");
        assert!(seen.contains(id), "{id} of the evidence never came to the service");
    }
    for format in ["html", "markdown", "json"] {
        let text = report(&out, &["--format", format]).expect_code(0).out;
        for one in &kept {
            assert!(text.contains(one["trace_id"].as_str().expect("an id")), "{format}");
        }
    }
}
