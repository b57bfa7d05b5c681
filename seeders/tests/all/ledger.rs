//! The ledger: what it holds, which program wrote it, and tables of earlier versions.

use crate::build::*;
use crate::harness::*;
use seeders::{Action, GENERATOR_VERSION, Mode, SeedOptions};

#[tokio::test]
async fn it_holds_who_when_what_and_how_many() {
    let mut client = with(AGENTS).await;
    let receipt = seed(&mut client, &agents(12).alone()).await;
    let sql = "SELECT fixture, rows, who, program, generator_version, applied_at > now() - interval '1 minute', \
        fingerprint, base_micros FROM planc.ledger";
    assert_eq!(
        text(&client, sql).await,
        format!("(agents,12,test,\"seeders test\",{GENERATOR_VERSION},t,{},{BASE})", receipt.fingerprint)
    );
}

#[tokio::test]
async fn rows_of_other_generators_are_never_taken_for_ours_unseen() {
    let mut client = with(AGENTS).await;
    let graph = agents(30).alone();
    seed(&mut client, &graph).await;
    let older = format!("UPDATE planc.ledger SET generator_version = {GENERATOR_VERSION} - 1");
    client.batch_execute(&older).await.unwrap();
    let said = format!(
        "its rows were made by generators of version {}, and this program's are of version {GENERATOR_VERSION}",
        GENERATOR_VERSION - 1
    );
    let verified = seed_with(&mut client, &graph, &mode(Mode::Verify)).await.unwrap();
    assert!(verified.notes.contains(&said), "{:?}", verified.notes);
    // The other version made other times, which no fingerprint covers, and the ledger is not to be trusted.
    client.batch_execute("UPDATE agents SET seen = seen - interval '1 s', status = 'Old'").await.unwrap();
    let trusting = SeedOptions { trust_ledger: true, ..options() };
    let receipt = seed_with(&mut client, &graph, &trusting).await.unwrap();
    assert_eq!((receipt.action, receipt.updated), (Action::Refreshed, 30));
    assert!(receipt.notes.contains(&said), "{:?}", receipt.notes);
    let version = "SELECT generator_version::bigint FROM planc.ledger";
    assert_eq!(number(&client, version).await, i64::from(GENERATOR_VERSION));
    assert_eq!(seed(&mut client, &graph).await.action, Action::NothingToDo);
}

/// The ledger as it was before it had the version of the generators.
const FIRST: &str = "CREATE SCHEMA planc; CREATE TABLE planc.ledger ( \
    fixture text PRIMARY KEY, definition jsonb NOT NULL, previous jsonb NOT NULL DEFAULT '[]', \
    content_hash text NOT NULL, rows bigint NOT NULL, base_micros bigint NOT NULL, \
    fingerprint text NOT NULL, whole_table boolean NOT NULL, foreign_rows bigint[] NOT NULL DEFAULT '{}', \
    note text NOT NULL DEFAULT '', who text NOT NULL, program text NOT NULL, \
    applied_at timestamptz NOT NULL DEFAULT now())";

#[tokio::test]
async fn a_ledger_of_an_earlier_version_is_read_and_brought_up_to_date() {
    let mut client = with(&format!("{AGENTS}; {FIRST}")).await;
    let graph = agents(20).alone();
    let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'planc.ledger'::regclass AND attname = 'generator_version' AND NOT attisdropped";
    seed(&mut client, &graph).await;
    assert_eq!(number(&client, columns).await, 1);
    // With entries in it, and asked by those that write nothing.
    client.batch_execute("ALTER TABLE planc.ledger DROP COLUMN generator_version").await.unwrap();
    let verified = seed_with(&mut client, &graph, &mode(Mode::Verify)).await.unwrap();
    assert_eq!((verified.action, number(&client, columns).await), (Action::Verified, 0));
    assert_eq!(seed(&mut client, &graph).await.action, Action::NothingToDo);
    assert_eq!(number(&client, columns).await, 1);
    client.batch_execute("ALTER TABLE planc.ledger DROP COLUMN generator_version").await.unwrap();
    assert_eq!(seed_with(&mut client, &graph, &mode(Mode::Reset)).await.unwrap().deleted, 20);
}

#[tokio::test]
async fn a_ledger_that_the_role_may_not_change_says_what_to_run() {
    let (owner, url) = database().await;
    owner
        .batch_execute(&format!(
            "{AGENTS}; {FIRST}; CREATE ROLE heir LOGIN PASSWORD 'x'; GRANT ALL ON agents TO heir; \
             GRANT USAGE ON SCHEMA planc TO heir; GRANT ALL ON planc.ledger TO heir"
        ))
        .await
        .unwrap();
    let (_, rest) = url.split_once('@').unwrap();
    let mut heir = connect(&format!("postgresql://heir:x@{rest}")).await;
    let error = seed_with(&mut heir, &agents(3).alone(), &options()).await.unwrap_err();
    assert_eq!(error.kind, seeders::ErrorKind::Privilege);
    assert!(error.help.as_ref().unwrap().contains("ALTER TABLE planc.ledger ADD COLUMN"), "{error}");
}
