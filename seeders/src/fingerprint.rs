//! The fingerprint of a fixture's rows, computed by the server over what it holds: a count and a sum of 64-bit hashes
//! of the rows. Sums do not depend on order and add up over chunks.
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
}

impl Way {
    /// The way in which a fingerprint that was written down was taken.
    pub(crate) fn of(written: &str) -> Way {
        if written.starts_with('r') { Way::Record } else { Way::Text }
    }

    /// The best way for some columns.
    pub(crate) async fn best(
        client: &Client,
        live: &LiveTable,
        columns: &[String],
    ) -> Result<Way, SeedError> {
        let hashed =
            |name: &String| live.column(name).is_some_and(|column| !column.domain && column.kind.is_hashed());
        if columns.is_empty() || !columns.iter().all(hashed) {
            return Ok(Way::Text);
        }
        let sql = "SELECT current_setting('server_version_num')::int >= 140000";
        Ok(if client.query_one(sql, &[]).await?.get(0) { Way::Record } else { Way::Text })
    }
}

/// Count and sum of row hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    way: Way,
    pub(crate) rows: i64,
    sum: i128,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.way == Way::Record { "r" } else { "" };
        write!(f, "{mark}{}:{:x}", self.rows, self.sum)
    }
}

impl Fingerprint {
    /// Whether it is over no more rows than the one that was written down.
    pub(crate) fn is_no_more_than(&self, written: &str) -> bool {
        let rows = written.trim_start_matches('r').split_once(':');
        let rows = rows.and_then(|(rows, _)| rows.parse::<i64>().ok());
        rows.is_some_and(|rows| self.rows <= rows)
    }
}

/// The columns inside the fingerprint, in order of name.
pub(crate) fn stable_columns(columns: &Columns, source: &RowSource) -> Vec<String> {
    columns
        .iter()
        .filter(|(name, column)| !column.volatile && column.fresh_within.is_none() && !source.moves(name))
        .map(|(name, _)| name.clone())
        .collect()
}

fn aggregate(way: Way, columns: &[String]) -> String {
    let row =
        if columns.is_empty() { "ROW(0)".into() } else { format!("ROW({})", names::list("t", columns)) };
    let hash = match way {
        Way::Text => format!("hashtextextended({row}::text, 0)"),
        Way::Record => format!("hash_record_extended({row}, 0)"),
    };
    format!("count(*), coalesce(sum({hash}), 0)::text")
}

fn read(way: Way, row: &tokio_postgres::Row) -> Fingerprint {
    let sum: String = row.get(1);
    Fingerprint { way, rows: row.get(0), sum: sum.parse().unwrap_or(0) }
}

/// Over the whole table.
pub(crate) async fn whole(
    client: &Client,
    table: &str,
    way: Way,
    columns: &[String],
) -> Result<Fingerprint, SeedError> {
    let sql = format!("SELECT {} FROM {table} t", aggregate(way, columns));
    Ok(read(way, &client.query_one(&sql, &[]).await?))
}

/// Over the rows of the fixture alone.
pub(crate) async fn ours(
    client: &Client,
    live: &LiveTable,
    identity: &[Lane],
    (way, columns): (Way, &[String]),
    source: &RowSource,
) -> Result<Fingerprint, SeedError> {
    let keys: Vec<String> = identity.iter().map(|lane| lane.name.clone()).collect();
    let sql = format!(
        "SELECT {} FROM {} t JOIN {} ON {}",
        aggregate(way, columns),
        live.quoted(),
        stage::unnest(&types(live, identity), "k", &keys),
        names::same("t", "k", &keys),
    );
    let mut total = Fingerprint { way, rows: 0, sum: 0 };
    for from in (1..=source.rows()).step_by(KEY_CHUNK as usize) {
        let to = (from + KEY_CHUNK - 1).min(source.rows());
        let arrays = stage::arrays(source, identity, from..=to)?;
        let part = read(way, &client.query_one(&sql, &stage::params(&arrays)).await?);
        total.rows += part.rows;
        total.sum += part.sum;
    }
    Ok(total)
}

/// SQL type names of lanes.
pub(crate) fn types<'a>(live: &'a LiveTable, lanes: &[Lane]) -> Vec<&'a str> {
    let name = |lane: &Lane| live.column(&lane.name).map_or("text", |column| column.type_name.as_str());
    lanes.iter().map(name).collect()
}
