//! The rate is raised step by step until a gate of the scenario breaks.

use super::{Executor, Kind, Misfit, Options, check_pool, optional, pool, required};
use crate::graph::{Demand, HoldUntil, RatePiece, Until};
use crate::units::Rate;
use std::time::Duration;

pub(super) const EXECUTOR: Executor = Executor {
    name: "find-max",
    about: "The rate is raised step by step until a gate of this scenario breaks; the highest that held is told (open model).",
    keys: &[
        required("start_rate", Kind::Rate),
        required("step", Kind::Rate),
        required("max_rate", Kind::Rate),
        optional("hold", Kind::Duration),
        required("pre_allocated_vus", Kind::CountOrZero),
        optional("max_vus", Kind::Count),
        optional("at_least", Kind::Rate),
    ],
    check,
    lower,
};

/// Each step is held so long, unless the plan says otherwise.
const HOLD: Duration = Duration::from_secs(30);

/// A search of more steps is one that nobody waits for.
const MOST_STEPS: usize = 1_000;

fn hold(options: &Options) -> Duration {
    options.duration("hold", HOLD)
}

/// The rates in turn, all over one period; `None` when there are too many, or when they do not rise.
fn rates(options: &Options) -> Option<Vec<Rate>> {
    let [start, step, max] = ["start_rate", "step", "max_rate"].map(|key| options.rate(key));
    // Over a common period all three are whole numbers of iterations.
    let [a, b, c] = [start, step, max].map(|rate| rate.per.as_nanos());
    let period = lcm(lcm(a, b)?, c)?;
    let per = Duration::from_nanos(u64::try_from(period).ok()?);
    let over = |rate: Rate| u128::from(rate.count).checked_mul(period / rate.per.as_nanos().max(1));
    let (start, step, max) = (over(start)?, over(step)?, over(max)?);
    if start == 0 || step == 0 || max < start || (max - start) / step >= MOST_STEPS as u128 {
        return None;
    }
    let counts = (0..).map(|n| start + n * step).take_while(|count| *count < max).chain([max]);
    counts.map(|count| Some(Rate { count: u64::try_from(count).ok()?, per })).collect()
}

fn lcm(a: u128, b: u128) -> Option<u128> {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).checked_mul(b)
}

fn check(options: &Options) -> Vec<Misfit> {
    let mut out = check_pool(options);
    let mut misfit = |key, message: String, help: &str| {
        out.push(Misfit { key, message, help: Some(help.to_string()) });
    };
    let [start, step, max] = ["start_rate", "step", "max_rate"].map(|key| options.rate(key));
    if start.count == 0 {
        misfit("start_rate", "nothing is asked at this rate".into(), "begin at a rate that is sure to hold");
    } else if step.count == 0 {
        misfit("step", "the rate is never raised".into(), "write what each step adds, such as `step: 10/s`");
    } else if max.per_second() < start.per_second() {
        let message = format!("`max_rate` is {max}, below `start_rate` of {start}");
        misfit("max_rate", message, "write a `max_rate` that is sure to break");
    } else if rates(options).is_none() {
        let message = format!("from {start} to {max} by {step} are more than {MOST_STEPS} steps");
        misfit("step", message, "raise `step`");
    }
    if hold(options).is_zero() {
        misfit("hold", "a step that lasts no time shows nothing".into(), "write `hold: 30s`");
    }
    match options.values.contains_key("at_least").then(|| options.rate("at_least")) {
        Some(least) if least.per_second() > max.per_second() => {
            let message = format!("`at_least` is {least}, and no step goes above {max}");
            misfit("at_least", message, "write a higher `max_rate`, or a lower `at_least`");
        }
        _ => {}
    }
    out
}

fn lower(options: &Options) -> Demand {
    let (pre_allocated_vus, max_vus) = pool(options);
    let rates = rates(options).unwrap_or_default();
    let piece = |target: &Rate| RatePiece {
        target: *target,
        duration: Duration::ZERO,
        hold: Some(HoldUntil { until: Until::GatesHold, within: hold(options) }),
    };
    Demand::Arrivals {
        start_rate: rates.first().copied().unwrap_or(options.rate("start_rate")),
        pieces: rates.iter().map(piece).collect(),
        pre_allocated_vus,
        max_vus,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::*;
    use crate::units::parse_rate;

    fn told(start: &str, step: &str, max: &str) -> Vec<String> {
        let mut options = Options::default();
        for (key, rate) in [("start_rate", start), ("step", step), ("max_rate", max)] {
            options.values.insert(key, Value::Rate(parse_rate(rate).expect("a rate")));
        }
        rates(&options).unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_last_step_is_the_highest_rate() {
        assert_eq!(told("10/s", "10/s", "30/s"), ["10/s", "20/s", "30/s"]);
        assert_eq!(told("10/s", "15/s", "30/s"), ["10/s", "25/s", "30/s"]);
        assert_eq!(told("10/s", "15/s", "10/s"), ["10/s"]);
        assert_eq!(told("1/s", "1/m", "62/m").len(), 3);
        assert_eq!(told("1/s", "0.001/s", "10/s"), [""; 0]);
    }
}
