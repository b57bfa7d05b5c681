//! An endpoint that no step calls.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::FixtureKind;
use crate::resolved::{Endpoint, ResolvedPlan};

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
        // A service has more operations than any one plan calls.
        if !endpoint.imported && !plan.used.endpoints.contains(name) && !makes_accounts(plan, endpoint) {
            diagnostics.push(
                Diagnostic::warning(LINT.code, endpoint.span, format!("no step calls the endpoint `{name}`"))
                    .help(format!("write `call: {name}` in a step, or leave it out")),
            );
        }
    }
}

/// Whether a fixture creates through it: it is in the catalogue for its limit then.
fn makes_accounts(plan: &ResolvedPlan, endpoint: &Endpoint) -> bool {
    plan.fixtures.iter().any(|fixture| match &fixture.fixture.kind {
        FixtureKind::Http(http) => http.requests().any(|request| endpoint.is_asked_by(request)),
        FixtureKind::Table(_) | FixtureKind::Sql(_) => false,
    })
}
