//! A comment on a pull request: a table of what weakens, the rest folded.

use super::{Change, Effect, Report, mistakes, nothing, of, place, profiles};
use crate::units::count;

pub(super) fn render(report: &Report, _: bool) -> String {
    if report.diagnostics.has_errors() {
        return broken(report);
    }
    if report.changes.is_empty() {
        return format!("planc diff: {}\n", text(&nothing(report)));
    }
    let weaker = of(report, Effect::Weakens);
    let name = text(&super::super::quoted(&report.new));
    let mut out = match (weaker.len(), &report.old) {
        (_, None) => format!("### planc diff: {name} is new\n"),
        (0, _) => format!("### planc diff: no weakening in {name}\n"),
        (n, _) => format!("### planc diff: {} in {name}\n", count(n, "weakening")),
    };
    if !weaker.is_empty() {
        out.push_str("\n| | what | change | where |\n|---|---|---|---|\n");
        weaker.iter().for_each(|change| out.push_str(&row(report, change)));
    }
    let rest: Vec<(&str, &Change)> = [("+", Effect::Strengthens), ("~", Effect::Neutral)]
        .into_iter()
        .flat_map(|(sign, effect)| of(report, effect).into_iter().map(move |change| (sign, change)))
        .collect();
    if !rest.is_empty() {
        let noun = if weaker.is_empty() { "change" } else { "other change" };
        out.push_str(&format!("\n<details><summary>{}</summary>\n\n", count(rest.len(), noun)));
        for (sign, change) in rest {
            let within = profiles(change).map_or(String::new(), |within| format!(", {within}"));
            let said = format!("{}: {}{within}", change.subject, change.message);
            out.push_str(&format!("- `{sign}` {}\n", text(&said)));
        }
        out.push_str("\n</details>\n");
    }
    out
}

fn row(report: &Report, change: &Change) -> String {
    let name = change.code.map_or("", |code| code.name);
    let notes: Vec<String> =
        change.notes.iter().cloned().chain(profiles(change)).map(|note| text(&note)).collect();
    let notes = match notes.is_empty() {
        true => String::new(),
        false => format!("<br><sub>{}</sub>", notes.join("<br>")),
    };
    let place = place(report, change).map_or(String::new(), |place| {
        // The column is of no use to a reader of a pull request.
        super::super::quoted(place.rsplit_once(':').map_or(place.as_str(), |(place, _)| place))
    });
    format!(
        "| **{name}** | {} | {}{} | {} |\n",
        cell(&text(&change.subject)),
        cell(&text(&change.message)),
        cell(&notes),
        cell(&text(&place))
    )
}

/// The new side's mistakes, a line each.
fn broken(report: &Report) -> String {
    let errors = mistakes(report).diagnostics;
    let name = text(&super::super::quoted(&report.new));
    let mut out = format!("### planc diff: {name} does not compile\n\n");
    for error in &errors {
        let file = report.sources.file(error.primary.span.file);
        let (line, _) = file.line_column(error.primary.span.start as usize);
        let place = text(&super::super::quoted(&format!("{}:{line}", file.name)));
        out.push_str(&format!("- **{}** {}, {place}\n", error.code.name, text(&error.message)));
    }
    out.push_str(&format!("\n{}: nothing was compared\n", count(errors.len(), "error")));
    out
}

/// Our own words with parts of the plan in backticks: what stands outside of them cannot open a tag, start a line or
/// mention anyone.
fn text(words: &str) -> String {
    let mut out = String::new();
    let mut code = false;
    for c in words.chars() {
        match c {
            '`' => {
                code = !code;
                out.push(c);
            }
            '<' if !code => out.push_str("&lt;"),
            '>' if !code => out.push_str("&gt;"),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    if code {
        out.push('`');
    }
    out
}

/// A pipe ends a cell, in backticks too.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
