//! Accounts over HTTP through the real binaries, against a service that limits registration.

use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tests::registration::{Registration, Tells};
use tests::{Database, Ground, Out, Running, command, run, together, wait_until};

const LONG: Duration = Duration::from_secs(120);

/// Kills a seeding once half of the accounts are there, lets another go on, and looks at what the service has seen.
fn killed_and_resumed(service: &Registration, rows: u64) {
    let seeding = Running::start(&mut service.seed(&[]));
    wait_until("half of the accounts", LONG, || service.accounts() >= rows / 2);
    seeding.signal(Signal::SIGKILL);
    drop(seeding);
    let before = service.accounts();
    assert!(before < rows, "it was too late to kill it");
    run(&mut service.seed(&[])).expect_code(0).expect("were made by an earlier run");
    assert_eq!(service.accounts(), rows);
    // One whose answer was lost with the process that asked is not among them.
    assert!(service.answered(201) <= rows, "an account was made twice");
    assert_eq!(service.answered(429), 0);
}

#[test]
fn the_declared_limit_is_kept_from_the_first_second_on() {
    let _turn = together();
    // 20 a second and no more than a second's worth at once: all at once would be refused.
    let service = Registration::new(60, 1_200, 20, Tells::Exists);
    let start = Instant::now();
    run(&mut service.seed(&[])).expect_code(0).expect("60 rows: 60 inserted");
    assert!(
        start.elapsed() >= Duration::from_millis(59 * 50),
        "faster than the limit: {:?}",
        start.elapsed()
    );
    assert_eq!((service.answered(201), service.answered(429)), (60, 0));
    // The next time two are asked for, and the rest is known.
    run(&mut service.seed(&[])).expect_code(0).expect("60 rows: 60 kept");
    assert_eq!((service.answered(201), service.answered(400)), (60, 2));
    run(&mut service.seed(&["--trust-ledger"])).expect_code(0).expect("nothing to do");
    run(&mut service.seed(&["--verify"])).expect_code(0).expect("60 of 60 accounts are noted as made");
    assert_eq!((service.answered(201), service.answered(400)), (60, 2));
}

#[test]
fn a_killed_seeding_goes_on_and_makes_no_account_twice() {
    let _turn = together();
    let service = Registration::new(120, 1_200, 0, Tells::Exists);
    killed_and_resumed(&service, 120);
    let text = std::fs::read_to_string(service.export()).expect("the export");
    let users: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    let names: BTreeSet<&str> = users.iter().filter_map(|user| user["username"].as_str()).collect();
    assert_eq!(names.len(), 120);
    let mode = std::fs::metadata(service.export()).expect("the export").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds passwords");
}

#[test]
fn where_the_service_cannot_say_that_an_account_exists_the_probe_does() {
    let _turn = together();
    let service = Registration::new(120, 1_200, 0, Tells::Probe);
    killed_and_resumed(&service, 120);
    assert_eq!(service.answered(400), 0, "an account was asked for twice");
}

#[test]
fn without_a_database_a_file_remembers() {
    let _turn = together();
    let service = Registration::new(120, 1_200, 0, Tells::Probe).without_database();
    killed_and_resumed(&service, 120);
    assert_eq!(service.answered(400), 0, "an account was asked for twice");
}

#[test]
fn a_service_that_has_forgotten_its_accounts_gets_them_again() {
    let _turn = together();
    let service = Registration::new(20, 6_000, 0, Tells::Exists);
    run(&mut service.seed(&[])).expect_code(0).expect("20 inserted");
    service.database.execute("truncate users cascade");
    run(&mut service.seed(&[])).expect_code(0).expect("the service had forgotten 20 accounts");
    assert_eq!(service.accounts(), 20);
}

#[test]
fn a_key_that_is_told_once_serves_every_run_and_stands_nowhere() {
    let _turn = together();
    let database = Database::start("keys_test");
    let ground = Ground::start(Some(&database.url), &[("APP_ENV", "test"), ("ADMIN_KEY", "admin")]);
    let state = tempfile::tempdir().expect("a temporary folder");
    let mut outs = Vec::new();
    let mut apply = |words: &str| {
        let out = Out::new();
        let mut runner = command("runner");
        runner.args(["apply", "tests/plans/keys-told-once.yaml", "--out", out.arg()]);
        runner.env("TARGET_URL", &ground.url).env("ADMIN_KEY", "admin").env("DATABASE_URL", &database.url);
        let said = run(runner.env("XDG_STATE_HOME", state.path())).expect(words);
        // Every request is held against its answer before any load; how busy this machine is says nothing of it.
        assert!([0, 111].contains(&said.code), "{}", said.all());
        outs.push((said, out));
    };
    let known = || database.value("select count(*) from api_tokens where name like 'client-%'");

    apply("5 rows: 5 inserted");
    assert_eq!(known(), "5");
    let (file, first) = kept(state.path());
    assert_eq!(std::fs::metadata(&file).expect("the store").permissions().mode() & 0o777, 0o600);
    assert_eq!(first.len(), 5);

    // The keys of the run before are alive: none is asked for again.
    apply("5 rows: 5 kept");
    assert_eq!((known(), kept(state.path()).1), ("5".to_owned(), first.clone()));

    // One of them is dead: that one is issued anew, and the scenario sends the new one.
    let id = database.value("select id from api_tokens where name = 'client-3'");
    assert_eq!(ground.send("DELETE", &format!("/api/admin/tokens/{id}"), None).0, 204);
    apply("1 ");
    assert_eq!(known(), "5");
    let all = kept(state.path()).1;
    assert_eq!(all.difference(&first).count(), 1, "one new key");

    let rows = ["ledger", "accounts"].map(|table| {
        let rows = format!("select coalesce(string_agg(t::text, ' '), '') from planc.{table} t");
        let there = database.value(&format!("select to_regclass('planc.{table}') is not null"));
        if there == "true" || there == "t" { database.value(&rows) } else { String::new() }
    });
    assert!(rows.concat().contains("clients"), "the database remembers that they were made");
    for (said, out) in &outs {
        let text = format!("{}{}{}", said.all(), out.everything(), rows.concat());
        assert!(out.evidence()["receipts"][0]["name"] == "clients", "the evidence tells of them");
        for key in &all {
            assert!(!text.contains(key.as_str()), "a key was told");
        }
    }
}

/// The file of what services told once, and the keys in it.
fn kept(state: &Path) -> (PathBuf, BTreeSet<String>) {
    let mut folders = vec![state.join("planc/secrets")];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(&folder).expect("the folder of the store").flatten() {
            if file.path().is_dir() {
                folders.push(file.path());
                continue;
            }
            let text = std::fs::read_to_string(file.path()).expect("the store");
            let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            let keys: BTreeSet<String> =
                lines.filter_map(|line| line["told"]["key"].as_str().map(String::from)).collect();
            if !keys.is_empty() {
                return (file.path(), keys);
            }
        }
    }
    panic!("no store in {}", state.display());
}
