//! Fixtures: whether they fit the live tables, and their seeding.

use super::{Halt, Part, Run, interrupted, program};
use crate::checks::Seen;
use crate::database;
use crate::evidence::{End, NodeOutcome};
use crate::guards::{self, record};
use crate::seeding;
use crate::tokens::kept::state_folder;
use planc::graph::{ExecutionGraph, Fixture, FixtureKind, Generator};
use seeders::{ErrorKind, Misfit, MisfitKind, Mode, Place, SeedOptions};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tokio_postgres::Client;

impl Run<'_> {
    /// Reads the live tables and tells every misfit before anything is written.
    pub fn inspect(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        let tables = graph.fixtures.iter().any(Fixture::in_database);
        if self.options.skip_seed || !tables {
            return Ok(());
        }
        let start = Instant::now();
        let values = self.values.map().clone();
        let Some(url) = self.database.clone() else {
            let seen = Seen::new(NodeOutcome::Absent, "the plan has table fixtures and no `database`");
            self.note(record("fixture", "database", seen, None, start));
            return Err(Halt(End::SeedingFailed));
        };
        let found = self.block(async {
            let client = database::connect(&url).await?;
            let version = database::version(&client).await;
            let mut misfits = seeders::inspect(&client, &graph, &values).await.map_err(|e| e.to_string())?;
            misfits.extend(all_powerful(&client, &graph).await);
            Ok::<_, String>((misfits, version))
        })?;
        match found {
            Err(why) => {
                let help = database::help(&url, &why);
                let seen = Seen::new(NodeOutcome::Unreachable, why);
                self.note(record("fixture", "database", seen, Some(help), start));
                Err(Halt(End::SeedingFailed))
            }
            Ok((misfits, version)) => {
                self.environment.extend(version.map(|version| ("postgres".to_owned(), version)));
                if !misfits.is_empty() {
                    self.listener.misfits(&misfits);
                }
                for misfit in misfits.iter().filter(|misfit| !misfit.warning) {
                    let columns = match &misfit.at {
                        Place::Columns(columns) => format!("column `{}`: ", columns.join("`, `")),
                        _ => String::new(),
                    };
                    let code = misfit.kind.code();
                    let detail = format!("[{}] {columns}{}", code.id, misfit.message);
                    let seen = Seen::new(NodeOutcome::Different, detail);
                    self.note_quietly(record("fixture", &misfit.fixture, seen, misfit.help.clone(), start));
                }
                self.halt_if_failed("fixture", End::SeedingFailed)
            }
        }
    }

    /// All fixtures in order, parents first (last when they are deleted).
    pub fn fixtures(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        if self.options.skip_seed || graph.fixtures.is_empty() {
            return self.known_once_seeded();
        }
        self.listener.part("fixtures");
        let mut order = graph.seeding_order();
        if self.options.mode == Mode::Reset {
            // Children before parents, whose rows they hold on to.
            order.reverse();
        }
        for fixture in order {
            if !self.tokens_done && seeding::needs_tokens(fixture) {
                self.tokens()?;
                self.listener.part("fixtures");
            }
            self.fixture(fixture)?;
        }
        self.halt_if_failed("fixture", End::SeedingFailed)?;
        self.known_once_seeded()
    }

    /// What no plan tells of rows, for scenarios that draw them.
    fn known_once_seeded(&mut self) -> Part {
        if self.options.mode == Mode::Apply {
            self.samples()?;
        }
        self.secrets()
    }

    /// Reads what fixtures draw from other tables.
    fn samples(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        let draws = graph.scenarios.iter().flat_map(|scenario| &scenario.draw);
        let drawn: BTreeSet<&str> = draws.map(|draw| draw.fixture.as_str()).collect();
        let sampled = drawn.iter().filter_map(|name| graph.fixture(name)).find(|fixture| {
            let mut columns = fixture.columns().values();
            columns.any(|column| matches!(column.generator, Generator::Sample { .. }))
        });
        let (Some(fixture), Some(url)) = (sampled, self.database.clone()) else { return Ok(()) };
        let start = Instant::now();
        let found = self.block(async {
            let client = database::connect(&url).await.map_err(|why| (why, None))?;
            let found = seeders::with_samples(&client, &graph, &drawn).await;
            found.map_err(|error| (error.message, error.help))
        })?;
        match found {
            Ok(found) => {
                self.sampled = found.map(Arc::new);
                Ok(())
            }
            Err((why, help)) => {
                self.note(record("fixture", &fixture.name, Seen::new(NodeOutcome::Absent, why), help, start));
                Err(Halt(End::SeedingFailed))
            }
        }
    }

    /// Runs the statements that break the plan's own database on purpose.
    pub fn harm(&mut self) -> Part {
        let Some(url) = self.database.clone().filter(|_| !self.options.harm.statements.is_empty()) else {
            return Ok(());
        };
        let start = Instant::now();
        let script = self.options.harm.statements.join(";\n");
        let done = self.block(async {
            let client = database::connect(&url).await?;
            client.batch_execute(&script).await.map_err(|error| seeders::chain(&error))
        })?;
        let seen = match done {
            Ok(()) => return Ok(()),
            Err(why) => Seen::new(NodeOutcome::Failed, why),
        };
        self.note(record("fixture", "damage on purpose", seen, None, start));
        Err(Halt(End::SeedingFailed))
    }

    fn seed_options(&self) -> SeedOptions {
        SeedOptions {
            mode: self.options.mode,
            trust_ledger: self.options.trust_ledger,
            keep_stale: self.options.keep_stale,
            base_micros: (self.world.clock)(),
            who: self.world.env.get("USER").cloned().unwrap_or_default(),
            program: program(),
            secrets: self.masker.values(),
            export_dir: Some(self.world.folder.clone()),
            state_dir: state_folder(&self.world.env),
            secrets_dir: self.options.secrets.clone(),
        }
    }

    /// Reads what services told once of accounts, for scenarios that draw them. It is masked from here on.
    fn secrets(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        let options = self.seed_options();
        for fixture in &graph.fixtures {
            if !matches!(&fixture.kind, FixtureKind::Http(http) if !http.capture.is_empty()) {
                continue;
            }
            let start = Instant::now();
            match seeders::account_secrets(&graph, fixture, self.values.map(), &options) {
                Ok(secrets) => {
                    self.masker.add_many(secrets.values().map(planc::eval::to_text));
                    self.secrets.insert(fixture.name.clone(), Arc::new(secrets));
                }
                Err(error) => {
                    let seen = Seen::new(NodeOutcome::Failed, error.message);
                    self.note(record("fixture", &fixture.name, seen, error.help, start));
                }
            }
        }
        self.halt_if_failed("fixture", End::SeedingFailed)
    }

    fn fixture(&mut self, fixture: &planc::graph::Fixture) -> Part {
        let start = Instant::now();
        let options = self.seed_options();
        let ground = seeding::Ground {
            graph: Arc::clone(&self.graph),
            database: self.database.clone(),
            web: self.web.clone(),
            base: self.base.clone(),
            values: self.values.clone(),
        };
        let (runtime, signals) = (&self.runtime, &self.world.signals);
        let listener = &mut *self.listener;
        let mut hear = |progress| listener.seeding(&progress);
        let outcome = runtime.block_on(async {
            tokio::select! {
                biased;
                () = signals.asked() => Err(interrupted(signals.name())),
                done = seeding::seed(fixture, &ground, &options, &mut hear) => Ok(done),
            }
        })?;
        match outcome {
            Ok(mut receipt) => {
                receipt.texts_mut().for_each(|text| *text = self.masker.hide(text));
                self.listener.receipt(&receipt);
                let drift = receipt.action == seeders::Action::Drift;
                let outcome = if drift { NodeOutcome::Different } else { NodeOutcome::Passed };
                let seen = Seen::new(outcome, seeding::told(&receipt));
                let mend = (drift && self.options.mode == Mode::Verify)
                    .then(|| "seed without `--verify`: it mends what the policy allows".to_owned());
                self.note_quietly(record("fixture", &fixture.name, seen, mend, start));
                self.receipts.push(receipt);
            }
            Err(error) => {
                if let ErrorKind::Misfit(misfits) = &error.kind {
                    self.listener.misfits(misfits);
                }
                let seen = Seen::new(NodeOutcome::Failed, error.message.clone());
                self.note(record("fixture", &fixture.name, seen, error.help.clone(), start));
            }
        }
        match self.options.mode {
            // Whoever compares wants to know of all of them.
            Mode::Verify => Ok(()),
            _ => self.halt_if_failed("fixture", End::SeedingFailed),
        }
    }
}

/// A warning where nothing that the database forbids would hold the seeding back. Not for a server of the run's own.
async fn all_powerful(client: &Client, graph: &ExecutionGraph) -> Option<Misfit> {
    let fixture = graph.fixtures.iter().find(|fixture| fixture.in_database())?;
    if graph.database.as_ref().is_some_and(|template| guards::is_started_here(graph, template)) {
        return None;
    }
    let role = database::superuser(client).await?;
    Some(Misfit {
        kind: MisfitKind::Other,
        fixture: fixture.name.clone(),
        at: Place::Fixture,
        message: format!(
            "the role `{role}` is a superuser: no privilege and no row security would hold it back"
        ),
        notes: Vec::new(),
        help: Some("seed with a role that may write what it seeds and nothing else".into()),
        warning: true,
    })
}
