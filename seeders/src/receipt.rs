//! What a seeding did, for people and for the evidence.

use crate::drift::Drift;
use serde::{Deserialize, Serialize};

/// What a seeding came down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Rows were not there and were made.
    Inserted,
    /// Rows were brought in line with the fixture.
    Refreshed,
    /// Only times were moved to the present, by one UPDATE.
    Rebased,
    /// All was as it should be; no row was touched.
    NothingToDo,
    /// Verify: the table holds what the fixture says.
    Verified,
    /// The table differs from the fixture, and the mode or the policy forbids mending it.
    Drift,
    /// The fixture's rows were deleted.
    Reset,
}

/// What seeding one fixture did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The fixture file's own name, key of the ledger.
    pub fixture: String,
    /// Its name in the plan.
    pub name: String,
    /// Rows of the fixture.
    pub rows: u64,
    /// Rows (or accounts) made.
    pub inserted: u64,
    /// Rows changed because a value differed.
    pub updated: u64,
    /// Rows deleted.
    pub deleted: u64,
    /// Rows (or accounts) that were there and were left as they were by policy.
    pub kept: u64,
    /// Rows whose times were moved to the present.
    pub rebased: u64,
    /// Rows that were there already, equal to the fixture's.
    pub unchanged: u64,
    /// What it came down to.
    pub action: Action,
    /// Fingerprint of the fixture's rows as the server computed it; empty where there is none (HTTP, reset).
    pub fingerprint: String,
    /// Base time of the rows, microseconds since 1970: scenarios that draw from the fixture use this one.
    pub base_micros: i64,
    /// How long it took.
    pub milliseconds: u64,
    /// What a person should know: lower case, no full stop.
    pub notes: Vec<String>,
    /// How the table differed from the fixture, where rows were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
}

impl Receipt {
    /// A receipt on which nothing has happened yet.
    pub(crate) fn new(fixture: &planc::graph::Fixture, base_micros: i64) -> Receipt {
        Receipt {
            fixture: fixture.fixture.clone(),
            name: fixture.name.clone(),
            rows: fixture.rows,
            inserted: 0,
            updated: 0,
            deleted: 0,
            kept: 0,
            rebased: 0,
            unchanged: 0,
            action: Action::NothingToDo,
            fingerprint: String::new(),
            base_micros,
            milliseconds: 0,
            notes: Vec::new(),
            drift: None,
        }
    }

    /// All texts that come from fixture and database, to hide secrets in.
    pub fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.notes.iter_mut().chain(self.drift.iter_mut().flat_map(Drift::texts_mut))
    }
}
