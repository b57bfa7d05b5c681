//! Every name of a file: where it is given and where it is used.
//!
//! Definition, references, hover and completion all read this one list, so that they cannot disagree.

use super::templates::{self, Role};
use super::tree::{Entry, Node, NodeKind};
use std::ops::Range;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An input.
    Input,
    /// A profile.
    Profile,
    /// A service.
    Service,
    /// A fixture.
    Fixture,
    /// A fixture's file.
    File,
    /// A column of a fixture.
    Column,
    /// A token.
    Token,
    /// What a token has and an endpoint needs.
    Scope,
    /// An endpoint.
    Endpoint,
    /// A metric of the plan's own.
    Metric,
    /// A scenario.
    Scenario,
    /// A row drawn, a value captured, a counter.
    Binding,
}

/// A name and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Symbol {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// The scenario of a binding, the fixture of a column.
    pub(super) within: String,
}

/// A place with a name in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Occurrence {
    pub(super) range: Range<usize>,
    pub(super) symbol: Symbol,
    pub(super) defines: bool,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A plan.
    Plan,
    /// A fixture alone.
    Fixture,
}

/// What a file is, by its top keys; `None` for any other YAML.
pub(super) fn sort(tree: &Node) -> Option<Sort> {
    let has = |key: &str| tree.entry(key).is_some();
    if has("plan") || has("scenarios") && (has("target") || has("thresholds")) {
        return Some(Sort::Plan);
    }
    let rows = has("rows") || has("rows_from") || has("columns");
    (has("fixture") || has("sql") || rows && (has("table") || has("create"))).then_some(Sort::Fixture)
}

/// All names of a file, in no order. `own` is what a fixture file's columns belong to.
pub(super) fn occurrences(text: &str, tree: &Node, own: &str) -> Vec<Occurrence> {
    let mut walk = Walk {
        text,
        out: Vec::new(),
        scenario: None,
        draws: Vec::new(),
        columns: None,
        fields: false,
        parents: None,
    };
    match sort(tree) {
        Some(Sort::Fixture) => walk.fixture(own, tree),
        _ => walk.plan(tree),
    }
    walk.out
}

/// What a row's templates see beside its columns.
const OF_ROWS: [&str; 6] = ["n", "rows", "seed", "parent", "child", "run_id"];

struct Walk<'t> {
    text: &'t str,
    out: Vec<Occurrence>,
    /// Where bindings belong: a scenario, or the plan's own steps as "".
    scenario: Option<String>,
    /// Bindings of the scenario and the fixture that each draws from.
    draws: Vec<(String, String)>,
    /// The parents of the fixture that is read.
    parents: Option<String>,
    /// Columns of the fixture that is read, and its name.
    columns: Option<(String, Vec<String>)>,
    /// Whether it has columns from a file besides.
    fields: bool,
}

impl<'t> Walk<'t> {
    fn push(&mut self, range: Range<usize>, kind: Kind, within: &str, defines: bool) {
        let name = self.text.get(range.clone()).unwrap_or("").to_string();
        if !name.is_empty() {
            let symbol = Symbol { kind, name, within: within.to_string() };
            self.out.push(Occurrence { range, symbol, defines });
        }
    }

    fn defines(&mut self, entry: &Entry, kind: Kind) {
        self.push(entry.key.clone(), kind, "", true);
    }

    fn uses(&mut self, node: &Node, kind: Kind) {
        for item in node.items().iter().filter(|item| item.kind == NodeKind::Scalar) {
            self.push(item.range.clone(), kind, "", false);
        }
    }

    fn word(&self, node: Option<&Node>) -> Option<&'t str> {
        node.and_then(|node| node.text(self.text))
    }

    fn plan(&mut self, tree: &Node) {
        for entry in tree.entries() {
            let of = |kind| (kind, entry.value.entries());
            let (kind, entries) = match entry.name.as_str() {
                "inputs" => of(Kind::Input),
                "profiles" => of(Kind::Profile),
                "services" => of(Kind::Service),
                "fixtures" => of(Kind::Fixture),
                "tokens" => of(Kind::Token),
                "endpoints" => of(Kind::Endpoint),
                "metrics" => of(Kind::Metric),
                "scenarios" => of(Kind::Scenario),
                "thresholds" => {
                    self.thresholds(&entry.value);
                    continue;
                }
                "setup" | "teardown" => {
                    self.scenario = Some(String::new());
                    self.steps(&entry.value);
                    self.scenario = None;
                    continue;
                }
                _ => {
                    self.texts(&entry.value);
                    continue;
                }
            };
            for named in entries {
                self.defines(named, kind);
                self.declared(kind, named);
            }
        }
    }

    /// What stands under a name that is given.
    fn declared(&mut self, kind: Kind, named: &Entry) {
        let scopes = |walk: &mut Self, defines| {
            for item in named.value.get("scopes").map_or(&[][..], Node::items) {
                walk.push(item.range.clone(), Kind::Scope, "", defines);
            }
        };
        match kind {
            Kind::Profile => {
                named.value.entries().iter().for_each(|e| self.push(e.key.clone(), Kind::Input, "", false));
            }
            Kind::Fixture => {
                let from = if named.value.kind == NodeKind::Scalar { Some(&named.value) } else { None };
                if let Some(from) = from.or_else(|| named.value.get("from")) {
                    self.uses(from, Kind::File);
                }
                self.fixture(&named.name, &named.value);
            }
            Kind::Token => {
                scopes(self, true);
                self.texts(&named.value);
            }
            Kind::Endpoint => {
                scopes(self, false);
                self.texts(&named.value);
            }
            Kind::Scenario => self.scenario(named),
            _ => self.texts(&named.value),
        }
    }

    fn fixture(&mut self, name: &str, node: &Node) {
        let of = node.get("children").and_then(|children| children.get("of"));
        if let Some(of) = of.filter(|of| of.kind == NodeKind::Scalar) {
            self.uses(of, Kind::Fixture);
            self.parents = self.word(Some(of)).map(String::from);
        }
        node.get("after").into_iter().for_each(|after| self.uses(after, Kind::Fixture));
        let columns = node.get("columns").map_or(&[][..], Node::entries);
        for column in columns {
            self.push(column.key.clone(), Kind::Column, name, true);
            if let Some(other) = column.value.get("fixture").filter(|other| other.kind == NodeKind::Scalar) {
                self.uses(other, Kind::Fixture);
                let within = self.word(Some(other)).unwrap_or("");
                if let Some(of) = column.value.get("column") {
                    self.push(of.range.clone(), Kind::Column, within, false);
                }
            }
        }
        for item in node.get("identity").map_or(&[][..], Node::items) {
            self.push(item.range.clone(), Kind::Column, name, false);
        }
        self.columns = Some((name.to_string(), columns.iter().map(|column| column.name.clone()).collect()));
        self.fields = node.get("rows_from").is_some();
        self.texts(node);
        self.columns = None;
        self.fields = false;
        self.parents = None;
    }

    fn scenario(&mut self, named: &Entry) {
        self.scenario = Some(named.name.clone());
        for entry in named.value.entries() {
            match entry.name.as_str() {
                "needs" => self.uses(&entry.value, Kind::Scenario),
                "draw" => {
                    for draw in entry.value.entries() {
                        self.push(draw.key.clone(), Kind::Binding, &named.name, true);
                        let from = draw.value.get("from").unwrap_or(&draw.value);
                        self.uses(from, Kind::Fixture);
                        let fixture = self.word(Some(from)).unwrap_or("").to_string();
                        self.draws.push((draw.name.clone(), fixture));
                    }
                }
                "setup" | "steps" => {}
                _ => self.texts(&entry.value),
            }
        }
        // A draw may be written after the steps that use it.
        for key in ["setup", "steps"] {
            named.value.get(key).into_iter().for_each(|steps| self.steps(steps));
        }
        self.scenario = None;
        self.draws.clear();
    }

    fn steps(&mut self, node: &Node) {
        for entry in node.items().iter().flat_map(Node::entries) {
            self.step_key(entry);
        }
    }

    fn step_key(&mut self, entry: &Entry) {
        let within = self.scenario.clone().unwrap_or_default();
        let node = &entry.value;
        match entry.name.as_str() {
            "call" => self.uses(node, Kind::Endpoint),
            "token" => self.uses(node, Kind::Token),
            "as" => self.push(node.range.clone(), Kind::Binding, &within, true),
            "capture" => {
                let captures = node.entries().iter();
                captures.for_each(|e| self.push(e.key.clone(), Kind::Binding, &within, true));
            }
            "record" => {
                for metric in node.entries() {
                    self.push(metric.key.clone(), Kind::Metric, "", false);
                    self.expression(metric.value.get("when").unwrap_or(&metric.value));
                    metric.value.get("value").into_iter().for_each(|value| self.expression(value));
                }
            }
            "when" | "repeat" | "each" => self.expression(node),
            "steps" => self.steps(node),
            "choose" => {
                for branch in node.items().iter().flat_map(Node::entries) {
                    if branch.name == "steps" {
                        self.steps(&branch.value);
                    }
                }
            }
            _ => self.texts(node),
        }
    }

    fn thresholds(&mut self, node: &Node) {
        for entry in node.entries() {
            if entry.value.get("sql").is_some() {
                self.texts(&entry.value);
                continue;
            }
            let selector = templates::selector(self.text, entry.key.clone());
            self.push(selector.metric, Kind::Metric, "", false);
            for (tag, value) in selector.tags {
                if let (Some("scenario"), Some(value)) = (self.text.get(tag), value) {
                    self.push(value, Kind::Scenario, "", false);
                }
            }
            self.texts(&entry.value);
        }
    }

    /// Names inside the slots of all texts below.
    fn texts(&mut self, node: &Node) {
        match &node.kind {
            NodeKind::Nothing => {}
            NodeKind::Scalar => {
                for slot in templates::slots(self.text, node.range.clone()) {
                    self.chains(slot);
                }
            }
            NodeKind::List(items) => items.iter().for_each(|item| self.texts(item)),
            NodeKind::Map(entries) => entries.iter().for_each(|entry| self.texts(&entry.value)),
        }
    }

    /// A value that is an expression even without braces.
    fn expression(&mut self, node: &Node) {
        match node.text(self.text) {
            Some(text) if !text.contains("{{") => self.chains(node.range.clone()),
            _ => self.texts(node),
        }
    }

    fn chains(&mut self, range: Range<usize>) {
        for chain in templates::chains(self.text, range) {
            if chain.role == Role::Name {
                self.chain(&chain.words);
            }
        }
    }

    fn chain(&mut self, words: &[Range<usize>]) {
        let (root, field) = (words[0].clone(), words.get(1).cloned());
        let name = &self.text[root.clone()];
        match (name, field) {
            ("inputs", Some(field)) => self.push(field, Kind::Input, "", false),
            ("services", Some(field)) => self.push(field, Kind::Service, "", false),
            ("inputs" | "services" | "response", _) => {}
            ("parent", Some(field)) if self.parents.is_some() && &self.text[field.clone()] != "n" => {
                let parents = self.parents.clone().unwrap_or_default();
                self.push(field, Kind::Column, &parents, false);
            }
            (_, field) => {
                if let Some((fixture, columns)) = &self.columns
                    && (columns.iter().any(|column| column == name)
                        || self.fields && !OF_ROWS.contains(&name))
                {
                    let fixture = fixture.clone();
                    self.push(root, Kind::Column, &fixture, false);
                } else if let Some(within) = self.scenario.clone() {
                    self.push(root, Kind::Binding, &within, false);
                    let drawn = self.draws.iter().find(|(binding, _)| binding == name);
                    if let (Some((_, fixture)), Some(field)) = (drawn.cloned(), field) {
                        self.push(field, Kind::Column, &fixture, false);
                    }
                }
            }
        }
    }
}
