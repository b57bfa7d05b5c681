//! Where a name is given, and where it is used.

use super::names::{Kind, Occurrence, Sort, Symbol};
use super::{Document, Place};
use crate::parse;
use std::ops::Range;

impl Document<'_> {
    /// Where the name at a byte is given. On a fixture's own name that is its file.
    pub fn definition(&self, at: usize) -> Vec<Place> {
        let Some(name) = self.name_at(at) else { return Vec::new() };
        let symbol = &name.symbol;
        match symbol.kind {
            Kind::File => {
                let path = parse::join(&self.path, &symbol.name);
                self.files.read(&path).ok().map(|_| Place { path, range: 0..0 }).into_iter().collect()
            }
            Kind::Fixture if name.defines || self.sort == Some(Sort::Fixture) => {
                match self.fixture_file(&symbol.name) {
                    Some(file) => vec![file.start()],
                    None if name.defines => vec![self.place(name.range.clone())],
                    None => Vec::new(),
                }
            }
            Kind::Column => self.column(symbol),
            Kind::Binding => {
                let given = self.given(symbol);
                // A capture may be made twice: the one that holds here is the last before.
                let before = given.iter().rev().find(|range| range.start <= name.range.start);
                before.or(given.first()).map(|range| self.place(range.clone())).into_iter().collect()
            }
            _ => self.given(symbol).into_iter().map(|range| self.place(range)).collect(),
        }
    }

    /// Every place in this file with the name at a byte.
    pub fn references(&self, at: usize, with_definition: bool) -> Vec<Place> {
        let Some(name) = self.name_at(at) else { return Vec::new() };
        let same = |other: &&Occurrence| other.symbol == name.symbol && (with_definition || !other.defines);
        let mut places: Vec<_> =
            self.names.iter().filter(same).map(|o| self.place(o.range.clone())).collect();
        places.sort_by_key(|place| place.range.start);
        places
    }

    /// A fixture's column, in the plan or in the fixture's file.
    fn column(&self, symbol: &Symbol) -> Vec<Place> {
        let here: Vec<Place> = self.given(symbol).into_iter().map(|range| self.place(range)).collect();
        if !here.is_empty() {
            return here;
        }
        let beside = self.fixture_file(&symbol.within);
        let column = beside.as_ref().and_then(|file| file.tree.get("columns")?.entry(&symbol.name));
        if let (Some(file), Some(column)) = (&beside, column) {
            return vec![file.place(column.key.clone())];
        }
        // A field of a file of rows has no place of its own: its first row says what it is called.
        let of = beside.as_ref().unwrap_or(self);
        let (file, fields) = of.record_fields(of.own_name().unwrap_or(&symbol.within));
        let path = parse::join(&of.path, &file);
        let known = fields.contains(&symbol.name);
        known.then_some(Place { path, range: 0..0 }).into_iter().collect()
    }

    /// The name of a fixture's file, or its first byte.
    fn start(&self) -> Place {
        let name = self.tree.entry("fixture").map_or(0..0, |entry| entry.key.clone());
        self.place(name)
    }

    pub(super) fn place(&self, range: Range<usize>) -> Place {
        Place { path: self.path.clone(), range }
    }
}
