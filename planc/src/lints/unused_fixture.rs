//! A fixture that is seeded for nobody.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{FixtureKind, Generator};
use crate::resolved::{Fixture, ResolvedPlan};

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0412", name: "unused-fixture" },
    page: include_str!("unused-fixture.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    if plan.seed_only || plan.lost.steps || plan.lost.fixtures {
        return;
    }
    for fixture in &plan.fixtures {
        let name = &fixture.fixture.name;
        if !plan.used.fixtures.contains(name) && !serves_otherwise(plan, fixture) {
            diagnostics.push(
                Diagnostic::warning(LINT.code, fixture.span, format!("nothing draws from the fixture `{name}`"))
                    .help(format!("write `draw: {{ row: {name} }}` in a scenario; give rows that only have to be there a `verify`")),
            );
        }
    }
}

/// Rows that are a parent's, that are exported, or whose being there is itself asserted.
fn serves_otherwise(plan: &ResolvedPlan, fixture: &Fixture) -> bool {
    if !fixture.fixture.verify.is_empty() {
        return true;
    }
    match &fixture.fixture.kind {
        FixtureKind::Http(http) => http.export.is_some(),
        // What else a script does than to make rows nobody knows.
        FixtureKind::Sql(_) => true,
        FixtureKind::Table(table) => plan.fixtures.iter().flat_map(|other| other.fixture.columns().values()).any(
            |column| matches!(&column.generator, Generator::References { table: parent, .. } | Generator::Sample { table: parent, .. } if *parent == table.table),
        ),
    }
}
