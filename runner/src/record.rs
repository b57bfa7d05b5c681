//! Recording samples: a worker owns its recorder, hands over a delta each second, and the
//! coordinator merges the deltas. No lock, no channel per sample, and memory that does not grow
//! with time.
//!
//! Buckets are HdrHistogram's with three significant digits. A distribution with few samples in a
//! second keeps their bucket numbers in a short list and only a busy one gets an array, so that
//! thousands of quiet series stay small.

use crate::evidence::{Population, Samples, Series, Trend};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

/// Series of templated tags at most, over one worker.
pub(crate) const MOST_VARIANTS: u32 = 10_000;

/// Samples that a distribution lists before it gets an array.
const LISTED: usize = 128;

/// Metrics of the distributions of a request, in the order of [`Bundle::times`].
pub(crate) const TIMES: [&str; 8] = [
    "http_req_duration",
    "http_req_service_time",
    "http_req_blocked",
    "http_req_connecting",
    "http_req_tls_handshaking",
    "http_req_sending",
    "http_req_waiting",
    "http_req_receiving",
];

/// The number of the bucket of a value: HdrHistogram's layout with 2,048 sub-buckets.
pub(crate) fn bucket_of(value: u64) -> u32 {
    let magnitude = 53 - (value | 2047).leading_zeros();
    (magnitude << 10) + (value >> magnitude) as u32
}

/// The highest value that falls into a bucket.
pub(crate) fn highest_of(bucket: u32) -> u64 {
    if bucket < 2048 {
        return u64::from(bucket);
    }
    let magnitude = (bucket >> 10) - 1;
    let low = u64::from((bucket & 1023) + 1024) << magnitude;
    low + ((1u64 << magnitude) - 1)
}

/// Samples of one distribution since the last hand-over.
#[derive(Debug, Default)]
pub(crate) struct Dist {
    zeros: u32,
    listed: Vec<u32>,
    array: Vec<u32>,
    count: u64,
    infinite: u64,
    sum: u64,
    min: u64,
    max: u64,
}

/// Samples of one distribution, as handed over or as summed up.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Buckets {
    /// (bucket, count), ascending.
    pub(crate) counts: Vec<(u32, u64)>,
    /// Finite samples.
    pub(crate) count: u64,
    /// Samples above every bound.
    pub(crate) infinite: u64,
    sum: u64,
    min: u64,
    max: u64,
}

/// All that is counted of requests with the same tags.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    /// Sums.
    pub(crate) totals: Totals,
    /// Distributions, named by [`TIMES`].
    pub(crate) times: [Dist; 8],
}

/// Sums over requests with the same tags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Requests.
    pub(crate) requests: u64,
    /// Of them failed.
    pub(crate) failed: u64,
    /// Of them answered 5xx or not at all.
    pub(crate) server_errors: u64,
    /// Of them answered 429.
    pub(crate) limited: u64,
    /// Bytes sent.
    pub(crate) sent: u64,
    /// Bytes received.
    pub(crate) received: u64,
}

/// A series while it is recorded.
#[derive(Debug)]
pub(crate) enum Cell {
    /// All metrics of a request.
    Request(Box<Bundle>),
    /// A distribution.
    Trend(Dist),
    /// True and all samples.
    Rate(u64, u64),
    /// Sum in thousandths, additions.
    Counter(i64, u64),
    /// Last value and its range.
    Gauge(GaugeCell),
}

/// A gauge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GaugeCell {
    last: i64,
    at_us: u64,
    min: i64,
    max: i64,
    count: u64,
}

/// What a series is; `metric` is empty for requests, whose metrics are many.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Labels {
    /// Metric.
    pub(crate) metric: String,
    /// Tags.
    pub(crate) tags: BTreeMap<String, String>,
    /// Of iterations that the generator itself started late.
    pub(crate) late: bool,
}

/// The compact name of a series within one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Step number, or `u32::MAX - scenario` for series of a scenario.
    pub(crate) owner: u32,
    /// Which of the owner's series: request, the n-th check, …
    pub(crate) family: Family,
    /// Values of templated tags, interned; 0 for none.
    pub(crate) variant: u32,
    /// Status, outcome, protocol and error of a request, packed; 0 for others.
    pub(crate) result: u64,
    /// Of an iteration that was started late.
    pub(crate) late: bool,
}

/// Which of its owner's series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    /// A request's metrics.
    Request,
    /// The n-th expectation's check.
    Check(u16),
    /// The n-th capture's check.
    Capture(u16),
    /// The check that a step's templates have values.
    Render,
    /// The n-th custom sample.
    Record(u16),
    /// `group_duration`.
    Group,
    /// `iterations`.
    Iterations,
    /// `iteration_duration`.
    IterationDuration,
    /// `dropped_iterations`.
    Dropped,
}

/// One worker's samples since the last hand-over.
#[derive(Default)]
pub(crate) struct Recorder {
    slots: Vec<(Cell, bool)>,
    dirty: Vec<u32>,
    fresh: Vec<Labels>,
    index: HashMap<Key, u32, BuildHasherDefault<KeyHasher>>,
    variants: HashMap<(u32, Rc<str>), u32>,
    values: Vec<Rc<str>>,
    /// Lateness of starts in this second.
    pub(crate) lateness: Dist,
    /// Delays of the probe in this second.
    pub(crate) loop_delay: Dist,
    /// Errors for want of files, ports or series.
    pub(crate) exhausted: BTreeMap<String, u64>,
}

/// A delta of one worker.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Series that are new, in the order of their numbers.
    pub(crate) fresh: Vec<Labels>,
    /// Samples by series number.
    pub(crate) deltas: Vec<(u32, Delta)>,
    /// Lateness of starts.
    pub(crate) lateness: Buckets,
    /// Delays of the probe.
    pub(crate) loop_delay: Buckets,
    /// Errors for want of files, ports or series.
    pub(crate) exhausted: BTreeMap<String, u64>,
}

/// Samples of one series, as handed over or as summed up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Delta {
    /// All metrics of a request.
    Request(Box<(Totals, [Buckets; 8])>),
    /// A distribution.
    Trend(Buckets),
    /// True and all samples.
    Rate(u64, u64),
    /// Sum in thousandths, additions.
    Counter(i64, u64),
    /// Last value and its range.
    Gauge(GaugeCell),
}

/// Sums over all workers and seconds.
#[derive(Default)]
pub(crate) struct Merger {
    index: BTreeMap<Labels, u32>,
    labels: Vec<Labels>,
    on_time: Vec<Option<Delta>>,
    late: Vec<Option<Delta>>,
    /// For each worker, the number here of each of its series.
    numbers: Vec<Vec<u32>>,
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

impl Dist {
    /// Adds a sample.
    #[inline]
    pub(crate) fn add(&mut self, value: u64) {
        if value == 0 {
            self.zeros += 1;
            self.min = 0;
            self.count += 1;
            return;
        }
        if self.count == 0 || value < self.min {
            self.min = value;
        }
        self.max = self.max.max(value);
        self.sum = self.sum.saturating_add(value);
        self.count += 1;
        let bucket = bucket_of(value);
        if self.array.is_empty() && self.listed.len() < LISTED {
            self.listed.push(bucket);
        } else {
            self.add_to_array(bucket);
        }
    }

    /// Adds a sample that is above every bound.
    pub(crate) fn add_infinite(&mut self) {
        self.infinite += 1;
    }

    fn add_to_array(&mut self, bucket: u32) {
        for listed in self.listed.drain(..) {
            count_in(&mut self.array, listed);
        }
        count_in(&mut self.array, bucket);
    }

    /// Takes what was added. An array that a quiet second left nearly empty is given back.
    pub(crate) fn take(&mut self) -> Buckets {
        let mut counts = Vec::new();
        if self.zeros > 0 {
            counts.push((0, u64::from(self.zeros)));
        }
        if self.array.is_empty() {
            self.listed.sort_unstable();
            for &bucket in &self.listed {
                match counts.last_mut() {
                    Some((last, count)) if *last == bucket => *count += 1,
                    _ => counts.push((bucket, 1)),
                }
            }
            self.listed.clear();
        } else {
            for (bucket, count) in self.array.iter_mut().enumerate() {
                if *count > 0 {
                    counts.push((bucket as u32, u64::from(*count)));
                    *count = 0;
                }
            }
            if self.count < LISTED as u64 {
                self.array = Vec::new();
            }
        }
        let taken = Buckets {
            counts,
            count: self.count,
            infinite: self.infinite,
            sum: self.sum,
            min: self.min,
            max: self.max,
        };
        (self.zeros, self.count, self.infinite, self.sum, self.min, self.max) = (0, 0, 0, 0, 0, 0);
        taken
    }
}

fn count_in(array: &mut Vec<u32>, bucket: u32) {
    let at = bucket as usize;
    if at >= array.len() {
        // By whole magnitudes, so that a slowly growing maximum does not copy at every sample.
        array.resize((at / 1024 + 1) * 1024, 0);
    }
    array[at] += 1;
}

impl Buckets {
    /// Adds other samples; associative and commutative.
    pub(crate) fn merge(&mut self, other: &Buckets) {
        if other.count > 0 {
            self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
            self.max = self.max.max(other.max);
        }
        self.count += other.count;
        self.infinite += other.infinite;
        self.sum = self.sum.saturating_add(other.sum);
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
            return;
        }
        if other.counts.is_empty() {
            return;
        }
        let mut merged = Vec::with_capacity(self.counts.len() + other.counts.len());
        let (mut left, mut right) = (self.counts.as_slice(), other.counts.as_slice());
        while let ([l, left_rest @ ..], [r, right_rest @ ..]) = (left, right) {
            match l.0.cmp(&r.0) {
                std::cmp::Ordering::Less => {
                    merged.push(*l);
                    left = left_rest;
                }
                std::cmp::Ordering::Greater => {
                    merged.push(*r);
                    right = right_rest;
                }
                std::cmp::Ordering::Equal => {
                    merged.push((l.0, l.1 + r.1));
                    (left, right) = (left_rest, right_rest);
                }
            }
        }
        merged.extend_from_slice(left);
        merged.extend_from_slice(right);
        self.counts = merged;
    }

    /// The value at or under which the share `q` of the finite samples lies; 0 when there are none.
    pub(crate) fn quantile(&self, q: f64) -> u64 {
        let rank = ((self.count as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in &self.counts {
            seen += count;
            if seen >= rank {
                return highest_of(*bucket).min(self.max);
            }
        }
        0
    }

    /// As evidence.
    pub(crate) fn to_trend(&self) -> Trend {
        Trend {
            buckets: self.counts.iter().map(|(bucket, count)| (highest_of(*bucket), *count)).collect(),
            infinite: self.infinite,
            sum: self.sum,
            min: self.min,
            max: self.max,
        }
    }
}

impl GaugeCell {
    /// Sets the value.
    pub(crate) fn set(&mut self, value: i64, at_us: u64) {
        self.merge(&GaugeCell { last: value, at_us, min: value, max: value, count: 1 });
    }

    fn merge(&mut self, other: &GaugeCell) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        if other.at_us >= self.at_us {
            (self.last, self.at_us) = (other.last, other.at_us);
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.count += other.count;
    }
}

impl Recorder {
    /// The series of a key, made with `fresh` when it is new.
    pub(crate) fn cell(&mut self, key: Key, fresh: impl FnOnce() -> (Labels, Cell)) -> &mut Cell {
        let number = match self.index.get(&key) {
            Some(number) => *number,
            None => {
                let (labels, cell) = fresh();
                let number = self.slots.len() as u32;
                self.slots.push((cell, false));
                self.fresh.push(labels);
                self.index.insert(key, number);
                number
            }
        };
        let (cell, dirty) = &mut self.slots[number as usize];
        if !*dirty {
            *dirty = true;
            self.dirty.push(number);
        }
        cell
    }

    /// The number of a set of values of templated tags. Beyond [`MOST_VARIANTS`] there is one more for all the rest,
    /// which [`Recorder::is_overflow`] tells.
    pub(crate) fn variant(&mut self, owner: u32, values: &str, name: &str) -> u32 {
        let values: Rc<str> = values.into();
        if let Some(number) = self.variants.get(&(owner, values.clone())) {
            return *number;
        }
        let next = self.variants.len() as u32 + 1;
        if next > MOST_VARIANTS {
            let text = format!("more than {MOST_VARIANTS} values of the templated tags of step `{name}`");
            *self.exhausted.entry(text).or_default() += 1;
            return u32::MAX;
        }
        self.values.push(values.clone());
        self.variants.insert((owner, values), next);
        next
    }

    /// The values of a variant.
    pub(crate) fn variant_values(&self, variant: u32) -> Option<Rc<str>> {
        self.values.get(variant.checked_sub(1)? as usize).cloned()
    }

    /// Whether a variant stands for all those beyond the limit.
    pub(crate) fn is_overflow(variant: u32) -> bool {
        variant == u32::MAX
    }

    /// Takes what was recorded since the last call.
    pub(crate) fn take(&mut self) -> Snapshot {
        let mut deltas = Vec::with_capacity(self.dirty.len());
        for number in self.dirty.drain(..) {
            let (cell, dirty) = &mut self.slots[number as usize];
            *dirty = false;
            deltas.push((number, cell.take()));
        }
        Snapshot {
            fresh: std::mem::take(&mut self.fresh),
            deltas,
            lateness: self.lateness.take(),
            loop_delay: self.loop_delay.take(),
            exhausted: std::mem::take(&mut self.exhausted),
        }
    }
}

impl Cell {
    fn take(&mut self) -> Delta {
        match self {
            Cell::Request(bundle) => {
                let times = std::array::from_fn(|at| bundle.times[at].take());
                Delta::Request(Box::new((std::mem::take(&mut bundle.totals), times)))
            }
            Cell::Trend(dist) => Delta::Trend(dist.take()),
            Cell::Rate(trues, total) => Delta::Rate(std::mem::take(trues), std::mem::take(total)),
            Cell::Counter(sum, count) => Delta::Counter(std::mem::take(sum), std::mem::take(count)),
            Cell::Gauge(gauge) => Delta::Gauge(std::mem::take(gauge)),
        }
    }
}

impl Delta {
    fn merge(&mut self, other: &Delta) {
        match (self, other) {
            (Delta::Request(a), Delta::Request(b)) => {
                a.0.add(&b.0);
                for (a, b) in a.1.iter_mut().zip(&b.1) {
                    a.merge(b);
                }
            }
            (Delta::Trend(a), Delta::Trend(b)) => a.merge(b),
            (Delta::Rate(a, b), Delta::Rate(c, d)) => {
                *a += c;
                *b += d;
            }
            (Delta::Counter(a, b), Delta::Counter(c, d)) => {
                *a = a.saturating_add(*c);
                *b += d;
            }
            (Delta::Gauge(a), Delta::Gauge(b)) => a.merge(b),
            (a, b) => unreachable!("one series, two kinds: {a:?} and {b:?}"),
        }
    }
}

impl Totals {
    fn add(&mut self, other: &Totals) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.server_errors += other.server_errors;
        self.limited += other.limited;
        self.sent += other.sent;
        self.received += other.received;
    }
}

impl Merger {
    /// A merger for so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Merger { numbers: vec![Vec::new(); workers], ..Merger::default() }
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
    }

    /// Adds a sample of the coordinator's own gauges.
    pub(crate) fn gauge(&mut self, metric: &str, value: i64, at_us: u64) {
        let labels = Labels { metric: metric.to_owned(), tags: BTreeMap::new(), late: false };
        let number = self.number(labels);
        let mut gauge = GaugeCell::default();
        gauge.set(value * 1_000, at_us);
        self.put(number, Delta::Gauge(gauge), false);
    }

    fn number(&mut self, labels: Labels) -> u32 {
        *self.index.entry(labels).or_insert_with_key(|labels| {
            self.labels.push(labels.clone());
            self.on_time.push(None);
            self.late.push(None);
            self.labels.len() as u32 - 1
        })
    }

    fn put(&mut self, number: u32, delta: Delta, late: bool) {
        let at = number as usize;
        let late = late || self.labels[at].late;
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
                    let n = totals.requests;
                    let counted = |sum: u64| Delta::Counter((sum as i64).saturating_mul(1_000), n);
                    put("http_reqs", &labels.tags, counted(n));
                    put("http_req_failed", &labels.tags, Delta::Rate(totals.failed, n));
                    put("http_server_errors", &labels.tags, Delta::Rate(totals.server_errors, n));
                    put("http_rate_limited", &labels.tags, Delta::Rate(totals.limited, n));
                    put("data_sent", &labels.tags, counted(totals.sent));
                    put("data_received", &labels.tags, counted(totals.received));
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

impl Delta {
    fn into_samples(self) -> Samples {
        match self {
            Delta::Request(_) => unreachable!("taken apart by the caller"),
            Delta::Trend(buckets) => Samples::Trend(buckets.to_trend()),
            Delta::Rate(trues, total) => Samples::Rate { trues, total },
            Delta::Counter(sum_milli, count) => Samples::Counter { sum_milli, count },
            Delta::Gauge(gauge) => Samples::Gauge {
                last_milli: gauge.last,
                at_us: gauge.at_us,
                min_milli: gauge.min,
                max_milli: gauge.max,
                count: gauge.count,
            },
        }
    }
}

/// Multiply and fold: keys are small integers made by us, never by a stranger.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = u128::from(self.0 ^ value) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (mixed as u64) ^ ((mixed >> 64) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_hdr_histogram() {
        let mut hdr = hdrhistogram::Histogram::<u64>::new(3).unwrap();
        for shift in 0..40 {
            for offset in [0u64, 1, 2, 3, 5, 7, 11, 1023] {
                hdr.auto(true);
                let value = (1u64 << shift) + offset;
                assert_eq!(highest_of(bucket_of(value)), hdr.highest_equivalent(value), "{value}");
            }
        }
        for value in (0..5_000_000u64).step_by(977) {
            assert_eq!(highest_of(bucket_of(value)), hdr.highest_equivalent(value), "{value}");
        }
    }

    #[test]
    fn few_samples_or_many_give_the_same_percentiles() {
        for n in [5u64, 127, 128, 129, 5_000] {
            let mut dist = Dist::default();
            let mut hdr = hdrhistogram::Histogram::<u64>::new(3).unwrap();
            let mut largest = 0;
            for i in 0..n {
                let value = (i * 7_919) % 300_000;
                largest = value.max(largest);
                dist.add(value);
                hdr.record(value).unwrap();
            }
            let taken = dist.take();
            assert_eq!(taken.count, n);
            for q in [0.5, 0.95, 0.99, 1.0] {
                assert_eq!(taken.quantile(q), hdr.value_at_quantile(q).min(largest), "{n} {q}");
            }
            assert_eq!(dist.take(), Buckets::default(), "nothing is left");
        }
    }

    #[test]
    fn merging_is_associative_and_commutative() {
        let dist = |values: &[u64]| {
            let mut dist = Dist::default();
            values.iter().for_each(|v| dist.add(*v));
            dist.take()
        };
        let (a, b, c) = (dist(&[1, 5, 5, 9_000]), dist(&[0, 5, 70_000]), dist(&[2]));
        let merge = |list: &[&Buckets]| {
            let mut sum = Buckets::default();
            list.iter().for_each(|one| sum.merge(one));
            sum
        };
        assert_eq!(merge(&[&a, &b, &c]), merge(&[&c, &b, &a]));
        let bc = merge(&[&b, &c]);
        assert_eq!(merge(&[&a, &bc]), merge(&[&a, &b, &c]));
        assert_eq!(merge(&[&a, &b, &c]).to_trend().min, 0);
    }

    #[test]
    fn late_samples_are_kept_apart() {
        let key = |late| Key { owner: 0, family: Family::Iterations, variant: 0, result: 0, late };
        let labels = |late| Labels { metric: "iterations".into(), tags: BTreeMap::new(), late };
        let mut recorder = Recorder::default();
        let mut merger = Merger::new(1);
        for (late_start, late_second) in [(false, false), (true, false), (false, true)] {
            let fresh = || (labels(late_start), Cell::Counter(0, 0));
            let Cell::Counter(sum, n) = recorder.cell(key(late_start), fresh) else { panic!() };
            *sum += 1_000;
            *n += 1;
            merger.add(0, &mut recorder.take(), late_second, &mut Second::default());
        }
        let (on_time, late) = merger.populations();
        assert_eq!(on_time.series[0].samples, Samples::Counter { sum_milli: 1_000, count: 1 });
        assert_eq!(late.series.len(), 1, "one series, however its samples came to be late");
        assert_eq!(late.series[0].samples, Samples::Counter { sum_milli: 2_000, count: 2 });
    }
}
