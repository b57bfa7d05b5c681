//! The engine's own metrics: what they are and where their samples come from.

use crate::graph::MetricKind;

/// Where samples of a metric come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// One for each HTTP request.
    Http,
    /// One for each expectation and capture of a request.
    Checks,
    /// One for each iteration.
    Iterations,
    /// Iterations that could not be started.
    Dropped,
    /// One for each pass through a group.
    Group,
    /// Bytes, counted for each scenario.
    Data,
    /// The run's own, without tags.
    Run,
    /// One for each WebSocket session.
    Session,
    /// One for each `send`.
    Sent,
    /// One for each message that comes in a session.
    Received,
    /// One for each `receive`.
    Receive,
    /// One for each `ping`.
    Ping,
    /// `record` of steps.
    Custom(String),
}

const BUILT_IN: [(&str, MetricKind, Family); 29] = [
    ("http_reqs", MetricKind::Counter, Family::Http),
    ("http_req_duration", MetricKind::TimeTrend, Family::Http),
    ("http_req_service_time", MetricKind::TimeTrend, Family::Http),
    ("http_req_blocked", MetricKind::TimeTrend, Family::Http),
    ("http_req_connecting", MetricKind::TimeTrend, Family::Http),
    ("http_req_tls_handshaking", MetricKind::TimeTrend, Family::Http),
    ("http_req_sending", MetricKind::TimeTrend, Family::Http),
    ("http_req_waiting", MetricKind::TimeTrend, Family::Http),
    ("http_req_receiving", MetricKind::TimeTrend, Family::Http),
    ("http_req_failed", MetricKind::Rate, Family::Http),
    ("http_server_errors", MetricKind::Rate, Family::Http),
    ("http_rate_limited", MetricKind::Rate, Family::Http),
    ("checks", MetricKind::Rate, Family::Checks),
    ("iterations", MetricKind::Counter, Family::Iterations),
    ("iteration_duration", MetricKind::TimeTrend, Family::Iterations),
    ("dropped_iterations", MetricKind::Counter, Family::Dropped),
    ("group_duration", MetricKind::TimeTrend, Family::Group),
    ("vus", MetricKind::Gauge, Family::Run),
    ("vus_max", MetricKind::Gauge, Family::Run),
    ("data_sent", MetricKind::Counter, Family::Data),
    ("data_received", MetricKind::Counter, Family::Data),
    ("ws_connecting", MetricKind::TimeTrend, Family::Session),
    ("ws_session_duration", MetricKind::TimeTrend, Family::Session),
    ("ws_sessions", MetricKind::Counter, Family::Session),
    ("ws_failed", MetricKind::Rate, Family::Session),
    ("ws_msgs_sent", MetricKind::Counter, Family::Sent),
    ("ws_msgs_received", MetricKind::Counter, Family::Received),
    ("ws_receive_duration", MetricKind::TimeTrend, Family::Receive),
    ("ws_ping", MetricKind::TimeTrend, Family::Ping),
];

/// Kind and family of one of the engine's own metrics.
pub(crate) fn built_in(name: &str) -> Option<(MetricKind, Family)> {
    BUILT_IN.iter().find(|(known, ..)| *known == name).map(|(_, kind, family)| (*kind, family.clone()))
}

/// Where a metric's samples come from, custom ones included.
pub(crate) fn family(name: &str) -> Family {
    built_in(name).map_or_else(|| Family::Custom(name.to_string()), |(_, family)| family)
}

/// Whether a high value means a slow target. Failures and drops count as above every bound in these.
pub(crate) fn is_latency(metric: &str) -> bool {
    matches!(
        metric,
        "http_req_duration"
            | "http_req_service_time"
            | "http_req_waiting"
            | "http_req_receiving"
            | "http_req_blocked"
            | "http_req_connecting"
            | "http_req_tls_handshaking"
            | "http_req_sending"
            | "iteration_duration"
            | "group_duration"
            | "ws_connecting"
            | "ws_session_duration"
            | "ws_receive_duration"
            | "ws_ping"
    )
}

/// Names of the engine's own metrics.
pub(crate) fn names<'a>() -> impl Iterator<Item = &'a str> {
    BUILT_IN.iter().map(|(name, ..)| *name)
}
