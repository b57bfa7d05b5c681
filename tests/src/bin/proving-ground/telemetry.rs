//! What a service tells of itself while it runs: metrics in Prometheus' text format, its pool as JSON, and a queue of jobs
//! that a fault can keep from being worked off.

use crate::ground::Shared;
use crate::process;
use crate::routes::Routes;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Jobs that the workers of the queue do in a second.
const DRAIN: f64 = 2_000.0;

/// Jobs that wait: each change puts one in, and workers take them out as long as nothing stops them.
pub(crate) struct Queue(Mutex<Waiting>);

struct Waiting {
    jobs: f64,
    since: Instant,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Queue(Mutex::new(Waiting { jobs: 0.0, since: Instant::now() }))
    }

    /// Puts a job in.
    pub(crate) fn put(&self, stalled: bool) {
        self.settle(stalled, |waiting| waiting.jobs += 1.0);
    }

    /// Whole jobs that wait.
    fn depth(&self, stalled: bool) -> u64 {
        let mut depth = 0;
        self.settle(stalled, |waiting| depth = waiting.jobs.round() as u64);
        depth
    }

    fn settle(&self, stalled: bool, then: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if !stalled {
            waiting.jobs = (waiting.jobs - DRAIN * (now - waiting.since).as_secs_f64()).max(0.0);
        }
        waiting.since = now;
        then(&mut waiting);
    }
}

pub(crate) fn routes(routes: &mut Routes) {
    routes.get("/metrics", metrics);
    routes.get("/internal/pool", pool);
}

async fn metrics(State(ground): State<Shared>) -> impl IntoResponse {
    let mut out = String::from(
        "# HELP http_requests_total Requests answered, by route and status.\n# TYPE http_requests_total counter\n",
    );
    ground.stats.each(|route, status, count| {
        let route = route.replace('\\', "\\\\").replace('"', "\\\"");
        let _ = writeln!(out, "http_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}");
    });
    let depth = ground.queue.depth(ground.faults.queue_stalled());
    out.push_str("# HELP bullmq_queue_jobs Jobs by queue and state.\n# TYPE bullmq_queue_jobs gauge\n");
    let _ = writeln!(out, "bullmq_queue_jobs{{queue=\"jobs\",state=\"wait\"}} {depth}");
    let _ = writeln!(out, "bullmq_queue_jobs{{queue=\"jobs\",state=\"failed\"}} 0");
    for (state, jobs) in ground.settlement.states() {
        let _ = writeln!(out, "bullmq_queue_jobs{{queue=\"settlement\",state=\"{state}\"}} {jobs}");
    }
    let (percent, bytes) = (ground.cpu.percent(), process::resident_bytes());
    let _ = writeln!(out, "# HELP process_cpu_percent Of all cores.\n# TYPE process_cpu_percent gauge");
    let _ = writeln!(out, "process_cpu_percent {percent:.1}");
    let _ =
        writeln!(out, "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {bytes}");
    out.push_str("# TYPE db_pool_connections gauge\n");
    let [size, in_use, waiting] = ground.database().map_or([0; 3], |pool| pool.usage());
    let _ = writeln!(out, "db_pool_connections{{state=\"in_use\"}} {in_use}");
    let _ = writeln!(out, "db_pool_connections{{state=\"idle\"}} {}", size.saturating_sub(in_use));
    let _ = writeln!(out, "# TYPE db_pool_waiting gauge\ndb_pool_waiting {waiting}");
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], out)
}

async fn pool(State(ground): State<Shared>) -> Json<Value> {
    let [size, in_use, waiting] = ground.database().map_or([0; 3], |pool| pool.usage());
    Json(json!({ "size": size, "in_use": in_use, "idle": size.saturating_sub(in_use), "waiting": waiting }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_nobody_works_off_grows() {
        let queue = Queue::new();
        (0..100).for_each(|_| queue.put(true));
        assert_eq!(queue.depth(true), 100);
        queue.0.lock().expect("no one panics").since -= std::time::Duration::from_secs(1);
        assert_eq!(queue.depth(false), 0);
    }
}
