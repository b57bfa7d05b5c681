//! Breaking the server on purpose.

use crate::dice::Dice;
use crate::failure::Failure;
use crate::stall::Stall;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, watch};

/// Stalls that the log keeps.
const LOGGED: u64 = 10_000;
/// What a broken request may send before it is broken.
const BODY_LIMIT: usize = 16 << 20;

/// What `PUT /_faults` takes.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FaultSpec {
    path_prefix: String,
    /// Health is spared unless this is set: most faults are for a server that looks well.
    health: bool,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stall: Option<Stall>,
    /// A server that cannot bear what it is asked: every answer comes later and later.
    #[serde(skip_serializing_if = "Option::is_none")]
    climb: Option<Climb>,
    /// A server of known capacity: so many requests at once, each for so long; the others wait in line.
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<Capacity>,
    hang: bool,
    reset: f64,
    error_share: f64,
    limited_share: f64,
    wrong_body: bool,
    empty_body: bool,
    /// Nobody works off the queue of jobs that every POST puts one into.
    queue_stalled: bool,
    /// Inbound: audit entries that two writers at once would have written without waiting for each other.
    pub(crate) chain_fork: bool,
    /// Inbound: conflicts that do not say of which kind they are.
    pub(crate) conflict_kind: bool,
    /// Chat: a login that gives no CSRF token.
    pub(crate) csrf_missing: bool,
    #[serde(skip_serializing_if = "Certctl::is_well")]
    certctl: Certctl,
}

/// What a certificate manager and its ACME server can get wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Certctl {
    /// A bulk renewal touches no more, whatever limit is asked for; 0 is no fault.
    pub(crate) renew_at_most: i64,
    /// Too many requests are refused in another shape than RFC 8555's.
    pub(crate) limit_shape: bool,
    /// A nonce can be used again.
    pub(crate) any_nonce: bool,
    /// No nonce is good.
    pub(crate) no_nonce: bool,
    /// Anyone's signature is taken.
    pub(crate) any_signature: bool,
    /// Each TLS handshake begins so much later.
    pub(crate) handshake_ms: u64,
}

impl Certctl {
    fn is_well(&self) -> bool {
        *self == Certctl::default()
    }
}

/// How much later than it could every answer comes. The clock ticks in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
enum Latency {
    #[serde(rename = "fixed_ms")]
    Fixed(f64),
    #[serde(rename = "uniform_ms")]
    Uniform([f64; 2]),
    #[serde(rename = "lognormal_ms")]
    Lognormal { median: f64, sigma: f64 },
    /// Later with every second since the fault was set, as on a server whose queue only grows.
    #[serde(rename = "climb_ms_per_s")]
    Climb(f64),
}

/// Latency that grows for ever.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Climb {
    /// So much later with every second.
    ms_per_second: f64,
    /// From the moment on at which more than so many requests were under way at once.
    #[serde(default)]
    above: u64,
}

/// At most `at_once ÷ each` requests a second.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Capacity {
    at_once: usize,
    each_ms: u64,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Reset,
    Error,
    Limited,
    Served,
}

impl FaultSpec {
    /// # Errors
    /// What cannot be done, for the client.
    pub(crate) fn check(&self) -> Result<(), String> {
        let shares = [self.reset, self.error_share, self.limited_share];
        if !shares.iter().all(|share| (0.0..=1.0).contains(share)) || shares.iter().sum::<f64>() > 1.0 + 1e-9
        {
            return Err(
                "reset, error_share and limited_share must lie in 0..=1, and so must their sum".to_owned()
            );
        }
        if self.climb.is_some_and(|climb| !(0.0..=60_000.0).contains(&climb.ms_per_second)) {
            return Err("climb: ms_per_second must lie in 0..=60000".to_owned());
        }
        if self.capacity.is_some_and(|capacity| capacity.at_once == 0 || capacity.each_ms > 60_000) {
            return Err("capacity: needs at_once >= 1, each_ms <= 60000".to_owned());
        }
        self.latency.map_or(Ok(()), |latency| latency.check())?;
        self.stall.map_or(Ok(()), |stall| stall.check())
    }

    fn applies_to(&self, path: &str) -> bool {
        path.starts_with(&self.path_prefix)
            && (self.health || !["/api/health", "/api/v1/health"].contains(&path))
    }

    /// One throw decides among the shares, so that each is what it says whatever the others are.
    fn fate(&self, dice: &mut Dice) -> Fate {
        let throw = dice.unit();
        if throw < self.reset {
            Fate::Reset
        } else if throw < self.reset + self.error_share {
            Fate::Error
        } else if throw < self.reset + self.error_share + self.limited_share {
            Fate::Limited
        } else {
            Fate::Served
        }
    }
}

impl Latency {
    fn check(&self) -> Result<(), String> {
        const MOST: f64 = 600_000.0;
        let sane = match *self {
            Self::Fixed(ms) | Self::Climb(ms) => (0.0..=MOST).contains(&ms),
            Self::Uniform([low, high]) => 0.0 <= low && low <= high && high <= MOST,
            Self::Lognormal { median, sigma } => {
                (0.0..=MOST).contains(&median) && (0.0..=10.0).contains(&sigma)
            }
        };
        sane.then_some(())
            .ok_or_else(|| "latency: needs 0 <= low <= high <= 600000 ms, 0 <= sigma <= 10".to_owned())
    }

    /// `age` is how long the fault has been in force.
    fn draw(&self, dice: &mut Dice, age: Duration) -> Duration {
        let ms = match *self {
            Self::Fixed(ms) => ms,
            Self::Uniform([low, high]) => low + (high - low) * dice.unit(),
            Self::Lognormal { median, sigma } => median * (sigma * dice.normal()).exp(),
            Self::Climb(ms) => ms * age.as_secs_f64(),
        };
        Duration::from_secs_f64(ms.min(600_000.0) / 1000.0)
    }
}

/// The faults in force, and the stalls there were.
pub(crate) struct Faults {
    /// Read by every request; the rest only when it is set.
    active: AtomicBool,
    current: watch::Sender<Option<Arc<Installed>>>,
    past_stalls: Mutex<Vec<Value>>,
}

/// A specification since when it holds.
struct Installed {
    spec: FaultSpec,
    since: Instant,
    since_unix_us: u64,
    since_monotonic_us: u64,
    /// Requests that threw dice so far.
    throws: AtomicU64,
    /// Requests that came and are not answered.
    under_way: AtomicU64,
    /// When there were too many of them.
    climbs_since: OnceLock<Instant>,
    /// Places of a server of known capacity.
    places: Semaphore,
}

/// A request that came and is not answered.
struct UnderWay<'a>(&'a AtomicU64);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Faults {
    pub(crate) fn new(spec: Option<FaultSpec>) -> Self {
        let active = AtomicBool::new(spec.is_some());
        let current = watch::Sender::new(spec.map(Installed::new));
        Self { active, current, past_stalls: Mutex::default() }
    }

    /// True when nothing is to be broken.
    pub(crate) fn idle(&self) -> bool {
        !self.active.load(Ordering::Relaxed)
    }

    /// Whether the queue of jobs is not worked off.
    pub(crate) fn queue_stalled(&self) -> bool {
        !self.idle() && self.installed().is_some_and(|installed| installed.spec.queue_stalled)
    }

    /// Replaces what is in force. Requests held by a stall or by latency go on at once.
    pub(crate) fn set(&self, spec: Option<FaultSpec>) {
        let active = spec.is_some();
        let old = self.current.send_replace(spec.map(Installed::new));
        self.active.store(active, Ordering::Relaxed);
        if let Some(old) = old {
            let mut log = self.past_stalls.lock().unwrap_or_else(PoisonError::into_inner);
            log.extend(old.stalls(true));
            let surplus = log.len().saturating_sub(LOGGED as usize);
            log.drain(..surplus);
        }
    }

    /// What is in force.
    pub(crate) fn spec(&self) -> Option<FaultSpec> {
        self.installed().map(|installed| installed.spec.clone())
    }

    /// What the certificate manager gets wrong.
    pub(crate) fn certctl(&self) -> Certctl {
        if self.idle() {
            Certctl::default()
        } else {
            self.installed().map_or(Certctl::default(), |it| it.spec.certctl)
        }
    }

    /// Every stall so far, oldest first; the one under way has no stop yet.
    pub(crate) fn log(&self) -> Vec<Value> {
        let mut log = self.past_stalls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        log.extend(self.installed().iter().flat_map(|installed| installed.stalls(false)));
        log
    }

    /// Answers a request as the faults in force say; `None` asks for the connection to be reset.
    pub(crate) async fn around(&self, request: Request, next: Next) -> Option<Response> {
        let Some(installed) = self.installed().filter(|it| it.spec.applies_to(request.uri().path())) else {
            return Some(next.run(request).await);
        };
        let spec = &installed.spec;
        let mut dice = Dice::of(spec.seed, installed.throws.fetch_add(1, Ordering::Relaxed));
        let under_way = installed.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        let _under_way = UnderWay(&installed.under_way);
        self.hold(&installed).await;
        if let Some(capacity) = spec.capacity
            && let Ok(_place) = installed.places.acquire().await
        {
            self.wait(&installed, Duration::from_millis(capacity.each_ms)).await;
        }
        if let Some(late) = spec.climb.and_then(|climb| installed.climbed(climb, under_way)) {
            self.wait(&installed, late).await;
        }
        if let Some(latency) = spec.latency {
            self.wait(&installed, latency.draw(&mut dice, installed.since.elapsed())).await;
        }
        if spec.hang {
            let _ = to_bytes(request.into_body(), BODY_LIMIT).await;
            return std::future::pending().await;
        }
        let failure = match spec.fate(&mut dice) {
            Fate::Served => {
                let response = next.run(request).await;
                // A server that stops does not answer either what it had begun before.
                self.hold(&installed).await;
                return Some(spoil(spec, response));
            }
            Fate::Reset => None,
            Fate::Error => Some(Failure::error(StatusCode::INTERNAL_SERVER_ERROR, "injected")),
            Fate::Limited => Some(
                Failure::error(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded")
                    .retry_after(Duration::from_secs(1)),
            ),
        };
        // Read to the end, or hyper closes the connection, which is another fault.
        let _ = to_bytes(request.into_body(), BODY_LIMIT).await;
        failure.map(IntoResponse::into_response)
    }

    /// Waits while the server is stalled.
    async fn hold(&self, installed: &Arc<Installed>) {
        let stalled = |stall: Stall| stall.remaining(micros(installed.since.elapsed()));
        while let Some(remaining) = installed.spec.stall.and_then(stalled) {
            if self.wait(installed, Duration::from_micros(remaining)).await {
                return;
            }
        }
    }

    /// Sleeps, but no longer than `installed` is in force; true when it no longer is.
    async fn wait(&self, installed: &Arc<Installed>, time: Duration) -> bool {
        let mut current = self.current.subscribe();
        tokio::select! {
            () = tokio::time::sleep(time) => false,
            _ = current.wait_for(|now| now.as_ref().is_none_or(|now| !Arc::ptr_eq(now, installed))) => true,
        }
    }

    fn installed(&self) -> Option<Arc<Installed>> {
        self.current.borrow().clone()
    }
}

impl Installed {
    fn new(spec: FaultSpec) -> Arc<Self> {
        let places = spec.capacity.map_or(1, |capacity| capacity.at_once);
        Arc::new(Self {
            spec,
            since: Instant::now(),
            since_unix_us: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros),
            since_monotonic_us: monotonic_us(),
            throws: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            climbs_since: OnceLock::new(),
            places: Semaphore::new(places),
        })
    }

    /// How much later an answer comes by now, when so many requests are under way.
    fn climbed(&self, climb: Climb, under_way: u64) -> Option<Duration> {
        let since = match under_way > climb.above {
            true => self.climbs_since.get_or_init(Instant::now),
            false => self.climbs_since.get()?,
        };
        Some(Duration::from_secs_f64((since.elapsed().as_secs_f64() * climb.ms_per_second / 1e3).min(60.0)))
    }

    /// The stalls so far. When the fault `ends` now, so does the stall under way.
    fn stalls(&self, ends: bool) -> Vec<Value> {
        let elapsed = micros(self.since.elapsed());
        let Some(stall) = self.spec.stall else {
            return Vec::new();
        };
        let tell = |halt: crate::stall::Halt| {
            let stop =
                if ends { Some(halt.stop.min(elapsed)) } else { Some(halt.stop).filter(|&it| it <= elapsed) };
            json!({
                "start_unix_us": self.since_unix_us + halt.start,
                "stop_unix_us": stop.map(|stop| self.since_unix_us + stop),
                "start_monotonic_us": self.since_monotonic_us + halt.start,
                "stop_monotonic_us": stop.map(|stop| self.since_monotonic_us + stop),
            })
        };
        stall.begun(elapsed, LOGGED).map(tell).collect()
    }
}

/// Exchanges the body of a success for one that the client did not ask for.
fn spoil(spec: &FaultSpec, mut response: Response) -> Response {
    if !response.status().is_success() || !(spec.wrong_body || spec.empty_body) {
        return response;
    }
    response.headers_mut().remove(header::CONTENT_LENGTH);
    if spec.wrong_body {
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *response.body_mut() = Body::from(r#"{"unexpected":true}"#);
    } else {
        *response.body_mut() = Body::empty();
    }
    response
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The clock that a load generator on the same machine can compare with its own.
fn monotonic_us() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map_or(0, |now| micros(Duration::from(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: Value) -> FaultSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn shares_are_what_they_say_whatever_the_others_are() {
        let spec = spec(json!({ "reset": 0.02, "error_share": 0.01, "limited_share": 0.5, "seed": 9 }));
        let n = 100_000;
        let fates: Vec<_> = (0..n).map(|i| spec.fate(&mut Dice::of(spec.seed, i))).collect();
        let share = |fate| fates.iter().filter(|&&it| it == fate).count() as f64 / n as f64;
        for (fate, expected) in
            [(Fate::Reset, 0.02), (Fate::Error, 0.01), (Fate::Limited, 0.5), (Fate::Served, 0.47)]
        {
            assert!((share(fate) - expected).abs() < 0.005, "{fate:?} {}", share(fate));
        }
        let again: Vec<_> = (0..n).map(|i| spec.fate(&mut Dice::of(spec.seed, i))).collect();
        assert_eq!(fates, again);
    }

    #[test]
    fn latency_has_the_median_it_was_given() {
        let latency = Latency::Lognormal { median: 40.0, sigma: 0.5 };
        let mut drawn: Vec<_> =
            (0..10_001).map(|i| latency.draw(&mut Dice::of(1, i), Duration::ZERO)).collect();
        drawn.sort();
        let median = drawn[5000].as_secs_f64() * 1000.0;
        assert!((median - 40.0).abs() < 1.0, "{median}");
        let uniform = Latency::Uniform([5.0, 6.0]);
        let bounds = Duration::from_millis(5)..=Duration::from_millis(6);
        assert!((0..1000).all(|i| bounds.contains(&uniform.draw(&mut Dice::of(1, i), Duration::ZERO))));
    }

    #[test]
    fn a_latency_that_climbs_grows_with_the_age_of_the_fault() {
        let climb = Latency::Climb(50.0);
        let after = |seconds| climb.draw(&mut Dice::of(1, 1), Duration::from_secs(seconds));
        assert_eq!([after(0), after(1), after(20)].map(|it| it.as_millis()), [0, 50, 1000]);
    }

    #[test]
    fn health_and_other_paths_are_spared() {
        let spec = spec(json!({ "path_prefix": "/api" }));
        assert!(spec.applies_to("/api/v1/agents"));
        assert!(!spec.applies_to("/static"));
        assert!(!spec.applies_to("/api/health"));
        assert!(FaultSpec { health: true, ..spec }.applies_to("/api/health"));
        assert!(FaultSpec::default().applies_to("/static"));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for bad in [
            json!({ "error_share": 1.5 }),
            json!({ "reset": -0.1 }),
            json!({ "error_share": 0.6, "limited_share": 0.6 }),
            json!({ "latency": { "uniform_ms": [9, 5] } }),
            json!({ "latency": { "lognormal_ms": { "median": 5, "sigma": 1e9 } } }),
            json!({ "stall": { "every_ms": 10, "for_ms": 10 } }),
        ] {
            assert!(spec(bad.clone()).check().is_err(), "{bad}");
        }
        assert!(serde_json::from_value::<FaultSpec>(json!({ "eror_share": 0.1 })).is_err());
        assert!(spec(json!({ "error_share": 0.03, "limited_share": 0.97 })).check().is_ok());
    }
}
