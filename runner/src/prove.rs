//! `runner prove`: mutation testing for gates. A plan is run unharmed, then once for each fault of a catalogue, and told
//! is which gate noticed what. A gate that notices nothing is no gate; a fault that nothing notices is a hole.

mod catalogue;
mod matrix;
mod proxy;
mod short;

pub(crate) use catalogue::KINDS;
pub(crate) use matrix::{Matrix, Row, render};

use crate::evidence::{End, Evidence};
use crate::exit::Exit;
use crate::judge::{self, GateState, Verdict};
use crate::listen::Silent;
use crate::orchestrate::{self, Detour, Harm, Options};
use crate::output;
use crate::world::World;
use catalogue::Fault;
use matrix::Outcome;
use planc::graph::{ExecutionGraph, has_session};
use proxy::{Decide, Proxy};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What to prove and with which liberties.
pub(crate) struct Request<'a> {
    /// As compiled.
    pub(crate) graph: &'a ExecutionGraph,
    /// As for `apply`; `out` gets a folder for each fault.
    pub(crate) options: Options,
    /// How long the load of each run is at first.
    pub(crate) load: Duration,
    /// Faults to try; all when empty.
    pub(crate) only: Vec<String>,
    /// Faults that nothing need notice, and why.
    pub(crate) allowed: BTreeMap<String, String>,
}

/// More load than the samples of the last run ask for, since no two runs are alike.
const SPARE: f64 = 1.15;

/// What is heard of it while it goes on.
pub(crate) enum Told<'a> {
    /// A run begins: its name and what is broken in it.
    Begun(&'a str, &'a str),
    /// It has ended.
    Ended(&'a Row),
    /// The unharmed run was too short for its gates and is tried again with this much load.
    Longer(Duration),
}

/// Why nothing can be proven.
pub(crate) enum Unproven {
    /// The unharmed run was not green: its evidence and verdict.
    NotGreen(Box<(Evidence, Verdict)>),
    /// Someone stopped it.
    Interrupted,
    /// The machine.
    Io(io::Error),
}

impl From<io::Error> for Unproven {
    fn from(error: io::Error) -> Self {
        Unproven::Io(error)
    }
}

/// Whether any scenario opens a WebSocket, which no proxy for requests lets through.
pub(crate) fn has_sessions(graph: &ExecutionGraph) -> bool {
    graph.scenarios.iter().any(|scenario| has_session(&scenario.setup) || has_session(&scenario.steps))
}

/// A line of progress.
pub(crate) fn progress(told: &Told<'_>) -> String {
    match told {
        Told::Begun(name, about) => format!("{name}: {about} …\n"),
        Told::Ended(row) => format!("  {} ({} s)\n", row.told(), row.took.as_secs()),
        Told::Longer(load) => format!(
            "  too short for the samples that its gates need; again with {} of load\n",
            planc::units::show_duration(*load)
        ),
    }
}

/// Runs everything.
pub(crate) fn prove(
    request: &Request<'_>,
    world: &World,
    tell: &mut dyn FnMut(Told<'_>),
) -> Result<Matrix, Unproven> {
    let (short, load) = unharmed(request, world, tell)?;
    let mut rows = Vec::new();
    let wanted = |name: &str| request.only.is_empty() || request.only.iter().any(|only| only == name);
    for (kind, name) in KINDS.into_iter().filter(|(_, name)| wanted(name)) {
        let row = match catalogue::fault(kind, &short) {
            Err(why) => {
                Row { kind, about: why, outcome: Outcome::Untried, allowed: None, took: Duration::ZERO }
            }
            Ok(fault) => {
                tell(Told::Begun(name, &fault.about));
                let begun = Instant::now();
                let outcome = harmed(request, world, &short, &fault)?;
                let allowed = request.allowed.get(name).cloned();
                Row { kind, about: fault.about, outcome, allowed, took: begun.elapsed() }
            }
        };
        tell(Told::Ended(&row));
        rows.push(row);
    }
    Ok(Matrix {
        gates: short.gates.clone(),
        sql_gates: short.sql_gates.clone(),
        rows,
        load,
        partly: !request.only.is_empty(),
    })
}

/// The unharmed run, through the same proxy. Its load is made longer until every gate has its samples.
fn unharmed(
    request: &Request<'_>,
    world: &World,
    tell: &mut dyn FnMut(Told<'_>),
) -> Result<(ExecutionGraph, Duration), Unproven> {
    let whole = short::length(request.graph);
    let mut load = request.load.min(whole);
    loop {
        let short = short::shorten(request.graph, load);
        tell(Told::Begun("unharmed", "nothing is broken"));
        let pass: Decide = Arc::new(|_, _| proxy::Act::Pass);
        let harm = Harm { detour: Some(detour(&short, pass)), ..Harm::default() };
        let (evidence, verdict) = run(request, world, &short, &short, harm, "unharmed")?;
        if verdict.status == Exit::Pass {
            return Ok((short, load));
        }
        let starved = verdict.gates.iter().filter(|gate| gate.state == GateState::TooFew);
        let lack =
            starved.map(|gate| gate.min_samples as f64 / gate.samples.max(1) as f64).fold(0.0, f64::max);
        if lack == 0.0 || load >= whole || verdict.status != Exit::Invalid {
            return Err(Unproven::NotGreen(Box::new((evidence, verdict))));
        }
        load = load.mul_f64(lack.clamp(1.1, 1_000.0) * SPARE).min(whole);
        tell(Told::Longer(load));
    }
}

fn harmed(
    request: &Request<'_>,
    world: &World,
    short: &ExecutionGraph,
    fault: &Fault,
) -> Result<Outcome, Unproven> {
    let harm = Harm {
        statements: fault.statements.clone(),
        detour: fault.decide.clone().map(|decide| detour(short, decide)),
    };
    let played = fault.played.as_ref().unwrap_or(short);
    let (evidence, verdict) = run(request, world, played, short, harm, fault.kind.name())?;
    let refused = evidence.load.is_none();
    // Without a load no gate saw anything, and none of them noticed.
    let broke = |state| !refused && matches!(state, GateState::Fail | GateState::NoData);
    let broke: Vec<bool> = verdict.gates.iter().map(|gate| broke(gate.state)).collect();
    // What made the generator late is no finding about the target.
    let by_generator = |cause: &judge::Cause| cause.kind == judge::CauseKind::Generator;
    let other =
        verdict.causes.iter().find(|cause| !by_generator(cause) && cause.kind != judge::CauseKind::Gate);
    Ok(match verdict.status {
        Exit::Pass => Outcome::Survived,
        _ if refused || broke.iter().any(|broke| *broke) || other.is_some() => Outcome::Noticed {
            gates: broke,
            exit: verdict.status,
            other: other.map(|cause| cause.text.clone()),
        },
        _ => Outcome::Unclear(verdict.causes.first().map_or(String::new(), |cause| cause.text.clone())),
    })
}

/// One run: what is played, and the graph that it is judged by.
fn run(
    request: &Request<'_>,
    world: &World,
    played: &ExecutionGraph,
    judged: &ExecutionGraph,
    harm: Harm,
    name: &str,
) -> Result<(Evidence, Verdict), Unproven> {
    let out = request.options.out.join(name);
    let options = Options { out: out.clone(), harm, ..request.options.clone() };
    let evidence = orchestrate::apply(&through_proxy(played), &options, world, &mut Silent)?;
    if matches!(evidence.end, End::Interrupted { .. }) {
        return Err(Unproven::Interrupted);
    }
    let verdict = judge::judge(&through_proxy(judged), &evidence);
    keep(&out, &evidence)?;
    Ok((evidence, verdict))
}

fn keep(out: &Path, evidence: &Evidence) -> io::Result<()> {
    output::write_evidence(&out.join("evidence.json"), evidence).map_err(io::Error::other)
}

/// The graph with loopback allowed and the protocol that the proxy speaks.
fn through_proxy(graph: &ExecutionGraph) -> ExecutionGraph {
    let mut graph = graph.clone();
    if let Some(target) = &mut graph.target {
        target.allow_hosts.push("127.0.0.1".into());
        target.protocol = planc::graph::Protocol::Http1;
    }
    graph
}

/// Starts a proxy as soon as the target is known; it lives as long as the detour.
fn detour(graph: &ExecutionGraph, decide: Decide) -> Detour {
    let tls = graph.target.as_ref().map(|target| target.tls.clone());
    let running: Mutex<Option<Proxy>> = Mutex::new(None);
    Detour(Arc::new(move |target| {
        let tls = tls.as_ref().ok_or("the plan has no `target`")?;
        let (origin, path) = split(target);
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            *running = Some(Proxy::start(origin, tls, Arc::clone(&decide))?);
        }
        Ok(running.as_ref().map_or(String::new(), |proxy| proxy.base(path)))
    }))
}

/// `http://host:1/base` as its origin and its path.
fn split(url: &str) -> (&str, &str) {
    let after = url.find("://").map_or(0, |at| at + 3);
    let slash = url[after..].find('/').map_or(url.len(), |at| after + at);
    (&url[..slash], &url[slash..])
}
