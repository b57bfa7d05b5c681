//! Deleting what a fixture made, and nothing else.

use crate::error::SeedError;
use crate::ledger;
use crate::merge::old_identities;
use crate::names::{ident, same};
use crate::postgres::Job;
use crate::receipt::{Action, Receipt};
use crate::schema::{self, ForeignKey, LiveTable};
use planc::graph::FixtureKind;
use tokio_postgres::Client;

/// Deletes the rows that the ledger says are the fixture's, and its entry. Runs in the caller's transaction.
pub(crate) async fn reset(client: &Client, job: &Job<'_>, receipt: &mut Receipt) -> Result<(), SeedError> {
    let Some(entry) = ledger::read(client, job.key).await? else {
        receipt.notes.push("the ledger knows no rows of this fixture: nothing was deleted".into());
        return Ok(());
    };
    for (index, past) in entry.pasts().iter().enumerate() {
        let Some(FixtureKind::Table(table)) = past.fixture().map(|fixture| &fixture.kind) else {
            continue;
        };
        let Some(live) = schema::load(client, &table.table).await? else {
            receipt.notes.push(format!("table `{}` is gone, and the rows with it", table.table));
            continue;
        };
        let name = format!("planc_reset_{index}");
        let Some(identity) = old_identities(client, job, &live, past, &name).await? else {
            receipt
                .notes
                .push(format!("the identity columns of `{}` are gone: its rows were left", table.table));
            continue;
        };
        let old = format!("pg_temp.{}", ident(&name));
        blockers(client, &live, &old, &identity, receipt).await?;
        let sql =
            format!("DELETE FROM {} t USING {old} o WHERE {}", live.quoted(), same("t", "o", &identity));
        receipt.deleted += client.execute(&sql, &[]).await?;
        if !past.foreign_rows.is_empty() {
            receipt.notes.push(format!(
                "{} rows that were there before the fixture were left",
                past.foreign_rows.len()
            ));
        }
    }
    ledger::delete(client, job.key).await?;
    receipt.action = Action::Reset;
    Ok(())
}

/// Refuses when rows of other tables hold on to ours; tells what a cascade will take along.
async fn blockers(
    client: &Client,
    live: &LiveTable,
    old: &str,
    identity: &[String],
    receipt: &mut Receipt,
) -> Result<(), SeedError> {
    let mut holding = Vec::new();
    for key in live.children.iter().filter(|key| key.child_oid != live.oid) {
        let count = referring(client, live, key, old, identity).await?;
        if count == 0 {
            continue;
        }
        match key.on_delete.as_str() {
            "a" | "r" => holding.push(format!("{count} rows of `{}` (`{}`)", key.child, key.name)),
            "c" => receipt
                .notes
                .push(format!("{count} rows of `{}` went with them (ON DELETE CASCADE)", key.child)),
            _ => receipt.notes.push(format!("{count} rows of `{}` no longer refer to them", key.child)),
        }
    }
    if holding.is_empty() {
        return Ok(());
    }
    Err(SeedError::conflict(format!(
        "rows of `{}` are referred to by {}; nothing was deleted",
        live.name,
        holding.join(", ")
    ))
    .help("reset the fixtures of those tables first, or delete those rows"))
}

async fn referring(
    client: &Client,
    live: &LiveTable,
    key: &ForeignKey,
    old: &str,
    identity: &[String],
) -> Result<i64, SeedError> {
    let pair = |(parent, child): (&String, &String)| format!("t.{} = c.{}", ident(parent), ident(child));
    let pairs: Vec<String> = key.parent_columns.iter().zip(&key.child_columns).map(pair).collect();
    let sql = format!(
        "SELECT count(*) FROM {} c WHERE EXISTS (SELECT 1 FROM {} t JOIN {old} o ON {} WHERE {})",
        key.child,
        live.quoted(),
        same("t", "o", identity),
        pairs.join(" AND "),
    );
    Ok(client.query_one(&sql, &[]).await?.get(0))
}
