//! Columns: there, supplied, and of the kind that the fixture takes them for.

use super::Finder;
use crate::copy::Kind;
use crate::generators::Cell;
use crate::misfit::{Misfit, MisfitKind, Place};
use crate::names::did_you_mean;
use crate::rows::RowSource;
use crate::schema::{LiveColumn, LiveTable};
use crate::stage::Lane;
use planc::graph::OnConflict;

const KIND: MisfitKind = MisfitKind::ColumnMisfit;

impl Finder<'_> {
    /// Columns that are missing, generated, or needed and not supplied.
    pub(super) fn shape(&mut self, live: &LiveTable, source: &RowSource) {
        if !matches!(live.relkind.as_str(), "r" | "p") {
            let help = "seed the tables behind it".to_string();
            let message = format!("`{}` is not a table", live.name);
            self.tell(Misfit::error(MisfitKind::Other, Place::Table, message).help(help));
        }
        for name in source.columns() {
            match live.column(name) {
                None => {
                    let near = did_you_mean(name, live.columns.iter().map(|column| column.name.as_str()));
                    let help = near.map(|near| format!("did you mean `{near}`?"));
                    let message = format!("table `{}` has no column `{name}`", live.name);
                    self.tell(Misfit::error(KIND, name.as_str(), message).help(help));
                }
                Some(column) if column.generated => {
                    let help = "leave it out: the database computes it".to_string();
                    let message = format!("`{name}` is a generated column");
                    self.tell(Misfit::error(KIND, name.as_str(), message).help(help));
                }
                Some(column) if column.always_identity => self.numbered_by_the_database(name),
                Some(_) => {}
            }
        }
        let fillers = live.fillers();
        for column in &live.columns {
            let supplied = source.columns().contains(&column.name);
            if column.not_null && !column.has_default && !column.generated && !supplied {
                self.tell(not_supplied(column, &fillers));
            }
        }
    }

    /// A column that is `GENERATED ALWAYS AS IDENTITY` takes a value once and never another.
    fn numbered_by_the_database(&mut self, name: &str) {
        let refreshes = matches!(self.table.on_conflict, OnConflict::Refresh | OnConflict::Exact);
        if !refreshes || self.table.identity.iter().any(|column| column == name) {
            return;
        }
        let message = format!(
            "`{name}` is GENERATED ALWAYS AS IDENTITY: it is set when a row is made and never refreshed"
        );
        let help = "leave it out: the database numbers the rows".to_string();
        self.tell(Misfit::warning(KIND, name, message).help(help));
    }

    /// Times in columns without a time zone, where the database's own clock is not in UTC.
    pub(super) fn zones(&mut self, live: &LiveTable, source: &RowSource, lanes: &[Lane]) {
        let Some((zone, offset)) = self.zone.clone().filter(|(_, offset)| *offset != 0) else {
            return;
        };
        for lane in lanes.iter().filter(|lane| lane.kind == Kind::Timestamp) {
            if !matches!(source.cell(1, lane.index), Ok(Cell::Micros(_))) || live.column(&lane.name).is_none()
            {
                continue;
            }
            let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
            let message =
                format!("`{}` is a timestamp without time zone, and `now()` is not in UTC there", lane.name);
            let note = format!(
                "sessions of this database are in `{zone}` (UTC{sign}{:02}:{:02}); the fixture's times are written in UTC",
                minutes / 60,
                minutes % 60
            );
            let help = "make the column timestamptz, or set the database's timezone to UTC".to_string();
            self.tell(Misfit::warning(KIND, lane.name.as_str(), message).note(note).help(help));
        }
    }
}

/// A trigger may fill it in: then it is a doubt and not an error.
fn not_supplied(column: &LiveColumn, fillers: &[&str]) -> Misfit {
    let message = format!("`{}` is NOT NULL without a default and is not supplied", column.name);
    let help = format!("add `{}:` to the fixture's columns ({})", column.name, column.type_name);
    match fillers {
        [] => Misfit::error(KIND, column.name.as_str(), message).help(help),
        _ => Misfit::warning(KIND, column.name.as_str(), message)
            .note(format!("{} may fill it in", fillers.join(" or ")))
            .help(help),
    }
}
