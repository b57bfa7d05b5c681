//! For programs: one object.

use super::{Change, Report, mistakes};
use crate::graph::Json;
use crate::render::{self, View};
use serde_json::json;

pub(super) fn render(report: &Report, _: bool) -> String {
    let document = json!({
        "old": report.old,
        "new": report.new,
        "weakened": report.weakened(),
        "changes": report.changes.iter().map(|change| one(report, change)).collect::<Vec<_>>(),
        "errors": errors(report),
    });
    format!("{document:#}\n")
}

fn one(report: &Report, change: &Change) -> Json {
    let place = change.span.map(|span| {
        let file = report.sources.file(span.file);
        let (line, column) = file.line_column(span.start as usize);
        let (end_line, end_column) = file.line_column(span.end as usize);
        json!({
            "file": file.name, "line": line, "column": column, "end_line": end_line, "end_column": end_column,
        })
    });
    json!({
        "code": change.code.map(|code| code.id),
        "name": change.code.map(|code| code.name),
        "effect": change.effect.as_str(),
        "subject": change.subject,
        "message": change.message,
        "notes": change.notes,
        "profiles": change.profiles,
        "place": place,
    })
}

/// The new side's mistakes, as `planc check --format json` tells them.
fn errors(report: &Report) -> Json {
    let format = render::FORMATS.iter().find(|format| format.name == "json");
    let told = format.map(|format| (format.render)(&mistakes(report), View::default()));
    let document: Option<Json> = told.and_then(|told| serde_json::from_str(&told).ok());
    document.and_then(|mut document| document.get_mut("diagnostics").map(Json::take)).unwrap_or(json!([]))
}
