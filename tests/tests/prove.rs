//! `runner prove` from end to end: which gate notices what, and the gate that notices nothing.

use serde_json::Value;
use tests::{Out, Said, alone, binary, command, run};

/// `runner prove tests/plans/prove.yaml` with short loads.
fn prove(out: &Out, more: &[&str]) -> Said {
    let server = format!("server={}", binary("proving-ground").display());
    let mut command = command("runner");
    command.args(["prove", "tests/plans/prove.yaml", "--load", "3s", "--out", out.arg(), "--format", "json"]);
    run(command.args(["--set", &server, "--set", "lateness=250ms"]).args(more))
}

fn matrix(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}\n{}", said.all()))
}

/// What became of each fault, by its name.
fn outcome<'a>(matrix: &'a Value, fault: &str) -> &'a Value {
    let faults = matrix["faults"].as_array().expect("faults");
    faults.iter().find(|row| row["fault"] == fault).unwrap_or_else(|| panic!("no fault {fault}"))
}

#[test]
fn every_fault_is_noticed_and_every_gate_is_proven() {
    let _alone = alone();
    let out = Out::new();
    let said = prove(&out, &[]).expect_code(0);
    let told = matrix(&said);
    assert_eq!(told["faults"].as_array().map(Vec::len), Some(9), "{told:#}");
    for row in told["faults"].as_array().expect("faults") {
        assert_eq!(row["outcome"], "noticed", "{row:#}");
    }
    // The gates in the graph's order: latency, errors.
    assert!(
        told["gates"][0]["subject"] == "http_req_duration"
            && told["gates"][1]["subject"] == "http_req_failed"
    );
    assert_eq!(outcome(&told, "slow")["gates"], serde_json::json!([0]));
    let errors = outcome(&told, "errors")["gates"].as_array().expect("gates").clone();
    assert!(errors.contains(&serde_json::json!(1)), "{errors:?}");
    // Damage that the load would hide is noticed before it.
    assert_eq!(outcome(&told, "no-index")["exit"], 115);
    assert!(outcome(&told, "step-skipped")["other"].as_str().is_some_and(|told| told.contains("heartbeat")));
    // Every run can be looked at again.
    let evidence = out.path().join("half-seed/evidence.json");
    run(command("runner").arg("judge").arg(evidence)).expect_code(99);
}

#[test]
fn a_gate_made_vacuous_is_exposed() {
    let _alone = alone();
    let out = Out::new();
    // Latency under 4.9 s where the timeout is 5 s: only what times out, and so has failed, can break it.
    let faults = ["--set", "bound=4900ms"];
    let said = prove(&out, &faults).expect_code(99);
    let told = matrix(&said);
    assert_eq!(told["unproven_gates"], serde_json::json!([0]), "{told:#}");
    // It is the pool and the time-outs that end such a run, not its bound: a slow target is noticed by nobody.
    assert_eq!(told["survivors"], serde_json::json!(["slow"]));
    let out = Out::new();
    let slow = ["--set", "bound=4900ms", "--only", "slow"];
    let reason = ["--allow", "slow=latency is gated elsewhere"];
    let said = prove(&out, &[&slow[..], &reason[..]].concat()).expect_code(0);
    assert_eq!(outcome(&matrix(&said), "slow")["allowed"], "latency is gated elsewhere");
}

#[test]
fn what_is_not_green_unharmed_proves_nothing() {
    let _alone = alone();
    let out = Out::new();
    let said = prove(&out, &["--set", "bound=1ms", "--set", "lateness=1s"]);
    assert_eq!(said.code, 99, "{}", said.all());
    said.expect("the unharmed run is not green");
}

#[test]
fn the_command_line_is_held_against_the_catalogue() {
    let out = Out::new();
    prove(&out, &["--only", "sloow"]).expect_code(2).expect("slow");
    prove(&out, &["--allow", "sloow=because"]).expect_code(2).expect("there are errors, rate-limited");
    prove(&out, &["--allow", "slow=-"]).expect_code(2).expect("needs a reason");
}
