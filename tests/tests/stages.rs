//! Ramps that wait until the target has settled, runs that begin at a later stage, and searches for the highest rate.

use serde_json::{Value, json};
use tests::{Ground, Out, Said, alone, command, root, run, runner};

/// The plan under a fault, and what it left behind.
fn applied(plan: &str, fault: Value, more: &[&str]) -> (Out, Said) {
    let ground = Ground::start(None, &[("APP_ENV", "test")]);
    let (status, answer) = ground.send("PUT", "/_faults", Some(fault));
    assert_eq!(status, 200, "{answer}");
    let out = Out::new();
    let mut command = command("runner");
    command.args(["apply", plan, "--out", out.arg()]).args(more).env("TARGET_URL", &ground.url);
    let said = run(&mut command);
    (out, said)
}

/// `(number, outcome)` of each stage.
fn outcomes(out: &Out) -> Vec<(u64, String)> {
    let evidence = out.evidence();
    let stages = evidence["load"]["stages"].as_array().expect("stages").iter();
    let outcome = |stage: &Value| match &stage["outcome"] {
        Value::Object(broke) => broke.keys().next().cloned().unwrap_or_default(),
        word => word.as_str().expect("a word").to_owned(),
    };
    stages.map(|stage| (stage["number"].as_u64().expect("a number"), outcome(stage))).collect()
}

fn told(stages: &[(u64, &str)]) -> Vec<(u64, String)> {
    stages.iter().map(|(number, outcome)| (*number, (*outcome).to_owned())).collect()
}

/// Every report tells a text, and the evidence alone gives the same verdict.
fn told_everywhere(out: &Out, said: &Said, text: &str) {
    assert!(said.out.contains(text), "`{text}` is not on the terminal\n{}", said.all());
    for file in ["summary.json", "report.html", "report.md", "junit.xml"] {
        let report = std::fs::read_to_string(out.path().join(file)).expect("the report");
        assert!(report.contains(text), "`{text}` is not in {file}\n{report}");
    }
    runner(&["judge", out.arg()]).expect_code(said.code);
}

const STEADY: &str = "tests/plans/stages.yaml";
const SEARCH: &str = "tests/plans/find-max.yaml";

#[test]
fn a_plateau_that_climbs_halts_the_ramp_and_the_ceiling_is_recorded() {
    let _alone = alone();
    let fault = json!({
        "path_prefix": "/api", "health": true,
        "latency": { "fixed_ms": 40 }, "climb": { "ms_per_second": 120, "above": 5 },
    });
    let (out, said) = applied(STEADY, fault, &["--set", "within=8s"]);
    let said = said.expect_code(99);
    assert_eq!(outcomes(&out), told(&[(1, "held"), (2, "never_settled")]), "{}", said.all());
    let said = said
        .expect("`ramp` never became stable at 8 VUs (stage 2)")
        .expect("`http_req_duration{scenario:ramp}.med` rises by")
        .expect("begins");
    told_everywhere(&out, &said, "the ceiling is 2 VUs (stage 1)");
    // Nobody was asked to climb on, and nothing was lost on the way.
    let scenario = &out.evidence()["load"]["scenarios"]["ramp"];
    assert_eq!(scenario["vus_max"], 8, "{scenario:#}");
    let count = |key: &str| scenario[key].as_u64().expect("a count");
    assert_eq!(count("started"), count("finished") + count("failed") + count("interrupted"));
}

#[test]
fn flat_stages_go_through_and_a_resumed_run_begins_at_its_stage() {
    let _alone = alone();
    let fault = || json!({ "path_prefix": "/api", "health": true, "latency": { "fixed_ms": 40 } });
    let (out, said) = applied(STEADY, fault(), &[]);
    let said = said.expect_code(0);
    assert_eq!(outcomes(&out), told(&[(1, "held"), (2, "held"), (3, "held")]), "{}", said.all());
    let said = said.expect("settled after").expect_without("never became stable");
    told_everywhere(&out, &said, "10 VUs");
    let stage = |number: usize| out.evidence()["load"]["stages"][number].clone();
    for number in 0..3 {
        let (began, ended) = (stage(number)["began_us"].as_u64(), stage(number)["ended_us"].as_u64());
        let lasted = ended.expect("an end") - began.expect("a beginning");
        assert!(lasted >= 6_000_000, "1s of climb and a window of 5s: {lasted}");
    }
    let (out, said) = applied(STEADY, fault(), &["--from-stage", "3"]);
    let said = said
        .expect_code(0)
        .expect("stages 1 to 2 of `ramp`: the run began at stage 3 (`--from-stage`)")
        .expect("rate < 5% in stage 1: not run");
    assert_eq!(outcomes(&out), told(&[(1, "not_run"), (2, "not_run"), (3, "held")]), "{}", said.all());
    assert_eq!(out.evidence()["load"]["scenarios"]["ramp"]["from_stage"], 3);
    let begin = out.evidence()["load"]["stages"][2]["began_us"].as_u64().expect("a beginning");
    assert!((2_000_000..2_500_000).contains(&begin), "straight there, in the time of its climbs: {begin}");
}

/// The first stage alone, which waits for a number that the service tells of itself.
fn waits_for(series: &str) -> (Out, Said) {
    let text = std::fs::read_to_string(root().join(STEADY)).expect("the plan");
    let metric = format!(
        "metrics:\n  told: {{ scrape: {{ get: /metrics, prometheus: '{series}' }}, every: 500ms }}\nscenarios:"
    );
    let cut = |text: &str, from: &str, to: &str| {
        let (before, rest) = text.split_once(from).expect("the plan says so");
        let (_, after) = rest.split_once(to).expect("the plan says so");
        format!("{before}{to}{after}")
    };
    let text = text.replace("scenarios:", &metric);
    let text = text.replace("\"http_req_duration{scenario:ramp}.med\", http_req_failed", "told");
    let text = cut(&text, "          floors:", "          within:");
    let text = cut(&text, "      - { target: 8", "    steps:");
    let text = cut(&text, "    - { threshold: rate < 5%, stage: 3 }", "health:");
    let folder = Out::new();
    let plan = folder.path().join("plan.yaml");
    std::fs::write(&plan, text).expect("written");
    let fault = json!({ "path_prefix": "/api", "health": true, "latency": { "fixed_ms": 40 } });
    applied(plan.to_str().expect("UTF-8"), fault, &["--set", "within=7s"])
}

#[test]
fn a_stage_waits_for_what_is_scraped() {
    let _alone = alone();
    let (out, said) = waits_for("bullmq_queue_jobs{state=\"wait\"}");
    assert_eq!(outcomes(&out), told(&[(1, "held")]), "{}", said.all());
    said.expect_code(0);
    // What only ever grows never settles.
    let (out, said) = waits_for("http_requests_total");
    assert_eq!(outcomes(&out), told(&[(1, "never_settled")]), "{}", said.all());
    said.expect_code(99).expect("`told.value` rises by").expect("no stage held: the ceiling is under 2 VUs");
}

#[test]
fn a_search_finds_what_a_server_bears_within_one_step() {
    let _alone = alone();
    // 4 at once, 100 ms each: 40 a second and no more.
    let fault =
        json!({ "path_prefix": "/api", "health": true, "capacity": { "at_once": 4, "each_ms": 100 } });
    let (out, said) = applied(SEARCH, fault.clone(), &["--set", "lateness=2s"]);
    let said = said.expect_code(0);
    let held: Vec<u64> =
        outcomes(&out).iter().filter(|(_, outcome)| outcome == "held").map(|(number, _)| *number).collect();
    assert!(held == [1, 2] || held == [1, 2, 3], "30/s or 40/s: {held:?}\n{}", said.all());
    let rate = if held.len() == 2 { "30/s" } else { "40/s" };
    told_everywhere(&out, &said, &format!("the highest rate that held is {rate}"));
    let scenario = &out.evidence()["load"]["scenarios"]["search"];
    let count = |key: &str| scenario[key].as_u64().expect("a count");
    let dropped = count("dropped_by_target") + count("dropped_by_generator");
    assert_eq!(count("planned"), count("started") + dropped, "{scenario:#}");
    let (_, said) = applied(SEARCH, fault, &["--set", "lateness=2s", "--set", "at_least=60/s"]);
    said.expect_code(99).expect("and at least 60/s is asked");
}

#[test]
fn a_stage_that_is_not_there_is_a_mistake() {
    let from = |stage: &str| {
        runner(&["apply", STEADY, "--dry-run", "--set", "base_url=http://127.0.0.1:1", "--from-stage", stage])
    };
    from("4").expect_code(2).expect("`ramp` has 3 stages, and no stage 4");
    from("climb:2").expect_code(2).expect("no scenario `climb` with stages; there is ramp");
    from("two").expect_code(2).expect("`two` is no stage; write `3` or `ramp:3`");
    from("ramp:2").expect_code(0).expect("stage 2 holds until");
}
