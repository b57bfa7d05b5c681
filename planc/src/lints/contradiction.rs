//! Gates that no run can meet.

use super::order::{ceiling, floor, never_above, reason, related};
use super::{Lint, decides, iterations, thousands, users};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Aggregate, Bound, Demand, RatePiece, Step, StepKind};
use crate::resolve::{Family, family};
use crate::resolved::{Gate, ResolvedPlan, walk};
use crate::units::{Rate, show_duration};
use std::time::Duration;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0417", name: "contradiction" }, page: include_str!("contradiction.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let gates: Vec<&Gate> = plan.gates.iter().filter(|gate| gate.reachable && decides(&gate.gate)).collect();
    let mut alone = Vec::new();
    for gate in &gates {
        let found = by_itself(plan, gate);
        alone.push(found.is_some());
        diagnostics.extend(found);
    }
    for (at, others) in related(&gates).into_iter().enumerate() {
        for other in others.into_iter().filter(|other| *other > at && !alone[at] && !alone[*other]) {
            let (one, other) = (gates[at], gates[other]);
            diagnostics.extend(pair(plan, one, other).or_else(|| pair(plan, other, one)));
        }
    }
}

/// A gate that does not hold, whatever the others say.
fn by_itself(plan: &ResolvedPlan, gate: &Gate) -> Option<Diagnostic> {
    out_of_range(gate)
        .or_else(|| slower_than_timeout(plan, gate))
        .or_else(|| too_many(plan, gate))
        .or_else(|| too_fast(plan, gate))
        .or_else(|| too_many_users(plan, gate))
}

/// Whether this lint has something to say of a gate by itself, so that others need not.
pub(super) fn tells(plan: &ResolvedPlan, gate: &Gate) -> bool {
    by_itself(plan, gate).is_some()
}

/// A bound that no value of the metric meets.
fn out_of_range(gate: &Gate) -> Option<Diagnostic> {
    let (over, under) = (floor(&gate.gate), ceiling(&gate.gate));
    let is_negative = under.is_some_and(|end| end.value < 0 || (end.value == 0 && end.strict));
    let why = match gate.gate.bound {
        Bound::Share(share) if over.is_some_and(|end| end.strict) && share.0 == 1_000_000 => {
            "a rate is never over 100%"
        }
        Bound::Share(_) if is_negative => "a rate is never under 0%",
        Bound::Duration(_) if is_negative => "no time is under 0",
        Bound::Number(_)
            if is_negative && matches!(gate.gate.aggregate, Aggregate::Count | Aggregate::Rate) =>
        {
            "a count is never under 0"
        }
        _ => return None,
    };
    Some(impossible(gate).note(why).help("write a bound that can be met, or remove the gate"))
}

fn impossible(gate: &Gate) -> Diagnostic {
    let message = format!("`{}` never holds, so this gate always fails", gate.gate.condition());
    Diagnostic::error(LINT.code, gate.span, message)
}

/// At least so slow, where a request is cut off before.
fn slower_than_timeout(plan: &ResolvedPlan, gate: &Gate) -> Option<Diagnostic> {
    let Bound::Duration(bound) = gate.gate.bound else { return None };
    let timeout = super::redundant_threshold::longest_timeout(plan, gate)?;
    let of_answers = matches!(gate.gate.aggregate, Aggregate::Min | Aggregate::Avg);
    if !of_answers || floor(&gate.gate).is_none() || bound <= timeout {
        return None;
    }
    let (bound, timeout) = (show_duration(bound), show_duration(timeout));
    let message = format!("`{}` holds of no request that is answered", gate.gate.condition());
    Some(
        Diagnostic::error(LINT.code, gate.span, message)
            .note(format!(
                "timeout {timeout} < bound {bound}: a request that takes longer is cut off and has failed"
            ))
            .help("write a bound under the timeout, or a longer `timeout`"),
    )
}

/// More samples than the load can give, or more than it can have given when the gate is first asked whether to abort.
fn too_many(plan: &ResolvedPlan, gate: &Gate) -> Option<Diagnostic> {
    let Bound::Number(bound) = gate.gate.bound else { return None };
    let end = floor(&gate.gate).filter(|_| gate.gate.aggregate == Aggregate::Count)?;
    let of_answers = matches!(gate.gate.metric.as_str(), "http_reqs" | "iterations" | "ws_sessions");
    if !of_answers || !gate.counted || plan.lost.steps {
        return None;
    }
    let asked = thousands(bound.as_f64());
    let short =
        |most: &Most| most.sum * 1e6 < end.value as f64 || (end.strict && most.sum * 1e6 <= end.value as f64);
    if let Some(most) = most(plan, gate, None).filter(short) {
        let sum = thousands(most.sum);
        return Some(
            most.terms
                .into_iter()
                .fold(impossible(gate), Diagnostic::note)
                .note(format!("at most {sum} in all, and {asked} are asked for"))
                .help("lower the bound, or raise the rate or the duration"),
        );
    }
    // A part is looked at when it is over.
    if !gate.gate.abort_on_fail || !gate.gate.over.is_load() {
        return None;
    }
    // Looked at once a second: the first look is within a second of the delay, or of the start.
    let first = gate.gate.delay_abort_eval.saturating_add(Duration::from_secs(2));
    let most = most(plan, gate, Some(first)).filter(short)?;
    let message = format!("`{}` ends the run before it can hold", gate.gate.condition());
    let sum = thousands(most.sum);
    Some(
        most.terms
            .into_iter()
            .fold(Diagnostic::error(LINT.code, gate.span, message), Diagnostic::note)
            .note(format!(
                "delay_abort_eval {}: at most {sum} have come when the gate is first looked at, and {asked} are asked for",
                show_duration(gate.gate.delay_abort_eval)
            ))
            .help("leave out `abort_on_fail`: a floor under a count holds at the end at the earliest"),
    )
}

/// More a second than the load can give, which lasts at least as long as the longest of its scenarios.
fn too_fast(plan: &ResolvedPlan, gate: &Gate) -> Option<Diagnostic> {
    let Bound::Number(bound) = gate.gate.bound else { return None };
    let of_answers = matches!(gate.gate.metric.as_str(), "http_reqs" | "iterations" | "ws_sessions");
    let smoke = plan.scenarios.iter().any(|scenario| scenario.scenario.smoke || !scenario.sound);
    let of_rate = gate.gate.aggregate == Aggregate::Rate && floor(&gate.gate).is_some();
    if !of_answers || !of_rate || smoke || !gate.counted || plan.lost.steps || !gate.gate.over.is_load() {
        return None;
    }
    let timed = plan.scenarios.iter().map(|scenario| &scenario.scenario.demand);
    let timed = timed.filter(|demand| !matches!(demand, Demand::Iterations { .. }));
    let lasts = timed.map(Demand::duration).max().filter(|lasts| !lasts.is_zero())?;
    let most = most(plan, gate, None)?;
    let rate = most.sum / lasts.as_secs_f64();
    // The last arrival may end the load a little before its time is up.
    if bound.as_f64() <= rate * 1.1 {
        return None;
    }
    let asked = bound.to_string();
    let found = most.terms.into_iter().fold(impossible(gate), Diagnostic::note);
    Some(
        found
            .note(format!(
                "at most {} in all ÷ {} or more = {}/s, and {asked}/s are asked for",
                thousands(most.sum),
                show_duration(lasts),
                short(rate)
            ))
            .help("lower the bound, or raise the rate"),
    )
}

/// `33.3`, `2,200`.
fn short(rate: f64) -> String {
    if rate >= 100.0 || rate.fract() == 0.0 { thousands(rate) } else { format!("{rate:.1}") }
}

/// More virtual users than all scenarios have together.
fn too_many_users(plan: &ResolvedPlan, gate: &Gate) -> Option<Diagnostic> {
    let Bound::Number(bound) = gate.gate.bound else { return None };
    let end = floor(&gate.gate)?;
    let of_users = matches!(gate.gate.metric.as_str(), "vus" | "vus_max")
        && matches!(gate.gate.aggregate, Aggregate::Value | Aggregate::Min | Aggregate::Max);
    if !of_users || plan.scenarios.iter().any(|scenario| !scenario.sound) {
        return None;
    }
    let had: u64 = plan.scenarios.iter().map(|scenario| u64::from(scenario.scenario.demand.max_vus())).sum();
    let had_parts = i128::from(had) * 1_000_000;
    if had_parts > end.value || (had_parts == end.value && !end.strict) {
        return None;
    }
    let parts = plan.scenarios.iter().map(|scenario| {
        format!("`{}` {}", scenario.scenario.name, thousands(f64::from(scenario.scenario.demand.max_vus())))
    });
    let parts: Vec<String> = parts.collect();
    Some(
        impossible(gate)
            .note(format!(
                "at most {} in all ({}), and {} are asked for",
                users(had as f64),
                parts.join(", "),
                thousands(bound.as_f64())
            ))
            .help("lower the bound, or write a larger pool"),
    )
}

/// A ceiling on the samples of a gate.
struct Most {
    sum: f64,
    /// The arithmetic, by scenario.
    terms: Vec<String>,
}

fn most(plan: &ResolvedPlan, gate: &Gate, until: Option<Duration>) -> Option<Most> {
    let mut out = Most { sum: 0.0, terms: Vec::new() };
    for (name, weight) in &gate.expected {
        let scenario = plan.scenario(name)?;
        let (lot, hops) = chances(&scenario.scenario.steps, gate);
        if !scenario.sound || lot {
            return None;
        }
        let demand = &scenario.scenario.demand.plain();
        let iterations = match (until, demand) {
            (None, _) => iterations(demand)?.ceil(),
            (Some(until), Demand::Arrivals { start_rate, pieces, .. }) => arrivals(start_rate, pieces, until),
            (Some(_), _) => return None,
        };
        let mut each = (weight / 1_000_000) as f64;
        let mut why = String::new();
        if family(&gate.gate.metric) == Family::Http && hops > 0 {
            each *= f64::from(1 + hops);
            why = format!(" (up to {hops} redirects included)");
        }
        let (shown, sum) = (thousands(iterations), thousands(iterations * each));
        out.sum += iterations * each;
        out.terms.push(format!("`{name}`: {shown} iterations × {}{why} = {sum}", thousands(each)));
    }
    (!out.terms.is_empty()).then_some(out)
}

/// Whether it is drawn by lot how often an iteration feeds the gate, and the redirects that a request of it may follow.
fn chances(steps: &[Step], gate: &Gate) -> (bool, u32) {
    let (mut lot, mut hops) = (false, 0);
    walk(steps, &mut |step| match &step.kind {
        StepKind::Http(http) if gate.gate.steps.contains(&step.id) => hops = hops.max(http.request.redirects),
        StepKind::Choose(branches) => {
            for branch in branches {
                walk(&branch.steps, &mut |inner| lot |= gate.gate.steps.contains(&inner.id));
            }
        }
        _ => {}
    });
    (lot, hops)
}

/// Iterations that can have started by then, with the piece that is cut at its highest rate.
fn arrivals(start_rate: &Rate, pieces: &[RatePiece], until: Duration) -> f64 {
    let (mut rate, mut left, mut sum) = (start_rate.per_second(), until, 0.0);
    for piece in pieces {
        let target = piece.target.per_second();
        let played = piece.duration.min(left);
        let mean = if played < piece.duration { rate.max(target) } else { (rate + target) / 2.0 };
        sum += mean * played.as_secs_f64();
        left = left.saturating_sub(piece.duration);
        rate = target;
    }
    sum.ceil()
}

/// Two gates of which one must be over what the other must be under.
fn pair(plan: &ResolvedPlan, low: &Gate, high: &Gate) -> Option<Diagnostic> {
    let (over, under) = (floor(&low.gate)?, ceiling(&high.gate)?);
    let apart = over.value > under.value || (over.value == under.value && (over.strict || under.strict));
    if !apart || !never_above(plan, &low.gate, &high.gate) {
        return None;
    }
    let (first, second) = if low.span <= high.span { (low, high) } else { (high, low) };
    let message =
        format!("`{}` and `{}` never hold together", first.gate.condition(), second.gate.condition());
    let mut diagnostic = Diagnostic::error(LINT.code, second.span, message)
        .also(first.span, "whenever this holds, the other breaks");
    if let Some(reason) = reason(&low.gate, &high.gate) {
        diagnostic = diagnostic.note(reason);
    }
    Some(diagnostic.help(format!("keep the one that is meant for `{}`", second.gate.subject())))
}
