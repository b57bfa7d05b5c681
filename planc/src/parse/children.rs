//! `children`: rows by parent.

use super::{Map, Parser};
use crate::ast::{Children, Each};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::WeightedCount;
use crate::yaml::{Node, NodeKind};

impl Parser<'_> {
    /// `children: { of: users, each: 3 }`, in place of `rows`.
    pub(super) fn children(&mut self, map: &mut Map<'_>) -> Option<Children> {
        let entry = map.entry("children")?;
        let span = entry.key.span;
        for other in ["rows", "rows_from"] {
            if map.has(other) {
                let message =
                    format!("the number of rows follows from `children`: `{other}` cannot stand beside it");
                self.error(codes::CONFLICTING_KEYS, span, message);
            }
        }
        let mut inner = self.map(&entry.value, "`children`", Some(span))?;
        let of = self.require(&mut inner, "of").and_then(|node| self.word(node));
        let each = self.require(&mut inner, "each").map_or(Each::Broken, |node| self.children_each(node));
        self.finish(inner);
        Some(Children { span, of: of?, each })
    }

    /// `3`, `{ from: 1, to: 5 }` or `{ weighted: { 0: 70, 10: 30 } }`.
    fn children_each(&mut self, node: &Node) -> Each {
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            return Each::Fixed(self.typed(node));
        }
        let Some(mut map) = self.map(node, "`each`", None) else { return Each::Broken };
        let each = match map.take("weighted") {
            Some(node) => self.weighted_counts(node).map_or(Each::Broken, Each::Weighted),
            None => {
                let from = self.typed_required(&mut map, "from");
                Each::Between(from, self.typed_required(&mut map, "to"))
            }
        };
        map.known.extend(["from", "to", "weighted"]);
        self.finish(map);
        each
    }

    fn weighted_counts(&mut self, node: &Node) -> Option<Vec<WeightedCount>> {
        let mut out = Vec::new();
        for entry in self.named(node, "`weighted`") {
            let Ok(children) = entry.key.value.parse() else {
                let message = format!("`{}` is not a number of children", entry.key.value);
                self.diagnostics.push(
                    Diagnostic::error(codes::BAD_VALUE, entry.key.span, message)
                        .help("write the number, then its weight: `{ 0: 70, 10: 30 }`"),
                );
                continue;
            };
            out.extend(self.weight(&entry.value).map(|weight| WeightedCount { children, weight }));
        }
        if out.iter().all(|branch| branch.weight == 0) {
            self.error(codes::BAD_WEIGHTS, node.span, "no number has a weight above 0");
            return None;
        }
        out.sort_by_key(|branch| branch.children);
        Some(out)
    }
}
