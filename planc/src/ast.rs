//! What the user wrote: every value with its place, optional, no defaults, no names looked up.

use crate::executors::Executor;
use crate::expr::{Expr, Parsed, Template};
use crate::graph::{self, Json, JsonTemplate};
use crate::source::{Span, Spanned};
use crate::units::{self, Fixed, PartsPerMillion, Rate, UnitError};
use std::collections::BTreeSet;
use std::time::Duration;

/// A text that may hold slots.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) span: Span,
    pub(crate) parsed: Parsed<Template>,
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

/// A value of a typed position: as written, or a template over inputs that is read once they are known.
#[derive(Debug, Clone)]
pub(crate) enum Typed<T> {
    Given(Spanned<T>),
    Template(Text),
    /// Reported already.
    Broken(Span),
}

impl<T> Typed<T> {
    pub(crate) fn span(&self) -> Span {
        match self {
            Typed::Given(value) => value.span,
            Typed::Template(text) => text.span,
            Typed::Broken(span) => *span,
        }
    }
}

/// What can stand in a typed position.
pub(crate) trait Quantity: Sized + Clone {
    /// `a duration`, for messages.
    const WHAT: &'static str;
    fn read(text: &str) -> Result<Self, UnitError>;
}

fn not_a(text: &str, what: &str) -> UnitError {
    UnitError { message: format!("`{text}` is not {what}"), suggestion: None }
}

impl Quantity for Duration {
    const WHAT: &'static str = "a duration";
    fn read(text: &str) -> Result<Self, UnitError> {
        units::parse_duration(text)
    }
}

impl Quantity for Rate {
    const WHAT: &'static str = "a rate";
    fn read(text: &str) -> Result<Self, UnitError> {
        // `fast` lacks more than a unit.
        units::parse_rate(text).map_err(|error| {
            match text.contains('/') || units::parse_fixed(text).is_ok() {
                true => error,
                false => UnitError { suggestion: Some("50/s".into()), ..not_a(text, "a rate") },
            }
        })
    }
}

impl Quantity for PartsPerMillion {
    const WHAT: &'static str = "a share";
    fn read(text: &str) -> Result<Self, UnitError> {
        units::parse_share(text)
    }
}

impl Quantity for Bytes {
    const WHAT: &'static str = "a size";
    fn read(text: &str) -> Result<Self, UnitError> {
        units::parse_size(text).map(Bytes)
    }
}

impl Quantity for Fixed {
    const WHAT: &'static str = "a number";
    fn read(text: &str) -> Result<Self, UnitError> {
        units::parse_fixed(text)
    }
}

impl Quantity for i64 {
    const WHAT: &'static str = "a whole number";
    fn read(text: &str) -> Result<Self, UnitError> {
        units::parse_integer(text)
    }
}

impl Quantity for u64 {
    const WHAT: &'static str = "a whole number";
    fn read(text: &str) -> Result<Self, UnitError> {
        let value = units::parse_integer(text)?;
        u64::try_from(value).map_err(|_| not_a(text, "a whole number from 0 on"))
    }
}

impl Quantity for u32 {
    const WHAT: &'static str = "a whole number";
    fn read(text: &str) -> Result<Self, UnitError> {
        let value = units::parse_integer(text)?;
        u32::try_from(value).map_err(|_| not_a(text, "a whole number from 0 to 4294967295"))
    }
}

impl Quantity for bool {
    const WHAT: &'static str = "`true` or `false`";
    fn read(text: &str) -> Result<Self, UnitError> {
        match text.trim() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(not_a(text, "`true` or `false`")),
        }
    }
}

impl Quantity for String {
    const WHAT: &'static str = "a text";
    fn read(text: &str) -> Result<Self, UnitError> {
        Ok(text.to_string())
    }
}

/// A literal word of a closed list, or a name, as written.
pub(crate) type Word = Spanned<String>;

/// Parts that could not be read, which was reported. Nobody may conclude anything from what is not there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lost {
    /// A whole block did not parse: nobody knows what it would have declared.
    pub(crate) block: bool,
    /// The target or the database.
    pub(crate) world: bool,
    pub(crate) steps: bool,
    pub(crate) thresholds: bool,
    pub(crate) guards: bool,
    pub(crate) fixtures: bool,
    /// The file that endpoints are from.
    pub(crate) endpoints: bool,
}

/// A plan file.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) lost: Lost,
    /// Start of the file, for what has no place of its own.
    pub(crate) span: Span,
    /// A fixture file on its own (`runner seed FIXTURE`): no load is asked for.
    pub(crate) seed_only: bool,
    pub(crate) name: Option<Word>,
    pub(crate) about: Option<Word>,
    pub(crate) seed: Option<Typed<u64>>,
    pub(crate) inputs_span: Option<Span>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) profiles_span: Option<Span>,
    pub(crate) profiles: Vec<Profile>,
    pub(crate) target: Option<Target>,
    pub(crate) database: Option<Text>,
    pub(crate) pool: Option<Pool>,
    /// `template` of `database:`.
    pub(crate) template: Option<Typed<bool>>,
    pub(crate) guards: Vec<Check>,
    pub(crate) services: Vec<Service>,
    pub(crate) fixtures: Vec<FixtureUse>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) preflight: Vec<Check>,
    /// Sorted by name.
    pub(crate) endpoints: Vec<Endpoint>,
    /// The file whose operations are among them, until it is read.
    pub(crate) catalogue: Option<Catalogue>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) setup: Vec<Step>,
    pub(crate) teardown: Vec<Step>,
    /// The programs in `teardown`.
    pub(crate) teardown_commands: Vec<Check>,
    pub(crate) scenarios_span: Option<Span>,
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) thresholds: Vec<Threshold>,
    /// Sorted by name.
    pub(crate) sql_gates: Vec<SqlGate>,
    /// In the order of writing.
    pub(crate) triage: Vec<Triage>,
    pub(crate) health: Health,
    pub(crate) report: Report,
    pub(crate) when_to_run: Option<graph::WhenToRun>,
    pub(crate) history: Option<graph::History>,
}

impl Plan {
    pub(crate) fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        let at = self.endpoints.binary_search_by(|endpoint| endpoint.name.value.as_str().cmp(name));
        at.ok().map(|at| &self.endpoints[at])
    }
}

/// `report:`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// The files.
    pub(crate) files: graph::Report,
    pub(crate) prometheus: Option<Prometheus>,
    pub(crate) grafana: Option<Grafana>,
    /// The plan's `baseline:`.
    pub(crate) baseline: Vec<Baseline>,
}

/// One entry of `baseline:`.
#[derive(Debug, Clone)]
pub(crate) struct Baseline {
    /// `None` when it was wrong, and reported.
    pub(crate) number: Option<MetricRef>,
    /// One figure, or two with `..` between.
    pub(crate) range: Option<Text>,
}

/// `report.prometheus:`.
#[derive(Debug, Clone)]
pub(crate) struct Prometheus {
    pub(crate) url: Option<Text>,
    pub(crate) token: Option<Text>,
    pub(crate) headers: Vec<(Word, Text)>,
    pub(crate) every: Option<Typed<Duration>>,
    pub(crate) query_url: Option<Text>,
}

/// `report.grafana:`.
#[derive(Debug, Clone)]
pub(crate) struct Grafana {
    pub(crate) url: Option<Text>,
    pub(crate) token: Option<Text>,
}

/// Type of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputType {
    String,
    Url,
    Secret,
    Rate,
    Duration,
    Integer,
    Number,
    Boolean,
    Share,
    Size,
}

/// A scalar as written, before its type is known to hold.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) span: Span,
    pub(crate) text: String,
}

/// One entry of `inputs:`.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) name: Word,
    /// `None` when it was wrong, and reported.
    pub(crate) kind: Option<InputType>,
    pub(crate) default: Option<Raw>,
    pub(crate) env: Option<Word>,
    pub(crate) late: bool,
    pub(crate) test_only: bool,
    pub(crate) one_of: Vec<Raw>,
}

impl Input {
    /// Inputs that nobody declared: fixture files alone have no place for it.
    pub(crate) fn given<'a>(
        names: impl Iterator<Item = &'a String>,
        secrets: &BTreeSet<String>,
        span: Span,
    ) -> Vec<Input> {
        let names: BTreeSet<&String> = names.collect();
        let kind = |name: &str| if secrets.contains(name) { InputType::Secret } else { InputType::String };
        let input = |name: &String| Input {
            name: Spanned::new(name.clone(), span),
            kind: Some(kind(name)),
            default: None,
            env: None,
            late: false,
            test_only: false,
            one_of: Vec::new(),
        };
        names.into_iter().map(input).collect()
    }
}

/// One entry of an `allow:`: a lint that is not to be told inside its places.
#[derive(Debug, Clone)]
pub(crate) struct Allow {
    /// Its name or code, not looked up yet.
    pub(crate) lint: Word,
    pub(crate) reason: String,
    /// The last day on which it holds.
    pub(crate) until: Option<Spanned<jiff::civil::Date>>,
    /// Key of the node it stands on.
    pub(crate) owner: Span,
    /// Where the finding must be; none at all for a plan's own, which holds everywhere.
    pub(crate) places: Vec<Span>,
}

/// One entry of `profiles:`.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) name: Word,
    pub(crate) values: Vec<(Word, Raw)>,
}

/// `target:`.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: Option<Text>,
    pub(crate) allow_hosts: Option<Vec<Word>>,
    pub(crate) tls: Tls,
    pub(crate) timeout: Option<Typed<Duration>>,
    pub(crate) protocol: Option<Spanned<graph::Protocol>>,
    pub(crate) trace: Option<Trace>,
}

/// `trace:` of the target or of a scenario.
#[derive(Debug, Clone)]
pub(crate) enum Trace {
    /// All requests, or none.
    Flag(Typed<bool>),
    /// A share of them.
    Sample(Typed<PartsPerMillion>),
}

/// `pool` and `workers` of `database:`.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) per_worker: Typed<u32>,
    pub(crate) workers: Option<Typed<u32>>,
}

/// `target.tls:`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tls {
    pub(crate) verify: Option<Typed<bool>>,
    pub(crate) ca: Option<Typed<String>>,
    pub(crate) client_cert: Option<Typed<String>>,
    pub(crate) client_key: Option<Typed<String>>,
    pub(crate) server_name: Option<Typed<String>>,
}

/// A guard, a preflight check, a readiness or token probe, a fixture's verify.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub(crate) span: Span,
    pub(crate) name: Option<Word>,
    /// `None` when it was wrong, and reported.
    pub(crate) probe: Option<Probe>,
    pub(crate) expect: Vec<Expect>,
    pub(crate) within: Option<Typed<Duration>>,
    pub(crate) fix: Option<Word>,
    pub(crate) override_env: Option<Word>,
    /// Of preflight checks alone.
    pub(crate) when: Option<Typed<bool>>,
}

/// Where a check looks.
#[derive(Debug, Clone)]
pub(crate) enum Probe {
    Http(Box<Request>),
    Sql(Text),
    Postgres(Facts),
    Command(Vec<Text>, Vec<(Word, Text)>),
    File(Text),
}

/// `postgres:` of a check.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) database: Option<Typed<String>>,
    pub(crate) foreign_rows: Vec<(Word, Typed<u64>)>,
    pub(crate) free_connections: Option<Typed<u32>>,
}

/// One expectation.
#[derive(Debug, Clone)]
pub(crate) struct Expect {
    pub(crate) name: String,
    pub(crate) what: ExpectWhat,
}

/// What is expected; a duration may hang on an input.
#[derive(Debug, Clone)]
pub(crate) enum ExpectWhat {
    Plain(Parsed<graph::Expected>),
    Duration(Typed<Duration>),
}

/// An HTTP request as written.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) url: Text,
    pub(crate) query: Vec<(Word, Text)>,
    pub(crate) headers: Vec<(Word, Text)>,
    pub(crate) body: Option<Body>,
    pub(crate) timeout: Option<Typed<Duration>>,
    pub(crate) redirects: Option<Typed<u32>>,
}

/// A request body as written.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Json(Parsed<JsonTemplate>),
    Form(Vec<(Word, Text)>),
    Multipart(Vec<Part>),
    Text(Text),
    File(Typed<String>),
    Zeros(Typed<Bytes>),
    Random(Typed<Bytes>),
    Jws(Box<Jws>),
}

/// `jws:` and the `json:` beside it.
#[derive(Debug, Clone)]
pub(crate) struct Jws {
    pub(crate) key: Option<Spanned<graph::JwsKey>>,
    pub(crate) nonce: Text,
    pub(crate) kid: Option<Text>,
    pub(crate) payload: Option<Parsed<JsonTemplate>>,
}

/// One part of `multipart:`.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) name: Word,
    /// Text, a file, zeros or random bytes.
    pub(crate) content: Body,
    pub(crate) filename: Option<Text>,
    pub(crate) media_type: Option<Typed<String>>,
}

/// One entry of `services:`.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) name: Word,
    pub(crate) kind: ServiceKind,
    pub(crate) when: Option<Typed<bool>>,
}

/// What a service is.
#[derive(Debug, Clone)]
pub(crate) enum ServiceKind {
    Postgres {
        database: Option<Typed<String>>,
        keep: Option<Typed<String>>,
        settings: Vec<(Word, Typed<String>)>,
    },
    Command {
        argv: Vec<Text>,
        env: Vec<(Word, Text)>,
        url: Option<Text>,
        ready: Option<Box<Check>>,
    },
    /// Reported already.
    Broken,
}

/// One entry of `fixtures:`.
#[derive(Debug, Clone)]
pub(crate) struct FixtureUse {
    pub(crate) name: Word,
    pub(crate) from: Option<Word>,
    pub(crate) rows: Option<Typed<u64>>,
    pub(crate) on_conflict: Option<Spanned<graph::OnConflict>>,
    /// What the plan says beside `from`.
    pub(crate) after: Vec<Word>,
    /// The definition, inline or read from `from`; `None` when it could not be read, and reported.
    pub(crate) definition: Option<Fixture>,
}

impl FixtureUse {
    /// Names of fixtures that are to be seeded first, the plan's own and those of the definition.
    pub(crate) fn afters(&self) -> impl Iterator<Item = &Word> {
        self.after.iter().chain(self.definition.iter().flat_map(|definition| &definition.after))
    }
}

/// A fixture as defined inline or in its own file.
#[derive(Debug, Clone)]
pub(crate) struct Fixture {
    pub(crate) span: Span,
    pub(crate) name: Option<Word>,
    pub(crate) about: Option<Word>,
    pub(crate) rows: Option<Typed<u64>>,
    pub(crate) children: Option<Children>,
    /// Fixtures that are to be seeded first.
    pub(crate) after: Vec<Word>,
    pub(crate) rows_from: Option<Word>,
    /// Objects of `rows_from`, in order; `None` when there is none or it could not be read.
    pub(crate) records: Option<Vec<Json>>,
    pub(crate) kind: FixtureKind,
    pub(crate) columns: Vec<Column>,
    pub(crate) verify: Vec<Check>,
}

/// Rows by parent.
#[derive(Debug, Clone)]
pub(crate) struct Children {
    /// The key.
    pub(crate) span: Span,
    pub(crate) of: Word,
    pub(crate) each: Each,
}

/// How many children a parent has.
#[derive(Debug, Clone)]
pub(crate) enum Each {
    Fixed(Typed<u32>),
    Between(Typed<u32>, Typed<u32>),
    Weighted(Vec<graph::WeightedCount>),
    /// Reported already.
    Broken,
}

/// How a fixture's rows come to be.
#[allow(clippy::large_enum_variant)] // a plan has a handful of fixtures; a box would only be noise.
#[derive(Debug, Clone)]
pub(crate) enum FixtureKind {
    Table(TableFixture),
    Http(Box<HttpFixture>),
    Sql(Box<SqlFixture>),
    /// Reported already.
    Broken,
}

/// `table:` and what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct TableFixture {
    pub(crate) table: Word,
    pub(crate) identity: Vec<Word>,
    pub(crate) on_conflict: Option<Spanned<graph::OnConflict>>,
    pub(crate) adopt: Option<Typed<bool>>,
    pub(crate) skip_foreign_key_triggers: Option<Typed<bool>>,
    pub(crate) rebuild_indexes: Option<Typed<bool>>,
    pub(crate) append_only: Option<Typed<bool>>,
}

/// `create:` and what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct HttpFixture {
    pub(crate) create: Request,
    pub(crate) created: Option<Vec<graph::StatusPattern>>,
    pub(crate) exists: Option<graph::Exists>,
    pub(crate) pace: Option<Typed<Rate>>,
    pub(crate) limit: Option<Typed<Rate>>,
    pub(crate) concurrency: Option<Typed<u32>>,
    pub(crate) retry_statuses: Option<Vec<u16>>,
    pub(crate) retry_attempts: Option<Typed<u32>>,
    pub(crate) export: Option<Typed<String>>,
    pub(crate) capture: Vec<(Word, graph::CaptureFrom)>,
    /// The request and the statuses of an account that is alive.
    pub(crate) probe: Option<(Request, Option<Vec<graph::StatusPattern>>)>,
    pub(crate) reissue: Option<Request>,
}

/// `sql:` and what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct SqlFixture {
    pub(crate) files: Vec<Word>,
    /// Texts of `files`, in order; fewer when one could not be read.
    pub(crate) scripts: Vec<graph::Script>,
    pub(crate) reset: Option<Word>,
    pub(crate) reset_script: Option<graph::Script>,
    /// Table and identity of the declared rows.
    pub(crate) declared: Option<(Word, Vec<Word>)>,
}

/// One column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: Word,
    pub(crate) generator: Generator,
    pub(crate) volatile: bool,
    pub(crate) fresh_within: Option<Typed<Duration>>,
    pub(crate) unique: bool,
}

/// Where a column's values come from.
#[derive(Debug, Clone)]
pub(crate) enum Generator {
    Value(Parsed<JsonTemplate>),
    Weighted(Vec<graph::WeightedValue>),
    Integer(Typed<i64>, Typed<i64>),
    Decimal(Typed<Fixed>, Typed<Fixed>),
    BeforeNow(Text),
    AfterNow(Text),
    TimeWithin {
        from: Typed<Duration>,
        to: Typed<Duration>,
        past: bool,
    },
    Uuid,
    UuidV7,
    Fake(Spanned<graph::Fake>),
    Sha256(Text, Option<Text>),
    Password(Text, PasswordScheme),
    Hex(Typed<u32>),
    References {
        table: String,
        column: String,
        value: Parsed<JsonTemplate>,
    },
    /// The span is that of the key `sample`.
    Sample {
        table: String,
        column: String,
        size: Typed<u32>,
        span: Span,
    },
    Fixture {
        fixture: Word,
        column: Word,
        random: bool,
    },
    /// Reported already.
    Broken,
}

/// How a password is hashed, as far as it is told.
#[derive(Debug, Clone)]
pub(crate) enum PasswordScheme {
    Bcrypt { cost: Option<Typed<u32>> },
    Argon2id { memory: Option<Typed<Bytes>>, passes: Option<Typed<u32>> },
}

/// One entry of `tokens:`.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) name: Word,
    /// `None` when it was wrong, and reported.
    pub(crate) source: Option<TokenSource>,
    pub(crate) header: Option<Text>,
    pub(crate) scopes: Vec<Word>,
    pub(crate) verify: Option<Check>,
}

/// Where a token comes from.
#[derive(Debug, Clone)]
pub(crate) enum TokenSource {
    Given(Text),
    Issued { request: Box<Request>, take: String, ttl: Option<Typed<Duration>>, keep: bool },
}

/// One entry of `endpoints:`.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) name: Word,
    /// `None` when it was wrong, and reported.
    pub(crate) request: Option<Request>,
    pub(crate) scopes: Vec<Word>,
    /// Declared limit of the target.
    pub(crate) limit: Option<Typed<Rate>>,
    /// Where the plan names the file that it is from.
    pub(crate) imported: Option<Span>,
}

/// `from:` of `endpoints:`: an OpenAPI file.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue {
    pub(crate) from: Word,
    /// Names or patterns of its operations; all without it.
    pub(crate) include: Option<Vec<Word>>,
    /// Path under which its paths lie, in place of its server's.
    pub(crate) base: Option<Word>,
}

/// One entry of `metrics:`.
#[derive(Debug, Clone)]
pub(crate) struct Metric {
    pub(crate) name: Word,
    /// `None` when it was wrong, and reported.
    pub(crate) kind: Option<graph::MetricKind>,
    /// How it is scraped, when it is.
    pub(crate) scrape: Option<Scrape>,
}

/// `scrape:` of a metric, with what stands beside it.
#[derive(Debug, Clone)]
pub(crate) struct Scrape {
    /// `None` when it was wrong, and reported.
    pub(crate) from: Option<ScrapeFrom>,
    pub(crate) every: Option<Typed<Duration>>,
    pub(crate) within: Option<Typed<Duration>>,
}

/// Where a scraped value is read.
#[derive(Debug, Clone)]
pub(crate) enum ScrapeFrom {
    Prometheus(Box<Request>, graph::SeriesSelector, graph::Take),
    Json(Box<Request>, String, graph::Take),
    Sql(Text),
}

/// One entry of `scenarios:`.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: Word,
    /// `None` when it was wrong, and reported.
    pub(crate) executor: Option<Spanned<&'static Executor>>,
    pub(crate) options: Vec<Setting>,
    pub(crate) start_time: Option<Typed<Duration>>,
    pub(crate) graceful_stop: Option<Typed<Duration>>,
    pub(crate) needs: Vec<Word>,
    pub(crate) smoke: Option<Typed<bool>>,
    pub(crate) draw: Vec<Draw>,
    pub(crate) connections: Option<Spanned<graph::Connections>>,
    pub(crate) pause_on_failure: Option<Typed<Duration>>,
    pub(crate) trace: Option<Trace>,
    pub(crate) setup: Vec<Step>,
    pub(crate) steps: Vec<Step>,
    pub(crate) tags: Vec<Tag>,
}

/// An executor's option.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) key: Spanned<&'static str>,
    pub(crate) value: SettingValue,
}

/// Value of an executor's option, by its kind.
#[derive(Debug, Clone)]
pub(crate) enum SettingValue {
    Count(Typed<u64>),
    Rate(Typed<Rate>),
    Duration(Typed<Duration>),
    UserStages(Vec<Stage<u64>>),
    RateStages(Vec<Stage<Rate>>),
}

impl SettingValue {
    /// The template that gives the value, when it is one.
    pub(crate) fn template(&self) -> Option<&Text> {
        match self {
            SettingValue::Count(Typed::Template(text))
            | SettingValue::Rate(Typed::Template(text))
            | SettingValue::Duration(Typed::Template(text)) => Some(text),
            _ => None,
        }
    }
}

/// One stage of a ramp.
#[derive(Debug, Clone)]
pub(crate) struct Stage<T> {
    pub(crate) target: Typed<T>,
    pub(crate) duration: Typed<Duration>,
    pub(crate) hold: Option<Hold>,
}

/// `hold_until:` of a stage.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) span: Span,
    pub(crate) stable: Vec<MetricRef>,
    pub(crate) window: Option<Typed<Duration>>,
    pub(crate) tolerance: Option<Typed<PartsPerMillion>>,
    /// By metric, as written.
    pub(crate) floors: Vec<(Word, Text)>,
    pub(crate) within: Option<Typed<Duration>>,
    /// A part could not be read, which was reported.
    pub(crate) broken: bool,
}

/// One entry of `draw:`.
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    pub(crate) binding: Word,
    pub(crate) fixture: Word,
    pub(crate) order: Option<Spanned<graph::DrawOrder>>,
}

/// A tag and, when it is a template, the values it is declared to take.
#[derive(Debug, Clone)]
pub(crate) struct Tag {
    pub(crate) key: Word,
    pub(crate) value: Text,
    pub(crate) values: Vec<String>,
}

/// One step.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The key that says what kind it is.
    pub(crate) span: Span,
    pub(crate) name: Option<Typed<String>>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) kind: StepKind,
}

/// What a step does.
#[derive(Debug, Clone)]
pub(crate) enum StepKind {
    Http(Box<HttpStep>),
    Pause(Pause),
    Choose(Vec<Branch>),
    Repeat {
        count: Parsed<Expr>,
        binding: Option<Word>,
        steps: Vec<Step>,
    },
    Each {
        list: Parsed<Expr>,
        binding: Word,
        steps: Vec<Step>,
    },
    When {
        condition: Parsed<Expr>,
        steps: Vec<Step>,
    },
    Group {
        name: Typed<String>,
        steps: Vec<Step>,
    },
    WebSocket(Box<WebSocketStep>),
    Send(Message),
    Receive(Box<ReceiveStep>),
    Ping {
        within: Option<Typed<Duration>>,
    },
    Close {
        code: Option<Typed<u32>>,
        within: Option<Typed<Duration>>,
    },
    /// Reported already.
    Broken,
}

/// A WebSocket step.
#[derive(Debug, Clone)]
pub(crate) struct WebSocketStep {
    pub(crate) handshake: HttpStep,
    pub(crate) subprotocol: Option<Typed<String>>,
    pub(crate) steps: Vec<Step>,
}

/// What is sent over a WebSocket.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Json(Parsed<JsonTemplate>),
    Text(Text),
}

/// A message that is waited for.
#[derive(Debug, Clone)]
pub(crate) struct ReceiveStep {
    pub(crate) expect: Vec<Expect>,
    pub(crate) within: Option<Typed<Duration>>,
    pub(crate) capture: Vec<(Word, graph::CaptureFrom)>,
}

/// What an HTTP step asks for.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Direct(Request),
    /// An endpoint, and what the step adds to it (its `method` and `url` mean nothing).
    Call(Word, Request),
}

/// An HTTP step.
#[derive(Debug, Clone)]
pub(crate) struct HttpStep {
    pub(crate) asked: Asked,
    pub(crate) path_span: Option<Span>,
    pub(crate) path: Vec<(Word, Text)>,
    pub(crate) token: Option<Word>,
    pub(crate) cookies: Option<Typed<bool>>,
    pub(crate) expect: Vec<Expect>,
    /// Whether anything is said of the answer, sound or not.
    pub(crate) checked: bool,
    pub(crate) capture: Vec<(Word, graph::CaptureFrom)>,
    pub(crate) record: Vec<Record>,
    pub(crate) on_failure: Option<Spanned<graph::OnFailure>>,
}

/// Samples added to one metric.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) metric: Word,
    pub(crate) when: Option<Parsed<Expr>>,
    pub(crate) value: Option<Parsed<Expr>>,
}

/// Think time.
#[derive(Debug, Clone)]
pub(crate) enum Pause {
    Fixed(Typed<Duration>),
    Uniform(Typed<Duration>, Typed<Duration>),
    Normal(Typed<Duration>, Typed<Duration>),
    Exponential(Typed<Duration>),
}

/// One branch of `choose`.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) weight: Typed<Weight>,
    pub(crate) steps: Vec<Step>,
}

/// A branch's weight, `3` or `60%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    /// The number; hundredths of a percent for percentages.
    pub(crate) value: u32,
    pub(crate) percent: bool,
}

impl Quantity for Weight {
    const WHAT: &'static str = "a weight";
    fn read(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError {
            message: format!("`{text}` is not a weight"),
            suggestion: Some("60%".to_string()),
        };
        if text.trim().ends_with('%') {
            let share = units::parse_share(text).map_err(|_| wrong())?;
            return Ok(Weight { value: share.0 / 100, percent: true });
        }
        u32::read(text).map(|value| Weight { value, percent: false }).map_err(|_| wrong())
    }
}

/// `http_req_duration{scenario:checkout,endpoint:*}`.
#[derive(Debug, Clone)]
pub(crate) struct Selector {
    pub(crate) metric: Word,
    /// Tag and value, sorted by tag.
    pub(crate) tags: Vec<(Word, Word)>,
}

/// `http_req_duration{name:signin}.p95`.
#[derive(Debug, Clone)]
pub(crate) struct MetricRef {
    pub(crate) span: Span,
    pub(crate) selector: Selector,
    /// What is computed, when it is said.
    pub(crate) aggregate: Option<Word>,
}

/// One entry under a key of `thresholds:`.
#[derive(Debug, Clone)]
pub(crate) struct Threshold {
    /// `None` when it was wrong, and reported.
    pub(crate) selector: Option<Selector>,
    /// The condition; `None` when it was wrong, and reported.
    pub(crate) text: Option<Text>,
    pub(crate) level: Option<Spanned<graph::GateLevel>>,
    pub(crate) abort_on_fail: Option<Typed<bool>>,
    pub(crate) delay_abort_eval: Option<Typed<Duration>>,
    pub(crate) min_samples: Option<Typed<u64>>,
    pub(crate) confident: Option<Typed<bool>>,
    pub(crate) window: Option<Typed<Duration>>,
    pub(crate) stage: Option<Typed<u32>>,
}

/// A threshold on what a statement gives after the load.
#[derive(Debug, Clone)]
pub(crate) struct SqlGate {
    pub(crate) name: Word,
    /// `None` when it was wrong, and reported.
    pub(crate) statement: Option<Text>,
    pub(crate) expect: Vec<Expect>,
    pub(crate) increase: Option<Typed<bool>>,
    pub(crate) within: Option<Typed<Duration>>,
    pub(crate) level: Option<Spanned<graph::GateLevel>>,
    /// What stands in each `metric('…')`; `None` for those that are wrong.
    pub(crate) metrics: Vec<(String, Option<MetricRef>)>,
}

/// One entry of `triage:`.
#[derive(Debug, Clone)]
pub(crate) struct Triage {
    pub(crate) span: Span,
    pub(crate) name: Option<Word>,
    /// `None` when it was wrong, and reported.
    pub(crate) when: Option<When>,
    pub(crate) lasts: Option<Typed<Duration>>,
    pub(crate) cause: Option<Word>,
    pub(crate) evidence: Vec<Look>,
    pub(crate) decision: Option<Word>,
}

/// How a cause shows.
#[derive(Debug, Clone)]
pub(crate) enum When {
    Gate,
    /// The number, and the whole condition.
    Metric(MetricRef, Text),
}

/// One look at the world.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) at: LookAt,
    pub(crate) within: Option<Typed<Duration>>,
}

/// Where triage looks.
#[derive(Debug, Clone)]
pub(crate) enum LookAt {
    Sql(Text),
    Http(Box<Request>),
    Promql { span: Span, query: Word, at: Option<Text> },
    Command(Vec<Text>),
}

/// `health:`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    pub(crate) lateness_p99: Option<Typed<Duration>>,
    pub(crate) achieved: Option<Typed<PartsPerMillion>>,
    pub(crate) cpu: Option<Typed<PartsPerMillion>>,
    pub(crate) run_queue: Option<Typed<PartsPerMillion>>,
    pub(crate) steal: Option<Typed<PartsPerMillion>>,
    pub(crate) throttled: Option<Typed<PartsPerMillion>>,
    pub(crate) pressure: Option<Typed<PartsPerMillion>>,
}
