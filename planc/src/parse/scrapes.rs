//! `scrape:` of a metric.

use super::requests::METHODS;
use super::{Map, Parser};
use crate::ast::{Scrape, ScrapeFrom, Word};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::{LabelMatcher, LabelOp, SeriesSelector, Take};
use crate::source::Span;
use crate::yaml::Entry;

const TAKES: [(&str, Take); 3] = [("sum", Take::Sum), ("max", Take::Max), ("avg", Take::Avg)];
/// Longer signs first: `=~` begins like `=`.
const SIGNS: [(&str, LabelOp); 4] =
    [("=~", LabelOp::Matches), ("!~", LabelOp::MatchesNot), ("!=", LabelOp::IsNot), ("=", LabelOp::Is)];

impl Parser<'_> {
    /// `scrape: { get: /metrics, prometheus: … }` with the `every` and `within` that stand beside it.
    pub(super) fn scrape(&mut self, entry: &Entry, metric: &mut Map<'_>) -> Scrape {
        let span = entry.key.span;
        let from = self.map(&entry.value, "`scrape`", Some(span)).and_then(|map| self.scrape_from(map, span));
        let every = self.typed_key(metric, "every");
        let within = self.typed_key(metric, "within");
        Scrape { from, every, within }
    }

    fn scrape_from(&mut self, map: Map<'_>, span: Span) -> Option<ScrapeFrom> {
        // `json` says what of the answer is read; of any other request it is the body.
        let json = map.entries.iter().find(|entry| entry.key.value == "json");
        let rest: Vec<Entry> =
            map.entries.iter().filter(|entry| entry.key.value != "json").cloned().collect();
        let Map { what, at, span: whole, .. } = map;
        let mut map = Map { what, at, span: whole, entries: &rest, known: vec!["json"] };
        if let Some(entry) = map.entry("sql") {
            let statement = self.text(&entry.value);
            self.finish(map);
            return statement.map(ScrapeFrom::Sql);
        }
        let method = METHODS.iter().find_map(|(key, _)| map.entry(key).map(|entry| (*key, entry.key.span)));
        let Some((key, at)) = method else {
            if !map.has_near("get") && !map.has_near("sql") {
                self.diagnostics.push(
                    Diagnostic::error(codes::MISSING_KEY, span, "`scrape` needs `get` or `sql`")
                        .help("write `scrape: { get: /metrics, prometheus: 'queue_jobs{state=\"wait\"}' }`"),
                );
            }
            self.skip(&mut map);
            map.known.extend(["prometheus", "take"]);
            self.finish(map);
            return None;
        };
        let request = self.request_tail(&mut map, key, at);
        let path = json.and_then(|entry| self.word(&entry.value));
        let series = map.take("prometheus").and_then(|node| self.word(node));
        let take = map.take("take").and_then(|node| self.choice(node, "way to take several", &TAKES));
        let take = take.map_or(Take::default(), |take| take.value);
        let both = json.is_some() && map.has("prometheus");
        let neither = json.is_none() && !map.has("prometheus");
        if both {
            let message = "the answer is read as `json` or as `prometheus` text, not both";
            self.error(codes::CONFLICTING_KEYS, span, message);
        } else if neither && !map.has_near("json") && !map.has_near("prometheus") {
            self.diagnostics.push(
                Diagnostic::error(
                    codes::MISSING_KEY,
                    span,
                    "nothing says which number of the answer is meant",
                )
                .help("write `json: $.waiting` or `prometheus: 'queue_jobs{state=\"wait\"}'`"),
            );
        }
        self.finish(map);
        let request = Box::new(request?);
        match (series, path) {
            (Some(series), None) => Some(ScrapeFrom::Prometheus(request, self.series(&series)?, take)),
            (None, Some(path)) => {
                self.json_path(&path.value, path.span).then_some(ScrapeFrom::Json(request, path.value, take))
            }
            _ => None,
        }
    }

    /// `queue_jobs{state="wait",queue=~"mail.*"}`.
    fn series(&mut self, word: &Word) -> Option<SeriesSelector> {
        match series(&word.value) {
            Ok(series) => Some(series),
            Err(why) => {
                let message = format!("`{}` selects no series: {why}", word.value);
                self.diagnostics.push(
                    Diagnostic::error(codes::BAD_VALUE, word.span, message)
                        .help("write a name and conditions on labels, such as `queue_jobs{state=\"wait\"}`"),
                );
                None
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    text.starts_with(first) && text.chars().all(|c| first(c) || c.is_ascii_digit())
}

fn series(text: &str) -> Result<SeriesSelector, String> {
    let text = text.trim();
    let (name, rest) = text.split_once('{').unwrap_or((text, "}"));
    let name = name.trim();
    if !is_name(name) {
        return Err(match name.contains(['(', '[', ' ', '/']) {
            true => "this is no query language, but one name with labels".into(),
            false => format!("`{name}` is not a name"),
        });
    }
    let mut rest = rest.trim_start();
    let mut labels = Vec::new();
    while !rest.starts_with('}') {
        let (matcher, after) = label(rest)?;
        labels.push(matcher);
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.starts_with('}') => rest,
            None => return Err("a `,` or the closing `}` is missing".into()),
        };
    }
    match rest[1..].trim() {
        "" => Ok(SeriesSelector { name: name.to_string(), labels }),
        rest => Err(format!("`{rest}` stands behind it")),
    }
}

/// `state="wait"` and what follows.
fn label(text: &str) -> Result<(LabelMatcher, &str), String> {
    let end = text.find(['=', '!']).ok_or("a label needs `=`, `!=`, `=~` or `!~` and a text")?;
    let (label, rest) = text.split_at(end);
    let label = label.trim();
    if !is_name(label) || label.contains(':') {
        return Err(format!("`{label}` is not a label"));
    }
    let found =
        SIGNS.iter().find_map(|(sign, op)| rest.strip_prefix(sign).map(|rest| (*op, rest.trim_start())));
    let (op, rest) = found.ok_or("a label needs `=`, `!=`, `=~` or `!~`")?;
    let quote =
        rest.chars().next().filter(|c| ['"', '\''].contains(c)).ok_or("a label's text stands in quotes")?;
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            'n' if escaped => value.push('\n'),
            c if escaped => value.push(c),
            '\\' => {
                escaped = true;
                continue;
            }
            c if c == quote => {
                if matches!(op, LabelOp::Matches | LabelOp::MatchesNot) {
                    regex::Regex::new(&value)
                        .map_err(|_| format!("`{value}` is not a regular expression"))?;
                }
                return Ok((LabelMatcher { label: label.to_string(), op, value }, &rest[at + 1..]));
            }
            c => value.push(c),
        }
        escaped = false;
    }
    Err("a quote is never closed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        let read = |text: &str| series(text).map(|s| serde_json::to_string(&s).expect("JSON"));
        assert_eq!(read("up"), Ok(r#"{"name":"up"}"#.into()));
        assert_eq!(read("up{}"), Ok(r#"{"name":"up"}"#.into()));
        assert_eq!(
            read(r#" jobs { state = "wait", queue=~'m.*', } "#),
            Ok(r#"{"name":"jobs","labels":[{"label":"state","op":"=","value":"wait"},{"label":"queue","op":"=~","value":"m.*"}]}"#.into())
        );
        assert!(read(r#"a{b!="c\"}"}"#).is_ok());
        for (text, why) in [
            ("rate(jobs[1m])", "no query language"),
            ("", "`` is not a name"),
            ("jobs{state}", "a label needs"),
            ("jobs{state=wait}", "stands in quotes"),
            ("jobs{state=\"wait\"", "is missing"),
            ("jobs{state=\"wait", "never closed"),
            ("jobs{state=~\"(\"}", "not a regular expression"),
            ("jobs{a=\"b\"} > 5", "`> 5` stands behind it"),
            ("jobs{a=\"b\" c=\"d\"}", "a `,` or the closing"),
        ] {
            let told = read(text).expect_err(text);
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
