//! YAML as it stands while someone is typing: a tree of places that no text keeps from being made.
//!
//! `yaml::parse` refuses what is not YAML, and blanks a whole block for one slip. An editor needs the opposite: where the
//! cursor is, whatever stands around it. So this reads indentation and brackets and nothing else, in one pass, and
//! whoever needs a value that holds asks the compiler.

use std::ops::Range;

/// The deepest nesting that is told apart.
const MAX_DEPTH: usize = 64;
/// So far down an open bracket or quote is looked for its end.
const MAX_LINES: usize = 400;

/// A value and its place: for scalars the text without quotes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) range: Range<usize>,
    pub(super) kind: NodeKind,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NodeKind {
    Nothing,
    Scalar,
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: Range<usize>,
    pub(super) name: String,
    /// False for a word that stands where a key belongs and has no colon yet.
    pub(super) colon: bool,
    pub(super) value: Node,
}

impl Node {
    fn nothing(at: usize) -> Self {
        Node { range: at..at, kind: NodeKind::Nothing }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        match &self.kind {
            NodeKind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list, or the one value that stands for a list of one.
    pub(super) fn items(&self) -> &[Node] {
        match &self.kind {
            NodeKind::List(items) => items,
            NodeKind::Nothing => &[],
            _ => std::slice::from_ref(self),
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.name == key && entry.colon)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The scalar's own bytes.
    pub(super) fn text<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self.kind {
            NodeKind::Scalar => text.get(self.range.clone()),
            _ => None,
        }
    }
}

/// Reads a text.
pub(super) fn read(text: &str) -> Node {
    let mut reader = Reader { text, lines: lines(text), line: 0, at: 0, depth: 0 };
    reader.at = reader.lines.first().map_or(text.len(), |line| line.content);
    let mut root = reader.block();
    // What stands further left than the first line.
    while reader.line < reader.lines.len() {
        let more = reader.block();
        join(&mut root, more);
    }
    root
}

/// A line that says something.
struct Line {
    start: usize,
    /// First byte that is not a blank.
    content: usize,
    end: usize,
}

/// The lines, without those that are empty, a comment or a document's mark.
fn lines(text: &str) -> Vec<Line> {
    let mut out = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.trim_end().len();
        let content = start + (line.len() - line.trim_start_matches([' ', '\t', '\u{feff}']).len());
        let said = text.get(content..end).unwrap_or("");
        let mark = content == start && (said == "..." || said.starts_with("---") || said.starts_with('%'));
        if !said.is_empty() && !said.starts_with('#') && !mark {
            out.push(Line { start, content, end });
        }
        start += line.len();
    }
    out
}

/// Puts what stands at an odd indentation to what it was likely meant to belong to.
fn join(to: &mut Node, more: Node) {
    let end = more.range.end;
    match (&mut to.kind, more.kind) {
        (NodeKind::Map(entries), NodeKind::Map(others)) => entries.extend(others),
        (NodeKind::List(items), NodeKind::List(others)) => items.extend(others),
        (kind @ (NodeKind::Nothing | NodeKind::Scalar), other) if other != NodeKind::Nothing => *kind = other,
        _ => return,
    }
    to.range.end = to.range.end.max(end);
}

struct Reader<'t> {
    text: &'t str,
    lines: Vec<Line>,
    line: usize,
    /// Where on the line reading goes on.
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn column(&self) -> usize {
        self.lines.get(self.line).map_or(0, |line| self.at - line.start)
    }

    fn rest(&self) -> &str {
        self.lines.get(self.line).and_then(|line| self.text.get(self.at..line.end)).unwrap_or("")
    }

    fn next_line(&mut self) {
        self.line += 1;
        self.at = self.lines.get(self.line).map_or(self.text.len(), |line| line.content);
    }

    /// Goes on with the first line that begins after a byte.
    fn after(&mut self, byte: usize) {
        while self.lines.get(self.line).is_some_and(|line| line.start < byte) {
            self.line += 1;
        }
        self.at = self.lines.get(self.line).map_or(self.text.len(), |line| line.content);
    }

    /// Whether reading stands on a line further right than a column.
    fn deeper(&self, column: usize) -> bool {
        self.line < self.lines.len() && self.column() > column
    }

    /// The list or map that begins here.
    fn block(&mut self) -> Node {
        if self.depth >= MAX_DEPTH {
            let at = self.at;
            self.next_line();
            return Node::nothing(at);
        }
        self.depth += 1;
        let node = if is_dash(self.rest()) { self.list() } else { self.map() };
        self.depth -= 1;
        node
    }

    fn list(&mut self) -> Node {
        let (start, column) = (self.at, self.column());
        let mut items = Vec::new();
        while self.line < self.lines.len() && self.column() == column && is_dash(self.rest()) {
            let dash = self.at + 1;
            self.at = dash + blanks(&self.text[dash..]);
            let item = match self.rest() {
                "" => self.below(column, dash, false),
                rest if rest.starts_with('#') => self.below(column, dash, false),
                rest if is_dash(rest) || key(rest).is_some() => self.block(),
                _ => self.inline(column),
            };
            items.push(item);
            self.stray(column, items.last_mut());
        }
        let end = items.last().map_or(start, |item| item.range.end);
        Node { range: start..end.max(start), kind: NodeKind::List(items) }
    }

    fn map(&mut self) -> Node {
        let (start, column) = (self.at, self.column());
        let mut entries: Vec<Entry> = Vec::new();
        while self.line < self.lines.len() && self.column() == column {
            if is_dash(self.rest()) {
                // A list where a key should be: what stands in it is read and belongs to nobody.
                if column == 0 || entries.is_empty() {
                    self.list();
                    continue;
                }
                break;
            }
            let entry = self.entry(column);
            entries.push(entry);
            self.stray(column, entries.last_mut().map(|entry| &mut entry.value));
        }
        let end = entries.last().map_or(start, |entry| entry.value.range.end.max(entry.key.end));
        Node { range: start..end, kind: NodeKind::Map(entries) }
    }

    fn entry(&mut self, column: usize) -> Entry {
        let at = self.at;
        let Some(found) = key(self.rest()) else {
            let end = at + plain(self.rest());
            let name = self.text[at..end].to_string();
            self.next_line();
            return Entry { key: at..end, name, colon: false, value: Node::nothing(end) };
        };
        let (range, colon) = (at + found.name.start..at + found.name.end, at + found.colon);
        let name = self.text[range.clone()].to_string();
        self.at = colon + 1 + blanks(&self.text[colon + 1..]);
        let value = match self.rest() {
            "" => self.below(column, colon + 1, true),
            rest if rest.starts_with('#') => self.below(column, colon + 1, true),
            _ => self.inline(column),
        };
        Entry { key: range, name, colon: true, value }
    }

    /// The value on the lines below; a list may stand as far left as its key.
    fn below(&mut self, column: usize, at: usize, of_key: bool) -> Node {
        self.next_line();
        let list = of_key && self.line < self.lines.len() && self.column() == column && is_dash(self.rest());
        if self.deeper(column) || list { self.block() } else { Node::nothing(at) }
    }

    /// What is still further right once a value was read: an odd indentation, or text on more lines.
    fn stray(&mut self, column: usize, value: Option<&mut Node>) {
        let Some(value) = value else { return };
        while self.deeper(column) {
            if value.kind == NodeKind::Scalar && key(self.rest()).is_none() && !is_dash(self.rest()) {
                value.range.end = self.lines[self.line].end;
                self.next_line();
                continue;
            }
            let more = self.block();
            join(value, more);
        }
    }

    /// A value that begins on its key's or dash's line.
    fn inline(&mut self, column: usize) -> Node {
        self.skip_properties();
        let at = self.at;
        let Some(first) = self.rest().chars().next() else {
            return self.below(column, at, true);
        };
        if matches!(first, '|' | '>') {
            return self.literal(column);
        }
        let line_end = self.lines[self.line].end;
        let end = self.reach(column);
        if matches!(first, '{' | '[') && !self.rest().starts_with("{{") {
            let mut flow = Flow { text: &self.text[..end], at, depth: self.depth, closed: true };
            let mut node = flow.value();
            if !flow.closed {
                flow = Flow { text: &self.text[..line_end], at, depth: self.depth, closed: true };
                node = flow.value();
            }
            let stopped = flow.at;
            self.after(stopped.max(at + 1));
            return node;
        }
        if matches!(first, '"' | '\'') {
            let close =
                close_quote(&self.text[..end], at).or_else(|| close_quote(&self.text[..line_end], at));
            let close = close.unwrap_or(line_end);
            self.after(close.max(at + 1));
            return Node { range: at + 1..close.max(at + 1), kind: NodeKind::Scalar };
        }
        let end = at + plain(self.rest());
        self.next_line();
        Node { range: at..end, kind: NodeKind::Scalar }
    }

    /// Anchors and tags.
    fn skip_properties(&mut self) {
        while self.rest().starts_with(['&', '!']) {
            let rest = self.rest();
            let word = rest.find(' ').unwrap_or(rest.len());
            let skipped = word + blanks(&rest[word..]);
            self.at += skipped;
        }
    }

    /// `|` or `>` and the lines that belong to it.
    fn literal(&mut self, column: usize) -> Node {
        let start = self.at;
        let mut end = self.lines[self.line].end;
        self.next_line();
        let first = self.at;
        while self.deeper(column) {
            end = self.lines[self.line].end;
            self.next_line();
        }
        let start = if first < end { first } else { start };
        Node { range: start..end, kind: NodeKind::Scalar }
    }

    /// How far a bracket or quote that opens here may reach: to the next line that is not further right.
    fn reach(&self, column: usize) -> usize {
        let below = self.lines.iter().skip(self.line + 1).take(MAX_LINES);
        let mut end = self.lines[self.line].end;
        for line in below {
            let closes = self.text[line.content..line.end].starts_with(['}', ']']);
            if line.content - line.start <= column && !closes {
                break;
            }
            end = line.end;
        }
        end
    }
}

/// A reader of brackets.
struct Flow<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    closed: bool,
}

impl Flow<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let blanks = rest.len() - rest.trim_start().len();
            let comment = match rest[blanks..].starts_with('#') {
                true => rest[blanks..].find('\n').unwrap_or(rest.len() - blanks),
                false => 0,
            };
            self.at += blanks + comment;
            if comment == 0 {
                return;
            }
        }
    }

    fn value(&mut self) -> Node {
        self.skip();
        let at = self.at;
        match self.rest().chars().next() {
            None | Some(',' | '}' | ']') => Node::nothing(at),
            Some('{' | '[') if self.depth >= MAX_DEPTH && !template(self.rest()) => {
                self.closed = false;
                self.at = self.text.len();
                Node::nothing(at)
            }
            Some('{') if !template(self.rest()) => self.nested('}', Self::map),
            Some('[') => self.nested(']', Self::list),
            Some('"' | '\'') => match close_quote(self.text, at) {
                Some(close) => {
                    self.at = close + 1;
                    Node { range: at + 1..close, kind: NodeKind::Scalar }
                }
                None => {
                    self.closed = false;
                    self.at = self.text.len();
                    Node { range: at + 1..self.at, kind: NodeKind::Scalar }
                }
            },
            Some(_) => {
                let end = flow_plain(self.rest());
                self.at += end.max(1);
                while !self.text.is_char_boundary(self.at) {
                    self.at += 1;
                }
                let end = (at + end).max(at);
                Node { range: at..end, kind: NodeKind::Scalar }
            }
        }
    }

    fn nested(&mut self, close: char, inner: fn(&mut Self) -> NodeKind) -> Node {
        let start = self.at;
        self.at += 1;
        self.depth += 1;
        let kind = inner(self);
        self.depth -= 1;
        if self.rest().starts_with(close) {
            self.at += 1;
        } else {
            self.closed = false;
        }
        Node { range: start..self.at, kind }
    }

    fn map(&mut self) -> NodeKind {
        let mut entries = Vec::new();
        loop {
            self.skip();
            match self.rest().chars().next() {
                None | Some('}' | ']') => return NodeKind::Map(entries),
                Some(',') => self.at += 1,
                Some(_) => {
                    let before = self.at;
                    let (key, value) = self.pair();
                    entries.push(self.entry(key, value));
                    if self.at == before {
                        self.at = self.text.len();
                    }
                }
            }
        }
    }

    /// A value, and the value after its colon when it turns out to be a key.
    fn pair(&mut self) -> (Node, Option<Node>) {
        let key = self.value();
        let at = self.at;
        self.skip();
        if !self.rest().starts_with(':') {
            self.at = at;
            return (key, None);
        }
        self.at += 1;
        let value = self.value();
        (key, Some(value))
    }

    fn entry(&self, key: Node, value: Option<Node>) -> Entry {
        let name = self.text.get(key.range.clone()).unwrap_or("").to_string();
        let colon = value.is_some();
        Entry { value: value.unwrap_or(Node::nothing(key.range.end)), key: key.range, name, colon }
    }

    fn list(&mut self) -> NodeKind {
        let mut items = Vec::new();
        loop {
            self.skip();
            match self.rest().chars().next() {
                None | Some('}' | ']') => return NodeKind::List(items),
                Some(',') => self.at += 1,
                Some(_) => {
                    let before = self.at;
                    let (key, value) = self.pair();
                    // `[get: /x]` is a list with a map of one key.
                    items.push(match value {
                        Some(_) => {
                            let entry = self.entry(key, value);
                            let range = entry.key.start..entry.value.range.end.max(entry.key.end);
                            Node { range, kind: NodeKind::Map(vec![entry]) }
                        }
                        None => key,
                    });
                    if self.at == before {
                        self.at = self.text.len();
                    }
                }
            }
        }
    }
}

/// Where a key's name and its colon are.
struct Key {
    name: Range<usize>,
    colon: usize,
}

/// The key that a line begins with.
fn key(rest: &str) -> Option<Key> {
    let ends = |at: usize| rest[at + 1..].chars().next().is_none_or(|c| c == ' ' || c == '\t');
    if rest.starts_with(['"', '\'']) {
        let close = close_quote(rest, 0)?;
        let colon = close + 1 + blanks(&rest[close + 1..]);
        return (rest[colon..].starts_with(':') && ends(colon)).then_some(Key { name: 1..close, colon });
    }
    if rest.starts_with(['{', '[', '#', '|', '>', '&', '*', '!']) && !rest.starts_with("*:") {
        return None;
    }
    let until = plain(rest);
    let colon = rest[..until].match_indices(':').map(|(at, _)| at).find(|at| ends(*at))?;
    Some(Key { name: 0..rest[..colon].trim_end().len(), colon })
}

fn is_dash(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

/// Length of a text without quotes: to a comment or the end of its line.
fn plain(rest: &str) -> usize {
    let comment =
        rest.match_indices('#').find(|(at, _)| rest[..*at].ends_with([' ', '\t'])).map(|(at, _)| at);
    rest[..comment.unwrap_or(rest.len())].trim_end().len()
}

/// Whether a template begins here that lacks its quotes; the compiler says so.
fn template(rest: &str) -> bool {
    rest.starts_with("{{") && rest.lines().next().is_some_and(|line| line.contains("}}"))
}

/// Length of a text without quotes inside brackets.
fn flow_plain(rest: &str) -> usize {
    let mut at = 0;
    while let Some(c) = rest[at..].chars().next() {
        if template(&rest[at..]) {
            at += rest[at..].find("}}").map_or(2, |close| close + 2);
            continue;
        }
        let after = &rest[at + c.len_utf8()..];
        match c {
            ',' | '{' | '}' | '[' | ']' | '\n' => break,
            ':' if after.is_empty()
                || after.starts_with([' ', '\t', '\n', '\r', ',', '{', '}', '[', ']']) =>
            {
                break;
            }
            '#' if rest[..at].ends_with([' ', '\t']) => break,
            _ => at += c.len_utf8(),
        }
    }
    rest[..at].trim_end().len()
}

/// Where the quote that opens at a byte closes.
fn close_quote(text: &str, open: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let quote = *bytes.get(open)?;
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 1,
            byte if byte == quote && quote == b'\'' && bytes.get(at + 1) == Some(&quote) => at += 1,
            byte if byte == quote => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn show(text: &str, node: &Node) -> String {
        match &node.kind {
            NodeKind::Nothing => "~".into(),
            NodeKind::Scalar => text[node.range.clone()].replace('\n', "⏎"),
            NodeKind::List(items) => {
                format!("[{}]", items.iter().map(|item| show(text, item)).collect::<Vec<_>>().join(", "))
            }
            NodeKind::Map(entries) => {
                let entry = |e: &Entry| match e.colon {
                    true => format!("{}: {}", e.name, show(text, &e.value)),
                    false => format!("{}?", e.name),
                };
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[test]
    fn whole_and_torn() {
        for (text, tree) in [
            ("", "{}"),
            ("a: 1\nb:\n  c: x y # z\n  d: 'it''s'\n", "{a: 1, b: {c: x y, d: it''s}}"),
            ("a:\n- 1\n- b: 2\n  c: 3\nd: 4\n", "{a: [1, {b: 2, c: 3}], d: 4}"),
            ("a: { b: [1, 'x'], c: {d: e}, f }\n", "{a: {b: [1, x], c: {d: e}, f?}}"),
            ("a: [get: /x, { b: c }, d]\n", "{a: [{get: /x}, {b: c}, d]}"),
            ("a: |\n  x: 1\n  - y\nb: 2\n", "{a: x: 1⏎  - y, b: 2}"),
            ("a: one\n  two\nb: 2\n", "{a: one⏎  two, b: 2}"),
            ("m{s:a,t:b}: [\"p(95) < 1s\"]\n", "{m{s:a,t:b}: [p(95) < 1s]}"),
            // Being typed.
            ("a:\n  b: 1\n  ex\n  c: 2\n", "{a: {b: 1, ex?, c: 2}}"),
            ("a: { b: 1, ex\nc: 2\n", "{a: {b: 1, ex?}, c: 2}"),
            ("a: { b: \"x\nc: 2\n", "{a: {b: x}, c: 2}"),
            ("a: [1, \nc: 2\n", "{a: [1], c: 2}"),
            ("a: \"{{ x\nc: 2\n", "{a: {{ x, c: 2}"),
            ("a:\n    b: 1\n  c: 2\n", "{a: {b: 1, c: 2}}"),
            ("a:\n  -\n  - b\n", "{a: [~, b]}"),
            ("a:\n  - - b\n    - c\n", "{a: [[b, c]]}"),
            ("a: {\n  b: 1,\n  c: 2\n}\nd: 3\n", "{a: {b: 1, c: 2}, d: 3}"),
            ("a: { get: /x/{{ y }}, b: 1 }\n", "{a: {get: /x/{{ y }}, b: 1}}"),
            ("a: {{ x }}/y\nb: { c: {{ z }} }\n", "{a: {{ x }}/y, b: {c: {{ z }}}}"),
            ("a: &x { b: 1 }\nc: *x\n", "{a: {b: 1}, c: *x}"),
            ("- a\nb: 1\n", "[a]"),
        ] {
            assert_eq!(show(text, &read(text)), tree, "{text}");
        }
    }

    fn inside(node: &Node, text: &str) {
        assert!(text.get(node.range.clone()).is_some(), "{:?} of {text:?}", node.range);
        node.entries().iter().for_each(|e| {
            assert!(text.get(e.key.clone()).is_some(), "{:?} of {text:?}", e.key);
            inside(&e.value, text);
        });
        if let NodeKind::List(items) = &node.kind {
            items.iter().for_each(|item| inside(item, text));
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_tree(text in "\\PC{0,60}|[-a: \r\n\t{}\\[\\]\"'&*!|>%@`#?,é]{0,80}") {
            inside(&read(&text), &text);
        }
    }

    #[test]
    fn depth_is_bounded() {
        for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "a:\n".repeat(9)] {
            inside(&read(&text), &text);
        }
    }
}
