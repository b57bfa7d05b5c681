//! What a run means: a pure function of graph and evidence. A gate that says green must have been
//! able to say red.

mod applied;
mod gates;
mod generator;
mod parts;
mod pool;
mod reasons;
mod recent;
mod scrapes;
mod silence;
mod sql_gates;
mod stages;
mod stats;
#[cfg(test)]
mod tests;

use crate::evidence::{
    End, Evidence, LoadRecord, NodeOutcome, ScenarioRecord, SqlGateRecord, StageOutcome, TriageRecord,
};
use crate::exit::Exit;
use gates::Facts;
pub(crate) use gates::{Unit, kind_of, show, walk};
use planc::graph::{
    Decision, ExecutionGraph, Gate, GateLevel, MetricKind, Scenario, SqlGate, StepId, StepKind,
};
use planc::units::show_duration;
pub(crate) use recent::Recent;
use serde::{Serialize, Serializer};
pub(crate) use sql_gates::sql_value;
pub(crate) use stages::told as stage_told;
pub use stages::{StageRow, search};
pub(crate) use stats::Distribution;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a run means.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The verdict in one word of [`Exit`].
    pub status: Exit,
    /// Its exit code.
    pub exit: u8,
    /// Why, the deciding ones first. Empty for a pass.
    pub causes: Vec<Cause>,
    /// Every gate, in the graph's order.
    pub gates: Vec<GateResult>,
    /// Every stage that was played.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageRow>,
    /// How far each ramp that did not come to its end, and each search for the highest rate, came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ceilings: Vec<String>,
    /// What a reader may think was measured but was not.
    pub not_measured: Vec<String>,
    /// Strains on the generator that did not make it late.
    pub warnings: Vec<String>,
}

/// One reason for a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Whose fault it is.
    pub kind: CauseKind,
    /// The reason, lower case, without full stop.
    pub text: String,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// A threshold.
    Gate,
    /// The system under test.
    Target,
    /// The load generator or its machine.
    Generator,
    /// The load was not what the plan says.
    Load,
    /// The plan, its data or its checks.
    Plan,
    /// Someone stopped the run.
    Operator,
    /// A file could not be written.
    Output,
    /// A bug of ours.
    Internal,
}

/// A figure that may be infinite; JSON has no word for that, so it is written as `"inf"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure(pub f64);

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.serialize_str(if self.0 > 0.0 { "inf" } else { "-inf" })
        }
    }
}

/// One gate, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateResult {
    /// The metric.
    pub metric: String,
    /// Its selector.
    pub selector: BTreeMap<String, String>,
    /// The condition.
    pub text: String,
    /// Shown, never decides.
    pub advisory: bool,
    /// How it came out.
    pub state: GateState,
    /// What was measured: microseconds, a share or a number.
    pub value: Option<Figure>,
    /// What it was compared with, in the same unit; none of gates in SQL.
    pub bound: Option<Figure>,
    /// The value for people.
    pub value_text: String,
    /// Sign and bound for people.
    pub bound_text: String,
    /// Samples, those above every bound included.
    pub samples: u64,
    /// Samples that were needed.
    pub min_samples: u64,
    /// 95 % confidence interval of the value.
    pub interval: Option<(Figure, Figure)>,
    /// The interval for people.
    pub interval_text: String,
    /// Room left to the bound in percent of it; negative beyond.
    pub margin_percent: Option<Figure>,
    /// The interval straddles the bound.
    pub within_noise: bool,
    /// The breach stands with late seconds left out and unknown samples taken as good.
    pub breach_stands: bool,
    /// A word on the population or the state.
    pub note: Option<String>,
}

/// How a gate came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateState {
    /// The condition held.
    Pass,
    /// It did not.
    Fail,
    /// There was no sample: never a pass.
    NoData,
    /// There were fewer samples than the claim needs.
    TooFew,
    /// A `confident` gate whose interval straddles the bound.
    WithinNoise,
    /// The aggregate has no meaning over these samples.
    Refused,
    /// It held, and could have broken with the arrivals that the generator dropped.
    Unknown,
    /// Its scenario was left out on purpose (`--only`).
    Skipped,
}

impl Verdict {
    /// The same when an output could not be written: what was a pass is none, since nobody can look at it again.
    pub fn with_lost_outputs(mut self, lost: &[String]) -> Verdict {
        if !lost.is_empty() && self.status == Exit::Pass {
            self.status = Exit::OutputLost;
            self.exit = self.status.code();
        }
        self.causes.extend(lost.iter().map(|why| cause(CauseKind::Output, why.clone())));
        self
    }
}

impl GateResult {
    /// `http_req_duration{scenario:browse}`.
    pub fn subject(&self) -> String {
        planc::graph::subject(&self.metric, &self.selector)
    }
}

/// Judges a run.
pub fn judge(graph: &ExecutionGraph, evidence: &Evidence) -> Verdict {
    let skipped = skipped_scenarios(evidence);
    let nothing = LoadRecord::default();
    let load = evidence.load.as_ref().unwrap_or(&nothing);
    let graph = &*stages::as_ran(graph, load);
    let facts = Facts::new(graph, load, skipped.clone());
    let mut gates: Vec<GateResult> = graph.gates.iter().map(|gate| facts.gate(gate)).collect();
    gates.extend(in_sql(graph, load, &evidence.sql_gates, &evidence.run_id, skipped.clone()));
    let not_measured = not_measured(graph, load, &gates, &skipped);
    let broken = load.error.is_some() || load.health.panicked > 0;
    let case = Case { graph, evidence, load, gates: &gates, skipped: &skipped };
    let warnings = case.strains();
    let (stages, ceilings) = (case.stage_rows(), case.ceilings());
    let (status, causes) = match stopped_before_load(evidence) {
        Some(decided) if !broken => decided,
        _ => case.decide(),
    };
    Verdict { status, exit: status.code(), causes, gates, stages, ceilings, not_measured, warnings }
}

/// Gates in SQL see everything that the run did, smoke included.
fn in_sql(
    graph: &ExecutionGraph,
    load: &LoadRecord,
    told: &[SqlGateRecord],
    run_id: &str,
    skipped: BTreeSet<String>,
) -> Vec<GateResult> {
    let facts = Facts::new(graph, load, skipped).of_everything();
    let judged = |gate: &SqlGate| {
        let told = told.iter().find(|told| told.name == gate.name);
        facts.sql_gate(gate, told, run_id)
    };
    graph.sql_gates.iter().map(judged).collect()
}

/// Whether one gate in SQL holds, so that it need not be asked again.
pub fn sql_gate_holds(graph: &ExecutionGraph, load: &LoadRecord, told: &SqlGateRecord, run_id: &str) -> bool {
    let gates = graph.sql_gates.iter().filter(|gate| gate.name == told.name).cloned().collect();
    let alone = ExecutionGraph { sql_gates: gates, ..graph.clone() };
    let results = in_sql(&alone, load, std::slice::from_ref(told), run_id, BTreeSet::new());
    results.iter().all(|result| result.state == GateState::Pass)
}

/// Judges a run that was to send no load: guards, services, seeding, preflight.
pub fn judge_preparation(evidence: &Evidence) -> Verdict {
    let (status, causes) = stopped_before_load(evidence).unwrap_or((Exit::Pass, Vec::new()));
    let (gates, stages, ceilings, not_measured, warnings) = Default::default();
    Verdict { status, exit: status.code(), causes, gates, stages, ceilings, not_measured, warnings }
}

/// Judges smoke scenarios alone: reasons not to go on to the load, empty when they hold. `aborted` says what
/// ended them before their time.
pub fn judge_smoke(graph: &ExecutionGraph, load: &LoadRecord, aborted: Option<&str>) -> Vec<String> {
    let others = graph.scenarios.iter().filter(|s| !s.smoke).map(|s| s.name.clone()).collect();
    let facts = Facts::new(graph, load, others);
    let mut reasons: Vec<String> =
        aborted.map(|why| format!("the smoke was ended by {why}")).into_iter().collect();
    if load.error.is_some() || load.health.panicked > 0 {
        reasons.push("the load engine broke".into());
    }
    for (name, record) in &load.scenarios {
        if record.finished == 0 || record.failed > 0 {
            reasons.push(format!(
                "smoke scenario `{name}`: {} iterations ended well, {} failed, {} were cut off",
                record.finished, record.failed, record.interrupted
            ));
        }
    }
    for gate in graph.gates.iter().filter(|gate| gate.level == GateLevel::Required) {
        let result = facts.gate(gate);
        let about_smoke = gate.selector.get("scenario").is_some_and(|s| load.scenarios.contains_key(s))
            || facts.is_of_smoke(gate);
        if about_smoke && result.state != GateState::Pass && result.state != GateState::Skipped {
            reasons.push(gate_text(&result));
        }
    }
    reasons
}

/// A gate that decides and whose breach stands now that the load is over.
pub(crate) fn broken_gate(
    graph: &ExecutionGraph,
    load: &LoadRecord,
    told: &[SqlGateRecord],
    run_id: &str,
    skipped: BTreeSet<String>,
) -> Option<String> {
    let graph = &*stages::as_ran(graph, load);
    let facts = Facts::new(graph, load, skipped.clone());
    let mut results: Vec<GateResult> = graph.gates.iter().map(|gate| facts.gate(gate)).collect();
    results.extend(in_sql(graph, load, told, run_id, skipped));
    let broken =
        |result: &&GateResult| !result.advisory && result.state == GateState::Fail && result.breach_stands;
    results.iter().find(broken).map(gate_text)
}

/// The gate with `abort_on_fail` whose breach stands at this moment of the load, if any.
pub fn aborting_gate(graph: &ExecutionGraph, load: &LoadRecord) -> Option<String> {
    let elapsed = Duration::from_micros(load.duration_us);
    let mut due = graph.gates.iter().filter(|g| g.abort_on_fail && elapsed >= g.delay_abort_eval).peekable();
    due.peek()?;
    let graph = &*stages::as_ran(graph, load);
    let in_flight = load.ticks.last().map_or(0, |tick| u64::from(tick.busy_vus));
    let facts = Facts::new(graph, load, BTreeSet::new()).amid(in_flight);
    // A part is looked at when it is over; windows that are not are left out anyway.
    due.filter(|gate| facts.is_over(gate))
        .map(|gate| facts.gate(gate))
        .find(|result| result.state == GateState::Fail && result.breach_stands)
        .map(|result| gate_text(&result))
}

/// What a load is judged by.
struct Case<'a> {
    graph: &'a ExecutionGraph,
    evidence: &'a Evidence,
    load: &'a LoadRecord,
    gates: &'a [GateResult],
    skipped: &'a BTreeSet<String>,
}

impl Case<'_> {
    /// The verdict by precedence, with all causes of the deciding kind and those below it.
    fn decide(&self) -> (Exit, Vec<Cause>) {
        let mut ranked: Vec<(Exit, Vec<Cause>)> = Vec::new();
        if let End::Interrupted { signal } = &self.evidence.end {
            ranked
                .push((Exit::Interrupted, vec![cause(CauseKind::Operator, format!("stopped by {signal}"))]));
        }
        ranked.push((Exit::Internal, self.bugs()));
        ranked.push((Exit::Fail, self.failures()));
        ranked.push((Exit::Invalid, self.invalidities()));
        let teardown = self.load.teardown_failed.iter();
        let teardown = teardown.map(|why| cause(CauseKind::Target, format!("teardown failed: {why}")));
        ranked.push((Exit::TeardownFailed, teardown.collect()));
        let straddling = self.required().filter(|gate| gate.state == GateState::WithinNoise);
        ranked.push((Exit::Inconclusive, straddling.map(|g| cause(CauseKind::Gate, gate_text(g))).collect()));
        ranked.retain(|(_, causes)| !causes.is_empty());
        match ranked.first() {
            None => (Exit::Pass, Vec::new()),
            Some((status, _)) => (*status, ranked.into_iter().flat_map(|(_, causes)| causes).collect()),
        }
    }

    fn required(&self) -> impl Iterator<Item = &GateResult> {
        self.gates.iter().filter(|gate| !gate.advisory)
    }

    /// The scenarios that were meant to run.
    fn scenarios(&self) -> impl Iterator<Item = (&Scenario, &ScenarioRecord)> {
        let run = self.graph.scenarios.iter().filter(|scenario| !self.skipped.contains(&scenario.name));
        run.filter_map(|scenario| Some((scenario, self.load.scenarios.get(&scenario.name)?)))
    }

    /// Breaches that stand whatever the generator did.
    fn failures(&self) -> Vec<Cause> {
        let mut out = Vec::new();
        for gate in self.required().filter(|gate| gate.state == GateState::Fail && gate.breach_stands) {
            out.push(cause(CauseKind::Gate, gate_text(gate)));
        }
        if let End::AbortedByStep { step } = &self.evidence.end {
            out.push(cause(
                CauseKind::Target,
                format!("step `{step}` failed and its `on_failure` ended the run"),
            ));
        }
        for (scenario, record) in self.scenarios() {
            let name = &scenario.name;
            if let Some(step) = &record.stopped_by_step {
                let text = format!("step `{step}` failed and its `on_failure` ended scenario `{name}`");
                out.push(cause(CauseKind::Target, text));
            }
            if record.failed > 0 && record.finished == 0 {
                let text = format!("every iteration of `{name}` that ended failed ({})", record.failed);
                out.push(cause(CauseKind::Target, text));
            } else if record.failed > 0 && !self.is_gated(scenario) {
                let text = format!(
                    "{} of {} iterations of `{name}` failed, and no gate of this run allows it",
                    record.failed, record.started
                );
                out.push(cause(CauseKind::Target, text));
            }
        }
        out.extend(self.unsettled());
        for record in self.evidence.triage.iter().filter(|record| record.ended) {
            out.push(cause(CauseKind::Target, self.triage_text(record)));
        }
        out.extend(self.silences());
        if !out.is_empty() {
            for record in self.evidence.triage.iter().filter(|record| !record.ended) {
                out.push(cause(CauseKind::Target, self.triage_text(record)));
            }
            out.extend(self.reasons());
        }
        out
    }

    /// What triage found, and what to do about it.
    fn triage_text(&self, record: &TriageRecord) -> String {
        let at = show_duration(Duration::from_secs(record.at_us / 1_000_000));
        let when = if record.at_end { "after the load".to_owned() } else { format!("after {at}") };
        let ended = if record.ended { " ended the load" } else { "" };
        let mut out = format!("triage `{}`{ended} {when}: {}; {}", record.name, record.seen, record.cause);
        if record.generator_late {
            out.push_str("; the generator was late in that second, which may be the cause of it");
        }
        let entry = self.graph.triage.iter().find(|entry| entry.name == record.name);
        if let (true, Some(Decision::Adjust(what))) = (record.ended, entry.map(|entry| &entry.decision)) {
            let resume = match self.stage_at(record.at_us) {
                Some((scenario, number)) => format!("resume with `--from-stage {scenario}:{number}`"),
                None => "run it again".to_owned(),
            };
            out.push_str(&format!("; {what}, then {resume}"));
        }
        out
    }

    /// The scenario with stages that was under way at a moment of the load, and which of them.
    fn stage_at(&self, at_us: u64) -> Option<(&str, u32)> {
        self.scenarios().find_map(|(scenario, record)| {
            let played = self.load.stages.iter().filter(|stage| stage.scenario == scenario.name);
            let begun =
                played.filter(|stage| stage.began_us <= at_us && stage.outcome != StageOutcome::NotRun);
            if let Some(number) = begun.map(|stage| stage.number).max() {
                return Some((scenario.name.as_str(), number));
            }
            let own = Duration::from_micros(at_us.checked_sub(record.began_us?)?);
            scenario.demand.stage(2)?;
            let within = |number: &u32| scenario.demand.stage(*number).is_some_and(|(_, end)| own < end);
            let stages = (1..).take_while(|number| scenario.demand.stage(*number).is_some());
            Some((scenario.name.as_str(), stages.clone().find(within).or(stages.last())?))
        })
    }

    /// Whether a gate that was judged sees the failures of a scenario.
    fn is_gated(&self, scenario: &Scenario) -> bool {
        let mut own = BTreeSet::new();
        for steps in [&scenario.setup, &scenario.steps] {
            walk(steps, &mut |step| {
                own.insert(step.id);
            });
        }
        self.graph.gates.iter().zip(self.gates).any(|(gate, result)| {
            let named = gate.selector.get("scenario");
            gate.level == GateLevel::Required
                && result.state != GateState::Skipped
                && gates::sees_failures(gate)
                && named.is_none_or(|name| *name == scenario.name)
                && (named.is_some() || gate.steps.iter().any(|id| own.contains(id)))
        })
    }

    /// Why the measurement cannot carry a verdict.
    fn invalidities(&self) -> Vec<Cause> {
        let mut out = self.generator_health();
        out.extend(self.load_applied());
        out.extend(self.untold_stages());
        for gate in self.required() {
            match gate.state {
                GateState::NoData | GateState::TooFew | GateState::Refused => {
                    out.push(cause(CauseKind::Gate, gate_text(gate)));
                }
                GateState::Fail if !gate.breach_stands => {
                    let text = format!(
                        "{}: broken only by samples of seconds in which the generator was late or lost samples",
                        gate_text(gate)
                    );
                    out.push(cause(CauseKind::Generator, text));
                }
                GateState::Unknown => {
                    let in_sql = self.graph.sql_gates.iter().any(|known| known.name == gate.metric);
                    let kind = if in_sql { CauseKind::Load } else { CauseKind::Generator };
                    out.push(cause(kind, gate_text(gate)));
                }
                _ => {}
            }
        }
        if let End::AbortedByGate { gate } = &self.evidence.end
            && !self.evidence.triage.iter().any(|record| record.ended)
            && !self.required().any(|gate| gate.state == GateState::Fail)
        {
            out.push(cause(
                CauseKind::Gate,
                match self.gates.iter().any(|known| gate.starts_with(&gate_name(known))) {
                    true => format!("the run was aborted by `{gate}`, which holds in the end"),
                    false => format!("the run was aborted by `{gate}`, which is no gate here"),
                },
            ));
        }
        out
    }
}

/// Ends that need no look at the load.
fn stopped_before_load(evidence: &Evidence) -> Option<(Exit, Vec<Cause>)> {
    let (exit, kind, kinds): (Exit, CauseKind, &[&str]) = match &evidence.end {
        End::Refused => (Exit::Refused, CauseKind::Plan, &["guard"]),
        End::ServiceNotReady => (Exit::ServiceNotReady, CauseKind::Target, &["service"]),
        End::SeedingFailed => (Exit::SeedingFailed, CauseKind::Plan, &["fixture"]),
        End::PreflightRefused => {
            (Exit::PreflightRefused, CauseKind::Target, &["token", "preflight", "rehearsal"])
        }
        End::SmokeRefused => (Exit::PreflightRefused, CauseKind::Target, &["scenario"]),
        End::SetupFailed => (Exit::SetupFailed, CauseKind::Target, &["setup"]),
        End::Interrupted { signal } if evidence.load.is_none() => {
            let text = format!("stopped by {signal} before the load");
            return Some((Exit::Interrupted, vec![cause(CauseKind::Operator, text)]));
        }
        _ => return None,
    };
    let told = evidence.nodes.iter().filter(|node| kinds.contains(&node.kind.as_str()));
    let told = told.filter(|node| {
        !matches!(node.outcome, NodeOutcome::Passed | NodeOutcome::Overridden | NodeOutcome::Skipped)
    });
    let mut causes: Vec<Cause> =
        told.map(|node| cause(kind, format!("{} `{}`: {}", node.kind, node.name, node.detail))).collect();
    if causes.is_empty() {
        causes.push(cause(kind, exit.meaning().to_owned()));
    }
    Some((exit, causes))
}

fn skipped_scenarios(evidence: &Evidence) -> BTreeSet<String> {
    let skipped =
        |node: &&crate::evidence::NodeRecord| node.kind == "scenario" && node.outcome == NodeOutcome::Skipped;
    evidence.nodes.iter().filter(skipped).map(|node| node.name.clone()).collect()
}

/// What a reader may think was measured but was not.
fn not_measured(
    graph: &ExecutionGraph,
    load: &LoadRecord,
    gates: &[GateResult],
    skipped: &BTreeSet<String>,
) -> Vec<String> {
    let facts = Facts::new(graph, load, skipped.clone());
    let mut out: Vec<String> =
        skipped.iter().map(|name| format!("scenario `{name}` was left out on purpose")).collect();
    out.extend(stages::not_run(load));
    for (metric, record) in load.scrapes.iter().filter(|(_, record)| record.failed > 0) {
        let good = record.points.len() as u64 * record.thinned.max(1);
        out.push(format!(
            "`{metric}`: {} of {} scrapes failed, the last: {}",
            record.failed,
            record.failed + good,
            record.last_error.as_deref().unwrap_or("of an unknown cause")
        ));
    }
    for (gate, result) in graph.gates.iter().zip(gates) {
        if let Some(rest) = facts.beyond_windows(gate).filter(|_| result.state != GateState::Skipped) {
            out.push(format!(
                "gate {} {}: the last {} are in no full window",
                result.subject(),
                result.text,
                show_duration(rest)
            ));
        }
    }
    for gate in gates {
        match gate.state {
            GateState::NoData => out.push(format!("gate {} {}: no data", gate.subject(), gate.text)),
            GateState::Skipped => out.push(format!("gate {} {}: not run", gate.subject(), gate.text)),
            _ => {}
        }
    }
    for scenario in graph.scenarios.iter().filter(|s| !skipped.contains(&s.name)) {
        let switched_off = planc::graph::switched_off(&scenario.steps);
        let sessions = sessions(scenario);
        walk(&scenario.steps, &mut |step| {
            if !step.kind.is_answered() {
                return;
            }
            let what = format!("step `{}` of `{}`", step.name, scenario.name);
            if switched_off.contains(&step.id) {
                out.push(format!("{what} is switched off by the inputs"));
                return;
            }
            if load.steps_played.get(&step.id.0).copied().unwrap_or(0) == 0 {
                out.push(format!("{what} was never played"));
            }
            let gated = |kinds: &[MetricKind]| {
                graph.gates.iter().any(|gate| {
                    gate.level == GateLevel::Required
                        && (gate.steps.contains(&step.id) || sees_inside(gate, sessions.get(&step.id)))
                        && kinds.contains(&kind_of(graph, &gate.metric))
                })
            };
            match (gated(&[MetricKind::TimeTrend]), gated(&[MetricKind::Rate])) {
                (true, true) => {}
                (false, true) => out.push(format!("{what} has no latency gate")),
                (true, false) => out.push(format!("{what} has no error gate")),
                (false, false) => out.push(format!("{what} has neither a latency nor an error gate")),
            }
        });
    }
    out
}

/// The session in which each step is played that has one around it.
fn sessions(scenario: &Scenario) -> BTreeMap<StepId, StepId> {
    let mut out = BTreeMap::new();
    walk(&scenario.steps, &mut |step| {
        if let StepKind::WebSocket(session) = &step.kind {
            walk(&session.steps, &mut |inner| {
                if !matches!(inner.kind, StepKind::Http(_)) {
                    out.insert(inner.id, step.id);
                }
            });
        }
    });
    out
}

/// Whether a gate is on sessions as a whole, and on this one: they fail with what is in them, and last as long.
fn sees_inside(gate: &Gate, session: Option<&StepId>) -> bool {
    matches!(gate.metric.as_str(), "ws_failed" | "ws_session_duration")
        && session.is_some_and(|session| gate.steps.contains(session))
}

/// Its subject and condition, with which [`gate_text`] begins.
fn gate_name(gate: &GateResult) -> String {
    format!("{} {}:", gate.subject(), gate.text)
}

/// One line on a gate that did not pass.
fn gate_text(gate: &GateResult) -> String {
    let subject = gate.subject();
    let text = &gate.text;
    match gate.state {
        GateState::Fail | GateState::WithinNoise | GateState::Pass => {
            let note = gate.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
            format!("{subject} {text}: measured {}{note}", gate.value_text)
        }
        _ => format!("{subject} {text}: {}", gate.note.as_deref().unwrap_or("not decided")),
    }
}

fn dropped(record: &ScenarioRecord) -> u64 {
    record.dropped_by_target + record.dropped_by_generator
}

fn cause(kind: CauseKind, text: String) -> Cause {
    Cause { kind, text }
}
