//! Fixtures from SQL scripts: what is declared of their rows.

use super::Resolver;
use crate::ast::{self, FixtureKind, Generator, SqlFixture};
use crate::codes;
use crate::graph::{self, Columns, Declared};

impl Resolver<'_> {
    /// Whether a fixture is a script of which no row is known.
    pub(super) fn declares_nothing(&self, name: &str) -> bool {
        let definition = self.plan.fixtures.iter().find(|fixture| fixture.name.value == name);
        let kind =
            definition.and_then(|fixture| fixture.definition.as_ref()).map(|definition| &definition.kind);
        matches!(kind, Some(FixtureKind::Sql(sql)) if sql.declared.is_none())
    }

    /// The scripts and the rows that they are said to make; `None` when a text is missing, which was reported.
    pub(super) fn script(
        &mut self,
        sql: &SqlFixture,
        written: &ast::FixtureUse,
        definition: &ast::Fixture,
        columns: Columns,
    ) -> Option<graph::SqlFixture> {
        if let Some(policy) = &written.on_conflict {
            let message = "the script decides what becomes of rows that are there";
            self.error(codes::CONFLICTING_KEYS, policy.span, message);
        }
        if let (Some(rows), None) = (&written.rows, &sql.declared) {
            let message = "the script's fixture declares no rows, so their number means nothing";
            self.error(codes::CONFLICTING_KEYS, rows.span(), message);
        }
        if sql.scripts.len() < sql.files.len() || sql.reset.is_some() && sql.reset_script.is_none() {
            self.lost.fixtures = true;
            return None;
        }
        let declared = sql.declared.as_ref().map(|(table, identity)| {
            self.origins.insert(format!("fixtures.{}.table", written.name.value), table.span);
            self.identity(identity, definition);
            let identity = identity.iter().map(|column| column.value.clone()).collect();
            Declared { table: table.value.clone(), identity }
        });
        for column in &definition.columns {
            let moves = matches!(
                column.generator,
                Generator::BeforeNow(_) | Generator::AfterNow(_) | Generator::TimeWithin { .. }
            );
            if moves || column.fresh_within.is_some() {
                let message = "the script makes its own times: no column can say them beforehand";
                self.error(codes::CONFLICTING_KEYS, column.name.span, message);
            }
        }
        Some(graph::SqlFixture {
            scripts: sql.scripts.clone(),
            reset: sql.reset_script.clone(),
            declared,
            columns,
        })
    }
}
