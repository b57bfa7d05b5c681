//! A gate that nothing the target does can fail.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{self, Aggregate, Bound, Comparison};
use crate::resolve::is_latency;
use crate::resolved::{Gate, ResolvedPlan, blind, decides};
use crate::source::Span;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0416", name: "tautology" }, page: include_str!("tautology.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for gate in plan.gates.iter().filter(|gate| gate.reachable) {
        diagnostics.extend(explain(gate));
    }
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
    matches!(metric, "http_req_duration" | "http_req_service_time" | "http_req_waiting")
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
    matches!(metric, "http_req_failed" | "http_server_errors" | "http_rate_limited")
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
