//! `plans/veza/nightly.yaml`: green in a short form, red for one slow flow, for errors in one flow, for lost uploads.

use serde_json::{Value, json};
use std::time::Duration;
use tests::{Database, Ground, Out, Running, Said, alone, command, planc, root, run, runner, wait_until};

const PLAN: &str = "plans/veza/nightly.yaml";
const TOKEN: &str = "veza-nightly-token-4711";

/// A staging of its own: tracks and products seeded, one track chosen to be streamed.
struct Staging {
    ground: Ground,
    database: Database,
    track: String,
}

impl Staging {
    fn start(app_env: &str) -> Staging {
        let database = Database::start("veza_test");
        let env = [("APP_ENV", app_env), ("API_TOKEN", TOKEN)];
        let ground = Ground::start(Some(&database.url), &env);
        let out = Out::new();
        let fixtures = ["fixtures/veza/tracks.yaml", "fixtures/veza/products.yaml"];
        let seed = [
            "seed",
            fixtures[0],
            fixtures[1],
            "--quiet",
            "--out",
            out.arg(),
            "--database-url",
            &database.url,
        ];
        runner(&seed).expect_code(0);
        let track = database.value("select id from tracks where seconds >= 60 order by id limit 1");
        Staging { ground, database, track }
    }

    /// The plan at a fifteenth of its users for as long as its gates need samples.
    fn command(&self, out: &Out) -> std::process::Command {
        let mut command = command("runner");
        command.args(["apply", PLAN, "--out", out.arg()]);
        for set in [
            "upload_vus=3",
            "stream_vus=16",
            "browse_vus=66",
            "checkout_vus=8",
            "duration=12s",
            "lateness=10s",
        ] {
            command.args(["--set", set]);
        }
        command
            .env("BASE_URL", &self.ground.url)
            .env("STREAM_TRACK_ID", &self.track)
            .env("USER_TOKEN", TOKEN);
        command
    }

    /// Requests of one route alone.
    fn exactly(&self, route: &str) -> f64 {
        let (_, stats) = self.ground.send("GET", "/_stats", None);
        let statuses = stats["requests"][route].as_object().cloned().unwrap_or_default();
        statuses.values().filter_map(Value::as_f64).sum()
    }

    /// Applies the plan and breaks something once the load has begun.
    fn broken(&self, out: &Out, break_it: impl FnOnce(&Staging)) -> Said {
        let running = Running::start(self.command(out).arg("--quiet"));
        // The rehearsal plays each flow once.
        wait_until("load", Duration::from_secs(120), || self.ground.requests("upload/chunk") > 20);
        break_it(self);
        running.finish()
    }
}

/// `pass` or `fail` of the gate on `subject` whose condition begins with `text`.
fn gate(out: &Out, subject: &str, text: &str) -> String {
    let verdict = verdict(out);
    let gates = verdict["gates"].as_array().expect("gates");
    let selector = |gate: &Value| {
        let tags: Vec<String> = gate["selector"]
            .as_object()
            .map(|tags| {
                tags.iter().map(|(tag, value)| format!("{tag}:{}", value.as_str().unwrap_or(""))).collect()
            })
            .unwrap_or_default();
        let metric = gate["metric"].as_str().unwrap_or("");
        if tags.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", tags.join(",")) }
    };
    let found = gates.iter().find(|gate| {
        selector(gate) == subject && gate["text"].as_str().is_some_and(|found| found.starts_with(text))
    });
    let found = found.unwrap_or_else(|| panic!("no gate {subject} {text}\n{verdict:#}"));
    found["state"].as_str().unwrap_or("").to_owned()
}

fn verdict(out: &Out) -> Value {
    let said = run(command("runner").args(["judge", "--format", "json"]).arg(out.path()));
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}\n{}", said.all()))
}

fn metric(out: &Out, name: &str, value: &str) -> f64 {
    let text = std::fs::read_to_string(out.path().join("summary.json")).expect("a summary");
    let summary: Value = serde_json::from_str(&text).expect("JSON");
    summary["metrics"][name]["values"][value].as_f64().unwrap_or_else(|| panic!("no {name} {value}"))
}

#[test]
fn a_healthy_staging_is_green_and_every_flow_did_its_work() {
    let _alone = alone();
    let staging = Staging::start("staging");
    let out = Out::new();
    run(&mut staging.command(&out)).expect_code(0).expect("pass").expect_without(TOKEN);
    assert!(!out.everything().contains(TOKEN), "the token is in an output");
    // What the document's script cannot see: chunks arrive under the id that was given for them.
    let count = |sql: &str| staging.database.value(sql).parse::<f64>().expect("a number");
    let whole =
        "select count(*) from (select upload_id from track_chunks group by upload_id having count(*) = 10) u";
    assert!(count(whole) >= 3.0);
    assert_eq!(count("select count(*) from track_chunks where size <> 1048576"), 0.0);
    assert!(metric(&out, "upload_bytes", "count") >= 100.0 * 1_048_576.0);
    let segments = staging.ground.requests("{segment}");
    assert!(metric(&out, "hls_segment_bytes", "count") > 131_072.0 * (segments as f64 - 60.0));
    assert!(metric(&out, "checkout_latency", "p(95)") > 0.0);
    assert_eq!(metric(&out, "checkout_errors", "rate"), 0.0, "the 400 of an order is expected");
    assert_eq!(count("select count(*) from orders"), 0.0);
    // 60, 30 and 10 of 100, within four standard deviations of what so many throws give.
    let asked = ["GET /api/v1/search", "GET /api/v1/tracks", "GET /api/v1/tracks/{id}"]
        .map(|route| staging.exactly(route));
    let all: f64 = asked.iter().sum();
    for (count, share) in asked.into_iter().zip([0.6, 0.3, 0.1]) {
        let deviation = (share * (1.0 - share) / all).sqrt();
        assert!((count / all - share).abs() < 4.0 * deviation + 0.005, "{asked:?}");
    }
    let markdown = std::fs::read_to_string(out.path().join("step-summary.md")).expect("a step summary");
    for wanted in ["veza-nightly", "p(95) < 500ms", "p(99) < 1.5s", "http_req_failed"] {
        assert!(markdown.contains(wanted), "{wanted} is not in\n{markdown}");
    }
}

#[test]
fn one_slow_flow_is_red_though_all_together_are_not() {
    let _alone = alone();
    let staging = Staging::start("staging");
    let out = Out::new();
    let slow = |staging: &Staging| {
        let prefix = format!("/api/v1/tracks/{}/hls", staging.track);
        staging.ground.send(
            "PUT",
            "/_faults",
            Some(json!({ "path_prefix": prefix, "latency": { "fixed_ms": 400.0 } })),
        );
    };
    staging.broken(&out, slow).expect_code(99).expect("http_req_duration{scenario:streaming} p(95) < 300ms");
    assert_eq!(gate(&out, "http_req_duration{scenario:streaming}", "p(95)"), "fail");
    assert_eq!(gate(&out, "http_req_duration", "p(95)"), "pass");
}

#[test]
fn errors_in_one_flow_are_red() {
    let _alone = alone();
    let staging = Staging::start("staging");
    let out = Out::new();
    let errors = |staging: &Staging| {
        let fault = json!({ "path_prefix": "/api/v1/marketplace", "error_share": 0.05 });
        staging.ground.send("PUT", "/_faults", Some(fault));
    };
    staging.broken(&out, errors).expect_code(99).expect("checkout_errors rate < 1%");
    for (subject, wanted) in [
        ("checkout_errors", "fail"),
        ("http_req_failed{scenario:checkout}", "fail"),
        ("browse_errors", "pass"),
        ("stream_errors", "pass"),
    ] {
        assert_eq!(gate(&out, subject, "rate"), wanted, "{subject}");
    }
}

/// The document's script never had an upload id, since it threw away what it read; its chunks were green all the same.
#[test]
fn lost_upload_ids_are_red() {
    let _alone = alone();
    let staging = Staging::start("staging");
    let out = Out::new();
    let lose = |staging: &Staging| {
        staging.database.execute(
            "create function lose() returns trigger language plpgsql as 'begin return null; end';
             create trigger lose before insert on track_uploads for each row execute function lose()",
        );
    };
    staging.broken(&out, lose).expect_code(99).expect("upload_errors rate < 1%").expect("status 404");
    assert_eq!(gate(&out, "http_req_failed{scenario:upload}", "rate"), "fail");
    assert_eq!(gate(&out, "checkout_errors", "rate"), "pass");
}

#[test]
fn nothing_is_sent_to_what_is_not_staging_or_is_down() {
    let staging = Staging::start("production");
    let out = Out::new();
    run(&mut staging.command(&out)).expect_code(113).expect("the target is staging").expect("production");
    assert_eq!(staging.ground.requests("upload"), 0);
    let down = Out::new();
    // Port 1 of loopback: nobody listens there.
    run(staging.command(&down).env("BASE_URL", "http://127.0.0.1:1")).expect_code(113).expect("unreachable");
    // A token that has been rotated, a track that is gone: told before any load.
    staging.ground.send("PATCH", "/_app_env", Some(json!({ "app_env": "staging" })));
    let rotated = Out::new();
    run(staging.command(&rotated).env("USER_TOKEN", "yesterday")).expect_code(115).expect("401");
    let gone = Out::new();
    run(staging.command(&gone).env("STREAM_TRACK_ID", "5f0c4f8e-1111-4222-8333-444455556666"))
        .expect_code(115)
        .expect("seed a public track");
    assert_eq!(staging.ground.requests("upload"), 0);
}

#[test]
fn the_workflow_beside_the_plan_is_its_own() {
    let said = planc(&["workflow", PLAN, "--schedule", "30 2 * * *"]).expect_code(0);
    let beside =
        std::fs::read_to_string(root().join("plans/veza/nightly.workflow.yml")).expect("the workflow");
    assert_eq!(said.out, beside, "write it again: planc workflow {PLAN} --schedule \"30 2 * * *\"");
    for wanted in
        ["cron: \"30 2 * * *\"", "retention-days: 30", "duration:", "base_url:", "GITHUB_STEP_SUMMARY"]
    {
        assert!(said.out.contains(wanted), "no {wanted} in\n{}", said.out);
    }
}
