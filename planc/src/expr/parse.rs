//! minijinja's syntax tree into [`Expr`], with every mistake told at its place.

use super::{
    BAD_ARGUMENTS, BAD_EXPRESSION, BinaryOp, Expr, Filter, Function, MAX_DEPTH, MAX_TOKENS, METRIC, NameUse,
    Parsed, STATEMENT, Segment, TOO_LARGE, Template, UNKNOWN_FILTER, UNKNOWN_FUNCTION, UNSUPPORTED, UnaryOp,
    fold, format,
};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::graph::Json;
use crate::source::Span;
use minijinja::machinery::{ast, tokenize};
use minijinja::value::{Value, ValueKind};
use std::ops::Range;

type Place<'a> = &'a dyn Fn(Range<usize>) -> Span;

/// Parses a text with `{{ … }}` slots. `place` turns bytes of the text into a place in a file.
pub fn parse_template(
    text: &str,
    place: Place<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Parsed<Template>> {
    let mut segments = Vec::new();
    let mut uses = Vec::new();
    let mut sound = true;
    let mut at = 0;
    while let Some(offset) = next_marker(&text[at..]) {
        let start = at + offset;
        segments.push(Segment::Literal(text[at..start].to_string()));
        if !text[start..].starts_with("{{") {
            diagnostics.push(statement(text, start, place));
            return None;
        }
        let Some(end) = slot_end(text, start + 2) else {
            let span = place(start..start + 2);
            diagnostics.push(
                Diagnostic::error(BAD_EXPRESSION, span, "a `{{` that no `}}` closes")
                    .help("write `{{ name }}`"),
            );
            return None;
        };
        match expression(text, start + 2..end, place, diagnostics) {
            Some(parsed) => {
                segments.push(Segment::Slot(parsed.value));
                uses.extend(parsed.uses);
            }
            None => sound = false,
        }
        at = end + 2;
    }
    segments.push(Segment::Literal(text[at..].to_string()));
    sound.then(|| Parsed { value: fold::merge(segments), uses })
}

/// Parses one expression, with or without `{{ }}` around it.
pub fn parse_expr(text: &str, place: Place<'_>, diagnostics: &mut Diagnostics) -> Option<Parsed<Expr>> {
    let blanks = text.len() - text.trim_start().len();
    let trimmed = text.trim();
    let inner = trimmed
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
        .filter(|_| slot_end(text, blanks + 2) == Some(blanks + trimmed.len() - 2));
    let range = match inner {
        Some(inner) => blanks + 2..blanks + 2 + inner.len(),
        None => blanks..blanks + trimmed.len(),
    };
    if let Some(offset) =
        next_marker(&text[range.clone()]).filter(|i| !text[range.start + i..].starts_with("{{"))
    {
        diagnostics.push(statement(text, range.start + offset, place));
        return None;
    }
    expression(text, range, place, diagnostics)
}

/// Where `{{`, `{%` or `{#` next stands.
fn next_marker(text: &str) -> Option<usize> {
    ["{{", "{%", "{#"].iter().filter_map(|marker| text.find(marker)).min()
}

/// The byte of the `}}` that closes a slot whose inside starts at `at`; quotes and inner braces are skipped.
fn slot_end(text: &str, at: usize) -> Option<usize> {
    let mut quote = None;
    let mut braces = 0usize;
    let mut escaped = false;
    for (i, c) in text[at..].char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '{') => braces += 1,
            (None, '}') if braces > 0 => braces -= 1,
            (None, '}') if text[at + i..].starts_with("}}") => return Some(at + i),
            _ => {}
        }
    }
    None
}

fn statement(text: &str, start: usize, place: Place<'_>) -> Diagnostic {
    let close = if text[start..].starts_with("{#") { "#}" } else { "%}" };
    let end = text[start..].find(close).map_or(text.len(), |i| start + i + 2);
    let word = text[start + 2..end].trim_start_matches(['-', '+']).split_whitespace().next().unwrap_or("");
    let (message, help) = match (close, word) {
        ("#}", _) => {
            ("comments have no place in a template".to_string(), "write it as a YAML comment: `# …`")
        }
        (_, "if") => ("`{% if %}` is a statement".to_string(), "write `{{ a if condition else b }}`"),
        (_, "for") => (
            "`{% for %}` is a statement".to_string(),
            "repeat steps with `each:` or `repeat:`, join lists with `{{ list | join(\",\") }}`",
        ),
        (_, "set") => (
            "`{% set %}` is a statement".to_string(),
            "write the expression where it is used, or declare an input",
        ),
        _ => (
            format!("`{{% {word} %}}` is a statement"),
            "only expressions, `{{ … }}`, have a meaning in a plan",
        ),
    };
    Diagnostic::error(STATEMENT, place(start..end), message).help(help)
}

/// Parses the expression at `range` of `text`.
fn expression(
    text: &str,
    range: Range<usize>,
    place: Place<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Parsed<Expr>> {
    let source = &text[range.clone()];
    let whole = place(range.start..range.end);
    if source.trim().is_empty() {
        diagnostics.push(
            Diagnostic::error(BAD_EXPRESSION, whole, "an empty expression")
                .help("write a name: `{{ name }}`"),
        );
        return None;
    }
    if too_large(source) {
        diagnostics.push(
            Diagnostic::error(TOO_LARGE, whole, "an expression this long is not read")
                .help("split it into inputs, or compute the value in a fixture column"),
        );
        return None;
    }
    let parsed = match minijinja::machinery::parse_expr(source) {
        Ok(parsed) => parsed,
        Err(error) => {
            diagnostics.push(syntax_error(&error, source, range.start, place));
            return None;
        }
    };
    let mut lowering =
        Lowering { source, offset: range.start, place, diagnostics, uses: Vec::new(), sound: true, depth: 0 };
    let value = lowering.expr(&parsed);
    (lowering.sound).then_some(Parsed { value, uses: lowering.uses })
}

/// Whether an expression would cost the parser's stack too much.
fn too_large(source: &str) -> bool {
    let tokens = tokenize(source, true, Default::default());
    source.len() > 64 << 10 || tokens.take_while(Result::is_ok).take(MAX_TOKENS + 1).count() > MAX_TOKENS
}

fn syntax_error(error: &minijinja::Error, source: &str, offset: usize, place: Place<'_>) -> Diagnostic {
    let range = error.range().unwrap_or(0..source.len());
    let mut range = range.start.min(source.len())..range.end.min(source.len());
    if range.is_empty() {
        range = 0..source.len();
    }
    let detail = error.detail().unwrap_or("not an expression").to_string();
    let span = place(offset + range.start..offset + range.end);
    let diagnostic = Diagnostic::error(BAD_EXPRESSION, span, detail);
    if source.contains("&&") || source.contains("||") || source.trim_start().starts_with('!') {
        return diagnostic.help("write `and`, `or`, `not`");
    }
    if source.contains('?') {
        return diagnostic.help("write `a if condition else b`");
    }
    diagnostic
}

struct Lowering<'a> {
    source: &'a str,
    offset: usize,
    place: Place<'a>,
    diagnostics: &'a mut Diagnostics,
    uses: Vec<NameUse>,
    sound: bool,
    depth: usize,
}

impl Lowering<'_> {
    /// Lowers a node. A node that cannot be lowered is told and becomes null, so that the rest is checked too.
    fn expr(&mut self, node: &ast::Expr<'_>) -> Expr {
        self.depth += 1;
        let lowered = if self.depth > MAX_DEPTH {
            let span = self.span(node);
            self.refuse(
                Diagnostic::error(TOO_LARGE, span, "an expression nested this deep is not read")
                    .help("write a text with several slots, `{{ a }}{{ b }}`, in place of one long chain"),
            )
        } else {
            self.lower(node)
        };
        self.depth -= 1;
        self.constant(lowered, node)
    }

    fn lower(&mut self, node: &ast::Expr<'_>) -> Expr {
        match node {
            ast::Expr::Const(c) => self.literal(&c.value, node),
            ast::Expr::Var(var) => {
                let span = self.span(node);
                if matches!(var.id, "now" | "random") {
                    let write = if var.id == "now" { "now()" } else { "random.int(1, 6)" };
                    return self.refuse(
                        Diagnostic::error(
                            UNKNOWN_FUNCTION,
                            span,
                            format!("`{}` is a function, not a value", var.id),
                        )
                        .help(format!("write `{write}`")),
                    );
                }
                self.uses.push(NameUse { path: vec![var.id.to_string()], span });
                Expr::Path(vec![var.id.to_string()])
            }
            ast::Expr::GetAttr(attr) => self.attribute(&attr.expr, attr.name, node),
            ast::Expr::GetItem(item) => self.item(item, node),
            ast::Expr::UnaryOp(op) => {
                let operator = match op.op {
                    ast::UnaryOpKind::Not => UnaryOp::Not,
                    ast::UnaryOpKind::Neg => UnaryOp::Neg,
                };
                Expr::Unary(operator, Box::new(self.expr(&op.expr)))
            }
            ast::Expr::BinOp(op) => self.binary(op, node),
            ast::Expr::Compare(compare) => self.compare(compare),
            ast::Expr::IfExpr(choice) => self.choice(choice, node),
            ast::Expr::Filter(filter) => self.filter(filter, node),
            ast::Expr::Call(call) => self.call(call, node),
            ast::Expr::List(list) => Expr::List(list.items.iter().map(|item| self.expr(item)).collect()),
            ast::Expr::Tuple(tuple) => Expr::List(tuple.items.iter().map(|item| self.expr(item)).collect()),
            ast::Expr::Test(test) => {
                let help = match test.name {
                    "defined" | "undefined" => {
                        "an unknown name is an error when the plan is checked: leave the test out"
                    }
                    "none" => "write `x == none`",
                    "odd" => "write `x % 2 == 1`",
                    "even" => "write `x % 2 == 0`",
                    _ => "compare with `==`, `<`, `in`",
                };
                self.unsupported(node, format!("`is {}` has no meaning in a plan", test.name), help)
            }
            ast::Expr::Slice(_) => self.unsupported(
                node,
                "slices have no meaning in a plan".into(),
                "take one element: `list[0]`",
            ),
            ast::Expr::Map(_) => self.unsupported(
                node,
                "a map has no place in an expression".into(),
                "write it as YAML, with a slot for each value",
            ),
        }
    }

    fn literal(&mut self, value: &Value, node: &ast::Expr<'_>) -> Expr {
        let json = match value.kind() {
            ValueKind::None => Some(Json::Null),
            ValueKind::Bool => Some(Json::Bool(value.is_true())),
            ValueKind::String => value.as_str().map(Json::from),
            ValueKind::Number if value.is_integer() => i64::try_from(value.clone())
                .map(Json::from)
                .or_else(|_| u64::try_from(value.clone()).map(Json::from))
                .ok(),
            ValueKind::Number => {
                f64::try_from(value.clone()).ok().and_then(serde_json::Number::from_f64).map(Json::Number)
            }
            _ => None,
        };
        match json {
            Some(json) => Expr::Const(json),
            None => {
                let span = self.span(node);
                self.refuse(Diagnostic::error(BAD_EXPRESSION, span, "a number that does not fit in 64 bits"))
            }
        }
    }

    fn attribute(&mut self, base: &ast::Expr<'_>, name: &str, node: &ast::Expr<'_>) -> Expr {
        if let ast::Expr::Var(var) = base
            && var.id == "random"
        {
            let span = self.span(node);
            return self.refuse(
                Diagnostic::error(
                    UNKNOWN_FUNCTION,
                    span,
                    format!("`random.{name}` is a function, not a value"),
                )
                .help(format!("write `random.{name}(…)`")),
            );
        }
        match self.expr(base) {
            Expr::Path(mut path) => {
                path.push(name.to_string());
                let end = self.span(node).end;
                if let Some(last) = self.uses.last_mut() {
                    last.path.clone_from(&path);
                    last.span.end = end.max(last.span.end);
                }
                Expr::Path(path)
            }
            other => Expr::Index(Box::new(other), Box::new(Expr::Const(name.into()))),
        }
    }

    fn item(&mut self, item: &ast::GetItem<'_>, node: &ast::Expr<'_>) -> Expr {
        if let ast::Expr::Const(key) = &item.subscript_expr
            && let Some(name) = key.value.as_str()
        {
            return self.attribute(&item.expr, name, node);
        }
        let base = self.expr(&item.expr);
        Expr::Index(Box::new(base), Box::new(self.expr(&item.subscript_expr)))
    }

    fn binary(&mut self, op: &ast::BinOp<'_>, node: &ast::Expr<'_>) -> Expr {
        use ast::BinOpKind as K;
        let operator = match op.op {
            K::Rem => {
                if let ast::Expr::Const(left) = &op.left
                    && let Some(text) = left.value.as_str()
                {
                    return self.format(text, &op.right, node);
                }
                BinaryOp::Rem
            }
            K::Eq => BinaryOp::Eq,
            K::Ne => BinaryOp::Ne,
            K::Lt => BinaryOp::Lt,
            K::Lte => BinaryOp::Le,
            K::Gt => BinaryOp::Gt,
            K::Gte => BinaryOp::Ge,
            K::ScAnd => BinaryOp::And,
            K::ScOr => BinaryOp::Or,
            K::Add => BinaryOp::Add,
            K::Sub => BinaryOp::Sub,
            K::Mul => BinaryOp::Mul,
            K::Div => BinaryOp::Div,
            K::FloorDiv => BinaryOp::FloorDiv,
            K::Pow => BinaryOp::Pow,
            K::Concat => BinaryOp::Concat,
            K::In => BinaryOp::In,
        };
        let left = self.expr(&op.left);
        Expr::Binary(operator, Box::new(left), Box::new(self.expr(&op.right)))
    }

    /// `'%05d' % n`, `'%s-%d' % (a, b)`.
    fn format(&mut self, text: &str, right: &ast::Expr<'_>, node: &ast::Expr<'_>) -> Expr {
        let values = match right {
            ast::Expr::Tuple(tuple) => tuple.items.iter().map(|item| self.expr(item)).collect(),
            other => vec![self.expr(other)],
        };
        match format::lower(text, values) {
            Ok(expr) => fold::fold_expr(expr, &|_| None),
            Err(message) => {
                let span = self.span(node);
                self.refuse(
                    Diagnostic::error(BAD_EXPRESSION, span, message)
                        .help("formats are `%d`, `%05d`, `%s` and `%%`; or write `{{ n | pad(5) }}`"),
                )
            }
        }
    }

    /// `a < b < c` is `a < b and b < c`.
    fn compare(&mut self, compare: &ast::Compare<'_>) -> Expr {
        use ast::CompareOpKind as K;
        let mut left = self.expr(&compare.expr);
        let mut result = None;
        for op in &compare.ops {
            let right = self.expr(&op.expr);
            let operator = match op.op {
                K::Eq => BinaryOp::Eq,
                K::Ne => BinaryOp::Ne,
                K::Lt => BinaryOp::Lt,
                K::Lte => BinaryOp::Le,
                K::Gt => BinaryOp::Gt,
                K::Gte => BinaryOp::Ge,
                K::In | K::NotIn => BinaryOp::In,
            };
            let mut one = Expr::Binary(operator, Box::new(left), Box::new(right.clone()));
            if matches!(op.op, K::NotIn) {
                one = Expr::Unary(UnaryOp::Not, Box::new(one));
            }
            result = Some(match result {
                None => one,
                Some(before) => Expr::Binary(BinaryOp::And, Box::new(before), Box::new(one)),
            });
            left = right;
        }
        result.unwrap_or(Expr::Const(Json::Bool(true)))
    }

    fn choice(&mut self, choice: &ast::IfExpr<'_>, node: &ast::Expr<'_>) -> Expr {
        let condition = self.expr(&choice.test_expr);
        let yes = self.expr(&choice.true_expr);
        let Some(no) = &choice.false_expr else {
            let span = self.span(node);
            return self.refuse(
                Diagnostic::error(
                    BAD_EXPRESSION,
                    span,
                    "an `if` without `else` has no value when it is false",
                )
                .help("write `a if condition else b`"),
            );
        };
        Expr::If(Box::new(condition), Box::new(yes), Box::new(self.expr(no)))
    }

    fn filter(&mut self, filter: &ast::Filter<'_>, node: &ast::Expr<'_>) -> Expr {
        let value = match &filter.expr {
            Some(value) => self.expr(value),
            None => Expr::Const(Json::Null),
        };
        let args = self.args(&filter.args, node);
        let span = self.word(filter.name, node);
        let Some((kind, least, most)) = Filter::by_name(filter.name) else {
            let names = Filter::NAMES.iter().map(|(name, ..)| *name);
            let diagnostic =
                Diagnostic::error(UNKNOWN_FILTER, span, format!("unknown filter `{}`", filter.name));
            return self.refuse(did_you_mean(diagnostic, filter.name, span, names));
        };
        self.arity(filter.name, args.len(), least, most, span);
        Expr::Filter(kind, Box::new(value), args)
    }

    fn call(&mut self, call: &ast::Call<'_>, node: &ast::Expr<'_>) -> Expr {
        if matches!(&call.expr, ast::Expr::Var(var) if var.id == "metric") {
            return self.metric(call);
        }
        let args = self.args(&call.args, node);
        let callee = self.span(&call.expr);
        let name = match &call.expr {
            ast::Expr::Var(var) => Some(var.id.to_string()),
            ast::Expr::GetAttr(attr) => match &attr.expr {
                ast::Expr::Var(var) => Some(format!("{}.{}", var.id, attr.name)),
                _ => None,
            },
            _ => None,
        };
        let Some(name) = name else {
            return self.unsupported(
                node,
                "only functions can be called".into(),
                "use a filter: `value | length`",
            );
        };
        let Some((function, least, most)) = Function::by_name(&name) else {
            let diagnostic =
                Diagnostic::error(UNKNOWN_FUNCTION, callee, format!("unknown function `{name}`"));
            let names = Function::NAMES.iter().map(|(name, ..)| *name);
            return self.refuse(did_you_mean(diagnostic, &name, callee, names));
        };
        self.arity(&name, args.len(), least, most, callee);
        Expr::Call(function, args)
    }

    /// `metric('http_reqs{status:201}')`: a number of the load, known by its text.
    fn metric(&mut self, call: &ast::Call<'_>) -> Expr {
        if let [ast::CallArg::Pos(argument @ ast::Expr::Const(text))] = call.args.as_slice()
            && let Some(text) = text.value.as_str()
        {
            let range = self.range(argument);
            // What is in the quotes.
            let inner = self.source.get(range.clone()).and_then(|quoted| quoted.find(text));
            let range = inner.map_or(range.clone(), |at| range.start + at..range.start + at + text.len());
            let path = vec![METRIC.to_string(), text.to_string()];
            self.uses.push(NameUse { path: path.clone(), span: self.place_of(&range) });
            return Expr::Path(path);
        }
        let span = self.span(&call.expr);
        let message = "`metric` takes one text in quotes";
        self.refuse(
            Diagnostic::error(BAD_ARGUMENTS, span, message)
                .help("write `metric('http_reqs{status:201}')` or `metric('http_req_duration.p95')`"),
        )
    }

    fn args(&mut self, args: &[ast::CallArg<'_>], node: &ast::Expr<'_>) -> Vec<Expr> {
        args.iter()
            .map(|arg| match arg {
                ast::CallArg::Pos(value) => self.expr(value),
                ast::CallArg::Kwarg(name, _) => self.unsupported(
                    node,
                    format!("the argument `{name}` is given by name"),
                    "give arguments by position: `value | round(2)`",
                ),
                ast::CallArg::PosSplat(_) | ast::CallArg::KwargSplat(_) => {
                    self.unsupported(node, "`*` has no meaning in a call".into(), "write each argument")
                }
            })
            .collect()
    }

    fn arity(&mut self, name: &str, given: usize, least: usize, most: usize, span: Span) {
        if (least..=most).contains(&given) {
            return;
        }
        let wanted = match (least, most) {
            (0, 0) => "no argument".to_string(),
            (1, 1) => "one argument".to_string(),
            (a, b) if a == b => format!("{a} arguments"),
            (a, b) => format!("{a} to {b} arguments"),
        };
        self.refuse(Diagnostic::error(BAD_ARGUMENTS, span, format!("`{name}` takes {wanted}, not {given}")));
    }

    /// Computes what is constant; what cannot be computed is an error now rather than in the run.
    fn constant(&mut self, expr: Expr, node: &ast::Expr<'_>) -> Expr {
        match fold::constant(expr) {
            Ok(expr) => expr,
            Err((expr, error)) => {
                if self.sound {
                    let span = self.span(node);
                    self.refuse(Diagnostic::error(BAD_EXPRESSION, span, error.0));
                }
                expr
            }
        }
    }

    fn unsupported(&mut self, node: &ast::Expr<'_>, message: String, help: &str) -> Expr {
        let span = self.span(node);
        self.refuse(Diagnostic::error(UNSUPPORTED, span, message).help(help))
    }

    fn refuse(&mut self, diagnostic: Diagnostic) -> Expr {
        self.diagnostics.push(diagnostic);
        self.sound = false;
        Expr::Const(Json::Null)
    }

    fn span(&self, node: &ast::Expr<'_>) -> Span {
        self.place_of(&self.range(node))
    }

    /// The bytes of a node. The parser begins some nodes at the token before them.
    fn range(&self, node: &ast::Expr<'_>) -> Range<usize> {
        let span = node.span();
        let own = span.start_offset as usize..span.end_offset as usize;
        let first = match node {
            ast::Expr::GetAttr(attr) => self.range(&attr.expr).start,
            ast::Expr::GetItem(item) => self.range(&item.expr).start,
            ast::Expr::Call(call) => self.range(&call.expr).start,
            ast::Expr::BinOp(op) => self.range(&op.left).start,
            ast::Expr::Compare(compare) => self.range(&compare.expr).start,
            ast::Expr::IfExpr(choice) => self.range(&choice.true_expr).start,
            ast::Expr::Test(test) => self.range(&test.expr).start,
            ast::Expr::Filter(filter) => filter.expr.as_ref().map_or(own.start, |e| self.range(e).start),
            _ => own.start,
        };
        first..own.end.max(first)
    }

    /// The bytes of a filter's name, behind the last `|` of its node.
    fn word(&self, word: &str, node: &ast::Expr<'_>) -> Span {
        let start = node.span().start_offset as usize;
        let found = self.source.get(start..).and_then(|rest| rest.find(word)).map(|i| start + i);
        match found {
            Some(at) => self.place_of(&(at..at + word.len())),
            None => self.span(node),
        }
    }

    fn place_of(&self, range: &Range<usize>) -> Span {
        let end = range.end.min(self.source.len());
        (self.place)(self.offset + range.start.min(end)..self.offset + end)
    }
}

fn did_you_mean(
    diagnostic: Diagnostic,
    name: &str,
    span: Span,
    known: impl Iterator<Item = &'static str> + Clone,
) -> Diagnostic {
    let alias = match name {
        "b64encode" | "base64encode" => Some("base64"),
        "to_json" | "json" => Some("tojson"),
        "zfill" => Some("pad"),
        "uuid" | "uuid4" | "uuid.v4" => Some("random.uuid"),
        "randint" | "random" => Some("random.int"),
        _ => None,
    };
    let closest = known
        .clone()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= 2.max(name.len() / 3));
    match alias.or(closest.map(|(_, candidate)| candidate)) {
        Some(candidate) => diagnostic.help(format!("did you mean `{candidate}`?")).suggest(span, candidate),
        None => diagnostic.help(format!("there are {}", known.collect::<Vec<_>>().join(", "))),
    }
}
