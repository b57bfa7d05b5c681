//! Accounts that only the service can make: one request a row, paced, retried, recognised when they exist.
//!
//! Requests leave on an even grid within the pace or the declared limit; when the service asks to wait, all wait. What is
//! made is kept in a journal, so that a killed seeding goes on where it was and makes no account twice; what the service
//! tells once is kept in a file of the user's own. The requests leave through the caller's [`HttpSender`], which keeps
//! the list of allowed hosts.

mod answer;
mod export;
mod journal;
mod pace;
mod request;
mod secrets;
mod send;

use crate::error::{ErrorKind, SeedError};
use crate::generators::{uses_of, uses_of_template};
use crate::ledger::{self, Entry};
use crate::options::{Mask, Mode, SeedOptions};
use crate::progress::{Meter, Progress};
use crate::receipt::{Action, Receipt};
use crate::rows::{GENERATOR_VERSION, Inputs, OuterScope, RowSource, render_outer};
use journal::{Journal, Known, Set};
use pace::{At, Pacer};
use planc::graph::{ExecutionGraph, Fixture, FixtureKind, HttpFixture};
use secrets::Store;
use send::{Deed, Ground, Sending, Tally, Task};
use sha2::Digest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::Client;

pub use futures_util::future::BoxFuture;
pub use secrets::Secrets;

/// A request with everything in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedRequest {
    /// `POST` …
    pub method: String,
    /// A path (with query) that starts with `/`, or an absolute URL.
    pub url: String,
    /// Names in lower case; `content-type` is there when there is a body.
    pub headers: BTreeMap<String, String>,
    /// The body, may be empty.
    pub body: Vec<u8>,
    /// Time from being sent to the last byte; none means the target's default.
    pub timeout: Option<Duration>,
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case; of a name that stands there more than once the values are lines.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// A failure of transport: there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// What happened: lower case, no full stop.
    pub message: String,
    /// The request never left: the service has done nothing.
    pub unsent: bool,
}

impl From<String> for SendError {
    /// A request that may have arrived.
    fn from(message: String) -> SendError {
        SendError { message, unsent: false }
    }
}

/// Sends requests for the seeder.
pub trait HttpSender: Send + Sync {
    /// Sends one request and reads the whole answer.
    fn send(&self, request: PreparedRequest) -> BoxFuture<'_, Result<Answer, SendError>>;
}

/// Makes one account a row, and nothing again that an earlier process made.
///
/// `ledger` is a connection to the plan's database, when there is one: `planc.accounts` remembers there, under the fixture
/// and the target's URL, which accounts are made; without one a file in [`SeedOptions::state_dir`] does; without either
/// all rows are sent again. Accounts that are remembered are asked for by the fixture's `probe`, all of them; without one
/// the first and the last are made once more where the service can say that they exist, since a service that has
/// forgotten these has forgotten all. [`SeedOptions::trust_ledger`] asks for none.
pub async fn seed_http(
    sender: &dyn HttpSender,
    ledger: Option<&mut Client>,
    graph: &ExecutionGraph,
    fixture: &Fixture,
    inputs: &Inputs,
    options: &SeedOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Receipt, SeedError> {
    let started = Instant::now();
    let mask = Mask::new(graph, inputs, &options.secrets);
    let client = ledger.map(|client| &*client);
    let job = Job::new(graph, fixture, inputs, options);
    let done = match job {
        Ok(job) => job.run(sender, client, &mask, progress).await,
        Err(error) => Err(error),
    };
    let mut receipt = done.map_err(|error| error.finish(&fixture.name, &mask))?;
    receipt.milliseconds = started.elapsed().as_millis() as u64;
    Ok(receipt)
}

/// What the service told once of the accounts of an HTTP fixture, from the store that [`seed_http`] filled with the same
/// options. Empty for fixtures that capture nothing.
pub fn account_secrets(
    graph: &ExecutionGraph,
    fixture: &Fixture,
    inputs: &Inputs,
    options: &SeedOptions,
) -> Result<Secrets, SeedError> {
    let job = Job::new(graph, fixture, inputs, options)?;
    Ok(job.store()?.map_or_else(Secrets::default, |store| store.secrets))
}

/// One fixture to be seeded.
struct Job<'a> {
    graph: &'a ExecutionGraph,
    fixture: &'a Fixture,
    http: &'a HttpFixture,
    inputs: &'a Inputs,
    options: &'a SeedOptions,
    /// Key of the ledger: the fixture and where its accounts are.
    key: String,
    /// What the accounts are, however they are made.
    set: Set,
    /// The service is one that this very run has started.
    own_service: bool,
}

impl<'a> Job<'a> {
    fn new(
        graph: &'a ExecutionGraph,
        fixture: &'a Fixture,
        inputs: &'a Inputs,
        options: &'a SeedOptions,
    ) -> Result<Job<'a>, SeedError> {
        let FixtureKind::Http(http) = &fixture.kind else {
            let message = format!("fixture `{}` is not an HTTP fixture", fixture.name);
            return Err(SeedError::new(ErrorKind::Other, message));
        };
        let outer = OuterScope { inputs, graph, rows: fixture.rows, now: options.base_micros };
        let target = match &graph.target {
            Some(target) => render_outer(&target.url, &outer).map_err(|e| {
                SeedError::new(ErrorKind::Http, format!("the target's URL cannot be made: {e}"))
            })?,
            None => String::new(),
        };
        let key = format!("{}@{}", fixture.fixture, without_user(&target));
        let set = Set {
            fixture: key.clone(),
            content_hash: accounts_hash(graph, fixture, inputs),
            base_micros: options.base_micros,
        };
        let own_service = graph.target.as_ref().is_some_and(|target| names(&target.url, "services"));
        Ok(Job { graph, fixture, http, inputs, options, key, set, own_service })
    }

    async fn run(
        &self,
        sender: &dyn HttpSender,
        client: Option<&Client>,
        mask: &Mask,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Receipt, SeedError> {
        let waits = Meter::new(&self.fixture.name, self.fixture.rows, 0);
        let mut waiting = || progress(waits.waiting("another process makes these accounts: waiting for it"));
        let file = self.file("accounts", "log").filter(|_| !self.own_service);
        let (journal, known) = match (client, file) {
            (Some(client), _) => Journal::in_database(client, &self.set, &mut waiting).await?,
            (None, Some(path)) => Journal::in_file(&path, &self.set, &mut waiting).await?,
            (None, None) => (Journal::Nowhere, Known::default()),
        };
        let done = self.with_journal(sender, client, &journal, known, mask, progress).await;
        let closed = journal.close().await;
        let receipt = done?;
        closed?;
        Ok(receipt)
    }

    async fn with_journal(
        &self,
        sender: &dyn HttpSender,
        client: Option<&Client>,
        journal: &Journal<'_>,
        known: Known,
        mask: &Mask,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Receipt, SeedError> {
        let base = known.base_micros.unwrap_or(self.options.base_micros);
        let mut receipt = Receipt::new(self.fixture, base);
        let mut store = self.store()?;
        if self.options.mode == Mode::Reset {
            self.reset(client, journal, store.as_mut(), &known, &mut receipt).await?;
            return Ok(receipt);
        }
        let source = RowSource::new(self.graph, &self.fixture.name, self.inputs, base)?;
        let mend = self.options.mode == Mode::Apply;
        let ground = Ground { sender, source: &source, http: self.http, mask, journal, mend };
        let pacer = Pacer::new(self.rate(), Instant::now());
        let made = known.made.up_to(self.fixture.rows).count() as u64;
        let meter = Meter::new(&self.fixture.name, self.fixture.rows, made);
        let mut sending = Sending::new(&ground, store, pacer, meter);
        if !mend {
            return self.verify(&mut sending, &known, made, receipt, progress).await;
        }
        let unknown = self.make(&mut sending, known, &mut receipt, progress).await?;
        let Tally { made, kept, .. } = sending.tally;
        (receipt.inserted, receipt.kept) = (made, kept);
        receipt.action = if made > 0 { Action::Inserted } else { Action::NothingToDo };
        receipt.notes.extend(told(&sending.tally, self.http));
        if let Some(error) = sending.failed().or_else(|| unknown_rows(&unknown)) {
            return Err(error);
        }
        if let Some(path) = &self.http.export {
            export::export(&source, &sending.secrets(), &self.resolve(path)).map_err(|error| {
                SeedError::new(ErrorKind::Other, format!("the rows cannot be exported to `{path}`: {error}"))
            })?;
        }
        if let Some(client) = client {
            self.record(client, base).await?;
        }
        Ok(receipt)
    }

    /// Makes the accounts that are not there. What is given back are rows of which nobody knows.
    async fn make(
        &self,
        sending: &mut Sending<'_>,
        mut known: Known,
        receipt: &mut Receipt,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<u64>, SeedError> {
        let rows = self.fixture.rows;
        let mut settled = Vec::new();
        if !self.options.trust_ledger && self.http.probe.is_none() && self.http.exists.is_some() {
            settled = known.made.ends(rows);
            let mut ends = settled.iter().map(|n| Task::new(*n, Deed::Create, 0, Instant::now()));
            sending.run(&mut ends, progress).await?;
            if sending.tally.made > 0 {
                let count = known.made.count();
                let told = format!(
                    "the service had forgotten {count} accounts of an earlier run: all are made again"
                );
                receipt.notes.push(told);
                known.made = Default::default();
            }
        }
        let (first, believed, unknown) = self.known_tasks(sending, &known, &settled);
        let count = known.made.up_to(rows).count();
        if count > 0 {
            receipt.notes.push(format!("{count} of {rows} were made by an earlier run"));
        }
        sending.tally.kept += believed;
        let new = |n: &u64| !known.made.contains(*n) && !known.open.contains_key(n) && !settled.contains(n);
        let fresh = (1..=rows).filter(new).map(|n| Task::new(n, Deed::Create, 0, Instant::now()));
        sending.run(&mut first.into_iter().chain(fresh), progress).await?;
        Ok(unknown)
    }

    /// What is to be done for rows that earlier processes noted, how many need nothing, and those of which nobody knows.
    fn known_tasks(
        &self,
        sending: &Sending<'_>,
        known: &Known,
        settled: &[u64],
    ) -> (Vec<Task>, u64, Vec<u64>) {
        let (http, now) = (self.http, Instant::now());
        let anew = if http.reissue.is_some() { Deed::Reissue } else { Deed::Create };
        let probes = !self.options.trust_ledger && http.probe.is_some();
        let (mut tasks, mut believed, mut unknown) = (Vec::new(), 0, Vec::new());
        for n in known.made.up_to(self.fixture.rows).filter(|n| !settled.contains(n)) {
            match (sending.is_untold(n), probes) {
                (true, _) => tasks.push(Task::new(n, anew, 0, now)),
                (false, true) => tasks.push(Task::new(n, Deed::Probe { made: true }, 0, now)),
                (false, false) => believed += 1,
            }
        }
        for (&n, &sent) in known.open.range(..=self.fixture.rows) {
            if sending.can_probe(n) {
                tasks.push(Task::new(n, Deed::Probe { made: false }, sent, now));
            } else if http.exists.is_some() {
                tasks.push(Task::new(n, Deed::Create, sent, now));
            } else {
                unknown.push(n);
            }
        }
        (tasks, believed, unknown)
    }

    /// Compares what is noted with the service, where there is a probe, and makes nothing.
    async fn verify(
        &self,
        sending: &mut Sending<'_>,
        known: &Known,
        made: u64,
        mut receipt: Receipt,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Receipt, SeedError> {
        let rows = self.fixture.rows;
        let mut alive = made;
        if self.http.probe.is_some() {
            let noted = known.made.up_to(rows).filter(|n| sending.can_probe(*n)).collect::<Vec<_>>();
            let probe = |n| Task::new(n, Deed::Probe { made: true }, 0, Instant::now());
            sending.run(&mut noted.into_iter().map(probe), progress).await?;
            if let Some(error) = sending.failed() {
                return Err(error);
            }
            alive = sending.tally.kept;
            receipt.notes.push(format!("{alive} of {rows} accounts are alive"));
        } else {
            receipt.notes.push(format!(
                "{made} of {rows} accounts are noted as made; without a `probe` the service is not asked"
            ));
        }
        receipt.action = if alive == rows { Action::Verified } else { Action::Drift };
        Ok(receipt)
    }

    async fn reset(
        &self,
        client: Option<&Client>,
        journal: &Journal<'_>,
        store: Option<&mut Store>,
        known: &Known,
        receipt: &mut Receipt,
    ) -> Result<(), SeedError> {
        receipt
            .notes
            .push("accounts made over HTTP cannot be deleted: only what was noted of them was".into());
        journal.forget(None).await?;
        store.map_or(Ok(()), Store::clear)?;
        let mut reset = known.base_micros.is_some();
        if let Some(client) = client
            && ledger::read(client, &self.key).await?.is_some()
        {
            ledger::delete(client, &self.key).await?;
            reset = true;
        }
        if reset {
            receipt.action = Action::Reset;
        }
        Ok(())
    }

    /// The rate of requests: the plan's, or the one that the service declares.
    fn rate(&self) -> Option<(planc::units::Rate, At)> {
        let pace = self.http.pace.map(|pace| (pace, At::Here));
        pace.or(self.http.limit.map(|limit| (limit, At::There)))
    }

    /// The store of what the service tells once; `None` where it tells nothing.
    fn store(&self) -> Result<Option<Store>, SeedError> {
        if self.http.capture.is_empty() {
            return Ok(None);
        }
        let file = match &self.options.secrets_dir {
            Some(folder) => Some(folder.join(self.file_name("ndjson"))),
            None => self.file("secrets", "ndjson"),
        };
        let Some(path) = file else {
            let message = "the service tells secrets once, and there is no folder to keep them in";
            return Err(SeedError::new(ErrorKind::Other, message)
                .help("give `--secrets DIR`, or set HOME (a library's caller: `SeedOptions::secrets_dir`)"));
        };
        Store::open(&path).map(Some)
    }

    fn file(&self, folder: &str, ending: &str) -> Option<PathBuf> {
        Some(self.options.state_dir.as_ref()?.join(folder).join(self.file_name(ending)))
    }

    /// Accounts of another content, or of another service, have a file of their own.
    fn file_name(&self, ending: &str) -> String {
        let digest = sha2::Sha256::digest(format!("{}\n{}", self.key, self.set.content_hash));
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let name: String = self.fixture.fixture.chars().filter(|c| plain(*c)).take(40).collect();
        format!("{name}-{digest}.{ending}")
    }

    fn resolve(&self, path: &str) -> PathBuf {
        let folder = self.options.export_dir.as_deref().unwrap_or(Path::new(""));
        folder.join(path)
    }

    async fn record(&self, client: &Client, base_micros: i64) -> Result<(), SeedError> {
        let content_hash = ledger::content_hash(self.graph, self.fixture, self.inputs);
        if ledger::read(client, &self.key).await?.is_some_and(|entry| entry.is_of(&content_hash)) {
            return Ok(());
        }
        ledger::create(client).await?;
        let entry = Entry {
            definition: ledger::definition(self.graph, self.fixture, self.inputs),
            previous: Vec::new(),
            content_hash,
            base_micros,
            fingerprint: String::new(),
            buckets: None,
            versions: None,
            whole_table: false,
            foreign_rows: Vec::new(),
            generator_version: GENERATOR_VERSION,
            program: self.options.program.clone(),
        };
        ledger::write(client, &self.key, &entry, &self.options.who).await
    }
}

/// Whether a template looks at a name.
fn names(template: &planc::expr::Template, name: &str) -> bool {
    let mut uses = Default::default();
    uses_of_template(template, &mut uses);
    uses.paths.iter().any(|path| path.first().is_some_and(|first| first == name))
}

/// A URL without user and password. The port of a loopback address is left out too: a service that each run starts on
/// another free port is the same service, since it is the same database that this ledger lies in.
fn without_user(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit('@').next().unwrap_or_default();
            let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
            let loopback = name.starts_with("127.") || matches!(name, "localhost" | "[::1]");
            let host = if loopback && port.bytes().all(|b| b.is_ascii_digit()) { name } else { host };
            format!("{scheme}://{host}{}", rest[end..].trim_end_matches('/'))
        }
        None => url.to_string(),
    }
}

/// Identity of the accounts: what their rows and their requests are made of. How fast they are made, how answers are
/// read and how many there are is no part of it, so that a fixture can grow and be slowed down without making any again.
fn accounts_hash(graph: &ExecutionGraph, fixture: &Fixture, inputs: &Inputs) -> String {
    let mut definition = ledger::definition(graph, fixture, inputs);
    let Some(own) = definition.fixtures.last_mut() else { return definition.id() };
    own.verify.clear();
    let mut uses = Default::default();
    own.columns().values().for_each(|column| uses_of(&column.generator, &mut uses));
    if let FixtureKind::Http(http) = &mut own.kind {
        ledger::request_uses(&http.create, &mut uses);
        let create = http.create.clone();
        *http = HttpFixture {
            columns: std::mem::take(&mut http.columns),
            create: planc::graph::Request { timeout: None, redirects: 0, ..create },
            created: Vec::new(),
            exists: None,
            pace: None,
            limit: None,
            concurrency: 0,
            retry: planc::graph::Retry { statuses: Vec::new(), attempts: 0 },
            capture: Vec::new(),
            probe: None,
            reissue: None,
            export: None,
        };
    }
    if !uses.paths.iter().any(|path| path.first().is_some_and(|name| name == "rows")) {
        own.rows = 0;
    }
    // Another version of the generators may make other rows of the same definition.
    format!("{}.{GENERATOR_VERSION}", definition.id())
}

/// What a person should know of how it went.
fn told(tally: &Tally, http: &HttpFixture) -> Vec<String> {
    let mut notes = Vec::new();
    if tally.limited > 0 {
        let times = if tally.limited == 1 { "once".into() } else { format!("{} times", tally.limited) };
        let help = match (http.pace, http.limit) {
            (None, None) => ": declare its limit, such as `create: { limit: 600/m }`",
            _ => "",
        };
        notes.push(format!("the service answered 429 {times}{help}"));
    }
    if tally.dead > 0 {
        notes.push(format!("{} of them were dead", tally.dead));
    }
    if tally.reissued > 0 {
        let names: Vec<String> = http.capture.iter().map(|capture| format!("`{}`", capture.name)).collect();
        notes.push(format!("{} of {} were issued anew", names.join(", "), tally.reissued));
    }
    notes
}

/// Rows that an earlier process had asked for when it was cut off, where the service cannot be asked for them.
fn unknown_rows(rows: &[u64]) -> Option<SeedError> {
    if rows.is_empty() {
        return None;
    }
    let shown: Vec<String> = rows.iter().take(20).map(u64::to_string).collect();
    let more = if rows.len() > shown.len() { ", …" } else { "" };
    let (count, rows) = (rows.len(), shown.join(", "));
    let message = format!(
        "{count} accounts (rows {rows}{more}) had been asked for when an earlier run was cut off, and nobody knows \
         whether they are there; all others are"
    );
    Some(SeedError::new(ErrorKind::Http, message).help(
        "write how the service can be asked: `probe: { get: … }` in the fixture, or `exists` in its `create`; \
         then run it again",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::encode;

    #[test]
    fn urls_and_encoding() {
        assert_eq!(without_user("http://u:p@h:1/a/"), "http://h:1/a");
        assert_eq!(without_user("http://127.0.0.1:41234"), "http://127.0.0.1");
        assert_eq!(encode("a b/ä~"), "a%20b%2F%C3%A4~");
    }
}
