//! From a plan, fixture or graph file to the graph that is applied.

use planc::LIVE_MISFIT;
use planc::diagnostic::{Diagnostic, Diagnostics};
use planc::graph::ExecutionGraph;
use planc::render::{self, Findings, View};
use planc::source::{SourceMap, Span};
use planc::{Compilation, Files, Options};
use seeders::Misfit;
use std::collections::BTreeMap;

/// A graph and where its parts were written.
pub struct Loaded {
    /// What will be applied.
    pub graph: ExecutionGraph,
    /// Texts and places; none for a graph file.
    pub written: Option<Written>,
    /// Warnings, rendered.
    pub warnings: String,
}

/// Texts and places of a plan.
pub struct Written {
    sources: SourceMap,
    origins: BTreeMap<String, Span>,
}

/// Why there is no graph.
pub enum LoadError {
    /// Wrong command line.
    Usage(String),
    /// The plan has errors; they are rendered.
    Rejected(String),
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A plan.
    Plan,
    /// A fixture alone.
    Fixture,
    /// A compiled graph.
    Graph,
}

/// Files as the operating system has them.
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<String, String> {
        let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
        String::from_utf8(bytes)
            .map_err(|e| format!("not UTF-8 text at byte {}", e.utf8_error().valid_up_to()))
    }
}

/// Reads a plan or graph. `options` other than the environment are for plans and fixtures only.
pub fn load(files: &dyn Files, path: &str, options: &Options) -> Result<Loaded, LoadError> {
    let text = files.read(path).map_err(|e| LoadError::Usage(format!("cannot read `{path}`: {e}")))?;
    match kind_of(path, &text) {
        Kind::Graph => {
            if options.profile.is_some() || !options.set.is_empty() {
                let text = format!(
                    "`{path}` is a graph: one profile with its inputs fixed. Compile the plan again instead of giving \
                     --profile or --set"
                );
                return Err(LoadError::Usage(text));
            }
            let graph = ExecutionGraph::from_json(&text)
                .map_err(|why| LoadError::Rejected(format!("error: `{path}`: {why}\n")))?;
            Ok(Loaded { graph, written: None, warnings: String::new() })
        }
        Kind::Fixture => finish(path, planc::compile_fixture(files, path, options)),
        Kind::Plan => finish(path, planc::compile(files, path, options)),
    }
}

/// Whether a graph seeds tables.
pub fn has_tables(graph: &ExecutionGraph) -> bool {
    graph.fixtures.iter().any(|fixture| matches!(fixture.kind, planc::graph::FixtureKind::Table(_)))
}

/// What a file is, by its first key.
pub fn kind_of(path: &str, text: &str) -> Kind {
    if path.ends_with(".json") || text.trim_start().starts_with('{') {
        return Kind::Graph;
    }
    let keys = text.lines().filter(|line| !line.starts_with([' ', '#', '-']));
    let first = keys.filter_map(|line| line.split_once(':')).map(|(key, _)| key.trim());
    match first.into_iter().find(|key| ["plan", "fixture"].contains(key)) {
        Some("fixture") => Kind::Fixture,
        _ => Kind::Plan,
    }
}

impl Written {
    /// Misfits with the live database as diagnostics on the fixture's own lines. Those without a place stay behind.
    pub fn render(&self, misfits: &[Misfit]) -> (String, Vec<Misfit>) {
        let (mut placed, mut rest) = (Vec::new(), Vec::new());
        for misfit in misfits {
            match self.place(misfit) {
                None => rest.push(misfit.clone()),
                Some(span) => {
                    let message = misfit.message.clone();
                    let mut diagnostic = match misfit.warning {
                        true => Diagnostic::warning(LIVE_MISFIT, span, message),
                        false => Diagnostic::error(LIVE_MISFIT, span, message),
                    };
                    diagnostic.help = misfit.help.clone();
                    diagnostic.notes.push("this is seen in the live database".into());
                    placed.push(diagnostic);
                }
            }
        }
        let mut diagnostics = Diagnostics::default();
        diagnostics.extend(placed);
        (told(Findings::from_diagnostics(self.sources.clone(), diagnostics)), rest)
    }

    fn place(&self, misfit: &Misfit) -> Option<Span> {
        let fixture = format!("fixtures.{}", misfit.fixture);
        let column = misfit.column.as_ref().map(|column| format!("{fixture}.columns.{column}"));
        let column = column.and_then(|path| self.origins.get(&path));
        column.or_else(|| self.origins.get(&fixture)).copied()
    }
}

fn finish(path: &str, mut compilation: Compilation) -> Result<Loaded, LoadError> {
    let rejected = compilation.diagnostics.has_errors();
    let graph = compilation.graph.take();
    let origins = std::mem::take(&mut compilation.origins);
    let findings = Findings::of(path, compilation);
    let sources = findings.sources.clone();
    let warnings = told(findings);
    match graph {
        Some(graph) if !rejected => {
            Ok(Loaded { graph, written: Some(Written { sources, origins }), warnings })
        }
        _ if warnings.is_empty() => Err(LoadError::Rejected(format!("error: `{path}` has no graph\n"))),
        _ => Err(LoadError::Rejected(warnings)),
    }
}

/// Nothing at all when nothing was found.
fn told(findings: Findings) -> String {
    match findings.diagnostics.is_empty() {
        true => String::new(),
        false => render::terminal(&findings, View { color: true, coverage: false }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_files() {
        for (path, text, kind) in [
            ("a.yaml", "plan: a\n", Kind::Plan),
            ("a.yaml", "# fixture: no\nplan: a\n", Kind::Plan),
            ("a.yaml", "about: x\nfixture: agents\nrows: 5\n", Kind::Fixture),
            ("a.yaml", "about: x\n  fixture: agents\nplan: b", Kind::Plan),
            ("a.json", "{}", Kind::Graph),
            ("a", " {\"schema\": 1}", Kind::Graph),
        ] {
            assert_eq!(kind_of(path, text), kind, "{text}");
        }
    }
}
