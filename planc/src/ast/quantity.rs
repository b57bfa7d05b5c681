//! Values with a unit, written out or as a template.

use super::Text;
use crate::source::{Span, Spanned};
use crate::units::{self, Fixed, PartsPerMillion, Rate, UnitError};
use std::time::Duration;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

/// A value of a typed position: as written, or a template over inputs that is read once they are known.
#[derive(Debug, Clone)]
pub(crate) enum Typed<T> {
    Given(Spanned<T>),
    Template(Text),
    /// Reported already.
    Broken(Span),
}

impl<T> Typed<T> {
    pub(crate) fn span(&self) -> Span {
        match self {
            Typed::Given(value) => value.span,
            Typed::Template(text) => text.span,
            Typed::Broken(span) => *span,
        }
    }
}

/// What can stand in a typed position.
pub(crate) trait Quantity: Sized + Clone {
    /// `a duration`, for messages.
    const WHAT: &'static str;
    fn read(text: &str) -> Result<Self, UnitError>;
}

fn not_a(text: &str, what: &str) -> UnitError {
    UnitError { message: format!("`{text}` is not {what}"), suggestion: None }
}

impl Quantity for Duration {
    const WHAT: &'static str = "a duration";
    fn read(text: &str) -> Result<Self, UnitError> {
        units::parse_duration(text)
    }
}

impl Quantity for Rate {
    const WHAT: &'static str = "a rate";
    fn read(text: &str) -> Result<Self, UnitError> {
        // `fast` lacks more than a unit.
        units::parse_rate(text).map_err(|error| {
            match text.contains('/') || units::parse_fixed(text).is_ok() {
                true => error,
                false => UnitError { suggestion: Some("50/s".into()), ..not_a(text, "a rate") },
            }
        })
    }
}

impl Quantity for PartsPerMillion {
    const WHAT: &'static str = "a share";
    fn read(text: &str) -> Result<Self, UnitError> {
        units::parse_share(text)
    }
}

impl Quantity for Bytes {
    const WHAT: &'static str = "a size";
    fn read(text: &str) -> Result<Self, UnitError> {
        units::parse_size(text).map(Bytes)
    }
}

impl Quantity for Fixed {
    const WHAT: &'static str = "a number";
    fn read(text: &str) -> Result<Self, UnitError> {
        units::parse_fixed(text)
    }
}

impl Quantity for i64 {
    const WHAT: &'static str = "a whole number";
    fn read(text: &str) -> Result<Self, UnitError> {
        units::parse_integer(text)
    }
}

impl Quantity for u64 {
    const WHAT: &'static str = "a whole number";
    fn read(text: &str) -> Result<Self, UnitError> {
        let value = units::parse_integer(text)?;
        u64::try_from(value).map_err(|_| not_a(text, "a whole number from 0 on"))
    }
}

impl Quantity for u32 {
    const WHAT: &'static str = "a whole number";
    fn read(text: &str) -> Result<Self, UnitError> {
        let value = units::parse_integer(text)?;
        u32::try_from(value).map_err(|_| not_a(text, "a whole number from 0 to 4294967295"))
    }
}

impl Quantity for bool {
    const WHAT: &'static str = "`true` or `false`";
    fn read(text: &str) -> Result<Self, UnitError> {
        match text.trim() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(not_a(text, "`true` or `false`")),
        }
    }
}

impl Quantity for String {
    const WHAT: &'static str = "a text";
    fn read(text: &str) -> Result<Self, UnitError> {
        Ok(text.to_string())
    }
}
