use super::*;
use crate::diagnostic::Diagnostics;
use crate::expr::json_template;
use crate::graph::JsonTemplate;
use crate::source::SourceMap;
use crate::yaml;

/// A YAML text as an editor's validator sees it: templates are texts.
fn document(text: &str) -> Json {
    let mut sources = SourceMap::default();
    let file = sources.add("t", text);
    let mut diagnostics = Diagnostics::default();
    let node = yaml::parse(&sources, file, &mut diagnostics).expect("yaml");
    let parsed = json_template(&sources, &node, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    plain(&parsed.expect("json").value)
}

fn plain(template: &JsonTemplate) -> Json {
    match template {
        JsonTemplate::Const(value) => value.clone(),
        JsonTemplate::Text(_) | JsonTemplate::Value(_) => json!("{{ … }}"),
        JsonTemplate::List(items) => items.iter().map(plain).collect(),
        JsonTemplate::Map(map) => Json::Object(map.iter().map(|(k, v)| (k.clone(), plain(v))).collect()),
    }
}

const PLAN: &str = r#"
plan: agent-storm
about: agents heartbeating
inputs:
  base_url: { type: url, env: CERTCTL_BASE, default: "http://127.0.0.1:8443" }
  api_key:  { type: secret, env: CERTCTL_TOKEN }
  rate:     { type: rate, default: 167/s }
profiles:
  default: {}
  stress:  { rate: 400/s }
target:
  url: "{{ services.target.url }}"
  allow_hosts: [127.0.0.1, localhost, "*.staging.example.com"]
  tls: { verify: true }
  timeout: 10s
database:
  url: "{{ services.postgres.url }}"
guards:
  - name: the target is a test environment
    get: /api/health
    expect: { status: 200, json: { $.app_env: test } }
    override: { env: ALLOW_NON_TEST_TARGET }
  - name: the database is a test database
    postgres: { database: "*_test", foreign_rows: { in: agents, at_most: 100 } }
services:
  postgres: { ephemeral: postgres, database: fleet_test, keep: quickstart }
  target:
    command: [target/release/proving-ground, --port, "{{ port }}"]
    env: { APP_ENV: test, DATABASE_URL: "{{ services.postgres.url }}" }
    ready: { get: /api/health, within: 30s }
fixtures:
  agents: { from: ../fixtures/agents.yaml, rows: 5000 }
tokens:
  fleet:
    value: "{{ inputs.api_key }}"
    header: "Authorization: Bearer {{ token }}"
    scopes: [agents.heartbeat]
    verify: { get: /api/tokens/self, expect: { status: 200, json: { $.scopes: { contains_all: "{{ scopes }}" } } } }
preflight:
  - name: the agents table is migrated
    sql: select 1 from schema_migrations where version >= 47
    expect: { rows: 1 }
    fix: run the service's migrations
  - postgres: { free_connections: { at_least: 60 } }
endpoints:
  heartbeat: { post: "/api/v1/agents/{id}/heartbeat", scopes: [agents.heartbeat], limit: 500/s }
metrics:
  rate_limited: rate
  queue_depth: { scrape: { get: /metrics, prometheus: 'bullmq_queue_jobs{state="wait"}' }, every: 5s }
  pool_waiting: { scrape: { get: /internal/pool, json: $.waiting, take: max } }
  lock_waits: { scrape: { sql: "select count(*) from pg_locks where not granted" }, every: 2s }
scenarios:
  agent_storm:
    executor: constant-arrival-rate
    rate: "{{ inputs.rate }}"
    duration: 5m
    pre_allocated_vus: 50
    max_vus: 800
    draw: { agent: agents, other: { from: agents, order: random } }
    steps:
      - call: heartbeat
        path: { id: "{{ agent.id }}" }
        token: fleet
        tags: { phase: heartbeat }
        json: { version: "2.1.0", hostname: "{{ agent.hostname }}" }
        expect: { status: 2xx }
        record: { rate_limited: { when: "response.status == 429" } }
      - pause: { uniform: [1s, 3s] }
      - choose:
          - weight: 60%
            steps: [{ get: /a, capture: { csrf: { json: $.csrf } } }]
          - { weight: 40%, steps: [{ repeat: 3, as: i, steps: [{ get: "/b/{{ i }}" }] }] }
thresholds:
  http_req_duration{scenario:agent_storm}: ["p(95) < 500ms", { threshold: "p(99) < 1s", level: advisory }]
  http_req_failed{scenario:agent_storm}: rate < 0.1%
  the audit chain is unbroken: { sql: "select verify_audit_log_chain()", expect: { value: null } }
  rows written are the 201s counted:
    sql: "select count(*) from heartbeats where run_id = '{{ run_id }}'"
    expect: { value: "{{ metric('http_reqs{status:201}') }}" }
    increase: true
    within: 5s
triage:
  - name: pool exhaustion
    when: "http_req_duration{scenario:agent_storm}.p95 > 500ms"
    for: 10s
    cause: the pool of connections is too small
    evidence:
      - sql: "select state, count(*) from pg_stat_activity group by 1"
      - { get: /metrics, within: 2s }
      - { promql: "sum(rate(calls_total[1m]))", at: "http://127.0.0.1:9090" }
      - { command: [dmesg, -T] }
    decision: make the pool larger
  - { when: gate, cause: something else, evidence: { get: /metrics }, decision: halt }
report:
  summary: loadtest-summary.json
  html: report.html
"#;

const FIXTURE: &str = r#"
fixture: agents
table: agents
rows: 5_000
identity: id
on_conflict: refresh
columns:
  id:        "ag-loadtest-{{ n | pad(5) }}"
  status:    Online
  os:        { weighted: { linux: 80, windows: 10, darwin: 10 } }
  last_heartbeat_at: { before_now: "{{ n % 60 }}s", fresh_within: 60s }
  team_id:   { references: teams.id, value: t-platform }
  tags:      { json: { source: loadtest } }
verify:
  - sql: select count(*) from agents where id like 'ag-loadtest-%'
    expect: { value: "{{ rows }}" }
"#;

#[test]
fn both_are_schemas_and_accept_what_the_language_shows() {
    for (schema, text) in [(plan(), PLAN), (fixture(), FIXTURE)] {
        assert!(jsonschema::meta::is_valid(&schema));
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let errors: Vec<String> =
            validator.iter_errors(&document(text)).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
}

#[test]
fn coarse_mistakes_are_refused() {
    let validator = jsonschema::validator_for(&plan()).expect("a schema");
    for (from, to) in [
        ("plan: agent-storm", "plann: agent-storm"),
        ("executor: constant-arrival-rate", "executor: constant-arival-rate"),
        ("type: secret", "type: password"),
        ("status: 2xx", "status: 9xx"),
        ("      - call: heartbeat", "      - cal: heartbeat"),
    ] {
        assert!(!validator.is_valid(&document(&PLAN.replace(from, to))), "{to}");
    }
}
