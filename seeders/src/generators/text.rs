//! Text with slots, with a short way for what nearly every fixture uses: `{{ n }}`, `{{ n | pad(5) }}` and other
//! columns. Everything else goes through `planc::eval`.

use super::{Cell, Context};
use crate::rows::{RowScope, RowSource};
use planc::eval;
use planc::expr::{Expr, Filter, Function, Segment, Template};
use planc::graph::{Generator, Json, JsonTemplate};
use std::fmt::Write;

/// A compiled template.
#[derive(Debug, Clone)]
pub(crate) struct Text(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Literal(String),
    Number,
    Padded(usize),
    Column(usize),
    /// A column of the parent's row.
    Parent(usize),
    Other(Expr),
}

impl Text {
    pub(crate) fn new(template: &Template, context: &Context<'_>) -> Text {
        let piece = |segment: &Segment| match segment {
            Segment::Literal(text) => Piece::Literal(text.clone()),
            Segment::Slot(expr) => short(expr, context),
        };
        Text(template.segments.iter().map(piece).collect())
    }

    pub(crate) fn render(&self, scope: &RowScope<'_>) -> Result<String, String> {
        let mut out = String::with_capacity(32);
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Number => drop(write!(out, "{}", scope.number())),
                Piece::Padded(width) => drop(write!(out, "{:0width$}", scope.number(), width = *width)),
                Piece::Column(index) => push(scope.cell(*index), &mut out),
                Piece::Parent(index) => push(&scope.parent_cell(*index)?, &mut out),
                Piece::Other(expr) => {
                    out.push_str(&eval::to_text(&eval::eval(expr, scope).map_err(|e| e.0)?))
                }
            }
        }
        Ok(out)
    }
}

fn push(cell: &Cell, out: &mut String) {
    match cell {
        Cell::Json(Json::String(text)) => out.push_str(text),
        cell => out.push_str(&eval::to_text(&cell.to_json())),
    }
}

fn short(expr: &Expr, context: &Context<'_>) -> Piece {
    let is_number = |expr: &Expr| matches!(expr, Expr::Path(path) if path.len() == 1 && path[0] == "n");
    match expr {
        expr if is_number(expr) => Piece::Number,
        Expr::Path(path) if path.len() == 1 => {
            match context.columns.iter().position(|column| *column == path[0]) {
                Some(index) => Piece::Column(index),
                None => Piece::Other(expr.clone()),
            }
        }
        Expr::Path(path) if path.len() == 2 && path[0] == "parent" && path[1] != "n" => {
            let columns = context.parents.map_or(&[][..], RowSource::columns);
            match columns.iter().position(|column| *column == path[1]) {
                Some(index) => Piece::Parent(index),
                None => Piece::Other(expr.clone()),
            }
        }
        Expr::Filter(Filter::Pad, inner, args) if is_number(inner) => match args.as_slice() {
            [Expr::Const(width)] if width.as_u64().is_some_and(|width| width <= 40) => {
                Piece::Padded(width.as_u64().unwrap_or(0) as usize)
            }
            _ => Piece::Other(expr.clone()),
        },
        _ => Piece::Other(expr.clone()),
    }
}

/// What a template looks at: paths, and whether it asks for the time.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    pub(crate) paths: Vec<Vec<String>>,
    pub(crate) now: bool,
}

/// Adds what a template looks at.
pub(crate) fn uses_of_template(template: &Template, uses: &mut Uses) {
    template.paths(&mut |path| uses.paths.push(path.to_vec()));
    template.calls(&mut |function| uses.now |= matches!(function, Function::Now));
}

/// Adds what a JSON template looks at.
fn uses_of_json(template: &JsonTemplate, uses: &mut Uses) {
    template.paths(&mut |path| uses.paths.push(path.to_vec()));
    template.calls(&mut |function| uses.now |= matches!(function, Function::Now));
}

/// What a generator's templates look at.
pub(crate) fn uses_of(generator: &Generator, uses: &mut Uses) {
    match generator {
        Generator::Value(value) | Generator::References { value, .. } => uses_of_json(value, uses),
        Generator::BeforeNow(text) | Generator::AfterNow(text) | Generator::Password { text, .. } => {
            uses_of_template(text, uses);
        }
        Generator::Sha256 { text, key } => {
            uses_of_template(text, uses);
            key.iter().for_each(|key| uses_of_template(key, uses));
        }
        Generator::Weighted(_)
        | Generator::Integer { .. }
        | Generator::Decimal { .. }
        | Generator::TimeWithin { .. }
        | Generator::Uuid
        | Generator::UuidV7
        | Generator::Fake { .. }
        | Generator::Hex { .. }
        | Generator::Fixture { .. }
        | Generator::Record(_) => {}
    }
}
