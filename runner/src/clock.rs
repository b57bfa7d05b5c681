//! Whether the machine's clock was set, or the machine itself was suspended, while a load ran.
//!
//! Latencies are taken from a clock that nobody can set, and it stands still while the machine sleeps: what a target
//! did meanwhile is in no sample. Times of rows and lifetimes of tokens count by the other clock.

use std::time::Instant;

/// A clock that is steered goes a little faster or slower; only one that was set is this far off from one look to
/// the next.
const STEP_US: i64 = 500_000;
/// Looking at two clocks takes no time, unless we are stopped between them.
const AT_ONCE_US: i64 = 20_000;

/// Compares the machine's clock with one that nobody sets.
pub(crate) struct Watch {
    clock: fn() -> i64,
    begun: Instant,
    offset_us: Option<i64>,
    jump_us: i64,
}

impl Watch {
    /// Begins to watch a clock, in microseconds since 1970.
    pub(crate) fn new(clock: fn() -> i64) -> Self {
        let mut watch = Watch { clock, begun: Instant::now(), offset_us: None, jump_us: 0 };
        watch.look();
        watch
    }

    /// Looks at both.
    pub(crate) fn look(&mut self) {
        let steady = || self.begun.elapsed().as_micros() as i64;
        let before = steady();
        let shown = (self.clock)();
        self.compare(before, shown, steady());
    }

    /// The largest jump so far, backward ones below zero; 0 when there was none.
    pub(crate) fn jump_us(&self) -> i64 {
        self.jump_us
    }

    fn compare(&mut self, before_us: i64, shown_us: i64, after_us: i64) {
        if after_us - before_us > AT_ONCE_US {
            return;
        }
        let offset = shown_us.saturating_sub(before_us);
        let by = offset.saturating_sub(self.offset_us.replace(offset).unwrap_or(offset));
        if by.abs() >= STEP_US && by.abs() > self.jump_us.abs() {
            self.jump_us = by;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(looks: &[(i64, i64, i64)]) -> i64 {
        let mut watch = Watch { clock: || 0, begun: Instant::now(), offset_us: None, jump_us: 0 };
        looks.iter().for_each(|(before, shown, after)| watch.compare(*before, *shown, *after));
        watch.jump_us()
    }

    #[test]
    fn a_clock_that_is_set_is_seen_and_one_that_is_steered_is_not() {
        const SECOND: i64 = 1_000_000;
        const DAY: i64 = 86_400 * SECOND;
        assert_eq!(seen(&[(0, DAY, 1), (SECOND, DAY + SECOND, SECOND + 1)]), 0);
        assert_eq!(seen(&[(0, DAY, 1), (SECOND, 2 * DAY + SECOND, SECOND + 1)]), DAY);
        assert_eq!(seen(&[(0, DAY, 1), (SECOND, SECOND, SECOND + 1), (2 * SECOND, 3 * SECOND, 0)]), -DAY);
        let steered: Vec<_> =
            (0..3_600).map(|s| (s * SECOND, DAY + s * (SECOND + 500), s * SECOND)).collect();
        assert_eq!(seen(&steered), 0, "500 parts of a million for an hour");
        let stopped = (SECOND, DAY + 9 * SECOND, 9 * SECOND);
        assert_eq!(seen(&[(0, DAY, 1), stopped, (10 * SECOND, DAY + 10 * SECOND, 10 * SECOND)]), 0);
    }
}
