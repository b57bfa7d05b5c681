//! What if a run had had other gates? The same evidence, judged by thresholds given as text.

use crate::evidence::Evidence;
use crate::judge::{GateState, Verdict};
use crate::report::terminal;
use planc::render::{self, Findings, View};

/// The evidence with these gates in place of its plan's; what is wrong with them, rendered, where they have no meaning
/// in this graph.
pub fn with_gates(evidence: &Evidence, conditions: &[String]) -> Result<Evidence, String> {
    let mut compilation = planc::with_gates(&evidence.graph, conditions);
    match compilation.graph.take() {
        Some(graph) => Ok(Evidence { graph_id: graph.id(), graph, ..evidence.clone() }),
        None => {
            let findings = Findings::from_diagnostics(compilation.sources, compilation.diagnostics);
            Err(render::terminal(&findings, View { color: true, coverage: false }))
        }
    }
}

/// The gates alone, as the report of a run shows them, and how many would have held.
pub fn tell(evidence: &Evidence, verdict: &Verdict) -> String {
    let mut out = terminal::heading("what if");
    for gate in &verdict.gates {
        out.push_str(&format!("  {}\n", terminal::gate_line(gate)));
    }
    let held = verdict.gates.iter().filter(|gate| gate.state == GateState::Pass).count();
    out.push_str(&format!("\n  {held} of {} gates would have held\n", verdict.gates.len()));
    out.push_str(&terminal::verdict_line(evidence, verdict));
    out
}
