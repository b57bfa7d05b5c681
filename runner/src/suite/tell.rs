//! A suite for people and for programs: a line a plan, and a verdict for all.

use super::{Judged, Outcome, PlanEnd};
use crate::exit::Exit;
use crate::report::junit::escape;
use crate::report::terminal::{DIM, GREEN, RED, RESET, heading, word};
use planc::units::show_duration;
use serde_json::json;
use std::time::Duration;

/// For people at a terminal.
pub fn terminal(outcome: &Outcome) -> String {
    let mut out = heading(&format!("suite {}", outcome.suite));
    let width = outcome.plans.iter().map(|plan| plan.name.chars().count()).max().unwrap_or(0);
    for plan in &outcome.plans {
        let name = format!("{:<width$}", plan.name);
        out.push_str(&match &plan.end {
            PlanEnd::Judged(judged) => {
                let (mark, colour) = if judged.status == Exit::Pass { ("✓", GREEN) } else { ("✗", RED) };
                let time = show_duration(Duration::from_secs(judged.milliseconds / 1_000));
                let verdict = format!("{} (exit {})", word(judged.status), judged.exit);
                let cause = judged.causes.first().map(|cause| format!("  {}", cause.replace('\n', " ")));
                format!(
                    "  {colour}{mark}{RESET} {name}  {verdict}{}  {DIM}{time}{RESET}\n",
                    cause.unwrap_or_default()
                )
            }
            PlanEnd::Unchanged { why } => format!("  {DIM}–{RESET} {name}  skipped: {why}\n"),
            PlanEnd::Skipped { why } => format!("  {RED}–{RESET} {name}  skipped: {why}\n"),
        });
    }
    let status = outcome.status();
    let colour = if status == Exit::Pass { GREEN } else { RED };
    out.push_str(&format!(
        "\n{colour}{}{RESET}  suite {}, exit {}\n",
        said(outcome),
        outcome.suite,
        status.code()
    ));
    out
}

/// The verdict in a word, and what it leaves out.
fn said(outcome: &Outcome) -> String {
    let ends = || outcome.plans.iter().map(|plan| &plan.end);
    let judged = ends().filter(|end| matches!(end, PlanEnd::Judged(_))).count();
    let green = ends().filter(|end| matches!(end, PlanEnd::Judged(j) if j.status == Exit::Pass)).count();
    match (judged, outcome.status()) {
        (0, Exit::Pass) => "skipped".into(),
        (_, status) => format!("{}  {green} of {} plans passed", word(status), ends().count()),
    }
}

/// For programs.
pub fn json(outcome: &Outcome) -> String {
    let mut value = json!(outcome);
    value["status"] = json!(outcome.status());
    value["exit"] = json!(outcome.status().code());
    format!("{value:#}\n")
}

/// JUnit XML: a test suite a plan, its gates as cases.
pub fn junit(outcome: &Outcome) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str(&format!("<testsuites name=\"{}\">\n", escape(&outcome.suite)));
    for plan in &outcome.plans {
        let name = escape(&plan.name);
        let skipped = |why: &str, failed: bool| {
            let why = escape(why);
            let inner = match failed {
                true => format!("<failure message=\"skipped: {why}\"/>"),
                false => format!("<skipped message=\"{why}\"/>"),
            };
            let (failures, skipped) = (u8::from(failed), u8::from(!failed));
            format!(
                "  <testsuite name=\"{name}\" tests=\"1\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" \
                 time=\"0\">\n    <testcase classname=\"{name}\" name=\"verdict\">{inner}</testcase>\n  </testsuite>\n"
            )
        };
        match &plan.end {
            PlanEnd::Judged(Judged { junit, .. }) => out.push_str(junit),
            PlanEnd::Unchanged { why } => out.push_str(&skipped(why, false)),
            // A plan that should have run and did not is no green.
            PlanEnd::Skipped { why } => out.push_str(&skipped(why, true)),
        }
    }
    out.push_str("</testsuites>\n");
    out
}

/// Markdown: a table of the plans, then each plan's own report.
pub fn markdown(outcome: &Outcome) -> String {
    let status = outcome.status();
    let mark = if status == Exit::Pass { "✅" } else { "❌" };
    let mut out =
        format!("# {mark} suite `{}`: {} (exit {})\n\n", outcome.suite, said(outcome), status.code());
    out.push_str("| | plan | verdict | why |\n|-|-|-|-|\n");
    let cell = |text: &str| text.replace('\n', " ").replace('|', "\\|");
    for plan in &outcome.plans {
        let (mark, verdict, why) = match &plan.end {
            PlanEnd::Judged(judged) => {
                let mark = if judged.status == Exit::Pass { "✅" } else { "❌" };
                let why = judged.causes.first().cloned().unwrap_or_default();
                (mark, format!("{} (exit {})", word(judged.status), judged.exit), why)
            }
            PlanEnd::Unchanged { why } => ("⏭️", "skipped".into(), why.clone()),
            PlanEnd::Skipped { why } => ("❓", "skipped".into(), why.clone()),
        };
        out.push_str(&format!("| {mark} | `{}` | {verdict} | {} |\n", plan.name, cell(&why)));
    }
    for plan in &outcome.plans {
        if let PlanEnd::Judged(judged) = &plan.end {
            out.push_str(&format!("\n{}", judged.markdown));
        }
    }
    out
}
