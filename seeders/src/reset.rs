//! Deleting what a fixture made, and nothing else.

use crate::error::{ErrorKind, SeedError};
use crate::ledger::{self, Entry, Past};
use crate::merge::old_identities;
use crate::names::{ident, same};
use crate::postgres::Job;
use crate::receipt::{Action, Receipt};
use crate::rows::GENERATOR_VERSION;
use crate::schema::{self, ForeignKey, LiveTable};
use planc::graph::FixtureKind;
use tokio_postgres::Client;

/// Rows that one definition made and that are there.
struct Doomed<'a> {
    past: &'a Past,
    live: LiveTable,
    /// Quoted name of the temporary table with their identities.
    old: String,
    identity: Vec<String>,
    rows: i64,
}

/// Something that stands in the way.
#[derive(PartialEq)]
struct Blocker {
    kind: ErrorKind,
    what: String,
    help: String,
}

/// Deletes the rows that the ledger says are the fixture's, and its entry. Runs in the caller's transaction. What stands
/// in the way is told all at once, before the first row goes.
pub(crate) async fn reset(client: &Client, job: &Job<'_>, receipt: &mut Receipt) -> Result<(), SeedError> {
    let Some(entry) = ledger::read(client, job.key).await? else {
        receipt.notes.push("the ledger knows no rows of this fixture: nothing was deleted".into());
        return Ok(());
    };
    let pasts = entry.pasts();
    let doomed = doomed(client, job, &pasts, receipt).await?;
    let mut blockers: Vec<Blocker> = declared(job).into_iter().collect();
    for rows in &doomed {
        for blocker in rows.blockers(client, &entry, receipt).await? {
            if !blockers.contains(&blocker) {
                blockers.push(blocker);
            }
        }
    }
    if !blockers.is_empty() {
        return Err(refused(job, blockers));
    }
    for rows in &doomed {
        let same = same("t", "o", &rows.identity);
        let sql = format!("DELETE FROM {} t USING {} o WHERE {same}", rows.live.quoted(), rows.old);
        receipt.deleted += client.execute(&sql, &[]).await?;
    }
    ledger::delete(client, job.key).await?;
    receipt.action = Action::Reset;
    Ok(())
}

/// What the definitions in the ledger made and what of it is there.
async fn doomed<'a>(
    client: &Client,
    job: &Job<'_>,
    pasts: &'a [Past],
    receipt: &mut Receipt,
) -> Result<Vec<Doomed<'a>>, SeedError> {
    let mut found = Vec::new();
    for (index, past) in pasts.iter().enumerate() {
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
        let sql =
            format!("SELECT count(*) FROM {} t JOIN {old} o ON {}", live.quoted(), same("t", "o", &identity));
        let rows = client.query_one(&sql, &[]).await?.get(0);
        if !past.foreign_rows.is_empty() {
            receipt.notes.push(format!(
                "{} rows that were there before the fixture were left",
                past.foreign_rows.len()
            ));
        }
        found.push(Doomed { past, live, old, identity, rows });
    }
    Ok(found)
}

impl Doomed<'_> {
    /// Everything that keeps these rows from being deleted alone; tells what a cascade will take along.
    async fn blockers(
        &self,
        client: &Client,
        entry: &Entry,
        receipt: &mut Receipt,
    ) -> Result<Vec<Blocker>, SeedError> {
        let mut found: Vec<Blocker> = self.unknown(entry).into_iter().collect();
        if self.rows == 0 {
            return Ok(found);
        }
        let name = &self.live.name;
        for trigger in &self.live.triggers {
            if let Some(how) = trigger.on_delete {
                found.push(Blocker {
                    kind: ErrorKind::Conflict,
                    what: format!("{} of `{name}` {how}", trigger.shown),
                    help: "keep what it protects: seed into a database that goes with the run".into(),
                });
            }
        }
        if self.live.lacking.iter().any(|lack| lack == "DELETE") {
            found.push(Blocker {
                kind: ErrorKind::Privilege,
                what: format!("the role lacks DELETE on `{name}`"),
                help: format!("GRANT DELETE ON {} TO <the role of database.url>", self.live.quoted()),
            });
        }
        for key in &self.live.children {
            let count = self.referring(client, key).await?;
            if count == 0 {
                continue;
            }
            let (rows, refer) = if count == 1 { ("row", "refers") } else { ("rows", "refer") };
            match key.on_delete.as_str() {
                "a" | "r" => found.push(Blocker {
                    kind: ErrorKind::Conflict,
                    what: format!("{count} {rows} of `{}` {refer} to them (`{}`)", key.child, key.name),
                    help: "reset the fixtures of those tables first, or delete those rows".into(),
                }),
                "c" => receipt
                    .notes
                    .push(format!("{count} {rows} of `{}` went with them (ON DELETE CASCADE)", key.child)),
                _ => receipt.notes.push(format!("{count} {rows} of `{}` no longer refer to them", key.child)),
            }
        }
        Ok(found)
    }

    /// Rows that only the generators of another version would find again.
    fn unknown(&self, entry: &Entry) -> Option<Blocker> {
        let version = self.past.generator_version;
        let made = self.past.ours().count() as i64;
        (version != GENERATOR_VERSION && self.rows < made).then(|| Blocker {
            kind: ErrorKind::Conflict,
            what: format!(
                "of {made} rows that generators of version {version} made in `{}`, those of this program \
                 (version {GENERATOR_VERSION}) find {}",
                self.live.name, self.rows
            ),
            help: format!("reset with the version that made them ({}), or seed again first", entry.program),
        })
    }

    /// Rows that refer to these by a key, and are not of these themselves.
    async fn referring(&self, client: &Client, key: &ForeignKey) -> Result<i64, SeedError> {
        let pair = |(parent, child): (&String, &String)| format!("t.{} = c.{}", ident(parent), ident(child));
        let pairs: Vec<String> = key.parent_columns.iter().zip(&key.child_columns).map(pair).collect();
        let theirs = match key.child_oid == self.live.oid {
            true => format!(
                " AND NOT EXISTS (SELECT 1 FROM {} m WHERE {})",
                self.old,
                same("c", "m", &self.identity)
            ),
            false => String::new(),
        };
        let sql = format!(
            "SELECT count(*) FROM {} c WHERE EXISTS (SELECT 1 FROM {} t JOIN {} o ON {} WHERE {}){theirs}",
            key.child,
            self.live.quoted(),
            self.old,
            same("t", "o", &self.identity),
            pairs.join(" AND "),
        );
        Ok(client.query_one(&sql, &[]).await?.get(0))
    }
}

/// The plan itself says that rows are never deleted.
fn declared(job: &Job<'_>) -> Option<Blocker> {
    job.table.append_only.then(|| Blocker {
        kind: ErrorKind::Conflict,
        what: format!("the fixture declares `{}` append-only", job.table.table),
        help: "keep what it protects: seed into a database that goes with the run".into(),
    })
}

fn refused(job: &Job<'_>, blockers: Vec<Blocker>) -> SeedError {
    let kind = match blockers.iter().all(|blocker| blocker.kind == ErrorKind::Privilege) {
        true => ErrorKind::Privilege,
        false => ErrorKind::Conflict,
    };
    let (mut whats, mut helps) = (Vec::new(), Vec::new());
    for Blocker { what, help, .. } in blockers {
        whats.push(what);
        if !helps.contains(&help) {
            helps.push(help);
        }
    }
    let message = format!(
        "a reset of `{}` is refused, and nothing was deleted: {}",
        job.fixture.name,
        whats.join("; ")
    );
    SeedError::new(kind, message).help(helps.join("; "))
}
