//! Lints: one file and one page each, one line here.
//!
//! A lint reads the resolved plan and never the text; it says nothing about what failed to resolve. What can give a
//! false verdict is an error, what is likely not meant is a warning.

mod censored_gate;
mod contradiction;
mod correlated_columns;
mod dead_abort;
mod host_not_allowed;
mod latency_without_errors;
mod lengths;
mod limit_exceeded;
mod literal_secret;
mod no_gates;
mod order;
mod outcome_in_tag;
mod parts;
mod placeholder_value;
mod pool_decides;
mod pool_exceeds_connections;
mod redundant_threshold;
mod reused_connections;
mod rotting_rows;
mod scope_missing;
mod settling;
mod shared_identity;
mod slack_validity;
mod suspicious_unit;
mod tautology;
mod token_outlived;
mod unchecked_step;
mod under_sampled;
mod ungated_refusals;
mod ungated_step;
mod unguarded_write;
mod unreachable_stage;
mod unseeded_draw;
mod unused_capture;
mod unused_endpoint;
mod unused_fixture;
mod unused_input;
mod unused_metric;
mod unused_token;
mod used_nonce;
mod vacuous_threshold;

use crate::diagnostic::{Code, Diagnostics};
use crate::graph::{Demand, Expected, HttpStep, StatusPattern};
use crate::resolved::{ResolvedPlan, decides};
use crate::units::Rate;
use std::time::Duration;
pub(crate) use under_sampled::expected as expected_samples;

/// One lint.
pub(crate) struct Lint {
    pub(crate) code: Code,
    /// What `planc explain` prints; its examples are run as tests.
    pub(crate) page: &'static str,
    pub(crate) check: fn(&ResolvedPlan, &mut Diagnostics),
}

/// All lints, in order of their codes.
pub(crate) const LINTS: &[Lint] = &[
    no_gates::LINT,
    vacuous_threshold::LINT,
    suspicious_unit::LINT,
    latency_without_errors::LINT,
    scope_missing::LINT,
    unseeded_draw::LINT,
    unguarded_write::LINT,
    host_not_allowed::LINT,
    under_sampled::LINT,
    pool_decides::LINT,
    unused_input::LINT,
    unused_token::LINT,
    unused_fixture::LINT,
    unused_endpoint::LINT,
    literal_secret::LINT,
    limit_exceeded::LINT,
    tautology::LINT,
    contradiction::LINT,
    redundant_threshold::LINT,
    censored_gate::LINT,
    dead_abort::LINT,
    unreachable_stage::LINT,
    slack_validity::LINT,
    ungated_refusals::LINT,
    ungated_step::LINT,
    unchecked_step::LINT,
    unused_capture::LINT,
    unused_metric::LINT,
    token_outlived::LINT,
    shared_identity::LINT,
    pool_exceeds_connections::LINT,
    placeholder_value::LINT,
    outcome_in_tag::LINT,
    reused_connections::LINT,
    rotting_rows::LINT,
    correlated_columns::LINT,
    used_nonce::LINT,
];

pub(crate) use pool_exceeds_connections::CODE as POOL_EXCEEDS_CONNECTIONS;

/// What can be allowed: every lint, those included that only the living world can tell.
pub(crate) fn codes() -> impl Iterator<Item = Code> {
    LINTS.iter().map(|lint| lint.code).chain(crate::codes::LIVE.iter().copied())
}

/// Runs all lints.
pub(crate) fn run(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for lint in LINTS {
        (lint.check)(plan, diagnostics);
    }
}

/// Whether a step takes no refusal for an answer.
fn wants_success(http: &HttpStep) -> bool {
    let success = |pattern: &StatusPattern| match pattern {
        StatusPattern::Exact(status) => *status == 101 || (200..400).contains(status),
        StatusPattern::Class(class) => matches!(class, 2 | 3),
    };
    http.expect.iter().all(|expect| match &expect.what {
        Expected::Status(statuses) => statuses.iter().all(success),
        _ => true,
    })
}

/// What no sample can reach, alone: of a graph without its plan nothing else can be told.
pub(crate) fn vacuous(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    (vacuous_threshold::LINT.check)(plan, diagnostics);
}

/// Iterations that a demand asks for; `None` when that hangs on how fast the target is.
pub(crate) fn iterations(demand: &Demand) -> Option<f64> {
    match demand {
        Demand::Users { .. } => None,
        Demand::Iterations { vus, iterations, shared, .. } => {
            Some(*iterations as f64 * if *shared { 1.0 } else { f64::from(*vus) })
        }
        Demand::Arrivals { start_rate, pieces, .. } => {
            let mut rate = start_rate.per_second();
            let mut sum = 0.0;
            for piece in pieces {
                let held = piece.hold.as_ref().map_or(Duration::ZERO, |hold| hold.within);
                let target = piece.target.per_second();
                sum += (rate + target) / 2.0 * piece.duration.as_secs_f64() + target * held.as_secs_f64();
                rate = target;
            }
            Some(sum)
        }
    }
}

/// The highest rate of an open model.
pub(crate) fn peak(start_rate: &Rate, pieces: &[crate::graph::RatePiece]) -> f64 {
    // A start rate that is left at once by a jump is never played.
    let jumps = pieces.first().is_some_and(|piece| piece.duration == Duration::ZERO);
    let start = if jumps { 0.0 } else { start_rate.per_second() };
    pieces.iter().map(|piece| piece.target.per_second()).fold(start, f64::max)
}

/// `12,345`.
pub(crate) fn thousands(number: f64) -> String {
    crate::units::grouped(number.max(0.0).round() as u64)
}

/// `1 virtual user`, `1,200 virtual users`.
pub(crate) fn users(number: f64) -> String {
    format!("{} virtual user{}", thousands(number), if number == 1.0 { "" } else { "s" })
}
