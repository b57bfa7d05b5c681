//! JSON Schema (draft 2020-12) of plan and fixture files, for editors: completion, descriptions and
//! the coarse mistakes while typing. `planc check` finds the rest. Written by hand, as data.

mod fixtures;
mod judging;
mod load;
mod parts;
#[cfg(test)]
mod tests;

use crate::graph::Json;
use fixtures::{column, fixture_keys, fixture_use};
use judging::{health, history, metric, report, thresholds, triage, when_to_run};
use load::{expect, matcher, scenario, step};
use parts::{any, described, list, local, named, object, one_or_many, scalar, text, texts, whole, word};
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
