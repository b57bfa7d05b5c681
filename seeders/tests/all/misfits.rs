//! What went wrong in real load tests because fixture and table did not fit, each against a schema like theirs: told before
//! anything is written, by a seeding as well as by a check, and nothing is left behind.

use crate::build::*;
use crate::harness::*;
use planc::graph::*;
use seeders::{ErrorKind, Inputs, Misfit, MisfitKind, review};
use serde_json::json;
use tokio_postgres::Client;

/// A part of a fleet's schema: certificates with what they hang on.
const SCHEMA_SQL: &str = "CREATE TYPE severity AS ENUM ('Low', 'High'); \
    CREATE TABLE teams (id text PRIMARY KEY); CREATE TABLE owners (id text PRIMARY KEY); \
    CREATE TABLE issuers (id text PRIMARY KEY); CREATE TABLE policies (id text PRIMARY KEY); \
    INSERT INTO teams VALUES ('t'); INSERT INTO owners VALUES ('o'); INSERT INTO issuers VALUES ('i'); \
    INSERT INTO policies VALUES ('p'); \
    CREATE TABLE certificates (id text PRIMARY KEY, name text NOT NULL UNIQUE, serial varchar(12), \
        status text NOT NULL, severity severity NOT NULL, days int CHECK (days BETWEEN 1 AND 825), \
        team text NOT NULL REFERENCES teams, owner text NOT NULL REFERENCES owners, \
        issuer text NOT NULL REFERENCES issuers, policy text NOT NULL REFERENCES policies); \
    INSERT INTO certificates SELECT 'c-' || n, 'theirs-' || n, 's', 'Active', 'Low', 90, 't', 'o', 'i', 'p' \
        FROM generate_series(1, 40) n;";

/// Ten certificates that fit, with some columns written otherwise, or left out with null.
fn certificates(other: &[(&'static str, Json)]) -> ExecutionGraph {
    let mut columns = vec![
        ("id", json!("load-{{ n | pad(4) }}")),
        ("name", json!("load-{{ n }}")),
        ("serial", json!("s-{{ n }}")),
        ("status", json!("Active")),
        ("severity", json!("High")),
        ("days", json!(90)),
        ("team", json!("t")),
        ("owner", json!("o")),
        ("issuer", json!("i")),
        ("policy", json!("p")),
    ];
    for (name, with) in other {
        columns.retain(|(column, _)| column != name);
        if !with.is_null() {
            columns.push((*name, with.clone()));
        }
    }
    let columns = columns.into_iter().map(|(name, with)| (name, value(with))).collect();
    fixture("certificates", 10, "id", columns).alone()
}

/// All that a check finds, and the same refused by a seeding that writes nothing.
async fn refused(other: &[(&'static str, Json)], kind: MisfitKind) -> Vec<Misfit> {
    let mut client = with(SCHEMA_SQL).await;
    let graph = certificates(other);
    let found = review(&client, &graph, &Inputs::new(), true).await.unwrap();
    assert!(found.iter().all(|misfit| misfit.kind == kind && !misfit.warning), "{found:#?}");
    let error = seed_with(&mut client, &graph, &options()).await.unwrap_err();
    let ErrorKind::Misfit(told) = &error.kind else { panic!("{error}") };
    assert_eq!(told, &found, "a check and a seeding say the same");
    nothing_written(&client).await;
    found
}

async fn nothing_written(client: &Client) {
    assert_eq!(number(client, "SELECT count(*) FROM certificates").await, 40);
    assert_eq!(text(client, "SELECT to_regclass('planc.ledger') IS NULL").await, "(t)");
}

fn one(found: &[Misfit], words: &str) {
    let [misfit] = found else { panic!("one is wanted: {found:#?}") };
    assert!(misfit.to_string().contains(words), "`{words}` is not in\n{misfit}");
}

#[tokio::test]
async fn what_fits_is_seeded() {
    let mut client = with(SCHEMA_SQL).await;
    let graph = certificates(&[]);
    assert_eq!(review(&client, &graph, &Inputs::new(), true).await.unwrap(), []);
    assert_eq!(seed(&mut client, &graph).await.inserted, 10);
}

#[tokio::test]
async fn a_case_variant_loads_and_is_warned_of() {
    let mut client = with(SCHEMA_SQL).await;
    let graph = certificates(&[("status", json!("active"))]);
    let found = review(&client, &graph, &Inputs::new(), true).await.unwrap();
    one(&found, "`status` writes `active`");
    assert!(found[0].warning && found[0].kind == MisfitKind::CaseVariant, "{found:?}");
    assert!(found[0].help.as_ref().unwrap().contains("write `Active`"), "{found:?}");
    // Nothing in the schema forbids it, so it is no error.
    assert_eq!(seed(&mut client, &graph).await.inserted, 10);
}

#[tokio::test]
async fn four_missing_parents_are_one_report() {
    let other =
        [("team", json!("t-x")), ("owner", json!("o-x")), ("issuer", json!("i-x")), ("policy", json!("p-x"))];
    let found = refused(&other, MisfitKind::ForeignKeyOrder).await;
    assert_eq!(found.len(), 4, "{found:#?}");
    for (column, parent) in
        [("team", "teams"), ("owner", "owners"), ("issuer", "issuers"), ("policy", "policies")]
    {
        let words = format!("1 parent row is missing in {parent} (id): `{}-x`", &column[..1]);
        assert!(found.iter().any(|misfit| misfit.to_string().contains(&words)), "`{words}`: {found:#?}");
    }
}

#[tokio::test]
async fn a_second_unique_key() {
    let found = refused(&[("name", json!("theirs-{{ n }}"))], MisfitKind::ConflictTarget).await;
    one(&found, "hold values of the unique key `certificates_name_key` (name), the first that of row 1");
    let found = refused(&[("name", json!("load-{{ n % 3 }}"))], MisfitKind::ConflictTarget).await;
    one(&found, "rows 1 and 4 collide in the unique key `certificates_name_key`");
}

#[tokio::test]
async fn not_null_without_a_default() {
    let found = refused(&[("team", json!(null))], MisfitKind::ColumnMisfit).await;
    one(&found, "`team` is NOT NULL without a default and is not supplied (help: add `team:`");
}

#[tokio::test]
async fn a_value_that_is_too_long() {
    let found = refused(&[("serial", json!("serial-{{ n }}-{{ n }}-x"))], MisfitKind::ColumnMisfit).await;
    one(&found, "row 10: the text `serial-10-10-x` is 14 characters long; the column holds 12");
}

#[tokio::test]
async fn a_word_that_the_enum_lacks() {
    let found = refused(&[("severity", json!("high"))], MisfitKind::ColumnMisfit).await;
    one(&found, "`high` is not a value of the enum; did you mean `High`?");
}

#[tokio::test]
async fn a_value_that_a_check_forbids() {
    let found = refused(&[("days", json!("{{ n * 100 }}"))], MisfitKind::ColumnMisfit).await;
    one(&found, "row 9 breaks the CHECK `certificates_days_check`");
}
