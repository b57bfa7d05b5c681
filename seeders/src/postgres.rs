//! Seeding one fixture of the database in one transaction: lock, ledger, compare, write, check, record. What is particular
//! to scripts is in `sql`.

use crate::check;
use crate::drift::{self, Drift};
use crate::error::{ErrorKind, SeedError};
use crate::fingerprint::{self, Fingerprint, Way};
use crate::inspect;
use crate::ledger::{self, Entry, Past};
use crate::merge::{self, Merge, Outcome};
use crate::names;
use crate::options::{Mask, Mode, SeedOptions};
use crate::progress::{Meter, Progress};
use crate::receipt::{Action, Receipt};
use crate::reset;
use crate::rows::{GENERATOR_VERSION, Inputs, OuterScope, RowSource};
use crate::schema::{self, LiveTable};
use crate::sql;
use crate::stage::{self, Target};
use crate::unique;
use planc::graph::{Column, ExecutionGraph, Fixture, FixtureKind, Generator, OnConflict, TableFixture};
use planc::units::show_duration;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
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

impl Job<'_> {
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
    if job.options.mode == Mode::Apply {
        ledger::migrate(client).await?;
    }
    let transaction = client.transaction().await?;
    let client = transaction.client();
    match job.fixture.kind {
        // Times and numbers of the scripts are read as the role's own sessions read them.
        FixtureKind::Sql(_) => client.batch_execute(&limits()).await?,
        _ => session(client).await?,
    }
    let mut receipt = Receipt::new(job.fixture, job.options.base_micros);
    let meter = Meter::new(&job.fixture.name, job.fixture.rows, 0);
    let mut waiting = || progress(meter.waiting("another session is seeding this fixture: waiting for it"));
    let lock = ledger::lock(client, job.key, &mut waiting).await?;
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
    let keep = match (&job.fixture.kind, job.options.mode) {
        (FixtureKind::Sql(scripts), _) => sql::seed(client, job, scripts, &mut receipt, progress).await?,
        (_, Mode::Reset) => reset::reset(client, job, &mut receipt).await.map(|()| true)?,
        (_, Mode::Verify) => drift::verify(client, job, &mut receipt, progress).await.map(|()| false)?,
        (_, Mode::Apply) => apply(client, job, &mut receipt, progress).await?,
    };
    if !keep {
        transaction.rollback().await?;
        return Ok(receipt);
    }
    attempt.unsettled = Some((receipt.clone(), lock.stamp));
    transaction.commit().await?;
    Ok(receipt)
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
pub(crate) async fn session(client: &Client) -> Result<(), SeedError> {
    client
        .batch_execute(&format!(
            "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, MDY'; SET LOCAL IntervalStyle = 'postgres'; \
             SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; \
             SET LOCAL client_min_messages = error; {}",
            limits()
        ))
        .await?;
    Ok(())
}

/// Makes the table hold the fixture's rows. False when nothing must be kept of the transaction.
async fn apply(
    client: &Client,
    job: &Job<'_>,
    receipt: &mut Receipt,
    progress: &mut dyn FnMut(Progress),
) -> Result<bool, SeedError> {
    let entry = ledger::read(client, job.key).await?;
    let known = entry.as_ref().is_some_and(|entry| entry.is_of(&job.hash));
    receipt.notes.extend(entry.as_ref().and_then(drift::other_version));
    if let Some(entry) = entry.as_ref().filter(|_| known) {
        let source = job.source(entry.base_micros)?;
        let same = as_recorded(client, job, entry, &source).await;
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
    write(client, job, entry, known, receipt, progress).await?;
    Ok(true)
}

/// Whether the fixture's rows are as the ledger recorded them: `Some(true)` when the whole table is theirs,
/// `Some(false)` when other rows are there too, `None` when they changed or cannot be read.
async fn as_recorded(client: &Client, job: &Job<'_>, entry: &Entry, source: &RowSource) -> Option<bool> {
    if job.options.trust_ledger {
        return None;
    }
    client.batch_execute("SAVEPOINT planc_compare").await.ok()?;
    match compare_fingerprint(client, job, entry, source).await {
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
) -> Result<Option<bool>, SeedError> {
    let columns = fingerprint::stable_columns(&job.table.columns, source);
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

/// Writes: straight or by merge, then checks, fingerprint and ledger.
async fn write(
    client: &Client,
    job: &Job<'_>,
    entry: Option<Entry>,
    known: bool,
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
        let merge = Merge { client, job, live: &live, source: &source, compared };
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
    let (fingerprint, whole) = record_of(client, job, &live, &source, empty).await?;
    receipt.fingerprint = fingerprint.to_string();
    let previous: Vec<Past> = outcome.left.iter().filter_map(|index| pasts.get(*index).cloned()).collect();
    let entry = Entry {
        definition: ledger::definition(job.graph, job.fixture, job.inputs),
        previous,
        content_hash: job.hash.clone(),
        base_micros: receipt.base_micros,
        fingerprint: receipt.fingerprint.clone(),
        whole_table: whole,
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

/// The fingerprint of what is there now, and whether nothing else is in the table.
async fn record_of(
    client: &Client,
    job: &Job<'_>,
    live: &LiveTable,
    source: &RowSource,
    was_empty: bool,
) -> Result<(Fingerprint, bool), SeedError> {
    let columns = fingerprint::stable_columns(&job.table.columns, source);
    let way = Way::best(client, live, &columns).await?;
    let rows = source.rows() as i64;
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT {}) t", live.quoted(), rows + 1);
    // All rows of the fixture are there by now, so that as many rows are these rows.
    let alone = was_empty || client.query_one(&sql, &[]).await?.get::<_, i64>(0) == rows;
    if alone {
        return Ok((fingerprint::whole(client, &live.quoted(), way, &columns).await?, true));
    }
    let lanes = stage::lanes(source, live, &job.table.identity)?;
    Ok((fingerprint::ours(client, live, &lanes, (way, &columns), source).await?, false))
}

/// Moves the times of a fixture to the present when one that must be fresh no longer is. True when it did.
async fn freshen(
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
    let mut live = None;
    let mut stale = Vec::new();
    for (name, column, within) in fresh {
        let oldest = if whole { oldest_of_all(client, job, (name, column)).await? } else { None };
        let age = match oldest {
            Some(oldest) => job.options.base_micros - oldest,
            None => {
                if live.is_none() {
                    live = schema::load(client, &job.table.table).await?;
                }
                let Some(live) = &live else { return Ok(false) };
                age(client, job, live, source, (name, column), whole).await?
            }
        };
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
    let live = match live {
        Some(live) => Some(live),
        None => schema::load(client, &job.table.table).await?,
    };
    let Some(live) = live else { return Ok(false) };
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

/// The oldest value in the whole table of a column of times in the past; `None` where it is none that two short questions
/// tell.
async fn oldest_of_all(
    client: &Client,
    job: &Job<'_>,
    (name, column): (&String, &Column),
) -> Result<Option<i64>, SeedError> {
    if !is_past(column) {
        return Ok(None);
    }
    let table = schema::quoted_name(&job.table.table);
    let timed = "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2 \
        AND NOT attisdropped AND atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype))";
    if !client.query_one(timed, &[&table, name]).await?.get::<_, bool>(0) {
        return Ok(None);
    }
    let sql = format!(
        "SELECT (extract(epoch FROM min(t.{})) * 1000000)::bigint FROM {table} t",
        names::ident(name)
    );
    Ok(client.query_one(&sql, &[]).await?.get(0))
}

/// How old a column is in microseconds: its oldest value where values lie in the past, else the base time.
async fn age(
    client: &Client,
    job: &Job<'_>,
    live: &LiveTable,
    source: &RowSource,
    (name, column): (&String, &Column),
    whole: bool,
) -> Result<i64, SeedError> {
    use crate::copy::Kind;
    let now = job.options.base_micros;
    let timed = live.column(name).is_some_and(|c| matches!(c.kind, Kind::Timestamp | Kind::Timestamptz));
    if !is_past(column) || !timed {
        return Ok(now - source.base_micros());
    }
    let select = format!("SELECT (extract(epoch FROM min(t.{})) * 1000000)::bigint", names::ident(name));
    let mut oldest: Option<i64> = None;
    if whole {
        oldest = client.query_one(&format!("{select} FROM {} t", live.quoted()), &[]).await?.get(0);
    } else {
        let keys = &job.table.identity;
        let lanes = stage::lanes(source, live, keys)?;
        let from = stage::unnest(&fingerprint::types(live, &lanes), "k", keys);
        let sql = format!("{select} FROM {} t JOIN {from} ON {}", live.quoted(), names::same("t", "k", keys));
        for from in (1..=source.rows()).step_by(stage::KEY_CHUNK as usize) {
            let to = (from + stage::KEY_CHUNK - 1).min(source.rows());
            let arrays = stage::arrays(source, &lanes, from..=to)?;
            let part: Option<i64> = client.query_one(&sql, &stage::params(&arrays)).await?.get(0);
            oldest = [oldest, part].into_iter().flatten().min();
        }
    }
    Ok(oldest.map_or(0, |oldest| now - oldest))
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
