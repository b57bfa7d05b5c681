//! The parts of a run: each does its nodes, writes down how they ended, and halts the run if they must.

mod files;
mod fixtures;
mod guards;
mod load;
mod push;
mod sql_gates;
mod template;
mod triage;

use crate::body::Files;
use crate::checks::{Prober, Seen};
use crate::client::Web;
use crate::database;
use crate::environment;
use crate::evidence::{
    End, Evidence, LoadRecord, NodeOutcome, NodeRecord, Override, SqlGateRecord, TriageRecord,
};
use crate::guards::record;
use crate::listen::Listener;
use crate::mask::Masker;
use crate::orchestrate::Options;
use crate::services::{Ground, Services};
use crate::tokens::{self, Wanted, kept::Store};
use crate::values::Values;
use crate::world::World;
use planc::graph::ExecutionGraph;
use seeders::Receipt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Why a run goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt(pub End);

/// A run under way. One owner of its state.
pub struct Run<'a> {
    graph: Arc<ExecutionGraph>,
    options: &'a Options,
    world: &'a World,
    listener: &'a mut dyn Listener,
    // Services before the runtime: they are stopped while it still runs.
    services: Services,
    runtime: Runtime,
    run_id: String,
    started_unix_ms: i64,
    environment: BTreeMap<String, String>,
    values: Values,
    masker: Masker,
    web: Option<Web>,
    base: Option<String>,
    database: Option<String>,
    nodes: Vec<NodeRecord>,
    overrides: Vec<Override>,
    receipts: Vec<Receipt>,
    token_headers: BTreeMap<String, String>,
    secrets: BTreeMap<String, Arc<seeders::Secrets>>,
    /// The graph with what its fixtures draw from other tables, where they do.
    sampled: Option<Arc<ExecutionGraph>>,
    files: Arc<Files>,
    tokens_done: bool,
    load: Option<LoadRecord>,
    sql_gates: Vec<SqlGateRecord>,
    triage: Vec<TriageRecord>,
    began: bool,
    template: template::Stage,
}

type Part = Result<(), Halt>;

impl<'a> Run<'a> {
    /// A run that has done nothing yet.
    pub fn new(
        graph: &ExecutionGraph,
        options: &'a Options,
        world: &'a World,
        listener: &'a mut dyn Listener,
    ) -> std::io::Result<Run<'a>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        {
            let _inside = runtime.enter();
            world.signals.listen()?;
        }
        let started = (world.clock)();
        let run_id = run_id(&graph.plan, started, world.process);
        let mut values = Values::new(graph.seed, world.clock);
        values.set("run_id", run_id.as_str());
        Ok(Run {
            graph: Arc::new(graph.clone()),
            options,
            world,
            listener,
            services: Services::default(),
            runtime,
            run_id,
            started_unix_ms: started / 1_000,
            environment: environment::fingerprint(),
            values,
            masker: Masker::default(),
            web: None,
            base: None,
            database: None,
            nodes: Vec::new(),
            overrides: Vec::new(),
            receipts: Vec::new(),
            token_headers: BTreeMap::new(),
            secrets: BTreeMap::new(),
            sampled: None,
            files: Arc::default(),
            tokens_done: false,
            load: None,
            sql_gates: Vec::new(),
            triage: Vec::new(),
            began: false,
            template: template::Stage::Off,
        })
    }

    /// Starts the services in order; each is ready before the next.
    pub fn services(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        if graph.services.is_empty() {
            return self.begin_with_clone();
        }
        let web = self.web_of_services()?;
        for service in &graph.services {
            self.begin_with_clone()?;
            self.listener.part("services");
            let start = Instant::now();
            let mut values = self.values.clone();
            let mut services = std::mem::take(&mut self.services);
            let masker = self.masker.clone();
            let outcome =
                self.block(services.start(service, &self.service_ground(&graph, &web, &masker), &mut values));
            self.services = services;
            self.values = values;
            let url = self.values.map().get(&format!("services.{}.url", service.name));
            if let Some(password) = url.and_then(|url| database::password_in_url(url.as_str()?)) {
                self.masker.add(&password);
            }
            let (seen, fix) = match outcome? {
                Ok(told) => (Seen::new(NodeOutcome::Passed, told), None),
                Err(error) => (Seen::new(NodeOutcome::Failed, error.message), error.help),
            };
            self.note(record("service", &service.name, seen, fix, start));
            self.halt_if_failed("service", End::ServiceNotReady)?;
        }
        self.begin_with_clone()
    }

    /// The client that asks services whether they are ready.
    fn web_of_services(&self) -> Result<Web, Halt> {
        let plain = planc::graph::Tls {
            verify: true,
            ca: None,
            client_cert: None,
            client_key: None,
            server_name: None,
        };
        match self.web.clone() {
            Some(web) => Ok(web),
            None => Web::new(&plain, &[], Duration::from_secs(10)).map_err(|_| Halt(End::ServiceNotReady)),
        }
    }

    /// What starting a service needs to know.
    fn service_ground<'g>(
        &'g self,
        graph: &'g ExecutionGraph,
        web: &'g Web,
        masker: &'g Masker,
    ) -> Ground<'g> {
        Ground {
            graph,
            web,
            env: &self.world.env,
            folder: &self.world.folder,
            logs: self.options.out.join("logs"),
            masker,
        }
    }

    /// Issues and verifies tokens; all are tried, so that all failures are told at once.
    pub fn tokens(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        if graph.tokens.is_empty() || std::mem::replace(&mut self.tokens_done, true) {
            return Ok(());
        }
        self.listener.part("tokens");
        let store = Store::of(&self.world.env, (self.world.clock)());
        for (name, token) in &graph.tokens {
            let start = Instant::now();
            let mut masker = self.masker.clone();
            let wanted = Wanted { name, token, store: &store };
            let outcome = self.block_with(|prober| {
                let masker = &mut masker;
                let wanted = &wanted;
                async move { tokens::obtain(wanted, &prober, masker).await }
            });
            self.masker = masker;
            let (seen, fix) = match outcome? {
                Ok((ready, told)) => {
                    self.values.set(format!("tokens.{name}"), ready.token);
                    self.masker.add(&ready.header_value);
                    self.token_headers.insert(name.clone(), ready.header_value);
                    (Seen::new(NodeOutcome::Passed, told), None)
                }
                Err(seen) => (seen, token.verify.as_ref().and_then(|check| check.fix.clone())),
            };
            self.note(record("token", name, seen, fix, start));
        }
        self.halt_if_failed("token", End::PreflightRefused)
    }

    /// All preflight checks; all failures are told at once, each with its fix.
    pub fn checks(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        let files = files::sent(&graph);
        if !graph.preflight.is_empty() || !files.is_empty() {
            self.listener.part("preflight");
        }
        self.read(&files);
        for check in &graph.preflight {
            let start = Instant::now();
            let seen = match &check.skipped {
                Some(condition) => Seen::new(NodeOutcome::Skipped, format!("`{condition}` is not so")),
                None => self.block_with(|prober| async move { prober.evaluate(check).await })?,
            };
            self.note(record("preflight", &check.name, seen, check.fix.clone(), start));
        }
        self.halt_if_failed("preflight", End::PreflightRefused)
    }

    /// How a run ended, when it may have been interrupted since: whoever asked it to stop is answered.
    pub fn ended(&self, outcome: Result<End, Halt>) -> Result<End, Halt> {
        self.halt_if_interrupted().and(outcome)
    }

    /// Stops the services and hands over what happened, secrets hidden.
    pub fn finish(mut self, outcome: Result<End, Halt>) -> Evidence {
        let end = match outcome {
            Ok(end) | Err(Halt(end)) => end,
        };
        self.services.stop();
        let mut evidence = Evidence {
            schema: crate::evidence::SCHEMA,
            program: program(),
            graph_id: self.graph.id(),
            graph: (*self.graph).clone(),
            run_id: self.run_id,
            started_unix_ms: self.started_unix_ms,
            ended_unix_ms: (self.world.clock)() / 1_000,
            environment: self.environment,
            nodes: self.nodes,
            overrides: self.overrides,
            receipts: self.receipts,
            end,
            load: self.load,
            sql_gates: self.sql_gates,
            triage: self.triage,
        };
        self.masker.hide_evidence(&mut evidence);
        evidence
    }

    fn prober(&self) -> Prober<'_> {
        Prober {
            graph: &self.graph,
            web: self.web.as_ref(),
            base: self.base.as_deref(),
            database: self.database.as_deref(),
            values: self.values.clone(),
            env: &self.world.env,
            folder: &self.world.folder,
        }
    }

    /// Runs something with a prober until it is done or the run is interrupted.
    fn block_with<'s, T, F: Future<Output = T>>(
        &'s self,
        work: impl FnOnce(Prober<'s>) -> F,
    ) -> Result<T, Halt> {
        self.block(work(self.prober()))
    }

    fn block<T>(&self, work: impl Future<Output = T>) -> Result<T, Halt> {
        let signals = &self.world.signals;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = signals.asked() => Err(interrupted(signals.name())),
                done = work => Ok(done),
            }
        })
    }

    fn note(&mut self, mut node: NodeRecord) {
        node.detail = self.masker.hide(&node.detail);
        node.fix = node.fix.map(|fix| self.masker.hide(&fix));
        self.listener.node(&node);
        self.nodes.push(node);
    }

    /// For nodes that the listener has heard of in another form.
    fn note_quietly(&mut self, mut node: NodeRecord) {
        node.detail = self.masker.hide(&node.detail);
        node.fix = node.fix.map(|fix| self.masker.hide(&fix));
        self.nodes.push(node);
    }

    fn halt_if_failed(&self, kind: &str, end: End) -> Part {
        let failed = self.nodes.iter().any(|node| {
            let held =
                matches!(node.outcome, NodeOutcome::Passed | NodeOutcome::Overridden | NodeOutcome::Skipped);
            node.kind == kind && !held
        });
        if failed { Err(Halt(end)) } else { Ok(()) }
    }

    fn halt_if_interrupted(&self) -> Part {
        match self.world.signals.name() {
            Some(name) => Err(interrupted(Some(name))),
            None => Ok(()),
        }
    }
}

/// Name and version of this program.
pub(crate) fn program() -> String {
    format!("runner {}", env!("CARGO_PKG_VERSION"))
}

/// Unique over runs and readable: `agent-storm-20261121T134502-3f9c1a`.
fn run_id(plan: &str, micros: i64, process: u32) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(format!("{micros} {process}"));
    let tail: String = digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    format!("{plan}-{}-{tail}", stamp(micros))
}

/// `20261121T134502` in UTC.
pub(crate) fn stamp(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    time.strftime("%Y%m%dT%H%M%S").to_string()
}

fn interrupted(name: Option<&'static str>) -> Halt {
    Halt(End::Interrupted { signal: name.unwrap_or("signal").to_owned() })
}
