//! The fingerprint of a fixture's rows, computed by the server over what it holds: a count and a sum of 64-bit hashes
//! of the rows' text. Sums do not depend on order and add up over chunks.
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

/// Count and sum of row hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) rows: i64,
    sum: i128,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:x}", self.rows, self.sum)
    }
}

impl Fingerprint {
    /// Whether it is over no more rows than the one that was written down.
    pub(crate) fn is_no_more_than(&self, written: &str) -> bool {
        let rows = written.split_once(':').and_then(|(rows, _)| rows.parse::<i64>().ok());
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

fn aggregate(columns: &[String]) -> String {
    let row =
        if columns.is_empty() { "ROW(0)".into() } else { format!("ROW({})", names::list("t", columns)) };
    format!("count(*), coalesce(sum(hashtextextended({row}::text, 0)), 0)::text")
}

fn read(row: &tokio_postgres::Row) -> Fingerprint {
    let sum: String = row.get(1);
    Fingerprint { rows: row.get(0), sum: sum.parse().unwrap_or(0) }
}

/// Over the whole table.
pub(crate) async fn whole(
    client: &Client,
    table: &str,
    columns: &[String],
) -> Result<Fingerprint, SeedError> {
    let sql = format!("SELECT {} FROM {table} t", aggregate(columns));
    Ok(read(&client.query_one(&sql, &[]).await?))
}

/// Over the rows of the fixture alone.
pub(crate) async fn ours(
    client: &Client,
    live: &LiveTable,
    identity: &[Lane],
    columns: &[String],
    source: &RowSource,
) -> Result<Fingerprint, SeedError> {
    let keys: Vec<String> = identity.iter().map(|lane| lane.name.clone()).collect();
    let sql = format!(
        "SELECT {} FROM {} t JOIN {} ON {}",
        aggregate(columns),
        live.quoted(),
        stage::unnest(&types(live, identity), "k", &keys),
        names::same("t", "k", &keys),
    );
    let mut total = Fingerprint::default();
    for from in (1..=source.rows()).step_by(KEY_CHUNK as usize) {
        let to = (from + KEY_CHUNK - 1).min(source.rows());
        let arrays = stage::arrays(source, identity, from..=to)?;
        let part = read(&client.query_one(&sql, &stage::params(&arrays)).await?);
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
