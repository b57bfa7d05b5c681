//! What a check finds in the live database beyond what every seeding looks at; by code, each against a real schema.

use crate::build::*;
use crate::harness::*;
use planc::graph::*;
use seeders::{Inputs, review};
use serde_json::json;

/// All that is found, one line each: `P0901 warning fixture …`.
async fn found(sql: &str, graph: &ExecutionGraph) -> Vec<String> {
    let client = with(sql).await;
    let misfits =
        review(&client, graph, &Inputs::new(), true).await.unwrap_or_else(|error| panic!("{error}"));
    let word = |warning| if warning { "warning" } else { "error" };
    misfits.iter().map(|m| format!("{} {} {m}", m.kind.code().id, word(m.warning))).collect()
}

fn only(found: &[String], start: &str, words: &[&str]) {
    let [line] = found else { panic!("one finding is wanted:\n{}", found.join("\n")) };
    assert!(line.starts_with(start), "{line}");
    words.iter().for_each(|words| assert!(line.contains(words), "`{words}` is not in\n{line}"));
}

fn nothing(found: &[String]) {
    assert_eq!(found, Vec::<String>::new());
}

/// Accounts with an id and a mail address.
fn accounts(email: &str) -> ExecutionGraph {
    let columns = vec![("id", value(json!("{{ n }}"))), ("email", value(json!(email)))];
    fixture("accounts", 5, "id", columns).alone()
}

#[tokio::test]
async fn indexes_that_settle_no_conflict_are_named_with_the_reason() {
    for (index, why) in [
        (
            "CREATE UNIQUE INDEX u ON accounts (id) WHERE email <> ''",
            "it is partial (WHERE (email <> ''::text))",
        ),
        ("CREATE UNIQUE INDEX u ON accounts ((id + 0))", "it is over an expression"),
        ("ALTER TABLE accounts ADD CONSTRAINT u UNIQUE (id) DEFERRABLE", "it is deferrable"),
    ] {
        let sql = format!("CREATE TABLE accounts (id int NOT NULL, email text); {index}");
        let words = ["no unique index of `accounts` is on exactly (id)", "`u` (", why, "CREATE UNIQUE INDEX"];
        only(&found(&sql, &accounts("u{{ n }}@x.test")).await, "P0901 error", &words);
    }
    nothing(&found("CREATE TABLE accounts (id int PRIMARY KEY, email text)", &accounts("u")).await);
}

#[tokio::test]
async fn a_second_unique_key_can_fire_whatever_its_form() {
    for key in ["UNIQUE (email)", "EXPRESSION", "PARTIAL", "DEFERRABLE"] {
        let index = match key {
            "EXPRESSION" => "CREATE UNIQUE INDEX second ON accounts (lower(email))".to_string(),
            "PARTIAL" => "CREATE UNIQUE INDEX second ON accounts (email) WHERE gone_at IS NULL".to_string(),
            "DEFERRABLE" => {
                "ALTER TABLE accounts ADD CONSTRAINT second UNIQUE (email) DEFERRABLE".to_string()
            }
            other => format!("ALTER TABLE accounts ADD CONSTRAINT second {other}"),
        };
        let sql = format!(
            "CREATE TABLE accounts (id int PRIMARY KEY, email text, gone_at timestamptz); {index}; \
             INSERT INTO accounts VALUES (900, 'u3@x.test')"
        );
        let held = ["1 rows with other identities hold values of the unique key `second`", "that of row 3"];
        only(&found(&sql, &accounts("u{{ n }}@x.test")).await, "P0901 error", &held);
        let twice = ["rows 1 and 3 collide in the unique key `second`"];
        only(&found(&sql, &accounts("v{{ n % 2 }}@x.test")).await, "P0901 error", &twice);
        nothing(&found(&sql, &accounts("v{{ n }}@x.test")).await);
    }
}

#[tokio::test]
async fn a_partial_key_over_a_column_with_a_default_is_not_guessed_at() {
    let sql = "CREATE TABLE accounts (id int PRIMARY KEY, email text, live bool DEFAULT random() > 0.5); \
        CREATE UNIQUE INDEX second ON accounts (email) WHERE live";
    nothing(&found(sql, &accounts("same")).await);
}

#[tokio::test]
async fn parents_that_are_seeded_too_late_are_told_with_the_way_out() {
    let sql = "CREATE TABLE teams (id text PRIMARY KEY); CREATE TABLE sites (id text PRIMARY KEY); \
        CREATE TABLE agents (id int PRIMARY KEY, team text REFERENCES teams, site text REFERENCES sites)";
    let agents = fixture(
        "agents",
        4,
        "id",
        vec![
            ("id", value(json!("{{ n }}"))),
            ("team", value(json!("t-{{ n % 2 }}"))),
            ("site", value(json!("s-1"))),
        ],
    )
    .fixture;
    let teams = fixture("teams", 2, "id", vec![("id", value(json!("t-{{ n - 1 }}")))]).fixture;
    let late = found(sql, &graph(vec![agents.clone(), teams.clone()])).await;
    assert_eq!(late.len(), 2, "all keys at once: {late:#?}");
    let team = late.iter().find(|line| line.contains("column `team`")).expect("told");
    assert!(
        team.starts_with("P0902 error") && team.contains("2 parent rows are missing in teams (id)"),
        "{team}"
    );
    assert!(team.contains("fixture `teams` makes 2 of them and is seeded after this one"), "{team}");
    assert!(team.contains("write `team: { fixture: teams, column: id }`"), "{team}");
    let site = late.iter().find(|line| line.contains("column `site`")).expect("told");
    assert!(site.contains("no fixture of this plan makes them: add one for sites"), "{site}");
    only(&found(sql, &graph(vec![teams, agents])).await, "P0902 error", &["column `site`"]);
}

#[tokio::test]
async fn the_longest_value_of_all_rows_is_measured() {
    let name = |text: &str| {
        let columns = vec![("id", value(json!("{{ n }}"))), ("name", value(json!(text)))];
        fixture("t", 30_000, "id", columns).alone()
    };
    let sql = "CREATE TABLE t (id int PRIMARY KEY, name varchar(10))";
    // Only row 12,345 is too long, and no sample has it.
    let rare = name("{{ 'ä-much-too-long' if n == 12345 else 'short' }}");
    let words = [
        "row 12345: the text `ä-much-too-long` is 15 characters long; the column holds 10",
        "the longest of all 30000 rows, of which 1 are too long for character varying(10)",
    ];
    only(&found(sql, &rare).await, "P0903 error", &words);
    let words = ["row 10000: the text `agent-10000` is 11 characters long", "of which 20001 are too long"];
    only(&found(sql, &name("agent-{{ n }}")).await, "P0903 error", &words);
    nothing(&found(sql, &name("ag-{{ n }}")).await);
}

#[tokio::test]
async fn columns_of_every_kind_of_misfit() {
    let one = |column: &'static str, generator: Generator| {
        fixture("t", 3, "id", vec![("id", value(json!("{{ n }}"))), (column, generator)]).alone()
    };
    for (column, generator, definition, start, words) in [
        (
            "nmae",
            value(json!("x")),
            "name text",
            "P0903 error",
            "no column `nmae` (help: did you mean `name`?)",
        ),
        ("a", value(json!("x")), "a int", "P0903 error", "the text `x` is not a whole number"),
        (
            "a",
            value(json!("soon")),
            "a interval",
            "P0903 error",
            "invalid input syntax for type interval: \"soon\"",
        ),
        ("a", value(json!("x")), "a mail", "P0903 error", "violates check constraint \"mail_check\""),
        ("a", value(json!("online")), "a state", "P0903 error", "did you mean `Online`?"),
        (
            "a",
            value(json!("x")),
            "a text CHECK (length(a) > 1)",
            "P0903 error",
            "breaks the CHECK `t_a_check`",
        ),
        (
            "a",
            value(json!(1)),
            "a int, b int CHECK (b IS NOT NULL)",
            "P0903 error",
            "b is not supplied and NULL",
        ),
        (
            "a",
            value(json!(1)),
            "a int GENERATED ALWAYS AS (1) STORED",
            "P0903 error",
            "is a generated column",
        ),
        ("a", value(json!(1)), "a int GENERATED ALWAYS AS IDENTITY", "P0903 warning", "never refreshed"),
        ("a", value(json!(1)), "a int, b int NOT NULL", "P0903 error", "`b` is NOT NULL without a default"),
        ("a", value(json!(null)), "a int NOT NULL", "P0903 error", "row 1: null in a NOT NULL column"),
    ] {
        let sql = format!(
            "CREATE TYPE state AS ENUM ('Online'); CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%'); \
             CREATE TABLE t (id int PRIMARY KEY, {definition})"
        );
        only(&found(&sql, &one(column, generator)).await, start, &[words]);
    }
}

#[tokio::test]
async fn a_trigger_may_fill_in_what_is_not_supplied() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, slug text NOT NULL); \
        CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.slug := NEW.id; RETURN NEW; END'; \
        CREATE TRIGGER filler BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fill()";
    let graph = fixture("t", 3, "id", vec![("id", value(json!("{{ n }}")))]).alone();
    only(
        &found(sql, &graph).await,
        "P0903 warning",
        &["the trigger `filler` (function `fill`) may fill it in"],
    );
}

#[tokio::test]
async fn times_without_a_zone_are_doubted_where_now_is_not_in_utc() {
    let (owner, url) = database().await;
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_string();
    owner
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, seen timestamp, kept timestamptz)")
        .await
        .unwrap();
    let columns = vec![("id", value(json!("{{ n }}"))), ("seen", before("5s")), ("kept", before("5s"))];
    let graph = fixture("t", 3, "id", columns).alone();
    let look = async || {
        let client = connect(&url).await;
        let misfits = review(&client, &graph, &Inputs::new(), true).await.unwrap();
        misfits.iter().map(|m| format!("{} {m}", m.kind.code().id)).collect::<Vec<_>>()
    };
    owner.batch_execute(&format!("ALTER DATABASE {name} SET timezone = 'UTC'")).await.unwrap();
    nothing(&look().await);
    owner.batch_execute(&format!("ALTER DATABASE {name} SET timezone = 'Asia/Kolkata'")).await.unwrap();
    only(&look().await, "P0903", &["column `seen`", "in `Asia/Kolkata` (UTC+05:30)"]);
}

/// Certificates with a status.
fn certificates(status: &str) -> ExecutionGraph {
    let columns = vec![("id", value(json!("load-{{ n }}"))), ("status", value(json!(status)))];
    fixture("certificates", 10, "id", columns).alone()
}

const CERTIFICATES: &str = "CREATE TABLE certificates (id text PRIMARY KEY, status text NOT NULL);";

#[tokio::test]
async fn the_same_word_in_another_case_is_told() {
    let sql = format!(
        "{CERTIFICATES} INSERT INTO certificates SELECT 'c' || n, 'Active' FROM generate_series(1, 7) n"
    );
    let words =
        ["`status` writes `active`", "7 other rows have `Active`, 0 `active`", "(help: write `Active`)"];
    only(&found(&sql, &certificates("active")).await, "P0904 warning", &words);
    nothing(&found(&sql, &certificates("Active")).await);
    nothing(&found(&sql, &certificates("other")).await);
    // What tells rows apart is no word of a list.
    nothing(&found(&sql.replace("'Active'", "'Active ' || n"), &certificates("active {{ n }}")).await);
    // The rows of an earlier seeding do not make the mistake right, nor a mended fixture wrong.
    let seeded = format!(
        "{sql}; INSERT INTO certificates SELECT 'load-' || n, 'active' FROM generate_series(1, 10) n"
    );
    only(&found(&seeded, &certificates("active")).await, "P0904 warning", &["7 other rows"]);
    nothing(&found(&seeded, &certificates("Active")).await);
}

#[tokio::test]
async fn spellings_are_left_alone_where_they_are_in_use_or_do_not_matter() {
    let both = format!(
        "{CERTIFICATES} INSERT INTO certificates SELECT 'c' || n, CASE WHEN n < 4 THEN 'Active' ELSE 'active' END \
         FROM generate_series(1, 9) n"
    );
    nothing(&found(&both, &certificates("active")).await);
    let blind = "CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
        CREATE TABLE certificates (id text PRIMARY KEY, status text COLLATE blind); \
        INSERT INTO certificates VALUES ('c', 'Active')";
    nothing(&found(blind, &certificates("active")).await);
}

#[tokio::test]
async fn a_word_that_a_closed_list_lacks_is_told() {
    let filled = |values: &str, rows: u32| {
        format!(
            "{CERTIFICATES} INSERT INTO certificates SELECT 'c' || n, (ARRAY[{values}])[n % cardinality(ARRAY[{values}]) + 1] \
             FROM generate_series(1, {rows}) n"
        )
    };
    let states = "'Active', 'Revoked', 'Expired'";
    let words = [
        "`status` writes `Expierd`, which no other row of `certificates` holds",
        "its 300 other rows hold `Active` (100), `Expired` (100), `Revoked` (100)",
        "did you mean `Expired`?",
    ];
    only(&found(&filled(states, 300), &certificates("Expierd")).await, "P0904 warning", &words);
    nothing(&found(&filled(states, 300), &certificates("Expired")).await);
    nothing(&found(&filled(states, 60), &certificates("Expierd")).await);
    nothing(&found(&filled("'Active'", 300), &certificates("Expired")).await);
    nothing(&found(&filled("'1.0', '1.1', '1.2'", 300), &certificates("2.0")).await);
    let stated = filled(states, 300).replace(
        "status text NOT NULL",
        "status text CHECK (status IN ('Active', 'Revoked', 'Expired', 'Held'))",
    );
    nothing(&found(&stated, &certificates("Held")).await);
}

#[tokio::test]
async fn what_refuses_a_reset_is_named() {
    let table = "CREATE TABLE certificates (id text PRIMARY KEY, status text);";
    let function = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS";
    for (sql, words) in [
        (
            format!("{function} 'BEGIN RAISE EXCEPTION ''append only''; END'; CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON certificates FOR EACH ROW EXECUTE FUNCTION f()"),
            "the trigger `keep` (function `f`) can raise an exception on DELETE",
        ),
        (
            format!("{function} 'BEGIN RETURN NULL; END'; CREATE TRIGGER keep BEFORE DELETE ON certificates FOR EACH ROW EXECUTE FUNCTION f()"),
            "can return NULL before DELETE, which keeps the row",
        ),
        (
            format!("{function} 'BEGIN INSERT INTO log VALUES (OLD.id); RETURN OLD; END'; CREATE TRIGGER t BEFORE DELETE ON certificates FOR EACH ROW EXECUTE FUNCTION f()"),
            "the trigger `t` (function `f`) fires on DELETE, and what it does is more than this fixture's rows",
        ),
        (
            "CREATE TABLE log (id text); CREATE RULE log AS ON DELETE TO certificates DO ALSO INSERT INTO log VALUES (OLD.id)".into(),
            "the rule `log` runs beside every DELETE",
        ),
        (
            "CREATE RULE keep AS ON DELETE TO certificates DO INSTEAD NOTHING".into(),
            "the rule `keep` takes the place of every DELETE",
        ),
        (
            "CREATE TABLE jobs (cert text REFERENCES certificates ON DELETE RESTRICT)".into(),
            "is refused once rows refer to it by the key `jobs_cert_fkey` of jobs (cert, ON DELETE RESTRICT)",
        ),
        (
            "INSERT INTO certificates VALUES ('load-3'); CREATE TABLE jobs (cert text REFERENCES certificates); INSERT INTO jobs VALUES ('load-3')".into(),
            "1 row refers to it by the key `jobs_cert_fkey` of jobs (cert, ON DELETE NO ACTION)",
        ),
    ] {
        only(&found(&format!("{table} {sql}"), &certificates("x")).await, "P0905 warning", &[words]);
    }
    for sql in [
        format!("{function} 'BEGIN RAISE EXCEPTION ''no''; END'; CREATE TRIGGER t BEFORE DELETE ON certificates FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE certificates DISABLE TRIGGER t"),
        "CREATE TABLE jobs (cert text REFERENCES certificates); INSERT INTO certificates VALUES ('theirs'); INSERT INTO jobs VALUES ('theirs')".into(),
        "CREATE TABLE jobs (cert text REFERENCES certificates ON DELETE CASCADE); INSERT INTO certificates VALUES ('load-3'); INSERT INTO jobs VALUES ('load-3')".into(),
    ] {
        nothing(&found(&format!("{table} {sql}"), &certificates("x")).await);
    }
}

#[tokio::test]
async fn tables_that_the_plan_seeds_do_not_block_each_other() {
    let sql = "CREATE TABLE certificates (id text PRIMARY KEY, status text); \
        CREATE TABLE jobs (id int PRIMARY KEY, cert text REFERENCES certificates ON DELETE RESTRICT)";
    let jobs = fixture(
        "jobs",
        3,
        "id",
        vec![("id", value(json!("{{ n }}"))), ("cert", value(json!("load-{{ n }}")))],
    );
    let mut both = certificates("x").fixtures;
    both.push(jobs.fixture);
    nothing(&found(sql, &graph(both)).await);
}

#[tokio::test]
async fn a_role_that_may_only_read_is_enough_and_writes_nothing() {
    let (owner, url) = database().await;
    owner
        .batch_execute(
            "CREATE TABLE certificates (id text PRIMARY KEY, status text); \
             INSERT INTO certificates VALUES ('c', 'Active'), ('load-2', 'active'); \
             CREATE TABLE secrets (cert text REFERENCES certificates ON DELETE RESTRICT); \
             CREATE ROLE onlooker LOGIN PASSWORD 'x'; GRANT SELECT ON certificates TO onlooker; \
             ALTER ROLE onlooker SET default_transaction_read_only = on",
        )
        .await
        .unwrap();
    let state = "SELECT array_agg(xmin::text || ctid::text || id ORDER BY id) FROM certificates";
    let before = text(&owner, state).await;
    let (_, rest) = url.split_once('@').unwrap();
    let client = connect(&format!("postgresql://onlooker:x@{rest}")).await;
    let look = async |seeds| {
        let misfits = review(&client, &certificates("active"), &Inputs::new(), seeds).await.unwrap();
        misfits.iter().map(|m| format!("{} {m}", m.kind.code().id)).collect::<Vec<_>>()
    };
    let told = look(false).await;
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("P0904"), "{told:#?}");
    assert!(
        told[1].starts_with("P0900") && told[1].contains("the rows of secrets could not be looked at"),
        "{told:#?}"
    );
    assert!(told[2].starts_with("P0905") && told[2].contains("`secrets_cert_fkey`"), "{told:#?}");
    // The same role as the one that is to seed: what it may not do is told too.
    let told = look(true).await;
    for words in
        ["sessions of this database are read-only", "the role lacks INSERT, UPDATE", "the role lacks DELETE"]
    {
        assert!(told.iter().any(|line| line.contains(words)), "{words}: {told:#?}");
    }
    assert_eq!(before, text(&owner, state).await);
    assert_eq!(text(&owner, "SELECT nspname FROM pg_namespace WHERE nspname = 'planc'").await, "");
}

#[tokio::test]
async fn a_table_that_is_being_migrated_is_not_waited_for() {
    let (owner, url) = database().await;
    owner.batch_execute("CREATE TABLE certificates (id text PRIMARY KEY, status text)").await.unwrap();
    owner.batch_execute("BEGIN; LOCK TABLE certificates IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let client = connect(&url).await;
    let misfits = review(&client, &certificates("active"), &Inputs::new(), true).await.unwrap();
    let told: Vec<String> = misfits.iter().map(ToString::to_string).collect();
    only(&told, "fixture", &["could not be looked at", "lock timeout"]);
}
