//! What is wrong with a plan, as data. Rendering is `render`'s; nothing here prints.

use crate::source::Span;
use std::collections::BTreeSet;

/// How bad it is. `Error` keeps the plan from being lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The plan cannot be compiled or could give a false verdict.
    Error,
    /// The plan compiles, but likely does not say what was meant. `--deny warnings` makes it count.
    Warning,
}

impl Level {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
        }
    }
}

/// A code that is for ever, with its short name: `P0102`, `missing-unit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    /// `P` and four digits.
    pub id: &'static str,
    /// Kebab-case name; for lints the lint's name.
    pub name: &'static str,
}

/// A place with a few words on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is to be seen there; may be empty for the primary place.
    pub text: String,
}

/// A replacement that mends the mistake when pasted over `span`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The text to replace; empty to insert.
    pub span: Span,
    /// What to write there.
    pub replacement: String,
}

/// One mistake or doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its code and name.
    pub code: Code,
    /// Error or warning.
    pub level: Level,
    /// Lower case, no full stop, names in backticks.
    pub message: String,
    /// The smallest place that shows it.
    pub primary: Label,
    /// Other places that explain it.
    pub secondary: Vec<Label>,
    /// Facts, such as the arithmetic behind a lint.
    pub notes: Vec<String>,
    /// How to fix it, with the text to write.
    pub help: Option<String>,
    /// The fix as an edit.
    pub suggestion: Option<Suggestion>,
    /// Profiles it holds in, when not in all.
    pub profiles: Vec<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            level: Level::Error,
            message: message.into(),
            primary: Label { span, text: String::new() },
            secondary: Vec::new(),
            notes: Vec::new(),
            help: None,
            suggestion: None,
            profiles: Vec::new(),
        }
    }

    /// A warning at a place.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Diagnostic { level: Level::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// Words under the primary place.
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    /// A second place.
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label { span, text: text.into() });
        self
    }

    /// A fact.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// The way out.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// The way out as an edit; shown as a diff.
    pub fn suggest(mut self, span: Span, replacement: impl Into<String>) -> Self {
        self.suggestion = Some(Suggestion { span, replacement: replacement.into() });
        self
    }
}

/// All that was found, in any order until [`Diagnostics::into_sorted`].
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
    /// What tells one from another, so that a file full of mistakes is read in bounded time.
    known: BTreeSet<(Code, Span, String)>,
}

impl Diagnostics {
    /// Takes one in; the same code at the same place is kept once.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.known.insert((diagnostic.code, diagnostic.primary.span, diagnostic.message.clone())) {
            self.items.push(diagnostic);
        }
    }

    /// Adds notes to what is said about the places they belong to.
    pub(crate) fn explain(&mut self, notes: &BTreeSet<(Span, String)>) {
        for diagnostic in &mut self.items {
            let at = diagnostic.primary.span;
            let inside = |s: &Span| s.file == at.file && at.start <= s.start && s.end <= at.end;
            for (_, note) in notes.iter().filter(|(span, _)| inside(span)) {
                if !diagnostic.notes.contains(note) {
                    diagnostic.notes.push(note.clone());
                }
            }
        }
    }

    /// Drops what is said about a value as a whole whose quotes are missing: it may be right once it has them.
    pub(crate) fn drop_echoes(&mut self) {
        let unquoted: BTreeSet<Span> =
            self.items.iter().filter(|d| d.code.id == "P0004").map(|d| d.primary.span).collect();
        let echo = |d: &Diagnostic| d.code.id != "P0004" && unquoted.contains(&d.primary.span);
        self.items.retain(|d| !echo(d));
    }

    /// Whether any error is among them.
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|d| d.level == Level::Error)
    }

    /// All, as found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.items.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// All, sorted by place, errors first at the same place.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.items.sort_by_key(|d| (d.primary.span, d.level, d.code));
        self.items
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, iter: T) {
        for diagnostic in iter {
            self.push(diagnostic);
        }
    }
}
