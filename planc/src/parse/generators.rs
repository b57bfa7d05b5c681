//! Where a column's values come from.

use super::{Map, Parser};
use crate::ast::{Generator, PasswordScheme, Typed, Word};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expr::Parsed;
use crate::graph::{Fake, Json, JsonTemplate, WeightedValue};
use crate::near::{listed, nearest};
use crate::yaml::{Node, NodeKind};

const ROW_ORDERS: [(&str, bool); 2] = [("round_robin", false), ("random", true)];

/// Versions of `uuid`; true is the one that is in order.
const UUIDS: [(&str, bool); 2] = [("v4", false), ("v7", true)];

/// Keys of a column's map that say where its values come from.
const GENERATORS: [&str; 17] = [
    "value",
    "json",
    "weighted",
    "integer",
    "decimal",
    "before_now",
    "after_now",
    "time_within",
    "uuid",
    "fake",
    "sha256",
    "hmac_sha256",
    "bcrypt",
    "argon2id",
    "hex",
    "references",
    "fixture",
];

impl Parser<'_> {
    /// What gives the values; `None` when no key says so, which was reported.
    pub(super) fn generator(&mut self, map: &mut Map<'_>, name: &Word) -> Option<Generator> {
        let found: Vec<&'static str> = GENERATORS
            .into_iter()
            .filter(|key| map.has(key))
            // `value` is a part of `references`, not a generator beside it.
            .filter(|key| *key != "value" || !map.has("references"))
            .collect();
        let Some(&key) = found.first() else {
            self.no_generator(map, name);
            return None;
        };
        if let Some(second) = found.get(1) {
            let span = map.entry(second).map_or(map.at, |entry| entry.key.span);
            let message = format!("a column has one source: `{key}` and `{second}` stand side by side");
            self.error(codes::CONFLICTING_KEYS, span, message);
        }
        let node = map.take(key)?;
        Some(self.generator_of(key, node, map).unwrap_or(Generator::Broken))
    }

    fn no_generator(&mut self, map: &Map<'_>, name: &Word) {
        let misspelt = map.entries.iter().find(|e| nearest(&e.key.value, GENERATORS).is_some());
        let diagnostic = match misspelt {
            Some(entry) => {
                let near = nearest(&entry.key.value, GENERATORS).unwrap_or_default();
                Diagnostic::error(
                    codes::UNKNOWN_KEY,
                    entry.key.span,
                    format!("unknown generator `{}`", entry.key.value),
                )
                .help(format!("did you mean `{near}`?"))
                .suggest(entry.key.span, near)
            }
            None => Diagnostic::error(
                codes::UNKNOWN_KEY,
                map.entries.first().map_or(name.span, |entry| entry.key.span),
                format!("it is not told where the values of `{}` come from", name.value),
            )
            .note(format!("a column's map has one of {}", listed(GENERATORS, "and")))
            .help("for a JSON object, write `{ json: { … } }`"),
        };
        self.diagnostics.push(diagnostic);
    }

    fn generator_of(&mut self, key: &str, node: &Node, map: &mut Map<'_>) -> Option<Generator> {
        Some(match key {
            "value" | "json" => Generator::Value(self.json(node)?),
            "weighted" => Generator::Weighted(self.weighted(node)?),
            "integer" => {
                let (from, to) = self.bounds(node, "`integer`")?;
                Generator::Integer(from, to)
            }
            "decimal" => {
                let (from, to) = self.bounds(node, "`decimal`")?;
                Generator::Decimal(from, to)
            }
            "before_now" | "after_now" => return self.offset(node, key == "before_now"),
            "time_within" => {
                let mut inner = self.map(node, "`time_within`", None)?;
                let from = self.typed_key(&mut inner, "from");
                let to = self.typed_required(&mut inner, "to");
                let past = inner.take("past").is_some_and(|node| self.flag(node));
                self.finish(inner);
                let from = from.unwrap_or(super::steps::given(std::time::Duration::ZERO, node.span));
                Generator::TimeWithin { from, to, past }
            }
            "uuid" if matches!(node.kind, NodeKind::Bool(true)) => Generator::Uuid,
            "uuid" => match self.choice(node, "version of UUID", &UUIDS)?.value {
                true => Generator::UuidV7,
                false => Generator::Uuid,
            },
            "fake" => Generator::Fake(self.choice(node, "kind of words", &Fake::NAMES)?),
            "sha256" => Generator::Sha256(self.text(node)?, None),
            "hmac_sha256" => {
                let key = self.require(map, "key").and_then(|node| self.text(node));
                Generator::Sha256(self.text(node)?, Some(key?))
            }
            "bcrypt" => {
                let cost = self.typed_key(map, "cost");
                Generator::Password(self.text(node)?, PasswordScheme::Bcrypt { cost })
            }
            "argon2id" => {
                let (memory, passes) = (self.typed_key(map, "memory"), self.typed_key(map, "passes"));
                Generator::Password(self.text(node)?, PasswordScheme::Argon2id { memory, passes })
            }
            "hex" => Generator::Hex(self.typed(node)),
            "references" => self.references(node, map)?,
            _ => {
                let fixture = self.word(node);
                let column = self.require(map, "column").and_then(|node| self.word(node));
                let order = map.take("order").and_then(|node| self.choice(node, "order", &ROW_ORDERS));
                Generator::Fixture {
                    fixture: fixture?,
                    column: column?,
                    random: order.is_some_and(|o| o.value),
                }
            }
        })
    }

    /// `before_now: 12s`, or a range of offsets.
    fn offset(&mut self, node: &Node, past: bool) -> Option<Generator> {
        if matches!(node.kind, NodeKind::Mapping(_)) {
            let what = if past { "`before_now`" } else { "`after_now`" };
            let (from, to) = self.bounds(node, what)?;
            return Some(Generator::TimeWithin { from, to, past });
        }
        let text = self.text(node)?;
        if let Some(literal) = text.parsed.value.as_literal()
            && let Err(error) = crate::units::parse_duration(literal)
        {
            self.diagnostics.push(super::unit_diagnostic(node.span, literal, error, true));
            return None;
        }
        Some(if past { Generator::BeforeNow(text) } else { Generator::AfterNow(text) })
    }

    fn references(&mut self, node: &Node, map: &mut Map<'_>) -> Option<Generator> {
        let word = self.word(node);
        let sample = map.entry("sample").map(|entry| (entry.key.span, self.typed(&entry.value)));
        let value = match &sample {
            None => {
                let value = map.take("value");
                if value.is_none() && !map.has_near("value") && !map.has_near("sample") {
                    let message = "`references` needs the `value` of a row, or a `sample` to draw from";
                    self.error(codes::MISSING_KEY, map.at, message);
                }
                value.and_then(|node| self.json(node))
            }
            Some((span, _)) => {
                if map.take("value").is_some() {
                    let message = "a reference has the one `value`, or is drawn from a `sample`, not both";
                    self.error(codes::CONFLICTING_KEYS, *span, message);
                }
                None
            }
        };
        let word = word?;
        let Some((table, column)) =
            word.value.rsplit_once('.').filter(|(t, c)| !t.is_empty() && !c.is_empty())
        else {
            let message = "`references` names a table and its column";
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_VALUE, word.span, message)
                    .help(format!("write `{}.id`", word.value)),
            );
            return None;
        };
        let (table, column) = (table.to_string(), column.to_string());
        Some(match sample {
            Some((span, size)) => Generator::Sample { table, column, size, span },
            None => Generator::References { table, column, value: value? },
        })
    }

    fn bounds<T: crate::ast::Quantity>(
        &mut self,
        node: &Node,
        what: &'static str,
    ) -> Option<(Typed<T>, Typed<T>)> {
        let mut map = self.map(node, what, None)?;
        let from = self.typed_required(&mut map, "from");
        let to = self.typed_required(&mut map, "to");
        self.finish(map);
        Some((from, to))
    }

    /// `{ linux: 80, windows: 10 }`, or `[{ value: 1, weight: 3 }, …]` for what is not text.
    fn weighted(&mut self, node: &Node) -> Option<Vec<WeightedValue>> {
        let mut out = Vec::new();
        if let NodeKind::Sequence(items) = &node.kind {
            for item in items {
                let mut map = self.map(item, "a weighted value", None)?;
                let value = self.require(&mut map, "value").and_then(|node| self.json(node));
                let weight = self.require(&mut map, "weight").and_then(|node| self.weight(node));
                self.finish(map);
                match value {
                    Some(Parsed { value: JsonTemplate::Const(value), .. }) => {
                        out.extend(weight.map(|weight| WeightedValue { value, weight }));
                    }
                    Some(_) => self.error(codes::WRONG_TYPE, item.span, "a weighted value is a literal"),
                    None => {}
                }
            }
        } else {
            for entry in self.named(node, "`weighted`") {
                let value = Json::String(entry.key.value.clone());
                out.extend(self.weight(&entry.value).map(|weight| WeightedValue { value, weight }));
            }
        }
        if out.iter().all(|branch| branch.weight == 0) {
            self.error(codes::BAD_WEIGHTS, node.span, "no value has a weight above 0");
            return None;
        }
        out.sort_by_key(|branch| branch.value.to_string());
        Some(out)
    }

    pub(super) fn weight(&mut self, node: &Node) -> Option<u32> {
        match self.typed::<u32>(node) {
            Typed::Given(weight) => Some(weight.value),
            Typed::Template(text) => {
                self.error(codes::WRONG_TYPE, text.span, "a weight is a literal number");
                None
            }
            Typed::Broken(_) => None,
        }
    }
}
