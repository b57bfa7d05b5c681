//! A gate that is never the one to break.

use super::order::{End, ceiling, floor, never_above, reason, related};
use super::{Lint, contradiction, tautology};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Aggregate, Bound, Comparison};
use crate::resolved::{Gate, ResolvedPlan};
use crate::source::Span;
use crate::units::show_duration;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0418", name: "redundant-threshold" },
    page: include_str!("redundant-threshold.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let says_nothing = |gate: &Gate| tautology::tells(gate) || contradiction::tells(plan, gate);
    let gates: Vec<&Gate> = plan.gates.iter().filter(|gate| gate.reachable && !says_nothing(gate)).collect();
    // `{endpoint:*}` is many gates in one place: it says nothing new only when none of them does.
    let mut found: BTreeMap<Span, Vec<Option<Diagnostic>>> = BTreeMap::new();
    for (gate, others) in gates.iter().zip(related(&gates)) {
        let implied = others.into_iter().find_map(|other| implied(plan, gate, gates[other]));
        found.entry(gate.span).or_default().push(implied.or_else(|| over_timeout(plan, gate)));
    }
    for (_, told) in found {
        let told: Option<Vec<Diagnostic>> = told.into_iter().collect();
        diagnostics.extend(told.into_iter().flatten().take(1));
    }
}

/// A gate that holds whenever the other does.
fn implied(plan: &ResolvedPlan, gate: &Gate, by: &Gate) -> Option<Diagnostic> {
    if gate.span == by.span || !follows(plan, gate, by) || says_more(gate, by) {
        return None;
    }
    // Of two that say the same, the later one is too many.
    if follows(plan, by, gate) && !says_more(by, gate) && gate.span < by.span {
        return None;
    }
    let is_same = gate.gate.condition() == by.gate.condition() && gate.gate.selector == by.gate.selector;
    let message = match is_same {
        true => format!("`{}` is written twice", gate.gate.condition()),
        false => format!("`{}` never breaks before `{}`", gate.gate.condition(), by.gate.condition()),
    };
    let label = if is_same { "here already" } else { "this one breaks first" };
    let mut diagnostic = Diagnostic::warning(LINT.code, gate.span, message).also(by.span, label);
    let is_ceiling = ceiling(&gate.gate).is_some();
    let (low, high) = if is_ceiling { (gate, by) } else { (by, gate) };
    if let Some(reason) = reason(&low.gate, &high.gate) {
        diagnostic = diagnostic.note(reason);
    }
    Some(diagnostic.help("remove it, or write the bound that was meant"))
}

/// Whether the bound of one follows from the other's.
fn follows(plan: &ResolvedPlan, gate: &Gate, by: &Gate) -> bool {
    let reaches = |own: End, other: End, inside: bool| {
        inside || (own.value == other.value && (other.strict || !own.strict))
    };
    match gate.gate.op {
        Comparison::Lt | Comparison::Le => match (ceiling(&gate.gate), ceiling(&by.gate)) {
            (Some(own), Some(other)) => {
                reaches(own, other, other.value < own.value) && never_above(plan, &gate.gate, &by.gate)
            }
            _ => false,
        },
        Comparison::Gt | Comparison::Ge => match (floor(&gate.gate), floor(&by.gate)) {
            (Some(own), Some(other)) => {
                reaches(own, other, other.value > own.value) && never_above(plan, &by.gate, &gate.gate)
            }
            _ => false,
        },
        Comparison::Eq | Comparison::Ne => false,
    }
}

/// Whether a gate does something beside its bound that the other does not.
fn says_more(gate: &Gate, by: &Gate) -> bool {
    let aborts = gate.gate.abort_on_fail
        && (!by.gate.abort_on_fail || gate.gate.delay_abort_eval < by.gate.delay_abort_eval);
    gate.gate.level != by.gate.level
        || aborts
        || (gate.gate.confident && !by.gate.confident)
        || (gate.own_min_samples && gate.gate.min_samples > by.gate.min_samples)
}

/// The longest that a request which feeds a gate may take; nothing where a gate is on more than single requests.
pub(super) fn longest_timeout(plan: &ResolvedPlan, gate: &Gate) -> Option<Duration> {
    let metric = gate.gate.metric.as_str();
    let of_one = metric.starts_with("http_req_")
        || matches!(metric, "ws_connecting" | "ws_receive_duration" | "ws_ping");
    let of_requests = of_one && matches!(gate.gate.bound, Bound::Duration(_));
    if !of_requests || plan.lost.steps || plan.lost.world {
        return None;
    }
    let default = plan.target.as_ref()?.target.timeout;
    gate.gate.steps.iter().map(|step| plan.place(*step).timeout.unwrap_or(default)).max()
}

/// A bound on latency that no request which is answered can be above.
fn over_timeout(plan: &ResolvedPlan, gate: &Gate) -> Option<Diagnostic> {
    let Bound::Duration(bound) = gate.gate.bound else { return None };
    let timeout = longest_timeout(plan, gate)?;
    let of_samples = matches!(
        gate.gate.aggregate,
        Aggregate::Percentile(_) | Aggregate::Med | Aggregate::Max | Aggregate::Avg
    );
    if !of_samples || !matches!(gate.gate.op, Comparison::Lt | Comparison::Le) || bound < timeout {
        return None;
    }
    let message = format!("`{}` is never broken by a request that is answered", gate.gate.condition());
    let (shown, bound) = (show_duration(timeout), show_duration(bound));
    let why = match gate.gate.aggregate {
        Aggregate::Avg => "`avg` is over answers alone, and refused while any request failed",
        _ => "a request that failed counts as above every bound, so this is a gate on failures alone",
    };
    let mut diagnostic = Diagnostic::warning(LINT.code, gate.span, message);
    let place = plan
        .target
        .as_ref()
        .and_then(|target| target.timeout_span.filter(|_| target.target.timeout == timeout));
    if let Some(place) = place {
        diagnostic = diagnostic.also(place, "the timeout");
    }
    Some(
        diagnostic
            .note(format!(
                "timeout {shown} ≤ bound {bound}: a request that takes longer is cut off and has failed"
            ))
            .note(why)
            .help(format!(
                "write a bound under {shown}, or gate failures by name: `http_req_failed: [\"rate < 1%\"]`"
            )),
    )
}
