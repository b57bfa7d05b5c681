//! The samples that a gate looks at, of the whole load or of a part of it, and what it computes from them.

use super::gates::{Facts, Unit, kind_of};
use super::stats::{Distribution, wilson};
use crate::evidence::{Drops, PartRecord, Samples};
use crate::views::carries;
use planc::graph::{Aggregate, Gate, MetricKind};

/// What a gate is judged on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ground<'a> {
    /// The whole load.
    Load,
    /// A stretch of it, of a metric that is scraped beside it; microseconds since its start.
    Stretch(u64, u64),
    /// A window or a stage.
    Part {
        /// What was in it.
        record: &'a PartRecord,
        /// How long it is.
        length_us: u64,
    },
}

/// Which seconds' samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seconds {
    /// All.
    All,
    /// Those in which the generator was on time.
    OnTime,
}

/// The samples that a gate looks at.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pool {
    Trend { samples: Distribution, added: u64 },
    Rate { trues: u64, total: u64 },
    Counter { sum: f64, samples: u64 },
    Gauge { last: Option<f64>, min: f64, max: f64, sum: f64, count: u64 },
}

/// What a gate computes from its pool.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Measured {
    pub(super) value: Option<f64>,
    pub(super) interval: Option<(f64, f64)>,
    pub(super) samples: u64,
    pub(super) refused: Option<String>,
}

impl Pool {
    /// What came since the sums were these. Extremes are those of the whole.
    pub(super) fn since(&self, before: &Pool) -> Pool {
        match (self, before) {
            (Pool::Trend { samples, added }, Pool::Trend { samples: earlier, .. }) => {
                Pool::Trend { samples: samples.less(earlier), added: *added }
            }
            (Pool::Rate { trues, total }, Pool::Rate { trues: t, total: n }) => {
                Pool::Rate { trues: trues.saturating_sub(*t), total: total.saturating_sub(*n) }
            }
            (Pool::Counter { sum, samples }, Pool::Counter { sum: earlier, .. }) => {
                Pool::Counter { sum: sum - earlier, samples: *samples }
            }
            _ => self.clone(),
        }
    }
}

impl Facts<'_> {
    /// The samples that a gate looks at.
    pub(super) fn pool(&self, gate: &Gate, ground: Ground<'_>, seconds: Seconds) -> Pool {
        if gate.metric == "dropped_iterations" {
            return self.dropped_iterations(gate, ground, true);
        }
        if self.graph.scrapes.contains_key(&gate.metric) {
            return self.scraped_pool(gate, ground);
        }
        let mut pool = match kind_of(self.graph, &gate.metric) {
            MetricKind::Trend | MetricKind::TimeTrend => {
                Pool::Trend { samples: Distribution::default(), added: 0 }
            }
            MetricKind::Rate => Pool::Rate { trues: 0, total: 0 },
            MetricKind::Counter => Pool::Counter { sum: 0.0, samples: self.plays(gate, ground) },
            MetricKind::Gauge => {
                Pool::Gauge { last: None, min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, count: 0 }
            }
        };
        let mut newest = 0;
        let mut additions = 0;
        for samples in self.samples(gate, ground, seconds) {
            match (&mut pool, samples) {
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
                    Pool::Gauge { last, min, max, count, .. },
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
                *added = self.target_drops(gate, ground);
                samples.infinite += *added;
            }
            Pool::Counter { samples, .. } => *samples = (*samples).max(additions),
            _ => {}
        }
        pool
    }

    fn samples<'s>(&'s self, gate: &Gate, ground: Ground<'s>, seconds: Seconds) -> Vec<&'s Samples> {
        if let Ground::Part { record, .. } = ground {
            let late = record.late.as_ref().filter(|_| seconds == Seconds::All);
            return record.on_time.iter().chain(late).collect();
        }
        let late = (seconds == Seconds::All).then_some(&self.load.late);
        let populations = [&self.load.on_time].into_iter().chain(late);
        let matching = populations.flat_map(|population| &population.series).filter(|series| {
            series.metric == gate.metric
                && gate.selector.iter().all(|(tag, value)| series.tags.get(tag) == Some(value))
                && series.tags.get("scenario").is_none_or(|name| self.counts(gate, name))
        });
        matching.map(|series| &series.samples).collect()
    }

    /// How often the steps that can emit into a gate were played: a counter of theirs without a sample
    /// is a true zero only when they were.
    fn plays(&self, gate: &Gate, ground: Ground<'_>) -> u64 {
        if let Ground::Part { record, .. } = ground {
            return record.plays;
        }
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

    /// What of a scenario's iterations was not begun.
    pub(super) fn drops(&self, ground: Ground<'_>, scenario: &str) -> Drops {
        if let Ground::Part { record, .. } = ground {
            return record.dropped.get(scenario).copied().unwrap_or_default();
        }
        self.load.scenarios.get(scenario).map_or_else(Drops::default, |record| Drops {
            by_target: record.dropped_by_target,
            by_generator: record.dropped_by_generator,
        })
    }

    fn target_drops(&self, gate: &Gate, ground: Ground<'_>) -> u64 {
        let counted = gate.drops.iter().filter(|(name, _)| self.counts(gate, name));
        counted.map(|(name, weight)| weighted(self.drops(ground, name).by_target, *weight)).sum()
    }

    /// Dropped iterations, those that are the generator's fault with them or not.
    pub(super) fn dropped_iterations(&self, gate: &Gate, ground: Ground<'_>, with_ours: bool) -> Pool {
        let mut sum = 0;
        let mut samples = match ground {
            Ground::Load | Ground::Stretch(..) => 0,
            Ground::Part { record, .. } => record.plays,
        };
        for scenario in self.graph.scenarios.iter().filter(|scenario| carries(scenario, &gate.selector)) {
            let record = self.load.scenarios.get(&scenario.name);
            if let Some(record) = record.filter(|_| self.counts(gate, &scenario.name)) {
                let drops = self.drops(ground, &scenario.name);
                sum += drops.by_target + if with_ours { drops.by_generator } else { 0 };
                samples += drops.by_target + drops.by_generator;
                samples += if matches!(ground, Ground::Load) { record.started } else { 0 };
            }
        }
        Pool::Counter { sum: sum as f64, samples }
    }

    /// What a gate computes from its pool.
    pub(super) fn measure(&self, gate: &Gate, ground: Ground<'_>, pool: &Pool) -> Measured {
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
                let seconds = match ground {
                    Ground::Load => self.load.duration_us,
                    Ground::Stretch(from, to) => to - from,
                    Ground::Part { length_us, .. } => length_us,
                } as f64
                    / 1e6;
                let value = match gate.aggregate {
                    Aggregate::Rate if seconds > 0.0 => Some(sum / seconds),
                    Aggregate::Rate => None,
                    _ => Some(*sum),
                };
                Measured { value: value.filter(|_| *samples > 0), samples: *samples, ..Measured::default() }
            }
            Pool::Gauge { last, min, max, sum, count } => {
                let value = match gate.aggregate {
                    Aggregate::Min => last.map(|_| *min),
                    Aggregate::Max => last.map(|_| *max),
                    Aggregate::Avg => last.map(|_| sum / *count as f64),
                    Aggregate::Count => last.map(|_| *count as f64),
                    _ => *last,
                };
                Measured { value, samples: *count, ..Measured::default() }
            }
        }
    }
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

/// So many times a weight in millionths, rounded up.
pub(super) fn weighted(count: u64, millionths: u64) -> u64 {
    (u128::from(count) * u128::from(millionths)).div_ceil(1_000_000) as u64
}
