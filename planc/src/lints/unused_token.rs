//! A token that no step sends.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0411", name: "unused-token" }, page: include_str!("unused-token.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    if plan.lost.steps {
        return;
    }
    for (name, token) in &plan.tokens {
        if !plan.used.tokens.contains(name) {
            diagnostics.push(
                Diagnostic::warning(LINT.code, token.span, format!("no step sends the token `{name}`"))
                    .help(format!("write `token: {name}` in a step, or leave it out")),
            );
        }
    }
}
