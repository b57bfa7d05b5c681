//! Processes that the run starts, waits for and stops. They stop on every path: dropping stops them.

pub mod command;
pub mod postgres;

use crate::checks::Prober;
use crate::client::{Web, host_of};
use crate::evidence::NodeOutcome;
use crate::mask::Masker;
use crate::values::Values;
use command::{Child, Spawner};
use planc::eval;
use planc::graph::{Check, ExecutionGraph, Service, ServiceKind, Template};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time that a service gets to be ready when its check says nothing.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// All running services. Dropping it stops them, the last started first.
#[derive(Default)]
pub struct Services {
    spawner: Option<Spawner>,
    running: Vec<Running>,
}

/// What starting a service needs to know.
pub struct Ground<'a> {
    /// The graph, for checks.
    pub graph: &'a ExecutionGraph,
    /// Client without hosts of services; they are added as they come up.
    pub web: &'a Web,
    /// Environment of the program.
    pub env: &'a BTreeMap<String, String>,
    /// Working directory.
    pub folder: &'a Path,
    /// Where logs go.
    pub logs: PathBuf,
    /// Secrets.
    pub masker: &'a Masker,
}

/// Why a service is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceError {
    /// What happened, with the end of its log.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

enum Running {
    Postgres(postgres::Server),
    Command { child: Child, name: String, order: command::Order },
}

impl Services {
    /// Starts one service and waits until it is ready. Gives names their values: `services.<name>.url` …
    pub async fn start(
        &mut self,
        service: &Service,
        ground: &Ground<'_>,
        values: &mut Values,
    ) -> Result<String, ServiceError> {
        let set = |values: &mut Values, key: &str, value: serde_json::Value| {
            values.set(format!("services.{}.{key}", service.name), value);
        };
        match &service.kind {
            ServiceKind::Postgres { database, keep, settings } => {
                let server = postgres::Server::start(database, keep.as_deref(), settings).await?;
                set(values, "url", server.url().into());
                set(values, "host", "127.0.0.1".into());
                set(values, "port", server.port().into());
                set(values, "database", database.as_str().into());
                set(values, "socket", server.socket().into());
                let told = format!("a Postgres of its own on port {}, database `{database}`", server.port());
                self.running.push(Running::Postgres(server));
                Ok(told)
            }
            ServiceKind::Command { argv, env, url, ready } => {
                let port = command::free_port()?;
                let scope = values.with("port", port);
                let url = fill(url, &scope)?;
                let argv = argv.iter().map(|part| fill(part, &scope)).collect::<Result<Vec<_>, _>>()?;
                let mut full: BTreeMap<String, String> =
                    crate::checks::minimal_env(ground.env).map(|(k, v)| (k.clone(), v.clone())).collect();
                for (name, value) in env {
                    full.insert(name.clone(), fill(value, &scope)?);
                }
                let log = ground.logs.join(format!("{}.log", service.name));
                set(values, "log", log.display().to_string().into());
                let spawner = match &self.spawner {
                    Some(spawner) => spawner,
                    None => self.spawner.insert(Spawner::start()?),
                };
                let order =
                    command::Order { argv, env: full, folder: ground.folder.into(), log, append: false };
                let child = spawner.spawn(order.clone(), ground.masker)?;
                // In the list before it is ready, so that it is stopped whatever happens while waiting.
                self.running.push(Running::Command { child, name: service.name.clone(), order });
                let (host, _) = host_of(&url).unwrap_or_default();
                set(values, "url", url.as_str().into());
                set(values, "host", host.into());
                set(values, "port", port.into());
                if let Some(ready) = ready {
                    self.wait_ready(self.running.len() - 1, ready, &url, ground, values).await?;
                }
                Ok(url)
            }
        }
    }

    /// Stops the programs, the last started first, and leaves Postgres as it is. False when there are none.
    pub fn stop_programs(&mut self) -> bool {
        let mut any = false;
        for running in self.running.iter_mut().rev() {
            if let Running::Command { child, .. } = running {
                child.stop();
                any = true;
            }
        }
        any
    }

    /// Starts the programs again that were stopped, as they were started, and waits until each is ready.
    pub async fn start_programs(&mut self, ground: &Ground<'_>, values: &Values) -> Result<(), ServiceError> {
        for at in 0..self.running.len() {
            let (Running::Command { child, name, order }, Some(spawner)) =
                (&mut self.running[at], &self.spawner)
            else {
                continue;
            };
            *child = spawner.spawn(command::Order { append: true, ..order.clone() }, ground.masker)?;
            let service = ground.graph.services.iter().find(|service| service.name == *name);
            let url = values.map().get(&format!("services.{name}.url")).and_then(|url| url.as_str());
            if let (Some(Service { kind: ServiceKind::Command { ready: Some(ready), .. }, .. }), Some(url)) =
                (service, url)
            {
                self.wait_ready(at, ready, url, ground, values).await?;
            }
        }
        Ok(())
    }

    /// Stops all, the last started first.
    pub fn stop(&mut self) {
        while let Some(running) = self.running.pop() {
            match running {
                Running::Postgres(server) => server.stop(),
                Running::Command { mut child, .. } => child.stop(),
            }
        }
    }

    async fn wait_ready(
        &mut self,
        at: usize,
        ready: &Check,
        url: &str,
        ground: &Ground<'_>,
        values: &Values,
    ) -> Result<(), ServiceError> {
        let Some(Running::Command { child, .. }) = self.running.get_mut(at) else { return Ok(()) };
        let web = match host_of(url) {
            Some((host, Some(port))) => ground.web.allowing(&format!("{host}:{port}")),
            _ => ground.web.clone(),
        };
        let prober = Prober {
            graph: ground.graph,
            web: Some(&web),
            base: Some(url),
            database: None,
            values: values.clone(),
            env: ground.env,
            folder: ground.folder,
        };
        let mut check = ready.clone();
        check.within.get_or_insert(READY_LIMIT);
        let seen = prober.evaluate_unless(&check, &mut || child.ended()).await;
        if seen.outcome == NodeOutcome::Passed {
            return Ok(());
        }
        let tail = child.tail();
        let log = if tail.is_empty() { "it wrote nothing".to_owned() } else { tail.join("\n") };
        let help = Some(format!("the whole log is in {}", child.log().display()));
        Err(ServiceError { message: format!("{}; the end of its log:\n{log}", seen.detail), help })
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.stop();
    }
}

impl ServiceError {
    fn new(message: impl Into<String>) -> Self {
        ServiceError { message: message.into(), help: None }
    }
}

fn fill(template: &Template, values: &Values) -> Result<String, ServiceError> {
    eval::render(template, values).map_err(|error| ServiceError::new(error.0))
}
