//! The rows of a `rows_from` file: a JSON list of objects, an object a line, or CSV with a header.

use super::load::Loader;
use crate::ast::Word;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::Json;
use crate::source::Span;
use std::collections::BTreeSet;
use std::ops::Range;

/// Why a file holds no rows, and where in it.
struct Trouble {
    message: String,
    /// Bytes of the file; the whole of it when there is no one place.
    at: Option<Range<usize>>,
}

impl Trouble {
    fn new(message: impl Into<String>) -> Self {
        Trouble { message: message.into(), at: None }
    }

    fn at(message: impl Into<String>, at: Range<usize>) -> Self {
        Trouble { message: message.into(), at: Some(at) }
    }
}

impl Loader<'_> {
    /// The objects of a file that is named by `word`, told apart by the end of its name.
    pub(super) fn records_of(&mut self, word: &Word, path: &str, text: &str) -> Option<Vec<Json>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let end = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, end)| end);
        let records = match end.to_ascii_lowercase().as_str() {
            "csv" => separated(text, b','),
            "tsv" => separated(text, b'\t'),
            "ndjson" | "jsonl" => lines(text),
            _ => list(text),
        };
        let records = records.and_then(|records| match records.is_empty() {
            true => Err(Trouble::new("holds no row")),
            false => Ok(records),
        });
        match records {
            Ok(records) => Some(records),
            Err(trouble) => {
                self.no_records(word, path, text, trouble);
                None
            }
        }
    }

    fn no_records(&mut self, word: &Word, path: &str, text: &str, trouble: Trouble) {
        let diagnostic = match trouble.at {
            Some(at) => {
                let file = self.sources.add(path, text);
                Diagnostic::error(codes::BAD_JSON, Span::new(file, at), trouble.message)
                    .also(word.span, "its rows are asked for here")
            }
            None => {
                let message = format!("`{}` {}", word.value, trouble.message);
                Diagnostic::error(codes::BAD_JSON, word.span, message)
            }
        };
        self.diagnostics.push(diagnostic);
    }
}

fn list(text: &str) -> Result<Vec<Json>, Trouble> {
    let value: Json = serde_json::from_str(text).map_err(|error| not_json(text, 0, &error))?;
    let Json::Array(items) = value else {
        return Err(Trouble::new("is not a JSON list of objects"));
    };
    match items.iter().position(|item| !item.is_object()) {
        Some(at) => Err(Trouble::new(format!("has an entry that is not an object: the {}", ordinal(at + 1)))),
        None => Ok(items),
    }
}

/// An object a line; blank lines are passed over.
fn lines(text: &str) -> Result<Vec<Json>, Trouble> {
    let mut out = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let value = line.trim();
        if !value.is_empty() {
            let lead = line.len() - line.trim_start().len();
            let at = start + lead..start + lead + value.len();
            let value: Json =
                serde_json::from_str(value).map_err(|error| not_json(text, at.start, &error))?;
            if !value.is_object() {
                return Err(Trouble::at("this line is not an object", at));
            }
            out.push(value);
        }
        start += line.len();
    }
    Ok(out)
}

/// CSV as RFC 4180 has it: the first record names the fields, an empty field is null, all others are text.
fn separated(text: &str, by: u8) -> Result<Vec<Json>, Trouble> {
    let mut reader = csv::ReaderBuilder::new().delimiter(by).has_headers(false).from_reader(text.as_bytes());
    let mut records = reader.records();
    let Some(header) = records.next() else { return Ok(Vec::new()) };
    let header = header.map_err(|error| not_separated(text, &error))?;
    let mut known = BTreeSet::new();
    for (at, name) in header.iter().enumerate() {
        if name.trim().is_empty() {
            return Err(Trouble::at(format!("the {} field has no name", ordinal(at + 1)), line_at(text, 0)));
        }
        if !known.insert(name.trim()) {
            let message = format!("two fields are named `{}`", name.trim());
            return Err(Trouble::at(message, line_at(text, 0)));
        }
    }
    let mut out = Vec::new();
    for record in records {
        let record = record.map_err(|error| not_separated(text, &error))?;
        let fields = header.iter().zip(&record).map(|(name, field)| {
            let value = if field.is_empty() { Json::Null } else { Json::String(field.to_string()) };
            (name.trim().to_string(), value)
        });
        out.push(Json::Object(fields.collect()));
    }
    Ok(out)
}

fn not_separated(text: &str, error: &csv::Error) -> Trouble {
    let start = error.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
    let at = line_at(text, start.min(text.len()));
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let fields = |n: u64| crate::units::count(n, "field");
            Trouble::at(format!("{} here, and the header names {}", fields(*len), fields(*expected_len)), at)
        }
        _ => Trouble::at(error.to_string(), at),
    }
}

fn not_json(text: &str, start: usize, error: &serde_json::Error) -> Trouble {
    // Line and column of the part that was read, both from 1, columns in bytes; column 0 is the end of the line before.
    let before: usize =
        text[start..].split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let byte = (start + before + error.column().saturating_sub(1)).min(text.len().saturating_sub(1));
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    let byte = (0..=byte).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let length = text[byte..].chars().next().map_or(0, char::len_utf8);
    Trouble::at(format!("not JSON: {said}"), byte..byte + length)
}

/// The line that starts at a byte, or that the byte is in when blank lines stand before it.
fn line_at(text: &str, start: usize) -> Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    let start = start + (rest.len() - rest.trim_start_matches(['\r', '\n']).len());
    let end = text[start..].find(['\r', '\n']).map_or(text.len(), |length| start + length);
    start..end
}

fn ordinal(n: usize) -> String {
    let end = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn place(text: &str, trouble: &Trouble) -> String {
        trouble.at.clone().map_or(String::new(), |at| text[at].to_string())
    }

    #[test]
    fn all_forms_give_the_same_rows() {
        let rows = vec![json!({"id": "a", "note": null}), json!({"id": "b", "note": "x, \"y\"\nz"})];
        let comma = "id,note\r\na,\r\n\r\nb,\"x, \"\"y\"\"\nz\"\r\n";
        let tab = "id\tnote\na\t\nb\t\"x, \"\"y\"\"\nz\"";
        let ndjson = "{\"id\":\"a\",\"note\":null}\n\n  {\"id\":\"b\",\"note\":\"x, \\\"y\\\"\\nz\"}";
        for got in [separated(comma, b','), separated(tab, b'\t'), lines(ndjson)] {
            assert_eq!(got.unwrap_or_else(|trouble| panic!("{}", trouble.message)), rows);
        }
        let json = serde_json::to_string(&rows).expect("it can be written");
        assert_eq!(list(&json).map_err(|trouble| trouble.message), Ok(rows));
    }

    #[test]
    fn trouble_is_told_where_it_is() {
        type Reader = fn(&str) -> Result<Vec<Json>, Trouble>;
        let comma: Reader = |text| separated(text, b',');
        for (read, text, message, at) in [
            (comma, "id,name\n1,a\n2\n", "1 field here, and the header names 2 fields", "2"),
            (comma, "id,name\n1,a\n\n2,b,c\n", "3 fields here, and the header names 2 fields", "2,b,c"),
            (comma, "id,id\n1,2\n", "two fields are named `id`", "id,id"),
            (comma, "id,\n1,2\n", "the 2nd field has no name", "id,"),
            (lines, "{\"a\":1}\n{\"a\":}\n", "not JSON: expected value", "}"),
            (lines, "{\"a\":1}\n[1]\n", "this line is not an object", "[1]"),
            (list, "[{\"a\":1},\n {\"ä\" 2}]", "not JSON: expected `:`", "2"),
            (list, "[{\"a\":1}", "not JSON: EOF while parsing a list", "}"),
            (list, "[{}, 3]", "has an entry that is not an object: the 2nd", ""),
            (list, "{}", "is not a JSON list of objects", ""),
        ] {
            let trouble = read(text).expect_err(text);
            assert_eq!((trouble.message.as_str(), place(text, &trouble).as_str()), (message, at), "{text}");
        }
    }

    #[test]
    fn nothing_makes_it_panic() {
        for text in [
            "",
            "\n",
            "\"",
            "a,b\n\"",
            "a\n\u{feff}\"x",
            "ä",
            "[",
            "{\"",
            "\"ä",
            "a,b\r\r\n1,2,3",
            "{\"a\":\"ä",
        ] {
            for read in [
                list as fn(&str) -> _,
                lines,
                |text: &str| separated(text, b','),
                |text: &str| separated(text, b'\t'),
            ] {
                let _: Result<Vec<Json>, Trouble> = read(text);
            }
        }
    }
}
