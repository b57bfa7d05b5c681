//! What a recorder holds: a minute of samples beside an hour of them.

use planc::graph::ExecutionGraph;
use tests::counting::Counting;

/// Counts every byte of the process.
#[global_allocator]
static HEAP: Counting = Counting::new();

/// The plan with one of its conditions.
struct Text(String);

impl planc::Files for Text {
    fn read(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

const PLAN: &str = include_str!("../../../bench/recorder.yaml");
const CONDITION: &str = "p(95) < 500ms";

/// Prints the table.
pub(crate) fn measure() -> Result<(), String> {
    println!("recorder, 200 requests/s over 20 series, peak heap in KiB\n");
    println!("| gates | 1 minute | 60 minutes | ratio |");
    println!("|---|---|---|---|");
    for (name, window) in [("over the whole load", None), ("in every 30s", Some("30s"))] {
        let graph = plan(window)?;
        let peaks = [60, 3_600].map(|seconds| {
            HEAP.peak_of(|| {
                std::hint::black_box(runner::bench::record(&graph, seconds));
            })
        });
        let kib = peaks.map(|bytes| bytes as f64 / 1024.0);
        println!("| {name} | {:.1} | {:.1} | {:.2} |", kib[0], kib[1], kib[1] / kib[0]);
    }
    Ok(())
}

fn plan(window: Option<&str>) -> Result<ExecutionGraph, String> {
    let windowed = |length: &str| format!("{{ threshold: {CONDITION}, window: {length} }}");
    let text = match window {
        Some(length) => PLAN.replace(&format!("\"{CONDITION}\""), &windowed(length)),
        None => PLAN.to_owned(),
    };
    let compiled = planc::compile(&Text(text), "recorder.yaml", &planc::Options::default());
    compiled.graph.ok_or_else(|| "tests/bench/recorder.yaml has mistakes".to_owned())
}
