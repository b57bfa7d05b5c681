//! Something is written to a system that nobody checked to be a test system.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{FixtureKind, Probe, StepKind};
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
    let guarded = |which: fn(&Probe) -> bool| plan.guards.iter().any(|guard| which(&guard.check.probe));
    let own_database = plan.database.as_ref().is_some_and(|database| database.service.is_some());
    if let Some(span) = database_write(plan)
        && plan.database.is_some()
        && !own_database
        && !guarded(|probe| matches!(probe, Probe::Postgres(_) | Probe::Sql { .. }))
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
        && !guarded(|probe| matches!(probe, Probe::Http(_)))
    {
        diagnostics.push(
            Diagnostic::warning(LINT.code, span, format!("{what} a target that no guard looks at")).help(
                "write `guards: [{ name: the target is a test environment, get: /health, expect: { json: { $.env: test } } }]`",
            ),
        );
    }
}

/// The first fixture that writes rows.
fn database_write(plan: &ResolvedPlan) -> Option<Span> {
    plan.fixtures.iter().find(|f| matches!(f.fixture.kind, FixtureKind::Table(_))).map(|fixture| fixture.span)
}

/// The first fixture or step that changes something on the target.
fn target_write(plan: &ResolvedPlan) -> Option<(Span, &'static str)> {
    let fixture = plan.fixtures.iter().find(|f| matches!(f.fixture.kind, FixtureKind::Http(_)));
    if let Some(fixture) = fixture {
        return Some((fixture.span, "accounts are made on"));
    }
    let step = plan.all_steps().into_iter().find(|step| match &step.kind {
        StepKind::Http(http) => !["GET", "HEAD", "OPTIONS"].contains(&http.request.method.as_str()),
        _ => false,
    })?;
    Some((plan.place(step.id).span, "this writes to"))
}
