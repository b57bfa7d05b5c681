//! Metrics that leave while the load runs: where to, and what became of them.

use super::Run;
use crate::checks::Seen;
use crate::evidence::{LoadRecord, NodeOutcome};
use crate::guards::record;
use crate::load::{LoadInput, Stream};
use crate::push::{Endpoint, Pusher, Told, Wanted};
use planc::eval;
use planc::graph::Template;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As k6 pushes.
const EVERY: Duration = Duration::from_secs(5);

impl Run<'_> {
    /// Starts what the plan or the command line asks for, if anything.
    pub(super) fn pusher(&mut self, input: &mut LoadInput) -> Option<Pusher> {
        let start = Instant::now();
        let wanted = match self.wanted() {
            Ok(wanted) => wanted,
            Err(why) => {
                // Told, and no reason not to measure.
                self.note(record("report", "prometheus", Seen::new(NodeOutcome::Failed, why), None, start));
                return None;
            }
        };
        if wanted.prometheus.is_none() && wanted.grafana.is_none() {
            return None;
        }
        let every = wanted.prometheus.as_ref().map_or(EVERY, |(_, every)| *every).as_secs();
        let (runtime, graph) = (self.runtime.handle(), Arc::clone(&self.graph));
        let pusher = Pusher::start(runtime, wanted, graph, &self.run_id, self.world.clock);
        input.stream = Some(Stream { every, take: pusher.stream() });
        Some(pusher)
    }

    /// Sends the rest and writes down what became of it.
    pub(super) fn pushed(&mut self, pusher: Pusher, measured: &LoadRecord, start: Instant) {
        let told = pusher.finish(&self.runtime, measured);
        for (name, what, told) in [("prometheus", "push", &told[0]), ("grafana", "annotation", &told[1])] {
            if told.pushes > 0 {
                self.note(record("report", name, seen(told, what), None, start));
            }
        }
    }

    fn wanted(&self) -> Result<Wanted, String> {
        let report = &self.graph.report;
        let prometheus = match (&self.options.prometheus_rw, &report.prometheus) {
            // A credential of the plan's own is not sent elsewhere.
            (Some(url), _) => Some((Endpoint { url: url.clone(), headers: Vec::new() }, EVERY)),
            (None, Some(one)) => {
                let headers = &one.headers;
                Some((self.endpoint(&one.url, one.token.as_ref(), headers)?, one.every))
            }
            (None, None) => None,
        };
        let grafana = match &report.grafana {
            Some(one) => Some(self.endpoint(&one.url, one.token.as_ref(), &BTreeMap::new())?),
            None => None,
        };
        Ok(Wanted { prometheus, grafana })
    }

    fn endpoint(
        &self,
        url: &Template,
        token: Option<&Template>,
        headers: &BTreeMap<String, Template>,
    ) -> Result<Endpoint, String> {
        let render = |template: &Template| eval::render(template, &self.values).map_err(|error| error.0);
        let mut out = Endpoint { url: render(url)?, headers: Vec::new() };
        if let Some(token) = token {
            out.headers.push(("authorization".into(), format!("Bearer {}", render(token)?)));
        }
        for (name, template) in headers {
            out.headers.push((name.clone(), render(template)?));
        }
        Ok(out)
    }
}

/// `12 pushes`, `3 of 12 pushes were lost, the last one too: …`.
fn seen(told: &Told, what: &str) -> Seen {
    let many = |count: u64| if count == 1 { what.to_owned() } else { format!("{what}{}", plural(what)) };
    let why = told.why.as_deref().unwrap_or_default();
    let all = format!("{} {}", told.pushes, many(told.pushes));
    match (told.lost, told.whole) {
        (0, _) => Seen::new(NodeOutcome::Passed, all),
        (lost, true) => {
            let text =
                format!("{lost} of {all} lost, the last one arrived: nothing is missing at the end ({why})");
            Seen::new(NodeOutcome::Passed, text)
        }
        (lost, false) => Seen::new(NodeOutcome::Failed, format!("{lost} of {all} lost: {why}")),
    }
}

fn plural(what: &str) -> &'static str {
    if what.ends_with("sh") { "es" } else { "s" }
}
