//! A gate on a tag that names an answer, and is set before there is one.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Expected, StatusPattern, Step};
use crate::resolved::{Gate, ResolvedPlan};

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0435", name: "outcome-in-tag" },
    page: include_str!("outcome-in-tag.md"),
    check,
};

/// Tags that the engine sets once the answer is there.
const OF_THE_ANSWER: [&str; 2] = ["status", "error_code"];

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let steps = plan.all_steps();
    for gate in plan.gates.iter().filter(|gate| gate.reachable) {
        for (tag, value) in &gate.gate.selector {
            let Some(class) = class(value).filter(|_| !OF_THE_ANSWER.contains(&tag.as_str())) else {
                continue;
            };
            let wanted = |step: &&&Step| gate.gate.steps.contains(&step.id) && !is_wanted(step, class);
            if let Some(step) = steps.iter().find(wanted) {
                let span = gate.tag_spans.get(tag).map_or(gate.metric_span, |spans| spans.1);
                let message =
                    format!("`{tag}:{value}` is on every request of its steps, whatever the answer");
                diagnostics.push(
                    Diagnostic::warning(LINT.code, span, message)
                        .also(plan.place(step.id).span, "tagged before it is sent")
                        .note("a tag of the plan's own is set before the request leaves")
                        .help(instead(gate, class)),
                );
            }
        }
    }
}

/// The statuses that a tag's value names: `5xx`, `429`.
fn class(value: &str) -> Option<StatusPattern> {
    let text = value.to_ascii_lowercase();
    if let Some(digit) = text.strip_suffix("xx") {
        return digit.parse().ok().filter(|digit| (1..=5).contains(digit)).map(StatusPattern::Class);
    }
    let three = text.len() == 3;
    text.parse().ok().filter(|status| three && (100..600).contains(status)).map(StatusPattern::Exact)
}

/// Whether a step asks for just such answers: its tag says what it is there to provoke.
fn is_wanted(step: &Step, class: StatusPattern) -> bool {
    let Some(http) = step.kind.request() else { return true };
    let inside = |pattern: &StatusPattern| match (class, pattern) {
        (StatusPattern::Class(class), StatusPattern::Exact(status)) => status / 100 == u16::from(class),
        (class, pattern) => class == *pattern,
    };
    http.expect.iter().any(|expect| match &expect.what {
        Expected::Status(statuses) => statuses.iter().all(inside),
        _ => false,
    })
}

fn instead(gate: &Gate, class: StatusPattern) -> String {
    match class {
        StatusPattern::Class(5) => "gate `http_server_errors`, which the engine counts by the answer".into(),
        StatusPattern::Exact(429) => "gate `http_rate_limited`, which the engine counts by the answer".into(),
        StatusPattern::Exact(status) => {
            format!("select `{{status:{status}}}`, which the engine sets by the answer")
        }
        StatusPattern::Class(_) => {
            format!(
                "select `{{outcome:…}}`, which the engine sets by the answer: `{}{{outcome:client_error}}`",
                gate.gate.metric
            )
        }
    }
}
