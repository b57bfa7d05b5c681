//! For programs: one object.

use super::Summary;
use crate::diagnostic::Diagnostic;
use crate::graph::Json;
use crate::source::{SourceMap, Span};
use serde_json::json;

pub(super) fn render(sources: &SourceMap, diagnostics: &[Diagnostic], summary: &Summary, _: bool) -> String {
    let all: Vec<Json> = diagnostics.iter().map(|d| diagnostic(sources, d)).collect();
    let document = json!({
        "diagnostics": all,
        "summary": { "errors": summary.errors, "warnings": summary.warnings, "files": summary.files },
    });
    format!("{document:#}\n")
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
