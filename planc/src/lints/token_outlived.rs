//! A token that dies while the load still sends it.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Demand, Step, TokenSource};
use crate::resolved::{ResolvedPlan, Scenario, walk};
use crate::show::{least_duration, schedule};
use crate::source::Span;
use crate::units::show_duration;
use std::time::Duration;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0428", name: "token-outlived" },
    page: include_str!("token-outlived.md"),
    check,
};

/// The last time that a token is sent, counted from its issue; what comes before the load takes time besides.
struct LastUse {
    after: Duration,
    span: Span,
    sum: String,
}

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    if plan.lost.steps || plan.scenarios.iter().any(|scenario| !scenario.sound) {
        return;
    }
    for (name, token) in &plan.tokens {
        let TokenSource::Issued { ttl: Some(ttl), .. } = &token.token.source else { continue };
        let Some(last) = last_use(plan, name).filter(|last| last.after > *ttl) else { continue };
        let (lives, after) = (show_duration(*ttl), show_duration(last.after));
        let message = format!("token `{name}` lives {lives}, and is sent until {after} after its issue");
        diagnostics.push(
            Diagnostic::warning(LINT.code, token.span, message)
                .also(last.span, "sent here")
                .note(last.sum)
                .note("a token is asked for once, before preflight, and not again during the load")
                .help(format!("let the service issue it for `ttl: {after}` or more, or shorten the load")),
        );
    }
}

/// The latest use over the smoke scenarios, which come first, and the load.
fn last_use(plan: &ResolvedPlan, token: &str) -> Option<LastUse> {
    let (smoke, load): (Vec<&Scenario>, Vec<&Scenario>) =
        plan.scenarios.iter().partition(|scenario| scenario.scenario.smoke);
    let mut before = Duration::ZERO;
    let mut out: Option<LastUse> = None;
    for stage in [smoke, load] {
        let graphs: Vec<_> = stage.iter().map(|scenario| &scenario.scenario).collect();
        // Counted iterations may be done at once: only what must take time is counted.
        let times = schedule(&graphs, &least_duration);
        for (scenario, (start, end)) in stage.iter().zip(&times) {
            if !sends(&scenario.scenario.steps, token) {
                continue;
            }
            let timed = !matches!(scenario.scenario.demand, Demand::Iterations { .. });
            let stop = if timed { scenario.scenario.graceful_stop } else { Duration::ZERO };
            let lasts = end.saturating_sub(*start);
            let name = format!("`{}`", scenario.scenario.name);
            let parts = [
                (before, "smoke".to_string()),
                (*start, format!("until {name} starts")),
                (lasts, name.clone()),
                (stop, "graceful stop".to_string()),
            ];
            let after = parts.iter().fold(Duration::ZERO, |sum, part| sum.saturating_add(part.0));
            if out.as_ref().is_none_or(|last| last.after < after) {
                out = Some(LastUse { after, span: scenario.span, sum: sum(&parts, after) });
            }
        }
        before = before.saturating_add(times.iter().map(|times| times.1).max().unwrap_or_default());
    }
    out
}

/// `5m until `b` starts + 10m `b` + 30s graceful stop = 15m30s`.
fn sum(parts: &[(Duration, String)], total: Duration) -> String {
    let parts = parts.iter().filter(|part| !part.0.is_zero());
    let parts: Vec<String> = parts.map(|(time, what)| format!("{} {what}", show_duration(*time))).collect();
    format!("{} = {}", parts.join(" + "), show_duration(total))
}

fn sends(steps: &[Step], token: &str) -> bool {
    let mut found = false;
    walk(steps, &mut |step| {
        found |= step.kind.request().is_some_and(|http| http.token.as_deref() == Some(token));
    });
    found
}
