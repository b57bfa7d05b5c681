//! What must be seen, and whether it was: expectations and matchers, pure over what was observed.
//!
//! The load engine prepares each expectation once ([`PreparedExpectation`]: paths and regular
//! expressions compiled) and checks it per response; guards and preflight use [`check`] and
//! [`matches()`] directly. A body is parsed as JSON at most once per response, and only when something
//! reads it.

use crate::mask::HIDDEN;
use http::HeaderMap;
use planc::eval;
use planc::expr::Scope;
use planc::graph::{Expectation, Expected, Json, JsonTemplate, JsonType, Matcher, StatusPattern};
use regex::Regex;
use serde_json_path::JsonPath;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::LazyLock;
use std::time::Duration;

/// What came back from an HTTP probe or request.
pub struct Observed<'a> {
    /// Status; none when there was no answer.
    pub status: Option<u16>,
    /// Headers of the last response.
    pub headers: &'a HeaderMap,
    /// Body; empty when it was not kept.
    pub body: &'a [u8],
    /// Service time.
    pub elapsed: Duration,
    json: OnceCell<Option<Json>>,
}

/// How an expectation turned out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome3 {
    /// It was seen.
    Holds,
    /// Something else was seen.
    Different {
        /// What, shortened.
        seen: String,
    },
    /// What it looks at was not there.
    Absent {
        /// What was looked for.
        what: String,
    },
}

/// An expectation with its paths and patterns compiled.
#[derive(Debug)]
pub struct PreparedExpectation {
    /// Value of the `check` tag.
    pub name: String,
    what: PreparedExpected,
}

/// A matcher with its patterns compiled.
#[derive(Debug)]
pub struct PreparedMatcher(Node);

/// A compiled JSONPath. Plain ones (`$.a.b[0]`) are walked without the general machinery.
#[derive(Debug)]
pub struct PreparedPath {
    text: String,
    kind: PathKind,
}

#[derive(Debug)]
enum PreparedExpected {
    Status(Vec<StatusPattern>),
    Header(String, PreparedMatcher),
    Json(PreparedPath, PreparedMatcher),
    Body(PreparedMatcher),
    Cookie(String, PreparedMatcher),
    Duration(Duration),
    /// Of a statement, program or file: whoever runs those has the value and asks [`matches`].
    Elsewhere(&'static str),
}

#[derive(Debug)]
enum PathKind {
    Plain(Vec<Key>),
    General(Box<JsonPath>),
}

#[derive(Debug, PartialEq)]
enum Key {
    Name(String),
    Index(i64),
}

#[derive(Debug)]
enum Node {
    Equals(JsonTemplate),
    Present,
    Absent,
    Matches(Regex),
    Contains(JsonTemplate),
    ContainsAll(JsonTemplate),
    Order(Order, JsonTemplate),
    OneOf(Vec<JsonTemplate>),
    Type(JsonType),
    Length(Box<Node>),
    All(Vec<Node>),
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Gt,
    Ge,
    Lt,
    Le,
}

/// Checks one expectation against a response.
pub fn check(expectation: &Expectation, observed: &Observed<'_>, scope: &dyn Scope) -> Outcome3 {
    match PreparedExpectation::new(expectation) {
        Ok(prepared) => prepared.check(observed, scope),
        Err(why) => Outcome3::Different { seen: why },
    }
}

/// Checks a matcher against a value; `None` is absent.
pub fn matches(matcher: &Matcher, value: Option<&Json>, scope: &dyn Scope) -> Outcome3 {
    match PreparedMatcher::new(matcher) {
        Ok(prepared) => prepared.matches(value, scope),
        Err(why) => Outcome3::Different { seen: why },
    }
}

/// Checks a matcher against a text from outside (header, cookie, standard output): where the plan
/// gives a number or a boolean, the text is read as one.
pub fn matches_text(matcher: &Matcher, text: Option<&str>, scope: &dyn Scope) -> Outcome3 {
    match PreparedMatcher::new(matcher) {
        Ok(prepared) => prepared.matches_text(text, scope),
        Err(why) => Outcome3::Different { seen: why },
    }
}

/// A text cut to at most `limit` characters.
pub fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

impl<'a> Observed<'a> {
    /// A response.
    pub fn new(status: Option<u16>, headers: &'a HeaderMap, body: &'a [u8], elapsed: Duration) -> Self {
        Observed { status, headers, body, elapsed, json: OnceCell::new() }
    }

    /// The body as JSON, parsed at the first call; none when it is not JSON.
    pub fn json(&self) -> Option<&Json> {
        self.json.get_or_init(|| serde_json::from_slice(self.body).ok()).as_ref()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
    }

    /// The value of a cookie that the response sets.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.headers.get_all(http::header::SET_COOKIE).iter().rev().find_map(|header| {
            let text = std::str::from_utf8(header.as_bytes()).ok()?;
            let (key, value) = text.split(';').next()?.split_once('=')?;
            (key.trim() == name).then(|| value.trim().trim_matches('"').to_owned())
        })
    }
}

impl PreparedExpectation {
    /// Compiles paths and patterns.
    pub fn new(expectation: &Expectation) -> Result<Self, String> {
        let what = match &expectation.what {
            Expected::Status(patterns) => PreparedExpected::Status(patterns.clone()),
            Expected::Header { name, matcher } => {
                PreparedExpected::Header(name.clone(), PreparedMatcher::new(matcher)?)
            }
            Expected::Json { path, matcher } => {
                PreparedExpected::Json(PreparedPath::new(path)?, PreparedMatcher::new(matcher)?)
            }
            Expected::Body(matcher) => PreparedExpected::Body(PreparedMatcher::new(matcher)?),
            Expected::Cookie { name, matcher } => {
                PreparedExpected::Cookie(name.clone(), PreparedMatcher::new(matcher)?)
            }
            Expected::Duration(limit) => PreparedExpected::Duration(*limit),
            Expected::Rows(_) => PreparedExpected::Elsewhere("rows"),
            Expected::Value(_) => PreparedExpected::Elsewhere("a value"),
            Expected::ExitCode(_) => PreparedExpected::Elsewhere("an exit code"),
            Expected::Stdout(_) => PreparedExpected::Elsewhere("standard output"),
            Expected::FileExists(_) => PreparedExpected::Elsewhere("a file"),
        };
        Ok(PreparedExpectation { name: expectation.name.clone(), what })
    }

    /// Whether the body must be kept for it.
    pub fn reads_body(&self) -> bool {
        matches!(self.what, PreparedExpected::Json(..) | PreparedExpected::Body(_))
    }

    /// Whether header fields must be kept for it.
    pub fn reads_fields(&self) -> bool {
        matches!(self.what, PreparedExpected::Header(..) | PreparedExpected::Cookie(..))
    }

    /// The statuses that it asks for, when it is about the status.
    pub fn statuses(&self) -> Option<&[StatusPattern]> {
        match &self.what {
            PreparedExpected::Status(patterns) => Some(patterns),
            _ => None,
        }
    }

    /// Checks it against a response.
    pub fn check(&self, observed: &Observed<'_>, scope: &dyn Scope) -> Outcome3 {
        match &self.what {
            PreparedExpected::Status(patterns) => match observed.status {
                None => Outcome3::Absent { what: "an answer".into() },
                Some(status) if patterns.iter().any(|p| p.matches(status)) => Outcome3::Holds,
                Some(status) => Outcome3::Different { seen: status.to_string() },
            },
            PreparedExpected::Header(name, matcher) => {
                let what = || format!("header `{name}`");
                let outcome = matcher.matches_text(observed.header(name).as_deref(), scope);
                if sounds_secret(name) { hidden(outcome) } else { outcome }.absent_is(what)
            }
            PreparedExpected::Json(path, matcher) => {
                let Some(body) = observed.json() else {
                    return match (&matcher.0, observed.body.is_empty()) {
                        (Node::Absent, true) => Outcome3::Holds,
                        (_, true) => Outcome3::Absent { what: "a JSON body".into() },
                        (_, false) => Outcome3::Different { seen: "a body that is not JSON".into() },
                    };
                };
                let found = path.find(body);
                let mut outcome = matcher.matches(found.as_deref(), scope);
                if !outcome.holds() && found.is_some_and(|v| v.is_string()) && sounds_secret(&path.text) {
                    outcome = hidden(outcome);
                }
                outcome.absent_is(|| format!("`{}`", path.text))
            }
            PreparedExpected::Body(matcher) => {
                let text = String::from_utf8_lossy(observed.body);
                matcher.matches_text(Some(&text), scope)
            }
            PreparedExpected::Cookie(name, matcher) => {
                let what = || format!("cookie `{name}`");
                hidden(matcher.matches_text(observed.cookie(name).as_deref(), scope)).absent_is(what)
            }
            PreparedExpected::Duration(limit) if observed.elapsed <= *limit => Outcome3::Holds,
            PreparedExpected::Duration(_) => {
                Outcome3::Different { seen: format!("{:.1}ms", observed.elapsed.as_secs_f64() * 1e3) }
            }
            PreparedExpected::Elsewhere(what) => Outcome3::Absent { what: (*what).into() },
        }
    }
}

impl PreparedPath {
    /// Compiles a JSONPath.
    pub fn new(text: &str) -> Result<Self, String> {
        let kind = match plain_keys(text) {
            Some(keys) => PathKind::Plain(keys),
            None => PathKind::General(Box::new(
                JsonPath::parse(text).map_err(|e| format!("`{text}` is not a JSONPath: {e}"))?,
            )),
        };
        Ok(PreparedPath { text: text.to_owned(), kind })
    }

    /// What it finds: the element of a singular path, else all hits as a list; nothing is `None`.
    pub fn find<'j>(&self, body: &'j Json) -> Option<Cow<'j, Json>> {
        match &self.kind {
            PathKind::Plain(keys) => walk(body, keys).map(Cow::Borrowed),
            PathKind::General(path) => {
                let hits: Vec<Json> = path.query(body).all().into_iter().cloned().collect();
                (!hits.is_empty()).then_some(Cow::Owned(Json::Array(hits)))
            }
        }
    }

    /// The first hit.
    pub fn first<'j>(&self, body: &'j Json) -> Option<&'j Json> {
        match &self.kind {
            PathKind::Plain(keys) => walk(body, keys),
            PathKind::General(path) => path.query(body).first(),
        }
    }
}

impl PreparedMatcher {
    /// Compiles patterns.
    pub fn new(matcher: &Matcher) -> Result<Self, String> {
        Ok(PreparedMatcher(node(matcher)?))
    }

    /// Checks a value; `None` is absent.
    pub fn matches(&self, value: Option<&Json>, scope: &dyn Scope) -> Outcome3 {
        evaluate(&self.0, value, false, scope)
    }

    /// Checks a text from outside, read as a number or boolean where the plan gives one.
    pub fn matches_text(&self, text: Option<&str>, scope: &dyn Scope) -> Outcome3 {
        let value = text.map(|text| Json::String(text.to_owned()));
        evaluate(&self.0, value.as_ref(), true, scope)
    }
}

impl Outcome3 {
    /// Whether it holds.
    pub fn holds(&self) -> bool {
        matches!(self, Outcome3::Holds)
    }

    fn absent_is(self, what: impl FnOnce() -> String) -> Self {
        match self {
            Outcome3::Absent { .. } => Outcome3::Absent { what: what() },
            other => other,
        }
    }
}

impl std::fmt::Display for Outcome3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome3::Holds => f.write_str("holds"),
            Outcome3::Different { seen } => f.write_str(seen),
            Outcome3::Absent { what } => write!(f, "{what} is absent"),
        }
    }
}

fn node(matcher: &Matcher) -> Result<Node, String> {
    Ok(match matcher {
        Matcher::Equals(value) => Node::Equals(value.clone()),
        Matcher::Present => Node::Present,
        Matcher::Absent => Node::Absent,
        Matcher::Matches(pattern) => Node::Matches(
            Regex::new(pattern).map_err(|e| format!("`{pattern}` is not a regular expression: {e}"))?,
        ),
        Matcher::Contains(value) => Node::Contains(value.clone()),
        Matcher::ContainsAll(values) => Node::ContainsAll(values.clone()),
        Matcher::Gt(value) => Node::Order(Order::Gt, value.clone()),
        Matcher::Ge(value) => Node::Order(Order::Ge, value.clone()),
        Matcher::Lt(value) => Node::Order(Order::Lt, value.clone()),
        Matcher::Le(value) => Node::Order(Order::Le, value.clone()),
        Matcher::OneOf(values) => Node::OneOf(values.clone()),
        Matcher::Type(kind) => Node::Type(*kind),
        Matcher::Length(inner) => Node::Length(Box::new(node(inner)?)),
        Matcher::All(all) => Node::All(all.iter().map(node).collect::<Result<_, _>>()?),
    })
}

/// `text` says that the value is text from outside, to be read as what the plan compares it with.
fn evaluate(node: &Node, value: Option<&Json>, text: bool, scope: &dyn Scope) -> Outcome3 {
    let Some(value) = value else {
        return match node {
            Node::Absent => Outcome3::Holds,
            Node::All(all) if all.iter().all(|n| matches!(n, Node::Absent)) => Outcome3::Holds,
            _ => Outcome3::Absent { what: "the value".into() },
        };
    };
    match holds(node, value, text, scope) {
        Ok(true) => Outcome3::Holds,
        Ok(false) => Outcome3::Different { seen: shown(value) },
        Err(error) => Outcome3::Different { seen: format!("an expectation without a value: {}", error.0) },
    }
}

fn holds(node: &Node, value: &Json, text: bool, scope: &dyn Scope) -> Result<bool, eval::EvalError> {
    let operand = |template| operand(template, scope);
    let same = |right: &Json| if text { equal_text(value, right) } else { equal(value, right) };
    Ok(match node {
        Node::Equals(right) => same(&*operand(right)?),
        Node::Present => true,
        Node::Absent => false,
        Node::Matches(pattern) => match value {
            Json::String(text) => pattern.is_match(text),
            Json::Null | Json::Array(_) | Json::Object(_) => false,
            scalar => pattern.is_match(&scalar.to_string()),
        },
        Node::Contains(right) => contains(value, &*operand(right)?),
        Node::ContainsAll(right) => match &*operand(right)? {
            Json::Array(all) => all.iter().all(|one| contains(value, one)),
            one => contains(value, one),
        },
        Node::Order(order, right) => ordered(*order, value, &*operand(right)?, text),
        Node::OneOf(all) => {
            for right in all {
                if same(&*operand(right)?) {
                    return Ok(true);
                }
            }
            false
        }
        Node::Type(kind) => has_type(value, *kind),
        Node::Length(inner) => match length(value) {
            Some(length) => holds(inner, &Json::from(length), false, scope)?,
            None => false,
        },
        Node::All(all) => {
            for inner in all {
                if !holds(inner, value, text, scope)? {
                    return Ok(false);
                }
            }
            true
        }
    })
}

fn operand<'t>(template: &'t JsonTemplate, scope: &dyn Scope) -> Result<Cow<'t, Json>, eval::EvalError> {
    match template {
        JsonTemplate::Const(value) => Ok(Cow::Borrowed(value)),
        other => eval::json(other, scope).map(Cow::Owned),
    }
}

/// Deep equality, numbers by value: `1` equals `1.0`.
fn equal(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(a), Json::Number(b)) => {
            a == b
                || match (a.as_i64(), b.as_i64()) {
                    (Some(a), Some(b)) => a == b,
                    _ => a.as_f64() == b.as_f64(),
                }
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => left == right,
    }
}

fn equal_text(seen: &Json, right: &Json) -> bool {
    let Json::String(text) = seen else { return equal(seen, right) };
    match right {
        Json::Number(number) => text.trim().parse::<f64>().ok() == number.as_f64(),
        Json::Bool(wanted) => text.trim() == if *wanted { "true" } else { "false" },
        _ => equal(seen, right),
    }
}

fn contains(value: &Json, part: &Json) -> bool {
    match value {
        Json::String(text) => text.contains(&*match part {
            Json::String(part) => Cow::Borrowed(part.as_str()),
            other => Cow::Owned(eval::to_text(other)),
        }),
        Json::Array(list) => list.iter().any(|one| equal(one, part)),
        Json::Object(map) => part.as_str().is_some_and(|key| map.contains_key(key)),
        _ => false,
    }
}

fn ordered(order: Order, left: &Json, right: &Json, text: bool) -> bool {
    let number = |value: &Json| match value {
        Json::Number(n) => n.as_f64(),
        Json::String(s) if text => s.trim().parse().ok(),
        _ => None,
    };
    let compared = match (number(left), number(right)) {
        (Some(a), Some(b)) => a.partial_cmp(&b),
        _ => match (left, right) {
            (Json::String(a), Json::String(b)) => Some(a.cmp(b)),
            _ => None,
        },
    };
    compared.is_some_and(|compared| match order {
        Order::Gt => compared.is_gt(),
        Order::Ge => compared.is_ge(),
        Order::Lt => compared.is_lt(),
        Order::Le => compared.is_le(),
    })
}

fn has_type(value: &Json, kind: JsonType) -> bool {
    match kind {
        JsonType::Null => value.is_null(),
        JsonType::Boolean => value.is_boolean(),
        JsonType::Number => value.is_number(),
        JsonType::Integer => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        JsonType::String => value.is_string(),
        JsonType::Array => value.is_array(),
        JsonType::Object => value.is_object(),
    }
}

fn length(value: &Json) -> Option<u64> {
    match value {
        Json::String(text) => Some(text.chars().count() as u64),
        Json::Array(list) => Some(list.len() as u64),
        Json::Object(map) => Some(map.len() as u64),
        _ => None,
    }
}

fn shown(value: &Json) -> String {
    let text = match value {
        // More than is shown, so that a value to be hidden is found by its key.
        Json::String(text) => format!("{:?}", redacted(&shorten(text, 1_024))),
        other => redacted(&shorten(&other.to_string(), 1_024)),
    };
    shorten(&text, 120)
}

/// A text in which nobody should read secrets that a target gave out: values of JSON keys that sound like one.
pub fn redacted(text: &str) -> String {
    static SECRET: LazyLock<Regex> = LazyLock::new(|| {
        let keys = "token|secret|password|passwd|session|cookie|authorization|api_?key|csrf";
        let text = format!(r#"(?i)("[^"\\]*(?:{keys})[^"\\]*"\s*:\s*")(?:[^"\\]|\\.)+"#);
        Regex::new(&text).expect("a constant")
    });
    SECRET.replace_all(text, format!("${{1}}{HIDDEN}")).into_owned()
}

fn sounds_secret(path: &str) -> bool {
    // The same keys as in a body; whatever they hold is replaced.
    let as_body = format!("\"{}\":\"x\"", path.replace(['"', '\\'], ""));
    redacted(&as_body) != as_body
}

fn hidden(outcome: Outcome3) -> Outcome3 {
    match outcome {
        Outcome3::Different { .. } => Outcome3::Different { seen: format!("\"{HIDDEN}\"") },
        other => other,
    }
}

/// The keys of a path made of names and indexes only; none when it needs the general machinery.
fn plain_keys(text: &str) -> Option<Vec<Key>> {
    let mut rest = text.trim().strip_prefix('$')?;
    let mut keys = Vec::new();
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('.') {
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            let (name, next) = tail.split_at(end);
            let plain = |c: char| c.is_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit()) {
                return None;
            }
            keys.push(Key::Name(name.to_owned()));
            rest = next;
        } else {
            let (inside, next) = rest.strip_prefix('[')?.split_once(']')?;
            let quoted = ['\'', '"']
                .into_iter()
                .find_map(|quote| inside.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)));
            keys.push(match quoted {
                Some(name) if !name.contains(['\\', '\'', '"']) => Key::Name(name.to_owned()),
                Some(_) => return None,
                None => Key::Index(inside.trim().parse().ok()?),
            });
            rest = next;
        }
    }
    Some(keys)
}

fn walk<'j>(mut value: &'j Json, keys: &[Key]) -> Option<&'j Json> {
    for key in keys {
        value = match key {
            Key::Name(name) => value.as_object()?.get(name)?,
            Key::Index(index) => {
                let list = value.as_array()?;
                let at = if *index < 0 { list.len() as i64 + index } else { *index };
                list.get(usize::try_from(at).ok()?)?
            }
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct NoNames;

    impl Scope for NoNames {
        fn get(&self, _: &[String]) -> Option<Json> {
            None
        }
        fn random(&self) -> u64 {
            0
        }
        fn now_micros(&self) -> i64 {
            0
        }
    }

    fn constant(value: Json) -> JsonTemplate {
        JsonTemplate::Const(value)
    }

    #[test]
    fn matchers_hold_or_not() {
        let eq = |v| Matcher::Equals(constant(v));
        let table: Vec<(Matcher, Json, bool)> = vec![
            (eq(json!(1)), json!(1.0), true),
            (eq(json!("1")), json!(1), false),
            (eq(json!({"a": [1, {"b": null}]})), json!({"a": [1.0, {"b": null}]}), true),
            (eq(json!({"a": 1})), json!({"a": 1, "b": 2}), false),
            (Matcher::Present, json!(null), true),
            (Matcher::Absent, json!(null), false),
            (Matcher::Matches("^t-[0-9]+$".into()), json!("t-12"), true),
            (Matcher::Matches("2".into()), json!(12), true),
            (Matcher::Matches("x".into()), json!(["x"]), false),
            (Matcher::Contains(constant(json!("ell"))), json!("hello"), true),
            (Matcher::Contains(constant(json!(2))), json!([1, 2.0]), true),
            (Matcher::Contains(constant(json!("k"))), json!({"k": 1}), true),
            (Matcher::ContainsAll(constant(json!(["a", "b"]))), json!(["b", "c", "a"]), true),
            (Matcher::ContainsAll(constant(json!(["a", "z"]))), json!(["b", "c", "a"]), false),
            (Matcher::Gt(constant(json!(3))), json!(3), false),
            (Matcher::Ge(constant(json!(3))), json!(3), true),
            (Matcher::Lt(constant(json!("b"))), json!("a"), true),
            (Matcher::Le(constant(json!(1))), json!("0"), false),
            (Matcher::OneOf(vec![constant(json!(1)), constant(json!("x"))]), json!("x"), true),
            (Matcher::Type(JsonType::Integer), json!(2.0), true),
            (Matcher::Type(JsonType::Integer), json!(2.5), false),
            (Matcher::Length(Box::new(eq(json!(2)))), json!("éé"), true),
            (Matcher::Length(Box::new(Matcher::Gt(constant(json!(2))))), json!([1, 2]), false),
            (Matcher::All(vec![Matcher::Present, Matcher::Lt(constant(json!(5)))]), json!(4), true),
        ];
        for (matcher, value, expected) in table {
            let outcome = matches(&matcher, Some(&value), &NoNames);
            assert_eq!(outcome.holds(), expected, "{matcher:?} on {value}: {outcome:?}");
        }
        assert!(matches(&Matcher::Absent, None, &NoNames).holds());
        assert!(matches!(matches(&Matcher::Present, None, &NoNames), Outcome3::Absent { .. }));
    }

    #[test]
    fn text_from_outside_is_read_as_what_the_plan_gives() {
        assert!(matches_text(&Matcher::Equals(constant(json!(12))), Some("12"), &NoNames).holds());
        assert!(matches_text(&Matcher::Gt(constant(json!(9))), Some("12"), &NoNames).holds());
        assert!(matches_text(&Matcher::Equals(constant(json!(true))), Some("true"), &NoNames).holds());
        assert!(!matches_text(&Matcher::Equals(constant(json!("a"))), Some("b"), &NoNames).holds());
    }

    #[test]
    fn expectations_over_a_response() {
        let mut headers = HeaderMap::new();
        headers.insert("x-count", "3".parse().unwrap());
        headers.append("set-cookie", "sid=abc; Path=/; HttpOnly".parse().unwrap());
        let body = br#"{"app_env":"test","items":[{"id":1},{"id":2}],"null":null}"#;
        let observed = Observed::new(Some(201), &headers, body, Duration::from_millis(5));
        let eq = |v| Matcher::Equals(constant(v));
        let json = |path: &str, matcher| Expected::Json { path: path.into(), matcher };
        let table: Vec<(Expected, &str)> = vec![
            (Expected::Status(vec![StatusPattern::Class(2)]), "holds"),
            (Expected::Status(vec![StatusPattern::Exact(200)]), "201"),
            (Expected::Header { name: "x-count".into(), matcher: eq(json!(3)) }, "holds"),
            (Expected::Header { name: "etag".into(), matcher: Matcher::Present }, "header `etag` is absent"),
            (json("$.app_env", eq(json!("test"))), "holds"),
            (json("$.app_env", eq(json!("prod"))), "\"test\""),
            (json("$.items[1].id", eq(json!(2))), "holds"),
            (json("$.items[-1]['id']", eq(json!(2))), "holds"),
            (json("$.items[*].id", eq(json!([1, 2]))), "holds"),
            (json("$.items[?@.id > 1].id", eq(json!([2]))), "holds"),
            (json("$.items[?@.id > 9]", Matcher::Absent), "holds"),
            (json("$.null", Matcher::Present), "holds"),
            (json("$.missing", Matcher::Present), "`$.missing` is absent"),
            (json("$.missing", Matcher::Absent), "holds"),
            (Expected::Body(Matcher::Contains(constant(json!("app_env")))), "holds"),
            (Expected::Cookie { name: "sid".into(), matcher: eq(json!("abc")) }, "holds"),
            (Expected::Duration(Duration::from_millis(5)), "holds"),
            (Expected::Duration(Duration::from_millis(4)), "5.0ms"),
        ];
        for (what, shown) in table {
            let expectation = Expectation { name: "x".into(), what };
            assert_eq!(check(&expectation, &observed, &NoNames).to_string(), shown, "{expectation:?}");
        }
    }

    #[test]
    fn what_a_target_gave_out_is_not_told() {
        let mut headers = HeaderMap::new();
        headers.append("set-cookie", "sid=abc; Path=/".parse().unwrap());
        let body = br#"{"data":{"accessToken":"eyJh\"x","n":1},"api_key":"k"}"#;
        let observed = Observed::new(Some(200), &headers, body, Duration::ZERO);
        let never = || Matcher::Equals(constant(json!("never")));
        let json = |path: &str| Expected::Json { path: path.into(), matcher: never() };
        let table = [
            (Expected::Cookie { name: "sid".into(), matcher: never() }, "\"•••\""),
            (Expected::Header { name: "set-cookie".into(), matcher: never() }, "\"•••\""),
            (json("$.api_key"), "\"•••\""),
            (json("$.data"), r#"{"accessToken":"•••","n":1}"#),
            (json("$.data.n"), "1"),
            (
                Expected::Body(never()),
                r#""{\"data\":{\"accessToken\":\"•••\",\"n\":1},\"api_key\":\"•••\"}""#,
            ),
        ];
        for (what, shown) in table {
            let expectation = Expectation { name: "x".into(), what };
            assert_eq!(check(&expectation, &observed, &NoNames).to_string(), shown, "{expectation:?}");
        }
    }

    #[test]
    fn a_body_that_is_not_json_is_told() {
        let headers = HeaderMap::new();
        let observed = Observed::new(Some(200), &headers, b"<html>", Duration::ZERO);
        let what = Expected::Json { path: "$.a".into(), matcher: Matcher::Absent };
        let outcome = check(&Expectation { name: "x".into(), what }, &observed, &NoNames);
        assert_eq!(outcome.to_string(), "a body that is not JSON");
    }
}
