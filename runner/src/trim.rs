//! Evidence to keep beside a plan: what judging needs and nothing else. Rows of fixtures, request bodies, headers and
//! connection strings are no part of it, nor is the machine that the run was on.

use crate::evidence::{Evidence, NodeOutcome, Samples, ViewRecord};
use crate::judge::judge;
use planc::graph::{
    ExecutionGraph, Gate, Message, Over, Report, ScrapeFrom, Step, StepKind, Target, Template, Tls,
};
use std::collections::{BTreeMap, BTreeSet};

/// Where a trimmed evidence says which graph was applied.
const APPLIED: &str = "trimmed_from_graph";
/// Where it says which metrics are no longer in it.
const LEFT_OUT: &str = "trimmed_metrics";

/// What judging needs. The verdict is the same, causes and gates included.
///
/// # Errors
/// When it would not be.
pub fn trimmed(evidence: &Evidence) -> Result<Evidence, String> {
    let graph = judged_part(&evidence.graph);
    let applied = evidence.environment.get(APPLIED).unwrap_or(&evidence.graph_id).clone();
    let left_out = left_out(evidence);
    let mut small = Evidence {
        graph_id: graph.id(),
        graph,
        environment: BTreeMap::from([
            (APPLIED.to_owned(), applied),
            (LEFT_OUT.to_owned(), Vec::from_iter(left_out.iter().cloned()).join(" ")),
        ]),
        receipts: Vec::new(),
        ..evidence.clone()
    };
    for node in &mut small.nodes {
        // What went well has nothing to tell a judge.
        if node.outcome == NodeOutcome::Passed {
            node.detail.clear();
            node.fix = None;
        }
    }
    // What triage looked up is for people, and holds what the world held.
    small.triage.iter_mut().for_each(|record| record.looks.clear());
    if let Some(load) = &mut small.load {
        load.ticks.clear();
        load.exemplars.clear();
        for population in [&mut load.on_time, &mut load.late] {
            population.series.retain(|series| !left_out.contains(&series.metric));
        }
    }
    match judge(&small.graph, &small) == judge(&evidence.graph, evidence) {
        true => Ok(small),
        false => Err("trimmed evidence would be judged differently: this is a bug of ours".into()),
    }
}

/// Why gates cannot be judged by this evidence: what they look at was trimmed away, or was not cut into their windows
/// or stages while the load ran.
pub fn unanswerable(evidence: &Evidence, gates: &[Gate]) -> Option<String> {
    let names = evidence.environment.get(LEFT_OUT).map_or("", String::as_str);
    let views = || evidence.load.iter().flat_map(|load| &load.views);
    let cut = |gate: &Gate| {
        let same = |view: &ViewRecord| {
            view.metric == gate.metric && view.selector == gate.selector && view.over == gate.over
        };
        let scraped = evidence.graph.scrapes.contains_key(&gate.metric);
        evidence.load.is_none() || gate.over == Over::Load || scraped || views().any(same)
    };
    gates.iter().find_map(|gate| {
        let Gate { metric, text, .. } = gate;
        if !cut(gate) {
            return Some(format!(
                "`{metric} {text}` cannot be answered: the run did not cut `{metric}` into its windows or stages"
            ));
        }
        let trimmed = names.split(' ').any(|name| name == metric) && gate.over == Over::Load;
        trimmed.then(|| format!("`{metric} {text}` cannot be answered: `{metric}` was trimmed away"))
    })
}

/// Trends that no gate looks at, which are most of the bytes; the one that everybody asks for stays.
fn left_out(evidence: &Evidence) -> BTreeSet<String> {
    let before = evidence.environment.get(LEFT_OUT).map_or("", String::as_str);
    let mut out: BTreeSet<String> = before.split_whitespace().map(str::to_owned).collect();
    let read = |metric: &str| {
        let mut reads = evidence.graph.sql_gates.iter().flat_map(|gate| gate.metrics.values());
        reads.any(|read| read.of.metric == metric)
    };
    let gated = |metric: &str| read(metric) || evidence.graph.gates.iter().any(|gate| gate.metric == metric);
    let series = evidence.load.iter().flat_map(|load| [&load.on_time, &load.late]).flat_map(|p| &p.series);
    for series in series.filter(|series| matches!(series.samples, Samples::Trend(_))) {
        if series.metric != "http_req_duration" && !gated(&series.metric) {
            out.insert(series.metric.clone());
        }
    }
    out
}

/// A graph without what was for the world: scenarios, gates and limits are left.
pub(crate) fn judged_part(graph: &ExecutionGraph) -> ExecutionGraph {
    let mut scenarios = graph.scenarios.clone();
    for scenario in &mut scenarios {
        silence(&mut scenario.setup);
        silence(&mut scenario.steps);
    }
    let mut scrapes = graph.scrapes.clone();
    for scrape in scrapes.values_mut() {
        if let ScrapeFrom::Prometheus { request, .. } | ScrapeFrom::Json { request, .. } = &mut scrape.from {
            request.query.clear();
            request.headers.clear();
            request.body = None;
        }
    }
    let mut triage = graph.triage.clone();
    triage.iter_mut().for_each(|entry| entry.evidence.clear());
    let target = graph.target.as_ref().map(|target| Target {
        url: Template::literal(""),
        allow_hosts: Vec::new(),
        tls: Tls { verify: true, ca: None, client_cert: None, client_key: None, server_name: None },
        ..target.clone()
    });
    ExecutionGraph {
        inputs: BTreeMap::new(),
        open_inputs: BTreeMap::new(),
        target,
        database: None,
        guards: Vec::new(),
        services: Vec::new(),
        fixtures: Vec::new(),
        tokens: BTreeMap::new(),
        preflight: Vec::new(),
        setup: Vec::new(),
        teardown: Vec::new(),
        teardown_commands: Vec::new(),
        scenarios,
        scrapes,
        triage,
        report: Report::default(),
        when_to_run: None,
        history: None,
        ..graph.clone()
    }
}

/// Takes away what requests say: no gate hangs on it.
fn silence(steps: &mut [Step]) {
    for step in steps {
        match &mut step.kind {
            StepKind::Http(http) => {
                http.request.query.clear();
                http.request.headers.clear();
                http.request.body = None;
            }
            StepKind::Choose(branches) => {
                branches.iter_mut().for_each(|branch| silence(&mut branch.steps));
            }
            StepKind::Repeat { steps, .. }
            | StepKind::Each { steps, .. }
            | StepKind::When { steps, .. }
            | StepKind::Group { steps, .. } => silence(steps),
            StepKind::WebSocket(session) => {
                session.handshake.request.query.clear();
                session.handshake.request.headers.clear();
                silence(&mut session.steps);
            }
            StepKind::Send(message) => *message = Message::Text(Template::literal("")),
            StepKind::Pause(_) | StepKind::Receive(_) | StepKind::Ping { .. } | StepKind::Close { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{NodeRecord, Series};
    use crate::testing::{errors, evidence, graph, p95, trend};
    use planc::graph::{Body, OpenInput};

    /// A run of a graph full of what must not be kept.
    fn full() -> Evidence {
        let mut graph = graph(vec![p95(), errors()]);
        graph.inputs.insert("server".into(), "SECRET".into());
        let open = OpenInput { secret: true, env: None, default: Some("SECRET".into()) };
        graph.open_inputs.insert("key".into(), open);
        graph.database = Some(Template::literal("postgres://SECRET"));
        let StepKind::Http(http) = &mut graph.scenarios[0].steps[0].kind else { panic!("a request") };
        http.request.body = Some(Body::Text(Template::literal("SECRET")));
        http.request.headers.insert("authorization".into(), Template::literal("SECRET"));
        http.request.query.insert("key".into(), Template::literal("SECRET"));
        if let Some(target) = &mut graph.target {
            target.url = Template::literal("http://SECRET");
        }
        let mut evidence = evidence(&graph);
        evidence.nodes.push(NodeRecord {
            kind: "service".into(),
            name: "target".into(),
            outcome: NodeOutcome::Passed,
            detail: "SECRET".into(),
            fix: None,
            milliseconds: 1,
        });
        evidence.environment.insert("host".into(), "SECRET".into());
        let load = evidence.load.as_mut().expect("a load");
        let series = Series { metric: "http_req_waiting".into(), ..load.on_time.series[0].clone() };
        load.on_time.series.push(series);
        evidence
    }

    #[test]
    fn nothing_is_left_but_what_judging_needs() {
        let small = trimmed(&full()).expect("trimmed");
        let text = serde_json::to_string(&small).expect("JSON");
        assert!(!text.contains("SECRET"), "{text}");
        assert_eq!(small.graph.id(), small.graph_id);
        assert_eq!(judge(&small.graph, &small), judge(&full().graph, &full()));
        assert_eq!(trimmed(&small).expect("again"), small);
        assert_eq!(small.environment["trimmed_from_graph"], full().graph_id);
    }

    #[test]
    fn a_red_run_stays_red_for_the_same_reasons() {
        let mut red = full();
        red.load.as_mut().expect("a load").on_time.series[0].samples =
            Samples::Trend(trend(600_000, 1_000, 0));
        let verdict = judge(&red.graph, &red);
        assert_eq!(verdict.exit, 99);
        let small = trimmed(&red).expect("trimmed");
        assert_eq!(judge(&small.graph, &small), verdict);
    }

    #[test]
    fn what_was_trimmed_away_is_told() {
        let small = trimmed(&full()).expect("trimmed");
        let waiting = Gate { metric: "http_req_waiting".into(), ..p95() };
        let told = unanswerable(&small, &[p95(), waiting.clone()]).expect("told");
        assert!(told.contains("`http_req_waiting` was trimmed away"), "{told}");
        assert_eq!(unanswerable(&small, &[p95(), errors()]), None);
        assert_eq!(unanswerable(&full(), &[waiting]), None);
    }

    #[test]
    fn windows_that_the_run_did_not_have_are_told() {
        let over = Over::EveryWindow(std::time::Duration::from_secs(2));
        let windowed = Gate { over: over.clone(), ..p95() };
        let told = unanswerable(&full(), &[p95(), windowed.clone()]).expect("told");
        assert!(told.contains("windows"), "{told}");
        let mut cut = full();
        cut.load.as_mut().expect("a load").views.push(ViewRecord {
            metric: windowed.metric.clone(),
            selector: windowed.selector.clone(),
            over,
            scenarios: BTreeMap::new(),
            parts: BTreeMap::new(),
        });
        assert_eq!(unanswerable(&cut, &[windowed]), None);
    }
}
