//! Parts of a load that gates judge by themselves: windows and stages. A sample belongs to the part in which its
//! intended start lies, however long it took.
//!
//! Only what a gate asks for is kept apart: the samples of its metric under its selector, merged by part.

use crate::course::Course;
use crate::record::{COUNTED, TIMES};
use planc::graph::{Demand, ExecutionGraph, Gate, Over, Scenario, Template, walk};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One metric under one selector, cut into parts.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The metric.
    pub(crate) metric: String,
    /// Tags that a sample must carry.
    pub(crate) selector: BTreeMap<String, String>,
    /// How it is cut.
    pub(crate) over: Over,
    /// How the time of each scenario that can emit into it is read.
    pub(crate) clocks: BTreeMap<String, Clock>,
    /// Steps whose plays are counted, so that a counter without a sample can be a true zero.
    steps: BTreeSet<u32>,
    /// When the stages of its scenario end, where it is cut by these.
    course: Option<Arc<Course>>,
}

/// What is kept of each stage of every scenario that has some.
pub(crate) const TOLD_BY_STAGE: [&str; 2] = ["http_req_duration", "http_req_failed"];

/// How a view reads the time of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// From the scenario's own beginning, which is at this moment of the view, in microseconds.
    Own(u64),
    /// From the load's start, less this.
    Load(u64),
}

/// When something was intended to start, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// After the scenario's beginning.
    pub(crate) own_us: u64,
    /// The scenario's beginning after the load's start.
    pub(crate) begun_us: u64,
}

impl Clock {
    /// Where the beginning of a scenario lies.
    pub(crate) fn beginning(self, begun_us: u64) -> u64 {
        match self {
            Clock::Own(offset) => offset,
            Clock::Load(origin) => begun_us.saturating_sub(origin),
        }
    }
}

impl View {
    /// All views that the gates of the played scenarios need.
    pub(crate) fn all(
        graph: &ExecutionGraph,
        played: &[&Scenario],
        courses: &BTreeMap<&str, Arc<Course>>,
    ) -> Vec<View> {
        let mut out: Vec<View> = Vec::new();
        // A scraped metric is kept point by point, and cut when it is judged.
        let cut = |gate: &&Gate| !gate.over.is_load() && !graph.scrapes.contains_key(&gate.metric);
        for gate in graph.gates.iter().filter(cut) {
            let reached: Vec<&Scenario> = played.iter().copied().filter(|s| reaches(gate, s)).collect();
            if reached.is_empty() || out.iter().any(|view| view.is_of(gate)) {
                continue;
            }
            out.push(View {
                metric: gate.metric.clone(),
                selector: gate.selector.clone(),
                over: gate.over.clone(),
                clocks: clocks(&reached),
                steps: gate.steps.iter().map(|id| id.0).collect(),
                course: gate.over.scenario().and_then(|name| courses.get(name).cloned()),
            });
        }
        for scenario in played.iter().filter(|scenario| has_stages(&scenario.demand)) {
            for metric in TOLD_BY_STAGE {
                let view = View::by_stage(metric, scenario, courses);
                let same =
                    |v: &View| v.metric == view.metric && v.selector == view.selector && v.over == view.over;
                if !out.iter().any(same) {
                    out.push(view);
                }
            }
        }
        out
    }

    /// What reports tell of each stage of a scenario.
    fn by_stage(metric: &str, scenario: &Scenario, courses: &BTreeMap<&str, Arc<Course>>) -> View {
        View {
            metric: metric.to_owned(),
            selector: BTreeMap::from([("scenario".to_owned(), scenario.name.clone())]),
            over: Over::EachStage(scenario.name.clone()),
            clocks: BTreeMap::from([(scenario.name.clone(), Clock::Own(0))]),
            steps: BTreeSet::new(),
            course: courses.get(&*scenario.name).cloned(),
        }
    }

    /// Whether it is what a gate judges.
    pub(crate) fn is_of(&self, gate: &Gate) -> bool {
        self.metric == gate.metric && self.selector == gate.selector && self.over == gate.over
    }

    /// Whether the samples of a series belong to it. The metric of requests is empty: they have many.
    pub(crate) fn takes(&self, metric: &str, tags: &BTreeMap<String, String>) -> bool {
        let named = match metric {
            "" => TIMES.contains(&self.metric.as_str()) || COUNTED.contains(&self.metric.as_str()),
            metric => self.metric == metric,
        };
        named && self.selector.iter().all(|(tag, value)| tags.get(tag) == Some(value))
    }

    /// The part in which a moment lies.
    pub(crate) fn part(&self, clock: Clock, at: Moment) -> Option<u32> {
        match &self.over {
            Over::Load => None,
            Over::EveryWindow(length) => {
                let width = (length.as_micros() as u64).max(1);
                u32::try_from((clock.beginning(at.begun_us) + at.own_us) / width).ok()
            }
            Over::Stage { number, .. } => {
                (self.course.as_ref()?.stage_at(at.own_us)? == *number).then_some(0)
            }
            Over::EachStage(_) => self.course.as_ref()?.stage_at(at.own_us),
        }
    }

    /// Whether plays of a step are counted in it.
    pub(crate) fn counts_plays_of(&self, step: u32) -> bool {
        self.steps.contains(&step)
    }

    /// Whether iterations that begin are counted in it.
    pub(crate) fn counts_iterations(&self) -> bool {
        self.metric == "dropped_iterations"
    }
}

/// Windows of one scenario begin with it. Those of several that begin by the clock lie where the plan has them; one that
/// waits for another is where the run puts it.
fn clocks(reached: &[&Scenario]) -> BTreeMap<String, Clock> {
    if let [only] = reached {
        return BTreeMap::from([(only.name.clone(), Clock::Own(0))]);
    }
    let micros = |scenario: &Scenario| scenario.start_time.as_micros() as u64;
    let planned = reached.iter().filter(|scenario| scenario.needs.is_empty());
    let origin = planned.map(|scenario| micros(scenario)).min().unwrap_or(0);
    let clock = |scenario: &Scenario| match scenario.needs.is_empty() {
        true => Clock::Own(micros(scenario) - origin),
        false => Clock::Load(origin),
    };
    reached.iter().map(|scenario| (scenario.name.clone(), clock(scenario))).collect()
}

/// Whether a load goes by stages.
pub(crate) fn has_stages(demand: &Demand) -> bool {
    demand.piece(2).is_some() || demand.is_held()
}

/// Whether a scenario can emit into a gate.
fn reaches(gate: &Gate, scenario: &Scenario) -> bool {
    if gate.steps.is_empty() {
        let can_drop = !matches!(scenario.demand, Demand::Users { .. });
        return carries(scenario, &gate.selector) && (gate.metric != "dropped_iterations" || can_drop);
    }
    let mut found = false;
    for steps in [&scenario.setup, &scenario.steps] {
        walk(steps, &mut |step| found |= gate.steps.contains(&step.id));
    }
    found
}

/// Whether all samples of a scenario carry the tags of a selector.
pub(crate) fn carries(scenario: &Scenario, selector: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(tag, value)| {
        if tag == "scenario" {
            return *value == scenario.name;
        }
        scenario.tags.get(tag).and_then(Template::as_literal) == Some(value.as_str())
    })
}
