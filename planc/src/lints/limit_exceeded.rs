//! More load than the endpoint is declared to take.

use super::{Lint, thousands};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::expr::Expr;
use crate::graph::{Demand, FixtureKind, Pause, Step, StepKind};
use crate::resolved::{Endpoint, Fixture, ResolvedPlan, Scenario};
use crate::show::{constant, length, schedule};
use crate::source::Span;
use crate::units::{Rate, show_duration};
use std::time::Duration;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0415", name: "limit-exceeded" },
    page: include_str!("limit-exceeded.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for (name, endpoint) in &plan.endpoints {
        let Some(limit) = endpoint.limit else { continue };
        for fixture in &plan.fixtures {
            diagnostics.extend(seeding(fixture, name, endpoint, limit));
        }
        for smoke in [true, false] {
            let stage: Vec<&Scenario> =
                plan.scenarios.iter().filter(|s| s.sound && s.scenario.smoke == smoke).collect();
            diagnostics.extend(of_stage(plan, &stage, name, endpoint, limit));
        }
    }
}

/// Calls of one scenario over time, in calls a second between points in seconds. Two points at one time are a jump.
struct Offer<'a> {
    scenario: &'a Scenario,
    points: Vec<(f64, f64)>,
    /// Calls of one iteration.
    calls: f64,
    /// Closed models: how long an iteration takes at most.
    longest: Option<Duration>,
    /// It is known when it runs: it waits for nobody.
    placed: bool,
}

impl Offer<'_> {
    /// Where its calls in a period come from: `30 iterations/s × 2 calls = 60/s`.
    fn sum(&self, calls: f64, period: f64, shown: &str) -> String {
        let name = &self.scenario.scenario.name;
        let each =
            if self.calls == 1.0 { "1 call".to_string() } else { format!("{} calls", short(self.calls)) };
        let rate = calls / self.calls / period;
        match self.longest {
            None => format!("`{name}`: {} iterations/s × {each} = {shown}", short(rate)),
            Some(longest) => {
                let users = short(rate * longest.as_secs_f64());
                let longest = show_duration(Duration::from_millis(longest.as_millis() as u64));
                format!(
                    "`{name}`: {users} virtual users × {each} ÷ {longest}, the longest an iteration takes with all its pauses and timeouts = {shown} at least"
                )
            }
        }
    }
}

/// What is said about the scenarios that run side by side: each by itself, else all together.
fn of_stage(
    plan: &ResolvedPlan,
    stage: &[&Scenario],
    name: &str,
    endpoint: &Endpoint,
    limit: Rate,
) -> Vec<Diagnostic> {
    let graphs: Vec<_> = stage.iter().map(|scenario| &scenario.scenario).collect();
    let times = schedule(&graphs, &Demand::duration);
    let offers: Vec<Offer<'_>> = stage
        .iter()
        .zip(&times)
        .filter_map(|(scenario, times)| offer(plan, scenario, times.0, name))
        .collect();
    let alone: Vec<Diagnostic> =
        offers.iter().filter_map(|offer| too_much(&[offer], name, endpoint, limit)).collect();
    if !alone.is_empty() {
        return alone;
    }
    let placed: Vec<&Offer<'_>> = offers.iter().filter(|offer| offer.placed).collect();
    if placed.len() < 2 {
        return Vec::new();
    }
    too_much(&placed, name, endpoint, limit).into_iter().collect()
}

/// The busiest stretch as long as the limit's own period, where it holds more calls than the limit.
fn too_much(offers: &[&Offer<'_>], name: &str, endpoint: &Endpoint, limit: Rate) -> Option<Diagnostic> {
    let period = limit.per.as_secs_f64();
    let points = offers.iter().flat_map(|offer| &offer.points).map(|point| point.0);
    let total =
        |from: f64| offers.iter().map(|offer| calls_in(&offer.points, from, from + period)).sum::<f64>();
    let from = points.flat_map(|at| [at, at - period]).max_by(|a, b| total(*a).total_cmp(&total(*b)))?;
    let calls = total(from);
    // The arithmetic is of floats: a rate that equals the limit does not exceed it.
    if calls <= limit.count as f64 * (1.0 + 1e-9) {
        return None;
    }
    let part = |offer: &Offer<'_>| calls_in(&offer.points, from, from + period);
    let mut parts: Vec<&&Offer<'_>> = offers.iter().filter(|offer| part(offer) > 0.0).collect();
    parts.sort_by(|a, b| part(b).total_cmp(&part(a)));
    let first = parts.first()?.scenario;
    let shown = |calls: f64| show_calls(calls, limit);
    let together = if parts.len() > 1 { " by scenarios that run at the same time" } else { "" };
    let message = format!("`{name}` is offered {}{together}, and its limit is {limit}", shown(calls));
    let mut diagnostic =
        Diagnostic::warning(LINT.code, place(first), message).also(endpoint.span, "the limit");
    for other in parts.iter().skip(1) {
        diagnostic = diagnostic.also(place(other.scenario), format!("{} more", shown(part(other))));
    }
    if parts.len() > 1 {
        let sum: Vec<String> = parts.iter().map(|offer| shown(part(offer))).collect();
        diagnostic = diagnostic.note(format!("{} = {}", sum.join(" + "), shown(calls)));
    }
    for offer in &parts {
        diagnostic = diagnostic.note(offer.sum(part(offer), period, &shown(part(offer))));
    }
    Some(diagnostic.help("lower the rate, or leave `limit` out where refusals are what is tested"))
}

/// Where a scenario says how much it does.
fn place(scenario: &Scenario) -> Span {
    let option = ["rate", "stages", "vus"].iter().find_map(|key| scenario.options.get(key));
    option.copied().unwrap_or(scenario.span)
}

/// `120/s`, in the limit's own unit.
fn show_calls(calls: f64, limit: Rate) -> String {
    let per = Rate { count: 0, per: limit.per }.to_string();
    let unit = per.trim_start_matches('0');
    // 100.4 is more than 100 and should look so.
    match calls.round() == limit.count as f64 {
        true => format!("{calls:.2}{unit}"),
        false => format!("{}{unit}", thousands(calls)),
    }
}

/// `0.08`, `2`, `1,200`.
fn short(number: f64) -> String {
    if number >= 100.0 {
        return thousands(number);
    }
    format!("{number:.2}").trim_end_matches('0').trim_end_matches('.').to_string()
}

/// The area under a line between two times.
fn calls_in(points: &[(f64, f64)], from: f64, to: f64) -> f64 {
    let mut sum = 0.0;
    for pair in points.windows(2) {
        let ((start, low), (end, high)) = (pair[0], pair[1]);
        let (a, b) = (start.max(from), end.min(to));
        if b <= a {
            continue;
        }
        let at = |t: f64| low + (high - low) * (t - start) / (end - start);
        sum += (at(a) + at(b)) / 2.0 * (b - a);
    }
    sum
}

/// What a scenario is sure to ask of an endpoint; `None` when that is nothing, or hangs on the target.
fn offer<'a>(plan: &ResolvedPlan, scenario: &'a Scenario, start: Duration, name: &str) -> Option<Offer<'a>> {
    let graph = &scenario.scenario;
    let calls = per_iteration(&graph.steps, &mut |step| match &step.kind {
        StepKind::Http(http) if http.endpoint.as_deref() == Some(name) => 1.0,
        _ => 0.0,
    });
    if calls <= 0.0 {
        return None;
    }
    let mut at = start.as_secs_f64();
    let (points, longest) = match &graph.demand {
        Demand::Arrivals { start_rate, pieces, .. } => {
            let mut points = vec![(at, start_rate.per_second() * calls)];
            for piece in pieces {
                at += piece.duration.as_secs_f64();
                points.push((at, piece.target.per_second() * calls));
            }
            (points, None)
        }
        Demand::Users { start_vus, pieces, .. } => {
            let longest = longest_iteration(plan, graph.pause_on_failure, &graph.steps)?;
            let rate = |users: u32| f64::from(users) * calls / longest.as_secs_f64();
            let mut points = vec![(at, rate(*start_vus))];
            for piece in pieces {
                at += piece.duration.as_secs_f64();
                points.push((at, rate(piece.target)));
            }
            (points, Some(longest))
        }
        Demand::Iterations { .. } => return None,
    };
    Some(Offer { scenario, points, calls, longest, placed: graph.needs.is_empty() })
}

/// A sum over what one iteration is sure to play. A `choose` counts by its weights; what hangs on the run does not.
fn per_iteration(steps: &[Step], worth: &mut dyn FnMut(&Step) -> f64) -> f64 {
    let mut sum = 0.0;
    for step in steps {
        sum += worth(step);
        sum += match &step.kind {
            StepKind::Http(_)
            | StepKind::Pause(_)
            | StepKind::Send(_)
            | StepKind::Receive(_)
            | StepKind::Ping { .. }
            | StepKind::Close { .. } => 0.0,
            StepKind::WebSocket(session) => per_iteration(&session.steps, worth),
            StepKind::Group { steps, .. } => per_iteration(steps, worth),
            StepKind::When { condition, steps } => match condition {
                Expr::Const(value) if crate::eval::truthy(value) => per_iteration(steps, worth),
                _ => 0.0,
            },
            StepKind::Repeat { count, steps, .. } => match constant(count).and_then(|count| count.as_u64()) {
                Some(times) => times as f64 * per_iteration(steps, worth),
                None => 0.0,
            },
            StepKind::Each { list, steps, .. } => match length(list) {
                Some(times) => times as f64 * per_iteration(steps, worth),
                None => 0.0,
            },
            StepKind::Choose(branches) => {
                let total: f64 = branches.iter().map(|branch| f64::from(branch.weight)).sum();
                let mut inner = 0.0;
                for branch in branches {
                    inner += f64::from(branch.weight) / total.max(1.0) * per_iteration(&branch.steps, worth);
                }
                inner
            }
        };
    }
    sum
}

/// How long an iteration takes at most on average: its pauses, and every request up to its timeout.
fn longest_iteration(plan: &ResolvedPlan, on_failure: Option<Duration>, steps: &[Step]) -> Option<Duration> {
    let usual = plan.target.as_ref()?.target.timeout;
    let mut open = false;
    crate::resolved::walk(steps, &mut |step| {
        open |= match &step.kind {
            StepKind::When { condition, .. } => !matches!(condition, Expr::Const(_)),
            StepKind::Repeat { count, .. } => constant(count).is_none(),
            StepKind::Each { list, .. } => length(list).is_none(),
            _ => false,
        }
    });
    if open {
        return None;
    }
    let seconds = per_iteration(steps, &mut |step| match &step.kind {
        StepKind::Pause(pause) => mean(pause).as_secs_f64(),
        kind if kind.is_answered() => plan.place(step.id).timeout.unwrap_or(usual).as_secs_f64(),
        _ => 0.0,
    });
    let longest = Duration::try_from_secs_f64(seconds).ok()?.saturating_add(on_failure.unwrap_or_default());
    (!longest.is_zero()).then_some(longest)
}

fn mean(pause: &Pause) -> Duration {
    match pause {
        Pause::Fixed(pause) => *pause,
        Pause::Uniform { from, to } => from.saturating_add(*to) / 2,
        // Cut at zero, its mean is a little more.
        Pause::Normal { mean, deviation } => mean.saturating_add(*deviation),
        Pause::Exponential { mean } => *mean,
    }
}

/// A pace above the limit of the endpoint that makes the accounts; without one they are fitted to the limit.
fn seeding(fixture: &Fixture, name: &str, endpoint: &Endpoint, limit: Rate) -> Option<Diagnostic> {
    let FixtureKind::Http(http) = &fixture.fixture.kind else { return None };
    if !endpoint.is_asked_by(&http.create) {
        return None;
    }
    let period = limit.per.as_secs_f64();
    let rows = fixture.fixture.rows as f64;
    let pace = http.pace?;
    let made = (pace.per_second() * period).min(rows);
    if made <= limit.count as f64 * (1.0 + 1e-9) {
        return None;
    }
    let message =
        format!("`{name}` is asked for {} accounts at {pace}, and its limit is {limit}", thousands(rows));
    let lasts = Duration::try_from_secs_f64(rows / limit.per_second().max(f64::MIN_POSITIVE)).ok()?;
    let lasts = show_duration(Duration::from_secs(lasts.as_secs_f64().ceil() as u64));
    Some(
        Diagnostic::warning(LINT.code, fixture.span, message)
            .also(endpoint.span, "the limit")
            .note(format!("{} rows at {limit} take {lasts}", thousands(rows)))
            .help(format!(
                "leave `pace` out, and the accounts are made at {limit}; or raise the service's limit for the seeding"
            )),
    )
}
