//! What if a run had had other gates? The same evidence, judged by thresholds given as text.

use crate::evidence::Evidence;
use crate::judge::{GateState, Verdict};
use crate::report::terminal;
use crate::trim;
use planc::render::{self, Findings, View};

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The gates have no meaning in this graph; rendered.
    Rejected(String),
    /// The evidence does not hold what they look at.
    NotKept(String),
}

/// The evidence with these gates in place of its plan's.
pub fn with_gates(evidence: &Evidence, conditions: &[String]) -> Result<Evidence, NoAnswer> {
    let mut compilation = planc::with_gates(&evidence.graph, conditions);
    let Some(graph) = compilation.graph.take() else {
        let findings = Findings::from_diagnostics(compilation.sources, compilation.diagnostics);
        return Err(NoAnswer::Rejected(render::terminal(&findings, View { color: true, coverage: false })));
    };
    if let Some(why) = trim::unanswerable(evidence, &graph.gates) {
        return Err(NoAnswer::NotKept(format!("error: {why}: judge the evidence that the run wrote\n")));
    }
    Ok(Evidence { graph_id: graph.id(), graph, ..evidence.clone() })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{End, Samples};
    use crate::judge::judge;
    use crate::testing::{errors, evidence, graph, p95};

    fn asked(recorded: &Evidence, conditions: &[&str]) -> (u8, String) {
        let conditions: Vec<String> = conditions.iter().map(|text| (*text).to_owned()).collect();
        match with_gates(recorded, &conditions) {
            Ok(evidence) => {
                let verdict = judge(&evidence.graph, &evidence);
                (verdict.exit, anstream::adapter::strip_str(&tell(&evidence, &verdict)).to_string())
            }
            Err(NoAnswer::Rejected(why)) => (2, anstream::adapter::strip_str(&why).to_string()),
            Err(NoAnswer::NotKept(why)) => (111, why),
        }
    }

    /// One request in 20 ms, a thousand times.
    fn recorded() -> Evidence {
        evidence(&graph(vec![p95(), errors()]))
    }

    #[test]
    fn other_gates_give_other_verdicts() {
        for (conditions, exit, part) in [
            (vec!["http_req_duration p(95) < 21ms"], 0, "✓ http_req_duration p(95) < 21ms  20.00ms  n=1,000"),
            (vec!["http_req_duration p(95) < 19ms"], 99, "0 of 1 gates would have held"),
            (vec!["http_req_duration p(95) < 19ms", "http_req_failed: rate < 1%"], 99, "1 of 2 gates"),
            (vec!["http_req_duration p(99.99) < 21ms"], 111, "1000 samples, 29956 are needed"),
            (vec!["http_reqs count >= 1000", "http_reqs rate >= 100"], 0, "2 of 2 gates would have held"),
            (vec!["http_req_durations p(95) < 1s"], 2, "did you mean `http_req_duration`?"),
        ] {
            let (code, told) = asked(&recorded(), &conditions);
            assert!(code == exit && told.contains(part), "{conditions:?}: {code}\n{told}");
        }
    }

    /// Requests carry the tag, this evidence does not: none of status 500 is nothing that anybody saw.
    #[test]
    fn what_was_not_kept_is_never_a_pass() {
        for (condition, exit) in [
            ("http_reqs{status:500} count == 0", 111),
            ("http_reqs{outcome:server_error} count == 0", 0),
            ("http_req_failed{proto:h2} rate < 1%", 111),
            ("http_req_waiting p(95) < 1s", 111),
        ] {
            let (code, told) = asked(&recorded(), &[condition]);
            assert_eq!(code, exit, "{condition}\n{told}");
        }
    }

    #[test]
    fn an_aborted_run_says_nothing_about_the_gates_it_would_have_had() {
        let mut aborted = recorded();
        aborted.end =
            End::AbortedByGate { gate: "http_req_duration{scenario:s} p(95) < 5ms: measured 20.00ms".into() };
        let (code, told) = asked(&aborted, &["http_req_failed rate < 1%"]);
        assert_eq!(code, 111, "{told}");
        assert!(told.contains("which is no gate here"), "{told}");
        let (code, told) = asked(&aborted, &["http_req_duration p(95) < 5ms"]);
        assert_eq!(code, 99, "{told}");
    }

    #[test]
    fn the_limit_of_late_starts_follows_the_gates() {
        let mut late = recorded();
        let load = late.load.as_mut().expect("a load");
        load.health.lateness = crate::testing::trend(5_000, 1_000, 0);
        assert_eq!(asked(&late, &["http_req_duration p(95) < 500ms"]).0, 0);
        let (code, told) = asked(&late, &["http_req_duration p(95) < 25ms"]);
        assert_eq!(code, 111, "{told}");
        assert!(told.contains("generator"), "{told}");
    }

    #[test]
    fn a_trimmed_metric_is_told() {
        let mut full = recorded();
        let load = full.load.as_mut().expect("a load");
        let mut waiting = load.on_time.series[0].clone();
        waiting.metric = "http_req_waiting".into();
        waiting.samples = Samples::Trend(crate::testing::trend(20_000, 1_000, 0));
        load.on_time.series.push(waiting);
        assert_eq!(asked(&full, &["http_req_waiting p(95) < 1s"]).0, 0);
        let (code, told) = asked(&trim::trimmed(&full).expect("trimmed"), &["http_req_waiting p(95) < 1s"]);
        assert!(code == 111 && told.contains("trimmed away"), "{code} {told}");
    }
}
