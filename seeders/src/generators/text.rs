//! Text with slots, with a short way for what nearly every fixture uses: `{{ n }}`, `{{ n | pad(5) }}` and other
//! columns. Everything else goes through `planc::eval`.

use super::{Cell, Context, Whole};
use crate::rows::{RowScope, RowSource};
use planc::eval;
use planc::expr::{Expr, Filter, Function, Segment, Template};
use planc::graph::{Generator, Json, JsonTemplate};

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
    Whole(Whole),
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

    /// Appends the text of a row.
    pub(crate) fn render(&self, scope: &RowScope<'_>, out: &mut String) -> Result<(), String> {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Number => push_number(scope.number(), 0, out),
                Piece::Padded(width) => push_number(scope.number(), *width, out),
                Piece::Column(index) => push(scope.cell(*index), out),
                Piece::Parent(index) => push(&scope.parent_cell(*index)?, out),
                Piece::Whole(whole) => match whole.json(scope)? {
                    Json::Number(number) if number.is_u64() => {
                        push_number(number.as_u64().unwrap_or_default(), 0, out);
                    }
                    other => out.push_str(&eval::to_text(&other)),
                },
                Piece::Other(expr) => match eval::eval(expr, scope).map_err(|e| e.0)? {
                    Json::String(text) => out.push_str(&text),
                    other => out.push_str(&eval::to_text(&other)),
                },
            }
        }
        Ok(())
    }
}

impl Text {
    /// As many characters as the text of a row has at most, where that can be told; `column` tells it of a column.
    pub(crate) fn most_chars(&self, rows: u64, column: &dyn Fn(usize) -> Option<usize>) -> Option<usize> {
        let digits = rows.max(1).ilog10() as usize + 1;
        let piece = |piece: &Piece| match piece {
            Piece::Literal(text) => Some(text.chars().count()),
            Piece::Number => Some(digits),
            Piece::Padded(width) => Some(digits.max(*width)),
            Piece::Column(index) => column(*index),
            Piece::Parent(_) | Piece::Whole(_) | Piece::Other(_) => None,
        };
        self.0.iter().map(piece).sum()
    }
}

/// The longest number in digits, and the widest that is padded.
const DIGITS: usize = 40;

/// Appends a number of at least so many digits.
fn push_number(mut number: u64, width: usize, out: &mut String) {
    let mut digits = [b'0'; DIGITS];
    let mut at = DIGITS;
    while number > 0 || at == DIGITS {
        at -= 1;
        digits[at] += (number % 10) as u8;
        number /= 10;
    }
    let at = at.min(DIGITS - width.min(DIGITS));
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
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
            [Expr::Const(width)] if width.as_u64().is_some_and(|width| width <= DIGITS as u64) => {
                Piece::Padded(width.as_u64().unwrap_or(0) as usize)
            }
            _ => Piece::Other(expr.clone()),
        },
        _ => match Whole::new(expr) {
            Some(whole) => Piece::Whole(whole),
            None => Piece::Other(expr.clone()),
        },
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
        | Generator::Sample { .. }
        | Generator::Fixture { .. }
        | Generator::Record(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (number, width) in
            [(0, 0), (0, 3), (7, 1), (42, 5), (12_345, 2), (u64::MAX, 0), (u64::MAX, 40), (1, 40)]
        {
            let mut out = String::from("x");
            push_number(number, width, &mut out);
            assert_eq!(out, format!("x{number:0width$}"));
        }
    }
}
