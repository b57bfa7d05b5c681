//! Every type, through the table and back.

use crate::build::*;
use crate::harness::*;
use planc::graph::{Generator, OnConflict};
use planc::units::Fixed;
use seeders::{Action, ErrorKind, Inputs};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn every_type_comes_out_as_it_went_in() {
    let mut client = with(
        "CREATE TYPE mood AS ENUM ('Happy', 'sad'); CREATE DOMAIN positive AS int CHECK (value > 0); \
         CREATE TABLE t (k int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, nu numeric(12,3), tx text, \
           vc varchar(10), ch char(3), nm name, uu uuid, da date, ts timestamp, tz timestamptz, js json, jb jsonb, ba bytea, \
           ip inet, ne cidr, ta text[], ia int[], ua uuid[], mo mood, po positive, \"we ird\" text, nul text)",
    )
    .await;
    let graph = fixture(
        "t",
        3,
        "k",
        vec![
            ("k", value(json!("{{ n }}"))),
            ("b", value(json!("{{ n == 2 }}"))),
            ("i2", value(json!("{{ n * 100 }}"))),
            ("i8", value(json!(9_007_199_254_740_993_i64))),
            ("f4", value(json!(1.5))),
            ("f8", value(json!(-0.25))),
            ("nu", Generator::Decimal { from: Fixed(12_345_678_000), to: Fixed(12_345_678_000) }),
            ("tx", value(json!("tab\t\"quote\" \\ ä {{ n }}"))),
            ("vc", value(json!(5))),
            ("ch", value(json!("ab"))),
            ("nm", value(json!("a_name"))),
            ("uu", Generator::Uuid),
            ("da", before("24h")),
            ("ts", before("1s")),
            ("tz", Generator::TimeWithin { from: Duration::ZERO, to: Duration::from_micros(1), past: false }),
            ("js", value(json!({"a": ["{{ n }}", null, true]}))),
            ("jb", value(json!({"a": ["{{ n }}", null, true]}))),
            ("ba", value(json!("\\xdeadBEEF"))),
            ("ip", value(json!("10.0.0.{{ n }}"))),
            ("ne", value(json!("2001:db8::/32"))),
            ("ta", value(json!(["a,b", "{{ n }}!", null, "\"q\""]))),
            ("ia", value(json!([1, "{{ n }}"]))),
            ("ua", value(json!(["00000000-0000-4000-8000-00000000000{{ n }}"]))),
            ("mo", value(json!("Happy"))),
            ("po", value(json!("{{ n }}"))),
            ("we ird", value(json!("x"))),
            ("nul", value(json!(null))),
        ],
    )
    .alone();
    seed(&mut client, &graph).await;
    let sql = "SELECT k, b, i2, i8, f4, f8, nu, tx, vc, ch, nm, da, ts, tz AT TIME ZONE 'UTC' tz, js, jb, ba, ip, ne, ta, ia, ua, mo, po, \
        \"we ird\", nul FROM t WHERE k = 2";
    let row: serde_json::Value =
        client.query_one(&format!("SELECT row_to_json(x)::jsonb FROM ({sql}) x"), &[]).await.unwrap().get(0);
    assert_eq!(
        row,
        json!({
            "k": 2, "b": true, "i2": 200, "i8": 9_007_199_254_740_993_i64, "f4": 1.5, "f8": -0.25, "nu": 12345.678,
            "tx": "tab\t\"quote\" \\ ä 2", "vc": "5", "ch": "ab ", "nm": "a_name", "da": "2026-11-20",
            "ts": "2026-11-21T13:10:26", "tz": "2026-11-21T13:10:27", "js": {"a": [2, null, true]}, "jb": {"a": [2, null, true]},
            "ba": "\\xdeadbeef", "ip": "10.0.0.2", "ne": "2001:db8::/32", "ta": ["a,b", "2!", null, "\"q\""], "ia": [1, 2],
            "ua": ["00000000-0000-4000-8000-000000000002"], "mo": "Happy", "po": 2, "we ird": "x", "nul": null,
        })
    );
    let uuid: uuid::Uuid = client.query_one("SELECT uu FROM t WHERE k = 2", &[]).await.unwrap().get(0);
    let rows = seeders::RowSource::new(&graph, "t", &Inputs::new(), BASE).unwrap();
    assert_eq!(rows.value(2, "uu").unwrap(), json!(uuid.to_string()));
    assert_eq!(uuid.get_version_num(), 4);
    assert_eq!(seed(&mut client, &graph).await.action, Action::NothingToDo);
    client.batch_execute("UPDATE t SET js = '[]', ta = '{}' WHERE k = 1").await.unwrap();
    assert_eq!(counts(&seed(&mut client, &graph).await), [0, 1, 0, 0, 0, 2]);
}

#[tokio::test]
async fn types_that_only_the_server_knows_go_as_text() {
    let mut client = with("CREATE TABLE t (k int PRIMARY KEY, at time, gap interval, spot point, r int4range, mac macaddr, m money)").await;
    let graph = fixture(
        "t",
        3,
        "k",
        vec![
            ("k", value(json!("{{ n }}"))),
            ("at", value(json!("12:30:0{{ n }}"))),
            ("gap", value(json!("{{ n }} days"))),
            ("spot", value(json!("({{ n }},2)"))),
            ("r", value(json!("[1,{{ n + 1 }})"))),
            ("mac", value(json!("08:00:2b:01:02:03"))),
            ("m", value(json!(3))),
        ],
    )
    .alone();
    seed(&mut client, &graph).await;
    assert_eq!(
        text(&client, "SELECT k, at, gap, spot, r, mac FROM t WHERE k = 2").await,
        "(2,12:30:02,\"2 days\",\"(2,2)\",\"[1,3)\",08:00:2b:01:02:03)"
    );
    assert_eq!(seed(&mut client, &graph).await.action, Action::NothingToDo);
    client.batch_execute("DELETE FROM t WHERE k = 3").await.unwrap();
    assert_eq!(counts(&seed(&mut client, &graph).await), [1, 0, 0, 0, 0, 2]);
    let bad =
        fixture("t", 3, "k", vec![("k", value(json!("{{ n + 10 }}"))), ("at", value(json!("noon-ish")))])
            .alone();
    let error = seed_with(&mut client, &bad, &options()).await.unwrap_err();
    assert!(
        matches!(&error.kind, ErrorKind::Misfit(all) if all.len() == 1),
        "told before a row is sent: {error}"
    );
    let words = "[P0903] fixture `t`, column `at`: time zone \"noon-ish\" not recognized";
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn identity_columns_and_composite_keys() {
    let mut client = with(
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, a int, b text, c text, PRIMARY KEY (a, b), \
           twice int GENERATED ALWAYS AS (a * 2) STORED)",
    )
    .await;
    let columns = |word: &str| {
        vec![
            ("id", value(json!("{{ n + 1000 }}"))),
            ("a", value(json!("{{ n // 3 }}"))),
            ("b", value(json!("b\"{{ n % 3 }}"))),
            ("c", value(json!(word))),
        ]
    };
    let one = fixture("t", 9, "a b", columns("x")).alone();
    assert_eq!(counts(&seed(&mut client, &one).await), [9, 0, 0, 0, 0, 0]);
    client.batch_execute("DELETE FROM t WHERE a = 0").await.unwrap();
    assert_eq!(counts(&seed(&mut client, &one).await), [2, 0, 0, 0, 0, 7]);
    let two = fixture("t", 9, "a b", columns("y")).policy(OnConflict::Keep).alone();
    assert_eq!(counts(&seed(&mut client, &two).await), [0, 0, 0, 9, 0, 0]);
}

#[tokio::test]
async fn sequences_move_past_what_was_seeded() {
    let mut client = with("CREATE TABLE t (\"Id\" serial PRIMARY KEY, v text)").await;
    let graph =
        fixture("t", 40, "Id", vec![("Id", value(json!("{{ n }}"))), ("v", value(json!("x")))]).alone();
    seed(&mut client, &graph).await;
    client.batch_execute("INSERT INTO t (v) VALUES ('the service')").await.unwrap();
    assert_eq!(number(&client, "SELECT max(\"Id\")::bigint FROM t").await, 41);
    assert_eq!(seed(&mut client, &graph).await.action, Action::NothingToDo);
}

#[tokio::test]
async fn fixtures_refer_to_each_other_and_schemas_are_named() {
    let mut client = with(
        "CREATE SCHEMA \"App\"; CREATE TABLE \"App\".users (email text PRIMARY KEY); \
         CREATE TABLE \"App\".posts (id int PRIMARY KEY, author text REFERENCES \"App\".users)",
    )
    .await;
    let mut users = fixture("users", 5, "email", vec![("email", value(json!("u{{ n }}")))]).fixture;
    let author = Generator::Fixture { fixture: "people".into(), column: "email".into(), random: true };
    let mut posts =
        fixture("posts", 50, "id", vec![("id", value(json!("{{ n }}"))), ("author", author)]).fixture;
    for (fixture, table) in [(&mut users, "App.users"), (&mut posts, "App.posts")] {
        let planc::graph::FixtureKind::Table(of) = &mut fixture.kind else { panic!("a table") };
        of.table = table.into();
    }
    users.name = "people".into();
    let graph = graph(vec![users.clone(), posts]);
    assert_eq!(seeders::inspect(&client, &graph, &Inputs::new()).await.unwrap(), vec![]);
    seed(&mut client, &crate::build::graph(vec![users])).await;
    assert_eq!(seed(&mut client, &graph).await.inserted, 50);
    assert_eq!(number(&client, "SELECT count(DISTINCT author) FROM \"App\".posts").await, 5);
    let smaller = {
        let mut smaller = graph.clone();
        smaller.fixtures[1].rows = 20;
        let planc::graph::FixtureKind::Table(of) = &mut smaller.fixtures[1].kind else { panic!("a table") };
        of.on_conflict = OnConflict::Exact;
        smaller
    };
    assert_eq!(counts(&seed(&mut client, &smaller).await), [0, 0, 30, 0, 0, 20]);
    let reset = seed_with(&mut client, &smaller, &mode(seeders::Mode::Reset)).await.unwrap();
    assert_eq!(reset.deleted, 20);
}
