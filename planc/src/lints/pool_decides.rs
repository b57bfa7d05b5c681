//! A pool of virtual users so small that its size, not the target, decides a latency gate.

use super::lengths::pauses;
use super::{Lint, decides, thousands, users};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Bound, Comparison, Demand, RatePiece};
use crate::resolve::{Family, family, is_latency};
use crate::resolved::{Gate, ResolvedPlan, Scenario};
use crate::source::Span;
use crate::units::{Rate, show_duration};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0409", name: "pool-decides" }, page: include_str!("pool-decides.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let gates = loosest(plan);
    for scenario in plan.scenarios.iter().filter(|scenario| scenario.sound) {
        let loosest = gates.get(scenario.scenario.name.as_str()).copied();
        let loosest = loosest.filter(|_| !plan.lost.steps);
        let drained = if plan.lost.steps { None } else { drained(scenario, loosest) };
        let slow = || loosest.and_then(|(bound, gate)| misfit(scenario, bound, gate));
        diagnostics.extend(drained.or_else(slow));
    }
}

/// The gate on latency with the highest bound, by the scenario whose drops count in it.
fn loosest(plan: &ResolvedPlan) -> BTreeMap<&str, (Duration, &Gate)> {
    let mut out: BTreeMap<&str, (Duration, &Gate)> = BTreeMap::new();
    for gate in plan.gates.iter().filter(|gate| decides(&gate.gate) && is_latency(&gate.gate.metric)) {
        let Some(bound) = bound(gate) else { continue };
        for scenario in gate.gate.drops.keys() {
            let known = out.entry(scenario).or_insert((bound, gate));
            if bound >= known.0 {
                *known = (bound, gate);
            }
        }
    }
    out
}

fn bound(gate: &Gate) -> Option<Duration> {
    match gate.gate.bound {
        Bound::Duration(bound) if matches!(gate.gate.op, Comparison::Lt | Comparison::Le) => Some(bound),
        _ => None,
    }
}

/// Pauses alone keep more virtual users busy than there are, however fast the target is.
fn drained(scenario: &Scenario, loosest: Option<(Duration, &Gate)>) -> Option<Diagnostic> {
    let demand = scenario.scenario.demand.plain();
    let Demand::Arrivals { start_rate, pieces, max_vus, .. } = &demand else { return None };
    let pauses = pauses(&scenario.scenario.steps);
    let rate = kept(*start_rate, pieces, pauses)?;
    let busy = busy(rate, pauses);
    if busy <= u128::from(*max_vus) * NANO {
        return None;
    }
    let whole_time =
        loosest.map_or(pauses, |(bound, gate)| waited(gate, pauses).saturating_add(bound).max(pauses));
    let name = &scenario.scenario.name;
    let message = format!("pauses alone use up the pool of `{name}`, however fast the target is");
    let diagnostic = Diagnostic::warning(LINT.code, place(scenario), message).note(format!(
        "{} × pauses of {} = {}, and there {} {}",
        shown(rate),
        show_duration(pauses),
        needed(busy),
        if *max_vus == 1 { "is" } else { "are" },
        thousands(f64::from(*max_vus))
    ));
    let twice = 2 * whole(self::busy(rate, whole_time));
    let what = if whole_time == pauses { "the pauses need" } else { "the pauses and the bound need" };
    Some(diagnostic.help(format!("write `max_vus: {twice}`, twice what {what}")))
}

fn place(scenario: &Scenario) -> Span {
    let options = &scenario.options;
    options.get("max_vus").or_else(|| options.get("pre_allocated_vus")).copied().unwrap_or(scenario.span)
}

/// The pool is used up by requests that are still within the bound.
fn misfit(scenario: &Scenario, bound: Duration, gate: &Gate) -> Option<Diagnostic> {
    let demand = scenario.scenario.demand.plain();
    let Demand::Arrivals { start_rate, pieces, max_vus, .. } = &demand else { return None };
    let pauses = waited(gate, pauses(&scenario.scenario.steps));
    let longest = |rate: Rate| u128::from(*max_vus) * rate.per.as_nanos() / u128::from(rate.count.max(1));
    let short = |rate: &Rate, time: Duration| rate.count > 0 && longest(*rate) < time.as_nanos();
    let whole_time = pauses.saturating_add(bound);
    // A rate that is not kept for a whole iteration is sure to find virtual users that a request keeps, and no more.
    let (rate, pauses) = match kept(*start_rate, pieces, whole_time).filter(|rate| short(rate, whole_time)) {
        Some(rate) => (rate, pauses),
        None => (highest(*start_rate, pieces).filter(|rate| short(rate, bound))?, Duration::ZERO),
    };
    let longest = Duration::from_nanos(u64::try_from(longest(rate)).ok()?);
    let takes = show_duration(Duration::from_micros(longest.as_micros() as u64));
    let allowed = show_duration(bound);
    let (message, time, what) = if pauses.is_zero() {
        (format!("before it can take {allowed}"), allowed.clone(), "the bound needs")
    } else {
        let (left, kept) = (longest.saturating_sub(pauses), show_duration(pauses));
        let left = show_duration(Duration::from_micros(left.as_micros() as u64));
        let message = format!("which pauses of {kept} leave {left} of, and the bound is {allowed}");
        (message, format!("(pauses of {kept} + bound {allowed})"), "the pauses and the bound need")
    };
    let message = format!("the pool is used up once an iteration takes {takes}, {message}");
    let busy = busy(rate, pauses.saturating_add(bound));
    Some(
        // Little's law: so long may an iteration take before every virtual user is busy.
        Diagnostic::warning(LINT.code, place(scenario), message)
            .also(gate.span, "the bound")
            .note(format!("{} ÷ {} = {takes}", users(f64::from(*max_vus)), shown(rate)))
            .note(format!("{} × {time} = {} that {what} (Little's law)", shown(rate), needed(busy)))
            .help(format!("write `max_vus: {}`, twice what {what}", 2 * whole(busy))),
    )
}

/// The pauses that come on top of what the gate measures: a whole iteration or group has them in it.
fn waited(gate: &Gate, pauses: Duration) -> Duration {
    let of_requests = match family(&gate.gate.metric) {
        Family::Http | Family::Receive | Family::Ping => true,
        Family::Session => gate.gate.metric == "ws_connecting",
        _ => false,
    };
    if of_requests { pauses } else { Duration::ZERO }
}

/// One virtual user, in the unit of [`busy`].
const NANO: u128 = 1_000_000_000;

/// Virtual users that are busy at once, in billionths.
fn busy(rate: Rate, time: Duration) -> u128 {
    (u128::from(rate.count) * time.as_nanos()).saturating_mul(NANO) / rate.per.as_nanos().max(1)
}

fn whole(busy: u128) -> u128 {
    busy.div_ceil(NANO)
}

/// `40 virtual users`, `1.67, so 2 virtual users`.
fn needed(busy: u128) -> String {
    let needed = users(whole(busy) as f64);
    if busy.is_multiple_of(NANO) {
        return needed;
    }
    let hundredths = format!("{:.2}", busy as f64 / NANO as f64);
    // Rounded to a whole number it would contradict what follows.
    if hundredths.ends_with(".00") { needed } else { format!("{hundredths}, so {needed}") }
}

/// The highest rate that is kept for longer than that: only then are so many iterations side by side.
fn kept(start: Rate, pieces: &[RatePiece], time: Duration) -> Option<Rate> {
    let before = std::iter::once(start).chain(pieces.iter().map(|piece| piece.target));
    let kept = before
        .zip(pieces)
        .filter(|(before, piece)| before.per_second() == piece.target.per_second() && piece.duration > time);
    fastest(kept.map(|(rate, _)| rate))
}

/// The highest rate that is played.
fn highest(start: Rate, pieces: &[RatePiece]) -> Option<Rate> {
    // A start rate that is left at once by a jump is never played.
    let jumps = pieces.first().is_some_and(|piece| piece.duration.is_zero());
    fastest(pieces.iter().map(|piece| piece.target).chain((!jumps).then_some(start)))
}

fn fastest(rates: impl Iterator<Item = Rate>) -> Option<Rate> {
    rates.max_by(|a, b| a.per_second().total_cmp(&b.per_second()))
}

/// `10/m`, and `2.5/s` where the plan's fraction is folded into the period.
fn shown(rate: Rate) -> String {
    for (unit, seconds) in [("s", 1), ("m", 60), ("h", 3600)] {
        for decimals in 0..=6u32 {
            let scale = 10u64.pow(decimals);
            if rate.per == Duration::from_secs(seconds * scale) {
                let places = decimals as usize;
                let (whole, rest) = (rate.count / scale, rate.count % scale);
                let rest = format!("{rest:0places$}");
                let rest = if decimals == 0 { "" } else { rest.trim_end_matches('0') };
                let point = if rest.is_empty() { "" } else { "." };
                return format!("{whole}{point}{rest}/{unit}");
            }
        }
    }
    rate.to_string()
}
