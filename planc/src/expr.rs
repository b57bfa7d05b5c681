//! Expressions: parsed once with minijinja's grammar, checked against the names in scope, kept as
//! plain data, evaluated by one small pure function.
//!
//! Evaluation is our own so that an undefined name can never render as nothing, work and memory are
//! bounded, and values in JSON are JSON. The grammar is minijinja's expression grammar; statements
//! (`{% if %}`) are refused with the expression to write instead.

mod fold;
mod format;
mod json;
mod parse;

use crate::Page;
use crate::diagnostic::Code;
use crate::graph::Json;
use serde::{Deserialize, Serialize};

pub use fold::{Known, fold, fold_expr, fold_json};
pub use json::{json_template, place_in};
pub use parse::{parse_expr, parse_template};

/// Text between `{{` and `}}` that is no expression, or one that can have no value.
pub const BAD_EXPRESSION: Code = Code { id: "P0200", name: "bad-expression" };
/// A filter that does not exist.
pub const UNKNOWN_FILTER: Code = Code { id: "P0201", name: "unknown-filter" };
/// A function that does not exist.
pub const UNKNOWN_FUNCTION: Code = Code { id: "P0202", name: "unknown-function" };
/// `{% … %}` or `{# … #}`: only expressions have a meaning in a plan.
pub const STATEMENT: Code = Code { id: "P0203", name: "statement-in-template" };
/// Too few or too many arguments.
pub const BAD_ARGUMENTS: Code = Code { id: "P0204", name: "bad-arguments" };
/// An expression too long or too deep to read.
pub const TOO_LARGE: Code = Code { id: "P0205", name: "expression-too-large" };

/// Tests, slices, maps, named arguments: parts of Jinja that a plan does without.
pub const UNSUPPORTED: Code = Code { id: "P0206", name: "unsupported-syntax" };

/// The pages of the codes above, for `planc explain`.
pub const PAGES: &[Page] = &[
    Page { code: "P0200", name: "bad-expression", text: include_str!("expr/pages/bad-expression.md") },
    Page { code: "P0201", name: "unknown-filter", text: include_str!("expr/pages/unknown-filter.md") },
    Page { code: "P0202", name: "unknown-function", text: include_str!("expr/pages/unknown-function.md") },
    Page {
        code: "P0203",
        name: "statement-in-template",
        text: include_str!("expr/pages/statement-in-template.md"),
    },
    Page { code: "P0204", name: "bad-arguments", text: include_str!("expr/pages/bad-arguments.md") },
    Page {
        code: "P0205",
        name: "expression-too-large",
        text: include_str!("expr/pages/expression-too-large.md"),
    },
    Page {
        code: "P0206",
        name: "unsupported-syntax",
        text: include_str!("expr/pages/unsupported-syntax.md"),
    },
];

/// The most tokens that an expression may have.
pub const MAX_TOKENS: usize = 400;
/// Root of the paths of `metric('…')`, which no name can be: `metric('http_reqs')` is the path `metric()`, `http_reqs`.
pub const METRIC: &str = "metric()";
/// The deepest nesting; a deeper graph could not be read back from its file.
pub const MAX_DEPTH: usize = 24;

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
    /// `csr(names)`: a certificate signing request, base64url of its DER.
    Csr,
}

impl Filter {
    /// Each name with its filter and the least and most arguments it takes.
    pub const NAMES: &[(&str, Filter, usize, usize)] = &[
        ("pad", Filter::Pad, 1, 1),
        ("upper", Filter::Upper, 0, 0),
        ("lower", Filter::Lower, 0, 0),
        ("trim", Filter::Trim, 0, 0),
        ("int", Filter::Int, 0, 0),
        ("float", Filter::Float, 0, 0),
        ("string", Filter::String, 0, 0),
        ("round", Filter::Round, 0, 1),
        ("abs", Filter::Abs, 0, 0),
        ("length", Filter::Length, 0, 0),
        ("count", Filter::Length, 0, 0),
        ("first", Filter::First, 0, 0),
        ("last", Filter::Last, 0, 0),
        ("join", Filter::Join, 0, 1),
        ("replace", Filter::Replace, 2, 2),
        ("default", Filter::Default, 1, 1),
        ("tojson", Filter::Tojson, 0, 0),
        ("urlencode", Filter::Urlencode, 0, 0),
        ("sha256", Filter::Sha256, 0, 0),
        ("base64", Filter::Base64, 0, 0),
    ];

    fn by_name(name: &str) -> Option<(Filter, usize, usize)> {
        Self::NAMES.iter().find(|entry| entry.0 == name).map(|entry| (entry.1, entry.2, entry.3))
    }
}

impl Function {
    /// Each name with its function and the least and most arguments it takes.
    pub const NAMES: &[(&str, Function, usize, usize)] = &[
        ("now", Function::Now, 0, 1),
        ("range", Function::Range, 1, 2),
        ("random.int", Function::RandomInt, 2, 2),
        ("random.float", Function::RandomFloat, 2, 2),
        ("random.choice", Function::RandomChoice, 1, 1),
        ("random.hex", Function::RandomHex, 1, 1),
        ("random.alnum", Function::RandomAlnum, 1, 1),
        ("random.uuid", Function::RandomUuid, 0, 0),
        ("csr", Function::Csr, 1, 1),
    ];

    fn by_name(name: &str) -> Option<(Function, usize, usize)> {
        Self::NAMES.iter().find(|entry| entry.0 == name).map(|entry| (entry.1, entry.2, entry.3))
    }
}

/// The names and the outside values that evaluation may see.
pub trait Scope {
    /// The value at a path (`["agent", "hostname"]`), or `None` when it is not there.
    fn get(&self, path: &[String]) -> Option<Json>;
    /// The next 64 bits of this scope's seeded stream, for `random.*`.
    fn random(&self) -> u64;
    /// Microseconds since 1970 for `now()`.
    fn now_micros(&self) -> i64;
    /// A certificate signing request for these names, where there is something to sign it with.
    fn csr(&self, names: &[&str]) -> Option<String> {
        let _ = names;
        None
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::graph::JsonTemplate;
    use crate::source::{SourceMap, Span};
    use crate::yaml;
    use proptest::prelude::*;
    use serde_json::json;

    /// `value` as a template's compact form and what was told: `[text] message / help`.
    fn template(text: &str) -> (Option<Parsed<Template>>, Vec<String>) {
        let mut sources = SourceMap::default();
        let file = sources.add("t", text);
        let mut diagnostics = Diagnostics::default();
        let parsed = parse_template(text, &|range| Span::new(file, range), &mut diagnostics);
        let told = diagnostics.into_sorted().into_iter().map(|d| {
            let help = d.help.map_or(String::new(), |help| format!(" / {help}"));
            format!("{} [{}] {}{help}", d.code.id, sources.text(d.primary.span), d.message)
        });
        (parsed, told.collect())
    }

    fn expr(text: &str) -> Expr {
        let file = crate::source::FileId(0);
        let mut diagnostics = Diagnostics::default();
        let parsed = parse_expr(text, &|range| Span::new(file, range), &mut diagnostics);
        parsed.unwrap_or_else(|| panic!("{text}: {diagnostics:?}")).value
    }

    #[test]
    fn templates_become_literals_and_slots() {
        for (text, expected) in [
            ("", json!([])),
            ("plain }} { text", json!([{"literal": "plain }} { text"}])),
            ("{{ 1 + 2 }}x{{ 'y' }}", json!([{"literal": "3xy"}])),
            ("a-{{ n }}", json!([{"literal": "a-"}, {"slot": {"path": ["n"]}}])),
            ("{{ a.b['c'].d }}", json!([{"slot": {"path": ["a", "b", "c", "d"]}}])),
            ("{{ '}}' ~ n }}", json!([{"literal": "}}"}, {"slot": {"path": ["n"]}}])),
            (
                "{{ '%05d' % n }}",
                json!([{"slot": {"filter": ["pad", {"filter": ["int", {"path": ["n"]}, []]}, [{"const": 5}]]}}]),
            ),
            ("{{ 'ag-%03d/%s' % (7, 'x') }}", json!([{"literal": "ag-007/x"}])),
            ("{{ 2 if 3 > 2 else n }}", json!([{"literal": "2"}])),
        ] {
            let (parsed, told) = template(text);
            let value = parsed.map(|p| serde_json::to_value(p.value).expect("json"));
            assert_eq!((value, told), (Some(expected), vec![]), "{text}");
        }
    }

    #[test]
    fn expressions() {
        for (text, expected) in [
            ("{{ n }}", json!({"path": ["n"]})),
            ("  n ", json!({"path": ["n"]})),
            ("{{ a }} {{ b }}".trim_end_matches(" {{ b }}"), json!({"path": ["a"]})),
            ("list[i]", json!({"index": [{"path": ["list"]}, {"path": ["i"]}]})),
            ("list[0].x", json!({"index": [{"index": [{"path": ["list"]}, {"const": 0}]}, {"const": "x"}]})),
            ("not a", json!({"unary": ["not", {"path": ["a"]}]})),
            ("-5", json!({"const": -5})),
            (
                "1 < n <= 3",
                json!({"binary": ["and", {"binary": ["lt", {"const": 1}, {"path": ["n"]}]},
                    {"binary": ["le", {"path": ["n"]}, {"const": 3}]}]}),
            ),
            ("a not in b", json!({"unary": ["not", {"binary": ["in", {"path": ["a"]}, {"path": ["b"]}]}]})),
            ("random.int(1, 6)", json!({"call": ["random_int", [{"const": 1}, {"const": 6}]]})),
            ("now()", json!({"call": ["now", []]})),
            ("range(3)", json!({"call": ["range", [{"const": 3}]]})),
            (
                "n | default('x') | upper",
                json!({"filter": ["upper", {"filter": ["default", {"path": ["n"]}, [{"const": "x"}]]}, []]}),
            ),
            ("none == null_name", json!({"binary": ["eq", {"const": null}, {"path": ["null_name"]}]})),
        ] {
            assert_eq!(serde_json::to_value(expr(text)).expect("json"), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_at_their_place() {
        for (text, expected) in [
            ("a {{ n | padd(5) }}", "P0201 [padd] unknown filter `padd` / did you mean `pad`?"),
            ("{{ n | b64encode }}", "P0201 [b64encode] unknown filter `b64encode` / did you mean `base64`?"),
            (
                "{{ random.itn(1, 2) }}",
                "P0202 [random.itn] unknown function `random.itn` / did you mean `random.int`?",
            ),
            ("{{ uuid() }}", "P0202 [uuid] unknown function `uuid` / did you mean `random.uuid`?"),
            ("{{ now }}", "P0202 [now] `now` is a function, not a value / write `now()`"),
            (
                "{{ random.uuid }}",
                "P0202 [random.uuid] `random.uuid` is a function, not a value / write `random.uuid(…)`",
            ),
            (
                "{% if a %}x{% endif %}",
                "P0203 [{% if a %}] `{% if %}` is a statement / write `{{ a if condition else b }}`",
            ),
            (
                "x{# y #}",
                "P0203 [{# y #}] comments have no place in a template / write it as a YAML comment: `# …`",
            ),
            (
                "{{ a is defined }}",
                "P0206 [a is defined] `is defined` has no meaning in a plan / an unknown name is an error when the plan is checked: leave the test out",
            ),
            ("{{ a[1:2] }}", "P0206 [a[1:2]] slices have no meaning in a plan / take one element: `list[0]`"),
            ("{{ n | pad }}", "P0204 [pad] `pad` takes one argument, not 0"),
            ("{{ n", "P0200 [{{] a `{{` that no `}}` closes / write `{{ name }}`"),
            ("{{ }}", "P0200 [ ] an empty expression / write a name: `{{ name }}`"),
            ("{{ 1 / 0 }}", "P0200 [1 / 0] division by zero"),
            (
                "{{ a if b }}",
                "P0200 [a if b] an `if` without `else` has no value when it is false / write `a if condition else b`",
            ),
            (
                "{{ '%5.2f' % n }}",
                "P0200 ['%5.2f' % n] the format `%5.` is not known / formats are `%d`, `%05d`, `%s` and `%%`; or write `{{ n | pad(5) }}`",
            ),
            ("{{ a + }}", "P0200 [+] unexpected end of input, expected expression"),
            ("{{ a && b }}", "P0200 [&] unexpected character / write `and`, `or`, `not`"),
        ] {
            assert_eq!(template(text).1, vec![expected.to_string()], "{text}");
        }
    }

    #[test]
    fn too_large_is_refused() {
        for text in ["1+".repeat(1000) + "1", "-".repeat(5000) + "1", "(".repeat(5000), "a|upper".repeat(300)]
        {
            let (parsed, told) = template(&format!("{{{{ {text} }}}}"));
            assert!(parsed.is_none());
            assert!(told[0].starts_with("P0205"), "{}", told[0]);
        }
        let deep = vec!["n"; 40].join(" + ");
        assert!(template(&format!("{{{{ {deep} }}}}")).1[0].starts_with("P0205"));
    }

    #[test]
    fn names_are_listed_with_their_places() {
        let text = "x{{ inputs.rate + agent['id'] }}-{{ list[i] }}";
        let uses = template(text).0.expect("parses").uses;
        let shown: Vec<_> = uses.iter().map(|u| (u.path.join("."), &text[u.span.range()])).collect();
        let expected =
            [("inputs.rate", "inputs.rate"), ("agent.id", "agent['id']"), ("list", "list"), ("i", "i")];
        assert_eq!(shown, expected.map(|(path, text)| (path.to_string(), text)));
    }

    #[test]
    fn folding_replaces_what_is_known() {
        let known = |path: &[String]| (path == ["inputs", "n"]).then(|| json!(7));
        for (text, expected) in [
            ("a{{ inputs.n }}b", "a7b"),
            ("{{ inputs.n | pad(3) }}-{{ x }}", "007-|x"),
            ("{{ inputs.n + 1 if inputs.n > 5 else x }}", "8"),
            ("{{ x ~ inputs.n ~ '.' }}", "x|7."),
        ] {
            let folded = fold(template(text).0.expect("parses").value, &known);
            let shown: Vec<String> = folded
                .segments
                .iter()
                .map(|segment| match segment {
                    Segment::Literal(text) => text.clone(),
                    Segment::Slot(Expr::Path(path)) => path.join("."),
                    Segment::Slot(other) => format!("{other:?}"),
                })
                .collect();
            assert_eq!(shown.join("|"), expected, "{text}");
        }
    }

    #[test]
    fn json_keeps_types() {
        let text = "a: 1\nb: 1.5\nc: '2'\nd: no\ne: ~\nf: true\ng: [0x1f, -3, 1e2]\nh: \"{{ n }}\"\ni: v{{ n }}\nj: {k: \"{{ 'x' ~ n }}\"}\nk: 10_000\n";
        let mut sources = SourceMap::default();
        let file = sources.add("t", text);
        let mut diagnostics = Diagnostics::default();
        let node = yaml::parse(&sources, file, &mut diagnostics).expect("yaml");
        let parsed = json_template(&sources, &node, &mut diagnostics).expect("json");
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let JsonTemplate::Map(map) = &parsed.value else { panic!("a map") };
        let constants: serde_json::Map<String, Json> = map
            .iter()
            .filter_map(|(k, v)| match v {
                JsonTemplate::Const(value) => Some((k.clone(), value.clone())),
                _ => None,
            })
            .collect();
        assert_eq!(
            Json::Object(constants),
            json!({"a": 1, "b": 1.5, "c": "2", "d": "no", "e": null, "f": true, "g": [31, -3, 100.0], "k": 10000})
        );
        assert_eq!(map["h"], JsonTemplate::Value(Expr::Path(vec!["n".into()])));
        assert!(matches!(&map["i"], JsonTemplate::Text(_)));
        assert!(
            matches!(&map["j"], JsonTemplate::Map(inner) if matches!(inner["k"], JsonTemplate::Value(Expr::Binary(..))))
        );
        let places: Vec<&str> = parsed.uses.iter().map(|u| sources.text(u.span)).collect();
        assert_eq!(places, ["n", "n", "n"]);
    }

    #[test]
    fn json_refuses_what_it_cannot_hold() {
        for (text, code) in
            [("a: .inf\n", "P0008"), ("a: 123456789012345678901\n", "P0008"), ("\"{{ k }}\": 1\n", "P0206")]
        {
            let mut sources = SourceMap::default();
            let file = sources.add("t", text);
            let mut diagnostics = Diagnostics::default();
            let node = yaml::parse(&sources, file, &mut diagnostics).expect("yaml");
            assert!(json_template(&sources, &node, &mut diagnostics).is_none(), "{text}");
            assert_eq!(diagnostics.iter().map(|d| d.code.id).collect::<Vec<_>>(), [code], "{text}");
        }
    }

    /// The wrong example of each page gives exactly its code, the right one nothing.
    #[test]
    fn pages_tell_the_truth() {
        for page in yaml::PAGES.iter().chain(PAGES) {
            assert!(page.text.starts_with(&format!("# {} ({})\n", page.name, page.code)), "{}", page.name);
            let examples: Vec<&str> = page.text.split("```").skip(1).step_by(2).collect();
            for (example, expected) in examples.iter().zip([&[page.code][..], &[]]) {
                let mut sources = SourceMap::default();
                let file = sources.add("t", example.trim_start_matches("yaml\n"));
                let mut diagnostics = Diagnostics::default();
                let node = yaml::parse(&sources, file, &mut diagnostics).expect("yaml");
                json_template(&sources, &node, &mut diagnostics);
                let codes: Vec<_> = diagnostics.iter().map(|d| d.code.id).collect();
                assert_eq!(codes, expected, "{}: {example}", page.name);
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}|[-{}%#a-c01'\"|.()\\[\\]+*/~, éif]{0,60}") {
            for text in [text.clone(), format!("{{{{ {text} }}}}"), format!("{{{{{text}}}}}")] {
                let (parsed, told) = template(&text);
                prop_assert!(parsed.is_some() == told.is_empty(), "{} {:?}", text, told);
                let mut diagnostics = Diagnostics::default();
                let _ = parse_expr(&text, &|range| Span::new(crate::source::FileId(0), range), &mut diagnostics);
            }
        }
    }
}
