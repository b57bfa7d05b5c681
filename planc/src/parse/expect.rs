//! Expectations and matchers, and the names that their checks are counted under.

use super::{Map, Parser};
use crate::ast::{Expect, ExpectWhat, Word};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expr::{Expr, METRIC, NameUse, Parsed, Segment, Template};
use crate::graph::{Expected, Json, JsonTemplate, JsonType, Matcher, StatusPattern};
use crate::near::{listed, nearest};
use crate::source::Span;
use crate::yaml::{Node, NodeKind};

/// What an `expect` map may ask about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Http,
    /// The answer to a WebSocket handshake, which has no body.
    Handshake,
    Sql,
    Command,
    File,
    Nothing,
}

/// Makes an expectation on what has a name.
type MakeNamed = fn(String, Matcher) -> Expected;

impl Parser<'_> {
    /// An `expect` map, in an order that does not hang on the order of writing.
    pub(super) fn expect(&mut self, node: &Node, subject: Subject) -> Vec<Expect> {
        let Some(mut map) = self.map(node, "`expect`", None) else { return Vec::new() };
        let mut out = Vec::new();
        match subject {
            Subject::Http => self.expect_http(&mut map, &mut out),
            Subject::Handshake => self.expect_handshake(&mut map, &mut out),
            Subject::Sql => {
                self.expect_one(&mut map, "rows", "rows", Expected::Rows, &mut out);
                self.expect_one(&mut map, "value", "value", Expected::Value, &mut out);
            }
            Subject::Command => {
                self.expect_one(&mut map, "exit_code", "exit code", Expected::ExitCode, &mut out);
                self.expect_one(&mut map, "stdout", "stdout", Expected::Stdout, &mut out);
                self.expect_json(&mut map, &mut out);
            }
            Subject::File => {
                if let Some(node) = map.take("exists") {
                    if let NodeKind::Bool(exists) = node.kind {
                        let name = if exists { "file exists" } else { "file does not exist" };
                        out.push(plain(name, Expected::FileExists(exists), Vec::new()));
                    } else {
                        self.wrong_type(node, "`true` or `false`");
                    }
                }
                self.expect_json(&mut map, &mut out);
                self.expect_one(&mut map, "body", "body", Expected::Body, &mut out);
            }
            Subject::Nothing => {
                // The probe is unknown or takes no expectation; what it would have taken cannot be told.
                map.known.extend(["status", "headers", "json", "body", "cookies", "duration"]);
                map.known.extend(["rows", "value", "exit_code", "stdout", "exists"]);
            }
        }
        self.finish(map);
        out
    }

    fn expect_http(&mut self, map: &mut Map<'_>, out: &mut Vec<Expect>) {
        self.expect_status(map, out);
        self.expect_headers(map, out);
        self.expect_json(map, out);
        let cookie = |name, matcher| Expected::Cookie { name, matcher };
        self.expect_named(map, "cookies", "cookie", cookie, out);
        self.expect_body(map, out);
        self.expect_duration(map, out);
    }

    fn expect_handshake(&mut self, map: &mut Map<'_>, out: &mut Vec<Expect>) {
        self.expect_status(map, out);
        self.expect_headers(map, out);
        let cookie = |name, matcher| Expected::Cookie { name, matcher };
        self.expect_named(map, "cookies", "cookie", cookie, out);
        self.expect_duration(map, out);
    }

    fn expect_status(&mut self, map: &mut Map<'_>, out: &mut Vec<Expect>) {
        if let Some(node) = map.take("status")
            && let Some(statuses) = self.statuses(node)
        {
            out.push(status_expectation(statuses));
        }
    }

    fn expect_headers(&mut self, map: &mut Map<'_>, out: &mut Vec<Expect>) {
        let header = |name, matcher| Expected::Header { name, matcher };
        self.expect_named(map, "headers", "header", header, out);
    }

    pub(super) fn expect_json(&mut self, map: &mut Map<'_>, out: &mut Vec<Expect>) {
        self.expect_named(map, "json", "json", |path, matcher| Expected::Json { path, matcher }, out);
    }

    pub(super) fn expect_body(&mut self, map: &mut Map<'_>, out: &mut Vec<Expect>) {
        self.expect_one(map, "body", "body", Expected::Body, out);
    }

    fn expect_duration(&mut self, map: &mut Map<'_>, out: &mut Vec<Expect>) {
        if let Some(node) = map.take("duration") {
            let typed = self.typed(node);
            let name = format!("duration < {}", self.sources.text(node.span).trim_matches(['"', '\'']));
            out.push(Expect { name, what: ExpectWhat::Duration(typed) });
        }
    }

    /// What is expected of headers, paths and cookies, by name.
    fn expect_named(
        &mut self,
        map: &mut Map<'_>,
        key: &'static str,
        word: &str,
        make: MakeNamed,
        out: &mut Vec<Expect>,
    ) {
        let Some(node) = map.take(key) else { return };
        let mut found = Vec::new();
        for entry in self.named(node, "what is expected") {
            let name = match key {
                "headers" => self.header_name(&entry.key.value, entry.key.span),
                "json" if !self.json_path(&entry.key.value, entry.key.span) => continue,
                _ => entry.key.value.clone(),
            };
            let Some(matcher) = self.matcher(&entry.value) else { continue };
            let text = format!("{word} {name} {}", show_matcher(&matcher.value));
            found.push(plain(&text, make(name, matcher.value), matcher.uses));
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        out.extend(found);
    }

    fn expect_one(
        &mut self,
        map: &mut Map<'_>,
        key: &'static str,
        word: &str,
        make: fn(Matcher) -> Expected,
        out: &mut Vec<Expect>,
    ) {
        let Some(node) = map.take(key) else { return };
        let Some(matcher) = self.matcher(node) else { return };
        let name = format!("{word} {}", show_matcher(&matcher.value));
        out.push(plain(&name, make(matcher.value), matcher.uses));
    }

    /// `200`, `2xx`, or a list of these.
    pub(super) fn statuses(&mut self, node: &Node) -> Option<Vec<StatusPattern>> {
        let mut out = Vec::new();
        let items = self.one_or_many(node);
        for item in items {
            out.push(self.status(item)?);
        }
        if out.is_empty() {
            self.error(codes::BAD_VALUE, node.span, "no status would be accepted");
            return None;
        }
        out.sort();
        out.dedup();
        Some(out)
    }

    pub(super) fn status(&mut self, node: &Node) -> Option<StatusPattern> {
        let word = self.word(node)?;
        let text = word.value.to_ascii_lowercase();
        let class = text.strip_suffix("xx").and_then(|digit| digit.parse::<u8>().ok());
        match (class, text.parse::<u16>()) {
            (Some(class @ 1..=5), _) => return Some(StatusPattern::Class(class)),
            (_, Ok(status @ 100..=599)) => return Some(StatusPattern::Exact(status)),
            _ => {}
        }
        self.diagnostics.push(
            Diagnostic::error(codes::BAD_VALUE, word.span, format!("`{}` is not an HTTP status", word.value))
                .help("write a status such as `200`, a class such as `2xx`, or a list of them"),
        );
        None
    }

    /// Whether a text is a JSONPath; says so when it is not.
    pub(super) fn json_path(&mut self, path: &str, span: Span) -> bool {
        match serde_json_path::JsonPath::parse(path) {
            Ok(_) => true,
            Err(error) => {
                let mut diagnostic =
                    Diagnostic::error(codes::BAD_JSON_PATH, span, format!("`{path}` is not a JSONPath"))
                        .note(error.message().to_string());
                if !path.starts_with('$') {
                    diagnostic = diagnostic.help(format!("write `$.{path}`"));
                }
                self.diagnostics.push(diagnostic);
                false
            }
        }
    }

    /// Whether a text is a regular expression; says so when it is not.
    pub(super) fn regex(&mut self, word: &Word) -> bool {
        match regex::Regex::new(&word.value) {
            Ok(_) => true,
            Err(error) => {
                let shown = error.to_string();
                let last = shown.lines().last().unwrap_or("").trim_start_matches("error: ").to_string();
                self.diagnostics.push(
                    Diagnostic::error(codes::BAD_REGEX, word.span, "this is not a regular expression")
                        .note(last),
                );
                false
            }
        }
    }

    /// A literal, the bare words `present` and `absent`, or a map of matcher words.
    pub(super) fn matcher(&mut self, node: &Node) -> Option<Parsed<Matcher>> {
        if let NodeKind::Scalar { text, plain: true } = &node.kind {
            // Bare words, as in `$.id: present`; the texts themselves are written in quotes.
            let word = match text.as_str() {
                "present" => Some(Matcher::Present),
                "absent" => Some(Matcher::Absent),
                _ => None,
            };
            if let Some(value) = word {
                return Some(Parsed { value, uses: Vec::new() });
            }
        }
        let NodeKind::Mapping(entries) = &node.kind else {
            return self
                .json(node)
                .map(|json| Parsed { value: Matcher::Equals(json.value), uses: json.uses });
        };
        let mut map = self.map(node, "a matcher", None)?;
        let mut all = Vec::new();
        let mut uses = Vec::new();
        let mut broken = false;
        for key in MATCHERS {
            let Some(node) = map.take(key) else { continue };
            match self.matcher_word(key, node) {
                Some(parsed) => {
                    all.push(parsed.value);
                    uses.extend(parsed.uses);
                }
                None => broken = true,
            }
        }
        let unknown: Vec<_> = entries.iter().filter(|e| !MATCHERS.contains(&e.key.value.as_str())).collect();
        if let Some(first) = unknown.first() {
            let known = map.known.clone();
            if unknown.len() == entries.len() && nearest(&first.key.value, MATCHERS).is_none() {
                let message = format!("unknown matcher `{}`", first.key.value);
                self.diagnostics.push(
                    Diagnostic::error(codes::UNKNOWN_KEY, first.key.span, message)
                        .note(format!("a matcher is one of {}", listed(MATCHERS, "and")))
                        .help("for equality with a map, write `equals: { … }`"),
                );
            } else {
                unknown.iter().for_each(|e| self.unknown_key(&e.key, "a matcher", &known));
            }
            return None;
        }
        let value = match all.len() {
            _ if broken => return None,
            0 => {
                self.error(codes::MISSING_KEY, node.span, "an empty matcher matches nothing in particular");
                return None;
            }
            1 => all.remove(0),
            _ => Matcher::All(all),
        };
        Some(Parsed { value, uses })
    }

    fn matcher_word(&mut self, key: &str, node: &Node) -> Option<Parsed<Matcher>> {
        let free = |value| Some(Parsed { value, uses: Vec::new() });
        match key {
            "present" | "absent" => match node.kind {
                NodeKind::Bool(wanted) if wanted == (key == "present") => free(Matcher::Present),
                NodeKind::Bool(_) => free(Matcher::Absent),
                _ => {
                    self.wrong_type(node, "`true` or `false`");
                    None
                }
            },
            "matches" => {
                let word = self.word(node)?;
                if !self.regex(&word) {
                    return None;
                }
                free(Matcher::Matches(word.value))
            }
            "type" => {
                self.choice(node, "JSON type", &JSON_TYPES).and_then(|kind| free(Matcher::Type(kind.value)))
            }
            "length" => {
                let inner = self.matcher(node)?;
                Some(Parsed { value: Matcher::Length(Box::new(inner.value)), uses: inner.uses })
            }
            "one_of" => {
                let (mut values, mut uses) = (Vec::new(), Vec::new());
                for item in self.list(node, "a list of values") {
                    let json = self.json(item)?;
                    values.push(json.value);
                    uses.extend(json.uses);
                }
                Some(Parsed { value: Matcher::OneOf(values), uses })
            }
            _ => {
                let json = self.json(node)?;
                let value = match key {
                    "contains" => Matcher::Contains(json.value),
                    "contains_all" => Matcher::ContainsAll(json.value),
                    "gt" => Matcher::Gt(json.value),
                    "ge" => Matcher::Ge(json.value),
                    "lt" => Matcher::Lt(json.value),
                    "le" => Matcher::Le(json.value),
                    _ => Matcher::Equals(json.value),
                };
                Some(Parsed { value, uses: json.uses })
            }
        }
    }
}

const MATCHERS: [&str; 13] = [
    "equals",
    "present",
    "absent",
    "matches",
    "contains",
    "contains_all",
    "gt",
    "ge",
    "lt",
    "le",
    "one_of",
    "type",
    "length",
];

const JSON_TYPES: [(&str, JsonType); 7] = [
    ("null", JsonType::Null),
    ("boolean", JsonType::Boolean),
    ("number", JsonType::Number),
    ("integer", JsonType::Integer),
    ("string", JsonType::String),
    ("array", JsonType::Array),
    ("object", JsonType::Object),
];

fn plain(name: &str, value: Expected, uses: Vec<NameUse>) -> Expect {
    let mut name = name.to_string();
    if let Some((end, _)) = name.char_indices().nth(96) {
        name.truncate(end);
        name.push('…');
    }
    Expect { name, what: ExpectWhat::Plain(Parsed { value, uses }) }
}

/// `status is 2xx or 3xx`.
pub(crate) fn status_expectation(statuses: Vec<StatusPattern>) -> Expect {
    let words: Vec<String> = statuses.iter().map(|status| show_status(*status)).collect();
    let text = match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    };
    plain(&format!("status is {text}"), Expected::Status(statuses), Vec::new())
}

fn show_status(status: StatusPattern) -> String {
    match status {
        StatusPattern::Exact(status) => status.to_string(),
        StatusPattern::Class(class) => format!("{class}xx"),
    }
}

fn show_matcher(matcher: &Matcher) -> String {
    match matcher {
        Matcher::Equals(value) => format!("equals {}", show_json(value)),
        Matcher::Present => "present".into(),
        Matcher::Absent => "absent".into(),
        Matcher::Matches(regex) => format!("matches {regex}"),
        Matcher::Contains(value) => format!("contains {}", show_json(value)),
        Matcher::ContainsAll(value) => format!("contains all {}", show_json(value)),
        Matcher::Gt(value) => format!("> {}", show_json(value)),
        Matcher::Ge(value) => format!(">= {}", show_json(value)),
        Matcher::Lt(value) => format!("< {}", show_json(value)),
        Matcher::Le(value) => format!("<= {}", show_json(value)),
        Matcher::OneOf(values) => {
            let shown: Vec<String> = values.iter().map(show_json).collect();
            format!("one of {}", shown.join(", "))
        }
        Matcher::Type(kind) => {
            let name = JSON_TYPES.iter().find(|(_, k)| k == kind).map_or("", |(name, _)| name);
            format!("type {name}")
        }
        Matcher::Length(inner) => format!("length {}", show_matcher(inner)),
        Matcher::All(all) => all.iter().map(show_matcher).collect::<Vec<_>>().join(" and "),
    }
}

fn show_json(json: &JsonTemplate) -> String {
    match json {
        JsonTemplate::Const(Json::String(text)) => text.clone(),
        JsonTemplate::Const(value) => value.to_string(),
        JsonTemplate::Text(text) => show_template(text),
        JsonTemplate::Value(expr) => show_slot(expr),
        JsonTemplate::List(items) => {
            format!("[{}]", items.iter().map(show_json).collect::<Vec<_>>().join(", "))
        }
        JsonTemplate::Map(map) => {
            let fields: Vec<String> = map.iter().map(|(k, v)| format!("{k}: {}", show_json(v))).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

/// A template as its author would know it again.
pub(crate) fn show_template(template: &Template) -> String {
    template
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => text.clone(),
            Segment::Slot(expr) => show_slot(expr),
        })
        .collect()
}

fn show_slot(expr: &Expr) -> String {
    match expr {
        Expr::Path(path) if path[0] == METRIC => path[1..].concat(),
        Expr::Path(path) => format!("{{{{ {} }}}}", path.join(".")),
        _ => "{{ … }}".into(),
    }
}
