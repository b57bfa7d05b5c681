//! Rows that nobody touched are known by who wrote them, and nothing that was touched is.

use crate::build::*;
use crate::harness::*;
use planc::graph::OnConflict;
use seeders::{Action, Receipt};

const CHANGED: &str = "the table no longer holds what was seeded";

fn is_quiet(receipt: &Receipt) -> bool {
    receipt.action == Action::NothingToDo && !receipt.notes.iter().any(|note| note == CHANGED)
}

/// From here on every fingerprint is another one, so that only who wrote the rows can prove them.
const BLIND: &str = "CREATE SCHEMA other; \
    CREATE FUNCTION other.hash_record_extended(record, bigint) RETURNS bigint LANGUAGE plpgsql \
        AS 'BEGIN RETURN 5; END'; \
    SET search_path = other, pg_catalog, public";

#[tokio::test]
async fn what_keeps_rows_as_they_are_keeps_the_proof() {
    for sql in [
        "SELECT 1",
        "VACUUM agents",
        "VACUUM FREEZE agents",
        "CREATE INDEX ON agents (os)",
        "ANALYZE agents",
        "ALTER TABLE agents ADD COLUMN more int DEFAULT 7",
    ] {
        let mut client = with(AGENTS).await;
        let graph = agents(200).alone();
        let first = seed(&mut client, &graph).await;
        client.batch_execute(sql).await.unwrap();
        client
            .batch_execute("BEGIN; UPDATE agents SET os = 'x'; DELETE FROM agents; ROLLBACK")
            .await
            .unwrap();
        client.batch_execute(BLIND).await.unwrap();
        let receipt = seed(&mut client, &graph).await;
        assert!(is_quiet(&receipt), "{sql}: {:?}", receipt.notes);
        assert_eq!(receipt.fingerprint, first.fingerprint);
    }
}

#[tokio::test]
async fn whatever_touches_them_takes_it_away() {
    let swap = "ALTER TABLE agents RENAME os TO x; ALTER TABLE agents RENAME hostname TO os; ALTER TABLE agents RENAME x TO hostname";
    // Whether a value of the fixture is another one by then.
    for (sql, drifted) in [
        ("UPDATE agents SET os = 'x' WHERE id = 'ag-00007'", true),
        ("UPDATE agents SET id = 'x' WHERE id = 'ag-00007'", true),
        (
            "DELETE FROM agents WHERE id = 'ag-00007'; INSERT INTO agents VALUES ('ag-00007', 'h', 's', 'o')",
            true,
        ),
        ("DELETE FROM agents WHERE id = 'ag-00007'", true),
        (swap, true),
        (
            "ALTER TABLE agents DROP COLUMN status; ALTER TABLE agents ADD COLUMN status text NOT NULL DEFAULT 'Lost'",
            true,
        ),
        ("ALTER TABLE agents ALTER os TYPE text USING upper(os)", true),
        ("TRUNCATE agents", true),
        ("UPDATE agents SET hits = 1 WHERE id = 'ag-00007'", false),
        ("UPDATE agents SET os = os", false),
        ("INSERT INTO agents VALUES ('x', 'h', 's', 'o')", false),
        ("VACUUM FULL agents", false),
        ("ALTER TABLE agents ALTER os TYPE varchar", false),
        ("CREATE TABLE more () INHERITS (agents)", false),
        (
            "CREATE TABLE again (LIKE agents INCLUDING ALL); INSERT INTO again SELECT * FROM agents; DROP TABLE agents; ALTER TABLE again RENAME TO agents",
            false,
        ),
        ("UPDATE planc.ledger SET versions = replace(versions, 'x200:', 'x201:')", false),
        ("UPDATE planc.ledger SET versions = 'x'", false),
        ("UPDATE planc.ledger SET versions = fingerprint || ' ;; ' || versions", false),
        ("ALTER TABLE planc.ledger DROP COLUMN versions", false),
    ] {
        let graph = agents(200).alone();
        let mut client = with(AGENTS).await;
        seed(&mut client, &graph).await;
        client.batch_execute(sql).await.unwrap();
        let receipt = seed(&mut client, &graph).await;
        assert_eq!(is_quiet(&receipt), !drifted, "{sql}: {:?}", receipt.notes);
        // It was the fingerprint that told.
        let mut client = with(AGENTS).await;
        seed(&mut client, &graph).await;
        client.batch_execute(sql).await.unwrap();
        client.batch_execute(BLIND).await.unwrap();
        assert!(!is_quiet(&seed(&mut client, &graph).await), "{sql}");
    }
}

#[tokio::test]
async fn rows_that_were_mended_or_touched_are_looked_at_once_more() {
    // Whether rows of a few writers are held against the record part by part, and who wrote them is noted.
    for (sql, volatile, noted) in [
        ("UPDATE agents SET hits = 1 WHERE id < 'ag-00008'", false, true),
        ("UPDATE agents SET hits = 1", false, false),
        ("UPDATE agents SET hits = 1 WHERE id < 'ag-00008'", true, false),
        (
            "UPDATE agents SET os = 'x' WHERE id = 'ag-00007'; DELETE FROM agents WHERE id = 'ag-00009'",
            false,
            true,
        ),
        (
            "UPDATE agents SET os = 'x' WHERE id = 'ag-00007'; DELETE FROM agents WHERE id = 'ag-00009'",
            true,
            false,
        ),
        ("UPDATE planc.ledger SET versions = NULL", false, true),
        ("UPDATE planc.ledger SET versions = NULL, buckets = NULL", false, false),
    ] {
        let mut client = with(AGENTS).await;
        let build = agents(200);
        let graph = if volatile { build.volatile("status") } else { build }.alone();
        let first = seed(&mut client, &graph).await;
        client.batch_execute(sql).await.unwrap();
        // What drifted is mended, and then is as it was.
        let drifted = sql.contains("os =");
        assert_eq!(seed(&mut client, &graph).await.drift.is_some(), drifted, "{sql}");
        let receipt = seed(&mut client, &graph).await;
        assert!(is_quiet(&receipt) && receipt.fingerprint == first.fingerprint, "{sql}: {:?}", receipt.notes);
        client.batch_execute(BLIND).await.unwrap();
        assert_eq!(is_quiet(&seed(&mut client, &graph).await), noted, "{sql} {volatile}");
    }
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_is_read_all_the_same() {
    let mut client = with(AGENTS).await;
    let graph = agents(200).alone();
    seed(&mut client, &graph).await;
    client
        .batch_execute(
            "UPDATE agents SET hits = 1 WHERE id = 'ag-00007'; \
             CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE insufficient_privilege; END $$; \
             CREATE TRIGGER never BEFORE UPDATE ON planc.ledger FOR EACH ROW EXECUTE FUNCTION never()",
        )
        .await
        .unwrap();
    assert!(is_quiet(&seed(&mut client, &graph).await));
}

#[tokio::test]
async fn a_trigger_that_writes_when_the_transaction_ends_is_not_overlooked() {
    let late = "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS \
        $$ BEGIN UPDATE agents SET os = 'late' WHERE id = new.id AND os <> 'late'; RETURN NULL; END $$; \
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON agents DEFERRABLE INITIALLY DEFERRED \
        FOR EACH ROW EXECUTE FUNCTION late()";
    let mut client = with(&format!("{AGENTS}; {late}")).await;
    let graph = agents(200).policy(OnConflict::Keep).alone();
    seed(&mut client, &graph).await;
    assert_eq!(number(&client, "SELECT count(*) FROM planc.ledger WHERE versions IS NULL").await, 1);
    let receipt = seed(&mut client, &graph).await;
    assert_eq!((receipt.action, receipt.drift.unwrap().changed), (Action::Drift, 200));
}

#[tokio::test]
async fn a_role_that_is_told_nothing_of_the_server_seeds_all_the_same() {
    let hidden = "CREATE SCHEMA other; CREATE FUNCTION other.pg_control_system(OUT system_identifier bigint) \
        LANGUAGE plpgsql AS $$ BEGIN RAISE insufficient_privilege; END $$";
    let mut client = with(&format!("{AGENTS}; {hidden}; SET search_path = other, pg_catalog, public")).await;
    let graph = agents(200).alone();
    assert_eq!(seed(&mut client, &graph).await.inserted, 200);
    assert!(is_quiet(&seed(&mut client, &graph).await));
    client.batch_execute("SET search_path = public; UPDATE agents SET os = 'x'").await.unwrap();
    assert_eq!(seed(&mut client, &graph).await.updated, 200);
    // Written where it is told, read where it is not.
    client.batch_execute("TRUNCATE agents").await.unwrap();
    seed(&mut client, &graph).await;
    assert_eq!(number(&client, "SELECT count(*) FROM planc.ledger WHERE versions LIKE 'x200:%'").await, 1);
    client.batch_execute("SET search_path = other, pg_catalog, public").await.unwrap();
    assert!(is_quiet(&seed(&mut client, &graph).await));
}
