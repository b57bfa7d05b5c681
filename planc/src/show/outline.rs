//! The run in its order, as plain data that every view draws.

use super::load::{self, Requests};
use crate::expr::{Expr, Segment, Template};
use crate::graph::{
    Check, Decision, Demand, Each, ExecutionGraph, Fixture, FixtureKind, Gate, GateLevel, Generator,
    OnConflict, Probe, Scenario, Scrape, ScrapeFrom, Service, ServiceKind, SqlGate, Step, StepKind, Token,
    TokenSource, Triage, When, walk,
};
use crate::units::show_duration;
use crate::units::{count, grouped};
use std::time::Duration;

/// A run in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// The plan's name.
    pub plan: String,
    /// What it is for.
    pub about: String,
    /// The profile.
    pub profile: String,
    /// Seed of data and draws.
    pub seed: u64,
    /// The graph's id.
    pub id: String,
    /// What happens, in order; phases without anything to do are left out.
    pub phases: Vec<Phase>,
    /// Load, smoke scenarios first.
    pub scenarios: Vec<ScenarioOutline>,
    /// Thresholds: selector, condition, remark.
    pub gates: Vec<(String, String, String)>,
    /// Rows to seed.
    pub rows: u64,
    /// Iterations of the open and counted scenarios.
    pub iterations: u64,
    /// Requests of the same: at least and at most.
    pub requests: (u64, Option<u64>),
    /// Scenarios whose iterations depend on latency.
    pub unknown: Vec<String>,
    /// How long smoke and load last, without and with graceful stops.
    pub duration: (Duration, Duration),
}

/// One phase of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Its name, `static guards`.
    pub name: &'static str,
    /// Its parts: name and what is done.
    pub items: Vec<(String, String)>,
}

/// One scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioOutline {
    /// Its name.
    pub name: String,
    /// The executor as written.
    pub executor: String,
    /// Runs before the load.
    pub smoke: bool,
    /// Scenarios that must have ended.
    pub needs: Vec<String>,
    /// When it starts, from the start of its stage.
    pub start: Duration,
    /// How long it lasts; for a counted scenario, at most.
    pub duration: Duration,
    /// Whether `duration` is only a ceiling.
    pub ceiling: bool,
    /// How long it lasts when every stage settles at once; none where no stage waits.
    pub soonest: Option<Duration>,
    /// What its stages wait for.
    pub holds: Vec<String>,
    /// Shape of rate or users as a line of characters.
    pub spark: String,
    /// The shape in words: `0/s to 400/s`.
    pub shape: String,
    /// Iterations when the plan alone decides them.
    pub iterations: Option<u64>,
    /// Requests when they can be told: at least and at most.
    pub requests: Option<(u64, Option<u64>)>,
    /// Virtual users in words.
    pub users: String,
    /// Draws in words.
    pub draws: Vec<String>,
    /// Share of its requests whose trace is recorded, in words.
    pub traces: Option<String>,
    /// WebSocket sessions in words.
    pub sessions: Vec<String>,
}

impl ScenarioOutline {
    /// Shape and duration in words: `0/s > 400/s in 3m`.
    pub fn words(&self) -> String {
        let most = match self.soonest {
            Some(soonest) => format!("{} to ", show_duration(soonest)),
            None if self.ceiling => "at most ".into(),
            None => String::new(),
        };
        format!("{} in {most}{}", self.shape, show_duration(self.duration))
    }
}

/// Outlines a graph.
pub fn outline(graph: &ExecutionGraph) -> Outline {
    let smoke: Vec<&Scenario> = graph.scenarios.iter().filter(|s| s.smoke).collect();
    let main: Vec<&Scenario> = graph.scenarios.iter().filter(|s| !s.smoke).collect();
    let mut scenarios = Vec::new();
    let mut duration = (Duration::ZERO, Duration::ZERO);
    for stage in [&smoke, &main] {
        let schedule = load::schedule(stage, &|demand| demand.duration());
        let soonest = load::schedule(stage, &load::least_duration);
        let soonest = soonest.iter().map(|times| times.1).max().unwrap_or_default();
        let with_stop =
            schedule.iter().zip(stage.iter()).map(|(times, s)| times.1.saturating_add(s.graceful_stop));
        duration.1 = duration.1.saturating_add(with_stop.max().unwrap_or_default());
        duration.0 = duration.0.saturating_add(soonest);
        scenarios.extend(stage.iter().zip(&schedule).map(|(s, times)| scenario(s, times.0)));
    }
    let known: Vec<&ScenarioOutline> = scenarios.iter().filter(|s| s.iterations.is_some()).collect();
    let sum = |(least, most): (u64, Option<u64>), s: &&ScenarioOutline| {
        let (a, b) = s.requests.unwrap_or((0, None));
        (least.saturating_add(a), most.zip(b).map(|(most, b)| most.saturating_add(b)))
    };
    Outline {
        plan: graph.plan.clone(),
        about: graph.about.clone(),
        profile: graph.profile.clone(),
        seed: graph.seed,
        id: graph.id(),
        phases: phases(graph),
        gates: graph.gates.iter().map(gate).chain(graph.sql_gates.iter().map(sql_gate)).collect(),
        rows: graph.fixtures.iter().map(|f| f.rows).fold(0, u64::saturating_add),
        iterations: known.iter().filter_map(|s| s.iterations).fold(0, u64::saturating_add),
        requests: known.iter().fold((0, Some(0)), sum),
        unknown: scenarios.iter().filter(|s| s.iterations.is_none()).map(|s| s.name.clone()).collect(),
        duration,
        scenarios,
    }
}

/// Everything before the load, in the order of a run.
fn phases(graph: &ExecutionGraph) -> Vec<Phase> {
    let checks = |checks: &mut dyn Iterator<Item = &Check>| checks.map(check).collect::<Vec<_>>();
    let setup = graph.setup.iter().map(|step| (step.name.clone(), String::new())).collect();
    let phases = [
        ("static guards", checks(&mut graph.guards.iter().filter(|g| g.static_guard))),
        ("database", kept_database(graph)),
        ("services", graph.services.iter().map(service).collect()),
        ("live guards", checks(&mut graph.guards.iter().filter(|g| !g.static_guard))),
        ("fixtures", graph.fixtures.iter().map(fixture).collect()),
        ("tokens", graph.tokens.iter().map(|(name, t)| (name.clone(), token(t))).collect()),
        ("preflight", checks(&mut graph.preflight.iter())),
        ("setup", setup),
        ("watched beside the load", graph.scrapes.iter().map(scrape).collect()),
        ("triage", graph.triage.iter().map(triage).collect()),
    ];
    let phases = phases.into_iter().filter(|(_, items)| !items.is_empty());
    phases.map(|(name, items)| Phase { name, items }).collect()
}

/// What becomes of the run's database before the services use it.
fn kept_database(graph: &ExecutionGraph) -> Vec<(String, String)> {
    let detail =
        "a clone of the kept, seeded one where there is one for these fixtures; kept after seeding where not";
    let item = ("template".to_string(), detail.to_string());
    graph.template.then_some(item).into_iter().collect()
}

fn triage(entry: &Triage) -> (String, String) {
    let when = match &entry.when {
        When::Gate => "a gate breaks".to_string(),
        When::Metric { text, lasts: None, .. } => text.clone(),
        When::Metric { text, lasts: Some(lasts), .. } => format!("{text} for {}", show_duration(*lasts)),
    };
    let looks = match entry.evidence.len() {
        0 => String::new(),
        n => format!("; {}", count(n as u64, "look")),
    };
    let decision = match &entry.decision {
        Decision::Continue => String::new(),
        Decision::Halt => "; ends the load".to_string(),
        Decision::Adjust(what) => format!("; ends the load: {what}"),
    };
    (entry.name.clone(), format!("when {when}{looks}{decision}"))
}

fn scrape((name, scrape): (&String, &Scrape)) -> (String, String) {
    let from = match &scrape.from {
        ScrapeFrom::Prometheus { request, series, .. } => {
            format!("{} of {} {}", series.name, request.method, template(&request.url))
        }
        ScrapeFrom::Json { request, path, .. } => {
            format!("{path} of {} {}", request.method, template(&request.url))
        }
        ScrapeFrom::Sql { statement } => probe(&Probe::Sql { statement: statement.clone() }),
    };
    (name.clone(), format!("{from}, every {}", show_duration(scrape.every)))
}

pub(super) fn check(check: &Check) -> (String, String) {
    let mut detail = probe(&check.probe);
    if let Some(within) = check.within {
        detail.push_str(&format!(", within {}", show_duration(within)));
    }
    if let Some(env) = &check.override_env {
        detail.push_str(&format!(", {env} overrides with a reason"));
    }
    if let Some(condition) = &check.skipped {
        detail = format!("skipped, since `{condition}` is not so: {detail}");
    }
    (check.name.clone(), detail)
}

fn probe(probe: &Probe) -> String {
    match probe {
        Probe::Http(request) => format!("{} {}", request.method, template(&request.url)),
        Probe::Sql { statement } => {
            format!("sql: {}", template(statement).split_whitespace().collect::<Vec<_>>().join(" "))
        }
        Probe::Postgres(facts) => {
            let mut parts: Vec<String> =
                facts.database.iter().map(|name| format!("database is {name}")).collect();
            parts.extend(
                facts
                    .foreign_rows
                    .iter()
                    .map(|f| format!("at most {} in {} that are not ours", count(f.at_most, "row"), f.table)),
            );
            parts.extend(facts.free_connections.map(|n| format!("{n} connections free")));
            format!("postgres: {}", parts.join(", "))
        }
        Probe::Command { argv, .. } => format!("command: {}", words(argv)),
        Probe::File { path } => format!("file: {}", template(path)),
    }
}

fn service(service: &Service) -> (String, String) {
    let detail = match &service.kind {
        ServiceKind::Postgres { database, keep, .. } => {
            let kept = keep.as_ref().map_or(String::new(), |name| format!(", data kept as {name}"));
            format!("a private Postgres with database {database}{kept}")
        }
        ServiceKind::Command { argv, ready, .. } => {
            let ready = ready.as_ref().map_or(String::new(), |ready| format!(", ready: {}", check(ready).1));
            format!("{}{ready}", words(argv))
        }
    };
    (service.name.clone(), detail)
}

fn fixture(fixture: &Fixture) -> (String, String) {
    let mut rows = count(fixture.rows, "row");
    if let Some(children) = &fixture.children {
        rows.push_str(&format!(" ({} each of {})", each(&children.each), children.of));
    }
    let detail = match &fixture.kind {
        FixtureKind::Table(table) => {
            let policy = match table.on_conflict {
                OnConflict::Fail => "fail on rows that are there",
                OnConflict::Keep => "keep rows that are there",
                OnConflict::Refresh => "refresh",
                OnConflict::Exact => "exactly these",
            };
            let shortcuts = [
                (table.skip_foreign_key_triggers, ", foreign keys verified at once"),
                (table.rebuild_indexes, ", indexes made after the rows"),
            ];
            let shortcuts: String =
                shortcuts.iter().filter(|(wanted, _)| *wanted).map(|(_, words)| *words).collect();
            let only = if table.append_only { "append-only table" } else { "table" };
            let identity = table.identity.join(", ");
            format!("{rows} into {only} {} by {identity} ({policy}{shortcuts})", table.table)
        }
        FixtureKind::Http(http) => {
            let pace = match (http.pace, http.limit) {
                (Some(pace), _) => format!(" at {pace}"),
                (None, Some(limit)) => format!(" within {limit}"),
                (None, None) => String::new(),
            };
            let names: Vec<&str> = http.capture.iter().map(|capture| capture.name.as_str()).collect();
            let kept = if names.is_empty() { String::new() } else { format!(", keeps {}", names.join(", ")) };
            format!("{rows} through {} {}{pace}{kept}", http.create.method, template(&http.create.url))
        }
        FixtureKind::Sql(sql) => {
            let files: Vec<&str> = sql.scripts.iter().map(|script| script.file.as_str()).collect();
            let made = sql
                .declared
                .as_ref()
                .map_or(String::new(), |d| format!(", makes {rows} of table {}", d.table));
            format!("script {}{made}", files.join(", "))
        }
    };
    let after = match fixture.after.is_empty() {
        true => String::new(),
        false => format!(", after {}", fixture.after.join(", ")),
    };
    (fixture.name.clone(), detail + &drawn(fixture) + &after)
}

/// What its rows draw from tables of which the plan does not know the rows.
fn drawn(fixture: &Fixture) -> String {
    let columns = fixture.columns().iter();
    let told = columns.filter_map(|(name, column)| match &column.generator {
        Generator::Sample { table, column: of, size, .. } => {
            Some(format!(", {name} drawn from {} of {table}.{of}", count(u64::from(*size), "value")))
        }
        _ => None,
    });
    told.collect()
}

/// How many children each parent has.
fn each(each: &Each) -> String {
    match each {
        Each::Fixed(number) => grouped(u64::from(*number)),
        Each::Between { from, to } => format!("{} to {}", grouped(u64::from(*from)), grouped(u64::from(*to))),
        Each::Weighted(branches) => {
            let numbers: Vec<String> =
                branches.iter().filter(|b| b.weight > 0).map(|b| grouped(u64::from(b.children))).collect();
            numbers.join(" or ")
        }
    }
}

fn token(token: &Token) -> String {
    let source = match &token.source {
        TokenSource::Given(_) => "given".to_string(),
        TokenSource::Issued { request, ttl, keep, .. } => {
            let ttl = ttl.map_or(String::new(), |ttl| format!(", lives {}", show_duration(ttl)));
            let keep = if *keep { ", kept" } else { "" };
            format!("issued by {} {}{ttl}{keep}", request.method, template(&request.url))
        }
    };
    let scopes =
        if token.scopes.is_empty() { String::new() } else { format!(", scopes {}", token.scopes.join(" ")) };
    let verify = token.verify.as_ref().map_or(String::new(), |v| format!(", verified by {}", check(v).1));
    format!("{source}{scopes}{verify}")
}

fn scenario(scenario: &Scenario, start: Duration) -> ScenarioOutline {
    let demand = &scenario.demand;
    let iterations = load::iterations(demand).filter(|_| !demand.is_held());
    let each = load::requests(&scenario.steps);
    ScenarioOutline {
        name: scenario.name.clone(),
        executor: scenario.executor.clone(),
        smoke: scenario.smoke,
        needs: scenario.needs.clone(),
        start,
        duration: demand.duration(),
        ceiling: matches!(demand, Demand::Iterations { .. }) || demand.is_held(),
        soonest: demand.is_held().then(|| load::least_duration(demand)),
        holds: holds(scenario),
        spark: load::spark(demand),
        shape: shape(demand),
        iterations,
        requests: iterations.map(|n| scaled(each, n)),
        users: users(demand),
        draws: scenario.draw.iter().map(|d| format!("{} from {}", d.binding, d.fixture)).collect(),
        sessions: sessions(&scenario.steps),
        traces: scenario.trace.map(|trace| trace.sample.to_string()),
    }
}

/// What its stages wait for, in words.
fn holds(scenario: &Scenario) -> Vec<String> {
    let stages = (1..).map_while(|number| Some((number, scenario.demand.piece(number)?.1)));
    if let Some(search) = &scenario.find_max {
        let steps = count(stages.count() as u64, "step");
        let hold = scenario.demand.piece(1).and_then(|(_, hold)| hold);
        let each = hold.map_or(String::new(), |hold| format!(", each held {hold}"));
        let least = search.at_least.map_or(String::new(), |least| format!("; at least {least} must hold"));
        return vec![format!("{steps} until a gate breaks{each}{least}")];
    }
    stages.filter_map(|(number, hold)| Some(format!("stage {number} holds {}", hold?))).collect()
}

/// `live (/ws): receive json $.type equals welcome, send, ping`.
fn sessions(steps: &[Step]) -> Vec<String> {
    let mut out = Vec::new();
    walk(steps, &mut |step| {
        let StepKind::WebSocket(session) = &step.kind else { return };
        let mut deeds = Vec::new();
        walk(&session.steps, &mut |inner| {
            // Their names begin with the session's, unless they have their own.
            let name = inner.name.strip_prefix(&format!("{}: ", step.name)).unwrap_or(&inner.name);
            deeds.push(name.to_string());
        });
        let url = step.tags.get("url").map_or(String::new(), template);
        out.push(format!("{} ({url}): {}", step.name, deeds.join(", ")));
    });
    out
}

fn scaled(each: Requests, iterations: u64) -> (u64, Option<u64>) {
    let times = |n: f64| (n * iterations as f64).round() as u64;
    (times(each.least), each.most.map(times))
}

fn shape(demand: &Demand) -> String {
    let steps = |mut values: Vec<String>| {
        values.dedup();
        values.join(" > ")
    };
    match demand {
        Demand::Arrivals { start_rate, pieces, .. } => steps(
            std::iter::once(start_rate)
                .chain(pieces.iter().map(|p| &p.target))
                .map(ToString::to_string)
                .collect(),
        ),
        Demand::Users { start_vus, pieces, .. } => {
            let vus = std::iter::once(*start_vus).chain(pieces.iter().map(|p| p.target));
            format!("{} VUs", steps(vus.map(|n| n.to_string()).collect()))
        }
        Demand::Iterations { vus, iterations, shared, .. } => {
            let vus = count(u64::from(*vus), "VU");
            let iterations = count(*iterations, "iteration");
            if *shared {
                format!("{iterations} shared by {vus}")
            } else {
                format!("{iterations} for each of {vus}")
            }
        }
    }
}

fn users(demand: &Demand) -> String {
    let Demand::Arrivals { pre_allocated_vus, max_vus, .. } = demand else {
        return count(u64::from(demand.max_vus()), "VU");
    };
    let range = if pre_allocated_vus == max_vus {
        count(u64::from(*max_vus), "VU")
    } else {
        format!("{} to {}", grouped(u64::from(*pre_allocated_vus)), count(u64::from(*max_vus), "VU"))
    };
    // Little's law: users = rate × time.
    match load::peak_rate(demand).filter(|rate| *rate > 0.0) {
        Some(rate) => {
            let millis = (f64::from(*max_vus) / rate * 1000.0).floor().min(1e12) as u64;
            format!(
                "{range}, enough while an iteration takes under {}",
                show_duration(Duration::from_millis(millis))
            )
        }
        None => range,
    }
}

fn gate(gate: &Gate) -> (String, String, String) {
    let mut remarks = Vec::new();
    if gate.level == GateLevel::Advisory {
        remarks.push("advisory".to_string());
    }
    if gate.min_samples > 0 {
        remarks.push(format!("needs {}", count(gate.min_samples, "sample")));
    }
    if gate.abort_on_fail {
        remarks.push("ends the run".to_string());
    }
    (gate.subject(), gate.condition(), remarks.join(", "))
}

fn sql_gate(gate: &SqlGate) -> (String, String, String) {
    let mut remarks = vec!["asked after the load".to_string()];
    if gate.increase {
        remarks.push("and before it".to_string());
    }
    if let Some(within) = gate.within {
        remarks.push(format!("for up to {}", show_duration(within)));
    }
    if gate.level == GateLevel::Advisory {
        remarks.push("advisory".to_string());
    }
    (gate.name.clone(), gate.condition(), remarks.join(", "))
}

fn words(argv: &[Template]) -> String {
    argv.iter().map(template).collect::<Vec<_>>().join(" ")
}

/// A template as a person would write it; expressions that are more than a name are cut short.
fn template(template: &Template) -> String {
    let segment = |segment: &Segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Slot(Expr::Path(path)) => format!("{{{{ {} }}}}", path.join(".")),
        Segment::Slot(_) => "{{ … }}".to_string(),
    };
    template.segments.iter().map(segment).collect()
}
