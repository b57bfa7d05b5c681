//! The execution graph: what a plan means, and all that the world-touching crates ever see.
//!
//! Plain data without spans, clocks, secrets or unordered maps. Its canonical form is its JSON with
//! sorted keys; [`ExecutionGraph::id`] is the SHA-256 of those bytes, so that moving a comment or
//! reordering keys keeps the id. Values that are known only when a run starts (secrets, the port of a
//! service, a token) stay as [`Expr::Path`] slots in templates.

use crate::units::{Fixed, PartsPerMillion, Rate, show_duration};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

pub use crate::expr::{Expr, Segment, Template};

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
    /// Steps played once before the load.
    pub setup: Vec<Step>,
    /// Steps played once after it, whatever happened.
    pub teardown: Vec<Step>,
    /// Load, sorted by name.
    pub scenarios: Vec<Scenario>,
    /// Thresholds, one entry a condition, in the order of (metric, selector, position).
    pub gates: Vec<Gate>,
    /// Limits of the generator's own health.
    pub health: HealthLimits,
    /// Outputs asked for.
    pub report: Report,
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

/// One condition on the world: a guard, a preflight check, a readiness or token probe, a fixture's verify.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What holds when it passes.
    pub name: String,
    /// Where to look.
    pub probe: Probe,
    /// What must be seen there.
    pub expect: Vec<Expectation>,
    /// Keep trying for so long; without it, once.
    pub within: Option<Duration>,
    /// What a person does when it fails.
    pub fix: Option<String>,
    /// Guards only: environment variable whose value is the recorded reason to go on all the same.
    pub override_env: Option<String>,
    /// Guards only: true when it needs neither target nor database nor service (step 1 of a run).
    pub static_guard: bool,
}

/// Where a check looks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// An HTTP request to the target (or to an absolute URL within `allow_hosts`).
    Http(Request),
    /// A statement on the plan's database in a read-only transaction; expectations are `Rows` and `Value`.
    Sql {
        /// The statement; slots are bound as text parameters, never spliced.
        statement: Template,
    },
    /// Facts about the plan's database.
    Postgres(PostgresFacts),
    /// A program; expectations are `ExitCode` and `Stdout`.
    Command {
        /// Program and arguments.
        argv: Vec<Template>,
    },
    /// A file; expectations are `Body` (its text), `Present`-like through `FileExists`.
    File {
        /// Its path, relative to the working directory.
        path: Template,
    },
}

/// Facts about a database that a guard or preflight asks for; each given one must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresFacts {
    /// Pattern for `current_database()`, `*` matches any run of characters.
    pub database: Option<String>,
    /// At most so many rows in a table that no fixture of this plan made. A table that does not exist has none.
    pub foreign_rows: Vec<ForeignRows>,
    /// At least so many connections free below `max_connections`.
    pub free_connections: Option<u32>,
}

/// A ceiling on rows that are not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignRows {
    /// The table, `schema.table` or `table`.
    pub table: String,
    /// The ceiling.
    pub at_most: u64,
}

/// One thing that must be seen, and the name its check is counted under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Value of the `check` tag: `status is 2xx`.
    pub name: String,
    /// What is looked at and what it must be.
    pub what: Expected,
}

/// What is looked at and what it must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expected {
    /// HTTP status is one of these.
    Status(Vec<StatusPattern>),
    /// A response header, name in lower case.
    Header {
        /// Name in lower case.
        name: String,
        /// Condition; an absent header is [`Matcher::Absent`]'s.
        matcher: Matcher,
    },
    /// What a JSONPath (RFC 9535) finds in the body. Several hits are compared as a list where the
    /// path is not singular. An absent path fails every matcher but `Absent`.
    Json {
        /// The path, `$.app_env`.
        path: String,
        /// Condition.
        matcher: Matcher,
    },
    /// The whole body (or file) as text.
    Body(Matcher),
    /// A cookie set by the response.
    Cookie {
        /// Its name.
        name: String,
        /// Condition on its value.
        matcher: Matcher,
    },
    /// The response came within this time (service time).
    Duration(Duration),
    /// Number of rows of a statement.
    Rows(Matcher),
    /// First column of the first row of a statement; integers, floats, booleans, null and text as JSON, others as text.
    Value(Matcher),
    /// Exit code of a program.
    ExitCode(Matcher),
    /// Standard output of a program, trimmed.
    Stdout(Matcher),
    /// The file exists (true) or does not.
    FileExists(bool),
}

/// `200` or a class such as `2xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusPattern {
    /// Exactly this status.
    Exact(u16),
    /// All statuses of this hundred: 2 is 200 to 299.
    Class(u8),
}

impl StatusPattern {
    /// Whether a status falls under the pattern.
    pub fn matches(self, status: u16) -> bool {
        match self {
            StatusPattern::Exact(exact) => status == exact,
            StatusPattern::Class(class) => status / 100 == u16::from(class),
        }
    }
}

/// A condition on one value. Numbers compare by value, strings byte by byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Matcher {
    /// Deep equality with a value.
    Equals(JsonTemplate),
    /// Anything, null included, as long as it is there.
    Present,
    /// Not there at all.
    Absent,
    /// A regular expression found in the text.
    Matches(String),
    /// Text contains text; a list contains the value.
    Contains(JsonTemplate),
    /// A list contains every value of this list.
    ContainsAll(JsonTemplate),
    /// Greater than.
    Gt(JsonTemplate),
    /// Greater or equal.
    Ge(JsonTemplate),
    /// Less than.
    Lt(JsonTemplate),
    /// Less or equal.
    Le(JsonTemplate),
    /// Equals one of these.
    OneOf(Vec<JsonTemplate>),
    /// Has this JSON type.
    Type(JsonType),
    /// Length of a list, object or text (in characters).
    Length(Box<Matcher>),
    /// All of these.
    All(Vec<Matcher>),
}

/// A JSON type name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonType {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// Any number.
    Number,
    /// A whole number.
    Integer,
    /// Text.
    String,
    /// A list.
    Array,
    /// A map.
    Object,
}

/// JSON with slots. A text that is one slot alone keeps the type of its value; any other text is text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum JsonTemplate {
    /// A value without slots in it.
    Const(Json),
    /// A text with slots.
    Text(Template),
    /// One slot alone: the value as it is.
    Value(Expr),
    /// A list with slots inside.
    List(Vec<JsonTemplate>),
    /// An object with slots inside; keys are literal.
    Map(BTreeMap<String, JsonTemplate>),
}

/// An HTTP request with slots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `GET`, `POST` …
    pub method: String,
    /// A path that starts with `/`, or an absolute URL. Path parameters are already in place, percent-encoded.
    pub url: Template,
    /// Query parameters, in order of name; encoded when rendered.
    pub query: BTreeMap<String, Template>,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, Template>,
    /// Body.
    pub body: Option<Body>,
    /// Time from being sent to the last byte; none means the target's.
    pub timeout: Option<Duration>,
    /// Redirects followed at most; 0 hands the 3xx to the expectations.
    pub redirects: u32,
}

/// A request's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// `application/json`.
    Json(JsonTemplate),
    /// `application/x-www-form-urlencoded`.
    Form(BTreeMap<String, Template>),
    /// `text/plain; charset=utf-8` unless a header says otherwise.
    Text(Template),
    /// So many zero bytes, `application/octet-stream`.
    Zeros(u64),
    /// So many bytes that do not compress, `application/octet-stream`.
    Random(u64),
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

/// Rows or accounts that must exist before the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// Name under which scenarios draw from it.
    pub name: String,
    /// The fixture file's own name: key of ledger and row function, so that a file seeds the same rows under any alias.
    pub fixture: String,
    /// For people.
    pub about: String,
    /// Number of rows; row numbers run from 1 to this.
    pub rows: u64,
    /// How they come to be.
    pub kind: FixtureKind,
    /// Checks after seeding (in the same transaction for table fixtures). `{{ rows }}` is in scope.
    pub verify: Vec<Check>,
}

/// How a fixture's rows come to be.
#[allow(clippy::large_enum_variant)] // a plan has a handful of fixtures; a box would only be noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FixtureKind {
    /// Rows of a Postgres table.
    Table(TableFixture),
    /// Accounts made through the service's own API.
    Http(HttpFixture),
}

/// Rows of a Postgres table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableFixture {
    /// `schema.table` or `table`.
    pub table: String,
    /// Columns by which a row is known; the live table must have a unique index on exactly these.
    pub identity: Vec<String>,
    /// What to do with rows that are there already.
    pub on_conflict: OnConflict,
    /// Whether `refresh` and `exact` may take over rows that we did not make.
    pub adopt: bool,
    /// Row source.
    pub columns: Columns,
}

/// What to do with rows that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// Any row already there is an error; nothing is written.
    Fail,
    /// Rows already there stay as they are.
    Keep,
    /// Rows already there get this fixture's values where they differ.
    Refresh,
    /// As refresh, and rows that this fixture made earlier but no longer has are deleted.
    Exact,
}

/// Named columns with their generators, sorted by name.
pub type Columns = BTreeMap<String, Column>;

/// One column of a fixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Where its values come from.
    pub generator: Generator,
    /// The load changes it: outside the fingerprint, not counted as drift.
    pub volatile: bool,
    /// Times relative to now: re-based by one UPDATE when the base time is older than this. Implies `volatile`.
    pub fresh_within: Option<Duration>,
}

/// Where a column's values come from. Row `n` counts from 1; every draw is keyed by (seed, fixture, column, n).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Generator {
    /// A value or text with slots over `n`, `rows`, `inputs` and the other columns of the row; objects and lists allowed
    /// for json and array columns.
    Value(JsonTemplate),
    /// A weighted choice, drawn independently of every other column. Sorted by value's JSON text.
    Weighted(Vec<WeightedValue>),
    /// A whole number drawn uniformly from `from..=to`.
    Integer {
        /// Lowest.
        from: i64,
        /// Highest.
        to: i64,
    },
    /// A decimal drawn uniformly from `from..=to` at six decimals.
    Decimal {
        /// Lowest.
        from: Fixed,
        /// Highest.
        to: Fixed,
    },
    /// Run's base time minus a duration (text such as `12s`).
    BeforeNow(Template),
    /// Run's base time plus a duration.
    AfterNow(Template),
    /// Run's base time plus an offset drawn uniformly from `from..to` (half open, whole microseconds; `negative` flips it to before).
    TimeWithin {
        /// Smallest offset.
        from: Duration,
        /// Largest offset, excluded.
        to: Duration,
        /// Before the base time rather than after.
        past: bool,
    },
    /// A version 4 shaped UUID from the row's key.
    Uuid,
    /// Lower-case hexadecimal of so many characters from the row's key.
    Hex {
        /// Number of characters.
        length: u32,
    },
    /// A row of another table that must exist, given by value. The parent is verified before anything is written.
    References {
        /// Parent table.
        table: String,
        /// Parent column.
        column: String,
        /// Value, as for [`Generator::Value`].
        value: JsonTemplate,
    },
    /// A row of another fixture of this plan: the value of one of its columns at row `((n-1) mod rows) + 1` or drawn at random.
    Fixture {
        /// The other fixture's name.
        fixture: String,
        /// Its column.
        column: String,
        /// Drawn at random (keyed by this column) rather than in turn.
        random: bool,
    },
    /// The n-th record's field, from a JSON file read at compile time; records are held in [`Generator::Record`] as values.
    Record(Vec<Json>),
}

/// One branch of a weighted choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedValue {
    /// The value.
    pub value: Json,
    /// Its weight; the weights need not sum to 100.
    pub weight: u32,
}

/// Accounts made through the service's own API, one request a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpFixture {
    /// What a row is made of; slots of `create` and scenarios see these by name.
    pub columns: Columns,
    /// The request that makes row n; columns of the row are in scope by their own names.
    pub create: Request,
    /// Statuses that mean it was made.
    pub created: Vec<StatusPattern>,
    /// How "it exists already" looks.
    pub exists: Option<Exists>,
    /// Highest rate of requests; none means as fast as `concurrency` allows.
    pub pace: Option<Rate>,
    /// Requests in flight at once.
    pub concurrency: u32,
    /// When to try again.
    pub retry: Retry,
    /// File to write all rows to, as a JSON list, atomically.
    pub export: Option<String>,
}

/// How an account that exists already answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exists {
    /// Its status.
    pub status: StatusPattern,
    /// Text that the body holds.
    pub body_contains: Option<String>,
}

/// When to try again; `Retry-After` is honoured, else exponential from 100 ms to 10 s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Statuses that are tried again.
    pub statuses: Vec<u16>,
    /// Attempts a row at most, the first included.
    pub attempts: u32,
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

/// Number of a step, unique in the graph and dense from 0, in order of scenario and depth-first position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepId(pub u32);

/// One thing that a virtual user does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// Name for people and for the `name` tag.
    pub name: String,
    /// Tags of the samples it emits, those of the scenario and enclosing steps included.
    pub tags: BTreeMap<String, Template>,
    /// The deed.
    pub kind: StepKind,
}

/// The deed of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StepKind {
    /// An HTTP request.
    Http(Box<HttpStep>),
    /// Think time.
    Pause(Pause),
    /// One branch by weight.
    Choose(Vec<Branch>),
    /// Inner steps so many times; the binding counts from 1.
    Repeat {
        /// How often; evaluated once on entry.
        count: Expr,
        /// Name for the counter.
        binding: Option<String>,
        /// Inner steps.
        steps: Vec<Step>,
    },
    /// Inner steps once for each element.
    Each {
        /// The list; evaluated once on entry.
        list: Expr,
        /// Name for the element.
        binding: String,
        /// Inner steps.
        steps: Vec<Step>,
    },
    /// Inner steps if the condition is true.
    When {
        /// The condition.
        condition: Expr,
        /// Inner steps.
        steps: Vec<Step>,
    },
    /// Inner steps under a name (k6's `group`); emits `group_duration`.
    Group {
        /// Full name, outer groups included: `::checkout::pay`.
        name: String,
        /// Inner steps.
        steps: Vec<Step>,
    },
}

/// One branch of `choose`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// Its weight.
    pub weight: u32,
    /// Inner steps.
    pub steps: Vec<Step>,
}

/// Think time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pause {
    /// Always this long.
    Fixed(Duration),
    /// Uniform between the two.
    Uniform {
        /// Shortest.
        from: Duration,
        /// Longest.
        to: Duration,
    },
    /// Normal, cut at zero.
    Normal {
        /// Mean.
        mean: Duration,
        /// Standard deviation.
        deviation: Duration,
    },
    /// Exponential with this mean.
    Exponential {
        /// Mean.
        mean: Duration,
    },
}

/// An HTTP request of a virtual user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpStep {
    /// The request.
    pub request: Request,
    /// Endpoint of the catalogue, the `endpoint` tag.
    pub endpoint: Option<String>,
    /// Token whose header is sent.
    pub token: Option<String>,
    /// Whether the virtual user's cookie jar is read and filled.
    pub cookies: bool,
    /// What must be seen. Never without a status expectation: where the plan states none, it is 2xx and 3xx, as in k6.
    pub expect: Vec<Expectation>,
    /// Values kept for later steps of the iteration; one that finds nothing is a failed check.
    pub capture: Vec<Capture>,
    /// Samples added to custom metrics.
    pub record: Vec<Record>,
    /// What a failed expectation does.
    pub on_failure: OnFailure,
}

/// What a failed expectation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The next step is played.
    Continue,
    /// The iteration ends as failed.
    NextIteration,
    /// The scenario ends.
    StopScenario,
    /// The run ends and fails.
    AbortRun,
}

/// A value kept from a response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// Name in scope afterwards.
    pub name: String,
    /// Where it is found.
    pub from: CaptureFrom,
}

/// Where a captured value is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CaptureFrom {
    /// A JSONPath; the first hit.
    Json(String),
    /// A header, lower case.
    Header(String),
    /// A cookie set by the response.
    Cookie(String),
    /// First group (or whole match) of a regular expression over the body.
    Regex(String),
    /// The whole body as text.
    Body,
}

/// A sample for a custom metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The metric.
    pub metric: String,
    /// Counters and trends: only if true. Rates: the sample itself. `response.status`, `.headers`, `.json`, `.body`, `.duration` (ms) are in scope.
    pub when: Option<Expr>,
    /// The value; counters without one add 1.
    pub value: Option<Expr>,
}

/// Load: who does what, when and how much.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, the `scenario` tag.
    pub name: String,
    /// The executor's name as written, for people.
    pub executor: String,
    /// Shape of the load.
    pub demand: Demand,
    /// Start after the load's start (or after `needs` ended).
    pub start_time: Duration,
    /// Time that iterations get to end by themselves.
    pub graceful_stop: Duration,
    /// Scenarios that must have ended first.
    pub needs: Vec<String>,
    /// Runs before all others, which run only if its gates and expectations hold.
    pub smoke: bool,
    /// Fixtures drawn from.
    pub draw: Vec<Draw>,
    /// When connections are opened.
    pub connections: Connections,
    /// Pause after a failed iteration.
    pub pause_on_failure: Option<Duration>,
    /// Played once by each virtual user before its first iteration.
    pub setup: Vec<Step>,
    /// One iteration.
    pub steps: Vec<Step>,
    /// Tags of all its samples (`scenario` is implied).
    pub tags: BTreeMap<String, Template>,
}

/// When connections are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connections {
    /// Kept over iterations.
    Keep,
    /// New for each iteration.
    PerIteration,
    /// New for each request.
    PerRequest,
}

/// Shape of the load. All executors come down to one of these three; pieces are linear between their ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Demand {
    /// Open model: iterations start at computed times, whoever is free plays them.
    Arrivals {
        /// Rate at the start of the first piece.
        start_rate: Rate,
        /// Rate is linear from the last target to this one over each duration; a zero duration jumps.
        pieces: Vec<RatePiece>,
        /// Virtual users made before the start.
        pre_allocated_vus: u32,
        /// Virtual users at most; an arrival that finds none free is dropped.
        max_vus: u32,
    },
    /// Closed model: so many virtual users loop.
    Users {
        /// Users at the start of the first piece.
        start_vus: u32,
        /// Users are linear from the last target to this one.
        pieces: Vec<UserPiece>,
        /// Time that a retired user's iteration gets to end by itself.
        graceful_ramp_down: Duration,
    },
    /// A fixed number of iterations.
    Iterations {
        /// Virtual users.
        vus: u32,
        /// Iterations, over all users or for each.
        iterations: u64,
        /// Over all users (`shared-iterations`) or each (`per-vu-iterations`).
        shared: bool,
        /// Ends the scenario however many are left.
        max_duration: Duration,
    },
}

/// A piece of an open-model demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatePiece {
    /// Rate at its end.
    pub target: Rate,
    /// How long it takes.
    pub duration: Duration,
}

/// A piece of a closed-model demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserPiece {
    /// Users at its end.
    pub target: u32,
    /// How long it takes.
    pub duration: Duration,
}

/// One row of a fixture for each iteration, bound to a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draw {
    /// Name in scope.
    pub binding: String,
    /// The fixture's name.
    pub fixture: String,
    /// Which row.
    pub order: DrawOrder,
}

/// Which row an iteration gets; k is the scenario's global iteration from 0, rows count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrawOrder {
    /// k mod rows.
    RoundRobin,
    /// With replacement, keyed by (seed, scenario, binding, k).
    Random,
    /// A permutation, then the next permutation.
    Shuffle,
    /// Always the row of the virtual user's number.
    PerVu,
    /// Each row once in the run; running out is invalid.
    Exclusive,
}

/// One threshold: a condition on one aggregate of one metric under one selector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The metric.
    pub metric: String,
    /// Tags that a sample must carry, literally.
    pub selector: BTreeMap<String, String>,
    /// The condition as written, normalised: `p(95) < 500ms`.
    pub text: String,
    /// What is computed.
    pub aggregate: Aggregate,
    /// How it is compared.
    pub op: Comparison,
    /// What with.
    pub bound: Bound,
    /// Whether it decides.
    pub level: GateLevel,
    /// Fewer samples than this are invalid. Filled in by the compiler from the percentile or the rate's bound.
    pub min_samples: u64,
    /// A breach ends the run at once.
    pub abort_on_fail: bool,
    /// No abort before this.
    pub delay_abort_eval: Duration,
    /// Inconclusive when the 95 % confidence interval straddles the bound.
    pub confident: bool,
    /// For each scenario whose dropped iterations count against this gate: samples that one iteration is expected to
    /// emit into it, in millionths. Empty for gates that drops do not enter.
    pub drops: BTreeMap<String, u64>,
    /// Steps that can emit into it.
    pub steps: Vec<StepId>,
    /// Which part of the load it judges.
    #[serde(default, skip_serializing_if = "Over::is_load")]
    pub over: Over,
}

/// Which part of the load a gate judges. A sample belongs to the part in which its intended start lies.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Over {
    /// All of it.
    #[default]
    Load,
    /// Every full window of this length, each by itself.
    EveryWindow(Duration),
    /// One stage of a scenario's executor.
    Stage {
        /// The scenario.
        scenario: String,
        /// Which of its stages, from 1.
        number: u32,
    },
}

/// What a gate computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Percentile in millionths of a percent: p(95) is 95,000,000.
    Percentile(Fixed),
    /// Mean of finite samples.
    Avg,
    /// Median.
    Med,
    /// Smallest.
    Min,
    /// Largest.
    Max,
    /// Rates: share of true samples. Counters: a second.
    Rate,
    /// Counters: the sum. Trends and rates: the number of samples.
    Count,
    /// Gauges: the last value.
    Value,
}

/// How a gate compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `<`
    #[serde(rename = "<")]
    Lt,
    /// `<=`
    #[serde(rename = "<=")]
    Le,
    /// `>`
    #[serde(rename = ">")]
    Gt,
    /// `>=`
    #[serde(rename = ">=")]
    Ge,
    /// `==`
    #[serde(rename = "==")]
    Eq,
    /// `!=`
    #[serde(rename = "!=")]
    Ne,
}

/// What a gate compares with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// A time.
    Duration(Duration),
    /// A share.
    Share(PartsPerMillion),
    /// A plain number.
    Number(Fixed),
}

/// Whether a gate decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateLevel {
    /// It does.
    Required,
    /// It is shown and never decides.
    Advisory,
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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

    /// The fixture drawn from under `name`.
    pub fn fixture(&self, name: &str) -> Option<&Fixture> {
        self.fixtures.iter().find(|fixture| fixture.name == name)
    }
}

impl Fixture {
    /// The named columns, whatever the kind.
    pub fn columns(&self) -> &Columns {
        match &self.kind {
            FixtureKind::Table(table) => &table.columns,
            FixtureKind::Http(http) => &http.columns,
        }
    }
}

impl Demand {
    /// Virtual users that the demand can hold at once.
    pub fn max_vus(&self) -> u32 {
        match self {
            Demand::Arrivals { max_vus, .. } => *max_vus,
            Demand::Users { start_vus, pieces, .. } => {
                pieces.iter().map(|p| p.target).fold(*start_vus, u32::max)
            }
            Demand::Iterations { vus, .. } => *vus,
        }
    }

    /// How long it lasts at most, without graceful stop.
    pub fn duration(&self) -> Duration {
        match self {
            Demand::Arrivals { pieces, .. } => pieces.iter().map(|p| p.duration).sum(),
            Demand::Users { pieces, .. } => pieces.iter().map(|p| p.duration).sum(),
            Demand::Iterations { max_duration, .. } => *max_duration,
        }
    }

    /// When stage `number` (from 1) begins and ends, after the scenario's beginning.
    pub fn stage(&self, number: u32) -> Option<(Duration, Duration)> {
        let lengths: Vec<Duration> = match self {
            Demand::Arrivals { pieces, .. } => pieces.iter().map(|piece| piece.duration).collect(),
            Demand::Users { pieces, .. } => pieces.iter().map(|piece| piece.duration).collect(),
            Demand::Iterations { .. } => Vec::new(),
        };
        let before = number.checked_sub(1)? as usize;
        let begin = lengths.get(..before)?.iter().sum();
        Some((begin, begin + *lengths.get(before)?))
    }
}

impl Gate {
    /// The condition and the part of the load that it is held against: `p(95) < 500ms in every 30s`.
    pub fn condition(&self) -> String {
        match &self.over {
            Over::Load => self.text.clone(),
            Over::EveryWindow(length) => format!("{} in every {}", self.text, show_duration(*length)),
            Over::Stage { number, .. } => format!("{} in stage {number}", self.text),
        }
    }
}

impl Over {
    /// Whether it is the whole load.
    pub fn is_load(&self) -> bool {
        *self == Over::Load
    }
}

impl Comparison {
    /// Whether `left op right` holds.
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Comparison::Lt => left < right,
            Comparison::Le => left <= right,
            Comparison::Gt => left > right,
            Comparison::Ge => left >= right,
            Comparison::Eq => left == right,
            Comparison::Ne => left != right,
        }
    }

    /// The sign.
    pub fn as_str(self) -> &'static str {
        match self {
            Comparison::Lt => "<",
            Comparison::Le => "<=",
            Comparison::Gt => ">",
            Comparison::Ge => ">=",
            Comparison::Eq => "==",
            Comparison::Ne => "!=",
        }
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
