//! A plan that cannot fail by what it measures.

use super::{Lint, decides};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::GateLevel;
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0400", name: "no-gates" }, page: include_str!("no-gates.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let Some(first) = plan.scenarios.first() else { return };
    if plan.lost.thresholds {
        return;
    }
    let in_sql = || plan.sql_gates.iter();
    let decided = plan.gates.iter().any(|gate| decides(&gate.gate))
        || in_sql().any(|gate| gate.gate.level == GateLevel::Required);
    let first_gate =
        plan.gates.first().map(|gate| gate.span).or_else(|| in_sql().next().map(|gate| gate.span));
    let message = match (plan.has_thresholds, first_gate) {
        (false, _) => "this plan has no threshold: no measurement can fail it",
        (true, Some(_)) if !decided => "every threshold is advisory: no measurement can fail this plan",
        _ => return,
    };
    diagnostics.push(Diagnostic::warning(LINT.code, first_gate.unwrap_or(first.span), message).help(
        "write `thresholds: { http_req_duration: [\"p(95) < 500ms\"], http_req_failed: [\"rate < 1%\"] }`",
    ));
}
