//! What this process uses of its machine.

use nix::sys::resource::{UsageWho, getrusage};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whoever asks more often gets the share of the second before, not one of too few ticks of the clock.
const SHORTEST: Duration = Duration::from_secs(1);

/// How much of all cores was used since it was looked at last.
pub(crate) struct Cpu(Mutex<Look>);

struct Look {
    at: Instant,
    used: Duration,
    percent: f64,
}

impl Cpu {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Look { at: Instant::now(), used: used(), percent: 0.0 }))
    }

    /// 100 is all cores.
    pub(crate) fn percent(&self) -> f64 {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = last.at.elapsed();
        if passed >= SHORTEST {
            let (now, cores) = (used(), std::thread::available_parallelism().map_or(1, usize::from));
            let share = now.saturating_sub(last.used).as_secs_f64() / passed.as_secs_f64() / cores as f64;
            *last = Look { at: Instant::now(), used: now, percent: (share * 100.0).min(100.0) };
        }
        last.percent
    }
}

/// CPU time of all threads so far.
fn used() -> Duration {
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |usage| {
        let micros = |time: nix::sys::time::TimeVal| {
            Duration::from_secs(u64::try_from(time.tv_sec()).unwrap_or(0))
                + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0))
        };
        micros(usage.user_time()) + micros(usage.system_time())
    })
}

/// Bytes of memory that are held now, 0 where the kernel does not say.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_all_cores_and_memory_is_held() {
        let cpu = Cpu(Mutex::new(Look {
            at: Instant::now() - Duration::from_secs(2),
            used: Duration::ZERO,
            percent: 0.0,
        }));
        assert!((0.0..=100.0).contains(&cpu.percent()));
        assert!(resident_bytes() > 1 << 20);
    }
}
