//! Which fixture is seeded first: what columns refer to, what `after` says, and scripts of which nothing is known.

use super::{Resolver, topological};
use crate::ast::{self, FixtureKind, FixtureUse, Generator};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::near::listed;
use std::collections::{BTreeMap, BTreeSet};

/// Names of fixtures and of those that come before each.
type Needs = BTreeMap<String, Vec<String>>;

impl Resolver<'_> {
    /// Names of all fixtures, parents first.
    pub(super) fn seeding_order(&mut self) -> Vec<String> {
        let all = &self.plan.fixtures;
        let mut needs: Needs = all.iter().map(|it| (it.name.value.clone(), needed(it, all))).collect();
        // Rows may hang on what a script makes of which nothing is known, unless it comes after rows itself.
        let tables = |name: &String| all.iter().any(|it| it.name.value == *name && is_table(it));
        let scripts = all.iter().filter(|it| scripts_only(it)).map(|it| it.name.value.clone());
        let first: Vec<String> = scripts.filter(|name| !before(&needs, name).iter().any(tables)).collect();
        for table in all.iter().filter(|it| is_table(it)) {
            needs.entry(table.name.value.clone()).or_default().extend(first.iter().cloned());
        }
        topological(&needs).unwrap_or_else(|cycle| {
            self.circle(&cycle);
            needs.keys().cloned().collect()
        })
    }

    /// The fixtures that the plan puts before another, sorted; a name that there is none of is told.
    pub(super) fn afters(&mut self, written: &FixtureUse) -> Vec<String> {
        let plan = self.plan;
        let mut out = BTreeSet::new();
        for word in written.afters() {
            if self.columns.contains_key(&word.value) {
                self.used.fixtures.insert(word.value.clone());
                out.insert(word.value.clone());
            } else {
                self.unknown("fixture", word, plan.fixtures.iter().map(|it| it.name.value.as_str()));
            }
        }
        out.into_iter().collect()
    }

    fn circle(&mut self, cycle: &[String]) {
        let all = &self.plan.fixtures;
        let mut own = all.iter().filter(|fixture| cycle.contains(&fixture.name.value));
        let names = listed(cycle.iter().map(String::as_str), "and");
        // Where one is told to wait is where it can be mended.
        let told = own.clone().flat_map(FixtureUse::afters).find(|word| cycle.contains(&word.value));
        let (span, message) = match (told, own.next(), cycle.len()) {
            (Some(word), _, 1) => (word.span, format!("{names} is to be seeded after itself")),
            (Some(word), ..) => {
                (word.span, format!("{names} wait for each other: none of them can be seeded first"))
            }
            (None, Some(first), 1) => (first.name.span, format!("the rows of {names} refer to themselves")),
            (None, Some(first), _) => (first.name.span, format!("the rows of {names} refer to each other")),
            (None, None, _) => return,
        };
        self.diagnostics.push(Diagnostic::error(codes::CYCLE, span, message));
    }
}

/// All that come before one, as far as it is said.
fn before(needs: &Needs, name: &str) -> BTreeSet<String> {
    let (mut seen, mut left) = (BTreeSet::new(), vec![name]);
    while let Some(name) = left.pop() {
        for need in needs.get(name).into_iter().flatten() {
            if seen.insert(need.clone()) {
                left.push(need);
            }
        }
    }
    seen
}

fn is_table(fixture: &FixtureUse) -> bool {
    matches!(fixture.definition.as_ref().map(|it| &it.kind), Some(FixtureKind::Table(_)))
}

/// Fixtures of the plan that come first: named by `after` or a column, or making a table that a column refers to.
fn needed(fixture: &FixtureUse, all: &[FixtureUse]) -> Vec<String> {
    let mut out: Vec<String> = fixture.afters().map(|word| word.value.clone()).collect();
    let Some(definition) = &fixture.definition else { return out };
    out.extend(definition.children.as_ref().map(|children| children.of.value.clone()));
    for column in &definition.columns {
        match &column.generator {
            Generator::Fixture { fixture, .. } => out.push(fixture.value.clone()),
            Generator::References { table, .. } | Generator::Sample { table, .. } => {
                let makes = |other: &&FixtureUse| {
                    // A row may refer to a row of its own table: that is for the database to mind.
                    other.name.value != fixture.name.value
                        && other.definition.as_ref().and_then(table_of).is_some_and(|own| own.value == *table)
                };
                out.extend(all.iter().filter(makes).map(|other| other.name.value.clone()));
            }
            _ => {}
        }
    }
    out
}

/// The table that a fixture's rows lie in.
pub(super) fn table_of(definition: &ast::Fixture) -> Option<&ast::Word> {
    match &definition.kind {
        FixtureKind::Table(table) => Some(&table.table),
        FixtureKind::Sql(sql) => sql.declared.as_ref().map(|(table, _)| table),
        FixtureKind::Http(_) | FixtureKind::Broken => None,
    }
}

/// Whether a fixture is a script of which no row is known.
fn scripts_only(fixture: &FixtureUse) -> bool {
    matches!(
        fixture.definition.as_ref().map(|definition| &definition.kind),
        Some(FixtureKind::Sql(sql)) if sql.declared.is_none()
    )
}
