//! Gates in SQL: names looked up, and the metrics that they read held against what the load can emit.

use super::Resolver;
use super::emits::{Emitter, emitters};
use super::index::Index;
use super::metrics;
use super::scope::Shape;
use crate::ast::{self, ExpectWhat, InputType};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::expr::{Function, METRIC};
use crate::graph::{
    self, Aggregate, Expected, GateLevel, JsonTemplate, Matcher, MetricKind, MetricRef, ReadMetric,
};
use crate::resolved::{InputValue, ResolvedPlan, SqlGate};
use std::collections::{BTreeMap, BTreeSet};

/// Fills in the plan's SQL gates, in the order of their names.
pub(crate) fn resolve(plan: &ast::Plan, resolved: &mut ResolvedPlan, diagnostics: &mut Diagnostics) {
    if plan.sql_gates.is_empty() {
        return;
    }
    let emitters = emitters(resolved);
    let index = Index::new(&emitters);
    for written in &plan.sql_gates {
        let inputs = std::mem::take(&mut resolved.inputs);
        let mut resolver = Resolver::new(plan, inputs, diagnostics);
        resolver.at.place = format!("thresholds.{}", written.name.value);
        let gate = resolver.sql_gate(written, &index);
        let Resolver { inputs, used, references, .. } = resolver;
        resolved.inputs = inputs;
        resolved.used.inputs.extend(used.inputs);
        resolved.used.metrics.extend(used.metrics);
        resolved.used.hangs.extend(used.hangs);
        resolved.used.told.extend(used.told);
        resolved.references.extend(references.into_iter().map(|mut reference| {
            reference.reachable = !sources(&reference.number, &index).is_empty();
            reference
        }));
        resolved.origins.insert(format!("thresholds.{}", written.name.value), written.name.span);
        resolved.lost.thresholds |= gate.is_none();
        resolved.sql_gates.extend(gate.map(|gate| SqlGate { gate, span: written.name.span }));
    }
}

fn sources<'e>(number: &MetricRef, index: &Index<'e>) -> Vec<&'e Emitter> {
    index.sources(&metrics::family(&number.metric), &number.selector)
}

impl Resolver<'_> {
    fn sql_gate(&mut self, written: &ast::SqlGate, index: &Index<'_>) -> Option<graph::SqlGate> {
        let world = self.world_scope().plain(["run_id"]);
        let statement = written.statement.as_ref().map(|text| self.part("sql", |it| it.text(text, &world)));
        // What is expected is looked at again whenever the evidence is judged: nothing of that moment may be in it.
        let scope = self.inputs_scope().plain(["run_id"]).with(METRIC, Shape::Any);
        let before = self.diagnostics.len();
        let expect = self.expectations(&written.expect, &scope);
        if self.diagnostics.len() == before {
            written.expect.iter().for_each(|one| self.lasts(one));
        }
        let sound = self.diagnostics.len() == before && !written.expect.is_empty();
        let increase = self.typed_or(written.increase.as_ref(), false);
        let rows = expect.iter().any(|one| matches!(one.what, Expected::Rows(_)));
        if let (true, true, Some(span)) = (increase, rows, written.increase.as_ref().map(ast::Typed::span)) {
            let message = "`increase` is of the value, and `rows` looks at no value";
            self.diagnostics.push(
                Diagnostic::error(codes::CONFLICTING_KEYS, span, message)
                    .help("count in the statement: `sql: select count(*) …`, `expect: { value: … }`"),
            );
            return None;
        }
        let within = written.within.as_ref().and_then(|within| self.typed(within));
        let mut metrics = BTreeMap::new();
        for (text, reference) in &written.metrics {
            let (mut of, kind) = self.metric_ref(reference.as_ref()?)?;
            // What was written is compared with what was counted, not with how fast.
            if kind == MetricKind::Counter && reference.as_ref()?.aggregate.is_none() {
                of.aggregate = Aggregate::Count;
            }
            let steps: BTreeSet<_> = sources(&of, index).iter().filter_map(|source| source.step).collect();
            metrics.insert(text.clone(), ReadMetric { of, steps: steps.into_iter().collect() });
        }
        let gate = graph::SqlGate {
            name: written.name.value.clone(),
            statement: statement?,
            expect,
            increase,
            within,
            level: written.level.map_or(GateLevel::Required, |level| level.value),
            metrics,
        };
        sound.then_some(gate)
    }

    /// Refuses what only the moment of the run knows.
    fn lasts(&mut self, expect: &ast::Expect) {
        let ExpectWhat::Plain(parsed) = &expect.what else { return };
        for name_use in &parsed.uses {
            let [root, name, ..] = name_use.path.as_slice() else { continue };
            let Some(input) = self.inputs.get(name).filter(|_| root == "inputs") else { continue };
            if let InputValue::Open { missing, .. } = input.value {
                // A secret is not in the evidence, whether it has a value or not.
                let missing = missing && input.kind != Some(InputType::Secret);
                self.open_value(name, name_use.span, missing, "what a gate expects");
            }
        }
        let (Expected::Rows(matcher) | Expected::Value(matcher)) = &parsed.value else { return };
        let mut passing = false;
        templates(matcher, &mut |template| {
            template.calls(&mut |function| passing |= function != Function::Range);
        });
        if let (true, Some(place)) = (passing, self.plan.sql_gates.iter().find(|gate| holds(gate, expect))) {
            let message = "what a gate expects must be the same whenever it is judged";
            let help = "compute it in the statement: only `metric(…)`, inputs and `run_id` last";
            self.diagnostics.push(Diagnostic::error(codes::OPEN_VALUE, place.name.span, message).help(help));
        }
    }
}

fn holds(gate: &ast::SqlGate, expect: &ast::Expect) -> bool {
    gate.expect.iter().any(|own| std::ptr::eq(own, expect))
}

/// Calls `see` with every value that a matcher compares with.
pub(crate) fn templates(matcher: &Matcher, see: &mut dyn FnMut(&JsonTemplate)) {
    match matcher {
        Matcher::Equals(value)
        | Matcher::Contains(value)
        | Matcher::ContainsAll(value)
        | Matcher::Gt(value)
        | Matcher::Ge(value)
        | Matcher::Lt(value)
        | Matcher::Le(value) => see(value),
        Matcher::OneOf(values) => values.iter().for_each(see),
        Matcher::Length(inner) => templates(inner, see),
        Matcher::All(all) => all.iter().for_each(|one| templates(one, see)),
        Matcher::Present | Matcher::Absent | Matcher::Matches(_) | Matcher::Type(_) => {}
    }
}
