//! `repeat` and `each`: inner steps for each number or element, bound to a name.

use super::Frame;
use crate::prepare::{LoopOp, ScenarioProgram};
use crate::text::Var;
use crate::vu::Vu;
use planc::eval::{self, EvalError};
use planc::graph::Json;

/// Enters a `repeat`; its count is evaluated once.
pub(super) fn repeat(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &LoopOp,
    at: usize,
) -> Result<usize, EvalError> {
    vu.worker.count_step(op.step);
    let value = eval::eval(&op.over, &vu.scope(scenario))?;
    let whole = value.as_u64().or_else(|| value.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64));
    let left = whole.ok_or_else(|| EvalError(format!("`repeat` needs a count, not {value}")))?;
    vu.frames.push(Frame::Repeat { left, next: 1, var: op.var });
    Ok(turn(vu, at + 1).unwrap_or(op.end))
}

/// Enters an `each`; its list is evaluated once.
pub(super) fn each(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &LoopOp,
    at: usize,
) -> Result<usize, EvalError> {
    vu.worker.count_step(op.step);
    match eval::eval(&op.over, &vu.scope(scenario))? {
        Json::Array(list) => vu.frames.push(Frame::Loop { left: list.into_iter(), var: op.var }),
        other => return Err(EvalError(format!("`each` needs a list, not {other}"))),
    }
    Ok(turn(vu, at + 1).unwrap_or(op.end))
}

/// The body's place for another turn; none when the loop is over.
pub(super) fn turn(vu: &mut Vu, body: usize) -> Option<usize> {
    let (value, var) = match vu.frames.last_mut() {
        Some(Frame::Repeat { left, next, var }) if *left > 0 => {
            *left -= 1;
            *next += 1;
            (Json::from(*next - 1), *var)
        }
        Some(Frame::Loop { left, var }) if left.len() > 0 => (left.next().unwrap_or_default(), *var),
        _ => {
            vu.frames.pop();
            return None;
        }
    };
    if let Some(var) = var {
        vu.env.vars[var] = Var::Value(value);
    }
    Some(body)
}
