//! Fixtures, inline and in files of their own.

use super::checks::Purpose;
use super::requests::METHODS;
use super::{Map, Parser};
use crate::ast::{Column, Fixture, FixtureKind, FixtureUse, Generator, HttpFixture, Typed, Word};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expr::Parsed;
use crate::graph::{Exists, Json, JsonTemplate, OnConflict, WeightedValue};
use crate::near::{listed, nearest};
use crate::source::{Span, Spanned};
use crate::yaml::{Entry, Node, NodeKind};

const ON_CONFLICT: [(&str, OnConflict); 4] = [
    ("fail", OnConflict::Fail),
    ("keep", OnConflict::Keep),
    ("refresh", OnConflict::Refresh),
    ("exact", OnConflict::Exact),
];

const ROW_ORDERS: [(&str, bool); 2] = [("round_robin", false), ("random", true)];

/// Keys of a column's map that say where its values come from.
const GENERATORS: [&str; 12] = [
    "value",
    "json",
    "weighted",
    "integer",
    "decimal",
    "before_now",
    "after_now",
    "time_within",
    "uuid",
    "hex",
    "references",
    "fixture",
];

impl Parser<'_> {
    /// One entry of `fixtures:`; a file named by `from` is read later.
    pub(super) fn fixture_use(&mut self, entry: &Entry) -> Option<FixtureUse> {
        let name = entry.key.clone();
        let is_map = matches!(entry.value.kind, NodeKind::Mapping(_));
        let mut map = self.map(&entry.value, "a fixture", Some(name.span))?;
        if !is_map || !map.has("from") {
            let definition = self.fixture(&entry.value, Some(name.span));
            return Some(FixtureUse { name, from: None, rows: None, on_conflict: None, definition });
        }
        let from = self.word_key(&mut map, "from");
        let rows = self.typed_key(&mut map, "rows");
        let on_conflict = map.take("on_conflict").and_then(|node| self.choice(node, "policy", &ON_CONFLICT));
        self.finish(map);
        Some(FixtureUse { name, from, rows, on_conflict, definition: None })
    }

    /// A definition, inline or a whole file.
    pub(super) fn fixture(&mut self, node: &Node, at: Option<Span>) -> Option<Fixture> {
        let mut map = self.map(node, "a fixture", at)?;
        if self.not_yet(&mut map, "sql", "a fixture from an SQL file") {
            return None;
        }
        let span = map.at;
        let name = self.word_key(&mut map, "fixture");
        let about = self.word_key(&mut map, "about");
        let rows = self.typed_key(&mut map, "rows");
        let columns = map.take("columns").map_or(Vec::new(), |node| self.columns(node));
        let verify = map
            .take("verify")
            .map_or(Vec::new(), |node| self.checks(node, "a `verify` check", Purpose::Inner));
        let kind = match (map.has("create"), map.has("table")) {
            (true, true) => {
                let create = map.entry("create").map_or(span, |entry| entry.key.span);
                let message = "a fixture is made by `create` or kept in a `table`, not both";
                self.error(codes::CONFLICTING_KEYS, create, message);
                return None;
            }
            (true, false) => self.http_fixture(&mut map),
            (false, _) => self.table_fixture(&mut map),
        };
        if rows.is_none() && !map.has("rows_from") && !map.has_near("rows") {
            self.error(codes::MISSING_KEY, span, "a fixture needs `rows`");
        }
        // Of columns under a misspelt key nothing is known, so nothing more can be said about them.
        let lost = map.has_near("columns") && !map.has("columns");
        self.finish(map);
        (!lost).then_some(Fixture { span, name, about, rows, kind, columns, verify })
    }

    fn table_fixture(&mut self, map: &mut Map<'_>) -> FixtureKind {
        let table = self.require(map, "table").and_then(|node| self.word(node));
        let identity = self.require(map, "identity").map(|node| self.words(node));
        let on_conflict = map.take("on_conflict").and_then(|node| self.choice(node, "policy", &ON_CONFLICT));
        let adopt = self.typed_key(map, "adopt");
        if table.is_none() && !map.has_near("table") {
            map.known.push("create");
        }
        match (table, identity) {
            (Some(table), Some(identity)) => FixtureKind::Table { table, identity, on_conflict, adopt },
            _ => FixtureKind::Broken,
        }
    }

    fn http_fixture(&mut self, map: &mut Map<'_>) -> FixtureKind {
        let create = map.entry("create");
        let rows_from = self.word_key(map, "rows_from");
        let export = self.typed_key(map, "export");
        let Some(create) = create else { return FixtureKind::Broken };
        let Some(mut inner) = self.map(&create.value, "`create`", Some(create.key.span)) else {
            return FixtureKind::Broken;
        };
        let create = self.request(&mut inner);
        let created = inner.take("created").and_then(|node| self.statuses(node));
        let exists = inner.take("exists").and_then(|node| self.exists(node));
        let pace = self.typed_key(&mut inner, "pace");
        let concurrency = self.typed_key(&mut inner, "concurrency");
        let (mut retry_statuses, mut retry_attempts) = (None, None);
        if let Some(node) = inner.take("retry")
            && let Some(mut retry) = self.map(node, "`retry`", None)
        {
            retry_statuses = retry.take("statuses").map(|node| self.exact_statuses(node));
            retry_attempts = self.typed_key(&mut retry, "attempts");
            self.finish(retry);
        }
        inner.known.extend(METHODS.iter().map(|(key, _)| *key));
        self.finish(inner);
        let Some(create) = create else { return FixtureKind::Broken };
        FixtureKind::Http(Box::new(HttpFixture {
            create,
            created,
            exists,
            pace,
            concurrency,
            retry_statuses,
            retry_attempts,
            rows_from,
            records: None,
            export,
        }))
    }

    fn exists(&mut self, node: &Node) -> Option<Exists> {
        let mut map = self.map(node, "`exists`", None)?;
        let status = self.require(&mut map, "status").and_then(|node| self.status(node));
        let body_contains = self.word_key(&mut map, "body_contains").map(|word| word.value);
        self.finish(map);
        Some(Exists { status: status?, body_contains })
    }

    fn exact_statuses(&mut self, node: &Node) -> Vec<u16> {
        let mut out: Vec<u16> = Vec::new();
        for item in self.one_or_many(node) {
            match self.status(item) {
                Some(crate::graph::StatusPattern::Exact(status)) => out.push(status),
                Some(_) => self.error(codes::BAD_VALUE, item.span, "`retry` wants exact statuses"),
                None => {}
            }
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    fn columns(&mut self, node: &Node) -> Vec<Column> {
        let mut out = Vec::new();
        for entry in self.named(node, "`columns`") {
            out.push(self.column(entry));
        }
        out.sort_by(|a: &Column, b: &Column| a.name.value.cmp(&b.name.value));
        out
    }

    fn column(&mut self, entry: &Entry) -> Column {
        let name = entry.key.clone();
        if !matches!(entry.value.kind, NodeKind::Mapping(_)) {
            let generator = self.json(&entry.value).map_or(Generator::Broken, Generator::Value);
            return Column { name, generator, volatile: false, fresh_within: None };
        }
        let Some(mut map) = self.map(&entry.value, "a column", Some(name.span)) else {
            return Column { name, generator: Generator::Broken, volatile: false, fresh_within: None };
        };
        let fresh_within = self.typed_key(&mut map, "fresh_within");
        let volatile = map.take("volatile").is_some_and(|node| self.flag(node));
        let generator = self.generator(&mut map, &name);
        // Without a generator the other keys make no sense, and it was told already.
        if generator.is_some() {
            self.finish(map);
        }
        Column { name, generator: generator.unwrap_or(Generator::Broken), volatile, fresh_within }
    }

    pub(super) fn flag(&mut self, node: &Node) -> bool {
        match node.kind {
            NodeKind::Bool(value) => value,
            _ => {
                self.wrong_type(node, "`true` or `false`");
                false
            }
        }
    }

    /// What gives the values; `None` when no key says so, which was reported.
    fn generator(&mut self, map: &mut Map<'_>, name: &Word) -> Option<Generator> {
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
            "uuid" => match node.kind {
                NodeKind::Bool(true) => Generator::Uuid,
                _ => {
                    self.wrong_type(node, "`true`");
                    return None;
                }
            },
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
        let value = self.require(map, "value").and_then(|node| self.json(node));
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
        Some(Generator::References { table: table.to_string(), column: column.to_string(), value: value? })
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

    fn weight(&mut self, node: &Node) -> Option<u32> {
        match self.typed::<u32>(node) {
            Typed::Given(weight) => Some(weight.value),
            Typed::Template(text) => {
                self.error(codes::WRONG_TYPE, text.span, "a weight is a literal number");
                None
            }
            Typed::Broken(_) => None,
        }
    }

    /// The records of a `rows_from` file.
    pub(super) fn json_records(&mut self, word: &Word, text: &str) -> Option<Vec<Json>> {
        let mut problem = |message: String| {
            self.diagnostics.push(Diagnostic::error(codes::BAD_JSON, word.span, message));
            None
        };
        let value: Json = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => return problem(format!("`{}` is not JSON: {error}", word.value)),
        };
        let Json::Array(items) = value else {
            return problem(format!("`{}` is not a JSON list of objects", word.value));
        };
        if items.is_empty() {
            return problem(format!("`{}` holds no row", word.value));
        }
        if let Some(at) = items.iter().position(|item| !item.is_object()) {
            return problem(format!("entry {} of `{}` is not an object", at + 1, word.value));
        }
        Some(items)
    }
}

/// A name for a fixture file that does not say its own.
pub(super) fn file_stem(path: &str, span: Span) -> Word {
    let name = path.rsplit('/').next().unwrap_or(path);
    Spanned::new(name.split('.').next().unwrap_or(name).to_string(), span)
}
