//! Gates over parts of a load: every full window by itself, or one stage.

use super::gates::Facts;
use super::pool::Ground;
use super::{GateResult, GateState};
use crate::evidence::{PartRecord, ScenarioRecord, ViewRecord};
use planc::graph::{Gate, Over};
use planc::units::show_duration;
use std::time::Duration;

impl Facts<'_> {
    /// The worst full window decides; the others held or are no better off.
    pub(super) fn every_window(&self, gate: &Gate, length: Duration) -> GateResult {
        let nothing = PartRecord::default();
        let width = micros(length);
        let view = self.view(gate);
        let full = view.map_or(Vec::new(), |view| self.full_windows(view, width));
        let on = |number: u64| {
            let record = view.and_then(|view| view.parts.get(&u32::try_from(number).ok()?));
            self.on(gate, Ground::Part { record: record.unwrap_or(&nothing), length_us: width })
        };
        self.worst_window(gate, length, &full, &on)
    }

    /// The worst of some full windows, each judged by `on`.
    pub(super) fn worst_window(
        &self,
        gate: &Gate,
        length: Duration,
        full: &[u64],
        on: &dyn Fn(u64) -> GateResult,
    ) -> GateResult {
        let width = micros(length);
        let results = full.iter().map(|number| (*number, on(*number)));
        let mut broken = 0;
        let worst = results
            .inspect(|(_, result)| broken += u64::from(result.state == GateState::Fail))
            .min_by(|(_, a), (_, b)| rank(a).cmp(&rank(b)).then(room(a).total_cmp(&room(b))));
        let Some((number, mut result)) = worst else {
            let nothing = PartRecord::default();
            let mut result = self.on(gate, Ground::Part { record: &nothing, length_us: width });
            if result.state != GateState::Skipped {
                result.note = Some(format!("the load had no full window of {}", show_duration(length)));
            }
            return result;
        };
        if result.state == GateState::Skipped {
            return result;
        }
        let time = |number: u64| show_duration(Duration::from_micros(number * width));
        let mut place = format!("in the window from {} to {}", time(number), time(number + 1));
        match (broken, full.len()) {
            (_, 1) => {}
            (0 | 1, all) => place.push_str(&format!(", the worst of {all}")),
            (broken, all) => place.push_str(&format!(", the worst of {broken} of {all} that broke it")),
        }
        result.note = Some(match (result.state, &result.note) {
            (GateState::NoData, _) => format!("no sample {place}"),
            (_, None) => place,
            (_, Some(note)) => format!("{note}, {place}"),
        });
        result
    }

    /// One stage, as far as it was played.
    pub(super) fn stage(&self, gate: &Gate, scenario: &str, number: u32) -> GateResult {
        let nothing = PartRecord::default();
        let demand = self.graph.scenarios.iter().find(|s| s.name == scenario).map(|s| &s.demand);
        let length = demand.and_then(|demand| demand.stage(number)).map(|(begin, end)| end - begin);
        let record = self.view(gate).and_then(|view| view.parts.get(&0)).unwrap_or(&nothing);
        let mut result =
            self.on(gate, Ground::Part { record, length_us: micros(length.unwrap_or_default()) });
        if result.state == GateState::NoData {
            result.note = Some(format!("no sample in stage {number} of `{scenario}`"));
        }
        result
    }

    /// Whether the stage that a gate judges has been played to its end.
    pub(crate) fn is_over(&self, gate: &Gate) -> bool {
        // A breach ends a search, never the run.
        if matches!(gate.over, Over::EachStage(_)) {
            return false;
        }
        let Over::Stage { scenario, number } = &gate.over else { return true };
        let demand = self.graph.scenarios.iter().find(|s| s.name == *scenario).map(|s| &s.demand);
        let end = demand.and_then(|demand| demand.stage(*number)).map(|(_, end)| micros(end));
        let record = self.load.scenarios.get(scenario);
        let ran = record.and_then(|record| Some(self.ran_until(record).saturating_sub(record.began_us?)));
        end.zip(ran).is_some_and(|(end, ran)| end <= ran)
    }

    /// What lies behind the last full window and is judged by no gate on windows.
    pub(crate) fn beyond_windows(&self, gate: &Gate) -> Option<Duration> {
        let Over::EveryWindow(length) = gate.over else { return None };
        let view = self.view(gate)?;
        let judged =
            self.full_windows(view, micros(length)).last().map_or(0, |last| (last + 1) * micros(length));
        let end = self.spans(view).into_iter().map(|(_, end)| end).max()?;
        (end > judged).then(|| Duration::from_micros(end - judged))
    }

    pub(super) fn view(&self, gate: &Gate) -> Option<&ViewRecord> {
        let is = |view: &&ViewRecord| {
            view.metric == gate.metric && view.selector == gate.selector && view.over == gate.over
        };
        self.load.views.iter().find(is)
    }

    /// Numbers of the windows in which the load went on from their beginning to their end.
    fn full_windows(&self, view: &ViewRecord, width: u64) -> Vec<u64> {
        let mut full = Vec::new();
        let mut last = None;
        for (begin, end) in joined(self.spans(view)) {
            let first = begin.div_ceil(width.max(1));
            full.extend((first..end / width.max(1)).filter(|number| last.is_none_or(|last| *number > last)));
            last = full.last().copied();
        }
        full
    }

    /// When iterations of each scenario were due or could begin, on the view's clock.
    fn spans(&self, view: &ViewRecord) -> Vec<(u64, u64)> {
        let span = |(name, begin): (&String, &u64)| {
            let record = self.load.scenarios.get(name)?;
            let scenario = self.graph.scenarios.iter().find(|scenario| scenario.name == *name)?;
            let ran = self.ran_until(record).saturating_sub(record.began_us?);
            Some((*begin, begin + ran.min(micros(scenario.demand.duration()))))
        };
        view.scenarios.iter().filter_map(span).collect()
    }

    fn ran_until(&self, record: &ScenarioRecord) -> u64 {
        if record.ended_us > 0 { record.ended_us } else { self.load.duration_us }
    }
}

/// Spans that touch made one, in order.
fn joined(mut spans: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    spans.sort_unstable();
    let mut out: Vec<(u64, u64)> = Vec::new();
    for (begin, end) in spans {
        match out.last_mut() {
            Some(last) if begin <= last.1 => last.1 = last.1.max(end),
            _ => out.push((begin, end)),
        }
    }
    out
}

/// The state that decides over others comes first.
fn rank(result: &GateResult) -> u8 {
    match result.state {
        GateState::Fail if result.breach_stands => 0,
        GateState::Fail => 1,
        GateState::NoData => 2,
        GateState::TooFew => 3,
        GateState::Refused => 4,
        GateState::Unknown => 5,
        GateState::WithinNoise => 6,
        GateState::Pass => 7,
        GateState::Skipped => 8,
    }
}

/// Room left to the bound; none where the value is infinite or the samples were too few to say.
fn room(result: &GateResult) -> f64 {
    match (result.state, result.margin_percent) {
        (GateState::NoData | GateState::TooFew, _) => result.samples as f64,
        (_, Some(margin)) => margin.0,
        (_, None) => f64::NEG_INFINITY,
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Drops, End, Evidence, Samples};
    use crate::judge::{aborting_gate, judge};
    use crate::testing::{errors, evidence, graph, p95, trend};
    use planc::graph::{Aggregate, Bound, Comparison, Demand, ExecutionGraph, RatePiece, Scenario};
    use planc::units::Fixed;
    use std::collections::BTreeMap;

    const WINDOW: Duration = Duration::from_secs(2);

    fn windowed() -> Gate {
        Gate { over: Over::EveryWindow(WINDOW), ..p95() }
    }

    fn samples(value: u64, count: u64, infinite: u64) -> PartRecord {
        let on_time = Some(Samples::Trend(trend(value, count, infinite)));
        PartRecord { on_time, plays: count + infinite, ..PartRecord::default() }
    }

    /// The healthy run of 100/s for 10 s, its five windows of 2 s as given.
    fn run(gate: &Gate, parts: Vec<PartRecord>) -> (ExecutionGraph, Evidence) {
        let graph = graph(vec![gate.clone(), errors()]);
        let mut evidence = evidence(&graph);
        let load = evidence.load.as_mut().expect("load");
        let record = load.scenarios.get_mut("s").expect("the scenario");
        (record.began_us, record.ended_us) = (Some(40_000), 10_060_000);
        load.duration_us = 10_060_000;
        load.views = vec![ViewRecord {
            metric: gate.metric.clone(),
            selector: gate.selector.clone(),
            over: gate.over.clone(),
            scenarios: BTreeMap::from([("s".into(), 0)]),
            parts: (0..).zip(parts).collect(),
        }];
        (graph, evidence)
    }

    fn told(graph: &ExecutionGraph, evidence: &Evidence) -> (u8, GateResult, String) {
        let verdict = judge(graph, evidence);
        let causes: Vec<&str> = verdict.causes.iter().map(|cause| cause.text.as_str()).collect();
        (verdict.exit, verdict.gates[0].clone(), causes.join("; "))
    }

    #[test]
    fn every_full_window_must_hold() {
        let good = || samples(20_000, 200, 0);
        let late = |mut part: PartRecord| {
            part.late = part.on_time.take();
            part
        };
        let dropped = |by_target, by_generator| PartRecord {
            dropped: BTreeMap::from([("s".into(), Drops { by_target, by_generator })]),
            ..good()
        };
        let table: Vec<(&str, PartRecord, u8, &str)> = vec![
            ("healthy", good(), 0, ""),
            (
                "slow",
                samples(900_000, 200, 0),
                99,
                "measured 900ms (in the window from 4s to 6s, the worst of 5)",
            ),
            (
                "failed",
                samples(20_000, 100, 100),
                99,
                "100 failed or cut off count as above every bound, in the window",
            ),
            ("a tenth of a window is above p95", samples(20_000, 180, 20), 99, "measured ∞"),
            ("no sample", PartRecord::default(), 111, "no sample in the window from 4s to 6s"),
            (
                "too few",
                samples(20_000, 58, 0),
                111,
                "58 samples, 59 are needed, in the window from 4s to 6s",
            ),
            ("too few, all bad", samples(900_000, 58, 0), 99, "measured 900ms"),
            ("dropped by the target", dropped(20, 0), 99, "20 dropped"),
            ("dropped by the generator", dropped(0, 20), 111, "20 arrivals were dropped"),
            (
                "slow in a late second",
                late(samples(900_000, 200, 0)),
                111,
                "broken only by samples of seconds",
            ),
        ];
        for (name, part, exit, text) in table {
            let parts = vec![good(), good(), part, good(), good()];
            let (graph, evidence) = run(&windowed(), parts);
            let (got, result, causes) = told(&graph, &evidence);
            assert_eq!(got, exit, "{name}: {causes}");
            assert!(causes.contains(text), "{name}: {causes}");
            assert_eq!(result.text, "p(95) < 500ms in every 2s");
        }
    }

    #[test]
    fn the_worst_window_is_told() {
        let parts = [20_000, 900_000, 20_000, 700_000, 20_000].map(|value| samples(value, 200, 0));
        let (graph, evidence) = run(&windowed(), parts.to_vec());
        let (exit, result, causes) = told(&graph, &evidence);
        assert_eq!((exit, result.value_text.as_str()), (99, "900ms"));
        assert!(causes.contains("from 2s to 4s, the worst of 2 of 5 that broke it"), "{causes}");
        // A breach decides over a window that says nothing.
        let parts = vec![samples(900_000, 200, 0), PartRecord::default()];
        let (graph, evidence) = run(&windowed(), parts);
        assert_eq!(told(&graph, &evidence).0, 99);
    }

    #[test]
    fn only_full_windows_are_judged() {
        let bad = || samples(900_000, 200, 0);
        let good = || samples(20_000, 200, 0);
        let table: [(&str, Duration, u64, u8, &str); 4] = [
            ("the last third of a window is not full", Duration::from_secs(3), 10_060_000, 0, ""),
            ("a window that is cut off by the end", Duration::from_secs(5), 10_060_000, 99, "900ms"),
            ("stopped before it was full", Duration::from_secs(5), 9_900_000, 105, ""),
            (
                "no window at all",
                Duration::from_secs(20),
                10_060_000,
                111,
                "the load had no full window of 20s",
            ),
        ];
        for (name, length, ended_us, exit, text) in table {
            let gate = Gate { over: Over::EveryWindow(length), ..p95() };
            let parts =
                if length.as_secs() == 3 { vec![good(), good(), good(), bad()] } else { vec![good(), bad()] };
            let (graph, mut evidence) = run(&gate, parts);
            let load = evidence.load.as_mut().expect("load");
            load.scenarios.get_mut("s").expect("the scenario").ended_us = ended_us;
            if exit == 105 {
                evidence.end = End::Interrupted { signal: "SIGTERM".into() };
            }
            let (got, result, causes) = told(&graph, &evidence);
            assert_eq!(got, exit, "{name}: {causes}");
            assert!(causes.contains(text), "{name}: {causes}");
            assert_eq!(result.state == GateState::Fail, exit == 99, "{name}");
        }
        let gate = Gate { over: Over::EveryWindow(Duration::from_secs(3)), ..p95() };
        let (graph, evidence) = run(&gate, vec![good(), good(), good()]);
        let verdict = judge(&graph, &evidence);
        assert!(verdict.not_measured.iter().any(|m| m.contains("the last 1s are in no full window")));
    }

    #[test]
    fn a_window_is_judged_when_it_closes() {
        let gate = Gate { abort_on_fail: true, ..windowed() };
        let bad = samples(900_000, 11, 0);
        let first = PartRecord { on_time: Some(Samples::Trend(trend(20_000, 189, 0))), ..bad };
        let slow = vec![samples(20_000, 200, 0), samples(900_000, 200, 0)];
        for (name, parts, now, busy, aborts) in [
            ("still open", slow.clone(), 3_900_000, 0, false),
            ("closed", slow, 4_100_000, 0, true),
            ("what is under way may be good", vec![samples(20_000, 189, 11), first], 4_100_000, 40, false),
        ] {
            let (graph, mut evidence) = run(&gate, parts);
            let load = evidence.load.as_mut().expect("load");
            (load.duration_us, load.ticks.last_mut().expect("a tick").busy_vus) = (now, busy);
            load.scenarios.get_mut("s").expect("the scenario").ended_us = 0;
            let told = aborting_gate(&graph, load);
            assert_eq!(told.is_some(), aborts, "{name}: {told:?}");
        }
    }

    #[test]
    fn a_stage_ends_the_run_when_it_is_over() {
        let over = Over::Stage { scenario: "s".into(), number: 1 };
        let gate = Gate { abort_on_fail: true, over, ..p95() };
        for (now, aborts) in [(9_000_000, false), (10_050_000, true)] {
            let (graph, mut evidence) = run(&gate, vec![samples(900_000, 200, 0)]);
            let load = evidence.load.as_mut().expect("load");
            load.duration_us = now;
            load.scenarios.get_mut("s").expect("the scenario").ended_us = 0;
            assert_eq!(aborting_gate(&graph, load).is_some(), aborts, "{now}");
        }
    }

    #[test]
    fn counters_of_a_window_are_its_own() {
        let counted = |count: i64, plays| PartRecord {
            on_time: (count > 0)
                .then_some(Samples::Counter { sum_milli: count * 1_000, count: count as u64 }),
            plays,
            ..PartRecord::default()
        };
        let gate = |op, aggregate, bound: i64| Gate {
            metric: "http_reqs".into(),
            aggregate,
            op,
            bound: Bound::Number(Fixed(bound * 1_000_000)),
            min_samples: 1,
            drops: BTreeMap::new(),
            ..windowed()
        };
        use Comparison::{Gt, Lt};
        for (gate, part, exit) in [
            (gate(Gt, Aggregate::Count, 199), counted(200, 200), 0),
            (gate(Gt, Aggregate::Count, 200), counted(200, 200), 99),
            (gate(Gt, Aggregate::Rate, 99), counted(200, 200), 0),
            (gate(Lt, Aggregate::Rate, 100), counted(200, 200), 99),
            (gate(Lt, Aggregate::Count, 300), counted(0, 200), 0),
            (gate(Lt, Aggregate::Count, 300), counted(0, 0), 111),
        ] {
            let (graph, evidence) = run(&gate, vec![part; 5]);
            let (got, _, causes) = told(&graph, &evidence);
            assert_eq!(got, exit, "{} {:?}: {causes}", gate.op.as_str(), gate.aggregate);
        }
        let drops = Gate { metric: "dropped_iterations".into(), ..gate(Lt, Aggregate::Count, 5) };
        for (by_target, by_generator, plays, exit) in
            [(4, 0, 196, 0), (5, 0, 195, 99), (0, 5, 195, 111), (0, 0, 0, 111)]
        {
            let mut part = PartRecord { plays, ..PartRecord::default() };
            part.dropped.insert("s".into(), Drops { by_target, by_generator });
            let (graph, evidence) = run(&drops, vec![part; 5]);
            let (got, _, causes) = told(&graph, &evidence);
            assert_eq!(got, exit, "{by_target} {by_generator}: {causes}");
        }
    }

    #[test]
    fn windows_of_scenarios_that_follow_one_another_are_full_across_them() {
        let mut graph = graph(vec![windowed()]);
        let second = Scenario { name: "t".into(), ..graph.scenarios[0].clone() };
        graph.scenarios.push(second);
        let load = |begins: [u64; 2]| {
            let mut load = evidence(&graph).load.expect("load");
            let first = load.scenarios.get_mut("s").expect("the scenario");
            (first.began_us, first.ended_us) = (Some(0), 10_000_000);
            let other = first.clone();
            load.scenarios.insert("t".into(), other);
            load.views = vec![ViewRecord {
                metric: String::new(),
                selector: BTreeMap::new(),
                over: Over::Load,
                scenarios: BTreeMap::from([("s".into(), begins[0]), ("t".into(), begins[1])]),
                parts: BTreeMap::new(),
            }];
            load
        };
        for (begins, width, want) in [
            ([0, 0], 4_000_000, vec![0, 1]),
            ([0, 10_000_000], 4_000_000, vec![0, 1, 2, 3, 4]),
            ([0, 11_000_000], 4_000_000, vec![0, 1, 3, 4]),
            ([1_000_000, 5_000_000], 4_000_000, vec![1, 2]),
            ([0, 10_000_000], 30_000_000, vec![]),
        ] {
            let load = load(begins);
            let facts = Facts::new(&graph, &load, Default::default());
            assert_eq!(facts.full_windows(&load.views[0], width), want, "{begins:?}");
        }
    }

    #[test]
    fn a_stage_is_judged_alone() {
        let gate = Gate { over: Over::Stage { scenario: "s".into(), number: 2 }, ..p95() };
        for (name, part, exit, text) in [
            ("healthy", samples(20_000, 500, 0), 0, ""),
            ("slow", samples(900_000, 500, 0), 99, "p(95) < 500ms in stage 2: measured 900ms"),
            ("never played", PartRecord::default(), 111, "no sample in stage 2 of `s`"),
            ("too few", samples(20_000, 12, 0), 111, "12 samples, 59 are needed"),
        ] {
            let (mut graph, evidence) = run(&gate, vec![part]);
            if let Demand::Arrivals { pieces, start_rate, .. } = &mut graph.scenarios[0].demand {
                let half = RatePiece { target: *start_rate, duration: Duration::from_secs(5), hold: None };
                *pieces = vec![half.clone(), half];
            }
            let (got, _, causes) = told(&graph, &evidence);
            assert_eq!(got, exit, "{name}: {causes}");
            assert!(causes.contains(text), "{name}: {causes}");
        }
    }
}
