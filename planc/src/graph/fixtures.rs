//! Fixtures: rows and accounts, and where their values come from.

use super::{Capture, Check, Json, JsonTemplate, Request, StatusPattern, Template};
use crate::units::{Fixed, Rate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows or accounts that must exist before the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// Name under which scenarios draw from it.
    pub name: String,
    /// The fixture file's own name: key of ledger and row function, so that a file seeds the same rows under any alias.
    pub fixture: String,
    /// For people.
    pub about: String,
    /// Number of rows; row numbers run from 1 to this. 0 for scripts that declare no rows: nothing can draw from those.
    pub rows: u64,
    /// The rows belong to those of another fixture; `rows` is then the sum over all parents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Children>,
    /// Names of fixtures of the plan that are seeded first because the plan says so, sorted; those that its rows refer to
    /// are besides. Changes when rows are brought and not which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// How they come to be.
    pub kind: FixtureKind,
    /// Checks after seeding (in the same transaction for table fixtures). `{{ rows }}` is in scope.
    pub verify: Vec<Check>,
}

/// Rows by parent: the children of parent 1 come first, then those of parent 2, and so on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Children {
    /// The parents' fixture, by its name in the plan.
    pub of: String,
    /// How many each parent has.
    pub each: Each,
}

/// How many children a parent has. A draw is keyed by (seed, fixture, parent's row), so that it needs no reading back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Each {
    /// All the same number.
    Fixed(u32),
    /// Drawn uniformly, both ends included.
    Between {
        /// Fewest.
        from: u32,
        /// Most.
        to: u32,
    },
    /// Drawn by weight, sorted by number.
    Weighted(Vec<WeightedCount>),
}

/// One branch of a weighted number of children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedCount {
    /// So many children.
    pub children: u32,
    /// Its weight; the weights need not sum to 100.
    pub weight: u32,
}

/// How a fixture's rows come to be.
#[allow(clippy::large_enum_variant)] // a plan has a handful of fixtures; a box would only be noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FixtureKind {
    /// Rows of a Postgres table.
    Table(TableFixture),
    /// Accounts made through the service's own API.
    Http(HttpFixture),
    /// What a team's own SQL script makes.
    Sql(SqlFixture),
}

/// Rows of a Postgres table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableFixture {
    /// `schema.table` or `table`.
    pub table: String,
    /// Columns by which a row is known; the live table must have a unique index on exactly these.
    pub identity: Vec<String>,
    /// What to do with rows that are there already.
    pub on_conflict: OnConflict,
    /// Whether `refresh` and `exact` may take over rows that we did not make.
    pub adopt: bool,
    /// Whether COPY may leave the foreign keys' triggers out: the parents are then verified and locked by one query a
    /// key instead. Changes how rows are brought and not which.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_foreign_key_triggers: bool,
    /// Whether indexes that no constraint needs may be dropped before many rows come into an empty table, and made again
    /// after. Changes how rows are brought and not which.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebuild_indexes: bool,
    /// Rows of the table are made and never changed or deleted: `keep` or `fail`, and no reset.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub append_only: bool,
    /// Row source.
    pub columns: Columns,
}

/// What a team's own SQL scripts make, run in one transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlFixture {
    /// In the order in which they run.
    pub scripts: Vec<Script>,
    /// Takes away what they made.
    pub reset: Option<Script>,
    /// Where the rows lie that scenarios may draw; none when none are declared, and then `columns` is empty.
    pub declared: Option<Declared>,
    /// What the declared rows have in them.
    pub columns: Columns,
}

/// An SQL script, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Its file, as the fixture names it.
    pub file: String,
    /// Its text. No template: nothing is put into it.
    pub text: String,
}

/// Where to find the rows that a script is said to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// `schema.table` or `table`.
    pub table: String,
    /// Columns by which a row is known.
    pub identity: Vec<String>,
}

impl TableFixture {
    /// Rows that are kept where they are there already, and brought without liberties.
    pub fn kept(table: String, identity: Vec<String>, columns: Columns) -> TableFixture {
        TableFixture {
            table,
            identity,
            on_conflict: OnConflict::Keep,
            adopt: false,
            skip_foreign_key_triggers: false,
            rebuild_indexes: false,
            append_only: false,
            columns,
        }
    }
}

/// What to do with rows that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// Any row already there is an error; nothing is written.
    Fail,
    /// Rows already there stay as they are.
    Keep,
    /// Rows already there get this fixture's values where they differ.
    Refresh,
    /// As refresh, and rows that this fixture made earlier but no longer has are deleted.
    Exact,
}

/// Named columns with their generators, sorted by name.
pub type Columns = BTreeMap<String, Column>;

/// One column of a fixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Where its values come from.
    pub generator: Generator,
    /// The load changes it: outside the fingerprint, not counted as drift.
    pub volatile: bool,
    /// Times relative to now: re-based by one UPDATE when the base time is older than this. Implies `volatile`.
    pub fresh_within: Option<Duration>,
    /// No value of it is in the table twice: tried on rows when the plan is compiled, asked of the table after seeding.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unique: bool,
}

impl Column {
    /// A column that neither the load changes nor anything else is asked of.
    pub fn of(generator: Generator) -> Self {
        Column { generator, volatile: false, fresh_within: None, unique: false }
    }
}

/// Where a column's values come from. Row `n` counts from 1; every draw is keyed by (seed, fixture, column, n).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Generator {
    /// A value or text with slots over `n`, `rows`, `inputs` and the other columns of the row; objects and lists allowed
    /// for json and array columns.
    Value(JsonTemplate),
    /// A weighted choice, drawn independently of every other column. Sorted by value's JSON text.
    Weighted(Vec<WeightedValue>),
    /// A whole number drawn uniformly from `from..=to`.
    Integer {
        /// Lowest.
        from: i64,
        /// Highest.
        to: i64,
    },
    /// A decimal drawn uniformly from `from..=to` at six decimals.
    Decimal {
        /// Lowest.
        from: Fixed,
        /// Highest.
        to: Fixed,
    },
    /// Run's base time minus a duration (text such as `12s`).
    BeforeNow(Template),
    /// Run's base time plus a duration.
    AfterNow(Template),
    /// Run's base time plus an offset drawn uniformly from `from..to` (half open, whole microseconds; `negative` flips it to before).
    TimeWithin {
        /// Smallest offset.
        from: Duration,
        /// Largest offset, excluded.
        to: Duration,
        /// Before the base time rather than after.
        past: bool,
    },
    /// A version 4 shaped UUID from the row's key.
    Uuid,
    /// A version 7 shaped UUID: its time counts up with `n`, the rest is from the row's key.
    UuidV7,
    /// A word of everyday life, drawn from lists.
    Fake {
        /// Of what kind.
        kind: Fake,
        /// With the row's number in it, so that no two are the same.
        numbered: bool,
    },
    /// SHA-256 of a text: hexadecimal in text columns, bytes in others. With a key, HMAC-SHA256.
    Sha256 {
        /// What is hashed.
        text: Template,
        /// Key of the HMAC.
        key: Option<Template>,
    },
    /// A password's hash, the same for every row, with a salt from the seed; `inputs` alone are in scope.
    Password {
        /// The password.
        text: Template,
        /// How it is hashed.
        scheme: PasswordScheme,
    },
    /// Lower-case hexadecimal of so many characters from the row's key.
    Hex {
        /// Number of characters.
        length: u32,
    },
    /// A row of another table that must exist, given by value. The parent is verified before anything is written.
    References {
        /// Parent table.
        table: String,
        /// Parent column.
        column: String,
        /// Value, as for [`Generator::Value`].
        value: JsonTemplate,
    },
    /// A value that rows of another table have, drawn at random (keyed by this column) from a sample of those that are
    /// there when the fixture is first seeded. The ledger keeps the sample: the same rows are made ever after.
    Sample {
        /// The table.
        table: String,
        /// Its column.
        column: String,
        /// Number of distinct values in the sample; NULL is none.
        size: u32,
        /// The sample; empty in a plan, which does not know the database.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        values: Vec<Json>,
    },
    /// A row of another fixture of this plan: the value of one of its columns at row `((n-1) mod rows) + 1` or drawn at random.
    Fixture {
        /// The other fixture's name.
        fixture: String,
        /// Its column.
        column: String,
        /// Drawn at random (keyed by this column) rather than in turn.
        random: bool,
    },
    /// The n-th record's field, from a file (JSON, NDJSON, CSV) read at compile time.
    Record(Vec<Json>),
}

/// How a password is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PasswordScheme {
    /// bcrypt in its `$2b$` form.
    Bcrypt {
        /// Logarithm of the number of rounds, 4 to 31.
        cost: u32,
    },
    /// Argon2id (RFC 9106), version 19, one lane, 32 bytes, as a PHC string.
    Argon2id {
        /// KiB of memory.
        memory: u32,
        /// Passes over the memory.
        passes: u32,
    },
}

/// Kinds of everyday words. Nothing that they give leads out of the test: names of hosts end in `example.test`, addresses
/// are private, telephone numbers are of the range kept for fiction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fake {
    /// First and last name.
    Name,
    /// A first name.
    FirstName,
    /// A last name.
    LastName,
    /// `ada.lovelace42`.
    Username,
    /// `ada.lovelace42@example.test`.
    Email,
    /// `lake-17.example.test`.
    Host,
    /// `quiet-lake.example.test`.
    Domain,
    /// A company.
    Company,
    /// A town.
    City,
    /// A country, in English.
    Country,
    /// Number and street.
    Street,
    /// `+1-415-555-0123`: numbers from 555-0100 to 555-0199 are kept for fiction.
    Phone,
    /// Of `10.0.0.0/8` (RFC 1918).
    Ipv4,
    /// Of a unique local network (RFC 4193).
    Ipv6,
    /// Locally administered, unicast.
    Mac,
    /// A browser's.
    UserAgent,
    /// A Latin word.
    Word,
    /// Four to ten of them.
    Sentence,
}

impl Fake {
    /// All of them, as they are written.
    pub const NAMES: [(&str, Fake); 18] = [
        ("name", Fake::Name),
        ("first_name", Fake::FirstName),
        ("last_name", Fake::LastName),
        ("username", Fake::Username),
        ("email", Fake::Email),
        ("host", Fake::Host),
        ("domain", Fake::Domain),
        ("company", Fake::Company),
        ("city", Fake::City),
        ("country", Fake::Country),
        ("street", Fake::Street),
        ("phone", Fake::Phone),
        ("ipv4", Fake::Ipv4),
        ("ipv6", Fake::Ipv6),
        ("mac", Fake::Mac),
        ("user_agent", Fake::UserAgent),
        ("word", Fake::Word),
        ("sentence", Fake::Sentence),
    ];

    /// The most rows that a numbered one tells apart; `None` where a number has no place in it.
    pub fn most(self) -> Option<u64> {
        match self {
            Fake::Username | Fake::Email | Fake::Host | Fake::Domain | Fake::Company | Fake::Ipv6 => {
                Some(u64::MAX)
            }
            Fake::Street => Some(u64::MAX),
            Fake::Mac => Some(1 << 40),
            Fake::Ipv4 => Some(1 << 24),
            // 800 area codes with 100 numbers each.
            Fake::Phone => Some(80_000),
            _ => None,
        }
    }
}

/// One branch of a weighted choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedValue {
    /// The value.
    pub value: Json,
    /// Its weight; the weights need not sum to 100.
    pub weight: u32,
}

/// Accounts made through the service's own API, one request a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpFixture {
    /// What a row is made of; slots of `create` and scenarios see these by name.
    pub columns: Columns,
    /// The request that makes row n; columns of the row are in scope by their own names.
    pub create: Request,
    /// Statuses that mean it was made.
    pub created: Vec<StatusPattern>,
    /// How "it exists already" looks.
    pub exists: Option<Exists>,
    /// Highest rate of requests that make accounts; without one `limit` gives it, and without either they are made as
    /// fast as `concurrency` allows.
    pub pace: Option<Rate>,
    /// What the service declares to take, of `create` itself or of the endpoint that it asks: no more than `count`
    /// requests reach it within any `per`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Rate>,
    /// Requests in flight at once.
    pub concurrency: u32,
    /// When to try again.
    pub retry: Retry,
    /// Values that the service tells once, in its answer to `create` or `reissue`. They are kept in a store of the
    /// user's own; scenarios and `export` see them as columns, `probe` and `reissue` by their own names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capture: Vec<Capture>,
    /// Asks whether an account of an earlier run is alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<AccountProbe>,
    /// Has new values for `capture` made for an account that is there; without one `create` is asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reissue: Option<Request>,
    /// File to write all rows to, as a JSON list, atomically.
    pub export: Option<String>,
}

/// Asks whether one account is alive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountProbe {
    /// The request; columns of the row and captured values are in scope by their own names.
    pub request: Request,
    /// Statuses of an account that is alive. Another 4xx means that it is dead, anything else that nobody knows.
    pub alive: Vec<StatusPattern>,
}

impl HttpFixture {
    /// All its requests: `create`, then `probe` and `reissue` where there are.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        let probe = self.probe.as_ref().map(|probe| &probe.request);
        std::iter::once(&self.create).chain(probe).chain(&self.reissue)
    }
}

/// How an account that exists already answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exists {
    /// Its status.
    pub status: StatusPattern,
    /// Text that the body holds.
    pub body_contains: Option<String>,
}

/// When to try again; `Retry-After` is honoured, else exponential from 100 ms to 10 s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Statuses that are tried again.
    pub statuses: Vec<u16>,
    /// Attempts a row at most, the first included.
    pub attempts: u32,
}

impl Fixture {
    /// The named columns, whatever the kind.
    pub fn columns(&self) -> &Columns {
        match &self.kind {
            FixtureKind::Table(table) => &table.columns,
            FixtureKind::Http(http) => &http.columns,
            FixtureKind::Sql(sql) => &sql.columns,
        }
    }

    /// The named columns, to be changed.
    pub fn columns_mut(&mut self) -> &mut Columns {
        match &mut self.kind {
            FixtureKind::Table(table) => &mut table.columns,
            FixtureKind::Http(http) => &mut http.columns,
            FixtureKind::Sql(sql) => &mut sql.columns,
        }
    }

    /// Whether seeding it writes into the plan's database.
    pub fn in_database(&self) -> bool {
        matches!(self.kind, FixtureKind::Table(_) | FixtureKind::Sql(_))
    }

    /// Table and identity of its rows, where they lie in one that is known.
    pub fn rows_in(&self) -> Option<(&str, &[String])> {
        match &self.kind {
            FixtureKind::Table(table) => Some((&table.table, &table.identity)),
            FixtureKind::Sql(sql) => {
                sql.declared.as_ref().map(|rows| (rows.table.as_str(), rows.identity.as_slice()))
            }
            FixtureKind::Http(_) => None,
        }
    }
}
