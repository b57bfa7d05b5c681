//! What a gate sees: which steps feed it, and which of their samples.

use super::change::{Change, quoted, some_of};
use super::codes;
use super::gate_pairs::followed;
use super::gates::{Numbered, subject};
use super::pairs::Pairs;
use super::side::Side;
use super::strength;
use super::visits::visits;
use crate::graph::{Aggregate, Gate, GateLevel, Step, StepId};
use crate::lints::thousands;
use crate::units::count;
use std::collections::{BTreeMap, BTreeSet};

/// Tags that only the answer decides.
const BY_ANSWER: [&str; 7] =
    ["outcome", "status", "error_code", "proto", "expected_response", "check", "url"];

/// What the new gate sees beside the old one.
#[derive(PartialEq)]
enum Sight {
    Same,
    /// Fewer samples; steps that no longer feed it.
    Narrower(BTreeSet<StepId>),
    /// More samples.
    Wider,
    Unrelated,
}

/// Whether the new gate can be the old one with another selector.
pub(super) fn related(pairs: &Pairs<'_>, old: &Gate, new: &Gate) -> bool {
    sight(pairs, old, new) != Sight::Unrelated
}

pub(super) fn compare(pairs: &Pairs<'_>, old: Numbered<'_>, new: Numbered<'_>, out: &mut Vec<Change>) {
    let (o, n) = (old.1, new.1);
    let span = pairs.new.gate_span(new.0);
    let samples = |side: &Side, at: usize| side.expected.get(at).copied().flatten();
    let arithmetic = samples(pairs.old, old.0).zip(samples(pairs.new, new.0)).filter(|(o, n)| o != n);
    let arithmetic =
        arithmetic.map(|(o, n)| format!("about {} samples reach it, {} did", thousands(n), thousands(o)));
    let decided = o.level == GateLevel::Required;
    let told = match sight(pairs, o, n) {
        Sight::Unrelated => return,
        Sight::Same if followed(pairs, o) == n.selector => return,
        Sight::Same => {
            let message = format!("{} is selected in other words and sees the same", quoted(&o.subject()));
            Change::neutral(subject(n), message)
        }
        Sight::Narrower(lost) => {
            let message = format!("{} now sees less than {}", quoted(&n.text), quoted(&o.subject()));
            // Fewer samples than a floor asks for break it: a floor on less is a floor on the whole.
            if !decided || more_is_looser(n) == Some(true) {
                Change::neutral(subject(n), message)
            } else {
                let change = Change::weaker(codes::GATE_NARROWED, subject(n), message);
                let change = narrowed(pairs, o, n, &lost).into_iter().fold(change, Change::note);
                arithmetic.into_iter().fold(change, Change::note)
            }
        }
        Sight::Wider => {
            let message = format!("{} now sees more than {}", quoted(&n.text), quoted(&o.subject()));
            if !decided || more_is_looser(n) == Some(false) {
                Change::neutral(subject(n), message)
            } else {
                let change = Change::weaker(codes::SELECTOR_WIDENED, subject(n), message);
                diluted(pairs, old, new).into_iter().fold(change, Change::note)
            }
        }
    };
    out.push(told.at(span));
}

/// Whether more samples make the gate easier to hold; none when they dilute it.
fn more_is_looser(gate: &Gate) -> Option<bool> {
    let upper = match strength::side(gate.op) {
        strength::Side::Upper => true,
        strength::Side::Lower => false,
        _ => return None,
    };
    match gate.aggregate {
        Aggregate::Max | Aggregate::Count => Some(!upper),
        Aggregate::Min => Some(upper),
        _ => None,
    }
}

fn sight(pairs: &Pairs<'_>, old: &Gate, new: &Gate) -> Sight {
    let before = followed(pairs, old);
    let gained = minus(&new.selector, &before);
    let lost = minus(&before, &new.selector);
    // Steps by their new numbers; what the old gate saw of steps that are gone is told with them.
    let seen: BTreeSet<StepId> = old.steps.iter().filter_map(|step| pairs.steps.get(step)).copied().collect();
    let sees: BTreeSet<StepId> = new.steps.iter().copied().collect();
    let known: BTreeSet<StepId> = pairs.steps.values().copied().collect();
    let unseen: BTreeSet<StepId> = seen.difference(&sees).copied().collect();
    let more = sees.iter().any(|step| known.contains(step) && !seen.contains(step));
    let fixed_new = || fixed(pairs.new, &sees, &gained);
    let fixed_old = || fixed(pairs.old, &old.steps.iter().copied().collect(), &lost);
    match (gained.is_empty(), lost.is_empty()) {
        (true, true) if unseen.is_empty() => Sight::Same,
        (true, true) => Sight::Narrower(unseen),
        (false, true) if unseen.is_empty() && fixed_new() => Sight::Same,
        (false, true) => Sight::Narrower(unseen),
        (true, false) if !more && unseen.is_empty() && fixed_old() => Sight::Same,
        (true, false) => Sight::Wider,
        (false, false) if !sees.is_empty() && sees == seen && fixed_new() && fixed_old() => Sight::Same,
        (false, false) => Sight::Unrelated,
    }
}

fn minus<'a>(from: &'a BTreeMap<String, String>, less: &BTreeMap<String, String>) -> Vec<(&'a str, &'a str)> {
    let rest = from.iter().filter(|(tag, value)| less.get(*tag) != Some(value));
    rest.map(|(tag, value)| (tag.as_str(), value.as_str())).collect()
}

/// Whether every sample of these steps carries the tags, so that selecting by them leaves nothing out.
fn fixed(side: &Side, steps: &BTreeSet<StepId>, tags: &[(&str, &str)]) -> bool {
    if steps.is_empty() {
        // Metrics of scenarios, such as `iterations`: one scenario is all scenarios.
        return side.graph.scenarios.len() == 1 && tags.iter().all(|(tag, _)| *tag == "scenario");
    }
    let all: BTreeMap<StepId, &Step> = all_steps(side);
    tags.iter().all(|(tag, _)| {
        if BY_ANSWER.contains(tag) {
            return false;
        }
        let engine = ["scenario", "name", "endpoint", "method", "group"].contains(tag);
        steps.iter().all(|id| {
            let own = all.get(id).and_then(|step| step.tags.get(*tag));
            own.map_or(engine, |value| value.as_literal().is_some())
        })
    })
}

/// All requests and groups of a side's load by number.
fn all_steps(side: &Side) -> BTreeMap<StepId, &Step> {
    let lists = side.graph.scenarios.iter().flat_map(|scenario| [&scenario.setup, &scenario.steps]);
    lists.flat_map(|steps| visits(steps)).map(|visit| (visit.step.id, visit.step)).collect()
}

fn names(side: &Side, steps: &BTreeSet<StepId>) -> String {
    let all = all_steps(side);
    some_of(steps.iter().filter_map(|id| all.get(id)).map(|step| step.name.as_str()))
}

/// What the gate lost sight of.
fn narrowed(pairs: &Pairs<'_>, old: &Gate, new: &Gate, lost: &BTreeSet<StepId>) -> Option<String> {
    if !lost.is_empty() {
        let all = old.steps.iter().filter(|step| pairs.steps.contains_key(step)).count() as u64;
        let steps = count(all, "step");
        let left = all.saturating_sub(lost.len() as u64);
        return Some(format!("it sees {left} of {steps}: {} may fail unseen by it", names(pairs.new, lost)));
    }
    let before = followed(pairs, old);
    let tags: Vec<String> =
        minus(&new.selector, &before).iter().map(|(tag, value)| format!("{tag}:{value}")).collect();
    Some(format!("samples without {} no longer count in it", some_of(tags.iter().map(String::as_str))))
}

/// What one bound over several things cannot see.
fn diluted(pairs: &Pairs<'_>, old: Numbered<'_>, new: Numbered<'_>) -> Vec<String> {
    let aggregate = new.1.text.split(' ').next().unwrap_or_default();
    let mut out = match new.1.steps.len() as u64 {
        n if n > 1 => vec![format!("{aggregate} over {} is not {aggregate} of each", count(n, "step"))],
        _ => vec![format!("{aggregate} over all is not {aggregate} of each")],
    };
    let expected = |side: &Side, at: usize| side.expected.get(at).copied().flatten();
    let part = expected(pairs.old, old.0).zip(expected(pairs.new, new.0)).filter(|(o, n)| *o > 0.0 && n > o);
    let Some((part, whole)) = part else { return out };
    let share = part / whole;
    let mut told = format!(
        "what it saw gives about {} of {} samples, {:.1}%",
        thousands(part),
        thousands(whole),
        share * 100.0
    );
    if let Aggregate::Percentile(percent) = new.1.aggregate
        && strength::side(new.1.op) == strength::Side::Upper
    {
        let free = 1.0 - percent.as_f64() / 100.0;
        told.push_str(&match share <= free {
            true => format!(": all of them may be slow, {aggregate} leaves out {:.1}%", free * 100.0),
            false => format!(": {:.1}% of them may be slow", free / share * 100.0),
        });
    }
    out.push(told);
    out
}
