//! Foreign keys verified at once in place of their triggers, and indexes made after the rows.

use crate::build::*;
use crate::harness::*;
use planc::graph::ExecutionGraph;
use seeders::{Action, ErrorKind};
use serde_json::json;

const TABLES: &str = "CREATE TABLE teams (id text PRIMARY KEY); \
    CREATE TABLE hosts (site int, rack int, PRIMARY KEY (site, rack)); \
    INSERT INTO teams VALUES ('t-1'), ('t-2'), ('t-3'); INSERT INTO hosts VALUES (1, 1), (1, 2); \
    CREATE TABLE cards (id int PRIMARY KEY, team_id text NOT NULL REFERENCES teams, site int, rack int, \
        kind text, FOREIGN KEY (site, rack) REFERENCES hosts)";

/// 200 cards of teams 1 and 2; `rack` is null in every third.
fn cards() -> Build {
    let columns = vec![
        ("id", value(json!("{{ n }}"))),
        ("team_id", value(json!("t-{{ n % 2 + 1 }}"))),
        ("site", value(json!(1))),
        ("rack", value(json!("{{ none if n % 3 == 0 else n % 3 }}"))),
    ];
    fixture("cards", 200, "id", columns)
}

fn skipping() -> ExecutionGraph {
    cards().skip_foreign_key_triggers().alone()
}

const AT_ONCE: &str = "2 foreign keys were verified at once, without their triggers";

#[tokio::test]
async fn parents_are_verified_and_locked_at_once() {
    let mut client = with(TABLES).await;
    let role = "select current_setting('session_replication_role')";
    let graph = cards().skip_foreign_key_triggers().verify(role, json!("origin")).alone();
    let receipt = seed(&mut client, &graph).await;
    assert_eq!((receipt.inserted, receipt.notes), (200, vec![AT_ONCE.to_string()]));
    // A row that was locked carries the locker; team 3 has no card.
    let locked = "SELECT id FROM teams WHERE xmax <> 0 ORDER BY id";
    assert_eq!(text(&client, locked).await, "(t-1); (t-2)");
    assert_eq!(number(&client, "SELECT count(*) FROM hosts WHERE xmax <> 0").await, 2);
    // How rows are brought is no other definition of them.
    assert_eq!(seed(&mut client, &cards().alone()).await.action, Action::NothingToDo);
}

#[tokio::test]
async fn what_the_triggers_do_beside_is_not_silenced() {
    for (more, why) in [
        (
            "CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
             CREATE TRIGGER audit_cards BEFORE INSERT ON cards FOR EACH ROW EXECUTE FUNCTION audit()",
            "the trigger `audit_cards` would not run",
        ),
        (
            "ALTER TABLE cards ADD CONSTRAINT kinds UNIQUE (kind) DEFERRABLE",
            "the deferrable constraint `kinds` would not be checked",
        ),
        (
            "ALTER TABLE cards ADD pair int, ADD CONSTRAINT whole FOREIGN KEY (pair, kind) REFERENCES pairs MATCH FULL",
            "the key `whole` is MATCH FULL over several columns",
        ),
        (
            "CREATE ROLE loader; GRANT ALL ON ALL TABLES IN SCHEMA public TO loader; CREATE SCHEMA planc; \
             GRANT ALL ON SCHEMA planc TO loader; SET ROLE loader",
            "the role may not: GRANT SET ON PARAMETER session_replication_role, from Postgres 15 on",
        ),
        (
            "CREATE ROLE reader; GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO reader; \
             GRANT UPDATE ON cards, hosts TO reader; CREATE SCHEMA planc; GRANT ALL ON SCHEMA planc TO reader; \
             SET ROLE reader",
            "the role may not read and lock all rows of teams",
        ),
    ] {
        let pairs = "CREATE TABLE pairs (id int, kind text, PRIMARY KEY (id, kind))";
        let mut client = with(&format!("{TABLES}; {pairs}; {more}")).await;
        let receipt = seed(&mut client, &skipping()).await;
        let note = format!("foreign-key triggers were not skipped: {why}");
        assert!(receipt.notes.contains(&note), "{:?}", receipt.notes);
        assert_eq!(number(&client, "SELECT count(*) FROM cards").await, 200);
    }
}

#[tokio::test]
async fn a_parent_that_is_not_there_is_found_all_the_same() {
    // The key's column comes from a default, so that nothing looked at it before.
    let mut client =
        with(&format!("{TABLES}; ALTER TABLE cards ADD COLUMN owner text DEFAULT 't-gone' REFERENCES teams"))
            .await;
    let error = seed_with(&mut client, &skipping(), &options()).await.unwrap_err();
    assert!(error.to_string().contains("cards_owner_fkey"), "{error}");
    assert!(!matches!(error.kind, ErrorKind::Misfit(_)), "{error}");
    assert_eq!(number(&client, "SELECT count(*) FROM cards").await, 0);
}

#[tokio::test]
async fn keys_that_are_checked_at_commit_can_be_skipped_too() {
    let mut client = with(&format!(
        "{TABLES}; ALTER TABLE cards ALTER CONSTRAINT cards_team_id_fkey DEFERRABLE INITIALLY DEFERRED; \
         CREATE INDEX cards_kind ON cards (kind)"
    ))
    .await;
    assert_eq!(seed(&mut client, &skipping()).await.notes, [AT_ONCE]);
}

const READINGS: &str = "CREATE TABLE readings (id bigint PRIMARY KEY, place text NOT NULL, hall text, level int); \
    CREATE INDEX by_place ON readings (place) INCLUDE (level) WITH (fillfactor = 70); \
    CREATE INDEX by_hall ON readings ((upper(hall)) DESC NULLS LAST, level) WHERE level > 5; \
    CREATE UNIQUE INDEX only_once ON readings (place, id); \
    CREATE INDEX measured ON readings ((level + 1)); ALTER INDEX measured ALTER COLUMN 1 SET STATISTICS 500; \
    CREATE INDEX sorted ON readings (level); ALTER TABLE readings CLUSTER ON sorted; \
    COMMENT ON INDEX by_place IS 'asked for: by ''Ann'' \\ Bo'";

fn readings(rows: u64) -> Build {
    let columns = vec![
        ("id", value(json!("{{ n }}"))),
        ("place", value(json!("p-{{ n % 1000 }}"))),
        ("hall", value(json!("hall"))),
        ("level", value(json!("{{ n % 10 }}"))),
    ];
    fixture("readings", rows, "id", columns)
}

const INDEXES: &str = "SELECT c.relname, pg_get_indexdef(c.oid), obj_description(c.oid), c.reloptions \
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 'readings'::regclass ORDER BY 1";
/// The indexes that are as old as the table.
const KEPT: &str = "SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_index i \
    JOIN pg_class c ON c.oid = i.indexrelid JOIN before b ON b.oid = c.oid";

#[tokio::test]
async fn indexes_come_back_as_they_were() {
    let before =
        "CREATE TABLE before AS SELECT indexrelid AS oid FROM pg_index WHERE indrelid = 'readings'::regclass";
    let mut client = with(&format!("{READINGS}; {before}")).await;
    let definitions = text(&client, INDEXES).await;
    let receipt = seed(&mut client, &readings(100_000).rebuild_indexes().alone()).await;
    assert_eq!(receipt.notes, ["2 indexes were made after the rows"]);
    assert_eq!(text(&client, INDEXES).await, definitions);
    assert_eq!(text(&client, KEPT).await, "(\"measured only_once readings_pkey sorted\")");
    let indexed = "SELECT count(*) FROM pg_index WHERE indrelid = 'readings'::regclass AND indisvalid";
    assert_eq!(number(&client, indexed).await, 6);
}

#[tokio::test]
async fn indexes_stay_where_rebuilding_does_not_pay() {
    let before =
        "CREATE TABLE before AS SELECT indexrelid AS oid FROM pg_index WHERE indrelid = 'readings'::regclass";
    let all = "(\"by_hall by_place measured only_once readings_pkey sorted\")";
    // Few rows; a table that has rows; a role that does not own it.
    for (more, rows) in [("", 100), ("INSERT INTO readings VALUES (-1, 'x')", 100_000)] {
        let mut client = with(&format!("{READINGS}; {before}; {more}")).await;
        let receipt = seed(&mut client, &readings(rows).rebuild_indexes().alone()).await;
        assert_eq!((receipt.inserted, receipt.notes), (rows, Vec::new()));
        assert_eq!(text(&client, KEPT).await, all);
    }
    let role = "CREATE ROLE guest; GRANT ALL ON readings, before TO guest; CREATE SCHEMA planc; \
        GRANT ALL ON SCHEMA planc TO guest; SET ROLE guest";
    let mut client = with(&format!("{READINGS}; {before}; {role}")).await;
    let receipt = seed(&mut client, &readings(100_000).rebuild_indexes().alone()).await;
    assert_eq!(receipt.notes, ["indexes were kept: the role does not own `readings`"]);
    assert_eq!(text(&client, KEPT).await, all);
}
