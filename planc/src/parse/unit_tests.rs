//! A plan's unit tests: recorded evidence, and the verdict that the plan as it is now must give on it.

use super::Parser;
use super::load::{Loader, join};
use crate::Files;
use crate::ast::Word;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{SourceMap, Span};
use crate::yaml::{Node, NodeKind};

/// How the name of a file of unit tests ends.
pub const UNIT_TESTS: &str = ".test.yaml";

/// The words of `expect_verdict`.
pub const VERDICTS: [&str; 12] = [
    "pass",
    "fail",
    "invalid",
    "inconclusive",
    "interrupted",
    "refused",
    "seeding_failed",
    "preflight_refused",
    "service_not_ready",
    "setup_failed",
    "teardown_failed",
    "internal",
];

/// The unit tests of one plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitTests {
    /// Path of the plan, seen from where the tests' own path is seen.
    pub plan: String,
    /// The profile that is tested.
    pub profile: Option<String>,
    /// Inputs, as `--set` gives them.
    pub set: Vec<(String, String)>,
    /// All cases, in the order of writing.
    pub cases: Vec<UnitCase>,
}

/// One recorded run and what it must mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitCase {
    /// What is shown.
    pub name: String,
    /// Path of the evidence, seen as the plan's is.
    pub evidence: String,
    /// One of [`VERDICTS`].
    pub verdict: &'static str,
    /// Texts that must each stand in some cause of the verdict.
    pub causes: Vec<String>,
}

/// What reading a file of unit tests gave.
#[derive(Debug)]
pub struct ReadTests {
    /// The text that was read.
    pub sources: SourceMap,
    /// All that is wrong with it.
    pub diagnostics: Diagnostics,
    /// The tests, unless there is an error.
    pub tests: Option<UnitTests>,
}

/// Reads a file of unit tests and finds out whether what it names is there.
pub fn unit_tests(files: &dyn Files, path: &str) -> ReadTests {
    let mut loader = Loader::new(files);
    let tests = loader.open(path).and_then(|file| {
        let node = loader.yaml(file)?;
        let mut named = Vec::new();
        let tests = loader.parser().unit_tests(&node, Span::new(file, 0..0), &mut named);
        for word in named {
            let at = join(path, &word.value);
            if let Err(error) = files.read(&at) {
                let message = format!("cannot read `{at}`: {error}");
                loader.diagnostics.push(Diagnostic::error(codes::UNREADABLE_FILE, word.span, message));
            }
        }
        tests
    });
    let loaded = loader.into_loaded(None);
    let tests = tests.filter(|_| !loaded.diagnostics.has_errors()).map(|tests| UnitTests {
        plan: join(path, &tests.plan),
        cases: tests
            .cases
            .into_iter()
            .map(|case| UnitCase { evidence: join(path, &case.evidence), ..case })
            .collect(),
        ..tests
    });
    ReadTests { sources: loaded.sources, diagnostics: loaded.diagnostics, tests }
}

/// Whether a file is one of unit tests, by its name.
pub(crate) fn holds_tests(path: &str) -> bool {
    path.ends_with(UNIT_TESTS) || path.ends_with(".test.yml")
}

/// Where a tree says that it is one of unit tests.
pub(super) fn tests_span(node: &Node) -> Option<Span> {
    let NodeKind::Mapping(entries) = &node.kind else { return None };
    let cases = entries.iter().find(|entry| entry.key.value == "cases")?;
    (!entries.iter().any(|entry| entry.key.value == "scenarios")).then_some(cases.key.span)
}

impl Parser<'_> {
    /// The tests, with paths as written; these are `named` too, with their places.
    fn unit_tests(&mut self, node: &Node, start: Span, named: &mut Vec<Word>) -> Option<UnitTests> {
        let mut map = self.map(node, "a file of unit tests", Some(start))?;
        let plan = self.require(&mut map, "plan").and_then(|node| self.word(node));
        let profile = self.word_key(&mut map, "profile").map(|word| word.value);
        let set = map.take("set").map_or(Vec::new(), |node| self.inputs_set(node));
        let cases = self.require(&mut map, "cases");
        let cases = cases.map_or(Vec::new(), |node| {
            let items = self.list(node, "a list of cases");
            if items.is_empty() && matches!(node.kind, NodeKind::Sequence(_) | NodeKind::Null) {
                self.error(codes::MISSING_KEY, node.span, "there is no case");
            }
            items.iter().filter_map(|item| self.unit_case(item, named)).collect()
        });
        self.finish(map);
        let plan = plan?;
        named.push(plan.clone());
        Some(UnitTests { plan: plan.value, profile, set, cases })
    }

    fn inputs_set(&mut self, node: &Node) -> Vec<(String, String)> {
        let entries = self.named(node, "`set`");
        let value =
            |entry: &crate::yaml::Entry| Some((entry.key.value.clone(), self.word(&entry.value)?.value));
        entries.iter().filter_map(value).collect()
    }

    fn unit_case(&mut self, node: &Node, named: &mut Vec<Word>) -> Option<UnitCase> {
        let mut map = self.map(node, "a case", None)?;
        let name = self.require(&mut map, "name").and_then(|node| self.word(node));
        let evidence = self.require(&mut map, "evidence").and_then(|node| self.word(node));
        let words = VERDICTS.map(|word| (word, word));
        let verdict = self.require(&mut map, "expect_verdict");
        let verdict = verdict.and_then(|node| self.choice(node, "verdict", &words));
        let causes = map.take("causes").map_or(Vec::new(), |node| self.words(node));
        self.finish(map);
        if let (Some("pass"), Some(cause)) = (verdict.map(|verdict| verdict.value), causes.first()) {
            self.diagnostics.push(
                Diagnostic::error(codes::CONFLICTING_KEYS, cause.span, "a pass has no cause")
                    .help("leave `causes` out, or expect another verdict"),
            );
        }
        named.extend(evidence.clone());
        Some(UnitCase {
            name: name?.value,
            evidence: evidence?.value,
            verdict: verdict?.value,
            causes: causes.into_iter().map(|cause| cause.value).collect(),
        })
    }
}
