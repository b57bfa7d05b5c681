//! What `tests` measures of the engine's inside without a network: the recorder, fed as workers feed it.

use crate::course::courses;
use crate::record::{Bundle, Cell, Family, Key, Labels, Merger, Recorder, Second};
use crate::views::{Moment, View};
use planc::graph::ExecutionGraph;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Series of requests.
const SERIES: u32 = 20;
/// Requests a second, over all series.
const RATE: u64 = 200;
/// Seconds after which the same samples come again, so that a longer run has nothing new to say.
const CYCLE: u64 = 20;

/// Records so many seconds of made-up requests of the plan's first scenario, hands over once a second, and tells how
/// many samples are in the evidence at the end.
pub fn record(graph: &ExecutionGraph, seconds: u64) -> u64 {
    let scenario = &graph.scenarios[0];
    let views = Arc::new(View::all(graph, &[scenario], &courses(&[scenario], &BTreeMap::new())));
    let mut recorder = Recorder::new(views.clone());
    let mut merger = Merger::new(1, views, Vec::new());
    for second in 0..seconds {
        let mut random = second % CYCLE + 1;
        for n in 0..RATE {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let series = (n % u64::from(SERIES)) as u32;
            let key = Key { owner: series, family: Family::Request, variant: 0, result: 0, late: false };
            let at = Moment { own_us: second * 1_000_000 + n * 1_000_000 / RATE, begun_us: 0 };
            let fresh = || (labels(&scenario.name, series), Cell::Request(Box::default()));
            recorder.add(key, Some(at), fresh, |cell| {
                let Cell::Request(bundle) = cell else { return };
                request(bundle, random);
            });
        }
        merger.add(0, &mut recorder.take(), false, &mut Second::default());
    }
    let (on_time, _) = merger.populations();
    let views = merger.views(&[&scenario.name]);
    let durations = on_time.series.iter().filter(|series| series.metric == "http_reqs");
    let parts: usize = views.iter().map(|view| view.parts.len()).sum();
    let counted = durations.map(|series| match series.samples {
        crate::evidence::Samples::Counter { count, .. } => count,
        _ => 0,
    });
    counted.sum::<u64>() + parts as u64
}

fn labels(scenario: &str, series: u32) -> Labels {
    let tags = BTreeMap::from([
        ("scenario".to_owned(), scenario.to_owned()),
        ("name".to_owned(), format!("GET /{series}")),
        ("outcome".to_owned(), "ok".to_owned()),
    ]);
    Labels { metric: String::new(), tags, late: false }
}

/// A request of half a millisecond to half a second; one of a thousand has failed.
fn request(bundle: &mut Bundle, random: u64) {
    bundle.totals.requests += 1;
    let failed = (random >> 20).is_multiple_of(1_000);
    bundle.totals.failed += u64::from(failed);
    let micros = 500 << ((random >> 40) % 10);
    for (at, dist) in bundle.times.iter_mut().enumerate() {
        match failed {
            true => dist.add_infinite(),
            false => dist.add((micros + (random >> 50) % 500) / (at as u64 + 1)),
        }
    }
}
