//! Loads by stages: how long each lasted in this run, which held, and how far the load came.

use super::gates::{Facts, Unit, show};
use super::pool::Ground;
use super::{Case, Cause, CauseKind, Distribution, GateResult, GateState, cause, gate_text};
use crate::course::Course;
use crate::evidence::{
    LineRecord, LineSeen, LineUnit, LoadRecord, PartRecord, Samples, StageOutcome, StageRecord,
};
use crate::views::has_stages;
use planc::graph::{Demand, ExecutionGraph, Gate, GateLevel, Over, Scenario};
use planc::units::{Rate, show_duration};
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;

/// One stage, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageRow {
    /// The scenario.
    pub scenario: String,
    /// Which of its stages.
    pub number: u32,
    /// Rate or virtual users at its end.
    pub target: String,
    /// When it began, after the load's start.
    pub began: String,
    /// How long it lasted.
    pub lasted: String,
    /// How long after the target was reached it was found to have settled.
    pub held_after: String,
    /// p95 of `http_req_duration` over it.
    pub p95: String,
    /// Share of requests that failed.
    pub errors: String,
    /// How it ended.
    pub outcome: String,
}

/// The graph with the times that its stages took in this run in place of those that the plan allows them.
pub(super) fn as_ran<'g>(graph: &'g ExecutionGraph, load: &LoadRecord) -> Cow<'g, ExecutionGraph> {
    let from = |s: &Scenario| load.scenarios.get(&s.name).and_then(|record| record.from_stage);
    if graph.scenarios.iter().all(|scenario| !scenario.demand.is_held() && from(scenario).is_none()) {
        return Cow::Borrowed(graph);
    }
    let mut ran = graph.clone();
    for scenario in &mut ran.scenarios {
        let from = from(scenario);
        let stages: Vec<&StageRecord> = load.stages.iter().filter(|s| s.scenario == scenario.name).collect();
        let course = Course::new(&scenario.demand, from);
        let mut demand = course.demand().retimed(&mut |number, climb, hold| {
            let ended = stages.iter().find(|stage| stage.number == number && stage.ended_us > 0);
            if let (Some(stage), Some(hold)) = (ended, hold) {
                let lasted = Duration::from_micros(stage.ended_us.saturating_sub(stage.began_us));
                hold.within = lasted.saturating_sub(*climb);
            }
        });
        if let Some(last) = stages.iter().find(|stage| halts(&stage.outcome)) {
            let played = stages.iter().map(|stage| stage.number).max().unwrap_or(last.number) as usize;
            match &mut demand {
                Demand::Arrivals { pieces, .. } => pieces.truncate(played),
                Demand::Users { pieces, .. } => pieces.truncate(played),
                Demand::Iterations { .. } => {}
            }
        }
        scenario.demand = demand;
    }
    Cow::Owned(ran)
}

fn halts(outcome: &StageOutcome) -> bool {
    matches!(outcome, StageOutcome::NeverSettled | StageOutcome::Broke { .. } | StageOutcome::Untold { .. })
}

/// Why a search ends with a step that is over: a gate of the scenario that broke over it, or that cannot be told.
pub fn search(
    graph: &ExecutionGraph,
    load: &LoadRecord,
    scenario: &str,
    number: u32,
) -> Option<StageOutcome> {
    let in_flight = load.ticks.last().map_or(0, |tick| u64::from(tick.busy_vus));
    let facts = Facts::new(graph, load, Default::default()).amid(in_flight);
    facts.step(scenario, number)
}

impl Facts<'_> {
    /// Why a step of a search did not hold; `None` when it did.
    pub(super) fn step(&self, scenario: &str, number: u32) -> Option<StageOutcome> {
        let own = |gate: &&Gate| {
            gate.over == Over::EachStage(scenario.to_owned()) && gate.level == GateLevel::Required
        };
        let results: Vec<GateResult> =
            self.graph.gates.iter().filter(own).map(|gate| self.over_stage(gate, number)).collect();
        let broken = results.iter().find(|r| r.state == GateState::Fail && r.breach_stands);
        let untold = results.iter().find(|result| result.state != GateState::Pass);
        match (broken, untold) {
            (Some(result), _) => Some(StageOutcome::Broke { gate: gate_text(result) }),
            (None, Some(result)) => Some(StageOutcome::Untold { why: gate_text(result) }),
            (None, None) => None,
        }
    }

    /// A gate on each step of a search is shown over the highest that held, and says where it broke.
    pub(super) fn each_stage(&self, gate: &Gate, scenario: &str) -> GateResult {
        let played = self.search_of(scenario);
        let held = played.held.as_ref().map(|(number, _)| *number);
        let number = held.or(played.ended.as_ref().map(|(number, ..)| *number)).unwrap_or(1);
        let mut result = self.over_stage(gate, number);
        let beyond = held.and(played.ended.as_ref()).map(|(number, target, _)| {
            let next = self.over_stage(gate, *number);
            format!("{} at {target}", next.value_text)
        });
        if let (Some((_, target)), GateState::Pass) = (&played.held, result.state) {
            result.note = Some(match beyond {
                Some(beyond) => format!("at {target}; {beyond}"),
                None => format!("at {target}"),
            });
        }
        result
    }

    fn over_stage(&self, gate: &Gate, number: u32) -> GateResult {
        let nothing = PartRecord::default();
        let record = self.view(gate).and_then(|view| view.parts.get(&number)).unwrap_or(&nothing);
        let Over::EachStage(scenario) = &gate.over else { return self.on(gate, Ground::Load) };
        let demand = self.graph.scenarios.iter().find(|s| s.name == *scenario).map(|s| &s.demand);
        let length = demand.and_then(|demand| demand.stage(number)).map(|(begin, end)| end - begin);
        let length_us = length.unwrap_or_default().as_micros() as u64;
        self.on(gate, Ground::Part { record, length_us })
    }

    /// How far a search came, by all that was measured in the end.
    pub(super) fn search_of(&self, scenario: &str) -> Search {
        let mut search = Search::default();
        let stages = self.load.stages.iter().filter(|stage| stage.scenario == scenario);
        for stage in stages.filter(|s| s.outcome != StageOutcome::NotRun) {
            // A step that was cut short was not held as long as the plan asks.
            let outcome = match stage.outcome {
                StageOutcome::CutOff | StageOutcome::Running => Some(StageOutcome::CutOff),
                // What ended the search then, ended it, whatever came in later.
                StageOutcome::Broke { .. } | StageOutcome::Untold { .. } => {
                    Some(self.step(scenario, stage.number).unwrap_or_else(|| stage.outcome.clone()))
                }
                _ => self.step(scenario, stage.number),
            };
            match outcome {
                None => search.held = Some((stage.number, stage.target.clone())),
                Some(outcome) => {
                    search.ended = Some((stage.number, stage.target.clone(), outcome));
                    break;
                }
            }
        }
        search
    }
}

/// How far a search came.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// The highest step that held: number and rate.
    pub(super) held: Option<(u32, String)>,
    /// The first that did not.
    pub(super) ended: Option<(u32, String, StageOutcome)>,
}

impl Case<'_> {
    /// Ramps that never settled and searches that found too little.
    pub(super) fn unsettled(&self) -> Vec<Cause> {
        let mut out = Vec::new();
        for stage in self.load.stages.iter().filter(|stage| stage.outcome == StageOutcome::NeverSettled) {
            out.push(cause(CauseKind::Target, self.never_settled(stage)));
        }
        for (scenario, search) in self.searches() {
            let name = &scenario.name;
            let least = scenario.find_max.and_then(|search| search.at_least);
            let held = search.held.as_ref().and_then(|(number, _)| rate(scenario, *number));
            let broke = match &search.ended {
                Some((_, target, StageOutcome::Broke { gate })) => format!("{target} broke {gate}"),
                None if least.is_none() => continue,
                // What could not be told or was cut short tells no maximum.
                Some(_) => continue,
                None => "no higher rate was tried".into(),
            };
            let text = match (&search.held, held, least) {
                (None, ..) => format!("`{name}`: not even its first rate held: {broke}"),
                (Some((_, target)), Some(held), Some(least)) if held.per_second() < least.per_second() => {
                    format!(
                        "`{name}`: the highest rate that held is {target}, and at least {least} is asked; {broke}"
                    )
                }
                _ => continue,
            };
            out.push(cause(CauseKind::Target, text));
        }
        out
    }

    /// Stages of which nobody can tell whether they held.
    pub(super) fn untold_stages(&self) -> Vec<Cause> {
        let mut out = Vec::new();
        for stage in &self.load.stages {
            let search =
                self.graph.scenarios.iter().any(|s| s.name == stage.scenario && s.find_max.is_some());
            if let (StageOutcome::Untold { why }, false) = (&stage.outcome, search) {
                let StageRecord { scenario, number, target, .. } = stage;
                let text = format!(
                    "nobody can tell whether stage {number} of `{scenario}` ({target}) settled: {why}"
                );
                out.push(cause(CauseKind::Load, text));
            }
        }
        for (scenario, search) in self.searches() {
            let name = &scenario.name;
            match &search.ended {
                Some((_, target, StageOutcome::Untold { why })) => {
                    let text = format!("nobody can tell whether {target} of `{name}` held: {why}");
                    out.push(cause(CauseKind::Load, text));
                }
                Some((_, target, StageOutcome::CutOff)) => {
                    out.push(cause(
                        CauseKind::Load,
                        format!("the search of `{name}` was cut short at {target}"),
                    ));
                }
                _ => {}
            }
        }
        out
    }

    fn searches(&self) -> Vec<(&planc::graph::Scenario, Search)> {
        let facts = Facts::new(self.graph, self.load, self.skipped.clone());
        let searches = self.scenarios().filter(|(scenario, _)| scenario.find_max.is_some());
        searches.map(|(scenario, _)| (scenario, facts.search_of(&scenario.name))).collect()
    }

    /// How far each ramp and each search came, in a line.
    pub(super) fn ceilings(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (scenario, search) in self.searches() {
            let name = &scenario.name;
            out.push(match (&search.held, &search.ended) {
                (None, None) => continue,
                (None, Some((_, target, _))) => format!("`{name}`: no rate held, {target} was the first"),
                (Some((_, held)), Some((_, target, StageOutcome::Broke { gate }))) => {
                    format!("`{name}`: the highest rate that held is {held}; {target} broke {gate}")
                }
                (Some((_, held)), Some((_, target, _))) => {
                    format!("`{name}`: {held} held; whether {target} does is not known")
                }
                (Some((_, held)), None) => {
                    format!("`{name}`: {held} held, the highest rate of the plan: the limit lies above it")
                }
            });
        }
        for stage in self.load.stages.iter().filter(|stage| stage.outcome == StageOutcome::NeverSettled) {
            out.push(format!("`{}`: {}", stage.scenario, self.ceiling(stage)));
        }
        out
    }

    /// The last stage before one that held.
    fn ceiling(&self, stage: &StageRecord) -> String {
        let mut before = self.load.stages.iter().filter(|s| {
            s.scenario == stage.scenario && s.number < stage.number && s.outcome != StageOutcome::NotRun
        });
        match before.next_back() {
            Some(before) => format!("the ceiling is {} (stage {})", before.target, before.number),
            None => format!("no stage held: the ceiling is under {}", stage.target),
        }
    }

    fn never_settled(&self, stage: &StageRecord) -> String {
        let StageRecord { scenario, number, target, .. } = stage;
        let mut why: Vec<String> = stage.lines.iter().filter_map(moves).collect();
        if stage.dropped > 0 {
            why.push(format!("{} arrivals found no free virtual user", stage.dropped));
        }
        let why = why.join("; ");
        let ceiling = self.ceiling(stage);
        format!("`{scenario}` never became stable at {target} (stage {number}): {why}; {ceiling}")
    }

    /// All stages that were played, for reports.
    pub(super) fn stage_rows(&self) -> Vec<StageRow> {
        let staged =
            |name: &str| self.graph.scenarios.iter().any(|s| s.name == name && has_stages(&s.demand));
        self.load.stages.iter().filter(|stage| staged(&stage.scenario)).map(|stage| self.row(stage)).collect()
    }

    fn row(&self, stage: &StageRecord) -> StageRow {
        let time = |us: u64| show_duration(Duration::from_millis(us / 1_000));
        let scenario = self.graph.scenarios.iter().find(|s| s.name == stage.scenario);
        let climb =
            scenario.and_then(|s| s.demand.piece(stage.number)).map_or(Duration::ZERO, |piece| piece.0);
        let reached = stage.began_us + climb.as_micros() as u64;
        let is_search = scenario.is_some_and(|scenario| scenario.find_max.is_some());
        let facts = Facts::new(self.graph, self.load, self.skipped.clone());
        let judged =
            (is_search && stage.held_us.is_some()).then(|| facts.step(&stage.scenario, stage.number));
        StageRow {
            scenario: stage.scenario.clone(),
            number: stage.number,
            target: stage.target.clone(),
            began: if stage.ended_us > 0 { time(stage.began_us) } else { "–".into() },
            lasted: if stage.ended_us > 0 { time(stage.ended_us - stage.began_us) } else { "–".into() },
            held_after: match stage.held_us {
                Some(held) if !is_search => time(held.saturating_sub(reached)),
                _ => "–".into(),
            },
            p95: self.p95(stage),
            errors: self.errors(stage),
            outcome: match judged.flatten().as_ref().unwrap_or(&stage.outcome) {
                StageOutcome::Running => "running".into(),
                StageOutcome::Done => "done".into(),
                StageOutcome::Held if is_search => "held".into(),
                StageOutcome::Held => "settled".into(),
                StageOutcome::NeverSettled => "never became stable".into(),
                StageOutcome::Broke { gate } => format!("broke {gate}"),
                StageOutcome::Untold { why } => format!("cannot be told: {why}"),
                StageOutcome::CutOff => "cut off".into(),
                StageOutcome::NotRun => "not run".into(),
            },
        }
    }

    fn part(&self, metric: &str, stage: &StageRecord) -> Vec<&Samples> {
        let over = Over::EachStage(stage.scenario.clone());
        let own = |selector: &std::collections::BTreeMap<String, String>| {
            selector.len() == 1 && selector.get("scenario") == Some(&stage.scenario)
        };
        let view = self.load.views.iter().find(|v| v.metric == metric && v.over == over && own(&v.selector));
        let part = view.and_then(|view| view.parts.get(&stage.number));
        part.map_or(Vec::new(), |part| part.on_time.iter().chain(&part.late).collect())
    }

    fn p95(&self, stage: &StageRecord) -> String {
        let mut all = Distribution::default();
        for samples in self.part("http_req_duration", stage) {
            if let Samples::Trend(trend) = samples {
                all.add(trend);
            }
        }
        all.percentile(95_000_000).map_or("–".into(), |value| show(value, Unit::Time))
    }

    fn errors(&self, stage: &StageRecord) -> String {
        let (mut failed, mut all) = (0, 0);
        for samples in self.part("http_req_failed", stage) {
            if let Samples::Rate { trues, total } = samples {
                (failed, all) = (failed + trues, all + total);
            }
        }
        if all == 0 { "–".into() } else { show(failed as f64 / all as f64, Unit::Share) }
    }
}

/// Stages that were left out on purpose.
pub(super) fn not_run(load: &LoadRecord) -> Vec<String> {
    let resumed = load.scenarios.iter().filter_map(|(name, record)| Some((name, record.from_stage?)));
    resumed
        .map(|(name, from)| match from {
            2 => format!("stage 1 of `{name}`: the run began at stage 2 (`--from-stage`)"),
            _ => format!(
                "stages 1 to {} of `{name}`: the run began at stage {from} (`--from-stage`)",
                from - 1
            ),
        })
        .collect()
}

/// What a number that is not flat does.
fn moves(line: &LineRecord) -> Option<String> {
    let unit = match line.unit {
        LineUnit::Time => Unit::Time,
        LineUnit::Share => Unit::Share,
        LineUnit::Number => Unit::Plain,
    };
    // Times are kept in millionths of a second, which is what they are shown from.
    let size = |value: i64| {
        let value = value.unsigned_abs() as f64;
        show(if line.unit == LineUnit::Time { value } else { value / 1e6 }, unit)
    };
    let LineRecord { number, window_us, .. } = line;
    let window = show_duration(Duration::from_micros(*window_us));
    match &line.seen {
        LineSeen::Line { flat: true, .. } => None,
        LineSeen::Line { mean, change, limit, .. } => {
            let does = if *change > 0 { "rises" } else { "falls" };
            Some(format!(
                "`{number}` {does} by {} in {window} around a mean of {}, and {} is allowed",
                size(*change),
                size(*mean),
                size(*limit)
            ))
        }
        LineSeen::Endless { points, of } => Some(format!(
            "`{number}` is above every bound in {points} of {of} points of {window}: requests fail"
        )),
        LineSeen::Untold { samples, points } => {
            Some(format!("`{number}` cannot be told: {}", crate::stream::untold(*samples, *points as usize)))
        }
    }
}

/// The rate of a step.
fn rate(scenario: &Scenario, number: u32) -> Option<Rate> {
    match &scenario.demand {
        Demand::Arrivals { pieces, .. } => Some(pieces.get(number as usize - 1)?.target),
        _ => None,
    }
}

/// A stage as it stands, in a line for whoever watches.
pub(crate) fn told(stage: &StageRecord) -> String {
    let StageRecord { scenario, number, target, .. } = stage;
    let what = match (&stage.outcome, stage.held_us) {
        (StageOutcome::Running, None) => "begins".into(),
        (StageOutcome::Running, Some(_)) => "holds".into(),
        (StageOutcome::Done | StageOutcome::Held, _) => "is over".into(),
        (StageOutcome::NeverSettled, _) => {
            let why: Vec<String> = stage.lines.iter().filter_map(moves).collect();
            format!("never became stable: {}", why.join("; "))
        }
        (StageOutcome::Broke { gate }, _) => format!("broke {gate}"),
        (StageOutcome::Untold { why }, _) => format!("cannot be told: {why}"),
        (StageOutcome::CutOff, _) => "was cut off".into(),
        (StageOutcome::NotRun, _) => "is not run".into(),
    };
    format!("{scenario}: stage {number} ({target}) {what}")
}
