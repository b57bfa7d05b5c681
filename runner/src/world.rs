//! What comes in from outside, handed down from `main`: environment, clock, folder, signals.

use crate::load::{STOP_GRACEFUL, STOP_NOW};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// The outside world.
#[derive(Clone)]
pub struct World {
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Microseconds since 1970.
    pub clock: fn() -> i64,
    /// Working directory.
    pub folder: PathBuf,
    /// Number of this process, to tell apart runs of the same microsecond.
    pub process: u32,
    /// Interruptions.
    pub signals: Signals,
}

/// Interruptions: the first asks to stop, the second to stop now.
#[derive(Clone)]
pub struct Signals {
    name: Arc<OnceLock<&'static str>>,
    asked: watch::Sender<bool>,
    /// For the load.
    pub stop: Arc<AtomicU8>,
    /// For teardown, which a first signal does not skip.
    pub stop_teardown: Arc<AtomicU8>,
}

impl Signals {
    /// Nothing was asked yet.
    pub fn new() -> Self {
        Signals {
            name: Arc::default(),
            asked: watch::Sender::new(false),
            stop: Arc::default(),
            stop_teardown: Arc::default(),
        }
    }

    /// Takes note of a signal.
    pub fn ask(&self, name: &'static str) {
        if self.name.set(name).is_ok() {
            self.stop.store(STOP_GRACEFUL, Ordering::SeqCst);
        } else {
            self.stop.store(STOP_NOW, Ordering::SeqCst);
            self.stop_teardown.store(STOP_NOW, Ordering::SeqCst);
        }
        self.asked.send_replace(true);
    }

    /// The first signal, if there was one.
    pub fn name(&self) -> Option<&'static str> {
        self.name.get().copied()
    }

    /// Returns once a second signal has come.
    pub async fn insisted(&self) {
        let mut asked = self.asked.subscribe();
        while self.stop_teardown.load(Ordering::SeqCst) != STOP_NOW {
            // The sender is ours and lives as long as we do.
            let _ = asked.changed().await;
        }
    }

    /// Returns once a signal has come.
    pub async fn asked(&self) {
        let mut asked = self.asked.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = asked.wait_for(|asked| *asked).await;
    }

    /// Listens for SIGINT and SIGTERM on the current runtime.
    pub fn listen(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        for (kind, name) in [(SignalKind::interrupt(), "SIGINT"), (SignalKind::terminate(), "SIGTERM")] {
            let mut stream = signal(kind)?;
            let signals = self.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    signals.ask(name);
                }
            });
        }
        Ok(())
    }
}

impl Default for Signals {
    fn default() -> Self {
        Signals::new()
    }
}
