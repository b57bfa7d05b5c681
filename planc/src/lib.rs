//! The plan compiler.
pub mod diagnostic;
pub mod eval;
pub mod expr;
pub mod graph;
pub mod render;
pub mod schema;
pub mod show;
pub mod source;
pub mod units;
pub mod yaml;

// ---- STAND-IN for the real `compile`, `check` and `pages`: replaced on merge, nothing below is kept. ----

use diagnostic::Diagnostics;
use source::{SourceMap, Span};
use std::collections::BTreeMap;

/// Where texts come from.
pub trait Files {
    /// Reads a file.
    fn read(&self, path: &str) -> Result<String, String>;
}

/// What a compilation is given from outside.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The profile.
    pub profile: Option<String>,
    /// Inputs from the command line.
    pub set: Vec<(String, String)>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Whether an input without a value is an error.
    pub require_inputs: bool,
}

/// What came out.
pub struct Compilation {
    /// All texts read.
    pub sources: SourceMap,
    /// What was found.
    pub diagnostics: Diagnostics,
    /// The graph, when there are no errors.
    pub graph: Option<graph::ExecutionGraph>,
    /// Where parts of the graph were written.
    pub origins: BTreeMap<String, Span>,
}

/// Compiles one profile.
pub fn compile(files: &dyn Files, path: &str, options: &Options) -> Compilation {
    let _ = options;
    let mut sources = SourceMap::default();
    let mut diagnostics = Diagnostics::default();
    if let Ok(text) = files.read(path) {
        let file = sources.add(path, text);
        yaml::parse(&sources, file, &mut diagnostics);
    }
    Compilation { sources, diagnostics, graph: None, origins: BTreeMap::new() }
}

/// Compiles every profile.
pub fn check(files: &dyn Files, path: &str, options: &Options) -> Compilation {
    compile(files, path, options)
}

/// A page of `planc explain`.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// `P0102`.
    pub code: &'static str,
    /// `missing-unit`.
    pub name: &'static str,
    /// Markdown.
    pub text: &'static str,
}

/// All pages.
pub fn pages() -> Vec<Page> {
    [yaml::PAGES, expr::PAGES].concat()
}
