//! What the user wrote: every value with its place, optional, no defaults, no names looked up.

mod fixtures;
mod gates;
mod inputs;
mod load;
mod quantity;

use crate::expr::{Parsed, Template};
use crate::graph::{self, JsonTemplate};
use crate::source::{Span, Spanned};
use crate::units::{PartsPerMillion, Rate};
use std::time::Duration;

pub(crate) use fixtures::*;
pub(crate) use gates::*;
pub(crate) use inputs::*;
pub(crate) use load::*;
pub(crate) use quantity::*;

/// A text that may hold slots.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) span: Span,
    pub(crate) parsed: Parsed<Template>,
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
