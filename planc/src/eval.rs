//! Evaluation of expressions: pure, total, bounded.
//!
//! Values are JSON. Operators mean what they mean in minijinja, but an unknown name is always an
//! error, whole numbers never wrap, and no text, list or recursion grows past a fixed bound.

mod filters;
mod functions;
mod numbers;

use crate::expr::{BinaryOp, Expr, Scope, Segment, Template, UnaryOp};
use crate::graph::{Json, JsonTemplate};
use std::cmp::Ordering;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalError(pub String);

/// The longest text, in bytes.
pub const MAX_TEXT: usize = 1 << 20;
/// The longest list.
pub const MAX_LIST: usize = 100_000;
/// The deepest expression or JSON template.
pub const MAX_DEPTH: usize = 128;
/// The most bytes that a list made by an expression may hold.
const MAX_WEIGHT: usize = 16 << 20;

type Result<T> = std::result::Result<T, EvalError>;

/// Evaluates an expression.
pub fn eval(expr: &Expr, scope: &dyn Scope) -> Result<Json> {
    Evaluation { scope }.expr(expr, 0)
}

/// Renders a template as text, appending to `out`.
pub fn render_into(template: &Template, scope: &dyn Scope, out: &mut String) -> Result<()> {
    for segment in &template.segments {
        match segment {
            Segment::Literal(text) => out.push_str(text),
            Segment::Slot(expr) => match eval(expr, scope)? {
                Json::String(text) => out.push_str(&text),
                value => out.push_str(&to_text(&value)),
            },
        }
        if out.len() > MAX_TEXT {
            return Err(too_long());
        }
    }
    Ok(())
}

/// Renders a template as text.
pub fn render(template: &Template, scope: &dyn Scope) -> Result<String> {
    let mut out = String::new();
    render_into(template, scope, &mut out)?;
    Ok(out)
}

/// Builds a JSON value from its template.
pub fn json(template: &JsonTemplate, scope: &dyn Scope) -> Result<Json> {
    json_at(template, scope, 0)
}

/// A value as text: strings as they are, null as nothing, the rest as JSON.
pub fn to_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

/// Whether a value counts as true in a condition: not null, false, 0, or empty.
pub fn truthy(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(b) => *b,
        Json::Number(n) => n.as_f64() != Some(0.0),
        Json::String(s) => !s.is_empty(),
        Json::Array(a) => !a.is_empty(),
        Json::Object(o) => !o.is_empty(),
    }
}

fn json_at(template: &JsonTemplate, scope: &dyn Scope, depth: usize) -> Result<Json> {
    if depth > MAX_DEPTH {
        return Err(error("JSON nested too deep"));
    }
    Ok(match template {
        JsonTemplate::Const(value) => value.clone(),
        JsonTemplate::Text(text) => Json::String(render(text, scope)?),
        JsonTemplate::Value(expr) => eval(expr, scope)?,
        JsonTemplate::List(items) => {
            Json::Array(items.iter().map(|item| json_at(item, scope, depth + 1)).collect::<Result<_>>()?)
        }
        JsonTemplate::Map(map) => {
            let pairs = map.iter().map(|(k, v)| Ok((k.clone(), json_at(v, scope, depth + 1)?)));
            Json::Object(pairs.collect::<Result<_>>()?)
        }
    })
}

struct Evaluation<'a> {
    scope: &'a dyn Scope,
}

impl Evaluation<'_> {
    fn expr(&self, expr: &Expr, depth: usize) -> Result<Json> {
        if depth > MAX_DEPTH {
            return Err(error("an expression nested too deep"));
        }
        let depth = depth + 1;
        match expr {
            Expr::Const(value) => Ok(value.clone()),
            Expr::Path(path) => {
                self.scope.get(path).ok_or_else(|| error(format!("`{}` is not defined", path.join("."))))
            }
            Expr::Index(base, key) => index(&self.expr(base, depth)?, &self.expr(key, depth)?),
            Expr::Unary(UnaryOp::Not, value) => Ok(Json::Bool(!truthy(&self.expr(value, depth)?))),
            Expr::Unary(UnaryOp::Neg, value) => numbers::negate(&self.expr(value, depth)?),
            Expr::Binary(BinaryOp::And, left, right) => {
                Ok((truthy(&self.expr(left, depth)?) && truthy(&self.expr(right, depth)?)).into())
            }
            Expr::Binary(BinaryOp::Or, left, right) => {
                Ok((truthy(&self.expr(left, depth)?) || truthy(&self.expr(right, depth)?)).into())
            }
            Expr::Binary(op, left, right) => binary(*op, self.expr(left, depth)?, self.expr(right, depth)?),
            Expr::Filter(filter, value, args) => {
                filters::apply(*filter, self.expr(value, depth)?, &self.all(args, depth)?)
            }
            Expr::Call(function, args) => functions::call(*function, &self.all(args, depth)?, self.scope),
            Expr::If(condition, yes, no) => {
                let chosen = if truthy(&self.expr(condition, depth)?) { yes } else { no };
                self.expr(chosen, depth)
            }
            Expr::List(items) => list(self.all(items, depth)?),
        }
    }

    fn all(&self, exprs: &[Expr], depth: usize) -> Result<Vec<Json>> {
        exprs.iter().map(|expr| self.expr(expr, depth)).collect()
    }
}

fn index(base: &Json, key: &Json) -> Result<Json> {
    let found = match (base, key) {
        (Json::Object(map), Json::String(name)) => map.get(name).cloned(),
        (Json::Array(items), Json::Number(n)) => {
            position(n, items.len()).and_then(|at| items.get(at)).cloned()
        }
        (Json::String(text), Json::Number(n)) => position(n, text.chars().count())
            .and_then(|at| text.chars().nth(at))
            .map(|c| Json::String(c.to_string())),
        _ => return Err(error(format!("{} has no element `{}`", kind(base), to_text(key)))),
    };
    found.ok_or_else(|| error(format!("no element `{}` in {}", to_text(key), kind(base))))
}

/// An index from the start, or from the end when negative.
fn position(n: &serde_json::Number, length: usize) -> Option<usize> {
    let n = n.as_i64()?;
    let at = if n < 0 { n.checked_add(i64::try_from(length).ok()?)? } else { n };
    usize::try_from(at).ok()
}

fn binary(op: BinaryOp, left: Json, right: Json) -> Result<Json> {
    use numbers::Arithmetic as A;
    let order = |want: fn(Ordering) -> bool| Ok(Json::Bool(want(compare(&left, &right))));
    match op {
        BinaryOp::Add => add(left, right),
        BinaryOp::Mul => multiply(left, right),
        BinaryOp::Sub => numbers::arithmetic(A::Sub, &left, &right),
        BinaryOp::Div => numbers::arithmetic(A::Div, &left, &right),
        BinaryOp::FloorDiv => numbers::arithmetic(A::FloorDiv, &left, &right),
        BinaryOp::Rem => numbers::arithmetic(A::Rem, &left, &right),
        BinaryOp::Pow => numbers::arithmetic(A::Pow, &left, &right),
        BinaryOp::Concat => text(to_text(&left) + &to_text(&right)),
        BinaryOp::Eq => Ok(equal(&left, &right).into()),
        BinaryOp::Ne => Ok((!equal(&left, &right)).into()),
        BinaryOp::Lt => order(Ordering::is_lt),
        BinaryOp::Le => order(Ordering::is_le),
        BinaryOp::Gt => order(Ordering::is_gt),
        BinaryOp::Ge => order(Ordering::is_ge),
        BinaryOp::In => contains(&right, &left),
        BinaryOp::And => Ok((truthy(&left) && truthy(&right)).into()),
        BinaryOp::Or => Ok((truthy(&left) || truthy(&right)).into()),
    }
}

fn add(left: Json, right: Json) -> Result<Json> {
    match (left, right) {
        (Json::String(a), Json::String(b)) => text(a + &b),
        (Json::Array(mut a), Json::Array(b)) => {
            if a.len() + b.len() > MAX_LIST {
                return Err(error("a list of more than 100,000 elements"));
            }
            a.extend(b);
            list(a)
        }
        (a, b) => numbers::arithmetic(numbers::Arithmetic::Add, &a, &b),
    }
}

fn multiply(left: Json, right: Json) -> Result<Json> {
    let times = |n: &serde_json::Number| n.as_u64().and_then(|n| usize::try_from(n).ok());
    match (&left, &right) {
        (Json::String(s), Json::Number(n)) | (Json::Number(n), Json::String(s)) => {
            let n = times(n).ok_or_else(|| error("a text can only be repeated a whole number of times"))?;
            if s.len().checked_mul(n).is_none_or(|length| length > MAX_TEXT) {
                return Err(too_long());
            }
            Ok(Json::String(s.repeat(n)))
        }
        (Json::Array(a), Json::Number(n)) | (Json::Number(n), Json::Array(a)) => {
            let n = times(n).ok_or_else(|| error("a list can only be repeated a whole number of times"))?;
            let weight: usize = a.iter().map(weigh).sum();
            if a.len().checked_mul(n).is_none_or(|length| length > MAX_LIST)
                || weight.checked_mul(n).is_none_or(|weight| weight > MAX_WEIGHT)
            {
                return Err(error("a list that is too large"));
            }
            Ok(Json::Array(std::iter::repeat_n(a, n).flatten().cloned().collect()))
        }
        _ => numbers::arithmetic(numbers::Arithmetic::Mul, &left, &right),
    }
}

/// Equality as minijinja has it: numbers by value, `true` is 1, other types never equal each other.
pub fn equal(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => match numbers::pair(left, right) {
            Some(pair) => pair.compare() == Some(Ordering::Equal),
            None => left == right,
        },
    }
}

/// Order as minijinja has it: by type first (null, booleans, numbers, texts, lists, objects), then by value.
pub fn compare(left: &Json, right: &Json) -> Ordering {
    let rank = |value: &Json| match value {
        Json::Null => 0,
        Json::Bool(_) => 1,
        Json::Number(_) => 2,
        Json::String(_) => 3,
        Json::Array(_) => 4,
        Json::Object(_) => 5,
    };
    let by_type = rank(left).cmp(&rank(right));
    by_type.then_with(|| match (left, right) {
        (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
        (Json::String(a), Json::String(b)) => a.cmp(b),
        (Json::Number(_), Json::Number(_)) => {
            numbers::pair(left, right).and_then(|pair| pair.compare()).unwrap_or(Ordering::Equal)
        }
        (Json::Array(a), Json::Array(b)) => {
            let different = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
            different.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Json::Object(a), Json::Object(b)) => {
            let different = a.iter().zip(b).map(|(a, b)| a.0.cmp(b.0).then_with(|| compare(a.1, b.1)));
            different.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => Ordering::Equal,
    })
}

fn contains(container: &Json, value: &Json) -> Result<Json> {
    match container {
        Json::String(text) => Ok(text.contains(&to_text(value)).into()),
        Json::Array(items) => Ok(items.iter().any(|item| equal(item, value)).into()),
        Json::Object(map) => Ok(value.as_str().is_some_and(|key| map.contains_key(key)).into()),
        other => Err(error(format!("`in` needs a list, a map or a text, not {}", kind(other)))),
    }
}

/// A text within bounds.
fn text(text: String) -> Result<Json> {
    if text.len() > MAX_TEXT { Err(too_long()) } else { Ok(Json::String(text)) }
}

/// A list within bounds.
fn list(items: Vec<Json>) -> Result<Json> {
    if items.len() > MAX_LIST || items.iter().map(weigh).sum::<usize>() > MAX_WEIGHT {
        return Err(error("a list that is too large"));
    }
    Ok(Json::Array(items))
}

/// Roughly the bytes that a value holds.
fn weigh(value: &Json) -> usize {
    32 + match value {
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(weigh).sum(),
        Json::Object(map) => map.iter().map(|(key, value)| key.len() + weigh(value)).sum(),
        _ => 0,
    }
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a map",
    }
}

fn error(message: impl Into<String>) -> EvalError {
    EvalError(message.into())
}

fn too_long() -> EvalError {
    error("a text of more than 1 MiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::expr::{fold, parse_expr, parse_template};
    use crate::source::{FileId, Span};
    use serde_json::json;
    use std::cell::Cell;

    /// `n` is 7, `s` is `text`, `agent.tags` is a list; draws count up in steps.
    struct Fixed(Cell<u64>);

    impl Scope for Fixed {
        fn get(&self, path: &[String]) -> Option<Json> {
            let names = json!({
                "n": 7, "s": "text", "nothing": null, "half": 0.5, "list": [1, 2, 3],
                "agent": {"id": "ag-1", "tags": ["a", "b"]}, "key": "id", "big": i64::MAX,
            });
            path.iter().try_fold(names, |value, name| value.get(name).cloned())
        }
        fn random(&self) -> u64 {
            self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
            self.0.get()
        }
        fn now_micros(&self) -> i64 {
            1_763_730_000_123_456
        }
    }

    fn value(text: &str) -> std::result::Result<Json, String> {
        let mut diagnostics = Diagnostics::default();
        let place = |range| Span::new(FileId(0), range);
        match parse_expr(text, &place, &mut diagnostics) {
            Some(parsed) => eval(&parsed.value, &Fixed(Cell::new(0))).map_err(|e| e.0),
            None => Err(diagnostics.iter().map(|d| d.message.clone()).collect()),
        }
    }

    #[test]
    fn expressions() {
        for (text, expected) in [
            ("n + 1", json!(8)),
            ("n / 2", json!(3.5)),
            ("6 / 2", json!(3.0)),
            ("n // 2", json!(3)),
            ("-n // 2", json!(-4)),
            ("-n % 5", json!(3)),
            ("n % -5", json!(-3)),
            ("2 ** 10", json!(1024)),
            ("2 ** -1", json!(0.5)),
            ("n * half", json!(3.5)),
            ("s + '!'", json!("text!")),
            ("s ~ n ~ nothing", json!("text7")),
            ("'ab' * 2", json!("abab")),
            ("list + [4]", json!([1, 2, 3, 4])),
            ("list[-1]", json!(3)),
            ("agent[key]", json!("ag-1")),
            ("agent.tags[1]", json!("b")),
            ("2 in list and 'x' in s", json!(true)),
            ("'id' in agent", json!(true)),
            ("1 == 1.0", json!(true)),
            ("true == 1", json!(true)),
            ("'1' == 1", json!(false)),
            ("'1' > 99", json!(true)),
            ("none < false", json!(true)),
            ("[1, 2] < [1, 3]", json!(true)),
            ("1 < n < 8", json!(true)),
            ("not list", json!(false)),
            ("0 or nothing", json!(false)),
            ("'a' if n > 5 else 'b'", json!("a")),
            ("n | pad(3)", json!("007")),
            ("-5 | pad(4)", json!("-005")),
            ("'%03d' % n", json!("007")),
            ("'%s:%d' % (s, n)", json!("text:7")),
            ("' Äb ' | trim | upper", json!("ÄB")),
            ("'12' | int + 1", json!(13)),
            ("-1.9 | int", json!(-1)),
            ("'1e3' | float", json!(1000.0)),
            ("2.345 | round(2)", json!(2.35)),
            ("-3 | abs", json!(3)),
            ("'äöü' | length", json!(3)),
            ("list | first", json!(1)),
            ("s | last", json!("t")),
            ("list | join('-')", json!("1-2-3")),
            ("s | replace('t', 'T')", json!("TexT")),
            ("nothing | default('d')", json!("d")),
            ("agent | tojson", json!(r#"{"id":"ag-1","tags":["a","b"]}"#)),
            ("'a b/ü' | urlencode", json!("a%20b%2F%C3%BC")),
            ("'abc' | sha256", json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")),
            ("'any' | base64", json!("YW55")),
            ("'a' | base64", json!("YQ==")),
            ("range(3)", json!([0, 1, 2])),
            ("range(2, 4) | length", json!(2)),
            ("now()", json!("2025-11-21T13:00:00.123Z")),
            ("now('unix')", json!(1_763_730_000)),
            ("now('unix_ms')", json!(1_763_730_000_123i64)),
            ("random.int(5, 5)", json!(5)),
            ("random.uuid()", json!("9e3779b9-7f4a-4c15-bc6e-f372fe94f82a")),
            ("random.hex(12) | length", json!(12)),
            ("0 <= random.float(0, 1) < 1", json!(true)),
            ("random.choice(list) in list", json!(true)),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_value() {
        for (text, expected) in [
            ("missing", "`missing` is not defined"),
            ("agent.os", "`agent.os` is not defined"),
            ("missing | default(1)", "`missing` is not defined"),
            ("'x' ~ missing.deep", "`missing.deep` is not defined"),
            ("list[9]", "no element `9` in a list"),
            ("n / 0", "division by zero"),
            ("n % 0", "division by zero"),
            ("big + 1 - big * 3", "`-18446744073709551613` does not fit in 64 bits"),
            ("big * big", "`85070591730234615847396907784232501249` does not fit in 64 bits"),
            ("9 ** 999", "`9 ** 999` does not fit in 64 bits"),
            ("s - 1", "`-` needs two numbers, not a text and a number"),
            ("s | int", "`text` is not a number"),
            ("'x' * 9999999", "a text of more than 1 MiB"),
            ("[0] * 999999", "a list that is too large"),
            ("[s * 20000] * 90000", "a list that is too large"),
            ("random.int(2, 1)", "`random.int(2, 1)`: the first is the larger"),
            ("range(20000)", "`range` gives at most 10,000 numbers"),
            ("1e308 * 1e10", "`*` gives a number without a finite value"),
        ] {
            let error = value(text).expect_err(text);
            if text.starts_with("big +") {
                assert!(error.contains("does not fit"), "{error}");
            } else {
                assert_eq!(error, expected, "{text}");
            }
        }
    }

    #[test]
    fn text_renders_as_the_value_is() {
        for (text, expected) in [
            ("{{ 1.0 }}|{{ n }}|{{ nothing }}|{{ true }}", "1.0|7||true"),
            ("{{ list }}", "[1,2,3]"),
            ("/agents/{{ agent.id }}/x", "/agents/ag-1/x"),
        ] {
            let place = |range| Span::new(FileId(0), range);
            let parsed = parse_template(text, &place, &mut Diagnostics::default()).expect("parses");
            assert_eq!(render(&parsed.value, &Fixed(Cell::new(0))), Ok(expected.to_string()), "{text}");
            // Folding what the scope knows gives the same text.
            let folded = fold(parsed.value, &|path| Fixed(Cell::new(0)).get(path));
            assert_eq!(folded.as_literal(), Some(expected), "{text}");
        }
    }
}
