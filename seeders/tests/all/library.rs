//! The crate as another program's library: files, inputs, order, errors.

use crate::harness::*;
use seeders::{
    Action, ErrorKind, FixtureError, FixtureOptions, Fixtures, Mode, SeedOptions, apply, apply_with,
};

const TABLES: &str = "CREATE TABLE teams (id text PRIMARY KEY, token text NOT NULL); \
    CREATE TABLE agents (id text PRIMARY KEY, team text NOT NULL REFERENCES teams (id))";

const TEAMS: &str = "fixture: teams
table: teams
rows: \"{{ inputs.teams }}\"
identity: id
columns:
  id: \"t-{{ n }}\"
  token: \"{{ inputs.pepper }}-{{ n }}\"
";

const AGENTS: &str = "fixture: agents
table: agents
rows: 30
identity: id
columns:
  id: \"a-{{ n }}\"
  team: { fixture: teams, column: id }
";

fn fleet() -> Fixtures {
    let options = FixtureOptions::default().input("teams", "6").secret("pepper", "hidden-value");
    options.compile([("b/agents.yaml", AGENTS), ("teams.yaml", TEAMS)]).unwrap_or_else(|e| panic!("{e}"))
}

#[tokio::test]
async fn parents_come_first_and_children_go_first() {
    let mut client = with(TABLES).await;
    let fixtures = fleet();
    let receipts = apply(&mut client, &fixtures).await.unwrap();
    let done: Vec<(&str, u64)> = receipts.iter().map(|r| (r.name.as_str(), r.inserted)).collect();
    assert_eq!(done, [("teams", 6), ("agents", 30)]);
    assert_eq!(text(&client, "SELECT token FROM teams WHERE id = 't-2'").await, "(hidden-value-2)");
    assert!(!text(&client, "SELECT * FROM planc.ledger").await.contains("hidden-value"));
    let drawn = fixtures.rows("agents", receipts[1].base_micros).unwrap().value(8, "team").unwrap();
    assert_eq!(
        text(&client, "SELECT team FROM agents WHERE id = 'a-8'").await,
        format!("({})", drawn.as_str().unwrap())
    );

    let again = apply(&mut client, &fixtures).await.unwrap();
    assert!(again.iter().all(|receipt| receipt.action == Action::NothingToDo), "{again:?}");
    let reset = SeedOptions { mode: Mode::Reset, ..SeedOptions::now() };
    let mut heard = 0;
    let gone = apply_with(&mut client, &fixtures, &reset, &mut |_| heard += 1).await.unwrap();
    let gone: Vec<(&str, u64)> = gone.iter().map(|r| (r.name.as_str(), r.deleted)).collect();
    assert_eq!(gone, [("agents", 30), ("teams", 6)]);
}

#[tokio::test]
async fn what_does_not_fit_is_told_of_all_fixtures_before_the_first_row() {
    let mut client = with("CREATE TABLE teams (id text PRIMARY KEY); CREATE TABLE agents (id text)").await;
    let error = apply(&mut client, &fleet()).await.unwrap_err();
    let ErrorKind::Misfit(misfits) = &error.kind else { panic!("{error}") };
    assert!(
        misfits.iter().any(|m| m.fixture == "teams") && misfits.iter().any(|m| m.fixture == "agents"),
        "{error}"
    );
    assert!(!error.to_string().contains("hidden-value"), "{error}");
    assert_eq!(number(&client, "SELECT count(*) FROM teams").await, 0);
}

#[tokio::test]
async fn accounts_are_refused_before_the_first_row() {
    let mut client = with(TABLES).await;
    let accounts = "fixture: users\nrows: 3\ncolumns: { name: \"u-{{ n }}\" }\ncreate: { post: \"http://127.0.0.1:9/u\" }\n";
    let options = FixtureOptions::default().input("teams", "6").secret("pepper", "hidden-value");
    let fixtures = options.compile([("teams.yaml", TEAMS), ("users.yaml", accounts)]).unwrap();
    let error = apply(&mut client, &fixtures).await.unwrap_err();
    assert!(error.message.contains("`users` makes accounts over HTTP"), "{error}");
    assert_eq!(number(&client, "SELECT count(*) FROM teams").await, 0);
}

#[test]
fn folders_are_read_to_the_bottom_and_errors_have_places() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let none = Fixtures::read(folder.path()).unwrap_err().to_string();
    assert!(none.starts_with("no fixture is in `"), "{none}");
    write("deep/er/agents.yaml", AGENTS);
    write("teams.yml", &TEAMS.replace("\"{{ inputs.teams }}\"", "4"));
    write("plan.yaml", "plan: storm\n");
    write(".hidden/agents.yaml", AGENTS);
    write("notes.txt", "fixture: no\n");
    let unset = Fixtures::read(folder.path()).unwrap_err();
    let FixtureError::Rejected(rendered) = &unset else { panic!("{unset}") };
    assert!(rendered.contains("undefined input `pepper`") && rendered.contains("teams.yml:7"), "{rendered}");
    let options = FixtureOptions::default().seed(7).secret("pepper", "p");
    assert!(!format!("{options:?}").contains("\"p\""), "{options:?}");
    let fixtures = options.read([folder.path()]).unwrap();
    let names: Vec<&str> = fixtures.graph().fixtures.iter().map(|f| f.name.as_str()).collect();
    assert_eq!((names, fixtures.graph().seed), (vec!["teams", "agents"], 7));

    let gone = Fixtures::read("no/such/folder").unwrap_err().to_string();
    assert!(gone.starts_with("cannot read `no/such/folder`"), "{gone}");
    let no_texts = Fixtures::compile([("a.yaml", "plan: a")]).unwrap_err().to_string();
    assert!(no_texts.starts_with("none of the texts is a fixture"), "{no_texts}");
}

/// The YAML of the README is a fixture without mistakes.
#[test]
fn the_fixtures_of_the_readme_compile() {
    let readme = include_str!("../../README.md");
    let blocks: Vec<&str> =
        readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let mut texts = vec![("readme.yaml", block)];
        if block.contains("after: [users, roles]") {
            texts.extend([("grants.sql", "SELECT 1"), ("ungrant.sql", "SELECT 1")]);
            texts.extend([
                ("users.yaml", "fixture: users\nsql: grants.sql"),
                ("roles.yaml", "fixture: roles\nsql: grants.sql"),
            ]);
        }
        let fixtures = Fixtures::compile(texts).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(fixtures.warnings(), "");
    }
}
