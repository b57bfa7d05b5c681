//! The plan's own keys, inputs, profiles, target, services, tokens, endpoints.

use super::checks::Purpose;
use super::requests::METHODS;
use super::sql_gates::is_sql_gate;
use super::{Map, Parser};
use crate::ast::{
    Baseline, Check, Endpoint, Grafana, Health, Input, InputType, Lost, Metric, Plan, Pool, Profile,
    Prometheus, Raw, Report, Service, ServiceKind, Step, Target, Text, Tls, Token, TokenSource, Trace, Typed,
};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::{self, MetricKind, Protocol};
use crate::source::Span;
use crate::yaml::{Entry, Node, NodeKind};

const INPUT_TYPES: [(&str, InputType); 10] = [
    ("string", InputType::String),
    ("url", InputType::Url),
    ("secret", InputType::Secret),
    ("rate", InputType::Rate),
    ("duration", InputType::Duration),
    ("integer", InputType::Integer),
    ("number", InputType::Number),
    ("boolean", InputType::Boolean),
    ("share", InputType::Share),
    ("size", InputType::Size),
];

const METRIC_KINDS: [(&str, MetricKind); 5] = [
    ("counter", MetricKind::Counter),
    ("rate", MetricKind::Rate),
    ("trend", MetricKind::Trend),
    ("time_trend", MetricKind::TimeTrend),
    ("gauge", MetricKind::Gauge),
];

const PROTOCOLS: [(&str, Protocol); 2] = [("http/1.1", Protocol::Http1), ("http/2", Protocol::Http2)];

impl Parser<'_> {
    /// The whole plan. `start` is the file's first place; `torn` says that a block of it did not parse.
    pub(super) fn plan(&mut self, node: &Node, start: Span, torn: bool) -> Option<Plan> {
        let mut map = self.map(node, "a plan", Some(start))?;
        let mut plan = empty_plan(start);
        let name = if torn { map.take("plan") } else { self.require(&mut map, "plan") };
        plan.name = name.and_then(|node| self.word(node));
        plan.about = self.word_key(&mut map, "about");
        plan.seed = self.typed_key(&mut map, "seed");
        plan.inputs_span = map.entries.iter().find(|e| e.key.value == "inputs").map(|e| e.key.span);
        plan.profiles_span = map.entries.iter().find(|e| e.key.value == "profiles").map(|e| e.key.span);
        plan.inputs = self.each(&mut map, "inputs", Self::input);
        plan.profiles = self.each(&mut map, "profiles", Self::profile);
        plan.target = map.entry("target").and_then(|entry| self.target(&entry.value, entry.key.span));
        (plan.database, plan.pool, plan.template) = match map.entry("database") {
            Some(entry) => self.database(&entry.value, entry.key.span),
            None => (None, None, None),
        };
        plan.guards =
            map.take("guards").map_or(Vec::new(), |node| self.checks(node, "a guard", Purpose::Guard));
        plan.services = self.each(&mut map, "services", Self::service);
        plan.fixtures = self.each(&mut map, "fixtures", Self::fixture_use);
        plan.tokens = self.each(&mut map, "tokens", Self::token);
        plan.preflight = map
            .take("preflight")
            .map_or(Vec::new(), |node| self.checks(node, "a preflight check", Purpose::Preflight));
        if let Some(node) = map.take("endpoints") {
            plan.catalogue = self.catalogue(node);
            plan.endpoints = self.endpoints(node, plan.catalogue.is_some());
        }
        plan.metrics = self.each(&mut map, "metrics", Self::metric);
        plan.setup = map.take("setup").map_or(Vec::new(), |node| self.steps(node));
        if let Some(node) = map.take("teardown") {
            (plan.teardown, plan.teardown_commands) = self.teardown(node);
        }
        plan.scenarios_span = map.entries.iter().find(|e| e.key.value == "scenarios").map(|e| e.key.span);
        let scenarios = if torn { map.take("scenarios") } else { self.require(&mut map, "scenarios") };
        if scenarios.is_some() {
            plan.scenarios = self.each(&mut map, "scenarios", Self::scenario);
            if plan.scenarios.is_empty() && !torn && no_entries(map.take("scenarios")) {
                let span = plan.scenarios_span.unwrap_or(start);
                self.error(codes::MISSING_KEY, span, "a plan needs at least one scenario");
            }
        }
        if let Some(node) = map.take("thresholds") {
            for entry in self.named(node, "`thresholds`") {
                if entry.key.value == "allow"
                    && !plan.metrics.iter().any(|metric| metric.name.value == "allow")
                {
                    self.diagnostics.push(
                        Diagnostic::error(
                            codes::UNKNOWN_KEY,
                            entry.key.span,
                            "an `allow` stands on one threshold",
                        )
                        .help("write it beside the condition: `- { threshold: …, allow: […] }`"),
                    );
                    continue;
                }
                if is_sql_gate(&entry.value) {
                    plan.sql_gates.extend(self.sql_gate(entry));
                    continue;
                }
                let found = self.thresholds(entry);
                plan.thresholds.extend(found);
            }
        }
        plan.sql_gates.sort_by(|a, b| a.name.value.cmp(&b.name.value));
        plan.lost = Lost {
            block: torn,
            world: plan.target.is_none() && (map.has("target") || map.has_near("target"))
                || plan.database.is_none() && (map.has("database") || map.has_near("database")),
            steps: plan.scenarios.iter().any(|scenario| scenario.steps.is_empty())
                || map
                    .take("scenarios")
                    .is_none_or(|node| self.named(node, "`scenarios`").len() != plan.scenarios.len()),
            thresholds: map.has_near("thresholds") && !map.has("thresholds"),
            guards: map.has_near("guards") && !map.has("guards")
                || plan.guards.iter().any(|guard| guard.probe.is_none()),
            fixtures: plan
                .fixtures
                .iter()
                .any(|fixture| fixture.definition.is_none() && fixture.from.is_none()),
            endpoints: false,
        };
        plan.triage = map.take("triage").map_or(Vec::new(), |node| self.triage(node));
        plan.health = map.take("health").map_or(Health::default(), |node| self.health(node));
        plan.report = map.take("report").map_or(Report::default(), |node| self.report(node));
        plan.report.baseline = map.take("baseline").map_or(Vec::new(), |node| self.baseline(node));
        plan.when_to_run =
            map.entry("when_to_run").and_then(|entry| self.when_to_run(&entry.value, entry.key.span));
        plan.history = map.entry("history").and_then(|entry| self.history(&entry.value, entry.key.span));
        self.finish(map);
        Some(plan)
    }

    /// Reads each entry of a map of names, sorted by name: the order of writing means nothing.
    fn each<T>(
        &mut self,
        map: &mut Map<'_>,
        key: &'static str,
        read: fn(&mut Self, &Entry) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = map.take(key) else { return Vec::new() };
        let what = match key {
            "inputs" => "`inputs`",
            "profiles" => "`profiles`",
            "services" => "`services`",
            "fixtures" => "`fixtures`",
            "tokens" => "`tokens`",
            "metrics" => "`metrics`",
            _ => "`scenarios`",
        };
        let mut entries: Vec<&Entry> = self.named(node, what).iter().collect();
        entries.sort_by(|a, b| a.key.value.cmp(&b.key.value));
        entries.into_iter().filter_map(|entry| read(self, entry)).collect()
    }

    fn raw(&mut self, node: &Node) -> Option<Raw> {
        self.word(node).map(|word| Raw { span: word.span, text: word.value })
    }

    fn input(&mut self, entry: &Entry) -> Option<Input> {
        let name = self.binding(entry.key.clone())?;
        let mut map = self.map(&entry.value, "an input", Some(name.span))?;
        let kind = self.require(&mut map, "type").and_then(|node| self.choice(node, "type", &INPUT_TYPES));
        let default = map.take("default").and_then(|node| self.raw(node));
        let env = self.word_key(&mut map, "env");
        let late = map.take("late").is_some_and(|node| self.flag(node));
        let test_only = map.take("test_only").is_some_and(|node| self.flag(node));
        self.word_key(&mut map, "about");
        let one_of = match map.take("one_of") {
            Some(node) => {
                self.list(node, "a list of values").iter().filter_map(|item| self.raw(item)).collect()
            }
            None => Vec::new(),
        };
        self.finish(map);
        Some(Input { name, kind: kind.map(|kind| kind.value), default, env, late, test_only, one_of })
    }

    fn profile(&mut self, entry: &Entry) -> Option<Profile> {
        let mut values = Vec::new();
        for value in self.named(&entry.value, "a profile") {
            if let Some(raw) = self.raw(&value.value) {
                values.push((value.key.clone(), raw));
            }
        }
        values.sort_by(|a, b| a.0.value.cmp(&b.0.value));
        Some(Profile { name: entry.key.clone(), values })
    }

    fn target(&mut self, node: &Node, at: Span) -> Option<Target> {
        let mut map = self.map(node, "`target`", Some(at))?;
        let url = self.require(&mut map, "url").and_then(|node| self.text(node));
        let allow_hosts = map.take("allow_hosts").map(|node| self.words(node));
        let tls = map.take("tls").map_or(Tls::default(), |node| self.tls(node));
        let timeout = self.typed_key(&mut map, "timeout");
        let protocol = map.take("protocol").and_then(|node| self.choice(node, "protocol", &PROTOCOLS));
        let trace = map.entry("trace").and_then(|entry| self.trace(&entry.value, entry.key.span));
        self.finish(map);
        Some(Target { url, allow_hosts, tls, timeout, protocol, trace })
    }

    /// `true`, `false` or `{ sample: 1% }`.
    pub(super) fn trace(&mut self, node: &Node, at: Span) -> Option<Trace> {
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            return Some(Trace::Flag(self.typed(node)));
        }
        let mut map = self.map(node, "`trace`", Some(at))?;
        let sample = self.typed_required(&mut map, "sample");
        self.finish(map);
        Some(Trace::Sample(sample))
    }

    fn tls(&mut self, node: &Node) -> Tls {
        let Some(mut map) = self.map(node, "`tls`", None) else { return Tls::default() };
        let tls = Tls {
            verify: self.typed_key(&mut map, "verify"),
            ca: self.typed_key(&mut map, "ca"),
            client_cert: self.typed_key(&mut map, "client_cert"),
            client_key: self.typed_key(&mut map, "client_key"),
            server_name: self.typed_key(&mut map, "server_name"),
        };
        if let (Some(cert), None) | (None, Some(cert)) = (&tls.client_cert, &tls.client_key) {
            let message = "`client_cert` and `client_key` go together";
            self.error(codes::MISSING_KEY, cert.span(), message);
        }
        self.finish(map);
        tls
    }

    /// The database's URL, the pool that the service keeps to it, and whether it is a clone.
    fn database(&mut self, node: &Node, at: Span) -> (Option<Text>, Option<Pool>, Option<Typed<bool>>) {
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            return (self.text(node), None, None);
        }
        let Some(mut map) = self.map(node, "`database`", Some(at)) else { return (None, None, None) };
        let url = self.require(&mut map, "url").and_then(|node| self.text(node));
        let per_worker = self.typed_key(&mut map, "pool");
        let workers: Option<Typed<u32>> = self.typed_key(&mut map, "workers");
        if let (None, Some(workers), false) = (&per_worker, &workers, map.has_near("pool")) {
            self.diagnostics.push(
                Diagnostic::error(
                    codes::MISSING_KEY,
                    workers.span(),
                    "`workers` means nothing without `pool`",
                )
                .help("write `pool: 20`, the connections that each worker may open"),
            );
        }
        let template = self.typed_key(&mut map, "template");
        self.finish(map);
        (url, per_worker.map(|per_worker| Pool { per_worker, workers }), template)
    }

    fn service(&mut self, entry: &Entry) -> Option<Service> {
        let name = self.binding(entry.key.clone())?;
        let mut map = self.map(&entry.value, "a service", Some(name.span))?;
        let kind = match (map.has("ephemeral"), map.has("command")) {
            (true, true) => {
                let message = "a service is `ephemeral` or a `command`, not both";
                self.error(codes::CONFLICTING_KEYS, name.span, message);
                return Some(Service { name, kind: ServiceKind::Broken, when: None });
            }
            (true, false) => self.ephemeral(&mut map),
            (false, true) => self.command_service(&mut map, name.span),
            (false, false) => {
                map.known.extend(["ephemeral", "command"]);
                if !map.has_near("ephemeral") && !map.has_near("command") {
                    let message = "a service needs `command: […]` or `ephemeral: postgres`";
                    self.error(codes::MISSING_KEY, name.span, message);
                }
                map.known.extend(["database", "keep", "settings", "env", "url", "ready"]);
                ServiceKind::Broken
            }
        };
        let when = self.typed_key(&mut map, "when");
        self.finish(map);
        Some(Service { name, kind, when })
    }

    fn ephemeral(&mut self, map: &mut Map<'_>) -> ServiceKind {
        let known = map
            .take("ephemeral")
            .and_then(|node| self.choice(node, "ephemeral service", &[("postgres", ())]));
        let database = self.typed_key(map, "database");
        let keep = self.typed_key(map, "keep");
        let mut settings = Vec::new();
        if let Some(node) = map.take("settings") {
            for entry in self.named(node, "`settings`") {
                settings.push((entry.key.clone(), self.typed(&entry.value)));
            }
        }
        known.map_or(ServiceKind::Broken, |_| ServiceKind::Postgres { database, keep, settings })
    }

    fn command_service(&mut self, map: &mut Map<'_>, at: Span) -> ServiceKind {
        let argv = map.take("command").and_then(|node| self.argv(node));
        let env = map.take("env").map_or(Vec::new(), |node| self.texts(node, "`env`"));
        let url = self.text_key(map, "url");
        let has_ready = map.has("ready") || map.has_near("ready");
        let ready = map
            .entry("ready")
            .and_then(|entry| self.check(&entry.value, "`ready`", Purpose::Inner, Some(entry.key.span)));
        if !has_ready {
            let message = "a service without `ready` cannot be waited for";
            self.diagnostics.push(Diagnostic::error(codes::MISSING_KEY, at, message).help(
                "write `ready: { get: /health, within: 30s }` with a path that answers once it can serve",
            ));
        }
        argv.map_or(ServiceKind::Broken, |argv| ServiceKind::Command {
            argv,
            env,
            url,
            ready: ready.map(Box::new),
        })
    }

    fn token(&mut self, entry: &Entry) -> Option<Token> {
        let name = entry.key.clone();
        let mut map = self.map(&entry.value, "a token", Some(name.span))?;
        let value = map.take("value").map(|node| self.text(node));
        let keep = map.entry("keep").filter(|entry| self.flag(&entry.value)).map(|entry| entry.key.span);
        let issue = map.entry("issue").map(|entry| self.issue(&entry.value, entry.key.span, keep.is_some()));
        let source = match (value, issue) {
            (Some(_), Some(_)) => {
                self.error(
                    codes::CONFLICTING_KEYS,
                    name.span,
                    "a token is given by `value` or by `issue`, not both",
                );
                None
            }
            (Some(value), None) => value.map(TokenSource::Given),
            (None, Some(issue)) => issue,
            (None, None) => {
                if !map.has_near("value") && !map.has_near("issue") {
                    self.error(codes::MISSING_KEY, name.span, "a token needs `value` or `issue`");
                }
                None
            }
        };
        let header = self.text_key(&mut map, "header");
        let scopes = map.take("scopes").map_or(Vec::new(), |node| self.words(node));
        let verify = map
            .entry("verify")
            .and_then(|entry| self.check(&entry.value, "`verify`", Purpose::Inner, Some(entry.key.span)));
        if let Some(at) = keep {
            self.kept(at, source.as_ref(), verify.is_some() || map.has_near("verify"));
        }
        self.finish(map);
        Some(Token { name, source, header, scopes, verify })
    }

    /// What is kept was issued, and is asked whether it still lives before it is used again.
    fn kept(&mut self, at: Span, source: Option<&TokenSource>, verified: bool) {
        if let Some(TokenSource::Given(_)) = source {
            let message = "only a token that the run has issued can be kept";
            let diagnostic = Diagnostic::error(codes::CONFLICTING_KEYS, at, message);
            self.diagnostics.push(diagnostic.help("leave `keep` out: whoever gives `value` keeps it"));
        } else if !verified {
            let message = "a token that is kept needs `verify`, or nobody would notice that it is dead";
            let diagnostic = Diagnostic::error(codes::MISSING_KEY, at, message);
            self.diagnostics.push(diagnostic.help("write `verify: { get: PATH, expect: { status: 200 } }`"));
        }
    }

    fn issue(&mut self, node: &Node, at: Span, keep: bool) -> Option<TokenSource> {
        let mut map = self.map(node, "`issue`", Some(at))?;
        let request = self.request(&mut map);
        let take = self.require(&mut map, "take").and_then(|node| self.word(node));
        let take = take.filter(|path| self.json_path(&path.value, path.span));
        let ttl = self.typed_key(&mut map, "ttl");
        self.finish(map);
        Some(TokenSource::Issued { request: Box::new(request?), take: take?.value, ttl, keep })
    }

    /// Steps, and the programs that run after them.
    fn teardown(&mut self, node: &Node) -> (Vec<Step>, Vec<Check>) {
        let items = self.list(node, "a list of steps and commands");
        let (commands, steps): (Vec<_>, Vec<_>) = items.iter().partition(|it| it.get("command").is_some());
        let mut check = |item: &&Node| self.check(item, "a teardown command", Purpose::Teardown, None);
        let commands = commands.iter().filter_map(&mut check).collect();
        (steps.into_iter().filter_map(|item| self.step(item)).collect(), commands)
    }

    fn endpoints(&mut self, node: &Node, from_file: bool) -> Vec<Endpoint> {
        if let NodeKind::Mapping(entries) = &node.kind
            && let Some(entry) = entries.iter().find(|entry| entry.key.value == "openapi")
            && matches!(entry.value.kind, NodeKind::Scalar { .. })
        {
            self.diagnostics.push(
                Diagnostic::error(codes::UNKNOWN_KEY, entry.key.span, "unknown key `openapi` in `endpoints`")
                    .help("write `from: openapi.yaml`")
                    .suggest(entry.key.span, "from"),
            );
            return Vec::new();
        }
        let mut entries: Vec<&Entry> = self.named(node, "`endpoints`").iter().collect();
        if from_file {
            entries.retain(|entry| !["from", "include", "base"].contains(&entry.key.value.as_str()));
        }
        entries.sort_by(|a, b| a.key.value.cmp(&b.key.value));
        entries.into_iter().filter_map(|entry| self.endpoint(entry, from_file)).collect()
    }

    fn endpoint(&mut self, entry: &Entry, from_file: bool) -> Option<Endpoint> {
        let mut map = self.map(&entry.value, "an endpoint", Some(entry.key.span))?;
        let named = METHODS.iter().any(|(method, _)| map.has(method) || map.has_near(method));
        // The method and path of the file's own operation are not written again.
        let request = if from_file && !named { None } else { self.request(&mut map) };
        let scopes = map.take("scopes").map_or(Vec::new(), |node| self.words(node));
        let limit = self.typed_key(&mut map, "limit");
        self.finish(map);
        Some(Endpoint { name: entry.key.clone(), request, scopes, limit, imported: None })
    }

    fn metric(&mut self, entry: &Entry) -> Option<Metric> {
        let name = self.binding(entry.key.clone())?;
        let kind = match &entry.value.kind {
            NodeKind::Mapping(_) => {
                let mut map = self.map(&entry.value, "a metric", Some(name.span))?;
                if let Some(entry) = map.entry("scrape") {
                    let scrape = self.scrape(entry, &mut map);
                    self.word_key(&mut map, "about");
                    self.finish(map);
                    return Some(Metric { name, kind: Some(MetricKind::Gauge), scrape: Some(scrape) });
                }
                let kind =
                    self.require(&mut map, "type").and_then(|node| self.choice(node, "type", &METRIC_KINDS));
                let time = map.take("time").is_some_and(|node| self.flag(node));
                self.word_key(&mut map, "about");
                self.finish(map);
                kind.map(|kind| match kind.value {
                    MetricKind::Trend if time => MetricKind::TimeTrend,
                    other => other,
                })
            }
            _ => self.choice(&entry.value, "type of metric", &METRIC_KINDS).map(|kind| kind.value),
        };
        Some(Metric { name, kind, scrape: None })
    }

    fn health(&mut self, node: &Node) -> Health {
        let Some(mut map) = self.map(node, "`health`", None) else { return Health::default() };
        let health = Health {
            lateness_p99: self.typed_key(&mut map, "lateness_p99"),
            achieved: self.typed_key(&mut map, "achieved"),
            cpu: self.typed_key(&mut map, "cpu"),
            run_queue: self.typed_key(&mut map, "run_queue"),
            steal: self.typed_key(&mut map, "steal"),
            throttled: self.typed_key(&mut map, "throttled"),
            pressure: self.typed_key(&mut map, "pressure"),
        };
        self.finish(map);
        health
    }

    fn report(&mut self, node: &Node) -> Report {
        let Some(mut map) = self.map(node, "`report`", None) else { return Report::default() };
        let mut path = |parser: &mut Self, key| parser.word_key(&mut map, key).map(|word| word.value);
        let files = graph::Report {
            summary: path(self, "summary"),
            junit: path(self, "junit"),
            markdown: path(self, "markdown"),
            html: path(self, "html"),
            ..graph::Report::default()
        };
        let prometheus =
            map.entry("prometheus").and_then(|entry| self.prometheus(&entry.value, entry.key.span));
        let grafana = map.entry("grafana").and_then(|entry| self.grafana(&entry.value, entry.key.span));
        self.finish(map);
        Report { files, prometheus, grafana, baseline: Vec::new() }
    }

    /// `metric.aggregate: 80ms..150ms`.
    fn baseline(&mut self, node: &Node) -> Vec<Baseline> {
        let entries = self.named(node, "`baseline`").iter();
        entries.map(|e| Baseline { number: self.metric_ref(&e.key), range: self.text(&e.value) }).collect()
    }

    fn prometheus(&mut self, node: &Node, at: Span) -> Option<Prometheus> {
        let mut map = self.map(node, "`prometheus`", Some(at))?;
        let url = self.require(&mut map, "url").and_then(|node| self.text(node));
        let token = self.text_key(&mut map, "token");
        let mut headers = map.take("headers").map_or(Vec::new(), |node| self.texts(node, "`headers`"));
        for (name, _) in &mut headers {
            name.value = self.header_name(&name.value, name.span);
        }
        let every = self.typed_key(&mut map, "every");
        let query_url = self.text_key(&mut map, "query_url");
        self.finish(map);
        Some(Prometheus { url, token, headers, every, query_url })
    }

    fn grafana(&mut self, node: &Node, at: Span) -> Option<Grafana> {
        let mut map = self.map(node, "`grafana`", Some(at))?;
        let url = self.require(&mut map, "url").and_then(|node| self.text(node));
        let token = self.text_key(&mut map, "token");
        self.finish(map);
        Some(Grafana { url, token })
    }
}

fn no_entries(node: Option<&Node>) -> bool {
    match node.map(|node| &node.kind) {
        Some(NodeKind::Mapping(entries)) => entries.is_empty(),
        Some(NodeKind::Null) => true,
        _ => false,
    }
}

/// A plan of which nothing is written.
pub(crate) fn empty_plan(span: Span) -> Plan {
    Plan {
        lost: Lost::default(),
        span,
        seed_only: false,
        name: None,
        about: None,
        seed: None,
        inputs_span: None,
        inputs: Vec::new(),
        profiles_span: None,
        profiles: Vec::new(),
        target: None,
        database: None,
        pool: None,
        template: None,
        guards: Vec::new(),
        services: Vec::new(),
        fixtures: Vec::new(),
        tokens: Vec::new(),
        preflight: Vec::new(),
        endpoints: Vec::new(),
        catalogue: None,
        metrics: Vec::new(),
        setup: Vec::new(),
        teardown: Vec::new(),
        teardown_commands: Vec::new(),
        scenarios_span: None,
        scenarios: Vec::new(),
        thresholds: Vec::new(),
        sql_gates: Vec::new(),
        triage: Vec::new(),
        health: Health::default(),
        report: Report::default(),
        when_to_run: None,
        history: None,
    }
}
