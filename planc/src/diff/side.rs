//! One profile of one side, as the comparison needs it.

use crate::allows::Allows;
use crate::diagnostic::Diagnostics;
use crate::graph::{ExecutionGraph, Report, StepId};
use crate::lints::expected_samples;
use crate::lower::lower;
use crate::resolved::{Hang, ResolvedPlan};
use crate::source::{SourceMap, Span};
use crate::units::Rate;
use std::collections::{BTreeMap, BTreeSet};

/// All profiles of one side that were asked for; none when there is an error.
#[derive(Debug, Default)]
pub(crate) struct Sides {
    pub(crate) sources: SourceMap,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) allows: Allows,
    pub(crate) sides: Vec<Side>,
}

/// One profile: its graph, and what only the plan says.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub(super) graph: ExecutionGraph,
    /// Samples that the whole load is expected to give each gate, where the plan alone decides it.
    pub(super) expected: Vec<Option<f64>>,
    pub(super) endpoints: BTreeMap<String, Endpoint>,
    /// What hangs on inputs that the plan alone does not decide; of gates by their number.
    pub(super) hangs: BTreeSet<Hang>,
    pub(super) gate_hangs: Vec<BTreeSet<Hang>>,
    origins: BTreeMap<String, Span>,
    gates: Vec<Span>,
    steps: Vec<Span>,
}

/// An endpoint of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) scopes: BTreeSet<String>,
    pub(super) limit: Option<Rate>,
}

impl Side {
    pub(crate) fn of(mut resolved: ResolvedPlan) -> Self {
        let expected = resolved.gates.iter().map(|gate| expected_samples(&resolved, gate)).collect();
        let endpoints = resolved.endpoints.iter();
        let endpoints = endpoints
            .map(|(name, e)| (name.clone(), Endpoint { scopes: e.scopes.clone(), limit: e.limit }))
            .collect();
        let origins = std::mem::take(&mut resolved.origins);
        let hangs = std::mem::take(&mut resolved.used.hangs);
        let gate_hangs = resolved.gates.iter_mut().map(|gate| std::mem::take(&mut gate.hangs)).collect();
        let gates = resolved.gates.iter().map(|gate| gate.span).collect();
        let steps = resolved.places.iter().map(|place| place.span).collect();
        let mut graph = lower(resolved);
        // What is told may end in a pull request.
        graph.hide_secrets();
        Side { graph, expected, endpoints, hangs, gate_hangs, origins, gates, steps }
    }

    /// A graph of which no text is left: no places, nothing that hangs on inputs.
    pub(super) fn of_graph(mut graph: ExecutionGraph) -> Self {
        graph.hide_secrets();
        let gates = graph.gates.len();
        Side {
            graph,
            expected: vec![None; gates],
            endpoints: BTreeMap::new(),
            hangs: BTreeSet::new(),
            gate_hangs: vec![BTreeSet::new(); gates],
            origins: BTreeMap::new(),
            gates: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// What was there before a plan that is new: the same world, and nothing done or judged in it.
    pub(super) fn before(&self) -> Self {
        let mut side = self.clone();
        let graph = &mut side.graph;
        graph.guards.clear();
        graph.services.clear();
        graph.fixtures.clear();
        graph.tokens.clear();
        graph.preflight.clear();
        graph.metrics.clear();
        graph.scrapes.clear();
        graph.setup.clear();
        graph.teardown.clear();
        graph.scenarios.clear();
        graph.gates.clear();
        graph.sql_gates.clear();
        graph.triage.clear();
        graph.report = Report::default();
        side.endpoints.clear();
        side
    }

    /// Where the plan says a thing: `scenarios.storm`.
    pub(super) fn origin(&self, path: &str) -> Option<Span> {
        self.origins.get(path).copied()
    }

    pub(super) fn gate_span(&self, at: usize) -> Option<Span> {
        self.gates.get(at).copied()
    }

    pub(super) fn step_span(&self, step: StepId) -> Option<Span> {
        self.steps.get(step.0 as usize).copied()
    }
}
