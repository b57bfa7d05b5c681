//! What an editor asks of a plan: what is this, where is it given, what can stand here.
//!
//! Pure, as the compiler is: texts come in through [`Files`], places are bytes, and no word of any editor's protocol is
//! known here. Places and names are read from a tree that torn text cannot break; what needs a value that holds is asked
//! of the compiler.

mod complete;
mod definition;
mod gates;
mod hover;
mod load;
mod names;
mod outline;
mod selectors;
mod spot;
mod templates;
mod tree;
mod variables;
mod words;

pub use complete::{Completion, CompletionKind};
pub use hover::Hover;
pub use names::{Kind, Sort};
pub use outline::Outline;

use crate::resolved::ResolvedPlan;
use crate::{Files, Options, parse, resolve};
use names::{Occurrence, Symbol};
use std::ops::Range;
use tree::Node;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's path, as [`Files`] takes it.
    pub path: String,
    /// Bytes.
    pub range: Range<usize>,
}

/// A file that is open, as it stands.
pub struct Document<'f> {
    files: &'f dyn Files,
    path: String,
    text: String,
    tree: Node,
    sort: Option<Sort>,
    names: Vec<Occurrence>,
}

impl<'f> Document<'f> {
    /// Reads a file; `None` when it cannot be had, or is longer than any plan.
    pub fn read(files: &'f dyn Files, path: &str) -> Option<Self> {
        let text = files.read(path).ok().filter(|text| text.len() <= crate::yaml::MAX_BYTES)?;
        let tree = tree::read(&text);
        let own = tree.get("fixture").and_then(|name| name.text(&text)).unwrap_or("").to_string();
        let names = names::occurrences(&text, &tree, &own);
        let sort = names::sort(&tree);
        Some(Document { files, path: path.to_string(), text, tree, sort, names })
    }

    /// What the file is; `None` for YAML that is neither plan nor fixture.
    pub fn sort(&self) -> Option<Sort> {
        self.sort
    }

    /// The name at a byte.
    fn name_at(&self, at: usize) -> Option<&Occurrence> {
        let there = self.names.iter().filter(|name| name.range.start <= at && at <= name.range.end);
        // At the border of two names the one that begins there.
        there.max_by_key(|name| name.range.start)
    }

    /// Where a name is given in this file, in the order of writing.
    fn given(&self, symbol: &Symbol) -> Vec<Range<usize>> {
        let same = |name: &&Occurrence| name.defines && name.symbol == *symbol;
        let mut ranges: Vec<_> = self.names.iter().filter(same).map(|name| name.range.clone()).collect();
        ranges.sort_by_key(|range| range.start);
        ranges
    }

    /// The names of a kind that the file gives.
    fn all(&self, kind: Kind) -> Vec<&str> {
        let of_kind = self.names.iter().filter(|name| name.defines && name.symbol.kind == kind);
        let mut names: Vec<&str> = of_kind.map(|name| name.symbol.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The value under a name of one of the plan's maps.
    fn declaration(&self, block: &str, name: &str) -> Option<&Node> {
        self.tree.get(block)?.get(name)
    }

    /// The other fixtures of the folder of a fixture's file.
    fn beside(&self) -> impl Iterator<Item = Document<'f>> {
        let paths = match self.sort {
            Some(Sort::Fixture) => self.files.beside(&self.path),
            _ => Vec::new(),
        };
        let files = self.files;
        let read = paths.into_iter().filter_map(move |path| Document::read(files, &path));
        read.filter(|document| document.sort == Some(Sort::Fixture))
    }

    /// The name that a fixture's file gives itself.
    fn own_name(&self) -> Option<&str> {
        self.tree.get("fixture")?.text(&self.text)
    }

    /// The file of a fixture of this plan, or of this fixture's folder.
    fn fixture_file(&self, name: &str) -> Option<Document<'f>> {
        if self.sort == Some(Sort::Fixture) {
            return self.beside().find(|document| document.own_name() == Some(name));
        }
        let from = self.declaration("fixtures", name)?.get("from")?.text(&self.text)?;
        Document::read(self.files, &parse::join(&self.path, from))
    }

    /// The fields of the records of `rows_from`, and the name of that file; none where it cannot be read.
    fn record_fields(&self, fixture: &str) -> (String, Vec<String>) {
        let loaded = match self.sort {
            Some(Sort::Fixture) => parse::load_fixture(self.files, &self.path),
            _ => parse::load_plan(self.files, &self.path),
        };
        let plan = loaded.plan.iter();
        let mut found = plan.flat_map(|plan| &plan.fixtures).filter(|own| own.name.value == fixture);
        let Some(found) = found.find_map(|own| own.definition.as_ref()) else { return Default::default() };
        let file = found.rows_from.as_ref().map_or(String::new(), |file| file.value.clone());
        let records = found.records.iter().flatten().filter_map(crate::graph::Json::as_object);
        let names: std::collections::BTreeSet<&String> = records.flat_map(|object| object.keys()).collect();
        (file, names.into_iter().cloned().collect())
    }

    /// Every profile as the compiler sees it; none for what is no plan, or is too torn to be one.
    fn resolved(&self) -> Vec<(String, ResolvedPlan)> {
        let loaded = match self.sort {
            Some(Sort::Fixture) => parse::load_fixture(self.files, &self.path),
            _ => parse::load_plan(self.files, &self.path),
        };
        let Some(plan) = loaded.plan else { return Vec::new() };
        let declared = plan.profiles.iter().map(|profile| profile.name.value.clone());
        let mut profiles = vec![crate::DEFAULT_PROFILE.to_string()];
        profiles.extend(declared.filter(|name| name != crate::DEFAULT_PROFILE));
        let resolve = |profile: String| {
            let mut found = crate::diagnostic::Diagnostics::default();
            let resolved = resolve::resolve(&plan, &profile, &Options::default(), &mut found);
            (profile, resolved)
        };
        profiles.into_iter().map(resolve).collect()
    }
}
