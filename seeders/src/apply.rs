//! All fixtures of a program of your own into one database, in order.

use crate::error::{ErrorKind, SeedError};
use crate::fixtures::Fixtures;
use crate::inspect::inspect;
use crate::misfit::Misfit;
use crate::options::{Mode, SeedOptions};
use crate::postgres::seed;
use crate::progress::Progress;
use crate::receipt::Receipt;
use planc::graph::{Fixture, FixtureKind};
use tokio_postgres::Client;

/// Makes the database hold the rows of the fixtures, parents first, as `runner seed` does. Times are relative to now.
///
/// Before anything is written every fixture is held against the live tables. Each fixture is then one transaction under
/// its own lock; one that is there already costs a comparison and changes nothing, so that every test may call it.
/// The connection is the caller's: nothing here asks whether the database is one for tests.
///
/// # Errors
/// All misfits with the live tables in one error, or why a fixture could not be seeded. Fixtures before that one stay
/// seeded; of itself nothing does.
pub async fn apply(client: &mut Client, fixtures: &Fixtures) -> Result<Vec<Receipt>, SeedError> {
    apply_with(client, fixtures, &SeedOptions::now(), &mut |_| {}).await
}

/// As [`apply`], or verifies or resets; with a base time, secrets, and signs of life. Reset goes children first.
///
/// # Errors
/// As [`apply`]. Verify that finds a difference is no error: the receipt says [`crate::Action::Drift`].
pub async fn apply_with(
    client: &mut Client,
    fixtures: &Fixtures,
    options: &SeedOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Vec<Receipt>, SeedError> {
    let (graph, inputs) = (fixtures.graph(), fixtures.inputs());
    graph.fixtures.iter().try_for_each(of_a_table)?;
    if options.mode != Mode::Reset {
        let misfits = inspect(client, graph, inputs).await?;
        let errors: Vec<Misfit> = misfits.into_iter().filter(|misfit| !misfit.warning).collect();
        if !errors.is_empty() {
            return Err(SeedError::misfits(errors));
        }
    }
    let mut order = graph.seeding_order();
    if options.mode == Mode::Reset {
        order.reverse();
    }
    let mut receipts = Vec::with_capacity(order.len());
    for fixture in order {
        receipts.push(seed(client, graph, fixture, inputs, options, progress).await?);
    }
    Ok(receipts)
}

/// Told before the first row is written.
fn of_a_table(fixture: &Fixture) -> Result<(), SeedError> {
    match &fixture.kind {
        FixtureKind::Table(_) | FixtureKind::Sql(_) => Ok(()),
        FixtureKind::Http(_) => {
            let message = format!("fixture `{}` makes accounts over HTTP, not rows of a table", fixture.name);
            Err(SeedError::new(ErrorKind::Other, message)
                .help("give it to `seeders::seed_http` with your HTTP client, or seed it by a plan: `runner seed PLAN`"))
        }
    }
}
