//! JUnit XML: one test case a gate, and one for the verdict, so that a run without a broken gate that is
//! not a pass is red too.

use super::terminal::stages;
use crate::evidence::Evidence;
use crate::exit::Exit;
use crate::judge::{GateResult, GateState, Verdict};

/// The report as XML.
pub(crate) fn render(evidence: &Evidence, verdict: &Verdict) -> String {
    let (counts, suite) = suite(evidence, verdict);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n{suite}</testsuites>\n")
}

/// The counts of a run, and its test suite.
pub(crate) fn suite(evidence: &Evidence, verdict: &Verdict) -> (String, String) {
    let plan = escape(&evidence.graph.plan);
    let seconds = (evidence.ended_unix_ms - evidence.started_unix_ms).max(0) as f64 / 1e3;
    let mut cases = String::new();
    let (mut failures, mut errors, mut skipped) = (0, 0, 0);
    for gate in &verdict.gates {
        let name = escape(&format!("{} {}", gate.subject(), gate.text));
        let told = escape(&told(gate));
        let inner = match (gate.state, gate.advisory) {
            (GateState::Pass, _) => String::new(),
            (GateState::Skipped, _) | (_, true) => {
                skipped += 1;
                format!("\n      <skipped message=\"{told}\"/>\n    ")
            }
            (GateState::Fail, false) => {
                failures += 1;
                format!("\n      <failure message=\"{told}\"/>\n    ")
            }
            _ => {
                errors += 1;
                format!("\n      <error message=\"{told}\"/>\n    ")
            }
        };
        cases.push_str(&format!("    <testcase classname=\"{plan}\" name=\"{name}\">{inner}</testcase>\n"));
    }
    let mut inner = String::new();
    if verdict.status != Exit::Pass {
        failures += 1;
        let causes: Vec<&str> = verdict.causes.iter().map(|cause| cause.text.as_str()).collect();
        let message = escape(verdict.status.meaning());
        let body = escape(&causes.join("\n"));
        inner =
            format!("\n      <failure message=\"exit {}: {message}\">{body}</failure>\n    ", verdict.exit);
    }
    cases.push_str(&format!("    <testcase classname=\"{plan}\" name=\"verdict\">{inner}</testcase>\n"));
    let stages = stages(verdict);
    if !stages.is_empty() {
        let stages = escape(&stages.join("\n"));
        cases.push_str(&format!("    <system-out>{stages}</system-out>\n"));
    }
    let tests = verdict.gates.len() + 1;
    let counts = format!(
        "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{seconds:.3}\""
    );
    let suite = format!("  <testsuite name=\"{plan}\" {counts}>\n{cases}  </testsuite>\n");
    (counts, suite)
}

/// Escapes for text and attributes; characters that XML cannot carry are dropped.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && !"\n\t\r".contains(c) => {}
            c => out.push(c),
        }
    }
    out
}

fn told(gate: &GateResult) -> String {
    let margin = gate.margin_percent.map(|margin| format!(", margin {:.0}%", margin.0)).unwrap_or_default();
    let noise = if gate.within_noise { ", within noise" } else { "" };
    let note = gate.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
    format!(
        "measured {} over {} samples, bound {}, 95% interval {}{margin}{noise}{note}",
        gate.value_text, gate.samples, gate.bound_text, gate.interval_text
    )
}
