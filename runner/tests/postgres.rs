//! What is read from a database: statements with bound values, types, facts. On a private Postgres.

use planc::expr::{Expr, Segment, Template};
use runner::database;
use runner::values::Values;
use seeders::cluster::{Cluster, ClusterOptions};
use serde_json::{Value, json};

fn statement(parts: &[&str]) -> Template {
    // Every second part is a name.
    let segment = |(i, part): (usize, &&str)| match i % 2 {
        0 => Segment::Literal((*part).to_owned()),
        _ => Segment::Slot(Expr::Path(vec![(*part).to_owned()])),
    };
    Template { segments: parts.iter().enumerate().map(segment).collect() }
}

#[tokio::test]
async fn statements_and_facts() {
    let cluster = Cluster::start(ClusterOptions::default()).expect("a Postgres of its own");
    cluster.create_database("it_test").await.expect("a database");
    let url = cluster.url("it_test");
    let mut values = Values::new(1, || 0);
    values.set("n", 7);
    values.set("evil", "x'; drop table t; --");
    let client = database::connect(&url).await.expect("a connection");
    client
        .batch_execute("create table t (id int primary key, note text); insert into t values (7, 'x')")
        .await
        .expect("a table");

    let table: &[(&[&str], u64, Option<Value>)] = &[
        (&["select count(*) from t"], 1, Some(json!(1))),
        (&["select note from t where id = ", "n"], 1, Some(json!("x"))),
        (&["select note from t where note = ", "evil"], 0, None),
        (&["select ", "n", "::int + 1"], 1, Some(json!(8))),
        (&["select sum(id) from t"], 1, Some(json!(7))),
        (&["select 1.5::float8"], 1, Some(json!(1.5))),
        (&["select null::text"], 1, Some(Value::Null)),
        (&["select true"], 1, Some(json!(true))),
        (
            &["select timestamptz '2026-01-02 03:04:05+00' at time zone 'utc';"],
            1,
            Some(json!("2026-01-02 03:04:05")),
        ),
        (&["select id from generate_series(1, 3) id"], 3, Some(json!(1))),
        (&["select '{\"a\": 1}'::jsonb"], 1, Some(json!({ "a": 1 }))),
    ];
    for (parts, rows, value) in table {
        let client = database::connect(&url).await.expect("a connection");
        let answer = database::query(client, &statement(parts), &values).await;
        let answer = answer.unwrap_or_else(|why| panic!("{parts:?}: {why}"));
        assert_eq!((answer.rows, &answer.value), (*rows, value), "{parts:?}");
    }

    let writer = database::connect(&url).await.expect("a connection");
    let refused =
        database::query(writer, &statement(&["delete from t"]), &values).await.expect_err("read-only");
    assert!(refused.contains("read-only"), "{refused}");

    assert_eq!(database::name(&client).await.as_deref(), Ok("it_test"));
    assert!(database::free_connections(&client).await.expect("a number") > 10);
    let away = database::connect("postgres://u:pass-word@127.0.0.1:1/db").await.expect_err("nobody listens");
    assert!(away.contains("127.0.0.1:1") && !away.contains("pass-word"), "{away}");
}
