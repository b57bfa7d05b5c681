//! When the next request may leave.
//!
//! Requests leave on an even grid, from the first one on: a service that counts by the second, by the minute or with a
//! bucket of tokens sees the same steady stream. Beside the grid no more than `count` of them fall into any `per`, which
//! is what a rate promises.

use planc::units::Rate;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Starts that a busy machine missed by less are made up for; of later ones the grid begins anew.
const GRACE: Duration = Duration::from_millis(50);

/// Starts that are remembered at most; a window that holds more is cut into shorter ones.
const REMEMBERED: u64 = 65_536;

/// Where a rate is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Where requests leave.
    Here,
    /// Where they arrive: a request is counted somewhere between its start and its answer, or a tenth of the period
    /// after its start, since waiting for slow answers would cost more than a refusal now and then.
    There,
}

/// The start times of requests.
pub(super) struct Pacer {
    rule: Option<Rule>,
}

struct Rule {
    slot: Duration,
    grace: Duration,
    next: Instant,
    /// So many starts at most within `per`.
    count: usize,
    per: Duration,
    slack: Duration,
    /// From when `per` counts for each of the last `count` starts.
    recent: VecDeque<Instant>,
    /// Number of the first of these.
    first: u64,
}

impl Pacer {
    /// The first start is due at once.
    pub(super) fn new(rate: Option<(Rate, At)>, start: Instant) -> Pacer {
        let rule = rate.filter(|(rate, _)| rate.count > 0).map(|(rate, at)| {
            let parts = rate.count.div_ceil(REMEMBERED).max(1);
            let count = (rate.count / parts).max(1);
            let nanos = rate.per.as_nanos() * u128::from(count) / u128::from(rate.count);
            let per = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            let slot = per / u32::try_from(count).unwrap_or(u32::MAX);
            let slack = if at == At::There { per / 10 } else { Duration::ZERO };
            let grace = slot.max(GRACE.min(per / 10));
            let (count, recent) = (count as usize, VecDeque::new());
            Rule { slot, grace, next: start, count, per, slack, recent, first: 0 }
        });
        Pacer { rule }
    }

    /// When the next request may leave; `now` where nothing holds it.
    pub(super) fn due(&self, now: Instant) -> Instant {
        let Some(rule) = &self.rule else { return now };
        let freed = rule.recent.front().filter(|_| rule.recent.len() >= rule.count);
        freed.map_or(rule.next, |oldest| rule.next.max(*oldest + rule.per))
    }

    /// A request leaves; the number is for [`Self::answered`].
    pub(super) fn took(&mut self, now: Instant) -> u64 {
        let Some(rule) = &mut self.rule else { return 0 };
        let behind = now.saturating_duration_since(rule.next);
        rule.next = if behind > rule.grace { now + rule.slot } else { rule.next + rule.slot };
        if rule.recent.len() >= rule.count {
            rule.recent.pop_front();
            rule.first += 1;
        }
        rule.recent.push_back(now + rule.slack);
        rule.first + rule.recent.len() as u64 - 1
    }

    /// A request was answered: it has arrived by now.
    pub(super) fn answered(&mut self, number: u64, now: Instant) {
        let Some(rule) = &mut self.rule else { return };
        let index = number.checked_sub(rule.first).and_then(|index| usize::try_from(index).ok());
        if let Some(at) = index.and_then(|index| rule.recent.get_mut(index)) {
            *at = (*at).min(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(count: u64, seconds: u64) -> Rate {
        Rate { count, per: Duration::from_secs(seconds) }
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_grid_is_kept_and_a_long_wait_gives_no_burst() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Some((rate(10, 1), At::Here)), start);
        assert_eq!(pacer.due(start), start);
        pacer.took(start + ms(40));
        assert_eq!(pacer.due(start), start + ms(100), "a late start does not shift the grid");
        pacer.took(start + ms(950));
        assert_eq!(pacer.due(start), start + ms(1_050), "no burst after a long wait");
    }

    /// Starts of a machine that is late by what `late` says for each.
    fn starts(rate: Rate, at: At, n: u64, latency: Duration, late: impl Fn(u64) -> u64) -> Vec<Duration> {
        let start = Instant::now();
        let mut pacer = Pacer::new(Some((rate, at)), start);
        let mut now = start;
        let mut flying: VecDeque<(u64, Instant)> = VecDeque::new();
        (0..n)
            .map(|k| {
                let due = pacer.due(now);
                if due > now {
                    now = due + Duration::from_micros(late(k));
                }
                while flying.front().is_some_and(|(_, back)| *back <= now) {
                    let (number, back) = flying.pop_front().unwrap();
                    pacer.answered(number, back);
                }
                flying.push_back((pacer.took(now), now + latency));
                now - start
            })
            .collect()
    }

    #[test]
    fn no_window_holds_more_than_the_rate_and_the_rate_is_reached() {
        // A fast rate on a machine that wakes 0 to 3 ms late.
        let fast = starts(rate(1_000, 1), At::Here, 5_000, Duration::ZERO, |k| k * 7_919 % 3_000);
        for (k, first) in fast.iter().enumerate() {
            if let Some(next) = fast.get(k + 1_000) {
                assert!(*next - *first >= ms(1_000), "more than 1,000 in a second from {first:?}");
            }
        }
        assert!(*fast.last().unwrap() < ms(5_250), "{:?}", fast.last());
    }

    #[test]
    fn a_limit_holds_where_requests_arrive() {
        // Every answer comes after 30 ms; a request may have been counted at any moment of these.
        let sent = starts(rate(100, 1), At::There, 1_000, ms(30), |_| 0);
        for (k, first) in sent.iter().enumerate() {
            if let Some(next) = sent.get(k + 100) {
                assert!(*next >= *first + ms(1_030), "{k}: {first:?} to {next:?}");
            }
        }
        assert!(*sent.last().unwrap() < ms(10_400), "{:?}", sent.last());
        // Slow answers cost a tenth and no more.
        let slow = starts(rate(10, 1), At::There, 101, ms(5_000), |_| 0);
        assert!(*slow.last().unwrap() < ms(11_100), "{:?}", slow.last());
    }

    #[test]
    fn a_rate_beyond_what_is_remembered_is_cut_into_shorter_windows() {
        let pacer = Pacer::new(Some((rate(1_000_000, 60), At::Here)), Instant::now());
        let rule = pacer.rule.unwrap();
        assert!(rule.count <= REMEMBERED as usize);
        assert_eq!(rule.slot, Duration::from_micros(60));
    }
}
