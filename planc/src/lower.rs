//! From a sound [`ResolvedPlan`] to the graph. Cannot fail: all that could be wrong was found before.

use crate::graph::{ExecutionGraph, SCHEMA};
use crate::resolved::{InputValue, ResolvedPlan};
use std::collections::BTreeMap;

/// Keeps what a run needs and drops what only a reader of the plan needs.
pub(crate) fn lower(plan: ResolvedPlan) -> ExecutionGraph {
    let mut inputs = BTreeMap::new();
    let mut open_inputs = BTreeMap::new();
    for (name, input) in plan.inputs {
        match input.value {
            InputValue::Closed(value) => {
                inputs.insert(name, value);
            }
            InputValue::Open { open, .. } => {
                open_inputs.insert(name, open);
            }
            InputValue::Broken => {}
        }
    }
    let template = plan.database.as_ref().is_some_and(|database| database.template);
    let pool = plan.database.as_ref().and_then(|database| database.pool).map(|(pool, _)| pool);
    ExecutionGraph {
        schema: SCHEMA,
        plan: plan.name,
        about: plan.about,
        profile: plan.profile,
        seed: plan.seed,
        inputs,
        open_inputs,
        target: plan.target.map(|target| target.target),
        database: plan.database.map(|database| database.url),
        pool,
        template,
        guards: plan.guards.into_iter().map(|guard| guard.check).collect(),
        services: plan.services,
        fixtures: plan.fixtures.into_iter().map(|fixture| fixture.fixture).collect(),
        tokens: plan.tokens.into_iter().map(|(name, token)| (name, token.token)).collect(),
        preflight: plan.preflight.into_iter().map(|check| check.check).collect(),
        metrics: plan.metrics,
        scrapes: plan.scrapes,
        setup: plan.setup,
        teardown: plan.teardown,
        teardown_commands: plan.teardown_commands.into_iter().map(|c| c.check).collect(),
        scenarios: plan.scenarios.into_iter().map(|scenario| scenario.scenario).collect(),
        gates: plan.gates.into_iter().map(|gate| gate.gate).collect(),
        sql_gates: plan.sql_gates.into_iter().map(|gate| gate.gate).collect(),
        triage: plan.triage,
        health: plan.health,
        report: plan.report,
        when_to_run: plan.when_to_run,
        history: plan.history,
    }
}
