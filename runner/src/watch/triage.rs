//! Triage: conditions that are looked at each second, and what is looked up when one of them holds.

use super::scrape::Place;
use crate::checks::minimal_env;
use crate::client;
use crate::database;
use crate::evidence::{LoadRecord, LookRecord, TriageRecord};
use crate::judge::{self, Recent};
use planc::eval;
use planc::graph::{Decision, ExecutionGraph, GateLevel, Look, LookAt, Template, Triage, When};
use planc::units::show_duration;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// So much of what one look gives is kept.
const MOST: usize = 16 << 10;
/// Rows of a statement that are kept.
const ROWS: usize = 200;

/// An entry whose condition held.
pub(crate) struct Breach {
    /// Its number.
    pub(crate) entry: usize,
    pub(crate) record: TriageRecord,
}

/// Records of the entries that broke, as they are filled.
pub(crate) type Records = Arc<Mutex<Vec<TriageRecord>>>;

/// Looks at the conditions of all entries.
pub(crate) struct Desk {
    graph: Arc<ExecutionGraph>,
    /// Every gate may be looked at while the load goes on.
    watched: ExecutionGraph,
    entries: RefCell<Vec<Entry>>,
    to: UnboundedSender<Breach>,
}

#[derive(Default)]
struct Entry {
    recent: Option<Recent>,
    /// Since when its condition holds, microseconds of the load.
    since: Option<u64>,
    done: bool,
}

impl Desk {
    pub(crate) fn new(graph: Arc<ExecutionGraph>, to: UnboundedSender<Breach>) -> Desk {
        let entry = |triage: &Triage| Entry {
            recent: match &triage.when {
                When::Gate => None,
                When::Metric { of, steps, op, bound, .. } => Some(Recent::new(of, steps, *op, *bound)),
            },
            ..Entry::default()
        };
        let mut watched = (*graph).clone();
        watched.gates.retain(|gate| gate.level == GateLevel::Required);
        watched.gates.iter_mut().for_each(|gate| gate.abort_on_fail = true);
        let entries = RefCell::new(graph.triage.iter().map(entry).collect());
        Desk { graph, watched, entries, to }
    }

    /// Looks at the load as it stands; why it must end, if it must.
    pub(crate) fn look(&self, load: &LoadRecord) -> Option<String> {
        let mut end = None;
        let at_us = load.duration_us;
        let late = load.ticks.last().is_some_and(|tick| tick.late);
        let mut broken: Option<Option<String>> = None;
        for (number, (entry, triage)) in
            self.entries.borrow_mut().iter_mut().zip(&self.graph.triage).enumerate()
        {
            if entry.done {
                continue;
            }
            let seen = match (&triage.when, &mut entry.recent) {
                (When::Metric { text, lasts, .. }, Some(recent)) => {
                    let now = recent.look(&self.graph, load).filter(|now| now.holds);
                    entry.since = now.as_ref().map(|_| entry.since.unwrap_or(at_us));
                    let long = lasts.unwrap_or_default().as_micros() as u64;
                    let held = entry.since.is_some_and(|since| at_us - since >= long);
                    now.filter(|_| held).map(|now| format!("{text}: it is {}", now.text))
                }
                _ => broken.get_or_insert_with(|| judge::aborting_gate(&self.watched, load)).clone(),
            };
            let Some(seen) = seen else { continue };
            entry.done = true;
            let ends = triage.decision != Decision::Continue;
            let record = TriageRecord { at_us, generator_late: late, ended: ends, ..begun(triage, seen) };
            if ends && end.is_none() {
                end = Some(format!("triage `{}`", triage.name));
            }
            // Whoever gathers the evidence is gone only when the load is over.
            drop(self.to.send(Breach { entry: number, record }));
        }
        end
    }
}

/// The record of an entry before anything was looked up.
pub(crate) fn begun(triage: &Triage, seen: String) -> TriageRecord {
    TriageRecord { name: triage.name.clone(), cause: triage.cause.clone(), seen, ..TriageRecord::default() }
}

/// Where looks are taken.
#[derive(Clone)]
pub(crate) struct Scene {
    place: Place,
    env: BTreeMap<String, String>,
    folder: PathBuf,
}

/// Gathers the evidence of all breaches until nobody can tell of more; each entry's looks are taken in order.
pub(super) async fn gather(
    graph: Arc<ExecutionGraph>,
    scene: Scene,
    mut breaches: UnboundedReceiver<Breach>,
    records: Records,
) {
    let mut under_way = tokio::task::JoinSet::new();
    while let Some(Breach { entry, record }) = breaches.recv().await {
        let place = {
            let mut all = records.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(record);
            all.len() - 1
        };
        let Some(triage) = graph.triage.get(entry).cloned() else { continue };
        let (scene, records) = (scene.clone(), Arc::clone(&records));
        under_way.spawn_local(async move {
            for look in &triage.evidence {
                let looked = scene.look(look).await;
                let mut all = records.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(record) = all.get_mut(place) {
                    record.looks.push(looked);
                }
            }
        });
    }
    while under_way.join_next().await.is_some() {}
}

impl Scene {
    pub(crate) fn of(ground: &super::Ground) -> Scene {
        Scene { place: Place::of(ground), env: ground.env.clone(), folder: ground.folder.clone() }
    }

    /// One look, bounded in time and size.
    pub(crate) async fn look(&self, look: &Look) -> LookRecord {
        let start = Instant::now();
        let looked = tokio::time::timeout(look.within, self.look_at(&look.at, look.within)).await;
        let looked = looked.unwrap_or_else(|_| Err(format!("cut off after {}", show_duration(look.within))));
        let (output, error) = match looked {
            Ok(output) => (output, None),
            Err(why) => (String::new(), Some(why)),
        };
        let cut = output.len() > MOST;
        LookRecord {
            what: what(&look.at),
            output: up_to(&output, MOST).to_owned(),
            cut,
            error,
            milliseconds: start.elapsed().as_millis() as u64,
        }
    }

    async fn look_at(&self, at: &LookAt, within: Duration) -> Result<String, String> {
        match at {
            LookAt::Sql { statement } => {
                let url = self.place.database.as_deref().ok_or("the plan has no `database` to ask")?;
                database::rows_within(url, statement, &self.place.values, within, ROWS).await
            }
            LookAt::Http(request) | LookAt::Promql { request, .. } => {
                let web = self.place.web.as_ref().ok_or("the plan has no `target` to ask")?;
                let mut filled = client::fill(request, self.place.base.as_deref(), &self.place.values)?;
                filled.timeout = filled.timeout.or(Some(within));
                let reply = web.send(&filled).await.map_err(|error| error.to_string())?;
                let body = String::from_utf8_lossy(&reply.body);
                Ok(format!("status {}\n{}", reply.status, body.trim_end()))
            }
            LookAt::Command { argv } => self.command(argv).await,
        }
    }

    async fn command(&self, argv: &[Template]) -> Result<String, String> {
        let argv: Vec<String> = argv
            .iter()
            .map(|part| eval::render(part, &self.place.values).map_err(|error| error.0))
            .collect::<Result<_, _>>()?;
        let (program, arguments) = argv.split_first().ok_or("no program is named")?;
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).current_dir(&self.folder).env_clear().envs(minimal_env(&self.env));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("cannot run `{program}`: {error}"))?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        // A program that never stops talking is not listened to for ever.
        let most = MOST as u64 + 1;
        tokio::join!(read(child.stdout.take(), most, &mut out), read(child.stderr.take(), most, &mut err));
        let full = out.len() as u64 == most || err.len() as u64 == most;
        let code = match full {
            true => "it went on, and was ended".to_owned(),
            false => {
                let status = child.wait().await.map_err(|error| format!("`{program}`: {error}"))?;
                status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"))
            }
        };
        let said = [out, err].map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned());
        let said: Vec<String> = said.into_iter().filter(|text| !text.is_empty()).collect();
        Ok([vec![code], said].concat().join("\n"))
    }
}

/// Reads so much of a pipe, which closes then.
async fn read(pipe: Option<impl tokio::io::AsyncRead + Unpin>, most: u64, into: &mut Vec<u8>) {
    if let Some(pipe) = pipe {
        // What was read before an error is what there is.
        drop(pipe.take(most).read_to_end(into).await);
    }
}

/// What is looked at, in a line.
fn what(at: &LookAt) -> String {
    let text = |template: &Template| {
        let parts = template.segments.iter().map(|segment| match segment {
            planc::graph::Segment::Literal(text) => text.as_str(),
            planc::graph::Segment::Slot(_) => "…",
        });
        parts.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    match at {
        LookAt::Sql { statement } => format!("sql: {}", text(statement)),
        LookAt::Http(request) => format!("{} {}", request.method, text(&request.url)),
        LookAt::Promql { query, .. } => format!("promql: {query}"),
        LookAt::Command { argv } => {
            format!("command: {}", argv.iter().map(text).collect::<Vec<_>>().join(" "))
        }
    }
}

fn up_to(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
