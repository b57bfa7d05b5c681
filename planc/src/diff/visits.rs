//! How often an iteration plays each of its steps, and how long it rests.

use crate::eval::truthy;
use crate::expr::Expr;
use crate::graph::{Branch, Json, Pause, Step, StepKind};

/// A request, a group or a part of a session, and how often one iteration is expected to play it.
#[derive(Clone, Copy)]
pub(super) struct Visit<'a> {
    pub(super) step: &'a Step,
    /// None where only the run knows.
    pub(super) times: Option<f64>,
}

/// All requests and groups under some steps, outer before inner.
pub(super) fn visits(steps: &[Step]) -> Vec<Visit<'_>> {
    let mut out = Vec::new();
    walk(steps, Some(1.0), &mut |step, times| {
        let unanswered =
            matches!(step.kind, StepKind::Group { .. } | StepKind::Send(_) | StepKind::Close { .. });
        if unanswered || step.kind.is_answered() {
            out.push(Visit { step, times });
        }
    });
    out
}

/// Seconds that one iteration is expected to pause, where the plan alone decides it.
pub(super) fn rest(steps: &[Step]) -> Option<f64> {
    let mut sum = Some(0.0);
    walk(steps, Some(1.0), &mut |step, times| {
        if let StepKind::Pause(pause) = &step.kind {
            sum = sum.zip(times).map(|(sum, times)| sum + times * mean(pause));
        }
    });
    sum
}

fn mean(pause: &Pause) -> f64 {
    match pause {
        Pause::Fixed(time) => time.as_secs_f64(),
        Pause::Uniform { from, to } => (from.as_secs_f64() + to.as_secs_f64()) / 2.0,
        Pause::Normal { mean, .. } | Pause::Exponential { mean } => mean.as_secs_f64(),
    }
}

fn walk<'a>(steps: &'a [Step], times: Option<f64>, visit: &mut dyn FnMut(&'a Step, Option<f64>)) {
    for step in steps {
        visit(step, times);
        match &step.kind {
            StepKind::Choose(branches) => {
                for branch in branches {
                    walk(&branch.steps, times.map(|times| times * share(branch, branches)), visit);
                }
            }
            StepKind::Repeat { count, steps, .. } => {
                let count = constant(count).and_then(Json::as_u64);
                walk(steps, times.zip(count).map(|(times, n)| times * n as f64), visit);
            }
            StepKind::Each { list, steps, .. } => {
                let length = match list {
                    Expr::Const(Json::Array(items)) => Some(items.len()),
                    Expr::List(items) => Some(items.len()),
                    _ => None,
                };
                walk(steps, times.zip(length).map(|(times, n)| times * n as f64), visit);
            }
            StepKind::When { condition, steps } => {
                let holds = constant(condition).map(truthy);
                walk(steps, times.zip(holds).map(|(times, holds)| if holds { times } else { 0.0 }), visit);
            }
            StepKind::Group { steps, .. } => walk(steps, times, visit),
            StepKind::WebSocket(session) => walk(&session.steps, times, visit),
            StepKind::Http(_)
            | StepKind::Pause(_)
            | StepKind::Send(_)
            | StepKind::Receive(_)
            | StepKind::Ping { .. }
            | StepKind::Close { .. } => {}
        }
    }
}

fn share(branch: &Branch, all: &[Branch]) -> f64 {
    let total: f64 = all.iter().map(|branch| f64::from(branch.weight)).sum();
    if total > 0.0 { f64::from(branch.weight) / total } else { 0.0 }
}

fn constant(expr: &Expr) -> Option<&Json> {
    match expr {
        Expr::Const(value) => Some(value),
        _ => None,
    }
}
