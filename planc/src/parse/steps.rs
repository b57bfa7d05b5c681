//! Steps.

use super::expect::Subject;
use super::requests::METHODS;
use super::{Map, Parser};
use crate::ast::{Asked, Branch, HttpStep, Pause, Record, Step, StepKind, Tag, Text, Typed, Word};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::{CaptureFrom, OnFailure};
use crate::near::{nearest, of_k6};
use crate::source::{Span, Spanned};
use crate::yaml::{Node, NodeKind};

/// Keys that say what a step does, besides the HTTP methods.
const KINDS: [&str; 12] = [
    "call",
    "websocket",
    "pause",
    "choose",
    "repeat",
    "each",
    "when",
    "group",
    "send",
    "receive",
    "ping",
    "close",
];

const ON_FAILURE: [(&str, OnFailure); 4] = [
    ("continue", OnFailure::Continue),
    ("next_iteration", OnFailure::NextIteration),
    ("stop_scenario", OnFailure::StopScenario),
    ("abort_run", OnFailure::AbortRun),
];

impl Parser<'_> {
    pub(super) fn steps(&mut self, node: &Node) -> Vec<Step> {
        let items = self.list(node, "a list of steps");
        items.iter().filter_map(|item| self.step(item)).collect()
    }

    pub(super) fn step(&mut self, node: &Node) -> Option<Step> {
        let mut map = self.map(node, "a step", None)?;
        let later = self.step_of_later(&mut map);
        let mut found: Vec<(&'static str, Span)> = Vec::new();
        for key in METHODS.iter().map(|(key, _)| *key).chain(KINDS) {
            if let Some(entry) = map.entries.iter().find(|entry| entry.key.value == key) {
                found.push((key, entry.key.span));
            }
        }
        let Some(&(key, span)) = found.first() else {
            if !later {
                self.no_kind(&map);
            }
            return Some(Step { span: map.at, name: None, tags: Vec::new(), kind: StepKind::Broken });
        };
        if let Some(&(second, second_span)) = found.get(1) {
            let message = format!("a step does one thing: `{key}` and `{second}` stand side by side");
            self.error(codes::CONFLICTING_KEYS, second_span, message);
            found[1..].iter().for_each(|(key, _)| map.known.push(key));
        }
        let kind = self.step_kind(&mut map, key, span);
        let name = self.typed_key(&mut map, "name");
        let tags = map.take("tags").map_or(Vec::new(), |node| self.tags(node));
        if matches!(kind, StepKind::Http(_)) {
            map.known.extend(METHODS.iter().map(|(key, _)| *key).chain(["call", "websocket"]));
        }
        self.finish(map);
        Some(Step { span, name, tags, kind })
    }

    fn step_of_later(&mut self, map: &mut Map<'_>) -> bool {
        let sql = self.not_yet(map, "sql", "an `sql` load step");
        map.known.clear();
        sql
    }

    fn no_kind(&mut self, map: &Map<'_>) {
        let kinds: Vec<&str> = METHODS.iter().map(|(key, _)| *key).chain(KINDS).collect();
        for entry in map.entries {
            let ours = of_k6(&entry.key.value, kinds.iter().copied());
            if let Some(near) = ours.or_else(|| nearest(&entry.key.value, kinds.iter().copied())) {
                self.diagnostics.push(
                    Diagnostic::error(
                        codes::UNKNOWN_KEY,
                        entry.key.span,
                        format!("unknown step `{}`", entry.key.value),
                    )
                    .help(format!("did you mean `{near}`?"))
                    .suggest(entry.key.span, near),
                );
                return;
            }
        }
        self.diagnostics.push(
            Diagnostic::error(codes::MISSING_KEY, map.at, "this step does nothing")
                .help("a step has one of `call`, `get`, `post`, `put`, `patch`, `delete`, `head`, `options`, `websocket`, `pause`, `choose`, `repeat`, `each`, `when` and `group`"),
        );
    }

    fn step_kind(&mut self, map: &mut Map<'_>, key: &'static str, span: Span) -> StepKind {
        let Some(node) = map.take(key) else { return StepKind::Broken };
        match key {
            "pause" => self.pause(node).map_or(StepKind::Broken, StepKind::Pause),
            "choose" => StepKind::Choose(self.branches(node)),
            "repeat" => {
                let count = self.computed(node);
                let binding = self.word_key(map, "as").and_then(|word| self.binding(word));
                let steps = self.inner_steps(map);
                count.map_or(StepKind::Broken, |count| StepKind::Repeat { count, binding, steps })
            }
            "each" => {
                let list = self.computed(node);
                let binding = self.require(map, "as").and_then(|node| self.word(node));
                let binding = binding.and_then(|word| self.binding(word));
                let steps = self.inner_steps(map);
                match (list, binding) {
                    (Some(list), Some(binding)) => StepKind::Each { list, binding, steps },
                    _ => StepKind::Broken,
                }
            }
            "when" => {
                let condition = self.computed(node);
                let steps = self.inner_steps(map);
                condition.map_or(StepKind::Broken, |condition| StepKind::When { condition, steps })
            }
            "group" => {
                let name = self.typed(node);
                StepKind::Group { name, steps: self.inner_steps(map) }
            }
            "websocket" => self.websocket(map, node, span),
            "send" => self.send(node, span),
            "receive" => self.receive(map, node),
            "ping" => self.ping(node, span),
            "close" => self.close(node, span),
            _ => self.http(map, key, span).map_or(StepKind::Broken, |step| StepKind::Http(Box::new(step))),
        }
    }

    pub(super) fn inner_steps(&mut self, map: &mut Map<'_>) -> Vec<Step> {
        let steps = self.require(map, "steps").map(|node| (node, self.steps(node)));
        if let Some((node, steps)) = &steps
            && steps.is_empty()
            && matches!(node.kind, NodeKind::Null | NodeKind::Sequence(_))
        {
            self.error(codes::MISSING_KEY, map.at, "there is no step in `steps`");
        }
        steps.map_or(Vec::new(), |(_, steps)| steps)
    }

    /// A name that a step brings into scope.
    pub(super) fn binding(&mut self, word: Word) -> Option<Word> {
        let mut chars = word.value.chars();
        let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if starts && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Some(word);
        }
        let message = format!("`{}` cannot be a name in expressions", word.value);
        self.diagnostics.push(
            Diagnostic::error(codes::BAD_VALUE, word.span, message).help("names are letters, digits and `_`"),
        );
        None
    }

    fn http(&mut self, map: &mut Map<'_>, key: &'static str, span: Span) -> Option<HttpStep> {
        let asked = if key == "call" {
            let endpoint = map.take("call").and_then(|node| self.word(node));
            let rest = self.request_rest(map, span, "GET");
            endpoint.map(|endpoint| Asked::Call(endpoint, rest))
        } else {
            self.request_tail(map, key, span).map(Asked::Direct)
        };
        let path_span = map.entry("path").map(|entry| entry.key.span);
        let path = map.take("path").map_or(Vec::new(), |node| self.texts(node, "`path`"));
        let token = self.word_key(map, "token");
        let cookies = self.typed_key(map, "cookies");
        let checked = ["expect", "capture"].iter().any(|key| map.has_near(key) || map.has(key));
        let expect = map.take("expect").map_or(Vec::new(), |node| self.expect(node, Subject::Http));
        let capture = map.take("capture").map_or(Vec::new(), |node| self.captures(node));
        let record = map.take("record").map_or(Vec::new(), |node| self.records(node));
        let on_failure = self.on_failure(map);
        Some(HttpStep {
            asked: asked?,
            path_span,
            path,
            token,
            cookies,
            expect,
            checked,
            capture,
            record,
            on_failure,
        })
    }

    pub(super) fn on_failure(&mut self, map: &mut Map<'_>) -> Option<Spanned<OnFailure>> {
        map.take("on_failure").and_then(|node| self.choice(node, "`on_failure`", &ON_FAILURE))
    }

    pub(super) fn captures(&mut self, node: &Node) -> Vec<(Word, CaptureFrom)> {
        let mut out = Vec::new();
        for entry in self.named(node, "`capture`") {
            let from = self.capture(&entry.value, entry.key.span);
            let name = self.binding(entry.key.clone());
            // A name whose source is wrong is a name all the same.
            out.extend(name.map(|name| (name, from.unwrap_or(CaptureFrom::Body))));
        }
        out.sort_by(|a, b| a.0.value.cmp(&b.0.value));
        out
    }

    fn capture(&mut self, node: &Node, at: Span) -> Option<CaptureFrom> {
        // `capture: { whole: body }` reads well, so a lone word is taken for the one source without an argument.
        if let NodeKind::Scalar { text, .. } = &node.kind
            && text == "body"
        {
            return Some(CaptureFrom::Body);
        }
        let mut map = self.map(node, "a capture", Some(at))?;
        let mut found = Vec::new();
        if let Some(node) = map.take("json") {
            let path = self.word(node).filter(|path| self.json_path(&path.value, path.span));
            found.push(path.map(|path| CaptureFrom::Json(path.value)));
        }
        if let Some(node) = map.take("header") {
            found.push(self.word(node).map(|name| CaptureFrom::Header(name.value.to_ascii_lowercase())));
        }
        if let Some(node) = map.take("cookie") {
            found.push(self.word(node).map(|name| CaptureFrom::Cookie(name.value)));
        }
        if let Some(node) = map.take("regex") {
            let regex = self.word(node).filter(|regex| self.regex(regex));
            found.push(regex.map(|regex| CaptureFrom::Regex(regex.value)));
        }
        if map.take("body").is_some() {
            found.push(Some(CaptureFrom::Body));
        }
        let misspelt = map.entries.iter().any(|e| !map.known.contains(&e.key.value.as_str()));
        self.finish(map);
        match found.len() {
            1 => found.remove(0),
            0 => {
                if !misspelt {
                    self.error(
                        codes::MISSING_KEY,
                        at,
                        "a capture needs `json`, `header`, `cookie`, `regex` or `body`",
                    );
                }
                None
            }
            _ => {
                self.error(codes::CONFLICTING_KEYS, at, "a capture reads one place");
                None
            }
        }
    }

    fn records(&mut self, node: &Node) -> Vec<Record> {
        let mut out = Vec::new();
        for entry in self.named(node, "`record`") {
            let metric = entry.key.clone();
            if !matches!(entry.value.kind, NodeKind::Mapping(_) | NodeKind::Null) {
                let value = self.computed(&entry.value);
                out.push(Record { metric, when: None, value });
                continue;
            }
            let Some(mut map) = self.map(&entry.value, "a record", Some(entry.key.span)) else { continue };
            let when = map.take("when").and_then(|node| self.computed(node));
            let value = map.take("value").and_then(|node| self.computed(node));
            self.finish(map);
            out.push(Record { metric, when, value });
        }
        out.sort_by(|a, b| a.metric.value.cmp(&b.metric.value));
        out
    }

    fn pause(&mut self, node: &Node) -> Option<Pause> {
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            return Some(Pause::Fixed(self.typed(node)));
        }
        let mut map = self.map(node, "a pause", None)?;
        let uniform = map.take("uniform").map(|node| self.range(node));
        let normal = map.take("normal").and_then(|node| {
            let mut inner = self.map(node, "`normal`", None)?;
            let mean = self.typed_required(&mut inner, "mean");
            let deviation = self.typed_required(&mut inner, "deviation");
            self.finish(inner);
            Some(Pause::Normal(mean, deviation))
        });
        let exponential = map.take("exponential").map(|node| match &node.kind {
            NodeKind::Mapping(_) => {
                let mut inner = self.map(node, "`exponential`", None)?;
                let mean = self.typed_required(&mut inner, "mean");
                self.finish(inner);
                Some(Pause::Exponential(mean))
            }
            _ => Some(Pause::Exponential(self.typed(node))),
        });
        if map.entries.is_empty() {
            self.error(
                codes::MISSING_KEY,
                node.span,
                "a pause needs a duration, `uniform`, `normal` or `exponential`",
            );
        }
        self.finish(map);
        uniform.flatten().or(normal).or(exponential.flatten())
    }

    /// `[1s, 3s]` or `{ from: 1s, to: 3s }`.
    fn range(&mut self, node: &Node) -> Option<Pause> {
        match &node.kind {
            NodeKind::Sequence(items) if items.len() == 2 => {
                Some(Pause::Uniform(self.typed(&items[0]), self.typed(&items[1])))
            }
            NodeKind::Mapping(_) => {
                let mut map = self.map(node, "`uniform`", None)?;
                let from = self.typed_required(&mut map, "from");
                let to = self.typed_required(&mut map, "to");
                self.finish(map);
                Some(Pause::Uniform(from, to))
            }
            _ => {
                self.wrong_type(node, "the shortest and the longest pause, `[1s, 3s]`");
                None
            }
        }
    }

    fn branches(&mut self, node: &Node) -> Vec<Branch> {
        let mut out = Vec::new();
        for item in self.list(node, "a list of branches") {
            let Some(mut map) = self.map(item, "a branch", None) else { continue };
            let weight = self.typed_required(&mut map, "weight");
            let steps = match map.take("steps") {
                Some(node) => self.steps(node),
                None => {
                    if !map.has_near("steps") {
                        self.error(
                            codes::MISSING_KEY,
                            map.at,
                            "a branch needs `steps`; write `[]` for doing nothing",
                        );
                    }
                    Vec::new()
                }
            };
            self.finish(map);
            out.push(Branch { weight, steps });
        }
        if matches!(&node.kind, NodeKind::Sequence(items) if items.is_empty()) {
            self.error(codes::MISSING_KEY, node.span, "there is no branch to choose");
        }
        out
    }

    pub(super) fn tags(&mut self, node: &Node) -> Vec<Tag> {
        let mut out = Vec::new();
        for entry in self.named(node, "`tags`") {
            let key = entry.key.clone();
            let (value, values) = match &entry.value.kind {
                NodeKind::Mapping(_) => {
                    let Some(mut map) = self.map(&entry.value, "a tag", Some(key.span)) else { continue };
                    let value = self.require(&mut map, "value").and_then(|node| self.text(node));
                    let values = map.take("values").map_or(Vec::new(), |node| self.words(node));
                    self.finish(map);
                    (value, values.into_iter().map(|word| word.value).collect())
                }
                _ => (self.text(&entry.value), Vec::new()),
            };
            out.extend(value.map(|value: Text| Tag { key, value, values }));
        }
        out.sort_by(|a, b| a.key.value.cmp(&b.key.value));
        out
    }
}

/// A typed value that is known.
pub(crate) fn given<T>(value: T, span: Span) -> Typed<T> {
    Typed::Given(Spanned::new(value, span))
}
