//! Expressions: parsed once with minijinja's grammar, checked against the names in scope, kept as
//! plain data, evaluated by one small pure function.
//!
//! Evaluation is our own so that an undefined name can never render as nothing, work and memory are
//! bounded, and values in JSON are JSON. The grammar is minijinja's expression grammar; statements
//! (`{% if %}`) are refused with the expression to write instead.

use crate::graph::Json;
use serde::{Deserialize, Serialize};

/// A text with slots, literal parts merged: `ag-{{ n | pad(5) }}` is two segments.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template {
    /// Literal and slot parts in order; no two literals stand side by side.
    pub segments: Vec<Segment>,
}

/// A part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Segment {
    /// Text as it is.
    Literal(String),
    /// A value, written as text.
    Slot(Expr),
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expr {
    /// A literal.
    Const(Json),
    /// A name in scope and literal attributes: `agent.hostname` is `["agent", "hostname"]`.
    Path(Vec<String>),
    /// An element by computed key: `list[i]`, `map[key]`.
    Index(Box<Expr>, Box<Expr>),
    /// `not x`, `-x`.
    Unary(UnaryOp, Box<Expr>),
    /// `a + b` …
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `value | filter(args)`.
    Filter(Filter, Box<Expr>, Vec<Expr>),
    /// `now()`, `random.int(1, 6)`.
    Call(Function, Vec<Expr>),
    /// `a if condition else b`.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `[a, b]`.
    List(Vec<Expr>),
}

/// Prefix operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnaryOp {
    /// Logical not.
    Not,
    /// Arithmetic negation.
    Neg,
}

/// Infix operators, with minijinja's meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/` (always a decimal)
    Div,
    /// `//` (rounds down)
    FloorDiv,
    /// `%` (result has the divisor's sign; `'%05d' % n` was turned into a `pad` filter by the compiler)
    Rem,
    /// `**`
    Pow,
    /// `~`, both sides as text
    Concat,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `and` (gives a boolean)
    And,
    /// `or` (gives a boolean)
    Or,
    /// `x in list`, `text in text`
    In,
}

/// Filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// `pad(width)`: leading zeros.
    Pad,
    /// Upper case.
    Upper,
    /// Lower case.
    Lower,
    /// Without white space at both ends.
    Trim,
    /// As a whole number.
    Int,
    /// As a decimal.
    Float,
    /// As text.
    String,
    /// `round(digits = 0)`.
    Round,
    /// Absolute value.
    Abs,
    /// Length of text, list or object.
    Length,
    /// First element or character.
    First,
    /// Last element or character.
    Last,
    /// `join(separator = "")`.
    Join,
    /// `replace(from, to)`.
    Replace,
    /// `default(value)` for null.
    Default,
    /// As JSON text.
    Tojson,
    /// Percent-encoded for a path segment or query value (RFC 3986 unreserved characters stay).
    Urlencode,
    /// SHA-256 in lower-case hexadecimal.
    Sha256,
    /// Standard base64 with padding.
    Base64,
}

/// Functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// `now()`: RFC 3339 text in UTC with milliseconds; `now("unix")` and `now("unix_ms")` are whole numbers.
    Now,
    /// `random.int(low, high)`, both included.
    RandomInt,
    /// `random.float(low, high)`.
    RandomFloat,
    /// `random.choice(list)`.
    RandomChoice,
    /// `random.hex(length)`.
    RandomHex,
    /// `random.alnum(length)`.
    RandomAlnum,
    /// `random.uuid()`, version 4 shaped.
    RandomUuid,
    /// `range(n)` or `range(from, to)`: at most 10,000 numbers.
    Range,
}

/// The names and the outside values that evaluation may see.
pub trait Scope {
    /// The value at a path (`["agent", "hostname"]`), or `None` when it is not there.
    fn get(&self, path: &[String]) -> Option<Json>;
    /// The next 64 bits of this scope's seeded stream, for `random.*`.
    fn random(&self) -> u64;
    /// Microseconds since 1970 for `now()`.
    fn now_micros(&self) -> i64;
}

impl Template {
    /// A template without slots.
    pub fn literal(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() {
            return Template::default();
        }
        Template { segments: vec![Segment::Literal(text)] }
    }

    /// The text, when there is no slot in it.
    pub fn as_literal(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [] => Some(""),
            [Segment::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

/// A name that a template uses, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameUse {
    /// The path: `["agent", "hostname"]`.
    pub path: Vec<String>,
    /// The name in the text.
    pub span: crate::source::Span,
}

/// A parsed template with the names it uses, which the resolver checks against the scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<T> {
    /// [`Template`] or [`Expr`].
    pub value: T,
    /// Names used, in order.
    pub uses: Vec<NameUse>,
}
