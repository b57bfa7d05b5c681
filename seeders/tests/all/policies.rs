//! Conflict policies, adoption, growth, deletion, reset, verify.

use crate::build::*;
use crate::harness::*;
use planc::graph::OnConflict;
use seeders::{Action, ErrorKind, Mode};
use serde_json::json;

#[tokio::test]
async fn first_seeding_then_nothing_to_do() {
    let mut client = with(AGENTS).await;
    let graph =
        agents(250).verify("select count(*) from agents where id like 'ag-%'", json!("{{ rows }}")).alone();
    let first = seed(&mut client, &graph).await;
    assert_eq!((first.action, counts(&first)), (Action::Inserted, [250, 0, 0, 0, 0, 0]));
    let xmin = text(&client, "SELECT max(xmin::text::bigint) FROM agents").await;
    let again = seed(&mut client, &graph).await;
    assert_eq!((again.action, counts(&again)), (Action::NothingToDo, [0, 0, 0, 0, 0, 250]));
    assert_eq!(again.fingerprint, first.fingerprint);
    assert_eq!(text(&client, "SELECT max(xmin::text::bigint) FROM agents").await, xmin, "no row was touched");
    let row = text(
        &client,
        "SELECT id, hostname, status, seen AT TIME ZONE 'UTC', hits FROM agents WHERE id = 'ag-00007'",
    )
    .await;
    assert_eq!(row, "(ag-00007,ag-00007.fleet.example.test,Online,\"2026-11-21 13:10:20\",0)");
}

#[tokio::test]
async fn refresh_mends_what_drifted_and_nothing_else() {
    let mut client = with(AGENTS).await;
    let graph = agents(100).alone();
    seed(&mut client, &graph).await;
    client
        .batch_execute(
            "UPDATE agents SET status = 'Lost' WHERE id <= 'ag-00003'; DELETE FROM agents WHERE id = 'ag-00050'; \
             UPDATE agents SET hits = 9, seen = now() WHERE id = 'ag-00099'",
        )
        .await
        .unwrap();
    let receipt = seed(&mut client, &graph).await;
    assert_eq!((receipt.action, counts(&receipt)), (Action::Refreshed, [1, 3, 0, 0, 0, 96]));
    assert_eq!(number(&client, "SELECT count(*) FROM agents WHERE status = 'Online'").await, 100);
    assert_eq!(number(&client, "SELECT hits::bigint FROM agents WHERE id = 'ag-00099'").await, 9);
    assert_eq!(seed(&mut client, &graph).await.action, Action::NothingToDo);
}

#[tokio::test]
async fn rows_that_are_not_ours_need_adopt() {
    let sql = format!(
        "{AGENTS}; INSERT INTO agents VALUES ('ag-00002', 'theirs', 'Offline', 'plan9'), ('x', 'x', 'x', 'x')"
    );
    let mut client = with(&sql).await;
    let error = seed_with(&mut client, &agents(5).alone(), &options()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(
        error.to_string().contains("1 rows of `agents`") && error.to_string().contains("`ag-00002`"),
        "{error}"
    );
    assert!(error.help.unwrap().contains("adopt: true"));
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, 2);
    let receipt = seed(&mut client, &agents(5).adopt().alone()).await;
    assert_eq!((receipt.action, counts(&receipt)), (Action::Refreshed, [4, 1, 0, 0, 0, 0]));
    assert_eq!(
        text(&client, "SELECT hostname FROM agents WHERE id = 'ag-00002'").await,
        "(ag-00002.fleet.example.test)"
    );
    assert_eq!(seed(&mut client, &agents(5).adopt().alone()).await.action, Action::NothingToDo);
}

#[tokio::test]
async fn keep_leaves_and_reset_knows_whose_rows_they_are() {
    let sql = format!("{AGENTS}; INSERT INTO agents VALUES ('ag-00002', 'theirs', 'Offline', 'plan9')");
    let mut client = with(&sql).await;
    let graph = agents(5).policy(OnConflict::Keep).alone();
    let receipt = seed(&mut client, &graph).await;
    assert_eq!((receipt.action, counts(&receipt)), (Action::Inserted, [4, 0, 0, 1, 0, 0]));
    assert_eq!(seed(&mut client, &graph).await.action, Action::NothingToDo);
    client
        .batch_execute(
            "UPDATE agents SET os = 'beos' WHERE id = 'ag-00004'; DELETE FROM agents WHERE id = 'ag-00005'",
        )
        .await
        .unwrap();
    let drift = seed(&mut client, &graph).await;
    assert_eq!((drift.action, drift.inserted), (Action::Drift, 1));
    assert_eq!(text(&client, "SELECT os FROM agents WHERE id = 'ag-00004'").await, "(beos)");
    let reset = seed_with(&mut client, &graph, &mode(Mode::Reset)).await.unwrap();
    assert_eq!((reset.action, reset.deleted), (Action::Reset, 4));
    assert_eq!(text(&client, "SELECT id FROM agents").await, "(ag-00002)");
    assert_eq!(number(&client, "SELECT count(*) FROM planc.ledger").await, 0);
}

#[tokio::test]
async fn fail_lists_what_is_there() {
    let mut client = with(AGENTS).await;
    let graph = agents(8).policy(OnConflict::Fail).alone();
    seed(&mut client, &graph).await;
    assert_eq!(seed(&mut client, &graph).await.action, Action::NothingToDo);
    client.batch_execute("UPDATE agents SET os = 'beos' WHERE id = 'ag-00004'").await.unwrap();
    let drift = seed(&mut client, &graph).await;
    assert_eq!(drift.action, Action::Drift);
    assert!(drift.notes.contains(&"1 row changed".to_string()), "{:?}", drift.notes);
    client.batch_execute("DELETE FROM planc.ledger").await.unwrap();
    let error = seed_with(&mut client, &graph, &options()).await.unwrap_err();
    assert!(
        error.message.contains("8 of its rows are in `agents` already: `ag-00001`, `ag-00002`"),
        "{error}"
    );
}

#[tokio::test]
async fn exact_deletes_what_the_fixture_no_longer_has() {
    let mut client = with(AGENTS).await;
    client.batch_execute("INSERT INTO agents VALUES ('other', 'o', 'o', 'o')").await.unwrap();
    seed(&mut client, &agents(10).alone()).await;
    let shrunk = seed(&mut client, &agents(6).alone()).await;
    assert_eq!((shrunk.action, counts(&shrunk)), (Action::NothingToDo, [0, 0, 0, 0, 0, 6]));
    assert!(
        shrunk.notes.iter().any(|note| note.starts_with("4 rows of an earlier definition")),
        "{:?}",
        shrunk.notes
    );
    let exact = seed(&mut client, &agents(4).policy(OnConflict::Exact).alone()).await;
    assert_eq!((exact.action, counts(&exact)), (Action::Refreshed, [0, 0, 6, 0, 0, 4]));
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, 5);
}

#[tokio::test]
async fn growth_inserts_the_new_rows_alone() {
    let mut client = with(AGENTS).await;
    seed(&mut client, &agents(100).alone()).await;
    let receipt = seed_with(&mut client, &agents(150).alone(), &options()).await.unwrap();
    assert_eq!((receipt.action, counts(&receipt)), (Action::Inserted, [50, 0, 0, 0, 0, 100]));
}

#[tokio::test]
async fn failed_checks_roll_everything_back() {
    let mut client = with(AGENTS).await;
    let graph =
        agents(5).verify("select count(*) from agents where length(os) < {{ rows }}", json!(5000)).alone();
    let error = seed_with(&mut client, &graph, &options()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Verify);
    assert!(error.message.contains("should be 5000, but it is"), "{error}");
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, 0);
    assert_eq!(text(&client, "SELECT to_regclass('planc.ledger') IS NULL").await, "(t)");
}

#[tokio::test]
async fn verify_compares_and_writes_nothing() {
    let mut client = with(AGENTS).await;
    let graph = agents(20).alone();
    let before = seed_with(&mut client, &graph, &mode(Mode::Verify)).await.unwrap();
    assert_eq!(before.action, Action::Drift);
    seed(&mut client, &graph).await;
    let verified = seed_with(&mut client, &graph, &mode(Mode::Verify)).await.unwrap();
    assert_eq!((verified.action, verified.unchanged), (Action::Verified, 20));
    client.batch_execute("UPDATE agents SET os = 'x' WHERE id = 'ag-00003'").await.unwrap();
    let drift = seed_with(&mut client, &graph, &mode(Mode::Verify)).await.unwrap();
    assert_eq!(drift.action, Action::Drift);
    assert!(drift.notes.contains(&"1 row changed".to_string()), "{:?}", drift.notes);
    assert_eq!(number(&client, "SELECT count(*) FROM agents WHERE os = 'x'").await, 1);
}

#[tokio::test]
async fn reset_is_refused_while_rows_hold_on() {
    let sql = format!(
        "{AGENTS}; CREATE TABLE jobs (id int, agent text REFERENCES agents); \
        CREATE TABLE logs (id int, agent text REFERENCES agents ON DELETE CASCADE)"
    );
    let mut client = with(&sql).await;
    let graph = agents(5).alone();
    seed(&mut client, &graph).await;
    client.batch_execute("INSERT INTO jobs VALUES (1, 'ag-00001'), (2, 'ag-00001'); INSERT INTO logs VALUES (1, 'ag-00002')").await.unwrap();
    let error = seed_with(&mut client, &graph, &mode(Mode::Reset)).await.unwrap_err();
    assert!(error.message.contains("2 rows of `jobs` refer to them (`jobs_agent_fkey`)"), "{error}");
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, 5);
    client
        .batch_execute("DELETE FROM jobs; INSERT INTO agents VALUES ('mine', 'x', 'x', 'x')")
        .await
        .unwrap();
    let reset = seed_with(&mut client, &graph, &mode(Mode::Reset)).await.unwrap();
    assert_eq!(reset.deleted, 5);
    assert!(
        reset.notes.iter().any(|note| note.contains("1 row of `logs` went with them")),
        "{:?}",
        reset.notes
    );
    assert_eq!(text(&client, "SELECT id FROM agents").await, "(mine)");
    let nothing = seed_with(&mut client, &graph, &mode(Mode::Reset)).await.unwrap();
    assert_eq!(nothing.action, Action::NothingToDo);
}

#[tokio::test]
async fn a_fixture_that_moved_to_another_table_still_knows_its_old_rows() {
    let mut client = with(&format!("{AGENTS}; CREATE TABLE fleet (LIKE agents INCLUDING ALL)")).await;
    seed(&mut client, &agents(4).alone()).await;
    let mut moved = agents(3).alone();
    let planc::graph::FixtureKind::Table(table) = &mut moved.fixtures[0].kind else { panic!("a table") };
    table.table = "fleet".into();
    let receipt = seed(&mut client, &moved).await;
    assert_eq!(receipt.inserted, 3);
    assert!(receipt.notes.iter().any(|note| note.contains("another table")), "{:?}", receipt.notes);
    let reset = seed_with(&mut client, &moved, &mode(Mode::Reset)).await.unwrap();
    assert_eq!(reset.deleted, 7);
}
