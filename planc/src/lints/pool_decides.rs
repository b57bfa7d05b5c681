//! A pool of virtual users so small that its size, not the target, decides a latency gate.

use super::{Lint, decides, peak, thousands};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Bound, Comparison, Demand};
use crate::resolve::is_latency;
use crate::resolved::{Gate, ResolvedPlan, Scenario};
use crate::units::show_duration;
use std::time::Duration;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0409", name: "pool-decides" }, page: include_str!("pool-decides.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for scenario in plan.scenarios.iter().filter(|scenario| scenario.sound) {
        let gates = plan.gates.iter().filter(|gate| decides(&gate.gate) && is_latency(&gate.gate.metric));
        let loosest = gates
            .filter(|gate| gate.gate.drops.contains_key(&scenario.scenario.name))
            .filter_map(|gate| Some((bound(gate)?, gate)))
            .max_by_key(|(bound, _)| *bound);
        if let Some((bound, gate)) = loosest {
            diagnostics.extend(misfit(scenario, bound, gate));
        }
    }
}

fn bound(gate: &Gate) -> Option<Duration> {
    match gate.gate.bound {
        Bound::Duration(bound) if matches!(gate.gate.op, Comparison::Lt | Comparison::Le) => Some(bound),
        _ => None,
    }
}

fn misfit(scenario: &Scenario, bound: Duration, gate: &Gate) -> Option<Diagnostic> {
    let Demand::Arrivals { start_rate, pieces, max_vus, .. } = &scenario.scenario.demand else { return None };
    let rate = peak(start_rate, pieces);
    if rate <= 0.0 {
        return None;
    }
    // Little's law: so long may an iteration take before every virtual user is busy.
    let longest = Duration::try_from_secs_f64(f64::from(*max_vus) / rate).ok()?;
    if longest >= bound {
        return None;
    }
    let span = scenario.options.get("max_vus").or_else(|| scenario.options.get("pre_allocated_vus"));
    let span = span.copied().unwrap_or(scenario.span);
    let shown = show_duration(Duration::from_micros(longest.as_micros() as u64));
    let needed = (rate * bound.as_secs_f64()).ceil();
    let message = format!(
        "the pool is used up once an iteration takes {shown}, before it can take {}",
        show_duration(bound)
    );
    Some(
        Diagnostic::warning(LINT.code, span, message)
            .also(gate.span, "the bound")
            .note(format!("{max_vus} virtual users ÷ {} iterations/s = {shown}", thousands(rate)))
            .help(format!("write `max_vus: {}`, twice what the bound needs", (needed * 2.0) as u64)),
    )
}
