//! The slowest requests by stage and step, with the trace ids under which the target's own tools know them.

use super::terminal::grouped;
use crate::evidence::{Evidence, Exemplar};
use crate::judge::{Unit, show};

/// Lines that people at a terminal read; the other reports have them all.
const LINES: usize = 8;

/// Columns of a table.
pub(crate) const COLUMNS: [&str; 6] = ["scenario", "stage", "step", "took", "answer", "trace id"];

/// All of them, as columns.
pub(crate) fn rows(evidence: &Evidence) -> Vec<[String; 6]> {
    let all = evidence.load.iter().flat_map(|load| &load.exemplars);
    let row = |one: &Exemplar| {
        [
            one.scenario.clone(),
            one.stage.map_or_else(|| "–".into(), |stage| stage.to_string()),
            one.name.clone(),
            took(one),
            answer(one),
            one.trace_id.clone(),
        ]
    };
    all.map(row).collect()
}

/// The slowest of each step over all stages, slowest first.
pub(crate) fn lines(evidence: &Evidence) -> Vec<String> {
    let all = evidence.load.as_ref().map_or(&[] as &[Exemplar], |load| &load.exemplars);
    let mut slowest: Vec<&Exemplar> = Vec::new();
    let mut by_time: Vec<&Exemplar> = all.iter().collect();
    by_time.sort_by_key(|one| std::cmp::Reverse(one.duration_us));
    for one in by_time {
        let failed = |one: &Exemplar| !matches!(one.outcome.as_str(), "ok" | "expected_error");
        if !slowest.iter().any(|known| known.step == one.step && failed(known) == failed(one)) {
            slowest.push(one);
        }
    }
    let mut out: Vec<String> = slowest
        .iter()
        .take(LINES)
        .map(|one| {
            let stage = one.stage.map(|stage| format!(", stage {stage}")).unwrap_or_default();
            format!("{}  {} {} ({}{stage})", one.trace_id, took(one), one.name, answer(one))
        })
        .collect();
    if all.len() > out.len() && !out.is_empty() {
        let left = (all.len() - out.len()) as u64;
        out.push(format!("{} more, by stage, in the other reports and in the evidence", grouped(left)));
    }
    out
}

fn took(one: &Exemplar) -> String {
    show(one.duration_us as f64, Unit::Time)
}

fn answer(one: &Exemplar) -> String {
    match one.status {
        0 => one.outcome.clone(),
        status => format!("{status} {}", one.outcome),
    }
}
