//! So many requests in any minute, for each client address.

use crate::bucket::TokenBucket;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// A sliding minute: unlike a token bucket it never lets more than its limit through in 60 seconds, which is
/// what "5 a minute" promises.
pub(crate) struct MinuteWindow {
    limit: usize,
    seen: HashMap<IpAddr, VecDeque<Instant>>,
}

impl MinuteWindow {
    /// `limit` must not be 0.
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit: limit as usize, seen: HashMap::new() }
    }

    /// Lets a request through, or says when the oldest of this minute is forgotten.
    pub(crate) fn enter(&mut self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let seen = self.seen.entry(client).or_default();
        let age = |at: &Instant| now.saturating_duration_since(*at);
        while seen.front().is_some_and(|at| age(at) >= MINUTE) {
            seen.pop_front();
        }
        match seen.front() {
            Some(oldest) if seen.len() >= self.limit => Err(MINUTE - age(oldest)),
            _ => {
                seen.push_back(now);
                Ok(())
            }
        }
    }
}

/// How registrations are limited, for each client address.
pub(crate) enum Limiter {
    /// So many in any minute, at any moments of it.
    Window(MinuteWindow),
    /// As many a minute, of which so many at once.
    Buckets { per_minute: u32, burst: u32, of: HashMap<IpAddr, TokenBucket> },
}

impl Limiter {
    /// `per_minute` must not be 0; with a `burst` it is a bucket of tokens.
    pub(crate) fn new(per_minute: u32, burst: u32) -> Self {
        match burst {
            0 => Limiter::Window(MinuteWindow::new(per_minute)),
            burst => Limiter::Buckets { per_minute, burst, of: HashMap::new() },
        }
    }

    /// Lets a request through, or says how long it is until one may come.
    pub(crate) fn enter(&mut self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        match self {
            Limiter::Window(window) => window.enter(client, now),
            Limiter::Buckets { per_minute, burst, of } => {
                let full = || TokenBucket::with_burst(f64::from(*per_minute) / 60.0, *burst, now);
                of.entry(client).or_insert_with(full).take(now)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_limit_in_sixty_seconds() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let mut window = MinuteWindow::new(2);
        assert_eq!(window.enter(one, at(0)), Ok(()));
        assert_eq!(window.enter(one, at(20)), Ok(()));
        assert_eq!(window.enter(one, at(30)), Err(Duration::from_secs(30)));
        assert_eq!(window.enter(other, at(30)), Ok(()));
        assert_eq!(window.enter(one, at(60)), Ok(()));
        assert_eq!(window.enter(one, at(61)), Err(Duration::from_secs(19)));
    }
}
