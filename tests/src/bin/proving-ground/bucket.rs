//! So many requests a second, and as many at once.

use std::time::{Duration, Instant};

/// A token bucket.
pub(crate) struct TokenBucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// One whose burst is one second of its rate.
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        Self::with_burst(f64::from(per_second), per_second, now)
    }

    pub(crate) fn with_burst(per_second: f64, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst);
        Self { per_second, burst, tokens: burst, filled: now }
    }

    /// Takes a token, or says how long it is until there is one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.filled = self.filled.max(now);
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / self.per_second));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(4, start);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!((0..4).filter(|_| bucket.take(start).is_ok()).count(), 4);
        assert_eq!(bucket.take(start), Err(Duration::from_millis(250)));
        assert_eq!(bucket.take(at(125)), Err(Duration::from_millis(125)));
        assert_eq!(bucket.take(at(250)), Ok(()));
        assert!(bucket.take(at(250)).is_err());
        let allowed = (0..10_000).filter(|&ms| bucket.take(at(1000 + ms)).is_ok()).count();
        assert!((42..=44).contains(&allowed), "{allowed}");
    }

    #[test]
    fn a_burst_of_its_own() {
        let start = Instant::now();
        let mut bucket = TokenBucket::with_burst(10.0, 2, start);
        assert_eq!((0..4).filter(|_| bucket.take(start).is_ok()).count(), 2);
        let later = start + Duration::from_secs(60);
        assert_eq!((0..4).filter(|_| bucket.take(later).is_ok()).count(), 2, "no more is saved up");
    }
}
