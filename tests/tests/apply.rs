//! `runner apply` from end to end: the real binaries, a real Postgres, a real service.

use serde_json::{Value, json};
use std::time::Duration;
use tests::{Database, Ground, Out, Running, alone, command, run, wait_until};

const KEY: &str = "a-key-that-must-never-be-printed";

/// A database and a service on it, as a team's staging environment would be.
struct Staging {
    database: Database,
    ground: Ground,
}

impl Staging {
    fn start(env: &[(&str, &str)]) -> Staging {
        let database = Database::start("fleet_test");
        let mut all = vec![("APP_ENV", "test"), ("API_TOKEN", KEY), ("ADMIN_KEY", "admin")];
        all.retain(|(name, _)| !env.iter().any(|(n, _)| n == name));
        all.extend_from_slice(env);
        let ground = Ground::start(Some(&database.url), &all);
        Staging { database, ground }
    }

    /// `runner <verb> tests/plans/external.yaml` against it.
    fn command(&self, verb: &str, out: &Out, more: &[&str]) -> std::process::Command {
        let mut command = command("runner");
        command.args([verb, "tests/plans/external.yaml"]).args(more);
        if verb == "apply" {
            command.args(["--out", out.arg()]);
        }
        command
            .env("TARGET_URL", &self.ground.url)
            .env("DATABASE_URL", &self.database.url)
            .env("API_KEY", KEY);
        command
    }

    fn agents(&self) -> String {
        self.database.value("select count(*) from agents")
    }
}

/// The verdict as `runner judge --format json` tells it from the evidence alone, which is the one that the run gave.
fn judge(out: &Out) -> Value {
    let path = out.path().join("evidence.json");
    let said = run(command("runner").args(["judge", "--format", "json"]).arg(&path));
    let again: Value = serde_json::from_str(&said.out)
        .unwrap_or_else(|e| panic!("judge --format json: {e}\n{}", said.all()));
    assert_eq!(again["exit"], said.code, "{again:#}");
    if let Some(summary) = &out.evidence()["graph"]["report"]["summary"].as_str() {
        let text = std::fs::read_to_string(out.path().join(summary)).expect("the run wrote its summary");
        let given: Value = serde_json::from_str(&text).expect("a summary is JSON");
        assert_eq!(given["verdict"], again, "the evidence alone gives another verdict");
    }
    again
}

#[test]
fn a_healthy_service_passes_and_the_evidence_says_the_same() {
    let _alone = alone();
    let staging = Staging::start(&[]);
    let out = Out::new();
    let said = run(&mut staging.command("apply", &out, &[])).expect_code(0);
    let said = said.expect("agents").expect("5,000").expect("pass").expect_without(KEY);
    assert!(!out.everything().contains(KEY), "the key is in an output");
    let evidence = out.evidence();
    let scenario = &evidence["load"]["scenarios"]["storm"];
    assert_eq!(scenario["planned"], 400, "{}", said.all());
    assert_eq!(scenario["started"], 400);
    assert_eq!(scenario["finished"], 400);
    let summary: Value =
        serde_json::from_str(&std::fs::read_to_string(out.path().join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["metrics"]["http_reqs"]["values"]["count"], 400);
    assert_eq!(
        summary["metrics"]["http_req_duration{scenario:storm}"]["thresholds"]["p(95) < 500ms"]["ok"],
        true
    );
    let verdict = judge(&out);
    assert_eq!(verdict["status"], "pass");
    assert_eq!(verdict["exit"], 0);
    run(command("runner").arg("judge").arg(out.path().join("evidence.json"))).expect_code(0);
}

#[test]
fn a_production_target_is_refused_before_anything_is_written() {
    let staging = Staging::start(&[("APP_ENV", "production")]);
    let out = Out::new();
    staging.ground.send("DELETE", "/_stats", None);
    run(&mut staging.command("apply", &out, &[]))
        .expect_code(113)
        .expect("the target is a test environment")
        .expect("production");
    assert_eq!(judge(&out)["exit"], 113);
    assert_eq!(staging.agents(), "0");
    assert_eq!(staging.database.value("select count(*) from pg_namespace where nspname = 'planc'"), "0");
    assert_eq!(staging.ground.requests("heartbeat"), 0);
}

#[test]
fn an_absent_health_field_is_told_as_absent() {
    let staging = Staging::start(&[("APP_ENV", "absent")]);
    let out = Out::new();
    run(&mut staging.command("apply", &out, &[])).expect_code(113).expect("absent");
    assert_eq!(staging.agents(), "0");
}

#[test]
fn an_override_needs_a_reason_and_is_recorded() {
    let _alone = alone();
    let staging = Staging::start(&[("APP_ENV", "staging")]);
    let out = Out::new();
    run(staging.command("apply", &out, &[]).env("ALLOW_NON_TEST_TARGET", "1"))
        .expect_code(113)
        .expect("reason");
    let mut allowed = staging.command("apply", &out, &[]);
    run(allowed.env("ALLOW_NON_TEST_TARGET", "gate 25 on the shared staging stack"))
        .expect_code(0)
        .expect("gate 25");
    assert_eq!(out.evidence()["overrides"][0]["reason"], "gate 25 on the shared staging stack");
    assert_eq!(judge(&out)["exit"], 0);
}

#[test]
fn a_target_that_is_away_is_refused_as_unreachable() {
    let staging = Staging::start(&[]);
    let out = Out::new();
    // Port 1 of loopback: nobody listens there.
    run(staging.command("apply", &out, &[]).env("TARGET_URL", "http://127.0.0.1:1"))
        .expect_code(113)
        .expect("unreachable");
    assert_eq!(staging.agents(), "0");
}

#[test]
fn a_database_that_is_not_for_tests_is_refused() {
    let staging = Staging::start(&[]);
    staging.database.execute("create database fleet");
    let url = staging.database.url.replace("/fleet_test", "/fleet");
    let out = Out::new();
    run(staging.command("apply", &out, &[]).env("DATABASE_URL", url)).expect_code(113).expect("*_test");
}

#[test]
fn a_hanging_server_is_never_green() {
    let _alone = alone();
    let staging = Staging::start(&[]);
    let out = Out::new();
    // Healthy through guards, seeding and rehearsal; hangs as soon as the load begins.
    let running = Running::start(staging.command("apply", &out, &[]).arg("--quiet"));
    wait_until("load", Duration::from_secs(60), || staging.ground.requests("heartbeat") > 20);
    staging.ground.send("PUT", "/_faults", Some(json!({ "hang": true })));
    let said = running.finish().expect_code(99);
    said.expect("http_req_failed{scenario:storm}").expect("http_req_duration{scenario:storm}");
    let verdict = judge(&out);
    let gates = verdict["gates"].as_array().unwrap();
    assert!(gates.iter().any(|g| g["state"] == "fail"), "{verdict:#}");
}

/// A plan of one scenario on `/static`, written to a folder.
fn closed_loop(folder: &Out, url: &str, executor: &str) -> std::path::PathBuf {
    let path = folder.path().join("plan.yaml");
    let text = format!(
        "plan: closed\ntarget: {{ url: \"{url}\", allow_hosts: [127.0.0.1], timeout: 60s }}\n\
         health: {{ lateness_p99: 250ms }}\n\
         scenarios:\n  loop:\n{executor}    graceful_stop: 2s\n    steps:\n      - get: /static\n\
         \x20       expect: {{ status: 200 }}\n      - pause: 5ms\n\
         thresholds:\n  http_req_duration: [\"p(95) < 500ms\"]\n  http_req_failed: [\"rate < 5%\"]\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_server_that_hangs_under_a_closed_loop_is_never_green() {
    let _alone = alone();
    for executor in [
        "    executor: constant-vus\n    vus: 5\n    duration: 6s\n",
        "    executor: ramping-vus\n    start_vus: 5\n    stages: [{ target: 5, duration: 6s }]\n",
        "    executor: shared-iterations\n    vus: 5\n    iterations: 20_000\n    max_duration: 6s\n",
        "    executor: per-vu-iterations\n    vus: 5\n    iterations: 4_000\n    max_duration: 6s\n",
    ] {
        let ground = Ground::start(None, &[("APP_ENV", "test")]);
        let out = Out::new();
        let plan = closed_loop(&out, &ground.url, executor);
        let running =
            Running::start(command("runner").arg("apply").arg(&plan).args(["--quiet", "--out", out.arg()]));
        // Hundreds of good answers first, so that the few that never come cannot move a percentile.
        wait_until("load", Duration::from_secs(60), || ground.requests("static") > 500);
        ground.send("PUT", "/_faults", Some(json!({ "hang": true })));
        let said = running.finish();
        assert!([99, 111].contains(&said.code), "{executor}{}", said.all());
        assert!(said.all().contains("target") || said.all().contains("max_duration"), "{}", said.all());
        assert_eq!(judge(&out)["exit"], said.code);
    }
}

#[test]
fn a_device_given_as_output_stays_a_device() {
    let said = run(command("planc").args(["compile", "plans/quickstart.yaml", "-o", "/dev/null"]));
    said.expect_code(0);
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn a_server_that_fails_from_the_start_is_stopped_by_the_rehearsal() {
    let staging = Staging::start(&[]);
    let out = Out::new();
    staging.ground.send("PUT", "/_faults", Some(json!({ "path_prefix": "/api/v1", "error_share": 1.0 })));
    run(&mut staging.command("apply", &out, &[])).expect_code(115).expect("heartbeat").expect("500");
    assert_eq!(judge(&out)["exit"], 115);
}

#[test]
fn a_second_seed_touches_no_row() {
    let staging = Staging::start(&[]);
    let out = Out::new();
    run(&mut staging.command("seed", &out, &[])).expect_code(0);
    assert_eq!(staging.agents(), "5000");
    let before = staging.database.column("select xmin::text from agents order by id");
    run(&mut staging.command("seed", &out, &[])).expect_code(0).expect("nothing to do");
    assert_eq!(before, staging.database.column("select xmin::text from agents order by id"));
    let pairs = staging.database.value("select count(distinct (os, architecture)) from agents");
    assert_eq!(pairs, "6", "every pair of os and architecture");
    assert_eq!(staging.database.column("select distinct status from agents"), ["Online"]);
}

#[test]
fn a_kept_token_is_issued_once_and_anew_when_it_is_dead() {
    let staging = Staging::start(&[]);
    let state = Out::new();
    let preflight = || {
        let mut command = command("runner");
        command.args(["preflight", "tests/plans/kept-token.yaml"]).env("XDG_STATE_HOME", state.path());
        command.env("TARGET_URL", &staging.ground.url).env("ADMIN_KEY", "admin");
        run(&mut command).expect_code(0)
    };
    let issued = || staging.database.value("select count(*) from api_tokens where name = 'kept-token'");
    preflight().expect("issued, status 200");
    preflight().expect("kept since 20");
    assert_eq!(issued(), "1");
    let kept = state.everything();
    let token = kept.split('"').nth(3).expect("a token");
    // Dead: it is not there any more. And of no use: it has not the scope that the plan wants.
    staging.database.execute("delete from api_tokens where name = 'kept-token'");
    staging.ground.send("DELETE", "/api/admin/tokens/00000000-0000-4000-8000-000000000001", None);
    let said = preflight().expect("the kept one is dead").expect("saw 401").expect("issued anew, status 200");
    said.expect_without(token);
    preflight().expect("kept since 20");
    staging.database.execute("update api_tokens set scopes = '{}' where name = 'kept-token'");
    staging.ground.send("DELETE", "/api/admin/tokens/00000000-0000-4000-8000-000000000001", None);
    preflight().expect("the kept one is dead").expect("issued anew");
    assert_eq!(issued(), "2");
}

#[test]
fn a_killed_seeder_leaves_nothing_and_the_next_one_completes() {
    let staging = Staging::start(&[]);
    let out = Out::new();
    // A lock on the parent table holds the seeder in the middle of its transaction.
    let rows = "select count(*) from pg_stat_activity where query ilike 'copy%' and datname = 'fleet_test'";
    let mut seeder = staging.command("seed", &out, &["--set", "agents=90_000"]);
    let running = Running::start(&mut seeder);
    wait_until("COPY", Duration::from_secs(60), || staging.database.value(rows) != "0");
    running.signal(nix::sys::signal::Signal::SIGKILL);
    running.finish().expect_code(-1);
    let gone = "select count(*) from pg_stat_activity where application_name like 'planc%' or query ilike 'copy%agents%'";
    wait_until("the server side gone", Duration::from_secs(10), || {
        staging.database.value(&format!("{gone} and pid <> pg_backend_pid()")) == "0"
    });
    assert_eq!(staging.agents(), "0");
    run(&mut staging.command("seed", &out, &["--set", "agents=90_000"])).expect_code(0);
    assert_eq!(staging.agents(), "90000");
}

#[test]
fn two_seeders_at_once_are_safe() {
    let staging = Staging::start(&[]);
    let out = Out::new();
    let first = Running::start(&mut staging.command("seed", &out, &[]));
    let second = Running::start(&mut staging.command("seed", &out, &[]));
    first.finish().expect_code(0);
    second.finish().expect_code(0);
    assert_eq!(staging.agents(), "5000");
}

/// A run of 60 s with services of its own, to be cut short.
fn long_storm(out: &Out) -> std::process::Command {
    let mut command = command("runner");
    command
        .args(["apply", "plans/certctl/agent-storm.yaml", "--set", "duration=60s", "--out", out.arg()])
        .args(["--set", &format!("server={}", tests::binary("proving-ground").display())]);
    command
}

#[test]
fn an_interrupt_ends_in_105_with_evidence_and_summary() {
    let _alone = alone();
    let out = Out::new();
    let running = Running::start(&mut long_storm(&out));
    wait_until("the service", Duration::from_secs(60), || !tests::processes_with(out.arg()).is_empty());
    wait_until("load", Duration::from_secs(90), || {
        std::fs::read_to_string(out.path().join("live.json")).is_ok_and(|t| t.contains("\"started\""))
    });
    running.signal(nix::sys::signal::Signal::SIGINT);
    let pid = running.pid();
    running.finish().expect_code(105).expect("interrupted");
    assert_eq!(judge(&out)["exit"], 105);
    assert!(out.path().join("summary-agent-storm.json").exists());
    assert!(out.evidence()["load"]["scenarios"]["agent_storm"]["started"].as_u64().unwrap() > 0);
    wait_until("services gone", Duration::from_secs(10), || children_of(pid).is_empty());
}

/// Processes whose parent or process group leader was `pid`.
fn children_of(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after = stat.rsplit(") ").next().unwrap_or("");
        if after.split(' ').nth(1).and_then(|p| p.parse::<i32>().ok()) == Some(pid) {
            found.push(child);
        }
    }
    found
}

#[test]
fn a_killed_runner_takes_its_services_along() {
    let _alone = alone();
    let out = Out::new();
    let running = Running::start(&mut long_storm(&out));
    let pid = running.pid();
    wait_until("services", Duration::from_secs(60), || children_of(pid).len() >= 2);
    let children = children_of(pid);
    running.signal(nix::sys::signal::Signal::SIGKILL);
    running.finish().expect_code(-1);
    wait_until("services gone", Duration::from_secs(10), || {
        children.iter().all(|child| {
            // A zombie waits for its new parent only.
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.is_empty() || stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
        })
    });
}

#[test]
fn the_agent_storm_hits_every_agent() {
    let _alone = alone();
    let out = Out::new();
    let mut command = command("runner");
    command
        .args(["apply", "plans/certctl/agent-storm.yaml", "--set", "duration=30s", "--set", "lateness=250ms"])
        .args(["--out", out.arg()])
        .args(["--set", &format!("server={}", tests::binary("proving-ground").display())]);
    run(&mut command).expect_code(0).expect("pass");
    let scenario = out.evidence()["load"]["scenarios"]["agent_storm"].clone();
    let started = scenario["started"].as_u64().unwrap();
    assert!((5009..=5011).contains(&started), "{started} arrivals");
    assert_eq!(scenario["dropped_by_target"], 0);
    assert_eq!(scenario["dropped_by_generator"], 0);
    let coverage = &scenario["coverage"]["agent"];
    assert_eq!(coverage["distinct"], 5000);
    assert_eq!(judge(&out)["exit"], 0, "the evidence alone gives the same verdict");
    assert!(!out.everything().contains("load-test-token"), "the default of a secret is in an output");
    let once = coverage["histogram"]["1"].as_u64().unwrap();
    let twice = coverage["histogram"]["2"].as_u64().unwrap();
    assert!((4989..=4991).contains(&once) && (9..=11).contains(&twice), "{coverage}");
}

#[test]
fn the_other_shipped_plans_pass_in_a_short_form() {
    let _alone = alone();
    let server = format!("server={}", tests::binary("proving-ground").display());
    // Shorter and fewer, never under the samples that a gate needs.
    let plans: [(&str, &[&str]); 3] = [
        ("plans/certctl/bulk-renew.yaml", &["--set", "rate=15/s", "--set", "duration=21s"]),
        ("plans/certctl/acme-burst.yaml", &["--set", "vus=60", "--set", "duration=15s"]),
        ("plans/chat/smoke.yaml", &["--profile", "mock", "--set", "duration=32s"]),
    ];
    for (plan, shorter) in plans {
        let out = Out::new();
        let mut command = command("runner");
        command
            .args(["apply", plan, "--set", &server, "--set", "lateness=250ms", "--out", out.arg()])
            .args(shorter);
        run(&mut command).expect_code(0).expect("pass");
        assert_eq!(judge(&out)["status"], "pass", "{plan}");
    }
}

#[test]
fn quickstart_twice_inserts_once() {
    let _alone = alone();
    let server = format!("server={}", tests::binary("proving-ground").display());
    let first = Out::new();
    let apply = |out: &Out| {
        let mut command = command("runner");
        command.args(["apply", "plans/quickstart.yaml", "--set", &server, "--set", "lateness=250ms"]);
        command.args(["--out", out.arg()]);
        run(&mut command).expect_code(0)
    };
    apply(&first).expect("10,000").expect("5,000").expect("pass");
    let second = Out::new();
    let said = apply(&second).expect("pass");
    assert_eq!([judge(&first)["exit"].clone(), judge(&second)["exit"].clone()], [0, 0]);
    for receipt in second.evidence()["receipts"].as_array().unwrap() {
        assert_eq!(receipt["inserted"], 0, "{receipt}\n{}", said.all());
    }
    for receipt in first.evidence()["receipts"].as_array().unwrap() {
        assert!(receipt["inserted"].as_u64().unwrap() > 0, "{receipt}");
    }
}

#[test]
fn a_broken_plan_is_rejected_with_104() {
    let folder = Out::new();
    let plan = folder.path().join("plan.yaml");
    std::fs::write(&plan, "plan: x\nscenarioz: {}\n").unwrap();
    run(command("runner").args(["apply", plan.to_str().unwrap()])).expect_code(104).expect("scenarioz");
}

#[test]
fn usage_errors_are_2() {
    run(command("runner").args(["apply"])).expect_code(2);
    run(command("runner").args(["apply", "no-such-plan.yaml"])).expect_code(2).expect("no-such-plan.yaml");
    run(command("runner").args(["fly"])).expect_code(2);
}

#[test]
fn a_service_that_never_gets_ready_is_116_with_its_log() {
    let out = Out::new();
    let mut command = command("runner");
    command
        .args(["apply", "plans/certctl/agent-storm.yaml", "--out", out.arg()])
        .args(["--set", "server=/bin/false"]);
    run(&mut command).expect_code(116).expect("certctl");
    assert_eq!(judge(&out)["exit"], 116);
}

#[test]
fn a_graph_file_runs_as_reviewed() {
    let folder = Out::new();
    let graph = folder.path().join("plan.graph.json");
    let said = run(command("planc").args(["compile", "plans/quickstart.yaml", "-o"]).arg(&graph));
    said.expect_code(0);
    run(command("runner").arg("apply").arg(&graph).args(["--set", "duration=5s"]))
        .expect_code(2)
        .expect("--set");
    run(command("runner").arg("apply").arg(&graph).arg("--dry-run")).expect_code(0).expect("heartbeats");
}

#[test]
fn what_rows_drew_from_another_table_is_what_the_scenario_sends() {
    let _turn = tests::together();
    let staging = Staging::start(&[]);
    let apply = |more: &[&str]| {
        let out = Out::new();
        let mut runner = command("runner");
        runner.args(["apply", "tests/plans/drawn.yaml", "--out", out.arg()]).args(more);
        runner.env("TARGET_URL", &staging.ground.url).env("API_KEY", KEY);
        run(runner.env("DATABASE_URL", &staging.database.url))
    };
    // What is sent is held against its answer before any load; how busy this machine is says nothing of it.
    let went = |said: tests::Said| {
        assert!([0, 111].contains(&said.code), "{}", said.all());
        said
    };
    let drawn = || staging.database.column("select agent from picks order by id");
    apply(&["--skip-seed"])
        .expect_code(114)
        .expect("what `agent` draws from `agents` is not known")
        .expect("seed it first");
    went(apply(&[])).expect("300 rows: 300 inserted");
    let first = drawn();
    assert_eq!(first.iter().collect::<std::collections::BTreeSet<_>>().len(), 20);
    // The other table grows, and nothing is drift.
    staging.database.execute("insert into agents (id, name, hostname) select 'x-' || i, 'x ' || i, 'h' from generate_series(1, 500) i");
    went(apply(&[])).expect("300 rows: nothing to do");
    went(apply(&["--skip-seed"]));
    assert_eq!(drawn(), first);
}
