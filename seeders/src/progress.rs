//! Signs of life: how far a fixture is, how fast, and how long it will take.

use std::time::{Duration, Instant};

/// Shorter than this, a rate is an accident.
const NOISE: Duration = Duration::from_millis(500);

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The fixture's name in the plan.
    pub fixture: String,
    /// Rows done, those of `before` among them.
    pub done: u64,
    /// Rows in all.
    pub total: u64,
    /// Rows that an earlier process had done: they say nothing of how fast this one is.
    pub before: u64,
    /// Time since it began on the rows.
    pub elapsed: Duration,
    /// What is done with the rows once all are on their way, such as `merging`.
    pub doing: Option<&'static str>,
    /// What it waits for, when it waits.
    pub note: Option<String>,
}

impl Progress {
    /// Rows a second since it began, rounded down; `None` in the first half second and while there is no row.
    pub fn per_second(&self) -> Option<u64> {
        let (rows, nanos) = self.measured()?;
        u64::try_from(rows * 1_000_000_000 / nanos).ok()
    }

    /// Time left at the rate so far; `None` where there is no rate, and once all rows are on their way.
    pub fn left(&self) -> Option<Duration> {
        let (rows, nanos) = self.measured()?;
        let left = self.total.checked_sub(self.done).filter(|left| *left > 0)?;
        u64::try_from(u128::from(left) * nanos / rows).ok().map(Duration::from_nanos)
    }

    fn measured(&self) -> Option<(u128, u128)> {
        let rows = self.done.checked_sub(self.before).filter(|rows| *rows > 0)?;
        (self.elapsed >= NOISE).then(|| (u128::from(rows), self.elapsed.as_nanos()))
    }
}

/// The clock of one fixture's rows.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    fixture: String,
    total: u64,
    before: u64,
    started: Instant,
}

impl Meter {
    /// Starts the clock; `before` of the `total` rows are done already.
    pub(crate) fn new(fixture: &str, total: u64, before: u64) -> Meter {
        Meter { fixture: fixture.into(), total, before, started: Instant::now() }
    }

    /// The fixture's name in the plan.
    pub(crate) fn fixture(&self) -> &str {
        &self.fixture
    }

    /// So many rows are done.
    pub(crate) fn at(&self, done: u64) -> Progress {
        Progress {
            fixture: self.fixture.clone(),
            done,
            total: self.total,
            before: self.before,
            elapsed: self.started.elapsed(),
            doing: None,
            note: None,
        }
    }

    /// All rows are on their way, and something is done with them.
    pub(crate) fn doing(&self, what: &'static str) -> Progress {
        Progress { doing: Some(what), ..self.at(self.total) }
    }

    /// Nothing goes on until something else has.
    pub(crate) fn waiting(&self, note: &str) -> Progress {
        Progress { note: Some(note.into()), ..self.at(self.before) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(done: u64, before: u64, milliseconds: u64) -> Progress {
        let elapsed = Duration::from_millis(milliseconds);
        Progress { fixture: "f".into(), done, total: 1_000, before, elapsed, doing: None, note: None }
    }

    #[test]
    fn rate_and_time_left() {
        for (done, before, milliseconds, rate, left) in [
            (0, 0, 2_000, None, None),
            (100, 0, 100, None, None),
            (100, 0, 2_000, Some(50), Some(18)),
            // What was done before counts as done and not as speed.
            (600, 500, 2_000, Some(50), Some(8)),
            (500, 500, 2_000, None, None),
            (1_000, 0, 2_000, Some(500), None),
        ] {
            let progress = progress(done, before, milliseconds);
            assert_eq!((progress.per_second(), progress.left().map(|l| l.as_secs())), (rate, left));
        }
    }

    #[test]
    fn a_meter_counts_from_where_it_began() {
        let meter = Meter::new("users", 10, 4);
        assert_eq!((meter.at(7).done, meter.at(7).before, meter.at(7).total), (7, 4, 10));
        assert_eq!(meter.waiting("a lock").note.as_deref(), Some("a lock"));
        assert_eq!((meter.doing("merging").done, meter.doing("merging").doing), (10, Some("merging")));
    }
}
