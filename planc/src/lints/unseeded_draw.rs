//! A draw that needs more rows than are seeded.

use super::{Lint, iterations, thousands};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Draw, DrawOrder};
use crate::resolved::{ResolvedPlan, Scenario};

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0405", name: "unseeded-draw" }, page: include_str!("unseeded-draw.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for scenario in plan.scenarios.iter().filter(|scenario| scenario.sound) {
        for draw in &scenario.scenario.draw {
            diagnostics.extend(misfit(plan, scenario, draw));
        }
    }
}

fn misfit(plan: &ResolvedPlan, scenario: &Scenario, draw: &Draw) -> Option<Diagnostic> {
    let fixture = plan.fixture(&draw.fixture)?;
    let rows = fixture.fixture.rows as f64;
    let (needed, what) = match draw.order {
        DrawOrder::PerVu => {
            (f64::from(scenario.scenario.demand.max_vus()), "virtual users, each with its own row")
        }
        DrawOrder::Exclusive => {
            (iterations(&scenario.scenario.demand)?.floor(), "iterations, each with a row of its own")
        }
        DrawOrder::RoundRobin | DrawOrder::Random | DrawOrder::Shuffle => return None,
    };
    if needed <= rows {
        return None;
    }
    let span = scenario.draws.get(&draw.binding).copied().unwrap_or(scenario.span);
    let (needed, rows) = (thousands(needed), thousands(rows));
    Some(
        Diagnostic::error(
            LINT.code,
            span,
            format!("{needed} {what}, and `{}` has {rows} rows", draw.fixture),
        )
        .also(fixture.span, format!("{rows} rows"))
        .help(format!("seed `rows: {}`, or lower the load", needed.replace(',', "_"))),
    )
}
