//! WebSocket sessions, through the real binaries against the reference target. What breaks them is in the battery.

use serde_json::{Value, json};
use tests::{Ground, Out, alone, command, planc, run};

const PLAN: &str = "tests/plans/sockets.yaml";

fn ground() -> Ground {
    Ground::start(None, &[("APP_ENV", "test")])
}

fn apply(ground: &Ground, out: &Out) -> std::process::Command {
    let mut command = command("runner");
    command.args(["apply", PLAN, "--set", "lateness=2s", "--out", out.arg()]).env("TARGET_URL", &ground.url);
    command
}

/// All series of a metric, on time and late.
fn samples(out: &Out, metric: &str) -> Vec<Value> {
    let evidence = out.evidence();
    let populations = [&evidence["load"]["on_time"], &evidence["load"]["late"]];
    let series = populations.iter().flat_map(|p| p["series"].as_array().cloned().unwrap_or_default());
    series.filter(|series| series["metric"] == metric).collect()
}

#[test]
fn sessions_are_opened_talked_over_and_closed() {
    let _alone = alone();
    let (ground, out) = (ground(), Out::new());
    let said = run(&mut apply(&ground, &out)).expect_code(0);
    let evidence = out.evidence();
    let begun = evidence["load"]["scenarios"]["talk"]["started"].as_u64().expect("a count");
    let count = |metric: &str| -> u64 {
        let of = |series: &Value| series["samples"]["counter"]["sum_milli"].as_u64().unwrap_or(0) / 1_000;
        samples(&out, metric).iter().map(of).sum()
    };
    assert_eq!(count("ws_sessions"), begun, "{}", said.all());
    assert_eq!(count("ws_msgs_sent"), 2 * begun);
    // Welcome, joined, said and the second tick at least.
    assert!(count("ws_msgs_received") >= 5 * begun, "{}", count("ws_msgs_received"));
    assert!(count("data_received") > 100 * begun);
    let tags = &samples(&out, "ws_receive_duration")[0]["tags"];
    assert_eq!(tags["subprotocol"], "chat.v1", "{tags}");
    assert_eq!((&tags["status"], &tags["url"]), (&json!("101"), &json!("/ws?tick_ms=100")), "{tags}");
    let summary = std::fs::read_to_string(out.path().join("summary.json")).expect("a summary");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    assert_eq!(summary["metrics"]["ws_sessions"]["values"]["count"], begun);
    run(command("runner").arg("judge").arg(out.path())).expect_code(0);
}

/// Sessions that outlast their scenario by far; the share of them that failed.
fn cut_off(last: &str) -> Value {
    let (ground, folder, out) = (ground(), Out::new(), Out::new());
    let plan = folder.path().join("plan.yaml");
    let text = include_str!("../plans/cut-off.yaml");
    let replaced = text.replace("- pause: 1m", last);
    std::fs::write(&plan, &replaced).expect("written");
    let mut apply = command("runner");
    apply
        .arg("apply")
        .arg(&plan)
        .args(["--set", "lateness=2s", "--out", out.arg()])
        .env("TARGET_URL", &ground.url);
    let said = run(&mut apply).expect_code(if replaced == text { 0 } else { 99 });
    let failed = samples(&out, "ws_failed");
    assert_eq!(failed.len(), 1, "{failed:?}\n{}", said.all());
    failed[0]["samples"].clone()
}

#[test]
fn a_session_cut_off_by_the_end_has_failed_only_where_it_waits() {
    let _alone = alone();
    assert_eq!(cut_off("- pause: 1m"), json!({ "rate": { "trues": 0, "total": 30 } }));
    // It comes after five seconds, which the rehearsal has and the scenario has not.
    let waits = "- { receive: { json: { $.type: tick } }, within: 20s }";
    assert_eq!(cut_off(waits), json!({ "rate": { "trues": 30, "total": 30 } }));
}

#[test]
fn the_plan_is_clean_and_its_sessions_are_drawn() {
    let url = "TARGET_URL=http://127.0.0.1:1";
    let (name, value) = url.split_once('=').expect("a pair");
    for plan in [PLAN, "tests/plans/cut-off.yaml"] {
        run(command("planc").args(["check", plan, "--deny", "warnings"]).env(name, value)).expect_code(0);
    }
    run(command("planc").args(["graph", PLAN]).env(name, value))
        .expect_code(0)
        .expect("session live (/ws?tick_ms=100): receive json $.type equals welcome, send, joined");
}

#[test]
fn a_gate_on_what_no_session_emits_does_not_compile() {
    let folder = Out::new();
    let path = folder.path().join("plan.yaml");
    let text = std::fs::read_to_string(tests::root().join(PLAN)).expect("the plan");
    std::fs::write(&path, text.replace("          - ping: { within: 1s }\n", "")).expect("written");
    let path = path.to_str().expect("temporary folders are UTF-8");
    planc(&["check", path])
        .expect_code(1)
        .expect("nothing in this plan emits `ws_ping`")
        .expect("no step is a `ping` over a `websocket`");
}

#[test]
fn prove_says_that_it_cannot_break_sessions() {
    let mut prove = command("runner");
    prove.args(["prove", PLAN]).env("TARGET_URL", "http://127.0.0.1:9");
    run(&mut prove).expect_code(2).expect("this plan opens WebSockets");
}
