//! Refusals that a step takes as good, and no gate counts.

use super::order::{ceiling, floor};
use super::{Lint, decides};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Aggregate, Expected, Gate, HttpStep, StatusPattern, Step, StepKind};
use crate::resolved::{ResolvedPlan, walk};

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0423", name: "ungated-refusals" },
    page: include_str!("ungated-refusals.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    // Without a gate nothing decides at all, and one that is lost may be the one that is missed here.
    if plan.lost.thresholds || !plan.gates.iter().any(|gate| decides(&gate.gate)) {
        return;
    }
    if plan.gates.iter().any(|gate| !gate.reachable) {
        return;
    }
    for scenario in &plan.scenarios {
        for steps in [&scenario.scenario.setup, &scenario.scenario.steps] {
            walk(steps, &mut |step| {
                if let StepKind::Http(http) = &step.kind {
                    diagnostics.extend(explain(plan, step, http));
                }
            });
        }
    }
}

fn explain(plan: &ResolvedPlan, step: &Step, http: &HttpStep) -> Option<Diagnostic> {
    let (limited, broken) = refusals(http)?;
    let gates = || plan.gates.iter().map(|gate| &gate.gate).filter(|gate| decides(gate));
    let is_counted = |status| gates().any(|gate| counts(gate, step, http, status));
    let limited = limited.filter(|status| !is_counted(*status));
    let broken = broken.filter(|status| !is_counted(*status));
    let status = limited.or(broken)?;
    let what = match (limited, broken) {
        (Some(_), Some(_)) => "429 and 5xx".to_string(),
        _ if status == 429 => "429".to_string(),
        _ => "5xx".to_string(),
    };
    let metric = if limited.is_some() { "http_rate_limited" } else { "http_server_errors" };
    let (tag, value) = match &http.endpoint {
        Some(endpoint) if *endpoint == step.name => ("endpoint", endpoint),
        _ => ("name", &step.name),
    };
    let message = format!("`{}` takes {what} as good, and no gate bounds how many", step.name);
    Some(
        Diagnostic::error(LINT.code, plan.place(step.id).span, message)
            .note("an expected refusal is no failure: with every request refused, `http_req_failed` is 0 and latency is that of refusals")
             .help(format!("write `{metric}{{{tag}:{value}}}: [\"rate < 20%\"]`, or a floor: `http_reqs{{{tag}:{value},outcome:ok}}: [\"count > 1000\"]`")),
    )
}

/// A refusal by rate and one by failing, where a step takes them as good beside what is no refusal. One whose other
/// expectations a refusal may not meet is not looked into.
fn refusals(http: &HttpStep) -> Option<(Option<u16>, Option<u16>)> {
    let of_answer = |expected: &Expected| !matches!(expected, Expected::Status(_) | Expected::Duration(_));
    if !http.capture.is_empty() || http.expect.iter().any(|expectation| of_answer(&expectation.what)) {
        return None;
    }
    let lists: Vec<&Vec<StatusPattern>> = http
        .expect
        .iter()
        .filter_map(|expectation| match &expectation.what {
            Expected::Status(patterns) => Some(patterns),
            _ => None,
        })
        .collect();
    let is_taken = |status: u16| {
        !lists.is_empty() && lists.iter().all(|list| list.iter().any(|pattern| pattern.matches(status)))
    };
    let limited = is_taken(429).then_some(429);
    let broken = (500..600).find(|status| is_taken(*status));
    let serves = (100..400).any(is_taken);
    (serves && (limited.is_some() || broken.is_some())).then_some((limited, broken))
}

/// Whether a gate breaks when enough of the step's requests are answered with the status.
fn counts(gate: &Gate, step: &Step, http: &HttpStep, status: u16) -> bool {
    if !gate.steps.contains(&step.id) {
        return false;
    }
    let (upper, lower) = (ceiling(gate).is_some(), floor(gate).is_some());
    let tag = |tag: &str| gate.selector.get(tag).map(String::as_str);
    let of_good =
        tag("outcome") == Some("ok") || tag("status").is_some_and(|s| s.starts_with(['1', '2', '3']));
    let of_refused = tag("outcome") == Some("expected_error") || tag("status") == Some(&status.to_string());
    let amount = matches!(gate.aggregate, Aggregate::Count | Aggregate::Rate);
    match gate.metric.as_str() {
        "http_rate_limited" => upper && status == 429 && !of_good,
        "http_server_errors" => upper && status >= 500 && !of_good,
        // What a plan records of its answers is its own affair.
        metric if http.record.iter().any(|record| record.metric == metric) => true,
        _ if amount && of_refused => upper,
        _ if amount && of_good => lower,
        _ => false,
    }
}
