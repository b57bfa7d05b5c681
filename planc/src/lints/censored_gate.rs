//! A scenario that is over before a request that hangs can time out.

use super::lengths::last_hang;
use super::{Lint, decides};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::resolved::{Gate, ResolvedPlan, Scenario};
use crate::units::show_duration;
use std::collections::BTreeMap;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0419", name: "censored-gate" }, page: include_str!("censored-gate.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    if plan.lost.steps || plan.lost.world {
        return;
    }
    let mut first: BTreeMap<&str, &Gate> = BTreeMap::new();
    for gate in plan.gates.iter().filter(|gate| decides(&gate.gate)) {
        for scenario in gate.expected.keys() {
            first.entry(scenario).or_insert(gate);
        }
    }
    for scenario in plan.scenarios.iter().filter(|scenario| scenario.sound) {
        if let Some(gate) = first.get(scenario.scenario.name.as_str()) {
            diagnostics.extend(cut_off(plan, scenario, gate));
        }
    }
}

fn cut_off(plan: &ResolvedPlan, scenario: &Scenario, gate: &Gate) -> Option<Diagnostic> {
    let graph = &scenario.scenario;
    let target = plan.target.as_ref()?;
    let hang = last_hang(&graph.steps, target.target.timeout)?;
    // However soon its stages settle.
    let (duration, grace) = (graph.demand.shortest().duration(), graph.graceful_stop);
    let limit = duration.saturating_add(grace);
    // A default that nobody chose is no claim, and what is cut off is above every bound all the same.
    let written = hang.own_timeout || target.timeout_span.is_some() || !hang.before.sum().is_zero();
    if hang.end() <= limit || duration.is_zero() || !written {
        return None;
    }
    let key =
        ["duration", "stages", "max_duration"].into_iter().find(|key| scenario.options.contains_key(key));
    let span = key.and_then(|key| scenario.options.get(key)).copied().unwrap_or(scenario.span);
    let before =
        [("pauses before it", hang.before.pauses), ("requests before it that fail", hang.before.timeouts)];
    let before = before.iter().filter(|(_, time)| !time.is_zero());
    let mut sum: Vec<String> =
        before.map(|(what, time)| format!("{what} {}", show_duration(*time))).collect();
    sum.push(format!("timeout {}", show_duration(hang.timeout)));
    let total = if sum.len() > 1 { format!(" = {}", show_duration(hang.end())) } else { String::new() };
    let sum = format!("{}{total}", sum.join(" + "));
    let over = format!(
        "{} {} + graceful_stop {} = {}",
        key.unwrap_or("max_duration"),
        show_duration(duration),
        show_duration(grace),
        show_duration(limit)
    );
    let message = format!("`{}` is over before a request that hangs can time out", graph.name);
    let diagnostic = Diagnostic::warning(LINT.code, span, message)
        .also(plan.place(hang.step).span, "this request")
        .note(format!("{sum} > {over}"))
        .note(format!(
            "it is cut off: `{}` counts it as above every bound, and nobody learns how slow it was",
            gate.gate.condition()
        ));
    let room = limit.saturating_sub(hang.before.sum());
    Some(if room.is_zero() {
        diagnostic.help("let the scenario last longer, or take less time before this request")
    } else {
        diagnostic.help(format!(
            "write `timeout: {}` or less, or let the scenario last longer",
            show_duration(room)
        ))
    })
}
