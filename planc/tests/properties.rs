//! What must hold for any plan: shown on plans that are nearly those that ship.

mod support;

use planc::fmt::{Refusal, format};
use planc::yaml::{Node, NodeKind};
use planc::{Compilation, Files, Options};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use support::Disk;
use support::mutate::{Dice, mutate, relayout};

/// A shipped file and its path.
struct Shipped {
    path: String,
    text: String,
}

/// Plans and fixtures that ship, with the plan that says everything.
fn shipped() -> &'static [Shipped] {
    static SHIPPED: OnceLock<Vec<Shipped>> = OnceLock::new();
    SHIPPED.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut found = vec![root.join("planc/tests/ui/everything.yaml")];
        for folder in ["plans", "fixtures", "tests/plans", "tests/bench"] {
            yaml_files(&root.join(folder), &mut found);
        }
        found.sort();
        assert!(found.len() > 9, "{found:?}");
        let read = |path: &PathBuf| Disk.read(&path.to_string_lossy()).expect("a file");
        found.iter().map(|path| Shipped { path: path.to_string_lossy().into(), text: read(path) }).collect()
    })
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    #[allow(clippy::disallowed_methods)] // Tests read files.
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => yaml_files(&path, found),
            // Unit tests of a plan are no plan, nor is a suite, and have no graph.
            false if path.to_string_lossy().ends_with(planc::UNIT_TESTS) => {}
            false if path.ends_with(planc::suite::FILE) => {}
            false if path.extension().is_some_and(|e| e == "yaml") => found.push(path),
            false => {}
        }
    }
}

/// The file system with one file replaced.
struct Overlay<'a> {
    path: &'a str,
    text: &'a str,
}

impl Files for Overlay<'_> {
    fn read(&self, path: &str) -> Result<String, String> {
        if path == self.path { Ok(self.text.to_string()) } else { Disk.read(path) }
    }
}

/// The graph's id, and the codes that were told with how often each was.
fn compiled(path: &str, text: &str) -> (Option<String>, Vec<&'static str>) {
    let Compilation { graph, diagnostics, .. } =
        planc::check(&Overlay { path, text }, path, &Options::default());
    let mut codes: Vec<&str> = diagnostics.iter().map(|diagnostic| diagnostic.code.id).collect();
    codes.sort_unstable();
    (graph.map(|graph| graph.id()), codes)
}

fn parsed(text: &str) -> Node {
    let mut sources = planc::source::SourceMap::default();
    let file = sources.add("plan.yaml", text);
    let mut diagnostics = planc::diagnostic::Diagnostics::default();
    planc::yaml::parse(&sources, file, &mut diagnostics).expect("YAML")
}

/// A tree without its places.
fn shape(node: &Node) -> String {
    match &node.kind {
        NodeKind::Sequence(items) => format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(",")),
        NodeKind::Mapping(entries) => {
            let entries = entries.iter().map(|e| format!("{:?}:{}", e.key.value, shape(&e.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        scalar => format!("{scalar:?}"),
    }
}

/// A tree as YAML in which the keys of every map are in another order.
fn reordered(node: &Node, depth: usize, dice: &mut Dice, out: &mut String) {
    let indent = " ".repeat(depth);
    match &node.kind {
        NodeKind::Mapping(entries) if !entries.is_empty() => {
            let mut order: Vec<usize> = (0..entries.len()).collect();
            for at in (1..order.len()).rev() {
                order.swap(at, dice.below(at + 1));
            }
            for entry in order.iter().map(|at| &entries[*at]) {
                out.push_str(&format!("\n{indent}{}:", serde_json::Value::from(entry.key.value.as_str())));
                reordered(&entry.value, depth + 2, dice, out);
            }
        }
        NodeKind::Sequence(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("\n{indent}-"));
                reordered(item, depth + 2, dice, out);
            }
        }
        NodeKind::Mapping(_) => out.push_str(" {}"),
        NodeKind::Sequence(_) => out.push_str(" []"),
        NodeKind::Null => out.push_str(" ~"),
        NodeKind::Bool(value) => out.push_str(&format!(" {value}")),
        NodeKind::Scalar { text, plain: true } => out.push_str(&format!(" {text}")),
        NodeKind::Scalar { text, .. } => {
            out.push_str(&format!(" {}", serde_json::Value::from(text.as_str())))
        }
    }
}

#[test]
fn every_shipped_plan_survives_formatting() {
    for Shipped { path, text } in shipped() {
        let Ok(out) = format(path, text) else { continue };
        assert_eq!(shape(&parsed(&out)), shape(&parsed(text)), "{path}");
        assert_eq!(compiled(path, &out), compiled(path, text), "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever is formatted stays so, says the same and is told the same.
    #[test]
    fn formatting_is_idempotent_and_changes_no_meaning(at in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let (Shipped { path, text }, dice) = (at.get(shipped()), &mut Dice(seed));
        let others: Vec<&str> = shipped().iter().map(|shipped| shipped.text.as_str()).collect();
        let text = mutate(text, &others, dice);
        match format(path, &text) {
            Err(Refusal::Broken { diagnostics, .. }) => prop_assert!(diagnostics.has_errors()),
            Err(Refusal::Changed) => prop_assert!(false, "would change what this says:\n{text}"),
            Ok(once) => {
                let twice = format(path, &once).map_err(|_| TestCaseError::fail(once.clone()))?;
                prop_assert_eq!(&twice, &once, "from\n{}", text);
                prop_assert_eq!(shape(&parsed(&once)), shape(&parsed(&text)), "from\n{}", text);
                prop_assert_eq!(compiled(path, &once), compiled(path, &text), "from\n{}\nto\n{}", text, once);
            }
        }
    }

    /// However a shipped plan is laid out, formatting keeps its comments and its graph.
    #[test]
    fn layout_and_comments_are_nothing_to_the_graph(at in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let Shipped { path, text } = at.get(shipped());
        let text = if format(path, text).is_ok() { text } else { &shipped()[0].text };
        let other = relayout(text, &mut Dice(seed));
        let Ok(out) = format(path, &other) else {
            return Err(TestCaseError::fail(format!("does not parse:\n{other}")));
        };
        let comments = |text: &str| -> Vec<String> {
            let added = |line: &&str| line.contains("# a comment") || line.contains("# at the margin") || line.contains("# behind");
            text.lines().filter(added).filter_map(|l| Some(l.split_once('#')?.1.to_string())).collect()
        };
        prop_assert_eq!(comments(&out), comments(&other));
        let (before, after) = (compiled(path, text), compiled(path, &out));
        prop_assert_eq!(before, after, "from\n{}\nto\n{}", other, out);
    }

    /// The order of keys is the author's: the graph does not know it, and the same is told.
    #[test]
    fn reordering_keys_keeps_the_graph(at in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let Shipped { path, text } = at.get(shipped());
        let mut other = String::new();
        reordered(&parsed(text), 0, &mut Dice(seed), &mut other);
        let (id, codes) = compiled(path, &other);
        let (known, told) = compiled(path, text);
        // A key that is there twice is there once in the tree.
        let told: Vec<&str> = told.into_iter().filter(|code| *code != "P0003").collect();
        if told.is_empty() {
            prop_assert!(id.is_some());
        }
        if known.is_some() || told.is_empty() {
            prop_assert_eq!(id, known, "{}", other);
        }
        let set = |codes: &[&'static str]| codes.iter().copied().collect::<BTreeSet<_>>();
        prop_assert_eq!(set(&codes), set(&told), "{}", other);
    }
}
