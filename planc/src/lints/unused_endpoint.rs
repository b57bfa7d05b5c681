//! An endpoint that no step calls.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0413", name: "unused-endpoint" },
    page: include_str!("unused-endpoint.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    if plan.lost.steps {
        return;
    }
    for (name, endpoint) in &plan.endpoints {
        if !plan.used.endpoints.contains(name) {
            diagnostics.push(
                Diagnostic::warning(LINT.code, endpoint.span, format!("no step calls the endpoint `{name}`"))
                    .help(format!("write `call: {name}` in a step, or leave it out")),
            );
        }
    }
}
