//! Why requests failed, by step: a gate says that too many did, and whoever reads it asks next how.

use super::{Case, Cause, CauseKind, cause};
use crate::evidence::{Samples, Series};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Steps that are told, and reasons of each.
const MOST: usize = 3;

/// What became of one step's requests.
#[derive(Default)]
struct Step {
    requests: u64,
    failed: u64,
    reasons: BTreeMap<String, u64>,
    /// Whether only an expectation can say what was wrong with an answer.
    unexpected: bool,
    /// Expectations that were not met, by their names.
    unmet: BTreeMap<String, u64>,
    /// They are WebSocket sessions.
    sessions: bool,
}

impl Case<'_> {
    /// The steps with the most failures, each with its most frequent reasons.
    pub(super) fn reasons(&self) -> Vec<Cause> {
        let mut steps: BTreeMap<(&str, &str), Step> = BTreeMap::new();
        for series in self.load.on_time.series.iter().chain(&self.load.late.series) {
            let tag = |name| series.tags.get(name).map_or("", String::as_str);
            let step = || (tag("scenario"), tag("name"));
            match (&series.samples, series.metric.as_str()) {
                (Samples::Rate { trues, total }, "http_req_failed") => {
                    let step = steps.entry(step()).or_default();
                    step.requests += total;
                    step.failed += trues;
                    if *trues > 0 {
                        *step.reasons.entry(reason(series)).or_default() += trues;
                        step.unexpected |= tag("outcome") == "failed_check";
                    }
                }
                (Samples::Rate { trues, total }, "ws_failed") => {
                    let step = steps.entry(step()).or_default();
                    step.sessions = true;
                    step.requests += total;
                    step.failed += trues;
                    step.unexpected |= *trues > 0;
                    if *trues > 0 {
                        *step.reasons.entry(session_reason(series)).or_default() += trues;
                    }
                }
                (Samples::Rate { trues, total }, "checks") if trues < total => {
                    let unmet = &mut steps.entry(step()).or_default().unmet;
                    *unmet.entry(tag("check").to_owned()).or_default() += total - trues;
                }
                _ => {}
            }
        }
        let mut failing: Vec<_> = steps.into_iter().filter(|(_, step)| step.failed > 0).collect();
        failing.sort_by_key(|(_, step)| Reverse(step.failed));
        let told = failing.into_iter().take(MOST);
        told.map(|((scenario, name), step)| cause(CauseKind::Target, step.told(scenario, name))).collect()
    }
}

impl Step {
    fn told(&self, scenario: &str, name: &str) -> String {
        let reasons = most(&self.reasons).into_iter().map(|(reason, times)| format!("{times} × {reason}"));
        let reasons: Vec<String> = reasons.collect();
        let unmet = most(&self.unmet).into_iter().map(|(check, _)| format!("`{check}`"));
        let unmet: Vec<String> = unmet.filter(|_| self.unexpected).collect();
        let not_met = if unmet.is_empty() { "" } else { "; not met: " };
        format!(
            "step `{name}` of `{scenario}`: {} of {} {} failed: {}{not_met}{}",
            self.failed,
            self.requests,
            if self.sessions { "sessions" } else { "requests" },
            reasons.join(", "),
            unmet.join(", ")
        )
    }
}

fn most(counts: &BTreeMap<String, u64>) -> Vec<(&String, u64)> {
    let mut sorted: Vec<_> = counts.iter().map(|(what, times)| (what, *times)).collect();
    sorted.sort_by_key(|(_, times)| Reverse(*times));
    sorted.truncate(MOST);
    sorted
}

/// In words, from the tags of a request that failed.
fn reason(series: &Series) -> String {
    let tag = |name| series.tags.get(name).map(String::as_str);
    let words = match (tag("error_code"), tag("outcome"), tag("status")) {
        (Some(code), ..) => return transport(code),
        (None, Some("limited"), _) => "429, limited",
        (None, Some("censored"), _) => "cut off at the end without an answer",
        (None, _, Some(status)) if status != "0" => return format!("status {status}"),
        _ => "no answer",
    };
    words.to_owned()
}

/// The same for a WebSocket session.
fn session_reason(series: &Series) -> String {
    let tag = |name| series.tags.get(name).map(String::as_str);
    match (tag("error_code"), tag("status")) {
        (Some("1050"), Some("101")) => "nothing came in time (error 1050)".into(),
        (Some("1050"), _) => "no answer to the handshake within the timeout (error 1050)".into(),
        (Some("1221"), Some("101")) => "the connection ended without a close frame (error 1221)".into(),
        (Some("1701"), _) => "closed by the server before its steps ended (error 1701)".into(),
        (Some(code), _) => transport(code),
        (None, Some("101")) => "an expectation was not met, or cut off while it waited".into(),
        (None, Some("0") | None) => "cut off at the end without an answer".into(),
        (None, Some(status)) => format!("status {status}"),
    }
}

fn transport(code: &str) -> String {
    let words = match code {
        "1050" => "no answer within the timeout",
        "1101" => "the name does not resolve",
        "1201" | "1220" => "connection reset",
        "1210" => "cannot connect",
        "1211" => "no connection within the timeout",
        "1212" => "connection refused",
        "1221" => "the connection ended before the answer did",
        "1300" | "1310" | "1311" => "TLS handshake failed",
        "1600" => "HTTP/2 failed",
        "1601" => "the answer is not HTTP, or more of it than a step may read",
        "host_not_allowed" => "led to a host that is not allowed",
        other => return format!("error {other}"),
    };
    format!("{words} (error {code})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_reasons_come_first_and_expectations_by_name() {
        let counts = |list: &[(&str, u64)]| list.iter().map(|(k, n)| ((*k).to_owned(), *n)).collect();
        let mut step = Step {
            requests: 300,
            failed: 100,
            reasons: counts(&[("status 200", 60), ("status 500", 10), ("no answer", 29), ("rare", 1)]),
            unexpected: true,
            sessions: false,
            unmet: counts(&[("status is 200", 10), ("$.ok is true", 70)]),
        };
        let failed = "step `item` of `reads`: 100 of 300 requests failed: 60 × status 200, 29 × no answer, 10 × status 500";
        assert_eq!(step.told("reads", "item"), format!("{failed}; not met: `$.ok is true`, `status is 200`"));
        step.unexpected = false;
        assert_eq!(step.told("reads", "item"), failed);
    }
}
