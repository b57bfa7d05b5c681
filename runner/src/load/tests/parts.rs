//! Windows, stages and the seconds of the generator.

use super::*;

/// A gate over a part of the load of scenario `s`.
fn over(metric: &str, over: Over) -> Gate {
    let drops = BTreeMap::from([("s".into(), 1_000_000)]);
    Gate { metric: metric.into(), over, drops, ..crate::testing::p95() }
}

/// Samples of each part of a view, drops by either's fault with them.
fn parts(record: &LoadRecord, view: usize) -> Vec<(u32, u64, u64)> {
    let count = |samples: &Option<Samples>| match samples {
        Some(Samples::Trend(trend)) => trend.buckets.iter().map(|b| b.1).sum::<u64>() + trend.infinite,
        Some(Samples::Counter { count, .. }) => *count,
        Some(other) => panic!("{other:?}"),
        None => 0,
    };
    let parts = record.views[view].parts.iter().map(|(number, part)| {
        let dropped: u64 = part.dropped.values().map(|drops| drops.by_target + drops.by_generator).sum();
        (*number, count(&part.on_time) + count(&part.late), dropped)
    });
    parts.collect()
}

#[test]
fn samples_belong_to_the_window_in_which_they_were_due() {
    // Every answer takes longer than a window: it comes when its window has closed.
    let server = Server::start(|_| {
        std::thread::sleep(Duration::from_millis(350));
        ok("")
    });
    let window = Over::EveryWindow(Duration::from_millis(300));
    let mut plan =
        graph(vec![scenario("s", arrivals(50, Duration::from_millis(900), 60), vec![get(0, "/")])]);
    plan.scenarios[0].graceful_stop = Duration::from_secs(10);
    plan.gates =
        ["http_req_duration", "http_reqs", "iteration_duration"].map(|m| over(m, window.clone())).into();
    // Two conditions on one view keep it once.
    plan.gates.push(plan.gates[0].clone());
    let (record, _) = load(plan, &server.url);
    assert_eq!(record.views.len(), 3);
    for view in 0..3 {
        assert_eq!(parts(&record, view), [(0, 15, 0), (1, 15, 0), (2, 15, 0)]);
    }
    assert_eq!(record.views[1].parts[&0].plays, 15);
    assert_eq!(record.views[0].scenarios, BTreeMap::from([("s".to_owned(), 0)]));
    assert!(record.scenarios["s"].began_us.is_some());
}

#[test]
fn drops_count_in_the_window_in_which_they_were_due() {
    let server = Server::start(|_| Deed::Hang);
    let window = Over::EveryWindow(Duration::from_millis(200));
    let mut plan =
        graph(vec![scenario("s", arrivals(100, Duration::from_millis(600), 3), vec![get(0, "/")])]);
    plan.gates = vec![over("http_req_duration", window.clone()), over("dropped_iterations", window)];
    plan.gates[1].steps.clear();
    let (record, _) = load(plan, &server.url);
    // Three hang from the beginning on and are censored.
    assert_eq!(parts(&record, 0), [(0, 3, 17), (1, 0, 20), (2, 0, 20)]);
    let counted = |number| {
        let part = &record.views[1].parts[&number];
        (part.plays, part.dropped["s"].by_target + part.dropped["s"].by_generator)
    };
    assert_eq!([0, 1, 2].map(counted), [(3, 17), (0, 20), (0, 20)]);
}

#[test]
fn a_stage_keeps_what_was_due_in_it() {
    let server = Server::start(|_| {
        std::thread::sleep(Duration::from_millis(150));
        ok("")
    });
    let piece = |count, millis| RatePiece {
        target: per_second(count),
        duration: Duration::from_millis(millis),
        hold: None,
    };
    let demand = Demand::Arrivals {
        start_rate: per_second(20),
        pieces: vec![piece(20, 300), piece(50, 0), piece(50, 200), piece(50, 100)],
        pre_allocated_vus: 30,
        max_vus: 30,
    };
    let mut plan = graph(vec![scenario("s", demand, vec![get(0, "/")])]);
    let stage = |number| Over::Stage { scenario: "s".into(), number };
    plan.gates = [1, 3, 4].map(|number| over("http_req_duration", stage(number))).into();
    let (record, _) = load(plan, &server.url);
    assert_eq!([0, 1, 2].map(|view| parts(&record, view)), [[(0, 6, 0)], [(0, 10, 0)], [(0, 5, 0)]]);
}

#[test]
fn users_ask_in_the_window_in_which_they_send() {
    let server = Server::start(|_| {
        std::thread::sleep(Duration::from_millis(10));
        ok("")
    });
    let mut plan = graph(vec![scenario("s", users(3, HALF), vec![get(0, "/a"), get(1, "/b")])]);
    let window = Over::EveryWindow(Duration::from_millis(250));
    plan.gates = vec![Gate { steps: vec![StepId(0), StepId(1)], ..over("http_req_duration", window) }];
    plan.gates[0].drops.clear();
    let (record, _) = load(plan, &server.url);
    let parts = parts(&record, 0);
    let sum: u64 = parts.iter().map(|(_, samples, _)| samples).sum();
    assert_eq!(sum, count(&record, "http_req_duration", &[]), "no sample is lost, none is twice there");
    assert!(parts.len() >= 2 && parts[0].1 > 0 && parts[1].1 > 0, "{parts:?}");
}

#[test]
fn the_generator_is_looked_at_each_second() {
    let server = Server::start(|_| ok(""));
    let length = Duration::from_millis(1_200);
    let (record, _) =
        load(graph(vec![scenario("s", arrivals(50, length, 10), vec![get(0, "/")])]), &server.url);
    let seconds = &record.health.seconds;
    assert_eq!(seconds.len(), record.ticks.len());
    assert!(seconds.len() >= 2 && seconds.iter().zip(&record.ticks).all(|(s, tick)| s.at_us == tick.at_us));
    assert_eq!(seconds.iter().map(|second| second.intended).sum::<u64>(), 60);
    assert_eq!(seconds.iter().map(|second| second.achieved).sum::<u64>(), 60);
    assert!(seconds.iter().all(|second| second.open_files > 0));
    assert!(seconds[0].starts_us.is_some() && seconds[0].reads_us.is_some());
    assert!(seconds[0].cpu_centicores.is_some() && !seconds[0].cores_percent.is_empty());
    assert!((1..=10).contains(&seconds[0].connections), "{:?}", seconds[0]);
}
