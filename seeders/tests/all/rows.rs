//! Row functions: golden values, independence, composition. No database.

use crate::build::*;
use crate::harness::BASE;
use planc::graph::*;
use planc::units::Fixed;
use proptest::prelude::*;
use seeders::{Inputs, RowSource};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

fn source(graph: &ExecutionGraph) -> RowSource {
    RowSource::new(graph, &graph.fixtures.last().unwrap().name, &Inputs::new(), BASE).unwrap()
}

fn every_generator(rows: u64) -> ExecutionGraph {
    let columns = vec![
        ("id", value(json!("ag-{{ n | pad(5) }}"))),
        ("label", value(json!("{{ id | upper }} of {{ rows }}"))),
        ("even", value(json!("{{ n % 2 == 0 }}"))),
        ("meta", value(json!({"n": "{{ n }}", "tags": ["a", "{{ id }}"]}))),
        ("os", weighted(&[("darwin", 10), ("linux", 80), ("windows", 10)])),
        ("score", Generator::Integer { from: -5, to: 5 }),
        ("price", Generator::Decimal { from: Fixed(0), to: Fixed(10_000_000) }),
        ("seen", before("{{ n }}s")),
        ("expires", Generator::AfterNow(template("30d"))),
        ("made", Generator::TimeWithin { from: Duration::ZERO, to: Duration::from_secs(3600), past: true }),
        ("key", Generator::Uuid),
        ("secret", Generator::Hex { length: 20 }),
        (
            "team",
            Generator::References { table: "teams".into(), column: "id".into(), value: slots(json!("t-1")) },
        ),
        ("owner", Generator::Fixture { fixture: "users".into(), column: "email".into(), random: false }),
        ("buddy", Generator::Fixture { fixture: "users".into(), column: "email".into(), random: true }),
        ("given", Generator::Record((1..=rows).map(|n| json!(n * 10)).collect())),
    ];
    let users = fixture("users", 3, "email", vec![("email", value(json!("u{{ n }}@example.test")))]);
    graph(vec![users.fixture, fixture("agents", rows, "id", columns).fixture])
}

#[test]
fn golden_row() {
    let row = source(&every_generator(10)).row(7).unwrap();
    let expected: BTreeMap<String, Json> = serde_json::from_str(include_str!("golden_row.json")).unwrap();
    assert_eq!(row, expected, "rows are for ever: {}", serde_json::to_string_pretty(&row).unwrap());
}

#[test]
fn any_row_alone_and_growth_changes_nothing() {
    let (small, large) = (source(&agents(10).alone()), source(&agents(1_000).alone()));
    for n in (1..=10).rev() {
        assert_eq!(small.row(n), large.row(n));
        for (column, value) in small.row(n).unwrap() {
            assert_eq!(small.value(n, &column), Ok(value));
        }
    }
    assert!(small.row(0).is_err() && small.row(11).is_err());
}

#[test]
fn an_alias_gives_the_same_rows_and_a_seed_others() {
    let mut graph = agents(20).alone();
    let rows: Vec<_> = (1..=20).map(|n| source(&graph).row(n).unwrap()).collect();
    graph.fixtures[0].name = "fleet".into();
    let aliased: Vec<_> = (1..=20).map(|n| source(&graph).row(n).unwrap()).collect();
    assert_eq!(rows, aliased);
    graph.seed = 43;
    let other: Vec<_> = (1..=20).map(|n| source(&graph).row(n).unwrap()).collect();
    assert_ne!(rows, other);
}

#[test]
fn circles_and_unknown_names_are_errors() {
    let circle =
        fixture("a", 1, "x", vec![("x", value(json!("{{ y }}!"))), ("y", value(json!("{{ x }}!")))]).alone();
    let error = RowSource::new(&circle, "a", &Inputs::new(), 0).unwrap_err();
    assert_eq!(error.message, "columns need each other in a circle");
    let unknown = fixture("a", 1, "x", vec![("x", value(json!("{{ zzz }}!")))]).alone();
    assert_eq!(
        source(&unknown).row(1).unwrap_err().to_string(),
        "fixture `a`, column `x`, row 1: `zzz` is not defined"
    );
    assert!(RowSource::new(&unknown, "b", &Inputs::new(), 0).is_err());
}

#[test]
fn inputs_and_secrets_are_seen() {
    let graph =
        fixture("a", 1, "x", vec![("x", value(json!("{{ inputs.key }}-{{ services.db.url }}")))]).alone();
    let inputs = Inputs::from([
        ("inputs.key".to_string(), json!("k")),
        ("services.db.url".to_string(), json!("postgres://x")),
    ]);
    let source = RowSource::new(&graph, "a", &inputs, 0).unwrap();
    assert_eq!(source.value(1, "x"), Ok(json!("k-postgres://x")));
}

#[test]
fn weights_hold() {
    let source = source(&agents(10_000).alone());
    let mut counts = BTreeMap::new();
    for n in 1..=10_000 {
        *counts.entry(source.value(n, "os").unwrap().as_str().unwrap().to_string()).or_insert(0u32) += 1;
    }
    assert!((7_800..8_200).contains(&counts["linux"]), "{counts:?}");
}

#[test]
fn the_content_hash_is_of_content() {
    let graph = agents(10).alone();
    let hash = |graph: &ExecutionGraph| seeders::content_hash(graph, &graph.fixtures[0], &Inputs::new());
    let first = hash(&graph);
    let mut alias = graph.clone();
    alias.fixtures[0].name = "fleet".into();
    alias.fixtures[0].about = "other words".into();
    alias.plan = "another plan".into();
    assert_eq!(hash(&alias), first);
    assert_ne!(hash(&agents(11).alone()), first);
    let mut seed = graph.clone();
    seed.seed = 1;
    assert_ne!(hash(&seed), first);
}

proptest! {
    #[test]
    fn uniform_draws_stay_in_range(from in any::<i64>(), to in any::<i64>(), n in 1u64..1_000) {
        let (from, to) = (from.min(to), from.max(to));
        let graph = fixture("a", 1_000, "x", vec![("x", Generator::Integer { from, to })]).alone();
        let drawn = source(&graph).value(n, "x").unwrap().as_i64().unwrap();
        prop_assert!((from..=to).contains(&drawn));
    }
}
