//! Gates that no run can meet.

use super::order::{ceiling, floor, never_above, reason, subject};
use super::{Lint, decides, iterations, thousands};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Aggregate, Bound, StepKind};
use crate::resolve::{Family, family};
use crate::resolved::{Gate, ResolvedPlan, walk};
use crate::units::show_duration;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0417", name: "contradiction" }, page: include_str!("contradiction.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let gates: Vec<&Gate> = plan.gates.iter().filter(|gate| gate.reachable && decides(&gate.gate)).collect();
    let mut alone = Vec::new();
    for gate in &gates {
        let found = by_itself(plan, gate);
        alone.push(found.is_some());
        diagnostics.extend(found);
    }
    for (at, one) in gates.iter().enumerate() {
        for (other_at, other) in gates.iter().enumerate().skip(at + 1) {
            if alone[at] || alone[other_at] {
                continue;
            }
            diagnostics.extend(pair(plan, one, other).or_else(|| pair(plan, other, one)));
        }
    }
}

/// A gate that does not hold, whatever the others say.
fn by_itself(plan: &ResolvedPlan, gate: &Gate) -> Option<Diagnostic> {
    out_of_range(gate).or_else(|| slower_than_timeout(plan, gate)).or_else(|| too_many(plan, gate))
}

/// Whether this lint has something to say of a gate by itself, so that others need not.
pub(super) fn tells(plan: &ResolvedPlan, gate: &Gate) -> bool {
    by_itself(plan, gate).is_some()
}

/// A bound that no value of the metric meets.
fn out_of_range(gate: &Gate) -> Option<Diagnostic> {
    let (over, under) = (floor(&gate.gate), ceiling(&gate.gate));
    let is_negative = under.is_some_and(|end| end.value < 0 || (end.value == 0 && end.strict));
    let why = match gate.gate.bound {
        Bound::Share(share) if over.is_some_and(|end| end.strict) && share.0 == 1_000_000 => {
            "a rate is never over 100%"
        }
        Bound::Share(_) if is_negative => "a rate is never under 0%",
        Bound::Duration(_) if is_negative => "no time is under 0",
        Bound::Number(_)
            if is_negative && matches!(gate.gate.aggregate, Aggregate::Count | Aggregate::Rate) =>
        {
            "a count is never under 0"
        }
        _ => return None,
    };
    Some(impossible(gate).note(why).help("write a bound that can be met, or remove the gate"))
}

fn impossible(gate: &Gate) -> Diagnostic {
    let message = format!("`{}` never holds, so this gate always fails", gate.gate.text);
    Diagnostic::error(LINT.code, gate.span, message)
}

/// At least so slow, where a request is cut off before.
fn slower_than_timeout(plan: &ResolvedPlan, gate: &Gate) -> Option<Diagnostic> {
    let Bound::Duration(bound) = gate.gate.bound else { return None };
    let timeout = super::redundant_threshold::longest_timeout(plan, gate)?;
    let of_answers = matches!(gate.gate.aggregate, Aggregate::Min | Aggregate::Avg);
    if !of_answers || floor(&gate.gate).is_none() || bound <= timeout {
        return None;
    }
    let (bound, timeout) = (show_duration(bound), show_duration(timeout));
    let message = format!("`{}` holds of no request that is answered", gate.gate.text);
    Some(
        Diagnostic::error(LINT.code, gate.span, message)
            .note(format!(
                "timeout {timeout} < bound {bound}: a request that takes longer is cut off and has failed"
            ))
            .help("write a bound under the timeout, or a longer `timeout`"),
    )
}

/// More samples than the load can give.
fn too_many(plan: &ResolvedPlan, gate: &Gate) -> Option<Diagnostic> {
    let Bound::Number(bound) = gate.gate.bound else { return None };
    let end = floor(&gate.gate).filter(|_| gate.gate.aggregate == Aggregate::Count)?;
    let of_answers = matches!(gate.gate.metric.as_str(), "http_reqs" | "iterations");
    if !of_answers || !gate.counted || plan.lost.steps {
        return None;
    }
    let mut most = 0.0;
    let mut terms = Vec::new();
    for (name, weight) in &gate.expected {
        let scenario = plan.scenarios.iter().find(|scenario| scenario.scenario.name == *name)?;
        // What is drawn by lot may come more often than its weight.
        if !scenario.sound || weight % 1_000_000 != 0 {
            return None;
        }
        let iterations = iterations(&scenario.scenario.demand)?.ceil();
        // Every redirect that is followed is a request of its own.
        let mut hops = 0;
        walk(&scenario.scenario.steps, &mut |step| {
            if let StepKind::Http(http) = &step.kind {
                hops = hops.max(http.request.redirects);
            }
        });
        let each = (weight / 1_000_000) as f64;
        let each = if family(&gate.gate.metric) == Family::Http { each * f64::from(1 + hops) } else { each };
        most += iterations * each;
        let shown = thousands(each);
        terms.push(format!(
            "`{name}`: {} iterations × {shown} = {}",
            thousands(iterations),
            thousands(iterations * each)
        ));
    }
    let enough = most * 1e6 > end.value as f64 || (!end.strict && most * 1e6 >= end.value as f64);
    if enough || terms.is_empty() {
        return None;
    }
    let mut diagnostic = impossible(gate);
    for term in terms {
        diagnostic = diagnostic.note(term);
    }
    let asked = thousands(bound.as_f64());
    Some(
        diagnostic
            .note(format!("at most {} in all, and {asked} are asked for", thousands(most)))
            .help("lower the bound, or raise the rate or the duration"),
    )
}

/// Two gates of which one must be over what the other must be under.
fn pair(plan: &ResolvedPlan, low: &Gate, high: &Gate) -> Option<Diagnostic> {
    let (over, under) = (floor(&low.gate)?, ceiling(&high.gate)?);
    let apart = over.value > under.value || (over.value == under.value && (over.strict || under.strict));
    if !apart || !never_above(plan, &low.gate, &high.gate) {
        return None;
    }
    let (first, second) = if low.span <= high.span { (low, high) } else { (high, low) };
    let message = format!("`{}` and `{}` never hold together", first.gate.text, second.gate.text);
    let mut diagnostic = Diagnostic::error(LINT.code, second.span, message)
        .also(first.span, "whenever this holds, the other breaks");
    if let Some(reason) = reason(&low.gate, &high.gate) {
        diagnostic = diagnostic.note(reason);
    }
    Some(diagnostic.help(format!("keep the one that is meant for `{}`", subject(&second.gate))))
}
