//! One gate against the evidence: its population, its value, and whether its breach stands.

use super::stats::{Distribution, wilson};
use super::{Figure, GateResult, GateState};
use crate::evidence::{LoadRecord, Population, Samples, ScenarioRecord};
use planc::graph::{
    Aggregate, Bound, Comparison, ExecutionGraph, Gate, GateLevel, MetricKind, Scenario, Step, StepKind,
    Template,
};
use planc::units::show_duration;
use std::collections::{BTreeMap, BTreeSet};

/// What judging a gate needs beside the gate.
pub(crate) struct Facts<'a> {
    graph: &'a ExecutionGraph,
    load: &'a LoadRecord,
    skipped: BTreeSet<String>,
    /// Scenario of each step.
    owner: BTreeMap<u32, &'a str>,
    /// Smoke scenarios that ran before a load: no part of it.
    smoke: BTreeSet<&'a str>,
}

/// The samples that a gate looks at.
#[derive(Debug, Clone, PartialEq)]
enum Pool {
    Trend { samples: Distribution, added: u64 },
    Rate { trues: u64, total: u64 },
    Counter { sum: f64, samples: u64 },
    Gauge { last: Option<f64>, min: f64, max: f64, count: u64 },
}

/// What a gate computes from its pool.
#[derive(Debug, Clone, Default, PartialEq)]
struct Measured {
    value: Option<f64>,
    interval: Option<(f64, f64)>,
    samples: u64,
    refused: Option<String>,
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
        Facts { graph, load, skipped, owner, smoke }
    }

    /// Judges one gate.
    pub(crate) fn gate(&self, gate: &Gate) -> GateResult {
        let unit = self.unit(gate);
        let bound = bound_value(gate, unit);
        let pool = self.pool(gate, &[&self.load.on_time, &self.load.late]);
        let measured = self.measure(gate, &pool);
        let breaks = measured.value.is_some_and(|value| !gate.op.holds(value, bound));
        let straddles = measured
            .interval
            .is_some_and(|(low, high)| gate.op.holds(low, bound) != gate.op.holds(high, bound));
        let breach_stands = breaks && measured.refused.is_none() && self.breach_stands(gate, bound);
        let (state, note) = if self.is_skipped(gate) {
            (GateState::Skipped, Some("its scenario was not run".to_owned()))
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
        } else if let Some(lost) = self.could_have_broken(gate, &pool, bound) {
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
            text: gate.text.clone(),
            advisory: gate.level == GateLevel::Advisory,
            state,
            value: measured.value.map(Figure),
            bound: Figure(bound),
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
    fn counts(&self, gate: &Gate, scenario: &str) -> bool {
        !self.smoke.contains(scenario) || self.is_of_smoke(gate)
    }

    fn is_skipped(&self, gate: &Gate) -> bool {
        if gate.selector.get("scenario").is_some_and(|name| self.skipped.contains(name)) {
            return true;
        }
        let owned: Vec<&&str> = gate.steps.iter().filter_map(|id| self.owner.get(&id.0)).collect();
        !owned.is_empty() && owned.iter().all(|name| self.skipped.contains(**name))
    }

    /// Whether the breach still stands when all seconds in which the generator was late are left out and
    /// every sample that is missing through our own fault is taken as good.
    fn breach_stands(&self, gate: &Gate, bound: f64) -> bool {
        let whole = [&self.load.on_time, &self.load.late];
        let floor = matches!(gate.op, Comparison::Gt | Comparison::Ge);
        let mut pool = match kind_of(self.graph, &gate.metric) {
            // Leaving a second out of a sum makes it smaller, which is good under a ceiling only.
            MetricKind::Counter if floor => self.pool(gate, &whole),
            MetricKind::Gauge => self.pool(gate, &whole),
            _ => self.pool(gate, &[&self.load.on_time]),
        };
        let unknown = self.unknown_samples(gate);
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
                pool = self.dropped_iterations(gate, floor);
            }
            Pool::Counter { sum, .. } if floor => *sum += unknown as f64,
            Pool::Counter { .. } | Pool::Gauge { .. } => {}
        }
        self.measure(gate, &pool).value.is_some_and(|value| !gate.op.holds(value, bound))
    }

    /// Arrivals that the generator dropped, when the gate would break if the target had been slow to answer them.
    fn could_have_broken(&self, gate: &Gate, pool: &Pool, bound: f64) -> Option<u64> {
        let lost = |name: &String| self.load.scenarios.get(name).map_or(0, |r| r.dropped_by_generator);
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
        let measured = self.measure(gate, &pool);
        let breaks = measured.refused.is_none() && measured.value.is_some_and(|v| !gate.op.holds(v, bound));
        breaks.then_some(arrivals)
    }

    /// Samples that the generator's own lateness kept from being taken.
    fn unknown_samples(&self, gate: &Gate) -> u64 {
        let mut unknown = 0;
        for (name, record) in &self.load.scenarios {
            if record.dropped_by_generator == 0 || !self.counts(gate, name) {
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
            unknown += weighted(record.dropped_by_generator, each);
        }
        unknown
    }

    fn pool(&self, gate: &Gate, populations: &[&Population]) -> Pool {
        if gate.metric == "dropped_iterations" {
            return self.dropped_iterations(gate, true);
        }
        let mut pool = match kind_of(self.graph, &gate.metric) {
            MetricKind::Trend | MetricKind::TimeTrend => {
                Pool::Trend { samples: Distribution::default(), added: 0 }
            }
            MetricKind::Rate => Pool::Rate { trues: 0, total: 0 },
            MetricKind::Counter => Pool::Counter { sum: 0.0, samples: self.plays(gate) },
            MetricKind::Gauge => {
                Pool::Gauge { last: None, min: f64::INFINITY, max: f64::NEG_INFINITY, count: 0 }
            }
        };
        let mut newest = 0;
        let matching = populations.iter().flat_map(|population| &population.series).filter(|series| {
            series.metric == gate.metric
                && gate.selector.iter().all(|(tag, value)| series.tags.get(tag) == Some(value))
                && series.tags.get("scenario").is_none_or(|name| self.counts(gate, name))
        });
        let mut additions = 0;
        for series in matching {
            match (&mut pool, &series.samples) {
                (Pool::Trend { samples, .. }, Samples::Trend(trend)) => samples.add(trend),
                (Pool::Rate { trues, total }, Samples::Rate { trues: t, total: n }) => {
                    *trues += t;
                    *total += n;
                }
                (Pool::Counter { sum, .. }, Samples::Counter { sum_milli, count }) => {
                    *sum += *sum_milli as f64 / 1_000.0;
                    additions += count;
                }
                (
                    Pool::Gauge { last, min, max, count },
                    Samples::Gauge { last_milli, at_us, min_milli, max_milli, count: n },
                ) => {
                    if last.is_none() || *at_us >= newest {
                        newest = *at_us;
                        *last = Some(*last_milli as f64 / 1_000.0);
                    }
                    *min = min.min(*min_milli as f64 / 1_000.0);
                    *max = max.max(*max_milli as f64 / 1_000.0);
                    *count += n;
                }
                // Another kind under this name cannot be compared; it stays without data, never a pass.
                _ => {}
            }
        }
        match &mut pool {
            Pool::Trend { samples, added } => {
                *added = self.target_drops(gate);
                samples.infinite += *added;
            }
            Pool::Counter { samples, .. } => *samples = (*samples).max(additions),
            _ => {}
        }
        pool
    }

    /// How often the steps that can emit into a gate were played: a counter of theirs without a sample
    /// is a true zero only when they were.
    fn plays(&self, gate: &Gate) -> u64 {
        if !self.keeps(gate) {
            return 0;
        }
        let counted =
            gate.steps.iter().filter(|id| self.owner.get(&id.0).is_none_or(|name| self.counts(gate, name)));
        counted.filter_map(|id| self.load.steps_played.get(&id.0)).sum()
    }

    /// Whether samples were kept by the tags that a gate selects by. Where they were not, the absence of one says nothing.
    fn keeps(&self, gate: &Gate) -> bool {
        let all = || [&self.load.on_time, &self.load.late].into_iter().flat_map(|p| &p.series);
        gate.selector.keys().all(|tag| all().any(|series| series.tags.contains_key(tag)))
    }

    fn target_drops(&self, gate: &Gate) -> u64 {
        let of = |name: &String| self.load.scenarios.get(name).map_or(0, |record| record.dropped_by_target);
        let counted = gate.drops.iter().filter(|(name, _)| self.counts(gate, name));
        counted.map(|(name, weight)| weighted(of(name), *weight)).sum()
    }

    /// Dropped iterations, those that are the generator's fault with them or not.
    fn dropped_iterations(&self, gate: &Gate, with_ours: bool) -> Pool {
        let mut sum = 0;
        let mut samples = 0;
        for scenario in self.graph.scenarios.iter().filter(|scenario| carries(scenario, &gate.selector)) {
            let record = self.load.scenarios.get(&scenario.name);
            if let Some(record) = record.filter(|_| self.counts(gate, &scenario.name)) {
                sum += record.dropped_by_target + if with_ours { record.dropped_by_generator } else { 0 };
                samples += started_or_dropped(record);
            }
        }
        Pool::Counter { sum: sum as f64, samples }
    }

    fn measure(&self, gate: &Gate, pool: &Pool) -> Measured {
        match pool {
            Pool::Trend { samples, added } => {
                let unit_scale = if self.unit(gate) == Unit::Time { 1.0 } else { 1_000.0 };
                measure_trend(gate.aggregate, samples, *added, unit_scale)
            }
            Pool::Rate { trues, total } => {
                let (trues, total) = (*trues, *total);
                let (value, interval) = match gate.aggregate {
                    Aggregate::Count => (Some(total as f64), None),
                    _ => ((total > 0).then(|| trues as f64 / total as f64), wilson(trues, total)),
                };
                Measured { value: value.filter(|_| total > 0), interval, samples: total, refused: None }
            }
            Pool::Counter { sum, samples } => {
                let seconds = self.load.duration_us as f64 / 1e6;
                let value = match gate.aggregate {
                    Aggregate::Rate if seconds > 0.0 => Some(sum / seconds),
                    Aggregate::Rate => None,
                    _ => Some(*sum),
                };
                Measured { value: value.filter(|_| *samples > 0), samples: *samples, ..Measured::default() }
            }
            Pool::Gauge { last, min, max, count } => {
                let value = match gate.aggregate {
                    Aggregate::Min => last.map(|_| *min),
                    Aggregate::Max => last.map(|_| *max),
                    Aggregate::Count => last.map(|_| *count as f64),
                    _ => *last,
                };
                Measured { value, samples: *count, ..Measured::default() }
            }
        }
    }

    fn unit(&self, gate: &Gate) -> Unit {
        unit_of(kind_of(self.graph, &gate.metric), gate.aggregate)
    }
}

/// Whether failed iterations can show in a gate: bare counts of what was done cannot break by them.
pub(crate) fn sees_failures(gate: &Gate) -> bool {
    const BLIND: [&str; 7] =
        ["http_reqs", "iterations", "dropped_iterations", "data_sent", "data_received", "vus", "vus_max"];
    !BLIND.contains(&gate.metric.as_str())
        || ["outcome", "status", "error_code", "expected_response"]
            .iter()
            .any(|tag| gate.selector.contains_key(*tag))
}

/// Whether all samples of a scenario carry the tags of a selector.
fn carries(scenario: &Scenario, selector: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(tag, value)| {
        if tag == "scenario" {
            return *value == scenario.name;
        }
        scenario.tags.get(tag).and_then(Template::as_literal) == Some(value.as_str())
    })
}

fn measure_trend(aggregate: Aggregate, samples: &Distribution, added: u64, scale: f64) -> Measured {
    let total = samples.total();
    let mut refused = None;
    let (value, interval) = match aggregate {
        Aggregate::Percentile(p) => (samples.percentile(p.0), samples.percentile_interval(p.0)),
        Aggregate::Med => (samples.percentile(50_000_000), samples.percentile_interval(50_000_000)),
        Aggregate::Min => (samples.min(), None),
        Aggregate::Max => (samples.max(), None),
        Aggregate::Count => {
            let own = total - added;
            return Measured { value: (own > 0).then_some(own as f64), samples: own, ..Measured::default() };
        }
        _ => {
            if samples.infinite > 0 {
                refused = Some(format!(
                    "{} of {total} samples failed or were cut off and have no finite time, so there is no mean",
                    samples.infinite
                ));
            }
            (samples.mean(), samples.mean_interval())
        }
    };
    Measured {
        value: value.map(|value| value / scale),
        interval: interval.map(|(low, high)| (low / scale, high / scale)),
        samples: total,
        refused,
    }
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

/// Calls `visit` for every step, inner ones included.
pub(crate) fn walk<'a>(steps: &'a [Step], visit: &mut dyn FnMut(&'a Step)) {
    for step in steps {
        visit(step);
        match &step.kind {
            StepKind::Choose(branches) => branches.iter().for_each(|branch| walk(&branch.steps, visit)),
            StepKind::Repeat { steps, .. }
            | StepKind::Each { steps, .. }
            | StepKind::When { steps, .. }
            | StepKind::Group { steps, .. } => walk(steps, visit),
            StepKind::Http(_) | StepKind::Pause(_) => {}
        }
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
fn bound_value(gate: &Gate, unit: Unit) -> f64 {
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

fn weighted(count: u64, millionths: u64) -> u64 {
    (u128::from(count) * u128::from(millionths)).div_ceil(1_000_000) as u64
}

fn started_or_dropped(record: &ScenarioRecord) -> u64 {
    record.started + record.dropped_by_target + record.dropped_by_generator
}
