//! Prometheus' text format, as far as a gauge needs it: lines of a name, labels and a number.

use super::scrape::holds;
use planc::graph::{LabelMatcher, SeriesSelector};
use regex::Regex;

/// Which series are meant, its patterns compiled.
pub(crate) struct Selector {
    name: String,
    labels: Vec<(LabelMatcher, Option<Regex>)>,
}

impl Selector {
    /// Compiles what a plan selects by.
    pub(crate) fn new(series: &SeriesSelector) -> Result<Selector, String> {
        let compiled = |matcher: &LabelMatcher| {
            // As in Prometheus a pattern is of the whole text.
            let pattern = Regex::new(&format!("^(?:{})$", matcher.value)).ok();
            (matcher.clone(), pattern)
        };
        Ok(Selector { name: series.name.clone(), labels: series.labels.iter().map(compiled).collect() })
    }

    /// The values of all series that are meant.
    pub(crate) fn read(&self, text: &str) -> Result<Vec<f64>, String> {
        let mut values = Vec::new();
        let mut named = 0;
        for line in text.lines() {
            let line = line.trim();
            // Cheap first: a large answer has few lines of one name.
            let Some(rest) = line.strip_prefix(self.name.as_str()) else { continue };
            if !rest.starts_with(['{', ' ', '\t']) {
                continue;
            }
            let (labels, value) =
                sample(rest).ok_or_else(|| format!("`{line}` is not in Prometheus' text format"))?;
            named += 1;
            if self.labels.iter().all(|(matcher, pattern)| {
                let text =
                    labels.iter().find(|(label, _)| *label == matcher.label).map_or("", |(_, text)| text);
                holds(matcher.op, pattern.as_ref(), &matcher.value, text)
            }) {
                values.push(value);
            }
        }
        match (values.is_empty(), named) {
            (false, _) => Ok(values),
            (true, 0) => Err(format!("there is no series `{}` in the answer", self.name)),
            (true, n) => Err(format!("none of the {n} series `{}` has these labels", self.name)),
        }
    }
}

/// Labels and value of what follows a name: `{a="b"} 5 1700000000`.
fn sample(rest: &str) -> Option<(Vec<(&str, String)>, f64)> {
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inner) => labels(inner)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?;
    let value = match value {
        "+Inf" | "Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok()?,
    };
    Some((labels, value))
}

/// Labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut out = Vec::new();
    loop {
        rest = rest.trim_start().trim_start_matches(',').trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((out, rest));
        }
        let (label, after) = rest.split_once('=')?;
        let quoted = after.trim_start().strip_prefix('"')?;
        let mut text = String::new();
        let mut escaped = false;
        let mut end = None;
        for (at, c) in quoted.char_indices() {
            match c {
                'n' if escaped => text.push('\n'),
                c if escaped => text.push(c),
                '\\' => {
                    escaped = true;
                    continue;
                }
                '"' => {
                    end = Some(at);
                    break;
                }
                c => text.push(c),
            }
            escaped = false;
        }
        rest = &quoted[end? + 1..];
        out.push((label.trim(), text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use planc::graph::LabelOp;

    const TEXT: &str = "# HELP queue_jobs Jobs by state.\n# TYPE queue_jobs gauge\n\
        queue_jobs{queue=\"mail\",state=\"wait\"} 12\n\
        queue_jobs{queue=\"sms\",state=\"wait\",} 3.5 1700000000000\n\
        queue_jobs{queue=\"mail\",state=\"active\"} 2 # {trace_id=\"x\"} 0.5\n\
        queue_jobs_total{queue=\"mail\"} 9000\n\
        odd{text=\"a\\\"b\\\\c\\nd}\"} 1\n\
        up 1\n\
        nan NaN\n\
        inf{le=\"+Inf\"} +Inf\n# EOF\n";

    fn read(name: &str, labels: &[(&str, LabelOp, &str)]) -> Result<Vec<f64>, String> {
        let matcher = |(label, op, value): &(&str, LabelOp, &str)| LabelMatcher {
            label: (*label).into(),
            op: *op,
            value: (*value).into(),
        };
        let series = SeriesSelector { name: name.into(), labels: labels.iter().map(matcher).collect() };
        Selector::new(&series).and_then(|selector| selector.read(TEXT))
    }

    #[test]
    fn series_by_name_and_labels() {
        use LabelOp::{Is, IsNot, Matches, MatchesNot};
        for (name, labels, want) in [
            ("up", vec![], vec![1.0]),
            ("queue_jobs", vec![("state", Is, "wait")], vec![12.0, 3.5]),
            ("queue_jobs", vec![("state", Is, "wait"), ("queue", Matches, "ma.*")], vec![12.0]),
            ("queue_jobs", vec![("queue", IsNot, "mail")], vec![3.5]),
            ("queue_jobs", vec![("queue", MatchesNot, "ma")], vec![12.0, 3.5, 2.0]),
            ("queue_jobs", vec![("absent", Is, "")], vec![12.0, 3.5, 2.0]),
            ("odd", vec![("text", Is, "a\"b\\c\nd}")], vec![1.0]),
            ("inf", vec![], vec![f64::INFINITY]),
        ] {
            assert_eq!(read(name, &labels), Ok(want), "{name} {labels:?}");
        }
        assert!(read("nan", &[]).expect("a value")[0].is_nan());
    }

    #[test]
    fn what_is_not_there_is_told() {
        assert_eq!(read("queue", &[]), Err("there is no series `queue` in the answer".into()));
        let told = read("queue_jobs", &[("state", LabelOp::Is, "failed")]);
        assert_eq!(told, Err("none of the 3 series `queue_jobs` has these labels".into()));
    }
}
