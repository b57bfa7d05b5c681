//! Ramps that wait and searches for the highest rate, judged from their evidence.

use crate::evidence::{
    Evidence, LineRecord, LineSeen, LineUnit, PartRecord, Samples, StageOutcome, StageRecord, ViewRecord,
};
use crate::judge::{GateState, Verdict, judge};
use crate::testing::{errors, evidence, graph, p95, trend};
use planc::graph::{Demand, ExecutionGraph, FindMax, Gate, HoldUntil, Over, RatePiece, Until};
use planc::units::{PartsPerMillion, Rate};
use std::collections::BTreeMap;
use std::time::Duration;

fn per_second(count: u64) -> Rate {
    Rate { count, per: Duration::from_secs(1) }
}

fn stage(number: u32, outcome: StageOutcome) -> StageRecord {
    StageRecord {
        scenario: "s".into(),
        number,
        target: format!("{}/s", 100 * number),
        began_us: u64::from(number - 1) * 3_000_000,
        held_us: (outcome == StageOutcome::Held).then_some(u64::from(number) * 3_000_000 - 50_000),
        ended_us: u64::from(number) * 3_000_000,
        outcome,
        dropped: 0,
        lines: Vec::new(),
    }
}

/// The healthy run as three pieces of 100/s, 200/s and 300/s that hold for at most 5 s each.
fn held(gates: Vec<Gate>, until: Until, stages: Vec<StageRecord>) -> (ExecutionGraph, Evidence) {
    let mut graph = graph(gates);
    let hold = HoldUntil { until, within: Duration::from_secs(5) };
    let piece = |number: u64| RatePiece {
        target: per_second(100 * number),
        duration: Duration::ZERO,
        hold: Some(hold.clone()),
    };
    graph.scenarios[0].demand = Demand::Arrivals {
        start_rate: per_second(100),
        pieces: (1..=3).map(piece).collect(),
        pre_allocated_vus: 10,
        max_vus: 100,
    };
    let mut evidence = evidence(&graph);
    let load = evidence.load.as_mut().expect("load");
    let record = load.scenarios.get_mut("s").expect("the scenario");
    (record.began_us, record.ended_us) = (Some(0), 9_100_000);
    load.stages = stages;
    (graph, evidence)
}

fn told(verdict: &Verdict) -> (u8, String) {
    let causes: Vec<&str> = verdict.causes.iter().map(|cause| cause.text.as_str()).collect();
    (verdict.exit, causes.join("; "))
}

fn flat() -> Until {
    Until::Flat { numbers: Vec::new(), window: Duration::from_secs(5), tolerance: PartsPerMillion(50_000) }
}

#[test]
fn a_ramp_that_never_settles_fails_and_names_its_ceiling() {
    let climbing = LineRecord {
        number: "http_req_duration.p95".into(),
        unit: LineUnit::Time,
        window_us: 5_000_000,
        seen: LineSeen::Line { mean: 480_000, change: 212_000, noise: 1_000, limit: 24_000, flat: false },
    };
    let halted = StageRecord { lines: vec![climbing], ..stage(2, StageOutcome::NeverSettled) };
    let first = StageRecord { dropped: 7, ..stage(1, StageOutcome::NeverSettled) };
    let untold = StageOutcome::Untold { why: "3 samples".into() };
    let all = vec![stage(1, StageOutcome::Held), stage(2, StageOutcome::Held), stage(3, StageOutcome::Held)];
    for (name, stages, exit, text) in [
        ("all settle", all, 0, ""),
        (
            "the second climbs",
            vec![stage(1, StageOutcome::Held), halted],
            99,
            "`s` never became stable at 200/s (stage 2): `http_req_duration.p95` rises by 212ms in 5s around a mean of \
             480ms, and 24.00ms is allowed; the ceiling is 100/s (stage 1)",
        ),
        ("the first drops", vec![first], 99, "7 arrivals found no free virtual user; no stage held"),
        ("nobody can tell", vec![stage(1, untold)], 111, "whether stage 1 of `s` (100/s) settled: 3 samples"),
    ] {
        let (graph, evidence) = held(vec![p95(), errors()], flat(), stages);
        let (got, causes) = told(&judge(&graph, &evidence));
        assert_eq!(got, exit, "{name}: {causes}");
        assert!(causes.contains(text), "{name}: {causes}");
    }
}

#[test]
fn stages_last_as_long_as_they_did() {
    let gate = Gate { over: Over::Stage { scenario: "s".into(), number: 2 }, ..p95() };
    let stages =
        vec![stage(1, StageOutcome::Held), stage(2, StageOutcome::Held), stage(3, StageOutcome::Held)];
    let (graph, mut evidence) = held(vec![gate.clone(), errors()], flat(), stages);
    let load = evidence.load.as_mut().expect("load");
    let on_time = Some(Samples::Trend(trend(20_000, 300, 0)));
    load.views = vec![ViewRecord {
        metric: gate.metric.clone(),
        selector: gate.selector.clone(),
        over: gate.over.clone(),
        scenarios: BTreeMap::from([("s".into(), 0)]),
        parts: BTreeMap::from([(0, PartRecord { on_time, plays: 300, ..PartRecord::default() })]),
    }];
    let verdict = judge(&graph, &evidence);
    assert_eq!(told(&verdict), (0, String::new()));
    let rows: Vec<_> =
        verdict.stages.iter().map(|row| (&*row.began, &*row.lasted, &*row.held_after)).collect();
    assert_eq!(rows, [("0s", "3s", "2.95s"), ("3s", "3s", "2.95s"), ("6s", "3s", "2.95s")]);
    // Begun at the third, the second was not run and its gate is not judged.
    let load = evidence.load.as_mut().expect("load");
    load.scenarios.get_mut("s").expect("the scenario").from_stage = Some(3);
    let verdict = judge(&graph, &evidence);
    assert_eq!(verdict.gates[0].state, GateState::Skipped);
    assert!(verdict.not_measured.iter().any(|text| text.starts_with("stages 1 to 2 of `s`")));
}

#[test]
fn a_search_tells_the_highest_rate_that_held() {
    let gate = Gate { over: Over::EachStage("s".into()), ..p95() };
    let fine = (20_000, 400);
    let slow = (900_000, 400);
    let few = (20_000, 12);
    let held_or = |number, outcome: StageOutcome| stage(number, outcome);
    let broke = || StageOutcome::Broke { gate: "as it looked then".into() };
    let untold = || StageOutcome::Untold { why: "as it looked then".into() };
    let all = |last: StageOutcome| {
        vec![held_or(1, StageOutcome::Held), held_or(2, StageOutcome::Held), held_or(3, last)]
    };
    type Row<'r> = (&'r str, Option<u64>, Vec<StageRecord>, [(u64, u64); 3], u8, &'r str);
    let table: Vec<Row<'_>> = vec![
        (
            "the third breaks",
            None,
            all(broke()),
            [fine, fine, slow],
            0,
            "the highest rate that held is 200/s",
        ),
        ("that is enough", Some(200), all(broke()), [fine, fine, slow], 0, "300/s broke http_req_duration"),
        ("more is asked", Some(250), all(broke()), [fine, fine, slow], 99, "and at least 250/s is asked"),
        ("nothing breaks", None, all(StageOutcome::Held), [fine; 3], 0, "the limit lies above it"),
        ("late samples break the second", None, all(broke()), [fine, slow, slow], 0, "that held is 100/s"),
        ("the first breaks", None, vec![held_or(1, broke())], [slow; 3], 99, "not even its first rate held"),
        ("too few to tell", None, all(untold()), [fine, fine, few], 111, "whether 300/s of `s` held"),
        ("cut short", None, all(StageOutcome::CutOff), [fine; 3], 111, "was cut short at 300/s"),
    ];
    for (name, least, stages, parts, exit, text) in table {
        let over = Over::EachStage("s".into());
        let (mut graph, mut evidence) = held(vec![gate.clone(), errors()], Until::GatesHold, stages);
        graph.scenarios[0].find_max = Some(FindMax { at_least: least.map(per_second) });
        let load = evidence.load.as_mut().expect("load");
        let part = |(value, count)| PartRecord {
            on_time: Some(Samples::Trend(trend(value, count, 0))),
            plays: count,
            ..PartRecord::default()
        };
        load.views = vec![ViewRecord {
            metric: gate.metric.clone(),
            selector: gate.selector.clone(),
            over,
            scenarios: BTreeMap::from([("s".into(), 0)]),
            parts: (1..).zip(parts.map(part)).collect(),
        }];
        let verdict = judge(&graph, &evidence);
        let (got, causes) = told(&verdict);
        let said = format!("{causes}; {}", verdict.ceilings.join("; "));
        assert_eq!(got, exit, "{name}: {said}");
        assert!(said.contains(text), "{name}: {said}");
    }
}
