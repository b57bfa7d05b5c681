//! Rows by parent, values that are met once, and the rows that planc knows before there is a database.

use crate::build::*;
use crate::harness::*;
use planc::graph::*;
use planc::relation::Relation;
use planc::rows::KnownRows;
use planc::units::Fixed;
use seeders::{Action, ErrorKind, Inputs, Mode, RowSource};
use serde_json::json;
use std::time::Duration;

/// `fixture` with its rows by parent.
fn children_of(graph: &mut ExecutionGraph, of: &str, fixture: Build, each: Each) {
    let children = Children { of: of.into(), each };
    let parents = graph.fixture(of).unwrap().rows;
    let relation = Relation::new(graph.seed, &fixture.fixture.fixture, &children, parents).unwrap();
    graph.fixtures.push(Fixture { rows: relation.rows(), children: Some(children), ..fixture.fixture });
}

fn blog(users: u64) -> ExecutionGraph {
    let columns = vec![("id", value(json!("u{{ n }}"))), ("plan", weighted(&[("free", 80), ("paid", 20)]))];
    let mut graph = graph(vec![fixture("users", users, "id", columns).fixture]);
    let columns = vec![
        ("user_id", value(json!("{{ parent.id }}"))),
        ("position", value(json!("{{ child }}"))),
        (
            "title",
            value(json!(
                "post {{ child }} of {{ parent.n }} ({{ parent.plan | upper }}), {{ n }} of {{ rows }}"
            )),
        ),
    ];
    let some = Each::Weighted(vec![
        WeightedCount { children: 0, weight: 30 },
        WeightedCount { children: 1, weight: 50 },
        WeightedCount { children: 20, weight: 20 },
    ]);
    children_of(&mut graph, "users", fixture("posts", 0, "user_id position", columns), some);
    let columns = vec![
        ("id", value(json!("{{ parent.user_id }}-{{ parent.position }}-{{ child }}"))),
        ("user_id", value(json!("{{ parent.user_id }}"))),
        ("position", value(json!("{{ parent.position }}"))),
    ];
    children_of(&mut graph, "posts", fixture("votes", 0, "id", columns), Each::Between { from: 0, to: 3 });
    graph
}

const BLOG: &str = "CREATE TABLE users (id text PRIMARY KEY, plan text NOT NULL); \
    CREATE TABLE posts (user_id text REFERENCES users, position int, title text, PRIMARY KEY (user_id, position)); \
    CREATE TABLE votes (id text PRIMARY KEY, user_id text, position int, \
        FOREIGN KEY (user_id, position) REFERENCES posts)";

async fn seed_all(client: &mut tokio_postgres::Client, graph: &ExecutionGraph) -> Vec<Action> {
    let mut actions = Vec::new();
    for at in 1..=graph.fixtures.len() {
        let part = ExecutionGraph { fixtures: graph.fixtures[..at].to_vec(), ..graph.clone() };
        actions.push(seed(client, &part).await.action);
    }
    actions
}

#[tokio::test]
async fn children_of_children_go_where_their_parents_are() {
    let mut client = with(BLOG).await;
    let graph = blog(200);
    assert_eq!(seed_all(&mut client, &graph).await, [Action::Inserted; 3]);
    for fixture in &graph.fixtures {
        let count = number(&client, &format!("SELECT count(*) FROM {}", fixture.name)).await;
        assert_eq!(count as u64, fixture.rows, "{}", fixture.name);
    }
    let spread = text(
        &client,
        "SELECT DISTINCT count(p.position), max(p.position) FROM users u LEFT JOIN posts p ON p.user_id = u.id \
         GROUP BY u.id ORDER BY 1",
    )
    .await;
    assert_eq!(spread, "(0,); (1,1); (20,20)");
    let source = RowSource::new(&graph, "posts", &Inputs::new(), BASE).unwrap();
    let last = source.row(source.rows()).unwrap();
    let same = text(
        &client,
        &format!(
            "SELECT title FROM posts WHERE user_id = {} AND position = {}",
            last["user_id"].to_string().replace('"', "'"),
            last["position"]
        ),
    )
    .await;
    assert_eq!(
        format!("{}", last["title"]),
        same.trim_matches(['(', ')']),
        "row n alone is the row of the table"
    );
    assert_eq!(seed_all(&mut client, &graph).await, [Action::NothingToDo; 3]);
}

/// Another 50 parents: the children of those before stay what they are, from the ledger's definition too.
#[tokio::test]
async fn more_parents_add_children_and_change_none() {
    let mut client = with(BLOG).await;
    seed_all(&mut client, &blog(50)).await;
    let before = text(&client, "SELECT user_id, position FROM posts ORDER BY 1, 2").await;
    let graph = blog(100);
    seed_all(&mut client, &graph).await;
    let query = "SELECT user_id, position FROM posts WHERE substr(user_id, 2)::int <= 50 ORDER BY 1, 2";
    assert_eq!(text(&client, query).await, before);
    let mut reset = graph.clone();
    reset.fixtures.truncate(2);
    client.batch_execute("DELETE FROM votes").await.unwrap();
    seed_with(&mut client, &reset, &mode(Mode::Reset)).await.unwrap();
    assert_eq!(number(&client, "SELECT count(*) FROM posts").await, 0);
}

#[test]
fn a_count_that_is_not_that_of_the_parents_is_refused() {
    let mut graph = blog(10);
    graph.fixtures[0].rows = 9;
    let error = RowSource::new(&graph, "posts", &Inputs::new(), BASE).unwrap_err().to_string();
    assert!(error.contains("the plan counts") && error.contains("`users`"), "{error}");
}

#[tokio::test]
async fn a_value_that_is_not_unique_is_told_and_nothing_is_kept() {
    let mut client = with("CREATE TABLE people (id int PRIMARY KEY, email text, badge jsonb)").await;
    let marked = |email: &str, rows| {
        let columns = vec![
            ("id", value(json!("{{ n }}"))),
            ("email", value(json!(email))),
            ("badge", value(json!({ "of": "{{ n }}" }))),
        ];
        let mut graph = fixture("people", rows, "id", columns).alone();
        let FixtureKind::Table(table) = &mut graph.fixtures[0].kind else { panic!("a table") };
        table.columns.get_mut("email").unwrap().unique = true;
        table.columns.get_mut("badge").unwrap().unique = true;
        graph
    };
    let error =
        seed_with(&mut client, &marked("u{{ n % 7 }}@example.test", 30), &options()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Verify);
    let told = "column `email` of `people` is marked unique and is not: `u0@example.test` in 4 rows, \
                `u1@example.test` in 5 rows, `u2@example.test` in 5 rows";
    assert!(error.message.contains(told), "{error}");
    assert_eq!(number(&client, "SELECT count(*) FROM people").await, 0);
    let graph = marked("u{{ n }}@example.test", 30);
    assert_eq!(seed(&mut client, &graph).await.action, Action::Inserted);
    client.batch_execute("INSERT INTO people VALUES (1000, 'u7@example.test')").await.unwrap();
    let error = seed_with(&mut client, &graph, &mode(Mode::Verify)).await.unwrap_err();
    assert!(error.message.contains("`u7@example.test` in 2 rows"), "{error}");
    client
        .batch_execute("DELETE FROM people WHERE id = 1000; CREATE UNIQUE INDEX ON people (email)")
        .await
        .unwrap();
    let receipt = seed_with(&mut client, &graph, &mode(Mode::Verify)).await.unwrap();
    assert_eq!(receipt.action, Action::Verified);
}

/// What planc tries for uniqueness are the rows that are seeded.
#[test]
fn the_rows_that_planc_knows_are_these() {
    let mut graph = blog(40);
    let columns = vec![
        ("id", value(json!("{{ parent.id }}/{{ n | pad(4) }}"))),
        ("draws", value(json!("{{ random.int(1, 1000) }}-{{ random.hex(4) }}-{{ random.uuid() }}"))),
        ("alone", value(json!("{{ random.int(1, 1000) }}"))),
        ("deep", value(json!({ "os": "{{ os }}", "list": ["{{ score + 1 }}", "{{ id | length }}"] }))),
        ("os", weighted(&[("darwin", 10), ("linux", 80), ("none", 0), ("windows", 10)])),
        ("score", Generator::Integer { from: -5, to: 5 }),
        ("wide", Generator::Integer { from: i64::MIN, to: i64::MAX }),
        ("price", Generator::Decimal { from: Fixed(-1_500_000), to: Fixed(10_000_000) }),
        ("key", Generator::Uuid),
        ("secret", Generator::Hex { length: 20 }),
        (
            "team",
            Generator::References {
                table: "t".into(),
                column: "id".into(),
                value: slots(json!("t-{{ n % 3 }}")),
            },
        ),
        ("voter", Generator::Fixture { fixture: "users".into(), column: "id".into(), random: false }),
        ("other", Generator::Fixture { fixture: "posts".into(), column: "title".into(), random: true }),
        ("given", Generator::Record((0..200).map(|n| json!(n * 10)).collect())),
    ];
    children_of(&mut graph, "users", fixture("all", 0, "id", columns), Each::Between { from: 1, to: 5 });
    for fixture in &graph.fixtures {
        let known = KnownRows::new(graph.seed, fixture, &graph.fixtures);
        let source = RowSource::new(&graph, &fixture.name, &Inputs::new(), BASE).unwrap();
        for n in 1..=source.rows() {
            for (column, value) in source.row(n).unwrap() {
                assert_eq!(known.value(n, &column), Some(value), "{}, row {n}, {column}", fixture.name);
            }
        }
    }
    let columns = vec![
        ("secret", value(json!("{{ inputs.pepper }}{{ n }}"))),
        ("day", value(json!("{{ now() }}"))),
        ("seen", before("{{ n }}s")),
        ("later", Generator::TimeWithin { from: Duration::ZERO, to: Duration::from_secs(9), past: false }),
    ];
    let graph = fixture("times", 3, "seen", columns).alone();
    let known = KnownRows::new(graph.seed, &graph.fixtures[0], &graph.fixtures);
    assert_eq!((known.value(2, "secret"), known.value(2, "day")), (None, None));
    assert_eq!(known.value(2, "seen"), Some(json!(-2_000_000)));
    let source = RowSource::new(&graph, "times", &Inputs::new(), 0);
    let later = source.unwrap().value(2, "later").unwrap();
    let micros = known.value(2, "later").unwrap().as_i64().unwrap();
    assert_eq!(
        later,
        json!(format!("1970-01-01T00:00:{:02}.{:06}Z", micros / 1_000_000, micros % 1_000_000))
    );
}
