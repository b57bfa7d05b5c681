//! Thresholds on what a statement gives after the load.

use super::Parser;
use super::expect::Subject;
use super::scenarios::LEVELS;
use crate::ast::{Expect, ExpectWhat, SqlGate};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expr::METRIC;
use crate::source::Spanned;
use crate::yaml::{Entry, Node, NodeKind};

/// Whether a threshold's value is an SQL gate, or was meant to be one.
pub(super) fn is_sql_gate(node: &Node) -> bool {
    let has = |key: &str| node.get(key).is_some();
    matches!(node.kind, NodeKind::Mapping(_))
        && (has("sql") || !has("threshold") && (has("expect") || has("increase")))
}

impl Parser<'_> {
    /// `what holds: { sql: …, expect: … }`.
    pub(super) fn sql_gate(&mut self, entry: &Entry) -> Option<SqlGate> {
        let name = entry.key.clone();
        let mut map = self.map(&entry.value, "an SQL gate", Some(name.span))?;
        let statement = self.require(&mut map, "sql").and_then(|node| self.text(node));
        let expect = match self.require(&mut map, "expect") {
            Some(node) => {
                let before = self.diagnostics.len();
                let expect = self.expect(node, Subject::Sql);
                if expect.is_empty() && self.diagnostics.len() == before {
                    self.diagnostics.push(
                        Diagnostic::error(
                            codes::MISSING_KEY,
                            node.span,
                            "this gate expects nothing, so it cannot fail",
                        )
                        .help("write `expect: { value: 0 }` or `expect: { rows: 0 }`"),
                    );
                }
                expect
            }
            None => Vec::new(),
        };
        let increase = self.typed_key(&mut map, "increase");
        let within = self.typed_key(&mut map, "within");
        let level = map.take("level").and_then(|node| self.choice(node, "level", &LEVELS));
        self.finish(map);
        let metrics = self.metrics_read(&expect);
        Some(SqlGate { name, statement, expect, increase, within, level, metrics })
    }

    /// What stands in each `metric('…')` of some expectations.
    fn metrics_read(&mut self, expect: &[Expect]) -> Vec<(String, Option<crate::ast::MetricRef>)> {
        let mut out: Vec<(String, Option<crate::ast::MetricRef>)> = Vec::new();
        for one in expect {
            let ExpectWhat::Plain(parsed) = &one.what else { continue };
            for name_use in &parsed.uses {
                let [root, text] = name_use.path.as_slice() else { continue };
                if root == METRIC && !out.iter().any(|(known, _)| known == text) {
                    let read = self.metric_ref(&Spanned::new(text.clone(), name_use.span));
                    out.push((text.clone(), read));
                }
            }
        }
        out
    }
}
