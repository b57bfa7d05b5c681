//! `http_req_duration{name:signin}.p95`: references to one number of the stream of samples.

use super::Parser;
use crate::ast::{MetricRef, Word};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::source::Spanned;

impl Parser<'_> {
    /// `metric`, `metric{tag:value}` and either with `.aggregate`; no name of a metric has a dot in it. A part of a
    /// longer text is given as that part, with the part's own place.
    pub(super) fn metric_ref(&mut self, word: &Word) -> Option<MetricRef> {
        let text = word.value.trim_end();
        let end = match text.find('{') {
            Some(_) => text.rfind('}').map_or(text.len(), |close| close + 1),
            None => text.find('.').unwrap_or(text.len()),
        };
        let (subject, rest) = text.split_at(end);
        let offset = self.sources.text(word.span).find(word.value.as_str()).unwrap_or(0);
        let part = |from: usize, to: usize| {
            Spanned::new(word.value[from..to].to_string(), word.span.slice(offset + from..offset + to))
        };
        let aggregate = match rest.strip_prefix('.') {
            Some(name) if !name.is_empty() => Some(part(end + 1, text.len())),
            None if rest.is_empty() => None,
            _ => {
                let message = format!("`{text}` is no reference to a metric");
                self.diagnostics.push(
                    Diagnostic::error(codes::BAD_THRESHOLD, word.span, message)
                        .help("write `metric`, `metric.p95` or `metric{tag:value}.p95`"),
                );
                return None;
            }
        };
        let selector = self.selector(&part(0, subject.len()))?;
        if let Some((tag, value)) = selector.tags.iter().find(|(_, value)| value.value == "*") {
            let message = "`*` stands for several numbers, and one is needed here";
            let diagnostic = Diagnostic::error(codes::BAD_THRESHOLD, value.span, message);
            self.diagnostics.push(diagnostic.help(format!("name one value of `{}`", tag.value)));
            return None;
        }
        Some(MetricRef { span: word.span, selector, aggregate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::source::{SourceMap, Span};

    /// The parts, each as its place in the text says it.
    fn read(text: &str) -> Result<String, String> {
        let mut sources = SourceMap::default();
        let file = sources.add("", format!("\"{text}\""));
        let mut diagnostics = Diagnostics::default();
        let word = Spanned::new(text.to_string(), Span::new(file, 0..text.len() + 2));
        let mut parser = Parser { sources: &sources, diagnostics: &mut diagnostics, allows: &mut Vec::new() };
        let Some(read) = parser.metric_ref(&word) else {
            return Err(diagnostics.into_sorted().remove(0).message);
        };
        let MetricRef { selector, aggregate, .. } = read;
        let tags = selector.tags.iter().flat_map(|(tag, value)| [tag, value]);
        let words: Vec<&Word> = [&selector.metric].into_iter().chain(tags).chain(&aggregate).collect();
        words.iter().for_each(|word| assert_eq!(sources.text(word.span), word.value));
        Ok(words.iter().map(|word| word.value.as_str()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn each_part_has_its_place() {
        let right = |text: &str| read(text).expect("a reference");
        assert_eq!(right("http_req_failed"), "http_req_failed");
        assert_eq!(right("http_req_duration.p95"), "http_req_duration p95");
        assert_eq!(right("http_req_duration.p(99.9) "), "http_req_duration p(99.9)");
        assert_eq!(right("http_reqs{name:a.b, status:200}.rate"), "http_reqs name a.b status 200 rate");
    }

    #[test]
    fn what_is_no_reference_says_so() {
        let wrong = |text: &str| read(text).expect_err("no reference");
        assert_eq!(wrong("a."), "`a.` is no reference to a metric");
        assert_eq!(wrong("a{b:c}p95"), "`a{b:c}p95` is no reference to a metric");
        assert_eq!(wrong("a{b:c"), "the selector's `{` is never closed");
        assert_eq!(wrong("a{b:*}"), "`*` stands for several numbers, and one is needed here");
    }
}
