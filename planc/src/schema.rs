//! JSON Schema (draft 2020-12) of plan and fixture files, for editors: completion, descriptions and
//! the coarse mistakes while typing. `planc check` finds the rest. Written by hand, as data.

use crate::graph::Json;
use serde_json::{Map, json};

/// The schema of a plan file.
pub fn plan() -> Json {
    let teardown = json!({ "anyOf": [local("step"), local("conditional_check")] });
    let mut schema = object(
        &["plan", "scenarios"],
        &[
            ("plan", text("Name of the plan.")),
            ("about", text("What it is for.")),
            ("seed", whole("Seed of all generated data and random draws.")),
            ("inputs", named("The only door for environment and command line.", local("input"))),
            ("profiles", profiles()),
            ("target", local("target")),
            ("database", local("database")),
            ("guards", list("Conditions that must hold before anything is written.", local("guard"))),
            ("services", named("Processes that the run starts, waits for and stops.", local("service"))),
            ("fixtures", named("Rows and accounts that must exist before the load.", local("fixture_use"))),
            ("tokens", named("Credentials.", local("token"))),
            (
                "preflight",
                list("Checks after seeding, before load; all are run.", local("conditional_check")),
            ),
            ("endpoints", endpoints()),
            ("metrics", named("Metrics of your own, filled by `record`.", metric())),
            ("setup", list("Steps played once before the load.", local("step"))),
            ("teardown", list("Steps played once after it, whatever happened, then programs.", teardown)),
            ("scenarios", named("Who does what, when and how much.", local("scenario"))),
            ("thresholds", thresholds()),
            ("triage", triage()),
            ("health", health()),
            ("report", report()),
            (
                "baseline",
                named(
                    "Figures of an earlier run, shown beside what is measured: `http_req_duration.p95: 80ms..150ms`.",
                    json!({ "type": ["string", "number"] }),
                ),
            ),
            ("when_to_run", when_to_run()),
            ("history", history()),
        ],
    );
    schema = allowing(schema);
    finish(&mut schema, "plan", "A load-test plan");
    schema
}

/// The schema of a fixture file.
pub fn fixture() -> Json {
    let mut schema = allowing(object(&[], &fixture_keys()));
    finish(&mut schema, "fixture", "Rows or accounts that a load test draws from");
    schema
}

/// The schema of a suite.
pub fn suite() -> Json {
    let plan = object(
        &["plan"],
        &[
            ("plan", text("The plan, relative to this file.")),
            ("name", text("Its name in the suite; the file's own name without its ending unless given.")),
            ("profile", text("The profile that is run.")),
            (
                "set",
                json!({ "type": ["object", "null"], "description": "Values of inputs, as `--set` gives them." }),
            ),
            (
                "needs",
                one_or_many("Plans of the suite that must have passed before.", json!({ "type": "string" })),
            ),
        ],
    );
    let one = json!({ "anyOf": [text("The plan, relative to this file."), plan] });
    let mut schema = object(
        &["suite", "plans"],
        &[
            ("suite", text("Name of the suite.")),
            ("about", text("What it is for.")),
            ("plans", list("Plans, run one after the other.", one)),
            (
                "fail_fast",
                json!({ "type": "boolean", "description": "The first that does not pass is the last." }),
            ),
        ],
    );
    finish(&mut schema, "suite", "Load-test plans with one verdict");
    schema
}

/// The schema of a file of a plan's unit tests.
pub fn unit_tests() -> Json {
    let case = object(
        &["name", "evidence", "expect_verdict"],
        &[
            ("name", text("What it shows.")),
            (
                "evidence",
                text("Recorded evidence, as `runner judge --trim` writes it; relative to this file."),
            ),
            ("expect_verdict", word("What the plan as it is now must make of it.", &crate::VERDICTS)),
            (
                "causes",
                one_or_many(
                    "Texts that must each stand in some cause of the verdict.",
                    json!({ "type": "string" }),
                ),
            ),
        ],
    );
    let mut schema = object(
        &["plan", "cases"],
        &[
            ("plan", text("The plan, relative to this file.")),
            ("profile", text("The profile that is tested.")),
            (
                "set",
                json!({ "type": ["object", "null"], "description": "Values of inputs, as `--set` gives them." }),
            ),
            ("cases", list("Recorded runs and what they must mean.", case)),
        ],
    );
    finish(&mut schema, "test", "Unit tests of a load-test plan");
    schema
}

fn finish(schema: &mut Json, name: &str, title: &str) {
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["$id"] = json!(format!("urn:planc:{name}"));
    schema["title"] = json!(title);
    schema["$defs"] = Json::Object(definitions());
}

fn definitions() -> Map<String, Json> {
    let parts: [(&str, Json); 22] = [
        ("allow", allow()),
        ("duration", scalar("A duration with its unit: `500ms`, `30s`, `1h30m`; or a template.")),
        ("rate", scalar("A rate with its unit: `167/s`, `5/m`; or a template.")),
        ("share", scalar("A share: `0.1%` or `0.001`.")),
        ("size", scalar("A size: `64KiB`, `1MiB`.")),
        (
            "count",
            json!({ "type": ["integer", "string"], "description": "A whole number; `_` may separate digits." }),
        ),
        ("flag", json!({ "type": ["boolean", "string"], "description": "`true`, `false` or a template." })),
        (
            "template",
            json!({ "type": ["string", "number", "boolean"], "description": "A text; `{{ name }}` is a slot." }),
        ),
        ("input", allowing(input())),
        ("target", allowing(target())),
        ("database", allowing(database())),
        ("check", allowing(check(Purpose::Inner))),
        ("guard", allowing(check(Purpose::Guard))),
        ("conditional_check", allowing(check(Purpose::Conditional))),
        ("service", allowing(service())),
        ("fixture_use", allowing(fixture_use())),
        ("token", allowing(token())),
        ("endpoint", allowing(endpoint())),
        ("expect", expect()),
        ("matcher", matcher()),
        ("step", allowing(step())),
        ("scenario", allowing(scenario())),
    ];
    let mut all: Map<String, Json> =
        parts.into_iter().map(|(name, schema)| (name.to_string(), schema)).collect();
    all.insert("column".into(), allowing(column()));
    all
}

// Pieces.

fn object(required: &[&str], keys: &[(&str, Json)]) -> Json {
    let properties: Map<String, Json> =
        keys.iter().map(|(key, schema)| (key.to_string(), schema.clone())).collect();
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

/// A node that may say which lints are not to be told of it: the object itself, or the one among its forms.
fn allowing(mut schema: Json) -> Json {
    let form = match schema.get_mut("anyOf").and_then(Json::as_array_mut) {
        Some(forms) => forms.iter_mut().find(|form| form["type"] == "object"),
        None => Some(&mut schema),
    };
    if let Some(form) = form {
        form["properties"]["allow"] = local("allow");
    }
    schema
}

fn allow() -> Json {
    let one = object(
        &["lint", "reason"],
        &[
            ("lint", text("Name of the lint, as `planc explain --list` has it.")),
            ("reason", text("Why the finding does no harm here.")),
            (
                "until",
                json!({ "type": "string", "format": "date", "description": "The last day on which it is allowed." }),
            ),
        ],
    );
    one_or_many("Lints that are not to be told of this node and what is in it.", one)
}

fn database() -> Json {
    object(
        &["url"],
        &[
            ("url", text("Connection string of the database to seed and to check.")),
            ("pool", whole("Connections that each worker process of the service may open to it.")),
            ("workers", whole("Worker processes of the service; 1 unless given.")),
            (
                "template",
                described(
                    "Keep the seeded database as a template, and begin each run with a clone of it.",
                    local("flag"),
                ),
            ),
        ],
    )
}

fn described(description: &str, mut schema: Json) -> Json {
    schema["description"] = json!(description);
    schema
}

fn local(name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn text(description: &str) -> Json {
    json!({ "type": "string", "description": description })
}

fn scalar(description: &str) -> Json {
    json!({ "type": ["string", "number"], "description": description })
}

fn whole(description: &str) -> Json {
    described(description, local("count"))
}

fn list(description: &str, item: Json) -> Json {
    json!({ "type": "array", "items": item, "description": description })
}

fn one_or_many(description: &str, item: Json) -> Json {
    json!({ "anyOf": [item, { "type": "array", "items": item }], "description": description })
}

fn named(description: &str, value: Json) -> Json {
    json!({ "type": "object", "additionalProperties": value, "description": description })
}

fn word(description: &str, words: &[&str]) -> Json {
    json!({ "enum": words, "description": description })
}

fn texts(description: &str) -> Json {
    named(description, local("template"))
}

/// Anything, with slots in its texts.
fn any(description: &str) -> Json {
    json!({ "description": description })
}

// Parts of a plan.

fn input() -> Json {
    let types =
        ["string", "url", "secret", "rate", "duration", "integer", "number", "boolean", "share", "size"];
    object(
        &["type"],
        &[
            ("type", word("What it is. A `secret` never reaches a log, a report or the graph.", &types)),
            ("default", any("Value when none is given.")),
            ("env", text("Environment variable that carries it.")),
            ("about", text("For people.")),
            (
                "late",
                json!({ "type": "boolean", "description": "Stays open in the graph, given when the run starts." }),
            ),
            (
                "test_only",
                json!({ "type": "boolean", "description": "Its default is fit for a test environment alone." }),
            ),
            ("one_of", list("The only values it may take.", any("A value."))),
        ],
    )
}

fn profiles() -> Json {
    let values = json!({ "type": ["object", "null"], "additionalProperties": { "type": ["string", "number", "boolean"] } });
    named("Sets of input values; every profile is checked.", values)
}

fn target() -> Json {
    let tls = object(
        &[],
        &[
            ("verify", local("flag")),
            ("ca", text("PEM file with the roots to trust.")),
            ("client_cert", text("PEM file with a client certificate.")),
            ("client_key", text("PEM file with its key.")),
            ("server_name", text("Name to verify, when it is not the URL's host.")),
        ],
    );
    object(
        &["url"],
        &[
            ("url", text("Base URL of the system under test.")),
            (
                "allow_hosts",
                list("Hosts that requests may go to, redirects included.", json!({ "type": "string" })),
            ),
            ("tls", described("TLS settings.", tls)),
            ("timeout", local("duration")),
            ("protocol", word("HTTP version of the load.", &["http/1.1", "http/2"])),
            ("trace", trace()),
        ],
    )
}

fn trace() -> Json {
    let sample = object(&["sample"], &[("sample", local("share"))]);
    json!({
        "description": "A W3C `traceparent` on every request; the slowest are kept in the evidence. `sample` is the share \
         whose trace is recorded.",
        "anyOf": [{ "type": ["boolean", "string"] }, sample],
    })
}

/// Keys of a request besides its method.
fn request_keys() -> Vec<(&'static str, Json)> {
    let content = || {
        vec![
            ("text", text("The text.")),
            ("file", text("A file; its path counts from the working folder.")),
            ("zeros", local("size")),
            ("random", local("size")),
        ]
    };
    let body = json!({
        "description": "A raw body.",
        "anyOf": [{ "type": "string" }, object(&[], &content())],
    });
    let jws = object(
        &["nonce"],
        &[
            ("key", word("Whose P-256 key signs; `vu` unless given.", &["vu", "iteration"])),
            ("nonce", text("The server's nonce, as a rule captured from its `replay-nonce` header.")),
            ("kid", text("URL of the account; without it the public key is sent.")),
        ],
    );
    let jws = described(
        "Signs the `json` beside it (RFC 7515, ES256), as ACME asks; without one a POST-as-GET.",
        jws,
    );
    let mut part = content();
    part.extend([
        ("filename", text("What the server is told that the file is called.")),
        ("type", text("Media type of the part, such as `audio/mpeg`.")),
    ]);
    let part = json!({ "anyOf": [scalar("A plain field."), object(&[], &part)] });
    let part = json!({ "anyOf": [part, { "type": "array", "items": part }] });
    let mut keys: Vec<(&str, Json)> = ["get", "post", "put", "patch", "delete", "head", "options"]
        .into_iter()
        .map(|method| (method, text("Path, or absolute URL within `allow_hosts`.")))
        .collect();
    keys.extend([
        ("headers", texts("Request headers.")),
        ("query", texts("Query parameters.")),
        ("json", any("JSON body; `\"{{ name }}\"` alone keeps the value's type.")),
        ("form", texts("Form body.")),
        ("multipart", named("Multipart body: fields and files, in the order in which they are sent.", part)),
        ("body", body),
        ("jws", jws),
        ("timeout", local("duration")),
        ("redirects", whole("Redirects followed at most.")),
    ]);
    keys
}

/// What a check is for: guards can be overridden, those of `preflight` and `teardown` can hang on an input.
#[derive(PartialEq)]
enum Purpose {
    Guard,
    Conditional,
    Inner,
}

fn check(purpose: Purpose) -> Json {
    let foreign = object(&["in", "at_most"], &[("in", text("The table.")), ("at_most", local("count"))]);
    let free = json!({ "anyOf": [local("count"), object(&["at_least"], &[("at_least", local("count"))])] });
    let facts = object(
        &[],
        &[
            ("database", text("Pattern of the database's name, such as `*_test`.")),
            ("foreign_rows", one_or_many("Ceiling on rows that no fixture made.", foreign)),
            ("free_connections", described("Connections free below `max_connections`.", free)),
        ],
    );
    let mut keys = request_keys();
    keys.extend([
        ("name", text("What holds when it passes.")),
        ("sql", text("A statement on the plan's database, read only.")),
        ("postgres", described("Facts about the plan's database.", facts)),
        ("command", list("A program and its arguments.", local("template"))),
        ("file", text("A file.")),
        ("expect", local("expect")),
        ("within", local("duration")),
        ("env", texts("Environment of a `command`, beside PATH, HOME, LANG and TMPDIR.")),
        ("fix", text("What a person does when it fails.")),
    ]);
    if purpose == Purpose::Guard {
        let env =
            object(&["env"], &[("env", text("Environment variable whose value is the recorded reason."))]);
        keys.push(("override", described("The way round, with a reason.", env)));
    }
    if purpose == Purpose::Conditional {
        keys.push(("when", described("Whether it is evaluated; told as skipped when not.", local("flag"))));
    }
    object(&[], &keys)
}

fn service() -> Json {
    object(
        &[],
        &[
            ("ephemeral", word("A private server from the machine's own binaries.", &["postgres"])),
            ("database", text("Database to create.")),
            ("keep", text("Keep the data folder under this name.")),
            ("settings", texts("Server settings.")),
            ("command", list("Program and arguments; `{{ port }}` is a free port.", local("template"))),
            ("env", texts("Environment of the program.")),
            ("url", text("Base URL; `http://127.0.0.1:{{ port }}` unless given.")),
            ("ready", described("When it is ready.", local("check"))),
            ("when", described("Whether it is started.", local("flag"))),
        ],
    )
}

fn fixture_use() -> Json {
    let mut keys = fixture_keys();
    keys.push(("from", text("Fixture file, relative to the plan.")));
    json!({ "anyOf": [{ "type": "string" }, object(&[], &keys)] })
}

fn fixture_keys() -> Vec<(&'static str, Json)> {
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

fn column() -> Json {
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

fn token() -> Json {
    let mut issue = request_keys();
    issue.extend([("take", text("JSONPath to the token in the answer.")), ("ttl", local("duration"))]);
    object(
        &[],
        &[
            ("value", text("The token, as a rule a secret input.")),
            ("issue", described("The request that gives it.", object(&["take"], &issue))),
            ("header", text("Header that carries it: `Authorization: Bearer {{ token }}`.")),
            ("scopes", list("Scopes that it must have.", json!({ "type": "string" }))),
            ("verify", described("A probe that it is alive.", local("check"))),
            (
                "keep",
                json!({ "type": "boolean", "description": "Keep what was issued for the next run, until it is dead." }),
            ),
        ],
    )
}

fn endpoints() -> Json {
    let mut catalogue = named("Catalogue of endpoints, for `call`.", local("endpoint"));
    catalogue["properties"] = json!({
        "from": json!({ "anyOf": [text("OpenAPI 3 file whose operations are endpoints."), local("endpoint")] }),
        "include": json!({ "anyOf": [
            list("Operations to take, `*` for any run of characters; all without it.", json!({ "type": "string" })),
            local("endpoint"),
        ] }),
        "base": json!({ "anyOf": [
            text("Path under which the file's paths lie, in place of its server's."),
            local("endpoint"),
        ] }),
    });
    catalogue
}

fn endpoint() -> Json {
    let mut keys = request_keys();
    keys.extend([
        ("scopes", list("Scopes that a call needs.", json!({ "type": "string" }))),
        ("limit", local("rate")),
    ]);
    object(&[], &keys)
}

fn status() -> Json {
    let one = json!({ "anyOf": [
        { "type": "integer", "minimum": 100, "maximum": 599 },
        { "type": "string", "pattern": "^[1-5](xx|[0-9]{2})$" },
    ] });
    one_or_many("A status, a class such as `2xx`, or a list of them.", one)
}

fn matcher() -> Json {
    let types = ["null", "boolean", "number", "integer", "string", "array", "object"];
    let words = object(
        &[],
        &[
            ("equals", any("Deep equality.")),
            ("present", json!({ "const": true, "description": "Anything, null included." })),
            ("absent", json!({ "const": true, "description": "Not there at all." })),
            ("matches", text("A regular expression found in the text.")),
            ("contains", any("Text contains text; a list contains the value.")),
            ("contains_all", any("A list contains every one of these.")),
            ("gt", any("Greater than.")),
            ("ge", any("Greater or equal.")),
            ("lt", any("Less than.")),
            ("le", any("Less or equal.")),
            ("at_least", any("Greater or equal.")),
            ("at_most", any("Less or equal.")),
            ("one_of", list("Equals one of these.", any("A value."))),
            ("type", word("Has this JSON type.", &types)),
            ("length", described("Length of a list, map or text.", local("matcher"))),
        ],
    );
    json!({
        "description": "A literal, or conditions on the value.",
        "anyOf": [{ "type": ["string", "number", "boolean", "null", "array"] }, words],
    })
}

fn expect() -> Json {
    let matchers = |what: &str| named(what, local("matcher"));
    object(
        &[],
        &[
            ("status", status()),
            ("headers", matchers("Response headers.")),
            ("json", matchers("JSONPath to a literal or a matcher.")),
            ("body", described("The whole body as text.", local("matcher"))),
            ("cookies", matchers("Cookies set by the response.")),
            ("duration", local("duration")),
            ("rows", described("Number of rows of a statement.", local("matcher"))),
            ("value", described("First column of the first row of a statement.", local("matcher"))),
            ("exit_code", described("Exit code of a program.", local("matcher"))),
            ("stdout", described("Standard output of a program.", local("matcher"))),
            ("exists", json!({ "type": "boolean", "description": "The file exists." })),
        ],
    )
}

fn tags() -> Json {
    let enumerated = object(
        &["value"],
        &[
            ("value", local("template")),
            ("values", list("All values it can take.", json!({ "type": "string" }))),
        ],
    );
    named("Tags of its samples.", json!({ "anyOf": [local("template"), enumerated] }))
}

fn pause() -> Json {
    let range = object(&["from", "to"], &[("from", local("duration")), ("to", local("duration"))]);
    let pair = json!({ "type": "array", "items": local("duration"), "minItems": 2, "maxItems": 2 });
    let normal =
        object(&["mean", "deviation"], &[("mean", local("duration")), ("deviation", local("duration"))]);
    let exponential = object(&["mean"], &[("mean", local("duration"))]);
    let drawn = object(
        &[],
        &[
            ("uniform", json!({ "anyOf": [pair, range] })),
            ("normal", normal),
            ("exponential", json!({ "anyOf": [{ "type": "string" }, exponential] })),
        ],
    );
    json!({ "description": "Think time.", "anyOf": [{ "type": ["string", "number"] }, drawn] })
}

fn capture() -> Json {
    let place = object(
        &[],
        &[
            ("json", text("JSONPath; the first hit.")),
            ("header", text("A header.")),
            ("cookie", text("A cookie.")),
            ("regex", text("First group of a regular expression over the body.")),
            ("body", any("The whole body.")),
        ],
    );
    json!({ "anyOf": [{ "const": "body" }, place] })
}

fn step() -> Json {
    let expression =
        |what: &str| json!({ "type": ["string", "integer", "boolean", "array"], "description": what });
    let record = object(&[], &[("when", expression("Only if true.")), ("value", expression("The value."))]);
    let branch = allowing(object(
        &["weight"],
        &[("weight", scalar("`3` or `60%`.")), ("steps", list("Inner steps.", local("step")))],
    ));
    let failure = ["continue", "next_iteration", "stop_scenario", "abort_run"];
    let mut keys = request_keys();
    keys.extend([
        ("call", text("An endpoint of the catalogue.")),
        ("path", texts("Values of the endpoint's path parameters.")),
        ("token", text("Token whose header is sent.")),
        ("cookies", local("flag")),
        ("expect", local("expect")),
        ("capture", named("Values kept for later steps.", capture())),
        (
            "record",
            named(
                "Samples for metrics of your own.",
                json!({ "anyOf": [{ "type": ["null", "string", "number"] }, record] }),
            ),
        ),
        ("on_failure", word("What a failed expectation does.", &failure)),
        ("pause", pause()),
        ("choose", list("One branch by weight.", branch)),
        ("repeat", expression("How often.")),
        ("each", expression("The list.")),
        ("as", text("Name of the counter or the element.")),
        ("when", expression("Inner steps only if true.")),
        ("group", text("Name of a group of steps.")),
        ("websocket", text("Path of the target, or a `ws://` or `wss://` URL: a session with inner steps.")),
        ("subprotocol", text("The subprotocol that the server must take.")),
        ("send", send()),
        ("receive", receive()),
        ("within", local("duration")),
        ("ping", object(&[], &[("within", local("duration"))])),
        ("close", close()),
        ("steps", list("Inner steps.", local("step"))),
        ("name", text("Name for people and for the `name` tag.")),
        ("tags", tags()),
    ]);
    let mut schema = object(&[], &keys);
    schema["minProperties"] = json!(1);
    schema
}

fn send() -> Json {
    let message = object(&[], &[("json", any("A message of JSON.")), ("text", local("template"))]);
    json!({ "description": "A message to the server, in a session.", "anyOf": [local("template"), message] })
}

fn receive() -> Json {
    let message = object(
        &[],
        &[
            ("json", named("JSONPath to a literal or a matcher.", local("matcher"))),
            ("body", described("The whole message as text.", local("matcher"))),
        ],
    );
    json!({
        "description": "Waits for the message that matches; `any` takes the next one.",
        "anyOf": [{ "const": "any" }, message],
    })
}

fn close() -> Json {
    let code = whole("Status code of the close frame, 1000 unless given.");
    json!({ "anyOf": [{ "type": "null" }, object(&[], &[("code", code), ("within", local("duration"))])] })
}

fn scenario() -> Json {
    let executors = [
        "constant-vus",
        "ramping-vus",
        "constant-arrival-rate",
        "ramping-arrival-rate",
        "shared-iterations",
        "per-vu-iterations",
        "find-max",
    ];
    let orders = ["round_robin", "random", "shuffle", "per_vu", "exclusive"];
    let draw = allowing(object(
        &["from"],
        &[("from", text("The fixture.")), ("order", word("Which row.", &orders))],
    ));
    let target = scalar("Rate (`50/s`) or virtual users at its end.");
    let hold = object(
        &["stable", "window", "within"],
        &[
            (
                "stable",
                one_or_many("What must be flat: `metric{tag:value}.p95`.", json!({ "type": "string" })),
            ),
            ("window", local("duration")),
            ("tolerance", local("share")),
            ("floors", texts("By metric, a change that is none: `http_req_duration: 5ms`.")),
            ("within", local("duration")),
        ],
    );
    let stage = allowing(object(
        &["target", "duration"],
        &[
            ("target", target),
            ("duration", local("duration")),
            ("hold_until", described("The next stage begins when this one has settled.", hold)),
        ],
    ));
    object(
        &["executor", "steps"],
        &[
            ("executor", word("Shape of the load, as in k6.", &executors)),
            ("rate", local("rate")),
            ("start_rate", local("rate")),
            ("step", local("rate")),
            ("max_rate", local("rate")),
            ("at_least", local("rate")),
            ("hold", local("duration")),
            ("duration", local("duration")),
            ("max_duration", local("duration")),
            ("stages", list("Pieces of a ramp.", stage)),
            ("vus", whole("Virtual users.")),
            ("start_vus", whole("Virtual users at the start.")),
            ("pre_allocated_vus", whole("Virtual users made before the start.")),
            ("max_vus", whole("Virtual users at most; an arrival that finds none free is dropped.")),
            ("iterations", whole("Iterations, over all users or for each.")),
            ("start_time", local("duration")),
            ("graceful_stop", local("duration")),
            ("graceful_ramp_down", local("duration")),
            ("needs", one_or_many("Scenarios that must have ended first.", json!({ "type": "string" }))),
            ("smoke", local("flag")),
            (
                "draw",
                named(
                    "One row an iteration, bound to a name.",
                    json!({ "anyOf": [{ "type": "string" }, draw] }),
                ),
            ),
            ("connections", word("When connections are opened.", &["keep", "per_iteration", "per_request"])),
            ("pause_on_failure", local("duration")),
            ("trace", trace()),
            ("setup", list("Played once by each virtual user.", local("step"))),
            ("steps", list("One iteration.", local("step"))),
            ("tags", tags()),
        ],
    )
}

fn metric() -> Json {
    let kinds = ["counter", "rate", "trend", "gauge", "time_trend"];
    let long = object(
        &["type"],
        &[
            ("type", word("What it is.", &kinds)),
            ("time", json!({ "type": "boolean", "description": "A trend of times, in milliseconds." })),
            ("about", text("For people.")),
        ],
    );
    json!({ "anyOf": [{ "enum": kinds }, allowing(long), allowing(scraped())] })
}

fn scraped() -> Json {
    let mut from = request_keys();
    from.retain(|(key, _)| *key != "json");
    from.extend([
        ("json", text("JSONPath to the number in the answer.")),
        ("prometheus", text("Series of the answer: `queue_jobs{state=\"wait\"}`.")),
        ("take", word("What is made of several numbers.", &["sum", "max", "avg"])),
        ("sql", text("A statement on the plan's database; its first value.")),
    ]);
    object(
        &["scrape"],
        &[
            (
                "scrape",
                described("Where its value is read beside the load; it is a gauge.", object(&[], &from)),
            ),
            ("every", described("How often; 5s unless given.", local("duration"))),
            ("within", described("Time that one scrape may take.", local("duration"))),
            ("about", text("For people.")),
        ],
    )
}

fn thresholds() -> Json {
    let long = object(
        &["threshold"],
        &[
            ("threshold", text("The condition.")),
            ("level", word("Whether it decides.", &["required", "advisory"])),
            ("abort_on_fail", local("flag")),
            ("delay_abort_eval", local("duration")),
            ("min_samples", local("count")),
            ("confident", local("flag")),
            ("window", local("duration")),
            ("stage", local("count")),
        ],
    );
    let one = json!({ "anyOf": [{ "type": "string" }, allowing(long)] });
    named(
        "Gates: `metric{tag:value}` to conditions such as `p(95) < 500ms`, or what holds to a statement and what it must give.",
        json!({ "anyOf": [one, { "type": "array", "items": one }, sql_gate()], "description": "Conditions." }),
    )
}

fn sql_gate() -> Json {
    allowing(object(
        &["sql", "expect"],
        &[
            ("sql", text("A statement on the plan's database after the load, read only.")),
            (
                "expect",
                described("What it must give; `metric('…')` is a number of the load.", local("expect")),
            ),
            ("increase", described("Judge how much the value grew since preflight.", local("flag"))),
            ("within", described("Ask again for so long until it holds.", local("duration"))),
            ("level", word("Whether it decides.", &["required", "advisory"])),
        ],
    ))
}

fn triage() -> Json {
    let mut look = request_keys();
    look.extend([
        ("sql", text("A statement on the plan's database, read only; its rows are kept.")),
        ("promql", text("An instant query of a Prometheus server.")),
        ("at", text("That server's base URL, within `allow_hosts`.")),
        ("command", list("A program and its arguments.", local("template"))),
        ("within", described("Time that it may take; 5s unless given.", local("duration"))),
    ]);
    let entry = object(
        &["when", "cause"],
        &[
            ("name", text("Its name, for people.")),
            (
                "when",
                text(
                    "`gate`, or a condition such as `http_req_duration{name:bet}.p95 > 500ms` on the last 10 s.",
                ),
            ),
            ("for", described("How long it must hold without a break.", local("duration"))),
            ("cause", text("The likely cause.")),
            ("evidence", one_or_many("What is looked at, and kept.", object(&[], &look))),
            ("decision", text("`continue`, `halt`, or in words what to adjust before the load is resumed.")),
        ],
    );
    list("What is looked at when something breaks, in the order in which a person would look.", entry)
}

fn health() -> Json {
    let strain = |name| (name, local("share"));
    let keys = [
        ("lateness_p99", local("duration")),
        ("achieved", local("share")),
        strain("cpu"),
        strain("run_queue"),
        strain("steal"),
        strain("throttled"),
        strain("pressure"),
    ];
    described("Limits of the generator's own health.", allowing(object(&[], &keys)))
}

fn when_to_run() -> Json {
    let pattern = || json!({ "type": "string" });
    let mut schema = object(
        &["paths"],
        &[
            (
                "paths",
                one_or_many(
                    "Paths from the root of the repository, such as `services/shop/**`: a change of one asks for a run.",
                    pattern(),
                ),
            ),
            ("always_on", one_or_many("Branches on which every change asks for a run.", pattern())),
        ],
    );
    schema["description"] =
        json!("Changes that ask for a run, for `runner apply --if-changed`; without it, all do.");
    schema
}

fn history() -> Json {
    let mut schema = object(
        &["streak"],
        &[
            ("streak", whole("Green runs in a row that `runner history --streak` asks for.")),
            ("per", word("What counts as one: a run, or all runs of a day.", &["run", "day"])),
        ],
    );
    schema["description"] = json!("How often the plan must have been green, as `runner history` tells it.");
    schema
}

fn report() -> Json {
    let prometheus = object(
        &["url"],
        &[
            ("url", text("Where remote writes go: `http://prometheus:9090/api/v1/write`.")),
            ("token", text("Bearer token, as a rule a secret input.")),
            ("headers", texts("Headers of each push.")),
            ("every", local("duration")),
            ("query_url", text("Where it answers queries, for `promql`.")),
        ],
    );
    let grafana =
        object(&["url"], &[("url", text("Its base URL.")), ("token", text("Token of a service account."))]);
    let keys = [
        ("summary", text("k6-shaped JSON summary.")),
        ("junit", text("JUnit XML.")),
        ("markdown", text("Markdown.")),
        ("html", text("A page that needs no network.")),
        (
            "prometheus",
            described("Metrics by remote write while the load runs, named as k6 names them.", prometheus),
        ),
        ("grafana", described("Marks the stages as annotations.", grafana)),
    ];
    described("Outputs; files are relative to `--out`.", object(&[], &keys))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::expr::json_template;
    use crate::graph::JsonTemplate;
    use crate::source::SourceMap;
    use crate::yaml;

    /// A YAML text as an editor's validator sees it: templates are texts.
    fn document(text: &str) -> Json {
        let mut sources = SourceMap::default();
        let file = sources.add("t", text);
        let mut diagnostics = Diagnostics::default();
        let node = yaml::parse(&sources, file, &mut diagnostics).expect("yaml");
        let parsed = json_template(&sources, &node, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        plain(&parsed.expect("json").value)
    }

    fn plain(template: &JsonTemplate) -> Json {
        match template {
            JsonTemplate::Const(value) => value.clone(),
            JsonTemplate::Text(_) | JsonTemplate::Value(_) => json!("{{ … }}"),
            JsonTemplate::List(items) => items.iter().map(plain).collect(),
            JsonTemplate::Map(map) => Json::Object(map.iter().map(|(k, v)| (k.clone(), plain(v))).collect()),
        }
    }

    const PLAN: &str = r#"
plan: agent-storm
about: agents heartbeating
inputs:
  base_url: { type: url, env: CERTCTL_BASE, default: "http://127.0.0.1:8443" }
  api_key:  { type: secret, env: CERTCTL_TOKEN }
  rate:     { type: rate, default: 167/s }
profiles:
  default: {}
  stress:  { rate: 400/s }
target:
  url: "{{ services.target.url }}"
  allow_hosts: [127.0.0.1, localhost, "*.staging.example.com"]
  tls: { verify: true }
  timeout: 10s
database:
  url: "{{ services.postgres.url }}"
guards:
  - name: the target is a test environment
    get: /api/health
    expect: { status: 200, json: { $.app_env: test } }
    override: { env: ALLOW_NON_TEST_TARGET }
  - name: the database is a test database
    postgres: { database: "*_test", foreign_rows: { in: agents, at_most: 100 } }
services:
  postgres: { ephemeral: postgres, database: fleet_test, keep: quickstart }
  target:
    command: [target/release/proving-ground, --port, "{{ port }}"]
    env: { APP_ENV: test, DATABASE_URL: "{{ services.postgres.url }}" }
    ready: { get: /api/health, within: 30s }
fixtures:
  agents: { from: ../fixtures/agents.yaml, rows: 5000 }
tokens:
  fleet:
    value: "{{ inputs.api_key }}"
    header: "Authorization: Bearer {{ token }}"
    scopes: [agents.heartbeat]
    verify: { get: /api/tokens/self, expect: { status: 200, json: { $.scopes: { contains_all: "{{ scopes }}" } } } }
preflight:
  - name: the agents table is migrated
    sql: select 1 from schema_migrations where version >= 47
    expect: { rows: 1 }
    fix: run the service's migrations
  - postgres: { free_connections: { at_least: 60 } }
endpoints:
  heartbeat: { post: "/api/v1/agents/{id}/heartbeat", scopes: [agents.heartbeat], limit: 500/s }
metrics:
  rate_limited: rate
  queue_depth: { scrape: { get: /metrics, prometheus: 'bullmq_queue_jobs{state="wait"}' }, every: 5s }
  pool_waiting: { scrape: { get: /internal/pool, json: $.waiting, take: max } }
  lock_waits: { scrape: { sql: "select count(*) from pg_locks where not granted" }, every: 2s }
scenarios:
  agent_storm:
    executor: constant-arrival-rate
    rate: "{{ inputs.rate }}"
    duration: 5m
    pre_allocated_vus: 50
    max_vus: 800
    draw: { agent: agents, other: { from: agents, order: random } }
    steps:
      - call: heartbeat
        path: { id: "{{ agent.id }}" }
        token: fleet
        tags: { phase: heartbeat }
        json: { version: "2.1.0", hostname: "{{ agent.hostname }}" }
        expect: { status: 2xx }
        record: { rate_limited: { when: "response.status == 429" } }
      - pause: { uniform: [1s, 3s] }
      - choose:
          - weight: 60%
            steps: [{ get: /a, capture: { csrf: { json: $.csrf } } }]
          - { weight: 40%, steps: [{ repeat: 3, as: i, steps: [{ get: "/b/{{ i }}" }] }] }
thresholds:
  http_req_duration{scenario:agent_storm}: ["p(95) < 500ms", { threshold: "p(99) < 1s", level: advisory }]
  http_req_failed{scenario:agent_storm}: rate < 0.1%
  the audit chain is unbroken: { sql: "select verify_audit_log_chain()", expect: { value: null } }
  rows written are the 201s counted:
    sql: "select count(*) from heartbeats where run_id = '{{ run_id }}'"
    expect: { value: "{{ metric('http_reqs{status:201}') }}" }
    increase: true
    within: 5s
triage:
  - name: pool exhaustion
    when: "http_req_duration{scenario:agent_storm}.p95 > 500ms"
    for: 10s
    cause: the pool of connections is too small
    evidence:
      - sql: "select state, count(*) from pg_stat_activity group by 1"
      - { get: /metrics, within: 2s }
      - { promql: "sum(rate(calls_total[1m]))", at: "http://127.0.0.1:9090" }
      - { command: [dmesg, -T] }
    decision: make the pool larger
  - { when: gate, cause: something else, evidence: { get: /metrics }, decision: halt }
report:
  summary: loadtest-summary.json
  html: report.html
"#;

    const FIXTURE: &str = r#"
fixture: agents
table: agents
rows: 5_000
identity: id
on_conflict: refresh
columns:
  id:        "ag-loadtest-{{ n | pad(5) }}"
  status:    Online
  os:        { weighted: { linux: 80, windows: 10, darwin: 10 } }
  last_heartbeat_at: { before_now: "{{ n % 60 }}s", fresh_within: 60s }
  team_id:   { references: teams.id, value: t-platform }
  tags:      { json: { source: loadtest } }
verify:
  - sql: select count(*) from agents where id like 'ag-loadtest-%'
    expect: { value: "{{ rows }}" }
"#;

    #[test]
    fn both_are_schemas_and_accept_what_the_language_shows() {
        for (schema, text) in [(plan(), PLAN), (fixture(), FIXTURE)] {
            assert!(jsonschema::meta::is_valid(&schema));
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            let errors: Vec<String> = validator
                .iter_errors(&document(text))
                .map(|e| format!("{}: {e}", e.instance_path()))
                .collect();
            assert_eq!(errors, Vec::<String>::new());
        }
    }

    #[test]
    fn coarse_mistakes_are_refused() {
        let validator = jsonschema::validator_for(&plan()).expect("a schema");
        for (from, to) in [
            ("plan: agent-storm", "plann: agent-storm"),
            ("executor: constant-arrival-rate", "executor: constant-arival-rate"),
            ("type: secret", "type: password"),
            ("status: 2xx", "status: 9xx"),
            ("      - call: heartbeat", "      - cal: heartbeat"),
        ] {
            assert!(!validator.is_valid(&document(&PLAN.replace(from, to))), "{to}");
        }
    }
}
