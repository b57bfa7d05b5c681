//! The parts of a file, for an editor's table of contents.

use super::Document;
use super::names::Kind;
use super::tree::Entry;
use std::collections::BTreeMap;
use std::ops::Range;

/// A part of a file and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// Its key.
    pub name: String,
    /// What it stands for; `None` for a key of the language.
    pub kind: Option<Kind>,
    /// The whole of it.
    pub range: Range<usize>,
    /// Its key's place.
    pub key: Range<usize>,
    /// Names given in it.
    pub inner: Vec<Outline>,
}

impl Document<'_> {
    /// The file's top keys and the names under them.
    pub fn outline(&self) -> Vec<Outline> {
        let given = self.names.iter().filter(|name| name.defines);
        let kinds: Kinds = given.map(|name| (name.range.start, name.symbol.kind)).collect();
        let keys = self.tree.entries().iter().filter(|entry| entry.colon);
        keys.map(|entry| part(entry, &kinds)).collect()
    }
}

/// What is given at a byte.
type Kinds = BTreeMap<usize, Kind>;

fn part(entry: &Entry, kinds: &Kinds) -> Outline {
    let gate = |inner: &&Entry| entry.name == "thresholds" && inner.colon;
    let inner = entry.value.entries().iter();
    let named = inner.filter(|inner| kinds.contains_key(&inner.key.start) || gate(inner));
    Outline {
        name: entry.name.clone(),
        kind: kinds.get(&entry.key.start).copied(),
        range: entry.key.start..entry.value.range.end.max(entry.key.end),
        key: entry.key.clone(),
        inner: named.map(|inner| part(inner, kinds)).collect(),
    }
}
