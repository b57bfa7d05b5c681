//! Rows into a table: straight by COPY where nothing of them is there, else through a staging table and one set-based
//! merge by the fixture's policy.

use crate::buckets::Suspects;
use crate::copy::Kind;
use crate::drift::Drift;
use crate::error::{ErrorKind, SeedError};
use crate::fingerprint;
use crate::foreign_keys;
use crate::indexes::{self, Index};
use crate::ledger::{self, Past};
use crate::names::{self, ident, same};
use crate::postgres::Job;
use crate::progress::{Meter, Progress};
use crate::rows::RowSource;
use crate::schema::LiveTable;
use crate::stage::{self, KEY_CHUNK, NUMBER, Target};
use planc::graph::OnConflict;
use std::collections::BTreeSet;
use tokio_postgres::Client;

/// What a merge did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
    pub(crate) kept: u64,
    pub(crate) unchanged: u64,
    /// Row numbers that are there and not ours.
    pub(crate) foreign: Vec<i64>,
    /// Indexes of earlier definitions of which rows are left.
    pub(crate) left: Vec<usize>,
    pub(crate) notes: Vec<String>,
    /// Rows that differ and were left so by policy.
    pub(crate) differing: u64,
}

/// A merge of one fixture into its table.
pub(crate) struct Merge<'a> {
    pub(crate) client: &'a Client,
    pub(crate) job: &'a Job<'a>,
    pub(crate) live: &'a LiveTable,
    pub(crate) source: &'a RowSource,
    /// Columns to compare and to set, identity left out.
    pub(crate) compared: Vec<String>,
    /// All other rows are known to be as they should be.
    pub(crate) suspects: Option<&'a Suspects>,
}

pub(crate) const STAGE: &str = "pg_temp.planc_stage";
/// Numbers of the staged rows that are missing or differ, once they have been looked for.
pub(crate) const DRIFTED: &str = "pg_temp.planc_drifted";

/// Whether any of the fixture's identities is in the table.
pub(crate) async fn any_there(
    client: &Client,
    job: &Job<'_>,
    live: &LiveTable,
    source: &RowSource,
) -> Result<bool, SeedError> {
    let lanes = stage::lanes(source, live, &job.table.identity)?;
    let keys = &job.table.identity;
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM {} JOIN {} t ON {})",
        stage::unnest(&fingerprint::types(live, &lanes), "k", keys),
        live.quoted(),
        same("t", "k", keys),
    );
    for from in (1..=source.rows()).step_by(KEY_CHUNK as usize) {
        let to = (from + KEY_CHUNK - 1).min(source.rows());
        let arrays = stage::arrays(source, &lanes, from..=to)?;
        if client.query_one(&sql, &stage::params(&arrays)).await?.get(0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// COPY of all rows straight into the table; `empty` says that it held none.
pub(crate) async fn direct(
    client: &Client,
    job: &Job<'_>,
    live: &LiveTable,
    source: &RowSource,
    empty: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, SeedError> {
    let mut notes = Vec::new();
    let indexes = match job.table.rebuild_indexes {
        true => drop_indexes(client, live, source.rows(), empty, &mut notes).await?,
        false => Vec::new(),
    };
    let mut inserted = None;
    if job.table.skip_foreign_key_triggers && !live.parents.is_empty() {
        inserted = copy_unchecked(client, job, live, source, &mut notes, progress).await?;
    }
    let inserted = match inserted {
        Some(inserted) => inserted,
        None => copy(client, job, live, source, progress).await?,
    };
    if !indexes.is_empty() {
        progress(Meter::new(&job.fixture.name, source.rows(), 0).doing("making indexes"));
        indexes::make(client, &indexes).await?;
        notes.push(format!("{} indexes were made after the rows", indexes.len()));
    }
    Ok(Outcome { inserted, notes, ..Outcome::default() })
}

async fn copy(
    client: &Client,
    job: &Job<'_>,
    live: &LiveTable,
    source: &RowSource,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, SeedError> {
    let lanes = stage::lanes(source, live, source.columns())?;
    let table = live.quoted();
    let target = Target { table: &table, numbered: false, fixture: &job.fixture.name };
    stage::copy_rows(client, &target, source, &lanes, &mut (1..=source.rows()), progress).await
}

/// COPY with foreign keys verified after it; `None` when that cannot be, and then no row is there.
async fn copy_unchecked(
    client: &Client,
    job: &Job<'_>,
    live: &LiveTable,
    source: &RowSource,
    notes: &mut Vec<String>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<u64>, SeedError> {
    let mut kept = |why: String| notes.push(format!("foreign-key triggers were not skipped: {why}"));
    if let Some(why) = foreign_keys::skip(client, live).await? {
        kept(why);
        return Ok(None);
    }
    let inserted = copy(client, job, live, source, progress).await?;
    progress(Meter::new(&job.fixture.name, source.rows(), 0).doing("verifying foreign keys"));
    if let Some(why) = foreign_keys::unskip(client, live).await? {
        kept(why);
        return Ok(None);
    }
    notes.push(format!("{} foreign keys were verified at once, without their triggers", live.parents.len()));
    Ok(Some(inserted))
}

/// Drops indexes where making them again costs less than keeping them.
async fn drop_indexes(
    client: &Client,
    live: &LiveTable,
    rows: u64,
    empty: bool,
    notes: &mut Vec<String>,
) -> Result<Vec<Index>, SeedError> {
    if !empty || rows < indexes::WORTH_ROWS {
        return Ok(Vec::new());
    }
    if !indexes::owned(client, live).await? {
        notes.push(format!("indexes were kept: the role does not own `{}`", live.name));
        return Ok(Vec::new());
    }
    indexes::drop(client, live).await
}

impl Merge<'_> {
    /// All rows, or those that may have drifted, into the staging table.
    pub(crate) async fn stage(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), SeedError> {
        let columns = self.source.columns();
        stage::temporary(self.client, "planc_stage", &self.live.quoted(), columns).await?;
        let lanes = stage::lanes(self.source, self.live, columns)?;
        let target = Target { table: STAGE, numbered: true, fixture: &self.job.fixture.name };
        match self.suspects {
            None => {
                let rows = &mut (1..=self.source.rows());
                stage::copy_rows(self.client, &target, self.source, &lanes, rows, progress).await?;
            }
            Some(suspects) => {
                let rows = &mut suspects.rows(self.source);
                stage::copy_rows(self.client, &target, self.source, &lanes, rows, progress).await?;
            }
        }
        // Without statistics the planner takes the table for empty and joins by nested loops; all joins are by identity.
        let keys = names::list("", &self.job.table.identity);
        self.client.batch_execute(&format!("ANALYZE {STAGE} ({keys})")).await?;
        Ok(())
    }

    /// Merges the staged rows by the fixture's policy; `pasts` are the definitions that made rows before, and `drift` is
    /// what is known to differ.
    pub(crate) async fn merge(&self, pasts: &[Past], drift: Option<&Drift>) -> Result<Outcome, SeedError> {
        let mut outcome = Outcome::default();
        let olds = self.stage_olds(pasts, &mut outcome).await?;
        let foreign = self.not_ours(&olds).await?;
        let there = match (self.job.table.on_conflict, drift) {
            (OnConflict::Refresh | OnConflict::Exact, _) => 0,
            (_, Some(drift)) => self.source.rows() - drift.missing,
            (_, None) => self.there().await?,
        };
        match self.job.table.on_conflict {
            OnConflict::Fail if there > 0 => return Err(self.fail(there).await?),
            OnConflict::Fail => {}
            OnConflict::Keep => {
                outcome.differing = self.count(&self.differing()).await?;
                outcome.kept = there;
                outcome.foreign = foreign;
            }
            OnConflict::Refresh | OnConflict::Exact => {
                if !foreign.is_empty() && !self.job.table.adopt {
                    return Err(self.not_ours_error(&foreign).await?);
                }
                if !foreign.is_empty() {
                    outcome.notes.push(format!(
                        "{} rows that were there already are ours from now on (adopt)",
                        foreign.len()
                    ));
                }
                self.leftovers(&olds, &mut outcome).await?;
                if drift.is_none_or(|drift| drift.changed > 0) {
                    outcome.updated = self.update(drift.is_some()).await?;
                }
            }
        }
        if drift.is_none_or(|drift| drift.missing > 0) {
            outcome.inserted = self.insert().await?;
        }
        if matches!(self.job.table.on_conflict, OnConflict::Refresh | OnConflict::Exact) {
            // What was neither made nor changed was there and as it should be.
            outcome.unchanged = self.source.rows().saturating_sub(outcome.inserted + outcome.updated);
        }
        Ok(outcome)
    }

    /// How many of the rows are in the table.
    async fn there(&self) -> Result<u64, SeedError> {
        let same = same("t", "s", &self.job.table.identity);
        self.count(&format!("{} t JOIN {STAGE} s ON {same}", self.live.quoted())).await
    }

    async fn count(&self, from: &str) -> Result<u64, SeedError> {
        let count: i64 = self.client.query_one(&format!("SELECT count(*) FROM {from}"), &[]).await?.get(0);
        Ok(count as u64)
    }

    /// Identities of the first five staged rows of a FROM clause with alias `s`.
    async fn examples(&self, from: &str) -> Result<String, SeedError> {
        let texts: Vec<String> =
            self.job.table.identity.iter().map(|key| format!("s.{}::text", ident(key))).collect();
        let sql = format!(
            "SELECT concat_ws(', ', {}) FROM {from} ORDER BY s.{} LIMIT 5",
            texts.join(", "),
            ident(NUMBER)
        );
        let rows = self.client.query(&sql, &[]).await?;
        let shown: Vec<String> = rows.iter().map(|row| format!("`{}`", row.get::<_, String>(0))).collect();
        Ok(shown.join(", "))
    }

    /// Whether row `t` differs from staged row `s`.
    pub(crate) fn differs(&self) -> String {
        let pairs: Vec<String> = self.compared.iter().map(|name| self.column_differs(name)).collect();
        if pairs.is_empty() { "false".into() } else { format!("({})", pairs.join(" OR ")) }
    }

    /// Whether a column of row `t` differs from that of staged row `s`.
    pub(crate) fn column_differs(&self, name: &str) -> String {
        let cast = if self.live.column(name).is_some_and(|c| c.comparable) { "" } else { "::text" };
        format!("t.{0}{cast} IS DISTINCT FROM s.{0}{cast}", ident(name))
    }

    fn differing(&self) -> String {
        let keys = &self.job.table.identity;
        format!(
            "{} t JOIN {STAGE} s ON {} WHERE {}",
            self.live.quoted(),
            same("t", "s", keys),
            self.differs()
        )
    }

    /// One temporary table for each earlier definition on this table: the identities that it made.
    pub(crate) async fn stage_olds(
        &self,
        pasts: &[Past],
        outcome: &mut Outcome,
    ) -> Result<Vec<Old>, SeedError> {
        let mut olds = Vec::new();
        for (index, past) in pasts.iter().enumerate() {
            let same = || {
                past.base_micros == self.source.base_micros()
                    && past.foreign_rows.is_empty()
                    && ledger::hash_of(past.definition.clone()) == self.job.hash
            };
            // Suspects are looked for only among rows of this very definition.
            if self.suspects.is_some() || same() {
                // The very rows that are staged, or of which some are.
                let identity = self.job.table.identity.clone();
                olds.push(Old { index, table: STAGE.into(), identity });
                continue;
            }
            let name = format!("planc_old_{index}");
            match old_identities(self.client, self.job, self.live, past, &name).await? {
                Some(identity) => {
                    olds.push(Old { index, table: format!("pg_temp.{}", ident(&name)), identity });
                }
                None => {
                    outcome.left.push(index);
                    outcome.notes.push(
                        "rows of an earlier definition lie in another table and were left there".into(),
                    );
                }
            }
        }
        Ok(olds)
    }

    /// Row numbers whose row is there and was made by none of our definitions.
    async fn not_ours(&self, olds: &[Old]) -> Result<Vec<i64>, SeedError> {
        if olds.iter().any(|old| old.table == STAGE) {
            return Ok(Vec::new());
        }
        let ours: String = olds
            .iter()
            .map(|old| {
                format!(
                    " AND NOT EXISTS (SELECT 1 FROM {} o WHERE {})",
                    old.table,
                    same("o", "t", &old.identity)
                )
            })
            .collect();
        let sql = format!(
            "SELECT s.{number} FROM {} t JOIN {STAGE} s ON {}{ours} ORDER BY s.{number}",
            self.live.quoted(),
            same("t", "s", &self.job.table.identity),
            number = ident(NUMBER),
        );
        Ok(self.client.query(&sql, &[]).await?.iter().map(|row| row.get(0)).collect())
    }

    /// Rows of ours that the fixture no longer has: deleted by `exact`, else counted.
    async fn leftovers(&self, olds: &[Old], outcome: &mut Outcome) -> Result<(), SeedError> {
        let mut left = 0;
        for old in olds.iter().filter(|old| old.table != STAGE) {
            let gone = format!(
                "{} AND NOT EXISTS (SELECT 1 FROM {STAGE} s WHERE {})",
                same("o", "t", &old.identity),
                same("s", "t", &self.job.table.identity),
            );
            if self.job.table.on_conflict == OnConflict::Exact {
                let sql = format!("DELETE FROM {} t USING {} o WHERE {gone}", self.live.quoted(), old.table);
                outcome.deleted += self.client.execute(&sql, &[]).await?;
                continue;
            }
            let count =
                self.count(&format!("{} t JOIN {} o ON {gone}", self.live.quoted(), old.table)).await?;
            if count > 0 {
                left += count;
                outcome.left.push(old.index);
            }
        }
        if left > 0 {
            outcome.notes.push(format!(
                "{left} rows of an earlier definition are no longer in the fixture and were left: `on_conflict: exact` deletes them"
            ));
        }
        Ok(())
    }

    /// Sets the rows that differ right; `narrowed` says that they are listed.
    async fn update(&self, narrowed: bool) -> Result<u64, SeedError> {
        if self.compared.is_empty() {
            return Ok(0);
        }
        let set: Vec<String> = self.compared.iter().map(|name| format!("{0} = s.{0}", ident(name))).collect();
        let listed = format!(" AND s.{} IN (SELECT n FROM {DRIFTED} WHERE NOT missing)", ident(NUMBER));
        let sql = format!(
            "UPDATE {} t SET {} FROM {STAGE} s WHERE {} AND {}{}",
            self.live.quoted(),
            set.join(", "),
            same("t", "s", &self.job.table.identity),
            self.differs(),
            if narrowed { listed.as_str() } else { "" },
        );
        Ok(self.client.execute(&sql, &[]).await?)
    }

    async fn insert(&self) -> Result<u64, SeedError> {
        let columns = self.source.columns();
        let always = columns.iter().any(|name| self.live.column(name).is_some_and(|c| c.always_identity));
        let sql = format!(
            "INSERT INTO {table} ({}) {}SELECT {} FROM {STAGE} s WHERE NOT EXISTS (SELECT 1 FROM {table} t WHERE {}) ORDER BY s.{}",
            names::list("", columns),
            if always { "OVERRIDING SYSTEM VALUE " } else { "" },
            names::list("s", columns),
            same("t", "s", &self.job.table.identity),
            ident(NUMBER),
            table = self.live.quoted(),
        );
        Ok(self.client.execute(&sql, &[]).await?)
    }

    async fn fail(&self, there: u64) -> Result<SeedError, SeedError> {
        let from = format!(
            "{} t JOIN {STAGE} s ON {}",
            self.live.quoted(),
            same("t", "s", &self.job.table.identity)
        );
        let examples = self.examples(&from).await?;
        Ok(SeedError::conflict(format!(
            "{there} of its rows are in `{}` already: {examples}; nothing was written",
            self.live.name
        ))
        .help("`on_conflict: fail` wants a table without them: reset the fixture, delete them, or write `on_conflict: refresh`"))
    }

    async fn not_ours_error(&self, foreign: &[i64]) -> Result<SeedError, SeedError> {
        let first: Vec<String> = foreign.iter().take(5).map(i64::to_string).collect();
        let from = format!("{STAGE} s WHERE s.{} IN ({})", ident(NUMBER), first.join(", "));
        let examples = self.examples(&from).await?;
        Ok(SeedError::new(
            ErrorKind::Conflict,
            format!(
                "{} rows of `{}` have its identities and were not made by it: {examples}; nothing was written",
                foreign.len(),
                self.live.name
            ),
        )
        .help("write `adopt: true` to take them over, `on_conflict: keep` to leave them, or change the identities"))
    }
}

/// Identities that an earlier definition made.
pub(crate) struct Old {
    index: usize,
    /// Quoted name of the temporary table that holds them.
    pub(crate) table: String,
    /// Columns that rows were known by.
    pub(crate) identity: Vec<String>,
}

/// Makes a temporary table with the identities that a definition made and that are ours. `None` when the definition is
/// of another table.
pub(crate) async fn old_identities(
    client: &Client,
    job: &Job<'_>,
    live: &LiveTable,
    past: &Past,
    name: &str,
) -> Result<Option<Vec<String>>, SeedError> {
    let Some(fixture) = past.fixture() else {
        return Ok(None);
    };
    let planc::graph::FixtureKind::Table(table) = &fixture.kind else {
        return Ok(None);
    };
    let same_table: bool = client
        .query_one(
            "SELECT coalesce(to_regclass($1)::oid = $2, false)",
            &[&crate::schema::quoted_name(&table.table), &live.oid],
        )
        .await?
        .get(0);
    if !same_table || table.identity.iter().any(|column| live.column(column).is_none()) {
        return Ok(None);
    }
    let source = RowSource::new(&past.definition, &fixture.name, job.inputs, past.base_micros)?;
    let lanes = stage::lanes(&source, live, &table.identity)?;
    let quoted = stage::temporary(client, name, &live.quoted(), &table.identity).await?;
    let target = Target { table: &quoted, numbered: true, fixture: &job.fixture.name };
    stage::copy_rows(client, &target, &source, &lanes, &mut past.ours(), &mut |_| {}).await?;
    client.batch_execute(&format!("ANALYZE {quoted}")).await?;
    Ok(Some(table.identity.clone()))
}

/// Moves sequences past the numbers that the fixture supplied, so that the service's own inserts do not collide with
/// them. Not undone by a rollback, which leaves nothing worse than a gap. Returns what was done or could not be.
pub(crate) async fn advance_sequences(
    client: &Client,
    live: &LiveTable,
    source: &RowSource,
) -> Result<Vec<String>, SeedError> {
    let mut notes = Vec::new();
    let numbered = |column: &&crate::schema::LiveColumn| {
        column.has_default
            && matches!(column.kind, Kind::Int2 | Kind::Int4 | Kind::Int8)
            && source.columns().contains(&column.name)
    };
    for column in live.columns.iter().filter(numbered) {
        let row = client
            .query_one(
                "SELECT s, coalesce(has_sequence_privilege(s, 'SELECT') AND has_sequence_privilege(s, 'UPDATE'), false) \
                 FROM pg_get_serial_sequence($1, $2) s",
                &[&live.quoted(), &column.name],
            )
            .await?;
        let (Some(sequence), allowed) = (row.get::<_, Option<String>>(0), row.get::<_, bool>(1)) else {
            continue;
        };
        if !allowed {
            notes.push(format!(
                "the sequence {sequence} was not moved past the seeded numbers: the role may not"
            ));
            continue;
        }
        let sql = format!(
            "SELECT setval('{}'::regclass, m) FROM (SELECT max({})::bigint m FROM {}) t WHERE m >= (SELECT last_value FROM {sequence})",
            sequence.replace('\'', "''"),
            ident(&column.name),
            live.quoted(),
        );
        client.query(&sql, &[]).await?;
    }
    Ok(notes)
}

/// Columns to compare and set: those inside the fingerprint, and those outside of it whose definition changed. Neither
/// the identity nor what Postgres never lets be updated (`GENERATED ALWAYS AS IDENTITY`).
pub(crate) fn compared(
    job: &Job<'_>,
    live: &LiveTable,
    source: &RowSource,
    changed: &BTreeSet<String>,
) -> Vec<String> {
    let stable = fingerprint::stable_columns(&job.table.columns, source);
    let wanted = |name: &&String| stable.contains(name) || changed.contains(*name);
    let fixed = |name: &String| {
        job.table.identity.contains(name) || live.column(name).is_some_and(|column| column.always_identity)
    };
    source.columns().iter().filter(wanted).filter(|name| !fixed(name)).cloned().collect()
}
