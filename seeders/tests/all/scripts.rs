//! A team's own SQL script as a fixture: one transaction, the ledger, its declared rows and checks, and errors with
//! their place in the file.

use crate::build::{graph, template, value};
use crate::harness::*;
use planc::graph::*;
use seeders::{Action, ErrorKind, Inputs, Mode, Receipt, SeedError, SeedOptions};
use serde_json::json;
use tokio_postgres::Client;

const TEAMS: &str = "CREATE TABLE teams (id text PRIMARY KEY, name text NOT NULL UNIQUE, size int CHECK (size > 0)); \
                     CREATE TABLE log (at timestamptz DEFAULT now(), what text)";

const SEED: &str = "\
-- Two teams and what was done.
INSERT INTO teams (id, name, size)
SELECT 't-' || lpad(g::text, 2, '0'), 'Team ' || g, g % 7 + 1
FROM generate_series(1, 20) AS g
ON CONFLICT (id) DO NOTHING;
UPDATE teams SET size = 9 WHERE id = 't-03';
INSERT INTO log (what) VALUES ('seeded; once');
";

fn script(text: &str) -> Fixture {
    let scripts = vec![Script { file: "seed/teams.sql".into(), text: text.into() }];
    Fixture {
        name: "teams".into(),
        fixture: "teams".into(),
        about: String::new(),
        rows: 0,
        children: None,
        after: Vec::new(),
        kind: FixtureKind::Sql(SqlFixture { scripts, reset: None, declared: None, columns: Columns::new() }),
        verify: Vec::new(),
    }
}

/// The same, which says that it makes rows `t-01` … of a table.
fn declaring(text: &str, rows: u64) -> Fixture {
    let mut fixture = script(text);
    fixture.rows = rows;
    let FixtureKind::Sql(sql) = &mut fixture.kind else { panic!("a script") };
    sql.declared = Some(Declared { table: "teams".into(), identity: vec!["id".into()] });
    for (name, made) in [("id", "t-{{ n | pad(2) }}"), ("name", "Team {{ n }}")] {
        let generator = value(json!(made));
        sql.columns
            .insert(name.into(), Column { generator, volatile: false, unique: false, fresh_within: None });
    }
    fixture
}

fn with_reset(mut fixture: Fixture, text: &str) -> Fixture {
    let FixtureKind::Sql(sql) = &mut fixture.kind else { panic!("a script") };
    sql.reset = Some(Script { file: "seed/reset.sql".into(), text: text.into() });
    fixture
}

fn checked(mut fixture: Fixture, sql: &str, wanted: i64) -> Fixture {
    fixture.verify.push(Check {
        name: "the check".into(),
        probe: Probe::Sql { statement: template(sql) },
        expect: vec![Expectation {
            name: "value".into(),
            what: Expected::Value(Matcher::Equals(JsonTemplate::Const(json!(wanted)))),
        }],
        within: None,
        fix: None,
        override_env: None,
        static_guard: false,
        skipped: None,
    });
    fixture
}

async fn run(client: &mut Client, fixture: &Fixture, options: &SeedOptions) -> Result<Receipt, SeedError> {
    let graph = graph(vec![fixture.clone()]);
    seeders::seed(client, &graph, fixture, &Inputs::new(), options, &mut |_| {}).await
}

async fn runs(client: &mut Client, fixture: &Fixture) -> Receipt {
    run(client, fixture, &options()).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn refused(client: &mut Client, fixture: &Fixture) -> SeedError {
    run(client, fixture, &options()).await.unwrap_err()
}

#[tokio::test]
async fn a_script_runs_once_and_again_when_its_text_changes() {
    let mut client = with(TEAMS).await;
    let fixture = checked(script(SEED), "select count(*) from teams", 20);
    let first = runs(&mut client, &fixture).await;
    assert_eq!((first.action, counts(&first)), (Action::Inserted, [21, 1, 0, 0, 0, 0]));
    let again = runs(&mut client, &fixture).await;
    assert_eq!((again.action, counts(&again)), (Action::NothingToDo, [0; 6]));
    let changed = checked(script(&SEED.replace("= 9", "= 8")), "select count(*) from teams", 20);
    let third = runs(&mut client, &changed).await;
    assert_eq!((third.action, counts(&third)), (Action::Refreshed, [1, 1, 0, 0, 0, 0]), "{:?}", third.notes);
    assert_eq!(number(&client, "SELECT count(*) FROM log").await, 2);
    // Neither the text nor anything in it is kept in the database.
    let kept = text(&client, "SELECT definition FROM planc.ledger").await;
    assert!(kept.contains("seed/teams.sql") && !kept.contains("generate_series"), "{kept}");
}

#[tokio::test]
async fn the_first_error_ends_it_with_nothing_kept_and_tells_where() {
    let mut client = with(TEAMS).await;
    for (text, place, said) in [
        (
            "INSERT INTO log (what) VALUES ('ä');\n\nINSERT INTO teams (id, nme) VALUES ('x', 'y');\n",
            "3:24",
            "\"nme\"",
        ),
        (
            "INSERT INTO log (what) VALUES ('ä'); INSERT INTO teams VALUES ('x', 'y', 0);\nSELECT 1;",
            "1:38",
            "check constraint",
        ),
        ("SELECT 1;\nSELEC 2;\nSELECT 3;", "2:1", "syntax error"),
        ("DO $$\nBEGIN\n  RAISE EXCEPTION 'no';\nEND $$;", "1:1", "no"),
        ("\\echo one\nSELECT 'ü', 1 / 0;", "2:1", "division by zero"),
        (
            "COPY teams (id, name, size) FROM stdin;\na\tA\t1\nb\tB\tmany\n\\.\n",
            "3:1",
            "invalid input syntax",
        ),
    ] {
        let error = refused(&mut client, &script(text)).await;
        let wanted = format!("seed/teams.sql:{place}: ");
        assert!(error.message.contains(&wanted) && error.message.contains(said), "{text}\n{error}");
        assert_eq!(
            number(&client, "SELECT (SELECT count(*) FROM log) + (SELECT count(*) FROM teams)").await,
            0
        );
        assert_eq!(text_of_ledger(&client).await, "", "{text}");
    }
    let twice = "INSERT INTO teams VALUES ('x', 'X', 1);\nINSERT INTO teams VALUES ('x', 'Y', 1)";
    let error = refused(&mut client, &script(twice)).await;
    assert!(
        error.message.contains("2:1")
            && error.message.contains("in `INSERT INTO teams VALUES ('x', 'Y', 1)`")
    );
    assert!(error.help.unwrap().contains("ON CONFLICT"));
}

async fn text_of_ledger(client: &Client) -> String {
    match number(client, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('planc.ledger')").await {
        0 => String::new(),
        _ => text(client, "SELECT fixture FROM planc.ledger").await,
    }
}

#[tokio::test]
async fn rows_below_a_copy_and_what_pg_dump_writes_are_taken() {
    let mut client = with(TEAMS).await;
    let dump = "\\restrict abc\nSET statement_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\n\
                COPY public.teams (id, name, size) FROM stdin;\nt-01\tTeam 1\t3\nt-02\tTeam 2\t\\N\n\\.\n\n\
                COPY public.log (what) FROM stdin;\n\\.\n\\unrestrict abc\n";
    let receipt = runs(&mut client, &checked(declaring(dump, 2), "select count(*) from teams", 2)).await;
    assert_eq!(receipt.inserted, 2);
    assert_eq!(text(&client, "SELECT current_setting('search_path') = '\"$user\", public'").await, "(t)");
    assert_eq!(number(&client, "SELECT count(*) FROM teams WHERE size IS NULL").await, 1);
}

#[tokio::test]
async fn rows_that_are_declared_must_be_there() {
    let mut client = with(TEAMS).await;
    let receipt = runs(&mut client, &declaring(SEED, 20)).await;
    assert_eq!((receipt.action, receipt.rows), (Action::Inserted, 20));
    assert_eq!(counts(&runs(&mut client, &declaring(SEED, 20)).await), [0, 0, 0, 0, 0, 20]);

    let error = refused(&mut client, &declaring(SEED, 22)).await;
    assert_eq!(error.kind, ErrorKind::Verify);
    assert!(error.message.contains("2 rows missing: `t-21` (row 21) is missing; `t-22`"), "{error}");

    client.batch_execute("UPDATE teams SET name = 'Other' WHERE id = 't-05'").await.unwrap();
    let error = refused(&mut client, &declaring(SEED, 20)).await;
    assert!(
        error.message.contains("1 row changed: `t-05` (row 5): name is `Other`, not `Team 5`"),
        "{error}"
    );
    let drift = run(&mut client, &declaring(SEED, 20), &mode(Mode::Verify)).await.unwrap();
    assert_eq!(drift.action, Action::Drift);
    let trusted = SeedOptions { trust_ledger: true, ..options() };
    assert_eq!(run(&mut client, &declaring(SEED, 20), &trusted).await.unwrap().action, Action::NothingToDo);
}

#[tokio::test]
async fn checks_are_made_in_the_transaction_and_on_every_run() {
    let mut client = with(TEAMS).await;
    let error = refused(&mut client, &checked(script(SEED), "select count(*) from teams", 19)).await;
    assert!(error.kind == ErrorKind::Verify && error.message.contains("it is 20"), "{error}");
    assert_eq!(number(&client, "SELECT count(*) FROM teams").await, 0);

    let fixture = checked(script(SEED), "select count(*) from teams", 20);
    runs(&mut client, &fixture).await;
    client.batch_execute("DELETE FROM teams WHERE id = 't-01'").await.unwrap();
    let error = refused(&mut client, &fixture).await;
    assert!(error.message.contains("it is 19") && error.help.unwrap().contains("--reset"));
}

#[tokio::test]
async fn verify_runs_nothing_and_reset_runs_its_own_script() {
    let mut client = with(TEAMS).await;
    let fixture = script(SEED);
    let never = run(&mut client, &fixture, &mode(Mode::Verify)).await.unwrap();
    assert_eq!((never.action, never.notes), (Action::Drift, vec!["the script never ran here".to_string()]));
    runs(&mut client, &fixture).await;
    assert_eq!(run(&mut client, &fixture, &mode(Mode::Verify)).await.unwrap().action, Action::Verified);

    let error = run(&mut client, &fixture, &mode(Mode::Reset)).await.unwrap_err();
    assert!(error.help.unwrap().contains("reset: file.sql"));
    let fixture = with_reset(fixture, "DELETE FROM teams WHERE id LIKE 't-%';\nDELETE FROM log;");
    let gone = run(&mut client, &fixture, &mode(Mode::Reset)).await.unwrap();
    assert_eq!((gone.action, gone.deleted), (Action::Reset, 21));
    assert_eq!(text_of_ledger(&client).await, "");
    let again = run(&mut client, &fixture, &mode(Mode::Reset)).await.unwrap();
    assert_eq!((again.action, again.deleted), (Action::NothingToDo, 0));
}

#[tokio::test]
async fn two_at_once_run_it_once() {
    let (mut one, url) = database().await;
    one.batch_execute(TEAMS).await.unwrap();
    let mut two = connect(&url).await;
    let fixture = script(SEED);
    let (a, b) = tokio::join!(runs(&mut one, &fixture), runs(&mut two, &fixture));
    let mut actions = [a.action, b.action];
    actions.sort_by_key(|action| *action == Action::NothingToDo);
    assert_eq!(actions, [Action::Inserted, Action::NothingToDo]);
    assert_eq!(number(&one, "SELECT count(*) FROM log").await, 1);
}

#[tokio::test]
async fn the_name_of_rows_in_the_ledger_is_not_taken_over() {
    let mut client = with(TEAMS).await;
    let rows = crate::build::fixture(
        "teams",
        2,
        "id",
        vec![("id", value(json!("t-{{ n }}"))), ("name", value(json!("T {{ n }}")))],
    );
    seed(&mut client, &rows.alone()).await;
    let error = refused(&mut client, &script(SEED)).await;
    assert!(error.message.contains("knows this fixture as rows of `teams`"), "{error}");
}

#[tokio::test]
async fn a_hand_made_graph_cannot_commit_half_of_it() {
    let mut client = with(TEAMS).await;
    let error =
        refused(&mut client, &script("INSERT INTO log (what) VALUES ('a');\nCOMMIT;\nSELECT 1/0;")).await;
    assert!(error.message.contains("seed/teams.sql:2:1: `COMMIT`"), "{error}");
    assert_eq!(number(&client, "SELECT count(*) FROM log").await, 0);
}

/// A table fixture whose parents a script makes is not refused before that script ran.
#[tokio::test]
async fn parents_that_a_script_will_make_are_waited_for() {
    let mut client =
        with(&format!("{TEAMS}; CREATE TABLE people (id int PRIMARY KEY, team text REFERENCES teams)")).await;
    let people = crate::build::fixture(
        "people",
        3,
        "id",
        vec![("id", value(json!("{{ n }}"))), ("team", value(json!("t-01")))],
    );
    let inputs = Inputs::new();
    let alone = graph(vec![people.fixture.clone()]);
    assert_eq!(seeders::inspect(&client, &alone, &inputs).await.unwrap().len(), 1);
    for script in [script(SEED), declaring(SEED, 20)] {
        let both = graph(vec![script, people.fixture.clone()]);
        assert_eq!(seeders::inspect(&client, &both, &inputs).await.unwrap(), []);
    }
    let both = graph(vec![script(SEED), people.fixture.clone()]);
    seeders::seed(&mut client, &both, &both.fixtures[0], &inputs, &options(), &mut |_| {}).await.unwrap();
    seeders::seed(&mut client, &both, &both.fixtures[1], &inputs, &options(), &mut |_| {}).await.unwrap();
}
