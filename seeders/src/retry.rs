//! Seeding over connections that may be lost: once more over a new one, and only where nothing was committed.

use crate::error::{ErrorKind, SeedError};
use crate::http::BoxFuture;
use crate::options::{Mask, SeedOptions};
use crate::postgres::{self, Attempt};
use crate::progress::{Meter, Progress};
use crate::receipt::Receipt;
use crate::rows::Inputs;
use planc::graph::{ExecutionGraph, Fixture};
use std::time::Duration;
use tokio_postgres::Client;

/// Time before each new connection; there are no more than these.
const WAITS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_millis(2_000), Duration::from_millis(6_000)];

/// Opens a new connection to the database that is seeded, or says why there is none.
pub type Connect<'a> = dyn Fn() -> BoxFuture<'a, Result<Client, SeedError>> + Send + Sync + 'a;

/// As [`crate::seed`], over connections of its own: one that is lost in the middle is opened anew, three times at
/// most, after 0.5, 2 and 6 seconds.
///
/// A fixture is one transaction, so what a lost connection leaves is all or nothing. Which of them is asked of the
/// ledger after the new connection has the fixture's lock: a COMMIT whose answer never came is either found there, and
/// then it is not done again, or it did not happen.
///
/// # Errors
/// As [`crate::seed`]; a first connection that cannot be made is not tried again.
pub async fn seed_over(
    connect: &Connect<'_>,
    graph: &ExecutionGraph,
    fixture: &Fixture,
    inputs: &Inputs,
    options: &SeedOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Receipt, SeedError> {
    let mut client = connect().await?;
    let mut attempt = Attempt::default();
    let meter = Meter::new(&fixture.name, fixture.rows, 0);
    let mut lost = 0;
    loop {
        let error =
            match postgres::attempt(&mut client, graph, fixture, inputs, options, &mut attempt, progress)
                .await
            {
                Ok(mut receipt) => {
                    if lost > 0 {
                        receipt.notes.push(told(lost, &attempt));
                    }
                    return Ok(receipt);
                }
                Err(error) if error.kind == ErrorKind::Lost => error,
                Err(error) => return Err(error),
            };
        client = again(connect, &meter, &mut lost, error, progress).await?;
    }
}

/// A new connection, or the error when there is none to be had.
async fn again(
    connect: &Connect<'_>,
    meter: &Meter,
    lost: &mut usize,
    error: SeedError,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Client, SeedError> {
    while let Some(wait) = WAITS.get(*lost) {
        *lost += 1;
        progress(meter.waiting(&format!(
            "the connection was lost: trying again ({} of {})",
            *lost,
            WAITS.len()
        )));
        tokio::time::sleep(*wait).await;
        match connect().await {
            Ok(client) => return Ok(client),
            Err(refused) if *lost == WAITS.len() => {
                let mask = Mask::default();
                let message = format!("{}; and then: {}", error.message, refused.message);
                return Err(SeedError { message, ..error }.finish(meter.fixture(), &mask));
            }
            Err(_) => {}
        }
    }
    let message = format!("{}, for the {}th time", error.message, WAITS.len() + 1);
    Err(SeedError { message, ..error })
}

/// What became of the attempts before the last.
fn told(lost: usize, attempt: &Attempt) -> String {
    let times = if lost == 1 { "once".to_string() } else { format!("{lost} times") };
    match attempt.was_committed {
        true => format!("the connection was lost {times}, during COMMIT: the ledger shows that it was done"),
        false => {
            format!("the connection was lost {times}; nothing had been committed, and it was done anew")
        }
    }
}
