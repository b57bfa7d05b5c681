//! What is done with an input, and what must hold.

use crate::corpus::{Corpus, Input};
use crate::guide;
use crate::meter::Meter;
use planc::fmt::{Refusal, format};
use planc::graph::ExecutionGraph;
use planc::render::{FORMATS, Findings, View};
use planc::{Compilation, Files, Options, show};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

/// The memory that any input may take, and what each of its bytes may take beside.
const MEMORY: usize = 64 << 20;
const MEMORY_PER_BYTE: usize = 1 << 10;

/// Something that must not be.
pub(crate) struct Finding {
    pub(crate) kind: &'static str,
    /// What tells it from others.
    pub(crate) key: String,
}

/// The message and place of the last panic.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Panics are told as findings, not where they happen.
pub(crate) fn quiet() {
    std::panic::set_hook(Box::new(|info| {
        if let Ok(mut last) = PANIC.lock() {
            *last = info.to_string();
        }
    }));
}

/// Runs one input through the compiler; the codes that it was told.
pub(crate) fn run(
    corpus: &Corpus,
    input: &Input,
    limit: Duration,
) -> Result<BTreeSet<&'static str>, Finding> {
    guide::reset();
    let meter = Meter::start();
    let outcome = catch_unwind(AssertUnwindSafe(|| hold(corpus, input)));
    let (cpu, peak) = (meter.cpu(), meter.peak());
    let codes = outcome.map_err(|_| {
        let message = PANIC.lock().map(|message| message.clone()).unwrap_or_default();
        Finding { kind: "panic", key: message }
    })??;
    if peak > MEMORY + MEMORY_PER_BYTE * input.text.len() {
        return Err(Finding {
            kind: "memory",
            key: format!("over {} MiB", (peak >> 20).next_power_of_two() / 2),
        });
    }
    // Several passes are timed as one.
    if cpu > limit {
        return Err(Finding { kind: "time", key: format!("over {limit:?} of CPU time") });
    }
    Ok(codes)
}

fn hold(corpus: &Corpus, input: &Input) -> Result<BTreeSet<&'static str>, Finding> {
    let (codes, id) = compiled(corpus, &input.path, &input.text)?;
    match format(&input.path, &input.text) {
        Ok(once) => {
            match format(&input.path, &once) {
                Ok(twice) if twice == once => {}
                _ => return Err(Finding { kind: "fmt", key: "fmt changes what it has formatted".into() }),
            }
            let (after, same) = compiled(corpus, &input.path, &once)?;
            if after != codes || same != id {
                return Err(Finding { kind: "fmt", key: "fmt changes what is told or the graph".into() });
            }
        }
        Err(Refusal::Broken { .. }) => {}
        Err(Refusal::Changed) => {
            return Err(Finding { kind: "fmt", key: "fmt would change what the text says".into() });
        }
    }
    Ok(codes)
}

/// Checks, lowers, draws and renders; the codes that were told and the graph's id.
fn compiled(
    corpus: &Corpus,
    path: &str,
    text: &str,
) -> Result<(BTreeSet<&'static str>, Option<String>), Finding> {
    let files = Overlay { corpus, path, text };
    let Compilation { sources, diagnostics, allowed, coverage, graph, .. } =
        planc::check(&files, path, &Options::default());
    let codes: BTreeSet<&'static str> = diagnostics.iter().map(|diagnostic| diagnostic.code.id).collect();
    let errors = diagnostics.has_errors();
    // Unit tests of a plan are checked and are no plan, nor is a suite.
    if graph.is_none() && !errors && !path.ends_with(".test.yaml") && !planc::suite::is_suite(&files, path) {
        return Err(Finding { kind: "silent", key: "neither an error nor a graph".into() });
    }
    let findings = Findings {
        sources,
        diagnostics: diagnostics.into_sorted(),
        allowed,
        coverage: vec![(path.into(), coverage)],
    };
    for format in FORMATS {
        (format.render)(&findings, View { color: true, coverage: true });
    }
    let Some(graph) = graph else { return Ok((codes, None)) };
    for format in show::FORMATS {
        (format.render)(&graph);
    }
    let id = graph.id();
    let again =
        serde_json::to_string(&graph).map(|text| ExecutionGraph::from_json(&text).map(|graph| graph.id()));
    match again {
        Ok(Ok(again)) if again == id => Ok((codes, Some(id))),
        _ => Err(Finding { kind: "graph", key: "a graph is not the same when read back".into() }),
    }
}

/// The repository's files, one of them replaced.
struct Overlay<'a> {
    corpus: &'a Corpus,
    path: &'a str,
    text: &'a str,
}

impl Files for Overlay<'_> {
    fn read(&self, path: &str) -> Result<String, String> {
        if path == self.path {
            return Ok(self.text.to_string());
        }
        self.corpus.files.get(path).cloned().ok_or_else(|| "no such file".into())
    }
}
