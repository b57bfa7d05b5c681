//! Load and steps that are written and never come.

use super::lengths::pauses;
use super::{Lint, peak, thousands, users};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Demand, has_session};
use crate::resolved::{Idle, ResolvedPlan, Scenario};
use crate::source::Span;
use crate::units::show_duration;
use std::time::Duration;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0421", name: "unreachable-stage" },
    page: include_str!("unreachable-stage.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for (span, idle) in &plan.idle {
        let (message, help) = match idle {
            Idle::Weight => ("a branch of weight 0 is never taken", "give it a weight, or remove it"),
            Idle::Times => {
                ("what is repeated 0 times is never done", "write `repeat: 1` or more, or remove it")
            }
            Idle::Elements => {
                ("what is done for each of no elements is never done", "list some, or remove it")
            }
            Idle::Condition => {
                ("this condition is always false", "write one that can be true, or remove the steps")
            }
        };
        diagnostics.push(Diagnostic::warning(LINT.code, *span, message).help(help));
    }
    for scenario in plan.scenarios.iter().filter(|scenario| scenario.sound) {
        diagnostics.extend(no_load(scenario));
        stages(scenario, diagnostics);
        if !plan.lost.steps {
            diagnostics.extend(never_ends(scenario).or_else(|| left_over(scenario)));
        }
    }
    smoke_that_waits(plan, diagnostics);
}

/// Where the shape of the load is written.
fn shape(scenario: &Scenario) -> Span {
    let keys = ["stages", "duration", "max_duration", "iterations"];
    keys.iter().find_map(|key| scenario.options.get(key)).copied().unwrap_or(scenario.span)
}

fn no_load(scenario: &Scenario) -> Option<Diagnostic> {
    let (nothing, what) = match &scenario.scenario.demand {
        // A constant rate of 0 is an error of its own.
        Demand::Arrivals { start_rate, pieces, .. } => (
            peak(start_rate, pieces) <= 0.0 && pieces.len() == scenario.stages.len(),
            "every rate of it is 0",
        ),
        Demand::Users { .. } => {
            (scenario.scenario.demand.max_vus() == 0, "it has no virtual user at any time")
        }
        Demand::Iterations { .. } => (false, ""),
    };
    nothing.then(|| {
        let message = format!("`{}` starts no iteration: {what}", scenario.scenario.name);
        Diagnostic::warning(LINT.code, shape(scenario), message)
            .help("write a `target` above 0, or remove the scenario")
    })
}

/// A jump that the next jump undoes, and one that the scenario ends on.
fn stages(scenario: &Scenario, diagnostics: &mut Diagnostics) {
    let pieces: Vec<(bool, bool)> = match &scenario.scenario.demand {
        Demand::Arrivals { pieces, .. } => {
            pieces.iter().map(|p| (p.duration.is_zero() && p.hold.is_none(), p.target.count > 0)).collect()
        }
        Demand::Users { pieces, .. } => {
            pieces.iter().map(|p| (p.duration.is_zero() && p.hold.is_none(), p.target > 0)).collect()
        }
        Demand::Iterations { .. } => return,
    };
    if pieces.len() != scenario.stages.len() || pieces.iter().all(|(jump, _)| *jump) {
        return;
    }
    for (at, (jump, loads)) in pieces.iter().enumerate() {
        let why = match pieces.get(at + 1) {
            Some((true, _)) => "it lasts no time, and the next stage jumps elsewhere",
            // To end on a jump to nothing is a way to write that the load is over.
            None if *loads => "it lasts no time, and the scenario ends with it",
            _ => continue,
        };
        // A duration from an input is a switch, and no slip.
        let fixed = |at: usize| scenario.stages.get(at).is_none_or(|stage| stage.fixed);
        if *jump && fixed(at) && fixed(at + 1) {
            let message = "this stage is never played";
            diagnostics.push(
                Diagnostic::warning(LINT.code, scenario.stages[at].span, message)
                    .note(why)
                    .help("give it a `duration`, or remove it"),
            );
        }
    }
}

/// Pauses alone take longer than the scenario lasts.
fn never_ends(scenario: &Scenario) -> Option<Diagnostic> {
    let graph = &scenario.scenario;
    let (pauses, duration) = (pauses(&graph.steps), graph.demand.duration());
    let limit = duration.saturating_add(graph.graceful_stop);
    // To sit in a session until the end is what sessions are opened for.
    if pauses <= limit || duration.is_zero() || has_session(&graph.steps) {
        return None;
    }
    let message =
        format!("no iteration of `{}` can end: it pauses for longer than the scenario lasts", graph.name);
    Some(
        Diagnostic::warning(LINT.code, shape(scenario), message)
            .note(format!(
                "pauses of {} > {} + graceful_stop {} = {}",
                show_duration(pauses),
                show_duration(duration),
                show_duration(graph.graceful_stop),
                show_duration(limit)
            ))
            .help("let the scenario last longer, or pause less"),
    )
}

/// More iterations than fit, even if every request took no time.
fn left_over(scenario: &Scenario) -> Option<Diagnostic> {
    let graph = &scenario.scenario;
    let Demand::Iterations { vus, iterations, shared, max_duration } = &graph.demand else { return None };
    let each = if *shared { iterations.div_ceil(u64::from((*vus).max(1))) } else { *iterations };
    let pauses = pauses(&graph.steps);
    // The last one must start before the end; it may end after it.
    let last_start = Duration::checked_mul(pauses, u32::try_from(each.saturating_sub(1)).unwrap_or(u32::MAX))
        .unwrap_or(Duration::MAX);
    if pauses.is_zero() || last_start < *max_duration {
        return None;
    }
    let fit = max_duration.as_nanos().div_ceil(pauses.as_nanos());
    let per_user = match shared {
        true => format!("{iterations} iterations ÷ {} = {each} each", users(f64::from(*vus))),
        false => format!("{each} iterations each"),
    };
    let needed = Duration::from_secs(last_start.as_secs().saturating_add(1));
    let span = scenario.options.get("iterations").copied().unwrap_or(scenario.span);
    let message = format!(
        "not all iterations of `{}` fit into its `max_duration`, however fast the target is",
        graph.name
    );
    let mut diagnostic = Diagnostic::warning(LINT.code, span, message);
    if let Some(place) = scenario.options.get("max_duration") {
        diagnostic = diagnostic.also(*place, "it ends here");
    }
    Some(
        diagnostic
            .note(format!(
                "{per_user}; pauses of {} let each start {} of them within {}",
                show_duration(pauses),
                thousands(fit as f64),
                show_duration(*max_duration)
            ))
            .note("an iteration that is left over counts as dropped, above every bound")
            .help(format!(
                "write `max_duration: {}` or more, or ask for fewer iterations",
                show_duration(needed)
            )),
    )
}

fn smoke_that_waits(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for scenario in plan.scenarios.iter().filter(|scenario| scenario.scenario.smoke) {
        let needs = &scenario.scenario.needs;
        let load = plan.scenarios.iter().find(|s| !s.scenario.smoke && needs.contains(&s.scenario.name));
        if let Some(load) = load {
            let message = format!(
                "`{}` is a smoke scenario and runs before `{}`, which it needs",
                scenario.scenario.name, load.scenario.name
            );
            diagnostics.push(
                Diagnostic::warning(LINT.code, scenario.span, message)
                    .help("leave out `needs`, or `smoke: true`"),
            );
        }
    }
}
