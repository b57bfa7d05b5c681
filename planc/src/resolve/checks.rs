//! Requests, expectations and checks with their names looked up.

use super::Resolver;
use super::scope::Scope;
use crate::ast;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expr::{Parsed, fold_json};
use crate::graph::{
    self, Content, Expectation, Expected, Json, JsonTemplate, Matcher, Probe, StatusPattern, Template,
};
use crate::parse::{show_template, status_expectation};
use crate::resolved::Check;
use std::time::Duration;

/// Redirects followed unless the plan says otherwise, as in k6.
const REDIRECTS: u32 = 10;

impl Resolver<'_> {
    /// Guards and preflight checks.
    pub(super) fn plan_checks(&mut self, checks: &[ast::Check], section: &str) -> Vec<Check> {
        let scope = self.world_scope().plain(["run_id"]);
        let mut out: Vec<Check> = Vec::new();
        for check in checks {
            let resolved = self.at(super::UNNAMED, |it| it.plan_check(check, &scope, section));
            let Some(resolved) = resolved else { continue };
            self.settle(&format!("{section}.{}", resolved.check.name));
            if out.iter().any(|other| other.check.name == resolved.check.name) {
                let span = check.name.as_ref().map_or(check.span, |name| name.span);
                let message = format!("two checks of `{section}` are named `{}`", resolved.check.name);
                self.error(codes::DUPLICATE_NAME, span, message);
            }
            self.origins.insert(format!("{section}.{}", resolved.check.name), check.span);
            out.push(resolved);
        }
        out
    }

    fn plan_check(&mut self, check: &ast::Check, scope: &Scope, section: &str) -> Option<Check> {
        let url_span = match &check.probe {
            Some(ast::Probe::Http(request)) => Some(request.url.span),
            _ => None,
        };
        let mut resolved = self.check_of(check, scope, None)?;
        resolved.static_guard =
            section == "guards" && matches!(resolved.probe, Probe::Command { .. } | Probe::File { .. });
        Some(Check { check: resolved, url_span })
    }

    /// Any check. `name` is used where it has none of its own.
    pub(super) fn check_of(
        &mut self,
        check: &ast::Check,
        scope: &Scope,
        name: Option<&str>,
    ) -> Option<graph::Check> {
        let mut expect = self.expectations(&check.expect, scope);
        let within = self.part("within", |it| check.within.as_ref().and_then(|within| it.typed(within)));
        let skipped = self.part("when", |it| check.when.as_ref().and_then(|when| it.untrue(when)));
        let probe = check.probe.as_ref()?;
        let probe = self.part("probe", |it| it.probe(probe, scope));
        fill_expectations(&probe, &mut expect);
        let own = check.name.as_ref().map(|name| name.value.clone());
        Some(graph::Check {
            name: own.or_else(|| name.map(str::to_string)).unwrap_or_else(|| probe_name(&probe)),
            probe,
            expect,
            within,
            fix: check.fix.as_ref().map(|fix| fix.value.clone()),
            override_env: check.override_env.as_ref().map(|env| env.value.clone()),
            static_guard: false,
            skipped,
        })
    }

    /// A condition as written, when it does not hold.
    fn untrue(&mut self, when: &ast::Typed<bool>) -> Option<String> {
        let holds = self.typed(when)?;
        let written = match when {
            ast::Typed::Template(text) => match show_template(&text.parsed.value) {
                // What is shortened says nothing: the names in it do.
                short if short.contains('…') => {
                    let names: Vec<String> = text.parsed.uses.iter().map(|it| it.path.join(".")).collect();
                    format!("{{{{ … {} … }}}}", names.join(" … "))
                }
                whole => whole,
            },
            _ => "false".into(),
        };
        (!holds).then_some(written)
    }

    fn probe(&mut self, probe: &ast::Probe, scope: &Scope) -> Probe {
        match probe {
            ast::Probe::Http(request) => Probe::Http(self.request(request, scope)),
            ast::Probe::Sql(statement) => Probe::Sql { statement: self.text(statement, scope) },
            ast::Probe::Postgres(facts) => Probe::Postgres(self.facts(facts)),
            ast::Probe::Command(argv, env) => Probe::Command {
                argv: argv.iter().map(|text| self.text(text, scope)).collect(),
                env: self.texts(env, scope),
            },
            ast::Probe::File(path) => Probe::File { path: self.text(path, scope) },
        }
    }

    fn facts(&mut self, facts: &ast::Facts) -> graph::PostgresFacts {
        let foreign_rows = facts
            .foreign_rows
            .iter()
            .filter_map(|(table, at_most)| {
                Some(graph::ForeignRows { table: table.value.clone(), at_most: self.typed(at_most)? })
            })
            .collect();
        graph::PostgresFacts {
            database: facts.database.as_ref().and_then(|database| self.typed(database)),
            foreign_rows,
            free_connections: facts.free_connections.as_ref().and_then(|least| self.typed(least)),
        }
    }

    pub(super) fn request(&mut self, request: &ast::Request, scope: &Scope) -> graph::Request {
        graph::Request {
            method: request.method.to_string(),
            url: self.text(&request.url, scope),
            query: self.texts(&request.query, scope),
            headers: self.texts(&request.headers, scope),
            body: request.body.as_ref().and_then(|body| self.body(body, scope)),
            timeout: self
                .part("timeout", |it| request.timeout.as_ref().and_then(|timeout| it.typed(timeout))),
            redirects: self.typed_or(request.redirects.as_ref(), REDIRECTS),
        }
    }

    fn body(&mut self, body: &ast::Body, scope: &Scope) -> Option<graph::Body> {
        Some(match body {
            ast::Body::Json(json) => graph::Body::Json(self.json(json, scope)),
            ast::Body::Form(fields) => graph::Body::Form(self.texts(fields, scope)),
            ast::Body::Multipart(parts) => graph::Body::Multipart(
                parts.iter().filter_map(|part| self.part_of_body(part, scope)).collect(),
            ),
            ast::Body::Text(text) => graph::Body::Text(self.text(text, scope)),
            ast::Body::File(path) => graph::Body::File(self.typed(path)?),
            ast::Body::Zeros(size) => graph::Body::Zeros(self.typed(size)?.0),
            ast::Body::Random(size) => graph::Body::Random(self.typed(size)?.0),
            ast::Body::Jws(jws) => graph::Body::Jws(Box::new(graph::Jws {
                key: jws.key.as_ref().map_or(graph::JwsKey::Vu, |key| key.value),
                nonce: self.text(&jws.nonce, scope),
                kid: jws.kid.as_ref().map(|kid| self.text(kid, scope)),
                payload: jws.payload.as_ref().map(|payload| self.json(payload, scope)),
            })),
        })
    }

    fn part_of_body(&mut self, part: &ast::Part, scope: &Scope) -> Option<graph::Part> {
        let given = part.filename.as_ref().map(|name| self.text(name, scope));
        let media_type = part.media_type.as_ref().and_then(|kind| self.media_type(kind));
        let (content, filename) = match self.body(&part.content, scope)? {
            graph::Body::Text(text) => (Content::Text(text), None),
            graph::Body::File(path) => {
                let name = path.rsplit('/').next().unwrap_or(&path).to_string();
                (Content::File(path), Some(name))
            }
            // What browsers call bytes without a name.
            graph::Body::Zeros(size) => (Content::Zeros(size), Some("blob".to_string())),
            graph::Body::Random(size) => (Content::Random(size), Some("blob".to_string())),
            // The parser makes no others.
            _ => return None,
        };
        let bytes = filename.is_some() || given.is_some();
        let octets = || "application/octet-stream".to_string();
        Some(graph::Part {
            name: part.name.value.clone(),
            content,
            filename: given.or(filename.map(Template::literal)),
            media_type: media_type.or_else(|| bytes.then(octets)),
        })
    }

    /// `audio/mpeg`: what can stand in a header.
    fn media_type(&mut self, kind: &ast::Typed<String>) -> Option<String> {
        let text = self.typed(kind)?;
        let fine = text.contains('/') && text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        if !fine {
            let message = format!("`{text}` is not a media type");
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_VALUE, kind.span(), message)
                    .help("write `audio/mpeg` or the like"),
            );
        }
        fine.then_some(text)
    }

    pub(super) fn expectations(&mut self, expect: &[ast::Expect], scope: &Scope) -> Vec<Expectation> {
        let mut out = Vec::new();
        for one in expect {
            let what = match &one.what {
                ast::ExpectWhat::Plain(parsed) => self.part(&looked_at(&parsed.value), |it| {
                    it.at.words = Some(one.name.clone());
                    it.expected(parsed, scope)
                }),
                ast::ExpectWhat::Duration(limit) => {
                    match self.part("expect duration", |it| it.typed(limit)) {
                        Some(limit) => Expected::Duration(limit),
                        None => continue,
                    }
                }
            };
            let name = match &what {
                Expected::Duration(limit) => format!("duration < {}", crate::units::show_duration(*limit)),
                _ => one.name.clone(),
            };
            out.push(Expectation { name, what });
        }
        out
    }

    fn expected(&mut self, parsed: &Parsed<Expected>, scope: &Scope) -> Expected {
        self.check(parsed, scope);
        let fold = |matcher: &Matcher| {
            fold_matcher(matcher, &|json| fold_json(json.clone(), &|path| super::closed(&self.inputs, path)))
        };
        match &parsed.value {
            Expected::Header { name, matcher } => {
                Expected::Header { name: name.clone(), matcher: fold(matcher) }
            }
            Expected::Json { path, matcher } => Expected::Json { path: path.clone(), matcher: fold(matcher) },
            Expected::Cookie { name, matcher } => {
                Expected::Cookie { name: name.clone(), matcher: fold(matcher) }
            }
            Expected::Body(matcher) => Expected::Body(fold(matcher)),
            Expected::Rows(matcher) => Expected::Rows(fold(matcher)),
            Expected::Value(matcher) => Expected::Value(fold(matcher)),
            Expected::ExitCode(matcher) => Expected::ExitCode(fold(matcher)),
            Expected::Stdout(matcher) => Expected::Stdout(fold(matcher)),
            Expected::Status(_) | Expected::Duration(_) | Expected::FileExists(_) => parsed.value.clone(),
        }
    }
}

/// Where an expectation looks.
fn looked_at(expected: &Expected) -> String {
    match expected {
        Expected::Status(_) => "expect status".into(),
        Expected::Header { name, .. } => format!("expect header {name}"),
        Expected::Json { path, .. } => format!("expect json {path}"),
        Expected::Body(_) => "expect body".into(),
        Expected::Cookie { name, .. } => format!("expect cookie {name}"),
        Expected::Duration(_) => "expect duration".into(),
        Expected::Rows(_) => "expect rows".into(),
        Expected::Value(_) => "expect value".into(),
        Expected::ExitCode(_) => "expect exit code".into(),
        Expected::Stdout(_) => "expect stdout".into(),
        Expected::FileExists(_) => "expect file".into(),
    }
}

fn fold_matcher(matcher: &Matcher, fold: &dyn Fn(&JsonTemplate) -> JsonTemplate) -> Matcher {
    match matcher {
        Matcher::Equals(value) => Matcher::Equals(fold(value)),
        Matcher::Contains(value) => Matcher::Contains(fold(value)),
        Matcher::ContainsAll(value) => Matcher::ContainsAll(fold(value)),
        Matcher::Gt(value) => Matcher::Gt(fold(value)),
        Matcher::Ge(value) => Matcher::Ge(fold(value)),
        Matcher::Lt(value) => Matcher::Lt(fold(value)),
        Matcher::Le(value) => Matcher::Le(fold(value)),
        Matcher::OneOf(values) => Matcher::OneOf(values.iter().map(fold).collect()),
        Matcher::Length(inner) => Matcher::Length(Box::new(fold_matcher(inner, fold))),
        Matcher::All(all) => Matcher::All(all.iter().map(|one| fold_matcher(one, fold)).collect()),
        Matcher::Present | Matcher::Absent | Matcher::Matches(_) | Matcher::Type(_) => matcher.clone(),
    }
}

/// What a probe is expected to show where the plan says nothing of it: a check never passes on anything at all.
fn fill_expectations(probe: &Probe, expect: &mut Vec<Expectation>) {
    let zero = || Matcher::Equals(JsonTemplate::Const(Json::from(0)));
    match probe {
        Probe::Http(_) if !expect.iter().any(|e| matches!(e.what, Expected::Status(_))) => {
            expect.insert(0, default_status(vec![StatusPattern::Class(2)]));
        }
        Probe::Command { .. } if !expect.iter().any(|e| matches!(e.what, Expected::ExitCode(_))) => {
            let what = Expected::ExitCode(zero());
            expect.insert(0, Expectation { name: "exit code equals 0".into(), what });
        }
        Probe::File { .. } if expect.is_empty() => {
            expect.push(Expectation { name: "file exists".into(), what: Expected::FileExists(true) });
        }
        _ => {}
    }
}

/// A status expectation with its usual name.
pub(super) fn default_status(statuses: Vec<StatusPattern>) -> Expectation {
    let expect = status_expectation(statuses.clone());
    Expectation { name: expect.name, what: Expected::Status(statuses) }
}

fn probe_name(probe: &Probe) -> String {
    let cut = |text: String| match text.char_indices().nth(72) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    match probe {
        Probe::Http(request) => format!("{} {}", request.method, show_template(&request.url)),
        Probe::Sql { statement } => {
            let text = show_template(statement);
            cut(text.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        Probe::Postgres(facts) => match &facts.database {
            Some(database) => format!("the database is {database}"),
            None if !facts.foreign_rows.is_empty() => "few rows are not ours".into(),
            None => "connections suffice".into(),
        },
        Probe::Command { argv, .. } => cut(argv.iter().map(show_template).collect::<Vec<_>>().join(" ")),
        Probe::File { path } => format!("file {}", show_template(path)),
    }
}

/// How long a service may take to be ready unless the plan says otherwise.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(30);
