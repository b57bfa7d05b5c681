//! W3C trace context: a `traceparent` for each request, and the slowest of those whose trace is recorded.
//!
//! An id costs a few multiplications and is unique over runs, since it is keyed by the run's. A scenario without
//! `trace` pays for one comparison a request.

use crate::evidence::Exemplar;
use crate::prepare::Program;
use crate::text::{key_of, mix};
use ::http::HeaderValue;
use planc::graph::Trace;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Requests kept of each step and stage, of those that went well and of those that failed.
const KEPT: usize = 3;

/// How a scenario is traced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tracing {
    /// A request whose draw is at most this is recorded.
    most: u64,
    key: u64,
}

/// Gives the ids of one worker's shard of a scenario.
#[derive(Debug, Default)]
pub(crate) struct Ids(Cell<u64>);

/// The trace of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traced {
    id: u128,
    sampled: bool,
    /// From when the request is measured.
    pub(crate) due: Instant,
}

/// Of which step and stage, well or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Number of the scenario.
    pub(crate) scenario: u16,
    /// From 1; 0 where there are none.
    pub(crate) stage: u32,
    /// The step.
    pub(crate) step: u32,
    /// It did not do what is expected.
    pub(crate) failed: bool,
}

/// A request worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    id: u128,
    /// When it was due, microseconds of the load.
    at_us: u64,
    duration_us: u64,
    status: u16,
    outcome: &'static str,
}

/// The slowest requests of each place.
#[derive(Debug, Default)]
pub(crate) struct Slowest(BTreeMap<Place, Vec<Found>>);

impl Tracing {
    /// For a scenario of a run; its key is the scenario's own.
    pub(crate) fn new(trace: Trace, run_id: &str, scenario: u64) -> Self {
        let share = u128::from(trace.sample.0) * u128::from(u64::MAX) / 1_000_000;
        Tracing { most: share as u64, key: key_of(scenario, run_id) }
    }
}

impl Ids {
    /// The ids of the next request.
    pub(crate) fn next(&self, tracing: Tracing, shard: usize, due: Instant) -> Traced {
        let n = self.0.replace(self.0.get() + 1);
        let high = mix(tracing.key ^ mix(n << 16 | shard as u64));
        let low = mix(high ^ tracing.key.rotate_left(32));
        // An id of noughts is no id.
        let id = (u128::from(high) << 64 | u128::from(low)).max(1);
        Traced { id, sampled: mix(low) <= tracing.most, due }
    }
}

impl Traced {
    /// `00-<trace id>-<parent id>-<flags>`.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut text = String::with_capacity(55);
        let parent = mix(self.id as u64 ^ (self.id >> 64) as u64).max(1);
        // Writing to a text cannot fail.
        let _ = write!(text, "00-{:032x}-{parent:016x}-{:02x}", self.id, u8::from(self.sampled));
        HeaderValue::from_str(&text).expect("hexadecimal digits and dashes")
    }

    /// What is worth keeping of the request, if its trace is recorded.
    pub(crate) fn found(
        &self,
        start: Instant,
        took: Duration,
        status: u16,
        outcome: &'static str,
    ) -> Option<Found> {
        self.sampled.then(|| Found {
            id: self.id,
            at_us: self.due.saturating_duration_since(start).as_micros() as u64,
            duration_us: took.as_micros() as u64,
            status,
            outcome,
        })
    }
}

impl Slowest {
    /// Keeps a request if it is slower than what is kept.
    pub(crate) fn add(&mut self, place: Place, found: Found) {
        let kept = self.0.entry(place).or_default();
        if kept.len() == KEPT && kept.last().is_some_and(|last| last.duration_us >= found.duration_us) {
            return;
        }
        let at = kept.partition_point(|other| other.duration_us >= found.duration_us);
        kept.insert(at, found);
        kept.truncate(KEPT);
    }

    /// Takes in what another found.
    pub(crate) fn merge(&mut self, other: Slowest) {
        for (place, found) in other.0 {
            found.into_iter().for_each(|found| self.add(place, found));
        }
    }

    /// As evidence.
    pub(crate) fn records(&self, program: &Program) -> Vec<Exemplar> {
        let record = |place: &Place, found: &Found| {
            let scenario = &program.scenarios[usize::from(place.scenario)];
            Exemplar {
                trace_id: format!("{:032x}", found.id),
                scenario: scenario.name.clone(),
                stage: (place.stage > 0).then_some(place.stage),
                step: place.step,
                name: scenario.step_name(place.step).to_owned(),
                at_us: found.at_us,
                duration_us: found.duration_us,
                status: found.status,
                outcome: found.outcome.to_owned(),
            }
        };
        let kept = self.0.iter();
        kept.flat_map(|(place, found)| found.iter().map(move |found| record(place, found))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use planc::units::PartsPerMillion;
    use std::collections::BTreeSet;

    fn tracing(ppm: u32, run: &str) -> Tracing {
        Tracing::new(Trace { sample: PartsPerMillion(ppm) }, run, 7)
    }

    #[test]
    fn a_traceparent_has_the_shape_that_w3c_gives_it() {
        let (ids, now) = (Ids::default(), Instant::now());
        let header = ids.next(tracing(1_000_000, "run"), 3, now).header();
        let text = header.to_str().expect("ASCII");
        let parts: Vec<&str> = text.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2], "{text}");
        assert_eq!((parts[0], parts[3]), ("00", "01"), "{text}");
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        assert!(parts.iter().all(|part| digits(part)), "{text}");
        assert!(parts[1].bytes().any(|b| b != b'0') && parts[2].bytes().any(|b| b != b'0'), "{text}");
    }

    #[test]
    fn ids_differ_over_requests_shards_and_runs() {
        let now = Instant::now();
        let mut seen = BTreeSet::new();
        for run in ["one", "two"] {
            for shard in 0..2 {
                let ids = Ids::default();
                for _ in 0..1_000 {
                    assert!(seen.insert(ids.next(tracing(1_000_000, run), shard, now).id));
                }
            }
        }
    }

    #[test]
    fn a_share_is_recorded_and_the_others_say_so() {
        let (ids, now) = (Ids::default(), Instant::now());
        let drawn: Vec<Traced> = (0..10_000).map(|_| ids.next(tracing(10_000, "run"), 0, now)).collect();
        let sampled = drawn.iter().filter(|traced| traced.sampled).count();
        assert!((60..=140).contains(&sampled), "{sampled} of 10,000 at 1 %");
        let other = drawn.iter().find(|traced| !traced.sampled).expect("most are not");
        assert!(other.header().to_str().expect("ASCII").ends_with("-00"));
        assert_eq!(other.found(now, Duration::ZERO, 200, "ok"), None);
    }

    #[test]
    fn the_slowest_are_kept_whatever_the_order() {
        let place = Place { scenario: 0, stage: 1, step: 0, failed: false };
        let found = |duration_us| Found { id: 1, at_us: 0, duration_us, status: 200, outcome: "ok" };
        let (mut one, mut other) = (Slowest::default(), Slowest::default());
        [5, 1, 9, 7].into_iter().for_each(|us| one.add(place, found(us)));
        [8, 2].into_iter().for_each(|us| other.add(place, found(us)));
        one.merge(other);
        let kept: Vec<u64> = one.0[&place].iter().map(|found| found.duration_us).collect();
        assert_eq!(kept, [9, 8, 7]);
    }
}
