//! The parts of a run: each does its nodes, writes down how they ended, and halts the run if they must.

use crate::checks::{Prober, Seen};
use crate::client::Web;
use crate::database;
use crate::evidence::{End, Evidence, LoadRecord, NodeOutcome, NodeRecord, Override, Trend};
use crate::guards::{self, record};
use crate::judge;
use crate::listen::Listener;
use crate::load::{self, AbortCheck, LoadEnd, LoadInput, RehearsalFailure};
use crate::mask::Masker;
use crate::orchestrate::Options;
use crate::seeding;
use crate::services::{Ground, Services};
use crate::tokens;
use crate::values::Values;
use crate::world::World;
use crate::{environment, inputs};
use planc::eval;
use planc::graph::{ExecutionGraph, FixtureKind, Step, Template};
use seeders::{ErrorKind, Receipt, SeedOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
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
    tokens_done: bool,
    load: Option<LoadRecord>,
    began: bool,
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
            tokens_done: false,
            load: None,
            began: false,
        })
    }

    /// Inputs, addresses, names, files, programs: all that needs neither service nor network.
    pub fn static_guards(&mut self) -> Part {
        self.listener.part("guards");
        let graph = Arc::clone(&self.graph);
        let set = &self.options.set;
        let missing = inputs::resolve(&graph, set, &self.world.env, &mut self.values, &mut self.masker);
        for node in missing {
            self.note(node);
        }
        self.halt_if_failed("guard", End::Refused)?;
        if let Some(target) = &graph.target {
            self.web = match Web::new(&target.tls, &target.allow_hosts, target.timeout) {
                Ok(web) => Some(web),
                Err(why) => {
                    let seen = Seen::new(NodeOutcome::Failed, why);
                    self.note(record("guard", "the target's TLS", seen, None, Instant::now()));
                    None
                }
            };
        }
        self.addresses(true);
        for guard in graph.guards.iter().filter(|guard| guard.static_guard) {
            self.guard(guard)?;
        }
        self.halt_if_failed("guard", End::Refused)
    }

    /// Starts the services in order; each is ready before the next.
    pub fn services(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        if graph.services.is_empty() {
            return Ok(());
        }
        self.listener.part("services");
        let plain = planc::graph::Tls {
            verify: true,
            ca: None,
            client_cert: None,
            client_key: None,
            server_name: None,
        };
        let web = match self.web.clone() {
            Some(web) => web,
            None => Web::new(&plain, &[], Duration::from_secs(10)).map_err(|_| Halt(End::ServiceNotReady))?,
        };
        for service in &graph.services {
            let start = Instant::now();
            let mut values = self.values.clone();
            let mut services = std::mem::take(&mut self.services);
            let masker = self.masker.clone();
            let ground = Ground {
                graph: &graph,
                web: &web,
                env: &self.world.env,
                folder: &self.world.folder,
                logs: self.options.out.join("logs"),
                masker: &masker,
            };
            let outcome = self.block(services.start(service, &ground, &mut values));
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
        Ok(())
    }

    /// Guards that ask the target or the database.
    pub fn live_guards(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        self.addresses(false);
        self.halt_if_failed("guard", End::Refused)?;
        if let (Some(web), Some(base)) = (&self.web, &self.base)
            && graph.target.as_ref().is_some_and(|target| guards::is_started_here(&graph, &target.url))
            && let Some((host, Some(port))) = crate::client::host_of(base)
        {
            self.web = Some(web.allowing(&format!("{host}:{port}")));
        }
        let live: Vec<_> = graph.guards.iter().filter(|guard| !guard.static_guard).collect();
        if !live.is_empty() {
            self.listener.part("guards");
        }
        for guard in live {
            self.guard(guard)?;
        }
        self.halt_if_failed("guard", End::Refused)
    }

    /// Reads the live tables and tells every misfit before anything is written.
    pub fn inspect(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        let tables = graph.fixtures.iter().any(|fixture| matches!(fixture.kind, FixtureKind::Table(_)));
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
            let misfits = seeders::inspect(&client, &graph, &values).await.map_err(|e| e.to_string())?;
            Ok::<_, String>((misfits, version))
        })?;
        match found {
            Err(why) => {
                self.note(record(
                    "fixture",
                    "database",
                    Seen::new(NodeOutcome::Unreachable, why),
                    None,
                    start,
                ));
                Err(Halt(End::SeedingFailed))
            }
            Ok((misfits, version)) => {
                self.environment.extend(version.map(|version| ("postgres".to_owned(), version)));
                if !misfits.is_empty() {
                    self.listener.misfits(&misfits);
                }
                for misfit in misfits.iter().filter(|misfit| !misfit.warning) {
                    let column =
                        misfit.column.as_ref().map(|c| format!("column `{c}`: ")).unwrap_or_default();
                    let seen = Seen::new(NodeOutcome::Different, format!("{column}{}", misfit.message));
                    self.note_quietly(record("fixture", &misfit.fixture, seen, misfit.help.clone(), start));
                }
                self.halt_if_failed("fixture", End::SeedingFailed)
            }
        }
    }

    /// Table fixtures in order, parents first, then accounts over HTTP.
    pub fn fixtures(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        if self.options.skip_seed || graph.fixtures.is_empty() {
            return Ok(());
        }
        self.listener.part("fixtures");
        let (tables, accounts): (Vec<_>, Vec<_>) =
            graph.fixtures.iter().partition(|fixture| matches!(fixture.kind, FixtureKind::Table(_)));
        for fixture in tables {
            self.fixture(fixture)?;
        }
        if accounts.iter().any(|fixture| seeding::needs_tokens(fixture)) {
            self.tokens()?;
            self.listener.part("fixtures");
        }
        for fixture in accounts {
            self.fixture(fixture)?;
        }
        Ok(())
    }

    /// Issues and verifies tokens; all are tried, so that all failures are told at once.
    pub fn tokens(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        if graph.tokens.is_empty() || std::mem::replace(&mut self.tokens_done, true) {
            return Ok(());
        }
        self.listener.part("tokens");
        for (name, token) in &graph.tokens {
            let start = Instant::now();
            let mut masker = self.masker.clone();
            let outcome = self.block_with(|prober| {
                let masker = &mut masker;
                async move { tokens::obtain(token, &prober, masker).await }
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
        if !graph.preflight.is_empty() {
            self.listener.part("preflight");
        }
        for check in &graph.preflight {
            let start = Instant::now();
            let seen = self.block_with(|prober| async move { prober.evaluate(check).await })?;
            self.note(record("preflight", &check.name, seen, check.fix.clone(), start));
        }
        self.halt_if_failed("preflight", End::PreflightRefused)
    }

    /// Each scenario once with every expectation on; nothing of it is counted.
    pub fn rehearse(&mut self) -> Part {
        let names = self.scenarios(|_| true);
        if names.is_empty() {
            return Ok(());
        }
        self.listener.part("rehearsal");
        let start = Instant::now();
        let input = self.input(names.clone(), Arc::clone(&self.world.signals.stop));
        let outcome = load::rehearse(&input);
        self.halt_if_interrupted()?;
        match outcome {
            Err(error) => {
                let seen = Seen::new(NodeOutcome::Failed, error.message);
                self.note(record("rehearsal", "all scenarios", seen, error.help, start));
            }
            Ok(failures) => {
                for name in &names {
                    let told: Vec<String> =
                        failures.iter().filter(|f| f.scenario == *name).map(step_failure).collect();
                    let seen = match told.is_empty() {
                        true => Seen::new(NodeOutcome::Passed, "every step did what is expected"),
                        false => Seen::new(NodeOutcome::Different, told.join("; ")),
                    };
                    self.note(record("rehearsal", name, seen, None, start));
                }
            }
        }
        self.halt_if_failed("rehearsal", End::PreflightRefused)
    }

    /// Smoke scenarios; the load begins only if they hold.
    pub fn smoke(&mut self) -> Part {
        self.began = true;
        let names = self.scenarios(|scenario| scenario.smoke);
        if names.is_empty() {
            return Ok(());
        }
        self.listener.part("smoke");
        let start = Instant::now();
        let (record_, end) = self.play(names.clone())?;
        let aborted = match end {
            LoadEnd::Completed | LoadEnd::Stopped => None,
            LoadEnd::AbortedByGate(gate) => Some(format!("gate `{gate}`")),
            LoadEnd::AbortedByStep(step) => Some(format!("step `{step}` and its `on_failure`")),
        };
        let reasons = judge::judge_smoke(&self.graph, &record_, aborted.as_deref());
        self.load = Some(record_);
        self.halt_if_interrupted()?;
        if reasons.is_empty() {
            return Ok(());
        }
        let seen = Seen::new(NodeOutcome::Failed, reasons.join("; "));
        self.note(record("scenario", &names.join(", "), seen, None, start));
        Err(Halt(End::SmokeRefused))
    }

    /// Top-level set-up steps, once.
    pub fn setup(&mut self) -> Part {
        self.began = true;
        let steps = self.graph.setup.clone();
        let stop = Arc::clone(&self.world.signals.stop);
        let failed = self.once("setup", &steps, stop);
        self.halt_if_interrupted()?;
        if failed.is_some() { Err(Halt(End::SetupFailed)) } else { Ok(()) }
    }

    /// The load.
    pub fn load(&mut self) -> Result<End, Halt> {
        let all: BTreeSet<String> = self.graph.scenarios.iter().map(|s| s.name.clone()).collect();
        let chosen: BTreeSet<String> = self.scenarios(|_| true).into_iter().collect();
        for name in all.difference(&chosen) {
            let seen = Seen::new(NodeOutcome::Skipped, "left out by `--only`");
            self.note(record("scenario", name, seen, None, Instant::now()));
        }
        let names = self.scenarios(|scenario| !scenario.smoke);
        if names.is_empty() {
            return Ok(End::Completed);
        }
        self.listener.part("load");
        let (measured, end) = self.play(names)?;
        self.load = Some(match self.load.take() {
            Some(smoke) => joined(smoke, measured),
            None => measured,
        });
        self.halt_if_interrupted()?;
        Ok(match end {
            LoadEnd::Completed | LoadEnd::Stopped => End::Completed,
            LoadEnd::AbortedByGate(gate) => End::AbortedByGate { gate },
            LoadEnd::AbortedByStep(step) => End::AbortedByStep { step },
        })
    }

    /// Top-level teardown steps, once, whatever happened.
    pub fn teardown(&mut self) {
        if !self.began {
            return;
        }
        let steps = self.graph.teardown.clone();
        let stop = Arc::clone(&self.world.signals.stop_teardown);
        if let Some(why) = self.once("teardown", &steps, stop) {
            self.load.get_or_insert_default().teardown_failed = Some(why);
        }
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
        };
        self.masker.hide_evidence(&mut evidence);
        evidence
    }

    /// Addresses of target and database: those that are known before the services are up, or the others.
    fn addresses(&mut self, before_services: bool) {
        let graph = Arc::clone(&self.graph);
        let known = |values: &Values, template: &Template| eval::render(template, values).ok();
        if let Some(target) = &graph.target
            && self.base.is_none()
        {
            match known(&self.values, &target.url) {
                Some(base) => {
                    if !guards::is_started_here(&graph, &target.url) {
                        self.note(guards::target_address(&graph, &base));
                    }
                    self.base = Some(base);
                }
                None if before_services => {}
                None => self.unknown_address("the target's address"),
            }
        }
        if let Some(template) = &graph.database
            && self.database.is_none()
        {
            match known(&self.values, template) {
                Some(url) => {
                    if let Some(password) = database::password_in_url(&url) {
                        self.masker.add(&password);
                    }
                    if !guards::is_started_here(&graph, template) {
                        let given = self.options.database_guard.as_deref();
                        for node in guards::database_address(&graph, &url, given) {
                            self.note(node);
                        }
                    }
                    self.database = Some(url);
                }
                None if before_services => {}
                None => self.unknown_address("the database's address"),
            }
        }
    }

    fn unknown_address(&mut self, what: &str) {
        let seen = Seen::new(NodeOutcome::Absent, "its URL has no value, although all services are up");
        self.note(record("guard", what, seen, None, Instant::now()));
    }

    fn guard(&mut self, guard: &planc::graph::Check) -> Part {
        let env = self.world.env.clone();
        let (node, passed_over) =
            self.block_with(|prober| async move { guards::evaluate(guard, &prober, &env).await })?;
        self.note(node);
        self.overrides.extend(passed_over);
        Ok(())
    }

    fn fixture(&mut self, fixture: &planc::graph::Fixture) -> Part {
        let start = Instant::now();
        let options = SeedOptions {
            mode: self.options.mode,
            trust_ledger: self.options.trust_ledger,
            keep_stale: self.options.keep_stale,
            base_micros: (self.world.clock)(),
            who: self.world.env.get("USER").cloned().unwrap_or_default(),
            program: program(),
            secrets: self.masker.values(),
            export_dir: Some(self.world.folder.clone()),
        };
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
                receipt.notes.iter_mut().for_each(|note| *note = self.masker.hide(note));
                self.listener.receipt(&receipt);
                let drift = receipt.action == seeders::Action::Drift;
                let outcome = if drift { NodeOutcome::Different } else { NodeOutcome::Passed };
                let seen = Seen::new(outcome, seeding::told(&receipt));
                self.note_quietly(record("fixture", &fixture.name, seen, None, start));
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
        self.halt_if_failed("fixture", End::SeedingFailed)
    }

    /// Plays steps once; why they failed, if they did.
    fn once(&mut self, what: &str, steps: &[Step], stop: Arc<AtomicU8>) -> Option<String> {
        if steps.is_empty() {
            return None;
        }
        self.listener.part(what);
        let start = Instant::now();
        let mut input = self.input(Vec::new(), stop);
        let outcome = load::play_once(&mut input, steps, what);
        self.values.replace(input.values);
        let why = match outcome {
            Err(error) => Some(error.message),
            Ok(failures) if failures.is_empty() => None,
            Ok(failures) => Some(failures.iter().map(step_failure).collect::<Vec<_>>().join("; ")),
        };
        let seen = match &why {
            None => Seen::new(NodeOutcome::Passed, "every step did what is expected"),
            Some(why) => Seen::new(NodeOutcome::Failed, why.clone()),
        };
        self.note(record(what, what, seen, None, start));
        why.map(|why| self.masker.hide(&why))
    }

    fn play(&mut self, names: Vec<String>) -> Result<(LoadRecord, LoadEnd), Halt> {
        let start = Instant::now();
        let input = self.input(names.clone(), Arc::clone(&self.world.signals.stop));
        let listener = &mut *self.listener;
        match load::run(input, &mut |event| listener.event(&event)) {
            Ok(done) => Ok(done),
            Err(error) => {
                let seen =
                    Seen::new(NodeOutcome::Failed, format!("the load could not begin: {}", error.message));
                self.note(record("preflight", &names.join(", "), seen, error.help, start));
                Err(Halt(End::PreflightRefused))
            }
        }
    }

    fn input(&self, scenarios: Vec<String>, stop: Arc<AtomicU8>) -> LoadInput {
        let now = (self.world.clock)();
        let mut base_micros: BTreeMap<String, i64> =
            self.graph.fixtures.iter().map(|fixture| (fixture.name.clone(), now)).collect();
        base_micros.extend(self.receipts.iter().map(|receipt| (receipt.name.clone(), receipt.base_micros)));
        LoadInput {
            graph: Arc::clone(&self.graph),
            values: self.values.map().clone(),
            base_url: self.base.clone().unwrap_or_default(),
            token_headers: self.token_headers.clone(),
            base_micros,
            scenarios,
            run_id: self.run_id.clone(),
            workers: self.options.workers,
            stop,
            abort: self.abort(),
        }
    }

    fn abort(&self) -> Option<AbortCheck> {
        let graph = Arc::clone(&self.graph);
        let any = graph.gates.iter().any(|gate| gate.abort_on_fail);
        any.then(|| -> AbortCheck { Box::new(move |so_far| judge::aborting_gate(&graph, so_far)) })
    }

    /// Names of the chosen scenarios that are wanted, those they need included.
    fn scenarios(&self, wanted: impl Fn(&planc::graph::Scenario) -> bool) -> Vec<String> {
        let mut chosen: BTreeSet<&str> = self.options.only.iter().map(String::as_str).collect();
        loop {
            let before = chosen.len();
            for scenario in &self.graph.scenarios {
                if chosen.contains(scenario.name.as_str()) {
                    chosen.extend(scenario.needs.iter().map(String::as_str));
                }
            }
            if chosen.len() == before {
                break;
            }
        }
        let all = self.options.only.is_empty();
        let scenarios = self.graph.scenarios.iter();
        let scenarios = scenarios.filter(|s| (all || chosen.contains(s.name.as_str())) && wanted(s));
        scenarios.map(|scenario| scenario.name.clone()).collect()
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

fn step_failure(failure: &RehearsalFailure) -> String {
    // The engine's words begin with the step's name as a rule.
    let message = failure.message.strip_prefix(&format!("{}: ", failure.step));
    format!("step `{}`: {}", failure.step, message.unwrap_or(&failure.message))
}

/// Smoke and load in one record: the time and seconds of the load, counts and samples of both (a smoke
/// scenario's carry its name, and only its own gates look at them), and the worst of the generator's health.
fn joined(smoke: LoadRecord, mut load: LoadRecord) -> LoadRecord {
    load.on_time.series.extend(smoke.on_time.series);
    load.late.series.extend(smoke.late.series);
    load.scenarios.extend(smoke.scenarios);
    for (step, times) in smoke.steps_played {
        *load.steps_played.entry(step).or_default() += times;
    }
    for (what, times) in smoke.health.exhausted {
        *load.health.exhausted.entry(what).or_default() += times;
    }
    add(&mut load.health.lateness, &smoke.health.lateness);
    add(&mut load.health.loop_delay, &smoke.health.loop_delay);
    load.health.panicked += smoke.health.panicked;
    load.error = load.error.or(smoke.error);
    load
}

fn add(to: &mut Trend, from: &Trend) {
    if from.buckets.is_empty() {
        to.infinite += from.infinite;
        return;
    }
    let mut buckets: BTreeMap<u64, u64> = to.buckets.iter().copied().collect();
    to.min = if buckets.is_empty() { from.min } else { to.min.min(from.min) };
    for (value, count) in &from.buckets {
        *buckets.entry(*value).or_default() += count;
    }
    to.buckets = buckets.into_iter().collect();
    to.infinite += from.infinite;
    to.sum += from.sum;
    to.max = to.max.max(from.max);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smoke_leaves_its_own_counts_and_the_generators_troubles() {
        let graph = crate::testing::graph(Vec::new());
        let load = || crate::testing::evidence(&graph).load.expect("load");
        let (mut smoke, load) = (load(), load());
        let record = smoke.scenarios.remove("s").expect("the scenario");
        smoke.scenarios.insert("smoke".into(), record);
        smoke.health.exhausted.insert("no free port".into(), 2);
        smoke.health.lateness = crate::testing::trend(50_000, 100, 0);
        let both = joined(smoke, load);
        assert_eq!(both.scenarios.len(), 2);
        assert_eq!(both.health.exhausted["no free port"], 2);
        assert_eq!(both.health.lateness.buckets, [(100, 1_000), (50_000, 100)]);
        assert_eq!((both.health.lateness.min, both.health.lateness.max), (100, 50_000));
        assert_eq!(both.duration_us, 10_000_000);
    }
}
