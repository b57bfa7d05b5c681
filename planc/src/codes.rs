//! The codes that parsing and resolving give, with their pages. A code is for ever; lints have theirs in [`crate::lints`].

use crate::Page;
use crate::diagnostic::Code;

macro_rules! codes {
    ($($name:ident = $id:literal $kebab:literal,)*) => {
        $(pub(crate) const $name: Code = Code { id: $id, name: $kebab };)*

        /// Pages of all codes above, in order.
        pub(crate) const PAGES: &[Page] = &[
            $(Page { code: $id, name: $kebab, text: include_str!(concat!("pages/", $kebab, ".md")) },)*
        ];
    };
}

codes! {
    UNKNOWN_KEY = "P0100" "unknown-key",
    MISSING_KEY = "P0101" "missing-key",
    MISSING_UNIT = "P0102" "missing-unit",
    WRONG_TYPE = "P0103" "wrong-type",
    BAD_VALUE = "P0104" "bad-value",
    NOT_YET = "P0105" "not-yet",
    CONFLICTING_KEYS = "P0106" "conflicting-keys",
    UNREADABLE_FILE = "P0107" "unreadable-file",
    BAD_JSON_PATH = "P0108" "bad-json-path",
    BAD_REGEX = "P0109" "bad-regex",
    WRONG_EXECUTOR_KEY = "P0110" "wrong-executor-key",
    BAD_THRESHOLD = "P0111" "bad-threshold",
    BAD_WEIGHTS = "P0112" "bad-weights",
    BAD_JSON = "P0113" "bad-json",
    SCRIPT_STATEMENT = "P0117" "script-statement",
    NOT_IMPORTED = "P0118" "not-imported",
    UNDEFINED_NAME = "P0210" "undefined-name",
    UNKNOWN_REFERENCE = "P0211" "unknown-reference",
    UNSET_CAPTURE = "P0212" "unset-capture",
    DUPLICATE_NAME = "P0213" "duplicate-name",
    MISSING_INPUT = "P0300" "missing-input",
    BAD_INPUT = "P0301" "bad-input",
    UNKNOWN_INPUT = "P0302" "unknown-input",
    UNKNOWN_PROFILE = "P0303" "unknown-profile",
    OPEN_VALUE = "P0304" "open-value",
    BAD_EVALUATION = "P0305" "bad-evaluation",
    CYCLE = "P0306" "cycle",
    PATH_PARAMETER = "P0307" "path-parameter",
    IDENTITY_NOT_UNIQUE = "P0308" "identity-not-unique",
    MISSING_ALLOW_HOSTS = "P0309" "missing-allow-hosts",
    BAD_DEMAND = "P0310" "bad-demand",
    AGGREGATE_MISFIT = "P0311" "aggregate-misfit",
    UNKNOWN_METRIC = "P0312" "unknown-metric",
    OPEN_WILDCARD = "P0313" "open-wildcard",
    NOTHING_TO_TALK_TO = "P0314" "nothing-to-talk-to",
    EXPIRED_ALLOW = "P0315" "expired-allow",
    UNNEEDED_ALLOW = "P0316" "unneeded-allow",
    NOT_UNIQUE = "P0317" "not-unique",
    NO_SESSION = "P0320" "no-session",
}

macro_rules! live_codes {
    ($($(#[$about:meta])* $name:ident = $id:literal $kebab:literal,)*) => {
        $($(#[$about])* pub const $name: Code = Code { id: $id, name: $kebab };)*

        /// All of them, since they can be allowed as lints can.
        pub(crate) const LIVE: &[Code] = &[$($name),*];

        /// Pages of what only the living world can tell to be wrong; `runner` finds it.
        pub(crate) const LIVE_PAGES: &[Page] = &[
            $(Page { code: $id, name: $kebab, text: include_str!(concat!("pages/", $kebab, ".md")) },)*
        ];
    };
}

live_codes! {
    /// A fixture and the live database do not go together in a way that has no code of its own.
    LIVE_MISFIT = "P0900" "live-misfit",
    /// No unique index is on a fixture's identity, or another unique key fires first.
    CONFLICT_TARGET = "P0901" "conflict-target",
    /// Rows that a foreign key needs are not there when a fixture is seeded.
    FOREIGN_KEY_ORDER = "P0902" "foreign-key-order",
    /// A fixture's columns or values are not those of the live table.
    COLUMN_MISFIT = "P0903" "column-misfit",
    /// A value that the live column holds in another spelling, or has never held.
    CASE_VARIANT = "P0904" "case-variant",
    /// Something in the live database stands in the way of deleting a fixture's rows again.
    RESET_BLOCKED = "P0905" "reset-blocked",
}
