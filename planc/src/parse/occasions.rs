//! When a plan is run, and how often it must have been green.

use super::{Parser, unit_diagnostic};
use crate::ast::{Quantity, Word};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::globs;
use crate::graph::{History, Period, WhenToRun};
use crate::source::Span;
use crate::yaml::Node;

const PERIODS: [(&str, Period); 2] = [("run", Period::Run), ("day", Period::Day)];

impl Parser<'_> {
    pub(super) fn when_to_run(&mut self, node: &Node, at: Span) -> Option<WhenToRun> {
        let mut map = self.map(node, "`when_to_run`", Some(at))?;
        let paths = self.require(&mut map, "paths").map(|node| self.patterns(node));
        if paths.as_ref().is_some_and(Vec::is_empty) {
            let message = "without a path there is no change that asks for a run";
            self.diagnostics.push(
                Diagnostic::error(codes::MISSING_KEY, at, message)
                    .help("write `paths: [\"services/shop/**\"]`, or leave `when_to_run` out to run always"),
            );
        }
        let always_on = map.take("always_on").map_or(Vec::new(), |node| self.patterns(node));
        self.finish(map);
        Some(WhenToRun { paths: sorted(paths?), always_on: sorted(always_on) })
    }

    fn patterns(&mut self, node: &Node) -> Vec<Word> {
        let words = self.words(node);
        for word in &words {
            if let Err((message, write)) = globs::check(&word.value) {
                let diagnostic = Diagnostic::error(codes::BAD_VALUE, word.span, message);
                self.diagnostics.push(match write {
                    Some(write) => diagnostic.help(format!("write `{write}`")),
                    None => diagnostic,
                });
            }
        }
        words
    }

    pub(super) fn history(&mut self, node: &Node, at: Span) -> Option<History> {
        let mut map = self.map(node, "`history`", Some(at))?;
        let streak = self.require(&mut map, "streak").and_then(|node| self.word(node));
        let per = map.take("per").and_then(|node| self.choice(node, "period", &PERIODS));
        self.finish(map);
        let streak = streak?;
        match u32::read(&streak.value) {
            Ok(0) => {
                self.error(codes::BAD_VALUE, streak.span, "a streak of none says nothing");
                None
            }
            Ok(count) => Some(History { streak: count, per: per.map_or(Period::Run, |per| per.value) }),
            Err(error) => {
                self.diagnostics.push(unit_diagnostic(streak.span, &streak.value, error, true));
                None
            }
        }
    }
}

/// Their order means nothing.
fn sorted(words: Vec<Word>) -> Vec<String> {
    let mut texts: Vec<String> = words.into_iter().map(|word| word.value).collect();
    texts.sort();
    texts.dedup();
    texts
}
