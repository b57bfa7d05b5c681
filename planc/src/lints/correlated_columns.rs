//! Two columns that both come from the row's number, so that a value of one goes with one value of the other.

use super::{Lint, thousands};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::eval;
use crate::expr::{Function, Scope};
use crate::graph::{Generator, Json, JsonTemplate};
use crate::resolved::{Fixture, ResolvedPlan};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0438", name: "correlated-columns" },
    page: include_str!("correlated-columns.md"),
    check,
};

/// Rows that are looked at: what repeats by `n %` shows within them.
const ROWS: u64 = 1_000;
/// A column with more values than this is no choice among a few.
const VALUES: usize = 12;
/// A value on fewer rows may go with one other by chance.
const TELLING: usize = 10;

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for fixture in &plan.fixtures {
        let columns = fixture.fixture.columns().iter();
        let choices: Vec<(&str, Vec<String>)> = columns
            .filter_map(|(name, column)| Some((name.as_str(), choice(fixture, &column.generator)?)))
            .collect();
        for (at, left) in choices.iter().enumerate() {
            for right in &choices[at + 1..] {
                // The rarer a value, the more is lost of what it was to be seen with.
                let ties = [tied(left, right), tied(right, left)].into_iter().flatten();
                diagnostics.extend(ties.min_by_key(|tie| tie.rows).map(|tie| tell(fixture, &tie)));
            }
        }
    }
}

/// The values of a column that is a choice among a few by the row's number alone.
fn choice(fixture: &Fixture, generator: &Generator) -> Option<Vec<String>> {
    let Generator::Value(value) = generator else { return None };
    let (mut free, mut by_number) = (true, false);
    value.paths(&mut |path| {
        by_number |= path == ["n"];
        free &= path == ["n"];
    });
    value.calls(&mut |function| free &= function == Function::Range);
    if !free || !by_number || fixture.fixture.rows < TELLING as u64 {
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for n in 1..=fixture.fixture.rows.min(ROWS) {
        let text = value_at(value, n)?;
        seen.insert(text.clone());
        out.push(text);
        if seen.len() > VALUES {
            return None;
        }
    }
    (seen.len() > 1).then_some(out)
}

/// A value of one column that goes with a single value of another.
struct Tie<'a> {
    left: &'a str,
    right: &'a str,
    /// Values of the one, each with its only one of the other.
    pairs: Vec<(&'a str, &'a str)>,
    /// Rows that the rarest of them is on.
    rows: usize,
    of: usize,
}

/// Some values of `left` always go with one of `right`, and others do not: where all did, one would be meant to follow
/// from the other.
fn tied<'a>(left: &'a (&str, Vec<String>), right: &'a (&str, Vec<String>)) -> Option<Tie<'a>> {
    let mut together: BTreeMap<&str, (usize, BTreeSet<&str>)> = BTreeMap::new();
    for (a, b) in left.1.iter().zip(&right.1) {
        let entry = together.entry(a).or_default();
        entry.0 += 1;
        entry.1.insert(b);
    }
    if together.values().all(|(_, others)| others.len() == 1) {
        return None;
    }
    let single = || together.iter().filter(|(_, (rows, others))| others.len() == 1 && *rows >= TELLING);
    let pairs = single().filter_map(|(value, (_, others))| Some((*value, *others.first()?))).collect();
    let rows = single().map(|(_, (rows, _))| *rows).min()?;
    Some(Tie { left: left.0, right: right.0, pairs, rows, of: left.1.len() })
}

fn tell(fixture: &Fixture, tie: &Tie<'_>) -> Diagnostic {
    let (left, right) = (tie.left, tie.right);
    let mut pairs = tie.pairs.iter();
    let mut message = pairs.next().map_or(String::new(), |(value, other)| {
        format!("every row with {left} `{value}` has {right} `{other}`")
    });
    for (value, other) in pairs {
        message.push_str(&format!(", with `{value}` `{other}`"));
    }
    let place = |column: &str| fixture.columns.get(column).copied().unwrap_or(fixture.span);
    Diagnostic::warning(LINT.code, place(right), message)
        .also(place(left), "made from the same `n`")
        .note(format!(
            "{} or more of the first {} rows each: both columns are made from `n`",
            thousands(tie.rows as f64),
            thousands(tie.of as f64)
        ))
        .help(format!("draw each by itself: `{right}: {{ weighted: {{ … }} }}`"))
}

fn value_at(value: &JsonTemplate, n: u64) -> Option<String> {
    eval::json(value, &Row(n)).ok().map(|value| eval::to_text(&value))
}

/// The row's number and nothing else.
struct Row(u64);

impl Scope for Row {
    fn get(&self, path: &[String]) -> Option<Json> {
        (path == ["n"]).then(|| Json::from(self.0))
    }

    fn random(&self) -> u64 {
        0
    }

    fn now_micros(&self) -> i64 {
        0
    }
}
