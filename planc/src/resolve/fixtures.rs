//! Fixtures: columns that hang together, identities that tell rows apart, parents first.

use super::scope::{Scope, Shape};
use super::{Resolver, topological};
use crate::ast::{self, FixtureKind, Generator, Typed};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expr::NameUse;
use crate::graph::{self, Column, Columns, Json, OnConflict, Retry, StatusPattern};
use crate::near::listed;
use crate::resolved::{Endpoint, Fixture};
use crate::source::{Span, Spanned};
use crate::units::Rate;
use std::collections::{BTreeMap, BTreeSet};

/// Requests of an HTTP fixture in flight at once, unless the plan says otherwise.
const CONCURRENCY: u32 = 4;

/// Seconds that an answer may take while a pace is still kept, and how many requests that may be at most.
const SLOWEST: u64 = 5;
const MOST_IN_FLIGHT: u32 = 128;

/// Attempts at one account, unless the plan says otherwise.
const ATTEMPTS: u32 = 5;

/// More would fill any disk: a slip of the finger.
pub(super) const MAX_ROWS: u64 = 1_000_000_000;

/// Names that the rows of `children` see beside their own columns.
const OF_CHILDREN: [&str; 2] = ["parent", "child"];

impl Resolver<'_> {
    /// All fixtures, parents first.
    pub(super) fn fixtures(&mut self, seed: u64) -> Vec<Fixture> {
        let plan = self.plan;
        for fixture in &plan.fixtures {
            let shape = fixture.definition.as_ref().map_or(Shape::Any, column_shape);
            self.columns.insert(fixture.name.value.clone(), shape);
        }
        let order = self.seeding_order();
        let mut done = Vec::new();
        for name in &order {
            let Some(fixture) = plan.fixtures.iter().find(|fixture| fixture.name.value == *name) else {
                continue;
            };
            let place = format!("fixtures.{}", fixture.name.value);
            let resolved = self.at(&place, |it| it.fixture(fixture, seed, &done));
            done.extend(resolved);
        }
        self.samples();
        done
    }

    fn fixture(&mut self, written: &ast::FixtureUse, seed: u64, done: &[Fixture]) -> Option<Fixture> {
        let Some(definition) = written.definition.as_ref() else {
            self.lost.fixtures = true;
            return None;
        };
        let name = written.name.value.clone();
        let origin = format!("fixtures.{name}");
        self.origins.insert(origin.clone(), written.name.span);
        let own_name = definition.name.as_ref().map_or(name.clone(), |own| own.value.clone());
        let children =
            self.part("children", |it| it.children(written, definition, (seed, own_name.as_str()), done));
        let (rows, children) = match children {
            Some((rows, children)) => (rows, Some(children)),
            None => (self.part("rows", |it| it.rows(written, definition)), None),
        };
        let columns = self.columns_of(definition, &origin, rows);
        let verify_scope = self.inputs_scope().plain(["rows", "seed"]);
        let verify = definition
            .verify
            .iter()
            .filter_map(|check| {
                let resolved = self.at(super::UNNAMED, |it| it.check_of(check, &verify_scope, None))?;
                self.settle(&format!("{origin}.verify.{}", resolved.name));
                self.origins.insert(format!("{origin}.verify.{}", resolved.name), check.span);
                Some(resolved)
            })
            .collect();
        let kind = match &definition.kind {
            FixtureKind::Broken => {
                self.lost.fixtures = true;
                return None;
            }
            FixtureKind::Table(table) => {
                graph::FixtureKind::Table(self.table(table, written, definition, &origin, columns))
            }
            FixtureKind::Http(http) => {
                if let Some(policy) = &written.on_conflict {
                    let message = "accounts made by `create` take no `on_conflict`";
                    self.error(codes::CONFLICTING_KEYS, policy.span, message);
                }
                graph::FixtureKind::Http(self.http(http, definition, columns))
            }
            FixtureKind::Sql(sql) => graph::FixtureKind::Sql(self.script(sql, written, definition, columns)?),
        };
        Some(Fixture {
            span: written.name.span,
            columns: column_places(definition),
            fixture: graph::Fixture {
                name,
                fixture: own_name,
                about: definition.about.as_ref().map_or(String::new(), |about| about.value.clone()),
                rows,
                children,
                after: self.afters(written),
                kind,
                verify,
            },
        })
    }

    fn table(
        &mut self,
        table: &ast::TableFixture,
        written: &ast::FixtureUse,
        definition: &ast::Fixture,
        origin: &str,
        columns: Columns,
    ) -> graph::TableFixture {
        self.origins.insert(format!("{origin}.table"), table.table.span);
        if let Some(first) = table.identity.first() {
            self.origins.insert(format!("{origin}.identity"), first.span);
        }
        self.identity(&table.identity, definition);
        let on_conflict = written.on_conflict.as_ref().or(table.on_conflict.as_ref());
        let mut flag =
            |name: &str, flag: &Option<Typed<bool>>| self.part(name, |it| it.typed_or(flag.as_ref(), false));
        let append_only = flag("append_only", &table.append_only);
        let adopt = flag("adopt", &table.adopt);
        let skip_foreign_key_triggers = flag("skip_foreign_key_triggers", &table.skip_foreign_key_triggers);
        let rebuild_indexes = flag("rebuild_indexes", &table.rebuild_indexes);
        if append_only {
            self.never_changed(on_conflict, definition, &columns);
        }
        let policy = if append_only { OnConflict::Keep } else { OnConflict::Refresh };
        graph::TableFixture {
            table: table.table.value.clone(),
            identity: table.identity.iter().map(|column| column.value.clone()).collect(),
            on_conflict: on_conflict.map_or(policy, |policy| policy.value),
            adopt,
            skip_foreign_key_triggers,
            rebuild_indexes,
            append_only,
            columns,
        }
    }

    /// The number of rows: what the plan asks for, what the definition has, what the file holds.
    fn rows(&mut self, written: &ast::FixtureUse, definition: &ast::Fixture) -> u64 {
        // What is wrong with a number beside a script that declares nothing is told elsewhere.
        if matches!(&definition.kind, FixtureKind::Sql(sql) if sql.declared.is_none()) {
            return 0;
        }
        let asked = written.rows.as_ref().or(definition.rows.as_ref());
        let rows = asked.and_then(|rows| self.typed(rows));
        let held = definition.records.as_ref().map(|records| records.len() as u64);
        if let (Some(asked), Some(rows)) = (asked, rows) {
            if rows == 0 {
                self.error(codes::BAD_VALUE, asked.span(), "a fixture without rows seeds nothing");
            }
            if rows > MAX_ROWS {
                let message = "a fixture has at most 1,000,000,000 rows";
                self.error(codes::BAD_VALUE, asked.span(), message);
            }
            if let Some(held) = held
                && rows > held
            {
                let message = format!("{rows} rows are asked for, and the file holds {held}");
                self.error(codes::BAD_VALUE, asked.span(), message);
            }
        }
        rows.or(held).unwrap_or(1)
    }

    fn row_scope(&self, definition: &ast::Fixture) -> Scope {
        let mut scope = self.inputs_scope();
        for name in column_names(definition) {
            scope.names.insert(name, Shape::Any);
        }
        if let Some(children) = &definition.children {
            let parent = match self.columns.get(&children.of.value) {
                Some(Shape::Fields(fields)) => {
                    let mut fields = fields.clone();
                    fields.insert("n".into(), Shape::Plain);
                    Shape::Fields(fields)
                }
                _ => Shape::Any,
            };
            scope = scope.with("parent", parent).plain(["child"]);
        }
        if let FixtureKind::Http(http) = &definition.kind {
            scope.unset.extend(http.capture.iter().map(|(name, _)| (name.value.clone(), name.span)));
        }
        scope.plain(["n", "rows", "seed"])
    }

    /// What is in scope once the service has told what is captured.
    fn told_scope(&mut self, http: &ast::HttpFixture, scope: &Scope) -> Scope {
        let mut scope = scope.clone();
        for (name, _) in &http.capture {
            if scope.names.insert(name.value.clone(), Shape::Any).is_some() {
                let message = format!("`{}` is captured and has a meaning already", name.value);
                self.error(codes::DUPLICATE_NAME, name.span, message);
            }
            scope.unset.remove(&name.value);
        }
        scope
    }

    fn columns_of(&mut self, definition: &ast::Fixture, origin: &str, rows: u64) -> Columns {
        let scope = self.row_scope(definition);
        let mut out = Columns::new();
        record_columns(definition.records.as_deref().unwrap_or_default(), &mut out);
        for column in &definition.columns {
            self.origins.insert(format!("{origin}.columns.{}", column.name.value), column.name.span);
            let fresh_within = column.fresh_within.as_ref().and_then(|within| self.typed(within));
            let Some(mut generator) = self.generator(&column.generator, &scope) else { continue };
            if let (graph::Generator::Fake { kind, numbered }, ast::Generator::Fake(word), true) =
                (&mut generator, &column.generator, column.unique)
            {
                *numbered = true;
                self.countable(*kind, word.span, rows);
            }
            let volatile = column.volatile || column.fresh_within.is_some();
            out.insert(
                column.name.value.clone(),
                Column { generator, volatile, fresh_within, unique: column.unique },
            );
        }
        self.column_cycles(definition);
        out
    }

    fn column_cycles(&mut self, definition: &ast::Fixture) {
        let mut names = column_names(definition);
        if definition.children.is_some() {
            names.retain(|name| !OF_CHILDREN.contains(&name.as_str()));
        }
        let needs: BTreeMap<String, Vec<String>> = definition
            .columns
            .iter()
            .map(|column| {
                let used =
                    uses(&column.generator).iter().filter_map(|name_use| name_use.path.first().cloned());
                (column.name.value.clone(), used.filter(|name| names.contains(name)).collect())
            })
            .collect();
        let Err(cycle) = topological(&needs) else { return };
        let Some(first) = definition.columns.iter().find(|column| cycle.contains(&column.name.value)) else {
            return;
        };
        let message = match cycle.len() {
            1 => format!("column `{}` is made from itself", first.name.value),
            _ => format!(
                "columns {} are made from each other",
                listed(cycle.iter().map(String::as_str), "and")
            ),
        };
        self.error(codes::CYCLE, first.name.span, message);
    }

    /// What an append-only table does not take.
    fn never_changed(
        &mut self,
        policy: Option<&Spanned<OnConflict>>,
        definition: &ast::Fixture,
        columns: &Columns,
    ) {
        if let Some(policy) =
            policy.filter(|policy| matches!(policy.value, OnConflict::Refresh | OnConflict::Exact))
        {
            let message = "rows of an append-only table are neither changed nor deleted";
            self.diagnostics.push(Diagnostic::error(codes::CONFLICTING_KEYS, policy.span, message).help(
                "write `on_conflict: keep` or `on_conflict: fail`; `keep` is what it is without a word",
            ));
        }
        for column in &definition.columns {
            if columns.get(&column.name.value).is_some_and(|made| made.fresh_within.is_some()) {
                let message = format!(
                    "`{}` would be moved before a load, and rows of an append-only table are not changed",
                    column.name.value
                );
                self.diagnostics.push(
                    Diagnostic::error(codes::CONFLICTING_KEYS, column.name.span, message)
                        .help("leave `fresh_within` out"),
                );
            }
        }
    }

    /// Identity columns exist, and at least one of them differs from row to row.
    pub(super) fn identity(&mut self, identity: &[ast::Word], definition: &ast::Fixture) {
        let mut all = true;
        let names = column_names(definition);
        // Of a file that could not be read nobody knows the fields.
        let unread = definition.rows_from.is_some() && definition.records.is_none();
        for column in identity {
            if unread {
                all = false;
            } else if !names.contains(&column.value) {
                self.unknown("column", column, names.iter().map(String::as_str));
                all = false;
            }
        }
        let known = |name: &str| definition.columns.iter().find(|column| column.name.value == name);
        let broken =
            identity.iter().filter_map(|c| known(&c.value)).any(|c| matches!(c.generator, Generator::Broken));
        let unique = identity.iter().any(|column| differs(&column.value, definition, &mut BTreeSet::new()));
        let Some(first) = identity.first() else {
            return self.error(codes::MISSING_KEY, definition.span, "`identity` names no column");
        };
        if all && !unique && !broken {
            let shown = listed(identity.iter().map(|column| column.value.as_str()), "and");
            let mut diagnostic = Diagnostic::error(
                codes::IDENTITY_NOT_UNIQUE,
                first.span,
                format!("{shown} is the same in every row, or may be"),
            )
            .help(format!(
                "make it from the row's number, such as `{}: \"row-{{{{ n | pad(5) }}}}\"`",
                first.value
            ));
            if let Some(column) = known(&first.value) {
                diagnostic = diagnostic.also(column.name.span, "made here");
            }
            self.diagnostics.push(diagnostic);
        }
    }

    fn http(
        &mut self,
        http: &ast::HttpFixture,
        definition: &ast::Fixture,
        columns: Columns,
    ) -> graph::HttpFixture {
        let scope = self.row_scope(definition);
        let told_scope = self.told_scope(http, &scope);
        let pace: Option<Rate> = http.pace.as_ref().and_then(|pace| self.typed(pace));
        let limit = http.limit.as_ref().and_then(|limit| self.typed(limit));
        let concurrency = self.typed_or(http.concurrency.as_ref(), CONCURRENCY);
        let attempts = self.typed_or(http.retry_attempts.as_ref(), ATTEMPTS);
        for (value, typed) in [(concurrency, &http.concurrency), (attempts, &http.retry_attempts)] {
            if let (0, Some(typed)) = (value, typed) {
                self.error(codes::BAD_VALUE, typed.span(), "at least 1 is needed here");
            }
        }
        graph::HttpFixture {
            columns,
            create: self.request(&http.create, &scope),
            created: http.created.clone().unwrap_or_else(|| vec![StatusPattern::Class(2)]),
            exists: http.exists.clone(),
            pace,
            limit,
            concurrency,
            retry: Retry {
                statuses: http.retry_statuses.clone().unwrap_or_else(|| vec![429, 503]),
                attempts,
            },
            capture: http
                .capture
                .iter()
                .map(|(name, from)| graph::Capture { name: name.value.clone(), from: from.clone() })
                .collect(),
            probe: http.probe.as_ref().map(|(request, alive)| graph::AccountProbe {
                request: self.request(request, &told_scope),
                alive: alive.clone().unwrap_or_else(|| vec![StatusPattern::Class(2)]),
            }),
            reissue: http.reissue.as_ref().map(|request| self.request(request, &told_scope)),
            export: http.export.as_ref().and_then(|export| self.typed(export)),
        }
    }
}

/// The fixtures, with the limits of the endpoints through which they make accounts: the lowest counts.
pub(super) fn fitted(
    mut fixtures: Vec<Fixture>,
    endpoints: &BTreeMap<String, Endpoint>,
    written: &[ast::FixtureUse],
) -> Vec<Fixture> {
    for fixture in &mut fixtures {
        let graph::FixtureKind::Http(http) = &mut fixture.fixture.kind else { continue };
        let asked = endpoints.values().filter(|endpoint| endpoint.is_asked_by(&http.create));
        let limits = asked.filter_map(|endpoint| endpoint.limit).chain(http.limit);
        http.limit = limits.min_by(|a, b| a.per_second().total_cmp(&b.per_second()));
        let own = written.iter().find(|it| it.name.value == fixture.fixture.name);
        let own = own.and_then(|it| it.definition.as_ref()).map(|definition| &definition.kind);
        if let (Some(FixtureKind::Http(own)), Some(rate)) = (own, http.pace.or(http.limit))
            && own.concurrency.is_none()
        {
            http.concurrency = in_flight(rate);
        }
    }
    fixtures
}

/// Requests in flight at once that keep up a rate when an answer takes [`SLOWEST`].
fn in_flight(rate: Rate) -> u32 {
    let per_second = rate.count.saturating_mul(1_000) / (rate.per.as_millis().max(1) as u64);
    (per_second.saturating_mul(SLOWEST) as u32).clamp(CONCURRENCY, MOST_IN_FLIGHT)
}

/// One column for each key of the records; a record that lacks it has null there.
fn record_columns(records: &[Json], out: &mut Columns) {
    let keys: BTreeSet<&String> =
        records.iter().filter_map(Json::as_object).flat_map(|object| object.keys()).collect();
    for key in keys {
        let values = records.iter().map(|record| record.get(key).cloned().unwrap_or(Json::Null)).collect();
        let generator = graph::Generator::Record(values);
        out.insert(key.clone(), Column::of(generator));
    }
}

/// Where each column is made: fields of a file where it is named.
fn column_places(definition: &ast::Fixture) -> BTreeMap<String, Span> {
    let mut out = BTreeMap::new();
    if let Some(file) = &definition.rows_from {
        out.extend(column_names(definition).into_iter().map(|name| (name, file.span)));
    }
    out.extend(definition.columns.iter().map(|column| (column.name.value.clone(), column.name.span)));
    out
}

fn column_names(definition: &ast::Fixture) -> BTreeSet<String> {
    let mut out: BTreeSet<String> =
        definition.columns.iter().map(|column| column.name.value.clone()).collect();
    let records = definition.records.iter().flatten().filter_map(Json::as_object);
    out.extend(records.flat_map(|object| object.keys().cloned()));
    out
}

/// Whether a value of a fixture is one that the service tells.
pub(super) fn captures(fixture: &ast::FixtureUse, column: &str) -> bool {
    match fixture.definition.as_ref().map(|definition| &definition.kind) {
        Some(FixtureKind::Http(http)) => http.capture.iter().any(|(name, _)| name.value == column),
        _ => false,
    }
}

/// What a draw from the fixture has inside.
fn column_shape(definition: &ast::Fixture) -> Shape {
    let unread = match &definition.kind {
        FixtureKind::Broken => definition.columns.is_empty(),
        FixtureKind::Sql(_) => false,
        _ => definition.rows_from.is_some() && definition.records.is_none(),
    };
    if unread {
        return Shape::Any;
    }
    let mut names = column_names(definition);
    if let FixtureKind::Http(http) = &definition.kind {
        names.extend(http.capture.iter().map(|(name, _)| name.value.clone()));
    }
    Shape::Fields(names.into_iter().map(|name| (name, Shape::Any)).collect())
}

/// Names that a generator's templates use.
pub(super) fn uses(generator: &Generator) -> &[NameUse] {
    match generator {
        Generator::Value(json) | Generator::References { value: json, .. } => &json.uses,
        Generator::BeforeNow(text) | Generator::AfterNow(text) | Generator::Sha256(text, _) => {
            &text.parsed.uses
        }
        _ => &[],
    }
}

/// Whether a column's value hangs on the row's number in a way that is meant to tell rows apart.
fn differs(column: &str, definition: &ast::Fixture, seen: &mut BTreeSet<String>) -> bool {
    if !seen.insert(column.to_string()) {
        return false;
    }
    let Some(found) = definition.columns.iter().find(|known| known.name.value == column) else {
        // A field of the file: its values are tried.
        return column_names(definition).contains(column);
    };
    match &found.generator {
        Generator::Uuid | Generator::UuidV7 | Generator::Fixture { random: false, .. } => true,
        Generator::Fake(_) => found.unique,
        // 16 hexadecimal characters are 64 bits: two equal ones in a million rows are not to be expected.
        Generator::Hex(ast::Typed::Given(length)) => length.value >= 16,
        Generator::Hex(_) => true,
        generator => uses(generator).iter().filter_map(|name_use| name_use.path.first()).any(|name| {
            let told = match &definition.children {
                // Whether parent and number among its children tell rows apart is tried out.
                Some(_) => name == "n" || OF_CHILDREN.contains(&name.as_str()),
                None => name == "n" && !definition.columns.iter().any(|c| c.name.value == "n"),
            };
            told || differs(name, definition, seen)
        }),
    }
}
