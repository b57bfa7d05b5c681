//! What a plan talks to must be there: a target for requests to paths, a database for rows.

use crate::ast::{Asked, LookAt, ServiceKind};
use crate::ast::{Check, FixtureKind, Plan, Probe, Request, ScrapeFrom, Step, StepKind, Text, TokenSource};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::expr::Segment;
use crate::source::Span;

/// Reports, once each, that something needs a target or a database which the plan does not have.
pub(super) fn check(plan: &Plan, diagnostics: &mut Diagnostics) {
    // A fixture file alone gets its database, and its target, from whoever seeds it; a block that did not parse may be it.
    if plan.seed_only || plan.lost.world {
        return;
    }
    if plan.target.is_none()
        && let Some(span) = first_request(plan)
    {
        diagnostics.push(
            Diagnostic::error(
                codes::NOTHING_TO_TALK_TO,
                span,
                "this goes to a path, and the plan has no `target`",
            )
            .help("write `target: { url: \"http://127.0.0.1:8080\" }`"),
        );
    }
    if plan.database.is_none()
        && let Some(span) = first_statement(plan)
    {
        diagnostics.push(
            Diagnostic::error(
                codes::NOTHING_TO_TALK_TO,
                span,
                "this needs a database, and the plan has none",
            )
            .help("write `database: { url: \"{{ inputs.database_url }}\" }`"),
        );
    }
}

fn first_request(plan: &Plan) -> Option<Span> {
    let checks = plan.guards.iter().chain(&plan.preflight).find_map(of_check);
    let tokens = || {
        plan.tokens.iter().find_map(|token| match &token.source {
            Some(TokenSource::Issued { request, .. }) => relative(request),
            _ => token.verify.as_ref().and_then(of_check),
        })
    };
    let fixtures = || {
        plan.fixtures.iter().find_map(|fixture| match fixture.definition.as_ref().map(|d| &d.kind) {
            Some(FixtureKind::Http(http)) => {
                let probe = http.probe.as_ref().map(|(request, _)| request);
                let mut requests = std::iter::once(&http.create).chain(probe).chain(&http.reissue);
                requests.find_map(relative).map(|_| fixture.name.span)
            }
            _ => None,
        })
    };
    let steps = || {
        let lists = plan.scenarios.iter().flat_map(|scenario| [&scenario.setup, &scenario.steps]);
        lists.chain([&plan.setup, &plan.teardown]).find_map(|steps| of_steps(plan, steps))
    };
    let scrapes =
        || plan.metrics.iter().find_map(|metric| scraped(&metric.scrape.as_ref()?.from, relative, |_| None));
    let looks = || {
        let mut looks = plan.triage.iter().flat_map(|entry| &entry.evidence);
        looks.find_map(|look| match &look.at {
            LookAt::Http(request) => relative(request),
            _ => None,
        })
    };
    checks.or_else(tokens).or_else(fixtures).or_else(steps).or_else(scrapes).or_else(looks)
}

/// What a scraped metric asks, as a request or as a statement.
fn scraped<T>(
    from: &Option<ScrapeFrom>,
    request: impl Fn(&Request) -> Option<T>,
    statement: impl Fn(&Text) -> Option<T>,
) -> Option<T> {
    match from.as_ref()? {
        ScrapeFrom::Prometheus(asked, ..) | ScrapeFrom::Json(asked, ..) => request(asked),
        ScrapeFrom::Sql(text) => statement(text),
    }
}

fn of_check(check: &Check) -> Option<Span> {
    match &check.probe {
        Some(Probe::Http(request)) => relative(request),
        _ => None,
    }
}

fn of_steps(plan: &Plan, steps: &[Step]) -> Option<Span> {
    steps.iter().find_map(|step| match &step.kind {
        StepKind::Http(http) => match &http.asked {
            Asked::Direct(request) => relative(request),
            Asked::Call(name, _) => {
                let endpoint = plan.endpoint(&name.value)?;
                relative(endpoint.request.as_ref()?).map(|_| name.span)
            }
        },
        StepKind::Choose(branches) => branches.iter().find_map(|branch| of_steps(plan, &branch.steps)),
        StepKind::Repeat { steps, .. }
        | StepKind::Each { steps, .. }
        | StepKind::When { steps, .. }
        | StepKind::Group { steps, .. } => of_steps(plan, steps),
        StepKind::WebSocket(session) => match &session.handshake.asked {
            Asked::Direct(request) => relative(request).or_else(|| of_steps(plan, &session.steps)),
            Asked::Call(..) => of_steps(plan, &session.steps),
        },
        StepKind::Pause(_)
        | StepKind::Send(_)
        | StepKind::Receive(_)
        | StepKind::Ping { .. }
        | StepKind::Close { .. }
        | StepKind::Broken => None,
    })
}

/// The place of a request's URL, when that is a path.
fn relative(request: &Request) -> Option<Span> {
    match request.url.parsed.value.segments.first() {
        Some(Segment::Literal(text)) if text.starts_with('/') => Some(request.url.span),
        _ => None,
    }
}

fn first_statement(plan: &Plan) -> Option<Span> {
    let asks = |check: &&Check| matches!(check.probe, Some(Probe::Sql(_) | Probe::Postgres(_)));
    let checks = plan.guards.iter().chain(&plan.preflight);
    let ready = plan.services.iter().filter_map(|service| match &service.kind {
        ServiceKind::Command { ready, .. } => ready.as_deref(),
        _ => None,
    });
    let check = checks.chain(ready).find(asks).map(|check| check.span);
    let gate = || plan.sql_gates.iter().find_map(|gate| gate.statement.as_ref().map(|text| text.span));
    let scrape = || {
        let mut scrapes = plan.metrics.iter().filter_map(|metric| metric.scrape.as_ref());
        scrapes.find_map(|scrape| scraped(&scrape.from, |_| None, |text| Some(text.span)))
    };
    let look = || {
        let mut looks = plan.triage.iter().flat_map(|entry| &entry.evidence);
        looks.find_map(|look| match &look.at {
            LookAt::Sql(text) => Some(text.span),
            _ => None,
        })
    };
    check.or_else(gate).or_else(scrape).or_else(look).or_else(|| {
        plan.fixtures.iter().find_map(|fixture| match fixture.definition.as_ref().map(|d| &d.kind) {
            Some(FixtureKind::Table(_) | FixtureKind::Sql(_)) => Some(fixture.name.span),
            _ => None,
        })
    })
}
