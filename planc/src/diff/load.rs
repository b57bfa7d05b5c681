//! Load: how long, how much, by how many, in which model.

use super::change::{Change, quoted};
use super::codes;
use super::gates::orphans;
use super::holds;
use super::leaves;
use super::pairs::Pairs;
use super::visits::rest;
use crate::graph::{Bound, Comparison, Demand, Gate, Scenario};
use crate::lints::{iterations, peak, thousands};
use crate::resolve::is_latency;
use crate::source::Span;
use crate::units::count;
use crate::units::show_duration;
use std::time::Duration;

pub(super) fn compare(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    for old in &pairs.scenarios.removed {
        let change = Change::weaker(codes::SCENARIO_REMOVED, subject(old), "is gone").note(words(old));
        let gone = |gate: &Gate| {
            let of_it = |steps: &[crate::graph::Step]| {
                super::visits::visits(steps).iter().any(|visit| gate.steps.contains(&visit.step.id))
            };
            let all = pairs.gone();
            gate.selector.get("scenario") == Some(&old.name)
                || (of_it(&old.steps) || of_it(&old.setup))
                    && gate.steps.iter().all(|step| all.contains(step))
        };
        out.push(orphans(pairs, &gone).into_iter().fold(change, Change::note));
    }
    for new in &pairs.scenarios.added {
        let span = pairs.new.origin(&format!("scenarios.{}", new.name));
        out.push(Change::stronger(subject(new), "is new").note(words(new)).at(span));
    }
    for (old, new) in &pairs.scenarios.both {
        let span = pairs.new.origin(&format!("scenarios.{}", new.name));
        if old.name != new.name {
            let message = format!("was {}, all else is equal", quoted(&old.name));
            out.push(Change::neutral(subject(new), message).at(span));
        }
        let told = out.len();
        demand(old, new, span, out);
        pool(pairs, old, new, span, out);
        pauses(old, new, span, out);
        others(pairs, old, new, span, told, out);
    }
}

fn subject(scenario: &Scenario) -> String {
    format!("scenario {}", quoted(&scenario.name))
}

/// The load in one line.
fn words(scenario: &Scenario) -> String {
    let demand = &scenario.demand;
    let lasts = show_duration(demand.duration());
    match demand {
        Demand::Arrivals { start_rate, pieces, .. } => {
            let iterations =
                iterations(demand).map_or(String::new(), |n| format!(", {} iterations", thousands(n)));
            format!("up to {}/s for {lasts}{iterations}", decimal(peak(start_rate, pieces)))
        }
        Demand::Users { .. } => format!("{} for {lasts}", count(u64::from(demand.max_vus()), "virtual user")),
        Demand::Iterations { .. } => {
            let n = iterations(demand).unwrap_or_default();
            format!("{} iterations by {}", thousands(n), count(u64::from(demand.max_vus()), "virtual user"))
        }
    }
}

/// `167`, `0.5`.
fn decimal(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// How much a demand asks for at its height and on average, and in which unit.
fn level(demand: &Demand) -> (f64, f64, &'static str) {
    let seconds = demand.duration().as_secs_f64();
    let over = |sum: f64| if seconds > 0.0 { sum / seconds } else { 0.0 };
    match demand {
        Demand::Arrivals { start_rate, pieces, .. } => {
            let mean = iterations(demand).map_or(0.0, over);
            (peak(start_rate, pieces), mean, "iterations/s")
        }
        Demand::Users { start_vus, pieces, .. } => {
            let (mut from, mut sum) = (f64::from(*start_vus), 0.0);
            for piece in pieces {
                let to = f64::from(piece.target);
                let held = piece.hold.as_ref().map_or(0.0, |hold| hold.within.as_secs_f64());
                sum += (from + to) / 2.0 * piece.duration.as_secs_f64() + to * held;
                from = to;
            }
            (f64::from(demand.max_vus()), over(sum), "virtual users")
        }
        Demand::Iterations { .. } => {
            let all = iterations(demand).unwrap_or_default();
            (all, all, "iterations")
        }
    }
}

fn demand(old: &Scenario, new: &Scenario, span: Option<Span>, out: &mut Vec<Change>) {
    let (o, n) = (&old.demand, &new.demand);
    if std::mem::discriminant(o) != std::mem::discriminant(n) {
        return model(old, new, span, out);
    }
    let counted = matches!(o, Demand::Iterations { .. });
    let (before, after) = (o.duration(), n.duration());
    if !counted && before != after {
        let message = format!("lasts {} instead of {}", show_duration(after), show_duration(before));
        let mut change = match after < before {
            true => Change::weaker(codes::DURATION_CUT, subject(new), message),
            false => Change::stronger(subject(new), message),
        };
        if let Some((before, after)) = iterations(o).zip(iterations(n)) {
            change = change.note(format!("{} iterations instead of {}", thousands(after), thousands(before)));
        }
        out.push(change.at(span));
    }
    holds::compare(o, n, &subject(new), span, out);
    let ((o_peak, o_mean, unit), (n_peak, n_mean, _)) = (level(o), level(n));
    let differs = |o: f64, n: f64| (o - n).abs() > o.abs() * 1e-6;
    let users = counted && o.max_vus() != n.max_vus();
    let (o_most, n_most) = if differs(o_peak, n_peak) { (o_peak, n_peak) } else { (o_mean, n_mean) };
    let kind = if counted || differs(o_peak, n_peak) { "" } else { " on average" };
    if differs(o_most, n_most) {
        let message = format!("asks for {} {unit}{kind} instead of {}", decimal(n_most), decimal(o_most));
        let note =
            format!("{} ÷ {} = {}%", decimal(n_most), decimal(o_most), decimal(n_most / o_most * 100.0));
        out.push(match n_most < o_most {
            true => Change::weaker(codes::LOAD_REDUCED, subject(new), message).note(note).at(span),
            false => Change::stronger(subject(new), message).at(span),
        });
    }
    if users {
        let message = format!(
            "{} at once instead of {}",
            count(u64::from(n.max_vus()), "virtual user"),
            thousands(f64::from(o.max_vus()))
        );
        out.push(match n.max_vus() < o.max_vus() {
            true => Change::weaker(codes::LOAD_REDUCED, subject(new), message).at(span),
            false => Change::stronger(subject(new), message).at(span),
        });
    }
}

/// Another kind of demand: what was comparable is not any more.
fn model(old: &Scenario, new: &Scenario, span: Option<Span>, out: &mut Vec<Change>) {
    let message = format!("is a {} instead of a {}", quoted(&new.executor), quoted(&old.executor));
    let change = match (&old.demand, &new.demand) {
        (Demand::Arrivals { .. }, _) => Change::weaker(codes::LOAD_REDUCED, subject(new), message)
            .note("open → closed: a target that slows down is now asked less, and its queue is not seen"),
        (_, Demand::Arrivals { .. }) => Change::stronger(subject(new), message)
            .note("closed → open: a target that slows down is asked no less"),
        _ => Change::neutral(subject(new), message),
    };
    out.push(change.note(format!("{}; it was {}", words(new), words(old))).at(span));
}

/// The pool of an open model, by Little's law.
fn pool(pairs: &Pairs<'_>, old: &Scenario, new: &Scenario, span: Option<Span>, out: &mut Vec<Change>) {
    let (Demand::Arrivals { max_vus: before, .. }, Demand::Arrivals { start_rate, pieces, max_vus, .. }) =
        (&old.demand, &new.demand)
    else {
        return;
    };
    if max_vus == before {
        return;
    }
    let message = format!(
        "has at most {} instead of {}",
        count(u64::from(*max_vus), "virtual user"),
        thousands(f64::from(*before))
    );
    let gates = pairs.new.graph.gates.iter().filter(|gate| gate.drops.contains_key(&new.name));
    let loosest = gates.filter_map(latency_bound).max();
    let rate = peak(start_rate, pieces);
    let longest =
        (rate > 0.0).then(|| Duration::try_from_secs_f64(f64::from(*max_vus) / rate).ok()).flatten();
    let change = match loosest.zip(longest) {
        Some((bound, longest)) if max_vus < before && longest < bound => {
            let longest = show_duration(Duration::from_micros(longest.as_micros() as u64));
            Change::weaker(codes::POOL_REDUCED, subject(new), message).note(format!(
                "{max_vus} virtual users ÷ {} iterations/s = {longest}: the pool is used up before an iteration takes {}",
                decimal(rate),
                show_duration(bound)
            ))
        }
        _ if max_vus > before => Change::stronger(subject(new), message),
        _ => Change::neutral(subject(new), message),
    };
    out.push(change.at(span));
}

fn latency_bound(gate: &Gate) -> Option<Duration> {
    match gate.bound {
        Bound::Duration(bound)
            if is_latency(&gate.metric) && matches!(gate.op, Comparison::Lt | Comparison::Le) =>
        {
            Some(bound)
        }
        _ => None,
    }
}

/// In a closed model, think time is load.
fn pauses(old: &Scenario, new: &Scenario, span: Option<Span>, out: &mut Vec<Change>) {
    let closed = !matches!(new.demand, Demand::Arrivals { .. });
    let Some((before, after)) = rest(&old.steps).zip(rest(&new.steps)) else { return };
    if !closed || (before - after).abs() < 1e-9 {
        return;
    }
    let show = |seconds: f64| show_duration(Duration::from_micros((seconds * 1e6) as u64));
    let message = format!("each user rests {} an iteration instead of {}", show(after), show(before));
    out.push(
        match after > before {
            true => Change::weaker(codes::LOAD_REDUCED, subject(new), message)
                .note("in a closed model, who rests longer asks less often"),
            false => Change::stronger(subject(new), message),
        }
        .at(span),
    );
}

/// What is left of a scenario: when it starts and ends, what it draws, its connections.
fn others(
    pairs: &Pairs<'_>,
    old: &Scenario,
    new: &Scenario,
    span: Option<Span>,
    told: usize,
    out: &mut Vec<Change>,
) {
    let quiet = out.len() == told;
    let bare = |scenario: &Scenario, old: bool| {
        let mut bare = scenario.clone();
        bare.setup.clear();
        bare.steps.clear();
        // Written on every step as well, and told there.
        bare.tags.clear();
        bare.name.clear();
        if old {
            for need in &mut bare.needs {
                *need = pairs.renamed(need).map_or(need.clone(), str::to_string);
            }
            for draw in &mut bare.draw {
                let renamed = pairs.fixtures.both.iter().find(|(old, _)| old.name == draw.fixture);
                draw.fixture = renamed.map_or(draw.fixture.clone(), |(_, new)| new.name.clone());
            }
        }
        // Another executor may say the same load in other words.
        bare.executor.clear();
        if !quiet {
            bare.demand =
                Demand::Iterations { vus: 0, iterations: 0, shared: true, max_duration: Duration::ZERO };
        }
        bare
    };
    let (o, n) = (bare(old, true), bare(new, false));
    if o != n {
        out.push(Change::neutral(subject(new), leaves::told(&o, &n)).at(span));
    }
}
