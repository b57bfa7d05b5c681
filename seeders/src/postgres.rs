//! Seeding one fixture of the database in one transaction: lock, ledger, compare, write, check, record. What is particular
//! to scripts is in `sql`.

use crate::buckets::{Parts, Spread, Suspects};
use crate::check;
use crate::drift::{self, Drift};
use crate::error::{ErrorKind, SeedError};
use crate::fingerprint::{self, Way};
use crate::fresh::freshen;
use crate::inspect;
use crate::ledger::{self, Entry, Past};
use crate::merge::{self, Merge, Outcome};
use crate::options::{Mask, Mode, SeedOptions};
use crate::progress::{Meter, Progress};
use crate::receipt::{Action, Receipt};
use crate::reset;
use crate::rows::{GENERATOR_VERSION, Inputs, OuterScope, RowSource};
use crate::samples;
use crate::schema::{self, LiveTable};
use crate::sql;
use crate::stage;
use crate::unique;
use crate::versions::{self, Held};
use planc::graph::{ExecutionGraph, Fixture, FixtureKind, Generator, OnConflict, TableFixture};
use std::collections::BTreeSet;
use std::time::Instant;
use tokio_postgres::Client;

/// One fixture to be seeded.
pub(crate) struct Job<'a> {
    pub(crate) graph: &'a ExecutionGraph,
    pub(crate) fixture: &'a Fixture,
    pub(crate) table: &'a TableFixture,
    pub(crate) inputs: &'a Inputs,
    pub(crate) options: &'a SeedOptions,
    /// Key in the ledger.
    pub(crate) key: &'a str,
    pub(crate) hash: String,
}

impl<'a> Job<'a> {
    /// The same fixture as another graph has it.
    fn over<'b>(&self, graph: &'b ExecutionGraph) -> Job<'b>
    where
        'a: 'b,
    {
        let own = graph.fixture(&self.fixture.name).unwrap_or(self.fixture);
        let table = match &own.kind {
            FixtureKind::Table(table) => table,
            FixtureKind::Sql(_) | FixtureKind::Http(_) => self.table,
        };
        let Job { inputs, options, key, .. } = *self;
        Job { graph, fixture: own, table, inputs, options, key, hash: self.hash.clone() }
    }

    pub(crate) fn source(&self, base_micros: i64) -> Result<RowSource, SeedError> {
        Ok(RowSource::new(self.graph, &self.fixture.name, self.inputs, base_micros)?)
    }

    /// What must hold once the rows are there: the fixture's own checks, and that unique values are.
    pub(crate) async fn checks(&self, client: &Client, base_micros: i64) -> Result<(), SeedError> {
        let Job { graph, fixture, inputs, .. } = *self;
        let scope = OuterScope { inputs, graph, rows: fixture.rows, now: base_micros };
        check::verify(client, &fixture.verify, &scope).await?;
        unique::check(client, self).await
    }
}

/// Seeds, verifies or resets one fixture of the database, rows of a table or scripts, in one transaction.
///
/// A second seeder of the same fixture waits (a [`Progress`] with a note says so). Whatever fails leaves the database as
/// it was, a killed process included. The receipt's `base_micros` is the base time that scenarios must draw with.
///
/// Scripts run when the ledger does not know their very text (and their declared rows); otherwise there is nothing to do
/// but to look for the declared rows and to make the fixture's checks again. A reset runs the fixture's `reset` script.
///
/// # Errors
/// Why nothing was done; of a script file, line, column and statement. A fixture of accounts is [`crate::seed_http`]'s.
pub async fn seed(
    client: &mut Client,
    graph: &ExecutionGraph,
    fixture: &Fixture,
    inputs: &Inputs,
    options: &SeedOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Receipt, SeedError> {
    attempt(client, graph, fixture, inputs, options, &mut Attempt::default(), progress).await
}

/// What an attempt over a connection that was lost leaves to be settled by the next one.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// The receipt and the ledger's stamp of a transaction whose COMMIT was sent and not answered.
    unsettled: Option<(Receipt, String)>,
    /// It turned out that it was committed.
    pub(crate) was_committed: bool,
}

/// As [`seed`], once of perhaps several times.
pub(crate) async fn attempt(
    client: &mut Client,
    graph: &ExecutionGraph,
    fixture: &Fixture,
    inputs: &Inputs,
    options: &SeedOptions,
    attempt: &mut Attempt,
    progress: &mut dyn FnMut(Progress),
) -> Result<Receipt, SeedError> {
    let started = Instant::now();
    let mask = Mask::new(graph, inputs, &options.secrets);
    let scripted;
    let table = match &fixture.kind {
        FixtureKind::Table(table) => table,
        FixtureKind::Sql(scripts) => {
            scripted = sql::declared(scripts);
            &scripted
        }
        FixtureKind::Http(_) => {
            let message = format!("fixture `{}` makes accounts over HTTP", fixture.name);
            return Err(SeedError::new(ErrorKind::Other, message));
        }
    };
    let hash = ledger::content_hash(graph, fixture, inputs);
    let job = Job { graph, fixture, table, inputs, options, key: &fixture.fixture, hash };
    match run(client, &job, attempt, progress).await {
        Ok(mut receipt) => {
            receipt.milliseconds = started.elapsed().as_millis() as u64;
            receipt.notes = receipt.notes.iter().map(|note| mask.hide(note)).collect();
            receipt.drift.iter_mut().for_each(|drift| drift.hide(&mask));
            Ok(receipt)
        }
        Err(error) => Err(error.finish(&fixture.name, &mask)),
    }
}

async fn run(
    client: &mut Client,
    job: &Job<'_>,
    attempt: &mut Attempt,
    progress: &mut dyn FnMut(Progress),
) -> Result<Receipt, SeedError> {
    watch_client(client).await;
    let known = job.options.mode == Mode::Apply && ledger::migrate(client).await?;
    let transaction = client.transaction().await?;
    let client = transaction.client();
    let settings = match job.fixture.kind {
        // Times and numbers of the scripts are read as the role's own sessions read them.
        FixtureKind::Sql(_) => limits(),
        _ => settings(),
    };
    let mut receipt = Receipt::new(job.fixture, job.options.base_micros);
    let meter = Meter::new(&job.fixture.name, job.fixture.rows, 0);
    let mut waiting = || progress(meter.waiting("another session is seeding this fixture: waiting for it"));
    let lock = ledger::lock(client, job.key, &settings, &mut waiting).await?;
    if lock.waited {
        receipt.notes.push("waited for another session that was seeding this fixture".into());
    }
    if let Some((receipt, stamp)) = &attempt.unsettled {
        if was_committed(client, job, stamp).await? {
            attempt.was_committed = true;
            return Ok(receipt.clone());
        }
        attempt.unsettled = None;
    }
    let filled;
    let job = match samples(client, job, &mut receipt).await? {
        None => job,
        Some(graph) => {
            filled = graph;
            &job.over(&filled)
        }
    };
    let keep = match (&job.fixture.kind, job.options.mode) {
        (FixtureKind::Sql(scripts), _) => sql::seed(client, job, scripts, &mut receipt, progress).await?,
        (_, Mode::Reset) => reset::reset(client, job, &mut receipt).await.map(|()| true)?,
        (_, Mode::Verify) => drift::verify(client, job, &mut receipt, progress).await.map(|()| false)?,
        (_, Mode::Apply) => {
            // Whom we waited for may have taken the ledger away.
            let entry = match known && !lock.waited {
                true => ledger::read_there(client, job.key).await?,
                false => ledger::read(client, job.key).await?,
            };
            apply(client, job, entry, &mut receipt, progress).await?
        }
    };
    if !keep {
        transaction.rollback().await?;
        return Ok(receipt);
    }
    attempt.unsettled = Some((receipt.clone(), lock.stamp));
    transaction.commit().await?;
    Ok(receipt)
}

/// The graph with what the fixture's rows draw from other tables, if they do.
async fn samples(
    client: &Client,
    job: &Job<'_>,
    receipt: &mut Receipt,
) -> Result<Option<ExecutionGraph>, SeedError> {
    if job.options.mode == Mode::Reset {
        return Ok(None);
    }
    let mend = job.options.mode == Mode::Apply && !job.options.trust_ledger;
    let samples = samples::of(client, job.graph, job.fixture, mend).await?;
    if !samples.misfits.is_empty() {
        return Err(SeedError::misfits(samples.misfits));
    }
    receipt.notes.extend(samples.notes);
    Ok(samples.graph)
}

/// Whether a transaction whose COMMIT was never answered is in the ledger. The fixture's lock is ours, so it has ended.
async fn was_committed(client: &Client, job: &Job<'_>, stamp: &str) -> Result<bool, SeedError> {
    match job.options.mode {
        Mode::Reset => Ok(ledger::read(client, job.key).await?.is_none()),
        Mode::Apply | Mode::Verify => ledger::is_stamped(client, job.key, stamp).await,
    }
}

/// Lets the server notice within half a second that its client died, so that a killed seeder's statement ends.
async fn watch_client(client: &Client) {
    // Since Postgres 14, and not on every platform; seeding works without.
    let _ = client.batch_execute("SET client_connection_check_interval = '500ms'").await;
}

/// Nobody should wait for ever behind a forgotten transaction; a limit that role, database or URL set stands.
pub(crate) const LOCK_LIMIT: &str =
    "SELECT set_config('lock_timeout', '60s', true) WHERE current_setting('lock_timeout') = '0'";

/// How long a statement and a lock may take, for this transaction.
fn limits() -> String {
    format!("SET LOCAL statement_timeout = 0; {LOCK_LIMIT}")
}

/// Settings on which text output and endurance depend, for this transaction.
fn settings() -> String {
    format!(
        "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, MDY'; SET LOCAL IntervalStyle = 'postgres'; \
         SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; \
         SET LOCAL client_min_messages = error; {}",
        limits()
    )
}

/// Makes these settings.
pub(crate) async fn session(client: &Client) -> Result<(), SeedError> {
    Ok(client.batch_execute(&settings()).await?)
}

/// Makes the table hold the fixture's rows. False when nothing must be kept of the transaction.
async fn apply(
    client: &Client,
    job: &Job<'_>,
    entry: Option<Entry>,
    receipt: &mut Receipt,
    progress: &mut dyn FnMut(Progress),
) -> Result<bool, SeedError> {
    let known = entry.as_ref().is_some_and(|entry| entry.is_of(&job.hash));
    let mut suspects = None;
    receipt.notes.extend(entry.as_ref().and_then(drift::other_version));
    if let Some(entry) = entry.as_ref().filter(|_| known) {
        let source = job.source(entry.base_micros)?;
        let same = as_recorded(client, job, entry, &source, &mut suspects).await;
        if job.options.trust_ledger || same.is_some() {
            receipt.unchanged = job.fixture.rows;
            receipt.fingerprint = entry.fingerprint.clone();
            receipt.base_micros = entry.base_micros;
            let whole = same == Some(true) || (job.options.trust_ledger && entry.whole_table);
            if freshen(client, job, &source, &entry.foreign_rows, whole, receipt).await? {
                ledger::rebase(client, job.key, receipt.base_micros).await?;
                receipt.action = Action::Rebased;
            }
            return Ok(true);
        }
        receipt.notes.push("the table no longer holds what was seeded".into());
        if job.table.on_conflict == OnConflict::Fail {
            drift::compare(client, job, entry.base_micros, Some(entry), receipt, progress).await?;
            receipt.notes.push("`on_conflict: fail` changes nothing that is there".into());
            return Ok(false);
        }
    }
    write(client, job, entry, (known, suspects), receipt, progress).await?;
    Ok(true)
}

/// Whether the fixture's rows are as the ledger recorded them: `Some(true)` when the whole table is theirs,
/// `Some(false)` when other rows are there too, `None` when they changed or cannot be read. Rows that may have drifted are
/// left in `suspects` where they were found on the way.
async fn as_recorded(
    client: &Client,
    job: &Job<'_>,
    entry: &Entry,
    source: &RowSource,
    suspects: &mut Option<Suspects>,
) -> Option<bool> {
    if job.options.trust_ledger {
        return None;
    }
    client.batch_execute("SAVEPOINT planc_compare").await.ok()?;
    match compare_fingerprint(client, job, entry, source, suspects).await {
        Ok(same) => same,
        Err(_) => {
            // A column that is gone, a type that changed: inspection will tell it in better words.
            client.batch_execute("ROLLBACK TO SAVEPOINT planc_compare").await.ok()?;
            None
        }
    }
}

async fn compare_fingerprint(
    client: &Client,
    job: &Job<'_>,
    entry: &Entry,
    source: &RowSource,
    suspects: &mut Option<Suspects>,
) -> Result<Option<bool>, SeedError> {
    let columns = fingerprint::stable_columns(&job.table.columns, source);
    let untouched = versions::hold(client, &job.table.table, &columns, entry, source.rows()).await;
    match untouched {
        Ok(Held::All) => return Ok(Some(true)),
        // Rows that a load may change change most often, and then a fingerprint in one piece costs a third less.
        Ok(Held::Most | Held::Unknown) if !any_volatile(job) => {
            *suspects = compare_parts(client, job, entry, source, &columns).await?;
            if let Some(found) = suspects {
                return Ok(found.same());
            }
        }
        Ok(_) => {}
        Err(_) => client.batch_execute("ROLLBACK TO SAVEPOINT planc_compare").await?,
    }
    let way = Way::of(&entry.fingerprint);
    if entry.whole_table {
        let table = schema::quoted_name(&job.table.table);
        let there = fingerprint::whole(client, &table, way, &columns).await?;
        if there.to_string() == entry.fingerprint {
            return Ok(Some(true));
        }
        // No more rows than ours, and not the same: ours are not as they were, whatever the others are.
        if there.is_no_more_than(&entry.fingerprint) {
            return Ok(None);
        }
    }
    let Some(live) = schema::load(client, &job.table.table).await? else {
        return Ok(None);
    };
    let lanes = stage::lanes(source, &live, &job.table.identity)?;
    let ours = fingerprint::ours(client, &live, &lanes, (way, &columns), source).await?;
    Ok((ours.to_string() == entry.fingerprint).then_some(false))
}

/// Whether a load may change columns by the fixture's own word, and not only make their times fresh.
fn any_volatile(job: &Job<'_>) -> bool {
    job.table.columns.values().any(|column| column.volatile && column.fresh_within.is_none())
}

/// Compares part by part, so that it is known as well which rows may have drifted; `None` where there are no parts. Who
/// wrote rows that are as recorded is noted, so that the next time need not look at them.
async fn compare_parts(
    client: &Client,
    job: &Job<'_>,
    entry: &Entry,
    source: &RowSource,
    columns: &[String],
) -> Result<Option<Suspects>, SeedError> {
    let Some(parts) = parts_of(client, job, entry).await? else { return Ok(None) };
    let Some(live) = schema::load(client, &job.table.table).await? else { return Ok(None) };
    let Some(written) = versions::written(client, &live, columns).await? else { return Ok(None) };
    let recorded = (entry.fingerprint.as_str(), parts.as_slice(), entry.whole_table);
    let found = Suspects::find(client, &live, &job.table.identity, columns, source, recorded).await?;
    if found.as_ref().is_some_and(|found| found.same() == Some(true)) {
        ledger::note_versions(client, job.key, &written.shown(&entry.fingerprint)).await?;
    }
    Ok(found)
}

/// Writes: straight or by merge, then checks, fingerprint and ledger.
async fn write(
    client: &Client,
    job: &Job<'_>,
    entry: Option<Entry>,
    (known, found): (bool, Option<Suspects>),
    receipt: &mut Receipt,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), SeedError> {
    let meter = Meter::new(&job.fixture.name, job.fixture.rows, 0);
    let live = inspect::fitting(client, job, job.options.base_micros, known, receipt).await?;
    ledger::create(client).await?;
    let empty: bool =
        client.query_one(&format!("SELECT NOT EXISTS (SELECT 1 FROM {})", live.quoted()), &[]).await?.get(0);
    let newest = job.source(job.options.base_micros)?;
    let pasts = entry.as_ref().map(Entry::pasts).unwrap_or_default();
    let straight = empty || (entry.is_none() && !merge::any_there(client, job, &live, &newest).await?);
    let mut suspects = None;
    let (source, outcome) = if straight {
        let mut outcome = merge::direct(client, job, &live, &newest, empty, progress).await?;
        outcome.left = elsewhere(job, &pasts);
        if !outcome.left.is_empty() {
            outcome
                .notes
                .push("rows of an earlier definition lie in another table and were left there".into());
        }
        if known {
            receipt.drift = Some(Drift { missing: newest.rows(), mended: true, ..Drift::default() });
        }
        (newest, outcome)
    } else {
        let changed = changed_columns(job, entry.as_ref(), &newest);
        let moved = changed.iter().any(|name| newest.moves(name));
        let source = match &entry {
            Some(entry) if !moved => job.source(entry.base_micros)?,
            _ => newest,
        };
        let compared = merge::compared(job, &live, &source, &changed);
        // Where a value that rows draw is gone, rows change that did not drift.
        let recorded =
            |entry: &&Entry| known && changed.is_empty() && source.base_micros() == entry.base_micros;
        if let Some(entry) = entry.as_ref().filter(recorded) {
            suspects = match found {
                Some(found) => Some(found),
                None => suspected(client, job, &live, &source, entry).await?,
            };
            suspects = suspects.filter(Suspects::are_few);
        }
        let merge =
            Merge { client, job, live: &live, source: &source, compared, suspects: suspects.as_ref() };
        merge.stage(progress).await?;
        progress(meter.doing("merging"));
        // What the load or somebody else changed is told; what the fixture itself changed is no drift.
        let mut drift = if known { Some(merge.drift().await?) } else { None };
        let outcome = merge.merge(&pasts, drift.as_ref()).await?;
        drift.iter_mut().for_each(|drift| drift.after(&outcome));
        receipt.drift = drift.filter(|drift| !drift.is_empty());
        (source, outcome)
    };
    receipt.base_micros = source.base_micros();
    if source.base_micros() != job.options.base_micros {
        freshen(client, job, &source, &outcome.foreign, false, receipt).await?;
    }
    job.checks(client, receipt.base_micros).await?;
    tell(receipt, &outcome, known);
    // As the server itself has it: a tenth of the rows makes the statistics old.
    if outcome.inserted + outcome.updated + outcome.deleted > source.rows() / 10 {
        client.batch_execute(&format!("ANALYZE {}", live.quoted())).await?;
    }
    if outcome.inserted > 0 {
        receipt.notes.extend(merge::advance_sequences(client, &live, &source).await?);
    }
    let record = match (&entry, &suspects) {
        (Some(entry), Some(suspects)) if outcome.differing == 0 => {
            again_as(client, job, &live, &source, (entry, suspects), outcome.inserted).await?
        }
        _ => None,
    };
    let record = match record {
        Some(record) => record,
        None => {
            // Rows that are not what they were made to be are looked for among all the next time.
            let faithful = outcome.differing == 0 && suspects.is_none();
            record_of(client, job, &live, &source, empty, faithful).await?
        }
    };
    receipt.fingerprint = record.fingerprint;
    let previous: Vec<Past> = outcome.left.iter().filter_map(|index| pasts.get(*index).cloned()).collect();
    let entry = Entry {
        definition: ledger::definition(job.graph, job.fixture, job.inputs),
        previous,
        content_hash: job.hash.clone(),
        base_micros: receipt.base_micros,
        fingerprint: receipt.fingerprint.clone(),
        buckets: record.buckets,
        versions: record.versions,
        whole_table: record.whole,
        foreign_rows: outcome.foreign,
        generator_version: GENERATOR_VERSION,
        program: job.options.program.clone(),
    };
    ledger::write(client, job.key, &entry, &job.options.who).await
}

/// Indices of earlier definitions that made rows in another table: reset must still find those.
fn elsewhere(job: &Job<'_>, pasts: &[Past]) -> Vec<usize> {
    let other = |past: &Past| match past.fixture().map(|fixture| &fixture.kind) {
        Some(FixtureKind::Table(table)) => table.table != job.table.table,
        _ => false,
    };
    (0..pasts.len()).filter(|index| other(&pasts[*index])).collect()
}

/// Columns outside the fingerprint whose definition is not the one in the ledger. When a time among them changed, the
/// base time does too, and with it all columns that move with it.
fn changed_columns(job: &Job<'_>, entry: Option<&Entry>, source: &RowSource) -> BTreeSet<String> {
    let old = entry.filter(|entry| entry.generator_version == GENERATOR_VERSION);
    let old = old.and_then(|entry| entry.definition.fixtures.last()).map(|fixture| fixture.columns());
    let mut changed: BTreeSet<String> = job
        .table
        .columns
        .iter()
        .filter(|(name, column)| match old.and_then(|old| old.get(*name)) {
            None => true,
            Some(before) => before.generator != column.generator,
        })
        // References to other fixtures are by alias here and by file name in the ledger: the fingerprint covers them.
        .filter(|(name, column)| source.moves(name) || !matches!(column.generator, Generator::Fixture { .. }))
        .map(|(name, _)| name.clone())
        .collect();
    if changed.iter().any(|name| source.moves(name)) {
        changed.extend(source.columns().iter().filter(|name| source.moves(name)).cloned());
    }
    changed
}

fn tell(receipt: &mut Receipt, outcome: &Outcome, known: bool) {
    receipt.inserted = outcome.inserted;
    receipt.updated = outcome.updated;
    receipt.deleted = outcome.deleted;
    receipt.kept = outcome.kept;
    receipt.unchanged = outcome.unchanged;
    receipt.notes.extend(outcome.notes.iter().cloned());
    let mended = outcome.updated + outcome.deleted > 0;
    receipt.action = if mended || (known && outcome.inserted > 0) {
        Action::Refreshed
    } else if outcome.inserted > 0 {
        Action::Inserted
    } else if receipt.rebased > 0 {
        Action::Rebased
    } else {
        Action::NothingToDo
    };
    if outcome.differing > 0 {
        receipt.notes.push(format!(
            "{} rows that were there differ from the fixture and were kept (`on_conflict: keep`)",
            outcome.differing
        ));
        if known {
            receipt.action = Action::Drift;
        }
    }
}

/// What the ledger keeps of the rows in the table.
struct Record {
    fingerprint: String,
    buckets: Option<Vec<u8>>,
    versions: Option<String>,
    /// Nothing else is in the table.
    whole: bool,
}

/// Takes the fingerprint of what is there now; `faithful` says that this is what the fixture says.
async fn record_of(
    client: &Client,
    job: &Job<'_>,
    live: &LiveTable,
    source: &RowSource,
    was_empty: bool,
    faithful: bool,
) -> Result<Record, SeedError> {
    let (columns, identity) = (fingerprint::stable_columns(&job.table.columns, source), &job.table.identity);
    let way = Way::best(client, live, &columns, identity).await?;
    let rows = source.rows() as i64;
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT {}) t", live.quoted(), rows + 1);
    // All rows of the fixture are there by now, so that as many rows are these rows.
    let whole = was_empty || client.query_typed_one(&sql, &[]).await?.get::<_, i64>(0) == rows;
    let lanes = stage::lanes(source, live, identity)?;
    let written = match whole && way == Way::Xor {
        true => versions::written(client, live, &columns).await?,
        false => None,
    };
    if let Some(spread) = Spread::of(source, live, identity).filter(|_| way == Way::Xor && faithful) {
        let parts = match whole {
            true => Parts::whole(client, live, &spread, &columns).await?,
            false => Parts::ours(client, live, &lanes, &spread, &columns, source).await?,
        };
        let fingerprint = parts.fingerprint().to_string();
        let versions = written.map(|written| written.shown(&fingerprint));
        return Ok(Record { buckets: Some(parts.written(&fingerprint)), fingerprint, versions, whole });
    }
    let fingerprint = match whole {
        true => fingerprint::whole(client, &live.quoted(), way, &columns).await?,
        false => fingerprint::ours(client, live, &lanes, (way, &columns), source).await?,
    };
    let fingerprint = fingerprint.to_string();
    let versions = written.map(|written| written.shown(&fingerprint));
    Ok(Record { fingerprint, buckets: None, versions, whole })
}

/// The parts of the fingerprint in the ledger, where they tell which rows drifted.
async fn parts_of(client: &Client, job: &Job<'_>, entry: &Entry) -> Result<Option<Vec<u8>>, SeedError> {
    // Rows that are not ours and those of earlier definitions are found among all.
    if !entry.previous.is_empty() || !entry.foreign_rows.is_empty() {
        return Ok(None);
    }
    ledger::buckets(client, job.key).await
}

/// The rows of the fixture that may have drifted from what the ledger recorded of this very definition; `None` when they
/// may all have.
async fn suspected(
    client: &Client,
    job: &Job<'_>,
    live: &LiveTable,
    source: &RowSource,
    entry: &Entry,
) -> Result<Option<Suspects>, SeedError> {
    let Some(written) = parts_of(client, job, entry).await? else { return Ok(None) };
    let columns = fingerprint::stable_columns(&job.table.columns, source);
    let recorded = (entry.fingerprint.as_str(), written.as_slice(), entry.whole_table);
    Suspects::find(client, live, &job.table.identity, &columns, source, recorded).await
}

/// The ledger's record as it was, when the rows that had drifted are so again.
async fn again_as(
    client: &Client,
    job: &Job<'_>,
    live: &LiveTable,
    source: &RowSource,
    (entry, suspects): (&Entry, &Suspects),
    inserted: u64,
) -> Result<Option<Record>, SeedError> {
    let columns = fingerprint::stable_columns(&job.table.columns, source);
    if !suspects.are_mended(client, live, &job.table.identity, &columns, merge::STAGE).await? {
        return Ok(None);
    }
    let fingerprint = entry.fingerprint.clone();
    let buckets = Some(suspects.written(&fingerprint));
    // Who wrote the other rows since they were compared is not known.
    Ok(Some(Record { fingerprint, buckets, versions: None, whole: suspects.are_alone(inserted) }))
}
