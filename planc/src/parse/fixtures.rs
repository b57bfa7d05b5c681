//! Fixtures, inline and in files of their own.

use super::checks::Purpose;
use super::requests::METHODS;
use super::{Map, Parser};
use crate::ast::{
    Column, Fixture, FixtureKind, FixtureUse, Generator, HttpFixture, Request, TableFixture, Word,
};
use crate::codes;
use crate::graph::{Exists, OnConflict, StatusPattern};
use crate::source::{Span, Spanned};
use crate::yaml::{Entry, Node, NodeKind};

const ON_CONFLICT: [(&str, OnConflict); 4] = [
    ("fail", OnConflict::Fail),
    ("keep", OnConflict::Keep),
    ("refresh", OnConflict::Refresh),
    ("exact", OnConflict::Exact),
];

impl Parser<'_> {
    /// One entry of `fixtures:`; a file named by `from` is read later.
    pub(super) fn fixture_use(&mut self, entry: &Entry) -> Option<FixtureUse> {
        let name = entry.key.clone();
        let is_map = matches!(entry.value.kind, NodeKind::Mapping(_));
        let mut map = self.map(&entry.value, "a fixture", Some(name.span))?;
        if !is_map || !map.has("from") {
            let definition = self.fixture(&entry.value, Some(name.span));
            let (from, rows, on_conflict, after) = (None, None, None, Vec::new());
            return Some(FixtureUse { name, from, rows, on_conflict, after, definition });
        }
        let from = self.word_key(&mut map, "from");
        let rows = self.typed_key(&mut map, "rows");
        let on_conflict = map.take("on_conflict").and_then(|node| self.choice(node, "policy", &ON_CONFLICT));
        let after = map.take("after").map_or(Vec::new(), |node| self.words(node));
        self.finish(map);
        Some(FixtureUse { name, from, rows, on_conflict, after, definition: None })
    }

    /// A definition, inline or a whole file.
    pub(super) fn fixture(&mut self, node: &Node, at: Option<Span>) -> Option<Fixture> {
        let mut map = self.map(node, "a fixture", at)?;
        let span = map.at;
        let name = self.word_key(&mut map, "fixture");
        let about = self.word_key(&mut map, "about");
        let rows = self.typed_key(&mut map, "rows");
        let children = self.children(&mut map);
        let after = map.take("after").map_or(Vec::new(), |node| self.words(node));
        let rows_from = self.word_key(&mut map, "rows_from");
        let columns = map.take("columns").map_or(Vec::new(), |node| self.columns(node));
        let verify = map
            .take("verify")
            .map_or(Vec::new(), |node| self.checks(node, "a `verify` check", Purpose::Inner));
        let kind = match (map.has("create"), map.has("table")) {
            _ if map.has("sql") => self.sql_fixture(&mut map, rows.as_ref(), &columns)?,
            (true, true) => {
                let create = map.entry("create").map_or(span, |entry| entry.key.span);
                let message = "a fixture is made by `create` or kept in a `table`, not both";
                self.error(codes::CONFLICTING_KEYS, create, message);
                return None;
            }
            (true, false) => self.http_fixture(&mut map),
            (false, _) => self.table_fixture(&mut map),
        };
        let told = children.is_some()
            || rows_from.is_some()
            || map.has("rows_from")
            || map.has("sql")
            || map.has_near("rows")
            || map.has_near("children");
        if rows.is_none() && !told {
            self.error(codes::MISSING_KEY, span, "a fixture needs `rows`");
        }
        // Of columns under a misspelt key nothing is known, so nothing more can be said about them.
        let lost = map.has_near("columns") && !map.has("columns");
        self.finish(map);
        (!lost).then_some(Fixture {
            span,
            name,
            about,
            rows,
            children,
            after,
            rows_from,
            records: None,
            kind,
            columns,
            verify,
        })
    }

    fn table_fixture(&mut self, map: &mut Map<'_>) -> FixtureKind {
        let table = self.require(map, "table").and_then(|node| self.word(node));
        let identity = self.require(map, "identity").map(|node| self.words(node));
        let on_conflict = map.take("on_conflict").and_then(|node| self.choice(node, "policy", &ON_CONFLICT));
        let adopt = self.typed_key(map, "adopt");
        let skip_foreign_key_triggers = self.typed_key(map, "skip_foreign_key_triggers");
        let rebuild_indexes = self.typed_key(map, "rebuild_indexes");
        let append_only = self.typed_key(map, "append_only");
        if table.is_none() && !map.has_near("table") {
            map.known.extend(["create", "sql"]);
        }
        let (Some(table), Some(identity)) = (table, identity) else { return FixtureKind::Broken };
        FixtureKind::Table(TableFixture {
            table,
            identity,
            on_conflict,
            adopt,
            skip_foreign_key_triggers,
            rebuild_indexes,
            append_only,
        })
    }

    fn http_fixture(&mut self, map: &mut Map<'_>) -> FixtureKind {
        let create = map.entry("create");
        let export = self.typed_key(map, "export");
        let probe = map.entry("probe").and_then(|entry| self.account_probe(entry));
        let reissue = map.entry("reissue").and_then(|entry| self.reissue(entry));
        let Some(create) = create else { return FixtureKind::Broken };
        let Some(mut inner) = self.map(&create.value, "`create`", Some(create.key.span)) else {
            return FixtureKind::Broken;
        };
        let create = self.request(&mut inner);
        let created = inner.take("created").and_then(|node| self.statuses(node));
        let exists = inner.take("exists").and_then(|node| self.exists(node));
        let pace = self.typed_key(&mut inner, "pace");
        let limit = self.typed_key(&mut inner, "limit");
        let capture = inner.take("capture").map_or(Vec::new(), |node| self.captures(node));
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
            limit,
            concurrency,
            retry_statuses,
            retry_attempts,
            export,
            capture,
            probe,
            reissue,
        }))
    }

    /// `probe: { get: /api/me, expect: { status: 200 } }`.
    fn account_probe(&mut self, entry: &Entry) -> Option<(Request, Option<Vec<StatusPattern>>)> {
        let mut map = self.map(&entry.value, "`probe`", Some(entry.key.span))?;
        let request = self.request(&mut map);
        let mut alive = None;
        if let Some(node) = map.take("expect")
            && let Some(mut expect) = self.map(node, "`expect` of a fixture's probe", None)
        {
            alive = self.require(&mut expect, "status").and_then(|node| self.statuses(node));
            self.finish(expect);
        }
        map.known.extend(METHODS.iter().map(|(key, _)| *key));
        self.finish(map);
        Some((request?, alive))
    }

    fn reissue(&mut self, entry: &Entry) -> Option<Request> {
        let mut map = self.map(&entry.value, "`reissue`", Some(entry.key.span))?;
        let request = self.request(&mut map);
        map.known.extend(METHODS.iter().map(|(key, _)| *key));
        self.finish(map);
        request
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
                Some(StatusPattern::Exact(status)) => out.push(status),
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
            return Column { name, generator, volatile: false, fresh_within: None, unique: false };
        }
        let Some(mut map) = self.map(&entry.value, "a column", Some(name.span)) else {
            let generator = Generator::Broken;
            return Column { name, generator, volatile: false, fresh_within: None, unique: false };
        };
        let fresh_within = self.typed_key(&mut map, "fresh_within");
        let volatile = map.take("volatile").is_some_and(|node| self.flag(node));
        let unique = map.take("unique").is_some_and(|node| self.flag(node));
        let generator = self.generator(&mut map, &name);
        // Without a generator the other keys make no sense, and it was told already.
        if generator.is_some() {
            self.finish(map);
        }
        Column { name, generator: generator.unwrap_or(Generator::Broken), volatile, fresh_within, unique }
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
}

/// A name for a fixture file that does not say its own.
pub(super) fn file_stem(path: &str, span: Span) -> Word {
    let name = path.rsplit('/').next().unwrap_or(path);
    Spanned::new(name.split('.').next().unwrap_or(name).to_string(), span)
}
