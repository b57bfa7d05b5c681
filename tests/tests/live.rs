//! `runner check --live` from end to end: what only a database can tell, on the plan's own lines, and nothing written.

use serde_json::Value;
use std::process::Command;
use tests::{Database, Out, Said, command, planc, root, run};

/// The database of `tests/plans/live/fleet.sql`.
fn fleet() -> Database {
    let database = Database::start("fleet_test");
    let schema =
        std::fs::read_to_string(root().join("tests/plans/live/fleet.sql")).expect("the schema is there");
    database.execute(&schema);
    database
}

fn check(database: &Database, arguments: &[&str]) -> Said {
    run(&mut checking(database, arguments))
}

fn checking(database: &Database, arguments: &[&str]) -> Command {
    let mut command = command("runner");
    command.args(["check", "--live"]).args(arguments).env("DATABASE_URL", &database.url);
    command
}

/// `(line, "error P0901 message [profiles]")` of all findings.
fn findings(said: &Said) -> Vec<(u64, String)> {
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}\n{}", said.all()));
    let told = |d: &Value| {
        let text = |key: &str| d[key].as_str().unwrap_or_default().to_owned();
        let profiles: Vec<&str> =
            d["profiles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let within = if profiles.is_empty() { String::new() } else { format!(" [{}]", profiles.join(", ")) };
        let line = format!("{} {} {}{within}", text("level"), text("code"), text("message"));
        (d["line"].as_u64().expect("a line"), line)
    };
    report["diagnostics"].as_array().expect("a list").iter().map(told).collect()
}

#[test]
fn everything_is_told_beside_the_line_that_is_wrong() {
    let database = fleet();
    let plan = "tests/plans/live/fleet-wrong.yaml";
    planc(&["check", "--deny", "warnings", plan]).expect_code(0);
    let said = check(&database, &[plan, "--format", "json"]).expect_code(104);
    let mut found = findings(&said);
    let text = std::fs::read_to_string(root().join(plan)).expect("the plan is there");
    let expected: Vec<(u64, String)> = text
        .lines()
        .enumerate()
        .flat_map(|(i, line)| {
            line.split("#~ ").skip(1).map(move |told| (i as u64 + 1, told.trim().to_owned()))
        })
        .collect();
    for (line, told) in &expected {
        let (start, end) = told.split_once(" [").unwrap_or((told, ""));
        let at = found
            .iter()
            .position(|(at, found)| at == line && found.starts_with(start) && found.ends_with(end));
        let at = at.unwrap_or_else(|| panic!("line {line}: `{told}` is not in {found:#?}"));
        found.remove(at);
    }
    assert!(found.is_empty(), "not expected: {found:#?}");
}

#[test]
fn for_people_and_for_programs() {
    let database = fleet();
    let plan = "tests/plans/live/fleet-wrong.yaml";
    let terminal = check(&database, &[plan, "--profile", "small"]).expect_code(104);
    insta::assert_snapshot!("live_terminal", terminal.out);
    insta::assert_snapshot!("live_told", terminal.err);
    insta::assert_snapshot!("live_json", check(&database, &[plan, "--format", "json"]).expect_code(104).out);
    check(&database, &[plan, "--format", "github"])
        .expect_code(104)
        .expect("::error file=tests/plans/live/fleet-wrong.yaml,line=");
    check(&database, &[plan, "--format", "sarif"]).expect_code(104).expect("\"P0905\"");
}

#[test]
fn a_plan_that_fits_is_clean_and_nothing_is_written() {
    let database = fleet();
    database.execute(
        "CREATE ROLE onlooker LOGIN PASSWORD 'let-me-look'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO onlooker; \
         ALTER ROLE onlooker SET default_transaction_read_only = on",
    );
    let state = "SELECT xmin::text || ctid::text || id FROM agents ORDER BY id";
    let before = database.column(state);
    let plan = "tests/plans/live/fleet.yaml";
    check(&database, &[plan, "--deny", "warnings"])
        .expect_code(0)
        .expect("no problems in 1 file, 1 allowed")
        .expect("was checked against the database `fleet_test`");
    // A role that can only read, and that is not held against the plan: another one will seed.
    let (head, rest) = database.url.split_once("//").unwrap();
    let (_, host) = rest.split_once('@').unwrap();
    let url = format!("{head}//onlooker:let-me-look@{host}");
    let mut reading = command("runner");
    reading.args(["check", "--live", plan, "--deny", "warnings", "--database-url", &url]);
    run(&mut reading).expect_code(0).expect("the given database `fleet_test`").expect_without("let-me-look");
    // The same role as the plan's own could not seed, and that is told.
    run(checking(&database, &[plan]).env("DATABASE_URL", &url)).expect_code(104).expect("are read-only");
    assert_eq!(before, database.column(state));
    assert_eq!(database.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'planc'"), "0");
}

#[test]
fn without_live_it_says_what_planc_says() {
    for (plan, codes) in [("tests/plans/six-mistakes.yaml", (1, 104)), ("plans/quickstart.yaml", (0, 0))] {
        for format in ["terminal", "json"] {
            let compiler = planc(&["check", plan, "--format", format]).expect_code(codes.0);
            let said = run(command("runner").args(["check", plan, "--format", format])).expect_code(codes.1);
            assert_eq!((compiler.out, compiler.err), (said.out, said.err), "{plan}");
        }
    }
    run(command("runner").args(["check", "plans/nothing.yaml"])).expect_code(2).expect("plans/nothing.yaml");
    run(command("runner").args(["check", "plans/quickstart.yaml", "--database-url", "postgres://x"]))
        .expect_code(2);
}

#[test]
fn pools_are_held_against_the_server_that_runs() {
    let database = Database::start("fleet_test");
    let folder = Out::new();
    let max: u64 = database.value("SHOW max_connections").parse().expect("a number");
    let check = |pool: u64| {
        let path = folder.path().join("plan.yaml");
        let head = "plan: pools\ninputs:\n  url: { type: secret, env: DATABASE_URL }\n\
            target: { url: \"http://127.0.0.1:8080\", allow_hosts: [127.0.0.1] }\n";
        let database_of =
            format!("database: {{ url: \"{{{{ inputs.url }}}}\", pool: {pool}, workers: 2 }}\n");
        let load = "scenarios:\n  browse:\n    executor: constant-vus\n    vus: 5\n    duration: 5m\n    steps:\n\
            \x20     - get: /\n        expect: { status: 200 }\n\
            thresholds:\n  http_req_duration: [\"p(95) < 500ms\"]\n  http_req_failed: [\"rate < 1%\"]\n";
        std::fs::write(&path, format!("{head}{database_of}{load}")).expect("written");
        let mut command = command("runner");
        command.args(["check", "--live", "--deny", "warnings"]).arg(&path).env("DATABASE_URL", &database.url);
        run(&mut command)
    };
    check(max / 2 - 1).expect_code(0);
    check(max / 2)
        .expect_code(104)
        .expect("warning[P0430]")
        .expect(&format!("full pools want {} connections", max / 2 * 2 + 1));
    // What others have of the server is not the service's.
    let postgres = database.url.replace("/fleet_test", "/postgres");
    let _others: Vec<_> = (0..2).map(|_| database.hold(&postgres)).collect();
    check(max / 2 - 1).expect_code(104).expect("and 2 are open to other databases");
}

#[test]
fn a_database_that_cannot_be_looked_at_is_never_green() {
    let plan = "tests/plans/live/fleet.yaml";
    let away = |url: &str, arguments: &[&str]| {
        run(command("runner").args(["check", "--live", plan]).args(arguments).env("DATABASE_URL", url))
    };
    away("postgres://u:pass-word@127.0.0.1:1/fleet_test", &[])
        .expect_code(118)
        .expect("cannot be reached")
        .expect_without("pass-word");
    away("postgres://u:pass-word@127.0.0.1:1/fleet", &[]).expect_code(113).expect("`fleet` is not `*_test`");
    away("postgres://u@db.example.com/fleet_test", &[])
        .expect_code(113)
        .expect("neither local nor in `allow_hosts`");
    run(command("runner").args(["check", "--live", plan]))
        .expect_code(113)
        .expect("set the environment variable DATABASE_URL");
    let given = ["--database-url", "postgres://u:pass-word@127.0.0.1:1/fleet", "--database-guard", "*_test"];
    away("", &given).expect_code(113).expect("`fleet` is not `*_test`").expect_without("pass-word");
    away("", &given[..2]).expect_code(118).expect_without("pass-word");
    run(command("runner").args(["check", "--live", "plans/certctl/agent-storm.yaml"]))
        .expect_code(2)
        .expect("`services.postgres`")
        .expect("--database-url");
    // What the plan itself has wrong is told first.
    run(command("runner").args(["check", "--live", "tests/plans/six-mistakes.yaml"]))
        .expect_code(104)
        .expect("was not looked at");
}

#[test]
fn the_database_that_a_run_kept_is_looked_at_and_a_reset_takes_children_first() {
    let _alone = tests::alone();
    let out = Out::new();
    let server = format!("server={}", tests::binary("proving-ground").display());
    let plan = "plans/quickstart.yaml";
    let check = || run(command("runner").args(["check", "--live", "--deny", "warnings", plan]));
    check().expect_code(2).expect("no run has kept one under `quickstart` yet");
    let seed = |more: &[&str]| {
        let mut command = command("runner");
        run(command.args(["seed", plan, "--set", &server, "--out", out.arg()]).args(more)).expect_code(0)
    };
    seed(&[]);
    check().expect_code(0).expect("the kept database `quickstart_test`");
    // Agents and certificates hang together by a key without ON DELETE CASCADE.
    seed(&["--reset"]).expect("5,000 deleted").expect("10,000 deleted");
}

/// The blocks of a page in some language between two marks.
fn blocks<'p>(text: &'p str, language: &str) -> Vec<&'p str> {
    let mark = format!("```{language}\n");
    text.split(mark.as_str()).skip(1).map(|block| block.split("```").next().unwrap_or("")).collect()
}

#[test]
fn pages_on_the_live_database_hold_against_one() {
    let cluster = Database::start("pages_test");
    let folder = Out::new();
    let mut number = 0;
    let mut look = |sql: &str, fixture: &str| {
        number += 1;
        let name = format!("page_{number}_test");
        cluster.execute(&format!("CREATE DATABASE {name}"));
        let url = cluster.url.replace("/pages_test", &format!("/{name}"));
        cluster.execute_in(&url, sql);
        let path = folder.path().join("fixture.yaml");
        std::fs::write(&path, fixture).expect("written");
        let mut command = command("runner");
        command.args(["check", "--live", "--format", "json", "--database-url", &url]).arg(&path);
        findings(&run(&mut command))
    };
    let pages: Vec<_> = planc_pages();
    assert_eq!(pages.len(), 6, "{pages:?}");
    for (code, text) in pages {
        let (wrong, right) = text.split_once("\nRight:").expect("a page has a right example");
        let (schema, fixture) = (blocks(wrong, "sql")[0], blocks(wrong, "yaml")[0]);
        let found = look(schema, fixture);
        assert!(!found.is_empty(), "{code}: nothing is found");
        for (_, told) in &found {
            assert_eq!(told.split(' ').nth(1), Some(code.as_str()), "{found:#?}");
        }
        let schema = blocks(right, "sql").first().copied().unwrap_or(schema);
        let fixture = blocks(right, "yaml").first().copied().unwrap_or(fixture);
        let found = look(schema, fixture);
        assert!(found.is_empty(), "{code}, right: {found:#?}");
    }
}

/// Code and text of the pages on what only the live database can tell.
fn planc_pages() -> Vec<(String, String)> {
    let list = planc(&["explain", "--list"]).expect_code(0).out;
    let codes =
        list.lines().filter_map(|line| line.split_whitespace().next()).filter(|code| *code >= "P0900");
    codes.map(|code| (code.to_owned(), planc(&["explain", code]).expect_code(0).out)).collect()
}
