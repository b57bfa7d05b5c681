//! `runner seed` as a developer's daily tool: folders, order, what it says before it does anything, wrong input.

use tests::{Database, Out, command, run, runner};

/// The shop's database with its tables, empty.
fn shop(name: &str) -> Database {
    let database = Database::start(name);
    let schema = std::fs::read_to_string(tests::root().join("fixtures/shop/schema.sql")).expect("a schema");
    database.execute(&schema);
    database
}

fn seed(database: &Database, arguments: &[&str]) -> tests::Said {
    let out = Out::new();
    let mut seed = command("runner");
    seed.args(["seed", "--out", out.arg(), "--database-url", &database.url]).args(arguments);
    run(&mut seed)
}

fn counts(database: &Database) -> Vec<String> {
    let count = |table: &str| database.value(&format!("select count(*) from {table}"));
    ["customers", "products", "orders"].into_iter().map(count).collect()
}

#[test]
fn a_folder_is_seeded_parents_first_and_again_and_away() {
    let database = shop("shop_test");
    let said = seed(&database, &["fixtures/shop"]).expect_code(0);
    let order: Vec<Option<usize>> = ["customers  1,000", "catalogue  200", "orders  5,000"]
        .iter()
        .map(|line| said.out.find(line))
        .collect();
    assert!(order.iter().all(Option::is_some) && order[0] < order[2] && order[1] < order[2], "{}", said.out);
    assert_eq!(counts(&database), ["1000", "200", "5000"]);
    seed(&database, &["fixtures/shop"]).expect_code(0).expect("nothing to do").expect_without("inserted");
    seed(&database, &["fixtures/shop", "--verify"]).expect_code(0).expect("verified");
    database.execute(
        "update customers set tier = case tier when 'pro' then 'free' else 'pro' end where id = 'cu-00007'; \
         delete from orders where id = 9",
    );
    // All that differs is told, not the first of it.
    seed(&database, &["fixtures/shop", "--verify"]).expect_code(114).expect("cu-00007").expect("✗ orders");
    seed(&database, &["fixtures/shop"]).expect_code(0);
    assert_eq!(counts(&database), ["1000", "200", "5000"]);
    seed(&database, &["fixtures/shop", "--reset"]).expect_code(0).expect("5,000 deleted");
    assert_eq!(counts(&database), ["0", "0", "0"]);
}

#[test]
fn files_named_one_by_one_are_one_graph() {
    let database = shop("shop_test");
    // The child comes first on the command line; its parents are in the other files.
    let files =
        ["orders", "catalogue", "customers", "orders"].map(|name| format!("fixtures/shop/{name}.yaml"));
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    seed(&database, &files).expect_code(0);
    assert_eq!(counts(&database), ["1000", "200", "5000"]);
}

#[test]
fn what_there_is_and_what_would_be_done_is_told_without_a_database() {
    let list = runner(&["seed", "fixtures/shop", "--list"]).expect_code(0);
    assert_eq!(
        list.out.lines().next(),
        Some("  catalogue  200 rows of `products`     fixtures/shop/catalogue.yaml  What the shop sells.")
    );
    let dry = runner(&["seed", "fixtures/shop", "--dry-run"]).expect_code(0);
    dry.expect("database: none named")
        .expect("after catalogue, customers")
        .expect("3 fixtures, 6,200 rows; nothing was read from a database or written");
    // A password stays out, and what would be refused is told as such.
    let url = "postgresql://me:hidden-word@db.example.com/shop";
    let refused = runner(&["seed", "fixtures/shop", "--dry-run", "--database-url", url]).expect_code(113);
    refused
        .expect("`db.example.com` is neither local")
        .expect("`shop` is not `*_test`")
        .expect_without("hidden-word");
    // Accounts need a service; a folder is seeded without them, and that is said.
    let all = runner(&["seed", "fixtures", "--dry-run"]).expect_code(0);
    all.expect("left out: `chat-users`, `ebit-users`").expect("certificates").expect("tracks");
}

#[test]
fn wrong_input_is_told_with_what_to_do() {
    runner(&["seed", "fixtures/shop"])
        .expect_code(2)
        .expect("no database is named")
        .expect("--database-url postgresql://");
    runner(&["seed", "no/such/folder"]).expect_code(2).expect("cannot read `no/such/folder`");
    runner(&["seed", "plans/chat"])
        .expect_code(2)
        .expect("no fixture is in `plans/chat`")
        .expect("runner seed plans/chat/");
    runner(&["seed", "fixtures/chat"])
        .expect_code(2)
        .expect("accounts that a service makes")
        .expect("runner seed PLAN");
    runner(&["seed", "fixtures/chat/users.yaml"])
        .expect_code(2)
        .expect("makes accounts over HTTP")
        .expect("runner seed PLAN");
    let away = ["seed", "fixtures/shop", "--database-url", "postgresql://127.0.0.1:1/shop_test"];
    runner(&away).expect_code(114).expect("cannot be reached").expect("is the server running");
    let twice = Out::new();
    for name in ["a.yaml", "b/c.yaml"] {
        let file = twice.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::copy(tests::root().join("fixtures/shop/catalogue.yaml"), file).expect("a copy");
    }
    runner(&["seed", twice.arg(), "--dry-run"]).expect_code(104).expect("two fixtures are named `catalogue`");
}

#[test]
fn inputs_of_fixture_files_come_from_the_command_line() {
    let database = Database::start("vault_test");
    database.execute("create table vault (id int primary key, token text not null)");
    let folder = Out::new();
    let text = "fixture: vault\ntable: vault\nrows: \"{{ inputs.keys }}\"\nidentity: id\ncolumns:\n  id: \"{{ n }}\"\n  \
        token: \"{{ inputs.pepper }}-{{ n }}\"\n";
    std::fs::write(folder.path().join("vault.yaml"), text).expect("a file");
    let arguments = [folder.arg(), "--set", "keys=4", "--secret", "pepper=PEPPER"];
    seed(&database, &arguments).expect_code(2).expect("the variable `PEPPER` is not set");
    let out = Out::new();
    let mut seed = command("runner");
    seed.args(["seed", "--out", out.arg(), "--database-url", &database.url]).args(arguments);
    run(seed.env("PEPPER", "hidden-word")).expect_code(0).expect("4 inserted").expect_without("hidden-word");
    assert_eq!(database.value("select token from vault where id = 3"), "hidden-word-3");
    assert_eq!(
        database.value("select count(*) from planc.ledger where definition::text like '%hidden-word%'"),
        "0"
    );
    runner(&["seed", folder.arg(), "--dry-run"])
        .expect_code(104)
        .expect("undefined input `keys`")
        .expect("--set keys=");
}
