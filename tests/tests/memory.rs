//! What a recorder holds after an hour is what it held after a minute. One test alone: its process counts every byte.

use planc::graph::ExecutionGraph;
use tests::counting::Counting;

#[global_allocator]
static HEAP: Counting = Counting::new();

const PLAN: &str = include_str!("../bench/recorder.yaml");

struct Text(String);

impl planc::Files for Text {
    fn read(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

fn plan(condition: &str) -> ExecutionGraph {
    let text = Text(PLAN.replace("\"p(95) < 500ms\"", condition));
    let compiled = planc::compile(&text, "recorder.yaml", &planc::Options::default());
    compiled.graph.expect("a plan without a mistake")
}

fn peak(graph: &ExecutionGraph, seconds: u64) -> usize {
    let mut samples = 0;
    let peak = HEAP.peak_of(|| samples = runner::bench::record(graph, seconds));
    assert!(samples >= seconds * 200, "{samples} samples in {seconds} s");
    peak
}

#[test]
fn an_hour_of_samples_takes_no_more_memory_than_a_minute() {
    let whole = plan("\"p(95) < 500ms\"");
    // What is made once for a process is made before.
    peak(&whole, 1);
    let (minute, hour) = (peak(&whole, 60), peak(&whole, 3_600));
    assert!(hour <= minute, "{minute} bytes at the highest of a minute, {hour} of an hour");
    // Windows are kept, each with its own distribution: that grows with their number and with nothing else.
    let windowed = plan("{ threshold: p(95) < 500ms, window: 30s }");
    let (minute, hour) = (peak(&windowed, 60), peak(&windowed, 3_600));
    let each = (hour - minute) / 118;
    assert!((1..100_000).contains(&each), "{each} bytes for each of 118 more windows");
}
