//! Triage: what a runbook says to look at first, done at the moment of the breach.

use super::{Bound, Comparison, MetricRef, Request, StepId, Template};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One cause, how it shows, and what is looked at and done then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Triage {
    /// Its name, for people.
    pub name: String,
    /// How it shows.
    pub when: When,
    /// The likely cause.
    pub cause: String,
    /// What is looked at, in order; every look is kept.
    pub evidence: Vec<Look>,
    /// What is done.
    pub decision: Decision,
}

/// How a cause shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum When {
    /// Any gate that decides breaks.
    Gate,
    /// A number of the last seconds is beyond a bound.
    Metric {
        /// The condition as written, normalised: `http_req_duration{name:bet}.p95 > 500ms`.
        text: String,
        /// The number.
        of: MetricRef,
        /// Steps that can emit into it.
        steps: Vec<StepId>,
        /// How it is compared.
        op: Comparison,
        /// What with.
        bound: Bound,
        /// For how long it must hold without a break.
        lasts: Option<Duration>,
    },
}

/// One look at the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// Where.
    pub at: LookAt,
    /// Time that it may take.
    pub within: Duration,
}

/// Where triage looks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LookAt {
    /// A statement on the plan's database in a read-only transaction; all rows are kept.
    Sql {
        /// The statement; slots are bound as text parameters, never spliced.
        statement: Template,
    },
    /// An HTTP request; status and body are kept.
    Http(Request),
    /// An instant query of a Prometheus server, asked over its HTTP API.
    Promql {
        /// The request, with the query in it.
        request: Request,
        /// The query, for people.
        query: String,
    },
    /// A program; exit code and output are kept.
    Command {
        /// Program and arguments.
        argv: Vec<Template>,
    },
}

/// What triage does with the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It goes on.
    Continue,
    /// It ends at once: what was found is no tuning away.
    Halt,
    /// It ends, and is resumed when this was done.
    Adjust(String),
}
