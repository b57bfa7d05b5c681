//! Errors: what failed, in words, and what to do.

use crate::misfit::Misfit;
use crate::options::Mask;
use crate::rows::RowError;
use std::fmt;
use tokio_postgres::error::{DbError, SqlState};

/// What kind of failure it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The fixture does not fit the table; nothing was written.
    Misfit(Vec<Misfit>),
    /// Rows, keys, triggers or another session stand in the way.
    Conflict,
    /// A check of the fixture does not hold; everything was rolled back.
    Verify,
    /// The database cannot be reached, or does not let us in.
    Connection,
    /// The connection broke off, or the server ended it.
    Lost,
    /// Another session held a lock for too long.
    Locked,
    /// The role may not do it.
    Privilege,
    /// The database takes no writes.
    ReadOnly,
    /// No space is left.
    DiskFull,
    /// The service did not make the accounts.
    Http,
    /// A row cannot be made.
    Row,
    /// Anything else.
    Other,
}

/// Why a fixture was not seeded. The transaction was rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What failed: lower case, no full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let ErrorKind::Misfit(misfits) = &self.kind {
            for misfit in misfits {
                write!(f, "\n  [{}] {misfit}", misfit.kind.code().id)?;
            }
        }
        told(f, "", self.help.as_deref())
    }
}

impl std::error::Error for SeedError {}

/// What failed, and on a line of its own what to do about it.
pub(crate) fn told(f: &mut fmt::Formatter<'_>, message: &str, help: Option<&str>) -> fmt::Result {
    f.write_str(message)?;
    help.map_or(Ok(()), |help| write!(f, "\n  help: {help}"))
}

impl SeedError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> SeedError {
        SeedError { kind, message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> SeedError {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn conflict(message: impl Into<String>) -> SeedError {
        SeedError::new(ErrorKind::Conflict, message)
    }

    pub(crate) fn misfits(misfits: Vec<Misfit>) -> SeedError {
        let count = misfits.len();
        let message = if count == 1 {
            "the fixture does not fit".into()
        } else {
            format!("{count} misfits with the live database")
        };
        SeedError::new(ErrorKind::Misfit(misfits), message)
    }

    /// The same error with secrets hidden and the fixture named.
    pub(crate) fn finish(mut self, fixture: &str, mask: &Mask) -> SeedError {
        if !self.message.contains(&format!("`{fixture}`")) {
            self.message = format!("fixture `{fixture}`: {}", self.message);
        }
        self.message = mask.hide(&self.message);
        self.help = self.help.map(|help| mask.hide(&help));
        if let ErrorKind::Misfit(misfits) = &mut self.kind {
            misfits.iter_mut().for_each(|misfit| misfit.hide(mask));
        }
        self
    }
}

impl From<RowError> for SeedError {
    fn from(error: RowError) -> Self {
        SeedError::new(ErrorKind::Row, error.to_string())
    }
}

impl From<tokio_postgres::Error> for SeedError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => from_server(db),
            None if error.is_closed() || is_broken(&error) => {
                SeedError::new(ErrorKind::Lost, "the database closed the connection").help(
                    "look at the server's log: it was restarted, ran out of memory or ended this session",
                )
            }
            None => SeedError::new(
                ErrorKind::Connection,
                format!("the database cannot be talked to: {}", chain(&error)),
            )
            .help("check that it runs and that the URL, the user and the password are right"),
        }
    }
}

/// Whether the network broke off in the middle.
fn is_broken(error: &tokio_postgres::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| {
        matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
    })
}

/// An error with its sources, none said twice: `cannot connect: refused (os error 111)`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = inner.source();
    }
    text
}

fn from_server(db: &DbError) -> SeedError {
    let code = db.code();
    let said = said(db);
    let of_class = |class: &str| code.code().starts_with(class);
    let (kind, message, help) = if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        (
            ErrorKind::Privilege,
            said,
            "grant the role what the message names, or seed with the role that owns the table",
        )
    } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        (
            ErrorKind::ReadOnly,
            said,
            "this is a standby, or default_transaction_read_only is on: give the URL of the primary",
        )
    } else if *code == SqlState::DISK_FULL {
        (
            ErrorKind::DiskFull,
            format!("the database server's disk is full: {said}"),
            "free space there, or seed fewer rows; nothing of this fixture was kept",
        )
    } else if *code == SqlState::CONFIGURATION_LIMIT_EXCEEDED {
        (
            ErrorKind::DiskFull,
            format!("the server lets a session have no more space: {said}"),
            "raise the setting that the message names for this role, or seed fewer rows",
        )
    } else if *code == SqlState::UNIQUE_VIOLATION {
        (
            ErrorKind::Conflict,
            format!("another unique key fired: {said}"),
            "the identity is not the only unique key: make the values of that key differ, or delete the row that has it",
        )
    } else if *code == SqlState::FOREIGN_KEY_VIOLATION {
        (
            ErrorKind::Conflict,
            said,
            "seed the parent rows first (or delete the rows that still refer to these)",
        )
    } else if *code == SqlState::CHECK_VIOLATION || *code == SqlState::NOT_NULL_VIOLATION || of_class("23") {
        (ErrorKind::Conflict, said, "give the column a value that the constraint allows")
    } else if *code == SqlState::LOCK_NOT_AVAILABLE {
        (
            ErrorKind::Locked,
            format!("another session holds a lock that seeding needs: {said}"),
            "end that session's transaction (`SELECT pid, state, query FROM pg_stat_activity WHERE xact_start IS NOT NULL`), then seed again, or set a longer `lock_timeout` for the role",
        )
    } else if of_class("40") {
        (ErrorKind::Conflict, said, "another session wrote the same rows: run it again")
    } else if of_class("22") {
        (ErrorKind::Row, said, "change the column's generator so that it gives values of the column's type")
    } else if of_class("08") || of_class("57P") {
        (
            ErrorKind::Lost,
            format!("the server ended the connection: {said}"),
            "look at the server's log: it was restarted, ran out of memory or ended this session",
        )
    } else if of_class("28") || of_class("3D") || *code == SqlState::TOO_MANY_CONNECTIONS {
        (
            ErrorKind::Connection,
            said,
            "check that the database runs, takes connections, and that the URL is right",
        )
    } else if *code == SqlState::RAISE_EXCEPTION {
        (
            ErrorKind::Conflict,
            format!("a trigger or function refused: {said}"),
            "ask what the trigger protects before going round it",
        )
    } else {
        return SeedError::new(ErrorKind::Other, format!("{said} (SQLSTATE {})", code.code()));
    };
    SeedError::new(kind, message).help(help)
}

/// The server's words, with detail and the place in a COPY.
pub(crate) fn said(db: &DbError) -> String {
    let mut text = db.message().to_string();
    if let Some(detail) = db.detail() {
        text.push_str(&format!(": {}", detail.trim_end_matches('.')));
    }
    if let Some(place) = db.where_().and_then(|place| place.lines().find(|line| line.starts_with("COPY "))) {
        text.push_str(&format!(" [{place}]"));
    }
    text
}
