//! A reset takes the fixture's rows alone, and tells at once all that stands in its way.

use crate::build::*;
use crate::harness::*;
use planc::graph::OnConflict;
use seeders::{Action, ErrorKind, GENERATOR_VERSION, Mode, SeedError};
use tokio_postgres::Client;

async fn refused(client: &mut Client) -> SeedError {
    let rows = number(client, "SELECT count(*) FROM agents").await;
    let error = seed_with(client, &agents(5).alone(), &mode(Mode::Reset)).await.unwrap_err();
    assert_eq!(number(client, "SELECT count(*) FROM agents").await, rows, "{error}");
    assert_eq!(number(client, "SELECT count(*) FROM planc.ledger").await, 1, "{error}");
    assert!(error.message.contains("a reset of `agents` is refused, and nothing was deleted: "), "{error}");
    error
}

#[tokio::test]
async fn everything_in_the_way_is_named_at_once() {
    let (mut owner, url) = database().await;
    owner.batch_execute(AGENTS).await.unwrap();
    seed(&mut owner, &agents(5).alone()).await;
    owner
        .batch_execute(
            "CREATE TABLE jobs (id int, agent text REFERENCES agents); INSERT INTO jobs VALUES (1, 'ag-00001'), (2, 'ag-00002'); \
             CREATE TABLE keys (agent text REFERENCES agents ON DELETE RESTRICT); INSERT INTO keys VALUES ('ag-00003'); \
             CREATE TABLE audit (id text); \
             CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''agents are append-only''; END'; \
             CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO audit VALUES (OLD.id); RETURN OLD; END'; \
             CREATE TRIGGER append_only BEFORE DELETE ON agents FOR EACH ROW EXECUTE FUNCTION keep(); \
             CREATE TRIGGER trail AFTER DELETE ON agents FOR EACH ROW EXECUTE FUNCTION audit(); \
             CREATE RULE also AS ON DELETE TO agents DO ALSO INSERT INTO audit VALUES (OLD.id); \
             CREATE ROLE weak LOGIN PASSWORD 'x'; GRANT SELECT, INSERT, UPDATE ON agents TO weak; GRANT SELECT ON jobs, keys TO weak; \
             GRANT USAGE ON SCHEMA planc TO weak; GRANT ALL ON planc.ledger TO weak",
        )
        .await
        .unwrap();
    let (_, rest) = url.split_once('@').unwrap();
    let mut weak = connect(&format!("postgresql://weak:x@{rest}")).await;
    let error = refused(&mut weak).await;
    assert_eq!(error.kind, ErrorKind::Conflict);
    for words in [
        "the trigger `append_only` (function `keep`) of `agents` can raise an exception on DELETE",
        "the trigger `trail` (function `audit`) of `agents` fires on DELETE",
        "the rule `also` of `agents` runs beside every DELETE",
        "the role lacks DELETE on `agents`",
        "2 rows of `jobs` refer to them (`jobs_agent_fkey`)",
        "1 row of `keys` refers to them (`keys_agent_fkey`)",
        "GRANT DELETE ON \"public\".\"agents\"",
    ] {
        assert!(error.to_string().contains(words), "`{words}` is not in\n{error}");
    }
    // One after the other they go, and at last so do the rows.
    owner.batch_execute("DROP TRIGGER append_only ON agents; ALTER TABLE agents DISABLE TRIGGER trail; DROP RULE also ON agents; DELETE FROM jobs; DELETE FROM keys").await.unwrap();
    assert_eq!(refused(&mut weak).await.kind, ErrorKind::Privilege);
    owner.batch_execute("GRANT DELETE ON agents TO weak").await.unwrap();
    let reset = seed_with(&mut weak, &agents(5).alone(), &mode(Mode::Reset)).await.unwrap();
    assert_eq!((reset.action, reset.deleted), (Action::Reset, 5));
}

#[tokio::test]
async fn an_append_only_table_is_seeded_once_and_never_reset() {
    let mut client = with(&format!(
        "{AGENTS}; CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''append-only''; END'; \
         CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON agents EXECUTE FUNCTION keep()"
    ))
    .await;
    assert_eq!(seed(&mut client, &agents(5).alone()).await.inserted, 5);
    assert_eq!(seed(&mut client, &agents(5).alone()).await.action, Action::NothingToDo);
    let error = refused(&mut client).await;
    assert!(error.message.contains("the trigger `append_only`"), "{error}");
    // Declared so, it needs no trigger to be refused.
    client.batch_execute("DROP TRIGGER append_only ON agents").await.unwrap();
    let declared = agents(5).policy(OnConflict::Keep).append_only().alone();
    let error = seed_with(&mut client, &declared, &mode(Mode::Reset)).await.unwrap_err();
    assert!(error.message.contains("the fixture declares `agents` append-only"), "{error}");
    assert_eq!(number(&client, "SELECT count(*) FROM agents").await, 5);
}

#[tokio::test]
async fn rows_of_the_same_table_that_refer_to_ours() {
    let mut client = with(&format!("{AGENTS}; ALTER TABLE agents ADD boss text REFERENCES agents")).await;
    seed(&mut client, &agents(5).alone()).await;
    client.batch_execute("UPDATE agents SET boss = 'ag-00001' WHERE id = 'ag-00002'").await.unwrap();
    client
        .batch_execute("INSERT INTO agents VALUES ('theirs', 'h', 's', 'o', now(), 0, 'ag-00001')")
        .await
        .unwrap();
    let error = refused(&mut client).await;
    assert!(error.message.contains("1 row of `agents` refers to them (`agents_boss_fkey`)"), "{error}");
    client.batch_execute("DELETE FROM agents WHERE id = 'theirs'").await.unwrap();
    let reset = seed_with(&mut client, &agents(5).alone(), &mode(Mode::Reset)).await.unwrap();
    assert_eq!(reset.deleted, 5);
}

#[tokio::test]
async fn rows_that_only_other_generators_would_find_are_not_forgotten() {
    let mut client = with(AGENTS).await;
    seed(&mut client, &agents(5).alone()).await;
    // As if the other version had given row 3 another id.
    client
        .batch_execute(&format!(
            "UPDATE planc.ledger SET generator_version = {GENERATOR_VERSION} - 1; UPDATE agents SET id = 'old-3' WHERE id = 'ag-00003'"
        ))
        .await
        .unwrap();
    let error = refused(&mut client).await;
    assert!(error.message.contains("of 5 rows that generators of version"), "{error}");
    assert!(error.help.as_ref().unwrap().contains("(seeders test)"), "{error}");
    client.batch_execute("UPDATE agents SET id = 'ag-00003' WHERE id = 'old-3'").await.unwrap();
    let reset = seed_with(&mut client, &agents(5).alone(), &mode(Mode::Reset)).await.unwrap();
    assert_eq!(reset.deleted, 5);
}
