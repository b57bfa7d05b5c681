//! How long an iteration takes, as far as the plan itself tells.

use crate::graph::{Expr, HttpStep, OnFailure, Pause, Step, StepId, StepKind};
use std::time::Duration;

/// What the pauses of an iteration take at least, when no step of it fails.
pub(super) fn pauses(steps: &[Step]) -> Duration {
    let mut sum = Duration::ZERO;
    for step in steps {
        sum = sum.saturating_add(match &step.kind {
            StepKind::Http(_)
            | StepKind::Send(_)
            | StepKind::Receive(_)
            | StepKind::Ping { .. }
            | StepKind::Close { .. } => Duration::ZERO,
            StepKind::WebSocket(session) => pauses(&session.steps),
            StepKind::Pause(pause) => shortest(pause),
            StepKind::Choose(branches) => {
                let taken = branches.iter().filter(|branch| branch.weight > 0);
                taken.map(|branch| pauses(&branch.steps)).min().unwrap_or_default()
            }
            StepKind::Repeat { count, steps, .. } => times(pauses(steps), repeats(count)),
            StepKind::Each { list, steps, .. } => times(pauses(steps), elements(list)),
            StepKind::When { condition: Expr::Const(condition), steps } if crate::eval::truthy(condition) => {
                pauses(steps)
            }
            StepKind::When { .. } => Duration::ZERO,
            StepKind::Group { steps, .. } => pauses(steps),
        });
    }
    sum
}

/// A request that is never answered, as late in an iteration as the pauses before it put it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hang {
    pub(super) step: StepId,
    pub(super) before: Elapsed,
    pub(super) timeout: Duration,
    /// Whether the step itself says its timeout.
    pub(super) own_timeout: bool,
}

/// What lies before a step in its iteration.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Elapsed {
    pub(super) pauses: Duration,
    /// Timeouts of requests that fail and let the iteration go on.
    pub(super) timeouts: Duration,
}

impl Elapsed {
    pub(super) fn sum(&self) -> Duration {
        self.pauses.saturating_add(self.timeouts)
    }
}

impl Hang {
    pub(super) fn end(&self) -> Duration {
        self.before.sum().saturating_add(self.timeout)
    }
}

/// The hang that ends last. A request without an answer ends the iteration, unless its `on_failure` is `continue`.
pub(super) fn last_hang(steps: &[Step], default: Duration) -> Option<Hang> {
    let mut search = Search { default, session: None, elapsed: Elapsed::default(), last: None };
    search.steps(steps);
    search.last
}

struct Search {
    default: Duration,
    /// The handshake of the session that is open.
    session: Option<(Option<Duration>, OnFailure)>,
    elapsed: Elapsed,
    last: Option<Hang>,
}

impl Search {
    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    fn step(&mut self, step: &Step) {
        match &step.kind {
            StepKind::Http(http) => self.request(step.id, http),
            StepKind::WebSocket(session) => {
                let handshake = &session.handshake;
                self.request(step.id, handshake);
                let around = self.session.replace((handshake.request.timeout, handshake.on_failure));
                self.steps(&session.steps);
                self.session = around;
            }
            StepKind::Receive(receive) => self.message(step.id, receive.within),
            StepKind::Ping { within } | StepKind::Close { within, .. } => self.message(step.id, *within),
            StepKind::Send(_) => {}
            StepKind::Pause(pause) => {
                self.elapsed.pauses = self.elapsed.pauses.saturating_add(shortest(pause));
            }
            StepKind::Choose(branches) => {
                let (start, mut longest) = (self.elapsed, self.elapsed);
                for branch in branches.iter().filter(|branch| branch.weight > 0) {
                    self.elapsed = start;
                    self.steps(&branch.steps);
                    longest = if self.elapsed.sum() > longest.sum() { self.elapsed } else { longest };
                }
                self.elapsed = longest;
            }
            StepKind::Repeat { count, steps, .. } => self.many(steps, repeats(count)),
            StepKind::Each { list, steps, .. } => self.many(steps, elements(list)),
            StepKind::When { condition: Expr::Const(condition), .. } if !crate::eval::truthy(condition) => {}
            StepKind::When { steps, .. } | StepKind::Group { steps, .. } => self.steps(steps),
        }
    }

    /// All passes but the last add what they take; the last is looked into.
    fn many(&mut self, steps: &[Step], count: Option<u64>) {
        let Some(before) = count.unwrap_or(1).checked_sub(1) else { return };
        let session = self.session;
        let mut once = Search { default: self.default, session, elapsed: Elapsed::default(), last: None };
        once.steps(steps);
        let Elapsed { pauses, timeouts } = &mut self.elapsed;
        *pauses = pauses.saturating_add(times(once.elapsed.pauses, Some(before)));
        *timeouts = timeouts.saturating_add(times(once.elapsed.timeouts, Some(before)));
        self.steps(steps);
    }

    fn request(&mut self, step: StepId, http: &HttpStep) {
        self.hang(step, http.request.timeout, http.on_failure);
    }

    /// What is waited for in a session.
    fn message(&mut self, step: StepId, within: Option<Duration>) {
        let (timeout, on_failure) = self.session.unwrap_or((None, OnFailure::NextIteration));
        self.hang(step, within.or(timeout), on_failure);
    }

    fn hang(&mut self, step: StepId, own: Option<Duration>, on_failure: OnFailure) {
        let timeout = own.unwrap_or(self.default);
        let hang = Hang { step, before: self.elapsed, timeout, own_timeout: own.is_some() };
        if self.last.is_none_or(|last| last.end() < hang.end()) {
            self.last = Some(hang);
        }
        if on_failure == OnFailure::Continue {
            self.elapsed.timeouts = self.elapsed.timeouts.saturating_add(timeout);
        }
    }
}

fn shortest(pause: &Pause) -> Duration {
    match pause {
        Pause::Fixed(pause) => *pause,
        Pause::Uniform { from, .. } => *from,
        Pause::Normal { .. } | Pause::Exponential { .. } => Duration::ZERO,
    }
}

/// So many of them; none where only the run knows how many.
fn times(duration: Duration, count: Option<u64>) -> Duration {
    duration.saturating_mul(u32::try_from(count.unwrap_or(0)).unwrap_or(u32::MAX))
}

fn repeats(count: &Expr) -> Option<u64> {
    match count {
        Expr::Const(count) => count.as_u64(),
        _ => None,
    }
}

fn elements(list: &Expr) -> Option<u64> {
    match list {
        Expr::List(items) => Some(items.len() as u64),
        Expr::Const(list) => list.as_array().map(|items| items.len() as u64),
        _ => None,
    }
}
