//! Running again: base times, freshness, two at once, trust.

use crate::build::*;
use crate::harness::*;
use planc::graph::Generator;
use seeders::{Action, Inputs, RowSource, SeedOptions};
use serde_json::json;

#[tokio::test]
async fn stale_heartbeats_are_moved_by_one_update() {
    let mut client = with(AGENTS).await;
    let graph = agents(200).alone();
    let first = seed(&mut client, &graph).await;
    let receipt = seed_with(&mut client, &graph, &at(3_600)).await.unwrap();
    assert_eq!((receipt.action, counts(&receipt)), (Action::Rebased, [0, 0, 0, 0, 200, 200]));
    assert!(receipt.notes[0].contains("`seen` is older than 1m"), "{:?}", receipt.notes);
    assert_eq!(receipt.base_micros, first.base_micros + 3_600_000_000);
    let oldest = "SELECT (extract(epoch FROM min(seen)) * 1000000)::bigint FROM agents";
    assert_eq!(number(&client, oldest).await, receipt.base_micros - 59_000_000);
    let again = seed_with(&mut client, &graph, &at(3_600)).await.unwrap();
    assert_eq!((again.action, again.base_micros), (Action::NothingToDo, receipt.base_micros));
    // What a scenario draws is what the table holds.
    let rows = RowSource::new(&graph, "agents", &Inputs::new(), again.base_micros).unwrap();
    let drawn = rows.value(7, "seen").unwrap();
    let stored = text(&client, "SELECT to_char(seen AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM agents WHERE id = 'ag-00007'").await;
    assert_eq!(stored, format!("({})", drawn.as_str().unwrap()));
}

#[tokio::test]
async fn what_the_load_freshened_is_left_alone() {
    let mut client = with(AGENTS).await;
    let graph = agents(50).alone();
    seed(&mut client, &graph).await;
    client
        .batch_execute("UPDATE agents SET seen = to_timestamp(1795266627 + 3590), hits = hits + 1")
        .await
        .unwrap();
    let receipt = seed_with(&mut client, &graph, &at(3_600)).await.unwrap();
    assert_eq!((receipt.action, receipt.base_micros), (Action::NothingToDo, BASE));
}

#[tokio::test]
async fn times_of_a_domain_are_times() {
    let table = AGENTS.replace("seen timestamptz", "seen moment");
    let mut client =
        with(&format!("CREATE DOMAIN instant AS timestamptz; CREATE DOMAIN moment AS instant; {table}"))
            .await;
    let graph = agents(50).alone();
    seed(&mut client, &graph).await;
    client.batch_execute("UPDATE agents SET seen = to_timestamp(1795266627 + 3590)").await.unwrap();
    for trust_ledger in [false, true] {
        let later = SeedOptions { trust_ledger, ..at(3_600) };
        let receipt = seed_with(&mut client, &graph, &later).await.unwrap();
        assert_eq!((receipt.action, receipt.base_micros), (Action::NothingToDo, BASE));
    }
    let receipt = seed_with(&mut client, &graph, &at(3_700)).await.unwrap();
    assert_eq!((receipt.action, receipt.rebased), (Action::Rebased, 50));
}

#[tokio::test]
async fn times_without_fresh_within_stay() {
    let mut client = with("CREATE TABLE certs (id int PRIMARY KEY, expires timestamptz)").await;
    let graph = fixture(
        "certs",
        10,
        "id",
        vec![("id", value(json!("{{ n }}"))), ("expires", Generator::AfterNow(template("30d")))],
    )
    .alone();
    seed(&mut client, &graph).await;
    let again = seed_with(&mut client, &graph, &at(86_400)).await.unwrap();
    assert_eq!((again.action, again.base_micros), (Action::NothingToDo, BASE));
    let changed = fixture(
        "certs",
        10,
        "id",
        vec![("id", value(json!("{{ n }}"))), ("expires", Generator::AfterNow(template("60d")))],
    )
    .alone();
    let receipt = seed_with(&mut client, &changed, &at(86_400)).await.unwrap();
    assert_eq!(
        (receipt.action, receipt.updated, receipt.base_micros),
        (Action::Refreshed, 10, BASE + 86_400_000_000)
    );
}

#[tokio::test]
async fn growth_keeps_the_base_and_then_freshens() {
    let mut client = with(AGENTS).await;
    seed(&mut client, &agents(100).alone()).await;
    let receipt = seed_with(&mut client, &agents(110).alone(), &at(600)).await.unwrap();
    assert_eq!(counts(&receipt), [10, 0, 0, 0, 110, 100]);
    assert_eq!(receipt.base_micros, BASE + 600_000_000);
    assert_eq!(
        seed_with(&mut client, &agents(110).alone(), &at(600)).await.unwrap().action,
        Action::NothingToDo
    );
}

#[tokio::test]
async fn foreign_rows_do_not_disturb() {
    let mut client = with(AGENTS).await;
    client
        .batch_execute("INSERT INTO agents SELECT 'x' || i, 'h', 's', 'o' FROM generate_series(1, 500) i")
        .await
        .unwrap();
    let graph = agents(100).alone();
    assert_eq!(counts(&seed(&mut client, &graph).await), [100, 0, 0, 0, 0, 0]);
    assert_eq!(seed(&mut client, &graph).await.action, Action::NothingToDo);
    client.batch_execute("UPDATE agents SET os = 'y' WHERE id = 'x7'").await.unwrap();
    assert_eq!(seed(&mut client, &graph).await.action, Action::NothingToDo);
    client.batch_execute("DELETE FROM agents WHERE id = 'ag-00007'").await.unwrap();
    assert_eq!(counts(&seed(&mut client, &graph).await), [1, 0, 0, 0, 0, 99]);
}

#[tokio::test]
async fn a_trusted_ledger_is_not_checked() {
    let mut client = with(AGENTS).await;
    let graph = agents(30).alone();
    seed(&mut client, &graph).await;
    client.batch_execute("DELETE FROM agents WHERE id = 'ag-00001'").await.unwrap();
    let trusting = SeedOptions { trust_ledger: true, ..options() };
    assert_eq!(seed_with(&mut client, &graph, &trusting).await.unwrap().action, Action::NothingToDo);
    assert_eq!(counts(&seed(&mut client, &graph).await), [1, 0, 0, 0, 0, 29]);
}

#[tokio::test]
async fn a_truncated_table_is_seeded_anew() {
    let mut client = with(AGENTS).await;
    let graph = agents(30).alone();
    seed(&mut client, &graph).await;
    client.batch_execute("TRUNCATE agents").await.unwrap();
    let receipt = seed_with(&mut client, &graph, &at(100)).await.unwrap();
    assert_eq!(
        (receipt.action, receipt.inserted, receipt.base_micros),
        (Action::Refreshed, 30, BASE + 100_000_000)
    );
}

#[tokio::test]
async fn two_at_once_one_works_and_one_waits() {
    let (mut first, url) = database().await;
    first.batch_execute(AGENTS).await.unwrap();
    let mut second = connect(&url).await;
    let graph = agents(20_000).alone();
    let options = options();
    let (a, b) =
        tokio::join!(seed_with(&mut first, &graph, &options), seed_with(&mut second, &graph, &options),);
    let (a, b) = (a.unwrap(), b.unwrap());
    let mut actions = [a.action, b.action];
    actions.sort_by_key(|action| *action != Action::Inserted);
    assert_eq!(actions, [Action::Inserted, Action::NothingToDo]);
    let waited = if a.action == Action::NothingToDo { &a } else { &b };
    assert!(waited.notes.iter().any(|note| note.starts_with("waited")), "{:?}", waited.notes);
}

#[tokio::test]
async fn no_op_and_cold_seed_are_fast() {
    let mut client = with(AGENTS).await;
    let graph = agents(10_000).alone();
    let cold = seed(&mut client, &graph).await;
    let again = seed(&mut client, &graph).await;
    println!("10,000 rows: cold {} ms, again {} ms", cold.milliseconds, again.milliseconds);
    assert_eq!(again.action, Action::NothingToDo);
    assert!(again.milliseconds < 500, "{again:?}");
}
