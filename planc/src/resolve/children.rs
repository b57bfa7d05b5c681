//! Rows by parent: how many each parent has, and how many that makes.

use super::Resolver;
use super::fixtures::MAX_ROWS;
use crate::ast;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph;
use crate::relation::{MAX_DRAWN_PARENTS, Relation};
use crate::resolved::Fixture;
use crate::units::{count, grouped};

impl Resolver<'_> {
    /// The relation to the parents, and the number of rows that follows from it. `None` when there is none, or it is wrong.
    pub(super) fn children(
        &mut self,
        written: &ast::FixtureUse,
        definition: &ast::Fixture,
        (seed, own_name): (u64, &str),
        done: &[Fixture],
    ) -> Option<(u64, graph::Children)> {
        let children = definition.children.as_ref()?;
        if let Some(rows) = &written.rows {
            let message = "the number of rows follows from `children`: none can be asked for";
            self.diagnostics.push(
                Diagnostic::error(codes::CONFLICTING_KEYS, rows.span(), message)
                    .also(children.span, "so many for each parent"),
            );
        }
        let of = &children.of;
        self.used.fixtures.insert(of.value.clone());
        if !self.columns.contains_key(&of.value) {
            let names: Vec<String> = self.columns.keys().cloned().collect();
            self.unknown("fixture", of, names.iter().map(String::as_str));
            return None;
        }
        let each = self.each(&children.each)?;
        let children = graph::Children { of: of.value.clone(), each };
        // One that is not done is broken, which was told.
        let parents = done.iter().find(|fixture| fixture.fixture.name == of.value)?.fixture.rows;
        let rows = Relation::new(seed, own_name, &children, parents).map(|relation| relation.rows());
        let message = match rows {
            Some(1..=MAX_ROWS) => return Some((rows?, children)),
            Some(0) => format!("no row of `{}` has a child: nothing is seeded", of.value),
            _ if parents > MAX_DRAWN_PARENTS => format!(
                "numbers of children are drawn for at most {} parents, and `{}` has {}",
                grouped(MAX_DRAWN_PARENTS),
                of.value,
                grouped(parents)
            ),
            _ => "a fixture has at most 1,000,000,000 rows".to_string(),
        };
        let span = self.plan.fixtures.iter().find(|fixture| fixture.name.value == of.value);
        let mut diagnostic = Diagnostic::error(codes::BAD_VALUE, of.span, message);
        if let Some(parent) = span {
            diagnostic = diagnostic.also(parent.name.span, count(parents, "row"));
        }
        self.diagnostics.push(diagnostic);
        Some((1, children))
    }

    fn each(&mut self, each: &ast::Each) -> Option<graph::Each> {
        Some(match each {
            ast::Each::Broken => return None,
            ast::Each::Fixed(each) => graph::Each::Fixed(self.typed(each)?),
            ast::Each::Between(from, to) => {
                let (from, to) = (self.typed(from), self.typed(to).map(|value| (value, to.span())));
                let (from, (to, span)) = (from?, to?);
                self.ordered(from <= to, span)?;
                graph::Each::Between { from, to }
            }
            ast::Each::Weighted(branches) => graph::Each::Weighted(branches.clone()),
        })
    }
}
