//! References to one number of the stream of samples.

use super::{Aggregate, subject};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// One aggregate of one metric under one selector: `http_req_duration{name:signin}.p95`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricRef {
    /// The metric.
    pub metric: String,
    /// Tags that a sample must carry, literally.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
    /// What is computed.
    pub aggregate: Aggregate,
}

impl MetricRef {
    /// `http_req_duration{name:signin}`.
    pub fn subject(&self) -> String {
        subject(&self.metric, &self.selector)
    }
}

impl fmt::Display for MetricRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.subject(), self.aggregate)
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Aggregate::Percentile(percent) => write!(f, "p{percent}"),
            Aggregate::Avg => f.write_str("avg"),
            Aggregate::Med => f.write_str("med"),
            Aggregate::Min => f.write_str("min"),
            Aggregate::Max => f.write_str("max"),
            Aggregate::Rate => f.write_str("rate"),
            Aggregate::Count => f.write_str("count"),
            Aggregate::Value => f.write_str("value"),
        }
    }
}
