//! Guards: what must hold before anything is written, and the addresses that the run may speak to.

use super::{Part, Run};
use crate::checks::Seen;
use crate::client::Web;
use crate::database;
use crate::evidence::{End, NodeOutcome};
use crate::guards::{self, record};
use crate::inputs;
use crate::values::Values;
use planc::eval;
use planc::graph::Template;
use std::sync::Arc;
use std::time::Instant;

impl Run<'_> {
    /// Inputs, addresses, names, files, programs: all that needs neither service nor network.
    pub fn static_guards(&mut self) -> Part {
        self.listener.part("guards");
        let graph = Arc::clone(&self.graph);
        let set = &self.options.set;
        let missing = inputs::resolve(&graph, set, &self.world.env, &mut self.values, &mut self.masker);
        for node in missing {
            self.note(node);
        }
        self.halt_if_failed("guard", End::Refused)?;
        if let Some(target) = &graph.target {
            let tls = &target.tls;
            // What a service of the run writes is there when the service is ready.
            let written_later = tls.ca.as_ref().is_some_and(|ca| !self.world.folder.join(ca).exists())
                && guards::is_started_here(&graph, &target.url);
            self.web = match Web::new(tls, &target.allow_hosts, target.timeout) {
                Ok(web) => Some(web),
                Err(_) if written_later => Some(Web::late(tls, &target.allow_hosts, target.timeout)),
                Err(why) => {
                    let seen = Seen::new(NodeOutcome::Failed, why);
                    self.note(record("guard", "the target's TLS", seen, None, Instant::now()));
                    None
                }
            };
        }
        self.addresses(true);
        for guard in graph.guards.iter().filter(|guard| guard.static_guard) {
            self.guard(guard)?;
        }
        self.halt_if_failed("guard", End::Refused)
    }

    /// Guards that ask the target or the database.
    pub fn live_guards(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        self.addresses(false);
        self.halt_if_failed("guard", End::Refused)?;
        if let (Some(web), Some(base)) = (&self.web, &self.base)
            && graph.target.as_ref().is_some_and(|target| guards::is_started_here(&graph, &target.url))
            && let Some((host, Some(port))) = crate::client::host_of(base)
        {
            self.web = Some(web.allowing(&format!("{host}:{port}")));
        }
        let live: Vec<_> = graph.guards.iter().filter(|guard| !guard.static_guard).collect();
        if !live.is_empty() {
            self.listener.part("guards");
        }
        for guard in live {
            self.guard(guard)?;
        }
        self.halt_if_failed("guard", End::Refused)
    }

    /// Addresses of target and database: those that are known before the services are up, or the others.
    fn addresses(&mut self, before_services: bool) {
        let graph = Arc::clone(&self.graph);
        let known = |values: &Values, template: &Template| eval::render(template, values).ok();
        if let Some(target) = &graph.target
            && self.base.is_none()
        {
            match known(&self.values, &target.url) {
                Some(base) => {
                    if !guards::is_started_here(&graph, &target.url) {
                        self.note(guards::target_address(&graph, &base));
                    }
                    self.base = Some(base);
                }
                None if before_services => {}
                None => self.unknown_address("the target's address"),
            }
        }
        if let Some(template) = &graph.database
            && self.database.is_none()
        {
            match known(&self.values, template) {
                Some(url) => {
                    if let Some(password) = database::password_in_url(&url) {
                        self.masker.add(&password);
                    }
                    if !guards::is_started_here(&graph, template) {
                        let given = self.options.database_guard.as_deref();
                        for node in guards::database_address(&graph, &url, given) {
                            self.note(node);
                        }
                    }
                    self.database = Some(url);
                }
                None if before_services => {}
                None => self.unknown_address("the database's address"),
            }
        }
    }

    fn unknown_address(&mut self, what: &str) {
        let seen = Seen::new(NodeOutcome::Absent, "its URL has no value, although all services are up");
        self.note(record("guard", what, seen, None, Instant::now()));
    }

    fn guard(&mut self, guard: &planc::graph::Check) -> Part {
        let env = self.world.env.clone();
        let (node, passed_over) =
            self.block_with(|prober| async move { guards::evaluate(guard, &prober, &env).await })?;
        self.note(node);
        self.overrides.extend(passed_over);
        Ok(())
    }
}
