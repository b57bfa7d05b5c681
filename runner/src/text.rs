//! Texts with slots, resolved before the load: literals are merged, known names are folded in, and
//! what an iteration binds is found by number instead of by name.

use crate::expect::Observed;
use crate::sign::{self, Key};
use planc::eval::{self, EvalError};
use planc::expr::{self, Expr, Filter, Scope, Segment, Template};
use planc::graph::{Json, JsonTemplate, quoted};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The columns of a drawn row.
pub(crate) type Row = BTreeMap<String, Json>;

/// A text ready to be rendered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Literal(String),
    Slot(Source, Encode),
}

#[derive(Debug, Clone)]
enum Source {
    /// What an iteration bound, and the attributes below it.
    Bound { at: usize, keys: Vec<String> },
    /// A number that every iteration has.
    Number(Number),
    /// Anything else.
    Expr(Expr),
}

/// A number that every iteration has.
#[derive(Debug, Clone, Copy)]
enum Number {
    Vu,
    Iteration,
    IterationGlobal,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encode {
    /// As it is.
    Plain,
    /// Percent-encoded, RFC 3986 unreserved characters stay.
    Url,
    /// Inside a JSON text.
    JsonText,
    /// As a JSON value.
    Json,
    /// Between the quotes of a header's parameter.
    Quoted,
}

/// Names that a scenario's iterations bind, by number, and values known at the start.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// The scenario.
    pub(crate) scenario: String,
    /// Names bound by draws, captures and loops.
    pub(crate) bound: Vec<String>,
    /// `inputs.x`, `services.x.url`, `run_id` …
    pub(crate) values: Arc<BTreeMap<String, Json>>,
}

/// What a name is bound to.
#[derive(Debug, Clone, Default)]
pub(crate) enum Var {
    /// Nothing yet.
    #[default]
    Unset,
    /// A row.
    Row(Rc<Row>),
    /// A value.
    Value(Json),
}

/// The state of an iteration that expressions can see.
#[derive(Debug, Default)]
pub(crate) struct Env {
    /// By number of [`Names::bound`].
    pub(crate) vars: Vec<Var>,
    /// Number of the virtual user, from 1.
    pub(crate) vu: u32,
    /// Iteration of this virtual user, from 0.
    pub(crate) iteration: u64,
    /// Iteration of the scenario, from 0.
    pub(crate) k: u64,
    /// Key of the iteration's random stream.
    pub(crate) random_key: u64,
    /// Numbers taken from it.
    pub(crate) random_taken: Cell<u64>,
}

/// The scope of an expression within an iteration.
pub(crate) struct InScope<'a> {
    /// Names.
    pub(crate) names: &'a Names,
    /// State.
    pub(crate) env: &'a Env,
    /// `response`, where there is one.
    pub(crate) response: Option<&'a Observed<'a>>,
}

/// A well mixed 64-bit number from another (SplitMix64's finaliser).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A key from a seed and a text.
pub(crate) fn key_of(seed: u64, text: &str) -> u64 {
    text.bytes().fold(mix(seed), |key, byte| mix(key ^ u64::from(byte)))
}

impl Names {
    /// The number of a bound name, given one if it has none yet.
    pub(crate) fn bind(&mut self, name: &str) -> usize {
        self.find(name).unwrap_or_else(|| {
            self.bound.push(name.to_owned());
            self.bound.len() - 1
        })
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.bound.iter().position(|bound| bound == name)
    }

    /// A value known at the start: the longest dotted name that is one, and attributes below it.
    pub(crate) fn known(&self, path: &[String]) -> Option<Json> {
        if path.first().is_some_and(|first| self.find(first).is_some()) {
            return None;
        }
        if let [only] = path
            && only == "scenario"
        {
            return Some(Json::String(self.scenario.clone()));
        }
        (1..=path.len()).rev().find_map(|length| {
            let value = self.values.get(&path[..length].join("."))?;
            below(value, &path[length..]).cloned()
        })
    }
}

fn below<'j>(mut value: &'j Json, keys: &[String]) -> Option<&'j Json> {
    for key in keys {
        value = match value {
            Json::Object(map) => map.get(key)?,
            Json::Array(list) => list.get(key.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

impl Number {
    /// The number that a name stands for, where an iteration binds nothing else to it.
    fn of(path: &[String]) -> Option<Number> {
        match path {
            [only] if only == "vu" => Some(Number::Vu),
            [only] if only == "iteration" => Some(Number::Iteration),
            [only] if only == "iteration_global" => Some(Number::IterationGlobal),
            _ => None,
        }
    }
}

impl Env {
    fn bound(&self, at: usize, keys: &[String]) -> Option<&Json> {
        match self.vars.get(at)? {
            Var::Unset => None,
            Var::Value(value) => below(value, keys),
            Var::Row(row) => {
                let (column, rest) = keys.split_first()?;
                below(row.get(column)?, rest)
            }
        }
    }

    fn number(&self, which: Number) -> u64 {
        match which {
            Number::Vu => self.vu.into(),
            Number::Iteration => self.iteration,
            Number::IterationGlobal => self.k,
        }
    }

    /// The next 64 bits of the iteration's stream.
    pub(crate) fn random(&self) -> u64 {
        let taken = self.random_taken.get();
        self.random_taken.set(taken + 1);
        mix(self.random_key ^ mix(taken))
    }
}

impl Scope for InScope<'_> {
    fn get(&self, path: &[String]) -> Option<Json> {
        let (first, rest) = path.split_first()?;
        if let Some(at) = self.names.find(first) {
            return match (&self.env.vars.get(at)?, rest) {
                (Var::Row(row), []) => {
                    Some(Json::Object(row.iter().map(|(k, v)| (k.clone(), v.clone())).collect()))
                }
                _ => self.env.bound(at, rest).cloned(),
            };
        }
        if let Some(which) = Number::of(path) {
            return Some(self.env.number(which).into());
        }
        match (first.as_str(), rest) {
            ("response", rest) if self.response.is_some() => self.response.and_then(|r| of_response(r, rest)),
            _ => self.names.known(path),
        }
    }

    fn random(&self) -> u64 {
        self.env.random()
    }

    fn now_micros(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
    }

    fn csr(&self, names: &[&str]) -> Option<String> {
        // A certificate's key is never its account's (RFC 8555, 11.1).
        let key = Key::seeded(self.env.random()).ok()?;
        sign::csr(&key, names).ok()
    }
}

/// `response.status` (0 without an answer, as in k6), `.headers.x`, `.json…`, `.body`, `.duration` in milliseconds.
fn of_response(response: &Observed<'_>, path: &[String]) -> Option<Json> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "status" => Some(response.status.unwrap_or(0).into()),
        "duration" => Some((response.elapsed.as_secs_f64() * 1e3).into()),
        "body" => Some(String::from_utf8_lossy(response.body).into()),
        "json" => below(response.json().unwrap_or(&Json::Null), rest).cloned().or(Some(Json::Null)),
        "headers" => match rest {
            [name] => {
                Some(response.header(&name.to_ascii_lowercase()).map_or(Json::Null, |v| v.as_ref().into()))
            }
            _ => {
                let text = |v: &http::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into();
                let pairs = response.headers.iter().map(|(k, v)| (k.as_str().to_owned(), text(v)));
                Some(Json::Object(pairs.collect()))
            }
        },
        _ => None,
    }
}

impl Text {
    /// A text without slots.
    pub(crate) fn literal(text: impl Into<String>) -> Self {
        let mut made = Text::default();
        made.push_literal(&text.into());
        made
    }

    /// A template, its slots encoded.
    pub(crate) fn new(template: &Template, encode: Encode, names: &Names) -> Self {
        let mut text = Text::default();
        text.push_template(template, encode, names);
        text
    }

    /// A JSON document.
    pub(crate) fn json(template: &JsonTemplate, names: &Names) -> Self {
        let mut text = Text::default();
        text.push_json(&expr::fold_json(template.clone(), &|path| names.known(path)), names);
        text
    }

    /// Appends literal text.
    pub(crate) fn push_literal(&mut self, more: &str) {
        match self.pieces.last_mut() {
            _ if more.is_empty() => {}
            Some(Piece::Literal(text)) => text.push_str(more),
            _ => self.pieces.push(Piece::Literal(more.to_owned())),
        }
    }

    /// Appends a template, its slots encoded; literal parts of a URL stay as the plan has them.
    pub(crate) fn push_template(&mut self, template: &Template, encode: Encode, names: &Names) {
        for segment in expr::fold(template.clone(), &|path| names.known(path)).segments {
            match segment {
                Segment::Literal(text) if encode == Encode::JsonText => {
                    let mut escaped = String::new();
                    escape_json(&text, &mut escaped);
                    self.push_literal(&escaped);
                }
                Segment::Literal(text) if encode == Encode::Quoted => {
                    let mut escaped = String::new();
                    quoted(&text, &mut escaped);
                    self.push_literal(&escaped);
                }
                Segment::Literal(text) => self.push_literal(&text),
                Segment::Slot(expr) => self.push_slot(expr, encode, names),
            }
        }
    }

    /// Appends a template of which all is encoded, as for a query value.
    pub(crate) fn push_encoded(&mut self, template: &Template, names: &Names) {
        for segment in expr::fold(template.clone(), &|path| names.known(path)).segments {
            match segment {
                Segment::Literal(text) => {
                    let mut encoded = String::new();
                    percent(&text, &mut encoded);
                    self.push_literal(&encoded);
                }
                Segment::Slot(expr) => self.push_slot(expr, Encode::Url, names),
            }
        }
    }

    fn push_json(&mut self, template: &JsonTemplate, names: &Names) {
        match template {
            JsonTemplate::Const(value) => self.push_literal(&value.to_string()),
            JsonTemplate::Text(text) => {
                self.push_literal("\"");
                self.push_template(text, Encode::JsonText, names);
                self.push_literal("\"");
            }
            JsonTemplate::Value(expr) => self.push_slot(expr.clone(), Encode::Json, names),
            JsonTemplate::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.push_literal(if at == 0 { "[" } else { "," });
                    self.push_json(item, names);
                }
                self.push_literal(if items.is_empty() { "[]" } else { "]" });
            }
            JsonTemplate::Map(map) => {
                for (at, (key, value)) in map.iter().enumerate() {
                    self.push_literal(if at == 0 { "{\"" } else { ",\"" });
                    let mut escaped = String::new();
                    escape_json(key, &mut escaped);
                    self.push_literal(&escaped);
                    self.push_literal("\":");
                    self.push_json(value, names);
                }
                self.push_literal(if map.is_empty() { "{}" } else { "}" });
            }
        }
    }

    fn push_slot(&mut self, expr: Expr, encode: Encode, names: &Names) {
        let bound = |path: &[String]| {
            let (first, rest) = path.split_first()?;
            let bound = names.find(first).map(|at| Source::Bound { at, keys: rest.to_vec() });
            bound.or_else(|| Number::of(path).map(Source::Number))
        };
        let (source, encode) = match &expr {
            Expr::Const(value) => {
                let mut text = String::new();
                write_value(value, encode, &mut text);
                return self.push_literal(&text);
            }
            Expr::Path(path) => (bound(path), encode),
            // `{{ agent.id | urlencode }}`, as path parameters are compiled.
            Expr::Filter(Filter::Urlencode, inner, _) if encode == Encode::Plain => match &**inner {
                Expr::Path(path) if bound(path).is_some() => (bound(path), Encode::Url),
                _ => (None, encode),
            },
            _ => (None, encode),
        };
        let source = source.unwrap_or(Source::Expr(expr));
        self.pieces.push(Piece::Slot(source, encode));
    }

    /// Appends another text.
    pub(crate) fn append(&mut self, other: Text) {
        for piece in other.pieces {
            match piece {
                Piece::Literal(text) => self.push_literal(&text),
                slot => self.pieces.push(slot),
            }
        }
    }

    /// The text, when there is no slot in it.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// What it begins with, up to its first slot.
    pub(crate) fn beginning(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Literal(text)) => text,
            _ => "",
        }
    }

    /// Whether a literal part holds the character.
    pub(crate) fn has_literal(&self, c: char) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Literal(text) if text.contains(c)))
    }

    /// Renders it, appending to `out`.
    pub(crate) fn render(&self, scope: &InScope<'_>, out: &mut String) -> Result<(), EvalError> {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Slot(Source::Bound { at, keys }, encode) => match scope.env.bound(*at, keys) {
                    Some(value) => write_value(value, *encode, out),
                    None => {
                        // A whole row, which only the general way makes into a value.
                        let path: Vec<String> =
                            std::iter::once(&scope.names.bound[*at]).chain(keys).cloned().collect();
                        match scope.get(&path) {
                            Some(value) => write_value(&value, *encode, out),
                            None => return Err(EvalError(format!("`{}` has no value", path.join(".")))),
                        }
                    }
                },
                // Digits are the same however they are encoded.
                Piece::Slot(Source::Number(which), _) => {
                    write!(out, "{}", scope.env.number(*which)).expect("writing to a String");
                }
                Piece::Slot(Source::Expr(expr), encode) => {
                    write_value(&eval::eval(expr, scope)?, *encode, out);
                }
            }
        }
        Ok(())
    }
}

fn write_value(value: &Json, encode: Encode, out: &mut String) {
    match (encode, value) {
        (Encode::Plain, Json::String(text)) => out.push_str(text),
        (Encode::Plain | Encode::Url | Encode::JsonText | Encode::Quoted, Json::Null) => {}
        (Encode::Quoted, value) => quoted(&eval::to_text(value), out),
        (Encode::Url, Json::String(text)) => percent(text, out),
        (Encode::Url, Json::Array(_) | Json::Object(_)) => percent(&value.to_string(), out),
        (Encode::JsonText, Json::String(text)) => escape_json(text, out),
        (Encode::JsonText, Json::Array(_) | Json::Object(_)) => escape_json(&value.to_string(), out),
        (Encode::Json, Json::String(text)) => {
            out.push('"');
            escape_json(text, out);
            out.push('"');
        }
        (_, other) => write!(out, "{other}").expect("writing to a String"),
    }
}

fn percent(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => write!(out, "%{byte:02X}").expect("writing to a String"),
        }
    }
}

/// Appends a text as it stands between the quotes of a JSON text.
pub(crate) fn escape_json(text: &str, out: &mut String) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push_str(text);
        return;
    }
    let quoted = Json::String(text.to_owned()).to_string();
    out.push_str(&quoted[1..quoted.len() - 1]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(dotted: &str) -> Expr {
        Expr::Path(dotted.split('.').map(str::to_owned).collect())
    }

    fn names() -> Names {
        let values = BTreeMap::from([
            ("inputs.base".to_owned(), json!("x y")),
            ("run_id".to_owned(), json!("r1")),
            ("services.db".to_owned(), json!({"url": "pg://"})),
        ]);
        Names { scenario: "s".into(), bound: vec!["agent".into()], values: Arc::new(values) }
    }

    fn env() -> Env {
        let row = Row::from([("id".to_owned(), json!("a/b \"q\"")), ("n".to_owned(), json!(7))]);
        Env { vars: vec![Var::Row(Rc::new(row))], vu: 3, k: 11, ..Env::default() }
    }

    fn rendered(text: &Text) -> Result<String, EvalError> {
        let mut out = String::new();
        text.render(&InScope { names: &names(), env: &env(), response: None }, &mut out).map(|()| out)
    }

    #[test]
    fn known_names_are_folded_in() {
        let template = Template {
            segments: vec![
                Segment::Literal("/".into()),
                Segment::Slot(path("run_id")),
                Segment::Slot(path("services.db.url")),
                Segment::Slot(path("scenario")),
            ],
        };
        let text = Text::new(&template, Encode::Plain, &names());
        assert_eq!(text.as_literal(), Some("/r1pg://s"));
    }

    #[test]
    fn slots_are_encoded_for_their_place() {
        let slot = |encode| {
            let template = Template { segments: vec![Segment::Slot(path("agent.id"))] };
            rendered(&Text::new(&template, encode, &names())).unwrap()
        };
        assert_eq!(slot(Encode::Plain), "a/b \"q\"");
        assert_eq!(slot(Encode::Url), "a%2Fb%20%22q%22");
        let body = JsonTemplate::Map(BTreeMap::from([
            ("id".to_owned(), JsonTemplate::Value(path("agent.id"))),
            ("n".to_owned(), JsonTemplate::Value(path("agent.n"))),
            ("list".to_owned(), JsonTemplate::List(vec![JsonTemplate::Value(path("vu"))])),
            (
                "text".to_owned(),
                JsonTemplate::Text(Template {
                    segments: vec![Segment::Literal("\"-".into()), Segment::Slot(path("agent.id"))],
                }),
            ),
        ]));
        let text = rendered(&Text::json(&body, &names())).unwrap();
        let value: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(value, json!({"id": "a/b \"q\"", "n": 7, "list": [3], "text": "\"-a/b \"q\""}));
    }

    #[test]
    fn numbers_of_an_iteration_are_written_wherever_they_stand() {
        let all = ["vu", "iteration", "iteration_global"].map(path);
        for encode in [Encode::Plain, Encode::Url, Encode::Json, Encode::JsonText, Encode::Quoted] {
            let segments =
                all.iter().flat_map(|number| [Segment::Slot(number.clone()), Segment::Literal("-".into())]);
            let text = Text::new(&Template { segments: segments.collect() }, encode, &names());
            assert_eq!(rendered(&text).unwrap(), "3-0-11-", "{encode:?}");
        }
        // What a plan binds goes first.
        let names = Names { bound: vec!["vu".into()], ..names() };
        let text =
            Text::new(&Template { segments: vec![Segment::Slot(path("vu.n"))] }, Encode::Plain, &names);
        let mut out = String::new();
        text.render(&InScope { names: &names, env: &env(), response: None }, &mut out).unwrap();
        assert_eq!(out, "7");
    }

    #[test]
    fn an_unbound_name_is_an_error() {
        let template = Template { segments: vec![Segment::Slot(path("agent.nope"))] };
        let error = rendered(&Text::new(&template, Encode::Plain, &names())).unwrap_err();
        assert_eq!(error.0, "`agent.nope` has no value");
    }
}
