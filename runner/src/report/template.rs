//! A report of the user's own: a Jinja template over everything that evidence and verdict say.
//!
//! Nothing is filled in silently: a name that does not exist is an error with its line, and so is a metric that the
//! plan cannot emit. docs/report-templates.md tells every name.

use super::baseline;
use super::junit::escape;
use super::metrics;
use super::terminal::{grouped, word};
use crate::evidence::Evidence;
use crate::judge::{Unit, Verdict, show};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Map, json};
use std::fmt::Write;
use std::sync::Arc;

/// Every name at the top, for help and for what is misspelt.
pub const NAMES: [&str; 22] = [
    "about",
    "baseline",
    "ended",
    "environment",
    "evidence",
    "exemplars",
    "gates",
    "graph_id",
    "inputs",
    "load",
    "metrics",
    "nodes",
    "overrides",
    "plan",
    "profile",
    "program",
    "receipts",
    "run_id",
    "scenarios",
    "started",
    "took",
    "verdict",
];

/// Functions of ours.
pub const FUNCTIONS: [&str; 2] = ["metric", "shown"];
/// Filters of ours.
pub const FILTERS: [&str; 4] = ["cell", "grouped", "percent", "us"];

/// What stands for a figure that there is none of.
const NONE: &str = "–";

/// Renders a template; its name says how values are escaped. The error is for people, line and fix included.
pub fn render(name: &str, text: &str, evidence: &Evidence, verdict: &Verdict) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true);
    environment.set_syntax(syntax.build().map_err(|error| error.to_string())?);
    environment.set_auto_escape_callback(escaping);
    environment.set_formatter(|out, state, value| {
        let text = match value.kind() {
            ValueKind::Bool => value.is_true().to_string(),
            ValueKind::None => NONE.to_owned(),
            _ => value.to_string(),
        };
        let html = *state.auto_escape() == AutoEscape::Html && !value.is_safe();
        out.write_str(&if html { escape(&text) } else { text }).map_err(Error::from)
    });
    environment.add_filter("cell", |text: String| text.replace('|', "\\|").replace('\n', " "));
    environment.add_filter("grouped", |count: u64| grouped(count));
    environment.add_filter("percent", |share: f64| show(share, Unit::Share));
    environment.add_filter("us", |time: f64| show(time, Unit::Time));
    let shared = Arc::new(evidence.clone());
    for (name, wanted) in [("metric", Wanted::Number), ("shown", Wanted::Text)] {
        let evidence = Arc::clone(&shared);
        environment.add_function(name, move |subject: &str, stat: &str, more: Kwargs| {
            let stage: Option<u32> = more.get("stage")?;
            more.assert_all_used()?;
            figure(&evidence, subject, stat, stage, wanted)
        });
    }
    let scope = scope(evidence, verdict);
    environment
        .add_template(name, text)
        .and_then(|()| environment.get_template(name)?.render(value(&scope)))
        .map_err(|error| told(name, text, &error))
}

/// By what the file becomes: `report.html.j2` is HTML.
fn escaping(name: &str) -> AutoEscape {
    let name = name.strip_suffix(".j2").or_else(|| name.strip_suffix(".jinja")).unwrap_or(name);
    match name.rsplit('.').next() {
        Some("html" | "htm" | "xml" | "xhtml" | "svg") => AutoEscape::Html,
        _ => AutoEscape::None,
    }
}

fn scope(evidence: &Evidence, verdict: &Verdict) -> serde_json::Value {
    let whole = serde_json::to_value(evidence).unwrap_or_default();
    let mut judged = serde_json::to_value(verdict).unwrap_or_default();
    for (told, gate) in judged["gates"].as_array_mut().into_iter().flatten().zip(&verdict.gates) {
        told["subject"] = json!(gate.subject());
    }
    judged["word"] = json!(word(verdict.status));
    judged["meaning"] = json!(verdict.status.meaning());
    let load = &whole["load"];
    let of_load = |key: &str| load.get(key).cloned();
    let millis = (evidence.ended_unix_ms - evidence.started_unix_ms).max(0);
    let names = [
        ("about", json!(evidence.graph.about.trim())),
        ("baseline", baselines(evidence)),
        ("ended", json!(time(evidence.ended_unix_ms))),
        ("environment", whole["environment"].clone()),
        ("exemplars", of_load("exemplars").unwrap_or_else(|| json!([]))),
        ("gates", judged["gates"].clone()),
        ("graph_id", json!(evidence.graph_id)),
        ("inputs", whole["graph"]["inputs"].clone()),
        ("load", load.clone()),
        ("metrics", figures(evidence)),
        ("nodes", whole["nodes"].clone()),
        ("overrides", whole["overrides"].clone()),
        ("plan", json!(evidence.graph.plan)),
        ("profile", json!(evidence.graph.profile)),
        ("program", json!(evidence.program)),
        ("receipts", whole["receipts"].clone()),
        ("run_id", json!(evidence.run_id)),
        ("scenarios", of_load("scenarios").unwrap_or_else(|| json!({}))),
        ("started", json!(time(evidence.started_unix_ms))),
        ("took", json!(show(millis as f64 * 1e3, Unit::Time))),
        ("verdict", judged),
        ("evidence", whole.clone()),
    ];
    serde_json::Value::Object(names.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn baselines(evidence: &Evidence) -> serde_json::Value {
    let row = |[figure, range, measured, word]: [String; 4]| json!({ "figure": figure, "range": range, "measured": measured, "word": word });
    baseline::rows(evidence).into_iter().map(row).collect()
}

/// JSON as the template's own values.
fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(whole)) => Value::from(whole),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(value).collect(),
        serde_json::Value::Object(map) => {
            Value::from_pairs(map.iter().map(|(key, inner)| (key.as_str(), value(inner))))
        }
    }
}

/// Every metric under every selector that a gate uses, with its figures for people.
fn figures(evidence: &Evidence) -> serde_json::Value {
    let row = |row: &metrics::Row| {
        let values: Map<_, _> =
            row.values.keys().map(|name| ((*name).to_owned(), json!(row.text(name)))).collect();
        json!({ "values": values, "samples": row.samples, "above_every_bound": row.infinite })
    };
    let rows = metrics::rows(evidence);
    serde_json::Value::Object(rows.iter().map(|one| (one.subject.clone(), row(one))).collect())
}

/// `2026-11-21 13:45:02 UTC`.
fn time(unix_ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(unix_ms).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[derive(Clone, Copy)]
enum Wanted {
    /// Milliseconds, a share, a count; none where there was no sample.
    Number,
    /// The same for people, with its unit.
    Text,
}

/// `metric("http_req_duration{name:bet}", "p(95)", stage=3)`.
fn figure(
    evidence: &Evidence,
    subject: &str,
    stat: &str,
    stage: Option<u32>,
    wanted: Wanted,
) -> Result<Value, Error> {
    let found = metrics::figure(evidence, subject, stat, stage)
        .map_err(|why| Error::new(ErrorKind::InvalidOperation, why))?;
    Ok(match (found, wanted) {
        (Some((value, Unit::Time)), Wanted::Number) => Value::from(value / 1e3),
        (Some((value, _)), Wanted::Number) => Value::from(value),
        (Some((value, unit)), Wanted::Text) => Value::from(show(value, unit)),
        (None, Wanted::Number) => Value::from(()),
        (None, Wanted::Text) => Value::from(NONE),
    })
}

/// What is wrong, where, and what to write.
fn told(name: &str, text: &str, error: &Error) -> String {
    let place = error.range().filter(|range| range.end <= text.len());
    let line = error.line().unwrap_or(1);
    let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let begin: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let span = place.filter(|range| range.start >= begin && range.start < begin + source.len());
    let (column, width) = span.as_ref().map_or((0, source.chars().count().max(1)), |range| {
        let end = range.end.min(begin + source.len());
        (source[..range.start - begin].chars().count(), text[range.start..end].chars().count().max(1))
    });
    let written = span.map_or("", |range| text[range].trim());
    let name_of: String = written.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let message = match (error.kind(), error.detail()) {
        (ErrorKind::UnknownFunction, _) => format!("unknown function `{name_of}`"),
        (ErrorKind::UndefinedError, None) => "this has no value".to_owned(),
        (kind, None) => kind.to_string(),
        (_, Some(detail)) => detail.to_owned(),
    };
    let margin = " ".repeat(line.to_string().len());
    let mut out = format!("error: {message}\n{margin}--> {name}:{line}:{}\n", column + 1);
    let _ = write!(out, "{margin} |\n{line} | {source}\n{margin} | ");
    let _ = writeln!(out, "{}{}", " ".repeat(column), "^".repeat(width));
    let _ = writeln!(out, "{margin} = help: {}", help(error, written));
    out
}

fn help(error: &Error, written: &str) -> String {
    let first: String = written.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let near = |known: &[&'static str]| {
        known.iter().copied().find(|known| strsim::osa_distance(&first, known) <= 1 + known.len() / 4)
    };
    let meant = |name: &str| format!("did you mean `{name}`?");
    match error.kind() {
        ErrorKind::UndefinedError if NAMES.contains(&first.as_str()) => format!(
            "`{first}` is known, what it is asked for is not; see docs/report-templates.md, or write \
             `{written} | default('–')` where it may be missing"
        ),
        ErrorKind::UndefinedError => near(&NAMES).map_or_else(
            || {
                format!(
                    "the names are {}; set one of your own with `{{% set {first} = … %}}`",
                    NAMES.join(", ")
                )
            },
            meant,
        ),
        ErrorKind::UnknownFunction => {
            near(&FUNCTIONS).map_or_else(|| format!("ours are {}", FUNCTIONS.join(" and ")), meant)
        }
        ErrorKind::UnknownFilter => near(&FILTERS)
            .map_or_else(|| format!("ours are {}, beside Jinja's own", FILTERS.join(", ")), meant),
        ErrorKind::SyntaxError => "a slot is `{{ name }}`, a deed `{% if … %} … {% endif %}`".to_owned(),
        _ => "see docs/report-templates.md".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Exemplar;
    use crate::judge::judge;
    use crate::testing::{errors, evidence, graph, p95};

    const PAGE: &str = include_str!("../../../docs/report-templates.md");

    fn run() -> (Evidence, Verdict) {
        let mut evidence = evidence(&graph(vec![p95(), errors()]));
        evidence.load.as_mut().expect("load").exemplars.push(Exemplar {
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
            scenario: "s".into(),
            stage: Some(2),
            step: 0,
            name: "GET <b>|".into(),
            at_us: 1,
            duration_us: 12_300,
            status: 200,
            outcome: "ok".into(),
        });
        let verdict = judge(&evidence.graph, &evidence);
        (evidence, verdict)
    }

    fn filled(name: &str, text: &str) -> Result<String, String> {
        let (evidence, verdict) = run();
        render(name, text, &evidence, &verdict)
    }

    #[test]
    fn the_example_of_the_page_renders() {
        let example = PAGE.split("```jinja\n").nth(1).and_then(|rest| rest.split("```").next());
        let text = filled("x.md.j2", example.expect("an example")).expect("renders");
        assert_eq!(
            text,
            "# test: pass\n\nRun run-1, 2023-11-14 22:13:20 UTC, took 12.00s.\n\n\n\
             | gate | bound | measured | samples |\n|---|---|---:|---:|\n\
             | http_req_duration{scenario:s} | p(95) < 500ms | 20.00ms | 1,000 |\n\
             | http_req_failed{scenario:s} | rate < 1% | 0.00% | 1,000 |\n\n\
             p95 over all: 20.00ms, failed: 0.00%\n\
             - 12.30ms GET <b>|, trace `4bf92f3577b34da6a3ce929d0e0e4736`\n"
        );
    }

    #[test]
    fn every_name_is_in_scope_and_on_the_page() {
        let (evidence, verdict) = run();
        let scope = scope(&evidence, &verdict);
        let names: Vec<&str> = scope.as_object().expect("a map").keys().map(String::as_str).collect();
        assert_eq!(names, NAMES);
        for name in NAMES.iter().chain(&FUNCTIONS).chain(&FILTERS) {
            assert!(PAGE.contains(&format!("`{name}`")) || PAGE.contains(&format!("`{name}(")), "{name}");
        }
    }

    #[test]
    fn html_is_escaped_and_markdown_only_where_asked() {
        let text = "{{ exemplars[0].name }} {{ exemplars[0].name | cell }}";
        assert_eq!(filled("x.html.j2", text).expect("renders"), "GET &lt;b&gt;| GET &lt;b&gt;\\|");
        assert_eq!(filled("x.md.j2", text).expect("renders"), "GET <b>| GET <b>\\|");
    }

    #[test]
    fn mistakes_are_told_with_line_and_fix() {
        for (text, wanted) in [
            ("one\n| p95 | {{TBD}} |", &["x.md.j2:2:11", "2 | | p95 | {{TBD}} |", "`TBD`"][..]),
            ("{{ verdct.word }}", &["x.md.j2:1:4", "did you mean `verdict`?"]),
            ("{{ verdict.wrod }}", &["x.md.j2:1:", "`verdict` is known, what it is asked for is not"]),
            (
                "{{ metric('http_req_duration{scenario:t}', 'avg') }}",
                &["nothing has `scenario:t`; there are s"],
            ),
            ("{{ metric('http_req_durations', 'avg') }}", &["no metric is named `http_req_durations`"]),
            (
                "{{ metric('http_reqs', 'p(95)') }}",
                &["`http_reqs` has no figure `p(95)`; it has count, rate"],
            ),
            ("{{ metric('http_reqs', 'count', stage=2) }}", &["a threshold with `stage: 2` keeps it"]),
            ("{{ show('http_reqs', 'count') }}", &["unknown function `show`", "did you mean `shown`?"]),
            ("{{ 1 | pct }}", &["ours are cell, grouped, percent, us"]),
            ("{% for x in gates %}", &["x.md.j2:1"]),
        ] {
            let told = filled("x.md.j2", text).expect_err(text);
            for wanted in wanted {
                assert!(told.contains(wanted), "{text}: lacks {wanted}\n{told}");
            }
        }
    }

    #[test]
    fn a_hole_is_never_left_silently() {
        let (mut evidence, verdict) = run();
        evidence.load = None;
        let shown = |text: &str| render("x.md.j2", text, &evidence, &verdict);
        assert_eq!(shown("{{ shown('http_req_duration', 'p(95)') }}").expect("known, no sample"), "–");
        assert_eq!(shown("{{ metric('http_req_duration', 'p(95)') is none }}").expect("none"), "true");
        assert!(shown("{{ load.ticks }}").is_err(), "there was no load");
    }
}
