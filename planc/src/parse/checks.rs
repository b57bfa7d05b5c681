//! Checks: guards, preflight, readiness, verification.

use super::expect::Subject;
use super::requests::METHODS;
use super::{Map, Parser, first_line};
use crate::ast::{Check, Facts, Probe, Text, Typed, Word};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::near::nearest;
use crate::source::Span;
use crate::yaml::{Entry, Node, NodeKind};

/// What a check is for, which decides about the keys that not every check takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Guard,
    Preflight,
    Teardown,
    /// Of a service, a token, a fixture.
    Inner,
}

const PROBES: [&str; 4] = ["sql", "postgres", "command", "file"];

impl Parser<'_> {
    pub(super) fn checks(&mut self, node: &Node, what: &'static str, purpose: Purpose) -> Vec<Check> {
        let items = self.list(node, "a list of checks");
        items.iter().filter_map(|item| self.check(item, what, purpose, None)).collect()
    }

    /// One check; `at` is the key that holds it, when there is one.
    pub(super) fn check(
        &mut self,
        node: &Node,
        what: &'static str,
        purpose: Purpose,
        at: Option<Span>,
    ) -> Option<Check> {
        let mut map = self.map(node, what, at)?;
        let name = self.word_key(&mut map, "name");
        let (span, probe, subject) = self.probe(&mut map);
        let expect = match map.take("expect") {
            Some(node) => self.expect(node, subject),
            None => Vec::new(),
        };
        if let (Some(Probe::Postgres(_)), Some(entry)) = (&probe, map.entry("expect")) {
            let message = "a `postgres` check says itself what must hold, and takes no `expect`";
            self.error(codes::CONFLICTING_KEYS, entry.key.span, message);
        }
        if expect.is_empty() && matches!(probe, Some(Probe::Sql(_))) && !map.has("expect") {
            let help = "write `expect: { rows: 1 }` or `expect: { value: 0 }`";
            self.diagnostics.push(
                Diagnostic::error(codes::MISSING_KEY, span, "an `sql` check without `expect` cannot fail")
                    .help(help),
            );
        }
        let within = self.typed_key(&mut map, "within");
        let fix = self.word_key(&mut map, "fix");
        let override_env = if purpose == Purpose::Guard { self.override_env(&mut map) } else { None };
        let when = match purpose {
            Purpose::Preflight | Purpose::Teardown => self.typed_key(&mut map, "when"),
            Purpose::Guard => {
                self.unconditional(&mut map);
                None
            }
            Purpose::Inner => None,
        };
        self.finish(map);
        Some(Check { span, name, probe, expect, within, fix, override_env, when })
    }

    /// A guard that an input switches off is no guard.
    fn unconditional(&mut self, map: &mut Map<'_>) {
        let Some(span) = map.entry("when").map(|entry| entry.key.span) else { return };
        map.known.push("when");
        self.diagnostics.push(
            Diagnostic::error(codes::CONFLICTING_KEYS, span, "a guard always holds, and takes no `when`")
                .help("write `override: { env: NAME }`, whose value is the recorded reason to go on"),
        );
    }

    fn override_env(&mut self, map: &mut Map<'_>) -> Option<Word> {
        let node = map.take("override")?;
        let mut inner = self.map(node, "`override`", None)?;
        let env = self.require(&mut inner, "env").and_then(|node| self.word(node));
        self.finish(inner);
        env
    }

    /// The one of `get sql postgres command file` that is there.
    fn probe(&mut self, map: &mut Map<'_>) -> (Span, Option<Probe>, Subject) {
        let mut found: Vec<(&'static str, Span)> = Vec::new();
        for key in METHODS.iter().map(|(key, _)| *key).chain(PROBES) {
            if let Some(entry) = map.entry(key) {
                found.push((key, entry.key.span));
            }
        }
        let Some(&(key, span)) = found.first() else {
            let misspelt = |e: &Entry| {
                let key = e.key.value.as_str();
                !map.known.contains(&key) && nearest(key, map.known.iter().copied()).is_some()
            };
            if !map.entries.iter().any(misspelt) {
                let message = format!(
                    "{} needs one of `get`, `post`, `sql`, `postgres`, `command` and `file`",
                    map.what
                );
                self.error(codes::MISSING_KEY, map.at, message);
            }
            self.skip(map);
            return (map.at, None, Subject::Nothing);
        };
        if let Some(&(second, second_span)) = found.get(1) {
            let message =
                format!("{} looks at one thing: `{key}` and `{second}` stand side by side", map.what);
            self.error(codes::CONFLICTING_KEYS, second_span, message);
        }
        let node = map.take(key).expect("it was found above");
        let (probe, subject) = match key {
            "sql" => (self.text(node).map(Probe::Sql), Subject::Sql),
            "postgres" => (self.facts(node, span).map(Probe::Postgres), Subject::Nothing),
            "command" => {
                let env = map.take("env").map_or(Vec::new(), |node| self.texts(node, "`env`"));
                (self.argv(node).map(|argv| Probe::Command(argv, env)), Subject::Command)
            }
            "file" => (self.text(node).map(Probe::File), Subject::File),
            _ => (self.request_tail(map, key, span).map(|r| Probe::Http(Box::new(r))), Subject::Http),
        };
        (span, probe, subject)
    }

    pub(super) fn argv(&mut self, node: &Node) -> Option<Vec<Text>> {
        let argv: Vec<Text> = match &node.kind {
            NodeKind::Sequence(items) => items.iter().filter_map(|item| self.text(item)).collect(),
            _ => {
                let message = "a command is a list: the program and its arguments";
                self.diagnostics.push(
                    Diagnostic::error(codes::WRONG_TYPE, first_line(self.sources, node.span), message)
                        .help("write `[program, argument]`"),
                );
                return None;
            }
        };
        if argv.is_empty() {
            self.error(codes::WRONG_TYPE, node.span, "a command needs a program");
            return None;
        }
        Some(argv)
    }

    fn facts(&mut self, node: &Node, at: Span) -> Option<Facts> {
        let mut map = self.map(node, "a `postgres` check", Some(at))?;
        let database = self.typed_key(&mut map, "database");
        let mut foreign_rows = Vec::new();
        if let Some(node) = map.take("foreign_rows") {
            for item in self.one_or_many(node) {
                let Some(mut inner) = self.map(item, "`foreign_rows`", None) else { continue };
                let table = self.require(&mut inner, "in").and_then(|node| self.word(node));
                let at_most = self.typed_required(&mut inner, "at_most");
                self.finish(inner);
                foreign_rows.extend(table.map(|table| (table, at_most)));
            }
            foreign_rows.sort_by(|a, b| a.0.value.cmp(&b.0.value));
        }
        let free_connections = map.take("free_connections").map(|node| match &node.kind {
            NodeKind::Mapping(_) => match self.map(node, "`free_connections`", None) {
                Some(mut inner) => {
                    let least = self.typed_required(&mut inner, "at_least");
                    self.finish(inner);
                    least
                }
                None => Typed::Broken(node.span),
            },
            _ => self.typed(node),
        });
        if map.entries.is_empty() {
            self.error(
                codes::MISSING_KEY,
                at,
                "a `postgres` check needs `database`, `foreign_rows` or `free_connections`",
            );
        }
        self.finish(map);
        Some(Facts { database, foreign_rows, free_connections })
    }
}
