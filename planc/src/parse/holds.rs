//! `hold_until:` of a stage.

use super::Parser;
use crate::ast::Hold;
use crate::codes;
use crate::yaml::Entry;

impl Parser<'_> {
    pub(super) fn hold(&mut self, entry: &Entry) -> Option<Hold> {
        let before = self.diagnostics.len();
        let mut map = self.map(&entry.value, "`hold_until`", Some(entry.key.span))?;
        let listed = self.require(&mut map, "stable");
        let items = listed.map_or(&[] as &[_], |node| self.one_or_many(node));
        let mut stable = Vec::new();
        for item in items {
            stable.extend(self.word(item).and_then(|word| self.metric_ref(&word)));
        }
        if let (Some(node), true) = (listed, items.is_empty()) {
            self.error(codes::MISSING_KEY, node.span, "there is no metric in `stable`");
        }
        let window = Some(self.typed_required(&mut map, "window"));
        let tolerance = self.typed_key(&mut map, "tolerance");
        let floors = map.take("floors").map_or(Vec::new(), |node| self.texts(node, "`floors`"));
        let within = Some(self.typed_required(&mut map, "within"));
        self.finish(map);
        let broken = self.diagnostics.len() > before;
        Some(Hold { span: entry.key.span, stable, window, tolerance, floors, within, broken })
    }
}
