//! A plan that cannot fail by what it measures.

use super::{Lint, decides};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0400", name: "no-gates" }, page: include_str!("no-gates.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let Some(first) = plan.scenarios.first() else { return };
    if plan.lost.thresholds {
        return;
    }
    let message = match (plan.has_thresholds, plan.gates.first()) {
        (false, _) => "this plan has no threshold: no measurement can fail it",
        (true, Some(_)) if !plan.gates.iter().any(|gate| decides(&gate.gate)) => {
            "every threshold is advisory: no measurement can fail this plan"
        }
        _ => return,
    };
    diagnostics.push(
        Diagnostic::warning(LINT.code, plan.gates.first().map_or(first.span, |gate| gate.span), message)
            .help("write `thresholds: { http_req_duration: [\"p(95) < 500ms\"], http_req_failed: [\"rate < 1%\"] }`"),
    );
}
