//! `p(95)<0.5`: half a millisecond, where half a second was likely meant.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::Bound;
use crate::resolved::ResolvedPlan;
use crate::units::show_duration;
use std::time::Duration;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0402", name: "suspicious-unit" },
    page: include_str!("suspicious-unit.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for gate in plan.gates.iter().filter(|gate| gate.bare) {
        let Bound::Duration(bound) = gate.gate.bound else { continue };
        if bound.is_zero() || bound >= Duration::from_millis(1) {
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
