//! An input that nothing reads.

use super::Lint;
use crate::ast::InputType;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0410", name: "unused-input" }, page: include_str!("unused-input.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    if plan.lost.steps || plan.lost.fixtures || plan.lost.thresholds {
        return;
    }
    let own_target = plan.target.as_ref().is_some_and(|target| target.service.is_some());
    for (name, input) in &plan.inputs {
        // A plan that starts its target often keeps the way to one that already runs beside it.
        let other_way = own_target && input.kind == Some(InputType::Url);
        if !plan.used.inputs.contains(name) && !other_way {
            diagnostics.push(
                Diagnostic::warning(LINT.code, input.span, format!("nothing reads the input `{name}`"))
                    .help(format!("use it as `{{{{ inputs.{name} }}}}`, or leave it out")),
            );
        }
    }
}
