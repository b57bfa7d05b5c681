//! For people: rustc's layout.

use super::{Summary, count};
use crate::diagnostic::{Diagnostic, Label};
use crate::source::{FileId, SourceFile, SourceMap, Span};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Patch, Renderer, Snippet, normalize_untrusted_str,
};
use std::ops::Range;

pub(super) fn render(
    sources: &SourceMap,
    diagnostics: &[Diagnostic],
    summary: &Summary,
    color: bool,
) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&renderer.render(&report(sources, diagnostic)));
        out.push_str("\n\n");
    }
    out.push_str(&closing(summary));
    out
}

/// The last line.
fn closing(summary: &Summary) -> String {
    let files = count(summary.files, "file");
    match (summary.errors, summary.warnings) {
        (0, 0) => format!("no problems in {files}\n"),
        (0, warnings) => format!("{} in {files}\n", count(warnings, "warning")),
        (errors, 0) => format!("{} in {files}\n", count(errors, "error")),
        (errors, warnings) => {
            format!("{} and {} in {files}\n", count(errors, "error"), count(warnings, "warning"))
        }
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

/// One snippet for each file that has labels, the primary's first.
fn snippets<'a>(sources: &'a SourceMap, diagnostic: &'a Diagnostic) -> Vec<Snippet<'a, Annotation<'a>>> {
    let mut files: Vec<FileId> = vec![diagnostic.primary.span.file];
    for label in &diagnostic.secondary {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    let snippet = |id: &FileId| {
        let file = sources.file(*id);
        let labels = || std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary);
        let window = window(file, labels().map(|l| &l.span).filter(|span| span.file == *id));
        labels().enumerate().filter(|(_, label)| label.span.file == *id).fold(
            source(file, &window),
            |snippet, (i, label)| {
                let kind = if i == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                snippet.annotation(annotation(kind, file, label, window.start))
            },
        )
    };
    files.iter().map(snippet).collect()
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
