//! A plan that switches off what would make its run invalid.

use super::{Lint, decides, thousands};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Aggregate, Bound};
use crate::resolve::is_latency;
use crate::resolved::{Gate, ResolvedPlan};
use crate::units::{PartsPerMillion, show_duration};

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0422", name: "slack-validity" },
    page: include_str!("slack-validity.md"),
    check,
};

/// Less of the load than this says little of the load that was asked for.
const LEAST_ACHIEVED: PartsPerMillion = PartsPerMillion(900_000);

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let deciding = || plan.gates.iter().filter(|gate| gate.reachable && decides(&gate.gate));
    diagnostics.extend(deciding().filter_map(few_samples));
    diagnostics.extend(late(plan, deciding()));
    diagnostics.extend(not_applied(plan));
}

/// `min_samples` under half of what the claim needs.
fn few_samples(gate: &Gate) -> Option<Diagnostic> {
    let asked = gate.gate.min_samples;
    if !gate.own_min_samples || asked.saturating_mul(2) >= gate.needed {
        return None;
    }
    // The chance that one sample is on the right side although the claim is false.
    let share = match (gate.gate.aggregate, gate.gate.bound) {
        (Aggregate::Percentile(percent), _) => percent.as_f64() / 100.0,
        (Aggregate::Med, _) => 0.5,
        (Aggregate::Rate, Bound::Share(share)) => 1.0 - share.as_f64(),
        _ => return None,
    };
    let sure = (1.0 - share.powf(asked as f64)) * 100.0;
    let needed = thousands(gate.needed as f64);
    let message = format!(
        "`{}` is judged on {} samples and needs {needed}",
        gate.gate.condition(),
        thousands(asked as f64)
    );
    let sure = if sure < 10.0 { format!("{sure:.1}") } else { format!("{sure:.0}") };
    Some(
        Diagnostic::warning(LINT.code, gate.span, message)
            .note(format!(
                "that many samples, all of them good, show it with {sure} % certainty; {needed} do with 95 %"
            ))
            .help("leave `min_samples` out, or claim less"),
    )
}

/// A generator that may be as late as the target may be slow.
fn late<'a>(plan: &ResolvedPlan, gates: impl Iterator<Item = &'a Gate>) -> Option<Diagnostic> {
    let span = plan.health_places.lateness_p99?;
    let bounds = gates.filter_map(|gate| match gate.gate.bound {
        Bound::Duration(bound)
            if is_latency(&gate.gate.metric) && super::order::ceiling(&gate.gate).is_some() =>
        {
            Some((bound, gate))
        }
        _ => None,
    });
    let (bound, gate) = bounds.min_by_key(|(bound, _)| *bound)?;
    let limit = plan.health.lateness_p99;
    if limit < bound {
        return None;
    }
    let (limit, shown) = (show_duration(limit), show_duration(bound));
    Some(
        Diagnostic::warning(LINT.code, span, "a generator may be as late as the target may be slow")
            .also(gate.span, "the tightest bound")
            .note(format!(
                "lateness_p99 {limit} ≥ bound {shown}: what the generator is late by is in what it measures"
            ))
            .help(format!(
                "write `lateness_p99: {}`, a tenth of the bound, or less",
                show_duration(bound / 10)
            )),
    )
}

fn not_applied(plan: &ResolvedPlan) -> Option<Diagnostic> {
    let span = plan.health_places.achieved?;
    let achieved = plan.health.achieved;
    if achieved >= LEAST_ACHIEVED {
        return None;
    }
    let missing = PartsPerMillion(1_000_000 - achieved.0.min(1_000_000));
    Some(
        Diagnostic::warning(
            LINT.code,
            span,
            format!("a run that leaves out {missing} of its load is taken as valid"),
        )
        .note("the default is 99%: what was not sent was not served either")
        .help(format!("write `achieved: {LEAST_ACHIEVED}` or more, or leave it out")),
    )
}
