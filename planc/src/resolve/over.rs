//! `window` and `stage` of a threshold: which part of the load it judges.

use super::Resolver;
use super::metrics::{self, Family};
use crate::ast;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::graph::Over;
use crate::resolved::{Gate, ResolvedPlan, Scenario};
use crate::source::Span;
use crate::units::show_duration;
use std::time::Duration;

/// Windows are no shorter, since every one of them is kept.
const SHORTEST: Duration = Duration::from_secs(1);

/// What a threshold asks for, read but not yet held against the load.
pub(super) enum Asked {
    Load,
    Window(Duration, Span),
    Stage(u32, Span),
}

impl Resolver<'_> {
    /// The part that a threshold asks for; `None` when it is wrong, which is reported by then.
    pub(super) fn part_asked(&mut self, threshold: &ast::Threshold) -> Option<Asked> {
        match (&threshold.window, &threshold.stage) {
            (None, None) => Some(Asked::Load),
            (Some(window), None) => {
                let length = self.typed(window)?;
                if length >= SHORTEST {
                    return Some(Asked::Window(length, window.span()));
                }
                let message = format!("a window of {} is too short to be judged", show_duration(length));
                self.diagnostics.push(
                    Diagnostic::error(codes::BAD_VALUE, window.span(), message)
                        .help("write `window: 1s` or more"),
                );
                None
            }
            (None, Some(stage)) => Some(Asked::Stage(self.typed(stage)?, stage.span())),
            // Told where it was read.
            (Some(_), Some(_)) => None,
        }
    }
}

/// The part as the graph has it; `None` when the load has no such part, which is reported.
pub(super) fn part(
    threshold: &ast::Threshold,
    asked: &Asked,
    gate: &Gate,
    plan: &ResolvedPlan,
    diagnostics: &mut Diagnostics,
) -> Option<Over> {
    if let Some(search) = search_of(gate, plan) {
        return match of_search(threshold, asked, gate, search) {
            Ok(part) => Some(part),
            Err(problem) => {
                diagnostics.push(*problem);
                None
            }
        };
    }
    let (span, what) = match asked {
        Asked::Load => return Some(Over::Load),
        Asked::Window(_, span) => (*span, "windows"),
        Asked::Stage(_, span) => (*span, "stages"),
    };
    let metric = &gate.gate.metric;
    if metrics::family(metric) == Family::Run {
        let message = format!("`{metric}` is of the run as a whole and has no {what}");
        diagnostics.push(Diagnostic::error(codes::BAD_THRESHOLD, span, message));
        return None;
    }
    let scraped = plan.scrapes.contains_key(metric);
    let reaches = |s: &&Scenario| match scraped {
        // A scraped metric is of the load as a whole; a stage is of the one scenario that has any.
        true => !matches!(asked, Asked::Stage(..)) || s.options.contains_key("stages"),
        false => gate.expected.contains_key(&s.scenario.name),
    };
    let reached: Vec<&Scenario> = plan.scenarios.iter().filter(reaches).collect();
    if let (true, true, Asked::Stage(..)) = (scraped, reached.is_empty(), asked) {
        let message = "no scenario of this plan has stages";
        diagnostics.push(Diagnostic::error(codes::BAD_THRESHOLD, span, message));
        return None;
    }
    // What nothing emits, or what could not be read, is told elsewhere.
    if reached.is_empty() || reached.iter().any(|scenario| !scenario.sound) {
        return Some(Over::Load);
    }
    let problem = match asked {
        Asked::Window(length, _) => match longest(&reached) < *length {
            true => Diagnostic::error(
                codes::BAD_THRESHOLD,
                span,
                format!(
                    "no window of {} fits into a load of {}",
                    show_duration(*length),
                    show_duration(longest(&reached))
                ),
            ),
            false => return Some(Over::EveryWindow(*length)),
        },
        Asked::Stage(number, _) => match stage(*number, span, threshold, &reached) {
            Ok(part) => return Some(part),
            Err(problem) => *problem,
        },
        Asked::Load => return Some(Over::Load),
    };
    diagnostics.push(problem);
    None
}

/// The scenario that a gate reaches and that is to break it.
fn search_of<'p>(gate: &Gate, plan: &'p ResolvedPlan) -> Option<&'p Scenario> {
    let mut reached = gate.expected.keys().filter_map(|name| plan.scenario(name));
    reached.find(|scenario| scenario.scenario.find_max.is_some() && scenario.sound)
}

/// A gate of a search judges each of its steps by itself.
fn of_search(
    threshold: &ast::Threshold,
    asked: &Asked,
    gate: &Gate,
    search: &Scenario,
) -> Result<Over, Box<Diagnostic>> {
    let name = &search.scenario.name;
    let wrong = |span: Span, message: String| {
        let diagnostic = Diagnostic::error(codes::BAD_THRESHOLD, span, message);
        Box::new(diagnostic.also(search.span, "its executor is `find-max`"))
    };
    if let Some(other) = gate.expected.keys().find(|other| *other != name) {
        let message = format!("this gate judges `{other}` together with `{name}`, which is to break it");
        let help = format!("add `scenario:{name}` or `scenario:{other}` to the selector");
        return Err(Box::new(wrong(gate.metric_span, message).help(help)));
    }
    if let Asked::Window(_, span) | Asked::Stage(_, span) = asked {
        let message = format!("a gate of `{name}` judges each of its steps by itself");
        return Err(Box::new(wrong(*span, message).help("leave it out")));
    }
    if let Some(abort) = threshold.abort_on_fail.as_ref().filter(|_| gate.gate.abort_on_fail) {
        let message = format!("a breach ends the search of `{name}`, not the run");
        return Err(Box::new(wrong(abort.span(), message).help("leave `abort_on_fail` out")));
    }
    Ok(Over::EachStage(name.clone()))
}

/// From the first beginning to the last end, at most.
fn longest(reached: &[&Scenario]) -> Duration {
    let ends = reached.iter().map(|s| s.scenario.start_time.saturating_add(s.scenario.demand.duration()));
    match reached.iter().all(|s| s.scenario.needs.is_empty()) {
        true => {
            let begins = reached.iter().map(|s| s.scenario.start_time).min().unwrap_or_default();
            ends.max().unwrap_or_default().saturating_sub(begins)
        }
        false if reached.len() == 1 => reached[0].scenario.demand.duration(),
        // One after the other.
        false => ends.fold(Duration::ZERO, Duration::saturating_add),
    }
}

fn stage(
    number: u32,
    span: Span,
    threshold: &ast::Threshold,
    reached: &[&Scenario],
) -> Result<Over, Box<Diagnostic>> {
    let wrong = |message: String| Diagnostic::error(codes::BAD_THRESHOLD, span, message);
    let [scenario] = reached else {
        let names: Vec<String> = reached.iter().map(|s| format!("`{}`", s.scenario.name)).collect();
        let message = format!("a stage is of one scenario, and this selector reaches {}", names.join(", "));
        let tag = format!("add `scenario:{}` to the selector", reached[0].scenario.name);
        let selector = threshold.selector.as_ref().map_or(span, |selector| selector.metric.span);
        return Err(Box::new(wrong(message).also(selector, "the selector").help(tag)));
    };
    let name = &scenario.scenario.name;
    let Some(stages) = scenario.options.get("stages") else {
        let message = format!("`{name}` has no stages: its executor is `{}`", scenario.scenario.executor);
        return Err(Box::new(wrong(message).also(scenario.span, "the scenario")));
    };
    match scenario.scenario.demand.stage(number) {
        Some((begin, end)) if begin < end => Ok(Over::Stage { scenario: name.clone(), number }),
        Some(_) => {
            let message =
                format!("stage {number} of `{name}` is a jump that takes no time: no sample is in it");
            Err(Box::new(wrong(message).also(*stages, "the stages")))
        }
        None => {
            let count = (1..).take_while(|n| scenario.scenario.demand.stage(*n).is_some()).count();
            let diagnostic = wrong(format!("`{name}` has no stage {number}")).also(*stages, "the stages");
            Err(Box::new(diagnostic.help(format!("stages count from 1, and it has {count}"))))
        }
    }
}
