//! For GitHub: workflow commands, shown beside the line in the diff.

use super::Summary;
use crate::diagnostic::Diagnostic;
use crate::source::SourceMap;

pub(super) fn render(sources: &SourceMap, diagnostics: &[Diagnostic], _: &Summary, _: bool) -> String {
    diagnostics.iter().map(|d| annotation(sources, d)).collect()
}

fn annotation(sources: &SourceMap, d: &Diagnostic) -> String {
    let file = sources.file(d.primary.span.file);
    let (line, column) = file.line_column(d.primary.span.start as usize);
    let (end_line, end_column) = file.line_column(d.primary.span.end as usize);
    let mut message = d.message.clone();
    for note in &d.notes {
        message.push_str(&format!("\nnote: {note}"));
    }
    if !d.profiles.is_empty() {
        message.push_str(&format!("\nin profiles {}", d.profiles.join(", ")));
    }
    if let Some(help) = &d.help {
        message.push_str(&format!("\nhelp: {help}"));
    }
    format!(
        "::{} file={},line={line},col={column},endLine={end_line},endColumn={end_column},title={}::{}\n",
        d.level.as_str(),
        property(&file.name),
        property(&format!("{} {}", d.code.id, d.code.name)),
        data(&message),
    )
}

/// A message: `%` and line breaks are escaped.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property: `:` and `,` as well.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
