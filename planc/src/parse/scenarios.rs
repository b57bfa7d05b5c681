//! Scenarios, their executors' options, thresholds.

use super::{Map, Parser};
use crate::ast::{Draw, Scenario, Selector, Setting, SettingValue, Stage, Threshold, Typed, Word};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::executors::{self, EXECUTORS, Executor, Kind, Need};
use crate::graph::{Connections, DrawOrder, GateLevel};
use crate::near::{listed, nearest};
use crate::source::{Span, Spanned};
use crate::yaml::{Entry, Node, NodeKind};

const CONNECTIONS: [(&str, Connections); 3] = [
    ("keep", Connections::Keep),
    ("per_iteration", Connections::PerIteration),
    ("per_request", Connections::PerRequest),
];

const ORDERS: [(&str, DrawOrder); 5] = [
    ("round_robin", DrawOrder::RoundRobin),
    ("random", DrawOrder::Random),
    ("shuffle", DrawOrder::Shuffle),
    ("per_vu", DrawOrder::PerVu),
    ("exclusive", DrawOrder::Exclusive),
];

pub(super) const LEVELS: [(&str, GateLevel); 2] =
    [("required", GateLevel::Required), ("advisory", GateLevel::Advisory)];

impl Parser<'_> {
    pub(super) fn scenario(&mut self, entry: &Entry) -> Option<Scenario> {
        let mut map = self.map(&entry.value, "a scenario", Some(entry.key.span))?;
        let executor = self.require(&mut map, "executor").and_then(|node| self.executor(node));
        let options = self.options(&mut map, executor);
        let start_time = self.typed_key(&mut map, "start_time");
        let graceful_stop = self.typed_key(&mut map, "graceful_stop");
        let needs = map.take("needs").map_or(Vec::new(), |node| self.words(node));
        let smoke = self.typed_key(&mut map, "smoke");
        let draw = map.take("draw").map_or(Vec::new(), |node| self.draws(node));
        let connections =
            map.take("connections").and_then(|node| self.choice(node, "`connections`", &CONNECTIONS));
        let pause_on_failure = self.typed_key(&mut map, "pause_on_failure");
        let trace = map.entry("trace").and_then(|entry| self.trace(&entry.value, entry.key.span));
        let setup = map.take("setup").map_or(Vec::new(), |node| self.steps(node));
        let steps_node = self.require(&mut map, "steps");
        let steps = steps_node.map_or(Vec::new(), |node| self.steps(node));
        if steps.is_empty()
            && steps_node.is_some_and(|node| matches!(node.kind, NodeKind::Null | NodeKind::Sequence(_)))
        {
            self.error(codes::MISSING_KEY, map.at, "a scenario needs at least one step");
        }
        let tags = map.take("tags").map_or(Vec::new(), |node| self.tags(node));
        self.finish(map);
        Some(Scenario {
            name: entry.key.clone(),
            executor,
            options,
            start_time,
            graceful_stop,
            needs,
            smoke,
            draw,
            connections,
            pause_on_failure,
            trace,
            setup,
            steps,
            tags,
        })
    }

    fn executor(&mut self, node: &Node) -> Option<Spanned<&'static Executor>> {
        let word = self.word(node)?;
        if let Some(executor) = executors::by_name(&word.value) {
            return Some(Spanned::new(executor, word.span));
        }
        let names = || EXECUTORS.iter().map(|executor| executor.name);
        let message = format!("unknown executor `{}`", word.value);
        let diagnostic = Diagnostic::error(codes::BAD_VALUE, word.span, message);
        self.diagnostics.push(match nearest(&word.value, names()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")).suggest(word.span, near),
            None => diagnostic.help(format!("write one of {}", listed(names(), "or"))),
        });
        None
    }

    /// The executor's own keys; keys of other executors are told with the executor that takes them.
    fn options(&mut self, map: &mut Map<'_>, executor: Option<Spanned<&'static Executor>>) -> Vec<Setting> {
        let mut out = Vec::new();
        let own: &'static [executors::Key] = executor.map_or(&[], |executor| executor.value.keys);
        for key in own {
            let Some(entry) = map.entry(key.name) else {
                if key.need == Need::Required && !map.has_near(key.name) {
                    let name = executor.map_or("", |executor| executor.value.name);
                    self.error(codes::MISSING_KEY, map.at, format!("`{name}` needs `{}`", key.name));
                }
                continue;
            };
            let value = self.setting(&entry.value, key.kind);
            out.push(Setting { key: Spanned::new(key.name, entry.key.span), value });
        }
        let mut others: Vec<&'static str> =
            EXECUTORS.iter().flat_map(|e| e.keys).map(|key| key.name).collect();
        others.sort_unstable();
        others.dedup();
        for key in others.into_iter().filter(|key| !own.iter().any(|own| own.name == *key)) {
            let Some(entry) = map.entries.iter().find(|entry| entry.key.value == key) else { continue };
            map.known.push(key);
            if let Some(executor) = executor {
                self.foreign_key(key, entry.key.span, executor, map);
            }
        }
        if let Some(entry) =
            map.entries.iter().find(|entry| ["time_unit", "timeUnit"].contains(&entry.key.value.as_str()))
        {
            map.known.extend(["time_unit", "timeUnit"]);
            self.diagnostics.push(
                Diagnostic::error(codes::UNKNOWN_KEY, entry.key.span, "the time unit belongs to the rate")
                    .help("write the rate with its unit, such as `rate: 50/m`"),
            );
        }
        out
    }

    fn foreign_key(&mut self, key: &str, span: Span, executor: Spanned<&'static Executor>, map: &Map<'_>) {
        let takers = executors::takers(key);
        let name = executor.value.name;
        let message = format!("`{name}` takes no `{key}`");
        let mut diagnostic = Diagnostic::error(codes::WRONG_EXECUTOR_KEY, span, message)
            .also(executor.span, "this executor")
            .note(format!("`{key}` belongs to {}", listed(takers.iter().copied(), "and")));
        // The taker that knows most of the keys that are there is the one that was likely meant.
        let fits = |taker: &&&str| {
            let keys = executors::by_name(taker).map_or(&[] as &[executors::Key], |e| e.keys);
            map.entries.iter().filter(|entry| keys.iter().any(|k| k.name == entry.key.value)).count()
        };
        if let Some(taker) = takers.iter().rev().max_by_key(fits) {
            diagnostic = diagnostic.help(format!("write `executor: {taker}`, or leave `{key}` out"));
        }
        self.diagnostics.push(diagnostic);
    }

    fn setting(&mut self, node: &Node, kind: Kind) -> SettingValue {
        match kind {
            Kind::Count | Kind::CountOrZero => SettingValue::Count(self.typed(node)),
            Kind::Rate => SettingValue::Rate(self.typed(node)),
            Kind::Duration => SettingValue::Duration(self.typed(node)),
            Kind::UserStages => SettingValue::UserStages(self.stages(node)),
            Kind::RateStages => SettingValue::RateStages(self.stages(node)),
        }
    }

    fn stages<T: crate::ast::Quantity>(&mut self, node: &Node) -> Vec<Stage<T>> {
        let items = self.list(node, "a list of stages");
        if matches!(&node.kind, NodeKind::Sequence(items) if items.is_empty()) {
            self.error(codes::MISSING_KEY, node.span, "there is no stage in `stages`");
        }
        let mut out = Vec::new();
        for item in items {
            let Some(mut map) = self.map(item, "a stage", None) else { continue };
            let target = self.typed_required(&mut map, "target");
            let duration = self.typed_required(&mut map, "duration");
            let hold = map.entry("hold_until").and_then(|entry| self.hold(entry));
            self.finish(map);
            out.push(Stage { target, duration, hold });
        }
        out
    }

    fn draws(&mut self, node: &Node) -> Vec<Draw> {
        let mut out = Vec::new();
        for entry in self.named(node, "`draw`") {
            let Some(binding) = self.binding(entry.key.clone()) else { continue };
            let (fixture, order) = match &entry.value.kind {
                NodeKind::Mapping(_) => {
                    let Some(mut map) = self.map(&entry.value, "a draw", Some(entry.key.span)) else {
                        continue;
                    };
                    let fixture = self.require(&mut map, "from").and_then(|node| self.word(node));
                    let order = map.take("order").and_then(|node| self.choice(node, "order", &ORDERS));
                    self.finish(map);
                    (fixture, order)
                }
                _ => (self.word(&entry.value), None),
            };
            // A draw whose fixture could not be read still binds its name, so that its uses are not reported too.
            let fixture = fixture.unwrap_or(Spanned::new(String::new(), binding.span));
            out.push(Draw { binding, fixture, order });
        }
        out.sort_by(|a, b| a.binding.value.cmp(&b.binding.value));
        out
    }

    /// The conditions under one selector.
    pub(super) fn thresholds(&mut self, entry: &Entry) -> Vec<Threshold> {
        let items = self.one_or_many(&entry.value);
        if items.is_empty() {
            self.error(codes::MISSING_KEY, entry.key.span, "there is no condition under this selector");
        }
        let selector = self.selector(&entry.key);
        let before = self.allows.len();
        let thresholds = items.iter().map(|item| self.threshold(selector.as_ref(), item)).collect();
        // Much that is said of a condition is said at its selector.
        self.allows[before..].iter_mut().for_each(|allow| allow.places.push(entry.key.span));
        thresholds
    }

    /// `metric{tag:value,…}`, each part with its place.
    pub(crate) fn selector(&mut self, key: &Word) -> Option<Selector> {
        // The key may be quoted in the text.
        let offset = self.sources.text(key.span).find(key.value.as_str()).unwrap_or(0);
        let part = |text: &str| {
            let start = text.as_ptr() as usize - key.value.as_ptr() as usize + offset;
            Spanned::new(text.to_string(), key.span.slice(start..start + text.len()))
        };
        let mut bad = |message: &str| {
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_THRESHOLD, key.span, message)
                    .help("write `metric` or `metric{tag:value,other:value}`"),
            );
            None
        };
        let (metric, rest) = match key.value.split_once('{') {
            Some((metric, rest)) => match rest.trim_end().strip_suffix('}') {
                Some(tags) => (metric.trim(), tags),
                None => return bad("the selector's `{` is never closed"),
            },
            None => (key.value.trim(), ""),
        };
        let mut tags: Vec<(Word, Word)> = Vec::new();
        for pair in rest.split(',').filter(|pair| !pair.trim().is_empty()) {
            let Some((tag, value)) = pair.split_once(':') else {
                return bad("a selector is made of `tag:value` pairs");
            };
            let value = value.trim().trim_matches(['"', '\'']);
            if tags.iter().any(|(known, _)| known.value == tag.trim()) {
                return bad("a tag stands twice in the selector: no sample carries two values of it");
            }
            tags.push((part(tag.trim()), part(value)));
        }
        tags.sort_by(|a, b| a.0.value.cmp(&b.0.value));
        Some(Selector { metric: part(metric), tags })
    }

    pub(crate) fn threshold(&mut self, selector: Option<&Selector>, node: &Node) -> Threshold {
        let bare = |text| Threshold {
            selector: selector.cloned(),
            text,
            level: None,
            abort_on_fail: None,
            delay_abort_eval: None,
            min_samples: None,
            confident: None,
            window: None,
            stage: None,
        };
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            return bare(self.text(node));
        }
        let Some(mut map) = self.map(node, "a threshold", None) else { return bare(None) };
        if let Some(entry) = map.entries.iter().find(|entry| entry.key.value == "sql") {
            let message = "an SQL gate is of no metric, and stands under a name of its own";
            self.diagnostics.push(
                Diagnostic::error(codes::WRONG_TYPE, entry.key.span, message)
                    .help("write `thresholds: { what holds: { sql: …, expect: { value: 0 } } }`"),
            );
            return bare(None);
        }
        let text = self.require(&mut map, "threshold").and_then(|node| self.text(node));
        let level = map.take("level").and_then(|node| self.choice(node, "level", &LEVELS));
        let abort_on_fail = self.typed_key(&mut map, "abort_on_fail");
        let delay_abort_eval = self.typed_key(&mut map, "delay_abort_eval");
        let min_samples = self.typed_key(&mut map, "min_samples");
        let confident = self.typed_key(&mut map, "confident");
        let window = self.typed_key(&mut map, "window");
        let stage: Option<Typed<u32>> = self.typed_key(&mut map, "stage");
        if let (Some(window), Some(stage)) = (&window, &stage) {
            let message = "a gate judges every `window` or one `stage`, not both";
            let diagnostic = Diagnostic::error(codes::CONFLICTING_KEYS, stage.span(), message);
            self.diagnostics.push(
                diagnostic.also(window.span(), "the window").help("write two thresholds, one with each"),
            );
        }
        self.finish(map);
        Threshold {
            level,
            abort_on_fail,
            delay_abort_eval,
            min_samples,
            confident,
            window,
            stage,
            ..bare(text)
        }
    }
}
