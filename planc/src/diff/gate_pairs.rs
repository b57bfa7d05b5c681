//! Which new gate is which old one: the same, the one with another bound, the one with another percentile, the one with
//! another selector, in that order and only where there is one way to pair them.

use super::gates::Numbered;
use super::pairs::Pairs;
use super::sight::related;
use super::strength::{Side, position, scale, side};
use crate::graph::{Aggregate, Gate, GateLevel};
use std::collections::BTreeMap;

/// Gates with their numbers.
pub(super) struct GatePairs<'a> {
    pub(super) both: Vec<(Numbered<'a>, Numbered<'a>)>,
    pub(super) removed: Vec<Numbered<'a>>,
    pub(super) added: Vec<Numbered<'a>>,
}

/// What makes two gates one, from strict to loose.
type Key = (String, BTreeMap<String, String>, String);

pub(super) fn pair_gates<'a>(pairs: &Pairs<'a>) -> GatePairs<'a> {
    let mut out = GatePairs {
        both: Vec::new(),
        removed: pairs.old.graph.gates.iter().enumerate().collect(),
        added: pairs.new.graph.gates.iter().enumerate().collect(),
    };
    let old_key = |gate: &Gate, rest: String| (gate.metric.clone(), followed(pairs, gate), rest);
    let new_key = |gate: &Gate, rest: String| (gate.metric.clone(), gate.selector.clone(), rest);
    let whole = |gate: &Gate| {
        let decision = (gate.level == GateLevel::Required, gate.abort_on_fail, gate.confident);
        format!("{} {:?} {}", gate.condition(), decision, gate.min_samples)
    };
    let keys: [&dyn Fn(&Gate) -> String; 4] =
        [&whole, &Gate::condition, &|gate| format!("{:?} {:?}", gate.aggregate, side(gate.op)), &|gate| {
            format!("{:?} {:?}", family(gate.aggregate), side(gate.op))
        }];
    for (at, key) in keys.into_iter().enumerate() {
        // Another percentile is taken for the same gate only where it is the only one.
        let single = at == keys.len() - 1;
        by_key(&mut out, &|gate| old_key(gate, key(gate)), &|gate| new_key(gate, key(gate)), single);
    }
    by_selector(pairs, &mut out);
    out
}

/// The selector that an old gate would have, had it followed the new names.
pub(super) fn followed(pairs: &Pairs<'_>, gate: &Gate) -> BTreeMap<String, String> {
    let mut selector = gate.selector.clone();
    if let Some(name) = selector.get_mut("scenario")
        && let Some(new) = pairs.renamed(name)
    {
        *name = new.to_string();
    }
    selector
}

/// Percentiles, the median and the largest look at one distribution.
fn family(aggregate: Aggregate) -> Option<Aggregate> {
    position(aggregate).is_none().then_some(aggregate)
}

fn by_key(out: &mut GatePairs<'_>, old: &dyn Fn(&Gate) -> Key, new: &dyn Fn(&Gate) -> Key, single: bool) {
    let mut groups: BTreeMap<Key, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (at, (_, gate)) in out.removed.iter().enumerate() {
        groups.entry(old(gate)).or_default().0.push(at);
    }
    for (at, (_, gate)) in out.added.iter().enumerate() {
        if let Some(group) = groups.get_mut(&new(gate)) {
            group.1.push(at);
        }
    }
    let mut taken = Vec::new();
    for (mut gone, mut come) in groups.into_values() {
        if single && (gone.len() != 1 || come.len() != 1) {
            continue;
        }
        // Several bounds on one aggregate: required ones first, the tightest with the tightest.
        let rank = |gate: &Gate| {
            let bound = scale(gate.bound).map_or(0, |bound| bound.1);
            (gate.level != GateLevel::Required, if side(gate.op) == Side::Lower { -bound } else { bound })
        };
        gone.sort_by_key(|at| rank(out.removed[*at].1));
        come.sort_by_key(|at| rank(out.added[*at].1));
        taken.extend(gone.into_iter().zip(come));
    }
    settle(out, &taken);
}

/// Gates whose selector changed: each the only one that the other can be.
fn by_selector(pairs: &Pairs<'_>, out: &mut GatePairs<'_>) {
    let fits = |old: Numbered<'_>, new: Numbered<'_>| {
        old.1.metric == new.1.metric
            && side(old.1.op) == side(new.1.op)
            && family(old.1.aggregate) == family(new.1.aggregate)
            && related(pairs, old.1, new.1)
    };
    let same_aggregate =
        |old: Numbered<'_>, new: Numbered<'_>| fits(old, new) && old.1.aggregate == new.1.aggregate;
    for one_aggregate in [true, false] {
        let fits = |old: Numbered<'_>, new: Numbered<'_>| match one_aggregate {
            true => same_aggregate(old, new),
            false => fits(old, new),
        };
        let mut taken = Vec::new();
        for (at, old) in out.removed.iter().enumerate() {
            let news: Vec<usize> = (0..out.added.len()).filter(|to| fits(*old, out.added[*to])).collect();
            let [to] = news.as_slice() else { continue };
            if out.removed.iter().filter(|other| fits(**other, out.added[*to])).count() == 1 {
                taken.push((at, *to));
            }
        }
        settle(out, &taken);
    }
}

fn settle(out: &mut GatePairs<'_>, taken: &[(usize, usize)]) {
    out.both.extend(taken.iter().map(|(at, to)| (out.removed[*at], out.added[*to])));
    let mut at = 0;
    out.removed.retain(|_| {
        at += 1;
        !taken.iter().any(|pair| pair.0 == at - 1)
    });
    let mut at = 0;
    out.added.retain(|_| {
        at += 1;
        !taken.iter().any(|pair| pair.1 == at - 1)
    });
}
