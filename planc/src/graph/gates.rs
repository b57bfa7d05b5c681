//! Gates: what decides.

use super::StepId;
use crate::units::{Fixed, PartsPerMillion, show_duration};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// One threshold: a condition on one aggregate of one metric under one selector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The metric.
    pub metric: String,
    /// Tags that a sample must carry, literally.
    pub selector: BTreeMap<String, String>,
    /// The condition as written, normalised: `p(95) < 500ms`.
    pub text: String,
    /// What is computed.
    pub aggregate: Aggregate,
    /// How it is compared.
    pub op: Comparison,
    /// What with.
    pub bound: Bound,
    /// Whether it decides.
    pub level: GateLevel,
    /// Fewer samples than this are invalid. Filled in by the compiler from the percentile or the rate's bound.
    pub min_samples: u64,
    /// A breach ends the run at once.
    pub abort_on_fail: bool,
    /// No abort before this.
    pub delay_abort_eval: Duration,
    /// Inconclusive when the 95 % confidence interval straddles the bound.
    pub confident: bool,
    /// For each scenario whose dropped iterations count against this gate: samples that one iteration is expected to
    /// emit into it, in millionths. Empty for gates that drops do not enter.
    pub drops: BTreeMap<String, u64>,
    /// Steps that can emit into it.
    pub steps: Vec<StepId>,
    /// Which part of the load it judges.
    #[serde(default, skip_serializing_if = "Over::is_load")]
    pub over: Over,
}

/// Which part of the load a gate judges. A sample belongs to the part in which its intended start lies.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Over {
    /// All of it.
    #[default]
    Load,
    /// Every full window of this length, each by itself.
    EveryWindow(Duration),
    /// One stage of a scenario's executor.
    Stage {
        /// The scenario.
        scenario: String,
        /// Which of its stages, from 1.
        number: u32,
    },
    /// Every stage of a scenario by itself, to find the highest that holds. A breach decides how far the scenario goes,
    /// not the run.
    EachStage(String),
}

/// What a gate computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Percentile in millionths of a percent: p(95) is 95,000,000.
    Percentile(Fixed),
    /// Mean of finite samples.
    Avg,
    /// Median.
    Med,
    /// Smallest.
    Min,
    /// Largest.
    Max,
    /// Rates: share of true samples. Counters: a second.
    Rate,
    /// Counters: the sum. Trends and rates: the number of samples.
    Count,
    /// Gauges: the last value.
    Value,
}

/// How a gate compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `<`
    #[serde(rename = "<")]
    Lt,
    /// `<=`
    #[serde(rename = "<=")]
    Le,
    /// `>`
    #[serde(rename = ">")]
    Gt,
    /// `>=`
    #[serde(rename = ">=")]
    Ge,
    /// `==`
    #[serde(rename = "==")]
    Eq,
    /// `!=`
    #[serde(rename = "!=")]
    Ne,
}

/// What a gate compares with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// A time.
    Duration(Duration),
    /// A share.
    Share(PartsPerMillion),
    /// A plain number.
    Number(Fixed),
}

/// Whether a gate decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateLevel {
    /// It does.
    Required,
    /// It is shown and never decides.
    Advisory,
}

impl Gate {
    /// `http_req_duration{scenario:browse}`.
    pub fn subject(&self) -> String {
        subject(&self.metric, &self.selector)
    }

    /// The condition and the part of the load that it is held against: `p(95) < 500ms in every 30s`.
    pub fn condition(&self) -> String {
        match &self.over {
            Over::Load => self.text.clone(),
            Over::EveryWindow(length) => format!("{} in every {}", self.text, show_duration(*length)),
            Over::Stage { number, .. } => format!("{} in stage {number}", self.text),
            Over::EachStage(_) => format!("{} in each stage", self.text),
        }
    }
}

impl Over {
    /// The scenario whose stages it goes by.
    pub fn scenario(&self) -> Option<&str> {
        match self {
            Over::Stage { scenario, .. } | Over::EachStage(scenario) => Some(scenario),
            Over::Load | Over::EveryWindow(_) => None,
        }
    }

    /// Whether it is the whole load.
    pub fn is_load(&self) -> bool {
        *self == Over::Load
    }
}

impl Comparison {
    /// Whether `left op right` holds.
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Comparison::Lt => left < right,
            Comparison::Le => left <= right,
            Comparison::Gt => left > right,
            Comparison::Ge => left >= right,
            Comparison::Eq => left == right,
            Comparison::Ne => left != right,
        }
    }

    /// The sign.
    pub fn as_str(self) -> &'static str {
        match self {
            Comparison::Lt => "<",
            Comparison::Le => "<=",
            Comparison::Gt => ">",
            Comparison::Ge => ">=",
            Comparison::Eq => "==",
            Comparison::Ne => "!=",
        }
    }
}

/// `http_req_duration{scenario:browse}`; without tags the metric alone.
pub fn subject(metric: &str, selector: &BTreeMap<String, String>) -> String {
    if selector.is_empty() {
        return metric.to_owned();
    }
    let tags: Vec<String> = selector.iter().map(|(tag, value)| format!("{tag}:{value}")).collect();
    format!("{metric}{{{}}}", tags.join(","))
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Duration(time) => f.write_str(&show_duration(*time)),
            Bound::Share(share) => share.fmt(f),
            Bound::Number(number) => number.fmt(f),
        }
    }
}
