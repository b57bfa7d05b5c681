//! The fingerprint of a fixture's rows, computed by the server over what it holds: a count and a sum of 64-bit hashes
//! of the rows. Sums do not depend on order and add up over chunks, and so do exclusive ors.
//!
//! Only columns that nothing but a seeding changes are in it: not those marked volatile, not times relative to now.

use crate::error::SeedError;
use crate::names;
use crate::rows::RowSource;
use crate::schema::LiveTable;
use crate::stage::{self, KEY_CHUNK, Lane};
use planc::graph::Columns;
use std::fmt;
use tokio_postgres::Client;

/// What of a row is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Its text: any row has one.
    Text,
    /// The record itself, in less than half the time (10,000 certificates: 20 ms beside 44): from Postgres 14 on, where
    /// every column's type has a hash function. Values that are equal to the database have the same hash.
    Record,
    /// The record as well, put together by exclusive or, so that there are parts of it to hold against each other (see
    /// `buckets`). Two equal hashes would be none, so the identity is in it.
    Xor,
}

impl Way {
    /// The way in which a fingerprint that was written down was taken.
    pub(crate) fn of(written: &str) -> Way {
        match written.as_bytes().first() {
            Some(b'r') => Way::Record,
            Some(b'x') => Way::Xor,
            _ => Way::Text,
        }
    }

    fn mark(self) -> &'static str {
        match self {
            Way::Text => "",
            Way::Record => "r",
            Way::Xor => "x",
        }
    }

    /// The best way for some columns.
    pub(crate) async fn best(
        client: &Client,
        live: &LiveTable,
        columns: &[String],
        identity: &[String],
    ) -> Result<Way, SeedError> {
        let hashed =
            |name: &String| live.column(name).is_some_and(|column| !column.domain && column.kind.is_hashed());
        if columns.is_empty() || !columns.iter().all(hashed) {
            return Ok(Way::Text);
        }
        let known = identity.iter().all(|name| columns.contains(name));
        let sql = "SELECT current_setting('server_version_num')::int >= 140000";
        Ok(match client.query_typed_one(sql, &[]).await?.get(0) {
            true if known => Way::Xor,
            true => Way::Record,
            false => Way::Text,
        })
    }
}

/// Count and sum of row hashes; of [`Way::Xor`] the sum is what 64 bits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    way: Way,
    pub(crate) rows: i64,
    sum: i128,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}:{:x}", self.way.mark(), self.rows, self.sum)
    }
}

impl Fingerprint {
    /// Whether it is over no more rows than the one that was written down.
    pub(crate) fn is_no_more_than(&self, written: &str) -> bool {
        rows_of(written).is_some_and(|rows| self.rows <= rows)
    }

    /// What parts are together, by [`Way::Xor`].
    pub(crate) fn of_parts(rows: i64, sum: i64) -> Fingerprint {
        Fingerprint { way: Way::Xor, rows, sum: i128::from(sum as u64) }
    }

    fn add(&mut self, other: Fingerprint) {
        self.rows += other.rows;
        match self.way {
            Way::Xor => self.sum ^= other.sum,
            Way::Text | Way::Record => self.sum += other.sum,
        }
    }
}

/// The number of rows in a fingerprint that was written down.
pub(crate) fn rows_of(written: &str) -> Option<i64> {
    written.trim_start_matches(['r', 'x']).split_once(':')?.0.parse().ok()
}

/// The columns inside the fingerprint, in order of name.
pub(crate) fn stable_columns(columns: &Columns, source: &RowSource) -> Vec<String> {
    columns
        .iter()
        .filter(|(name, column)| !column.volatile && column.fresh_within.is_none() && !source.moves(name))
        .map(|(name, _)| name.clone())
        .collect()
}

/// The hash of row `t`, as SQL.
pub(crate) fn row_hash(way: Way, columns: &[String]) -> String {
    let row =
        if columns.is_empty() { "ROW(0)".into() } else { format!("ROW({})", names::list("t", columns)) };
    match way {
        Way::Text => format!("hashtextextended({row}::text, 0)"),
        Way::Record | Way::Xor => format!("hash_record_extended({row}, 0)"),
    }
}

fn aggregate(way: Way, columns: &[String]) -> String {
    let sum = if way == Way::Xor { "bit_xor" } else { "sum" };
    format!("count(*), coalesce({sum}({}), 0)::text", row_hash(way, columns))
}

fn read(way: Way, row: &tokio_postgres::Row) -> Fingerprint {
    let sum: String = row.get(1);
    match way {
        Way::Xor => Fingerprint::of_parts(row.get(0), sum.parse().unwrap_or(0)),
        Way::Text | Way::Record => Fingerprint { way, rows: row.get(0), sum: sum.parse().unwrap_or(0) },
    }
}

/// Over the whole table.
pub(crate) async fn whole(
    client: &Client,
    table: &str,
    way: Way,
    columns: &[String],
) -> Result<Fingerprint, SeedError> {
    let sql = format!("SELECT {} FROM {table} t", aggregate(way, columns));
    Ok(read(way, &client.query_typed_one(&sql, &[]).await?))
}

/// Over the rows of the fixture alone.
pub(crate) async fn ours(
    client: &Client,
    live: &LiveTable,
    identity: &[Lane],
    (way, columns): (Way, &[String]),
    source: &RowSource,
) -> Result<Fingerprint, SeedError> {
    let sql = format!("SELECT {} FROM {}", aggregate(way, columns), ours_from(live, identity));
    let mut total = Fingerprint { way, rows: 0, sum: 0 };
    for from in (1..=source.rows()).step_by(KEY_CHUNK as usize) {
        let to = (from + KEY_CHUNK - 1).min(source.rows());
        let arrays = stage::arrays(source, identity, from..=to)?;
        total.add(read(way, &client.query_one(&sql, &stage::params(&arrays)).await?));
    }
    Ok(total)
}

/// The rows `t` of a table whose identities are in the arrays that are the parameters, to stand after FROM.
pub(crate) fn ours_from(live: &LiveTable, identity: &[Lane]) -> String {
    let keys: Vec<String> = identity.iter().map(|lane| lane.name.clone()).collect();
    format!(
        "{} t JOIN {} ON {}",
        live.quoted(),
        stage::unnest(&types(live, identity), "k", &keys),
        names::same("t", "k", &keys),
    )
}

/// SQL type names of lanes.
pub(crate) fn types<'a>(live: &'a LiveTable, lanes: &[Lane]) -> Vec<&'a str> {
    let name = |lane: &Lane| live.column(&lane.name).map_or("text", |column| column.type_name.as_str());
    lanes.iter().map(name).collect()
}
