//! A call whose token may not do what the endpoint asks for.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{HttpStep, Step, StepKind};
use crate::near::listed;
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0404", name: "scope-missing" }, page: include_str!("scope-missing.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for step in plan.all_steps() {
        if let StepKind::Http(http) = &step.kind {
            diagnostics.extend(missing(plan, step, http));
        }
    }
}

fn missing(plan: &ResolvedPlan, step: &Step, http: &HttpStep) -> Option<Diagnostic> {
    let name = http.endpoint.as_ref()?;
    let endpoint = plan.endpoints.get(name)?;
    let place = plan.place(step.id);
    if endpoint.scopes.is_empty() {
        return None;
    }
    let shown = |scopes: &mut dyn Iterator<Item = &String>| listed(scopes.map(String::as_str), "and");
    let Some(token_name) = &http.token else {
        // A token whose name is unknown was reported; of a credential that the plan carries itself no scope is known.
        if place.token_span.is_some() || carries_own(plan, http) {
            return None;
        }
        let needed = shown(&mut endpoint.scopes.iter());
        let fit =
            plan.tokens.iter().find(|(_, t)| endpoint.scopes.iter().all(|s| t.token.scopes.contains(s)));
        let diagnostic = Diagnostic::error(
            LINT.code,
            place.url_span,
            format!("`{name}` asks for {needed}, and no token is sent"),
        )
        .also(endpoint.span, "the endpoint");
        return Some(match fit {
            Some((token, _)) => diagnostic.help(format!("write `token: {token}`")),
            None => diagnostic,
        });
    };
    let token = plan.tokens.get(token_name)?;
    let lacking: Vec<&String> = endpoint.scopes.iter().filter(|s| !token.token.scopes.contains(s)).collect();
    if lacking.is_empty() {
        return None;
    }
    let span = place.token_span.unwrap_or(place.span);
    let message =
        format!("`{name}` asks for {}, which token `{token_name}` lacks", shown(&mut lacking.into_iter()));
    Some(
        Diagnostic::error(LINT.code, span, message)
            .also(token.span, "the token")
            .also(endpoint.span, "the endpoint")
            .help("add the scope to the token's `scopes`, and to the token itself"),
    )
}

/// Whether a step sends a credential of its own making, such as one that a login gave.
fn carries_own(plan: &ResolvedPlan, http: &HttpStep) -> bool {
    let carries =
        |name: &str| name == "authorization" || plan.tokens.values().any(|t| t.token.header == name);
    http.request.headers.keys().any(|name| carries(name))
}
