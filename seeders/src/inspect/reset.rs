//! What would stand in the way of `--reset`, which deletes a fixture's rows and no others.

use super::Finder;
use super::sampled::Identities;
use crate::error::SeedError;
use crate::misfit::{Misfit, MisfitKind, Place};
use crate::names::{ident, same};
use crate::rows::RowSource;
use crate::schema::{ForeignKey, LiveTable};
use planc::graph::OnConflict;

const KIND: MisfitKind = MisfitKind::ResetBlocked;
/// Rows that are counted.
const COUNTED: i64 = 10_000;

impl Finder<'_> {
    /// Triggers and rules that can refuse a DELETE, keys that hold on to the rows, the privilege.
    pub(super) async fn reset(&mut self, live: &LiveTable, source: &RowSource) -> Result<(), SeedError> {
        if self.table.append_only {
            // Nobody means to reset it.
            return Ok(());
        }
        let refused = |what: &str| {
            let message = format!("a reset of `{}` would be refused: {what}", self.fixture.name);
            Misfit::warning(KIND, Place::Table, message)
        };
        let mut found = Vec::new();
        for trigger in &live.triggers {
            if let Some(how) = trigger.on_delete {
                let help = "keep what it protects: seed into a database that goes with the run".to_string();
                found.push(refused(&format!("{} {how}", trigger.shown)).help(help));
            }
        }
        // Under `exact` every seeding needs it, and that is told already.
        let needed = self.table.on_conflict != OnConflict::Exact;
        if self.privileges && needed && live.lacking.iter().any(|lack| lack == "DELETE") {
            let help = format!("GRANT DELETE ON {} TO <the role of database.url>", live.quoted());
            found.push(refused(&format!("the role lacks DELETE on `{}`", live.name)).help(help));
        }
        found.into_iter().for_each(|misfit| self.tell(misfit));
        for key in live.children.iter().filter(|key| key.child_oid != live.oid) {
            if matches!(key.on_delete.as_str(), "a" | "r") {
                self.holding(live, source, key).await?;
            }
        }
        Ok(())
    }

    /// A key whose rows would keep ours: those that are there, and with RESTRICT those that the load may make.
    async fn holding(
        &mut self,
        live: &LiveTable,
        source: &RowSource,
        key: &ForeignKey,
    ) -> Result<(), SeedError> {
        let (before, after) = self.seeded_by(key.child_oid).await?;
        if !before.is_empty() || !after.is_empty() {
            // The plan's own rows: a reset takes children before parents.
            return Ok(());
        }
        let restrict = key.on_delete == "r";
        let rule = if restrict { "RESTRICT" } else { "NO ACTION" };
        let count = self.referring(live, source, key).await?.unwrap_or(0);
        if count == 0 && !restrict {
            return Ok(());
        }
        let key_of =
            format!("`{}` of {} ({}, ON DELETE {rule})", key.name, key.child, key.child_columns.join(", "));
        let what = match count {
            0 => format!("is refused once rows refer to it by the key {key_of}"),
            1 => format!("would be refused: 1 row refers to it by the key {key_of}"),
            count if count > COUNTED => {
                format!("would be refused: more than {COUNTED} rows refer to it by the key {key_of}")
            }
            count => format!("would be refused: {count} rows refer to it by the key {key_of}"),
        };
        let message = format!("a reset of `{}` {what}", self.fixture.name);
        let help = format!(
            "delete those rows first, or seed {} by a fixture of this plan: a reset takes children first",
            key.child
        );
        self.tell(Misfit::warning(KIND, Place::Table, message).help(help));
        Ok(())
    }

    /// Rows of another table that refer to rows of this fixture.
    async fn referring(
        &mut self,
        live: &LiveTable,
        source: &RowSource,
        key: &ForeignKey,
    ) -> Result<Option<i64>, SeedError> {
        let Some(ours) = Identities::of(live, source, &self.table.identity)? else { return Ok(None) };
        let pair = |(parent, child): (&String, &String)| format!("t.{} = c.{}", ident(parent), ident(child));
        let pairs: Vec<String> = key.parent_columns.iter().zip(&key.child_columns).map(pair).collect();
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {} c WHERE EXISTS \
                (SELECT 1 FROM {} t JOIN {} ON {} WHERE {}) LIMIT {}) r",
            key.child,
            live.quoted(),
            ours.from,
            same("t", "k", &self.table.identity),
            pairs.join(" AND "),
            COUNTED + 1,
        );
        let rows = self.ask(&format!("the rows of {}", key.child), &sql, &ours.params).await?;
        Ok(rows.and_then(|rows| rows.first().map(|row| row.get(0))))
    }
}
