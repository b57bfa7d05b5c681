//! What is judged, and what is looked at when it breaks.

use super::{Expect, Request, Text, Typed, Word};
use crate::graph;
use crate::source::{Span, Spanned};
use std::time::Duration;

/// `http_req_duration{scenario:checkout,endpoint:*}`.
#[derive(Debug, Clone)]
pub(crate) struct Selector {
    pub(crate) metric: Word,
    /// Tag and value, sorted by tag.
    pub(crate) tags: Vec<(Word, Word)>,
}

/// `http_req_duration{name:signin}.p95`.
#[derive(Debug, Clone)]
pub(crate) struct MetricRef {
    pub(crate) span: Span,
    pub(crate) selector: Selector,
    /// What is computed, when it is said.
    pub(crate) aggregate: Option<Word>,
}

/// One entry under a key of `thresholds:`.
#[derive(Debug, Clone)]
pub(crate) struct Threshold {
    /// `None` when it was wrong, and reported.
    pub(crate) selector: Option<Selector>,
    /// The condition; `None` when it was wrong, and reported.
    pub(crate) text: Option<Text>,
    pub(crate) level: Option<Spanned<graph::GateLevel>>,
    pub(crate) abort_on_fail: Option<Typed<bool>>,
    pub(crate) delay_abort_eval: Option<Typed<Duration>>,
    pub(crate) min_samples: Option<Typed<u64>>,
    pub(crate) confident: Option<Typed<bool>>,
    pub(crate) window: Option<Typed<Duration>>,
    pub(crate) stage: Option<Typed<u32>>,
}

/// A threshold on what a statement gives after the load.
#[derive(Debug, Clone)]
pub(crate) struct SqlGate {
    pub(crate) name: Word,
    /// `None` when it was wrong, and reported.
    pub(crate) statement: Option<Text>,
    pub(crate) expect: Vec<Expect>,
    pub(crate) increase: Option<Typed<bool>>,
    pub(crate) within: Option<Typed<Duration>>,
    pub(crate) level: Option<Spanned<graph::GateLevel>>,
    /// What stands in each `metric('…')`; `None` for those that are wrong.
    pub(crate) metrics: Vec<(String, Option<MetricRef>)>,
}

/// One entry of `triage:`.
#[derive(Debug, Clone)]
pub(crate) struct Triage {
    pub(crate) span: Span,
    pub(crate) name: Option<Word>,
    /// `None` when it was wrong, and reported.
    pub(crate) when: Option<When>,
    pub(crate) lasts: Option<Typed<Duration>>,
    pub(crate) cause: Option<Word>,
    pub(crate) evidence: Vec<Look>,
    pub(crate) decision: Option<Word>,
}

/// How a cause shows.
#[derive(Debug, Clone)]
pub(crate) enum When {
    Gate,
    /// The number, and the whole condition.
    Metric(MetricRef, Text),
}

/// One look at the world.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) at: LookAt,
    pub(crate) within: Option<Typed<Duration>>,
}

/// Where triage looks.
#[derive(Debug, Clone)]
pub(crate) enum LookAt {
    Sql(Text),
    Http(Box<Request>),
    Promql { span: Span, query: Word, at: Option<Text> },
    Command(Vec<Text>),
}
