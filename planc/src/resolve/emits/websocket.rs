//! What WebSocket sessions emit.

use super::{Emitter, Passes, TagValue, checked, emitter, step_tags};
use crate::graph::{Receive, Step, WebSocketStep};
use crate::resolve::metrics::Family;
use crate::resolved::{ResolvedPlan, Scenario};
use std::collections::BTreeMap;

/// What a session emits of its own.
pub(super) fn of_session(
    plan: &ResolvedPlan,
    scenario: &Scenario,
    step: &Step,
    session: &WebSocketStep,
    passes: Passes,
    out: &mut Vec<Emitter>,
) {
    let mut tags = step_tags(plan, scenario, step);
    // The server says how many messages there are.
    let unknown = Passes { counted: false, ..passes };
    out.push(emitter(Family::Received, opened(tags.clone()), step, scenario, unknown));
    tags.insert("status".into(), TagValue::Status);
    tags.insert("error_code".into(), TagValue::open());
    out.push(emitter(Family::Session, tags.clone(), step, scenario, passes));
    let checks = session.handshake.expect.iter().map(|expect| expect.name.clone()).collect();
    tags.remove("error_code");
    out.push(checked(checks, tags, step, scenario, passes));
}

/// A source inside of an open session.
pub(super) fn inside(
    plan: &ResolvedPlan,
    scenario: &Scenario,
    step: &Step,
    family: Family,
    passes: Passes,
) -> Emitter {
    emitter(family, opened(step_tags(plan, scenario, step)), step, scenario, passes)
}

pub(super) fn of_receive(
    plan: &ResolvedPlan,
    scenario: &Scenario,
    step: &Step,
    receive: &Receive,
    passes: Passes,
    out: &mut Vec<Emitter>,
) {
    out.push(inside(plan, scenario, step, Family::Receive, passes));
    let captures = receive.capture.iter().map(|capture| format!("capture {}", capture.name));
    let checks = std::iter::once(receive.check()).chain(captures).collect();
    out.push(checked(checks, opened(step_tags(plan, scenario, step)), step, scenario, passes));
}

pub(super) fn of_ping(
    plan: &ResolvedPlan,
    scenario: &Scenario,
    step: &Step,
    passes: Passes,
    out: &mut Vec<Emitter>,
) {
    out.push(inside(plan, scenario, step, Family::Ping, passes));
    let checks = vec![crate::graph::PONG_CHECK.to_string()];
    out.push(checked(checks, opened(step_tags(plan, scenario, step)), step, scenario, passes));
}

fn opened(mut tags: BTreeMap<String, TagValue>) -> BTreeMap<String, TagValue> {
    tags.insert("status".into(), TagValue::Plan(vec!["101".to_string()]));
    tags
}
