//! Foreign keys: rows of other tables that must be there when this fixture is seeded.

use super::Finder;
use super::sampled::pick;
use crate::copy;
use crate::error::SeedError;
use crate::misfit::{Misfit, MisfitKind};
use crate::names::{self, did_you_mean, ident};
use crate::rows::RowSource;
use crate::schema::{self, LiveTable};
use crate::stage::{self, Lane, TextParam};
use planc::graph::{Fixture, FixtureKind, Generator};
use std::collections::BTreeSet;

const KIND: MisfitKind = MisfitKind::ForeignKeyOrder;
/// Distinct values of a foreign key that are looked up.
const DISTINCT: usize = 10_000;
/// Missing rows that are named.
const NAMED: usize = 50;

/// Distinct values of some columns.
type Tuples = BTreeSet<Vec<String>>;

/// Columns here and the columns there that must have their values.
struct Key<'k> {
    child: &'k [String],
    /// Quoted.
    parent: &'k str,
    parent_oid: u32,
    parent_columns: &'k [String],
}

impl Finder<'_> {
    /// All rows that are missing, of all keys.
    pub(super) async fn parents(
        &mut self,
        live: &LiveTable,
        source: &RowSource,
        lanes: &[Lane],
    ) -> Result<(), SeedError> {
        let mut checked = BTreeSet::new();
        for key in &live.parents {
            checked.insert((key.child_columns.clone(), key.parent_oid));
            let key = Key {
                child: &key.child_columns,
                parent: &key.parent,
                parent_oid: key.parent_oid,
                parent_columns: &key.parent_columns,
            };
            self.parent(live, source, lanes, key).await?;
        }
        let refers = self.table.columns.iter().filter_map(|(name, column)| match &column.generator {
            Generator::References { table, column, .. } => Some((name, table.as_str(), column)),
            _ => None,
        });
        let refers: Vec<_> = refers.collect();
        let tables: Vec<&str> = refers.iter().map(|(_, table, _)| *table).collect();
        let named = schema::named(self.client, &tables).await?;
        for ((name, table, parent_column), parent) in refers.into_iter().zip(named) {
            let Some(parent) = parent else {
                let message = format!("table `{table}`, which it refers to, does not exist");
                self.tell(Misfit::error(KIND, name.as_str(), message));
                continue;
            };
            if !parent.columns.contains(parent_column) {
                let near = did_you_mean(parent_column, parent.columns.iter().map(String::as_str));
                let help = near.map(|near| format!("did you mean `{near}`?"));
                let message = format!("table `{table}` has no column `{parent_column}`");
                self.tell(Misfit::error(KIND, name.as_str(), message).help(help));
                continue;
            }
            let child = vec![name.clone()];
            if !checked.contains(&(child.clone(), parent.oid)) {
                let key = Key {
                    child: &child,
                    parent: &parent.quoted,
                    parent_oid: parent.oid,
                    parent_columns: std::slice::from_ref(parent_column),
                };
                self.parent(live, source, lanes, key).await?;
            }
        }
        Ok(())
    }

    async fn parent(
        &mut self,
        live: &LiveTable,
        source: &RowSource,
        lanes: &[Lane],
        key: Key<'_>,
    ) -> Result<(), SeedError> {
        let Some(chosen) = pick(lanes, key.child) else {
            return Ok(());
        };
        let (mut values, whole) = distinct(source, &chosen)?;
        let (mut before, after) = self.seeded_by(key.parent_oid).await?;
        if key.parent_oid == live.oid {
            before.push(self.fixture);
        }
        for other in &before {
            // Columns that such a fixture leaves to the database: nothing can be said.
            if !self.take_away(other, &key, &chosen, &mut values)? {
                return Ok(());
            }
        }
        let Some(missing) = self.not_there(live, &key, &values).await?.filter(|missing| !missing.is_empty())
        else {
            return Ok(());
        };
        // What a script makes is seen when it has run, which is before this fixture is seeded.
        let unseen =
            |fixture: &Fixture| matches!(fixture.kind, FixtureKind::Sql(_)) && fixture.rows_in().is_none();
        if self.zone.is_some() && self.graph.fixtures.iter().any(unseen) {
            return Ok(());
        }
        let listed: Vec<String> =
            missing.iter().take(NAMED).map(|tuple| format!("`{}`", tuple.join(", "))).collect();
        let more = match missing.len() > NAMED {
            true => format!(" and {} more", missing.len() - NAMED),
            false => String::new(),
        };
        let noun = if missing.len() == 1 { "parent row is" } else { "parent rows are" };
        let at_least = if whole { "" } else { "at least " };
        let message = format!(
            "{at_least}{} {noun} missing in {} ({}): {}{more}",
            missing.len(),
            key.parent,
            key.parent_columns.join(", "),
            listed.join(", ")
        );
        let misfit = Misfit::error(KIND, key.child, message);
        let misfit = self.way_out(misfit, &key, &chosen, missing, (&before, &after))?;
        self.tell(misfit);
        Ok(())
    }

    /// Which fixture makes the missing rows too late, or that none does.
    fn way_out(
        &self,
        misfit: Misfit,
        key: &Key<'_>,
        chosen: &[&Lane],
        missing: Tuples,
        (before, after): (&[&Fixture], &[&Fixture]),
    ) -> Result<Misfit, SeedError> {
        for other in after {
            let mut left = missing.clone();
            if self.take_away(other, key, chosen, &mut left)? && left.len() < missing.len() {
                let made = missing.len() - left.len();
                let note =
                    format!("fixture `{}` makes {made} of them and is seeded after this one", other.name);
                let help = match (key.child, key.parent_columns) {
                    ([child], [parent]) => format!(
                        "write `{child}: {{ fixture: {}, column: {parent} }}`, or `references:` with its table: it is then seeded first",
                        other.name
                    ),
                    _ => format!(
                        "refer to `{}` with `fixture:` or `references:`: it is then seeded first",
                        other.name
                    ),
                };
                return Ok(misfit.note(note).help(help));
            }
        }
        let help = match before.iter().find(|other| other.name != self.fixture.name) {
            Some(other) => format!("fixture `{}` seeds that table: let it make these rows too", other.name),
            None => format!(
                "no fixture of this plan makes them: add one for {}, or run the service's own seed first",
                key.parent
            ),
        };
        Ok(misfit.help(help))
    }

    /// The values that no live row of the parent table has; `None` when the table cannot be read.
    async fn not_there(
        &mut self,
        live: &LiveTable,
        key: &Key<'_>,
        values: &Tuples,
    ) -> Result<Option<Tuples>, SeedError> {
        if values.is_empty() {
            return Ok(None);
        }
        let mut texts = vec![String::from("{"); key.child.len()];
        for tuple in values {
            for (text, value) in texts.iter_mut().zip(tuple) {
                if text.len() > 1 {
                    text.push(',');
                }
                names::array_element(text, Some(value));
            }
        }
        let params: Vec<TextParam> = texts.into_iter().map(|text| TextParam(Some(text + "}"))).collect();
        let types: Vec<&str> =
            key.child.iter().filter_map(|c| live.column(c)).map(|c| c.type_name.as_str()).collect();
        let pairs: Vec<String> = key
            .parent_columns
            .iter()
            .zip(key.child)
            .map(|(p, c)| format!("p.{} = k.{}", ident(p), ident(c)))
            .collect();
        let shown: Vec<String> = key.child.iter().map(|c| format!("k.{}::text", ident(c))).collect();
        let sql = format!(
            "SELECT ARRAY[{}] FROM {} WHERE NOT EXISTS (SELECT 1 FROM {} p WHERE {})",
            shown.join(", "),
            stage::unnest(&types, "k", key.child),
            key.parent,
            pairs.join(" AND "),
        );
        let rows = self.ask(&format!("the rows of {}", key.parent), &sql, &params).await?;
        Ok(rows.map(|rows| rows.iter().map(|row| row.get::<_, Vec<String>>(0)).collect()))
    }

    /// Takes away the values that a fixture of the parent table makes. False when it leaves those columns to the database.
    fn take_away(
        &self,
        other: &Fixture,
        key: &Key<'_>,
        chosen: &[&Lane],
        values: &mut Tuples,
    ) -> Result<bool, SeedError> {
        let source = RowSource::new(self.graph, &other.name, self.inputs, self.base)?;
        let indices: Option<Vec<usize>> = key
            .parent_columns
            .iter()
            .map(|name| source.columns().iter().position(|column| column == name))
            .collect();
        let Some(indices) = indices else {
            return Ok(false);
        };
        if source.undrawn(&indices) {
            return Ok(false);
        }
        let order = source.order_for(&indices);
        let mut cells = Vec::new();
        for n in 1..=source.rows() {
            if values.is_empty() {
                break;
            }
            source.make(n, &order, &mut cells)?;
            let tuple: Option<Vec<String>> = indices
                .iter()
                .zip(chosen)
                .map(|(index, lane)| copy::text(&lane.kind, &cells[*index]))
                .collect();
            if let Some(tuple) = tuple {
                values.remove(&tuple);
            }
        }
        Ok(true)
    }
}

/// Distinct values without NULLs, and whether these are all.
fn distinct(source: &RowSource, chosen: &[&Lane]) -> Result<(Tuples, bool), SeedError> {
    let order = source.order_for(&chosen.iter().map(|lane| lane.index).collect::<Vec<_>>());
    let mut values = BTreeSet::new();
    let mut cells = Vec::new();
    let constant = chosen.iter().all(|lane| source.constant(lane.index).is_some());
    for n in 1..=if constant { source.rows().min(1) } else { source.rows() } {
        source.make(n, &order, &mut cells)?;
        let tuple: Option<Vec<String>> =
            chosen.iter().map(|lane| copy::text(&lane.kind, &cells[lane.index])).collect();
        values.extend(tuple);
        if values.len() > DISTINCT {
            return Ok((values, false));
        }
    }
    Ok((values, true))
}
