//! Columns that are drawn from what the database holds: where they may stand, and who may look at them.
//!
//! What is drawn is known only when the fixture has been seeded, and it may be another value after a reset. So nothing that
//! another fixture's rows or a row's identity are made of can hang on it; scenarios, which come later, may draw it.

use super::Resolver;
use super::fixtures::uses;
use super::order::table_of;
use crate::ast::{self, FixtureKind, Generator};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use std::collections::BTreeSet;

impl Resolver<'_> {
    /// Everything that is wrong with samples, of all fixtures.
    pub(super) fn samples(&mut self) {
        let plan = self.plan;
        for fixture in &plan.fixtures {
            let Some(definition) = &fixture.definition else { continue };
            for column in &definition.columns {
                if let Generator::Sample { table, span, .. } = &column.generator {
                    self.sample(definition, column, table, *span);
                }
                self.of_another(definition, column);
            }
            self.known_by_sample(definition);
        }
    }

    fn sample(&mut self, definition: &ast::Fixture, column: &ast::Column, table: &str, span: Span) {
        let own = table_of(definition).is_some_and(|own| own.value == *table);
        let (message, help) = match &definition.kind {
            FixtureKind::Broken => return,
            FixtureKind::Http(_) | FixtureKind::Sql(_) => (
                "a sample is drawn for the rows of a table, and these are not written by the seeder"
                    .to_string(),
                "draw it in a fixture with `table:`".to_string(),
            ),
            FixtureKind::Table(_) if own => (
                format!("the rows of `{table}` are drawn from `{table}` itself, which this fixture fills"),
                "refer to a row by its own value: `value: …`".to_string(),
            ),
            FixtureKind::Table(_) if column.unique => (
                format!("`{}` is drawn with repetition, and `unique` allows none", column.name.value),
                "leave `unique` or `sample` out".to_string(),
            ),
            FixtureKind::Table(_) => return,
        };
        self.diagnostics.push(Diagnostic::error(codes::CONFLICTING_KEYS, span, message).help(help));
    }

    fn known_by_sample(&mut self, definition: &ast::Fixture) {
        let FixtureKind::Table(table) = &definition.kind else { return };
        let Some(key) = table.identity.iter().find(|key| drawn(definition, &key.value)) else { return };
        let message = format!("rows cannot be known by `{}`, which the database decides", key.value);
        self.diagnostics.push(
            Diagnostic::error(codes::CONFLICTING_KEYS, key.span, message)
                .help("make the identity from the row's number"),
        );
    }

    /// A column that takes a drawn value from another fixture, as its column or its parent's.
    fn of_another(&mut self, definition: &ast::Fixture, column: &ast::Column) {
        let mut taken: Vec<(&str, &str, Span)> = Vec::new();
        if let Generator::Fixture { fixture, column, .. } = &column.generator {
            taken.push((&fixture.value, &column.value, column.span));
        }
        if let Some(children) = &definition.children {
            let of_parent = uses(&column.generator).iter().filter_map(|used| match used.path.as_slice() {
                [first, column, ..] if first == "parent" => Some((column.as_str(), used.span)),
                _ => None,
            });
            taken.extend(of_parent.map(|(column, span)| (children.of.value.as_str(), column, span)));
        }
        for (fixture, name, span) in taken {
            let other = self.plan.fixtures.iter().find(|other| other.name.value == fixture);
            if !other.and_then(|other| other.definition.as_ref()).is_some_and(|other| drawn(other, name)) {
                continue;
            }
            let message = format!(
                "`{name}` of `{fixture}` is drawn from the database and can be no column of another fixture"
            );
            self.diagnostics
                .push(Diagnostic::error(codes::UNKNOWN_REFERENCE, span, message).help(
                    "scenarios can draw it: `draw: { row: … }`; give this fixture a sample of its own",
                ));
        }
    }
}

/// Whether a column, or one that it is made of, is drawn from the database.
fn drawn(definition: &ast::Fixture, column: &str) -> bool {
    let (mut seen, mut left) = (BTreeSet::new(), vec![column]);
    while let Some(name) = left.pop() {
        let Some(found) = definition.columns.iter().find(|known| known.name.value == name) else { continue };
        if matches!(found.generator, Generator::Sample { .. }) {
            return true;
        }
        if seen.insert(name) {
            left.extend(
                uses(&found.generator).iter().filter_map(|used| used.path.first()).map(String::as_str),
            );
        }
    }
    false
}
