//! What is watched beside the load: scraped metrics and triage. On a thread of its own, so that neither a slow answer nor a
//! large one costs a worker anything; every look is bounded in time and in size.

pub(crate) mod exposition;
mod scrape;
mod triage;

use crate::client::Web;
use crate::evidence::TriageRecord;
use crate::load::Scraped;
use crate::values::Values;
use planc::graph::ExecutionGraph;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, mpsc};
use std::thread::JoinHandle;
use tokio::sync::watch;
pub(crate) use triage::{Desk, Scene, begun};

/// The world as it is watched.
#[derive(Clone)]
pub(crate) struct Ground {
    /// What is scraped, and what is triaged.
    pub(crate) graph: Arc<ExecutionGraph>,
    /// HTTP, when there is a target.
    pub(crate) web: Option<Web>,
    /// Base URL of paths.
    pub(crate) base: Option<String>,
    /// URL of the plan's database.
    pub(crate) database: Option<String>,
    /// Names in scope.
    pub(crate) values: Values,
    /// Environment of programs.
    pub(crate) env: BTreeMap<String, String>,
    /// Where programs run.
    pub(crate) folder: PathBuf,
}

/// A watch under way; it ends with the value.
pub(crate) struct Watcher {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    records: triage::Records,
}

/// A watch that has begun.
pub(crate) struct Begun {
    pub(crate) watcher: Watcher,
    /// What is scraped.
    pub(crate) scraped: mpsc::Receiver<Scraped>,
    /// Looks at the conditions of triage.
    pub(crate) desk: Desk,
}

impl Watcher {
    /// Begins to watch.
    pub(crate) fn start(ground: Ground) -> std::io::Result<Begun> {
        let (to, scraped) = mpsc::channel();
        let (breaches, told) = tokio::sync::mpsc::unbounded_channel();
        let desk = Desk::new(Arc::clone(&ground.graph), breaches);
        let records = triage::Records::default();
        let filled = Arc::clone(&records);
        let stop = watch::Sender::new(false);
        let mut stopped = stop.subscribe();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("watch".into()).spawn(move || {
            let local = tokio::task::LocalSet::new();
            for (scrape, metrics) in scrape::grouped(&ground.graph.scrapes) {
                local.spawn_local(scrape::repeat(scrape, metrics, scrape::Place::of(&ground), to.clone()));
            }
            drop(to);
            let scene = Scene::of(&ground);
            let gathering = local.spawn_local(triage::gather(ground.graph, scene, told, filled));
            // Scrapes under way are dropped with their connections; the looks of triage are each waited for, and each
            // has its limit.
            runtime.block_on(local.run_until(async move {
                drop(stopped.wait_for(|stopped| *stopped).await);
                drop(gathering.await);
            }));
        })?;
        let watcher = Watcher { stop, thread: Some(thread), records };
        Ok(Begun { watcher, scraped, desk })
    }

    /// Ends the watch and hands over what triage found. The desk must be gone by then.
    pub(crate) fn finish(mut self) -> Vec<TriageRecord> {
        self.end();
        std::mem::take(&mut self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // Whatever went wrong there is no reason to lose what was measured.
            drop(thread.join());
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.end();
    }
}
