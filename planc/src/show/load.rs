//! The arithmetic of demand: how many iterations and requests, when, by how many users.

use crate::eval::truthy;
use crate::expr::{Expr, Function};
use crate::graph::{Demand, HoldUntil, Json, Scenario, Step, StepKind, Until};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many points a shape is sampled at.
const POINTS: usize = 24;
/// From nothing to the peak.
const LEVELS: [char; 7] = [' ', '_', '.', '-', '=', '*', '#'];

/// Requests of one iteration: at least and, where it can be told, at most. A `choose` counts by its weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Requests {
    /// At least.
    pub least: f64,
    /// At most; none when a loop's length is known only in the run.
    pub most: Option<f64>,
}

/// Iterations that an open model asks for: the integral of its rate. `None` for closed models.
pub fn arrivals(demand: &Demand) -> Option<u64> {
    let Demand::Arrivals { start_rate, pieces, .. } = &demand.plain() else { return None };
    let mut from = start_rate.per_second();
    let mut total = 0.0;
    for piece in pieces {
        let to = piece.target.per_second();
        total += (from + to) / 2.0 * piece.duration.as_secs_f64();
        from = to;
    }
    Some(total.round() as u64)
}

/// Iterations, when the plan alone decides them.
pub(super) fn iterations(demand: &Demand) -> Option<u64> {
    match demand {
        Demand::Arrivals { .. } => arrivals(demand),
        Demand::Users { .. } => None,
        Demand::Iterations { iterations, shared: true, .. } => Some(*iterations),
        Demand::Iterations { vus, iterations, shared: false, .. } => {
            Some(iterations.saturating_mul(u64::from(*vus)))
        }
    }
}

/// More than any run makes in a year, and few enough that the sums of all scenarios are still exact.
const COUNTABLE: f64 = 1e14;

/// Whether a scenario asks for more iterations or requests than figures about it could tell.
pub(crate) fn beyond_counting(scenario: &Scenario) -> bool {
    let iterations = iterations(&scenario.demand).unwrap_or(1) as f64;
    let [setup, each] = [&scenario.setup, &scenario.steps].map(|steps| requests(steps));
    let most = |requests: Requests| requests.most.unwrap_or(requests.least);
    iterations.max(iterations * most(each)).max(most(setup)) > COUNTABLE
}

/// HTTP requests of one pass over some steps; redirects are not counted.
pub fn requests(steps: &[Step]) -> Requests {
    steps.iter().map(step).fold(Requests { least: 0.0, most: Some(0.0) }, |a, b| Requests {
        least: a.least + b.least,
        most: a.most.zip(b.most).map(|(a, b)| a + b),
    })
}

fn step(step: &Step) -> Requests {
    match &step.kind {
        StepKind::Http(_) => Requests { least: 1.0, most: Some(1.0) },
        // A handshake opens a session and is no request of its own.
        StepKind::WebSocket(session) => requests(&session.steps),
        StepKind::Pause(_)
        | StepKind::Send(_)
        | StepKind::Receive(_)
        | StepKind::Ping { .. }
        | StepKind::Close { .. } => Requests { least: 0.0, most: Some(0.0) },
        StepKind::Choose(branches) => {
            let total: f64 = branches.iter().map(|b| f64::from(b.weight)).sum();
            branches.iter().fold(Requests { least: 0.0, most: Some(0.0) }, |sum, branch| {
                let share = if total > 0.0 { f64::from(branch.weight) / total } else { 0.0 };
                let inner = requests(&branch.steps);
                Requests {
                    least: sum.least + share * inner.least,
                    most: sum.most.zip(inner.most).map(|(a, b)| a + share * b),
                }
            })
        }
        StepKind::Repeat { count, steps, .. } => {
            times(constant(count).and_then(Json::as_u64), requests(steps))
        }
        StepKind::Each { list, steps, .. } => times(length(list), requests(steps)),
        StepKind::When { condition, steps } => match constant(condition).map(truthy) {
            Some(true) => requests(steps),
            Some(false) => Requests { least: 0.0, most: Some(0.0) },
            None => Requests { least: 0.0, ..requests(steps) },
        },
        StepKind::Group { steps, .. } => requests(steps),
    }
}

fn times(n: Option<u64>, inner: Requests) -> Requests {
    match n {
        Some(n) => Requests { least: inner.least * n as f64, most: inner.most.map(|most| most * n as f64) },
        None if inner.most == Some(0.0) => inner,
        None => Requests { least: 0.0, most: None },
    }
}

/// Length of a list, when the plan alone decides it.
pub(crate) fn length(list: &Expr) -> Option<u64> {
    match list {
        Expr::Const(Json::Array(items)) => Some(items.len() as u64),
        Expr::List(items) => Some(items.len() as u64),
        Expr::Call(Function::Range, args) => match args.as_slice() {
            [to] => constant(to)?.as_u64(),
            [from, to] => {
                Some(constant(to)?.as_i64()?.saturating_sub(constant(from)?.as_i64()?).max(0) as u64)
            }
            _ => None,
        },
        _ => None,
    }
}

/// The value of an expression that was folded to one.
pub(crate) fn constant(expr: &Expr) -> Option<&Json> {
    match expr {
        Expr::Const(value) => Some(value),
        _ => None,
    }
}

/// The shape of a scenario's load as a line of characters, with its peak on the highest.
pub(super) fn spark(demand: &Demand) -> String {
    let values: Vec<f64> = (0..POINTS).map(|i| level_at(demand, (i as f64 + 0.5) / POINTS as f64)).collect();
    let peak = values.iter().copied().fold(0.0, f64::max);
    let draw = |value: f64| {
        let level = if peak > 0.0 { (value / peak * (LEVELS.len() - 1) as f64).ceil() as usize } else { 0 };
        LEVELS[level.min(LEVELS.len() - 1)]
    };
    values.into_iter().map(draw).collect()
}

/// Rate or users at a share of the duration.
fn level_at(demand: &Demand, share: f64) -> f64 {
    let (start, points): (f64, Vec<(f64, Duration)>) = match &demand.plain() {
        Demand::Arrivals { start_rate, pieces, .. } => {
            (start_rate.per_second(), pieces.iter().map(|p| (p.target.per_second(), p.duration)).collect())
        }
        Demand::Users { start_vus, pieces, .. } => {
            (f64::from(*start_vus), pieces.iter().map(|p| (f64::from(p.target), p.duration)).collect())
        }
        Demand::Iterations { vus, .. } => return f64::from(*vus),
    };
    let mut left = demand.duration().as_secs_f64() * share;
    let mut from = start;
    for (to, duration) in points {
        let seconds = duration.as_secs_f64();
        if seconds > 0.0 && left <= seconds {
            return from + (to - from) * left / seconds;
        }
        left -= seconds;
        from = to;
    }
    from
}

/// Highest rate of an open model, in iterations a second.
pub(super) fn peak_rate(demand: &Demand) -> Option<f64> {
    let Demand::Arrivals { start_rate, pieces, .. } = demand else { return None };
    Some(pieces.iter().map(|p| p.target.per_second()).fold(start_rate.per_second(), f64::max))
}

/// How long a demand lasts at least: counted iterations may be done at once, and stages settle as soon as they can.
pub(crate) fn least_duration(demand: &Demand) -> Duration {
    match demand {
        Demand::Iterations { .. } => Duration::ZERO,
        // A search may be over after its first step.
        Demand::Arrivals { .. } | Demand::Users { .. } => match demand.piece(1) {
            Some((_, Some(HoldUntil { until: Until::GatesHold, within }))) => *within,
            _ => demand.shortest().duration(),
        },
    }
}

/// Start and end of each scenario, counted from the start of its stage (smoke or load).
pub(crate) fn schedule(
    scenarios: &[&Scenario],
    lasts: &dyn Fn(&Demand) -> Duration,
) -> Vec<(Duration, Duration)> {
    let places: BTreeMap<&str, usize> =
        scenarios.iter().enumerate().map(|(at, scenario)| (scenario.name.as_str(), at)).collect();
    let mut times = vec![(Duration::ZERO, Duration::ZERO); scenarios.len()];
    // As many rounds as there are scenarios settle any chain of `needs`, and most are settled in two. A cycle never is.
    for _ in 0..scenarios.len() {
        let mut settled = true;
        for (i, scenario) in scenarios.iter().enumerate() {
            let after = scenario.needs.iter().filter_map(|need| Some(times[*places.get(need.as_str())?].1));
            let start = after.max().unwrap_or(Duration::ZERO).saturating_add(scenario.start_time);
            let end = start.saturating_add(lasts(&scenario.demand));
            settled &= std::mem::replace(&mut times[i], (start, end)) == (start, end);
        }
        if settled {
            break;
        }
    }
    times
}
