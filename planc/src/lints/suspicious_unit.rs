//! `p(95)<0.5`: half a millisecond, where half a second was likely meant; and `p(95)<2`, two of them.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{self, Aggregate, Bound, Comparison};
use crate::resolved::ResolvedPlan;
use crate::units::show_duration;
use std::time::Duration;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0402", name: "suspicious-unit" },
    page: include_str!("suspicious-unit.md"),
    check,
};

/// Few services answer in less over a network, and none of those that do minds to be written with its unit.
const LEAST: Duration = Duration::from_millis(10);

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for gate in plan.gates.iter().filter(|gate| gate.bare) {
        let Bound::Duration(bound) = gate.gate.bound else { continue };
        let least = if is_ceiling_on_answers(&gate.gate) { LEAST } else { Duration::from_millis(1) };
        if bound.is_zero() || bound >= least {
            continue;
        }
        let condition =
            gate.gate.text.rsplit_once(' ').map_or(gate.gate.text.as_str(), |(condition, _)| condition);
        let message = format!("a bound without a unit is in milliseconds: this is {}", show_duration(bound));
        diagnostics.push(Diagnostic::warning(LINT.code, gate.span, message).help(format!(
            "write `{condition} {}` if seconds were meant, else `{condition} {}`",
            show_duration(bound * 1000),
            show_duration(bound)
        )));
    }
}

/// Whether a whole answer has to be that quick, rather than a part of it that takes next to no time, or the best of all.
fn is_ceiling_on_answers(gate: &graph::Gate) -> bool {
    let whole = [
        "http_req_duration",
        "http_req_service_time",
        "iteration_duration",
        "group_duration",
        "ws_connecting",
        "ws_session_duration",
        "ws_receive_duration",
    ];
    whole.contains(&gate.metric.as_str())
        && matches!(gate.op, Comparison::Lt | Comparison::Le)
        && gate.aggregate != Aggregate::Min
}
