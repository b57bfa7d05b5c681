//! Times relative to now in rows that are never written again.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{FixtureKind, Generator, OnConflict};
use crate::near::listed;
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0437", name: "rotting-rows" }, page: include_str!("rotting-rows.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for fixture in &plan.fixtures {
        let FixtureKind::Table(table) = &fixture.fixture.kind else { continue };
        if table.on_conflict != OnConflict::Keep {
            continue;
        }
        let moves = |generator: &Generator| {
            matches!(
                generator,
                Generator::BeforeNow(_) | Generator::AfterNow(_) | Generator::TimeWithin { .. }
            )
        };
        // What is `fresh_within` is moved before each load, whatever the policy.
        let rot = table.columns.iter().filter(|(_, c)| moves(&c.generator) && c.fresh_within.is_none());
        let rot: Vec<&str> = rot.map(|(name, _)| name.as_str()).collect();
        if rot.is_empty() {
            continue;
        }
        let keep = if rot.len() == 1 { "keeps" } else { "keep" };
        let message =
            format!("{} of `{}` {keep} the time of the first run", listed(rot, "and"), fixture.fixture.name);
        diagnostics.push(
            Diagnostic::warning(LINT.code, fixture.span, message)
                .note("under `on_conflict: keep` a row that is there stays as it is, in every later run")
                .help("write `on_conflict: refresh`, or `fresh_within: 1h` in the column"),
        );
    }
}
