//! Value domains that no constraint states: what the column's other rows hold.

use super::Finder;
use super::sampled::{Identities, sample};
use crate::copy::Kind;
use crate::error::SeedError;
use crate::generators::Cell;
use crate::misfit::{Misfit, MisfitKind};
use crate::names::{did_you_mean, ident, same};
use crate::rows::RowSource;
use crate::schema::LiveTable;
use planc::graph::Json;
use std::collections::BTreeSet;

const KIND: MisfitKind = MisfitKind::CaseVariant;
/// Live rows that are looked at.
const LIVE_ROWS: i64 = 100_000;
/// A column of more distinct values than this is not a domain.
const DISTINCT: usize = 50;
/// A column of fewer other rows than this does not show what its domain is.
const POPULATED: i64 = 100;
/// Distinct values that can be a whole domain.
const CLOSED: std::ops::RangeInclusive<usize> = 2..=8;

/// A value of the column's other rows and how many have it.
type Observed = (String, i64);

impl Finder<'_> {
    /// Values that the column's other rows hold in another spelling, or that a small closed domain lacks.
    pub(super) async fn domains(&mut self, live: &LiveTable, source: &RowSource) -> Result<(), SeedError> {
        if live.lacking.iter().any(|lack| lack == "SELECT") {
            return Ok(());
        }
        let columns: Vec<(String, BTreeSet<String>)> = source
            .columns()
            .iter()
            .enumerate()
            .filter(|(_, name)| self.is_free_text(live, name))
            .filter_map(|(index, name)| Some((name.clone(), written(source, index)?)))
            .collect();
        if columns.is_empty() {
            return Ok(());
        }
        let Some(ours) = Identities::of(live, source, &self.table.identity)? else { return Ok(()) };
        if !ours.whole && self.any_of_ours(live, &ours).await? {
            // Which of the rows are not ours cannot be told.
            return Ok(());
        }
        for (name, written) in columns {
            let sql = format!(
                "SELECT v, count(*) FROM (SELECT t.{column}::text AS v FROM {} t WHERE t.{column} IS NOT NULL \
                    AND NOT EXISTS (SELECT 1 FROM {} WHERE {}) LIMIT {LIVE_ROWS}) o \
                 GROUP BY v ORDER BY count(*) DESC, v LIMIT {}",
                live.quoted(),
                ours.from,
                same("t", "k", &self.table.identity),
                DISTINCT + 1,
                column = ident(&name),
            );
            let Some(rows) = self.ask(&format!("the values of `{name}`"), &sql, &ours.params).await? else {
                return Ok(());
            };
            let observed: Vec<Observed> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            self.domain(live, &name, &written, &observed);
        }
        Ok(())
    }

    /// Text whose values nothing in the schema states and which tells no rows apart.
    fn is_free_text(&self, live: &LiveTable, name: &str) -> bool {
        let names = |columns: &[String]| columns.iter().any(|column| column == name);
        live.column(name).is_some_and(|column| {
            matches!(column.kind, Kind::Text(_)) && column.case_matters && !column.generated
        }) && !names(&self.table.identity)
            && !live.parents.iter().any(|key| names(&key.child_columns))
            && !live.uniques.iter().any(|unique| unique.parts.iter().any(|part| part.contains(name)))
    }

    async fn any_of_ours(&mut self, live: &LiveTable, ours: &Identities) -> Result<bool, SeedError> {
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM {} JOIN {} t ON {})",
            ours.from,
            live.quoted(),
            same("t", "k", &self.table.identity)
        );
        let rows = self.ask(&format!("the rows of `{}`", live.name), &sql, &ours.params).await?;
        Ok(rows.is_none_or(|rows| rows.first().is_none_or(|row| row.get(0))))
    }

    fn domain(&mut self, live: &LiveTable, name: &str, written: &BTreeSet<String>, observed: &[Observed]) {
        let total: i64 = observed.iter().map(|(_, count)| count).sum();
        if observed.len() > DISTINCT || !repeats(observed.len() as u64, total as u64) {
            return;
        }
        let count_of = |value: &str| observed.iter().find(|(seen, _)| seen == value).map_or(0, |seen| seen.1);
        let stated = live.checks.iter().any(|check| check.columns.iter().any(|column| column == name));
        for value in written {
            let lower = value.to_lowercase();
            let variant = observed.iter().find(|(seen, _)| seen != value && seen.to_lowercase() == lower);
            if let Some((seen, count)) = variant {
                // Where both are in use, the more frequent one is what the service knows.
                if *count > count_of(value) {
                    let noun = if *count == 1 { "row has" } else { "rows have" };
                    let message = format!(
                        "`{name}` writes `{value}`, and other rows of `{}` hold `{seen}`: only the case differs",
                        live.name
                    );
                    let misfit = Misfit::warning(KIND, name, message)
                        .note(format!("{count} other {noun} `{seen}`, {} `{value}`", count_of(value)))
                        .help(format!("write `{seen}`"));
                    self.tell(misfit);
                }
            } else if !stated && count_of(value) == 0 && is_closed(written, observed) {
                let message =
                    format!("`{name}` writes `{value}`, which no other row of `{}` holds", live.name);
                let shown: Vec<String> =
                    observed.iter().map(|(seen, count)| format!("`{seen}` ({count})")).collect();
                let near = did_you_mean(value, observed.iter().map(|(seen, _)| seen.as_str()));
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write one of these, unless the service knows this one too".to_string(),
                };
                let misfit = Misfit::warning(KIND, name, message)
                    .note(format!("its {total} other rows hold {}", shown.join(", ")))
                    .help(help);
                self.tell(misfit);
            }
        }
    }
}

/// Whether a column looks like a list of words of which a row has one: many rows, few values, each more than once, and
/// none that counts or measures something.
fn is_closed(written: &BTreeSet<String>, observed: &[Observed]) -> bool {
    let total: i64 = observed.iter().map(|(_, count)| count).sum();
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphabetic() || "_- ".contains(c));
    total >= POPULATED
        && CLOSED.contains(&observed.len())
        && observed.iter().all(|(seen, count)| *count > 1 && word(seen))
        && written.len() <= *CLOSED.end()
        && written.iter().all(|value| word(value))
}

/// The texts that a column writes, when they are few.
fn written(source: &RowSource, index: usize) -> Option<BTreeSet<String>> {
    let order = source.order_for(&[index]);
    let mut cells = Vec::new();
    let mut values = BTreeSet::new();
    let constant = source.constant(index).is_some();
    let mut looked = 0;
    for n in sample(source.rows()).take(if constant { 1 } else { usize::MAX }) {
        looked += 1;
        source.make(n, &order, &mut cells).ok()?;
        match &cells[index] {
            Cell::Json(Json::String(text)) => values.insert(text.clone()),
            Cell::Json(Json::Null) => false,
            _ => return None,
        };
        if values.len() > DISTINCT {
            return None;
        }
    }
    repeats(values.len() as u64, looked).then_some(values)
}

/// Whether a row's value is one of a few that others have too, and does not tell it apart.
fn repeats(distinct: u64, rows: u64) -> bool {
    distinct <= 1 || distinct * 2 <= rows
}
