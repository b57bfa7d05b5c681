//! Metrics by Prometheus remote write while the load runs, and the stages as annotations in Grafana.
//!
//! Beside the load and never in its way: the engine hands over what it has merged, a task of the run's own sends it,
//! and what cannot be sent is left out, since the next push holds all that it would have said. An endpoint that is
//! away costs a line in the report.

mod series;
mod stages;
mod wire;

use crate::client::{Filled, Web};
use crate::evidence::LoadRecord;
use planc::graph::{ExecutionGraph, Tls};
pub(crate) use series::Point;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Longest that one request may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Pushes that wait to be sent; one more is lost.
const WAITING: usize = 2;
/// How often the last push, which holds the sums, is tried.
const LAST_TRIES: u32 = 3;

/// Where to push, slots filled in.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Endpoint {
    /// The whole URL.
    pub(crate) url: String,
    /// Headers, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
}

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Remote writes, and how often.
    pub(crate) prometheus: Option<(Endpoint, Duration)>,
    /// Annotations; its URL is Grafana's base.
    pub(crate) grafana: Option<Endpoint>,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Tried.
    pub(crate) pushes: u64,
    /// Of them lost.
    pub(crate) lost: u64,
    /// Why, the last time.
    pub(crate) why: Option<String>,
    /// The last one arrived: nothing is missing at the end.
    pub(crate) whole: bool,
}

/// One hand-over.
enum Work {
    Points(Vec<Point>, i64),
    Annotation(serde_json::Value),
    /// All is told: the last push.
    Last(Vec<Point>, i64),
}

/// Sends what it is given.
pub(crate) struct Pusher {
    to: mpsc::Sender<Work>,
    task: JoinHandle<()>,
    told: Arc<Mutex<[Told; 2]>>,
    source: Source,
}

/// From records to hand-overs.
#[derive(Clone)]
struct Source {
    graph: Arc<ExecutionGraph>,
    run_id: String,
    clock: fn() -> i64,
    begun_unix_ms: i64,
    annotates: bool,
    pushes: bool,
}

impl Pusher {
    /// A pusher that runs on the given runtime.
    pub(crate) fn start(
        runtime: &tokio::runtime::Handle,
        wanted: Wanted,
        graph: Arc<ExecutionGraph>,
        run_id: &str,
        clock: fn() -> i64,
    ) -> Pusher {
        let (to, from) = mpsc::channel(WAITING);
        let told = Arc::new(Mutex::new([Told::default(), Told::default()]));
        let source = Source {
            graph,
            run_id: run_id.to_owned(),
            clock,
            begun_unix_ms: clock() / 1_000,
            annotates: wanted.grafana.is_some(),
            pushes: wanted.prometheus.is_some(),
        };
        let task = runtime.spawn(send_all(from, wanted, Arc::clone(&told)));
        Pusher { to, task, told, source }
    }

    /// What the engine calls every so often with all that it has measured.
    pub(crate) fn stream(&self) -> Box<dyn FnMut(&LoadRecord) + Send> {
        let (to, told, source) = (self.to.clone(), Arc::clone(&self.told), self.source.clone());
        let mut seen = BTreeMap::new();
        Box::new(move |record| {
            let now = (source.clock)() / 1_000;
            let give = |which: usize, work: Work| {
                if to.try_send(work).is_err() {
                    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                    told[which].pushes += 1;
                    lose(&mut told[which], "the one before was still on its way".into());
                }
            };
            if source.annotates {
                let begun = source.begun_unix_ms;
                for text in stages::annotations(&source.graph, record, &mut seen, begun, &source.run_id) {
                    give(1, Work::Annotation(text));
                }
            }
            if source.pushes {
                give(0, Work::Points(series::points(&source.graph, record, &source.run_id), now));
            }
        })
    }

    /// Sends the whole, waits for what is on its way, and tells what became of all: of Prometheus and of Grafana.
    pub(crate) fn finish(self, runtime: &tokio::runtime::Runtime, record: &LoadRecord) -> [Told; 2] {
        let points = series::points(&self.source.graph, record, &self.source.run_id);
        let now = (self.source.clock)() / 1_000;
        let Pusher { to, task, told, .. } = self;
        runtime.block_on(async move {
            // Bounded: every request before it is.
            let _ = to.send(Work::Last(points, now)).await;
            drop(to);
            let _ = task.await;
        });
        told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn send_all(mut from: mpsc::Receiver<Work>, wanted: Wanted, told: Arc<Mutex<[Told; 2]>>) {
    let took = |which: usize, done: Result<(), String>| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let told = &mut told[which];
        told.pushes += 1;
        told.whole = done.is_ok();
        if let Err(why) = done {
            lose(told, why);
        }
    };
    while let Some(work) = from.recv().await {
        // Nobody's hold on the other end keeps the run waiting.
        let last = matches!(work, Work::Last(..));
        match (work, &wanted) {
            (Work::Points(points, at), Wanted { prometheus: Some((endpoint, _)), .. }) => {
                took(0, write(endpoint, &points, at).await);
            }
            (Work::Last(points, at), Wanted { prometheus: Some((endpoint, _)), .. }) => {
                let mut done = write(endpoint, &points, at).await;
                for _ in 1..LAST_TRIES {
                    if done.is_ok() {
                        break;
                    }
                    done = write(endpoint, &points, at).await;
                }
                took(0, done);
            }
            (Work::Annotation(text), Wanted { grafana: Some(endpoint), .. }) => {
                took(1, annotate(endpoint, &text).await);
            }
            _ => {}
        }
        if last {
            return;
        }
    }
}

fn lose(told: &mut Told, why: String) {
    told.lost += 1;
    told.whole = false;
    told.why = Some(why);
}

async fn write(endpoint: &Endpoint, points: &[Point], at_ms: i64) -> Result<(), String> {
    let body = wire::write_request(points, at_ms)?;
    let own = [
        ("content-encoding", "snappy"),
        ("content-type", "application/x-protobuf"),
        ("x-prometheus-remote-write-version", "0.1.0"),
    ];
    post(&endpoint.url, endpoint, &own, body).await
}

async fn annotate(endpoint: &Endpoint, text: &serde_json::Value) -> Result<(), String> {
    let url = format!("{}/api/annotations", endpoint.url.trim_end_matches('/'));
    let body = text.to_string().into_bytes();
    post(&url, endpoint, &[("content-type", "application/json")], body).await
}

async fn post(url: &str, endpoint: &Endpoint, own: &[(&str, &str)], body: Vec<u8>) -> Result<(), String> {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let host = host.ok_or_else(|| "the URL names no host".to_owned())?;
    let plain = Tls { verify: true, ca: None, client_cert: None, client_key: None, server_name: None };
    // The plan names this host for its metrics, and nothing but metrics goes there.
    let web = Web::new(&plain, &[host], LIMIT)?;
    let mut headers: Vec<(String, String)> =
        own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    headers.push(("user-agent".into(), crate::phases::program().replace(' ', "/")));
    headers.extend(endpoint.headers.iter().cloned());
    let request = Filled {
        method: "POST".into(),
        url: url.to_owned(),
        headers,
        body: Some(body),
        timeout: Some(LIMIT),
        redirects: 0,
    };
    let reply = web.send(&request).await.map_err(|error| error.to_string())?;
    match reply.status {
        200..=299 => Ok(()),
        status => {
            let body = String::from_utf8_lossy(&reply.body[..reply.body.len().min(200)]).trim().to_owned();
            Err(format!("status {status}{}{body}", if body.is_empty() { "" } else { ": " }))
        }
    }
}

#[cfg(test)]
mod tests;
