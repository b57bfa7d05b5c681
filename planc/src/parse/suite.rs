//! A suite as written: plans that are run one after the other.

use super::Parser;
use super::load::Loader;
use crate::Files;
use crate::ast::Word;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{SourceMap, Span, Spanned};
use crate::yaml::{self, Entry, Node, NodeKind};

/// What reading gave: the text always, the suite as far as it could be read.
pub(crate) struct LoadedSuite {
    pub(crate) sources: SourceMap,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) suite: Option<WrittenSuite>,
}

/// The keys of `suite.yaml`.
pub(crate) struct WrittenSuite {
    pub(crate) name: Option<Word>,
    pub(crate) plans: Vec<WrittenPlan>,
    pub(crate) fail_fast: bool,
}

/// One plan of it.
pub(crate) struct WrittenPlan {
    /// `name`, or the file's own name without its ending.
    pub(crate) name: Word,
    pub(crate) path: Word,
    pub(crate) profile: Option<Word>,
    pub(crate) set: Vec<(Word, Word)>,
    pub(crate) needs: Vec<Word>,
}

/// Reads a suite's own file.
pub(crate) fn load_suite(files: &dyn Files, path: &str) -> LoadedSuite {
    let mut loader = Loader::new(files);
    let suite = loader.open(path).and_then(|file| {
        let node = loader.yaml(file)?;
        loader.parser().suite(&node, Span::new(file, 0..0))
    });
    let loaded = loader.into_loaded(None);
    LoadedSuite { sources: loaded.sources, diagnostics: loaded.diagnostics, suite }
}

/// Whether a file is a suite, by its keys.
pub(crate) fn holds_suite(files: &dyn Files, path: &str) -> bool {
    let text = files.read(path).ok().filter(|text| text.len() <= yaml::MAX_BYTES);
    text.is_some_and(|text| {
        let mut sources = SourceMap::default();
        let file = sources.add(path, text);
        let node = yaml::parse(&sources, file, &mut Diagnostics::default());
        node.is_some_and(|node| suite_span(&node).is_some())
    })
}

/// Where a tree says that it is a suite.
pub(super) fn suite_span(node: &Node) -> Option<Span> {
    let NodeKind::Mapping(entries) = &node.kind else { return None };
    let key = |name: &str| entries.iter().find(|entry| entry.key.value == name);
    key("suite").filter(|_| key("plan").is_none() && key("scenarios").is_none()).map(|entry| entry.key.span)
}

impl Parser<'_> {
    fn suite(&mut self, node: &Node, start: Span) -> Option<WrittenSuite> {
        let mut map = self.map(node, "a suite", Some(start))?;
        let name = self.require(&mut map, "suite").and_then(|node| self.word(node));
        self.word_key(&mut map, "about");
        let plans = self.require(&mut map, "plans").map_or(Vec::new(), |node| {
            let items = self.list(node, "a list of plans");
            if items.is_empty() && matches!(node.kind, NodeKind::Sequence(_) | NodeKind::Null) {
                self.error(codes::MISSING_KEY, node.span, "there is no plan");
            }
            items.iter().filter_map(|item| self.plan_of_suite(item)).collect()
        });
        let fail_fast = map.take("fail_fast").is_some_and(|node| self.flag(node));
        self.finish(map);
        Some(WrittenSuite { name, plans, fail_fast })
    }

    /// `- storm.yaml`, or a map with what it is run with.
    fn plan_of_suite(&mut self, node: &Node) -> Option<WrittenPlan> {
        if let NodeKind::Scalar { .. } = node.kind {
            let path = self.word(node)?;
            let name = stem(&path);
            return Some(WrittenPlan { name, path, profile: None, set: Vec::new(), needs: Vec::new() });
        }
        let mut map = self.map(node, "a plan of a suite", None)?;
        let path = self.require(&mut map, "plan").and_then(|node| self.word(node));
        let name = self.word_key(&mut map, "name");
        let profile = self.word_key(&mut map, "profile");
        let set = map.take("set").map_or(Vec::new(), |node| {
            let value =
                |parser: &mut Self, entry: &Entry| Some((entry.key.clone(), parser.word(&entry.value)?));
            self.named(node, "`set`").iter().filter_map(|entry| value(self, entry)).collect()
        });
        let needs = map.take("needs").map_or(Vec::new(), |node| self.words(node));
        self.finish(map);
        let path = path?;
        if let Some(name) = name.as_ref().filter(|name| !is_name(&name.value)) {
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_VALUE, name.span, "this cannot name a plan of a suite")
                    .help("write letters, digits, `-`, `_` and `.`: a folder of the results is called so"),
            );
        }
        let name = name.filter(|name| is_name(&name.value)).unwrap_or_else(|| stem(&path));
        Some(WrittenPlan { name, path, profile, set, needs })
    }
}

/// What can name a folder.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && !text.starts_with('.') && text.chars().all(plain)
}

/// `storm` of `plans/storm.yaml`.
fn stem(path: &Word) -> Word {
    let file = path.value.rsplit('/').next().unwrap_or(&path.value);
    let name = file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml")).unwrap_or(file);
    Spanned::new(name.to_string(), path.span)
}
