//! `abort_on_fail` that can never save anything.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::GateLevel;
use crate::resolved::{Gate, ResolvedPlan};
use crate::units::show_duration;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0420", name: "dead-abort" }, page: include_str!("dead-abort.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let aborting = || plan.gates.iter().filter(|gate| gate.reachable && gate.gate.abort_on_fail);
    for gate in aborting().filter(|gate| gate.gate.level == GateLevel::Advisory) {
        let message = format!("`{}` never decides, and would end the run", gate.gate.condition());
        diagnostics.push(
            Diagnostic::warning(LINT.code, gate.span, message)
                .note("a run that an advisory gate ends has neither passed nor failed: it is invalid")
                .help("leave out `abort_on_fail`, or `level: advisory`"),
        );
    }
    let whole = !plan.scenarios.is_empty() && plan.scenarios.iter().all(|scenario| scenario.sound);
    let Some(ends) = ends(plan).filter(|_| whole) else { return };
    let Some((last, end)) = ends.iter().max_by_key(|(_, end)| **end) else { return };
    for gate in
        aborting().filter(|gate| gate.gate.level == GateLevel::Required && gate.gate.delay_abort_eval >= *end)
    {
        diagnostics.push(too_late(gate, last, *end));
    }
}

fn too_late(gate: &Gate, last: &str, end: Duration) -> Diagnostic {
    let (delay, end) = (show_duration(gate.gate.delay_abort_eval), show_duration(end));
    let message = format!("`{}` never ends the run: by then the load is over", gate.gate.condition());
    Diagnostic::warning(LINT.code, gate.span, message)
        .note(format!("delay_abort_eval {delay} ≥ {end}, the end of `{last}`, the last scenario"))
        .help(format!("write a `delay_abort_eval` well under {end}, or leave out `abort_on_fail`"))
}

/// When each scenario stops to start iterations at the latest, from the load's start on; smoke scenarios are over by then.
/// None when they wait for each other.
fn ends(plan: &ResolvedPlan) -> Option<BTreeMap<&str, Duration>> {
    let load: Vec<_> = plan.scenarios.iter().map(|s| &s.scenario).filter(|s| !s.smoke).collect();
    let mut ends: BTreeMap<&str, Duration> = BTreeMap::new();
    while ends.len() < load.len() {
        let before = ends.len();
        for scenario in &load {
            let needs = scenario.needs.iter().filter(|need| load.iter().any(|s| s.name == **need));
            let begins: Option<Vec<Duration>> = needs
                .map(|need| {
                    let graceful =
                        load.iter().find(|s| s.name == *need).map_or(Duration::ZERO, |s| s.graceful_stop);
                    Some(ends.get(need.as_str())?.saturating_add(graceful))
                })
                .collect();
            let Some(begins) = begins else { continue };
            let begin = begins.into_iter().max().unwrap_or_default().saturating_add(scenario.start_time);
            ends.insert(&scenario.name, begin.saturating_add(scenario.demand.duration()));
        }
        if ends.len() == before {
            return None;
        }
    }
    Some(ends)
}
