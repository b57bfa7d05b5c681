//! Template databases through the real runner: kept after seeding, cloned before the next run, never taken from others.

use tests::{Database, Out, binary, command, run};

fn databases(database: &Database) -> Vec<String> {
    database.column("select datname from pg_database where starts_with(datname, 'shop_test') order by 1")
}

fn seed(database: &Database, arguments: &[&str]) -> tests::Said {
    let out = Out::new();
    let mut seed = command("runner");
    seed.args(["seed", "--out", out.arg(), "--database-url", &database.url, "--template"]).args(arguments);
    run(&mut seed).expect_code(0)
}

#[test]
fn a_developers_database_is_kept_and_comes_back_as_it_was_seeded() {
    let database = Database::start("shop_test");
    let schema = std::fs::read_to_string(tests::root().join("fixtures/shop/schema.sql")).expect("a schema");
    database.execute(&schema);
    seed(&database, &["fixtures/shop"]).expect("5,000 inserted").expect("kept as `shop_test_planc_");
    assert_eq!(databases(&database).len(), 2);
    // Nobody handed the database over: it is seeded in place, and how to hand it over is told.
    let kept =
        seed(&database, &["fixtures/shop"]).expect("nothing to do").expect("was not made from a template");
    kept.expect("COMMENT ON DATABASE \"shop_test\" IS 'planc may drop this'").expect_without("kept as");
    database.execute("comment on database shop_test is 'planc may drop this'");
    database.execute("delete from orders; insert into products values ('mine', 'A row of my own', 1)");
    let cloned =
        seed(&database, &["fixtures/shop"]).expect("a clone of `shop_test_planc_").expect("nothing to do");
    cloned.expect_without("inserted").expect_without("kept as");
    assert_eq!(database.value("select count(*) from products where sku = 'mine'"), "0");
    assert_eq!(database.value("select count(*) from orders"), "5000");

    // A migration since then: the older clone would be a step back, so a new template is made.
    database.execute("alter table orders add note text");
    seed(&database, &["fixtures/shop"])
        .expect_without("the database is a clone")
        .expect("kept as `shop_test_planc_");
    seed(&database, &["fixtures/shop"]).expect("a clone of `shop_test_planc_");
    database.execute("select note from orders limit 1");

    // Somebody is connected: named, and seeded in place.
    let console = database.hold(&database.url);
    let said = seed(&database, &["fixtures/shop"]).expect("is in use by").expect("as postgres (process ");
    said.expect("nothing to do").expect_without("the database is a clone");
    drop(console);

    let swept = seed(&database, &["fixtures/shop/customers.yaml", "--prune"]);
    swept.expect("kept as `shop_test_planc_").expect("dropped `shop_test_planc_");
    assert_eq!(databases(&database).len(), 2);
}

#[test]
fn a_plan_begins_with_a_clone_and_its_services_are_up_again_after_one_is_made() {
    let prepare = |more: &[&str]| {
        let out = Out::new();
        let mut seed = command("runner");
        let server = format!("server={}", binary("proving-ground").display());
        seed.args(["seed", "tests/plans/template.yaml", "--out", out.arg(), "--set", &server]).args(more);
        run(&mut seed).expect_code(0)
    };
    prepare(&[])
        .expect("the database begins empty")
        .expect("300 inserted")
        .expect("kept as `clone_test_planc_");
    let again = prepare(&[]).expect("the database is a clone of `clone_test_planc_").expect("nothing to do");
    again.expect_without("inserted").expect_without("kept as");
    // Other fixtures: from empty again, and a template of their own.
    prepare(&["--set", "fleet=400", "--prune", "--template"])
        .expect("the database begins empty")
        .expect("400 inserted")
        .expect("dropped `clone_test_planc_");
}
