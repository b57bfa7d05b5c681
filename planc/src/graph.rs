//! The execution graph: what a plan means, and all that the world-touching crates ever see.
//!
//! Plain data without spans, clocks, secrets or unordered maps. Its canonical form is its JSON with
//! sorted keys; [`ExecutionGraph::id`] is the SHA-256 of those bytes, so that moving a comment or
//! reordering keys keeps the id. Values that are known only when a run starts (secrets, the port of a
//! service, a token) stay as [`Expr::Path`] slots in templates.

mod body;
mod checks;
mod fixtures;
mod gates;
mod holds;
mod load;
mod metric_refs;
mod occasions;
mod scrapes;
mod sql_gates;
mod steps;
mod triage;

use crate::units::PartsPerMillion;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

pub use crate::expr::{Expr, Segment, Template};
pub use body::*;
pub use checks::*;
pub use fixtures::*;
pub use gates::*;
pub use holds::*;
pub use load::*;
pub use metric_refs::*;
pub use occasions::*;
pub use scrapes::*;
pub use sql_gates::*;
pub use steps::*;
pub use triage::*;

/// A JSON value. `serde_json`'s default map is sorted, which makes it canonical.
pub type Json = serde_json::Value;

/// The `schema` number this crate writes and reads.
pub const SCHEMA: u32 = 1;

/// Everything that one profile of a plan will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionGraph {
    /// Format version, [`SCHEMA`].
    pub schema: u32,
    /// The plan's name (`plan:`).
    pub plan: String,
    /// The plan's `about:`, for people.
    pub about: String,
    /// Which profile this graph is.
    pub profile: String,
    /// Seed of all generated data and random draws.
    pub seed: u64,
    /// Inputs with their values, secrets left out.
    pub inputs: BTreeMap<String, Json>,
    /// Inputs that get their value when the run starts: secrets and `late: true`.
    pub open_inputs: BTreeMap<String, OpenInput>,
    /// The system under test.
    pub target: Option<Target>,
    /// Connection string of the database to seed and to check.
    pub database: Option<Template>,
    /// Connections that the service opens to that database, when the plan says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// The database is replaced by a clone of a kept, seeded one before the services use it (`template: true`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub template: bool,
    /// Conditions that must hold before anything is written.
    pub guards: Vec<Check>,
    /// Processes that the run starts, in starting order.
    pub services: Vec<Service>,
    /// What is seeded, parents first.
    pub fixtures: Vec<Fixture>,
    /// Credentials by name.
    pub tokens: BTreeMap<String, Token>,
    /// Checks after seeding, before load; all run.
    pub preflight: Vec<Check>,
    /// Declared custom metrics.
    pub metrics: BTreeMap<String, MetricKind>,
    /// How those of them are scraped that no step records.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scrapes: BTreeMap<String, Scrape>,
    /// Steps played once before the load.
    pub setup: Vec<Step>,
    /// Steps played once after it, whatever happened.
    pub teardown: Vec<Step>,
    /// Programs run after those steps, whatever happened, each with what must be seen of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teardown_commands: Vec<Check>,
    /// Load, sorted by name.
    pub scenarios: Vec<Scenario>,
    /// Thresholds, one entry a condition, in the order of (metric, selector, position).
    pub gates: Vec<Gate>,
    /// What the database must hold after the load, in order of name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sql_gates: Vec<SqlGate>,
    /// What is looked at when something breaks, in the order in which a person would look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triage: Vec<Triage>,
    /// Limits of the generator's own health.
    pub health: HealthLimits,
    /// Outputs asked for.
    pub report: Report,
    /// Changes that ask for a run; without it, all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_to_run: Option<WhenToRun>,
    /// Green runs in a row that are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
}

/// An input whose value arrives when the run starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenInput {
    /// Never shown when true.
    pub secret: bool,
    /// Environment variable that carries it.
    pub env: Option<String>,
    /// Value when none is given. Never set for a secret of consequence: `literal-secret` warns.
    pub default: Option<String>,
}

/// Connections that the service under test opens to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// At most so many in each of its worker processes.
    pub per_worker: u32,
    /// Its worker processes.
    pub workers: u32,
}

impl Pool {
    /// Connections of the run itself: seeding, checks and ledger go one after the other, each over a connection of its own.
    pub const OURS: u64 = 1;

    /// Connections wanted once every worker's pool is full, ours included.
    pub fn wanted(&self) -> u64 {
        u64::from(self.per_worker) * u64::from(self.workers) + Self::OURS
    }

    /// The sum behind `wanted`, when a server that takes `max_connections` and keeps `reserved` of them back for others
    /// cannot give so many: `25 connections × 4 workers + 1 of the run = 101; the server takes 100`.
    pub fn exceeds(&self, max_connections: u64, reserved: u64) -> Option<String> {
        let takes = max_connections.saturating_sub(reserved);
        if self.wanted() <= takes {
            return None;
        }
        let workers = if self.workers == 1 { "worker" } else { "workers" };
        let sum = format!(
            "{} connections × {} {workers} + {} of the run = {}; the server takes {takes}",
            self.per_worker,
            self.workers,
            Self::OURS,
            self.wanted()
        );
        Some(match reserved {
            0 => sum,
            _ => format!("{sum} ({max_connections} less {reserved} reserved)"),
        })
    }
}

/// The system under test and how it is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Base URL; request paths are appended to it.
    pub url: Template,
    /// Host patterns (`127.0.0.1`, `*.staging.example.com`) that any request of the run may go to.
    pub allow_hosts: Vec<String>,
    /// TLS settings.
    pub tls: Tls,
    /// Default time a request may take from being sent to its last byte.
    pub timeout: Duration,
    /// Protocol spoken by the load engine.
    pub protocol: Protocol,
}

/// HTTP version of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// One keep-alive connection a virtual user.
    #[serde(rename = "http/1.1")]
    Http1,
    /// HTTP/2 (ALPN over TLS, prior knowledge over TCP).
    #[serde(rename = "http/2")]
    Http2,
}

/// TLS of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Whether the certificate is verified.
    pub verify: bool,
    /// PEM file with the roots to trust in place of the system's.
    pub ca: Option<String>,
    /// PEM file with a client certificate chain.
    pub client_cert: Option<String>,
    /// PEM file with its key.
    pub client_key: Option<String>,
    /// Name to verify and to send as SNI, when it is not the URL's host.
    pub server_name: Option<String>,
}

/// A process that the run starts, waits for and stops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Name; `services.<name>.url`, `.host` and `.port` are in scope once it is ready.
    pub name: String,
    /// What it is.
    pub kind: ServiceKind,
}

/// What a service is.
#[allow(clippy::large_enum_variant)] // a plan has a handful of services; a box would only be noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ServiceKind {
    /// A private Postgres cluster from the machine's own binaries. Also has `.database`, `.socket`.
    Postgres {
        /// Database to create.
        database: String,
        /// Keep the data folder under this name for the next run.
        keep: Option<String>,
        /// Server settings (`max_connections`), `name -> value`.
        settings: BTreeMap<String, String>,
    },
    /// A program. `{{ port }}` is a free port, the same in `command`, `env` and `url`.
    Command {
        /// Program and arguments, relative to the working directory.
        argv: Vec<Template>,
        /// Environment added to a minimal one (PATH, HOME, LANG, TMPDIR).
        env: BTreeMap<String, Template>,
        /// Base URL; `http://127.0.0.1:{{ port }}` unless given.
        url: Template,
        /// When it is ready; paths are relative to its own URL.
        ready: Option<Check>,
    },
}

/// A credential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Where it comes from.
    pub source: TokenSource,
    /// Name of the header that carries it, lower case.
    pub header: String,
    /// Its value; `{{ token }}` is in scope.
    pub header_value: Template,
    /// Scopes it must have, sorted.
    pub scopes: Vec<String>,
    /// A probe that it is alive; `{{ token }}` and `{{ scopes }}` are in scope and the token's header is sent.
    pub verify: Option<Check>,
}

/// Where a token comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenSource {
    /// Given, as a secret input as a rule.
    Given(Template),
    /// Asked for when the run starts; `{{ scopes }}` is in scope.
    Issued {
        /// The request.
        request: Request,
        /// JSONPath to the token in the answer.
        take: String,
        /// How long it lives.
        ttl: Option<Duration>,
        /// Kept in a local store for the next run, which verifies it and asks for another only when it is dead.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keep: bool,
    },
}

/// What a custom metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// A sum.
    Counter,
    /// A share of true samples.
    Rate,
    /// A distribution of plain numbers.
    Trend,
    /// A distribution of times; values are recorded in milliseconds, as in k6.
    TimeTrend,
    /// The last value, with min and max.
    Gauge,
}

/// Limits of the generator's own health; beyond them a run is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthLimits {
    /// p99 of actual minus intended start. The compiler fills in the smaller of 10 ms and a tenth of the tightest latency
    /// bound, never under 1 ms.
    pub lateness_p99: Duration,
    /// Achieved over intended arrivals.
    pub achieved: PartsPerMillion,
    /// What is told as the cause where the generator was late, and by itself only warned of.
    #[serde(default, skip_serializing_if = "Strains::is_default")]
    pub strains: Strains,
}

/// Strains on the generator, as shares of time, beyond which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strains {
    /// Own CPU, of a core for each worker.
    pub cpu: PartsPerMillion,
    /// Threads that could run and waited for a core.
    pub run_queue: PartsPerMillion,
    /// Time that the hypervisor gave to others.
    pub steal: PartsPerMillion,
    /// Time for which the cgroup was not let run.
    pub throttled: PartsPerMillion,
    /// Time in which any task of the machine waited for a core (PSI).
    pub pressure: PartsPerMillion,
}

impl Default for Strains {
    fn default() -> Self {
        let percent = |share: u32| PartsPerMillion(share * 10_000);
        Strains {
            cpu: percent(90),
            run_queue: percent(10),
            steal: percent(5),
            throttled: percent(1),
            pressure: percent(50),
        }
    }
}

impl Strains {
    fn is_default(&self) -> bool {
        *self == Strains::default()
    }
}

/// Outputs asked for, as paths relative to `--out`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// k6-shaped JSON summary.
    pub summary: Option<String>,
    /// JUnit XML, one test case a gate.
    pub junit: Option<String>,
    /// Markdown, fit for a pull request comment.
    pub markdown: Option<String>,
    /// A page that needs no network.
    pub html: Option<String>,
    /// Where the metrics go while the load runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
    /// Where the stages are marked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grafana: Option<Grafana>,
    /// Figures of an earlier run, which a reader compares with and nothing is judged by; sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baseline: Vec<Baseline>,
}

/// What an earlier run measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Of what.
    pub number: MetricRef,
    /// Its lower end.
    pub low: Bound,
    /// Its upper end.
    pub high: Bound,
}

/// A Prometheus that takes remote writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// The whole URL, `http://prometheus:9090/api/v1/write`.
    pub url: Template,
    /// Bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Template>,
    /// Headers, names in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Template>,
    /// How often; whole seconds.
    pub every: Duration,
    /// Where it answers queries, when that is not the same host: `http://prometheus:9090`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_url: Option<Template>,
}

/// A Grafana that takes annotations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grafana {
    /// Its base URL.
    pub url: Template,
    /// Token of a service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Template>,
}

impl ExecutionGraph {
    /// The canonical bytes: compact JSON, all maps sorted. The default of a secret is hidden, so that a graph keeps its
    /// identity in evidence, which holds no secret.
    pub fn canonical(&self) -> Vec<u8> {
        let mut graph = self.clone();
        graph.hide_secrets();
        // Through `Value`, so that struct fields are sorted too and field order in this file means nothing.
        let value = serde_json::to_value(&graph).expect("the graph has string keys only");
        serde_json::to_vec(&value).expect("a JSON value can be written")
    }

    /// Writes `•••` over the defaults of secret inputs.
    pub fn hide_secrets(&mut self) {
        for input in self.open_inputs.values_mut().filter(|input| input.secret) {
            if let Some(default) = &mut input.default {
                *default = "•••".into();
            }
        }
    }

    /// SHA-256 of [`Self::canonical`] in hexadecimal: the graph's identity.
    pub fn id(&self) -> String {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(self.canonical());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads a graph file, refusing another [`SCHEMA`].
    pub fn from_json(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Header {
            schema: u32,
        }
        let header: Header =
            serde_json::from_str(text).map_err(|e| format!("not an execution graph: {e}"))?;
        if header.schema != SCHEMA {
            return Err(format!(
                "graph schema {} is not the {SCHEMA} that this program reads",
                header.schema
            ));
        }
        serde_json::from_str(text).map_err(|e| format!("not an execution graph: {e}"))
    }

    /// All fixtures in the order in which they are seeded: rows and scripts, then accounts, and then what `after` puts
    /// behind accounts. A reset goes the other way.
    pub fn seeding_order(&self) -> Vec<&Fixture> {
        let accounts = |name: &String| self.fixture(name).is_some_and(|fixture| !fixture.in_database());
        let waits = |fixture: &Fixture| fixture.in_database() && fixture.after.iter().any(accounts);
        // The list itself has every fixture behind those that it needs.
        let first = self.fixtures.iter().position(waits).unwrap_or(self.fixtures.len());
        let early = |at: usize, fixture: &Fixture| at < first && fixture.in_database();
        let all = || self.fixtures.iter().enumerate();
        let (before, after) =
            (all().filter(|(at, it)| early(*at, it)), all().filter(|(at, it)| !early(*at, it)));
        before.chain(after).map(|(_, fixture)| fixture).collect()
    }

    /// The fixture drawn from under `name`.
    pub fn fixture(&self, name: &str) -> Option<&Fixture> {
        self.fixtures.iter().find(|fixture| fixture.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_counts_every_worker_and_us() {
        let pool = Pool { per_worker: 25, workers: 4 };
        assert_eq!(pool.wanted(), 101);
        assert_eq!(pool.exceeds(101, 0), None);
        assert_eq!(
            pool.exceeds(100, 0).as_deref(),
            Some("25 connections × 4 workers + 1 of the run = 101; the server takes 100")
        );
        assert_eq!(
            Pool { per_worker: 97, workers: 1 }.exceeds(100, 3).as_deref(),
            Some("97 connections × 1 worker + 1 of the run = 98; the server takes 97 (100 less 3 reserved)")
        );
        assert!(Pool { per_worker: u32::MAX, workers: u32::MAX }.exceeds(1, 3).is_some());
    }
}
