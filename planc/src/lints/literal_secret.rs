//! A secret written into the plan.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0414", name: "literal-secret" },
    page: include_str!("literal-secret.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for (name, input) in &plan.inputs {
        if let Some(span) = input.literal_secret {
            diagnostics.push(
                Diagnostic::warning(LINT.code, span, format!("the secret `{name}` is written into the plan"))
                    .help(
                        "give it an `env`, or write `test_only: true` if it opens nothing but a test system",
                    ),
            );
        }
    }
}
