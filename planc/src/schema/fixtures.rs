//! Fixtures and their columns.

use super::load::{capture, status};
use super::parts::{any, described, local, named, object, one_or_many, text, whole, word};
use super::request_keys;
use crate::graph::Json;
use serde_json::json;

pub(super) fn fixture_use() -> Json {
    let mut keys = fixture_keys();
    keys.push(("from", text("Fixture file, relative to the plan.")));
    json!({ "anyOf": [{ "type": "string" }, object(&[], &keys)] })
}

pub(super) fn fixture_keys() -> Vec<(&'static str, Json)> {
    let exists =
        object(&["status"], &[("status", status()), ("body_contains", text("Text that the body holds."))]);
    let retry = object(&[], &[("statuses", status()), ("attempts", local("count"))]);
    let bounds = object(&["from", "to"], &[("from", local("count")), ("to", local("count"))]);
    let weights = json!({ "type": "object", "additionalProperties": local("count") });
    let weighted = object(&["weighted"], &[("weighted", described("Each number with its weight.", weights))]);
    let each = json!({
        "description": "How many children each parent has: a number, a range to draw from, or numbers by weight.",
        "anyOf": [{ "type": ["integer", "string"] }, bounds, weighted],
    });
    let children = object(&["of", "each"], &[("of", text("The parents' fixture.")), ("each", each)]);
    let mut create = request_keys();
    create.extend([
        ("created", status()),
        ("exists", described("How an account that is there already answers.", exists)),
        ("pace", described("Highest rate of requests.", local("rate"))),
        (
            "limit",
            described("What the service declares to take: the requests are fitted to it.", local("rate")),
        ),
        ("concurrency", whole("Requests in flight at once.")),
        ("retry", described("When to try again.", retry)),
        ("capture", named("Values that the service tells once, kept in a store of your own.", capture())),
    ]);
    let mut probe = request_keys();
    probe.push(("expect", object(&["status"], &[("status", status())])));
    let reissue = object(&[], &request_keys());
    vec![
        ("fixture", text("Name of the fixture: key of its ledger and its rows.")),
        ("about", text("What it is.")),
        ("table", text("Table to fill, `schema.table` or `table`.")),
        ("rows", whole("Number of rows.")),
        ("children", described("Rows by parent, in place of `rows`.", children)),
        (
            "after",
            one_or_many(
                "Fixtures that are seeded first, beside those that its rows refer to.",
                json!({ "type": "string" }),
            ),
        ),
        ("identity", one_or_many("Columns by which a row is known.", json!({ "type": "string" }))),
        ("on_conflict", word("What to do with rows that are there.", &["fail", "keep", "refresh", "exact"])),
        ("adopt", local("flag")),
        (
            "skip_foreign_key_triggers",
            described(
                "Foreign keys are verified by one query a key instead of a trigger a row, where the role may.",
                local("flag"),
            ),
        ),
        (
            "rebuild_indexes",
            described(
                "Indexes without a constraint are made after the rows, where many come into an empty table.",
                local("flag"),
            ),
        ),
        ("append_only", described("Rows of the table are never changed or deleted.", local("flag"))),
        ("columns", named("Columns and where their values come from.", local("column"))),
        ("verify", one_or_many("Checks after seeding.", local("check"))),
        ("create", described("The request that makes one account.", object(&[], &create))),
        (
            "rows_from",
            text(
                "File of rows: a JSON list of objects, `.ndjson` with an object a line, or `.csv` with a header.",
            ),
        ),
        ("export", text("File to write all rows to.")),
        (
            "sql",
            one_or_many(
                "SQL scripts, run in order in one transaction; relative to this file.",
                json!({ "type": "string" }),
            ),
        ),
        ("reset", text("SQL script that takes away what `sql` made, for `--reset`.")),
        ("probe", described("Asks whether an account of an earlier run is alive.", object(&[], &probe))),
        ("reissue", described("Has captured values made anew for an account that is there.", reissue)),
    ]
}

pub(super) fn column() -> Json {
    let range = |item: &str| object(&["from", "to"], &[("from", local(item)), ("to", local(item))]);
    let number = json!({ "type": ["number", "string"] });
    let numbers = object(&["from", "to"], &[("from", number.clone()), ("to", number)]);
    let offset =
        |what: &str| json!({ "description": what, "anyOf": [{ "type": "string" }, range("duration")] });
    let weighted = json!({
        "description": "A weighted choice, drawn independently of every other column.",
        "anyOf": [
            { "type": "object", "additionalProperties": local("count") },
            { "type": "array", "items": object(&["value", "weight"], &[("value", any("The value.")), ("weight", local("count"))]) },
        ],
    });
    let within =
        object(&["to"], &[("from", local("duration")), ("to", local("duration")), ("past", local("flag"))]);
    let fakes = crate::graph::Fake::NAMES.map(|(name, _)| name);
    let generator = object(
        &[],
        &[
            ("value", any("A value or text with slots over `n`, `rows` and the other columns.")),
            ("json", any("A JSON value.")),
            ("weighted", weighted),
            ("integer", described("A whole number, drawn uniformly.", range("count"))),
            ("decimal", described("A decimal, drawn uniformly.", numbers)),
            ("before_now", offset("The run's base time minus a duration.")),
            ("after_now", offset("The run's base time plus a duration.")),
            ("time_within", described("The run's base time plus an offset drawn uniformly.", within)),
            (
                "uuid",
                json!({ "enum": ["v4", "v7", true], "description": "A UUID from the row's key; those of `v7` are in the order of the rows." }),
            ),
            (
                "fake",
                word(
                    "A word of everyday life, drawn from lists; `unique: true` puts the row's number in.",
                    &fakes,
                ),
            ),
            ("sha256", text("SHA-256 of a text: hexadecimal, or bytes in a `bytea` column.")),
            ("hmac_sha256", text("HMAC-SHA256 of a text, with `key`.")),
            ("key", text("Key of `hmac_sha256`, as a rule a secret input.")),
            ("bcrypt", text("A password, hashed once for all rows.")),
            ("cost", whole("Logarithm of bcrypt's rounds; 10 unless given.")),
            ("argon2id", text("A password, hashed once for all rows.")),
            ("memory", text("Memory of Argon2id; 19MiB unless given.")),
            ("passes", whole("Passes of Argon2id; 2 unless given.")),
            ("hex", whole("So many hexadecimal digits from the row's key.")),
            ("references", text("`table.column` of a parent that must exist, with `value` or `sample`.")),
            (
                "sample",
                described(
                    "So many values that `references` has in the database when it is first seeded; each row draws one.",
                    local("count"),
                ),
            ),
            ("fixture", text("Another fixture of the plan, with `column`.")),
            ("column", text("The other fixture's column.")),
            ("order", word("Which of its rows.", &["round_robin", "random"])),
            (
                "volatile",
                json!({ "type": "boolean", "description": "The load changes it: outside the fingerprint." }),
            ),
            ("fresh_within", local("duration")),
            ("unique", json!({ "type": "boolean", "description": "No two rows have the same value." })),
        ],
    );
    json!({ "anyOf": [{ "type": ["string", "number", "boolean", "null", "array"] }, generator] })
}
