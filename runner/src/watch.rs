//! What is watched beside the load: scraped metrics. On a thread of its own, so that neither a slow answer nor a large one
//! costs a worker anything; every look is bounded in time and in size.

pub(crate) mod exposition;
mod scrape;

use crate::client::Web;
use crate::load::Scraped;
use crate::values::Values;
use planc::graph::Scrape;
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::watch;

/// The world as it is watched.
pub(crate) struct Ground {
    /// What is scraped, by metric.
    pub(crate) scrapes: BTreeMap<String, Scrape>,
    /// HTTP, when there is a target.
    pub(crate) web: Option<Web>,
    /// Base URL of paths.
    pub(crate) base: Option<String>,
    /// URL of the plan's database.
    pub(crate) database: Option<String>,
    /// Names in scope.
    pub(crate) values: Values,
}

/// A watch under way; it ends with the value.
pub(crate) struct Watcher {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Begins to watch; what is scraped comes out at the other end.
    pub(crate) fn start(ground: Ground) -> std::io::Result<(Watcher, mpsc::Receiver<Scraped>)> {
        let (to, from) = mpsc::channel();
        let stop = watch::Sender::new(false);
        let mut stopped = stop.subscribe();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("watch".into()).spawn(move || {
            let local = tokio::task::LocalSet::new();
            for (scrape, metrics) in scrape::grouped(&ground.scrapes) {
                local.spawn_local(scrape::repeat(scrape, metrics, scrape::Place::of(&ground), to.clone()));
            }
            drop(to);
            // Scrapes under way are dropped with their connections.
            runtime.block_on(local.run_until(async move {
                drop(stopped.wait_for(|stopped| *stopped).await);
            }));
        })?;
        Ok((Watcher { stop, thread: Some(thread) }, from))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // Whatever went wrong there is no reason to lose what was measured.
            drop(thread.join());
        }
    }
}
