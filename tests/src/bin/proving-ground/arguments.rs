//! What the command line and the environment say.

use std::net::IpAddr;
use std::path::PathBuf;

/// A real service on a real Postgres to run load tests against.
#[derive(clap::Parser)]
#[command(name = "proving-ground", version)]
pub(crate) struct Arguments {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    pub(crate) bind: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) port: u16,
    /// Serve TLS, with a certificate of the private CA in this folder (`ca.pem`); one is made when there is none
    #[arg(long, value_name = "FOLDER")]
    pub(crate) tls: Option<PathBuf>,
    /// Threads that serve requests
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: u16,
    /// Most connections to Postgres at a time
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) pool: u16,
    /// Serve only what needs no database: bench endpoints, health, faults
    #[arg(long)]
    pub(crate) no_database: bool,
    /// Faults to begin with, as for `PUT /_faults`
    #[arg(long, value_name = "JSON")]
    pub(crate) fault: Option<String>,
    /// Postgres to use; its schema is migrated at start
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// What `/api/health` says as `app_env`; `absent` leaves the field out
    #[arg(long, env = "APP_ENV", default_value = "development", value_name = "NAME")]
    pub(crate) app_env: String,
    /// A bearer token that has every scope
    #[arg(long, env = "API_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) api_token: Option<String>,
    /// What `X-Admin-Key` must say; without it every admin request is forbidden
    #[arg(long, env = "ADMIN_KEY", hide_env_values = true, value_name = "KEY")]
    pub(crate) admin_key: Option<String>,
    /// Put before a token when it is hashed
    #[arg(long, env = "TOKEN_PEPPER", hide_env_values = true, default_value = "pepper", value_name = "TEXT")]
    pub(crate) token_pepper: String,
    /// Memory of a password hash, in KiB (argon2id, one pass, one lane)
    #[arg(long, env = "AUTH_COST", default_value_t = 1024, value_name = "KIB")]
    pub(crate) auth_cost: u32,
    /// How long the mock language model takes to answer
    #[arg(long, env = "CHAT_LATENCY_MS", default_value_t = 20, value_name = "MS")]
    pub(crate) chat_latency_ms: u64,
    /// How long a dice bet takes before it is written
    #[arg(long, env = "DICE_LATENCY_MS", default_value_t = 0, value_name = "MS")]
    pub(crate) dice_latency_ms: u64,
    /// Bets settled a second; 0 is as fast as the database
    #[arg(long, env = "SETTLE_RATE", default_value_t = 0, value_name = "N")]
    pub(crate) settle_rate: u32,
    /// Registrations allowed a minute from one address; 0 is no limit
    #[arg(long, env = "REGISTER_LIMIT", default_value_t = 0, value_name = "N")]
    pub(crate) register_limit: u32,
    /// Registrations allowed at once: the limit is a bucket of tokens then, and no sliding minute
    #[arg(long, env = "REGISTER_BURST", default_value_t = 0, value_name = "N")]
    pub(crate) register_burst: u32,
    /// ACME renewal-info requests allowed a second, with a burst of as many; 0 is no limit
    #[arg(long, env = "ACME_RATE_LIMIT", default_value_t = 0, value_name = "N")]
    pub(crate) acme_rate_limit: u32,
    /// Folder of the mapping documents of inbound source systems, one `NAME.json` each
    #[arg(long, env = "MAPPINGS_DIR", value_name = "DIR")]
    pub(crate) mappings: Option<PathBuf>,
    /// Source system without whose mapping document and allow-list row the server does not start
    #[arg(long, env = "SOURCE_SYSTEM", value_name = "NAME")]
    pub(crate) source_system: Option<String>,
}
