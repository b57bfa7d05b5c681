//! When a server that stops for a while in each period is stopped.

use serde::{Deserialize, Serialize};

/// The last `for_ms` of each `every_ms`, counted from when the fault was set. A run of n whole periods that
/// starts soon after therefore meets exactly n stalls.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stall {
    every_ms: u64,
    for_ms: u64,
}

/// One stall, in microseconds since the fault was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Halt {
    pub(crate) start: u64,
    pub(crate) stop: u64,
}

const DAY_MS: u64 = 86_400_000;

impl Stall {
    pub(crate) fn check(&self) -> Result<(), String> {
        let possible = (1..self.every_ms).contains(&self.for_ms) && self.every_ms <= DAY_MS;
        possible.then_some(()).ok_or_else(|| "stall: needs 0 < for_ms < every_ms <= one day".to_owned())
    }

    /// How long a request that is here at `elapsed` must wait, or `None` when the server is awake.
    pub(crate) fn remaining(&self, elapsed: u64) -> Option<u64> {
        let halt = self.halt(elapsed / self.every());
        (elapsed >= halt.start).then(|| halt.stop - elapsed)
    }

    /// The stalls begun by `elapsed`, oldest first, at most the last `most`.
    pub(crate) fn begun(&self, elapsed: u64, most: u64) -> impl Iterator<Item = Halt> {
        let current = elapsed / self.every();
        let end = current + u64::from(self.remaining(elapsed).is_some());
        (end.saturating_sub(most)..end).map(|period| self.halt(period))
    }

    fn halt(&self, period: u64) -> Halt {
        let stop = (period + 1) * self.every();
        Halt { start: stop - self.for_ms * 1000, stop }
    }

    fn every(&self) -> u64 {
        self.every_ms * 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Stall = Stall { every_ms: 10_000, for_ms: 1000 };
    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_request_waits_for_the_end_of_the_stall_it_meets() {
        assert_eq!(STALL.remaining(0), None);
        assert_eq!(STALL.remaining(9 * SECOND - 1), None);
        assert_eq!(STALL.remaining(9 * SECOND), Some(SECOND));
        assert_eq!(STALL.remaining(10 * SECOND - 1), Some(1));
        assert_eq!(STALL.remaining(10 * SECOND), None);
        assert_eq!(STALL.remaining(19 * SECOND + 250_000), Some(750_000));
    }

    #[test]
    fn a_stall_is_told_once_it_has_begun() {
        let first = Halt { start: 9 * SECOND, stop: 10 * SECOND };
        let second = Halt { start: 19 * SECOND, stop: 20 * SECOND };
        let begun = |elapsed, most| STALL.begun(elapsed, most).collect::<Vec<_>>();
        assert_eq!(begun(9 * SECOND - 1, 9), []);
        assert_eq!(begun(9 * SECOND, 9), [first]);
        assert_eq!(begun(18 * SECOND, 9), [first]);
        assert_eq!(begun(25 * SECOND, 9), [first, second]);
        assert_eq!(begun(25 * SECOND, 1), [second]);
    }

    #[test]
    fn impossible_stalls_are_refused() {
        assert!(STALL.check().is_ok());
        assert!(Stall { every_ms: 0, for_ms: 0 }.check().is_err());
        assert!(Stall { every_ms: 1000, for_ms: 0 }.check().is_err());
        assert!(Stall { every_ms: 1000, for_ms: 1000 }.check().is_err());
        assert!(Stall { every_ms: u64::MAX, for_ms: 1 }.check().is_err());
    }
}
