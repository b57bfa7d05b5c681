//! A threshold on what no sample of the plan can carry.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{self, MetricRef};
use crate::near::{listed, nearest};
use crate::resolve::{Emitter, Family, TagValue, emitters, family};
use crate::resolved::{Gate, Reference, ResolvedPlan};
use crate::source::Span;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0401", name: "vacuous-threshold" },
    page: include_str!("vacuous-threshold.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let gates = plan.gates.iter().filter(|gate| !gate.reachable).map(reference);
    let unreachable = gates.chain(plan.references.iter().filter(|of| !of.reachable).cloned());
    let unreachable: Vec<Reference> = unreachable.collect();
    if plan.lost.steps || unreachable.is_empty() {
        return;
    }
    let emitters = emitters(plan);
    diagnostics.extend(unreachable.iter().map(|of| explain(of, &emitters)));
}

/// What a gate is on.
fn reference(gate: &Gate) -> Reference {
    let graph::Gate { metric, selector, aggregate, .. } = &gate.gate;
    Reference {
        number: MetricRef { metric: metric.clone(), selector: selector.clone(), aggregate: *aggregate },
        span: gate.span,
        metric_span: gate.metric_span,
        tag_spans: gate.tag_spans.clone(),
        reachable: gate.reachable,
        expected: None,
    }
}

fn explain(of: &Reference, emitters: &[Emitter]) -> Diagnostic {
    let metric = &of.number.metric;
    let family = family(metric);
    let sources: Vec<&Emitter> = emitters.iter().filter(|emitter| emitter.family == family).collect();
    if sources.is_empty() {
        return Diagnostic::error(
            LINT.code,
            of.metric_span,
            format!("nothing in this plan emits `{metric}`"),
        )
        .note(source_of(&family, metric));
    }
    for (tag, value) in &of.number.selector {
        let known: Vec<&TagValue> = sources.iter().filter_map(|source| source.tags.get(tag)).collect();
        if known.is_empty() {
            return no_such_tag(of, tag, &sources, emitters);
        }
        if known.iter().all(|known| !known.can_be(value)) {
            return no_such_value(of, (tag, value), &known, &sources);
        }
    }
    never_together(of, &sources)
}

fn spans(of: &Reference, tag: &str) -> (Span, Span) {
    of.tag_spans.get(tag).copied().unwrap_or((of.span, of.span))
}

fn no_such_tag(of: &Reference, tag: &str, sources: &[&Emitter], emitters: &[Emitter]) -> Diagnostic {
    let metric = &of.number.metric;
    let span = spans(of, tag).0;
    let mut diagnostic =
        Diagnostic::error(LINT.code, span, format!("no sample of `{metric}` carries the tag `{tag}`"));
    let tags: BTreeSet<&str> =
        sources.iter().flat_map(|source| source.tags.keys()).map(String::as_str).collect();
    if let Some(near) = nearest(tag, tags.iter().copied()) {
        return diagnostic.help(format!("did you mean `{near}`?")).suggest(span, near);
    }
    if let Some(other) = emitters.iter().find(|other| other.tags.contains_key(tag)) {
        diagnostic = diagnostic.note(format!("samples of {} carry `{tag}`", told(&other.family)));
    }
    match tags.is_empty() {
        true => diagnostic.note(format!("`{metric}` carries no tags")),
        false => diagnostic.note(format!("it carries {}", listed(tags, "and"))),
    }
}

fn no_such_value(
    of: &Reference,
    (tag, value): (&str, &str),
    known: &[&TagValue],
    sources: &[&Emitter],
) -> Diagnostic {
    let (tag_span, value_span) = spans(of, tag);
    let metric = &of.number.metric;
    let message = format!("no sample of `{metric}` can carry `{tag}:{value}`");
    let mut diagnostic = Diagnostic::error(LINT.code, value_span, message);
    for known in known {
        if let TagValue::Open { prefix, suffix } = known {
            let note = format!("`{tag}` is set from a template, and what it gives is `{prefix}…{suffix}`");
            if !diagnostic.notes.contains(&note) {
                diagnostic = diagnostic.note(note);
            }
        }
    }
    let values = values_of(known);
    // The right value under the wrong tag is nearer than any other value.
    let mut others = sources.iter().flat_map(|source| &source.tags);
    let under = others.find(|(other, values)| {
        *other != tag
            && !of.number.selector.contains_key(*other)
            && matches!(values, TagValue::Plan(_))
            && values.can_be(value)
    });
    if let Some((other, _)) = under {
        return diagnostic.help(format!("did you mean `{other}:{value}`?")).suggest(tag_span, other.as_str());
    }
    match nearest(value, values.iter().copied()) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")).suggest(value_span, near),
        None if values.is_empty() => diagnostic,
        None => diagnostic.note(format!("`{tag}` is {}", listed(values, "or"))),
    }
}

/// Every tag has its value somewhere, and no sample has them all: what each goes with is told.
fn never_together(of: &Reference, sources: &[&Emitter]) -> Diagnostic {
    let selector = &of.number.selector;
    let shown = pairs(selector);
    let message = format!(
        "no sample of `{}` carries {} together",
        of.number.metric,
        listed(shown.iter().map(String::as_str), "and")
    );
    let mut diagnostic = Diagnostic::error(LINT.code, of.metric_span, message);
    let mut nearest_whole: Option<(&String, BTreeSet<&str>)> = None;
    for tag in selector.keys() {
        let mut rest = selector.clone();
        rest.remove(tag);
        let fitting = sources.iter().filter(|source| source.matches(&rest));
        let known: Vec<&TagValue> = fitting.filter_map(|source| source.tags.get(tag)).collect();
        let values = values_of(&known);
        if values.is_empty() {
            continue;
        }
        let with = pairs(&rest);
        let with = listed(with.iter().map(String::as_str), "and");
        diagnostic =
            diagnostic.note(format!("with {with}, `{tag}` is {}", listed(values.iter().copied(), "or")));
        if nearest_whole.as_ref().is_none_or(|(_, fewest)| values.len() < fewest.len()) {
            nearest_whole = Some((tag, values));
        }
    }
    // One tag with one way to be right is what can be proposed.
    if let Some((tag, values)) = nearest_whole
        && let (Some(value), 1) = (values.first(), values.len())
    {
        let mut meant = selector.clone();
        meant.insert(tag.clone(), (*value).to_string());
        let meant = format!("{}{{{}}}", of.number.metric, pairs(&meant).join(","));
        let unambiguous = diagnostic.notes.len() == 1;
        diagnostic = diagnostic.help(format!("the nearest that can be is `{meant}`"));
        if unambiguous {
            diagnostic = diagnostic.suggest(spans(of, tag).1, *value);
        }
    }
    diagnostic
}

fn pairs(selector: &BTreeMap<String, String>) -> Vec<String> {
    selector.iter().map(|(tag, value)| format!("{tag}:{value}")).collect()
}

fn values_of<'a>(known: &[&'a TagValue]) -> BTreeSet<&'a str> {
    let mut out = BTreeSet::new();
    for known in known {
        match known {
            TagValue::Plan(values) => out.extend(values.iter().map(String::as_str)),
            TagValue::Engine(values) => out.extend(values.iter().copied()),
            TagValue::Status | TagValue::Open { .. } => {}
        }
    }
    out
}

/// What a family is called among people.
fn told(family: &Family) -> String {
    match family {
        Family::Http => "HTTP requests".into(),
        Family::Checks => "`checks`".into(),
        Family::Iterations => "`iterations`".into(),
        Family::Dropped => "`dropped_iterations`".into(),
        Family::Group => "`group_duration`".into(),
        Family::Data => "`data_sent` and `data_received`".into(),
        Family::Run => "`vus`".into(),
        Family::Session => "WebSocket sessions".into(),
        Family::Sent | Family::Received => "messages over WebSockets".into(),
        Family::Receive => "`receive`".into(),
        Family::Ping => "`ping`".into(),
        Family::Custom(metric) => format!("`{metric}`"),
    }
}

fn source_of(family: &Family, metric: &str) -> String {
    match family {
        Family::Http | Family::Checks => "no scenario has an HTTP step".into(),
        Family::Group => "no step is in a group".into(),
        Family::Dropped => "only executors with a fixed rate or number of iterations can drop any".into(),
        Family::Session | Family::Received => "no step is a `websocket`".into(),
        Family::Sent => "no step is a `send` over a `websocket`".into(),
        Family::Receive => "no step is a `receive` over a `websocket`".into(),
        Family::Ping => "no step is a `ping` over a `websocket`".into(),
        Family::Custom(_) => format!("no step has `record: {{ {metric}: … }}`"),
        Family::Iterations | Family::Data | Family::Run => "this plan has no scenario".into(),
    }
}
