//! `planc fmt`: the same file in the house's layout.
//!
//! Like gofmt it settles what nobody should have to think about (indentation, blanks between tokens, brackets that
//! do not fit a line) and leaves what an author says with layout: the order of keys, single empty lines, quotes, the
//! line breaks of long texts, comments and what they are aligned to. Nothing is ever reordered: the order in which a
//! plan is told is its author's, and the graph is the same in any.
//!
//! Two spaces a level, lists indented below their key, one blank after `:` and inside `{ }`; what is written between
//! brackets stays so on one line of at most 110 columns and becomes a block otherwise. A file that is one bracket as a
//! whole is JSON to someone and is left as it is.

use crate::diagnostic::Diagnostics;
use crate::source::SourceMap;
use crate::yaml::written::{self, Flow, Kind, Node, Written};

/// The longest line that brackets may make.
const WIDTH: usize = 110;
/// YAML reads no longer key without a `?` before it.
const LONGEST_KEY: usize = 1000;

/// Why a text was left alone.
#[derive(Debug)]
pub enum Refusal {
    /// It is not sound YAML.
    Broken {
        /// The text, to show the places.
        sources: SourceMap,
        /// What is wrong.
        diagnostics: Diagnostics,
    },
    /// Formatted, it would mean something else: a mistake of this program.
    Changed,
}

/// The text in the house's layout.
pub fn format(name: &str, text: &str) -> Result<String, Refusal> {
    let mut sources = SourceMap::default();
    let mut diagnostics = Diagnostics::default();
    let file = sources.add(name, text);
    crate::yaml::parse(&sources, file, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(Refusal::Broken { sources, diagnostics });
    }
    let plain = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let before = written::read(&plain).ok_or(Refusal::Changed)?;
    let flow = |node: &Node<'_>| entries(node).is_none() || is_flow(node);
    if before.root.as_ref().is_some_and(flow) {
        return Ok(text.to_string());
    }
    let out = print(&before);
    let same = written::read(&out).is_some_and(|after| {
        let comments = |written: &Written<'_>| written.comments.iter().map(|c| c.text.to_string()).collect();
        let (old, new): (Vec<String>, Vec<String>) = (comments(&before), comments(&after));
        after.meaning == before.meaning && old == new
    });
    // What the parser makes of the text as it came counts, not of the one with its line ends mended.
    let original = written::read(text).is_some_and(|original| original.meaning == before.meaning);
    if same && original { Ok(out) } else { Err(Refusal::Changed) }
}

fn print(written: &Written<'_>) -> String {
    let mut printer = Printer { written, out: String::new(), comment: 0, broken: 0 };
    if let Some(prologue) = &written.prologue {
        let before = written.comments.iter().take_while(|comment| comment.at < prologue.at).count();
        printer.comments(before, 0, true);
        prologue.directives.iter().for_each(|directive| printer.line(0, directive));
        printer.line(0, "---");
        let beside = |comment: &written::Comment<'_>| {
            !comment.blank && comment.leaf == 0 && comment.indent == 0 && comment.column > 0
        };
        if written.comments.get(before).is_some_and(beside) {
            printer.beside(false);
        }
    }
    if let Some(root) = &written.root {
        if !root.properties.is_empty() {
            printer.line(0, &root.properties);
        }
        printer.container(root, 0, None, false);
    }
    let first = printer.out.is_empty();
    printer.comments(written.comments.len(), 0, first);
    printer.out
}

/// The entries of a container: a map's with their keys.
fn entries<'n, 't>(node: &'n Node<'t>) -> Option<Vec<(Option<&'n Node<'t>>, &'n Node<'t>)>> {
    match &node.kind {
        Kind::Sequence { items, .. } => Some(items.iter().map(|item| (None, item)).collect()),
        Kind::Mapping { entries, .. } => {
            Some(entries.iter().map(|(key, value)| (Some(key), value)).collect())
        }
        Kind::Text { .. } | Kind::Block { .. } => None,
    }
}

fn is_flow(node: &Node<'_>) -> bool {
    match &node.kind {
        Kind::Sequence { flow, .. } => *flow,
        Kind::Mapping { flow, .. } => *flow != Flow::Block,
        Kind::Text { .. } | Kind::Block { .. } => false,
    }
}

/// Whether a container has bytes of its own.
fn has_brackets(node: &Node<'_>) -> bool {
    is_flow(node) && !matches!(node.kind, Kind::Mapping { flow: Flow::Pair, .. })
}

/// The first leaf that still has bytes when a container is written as a block.
fn first_leaf(node: &Node<'_>) -> usize {
    let first = entries(node).and_then(|entries| entries.first().map(|(key, value)| key.unwrap_or(value)));
    first.map_or(node.leaves.start, first_leaf)
}

/// Whether the first line of a block ends in the middle of a text, where no comment can stand.
fn goes_on(node: &Node<'_>) -> bool {
    match entries(node).and_then(|entries| entries.first().copied()) {
        Some((_, first)) => goes_on(first),
        None => matches!(node.kind, Kind::Text { raw, .. } if raw.contains('\n')),
    }
}

/// Properties and text with one blank between them.
fn joined(properties: &str, text: &str) -> String {
    let blank = if properties.is_empty() || text.is_empty() { "" } else { " " };
    format!("{properties}{blank}{text}")
}

/// A key on one line.
fn key_text(key: &Node<'_>) -> String {
    let text = match &key.kind {
        Kind::Text { raw, .. } if !raw.contains('\n') => (*raw).to_string(),
        Kind::Text { value, plain: true, .. } if !value.contains('\n') => value.clone(),
        Kind::Text { value, .. } => quoted(value),
        Kind::Block { header, lines } => quoted(&block_value(header, lines)),
        // Keys are texts.
        Kind::Sequence { .. } | Kind::Mapping { .. } => String::new(),
    };
    joined(&key.properties, &text)
}

/// What a literal block scalar says, for one that is a key.
fn block_value(header: &str, lines: &[&str]) -> String {
    let text = lines.join("\n");
    if header.contains('-') || text.is_empty() { text } else { format!("{text}\n") }
}

/// A text in double quotes, as JSON has them.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Printer<'w, 't> {
    written: &'w Written<'t>,
    out: String,
    /// The first comment that is not written yet.
    comment: usize,
    /// How many brackets around the present place become blocks: comments in them were aligned to something else.
    broken: usize,
}

impl Printer<'_, '_> {
    /// Writes the entries of a container as a block. `next` is the old column of the entries that follow it, outside;
    /// `compact` says that a dash stands on the first entry's line already.
    fn container(&mut self, node: &Node<'_>, indent: usize, next: Option<usize>, compact: bool) {
        let Some(all) = entries(node) else { return };
        self.broken += usize::from(is_flow(node));
        for (i, (key, value)) in all.iter().enumerate() {
            let next = if i + 1 == all.len() { next } else { Some(node.column) };
            let (first, compact) = (i == 0, i == 0 && compact);
            match key {
                Some(key) => self.entry(key, value, indent, next, (first, compact)),
                None => self.item(value, indent, next, (first, compact)),
            }
        }
        self.broken -= usize::from(is_flow(node));
        let inside = if has_brackets(node) {
            // All before the closing bracket, and what stands behind it.
            let last = node.leaves.end - 1;
            let rest = &self.written.comments[self.comment..];
            rest.iter().take_while(|c| c.leaf <= last || (c.trailing && c.leaf == last + 1)).count()
        } else {
            let deeper = |column: usize| column >= node.column && next.is_none_or(|next| column > next);
            let rest = &self.written.comments[self.comment..];
            rest.iter().take_while(|c| c.leaf == node.leaves.end && deeper(c.column)).count()
        };
        self.comments(self.comment + inside, indent, false);
    }

    /// Writes `key: value`.
    fn entry(
        &mut self,
        key: &Node<'_>,
        value: &Node<'_>,
        indent: usize,
        next: Option<usize>,
        (first, compact): (bool, bool),
    ) {
        let name = key_text(key);
        let long = name.chars().count() > LONGEST_KEY;
        let head = if long { ":".to_string() } else { format!("{name}:") };
        let inline = self.inline(value, WIDTH.saturating_sub(indent + head.chars().count() + 1));
        let block = inline.is_none() && entries(value).is_some();
        // What stands between the key and a value that follows it on its line goes above both, or behind them.
        let until = if block { key.leaves.start } else { value.leaves.end - 1 };
        let behind = self.open(key.leaves.start, until, value.leaves.end, indent, first);
        if !compact {
            self.indent(indent);
        }
        if long {
            self.out.push_str("? ");
            self.end(&name);
            self.indent(indent);
        }
        self.out.push_str(&head);
        if block {
            self.end(&if value.properties.is_empty() {
                String::new()
            } else {
                format!(" {}", value.properties)
            });
            self.head_comment(value, first_leaf(value));
            return self.container(value, indent + 2, next, false);
        }
        self.value(value, inline, indent, behind);
    }

    /// Writes `- value`.
    fn item(&mut self, value: &Node<'_>, indent: usize, next: Option<usize>, (first, compact): (bool, bool)) {
        let inline = self.inline(value, WIDTH.saturating_sub(indent + 2));
        let block = inline.is_none() && entries(value).is_some();
        let from = if block { first_leaf(value) } else { value.leaves.start };
        // What stands behind brackets that become a block goes behind its first line, where the block is read from.
        let closing = block
            && has_brackets(value)
            && self.upcoming(value.leaves.end - 1) == 0
            && self.is_behind(value.leaves.end);
        let moved = closing.then(|| self.written.comments[self.comment].text);
        self.comment += usize::from(closing);
        if let Some(text) = moved.filter(|_| goes_on(value)) {
            self.line(indent, text);
        }
        let until = if block { from } else { value.leaves.end - 1 };
        let behind = self.open(from, until, value.leaves.end, indent, first);
        if !compact {
            self.indent(indent);
        }
        let start = self.out.len();
        self.out.push('-');
        if !block {
            return self.value(value, inline, indent, behind);
        }
        let compact = value.properties.is_empty();
        match compact {
            true => self.out.push(' '),
            false => self.end(&format!(" {}", value.properties)),
        }
        self.container(value, indent + 2, next, compact);
        if let Some(text) = moved.filter(|_| !goes_on(value)) {
            let end = self.out[start..].find('\n').map_or(self.out.len(), |i| start + i);
            self.out.insert_str(end, &format!(" {text}"));
        }
    }

    /// Writes what stands above an entry: comments before its first leaf and those on the way to `until`, unless one
    /// comment alone can stand behind the entry, which ends with the leaf before `end`.
    fn open(&mut self, head: usize, until: usize, end: usize, indent: usize, first: bool) -> bool {
        let lead = self.upcoming(head);
        let inner = self.upcoming(until) - lead;
        let at = self.comment + lead;
        let next = self.written.comments.get(at + inner);
        let full = next.is_some_and(|c| c.trailing && c.leaf == end);
        let behind = inner == 1 && self.written.comments[at].trailing && !full;
        self.comments(at, indent, first);
        let mut blank = self.written.leaves[head].blank && !(first && lead == 0);
        if inner > 0 && !behind {
            for _ in 0..inner {
                self.blank(std::mem::take(&mut blank));
                self.line(indent, self.written.comments[self.comment].text);
                self.comment += 1;
            }
        }
        self.blank(blank);
        behind
    }

    /// How many comments stand before a leaf and are not written yet.
    fn upcoming(&self, leaf: usize) -> usize {
        self.written.comments[self.comment..].iter().take_while(|comment| comment.leaf <= leaf).count()
    }

    /// Whether the next comment stands behind the leaf before `end`, on its line.
    fn is_behind(&self, end: usize) -> bool {
        self.written.comments.get(self.comment).is_some_and(|c| c.trailing && c.leaf == end)
    }

    /// Writes the comment behind the key of a block.
    fn head_comment(&mut self, value: &Node<'_>, first: usize) {
        let inner = self.upcoming(first);
        let header = inner > 0 && self.written.comments[self.comment].trailing;
        let closing = has_brackets(value)
            && self.upcoming(value.leaves.end - 1) == 0
            && self.is_behind(value.leaves.end);
        if header || closing {
            self.beside(header && !is_flow(value));
        }
    }

    /// Writes a value that starts on the line of its key or dash, with the comment behind it. `behind` says that one
    /// that stood before the value is such a comment.
    fn value(&mut self, value: &Node<'_>, inline: Option<String>, indent: usize, behind: bool) {
        match &value.kind {
            _ if inline.is_some() => {
                let text = inline.unwrap_or_default();
                self.end(&format!("{}{text}", if text.is_empty() { "" } else { " " }));
            }
            Kind::Block { header, lines } => {
                self.end(&format!(" {}", joined(&value.properties, header)));
                if behind {
                    self.beside(true);
                }
                let digit = header.chars().find_map(|c| c.to_digit(10)).map(|digit| digit as usize);
                let inner = indent + digit.unwrap_or(2);
                for line in lines {
                    self.line(if line.is_empty() { 0 } else { inner }, line);
                }
                return;
            }
            Kind::Text { raw, .. } => {
                let mut lines = raw.split('\n');
                let first = lines.next().unwrap_or("");
                self.end(&format!(" {}", joined(&value.properties, first)));
                for line in lines {
                    let line = line.trim_start_matches([' ', '\t']);
                    self.line(if line.is_empty() { 0 } else { indent + 2 }, line);
                }
            }
            Kind::Sequence { .. } | Kind::Mapping { .. } => {}
        }
        if behind || self.is_behind(value.leaves.end) {
            self.beside(true);
        }
    }

    /// A node on one line of so many characters, when it can be written so.
    fn inline(&self, node: &Node<'_>, room: usize) -> Option<String> {
        let text = match &node.kind {
            // A scalar may be as long as it likes.
            Kind::Text { raw, .. } if raw.contains('\n') => return None,
            Kind::Text { raw, .. } => return Some(joined(&node.properties, raw)),
            Kind::Block { .. } => return None,
            Kind::Sequence { flow: true, items } if items.is_empty() => {
                return Some(joined(&node.properties, "[]"));
            }
            Kind::Mapping { entries, .. } if entries.is_empty() => {
                return Some(joined(&node.properties, "{}"));
            }
            _ if !is_flow(node) || self.has_comments(node) => return None,
            Kind::Sequence { items, .. } => {
                format!("[{}]", self.list(items.iter().map(|i| (None, i)), room)?)
            }
            Kind::Mapping { flow, entries } => {
                let list = self.list(entries.iter().map(|(key, value)| (Some(key), value)), room)?;
                match flow {
                    Flow::Pair => {
                        if entries.iter().all(|(_, value)| value.leaves.len() == 1 && is_nothing(value)) {
                            format!("{list}: ")
                        } else {
                            list
                        }
                    }
                    _ => format!("{{ {list} }}"),
                }
            }
        };
        let text = joined(&node.properties, &text);
        (text.chars().count() <= room).then_some(text)
    }

    /// Entries with commas between them.
    fn list<'n, 't: 'n>(
        &self,
        entries: impl Iterator<Item = (Option<&'n Node<'t>>, &'n Node<'t>)>,
        room: usize,
    ) -> Option<String> {
        let mut out = String::new();
        for (key, value) in entries {
            if !out.is_empty() {
                out.push_str(", ");
            }
            if let Some(key) = key {
                out.push_str(&key_text(key));
                if !is_nothing(value) {
                    out.push_str(": ");
                }
            }
            out.push_str(&self.inline(value, room)?);
            if out.len() > 4 * room {
                return None;
            }
        }
        Some(out)
    }

    /// Whether comments stand between a container's brackets.
    fn has_comments(&self, node: &Node<'_>) -> bool {
        let comments = &self.written.comments;
        let at = comments.partition_point(|comment| comment.leaf <= node.leaves.start);
        comments.get(at).is_some_and(|comment| comment.leaf < node.leaves.end)
    }

    /// Writes all comments before the one at `until`, each on its own line.
    fn comments(&mut self, until: usize, indent: usize, mut first: bool) {
        while self.comment < until {
            let comment = &self.written.comments[self.comment];
            self.blank(comment.blank && !first);
            self.line(indent, comment.text);
            self.comment += 1;
            first = false;
        }
    }

    /// Writes a comment behind the line that was written last, in the column that it had when there is room and the
    /// line kept its shape.
    fn beside(&mut self, aligned: bool) {
        let comment = &self.written.comments[self.comment];
        self.comment += 1;
        self.out.pop();
        let start = self.out.rfind('\n').map_or(0, |i| i + 1);
        let line = &self.out[start..];
        let indent = line.len() - line.trim_start_matches(' ').len();
        let column = if aligned && self.broken == 0 {
            (comment.column + indent).saturating_sub(comment.indent)
        } else {
            0
        };
        let gap = column.saturating_sub(line.chars().count()).max(1);
        self.out.extend(std::iter::repeat_n(' ', gap));
        self.end(comment.text);
    }

    fn blank(&mut self, wanted: bool) {
        if wanted {
            self.out.push('\n');
        }
    }

    fn line(&mut self, indent: usize, text: &str) {
        self.indent(indent);
        self.end(text);
    }

    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    /// Ends a line.
    fn end(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }
}

/// A value of which nothing is written.
fn is_nothing(node: &Node<'_>) -> bool {
    node.properties.is_empty() && matches!(node.kind, Kind::Text { raw: "", .. })
}
