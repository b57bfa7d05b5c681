//! What decides over what, which samples count where, and that all sums add up.

use super::*;

/// Each line of the precedence decides over those after it, and all of them are told.
#[test]
fn precedence_after_load() {
    type Harm = fn(&mut Evidence);
    fn load(evidence: &mut Evidence) -> &mut LoadRecord {
        evidence.load.as_mut().expect("load")
    }
    let harms: [(u8, &str, Harm); 6] = [
        (105, "stopped by SIGINT", |e| e.end = End::Interrupted { signal: "SIGINT".into() }),
        (70, "2 virtual users panicked", |e| load(e).health.panicked = 2),
        (99, "http_req_duration{scenario:s} p(95) < 500ms: measured 900ms", |e| {
            durations(load(e), trend(900_000, 1_000, 0));
        }),
        (111, "starts were late", |e| load(e).health.lateness = trend(50_000, 1_000, 0)),
        (101, "teardown failed", |e| load(e).teardown_failed = Some("gone".into())),
        (112, "http_req_failed{scenario:s} rate < 1%: ", |e| {
            set(load(e), "http_req_failed", Samples::Rate { trues: 9, total: 1_000 });
        }),
    ];
    let gates = || vec![p95(), Gate { confident: true, ..errors() }];
    for first in 0..=harms.len() {
        let (exit, causes, whole) =
            verdict(gates(), |evidence| harms[first..].iter().for_each(|(_, _, harm)| harm(evidence)));
        let want = harms.get(first).map_or(0, |(exit, ..)| *exit);
        assert_eq!(exit, want, "{first}: {causes}");
        let mut at = 0;
        for (_, text, _) in &harms[first..] {
            at += causes[at..].find(text).unwrap_or_else(|| panic!("`{text}` in its place: {causes}"));
        }
        // What could not be written takes a pass back and nothing else.
        let lost = whole.with_lost_outputs(&["report.html: the disk is full".to_owned()]);
        assert_eq!(lost.exit, if want == 0 { 117 } else { want });
        assert!(lost.causes.iter().any(|cause| cause.text.contains("the disk is full")));
    }
}

/// A breach decides only while it stands without the late seconds and with all that is unknown taken as good.
#[test]
fn a_breach_stands_or_falls_with_what_is_known() {
    let late_too = |load: &mut LoadRecord, value, count| {
        let mut late = load.on_time.series[0].clone();
        late.samples = Samples::Trend(trend(value, count, 0));
        load.late = Population { series: vec![late] };
        load.health.lateness = trend(50_000, 1_000, 0);
    };
    let dropped = |load: &mut LoadRecord, by_generator| {
        let record = scenario(load);
        record.dropped_by_generator = by_generator;
        (record.started, record.finished) = (1_000 - by_generator, 1_000 - by_generator);
    };
    for (name, exit, slow, lost, late) in [
        ("breaks in both kinds of seconds", 99, 100, 0, Some(900_000)),
        ("no breach over all seconds, and late ones among them", 111, 60, 0, Some(20_000)),
        ("breaks in late seconds only", 111, 10, 0, Some(900_000)),
        ("stands though all that was lost were good", 99, 100, 100, None),
        ("falls if what was lost was good", 111, 46, 100, None),
    ] {
        let (got, causes, _) = verdict(vec![p95()], |evidence| {
            let load = evidence.load.as_mut().expect("load");
            let n = 1_000 - lost;
            let mut mixed = trend(20_000, n - slow, 0);
            mixed.buckets.push((900_000, slow));
            (mixed.sum, mixed.max) = (mixed.sum + 900_000 * slow, 900_000);
            durations(load, mixed);
            if lost > 0 {
                dropped(load, lost);
            }
            if let Some(value) = late {
                late_too(load, value, 1_000);
            }
        });
        assert_eq!(got, exit, "{name}: {causes}");
    }
}

/// Failures of any kind lie above every bound; `{outcome:ok}` leaves them out, and then drops too.
#[test]
fn populations() {
    let outcome = |value: &str| {
        let mut gate = p95();
        gate.selector.insert("outcome".into(), value.into());
        Gate { drops: BTreeMap::new(), ..gate }
    };
    let failing: Change = |load| {
        durations(load, trend(20_000, 900, 0));
        let mut failed = load.on_time.series[0].clone();
        failed.tags.insert("outcome".into(), "transport".into());
        failed.samples = Samples::Trend(trend(0, 0, 100));
        load.on_time.series.push(failed);
    };
    let dropping: Change = |load| {
        (scenario(load).started, scenario(load).finished) = (900, 900);
        scenario(load).dropped_by_target = 100;
        durations(load, trend(20_000, 900, 0));
    };
    for (name, gate, change, state, samples) in [
        ("all requests", p95(), failing, GateState::Fail, 1_000),
        ("those that were ok", outcome("ok"), failing, GateState::Pass, 900),
        ("those that were not", outcome("transport"), failing, GateState::Fail, 100),
        ("drops count as above every bound", p95(), dropping, GateState::Fail, 1_000),
        ("and not among those that were ok", outcome("ok"), dropping, GateState::Pass, 900),
    ] {
        let (_, causes, verdict) = verdict(vec![gate], |e| change(e.load.as_mut().expect("load")));
        let result = &verdict.gates[0];
        assert_eq!((result.state, result.samples), (state, samples), "{name}: {causes}");
    }
}

#[test]
fn what_was_started_and_planned_must_have_come_to_something() {
    let table: &[(&str, Change)] = &[
        ("an iteration came to nothing", |l| scenario(l).finished -= 1),
        ("one came to two ends", |l| scenario(l).interrupted += 1),
        ("one was never planned", |l| (scenario(l).started, scenario(l).finished) = (1_001, 1_001)),
        ("one was neither started nor dropped", |l| (scenario(l).started, scenario(l).finished) = (999, 999)),
    ];
    let counted =
        Demand::Iterations { vus: 5, iterations: 1_000, shared: true, max_duration: Duration::from_secs(60) };
    for closed in [false, true] {
        for (name, change) in table {
            let mut graph = graph(vec![p95(), errors()]);
            if closed {
                graph.scenarios[0].demand = counted.clone();
            }
            let (exit, causes, _) = verdict_of(&graph, change);
            assert_eq!(exit, 70, "{name}: {causes}");
            assert!(causes.contains("do not add up"), "{name}: {causes}");
        }
    }
}
