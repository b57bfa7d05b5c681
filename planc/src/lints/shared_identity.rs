//! More virtual users at once than accounts to log in with.

use super::{Lint, thousands, users};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Demand, Draw, DrawOrder, HttpStep, StepKind};
use crate::resolved::{ResolvedPlan, Scenario, walk};

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0429", name: "shared-identity" },
    page: include_str!("shared-identity.md"),
    check,
};

/// Parts of a column's name that tell what only one may know.
const CREDENTIALS: [&str; 4] = ["password", "passwd", "passphrase", "secret"];

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for scenario in plan.scenarios.iter().filter(|scenario| scenario.sound) {
        for draw in &scenario.scenario.draw {
            diagnostics.extend(shared(plan, scenario, draw));
        }
    }
}

/// Only closed models are sure to have all their users under way at once; in an open one that hangs on the target.
fn shared(plan: &ResolvedPlan, scenario: &Scenario, draw: &Draw) -> Option<Diagnostic> {
    let needed = match &scenario.scenario.demand {
        Demand::Arrivals { .. } => return None,
        demand => u64::from(demand.max_vus()),
    };
    // These two give each user a row of its own, or say themselves that they cannot.
    if matches!(draw.order, DrawOrder::PerVu | DrawOrder::Exclusive) {
        return None;
    }
    let fixture = plan.fixture(&draw.fixture)?;
    let rows = fixture.fixture.rows;
    if needed <= rows || !logs_in(scenario, &draw.binding) {
        return None;
    }
    let span = scenario.draws.get(&draw.binding).copied().unwrap_or(scenario.span);
    let (shown, had) = (thousands(needed as f64), thousands(rows as f64));
    let message = format!("{shown} virtual users log in at once, and `{}` has {had} rows", draw.fixture);
    let over = thousands((needed - rows) as f64);
    Some(
        Diagnostic::warning(LINT.code, span, message)
            .also(fixture.span, format!("{had} rows"))
            .note(format!("{shown} − {had} = {over}: so many at least use an account that another is using"))
            .help(format!("seed `rows: {needed}`, or play with {}", users(rows as f64))),
    )
}

/// Whether an iteration sends a credential of the drawn row.
fn logs_in(scenario: &Scenario, binding: &str) -> bool {
    let mut found = false;
    walk(&scenario.scenario.steps, &mut |step| {
        if let StepKind::Http(http) = &step.kind {
            found |= http.request.method == "POST" && sends_credential(http, binding);
        }
    });
    found
}

fn sends_credential(http: &HttpStep, binding: &str) -> bool {
    let mut found = false;
    let mut see = |path: &[String]| {
        if let [root, column, ..] = path {
            let column = column.to_ascii_lowercase();
            found |= root == binding && CREDENTIALS.iter().any(|word| column.contains(word));
        }
    };
    if let Some(body) = &http.request.body {
        body.paths(&mut see);
    }
    found
}
