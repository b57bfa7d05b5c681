//! Reading a plan and the files that it names.

use super::fixtures::file_stem;
use super::plan::empty_plan;
use super::suite::suite_span;
use super::unit_tests::tests_span;
use super::{Parser, beside};
use crate::Files;
use crate::ast::{Allow, Fixture, FixtureKind, FixtureUse, Lost, Plan};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{FileId, SourceMap, Span, Spanned};
use crate::yaml::{self, Node, NodeKind};
use std::collections::BTreeMap;

/// What reading gave: the texts always, the plan as far as it could be read.
pub(crate) struct Loaded {
    pub(crate) sources: SourceMap,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) allows: Vec<Allow>,
    pub(crate) plan: Option<Plan>,
}

/// What a file turns out to be.
#[derive(PartialEq)]
enum Sort {
    Plan,
    Fixture,
}

fn sort_of(node: &Node) -> Sort {
    match node.get("fixture").is_some() && node.get("plan").is_none() {
        true => Sort::Fixture,
        false => Sort::Plan,
    }
}

/// Reads a plan file and what it names, or a fixture file as [`load_fixture`] does.
pub(crate) fn load_any(files: &dyn Files, path: &str) -> Loaded {
    let sort = files.read(path).ok().filter(|text| text.len() <= yaml::MAX_BYTES).and_then(|text| {
        let mut sources = SourceMap::default();
        let file = sources.add(path, text);
        yaml::parse(&sources, file, &mut Diagnostics::default()).map(|node| sort_of(&node))
    });
    match sort {
        Some(Sort::Fixture) => load_fixture(files, path),
        _ => load_plan(files, path),
    }
}

/// Reads a plan file and what it names.
pub(crate) fn load_plan(files: &dyn Files, path: &str) -> Loaded {
    let mut loader = Loader::new(files);
    let plan = loader.open(path).and_then(|file| {
        let node = loader.yaml(file)?;
        if let (Sort::Fixture, NodeKind::Mapping(entries)) = (sort_of(&node), &node.kind) {
            let span = entries.iter().find(|e| e.key.value == "fixture").map(|e| e.key.span)?;
            loader.diagnostics.push(
                Diagnostic::error(codes::WRONG_TYPE, span, "this file is a fixture, not a plan")
                    .help("name the plan that uses it; `planc check` takes a fixture alone"),
            );
            return None;
        }
        if let Some(span) = tests_span(&node) {
            loader.diagnostics.push(
                Diagnostic::error(
                    codes::WRONG_TYPE,
                    span,
                    "this file holds unit tests of a plan, not a plan",
                )
                .help("`runner test` runs it; `planc check` takes it when its name ends in `.test.yaml`"),
            );
            return None;
        }
        if let Some(span) = suite_span(&node) {
            loader.diagnostics.push(
                Diagnostic::error(codes::WRONG_TYPE, span, "this file is a suite of plans, not a plan")
                    .help("`runner apply` and `planc check` take it; here, name one of its plans"),
            );
            return None;
        }
        // A block that could not be parsed is not a block that is not there.
        let torn = loader.torn();
        let plan = loader.parser().plan(&node, Span::new(file, 0..0), torn)?;
        let all = Lost {
            block: true,
            world: true,
            steps: true,
            thresholds: true,
            guards: true,
            fixtures: true,
            endpoints: true,
        };
        Some(if torn { Plan { lost: all, ..plan } } else { plan })
    });
    let plan = plan.map(|mut plan| {
        for fixture in &mut plan.fixtures {
            loader.complete(fixture, path);
        }
        loader.catalogue(&mut plan, path);
        plan.lost.fixtures |= plan.fixtures.iter().any(|fixture| fixture.definition.is_none());
        plan
    });
    loader.into_loaded(plan)
}

/// Reads a fixture file, as a plan that seeds it and does nothing else. Those of its folder that it refers to are read with
/// it, and those that they refer to.
pub(crate) fn load_fixture(files: &dyn Files, path: &str) -> Loaded {
    load_fixtures(files, &beside::with_needed(files, path))
}

/// Reads fixture files, as one plan that seeds them and does nothing else.
pub(crate) fn load_fixtures(files: &dyn Files, paths: &[String]) -> Loaded {
    let mut loader = Loader::new(files);
    let mut fixtures: Vec<FixtureUse> = Vec::new();
    let mut first = None;
    for path in paths {
        let Some(file) = loader.open(path) else { continue };
        let start = Span::new(file, 0..0);
        first.get_or_insert(start);
        let Some(definition) = loader.fixture_file(path, file, None) else { continue };
        let name = definition.name.clone().unwrap_or_else(|| file_stem(path, start));
        match fixtures.iter().find(|known| known.name.value == name.value) {
            Some(known) => {
                let message = format!("two fixtures are named `{}`", name.value);
                let diagnostic = Diagnostic::error(codes::DUPLICATE_NAME, name.span, message);
                loader.diagnostics.push(
                    diagnostic
                        .also(known.name.span, "the other one")
                        .help("give one of them another name under `fixture:`, or seed them one by one"),
                );
            }
            None => fixtures.push(FixtureUse {
                name,
                from: None,
                rows: None,
                on_conflict: None,
                after: Vec::new(),
                definition: Some(definition),
            }),
        }
    }
    let plan = first.filter(|_| !fixtures.is_empty()).map(|start| {
        let name = match fixtures.as_slice() {
            [alone] => alone.name.clone(),
            _ => Spanned::new("fixtures".to_string(), start),
        };
        Plan { seed_only: true, name: Some(name), fixtures, ..empty_plan(start) }
    });
    loader.into_loaded(plan)
}

pub(super) struct Loader<'a> {
    files: &'a dyn Files,
    pub(super) sources: SourceMap,
    pub(super) diagnostics: Diagnostics,
    allows: Vec<Allow>,
    /// Fixture files by path: one that is used twice is read, and complained about, once.
    fixtures: BTreeMap<String, Option<Fixture>>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(files: &'a dyn Files) -> Self {
        Loader {
            files,
            sources: SourceMap::default(),
            diagnostics: Diagnostics::default(),
            allows: Vec::new(),
            fixtures: BTreeMap::new(),
        }
    }

    pub(super) fn into_loaded(self, plan: Option<Plan>) -> Loaded {
        Loaded { sources: self.sources, diagnostics: self.diagnostics, allows: self.allows, plan }
    }

    pub(super) fn parser(&mut self) -> Parser<'_> {
        Parser { sources: &self.sources, diagnostics: &mut self.diagnostics, allows: &mut self.allows }
    }

    /// Takes in the file that the command line names.
    pub(super) fn open(&mut self, path: &str) -> Option<FileId> {
        match self.files.read(path) {
            Ok(text) => self.take_in(path, text),
            Err(error) => {
                let file = self.sources.add(path, "");
                let message = format!("cannot read `{path}`: {error}");
                self.diagnostics.push(Diagnostic::error(
                    codes::UNREADABLE_FILE,
                    Span::new(file, 0..0),
                    message,
                ));
                None
            }
        }
    }

    /// The text of a file that is named at `span`.
    pub(super) fn read(&mut self, path: &str, span: Span) -> Option<String> {
        let read = self.files.read(path);
        if let Err(error) = &read {
            let message = format!("cannot read `{path}`: {error}");
            self.diagnostics.push(Diagnostic::error(codes::UNREADABLE_FILE, span, message));
        }
        read.ok()
    }

    /// Keeps a text that is not larger than any plan; none is shown of one that is.
    pub(super) fn take_in(&mut self, path: &str, text: String) -> Option<FileId> {
        let large = text.len() > yaml::MAX_BYTES;
        let file = self.sources.add(path, if large { String::new() } else { text });
        if large {
            self.diagnostics.push(yaml::too_large(file));
        }
        (!large).then_some(file)
    }

    /// The tree of a file that has anything in it.
    pub(super) fn yaml(&mut self, file: FileId) -> Option<Node> {
        let before = self.diagnostics.len();
        let node = yaml::parse(&self.sources, file, &mut self.diagnostics)?;
        if node.kind == NodeKind::Null && self.diagnostics.len() == before {
            let span = Span::new(file, 0..0);
            self.diagnostics.push(Diagnostic::error(codes::MISSING_KEY, span, "the file is empty"));
            return None;
        }
        Some(node)
    }

    /// Whether a part of the texts so far is not in their trees.
    fn torn(&self) -> bool {
        let torn = [yaml::SYNTAX, yaml::TAB, yaml::DASH_WITHOUT_BLANK, yaml::MANY_DOCUMENTS];
        self.diagnostics.iter().any(|found| torn.contains(&found.code))
    }

    fn complete(&mut self, fixture: &mut FixtureUse, plan_path: &str) {
        match &fixture.from {
            Some(from) => {
                let path = join(plan_path, &from.value);
                if !self.fixtures.contains_key(&path) {
                    let definition = match self.files.read(&path) {
                        Ok(text) => {
                            let file = self.take_in(&path, text);
                            file.and_then(|file| self.fixture_file(&path, file, Some(from.span)))
                        }
                        Err(error) => {
                            let message = format!("cannot read `{path}`: {error}");
                            self.diagnostics.push(Diagnostic::error(
                                codes::UNREADABLE_FILE,
                                from.span,
                                message,
                            ));
                            None
                        }
                    };
                    self.fixtures.insert(path.clone(), definition);
                }
                fixture.definition = self.fixtures.get(&path).cloned().flatten();
                // What the plan allows of a fixture, it allows of the fixture's own file.
                let file = self.sources.files().find(|(_, file)| file.name == path);
                let whole = file.map(|(id, file)| Span::new(id, 0..file.text.len()));
                let own = self.allows.iter_mut().filter(|allow| allow.owner == fixture.name.span);
                own.for_each(|allow| allow.places.extend(whole));
            }
            None => {
                if let Some(definition) = &mut fixture.definition {
                    self.texts(definition, plan_path);
                }
            }
        }
    }

    /// Reads a fixture's file; `from` is where a plan names it.
    fn fixture_file(&mut self, path: &str, file: FileId, from: Option<Span>) -> Option<Fixture> {
        let start = Span::new(file, 0..0);
        let before = self.diagnostics.len();
        let node = self.yaml(file)?;
        if let (Some(from), Some(_), None) = (from, node.get("plan"), node.get("fixture")) {
            let message = format!("`{path}` is a plan, not a fixture");
            self.diagnostics.push(
                Diagnostic::error(codes::WRONG_TYPE, from, message)
                    .help("name a file that says `fixture:`, `table:` and `columns:`"),
            );
            return None;
        }
        if self.diagnostics.iter().skip(before).any(|found| found.code == yaml::MANY_DOCUMENTS) {
            return None;
        }
        let mut definition = self.parser().fixture(&node, Some(start))?;
        if definition.name.is_none() {
            definition.name = Some(file_stem(path, start));
        }
        self.texts(&mut definition, path);
        Some(definition)
    }

    /// Reads what a definition names beside itself.
    fn texts(&mut self, definition: &mut Fixture, base: &str) {
        match &mut definition.kind {
            FixtureKind::Sql(sql) => self.scripts(sql, base),
            _ => self.records(definition, base),
        }
    }

    /// Reads the rows of `rows_from`, relative to the file that names it.
    fn records(&mut self, definition: &mut Fixture, base: &str) {
        let Some(word) = &definition.rows_from else { return };
        let path = join(base, &word.value);
        if let Some(text) = self.read(&path, word.span) {
            definition.records = self.records_of(word, &path, &text);
        }
    }
}

/// `relative` seen from the folder of `base`, with `.` and `..` resolved in the text alone.
pub(crate) fn join(base: &str, relative: &str) -> String {
    if relative.starts_with('/') {
        return relative.to_string();
    }
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    let rooted = base.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(relative.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            other => parts.push(other),
        }
    }
    format!("{}{}", if rooted { "/" } else { "" }, parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn joins_in_the_text_alone() {
        assert_eq!(join("plans/a.yaml", "../fixtures/b.yaml"), "fixtures/b.yaml");
        assert_eq!(join("a.yaml", "b.yaml"), "b.yaml");
        assert_eq!(join("a.yaml", "../b.yaml"), "../b.yaml");
        assert_eq!(join("/x/a.yaml", "./y/../b.yaml"), "/x/b.yaml");
        assert_eq!(join("x/a.yaml", "/b.yaml"), "/b.yaml");
    }
}
