//! Texts that YAML reads as something else: found only after the parser failed, by a small lexer
//! that knows lines, quotes, brackets and block scalars. Each gets its own diagnostic with the fix.

use super::load::{Problem, load};
use super::{DASH_WITHOUT_BLANK, TAB, UNQUOTED_TEMPLATE, UNQUOTED_TEXT};
use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Span};
use std::ops::Range;

/// A value that needs quotes.
#[derive(Debug, Clone)]
pub(super) struct Trap {
    /// The value's bytes.
    pub(super) range: Range<usize>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Template,
    Reserved(char),
    Bracket,
    Colon,
}

impl Trap {
    /// What to tell the user.
    pub(super) fn diagnostic(&self, file: FileId, text: &str) -> Diagnostic {
        let span = Span::new(file, self.range.clone());
        let value = &text[self.range.clone()];
        let quoted = quote(value);
        let (code, message) = match self.kind {
            Kind::Template => (
                UNQUOTED_TEMPLATE,
                "a template needs quotes here: YAML reads its braces as a map".to_string(),
            ),
            Kind::Reserved(c) => (UNQUOTED_TEXT, format!("a text that starts with `{c}` needs quotes")),
            Kind::Bracket => {
                (UNQUOTED_TEXT, "a text with brackets in it needs quotes between brackets".to_string())
            }
            Kind::Colon => (UNQUOTED_TEXT, "a text with `: ` in it needs quotes".to_string()),
        };
        Diagnostic::error(code, span, message).help(format!("write `{quoted}`")).suggest(span, quoted)
    }
}

/// A value in quotes: double ones unless the text has them or a backslash.
pub(super) fn quote(value: &str) -> String {
    let value = without_curly(value).unwrap_or(value);
    if value.contains(['"', '\\']) {
        format!("'{}'", value.replace('\'', "''"))
    } else {
        format!("\"{value}\"")
    }
}

/// The text between the quotes that a word processor makes, which mean nothing to YAML.
pub(super) fn without_curly(value: &str) -> Option<&str> {
    let inner = value.strip_prefix(['“', '”', '„', '‘', '’'])?;
    inner.strip_suffix(['“', '”', '‘', '’'])
}

/// All traps of a range of lines, and the place of a quote that is never closed.
pub(super) fn find(text: &str, range: Range<usize>, problem: &Problem) -> (Vec<Trap>, Option<usize>) {
    let mut lexer = Lexer {
        text,
        at: range.start,
        end: range.end,
        colons: problem.stray_colon,
        traps: Vec::new(),
        unclosed: None,
    };
    let mut plain_indent = None;
    while lexer.at < lexer.end {
        plain_indent = lexer.line(plain_indent);
    }
    lexer.traps.retain(|trap| !trap.range.is_empty());
    (lexer.traps, lexer.unclosed)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    end: usize,
    /// Whether `: ` in a plain text is worth telling.
    colons: bool,
    traps: Vec<Trap>,
    unclosed: Option<usize>,
}

impl Lexer<'_> {
    /// Reads one line (and what its value goes on for). `plain` is the indentation of the line whose plain
    /// text may go on here; the result is the same for the next line.
    fn line(&mut self, plain: Option<usize>) -> Option<usize> {
        let line = self.rest_of_line(self.at).to_string();
        let indent = line.len() - line.trim_start_matches(' ').len();
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            self.skip_line();
            return plain;
        }
        let mut start = self.at + indent;
        let mut dashed = false;
        while self.text[start..].starts_with("- ") {
            dashed = true;
            let rest = self.rest_of_line(start + 1);
            start += 1 + rest.len() - rest.trim_start_matches(' ').len();
        }
        let key = key_length(self.rest_of_line(start));
        if plain.is_some_and(|outer| indent > outer) && key.is_none() && !dashed {
            self.skip_line();
            return plain;
        }
        let value = match key {
            Some(length) => {
                let rest = self.rest_of_line(start + length);
                start + length + rest.len() - rest.trim_start().len()
            }
            None => start,
        };
        self.at = value.min(self.end);
        self.value(indent, key.is_some())
    }

    /// Classifies the value at the present place and goes to the next line after it.
    fn value(&mut self, indent: usize, keyed: bool) -> Option<usize> {
        let rest = self.rest_of_line(self.at);
        let first = rest.chars().next();
        match first {
            None | Some('#') => {
                self.skip_line();
                return None;
            }
            Some('"' | '\'') => {
                self.skip_quoted();
                self.skip_line();
                return None;
            }
            Some('|' | '>') => {
                self.skip_line();
                self.skip_deeper(indent);
                return None;
            }
            _ => {}
        }
        let end = self.at + plain_length(rest);
        if rest.starts_with("{{") || rest.starts_with("{%") {
            self.push(Kind::Template, self.at..end);
        } else if let Some(c @ ('@' | '`' | '%')) = first {
            self.push(Kind::Reserved(c), self.at..end);
        } else if rest.starts_with(['[', '{']) {
            self.flow();
            self.skip_line();
            return None;
        } else if let Some('*') = first.filter(|_| self.text[self.at..end].contains(char::is_whitespace)) {
            self.push(Kind::Reserved('*'), self.at..end);
        } else if self.colons && keyed && self.text[self.at..end].contains(": ") {
            self.push(Kind::Colon, self.at..end);
        }
        self.skip_line();
        Some(indent)
    }

    /// Reads a flow collection to its closing bracket.
    fn flow(&mut self) {
        let mut depth = 0usize;
        while self.at < self.end {
            let rest = &self.text[self.at..self.end];
            let Some(c) = rest.chars().next() else { return };
            match c {
                '{' if depth > 0 && (rest.starts_with("{{") || rest.starts_with("{%")) => self.flow_text(),
                '[' | '{' => {
                    depth += 1;
                    self.at += 1;
                }
                ']' | '}' => {
                    self.at += 1;
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return;
                    }
                }
                '"' | '\'' => self.skip_quoted(),
                '#' if self.text[..self.at].ends_with(char::is_whitespace) => self.skip_line(),
                ',' | ':' => self.at += 1,
                c if c.is_whitespace() => self.at += c.len_utf8(),
                _ => self.flow_text(),
            }
        }
    }

    /// Reads a plain text between brackets: to a `,`, a closing bracket that it did not open, or `: `.
    fn flow_text(&mut self) {
        let start = self.at;
        let rest = &self.text[start..self.end];
        let mut open = 0usize;
        let mut length = rest.len();
        for (i, c) in rest.char_indices() {
            let stop = match c {
                '[' | '{' => {
                    open += 1;
                    false
                }
                ']' | '}' if open > 0 => {
                    open -= 1;
                    false
                }
                ']' | '}' | '\n' => true,
                ',' => open == 0,
                ':' => open == 0 && rest[i + 1..].starts_with([' ', '\n']),
                _ => false,
            };
            if stop {
                length = i;
                break;
            }
        }
        let text = rest[..length].trim_end();
        let range = start..start + text.len();
        self.at = (start + length).max(start + 1);
        let first = text.chars().next().unwrap_or(' ');
        if text.contains("{{") || text.contains("{%") {
            self.push(Kind::Template, range);
        } else if text.contains(['[', '{']) {
            self.push(Kind::Bracket, range);
        } else if matches!(first, '@' | '`' | '%') {
            self.push(Kind::Reserved(first), range);
        }
    }

    fn push(&mut self, kind: Kind, range: Range<usize>) {
        self.traps.push(Trap { range, kind });
    }

    fn rest_of_line(&self, at: usize) -> &str {
        let rest = &self.text[at.min(self.end)..self.end];
        rest.split(['\n', '\r']).next().unwrap_or("")
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.at.min(self.end)..self.end];
        self.at = rest.find('\n').map_or(self.end, |i| self.at + i + 1);
    }

    fn skip_deeper(&mut self, indent: usize) {
        while self.at < self.end {
            let line = self.rest_of_line(self.at);
            let blank = line.trim().is_empty();
            if !blank && line.len() - line.trim_start_matches(' ').len() <= indent {
                return;
            }
            self.skip_line();
        }
    }

    /// Goes behind the quoted text at the present place, or to the end when it is not closed.
    fn skip_quoted(&mut self) {
        let bytes = self.text.as_bytes();
        let quote = bytes[self.at];
        self.unclosed = self.unclosed.or(Some(self.at));
        self.at += 1;
        while self.at < self.end {
            match bytes[self.at] {
                b'\\' if quote == b'"' => self.at += 2,
                c if c == quote => {
                    self.at += 1;
                    // Two single quotes are one quote inside.
                    if quote == b'\'' && bytes.get(self.at) == Some(&b'\'') {
                        self.at += 1;
                        continue;
                    }
                    self.unclosed = None;
                    break;
                }
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(self.end);
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }
}

/// Length of `key: ` or `key:` at the end of the line, colon included.
fn key_length(line: &str) -> Option<usize> {
    let quote = line.chars().next().filter(|c| matches!(c, '"' | '\''));
    if let Some(quote) = quote {
        let close = line[1..].find(quote)? + 2;
        return line[close..].starts_with(':').then_some(close + 1);
    }
    if line.starts_with(['{', '[', '@', '`', '%', '|', '>', '#']) {
        return None;
    }
    line.char_indices().find_map(|(i, c)| {
        let end = &line[i + c.len_utf8()..];
        (c == ':' && (end.is_empty() || end.starts_with([' ', '\t']))).then_some(i + 1)
    })
}

/// Length of a plain text on a line, without the comment and blanks behind it.
fn plain_length(rest: &str) -> usize {
    let end = rest.find(" #").unwrap_or(rest.len());
    rest[..end].trim_end().len()
}

/// A line that is wrong in its first bytes, so that nothing around it parses.
#[derive(Debug)]
pub(super) enum Slip {
    /// Indentation with a tab in it, and the blanks that are likely meant.
    Tab { indentation: Range<usize>, width: usize, alone: bool },
    /// `-post:` where `- post:` is meant: the dash.
    Dash(Range<usize>),
}

impl Slip {
    pub(super) fn diagnostic(&self, file: FileId, text: &str) -> Diagnostic {
        match self {
            Slip::Tab { indentation, width, alone } => {
                let tab =
                    text[indentation.clone()].find('\t').map_or(indentation.start, |i| indentation.start + i);
                let span = Span::new(file, tab..tab + 1);
                let diagnostic = Diagnostic::error(TAB, span, "a tab where YAML wants blanks");
                match alone {
                    true => diagnostic
                        .help("indent with blanks, two for each level")
                        .suggest(Span::new(file, indentation.clone()), " ".repeat(*width)),
                    // How deep the lines are meant to be, the lines around them do not tell.
                    false => diagnostic.help("indent every line with blanks, two for each level"),
                }
            }
            Slip::Dash(dash) => {
                let word = text[dash.end..].split([':', ' ', '\n', '\r']).next().unwrap_or("");
                let message = format!("`-{word}` is a key, not a list entry");
                let span = Span::new(file, dash.clone());
                Diagnostic::error(DASH_WITHOUT_BLANK, span, message)
                    .help(format!("write a blank after the dash: `- {word}`"))
                    .suggest(span, "- ")
            }
        }
    }
}

/// The lines of a block with a tab before the key, or else with a dash that sticks to its key, when mending them
/// brings the parser further. `piece` is the block as far as it is mended.
pub(super) fn slips(text: &str, block: Range<usize>, piece: &str) -> Vec<Slip> {
    let reached = |piece: &str| load(piece).map_or_else(|problem| problem.at, |_| usize::MAX);
    let before = reached(piece);
    for of in [tabs as fn(&str) -> Vec<Slip>, dashes] {
        let mut found = of(piece);
        // From the end, so that places further up stay true.
        let mut mended = piece.to_string();
        for slip in found.iter().rev() {
            match slip {
                Slip::Tab { indentation, width, .. } => {
                    mended.replace_range(indentation.clone(), &" ".repeat(*width));
                }
                Slip::Dash(dash) => mended.replace_range(dash.clone(), "- "),
            }
        }
        let tab_first = matches!(found.first(), Some(Slip::Tab { .. })) && load(piece).is_err_and(|p| p.tab);
        if !found.is_empty() && (tab_first || reached(&mended) > before + mended.len().abs_diff(piece.len()))
        {
            // One tab that explains all that is wrong can be mended; of many, the first stands for them.
            let mends = load(&mended).is_ok();
            if let [Slip::Tab { alone, .. }, rest @ ..] = found.as_mut_slice() {
                *alone = rest.is_empty() && mends;
                found.truncate(1);
            }
            for slip in &mut found {
                match slip {
                    Slip::Tab { indentation: range, .. } | Slip::Dash(range) => {
                        *range = block.start + range.start..block.start + range.end;
                    }
                }
            }
            debug_assert!(found.iter().all(|slip| match slip {
                Slip::Tab { indentation: range, .. } | Slip::Dash(range) => text.get(range.clone()).is_some(),
            }));
            return found;
        }
    }
    Vec::new()
}

fn tabs(piece: &str) -> Vec<Slip> {
    let mut out = Vec::new();
    let mut at = 0;
    // Where a key under the last line would stand.
    let mut inner = 0;
    for line in piece.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            at += line.len();
            continue;
        }
        let mut width = indent;
        if line[..indent].contains('\t') {
            width = inner;
            out.push(Slip::Tab { indentation: at..at + indent, width, alone: false });
        }
        let dash = if content.starts_with("- ") { 2 } else { 0 };
        inner = width + dash + if content.ends_with(':') { 2 } else { 0 };
        at += line.len();
    }
    out
}

fn dashes(piece: &str) -> Vec<Slip> {
    let mut out = Vec::new();
    let mut at = 0;
    for line in piece.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let word = line[indent..]
            .strip_prefix('-')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
        if word.is_some_and(|word| key_length(word.trim_end_matches(['\n', '\r'])).is_some()) {
            out.push(Slip::Dash(at + indent..at + indent + 1));
        }
        at += line.len();
    }
    out
}
