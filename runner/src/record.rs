//! Recording samples: a worker owns its recorder, hands over a delta each second, and the
//! coordinator merges the deltas. No lock, no channel per sample, and memory that does not grow
//! with time.
//!
//! Buckets are HdrHistogram's with three significant digits. A distribution with few samples in a
//! second keeps their bucket numbers in a short list and only a busy one gets an array, so that
//! thousands of quiet series stay small.

mod dist;
mod merger;

use crate::evidence::Samples;
use crate::trace::Slowest;
use crate::views::{Clock, Moment, View};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;
use std::sync::Arc;

pub(crate) use dist::{Buckets, Dist};
pub(crate) use merger::{Merger, Second};

/// Series of templated tags at most, over one worker.
pub(crate) const MOST_VARIANTS: u32 = 10_000;

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

/// Metrics of a request that are sums, see [`Totals::of`].
pub(crate) const COUNTED: [&str; 6] =
    ["http_reqs", "http_req_failed", "http_server_errors", "http_rate_limited", "data_sent", "data_received"];

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
    /// A metric of a WebSocket.
    WebSocket(Ws),
}

/// Metrics of WebSockets, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ws {
    /// `ws_connecting`.
    Connecting,
    /// `ws_sessions`.
    Sessions,
    /// `ws_session_duration`.
    Duration,
    /// `ws_failed`.
    Failed,
    /// `ws_msgs_sent`.
    Sent,
    /// `ws_msgs_received`.
    Received,
    /// `ws_receive_duration`.
    Receive,
    /// `ws_ping`.
    Ping,
    /// `data_sent`.
    DataSent,
    /// `data_received`.
    DataReceived,
}

/// One worker's samples since the last hand-over.
#[derive(Default)]
pub(crate) struct Recorder {
    slots: Vec<Slot>,
    views: Arc<Vec<View>>,
    parts: BTreeMap<PartKey, Cell>,
    counts: BTreeMap<CountKey, PartCounts>,
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
    /// Slowest requests with a trace in this second.
    pub(crate) slowest: Slowest,
}

/// A series and where else its samples go.
struct Slot {
    cell: Cell,
    dirty: bool,
    /// Views that it belongs to.
    views: Vec<(u16, Clock)>,
}

/// A part of a view, of iterations started late or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartKey {
    /// The view.
    pub(crate) view: u16,
    /// The part.
    pub(crate) part: u32,
    /// Of iterations that the generator itself started late.
    pub(crate) late: bool,
}

/// A part of a view, and a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CountKey {
    /// The view.
    pub(crate) view: u16,
    /// The part.
    pub(crate) part: u32,
    /// Number of the scenario.
    pub(crate) scenario: u16,
}

/// What is counted in a part beside samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PartCounts {
    /// Steps begun that can emit into the view; iterations begun where it is on those.
    pub(crate) plays: u64,
    /// Iterations not begun.
    pub(crate) dropped: u64,
    /// Of them by the generator's fault.
    pub(crate) dropped_late: u64,
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
    /// Samples by part of a view.
    pub(crate) parts: Vec<(PartKey, Delta)>,
    /// Counts by part of a view.
    pub(crate) counts: BTreeMap<CountKey, PartCounts>,
    /// Slowest requests with a trace.
    pub(crate) slowest: Slowest,
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
    /// A recorder that keeps the parts of these views.
    pub(crate) fn new(views: Arc<Vec<View>>) -> Self {
        Recorder { views, ..Recorder::default() }
    }

    /// Adds to the series of a key, made with `fresh` when it is new, and to the parts in which `at` lies.
    pub(crate) fn add(
        &mut self,
        key: Key,
        at: Option<Moment>,
        fresh: impl FnOnce() -> (Labels, Cell),
        add: impl Fn(&mut Cell),
    ) {
        let number = match self.index.get(&key) {
            Some(number) => *number,
            None => {
                let (labels, cell) = fresh();
                let number = self.slots.len() as u32;
                self.slots.push(Slot { cell, dirty: false, views: views_of(&self.views, &labels) });
                self.fresh.push(labels);
                self.index.insert(key, number);
                number
            }
        };
        let slot = &mut self.slots[number as usize];
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(number);
        }
        add(&mut slot.cell);
        let Some(at) = at else { return };
        for (view, clock) in &slot.views {
            if let Some(part) = self.views[usize::from(*view)].part(*clock, at) {
                let key = PartKey { view: *view, part, late: key.late };
                add(self.parts.entry(key).or_insert_with(|| slot.cell.alike()));
            }
        }
    }

    /// Counts in the parts of a scenario's views that `which` lets through.
    pub(crate) fn count(
        &mut self,
        (scenario, name): (usize, &str),
        at: Option<Moment>,
        which: impl Fn(&View) -> bool,
        count: impl Fn(&mut PartCounts),
    ) {
        let Some(at) = at else { return };
        for (number, view) in self.views.iter().enumerate().filter(|(_, view)| which(view)) {
            let part = view.clocks.get(name).and_then(|clock| view.part(*clock, at));
            if let Some(part) = part {
                let key = CountKey { view: number as u16, part, scenario: scenario as u16 };
                count(self.counts.entry(key).or_default());
            }
        }
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
            let slot = &mut self.slots[number as usize];
            slot.dirty = false;
            deltas.push((number, slot.cell.take()));
        }
        let parts = std::mem::take(&mut self.parts);
        Snapshot {
            fresh: std::mem::take(&mut self.fresh),
            deltas,
            lateness: self.lateness.take(),
            loop_delay: self.loop_delay.take(),
            exhausted: std::mem::take(&mut self.exhausted),
            parts: parts.into_iter().map(|(key, mut cell)| (key, cell.take())).collect(),
            counts: std::mem::take(&mut self.counts),
            slowest: std::mem::take(&mut self.slowest),
        }
    }
}

/// The views that a series belongs to.
fn views_of(views: &[View], labels: &Labels) -> Vec<(u16, Clock)> {
    let Some(scenario) = labels.tags.get("scenario") else { return Vec::new() };
    let of = views.iter().enumerate().filter(|(_, view)| view.takes(&labels.metric, &labels.tags));
    of.filter_map(|(number, view)| Some((number as u16, *view.clocks.get(scenario)?))).collect()
}

impl Cell {
    /// An empty one of the same kind.
    fn alike(&self) -> Cell {
        match self {
            Cell::Request(_) => Cell::Request(Box::default()),
            Cell::Trend(_) => Cell::Trend(Dist::default()),
            Cell::Rate(..) => Cell::Rate(0, 0),
            Cell::Counter(..) => Cell::Counter(0, 0),
            Cell::Gauge(_) => Cell::Gauge(GaugeCell::default()),
        }
    }

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
    /// Adds the samples of another of the same series.
    pub(crate) fn merge(&mut self, other: &Delta) {
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
    /// One of the metrics that are [`COUNTED`].
    fn of(&self, metric: &str) -> Delta {
        let n = self.requests;
        let counted = |sum: u64| Delta::Counter((sum as i64).saturating_mul(1_000), n);
        match metric {
            "http_req_failed" => Delta::Rate(self.failed, n),
            "http_server_errors" => Delta::Rate(self.server_errors, n),
            "http_rate_limited" => Delta::Rate(self.limited, n),
            "data_sent" => counted(self.sent),
            "data_received" => counted(self.received),
            _ => counted(n),
        }
    }

    fn add(&mut self, other: &Totals) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.server_errors += other.server_errors;
        self.limited += other.limited;
        self.sent += other.sent;
        self.received += other.received;
    }
}

impl Delta {
    /// The one metric of a request; others have one anyway.
    fn only(self, metric: &str) -> Delta {
        let Delta::Request(bundle) = self else { return self };
        let (totals, mut times) = *bundle;
        if let Some(at) = TIMES.iter().position(|name| *name == metric) {
            return Delta::Trend(std::mem::take(&mut times[at]));
        }
        totals.of(metric)
    }

    /// The one metric of a request; others have one anyway.
    fn part(&self, metric: &str) -> Delta {
        let Delta::Request(bundle) = self else { return self.clone() };
        match TIMES.iter().position(|name| *name == metric) {
            Some(at) => Delta::Trend(bundle.1[at].clone()),
            None => bundle.0.of(metric),
        }
    }

    /// Samples.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Delta::Request(bundle) => bundle.0.requests,
            Delta::Trend(buckets) => buckets.total(),
            Delta::Rate(_, total) => *total,
            Delta::Counter(_, count) => *count,
            Delta::Gauge(gauge) => gauge.count,
        }
    }

    /// The samples as evidence has them.
    pub(crate) fn into_samples(self) -> Samples {
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
