//! Metrics that are scraped beside the load: gauges of the service, its queues, its database.

use super::{Request, Template};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a metric is scraped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scrape {
    /// Where its value is read.
    pub from: ScrapeFrom,
    /// How often.
    pub every: Duration,
    /// Time that one scrape may take.
    pub within: Duration,
}

/// Where a scraped value is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ScrapeFrom {
    /// An answer in Prometheus' text format.
    Prometheus {
        /// What is asked.
        request: Request,
        /// Which series of the answer.
        series: SeriesSelector,
        /// What is made of several.
        take: Take,
    },
    /// An answer in JSON.
    Json {
        /// What is asked.
        request: Request,
        /// JSONPath (RFC 9535) to the number or the numbers.
        path: String,
        /// What is made of several.
        take: Take,
    },
    /// First column of the first row of a statement, which is run in a read-only transaction.
    Sql {
        /// The statement; slots are bound as text parameters, never spliced.
        statement: Template,
    },
}

/// What is made of several numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// Their sum.
    #[default]
    Sum,
    /// The largest.
    Max,
    /// Their mean.
    Avg,
}

/// Series of one name: `bullmq_queue_jobs{state="wait"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesSelector {
    /// The name.
    pub name: String,
    /// Conditions on labels, all of which must hold. A label that is not there is empty, as in Prometheus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelMatcher>,
}

/// A condition on one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelMatcher {
    /// The label.
    pub label: String,
    /// How it is compared.
    pub op: LabelOp,
    /// The text, or the regular expression that matches all of it.
    pub value: String,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelOp {
    /// Is this text.
    #[serde(rename = "=")]
    Is,
    /// Is another text.
    #[serde(rename = "!=")]
    IsNot,
    /// Matches.
    #[serde(rename = "=~")]
    Matches,
    /// Does not match.
    #[serde(rename = "!~")]
    MatchesNot,
}

impl Take {
    /// Makes one number of several; none of none.
    pub fn of(self, numbers: &[f64]) -> Option<f64> {
        let largest = numbers.iter().copied().reduce(f64::max)?;
        let sum: f64 = numbers.iter().sum();
        Some(match self {
            Take::Sum => sum,
            Take::Max => largest,
            Take::Avg => sum / numbers.len() as f64,
        })
    }
}
