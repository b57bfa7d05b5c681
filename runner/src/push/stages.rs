//! In which stage each scenario is, from the time since its beginning.

use crate::evidence::{LoadRecord, StageOutcome, StageRecord};
use planc::graph::{Demand, ExecutionGraph, Scenario};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Scenarios that have begun and not ended, and their stages from 1.
pub(super) fn current(graph: &ExecutionGraph, record: &LoadRecord) -> Vec<(String, u32)> {
    let running = graph.scenarios.iter().filter_map(|scenario| {
        let of = record.scenarios.get(&scenario.name)?;
        of.began_us.filter(|_| of.ended_us == 0)?;
        let stage = played(record, &scenario.name).last().map_or(1, |stage| stage.number);
        Some((scenario.name.clone(), stage))
    });
    running.collect()
}

/// Stages of a scenario that have begun, in their order.
fn played<'r>(record: &'r LoadRecord, scenario: &str) -> impl Iterator<Item = &'r StageRecord> {
    let own = record.stages.iter().filter(move |stage| stage.scenario == scenario);
    own.filter(|stage| stage.outcome != StageOutcome::NotRun)
}

/// An annotation for each stage that began since the last call.
pub(super) fn annotations(
    graph: &ExecutionGraph,
    record: &LoadRecord,
    seen: &mut BTreeMap<String, u32>,
    begun_unix_ms: i64,
    run_id: &str,
) -> Vec<Value> {
    let mut out = Vec::new();
    for (name, stage) in current(graph, record) {
        let Some(scenario) = graph.scenarios.iter().find(|scenario| scenario.name == name) else { continue };
        let began = record.scenarios.get(&name).and_then(|of| of.began_us).unwrap_or(0);
        let last = seen.insert(name.clone(), stage).unwrap_or(0);
        let new = |number: &u32| (last + 1..=stage).contains(number);
        let played: Vec<(u32, u64)> = played(record, &name).map(|s| (s.number, s.began_us)).collect();
        // One stage alone has no record of its own.
        let played = if played.is_empty() { vec![(1, began)] } else { played };
        for (number, began_us) in played.into_iter().filter(|(number, _)| new(number)) {
            out.push(json!({
                "time": begun_unix_ms + (began_us / 1_000) as i64,
                "tags": ["planc", graph.plan, run_id, name],
                "text": format!("{name}: stage {number}{}", target(scenario, number)),
            }));
        }
    }
    out
}

/// `, to 2000 VUs`.
fn target(scenario: &Scenario, number: u32) -> String {
    let at = number as usize - 1;
    match &scenario.demand {
        Demand::Arrivals { pieces, .. } => pieces.get(at).map(|piece| format!(", to {}", piece.target)),
        Demand::Users { pieces, .. } => pieces.get(at).map(|piece| format!(", to {} VUs", piece.target)),
        Demand::Iterations { .. } => None,
    }
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use planc::graph::UserPiece;
    use std::time::Duration;

    #[test]
    fn each_stage_is_told_once_with_the_moment_of_its_beginning() {
        let mut graph = crate::testing::graph(Vec::new());
        let piece = |target| UserPiece { target, duration: Duration::from_secs(10), hold: None };
        graph.scenarios[0].demand = Demand::Users {
            start_vus: 0,
            pieces: vec![piece(5), piece(10), piece(10)],
            graceful_ramp_down: Duration::ZERO,
        };
        let mut record = crate::testing::evidence(&graph).load.expect("load");
        let scenario = record.scenarios.get_mut("s").expect("the scenario");
        (scenario.began_us, scenario.ended_us) = (Some(1_000_000), 0);
        let mut seen = BTreeMap::new();
        let begun = |number: u32| StageRecord {
            scenario: "s".into(),
            number,
            target: String::new(),
            began_us: 1_000_000 + u64::from(number - 1) * 10_000_000,
            held_us: None,
            ended_us: 0,
            outcome: StageOutcome::Running,
            dropped: 0,
            lines: Vec::new(),
        };
        let mut texts = |stages: u32| -> Vec<(i64, String)> {
            record.stages = (1..=stages).map(begun).collect();
            let told = annotations(&graph, &record, &mut seen, 5_000, "r");
            told.iter()
                .map(|one| (one["time"].as_i64().unwrap(), one["text"].as_str().unwrap().into()))
                .collect()
        };
        assert_eq!(texts(1), [(6_000, "s: stage 1, to 5 VUs".to_owned())]);
        assert_eq!(texts(1), []);
        // A stage that passed between two looks is told as well.
        assert_eq!(
            texts(3),
            [(16_000, "s: stage 2, to 10 VUs".to_owned()), (26_000, "s: stage 3, to 10 VUs".into())]
        );
    }
}
