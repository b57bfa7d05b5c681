//! SARIF 2.1.0 (OASIS), for code scanning. What the plan allows is a suppressed result, so that it stays in sight.

use super::{Findings, View, gist};
use crate::allows::Allowed;
use crate::diagnostic::{Diagnostic, Level};
use crate::graph::Json;
use crate::source::{SourceMap, Span};
use serde_json::json;
use std::collections::BTreeSet;

pub(super) fn render(findings: &Findings, _: View) -> String {
    let told = findings.diagnostics.iter();
    let used: BTreeSet<&str> =
        told.chain(findings.allowed.iter().map(|allowed| &allowed.diagnostic)).map(|d| d.code.id).collect();
    let pages: Vec<crate::Page> =
        crate::pages().into_iter().filter(|page| used.contains(page.code)).collect();
    let rules: Vec<Json> = pages.iter().map(rule).collect();
    let results = findings.diagnostics.iter().map(|d| result(&findings.sources, d, None));
    let suppressed =
        findings.allowed.iter().map(|allowed| result(&findings.sources, &allowed.diagnostic, Some(allowed)));
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "planc",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results.chain(suppressed).collect::<Vec<Json>>(),
        }],
    });
    format!("{document:#}\n")
}

fn rule(page: &crate::Page) -> Json {
    json!({
        "id": page.code,
        "name": page.name,
        "shortDescription": { "text": page.name },
        "fullDescription": { "text": gist(page) },
        "help": { "text": format!("planc explain {}", page.code), "markdown": page.text },
    })
}

fn result(sources: &SourceMap, d: &Diagnostic, allowed: Option<&Allowed>) -> Json {
    let mut text = d.message.clone();
    d.notes.iter().for_each(|note| text.push_str(&format!("\nnote: {note}")));
    if let Some(help) = &d.help {
        text.push_str(&format!("\nhelp: {help}"));
    }
    let mut result = json!({
        "ruleId": d.code.id,
        "level": match d.level { Level::Error => "error", Level::Warning => "warning" },
        "message": { "text": text },
        "locations": [location(sources, d.primary.span, &d.primary.text)],
    });
    if !d.secondary.is_empty() {
        let related = d.secondary.iter().map(|label| location(sources, label.span, &label.text));
        result["relatedLocations"] = related.collect();
    }
    if let Some(fix) = &d.suggestion {
        result["fixes"] = json!([{ "artifactChanges": [{
            "artifactLocation": artifact(sources, fix.span),
            "replacements": [{
                "deletedRegion": region(sources, fix.span),
                "insertedContent": { "text": fix.replacement },
            }],
        }]}]);
    }
    if let Some(allowed) = allowed {
        result["suppressions"] = json!([{ "kind": "inSource", "justification": allowed.reason }]);
    }
    if !d.profiles.is_empty() {
        result["properties"] = json!({ "profiles": d.profiles });
    }
    result
}

fn location(sources: &SourceMap, span: Span, text: &str) -> Json {
    let mut location = json!({ "physicalLocation": {
        "artifactLocation": artifact(sources, span),
        "region": region(sources, span),
    }});
    if !text.is_empty() {
        location["message"] = json!({ "text": text });
    }
    location
}

fn artifact(sources: &SourceMap, span: Span) -> Json {
    json!({ "uri": uri(&sources.file(span.file).name) })
}

/// Lines and columns from 1, the end exclusive, as SARIF has them.
fn region(sources: &SourceMap, span: Span) -> Json {
    let file = sources.file(span.file);
    let (line, column) = file.line_column(span.start as usize);
    let (end_line, end_column) = file.line_column(span.end as usize);
    json!({ "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column })
}

/// A path as a relative reference (RFC 3986); an absolute one as a `file` URI.
fn uri(path: &str) -> String {
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(byte.into())
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_are_uris() {
        assert_eq!(uri("plans/a b.yaml"), "plans/a%20b.yaml");
        assert_eq!(uri("/x/ä:1.yaml"), "file:///x/%C3%A4%3A1.yaml");
    }
}
