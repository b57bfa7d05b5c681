//! Gates: which went, which let more through, which see something else.

use super::change::{Change, quoted, some_of};
use super::codes;
use super::gate_pairs::{GatePairs, pair_gates};
use super::outside;
use super::pairs::Pairs;
use super::sight;
use super::strength::{implies, position, scale};
use crate::graph::{Aggregate, Bound, Gate, GateLevel, Over};
use crate::lints::thousands;
use crate::units::count;
use crate::units::{PartsPerMillion, show_duration};
use std::collections::BTreeSet;

/// A gate and its number in its graph.
pub(super) type Numbered<'a> = (usize, &'a Gate);

pub(super) fn compare(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    let GatePairs { both, removed, added } = pair_gates(pairs);
    for (old, new) in &both {
        sight::compare(pairs, *old, *new, out);
        one(pairs, *old, *new, out);
        vacuous(pairs, *old, *new, out);
        outside::gate(pairs, *old, *new, out);
    }
    let gone = pairs.gone();
    for (_, old) in removed {
        // What nobody emits any more cannot be judged: told with the step or the scenario that went.
        let orphan = !old.steps.is_empty() && old.steps.iter().all(|step| gone.contains(step));
        let orphan = orphan || old.selector.get("scenario").is_some_and(|name| lost_scenario(pairs, name));
        if !orphan {
            out.push(removal(pairs, old));
        }
    }
    for (at, new) in added {
        let subject = subject(new);
        let change = match new.level {
            GateLevel::Required => Change::stronger(subject, format!("{} is new", quoted(&new.condition()))),
            GateLevel::Advisory => {
                Change::neutral(subject, format!("{} is new and advisory", quoted(&new.condition())))
            }
        };
        out.push(change.at(pairs.new.gate_span(at)));
    }
    health(pairs, out);
}

fn lost_scenario(pairs: &Pairs<'_>, name: &str) -> bool {
    pairs.scenarios.removed.iter().any(|scenario| scenario.name == name)
}

/// `` gate `http_reqs{name:a}` ``.
pub(super) fn subject(gate: &Gate) -> String {
    format!("gate {}", quoted(&gate.subject()))
}

fn removal(pairs: &Pairs<'_>, old: &Gate) -> Change {
    let text = quoted(&old.condition());
    if old.level == GateLevel::Advisory {
        return Change::neutral(subject(old), format!("{text} is gone; it was advisory"));
    }
    let required = || pairs.new.graph.gates.iter().filter(|gate| gate.level == GateLevel::Required);
    let same_samples = |gate: &&Gate| gate.metric == old.metric && gate.selector == old.selector;
    if let Some(other) =
        required().filter(same_samples).find(|gate| gate.over == old.over && implies(gate, old))
    {
        return Change::neutral(
            subject(old),
            format!("{text} is gone; {} says as much", quoted(&other.condition())),
        );
    }
    let steps: BTreeSet<_> = old.steps.iter().filter_map(|step| pairs.steps.get(step)).copied().collect();
    let judged: BTreeSet<_> =
        required().filter(|gate| gate.metric == old.metric).flat_map(|gate| &gate.steps).copied().collect();
    let bare = steps.difference(&judged).count() as u64;
    let change = Change::weaker(codes::GATE_REMOVED, subject(old), format!("{text} is gone"));
    match bare {
        0 => change,
        n => change.note(format!("no other gate judges {} of {}", quoted(&old.metric), count(n, "step"))),
    }
}

/// Conditions of a gate that is there on both sides.
fn one(pairs: &Pairs<'_>, old: Numbered<'_>, new: Numbered<'_>, out: &mut Vec<Change>) {
    let span = pairs.new.gate_span(new.0);
    let samples = pairs.new.expected.get(new.0).copied().flatten();
    let (o, n) = (old.1, new.1);
    let mut weaker = Vec::new();
    let mut stronger = Vec::new();
    let mut notes = Vec::new();
    let same = (o.aggregate, o.op, o.bound) == (n.aggregate, n.op, n.bound);
    let judges_less = o.over != n.over && !judges_all_of(&n.over, &o.over);
    if !same || o.over != n.over {
        let told = format!("{} is now {}", quoted(&o.condition()), quoted(&n.condition()));
        if implies(n, o) && !judges_less {
            stronger.push(told);
        } else {
            weaker.push(told);
            notes.extend(judges_less.then(|| hidden(n)));
            notes.extend(arithmetic(o, n, samples));
        }
    }
    let text = quoted(&n.condition());
    match (o.level, n.level) {
        (GateLevel::Required, GateLevel::Advisory) => {
            weaker.push(format!("{text} is now advisory"));
            notes.push("an advisory gate is shown and never decides".into());
        }
        (GateLevel::Advisory, GateLevel::Required) => stronger.push(format!("{text} now decides")),
        _ => {}
    }
    if same && o.min_samples != n.min_samples {
        let told = format!(
            "{text} asks for {} instead of {}",
            count(n.min_samples, "sample"),
            thousands(o.min_samples as f64)
        );
        if n.min_samples < o.min_samples { weaker.push(told) } else { stronger.push(told) }
    }
    match (o.abort_on_fail, n.abort_on_fail) {
        (true, false) => weaker.push(format!("{text} no longer ends the run at once")),
        (false, true) => stronger.push(format!("{text} now ends the run at once")),
        _ => {}
    }
    match (o.confident, n.confident) {
        (true, false) => {
            weaker.push(format!("{text} need not be confident any more"));
            notes.push("a value within the noise around its bound now passes".into());
        }
        (false, true) => stronger.push(format!("{text} must now be confident")),
        _ => {}
    }
    if o.delay_abort_eval != n.delay_abort_eval && n.abort_on_fail && o.abort_on_fail {
        let (before, after) = (show_duration(o.delay_abort_eval), show_duration(n.delay_abort_eval));
        let told = format!("{text} may end the run after {after} instead of {before}");
        out.push(Change::neutral(subject(n), told).at(span));
    }
    // What an advisory gate says never decided.
    let decided = o.level == GateLevel::Required;
    if !weaker.is_empty() {
        let change = match decided {
            true => Change::weaker(codes::GATE_LOOSENED, subject(n), weaker.join("; ")),
            false => Change::neutral(subject(n), weaker.join("; ")),
        };
        out.push(Change { notes, ..change }.at(span));
    }
    if !stronger.is_empty() {
        let decides = n.level == GateLevel::Required;
        let make = if decides { Change::stronger } else { Change::neutral };
        out.push(make(subject(n), stronger.join("; ")).at(span));
    }
}

/// Whether whatever breaks the old part of the load breaks the new one.
fn judges_all_of(new: &Over, old: &Over) -> bool {
    match (new, old) {
        (Over::EveryWindow(_), Over::Load) => true,
        (Over::EveryWindow(new), Over::EveryWindow(old)) => new <= old,
        (new, old) => new == old,
    }
}

/// What a gate over another part of the load does not see.
fn hidden(gate: &Gate) -> String {
    match gate.over {
        Over::Stage { .. } => "what comes before and after that stage is not judged by it".into(),
        Over::EachStage(_) => "it decides how far the search goes, and no run fails by it".into(),
        Over::Load | Over::EveryWindow(_) => {
            "a short breach may now be hidden by what comes before and after it".into()
        }
    }
}

/// How much more is let through, in the plan's own numbers.
fn arithmetic(old: &Gate, new: &Gate, samples: Option<f64>) -> Vec<String> {
    let mut out = Vec::new();
    let (Some(o), Some(n)) = (scale(old.bound), scale(new.bound)) else { return out };
    if o.0 == n.0 && n.1 > o.1 && o.1 > 0 {
        let times = show_times(n.1 as f64 / o.1 as f64);
        out.extend(match (old.bound, new.bound) {
            (Bound::Duration(o), Bound::Duration(n)) => Some(format!(
                "{} − {} = {} more, {times} times the old bound",
                show_duration(n),
                show_duration(o),
                show_duration(n.saturating_sub(o))
            )),
            (Bound::Share(o), Bound::Share(n)) => Some(shares(o, n, samples, &times)),
            _ => Some(format!("{times} times the old bound")),
        });
    } else if o.0 == n.0
        && n.1 < o.1
        && n.1 > 0
        && super::strength::side(new.op) == super::strength::side(old.op)
    {
        out.push(format!("the old bound is {} times the new one", show_times(o.1 as f64 / n.1 as f64)));
    } else if o.1 == n.1 && old.op != new.op && old.aggregate == new.aggregate {
        out.push("a value of exactly the bound now passes".into());
    }
    if let (Aggregate::Percentile(_), Some(o), Some(n)) =
        (old.aggregate, position(old.aggregate), position(new.aggregate))
        && n < o
    {
        let share = |at: i64| PartsPerMillion(u32::try_from((100_000_000 - at) / 100).unwrap_or(0));
        let mut told = format!("the slowest {} may take any time, not the slowest {}", share(n), share(o));
        if let Some(samples) = samples {
            let of = |at: i64| thousands((samples * share(at).as_f64()).floor());
            told.push_str(&format!(": {} of about {} samples, not {}", of(n), thousands(samples), of(o)));
        }
        out.push(told);
    }
    out
}

fn shares(old: PartsPerMillion, new: PartsPerMillion, samples: Option<f64>, times: &str) -> String {
    match samples {
        Some(samples) => format!(
            "of about {} samples {} instead of {} may be bad, {times} times as many",
            thousands(samples),
            thousands((samples * new.as_f64()).floor()),
            thousands((samples * old.as_f64()).floor())
        ),
        None => format!("{times} times as many samples may be bad"),
    }
}

/// `2.7`, without a tail of noughts.
fn show_times(times: f64) -> String {
    let text = format!("{times:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_string()
}

/// A gate that had enough samples and no longer has.
fn vacuous(pairs: &Pairs<'_>, old: Numbered<'_>, new: Numbered<'_>, out: &mut Vec<Change>) {
    let expected = |side: &super::side::Side, at: usize| side.expected.get(at).copied().flatten();
    let Some(now) = expected(pairs.new, new.0) else { return };
    let before = expected(pairs.old, old.0);
    let enough_before = before.is_none_or(|before| before >= old.1.min_samples as f64);
    if new.1.level == GateLevel::Advisory || now >= new.1.min_samples as f64 || !enough_before {
        return;
    }
    let message = format!(
        "{} needs {} and gets about {}",
        quoted(&new.1.text),
        count(new.1.min_samples, "sample"),
        thousands(now)
    );
    let change = Change::weaker(codes::GATE_VACUOUS, subject(new.1), message);
    let change = match before {
        Some(before) => change.note(format!(
            "it got about {} and needed {}",
            thousands(before),
            thousands(old.1.min_samples as f64)
        )),
        None => change,
    };
    let change =
        change.note("a gate on fewer samples makes every run invalid, until someone takes the gate out");
    out.push(change.at(pairs.new.gate_span(new.0)));
}

/// Limits of the generator's health. A limit that was filled in follows the gates and is told with them.
fn health(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    let (old, new) = (&pairs.old.graph.health, &pairs.new.graph.health);
    let filled_in = |side: &super::side::Side| {
        side.graph.health.lateness_p99 == crate::resolve::default_lateness(&side.graph.gates)
    };
    let mut tell = |weaker: bool, message: String, why: &str| {
        out.push(match weaker {
            true => Change::weaker(codes::GATE_LOOSENED, "the generator's health", message).note(why),
            false => Change::stronger("the generator's health", message),
        });
    };
    if old.lateness_p99 != new.lateness_p99 && !(filled_in(pairs.old) && filled_in(pairs.new)) {
        let (before, after) = (show_duration(old.lateness_p99), show_duration(new.lateness_p99));
        let message = format!("p99 of late starts may be {after}, not {before}");
        tell(
            new.lateness_p99 > old.lateness_p99,
            message,
            "latency counts from the intended start: what the generator adds is noise in every gate",
        );
    }
    if old.achieved != new.achieved {
        let message = format!("{} of the planned load must be reached, not {}", new.achieved, old.achieved);
        tell(new.achieved < old.achieved, message, "a run that sends less than planned now counts");
    }
    if old.strains != new.strains {
        out.push(Change::neutral(
            "the generator's health",
            "other strains are warned of; none of them decides",
        ));
    }
    if pairs.old.graph.pool != pairs.new.graph.pool {
        out.push(Change::neutral("the database", "`pool` and `workers` of the service are others"));
    }
}

/// Gates that go with steps or scenarios that went.
pub(super) fn orphans(pairs: &Pairs<'_>, gone: &dyn Fn(&Gate) -> bool) -> Option<String> {
    let gates = pairs.old.graph.gates.iter().filter(|gate| gate.level == GateLevel::Required && gone(gate));
    let names: Vec<String> = gates.map(|gate| format!("{}: {}", gate.subject(), gate.text)).collect();
    let went = if names.len() == 1 { "its gate goes" } else { "its gates go" };
    (!names.is_empty()).then(|| format!("{went} with it: {}", some_of(names.iter().map(String::as_str))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_part_sees_of_another() {
        let window = |seconds| Over::EveryWindow(std::time::Duration::from_secs(seconds));
        let stage = |number| Over::Stage { scenario: "ramp".into(), number };
        for (new, old, all) in [
            (window(30), Over::Load, true),
            (Over::Load, window(30), false),
            (window(10), window(30), true),
            (window(60), window(30), false),
            (stage(1), Over::Load, false),
            (Over::Load, stage(1), false),
            (stage(2), stage(1), false),
            (stage(1), stage(1), true),
        ] {
            assert_eq!(judges_all_of(&new, &old), all, "{new:?} for {old:?}");
        }
    }
}
