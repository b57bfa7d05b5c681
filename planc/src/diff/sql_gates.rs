//! Gates in SQL, held against each other by name, and by statement where one was renamed.

use super::change::{Change, quoted};
use super::codes;
use super::expectations;
use super::pairs::Pairs;
use crate::graph::{GateLevel, SqlGate};
use crate::units::show_duration;
use std::time::Duration;

pub(super) fn compare(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    let (old, new) = (&pairs.old.graph.sql_gates, &pairs.new.graph.sql_gates);
    let named = |gates: &[SqlGate], name: &str| gates.iter().any(|gate| gate.name == name);
    let renamed =
        |from: &SqlGate| new.iter().find(|gate| gate.statement == from.statement && !named(old, &gate.name));
    let mut followed: Vec<&str> = Vec::new();
    for before in old {
        let after = new.iter().find(|gate| gate.name == before.name).or_else(|| renamed(before));
        match after {
            Some(after) => {
                followed.push(&after.name);
                one(pairs, before, after, out);
            }
            None if before.level == GateLevel::Advisory => {
                out.push(Change::neutral(subject(before), "is gone; it was advisory"));
            }
            None => {
                let message = format!("{} is gone", quoted(&before.condition()));
                out.push(Change::weaker(codes::GATE_REMOVED, subject(before), message));
            }
        }
    }
    for after in new.iter().filter(|gate| !followed.contains(&gate.name.as_str())) {
        let told = format!("{} is new", quoted(&after.condition()));
        let change = match after.level {
            GateLevel::Required => Change::stronger(subject(after), told),
            GateLevel::Advisory => Change::neutral(subject(after), format!("{told} and advisory")),
        };
        out.push(change.at(span(pairs, after)));
    }
}

fn subject(gate: &SqlGate) -> String {
    format!("gate {}", quoted(&gate.name))
}

fn span(pairs: &Pairs<'_>, gate: &SqlGate) -> Option<crate::source::Span> {
    pairs.new.origin(&format!("thresholds.{}", gate.name))
}

fn one(pairs: &Pairs<'_>, old: &SqlGate, new: &SqlGate, out: &mut Vec<Change>) {
    let mut asked = expectations::compare(&old.expect, &new.expect);
    // Of what changed and may let through more, a person must say that it does not.
    asked.weaker.append(&mut asked.other);
    match (old.level, new.level) {
        (GateLevel::Required, GateLevel::Advisory) => asked.weaker.push("is now advisory".into()),
        (GateLevel::Advisory, GateLevel::Required) => asked.stronger.push("now decides".into()),
        _ => {}
    }
    match (old.increase, new.increase) {
        (true, false) => asked.weaker.push("judges the value, not how much it grew".into()),
        (false, true) => asked.weaker.push("judges how much the value grew, not the value".into()),
        _ => {}
    }
    if old.statement != new.statement {
        asked.weaker.push("asks another statement: what the old one told may not be told any more".into());
    }
    let wait = |within: Option<Duration>| within.unwrap_or_default();
    if old.within != new.within {
        let (before, after) = (show_duration(wait(old.within)), show_duration(wait(new.within)));
        asked.other.push(format!("may take {after} to hold, not {before}"));
    }
    let (subject, place) = (subject(new), span(pairs, new));
    // What an advisory gate says never decided.
    let decided = old.level == GateLevel::Required;
    let weaker = |told: &String| match decided {
        true => Change::weaker(codes::GATE_LOOSENED, &subject, told),
        false => Change::neutral(&subject, told),
    };
    out.extend(asked.weaker.iter().map(weaker).map(|change| change.at(place)));
    out.extend(asked.stronger.iter().map(|told| Change::stronger(&subject, told).at(place)));
    out.extend(asked.other.iter().map(|told| Change::neutral(&subject, told).at(place)));
}
