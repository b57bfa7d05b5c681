//! Waiting until a moment with microseconds of lateness: one timerfd, armed for the next due time.
//!
//! `tokio::time::sleep` has a millisecond wheel and is 1.0 to 1.4 ms late whatever the rate.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The shortest wait: arrivals that are due within it are released together, which bounds the
/// generator's wake-ups at high rates.
const SHORTEST: Duration = Duration::from_micros(50);

/// A timer of the current runtime.
pub(crate) struct Pacer {
    fd: AsyncFd<Timer>,
}

struct Timer(TimerFd);

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Pacer {
    /// A timer; must be called within a runtime.
    pub(crate) fn new() -> std::io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        // SAFETY: `Timer` owns its descriptor and always gives the same one, which is closed after the registration
        // ends because both are dropped with the `AsyncFd`.
        let fd = unsafe { AsyncFd::register_with_interest(Timer(timer), Interest::READABLE) }?;
        Ok(Pacer { fd })
    }

    /// Returns at `due` or up to 50 µs later plus what the machine adds; at once when it is past.
    pub(crate) async fn until(&self, due: Instant) -> std::io::Result<()> {
        let mut now = Instant::now();
        if due <= now {
            // A driver that is behind must still let its virtual users read their sockets.
            tokio::task::yield_now().await;
            return Ok(());
        }
        while now < due {
            let wait = (due - now).max(SHORTEST);
            let expiration = Expiration::OneShot(TimeSpec::from_duration(wait));
            self.fd.get_ref().0.set(expiration, TimerSetTimeFlags::empty())?;
            // The expiration is not read: arming the timer again takes it away. What an earlier wait left behind, which
            // was given up when it had just come to its end, only has the clock looked at once more.
            self.fd.readable().await?.clear_ready();
            now = Instant::now();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_early() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let pacer = Pacer::new().unwrap();
            for micros in [0, 10, 200, 1_500] {
                let due = Instant::now() + Duration::from_micros(micros);
                pacer.until(due).await.unwrap();
                assert!(Instant::now() >= due);
            }
        });
    }

    #[test]
    fn a_wait_that_was_given_up_ends_no_other() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let pacer = Pacer::new().unwrap();
            for given_up_after in [0, 50, 100, 300] {
                let soon = Instant::now() + Duration::from_micros(100);
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(Duration::from_micros(given_up_after)) => {}
                    waited = pacer.until(soon) => waited.unwrap(),
                }
                let due = Instant::now() + Duration::from_millis(3);
                pacer.until(due).await.unwrap();
                assert!(Instant::now() >= due);
            }
        });
    }
}
