//! A custom metric that no step records.

use super::Lint;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::MetricKind;
use crate::resolved::ResolvedPlan;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0427", name: "unused-metric" }, page: include_str!("unused-metric.md"), check };

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    if plan.lost.steps {
        return;
    }
    for (name, kind) in &plan.metrics {
        // A gate on it can never see a sample, and is told so by its own lint.
        let gated = plan.gates.iter().any(|gate| gate.gate.metric == *name);
        let Some(span) = plan.origins.get(&format!("metrics.{name}")) else { continue };
        if gated || plan.used.metrics.contains(name) {
            continue;
        }
        if plan.scrapes.contains_key(name) {
            diagnostics.push(
                Diagnostic::warning(LINT.code, *span, format!("nothing reads the scraped metric `{name}`"))
                    .help(format!("write a gate, such as `{name}: [\"max < 100\"]`, or leave it out")),
            );
            continue;
        }
        let record = match kind {
            MetricKind::Rate => "{ when: \"response.status == 429\" }",
            MetricKind::Counter => "{}",
            MetricKind::Trend | MetricKind::TimeTrend | MetricKind::Gauge => "{ value: response.json.total }",
        };
        diagnostics.push(
            Diagnostic::warning(LINT.code, *span, format!("no step records the metric `{name}`"))
                .help(format!("write `record: {{ {name}: {record} }}` in a step, or leave it out")),
        );
    }
}
