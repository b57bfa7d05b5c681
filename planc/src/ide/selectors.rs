//! What a threshold can select and ask: metrics, tags, and the values that the plan's steps can give them.

use super::Document;
use super::complete::{Completion, CompletionKind, Cursor, Proposals};
use super::names::Kind;
use super::templates::{self, Selector};
use super::tree::Entry;
use crate::graph::MetricKind;
use crate::resolve::{self, Emitter, TagValue, emitters, family};
use std::collections::BTreeMap;
use std::ops::Range;

impl Document<'_> {
    /// The part of a selector at the cursor.
    pub(super) fn selectors(&self, cursor: &Cursor<'_>, entry: &Entry) -> Vec<Completion> {
        let selector = templates::selector(cursor.text, entry.key.clone());
        let here = |range: &Range<usize>| range.contains(&cursor.at);
        if here(&selector.metric) {
            return self.metrics(cursor, selector.metric);
        }
        let Some(at) =
            selector.tags.iter().position(|(tag, value)| here(tag) || value.as_ref().is_some_and(here))
        else {
            return Vec::new();
        };
        let (tag, value) = selector.tags[at].clone();
        let sources = self.sources(cursor, &selector, at);
        match value {
            Some(value) if here(&value) => {
                let name = &cursor.text[tag];
                values(&sources, name, Proposals::over(cursor.original(value)))
            }
            value => {
                let mut out = Proposals::over(cursor.original(tag));
                let there =
                    |name: &str| selector.tags.iter().any(|(tag, _)| cursor.text[tag.clone()] == *name);
                let tags = sources.iter().flat_map(|source| source.tags.keys()).filter(|name| !there(name));
                let mut tags: Vec<&String> = tags.collect();
                tags.sort_by_key(|name| (*name != "scenario", *name));
                for name in tags {
                    let colon = if value.is_some() { "" } else { ":" };
                    out.push(CompletionKind::Tag, name, format!("{name}{colon}"), None);
                }
                out.found
            }
        }
    }

    /// What emits the selector's metric and can carry its other tags.
    fn sources(&self, cursor: &Cursor<'_>, selector: &Selector, at: usize) -> Vec<Emitter> {
        let Some((_, resolved)) = self.resolved().into_iter().next() else { return Vec::new() };
        let family = family(&cursor.text[selector.metric.clone()]);
        let text = |range: &Range<usize>| cursor.text[range.clone()].to_string();
        let others = selector.tags.iter().enumerate().filter(|(other, _)| *other != at);
        let others: BTreeMap<String, String> = others
            .filter_map(|(_, (tag, value))| Some((text(tag), text(value.as_ref()?))))
            .filter(|(_, value)| !value.is_empty() && value != "*")
            .collect();
        let all = emitters(&resolved).into_iter();
        all.filter(|source| source.family == family && source.matches(&others)).collect()
    }

    fn metrics(&self, cursor: &Cursor<'_>, range: Range<usize>) -> Vec<Completion> {
        let mut out = Proposals::over(cursor.original(range));
        let resolved = self.resolved().into_iter().next();
        let sources = resolved.map_or(Vec::new(), |(_, resolved)| emitters(&resolved));
        let emitted = |name: &str| sources.iter().any(|source| source.family == family(name));
        for name in self.all(Kind::Metric) {
            out.word(CompletionKind::Name(Kind::Metric), name, self.kind_of(name).map(about_kind));
        }
        let mut names: Vec<&str> = resolve::metric_names().collect();
        names.sort_by_key(|name| !emitted(name));
        for name in names {
            out.word(CompletionKind::Metric, name, self.kind_of(name).map(about_kind));
        }
        out.found
    }

    fn kind_of(&self, metric: &str) -> Option<MetricKind> {
        if let Some((kind, _)) = resolve::built_in(metric) {
            return Some(kind);
        }
        let node = self.declaration("metrics", metric)?;
        let written = node.text(&self.text).or_else(|| node.get("type")?.text(&self.text))?;
        Some(match written {
            "counter" => MetricKind::Counter,
            "rate" => MetricKind::Rate,
            "gauge" => MetricKind::Gauge,
            "time_trend" => MetricKind::TimeTrend,
            "trend" => MetricKind::Trend,
            _ => return None,
        })
    }

    /// Conditions that a metric of its kind can be held to.
    pub(super) fn conditions(&self, selector: &str, out: &mut Proposals) {
        let metric = selector.split('{').next().unwrap_or("").trim();
        let conditions: &[&str] = match self.kind_of(metric) {
            Some(MetricKind::TimeTrend) => &["p(95) < 500ms", "p(99) < 1s", "med < 200ms", "max < 3s"],
            Some(MetricKind::Trend) => &["p(95) < 10", "avg < 10", "max < 100"],
            Some(MetricKind::Rate) => &["rate < 1%", "rate > 99%"],
            Some(MetricKind::Counter) => &["count > 0", "rate > 1/s"],
            Some(MetricKind::Gauge) => &["value < 10", "max < 100"],
            None => &[],
        };
        for condition in conditions {
            out.word(CompletionKind::Condition, condition, None);
        }
    }
}

/// The values that a tag can have; `*` when all of them are known.
fn values(sources: &[Emitter], tag: &str, mut out: Proposals) -> Vec<Completion> {
    let known: Vec<&TagValue> = sources.iter().filter_map(|source| source.tags.get(tag)).collect();
    let mut words: Vec<&str> = Vec::new();
    for value in &known {
        match value {
            TagValue::Plan(values) => words.extend(values.iter().map(String::as_str)),
            TagValue::Engine(values) => words.extend(values.iter().copied()),
            TagValue::Status | TagValue::Open { .. } => {}
        }
    }
    words.sort_unstable();
    words.dedup();
    for word in &words {
        out.word(CompletionKind::Tag, word, None);
    }
    if words.len() > 1 && known.iter().all(|value| matches!(value, TagValue::Plan(_))) {
        out.word(CompletionKind::Tag, "*", Some("One gate for each value."));
    }
    out.found
}

fn about_kind(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "A counter: `count` and `rate`.",
        MetricKind::Rate => "A rate: `rate` and `count`.",
        MetricKind::Gauge => "A gauge: `value`, `min` and `max`.",
        MetricKind::Trend => "A trend: `p(N)`, `avg`, `med`, `min`, `max` and `count`.",
        MetricKind::TimeTrend => "A trend of times: `p(N)`, `avg`, `med`, `min`, `max` and `count`.",
    }
}
