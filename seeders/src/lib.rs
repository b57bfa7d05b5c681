//! Fixtures as code.
use serde::{Deserialize, Serialize};

/// What a fixture did (stand-in until `seeders` lands).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The fixture file's name.
    pub fixture: String,
}
