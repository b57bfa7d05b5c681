//! Requests, expectations, matchers and the checks made of them.

use super::{Map, Parser, first_line};
use crate::ast::{Body, Check, Expect, ExpectWhat, Facts, Probe, Request, Text, Typed, Word};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expr::{Expr, NameUse, Parsed, Segment, Template};
use crate::graph::{Expected, Json, JsonTemplate, JsonType, Matcher, StatusPattern};
use crate::near::{listed, nearest};
use crate::source::Span;
use crate::yaml::{Entry, Node, NodeKind};

/// Keys that are HTTP methods.
pub(super) const METHODS: [(&str, &str); 7] = [
    ("get", "GET"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("head", "HEAD"),
    ("options", "OPTIONS"),
];

/// What an `expect` map may ask about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Http,
    Sql,
    Command,
    File,
    Nothing,
}

const PROBES: [&str; 4] = ["sql", "postgres", "command", "file"];

impl Parser<'_> {
    pub(super) fn checks(&mut self, node: &Node, what: &'static str, guard: bool) -> Vec<Check> {
        let items = self.list(node, "a list of checks");
        items.iter().filter_map(|item| self.check(item, what, guard, None)).collect()
    }

    /// One check; `at` is the key that holds it, when there is one.
    pub(super) fn check(&mut self, node: &Node, what: &'static str, guard: bool, at: Option<Span>) -> Option<Check> {
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
                Diagnostic::error(codes::MISSING_KEY, span, "an `sql` check without `expect` cannot fail").help(help),
            );
        }
        let within = self.typed_key(&mut map, "within");
        let fix = self.word_key(&mut map, "fix");
        let override_env = if guard { self.override_env(&mut map) } else { None };
        self.finish(map);
        Some(Check { span, name, probe, expect, within, fix, override_env })
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
                let message = format!("{} needs one of `get`, `post`, `sql`, `postgres`, `command` and `file`", map.what);
                self.error(codes::MISSING_KEY, map.at, message);
            }
            self.skip(map);
            return (map.at, None, Subject::Nothing);
        };
        if let Some(&(second, second_span)) = found.get(1) {
            let message = format!("{} looks at one thing: `{key}` and `{second}` stand side by side", map.what);
            self.error(codes::CONFLICTING_KEYS, second_span, message);
        }
        let node = map.take(key).expect("it was found above");
        let (probe, subject) = match key {
            "sql" => (self.text(node).map(Probe::Sql), Subject::Sql),
            "postgres" => (self.facts(node, span).map(Probe::Postgres), Subject::Nothing),
            "command" => (self.argv(node).map(Probe::Command), Subject::Command),
            "file" => (self.text(node).map(Probe::File), Subject::File),
            _ => (self.request_tail(map, key, span).map(|r| Probe::Http(Box::new(r))), Subject::Http),
        };
        (span, probe, subject)
    }

    /// Marks the keys of a request as known in a check whose kind could not be told.
    fn skip(&mut self, map: &mut Map<'_>) {
        map.known.extend(["headers", "query", "json", "form", "body", "timeout", "redirects", "expect"]);
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
            self.error(codes::MISSING_KEY, at, "a `postgres` check needs `database`, `foreign_rows` or `free_connections`");
        }
        self.finish(map);
        Some(Facts { database, foreign_rows, free_connections })
    }

    /// The first method key of a map, and the request around it. `None` without a method.
    pub(super) fn request(&mut self, map: &mut Map<'_>) -> Option<Request> {
        let mut found: Option<(&'static str, Span)> = None;
        for (key, _) in METHODS {
            let Some(entry) = map.entry(key) else { continue };
            match found {
                None => found = Some((key, entry.key.span)),
                Some((first, _)) => {
                    let message = format!("a request has one method: `{first}` and `{key}` stand side by side");
                    self.error(codes::CONFLICTING_KEYS, entry.key.span, message);
                }
            }
        }
        let Some((key, span)) = found else {
            let message = format!("{} needs a method and a path, such as `post: /path`", map.what);
            self.error(codes::MISSING_KEY, map.at, message);
            self.skip(map);
            return None;
        };
        self.request_tail(map, key, span)
    }

    /// Reads the request that `key` begins; its other keys may stand in any place of the map.
    pub(super) fn request_tail(&mut self, map: &mut Map<'_>, key: &'static str, span: Span) -> Option<Request> {
        let method = METHODS.iter().find(|(name, _)| *name == key).map_or("GET", |(_, method)| method);
        let url = map.take(key).and_then(|node| self.url(node));
        let rest = self.request_rest(map, span, method);
        url.map(|url| Request { url, ..rest })
    }

    fn url(&mut self, node: &Node) -> Option<Text> {
        let url = self.text(node)?;
        let starts_well = match url.parsed.value.segments.first() {
            Some(Segment::Literal(text)) => {
                text.starts_with('/') || text.starts_with("http://") || text.starts_with("https://")
            }
            Some(Segment::Slot(_)) => true,
            None => false,
        };
        if !starts_well {
            let shown = show_template(&url.parsed.value);
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_VALUE, url.span, "a request goes to a path or to an absolute URL")
                    .help(format!("write `/{shown}`")),
            );
            return None;
        }
        Some(url)
    }

    /// Headers, query, body and limits of a request whose URL is elsewhere.
    pub(super) fn request_rest(&mut self, map: &mut Map<'_>, span: Span, method: &'static str) -> Request {
        let query = map.take("query").map_or(Vec::new(), |node| self.texts(node, "`query`"));
        let mut headers = map.take("headers").map_or(Vec::new(), |node| self.texts(node, "`headers`"));
        for (name, _) in &mut headers {
            name.value = self.header_name(&name.value, name.span);
        }
        headers.sort_by(|a, b| a.0.value.cmp(&b.0.value));
        let body = self.body(map);
        let timeout = self.typed_key(map, "timeout");
        let redirects = self.typed_key(map, "redirects");
        let url = Text { span, parsed: Parsed { value: Template::default(), uses: Vec::new() } };
        Request { method, url, query, headers, body, timeout, redirects }
    }

    fn header_name(&mut self, name: &str, span: Span) -> String {
        let fine = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
        if !fine {
            self.error(codes::BAD_VALUE, span, format!("`{name}` is not the name of a header"));
        }
        name.to_ascii_lowercase()
    }

    fn body(&mut self, map: &mut Map<'_>) -> Option<Body> {
        self.not_yet(map, "multipart", "`multipart`");
        self.not_yet(map, "jws", "`jws`");
        let mut found: Vec<(&str, Span)> = Vec::new();
        let mut body = None;
        for key in ["json", "form", "body"] {
            let Some(entry) = map.entry(key) else { continue };
            found.push((key, entry.key.span));
            let read = match key {
                "json" => self.json(&entry.value).map(Body::Json),
                "form" => Some(Body::Form(self.texts(&entry.value, "`form`"))),
                _ => self.raw_body(&entry.value, entry.key.span),
            };
            body = body.or(read);
        }
        if let [(first, _), (second, span), ..] = found.as_slice() {
            let message = format!("a request has one body: `{first}` and `{second}` stand side by side");
            self.error(codes::CONFLICTING_KEYS, *span, message);
        }
        body
    }

    fn raw_body(&mut self, node: &Node, at: Span) -> Option<Body> {
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            return self.text(node).map(Body::Text);
        }
        let mut map = self.map(node, "`body`", Some(at))?;
        self.not_yet(&mut map, "file", "a body from a file");
        let text = self.text_key(&mut map, "text").map(Body::Text);
        let zeros = self.typed_key(&mut map, "zeros").map(Body::Zeros);
        let random = self.typed_key(&mut map, "random").map(Body::Random);
        if map.entries.is_empty() {
            self.error(codes::MISSING_KEY, at, "`body` needs `text`, `zeros` or `random`");
        }
        self.finish(map);
        text.or(zeros).or(random)
    }

    /// An `expect` map, in an order that does not hang on the order of writing.
    pub(super) fn expect(&mut self, node: &Node, subject: Subject) -> Vec<Expect> {
        let Some(mut map) = self.map(node, "`expect`", None) else { return Vec::new() };
        let mut out = Vec::new();
        match subject {
            Subject::Http => self.expect_http(&mut map, &mut out),
            Subject::Sql => {
                self.expect_one(&mut map, "rows", "rows", Expected::Rows, &mut out);
                self.expect_one(&mut map, "value", "value", Expected::Value, &mut out);
            }
            Subject::Command => {
                self.expect_one(&mut map, "exit_code", "exit code", Expected::ExitCode, &mut out);
                self.expect_one(&mut map, "stdout", "stdout", Expected::Stdout, &mut out);
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
        if let Some(node) = map.take("status")
            && let Some(statuses) = self.statuses(node)
        {
            out.push(status_expectation(statuses));
        }
        let named: [(&'static str, &str, fn(String, Matcher) -> Expected); 3] = [
            ("headers", "header", |name, matcher| Expected::Header { name, matcher }),
            ("json", "json", |path, matcher| Expected::Json { path, matcher }),
            ("cookies", "cookie", |name, matcher| Expected::Cookie { name, matcher }),
        ];
        for (key, word, make) in named {
            let Some(node) = map.take(key) else { continue };
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
        self.expect_one(map, "body", "body", Expected::Body, out);
        if let Some(node) = map.take("duration") {
            let typed = self.typed(node);
            let name = format!("duration < {}", self.sources.text(node.span).trim_matches(['"', '\'']));
            out.push(Expect { name, what: ExpectWhat::Duration(typed) });
        }
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
                    Diagnostic::error(codes::BAD_REGEX, word.span, "this is not a regular expression").note(last),
                );
                false
            }
        }
    }

    /// A literal, or a map of matcher words.
    pub(super) fn matcher(&mut self, node: &Node) -> Option<Parsed<Matcher>> {
        let NodeKind::Mapping(entries) = &node.kind else {
            return self.json(node).map(|json| Parsed { value: Matcher::Equals(json.value), uses: json.uses });
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
            "type" => self.choice(node, "JSON type", &JSON_TYPES).and_then(|kind| free(Matcher::Type(kind.value))),
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
    "equals", "present", "absent", "matches", "contains", "contains_all", "gt", "ge", "lt", "le", "one_of", "type",
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
        Expr::Path(path) => format!("{{{{ {} }}}}", path.join(".")),
        _ => "{{ … }}".into(),
    }
}
