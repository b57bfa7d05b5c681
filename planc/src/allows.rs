//! What a plan allows: findings that its author has looked at, with the reason beside them.

use crate::ast::Allow;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use jiff::civil::Date;
use std::collections::BTreeSet;

/// The `allow:` entries of one plan.
#[derive(Debug, Clone, Default)]
pub struct Allows {
    entries: Vec<Allow>,
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

impl Allows {
    /// Without a `today` nothing expires.
    pub(crate) fn new(entries: Vec<Allow>, today: Option<Date>) -> Self {
        let over = |allow: &Allow| matches!((&allow.until, today), (Some(until), Some(today)) if until.value < today);
        let expired = (0..entries.len()).filter(|at| over(&entries[*at])).collect();
        Allows { entries, expired }
    }

    /// All of them, expired ones included.
    pub(crate) fn entries(&self) -> &[Allow] {
        &self.entries
    }

    /// Takes what is allowed out of `found` and gives it back.
    pub fn take(&self, found: &mut Diagnostics) -> Vec<Allowed> {
        let mut allowed = Vec::new();
        for diagnostic in std::mem::take(found).into_sorted() {
            match (0..self.entries.len()).find(|at| self.covers(*at, &diagnostic)) {
                Some(at) => {
                    let Allow { reason, until, .. } = &self.entries[at];
                    let until = until.as_ref().map(|until| until.value);
                    allowed.push(Allowed { diagnostic, reason: reason.clone(), until });
                }
                None => found.push(diagnostic),
            }
        }
        allowed
    }

    fn covers(&self, at: usize, diagnostic: &Diagnostic) -> bool {
        let allow = &self.entries[at];
        let span = diagnostic.primary.span;
        let inside =
            allow.places.iter().any(|p| p.file == span.file && p.start <= span.start && span.end <= p.end);
        !self.expired.contains(&at)
            && allow.lint.value == diagnostic.code
            && (allow.places.is_empty() || inside)
    }

    /// Errors for the entries whose last day has passed.
    pub(crate) fn expired(&self) -> impl Iterator<Item = Diagnostic> {
        self.expired.iter().filter_map(|at| {
            let Allow { lint, until, reason, .. } = &self.entries[*at];
            let until = until.as_ref()?;
            let message = format!("`{}` was allowed until {}", lint.value.name, until.value);
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
                && !codes::LIVE.contains(&self.entries[*at].lint.value)
                && self.entries[*at].lint.value != crate::POOL_EXCEEDS_CONNECTIONS
                && !allowed.iter().any(|allowed| self.covers(*at, &allowed.diagnostic))
        };
        let tell = |at: usize| {
            let lint = &self.entries[at].lint;
            let message = format!("nothing here is `{}`, so there is nothing to allow", lint.value.name);
            Diagnostic::warning(codes::UNNEEDED_ALLOW, lint.span, message)
                .help("leave it out, or write it on the node that the finding points at")
        };
        (0..self.entries.len()).filter(idle).map(tell).collect()
    }
}
