//! Values: of the column's type, short enough, allowed by domains and CHECKs, fresh, and no identity twice.

use super::sampled::{Given, sample, sampled_whole};
use super::{Finder, blamed};
use crate::copy::{self, Kind};
use crate::error::{SeedError, said};
use crate::generators::Cell;
use crate::misfit::{Misfit, MisfitKind, Place};
use crate::names::ident;
use crate::rows::RowSource;
use crate::schema::{CheckConstraint, LiveTable};
use crate::stage::{Lane, NUMBER};
use std::collections::{BTreeMap, HashMap};

const KIND: MisfitKind = MisfitKind::ColumnMisfit;
/// Rows whose lengths are all looked at; of more only the sample is.
const MEASURED: u64 = 2_000_000;

/// The longest text of a column with a limit.
struct Longest {
    limit: usize,
    row: u64,
    length: usize,
    text: String,
    too_long: u64,
}

impl Longest {
    fn see(&mut self, n: u64, cell: &Cell, kind: &Kind) {
        let Some(text) = copy::text(kind, cell).filter(|text| text.len() > self.length.min(self.limit))
        else {
            return;
        };
        let length = text.chars().count();
        self.too_long += u64::from(length > self.limit);
        if length > self.length {
            (self.row, self.length, self.text) = (n, length, text);
        }
    }
}

impl Finder<'_> {
    /// A time that is too old the moment it is made can never be fresh.
    pub(super) fn fresh(&mut self, source: &RowSource) {
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
            let message = format!("`{name}` is older than its fresh_within the moment it is made");
            let help = "make the offset smaller or fresh_within larger".to_string();
            self.tell(Misfit::warning(MisfitKind::Other, name.as_str(), message).help(help));
        }
    }

    /// Values against types, NULLs, and identities twice. True when rows can be made at all.
    pub(super) fn values(&mut self, live: &LiveTable, source: &RowSource, lanes: &[Lane]) -> bool {
        let mut bad: BTreeMap<String, (String, u64)> = BTreeMap::new();
        let mut seen: HashMap<Vec<Option<String>>, u64> = HashMap::new();
        let mut twice = None;
        let keys: Vec<&Lane> = lanes.iter().filter(|lane| self.table.identity.contains(&lane.name)).collect();
        let mut longest = limited(lanes);
        let (mut cells, mut scratch) = (Vec::new(), Vec::new());
        // What is the same in every row is looked at once.
        let constants: Vec<Option<Result<(), String>>> = lanes
            .iter()
            .map(|lane| source.constant(lane.index).map(|cell| fits(live, lane, cell, &mut scratch)))
            .collect();
        for n in sample(source.rows()) {
            if let Err(error) = source.fill(n, &mut cells) {
                let message = format!("row {n}: {}", error.message);
                self.tell(Misfit::error(MisfitKind::Other, blamed(&error.column), message));
                return false;
            }
            for (lane, constant) in lanes.iter().zip(&constants) {
                let fit =
                    constant.clone().unwrap_or_else(|| fits(live, lane, &cells[lane.index], &mut scratch));
                if let Err(message) = fit {
                    let entry = bad.entry(lane.name.clone()).or_insert((format!("row {n}: {message}"), 0));
                    entry.1 += 1;
                }
            }
            for (lane, longest) in &mut longest {
                longest.see(n, &cells[lane.index], &lane.kind);
            }
            let key = keys.iter().map(|lane| copy::text(&lane.kind, &cells[lane.index])).collect();
            if let (Some(before), None) = (seen.insert(key, n), &twice) {
                twice = Some((before, n));
            }
        }
        let sound = bad.is_empty();
        for (name, (message, count)) in bad {
            let type_name = live.column(&name).map_or("", |column| column.type_name.as_str());
            let misfit = Misfit::error(KIND, name.as_str(), message);
            self.tell(
                misfit.note(format!("it is so in {}, and the column is {type_name}", rows_of(count, source))),
            );
        }
        if let Some((before, n)) = twice.filter(|_| !keys.is_empty()) {
            let message = format!("rows {before} and {n} have the same identity");
            let help = "use `{{ n }}` in an identity column".to_string();
            self.tell(Misfit::error(MisfitKind::ConflictTarget, Place::Identity, message).help(help));
        }
        sound & self.lengths(live, source, longest)
    }

    /// Texts against the columns' limits, over all rows. True when all are short enough.
    fn lengths(&mut self, live: &LiveTable, source: &RowSource, sampled: Vec<(&Lane, Longest)>) -> bool {
        let exact = sampled_whole(source.rows());
        let measurable = !exact && source.rows() <= MEASURED;
        let mut sound = true;
        for (lane, mut longest) in sampled {
            let fits = source.most_chars(lane.index).is_some_and(|most| most <= longest.limit);
            let varies = source.constant(lane.index).is_none();
            if measurable && varies && !fits {
                let order = source.order_for(&[lane.index]);
                let mut cells = Vec::new();
                (longest.length, longest.too_long) = (0, 0);
                for n in 1..=source.rows() {
                    if source.make(n, &order, &mut cells).is_ok() {
                        longest.see(n, &cells[lane.index], &lane.kind);
                    }
                }
            }
            if longest.too_long == 0 {
                continue;
            }
            sound = false;
            let Longest { limit, row, length, text, too_long } = longest;
            let cut: String = text.chars().take(60).collect();
            let dots = if cut.len() < text.len() { "…" } else { "" };
            let message = format!(
                "row {row}: the text `{cut}{dots}` is {length} characters long; the column holds {limit}"
            );
            let of = match exact || measurable || !varies {
                true => format!("the longest of all {} rows", source.rows()),
                false => format!("the longest of a sample of {} rows", source.rows()),
            };
            let type_name = live.column(&lane.name).map_or("", |column| column.type_name.as_str());
            let misfit = Misfit::error(KIND, lane.name.as_str(), message)
                .note(format!("it is {of}, of which {too_long} are too long for {type_name}"))
                .help(format!("make values of at most {limit} characters, or widen the column"));
            self.tell(misfit);
        }
        sound
    }

    /// Values of types and domains that only the server can read. True when it reads them all.
    pub(super) async fn server_values(
        &mut self,
        live: &LiveTable,
        source: &RowSource,
        lanes: &[Lane],
    ) -> Result<bool, SeedError> {
        let mut sound = true;
        for lane in lanes {
            let Some(column) = live.column(&lane.name) else { continue };
            if lane.kind.is_binary() && !column.domain {
                continue;
            }
            let Some(given) = Given::new(live, source, lanes, std::slice::from_ref(&lane.name))? else {
                continue;
            };
            let sql = format!("SELECT count(k.{}) FROM {}", ident(&lane.name), given.from);
            let Err(error) = self.try_ask(&sql, &given.params).await? else { continue };
            // Data exceptions and constraints of domains; what else can go wrong here is not the value's fault.
            let value = error.code().is_some_and(|code| ["22", "23"].contains(&&code.code()[..2]));
            if let Some(db) = error.as_db_error().filter(|_| value) {
                let note = format!("the column is {}", column.type_name);
                self.tell(Misfit::error(KIND, lane.name.as_str(), said(db)).note(note));
                sound = false;
            }
        }
        Ok(sound)
    }

    /// CHECK constraints, evaluated by the server over the sampled rows.
    pub(super) async fn constraints(
        &mut self,
        live: &LiveTable,
        source: &RowSource,
        lanes: &[Lane],
    ) -> Result<(), SeedError> {
        for check in live.checks.iter().filter(|check| !check.columns.is_empty()) {
            let Some(given) = Given::new(live, source, lanes, &check.columns)? else { continue };
            if given.assumes_null && !live.fillers().is_empty() {
                continue;
            }
            let sql = format!(
                "SELECT k.{0}, (SELECT count(*) FROM {1} WHERE NOT ({2})) FROM {1} WHERE NOT ({2}) ORDER BY k.{0} LIMIT 1",
                ident(NUMBER),
                given.from,
                check.expression,
            );
            // A function that the role may not call, a value of a type that only the server knows: the write will tell.
            let Ok(rows) = self.try_ask(&sql, &given.params).await? else { continue };
            if let Some(row) = rows.first() {
                self.broken(check, (row.get(0), row.get(1)), source, lanes)?;
            }
        }
        Ok(())
    }

    fn broken(
        &mut self,
        check: &CheckConstraint,
        (n, count): (i64, i64),
        source: &RowSource,
        lanes: &[Lane],
    ) -> Result<(), SeedError> {
        let mut values = Vec::new();
        let mut supplied = Vec::new();
        for name in &check.columns {
            match lanes.iter().find(|lane| lane.name == *name) {
                Some(lane) => {
                    values.push(format!("{name} is {}", copy::shown(&source.cell(n as u64, lane.index)?)));
                    supplied.push(name.clone());
                }
                None => values.push(format!("{name} is not supplied and NULL")),
            }
        }
        let place = if supplied.is_empty() { &check.columns } else { &supplied };
        let message = format!("row {n} breaks the CHECK `{}`: {}", check.name, values.join(", "));
        let note = format!(
            "it is so in {}, and the constraint is CHECK {}",
            rows_of(count as u64, source),
            check.expression
        );
        self.tell(Misfit::error(KIND, place.as_slice(), message).note(note));
        Ok(())
    }
}

/// `1 row`, `2 rows`, `3 of the 2000 rows that were looked at`.
fn rows_of(count: u64, source: &RowSource) -> String {
    if !sampled_whole(source.rows()) {
        return format!("{count} of the {} rows that were looked at", sample(source.rows()).count());
    }
    format!("{count} row{}", if count == 1 { "" } else { "s" })
}

/// The lanes whose texts have a limit.
fn limited(lanes: &[Lane]) -> Vec<(&Lane, Longest)> {
    let longest = |limit| Longest { limit, row: 0, length: 0, text: String::new(), too_long: 0 };
    let limit = |lane: &Lane| match lane.kind {
        Kind::Text(limit) => limit,
        _ => None,
    };
    lanes.iter().filter_map(|lane| Some((lane, longest(limit(lane)?)))).collect()
}

/// Whether a value is one of the column's type; lengths are looked at apart.
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
    match lane.kind {
        Kind::Text(_) => copy::binary(&Kind::Text(None), cell, scratch),
        _ => copy::binary(&lane.kind, cell, scratch),
    }
}
