//! The front of the seeders crate: which of its ways a fixture takes, and what it did in words.

use crate::client::{Filled, Web, WebError};
use crate::database;
use crate::report::terminal::grouped;
use crate::values::Values;
use planc::expr::Scope;
use planc::graph::{ExecutionGraph, Fixture, FixtureKind};
use seeders::{
    Action, Answer, BoxFuture, ErrorKind, HttpSender, PreparedRequest, Progress, Receipt, SeedError,
    SeedOptions, SendError,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_postgres::Client;

/// What seeding needs beside the fixture.
pub struct Ground {
    /// The graph.
    pub graph: Arc<ExecutionGraph>,
    /// URL of the database.
    pub database: Option<String>,
    /// HTTP.
    pub web: Option<Web>,
    /// Base URL of the target.
    pub base: Option<String>,
    /// Names in scope.
    pub values: Values,
}

/// Seeds one fixture.
pub async fn seed(
    fixture: &Fixture,
    ground: &Ground,
    options: &SeedOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Receipt, SeedError> {
    let inputs = ground.values.map();
    match &fixture.kind {
        FixtureKind::Table(_) | FixtureKind::Sql(_) => {
            let url =
                ground.database.as_deref().ok_or_else(|| failed("the plan has no `database`".into()))?;
            let connect = || -> BoxFuture<'_, Result<Client, SeedError>> {
                Box::pin(async { database::connect(url).await.map_err(failed) })
            };
            seeders::seed_over(&connect, &ground.graph, fixture, inputs, options, progress).await
        }
        FixtureKind::Http(_) => {
            let Some(web) = &ground.web else { return Err(failed("the plan has no `target`".into())) };
            let web = web.for_accounts();
            let sender = Sender { web: &web, base: ground.base.as_deref() };
            let mut ledger = match &ground.database {
                Some(url) => Some(database::connect(url).await.map_err(failed)?),
                None => None,
            };
            let graph = &ground.graph;
            seeders::seed_http(&sender, ledger.as_mut(), graph, fixture, inputs, options, progress).await
        }
    }
}

/// Requests of fixtures leave through the run's bounded client.
struct Sender<'a> {
    web: &'a Web,
    base: Option<&'a str>,
}

impl HttpSender for Sender<'_> {
    fn send(&self, request: PreparedRequest) -> BoxFuture<'_, Result<Answer, SendError>> {
        let base =
            if request.url.starts_with('/') { self.base.unwrap_or("").trim_end_matches('/') } else { "" };
        let filled = Filled {
            url: format!("{base}{}", request.url),
            method: request.method,
            headers: request.headers.into_iter().collect(),
            body: (!request.body.is_empty()).then_some(request.body),
            timeout: request.timeout,
            // A redirect after a POST is an answer of its own: the fixture's `created` and `exists` decide.
            redirects: 0,
        };
        Box::pin(async move {
            let reply = self.web.send(&filled).await.map_err(|error| SendError {
                message: error.to_string(),
                unsent: !matches!(error, WebError::Unreachable(_)),
            })?;
            let mut headers: BTreeMap<String, String> = BTreeMap::new();
            for (name, value) in &reply.headers {
                let value = String::from_utf8_lossy(value.as_bytes());
                match headers.get_mut(name.as_str()) {
                    Some(known) => {
                        known.push('\n');
                        known.push_str(&value);
                    }
                    None => drop(headers.insert(name.as_str().to_owned(), value.into_owned())),
                }
            }
            Ok(Answer { status: reply.status, headers, body: reply.body })
        })
    }
}

/// Whether a fixture's requests carry a token.
pub fn needs_tokens(fixture: &Fixture) -> bool {
    let FixtureKind::Http(http) = &fixture.kind else { return false };
    // Paths of names stand as lists in the canonical form.
    let asks =
        |request| serde_json::to_string(request).is_ok_and(|text| text.contains(r#"{"path":["tokens""#));
    http.requests().any(asks)
}

/// What a fixture did, in a few words.
pub fn told(receipt: &Receipt) -> String {
    let counts = [
        (receipt.inserted, "inserted"),
        (receipt.updated, "refreshed"),
        (receipt.deleted, "deleted"),
        (receipt.rebased, "re-based"),
        (receipt.kept, "kept"),
    ];
    let mut parts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", grouped(*count)))
        .collect();
    match receipt.action {
        Action::NothingToDo => parts.push("nothing to do".into()),
        Action::Verified => parts.push("verified".into()),
        Action::Drift => parts.push("differs from the fixture".into()),
        _ => {}
    }
    let rows = match receipt.rows {
        // A script that declares no rows.
        0 => String::new(),
        rows => format!("{} rows: ", grouped(rows)),
    };
    let mut text = format!("{rows}{}", parts.join(", "));
    for note in &receipt.notes {
        text.push_str("; ");
        text.push_str(note);
    }
    text
}

/// The rows that differed, one a line, indented under what the fixture did.
pub fn drift_lines(receipt: &Receipt) -> String {
    let Some(drift) = &receipt.drift else { return String::new() };
    let mut out = String::new();
    if drift.mended && !drift.rows.is_empty() {
        out.push_str("      mended:\n");
    }
    for row in &drift.rows {
        out.push_str(&format!("      {row}\n"));
    }
    if !drift.rows.is_empty() && drift.untold() > 0 {
        out.push_str(&format!("      and {} more\n", grouped(drift.untold())));
    }
    out
}

/// Rows of a table that no fixture of this plan makes. A table that does not exist has none.
pub async fn foreign_rows(
    client: &Client,
    graph: &ExecutionGraph,
    values: &Values,
    table: &str,
) -> Result<u64, String> {
    let counted = seeders::foreign_rows(client, graph, values.map(), table, values.now_micros()).await;
    counted.map_err(|error| error.to_string())
}

fn failed(message: String) -> SeedError {
    SeedError { kind: ErrorKind::Connection, message, help: None }
}
