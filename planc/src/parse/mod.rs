//! From the YAML tree to [`crate::ast`]. Never stops at a mistake: what is wrong is reported and left out, the rest is read.

mod allows;
mod beside;
mod checks;
mod children;
mod expect;
mod fixtures;
mod generators;
mod holds;
mod load;
mod metric_refs;
mod occasions;
pub(crate) mod openapi;
mod plan;
mod records;
mod requests;
mod scenarios;
mod scrapes;
mod scripts;
mod sql_gates;
mod steps;
mod suite;
mod triage;
mod unit_tests;
mod websocket;

pub(crate) use expect::{show_template, status_expectation};
pub(crate) use load::{Loaded, join, load_any, load_fixture, load_fixtures, load_plan};
pub(crate) use plan::empty_plan;
pub(crate) use suite::{LoadedSuite, WrittenPlan, holds_suite, load_suite};
pub(crate) use unit_tests::holds_tests;
pub use unit_tests::{ReadTests, UNIT_TESTS, UnitCase, UnitTests, VERDICTS, unit_tests};

use crate::ast::{Allow, Quantity, Text, Typed, Word};
use crate::codes;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::expr::{self, Expr, Parsed, Segment};
use crate::graph::{Json, JsonTemplate};
use crate::near::{listed, nearest, of_k6};
use crate::source::{SourceMap, Span, Spanned};
use crate::units::{self, UnitError};
use crate::yaml::{Entry, Node, NodeKind};

/// Turns nodes into typed values and says what is wrong with them.
pub(crate) struct Parser<'a> {
    pub(crate) sources: &'a SourceMap,
    pub(crate) diagnostics: &'a mut Diagnostics,
    /// What the nodes read so far allow.
    pub(crate) allows: &'a mut Vec<Allow>,
}

/// A map that is being read: keys asked for are the keys it may have.
pub(crate) struct Map<'n> {
    /// `a scenario`, for messages.
    what: &'static str,
    /// Where to say that a key is missing.
    at: Span,
    /// The whole map.
    span: Span,
    entries: &'n [Entry],
    known: Vec<&'static str>,
}

impl<'n> Map<'n> {
    /// The value of a key, which from now on is known.
    fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    fn entry(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.known.push(key);
        self.entries.iter().find(|entry| entry.key.value == key)
    }

    fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key.value == key)
    }

    /// Whether a key is there that looks like a misspelling of `key`.
    fn has_near(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| {
            let name = &entry.key.value;
            nearest(name, [key]).is_some() || of_k6(name, [key].into_iter()).is_some()
        })
    }
}

/// A scalar's text, booleans included.
fn scalar_text(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::Bool(value) => Some(value.to_string()),
        NodeKind::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    }
}

/// The code and the words for a text that is not the quantity asked for.
pub(crate) fn unit_diagnostic(span: Span, text: &str, error: UnitError, replace: bool) -> Diagnostic {
    let bare = units::parse_fixed(text).is_ok() && error.message.contains("needs a unit");
    let code = if bare { codes::MISSING_UNIT } else { codes::BAD_VALUE };
    let mut diagnostic = Diagnostic::error(code, span, error.message);
    if let Some(suggestion) = error.suggestion {
        diagnostic = diagnostic.help(format!("write `{suggestion}`"));
        if bare && replace {
            diagnostic = diagnostic.suggest(span, suggestion);
        }
    }
    diagnostic
}

impl<'a> Parser<'a> {
    pub(crate) fn error(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(code, span, message));
    }

    fn wrong_type(&mut self, node: &Node, wanted: &str) {
        let found = node.describe();
        self.error(
            codes::WRONG_TYPE,
            first_line(self.sources, node.span),
            format!("expected {wanted}, found {found}"),
        );
    }

    /// Opens a map. Nothing at all counts as an empty one.
    fn map<'n>(&mut self, node: &'n Node, what: &'static str, at: Option<Span>) -> Option<Map<'n>> {
        match &node.kind {
            NodeKind::Mapping(entries) => {
                let first = entries.first().map_or(first_line(self.sources, node.span), |e| e.key.span);
                Some(Map { what, at: at.unwrap_or(first), span: node.span, entries, known: Vec::new() })
            }
            NodeKind::Null => {
                let at = at.unwrap_or(node.span);
                Some(Map { what, at, span: node.span, entries: &[], known: Vec::new() })
            }
            _ => {
                let found = node.describe();
                let span = first_line(self.sources, node.span);
                self.error(codes::WRONG_TYPE, span, format!("{what} is a map, not {found}"));
                None
            }
        }
    }

    /// Reports the keys that nobody asked for.
    fn finish(&mut self, mut map: Map<'_>) {
        if allows::TAKERS.contains(&map.what) {
            self.allow(&mut map);
        }
        for entry in map.entries {
            let key = entry.key.value.as_str();
            if !map.known.contains(&key) {
                self.unknown_key(&entry.key, map.what, &map.known);
            }
        }
    }

    fn unknown_key(&mut self, key: &Word, what: &str, known: &[&'static str]) {
        let name = &key.value;
        let mut diagnostic =
            Diagnostic::error(codes::UNKNOWN_KEY, key.span, format!("unknown key `{name}` in {what}"));
        if let Some(ours) = of_k6(name, known.iter().copied()) {
            diagnostic = match ours {
                "target" => diagnostic.help("write `target: { url: \"…\" }`"),
                "expect" => diagnostic.help("write `expect: { status: 200 }`"),
                "headers" => {
                    diagnostic.help("write what it holds beside the request, such as `headers: { … }`")
                }
                _ => diagnostic.help(format!("write `{ours}`")).suggest(key.span, ours),
            };
        } else if let Some(near) = nearest(name, known.iter().copied()) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?")).suggest(key.span, near);
        } else if !known.is_empty() && known.len() <= 14 {
            diagnostic = diagnostic.help(format!("{what} takes {}", listed(known.iter().copied(), "and")));
        }
        self.diagnostics.push(diagnostic);
    }

    /// A key that must be there.
    fn require<'n>(&mut self, map: &mut Map<'n>, key: &'static str) -> Option<&'n Node> {
        let found = map.take(key);
        if found.is_none() && !map.has_near(key) {
            self.error(codes::MISSING_KEY, map.at, format!("{} needs `{key}`", map.what));
        }
        found
    }

    /// A part of the language that this version refuses.
    fn not_yet(&mut self, map: &mut Map<'_>, key: &'static str, what: &str) -> bool {
        let Some(entry) = map.entry(key) else { return false };
        map.known.pop();
        map.known.insert(0, key);
        self.diagnostics.push(not_yet(entry.key.span, what));
        true
    }

    /// A text with slots.
    fn text(&mut self, node: &Node) -> Option<Text> {
        let Some(text) = scalar_text(node) else {
            self.wrong_type(node, "a text");
            return None;
        };
        let place = expr::place_in(self.sources, node);
        let parsed = expr::parse_template(&text, &place, self.diagnostics)?;
        Some(Text { span: node.span, parsed })
    }

    /// A text without slots.
    fn word(&mut self, node: &Node) -> Option<Word> {
        let Some(text) = scalar_text(node) else {
            self.wrong_type(node, "a text");
            return None;
        };
        if text.contains("{{") {
            let message = "no template can stand here";
            self.error(codes::WRONG_TYPE, node.span, message);
            return None;
        }
        Some(Spanned::new(text, node.span))
    }

    /// A value with a type, or a template that will give one.
    fn typed<T: Quantity>(&mut self, node: &Node) -> Typed<T> {
        let Some(text) = scalar_text(node) else {
            self.wrong_type(node, T::WHAT);
            return Typed::Broken(node.span);
        };
        if text.contains("{{") {
            return self.text(node).map_or(Typed::Broken(node.span), Typed::Template);
        }
        match T::read(&text) {
            Ok(value) => Typed::Given(Spanned::new(value, node.span)),
            Err(error) => {
                self.diagnostics.push(unit_diagnostic(node.span, &text, error, true));
                Typed::Broken(node.span)
            }
        }
    }

    fn typed_key<T: Quantity>(&mut self, map: &mut Map<'_>, key: &'static str) -> Option<Typed<T>> {
        map.take(key).map(|node| self.typed(node))
    }

    /// As [`Self::typed_key`], and it must be there.
    fn typed_required<T: Quantity>(&mut self, map: &mut Map<'_>, key: &'static str) -> Typed<T> {
        let at = map.at;
        self.require(map, key).map_or(Typed::Broken(at), |node| self.typed(node))
    }

    fn word_key(&mut self, map: &mut Map<'_>, key: &'static str) -> Option<Word> {
        map.take(key).and_then(|node| self.word(node))
    }

    fn text_key(&mut self, map: &mut Map<'_>, key: &'static str) -> Option<Text> {
        map.take(key).and_then(|node| self.text(node))
    }

    /// A word of a closed list.
    fn choice<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        words: &[(&'static str, T)],
    ) -> Option<Spanned<T>> {
        let word = self.word(node)?;
        if let Some((_, value)) = words.iter().find(|(name, _)| *name == word.value) {
            return Some(Spanned::new(*value, word.span));
        }
        let names = || words.iter().map(|(name, _)| *name);
        let mut diagnostic =
            Diagnostic::error(codes::BAD_VALUE, word.span, format!("unknown {what} `{}`", word.value));
        diagnostic = match nearest(&word.value, names()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")).suggest(word.span, near),
            None => diagnostic.help(format!("write one of {}", listed(names(), "or"))),
        };
        self.diagnostics.push(diagnostic);
        None
    }

    /// A list; one value alone is refused with the brackets to write.
    fn list<'n>(&mut self, node: &'n Node, wanted: &str) -> &'n [Node] {
        match &node.kind {
            NodeKind::Sequence(items) => items,
            NodeKind::Null => &[],
            _ => {
                self.wrong_type(node, wanted);
                &[]
            }
        }
    }

    /// A list, or one value alone.
    fn one_or_many<'n>(&mut self, node: &'n Node) -> &'n [Node] {
        match &node.kind {
            NodeKind::Sequence(items) => items,
            _ => std::slice::from_ref(node),
        }
    }

    /// The entries of a map whose keys are names.
    fn named<'n>(&mut self, node: &'n Node, what: &'static str) -> &'n [Entry] {
        self.map(node, what, None).map_or(&[], |map| map.entries)
    }

    fn words(&mut self, node: &Node) -> Vec<Word> {
        self.one_or_many(node).iter().filter_map(|item| self.word(item)).collect()
    }

    /// `name: text with slots`, sorted by name.
    fn texts(&mut self, node: &Node, what: &'static str) -> Vec<(Word, Text)> {
        let entries = self.named(node, what);
        let mut texts: Vec<(Word, Text)> =
            entries.iter().filter_map(|e| Some((e.key.clone(), self.text(&e.value)?))).collect();
        texts.sort_by(|a, b| a.0.value.cmp(&b.0.value));
        texts
    }

    fn json(&mut self, node: &Node) -> Option<Parsed<JsonTemplate>> {
        expr::json_template(self.sources, node, self.diagnostics)
    }

    /// A value that is computed: a literal, a list, `{{ expression }}` or the expression alone.
    fn computed(&mut self, node: &Node) -> Option<Parsed<Expr>> {
        if let NodeKind::Scalar { text, plain } = &node.kind
            && !(*plain && units::parse_fixed(text).is_ok())
        {
            let place = expr::place_in(self.sources, node);
            if !text.trim_start().starts_with("{{") {
                return expr::parse_expr(text, &place, self.diagnostics);
            }
            let mut parsed = expr::parse_template(text, &place, self.diagnostics)?;
            let blank =
                |segment: &Segment| matches!(segment, Segment::Literal(text) if text.trim().is_empty());
            parsed.value.segments.retain(|segment| !blank(segment));
            return match parsed.value.segments.as_slice() {
                [Segment::Slot(slot)] => Some(Parsed { value: slot.clone(), uses: parsed.uses }),
                _ => {
                    self.error(
                        codes::WRONG_TYPE,
                        node.span,
                        "expected one expression, found a text with slots",
                    );
                    None
                }
            };
        }
        let parsed = self.json(node)?;
        match expr_of(&parsed.value) {
            Some(value) => Some(Parsed { value, uses: parsed.uses }),
            None => {
                self.error(
                    codes::WRONG_TYPE,
                    first_line(self.sources, node.span),
                    "slots inside a map cannot stand here",
                );
                None
            }
        }
    }
}

/// JSON with slots as an expression; `None` for a map with slots, which expressions cannot hold.
fn expr_of(template: &JsonTemplate) -> Option<Expr> {
    Some(match template {
        JsonTemplate::Const(value) => Expr::Const(value.clone()),
        JsonTemplate::Value(expr) => expr.clone(),
        JsonTemplate::Text(text) => concatenation(&text.segments),
        JsonTemplate::List(items) => Expr::List(items.iter().map(expr_of).collect::<Option<_>>()?),
        JsonTemplate::Map(_) => return None,
    })
}

/// A text with slots as one expression.
pub(crate) fn concatenation(segments: &[Segment]) -> Expr {
    let mut parts = segments.iter().map(|segment| match segment {
        Segment::Literal(text) => Expr::Const(Json::String(text.clone())),
        Segment::Slot(slot) => slot.clone(),
    });
    let first = parts.next().unwrap_or(Expr::Const(Json::String(String::new())));
    parts.fold(first, |left, right| Expr::Binary(expr::BinaryOp::Concat, Box::new(left), Box::new(right)))
}

/// The part of a place that lies on its first line, for containers of many lines.
pub(crate) fn first_line(sources: &SourceMap, span: Span) -> Span {
    let text = sources.text(span);
    let end = text.find('\n').unwrap_or(text.len());
    span.slice(0..text[..end].trim_end().len())
}

/// The refusal of what a later version will take.
pub(crate) fn not_yet(span: Span, what: &str) -> Diagnostic {
    Diagnostic::error(codes::NOT_YET, span, format!("{what} is not supported yet"))
}
