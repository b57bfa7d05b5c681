//! What does not fit between a fixture and the live database, as data. Telling it is the caller's.

use crate::options::Mask;
use planc::diagnostic::Code;
use std::fmt;

/// What kind of misfit it is; each is a lint with a page of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MisfitKind {
    /// Rows cannot be known by the identity, or another unique key fires first.
    ConflictTarget,
    /// A row that a foreign key needs is not there when this fixture is seeded.
    ForeignKeyOrder,
    /// Columns and the fixture's values do not go together.
    ColumnMisfit,
    /// A value that the column holds in another spelling, or has never held.
    CaseVariant,
    /// Something stands in the way of deleting the fixture's rows again.
    ResetBlocked,
    /// Anything else: a missing table, a privilege, a server that takes no writes.
    Other,
}

impl MisfitKind {
    /// Its code and name.
    pub fn code(self) -> Code {
        match self {
            MisfitKind::ConflictTarget => planc::CONFLICT_TARGET,
            MisfitKind::ForeignKeyOrder => planc::FOREIGN_KEY_ORDER,
            MisfitKind::ColumnMisfit => planc::COLUMN_MISFIT,
            MisfitKind::CaseVariant => planc::CASE_VARIANT,
            MisfitKind::ResetBlocked => planc::RESET_BLOCKED,
            MisfitKind::Other => planc::LIVE_MISFIT,
        }
    }
}

/// The part of a fixture that is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The fixture as a whole.
    Fixture,
    /// Its `table:`.
    Table,
    /// Its `identity:`.
    Identity,
    /// Some of its columns, or columns that it lacks.
    Columns(Vec<String>),
}

impl From<&str> for Place {
    fn from(column: &str) -> Place {
        Place::Columns(vec![column.into()])
    }
}

impl From<&[String]> for Place {
    fn from(columns: &[String]) -> Place {
        Place::Columns(columns.to_vec())
    }
}

/// A way in which a fixture does not fit the live database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What kind.
    pub kind: MisfitKind,
    /// The fixture's name in the plan.
    pub fixture: String,
    /// The part at fault.
    pub at: Place,
    /// What is wrong: lower case, no full stop, names in backticks.
    pub message: String,
    /// What was seen in the database.
    pub notes: Vec<String>,
    /// How to mend it.
    pub help: Option<String>,
    /// It may go well; everything else will not.
    pub warning: bool,
}

impl Misfit {
    /// Something that will fail. The fixture is named by whoever collects misfits.
    pub(crate) fn error(kind: MisfitKind, at: impl Into<Place>, message: impl Into<String>) -> Misfit {
        Misfit {
            kind,
            fixture: String::new(),
            at: at.into(),
            message: message.into(),
            notes: Vec::new(),
            help: None,
            warning: false,
        }
    }

    /// Something that is likely not meant.
    pub(crate) fn warning(kind: MisfitKind, at: impl Into<Place>, message: impl Into<String>) -> Misfit {
        Misfit { warning: true, ..Misfit::error(kind, at, message) }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Misfit {
        self.notes.push(note.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<Option<String>>) -> Misfit {
        self.help = help.into();
        self
    }

    /// Hides secrets.
    pub(crate) fn hide(&mut self, mask: &Mask) {
        self.message = mask.hide(&self.message);
        self.notes.iter_mut().for_each(|note| *note = mask.hide(note));
        self.help = self.help.take().map(|help| mask.hide(&help));
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fixture `{}`", self.fixture)?;
        if let Place::Columns(columns) = &self.at {
            let plural = if columns.len() == 1 { "" } else { "s" };
            write!(f, ", column{plural} `{}`", columns.join("`, `"))?;
        }
        write!(f, ": {}", self.message)?;
        for note in &self.notes {
            write!(f, "; {note}")?;
        }
        if let Some(help) = &self.help {
            write!(f, " (help: {help})")?;
        }
        Ok(())
    }
}
