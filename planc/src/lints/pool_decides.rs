//! A pool of virtual users so small that its size, not the target, decides a latency gate.

use super::lengths::pauses;
use super::{Lint, decides, peak, thousands};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Bound, Comparison, Demand};
use crate::resolve::is_latency;
use crate::resolved::{Gate, ResolvedPlan, Scenario};
use crate::source::Span;
use crate::units::show_duration;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0409", name: "pool-decides" }, page: include_str!("pool-decides.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let gates = loosest(plan);
    for scenario in plan.scenarios.iter().filter(|scenario| scenario.sound) {
        let loosest = gates.get(scenario.scenario.name.as_str()).copied();
        let loosest = loosest.filter(|_| !plan.lost.steps);
        let drained = if plan.lost.steps { None } else { drained(scenario, loosest) };
        let slow = || loosest.and_then(|(bound, gate)| misfit(scenario, bound, gate));
        diagnostics.extend(drained.or_else(slow));
    }
}

/// The gate on latency with the highest bound, by the scenario whose drops count in it.
fn loosest(plan: &ResolvedPlan) -> BTreeMap<&str, (Duration, &Gate)> {
    let mut out: BTreeMap<&str, (Duration, &Gate)> = BTreeMap::new();
    for gate in plan.gates.iter().filter(|gate| decides(&gate.gate) && is_latency(&gate.gate.metric)) {
        let Some(bound) = bound(gate) else { continue };
        for scenario in gate.gate.drops.keys() {
            let known = out.entry(scenario).or_insert((bound, gate));
            if bound >= known.0 {
                *known = (bound, gate);
            }
        }
    }
    out
}

fn bound(gate: &Gate) -> Option<Duration> {
    match gate.gate.bound {
        Bound::Duration(bound) if matches!(gate.gate.op, Comparison::Lt | Comparison::Le) => Some(bound),
        _ => None,
    }
}

/// Pauses alone keep more virtual users busy than there are, however fast the target is.
fn drained(scenario: &Scenario, loosest: Option<(Duration, &Gate)>) -> Option<Diagnostic> {
    let Demand::Arrivals { start_rate, pieces, max_vus, .. } = &scenario.scenario.demand else { return None };
    let pauses = pauses(&scenario.scenario.steps);
    // Only a rate that is kept for longer than an iteration pauses has so many iterations side by side.
    let before = std::iter::once(start_rate).chain(pieces.iter().map(|piece| &piece.target));
    let kept = before.zip(pieces).filter(|(before, piece)| {
        before.per_second() == piece.target.per_second() && piece.duration > pauses
    });
    let rate = kept.map(|(rate, _)| rate.per_second()).fold(0.0, f64::max);
    let busy = rate * pauses.as_secs_f64();
    if busy <= f64::from(*max_vus) {
        return None;
    }
    let needed = rate * (pauses + loosest.map_or(Duration::ZERO, |(bound, _)| bound)).as_secs_f64();
    let name = &scenario.scenario.name;
    let message = format!("pauses alone use up the pool of `{name}`, however fast the target is");
    let diagnostic = Diagnostic::warning(LINT.code, place(scenario), message).note(format!(
        "{} iterations/s × pauses of {} = {} virtual users, and there are {}",
        thousands(rate),
        show_duration(pauses),
        thousands(busy.ceil()),
        thousands(f64::from(*max_vus))
    ));
    Some(diagnostic.help(format!(
        "write `max_vus: {}`, twice what the pauses and the bound need",
        (needed * 2.0).ceil() as u64
    )))
}

fn place(scenario: &Scenario) -> Span {
    let options = &scenario.options;
    options.get("max_vus").or_else(|| options.get("pre_allocated_vus")).copied().unwrap_or(scenario.span)
}

fn misfit(scenario: &Scenario, bound: Duration, gate: &Gate) -> Option<Diagnostic> {
    let Demand::Arrivals { start_rate, pieces, max_vus, .. } = &scenario.scenario.demand else { return None };
    let rate = peak(start_rate, pieces);
    if rate <= 0.0 {
        return None;
    }
    // Little's law: so long may an iteration take before every virtual user is busy.
    let longest = Duration::try_from_secs_f64(f64::from(*max_vus) / rate).ok()?;
    let needed = (rate * bound.as_secs_f64()).ceil();
    if longest >= bound {
        return None;
    }
    let shown = show_duration(Duration::from_micros(longest.as_micros() as u64));
    let message = format!(
        "the pool is used up once an iteration takes {shown}, before it can take {}",
        show_duration(bound)
    );
    Some(
        Diagnostic::warning(LINT.code, place(scenario), message)
            .also(gate.span, "the bound")
            .note(format!("{max_vus} virtual users ÷ {} iterations/s = {shown}", thousands(rate)))
            .note(format!(
                "{} iterations/s × {} = {} virtual users that the bound needs (Little's law)",
                thousands(rate),
                show_duration(bound),
                thousands(needed)
            ))
            .help(format!("write `max_vus: {}`, twice what the bound needs", (needed * 2.0) as u64)),
    )
}
