//! Only rows of buckets that are not as recorded are staged, and no row that drifted is passed over.

use crate::build::*;
use crate::harness::*;
use planc::graph::{ExecutionGraph, Generator, OnConflict};
use seeders::{Action, Inputs, Mode, Progress, Receipt};
use serde_json::json;
use tokio_postgres::Client;

/// Seeds and counts the rows that were sent.
async fn sending(client: &mut Client, graph: &ExecutionGraph) -> (Receipt, u64) {
    let mut sent = 0;
    let mut watch =
        |progress: Progress| sent = sent.max(if progress.doing.is_none() { progress.done } else { 0 });
    let (fixture, inputs, options) = (graph.fixtures.last().unwrap(), Inputs::new(), options());
    let seeding = seeders::seed(client, graph, fixture, &inputs, &options, &mut watch);
    let receipt = seeding.await.unwrap_or_else(|error| panic!("{error}"));
    (receipt, sent)
}

/// `[missing, changed, inserted, updated]`
fn found(receipt: &Receipt) -> [u64; 4] {
    let drift = receipt.drift.as_ref().expect("a drift is told");
    [drift.missing, drift.changed, receipt.inserted, receipt.updated]
}

/// The table is the fixture's, and seeding again finds nothing.
async fn is_whole(client: &mut Client, graph: &ExecutionGraph) {
    let verified = seed_with(client, graph, &mode(Mode::Verify)).await.unwrap();
    assert_eq!((verified.action, verified.drift), (Action::Verified, None));
    assert_eq!(seed(client, graph).await.action, Action::NothingToDo);
}

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap();
}

/// 2,000 rows of four columns, the identity in front.
fn things(identity: &str, keys: Vec<(&str, Generator)>) -> ExecutionGraph {
    let mut columns = keys;
    columns.push(("a", value(json!("a-{{ n }}"))));
    columns.push(("b", value(json!("b-{{ n % 7 }}"))));
    columns.push(("c", value(json!(null))));
    fixture("things", 2_000, identity, columns).alone()
}

const THINGS: &str = "a text, b text, c text";

#[tokio::test]
async fn few_rows_are_sent_to_find_few() {
    let mut client = with(AGENTS).await;
    let graph = agents(5_000).alone();
    let first = seed(&mut client, &graph).await;
    run(
        &client,
        "UPDATE agents SET status = 'Lost' WHERE id IN ('ag-00003', 'ag-04711'); DELETE FROM agents WHERE id = 'ag-00050'; \
         UPDATE agents SET id = 'elsewhere' WHERE id = 'ag-00060'; UPDATE agents SET hits = hits + 1",
    )
    .await;
    let (receipt, sent) = sending(&mut client, &graph).await;
    assert_eq!(
        (receipt.action, found(&receipt), receipt.unchanged),
        (Action::Refreshed, [2, 2, 2, 2], 4_996)
    );
    let told: Vec<u64> = receipt.drift.as_ref().unwrap().rows.iter().map(|row| row.row).collect();
    assert_eq!(told, [3, 50, 60, 4_711]);
    assert!((4..100).contains(&sent), "{sent} rows were sent");
    assert_eq!(receipt.fingerprint, first.fingerprint);
    is_whole(&mut client, &graph).await;
    // The row that was given another identity is nobody's now.
    let whole = "SELECT count(*) FROM planc.ledger WHERE whole_table";
    assert_eq!(
        (number(&client, whole).await, number(&client, "SELECT count(*) FROM agents").await),
        (0, 5_001)
    );
    run(&client, "DELETE FROM agents WHERE id IN ('elsewhere', 'ag-00001')").await;
    let (receipt, sent) = sending(&mut client, &graph).await;
    assert_eq!((found(&receipt), sent < 50), ([1, 0, 1, 0], true), "{sent}");
    is_whole(&mut client, &graph).await;
}

#[tokio::test]
async fn a_row_is_found_by_any_identity() {
    let uuid = "00000000-0000-4000-8000-{{ n | pad(12) }}";
    for (types, identity, keys, narrow) in [
        ("k text", "k", vec![("k", value(json!("ключ-{{ n }} of a long name")))], true),
        ("k varchar(40)", "k", vec![("k", value(json!("k{{ n }}")))], true),
        ("k smallint", "k", vec![("k", value(json!("{{ n - 1000 }}")))], true),
        ("k int", "k", vec![("k", value(json!("{{ n * -70000 }}")))], true),
        ("k bigint", "k", vec![("k", value(json!("{{ 5000000000 - n * 4999999 }}")))], true),
        ("k uuid", "k", vec![("k", value(json!(uuid)))], true),
        (
            "k text, l int",
            "k l",
            vec![("k", value(json!("k-{{ n // 10 }}"))), ("l", value(json!("{{ n % 10 }}")))],
            true,
        ),
        // Of a type whose bytes differ here and there, and beside one whose bytes do not.
        ("k numeric", "k", vec![("k", value(json!("{{ n }}.50")))], false),
        (
            "k numeric, l int",
            "k l",
            vec![("k", value(json!("{{ n }}.50"))), ("l", value(json!("{{ n }}")))],
            true,
        ),
        ("k char(9)", "k", vec![("k", value(json!("k{{ n }}")))], false),
        ("k word", "k", vec![("k", value(json!("k{{ n }}")))], false),
        ("k text COLLATE same", "k", vec![("k", value(json!("K{{ n }}")))], false),
    ] {
        let mut client = with(&format!(
            "CREATE DOMAIN word AS text; \
             CREATE COLLATION same (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
             CREATE TABLE things ({types}, {THINGS}, UNIQUE ({}))",
            identity.replace(' ', ", ")
        ))
        .await;
        let graph = things(identity, keys);
        seed(&mut client, &graph).await;
        run(
            &client,
            "UPDATE things SET c = 'x' WHERE substr(a, 3)::int % 50 = 0; DELETE FROM things WHERE substr(a, 3)::int % 500 = 1",
        )
        .await;
        if types.ends_with("same") {
            // Equal to the database, and other bytes.
            run(&client, "UPDATE things SET k = lower(k), b = 'other' WHERE a = 'a-77'").await;
        }
        let changed = if types.ends_with("same") { 41 } else { 40 };
        let (receipt, sent) = sending(&mut client, &graph).await;
        assert_eq!(found(&receipt), [4, changed, 4, changed], "{types}");
        assert_eq!(sent < 1_000, narrow, "{types}: {sent} rows were sent");
        is_whole(&mut client, &graph).await;
    }
}

#[tokio::test]
async fn what_cancels_out_elsewhere_does_not_here() {
    let mut client = with(&format!("CREATE TABLE things (k int PRIMARY KEY, {THINGS})")).await;
    let graph = things("k", vec![("k", value(json!("{{ n }}")))]);
    seed(&mut client, &graph).await;
    // Each pair of neighbours swaps its values, for rows of one bucket and of two; then values move between columns.
    for (sql, rows) in [
        (
            "UPDATE things t SET a = o.a FROM things o WHERE t.k <= 40 AND o.k = t.k + CASE WHEN t.k % 2 = 1 THEN 1 ELSE -1 END",
            40,
        ),
        (
            "UPDATE things SET k = CASE k WHEN 11 THEN -1 ELSE 11 END WHERE k = 11; UPDATE things SET k = 11 WHERE k = 1999; \
          UPDATE things SET k = 1999 WHERE k = -1",
            2,
        ),
        ("UPDATE things SET c = a, a = c WHERE k = 5", 1),
        ("UPDATE things SET c = '' WHERE k = 6", 1),
        ("UPDATE things SET a = NULL, b = NULL WHERE k IN (7, 8)", 2),
    ] {
        run(&client, sql).await;
        let (receipt, sent) = sending(&mut client, &graph).await;
        assert_eq!((found(&receipt), sent < 400), ([0, rows, 0, rows], true), "{sql}: {sent} rows were sent");
        is_whole(&mut client, &graph).await;
    }
}

#[tokio::test]
async fn rows_of_others_are_not_looked_at() {
    let mut client = with(AGENTS).await;
    run(&client, "INSERT INTO agents SELECT 'x' || i, 'h', 's', 'o' FROM generate_series(1, 500) i").await;
    let graph = agents(1_000).alone();
    seed(&mut client, &graph).await;
    run(&client, "UPDATE agents SET os = 'y' WHERE id < 'ag-00003' OR id LIKE 'x%'; DELETE FROM agents WHERE id = 'x7'").await;
    let (receipt, sent) = sending(&mut client, &graph).await;
    assert_eq!((found(&receipt), sent < 100), ([0, 2, 0, 2], true), "{sent}");
    is_whole(&mut client, &graph).await;
    assert_eq!(number(&client, "SELECT count(*) FROM agents WHERE os = 'y'").await, 499);
    // They come where there were none.
    let mut client = with(AGENTS).await;
    seed(&mut client, &graph).await;
    run(&client, "INSERT INTO agents SELECT 'x' || i, 'h', 's', 'o' FROM generate_series(1, 500) i; DELETE FROM agents WHERE id = 'ag-00009'").await;
    let (receipt, sent) = sending(&mut client, &graph).await;
    assert_eq!((found(&receipt), sent < 100), ([1, 0, 1, 0], true), "{sent}");
    is_whole(&mut client, &graph).await;
}

#[tokio::test]
async fn without_parts_that_are_of_the_fingerprint_all_rows_are_sent() {
    for spoilt in [
        "UPDATE planc.ledger SET buckets = NULL",
        "UPDATE planc.ledger SET buckets = ''",
        "UPDATE planc.ledger SET buckets = substr(buckets, 1, 100)",
        "UPDATE planc.ledger SET buckets = set_byte(buckets, 99, 255 - get_byte(buckets, 99))",
        // A program that knows nothing of them wrote the entry.
        "UPDATE planc.ledger SET fingerprint = '1000:7'",
        "UPDATE planc.ledger SET fingerprint = 'r1000:7'",
        "UPDATE planc.ledger SET fingerprint = 'x1000:7'",
        "ALTER TABLE planc.ledger DROP COLUMN buckets",
    ] {
        let mut client = with(AGENTS).await;
        let graph = agents(1_000).alone();
        let first = seed(&mut client, &graph).await;
        run(&client, &format!("{spoilt}; UPDATE agents SET os = 'y' WHERE id = 'ag-00007'")).await;
        let (receipt, sent) = sending(&mut client, &graph).await;
        assert_eq!((found(&receipt), sent), ([0, 1, 0, 1], 1_000), "{spoilt}");
        assert_eq!(receipt.fingerprint, first.fingerprint, "{spoilt}");
        // From now on it has them.
        run(&client, "DELETE FROM agents WHERE id = 'ag-00008'").await;
        let (receipt, sent) = sending(&mut client, &graph).await;
        assert_eq!((found(&receipt), sent < 50), ([1, 0, 1, 0], true), "{spoilt}: {sent}");
        is_whole(&mut client, &graph).await;
    }
}

#[tokio::test]
async fn a_fingerprint_of_an_earlier_program_is_understood() {
    let mut client = with(AGENTS).await;
    let graph = agents(300).alone();
    seed(&mut client, &graph).await;
    for (mark, hash) in [
        ("r", "hash_record_extended(ROW(t.hostname, t.id, t.os, t.status), 0)"),
        ("", "hashtextextended(ROW(t.hostname, t.id, t.os, t.status)::text, 0)"),
    ] {
        let sum = client.query_one(&format!("SELECT sum({hash})::text FROM agents t"), &[]).await.unwrap();
        let sum: i128 = sum.get::<_, String>(0).parse().unwrap();
        let older = format!("{mark}300:{sum:x}");
        run(&client, &format!("UPDATE planc.ledger SET fingerprint = '{older}', buckets = NULL")).await;
        let (receipt, sent) = sending(&mut client, &graph).await;
        assert_eq!((receipt.action, sent, receipt.fingerprint), (Action::NothingToDo, 0, older));
        run(&client, "UPDATE agents SET os = 'y' WHERE id = 'ag-00007'").await;
        let (receipt, sent) = sending(&mut client, &graph).await;
        assert_eq!((found(&receipt), sent), ([0, 1, 0, 1], 300));
        assert!(receipt.fingerprint.starts_with("x300:"), "{}", receipt.fingerprint);
    }
}

#[tokio::test]
async fn servers_that_hash_otherwise_or_not_at_all() {
    for (answers, mark, narrow) in [
        ("", "x", true),
        // Before Postgres 14: neither hashes of records nor exclusive or.
        (
            "CREATE FUNCTION other.current_setting(text) RETURNS text LANGUAGE sql AS \
             $$ SELECT CASE $1 WHEN 'server_version_num' THEN '130010' ELSE pg_catalog.current_setting($1) END $$",
            "1",
            false,
        ),
        // A machine of the other byte order, or a later version with another hash.
        (
            "CREATE FUNCTION other.hashtextextended(text, bigint) RETURNS bigint LANGUAGE sql AS \
             $$ SELECT -pg_catalog.hashtextextended($1, $2) $$",
            "x",
            false,
        ),
    ] {
        let mut client = with(&format!("{AGENTS}; CREATE SCHEMA other; {answers}")).await;
        run(&client, "SET search_path = other, pg_catalog, public").await;
        let graph = agents(1_000).alone();
        let first = seed(&mut client, &graph).await;
        assert!(first.fingerprint.starts_with(mark), "{answers}: {}", first.fingerprint);
        run(
            &client,
            "UPDATE agents SET os = 'y' WHERE id LIKE '%7'; DELETE FROM agents WHERE id = 'ag-00008'",
        )
        .await;
        let (receipt, sent) = sending(&mut client, &graph).await;
        assert_eq!((found(&receipt), sent < 1_000), ([1, 100, 1, 100], narrow), "{answers}: {sent}");
        assert_eq!(receipt.fingerprint, first.fingerprint);
        is_whole(&mut client, &graph).await;
    }
}

#[tokio::test]
async fn texts_in_another_encoding() {
    let (owner, url) = database().await;
    run(&owner, "DROP DATABASE IF EXISTS latin").await;
    run(&owner, "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        .await;
    let mut client = connect(&format!("{}/latin", url.rsplit_once('/').unwrap().0)).await;
    run(&client, &format!("CREATE TABLE things (k text PRIMARY KEY, {THINGS})")).await;
    let graph = things("k", vec![("k", value(json!("schlüssel-{{ n }}")))]);
    seed(&mut client, &graph).await;
    run(&client, "UPDATE things SET b = 'x' WHERE a LIKE 'a-1_'").await;
    let (receipt, sent) = sending(&mut client, &graph).await;
    assert_eq!((found(&receipt), sent), ([0, 10, 0, 10], 2_000));
    is_whole(&mut client, &graph).await;
}

#[tokio::test]
async fn rows_that_were_kept_as_they_are_stay_in_sight() {
    let mut client = with(AGENTS).await;
    let graph = agents(400).policy(OnConflict::Keep).alone();
    seed(&mut client, &graph).await;
    run(
        &client,
        "UPDATE agents SET os = 'y' WHERE id = 'ag-00007'; DELETE FROM agents WHERE id = 'ag-00008'",
    )
    .await;
    let (receipt, sent) = sending(&mut client, &graph).await;
    assert_eq!((receipt.action, found(&receipt), sent < 50), (Action::Drift, [0, 1, 1, 0], true), "{sent}");
    // The row that differs is part of what is recorded now, so that all rows are looked at for it.
    run(&client, "DELETE FROM agents WHERE id = 'ag-00009'").await;
    let (receipt, sent) = sending(&mut client, &graph).await;
    assert_eq!((receipt.action, found(&receipt), sent), (Action::Drift, [0, 1, 1, 0], 400));
}

#[tokio::test]
async fn what_a_trigger_makes_of_rows_is_recorded_as_it_is() {
    let mut client = with(AGENTS).await;
    let graph = agents(400).alone();
    let first = seed(&mut client, &graph).await;
    run(
        &client,
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.os := upper(new.os); RETURN new; END $$; \
         CREATE TRIGGER shout BEFORE UPDATE ON agents FOR EACH ROW EXECUTE FUNCTION shout(); \
         UPDATE agents SET status = 'Lost' WHERE id IN ('ag-00007', 'ag-00008')",
    )
    .await;
    let (receipt, sent) = sending(&mut client, &graph).await;
    assert_eq!((found(&receipt), sent < 50), ([0, 2, 0, 2], true), "{sent}");
    assert_ne!(receipt.fingerprint, first.fingerprint);
    assert_eq!(seed(&mut client, &graph).await.action, Action::NothingToDo);
    let verified = seed_with(&mut client, &graph, &mode(Mode::Verify)).await.unwrap();
    assert_eq!(verified.drift.unwrap().changed, 2);
}
