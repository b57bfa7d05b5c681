//! A comparison as text, one file per format. Nothing here prints; a caller asks for colour or gets none.

mod json;
mod markdown;
mod terminal;

use super::{Change, Effect, Report};
use crate::diagnostic::Level;
use crate::render::Findings;
use crate::units::count;

/// How a comparison can be written.
pub struct Format {
    /// What `--format` takes.
    pub name: &'static str,
    /// Whom it is for.
    pub about: &'static str,
    /// Writes it.
    pub render: fn(&Report, color: bool) -> String,
}

/// All formats; the first is the default.
pub const FORMATS: &[Format] = &[
    Format { name: "terminal", about: "for people, weakenings first", render: terminal::render },
    Format { name: "json", about: "one JSON object, for programs", render: json::render },
    Format { name: "markdown", about: "a comment on a pull request", render: markdown::render },
];

/// The format of a name.
pub fn format(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

fn of(report: &Report, effect: Effect) -> Vec<&Change> {
    report.changes.iter().filter(|change| change.effect == effect).collect()
}

/// `3 weakenings, 1 strengthening and 2 other changes`.
fn totals(report: &Report) -> String {
    let nouns = [
        (Effect::Weakens, "weakening"),
        (Effect::Strengthens, "strengthening"),
        (Effect::Neutral, "other change"),
    ];
    let parts: Vec<String> = nouns
        .into_iter()
        .map(|(effect, noun)| (of(report, effect).len(), noun))
        .filter(|(n, _)| *n > 0)
        .map(|(n, noun)| count(n, noun))
        .collect();
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => parts.concat(),
    }
}

/// Nothing to tell, in one line.
fn nothing(report: &Report) -> String {
    format!("no change of meaning in {}", super::change::quoted(&report.new))
}

/// `storm.yaml:12:5`.
fn place(report: &Report, change: &Change) -> Option<String> {
    let span = change.span?;
    let file = report.sources.file(span.file);
    let (line, column) = file.line_column(span.start as usize);
    Some(format!("{}:{line}:{column}", file.name))
}

/// `` in profile `stress` ``.
fn profiles(change: &Change) -> Option<String> {
    let noun = if change.profiles.len() == 1 { "profile" } else { "profiles" };
    let names = change.profiles.iter().map(String::as_str);
    (!change.profiles.is_empty()).then(|| format!("in {noun} {}", super::change::some_of(names)))
}

/// What keeps the new plan from being compiled.
fn mistakes(report: &Report) -> Findings {
    let mut findings = Findings::from_diagnostics(report.sources.clone(), report.diagnostics.clone());
    findings.diagnostics.retain(|diagnostic| diagnostic.level == Level::Error);
    findings
}

#[cfg(test)]
mod tests;
