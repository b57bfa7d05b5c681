//! `'%05d' % n`: Python's formatting as filters.

use super::{BinaryOp, Expr, Filter};
use crate::graph::Json;

/// Lowers a format and its values. The error is a message.
pub(super) fn lower(text: &str, values: Vec<Expr>) -> Result<Expr, String> {
    let wanted = values.len();
    let mut values = values.into_iter();
    let mut parts: Vec<Expr> = Vec::new();
    let mut literal = String::new();
    let mut used = 0;
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        literal.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (width, tail) = rest.split_at(end);
        let Some(kind) = tail.chars().next() else { return Err("a format that ends with `%`".into()) };
        rest = &tail[kind.len_utf8()..];
        if kind == '%' && width.is_empty() {
            literal.push('%');
            continue;
        }
        let width = match (kind, width) {
            ('d' | 's', "") => None,
            ('d', zeros) if zeros.starts_with('0') && zeros.len() <= 4 => zeros.parse::<u32>().ok(),
            _ => return Err(format!("the format `%{width}{kind}` is not known")),
        };
        used += 1;
        let Some(value) = values.next() else { continue };
        if !literal.is_empty() {
            parts.push(Expr::Const(Json::String(std::mem::take(&mut literal))));
        }
        let filter = if kind == 'd' { Filter::Int } else { Filter::String };
        let value = Expr::Filter(filter, Box::new(value), Vec::new());
        parts.push(match width {
            Some(width) => Expr::Filter(Filter::Pad, Box::new(value), vec![Expr::Const(width.into())]),
            None => value,
        });
    }
    literal.push_str(rest);
    if used != wanted {
        return Err(format!("the format takes {used} values, not {wanted}"));
    }
    if !literal.is_empty() {
        parts.push(Expr::Const(Json::String(literal)));
    }
    let joined = parts.into_iter().reduce(|a, b| Expr::Binary(BinaryOp::Concat, Box::new(a), Box::new(b)));
    Ok(joined.unwrap_or(Expr::Const(Json::String(String::new()))))
}
