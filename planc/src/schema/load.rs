//! Scenarios and their steps.

use super::parts::{
    any, described, list, local, named, object, one_or_many, scalar, text, texts, whole, word,
};
use super::{allowing, request_keys, trace};
use crate::graph::Json;
use serde_json::json;

pub(super) fn status() -> Json {
    let one = json!({ "anyOf": [
        { "type": "integer", "minimum": 100, "maximum": 599 },
        { "type": "string", "pattern": "^[1-5](xx|[0-9]{2})$" },
    ] });
    one_or_many("A status, a class such as `2xx`, or a list of them.", one)
}

pub(super) fn matcher() -> Json {
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

pub(super) fn expect() -> Json {
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

pub(super) fn tags() -> Json {
    let enumerated = object(
        &["value"],
        &[
            ("value", local("template")),
            ("values", list("All values it can take.", json!({ "type": "string" }))),
        ],
    );
    named("Tags of its samples.", json!({ "anyOf": [local("template"), enumerated] }))
}

pub(super) fn pause() -> Json {
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

pub(super) fn capture() -> Json {
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

pub(super) fn step() -> Json {
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

pub(super) fn send() -> Json {
    let message = object(&[], &[("json", any("A message of JSON.")), ("text", local("template"))]);
    json!({ "description": "A message to the server, in a session.", "anyOf": [local("template"), message] })
}

pub(super) fn receive() -> Json {
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

pub(super) fn close() -> Json {
    let code = whole("Status code of the close frame, 1000 unless given.");
    json!({ "anyOf": [{ "type": "null" }, object(&[], &[("code", code), ("within", local("duration"))])] })
}

pub(super) fn scenario() -> Json {
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
