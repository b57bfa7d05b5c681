//! Rows of a table that are not ours.

use crate::error::{ErrorKind, SeedError};
use crate::fingerprint;
use crate::names::same;
use crate::rows::{Inputs, RowSource};
use crate::schema::{self, LiveTable};
use crate::stage::{self, KEY_CHUNK};
use planc::graph::{ExecutionGraph, Fixture};
use tokio_postgres::Client;

/// Rows of a table that no fixture of the graph makes: all, less those with the identity of one of its rows. A table
/// that does not exist has none. What is held in memory does not grow with the rows.
///
/// # Errors
/// Where the table cannot be read, or rows of a fixture cannot be made or have no place in it.
pub async fn foreign_rows(
    client: &Client,
    graph: &ExecutionGraph,
    inputs: &Inputs,
    table: &str,
    base_micros: i64,
) -> Result<u64, SeedError> {
    let Some(live) = schema::load(client, table).await? else {
        return Ok(0);
    };
    let sql = format!("SELECT count(*) FROM {}", live.quoted());
    let all: i64 = client.query_one(&sql, &[]).await?.get(0);
    let mut ours = 0;
    for fixture in &graph.fixtures {
        let Some((made, identity)) = fixture.rows_in() else { continue };
        if all == 0 || !is(client, &live, made).await? {
            continue;
        }
        let source = RowSource::new(graph, &fixture.name, inputs, base_micros)?;
        ours += own_rows(client, &live, fixture, identity, &source).await?;
    }
    Ok(u64::try_from(all - ours).unwrap_or(0))
}

/// Whether a name means this table.
async fn is(client: &Client, live: &LiveTable, table: &str) -> Result<bool, SeedError> {
    let sql = "SELECT coalesce(to_regclass($1)::oid = $2, false)";
    Ok(client.query_one(sql, &[&schema::quoted_name(table), &live.oid]).await?.get(0))
}

/// Rows whose identity is one that a fixture makes.
async fn own_rows(
    client: &Client,
    live: &LiveTable,
    fixture: &Fixture,
    identity: &[String],
    source: &RowSource,
) -> Result<i64, SeedError> {
    let lanes = stage::lanes(source, live, identity).map_err(|error| {
        SeedError::new(ErrorKind::Conflict, format!("fixture `{}`: {}", fixture.name, error.message))
    })?;
    let sql = format!(
        "SELECT count(*) FROM {} JOIN {} t ON {}",
        stage::unnest(&fingerprint::types(live, &lanes), "k", identity),
        live.quoted(),
        same("t", "k", identity),
    );
    let mut found = 0;
    for from in (1..=source.rows()).step_by(KEY_CHUNK as usize) {
        let to = (from + KEY_CHUNK - 1).min(source.rows());
        let arrays = stage::arrays(source, &lanes, from..=to)?;
        found += client.query_one(&sql, &stage::params(&arrays)).await?.get::<_, i64>(0);
    }
    Ok(found)
}
