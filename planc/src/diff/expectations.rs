//! What must be seen in an answer: what of it is asked no longer, or asked less sharply.

use super::change::{quoted, some_of};
use super::strength::{Strength, covered, expected};
use crate::graph::{Expectation, Expected};

/// What became of some expectations, in words.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) weaker: Vec<String>,
    pub(super) stronger: Vec<String>,
    /// Changed, and nobody can tell which way.
    pub(super) other: Vec<String>,
}

/// Compares two lists, place by place.
pub(super) fn compare(old: &[Expectation], new: &[Expectation]) -> Asked {
    let mut out = Asked::default();
    for (o, places) in old.iter().map(|o| (o, at(new, &o.what))) {
        let strengths: Vec<Strength> = places.iter().map(|n| expected(&o.what, &n.what)).collect();
        let has = |wanted: Strength| strengths.iter().position(|strength| *strength == wanted);
        if has(Strength::Same).is_some() {
            continue;
        }
        let told = |n: usize| change(o, places[n]);
        if let Some(n) = has(Strength::Stronger) {
            out.stronger.push(told(n));
        } else if let Some(n) = has(Strength::Weaker) {
            out.weaker.push(told(n));
        } else if !places.is_empty() {
            out.other.push(told(0));
        } else {
            out.weaker.push(format!("{} is not asked any more", quoted(&o.name)));
        }
    }
    let fresh = new.iter().filter(|n| at(old, &n.what).is_empty());
    out.stronger.extend(fresh.map(|n| format!("{} is asked as well", quoted(&n.name))));
    out
}

/// The expectations of a list that look at the same place.
fn at<'a>(list: &'a [Expectation], place: &Expected) -> Vec<&'a Expectation> {
    list.iter().filter(|other| subject(&other.what) == subject(place)).collect()
}

fn subject(expected: &Expected) -> (u8, &str) {
    match expected {
        Expected::Status(_) => (0, ""),
        Expected::Header { name, .. } => (1, name),
        Expected::Json { path, .. } => (2, path),
        Expected::Body(_) => (3, ""),
        Expected::Cookie { name, .. } => (4, name),
        Expected::Duration(_) => (5, ""),
        Expected::Rows(_) => (6, ""),
        Expected::Value(_) => (7, ""),
        Expected::ExitCode(_) => (8, ""),
        Expected::Stdout(_) => (9, ""),
        Expected::FileExists(_) => (10, ""),
    }
}

fn change(old: &Expectation, new: &Expectation) -> String {
    let told = format!("{} is now {}", quoted(&old.name), quoted(&new.name));
    let (Expected::Status(before), Expected::Status(after)) = (&old.what, &new.what) else { return told };
    let before = covered(before);
    let gained: Vec<String> =
        covered(after).into_iter().filter(|s| !before.contains(s)).map(|s| s.to_string()).collect();
    // A whole class needs no list.
    if gained.is_empty() || gained.len() > 20 {
        return told;
    }
    format!("{told}: {} passes", some_of(gained.iter().map(String::as_str)))
}
