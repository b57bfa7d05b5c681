//! What became settable from outside of the plan: the graph holds a value either way, and a run may hold another.

use super::change::{Change, quoted};
use super::checks::same_place;
use super::codes;
use super::gates::{self, Numbered};
use super::pairs::Pairs;
use super::side::Side;
use crate::diagnostic::Code;
use crate::graph::{Check, Demand, GateLevel, StepId};
use crate::resolved::Hang;
use crate::source::Span;
use std::collections::{BTreeMap, BTreeSet};

/// One place on both sides.
struct Place<'a> {
    subject: String,
    span: Option<Span>,
    old: Vec<&'a Hang>,
    new: Vec<&'a Hang>,
    /// What it is when a part of it can be set; none where that lets nothing through.
    code: &'a dyn Fn(&str) -> Option<Code>,
}

pub(super) fn compare(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    let (old, new) = (&pairs.old.graph, &pairs.new.graph);
    checks(pairs, "guards", "guard", (&old.guards, &new.guards), out);
    checks(pairs, "preflight", "preflight check", (&old.preflight, &new.preflight), out);
    fixtures(pairs, out);
    scenarios(pairs, out);
    steps(pairs, out);
    for name in pairs.new.endpoints.keys().filter(|name| pairs.old.endpoints.contains_key(*name)) {
        let code = |part: &str| (part == "limit").then_some(codes::LIMIT_RAISED);
        one(pairs, &format!("endpoints.{name}"), format!("endpoint {}", quoted(name)), &code, out);
    }
    for name in new.tokens.keys().filter(|name| old.tokens.contains_key(*name)) {
        let code = |part: &str| is_asked(part).then_some(codes::GUARD_WEAKENED);
        one(pairs, &format!("tokens.{name}"), format!("token {}", quoted(name)), &code, out);
    }
    let target = |part: &str| match part {
        "verify" => Some(codes::GUARD_WEAKENED),
        "timeout" => Some(codes::EXPECTATION_WEAKENED),
        _ => None,
    };
    one(pairs, "target", "target".into(), &target, out);
    one(pairs, "health", "the generator's health".into(), &|_| Some(codes::GATE_LOOSENED), out);
    for place in ["database", "services", "seed", "setup", "teardown"] {
        one(pairs, place, place.into(), &|_| None, out);
    }
}

/// A gate that is there on both sides.
pub(super) fn gate(pairs: &Pairs<'_>, old: Numbered<'_>, new: Numbered<'_>, out: &mut Vec<Change>) {
    let of = |side: &'_ Side, at: usize| side.gate_hangs.get(at).cloned().unwrap_or_default();
    let (before, after) = (of(pairs.old, old.0), of(pairs.new, new.0));
    let decides = old.1.level == GateLevel::Required;
    let place = Place {
        subject: gates::subject(new.1),
        span: pairs.new.gate_span(new.0),
        old: before.iter().collect(),
        new: after.iter().collect(),
        code: &|_| decides.then_some(codes::GATE_LOOSENED),
    };
    tell(&place, out);
}

/// A place with one name on both sides.
fn one(
    pairs: &Pairs<'_>,
    place: &str,
    subject: String,
    code: &dyn Fn(&str) -> Option<Code>,
    out: &mut Vec<Change>,
) {
    let span = pairs.new.origin(place).or_else(|| pairs.new.origin(&format!("{place}.url")));
    let (old, new) = (hangs(pairs.old, place), hangs(pairs.new, place));
    tell(&Place { subject, span, old, new, code }, out);
}

fn checks(
    pairs: &Pairs<'_>,
    section: &str,
    what: &str,
    (old, new): (&[Check], &[Check]),
    out: &mut Vec<Change>,
) {
    let code = |part: &str| (is_asked(part) || part == "probe").then_some(codes::GUARD_WEAKENED);
    for check in new {
        let same = old.iter().filter(|o| o.name == check.name || same_place(&o.probe, &check.probe));
        let before: Vec<String> = same.map(|o| format!("{section}.{}", o.name)).collect();
        if before.is_empty() {
            continue;
        }
        let place = format!("{section}.{}", check.name);
        let place = Place {
            subject: format!("{what} {}", quoted(&check.name)),
            span: pairs.new.origin(&place),
            old: before.iter().flat_map(|place| hangs(pairs.old, place)).collect(),
            new: hangs(pairs.new, &place),
            code: &code,
        };
        tell(&place, out);
    }
}

fn fixtures(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    let code = |part: &str| match part {
        "rows" => Some(codes::SEED_REDUCED),
        "adopt" | "append_only" => Some(codes::GUARD_WEAKENED),
        _ => None,
    };
    let verify = |part: &str| (is_asked(part) || part == "probe").then_some(codes::SEED_REDUCED);
    for (old, new) in &pairs.fixtures.both {
        let (before, after) = (format!("fixtures.{}", old.name), format!("fixtures.{}", new.name));
        let subject = format!("fixture {}", quoted(&new.name));
        let span = pairs.new.origin(&after);
        let place = Place {
            subject: subject.clone(),
            span,
            old: hangs(pairs.old, &before),
            new: hangs(pairs.new, &after),
            code: &code,
        };
        tell(&place, out);
        for check in new.verify.iter().filter(|check| old.verify.iter().any(|o| o.name == check.name)) {
            let name = &check.name;
            let place = Place {
                subject: format!("{subject}, verify {}", quoted(name)),
                span: pairs.new.origin(&format!("{after}.verify.{name}")),
                old: hangs(pairs.old, &format!("{before}.verify.{name}")),
                new: hangs(pairs.new, &format!("{after}.verify.{name}")),
                code: &verify,
            };
            tell(&place, out);
        }
    }
}

fn scenarios(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    for (old, new) in &pairs.scenarios.both {
        let closed = !matches!(new.demand, Demand::Arrivals { .. });
        let code = |part: &str| match part {
            "duration" | "stages" | "max_duration" => Some(codes::DURATION_CUT),
            "max_vus" | "pre_allocated_vus" => Some(codes::POOL_REDUCED),
            "pauses" => closed.then_some(codes::LOAD_REDUCED),
            "" => None,
            _ => Some(codes::LOAD_REDUCED),
        };
        let after = format!("scenarios.{}", new.name);
        let place = Place {
            subject: format!("scenario {}", quoted(&new.name)),
            span: pairs.new.origin(&after),
            old: hangs(pairs.old, &format!("scenarios.{}", old.name)),
            new: hangs(pairs.new, &after),
            code: &code,
        };
        tell(&place, out);
    }
}

fn steps(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    let before: BTreeMap<StepId, StepId> = pairs.steps.iter().map(|(old, new)| (*new, *old)).collect();
    let code = |part: &str| (is_asked(part) || part == "timeout").then_some(codes::EXPECTATION_WEAKENED);
    for list in &pairs.lists {
        for (_, new) in &list.steps.both {
            let Some(old) = before.get(&new.id) else { continue };
            let place = Place {
                subject: format!("{}, step {}", list.of, quoted(&new.name)),
                span: pairs.new.step_span(new.id),
                old: hangs(pairs.old, &format!("steps.{}", old.0)),
                new: hangs(pairs.new, &format!("steps.{}", new.id.0)),
                code: &code,
            };
            tell(&place, out);
        }
    }
}

fn is_asked(part: &str) -> bool {
    part.starts_with("expect")
}

/// What hangs at a place, in order.
fn hangs<'a>(side: &'a Side, place: &str) -> Vec<&'a Hang> {
    let none = String::new;
    let first = Hang { place: place.to_string(), part: none(), by: none(), words: none() };
    side.hangs.range(first..).take_while(|hang| hang.place == place).collect()
}

fn tell(place: &Place<'_>, out: &mut Vec<Change>) {
    let known = |by: &Hang, all: &[&Hang]| all.iter().any(|o| o.part == by.part && o.by == by.by);
    let mut said = BTreeSet::new();
    for new in place.new.iter().filter(|new| !known(new, &place.old)) {
        let mut message = format!("{}, which {} sets", words(new), new.by);
        let other = place.old.iter().find(|old| old.part == new.part && !known(old, &place.new));
        let code = (place.code)(&new.part).filter(|_| other.is_none());
        if let Some(other) = other {
            message.push_str(&format!("; {} did", other.by));
        }
        // What is open in the graph as well was told with its value.
        let told = |change: &Change| change.subject == place.subject && change.message.contains(&new.words);
        if out.iter().any(|change| change.code.is_some() && told(change)) || !said.insert(message.clone()) {
            continue;
        }
        out.retain(|change| change.code.is_some() || !told(change));
        let change = match code {
            Some(code) => Change::weaker(code, &place.subject, message)
                .note("what was reviewed is the default: a run may be given another value and pass by it"),
            None => Change::neutral(&place.subject, message),
        };
        out.push(change.at(place.span));
    }
}

/// `` is now `p(95) < {{ inputs.bound }}` ``.
fn words(hang: &Hang) -> String {
    let own = quoted(&hang.words);
    match hang.part.as_str() {
        "" if hang.words.contains(['<', '>', '=']) => format!("is now {own}"),
        "" | "probe" | "pauses" | "steps" => format!("hangs on {own}"),
        part if is_asked(part) => format!("is now {own}"),
        part => format!("{} is now {own}", quoted(part)),
    }
}
