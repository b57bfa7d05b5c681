//! Fixture files beside one that is read alone.

use crate::Files;
use crate::diagnostic::Diagnostics;
use crate::source::SourceMap;
use crate::yaml::{self, Node, NodeKind};
use std::collections::BTreeSet;

/// A fixture file, read for its name and the names in it. What is wrong with it is told when it is really read.
struct Glance {
    path: String,
    name: String,
    needs: Vec<String>,
}

/// A fixture file and those of its folder whose fixtures it needs, and those that they need.
pub(super) fn with_needed(files: &dyn Files, path: &str) -> Vec<String> {
    let mut out = vec![path.to_string()];
    let Some(own) = glance(files, path) else { return out };
    let mut known = BTreeSet::from([own.name]);
    let mut wanted = own.needs;
    // Few fixtures refer to others: the folder is looked at only for those.
    wanted.retain(|name| !known.contains(name));
    if wanted.is_empty() {
        return out;
    }
    let others: Vec<Glance> = files.beside(path).iter().filter_map(|path| glance(files, path)).collect();
    while let Some(name) = wanted.pop() {
        if let Some(other) = others.iter().find(|other| other.name == name).filter(|_| known.insert(name)) {
            out.push(other.path.clone());
            wanted.extend(other.needs.iter().cloned());
        }
    }
    // The file itself stays the first; the others in an order that does not hang on who needs whom.
    out[1..].sort();
    out
}

fn glance(files: &dyn Files, path: &str) -> Option<Glance> {
    let text =
        files.read(path).ok().filter(|text| text.len() <= yaml::MAX_BYTES && crate::is_fixture(text))?;
    let mut sources = SourceMap::default();
    let file = sources.add(path, text);
    let node = yaml::parse(&sources, file, &mut Diagnostics::default())?;
    let name = node.get("fixture").and_then(word)?;
    let mut needs: Vec<String> = Vec::new();
    needs.extend(node.get("children").and_then(|children| children.get("of")).and_then(word));
    match node.get("after") {
        Some(Node { kind: NodeKind::Sequence(items), .. }) => needs.extend(items.iter().filter_map(word)),
        Some(after) => needs.extend(word(after)),
        None => {}
    }
    if let Some(Node { kind: NodeKind::Mapping(columns), .. }) = node.get("columns") {
        needs.extend(columns.iter().filter_map(|column| column.value.get("fixture").and_then(word)));
    }
    Some(Glance { path: path.to_string(), name, needs })
}

fn word(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    }
}
