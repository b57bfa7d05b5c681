//! A stage that must settle, by a number that its window gives too few samples of.

use super::lengths::pauses;
use super::{Lint, thousands, under_sampled};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::graph::{Aggregate, Demand, Flat, Until};
use crate::resolved::{Reference, ResolvedPlan, Scenario};
use crate::units::show_duration;
use std::collections::BTreeSet;
use std::time::Duration;

/// Points without which no line is laid through a number.
const POINTS: f64 = 5.0;

/// Told as `under-sampled`: the run could never tell whether the stage settled.
pub(super) fn check(lint: &Lint, plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    if plan.lost.steps {
        return;
    }
    let mut seen = BTreeSet::new();
    for scenario in plan.scenarios.iter().filter(|scenario| scenario.sound) {
        let demand = &scenario.scenario.demand;
        let stages = (1..).map_while(|number| Some((number, demand.piece(number)?.1)));
        for (number, hold) in stages {
            let Some(Until::Flat { numbers, window, .. }) = hold.map(|hold| &hold.until) else { continue };
            for flat in numbers {
                let mut of = plan.references.iter().filter(|reference| reference.number == flat.number);
                let Some(reference) = of.find(|reference| !seen.contains(&reference.span)) else { continue };
                let found = seldom(lint, plan, flat, *window, reference)
                    .or_else(|| few(lint, scenario, number, flat, *window, reference));
                if let Some(found) = found {
                    seen.insert(reference.span);
                    diagnostics.push(found);
                }
            }
        }
    }
}

/// Too few looks at a scraped metric.
fn seldom(
    lint: &Lint,
    plan: &ResolvedPlan,
    flat: &Flat,
    window: Duration,
    reference: &Reference,
) -> Option<Diagnostic> {
    let every = plan.scrapes.get(&flat.number.metric)?.every;
    let looks = window.as_secs_f64() / every.as_secs_f64();
    if looks >= POINTS {
        return None;
    }
    let (every, window) = (show_duration(every), show_duration(window));
    let message = format!(
        "`{}` is looked at every {every}, {} times in a window of {window}, and {POINTS} are needed to tell a trend",
        flat.number,
        looks.floor()
    );
    Some(
        Diagnostic::warning(lint.code, reference.span, message)
            .note("a stage that cannot be told to have settled ends the scenario, and the run is invalid")
            .help("scrape it more often, with `every` beside `scrape`, or write a longer `window`"),
    )
}

fn few(
    lint: &Lint,
    scenario: &Scenario,
    number: u32,
    flat: &Flat,
    window: Duration,
    reference: &Reference,
) -> Option<Diagnostic> {
    let share = match flat.number.aggregate {
        Aggregate::Percentile(percent) => percent.as_f64() / 100.0,
        Aggregate::Med => 0.5,
        _ => return None,
    };
    let expected = reference.expected.as_ref()?;
    let [(name, weight)] = expected.iter().collect::<Vec<_>>()[..] else { return None };
    if *name != scenario.scenario.name || *weight == 0 {
        return None;
    }
    let needed = under_sampled::claim_of(share) * POINTS;
    let (iterations, most) = iterations(scenario, number, window)?;
    let samples = iterations * *weight as f64 / 1e6;
    if samples >= needed {
        return None;
    }
    let about = if most { "at most" } else { "about" };
    let (needed, gives) = (thousands(needed), thousands(samples));
    let message = format!(
        "`{}` needs {needed} samples in a window of {} to tell a trend, and stage {number} of `{name}` gives {about} {gives}",
        flat.number,
        show_duration(window)
    );
    Some(
        Diagnostic::warning(lint.code, reference.span, message)
            .note("a stage that cannot be told to have settled ends the scenario, and the run is invalid")
            .help("write a longer `window`, or a number that needs fewer, such as `med` or `avg`"),
    )
}

/// Iterations of a stage's target in a window, and whether that is a ceiling.
fn iterations(scenario: &Scenario, number: u32, window: Duration) -> Option<(f64, bool)> {
    let at = number as usize - 1;
    match &scenario.scenario.demand {
        Demand::Arrivals { pieces, .. } => {
            Some((pieces.get(at)?.target.per_second() * window.as_secs_f64(), false))
        }
        Demand::Users { pieces, .. } => {
            let pauses = pauses(&scenario.scenario.steps).as_secs_f64();
            let each = window.as_secs_f64() / pauses + 1.0;
            (pauses > 0.0).then(|| Some((f64::from(pieces.get(at)?.target) * each, true)))?
        }
        Demand::Iterations { .. } => None,
    }
}
