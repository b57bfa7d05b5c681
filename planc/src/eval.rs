//! Evaluation of expressions: pure, total, bounded.

use crate::expr::{Expr, Scope, Template};
use crate::graph::{Json, JsonTemplate};

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalError(pub String);

/// Evaluates an expression.
pub fn eval(expr: &Expr, scope: &dyn Scope) -> Result<Json, EvalError> {
    let _ = (expr, scope);
    Err(EvalError("not yet".into()))
}

/// Renders a template as text, appending to `out`.
pub fn render_into(template: &Template, scope: &dyn Scope, out: &mut String) -> Result<(), EvalError> {
    let _ = (template, scope, out);
    Err(EvalError("not yet".into()))
}

/// Renders a template as text.
pub fn render(template: &Template, scope: &dyn Scope) -> Result<String, EvalError> {
    let mut out = String::new();
    render_into(template, scope, &mut out)?;
    Ok(out)
}

/// Builds a JSON value from its template.
pub fn json(template: &JsonTemplate, scope: &dyn Scope) -> Result<Json, EvalError> {
    let _ = (template, scope);
    Err(EvalError("not yet".into()))
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
