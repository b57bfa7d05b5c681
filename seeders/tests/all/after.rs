//! Scripts and tables in the order that `after` says.

use crate::harness::*;
use seeders::{Action, Fixtures, Mode, apply, apply_with};

const TEXTS: [(&str, &str); 8] = [
    ("grants.yaml", "fixture: a_grants\nsql: grants.sql\nreset: ungrant.sql\nafter: [users, roles]\n"),
    ("grants.sql", "INSERT INTO grants SELECT u.id, r.id FROM users u, roles r;"),
    ("ungrant.sql", "DELETE FROM grants;"),
    ("roles.yaml", "fixture: roles\nsql: roles.sql\nreset: unroles.sql\nafter: schema\n"),
    ("roles.sql", "INSERT INTO roles VALUES ('admin'), ('guest');"),
    ("unroles.sql", "DELETE FROM roles;"),
    ("schema.yaml", "fixture: schema\nsql: schema.sql\nreset: unschema.sql\n"),
    (
        "users.yaml",
        "fixture: users\ntable: users\nrows: 10\nidentity: id\nafter: schema\ncolumns: { id: \"u-{{ n }}\" }\n",
    ),
];

const SCHEMA: [(&str, &str); 2] = [
    ("schema.sql", "INSERT INTO log VALUES ('schema');"),
    ("unschema.sql", "INSERT INTO log SELECT 'gone with ' || count(*) FROM users;"),
];

#[tokio::test]
async fn scripts_run_after_what_they_name_and_are_taken_back_before_it() {
    let sql = "CREATE TABLE users (id text PRIMARY KEY); CREATE TABLE roles (id text PRIMARY KEY); \
               CREATE TABLE grants (u text REFERENCES users, r text REFERENCES roles); CREATE TABLE log (what text)";
    let mut client = with(sql).await;
    let fixtures =
        Fixtures::compile(TEXTS.into_iter().chain(SCHEMA)).unwrap_or_else(|error| panic!("{error}"));
    let order: Vec<&str> = fixtures.graph().seeding_order().iter().map(|it| it.name.as_str()).collect();
    assert_eq!(order, ["schema", "roles", "users", "a_grants"]);
    apply(&mut client, &fixtures).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(number(&client, "SELECT count(*) FROM grants").await, 20);
    for receipt in apply(&mut client, &fixtures).await.unwrap() {
        assert_eq!(receipt.action, Action::NothingToDo, "{receipt:?}");
    }
    let reset = apply_with(&mut client, &fixtures, &mode(Mode::Reset), &mut |_| {}).await;
    let names: Vec<String> = reset.unwrap().into_iter().map(|receipt| receipt.name).collect();
    assert_eq!(names, ["a_grants", "users", "roles", "schema"]);
    assert_eq!(text(&client, "SELECT what FROM log ORDER BY what").await, "(\"gone with 0\"); (schema)");
}

#[tokio::test]
async fn where_a_fixture_stands_in_the_order_changes_none_of_its_rows() {
    let mut client = with("CREATE TABLE users (id text PRIMARY KEY); CREATE TABLE log (what text)").await;
    let of = |after: &str| {
        let users = format!(
            "fixture: users\ntable: users\nrows: 10\nidentity: id\n{after}columns: {{ id: \"u-{{{{ n }}}}\" }}\n"
        );
        let script = "fixture: schema\nsql: schema.sql\n".to_string();
        let texts = [("users.yaml", users), ("schema.yaml", script), ("schema.sql", SCHEMA[0].1.to_string())];
        Fixtures::compile(texts).unwrap_or_else(|error| panic!("{error}"))
    };
    apply(&mut client, &of("")).await.unwrap();
    let again = apply(&mut client, &of("after: [schema]\n")).await.unwrap();
    assert!(again.iter().all(|receipt| receipt.action == Action::NothingToDo), "{again:?}");
}

#[tokio::test]
async fn a_script_may_make_the_tables_of_fixtures_after_it() {
    let mut client = with("").await;
    let users = "fixture: a_users\ntable: users\nrows: 10\nidentity: id\ncolumns: { id: \"u-{{ n }}\" }\n";
    let texts = |script: &'static str| {
        let files = [
            ("users.yaml", users),
            ("z.yaml", "fixture: z_schema\nsql: schema.sql\n"),
            ("schema.sql", script),
        ];
        Fixtures::compile(files).unwrap_or_else(|error| panic!("{error}"))
    };
    let error = apply(&mut client, &texts("CREATE TABLE user (id int);")).await.unwrap_err();
    assert!(error.message.contains("syntax error"), "{error}");
    let wrong = apply(&mut client, &texts("CREATE TABLE others (id int);")).await.unwrap_err();
    assert!(wrong.to_string().contains("table `users` does not exist"), "{wrong}");
    let receipts = apply(&mut client, &texts("CREATE TABLE users (id text PRIMARY KEY);")).await;
    assert_eq!(receipts.unwrap_or_else(|error| panic!("{error}"))[1].inserted, 10);
    // Without a script nothing can make it.
    let alone = Fixtures::compile([("users.yaml", users.replace("users", "peers"))]).unwrap();
    let error = apply(&mut client, &alone).await.unwrap_err();
    assert!(error.to_string().contains("table `peers` does not exist"), "{error}");
}
