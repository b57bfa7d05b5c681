//! What two conditions say about each other: which of two aggregates is never above the other, and where bounds lie.

use crate::graph::{Aggregate, Bound, Comparison, Gate};
use crate::resolved::{self, ResolvedPlan};
use std::collections::BTreeMap;

/// One end of what a condition lets through, in the smallest unit of its metric.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) value: i128,
    /// The value itself is not let through.
    pub(super) strict: bool,
}

/// What the aggregate must be under.
pub(super) fn ceiling(gate: &Gate) -> Option<End> {
    let strict = gate.op == Comparison::Lt;
    matches!(gate.op, Comparison::Lt | Comparison::Le | Comparison::Eq)
        .then(|| End { value: value(gate), strict })
}

/// What the aggregate must be over.
pub(super) fn floor(gate: &Gate) -> Option<End> {
    let strict = gate.op == Comparison::Gt;
    matches!(gate.op, Comparison::Gt | Comparison::Ge | Comparison::Eq)
        .then(|| End { value: value(gate), strict })
}

fn value(gate: &Gate) -> i128 {
    match gate.bound {
        Bound::Duration(bound) => i128::try_from(bound.as_nanos()).unwrap_or(i128::MAX),
        Bound::Share(share) => i128::from(share.0),
        Bound::Number(number) => i128::from(number.0),
    }
}

/// Whether one gate's value is at most the other's in every run.
pub(super) fn never_above(plan: &ResolvedPlan, low: &Gate, high: &Gate) -> bool {
    // Of different parts of the load neither says anything of the other.
    if low.metric != high.metric || low.over != high.over {
        return false;
    }
    let ordered = match (rank(low.aggregate), rank(high.aggregate)) {
        (Some(low), Some(high)) => low <= high,
        _ => {
            low.aggregate == high.aggregate
                || low.aggregate == Aggregate::Min
                || high.aggregate == Aggregate::Max
        }
    };
    if low.selector == high.selector {
        return ordered && is_sum(low.aggregate) == is_sum(high.aggregate);
    }
    // Samples of a smoke scenario are in gates of its own alone, and a custom metric may count downwards.
    if plan.metrics.contains_key(&low.metric) || plan.scenarios.iter().any(|scenario| scenario.scenario.smoke)
    {
        return false;
    }
    match (low.aggregate, high.aggregate) {
        (Aggregate::Count, Aggregate::Count) => within(&low.selector, &high.selector),
        (Aggregate::Count | Aggregate::Rate | Aggregate::Value, _) => false,
        (_, Aggregate::Max) => within(&low.selector, &high.selector),
        (Aggregate::Min, Aggregate::Percentile(_) | Aggregate::Med | Aggregate::Avg | Aggregate::Min) => {
            within(&high.selector, &low.selector)
        }
        _ => false,
    }
}

/// A tag that a gate selects, and its value.
type Tag<'a> = Option<(&'a str, &'a str)>;

/// For each gate the places of those, itself among them, on the same metric whose samples are a part of its own, or its
/// own a part of theirs: no others can say anything about it.
pub(super) fn related(gates: &[&resolved::Gate]) -> Vec<Vec<usize>> {
    // By the first tag that a gate selects: one whose samples hold another's selects no tag that the other does not.
    let mut places: BTreeMap<(&str, Tag<'_>), Vec<usize>> = BTreeMap::new();
    for (at, gate) in gates.iter().enumerate() {
        let first = gate.gate.selector.iter().next().map(|(tag, value)| (tag.as_str(), value.as_str()));
        places.entry((&gate.gate.metric, first)).or_default().push(at);
    }
    let mut out = vec![Vec::new(); gates.len()];
    for (at, gate) in gates.iter().enumerate() {
        let tags = gate.gate.selector.iter().map(|(tag, value)| Some((tag.as_str(), value.as_str())));
        let found = tags.chain([None]).filter_map(|tag| places.get(&(gate.gate.metric.as_str(), tag)));
        for other in found.flatten().copied() {
            if within(&gate.gate.selector, &gates[other].gate.selector) {
                out[at].push(other);
                out[other].push(at);
            }
        }
    }
    for places in &mut out {
        places.sort_unstable();
        places.dedup();
    }
    out
}

/// Why one is never above the other, where that is not plain to see.
pub(super) fn reason(low: &Gate, high: &Gate) -> Option<String> {
    let (of_low, of_high) = (aggregate(low), aggregate(high));
    match (low.aggregate == high.aggregate, low.selector == high.selector) {
        (true, true) => None,
        (_, true) => Some(format!("`{of_low}` is never above `{of_high}` of the same samples")),
        _ if within(&low.selector, &high.selector) => {
            Some(format!("every sample of `{}` is one of `{}`", low.subject(), high.subject()))
        }
        _ => Some(format!("every sample of `{}` is one of `{}`", high.subject(), low.subject())),
    }
}

/// Whether every sample under the first selector is one under the second.
pub(super) fn within(inner: &BTreeMap<String, String>, outer: &BTreeMap<String, String>) -> bool {
    outer.iter().all(|(tag, value)| inner.get(tag) == Some(value))
}

/// `p(95)` of `p(95) < 500ms`.
fn aggregate(gate: &Gate) -> &str {
    gate.text.split(' ').next().unwrap_or(&gate.text)
}

fn is_sum(aggregate: Aggregate) -> bool {
    matches!(aggregate, Aggregate::Count | Aggregate::Rate | Aggregate::Value)
}

/// Place of an aggregate among the sorted samples.
fn rank(aggregate: Aggregate) -> Option<i64> {
    match aggregate {
        Aggregate::Min => Some(0),
        Aggregate::Percentile(percent) => Some(percent.0),
        Aggregate::Med => Some(50_000_000),
        Aggregate::Max => Some(100_000_000),
        Aggregate::Avg | Aggregate::Rate | Aggregate::Count | Aggregate::Value => None,
    }
}
