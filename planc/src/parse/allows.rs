//! `allow:`, which any node may carry that a lint can point at.

use super::{Map, Parser};
use crate::ast::{Allow, Quantity};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::placeholder::placeholder;
use crate::source::{Span, Spanned};
use crate::units::UnitError;
use crate::yaml::{Node, NodeKind};
use jiff::civil::Date;

/// Maps that take `allow`, as messages call them.
pub(super) const TAKERS: [&str; 22] = [
    "a plan",
    "an input",
    "`target`",
    "`database`",
    "a guard",
    "a preflight check",
    "a service",
    "a fixture",
    "a column",
    "a token",
    "an endpoint",
    "a metric",
    "a scenario",
    "a stage",
    "a draw",
    "a step",
    "a branch",
    "a threshold",
    "an SQL gate",
    "`health`",
    "`ready`",
    "`verify`",
];

impl Quantity for Date {
    const WHAT: &'static str = "a date";
    fn read(text: &str) -> Result<Self, UnitError> {
        text.trim().parse().map_err(|_| UnitError {
            message: format!("`{text}` is not a date"),
            suggestion: Some("2027-01-31".into()),
        })
    }
}

/// Words that stand where a reason is still to be written.
const NO_REASONS: [&str; 6] = ["tbd", "fixme", "xxx", "wip", "reason", "because"];

fn says_nothing(reason: &str) -> bool {
    let word: String = reason.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    // One letter is none; two may be: `ok`, or a word of another script.
    word.chars().count() < 2 || NO_REASONS.contains(&word.as_str()) || placeholder(reason).is_some()
}

impl Parser<'_> {
    /// Reads the `allow` of a map. What it allows, it allows from the map's key to its end.
    pub(super) fn allow(&mut self, map: &mut Map<'_>) {
        let Some(node) = map.take("allow") else { return };
        let places = match map.what {
            "a plan" => Vec::new(),
            _ if map.at.file == map.span.file => {
                vec![Span { start: map.at.start.min(map.span.start), ..map.span }]
            }
            _ => vec![map.span],
        };
        for item in self.one_or_many(node) {
            if let Some(allow) = self.allowance(item, map.at, &places) {
                self.allows.push(allow);
            }
        }
    }

    fn allowance(&mut self, node: &Node, owner: Span, places: &[Span]) -> Option<Allow> {
        if let NodeKind::Scalar { text, .. } = &node.kind {
            let message = "an `allow` is a map with a reason, not a name alone";
            let form = format!("{{ lint: {text}, reason: \"…\" }}");
            self.diagnostics.push(
                Diagnostic::error(codes::WRONG_TYPE, node.span, message)
                    .help(format!("write `{form}` with why the finding does no harm here")),
            );
            return None;
        }
        let mut map = self.map(node, "an `allow`", None)?;
        let lint = self.require(&mut map, "lint").and_then(|node| self.word(node));
        let reason = self.require(&mut map, "reason").and_then(|node| self.word(node));
        let until = map.take("until").map(|node| self.typed_date(node));
        self.finish(map);
        let reason = reason?;
        if says_nothing(&reason.value) {
            let diagnostic = Diagnostic::error(codes::BAD_VALUE, reason.span, "this reason says nothing");
            self.diagnostics.push(diagnostic.help("say in a few words why the finding does no harm here"));
            return None;
        }
        // A date that could not be read must not allow for ever.
        let until = match until {
            Some(date) => Some(date?),
            None => None,
        };
        Some(Allow { lint: lint?, reason: reason.value, until, owner, places: places.to_vec() })
    }

    fn typed_date(&mut self, node: &Node) -> Option<Spanned<Date>> {
        let word = self.word(node)?;
        match Date::read(&word.value) {
            Ok(date) => Some(Spanned::new(date, word.span)),
            Err(error) => {
                self.diagnostics.push(super::unit_diagnostic(word.span, &word.value, error, false));
                None
            }
        }
    }
}
