//! For people: rustc's layout.

use super::{Findings, Summary, View, coverage};
use crate::diagnostic::{Diagnostic, Label};
use crate::source::{FileId, SourceFile, SourceMap, Span};
use crate::units::count;
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Origin, Patch, Renderer, Snippet,
    normalize_untrusted_str,
};
use std::ops::Range;

/// More bytes than anyone reads of the lines around a place; drawing them all, once for each finding in them, would take
/// seconds.
const LONGEST: usize = 8 << 10;

pub(super) fn render(findings: &Findings, view: View) -> String {
    let renderer =
        if view.color { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for diagnostic in &findings.diagnostics {
        out.push_str(&renderer.render(&report(&findings.sources, diagnostic)));
        out.push_str("\n\n");
    }
    if view.coverage {
        for allowed in &findings.allowed {
            out.push_str(&one_allowed(findings, allowed));
        }
        out.push_str(&coverage::table(findings, view.color));
    }
    out.push_str(&closing(&findings.summary()));
    out
}

/// `allowed[P0408] plans/x.yaml:12:5: …` and why.
fn one_allowed(findings: &Findings, allowed: &crate::Allowed) -> String {
    let diagnostic = &allowed.diagnostic;
    let file = findings.sources.file(diagnostic.primary.span.file);
    let (line, column) = file.line_column(diagnostic.primary.span.start as usize);
    let until = allowed.until.map_or(String::new(), |until| format!(" (until {until})"));
    format!(
        "allowed[{}] {}:{line}:{column}: {}\n  reason: {}{until}\n\n",
        diagnostic.code.id,
        file.name,
        one_line(&diagnostic.message),
        one_line(&allowed.reason)
    )
}

/// The last line.
fn closing(summary: &Summary) -> String {
    let files = count(summary.files, "file");
    let found = match (summary.errors, summary.warnings) {
        (0, 0) => "no problems".to_string(),
        (0, warnings) => count(warnings, "warning"),
        (errors, 0) => count(errors, "error"),
        (errors, warnings) => format!("{} and {}", count(errors, "error"), count(warnings, "warning")),
    };
    match summary.allowed {
        0 => format!("{found} in {files}\n"),
        allowed => format!("{found} in {files}, {allowed} allowed\n"),
    }
}

fn report<'a>(sources: &'a SourceMap, diagnostic: &'a Diagnostic) -> Vec<Group<'a>> {
    let level = match diagnostic.level {
        crate::diagnostic::Level::Error => Level::ERROR,
        crate::diagnostic::Level::Warning => Level::WARNING,
    };
    let title = level.primary_title(one_line(&diagnostic.message)).id(diagnostic.code.id);
    let mut group = title.elements(snippets(sources, diagnostic));
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(one_line(note)));
    }
    if !diagnostic.profiles.is_empty() {
        let noun = if diagnostic.profiles.len() == 1 { "profile" } else { "profiles" };
        let names = diagnostic.profiles.join("`, `");
        group = group.element(Level::NOTE.message(one_line(&format!("in {noun} `{names}`"))));
    }
    match (&diagnostic.help, &diagnostic.suggestion) {
        (help, Some(suggestion)) => {
            let title = help.as_deref().unwrap_or("write");
            let file = sources.file(suggestion.span.file);
            let window = window(file, [suggestion.span].iter());
            let range = clamp(file, suggestion.span);
            if window.len() > LONGEST {
                let text = help.clone().unwrap_or_else(|| format!("write `{}`", suggestion.replacement));
                return vec![group.element(Level::HELP.message(one_line(&text)))];
            }
            let patch = Patch::new(
                range.start - window.start..range.end - window.start,
                one_line(&suggestion.replacement),
            );
            let snippet = source(file, &window).patch(patch);
            vec![group, Level::HELP.secondary_title(one_line(title)).element(snippet)]
        }
        (Some(help), None) => vec![group.element(Level::HELP.message(one_line(help)))],
        (None, None) => vec![group],
    }
}

/// One snippet for each file that has labels, the primary's first. What lies far apart gets snippets of its own, and what
/// lies on a line beyond reading its place alone.
fn snippets<'a>(sources: &'a SourceMap, diagnostic: &'a Diagnostic) -> Vec<Element<'a>> {
    let mut files: Vec<FileId> = vec![diagnostic.primary.span.file];
    for label in &diagnostic.secondary {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    let labels = std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary).enumerate();
    let labels: Vec<(usize, &Label)> = labels.collect();
    let mut out = Vec::new();
    for id in files {
        let file = sources.file(id);
        let of_file: Vec<_> = labels.iter().filter(|(_, label)| label.span.file == id).copied().collect();
        match snippet(file, &of_file) {
            Some(all) => out.push(all),
            None => out.extend(of_file.iter().map(|label| {
                snippet(file, std::slice::from_ref(label)).unwrap_or_else(|| place(file, label.1))
            })),
        }
    }
    out
}

/// Some labels in the lines around them, unless these are too long.
fn snippet<'a>(file: &'a SourceFile, labels: &[(usize, &'a Label)]) -> Option<Element<'a>> {
    let window = window(file, labels.iter().map(|(_, label)| &label.span));
    let annotated = || {
        labels.iter().fold(source(file, &window), |snippet, (i, label)| {
            let kind = if *i == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            snippet.annotation(annotation(kind, file, label, window.start))
        })
    };
    (window.len() <= LONGEST).then(|| annotated().into())
}

/// Where a label is, without its line.
fn place<'a>(file: &'a SourceFile, label: &Label) -> Element<'a> {
    let (line, column) = file.line_column(label.span.start as usize);
    Origin::path(file.name.as_str()).line(line).char_column(column).into()
}

fn annotation<'a>(
    kind: AnnotationKind,
    file: &SourceFile,
    label: &'a Label,
    offset: usize,
) -> Annotation<'a> {
    let range = clamp(file, label.span);
    let annotation = kind.span(range.start - offset..range.end - offset);
    if label.text.is_empty() { annotation } else { annotation.label(one_line(&label.text)) }
}

fn source<'a, T: Clone>(file: &'a SourceFile, window: &Range<usize>) -> Snippet<'a, T> {
    let (line, _) = file.line_column(window.start);
    Snippet::source(&file.text[window.clone()]).line_start(line).path(file.name.as_str())
}

/// The whole lines around some spans, so that a large file is not read anew for each diagnostic.
fn window<'a>(file: &SourceFile, spans: impl Iterator<Item = &'a Span>) -> Range<usize> {
    let (mut start, mut end) = (file.text.len(), 0);
    for span in spans {
        let range = clamp(file, *span);
        start = start.min(range.start);
        end = end.max(range.end);
    }
    let start = file.text[..start].rfind('\n').map_or(0, |i| i + 1);
    let end = end.max(start);
    start..file.text[end..].find('\n').map_or(file.text.len(), |i| end + i + 1)
}

/// A span as a range that lies in the file and on character bounds.
fn clamp(file: &SourceFile, span: Span) -> Range<usize> {
    let fit = |at: usize| {
        let mut at = at.min(file.text.len());
        while !file.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = fit(span.range().start);
    start..fit(span.range().end).max(start)
}

/// Text from a plan cannot move the cursor or break the frame.
fn one_line(text: &str) -> String {
    normalize_untrusted_str(&text.replace(['\n', '\r'], " "))
}
