//! `triage:`: what is looked at when something breaks.

use super::requests::METHODS;
use super::{Map, Parser};
use crate::ast::{Look, LookAt, Triage, When, Word};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expr::Segment;
use crate::source::{Span, Spanned};
use crate::yaml::{Node, NodeKind};

impl Parser<'_> {
    /// The list, in the order in which a person would look.
    pub(super) fn triage(&mut self, node: &Node) -> Vec<Triage> {
        let items = self.list(node, "a list of entries, each with `when`, `cause` and `evidence`");
        items.iter().filter_map(|item| self.triage_entry(item)).collect()
    }

    fn triage_entry(&mut self, node: &Node) -> Option<Triage> {
        let mut map = self.map(node, "a triage entry", None)?;
        let span = map.at;
        let name = self.word_key(&mut map, "name");
        let when = self.require(&mut map, "when").and_then(|node| self.when(node));
        let lasts = self.typed_key(&mut map, "for");
        let cause = self.require(&mut map, "cause").and_then(|node| self.word(node));
        let evidence = match map.take("evidence") {
            Some(node) => self.one_or_many(node).iter().filter_map(|item| self.look(item)).collect(),
            None => Vec::new(),
        };
        let decision = self.word_key(&mut map, "decision");
        self.finish(map);
        Some(Triage { span, name, when, lasts, cause, evidence, decision })
    }

    /// `gate`, or a metric, a comparison and a bound.
    fn when(&mut self, node: &Node) -> Option<When> {
        let text = self.text(node)?;
        if text.parsed.value.as_literal().is_some_and(|text| text.trim() == "gate") {
            return Some(When::Gate);
        }
        let left = match text.parsed.value.segments.first() {
            // What stands in a selector's braces is no comparison.
            Some(Segment::Literal(literal)) => {
                let from = literal.find('}').unwrap_or(0);
                literal[from..]
                    .find(['<', '>', '=', '!'])
                    .map(|at| literal[..from + at].trim_end().to_string())
            }
            _ => None,
        };
        let Some(left) = left.filter(|left| !left.trim().is_empty()) else {
            let message = "`when` is `gate`, or a metric, a comparison and a bound";
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_THRESHOLD, text.span, message)
                    .help("write a condition such as `http_req_duration{name:bet}.p95 > 500ms`"),
            );
            return None;
        };
        let offset = self.sources.text(text.span).find(left.as_str()).unwrap_or(0);
        let place = text.span.slice(offset..offset + left.len());
        let of = self.metric_ref(&Spanned::new(left, place))?;
        Some(When::Metric(of, text))
    }

    fn look(&mut self, node: &Node) -> Option<Look> {
        let mut map = self.map(node, "a look", None)?;
        let within = self.typed_key(&mut map, "within");
        let at = self.look_at(&mut map);
        self.finish(map);
        Some(Look { at: at?, within })
    }

    fn look_at(&mut self, map: &mut Map<'_>) -> Option<LookAt> {
        let keys = METHODS.iter().map(|(key, _)| *key).chain(["sql", "promql", "command"]);
        let found: Vec<(&'static str, Span)> =
            keys.filter_map(|key| map.entry(key).map(|entry| (key, entry.key.span))).collect();
        let Some(&(key, span)) = found.first() else {
            if !["get", "sql", "promql", "command"].iter().any(|key| map.has_near(key)) {
                self.diagnostics.push(
                    Diagnostic::error(codes::MISSING_KEY, map.at, "a look needs `sql`, `get`, `promql` or `command`")
                        .help("write `evidence: { sql: \"select state, count(*) from pg_stat_activity group by 1\" }`"),
                );
            }
            self.skip(map);
            return None;
        };
        if let Some((second, place)) = found.get(1) {
            let message = format!("a look is at one thing: `{key}` and `{second}` stand side by side");
            self.error(codes::CONFLICTING_KEYS, *place, message);
            return None;
        }
        let node = map.take(key)?;
        match key {
            "sql" => self.text(node).map(LookAt::Sql),
            "command" => self.argv(node).map(LookAt::Command),
            "promql" => {
                let at = self.text_key(map, "at");
                let query = self.promql(node)?;
                Some(LookAt::Promql { span, query, at })
            }
            _ => self.request_tail(map, key, span).map(|request| LookAt::Http(Box::new(request))),
        }
    }

    /// A query as it is: its braces are its own.
    fn promql(&mut self, node: &Node) -> Option<Word> {
        match &node.kind {
            NodeKind::Scalar { text, .. } => Some(Spanned::new(text.clone(), node.span)),
            _ => self.word(node),
        }
    }
}
