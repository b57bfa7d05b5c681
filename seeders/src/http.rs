//! Accounts that only the service can make: one request a row, paced, retried, recognised when they exist.
//!
//! The requests leave through the caller's [`HttpSender`], which keeps the list of allowed hosts.

use crate::body::{body_bytes, encode};
use crate::error::{ErrorKind, SeedError};
use crate::hash;
use crate::ledger::{self, Entry};
use crate::options::{Mask, Mode, SeedOptions};
use crate::progress::{Meter, Progress};
use crate::receipt::{Action, Receipt};
use crate::rows::{Inputs, OuterScope, RowScope, RowSource, render_outer};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use planc::eval;
use planc::expr::Scope;
use planc::graph::{ExecutionGraph, Fixture, FixtureKind, HttpFixture, Json, Request};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::Client;

pub use futures_util::future::BoxFuture;

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
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends requests for the seeder. An `Err` is a failure of transport, in words.
pub trait HttpSender: Send + Sync {
    /// Sends one request and reads the whole answer.
    fn send(&self, request: PreparedRequest) -> BoxFuture<'_, Result<Answer, String>>;
}

/// Failures after which no further rows are tried.
const GIVE_UP_AFTER: usize = 5;

/// Makes one account a row. `ledger` is a connection to the plan's database, when there is one: it remembers under the
/// fixture and the target's URL that the accounts were made, which `trust_ledger` believes; otherwise all rows are sent
/// again, and those that exist are recognised.
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
    let FixtureKind::Http(http) = &fixture.kind else {
        return Err(SeedError::new(
            ErrorKind::Other,
            format!("fixture `{}` is not an HTTP fixture", fixture.name),
        ));
    };
    let run =
        run(sender, ledger.map(|client| &*client), graph, (fixture, http), inputs, options, &mask, progress);
    let mut receipt = run.await.map_err(|error| error.finish(&fixture.name, &mask))?;
    receipt.milliseconds = started.elapsed().as_millis() as u64;
    Ok(receipt)
}

#[allow(clippy::too_many_arguments)]
async fn run(
    sender: &dyn HttpSender,
    client: Option<&Client>,
    graph: &ExecutionGraph,
    (fixture, http): (&Fixture, &HttpFixture),
    inputs: &Inputs,
    options: &SeedOptions,
    mask: &Mask,
    progress: &mut dyn FnMut(Progress),
) -> Result<Receipt, SeedError> {
    let mut receipt = Receipt::new(fixture, options.base_micros);
    let outer = OuterScope { inputs, graph, rows: fixture.rows, now: options.base_micros };
    let target = match &graph.target {
        Some(target) => render_outer(&target.url, &outer)
            .map_err(|e| SeedError::new(ErrorKind::Http, format!("the target's URL cannot be made: {e}")))?,
        None => String::new(),
    };
    let key = format!("{}@{}", fixture.fixture, without_user(&target));
    let content_hash = ledger::content_hash(graph, fixture, inputs);
    let entry = match client {
        Some(client) => ledger::read(client, &key).await?,
        None => None,
    };
    let known = entry.as_ref().is_some_and(|entry| entry.is_of(&content_hash));
    let base = entry.as_ref().filter(|_| known).map_or(options.base_micros, |entry| entry.base_micros);
    receipt.base_micros = base;
    let source = RowSource::new(graph, &fixture.name, inputs, base)?;
    match options.mode {
        Mode::Verify => {
            receipt
                .notes
                .push("accounts cannot be compared with the service: only the ledger was read".into());
            receipt.action = if known { Action::Verified } else { Action::Drift };
            return Ok(receipt);
        }
        Mode::Reset => {
            receipt
                .notes
                .push("accounts made over HTTP cannot be deleted: only the ledger's entry was".into());
            if let Some(client) = client.filter(|_| entry.is_some()) {
                ledger::delete(client, &key).await?;
                receipt.action = Action::Reset;
            }
            return Ok(receipt);
        }
        Mode::Apply if known && options.trust_ledger => receipt.kept = fixture.rows,
        Mode::Apply => create_all(sender, &source, http, mask, &mut receipt, progress).await?,
    }
    if let Some(path) = &http.export {
        export(&source, &resolve(options, path)).map_err(|e| {
            SeedError::new(ErrorKind::Other, format!("the rows cannot be exported to `{path}`: {e}"))
        })?;
    }
    if let Some(client) = client.filter(|_| !known) {
        record(client, graph, fixture, inputs, options, (&key, content_hash)).await?;
    }
    Ok(receipt)
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

async fn record(
    client: &Client,
    graph: &ExecutionGraph,
    fixture: &Fixture,
    inputs: &Inputs,
    options: &SeedOptions,
    (key, content_hash): (&str, String),
) -> Result<(), SeedError> {
    ledger::create(client).await?;
    let entry = Entry {
        definition: ledger::definition(graph, fixture, inputs),
        previous: Vec::new(),
        content_hash,
        base_micros: options.base_micros,
        fingerprint: String::new(),
        whole_table: false,
        foreign_rows: Vec::new(),
        generator_version: crate::rows::GENERATOR_VERSION,
        program: options.program.clone(),
    };
    ledger::write(client, key, &entry, &options.who).await
}

/// A row still to be made.
#[derive(Clone, Copy)]
struct Task {
    n: u64,
    attempt: u32,
    not_before: Instant,
}

/// Sends all rows: at most `concurrency` in flight, starts spaced by the pace from a computed schedule, and everything
/// held back while the service asked to wait.
async fn create_all(
    sender: &dyn HttpSender,
    source: &RowSource,
    http: &HttpFixture,
    mask: &Mask,
    receipt: &mut Receipt,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), SeedError> {
    let start = Instant::now();
    let mut pacer = Pacer::new(http.pace.map(|pace| (pace.count, pace.per)), start);
    let mut fresh = 1..=source.rows();
    let mut waiting: Vec<Task> = Vec::new();
    let mut flying = FuturesUnordered::new();
    let mut hold = start;
    let mut failures: Vec<String> = Vec::new();
    let mut done = 0;
    let meter = Meter::new(&receipt.name, source.rows(), 0);
    loop {
        let giving_up = failures.len() >= GIVE_UP_AFTER;
        let next = if giving_up { None } else { next_task(&mut waiting, &mut fresh, hold) };
        if next.is_none() && flying.is_empty() {
            break;
        }
        let room = flying.len() < http.concurrency.max(1) as usize;
        let wake = next.map(|task| task.not_before.max(hold).max(pacer.next));
        tokio::select! {
            biased;
            Some((task, answer)) = flying.next(), if !flying.is_empty() => {
                let outcome = judge(http, task, answer);
                match outcome {
                    Outcome::Created => receipt.inserted += 1,
                    Outcome::Existed => receipt.kept += 1,
                    Outcome::Again { after, asked } => {
                        let not_before = Instant::now() + after;
                        if asked { hold = hold.max(not_before); }
                        waiting.push(Task { n: task.n, attempt: task.attempt + 1, not_before });
                    }
                    Outcome::Failed(why) => failures.push(format!("row {}: {}", task.n, mask.hide(&why))),
                }
                done = receipt.inserted + receipt.kept;
                progress(meter.at(done));
                if let Some(task) = next { waiting.push(task); }
            }
            () = tokio::time::sleep_until(wake.unwrap_or(start)), if room && wake.is_some() => {
                pacer.took(Instant::now());
                if let Some(task) = next {
                    let request = prepare(source, http, task.n)?;
                    flying.push(async move { (task, sender.send(request).await) });
                }
            }
        }
    }
    receipt.action = if receipt.inserted > 0 { Action::Inserted } else { Action::NothingToDo };
    if failures.is_empty() {
        return Ok(());
    }
    let message = format!("{done} of {} accounts are there; {}", source.rows(), failures.join("; "));
    Err(SeedError::new(ErrorKind::Http, message)
        .help("what was made stays: mend the cause and run it again, `exists` recognises the accounts that are there"))
}

/// The next row: one whose wait is over first, then a new one, then the one that waits least.
fn next_task(
    waiting: &mut Vec<Task>,
    fresh: &mut std::ops::RangeInclusive<u64>,
    hold: Instant,
) -> Option<Task> {
    let now = Instant::now();
    let first = (0..waiting.len()).min_by_key(|index| waiting[*index].not_before);
    match first {
        Some(index) if waiting[index].not_before <= now.max(hold) || fresh.is_empty() => {
            Some(waiting.swap_remove(index))
        }
        _ => fresh.next().map(|n| Task { n, attempt: 1, not_before: hold.min(now) }),
    }
}

/// Start times on a grid: start k is due at `from + k·per/count`, so that a late start does not shift the later ones; a
/// schedule that fell behind by more than one slot is not caught up in a burst.
struct Pacer {
    slot: Option<Duration>,
    next: Instant,
}

impl Pacer {
    fn new(pace: Option<(u64, Duration)>, start: Instant) -> Pacer {
        let slot = pace.filter(|(count, _)| *count > 0).map(|(count, per)| {
            Duration::from_nanos((per.as_nanos() / u128::from(count)).min(u128::from(u64::MAX)) as u64)
        });
        Pacer { slot, next: start }
    }

    fn took(&mut self, now: Instant) {
        if let Some(slot) = self.slot {
            let behind = now.checked_duration_since(self.next).unwrap_or_default();
            self.next = if behind > slot { now + slot } else { self.next + slot };
        }
    }
}

enum Outcome {
    Created,
    Existed,
    Again { after: Duration, asked: bool },
    Failed(String),
}

fn judge(http: &HttpFixture, task: Task, answer: Result<Answer, String>) -> Outcome {
    let left = task.attempt < http.retry.attempts;
    let answer = match answer {
        Ok(answer) => answer,
        Err(_) if left => return Outcome::Again { after: backoff(task), asked: false },
        Err(why) => return Outcome::Failed(why),
    };
    let body = String::from_utf8_lossy(&answer.body);
    if let Some(exists) = &http.exists
        && exists.status.matches(answer.status)
        && exists.body_contains.as_ref().is_none_or(|text| body.contains(text.as_str()))
    {
        return Outcome::Existed;
    }
    if http.created.iter().any(|pattern| pattern.matches(answer.status)) {
        return Outcome::Created;
    }
    if http.retry.statuses.contains(&answer.status) && left {
        return match retry_after(&answer) {
            Some(after) => Outcome::Again { after, asked: true },
            None => Outcome::Again { after: backoff(task), asked: false },
        };
    }
    let excerpt: String = body.chars().take(200).collect();
    let tries = if task.attempt > 1 { format!(" after {} attempts", task.attempt) } else { String::new() };
    Outcome::Failed(format!("status {}{tries}: {}", answer.status, excerpt.trim()))
}

/// 100 ms doubled with each attempt, at most 10 s, and up to a quarter more so that retries do not march in step.
fn backoff(task: Task) -> Duration {
    let base = 100u64.saturating_mul(1 << (task.attempt - 1).min(10)).min(10_000);
    let jitter =
        hash::below(hash::mix(task.n ^ (u64::from(task.attempt) << 48)), u128::from(base / 4 + 1)) as u64;
    Duration::from_millis(base + jitter)
}

/// `Retry-After` in seconds, or as a date relative to the answer's own `Date`; at most an hour.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let text = answer.headers.get("retry-after")?.trim();
    let most = Duration::from_secs(3_600);
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(most));
    }
    let at = http_date(text)?;
    let now = answer.headers.get("date").and_then(|date| http_date(date))?;
    Some(Duration::from_secs(u64::try_from(at - now).unwrap_or(0)).min(most))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<i64> {
    let stamp = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok();
    stamp.map(|stamp| stamp.as_second())
}

/// The request of row `n`.
fn prepare(source: &RowSource, http: &HttpFixture, n: u64) -> Result<PreparedRequest, SeedError> {
    let mut cells = Vec::new();
    source.fill(n, &mut cells)?;
    let scope = RowScope::new(source, n, &cells, 0);
    build(&http.create, &scope).map_err(|why| SeedError::new(ErrorKind::Row, format!("row {n}: {why}")))
}

fn build(request: &Request, scope: &dyn Scope) -> Result<PreparedRequest, String> {
    let text = |template| eval::render(template, scope).map_err(|e| e.0);
    let mut url = text(&request.url)?;
    for (at, (name, value)) in request.query.iter().enumerate() {
        let mark = if at == 0 && !url.contains('?') { '?' } else { '&' };
        url.push(mark);
        url.push_str(&format!("{}={}", encode(name), encode(&text(value)?)));
    }
    let mut headers = BTreeMap::new();
    let body = match &request.body {
        None => Vec::new(),
        Some(body) => {
            let (kind, bytes) = body_bytes(body, scope)?;
            headers.insert("content-type".to_string(), kind.into_owned());
            bytes
        }
    };
    for (name, value) in &request.headers {
        headers.insert(name.clone(), text(value)?);
    }
    Ok(PreparedRequest { method: request.method.clone(), url, headers, body, timeout: request.timeout })
}

fn resolve(options: &SeedOptions, path: &str) -> PathBuf {
    match &options.export_dir {
        Some(folder) => folder.join(path),
        None => PathBuf::from(path),
    }
}

/// Writes all rows as a JSON list: to a file beside, then renamed, so that a reader sees all or nothing. For the owner
/// alone when a column's name says that it holds a secret.
fn export(source: &RowSource, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let secretive = source.columns().iter().any(|name| {
        let name = name.to_lowercase();
        ["password", "passwd", "secret", "token", "api_key", "apikey", "private"]
            .iter()
            .any(|word| name.contains(word))
    });
    let mode = if secretive { 0o600 } else { 0o644 };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut name = path.file_name().ok_or("it is not a file's path")?.to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(name);
    let file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    let mut out = std::io::BufWriter::new(file);
    out.write_all(b"[")?;
    for n in 1..=source.rows() {
        out.write_all(if n == 1 { b"\n" } else { b",\n" })?;
        let row: serde_json::Map<String, Json> = source.row(n)?.into_iter().collect();
        serde_json::to_writer(&mut out, &row)?;
    }
    out.write_all(b"\n]\n")?;
    out.into_inner().map_err(|e| e.into_error())?.sync_all()?;
    std::fs::rename(&beside, path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_in_both_forms() {
        let answer = |pairs: &[(&str, &str)]| Answer {
            status: 429,
            headers: pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect(),
            body: Vec::new(),
        };
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(retry_after(&answer(&[("retry-after", "3")])), seconds(3));
        let dated =
            [("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")];
        assert_eq!(retry_after(&answer(&dated)), seconds(10));
        assert_eq!(retry_after(&answer(&[("retry-after", "99999999")])), seconds(3_600));
        assert_eq!(retry_after(&answer(&[])), None);
    }

    #[test]
    fn urls_and_encoding() {
        assert_eq!(without_user("http://u:p@h:1/a/"), "http://h:1/a");
        assert_eq!(without_user("http://127.0.0.1:41234"), "http://127.0.0.1");
        assert_eq!(encode("a b/ä~"), "a%20b%2F%C3%A4~");
    }

    #[test]
    fn pacer_keeps_its_grid() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Some((10, Duration::from_secs(1))), start);
        pacer.took(start + Duration::from_millis(40));
        assert_eq!(pacer.next, start + Duration::from_millis(100), "a late start does not shift the grid");
        pacer.took(start + Duration::from_millis(950));
        assert_eq!(pacer.next, start + Duration::from_millis(1050), "no burst after a long wait");
    }
}
