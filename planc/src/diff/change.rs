//! One thing that a change of a plan means.

use crate::diagnostic::Code;
use crate::source::Span;

/// What a change does to the trust in a green verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// There is a run that the old plan refused and the new one lets through.
    Weakens,
    /// The new plan refuses more.
    Strengthens,
    /// Neither, or nobody can tell.
    Neutral,
}

impl Effect {
    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Weakens => "weakens",
            Effect::Strengthens => "strengthens",
            Effect::Neutral => "neutral",
        }
    }
}

/// One change of meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The name of a weakening; others have none.
    pub code: Option<Code>,
    /// What it does.
    pub effect: Effect,
    /// What changed, in backticks and ready for people: `` gate `http_reqs{name:a}` ``.
    pub subject: String,
    /// How, lower case, no full stop, names in backticks.
    pub message: String,
    /// The arithmetic behind it.
    pub notes: Vec<String>,
    /// Where the new plan says it.
    pub span: Option<Span>,
    /// Profiles it holds in, when not in all.
    pub profiles: Vec<String>,
}

impl Change {
    pub(super) fn weaker(code: Code, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Change { code: Some(code), ..Change::new(Effect::Weakens, subject.into(), message.into()) }
    }

    pub(super) fn stronger(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Change::new(Effect::Strengthens, subject.into(), message.into())
    }

    pub(super) fn neutral(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Change::new(Effect::Neutral, subject.into(), message.into())
    }

    fn new(effect: Effect, subject: String, message: String) -> Self {
        Change { code: None, effect, subject, message, notes: Vec::new(), span: None, profiles: Vec::new() }
    }

    pub(super) fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    pub(super) fn at(mut self, span: Option<Span>) -> Self {
        self.span = span;
        self
    }
}

/// A text of the plan in backticks, which it cannot leave.
pub(super) fn quoted(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c == '`' { '\'' } else { c }).collect();
    let mut words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    words.retain(|c| !c.is_control());
    if words.chars().count() > 120 {
        words = words.chars().take(119).chain(['…']).collect();
    }
    format!("`{words}`")
}

/// `` `a`, `b` and 3 more ``.
pub(super) fn some_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 4;
    let mut names: Vec<String> = names.into_iter().map(quoted).collect();
    names.dedup();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    if more > 0 {
        return format!("{} and {more} more", names.join(", "));
    }
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}
