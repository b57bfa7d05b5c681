//! What `planc check` finds, as an editor shows it.

use super::files::{Asked, Overlay};
use super::text::{Lines, Units};
use jiff::civil::Date;
use lsp_types::{
    DiagnosticRelatedInformation, DiagnosticSeverity, DiagnosticTag, Location, NumberOrString, TextEdit, Url,
};
use planc::diagnostic::{Diagnostic, Level};
use planc::ide::{Document, Sort};
use planc::source::{SourceMap, Span};
use planc::suite;
use planc::{Compilation, Files, Options};
use std::collections::{BTreeMap, BTreeSet};

/// A diagnostic, and the edit that mends it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) diagnostic: lsp_types::Diagnostic,
    pub(super) fix: Option<Fix>,
}

/// An edit with a name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fix {
    pub(super) title: String,
    pub(super) url: Url,
    pub(super) edit: TextEdit,
}

/// One open file, checked.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// Every path that was asked for.
    pub(super) reads: BTreeSet<String>,
    /// Findings by the path of their file.
    pub(super) findings: BTreeMap<String, Vec<Finding>>,
}

/// Checks a plan in every profile, a fixture alone, or what is between the plans of a suite; any other YAML has no
/// findings.
pub(super) fn check(files: &Overlay<'_>, path: &str, units: Units, today: Date) -> Checked {
    let options = Options { today: Some(today), ..Options::default() };
    let asked = Asked::of(files);
    let sort = Document::read(&asked, path).and_then(|document| document.sort());
    let compilation = match sort {
        Some(Sort::Plan) => planc::check(&asked, path, &options),
        Some(Sort::Fixture) => planc::compile_fixture(&asked, path, &options),
        None if too_long(files, path) || suite::is_suite(&asked, path) => {
            planc::check(&asked, path, &options)
        }
        None => Compilation::default(),
    };
    let Compilation { sources, diagnostics, .. } = compilation;
    let lines = sources.files().map(|(_, file)| Lines::of(&file.text, units)).collect();
    let show = Show { files, sources: &sources, lines };
    let mut findings: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for diagnostic in diagnostics.into_sorted() {
        let file = sources.file(diagnostic.primary.span.file).name.clone();
        findings.entry(file).or_default().push(show.finding(&diagnostic));
    }
    Checked { reads: asked.paths.into_inner(), findings }
}

/// A text that is too long to be looked at is told so by the compiler.
fn too_long(files: &Overlay<'_>, path: &str) -> bool {
    files.read(path).is_ok_and(|text| text.len() > planc::yaml::MAX_BYTES)
}

struct Show<'s> {
    files: &'s Overlay<'s>,
    sources: &'s SourceMap,
    /// Of each file, by its number.
    lines: Vec<Lines<'s>>,
}

impl Show<'_> {
    fn finding(&self, found: &Diagnostic) -> Finding {
        let related = found.secondary.iter().filter_map(|label| {
            Some(DiagnosticRelatedInformation {
                location: self.location(label.span)?,
                message: label.text.clone(),
            })
        });
        let related: Vec<_> = related.collect();
        let diagnostic = lsp_types::Diagnostic {
            range: self.range(found.primary.span),
            severity: Some(match found.level {
                Level::Error => DiagnosticSeverity::ERROR,
                Level::Warning => DiagnosticSeverity::WARNING,
            }),
            code: Some(NumberOrString::String(found.code.id.to_string())),
            source: Some("planc".into()),
            message: message(found),
            related_information: (!related.is_empty()).then_some(related),
            tags: found.code.name.starts_with("unused-").then(|| vec![DiagnosticTag::UNNECESSARY]),
            ..lsp_types::Diagnostic::default()
        };
        Finding { diagnostic, fix: self.fix(found) }
    }

    fn fix(&self, found: &Diagnostic) -> Option<Fix> {
        let suggestion = found.suggestion.as_ref()?;
        let title = match suggestion.replacement.trim() {
            "" => "remove it".to_string(),
            text => format!("write `{text}`"),
        };
        let Location { uri: url, range } = self.location(suggestion.span)?;
        Some(Fix { title, url, edit: TextEdit { range, new_text: suggestion.replacement.clone() } })
    }

    fn range(&self, span: Span) -> lsp_types::Range {
        self.lines[usize::from(span.file.0)].range(&span.range())
    }

    fn location(&self, span: Span) -> Option<Location> {
        let uri = self.files.url(&self.sources.file(span.file).name)?;
        Some(Location { uri, range: self.range(span) })
    }
}

/// The message with all that the terminal says beside it: label, arithmetic, help, profiles.
fn message(found: &Diagnostic) -> String {
    let mut lines = vec![found.message.clone()];
    if !found.primary.text.is_empty() {
        lines.push(found.primary.text.clone());
    }
    lines.extend(found.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(found.help.iter().map(|help| format!("help: {help}")));
    if !found.profiles.is_empty() {
        lines.push(format!("in profile {}", found.profiles.join(", ")));
    }
    lines.push(format!("planc explain {} ({})", found.code.id, found.code.name));
    lines.join("\n")
}
