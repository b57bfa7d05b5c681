//! A team's own SQL script in the transaction of its fixture: statement by statement as psql would with
//! `ON_ERROR_STOP`, counted, and the first error told where it stands in the file.

use crate::error::{ErrorKind, SeedError, said};
use crate::progress::{Meter, Progress};
use crate::receipt::Receipt;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use planc::graph::Script;
use planc::sql::{self, Deed, Statement};
use std::pin::pin;
use tokio_postgres::error::{ErrorPosition, SqlState};
use tokio_postgres::{Client, SimpleQueryMessage};

/// Bytes of statements that go to the server at once.
const AT_ONCE: usize = 256 << 10;

/// Bytes of copied rows that go at once.
const CHUNK: usize = 128 << 10;

/// Runs a script in the caller's transaction and adds what its statements wrote to the receipt. Settings that it leaves
/// behind (`search_path`, the role, the replication role) are put back as they were.
pub(crate) async fn run(
    client: &Client,
    script: &Script,
    receipt: &mut Receipt,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), SeedError> {
    let (statements, complaints) = sql::script(&script.text);
    if let Some(complaint) = complaints.first() {
        let place = place(script, complaint.range.start);
        return Err(SeedError::new(ErrorKind::Other, format!("{place}: {}", complaint.message))
            .help(complaint.help.clone()));
    }
    let settings = Settings::read(client).await?;
    let meter = Meter::new(&receipt.name, statements.len() as u64, 0);
    let mut done = 0;
    while done < statements.len() {
        let some = &statements[done..done + together(&statements[done..])];
        match &some[0].data {
            Some(data) => copy(client, script, &some[0], &script.text[data.clone()], receipt).await?,
            None => send(client, script, some, receipt).await?,
        }
        done += some.len();
        progress(meter.at(done as u64));
    }
    settings.restore(client).await
}

/// How many of the statements go to the server as one text: those up to the next COPY, at least one.
fn together(statements: &[Statement]) -> usize {
    let start = statements[0].range.start;
    if statements[0].data.is_some() {
        return 1;
    }
    let fits = |statement: &&Statement| statement.data.is_none() && statement.range.end - start <= AT_ONCE;
    statements.iter().take_while(fits).count().max(1)
}

/// Sends the statements as one text. The server reads all of it before it runs the first, and numbers places from its
/// start, so that an error is found again in the file.
async fn send(
    client: &Client,
    script: &Script,
    statements: &[Statement],
    receipt: &mut Receipt,
) -> Result<(), SeedError> {
    // psql's own words may stand between two statements: only these are sent.
    let start = statements[0].range.start;
    let mut text = String::new();
    for statement in statements {
        while start + text.len() < statement.range.start {
            text.push(' ');
        }
        text.push_str(&script.text[statement.range.clone()]);
        text.push(';');
    }
    let mut done = 0;
    let mut failed = None;
    match client.simple_query_raw(&text).await {
        Err(error) => failed = Some(error),
        Ok(answers) => {
            let mut answers = pin!(answers);
            while let Some(answer) = answers.next().await {
                match answer {
                    Ok(SimpleQueryMessage::CommandComplete(rows)) => {
                        if let Some(statement) = statements.get(done) {
                            count(receipt, statement.deed, rows);
                        }
                        done += 1;
                    }
                    Ok(_) => {}
                    // Not read on: a connection that has ended answers so for ever.
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
        }
    }
    let Some(error) = failed else { return Ok(()) };
    let offset = match error.as_db_error().and_then(|db| db.position()) {
        Some(ErrorPosition::Original(at)) => {
            let before = text.chars().take((*at).saturating_sub(1) as usize);
            Some(start + before.map(char::len_utf8).sum::<usize>())
        }
        _ => None,
    };
    let holds = |at: usize| statements.iter().find(|statement| statement.range.contains(&at));
    let found = offset.and_then(holds).or_else(|| statements.get(done)).unwrap_or(&statements[0]);
    let at = offset.filter(|at| found.range.contains(at)).unwrap_or(found.range.start);
    Err(told(script, found, at, error))
}

/// Sends the rows that stand below a COPY.
async fn copy(
    client: &Client,
    script: &Script,
    statement: &Statement,
    rows: &str,
    receipt: &mut Receipt,
) -> Result<(), SeedError> {
    let sent = async {
        let sink = client.copy_in::<_, Bytes>(&script.text[statement.range.clone()]).await?;
        let mut sink = pin!(sink);
        for chunk in rows.as_bytes().chunks(CHUNK) {
            sink.send(Bytes::copy_from_slice(chunk)).await?;
        }
        sink.finish().await
    };
    match sent.await {
        Ok(rows) => {
            count(receipt, Deed::CopyIn, rows);
            Ok(())
        }
        Err(error) => {
            let at = copied_line(&error)
                .zip(statement.data.as_ref())
                .and_then(|(line, data)| start_of_line(&script.text, data.start, line));
            Err(told(script, statement, at.unwrap_or(statement.range.start), error))
        }
    }
}

/// The number of the copied line at fault, as the server says it: `COPY t, line 3, column a`.
fn copied_line(error: &tokio_postgres::Error) -> Option<usize> {
    let place = error.as_db_error()?.where_()?;
    let (_, rest) = place.lines().find(|line| line.starts_with("COPY "))?.split_once(", line ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The first byte of the nth line (from 1) after `from`.
fn start_of_line(text: &str, from: usize, line: usize) -> Option<usize> {
    let before: usize =
        text.get(from..)?.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    Some(from + before)
}

fn count(receipt: &mut Receipt, deed: Deed, rows: u64) {
    match deed {
        Deed::Insert | Deed::CopyIn => receipt.inserted += rows,
        Deed::Update => receipt.updated += rows,
        Deed::Delete => receipt.deleted += rows,
        Deed::Other => {}
    }
}

fn place(script: &Script, at: usize) -> String {
    let (line, column) = sql::line_column(&script.text, at);
    format!("{}:{line}:{column}", script.file)
}

/// What the server said of a statement, where it stands, and how it begins.
fn told(script: &Script, statement: &Statement, at: usize, error: tokio_postgres::Error) -> SeedError {
    let Some(db) = error.as_db_error() else { return error.into() };
    let (code, hint) = (db.code().clone(), db.hint().map(str::to_owned));
    let shown = sql::first_line(&script.text[statement.range.clone()]);
    let message = format!("{}: {}, in `{shown}`", place(script, at), said(db));
    let mut out = SeedError::from(error);
    // What a table fixture would do about it is not what a script can do.
    if !matches!(
        out.kind,
        ErrorKind::Connection | ErrorKind::Privilege | ErrorKind::ReadOnly | ErrorKind::DiskFull
    ) {
        out.help = match () {
            () if code == SqlState::UNIQUE_VIOLATION => Some(
                "the rows are there already: let the statement end in `ON CONFLICT … DO NOTHING`, or take them away \
                 with a `reset` script and `runner seed --reset`"
                    .into(),
            ),
            () => hint,
        };
    }
    out.message = message;
    out
}

/// Settings of the session that scripts change and the checks after them must not feel.
struct Settings([String; 3]);

impl Settings {
    async fn read(client: &Client) -> Result<Settings, SeedError> {
        let sql = "SELECT current_setting('role'), current_setting('search_path'), \
                          current_setting('session_replication_role')";
        let row = client.query_one(sql, &[]).await?;
        Ok(Settings([row.get(0), row.get(1), row.get(2)]))
    }

    async fn restore(self, client: &Client) -> Result<(), SeedError> {
        let Settings([role, path, replication]) = &self;
        // The replication role may be set by few: it is touched only where it was changed.
        let sql = "SELECT set_config('role', $1, false), set_config('search_path', $2, false), \
                          CASE WHEN current_setting('session_replication_role') <> $3 \
                               THEN set_config('session_replication_role', $3, false) END";
        client.query_one(sql, &[role, path, replication]).await?;
        Ok(())
    }
}
