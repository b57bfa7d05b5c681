//! Tokens, the endpoint catalogue, custom metrics.

use super::scope::Scope;
use super::{Resolver, metrics};
use crate::ast::{self, TokenSource};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expr::{Expr, Segment};
use crate::graph::{self, MetricKind, Template};
use crate::resolved::{Endpoint, Token};
use std::collections::{BTreeMap, BTreeSet};

impl Resolver<'_> {
    pub(super) fn tokens(&mut self) -> BTreeMap<String, Token> {
        let plan = self.plan;
        let mut out = BTreeMap::new();
        for token in &plan.tokens {
            let place = format!("tokens.{}", token.name.value);
            if let Some(resolved) = self.at(&place, |it| it.token(token)) {
                out.insert(token.name.value.clone(), Token { span: token.name.span, token: resolved });
            }
        }
        out
    }

    fn token(&mut self, token: &ast::Token) -> Option<graph::Token> {
        let name = &token.name.value;
        self.origins.insert(format!("tokens.{name}"), token.name.span);
        let world = self.world_scope();
        let with_scopes = world.clone().plain(["scopes", "run_id"]);
        let with_token = world.clone().plain(["token", "scopes", "run_id"]);
        let source = match &token.source {
            Some(TokenSource::Given(value)) => Some(graph::TokenSource::Given(self.text(value, &world))),
            Some(TokenSource::Issued { request, take, ttl, keep }) => Some(graph::TokenSource::Issued {
                request: self.request(request, &with_scopes),
                take: take.clone(),
                ttl: ttl.as_ref().and_then(|ttl| self.typed(ttl)),
                keep: *keep,
            }),
            None => None,
        };
        let (header, header_value) = self.header(token, &with_token);
        let verify = token.verify.as_ref().and_then(|check| {
            let alive = format!("token {name} is alive");
            self.part("expect", |it| it.check_of(check, &with_token, Some(&alive)))
        });
        let scopes: BTreeSet<String> = token.scopes.iter().map(|scope| scope.value.clone()).collect();
        Some(graph::Token {
            source: source?,
            header,
            header_value,
            scopes: scopes.into_iter().collect(),
            verify,
        })
    }

    /// `Authorization: Bearer {{ token }}` as name and value.
    fn header(&mut self, token: &ast::Token, scope: &Scope) -> (String, Template) {
        let slot = || Segment::Slot(Expr::Path(vec!["token".into()]));
        let usual = || Template { segments: vec![Segment::Literal("Bearer ".into()), slot()] };
        let Some(text) = &token.header else { return ("authorization".into(), usual()) };
        let template = self.text(text, scope);
        let mut segments = template.segments.into_iter();
        let split = match segments.next() {
            Some(Segment::Literal(first)) => first
                .split_once(':')
                .map(|(name, rest)| (name.trim().to_ascii_lowercase(), rest.trim_start().to_string())),
            _ => None,
        };
        let Some((name, first)) = split.filter(|(name, _)| !name.is_empty()) else {
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_VALUE, text.span, "a header is a name, a colon and a value")
                    .help("write `header: \"Authorization: Bearer {{ token }}\"`"),
            );
            return ("authorization".into(), usual());
        };
        if !text.parsed.uses.iter().any(|name_use| name_use.path.first().is_some_and(|root| root == "token"))
        {
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_VALUE, text.span, "the header does not carry the token")
                    .help(format!("write `{{{{ token }}}}` in it, such as `{name}: {{{{ token }}}}`")),
            );
        }
        let first = (!first.is_empty()).then_some(Segment::Literal(first));
        (name, Template { segments: first.into_iter().chain(segments).collect() })
    }

    pub(super) fn endpoints(&mut self) -> BTreeMap<String, Endpoint> {
        let plan = self.plan;
        let mut out = BTreeMap::new();
        for endpoint in &plan.endpoints {
            self.origins.insert(format!("endpoints.{}", endpoint.name.value), endpoint.name.span);
            let place = format!("endpoints.{}", endpoint.name.value);
            let limit = endpoint.limit.as_ref();
            let limit = self.at(&place, |it| it.part("limit", |it| limit.and_then(|limit| it.typed(limit))));
            let scopes = endpoint.scopes.iter().map(|scope| scope.value.clone()).collect();
            let address = endpoint.request.as_ref().and_then(|request| {
                let url = super::fold(&self.inputs, &request.url.parsed.value);
                Some((request.method, url.as_literal()?.to_string()))
            });
            let (span, imported) = (endpoint.name.span, endpoint.imported.is_some());
            out.insert(endpoint.name.value.clone(), Endpoint { span, scopes, limit, imported, address });
        }
        out
    }

    pub(super) fn metrics(&mut self) -> BTreeMap<String, MetricKind> {
        let plan = self.plan;
        let mut out = BTreeMap::new();
        for metric in &plan.metrics {
            let name = &metric.name.value;
            if metrics::built_in(name).is_some() {
                let message = format!("`{name}` is a metric of the engine's own");
                self.error(codes::DUPLICATE_NAME, metric.name.span, message);
                continue;
            }
            self.origins.insert(format!("metrics.{name}"), metric.name.span);
            out.extend(metric.kind.map(|kind| (name.clone(), kind)));
        }
        out
    }
}
