//! Hand-made graphs and evidence for the tests of judge and reports.

use crate::evidence::{
    End, Evidence, HealthRecord, LoadRecord, Population, Samples, ScenarioRecord, Series, Tick, Trend,
};
use planc::graph::*;
use planc::units::{Fixed, PartsPerMillion, Rate};
use std::collections::BTreeMap;
use std::time::Duration;

/// A plan `plan` with one scenario `s` of 100/s for 10 s, whose one step is `GET /`.
pub(crate) fn graph(gates: Vec<Gate>) -> ExecutionGraph {
    let second = Duration::from_secs(1);
    let rate = Rate { count: 100, per: second };
    let step = Step {
        id: StepId(0),
        name: "home".into(),
        tags: BTreeMap::new(),
        kind: StepKind::Http(Box::new(HttpStep {
            request: request("/"),
            endpoint: None,
            token: None,
            cookies: true,
            expect: vec![Expectation {
                name: "status is 2xx".into(),
                what: Expected::Status(vec![StatusPattern::Class(2)]),
            }],
            capture: Vec::new(),
            record: Vec::new(),
            on_failure: OnFailure::NextIteration,
        })),
    };
    ExecutionGraph {
        schema: SCHEMA,
        plan: "plan".into(),
        about: String::new(),
        profile: "default".into(),
        seed: 1,
        inputs: BTreeMap::new(),
        open_inputs: BTreeMap::new(),
        target: Some(Target {
            url: Template::literal("http://127.0.0.1:1"),
            allow_hosts: vec!["127.0.0.1".into()],
            tls: Tls { verify: true, ca: None, client_cert: None, client_key: None, server_name: None },
            timeout: 10 * second,
            protocol: Protocol::Http1,
        }),
        database: None,
        pool: None,
        template: false,
        guards: Vec::new(),
        services: Vec::new(),
        fixtures: Vec::new(),
        tokens: BTreeMap::new(),
        preflight: Vec::new(),
        metrics: BTreeMap::new(),
        scrapes: BTreeMap::new(),
        setup: Vec::new(),
        teardown: Vec::new(),
        teardown_commands: Vec::new(),
        scenarios: vec![Scenario {
            name: "s".into(),
            executor: "constant-arrival-rate".into(),
            demand: Demand::Arrivals {
                start_rate: rate,
                pieces: vec![RatePiece { target: rate, duration: 10 * second, hold: None }],
                pre_allocated_vus: 10,
                max_vus: 100,
            },
            start_time: Duration::ZERO,
            graceful_stop: 30 * second,
            needs: Vec::new(),
            smoke: false,
            draw: Vec::new(),
            connections: Connections::Keep,
            pause_on_failure: None,
            trace: None,
            setup: Vec::new(),
            steps: vec![step],
            tags: BTreeMap::new(),
            find_max: None,
        }],
        gates,
        sql_gates: Vec::new(),
        triage: Vec::new(),
        health: HealthLimits {
            lateness_p99: Duration::from_millis(10),
            achieved: PartsPerMillion(990_000),
            strains: Strains::default(),
        },
        report: Report::default(),
        when_to_run: None,
        history: None,
    }
}

/// A GET without anything.
pub(crate) fn request(url: &str) -> Request {
    Request {
        method: "GET".into(),
        url: Template::literal(url),
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        body: None,
        timeout: None,
        redirects: 10,
    }
}

/// `http_req_duration p(95) < 500ms`.
pub(crate) fn p95() -> Gate {
    Gate {
        metric: "http_req_duration".into(),
        selector: BTreeMap::from([("scenario".into(), "s".into())]),
        text: "p(95) < 500ms".into(),
        aggregate: Aggregate::Percentile(Fixed(95_000_000)),
        op: Comparison::Lt,
        bound: Bound::Duration(Duration::from_millis(500)),
        level: GateLevel::Required,
        min_samples: 59,
        abort_on_fail: false,
        delay_abort_eval: Duration::ZERO,
        confident: false,
        drops: BTreeMap::from([("s".into(), 1_000_000)]),
        steps: vec![StepId(0)],
        over: Over::Load,
    }
}

/// `http_req_failed rate < 1%`.
pub(crate) fn errors() -> Gate {
    Gate {
        metric: "http_req_failed".into(),
        text: "rate < 1%".into(),
        aggregate: Aggregate::Rate,
        bound: Bound::Share(PartsPerMillion(10_000)),
        min_samples: 299,
        drops: BTreeMap::new(),
        ..p95()
    }
}

/// A healthy run: 1,000 iterations of one request of 20 ms.
pub(crate) fn evidence(graph: &ExecutionGraph) -> Evidence {
    let tags = BTreeMap::from([
        ("scenario".to_owned(), "s".to_owned()),
        ("name".to_owned(), "home".to_owned()),
        ("outcome".to_owned(), "ok".to_owned()),
    ]);
    let series = |metric: &str, samples| Series { metric: metric.into(), tags: tags.clone(), samples };
    let tick = |second: u64| Tick {
        at_us: second * 1_000_000,
        requests: 100,
        started: 100,
        vus: 10,
        busy_vus: 2,
        p50_us: 20_000,
        p95_us: 20_000,
        p99_us: 20_000,
        ..Tick::default()
    };
    let load = LoadRecord {
        duration_us: 10_000_000,
        on_time: Population {
            series: vec![
                series("http_req_duration", Samples::Trend(trend(20_000, 1_000, 0))),
                series("http_req_failed", Samples::Rate { trues: 0, total: 1_000 }),
                series("http_reqs", Samples::Counter { sum_milli: 1_000_000, count: 1_000 }),
                series("checks", Samples::Rate { trues: 1_000, total: 1_000 }),
            ],
        },
        ticks: (1..=10).map(tick).collect(),
        scenarios: BTreeMap::from([(
            "s".to_owned(),
            ScenarioRecord {
                planned: Some(1_000),
                started: 1_000,
                finished: 1_000,
                vus_max: 10,
                ..ScenarioRecord::default()
            },
        )]),
        steps_played: BTreeMap::from([(0, 1_000)]),
        health: HealthRecord { lateness: trend(100, 1_000, 0), workers: 1, ..HealthRecord::default() },
        ..LoadRecord::default()
    };
    Evidence {
        schema: crate::evidence::SCHEMA,
        program: "runner 0".into(),
        graph_id: graph.id(),
        graph: graph.clone(),
        run_id: "run-1".into(),
        started_unix_ms: 1_700_000_000_000,
        ended_unix_ms: 1_700_000_012_000,
        environment: BTreeMap::from([("cores".to_owned(), "2".to_owned())]),
        nodes: Vec::new(),
        overrides: Vec::new(),
        receipts: Vec::new(),
        end: End::Completed,
        load: Some(load),
        sql_gates: Vec::new(),
        triage: Vec::new(),
    }
}

/// `count` samples of one value and some above every bound.
pub(crate) fn trend(value: u64, count: u64, infinite: u64) -> Trend {
    let buckets = if count > 0 { vec![(value, count)] } else { Vec::new() };
    let bounded = if count > 0 { value } else { 0 };
    Trend { buckets, infinite, sum: value * count, min: bounded, max: bounded }
}

/// The graph of a plan's text.
pub(crate) fn compiled(text: &str) -> ExecutionGraph {
    struct Text<'a>(&'a str);
    impl planc::Files for Text<'_> {
        fn read(&self, _: &str) -> Result<String, String> {
            Ok(self.0.to_owned())
        }
    }
    let done = planc::compile(&Text(text), "plan.yaml", &planc::Options::default());
    let told: Vec<String> = done.diagnostics.iter().map(|d| d.message.clone()).collect();
    done.graph.unwrap_or_else(|| panic!("{}", told.join("\n")))
}
