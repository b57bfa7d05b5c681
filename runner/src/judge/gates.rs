//! One gate against the evidence: its value, and whether its breach stands.

use super::pool::{Ground, Pool, Seconds, weighted};
use super::{Figure, GateResult, GateState};
use crate::evidence::LoadRecord;
pub(crate) use planc::graph::walk;
use planc::graph::{Aggregate, Bound, Comparison, ExecutionGraph, Gate, GateLevel, MetricKind, Over};
use planc::units::show_duration;
use std::collections::{BTreeMap, BTreeSet};

/// What judging a gate needs beside the gate.
pub(crate) struct Facts<'a> {
    pub(super) graph: &'a ExecutionGraph,
    pub(super) load: &'a LoadRecord,
    skipped: BTreeSet<String>,
    /// Scenario of each step.
    pub(super) owner: BTreeMap<u32, &'a str>,
    /// Smoke scenarios that ran before a load: no part of it.
    smoke: BTreeSet<&'a str>,
    /// Iterations under way, whose samples are still to come: judged before the end of the load.
    in_flight: u64,
}

impl<'a> Facts<'a> {
    /// Facts of a load; `skipped` scenarios were left out on purpose.
    pub(crate) fn new(graph: &'a ExecutionGraph, load: &'a LoadRecord, skipped: BTreeSet<String>) -> Self {
        let mut owner = BTreeMap::new();
        for scenario in &graph.scenarios {
            for steps in [&scenario.setup, &scenario.steps] {
                walk(steps, &mut |step| {
                    owner.insert(step.id.0, scenario.name.as_str());
                });
            }
        }
        let smoke = graph.scenarios.iter().filter(|scenario| scenario.smoke);
        let mut smoke: BTreeSet<&str> = smoke.map(|scenario| scenario.name.as_str()).collect();
        if smoke.len() == graph.scenarios.len() {
            smoke.clear();
        }
        Facts { graph, load, skipped, owner, smoke, in_flight: 0 }
    }

    /// The same in the midst of a load, with so many iterations under way.
    pub(crate) fn amid(self, in_flight: u64) -> Self {
        Facts { in_flight, ..self }
    }

    /// The same with smoke scenarios counted wherever they match.
    pub(crate) fn of_everything(mut self) -> Self {
        self.smoke.clear();
        self
    }

    /// Judges one gate.
    pub(crate) fn gate(&self, gate: &Gate) -> GateResult {
        if self.graph.scrapes.contains_key(&gate.metric) {
            return self.scraped(gate);
        }
        match &gate.over {
            Over::Load => self.on(gate, Ground::Load),
            Over::EveryWindow(length) => self.every_window(gate, *length),
            Over::Stage { scenario, number } => self.stage(gate, scenario, *number),
            Over::EachStage(scenario) => self.each_stage(gate, scenario),
        }
    }

    /// Judges one gate on the load or a part of it.
    pub(super) fn on(&self, gate: &Gate, ground: Ground<'_>) -> GateResult {
        let unit = self.unit(gate);
        let bound = bound_value(gate, unit);
        let pool = self.pool(gate, ground, Seconds::All);
        let measured = self.measure(gate, ground, &pool);
        let breaks = measured.value.is_some_and(|value| !gate.op.holds(value, bound));
        let straddles = measured
            .interval
            .is_some_and(|(low, high)| gate.op.holds(low, bound) != gate.op.holds(high, bound));
        let breach_stands = breaks && measured.refused.is_none() && self.breach_stands(gate, ground, bound);
        let (state, note) = if self.is_skipped(gate) {
            let what =
                if self.before_resumed(gate) { "its stage was not run" } else { "its scenario was not run" };
            (GateState::Skipped, Some(what.to_owned()))
        } else if let Some(reason) = &measured.refused {
            (GateState::Refused, Some(reason.clone()))
        } else if measured.value.is_none() {
            (GateState::NoData, Some("no sample was ever emitted".to_owned()))
        } else if breach_stands || (breaks && measured.samples >= gate.min_samples) {
            (GateState::Fail, added_note(&pool))
        } else if measured.samples < gate.min_samples {
            let note = format!("{} samples, {} are needed", measured.samples, gate.min_samples);
            (GateState::TooFew, Some(note))
        } else if gate.confident && straddles {
            (GateState::WithinNoise, Some("the 95 % interval straddles the bound".to_owned()))
        } else if let Some(lost) = self.could_have_broken(gate, ground, &pool, bound) {
            let note = format!(
                "{lost} arrivals were dropped because the generator was late; with them it could have broken"
            );
            (GateState::Unknown, Some(note))
        } else {
            (GateState::Pass, added_note(&pool))
        };
        GateResult {
            metric: gate.metric.clone(),
            selector: gate.selector.clone(),
            text: gate.condition(),
            advisory: gate.level == GateLevel::Advisory,
            state,
            value: measured.value.map(Figure),
            bound: Some(Figure(bound)),
            value_text: measured.value.map_or("–".into(), |value| show(value, unit)),
            bound_text: show_bound(gate),
            samples: measured.samples,
            min_samples: gate.min_samples,
            interval: measured.interval.map(|(low, high)| (Figure(low), Figure(high))),
            interval_text: measured
                .interval
                .map_or("–".into(), |(low, high)| format!("{} … {}", show(low, unit), show(high, unit))),
            margin_percent: measured.value.and_then(|value| margin(gate.op, value, bound)).map(Figure),
            within_noise: straddles,
            breach_stands,
            note,
        }
    }

    /// Whether a gate is about smoke scenarios alone: it names one, or no other step can emit into it.
    pub(crate) fn is_of_smoke(&self, gate: &Gate) -> bool {
        if let Some(name) = gate.selector.get("scenario") {
            return self.smoke.contains(name.as_str());
        }
        let owners = gate.steps.iter().filter_map(|id| self.owner.get(&id.0));
        !gate.steps.is_empty() && owners.into_iter().all(|name| self.smoke.contains(name))
    }

    /// Whether what a scenario did counts in a gate: a smoke scenario's iterations do in gates of its own only.
    pub(super) fn counts(&self, gate: &Gate, scenario: &str) -> bool {
        !self.smoke.contains(scenario) || self.is_of_smoke(gate)
    }

    /// Whether a gate is about a stage before the one that the run began at.
    fn before_resumed(&self, gate: &Gate) -> bool {
        let Over::Stage { scenario, number } = &gate.over else { return false };
        let from = self.load.scenarios.get(scenario).and_then(|record| record.from_stage);
        from.is_some_and(|from| *number < from)
    }

    pub(super) fn is_skipped(&self, gate: &Gate) -> bool {
        if gate.selector.get("scenario").is_some_and(|name| self.skipped.contains(name)) {
            return true;
        }
        if self.before_resumed(gate) {
            return true;
        }
        let owned: Vec<&&str> = gate.steps.iter().filter_map(|id| self.owner.get(&id.0)).collect();
        !owned.is_empty() && owned.iter().all(|name| self.skipped.contains(**name))
    }

    /// Whether the breach still stands when all seconds in which the generator was late are left out and
    /// every sample that is missing through our own fault is taken as good.
    fn breach_stands(&self, gate: &Gate, ground: Ground<'_>, bound: f64) -> bool {
        let floor = matches!(gate.op, Comparison::Gt | Comparison::Ge);
        let mut pool = match kind_of(self.graph, &gate.metric) {
            // Leaving a second out of a sum makes it smaller, which is good under a ceiling only.
            MetricKind::Counter if floor => self.pool(gate, ground, Seconds::All),
            MetricKind::Gauge => self.pool(gate, ground, Seconds::All),
            _ => self.pool(gate, ground, Seconds::OnTime),
        };
        let unknown = self.unknown_samples(gate, ground);
        match &mut pool {
            Pool::Trend { samples, .. } => {
                let padding = gate.min_samples.saturating_sub(samples.total() + unknown);
                match gate.op {
                    Comparison::Lt | Comparison::Le => samples.add_good(unknown + padding),
                    Comparison::Gt | Comparison::Ge => samples.infinite += unknown + padding,
                    Comparison::Eq | Comparison::Ne => {}
                }
            }
            Pool::Rate { trues, total } => {
                let padding = gate.min_samples.saturating_sub(*total + unknown);
                *total += unknown + padding;
                if floor {
                    *trues += unknown + padding;
                }
            }
            Pool::Counter { .. } if gate.metric == "dropped_iterations" => {
                pool = self.dropped_iterations(gate, ground, floor);
            }
            Pool::Counter { sum, .. } if floor => *sum += unknown as f64,
            Pool::Counter { .. } | Pool::Gauge { .. } => {}
        }
        self.measure(gate, ground, &pool).value.is_some_and(|value| !gate.op.holds(value, bound))
    }

    /// Arrivals that the generator dropped, when the gate would break if the target had been slow to answer them.
    fn could_have_broken(&self, gate: &Gate, ground: Ground<'_>, pool: &Pool, bound: f64) -> Option<u64> {
        let lost = |name: &String| self.drops(ground, name).by_generator;
        let of = gate.drops.iter().filter(|(name, _)| self.counts(gate, name));
        let (mut arrivals, mut added) = (0, 0);
        for (name, weight) in of {
            arrivals += lost(name);
            added += weighted(lost(name), *weight);
        }
        let mut pool = pool.clone();
        match &mut pool {
            Pool::Trend { samples, .. } if added > 0 => samples.infinite += added,
            _ => return None,
        }
        let measured = self.measure(gate, ground, &pool);
        let breaks = measured.refused.is_none() && measured.value.is_some_and(|v| !gate.op.holds(v, bound));
        breaks.then_some(arrivals)
    }

    /// Samples that the generator's own lateness kept from being taken, and those that are still to come.
    fn unknown_samples(&self, gate: &Gate, ground: Ground<'_>) -> u64 {
        let mut unknown = 0;
        for name in self.load.scenarios.keys() {
            let coming = if matches!(ground, Ground::Load) { 0 } else { self.in_flight };
            let missing = self.drops(ground, name).by_generator + coming;
            if missing == 0 || !self.counts(gate, name) {
                continue;
            }
            let each = match gate.drops.get(name) {
                Some(weight) => *weight,
                None => {
                    let steps =
                        gate.steps.iter().filter(|id| self.owner.get(&id.0).is_some_and(|s| s == name));
                    steps.count() as u64 * 1_000_000
                }
            };
            unknown += weighted(missing, each);
        }
        unknown
    }

    pub(super) fn unit(&self, gate: &Gate) -> Unit {
        unit_of(kind_of(self.graph, &gate.metric), gate.aggregate)
    }
}

/// Whether failed iterations can show in a gate: bare counts of what was done cannot break by them, and a stage is a
/// part of the load only.
pub(crate) fn sees_failures(gate: &Gate) -> bool {
    const BLIND: [&str; 7] =
        ["http_reqs", "iterations", "dropped_iterations", "data_sent", "data_received", "vus", "vus_max"];
    let by_answer = ["outcome", "status", "error_code", "expected_response"];
    !matches!(gate.over, Over::Stage { .. })
        && (!BLIND.contains(&gate.metric.as_str())
            || by_answer.iter().any(|tag| gate.selector.contains_key(*tag)))
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Microseconds.
    Time,
    /// A share between 0 and 1.
    Share,
    /// A number.
    Plain,
}

/// Unit of an aggregate of a metric of this kind.
pub(crate) fn unit_of(kind: MetricKind, aggregate: Aggregate) -> Unit {
    match (kind, aggregate) {
        (_, Aggregate::Count) => Unit::Plain,
        (MetricKind::TimeTrend, _) => Unit::Time,
        (MetricKind::Rate, _) => Unit::Share,
        _ => Unit::Plain,
    }
}

/// What a metric is; unknown names are counters, which without samples are never a pass.
pub(crate) fn kind_of(graph: &ExecutionGraph, metric: &str) -> MetricKind {
    if let Some(kind) = graph.metrics.get(metric) {
        return *kind;
    }
    match metric {
        "http_req_failed" | "checks" | "http_server_errors" | "http_rate_limited" => MetricKind::Rate,
        "vus" | "vus_max" => MetricKind::Gauge,
        "iteration_duration" | "group_duration" | "ws_connecting" | "ws_session_duration" => {
            MetricKind::TimeTrend
        }
        name if name.starts_with("http_req_") => MetricKind::TimeTrend,
        _ => MetricKind::Counter,
    }
}

/// Writes a figure in its unit.
pub(crate) fn show(value: f64, unit: Unit) -> String {
    if value.is_infinite() {
        return "∞".into();
    }
    match unit {
        Unit::Time if value == 0.0 => "0s".into(),
        Unit::Time if value >= 1e6 => format!("{:.2}s", value / 1e6),
        Unit::Time if value >= 1e5 => format!("{:.0}ms", value / 1e3),
        Unit::Time if value >= 1e3 => format!("{:.2}ms", value / 1e3),
        Unit::Time => format!("{value:.0}µs"),
        Unit::Share => format!("{:.2}%", value * 100.0),
        Unit::Plain if value.fract() == 0.0 => format!("{value:.0}"),
        Unit::Plain => format!("{value:.2}"),
    }
}

/// A gate's bound in the unit of its value.
pub(super) fn bound_value(gate: &Gate, unit: Unit) -> f64 {
    match gate.bound {
        Bound::Duration(duration) => duration.as_nanos() as f64 / 1e3,
        Bound::Share(share) => share.as_f64(),
        // A bare number in a k6 threshold on a time means milliseconds.
        Bound::Number(number) if unit == Unit::Time => number.as_f64() * 1e3,
        Bound::Number(number) => number.as_f64(),
    }
}

fn show_bound(gate: &Gate) -> String {
    let bound = match gate.bound {
        Bound::Duration(duration) => show_duration(duration),
        Bound::Share(share) => share.to_string(),
        Bound::Number(number) => number.to_string(),
    };
    format!("{} {bound}", gate.op.as_str())
}

/// Room left to the bound, in percent of it; negative beyond it.
fn margin(op: Comparison, value: f64, bound: f64) -> Option<f64> {
    if bound == 0.0 || !value.is_finite() {
        return None;
    }
    match op {
        Comparison::Lt | Comparison::Le => Some((bound - value) / bound * 100.0),
        Comparison::Gt | Comparison::Ge => Some((value - bound) / bound * 100.0),
        Comparison::Eq | Comparison::Ne => None,
    }
}

fn added_note(pool: &Pool) -> Option<String> {
    match pool {
        Pool::Trend { samples, added } if samples.infinite > 0 => {
            let failed = samples.infinite - added;
            Some(match (failed, *added) {
                (failed, 0) => format!("{failed} failed or cut off count as above every bound"),
                (0, added) => format!("{added} dropped count as above every bound"),
                (failed, added) => {
                    format!("{failed} failed or cut off and {added} dropped count as above every bound")
                }
            })
        }
        _ => None,
    }
}
