//! A request to a host that the plan does not allow.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Check, FixtureKind, Probe, ScrapeFrom, Template, TokenSource};
use crate::near::listed;
use crate::resolve::url_host;
use crate::resolved::ResolvedPlan;
use crate::source::Span;

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0407", name: "host-not-allowed" },
    page: include_str!("host-not-allowed.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    let Some(target) = &plan.target else { return };
    let allowed = &target.target.allow_hosts;
    let mut urls: Vec<(&Template, Span)> = vec![(&target.target.url, target.url_span)];
    for check in plan.guards.iter().chain(&plan.preflight) {
        if let (Probe::Http(request), Some(span)) = (&check.check.probe, check.url_span) {
            urls.push((&request.url, span));
        }
    }
    for token in plan.tokens.values() {
        if let TokenSource::Issued { request, .. } = &token.token.source {
            urls.push((&request.url, token.span));
        }
        urls.extend(token.token.verify.iter().filter_map(asked).map(|url| (url, token.span)));
    }
    for fixture in &plan.fixtures {
        if let FixtureKind::Http(http) = &fixture.fixture.kind {
            urls.extend(http.requests().map(|request| (&request.url, fixture.span)));
        }
        urls.extend(fixture.fixture.verify.iter().filter_map(asked).map(|url| (url, fixture.span)));
    }
    for (name, scrape) in &plan.scrapes {
        let (ScrapeFrom::Prometheus { request, .. } | ScrapeFrom::Json { request, .. }) = &scrape.from else {
            continue;
        };
        urls.extend(plan.origins.get(&format!("metrics.{name}")).map(|span| (&request.url, *span)));
    }
    for step in plan.all_steps() {
        if let Some(http) = step.kind.request() {
            urls.push((&http.request.url, plan.place(step.id).url_span));
        }
    }
    for (url, span) in urls {
        let Some(host) = url_host(url) else { continue };
        if allowed.is_empty() || allowed.iter().any(|pattern| fits(pattern, &host)) {
            continue;
        }
        let shown = listed(allowed.iter().map(String::as_str), "and");
        diagnostics.push(
            Diagnostic::error(LINT.code, span, format!("no request of this plan may go to `{host}`"))
                .note(format!("allowed: {shown}"))
                .help(format!("add `{host}` to `target.allow_hosts` if it is a system to be tested")),
        );
    }
}

/// The URL of an HTTP check.
fn asked(check: &Check) -> Option<&Template> {
    match &check.probe {
        Probe::Http(request) => Some(&request.url),
        _ => None,
    }
}

/// `*.example.com` stands for every host below `example.com`; anything else is the host itself.
fn fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => pattern == host,
    }
}
