//! Where a column's values come from, names looked up and bounds checked.

use super::Resolver;
use super::fixtures::captures;
use super::scope::{Scope, Shape};
use crate::ast::{self, Generator, PasswordScheme, Text, Typed};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph;
use crate::near::nearest;
use crate::source::Span;
use crate::units::grouped;

/// What OWASP's cheat sheet on password storage asks for at least: bcrypt with a cost of 10, Argon2id with 19 MiB and
/// two passes.
const COST: u32 = 10;
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// Argon2 needs 8 KiB for its lane; more than 1 GiB or 31 rounds of bcrypt are a slip of the finger.
const MEMORY_RANGE: std::ops::RangeInclusive<u32> = 8..=1 << 20;
const COST_RANGE: std::ops::RangeInclusive<u32> = 4..=20;

/// The ledger keeps every value of a sample.
const SAMPLE_RANGE: std::ops::RangeInclusive<u32> = 1..=10_000;

impl Resolver<'_> {
    pub(super) fn generator(&mut self, generator: &Generator, scope: &Scope) -> Option<graph::Generator> {
        Some(match generator {
            Generator::Broken => return None,
            Generator::Value(json) => graph::Generator::Value(self.json(json, scope)),
            Generator::Weighted(values) => graph::Generator::Weighted(values.clone()),
            Generator::Integer(from, to) => {
                let (from, to) = (self.typed(from), self.typed(to).map(|value| (value, to.span())));
                let (from, (to, span)) = (from?, to?);
                self.ordered(from <= to, span)?;
                graph::Generator::Integer { from, to }
            }
            Generator::Decimal(from, to) => {
                let (from, to) = (self.typed(from), self.typed(to).map(|value| (value, to.span())));
                let (from, (to, span)) = (from?, to?);
                self.ordered(from <= to, span)?;
                graph::Generator::Decimal { from, to }
            }
            Generator::BeforeNow(text) => graph::Generator::BeforeNow(self.text(text, scope)),
            Generator::AfterNow(text) => graph::Generator::AfterNow(self.text(text, scope)),
            Generator::TimeWithin { from, to, past } => {
                let (from, to) = (self.typed(from), self.typed(to).map(|value| (value, to.span())));
                let (from, (to, span)) = (from?, to?);
                self.ordered(from < to, span)?;
                graph::Generator::TimeWithin { from, to, past: *past }
            }
            Generator::Uuid => graph::Generator::Uuid,
            Generator::UuidV7 => graph::Generator::UuidV7,
            Generator::Fake(kind) => graph::Generator::Fake { kind: kind.value, numbered: false },
            Generator::Sha256(text, key) => graph::Generator::Sha256 {
                text: self.text(text, scope),
                key: key.as_ref().map(|key| self.text(key, scope)),
            },
            Generator::Password(text, scheme) => {
                self.once_for_all(text)?;
                let (scope, scheme) = (self.inputs_scope(), self.scheme(scheme)?);
                graph::Generator::Password { text: self.text(text, &scope), scheme }
            }
            Generator::Hex(length) => {
                let (value, span) = (self.typed(length)?, length.span());
                if !(1..=4096).contains(&value) {
                    self.error(codes::BAD_VALUE, span, "the length is from 1 to 4096 characters");
                    return None;
                }
                graph::Generator::Hex { length: value }
            }
            Generator::References { table, column, value } => graph::Generator::References {
                table: table.clone(),
                column: column.clone(),
                value: self.json(value, scope),
            },
            Generator::Sample { table, column, size, .. } => {
                let (value, span) = (self.typed(size)?, size.span());
                let fits = SAMPLE_RANGE.contains(&value);
                self.bounded(fits, Some(span), "a sample has from 1 to 10,000 values")?;
                let (table, column) = (table.clone(), column.clone());
                graph::Generator::Sample { table, column, size: value, values: Vec::new() }
            }
            Generator::Fixture { fixture, column, random } => {
                self.used.fixtures.insert(fixture.value.clone());
                self.parent_column(fixture, column);
                graph::Generator::Fixture {
                    fixture: fixture.value.clone(),
                    column: column.value.clone(),
                    random: *random,
                }
            }
        })
    }

    pub(super) fn ordered(&mut self, ordered: bool, span: Span) -> Option<()> {
        if !ordered {
            self.error(codes::BAD_VALUE, span, "`to` lies before `from`");
        }
        ordered.then_some(())
    }

    fn parent_column(&mut self, fixture: &ast::Word, column: &ast::Word) {
        let Some(shape) = self.columns.get(&fixture.value) else {
            let names: Vec<String> = self.columns.keys().cloned().collect();
            return self.unknown("fixture", fixture, names.iter().map(String::as_str));
        };
        let Shape::Fields(fields) = shape else { return };
        if fields.contains_key(&column.value) {
            let own = self.plan.fixtures.iter().find(|it| it.name.value == fixture.value);
            if own.is_some_and(|own| captures(own, &column.value)) {
                let name = &column.value;
                let message =
                    format!("`{name}` is told by the service and can be no column of another fixture");
                self.diagnostics.push(
                    Diagnostic::error(codes::UNKNOWN_REFERENCE, column.span, message)
                        .help("scenarios can draw it: `draw: { row: … }`"),
                );
            }
            return;
        }
        let message = format!("fixture `{}` has no column `{}`", fixture.value, column.value);
        let diagnostic = Diagnostic::error(codes::UNKNOWN_REFERENCE, column.span, message);
        let near = nearest(&column.value, fields.keys().map(String::as_str));
        self.diagnostics.push(match near {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")).suggest(column.span, near),
            None => diagnostic,
        });
    }

    /// One hash for all rows cannot hang on a row.
    fn once_for_all(&mut self, text: &Text) -> Option<()> {
        let own = |name: &&crate::expr::NameUse| name.path.first().is_some_and(|root| root != "inputs");
        let Some(used) = text.parsed.uses.iter().find(own) else { return Some(()) };
        let message =
            format!("the hash is made once for all rows, and `{}` is another in each", used.path.join("."));
        self.diagnostics.push(Diagnostic::error(codes::BAD_VALUE, used.span, message).help(
            "give all rows the same password, from `inputs` or as it is; `sha256` hashes each row's own text",
        ));
        None
    }

    fn scheme(&mut self, scheme: &PasswordScheme) -> Option<graph::PasswordScheme> {
        Some(match scheme {
            PasswordScheme::Bcrypt { cost } => {
                let value = self.typed_or(cost.as_ref(), COST);
                self.bounded(
                    COST_RANGE.contains(&value),
                    cost.as_ref().map(Typed::span),
                    "the cost is from 4 to 20",
                )?;
                graph::PasswordScheme::Bcrypt { cost: value }
            }
            PasswordScheme::Argon2id { memory, passes } => {
                let value = memory.as_ref().and_then(|memory| self.typed(memory));
                let kib = value.map_or(MEMORY, |bytes| u32::try_from(bytes.0 / 1024).unwrap_or(u32::MAX));
                let place = memory.as_ref().map(Typed::span);
                self.bounded(MEMORY_RANGE.contains(&kib), place, "the memory is from 8KiB to 1GiB")?;
                let turns = self.typed_or(passes.as_ref(), PASSES);
                let place = passes.as_ref().map(Typed::span);
                self.bounded((1..=100).contains(&turns), place, "the passes are from 1 to 100")?;
                graph::PasswordScheme::Argon2id { memory: kib, passes: turns }
            }
        })
    }

    fn bounded(&mut self, is: bool, span: Option<Span>, message: &str) -> Option<()> {
        if let (false, Some(span)) = (is, span) {
            self.error(codes::BAD_VALUE, span, message);
        }
        is.then_some(())
    }

    /// Whether so many words of a kind can be told apart by the row's number.
    pub(super) fn countable(&mut self, kind: graph::Fake, span: Span, rows: u64) {
        let name = graph::Fake::NAMES.iter().find(|(_, other)| *other == kind).map_or("", |(name, _)| name);
        let message = match kind.most() {
            Some(most) if rows <= most => return,
            Some(most) => format!("there are {} of `{name}`, and {} rows", grouped(most), grouped(rows)),
            None => format!("`{name}` cannot be unique: a number has no place in it"),
        };
        self.diagnostics.push(
            Diagnostic::error(codes::NOT_UNIQUE, span, message)
                .help("leave `unique` out, or make a column of your own from it and `{{ n }}`"),
        );
    }
}
