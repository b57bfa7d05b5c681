//! A signed request with a nonce that was sent before.

use super::{Lint, wants_success};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::expr::{Expr, Segment};
use crate::graph::{Body, Demand, HttpStep, Step, StepId, StepKind};
use crate::resolved::{ResolvedPlan, Scenario};
use std::collections::BTreeMap;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0450", name: "used-nonce" }, page: include_str!("used-nonce.md"), check };

/// Captured names, and what sent each last; a name that is not there has not been sent since it was captured.
type Sent = BTreeMap<String, By>;

/// What sent a nonce.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Step(StepId),
    /// The iteration before: what set-up captures is the same in each.
    Iteration,
}

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let once = |scenario: &Scenario| {
        matches!(scenario.scenario.demand, Demand::Iterations { iterations: 1, shared: false, .. })
    };
    for scenario in &plan.scenarios {
        let mut sent = Sent::new();
        follow(plan, &scenario.scenario.setup, &mut sent, diagnostics);
        if !once(scenario) {
            captured(&scenario.scenario.setup, &mut |name| _ = sent.entry(name).or_insert(By::Iteration));
        }
        follow(plan, &scenario.scenario.steps, &mut sent, diagnostics);
    }
    for steps in [&plan.setup, &plan.teardown] {
        follow(plan, steps, &mut Sent::new(), diagnostics);
    }
}

fn follow(plan: &ResolvedPlan, steps: &[Step], sent: &mut Sent, diagnostics: &mut Diagnostics) {
    for step in steps {
        match &step.kind {
            StepKind::Http(http) => {
                if let Some(name) = nonce(http) {
                    let before = sent.insert(name.to_string(), By::Step(step.id));
                    if let Some(by) = before.filter(|_| wants_success(http)) {
                        diagnostics.push(told(plan, step.id, name, by));
                    }
                }
                http.capture.iter().for_each(|capture| _ = sent.remove(&capture.name));
            }
            // One of them is played, or none: what each way leaves behind is sure.
            StepKind::Choose(branches) => {
                let ways = branches.iter().map(|branch| {
                    let mut way = sent.clone();
                    follow(plan, &branch.steps, &mut way, diagnostics);
                    way
                });
                let ways: Vec<Sent> = ways.collect();
                if let Some((first, rest)) = ways.split_first() {
                    *sent = rest.iter().fold(first.clone(), common);
                }
            }
            StepKind::When { steps, .. } | StepKind::Repeat { steps, .. } | StepKind::Each { steps, .. } => {
                let mut way = sent.clone();
                follow(plan, steps, &mut way, diagnostics);
                *sent = common(way, sent);
            }
            StepKind::Group { steps, .. } => follow(plan, steps, sent, diagnostics),
            StepKind::WebSocket(session) => follow(plan, &session.steps, sent, diagnostics),
            StepKind::Receive(receive) => {
                receive.capture.iter().for_each(|capture| _ = sent.remove(&capture.name));
            }
            StepKind::Pause(_) | StepKind::Send(_) | StepKind::Ping { .. } | StepKind::Close { .. } => {}
        }
    }
}

fn common(a: Sent, b: &Sent) -> Sent {
    a.into_iter().filter(|(name, _)| b.contains_key(name)).collect()
}

/// The captured name that a signed step sends as its nonce.
fn nonce(http: &HttpStep) -> Option<&str> {
    let Some(Body::Jws(jws)) = &http.request.body else { return None };
    match jws.nonce.segments.as_slice() {
        [Segment::Slot(Expr::Path(path))] => match path.as_slice() {
            [name] => Some(name),
            _ => None,
        },
        _ => None,
    }
}

fn captured(steps: &[Step], see: &mut dyn FnMut(String)) {
    crate::graph::walk(steps, &mut |step| {
        if let StepKind::Http(http) = &step.kind {
            http.capture.iter().for_each(|capture| see(capture.name.clone()));
        }
    });
}

fn told(plan: &ResolvedPlan, step: StepId, name: &str, by: By) -> Diagnostic {
    let span = plan.place(step).url_span;
    let help =
        format!("capture it from the answer before: `capture: {{ {name}: {{ header: replay-nonce }} }}`");
    match by {
        By::Step(before) => {
            Diagnostic::warning(LINT.code, span, format!("the nonce `{name}` was sent before"))
                .also(plan.place(before).url_span, "with this request")
                .note("a server takes a nonce once and answers badNonce then")
                .help(help)
        }
        By::Iteration => {
            let message = format!("every iteration sends the nonce `{name}` of set-up");
            Diagnostic::warning(LINT.code, span, message)
                .note("set-up is played once: from the second iteration on, a server answers badNonce")
                .help(format!("begin the iteration with a new one, or {help}"))
        }
    }
}
