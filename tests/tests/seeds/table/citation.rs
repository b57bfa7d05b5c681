//! What a row cites: a place in a plan, a test, a command line, a page, a file. Each can be looked up.

use planc::diagnostic::Diagnostics;
use planc::source::SourceMap;
use planc::yaml::{self, Node, NodeKind};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tests::{command, root, run};

/// Keys whose value is how one entry of a list is known.
const NAMES: [&str; 12] = [
    "name",
    "call",
    "group",
    "threshold",
    "get",
    "post",
    "put",
    "websocket",
    "lint",
    "plan",
    "cause",
    "table",
];

pub(super) enum Citation {
    /// `plans/x.yaml#a.b.c`
    Key { file: String, path: String },
    /// `tests/tests/x.rs#a_test`
    Function { file: String, name: String },
    /// `runner apply plans/x.yaml --profile stress`
    Command(Vec<String>),
    /// `plans/x.yaml`, `bin/test`
    File(String),
}

impl Citation {
    pub(super) fn read(text: &str) -> Result<Citation, String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Ok(match text.split_once('#') {
            Some((file, path)) if file.ends_with(".yaml") => {
                Self::Key { file: file.into(), path: path.into() }
            }
            Some((file, name)) if file.ends_with(".rs") => {
                Self::Function { file: file.into(), name: name.into() }
            }
            _ if ["planc", "runner"].contains(&words.first().map_or("", String::as_str)) => {
                Self::Command(words)
            }
            _ if words.len() == 1 && text.contains('/') => Self::File(text.into()),
            _ => return Err("neither a file nor a command of planc or runner".into()),
        })
    }

    pub(super) fn holds(&self) -> Result<(), String> {
        match self {
            Self::Key { file, path } => lookup(&tree(file)?, path),
            Self::Function { file, name } => {
                let there = text(file)?.contains(&format!("fn {name}("));
                there.then_some(()).ok_or_else(|| format!("no `fn {name}`"))
            }
            Self::Command(words) => known_command(words),
            Self::File(path) => exists(path),
        }
    }
}

fn exists(path: &str) -> Result<(), String> {
    root().join(path).exists().then_some(()).ok_or_else(|| format!("`{path}` is not there"))
}

fn text(file: &str) -> Result<String, String> {
    exists(file)?;
    std::fs::read_to_string(root().join(file)).map_err(|error| format!("`{file}`: {error}"))
}

fn tree(file: &str) -> Result<Node, String> {
    let mut sources = SourceMap::default();
    let id = sources.add(file, text(file)?);
    let tree = yaml::parse(&sources, id, &mut Diagnostics::default());
    tree.ok_or_else(|| format!("`{file}` is not YAML"))
}

/// Goes down `thresholds.http_req_duration{endpoint:*}.0`. Keys may hold dots, so the longest that fits is taken.
fn lookup(root: &Node, path: &str) -> Result<(), String> {
    let (mut node, mut rest, mut at) = (root, path, "the plan");
    loop {
        let Some((length, child)) = children(node)
            .into_iter()
            .filter(|(name, _)| {
                rest.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
            .map(|(name, child)| (name.len(), child))
            .max_by_key(|(length, _)| *length)
        else {
            return Err(format!("`{at}` has no `{rest}`"));
        };
        if rest.len() == length {
            return Ok(());
        }
        (node, at, rest) = (child, &rest[..length], &rest[length + 1..]);
    }
}

/// What is below a node: by its keys; in a list by its number or its name.
fn children(node: &Node) -> Vec<(String, &Node)> {
    match &node.kind {
        NodeKind::Mapping(entries) => {
            entries.iter().map(|entry| (entry.key.value.clone(), &entry.value)).collect()
        }
        NodeKind::Sequence(nodes) => nodes
            .iter()
            .enumerate()
            .flat_map(|(at, node)| {
                let names = NAMES.iter().filter_map(|key| scalar(node.get(key)?));
                let own = scalar(node).into_iter();
                [at.to_string()].into_iter().chain(names).chain(own).map(move |name| (name, node))
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn scalar(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    }
}

/// The command and each flag stand in its `--help`, files are there, and the plan has the profile and the inputs.
fn known_command(words: &[String]) -> Result<(), String> {
    let [program, verb, rest @ ..] = words else { return Err("a command needs a verb".into()) };
    let help = help(program, verb)?;
    let mut plan = None;
    for (at, word) in rest.iter().enumerate() {
        let value = rest.get(at + 1).map_or("", String::as_str);
        if let Some(flag) = word.strip_prefix("--") {
            let flag = format!("--{}", flag.split('=').next().unwrap_or(flag));
            let known = help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|it| it == flag);
            known.then_some(()).ok_or_else(|| format!("`{program} {verb}` does not know `{flag}`"))?;
        }
        match (word.as_str(), &plan) {
            ("--profile", Some(plan)) => lookup(plan, &format!("profiles.{value}"))?,
            ("--set", Some(plan)) => {
                lookup(plan, &format!("inputs.{}", value.split('=').next().unwrap_or(value)))?;
            }
            (path, _) if path.contains('/') && path.ends_with(".yaml") => plan = Some(tree(path)?),
            (path, _) if ["plans/", "fixtures/", "tests/"].iter().any(|it| path.starts_with(it)) => {
                exists(path)?
            }
            (page, _) if program == "planc" && verb == "explain" => {
                let known = planc::pages().iter().any(|it| it.code == page || it.name == page);
                known.then_some(()).ok_or_else(|| format!("no page `{page}`"))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What `program verb --help` says, asked once.
fn help(program: &str, verb: &str) -> Result<String, String> {
    static SAID: Mutex<BTreeMap<(String, String), Option<String>>> = Mutex::new(BTreeMap::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    let help = said.entry((program.into(), verb.into())).or_insert_with(|| {
        let said = run(command(program).args([verb, "--help"]));
        (said.code == 0).then_some(said.out)
    });
    help.clone().ok_or_else(|| format!("`{program}` has no command `{verb}`"))
}
