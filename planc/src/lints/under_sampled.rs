//! A gate that the load cannot give enough samples to.

use super::{Lint, decides, iterations, thousands};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Aggregate, Bound};
use crate::resolved::{Gate, ResolvedPlan};

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0408", name: "under-sampled" }, page: include_str!("under-sampled.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for gate in plan.gates.iter().filter(|gate| gate.reachable && decides(&gate.gate)) {
        let Some(expected) = expected(plan, gate) else { continue };
        if expected >= gate.gate.min_samples as f64 {
            continue;
        }
        let shown = if expected < 10.0 { format!("{expected:.1}") } else { thousands(expected) };
        let needed = thousands(gate.gate.min_samples as f64);
        let message =
            format!("`{}` needs {needed} samples, and the load gives about {shown}", gate.gate.text);
        let mut diagnostic = Diagnostic::warning(LINT.code, gate.span, message)
            .note("a gate on fewer samples makes the run invalid")
            .help("raise the rate or the duration, or claim less");
        if !gate.own_min_samples
            && let Some(through) = let_through(gate, expected)
        {
            diagnostic = diagnostic.note(format!(
                "of {shown} samples it would let {} through whatever they are",
                if through < 1.0 { "none".to_string() } else { thousands(through.floor()) }
            ));
        }
        diagnostics.push(diagnostic);
    }
}

/// Samples that the whole load is expected to emit into a gate; `None` when a closed model has a part in it.
fn expected(plan: &ResolvedPlan, gate: &Gate) -> Option<f64> {
    let mut sum = 0.0;
    let mut any = false;
    for (name, weight) in &gate.expected {
        let scenario = plan.scenarios.iter().find(|scenario| scenario.scenario.name == *name)?;
        if !scenario.sound {
            return None;
        }
        sum += iterations(&scenario.scenario.demand)? * (*weight as f64 / 1e6);
        any |= *weight > 0;
    }
    any.then_some(sum)
}

/// How many bad samples a gate does not see.
fn let_through(gate: &Gate, samples: f64) -> Option<f64> {
    match (gate.gate.aggregate, gate.gate.bound) {
        (Aggregate::Percentile(percent), _) => Some(samples * (1.0 - percent.as_f64() / 100.0)),
        (Aggregate::Rate, Bound::Share(share)) => Some(samples * share.as_f64()),
        _ => None,
    }
}
