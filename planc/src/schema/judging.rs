//! What is measured, judged and told.

use super::parts::{described, list, local, named, object, one_or_many, text, texts, whole, word};
use super::{allowing, request_keys};
use crate::graph::Json;
use serde_json::json;

pub(super) fn metric() -> Json {
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

pub(super) fn scraped() -> Json {
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

pub(super) fn thresholds() -> Json {
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

pub(super) fn sql_gate() -> Json {
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

pub(super) fn triage() -> Json {
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

pub(super) fn health() -> Json {
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

pub(super) fn when_to_run() -> Json {
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

pub(super) fn history() -> Json {
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

pub(super) fn report() -> Json {
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
