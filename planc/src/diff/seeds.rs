//! Seeds: fewer rows, less variety, rows of others taken over.

use super::change::{Change, quoted, some_of};
use super::checks;
use super::codes;
use super::leaves;
use super::pairs::{Pairs, json};
use super::strength::{Strength, statuses};
use crate::graph::{
    Fixture, FixtureKind, Generator, HttpFixture, OnConflict, Script, SqlFixture, TableFixture,
};
use crate::lints::thousands;
use crate::source::Span;
use crate::units::count;

pub(super) fn compare(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    for old in &pairs.fixtures.removed {
        let change = Change::weaker(codes::SEED_REDUCED, subject(old), "is gone");
        out.push(change.note(format!("{} less", count(old.rows, "row"))));
    }
    for new in &pairs.fixtures.added {
        let change = Change::stronger(subject(new), "is new").note(count(new.rows, "row"));
        out.push(change.at(pairs.new.origin(&format!("fixtures.{}", new.name))));
    }
    for (old, new) in &pairs.fixtures.both {
        one(pairs, old, new, out);
    }
}

fn subject(fixture: &Fixture) -> String {
    format!("fixture {}", quoted(&fixture.name))
}

fn one(pairs: &Pairs<'_>, old: &Fixture, new: &Fixture, out: &mut Vec<Change>) {
    let origin = format!("fixtures.{}", new.name);
    let span = pairs.new.origin(&origin);
    let subject = subject(new);
    let told = out.len();
    if old.rows != new.rows {
        let message = format!("has {} instead of {}", count(new.rows, "row"), thousands(old.rows as f64));
        out.push(match new.rows < old.rows {
            true => Change::weaker(codes::SEED_REDUCED, &subject, message)
                .note(format!(
                    "{} less, {:.1}% of what was there",
                    count(old.rows - new.rows, "row"),
                    new.rows as f64 / old.rows as f64 * 100.0
                ))
                .at(span),
            false => Change::stronger(&subject, message).at(span),
        });
    }
    if old.children != new.children {
        let message = match (&old.children, &new.children) {
            (None, Some(children)) => format!("has its rows by parent, of {}", quoted(&children.of)),
            (Some(_), None) => "no longer has its rows by parent".to_string(),
            _ => leaves::told(&old.children, &new.children),
        };
        out.push(Change::neutral(&subject, message).at(span));
    }
    if old.after != new.after {
        let message = match new.after.is_empty() {
            true => format!("no longer waits for {}", some_of(old.after.iter().map(String::as_str))),
            false => format!("is seeded after {}", some_of(new.after.iter().map(String::as_str))),
        };
        out.push(Change::neutral(&subject, message).at(span));
    }
    match (&old.kind, &new.kind) {
        (FixtureKind::Table(o), FixtureKind::Table(n)) => table(&subject, o, n, span, out),
        (FixtureKind::Http(o), FixtureKind::Http(n)) => http(&subject, o, n, span, out),
        (FixtureKind::Sql(o), FixtureKind::Sql(n)) => scripts(&subject, o, n, span, out),
        _ => out.push(Change::neutral(&subject, "is made in another way").at(span)),
    }
    for (name, column) in new.columns() {
        let Some(before) = old.columns().get(name).filter(|before| *before != column) else { continue };
        let span = pairs.new.origin(&format!("{origin}.columns.{name}")).or(span);
        let subject = format!("{subject}, column {}", quoted(name));
        let mut before = before.clone();
        match (std::mem::replace(&mut before.unique, column.unique), column.unique) {
            (true, false) => {
                let message = "may have the same value twice";
                out.push(Change::weaker(codes::SEED_REDUCED, &subject, message).at(span));
            }
            (false, true) => out.push(Change::stronger(&subject, "has no value twice").at(span)),
            _ => {}
        }
        if before == *column {
            continue;
        }
        out.push(match less_variety(&before.generator, &column.generator) {
            Some(message) => Change::weaker(codes::SEED_REDUCED, subject, message).at(span),
            None => Change::neutral(subject, drawn(&before, column)).at(span),
        });
    }
    let verify = format!("{subject}, verify");
    checks::inner(&verify, codes::SEED_REDUCED, &old.verify, &new.verify, span, out);
    others(&subject, old, new, span, told, out);
}

fn table(subject: &str, old: &TableFixture, new: &TableFixture, span: Option<Span>, out: &mut Vec<Change>) {
    if old.on_conflict != new.on_conflict {
        let message =
            format!("`on_conflict` is {}, it was {}", policy(new.on_conflict), policy(old.on_conflict));
        out.push(match rank(new.on_conflict) < rank(old.on_conflict) {
            true => {
                Change::weaker(codes::SEED_REDUCED, subject, message).note(meaning(new.on_conflict)).at(span)
            }
            false => Change::stronger(subject, message).at(span),
        });
    }
    match (old.adopt, new.adopt) {
        (false, true) => out.push(
            Change::weaker(codes::GUARD_WEAKENED, subject, "may take over rows that it did not make")
                .at(span),
        ),
        (true, false) => out.push(Change::stronger(subject, "leaves the rows of others alone").at(span)),
        _ => {}
    }
    match (old.append_only, new.append_only) {
        (true, false) => out.push(
            Change::weaker(
                codes::GUARD_WEAKENED,
                subject,
                "may change and delete rows of a table that was append-only",
            )
            .at(span),
        ),
        (false, true) => out.push(Change::stronger(subject, "its table is append-only").at(span)),
        _ => {}
    }
}

fn http(subject: &str, old: &HttpFixture, new: &HttpFixture, span: Option<Span>, out: &mut Vec<Change>) {
    if statuses(&old.created, &new.created) == Strength::Weaker {
        let message = "more statuses count as made";
        out.push(Change::weaker(codes::SEED_REDUCED, subject, message).at(span));
    }
}

fn scripts(subject: &str, old: &SqlFixture, new: &SqlFixture, span: Option<Span>, out: &mut Vec<Change>) {
    let had = |script: &Script| old.scripts.iter().find(|other| other.file == script.file);
    for script in &new.scripts {
        match had(script) {
            Some(before) if before.text != script.text => {
                let message = format!("{} has another text", quoted(&script.file));
                out.push(
                    Change::neutral(subject, message).note("it runs again where the old one ran").at(span),
                );
            }
            Some(_) => {}
            None => out.push(Change::stronger(subject, format!("runs {}", quoted(&script.file))).at(span)),
        }
    }
    for gone in old.scripts.iter().filter(|gone| new.scripts.iter().all(|script| script.file != gone.file)) {
        let message = format!("no longer runs {}", quoted(&gone.file));
        out.push(Change::weaker(codes::SEED_REDUCED, subject, message).at(span));
    }
    match (&old.reset, &new.reset) {
        (Some(_), None) => out.push(
            Change::weaker(codes::SEED_REDUCED, subject, "can no longer be taken away: it has no `reset`")
                .at(span),
        ),
        (o, n) if o != n => out.push(Change::neutral(subject, "is taken away in another way").at(span)),
        _ => {}
    }
    let files = |fixture: &SqlFixture| -> Vec<String> {
        fixture.scripts.iter().map(|script| script.file.clone()).collect()
    };
    let (o, n) = (files(old), files(new));
    let same = |file: &String| n.contains(file);
    if o != n && o.len() == n.len() && o.iter().all(same) {
        out.push(Change::neutral(subject, "runs its scripts in another order").at(span));
    }
}

/// How sure one can be after seeding of what the rows are.
fn rank(policy: OnConflict) -> u8 {
    match policy {
        OnConflict::Keep => 0,
        OnConflict::Refresh => 1,
        OnConflict::Exact => 2,
        OnConflict::Fail => 3,
    }
}

fn policy(policy: OnConflict) -> &'static str {
    match policy {
        OnConflict::Keep => "`keep`",
        OnConflict::Refresh => "`refresh`",
        OnConflict::Exact => "`exact`",
        OnConflict::Fail => "`fail`",
    }
}

fn meaning(policy: OnConflict) -> &'static str {
    match policy {
        OnConflict::Keep => "rows already there stay as they are, whatever is in them",
        OnConflict::Refresh => "rows of an earlier run that the fixture no longer has stay there",
        OnConflict::Exact | OnConflict::Fail => "rows that are already there are taken over",
    }
}

/// Why the new values are fewer kinds of values.
fn less_variety(old: &Generator, new: &Generator) -> Option<String> {
    match (old, new) {
        (Generator::Weighted(old), Generator::Weighted(new)) => {
            let has = |value: &crate::graph::Json| {
                new.iter().any(|branch| branch.value == *value && branch.weight > 0)
            };
            let lost = old.iter().filter(|branch| branch.weight > 0 && !has(&branch.value));
            let lost: Vec<String> = lost.map(|branch| plain(&branch.value)).collect();
            let none = "no row has";
            (!lost.is_empty())
                .then(|| format!("{none} {} any more", some_of(lost.iter().map(String::as_str))))
        }
        (Generator::Integer { from: a, to: b }, Generator::Integer { from: c, to: d }) => {
            narrower((a, b), (c, d))
        }
        (Generator::Decimal { from: a, to: b }, Generator::Decimal { from: c, to: d }) => {
            narrower((a, b), (c, d))
        }
        (Generator::Sample { size: old, .. }, Generator::Sample { size: new, .. }) if new < old => {
            Some(format!("draws from {} instead of {old}", count(u64::from(*new), "value")))
        }
        (Generator::Record(old), Generator::Record(new)) if new.len() < old.len() => {
            Some(format!("takes from {} instead of {}", count(new.len() as u64, "record"), old.len()))
        }
        (
            Generator::Weighted(_)
            | Generator::Integer { .. }
            | Generator::Decimal { .. }
            | Generator::Uuid
            | Generator::UuidV7
            | Generator::Fake { .. }
            | Generator::Hex { .. }
            | Generator::TimeWithin { .. }
            | Generator::Sample { .. }
            | Generator::Record(_),
            Generator::Value(crate::graph::JsonTemplate::Const(value)),
        ) => Some(format!("is {} in every row", quoted(&plain(value)))),
        _ => None,
    }
}

fn narrower<T: PartialOrd + ToString>(old: (&T, &T), new: (&T, &T)) -> Option<String> {
    let inside = new.0 >= old.0 && new.1 <= old.1;
    inside.then(|| {
        let show = |range: (&T, &T)| format!("{} to {}", range.0.to_string(), range.1.to_string());
        format!("is drawn from {} instead of {}", show(new), show(old))
    })
}

fn plain(value: &crate::graph::Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// A change of values in words.
fn drawn(old: &crate::graph::Column, new: &crate::graph::Column) -> String {
    if let (Generator::Weighted(o), Generator::Weighted(n)) = (&old.generator, &new.generator) {
        let show = |all: &[crate::graph::WeightedValue]| {
            let total: u64 = all.iter().map(|branch| u64::from(branch.weight)).sum();
            let one = |branch: &crate::graph::WeightedValue| {
                let share = f64::from(branch.weight) * 100.0 / (total.max(1) as f64);
                format!("{} {share:.0}%", plain(&branch.value))
            };
            quoted(&all.iter().map(one).collect::<Vec<_>>().join(", "))
        };
        return format!("is {}, it was {}", show(n), show(o));
    }
    leaves::told(old, new)
}

/// What is left of a fixture.
fn others(
    subject: &str,
    old: &Fixture,
    new: &Fixture,
    span: Option<Span>,
    told: usize,
    out: &mut Vec<Change>,
) {
    let bare = |fixture: &Fixture| {
        let mut bare = Fixture {
            rows: 0,
            about: String::new(),
            verify: Vec::new(),
            children: None,
            after: Vec::new(),
            ..fixture.clone()
        };
        let columns = match &mut bare.kind {
            FixtureKind::Table(table) => {
                table.on_conflict = OnConflict::Fail;
                table.adopt = false;
                table.append_only = false;
                &mut table.columns
            }
            FixtureKind::Http(http) => &mut http.columns,
            FixtureKind::Sql(sql) => {
                // Compared by `scripts`.
                sql.scripts.clear();
                sql.reset = None;
                &mut sql.columns
            }
        };
        // Columns on both sides were compared one by one; of others the name says enough.
        columns.retain(|name, _| !(old.columns().contains_key(name) && new.columns().contains_key(name)));
        bare
    };
    let (o, n) = (bare(old), bare(new));
    let quiet = out[told..].iter().all(|change| change.message != "more statuses count as made");
    if json(&o) != json(&n) && quiet {
        out.push(Change::neutral(subject, leaves::told(&o, &n)).at(span));
    }
}
