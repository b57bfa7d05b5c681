//! Steps: what a virtual user does.

use super::{Expectation, Expr, JsonTemplate, Request, Template};
use crate::eval;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Number of a step, unique in the graph and dense from 0, in order of scenario and depth-first position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepId(pub u32);

/// One thing that a virtual user does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// Name for people and for the `name` tag.
    pub name: String,
    /// Tags of the samples it emits, those of the scenario and enclosing steps included.
    pub tags: BTreeMap<String, Template>,
    /// The deed.
    pub kind: StepKind,
}

/// The deed of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StepKind {
    /// An HTTP request.
    Http(Box<HttpStep>),
    /// Think time.
    Pause(Pause),
    /// One branch by weight.
    Choose(Vec<Branch>),
    /// Inner steps so many times; the binding counts from 1.
    Repeat {
        /// How often; evaluated once on entry.
        count: Expr,
        /// Name for the counter.
        binding: Option<String>,
        /// Inner steps.
        steps: Vec<Step>,
    },
    /// Inner steps once for each element.
    Each {
        /// The list; evaluated once on entry.
        list: Expr,
        /// Name for the element.
        binding: String,
        /// Inner steps.
        steps: Vec<Step>,
    },
    /// Inner steps if the condition is true.
    When {
        /// The condition.
        condition: Expr,
        /// Inner steps.
        steps: Vec<Step>,
    },
    /// Inner steps under a name (k6's `group`); emits `group_duration`.
    Group {
        /// Full name, outer groups included: `::checkout::pay`.
        name: String,
        /// Inner steps.
        steps: Vec<Step>,
    },
    /// A WebSocket session: opened, inner steps, closed.
    #[serde(rename = "websocket")]
    WebSocket(Box<WebSocketStep>),
    /// A message to the server, in a session.
    Send(Message),
    /// Waits for a message, in a session.
    Receive(Box<Receive>),
    /// A ping, which the server must answer.
    Ping {
        /// How long the pong may take; none means the handshake's timeout.
        within: Option<Duration>,
    },
    /// Closes the session before its steps end.
    Close {
        /// Status code of the close frame.
        code: u16,
        /// How long the server may take to close its side; none means the handshake's timeout.
        within: Option<Duration>,
    },
}

/// A WebSocket session of a virtual user, over a connection of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocketStep {
    /// The opening handshake, a GET of an `http` or `https` URL. Its `on_failure` is the whole session's, its timeout that
    /// of whatever in the session says none of its own.
    pub handshake: HttpStep,
    /// The subprotocol asked for, which the server must take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subprotocol: Option<String>,
    /// What is done while it is open.
    pub steps: Vec<Step>,
}

/// What is sent over a WebSocket, as a text message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    /// JSON.
    Json(JsonTemplate),
    /// Text as it is.
    Text(Template),
}

/// A message that is waited for. Others that come meanwhile pass by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receive {
    /// What the message must hold, `Json` and `Body` alone; any message without one.
    pub expect: Vec<Expectation>,
    /// How long it may take; none means the handshake's timeout.
    pub within: Option<Duration>,
    /// Values kept for later steps of the iteration.
    pub capture: Vec<Capture>,
}

/// One branch of `choose`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// Its weight.
    pub weight: u32,
    /// Inner steps.
    pub steps: Vec<Step>,
}

/// Think time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pause {
    /// Always this long.
    Fixed(Duration),
    /// Uniform between the two.
    Uniform {
        /// Shortest.
        from: Duration,
        /// Longest.
        to: Duration,
    },
    /// Normal, cut at zero.
    Normal {
        /// Mean.
        mean: Duration,
        /// Standard deviation.
        deviation: Duration,
    },
    /// Exponential with this mean.
    Exponential {
        /// Mean.
        mean: Duration,
    },
}

/// An HTTP request of a virtual user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpStep {
    /// The request.
    pub request: Request,
    /// Endpoint of the catalogue, the `endpoint` tag.
    pub endpoint: Option<String>,
    /// Token whose header is sent.
    pub token: Option<String>,
    /// Whether the virtual user's cookie jar is read and filled.
    pub cookies: bool,
    /// What must be seen. Never without a status expectation: where the plan states none, it is 2xx and 3xx, as in k6.
    pub expect: Vec<Expectation>,
    /// Values kept for later steps of the iteration; one that finds nothing is a failed check.
    pub capture: Vec<Capture>,
    /// Samples added to custom metrics.
    pub record: Vec<Record>,
    /// What a failed expectation does.
    pub on_failure: OnFailure,
}

/// What a failed expectation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The next step is played.
    Continue,
    /// The iteration ends as failed.
    NextIteration,
    /// The scenario ends.
    StopScenario,
    /// The run ends and fails.
    AbortRun,
}

/// A value kept from a response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// Name in scope afterwards.
    pub name: String,
    /// Where it is found.
    pub from: CaptureFrom,
}

/// Where a captured value is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CaptureFrom {
    /// A JSONPath; the first hit.
    Json(String),
    /// A header, lower case.
    Header(String),
    /// A cookie set by the response.
    Cookie(String),
    /// First group (or whole match) of a regular expression over the body.
    Regex(String),
    /// The whole body as text.
    Body,
}

/// A sample for a custom metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The metric.
    pub metric: String,
    /// Counters and trends: only if true. Rates: the sample itself. `response.status`, `.headers`, `.json`, `.body`, `.duration` (ms) are in scope.
    pub when: Option<Expr>,
    /// The value; counters without one add 1.
    pub value: Option<Expr>,
}

/// Calls `visit` for every step, outer before inner.
pub fn walk<'a>(steps: &'a [Step], visit: &mut dyn FnMut(&'a Step)) {
    for step in steps {
        visit(step);
        match &step.kind {
            StepKind::Choose(branches) => branches.iter().for_each(|branch| walk(&branch.steps, visit)),
            StepKind::Repeat { steps, .. }
            | StepKind::Each { steps, .. }
            | StepKind::When { steps, .. }
            | StepKind::Group { steps, .. } => walk(steps, visit),
            StepKind::WebSocket(session) => walk(&session.steps, visit),
            StepKind::Http(_)
            | StepKind::Pause(_)
            | StepKind::Send(_)
            | StepKind::Receive(_)
            | StepKind::Ping { .. }
            | StepKind::Close { .. } => {}
        }
    }
}

/// Steps whose condition the inputs make false, such as `when: inputs.login == 'per_iteration'`: they are no part of what
/// was asked for. A gate that needs them has no data.
pub fn switched_off(steps: &[Step]) -> BTreeSet<StepId> {
    let mut out = BTreeSet::new();
    walk(steps, &mut |step| {
        if let StepKind::When { condition: Expr::Const(value), steps } = &step.kind
            && !eval::truthy(value)
        {
            walk(steps, &mut |inner| out.extend([inner.id]));
        }
    });
    out
}

/// Whether a WebSocket is opened under some steps.
pub fn has_session(steps: &[Step]) -> bool {
    let mut found = false;
    walk(steps, &mut |step| found |= matches!(step.kind, StepKind::WebSocket(_)));
    found
}

/// Name of the check that a ping was answered in time.
pub const PONG_CHECK: &str = "pong";

impl Receive {
    /// Name of the check that the message came: `receive json $.type equals welcome`.
    pub fn check(&self) -> String {
        let names: Vec<&str> = self.expect.iter().map(|expect| expect.name.as_str()).collect();
        match names.is_empty() {
            true => "receive any message".to_string(),
            false => format!("receive {}", names.join(" and ")),
        }
    }
}

impl StepKind {
    /// The request that it sends: an HTTP step's, or the handshake of a WebSocket.
    pub fn request(&self) -> Option<&HttpStep> {
        match self {
            StepKind::Http(http) => Some(http),
            StepKind::WebSocket(session) => Some(&session.handshake),
            _ => None,
        }
    }

    /// What it keeps for later steps.
    pub fn captures(&self) -> &[Capture] {
        match self {
            StepKind::Http(http) => &http.capture,
            StepKind::Receive(receive) => &receive.capture,
            _ => &[],
        }
    }

    /// Whether the target answers it and is timed doing so: a request, a handshake, a message or a pong that is waited for.
    pub fn is_answered(&self) -> bool {
        matches!(
            self,
            StepKind::Http(_) | StepKind::WebSocket(_) | StepKind::Receive(_) | StepKind::Ping { .. }
        )
    }
}
