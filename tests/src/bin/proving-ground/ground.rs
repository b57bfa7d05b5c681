//! What every request handler shares.

use crate::acme::jws::Register;
use crate::arguments::Arguments;
use crate::bucket::TokenBucket;
use crate::failure::Failure;
use crate::faults::Faults;
use crate::live::Rooms;
use crate::mapping::{self, Mappings};
use crate::passwords::Passwords;
use crate::pool::Pool;
use crate::process::Cpu;
use crate::settlement::Settlement;
use crate::stats::Stats;
use crate::telemetry::Queue;
use crate::tls;
use crate::tokens::TokenCache;
use crate::traces::Traces;
use crate::tracks::TrackCache;
use crate::window::Limiter;
use crate::x509::Authority;
use axum::http::StatusCode;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The state that axum hands to every handler.
pub(crate) type Shared = Arc<Ground>;

/// The server's settings, connections and counters.
pub(crate) struct Ground {
    pool: Option<Pool>,
    /// Told by `/api/health`: two processes on one port never have the same.
    pub(crate) instance: Uuid,
    /// `None` when `/api/health` must not say it.
    pub(crate) app_env: RwLock<Option<String>>,
    pub(crate) admin_key: Option<String>,
    pub(crate) token_pepper: String,
    pub(crate) tokens: TokenCache,
    pub(crate) tracks: TrackCache,
    pub(crate) passwords: Passwords,
    pub(crate) chat_latency: Duration,
    pub(crate) dice_latency: Duration,
    pub(crate) settlement: Settlement,
    pub(crate) cpu: Cpu,
    pub(crate) registrations: Option<Mutex<Limiter>>,
    pub(crate) renewal_info: Option<Mutex<TokenBucket>>,
    pub(crate) rooms: Rooms,
    pub(crate) mappings: Mappings,
    /// Whether it is spoken to over TLS.
    pub(crate) secure: bool,
    /// Who issues certificates.
    pub(crate) authority: Authority,
    pub(crate) acme: Register,
    pub(crate) faults: Faults,
    pub(crate) stats: Stats,
    pub(crate) queue: Queue,
    pub(crate) traces: Traces,
}

impl Ground {
    /// # Errors
    /// When `AUTH_COST` is not a possible one, a mapping document is none, or the folder of `--tls` cannot be used.
    pub(crate) fn new(arguments: &Arguments, pool: Option<Pool>, faults: Faults) -> Result<Self, String> {
        let register_limit = arguments.register_limit;
        let acme_limit = arguments.acme_rate_limit;
        Ok(Self {
            pool,
            instance: Uuid::new_v4(),
            app_env: RwLock::new(app_env(&arguments.app_env)),
            admin_key: arguments.admin_key.clone(),
            token_pepper: arguments.token_pepper.clone(),
            tokens: TokenCache::default(),
            tracks: TrackCache::default(),
            passwords: Passwords::new(arguments.auth_cost)?,
            chat_latency: Duration::from_millis(arguments.chat_latency_ms),
            dice_latency: Duration::from_millis(arguments.dice_latency_ms),
            settlement: Settlement::new(arguments.settle_rate),
            cpu: Cpu::new(),
            registrations: (register_limit > 0)
                .then(|| Mutex::new(Limiter::new(register_limit, arguments.register_burst))),
            renewal_info: (acme_limit > 0).then(|| Mutex::new(TokenBucket::new(acme_limit, Instant::now()))),
            rooms: Rooms::default(),
            mappings: arguments.mappings.as_deref().map_or(Ok(Mappings::new()), mapping::load)?,
            secure: arguments.tls.is_some(),
            authority: match &arguments.tls {
                Some(folder) => tls::authority(folder)?,
                None => Authority::new()?,
            },
            acme: Register::default(),
            faults,
            stats: Stats::default(),
            queue: Queue::new(),
            traces: Traces::default(),
        })
    }

    /// The database, when this server has one.
    pub(crate) fn database(&self) -> Option<&Pool> {
        self.pool.as_ref()
    }

    /// The database, or the answer for a request that cannot do without.
    pub(crate) fn pool(&self) -> Result<&Pool, Failure> {
        self.database()
            .ok_or_else(|| Failure::error(StatusCode::SERVICE_UNAVAILABLE, "started without a database"))
    }
}

/// `absent` is the word for "leave the field out", so that a guard on it can be tested.
pub(crate) fn app_env(name: &str) -> Option<String> {
    (name != "absent").then(|| name.to_owned())
}
