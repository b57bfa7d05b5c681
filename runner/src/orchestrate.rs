//! The order of a run and nothing else. Nothing of a target or database is written before the static and
//! the live guards hold; services stop on every path.

use crate::evidence::{End, Evidence};
use crate::listen::Listener;
use crate::phases::{Halt, Run};
use crate::world::World;
use planc::graph::ExecutionGraph;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What to do and with which liberties.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Values of open inputs from the command line.
    pub set: BTreeMap<String, String>,
    /// Scenarios to run, with those they need; empty means all.
    pub only: Vec<String>,
    /// By scenario, the stage to begin at.
    pub from_stage: BTreeMap<String, u32>,
    /// Fixtures stay as they are.
    pub skip_seed: bool,
    /// Worker threads; 0 means one a core.
    pub workers: usize,
    /// Pattern for the name of a database that this run does not start.
    pub database_guard: Option<String>,
    /// Believe the ledger of fixtures.
    pub trust_ledger: bool,
    /// Folder for what services tell once of accounts, in place of one in the user's state folder.
    pub secrets: Option<PathBuf>,
    /// Leave times that are older than their `fresh_within` as they are: no load follows.
    pub keep_stale: bool,
    /// What to do with fixtures.
    pub mode: seeders::Mode,
    /// Templates of the database that are not of these fixtures are dropped.
    pub prune_templates: bool,
    /// Remote writes go here, in place of the plan's `report.prometheus`.
    pub prometheus_rw: Option<String>,
    /// Folder of logs and exports.
    pub out: PathBuf,
    /// What `runner prove` breaks on purpose.
    pub harm: Harm,
}

/// Damage done on purpose, to see which gate notices. Nothing of it by default.
#[derive(Debug, Clone, Default)]
pub struct Harm {
    /// Statements between seeding and preflight, on the plan's own database.
    pub statements: Vec<String>,
    /// What smoke and load talk to in place of the target.
    pub detour: Option<Detour>,
}

/// Told the target's base URL, gives the one to talk to, or why there is none.
#[derive(Clone)]
pub struct Detour(pub Arc<Redirect>);

/// The function of a [`Detour`].
pub type Redirect = dyn Fn(&str) -> Result<String, String> + Send + Sync;

impl std::fmt::Debug for Detour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Detour")
    }
}

/// Guards, services, fixtures, tokens, preflight, smoke, set-up, load, gates in SQL, teardown.
pub fn apply(
    graph: &ExecutionGraph,
    options: &Options,
    world: &World,
    listener: &mut dyn Listener,
) -> std::io::Result<Evidence> {
    let mut run = Run::new(graph, options, world, listener)?;
    let end = until_load(&mut run).and_then(|()| {
        let outcome = run.smoke().and_then(|()| run.setup()).and_then(|()| run.load());
        if outcome.is_ok() {
            run.sql_gates();
            run.triage_at_end();
        }
        // Whatever happened since the first request: what set-up or load made is taken away again.
        run.teardown();
        run.ended(outcome)
    });
    Ok(run.finish(end))
}

/// Guards, services, fixtures.
pub fn seed(
    graph: &ExecutionGraph,
    options: &Options,
    world: &World,
    listener: &mut dyn Listener,
) -> std::io::Result<Evidence> {
    let mut run = Run::new(graph, options, world, listener)?;
    let end = until_seeded(&mut run).map(|()| End::Completed);
    Ok(run.finish(end))
}

/// Guards, services, tokens, preflight checks.
pub fn preflight(
    graph: &ExecutionGraph,
    options: &Options,
    world: &World,
    listener: &mut dyn Listener,
) -> std::io::Result<Evidence> {
    let mut run = Run::new(graph, options, world, listener)?;
    let end = run
        .static_guards()
        .and_then(|()| run.services())
        .and_then(|()| run.live_guards())
        .and_then(|()| run.inspect())
        .and_then(|()| run.tokens())
        .and_then(|()| run.checks())
        .map(|()| End::Completed);
    Ok(run.finish(end))
}

fn until_load(run: &mut Run<'_>) -> Result<(), Halt> {
    until_seeded(run)?;
    run.harm()?;
    run.tokens()?;
    run.checks()?;
    run.rehearse()?;
    run.sql_gates_before()
}

fn until_seeded(run: &mut Run<'_>) -> Result<(), Halt> {
    run.use_template();
    run.static_guards()?;
    run.services()?;
    run.live_guards()?;
    run.inspect()?;
    run.fixtures()?;
    run.keep_template()
}
