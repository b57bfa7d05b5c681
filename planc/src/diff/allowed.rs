//! Findings that are kept quiet: more of them, or for longer.

use super::change::{Change, quoted};
use super::codes;
use super::side::Sides;
use crate::allows::Entry;
use crate::ast::Allow;
use std::collections::BTreeMap;

/// What an entry is about: the lint, and the node it stands on.
type Key = (&'static str, String);

pub(super) fn compare(old: &Sides, new: &Sides, out: &mut Vec<Change>) {
    let before = entries(old);
    let after = entries(new);
    for ((lint, owner), entry) in &after {
        let subject = format!("finding {} in {}", quoted(lint), quoted(owner));
        let span = Some(entry.lint.span);
        let until = entry.until.as_ref().map(|until| until.value);
        let lasts = until.map_or("without an end".to_string(), |until| format!("until {until}"));
        let moved = || before.iter().find(|(key, known)| moved(key, known, lint, entry, &after));
        let known = before.get(&(*lint, owner.clone())).or_else(|| moved().map(|(_, known)| known));
        let change = match known {
            None => Change::weaker(codes::FINDING_ALLOWED, subject, format!("is now allowed {lasts}"))
                .note(format!("the reason given: {}", quoted(&entry.reason))),
            Some(known) => match (known.until.as_ref().map(|until| until.value), until) {
                (before, after) if before == after => continue,
                (Some(before), None) => {
                    let message = format!("is now allowed {lasts}, it was until {before}");
                    Change::weaker(codes::FINDING_ALLOWED, subject, message)
                }
                (Some(before), Some(after)) if after > before => {
                    let message = format!("is allowed {lasts}, it was until {before}");
                    Change::weaker(codes::FINDING_ALLOWED, subject, message)
                        .note(format!("the reason given: {}", quoted(&entry.reason)))
                }
                _ => Change::stronger(subject, format!("is allowed only {lasts}")),
            },
        };
        out.push(change.at(span));
    }
    let gone = |key: &Key, known: &Allow| {
        let to = |(new, entry): (&Key, &&Allow)| {
            !before.contains_key(new) && moved(key, known, new.0, entry, &after)
        };
        !after.contains_key(key) && !after.iter().any(to)
    };
    for (lint, owner) in before.iter().filter(|(key, known)| gone(key, known)).map(|(key, _)| key) {
        out.push(Change::stronger(
            format!("finding {} in {}", quoted(lint), quoted(owner)),
            "is not allowed any more",
        ));
    }
}

/// Whether an old entry is the new one on a node of another name.
fn moved(key: &Key, known: &Allow, lint: &str, entry: &Allow, after: &BTreeMap<Key, &Allow>) -> bool {
    key.0 == lint && known.reason == entry.reason && !after.contains_key(key)
}

fn entries(sides: &Sides) -> BTreeMap<Key, &Allow> {
    let key = |entry: &Entry| {
        let owner = sides.sources.text(entry.allow.owner).trim();
        // Of a flow map the opening alone is of no help.
        let owner = if owner.is_empty() { "the plan" } else { owner.lines().next().unwrap_or(owner) };
        (entry.code.name, owner.trim().to_string())
    };
    sides.allows.entries().iter().map(|entry| (key(entry), &entry.allow)).collect()
}
