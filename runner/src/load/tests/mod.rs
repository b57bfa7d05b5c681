//! The engine from end to end, against servers that behave as badly as they can.

mod bodies;
mod parts;
mod server;
mod traces;
mod websocket;
mod wire;

use super::*;
use crate::evidence::{Population, Samples, ScenarioRecord, Trend};
use crate::rows::tests::Numbered;
use planc::expr::{BinaryOp, Expr, Filter, Function, Segment};
use planc::graph::*;
use planc::units::{PartsPerMillion, Rate};
use serde_json::json;
use server::{Deed, Server, ok};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn path(dotted: &str) -> Expr {
    Expr::Path(dotted.split('.').map(str::to_owned).collect())
}

fn slot(before: &str, dotted: &str) -> Template {
    Template { segments: vec![Segment::Literal(before.into()), Segment::Slot(path(dotted))] }
}

fn request(method: &str, url: Template) -> Request {
    Request {
        method: method.into(),
        url,
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        body: None,
        timeout: None,
        redirects: 0,
    }
}

fn status(patterns: &[StatusPattern]) -> Expectation {
    Expectation { name: "status".into(), what: Expected::Status(patterns.to_vec()) }
}

fn http(id: u32, request: Request) -> Step {
    let name = format!("{} {}", request.method, id);
    let step = HttpStep {
        request,
        endpoint: None,
        token: None,
        cookies: true,
        expect: vec![status(&[StatusPattern::Class(2)])],
        capture: vec![],
        record: vec![],
        on_failure: OnFailure::NextIteration,
    };
    Step { id: StepId(id), name, tags: BTreeMap::new(), kind: StepKind::Http(Box::new(step)) }
}

fn get(id: u32, url: &str) -> Step {
    http(id, request("GET", Template::literal(url)))
}

fn edit(mut step: Step, change: impl FnOnce(&mut HttpStep)) -> Step {
    if let StepKind::Http(http) = &mut step.kind {
        change(http);
    }
    step
}

fn per_second(count: u64) -> Rate {
    Rate { count, per: Duration::from_secs(1) }
}

fn arrivals(rate: u64, length: Duration, max_vus: u32) -> Demand {
    Demand::Arrivals {
        start_rate: per_second(rate),
        pieces: vec![RatePiece { target: per_second(rate), duration: length, hold: None }],
        pre_allocated_vus: 1,
        max_vus,
    }
}

fn users(vus: u32, length: Duration) -> Demand {
    let pieces = vec![UserPiece { target: vus, duration: length, hold: None }];
    Demand::Users { start_vus: vus, pieces, graceful_ramp_down: Duration::from_secs(1) }
}

fn each(vus: u32, iterations: u64, shared: bool) -> Demand {
    Demand::Iterations { vus, iterations, shared, max_duration: Duration::from_secs(20) }
}

fn scenario(name: &str, demand: Demand, steps: Vec<Step>) -> Scenario {
    Scenario {
        name: name.into(),
        executor: "test".into(),
        demand,
        start_time: Duration::ZERO,
        graceful_stop: Duration::from_millis(300),
        needs: vec![],
        smoke: false,
        draw: vec![],
        connections: Connections::Keep,
        pause_on_failure: None,
        trace: None,
        setup: vec![],
        steps,
        tags: BTreeMap::new(),
        find_max: None,
    }
}

fn graph(scenarios: Vec<Scenario>) -> ExecutionGraph {
    ExecutionGraph {
        schema: SCHEMA,
        plan: "test".into(),
        about: String::new(),
        profile: "default".into(),
        seed: 7,
        inputs: BTreeMap::new(),
        open_inputs: BTreeMap::new(),
        target: Some(Target {
            url: Template::literal("unused"),
            allow_hosts: vec!["127.0.0.1".into()],
            tls: Tls { verify: true, ca: None, client_cert: None, client_key: None, server_name: None },
            timeout: Duration::from_secs(5),
            protocol: Protocol::Http1,
        }),
        database: None,
        pool: None,
        template: false,
        guards: vec![],
        services: vec![],
        fixtures: vec![],
        tokens: BTreeMap::new(),
        preflight: vec![],
        metrics: BTreeMap::new(),
        scrapes: BTreeMap::new(),
        setup: vec![],
        teardown: vec![],
        teardown_commands: vec![],
        scenarios,
        gates: vec![],
        sql_gates: vec![],
        triage: Vec::new(),
        // The machine of a test is shared: lateness is not what these tests are about.
        health: HealthLimits {
            lateness_p99: Duration::from_secs(5),
            achieved: PartsPerMillion(990_000),
            strains: Strains::default(),
        },
        report: Report::default(),
        when_to_run: None,
        history: None,
    }
}

fn input(graph: ExecutionGraph, url: &str) -> LoadInput {
    LoadInput {
        files: Arc::default(),
        scenarios: graph.scenarios.iter().map(|s| s.name.clone()).collect(),
        graph: Arc::new(graph),
        values: BTreeMap::from([("run_id".to_owned(), json!("r1"))]),
        base_url: url.into(),
        known_as: None,
        token_headers: BTreeMap::new(),
        base_micros: BTreeMap::new(),
        secrets: BTreeMap::new(),
        run_id: "r1".into(),
        workers: 2,
        stop: Arc::new(AtomicU8::new(0)),
        clock: || 1_700_000_000_000_000,
        abort: None,
        from_stage: BTreeMap::new(),
        search: None,
        scraped: None,
        stream: None,
    }
}

fn load(graph: ExecutionGraph, url: &str) -> (LoadRecord, LoadEnd) {
    let rows: RowSources = graph
        .scenarios
        .iter()
        .flat_map(|s| &s.draw)
        .map(|d| (d.fixture.clone(), Arc::new(Numbered(10)) as Arc<dyn crate::rows::Rows>))
        .collect();
    let result = run_with(input(graph, url), &rows, &mut |_| {}).unwrap();
    for (name, record) in &result.0.scenarios {
        conserved(name, record);
    }
    result
}

fn conserved(name: &str, record: &ScenarioRecord) {
    let dropped = record.dropped_by_target + record.dropped_by_generator;
    if let Some(planned) = record.planned {
        assert_eq!(planned, record.started + dropped, "{name}: {record:?}");
    }
    assert_eq!(record.started, record.finished + record.failed + record.interrupted, "{name}: {record:?}");
}

fn both(record: &LoadRecord) -> [&Population; 2] {
    [&record.on_time, &record.late]
}

fn matching<'r>(
    record: &'r LoadRecord,
    metric: &'r str,
    tags: &'r [(&'r str, &'r str)],
) -> impl Iterator<Item = &'r Samples> {
    both(record).into_iter().flat_map(|p| &p.series).filter_map(move |series| {
        let all = tags.iter().all(|(k, v)| series.tags.get(*k).is_some_and(|have| have == v));
        (series.metric == metric && all).then_some(&series.samples)
    })
}

fn count(record: &LoadRecord, metric: &str, tags: &[(&str, &str)]) -> u64 {
    matching(record, metric, tags)
        .map(|samples| match samples {
            Samples::Counter { sum_milli, .. } => (sum_milli / 1_000) as u64,
            Samples::Rate { total, .. } => *total,
            Samples::Trend(trend) => trend.buckets.iter().map(|b| b.1).sum::<u64>() + trend.infinite,
            Samples::Gauge { count, .. } => *count,
        })
        .sum()
}

fn trues(record: &LoadRecord, metric: &str, tags: &[(&str, &str)]) -> (u64, u64) {
    matching(record, metric, tags).fold((0, 0), |sum, samples| match samples {
        Samples::Rate { trues, total } => (sum.0 + trues, sum.1 + total),
        other => panic!("{metric} is no rate: {other:?}"),
    })
}

fn trends<'r>(record: &'r LoadRecord, metric: &'r str, tags: &'r [(&'r str, &'r str)]) -> Vec<&'r Trend> {
    matching(record, metric, tags)
        .filter_map(|samples| match samples {
            Samples::Trend(trend) => Some(trend),
            _ => None,
        })
        .collect()
}

const HALF: Duration = Duration::from_millis(500);

#[test]
fn constant_arrivals_are_exact_and_keep_their_connections() {
    let server = Server::start(|_| ok("hello"));
    let (record, end) = load(
        graph(vec![scenario("s", arrivals(167, Duration::from_millis(600), 20), vec![get(0, "/a?x=1")])]),
        &server.url,
    );
    assert_eq!(end, LoadEnd::Completed);
    let s = &record.scenarios["s"];
    // 100.2 arrivals are due: the 101st is due just before the end.
    assert_eq!((s.planned, s.finished), (Some(101), 101));
    assert_eq!(count(&record, "http_reqs", &[("status", "200"), ("outcome", "ok"), ("scenario", "s")]), 101);
    assert_eq!(count(&record, "http_req_duration", &[("proto", "HTTP/1.1")]), 101);
    assert_eq!(trues(&record, "checks", &[("check", "status")]), (101, 101));
    assert_eq!(trues(&record, "http_req_failed", &[]), (0, 101));
    assert_eq!(count(&record, "iterations", &[("scenario", "s")]), 101);
    assert!(server.connections.load(Ordering::SeqCst) <= 20);
    assert_eq!(server.requests()[0].line, "GET /a?x=1 HTTP/1.1");
    assert_eq!(record.steps_played[&0], 101);
    let lateness: u64 = record.health.lateness.buckets.iter().map(|b| b.1).sum();
    assert_eq!(lateness, 101);
}

#[test]
fn constant_vus_loop_and_phases_add_up() {
    let server = Server::start(|_| ok("hello"));
    let (record, end) = load(graph(vec![scenario("s", users(3, HALF), vec![get(0, "/")])]), &server.url);
    assert_eq!(end, LoadEnd::Completed);
    assert!(record.scenarios["s"].finished > 10, "{:?}", record.scenarios["s"]);
    assert_eq!(record.scenarios["s"].planned, None);
    assert_eq!(record.scenarios["s"].vus_max, 3);
    assert_eq!(server.connections.load(Ordering::SeqCst), 3);
    let sum = |metric: &str| trends(&record, metric, &[]).iter().map(|t| t.sum).sum::<u64>() as f64;
    let phases = sum("http_req_sending") + sum("http_req_waiting") + sum("http_req_receiving");
    let n = count(&record, "http_reqs", &[]) as f64;
    // Each phase is cut to whole microseconds.
    assert!((sum("http_req_service_time") - phases).abs() <= 3.0 * n);
    assert!((sum("http_req_duration") - sum("http_req_service_time")).abs() < 1.0);
    assert_eq!(count(&record, "data_received", &[]) % n as u64, 0, "every answer has the same length");
}

#[test]
fn failures_are_infinite_and_named() {
    let refused = "http://127.0.0.1:9".to_owned();
    let hang = Server::start(|_| Deed::Hang);
    let reset = Server::start(|_| Deed::Reset);
    let error = Server::start(|_| Deed::Reply(500, String::new(), "no".into()));
    let limited = Server::start(|_| Deed::Reply(429, String::new(), String::new()));
    let missing = Server::start(|_| Deed::Reply(404, String::new(), String::new()));
    let cut = Server::start(|_| Deed::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec()));
    let closed = Server::start(|_| Deed::Raw(Vec::new()));
    let garbage = Server::start(|_| Deed::Raw(b"hello there\r\n\r\n".to_vec()));
    let table: [(&str, &str, &str, &str); 9] = [
        (&refused, "transport", "0", "1212"),
        (&hang.url, "transport", "0", "1050"),
        (&reset.url, "transport", "0", "1220"),
        (&error.url, "server_error", "500", ""),
        (&limited.url, "limited", "429", ""),
        (&missing.url, "client_error", "404", ""),
        (&cut.url, "transport", "0", "1221"),
        (&closed.url, "transport", "0", "1221"),
        (&garbage.url, "transport", "0", "1601"),
    ];
    for (url, outcome, status, code) in table {
        let step = edit(get(0, "/"), |h| h.request.timeout = Some(Duration::from_millis(50)));
        let (record, _) = load(graph(vec![scenario("s", each(2, 3, false), vec![step])]), url);
        let mut tags = vec![("outcome", outcome), ("status", status), ("expected_response", "false")];
        if !code.is_empty() {
            tags.push(("error_code", code));
        }
        assert_eq!(count(&record, "http_reqs", &tags), 6, "{outcome} {code}: {:?}", record.on_time.series);
        assert_eq!(trues(&record, "http_req_failed", &[]), (6, 6));
        assert_eq!(trues(&record, "checks", &[]), (0, 6));
        let no_answer = status == "0" || status == "500";
        assert_eq!(trues(&record, "http_server_errors", &[]).0, if no_answer { 6 } else { 0 });
        assert_eq!(trues(&record, "http_rate_limited", &[]).0, if status == "429" { 6 } else { 0 });
        for metric in crate::record::TIMES.into_iter().chain(["iteration_duration"]) {
            let infinite: u64 = trends(&record, metric, &[]).iter().map(|t| t.infinite).sum();
            assert_eq!((infinite, count(&record, metric, &[])), (6, 6), "{metric}");
        }
        assert_eq!(record.scenarios["s"].last_answer_us > 0, status != "0");
        assert!(record.scenarios["s"].ended_us >= record.scenarios["s"].last_answer_us);
        assert_eq!(record.scenarios["s"].failed, 6);
    }
}

#[test]
fn an_expected_error_is_expected_and_a_failed_check_is_one() {
    let server = Server::start(|_| Deed::Reply(404, String::new(), r#"{"a":1}"#.into()));
    let expected = edit(get(0, "/"), |h| h.expect = vec![status(&[StatusPattern::Exact(404)])]);
    let failed = edit(get(1, "/"), |h| {
        h.expect = vec![
            status(&[StatusPattern::Exact(404)]),
            Expectation {
                name: "a is 2".into(),
                what: Expected::Json {
                    path: "$.a".into(),
                    matcher: Matcher::Equals(JsonTemplate::Const(json!(2))),
                },
            },
        ];
    });
    let (record, _) = load(graph(vec![scenario("s", each(1, 2, true), vec![expected, failed])]), &server.url);
    let ok = [("outcome", "expected_error"), ("expected_response", "true"), ("name", "GET 0")];
    assert_eq!(count(&record, "http_reqs", &ok), 2);
    assert_eq!(count(&record, "http_reqs", &[("outcome", "failed_check"), ("name", "GET 1")]), 2);
    assert_eq!(trues(&record, "http_req_failed", &[]), (2, 4));
    assert_eq!(trues(&record, "checks", &[("check", "a is 2")]), (0, 2));
}

/// Rows of which number 3 is a bug of ours.
struct Panicking;

impl crate::rows::Rows for Panicking {
    fn rows(&self) -> u64 {
        5
    }
    fn row(&self, n: u64, _: Option<&[String]>) -> Result<crate::text::Row, String> {
        assert_ne!(n, 3, "a bug");
        Ok(BTreeMap::new())
    }
}

#[test]
fn a_user_that_panics_ends_the_load_and_is_told() {
    let server = Server::start(|_| ok(""));
    let long = Duration::from_secs(20);
    for demand in [users(1, long), arrivals(100, long, 9), each(1, 1_000_000, true)] {
        let mut s = scenario("s", demand, vec![get(0, "/")]);
        s.draw = vec![Draw { binding: "row".into(), fixture: "rows".into(), order: DrawOrder::RoundRobin }];
        let rows = RowSources::from([("rows".to_owned(), Arc::new(Panicking) as Arc<dyn crate::rows::Rows>)]);
        let (record, _) = run_with(input(graph(vec![s]), &server.url), &rows, &mut |_| {}).unwrap();
        assert!(record.health.panicked >= 1);
        assert_eq!(record.error.as_deref(), Some("a virtual user panicked"));
        assert!(record.duration_us < 10_000_000, "the load ends at once");
        assert!(record.scenarios["s"].finished >= 2, "what was measured is kept");
    }
}

#[test]
fn the_first_arrivals_find_their_users() {
    let server = Server::start(|_| ok(""));
    for (pre_allocated, max, set_up) in [(1, 1, false), (16, 16, false), (1, 16, true), (0, 16, true)] {
        let mut demand = arrivals(20, Duration::from_millis(300), max);
        if let Demand::Arrivals { pre_allocated_vus, .. } = &mut demand {
            *pre_allocated_vus = pre_allocated;
        }
        let mut s = scenario("s", demand, vec![get(0, "/")]);
        if set_up {
            s.setup = vec![get(1, "/login")];
        }
        let (record, _) = load(graph(vec![s]), &server.url);
        let s = &record.scenarios["s"];
        assert_eq!((s.planned, s.finished), (Some(6), 6), "{pre_allocated} {max}: {s:?}");
    }
}

#[test]
fn users_who_had_no_time_to_begin_are_dropped_iterations() {
    let server = Server::start(|_| ok(""));
    // At 10,000 a second no more than 50 of them begin in that time.
    let max_duration = Duration::from_millis(5);
    let demand = Demand::Iterations { vus: 200, iterations: 1, shared: false, max_duration };
    let (record, _) = load(graph(vec![scenario("s", demand, vec![get(0, "/")])]), &server.url);
    let s = &record.scenarios["s"];
    assert_eq!(s.planned, Some(200), "{s:?}");
    assert!(s.started <= 50 && s.vus_max <= 50, "{s:?}");
    assert_eq!(s.started + s.dropped_by_target + s.dropped_by_generator, 200, "{s:?}");
}

#[test]
fn a_shard_without_free_users_borrows_those_of_another() {
    // With two workers the even arrivals are one's and hang, the odd ones are the other's.
    let server = Server::start(|seen| match seen.line.split(' ').nth(1).unwrap() {
        path if path.ends_with(['0', '2', '4', '6', '8']) => Deed::Hang,
        _ => ok(""),
    });
    for (ms, dropped) in [(280, 0..=0), (400, 8..=10)] {
        let length = Duration::from_millis(ms);
        let steps = vec![http(0, request("GET", slot("/", "iteration_global")))];
        let (record, _) = load(graph(vec![scenario("s", arrivals(100, length, 16), steps)]), &server.url);
        let s = &record.scenarios["s"];
        assert_eq!(s.planned, Some(length.as_millis() as u64 / 10));
        assert!(dropped.contains(&s.dropped_by_target), "{s:?}");
        assert!(s.vus_max <= 16, "{s:?}");
    }
}

#[test]
fn a_row_without_a_value_is_a_failed_iteration() {
    struct Failing;
    impl crate::rows::Rows for Failing {
        fn rows(&self) -> u64 {
            5
        }
        fn row(&self, n: u64, _: Option<&[String]>) -> Result<crate::text::Row, String> {
            if n == 3 { Err("no".into()) } else { Ok(BTreeMap::new()) }
        }
    }
    let server = Server::start(|_| ok(""));
    let mut s = scenario("s", each(1, 10, false), vec![get(0, "/")]);
    s.draw = vec![Draw { binding: "row".into(), fixture: "rows".into(), order: DrawOrder::RoundRobin }];
    let rows = RowSources::from([("rows".to_owned(), Arc::new(Failing) as Arc<dyn crate::rows::Rows>)]);
    let (record, _) = run_with(input(graph(vec![s]), &server.url), &rows, &mut |_| {}).unwrap();
    let s = &record.scenarios["s"];
    assert_eq!((s.planned, s.finished, s.failed), (Some(10), 8, 2));
}

#[test]
fn rehearsal_and_set_up_heed_the_stop_flag() {
    let server = Server::start(|_| Deed::Hang);
    for what in ["rehearsal", "setup", "teardown"] {
        let mut input = input(graph(vec![scenario("s", users(1, HALF), vec![get(0, "/")])]), &server.url);
        let stop = input.stop.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            stop.store(STOP_GRACEFUL, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(200));
            stop.store(STOP_NOW, Ordering::Relaxed);
        });
        let begun = Instant::now();
        let error = match what {
            "rehearsal" => rehearse(&input).unwrap_err(),
            what => play_once(&mut input, &[get(0, "/")], what).unwrap_err(),
        };
        assert!(error.message.ends_with("stopped by a signal"), "{error:?}");
        let least = if what == "teardown" { 250 } else { 50 };
        let took = begun.elapsed();
        assert!(took > Duration::from_millis(least) && took < Duration::from_secs(3), "{what}: {took:?}");
    }
}

#[test]
fn steps_played_once_pause_and_choose_as_iterations_do() {
    let server = Server::start(|_| ok(""));
    let step = |id, kind| Step { id: StepId(id), name: format!("step {id}"), tags: BTreeMap::new(), kind };
    let branch = |id| Branch { weight: 1, steps: vec![get(id, "/")] };
    let pause = step(3, StepKind::Pause(Pause::Fixed(Duration::from_millis(60))));
    let steps = [step(0, StepKind::Choose(vec![branch(1), branch(2)])), pause];
    let begun = Instant::now();
    assert!(play_once(&mut input(graph(vec![]), &server.url), &steps, "setup").unwrap().is_empty());
    assert!(begun.elapsed() >= Duration::from_millis(60));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_is_in_flight_at_the_end_is_censored() {
    let server = Server::start(|_| Deed::Hang);
    let hanging = edit(get(0, "/"), |h| {
        h.capture = vec![Capture { name: "org".into(), from: CaptureFrom::Json("$.id".into()) }];
    });
    let group = Step {
        id: StepId(1),
        name: "group".into(),
        tags: BTreeMap::new(),
        kind: StepKind::Group { name: "::pay".into(), steps: vec![hanging] },
    };
    let (record, _) =
        load(graph(vec![scenario("s", users(4, Duration::from_millis(100)), vec![group])]), &server.url);
    let s = &record.scenarios["s"];
    assert_eq!((s.started, s.interrupted, s.censored), (4, 4, 4));
    assert_eq!(trues(&record, "checks", &[("check", "status")]), (0, 4));
    assert_eq!(trues(&record, "checks", &[("check", "capture org")]), (0, 4));
    for metric in ["group_duration", "iteration_duration", "http_req_waiting"] {
        let infinite = trends(&record, metric, &[]).iter().map(|t| t.infinite).sum::<u64>();
        assert_eq!(infinite, 4, "{metric}");
    }
    assert_eq!(count(&record, "http_reqs", &[("outcome", "censored")]), 4);
    assert_eq!(trues(&record, "http_req_failed", &[]), (4, 4));
    assert_eq!(trends(&record, "http_req_duration", &[]).iter().map(|t| t.infinite).sum::<u64>(), 4);
}

#[test]
fn a_full_pool_drops_arrivals_by_the_targets_fault() {
    let server = Server::start(|_| Deed::Hang);
    let (record, _) = load(
        graph(vec![scenario("s", arrivals(100, Duration::from_millis(300), 3), vec![get(0, "/")])]),
        &server.url,
    );
    let s = &record.scenarios["s"];
    assert_eq!((s.planned, s.started, s.interrupted), (Some(30), 3, 3));
    assert_eq!((s.dropped_by_target, s.dropped_by_generator), (27, 0));
    assert_eq!(count(&record, "dropped_iterations", &[("scenario", "s")]), 27);
}

#[test]
fn shared_iterations_are_exact_and_those_per_user_too() {
    let server = Server::start(|_| ok(""));
    let scenarios = vec![
        scenario("shared", each(7, 100, true), vec![get(0, "/")]),
        scenario("own", each(5, 4, false), vec![get(1, "/")]),
    ];
    let (record, _) = load(graph(scenarios), &server.url);
    assert_eq!(record.scenarios["shared"].finished, 100);
    assert_eq!(record.scenarios["own"].finished, 20);
}

#[test]
fn iterations_left_when_time_is_up_are_dropped() {
    let server = Server::start(|_| Deed::Hang);
    let demand =
        Demand::Iterations { vus: 2, iterations: 10, shared: true, max_duration: Duration::from_millis(100) };
    let (record, _) = load(graph(vec![scenario("s", demand, vec![get(0, "/")])]), &server.url);
    let s = &record.scenarios["s"];
    assert_eq!((s.planned, s.started, s.dropped_by_target), (Some(10), 2, 8));
}

#[test]
fn users_ramp_up_and_down() {
    let server = Server::start(|_| ok(""));
    let piece = |target, ms| UserPiece { target, duration: Duration::from_millis(ms), hold: None };
    let demand = Demand::Users {
        start_vus: 1,
        pieces: vec![piece(4, 200), piece(1, 200), piece(3, 0), piece(3, 200)],
        graceful_ramp_down: Duration::from_millis(50),
    };
    let pause = Step {
        id: StepId(1),
        name: "think".into(),
        tags: BTreeMap::new(),
        kind: StepKind::Pause(Pause::Fixed(Duration::from_millis(2))),
    };
    let (record, _) = load(graph(vec![scenario("s", demand, vec![get(0, "/"), pause])]), &server.url);
    let s = &record.scenarios["s"];
    assert!(s.finished > 20, "{s:?}");
    assert_eq!(count(&record, "http_reqs", &[("outcome", "ok")]), count(&record, "http_reqs", &[]));
    let connections = server.connections.load(Ordering::SeqCst);
    assert!((4..=8).contains(&connections), "retired users close theirs: {connections}");
}

#[test]
fn a_kept_connection_that_the_server_closed_is_opened_again() {
    let server = Server::start(|_| Deed::ReplyAndClose);
    let pause = Step {
        id: StepId(1),
        name: "think".into(),
        tags: BTreeMap::new(),
        kind: StepKind::Pause(Pause::Fixed(Duration::from_millis(20))),
    };
    let (record, _) =
        load(graph(vec![scenario("s", each(1, 5, true), vec![get(0, "/"), pause])]), &server.url);
    assert_eq!(record.scenarios["s"].finished, 5, "{:?}", record.on_time.series);
    assert_eq!(server.connections.load(Ordering::SeqCst), 5);
    assert_eq!(count(&record, "http_reqs", &[("outcome", "ok")]), 5);
}

#[test]
fn connections_last_as_asked() {
    for (connections, expected) in
        [(Connections::Keep, 1), (Connections::PerIteration, 3), (Connections::PerRequest, 6)]
    {
        let server = Server::start(|_| ok(""));
        let mut s = scenario("s", each(1, 3, true), vec![get(0, "/"), get(1, "/")]);
        s.connections = connections;
        load(graph(vec![s]), &server.url);
        assert_eq!(server.connections.load(Ordering::SeqCst), expected, "{connections:?}");
    }
}

#[test]
fn a_flow_of_cookie_capture_and_rows() {
    let server = Server::start(|seen| match seen.line.split(' ').nth(1).unwrap() {
        "/login" => Deed::Reply(200, "set-cookie: sid=abc; Path=/\r\n".into(), r#"{"csrf":"t\"1"}"#.into()),
        _ => ok("done"),
    });
    let login = edit(http(0, request("POST", Template::literal("/login"))), |h| {
        h.capture = vec![Capture { name: "csrf".into(), from: CaptureFrom::Json("$.csrf".into()) }];
        h.request.body = Some(Body::Form(BTreeMap::from([("user".to_owned(), slot("u ", "agent.id"))])));
    });
    let post = edit(http(1, request("PUT", slot("/agents/", "agent.id"))), |h| {
        h.request.query = BTreeMap::from([("q".to_owned(), slot("a&b ", "vu"))]);
        h.request.headers = BTreeMap::from([("x-k".to_owned(), slot("k", "iteration_global"))]);
        h.request.body = Some(Body::Json(JsonTemplate::Map(BTreeMap::from([
            ("csrf".to_owned(), JsonTemplate::Value(path("csrf"))),
            ("run".to_owned(), JsonTemplate::Text(slot("run ", "run_id"))),
        ]))));
    });
    let mut s = scenario("s", each(1, 2, true), vec![login, post]);
    s.draw = vec![Draw { binding: "agent".into(), fixture: "agents".into(), order: DrawOrder::RoundRobin }];
    let (record, _) = load(graph(vec![s]), &server.url);
    assert_eq!(record.scenarios["s"].finished, 2, "{:?}", record.on_time.series);
    let seen = server.requests();
    assert_eq!(seen[0].body, "user=u%20r1");
    assert!(!seen[0].headers.contains("cookie: "));
    assert_eq!(seen[1].line, "PUT /agents/r1?q=a%26b%201 HTTP/1.1");
    assert!(seen[1].headers.contains("cookie: sid=abc") && seen[1].headers.contains("x-k: k0"));
    assert_eq!(
        serde_json::from_str::<Json>(&seen[1].body).unwrap(),
        json!({"csrf": "t\"1", "run": "run r1"})
    );
    assert_eq!(seen[3].line, "PUT /agents/r2?q=a%26b%201 HTTP/1.1");
    let coverage = &record.scenarios["s"].coverage["agent"];
    assert_eq!((coverage.rows, coverage.distinct, coverage.most_hits), (10, 2, 1));
}

#[test]
fn a_capture_that_finds_nothing_is_a_failed_check() {
    let server = Server::start(|_| ok("{}"));
    let step = edit(get(0, "/"), |h| {
        h.capture = vec![Capture { name: "csrf".into(), from: CaptureFrom::Json("$.csrf".into()) }];
    });
    let (record, _) =
        load(graph(vec![scenario("s", each(1, 1, true), vec![step, get(1, "/next")])]), &server.url);
    assert_eq!(trues(&record, "checks", &[("check", "capture csrf")]), (0, 1));
    assert_eq!(count(&record, "http_reqs", &[("outcome", "failed_check")]), 1);
    assert_eq!(record.steps_played[&1], 0);
}

#[test]
fn a_redirect_is_followed_and_none_leaves_for_a_forbidden_host() {
    let server = Server::start(|seen| match seen.line.split(' ').nth(1).unwrap() {
        "/here" => Deed::Reply(302, "location: /there\r\nset-cookie: a=1; Path=/\r\n".into(), String::new()),
        "/away" => Deed::Reply(302, "location: http://localhost:1/x\r\n".into(), String::new()),
        _ => ok("there"),
    });
    let follow = |id, url: &str| edit(get(id, url), |h| h.request.redirects = 3);
    let absolute = get(2, "http://example.com/");
    let keep_on = |step| edit(step, |h| h.on_failure = OnFailure::Continue);
    let steps = vec![follow(0, "/here"), keep_on(follow(1, "/away")), keep_on(absolute)];
    let (record, _) = load(graph(vec![scenario("s", each(1, 1, true), steps)]), &server.url);
    assert_eq!(count(&record, "http_reqs", &[("name", "GET 0"), ("status", "302")]), 1);
    assert_eq!(count(&record, "http_reqs", &[("name", "GET 0"), ("status", "200")]), 1);
    let nowhere = [("name", "GET 1"), ("status", "302"), ("outcome", "transport")];
    assert_eq!(count(&record, "http_reqs", &nowhere), 1, "a redirect that leads to a failure is one");
    let forbidden = [("error_code", "host_not_allowed"), ("outcome", "transport")];
    assert_eq!(count(&record, "http_reqs", &forbidden), 2);
    let seen = server.requests();
    assert_eq!(seen[1].line, "GET /there HTTP/1.1");
    assert!(seen[1].headers.contains("cookie: a=1"));
    assert_eq!(record.scenarios["s"].finished, 1, "continue means that the iteration goes on");
}

#[test]
fn redirects_to_an_answer_that_never_comes_are_cut_off_with_it() {
    let server = Server::start(|seen| match seen.line.split(' ').nth(1).unwrap() {
        "/here" => Deed::Reply(302, "location: /there\r\n".into(), String::new()),
        _ => Deed::Hang,
    });
    let step = edit(get(0, "/here"), |h| h.request.redirects = 3);
    let (record, _) = load(graph(vec![scenario("s", users(2, HALF), vec![step])]), &server.url);
    assert_eq!(record.scenarios["s"].censored, 2, "one a user");
    assert_eq!(count(&record, "http_reqs", &[("outcome", "censored")]), 4);
    assert_eq!(count(&record, "http_reqs", &[]), 4);
}

#[test]
fn redirects_are_resolved_and_tell_no_other_origin_who_we_are() {
    let other = Server::start(|_| ok("other"));
    let away = format!("location: {}/x\r\n", other.url.replace("127.0.0.1", "localhost"));
    let server = Server::start(move |seen| match seen.line.split(' ').nth(1).unwrap() {
        "/a/b?page=1" => Deed::Reply(302, "location: ?page=2\r\n".into(), String::new()),
        "/a/b?page=2" => Deed::Reply(302, "location: ../c\r\n".into(), String::new()),
        "/c" => Deed::Reply(302, "location: ok?next=http://x/y#z\r\n".into(), String::new()),
        "/ok?next=http://x/y" => Deed::Reply(307, away.clone(), String::new()),
        _ => Deed::Reply(404, String::new(), String::new()),
    });
    let step = edit(get(0, "/a/b?page=1"), |h| {
        h.request.redirects = 9;
        h.token = Some("t".into());
        h.request.headers = BTreeMap::from([
            ("host".to_owned(), Template::literal("virtual.example")),
            ("cookie".to_owned(), Template::literal("own=1")),
            ("x-key".to_owned(), slot("k-", "inputs.key")),
            (
                "x-mixed".to_owned(),
                Template {
                    segments: vec![Segment::Slot(path("inputs.key")), Segment::Slot(path("iteration"))],
                },
            ),
            ("x-plain".to_owned(), Template::literal("plain")),
        ]);
    });
    let mut plan = graph(vec![scenario("s", each(1, 1, true), vec![step])]);
    plan.target.as_mut().unwrap().allow_hosts.push("localhost".into());
    plan.open_inputs =
        BTreeMap::from([("key".to_owned(), OpenInput { secret: true, env: None, default: None })]);
    let mut input = input(plan, &server.url);
    input.values.insert("inputs.key".into(), json!("s3cret!"));
    input.token_headers.insert("t".into(), "Bearer s3cret!".into());
    let (record, _) = run_with(input, &RowSources::new(), &mut |_| {}).unwrap();
    assert_eq!(record.scenarios["s"].finished, 1, "{:?}", server.requests());
    let all = ["virtual.example", "own=1", "x-key: k-s3cret!", "x-mixed: s3cret!0", "bearer", "x-plain"];
    for seen in server.requests() {
        assert!(all.iter().all(|part| seen.headers.contains(part)), "{seen:?}");
    }
    let seen = &other.requests()[0];
    assert!(seen.headers.contains("x-plain") && seen.headers.contains("host: localhost"), "{seen:?}");
    assert!(all[..5].iter().all(|part| !seen.headers.contains(part)), "{seen:?}");
}

#[test]
fn a_body_that_is_kept_has_a_limit() {
    let server = Server::start(|_| ok(&"x".repeat(crate::http::connection::MOST_KEPT + 1)));
    let reads = |id, expect| {
        edit(get(id, "/"), |h| {
            h.expect = expect;
            h.on_failure = OnFailure::Continue;
        })
    };
    let body = Expectation { name: "x".into(), what: Expected::Body(Matcher::Present) };
    let steps = vec![reads(0, vec![body]), reads(1, vec![])];
    let (record, _) = load(graph(vec![scenario("s", each(1, 1, true), steps)]), &server.url);
    assert_eq!(count(&record, "http_reqs", &[("name", "GET 0"), ("error_code", "1601")]), 1);
    assert_eq!(count(&record, "http_reqs", &[("name", "GET 1"), ("outcome", "ok")]), 1);
}

#[test]
fn exclusive_rows_run_out_and_set_up_is_played_once() {
    let server = Server::start(|_| ok(""));
    let mut s =
        scenario("s", users(3, Duration::from_secs(5)), vec![http(1, request("GET", slot("/x/", "row.id")))]);
    s.draw = vec![Draw { binding: "row".into(), fixture: "rows".into(), order: DrawOrder::Exclusive }];
    s.setup = vec![get(0, "/login")];
    let begun = Instant::now();
    let (record, _) = load(graph(vec![s]), &server.url);
    assert!(begun.elapsed() < Duration::from_secs(4), "the scenario ended for want of rows");
    let s = &record.scenarios["s"];
    assert!(s.rows_ran_out);
    assert_eq!(s.finished, 10);
    assert_eq!((s.coverage["row"].distinct, s.coverage["row"].most_hits), (10, 1));
    let lines: Vec<_> = server.requests().into_iter().map(|seen| seen.line).collect();
    assert!(lines.iter().filter(|line| line.contains("/login")).count() <= 3);
    assert_eq!(count(&record, "http_reqs", &[("group", "::setup")]), record.steps_played[&0]);
}

#[test]
fn loops_conditions_choices_and_groups() {
    let server = Server::start(|_| ok(""));
    let step = |id, kind| Step { id: StepId(id), name: format!("step {id}"), tags: BTreeMap::new(), kind };
    let condition = Expr::Binary(BinaryOp::Eq, Box::new(path("i")), Box::new(Expr::Const(json!(2))));
    let steps = vec![
        step(
            0,
            StepKind::Repeat {
                count: Expr::Const(json!(3)),
                binding: Some("i".into()),
                steps: vec![
                    http(1, request("GET", slot("/i/", "i"))),
                    step(2, StepKind::When { condition, steps: vec![get(3, "/two")] }),
                ],
            },
        ),
        step(
            4,
            StepKind::Each {
                list: Expr::Const(json!(["a b", "c"])),
                binding: "e".into(),
                steps: vec![http(
                    5,
                    request(
                        "GET",
                        Template {
                            segments: vec![
                                Segment::Literal("/e/".into()),
                                Segment::Slot(Expr::Filter(Filter::Urlencode, Box::new(path("e")), vec![])),
                            ],
                        },
                    ),
                )],
            },
        ),
        step(
            6,
            StepKind::Group {
                name: "::pay".into(),
                steps: vec![step(
                    7,
                    StepKind::Choose(vec![
                        Branch { weight: 1, steps: vec![get(8, "/left")] },
                        Branch { weight: 1, steps: vec![get(9, "/right")] },
                    ]),
                )],
            },
        ),
    ];
    let plan = graph(vec![scenario("s", each(1, 20, true), steps)]);
    let (record, _) = load(plan.clone(), &server.url);
    let lines: Vec<_> = server.requests().into_iter().map(|seen| seen.line).collect();
    let paths = |n: usize| lines[..n].iter().map(|l| l.split(' ').nth(1).unwrap()).collect::<Vec<_>>();
    assert_eq!(paths(6), ["/i/1", "/i/2", "/two", "/i/3", "/e/a%20b", "/e/c"]);
    assert_eq!(record.scenarios["s"].finished, 20);
    assert_eq!(count(&record, "group_duration", &[("group", "::pay")]), 20);
    let (left, right) = (record.steps_played[&8], record.steps_played[&9]);
    assert!(left > 2 && right > 2 && left + right == 20, "{left} {right}");
    assert_eq!(count(&record, "http_reqs", &[("group", "::pay")]), 20);
    // The same seed draws the same branches.
    assert_eq!(load(plan, &server.url).0.steps_played[&8], left);
}

#[test]
fn custom_metrics_and_templated_tags() {
    let server = Server::start(|_| Deed::Reply(200, "x-n: 2.5\r\n".into(), String::new()));
    let record_of = |metric: &str, when, value| Record { metric: metric.into(), when, value };
    let equals = |n: u16| {
        Expr::Binary(BinaryOp::Eq, Box::new(path("response.status")), Box::new(Expr::Const(json!(n))))
    };
    let mut step = edit(get(0, "/"), |h| {
        h.record = vec![
            record_of("hits", Some(equals(200)), None),
            record_of("misses", Some(equals(404)), None),
            record_of("share", Some(equals(404)), None),
            record_of("n", None, Some(Expr::Path(vec!["response".into(), "headers".into(), "x-n".into()]))),
        ];
    });
    step.tags = BTreeMap::from([("k".to_owned(), slot("k", "iteration_global"))]);
    let mut plan = graph(vec![scenario("s", each(1, 2, true), vec![step])]);
    plan.metrics = BTreeMap::from([
        ("hits".to_owned(), MetricKind::Counter),
        ("misses".to_owned(), MetricKind::Counter),
        ("share".to_owned(), MetricKind::Rate),
        ("n".to_owned(), MetricKind::Trend),
    ]);
    let (record, _) = load(plan, &server.url);
    assert_eq!(count(&record, "hits", &[]), 2);
    assert_eq!(count(&record, "misses", &[]), 0);
    assert_eq!(trues(&record, "share", &[]), (0, 2));
    assert_eq!(trends(&record, "n", &[("k", "k1")]).iter().map(|t| t.max).sum::<u64>(), 2_500);
    assert_eq!(count(&record, "http_reqs", &[("k", "k0")]), 1);
}

#[test]
fn custom_numbers_that_are_none_are_failed_checks() {
    let refused = "http://127.0.0.1:9";
    let number = |metric: &str, n: &str| Record {
        metric: metric.into(),
        when: None,
        value: Some(Expr::Const(json!(n))),
    };
    let mut records: Vec<_> = ["NaN", "inf", "9e15", "-1"].into_iter().map(|n| number("trend", n)).collect();
    records.extend(["-inf", "-2"].into_iter().map(|n| number("counter", n)));
    records.push(Record { metric: "took".into(), when: None, value: Some(path("response.duration")) });
    let step = edit(get(0, "/"), |h| {
        h.record = records;
        h.expect = vec![];
    });
    let mut plan = graph(vec![scenario("s", each(1, 1, true), vec![step])]);
    plan.metrics = BTreeMap::from([
        ("trend".to_owned(), MetricKind::Trend),
        ("counter".to_owned(), MetricKind::Counter),
        ("took".to_owned(), MetricKind::TimeTrend),
    ]);
    let (record, _) = load(plan, refused);
    assert_eq!(count(&record, "trend", &[]), 0);
    let counted: Vec<_> = matching(&record, "counter", &[]).collect();
    assert_eq!(counted, [&Samples::Counter { sum_milli: -2_000, count: 1 }]);
    assert_eq!(trues(&record, "checks", &[("check", "expressions have a value")]), (0, 5));
    assert_eq!(trends(&record, "took", &[]).iter().map(|t| t.infinite).sum::<u64>(), 1);
}

#[test]
fn a_step_that_cannot_be_rendered_is_a_failed_request() {
    let server = Server::start(|_| ok(""));
    let step = http(0, request("GET", slot("/x/", "nothing.here")));
    let (record, _) = load(graph(vec![scenario("s", each(1, 3, true), vec![step])]), &server.url);
    assert_eq!(count(&record, "http_reqs", &[("outcome", "transport"), ("status", "0")]), 3);
    assert_eq!(trues(&record, "http_req_failed", &[]), (3, 3));
    assert_eq!(trues(&record, "checks", &[("check", "status")]), (0, 3));
    assert_eq!(trends(&record, "http_req_duration", &[]).iter().map(|t| t.infinite).sum::<u64>(), 3);
    assert!(server.requests().is_empty());
}

#[test]
fn on_failure_and_the_stop_flag_end_the_load() {
    let server = Server::start(|_| Deed::Reply(500, String::new(), String::new()));
    let failing = |on_failure| edit(get(0, "/"), |h| h.on_failure = on_failure);
    let long = Duration::from_secs(30);
    let (record, end) =
        load(graph(vec![scenario("s", users(1, long), vec![failing(OnFailure::AbortRun)])]), &server.url);
    assert_eq!(end, LoadEnd::AbortedByStep("GET 0".into()));
    assert_eq!(record.scenarios["s"].started, 1);
    let (record, end) = load(
        graph(vec![scenario("s", arrivals(50, long, 9), vec![failing(OnFailure::StopScenario)])]),
        &server.url,
    );
    assert_eq!(end, LoadEnd::Completed);
    assert_eq!(record.scenarios["s"].stopped_by_step.as_deref(), Some("GET 0"));
    let stopped = input(graph(vec![scenario("s", users(1, long), vec![get(0, "/")])]), &server.url);
    stopped.stop.store(STOP_GRACEFUL, Ordering::Relaxed);
    let (_, end) = run_with(stopped, &RowSources::new(), &mut |_| {}).unwrap();
    assert_eq!(end, LoadEnd::Stopped);
}

#[test]
fn a_gate_aborts_and_ticks_are_told() {
    let server = Server::start(|_| ok(""));
    let mut stopped =
        input(graph(vec![scenario("s", users(1, Duration::from_secs(30)), vec![get(0, "/")])]), &server.url);
    stopped.abort = Some(Box::new(|record| {
        (record.scenarios["s"].finished > 0).then(|| "http_reqs count < 1".to_owned())
    }));
    let mut events = Vec::new();
    let (record, end) = run_with(stopped, &RowSources::new(), &mut |event| events.push(event)).unwrap();
    assert_eq!(end, LoadEnd::AbortedByGate("http_reqs count < 1".into()));
    assert!(matches!(&events[0], Event::ScenarioStarted { name } if name == "s"));
    assert!(matches!(events.last(), Some(Event::ScenarioEnded { .. } | Event::Tick { .. })));
    assert!(record.ticks[0].requests > 0 && record.ticks[0].vus == 1);
    assert!(record.ticks[0].p50_us > 0 && record.ticks[0].p50_us <= record.ticks[0].p99_us);
    conserved("s", &record.scenarios["s"]);
}

#[test]
fn needs_wait_for_the_other_scenario() {
    let server = Server::start(|_| ok(""));
    let first = scenario("z-first", each(2, 5, true), vec![get(0, "/first")]);
    let mut second =
        scenario("a-second", arrivals(100, Duration::from_millis(100), 20), vec![get(1, "/second")]);
    second.needs = vec!["z-first".into()];
    let (record, _) = load(graph(vec![second, first]), &server.url);
    assert_eq!(record.scenarios["a-second"].finished, 10);
    let lines: Vec<_> = server.requests().into_iter().map(|seen| seen.line).collect();
    assert!(lines[..5].iter().all(|line| line.contains("/first")), "{lines:?}");
}

#[test]
fn a_rehearsal_tells_each_failure_and_no_secret() {
    let server = Server::start(|seen| match seen.line.split(' ').nth(1).unwrap() {
        "/right" => Deed::Reply(401, String::new(), "bad token s3cret!".into()),
        _ => ok("{}"),
    });
    let choose = Step {
        id: StepId(0),
        name: "choose".into(),
        tags: BTreeMap::new(),
        kind: StepKind::Choose(vec![
            Branch { weight: 99, steps: vec![get(1, "/left")] },
            Branch { weight: 1, steps: vec![edit(get(2, "/right"), |h| h.token = Some("t".into()))] },
        ]),
    };
    let mut plan = graph(vec![scenario("s", users(5, HALF), vec![choose])]);
    plan.open_inputs =
        BTreeMap::from([("key".to_owned(), OpenInput { secret: true, env: None, default: None })]);
    let mut input = input(plan, &server.url);
    input.values.insert("inputs.key".into(), json!("s3cret!"));
    input.token_headers.insert("t".into(), "Bearer s3cret!".into());
    let failures = rehearse(&input).unwrap();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].message, "GET 2: status: 401 (body: \"bad token •••\")");
    let lines: Vec<_> = server.requests().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, ["GET /left HTTP/1.1", "GET /right HTTP/1.1"]);
    assert!(server.requests()[1].headers.contains("authorization: bearer s3cret!"));
}

#[test]
fn neither_rehearsal_nor_set_up_draws_what_the_load_draws() {
    let server = Server::start(|_| ok(""));
    let random = |before: &str| Template {
        segments: vec![
            Segment::Literal(before.into()),
            Segment::Slot(Expr::Call(Function::RandomUuid, vec![])),
        ],
    };
    let mut s = scenario("s", each(1, 3, true), vec![http(0, request("GET", random("/")))]);
    s.setup = vec![http(1, request("GET", random("/")))];
    let plan = graph(vec![s]);
    assert!(rehearse(&input(plan.clone(), &server.url)).unwrap().is_empty());
    load(plan, &server.url);
    let lines: std::collections::BTreeSet<_> = server.requests().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines.len(), 2 + 1 + 3, "{lines:?}");
}

#[test]
fn steps_played_once_leave_their_captures() {
    let server = Server::start(|_| ok(r#"{"id":5}"#));
    let step = edit(get(0, "/"), |h| {
        h.capture = vec![Capture { name: "org".into(), from: CaptureFrom::Json("$.id".into()) }];
    });
    let mut input = input(graph(vec![]), &server.url);
    assert!(play_once(&mut input, &[step], "setup").unwrap().is_empty());
    assert_eq!(input.values["org"], json!(5));
}

#[test]
fn more_users_than_files_is_an_error_before_the_load() {
    let plan = graph(vec![scenario("s", users(4_000_000, HALF), vec![get(0, "/")])]);
    let error = run_with(input(plan, "http://127.0.0.1:9"), &RowSources::new(), &mut |_| {}).unwrap_err();
    assert!(error.message.starts_with("4000000 virtual users need more open files"), "{error:?}");
}

#[test]
fn seconds_in_which_the_generator_was_late_are_kept_apart() {
    let server = Server::start(|_| Deed::Hang);
    let mut plan =
        graph(vec![scenario("s", arrivals(100, Duration::from_millis(300), 3), vec![get(0, "/")])]);
    // No generator is as punctual as that.
    plan.health.lateness_p99 = Duration::ZERO;
    let (record, _) = load(plan, &server.url);
    let s = &record.scenarios["s"];
    assert_eq!((s.dropped_by_target, s.dropped_by_generator), (0, 27));
    assert!(record.ticks.iter().all(|tick| tick.late));
    assert!(
        record.on_time.series.iter().all(|series| series.metric.starts_with("vus")),
        "{:?}",
        record.on_time
    );
    assert_eq!(count(&record, "http_reqs", &[("outcome", "censored")]), 3);
}

#[test]
fn an_arrivals_first_request_counts_from_when_it_was_due() {
    // Set-up takes its time after the arrival was due: what follows cannot have been faster than that.
    let server = Server::start(|seen| {
        if seen.line.contains("/login") {
            std::thread::sleep(Duration::from_millis(80));
        }
        ok("")
    });
    let mut s = scenario("s", arrivals(10, Duration::from_millis(100), 8), vec![get(1, "/a"), get(2, "/b")]);
    s.setup = vec![get(0, "/login")];
    let Demand::Arrivals { pre_allocated_vus, .. } = &mut s.demand else { panic!() };
    *pre_allocated_vus = 0;
    let (record, _) = load(graph(vec![s]), &server.url);
    let smallest = |name, metric| trends(&record, metric, &[("name", name)])[0].min;
    assert!(smallest("GET 1", "http_req_duration") >= 80_000);
    assert!(smallest("GET 1", "http_req_service_time") < 80_000);
    assert!(smallest("GET 2", "http_req_duration") < 80_000);
}

#[test]
fn a_virtual_user_is_small() {
    let plan = graph(vec![scenario("s", users(1, HALF), vec![get(0, "/")])]);
    let program = Arc::new(Program::new(&input(plan, "http://127.0.0.1:9"), &RowSources::new()).unwrap());
    let shared = Arc::new(Shared::new(&program, 1, Arc::new(AtomicU8::new(0))));
    let worker = std::rc::Rc::new(crate::worker::Worker::new(program, shared));
    let run = std::rc::Rc::new(crate::drive::run::ScenarioRun::new(&worker, 0, 0));
    let core = std::rc::Rc::new(crate::vu::VuCore { number: 1, ..Default::default() });
    let size = size_of_val(&crate::vu::Vu::new(worker, run, core).live(false));
    assert!(size < 8_000, "10,000 of {size} bytes each");
}
