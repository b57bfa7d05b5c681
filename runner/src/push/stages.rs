//! In which stage each scenario is, as far as the load has come.

use crate::evidence::{LoadRecord, StageOutcome, StageRecord};
use planc::graph::ExecutionGraph;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Scenarios that have begun and not ended, and their stages from 1.
pub(super) fn current(graph: &ExecutionGraph, record: &LoadRecord) -> Vec<(String, u32)> {
    let running = graph.scenarios.iter().filter_map(|scenario| {
        let of = record.scenarios.get(&scenario.name)?;
        of.began_us.filter(|_| of.ended_us == 0)?;
        let stage = stages(record, &scenario.name).last().map_or(1, |stage| stage.number);
        Some((scenario.name.clone(), stage))
    });
    running.collect()
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
    let mut tell = |name: &str, at_us: u64, text: String| {
        let time = begun_unix_ms + (at_us / 1_000) as i64;
        out.push(json!({ "time": time, "tags": ["planc", graph.plan, run_id, name], "text": text }));
    };
    for (name, record_) in &record.scenarios {
        let Some(began_us) = record_.began_us else { continue };
        let last = seen.entry(name.clone()).or_insert_with(|| {
            tell(name, began_us, format!("{name} begins"));
            0
        });
        for stage in stages(record, name).filter(|stage| stage.number > *last).collect::<Vec<_>>() {
            tell(name, stage.began_us, format!("{name}: stage {}, to {}", stage.number, stage.target));
            *last = stage.number;
        }
    }
    out
}

/// The stages of a scenario that have begun, in order.
fn stages<'r>(record: &'r LoadRecord, scenario: &'r str) -> impl Iterator<Item = &'r StageRecord> {
    let own = record.stages.iter().filter(move |stage| stage.scenario == scenario);
    own.filter(|stage| stage.outcome != StageOutcome::NotRun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_is_told_once_with_the_moment_of_its_beginning() {
        let graph = crate::testing::graph(Vec::new());
        let mut record = crate::testing::evidence(&graph).load.expect("load");
        let scenario = record.scenarios.get_mut("s").expect("the scenario");
        (scenario.began_us, scenario.ended_us) = (Some(1_000_000), 0);
        let stage = |number: u32, began_us| StageRecord {
            scenario: "s".into(),
            number,
            target: format!("{}0 VUs", number),
            began_us,
            held_us: None,
            ended_us: 0,
            outcome: StageOutcome::Running,
            dropped: 0,
            lines: Vec::new(),
        };
        let mut seen = BTreeMap::new();
        let mut texts = |record: &LoadRecord| -> Vec<(i64, String)> {
            let told = annotations(&graph, record, &mut seen, 5_000, "r");
            let text = |one: &Value| (one["time"].as_i64().unwrap(), one["text"].as_str().unwrap().into());
            told.iter().map(text).collect()
        };
        assert_eq!(texts(&record), [(6_000, "s begins".to_owned())]);
        assert_eq!(current(&graph, &record), [("s".to_owned(), 1)]);
        record.stages = vec![stage(1, 1_000_000), stage(2, 11_000_000)];
        // A stage that passed between two looks is told as well.
        let both = [(6_000, "s: stage 1, to 10 VUs".to_owned()), (16_000, "s: stage 2, to 20 VUs".into())];
        assert_eq!(texts(&record), both);
        assert_eq!(texts(&record), []);
        assert_eq!(current(&graph, &record), [("s".to_owned(), 2)]);
    }
}
