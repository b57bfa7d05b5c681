//! What a gate will see, in words: the steps that feed it, the samples that the load gives it, the samples it needs.

use super::templates;
use super::{Document, spot::Spot, spot::What};
use crate::graph::{GateLevel, StepId};
use crate::lower;
use crate::resolved::{Gate, ResolvedPlan, walk};
use crate::show::{self, ScenarioOutline};
use crate::source::Span;
use crate::units::grouped;
use std::collections::BTreeMap;

/// So many gates of one selector are told; `*` can stand for many.
const MAX_TOLD: usize = 6;
/// So many steps are named.
const MAX_STEPS: usize = 8;
/// One sample in the graph's arithmetic.
const MILLION: u64 = 1_000_000;

/// One profile, with what a gate's words are made of.
struct Judged {
    profile: String,
    gates: Vec<Gate>,
    steps: BTreeMap<StepId, String>,
    scenarios: Vec<ScenarioOutline>,
}

impl Judged {
    fn of((profile, mut resolved): (String, ResolvedPlan)) -> Self {
        let gates = std::mem::take(&mut resolved.gates);
        let mut steps = BTreeMap::new();
        for scenario in &resolved.scenarios {
            for list in [&scenario.scenario.setup, &scenario.scenario.steps] {
                walk(list, &mut |step| {
                    steps.insert(step.id, format!("`{}` ({})", step.name, scenario.scenario.name));
                });
            }
        }
        // The numbers of a scenario that is not sound mean nothing.
        resolved.scenarios.retain(|scenario| scenario.sound);
        let scenarios = show::outline(&lower::lower(resolved)).scenarios;
        Judged { profile, gates, steps, scenarios }
    }
}

impl Document<'_> {
    /// The gates of a threshold's key, or the one of the condition at a byte.
    pub(super) fn gates(&self, spot: &Spot<'_>) -> Option<String> {
        let wanted: Box<dyn Fn(&Gate) -> bool> = match spot.what {
            What::Key(entry) => {
                let metric = templates::selector(&self.text, entry.key.clone()).metric;
                Box::new(move |gate| gate.metric_span.start as usize == metric.start)
            }
            // The compiler's place of a text has its quotes.
            What::Value(node) => {
                let at = node.range.start;
                Box::new(move |gate: &Gate| holds(gate.span, at))
            }
        };
        let profiles: Vec<Judged> = self.resolved().into_iter().map(Judged::of).collect();
        let told = profiles.iter().map(|judged| {
            let gates = judged.gates.iter().filter(|gate| wanted(gate));
            (judged.profile.as_str(), gates.map(|gate| words(gate, judged)).collect::<Vec<_>>())
        });
        let told: Vec<(&str, Vec<Words>)> = told.collect();
        let most = told.iter().map(|(_, gates)| gates.len()).max().unwrap_or(0);
        let mut parts: Vec<String> = (0..most.min(MAX_TOLD)).map(|at| merged(&told, at)).collect();
        if most > MAX_TOLD {
            parts.push(format!("… and {} more", most - MAX_TOLD));
        }
        (!parts.is_empty()).then(|| parts.join("\n\n"))
    }
}

/// The gate at a position in the words of all profiles; a line that is not the same in all says in which it holds.
fn merged(told: &[(&str, Vec<Words>)], at: usize) -> String {
    let of: Vec<(&str, &Words)> =
        told.iter().filter_map(|(name, gates)| Some((*name, gates.get(at)?))).collect();
    let mut lines: Vec<String> = Vec::new();
    for line in 0..LINES {
        let mut known: Vec<(&str, Vec<&str>)> = Vec::new();
        for (profile, words) in &of {
            match known.iter_mut().find(|(text, _)| *text == words[line]) {
                Some((_, profiles)) => profiles.push(profile),
                None => known.push((&words[line], vec![profile])),
            }
        }
        for (text, profiles) in known.into_iter().filter(|(text, _)| !text.is_empty()) {
            match profiles.len() == told.len() {
                true => lines.push(text.to_string()),
                false => lines.push(format!("{text} [{}]", profiles.join(", "))),
            }
        }
    }
    lines.join("\n")
}

fn holds(span: Span, at: usize) -> bool {
    span.range().contains(&at)
}

/// Title, sources, samples expected, samples needed, drops, what else; a line that does not hold is empty.
type Words = [String; LINES];
const LINES: usize = 6;

fn words(gate: &Gate, judged: &Judged) -> Words {
    let graph = &gate.gate;
    let selector = graph.subject();
    let level = if graph.level == GateLevel::Advisory { ", advisory" } else { "" };
    let needed = match graph.min_samples {
        0 | 1 => "- samples needed: 1; none makes the run invalid".to_string(),
        samples => {
            let by = if gate.own_min_samples { "`min_samples`" } else { "to claim it at 95 %" };
            format!("- samples needed: {} ({by}); fewer make the run invalid", grouped(samples))
        }
    };
    let drops: Vec<&str> = graph.drops.keys().map(String::as_str).collect();
    [
        format!("**gate** `{selector}` `{}`{level}", graph.text),
        format!("- fed by: {}", fed_by(gate, judged)),
        expected(gate, judged).map_or(String::new(), |line| format!("- samples expected: {line}")),
        needed,
        match drops.is_empty() {
            true => String::new(),
            false => format!("- dropped iterations count as above the bound: {}", drops.join(", ")),
        },
        if graph.abort_on_fail { "- ends the run when it fails".into() } else { String::new() },
    ]
}

fn fed_by(gate: &Gate, judged: &Judged) -> String {
    if !gate.reachable {
        return "nothing, no sample of the plan can match".into();
    }
    let steps = &gate.gate.steps;
    if steps.is_empty() {
        let of: Vec<&str> = gate.expected.keys().map(String::as_str).collect();
        return if of.is_empty() {
            "the run itself".into()
        } else {
            format!("the iterations of {}", of.join(", "))
        };
    }
    let named = steps.iter().take(MAX_STEPS).filter_map(|step| judged.steps.get(step));
    let mut named: Vec<String> = named.cloned().collect();
    if steps.len() > MAX_STEPS {
        named.push(format!("{} more", steps.len() - MAX_STEPS));
    }
    named.join(", ")
}

/// `5,010 = heartbeats 5,010 × 1`; a closed model gives as many as the target answers.
fn expected(gate: &Gate, judged: &Judged) -> Option<String> {
    let mut sum = 0u64;
    let (mut parts, mut open) = (Vec::new(), true);
    for (name, weight) in gate.expected.iter().filter(|(_, weight)| **weight > 0) {
        let scenario = judged.scenarios.iter().find(|scenario| scenario.name == *name)?;
        match scenario.iterations {
            Some(iterations) => {
                let samples = u128::from(iterations) * u128::from(*weight) / u128::from(MILLION);
                sum = sum.saturating_add(u64::try_from(samples).unwrap_or(u64::MAX));
                parts.push(format!("{name} {} × {}", grouped(iterations), per_iteration(*weight)));
            }
            None => {
                open = false;
                parts.push(format!("{name} as many as the target answers"));
            }
        }
    }
    if parts.is_empty() {
        return None;
    }
    let parts = parts.join(" + ");
    Some(if open { format!("about {} = {parts}", grouped(sum)) } else { parts })
}

/// Millionths as a decimal: `1`, `0.6`.
fn per_iteration(weight: u64) -> String {
    let rest = format!("{:06}", weight % MILLION);
    match rest.trim_end_matches('0') {
        "" => grouped(weight / MILLION),
        rest => format!("{}.{rest}", grouped(weight / MILLION)),
    }
}
