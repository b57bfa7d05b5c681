//! More load than the endpoint is declared to take.

use super::{Lint, peak, thousands};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::Demand;
use crate::resolve::{Family, emitters};
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0415", name: "limit-exceeded" },
    page: include_str!("limit-exceeded.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let limited =
        || plan.endpoints.iter().filter_map(|(name, endpoint)| Some((name, endpoint, endpoint.limit?)));
    if limited().next().is_none() {
        return;
    }
    let emitters = emitters(plan);
    for (name, endpoint, limit) in limited() {
        for scenario in plan.scenarios.iter().filter(|scenario| scenario.sound) {
            let Demand::Arrivals { start_rate, pieces, .. } = &scenario.scenario.demand else { continue };
            let calls: u64 = emitters
                .iter()
                .filter(|emitter| emitter.family == Family::Http)
                .filter(|emitter| emitter.scenario.as_ref() == Some(&scenario.scenario.name))
                .filter(|emitter| emitter.tags.get("endpoint").is_some_and(|tag| tag.can_be(name)))
                .map(|emitter| emitter.weight)
                .sum();
            let offered = peak(start_rate, pieces) * calls as f64 / 1e6;
            if offered <= limit.per_second() {
                continue;
            }
            let span = scenario.options.get("rate").or_else(|| scenario.options.get("stages"));
            let message = format!("`{name}` is offered {}/s, and its limit is {limit}", thousands(offered));
            diagnostics.push(
                Diagnostic::warning(LINT.code, span.copied().unwrap_or(scenario.span), message)
                    .also(endpoint.span, "the limit")
                    .help("lower the rate, or leave `limit` out where refusals are what is tested"),
            );
        }
    }
}
