//! What a graph will do, drawn without running it: pure functions of the graph, one file per view.

mod dot;
mod json;
mod load;
mod mermaid;
mod outline;
mod tree;

use crate::graph::ExecutionGraph;

pub use load::{Requests, arrivals, requests};
pub(crate) use load::{beyond_counting, constant, least_duration, length, schedule};
pub use outline::{Outline, Phase, ScenarioOutline, outline};

/// A view of the graph.
pub struct Format {
    /// What `--format` takes.
    pub name: &'static str,
    /// What it is good for.
    pub about: &'static str,
    /// Draws it.
    pub render: fn(&ExecutionGraph) -> String,
}

/// All views; the first is the default.
pub const FORMATS: &[Format] = &[
    Format { name: "tree", about: "for people, in the order of the run", render: tree::render },
    Format { name: "mermaid", about: "a flow chart that GitHub draws in Markdown", render: mermaid::render },
    Format { name: "dot", about: "a flow chart for Graphviz", render: dot::render },
    Format { name: "json", about: "the same facts, for programs", render: json::render },
];

/// The view of a name.
pub fn format(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

#[cfg(test)]
mod tests;
