//! Template databases: a run begins with a clone of a kept, seeded database, and keeps one where there is none yet.

use super::{Halt, Part, Run};
use crate::checks::Seen;
use crate::database;
use crate::evidence::{End, NodeOutcome};
use crate::guards::{self, record};
use planc::eval;
use planc::graph::{ExecutionGraph, Expr, Probe, Segment, ServiceKind};
use seeders::Mode;
use seeders::template::{self, Server, Template, TemplateError};
use std::sync::Arc;
use std::time::Instant;

/// How far a run is with its template.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Stage {
    /// None is asked for, or none can be had; that was told.
    #[default]
    Off,
    /// Asked for, and the database is not known yet.
    Wanted,
    /// There is one, with this schema; the database is its clone, or could not be replaced.
    Kept { schema: String, cloned: bool },
    /// There is none yet.
    Missing,
}

/// What a run begins with.
enum Begun {
    Cloned(Template),
    Empty,
    /// The database as it was, and the template that is there.
    AsItWas(Option<Template>),
    /// The same, since the template's clone could not take its place.
    Refused(Template, TemplateError),
}

impl Run<'_> {
    /// Says that this run is to begin with a clone.
    pub fn use_template(&mut self) {
        let asked = self.graph.template && !self.options.skip_seed && self.options.mode == Mode::Apply;
        if asked && !self.graph.fixtures.is_empty() {
            self.template = Stage::Wanted;
        }
    }

    /// Puts a clone in the place of the run's database as soon as its address is known: before the services that use it.
    pub(super) fn begin_with_clone(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        let Some(address) = graph.database.as_ref().filter(|_| self.template == Stage::Wanted) else {
            return Ok(());
        };
        let Ok(url) = eval::render(address, &self.values) else { return Ok(()) };
        self.listener.part("template");
        let start = Instant::now();
        let own = is_own_postgres(&graph);
        if let Some(why) = self.unguarded(&url) {
            self.template = Stage::Off;
            self.note(record("template", "template", Seen::new(NodeOutcome::Skipped, why), None, start));
            return Ok(());
        }
        let key = template::key(&graph, self.values.map());
        let alone = seeds_alone(&graph);
        let (seen, stage) = match self.block(begin(&url, &key, own, alone))? {
            Ok(Begun::Cloned(template)) => {
                let seen =
                    Seen::new(NodeOutcome::Passed, format!("the database is a clone of `{}`", template.name));
                (Some(seen), Stage::Kept { schema: template.schema, cloned: true })
            }
            Ok(Begun::Empty) => {
                let text =
                    "none of these fixtures yet: the database begins empty, and is kept when it is seeded";
                (Some(Seen::new(NodeOutcome::Passed, text)), Stage::Missing)
            }
            Ok(Begun::AsItWas(Some(template))) => {
                (None, Stage::Kept { schema: template.schema, cloned: false })
            }
            Ok(Begun::AsItWas(None)) => (None, Stage::Missing),
            Ok(Begun::Refused(template, error)) => {
                // A database that runs load into may hold what they left: no template is made of it.
                let kept = Stage::Kept { schema: template.schema, cloned: false };
                let stage = if alone { kept } else { Stage::Off };
                (Some(Seen::new(NodeOutcome::Skipped, told(error))), stage)
            }
            Err(error) => (Some(Seen::new(NodeOutcome::Skipped, told(error))), Stage::Off),
        };
        self.template = stage;
        if let Some(seen) = seen {
            self.note(record("template", "template", seen, None, start));
        }
        Ok(())
    }

    /// Keeps the seeded database as a template where there is none, or the one that is there has become another.
    pub fn keep_template(&mut self) -> Part {
        if matches!(self.template, Stage::Off | Stage::Wanted) {
            return Ok(());
        }
        let Some(url) = self.database.clone() else { return Ok(()) };
        let start = Instant::now();
        let key = template::key(&self.graph, self.values.map());
        let schema = match self.block(schema(&url))? {
            Ok(schema) => schema,
            Err(why) => return self.no_template(why, start),
        };
        let wrote =
            self.receipts.iter().any(|receipt| receipt.inserted + receipt.updated + receipt.deleted > 0);
        let whole = match &self.template {
            Stage::Kept { schema: kept, cloned } => *kept == schema && !(*cloned && wrote),
            _ => false,
        };
        self.listener.part("template");
        if !whole {
            // The services' own connections stand in the way of a copy, and go with them for a moment.
            let stopped = self.block(is_used(&url))? && self.services.stop_programs();
            let kept = self.block(keep(&url, &key, &schema))?;
            if stopped {
                self.start_programs()?;
            }
            match kept {
                Ok(template) => {
                    let text = format!("kept as `{}`: the next run begins with a clone of it", template.name);
                    self.note(record(
                        "template",
                        "template",
                        Seen::new(NodeOutcome::Passed, text),
                        None,
                        start,
                    ));
                }
                Err(error) => self.no_template(told(error), start)?,
            }
        }
        if self.options.prune_templates {
            self.prune(&url, &key)?;
        }
        Ok(())
    }

    fn prune(&mut self, url: &str, key: &str) -> Part {
        let start = Instant::now();
        let pruned = self.block(async { Server::of(url).await?.prune(Some(key)).await })?;
        match pruned {
            Ok(names) => {
                let text = match names.is_empty() {
                    true => "there are no others".to_owned(),
                    false => format!("dropped `{}`", names.join("`, `")),
                };
                self.note(record(
                    "template",
                    "old templates",
                    Seen::new(NodeOutcome::Passed, text),
                    None,
                    start,
                ));
                Ok(())
            }
            Err(error) => self.no_template(told(error), start),
        }
    }

    /// Told, and the run goes on: it only begins more slowly the next time.
    fn no_template(&mut self, why: String, start: Instant) -> Part {
        self.note(record("template", "template", Seen::new(NodeOutcome::Skipped, why), None, start));
        Ok(())
    }

    /// Starts the programs again that were stopped, on their ports.
    fn start_programs(&mut self) -> Part {
        let start = Instant::now();
        let graph = Arc::clone(&self.graph);
        let web = self.web_of_services()?;
        let mut services = std::mem::take(&mut self.services);
        let (masker, values) = (self.masker.clone(), self.values.clone());
        let started =
            self.block(services.start_programs(&self.service_ground(&graph, &web, &masker), &values));
        self.services = services;
        if let Err(error) = started? {
            let seen = Seen::new(NodeOutcome::Failed, error.message);
            self.note(record("service", "after the template was made", seen, error.help, start));
            return Err(Halt(End::ServiceNotReady));
        }
        Ok(())
    }

    /// Why the database may not be dropped, whatever is marked: the guards on its address and its name hold here too, those
    /// that may be overridden included.
    fn unguarded(&self, url: &str) -> Option<String> {
        let graph = &self.graph;
        let name = database::name_in_url(url).unwrap_or_default();
        let patterns = graph.guards.iter().filter_map(|guard| match &guard.probe {
            Probe::Postgres(facts) => facts.database.as_deref(),
            _ => None,
        });
        let misfit = |pattern: &&str| !database::like(pattern, &name);
        let outside = graph.database.as_ref().is_some_and(|address| !guards::is_started_here(graph, address));
        let given = self.options.database_guard.as_deref();
        let refused = outside
            && guards::database_address(graph, url, given)
                .iter()
                .any(|node| node.outcome != NodeOutcome::Passed);
        match patterns.into_iter().find(misfit) {
            Some(pattern) => Some(format!("`{name}` is not `{pattern}`: it is neither replaced nor kept")),
            None => refused.then(|| format!("a guard refuses `{name}`: it is neither replaced nor kept")),
        }
    }
}

async fn begin(url: &str, key: &str, own: bool, alone: bool) -> Result<Begun, TemplateError> {
    let mut server = Server::of(url).await?;
    let there = server.is_there().await?;
    let found = server.template(key).await?;
    // Nobody migrates a clone where no service is started: one of an older schema would be a step back.
    let other_schema = match (&found, alone, there) {
        (Some(found), true, Some(_)) => schema(url).await.is_ok_and(|schema| schema != found.schema),
        _ => false,
    };
    match found {
        Some(found) if other_schema => Ok(Begun::AsItWas(Some(found))),
        Some(found) => match server.replace(Some(&found), own).await {
            Ok(()) => Ok(Begun::Cloned(found)),
            Err(error) => Ok(Begun::Refused(found, error)),
        },
        None if alone => Ok(Begun::AsItWas(None)),
        None => server.replace(None, own).await.map(|()| Begun::Empty),
    }
}

async fn keep(url: &str, key: &str, schema: &str) -> Result<Template, TemplateError> {
    Server::of(url).await?.keep(key, schema).await
}

/// Whether anybody but the runner is connected.
async fn is_used(url: &str) -> bool {
    let asked = async { Server::of(url).await?.sessions().await };
    asked.await.is_ok_and(|sessions| sessions.iter().any(|session| session.program != database::PROGRAM))
}

async fn schema(url: &str) -> Result<String, String> {
    let client = database::connect(url).await?;
    template::schema_of(&client).await.map_err(|error| error.to_string())
}

/// Whether the database lies in a Postgres of the run's own, all of which is the run's.
fn is_own_postgres(graph: &ExecutionGraph) -> bool {
    let first = graph.database.as_ref().and_then(|address| address.segments.first());
    let Some(Segment::Slot(Expr::Path(path))) = first else { return false };
    let [root, name, key] = path.as_slice() else { return false };
    let own = |kind: &ServiceKind| matches!(kind, ServiceKind::Postgres { .. });
    root == "services"
        && key == "url"
        && graph.services.iter().any(|service| service.name == *name && own(&service.kind))
}

/// Whether nothing is asked for but rows: no service that migrates, no load that leaves anything behind.
fn seeds_alone(graph: &ExecutionGraph) -> bool {
    graph.services.is_empty() && graph.scenarios.is_empty()
}

fn told(error: TemplateError) -> String {
    match error.help {
        Some(help) => format!("{}; {help}", error.message),
        None => error.message,
    }
}
