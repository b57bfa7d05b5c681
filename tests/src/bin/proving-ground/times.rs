//! The truth that load generators are held to: how long the server itself took, and how fast connections came.

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Times of one route in microseconds, from its request's head to its answer, three significant digits.
pub(crate) struct Times(Mutex<Histogram<u64>>);

/// When connections were accepted, or their handshakes done.
#[derive(Default)]
pub(crate) struct Accepted(Mutex<Span>);

#[derive(Default)]
struct Span {
    count: u64,
    first: Option<Instant>,
    second: Option<Instant>,
    last: Option<Instant>,
    before_last: Option<Instant>,
}

impl Times {
    pub(crate) fn new() -> Self {
        // It grows with the largest time, so that a route that nobody asks for holds next to nothing.
        Times(Mutex::new(Histogram::new(3).expect("three digits are possible")))
    }

    pub(crate) fn add(&self, since: Instant) {
        // A growing histogram takes every value.
        let _ = lock(&self.0).record(since.elapsed().as_micros() as u64);
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).reset();
    }

    /// `None` when nothing was asked for.
    pub(crate) fn to_json(&self) -> Option<Value> {
        let times = lock(&self.0);
        let at = |quantile| times.value_at_quantile(quantile);
        (!times.is_empty()).then(|| {
            json!({
                "count": times.len(), "p50_us": at(0.5), "p95_us": at(0.95), "p99_us": at(0.99),
                "max_us": times.max(),
            })
        })
    }
}

impl Accepted {
    pub(crate) fn one_more(&self) {
        let (mut span, now) = (lock(&self.0), Instant::now());
        span.count += 1;
        match span.first {
            None => span.first = Some(now),
            Some(_) => {
                span.second.get_or_insert(now);
            }
        }
        span.before_last = span.last.replace(now);
    }

    pub(crate) fn clear(&self) {
        *lock(&self.0) = Span::default();
    }

    /// The newest one is left out: it is the one that asks.
    fn to_json(&self) -> Value {
        let span = lock(&self.0);
        let until_last = |from: Option<Instant>| {
            let span = from.zip(span.before_last).map(|(from, last)| last.saturating_duration_since(from));
            span.map_or(0, |span| span.as_micros() as u64)
        };
        json!({
            "accepted": span.count.saturating_sub(1),
            "within_us": until_last(span.first),
            // Without the one of somebody who tries first and then begins.
            "after_first_within_us": until_last(span.second),
        })
    }
}

/// What `GET /_times` answers.
pub(crate) fn told(connections: &Accepted, routes: Map<String, Value>) -> Value {
    json!({ "connections": connections.to_json(), "routes": routes })
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_time_is_told_in_microseconds_and_forgotten() {
        let times = Times::new();
        assert_eq!(times.to_json(), None);
        times.add(Instant::now() - Duration::from_millis(20));
        let told = times.to_json().expect("one time");
        assert_eq!(told["count"], 1);
        assert!(told["p50_us"].as_u64().is_some_and(|us| us >= 20_000), "{told}");
        times.clear();
        assert_eq!(times.to_json(), None);
    }

    #[test]
    fn connections_are_counted_from_the_first_to_the_last() {
        let accepted = Accepted::default();
        let none = json!({ "accepted": 0, "within_us": 0, "after_first_within_us": 0 });
        assert_eq!(accepted.to_json(), none);
        (0..3).for_each(|_| accepted.one_more());
        assert_eq!(accepted.to_json()["accepted"], 2, "the third asks");
        accepted.clear();
        assert_eq!(accepted.to_json()["accepted"], 0);
    }
}
