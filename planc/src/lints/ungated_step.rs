//! A step that may take as long as it likes.

use super::Lint;
use crate::coverage::{self, StepCoverage};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::resolve::is_latency;
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0424", name: "ungated-step" }, page: include_str!("ungated-step.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    // A gate that sees nothing has an error of its own, and was meant for some step.
    let astray = plan.gates.iter().any(|gate| !gate.reachable && is_latency(&gate.gate.metric));
    if plan.lost.thresholds || plan.gates.is_empty() || astray {
        return;
    }
    let steps = coverage::steps(plan);
    let mut open = steps.iter().filter(|step| !step.smoke && step.latency.is_empty()).peekable();
    let Some(first) = open.peek() else { return };
    if !plan.gates.iter().any(|gate| coverage::bounds_latency(&gate.gate)) {
        diagnostics.push(
            Diagnostic::warning(
                LINT.code,
                plan.gates[0].metric_span,
                "no gate of this plan bounds a latency",
            )
            .note("a target that takes the whole timeout for every answer passes")
            .help(format!("write `{}: [\"p(95) < 500ms\"]` beside it", first.measure)),
        );
        return;
    }
    // What a virtual user does once is nothing to bound by itself, as long as its failures count.
    open.filter(|step| !step.setup || step.errors.is_empty()).for_each(|step| diagnostics.push(tell(step)));
}

fn tell(step: &StepCoverage) -> Diagnostic {
    let message = match step.errors.is_empty() {
        true => "no gate sees how long this step takes or how often it fails",
        false => "no gate bounds the latency of this step",
    };
    let selector = format!("{}{{scenario:{},name:{}}}", step.measure, step.scenario, step.tag);
    let quoted = if selector.contains(['"', ' ', '/']) { format!("'{selector}'") } else { selector };
    Diagnostic::warning(LINT.code, step.span, message)
        .help(format!("write `{quoted}: [\"p(95) < 500ms\"]`, or a gate on all steps: `{}: …`", step.measure))
}
