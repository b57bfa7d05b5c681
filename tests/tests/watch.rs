//! What a run watches beside its own requests, from end to end: scraped metrics, gates in SQL, triage.

use serde_json::{Value, json};
use std::time::Duration;
use tests::{Database, Ground, Out, Running, Said, alone, command, run, wait_until};

const KEY: &str = "a-key-that-must-never-be-printed";

struct Staging {
    database: Database,
    ground: Ground,
}

impl Staging {
    fn start() -> Staging {
        let database = Database::start("fleet_test");
        let env = [("APP_ENV", "test"), ("API_TOKEN", KEY), ("ADMIN_KEY", "admin")];
        let ground = Ground::start(Some(&database.url), &env);
        Staging { database, ground }
    }

    fn command(&self, verb: &[&str], more: &[&str]) -> std::process::Command {
        self.on("tests/plans/watch.yaml", verb, more)
    }

    fn on(&self, plan: &str, verb: &[&str], more: &[&str]) -> std::process::Command {
        let mut command = command("runner");
        command.args(verb).arg(plan).args(more);
        command
            .env("TARGET_URL", &self.ground.url)
            .env("DATABASE_URL", &self.database.url)
            .env("API_KEY", KEY);
        command
    }

    fn apply(&self, out: &Out, more: &[&str]) -> Said {
        self.finished(self.command(&["apply"], more), out)
    }

    fn triage(&self, out: &Out) -> Said {
        self.finished(self.on("tests/plans/triage.yaml", &["apply"], &[]), out)
    }

    fn finished(&self, mut command: std::process::Command, out: &Out) -> Said {
        let said = run(command.args(["--out", out.arg()]));
        assert!(!out.everything().contains(KEY), "the key is in an output");
        said
    }

    /// Heartbeats of some agents are answered and not written.
    fn lose_writes(&self) {
        self.database.execute(
            "create function lose() returns trigger language plpgsql as $$
                 begin new.heartbeat_count := old.heartbeat_count; return new; end $$;
             create trigger lose before update on agents for each row when (old.id like '%5') execute function lose();",
        );
    }

    /// An entry of the audit log is not what its hash says.
    fn fork_the_chain(&self) {
        self.database.execute(
            "insert into audit_log (actor, action, details) values ('a', 'b', '{}'), ('a', 'c', '{}');
             alter table audit_log disable trigger audit_log_append_only;
             update audit_log set actor = 'mallory' where id = (select min(id) from audit_log);
             alter table audit_log enable trigger audit_log_append_only;",
        );
    }
}

/// The verdict from the evidence alone, which is the one that the run gave.
fn judge(out: &Out) -> Value {
    let said =
        run(command("runner").args(["judge", "--format", "json"]).arg(out.path().join("evidence.json")));
    let again: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}\n{}", said.all()));
    let text = std::fs::read_to_string(out.path().join("summary.json")).expect("the run wrote its summary");
    let given: Value = serde_json::from_str(&text).expect("a summary is JSON");
    assert_eq!(given["verdict"], again, "the evidence alone gives another verdict");
    again
}

fn state<'v>(verdict: &'v Value, gate: &str) -> &'v Value {
    let gates = verdict["gates"].as_array().expect("gates");
    let found = gates.iter().find(|known| known["metric"] == gate);
    &found.unwrap_or_else(|| panic!("no gate `{gate}` in {verdict:#}"))["state"]
}

#[test]
fn gates_in_sql_hold_where_the_database_holds_what_was_answered() {
    let _alone = alone();
    let staging = Staging::start();
    // A second run starts from the rows of the first: what counts is the increase.
    for _ in 0..2 {
        let out = Out::new();
        staging.apply(&out, &[]).expect_code(0).expect("every answered heartbeat is in the database");
        let verdict = judge(&out);
        for gate in verdict["gates"].as_array().expect("gates") {
            assert_eq!(gate["state"], "pass", "{gate:#}");
        }
        assert_eq!(out.evidence()["sql_gates"].as_array().map(Vec::len), Some(3));
    }
}

#[test]
fn a_queue_that_grows_is_red() {
    let _alone = alone();
    let staging = Staging::start();
    staging.ground.send("PUT", "/_faults", Some(json!({ "queue_stalled": true })));
    let out = Out::new();
    staging.apply(&out, &[]).expect_code(99).expect("queue_depth max < 100: measured");
    let verdict = judge(&out);
    let gates: Vec<&Value> = verdict["gates"].as_array().expect("gates").iter().collect();
    let of_queue = gates.iter().filter(|gate| gate["metric"] == "queue_depth");
    let states: Vec<&Value> = of_queue.map(|gate| &gate["state"]).collect();
    assert_eq!(states, ["fail", "fail"], "of the load, and of a window");
    assert_eq!(*state(&verdict, "pool_waiting"), "pass");
    let points = out.evidence()["load"]["scrapes"]["queue_depth"]["points"].clone();
    assert!(points.as_array().expect("points").len() >= 6, "{points}");
}

#[test]
fn a_metric_that_is_away_is_never_a_pass() {
    let _alone = alone();
    let staging = Staging::start();
    staging.ground.send("PUT", "/_faults", Some(json!({ "path_prefix": "/metrics", "error_share": 1.0 })));
    let out = Out::new();
    let said = staging.apply(&out, &[]).expect_code(111);
    said.expect("queue_depth max < 100: it was never scraped").expect("the last: status 500");
    let verdict = judge(&out);
    assert_eq!(*state(&verdict, "queue_depth"), "no-data");
    assert_eq!(*state(&verdict, "pool_waiting"), "pass");
}

#[test]
fn lost_writes_are_red() {
    let _alone = alone();
    let staging = Staging::start();
    staging.lose_writes();
    let out = Out::new();
    let said = staging.apply(&out, &[]).expect_code(99);
    said.expect("every answered heartbeat is in the database (increase of value equals");
    let verdict = judge(&out);
    assert_eq!(*state(&verdict, "every answered heartbeat is in the database"), "fail");
    assert_eq!(*state(&verdict, "the audit chain is unbroken"), "pass");
}

#[test]
fn a_forked_audit_chain_is_red() {
    let _alone = alone();
    let staging = Staging::start();
    staging.fork_the_chain();
    let out = Out::new();
    staging.apply(&out, &["--set", "duration=3s"]).expect_code(99).expect("expected value equals null, saw ");
    assert_eq!(*state(&judge(&out), "the audit chain is unbroken"), "fail");
}

#[test]
fn a_statement_that_fails_is_never_a_pass() {
    let _alone = alone();
    let staging = Staging::start();
    staging.database.execute(
        "create or replace function audit_log_broken_at() returns bigint language plpgsql as
         $$ begin raise exception 'the log is locked'; end $$",
    );
    let out = Out::new();
    staging.apply(&out, &["--set", "duration=3s"]).expect_code(111).expect("the log is locked");
    assert_eq!(*state(&judge(&out), "the audit chain is unbroken"), "refused");
}

#[test]
fn a_statement_that_the_database_does_not_take_is_told_before_any_load() {
    let staging = Staging::start();
    staging.database.execute("drop function audit_log_broken_at()");
    let live = run(&mut staging.command(&["check", "--live"], &[]));
    live.expect_code(104)
        .expect("the statement of this gate fails")
        .expect("audit_log_broken_at() does not exist");
    let out = Out::new();
    let said = staging.apply(&out, &[]).expect_code(115);
    said.expect("SQL gate: the audit chain is unbroken").expect("audit_log_broken_at() does not exist");
    assert_eq!(staging.ground.requests("heartbeat"), 1, "the rehearsal's alone");
}

#[test]
fn triage_finds_nothing_where_nothing_breaks() {
    let _alone = alone();
    let staging = Staging::start();
    let out = Out::new();
    staging.triage(&out).expect_code(0).expect_without("triage `");
    assert_eq!(out.evidence()["triage"], Value::Null);
    judge(&out);
}

#[test]
fn triage_ends_the_load_and_keeps_what_it_saw_at_that_moment() {
    let _alone = alone();
    let staging = Staging::start();
    staging.ground.send("PUT", "/_faults", Some(json!({ "queue_stalled": true })));
    let out = Out::new();
    let said = staging.triage(&out).expect_code(99);
    said.expect("triage `the queue grows` ended the load").expect("nobody works the queue off");
    let verdict = judge(&out);
    assert!(verdict["causes"][0]["text"].as_str().expect("a text").contains("queue_depth.value > 50: it is"));
    let evidence = out.evidence();
    let record = &evidence["triage"][0];
    assert_eq!((&record["name"], &record["ended"]), (&json!("the queue grows"), &json!(true)));
    assert!(
        evidence["load"]["duration_us"].as_u64().expect("a duration") < 6_000_000,
        "it ended before its time"
    );
    let text = |look: usize, key: &str| record["looks"][look][key].as_str().unwrap_or_default().to_owned();
    assert!(text(0, "output").contains("bullmq_queue_jobs{queue=\"jobs\",state=\"wait\"}"), "{record:#}");
    assert!(text(1, "output").contains("\"state\":"), "{record:#}");
    assert!(!text(2, "error").is_empty(), "a statement that hangs is cut off: {record:#}");
    assert_eq!(text(3, "output"), "exit code 3\nlooked with •••");
    assert_eq!(record["looks"][4]["cut"], true, "{record:#}");
    for report in ["report.html", "report.md"] {
        let report = std::fs::read_to_string(out.path().join(report)).expect("a report");
        assert!(report.contains("the queue grows") && report.contains("bullmq_queue_jobs"), "{report}");
    }
}

#[test]
fn triage_says_what_to_adjust_and_how_to_resume() {
    let _alone = alone();
    let staging = Staging::start();
    let out = Out::new();
    let mut command = staging.on("tests/plans/triage.yaml", &["apply"], &[]);
    let running = Running::start(command.args(["--out", out.arg()]));
    wait_until("the load", Duration::from_secs(60), || staging.ground.requests("heartbeat") > 20);
    let faults = json!({ "path_prefix": "/api/v1/agents", "error_share": 0.5 });
    staging.ground.send("PUT", "/_faults", Some(faults));
    let said = running.finish().expect_code(99);
    said.expect("triage `errors` ended the load")
        .expect("restart the service, then resume with `--from-stage storm:1`");
    judge(&out);
}

#[test]
fn a_gate_that_breaks_only_at_the_end_is_looked_into_then() {
    let _alone = alone();
    let staging = Staging::start();
    staging.lose_writes();
    let out = Out::new();
    let said = staging.triage(&out).expect_code(99);
    said.expect("triage `anything else` after the load: every answered heartbeat is in the database");
    let evidence = out.evidence();
    let record = &evidence["triage"][0];
    assert_eq!((&record["name"], &record["at_end"]), (&json!("anything else"), &json!(true)));
    assert!(record["looks"][0]["output"].as_str().expect("an output").contains("\"waiting\""), "{record:#}");
    judge(&out);
}
