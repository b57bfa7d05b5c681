//! Runs against a small server of the test's own: guards, tokens, preflight, the order of things, secrets.

use planc::graph::ExecutionGraph;
use planc::{Files, Options as CompileOptions};
use runner::evidence::{End, Evidence, NodeOutcome};
use runner::judge::{judge, judge_preparation};
use runner::listen::{Listener, Silent};
use runner::orchestrate::{self, Options};
use runner::plan;
use runner::world::{Signals, World};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const SECRET: &str = "s3cret-of-the-run";

/// A server that answers what a function says, and remembers what it was asked.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

type Answer = (u16, &'static str, String);

impl Server {
    fn start(answer: fn(&str) -> Answer) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || serve(stream, answer, &log));
            }
        });
        Server { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic in the server").clone()
    }
}

/// `METHOD /path authorization` is what the answering function sees.
fn serve(stream: TcpStream, answer: fn(&str) -> Answer, log: &Mutex<Vec<String>>) {
    let mut writer = stream.try_clone().expect("a socket");
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut length, mut authorization) = (String::new(), 0, String::new());
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "authorization" => authorization = value.trim().to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        let _ = reader.read_exact(&mut body);
        let target = first.rsplit_once(' ').map_or("", |(target, _)| target);
        let seen = format!("{target} {authorization}").trim().to_owned();
        log.lock().expect("no panic in the server").push(seen.clone());
        let (status, header, body) = answer(&seen);
        let extra = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        let text = format!("HTTP/1.1 {status} X\r\n{extra}content-length: {}\r\n\r\n{body}", body.len());
        if writer.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn healthy(asked: &str) -> Answer {
    let json = |text: &str| (200, "content-type: application/json", text.to_owned());
    match asked {
        "GET /health" => json(r#"{"env":"test"}"#),
        "GET /away" => (302, "location: http://prod.example.com/health", String::new()),
        "POST /login" => json(r#"{"token":"issued-token-value"}"#),
        "GET /self Bearer issued-token-value" => json(r#"{"scopes":["a","b"]}"#),
        "GET /item Bearer issued-token-value" => json(r#"{"ok":true}"#),
        _ => (404, "", String::new()),
    }
}

struct Text(String);

impl Files for Text {
    fn read(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

enum Verb {
    Apply,
    Preflight,
}

/// Compiles a plan over the server.
fn prepared(plan: &str, url: &str, env: &[(&str, &str)]) -> (ExecutionGraph, World, tempfile::TempDir) {
    let text = format!(
        "plan: t\ninputs:\n  key: {{ type: secret, env: KEY }}\ntarget:\n  url: {url}\n  allow_hosts: [127.0.0.1]\n  \
         timeout: 2s\n{plan}"
    );
    let loaded = plan::load(&Text(text), "t.yaml", &CompileOptions::default());
    let graph = match loaded {
        Ok(loaded) => loaded.graph,
        Err(plan::LoadError::Rejected(why) | plan::LoadError::Usage(why)) => panic!("{why}"),
    };
    let out = tempfile::tempdir().expect("a folder");
    let mut all: BTreeMap<String, String> = BTreeMap::from([("KEY".into(), SECRET.into())]);
    all.extend(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    all.insert("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into());
    let world = World {
        env: all,
        clock: || 1_700_000_000_000_000,
        folder: out.path().to_owned(),
        process: 1,
        signals: Signals::new(),
    };
    (graph, world, out)
}

/// Compiles a plan over the server and runs it.
fn run(verb: &Verb, plan: &str, url: &str, env: &[(&str, &str)]) -> (Evidence, tempfile::TempDir) {
    let (graph, world, out) = prepared(plan, url, env);
    let options = Options { out: out.path().to_owned(), workers: 1, ..Options::default() };
    let evidence = match verb {
        Verb::Apply => orchestrate::apply(&graph, &options, &world, &mut Silent),
        Verb::Preflight => orchestrate::preflight(&graph, &options, &world, &mut Silent),
    };
    (evidence.expect("a runtime"), out)
}

const SCENARIO: &str = "
scenarios:
  s:
    executor: shared-iterations
    vus: 1
    iterations: 20
    max_duration: 10s
    steps:
      - get: /item
        headers: { authorization: \"Bearer issued-token-value\" }
        expect: { status: 200, json: { $.ok: true } }
thresholds:
  http_req_failed{scenario:s}: [\"rate < 50%\"]
";

#[test]
fn guards_tell_different_absent_and_unreachable_apart() {
    let server = Server::start(healthy);
    for (guard, outcome, told) in [
        (
            "get: /health\n    expect: { status: 200, json: { $.env: production } }",
            NodeOutcome::Different,
            "test",
        ),
        (
            "get: /health\n    expect: { status: 200, json: { $.app_env: test } }",
            NodeOutcome::Absent,
            "app_env",
        ),
        ("get: /nothing\n    expect: { status: 200 }", NodeOutcome::Different, "404"),
        (
            "get: /away\n    redirects: 3\n    expect: { status: 200 }",
            NodeOutcome::Failed,
            "prod.example.com",
        ),
        ("file: not-there\n    expect: { exists: true }", NodeOutcome::Absent, "not-there"),
        ("command: [sh, -c, \"echo no; exit 3\"]\n    expect: { exit_code: 0 }", NodeOutcome::Different, "3"),
    ] {
        let plan = format!("guards:\n  - name: g\n    {guard}\n{SCENARIO}");
        let (evidence, _out) = run(&Verb::Apply, &plan, &server.url, &[]);
        let node = evidence.nodes.iter().find(|node| node.name == "g").expect("the guard");
        assert_eq!(node.outcome, outcome, "{guard}: {}", node.detail);
        assert!(node.detail.contains(told), "{guard}: {}", node.detail);
        assert_eq!(evidence.end, End::Refused);
        assert_eq!(judge(&evidence.graph, &evidence).exit, 113);
    }
    let sent = server.asked();
    assert!(!sent.iter().any(|line| line.contains("/item")), "no load after a refusal: {sent:?}");
}

#[test]
fn nothing_is_asked_when_a_static_guard_refuses() {
    let server = Server::start(healthy);
    let plan = format!("guards:\n  - name: g\n    get: /health\n    expect: {{ status: 200 }}\n{SCENARIO}");
    for (key, told) in [("replace-me", "placeholder"), ("00000000-0000-0000-0000-000000000000", "nil UUID")] {
        let (evidence, _out) = run(&Verb::Apply, &plan, &server.url, &[("KEY", key)]);
        assert_eq!(evidence.end, End::Refused);
        assert!(evidence.nodes[0].detail.contains(told), "{:?}", evidence.nodes);
    }
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn an_unreachable_target_is_refused_as_such() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let plan = format!("guards:\n  - name: g\n    get: /health\n    expect: {{ status: 200 }}\n{SCENARIO}");
    let (evidence, _out) = run(&Verb::Apply, &plan, &format!("http://{free}"), &[]);
    let node = evidence.nodes.iter().find(|node| node.name == "g").expect("the guard");
    assert_eq!(node.outcome, NodeOutcome::Unreachable, "{}", node.detail);
}

const TOKEN: &str = "
tokens:
  t:
    issue: { post: /login, json: { key: \"{{ inputs.key }}\" }, take: $.token }
    header: \"Authorization: Bearer {{ token }}\"
    scopes: [SCOPES]
    verify: { get: /self, expect: { status: 200, json: { $.scopes: { contains_all: \"{{ scopes }}\" } } } }
";

#[test]
fn a_token_is_issued_verified_and_never_written_down() {
    let server = Server::start(healthy);
    let plan = format!("{}{SCENARIO}", TOKEN.replace("SCOPES", "a, b"))
        .replace("        headers: { authorization: \"Bearer issued-token-value\" }\n", "        token: t\n");
    let (evidence, _out) = run(&Verb::Apply, &plan, &server.url, &[]);
    assert_eq!(evidence.end, End::Completed, "{:#?}", evidence.nodes);
    let load = evidence.load.as_ref().expect("a load");
    assert_eq!(load.scenarios["s"].finished, 20);
    let text = serde_json::to_string(&evidence).expect("evidence");
    assert!(!text.contains("issued-token-value") && !text.contains(SECRET), "{text}");
}

#[test]
fn a_token_without_its_scope_stops_the_run_before_the_load() {
    let server = Server::start(healthy);
    let plan = format!("{}{SCENARIO}", TOKEN.replace("SCOPES", "a, c"));
    let (evidence, _out) = run(&Verb::Preflight, &plan, &server.url, &[]);
    assert_eq!(evidence.end, End::PreflightRefused);
    assert_eq!(judge_preparation(&evidence).exit, 115);
}

#[test]
fn a_preflight_check_whose_condition_is_not_so_is_told_and_not_evaluated() {
    let server = Server::start(healthy);
    let plan = format!(
        "preflight:\n  - {{ name: one, when: false, get: /one, fix: mend one }}\n  \
         - {{ name: two, when: true, get: /health }}\n{SCENARIO}"
    );
    let (evidence, _out) = run(&Verb::Preflight, &plan, &server.url, &[]);
    let told: Vec<_> = evidence.nodes.iter().filter(|n| n.kind == "preflight").collect();
    assert_eq!(told[0].outcome, NodeOutcome::Skipped);
    assert_eq!((told[0].detail.as_str(), told[0].fix.as_deref()), ("`false` is not so", None));
    assert_eq!(told[1].outcome, NodeOutcome::Passed);
    assert!(!server.asked().iter().any(|line| line.contains("/one")), "{:?}", server.asked());
}

#[test]
fn programs_of_the_teardown_run_whatever_happened_and_fail_it() {
    let server = Server::start(healthy);
    let teardown = "teardown:\n  - { name: fails, command: [ls, /nowhere] }\n  \
         - { name: cleans, command: [touch, cleaned] }\n  \
         - { name: elsewhere, command: [touch, elsewhere], when: false }\n";
    let (evidence, out) = run(&Verb::Apply, &format!("{teardown}{SCENARIO}"), &server.url, &[]);
    let told: Vec<_> = evidence.nodes.iter().filter(|n| n.kind == "teardown").map(|n| n.outcome).collect();
    assert_eq!(told, [NodeOutcome::Different, NodeOutcome::Passed, NodeOutcome::Skipped]);
    assert!(out.path().join("cleaned").exists() && !out.path().join("elsewhere").exists());
    let load = evidence.load.as_ref().expect("a load");
    let failed = load.teardown_failed.as_deref().expect("a failed teardown");
    assert!(failed.contains("`fails`") && !failed.contains("cleans"), "{failed}");
}

#[test]
fn what_a_program_prints_and_a_file_holds_is_read_as_json() {
    let server = Server::start(healthy);
    let checks = [
        (
            r#"command: [echo, '{"Quota": {"Value": 64.0}}']"#,
            "$.Quota.Value: { ge: 64 }",
            NodeOutcome::Passed,
            "",
        ),
        (
            r#"command: [echo, '{"Quota": {"Value": 32.0}}']"#,
            "$.Quota.Value: { ge: 64 }",
            NodeOutcome::Different,
            "32",
        ),
        (r#"command: [echo, '{"Quota": {}}']"#, "$.Quota.Value: { ge: 64 }", NodeOutcome::Absent, "absent"),
        ("command: [echo, none]", "$.Quota.Value: { ge: 64 }", NodeOutcome::Different, "not JSON"),
        ("file: users.json", "$: { length: 2 }", NodeOutcome::Passed, ""),
        ("file: users.json", "$: { length: 3 }", NodeOutcome::Different, "length"),
        ("file: nowhere.json", "$: { length: 2 }", NodeOutcome::Absent, "absent"),
    ];
    for (probe, json, outcome, told) in checks {
        let plan =
            format!("preflight:\n  - {{ name: one, {probe}, expect: {{ json: {{ {json} }} }} }}\n{SCENARIO}");
        let (graph, world, out) = prepared(&plan, &server.url, &[]);
        std::fs::write(out.path().join("users.json"), r#"[{"name": "a"}, {"name": "b"}]"#).expect("a file");
        let options = Options { out: out.path().to_owned(), workers: 1, ..Options::default() };
        let evidence = orchestrate::preflight(&graph, &options, &world, &mut Silent).expect("a runtime");
        let node = evidence.nodes.iter().find(|node| node.kind == "preflight").expect("the check");
        assert_eq!(node.outcome, outcome, "{probe}: {}", node.detail);
        assert!(node.detail.contains(told), "{probe}: {}", node.detail);
    }
}

#[test]
fn all_preflight_failures_are_told_at_once_with_their_fix() {
    let server = Server::start(healthy);
    let plan = format!(
        "preflight:\n  - {{ name: one, get: /one, expect: {{ status: 200 }}, fix: mend one }}\n  \
         - {{ name: two, get: /health, expect: {{ status: 200 }} }}\n  \
         - {{ name: three, get: /three, expect: {{ status: 200 }}, fix: mend three }}\n{SCENARIO}"
    );
    let (evidence, _out) = run(&Verb::Apply, &plan, &server.url, &[]);
    assert_eq!(evidence.end, End::PreflightRefused);
    let told: Vec<_> = evidence
        .nodes
        .iter()
        .filter(|n| n.kind == "preflight")
        .map(|n| (n.outcome, n.fix.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (NodeOutcome::Different, Some("mend one")),
            (NodeOutcome::Passed, None),
            (NodeOutcome::Different, Some("mend three"))
        ]
    );
    assert!(evidence.load.is_none());
}

#[test]
fn a_service_that_ends_is_told_with_the_end_of_its_log() {
    let server = Server::start(healthy);
    let plan = format!(
        "services:\n  it:\n    command: [sh, -c, \"echo key $K; echo no such table >&2; exit 1\"]\n    \
         env: {{ K: \"{{{{ inputs.key }}}}\" }}\n    ready: {{ get: /, within: 5s, expect: {{ status: 200 }} }}\n{SCENARIO}"
    );
    let (evidence, out) = run(&Verb::Apply, &plan, &server.url, &[]);
    assert_eq!(evidence.end, End::ServiceNotReady);
    let detail = &evidence.nodes.iter().find(|node| node.kind == "service").expect("the service").detail;
    assert!(detail.contains("exit status: 1") && detail.contains("no such table"), "{detail}");
    assert!(detail.contains("key •••"), "{detail}");
    let log = std::fs::read_to_string(out.path().join("logs/it.log")).expect("a log");
    assert!(log.contains("no such table") && !log.contains(SECRET), "{log}");
}

/// Sends a signal when a part of the run begins.
struct Interrupter(Signals, &'static str);

impl Listener for Interrupter {
    fn part(&mut self, name: &str) {
        if name == self.1 {
            self.0.ask("SIGTERM");
        }
    }

    fn node(&mut self, _: &runner::evidence::NodeRecord) {}
    fn event(&mut self, _: &runner::load::Event) {}
    fn seeding(&mut self, _: &seeders::Progress) {}
    fn receipt(&mut self, _: &seeders::Receipt) {}
    fn misfits(&mut self, _: &[seeders::Misfit]) {}
}

#[test]
fn whoever_stops_a_run_is_answered_whatever_it_did_at_that_time() {
    let server = Server::start(healthy);
    let once = "\nsetup:\n  - get: /health\nteardown:\n  - get: /health\n";
    for part in ["rehearsal", "setup", "load", "teardown"] {
        let (graph, mut world, out) = prepared(&format!("{SCENARIO}{once}"), &server.url, &[]);
        world.signals = Signals::new();
        let mut listener = Interrupter(world.signals.clone(), part);
        let options = Options { out: out.path().to_owned(), workers: 1, ..Options::default() };
        let evidence = orchestrate::apply(&graph, &options, &world, &mut listener).expect("a runtime");
        assert_eq!(evidence.end, End::Interrupted { signal: "SIGTERM".into() }, "{part}");
        assert_eq!(judge(&graph, &evidence).exit, 105, "{part}");
    }
}
