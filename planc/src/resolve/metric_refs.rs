//! References to one number of the stream of samples: which metric, and what is computed of it.

use super::Resolver;
use super::conditions::{allowed, kind_of, read_aggregate};
use crate::ast;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::{Aggregate, MetricKind, MetricRef};
use crate::resolved::Reference;
use crate::units::Fixed;
use std::collections::BTreeMap;

impl Resolver<'_> {
    /// The reference with its aggregate filled in, and what kind of metric it is to; `None` when it is wrong, which is
    /// reported by then. Whether anything emits such samples is for lints to tell.
    pub(super) fn metric_ref(&mut self, written: &ast::MetricRef) -> Option<(MetricRef, MetricKind)> {
        let metric = &written.selector.metric;
        let declared = |metric: &ast::Metric| Some((metric.name.value.clone(), metric.kind?));
        let custom: BTreeMap<String, MetricKind> = self.plan.metrics.iter().filter_map(declared).collect();
        let Some(kind) = kind_of(&metric.value, &custom) else {
            self.unknown_metric(metric, &custom);
            return None;
        };
        let aggregate = match &written.aggregate {
            None => usual(kind),
            Some(word) => self.aggregate(word, kind)?,
        };
        self.has_mean(
            &metric.value,
            kind,
            aggregate,
            written.aggregate.as_ref().map_or(written.span, |word| word.span),
        )?;
        let selector = written
            .selector
            .tags
            .iter()
            .map(|(tag, value)| (tag.value.clone(), value.value.clone()))
            .collect();
        let number = MetricRef { metric: metric.value.clone(), selector, aggregate };
        self.used.metrics.insert(metric.value.clone());
        let tags = written.selector.tags.iter();
        self.references.push(Reference {
            number: number.clone(),
            span: written.span,
            metric_span: metric.span,
            tag_spans: tags.map(|(tag, value)| (tag.value.clone(), (tag.span, value.span))).collect(),
            reachable: true,
            expected: None,
        });
        Some((number, kind))
    }

    fn aggregate(&mut self, word: &ast::Word, kind: MetricKind) -> Option<Aggregate> {
        let Some((aggregate, name)) = read_aggregate(&word.value) else {
            let message = format!("`{}` is not an aggregate", word.value);
            let diagnostic = Diagnostic::error(codes::BAD_THRESHOLD, word.span, message);
            self.diagnostics.push(diagnostic.help("write one such as `p95`, `avg`, `rate` or `value`"));
            return None;
        };
        if let Err(problem) = allowed(aggregate, kind, &name) {
            self.diagnostics.push(problem.diagnostic(word.span));
            return None;
        }
        Some(aggregate)
    }
}

/// What is meant when no aggregate is named.
fn usual(kind: MetricKind) -> Aggregate {
    match kind {
        MetricKind::Rate | MetricKind::Counter => Aggregate::Rate,
        MetricKind::Gauge => Aggregate::Value,
        MetricKind::Trend | MetricKind::TimeTrend => Aggregate::Percentile(Fixed(95_000_000)),
    }
}
