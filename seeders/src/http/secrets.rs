//! What a service tells once of each account: kept in a file that its owner alone can read, never in the database.
//!
//! One line an account is appended and on the disk before the account counts as made; of two lines of one account the
//! later holds.

use crate::error::{ErrorKind, SeedError};
use crate::private;
use planc::graph::Json;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Captured values of one account, by name.
pub(super) type Told = BTreeMap<String, Json>;

/// What services told of the accounts of one fixture.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<u64, Told>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} accounts)", self.0.len())
    }
}

impl Secrets {
    /// A captured value of the account of row `n`.
    pub fn get(&self, n: u64, name: &str) -> Option<&Json> {
        self.0.get(&n)?.get(name)
    }

    /// Every value, to be hidden wherever it might be told.
    pub fn values(&self) -> impl Iterator<Item = &Json> {
        self.0.values().flat_map(BTreeMap::values)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn row(&self, n: u64) -> Option<&Told> {
        self.0.get(&n)
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    n: u64,
    told: Told,
}

/// The file of one fixture's secrets.
pub(super) struct Store {
    path: PathBuf,
    file: File,
    pub(super) secrets: Secrets,
}

impl Store {
    /// Opens it, making it when it is not there.
    pub(super) fn open(path: &Path) -> Result<Store, SeedError> {
        let wrong = |error| unusable(path, error);
        let mut file = private::open(path).map_err(wrong)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(wrong)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        // A line without its end was being written when the process died: its account does not count as made.
        if whole < text.len() {
            file.set_len(whole as u64).map_err(wrong)?;
        }
        let mut secrets = Secrets::default();
        for line in text[..whole].lines() {
            let line: Line = serde_json::from_str(line).map_err(|error| unusable(path, error.into()))?;
            secrets.0.insert(line.n, line.told);
        }
        Ok(Store { path: path.to_owned(), file, secrets })
    }

    /// Keeps what was told of an account; it is on the disk when this returns.
    pub(super) fn keep(&mut self, n: u64, told: Told) -> Result<(), SeedError> {
        let written = serde_json::to_string(&Line { n, told: told.clone() }).map_err(std::io::Error::from);
        let written = written.and_then(|line| self.file.write_all(format!("{line}\n").as_bytes()));
        written.and_then(|()| self.file.sync_data()).map_err(|error| unusable(&self.path, error))?;
        self.secrets.0.insert(n, told);
        Ok(())
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) -> Result<(), SeedError> {
        self.secrets.0.clear();
        self.file.set_len(0).map_err(|error| unusable(&self.path, error))
    }
}

fn unusable(path: &Path, error: std::io::Error) -> SeedError {
    let message = format!("the accounts' secrets in `{}` cannot be used: {error}", path.display());
    SeedError::new(ErrorKind::Other, message)
        .help("make it readable for you alone (chmod 600); or delete it, and they are issued anew")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(key: &str) -> Told {
        Told::from([("api_key".to_string(), json!(key))])
    }

    #[test]
    fn what_was_kept_is_there_again_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets/users.ndjson");
        let mut store = Store::open(&path).unwrap();
        store.keep(1, told("one")).unwrap();
        store.keep(2, told("two")).unwrap();
        store.keep(1, told("uno")).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"n\":3,\"to").unwrap();
        let mut again = Store::open(&path).unwrap();
        assert_eq!(again.secrets.get(1, "api_key"), Some(&json!("uno")));
        assert_eq!((again.secrets.get(3, "api_key"), again.secrets.values().count()), (None, 2));
        again.keep(3, told("three")).unwrap();
        assert_eq!(Store::open(&path).unwrap().secrets.get(3, "api_key"), Some(&json!("three")));
        assert_eq!(format!("{:?}", again.secrets), "Secrets(3 accounts)");
    }
}
