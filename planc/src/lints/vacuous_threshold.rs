//! A threshold on what no sample of the plan can carry.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::near::{listed, nearest};
use crate::resolve::{Emitter, Family, TagValue, emitters, family};
use crate::resolved::{Gate, ResolvedPlan};
use std::collections::BTreeSet;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0401", name: "vacuous-threshold" },
    page: include_str!("vacuous-threshold.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    if plan.lost.steps || plan.gates.iter().all(|gate| gate.reachable) {
        return;
    }
    let emitters = emitters(plan);
    for gate in plan.gates.iter().filter(|gate| !gate.reachable) {
        diagnostics.push(explain(gate, &emitters));
    }
}

fn explain(gate: &Gate, emitters: &[Emitter]) -> Diagnostic {
    let metric = &gate.gate.metric;
    let family = family(metric);
    let sources: Vec<&Emitter> = emitters.iter().filter(|emitter| emitter.family == family).collect();
    if sources.is_empty() {
        return Diagnostic::error(
            LINT.code,
            gate.metric_span,
            format!("nothing in this plan emits `{metric}`"),
        )
        .note(source_of(&family, metric));
    }
    for (tag, value) in &gate.gate.selector {
        let (tag_span, value_span) = gate.tag_spans.get(tag).copied().unwrap_or((gate.span, gate.span));
        let known: Vec<&TagValue> = sources.iter().filter_map(|source| source.tags.get(tag)).collect();
        if known.is_empty() {
            let message = format!("no sample of `{metric}` carries the tag `{tag}`");
            let diagnostic = Diagnostic::error(LINT.code, tag_span, message);
            let tags: BTreeSet<&str> =
                sources.iter().flat_map(|source| source.tags.keys()).map(String::as_str).collect();
            return match nearest(tag, tags.iter().copied()) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")).suggest(tag_span, near),
                None if tags.is_empty() => diagnostic.note(format!("`{metric}` carries no tags")),
                None => diagnostic.note(format!("it carries {}", listed(tags, "and"))),
            };
        }
        if known.iter().all(|known| !known.can_be(value)) {
            let message = format!("no sample of `{metric}` can carry `{tag}:{value}`");
            let diagnostic = Diagnostic::error(LINT.code, value_span, message);
            let values = values_of(&known);
            return match nearest(value, values.iter().copied()) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")).suggest(value_span, near),
                None if values.is_empty() => diagnostic,
                None => diagnostic.note(format!("`{tag}` is {}", listed(values, "or"))),
            };
        }
    }
    let shown: Vec<String> = gate.gate.selector.iter().map(|(tag, value)| format!("{tag}:{value}")).collect();
    let message = format!(
        "no sample of `{metric}` carries {} together",
        listed(shown.iter().map(String::as_str), "and")
    );
    Diagnostic::error(LINT.code, gate.metric_span, message)
}

fn values_of<'a>(known: &[&'a TagValue]) -> BTreeSet<&'a str> {
    let mut out = BTreeSet::new();
    for known in known {
        match known {
            TagValue::Plan(values) => out.extend(values.iter().map(String::as_str)),
            TagValue::Engine(values) => out.extend(values.iter().copied()),
            TagValue::Status | TagValue::Open => {}
        }
    }
    out
}

fn source_of(family: &Family, metric: &str) -> String {
    match family {
        Family::Http | Family::Checks => "no scenario has an HTTP step".into(),
        Family::Group => "no step is in a group".into(),
        Family::Dropped => "only executors with a fixed rate or number of iterations can drop any".into(),
        Family::WebSocket => "no step is a WebSocket".into(),
        Family::Custom(_) => format!("no step has `record: {{ {metric}: … }}`"),
        Family::Iterations | Family::Data | Family::Run => "this plan has no scenario".into(),
    }
}
