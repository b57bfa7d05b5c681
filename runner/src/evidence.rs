//! Evidence: what happened in a run, complete enough to judge and to report again tomorrow.
//!
//! One JSON file. It embeds the execution graph, so that `runner judge` needs nothing else. Samples
//! are kept as merged histograms, never one by one: an hour costs what a minute does. What was
//! measured in seconds in which the generator itself was late is kept apart from the rest, so that a
//! breach can be judged with those seconds left out.

use planc::graph::{ExecutionGraph, Json, Over};
use seeders::Receipt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The `schema` number of an evidence file.
pub const SCHEMA: u32 = 1;

/// Everything that a run leaves behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Format version, [`SCHEMA`].
    pub schema: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// Identity of the graph.
    pub graph_id: String,
    /// The graph that was applied.
    pub graph: ExecutionGraph,
    /// Unique over runs.
    pub run_id: String,
    /// Start, milliseconds since 1970.
    pub started_unix_ms: i64,
    /// End, milliseconds since 1970.
    pub ended_unix_ms: i64,
    /// Fingerprint of where it ran: cores, kernel, load before the run, versions.
    pub environment: BTreeMap<String, String>,
    /// Nodes of the run in the order in which they ended.
    pub nodes: Vec<NodeRecord>,
    /// Guards that were overridden.
    pub overrides: Vec<Override>,
    /// What the fixtures did.
    pub receipts: Vec<Receipt>,
    /// Why the run ended.
    pub end: End,
    /// The load, when it began.
    pub load: Option<LoadRecord>,
    /// What gates in SQL were told, in the graph's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sql_gates: Vec<SqlGateRecord>,
    /// What triage found, in the order in which it broke.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triage: Vec<TriageRecord>,
}

/// An entry of the plan's triage whose condition held, and what was looked up at that moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriageRecord {
    /// The entry.
    pub name: String,
    /// The likely cause, as the plan says it.
    pub cause: String,
    /// What was seen.
    pub seen: String,
    /// When, microseconds since the load's start.
    pub at_us: u64,
    /// It broke only when the load was over.
    #[serde(default, skip_serializing_if = "is_default")]
    pub at_end: bool,
    /// The generator was late in that second, which may be the cause of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub generator_late: bool,
    /// It ended the load.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ended: bool,
    /// What was looked at.
    pub looks: Vec<LookRecord>,
}

/// One look at the world.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookRecord {
    /// What was asked, in a line.
    pub what: String,
    /// What it gave; never a secret.
    pub output: String,
    /// There was more of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cut: bool,
    /// Why it gave nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took.
    pub milliseconds: u64,
}

/// What a gate in SQL was told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SqlGateRecord {
    /// The gate.
    pub name: String,
    /// Before the load, where the gate is on an increase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<SqlAnswer>,
    /// After it; none when the run did not come so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<SqlAnswer>,
}

/// What a statement gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SqlAnswer {
    /// Number of rows.
    pub rows: u64,
    /// First column of the first row; means nothing without a row.
    pub value: Json,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took.
    pub milliseconds: u64,
}

/// One node of the run: a guard, service, fixture, token, preflight check …
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Kind: `guard`, `service`, `fixture`, `token`, `preflight`, `rehearsal`, `setup`, `scenario`, `teardown`, `report`.
    pub kind: String,
    /// Its name in the plan.
    pub name: String,
    /// How it ended.
    pub outcome: NodeOutcome,
    /// What was seen, for people; never a secret.
    pub detail: String,
    /// What to do about it, when it failed.
    pub fix: Option<String>,
    /// How long it took.
    pub milliseconds: u64,
}

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeOutcome {
    /// It held or was done.
    Passed,
    /// A guard that did not hold and was overridden by name.
    Overridden,
    /// What it looked at was there and different.
    Different,
    /// What it looked at was not there.
    Absent,
    /// What it looked at could not be reached.
    Unreachable,
    /// It failed in another way.
    Failed,
    /// It was not tried.
    Skipped,
}

/// A guard that was overridden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The guard.
    pub guard: String,
    /// The reason given in its environment variable.
    pub reason: String,
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The load ran to its planned end.
    Completed,
    /// A signal.
    Interrupted {
        /// `SIGINT` or `SIGTERM`.
        signal: String,
    },
    /// A gate with `abort_on_fail` broke.
    AbortedByGate {
        /// Metric and condition.
        gate: String,
    },
    /// A step with `on_failure: abort_run` failed.
    AbortedByStep {
        /// Its name.
        step: String,
    },
    /// A guard or allow-list said no.
    Refused,
    /// A service did not become ready.
    ServiceNotReady,
    /// Seeding failed.
    SeedingFailed,
    /// A token, preflight check or rehearsal failed.
    PreflightRefused,
    /// A smoke scenario failed; the load was not started.
    SmokeRefused,
    /// Set-up steps failed.
    SetupFailed,
}

/// The load as measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadRecord {
    /// Wall time of the load, in microseconds.
    pub duration_us: u64,
    /// Samples of seconds in which the generator was on time.
    pub on_time: Population,
    /// Samples of seconds in which it was late.
    pub late: Population,
    /// What gates with `window` or `stage` judge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<ViewRecord>,
    /// How far the stages of each scenario came, in the order in which they began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageRecord>,
    /// One a second.
    pub ticks: Vec<Tick>,
    /// By scenario name.
    pub scenarios: BTreeMap<String, ScenarioRecord>,
    /// How often each step was begun, by step number; declared steps that never ran have 0.
    pub steps_played: BTreeMap<u32, u64>,
    /// What was scraped beside it, by metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scrapes: BTreeMap<String, ScrapeRecord>,
    /// The generator.
    pub health: HealthRecord,
    /// The slowest requests with a recorded trace, by scenario, stage and step, failed ones apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemplars: Vec<Exemplar>,
    /// Teardown steps failed.
    pub teardown_failed: Option<String>,
    /// An error of the engine's own that ended the load before its time.
    #[serde(default)]
    pub error: Option<String>,
}

/// One stage of a scenario, as it was played.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// The scenario.
    pub scenario: String,
    /// Which of its stages, from 1, as in the plan.
    pub number: u32,
    /// What is asked at its end: `50/s`, `2000 VUs`.
    pub target: String,
    /// When it began, microseconds since the load's start.
    pub began_us: u64,
    /// When it was found to have settled, or its gates to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_us: Option<u64>,
    /// When it ended; 0 while it has not.
    pub ended_us: u64,
    /// How it ended.
    pub outcome: StageOutcome,
    /// Arrivals that found no free virtual user in the window that was looked at last.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dropped: u64,
    /// What was looked at last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineRecord>,
}

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageOutcome {
    /// It has not.
    Running,
    /// Its time was over.
    Done,
    /// It settled, or its gates held over it.
    Held,
    /// It did not settle in time: the scenario ended here.
    NeverSettled,
    /// Gates of a search broke over it: the scenario ended here.
    Broke {
        /// The first of them.
        gate: String,
    },
    /// Nobody could tell whether it held: the scenario ended here.
    Untold {
        /// Why not.
        why: String,
    },
    /// The scenario ended in it for another reason.
    CutOff,
    /// The run began at a later stage (`--from-stage`).
    NotRun,
}

/// What a number did over the window that was looked at last. Times in millionths of a second, shares in millionths,
/// others in millionths of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineRecord {
    /// The number, as the plan writes it.
    pub number: String,
    /// What it counts.
    pub unit: LineUnit,
    /// The window, microseconds.
    pub window_us: u64,
    /// What could be told.
    pub seen: LineSeen,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineUnit {
    /// Time.
    Time,
    /// A share.
    Share,
    /// A plain number.
    Number,
}

/// What could be told of a number over a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineSeen {
    /// A straight line.
    Line {
        /// Mean over the window.
        mean: i64,
        /// Rise over the window, a fall below zero.
        change: i64,
        /// How much of it noise alone explains.
        noise: i64,
        /// A change of so much is none.
        limit: i64,
        /// Whether it is flat.
        flat: bool,
    },
    /// In so many points so many requests failed that it is above every bound.
    Endless {
        /// Points above every bound.
        points: u64,
        /// Of so many.
        of: u64,
    },
    /// Nothing, for want of samples.
    Untold {
        /// Samples.
        samples: u64,
        /// Points that they make.
        points: u64,
    },
}

/// A scraped metric over the load.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrapeRecord {
    /// Microseconds since the load's start and the value in thousandths, in order of time.
    pub points: Vec<(u64, i64)>,
    /// Of a load so long that points were left out: each stands for so many scrapes. The extremes are all there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub thinned: u64,
    /// Scrapes that gave no value.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failed: u64,
    /// Why the last of them did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A slow request and the trace under which the target's own tools know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemplar {
    /// W3C trace id, 32 hexadecimal digits.
    pub trace_id: String,
    /// Its scenario.
    pub scenario: String,
    /// Stage of the scenario, from 1; none where it has one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<u32>,
    /// Number of its step.
    pub step: u32,
    /// Name of its step.
    pub name: String,
    /// When it was due, microseconds since the load's start.
    pub at_us: u64,
    /// From then to the last byte of the answer, redirects included; to the failure where there was none.
    pub duration_us: u64,
    /// Status; 0 where nothing answered.
    pub status: u16,
    /// The `outcome` tag.
    pub outcome: String,
}

/// One metric under one selector, cut into the parts that gates judge by themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewRecord {
    /// Metric name.
    pub metric: String,
    /// Tags that the samples carry.
    pub selector: BTreeMap<String, String>,
    /// How it is cut.
    pub over: Over,
    /// Where the beginning of each scenario lies in it, in microseconds.
    pub scenarios: BTreeMap<String, u64>,
    /// Parts in which anything was, by number: a window from `number` times its length on; 0 for a stage.
    pub parts: BTreeMap<u32, PartRecord>,
}

/// What was in one part of a view, by intended start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Samples of seconds in which the generator was on time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_time: Option<Samples>,
    /// Samples of seconds in which it was late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Samples>,
    /// How often steps were begun that can emit into the view, or iterations where it is on those.
    #[serde(default)]
    pub plays: u64,
    /// Iterations not begun, by scenario.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, Drops>,
}

/// Iterations not begun, by whose fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// All virtual users were busy and the generator was on time.
    pub by_target: u64,
    /// The generator was late.
    pub by_generator: u64,
}

/// Samples by metric and tags. Merging is associative and commutative.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Population {
    /// All series, sorted by (metric, tags).
    pub series: Vec<Series>,
}

/// All samples of one metric with the same tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Metric name.
    pub metric: String,
    /// All tags of the samples.
    pub tags: BTreeMap<String, String>,
    /// The samples.
    pub samples: Samples,
}

/// The samples of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Samples {
    /// A distribution. Times are in microseconds, custom plain trends in thousandths.
    Trend(Trend),
    /// A share.
    Rate {
        /// Samples that were true.
        trues: u64,
        /// All samples.
        total: u64,
    },
    /// A sum, in thousandths for custom counters with a `value`, else whole; see `scale`.
    Counter {
        /// The sum times 1,000.
        sum_milli: i64,
        /// How many additions.
        count: u64,
    },
    /// Last value with its range, in thousandths; `at_us` orders merges.
    Gauge {
        /// Last value.
        last_milli: i64,
        /// When, in microseconds of the load.
        at_us: u64,
        /// Smallest.
        min_milli: i64,
        /// Largest.
        max_milli: i64,
        /// How many.
        count: u64,
    },
}

/// A distribution as histogram buckets of three significant digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trend {
    /// (value, count) of the non-empty buckets in ascending order; the value is the bucket's highest equivalent one, as
    /// HdrHistogram reports percentiles.
    pub buckets: Vec<(u64, u64)>,
    /// Samples that are above every bound: failed, limited, censored, dropped by the target's fault.
    pub infinite: u64,
    /// Sum of the finite samples.
    pub sum: u64,
    /// Smallest finite sample.
    pub min: u64,
    /// Largest finite sample.
    pub max: u64,
}

/// One second of load, for live display and charts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// End of the second, microseconds since the load's start.
    pub at_us: u64,
    /// Requests ended.
    pub requests: u64,
    /// Of them failed.
    pub failed: u64,
    /// Iterations started.
    pub started: u64,
    /// Iterations dropped.
    pub dropped: u64,
    /// Virtual users alive.
    pub vus: u32,
    /// Virtual users in an iteration.
    pub busy_vus: u32,
    /// p50 of `http_req_duration` over the finite samples of the second, microseconds.
    pub p50_us: u64,
    /// p95 likewise.
    pub p95_us: u64,
    /// p99 likewise.
    pub p99_us: u64,
    /// p99 of lateness of starts in this second, microseconds.
    pub lateness_p99_us: u64,
    /// CPU of the generator in hundredths of a core.
    pub cpu_centicores: u32,
    /// Whether the generator was late in this second.
    pub late: bool,
}

/// What became of a scenario's iterations. planned = started + dropped; started = finished + failed + interrupted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioRecord {
    /// Iterations that the plan asks for up to the moment it ended; none for closed models without a count.
    pub planned: Option<u64>,
    /// Iterations begun.
    pub started: u64,
    /// Ended well.
    pub finished: u64,
    /// Ended by a failed expectation or error.
    pub failed: u64,
    /// Cut off at the end; their requests in flight are censored.
    pub interrupted: u64,
    /// Not begun because all virtual users were busy and the generator was on time.
    pub dropped_by_target: u64,
    /// Not begun because the generator was late.
    pub dropped_by_generator: u64,
    /// Most virtual users alive at once.
    pub vus_max: u32,
    /// Requests in flight when the scenario was cut off.
    pub censored: u64,
    /// A pool of rows ran out (`exclusive`).
    pub rows_ran_out: bool,
    /// Stopped early by `on_failure: stop_scenario`.
    pub stopped_by_step: Option<String>,
    /// End of the last request that was answered, whatever the answer; microseconds since the load's start, 0 for none.
    #[serde(default)]
    pub last_answer_us: u64,
    /// When it began, microseconds since the load's start; none if it did not.
    #[serde(default)]
    pub began_us: Option<u64>,
    /// When it ended on all workers, its graceful stop included; microseconds since the load's start, 0 if it did not.
    #[serde(default)]
    pub ended_us: u64,
    /// The first stage that was played, where the run did not begin with the first (`--from-stage`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_stage: Option<u32>,
    /// By draw binding.
    pub coverage: BTreeMap<String, Coverage>,
}

/// How a fixture's rows were hit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Rows of the fixture.
    pub rows: u64,
    /// Different rows drawn.
    pub distinct: u64,
    /// Most draws of one row.
    pub most_hits: u64,
    /// Rows by number of draws, `hits -> rows`, at most 64 entries.
    pub histogram: BTreeMap<u64, u64>,
}

/// The generator's own health over the whole load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HealthRecord {
    /// Lateness of starts (open models) in microseconds: actual minus intended.
    pub lateness: Trend,
    /// Delay between a socket's readiness and our reading of it, as measured by a probe task in each worker
    /// (how late a due timer fires), microseconds. Stands in for lateness in closed models.
    pub loop_delay: Trend,
    /// Worker threads.
    pub workers: u32,
    /// Own CPU, hundredths of a core, mean over the load.
    pub cpu_centicores_mean: u32,
    /// Largest of any second.
    pub cpu_centicores_max: u32,
    /// Share of wall time in which our threads were runnable but not running (schedstat), parts per million.
    pub run_queue_delay_ppm: Option<u64>,
    /// Steal of the machine over the load, parts per million.
    pub steal_ppm: Option<u64>,
    /// Throttled microseconds of our cgroup.
    pub throttled_us: Option<u64>,
    /// Open files at the highest and the limit.
    pub open_files: Option<(u64, u64)>,
    /// Errors of ours for want of files or ports, by text.
    pub exhausted: BTreeMap<String, u64>,
    /// Ephemeral ports that there are for connections.
    #[serde(default)]
    pub ports: Option<u64>,
    /// Peak resident memory, bytes.
    pub peak_memory: Option<u64>,
    /// Virtual users and workers that were lost to a bug of ours.
    #[serde(default)]
    pub panicked: u64,
    /// Largest jump of the machine's clock, backward ones below zero, microseconds.
    #[serde(default)]
    pub clock_jump_us: i64,
    /// One a second.
    #[serde(default)]
    pub seconds: Vec<HealthSecond>,
}

/// The generator in one second. What nobody could tell is left out, and so is what was nought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthSecond {
    /// End of the second, microseconds since the load's start.
    pub at_us: u64,
    /// The generator was late.
    #[serde(skip_serializing_if = "is_default")]
    pub late: bool,
    /// Lateness of starts in microseconds: p50, p99, max.
    #[serde(skip_serializing_if = "is_default")]
    pub starts_us: Option<[u64; 3]>,
    /// Delay of reading in microseconds: p50, p99, max.
    #[serde(skip_serializing_if = "is_default")]
    pub reads_us: Option<[u64; 3]>,
    /// Arrivals that were due.
    #[serde(skip_serializing_if = "is_default")]
    pub intended: u64,
    /// Of them begun, or dropped by the target's fault.
    #[serde(skip_serializing_if = "is_default")]
    pub achieved: u64,
    /// Own CPU, hundredths of a core.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_centicores: Option<u32>,
    /// How busy each core of the machine was, whoever used it.
    #[serde(skip_serializing_if = "is_default")]
    pub cores_percent: Vec<u32>,
    /// Share of time in which a worker could run and waited for a core (schedstat), parts per million.
    #[serde(skip_serializing_if = "is_default")]
    pub run_queue_ppm: Option<u32>,
    /// Steal of the machine, parts per million.
    #[serde(skip_serializing_if = "is_default")]
    pub steal_ppm: Option<u32>,
    /// Share of time in which our cgroup was throttled, parts per million.
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_ppm: Option<u32>,
    /// Share of time in which any task of the machine waited for a core (PSI), parts per million.
    #[serde(skip_serializing_if = "is_default")]
    pub pressure_ppm: Option<u32>,
    /// Open files of ours.
    #[serde(skip_serializing_if = "is_default")]
    pub open_files: u64,
    /// Open connections of ours, each with a port of its own.
    #[serde(skip_serializing_if = "is_default")]
    pub connections: u64,
    /// TCP sockets of the machine that hold a port, those that wait to be forgotten with them.
    #[serde(skip_serializing_if = "is_default")]
    pub sockets: Option<u64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl LoadRecord {
    /// What became of all iterations together; planned only where every scenario knows it.
    pub fn sums(&self) -> ScenarioRecord {
        let mut sums = ScenarioRecord { planned: Some(0), ..ScenarioRecord::default() };
        for record in self.scenarios.values() {
            sums.planned = sums.planned.zip(record.planned).map(|(sum, more)| sum + more);
            sums.started += record.started;
            sums.finished += record.finished;
            sums.failed += record.failed;
            sums.interrupted += record.interrupted;
            sums.dropped_by_target += record.dropped_by_target;
            sums.dropped_by_generator += record.dropped_by_generator;
            sums.censored += record.censored;
            sums.vus_max += record.vus_max;
        }
        sums
    }
}

impl ScrapeRecord {
    /// Points that are kept at most: fourteen hours of one a second.
    const MOST: usize = 50_000;

    /// Takes in one scrape.
    pub fn add(&mut self, at_us: u64, value: Result<i64, String>) {
        match value {
            Ok(milli) => self.points.push((at_us, milli)),
            Err(why) => {
                self.failed += 1;
                self.last_error = Some(why);
            }
        }
        if self.points.len() > Self::MOST {
            self.thin();
        }
    }

    /// Of each four points the smallest and the largest stay.
    fn thin(&mut self) {
        let halved = self.points.chunks(4).flat_map(|four| {
            let by = |a: &&(u64, i64), b: &&(u64, i64)| a.1.cmp(&b.1);
            let mut two: Vec<(u64, i64)> =
                four.iter().min_by(by).into_iter().chain(four.iter().max_by(by)).copied().collect();
            two.sort_unstable();
            two
        });
        self.points = halved.collect();
        self.thinned = self.thinned.max(1) * 2;
    }
}

impl HealthRecord {
    /// Mean and largest of a figure over the seconds that tell it.
    pub fn mean_and_max(&self, figure: impl Fn(&HealthSecond) -> Option<u64>) -> Option<(u64, u64)> {
        let told: Vec<u64> = self.seconds.iter().filter_map(figure).collect();
        let max = *told.iter().max()?;
        Some((told.iter().sum::<u64>() / told.len() as u64, max))
    }
}
