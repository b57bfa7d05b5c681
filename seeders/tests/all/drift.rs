//! What differs between fixture and table is told row by row.

use crate::build::*;
use crate::harness::*;
use planc::graph::{OnConflict, OpenInput};
use seeders::{Action, DRIFT_ROWS, Inputs, Mode, Receipt};
use serde_json::json;

fn lines(receipt: &Receipt) -> Vec<String> {
    receipt.drift.iter().flat_map(|drift| &drift.rows).map(ToString::to_string).collect()
}

#[tokio::test]
async fn verify_names_rows_columns_and_values() {
    let mut client = with(AGENTS).await;
    let graph = agents(100).alone();
    seed(&mut client, &graph).await;
    client
        .batch_execute(
            "UPDATE agents SET status = 'Lost', os = 'beos' WHERE id = 'ag-00003'; \
             DELETE FROM agents WHERE id = 'ag-00050'; ALTER TABLE agents ALTER hostname DROP NOT NULL; \
             UPDATE agents SET hostname = NULL WHERE id = 'ag-00099'; \
             UPDATE agents SET hits = 9, seen = now() WHERE id = 'ag-00098'",
        )
        .await
        .unwrap();
    let state = text(&client, "SELECT count(*), max(xmin::text::bigint) FROM agents").await;
    let receipt = seed_with(&mut client, &graph, &mode(Mode::Verify)).await.unwrap();
    let expected = seeders::RowSource::new(&graph, "agents", &Inputs::new(), BASE).unwrap();
    let os = expected.value(3, "os").unwrap();
    assert_eq!(
        lines(&receipt),
        [
            format!(
                "`ag-00003` (row 3): os is `beos`, not `{}`; status is `Lost`, not `Online`",
                os.as_str().unwrap()
            ),
            "`ag-00050` (row 50) is missing".into(),
            "`ag-00099` (row 99): hostname is NULL, not `ag-00099.fleet.example.test`".into(),
        ]
    );
    let drift = receipt.drift.unwrap();
    assert_eq!((drift.missing, drift.changed, drift.extra, drift.mended), (1, 2, 0, false));
    assert_eq!((receipt.action, receipt.unchanged), (Action::Drift, 97));
    assert!(receipt.notes.contains(&"1 row missing, 2 rows changed".to_string()), "{:?}", receipt.notes);
    assert_eq!(state, text(&client, "SELECT count(*), max(xmin::text::bigint) FROM agents").await);
}

#[tokio::test]
async fn refresh_tells_what_it_mended() {
    let mut client = with(AGENTS).await;
    let graph = agents(100).alone();
    assert_eq!(seed(&mut client, &graph).await.drift, None);
    client
        .batch_execute("UPDATE agents SET status = 'Lost' WHERE id = 'ag-00003'; DELETE FROM agents WHERE id = 'ag-00050'")
        .await
        .unwrap();
    let receipt = seed(&mut client, &graph).await;
    assert_eq!((receipt.action, counts(&receipt)), (Action::Refreshed, [1, 1, 0, 0, 0, 98]));
    assert_eq!(
        lines(&receipt),
        ["`ag-00003` (row 3): status is `Lost`, not `Online`", "`ag-00050` (row 50) is missing"]
    );
    assert!(receipt.drift.unwrap().mended);
    assert_eq!(seed(&mut client, &graph).await.drift, None);
    // What the fixture's own change brings is no drift of the table.
    assert_eq!(seed(&mut client, &agents(120).alone()).await.drift, None);
    client.batch_execute("TRUNCATE agents").await.unwrap();
    let drift = seed(&mut client, &agents(120).alone()).await.drift.unwrap();
    assert_eq!((drift.missing, drift.mended, drift.untold()), (120, true, 120));
}

#[tokio::test]
async fn a_few_are_told_and_all_are_counted() {
    let mut client = with(AGENTS).await;
    let graph = agents(500).alone();
    seed(&mut client, &graph).await;
    client.batch_execute("UPDATE agents SET status = 'Lost' WHERE id > 'ag-00100'").await.unwrap();
    let receipt = seed_with(&mut client, &graph, &mode(Mode::Verify)).await.unwrap();
    let drift = receipt.drift.unwrap();
    assert_eq!((drift.changed, drift.rows.len(), drift.untold()), (400, DRIFT_ROWS, 380));
    assert_eq!((drift.rows[0].row, drift.rows[19].row), (101, 120));
}

#[tokio::test]
async fn rows_of_an_earlier_definition_are_extra() {
    let mut client = with(AGENTS).await;
    seed(&mut client, &agents(10).alone()).await;
    client.batch_execute("INSERT INTO agents VALUES ('theirs', 'h', 's', 'o')").await.unwrap();
    for (policy, action) in [(OnConflict::Refresh, Action::Verified), (OnConflict::Exact, Action::Drift)] {
        let graph = agents(8).policy(policy).alone();
        let receipt = seed_with(&mut client, &graph, &mode(Mode::Verify)).await.unwrap();
        assert_eq!(
            lines(&receipt),
            [
                "`ag-00009` is there, and the fixture no longer has it",
                "`ag-00010` is there, and the fixture no longer has it"
            ]
        );
        assert_eq!((receipt.action, receipt.drift.unwrap().extra), (action, 2), "{policy:?}");
    }
    // Under `refresh` they stay and are remembered.
    let refresh = agents(8).alone();
    seed(&mut client, &refresh).await;
    let receipt = seed_with(&mut client, &refresh, &mode(Mode::Verify)).await.unwrap();
    assert_eq!((receipt.action, receipt.drift.unwrap().extra), (Action::Verified, 2));
    let exact = agents(8).policy(OnConflict::Exact).alone();
    assert_eq!(seed(&mut client, &exact).await.deleted, 2);
    let receipt = seed_with(&mut client, &exact, &mode(Mode::Verify)).await.unwrap();
    assert_eq!((receipt.action, receipt.drift), (Action::Verified, None));
}

#[tokio::test]
async fn under_keep_only_what_stays_different_is_told() {
    let mut client = with(AGENTS).await;
    let graph = agents(5).policy(OnConflict::Keep).alone();
    seed(&mut client, &graph).await;
    client
        .batch_execute(
            "UPDATE agents SET status = 'x' WHERE id = 'ag-00004'; DELETE FROM agents WHERE id = 'ag-00005'",
        )
        .await
        .unwrap();
    let receipt = seed(&mut client, &graph).await;
    assert_eq!((receipt.action, receipt.inserted), (Action::Drift, 1));
    assert_eq!(lines(&receipt), ["`ag-00004` (row 4): status is `x`, not `Online`"]);
    let drift = receipt.drift.unwrap();
    assert_eq!((drift.missing, drift.changed, drift.mended), (0, 1, false));
}

#[tokio::test]
async fn keys_of_several_columns_and_types_without_equality() {
    let mut client =
        with("CREATE TABLE t (a int, b text, doc json, at point, n numeric, PRIMARY KEY (a, b))").await;
    let columns = vec![
        ("a", value(json!("{{ n }}"))),
        ("b", value(json!("b-{{ n }}"))),
        ("doc", value(json!({"k": "{{ n }}"}))),
        ("at", value(json!("(1,2)"))),
        ("n", value(json!("1.50"))),
    ];
    let graph = fixture("t", 3, "a b", columns).alone();
    seed(&mut client, &graph).await;
    client
        .batch_execute("UPDATE t SET at = '(3,4)', n = 1.5 WHERE a = 2; UPDATE t SET doc = '{}' WHERE a = 3")
        .await
        .unwrap();
    let receipt = seed_with(&mut client, &graph, &mode(Mode::Verify)).await.unwrap();
    let lines = lines(&receipt);
    assert_eq!(lines[0], "`2, b-2` (row 2): at is `(3,4)`, not `(1,2)`", "1.5 is 1.50");
    assert!(lines[1].starts_with("`3, b-3` (row 3): doc is `{}`, not `{"), "{lines:?}");
}

#[tokio::test]
async fn values_are_masked_and_cut() {
    let mut graph = fixture(
        "t",
        2,
        "k",
        vec![("k", value(json!("{{ n }}"))), ("token", value(json!("t-{{ inputs.key }}-{{ n }}")))],
    )
    .alone();
    graph.open_inputs.insert("key".into(), OpenInput { secret: true, env: None, default: None });
    let mut client = with("CREATE TABLE t (k int PRIMARY KEY, token text)").await;
    let inputs = Inputs::from([("inputs.key".to_string(), json!("hunter2"))]);
    let fixture = &graph.fixtures[0];
    seeders::seed(&mut client, &graph, fixture, &inputs, &options(), &mut |_| {}).await.unwrap();
    client
        .batch_execute("UPDATE t SET token = repeat('ä', 119) || 'hunter2' WHERE k = 1; UPDATE t SET token = repeat('x', 5000) WHERE k = 2")
        .await
        .unwrap();
    let verify = mode(Mode::Verify);
    let receipt = seeders::seed(&mut client, &graph, fixture, &inputs, &verify, &mut |_| {}).await.unwrap();
    let told = lines(&receipt);
    assert_eq!(told[0], format!("`1` (row 1): token is `{}•…`, not `t-•••-1`", "ä".repeat(119)));
    assert_eq!(told[1], format!("`2` (row 2): token is `{}…`, not `t-•••-2`", "x".repeat(120)));
}
