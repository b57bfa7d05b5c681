//! Which of two gates, and which of two expectations, asks for more.

use crate::graph::{
    Aggregate, Bound, Comparison, Expected, Gate, Json, JsonTemplate, JsonType, Matcher, StatusPattern,
};

/// The new one beside the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// They ask the same.
    Same,
    /// Whatever the new one lets through, the old one did.
    Stronger,
    /// Whatever the old one let through, the new one does, and more.
    Weaker,
    /// Each lets through what the other does not, or nobody can tell.
    Other,
}

/// Whether every run that passes `new` would have passed `old`, both over the same samples.
pub(super) fn implies(new: &Gate, old: &Gate) -> bool {
    let Some((n, o)) = scale(new.bound).zip(scale(old.bound)).filter(|(n, o)| n.0 == o.0) else {
        return false;
    };
    let (n, o) = (n.1, o.1);
    let reach = |higher: bool| {
        new.aggregate == old.aggregate
            || position(new.aggregate)
                .zip(position(old.aggregate))
                .is_some_and(|(n, o)| if higher { n >= o } else { n <= o })
    };
    match (side(new.op), side(old.op)) {
        (Side::Upper, Side::Upper) => {
            reach(true) && (n < o || n == o && !(new.op == Comparison::Le && old.op == Comparison::Lt))
        }
        (Side::Lower, Side::Lower) => {
            reach(false) && (n > o || n == o && !(new.op == Comparison::Ge && old.op == Comparison::Gt))
        }
        (Side::Exact, Side::Upper | Side::Lower) => {
            new.aggregate == old.aggregate && old.op.holds(n as f64, o as f64)
        }
        (n_side, o_side) => n_side == o_side && new.aggregate == old.aggregate && n == o,
    }
}

/// What a comparison bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Upper,
    Lower,
    Exact,
    Not,
}

pub(super) fn side(op: Comparison) -> Side {
    match op {
        Comparison::Lt | Comparison::Le => Side::Upper,
        Comparison::Gt | Comparison::Ge => Side::Lower,
        Comparison::Eq => Side::Exact,
        Comparison::Ne => Side::Not,
    }
}

/// Kind and size of a bound, to compare by.
pub(super) fn scale(bound: Bound) -> Option<(u8, i128)> {
    match bound {
        Bound::Duration(time) => Some((0, i128::try_from(time.as_nanos()).ok()?)),
        Bound::Share(share) => Some((1, i128::from(share.0))),
        Bound::Number(number) => Some((2, i128::from(number.0))),
    }
}

/// Where in a distribution an aggregate looks, in millionths of a percent.
pub(super) fn position(aggregate: Aggregate) -> Option<i64> {
    match aggregate {
        Aggregate::Percentile(percent) => Some(percent.0),
        Aggregate::Min => Some(0),
        Aggregate::Med => Some(50_000_000),
        Aggregate::Max => Some(100_000_000),
        Aggregate::Avg | Aggregate::Rate | Aggregate::Count | Aggregate::Value => None,
    }
}

/// Compares what must be seen at the same place.
pub(super) fn expected(old: &Expected, new: &Expected) -> Strength {
    match (old, new) {
        _ if old == new => Strength::Same,
        (Expected::Status(old), Expected::Status(new)) => statuses(old, new),
        (Expected::Duration(old), Expected::Duration(new)) => of(new < old, new > old),
        _ => match (matcher(old), matcher(new)) {
            (Some(old), Some(new)) => matchers(old, new),
            _ => Strength::Other,
        },
    }
}

/// Statuses that fall under some patterns.
pub(super) fn covered(patterns: &[StatusPattern]) -> Vec<u16> {
    (100..600).filter(|status| patterns.iter().any(|pattern| pattern.matches(*status))).collect()
}

/// More statuses are weaker; so is one more that says failure, whatever else is gone.
pub(super) fn statuses(old: &[StatusPattern], new: &[StatusPattern]) -> Strength {
    let (old, new) = (covered(old), covered(new));
    let gained: Vec<u16> = new.iter().filter(|status| !old.contains(status)).copied().collect();
    let lost = old.iter().any(|status| !new.contains(status));
    match (gained.is_empty(), lost) {
        (true, false) => Strength::Same,
        (true, true) => Strength::Stronger,
        (false, false) => Strength::Weaker,
        (false, true) if gained.iter().any(|status| *status >= 400) => Strength::Weaker,
        (false, true) => Strength::Other,
    }
}

fn matcher(expected: &Expected) -> Option<&Matcher> {
    match expected {
        Expected::Header { matcher, .. }
        | Expected::Json { matcher, .. }
        | Expected::Cookie { matcher, .. } => Some(matcher),
        Expected::Body(matcher)
        | Expected::Rows(matcher)
        | Expected::Value(matcher)
        | Expected::ExitCode(matcher)
        | Expected::Stdout(matcher) => Some(matcher),
        Expected::Status(_) | Expected::Duration(_) | Expected::FileExists(_) => None,
    }
}

/// Each side as a list of conditions that must all hold.
fn matchers(old: &Matcher, new: &Matcher) -> Strength {
    let (old, new) = (conditions(old), conditions(new));
    // Every old condition is still asked, or asked more sharply; and the other way round.
    let covers_old =
        old.iter().all(|o| new.iter().any(|n| matches!(one(o, n), Strength::Same | Strength::Stronger)));
    let covers_new =
        new.iter().all(|n| old.iter().any(|o| matches!(one(o, n), Strength::Same | Strength::Weaker)));
    match (covers_old, covers_new) {
        (true, true) => Strength::Same,
        (true, false) => Strength::Stronger,
        (false, true) => Strength::Weaker,
        (false, false) => Strength::Other,
    }
}

fn conditions(matcher: &Matcher) -> Vec<&Matcher> {
    match matcher {
        Matcher::All(all) => all.iter().flat_map(conditions).collect(),
        other => vec![other],
    }
}

/// Two single conditions. Any comparison fails on what is absent, so each is stronger than `present`.
fn one(old: &Matcher, new: &Matcher) -> Strength {
    match (old, new) {
        _ if old == new => Strength::Same,
        (Matcher::Absent, _) | (_, Matcher::Absent) => Strength::Other,
        (_, Matcher::Present) => Strength::Weaker,
        (Matcher::Present, _) => Strength::Stronger,
        (Matcher::Gt(o) | Matcher::Ge(o), Matcher::Gt(n) | Matcher::Ge(n)) => {
            let (more, less) = order(n, o);
            let equal_op = std::mem::discriminant(old) == std::mem::discriminant(new);
            edge(more, less, equal_op, matches!(new, Matcher::Gt(_)))
        }
        (Matcher::Lt(o) | Matcher::Le(o), Matcher::Lt(n) | Matcher::Le(n)) => {
            let (more, less) = order(n, o);
            let equal_op = std::mem::discriminant(old) == std::mem::discriminant(new);
            edge(less, more, equal_op, matches!(new, Matcher::Lt(_)))
        }
        (Matcher::OneOf(o), Matcher::OneOf(n)) => {
            of(n.iter().all(|v| o.contains(v)), o.iter().all(|v| n.contains(v)))
        }
        (Matcher::Equals(o), Matcher::OneOf(n)) if n.contains(o) => Strength::Weaker,
        (Matcher::OneOf(o), Matcher::Equals(n)) if o.contains(n) => Strength::Stronger,
        (Matcher::Length(o), Matcher::Length(n)) => matchers(o, n),
        (Matcher::ContainsAll(o), Matcher::ContainsAll(n)) => match items(o).zip(items(n)) {
            Some((o, n)) => of(o.iter().all(|v| n.contains(v)), n.iter().all(|v| o.contains(v))),
            None => Strength::Other,
        },
        (Matcher::Equals(_), Matcher::Equals(_) | Matcher::OneOf(_)) => Strength::Other,
        (Matcher::Equals(o), n) => {
            if fits(o, n) {
                Strength::Weaker
            } else {
                Strength::Other
            }
        }
        (o, Matcher::Equals(n)) => {
            if fits(n, o) {
                Strength::Stronger
            } else {
                Strength::Other
            }
        }
        _ => Strength::Other,
    }
}

/// Whether a known value meets a looser condition.
fn fits(value: &JsonTemplate, condition: &Matcher) -> bool {
    let Some(value) = constant(value) else {
        // What a value will be is not known; that it has some type or length is weaker than being that value.
        return matches!(condition, Matcher::Type(_) | Matcher::Length(_));
    };
    let number = |bound: &JsonTemplate| value.as_f64().zip(constant(bound).and_then(Json::as_f64));
    match condition {
        Matcher::Type(wanted) => has_type(value, *wanted),
        Matcher::Length(_) => value.is_string() || value.is_array() || value.is_object(),
        Matcher::Gt(bound) => number(bound).is_some_and(|(v, b)| v > b),
        Matcher::Ge(bound) => number(bound).is_some_and(|(v, b)| v >= b),
        Matcher::Lt(bound) => number(bound).is_some_and(|(v, b)| v < b),
        Matcher::Le(bound) => number(bound).is_some_and(|(v, b)| v <= b),
        Matcher::Contains(part) => match (value, constant(part)) {
            (Json::String(text), Some(Json::String(part))) => text.contains(part.as_str()),
            (Json::Array(all), Some(part)) => all.contains(part),
            _ => false,
        },
        Matcher::ContainsAll(parts) => match (value, constant(parts)) {
            (Json::Array(all), Some(Json::Array(parts))) => parts.iter().all(|part| all.contains(part)),
            _ => false,
        },
        Matcher::Matches(pattern) => value
            .as_str()
            .is_some_and(|text| regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))),
        _ => false,
    }
}

fn has_type(value: &Json, wanted: JsonType) -> bool {
    match wanted {
        JsonType::Null => value.is_null(),
        JsonType::Boolean => value.is_boolean(),
        JsonType::Number => value.is_number(),
        JsonType::Integer => value.is_i64() || value.is_u64(),
        JsonType::String => value.is_string(),
        JsonType::Array => value.is_array(),
        JsonType::Object => value.is_object(),
    }
}

fn constant(value: &JsonTemplate) -> Option<&Json> {
    match value {
        JsonTemplate::Const(value) => Some(value),
        _ => None,
    }
}

fn items(value: &JsonTemplate) -> Option<&Vec<Json>> {
    constant(value).and_then(Json::as_array)
}

/// Whether the first number is greater, and whether it is less.
fn order(a: &JsonTemplate, b: &JsonTemplate) -> (bool, bool) {
    match constant(a).and_then(Json::as_f64).zip(constant(b).and_then(Json::as_f64)) {
        Some((a, b)) if a == b => (true, true),
        Some((a, b)) => (a > b, a < b),
        None => (false, false),
    }
}

/// Two bounds on the same side. Equal bounds are `(true, true)`: the sign decides.
fn edge(sharper: bool, looser: bool, same_sign: bool, strict: bool) -> Strength {
    match (sharper, looser) {
        (true, true) if same_sign => Strength::Same,
        (true, true) => of(strict, !strict),
        _ => of(sharper, looser),
    }
}

fn of(stronger: bool, weaker: bool) -> Strength {
    match (stronger, weaker) {
        (true, true) => Strength::Same,
        (true, false) => Strength::Stronger,
        (false, true) => Strength::Weaker,
        (false, false) => Strength::Other,
    }
}

/// Whether a pattern with `*` holds all that another does.
pub(super) fn pattern_covers(wide: &str, narrow: &str) -> bool {
    let (wide, narrow): (Vec<char>, Vec<char>) = (wide.chars().collect(), narrow.chars().collect());
    // Stars of the narrow pattern are letters that only a star of the wide one can take.
    let mut reach = vec![false; narrow.len() + 1];
    reach[0] = true;
    for letter in wide {
        let mut next = vec![false; narrow.len() + 1];
        for at in 0..=narrow.len() {
            let from_left = at > 0 && reach[at - 1] && narrow[at - 1] == letter && letter != '*';
            let by_star = letter == '*' && (reach[at] || at > 0 && next[at - 1]);
            next[at] = from_left || by_star;
        }
        reach = next;
    }
    reach[narrow.len()]
}
