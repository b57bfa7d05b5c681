//! Tables of evidence and the verdict that it must get.

mod precedence;
mod stages;

use super::*;
use crate::evidence::{NodeRecord, Population, Samples, Trend};
use crate::testing::{errors, evidence, graph, p95, trend};
use planc::expr::Expr;
use planc::graph::{Aggregate, Bound, Comparison, Demand, Gate, Step, StepId};
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

/// Eight arrivals dropped by the generator, and so many samples above every bound.
fn few_dropped(load: &mut LoadRecord, infinite: u64) {
    let record = scenario(load);
    (record.started, record.finished, record.dropped_by_generator) = (992, 992, 8);
    durations(load, trend(20_000, 992 - infinite, infinite));
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

fn left_out(name: &str) -> NodeRecord {
    NodeRecord {
        kind: "scenario".into(),
        name: name.into(),
        outcome: NodeOutcome::Skipped,
        detail: "--only".into(),
        fix: None,
        milliseconds: 0,
    }
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
            *scenario(l) = ScenarioRecord { dropped_by_generator: 1_000, ..scenario(l).clone() };
            (scenario(l).started, scenario(l).finished) = (0, 0);
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
        ("the clock was set", 111, "generator: the clock jumped back by 1h", |l| {
            l.health.clock_jump_us = -3_600_000_000;
        }),
        ("sums do not add up: a bug of ours", 70, "do not add up", |l| scenario(l).finished = 990),
        ("planned is neither started nor dropped", 70, "do not add up", |l| {
            scenario(l).planned = Some(1_005);
        }),
        ("a bug of ours decides over a gate", 70, "2 virtual users panicked", |l| {
            l.health.panicked = 2;
            all_failed(l);
        }),
        ("the engine stopped", 70, "the load engine stopped: no more threads", |l| {
            l.error = Some("no more threads".into());
            scenario(l).finished = 900;
        }),
        ("dropped by the generator, and harmless for p95", 0, "", |l| few_dropped(l, 0)),
        ("dropped by the generator, and p95 could have broken", 111, "8 arrivals were dropped", |l| {
            few_dropped(l, 45);
        }),
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
    assert!(causes.contains("no gate of this run allows it"), "{causes}");
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
        evidence.nodes.push(left_out("s"));
        evidence.load = Some(LoadRecord::default());
    });
    // All scenarios left out leaves nothing to judge.
    assert_eq!(exit, 111);
    assert_eq!(verdict.gates[0].state, GateState::Skipped);
    assert!(verdict.not_measured[0].contains("left out on purpose"));
}

#[test]
fn a_step_that_the_inputs_switch_off_is_told_and_not_missed() {
    for (on, code, told) in [(false, 0, "is switched off by the inputs"), (true, 111, "was never played")] {
        let mut graph = graph(vec![p95(), errors()]);
        let steps = &mut graph.scenarios[0].steps;
        let again = Step { id: StepId(9), name: "again".into(), ..steps[0].clone() };
        let kind = StepKind::When { condition: Expr::Const(on.into()), steps: vec![again.clone()] };
        steps.push(Step { id: StepId(8), name: "when".into(), kind, ..again });
        let (exit, text, verdict) = verdict_of(&graph, |_| {});
        assert_eq!(exit, code, "{text}");
        let line = format!("step `again` of `s` {told}");
        assert!(verdict.not_measured.contains(&line), "{:?}", verdict.not_measured);
    }
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

/// Judges a changed graph; [`verdict`] for those whose scenario is not the usual one.
fn verdict_of(graph: &ExecutionGraph, change: impl FnOnce(&mut LoadRecord)) -> (u8, String, Verdict) {
    let mut evidence = evidence(graph);
    change(evidence.load.as_mut().expect("load"));
    let verdict = judge(graph, &evidence);
    let causes: Vec<&str> = verdict.causes.iter().map(|cause| cause.text.as_str()).collect();
    (verdict.exit, causes.join("; "), verdict)
}

#[test]
fn iterations_that_never_began_are_no_pass() {
    let mut graph = graph(vec![errors()]);
    graph.scenarios[0].demand =
        Demand::Iterations { vus: 5, iterations: 1_000, shared: true, max_duration: Duration::from_secs(10) };
    let table: &[(&str, u8, &str, u64, Vec<Gate>)] = &[
        ("all", 0, "", 1_000, vec![errors()]),
        ("nearly all", 0, "", 995, vec![errors()]),
        ("most", 111, "`max_duration` ended it after 600 of 1000 iterations", 600, vec![errors()]),
        ("most, and p95 counts the rest", 99, "400 dropped", 600, vec![p95(), errors()]),
    ];
    for (name, exit, text, started, gates) in table {
        graph.gates.clone_from(gates);
        let (got, causes, _) = verdict_of(&graph, |load| {
            let record = scenario(load);
            (record.started, record.finished, record.dropped_by_target) =
                (*started, *started, 1_000 - started);
        });
        assert_eq!(got, *exit, "{name}: {causes}");
        assert!(causes.contains(text), "{name}: {causes}");
    }
}

/// Five users for ten seconds, of which all answers came until `last`; what was cut off at `ended`.
fn users(load: &mut LoadRecord, last: u64, ended: u64, cut_off: u64) {
    load.health.lateness = Trend::default();
    let record = scenario(load);
    record.planned = None;
    (record.last_answer_us, record.ended_us) = (last * 1_000, ended * 1_000);
    (record.finished, record.interrupted, record.censored) = (1_000 - cut_off, cut_off, cut_off);
    record.vus_max = 5;
    durations(load, trend(20_000, 1_000 - cut_off, cut_off));
}

fn silent(load: &mut LoadRecord, seconds: std::ops::Range<usize>) {
    load.ticks[seconds].iter_mut().for_each(|tick| tick.requests = 0);
}

#[test]
fn a_target_that_stops_answering_is_no_pass() {
    use planc::graph::{Pause, Step, UserPiece};
    type Shape = fn(&mut ExecutionGraph);
    let slow: Shape = |graph| graph.gates[0].bound = Bound::Duration(Duration::from_secs(45));
    let no_latency_gate: Shape = |graph| drop(graph.gates.remove(0));
    let pauses: Shape = |graph| {
        let kind = StepKind::Pause(Pause::Fixed(Duration::from_secs(20)));
        let step = &graph.scenarios[0].steps[0];
        let pause = Step { id: StepId(1), name: "think".into(), kind, ..step.clone() };
        graph.scenarios[0].steps.push(pause);
    };
    let ramps_down: Shape = |graph| {
        let nobody = UserPiece { target: 0, duration: Duration::from_secs(20), hold: None };
        if let Demand::Users { pieces, .. } = &mut graph.scenarios[0].demand {
            pieces.push(UserPiece { target: 0, duration: Duration::ZERO, hold: None });
            pieces.push(nobody);
        }
    };
    let plain: Shape = |_| {};
    let table: &[(&str, u8, Shape, Change)] = &[
        ("nothing recorded: evidence of another day", 0, plain, |l| users(l, 0, 0, 5)),
        ("all answered", 0, plain, |l| users(l, 10_000, 10_020, 0)),
        ("hangs from 3 s", 99, plain, |l| users(l, 3_000, 10_000, 5)),
        ("hangs from 3 s, waited for", 99, plain, |l| users(l, 3_000, 40_000, 5)),
        ("hangs at the very end, all wait", 99, plain, |l| users(l, 9_900, 40_000, 5)),
        ("one request of the last ones hangs", 0, plain, |l| users(l, 9_990, 40_000, 1)),
        ("cut off within a second", 0, plain, |l| users(l, 9_500, 10_000, 5)),
        ("slow, as the gate allows", 0, slow, |l| users(l, 3_000, 10_000, 5)),
        ("no latency gate: the timeout", 0, no_latency_gate, |l| users(l, 3_000, 10_000, 5)),
        ("no latency gate: beyond the timeout", 99, no_latency_gate, |l| users(l, 3_000, 40_000, 5)),
        ("thinking", 0, pauses, |l| users(l, 3_000, 10_000, 5)),
        ("beyond thinking", 99, pauses, |l| users(l, 3_000, 40_000, 5)),
        ("nobody asks any more", 0, ramps_down, |l| users(l, 9_900, 30_000, 1)),
        ("the generator was late", 111, plain, |l| {
            users(l, 3_000, 10_000, 5);
            l.ticks[6].late = true;
            l.health.loop_delay = trend(50_000, 100, 0);
        }),
        ("silent in its midst", 99, plain, |l| {
            users(l, 10_000, 10_020, 0);
            silent(l, 3..7);
        }),
        ("silent for two seconds at most", 0, plain, |l| {
            users(l, 10_000, 10_020, 0);
            silent(l, 3..5);
        }),
        ("silent and nobody is busy", 0, plain, |l| {
            users(l, 10_000, 10_020, 0);
            silent(l, 3..7);
            l.ticks.iter_mut().for_each(|tick| tick.busy_vus = 0);
        }),
        ("silent, as the gate allows", 0, slow, |l| {
            users(l, 10_000, 10_020, 0);
            silent(l, 3..7);
        }),
    ];
    for (name, exit, shape, change) in table {
        let mut graph = graph(vec![p95(), errors()]);
        graph.scenarios[0].demand = Demand::Users {
            start_vus: 5,
            pieces: vec![UserPiece { target: 5, duration: Duration::from_secs(10), hold: None }],
            graceful_ramp_down: Duration::ZERO,
        };
        shape(&mut graph);
        let (got, causes, _) = verdict_of(&graph, change);
        assert_eq!(got, *exit, "{name}: {causes}");
        assert_eq!(causes.contains("answer"), *exit == 99, "{name}: {causes}");
    }
}

#[test]
fn an_open_model_is_silent_only_while_arrivals_are_due() {
    for (name, exit, last, rate) in [
        ("answered to the end", 0, 9_990_000, 100),
        ("hangs from 3 s", 99, 3_000_000, 100),
        ("no arrival was due", 0, 9_001_000, 1),
    ] {
        let mut graph = graph(vec![errors()]);
        if let Demand::Arrivals { start_rate, pieces, .. } = &mut graph.scenarios[0].demand {
            start_rate.count = rate;
            pieces[0].target.count = rate;
        }
        graph.scenarios[0].steps.iter_mut().for_each(|step| {
            if let StepKind::Http(http) = &mut step.kind {
                http.request.timeout = Some(Duration::from_millis(500));
            }
        });
        let (got, causes, _) = verdict_of(&graph, |load| {
            let record = scenario(load);
            (record.last_answer_us, record.ended_us) = (last, 10_500_000);
            (record.finished, record.failed) = (998, 2);
        });
        assert_eq!(got, exit, "{name}: {causes}");
    }
}

/// A scenario `smoke` of one other step beside `s`.
fn with_smoke(gates: Vec<Gate>) -> ExecutionGraph {
    let mut graph = graph(gates);
    let mut smoke = graph.scenarios[0].clone();
    (smoke.name, smoke.smoke) = ("smoke".into(), true);
    smoke.steps[0].id = StepId(1);
    graph.scenarios.push(smoke);
    graph
}

fn smoked(load: &mut LoadRecord, failed: u64) {
    load.scenarios.insert("smoke".into(), ScenarioRecord { started: 1, finished: 1, ..Default::default() });
    load.steps_played.insert(1, 1);
    let mut series = load.on_time.series.clone();
    for series in &mut series {
        series.tags.insert("scenario".into(), "smoke".into());
        if series.metric == "http_req_failed" {
            series.samples = Samples::Rate { trues: failed, total: 10_000 };
        }
    }
    load.on_time.series.extend(series);
}

#[test]
fn a_smokes_samples_count_in_its_own_gates_only() {
    let all = Gate { selector: BTreeMap::new(), steps: vec![StepId(0), StepId(1)], ..errors() };
    let own = Gate {
        selector: BTreeMap::from([("scenario".into(), "smoke".into())]),
        steps: vec![StepId(1)],
        ..errors()
    };
    let by_step = Gate { selector: BTreeMap::new(), ..own.clone() };
    for (name, gate, trues, failed, exit, samples) in [
        ("failures of the load are not diluted", all.clone(), 50, 0, 99, 1_000),
        ("failures of the smoke are not the load's", all, 0, 5_000, 0, 1_000),
        ("its own gate", own, 0, 5_000, 99, 10_000),
        ("a gate that only its steps reach", by_step, 0, 0, 0, 11_000),
    ] {
        let (got, causes, verdict) = verdict_of(&with_smoke(vec![gate]), |load| {
            set(load, "http_req_failed", Samples::Rate { trues, total: 1_000 });
            smoked(load, failed);
        });
        assert_eq!((got, verdict.gates[0].samples), (exit, samples), "{name}: {causes}");
    }
}

#[test]
fn a_smoke_that_was_ended_before_its_time_holds_the_load_back() {
    let graph = with_smoke(Vec::new());
    let mut load = LoadRecord::default();
    smoked(&mut load, 0);
    assert_eq!(judge_smoke(&graph, &load, None), Vec::<String>::new());
    assert_eq!(judge_smoke(&graph, &load, Some("gate `g`")), ["the smoke was ended by gate `g`"]);
}

#[test]
fn failures_need_a_gate_of_their_scenario() {
    let other = || BTreeMap::from([("scenario".to_owned(), "other".to_owned())]);
    let reqs = Gate {
        metric: "http_reqs".into(),
        aggregate: Aggregate::Count,
        op: Comparison::Gt,
        bound: Bound::Number(Fixed(1_000_000)),
        drops: BTreeMap::new(),
        ..p95()
    };
    let (exit, skip) = (0, GateState::Skipped);
    for (name, gates, other_skipped, want) in [
        ("its own", vec![errors()], false, exit),
        ("latency sees failures", vec![p95()], false, exit),
        (
            "another scenario's alone",
            vec![Gate { selector: other(), steps: vec![StepId(1)], ..p95() }],
            false,
            99,
        ),
        ("a floor of requests", vec![reqs], false, 99),
        ("advisory", vec![Gate { level: GateLevel::Advisory, ..errors() }], false, 99),
        ("skipped", vec![Gate { selector: other(), steps: vec![StepId(1)], ..p95() }], true, 99),
    ] {
        let mut graph = with_smoke(gates);
        (graph.scenarios[1].name, graph.scenarios[1].smoke) = ("other".into(), false);
        let mut evidence = evidence(&graph);
        if other_skipped {
            evidence.nodes.push(left_out("other"));
        }
        let load = evidence.load.as_mut().expect("load");
        (scenario(load).finished, scenario(load).failed) = (999, 1);
        if !other_skipped {
            smoked(load, 0);
            let record = load.scenarios.remove("smoke").expect("the other");
            load.scenarios.insert("other".into(), record);
            for series in &mut load.on_time.series {
                if series.tags["scenario"] == "smoke" {
                    series.tags.insert("scenario".into(), "other".into());
                }
            }
        }
        let verdict = judge(&graph, &evidence);
        assert_eq!(verdict.exit, want, "{name}: {:?}", verdict.causes);
        assert_eq!(verdict.gates[0].state == skip, other_skipped, "{name}");
    }
}

#[test]
fn a_bug_of_ours_is_told_wherever_the_run_ended() {
    for (end, exit) in
        [(End::SmokeRefused, 70), (End::Completed, 70), (End::Interrupted { signal: "SIGTERM".into() }, 105)]
    {
        let (got, causes, _) = verdict(vec![p95()], |evidence| {
            evidence.end = end;
            evidence.load.as_mut().expect("load").health.panicked = 1;
        });
        assert_eq!(got, exit, "{causes}");
        assert!(causes.contains("panicked"), "{causes}");
    }
}

#[test]
fn a_run_whose_gates_were_all_left_out_is_invalid() {
    let selector = BTreeMap::from([("scenario".to_owned(), "smoke".to_owned())]);
    let mut graph = with_smoke(vec![Gate { selector, steps: vec![StepId(1)], ..p95() }]);
    graph.scenarios[1].smoke = false;
    let mut evidence = evidence(&graph);
    evidence.nodes.push(left_out("smoke"));
    let verdict = judge(&graph, &evidence);
    assert_eq!(verdict.exit, 111, "{:?}", verdict.causes);
    assert!(verdict.causes[0].text.contains("nothing was judged"), "{:?}", verdict.causes);
}

#[test]
fn only_the_targets_drops_break_a_gate_on_drops() {
    let gate = Gate {
        metric: "dropped_iterations".into(),
        aggregate: Aggregate::Count,
        bound: Bound::Number(Fixed(5_000_000)),
        min_samples: 1,
        drops: BTreeMap::new(),
        ..p95()
    };
    let tagged = Gate { selector: BTreeMap::from([("team".into(), "a".into())]), ..gate.clone() };
    for (name, gate, by_target, by_generator, exit) in [
        ("none", &gate, 0, 0, 0),
        ("the target's", &gate, 8, 0, 99),
        ("the generator's", &gate, 0, 8, 111),
        ("both, the target's alone break it", &gate, 6, 2, 99),
        ("both, the target's alone do not", &gate, 4, 4, 111),
        ("of no scenario", &tagged, 0, 0, 111),
    ] {
        let (got, causes, _) = verdict(vec![gate.clone()], |evidence| {
            let record = scenario(evidence.load.as_mut().expect("load"));
            (record.dropped_by_target, record.dropped_by_generator) = (by_target, by_generator);
            record.started = 1_000 - by_target - by_generator;
            record.finished = record.started;
        });
        assert_eq!(got, exit, "{name}: {causes}");
    }
}
