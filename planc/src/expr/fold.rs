//! What is known at compile time becomes constant; literals side by side become one.

use super::{BinaryOp, Expr, Function, Scope, Segment, Template};
use crate::eval::{self, EvalError};
use crate::graph::{Json, JsonTemplate};

/// Constants larger than this stay expressions, so that a graph cannot grow by folding.
const MAX_CONSTANT: usize = 4096;

/// What is known: the value at a path, or nothing.
pub type Known<'a> = &'a dyn Fn(&[String]) -> Option<Json>;

/// Replaces known names in a template and folds what is constant.
pub fn fold(template: Template, known: Known<'_>) -> Template {
    let segments = template.segments.into_iter().map(|segment| match segment {
        Segment::Slot(expr) => Segment::Slot(fold_expr(expr, known)),
        literal => literal,
    });
    merge(segments.collect())
}

/// Replaces known names in an expression and folds what is constant. What fails to evaluate stays as it is.
pub fn fold_expr(expr: Expr, known: Known<'_>) -> Expr {
    let inner = |e: Box<Expr>| Box::new(fold_expr(*e, known));
    let all = |list: Vec<Expr>| list.into_iter().map(|e| fold_expr(e, known)).collect();
    let expr = match expr {
        Expr::Path(path) => match known(&path) {
            Some(value) => Expr::Const(value),
            None => Expr::Path(path),
        },
        Expr::Const(value) => Expr::Const(value),
        Expr::Index(base, key) => Expr::Index(inner(base), inner(key)),
        Expr::Unary(op, value) => Expr::Unary(op, inner(value)),
        Expr::Binary(op, left, right) => Expr::Binary(op, inner(left), inner(right)),
        Expr::Filter(filter, value, args) => Expr::Filter(filter, inner(value), all(args)),
        Expr::Call(function, args) => Expr::Call(function, all(args)),
        Expr::If(condition, yes, no) => Expr::If(inner(condition), inner(yes), inner(no)),
        Expr::List(items) => Expr::List(all(items)),
    };
    constant(expr).unwrap_or_else(|(expr, _)| expr)
}

/// Replaces known names in a JSON template and folds what is constant.
pub fn fold_json(template: JsonTemplate, known: Known<'_>) -> JsonTemplate {
    match template {
        JsonTemplate::Const(value) => JsonTemplate::Const(value),
        JsonTemplate::Text(text) => json_text(fold(text, known)),
        JsonTemplate::Value(expr) => json_value(fold_expr(expr, known)),
        JsonTemplate::List(items) => {
            json_list(items.into_iter().map(|item| fold_json(item, known)).collect())
        }
        JsonTemplate::Map(map) => json_map(map.into_iter().map(|(k, v)| (k, fold_json(v, known))).collect()),
    }
}

/// Computes an expression whose parts are all constant. `Err` has the expression and why it has no value.
pub(super) fn constant(expr: Expr) -> Result<Expr, (Expr, EvalError)> {
    let is_const = |e: &Expr| matches!(e, Expr::Const(_));
    let ready = match &expr {
        Expr::Const(_) | Expr::Path(_) | Expr::Call(..) => false,
        Expr::Index(a, b) | Expr::Binary(_, a, b) => is_const(a) && is_const(b),
        Expr::Unary(_, a) => is_const(a),
        Expr::Filter(_, a, args) => is_const(a) && args.iter().all(is_const),
        Expr::List(items) => items.iter().all(is_const),
        Expr::If(condition, ..) => {
            if let Expr::Const(value) = condition.as_ref() {
                let yes = eval::truthy(value);
                let Expr::If(_, a, b) = expr else { return Ok(expr) };
                return Ok(if yes { *a } else { *b });
            }
            false
        }
    };
    if !ready {
        return Ok(expr);
    }
    match eval::eval(&expr, &Nothing) {
        Ok(value) if value.to_string().len() <= MAX_CONSTANT => Ok(Expr::Const(value)),
        Ok(_) => Ok(expr),
        Err(error) => Err((expr, error)),
    }
}

/// Segments with constants as literals, concatenations split, and no two literals side by side.
pub(super) fn merge(segments: Vec<Segment>) -> Template {
    let mut merged: Vec<Segment> = Vec::new();
    let mut pending: Vec<Segment> = segments.into_iter().rev().collect();
    while let Some(segment) = pending.pop() {
        let text = match segment {
            // `~` writes both sides as text, as two segments do.
            Segment::Slot(Expr::Binary(BinaryOp::Concat, left, right)) => {
                pending.push(Segment::Slot(*right));
                pending.push(Segment::Slot(*left));
                continue;
            }
            Segment::Slot(Expr::Const(value)) => eval::to_text(&value),
            Segment::Literal(text) => text,
            slot => {
                merged.push(slot);
                continue;
            }
        };
        match merged.last_mut() {
            _ if text.is_empty() => {}
            Some(Segment::Literal(last)) => last.push_str(&text),
            _ => merged.push(Segment::Literal(text)),
        }
    }
    Template { segments: merged }
}

pub(super) fn json_text(text: Template) -> JsonTemplate {
    match text.as_literal() {
        Some(literal) => JsonTemplate::Const(literal.into()),
        None => JsonTemplate::Text(text),
    }
}

pub(super) fn json_value(expr: Expr) -> JsonTemplate {
    match expr {
        Expr::Const(value) => JsonTemplate::Const(value),
        expr => JsonTemplate::Value(expr),
    }
}

pub(super) fn json_list(items: Vec<JsonTemplate>) -> JsonTemplate {
    let constants = items.iter().map(as_const).collect::<Option<Vec<Json>>>();
    constants.map_or_else(|| JsonTemplate::List(items), |values| JsonTemplate::Const(Json::Array(values)))
}

pub(super) fn json_map(map: std::collections::BTreeMap<String, JsonTemplate>) -> JsonTemplate {
    let constants = map.iter().map(|(k, v)| Some((k.clone(), as_const(v)?))).collect::<Option<_>>();
    constants.map_or_else(|| JsonTemplate::Map(map), |object| JsonTemplate::Const(Json::Object(object)))
}

fn as_const(template: &JsonTemplate) -> Option<Json> {
    match template {
        JsonTemplate::Const(value) => Some(value.clone()),
        _ => None,
    }
}

impl Template {
    /// Calls `see` with the path of every name in it.
    pub fn paths(&self, see: &mut dyn FnMut(&[String])) {
        for segment in &self.segments {
            if let Segment::Slot(expr) = segment {
                expr.paths(see);
            }
        }
    }

    /// Calls `see` with every function called in it.
    pub fn calls(&self, see: &mut dyn FnMut(Function)) {
        for segment in &self.segments {
            if let Segment::Slot(expr) = segment {
                expr.calls(see);
            }
        }
    }
}

impl Expr {
    /// Calls `see` with the path of every name in it.
    pub fn paths(&self, see: &mut dyn FnMut(&[String])) {
        self.walk(&mut |expr| {
            if let Expr::Path(path) = expr {
                see(path);
            }
        });
    }

    /// Calls `see` with every function called in it.
    pub fn calls(&self, see: &mut dyn FnMut(Function)) {
        self.walk(&mut |expr| {
            if let Expr::Call(function, _) = expr {
                see(*function);
            }
        });
    }

    /// Calls `see` with this expression and every part of it, outer ones first.
    pub fn walk(&self, see: &mut dyn FnMut(&Expr)) {
        see(self);
        match self {
            Expr::Const(_) | Expr::Path(_) => {}
            Expr::Unary(_, a) => a.walk(see),
            Expr::Index(a, b) | Expr::Binary(_, a, b) => {
                a.walk(see);
                b.walk(see);
            }
            Expr::If(a, b, c) => {
                a.walk(see);
                b.walk(see);
                c.walk(see);
            }
            Expr::Filter(_, value, args) => {
                value.walk(see);
                args.iter().for_each(|arg| arg.walk(see));
            }
            Expr::Call(_, items) | Expr::List(items) => items.iter().for_each(|item| item.walk(see)),
        }
    }
}

impl JsonTemplate {
    /// Calls `see` with the path of every name in it.
    pub fn paths(&self, see: &mut dyn FnMut(&[String])) {
        match self {
            JsonTemplate::Const(_) => {}
            JsonTemplate::Text(text) => text.paths(see),
            JsonTemplate::Value(expr) => expr.paths(see),
            JsonTemplate::List(items) => items.iter().for_each(|item| item.paths(see)),
            JsonTemplate::Map(map) => map.values().for_each(|value| value.paths(see)),
        }
    }

    /// Calls `see` with every function called in it.
    pub fn calls(&self, see: &mut dyn FnMut(Function)) {
        match self {
            JsonTemplate::Const(_) => {}
            JsonTemplate::Text(text) => text.calls(see),
            JsonTemplate::Value(expr) => expr.calls(see),
            JsonTemplate::List(items) => items.iter().for_each(|item| item.calls(see)),
            JsonTemplate::Map(map) => map.values().for_each(|value| value.calls(see)),
        }
    }
}

/// The scope of constants.
struct Nothing;

impl Scope for Nothing {
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
