//! Something is written to a system that nobody checked to be a test system.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{FixtureKind, Probe, StepKind};
use crate::resolve::url_host;
use crate::resolved::ResolvedPlan;
use crate::source::Span;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0406", name: "unguarded-write" },
    page: include_str!("unguarded-write.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    // Seeding alone has the guard of its own command line.
    if plan.seed_only || plan.lost.guards {
        return;
    }
    let guarded = |which: &dyn Fn(&Probe) -> bool| plan.guards.iter().any(|guard| which(&guard.check.probe));
    let own_database = plan.database.as_ref().is_some_and(|database| database.service.is_some());
    if let Some(span) = database_write(plan)
        && plan.database.is_some()
        && !own_database
        && !guarded(&looks_at_database)
    {
        diagnostics.push(
            Diagnostic::warning(LINT.code, span, "rows are written to a database that no guard looks at")
                .help("write `guards: [{ name: the database is a test database, postgres: { database: \"*_test\" } }]`"),
        );
    }
    let own_target = plan.target.as_ref().is_some_and(|target| target.service.is_some());
    if let Some((span, what)) = target_write(plan)
        && plan.target.is_some()
        && !own_target
        && !guarded(&|probe| looks_at_target(plan, probe))
    {
        diagnostics.push(
            Diagnostic::warning(LINT.code, span, format!("{what} a target that no guard looks at")).help(
                "write `guards: [{ name: the target is a test environment, get: /health, expect: { json: { $.env: test } } }]`",
            ),
        );
    }
}

/// Whether a probe can tell a test database from another. How many connections are free cannot, nor can any name at all.
fn looks_at_database(probe: &Probe) -> bool {
    match probe {
        Probe::Sql { .. } => true,
        Probe::Postgres(facts) => {
            let named =
                facts.database.as_deref().is_some_and(|pattern| !pattern.trim_matches('*').is_empty());
            named || !facts.foreign_rows.is_empty()
        }
        _ => false,
    }
}

/// Whether a probe asks the target itself, as far as both hosts are known.
fn looks_at_target(plan: &ResolvedPlan, probe: &Probe) -> bool {
    let Probe::Http(request) = probe else { return false };
    let target = plan.target.as_ref().and_then(|target| url_host(&target.target.url));
    match (url_host(&request.url), target) {
        (Some(asked), Some(target)) => asked == target,
        _ => true,
    }
}

/// The first fixture that writes rows.
fn database_write(plan: &ResolvedPlan) -> Option<Span> {
    plan.fixtures.iter().find(|fixture| fixture.fixture.in_database()).map(|fixture| fixture.span)
}

/// The first fixture or step that changes something on the target.
fn target_write(plan: &ResolvedPlan) -> Option<(Span, &'static str)> {
    let fixture = plan.fixtures.iter().find(|f| matches!(f.fixture.kind, FixtureKind::Http(_)));
    if let Some(fixture) = fixture {
        return Some((fixture.span, "accounts are made on"));
    }
    let step = plan.all_steps().into_iter().find(|step| match &step.kind {
        StepKind::Http(http) => !["GET", "HEAD", "OPTIONS"].contains(&http.request.method.as_str()),
        // What a message does to the server only the server knows; so does what a POST does.
        StepKind::Send(_) => true,
        _ => false,
    })?;
    Some((plan.place(step.id).span, "this writes to"))
}
