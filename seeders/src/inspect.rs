//! All table fixtures against the live schema, before anything is written; everything is told at once.

use crate::copy::{self, Kind};
use crate::error::{Misfit, SeedError, hide_all};
use crate::generators::Cell;
use crate::names::{self, did_you_mean, ident, same};
use crate::options::Mask;
use crate::postgres::Job;
use crate::receipt::Receipt;
use crate::rows::{Inputs, RowSource};
use crate::schema::{self, LiveTable};
use crate::stage::{self, Lane, NUMBER, TextParam};
use planc::graph::{ExecutionGraph, Fixture, FixtureKind, Generator, OnConflict, TableFixture};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tokio_postgres::Client;

/// Rows that are made and looked at; a larger fixture is sampled: its first, its last, and some between.
const SAMPLE: u64 = 20_000;
/// Distinct values of a foreign key that are looked up.
const DISTINCT: usize = 10_000;

/// Compares all table fixtures of the graph with the live tables, in one read-only transaction. The list holds every
/// misfit, warnings included; an `Err` means that the database could not be read.
pub async fn inspect(
    client: &Client,
    graph: &ExecutionGraph,
    inputs: &Inputs,
) -> Result<Vec<Misfit>, SeedError> {
    client
        .batch_execute("BEGIN READ ONLY; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, MDY'")
        .await?;
    let found = inspect_all(client, graph, inputs).await;
    client.batch_execute("ROLLBACK").await?;
    let mut misfits = found?;
    hide_all(&mut misfits, &Mask::new(graph, inputs, &[]));
    Ok(misfits)
}

async fn inspect_all(
    client: &Client,
    graph: &ExecutionGraph,
    inputs: &Inputs,
) -> Result<Vec<Misfit>, SeedError> {
    let now = "SELECT (extract(epoch FROM now()) * 1000000)::bigint";
    let base: i64 = client.query_one(now, &[]).await?.get(0);
    let mut misfits = Vec::new();
    let mut first = true;
    for fixture in &graph.fixtures {
        let FixtureKind::Table(table) = &fixture.kind else {
            continue;
        };
        let mut finder = Finder::new(client, graph, fixture, table, inputs, base);
        if std::mem::take(&mut first) {
            finder.writable().await?;
        }
        finder.twins();
        finder.look().await?;
        misfits.append(&mut finder.misfits);
    }
    Ok(misfits)
}

/// The live table, when the fixture fits; warnings become notes of the receipt.
pub(crate) async fn fitting(
    client: &Client,
    job: &Job<'_>,
    base: i64,
    receipt: &mut Receipt,
) -> Result<LiveTable, SeedError> {
    let mut finder = Finder::new(client, job.graph, job.fixture, job.table, job.inputs, base);
    finder.writable().await?;
    let live = finder.look().await?;
    let (warnings, errors): (Vec<Misfit>, Vec<Misfit>) = finder.misfits.into_iter().partition(|m| m.warning);
    if !errors.is_empty() {
        return Err(SeedError::misfits(errors));
    }
    receipt.notes.extend(warnings.into_iter().map(|warning| warning.message));
    live.ok_or_else(|| SeedError::misfits(Vec::new()))
}

struct Finder<'a> {
    client: &'a Client,
    graph: &'a ExecutionGraph,
    fixture: &'a Fixture,
    table: &'a TableFixture,
    inputs: &'a Inputs,
    base: i64,
    misfits: Vec<Misfit>,
}

impl<'a> Finder<'a> {
    fn new(
        client: &'a Client,
        graph: &'a ExecutionGraph,
        fixture: &'a Fixture,
        table: &'a TableFixture,
        inputs: &'a Inputs,
        base: i64,
    ) -> Self {
        Finder { client, graph, fixture, table, inputs, base, misfits: Vec::new() }
    }

    fn add(&mut self, column: Option<&str>, message: impl Into<String>, help: Option<String>) {
        self.misfits.push(Misfit {
            fixture: self.fixture.name.clone(),
            column: column.map(String::from),
            message: message.into(),
            help,
            warning: false,
        });
    }

    fn warn(&mut self, column: Option<&str>, message: impl Into<String>, help: Option<String>) {
        self.add(column, message, help);
        if let Some(last) = self.misfits.last_mut() {
            last.warning = true;
        }
    }

    /// The database takes writes, and the role may keep the ledger.
    async fn writable(&mut self) -> Result<(), SeedError> {
        let row = self
            .client
            .query_one(
                "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on', current_user::text, \
                    CASE WHEN to_regclass('planc.ledger') IS NOT NULL \
                        THEN has_table_privilege('planc.ledger', 'SELECT, INSERT, UPDATE, DELETE') \
                    WHEN to_regnamespace('planc') IS NOT NULL THEN has_schema_privilege('planc', 'CREATE') \
                    ELSE has_database_privilege(current_database(), 'CREATE') END",
                &[],
            )
            .await?;
        if row.get(0) {
            let help = "give the URL of the primary".to_string();
            self.add(None, "the database is a standby: it takes no writes", Some(help));
        } else if row.get(1) {
            let help = "give a role or a database without default_transaction_read_only".to_string();
            self.add(None, "sessions of this database are read-only", Some(help));
        }
        if !row.get::<_, bool>(3) {
            let role: String = row.get(2);
            let help = format!("run once as an owner: CREATE SCHEMA planc AUTHORIZATION {}", ident(&role));
            self.add(None, format!("role `{role}` may not keep the ledger `planc.ledger`"), Some(help));
        }
        Ok(())
    }

    /// Two entries of the plan that share a ledger entry and disagree.
    fn twins(&mut self) {
        let hash = |fixture: &Fixture| crate::ledger::content_hash(self.graph, fixture, self.inputs);
        let mine = hash(self.fixture);
        let twin = self.graph.fixtures.iter().find(|other| {
            other.name < self.fixture.name && other.fixture == self.fixture.fixture && hash(other) != mine
        });
        if let Some(twin) = twin {
            let message = format!(
                "`{}` is the same fixture file with other rows: each seeding would undo the other",
                twin.name
            );
            self.add(None, message, Some("give the copy of the file a `fixture:` name of its own".into()));
        }
    }

    /// Everything about one fixture.
    async fn look(&mut self) -> Result<Option<LiveTable>, SeedError> {
        let source = match RowSource::new(self.graph, &self.fixture.name, self.inputs, self.base) {
            Ok(source) => source,
            Err(error) => {
                self.add(error.column.as_deref(), error.message, None);
                return Ok(None);
            }
        };
        let Some(live) = schema::load(self.client, &self.table.table).await? else {
            let names = schema::table_names(self.client).await?;
            let help = match did_you_mean(&self.table.table, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "run the service's migrations, or mend `table:`".into(),
            };
            self.add(None, format!("table `{}` does not exist", self.table.table), Some(help));
            return Ok(None);
        };
        self.shape(&live, &source);
        self.privileges(&live);
        let lanes: Vec<Lane> = source
            .columns()
            .iter()
            .enumerate()
            .filter_map(|(index, name)| {
                let column = live.column(name).filter(|column| !column.generated)?;
                Some(Lane { index, name: name.clone(), kind: column.kind.clone() })
            })
            .collect();
        self.identity(&live);
        self.fresh(&source);
        if self.values(&live, &source, &lanes) {
            self.other_keys(&live, &source, &lanes).await?;
            self.parents(&live, &source, &lanes).await?;
            self.constraints(&live, &source, &lanes).await?;
        }
        Ok(Some(live))
    }

    /// Columns that are missing, generated, or needed and not supplied.
    fn shape(&mut self, live: &LiveTable, source: &RowSource) {
        if !matches!(live.relkind.as_str(), "r" | "p") {
            self.add(
                None,
                format!("`{}` is not a table", live.name),
                Some("seed the tables behind it".into()),
            );
        }
        for name in source.columns() {
            match live.column(name) {
                None => {
                    let near = did_you_mean(name, live.columns.iter().map(|column| column.name.as_str()));
                    let help = near.map(|near| format!("did you mean `{near}`?"));
                    self.add(Some(name), format!("table `{}` has no column `{name}`", live.name), help);
                }
                Some(column) if column.generated => {
                    let help = Some("leave it out: the database computes it".to_string());
                    self.add(Some(name), format!("`{name}` is a generated column"), help);
                }
                Some(_) => {}
            }
        }
        for column in &live.columns {
            let supplied = source.columns().contains(&column.name);
            if column.not_null && !column.has_default && !column.generated && !supplied {
                self.add(
                    Some(&column.name),
                    format!("`{}` is NOT NULL without a default and is not supplied", column.name),
                    Some(format!("add `{}:` to the fixture's columns ({})", column.name, column.type_name)),
                );
            }
        }
    }

    fn privileges(&mut self, live: &LiveTable) {
        let mut needed = vec!["SELECT", "INSERT"];
        let updates = matches!(self.table.on_conflict, OnConflict::Refresh | OnConflict::Exact);
        if updates || self.table.columns.values().any(|column| column.fresh_within.is_some()) {
            needed.push("UPDATE");
        }
        if self.table.on_conflict == OnConflict::Exact {
            needed.push("DELETE");
        }
        let lacking: Vec<&str> =
            needed.into_iter().filter(|need| live.lacking.iter().any(|lack| lack == need)).collect();
        if !lacking.is_empty() {
            let lacking = lacking.join(", ");
            let help = format!("GRANT {lacking} ON {} TO <the role of database.url>", live.quoted());
            self.add(None, format!("the role lacks {lacking} on `{}`", live.name), Some(help));
        }
    }

    fn identity(&mut self, live: &LiveTable) {
        for name in &self.table.identity {
            if !self.table.columns.contains_key(name) {
                self.add(
                    Some(name),
                    format!("identity column `{name}` is not among the fixture's columns"),
                    None,
                );
            }
        }
        if self.table.identity.is_empty() {
            self.add(None, "a table fixture needs an identity", Some("write `identity: id`".into()));
        } else if live.identity_index(&self.table.identity).is_none() {
            let usable: Vec<String> = live
                .uniques
                .iter()
                .filter(|unique| unique.plain)
                .map(|unique| format!("`{}` ({})", unique.name, unique.columns.join(", ")))
                .collect();
            let help = if usable.is_empty() {
                format!(
                    "CREATE UNIQUE INDEX ON {} ({})",
                    live.quoted(),
                    names::list("", &self.table.identity)
                )
            } else {
                format!("the table's unique keys are {}", usable.join(", "))
            };
            let message = format!(
                "no unique index of `{}` is on exactly ({})",
                live.name,
                self.table.identity.join(", ")
            );
            self.add(None, message, Some(help));
        }
    }

    /// A time that is too old the moment it is made can never be fresh.
    fn fresh(&mut self, source: &RowSource) {
        let mut stale = Vec::new();
        for (name, column) in &self.table.columns {
            let Some(within) = column.fresh_within else { continue };
            let Some(index) = source.columns().iter().position(|other| other == name) else { continue };
            let rows = sample(source.rows()).take(2_000);
            let oldest = rows.filter_map(|n| match source.cell(n, index) {
                Ok(Cell::Micros(micros)) => Some(self.base - micros),
                _ => None,
            });
            if oldest.max().is_some_and(|age| age > within.as_micros() as i64) {
                stale.push(name.clone());
            }
        }
        for name in stale {
            let help = Some("make the offset smaller or fresh_within larger".to_string());
            self.warn(
                Some(&name),
                format!("`{name}` is older than its fresh_within the moment it is made"),
                help,
            );
        }
    }

    /// Values against types, NULLs, and identities twice. True when rows can be made at all.
    fn values(&mut self, live: &LiveTable, source: &RowSource, lanes: &[Lane]) -> bool {
        let mut bad: BTreeMap<String, (String, u64)> = BTreeMap::new();
        let mut seen: HashMap<Vec<Option<String>>, u64> = HashMap::new();
        let mut twice = None;
        let keys: Vec<&Lane> = lanes.iter().filter(|lane| self.table.identity.contains(&lane.name)).collect();
        let mut cells = Vec::new();
        let mut scratch = Vec::new();
        for n in sample(source.rows()) {
            if let Err(error) = source.fill(n, &mut cells) {
                let message = format!("row {n}: {}", error.message);
                self.add(error.column.as_deref(), message, None);
                return false;
            }
            for lane in lanes {
                if let Err(message) = fits(live, lane, &cells[lane.index], &mut scratch) {
                    let entry = bad.entry(lane.name.clone()).or_insert((format!("row {n}: {message}"), 0));
                    entry.1 += 1;
                }
            }
            let key = keys.iter().map(|lane| copy::text(&lane.kind, &cells[lane.index])).collect();
            if let (Some(before), None) = (seen.insert(key, n), &twice) {
                twice = Some((before, n));
            }
        }
        let sound = bad.is_empty();
        for (name, (message, count)) in bad {
            let more = if count > 1 { format!(" (and {} more rows)", count - 1) } else { String::new() };
            let wanted = live.column(&name).map(|column| format!("the column is {}", column.type_name));
            self.add(Some(&name), format!("{message}{more}"), wanted);
        }
        if let Some((before, n)) = twice.filter(|_| !keys.is_empty()) {
            let help = Some("use `{{ n }}` in an identity column".to_string());
            self.add(None, format!("rows {before} and {n} have the same identity"), help);
        }
        sound
    }

    /// Unique keys beside the identity.
    async fn other_keys(
        &mut self,
        live: &LiveTable,
        source: &RowSource,
        lanes: &[Lane],
    ) -> Result<(), SeedError> {
        let identity: BTreeSet<&String> = self.table.identity.iter().collect();
        for unique in live.uniques.iter().filter(|unique| unique.plain) {
            let key: Vec<&Lane> = unique
                .columns
                .iter()
                .filter_map(|name| lanes.iter().find(|lane| lane.name == *name))
                .collect();
            let covers = identity.iter().all(|name| unique.columns.contains(name));
            if key.len() < unique.columns.len() || covers {
                continue;
            }
            let columns = unique.columns.join(", ");
            let mut seen = HashMap::new();
            let mut cells = Vec::new();
            let mut twice = None;
            for n in sample(source.rows()) {
                source.fill(n, &mut cells)?;
                let values: Option<Vec<String>> =
                    key.iter().map(|lane| copy::text(&lane.kind, &cells[lane.index])).collect();
                let Some(values) = values else { continue };
                if let (Some(before), None) = (seen.insert(values, n), twice) {
                    twice = Some((before, n));
                }
            }
            if let Some((before, n)) = twice {
                let message =
                    format!("rows {before} and {n} collide in the unique key `{}` ({columns})", unique.name);
                self.add(unique.columns.first().map(String::as_str), message, None);
                continue;
            }
            // Looked at, not guessed: a key that no foreign row holds is no cause for a warning.
            if let Some((count, n)) = self.collision(live, source, lanes, &unique.columns).await? {
                let message = format!(
                    "{count} rows with other identities hold values of the unique key `{}` ({columns}), the first that of row {n}",
                    unique.name
                );
                let help =
                    Some("delete those rows, or make the fixture's values differ from them".to_string());
                self.add(unique.columns.first().map(String::as_str), message, help);
            }
        }
        Ok(())
    }

    /// Live rows that hold a unique key's value under another identity: how many, and the first row number.
    async fn collision(
        &self,
        live: &LiveTable,
        source: &RowSource,
        lanes: &[Lane],
        unique: &[String],
    ) -> Result<Option<(i64, i64)>, SeedError> {
        let mut wanted: Vec<String> = self.table.identity.clone();
        wanted.extend(unique.iter().filter(|name| !self.table.identity.contains(name)).cloned());
        let Some(chosen) = pick(lanes, &wanted) else {
            return Ok(None);
        };
        let from = numbered(live, &chosen, &wanted);
        let sql = format!(
            "SELECT count(*), min(k.{}) FROM {from} JOIN {} t ON {} WHERE NOT ({})",
            ident(NUMBER),
            live.quoted(),
            same("t", "k", unique),
            same("t", "k", &self.table.identity),
        );
        let params = numbered_arrays(source, &chosen)?;
        let row = self.client.query_one(&sql, &stage::params(&params)).await?;
        Ok(row.get::<_, Option<i64>>(1).map(|first| (row.get(0), first)))
    }

    /// Rows of other tables that must be there.
    async fn parents(
        &mut self,
        live: &LiveTable,
        source: &RowSource,
        lanes: &[Lane],
    ) -> Result<(), SeedError> {
        let mut checked = BTreeSet::new();
        for key in &live.parents {
            checked.insert((key.child_columns.clone(), key.parent_oid));
            self.parent(
                live,
                source,
                lanes,
                &key.child_columns,
                (&key.parent, key.parent_oid),
                &key.parent_columns,
            )
            .await?;
        }
        for (name, column) in &self.table.columns {
            let Generator::References { table, column: parent_column, .. } = &column.generator else {
                continue;
            };
            let Some(parent) = schema::load(self.client, table).await? else {
                self.add(Some(name), format!("table `{table}`, which it refers to, does not exist"), None);
                continue;
            };
            if parent.column(parent_column).is_none() {
                let near = did_you_mean(parent_column, parent.columns.iter().map(|c| c.name.as_str()));
                let help = near.map(|near| format!("did you mean `{near}`?"));
                self.add(Some(name), format!("table `{table}` has no column `{parent_column}`"), help);
                continue;
            }
            let child = vec![name.clone()];
            if !checked.contains(&(child.clone(), parent.oid)) {
                let quoted = parent.quoted();
                self.parent(
                    live,
                    source,
                    lanes,
                    &child,
                    (&quoted, parent.oid),
                    std::slice::from_ref(parent_column),
                )
                .await?;
            }
        }
        Ok(())
    }

    async fn parent(
        &mut self,
        live: &LiveTable,
        source: &RowSource,
        lanes: &[Lane],
        child: &[String],
        (parent, parent_oid): (&str, u32),
        parent_columns: &[String],
    ) -> Result<(), SeedError> {
        let Some(chosen) = pick(lanes, child) else {
            return Ok(());
        };
        let Some(mut values) = distinct(source, &chosen)? else {
            return Ok(());
        };
        if !self.seeded_before(parent_oid, parent_columns, &chosen, &mut values).await? || values.is_empty() {
            return Ok(());
        }
        let mut texts = vec![String::from("{"); chosen.len()];
        for tuple in &values {
            for (text, value) in texts.iter_mut().zip(tuple) {
                if text.len() > 1 {
                    text.push(',');
                }
                names::array_element(text, Some(value));
            }
        }
        let params: Vec<TextParam> = texts.into_iter().map(|text| TextParam(Some(text + "}"))).collect();
        let types: Vec<&str> =
            child.iter().filter_map(|c| live.column(c)).map(|c| c.type_name.as_str()).collect();
        let pairs: Vec<String> = parent_columns
            .iter()
            .zip(child)
            .map(|(p, c)| format!("p.{} = k.{}", ident(p), ident(c)))
            .collect();
        let shown: Vec<String> = child.iter().map(|c| format!("k.{}::text", ident(c))).collect();
        let sql = format!(
            "SELECT concat_ws(', ', {}) FROM {} WHERE NOT EXISTS (SELECT 1 FROM {parent} p WHERE {}) ORDER BY 1",
            shown.join(", "),
            stage::unnest(&types, "k", child),
            pairs.join(" AND "),
        );
        let missing = self.client.query(&sql, &stage::params(&params)).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let listed: Vec<String> =
            missing.iter().take(50).map(|row| format!("`{}`", row.get::<_, String>(0))).collect();
        let more =
            if missing.len() > 50 { format!(" and {} more", missing.len() - 50) } else { String::new() };
        let noun = if missing.len() == 1 { "parent row is" } else { "parent rows are" };
        let message = format!(
            "{} {noun} missing in {parent} ({}): {}{more}",
            missing.len(),
            parent_columns.join(", "),
            listed.join(", ")
        );
        let help = Some(
            "make them first: a fixture of their own placed before this one, or the service's own seed"
                .to_string(),
        );
        self.add(Some(&child.join(", ")), message, help);
        Ok(())
    }

    /// Takes away the values that fixtures of the parent table make before (or with) this one. False when such a fixture
    /// leaves those columns to the database, so that nothing can be said.
    async fn seeded_before(
        &self,
        parent_oid: u32,
        parent_columns: &[String],
        chosen: &[&Lane],
        values: &mut BTreeSet<Vec<String>>,
    ) -> Result<bool, SeedError> {
        for other in &self.graph.fixtures {
            let last = other.name == self.fixture.name;
            if let FixtureKind::Table(table) = &other.kind
                && !values.is_empty()
            {
                let quoted = schema::quoted_name(&table.table);
                let sql = "SELECT coalesce(to_regclass($1)::oid = $2, false)";
                if self.client.query_one(sql, &[&quoted, &parent_oid]).await?.get(0) {
                    let source = RowSource::new(self.graph, &other.name, self.inputs, self.base)?;
                    let indices: Option<Vec<usize>> = parent_columns
                        .iter()
                        .map(|name| source.columns().iter().position(|column| column == name))
                        .collect();
                    let Some(indices) = indices else {
                        return Ok(false);
                    };
                    take_away(&source, &indices, chosen, values)?;
                }
            }
            if last {
                break;
            }
        }
        Ok(true)
    }

    /// CHECK constraints over columns that the fixture supplies, evaluated by the server over the sampled rows.
    async fn constraints(
        &mut self,
        live: &LiveTable,
        source: &RowSource,
        lanes: &[Lane],
    ) -> Result<(), SeedError> {
        for check in &live.checks {
            let Some(chosen) = pick(lanes, &check.columns) else { continue };
            // Lists in lists are taken apart by unnest.
            if chosen.is_empty() || chosen.iter().any(|lane| matches!(lane.kind, Kind::Array(..))) {
                continue;
            }
            let sql = format!(
                "SELECT k.{0}, (SELECT count(*) FROM {1} WHERE NOT ({2})) FROM {1} WHERE NOT ({2}) ORDER BY k.{0} LIMIT 1",
                ident(NUMBER),
                numbered(live, &chosen, &check.columns),
                check.expression,
            );
            let params = numbered_arrays(source, &chosen)?;
            self.client.batch_execute("SAVEPOINT planc_check").await?;
            match self.client.query_opt(&sql, &stage::params(&params)).await {
                Ok(None) => {}
                Ok(Some(row)) => {
                    let (n, count): (i64, i64) = (row.get(0), row.get(1));
                    let values: Vec<String> = chosen
                        .iter()
                        .map(|lane| {
                            source
                                .cell(n as u64, lane.index)
                                .map(|cell| format!("{} is {}", lane.name, copy::shown(&cell)))
                        })
                        .collect::<Result<_, _>>()?;
                    let message = format!(
                        "row {n} breaks the CHECK `{}`: {} ({count} rows)",
                        check.name,
                        values.join(", ")
                    );
                    let help = Some(format!("CHECK ({})", check.expression));
                    self.add(check.columns.first().map(String::as_str), message, help);
                }
                // A function that the role may not call, a value of a type that only the server knows: the write will tell.
                Err(_) => self.client.batch_execute("ROLLBACK TO SAVEPOINT planc_check").await?,
            }
        }
        Ok(())
    }
}

fn fits(live: &LiveTable, lane: &Lane, cell: &Cell, scratch: &mut Vec<u8>) -> Result<(), String> {
    if matches!(cell, Cell::Json(planc::graph::Json::Null)) {
        return match live.column(&lane.name) {
            Some(column) if column.not_null => Err("null in a NOT NULL column".into()),
            _ => Ok(()),
        };
    }
    if !lane.kind.is_binary() {
        return Ok(());
    }
    scratch.clear();
    copy::binary(&lane.kind, cell, scratch)
}

/// Row numbers to look at: all of a small fixture, else the first and last quarter of the sample and some between.
fn sample(rows: u64) -> Box<dyn Iterator<Item = u64> + Send> {
    if rows <= SAMPLE {
        return Box::new(1..=rows);
    }
    let edge = SAMPLE / 4;
    let middle = rows - 2 * edge;
    let step = middle.div_ceil(SAMPLE / 2).max(1) as usize;
    Box::new((1..=edge).chain((edge + 1..=rows - edge).step_by(step)).chain(rows - edge + 1..=rows))
}

/// The lanes of some columns, in their order; `None` when the fixture does not supply them all.
fn pick<'l>(lanes: &'l [Lane], names: &[String]) -> Option<Vec<&'l Lane>> {
    names.iter().map(|name| lanes.iter().find(|lane| lane.name == *name)).collect()
}

/// `unnest(…) AS k("planc row number", columns…)` over the sampled rows.
fn numbered(live: &LiveTable, chosen: &[&Lane], names: &[String]) -> String {
    let mut types = vec!["bigint"];
    types.extend(chosen.iter().map(|lane| live.column(&lane.name).map_or("text", |c| c.type_name.as_str())));
    let mut all = vec![NUMBER.to_string()];
    all.extend(names.iter().cloned());
    stage::unnest(&types, "k", &all)
}

fn numbered_arrays(source: &RowSource, chosen: &[&Lane]) -> Result<Vec<TextParam>, SeedError> {
    let lanes: Vec<Lane> = chosen
        .iter()
        .map(|lane| Lane { index: lane.index, name: lane.name.clone(), kind: lane.kind.clone() })
        .collect();
    let numbers: Vec<String> = sample(source.rows()).map(|n| n.to_string()).collect();
    let mut params = vec![TextParam(Some(format!("{{{}}}", numbers.join(","))))];
    params.extend(stage::arrays(source, &lanes, sample(source.rows()))?);
    Ok(params)
}

/// Distinct values without NULLs; `None` when there are too many to look up.
fn distinct(source: &RowSource, chosen: &[&Lane]) -> Result<Option<BTreeSet<Vec<String>>>, SeedError> {
    let order = source.order_for(&chosen.iter().map(|lane| lane.index).collect::<Vec<_>>());
    let mut values = BTreeSet::new();
    let mut cells = Vec::new();
    let constant = chosen.iter().all(|lane| source.constant(lane.index).is_some());
    for n in 1..=if constant { source.rows().min(1) } else { source.rows() } {
        source.make(n, &order, &mut cells)?;
        let tuple: Option<Vec<String>> =
            chosen.iter().map(|lane| copy::text(&lane.kind, &cells[lane.index])).collect();
        values.extend(tuple);
        if values.len() > DISTINCT {
            return Ok(None);
        }
    }
    Ok(Some(values))
}

fn take_away(
    source: &RowSource,
    indices: &[usize],
    chosen: &[&Lane],
    values: &mut BTreeSet<Vec<String>>,
) -> Result<(), SeedError> {
    let order = source.order_for(indices);
    let mut cells = Vec::new();
    for n in 1..=source.rows() {
        source.make(n, &order, &mut cells)?;
        let tuple: Option<Vec<String>> =
            indices.iter().zip(chosen).map(|(index, lane)| copy::text(&lane.kind, &cells[*index])).collect();
        if let Some(tuple) = tuple {
            values.remove(&tuple);
        }
        if values.is_empty() {
            break;
        }
    }
    Ok(())
}
