//! A value that stands for one that nobody gave.

use super::{Lint, wants_success};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::TokenSource;
use crate::placeholder::placeholder;
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0431", name: "placeholder-value" },
    page: include_str!("placeholder-value.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for (name, input) in &plan.inputs {
        if let Some((span, why)) = input.placeholder {
            diagnostics.push(
                Diagnostic::warning(LINT.code, span, format!("`{name}` has no value yet: {why}"))
                    .note("a run refuses it")
                    .help("leave it out: a run without a value says by name which one it wants"),
            );
        }
    }
    for (name, token) in &plan.tokens {
        let TokenSource::Given(value) = &token.token.source else { continue };
        if let Some(why) = value.as_literal().and_then(placeholder) {
            diagnostics.push(
                Diagnostic::warning(LINT.code, token.span, format!("token `{name}` has no value yet: {why}"))
                    .note("a run refuses it")
                    .help("declare `inputs: { key: { type: secret, env: KEY } }` and write `value: \"{{ inputs.key }}\"`"),
            );
        }
    }
    for step in plan.all_steps() {
        let Some(http) = step.kind.request() else { continue };
        let Some(value) = http.request.headers.get("authorization") else { continue };
        // A refusal may be what the step is there to provoke.
        if let Some(why) = value.as_literal().and_then(placeholder)
            && wants_success(http)
        {
            let span = plan.place(step.id).span;
            let message = format!("the authorization sent here is no value: {why}");
            diagnostics.push(
                Diagnostic::warning(LINT.code, span, message)
                    .help("declare the credential under `tokens`, and write `token: NAME` here"),
            );
        }
    }
}
