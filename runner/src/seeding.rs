//! The front of the seeders crate: which of its ways a fixture takes, and what it did in words.

use crate::client::Web;
use crate::database;
use crate::values::Values;
use planc::graph::{ExecutionGraph, Fixture, FixtureKind};
use seeders::{Action, ErrorKind, Progress, Receipt, SeedError, SeedOptions};
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
        FixtureKind::Table(_) => {
            let url = ground.database.as_deref().ok_or_else(|| failed("the plan has no `database`".into()))?;
            let mut client = database::connect(url).await.map_err(failed)?;
            seeders::seed_table(&mut client, &ground.graph, fixture, inputs, options, progress).await
        }
        FixtureKind::Http(_) => Err(failed("not yet".into())),
    }
}

/// Whether a fixture's requests carry a token.
pub fn needs_tokens(fixture: &Fixture) -> bool {
    let FixtureKind::Http(http) = &fixture.kind else { return false };
    // Paths of names stand as lists in the canonical form.
    serde_json::to_string(&http.create).is_ok_and(|text| text.contains(r#"{"path":["tokens""#))
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
    let mut parts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    match receipt.action {
        Action::NothingToDo => parts.push("nothing to do".into()),
        Action::Verified => parts.push("verified".into()),
        Action::Drift => parts.push("differs from the fixture".into()),
        _ => {}
    }
    let mut text = format!("{} rows: {}", receipt.rows, parts.join(", "));
    for note in &receipt.notes {
        text.push_str("; ");
        text.push_str(note);
    }
    text
}

/// Rows of a table that no fixture of this plan made. A table that does not exist has none.
pub async fn foreign_rows(
    client: &Client,
    graph: &ExecutionGraph,
    values: &Values,
    table: &str,
) -> Result<u64, String> {
    let _ = (client, graph, values, table);
    Err("not yet".into())
}

fn failed(message: String) -> SeedError {
    SeedError { kind: ErrorKind::Connection, message, help: None }
}
