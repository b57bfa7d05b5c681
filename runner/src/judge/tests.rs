//! Tables of evidence and the verdict that it must get.

use super::*;
use crate::evidence::{NodeRecord, Population, Samples};
use crate::testing::{errors, evidence, graph, p95, trend};
use planc::graph::{Aggregate, Bound, Comparison, Gate, StepId};
use planc::units::Fixed;

type Change = fn(&mut LoadRecord);

fn scenario(load: &mut LoadRecord) -> &mut ScenarioRecord {
    load.scenarios.get_mut("s").expect("the scenario")
}

fn set(load: &mut LoadRecord, metric: &str, samples: Samples) {
    let series = load.on_time.series.iter_mut().find(|series| series.metric == metric);
    series.expect("the metric").samples = samples;
}

fn durations(load: &mut LoadRecord, trend: Trend) {
    set(load, "http_req_duration", Samples::Trend(trend));
}

fn all_failed(load: &mut LoadRecord) {
    durations(load, trend(0, 0, 1_000));
    set(load, "http_req_failed", Samples::Rate { trues: 1_000, total: 1_000 });
    let record = scenario(load);
    record.failed = 1_000;
    record.finished = 0;
}

/// Judges the healthy run after a change; the causes are told as one text.
fn verdict(gates: Vec<Gate>, change: impl FnOnce(&mut Evidence)) -> (u8, String, Verdict) {
    let graph = graph(gates);
    let mut evidence = evidence(&graph);
    change(&mut evidence);
    let verdict = judge(&graph, &evidence);
    let causes: Vec<&str> = verdict.causes.iter().map(|cause| cause.text.as_str()).collect();
    (verdict.exit, causes.join("; "), verdict)
}

#[test]
fn loads_and_their_verdicts() {
    let table: &[(&str, u8, &str, Change)] = &[
        ("healthy", 0, "", |_| {}),
        ("refused: every request failed at once", 99, "measured ∞", all_failed),
        ("refused, and never a request that is fast", 99, "every iteration of `s`", all_failed),
        ("slow", 99, "measured 900ms", |l| durations(l, trend(900_000, 1_000, 0))),
        ("6 % cut off", 99, "60 failed or cut off", |l| durations(l, trend(20_000, 940, 60))),
        ("5 % cut off lie above p95", 0, "", |l| durations(l, trend(20_000, 950, 50))),
        ("no sample", 111, "no sample was ever emitted", |l| l.on_time.series.clear()),
        ("too few samples", 111, "50 samples, 59 are needed", |l| durations(l, trend(20_000, 50, 0))),
        ("few samples, one slow: not a breach yet", 111, "5 samples, 59 are needed", |l| {
            durations(l, trend(20_000, 4, 1));
        }),
        ("few samples, all failed: a breach for certain", 99, "measured ∞", |l| {
            durations(l, trend(20_000, 0, 5));
        }),
        ("dropped by the target: samples above every bound", 99, "100 dropped", |l| {
            scenario(l).started = 900;
            scenario(l).finished = 900;
            scenario(l).dropped_by_target = 100;
            durations(l, trend(20_000, 900, 0));
        }),
        ("dropped by the generator: invalid", 111, "900 of 1000 planned", |l| {
            scenario(l).started = 900;
            scenario(l).finished = 900;
            scenario(l).dropped_by_generator = 100;
            durations(l, trend(20_000, 900, 0));
        }),
        ("late generator", 111, "starts were late: p99 50.00ms, limit 10ms", |l| {
            l.health.lateness = trend(50_000, 1_000, 0);
        }),
        ("late generator, breach only in late seconds", 111, "broken only by samples of seconds", |l| {
            let mut late = l.on_time.series[0].clone();
            late.samples = Samples::Trend(trend(900_000, 500, 0));
            l.late = Population { series: vec![late] };
        }),
        ("late generator, breach in the other seconds too", 99, "measured 900ms", |l| {
            l.health.lateness = trend(50_000, 1_000, 0);
            durations(l, trend(900_000, 1_000, 0));
        }),
        ("loop delay is no matter in an open model", 0, "", |l| {
            l.health.loop_delay = trend(50_000, 1_000, 0);
        }),
        ("no iteration", 111, "no iteration of `s` was started", |l| {
            *scenario(l) = ScenarioRecord { planned: Some(1_000), ..ScenarioRecord::default() };
        }),
        ("no iteration ended", 111, "no iteration of `s` ended", |l| {
            scenario(l).finished = 0;
            scenario(l).interrupted = 1_000;
        }),
        ("scenario missing", 111, "scenario `s` never ran", |l| l.scenarios.clear()),
        ("step never played", 111, "step `home` was never played", |l| {
            l.steps_played.insert(0, 0);
        }),
        ("rows ran out", 111, "ran out", |l| scenario(l).rows_ran_out = true),
        ("no ports left", 111, "no free port (3 times)", |l| {
            l.health.exhausted.insert("no free port".into(), 3);
        }),
        ("sums do not add up", 111, "do not add up", |l| scenario(l).finished = 990),
        ("stopped by a step", 99, "`on_failure` ended scenario `s`", |l| {
            scenario(l).stopped_by_step = Some("home".into());
        }),
        ("teardown failed", 101, "teardown failed: gone", |l| l.teardown_failed = Some("gone".into())),
        ("teardown failed and a gate broke: the gate decides", 99, "teardown failed", |l| {
            l.teardown_failed = Some("gone".into());
            all_failed(l);
        }),
        ("teardown failed and invalid: invalid decides", 111, "ran out", |l| {
            l.teardown_failed = Some("gone".into());
            scenario(l).rows_ran_out = true;
        }),
    ];
    for (name, exit, text, change) in table {
        let (got, causes, _) =
            verdict(vec![p95(), errors()], |evidence| change(evidence.load.as_mut().expect("load")));
        assert_eq!(got, *exit, "{name}: {causes}");
        assert!(causes.contains(text), "{name}: {causes}");
    }
}

#[test]
fn gates_and_their_states() {
    let gate = |metric: &str, aggregate, op, bound: i64| Gate {
        metric: metric.into(),
        aggregate,
        op,
        bound: Bound::Number(Fixed(bound * 1_000_000)),
        min_samples: 1,
        drops: BTreeMap::new(),
        ..p95()
    };
    use Aggregate::{Avg, Count, Max, Med, Min, Rate, Value};
    use Comparison::{Gt, Lt};
    let table: &[(Gate, GateState, &str)] = &[
        (gate("http_reqs", Count, Gt, 999), GateState::Pass, "1000"),
        (gate("http_reqs", Count, Gt, 1_000), GateState::Fail, "1000"),
        (gate("http_reqs", Rate, Gt, 99), GateState::Pass, "100"),
        (gate("http_req_duration", Avg, Lt, 21), GateState::Pass, "20.00ms"),
        (gate("http_req_duration", Med, Lt, 20), GateState::Fail, "20.00ms"),
        (gate("http_req_duration", Min, Lt, 21), GateState::Pass, "20.00ms"),
        (gate("http_req_duration", Max, Lt, 21), GateState::Pass, "20.00ms"),
        (gate("http_req_duration", Count, Gt, 10), GateState::Pass, "1000"),
        (gate("dropped_iterations", Count, Lt, 1), GateState::Pass, "0"),
        (gate("checks", Rate, Gt, 0), GateState::Pass, "100.00%"),
        (gate("custom", Count, Lt, 1), GateState::Pass, "0"),
        (Gate { steps: vec![StepId(7)], ..gate("custom", Count, Lt, 1) }, GateState::NoData, "–"),
        (gate("vus", Value, Gt, 1), GateState::NoData, "–"),
        (
            Gate { selector: BTreeMap::from([("name".into(), "hone".into())]), ..p95() },
            GateState::NoData,
            "–",
        ),
    ];
    for (gate, state, value) in table {
        let (_, causes, verdict) = verdict(vec![gate.clone()], |_| {});
        let result = &verdict.gates[0];
        assert_eq!(result.state, *state, "{} {}: {causes}", gate.metric, gate.text);
        assert_eq!(result.value_text, *value, "{} {:?}", gate.metric, gate.aggregate);
    }
}

#[test]
fn a_mean_over_failures_is_refused() {
    let mean = Gate { aggregate: Aggregate::Avg, ..p95() };
    let (exit, causes, _) = verdict(vec![mean], |evidence| {
        durations(evidence.load.as_mut().expect("load"), trend(20_000, 999, 1));
    });
    assert_eq!(exit, 111);
    assert!(causes.contains("there is no mean"), "{causes}");
}

#[test]
fn a_confident_gate_near_its_bound_is_inconclusive() {
    let near: fn(&mut Evidence) = |evidence| {
        let load = evidence.load.as_mut().expect("load");
        set(load, "http_req_failed", Samples::Rate { trues: 9, total: 1_000 });
    };
    let (exit, ..) = verdict(vec![errors()], near);
    assert_eq!(exit, 0, "without `confident` it passes, and says that it is within noise");
    let (exit, _, verdict) = verdict(vec![Gate { confident: true, ..errors() }], near);
    assert_eq!((exit, verdict.gates[0].within_noise), (112, true));
}

#[test]
fn advisory_gates_never_decide() {
    let advisory = Gate { level: GateLevel::Advisory, ..p95() };
    let (exit, ..) = verdict(vec![advisory, errors()], |evidence| {
        durations(evidence.load.as_mut().expect("load"), trend(900_000, 1_000, 0));
    });
    assert_eq!(exit, 0);
}

#[test]
fn without_any_gate_a_failed_expectation_decides() {
    let (exit, causes, _) = verdict(Vec::new(), |evidence| {
        let record = scenario(evidence.load.as_mut().expect("load"));
        record.finished -= 1;
        record.failed = 1;
    });
    assert_eq!(exit, 99);
    assert!(causes.contains("no gate that allows it"), "{causes}");
}

#[test]
fn ends_and_their_exits() {
    let interrupted = End::Interrupted { signal: "SIGTERM".into() };
    for (end, loaded, exit) in [
        (End::Completed, true, 0),
        (End::Completed, false, 111),
        (interrupted.clone(), true, 105),
        (interrupted, false, 105),
        (End::AbortedByStep { step: "home".into() }, true, 99),
        (End::AbortedByGate { gate: "p(95) < 500ms".into() }, true, 111),
        (End::Refused, false, 113),
        (End::ServiceNotReady, false, 116),
        (End::SeedingFailed, false, 114),
        (End::PreflightRefused, false, 115),
        (End::SmokeRefused, true, 115),
        (End::SetupFailed, false, 100),
    ] {
        let (got, causes, _) = verdict(vec![p95()], |evidence| {
            evidence.end = end.clone();
            if !loaded {
                evidence.load = None;
            }
        });
        assert_eq!(got, exit, "{end:?}: {causes}");
        assert_eq!(causes.is_empty(), exit == 0, "{end:?}");
    }
}

#[test]
fn a_scenario_left_out_on_purpose_is_told_and_does_not_decide() {
    let (exit, _, verdict) = verdict(vec![p95()], |evidence| {
        evidence.nodes.push(NodeRecord {
            kind: "scenario".into(),
            name: "s".into(),
            outcome: NodeOutcome::Skipped,
            detail: "--only".into(),
            fix: None,
            milliseconds: 0,
        });
        evidence.load = Some(LoadRecord::default());
    });
    // All scenarios left out leaves nothing to judge.
    assert_eq!(exit, 111);
    assert_eq!(verdict.gates[0].state, GateState::Skipped);
    assert!(verdict.not_measured[0].contains("left out on purpose"));
}

#[test]
fn abort_needs_its_delay_and_a_breach_that_stands() {
    let gate = Gate { abort_on_fail: true, delay_abort_eval: Duration::from_secs(5), ..p95() };
    let graph = graph(vec![gate]);
    let mut load = evidence(&graph).load.expect("load");
    assert_eq!(aborting_gate(&graph, &load), None);
    durations(&mut load, trend(900_000, 1_000, 0));
    assert!(aborting_gate(&graph, &load).expect("a breach").contains("measured 900ms"));
    load.duration_us = 4_000_000;
    assert_eq!(aborting_gate(&graph, &load), None);
}
