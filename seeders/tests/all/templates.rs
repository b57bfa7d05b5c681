//! Template databases: made once, cloned, never taken from anybody else.

use crate::harness::*;
use seeders::template::{self, MARK, Server, TemplateErrorKind, clone_to, drop_clone, ensure, schema_of};
use seeders::{Action, Fixtures, apply};

const SCHEMA: &str = "CREATE TABLE teams (id text PRIMARY KEY, name text NOT NULL)";

fn teams(rows: u32) -> Fixtures {
    let text = format!(
        "fixture: teams\ntable: teams\nrows: {rows}\nidentity: id\ncolumns:\n  id: \"t-{{{{ n }}}}\"\n  name: \"Team {{{{ n }}}}\"\n"
    );
    Fixtures::compile([("teams.yaml", text)]).unwrap_or_else(|error| panic!("{error}"))
}

async fn url(name: &str) -> String {
    tokio::task::spawn_blocking(cluster).await.unwrap().url(name)
}

async fn databases(like: &str) -> Vec<String> {
    let client = connect(&url("postgres").await).await;
    let sql = "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1";
    client.query(sql, &[&like]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_template_is_made_once_and_clones_are_apart() {
    let wanted = url("clones_test").await;
    let (first, second) = tokio::join!(ensure(&wanted, SCHEMA, &FIFTY), ensure(&wanted, SCHEMA, &FIFTY));
    let (template, same) = (first.unwrap(), second.unwrap());
    assert_eq!(template, same);
    assert_eq!(databases("clones_test").await, std::slice::from_ref(&template.name));

    let (one, two) = (url("clones_test_1").await, url("clones_test_2").await);
    clone_to(&one, &template).await.unwrap();
    clone_to(&two, &template).await.unwrap();
    let mut client = connect(&one).await;
    client.batch_execute("DELETE FROM teams").await.unwrap();
    let mut other = connect(&two).await;
    assert_eq!(number(&other, "SELECT count(*) FROM teams").await, 50);
    assert_eq!(apply(&mut other, &FIFTY).await.unwrap()[0].action, Action::NothingToDo);
    assert_eq!(apply(&mut client, &FIFTY).await.unwrap()[0].inserted, 50);

    // Another text, other rows: another template.
    let wider = ensure(&wanted, &format!("{SCHEMA}; CREATE TABLE more ()"), &FIFTY).await.unwrap();
    let fewer = ensure(&wanted, SCHEMA, &teams(3)).await.unwrap();
    assert_eq!(databases("clones_test_planc").await.len(), 3, "{wider:?} {fewer:?}");
    drop((client, other));
    assert!(drop_clone(&one).await.unwrap());
    assert!(!drop_clone(&one).await.unwrap());
}

static FIFTY: std::sync::LazyLock<Fixtures> = std::sync::LazyLock::new(|| teams(50));

#[tokio::test]
async fn what_is_not_ours_is_never_dropped() {
    let (client, theirs) = database().await;
    client.batch_execute("CREATE TABLE precious ()").await.unwrap();
    drop(client);
    let name = theirs.rsplit('/').next().unwrap().to_owned();
    let template = ensure(&theirs, SCHEMA, &teams(2)).await.unwrap();
    for error in [clone_to(&theirs, &template).await.unwrap_err(), drop_clone(&theirs).await.unwrap_err()] {
        assert_eq!(error.kind, TemplateErrorKind::NotOurs);
        assert!(error.help.unwrap().contains(&format!("COMMENT ON DATABASE \"{name}\" IS '{MARK}'")));
    }
    let client = connect(&theirs).await;
    assert_eq!(number(&client, "SELECT count(*) FROM pg_class WHERE relname = 'precious'").await, 1);
    // Handed over, it is.
    client.batch_execute(&format!("COMMENT ON DATABASE \"{name}\" IS '{MARK}'")).await.unwrap();
    drop(client);
    clone_to(&theirs, &template).await.unwrap();
    assert_eq!(number(&connect(&theirs).await, "SELECT count(*) FROM teams").await, 2);
    assert_eq!(databases(&format!("{name}_planc_new")).await, Vec::<String>::new());
}

#[tokio::test]
async fn others_who_are_connected_are_named() {
    let wanted = url("busy_test").await;
    let template = ensure(&wanted, SCHEMA, &teams(2)).await.unwrap();
    clone_to(&wanted, &template).await.unwrap();
    let client = connect(&wanted).await;
    client.batch_execute("SET application_name = 'a console'").await.unwrap();
    let error = clone_to(&wanted, &template).await.unwrap_err();
    assert!(error.message.contains("in use by a console as postgres (process"), "{error}");
    let error = Server::of(&wanted).await.unwrap().keep("abc", "").await.unwrap_err();
    assert!(matches!(&error.kind, TemplateErrorKind::Busy(who) if who.len() == 1), "{error}");
    assert_eq!(databases("busy_test").await, ["busy_test".to_owned(), template.name]);
    assert_eq!(number(&client, "SELECT count(*) FROM teams").await, 2);
}

#[tokio::test]
async fn old_templates_are_swept_and_a_new_one_takes_the_place_of_its_own_key() {
    let wanted = url("swept_test").await;
    let mut server = Server::of(&wanted).await.unwrap();
    server.replace(None, false).await.unwrap();
    for (key, schema) in [("a1", "s1"), ("b2", "s1"), ("b2", "s2")] {
        server.keep(key, schema).await.unwrap();
    }
    assert_eq!(server.template("b2").await.unwrap().unwrap().schema, "s2");
    assert_eq!(server.template("c3").await.unwrap(), None);
    assert_eq!(server.prune(Some("b2")).await.unwrap(), ["swept_test_planc_a1"]);
    assert_eq!(databases("swept_test").await, ["swept_test", "swept_test_planc_b2"]);
    assert_eq!(server.prune(None).await.unwrap(), ["swept_test_planc_b2"]);
    assert_eq!(server.is_there().await.unwrap(), Some(true));
}

#[tokio::test]
async fn what_cannot_be_filled_leaves_nothing() {
    let wanted = url("unfilled_test").await;
    let error = ensure(&wanted, "CREATE TABLE teams (id int)", &teams(2)).await.unwrap_err();
    assert!(error.message.contains("teams"), "{error}");
    let error = ensure(&wanted, "CREATE TABLE", &teams(2)).await.unwrap_err();
    assert!(error.message.starts_with("the schema: "), "{error}");
    assert_eq!(databases("unfilled_test").await, Vec::<String>::new());
    let long = url(&"x".repeat(41)).await;
    assert!(ensure(&long, SCHEMA, &teams(2)).await.unwrap_err().message.contains("too long a name"));
}

#[tokio::test]
async fn a_schema_is_known_by_what_it_is_and_not_by_its_rows() {
    let client = with(SCHEMA).await;
    let mut seen = vec![schema_of(&client).await.unwrap()];
    let same = [
        "INSERT INTO teams VALUES ('a', 'b'); CREATE SCHEMA planc; CREATE TABLE planc.ledger (x int)",
        "CREATE TEMPORARY TABLE passing ()",
    ];
    for sql in same {
        client.batch_execute(sql).await.unwrap();
        assert_eq!(schema_of(&client).await.unwrap(), seen[0], "{sql}");
    }
    let changes = [
        "ALTER TABLE teams ADD size int",
        "CREATE INDEX ON teams (name)",
        "ALTER TABLE teams ADD CHECK (size > 0)",
        "CREATE TYPE tier AS ENUM ('a')",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 2'",
        "CREATE TABLE _sqlx_migrations (version bigint)",
        "INSERT INTO _sqlx_migrations VALUES (1)",
    ];
    for sql in changes {
        client.batch_execute(sql).await.unwrap();
        let now = schema_of(&client).await.unwrap();
        assert!(!seen.contains(&now), "{sql}");
        seen.push(now);
    }
    assert_ne!(
        template::key(FIFTY.graph(), FIFTY.inputs()),
        template::key(teams(51).graph(), &Default::default())
    );
}
