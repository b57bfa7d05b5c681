//! What can stand at the cursor.

use super::Document;
use super::hover;
use super::names::{Kind, Sort};
use super::spot::{self, Part, Spot, What};
use super::templates;
use super::tree::{self, Entry, Node};
use super::words::Words;
use crate::executors;
use crate::lints::LINTS;
use std::ops::Range;

/// Stands for the word that is not written yet, so that the tree has a place for it.
pub(super) const CURSOR: char = '\u{f8ff}';

/// Keys that say what a step does; it does one thing.
const METHODS: [&str; 8] = ["call", "get", "post", "put", "patch", "delete", "head", "options"];
/// Keys that only a step with a request takes.
const OF_REQUESTS: [&str; 16] = [
    "path",
    "headers",
    "query",
    "json",
    "form",
    "multipart",
    "body",
    "jws",
    "timeout",
    "redirects",
    "token",
    "cookies",
    "expect",
    "capture",
    "record",
    "on_failure",
];
/// Steps that are no request, and keys that only some of them take.
const OTHER_STEPS: [(&str, &[&str]); 11] = [
    ("pause", &[]),
    ("choose", &[]),
    ("repeat", &["as", "steps"]),
    ("each", &["as", "steps"]),
    ("when", &["steps"]),
    ("group", &["steps"]),
    ("websocket", &["subprotocol", "steps"]),
    ("send", &[]),
    ("receive", &["within"]),
    ("ping", &[]),
    ("close", &[]),
];

/// What a proposal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletionKind {
    /// A key of the language.
    Key,
    /// A word of a closed list.
    Word,
    /// A name of the plan.
    Name(Kind),
    /// A name that templates know.
    Variable,
    /// A filter or function of templates.
    Function,
    /// A metric, in a selector.
    Metric,
    /// A tag or its value, in a selector.
    Tag,
    /// A condition.
    Condition,
}

/// A proposal.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The word.
    pub label: String,
    /// What it is.
    pub kind: CompletionKind,
    /// What it means; Markdown.
    pub about: Option<String>,
    /// The text to write.
    pub insert: String,
    /// In the place of what.
    pub replace: Range<usize>,
}

/// The cursor with what is around it, in a text that has [`CURSOR`] in it.
pub(super) struct Cursor<'c> {
    pub(super) text: &'c str,
    pub(super) at: usize,
    pub(super) spot: Spot<'c>,
}

impl Cursor<'_> {
    /// A range of the text with the mark as one of the text without it.
    pub(super) fn original(&self, range: Range<usize>) -> Range<usize> {
        let back = |at: usize| if at > self.at { at - CURSOR.len_utf8() } else { at };
        back(range.start)..back(range.end)
    }
}

/// A list of proposals that all replace the same text.
pub(super) struct Proposals {
    replace: Range<usize>,
    pub(super) found: Vec<Completion>,
}

impl Proposals {
    pub(super) fn over(replace: Range<usize>) -> Self {
        Proposals { replace, found: Vec::new() }
    }

    pub(super) fn push(&mut self, kind: CompletionKind, label: &str, insert: String, about: Option<&str>) {
        if !self.found.iter().any(|known| known.label == label) {
            let (label, about) = (label.to_string(), about.map(String::from));
            self.found.push(Completion { label, kind, about, insert, replace: self.replace.clone() });
        }
    }

    pub(super) fn word(&mut self, kind: CompletionKind, label: &str, about: Option<&str>) {
        self.push(kind, label, label.to_string(), about);
    }
}

impl Document<'_> {
    /// What can stand at a byte, the likeliest first.
    pub fn complete(&self, at: usize) -> Vec<Completion> {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        // Any other YAML is none of ours; a file without a key may become a plan.
        if self.sort.is_none() && self.tree.entries().iter().any(|entry| entry.colon && is_foreign(entry)) {
            return Vec::new();
        }
        let text = format!("{}{CURSOR}{}", &self.text[..at], &self.text[at..]);
        let tree = tree::read(&text);
        let Some(spot) = spot::find(&tree, at + 1) else { return Vec::new() };
        let cursor = Cursor { text: &text, at, spot };
        match cursor.spot.what {
            What::Key(entry) if cursor.spot.keys() == ["thresholds"] => self.selectors(&cursor, entry),
            What::Key(entry) => self.keys(&cursor, entry),
            What::Value(node) => self.values(&cursor, node),
        }
    }

    fn keys(&self, cursor: &Cursor<'_>, entry: &Entry) -> Vec<Completion> {
        let mut out = Proposals::over(cursor.original(entry.key.clone()));
        let there: Vec<&Entry> = cursor.spot.around.iter().filter(|other| other.key != entry.key).collect();
        let has = |name: &str| there.iter().any(|other| other.name == name);
        let colon = if entry.colon { "" } else { ": " };
        for name in self.names_as_keys(&cursor.spot) {
            if !has(&name.1) {
                out.push(CompletionKind::Name(name.0), &name.1, format!("{}{colon}", name.1), None);
            }
        }
        let executor = there.iter().find(|other| other.name == "executor");
        let executor = executor.and_then(|entry| entry.value.text(cursor.text));
        self.schema_keys(&cursor.spot.path, &there, executor, entry.colon, &mut out);
        out.found
    }

    /// The keys of the map at a path that are not there and go with those that are.
    fn schema_keys(
        &self,
        path: &[Part],
        there: &[&Entry],
        executor: Option<&str>,
        colon: bool,
        out: &mut Proposals,
    ) {
        let words = self.words();
        let has = |name: &str| there.iter().any(|other| other.name == name);
        let mut keys = words.keys(path);
        keys.retain(|key| !has(key.name) && fits(path, there, executor, key.name));
        let rank =
            |name: &str| METHODS.iter().chain(OTHER_STEPS.iter().map(|step| &step.0)).any(|m| *m == name);
        keys.sort_by_key(|key| (!key.required, is_step(path) && !rank(key.name)));
        for key in keys {
            let end = match (colon, key.container) {
                (true, _) => "",
                (false, true) => ":",
                (false, false) => ": ",
            };
            out.push(CompletionKind::Key, key.name, format!("{}{end}", key.name), key.about);
        }
    }

    /// Names of the plan that can be keys here.
    fn names_as_keys(&self, spot: &Spot<'_>) -> Vec<(Kind, String)> {
        let all = |kind| self.all(kind).into_iter().map(|name| (kind, name.to_string())).collect();
        match spot.keys().as_slice() {
            ["profiles", _] => all(Kind::Input),
            ["setup" | "teardown" | "scenarios", .., "[]", "record"] => all(Kind::Metric),
            _ => Vec::new(),
        }
    }

    fn values(&self, cursor: &Cursor<'_>, node: &Node) -> Vec<Completion> {
        let keys = cursor.spot.keys();
        let bare = matches!(keys.as_slice(), [.., "when" | "repeat" | "each"] | [.., "record", _])
            && !cursor.text[node.range.clone()].contains("{{");
        let slots = templates::slots(cursor.text, node.range.clone());
        let slot = slots.into_iter().find(|slot| slot.contains(&cursor.at));
        if let Some(slot) = slot.or_else(|| bare.then(|| node.range.clone())) {
            return self.inside_template(cursor, slot);
        }
        let mut out = Proposals::over(cursor.original(node.range.clone()));
        match keys.as_slice() {
            ["thresholds", selector]
            | ["thresholds", selector, "[]" | "threshold"]
            | ["thresholds", selector, "[]", "threshold"] => {
                self.conditions(selector, &mut out);
            }
            [.., "allow", "lint"] | [.., "allow", "[]", "lint"] => {
                for lint in LINTS {
                    let about = lint.page.lines().next().map(|line| line.trim_start_matches(['#', ' ']));
                    out.word(CompletionKind::Word, lint.code.name, about);
                }
            }
            ["scenarios", _, "executor"] => {
                for executor in executors::EXECUTORS {
                    let about = hover::executor(executor);
                    out.word(CompletionKind::Word, executor.name, Some(&about));
                }
            }
            _ => {}
        }
        if let [.., "columns", _, "column"] = keys.as_slice() {
            let of = cursor.spot.around.iter().find(|entry| entry.name == "fixture");
            for (kind, name) in
                of.and_then(|of| of.value.text(cursor.text)).map_or(Vec::new(), |of| self.columns_of(of))
            {
                out.word(CompletionKind::Name(kind), &name, None);
            }
        }
        for (kind, name) in self.names_as_values(&keys) {
            out.word(CompletionKind::Name(kind), &name, None);
        }
        for word in self.words().choices(&cursor.spot.path) {
            out.word(CompletionKind::Word, &word, None);
        }
        // An item of a list can become a map, unless it is in quotes.
        let quoted = cursor.text[..node.range.start].ends_with(['"', '\'']);
        if cursor.spot.path.last() == Some(&Part::Item) && !quoted {
            self.schema_keys(&cursor.spot.path, &[], None, false, &mut out);
        }
        out.found
    }

    /// Names of the plan that can be values here.
    fn names_as_values(&self, keys: &[&str]) -> Vec<(Kind, String)> {
        let all = |kind| -> Vec<(Kind, String)> {
            self.all(kind).into_iter().map(|name| (kind, name.to_string())).collect()
        };
        if self.sort == Some(Sort::Fixture)
            && let ["columns", _, "fixture"] | ["children", "of"] | ["after"] | ["after", "[]"] = keys
        {
            let names = self.beside().filter_map(|file| file.own_name().map(String::from));
            return names.map(|name| (Kind::Fixture, name)).collect();
        }
        match keys {
            ["scenarios", own, "needs"] | ["scenarios", own, "needs", "[]"] => {
                all(Kind::Scenario).into_iter().filter(|(_, name)| name != own).collect()
            }
            ["scenarios", _, "draw", _] | ["scenarios", _, "draw", _, "from"] => all(Kind::Fixture),
            ["setup" | "teardown" | "scenarios", .., "[]", "call"] => all(Kind::Endpoint),
            ["setup" | "teardown" | "scenarios", .., "[]", "token"] => all(Kind::Token),
            ["endpoints" | "tokens", _, "scopes"] | ["endpoints" | "tokens", _, "scopes", "[]"] => {
                all(Kind::Scope)
            }
            ["fixtures", _, "columns", _, "fixture"] => all(Kind::Fixture),
            ["fixtures", own, "children", "of"]
            | ["fixtures", own, "after"]
            | ["fixtures", own, "after", "[]"] => {
                all(Kind::Fixture).into_iter().filter(|(_, name)| name != own).collect()
            }
            ["identity"] | ["identity", "[]"] if self.sort == Some(Sort::Fixture) => {
                self.own_columns_and_fields()
            }
            ["fixtures", own, "identity"] | ["fixtures", own, "identity", "[]"] => self.columns_of(own),
            _ => Vec::new(),
        }
    }
}

/// Whether a top key shows that a file is somebody else's.
fn is_foreign(entry: &Entry) -> bool {
    let ours = |words: Words| words.keys(&[]).iter().any(|key| key.name == entry.name);
    !ours(Words::plan()) && !ours(Words::fixture())
}

/// Keys of requests that a step takes which is none.
fn of_requests(kind: &str) -> &'static [&'static str] {
    match kind {
        "websocket" => &["headers", "query", "timeout", "token", "cookies", "expect", "on_failure"],
        "receive" => &["capture"],
        _ => &[],
    }
}

fn is_step(path: &[Part]) -> bool {
    let list =
        |key: &Part| matches!(key, Part::Key(key) if ["steps", "setup", "teardown"].contains(&key.as_str()));
    matches!(path, [.., key, Part::Item] if list(key))
}

/// Whether a key goes with those that are there: a step does one thing, and an executor takes its own options.
fn fits(path: &[Part], there: &[&Entry], executor: Option<&str>, key: &str) -> bool {
    let has = |name: &str| there.iter().any(|other| other.name == name);
    if is_step(path) {
        let of_others =
            |key: &str| OTHER_STEPS.iter().any(|(kind, takes)| *kind == key || takes.contains(&key));
        let other = OTHER_STEPS.iter().find(|(kind, _)| has(kind));
        return match (METHODS.iter().any(|method| has(method)), other) {
            (true, _) => !METHODS.contains(&key) && !of_others(key) && (key != "path" || has("call")),
            (false, Some((kind, takes))) => {
                takes.contains(&key)
                    || of_requests(kind).contains(&key)
                    || !METHODS.contains(&key) && !of_others(key) && !OF_REQUESTS.contains(&key)
            }
            (false, None) => true,
        };
    }
    if matches!(path, [Part::Key(top), Part::Key(_)] if top == "scenarios") {
        let takers = executors::takers(key);
        let known = executor.filter(|executor| executors::by_name(executor).is_some());
        return takers.is_empty() || known.is_none_or(|executor| takers.contains(&executor));
    }
    if matches!(path, [Part::Key(top), Part::Key(_)] if top == "metrics") {
        let own = |key: &str| ["type", "time"].contains(&key);
        let scraped = |key: &str| ["scrape", "every", "within"].contains(&key);
        let there = |of: &dyn Fn(&str) -> bool| there.iter().any(|other| of(&other.name));
        return !(own(key) && there(&scraped) || scraped(key) && there(&own));
    }
    let is_method = |key: &str| METHODS[1..].contains(&key);
    !is_method(key) || !there.iter().any(|other| is_method(&other.name))
}
