//! Markdown for a pull request comment: verdict and causes first, then the gates, then the rest folded.

use super::metrics::{self, TREND_STATS};
use super::terminal::{STAGE_COLUMNS, stage_cells, sums, word};
use super::{baseline, traces};
use crate::evidence::Evidence;
use crate::judge::{GateState, Verdict};

/// The report as Markdown.
pub(crate) fn render(evidence: &Evidence, verdict: &Verdict) -> String {
    let graph = &evidence.graph;
    let mut out = format!(
        "## {} `{}` ({}): {} (exit {})\n\n",
        if verdict.exit == 0 { "✅" } else { "❌" },
        graph.plan,
        graph.profile,
        word(verdict.status),
        verdict.exit
    );
    for cause in &verdict.causes {
        out.push_str(&format!("- {}\n", cause.text.replace('\n', " ")));
    }
    for over in &evidence.overrides {
        out.push_str(&format!("- ⚠️ guard **{}** was overridden: {}\n", over.guard, over.reason));
    }
    if !verdict.gates.is_empty() {
        out.push_str("\n| | gate | bound | value | samples | 95% interval | margin |\n|-|-|-|-:|-:|-|-:|\n");
    }
    for gate in &verdict.gates {
        let mark = match gate.state {
            GateState::Pass => "✅",
            GateState::Fail => "❌",
            GateState::Skipped => "⏭️",
            _ => "❓",
        };
        let level = if gate.advisory { " (advisory)" } else { "" };
        let noise = if gate.within_noise { " within noise" } else { "" };
        let margin = gate.margin_percent.map(|margin| format!("{:.0}%", margin.0)).unwrap_or_default();
        out.push_str(&format!(
            "| {mark} | `{}`{level}{} | `{}` | {} | {} | {}{noise} | {margin} |\n",
            gate.subject().replace('|', "\\|"),
            gate.note.as_ref().map(|note| format!("<br>{}", note.replace('|', "\\|"))).unwrap_or_default(),
            gate.text,
            gate.value_text,
            gate.samples,
            gate.interval_text,
        ));
    }
    if !verdict.stages.is_empty() {
        out.push_str(&format!(
            "\n| {} |\n{}|\n",
            STAGE_COLUMNS.join(" | "),
            "|-".repeat(STAGE_COLUMNS.len())
        ));
    }
    for row in &verdict.stages {
        out.push_str(&format!("| {} |\n", stage_cells(row).map(|cell| cell.replace('|', "\\|")).join(" | ")));
    }
    for ceiling in &verdict.ceilings {
        out.push_str(&format!("\n{ceiling}\n"));
    }
    let rows = metrics::rows(evidence);
    if !rows.is_empty() {
        out.push_str("\n<details><summary>Metrics</summary>\n\n| metric |");
        TREND_STATS.iter().for_each(|name| out.push_str(&format!(" {name} |")));
        out.push_str(&format!("\n|-|{}\n", "-:|".repeat(TREND_STATS.len())));
        for row in rows {
            out.push_str(&format!("| `{}` |", row.subject.replace('|', "\\|")));
            if row.is_trend() {
                TREND_STATS.iter().for_each(|name| out.push_str(&format!(" {} |", row.text(name))));
            } else {
                out.push_str(&format!(" {} |{}", row.line(), " |".repeat(TREND_STATS.len() - 1)));
            }
            out.push('\n');
        }
        out.push_str("\n</details>\n");
    }
    let rows = baseline::rows(evidence);
    if !rows.is_empty() {
        out.push_str(&format!("\n| {} |\n|-|-|-:|-|\n", baseline::COLUMNS.join(" | ")));
        for row in rows {
            out.push_str(&format!("| {} |\n", row.map(|cell| cell.replace('|', "\\|")).join(" | ")));
        }
    }
    let rows = traces::rows(evidence);
    if !rows.is_empty() {
        out.push_str("\n<details><summary>Slowest traces</summary>\n\n");
        out.push_str(&format!("| {} |\n|-|-:|-|-:|-|-|\n", traces::COLUMNS.join(" | ")));
        for row in rows {
            let cells = row.map(|cell| cell.replace('|', "\\|"));
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        out.push_str("\n</details>\n");
    }
    let triage = super::terminal::triage(evidence, 100);
    if !triage.is_empty() {
        out.push_str("\n<details><summary>Triage</summary>\n\n");
        // Indented, so that nothing that was looked up is read as markup.
        triage.iter().for_each(|line| out.push_str(&format!("    {line}\n")));
        out.push_str("\n</details>\n");
    }
    let lines =
        sums(evidence).into_iter().chain(verdict.warnings.clone()).chain(verdict.not_measured.clone());
    let lines: Vec<String> = lines.collect();
    if !lines.is_empty() {
        out.push_str("\n<details><summary>Load, and what was not measured</summary>\n\n");
        lines.iter().for_each(|line| out.push_str(&format!("- {line}\n")));
        out.push_str("\n</details>\n");
    }
    out.push_str(&format!("\nrun `{}`, graph `{:.12}`\n", evidence.run_id, evidence.graph_id));
    out
}
