//! From a plan, fixture or graph file to the graph that is applied.

use planc::diagnostic::{Diagnostic, Diagnostics};
use planc::graph::ExecutionGraph;
use planc::render::{self, Findings, View};
use planc::source::{SourceMap, Span};
use planc::{Allows, Compilation, Files, Options};
pub use seeders::fixtures::Disk;
use seeders::{Misfit, Place};
use std::collections::{BTreeMap, BTreeSet};

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
    allows: Allows,
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

/// Reads fixture files as one graph. `secrets` are the names in `options.set` whose values stay out of it.
pub fn load_fixtures(
    files: &dyn Files,
    paths: &[String],
    secrets: &BTreeSet<String>,
    options: &Options,
) -> Result<Loaded, LoadError> {
    let path = paths.first().map_or("", String::as_str);
    finish(path, planc::compile_fixtures(files, paths, secrets, options))
}

/// Whether a file can be read; the error says why not.
pub fn readable(path: &str) -> Result<(), String> {
    Disk.read(path).map(drop).map_err(|e| format!("cannot read `{path}`: {e}"))
}

/// Whether a graph seeds a database.
pub fn has_tables(graph: &ExecutionGraph) -> bool {
    graph.fixtures.iter().any(planc::graph::Fixture::in_database)
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

impl Loaded {
    /// The file that a fixture is written in; none of a graph.
    pub fn file_of(&self, fixture: &str) -> Option<&str> {
        let written = self.written.as_ref()?;
        let span = written.origins.get(&format!("fixtures.{fixture}"))?;
        Some(&written.sources.file(span.file).name)
    }
}

impl Written {
    /// Paths of all files that the plan is made of, as they were named.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.sources.files().map(|(_, file)| file.name.as_str())
    }

    /// Misfits with the live database as diagnostics on the fixture's own lines. Those without a place stay behind, and
    /// warnings that the plan allows are left out; what keeps a fixture from being seeded does so whatever is allowed.
    pub fn render(&self, misfits: &[Misfit]) -> (String, Vec<Misfit>) {
        let (mut errors, mut warnings) = (Diagnostics::default(), Diagnostics::default());
        let mut rest = Vec::new();
        for misfit in misfits {
            match placed_at(&self.origins, misfit) {
                None => rest.push(misfit.clone()),
                Some(diagnostic) if misfit.warning => warnings.push(diagnostic),
                Some(diagnostic) => errors.push(diagnostic),
            }
        }
        self.allows.take(&mut warnings);
        errors.extend(warnings.into_sorted());
        (told(Findings::from_diagnostics(self.sources.clone(), errors)), rest)
    }
}

/// A misfit with the live database as a diagnostic on the fixture's own lines; `None` when it has none.
pub fn placed_at(origins: &BTreeMap<String, Span>, misfit: &Misfit) -> Option<Diagnostic> {
    let fixture = format!("fixtures.{}", misfit.fixture);
    let columns: Vec<Span> = match &misfit.at {
        Place::Columns(columns) => {
            columns.iter().filter_map(|c| origins.get(&format!("{fixture}.columns.{c}")).copied()).collect()
        }
        _ => Vec::new(),
    };
    let part = match &misfit.at {
        Place::Fixture => None,
        Place::Identity => origins.get(&format!("{fixture}.identity")),
        // A column that the fixture lacks has no line: the table's it is.
        Place::Table | Place::Columns(_) => origins.get(&format!("{fixture}.table")),
    };
    let span = columns.first().or(part).or_else(|| origins.get(&fixture))?;
    let code = misfit.kind.code();
    let mut diagnostic = match misfit.warning {
        true => Diagnostic::warning(code, *span, misfit.message.as_str()),
        false => Diagnostic::error(code, *span, misfit.message.as_str()),
    };
    for other in columns.iter().skip(1) {
        diagnostic = diagnostic.also(*other, "with this one");
    }
    diagnostic.notes = misfit.notes.clone();
    diagnostic.notes.push("this is seen in the live database".into());
    diagnostic.help = misfit.help.clone();
    Some(diagnostic)
}

fn finish(path: &str, mut compilation: Compilation) -> Result<Loaded, LoadError> {
    let rejected = compilation.diagnostics.has_errors();
    let graph = compilation.graph.take();
    let origins = std::mem::take(&mut compilation.origins);
    let allows = std::mem::take(&mut compilation.allows);
    let findings = Findings::of(path, compilation);
    let sources = findings.sources.clone();
    let warnings = told(findings);
    match graph {
        Some(graph) if !rejected => {
            Ok(Loaded { graph, written: Some(Written { sources, origins, allows }), warnings })
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
