//! Checks on the world: what is looked at and what must be seen, and the requests that look.

use super::{Body, Expr, Json, Template};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// One condition on the world: a guard, a preflight check, a readiness or token probe, a fixture's verify.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What holds when it passes.
    pub name: String,
    /// Where to look.
    pub probe: Probe,
    /// What must be seen there.
    pub expect: Vec<Expectation>,
    /// Keep trying for so long; without it, once.
    pub within: Option<Duration>,
    /// What a person does when it fails.
    pub fix: Option<String>,
    /// Guards only: environment variable whose value is the recorded reason to go on all the same.
    pub override_env: Option<String>,
    /// Guards only: true when it needs neither target nor database nor service (step 1 of a run).
    pub static_guard: bool,
}

/// Where a check looks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// An HTTP request to the target (or to an absolute URL within `allow_hosts`).
    Http(Request),
    /// A statement on the plan's database in a read-only transaction; expectations are `Rows` and `Value`.
    Sql {
        /// The statement; slots are bound as text parameters, never spliced.
        statement: Template,
    },
    /// Facts about the plan's database.
    Postgres(PostgresFacts),
    /// A program; expectations are `ExitCode` and `Stdout`.
    Command {
        /// Program and arguments.
        argv: Vec<Template>,
        /// Environment added to a minimal one (PATH, HOME, LANG, TMPDIR).
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        env: BTreeMap<String, Template>,
    },
    /// A file; expectations are `Body` (its text), `Present`-like through `FileExists`.
    File {
        /// Its path, relative to the working directory.
        path: Template,
    },
}

/// Facts about a database that a guard or preflight asks for; each given one must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresFacts {
    /// Pattern for `current_database()`, `*` matches any run of characters.
    pub database: Option<String>,
    /// At most so many rows in a table that no fixture of this plan made. A table that does not exist has none.
    pub foreign_rows: Vec<ForeignRows>,
    /// At least so many connections free below `max_connections`.
    pub free_connections: Option<u32>,
}

/// A ceiling on rows that are not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignRows {
    /// The table, `schema.table` or `table`.
    pub table: String,
    /// The ceiling.
    pub at_most: u64,
}

/// One thing that must be seen, and the name its check is counted under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Value of the `check` tag: `status is 2xx`.
    pub name: String,
    /// What is looked at and what it must be.
    pub what: Expected,
}

/// What is looked at and what it must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expected {
    /// HTTP status is one of these.
    Status(Vec<StatusPattern>),
    /// A response header, name in lower case.
    Header {
        /// Name in lower case.
        name: String,
        /// Condition; an absent header is [`Matcher::Absent`]'s.
        matcher: Matcher,
    },
    /// What a JSONPath (RFC 9535) finds in the body. Several hits are compared as a list where the
    /// path is not singular. An absent path fails every matcher but `Absent`.
    Json {
        /// The path, `$.app_env`.
        path: String,
        /// Condition.
        matcher: Matcher,
    },
    /// The whole body (or file) as text.
    Body(Matcher),
    /// A cookie set by the response.
    Cookie {
        /// Its name.
        name: String,
        /// Condition on its value.
        matcher: Matcher,
    },
    /// The response came within this time (service time).
    Duration(Duration),
    /// Number of rows of a statement.
    Rows(Matcher),
    /// First column of the first row of a statement; integers, floats, booleans, null and text as JSON, others as text.
    Value(Matcher),
    /// Exit code of a program.
    ExitCode(Matcher),
    /// Standard output of a program, trimmed.
    Stdout(Matcher),
    /// The file exists (true) or does not.
    FileExists(bool),
}

/// `200` or a class such as `2xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusPattern {
    /// Exactly this status.
    Exact(u16),
    /// All statuses of this hundred: 2 is 200 to 299.
    Class(u8),
}

impl StatusPattern {
    /// Whether a status falls under the pattern.
    pub fn matches(self, status: u16) -> bool {
        match self {
            StatusPattern::Exact(exact) => status == exact,
            StatusPattern::Class(class) => status / 100 == u16::from(class),
        }
    }
}

/// A condition on one value. Numbers compare by value, strings byte by byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Matcher {
    /// Deep equality with a value.
    Equals(JsonTemplate),
    /// Anything, null included, as long as it is there.
    Present,
    /// Not there at all.
    Absent,
    /// A regular expression found in the text.
    Matches(String),
    /// Text contains text; a list contains the value.
    Contains(JsonTemplate),
    /// A list contains every value of this list.
    ContainsAll(JsonTemplate),
    /// Greater than.
    Gt(JsonTemplate),
    /// Greater or equal.
    Ge(JsonTemplate),
    /// Less than.
    Lt(JsonTemplate),
    /// Less or equal.
    Le(JsonTemplate),
    /// Equals one of these.
    OneOf(Vec<JsonTemplate>),
    /// Has this JSON type.
    Type(JsonType),
    /// Length of a list, object or text (in characters).
    Length(Box<Matcher>),
    /// All of these.
    All(Vec<Matcher>),
}

/// A JSON type name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonType {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// Any number.
    Number,
    /// A whole number.
    Integer,
    /// Text.
    String,
    /// A list.
    Array,
    /// A map.
    Object,
}

/// JSON with slots. A text that is one slot alone keeps the type of its value; any other text is text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum JsonTemplate {
    /// A value without slots in it.
    Const(Json),
    /// A text with slots.
    Text(Template),
    /// One slot alone: the value as it is.
    Value(Expr),
    /// A list with slots inside.
    List(Vec<JsonTemplate>),
    /// An object with slots inside; keys are literal.
    Map(BTreeMap<String, JsonTemplate>),
}

/// An HTTP request with slots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `GET`, `POST` …
    pub method: String,
    /// A path that starts with `/`, or an absolute URL. Path parameters are already in place, percent-encoded.
    pub url: Template,
    /// Query parameters, in order of name; encoded when rendered.
    pub query: BTreeMap<String, Template>,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, Template>,
    /// Body.
    pub body: Option<Body>,
    /// Time from being sent to the last byte; none means the target's.
    pub timeout: Option<Duration>,
    /// Redirects followed at most; 0 hands the 3xx to the expectations.
    pub redirects: u32,
}

impl JsonType {
    /// Whether a value is of this type. A number without a fraction is whole however it is written, as in JSON Schema.
    pub fn holds(self, value: &Json) -> bool {
        match self {
            JsonType::Null => value.is_null(),
            JsonType::Boolean => value.is_boolean(),
            JsonType::Number => value.is_number(),
            JsonType::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
            }
            JsonType::String => value.is_string(),
            JsonType::Array => value.is_array(),
            JsonType::Object => value.is_object(),
        }
    }
}
