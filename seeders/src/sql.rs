//! What seeding does with an SQL fixture: the team's own scripts, the rows they declare, its checks, record.

use crate::drift::Drift;
use crate::error::{ErrorKind, SeedError};
use crate::inspect;
use crate::ledger::{self, Entry};
use crate::merge::{self, Merge};
use crate::options::{Mask, Mode};
use crate::postgres::{Job, session};
use crate::progress::Progress;
use crate::receipt::{Action, Receipt};
use crate::rows::{GENERATOR_VERSION, RowSource};
use crate::schema;
use crate::script;
use planc::graph::{FixtureKind, SqlFixture, TableFixture};
use std::collections::BTreeSet;
use tokio_postgres::Client;

/// Rows that are named in an error.
const TOLD: usize = 5;

/// The declared rows as a table fixture has them, to be compared; without a table when none are declared.
pub(crate) fn declared(scripts: &SqlFixture) -> TableFixture {
    let rows = scripts.declared.as_ref();
    let table = rows.map_or(String::new(), |rows| rows.table.clone());
    let identity = rows.map_or(Vec::new(), |rows| rows.identity.clone());
    TableFixture::kept(table, identity, scripts.columns.clone())
}

/// Runs, verifies or takes away, in the caller's transaction. False when nothing must be kept of it.
pub(crate) async fn seed(
    client: &Client,
    job: &Job<'_>,
    scripts: &SqlFixture,
    receipt: &mut Receipt,
    progress: &mut dyn FnMut(Progress),
) -> Result<bool, SeedError> {
    let entry = ledger::read(client, job.key).await?;
    if let Some(FixtureKind::Table(table)) = entry.as_ref().and_then(kind) {
        let message = format!("the ledger knows this fixture as rows of `{}`", table.table);
        return Err(SeedError::conflict(message).help(
            "give the script a `fixture:` name of its own, or reset the rows with the file that made them",
        ));
    }
    match job.options.mode {
        Mode::Apply => apply(client, job, scripts, entry, receipt, progress).await?,
        Mode::Verify => verify(client, job, scripts, entry, receipt, progress).await?,
        Mode::Reset => reset(client, job, scripts, entry, receipt, progress).await?,
    }
    Ok(job.options.mode != Mode::Verify)
}

fn kind(entry: &Entry) -> Option<&FixtureKind> {
    entry.definition.fixtures.last().map(|fixture| &fixture.kind)
}

async fn apply(
    client: &Client,
    job: &Job<'_>,
    scripts: &SqlFixture,
    entry: Option<Entry>,
    receipt: &mut Receipt,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), SeedError> {
    if let Some(entry) = entry.as_ref().filter(|entry| entry.is_of(&job.hash)) {
        receipt.base_micros = entry.base_micros;
        receipt.unchanged = job.fixture.rows;
        if !job.options.trust_ledger {
            let help = "rows that the script made were changed or deleted since: `runner seed --reset` and seed again";
            session(client).await?;
            let found = rows(client, job, scripts, receipt.base_micros, progress).await?;
            if !found.is_empty() {
                let message =
                    format!("the rows that the script made are no longer so: {}", listed(job, found));
                return Err(SeedError::new(ErrorKind::Verify, message).help(help));
            }
            job.checks(client, receipt.base_micros).await.map_err(|error| match error.help {
                None => error.help(help),
                Some(_) => error,
            })?;
        }
        return Ok(());
    }
    let stand_in_the_way = inspect::writable(client, job).await?;
    if !stand_in_the_way.is_empty() {
        return Err(SeedError::misfits(stand_in_the_way));
    }
    ledger::create(client).await?;
    for one in &scripts.scripts {
        script::run(client, one, receipt, progress).await?;
    }
    session(client).await?;
    let found = rows(client, job, scripts, receipt.base_micros, progress).await?;
    if !found.is_empty() {
        let message = format!(
            "the script does not make the rows that the fixture declares: {}; everything was rolled back",
            listed(job, found)
        );
        return Err(SeedError::new(ErrorKind::Verify, message)
            .help("say in `columns` what the script writes, or leave out what it does not"));
    }
    job.checks(client, receipt.base_micros).await?;
    if let Some(declared) = &scripts.declared {
        client.batch_execute(&format!("ANALYZE {}", schema::quoted_name(&declared.table))).await?;
    }
    let again = entry.is_some();
    if again {
        receipt.notes.push("the script is not the one that ran before: it ran again".into());
    }
    receipt.action = if again { Action::Refreshed } else { Action::Inserted };
    ledger::write(client, job.key, &record(job), &job.options.who).await
}

/// What the ledger keeps: of the scripts' texts only their names, the hash is over all.
fn record(job: &Job<'_>) -> Entry {
    let mut definition = ledger::definition(job.graph, job.fixture, job.inputs);
    if let Some(FixtureKind::Sql(own)) = definition.fixtures.last_mut().map(|fixture| &mut fixture.kind) {
        own.scripts.iter_mut().chain(&mut own.reset).for_each(|script| script.text.clear());
    }
    Entry {
        definition,
        previous: Vec::new(),
        content_hash: job.hash.clone(),
        base_micros: job.options.base_micros,
        fingerprint: String::new(),
        buckets: None,
        versions: None,
        whole_table: false,
        foreign_rows: Vec::new(),
        generator_version: GENERATOR_VERSION,
        program: job.options.program.clone(),
    }
}

/// Verify: nothing is run; the ledger, the declared rows and the checks are looked at.
async fn verify(
    client: &Client,
    job: &Job<'_>,
    scripts: &SqlFixture,
    entry: Option<Entry>,
    receipt: &mut Receipt,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), SeedError> {
    session(client).await?;
    let ran = entry.as_ref().is_some_and(|entry| entry.is_of(&job.hash));
    receipt.notes.extend(match &entry {
        None => Some("the script never ran here".to_string()),
        Some(_) if !ran => Some("another text of the script ran here".to_string()),
        Some(_) => None,
    });
    receipt.base_micros = entry.map_or(job.options.base_micros, |entry| entry.base_micros);
    let found = rows(client, job, scripts, receipt.base_micros, progress).await?;
    receipt.action = if ran && found.is_empty() { Action::Verified } else { Action::Drift };
    if !found.is_empty() {
        receipt.notes.push(found.counts());
        receipt.drift = Some(found);
    }
    if receipt.action == Action::Verified {
        receipt.unchanged = job.fixture.rows;
        job.checks(client, receipt.base_micros).await?;
    }
    Ok(())
}

/// Reset: the fixture's own script takes away what the others made.
async fn reset(
    client: &Client,
    job: &Job<'_>,
    scripts: &SqlFixture,
    entry: Option<Entry>,
    receipt: &mut Receipt,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), SeedError> {
    if entry.is_none() {
        receipt.notes.push("the ledger knows no run of this script: nothing was deleted".into());
        return Ok(());
    }
    let Some(script) = &scripts.reset else {
        return Err(SeedError::conflict("nobody but its author knows what the script made")
            .help("write the statements that take it away into a file and name it: `reset: file.sql`"));
    };
    script::run(client, script, receipt, progress).await?;
    ledger::delete(client, job.key).await?;
    receipt.action = Action::Reset;
    Ok(())
}

/// How the table differs from the declared rows; not at all where none are declared.
async fn rows(
    client: &Client,
    job: &Job<'_>,
    scripts: &SqlFixture,
    base: i64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Drift, SeedError> {
    let Some(declared) = &scripts.declared else { return Ok(Drift::default()) };
    let refused = |message: String| Err(SeedError::new(ErrorKind::Verify, message));
    let Some(live) = schema::load(client, &declared.table).await? else {
        return refused(format!(
            "table `{}` does not exist, and the fixture declares rows of it",
            declared.table
        ));
    };
    if let Some(unknown) = scripts.columns.keys().find(|name| live.column(name).is_none()) {
        return refused(format!("the fixture declares column `{unknown}`, and `{}` has none", live.name));
    }
    let source = RowSource::new(job.graph, &job.fixture.name, job.inputs, base)?;
    let compared = merge::compared(job, &live, &source, &BTreeSet::new());
    let merge = Merge { client, job, live: &live, source: &source, compared, suspects: None };
    merge.stage(progress).await?;
    merge.drift().await
}

/// How many rows differ, and the first few.
fn listed(job: &Job<'_>, mut drift: Drift) -> String {
    drift.hide(&Mask::new(job.graph, job.inputs, &job.options.secrets));
    let rows: Vec<String> = drift.rows.iter().take(TOLD).map(ToString::to_string).collect();
    format!("{}: {}", drift.counts(), rows.join("; "))
}
