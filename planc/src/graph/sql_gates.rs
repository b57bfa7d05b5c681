//! Gates in SQL: what the plan's database must hold after the load.

use super::{Expectation, GateLevel, MetricRef, StepId, Template};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// One statement and what it must give once the load is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlGate {
    /// What holds when it passes; its key in the plan.
    pub name: String,
    /// The statement, run in a read-only transaction; slots are bound as text parameters, never spliced.
    pub statement: Template,
    /// What must be seen; expectations are `Rows` and `Value`. `metric('…')` is in scope.
    pub expect: Vec<Expectation>,
    /// `expect` sees how much the value grew since preflight, not the value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub increase: bool,
    /// Asked again for so long until it holds: what is written behind the answer takes its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    /// Whether it decides.
    pub level: GateLevel,
    /// Metrics that `expect` reads, by the text of their `metric('…')`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, ReadMetric>,
}

/// A metric that an expectation reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadMetric {
    /// Which number of it.
    pub of: MetricRef,
    /// Steps that can emit into it.
    pub steps: Vec<StepId>,
}

impl SqlGate {
    /// The condition for people: `value equals null`, `increase of value equals 5`.
    pub fn condition(&self) -> String {
        let asked: Vec<&str> = self.expect.iter().map(|expectation| expectation.name.as_str()).collect();
        format!("{}{}", if self.increase { "increase of " } else { "" }, asked.join(", "))
    }
}
