//! Arithmetic: whole numbers are exact and checked, all else is a 64-bit float.

use super::{Result, error, kind};
use crate::graph::Json;
use std::cmp::Ordering;

/// An operation on two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Rem,
    Pow,
}

impl Arithmetic {
    fn sign(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Sub => "-",
            Arithmetic::Mul => "*",
            Arithmetic::Div => "/",
            Arithmetic::FloorDiv => "//",
            Arithmetic::Rem => "%",
            Arithmetic::Pow => "**",
        }
    }
}

/// Two numbers of one kind.
pub(super) enum Pair {
    Whole(i128, i128),
    Float(f64, f64),
}

impl Pair {
    pub(super) fn compare(&self) -> Option<Ordering> {
        match self {
            Pair::Whole(a, b) => Some(a.cmp(b)),
            Pair::Float(a, b) => a.partial_cmp(b),
        }
    }
}

/// Both values as numbers of one kind; `true` is 1. `None` when one is not a number.
pub(super) fn pair(left: &Json, right: &Json) -> Option<Pair> {
    match (whole(left), whole(right)) {
        (Some(a), Some(b)) => Some(Pair::Whole(a, b)),
        _ => Some(Pair::Float(float(left)?, float(right)?)),
    }
}

pub(super) fn arithmetic(op: Arithmetic, left: &Json, right: &Json) -> Result<Json> {
    let Some(pair) = pair(left, right) else {
        let sign = op.sign();
        return Err(error(format!("`{sign}` needs two numbers, not {} and {}", kind(left), kind(right))));
    };
    match pair {
        Pair::Float(a, b) => from_float(floats(op, a, b)?, op),
        Pair::Whole(a, b) if op == Arithmetic::Div => from_float(floats(op, a as f64, b as f64)?, op),
        Pair::Whole(a, b) if op == Arithmetic::Pow && b < 0 => {
            from_float(floats(op, a as f64, b as f64)?, op)
        }
        Pair::Whole(a, b) => wholes(op, a, b),
    }
}

pub(super) fn negate(value: &Json) -> Result<Json> {
    match value {
        Json::Number(_) => arithmetic(Arithmetic::Sub, &Json::from(0), value).map(|negated| match negated {
            // 0 - 0.0 is 0.0, not -0.0; the sign matters to nobody, the type does.
            Json::Number(n) => Json::Number(n),
            other => other,
        }),
        other => Err(error(format!("`-` needs a number, not {}", kind(other)))),
    }
}

/// A whole number as JSON, when it fits.
pub(super) fn from_whole(value: i128) -> Result<Json> {
    i64::try_from(value)
        .map(Json::from)
        .or_else(|_| u64::try_from(value).map(Json::from))
        .map_err(|_| error(format!("`{value}` does not fit in 64 bits")))
}

/// A finite float as JSON.
pub(super) fn finite(value: f64) -> Option<Json> {
    serde_json::Number::from_f64(value).map(Json::Number)
}

/// A number or boolean as a float.
pub(super) fn float(value: &Json) -> Option<f64> {
    match value {
        Json::Bool(b) => Some(f64::from(u8::from(*b))),
        Json::Number(n) => n.as_f64(),
        _ => None,
    }
}

/// A whole number or boolean.
pub(super) fn whole(value: &Json) -> Option<i128> {
    match value {
        Json::Bool(b) => Some(i128::from(*b)),
        Json::Number(n) => n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from)),
        _ => None,
    }
}

fn wholes(op: Arithmetic, a: i128, b: i128) -> Result<Json> {
    if b == 0 && matches!(op, Arithmetic::FloorDiv | Arithmetic::Rem) {
        return Err(error("division by zero"));
    }
    let result = match op {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Sub => a.checked_sub(b),
        Arithmetic::Mul => a.checked_mul(b),
        // Both round towards negative infinity, so that the rest has the divisor's sign.
        Arithmetic::FloorDiv => {
            let quotient = a / b;
            Some(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
        }
        Arithmetic::Rem => {
            let rest = a % b;
            Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
        }
        Arithmetic::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        Arithmetic::Div => None,
    };
    let value = result.ok_or_else(|| error(format!("`{a} {} {b}` does not fit in 64 bits", op.sign())))?;
    from_whole(value)
}

fn floats(op: Arithmetic, a: f64, b: f64) -> Result<f64> {
    if b == 0.0 && matches!(op, Arithmetic::Div | Arithmetic::FloorDiv | Arithmetic::Rem) {
        return Err(error("division by zero"));
    }
    Ok(match op {
        Arithmetic::Add => a + b,
        Arithmetic::Sub => a - b,
        Arithmetic::Mul => a * b,
        Arithmetic::Div => a / b,
        Arithmetic::FloorDiv => (a / b).floor(),
        Arithmetic::Rem => {
            let rest = a % b;
            if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
        }
        Arithmetic::Pow => a.powf(b),
    })
}

fn from_float(value: f64, op: Arithmetic) -> Result<Json> {
    finite(value).ok_or_else(|| error(format!("`{}` gives a number without a finite value", op.sign())))
}
