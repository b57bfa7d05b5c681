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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Evidence, ScrapeRecord};
    use crate::judge::judge;
    use planc::graph::{
        Aggregate, Bound, Comparison, ExecutionGraph, GateLevel, MetricKind, Scrape, ScrapeFrom, Template,
    };
    use planc::units::Fixed;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn gate(aggregate: Aggregate, over: Over) -> Gate {
        Gate {
            metric: "queue_depth".into(),
            selector: BTreeMap::new(),
            text: "value < 50".into(),
            aggregate,
            op: Comparison::Lt,
            bound: Bound::Number(Fixed(50_000_000)),
            level: GateLevel::Required,
            min_samples: 3,
            drops: BTreeMap::new(),
            steps: Vec::new(),
            over,
            ..crate::testing::p95()
        }
    }

    /// A load of 10 s, scraped each second.
    fn run(gate: Gate, values: &[Option<i64>]) -> (ExecutionGraph, Evidence) {
        let mut graph = crate::testing::graph(vec![gate, crate::testing::p95()]);
        graph.metrics.insert("queue_depth".into(), MetricKind::Gauge);
        let from = ScrapeFrom::Sql { statement: Template::literal("select 1") };
        let second = Duration::from_secs(1);
        graph.scrapes.insert("queue_depth".into(), Scrape { from, every: second, within: second });
        let mut evidence = crate::testing::evidence(&graph);
        let mut record = ScrapeRecord::default();
        for (at, value) in values.iter().enumerate() {
            let value = value.map(|value| value * 1_000).ok_or("status 500".to_owned());
            record.add(at as u64 * 1_000_000, value);
        }
        let load = evidence.load.as_mut().expect("a load");
        load.scenarios.get_mut("s").expect("the scenario").began_us = Some(0);
        load.scrapes.insert("queue_depth".into(), record);
        (graph, evidence)
    }

    #[test]
    fn what_was_scraped_decides_and_what_was_not_is_no_pass() {
        let calm: Vec<Option<i64>> = vec![Some(5); 10];
        let peak: Vec<Option<i64>> = (0..10).map(|at| Some(if at == 4 { 90 } else { 5 })).collect();
        let patchy: Vec<Option<i64>> = (0..10).map(|at| (at % 2 == 0).then_some(5)).collect();
        let patchy_peak: Vec<Option<i64>> = (0..10).map(|at| (at % 2 == 0).then_some(90)).collect();
        let window = || Over::EveryWindow(Duration::from_secs(5));
        let stage = || Over::Stage { scenario: "s".into(), number: 1 };
        for (name, aggregate, over, values, exit) in [
            ("calm", Aggregate::Max, Over::Load, calm.clone(), 0),
            ("a peak", Aggregate::Max, Over::Load, peak.clone(), 99),
            ("the last value", Aggregate::Value, Over::Load, peak.clone(), 0),
            ("the mean", Aggregate::Avg, Over::Load, peak.clone(), 0),
            ("a window's mean", Aggregate::Avg, window(), peak.clone(), 0),
            ("a window's peak", Aggregate::Max, window(), peak.clone(), 99),
            ("a stage's peak", Aggregate::Max, stage(), peak, 99),
            ("a stage", Aggregate::Max, stage(), calm.clone(), 0),
            ("half of it is not known", Aggregate::Max, Over::Load, patchy, 111),
            ("what is known breaks it", Aggregate::Max, Over::Load, patchy_peak, 99),
            ("two are too few", Aggregate::Max, Over::Load, calm[..2].to_vec(), 111),
            ("away all the time", Aggregate::Max, Over::Load, vec![None; 10], 111),
            ("away in a window", Aggregate::Max, window(), [&calm[..5], &[None; 5]].concat(), 111),
        ] {
            let (graph, evidence) = run(gate(aggregate, over), &values);
            let verdict = judge(&graph, &evidence);
            let causes: Vec<&str> = verdict.causes.iter().map(|cause| cause.text.as_str()).collect();
            assert_eq!(verdict.exit, exit, "{name}: {causes:?}");
        }
        let (graph, evidence) = run(gate(Aggregate::Max, Over::Load), &[None; 10]);
        let told = judge(&graph, &evidence).causes[0].text.clone();
        assert!(told.contains("it was never scraped; 10 scrapes failed, the last: status 500"), "{told}");
    }

    #[test]
    fn a_day_of_scrapes_keeps_its_extremes() {
        let mut record = ScrapeRecord::default();
        for at in 0..200_000_u64 {
            let value = match at {
                77_777 => 9_000,
                123_456 => -9_000,
                _ => 5,
            };
            record.add(at, Ok(value));
        }
        assert!(record.points.len() <= 50_000, "{}", record.points.len());
        let values = || record.points.iter().map(|(_, value)| *value);
        assert_eq!((values().min(), values().max()), (Some(-9_000), Some(9_000)));
        assert!(record.points.is_sorted(), "in order of time");
    }
}
