//! Lints: one file and one page each, one line here.

use crate::diagnostic::{Code, Diagnostics};
use crate::resolved::ResolvedPlan;

/// One lint.
pub(crate) struct Lint {
    pub(crate) code: Code,
    /// What `planc explain` prints; its examples are run as tests.
    pub(crate) page: &'static str,
    pub(crate) check: fn(&ResolvedPlan, &mut Diagnostics),
}

/// All lints.
pub(crate) const LINTS: &[Lint] = &[];

/// Runs all lints.
pub(crate) fn run(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for lint in LINTS {
        (lint.check)(plan, diagnostics);
    }
}
