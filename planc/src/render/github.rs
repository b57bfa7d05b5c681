//! For GitHub: workflow commands, shown beside the line in the diff.
//!
//! GitHub shows ten errors and ten warnings of a step and drops the rest without a word ("Workflow commands for GitHub
//! Actions", limits of annotations). So no more than that are commands; the rest are lines of the log, and a notice says so.

use super::{Findings, View};
use crate::diagnostic::{Diagnostic, Level};
use crate::source::SourceMap;
use crate::units::count;

/// Annotations of one level that GitHub shows for a step.
const LIMIT: usize = 10;

pub(super) fn render(findings: &Findings, _: View) -> String {
    let mut out = String::new();
    let mut rest = Vec::new();
    for level in [Level::Error, Level::Warning] {
        let of_level = findings.diagnostics.iter().filter(|d| d.level == level);
        for (at, diagnostic) in of_level.enumerate() {
            match at < LIMIT {
                true => out.push_str(&annotation(&findings.sources, diagnostic)),
                false => rest.push(line(&findings.sources, diagnostic)),
            }
        }
    }
    if !rest.is_empty() {
        let summary = findings.summary();
        let all = format!("{} and {}", count(summary.errors, "error"), count(summary.warnings, "warning"));
        out.push_str(&format!(
            "::notice title=planc::{}\n",
            data(&format!(
                "{all}; GitHub shows {LIMIT} of each, the other {} are in the log of this step",
                rest.len()
            ))
        ));
        rest.iter().for_each(|line| out.push_str(line));
    }
    out
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

/// A finding as a line of the log. It must not look like a command.
fn line(sources: &SourceMap, d: &Diagnostic) -> String {
    let file = sources.file(d.primary.span.file);
    let (line, column) = file.line_column(d.primary.span.start as usize);
    let text = format!("{}[{}] {}:{line}:{column}: {}", d.level.as_str(), d.code.id, file.name, d.message);
    format!("{}\n", text.replace(['\n', '\r'], " "))
}

/// A message: `%` and line breaks are escaped.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property: `:` and `,` as well.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, Diagnostics};
    use crate::source::Span;

    #[test]
    fn what_github_would_drop_goes_to_the_log() {
        let mut sources = SourceMap::default();
        let file = sources.add("a.yaml", "x\n".repeat(40));
        let code = Code { id: "P0999", name: "sample" };
        let mut diagnostics = Diagnostics::default();
        for at in 0..13 {
            diagnostics.push(Diagnostic::error(code, Span::new(file, at * 2..at * 2 + 1), "no"));
        }
        diagnostics.push(Diagnostic::warning(code, Span::new(file, 60..61), "hm"));
        let text = render(&Findings::from_diagnostics(sources, diagnostics), View::default());
        let starting = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!((starting("::error"), starting("::warning"), starting("::notice")), (10, 1, 1));
        assert_eq!(starting("error[P0999] a.yaml:"), 3);
        assert!(
            text.contains("13 errors and 1 warning; GitHub shows 10 of each, the other 3 are in the log")
        );
    }
}
