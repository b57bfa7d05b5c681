//! Arrivals in a part of a load: a window or a stage.

use crate::graph::Demand;
use crate::units::show_duration;
use std::time::Duration;

/// Windows that are looked at: a plan may ask for more than anyone could.
const MOST: usize = 10_000;

/// Arrivals in the emptiest full window; `None` for closed models.
pub(super) fn emptiest(demand: &Demand, length: Duration) -> Option<f64> {
    let mut least: Option<f64> = None;
    let mut from = Duration::ZERO;
    for _ in 0..MOST {
        let until = from.checked_add(length).filter(|until| *until <= demand.duration());
        let Some(until) = until else { break };
        let here = by(demand, until)? - by(demand, from)?;
        least = Some(least.map_or(here, |least| least.min(here)));
        from = until;
    }
    least
}

/// Arrivals in a stage; `None` for closed models.
pub(super) fn of_stage(demand: &Demand, number: u32) -> Option<f64> {
    let (from, until) = demand.stage(number)?;
    Some(by(demand, until)? - by(demand, from)?)
}

/// How long a stage is.
pub(super) fn shown(demand: &Demand, number: u32) -> Option<String> {
    demand.stage(number).map(|(from, until)| show_duration(until - from))
}

/// Arrivals until a moment after the beginning.
fn by(demand: &Demand, moment: Duration) -> Option<f64> {
    let Demand::Arrivals { start_rate, pieces, .. } = &demand.plain() else { return None };
    let (mut rate, mut sum, mut left) = (start_rate.per_second(), 0.0, moment.as_secs_f64());
    for piece in pieces {
        let (target, length) = (piece.target.per_second(), piece.duration.as_secs_f64());
        let here = left.min(length);
        if here > 0.0 {
            let reached = rate + (target - rate) * here / length;
            sum += (rate + reached) / 2.0 * here;
        }
        (rate, left) = (target, left - here);
    }
    Some(sum)
}
