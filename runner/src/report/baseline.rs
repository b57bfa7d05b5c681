//! The plan's baseline beside what was measured: for a reader to compare, never to decide.

use super::metrics;
use crate::evidence::Evidence;
use crate::judge::{Unit, show};
use planc::graph::{Aggregate, Baseline, Bound};

/// Columns of a table.
pub(crate) const COLUMNS: [&str; 4] = ["figure", "baseline", "measured", ""];

/// All figures, as columns.
pub(crate) fn rows(evidence: &Evidence) -> Vec<[String; 4]> {
    evidence.graph.report.baseline.iter().map(|one| row(evidence, one)).collect()
}

/// For people at a terminal.
pub(crate) fn lines(evidence: &Evidence) -> Vec<String> {
    let rows = rows(evidence);
    let width = rows.iter().map(|row| row[0].chars().count()).max().unwrap_or(0);
    rows.iter()
        .map(|[figure, range, measured, word]| {
            format!(
                "{figure:<width$}  {measured}, baseline {range}{}{word}",
                if word.is_empty() { "" } else { ": " }
            )
        })
        .collect()
}

fn row(evidence: &Evidence, one: &Baseline) -> [String; 4] {
    let found = metrics::figure(evidence, &one.number.subject(), &stat(one.number.aggregate), None);
    let (measured, word) = match found {
        Ok(Some((value, unit))) => {
            let word = match (plain(one.low, unit), plain(one.high, unit)) {
                (low, _) if value < low => "below",
                (_, high) if value > high => "above",
                _ => "within",
            };
            (show(value, unit), word)
        }
        _ => ("–".to_owned(), "not measured"),
    };
    let range = match one.low == one.high {
        true => written(one.low),
        false => format!("{} – {}", written(one.low), written(one.high)),
    };
    [one.number.to_string(), range, measured, word.to_owned()]
}

/// The name of the figure in [`metrics::figure`].
fn stat(aggregate: Aggregate) -> String {
    match aggregate {
        Aggregate::Percentile(percent) => format!("p({percent})"),
        other => other.to_string(),
    }
}

fn plain(bound: Bound, unit: Unit) -> f64 {
    match bound {
        Bound::Duration(duration) => duration.as_nanos() as f64 / 1e3,
        Bound::Share(share) => share.as_f64(),
        Bound::Number(number) if unit == Unit::Time => number.as_f64() * 1e3,
        Bound::Number(number) => number.as_f64(),
    }
}

fn written(bound: Bound) -> String {
    match bound {
        Bound::Duration(duration) => planc::units::show_duration(duration),
        Bound::Share(share) => share.to_string(),
        Bound::Number(number) => number.to_string(),
    }
}
