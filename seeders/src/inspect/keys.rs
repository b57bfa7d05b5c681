//! Unique keys: one that rows are known by, and others that can fire first.

use super::Finder;
use super::sampled::{Given, is_known, pick, sample};
use crate::copy::{self, Kind};
use crate::error::SeedError;
use crate::generators::Cell;
use crate::misfit::{Misfit, MisfitKind, Place};
use crate::names::{self, ident};
use crate::rows::RowSource;
use crate::schema::{LiveTable, Unique};
use crate::stage::{Lane, NUMBER};
use std::collections::{BTreeSet, HashMap};

const KIND: MisfitKind = MisfitKind::ConflictTarget;

impl Finder<'_> {
    /// A unique index on exactly the identity.
    pub(super) fn identity(&mut self, live: &LiveTable) {
        for name in &self.table.identity {
            if !self.table.columns.contains_key(name) {
                let message = format!("identity column `{name}` is not among the fixture's columns");
                self.tell(Misfit::error(KIND, Place::Identity, message));
            }
        }
        if self.table.identity.is_empty() {
            let help = "write `identity: id`".to_string();
            self.tell(Misfit::error(KIND, Place::Identity, "a table fixture needs an identity").help(help));
        } else if live.identity_index(&self.table.identity).is_none() {
            self.no_index(live);
        }
    }

    fn no_index(&mut self, live: &LiveTable) {
        let wanted: BTreeSet<&String> = self.table.identity.iter().collect();
        let columns = self.table.identity.join(", ");
        let message = format!("no unique index of `{}` is on exactly ({columns})", live.name);
        let mut misfit = Misfit::error(KIND, Place::Identity, message);
        for unique in &live.uniques {
            let named = |name: &&String| {
                unique.columns.contains(name) || unique.parts.iter().any(|part| part.contains(name.as_str()))
            };
            if let Some(why) = unique.unusable.as_ref().filter(|_| wanted.iter().all(named)) {
                let parts = unique.parts.join(", ");
                misfit = misfit.note(format!("`{}` ({parts}) does not do: it is {why}", unique.name));
            }
        }
        let usable: Vec<String> = live
            .uniques
            .iter()
            .filter(|unique| unique.plain())
            .map(|unique| format!("`{}` ({})", unique.name, unique.columns.join(", ")))
            .collect();
        let help = if usable.is_empty() {
            let columns = names::list("", &self.table.identity);
            format!("CREATE UNIQUE INDEX ON {} ({columns})", live.quoted())
        } else {
            format!("the table's unique keys are {}", usable.join(", "))
        };
        self.tell(misfit.help(help));
    }

    /// Unique keys beside the identity: partial ones and those over expressions too.
    pub(super) async fn other_keys(
        &mut self,
        live: &LiveTable,
        source: &RowSource,
        lanes: &[Lane],
    ) -> Result<(), SeedError> {
        // Every column that an expression could name; where one of them comes from a default, the server refuses the
        // question and the key is passed over.
        let known: Vec<String> = live
            .columns
            .iter()
            .map(|column| column.name.clone())
            .filter(|name| is_known(live, lanes, name))
            .collect();
        if !self.table.identity.iter().all(|name| known.contains(name)) {
            return Ok(());
        }
        for unique in &live.uniques {
            // A key that the identity is part of cannot fire for another row.
            if self.table.identity.iter().all(|name| unique.columns.contains(name)) {
                continue;
            }
            if let Some(chosen) =
                pick(lanes, &unique.columns).filter(|_| unique.plain() && self.empty == Some(true))
                && chosen.iter().all(|lane| tells_apart(live, lane))
            {
                self.plain_key(unique, source, &chosen)?;
                continue;
            }
            let wanted: Vec<String> = match &unique.unusable {
                None => self.table.identity.iter().chain(&unique.columns).cloned().collect(),
                Some(_) => known.clone(),
            };
            let wanted: Vec<String> = wanted.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
            if let Some(given) = Given::new(live, source, lanes, &wanted)?
                && (!given.assumes_null || live.fillers().is_empty())
            {
                self.other_key(live, unique, &given).await?;
            }
        }
        Ok(())
    }

    /// A key of which the bytes tell, over rows that are alone in the table.
    fn plain_key(&mut self, unique: &Unique, source: &RowSource, chosen: &[&Lane]) -> Result<(), SeedError> {
        let order = source.order_for(&chosen.iter().map(|lane| lane.index).collect::<Vec<_>>());
        let (mut seen, mut cells) = (HashMap::new(), Vec::new());
        for n in sample(source.rows()) {
            source.make(n, &order, &mut cells)?;
            let mut key = Vec::new();
            // Of values that are none of the type it was told already.
            let known = chosen.iter().all(|lane| {
                let cell = &cells[lane.index];
                *cell != Cell::NULL && copy::binary(&lane.kind, cell, &mut key).is_ok()
            });
            if known && let Some(before) = seen.insert(key, n) {
                self.collision(unique, before, n);
                return Ok(());
            }
        }
        Ok(())
    }

    fn collision(&mut self, unique: &Unique, before: u64, n: u64) {
        let shown = unique.parts.join(", ");
        let place: Place =
            if unique.columns.is_empty() { Place::Identity } else { unique.columns.as_slice().into() };
        let message = format!("rows {before} and {n} collide in the unique key `{}` ({shown})", unique.name);
        let help = "make that key's values differ from row to row, as the identity's do".to_string();
        self.tell(Misfit::error(KIND, place, message).help(help));
    }

    async fn other_key(&mut self, live: &LiveTable, unique: &Unique, given: &Given) -> Result<(), SeedError> {
        let shown = unique.parts.join(", ");
        let place: Place =
            if unique.columns.is_empty() { Place::Identity } else { unique.columns.as_slice().into() };
        if let Ok(rows) = self.try_ask(&colliding(unique, given), &given.params).await?
            && let Some(row) = rows.first()
        {
            self.collision(unique, row.get::<_, i64>(0) as u64, row.get::<_, i64>(1) as u64);
            return Ok(());
        }
        // Looked at, not guessed: a key that no foreign row holds is no cause for a warning.
        let sql = held(live, unique, given, &self.table.identity);
        if let Ok(rows) = self.try_ask(&sql, &given.params).await?
            && let Some(row) = rows.first()
            && let Some(first) = row.get::<_, Option<i64>>(1)
        {
            let count: i64 = row.get(0);
            let message = format!(
                "{count} rows with other identities hold values of the unique key `{}` ({shown}), the first that of row {first}",
                unique.name
            );
            let note =
                format!("an insert that is known by ({}) fails on this key", self.table.identity.join(", "));
            let help = "delete those rows, or make the fixture's values differ from them".to_string();
            self.tell(Misfit::error(KIND, place, message).note(note).help(help));
        }
        Ok(())
    }
}

/// Whether two values of the column are the same to the database just when their bytes are.
fn tells_apart(live: &LiveTable, lane: &Lane) -> bool {
    let exact = match lane.kind {
        Kind::Text(_) => live.column(&lane.name).is_some_and(|column| column.case_matters),
        _ => matches!(lane.kind, Kind::Uuid | Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Enum(_)),
    };
    exact && live.column(&lane.name).is_some_and(|column| !column.type_name.starts_with("character("))
}

/// `(part) AS "e1", …`, and ` WHERE predicate`.
fn parts_of(unique: &Unique) -> (String, String) {
    let part = |(at, part): (usize, &String)| format!("({part}) AS \"planc e{at}\"");
    let parts: Vec<String> = unique.parts.iter().enumerate().map(part).collect();
    let predicate = unique.predicate.as_ref().map(|predicate| format!(" WHERE {predicate}"));
    (parts.join(", "), predicate.unwrap_or_default())
}

/// `"planc e0" …`, each put through `shape` and joined.
fn each_part(unique: &Unique, joint: &str, shape: impl Fn(&str) -> String) -> String {
    let shaped: Vec<String> = (0..unique.parts.len()).map(|at| shape(&format!("\"planc e{at}\""))).collect();
    shaped.join(joint)
}

/// The first two given rows with the same key.
fn colliding(unique: &Unique, given: &Given) -> String {
    let (parts, predicate) = parts_of(unique);
    format!(
        "SELECT (array_agg(n ORDER BY n))[1], (array_agg(n ORDER BY n))[2] \
         FROM (SELECT k.{} AS n, {parts} FROM {}{predicate}) x WHERE {} GROUP BY {} HAVING count(*) > 1 \
         ORDER BY 1 LIMIT 1",
        ident(NUMBER),
        given.from,
        each_part(unique, " AND ", |part| format!("{part} IS NOT NULL")),
        each_part(unique, ", ", str::to_string),
    )
}

/// How many live rows hold a given row's key under another identity, and the first such row's number.
fn held(live: &LiveTable, unique: &Unique, given: &Given, identity: &[String]) -> String {
    let (parts, predicate) = parts_of(unique);
    let own = |prefix: &str| {
        let id = |(at, name): (usize, &String)| format!("{prefix}{} AS \"planc i{at}\"", ident(name));
        identity.iter().enumerate().map(id).collect::<Vec<_>>().join(", ")
    };
    let same: Vec<String> =
        (0..identity.len()).map(|at| format!("k.\"planc i{at}\" = t.\"planc i{at}\"")).collect();
    format!(
        "SELECT count(*), min(k.n) FROM (SELECT k.{} AS n, {}, {parts} FROM {}{predicate}) k \
         JOIN (SELECT {}, {parts} FROM {}{predicate}) t ON {} WHERE ({}) IS NOT TRUE",
        ident(NUMBER),
        own("k."),
        given.from,
        own(""),
        live.quoted(),
        each_part(unique, " AND ", |part| format!("k.{part} = t.{part}")),
        same.join(" AND "),
    )
}
