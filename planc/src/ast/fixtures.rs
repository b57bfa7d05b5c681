//! Fixtures: rows, accounts, scripts, and where their values come from.

use super::{Bytes, Check, Request, Text, Typed, Word};
use crate::expr::Parsed;
use crate::graph::{self, Json, JsonTemplate};
use crate::source::{Span, Spanned};
use crate::units::{Fixed, Rate};
use std::time::Duration;

/// One entry of `fixtures:`.
#[derive(Debug, Clone)]
pub(crate) struct FixtureUse {
    pub(crate) name: Word,
    pub(crate) from: Option<Word>,
    pub(crate) rows: Option<Typed<u64>>,
    pub(crate) on_conflict: Option<Spanned<graph::OnConflict>>,
    /// What the plan says beside `from`.
    pub(crate) after: Vec<Word>,
    /// The definition, inline or read from `from`; `None` when it could not be read, and reported.
    pub(crate) definition: Option<Fixture>,
}

impl FixtureUse {
    /// Names of fixtures that are to be seeded first, the plan's own and those of the definition.
    pub(crate) fn afters(&self) -> impl Iterator<Item = &Word> {
        self.after.iter().chain(self.definition.iter().flat_map(|definition| &definition.after))
    }
}

/// A fixture as defined inline or in its own file.
#[derive(Debug, Clone)]
pub(crate) struct Fixture {
    pub(crate) span: Span,
    pub(crate) name: Option<Word>,
    pub(crate) about: Option<Word>,
    pub(crate) rows: Option<Typed<u64>>,
    pub(crate) children: Option<Children>,
    /// Fixtures that are to be seeded first.
    pub(crate) after: Vec<Word>,
    pub(crate) rows_from: Option<Word>,
    /// Objects of `rows_from`, in order; `None` when there is none or it could not be read.
    pub(crate) records: Option<Vec<Json>>,
    pub(crate) kind: FixtureKind,
    pub(crate) columns: Vec<Column>,
    pub(crate) verify: Vec<Check>,
}

/// Rows by parent.
#[derive(Debug, Clone)]
pub(crate) struct Children {
    /// The key.
    pub(crate) span: Span,
    pub(crate) of: Word,
    pub(crate) each: Each,
}

/// How many children a parent has.
#[derive(Debug, Clone)]
pub(crate) enum Each {
    Fixed(Typed<u32>),
    Between(Typed<u32>, Typed<u32>),
    Weighted(Vec<graph::WeightedCount>),
    /// Reported already.
    Broken,
}

/// How a fixture's rows come to be.
#[allow(clippy::large_enum_variant)] // a plan has a handful of fixtures; a box would only be noise.
#[derive(Debug, Clone)]
pub(crate) enum FixtureKind {
    Table(TableFixture),
    Http(Box<HttpFixture>),
    Sql(Box<SqlFixture>),
    /// Reported already.
    Broken,
}

/// `table:` and what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct TableFixture {
    pub(crate) table: Word,
    pub(crate) identity: Vec<Word>,
    pub(crate) on_conflict: Option<Spanned<graph::OnConflict>>,
    pub(crate) adopt: Option<Typed<bool>>,
    pub(crate) skip_foreign_key_triggers: Option<Typed<bool>>,
    pub(crate) rebuild_indexes: Option<Typed<bool>>,
    pub(crate) append_only: Option<Typed<bool>>,
}

/// `create:` and what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct HttpFixture {
    pub(crate) create: Request,
    pub(crate) created: Option<Vec<graph::StatusPattern>>,
    pub(crate) exists: Option<graph::Exists>,
    pub(crate) pace: Option<Typed<Rate>>,
    pub(crate) limit: Option<Typed<Rate>>,
    pub(crate) concurrency: Option<Typed<u32>>,
    pub(crate) retry_statuses: Option<Vec<u16>>,
    pub(crate) retry_attempts: Option<Typed<u32>>,
    pub(crate) export: Option<Typed<String>>,
    pub(crate) capture: Vec<(Word, graph::CaptureFrom)>,
    /// The request and the statuses of an account that is alive.
    pub(crate) probe: Option<(Request, Option<Vec<graph::StatusPattern>>)>,
    pub(crate) reissue: Option<Request>,
}

/// `sql:` and what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct SqlFixture {
    pub(crate) files: Vec<Word>,
    /// Texts of `files`, in order; fewer when one could not be read.
    pub(crate) scripts: Vec<graph::Script>,
    pub(crate) reset: Option<Word>,
    pub(crate) reset_script: Option<graph::Script>,
    /// Table and identity of the declared rows.
    pub(crate) declared: Option<(Word, Vec<Word>)>,
}

/// One column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: Word,
    pub(crate) generator: Generator,
    pub(crate) volatile: bool,
    pub(crate) fresh_within: Option<Typed<Duration>>,
    pub(crate) unique: bool,
}

/// Where a column's values come from.
#[derive(Debug, Clone)]
pub(crate) enum Generator {
    Value(Parsed<JsonTemplate>),
    Weighted(Vec<graph::WeightedValue>),
    Integer(Typed<i64>, Typed<i64>),
    Decimal(Typed<Fixed>, Typed<Fixed>),
    BeforeNow(Text),
    AfterNow(Text),
    TimeWithin {
        from: Typed<Duration>,
        to: Typed<Duration>,
        past: bool,
    },
    Uuid,
    UuidV7,
    Fake(Spanned<graph::Fake>),
    Sha256(Text, Option<Text>),
    Password(Text, PasswordScheme),
    Hex(Typed<u32>),
    References {
        table: String,
        column: String,
        value: Parsed<JsonTemplate>,
    },
    /// The span is that of the key `sample`.
    Sample {
        table: String,
        column: String,
        size: Typed<u32>,
        span: Span,
    },
    Fixture {
        fixture: Word,
        column: Word,
        random: bool,
    },
    /// Reported already.
    Broken,
}

/// How a password is hashed, as far as it is told.
#[derive(Debug, Clone)]
pub(crate) enum PasswordScheme {
    Bcrypt { cost: Option<Typed<u32>> },
    Argon2id { memory: Option<Typed<Bytes>>, passes: Option<Typed<u32>> },
}
