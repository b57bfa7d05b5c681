//! Numbers of the merged stream of samples, second by second, for what waits for them during a load.

use crate::evidence::Samples;
use crate::flat::{self, FEWEST_POINTS, Line};
use crate::judge::Distribution;
use crate::record::Delta;
use planc::graph::{Aggregate, Bound, Flat};
use std::collections::VecDeque;

/// The last seconds of some numbers.
#[derive(Default)]
pub(crate) struct Stream {
    /// Newest last: what each number got in a second; none where the generator was late.
    seconds: VecDeque<Option<Vec<Option<Delta>>>>,
    keep: usize,
}

/// What can be said of a number over the last seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    /// A line through them.
    Line(Line),
    /// It is above every bound in so many of so many points: too much failed.
    Endless(usize, usize),
    /// Nothing, for want of samples: so many there were, in so many points.
    Untold(u64, usize),
}

impl Stream {
    /// A stream that keeps so many seconds.
    pub(crate) fn new(keep: usize) -> Stream {
        Stream { seconds: VecDeque::new(), keep }
    }

    /// Takes in a second.
    pub(crate) fn push(&mut self, second: Option<Vec<Option<Delta>>>) {
        self.seconds.push_back(second);
        while self.seconds.len() > self.keep {
            self.seconds.pop_front();
        }
    }

    /// What a number did over the last `window` seconds.
    pub(crate) fn course(&self, at: usize, flat: &Flat, window: usize, tolerance: f64) -> Seen {
        let from = self.seconds.len().saturating_sub(window);
        let seconds: Vec<Option<&Delta>> = self
            .seconds
            .iter()
            .skip(from)
            .map(|second| second.as_ref().and_then(|numbers| numbers.get(at)?.as_ref()))
            .collect();
        let samples: u64 = seconds.iter().flatten().map(|delta| delta.count()).sum();
        let width = width(flat.number.aggregate, samples, seconds.len());
        let points = points(&seconds, width, flat);
        let endless = points.iter().filter(|(_, value)| value.is_infinite()).count();
        if endless > 0 {
            return Seen::Endless(endless, points.len());
        }
        match flat::line(&points, window as f64, tolerance, size(flat.floor)) {
            Some(line) => Seen::Line(line),
            None => Seen::Untold(samples, points.len()),
        }
    }
}

/// Seconds that make one point: so many that a percentile has the samples that a claim of it needs.
fn width(aggregate: Aggregate, samples: u64, seconds: usize) -> usize {
    let share = match aggregate {
        Aggregate::Percentile(percent) => percent.as_f64() / 100.0,
        Aggregate::Med => 0.5,
        _ => return 1,
    };
    let needed = (0.05_f64.ln() / share.ln()).ceil().max(1.0);
    let width = (seconds as f64 * needed / samples.max(1) as f64).ceil();
    width.clamp(1.0, seconds.max(1) as f64) as usize
}

/// One point for each `width` seconds, the newest whole; seconds without a sample have none.
fn points(seconds: &[Option<&Delta>], width: usize, flat: &Flat) -> Vec<(f64, f64)> {
    let odd = seconds.len() % width;
    let mut out = Vec::new();
    for (number, part) in seconds[odd..].chunks(width).enumerate() {
        let mut sum: Option<Delta> = None;
        for delta in part.iter().flatten() {
            match &mut sum {
                Some(sum) => sum.merge(delta),
                empty => *empty = Some((*delta).clone()),
            }
        }
        let value = sum.and_then(|sum| value(&sum.into_samples(), flat, width as f64));
        let at = odd as f64 + (number as f64 + 0.5) * width as f64;
        out.extend(value.map(|value| (at, value)));
    }
    out
}

/// The number over so many seconds: in seconds, as a share, or as it is.
fn value(samples: &Samples, flat: &Flat, seconds: f64) -> Option<f64> {
    let aggregate = flat.number.aggregate;
    let milli = |value: i64| value as f64 / 1_000.0;
    match samples {
        Samples::Trend(trend) => {
            let scale = if matches!(flat.floor, Bound::Duration(_)) { 1e6 } else { 1e3 };
            let mut distribution = Distribution::default();
            distribution.add(trend);
            let value = match aggregate {
                Aggregate::Percentile(percent) => distribution.percentile(percent.0),
                Aggregate::Med => distribution.percentile(50_000_000),
                Aggregate::Min => distribution.min(),
                Aggregate::Max => distribution.max(),
                Aggregate::Count => return Some(distribution.total() as f64),
                _ => distribution.mean(),
            };
            value.map(|value| value / scale)
        }
        Samples::Rate { trues, total } => match aggregate {
            Aggregate::Count => Some(*total as f64),
            _ => (*total > 0).then(|| *trues as f64 / *total as f64),
        },
        Samples::Counter { sum_milli, .. } => match aggregate {
            Aggregate::Rate => Some(milli(*sum_milli) / seconds),
            _ => Some(milli(*sum_milli)),
        },
        Samples::Gauge { last_milli, min_milli, max_milli, .. } => Some(match aggregate {
            Aggregate::Min => milli(*min_milli),
            Aggregate::Max => milli(*max_milli),
            _ => milli(*last_milli),
        }),
    }
}

/// A floor in the unit of its number.
fn size(floor: Bound) -> f64 {
    match floor {
        Bound::Duration(time) => time.as_secs_f64(),
        Bound::Share(share) => share.as_f64(),
        Bound::Number(number) => number.as_f64(),
    }
}

/// Why a number cannot be told.
pub(crate) fn untold(samples: u64, points: usize) -> String {
    format!("{samples} samples in its window make {points} points of {FEWEST_POINTS} that are needed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use planc::graph::MetricRef;
    use planc::units::{Fixed, PartsPerMillion};

    fn flat(metric: &str, aggregate: Aggregate, floor: Bound) -> Flat {
        Flat { number: MetricRef { metric: metric.into(), selector: Default::default(), aggregate }, floor }
    }

    fn course(flat: &Flat, seconds: Vec<Option<Delta>>) -> Seen {
        let mut stream = Stream::new(60);
        let window = seconds.len();
        seconds.into_iter().for_each(|second| stream.push(Some(vec![second])));
        stream.course(0, flat, window, 0.05)
    }

    #[test]
    fn zero_errors_are_flat_and_a_growing_share_is_not() {
        let errors = flat("http_req_failed", Aggregate::Rate, Bound::Share(PartsPerMillion(1_000)));
        let of = |trues: fn(u64) -> u64| (0..10).map(|n| Some(Delta::Rate(trues(n), 100))).collect();
        let Seen::Line(none) = course(&errors, of(|_| 0)) else { panic!() };
        assert!(none.is_flat() && none.mean == 0.0);
        let Seen::Line(more) = course(&errors, of(|n| n)) else { panic!() };
        assert!(!more.is_flat() && (more.change - 0.1).abs() < 1e-9, "{more:?}");
    }

    #[test]
    fn a_gauge_is_read_where_it_was_scraped() {
        let depth = flat("queue", Aggregate::Value, Bound::Number(Fixed(1_000_000)));
        let scraped = |n: u64| {
            let mut gauge = crate::record::GaugeCell::default();
            gauge.set(3_000 * n as i64, n);
            n.is_multiple_of(4).then_some(Delta::Gauge(gauge))
        };
        let Seen::Line(line) = course(&depth, (0..24).map(scraped).collect()) else { panic!() };
        assert!((line.change - 72.0).abs() < 1e-6 && !line.is_flat(), "{line:?}");
        assert_eq!(course(&depth, (0..12).map(scraped).collect()), Seen::Untold(3, 3));
        assert_eq!(course(&depth, vec![None; 20]), Seen::Untold(0, 0));
    }

    #[test]
    fn late_seconds_are_left_out() {
        let counter = flat("http_reqs", Aggregate::Rate, Bound::Number(Fixed(1_000_000)));
        let mut stream = Stream::new(60);
        for n in 0..10 {
            let of = |sum: i64| Some(vec![Some(Delta::Counter(sum * 1_000, 1))]);
            stream.push(if n % 2 == 0 { of(50) } else { None });
        }
        let Seen::Line(line) = stream.course(0, &counter, 10, 0.05) else { panic!() };
        assert_eq!((line.mean, line.change), (50.0, 0.0));
    }

    #[test]
    fn a_percentile_gets_the_samples_that_it_needs() {
        let p95 = Aggregate::Percentile(Fixed(95_000_000));
        assert_eq!(width(p95, 6_000, 60), 1);
        assert_eq!(width(p95, 590, 60), 6);
        assert_eq!(width(p95, 0, 60), 60);
        assert_eq!(width(Aggregate::Avg, 1, 60), 1);
    }
}
