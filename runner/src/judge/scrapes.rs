//! Gates on metrics that were scraped beside the load.

use super::gates::Facts;
use super::pool::{Ground, Pool};
use super::{GateResult, GateState};
use planc::graph::{Gate, Over};

/// Share of the scrapes that were due which must have given a value, in percent.
const ENOUGH: u64 = 80;

impl Facts<'_> {
    /// Judges one gate on a scraped metric.
    pub(super) fn scraped(&self, gate: &Gate) -> GateResult {
        let end = self.load.duration_us;
        match &gate.over {
            Over::Load | Over::EachStage(_) => self.on_stretch(gate, 0, end),
            Over::EveryWindow(length) => {
                let width = (length.as_micros() as u64).max(1);
                let full: Vec<u64> = (0..end / width).collect();
                let on = |number: u64| self.on_stretch(gate, number * width, (number + 1) * width);
                self.worst_window(gate, *length, &full, &on)
            }
            Over::Stage { scenario, number } => {
                let demand = self.graph.scenarios.iter().find(|s| s.name == *scenario).map(|s| &s.demand);
                let stage = demand.and_then(|demand| demand.stage(*number));
                let began = self.load.scenarios.get(scenario).and_then(|record| record.began_us);
                let (from, to) = match (stage, began) {
                    (Some((from, to)), Some(began)) => {
                        (began + from.as_micros() as u64, began + to.as_micros() as u64)
                    }
                    _ => (0, 0),
                };
                self.on_stretch(gate, from, to.min(end).max(from))
            }
        }
    }

    /// One stretch of the load. Where many scrapes failed, what was between the others is not known.
    fn on_stretch(&self, gate: &Gate, from: u64, to: u64) -> GateResult {
        let mut result = self.on(gate, Ground::Stretch(from, to));
        let record = self.load.scrapes.get(&gate.metric);
        let failed = record.and_then(|record| Some((record.failed, record.last_error.as_deref()?)));
        let due = match self.graph.scrapes.get(&gate.metric) {
            Some(scrape) => (to - from) / (scrape.every.as_micros() as u64).max(1),
            None => 0,
        };
        let kept = record.map_or(1, |record| record.thinned.max(1));
        let why = failed.map(|(failed, why)| format!("; {failed} scrapes failed, the last: {why}"));
        let why = why.unwrap_or_default();
        match result.state {
            GateState::NoData => result.note = Some(format!("it was never scraped{why}")),
            GateState::TooFew => {
                result.note = result.note.map(|note| format!("{note}{why}"));
            }
            GateState::Pass if result.samples * kept * 100 < due * ENOUGH => {
                result.state = GateState::TooFew;
                result.note = Some(format!(
                    "{} of {due} scrapes that were due gave a value{why}",
                    result.samples * kept
                ));
            }
            _ => {}
        }
        result
    }

    /// The scrapes that lie in what a gate looks at.
    pub(super) fn scraped_pool(&self, gate: &Gate, ground: Ground<'_>) -> Pool {
        let (from, to) = match ground {
            Ground::Stretch(from, to) => (from, to),
            Ground::Load => (0, u64::MAX),
            Ground::Part { .. } => (0, 0),
        };
        let points = self.load.scrapes.get(&gate.metric).map_or(&[][..], |record| &record.points);
        let inside = points.iter().filter(|(at, _)| from <= *at && *at < to);
        let (mut last, mut min, mut max) = (None, f64::INFINITY, f64::NEG_INFINITY);
        let (mut sum, mut count) = (0.0, 0);
        for (_, milli) in inside {
            let value = *milli as f64 / 1e3;
            last = Some(value);
            (min, max) = (min.min(value), max.max(value));
            sum += value;
            count += 1;
        }
        Pool::Gauge { last, min, max, sum, count }
    }
}
