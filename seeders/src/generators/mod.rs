//! One file per group of generators. A [`Maker`] is a column's generator, compiled once: templates are cut into
//! pieces, weights summed up, keys hashed.

mod fake;
mod hashes;
mod random;
mod reference;
mod text;
mod time;
mod tree;
mod whole;

use crate::hash;
use crate::rows::{RowScope, RowSource};
use planc::graph::{Fake, Generator, Json, JsonTemplate};
use std::sync::Arc;

pub(crate) use text::{Text, Uses, uses_of, uses_of_template};
pub(crate) use time::{civil_from_days, days_from_civil, rfc3339};
use tree::{Tree, empty_text};
use whole::Whole;

/// A generated value before it becomes JSON or the bytes of a Postgres type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// A JSON value; texts are here too.
    Json(Json),
    /// Microseconds since 1970, UTC.
    Micros(i64),
    /// A decimal in millionths.
    Fixed(i64),
    /// A UUID.
    Uuid(u128),
    /// 32 bytes: hexadecimal unless the column holds bytes.
    Digest([u8; 32]),
}

impl Cell {
    pub(crate) const NULL: Cell = Cell::Json(Json::Null);

    /// An empty text to write into, in the memory of the text that was there.
    pub(crate) fn text(&mut self) -> &mut String {
        empty_text(self.json())
    }

    /// The JSON value to write into.
    fn json(&mut self) -> &mut Json {
        if !matches!(self, Cell::Json(_)) {
            *self = Cell::NULL;
        }
        let Cell::Json(value) = self else { unreachable!("it was made one") };
        value
    }

    /// The same as cloning another, in the memory of the text that was there.
    pub(crate) fn copy_from(&mut self, other: &Cell) {
        match other {
            Cell::Json(Json::String(text)) => self.text().push_str(text),
            other => *self = other.clone(),
        }
    }

    /// The value as a row of JSON shows it: times are RFC 3339 in UTC with microseconds.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Cell::Json(value) => value.clone(),
            Cell::Micros(micros) => Json::String(rfc3339(*micros)),
            Cell::Fixed(millionths) if millionths % 1_000_000 == 0 => Json::from(millionths / 1_000_000),
            Cell::Fixed(millionths) => Json::from(*millionths as f64 / 1_000_000.0),
            Cell::Uuid(bits) => Json::String(uuid::Uuid::from_u128(*bits).to_string()),
            Cell::Digest(bytes) => Json::String(hex(bytes)),
        }
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A column's generator, ready to make values.
#[derive(Debug, Clone)]
pub(crate) struct Maker {
    /// Key of its draws.
    pub(crate) key: u64,
    /// The way.
    pub(crate) how: How,
}

/// The way a value is made.
#[derive(Debug, Clone)]
pub(crate) enum How {
    /// Always the same.
    Const(Cell),
    /// Text with slots.
    Text(Text),
    /// One expression, its type kept.
    Value(planc::expr::Expr),
    /// Arithmetic on the row's number.
    Whole(Whole),
    /// A list or an object with slots.
    Tree(Tree),
    /// By weight: cumulated weights and values.
    Weighted(Vec<(u64, Cell)>),
    /// `from` and the number of whole numbers.
    Integer(i64, u128),
    /// `from` in millionths and the number of steps.
    Decimal(i64, u128),
    /// Base time and an offset rendered as a duration; true is before.
    Offset(Text, bool),
    /// Base time and a constant offset in microseconds.
    FixedOffset(i64),
    /// Base time and a drawn offset: smallest, span, past.
    Within(i64, u128, bool),
    /// Version 4 shaped.
    Uuid,
    /// Version 7 shaped, in the order of the rows.
    UuidV7,
    /// Words of a kind; true is with the row's number.
    Fake(Fake, bool),
    /// SHA-256 of a text, or its HMAC under a key.
    Digest(Text, Option<Text>),
    /// A password's hash, made once for all rows.
    Password(Arc<hashes::Password>),
    /// So many hexadecimal digits.
    Hex(usize),
    /// Another fixture's column.
    Other(Arc<RowSource>, usize, bool),
    /// Values of another table, of which each row draws one; none before they are known.
    Sample(Arc<Vec<Json>>),
    /// Given values, one a row.
    Record(Arc<Vec<Json>>),
}

/// What templates of a fixture may name.
pub(crate) struct Context<'a> {
    /// Its columns; those that are hidden behind another name are empty.
    pub(crate) columns: &'a [&'a str],
    /// The rows that its own belong to.
    pub(crate) parents: Option<&'a RowSource>,
}

impl Maker {
    /// Compiles a generator. `other` makes the row source of another fixture.
    pub(crate) fn new(
        generator: &Generator,
        key: u64,
        context: &Context<'_>,
        other: &mut dyn FnMut(&str) -> Result<Arc<RowSource>, String>,
    ) -> Result<Maker, String> {
        let how = match generator {
            Generator::Value(value) | Generator::References { value, .. } => value_way(value, context),
            Generator::Weighted(branches) => random::weighted(branches)?,
            Generator::Integer { from, to } => random::integer(*from, *to)?,
            Generator::Decimal { from, to } => random::decimal(from.0, to.0)?,
            Generator::BeforeNow(offset) => time::offset(offset, true, context)?,
            Generator::AfterNow(offset) => time::offset(offset, false, context)?,
            Generator::TimeWithin { from, to, past } => time::within(*from, *to, *past)?,
            Generator::Uuid => How::Uuid,
            Generator::UuidV7 => How::UuidV7,
            Generator::Fake { kind, numbered } => How::Fake(*kind, *numbered),
            Generator::Sha256 { text, key } => {
                How::Digest(Text::new(text, context), key.as_ref().map(|key| Text::new(key, context)))
            }
            Generator::Password { text, scheme } => {
                How::Password(Arc::new(hashes::Password::new(Text::new(text, context), *scheme, key)))
            }
            Generator::Hex { length } => How::Hex(*length as usize),
            Generator::Sample { values, .. } => How::Sample(Arc::new(values.clone())),
            Generator::Fixture { fixture, column, random } => {
                reference::other(other(fixture)?, fixture, column, *random)?
            }
            Generator::Record(values) => How::Record(Arc::new(values.clone())),
        };
        Ok(Maker { key, how })
    }

    /// Makes the value of row `n` into `cell`, whose memory it takes over; `scope` sees the columns that this one needs.
    pub(crate) fn make(
        &self,
        n: u64,
        base: i64,
        scope: &RowScope<'_>,
        cell: &mut Cell,
    ) -> Result<(), String> {
        match &self.how {
            How::Const(constant) => cell.copy_from(constant),
            How::Text(text) => text.render(scope, cell.text())?,
            How::Value(expr) => *cell = Cell::Json(planc::eval::eval(expr, scope).map_err(|e| e.0)?),
            How::Whole(whole) => *cell = Cell::Json(whole.json(scope)?),
            How::Tree(tree) => tree.fill(scope, cell.json())?,
            How::Weighted(branches) => {
                cell.copy_from(random::choose(branches, hash::draw(self.key, n, 0)));
            }
            How::Integer(from, span) => *cell = random::whole(*from, *span, hash::draw(self.key, n, 0)),
            How::Decimal(from, span) => *cell = random::fixed(*from, *span, hash::draw(self.key, n, 0)),
            How::Offset(text, past) => *cell = time::rendered(text, *past, base, scope)?,
            How::FixedOffset(micros) => *cell = time::moved(base, *micros)?,
            How::Within(from, span, past) => {
                *cell = time::drawn(base, *from, *span, *past, hash::draw(self.key, n, 0))?;
            }
            How::Uuid => *cell = Cell::Uuid(hash::uuid(self.key, n)),
            How::UuidV7 => *cell = Cell::Uuid(hash::uuid_v7(self.key, n)),
            How::Fake(kind, numbered) => *cell = fake::value(*kind, *numbered, self.key, n)?,
            How::Digest(text, key) => *cell = hashes::digest(text, key.as_ref(), scope)?,
            How::Password(password) => cell.copy_from(password.hash(scope)?),
            How::Hex(length) => hash::push_hex(self.key, n, *length, cell.text()),
            How::Other(source, column, random) => {
                *cell = reference::value(source, *column, *random, self.key, n)?;
            }
            How::Sample(values) => *cell = reference::drawn(values, self.key, n)?,
            How::Record(values) => *cell = reference::record(values, n)?,
        }
        Ok(())
    }
}

fn value_way(value: &JsonTemplate, context: &Context<'_>) -> How {
    match value {
        JsonTemplate::Const(json) => How::Const(Cell::Json(json.clone())),
        JsonTemplate::Text(template) => match template.as_literal() {
            Some(text) => How::Const(Cell::Json(Json::String(text.into()))),
            None => How::Text(Text::new(template, context)),
        },
        JsonTemplate::Value(expr) => match Whole::new(expr) {
            Some(whole) => How::Whole(whole),
            None => How::Value(expr.clone()),
        },
        JsonTemplate::List(_) | JsonTemplate::Map(_) => How::Tree(Tree::new(value, context)),
    }
}
