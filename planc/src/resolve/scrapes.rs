//! Metrics that are scraped beside the load.

use super::Resolver;
use crate::ast::{self, ScrapeFrom};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::{self, Aggregate, MetricKind};
use crate::source::Span;
use crate::units::show_duration;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a metric is scraped unless the plan says otherwise.
const EVERY: Duration = Duration::from_secs(5);
/// Whoever asks more often is part of the load.
const SHORTEST: Duration = Duration::from_millis(200);
/// Time that a scrape may take unless the plan says otherwise, at least and at most.
const WITHIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Good scrapes that a gate needs in what it judges: of one or two nobody knows what was between them.
pub(super) const NEEDED: u64 = 3;

impl Resolver<'_> {
    /// Scraped metrics by name.
    pub(super) fn scrapes(&mut self) -> BTreeMap<String, graph::Scrape> {
        let plan = self.plan;
        let mut out = BTreeMap::new();
        for metric in &plan.metrics {
            let Some(scrape) = &metric.scrape else { continue };
            let name = &metric.name.value;
            let found = self.at(&format!("metrics.{name}"), |it| it.scrape(scrape));
            // What could not be read would have given samples.
            self.lost.steps |= found.is_none();
            out.extend(found.map(|scrape| (name.clone(), scrape)));
        }
        out
    }

    fn scrape(&mut self, scrape: &ast::Scrape) -> Option<graph::Scrape> {
        let scope = self.world_scope().plain(["run_id"]);
        let from = scrape.from.as_ref().map(|from| match from {
            ScrapeFrom::Prometheus(request, series, take) => graph::ScrapeFrom::Prometheus {
                request: self.request(request, &scope),
                series: series.clone(),
                take: *take,
            },
            ScrapeFrom::Json(request, path, take) => graph::ScrapeFrom::Json {
                request: self.request(request, &scope),
                path: path.clone(),
                take: *take,
            },
            ScrapeFrom::Sql(statement) => graph::ScrapeFrom::Sql { statement: self.text(statement, &scope) },
        });
        let every = self.typed_or(scrape.every.as_ref(), EVERY);
        if let Some(written) = scrape.every.as_ref().filter(|_| every < SHORTEST) {
            let message = format!("every {} is a load of its own", show_duration(every));
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_VALUE, written.span(), message)
                    .help(format!("write `every: {}` or more", show_duration(SHORTEST))),
            );
            return None;
        }
        let within = self.typed_or(scrape.within.as_ref(), every.clamp(WITHIN.0, WITHIN.1));
        Some(graph::Scrape { from: from?, every, within })
    }

    /// Of gauges only those that are scraped have a mean: the others are kept by their last value and their extremes.
    pub(super) fn has_mean(
        &mut self,
        metric: &str,
        kind: MetricKind,
        aggregate: Aggregate,
        span: Span,
    ) -> Option<()> {
        if kind != MetricKind::Gauge || aggregate != Aggregate::Avg || self.is_scraped(metric) {
            return Some(());
        }
        self.diagnostics.push(
            Diagnostic::error(codes::AGGREGATE_MISFIT, span, "a gauge has no `avg`")
                .help("a gauge has `value`, `min` and `max`; one that is scraped has `avg` too"),
        );
        None
    }

    /// Whether a metric is scraped.
    pub(super) fn is_scraped(&self, metric: &str) -> bool {
        self.plan.metrics.iter().any(|known| known.name.value == metric && known.scrape.is_some())
    }
}
