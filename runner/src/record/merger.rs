//! Summing what workers hand over, by series and by part of a view.

use super::{Buckets, COUNTED, Delta, GaugeCell, Labels, PartCounts, Snapshot, TIMES};
use crate::evidence::{Drops, PartRecord, Population, Series, ViewRecord};
use crate::views::View;
use planc::graph::MetricRef;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Sums over all workers and seconds.
#[derive(Default)]
pub(crate) struct Merger {
    index: BTreeMap<Labels, u32>,
    labels: Vec<Labels>,
    on_time: Vec<Option<Delta>>,
    late: Vec<Option<Delta>>,
    /// For each worker, the number here of each of its series.
    numbers: Vec<Vec<u32>>,
    views: Arc<Vec<View>>,
    /// By view and part.
    parts: Vec<BTreeMap<u32, PartSums>>,
    /// Numbers of which each second is told.
    numbers_told: Vec<MetricRef>,
    /// By series, which of them it belongs to.
    belongs: Vec<Vec<usize>>,
    /// What each got in this second.
    second: Vec<Option<Delta>>,
}

/// Sums of one part of a view.
#[derive(Debug, Default)]
struct PartSums {
    on_time: Option<Delta>,
    late: Option<Delta>,
    /// By number of the scenario.
    counts: BTreeMap<u16, PartCounts>,
}

/// Totals of what was merged in one second.
#[derive(Debug, Default)]
pub(crate) struct Second {
    /// Requests and how many of them failed.
    pub(crate) requests: u64,
    /// Of them failed.
    pub(crate) failed: u64,
    /// `http_req_duration`.
    pub(crate) duration: Buckets,
}

impl Merger {
    /// A merger for so many workers, which tells each second of some numbers.
    pub(crate) fn new(workers: usize, views: Arc<Vec<View>>, numbers_told: Vec<MetricRef>) -> Self {
        let second = vec![None; numbers_told.len()];
        let parts = views.iter().map(|_| BTreeMap::new()).collect();
        let numbers = vec![Vec::new(); workers];
        Merger { numbers, views, parts, numbers_told, second, ..Merger::default() }
    }

    /// Adds a worker's delta of a second that was late or not, and tells the second's totals.
    pub(crate) fn add(&mut self, worker: usize, snapshot: &mut Snapshot, late: bool, second: &mut Second) {
        for labels in snapshot.fresh.drain(..) {
            let number = self.number(labels);
            self.numbers[worker].push(number);
        }
        for (local, delta) in snapshot.deltas.drain(..) {
            if let Delta::Request(bundle) = &delta {
                second.requests += bundle.0.requests;
                second.failed += bundle.0.failed;
                second.duration.merge(&bundle.1[0]);
            }
            let number = self.numbers[worker][local as usize];
            self.put(number, delta, late);
        }
        for (key, delta) in snapshot.parts.drain(..) {
            let at = usize::from(key.view);
            let sums = self.parts[at].entry(key.part).or_default();
            let sum = if late || key.late { &mut sums.late } else { &mut sums.on_time };
            let delta = delta.only(&self.views[at].metric);
            match sum {
                Some(sum) => sum.merge(&delta),
                empty => *empty = Some(delta),
            }
        }
        for (key, more) in std::mem::take(&mut snapshot.counts) {
            let sums = self.parts[usize::from(key.view)].entry(key.part).or_default();
            let counts = sums.counts.entry(key.scenario).or_default();
            counts.plays += more.plays;
            counts.dropped += more.dropped;
            counts.dropped_late += more.dropped_late;
        }
    }

    /// What each number got since the last call.
    pub(crate) fn take_second(&mut self) -> Vec<Option<Delta>> {
        let next = vec![None; self.numbers_told.len()];
        std::mem::replace(&mut self.second, next)
    }

    /// The views as evidence. `scenarios` are their names, by number.
    pub(crate) fn views(&self, scenarios: &[&str]) -> Vec<ViewRecord> {
        let part = |sums: &PartSums| {
            let mut record = PartRecord {
                on_time: sums.on_time.clone().map(Delta::into_samples),
                late: sums.late.clone().map(Delta::into_samples),
                ..PartRecord::default()
            };
            for (scenario, counts) in &sums.counts {
                record.plays += counts.plays;
                if counts.dropped > 0 {
                    let by_target = counts.dropped - counts.dropped_late;
                    let name = scenarios[usize::from(*scenario)].to_owned();
                    record.dropped.insert(name, Drops { by_target, by_generator: counts.dropped_late });
                }
            }
            record
        };
        let views = self.views.iter().zip(&self.parts);
        views
            .map(|(view, parts)| ViewRecord {
                metric: view.metric.clone(),
                selector: view.selector.clone(),
                over: view.over.clone(),
                scenarios: BTreeMap::new(),
                parts: parts.iter().map(|(number, sums)| (*number, part(sums))).collect(),
            })
            .collect()
    }

    /// Adds a sample, in thousandths, of a gauge that no worker records.
    pub(crate) fn gauge(&mut self, metric: &str, value: i64, at_us: u64) {
        let labels = Labels { metric: metric.to_owned(), tags: BTreeMap::new(), late: false };
        let number = self.number(labels);
        let mut gauge = GaugeCell::default();
        gauge.set(value, at_us);
        self.put(number, Delta::Gauge(gauge), false);
    }

    fn number(&mut self, labels: Labels) -> u32 {
        *self.index.entry(labels).or_insert_with_key(|labels| {
            let told = self.numbers_told.iter().enumerate();
            let belongs = told.filter(|(_, number)| takes(number, labels)).map(|(at, _)| at);
            self.belongs.push(belongs.collect());
            self.labels.push(labels.clone());
            self.on_time.push(None);
            self.late.push(None);
            self.labels.len() as u32 - 1
        })
    }

    fn put(&mut self, number: u32, delta: Delta, late: bool) {
        let at = number as usize;
        let late = late || self.labels[at].late;
        if !late {
            for told in &self.belongs[at] {
                let delta = delta.part(&self.numbers_told[*told].metric);
                match &mut self.second[*told] {
                    Some(sum) => sum.merge(&delta),
                    empty => *empty = Some(delta),
                }
            }
        }
        let sums = if late { &mut self.late } else { &mut self.on_time };
        match &mut sums[at] {
            Some(sum) => sum.merge(&delta),
            empty => *empty = Some(delta),
        }
    }

    /// Samples of seconds on time and of late ones, as evidence.
    pub(crate) fn populations(&self) -> (Population, Population) {
        (self.population(&self.on_time), self.population(&self.late))
    }

    fn population(&self, sums: &[Option<Delta>]) -> Population {
        let mut series: BTreeMap<(String, BTreeMap<String, String>), Delta> = BTreeMap::new();
        let mut put = |metric: &str, tags: &BTreeMap<String, String>, delta: Delta| match series
            .get_mut(&(metric.to_owned(), tags.clone()))
        {
            Some(sum) => sum.merge(&delta),
            None => drop(series.insert((metric.to_owned(), tags.clone()), delta)),
        };
        for (labels, sum) in self.labels.iter().zip(sums) {
            match sum {
                None => {}
                Some(Delta::Request(bundle)) => {
                    let (totals, times) = &**bundle;
                    for (metric, buckets) in TIMES.iter().zip(times) {
                        put(metric, &labels.tags, Delta::Trend(buckets.clone()));
                    }
                    for metric in COUNTED {
                        put(metric, &labels.tags, totals.of(metric));
                    }
                }
                Some(delta) => put(&labels.metric, &labels.tags, delta.clone()),
            }
        }
        let series = series.into_iter().map(|((metric, tags), delta)| Series {
            metric,
            tags,
            samples: delta.into_samples(),
        });
        Population { series: series.collect() }
    }
}

/// Whether the samples of a series belong to a number. The metric of requests is empty: they have many.
fn takes(number: &MetricRef, labels: &Labels) -> bool {
    let named = match labels.metric.as_str() {
        "" => TIMES.contains(&number.metric.as_str()) || COUNTED.contains(&number.metric.as_str()),
        metric => metric == number.metric,
    };
    named && number.selector.iter().all(|(tag, value)| labels.tags.get(tag) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Family, Key, Recorder};
    use super::*;
    use crate::evidence::Samples;

    #[test]
    fn late_samples_are_kept_apart() {
        let key = |late| Key { owner: 0, family: Family::Iterations, variant: 0, result: 0, late };
        let labels = |late| Labels { metric: "iterations".into(), tags: BTreeMap::new(), late };
        let mut recorder = Recorder::default();
        let mut merger = Merger::new(1, Arc::default(), Vec::new());
        for (late_start, late_second) in [(false, false), (true, false), (false, true)] {
            let fresh = || (labels(late_start), Cell::Counter(0, 0));
            recorder.add(key(late_start), None, fresh, |cell| {
                let Cell::Counter(sum, n) = cell else { panic!() };
                *sum += 1_000;
                *n += 1;
            });
            merger.add(0, &mut recorder.take(), late_second, &mut Second::default());
        }
        let (on_time, late) = merger.populations();
        assert_eq!(on_time.series[0].samples, Samples::Counter { sum_milli: 1_000, count: 1 });
        assert_eq!(late.series.len(), 1, "one series, however its samples came to be late");
        assert_eq!(late.series[0].samples, Samples::Counter { sum_milli: 2_000, count: 2 });
    }
}
