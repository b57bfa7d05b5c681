//! A closed loop of virtual users on one URL, to weigh the engine against its peers:
//! `closed_loop URL [USERS] [SECONDS] [WORKERS] [http/2]` tells requests, rate and CPU per request. No certificate
//! is verified.

use planc::graph::*;
use planc::units::PartsPerMillion;
use runner::evidence::Samples;
use runner::load::{Event, LoadInput, run};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |at: usize, or: u64| args.get(at).map_or(or, |text| text.parse().expect("a number"));
    let url = args.get(1).expect("closed_loop URL [USERS] [SECONDS] [WORKERS] [http/2]");
    let (users, seconds, workers) = (number(2, 50) as u32, number(3, 10), number(4, 1));
    let at = url.find("://").map_or(0, |at| at + 3);
    let slash = url[at..].find('/').map_or(url.len(), |slash| at + slash);
    let (base, path) = url.split_at(slash);
    let path = if path.is_empty() { "/" } else { path };
    let mut graph = graph(path, users, Duration::from_secs(seconds));
    let http2 = args.get(5).is_some_and(|text| text == "http/2");
    graph.target = Some(Target {
        url: Template::literal(base),
        allow_hosts: vec![],
        tls: Tls { verify: false, ca: None, client_cert: None, client_key: None, server_name: None },
        timeout: Duration::from_secs(10),
        protocol: if http2 { Protocol::Http2 } else { Protocol::Http1 },
    });
    let input = LoadInput {
        graph: Arc::new(graph),
        values: BTreeMap::new(),
        base_url: base.to_owned(),
        token_headers: BTreeMap::new(),
        base_micros: BTreeMap::new(),
        scenarios: vec!["loop".to_owned()],
        run_id: "closed-loop".to_owned(),
        workers: workers as usize,
        stop: Arc::new(AtomicU8::new(0)),
        abort: None,
    };
    let before = cpu_us();
    let (record, _) = run(input, &mut |_: Event| {}).expect("the load begins");
    let cpu = cpu_us() - before;
    let requests = record.ticks.iter().map(|tick| tick.requests).sum::<u64>().max(1);
    let failed: u64 = record.ticks.iter().map(|tick| tick.failed).sum();
    let p99 = record.on_time.series.iter().find_map(|series| match &series.samples {
        Samples::Trend(trend) if series.metric == "http_req_duration" => {
            Some(percentile(&trend.buckets, 0.99))
        }
        _ => None,
    });
    println!(
        "{requests} requests, {failed} failed, {:.0}/s, {:.2} µs CPU a request, p99 {} µs, peak memory {} MB",
        requests as f64 / (record.duration_us as f64 / 1e6),
        cpu as f64 / requests as f64,
        p99.unwrap_or(0),
        record.health.peak_memory.unwrap_or(0) >> 20,
    );
}

fn percentile(buckets: &[(u64, u64)], share: f64) -> u64 {
    let total: u64 = buckets.iter().map(|bucket| bucket.1).sum();
    let mut seen = 0;
    let found = buckets.iter().find(|bucket| {
        seen += bucket.1;
        seen as f64 >= total as f64 * share
    });
    found.map_or(0, |bucket| bucket.0)
}

fn cpu_us() -> u64 {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("our own usage can be read");
    let (user, system) = (usage.user_time(), usage.system_time());
    ((user.tv_sec() + system.tv_sec()) * 1_000_000 + user.tv_usec() + system.tv_usec()) as u64
}

fn graph(path: &str, users: u32, length: Duration) -> ExecutionGraph {
    let status = Expected::Status(vec![StatusPattern::Class(2), StatusPattern::Class(3)]);
    let step = HttpStep {
        request: Request {
            method: "GET".to_owned(),
            url: Template::literal(path),
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
            body: None,
            timeout: None,
            redirects: 0,
        },
        endpoint: None,
        token: None,
        cookies: true,
        expect: vec![Expectation { name: "status is 2xx or 3xx".to_owned(), what: status }],
        capture: vec![],
        record: vec![],
        on_failure: OnFailure::NextIteration,
    };
    let steps = vec![Step {
        id: StepId(0),
        name: format!("GET {path}"),
        tags: BTreeMap::new(),
        kind: StepKind::Http(Box::new(step)),
    }];
    let scenario = Scenario {
        name: "loop".to_owned(),
        executor: "constant-vus".to_owned(),
        demand: Demand::Users {
            start_vus: users,
            pieces: vec![UserPiece { target: users, duration: length }],
            graceful_ramp_down: Duration::ZERO,
        },
        start_time: Duration::ZERO,
        graceful_stop: Duration::from_secs(1),
        needs: vec![],
        smoke: false,
        draw: vec![],
        connections: Connections::Keep,
        pause_on_failure: None,
        setup: vec![],
        steps,
        tags: BTreeMap::new(),
    };
    ExecutionGraph {
        schema: SCHEMA,
        plan: "closed-loop".to_owned(),
        about: String::new(),
        profile: "default".to_owned(),
        seed: 0,
        inputs: BTreeMap::new(),
        open_inputs: BTreeMap::new(),
        target: None,
        database: None,
        guards: vec![],
        services: vec![],
        fixtures: vec![],
        tokens: BTreeMap::new(),
        preflight: vec![],
        metrics: BTreeMap::new(),
        setup: vec![],
        teardown: vec![],
        scenarios: vec![scenario],
        gates: vec![],
        health: HealthLimits { lateness_p99: Duration::from_millis(10), achieved: PartsPerMillion(990_000) },
        report: Report::default(),
    }
}
