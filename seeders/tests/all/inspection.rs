//! Misfits: all of them at once, before anything is written.

use crate::build::*;
use crate::harness::*;
use planc::graph::*;
use seeders::{ErrorKind, Inputs, inspect};
use serde_json::json;

async fn told(sql: &str, graph: &ExecutionGraph) -> Vec<String> {
    let client = with(sql).await;
    let misfits = inspect(&client, graph, &Inputs::new()).await.unwrap_or_else(|error| panic!("{error}"));
    let word = |warning| if warning { "warning: " } else { "" };
    misfits.iter().map(|m| format!("{}{m}", word(m.warning))).collect()
}

fn has(told: &[String], words: &str) {
    assert!(told.iter().any(|line| line.contains(words)), "`{words}` is not told in\n{}", told.join("\n"));
}

#[tokio::test]
async fn a_fixture_that_fits_is_not_told_off() {
    assert_eq!(told(AGENTS, &agents(50).alone()).await, Vec::<String>::new());
}

#[tokio::test]
async fn everything_wrong_is_told_at_once() {
    let graph = fixture(
        "agents",
        10,
        "id",
        vec![
            ("id", value(json!("ag-{{ n }}"))),
            ("hostnam", value(json!("h"))),
            ("status", value(json!("active"))),
            ("port", value(json!("port {{ n }}"))),
            ("name", value(json!("{{ 'x' ~ (n ** n) }}"))),
            ("doubled", value(json!(1))),
            ("needed", value(json!("{{ none if n == 4 else 'x' }}"))),
        ],
    )
    .alone();
    let told = told(
        "CREATE TYPE status AS ENUM ('Active', 'Gone'); \
         CREATE TABLE agents (id text, hostname text NOT NULL, status status, port int, name varchar(8), \
            doubled int GENERATED ALWAYS AS (port * 2) STORED, needed text NOT NULL, serial serial UNIQUE, \"when\" date NOT NULL)",
        &graph,
    )
    .await;
    has(&told, "column `hostnam`: table `agents` has no column `hostnam` (help: did you mean `hostname`?)");
    has(
        &told,
        "column `hostname`: `hostname` is NOT NULL without a default and is not supplied (help: add `hostname:` to the fixture's columns (text))",
    );
    has(&told, "column `when`: `when` is NOT NULL");
    has(
        &told,
        "column `status`: row 1: `active` is not a value of the enum; did you mean `Active`?; it is so in 10 rows",
    );
    has(
        &told,
        "column `port`: row 1: the text `port 1` is not a whole number; it is so in 10 rows, and the column is integer",
    );
    has(&told, "characters long; the column holds 8");
    has(&told, "`doubled` is a generated column");
    has(
        &told,
        "no unique index of `agents` is on exactly (id) (help: the table's unique keys are `agents_serial_key` (serial))",
    );
    assert_eq!(told.iter().filter(|line| line.contains("`serial`:")).count(), 0);
}

#[tokio::test]
async fn missing_tables_and_nulls() {
    let lines = told("CREATE TABLE agent (id int PRIMARY KEY)", &agents(1).alone()).await;
    has(&lines, "table `agents` does not exist (help: did you mean `agent`?)");
    let null = fixture("t", 3, "k", vec![("k", value(json!("{{ n }}"))), ("v", value(json!(null)))]).alone();
    has(
        &told("CREATE TABLE t (k int PRIMARY KEY, v int NOT NULL)", &null).await,
        "row 1: null in a NOT NULL column; it is so in 3 rows",
    );
}

const PARENTS: &str = "CREATE TABLE teams (id text PRIMARY KEY); CREATE TABLE sites (a int, b int, PRIMARY KEY (a, b)); \
    CREATE TABLE owners (id text PRIMARY KEY); INSERT INTO teams VALUES ('t-2'); INSERT INTO owners VALUES ('o1'); \
    CREATE TABLE t (k int PRIMARY KEY, team text REFERENCES teams, sa int, sb int, owner text, boss int REFERENCES t, \
        FOREIGN KEY (sa, sb) REFERENCES sites)";

fn children() -> Build {
    fixture(
        "t",
        8,
        "k",
        vec![
            ("k", value(json!("{{ n }}"))),
            ("team", value(json!("t-{{ n % 4 }}"))),
            ("sa", value(json!(1))),
            ("sb", value(json!("{{ n % 2 }}"))),
            (
                "owner",
                Generator::References {
                    table: "owners".into(),
                    column: "id".into(),
                    value: slots(json!("o2")),
                },
            ),
            ("boss", value(json!("{{ none if n == 1 else 1 }}"))),
        ],
    )
}

#[tokio::test]
async fn all_missing_parents_in_one_report() {
    let lines = told(PARENTS, &children().alone()).await;
    assert_eq!(lines.len(), 3, "{lines:#?}");
    has(&lines, "column `team`: 3 parent rows are missing in teams (id): `t-0`, `t-1`, `t-3`");
    has(&lines, "columns `sa`, `sb`: 2 parent rows are missing in sites (a, b): `1, 0`, `1, 1`");
    has(&lines, "column `owner`: 1 parent row is missing in \"public\".\"owners\" (id): `o2`");
}

#[tokio::test]
async fn parents_that_the_plan_seeds_first_are_not_missing() {
    let teams = fixture("teams", 2, "id", vec![("id", value(json!("t-{{ (n - 1) * 3 }}")))]).fixture;
    let lines = told(PARENTS, &graph(vec![teams.clone(), children().fixture])).await;
    has(&lines, "column `team`: 1 parent row is missing in teams (id): `t-1`");
    let late = told(PARENTS, &graph(vec![children().fixture, teams])).await;
    has(&late, "3 parent rows are missing in teams");
}

#[tokio::test]
async fn checks_unique_keys_and_duplicates() {
    let sql = "CREATE TABLE t (k int PRIMARY KEY, email text UNIQUE, state text CHECK (state IN ('Active', 'Gone')), \
        low int, high int, CONSTRAINT ordered CHECK (low < high)); INSERT INTO t (k, email) VALUES (900, 'u3@x.test')";
    let columns = |email: &str, state: &str| {
        fixture(
            "t",
            5,
            "k",
            vec![
                ("k", value(json!("{{ n }}"))),
                ("email", value(json!(email))),
                ("state", value(json!(state))),
                ("low", value(json!("{{ n }}"))),
                ("high", value(json!(4))),
            ],
        )
        .alone()
    };
    let lines = told(sql, &columns("u{{ n }}@x.test", "active")).await;
    has(&lines, "row 4 breaks the CHECK `ordered`");
    has(&lines, "row 1 breaks the CHECK `t_state_check`: state is the text `active`; it is so in 5 rows");
    has(
        &lines,
        "1 rows with other identities hold values of the unique key `t_email_key` (email), the first that of row 3",
    );
    has(
        &told(sql, &columns("u{{ n % 2 }}@x.test", "Gone")).await,
        "rows 1 and 3 collide in the unique key `t_email_key`",
    );
    let free = told(sql, &columns("v{{ n }}@x.test", "Gone")).await;
    assert!(!free.iter().any(|line| line.contains("t_email_key")), "nobody holds these values: {free:?}");
    let same = fixture("t", 5, "k", vec![("k", value(json!("{{ n % 2 }}")))]).alone();
    has(&told(sql, &same).await, "rows 1 and 3 have the same identity");
}

#[tokio::test]
async fn privileges_and_read_only() {
    let (owner, url) = database().await;
    owner.batch_execute(&format!("{AGENTS}; CREATE ROLE poor LOGIN PASSWORD 'x'; GRANT SELECT ON agents TO poor; REVOKE CREATE ON SCHEMA public FROM PUBLIC")).await.unwrap();
    let (_, rest) = url.split_once('@').unwrap();
    let mut poor = connect(&format!("postgresql://poor:x@{rest}")).await;
    let graph = agents(3).alone();
    let misfits = inspect(&poor, &graph, &Inputs::new()).await.unwrap();
    let lines: Vec<String> = misfits.iter().map(ToString::to_string).collect();
    has(
        &lines,
        "role `poor` may not keep the ledger `planc.ledger` (help: run once as an owner: CREATE SCHEMA planc AUTHORIZATION \"poor\")",
    );
    has(
        &lines,
        "the role lacks INSERT, UPDATE on `agents` (help: GRANT INSERT, UPDATE ON \"public\".\"agents\"",
    );
    let error = seed_with(&mut poor, &graph, &options()).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Misfit(ref all) if all.len() == 2), "{error}");
    owner.batch_execute("ALTER ROLE poor SET default_transaction_read_only = on").await.unwrap();
    let poor = connect(&format!("postgresql://poor:x@{rest}")).await;
    let lines: Vec<String> =
        inspect(&poor, &graph, &Inputs::new()).await.unwrap().iter().map(ToString::to_string).collect();
    has(&lines, "read-only");
}

#[tokio::test]
async fn secrets_stay_secret() {
    let mut graph = fixture("t", 2, "k", vec![("k", value(json!("{{ inputs.key }}{{ n }}")))]).alone();
    graph.open_inputs.insert("key".into(), OpenInput { secret: true, env: None, default: None });
    let client = with("CREATE TABLE t (k int PRIMARY KEY)").await;
    let inputs = Inputs::from([("inputs.key".to_string(), json!("hunter2"))]);
    let told = inspect(&client, &graph, &inputs).await.unwrap();
    assert!(told[0].message.contains("the text `•••1`"), "{told:?}");
    let definition = seeders::content_hash(&graph, &graph.fixtures[0], &inputs);
    let other = Inputs::from([("inputs.key".to_string(), json!("other"))]);
    assert_eq!(definition, seeders::content_hash(&graph, &graph.fixtures[0], &other));
}
