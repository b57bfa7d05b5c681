//! Guards, preflight and other checks, held against each other by what they look at and not by their names: one that is
//! split, merged, renamed or moved is the same.

use super::change::{Change, quoted};
use super::codes;
use super::expectations;
use super::pairs::Pairs;
use super::pairs::json;
use super::strength::{self, Strength, pattern_covers};
use crate::diagnostic::Code;
use crate::graph::{Check, Expectation, ForeignRows, PostgresFacts, Probe};
use crate::source::Span;

/// A list of checks on both sides.
struct Lists<'a> {
    /// `guard`, `preflight check`.
    what: &'a str,
    code: Code,
    /// Whether a changed expectation counts as weaker: it lets through what was refused.
    strict: bool,
    old: &'a [Check],
    new: &'a [Check],
    span: &'a dyn Fn(&Check) -> Option<Span>,
}

pub(super) fn compare(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    let (old, new) = (&pairs.old.graph, &pairs.new.graph);
    let span = |check: &Check| pairs.new.origin(&format!("guards.{}", check.name));
    let code = codes::GUARD_WEAKENED;
    lists(&Lists { what: "guard", code, strict: true, old: &old.guards, new: &new.guards, span: &span }, out);
    let span = |check: &Check| pairs.new.origin(&format!("preflight.{}", check.name));
    let what = "preflight check";
    // A check that is skipped is one that is not there.
    let live =
        |checks: &[Check]| checks.iter().filter(|it| it.skipped.is_none()).cloned().collect::<Vec<_>>();
    let (before, after) = (live(&old.preflight), live(&new.preflight));
    lists(&Lists { what, code, strict: false, old: &before, new: &after, span: &span }, out);
    let span = |check: &Check| pairs.new.origin(&format!("teardown.{}", check.name));
    let what = "teardown command";
    let (before, after) = (live(&old.teardown_commands), live(&new.teardown_commands));
    lists(&Lists { what, code, strict: false, old: &before, new: &after, span: &span }, out);
}

/// Checks of something else, such as a fixture's `verify`.
pub(super) fn inner(
    what: &str,
    code: Code,
    old: &[Check],
    new: &[Check],
    span: Option<Span>,
    out: &mut Vec<Change>,
) {
    lists(&Lists { what, code, strict: false, old, new, span: &|_| span }, out);
}

fn lists(lists: &Lists<'_>, out: &mut Vec<Change>) {
    for old in lists.old {
        let subject = format!("{} {}", lists.what, quoted(&old.name));
        let same: Vec<&Check> = lists.new.iter().filter(|new| same_place(&old.probe, &new.probe)).collect();
        let named = lists.new.iter().find(|new| new.name == old.name && !known(lists.old, new));
        match (same.as_slice(), named) {
            ([], None) => out.push(Change::weaker(lists.code, subject, "is gone")),
            ([], Some(new)) => {
                out.push(Change::neutral(&subject, "looks elsewhere").at((lists.span)(new)));
                one(lists, &subject, old, &[new], out);
            }
            (same, _) => one(lists, &subject, old, same, out),
        }
    }
    for new in lists.new.iter().filter(|new| !known(lists.old, new)) {
        if lists.old.iter().any(|old| old.name == new.name) {
            continue;
        }
        let subject = format!("{} {}", lists.what, quoted(&new.name));
        out.push(Change::stronger(subject, "is new").at((lists.span)(new)));
    }
}

fn known(old: &[Check], new: &Check) -> bool {
    old.iter().any(|old| same_place(&old.probe, &new.probe))
}

/// Whether two checks look at the same thing. All facts about the database are one place.
pub(super) fn same_place(old: &Probe, new: &Probe) -> bool {
    match (old, new) {
        (Probe::Postgres(o), Probe::Postgres(n)) => {
            let both = |o: bool, n: bool| o && n;
            both(o.database.is_some(), n.database.is_some())
                || both(o.free_connections.is_some(), n.free_connections.is_some())
                || o.foreign_rows.iter().any(|o| n.foreign_rows.iter().any(|n| n.table == o.table))
        }
        (Probe::Http(o), Probe::Http(n)) => {
            let without_timeout = |request: &crate::graph::Request| {
                let mut request = request.clone();
                request.timeout = None;
                json(&request)
            };
            without_timeout(o) == without_timeout(n)
        }
        _ => old == new,
    }
}

/// An old check beside all the new ones that look at the same.
fn one(lists: &Lists<'_>, subject: &str, old: &Check, new: &[&Check], out: &mut Vec<Change>) {
    let span = new.first().and_then(|new| (lists.span)(new));
    let expect: Vec<Expectation> = new.iter().flat_map(|new| &new.expect).cloned().collect();
    let mut asked = expectations::compare(&old.expect, &expect);
    // What a sibling of the old check asked already is no news.
    let siblings: Vec<&Check> =
        lists.old.iter().filter(|other| same_place(&other.probe, &old.probe)).collect();
    let before: Vec<Expectation> = siblings.iter().flat_map(|check| &check.expect).cloned().collect();
    asked.stronger.retain(|told| expectations::compare(&before, &expect).stronger.contains(told));
    if siblings.first().is_some_and(|first| !std::ptr::eq(*first, old)) {
        asked.stronger.clear();
    }
    if lists.strict {
        asked.weaker.append(&mut asked.other);
    }
    if let Probe::Postgres(facts) = &old.probe {
        let all = new.iter().filter_map(|new| match &new.probe {
            Probe::Postgres(facts) => Some(facts),
            _ => None,
        });
        postgres(facts, &all.collect::<Vec<_>>(), &mut asked);
    }
    overrides(old, new, &mut asked);
    out.extend(asked.weaker.iter().map(|told| Change::weaker(lists.code, subject, told).at(span)));
    out.extend(asked.stronger.iter().map(|told| Change::stronger(subject, told).at(span)));
    out.extend(asked.other.iter().map(|told| Change::neutral(subject, told).at(span)));
}

/// The way round a guard, condition by condition: of several guards that ask it the one without a way round decides.
fn overrides(old: &Check, new: &[&Check], asked: &mut expectations::Asked) {
    let ways = conditions(old, new).into_iter().filter(|keepers| !keepers.is_empty()).map(|keepers| {
        let firm = keepers.iter().any(|keeper| keeper.override_env.is_none());
        keepers.first().and_then(|keeper| keeper.override_env.as_ref()).filter(|_| !firm)
    });
    let ways: Vec<Option<&String>> = ways.collect();
    let open = ways.iter().flatten().next();
    match (&old.override_env, open) {
        (None, Some(env)) => asked.weaker.push(format!("{} now overrides it", quoted(env))),
        (Some(env), None) if !ways.is_empty() => {
            asked.stronger.push(format!("{} no longer overrides it", quoted(env)));
        }
        (Some(before), Some(after)) if before != *after => {
            asked.other.push(format!("{} overrides it, {} did", quoted(after), quoted(before)));
        }
        _ => {}
    }
}

/// The new checks that keep each condition of an old one.
fn conditions<'a>(old: &Check, new: &[&'a Check]) -> Vec<Vec<&'a Check>> {
    let keep = |holds: &dyn Fn(&Check) -> bool| new.iter().filter(|n| holds(n)).copied().collect();
    let mut out: Vec<Vec<&Check>> = old
        .expect
        .iter()
        .map(|wanted| {
            let asks = |n: &Expectation| {
                matches!(strength::expected(&wanted.what, &n.what), Strength::Same | Strength::Stronger)
            };
            keep(&|check| check.expect.iter().any(asks))
        })
        .collect();
    let Probe::Postgres(facts) = &old.probe else { return out };
    let fact = |check: &Check, has: &dyn Fn(&PostgresFacts) -> bool| match &check.probe {
        Probe::Postgres(facts) => has(facts),
        _ => false,
    };
    if facts.database.is_some() {
        out.push(keep(&|check| fact(check, &|facts| facts.database.is_some())));
    }
    if facts.free_connections.is_some() {
        out.push(keep(&|check| fact(check, &|facts| facts.free_connections.is_some())));
    }
    for rows in &facts.foreign_rows {
        let counts = |facts: &PostgresFacts| facts.foreign_rows.iter().any(|n| n.table == rows.table);
        out.push(keep(&|check| fact(check, &counts)));
    }
    out
}

fn postgres(old: &PostgresFacts, new: &[&PostgresFacts], asked: &mut expectations::Asked) {
    if let Some(before) = &old.database {
        let all: Vec<&String> = new.iter().filter_map(|new| new.database.as_ref()).collect();
        match all.iter().find(|after| pattern_covers(before, after)) {
            Some(after) if pattern_covers(after, before) => {}
            Some(after) => asked.stronger.push(format!(
                "the database must be {}, not any {}",
                quoted(after),
                quoted(before)
            )),
            None => asked.weaker.push(match all.first() {
                Some(after) => format!("the database may be {}, not only {}", quoted(after), quoted(before)),
                None => format!("the database need not be {} any more", quoted(before)),
            }),
        }
    }
    for before in &old.foreign_rows {
        let after: Option<&ForeignRows> = new
            .iter()
            .flat_map(|new| &new.foreign_rows)
            .filter(|after| after.table == before.table)
            .min_by_key(|after| after.at_most);
        let table = quoted(&before.table);
        let rows = |n: u64| crate::units::count(n, "row");
        match after.map(|after| after.at_most) {
            None => asked.weaker.push(format!("rows of others in {table} are not counted any more")),
            Some(n) if n > before.at_most => asked.weaker.push(format!(
                "{} of others may be in {table}, not {}",
                rows(n),
                rows(before.at_most)
            )),
            Some(n) if n < before.at_most => asked.stronger.push(format!(
                "only {} of others may be in {table}, not {}",
                rows(n),
                rows(before.at_most)
            )),
            Some(_) => {}
        }
    }
    if let Some(before) = old.free_connections {
        match new.iter().filter_map(|new| new.free_connections).max() {
            None => asked.weaker.push("free connections are not asked for any more".into()),
            Some(after) if after < before => {
                asked.weaker.push(format!("{after} free connections suffice, not {before}"));
            }
            Some(after) if after > before => {
                asked.stronger.push(format!("{after} connections must be free, not {before}"));
            }
            Some(_) => {}
        }
    }
}
