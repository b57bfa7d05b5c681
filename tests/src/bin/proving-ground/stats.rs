//! How many requests were answered, by route and status.

use crate::times::{self, Accepted, Times};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Indices below 100 are no statuses, so two of them count what never got one.
const RESET: usize = 0;
const DROPPED: usize = 1;

/// The counters of all routes.
#[derive(Default)]
pub(crate) struct Stats {
    routes: Mutex<Vec<(String, Arc<Counter>)>>,
    in_flight: Arc<AtomicI64>,
    /// TLS handshakes: full ones, and those that resumed a session.
    handshakes: [AtomicU64; 2],
    /// Connections, by when they came.
    pub(crate) accepted: Accepted,
}

/// The counters of one route, indexed by status, and its times.
pub(crate) struct Counter(Box<[AtomicU64]>, Times);

/// One request from arrival to answer; counted as dropped when the client leaves before that.
pub(crate) struct Visit {
    counter: Arc<Counter>,
    in_flight: Arc<AtomicI64>,
    begun: Instant,
    outcome: usize,
}

impl Stats {
    /// A new counter, shown under `label`.
    pub(crate) fn register(&self, label: String) -> Arc<Counter> {
        let counts = (0..1000).map(|_| AtomicU64::new(0)).collect();
        let counter = Arc::new(Counter(counts, Times::new()));
        self.lock().push((label, Arc::clone(&counter)));
        counter
    }

    pub(crate) fn enter(&self, counter: Arc<Counter>) -> Visit {
        self.in_flight.fetch_add(1, Relaxed);
        Visit { counter, in_flight: Arc::clone(&self.in_flight), begun: Instant::now(), outcome: DROPPED }
    }

    /// Counts a TLS handshake.
    pub(crate) fn shook_hands(&self, resumed: bool) {
        self.handshakes[usize::from(resumed)].fetch_add(1, Relaxed);
    }

    /// What `GET /_stats` answers; routes that nothing asked for are left out.
    pub(crate) fn to_json(&self) -> Value {
        let (mut total, mut requests) = (0, Map::new());
        for (label, counter) in self.lock().iter() {
            let mut statuses = Map::new();
            for (status, count) in counter.0.iter().enumerate() {
                let count = count.load(Relaxed);
                if count > 0 {
                    total += count;
                    statuses.insert(name(status), json!(count));
                }
            }
            if !statuses.is_empty() {
                requests.insert(label.clone(), Value::Object(statuses));
            }
        }
        let mut told =
            json!({ "total": total, "in_flight": self.in_flight.load(Relaxed), "requests": requests });
        let [full, resumed] = self.handshakes.each_ref().map(|count| count.load(Relaxed));
        if full + resumed > 0 {
            told["handshakes"] = json!({ "full": full, "resumed": resumed });
        }
        told
    }

    /// What `GET /_times` answers; routes that nothing asked for are left out.
    pub(crate) fn times(&self) -> Value {
        let routes = self.lock();
        let routes = routes.iter().filter_map(|(label, counter)| Some((label.clone(), counter.1.to_json()?)));
        times::told(&self.accepted, routes.collect())
    }

    /// Calls `see` with every route, status and count that is not nought.
    pub(crate) fn each(&self, mut see: impl FnMut(&str, &str, u64)) {
        for (label, counter) in self.lock().iter() {
            for (status, count) in counter.0.iter().enumerate() {
                let count = count.load(Relaxed);
                if count > 0 {
                    see(label, &name(status), count);
                }
            }
        }
    }

    /// Counts from nothing again. Requests under way stay in flight.
    pub(crate) fn clear(&self) {
        self.handshakes.iter().for_each(|count| count.store(0, Relaxed));
        self.accepted.clear();
        for (_, counter) in self.lock().iter() {
            counter.0.iter().for_each(|count| count.store(0, Relaxed));
            counter.1.clear();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, Arc<Counter>)>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    pub(crate) fn answered(mut self, status: StatusCode) {
        self.outcome = usize::from(status.as_u16());
    }

    pub(crate) fn reset(mut self) {
        self.outcome = RESET;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Relaxed);
        if let Some(count) = self.counter.0.get(self.outcome) {
            count.fetch_add(1, Relaxed);
        }
        self.counter.1.add(self.begun);
    }
}

fn name(status: usize) -> String {
    match status {
        RESET => "reset".to_owned(),
        DROPPED => "dropped".to_owned(),
        status => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_is_counted_once_by_how_it_ended() {
        let stats = Stats::default();
        let counter = stats.register("GET /a".to_owned());
        stats.register("GET /unused".to_owned());
        stats.enter(Arc::clone(&counter)).answered(StatusCode::OK);
        stats.enter(Arc::clone(&counter)).answered(StatusCode::OK);
        stats.enter(Arc::clone(&counter)).reset();
        drop(stats.enter(Arc::clone(&counter)));
        let _open = stats.enter(counter);
        let expected = json!({
            "total": 4, "in_flight": 1, "requests": { "GET /a": { "200": 2, "reset": 1, "dropped": 1 } }
        });
        assert_eq!(stats.to_json(), expected);
        assert_eq!(stats.times()["routes"]["GET /a"]["count"], 4, "one that is open has no time");
        stats.clear();
        assert_eq!(stats.to_json()["total"], 0);
        assert_eq!(stats.times()["routes"], json!({}));
    }
}
