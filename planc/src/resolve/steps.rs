//! Steps: names in scope where they are used, endpoints called with their parameters, tags inherited.

use super::Resolver;
use super::checks::default_status;
use super::scope::{Scope, Shape};
use crate::ast::{self, Asked, StepKind};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::eval;
use crate::expr::{Expr, Filter, Parsed, Segment};
use crate::graph::{self, Expected, HttpStep, OnFailure, StatusPattern, Step, StepId, Template};
use crate::near::listed;
use crate::parse::concatenation;
use crate::resolved::{Flow, Idle, StepPlace};
use crate::source::Span;
use crate::units::show_duration;
use std::collections::BTreeMap;

/// Tags that the engine sets on every sample; a plan that set them too would make gates lie.
const ENGINE_TAGS: [&str; 9] = [
    "scenario",
    "group",
    "endpoint",
    "method",
    "status",
    "outcome",
    "error_code",
    "proto",
    "expected_response",
];

/// Names that no binding may take.
const RESERVED: [&str; 10] = [
    "inputs",
    "services",
    "run_id",
    "vu",
    "iteration",
    "iteration_global",
    "scenario",
    "response",
    "random",
    "now",
];

/// What a step takes over from around it.
#[derive(Clone, Default)]
pub(super) struct Around {
    pub(super) tags: BTreeMap<String, Template>,
    pub(super) tag_values: BTreeMap<String, Vec<String>>,
    /// `::checkout::pay`.
    pub(super) group: String,
}

impl Resolver<'_> {
    /// Top-level `setup` or `teardown`.
    pub(super) fn outer_steps(&mut self, steps: &[ast::Step], scenario: &str) -> Vec<Step> {
        let mut scope = self.world_scope().plain(["run_id"]);
        announce(steps, &mut scope);
        self.used.flow.push(Flow::Begin);
        let mut around = Around::default();
        around.tags.insert("scenario".into(), Template::literal(scenario));
        self.steps(steps, &mut scope, &around)
    }

    pub(super) fn steps(&mut self, steps: &[ast::Step], scope: &mut Scope, around: &Around) -> Vec<Step> {
        let numbered = |it: &mut Self, step: &ast::Step, scope: &mut Scope| match &step.kind {
            StepKind::Http(_) => {
                let place = format!("steps.{}", it.places.len());
                it.at(&place, |it| it.step(step, scope, around))
            }
            // How often others are played and how long a user rests is the scenario's.
            StepKind::Pause(_) => it.part("pauses", |it| it.step(step, scope, around)),
            _ => it.part("steps", |it| it.step(step, scope, around)),
        };
        steps.iter().filter_map(|step| numbered(self, step, scope)).collect()
    }

    fn step(&mut self, step: &ast::Step, scope: &mut Scope, around: &Around) -> Option<Step> {
        // The number is taken before inner steps take theirs.
        let id = StepId(self.places.len() as u32);
        let mut around = around.clone();
        self.tags(&step.tags, scope, &mut around);
        self.places.push(StepPlace {
            span: step.span,
            url_span: step.span,
            token_span: None,
            timeout: None,
            expects: Vec::new(),
            checked: false,
            tag_values: around.tag_values.clone(),
        });
        let own_name = step.name.as_ref().and_then(|name| self.typed(name));
        let (kind, default_name) = match &step.kind {
            StepKind::Broken => {
                self.lost.steps = true;
                self.places.truncate(id.0 as usize);
                return None;
            }
            StepKind::Http(http) => {
                let Some(http) = self.http_step(http, id, scope) else {
                    self.lost.steps = true;
                    self.places.truncate(id.0 as usize);
                    return None;
                };
                let name = match &http.endpoint {
                    Some(endpoint) => endpoint.clone(),
                    None => format!("{} {}", http.request.method, show_url(&http.request.url)),
                };
                self.places[id.0 as usize].timeout = http.request.timeout;
                (graph::StepKind::Http(Box::new(http)), name)
            }
            StepKind::Pause(pause) => self.pause(pause)?,
            StepKind::Choose(branches) => (self.choose(branches, scope, &around), "choose".into()),
            StepKind::Repeat { count, binding, steps } => {
                let constant = count.uses.is_empty();
                let count = self.expr(count, scope);
                if constant && matches!(&count, Expr::Const(count) if count.as_u64() == Some(0)) {
                    self.idle.push((step.span, Idle::Times));
                }
                let steps = self.bound_steps(binding.as_ref(), steps, scope, &around);
                (
                    graph::StepKind::Repeat {
                        count,
                        binding: binding.as_ref().map(|b| b.value.clone()),
                        steps,
                    },
                    "repeat".into(),
                )
            }
            StepKind::Each { list, binding, steps } => {
                let constant = list.uses.is_empty();
                let list = self.expr(list, scope);
                if constant && super::emits::list_length(&list) == Some(0) {
                    self.idle.push((step.span, Idle::Elements));
                }
                let steps = self.bound_steps(Some(binding), steps, scope, &around);
                (graph::StepKind::Each { list, binding: binding.value.clone(), steps }, "each".into())
            }
            StepKind::When { condition, steps } => {
                let constant = condition.uses.is_empty();
                let condition = self.expr(condition, scope);
                if constant && matches!(&condition, Expr::Const(value) if !eval::truthy(value)) {
                    self.idle.push((step.span, Idle::Condition));
                }
                // What is captured only sometimes cannot be used afterwards.
                let steps = self.steps(steps, &mut scope.clone(), &around);
                (graph::StepKind::When { condition, steps }, "when".into())
            }
            StepKind::Group { name, steps } => {
                let name = self.typed(name).unwrap_or_default();
                around.group = format!("{}::{name}", around.group);
                around.tags.insert("group".into(), Template::literal(around.group.clone()));
                let steps = self.steps(steps, scope, &around);
                (graph::StepKind::Group { name: around.group.clone(), steps }, format!("group {name}"))
            }
        };
        let name = own_name.unwrap_or(default_name);
        let tags = own_tags(&name, &kind, around.tags);
        Some(Step { id, name, tags, kind })
    }

    /// Puts tags over those from around.
    pub(super) fn tags(&mut self, tags: &[ast::Tag], scope: &Scope, around: &mut Around) {
        for tag in tags {
            if ENGINE_TAGS.contains(&tag.key.value.as_str()) || tag.key.value == "check" {
                let message = format!("the engine itself sets the tag `{}`", tag.key.value);
                self.error(codes::DUPLICATE_NAME, tag.key.span, message);
                continue;
            }
            let value = self.text(&tag.value, scope);
            around.tag_values.remove(&tag.key.value);
            if !tag.values.is_empty() {
                let mut values = tag.values.clone();
                values.sort();
                values.dedup();
                around.tag_values.insert(tag.key.value.clone(), values);
            }
            around.tags.insert(tag.key.value.clone(), value);
        }
    }

    /// Refuses a binding that would hide a name of the language.
    pub(super) fn check_binding(&mut self, binding: &ast::Word) {
        if RESERVED.contains(&binding.value.as_str()) {
            let message = format!("`{}` has a meaning of its own and cannot be bound", binding.value);
            self.error(codes::DUPLICATE_NAME, binding.span, message);
        }
    }

    fn bound_steps(
        &mut self,
        binding: Option<&ast::Word>,
        steps: &[ast::Step],
        scope: &mut Scope,
        around: &Around,
    ) -> Vec<Step> {
        let mut inner = scope.clone();
        if let Some(binding) = binding {
            self.check_binding(binding);
            if scope.names.contains_key(&binding.value) && !RESERVED.contains(&binding.value.as_str()) {
                let message = format!("`{}` is bound already", binding.value);
                self.error(codes::DUPLICATE_NAME, binding.span, message);
            }
            inner.names.insert(binding.value.clone(), Shape::Any);
        }
        self.used.flow.push(Flow::LoopBegin);
        let steps = self.steps(steps, &mut inner, around);
        self.used.flow.push(Flow::LoopEnd);
        for name in scope.unset.keys() {
            if inner.names.contains_key(name) && binding.is_none_or(|binding| binding.value != *name) {
                scope.names.insert(name.clone(), Shape::Any);
            }
        }
        steps
    }

    fn choose(&mut self, branches: &[ast::Branch], scope: &mut Scope, around: &Around) -> graph::StepKind {
        let mut weights: Vec<Option<ast::Weight>> = Vec::new();
        for branch in branches {
            weights.push(self.typed(&branch.weight));
        }
        let mut out: Vec<graph::Branch> = Vec::new();
        let mut scopes: Vec<Scope> = Vec::new();
        for (branch, weight) in branches.iter().zip(&weights) {
            let mut inner = scope.clone();
            let steps = self.steps(&branch.steps, &mut inner, around);
            scopes.push(inner);
            out.push(graph::Branch { weight: weight.map_or(1, |weight| weight.value), steps });
        }
        if let (Some(first), Some(weights)) =
            (branches.first(), weights.into_iter().collect::<Option<Vec<_>>>())
        {
            self.check_weights(&weights, first.weight.span());
        }
        // A weight from an input is a switch, and no slip.
        if out.iter().any(|branch| branch.weight > 0) {
            let off =
                |branch: &&ast::Branch| matches!(&branch.weight, ast::Typed::Given(w) if w.value.value == 0);
            self.idle.extend(branches.iter().filter(off).map(|branch| (branch.weight.span(), Idle::Weight)));
        }
        let divisor = out.iter().map(|branch| branch.weight).fold(0, gcd).max(1);
        out.iter_mut().for_each(|branch| branch.weight /= divisor);
        for name in scope.unset.keys() {
            if !scopes.is_empty() && scopes.iter().all(|inner| inner.names.contains_key(name)) {
                scope.names.insert(name.clone(), Shape::Any);
            }
        }
        graph::StepKind::Choose(out)
    }

    fn check_weights(&mut self, weights: &[ast::Weight], span: Span) {
        let percent = weights.iter().filter(|weight| weight.percent).count();
        let sum: u64 = weights.iter().map(|weight| u64::from(weight.value)).sum();
        if percent != 0 && percent != weights.len() {
            self.error(codes::BAD_WEIGHTS, span, "some weights are percentages and some are not");
        } else if percent != 0 && sum != 10_000 {
            let shown = crate::units::Fixed(sum as i64 * 10_000);
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_WEIGHTS, span, format!("the weights sum to {shown}%"))
                    .help("let them sum to 100%, or write plain numbers"),
            );
        } else if sum == 0 {
            self.error(codes::BAD_WEIGHTS, span, "no branch has a weight above 0");
        }
    }

    fn pause(&mut self, pause: &ast::Pause) -> Option<(graph::StepKind, String)> {
        let ms = std::time::Duration::from_millis(1);
        let (pause, name) = match pause {
            ast::Pause::Fixed(duration) => {
                let duration = self.typed_or(Some(duration), ms);
                (graph::Pause::Fixed(duration), format!("pause {}", show_duration(duration)))
            }
            ast::Pause::Uniform(from, to) => {
                let (shortest, longest) = (self.typed(from), self.typed(to));
                if let (Some(shortest), Some(longest)) = (shortest, longest)
                    && shortest > longest
                {
                    self.error(codes::BAD_VALUE, to.span(), "`to` lies before `from`");
                }
                let (from, to) = (shortest.unwrap_or(ms), longest.unwrap_or(ms));
                let name = format!("pause {} to {}", show_duration(from), show_duration(to));
                (graph::Pause::Uniform { from, to }, name)
            }
            ast::Pause::Normal(mean, deviation) => {
                let mean = self.typed_or(Some(mean), ms);
                let deviation = self.typed_or(Some(deviation), ms);
                (graph::Pause::Normal { mean, deviation }, format!("pause around {}", show_duration(mean)))
            }
            ast::Pause::Exponential(mean) => {
                let mean = self.typed_or(Some(mean), ms);
                (graph::Pause::Exponential { mean }, format!("pause around {}", show_duration(mean)))
            }
        };
        Some((graph::StepKind::Pause(pause), name))
    }

    fn http_step(&mut self, step: &ast::HttpStep, id: StepId, scope: &mut Scope) -> Option<HttpStep> {
        let (mut request, url, url_span, endpoint) = self.asked(step, scope);
        if let Some(url) = url {
            request.url = self.path_parameters(step, &url, url_span, scope);
        }
        if matches!(&request.body, Some(graph::Body::Jws(_))) && request.method != "POST" {
            let message = format!("a signed request is a POST, not a {}", request.method);
            self.error(codes::BAD_VALUE, url_span, message);
        }
        let place = &mut self.places[id.0 as usize];
        place.url_span = url_span;
        place.token_span = step.token.as_ref().map(|token| token.span);
        let token = step.token.as_ref().and_then(|token| self.token_name(token));
        let cookies = self.typed_or(step.cookies.as_ref(), true);
        let mut expect = self.expectations(&step.expect, scope);
        self.places[id.0 as usize].checked = step.checked;
        self.places[id.0 as usize].expects = expect.iter().map(|one| one.name.clone()).collect();
        if !expect.iter().any(|one| matches!(one.what, Expected::Status(_))) {
            expect.insert(0, default_status(vec![StatusPattern::Class(2), StatusPattern::Class(3)]));
        }
        let record = self.records(&step.record, scope);
        let mut capture = Vec::new();
        for (name, from) in &step.capture {
            self.check_binding(name);
            let captured = scope.unset.contains_key(&name.value);
            if !captured && scope.names.contains_key(&name.value) && !RESERVED.contains(&name.value.as_str())
            {
                let message = format!("`{}` is bound already", name.value);
                self.error(codes::DUPLICATE_NAME, name.span, message);
            }
            scope.names.insert(name.value.clone(), Shape::Any);
            let (kept, from) = (name.value.clone(), from.clone());
            self.used.flow.push(Flow::Captured { name: kept.clone(), span: name.span, from: from.clone() });
            capture.push(graph::Capture { name: kept, from });
        }
        // A call of an unknown endpoint was reported; nothing can be said of what it would send.
        if matches!(&step.asked, Asked::Call(..)) && endpoint.is_none() {
            return None;
        }
        let on_failure = step.on_failure.map_or(OnFailure::NextIteration, |on_failure| on_failure.value);
        Some(HttpStep { request, endpoint, token, cookies, expect, capture, record, on_failure })
    }

    /// The request without its path parameters, the URL that has them, and the endpoint that is called.
    fn asked(
        &mut self,
        step: &ast::HttpStep,
        scope: &Scope,
    ) -> (graph::Request, Option<ast::Text>, Span, Option<String>) {
        let plan = self.plan;
        let (name, extra) = match &step.asked {
            Asked::Direct(request) => {
                let url = request.url.clone();
                return (self.request(request, scope), Some(url), request.url.span, None);
            }
            Asked::Call(name, extra) => (name, extra),
        };
        let own = self.request(extra, scope);
        let Some(endpoint) = plan.endpoint(&name.value) else {
            if plan.lost.endpoints {
                self.lost.steps = true;
            } else {
                let names = plan.endpoints.iter().map(|endpoint| endpoint.name.value.as_str());
                self.unknown("endpoint", name, names);
            }
            self.texts(&step.path, scope);
            return (own, None, name.span, None);
        };
        self.used.endpoints.insert(name.value.clone());
        let Some(written) = &endpoint.request else { return (own, None, name.span, None) };
        let mut request = self.request(written, scope);
        request.query.extend(own.query);
        request.headers.extend(own.headers);
        request.body = own.body.or(request.body);
        request.timeout = own.timeout.or(request.timeout);
        if extra.redirects.is_some() {
            request.redirects = own.redirects;
        }
        (request, Some(written.url.clone()), name.span, Some(name.value.clone()))
    }

    /// Puts `path:` values into the `{name}` places of a URL, percent-encoded.
    fn path_parameters(
        &mut self,
        step: &ast::HttpStep,
        url: &ast::Text,
        at: Span,
        scope: &Scope,
    ) -> Template {
        let given: BTreeMap<String, Template> = self.texts(&step.path, scope);
        let mut segments: Vec<Segment> = Vec::new();
        let mut asked: Vec<String> = Vec::new();
        for segment in &url.parsed.value.segments {
            let Segment::Literal(text) = segment else {
                segments.push(segment.clone());
                continue;
            };
            let mut rest = text.as_str();
            while let Some((before, name, after)) = parameter(rest) {
                segments.push(Segment::Literal(before.to_string()));
                match given.get(name) {
                    Some(value) => {
                        let value = Box::new(concatenation(&value.segments));
                        segments.push(Segment::Slot(Expr::Filter(Filter::Urlencode, value, Vec::new())));
                    }
                    None => segments.push(Segment::Literal(format!("{{{name}}}"))),
                }
                asked.push(name.to_string());
                rest = after;
            }
            segments.push(Segment::Literal(rest.to_string()));
        }
        self.path_misfits(step, &asked, at);
        let parsed = Parsed { value: Template { segments }, uses: Vec::new() };
        super::fold(&self.inputs, &parsed.value)
    }

    fn path_misfits(&mut self, step: &ast::HttpStep, asked: &[String], at: Span) {
        let given: Vec<&str> = step.path.iter().map(|(name, _)| name.value.as_str()).collect();
        let missing: Vec<&str> =
            asked.iter().map(String::as_str).filter(|name| !given.contains(name)).collect();
        let extra: Vec<&ast::Word> =
            step.path.iter().map(|(name, _)| name).filter(|name| !asked.contains(&name.value)).collect();
        for name in &extra {
            let message = format!("the path has no `{{{}}}`", name.value);
            let diagnostic = Diagnostic::error(codes::PATH_PARAMETER, name.span, message);
            self.diagnostics.push(match missing.first() {
                Some(missing) => diagnostic.help(format!("did you mean `{missing}`?")),
                None => diagnostic,
            });
        }
        // A parameter that was given under a wrong name is one mistake, not two.
        if let [first, ..] = missing.as_slice()
            && extra.is_empty()
        {
            let shown = listed(missing.iter().copied(), "and");
            self.diagnostics.push(
                Diagnostic::error(
                    codes::PATH_PARAMETER,
                    step.path_span.unwrap_or(at),
                    format!("the path needs {shown}"),
                )
                .help(format!("write `path: {{ {first}: … }}`")),
            );
        }
    }

    fn token_name(&mut self, token: &ast::Word) -> Option<String> {
        let plan = self.plan;
        self.used.tokens.insert(token.value.clone());
        if !plan.tokens.iter().any(|known| known.name.value == token.value) {
            self.unknown("token", token, plan.tokens.iter().map(|known| known.name.value.as_str()));
            return None;
        }
        Some(token.value.clone())
    }

    fn records(&mut self, records: &[ast::Record], scope: &Scope) -> Vec<graph::Record> {
        // Names are copied only where something is recorded: a scenario may capture thousands.
        if records.is_empty() {
            return Vec::new();
        }
        let plan = self.plan;
        let fields = ["status", "headers", "json", "body", "duration"];
        let response = fields.iter().map(|field| (field.to_string(), Shape::Any)).collect();
        let scope = scope.clone().with("response", Shape::Fields(response));
        let mut out = Vec::new();
        for record in records {
            let when = record.when.as_ref().map(|when| self.expr(when, &scope));
            let value = record.value.as_ref().map(|value| self.expr(value, &scope));
            let Some(metric) = plan.metrics.iter().find(|metric| metric.name.value == record.metric.value)
            else {
                self.unknown(
                    "metric",
                    &record.metric,
                    plan.metrics.iter().map(|metric| metric.name.value.as_str()),
                );
                continue;
            };
            self.used.metrics.insert(metric.name.value.clone());
            let Some(kind) = metric.kind else { continue };
            if metric.scrape.is_some() {
                let message = format!("`{}` is scraped, and no step records it", record.metric.value);
                self.diagnostics.push(
                    Diagnostic::error(codes::WRONG_TYPE, record.metric.span, message)
                        .also(metric.name.span, "it is scraped here"),
                );
                continue;
            }
            self.record_misfit(record, kind);
            out.push(graph::Record { metric: record.metric.value.clone(), when, value });
        }
        out
    }

    fn record_misfit(&mut self, record: &ast::Record, kind: graph::MetricKind) {
        use graph::MetricKind::{Gauge, Rate, TimeTrend, Trend};
        let name = &record.metric.value;
        let (message, help) = match kind {
            Rate if record.when.is_none() && record.value.is_none() => {
                (format!("the rate `{name}` needs a condition"), "write `when: response.status == 429`")
            }
            Trend | TimeTrend | Gauge if record.value.is_none() => {
                (format!("`{name}` needs a value to record"), "write `value: response.json.total`")
            }
            _ => return,
        };
        self.diagnostics.push(Diagnostic::error(codes::MISSING_KEY, record.metric.span, message).help(help));
    }
}

/// What a step's samples are tagged with besides what the engine finds out.
fn own_tags(
    name: &str,
    kind: &graph::StepKind,
    mut tags: BTreeMap<String, Template>,
) -> BTreeMap<String, Template> {
    if let graph::StepKind::Http(http) = kind {
        tags.entry("name".into()).or_insert_with(|| Template::literal(name));
        tags.entry("url".into()).or_insert_with(|| Template::literal(show_url(&http.request.url)));
        tags.insert("method".into(), Template::literal(http.request.method.clone()));
        tags.extend(
            http.endpoint.as_ref().map(|endpoint| ("endpoint".into(), Template::literal(endpoint.clone()))),
        );
    }
    tags
}

/// Makes every capture below known as not set yet.
pub(super) fn announce(steps: &[ast::Step], scope: &mut Scope) {
    for step in steps {
        match &step.kind {
            StepKind::Http(http) => {
                for (name, _) in &http.capture {
                    scope.unset.entry(name.value.clone()).or_insert(name.span);
                }
            }
            StepKind::Choose(branches) => branches.iter().for_each(|branch| announce(&branch.steps, scope)),
            StepKind::Repeat { steps, .. }
            | StepKind::Each { steps, .. }
            | StepKind::When { steps, .. }
            | StepKind::Group { steps, .. } => announce(steps, scope),
            StepKind::Pause(_) | StepKind::Broken => {}
        }
    }
}

/// The first `{name}` of a text, with what is before and after it.
fn parameter(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('{').map(|at| at + from) {
        let close = text[open..].find('}').map(|at| at + open)?;
        let name = &text[open + 1..close];
        if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            return Some((&text[..open], name, &text[close + 1..]));
        }
        from = open + 1;
    }
    None
}

/// A URL with `{}` for its slots: the same for all that a step sends.
fn show_url(url: &Template) -> String {
    url.segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => text.as_str(),
            Segment::Slot(_) => "{}",
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_path_parameters() {
        assert_eq!(parameter("/a/{id}/b"), Some(("/a/", "id", "/b")));
        assert_eq!(parameter("/a/{}/b/{x}"), Some(("/a/{}/b/", "x", "")));
        assert_eq!(parameter("/a/{id"), None);
    }
}
