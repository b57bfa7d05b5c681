//! Drift: how a table differs from what the fixture says, told row by row.

use crate::error::SeedError;
use crate::inspect;
use crate::ledger::{self, Entry, Past};
use crate::merge::{self, DRIFTED, Merge, Outcome, STAGE};
use crate::names::{ident, same};
use crate::options::Mask;
use crate::postgres::Job;
use crate::progress::Progress;
use crate::receipt::{Action, Receipt};
use crate::rows::GENERATOR_VERSION;
use crate::stage::NUMBER;
use planc::graph::OnConflict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use tokio_postgres::{Client, Row};

/// Rows that are told one by one; all of them are counted.
pub const DRIFT_ROWS: usize = 20;
/// Characters of a value that are told.
const VALUE_CHARS: usize = 120;
/// Characters that are read, so that a secret is hidden before the rest is cut off.
const READ_CHARS: usize = 10_000;

/// How a table differs from what the fixture says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Rows of the fixture that the table lacks.
    pub missing: u64,
    /// Rows that an earlier definition of the fixture made and that the fixture no longer has. Only `on_conflict: exact`
    /// deletes them, and only there are they a difference.
    pub extra: u64,
    /// Rows in which columns hold other values.
    pub changed: u64,
    /// The first [`DRIFT_ROWS`] of them, by row number; extra rows last.
    pub rows: Vec<DriftedRow>,
    /// The seeding put them right.
    pub mended: bool,
}

/// One row that is not as the fixture says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftedRow {
    /// Row number in the fixture, or in the earlier definition that made the row.
    pub row: u64,
    /// Values of its identity, separated by commas.
    pub identity: String,
    /// What is wrong with it.
    pub what: RowDrift,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RowDrift {
    /// The table lacks it.
    Missing,
    /// The fixture no longer has it.
    Extra,
    /// Columns hold other values.
    Changed(Vec<ColumnDrift>),
}

/// A column that holds another value. Values are texts as Postgres writes them, long ones cut; `None` is NULL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnDrift {
    /// Its name.
    pub column: String,
    /// What the fixture says.
    pub expected: Option<String>,
    /// What the table holds.
    pub found: Option<String>,
}

impl fmt::Display for DriftedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = match &self.what {
            RowDrift::Missing => {
                return write!(f, "`{}` (row {}) is missing", self.identity, self.row);
            }
            RowDrift::Extra => {
                return write!(f, "`{}` is there, and the fixture no longer has it", self.identity);
            }
            RowDrift::Changed(columns) => columns,
        };
        let quoted =
            |value: &Option<String>| value.as_ref().map_or("NULL".into(), |text| format!("`{text}`"));
        let told: Vec<String> = columns
            .iter()
            .map(|c| format!("{} is {}, not {}", c.column, quoted(&c.found), quoted(&c.expected)))
            .collect();
        write!(f, "`{}` (row {}): {}", self.identity, self.row, told.join("; "))
    }
}

impl Drift {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.missing + self.extra + self.changed == 0
    }

    /// Rows that differ beyond those that are told one by one.
    pub fn untold(&self) -> u64 {
        (self.missing + self.extra + self.changed).saturating_sub(self.rows.len() as u64)
    }

    /// `2 rows missing, 1 row changed`.
    pub fn counts(&self) -> String {
        let counts = [(self.missing, "missing"), (self.changed, "changed"), (self.extra, "too many")];
        let told = |(count, what): &(u64, &str)| {
            let rows = if *count == 1 { "row" } else { "rows" };
            (*count > 0).then(|| format!("{count} {rows} {what}"))
        };
        counts.iter().filter_map(told).collect::<Vec<_>>().join(", ")
    }

    /// All texts that come from fixture and table, to hide secrets in.
    pub fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.rows.iter_mut().flat_map(|row| {
            let columns = match &mut row.what {
                RowDrift::Changed(columns) => columns.as_mut_slice(),
                RowDrift::Missing | RowDrift::Extra => &mut [],
            };
            let values = columns.iter_mut().flat_map(|c| c.expected.iter_mut().chain(c.found.iter_mut()));
            std::iter::once(&mut row.identity).chain(values)
        })
    }

    /// What is left of it to tell after a merge.
    pub(crate) fn after(&mut self, outcome: &Outcome) {
        self.mended = outcome.differing == 0;
        if !self.mended {
            // `keep`: rows that were missing were made, those that differ stay.
            self.missing = 0;
            self.rows.retain(|row| row.what != RowDrift::Missing);
        }
    }

    /// Hides secrets, then cuts long values.
    pub(crate) fn hide(&mut self, mask: &Mask) {
        for text in self.texts_mut() {
            *text = mask.hide(text);
            if let Some((end, _)) = text.char_indices().nth(VALUE_CHARS) {
                text.truncate(end);
                text.push('…');
            }
        }
    }
}

/// Verify: recomputes all rows and compares them with the table; the transaction is rolled back.
pub(crate) async fn verify(
    client: &Client,
    job: &Job<'_>,
    receipt: &mut Receipt,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), SeedError> {
    let entry = ledger::read(client, job.key).await?;
    match &entry {
        None => receipt.notes.push("the ledger knows nothing of this fixture".into()),
        Some(entry) if entry.content_hash != job.hash => {
            receipt.notes.push("the ledger holds another definition of this fixture".into());
        }
        Some(entry) => receipt.notes.extend(other_version(entry)),
    }
    let base = entry.as_ref().map_or(job.options.base_micros, |entry| entry.base_micros);
    compare(client, job, base, entry.as_ref(), receipt, progress).await?;
    if receipt.action == Action::Verified {
        job.checks(client, base).await?;
    }
    Ok(())
}

/// Says that another version of the generators made the rows, if so.
pub(crate) fn other_version(entry: &Entry) -> Option<String> {
    (entry.generator_version != GENERATOR_VERSION).then(|| {
        format!(
            "its rows were made by generators of version {}, and this program's are of version {GENERATOR_VERSION}",
            entry.generator_version
        )
    })
}

/// Stages all rows and compares; the receipt says `Verified` or `Drift`.
pub(crate) async fn compare(
    client: &Client,
    job: &Job<'_>,
    base: i64,
    entry: Option<&Entry>,
    receipt: &mut Receipt,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), SeedError> {
    let live = inspect::fitting(client, job, base, false, receipt).await?;
    let source = job.source(base)?;
    let compared = merge::compared(job, &live, &source, &BTreeSet::new());
    let merge = Merge { client, job, live: &live, source: &source, compared, suspects: None };
    merge.stage(progress).await?;
    let mut drift = merge.drift().await?;
    // The very rows of this definition are no leftovers of an earlier one.
    let pasts: Vec<Past> = match entry {
        Some(entry) if entry.is_of(&job.hash) => entry.previous.clone(),
        Some(entry) => entry.pasts(),
        None => Vec::new(),
    };
    merge.extra(&pasts, &mut drift).await?;
    receipt.base_micros = base;
    receipt.unchanged = job.fixture.rows - drift.missing - drift.changed;
    let extra = if job.table.on_conflict == OnConflict::Exact { drift.extra } else { 0 };
    let same = drift.missing + drift.changed + extra == 0;
    receipt.action = if same { Action::Verified } else { Action::Drift };
    if !drift.is_empty() {
        receipt.notes.push(drift.counts());
        receipt.drift = Some(drift);
    }
    Ok(())
}

impl Merge<'_> {
    /// Rows that are missing and rows that differ, by one join of the staged rows with the table.
    pub(crate) async fn drift(&self) -> Result<Drift, SeedError> {
        let keys = &self.job.table.identity;
        let missing = format!("t.{} IS NULL", ident(&keys[0]));
        let differs = self.differs();
        let from = format!("{STAGE} s LEFT JOIN {} t ON {}", self.live.quoted(), same("t", "s", keys));
        // The rows are joined once; what is told and mended afterwards are those few.
        let sql = format!(
            "CREATE TEMPORARY TABLE planc_drifted ON COMMIT DROP AS \
             SELECT s.{} AS n, {missing} AS missing FROM {from} WHERE {missing} OR {differs}; ANALYZE {DRIFTED}",
            ident(NUMBER),
        );
        self.client.batch_execute(&sql).await?;
        let sql = format!(
            "SELECT count(*) FILTER (WHERE missing), count(*) FILTER (WHERE NOT missing) FROM {DRIFTED}"
        );
        let row = self.client.query_one(&sql, &[]).await?;
        let (missing_rows, changed): (i64, i64) = (row.get(0), row.get(1));
        let mut drift = Drift { missing: missing_rows as u64, changed: changed as u64, ..Drift::default() };
        if drift.is_empty() {
            return Ok(drift);
        }
        let texts = |alias: &str| {
            let text = |name: &String| format!("left({alias}.{}::text, {READ_CHARS})", ident(name));
            format!("ARRAY[{}]::text[]", self.compared.iter().map(text).collect::<Vec<_>>().join(", "))
        };
        let which: Vec<String> = self.compared.iter().map(|name| self.column_differs(name)).collect();
        let sql = format!(
            "SELECT s.{number}, {}, {missing}, ARRAY[{}]::bool[], {}, {} FROM {from} \
             WHERE s.{number} IN (SELECT n FROM {DRIFTED} ORDER BY n LIMIT {DRIFT_ROWS}) ORDER BY s.{number}",
            shown(keys, "s"),
            which.join(", "),
            texts("s"),
            texts("t"),
            number = ident(NUMBER),
        );
        let rows = self.client.query(&sql, &[]).await?;
        drift.rows = rows.iter().map(|row| self.drifted(row)).collect();
        Ok(drift)
    }

    fn drifted(&self, row: &Row) -> DriftedRow {
        let what = if row.get(2) {
            RowDrift::Missing
        } else {
            let which: Vec<bool> = row.get(3);
            let (expected, found): (Vec<Option<String>>, Vec<Option<String>>) = (row.get(4), row.get(5));
            let columns = self.compared.iter().zip(which).zip(expected.into_iter().zip(found));
            let changed =
                columns.filter(|((_, differs), _)| *differs).map(|((column, _), (expected, found))| {
                    ColumnDrift { column: column.clone(), expected, found }
                });
            RowDrift::Changed(changed.collect())
        };
        DriftedRow { row: row.get::<_, i64>(0) as u64, identity: row.get(1), what }
    }

    /// Rows of earlier definitions that are still there and that the staged rows do not have.
    pub(crate) async fn extra(&self, pasts: &[Past], drift: &mut Drift) -> Result<(), SeedError> {
        for old in self.stage_olds(pasts, &mut Default::default()).await? {
            let from = format!(
                "{} o JOIN {} t ON {} WHERE NOT EXISTS (SELECT 1 FROM {STAGE} s WHERE {})",
                old.table,
                self.live.quoted(),
                same("o", "t", &old.identity),
                same("s", "t", &self.job.table.identity),
            );
            let count: i64 =
                self.client.query_one(&format!("SELECT count(*) FROM {from}"), &[]).await?.get(0);
            drift.extra += count as u64;
            let room = DRIFT_ROWS.saturating_sub(drift.rows.len());
            if count == 0 || room == 0 {
                continue;
            }
            let sql = format!(
                "SELECT o.{number}, {} FROM {from} ORDER BY o.{number} LIMIT {room}",
                shown(&old.identity, "o"),
                number = ident(NUMBER),
            );
            let rows = self.client.query(&sql, &[]).await?;
            drift.rows.extend(rows.iter().map(|row| DriftedRow {
                row: row.get::<_, i64>(0) as u64,
                identity: row.get(1),
                what: RowDrift::Extra,
            }));
        }
        Ok(())
    }
}

/// The values of an identity as one text.
fn shown(keys: &[String], alias: &str) -> String {
    let texts: Vec<String> = keys.iter().map(|key| format!("{alias}.{}::text", ident(key))).collect();
    format!("concat_ws(', ', {})", texts.join(", "))
}
