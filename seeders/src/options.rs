//! How to seed.

use crate::rows::Inputs;
use planc::graph::ExecutionGraph;
use std::fmt;
use std::path::PathBuf;

/// What to do with a fixture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Make the table hold the fixture's rows, by its policy.
    #[default]
    Apply,
    /// Recompute and compare; write nothing.
    Verify,
    /// Delete this fixture's rows and no others.
    Reset,
}

/// How to seed.
#[derive(Clone, Default)]
pub struct SeedOptions {
    /// What to do.
    pub mode: Mode,
    /// Believe the ledger when it knows this very fixture: rows are not compared.
    pub trust_ledger: bool,
    /// Leave times that are older than their `fresh_within` where they are, and say so: rows are moved only before a load.
    pub keep_stale: bool,
    /// The present, microseconds since 1970: base of relative times.
    pub base_micros: i64,
    /// Who asked for it, for the ledger.
    pub who: String,
    /// Name and version of the program, for the ledger.
    pub program: String,
    /// Values that must not appear in any message; those of secret inputs are added by themselves.
    pub secrets: Vec<String>,
    /// Folder that relative `export:` paths are resolved against; none is the working directory.
    pub export_dir: Option<PathBuf>,
    /// Folder for what is remembered on this machine: accounts of fixtures without a database, and what services told of
    /// them once. None remembers nothing.
    pub state_dir: Option<PathBuf>,
    /// Folder for what services told once of accounts, instead of one in `state_dir`.
    pub secrets_dir: Option<PathBuf>,
}

impl SeedOptions {
    /// Apply, with times relative to this moment.
    pub fn now() -> SeedOptions {
        // The one place that asks for the present by itself: who wants another one fills in the options.
        #[allow(clippy::disallowed_methods)]
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        SeedOptions {
            base_micros: since.map_or(0, |since| since.as_micros() as i64),
            program: concat!("seeders ", env!("CARGO_PKG_VERSION")).into(),
            ..SeedOptions::default()
        }
    }
}

impl fmt::Debug for SeedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeedOptions")
            .field("mode", &self.mode)
            .field("trust_ledger", &self.trust_ledger)
            .field("keep_stale", &self.keep_stale)
            .field("base_micros", &self.base_micros)
            .field("who", &self.who)
            .field("program", &self.program)
            .field("secrets", &self.secrets.len())
            .field("export_dir", &self.export_dir)
            .field("state_dir", &self.state_dir)
            .field("secrets_dir", &self.secrets_dir)
            .finish()
    }
}

/// Hides secret values in texts.
#[derive(Clone, Default)]
pub(crate) struct Mask(Vec<String>);

impl Mask {
    /// The values of all secret inputs, and some more.
    pub(crate) fn new(graph: &ExecutionGraph, inputs: &Inputs, more: &[String]) -> Mask {
        let secret = graph.open_inputs.iter().filter(|(_, input)| input.secret);
        let mut values: Vec<String> = secret
            .filter_map(|(name, _)| inputs.get(&format!("inputs.{name}")))
            .map(planc::eval::to_text)
            .chain(more.iter().cloned())
            .filter(|value| !value.is_empty())
            .collect();
        // Longest first, so that a secret inside a longer one does not leave the rest of it readable.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Mask(values)
    }

    /// The text with each secret written as `•••`.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_string(), |text, secret| {
            let escaped = serde_json::to_string(secret).unwrap_or_default();
            let inner = escaped.trim_matches('"');
            let text = text.replace(secret.as_str(), "•••");
            if inner.is_empty() { text } else { text.replace(inner, "•••") }
        })
    }
}
