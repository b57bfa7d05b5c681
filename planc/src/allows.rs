//! What a plan allows: findings that its author has looked at, with the reason beside them.

use crate::ast::{Allow, Word};
use crate::codes;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::lints;
use crate::near::nearest;
use jiff::civil::Date;
use std::collections::BTreeSet;

/// The `allow:` entries of one plan.
#[derive(Debug, Clone, Default)]
pub struct Allows {
    entries: Vec<Entry>,
    /// Those of them whose last day has passed.
    expired: BTreeSet<usize>,
}

/// A finding that the plan allows.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// What would be told.
    pub diagnostic: Diagnostic,
    /// Why it is not.
    pub reason: String,
    /// The last day on which it is not.
    pub until: Option<Date>,
}

/// An entry whose lint there is.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The lint.
    pub(crate) code: Code,
    /// As written.
    pub(crate) allow: Allow,
}

impl Allows {
    /// Looks the lints up. Without a `today` nothing expires.
    pub(crate) fn new(written: Vec<Allow>, today: Option<Date>, diagnostics: &mut Diagnostics) -> Self {
        let mut entries = Vec::new();
        for allow in written {
            match lint(&allow.lint) {
                Ok(code) => entries.push(Entry { code, allow }),
                Err(diagnostic) => diagnostics.push(*diagnostic),
            }
        }
        let over = |entry: &Entry| matches!((&entry.allow.until, today), (Some(until), Some(today)) if until.value < today);
        let expired = (0..entries.len()).filter(|at| over(&entries[*at])).collect();
        let allows = Allows { entries, expired };
        diagnostics.extend(allows.over());
        allows
    }

    /// All of them, expired ones included.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Takes what is allowed out of `found` and gives it back.
    pub fn take(&self, found: &mut Diagnostics) -> Vec<Allowed> {
        let mut allowed = Vec::new();
        for diagnostic in std::mem::take(found).into_sorted() {
            match (0..self.entries.len()).find(|at| self.covers(*at, &diagnostic)) {
                Some(at) => {
                    let Allow { reason, until, .. } = &self.entries[at].allow;
                    let until = until.as_ref().map(|until| until.value);
                    allowed.push(Allowed { diagnostic, reason: reason.clone(), until });
                }
                None => found.push(diagnostic),
            }
        }
        allowed
    }

    fn covers(&self, at: usize, diagnostic: &Diagnostic) -> bool {
        let Entry { code, allow } = &self.entries[at];
        let span = diagnostic.primary.span;
        let inside =
            allow.places.iter().any(|p| p.file == span.file && p.start <= span.start && span.end <= p.end);
        !self.expired.contains(&at) && *code == diagnostic.code && (allow.places.is_empty() || inside)
    }

    /// Errors for the entries whose last day has passed.
    fn over(&self) -> impl Iterator<Item = Diagnostic> {
        self.expired.iter().filter_map(|at| {
            let Entry { code, allow: Allow { until, reason, .. } } = &self.entries[*at];
            let until = until.as_ref()?;
            let message = format!("`{}` was allowed until {}", code.name, until.value);
            let diagnostic = Diagnostic::error(codes::EXPIRED_ALLOW, until.span, message);
            Some(
                diagnostic
                    .note(format!("the reason was: {reason}"))
                    .help("mend what it kept quiet, or write a later day with its reason"),
            )
        })
    }

    /// Warnings for the entries that kept nothing quiet. Those on lints that only the living world can tell may yet.
    pub(crate) fn unneeded(&self, allowed: &[Allowed]) -> Vec<Diagnostic> {
        let idle = |at: &usize| {
            !self.expired.contains(at)
                && !codes::LIVE.contains(&self.entries[*at].code)
                && self.entries[*at].code != crate::POOL_EXCEEDS_CONNECTIONS
                && !allowed.iter().any(|allowed| self.covers(*at, &allowed.diagnostic))
        };
        let tell = |at: usize| {
            let Entry { code, allow } = &self.entries[at];
            let message = format!("nothing here is `{}`, so there is nothing to allow", code.name);
            Diagnostic::warning(codes::UNNEEDED_ALLOW, allow.lint.span, message)
                .help("leave it out, or write it on the node that the finding points at")
        };
        (0..self.entries.len()).filter(idle).map(tell).collect()
    }
}

/// A lint by its name or code. Only lints can be allowed: what does not compile, does not.
fn lint(word: &Word) -> Result<Code, Box<Diagnostic>> {
    if let Some(code) = lints::codes().find(|code| code.name == word.value || code.id == word.value) {
        return Ok(code);
    }
    let message = match crate::pages().iter().any(|page| page.code == word.value || page.name == word.value) {
        true => format!("`{}` is no lint, and cannot be allowed", word.value),
        false => format!("unknown lint `{}`", word.value),
    };
    let diagnostic = Diagnostic::error(codes::BAD_VALUE, word.span, message);
    Err(Box::new(match nearest(&word.value, lints::codes().map(|code| code.name)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")).suggest(word.span, near),
        None => diagnostic.help("`planc explain --list` has all of them"),
    }))
}
