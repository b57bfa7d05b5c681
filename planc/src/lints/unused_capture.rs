//! A value that is kept of a response and read by nobody.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::CaptureFrom;
use crate::resolved::{Flow, ResolvedPlan};
use crate::source::Span;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0426", name: "unused-capture" },
    page: include_str!("unused-capture.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    if plan.lost.steps {
        return;
    }
    for flow in plan.used.flow.split(|event| *event == Flow::Begin) {
        for (name, span, from) in unread(flow) {
            let message = format!("nothing reads `{name}`, which is captured here");
            diagnostics.push(Diagnostic::warning(LINT.code, span, message).help(instead(from)));
        }
    }
}

/// Captures after which their name is never read. Inside a loop, what stands before comes again.
fn unread(flow: &[Flow]) -> Vec<(&str, Span, &CaptureFrom)> {
    let mut out = Vec::new();
    let mut depth = 0;
    let mut outermost = 0;
    for (at, event) in flow.iter().enumerate() {
        match event {
            Flow::LoopBegin => {
                if depth == 0 {
                    outermost = at;
                }
                depth += 1;
            }
            Flow::LoopEnd => depth -= 1,
            Flow::Captured { name, span, from } => {
                let after = if depth > 0 { outermost } else { at };
                let read = |event: &Flow| matches!(event, Flow::Read(read) if read == name);
                let meant = |event: &Flow| matches!(event, Flow::Meant(meant) if meant == name);
                if !flow[after..].iter().any(read) && !flow.iter().any(meant) {
                    out.push((name.as_str(), *span, from));
                }
            }
            Flow::Read(_) | Flow::Meant(_) | Flow::Begin => {}
        }
    }
    out
}

/// A capture is a check too: how to keep the check and drop the name.
fn instead(from: &CaptureFrom) -> String {
    let expect = match from {
        CaptureFrom::Json(path) if path.contains('"') => format!("json: {{ '{path}': present }}"),
        CaptureFrom::Json(path) => format!("json: {{ \"{path}\": present }}"),
        CaptureFrom::Header(name) => format!("headers: {{ {name}: present }}"),
        CaptureFrom::Cookie(name) => format!("cookies: {{ {name}: present }}"),
        CaptureFrom::Regex(regex) => format!("body: {{ matches: '{regex}' }}"),
        CaptureFrom::Body => return "leave it out".into(),
    };
    format!("write `expect: {{ {expect} }}` if it has to be there and no more; else leave it out")
}
