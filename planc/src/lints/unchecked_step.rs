//! A step of which nothing is expected.

use super::Lint;
use crate::coverage;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0425", name: "unchecked-step" },
    page: include_str!("unchecked-step.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for step in coverage::steps(plan).iter().filter(|step| !plan.place(step.id).checked) {
        diagnostics.push(
            Diagnostic::warning(LINT.code, step.span, "nothing is expected of this step's answer")
                .note("any 2xx or 3xx passes: a login page, an empty list, an answer for somebody else")
                .help(
                    "write `expect: { status: 200 }`, and what the body must say: `json: { $.id: present }`",
                ),
        );
    }
}
