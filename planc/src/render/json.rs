//! For programs: one object.

use super::{Findings, View};
use crate::coverage::{Coverage, StepCoverage};
use crate::diagnostic::Diagnostic;
use crate::graph::Json;
use crate::source::{SourceMap, Span};
use serde_json::json;

pub(super) fn render(findings: &Findings, _: View) -> String {
    let Findings { sources, diagnostics, allowed, coverage } = findings;
    let all: Vec<Json> = diagnostics.iter().map(|d| diagnostic(sources, d)).collect();
    let allowed = allowed.iter().map(|allowed| {
        let mut object = diagnostic(sources, &allowed.diagnostic);
        object["reason"] = allowed.reason.as_str().into();
        object["until"] = allowed.until.map(|until| until.to_string()).into();
        object
    });
    let plans = coverage.iter().flat_map(|(plan, parts)| parts.iter().map(move |part| (plan, part)));
    let summary = findings.summary();
    let document = json!({
        "diagnostics": all,
        "allowed": allowed.collect::<Vec<Json>>(),
        "coverage": plans.map(|(plan, part)| coverage_of(sources, plan, part)).collect::<Vec<Json>>(),
        "summary": {
            "errors": summary.errors,
            "warnings": summary.warnings,
            "allowed": summary.allowed,
            "files": summary.files,
        },
    });
    format!("{document:#}\n")
}

fn coverage_of(sources: &SourceMap, plan: &str, coverage: &Coverage) -> Json {
    let step = |step: &StepCoverage| {
        with_place(
            sources,
            step.span,
            &[
                ("scenario", step.scenario.as_str().into()),
                ("step", step.step.as_str().into()),
                ("smoke", step.smoke.into()),
                ("latency", step.latency.clone().into()),
                ("errors", step.errors.clone().into()),
                ("expectations", step.expectations.clone().into()),
            ],
        )
    };
    json!({
        "plan": plan,
        "profiles": coverage.profiles,
        "share": coverage.share().as_f64(),
        "steps": coverage.steps.iter().map(step).collect::<Vec<Json>>(),
    })
}

fn diagnostic(sources: &SourceMap, d: &Diagnostic) -> Json {
    let labels = d
        .secondary
        .iter()
        .map(|label| with_place(sources, label.span, &[("text", label.text.as_str().into())]));
    let suggestion = d
        .suggestion
        .as_ref()
        .map(|s| with_place(sources, s.span, &[("replacement", s.replacement.as_str().into())]));
    with_place(
        sources,
        d.primary.span,
        &[
            ("code", d.code.id.into()),
            ("name", d.code.name.into()),
            ("level", d.level.as_str().into()),
            ("message", d.message.as_str().into()),
            ("help", d.help.as_deref().into()),
            ("labels", labels.collect()),
            ("notes", d.notes.clone().into()),
            ("suggestion", suggestion.into()),
            ("profiles", d.profiles.clone().into()),
        ],
    )
}

/// An object with a place and more.
fn with_place(sources: &SourceMap, span: Span, more: &[(&str, Json)]) -> Json {
    let file = sources.file(span.file);
    let (line, column) = file.line_column(span.start as usize);
    let (end_line, end_column) = file.line_column(span.end as usize);
    let mut object = json!({
        "file": file.name, "line": line, "column": column, "end_line": end_line, "end_column": end_column,
    });
    for (key, value) in more {
        object[*key] = value.clone();
    }
    object
}
