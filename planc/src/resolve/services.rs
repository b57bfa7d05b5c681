//! Target, database and the services that the run starts.

use super::checks::READY_WITHIN;
use super::scope::Shape;
use super::{Resolver, topological};
use crate::ast::{self, ServiceKind};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expr::{NameUse, Parsed, Segment};
use crate::graph::{self, Protocol, Template, Tls};
use crate::near::listed;
use crate::resolved::{Database, Target};
use crate::source::Span;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time that a request may take unless the plan says otherwise, as in k6.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Database made in an ephemeral Postgres whose plan names none; its name passes the usual `*_test` guard.
const DATABASE: &str = "loadtest_test";

/// `services`, as far as `which` lets them be seen.
pub(super) fn shapes(plan: &ast::Plan, which: impl Fn(&str) -> bool) -> Shape {
    if plan.lost.block && plan.services.is_empty() {
        return Shape::Any;
    }
    let mut out = BTreeMap::new();
    for service in plan.services.iter().filter(|service| which(&service.name.value)) {
        let fields: &[&str] = match service.kind {
            ServiceKind::Command { .. } => &["url", "host", "port", "log"],
            ServiceKind::Postgres { .. } => &["url", "host", "port", "database", "socket"],
            ServiceKind::Broken => {
                out.insert(service.name.value.clone(), Shape::Any);
                continue;
            }
        };
        let fields = fields.iter().map(|field| (field.to_string(), Shape::Plain)).collect();
        out.insert(service.name.value.clone(), Shape::Fields(fields));
    }
    Shape::Fields(out)
}

impl Resolver<'_> {
    /// The services that these inputs leave out, before anything is read that could speak of them.
    pub(super) fn leave_out(&mut self) {
        for service in &self.plan.services {
            let Some(when) = &service.when else { continue };
            let name = &service.name.value;
            if self.at(&format!("services.{name}"), |it| it.typed(when)) == Some(false) {
                self.left_out.insert(name.clone());
            }
        }
    }

    /// Tells of a service that is left out and spoken of at one of `uses`, when the name is still in `paths` with the
    /// inputs in place: a branch that they do not take speaks of nothing.
    pub(super) fn speaks_of_left_out(&mut self, uses: &[NameUse], paths: impl Fn(&mut dyn FnMut(&[String]))) {
        if self.left_out.is_empty() {
            return;
        }
        let left_out = |path: &[String]| match path {
            [root, name, ..] if root == "services" => self.left_out.get(name),
            _ => None,
        };
        let mut spoken = None;
        paths(&mut |path| spoken = spoken.take().or_else(|| left_out(path).cloned()));
        let Some(name) = spoken else { return };
        let Some(at) = uses.iter().find(|it| left_out(&it.path) == Some(&name)) else { return };
        let message = format!("`services.{name}` is used here, and its `when` leaves it out");
        let help = format!("write `services.{name}.url if … else …` with the same condition");
        let service = self.plan.services.iter().find(|service| service.name.value == name);
        let diagnostic = Diagnostic::error(codes::BAD_EVALUATION, at.span, message).help(help);
        self.diagnostics.push(match service.and_then(|service| service.when.as_ref()) {
            Some(when) => diagnostic.also(when.span(), "false with these inputs"),
            None => diagnostic,
        });
    }

    pub(super) fn target(&mut self) -> Option<Target> {
        let target = self.plan.target.as_ref()?;
        let tls = Tls {
            verify: self.part("verify", |it| it.typed_or(target.tls.verify.as_ref(), true)),
            ca: target.tls.ca.as_ref().and_then(|path| self.typed(path)),
            client_cert: target.tls.client_cert.as_ref().and_then(|path| self.typed(path)),
            client_key: target.tls.client_key.as_ref().and_then(|path| self.typed(path)),
            server_name: target.tls.server_name.as_ref().and_then(|name| self.typed(name)),
        };
        let timeout = self.part("timeout", |it| it.typed_or(target.timeout.as_ref(), TIMEOUT));
        let timeout_span = target.timeout.as_ref().map(ast::Typed::span);
        let text = target.url.as_ref()?;
        let scope = self.world_scope();
        let sound = self.check(&text.parsed, &scope);
        let url = self.text(text, &scope);
        let service = service_in(&url);
        if sound {
            self.check_target_url(&url, text.span);
        }
        let allow_hosts = match &target.allow_hosts {
            Some(hosts) => {
                let mut hosts: Vec<String> =
                    hosts.iter().map(|host| host.value.to_ascii_lowercase()).collect();
                hosts.sort();
                hosts.dedup();
                hosts
            }
            None => self.default_hosts(&url, service.is_some(), sound, text.span),
        };
        let protocol = target.protocol.map_or(Protocol::Http1, |protocol| protocol.value);
        self.origins.insert("target.url".into(), text.span);
        Some(Target {
            target: graph::Target { url, allow_hosts, tls, timeout, protocol },
            url_span: text.span,
            timeout_span,
            service,
        })
    }

    fn check_target_url(&mut self, url: &Template, span: Span) {
        let starts = match url.segments.first() {
            Some(Segment::Literal(text)) => Some(text.as_str()),
            Some(Segment::Slot(_)) => None,
            None => Some(""),
        };
        if let Some(text) = starts
            && !text.starts_with("http://")
            && !text.starts_with("https://")
        {
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_VALUE, span, "the target is not an absolute HTTP URL")
                    .help("write `http://host:port` or `https://host`"),
            );
        }
    }

    fn default_hosts(&mut self, url: &Template, service: bool, sound: bool, span: Span) -> Vec<String> {
        if service {
            return vec!["127.0.0.1".into(), "localhost".into()];
        }
        if let Some(host) = url_host(url) {
            return vec![host];
        }
        // A literal that has no host was reported as no URL.
        if sound && url.as_literal().is_none() && !self.plan.lost.block {
            self.diagnostics.push(
                Diagnostic::error(
                    codes::MISSING_ALLOW_HOSTS,
                    span,
                    "the target's host is known only when the run starts, and no host is allowed",
                )
                .help("write `allow_hosts: [host, \"*.staging.example.com\"]`"),
            );
        }
        Vec::new()
    }

    pub(super) fn database(&mut self) -> Option<Database> {
        let text = self.plan.database.as_ref()?;
        let scope = self.world_scope();
        let url = self.text(text, &scope);
        self.origins.insert("database".into(), text.span);
        let pool = self.pool();
        let service = service_in(&url);
        let template = self.kept_database(service.as_deref());
        Some(Database { url, pool, template, service })
    }

    /// Whether the database is a clone of a kept one. The Postgres of a service keeps none unless it is kept itself.
    fn kept_database(&mut self, service: Option<&str>) -> bool {
        let plan = self.plan;
        let Some(typed) = &plan.template else { return false };
        let template = self.typed(typed).unwrap_or(false);
        self.origins.insert("database.template".into(), typed.span());
        let own = plan.services.iter().find(|own| Some(own.name.value.as_str()) == service);
        if let Some(own) = own.filter(|_| template)
            && matches!(own.kind, ast::ServiceKind::Postgres { keep: None, .. })
        {
            let name = &own.name.value;
            let message =
                format!("no template outlives the run: the Postgres of service `{name}` goes with it");
            self.diagnostics.push(
                Diagnostic::error(codes::CONFLICTING_KEYS, typed.span(), message)
                    .also(own.name.span, "it is not kept")
                    .help("write `keep: NAME` beside `ephemeral: postgres`, or leave `template` out"),
            );
        }
        template
    }

    fn pool(&mut self) -> Option<(graph::Pool, Span)> {
        let pool = self.plan.pool.as_ref()?;
        let span = pool.per_worker.span();
        let per_worker = self.some(&pool.per_worker);
        let workers = pool.workers.as_ref().map_or(Some(1), |workers| self.some(workers));
        self.origins.insert("database.pool".into(), span);
        Some((graph::Pool { per_worker: per_worker?, workers: workers? }, span))
    }

    /// A number that is not 0.
    fn some(&mut self, typed: &ast::Typed<u32>) -> Option<u32> {
        let value = self.typed(typed)?;
        if value == 0 {
            self.error(codes::BAD_VALUE, typed.span(), "at least 1 is needed here");
            return None;
        }
        Some(value)
    }

    /// All services in starting order.
    pub(super) fn services(&mut self) -> Vec<graph::Service> {
        let plan = self.plan;
        let needs: BTreeMap<String, Vec<String>> =
            plan.services.iter().map(|service| (service.name.value.clone(), needs_of(service))).collect();
        let order = match topological(&needs) {
            Ok(order) => order,
            Err(cycle) => {
                let first = plan.services.iter().find(|service| cycle.contains(&service.name.value));
                if let Some(first) = first {
                    let message = match cycle.as_slice() {
                        [_] => format!("`{}` needs itself to start", first.name.value),
                        _ => {
                            format!("{} wait for each other", listed(cycle.iter().map(String::as_str), "and"))
                        }
                    };
                    self.error(codes::CYCLE, first.name.span, message);
                }
                needs.keys().cloned().collect()
            }
        };
        order
            .iter()
            .filter_map(|name| plan.services.iter().find(|service| service.name.value == *name))
            .filter_map(|service| match self.left_out.contains(&service.name.value) {
                false => self.service(service),
                true => self.unstarted(service),
            })
            .collect()
    }

    /// A service that is left out is checked as the others, and may speak of others that are.
    fn unstarted(&mut self, service: &ast::Service) -> Option<graph::Service> {
        let left_out = std::mem::take(&mut self.left_out);
        self.service(service);
        self.left_out = left_out;
        None
    }

    fn service(&mut self, service: &ast::Service) -> Option<graph::Service> {
        let name = service.name.value.clone();
        self.origins.insert(format!("services.{name}"), service.name.span);
        let kind = match &service.kind {
            ServiceKind::Broken => return None,
            ServiceKind::Postgres { database, keep, settings } => graph::ServiceKind::Postgres {
                database: self.typed_or(database.as_ref(), DATABASE.to_string()),
                keep: keep.as_ref().and_then(|keep| self.typed(keep)),
                settings: settings
                    .iter()
                    .filter_map(|(key, value)| Some((key.value.clone(), self.typed(value)?)))
                    .collect(),
            },
            ServiceKind::Command { argv, env, url, ready } => {
                let scope = self.world_scope().plain(["port"]);
                let argv = argv.iter().map(|text| self.text(text, &scope)).collect();
                let env = self.texts(env, &scope);
                let url = match url {
                    Some(url) => self.text(url, &scope),
                    None => default_url(),
                };
                let ready = ready.as_ref().and_then(|ready| {
                    let scope = self.world_scope();
                    let mut check =
                        self.check_of(ready, &scope, Some(&format!("service {name} is ready")))?;
                    check.within.get_or_insert(READY_WITHIN);
                    Some(check)
                });
                graph::ServiceKind::Command { argv, env, url, ready }
            }
        };
        Some(graph::Service { name, kind })
    }
}

/// `http://127.0.0.1:{{ port }}`.
fn default_url() -> Template {
    Template {
        segments: vec![
            Segment::Literal("http://127.0.0.1:".into()),
            Segment::Slot(crate::expr::Expr::Path(vec!["port".into()])),
        ],
    }
}

/// The services that a service's command and environment speak of.
fn needs_of(service: &ast::Service) -> Vec<String> {
    let ServiceKind::Command { argv, env, url, .. } = &service.kind else { return Vec::new() };
    let texts = argv.iter().chain(env.iter().map(|(_, text)| text)).chain(url);
    texts.flat_map(|text| services_of(&text.parsed)).collect()
}

/// The services that a template speaks of.
fn services_of<T>(parsed: &Parsed<T>) -> impl Iterator<Item = String> + '_ {
    parsed.uses.iter().filter_map(|name_use| match name_use.path.as_slice() {
        [root, name, ..] if root == "services" => Some(name.clone()),
        _ => None,
    })
}

/// The first service that is left in a template whose inputs are in place.
fn service_in(template: &Template) -> Option<String> {
    let mut found = None;
    template.paths(&mut |path| match path {
        [root, name, ..] if root == "services" && found.is_none() => found = Some(name.clone()),
        _ => {}
    });
    found
}

/// The host of an absolute URL, when it is literal.
pub(crate) fn url_host(url: &Template) -> Option<String> {
    let Some(Segment::Literal(text)) = url.segments.first() else { return None };
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    let end = rest.find(['/', '?', '#']);
    // Without an end the next slot may still belong to the host.
    if end.is_none() && url.segments.len() > 1 {
        let (host, _) = rest.split_once(':')?;
        return (!host.is_empty()).then(|| host.to_ascii_lowercase());
    }
    let authority = &rest[..end.unwrap_or(rest.len())];
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => authority.split(':').next().unwrap_or(authority),
    };
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}
