//! What a change of a plan means: two sets of graphs in, a list of changes out. Text that moves means nothing; a gate that
//! lets more through does, whatever the words.
//!
//! One file a noun. Each compares its part of `Pairs` and adds to one list; which part of the new plan is which part of
//! the old one is decided once, in `pairs` and `gate_pairs`.

mod allowed;
mod change;
mod checks;
mod codes;
mod expectations;
mod gate_pairs;
mod gates;
mod holds;
mod leaves;
mod load;
mod occasions;
mod outside;
mod pairs;
mod reach;
pub mod render;
mod seeds;
mod settings;
mod side;
mod sight;
mod sql_gates;
mod steps;
mod strength;
mod visits;

pub use change::{Change, Effect};
pub(crate) use codes::PAGES;
use pairs::Pairs;
pub(crate) use side::{Side, Sides};

use crate::diagnostic::Diagnostics;
use crate::graph::ExecutionGraph;
use crate::source::SourceMap;
use crate::{Files, Options};
use change::quoted;
use std::collections::BTreeMap;

/// A plan on one side: its name for people, its path, and where its texts come from.
pub struct Revision<'a> {
    /// `main:plans/storm.yaml`.
    pub name: &'a str,
    /// The path that [`Files`] knows.
    pub path: &'a str,
    /// The texts of this side.
    pub files: &'a dyn Files,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Name of the old side; none when there was no plan before.
    pub old: Option<String>,
    /// Name of the new side.
    pub new: String,
    /// The new side's texts, for places.
    pub sources: SourceMap,
    /// What is wrong with the new side; when that is an error nothing was compared.
    pub diagnostics: Diagnostics,
    /// Weakenings first, then the rest, in the order of the plan's parts.
    pub changes: Vec<Change>,
}

impl Report {
    /// Whether a green verdict is worth less than before. A plan that cannot be compiled gives none.
    pub fn weakened(&self) -> bool {
        self.diagnostics.has_errors() || self.changes.iter().any(|change| change.effect == Effect::Weakens)
    }
}

/// The old side cannot be compiled: there is nothing to compare with.
#[derive(Debug)]
pub struct Unreadable {
    /// Its texts.
    pub sources: SourceMap,
    /// What is wrong with it.
    pub diagnostics: Diagnostics,
}

/// Compares every profile of two plans, or the one that is named. Without an old plan everything is an addition.
pub fn plans(
    old: Option<&Revision<'_>>,
    new: &Revision<'_>,
    options: &Options,
) -> Result<Report, Box<Unreadable>> {
    let before = old.map(|old| old_side(old, options)).transpose()?;
    let after = crate::sides(new.files, new.path, options);
    let mut changes = Vec::new();
    if !after.diagnostics.has_errors() {
        changes = match &before {
            Some(before) => compare(&before.sides, &after.sides),
            None => {
                let before: Vec<Side> = after.sides.iter().map(Side::before).collect();
                compare(&before, &after.sides)
            }
        };
        // What a new plan allows was never told.
        if let Some(before) = &before {
            allowed::compare(before, &after, &mut changes);
        }
        changes.sort_by_key(|change| change.effect);
    }
    Ok(Report {
        old: old.map(|old| old.name.to_string()),
        new: new.name.to_string(),
        sources: after.sources,
        diagnostics: after.diagnostics,
        changes,
    })
}

/// The old side as it compiled in its own time: what it allowed has not expired.
fn old_side(old: &Revision<'_>, options: &Options) -> Result<Sides, Box<Unreadable>> {
    let options = Options { today: None, ..options.clone() };
    let mut sides = crate::sides(old.files, old.path, &options);
    if sides.diagnostics.has_errors() && only_profile_is_missing(&sides.diagnostics) {
        // The profile is new: told as such, once the rest of the old side is known to compile.
        sides = crate::sides(old.files, old.path, &Options { profile: None, ..options });
        sides.sides.clear();
    }
    match sides.diagnostics.has_errors() {
        true => Err(Box::new(Unreadable { sources: sides.sources, diagnostics: sides.diagnostics })),
        false => Ok(sides),
    }
}

fn only_profile_is_missing(diagnostics: &Diagnostics) -> bool {
    use crate::diagnostic::Level;
    let mut errors = diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error);
    errors.all(|diagnostic| diagnostic.code == crate::codes::UNKNOWN_PROFILE)
}

/// Compares profile by profile. What holds in all of them is said once.
fn compare(old: &[Side], new: &[Side]) -> Vec<Change> {
    let named = |sides: &[Side], name: &str| sides.iter().position(|side| side.graph.profile == name);
    let mut found: Vec<(String, Vec<Change>)> = Vec::new();
    let mut profiles = Vec::new();
    for after in new {
        let name = &after.graph.profile;
        match named(old, name) {
            Some(at) => found.push((name.clone(), graphs(&old[at], after))),
            None => profiles.push(Change::stronger(format!("profile {}", quoted(name)), "is new")),
        }
    }
    for before in old.iter().filter(|side| named(new, &side.graph.profile).is_none()) {
        let subject = format!("profile {}", quoted(&before.graph.profile));
        profiles.push(Change::weaker(codes::PROFILE_REMOVED, subject, "is gone"));
    }
    let mut changes = merge(found);
    changes.extend(profiles);
    changes
}

/// What is weaker in one graph than in another, for runs of which no text is left.
pub fn weaker(than: &ExecutionGraph, graph: &ExecutionGraph) -> Vec<Change> {
    let mut changes = graphs(&Side::of_graph(than.clone()), &Side::of_graph(graph.clone()));
    changes.retain(|change| change.effect == Effect::Weakens);
    changes
}

/// One profile of both sides.
fn graphs(old: &Side, new: &Side) -> Vec<Change> {
    let mut out = Vec::new();
    let pairs = Pairs::of(old, new);
    // Which inputs a gate hangs on is not in the graph.
    gates::compare(&pairs, &mut out);
    if old.graph.id() != new.graph.id() {
        sql_gates::compare(&pairs, &mut out);
        checks::compare(&pairs, &mut out);
        load::compare(&pairs, &mut out);
        steps::compare(&pairs, &mut out);
        seeds::compare(&pairs, &mut out);
        settings::compare(&pairs, &mut out);
        occasions::compare(&pairs, &mut out);
    }
    // The catalogue of endpoints is not in the graph.
    reach::compare(&pairs, &mut out);
    outside::compare(&pairs, &mut out);
    let mut seen: Vec<Change> = Vec::new();
    for change in out {
        if !seen.contains(&change) {
            seen.push(change);
        }
    }
    seen
}

/// One list of what several profiles gave. What does not hold in all of them says in which it does.
fn merge(found: Vec<(String, Vec<Change>)>) -> Vec<Change> {
    let all = found.len();
    let mut out: Vec<Change> = Vec::new();
    let mut known = BTreeMap::new();
    for (profile, changes) in found {
        for change in changes {
            let key = (change.code, change.effect, change.subject.clone(), change.message.clone());
            let at = *known.entry(key).or_insert(out.len());
            if at == out.len() {
                out.push(change);
            }
            if !out[at].profiles.contains(&profile) {
                out[at].profiles.push(profile.clone());
            }
        }
    }
    for change in &mut out {
        if change.profiles.len() == all {
            change.profiles.clear();
        }
    }
    out
}
