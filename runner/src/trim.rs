//! Evidence to keep beside a plan: what judging needs and nothing else. Rows of fixtures, request bodies, headers and
//! connection strings are no part of it, nor is the machine that the run was on.

use crate::evidence::{Evidence, NodeOutcome};
use crate::judge::judge;
use planc::graph::{ExecutionGraph, Report, Step, StepKind, Target, Template, Tls};
use std::collections::BTreeMap;

/// Where a trimmed evidence says which graph was applied.
const APPLIED: &str = "trimmed_from_graph";

/// What judging needs. The verdict is the same, causes and gates included.
///
/// # Errors
/// When it would not be.
pub fn trimmed(evidence: &Evidence) -> Result<Evidence, String> {
    let graph = judged_part(&evidence.graph);
    let applied = evidence.environment.get(APPLIED).unwrap_or(&evidence.graph_id).clone();
    let mut small = Evidence {
        graph_id: graph.id(),
        graph,
        environment: BTreeMap::from([(APPLIED.to_owned(), applied)]),
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
    if let Some(load) = &mut small.load {
        load.ticks.clear();
    }
    match judge(&small.graph, &small) == judge(&evidence.graph, evidence) {
        true => Ok(small),
        false => Err("trimmed evidence would be judged differently: this is a bug of ours".into()),
    }
}

/// A graph without what was for the world: scenarios, gates and limits are left.
fn judged_part(graph: &ExecutionGraph) -> ExecutionGraph {
    let mut scenarios = graph.scenarios.clone();
    for scenario in &mut scenarios {
        silence(&mut scenario.setup);
        silence(&mut scenario.steps);
    }
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
        scenarios,
        report: Report::default(),
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
            StepKind::Pause(_) => {}
        }
    }
}
