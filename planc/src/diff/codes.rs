//! The named weakenings, with their pages: what each means, and a plan before and after.

use crate::Page;
use crate::diagnostic::Code;

macro_rules! codes {
    ($($name:ident = $id:literal $kebab:literal,)*) => {
        $(pub(super) const $name: Code = Code { id: $id, name: $kebab };)*

        /// Pages of all codes above, in order.
        pub(crate) const PAGES: &[Page] = &[
            $(Page { code: $id, name: $kebab, text: include_str!(concat!("pages/", $kebab, ".md")) },)*
        ];
    };
}

codes! {
    GATE_REMOVED = "P0500" "gate-removed",
    GATE_LOOSENED = "P0501" "gate-loosened",
    GATE_NARROWED = "P0502" "gate-narrowed",
    SELECTOR_WIDENED = "P0503" "selector-widened",
    GATE_VACUOUS = "P0504" "gate-vacuous",
    EXPECTATION_WEAKENED = "P0505" "expectation-weakened",
    DURATION_CUT = "P0506" "duration-cut",
    LOAD_REDUCED = "P0507" "load-reduced",
    POOL_REDUCED = "P0508" "pool-reduced",
    SCENARIO_REMOVED = "P0509" "scenario-removed",
    STEP_REMOVED = "P0510" "step-removed",
    SEED_REDUCED = "P0511" "seed-reduced",
    GUARD_WEAKENED = "P0512" "guard-weakened",
    SCOPE_CHANGED = "P0513" "scope-changed",
    LIMIT_RAISED = "P0514" "limit-raised",
    REPORT_REMOVED = "P0515" "report-removed",
    PROFILE_REMOVED = "P0516" "profile-removed",
    FINDING_ALLOWED = "P0517" "finding-allowed",
    RUNS_LESS = "P0530" "runs-less",
    STREAK_SHORTENED = "P0531" "streak-shortened",
}
