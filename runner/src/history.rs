//! The history of a plan: one small file a run, in a folder a plan.
//!
//! Plain files and no database: a run adds a file of its own by writing it beside and renaming it, so that runs at the same
//! time do not meet and one that is killed leaves nothing half written; the stores of several machines are put together by
//! copying. What was judged (gates, load, expectations) is kept once for all runs that share it.

mod streak;
pub mod table;

use crate::evidence::{Evidence, NodeOutcome, Samples};
use crate::exit::Exit;
use crate::judge::{Distribution, Verdict};
use crate::trim;
use planc::graph::ExecutionGraph;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
pub use streak::{Streak, streak};

/// Where it is unless said otherwise.
pub const FOLDER: &str = ".runner/history";
/// The environment variable that says otherwise.
pub const VARIABLE: &str = "PLANC_HISTORY";
/// The `schema` number of a record.
const SCHEMA: u32 = 1;
/// Causes that a record keeps.
const CAUSES: usize = 3;
/// What is known of a machine and is the same from run to run.
const MACHINE: [&str; 8] =
    ["cores", "kernel", "host", "memory", "processor", "cgroup_cpu_max", "open_files_limit", "build"];

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Format version.
    pub schema: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// Name of the plan.
    pub plan: String,
    /// Its profile.
    pub profile: String,
    /// Unique over runs.
    pub run_id: String,
    /// Start, milliseconds since 1970.
    pub started_unix_ms: i64,
    /// End, milliseconds since 1970.
    pub ended_unix_ms: i64,
    /// The verdict.
    pub status: Exit,
    /// Its exit code.
    pub exit: u8,
    /// Why, the first ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Identity of the graph that was applied.
    pub graph_id: String,
    /// Identity of what was judged, a file in `graphs/`.
    pub judged_id: String,
    /// Identity of the machine.
    pub machine_id: String,
    /// The machine.
    pub machine: BTreeMap<String, String>,
    /// What of the plan was not done, or done without a guard; empty for a whole run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
    /// Length of the load, microseconds.
    pub load_us: u64,
    /// Requests that ended.
    pub requests: u64,
    /// Of them failed.
    pub failed: u64,
    /// p50 of `http_req_duration`, microseconds; none where it lies above every bound, or there was no request.
    pub p50_us: Option<u64>,
    /// p95 likewise.
    pub p95_us: Option<u64>,
    /// p99 likewise.
    pub p99_us: Option<u64>,
}

/// A record with what was judged; or why a file is none.
pub type Entry = Result<(Record, ExecutionGraph), String>;

/// Where the records of one plan are.
pub fn folder(store: &Path, plan: &str) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = plan.chars().map(plain).collect();
    // No plan is called `.` or `..` to a file system.
    store.join(match name.trim_start_matches('.') {
        "" => "unnamed".to_owned(),
        name => name.to_owned(),
    })
}

/// What is kept of a run.
pub fn record(evidence: &Evidence, verdict: &Verdict) -> (Record, ExecutionGraph) {
    let judged = trim::judged_part(&evidence.graph);
    let machine: BTreeMap<String, String> = MACHINE
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), evidence.environment.get(*name)?.clone())))
        .collect();
    let (requests, failed) = requests(evidence);
    let durations = durations(evidence);
    let at = |percent: i64| {
        durations.percentile(percent * 1_000_000).filter(|us| us.is_finite()).map(|us| us as u64)
    };
    let record = Record {
        schema: SCHEMA,
        program: evidence.program.clone(),
        plan: evidence.graph.plan.clone(),
        profile: evidence.graph.profile.clone(),
        run_id: evidence.run_id.clone(),
        started_unix_ms: evidence.started_unix_ms,
        ended_unix_ms: evidence.ended_unix_ms,
        status: verdict.status,
        exit: verdict.exit,
        causes: verdict.causes.iter().take(CAUSES).map(|cause| cause.text.clone()).collect(),
        graph_id: evidence.graph_id.clone(),
        judged_id: judged.id(),
        machine_id: digest(&machine),
        machine,
        incomplete: incomplete(evidence),
        load_us: evidence.load.as_ref().map_or(0, |load| load.duration_us),
        requests,
        failed,
        p50_us: at(50),
        p95_us: at(95),
        p99_us: at(99),
    };
    (record, judged)
}

/// Adds a run to the store.
///
/// # Errors
/// What could not be written.
pub fn append(store: &Path, record: &Record, judged: &ExecutionGraph) -> Result<(), String> {
    let folder = folder(store, &record.plan);
    let graph = folder.join("graphs").join(format!("{}.json", record.judged_id));
    if !graph.exists() {
        let text = serde_json::to_string(judged).map_err(|e| format!("cannot write the history: {e}"))?;
        write(&graph, &text, &record.run_id)?;
    }
    let mut text =
        serde_json::to_string_pretty(record).map_err(|e| format!("cannot write the history: {e}"))?;
    text.push('\n');
    // Their names sort by time.
    let name = format!("{:014}-{}.json", record.started_unix_ms.max(0), record.run_id);
    write(&folder.join(name), &text, &record.run_id)
}

/// All runs of a plan, oldest first.
///
/// # Errors
/// When the folder is there and cannot be read.
pub fn read(store: &Path, plan: &str) -> Result<Vec<Entry>, String> {
    let folder = folder(store, plan);
    let failed = |e: std::io::Error| format!("cannot read `{}`: {e}", folder.display());
    let mut names = Vec::new();
    match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
        Ok(entries) => {
            for entry in entries {
                let name = entry.map_err(failed)?.file_name();
                // What begins with a dot is being written, or was when its run was killed.
                names.extend(
                    name.to_str().filter(|n| n.ends_with(".json") && !n.starts_with('.')).map(str::to_owned),
                );
            }
        }
    }
    names.sort();
    let mut graphs = BTreeMap::new();
    Ok(names.iter().map(|name| entry(&folder, name, &mut graphs)).collect())
}

fn entry(folder: &Path, name: &str, graphs: &mut BTreeMap<String, Result<ExecutionGraph, String>>) -> Entry {
    let path = folder.join(name);
    let bad = |why: String| format!("`{}` is no record of a run: {why}", path.display());
    let text = fs::read_to_string(&path).map_err(|e| bad(e.to_string()))?;
    let record: Record = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    if record.schema != SCHEMA {
        return Err(bad(format!("its schema is {}, this program reads {SCHEMA}", record.schema)));
    }
    let id = record.judged_id.clone();
    let graph = graphs.entry(id.clone()).or_insert_with(|| {
        let path = folder.join("graphs").join(format!("{id}.json"));
        let text = fs::read_to_string(&path).map_err(|e| format!("cannot read `{}`: {e}", path.display()))?;
        let graph = ExecutionGraph::from_json(&text).map_err(|why| format!("`{}`: {why}", path.display()))?;
        match graph.id() == id {
            true => Ok(graph),
            false => Err(format!("`{}` is not what its name says", path.display())),
        }
    });
    match graph {
        Ok(graph) => Ok((record, graph.clone())),
        Err(why) => Err(bad(why.clone())),
    }
}

/// Whole or not at all; beside it under a name of this run's own, so that two that write the same do not meet.
fn write(path: &Path, text: &str, run_id: &str) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("cannot write `{}`: {e}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let beside = folder.join(format!(".{run_id}.tmp"));
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.map_err(failed)
}

/// Why a run says less than the plan.
fn incomplete(evidence: &Evidence) -> Vec<String> {
    let skipped = evidence.nodes.iter();
    let skipped = skipped.filter(|node| node.kind == "scenario" && node.outcome == NodeOutcome::Skipped);
    let mut out: Vec<String> =
        skipped.map(|node| format!("scenario `{}` was {}", node.name, node.detail)).collect();
    let later = evidence.load.iter().flat_map(|load| &load.scenarios);
    out.extend(later.filter_map(|(name, scenario)| {
        Some(format!("scenario `{name}` began at stage {} (`--from-stage`)", scenario.from_stage?))
    }));
    out.extend(evidence.overrides.iter().map(|over| format!("guard `{}` was overridden", over.guard)));
    let scenarios = evidence.load.iter().flat_map(|load| &load.scenarios);
    out.extend(scenarios.filter_map(|(name, record)| {
        Some(format!("scenario `{name}` began at stage {}", record.from_stage?))
    }));
    out
}

/// Requests that ended, and of them failed.
fn requests(evidence: &Evidence) -> (u64, u64) {
    let series = evidence.load.iter().flat_map(|load| load.on_time.series.iter().chain(&load.late.series));
    let of = series.filter(|series| series.metric == "http_req_failed");
    of.fold((0, 0), |(all, failed), series| match series.samples {
        Samples::Rate { trues, total } => (all + total, failed + trues),
        _ => (all, failed),
    })
}

fn durations(evidence: &Evidence) -> Distribution {
    let mut out = Distribution::default();
    let series = evidence.load.iter().flat_map(|load| load.on_time.series.iter().chain(&load.late.series));
    for series in series.filter(|series| series.metric == "http_req_duration") {
        if let Samples::Trend(trend) = &series.samples {
            out.add(trend);
        }
    }
    out
}

fn digest(machine: &BTreeMap<String, String>) -> String {
    use sha2::Digest;
    let text: String = machine.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    sha2::Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
