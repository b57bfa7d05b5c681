//! Times that must be fresh when a load starts: how old they are, and moving them to the present.

use crate::copy::Kind;
use crate::error::SeedError;
use crate::fingerprint;
use crate::names;
use crate::postgres::Job;
use crate::receipt::Receipt;
use crate::rows::RowSource;
use crate::schema::{self, LiveTable};
use crate::stage::{self, Target};
use planc::graph::{Column, Generator};
use planc::units::show_duration;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

/// Moves the times of a fixture to the present when one that must be fresh no longer is. True when it did.
pub(crate) async fn freshen(
    client: &Client,
    job: &Job<'_>,
    source: &RowSource,
    foreign: &[i64],
    whole: bool,
    receipt: &mut Receipt,
) -> Result<bool, SeedError> {
    let fresh: Vec<(&String, &Column, Duration)> = job
        .table
        .columns
        .iter()
        .filter_map(|(name, column)| column.fresh_within.map(|within| (name, column, within)))
        .collect();
    if fresh.is_empty() {
        return Ok(false);
    }
    let mut stale = Vec::new();
    for (name, column, within) in fresh {
        let age = age(client, job, source, (name, column), whole).await?;
        if age > within.as_micros() as i64 {
            let shown = show_duration(Duration::from_secs(age.max(0) as u64 / 1_000_000));
            stale.push(format!("`{name}` is older than {} (by now {shown})", show_duration(within)));
        }
    }
    if stale.is_empty() {
        return Ok(false);
    }
    if job.options.keep_stale {
        receipt.notes.push(format!("{}: left as it is, and moved before a load", stale.join(", ")));
        return Ok(false);
    }
    let Some(live) = schema::load(client, &job.table.table).await? else { return Ok(false) };
    receipt.rebased = rebase(client, job, &live, foreign).await?;
    receipt.base_micros = job.options.base_micros;
    receipt.notes.push(format!(
        "{}: {} rows moved by one UPDATE, because fixtures with fresh_within must be fresh at load start",
        stale.join(", "),
        receipt.rebased
    ));
    Ok(true)
}

/// Whether a column's values lie before the base time.
fn is_past(column: &Column) -> bool {
    !matches!(column.generator, Generator::AfterNow(_) | Generator::TimeWithin { past: false, .. })
}

/// How old a column is in microseconds: its oldest value where values lie in the past, else the base time. `whole` says
/// that no rows but ours are in the table.
async fn age(
    client: &Client,
    job: &Job<'_>,
    source: &RowSource,
    (name, column): (&String, &Column),
    whole: bool,
) -> Result<i64, SeedError> {
    let now = job.options.base_micros;
    if !is_past(column) {
        return Ok(now - source.base_micros());
    }
    let table = schema::quoted_name(&job.table.table);
    if !is_timed(client, &job.table.table, name).await? {
        return Ok(now - source.base_micros());
    }
    let select = format!("SELECT (extract(epoch FROM min(t.{})) * 1000000)::bigint", names::ident(name));
    let mut oldest: Option<i64> = None;
    if whole {
        oldest = client.query_typed_one(&format!("{select} FROM {table} t"), &[]).await?.get(0);
    } else {
        let Some(live) = schema::load(client, &job.table.table).await? else { return Ok(0) };
        let keys = &job.table.identity;
        let lanes = stage::lanes(source, &live, keys)?;
        let from = stage::unnest(&fingerprint::types(&live, &lanes), "k", keys);
        let sql = format!("{select} FROM {table} t JOIN {from} ON {}", names::same("t", "k", keys));
        for from in (1..=source.rows()).step_by(stage::KEY_CHUNK as usize) {
            let to = (from + stage::KEY_CHUNK - 1).min(source.rows());
            let arrays = stage::arrays(source, &lanes, from..=to)?;
            let part: Option<i64> = client.query_one(&sql, &stage::params(&arrays)).await?.get(0);
            oldest = [oldest, part].into_iter().flatten().min();
        }
    }
    Ok(oldest.map_or(0, |oldest| now - oldest))
}

/// Whether a column holds points in time.
async fn is_timed(client: &Client, table: &str, name: &str) -> Result<bool, SeedError> {
    let plainly = "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2 \
        AND NOT attisdropped AND atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype))";
    let quoted = schema::quoted_name(table);
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&quoted, Type::TEXT), (&name, Type::NAME)];
    if client.query_typed_one(plainly, &params).await?.get(0) {
        return Ok(true);
    }
    // A domain, perhaps.
    let live = schema::load(client, table).await?;
    let column = live.as_ref().and_then(|live| live.column(name));
    Ok(column.is_some_and(|column| matches!(column.kind, Kind::Timestamp | Kind::Timestamptz)))
}

/// One UPDATE of the columns that move with the base time.
async fn rebase(client: &Client, job: &Job<'_>, live: &LiveTable, foreign: &[i64]) -> Result<u64, SeedError> {
    let source = job.source(job.options.base_micros)?;
    let identity = &job.table.identity;
    let moved: Vec<String> = source
        .columns()
        .iter()
        .filter(|name| source.moves(name) && !identity.contains(name))
        .cloned()
        .collect();
    if moved.is_empty() {
        return Ok(0);
    }
    let columns: Vec<String> = identity.iter().chain(&moved).cloned().collect();
    let quoted = stage::temporary(client, "planc_rebase", &live.quoted(), &columns).await?;
    let lanes = stage::lanes(&source, live, &columns)?;
    let target = Target { table: &quoted, numbered: true, fixture: &job.fixture.name };
    let foreign: BTreeSet<u64> = foreign.iter().map(|n| *n as u64).collect();
    let mut rows = (1..=source.rows()).filter(|n| !foreign.contains(n));
    stage::copy_rows(client, &target, &source, &lanes, &mut rows, &mut |_| {}).await?;
    client.batch_execute(&format!("ANALYZE {quoted}")).await?;
    let set: Vec<String> = moved.iter().map(|name| format!("{0} = s.{0}", names::ident(name))).collect();
    let sql = format!(
        "UPDATE {} t SET {} FROM {quoted} s WHERE {}",
        live.quoted(),
        set.join(", "),
        names::same("t", "s", identity)
    );
    Ok(client.execute(&sql, &[]).await?)
}
