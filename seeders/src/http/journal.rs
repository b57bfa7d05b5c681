//! Which accounts are made, kept so that a killed seeding goes on where it was: in the ledger's database, or without one
//! in a file of the user's own.
//!
//! An account is noted once its answer is there. Where the service cannot say that an account exists already, it is also
//! noted before its request leaves: of one that is noted as sent and not as made, nobody knows whether it is there.

use crate::error::{ErrorKind, SeedError};
use crate::ledger;
use crate::private;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tokio_postgres::{Client, Statement};

/// What these accounts are: another content is other accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Set {
    pub(super) fixture: String,
    pub(super) content_hash: String,
    /// Base time of the rows, microseconds since 1970: that of the first process that made some.
    pub(super) base_micros: i64,
}

/// What earlier processes noted.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) base_micros: Option<i64>,
    pub(super) made: Numbers,
    /// Rows that were sent, with their attempt, and nobody knows what became of them.
    pub(super) open: BTreeMap<u64, u32>,
}

/// A note on one account.
#[derive(Debug, Clone, Copy)]
pub(super) enum Note {
    /// It is there.
    Made(u64),
    /// This attempt at it has made nothing.
    Refused(u64, u32),
}

/// Where notes are kept.
pub(super) enum Journal<'a> {
    Nowhere,
    Database(Table<'a>),
    File(Lines),
}

impl<'a> Journal<'a> {
    /// The journal in the ledger's database. Waits for another process that makes the same accounts.
    pub(super) async fn in_database(
        client: &'a Client,
        set: &Set,
        waiting: &mut dyn FnMut(),
    ) -> Result<(Journal<'a>, Known), SeedError> {
        let table = Table::open(client, set, waiting).await?;
        match table.read(set).await {
            Ok(known) => Ok((Journal::Database(table), known)),
            Err(error) => {
                table.unlock().await?;
                Err(error)
            }
        }
    }

    /// The journal in a file, locked as long as it is open.
    pub(super) async fn in_file(
        path: &Path,
        set: &Set,
        waiting: &mut dyn FnMut(),
    ) -> Result<(Journal<'a>, Known), SeedError> {
        let (lines, known) = Lines::open(path, set, waiting).await.map_err(|error| unusable(path, error))?;
        Ok((Journal::File(lines), known))
    }

    /// Notes that a request leaves.
    pub(super) async fn sent(&self, n: u64, attempt: u32) -> Result<(), SeedError> {
        match self {
            Journal::Nowhere => Ok(()),
            Journal::Database(table) => table.sent(n, attempt).await,
            Journal::File(lines) => lines.append(&format!("sent {n} {attempt}\n")),
        }
    }

    /// Notes what became of some accounts.
    pub(super) async fn note(&self, notes: &[Note]) -> Result<(), SeedError> {
        match self {
            Journal::Nowhere => Ok(()),
            Journal::Database(table) => table.note(notes).await,
            Journal::File(lines) => {
                let mut text = String::new();
                for note in notes {
                    // Writing to a text cannot fail.
                    let _ = match note {
                        Note::Made(n) => writeln!(text, "made {n}"),
                        Note::Refused(n, attempt) => writeln!(text, "refused {n} {attempt}"),
                    };
                }
                lines.append(&text)
            }
        }
    }

    /// Forgets all accounts; `set` is that of those to come, if any.
    pub(super) async fn forget(&self, set: Option<&Set>) -> Result<(), SeedError> {
        match self {
            Journal::Nowhere => Ok(()),
            Journal::Database(table) => table.forget(set).await,
            Journal::File(lines) => lines.forget(set).map_err(|error| unusable(&lines.path, error)),
        }
    }

    /// Lets another process have its turn.
    pub(super) async fn close(self) -> Result<(), SeedError> {
        match self {
            Journal::Database(table) => table.unlock().await,
            Journal::Nowhere | Journal::File(_) => Ok(()),
        }
    }
}

const TABLES: &str = "CREATE SCHEMA IF NOT EXISTS planc; \
     CREATE TABLE IF NOT EXISTS planc.account_sets ( \
        fixture text PRIMARY KEY, content_hash text NOT NULL, base_micros bigint NOT NULL, \
        since timestamptz NOT NULL DEFAULT now()); \
     CREATE TABLE IF NOT EXISTS planc.accounts ( \
        fixture text NOT NULL REFERENCES planc.account_sets ON DELETE CASCADE, n bigint NOT NULL, \
        made boolean NOT NULL, attempt integer NOT NULL DEFAULT 0, at timestamptz NOT NULL DEFAULT now(), \
        PRIMARY KEY (fixture, n)); \
     COMMENT ON TABLE planc.accounts IS \
        'accounts that load-test fixtures made over HTTP, or (made = false) had asked for when they were cut off'";

/// The journal as rows of `planc.accounts`.
pub(super) struct Table<'a> {
    client: &'a Client,
    fixture: String,
    lock: i64,
    sent: Statement,
    made: Statement,
    refused: Statement,
}

impl<'a> Table<'a> {
    async fn open(client: &'a Client, set: &Set, waiting: &mut dyn FnMut()) -> Result<Table<'a>, SeedError> {
        let lock = ledger::lock_key(&format!("accounts {}", set.fixture));
        if !client.query_one("SELECT pg_try_advisory_lock($1)", &[&lock]).await?.get::<_, bool>(0) {
            waiting();
            client.execute("SELECT pg_advisory_lock($1)", &[&lock]).await?;
        }
        let known: bool =
            client.query_one("SELECT to_regclass('planc.accounts') IS NOT NULL", &[]).await?.get(0);
        if !known {
            // One implicit transaction, so that two sessions that both make them do not collide in the catalogue.
            let script = format!("SELECT pg_advisory_xact_lock({}); {TABLES}", ledger::lock_key(""));
            client.batch_execute(&script).await.map_err(|error| {
                SeedError::from(error).help(
                    "accounts are remembered in a schema `planc`: CREATE SCHEMA planc AUTHORIZATION <role>",
                )
            })?;
        }
        let sent = "INSERT INTO planc.accounts AS a (fixture, n, made, attempt) VALUES ($1, $2, false, $3) \
                    ON CONFLICT (fixture, n) DO UPDATE SET made = false, attempt = excluded.attempt, at = now()";
        let made = "INSERT INTO planc.accounts AS a (fixture, n, made) SELECT $1, n, true FROM unnest($2::bigint[]) n \
                    ON CONFLICT (fixture, n) DO UPDATE SET made = true, at = now()";
        // A note that comes late says nothing of a later attempt.
        let refused = "DELETE FROM planc.accounts a USING unnest($2::bigint[], $3::integer[]) AS r (n, attempt) \
                       WHERE a.fixture = $1 AND a.n = r.n AND a.attempt = r.attempt AND NOT a.made";
        Ok(Table {
            client,
            fixture: set.fixture.clone(),
            lock,
            sent: client.prepare(sent).await?,
            made: client.prepare(made).await?,
            refused: client.prepare(refused).await?,
        })
    }

    async fn read(&self, set: &Set) -> Result<Known, SeedError> {
        let sql = "SELECT content_hash, base_micros FROM planc.account_sets WHERE fixture = $1";
        let found = self.client.query_opt(sql, &[&self.fixture]).await?;
        let Some(found) = found.filter(|row| row.get::<_, &str>(0) == set.content_hash) else {
            self.forget(Some(set)).await?;
            return Ok(Known::default());
        };
        let mut known = Known { base_micros: Some(found.get(1)), ..Known::default() };
        let sql = "SELECT n, made, attempt FROM planc.accounts WHERE fixture = $1";
        for row in self.client.query(sql, &[&self.fixture]).await? {
            let (n, attempt) = (row.get::<_, i64>(0) as u64, row.get::<_, i32>(2) as u32);
            if row.get(1) {
                known.made.insert(n);
            } else {
                known.open.insert(n, attempt);
            }
        }
        Ok(known)
    }

    async fn sent(&self, n: u64, attempt: u32) -> Result<(), SeedError> {
        self.client.execute(&self.sent, &[&self.fixture, &(n as i64), &(attempt as i32)]).await?;
        Ok(())
    }

    async fn note(&self, notes: &[Note]) -> Result<(), SeedError> {
        let (mut made, mut refused, mut attempts) = (Vec::new(), Vec::new(), Vec::new());
        for note in notes {
            match *note {
                Note::Made(n) => made.push(n as i64),
                Note::Refused(n, attempt) => {
                    refused.push(n as i64);
                    attempts.push(attempt as i32);
                }
            }
        }
        if !refused.is_empty() {
            self.client.execute(&self.refused, &[&self.fixture, &refused, &attempts]).await?;
        }
        if !made.is_empty() {
            self.client.execute(&self.made, &[&self.fixture, &made]).await?;
        }
        Ok(())
    }

    async fn forget(&self, set: Option<&Set>) -> Result<(), SeedError> {
        let sql = "DELETE FROM planc.account_sets WHERE fixture = $1";
        self.client.execute(sql, &[&self.fixture]).await?;
        if let Some(set) = set {
            let sql =
                "INSERT INTO planc.account_sets (fixture, content_hash, base_micros) VALUES ($1, $2, $3)";
            self.client.execute(sql, &[&self.fixture, &set.content_hash, &set.base_micros]).await?;
        }
        Ok(())
    }

    async fn unlock(self) -> Result<(), SeedError> {
        self.client.execute("SELECT pg_advisory_unlock($1)", &[&self.lock]).await?;
        Ok(())
    }
}

/// The journal as lines of a file, the first of which says what the accounts are.
pub(super) struct Lines {
    path: PathBuf,
    file: Mutex<File>,
}

impl Lines {
    async fn open(path: &Path, set: &Set, waiting: &mut dyn FnMut()) -> std::io::Result<(Lines, Known)> {
        let mut file = private::open(path)?;
        if file.try_lock().is_err() {
            waiting();
            let other = file.try_clone()?;
            let locked = tokio::task::spawn_blocking(move || other.lock()).await;
            locked.map_err(std::io::Error::other)??;
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // A line without its end was being written when the process died.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64)?;
        }
        let lines = Lines { path: path.to_owned(), file: Mutex::new(file) };
        let mut words = text[..whole].lines();
        let found = words.next().and_then(|line| serde_json::from_str::<Set>(line).ok());
        let same = |found: &Set| found.fixture == set.fixture && found.content_hash == set.content_hash;
        let Some(found) = found.filter(same) else {
            lines.forget(Some(set))?;
            return Ok((lines, Known::default()));
        };
        let mut known = Known { base_micros: Some(found.base_micros), ..Known::default() };
        words.for_each(|line| known.learn(line));
        Ok((lines, known))
    }

    fn append(&self, text: &str) -> Result<(), SeedError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        written.map_err(|error| unusable(&self.path, error))
    }

    fn forget(&self, set: Option<&Set>) -> std::io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.set_len(0)?;
        if let Some(set) = set {
            file.write_all(format!("{}\n", serde_json::to_string(set)?).as_bytes())?;
        }
        file.sync_data()
    }
}

impl Known {
    fn learn(&mut self, line: &str) {
        let mut words = line.split(' ');
        let (what, n) = (words.next(), words.next().and_then(|n| n.parse().ok()));
        let attempt = words.next().and_then(|attempt| attempt.parse().ok()).unwrap_or(0);
        let Some(n) = n else { return };
        match what {
            Some("made") => {
                self.made.insert(n);
                self.open.remove(&n);
            }
            Some("sent") => {
                self.made.remove(n);
                self.open.insert(n, attempt);
            }
            Some("refused") if self.open.get(&n) == Some(&attempt) => {
                self.open.remove(&n);
            }
            _ => {}
        }
    }
}

fn unusable(path: &Path, error: std::io::Error) -> SeedError {
    let message = format!("what is known of the accounts in `{}` cannot be used: {error}", path.display());
    SeedError::new(ErrorKind::Other, message).help("it must be a file that you alone can read and write")
}

/// A set of row numbers, an eighth of a byte each.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    bits: Vec<u64>,
    count: u64,
}

impl Numbers {
    pub(super) fn insert(&mut self, n: u64) {
        let at = (n / 64) as usize;
        if at >= self.bits.len() {
            self.bits.resize(at + 1, 0);
        }
        self.count += u64::from(!self.contains(n));
        self.bits[at] |= 1 << (n % 64);
    }

    fn remove(&mut self, n: u64) {
        if self.contains(n) {
            self.bits[(n / 64) as usize] &= !(1 << (n % 64));
            self.count -= 1;
        }
    }

    pub(super) fn contains(&self, n: u64) -> bool {
        self.bits.get((n / 64) as usize).is_some_and(|bits| bits & (1 << (n % 64)) != 0)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// All of them up to `most`, in order.
    pub(super) fn up_to(&self, most: u64) -> impl DoubleEndedIterator<Item = u64> + '_ {
        (1..=most).filter(|n| self.contains(*n))
    }

    /// The first and the last of them.
    pub(super) fn ends(&self, most: u64) -> Vec<u64> {
        let mut all = self.up_to(most);
        all.next().into_iter().chain(all.next_back()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(content: &str) -> Set {
        Set { fixture: "users@http://127.0.0.1".into(), content_hash: content.into(), base_micros: 7 }
    }

    async fn open<'a>(path: &Path, content: &str) -> (Journal<'a>, Known) {
        Journal::in_file(path, &set(content), &mut || panic!("nobody else has it")).await.unwrap()
    }

    #[tokio::test]
    async fn a_file_tells_what_is_made_and_what_nobody_knows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts/users.log");
        let (journal, known) = open(&path, "a").await;
        assert_eq!((known.base_micros, known.made.count(), known.open.len()), (None, 0, 0));
        for n in 1..=5 {
            journal.sent(n, 1).await.unwrap();
        }
        journal.note(&[Note::Made(1), Note::Refused(2, 1), Note::Made(64)]).await.unwrap();
        journal.sent(3, 2).await.unwrap();
        journal.note(&[Note::Refused(3, 1)]).await.unwrap();
        drop(journal);
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"made 4").unwrap();
        let (journal, known) = open(&path, "a").await;
        assert_eq!(known.base_micros, Some(7));
        assert_eq!(known.made.up_to(100).collect::<Vec<_>>(), [1, 64]);
        let open_rows: Vec<_> = known.open.into_iter().collect();
        assert_eq!(open_rows, [(3, 2), (4, 1), (5, 1)], "a torn line says nothing");
        drop(journal);
        let (_journal, known) = open(&path, "b").await;
        assert_eq!(known.made.count(), 0, "other accounts");
    }
}
