//! A gate that nothing the target does can fail.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{self, Aggregate, Bound, Comparison, Expected, JsonTemplate, Matcher, Segment, Template};
use crate::resolve::is_latency;
use crate::resolved::{Gate, ResolvedPlan, SqlGate, blind, decides};
use crate::source::Span;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0416", name: "tautology" }, page: include_str!("tautology.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for gate in plan.gates.iter().filter(|gate| gate.reachable) {
        diagnostics.extend(explain(gate));
    }
    for gate in &plan.sql_gates {
        diagnostics.extend(in_sql(gate));
    }
}

/// A statement of which any answer at all will do.
fn in_sql(gate: &SqlGate) -> Option<Diagnostic> {
    let one_row = is_one_row(&gate.gate.statement);
    let zero =
        |value: &JsonTemplate| matches!(value, JsonTemplate::Const(value) if value.as_f64() == Some(0.0));
    let least = |value: &JsonTemplate, least: f64| matches!(value, JsonTemplate::Const(value) if value.as_f64().is_some_and(|number| number <= least));
    let always = |expectation: &graph::Expectation| match &expectation.what {
        Expected::Rows(Matcher::Equals(value)) => one_row && least(value, 1.0) && !zero(value),
        Expected::Rows(Matcher::Ge(value)) => least(value, if one_row { 1.0 } else { 0.0 }),
        Expected::Rows(Matcher::Present | Matcher::Type(_)) => true,
        Expected::Value(Matcher::Present) => one_row,
        Expected::Value(Matcher::Ge(value)) => {
            is_count(&gate.gate.statement) && least(value, 0.0) && !gate.gate.increase
        }
        _ => false,
    };
    if gate.gate.expect.is_empty() || !gate.gate.expect.iter().all(always) {
        return None;
    }
    let message = format!("`{}` always holds, so this gate cannot fail", gate.gate.condition());
    let diagnostic = Diagnostic::error(LINT.code, gate.span, message);
    Some(match one_row {
        true => diagnostic
            .note("an aggregate without `group by` gives one row, whatever it counts")
            .help("look at what it gives: `expect: { value: 0 }`"),
        false => diagnostic.help("write how many rows there must be: `expect: { rows: 0 }`"),
    })
}

/// The text of a statement that selects one aggregate of everything; it then gives one row, on an empty table too.
fn aggregate_of(statement: &Template) -> Option<String> {
    let Some(Segment::Literal(first)) = statement.segments.first() else { return None };
    let all: String = statement
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => text.as_str(),
            Segment::Slot(_) => " ",
        })
        .collect();
    let all = all.to_ascii_lowercase();
    let called = first.trim_start().to_ascii_lowercase();
    let called = called.strip_prefix("select")?.trim_start().to_string();
    // Any of these may make it several rows, or none.
    const SPREADING: [&str; 9] =
        ["group", "having", "union", "intersect", "except", "over", "limit", "offset", "fetch"];
    let mut words = all.split(|c: char| !c.is_alphanumeric());
    (!words.any(|word| SPREADING.contains(&word))).then_some(called)
}

fn is_one_row(statement: &Template) -> bool {
    let aggregates = ["count", "sum", "min", "max", "avg", "bool_and", "bool_or", "every"];
    aggregate_of(statement).is_some_and(|called| {
        aggregates
            .iter()
            .any(|name| called.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('(')))
    })
}

fn is_count(statement: &Template) -> bool {
    let plain = |called: String| {
        called.strip_prefix("count").is_some_and(|rest| {
            let rest = rest.trim_start();
            // `count(*) - 5` may be under 0.
            rest.starts_with('(')
                && rest.split_once(')').is_some_and(|(_, after)| after.trim_start().starts_with("from"))
        })
    };
    aggregate_of(statement).is_some_and(plain)
}

fn explain(gate: &Gate) -> Option<Diagnostic> {
    selected_away(gate).or_else(|| always(gate)).or_else(|| nearly_always(gate)).or_else(|| inverted(gate))
}

/// Whether this lint has something to say of a gate, so that others need not.
pub(super) fn tells(gate: &Gate) -> bool {
    explain(gate).is_some()
}

fn selected_away(gate: &Gate) -> Option<Diagnostic> {
    let (tag, value) = blind(&gate.gate)?;
    let span =
        gate.tag_spans.get(tag).map_or(gate.metric_span, |(tag, value)| Span { end: value.end, ..*tag });
    let metric = &gate.gate.metric;
    let message = format!("`{metric}{{{tag}:{value}}}` counts failures among what did not fail");
    Some(
        Diagnostic::error(LINT.code, span, message)
            .label("this leaves out every failure, so the gate cannot fail")
            .help(format!("select without `{tag}:{value}`")),
    )
}

fn always(gate: &Gate) -> Option<Diagnostic> {
    let graph::Gate { metric, aggregate, op, bound, text, .. } = &gate.gate;
    let why = match (op, bound) {
        (Comparison::Le, Bound::Share(share)) if share.0 == 1_000_000 => "a rate is never over 100%",
        (Comparison::Ge, Bound::Share(share)) if share.0 == 0 => "a rate is never under 0%",
        (Comparison::Ge, Bound::Number(number)) if counts(gate) && number.0 <= 0 => {
            "a count is never under 0"
        }
        (Comparison::Gt, Bound::Number(number)) if counts(gate) && number.0 < 0 => "a count is never under 0",
        (Comparison::Ge, Bound::Duration(bound)) if bound.is_zero() => "no time is under 0",
        (Comparison::Gt, Bound::Duration(bound))
            if bound.is_zero() && *aggregate != Aggregate::Min && takes_time(metric) =>
        {
            "all that is measured takes some time"
        }
        _ => return None,
    };
    let diagnostic =
        Diagnostic::error(LINT.code, gate.span, format!("`{text}` always holds, so this gate cannot fail"))
            .note(why);
    Some(match example(metric, *bound) {
        Some(example) => diagnostic.help(format!("write a bound that can be missed, such as `{example}`")),
        None => diagnostic.help("write a bound that can be missed, or remove the gate"),
    })
}

/// Whether every sample of a metric is above 0: a kept connection takes no time to open.
fn takes_time(metric: &str) -> bool {
    matches!(metric, "http_req_duration" | "http_req_service_time" | "http_req_waiting" | "ws_connecting")
}

fn counts(gate: &Gate) -> bool {
    matches!(gate.gate.aggregate, Aggregate::Count | Aggregate::Rate)
}

fn example(metric: &str, bound: Bound) -> Option<&'static str> {
    match bound {
        _ if is_latency(metric) => Some("p(95) < 500ms"),
        Bound::Share(_) if is_error_rate(metric) => Some("rate < 1%"),
        Bound::Share(_) => Some("rate > 99%"),
        _ => None,
    }
}

fn is_error_rate(metric: &str) -> bool {
    matches!(metric, "http_req_failed" | "http_server_errors" | "http_rate_limited" | "ws_failed")
}

/// A ceiling on the share of checks that hold: green while they fail. Of one check alone it may be meant.
fn inverted(gate: &Gate) -> Option<Diagnostic> {
    let graph = &gate.gate;
    let Bound::Share(share) = graph.bound else { return None };
    let below = matches!(graph.op, Comparison::Lt | Comparison::Le) && share.as_f64() >= 0.5;
    if graph.metric != "checks" || !below || !decides(graph) || graph.selector.contains_key("check") {
        return None;
    }
    let message =
        format!("`{}` of `checks` holds while checks fail, and breaks once they all hold", graph.text);
    Some(
        Diagnostic::warning(LINT.code, gate.span, message)
            .note("`checks` is the share of expectations that hold")
            .help(format!(
                "write `rate > {}`",
                if share.0 < 1_000_000 { share.to_string() } else { "99%".into() }
            )),
    )
}

fn nearly_always(gate: &Gate) -> Option<Diagnostic> {
    let all = gate.gate.bound == Bound::Share(crate::units::PartsPerMillion(1_000_000));
    let hit = all && gate.gate.op == Comparison::Lt && is_error_rate(&gate.gate.metric);
    hit.then(|| {
        let message = "this gate fails only when every single request does";
        Diagnostic::warning(LINT.code, gate.span, message)
            .help("write the share that is bearable: `rate < 1%`")
    })
}
