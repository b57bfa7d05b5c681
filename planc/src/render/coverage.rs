//! Gate coverage as a table: steps by what could fail for them.

use super::Findings;
use crate::coverage::{Coverage, StepCoverage};
use crate::units::PartsPerMillion;

const BOLD: &str = "\u{1b}[1m";
const RED: &str = "\u{1b}[31m";
const RESET: &str = "\u{1b}[0m";

/// The tables of all plans.
pub(super) fn table(findings: &Findings, color: bool) -> String {
    let mut out = String::new();
    for (plan, parts) in &findings.coverage {
        for part in parts.iter().filter(|part| !part.steps.is_empty()) {
            out.push_str(&one(plan, part, color));
            out.push('\n');
        }
    }
    out
}

fn one(plan: &str, coverage: &Coverage, color: bool) -> String {
    let paint = |style: &str, text: &str| match color {
        true => format!("{style}{text}{RESET}"),
        false => text.to_string(),
    };
    let mut rows = vec![["scenario", "step", "latency", "errors", "expectations"].map(String::from)];
    rows.extend(coverage.steps.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let profiles = match coverage.profiles.as_slice() {
        [] => String::new(),
        profiles => format!(" (in {})", profiles.join(", ")),
    };
    let mut out = format!("{}\n", paint(BOLD, &format!("gate coverage of {plan}{profiles}")));
    for (at, row) in rows.iter().enumerate() {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let painted = if at > 0 && cell == NONE { paint(RED, cell) } else { cell.clone() };
            // Nothing follows the last column.
            let width = if column + 1 < row.len() { widths[column] + 1 } else { 0 };
            let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
            line.push_str(&format!(" {painted}{gap}"));
        }
        out.push_str(&line);
        out.push('\n');
    }
    let (covered, all) =
        coverage.steps.iter().map(StepCoverage::cells).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    out.push_str(&format!("  {} ({covered} of {all})\n", percent(coverage.share())));
    out
}

/// What stands in a cell that nothing covers.
const NONE: &str = "none";

fn row(step: &StepCoverage) -> [String; 5] {
    let gates = |gates: &[String]| match (gates, step.smoke) {
        (_, true) => "smoke".to_string(),
        ([], _) => NONE.to_string(),
        ([only], _) => condition(only),
        ([first, rest @ ..], _) => format!("{} +{}", condition(first), rest.len()),
    };
    let expectations = match step.expectations.as_slice() {
        [] => NONE.to_string(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} +{}", rest.len()),
    };
    [step.scenario.clone(), step.step.clone(), gates(&step.latency), gates(&step.errors), expectations]
}

/// The condition of `metric{selector} condition`.
fn condition(gate: &str) -> String {
    let after = match gate.split_once('}') {
        Some((_, condition)) => condition,
        None => gate.split_once(' ').map_or(gate, |(_, condition)| condition),
    };
    after.trim().to_string()
}

/// Whole percents, rounded down: 99.9 % is not everything.
fn percent(share: PartsPerMillion) -> String {
    format!("{}%", share.0 / 10_000)
}
