//! A secret written into the plan.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::TokenSource;
use crate::placeholder::placeholder;
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0414", name: "literal-secret" },
    page: include_str!("literal-secret.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for (name, input) in &plan.inputs {
        // What only stands for a secret has a lint of its own.
        if let Some(span) = input.literal_secret
            && input.placeholder.is_none()
        {
            diagnostics.push(
                Diagnostic::warning(LINT.code, span, format!("the secret `{name}` is written into the plan"))
                    .help(
                        "give it an `env`, or write `test_only: true` if it opens nothing but a test system",
                    ),
            );
        }
    }
    for (name, token) in &plan.tokens {
        let TokenSource::Given(value) = &token.token.source else { continue };
        if value.as_literal().is_some_and(|text| !text.is_empty() && placeholder(text).is_none()) {
            diagnostics.push(
                Diagnostic::warning(LINT.code, token.span, format!("the token `{name}` is written into the plan"))
                    .help("declare a `secret` input for it, with `test_only: true` if it opens nothing but a test system"),
            );
        }
    }
}
