//! Triage: conditions read, looks with their names found.

use super::Resolver;
use super::conditions::{read_bound, sides};
use super::emits::emitters;
use super::index::Index;
use super::metrics;
use super::scope::Scope;
use crate::ast::{self, LookAt};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::graph::{self, Decision, Look, Request, Template, Triage, When};
use crate::near::nearest;
use crate::resolved::ResolvedPlan;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Time that a look may take unless the plan says otherwise.
const WITHIN: Duration = Duration::from_secs(5);

/// Fills in the plan's triage, in the order of writing: it is the order in which a person looks.
pub(crate) fn resolve(plan: &ast::Plan, resolved: &mut ResolvedPlan, diagnostics: &mut Diagnostics) {
    if plan.triage.is_empty() {
        return;
    }
    let emitters = emitters(resolved);
    let index = Index::new(&emitters);
    for written in &plan.triage {
        let inputs = std::mem::take(&mut resolved.inputs);
        let mut resolver = Resolver::new(plan, inputs, diagnostics);
        resolver.at.place = "triage".into();
        let entry = resolver.triage(written, &index);
        let Resolver { inputs, used, references, .. } = resolver;
        resolved.inputs = inputs;
        resolved.used.inputs.extend(used.inputs);
        resolved.used.metrics.extend(used.metrics);
        resolved.used.told.extend(used.told);
        resolved.references.extend(references.into_iter().map(|mut reference| {
            let graph::MetricRef { metric, selector, .. } = &reference.number;
            reference.reachable = !index.sources(&metrics::family(metric), selector).is_empty();
            reference
        }));
        let Some(entry) = entry else { continue };
        if resolved.triage.iter().any(|known| known.name == entry.name) {
            let span = written.name.as_ref().map_or(written.span, |name| name.span);
            let message = format!("two entries of `triage` are named `{}`", entry.name);
            diagnostics.push(Diagnostic::error(codes::DUPLICATE_NAME, span, message));
            continue;
        }
        resolved.triage.push(entry);
    }
}

impl Resolver<'_> {
    fn triage(&mut self, written: &ast::Triage, index: &Index<'_>) -> Option<Triage> {
        let scope = self.world_scope().plain(["run_id"]);
        let lasts = written.lasts.as_ref().and_then(|lasts| self.typed(lasts));
        let when = written.when.as_ref().and_then(|when| self.when(when, lasts, index));
        let evidence = written.evidence.iter().map(|look| self.look(look, &scope)).collect::<Vec<_>>();
        let decision = self.decision(written.decision.as_ref());
        let when = when?;
        let shown = match &when {
            When::Gate => "a gate breaks".to_string(),
            When::Metric { text, .. } => text.clone(),
        };
        if let (When::Gate, Some(lasts)) = (&when, &written.lasts) {
            let message = "`for` is of a metric: a gate breaks once";
            self.error(codes::CONFLICTING_KEYS, lasts.span(), message);
        }
        Some(Triage {
            name: written.name.as_ref().map_or(shown, |name| name.value.clone()),
            when,
            cause: written.cause.as_ref()?.value.clone(),
            evidence: evidence.into_iter().collect::<Option<_>>()?,
            decision: decision?,
        })
    }

    fn when(&mut self, when: &ast::When, lasts: Option<Duration>, index: &Index<'_>) -> Option<When> {
        let (reference, text) = match when {
            ast::When::Gate => return Some(When::Gate),
            ast::When::Metric(reference, text) => (reference, text),
        };
        let found = self.metric_ref(reference);
        let whole = match text.parsed.value.as_literal() {
            Some(literal) => literal.to_string(),
            None => self.known_text(text, "a bound")?,
        };
        let (of, kind) = found?;
        // What stands in a selector's braces is no comparison.
        let from = whole.find('}').unwrap_or(0);
        let (_, op, right) = sides(&whole[from..])?;
        let (bound, bound_text) = match read_bound(right, of.aggregate, kind) {
            Ok(bound) => bound,
            Err(problem) => {
                let diagnostic = self.with_origin(problem.diagnostic(text.span), text);
                self.diagnostics.push(diagnostic);
                return None;
            }
        };
        let sources = index.sources(&metrics::family(&of.metric), &of.selector);
        let steps: BTreeSet<_> = sources.iter().filter_map(|source| source.step).collect();
        let text = format!("{of} {} {bound_text}", op.as_str());
        Some(When::Metric { text, of, steps: steps.into_iter().collect(), op, bound, lasts })
    }

    fn look(&mut self, look: &ast::Look, scope: &Scope) -> Option<Look> {
        let at = match &look.at {
            LookAt::Sql(statement) => graph::LookAt::Sql { statement: self.text(statement, scope) },
            LookAt::Http(request) => graph::LookAt::Http(self.request(request, scope)),
            LookAt::Command(argv) => {
                graph::LookAt::Command { argv: argv.iter().map(|text| self.text(text, scope)).collect() }
            }
            LookAt::Promql { span, query, at } => {
                let Some(at) = at else {
                    self.diagnostics.push(
                        Diagnostic::error(
                            codes::MISSING_KEY,
                            *span,
                            "nothing says which Prometheus is asked",
                        )
                        .help("write `at: \"http://127.0.0.1:9090\"` beside the query"),
                    );
                    return None;
                };
                let mut url = self.text(at, scope);
                if let Some(graph::Segment::Literal(end)) = url.segments.last_mut() {
                    *end = end.trim_end_matches('/').to_string();
                }
                url.segments.push(graph::Segment::Literal("/api/v1/query".into()));
                let url = crate::expr::fold(url, &|_| None);
                graph::LookAt::Promql { request: query_of(url, &query.value), query: query.value.clone() }
            }
        };
        let within = look.within.as_ref().map_or(Some(WITHIN), |within| self.typed(within))?;
        Some(Look { at, within })
    }

    fn decision(&mut self, written: Option<&ast::Word>) -> Option<Decision> {
        let Some(word) = written else { return Some(Decision::Continue) };
        match word.value.trim() {
            "continue" => return Some(Decision::Continue),
            "halt" => return Some(Decision::Halt),
            text if text.split_whitespace().count() > 1 => return Some(Decision::Adjust(text.to_string())),
            _ => {}
        }
        let message = format!("unknown decision `{}`", word.value);
        let diagnostic = Diagnostic::error(codes::BAD_VALUE, word.span, message);
        self.diagnostics.push(match nearest(&word.value, ["continue", "halt"]) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")).suggest(word.span, near),
            None => diagnostic.help("write `continue`, `halt`, or what is to be adjusted, in words"),
        });
        None
    }
}

fn query_of(url: Template, query: &str) -> Request {
    Request {
        method: "GET".into(),
        url,
        query: BTreeMap::from([("query".to_string(), Template::literal(query))]),
        headers: BTreeMap::new(),
        body: None,
        timeout: None,
        redirects: 0,
    }
}
