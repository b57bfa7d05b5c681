//! What the stages of a load wait for: how far it goes is for the run to find out.

use super::{Bound, MetricRef};
use crate::units::{PartsPerMillion, Rate, show_duration};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What a piece waits for at its target, before the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldUntil {
    /// What is waited for.
    pub until: Until,
    /// It lasts at most so long; the scenario ends there when it has waited in vain.
    pub within: Duration,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Until {
    /// Each of these is flat over a window: what it rises or falls by over the window is at most the larger of
    /// `tolerance` of its mean and its floor.
    Flat {
        /// What must be flat.
        numbers: Vec<Flat>,
        /// How long.
        window: Duration,
        /// Share of the mean.
        tolerance: PartsPerMillion,
    },
    /// All of `within` is over, and the scenario's own gates held over the stage (`find-max`).
    GatesHold,
}

/// A number that must be flat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flat {
    /// Which.
    pub number: MetricRef,
    /// A change of no more than this is none, however small the mean is.
    pub floor: Bound,
}

/// What is asked of a search for the highest rate that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindMax {
    /// A lower rate is a failure.
    pub at_least: Option<Rate>,
}

impl HoldUntil {
    /// What must be flat.
    pub fn numbers(&self) -> &[Flat] {
        match &self.until {
            Until::Flat { numbers, .. } => numbers,
            Until::GatesHold => &[],
        }
    }
}

/// `until http_req_failed.rate (floor 0.1%) is flat to 5% over 2m, at most 4m`.
impl fmt::Display for HoldUntil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = show_duration(self.within);
        let Until::Flat { numbers, window, tolerance } = &self.until else {
            return write!(f, "for {within}");
        };
        let shown: Vec<String> =
            numbers.iter().map(|flat| format!("{} (floor {})", flat.number, flat.floor)).collect();
        let are = if numbers.len() == 1 { "is" } else { "are" };
        let window = show_duration(*window);
        write!(f, "until {} {are} flat to {tolerance} over {window}, at most {within}", shown.join(", "))
    }
}
