//! When a plan is run, and how often it must have been green.

use serde::{Deserialize, Serialize};

/// Changes that ask for a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhenToRun {
    /// Patterns of paths, sorted; a change of one that matches asks for a run.
    pub paths: Vec<String>,
    /// Patterns of branches on which every change does, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub always_on: Vec<String>,
}

/// How many green runs in a row are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// So many.
    pub streak: u32,
    /// What counts as one.
    pub per: Period,
}

/// What counts as one in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// Every run.
    #[default]
    Run,
    /// All runs of a day (UTC); days follow each other without a gap.
    Day,
}

impl Period {
    /// `run` or `day`.
    pub fn as_str(self) -> &'static str {
        match self {
            Period::Run => "run",
            Period::Day => "day",
        }
    }
}
