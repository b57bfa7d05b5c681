//! Where a byte lies in the tree.

use super::tree::{Entry, Node, NodeKind};
use std::ops::Range;

/// A step from a value to one inside it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Key(String),
    Item,
}

/// What was found at a byte.
#[derive(Debug)]
pub(super) struct Spot<'t> {
    /// From the root to the value that holds it: for a key the map, for a value itself.
    pub(super) path: Vec<Part>,
    pub(super) what: What<'t>,
    /// The map around it, with its other keys; for a list's item the map around the list.
    pub(super) around: &'t [Entry],
}

/// A key or a value.
#[derive(Debug)]
pub(super) enum What<'t> {
    Key(&'t Entry),
    Value(&'t Node),
}

impl Spot<'_> {
    /// The path's keys; an item is `[]`.
    pub(super) fn keys(&self) -> Vec<&str> {
        let key = |part| match part {
            &Part::Item => "[]",
            Part::Key(key) => key.as_str(),
        };
        self.path.iter().map(key).collect()
    }
}

/// The key or scalar at a byte, its end included.
pub(super) fn find(tree: &Node, at: usize) -> Option<Spot<'_>> {
    let mut path = Vec::new();
    let (mut node, mut around): (&Node, &[Entry]) = (tree, &[]);
    loop {
        match &node.kind {
            NodeKind::Nothing => return None,
            NodeKind::Scalar => return Some(Spot { path, what: What::Value(node), around }),
            NodeKind::List(items) => {
                node = items.iter().find(|item| holds(&item.range, at))?;
                path.push(Part::Item);
            }
            NodeKind::Map(entries) => {
                around = entries;
                if let Some(entry) = entries.iter().find(|entry| holds(&entry.key, at)) {
                    return Some(Spot { path, what: What::Key(entry), around });
                }
                let entry = entries.iter().find(|entry| holds(&entry.value.range, at))?;
                path.push(Part::Key(entry.name.clone()));
                node = &entry.value;
            }
        }
    }
}

fn holds(range: &Range<usize>, at: usize) -> bool {
    range.start <= at && at <= range.end
}
