//! A file as it is written, for those who write it again: leaves and comments in the order of the text, and what the
//! tree says without its layout, to tell that two texts mean the same.

use granit_parser::{Event, Options, Parser, ScalarStyle, StructureStyle};
use std::collections::VecDeque;
use std::ops::Range;

/// A document with its comments. Made only of texts that [`super::parse`] takes without a complaint.
#[derive(Debug, Default)]
pub(crate) struct Written<'t> {
    pub(crate) root: Option<Node<'t>>,
    /// What has bytes of its own: scalars, aliases, brackets.
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) comments: Vec<Comment<'t>>,
    /// Lines before `---`, when there is one.
    pub(crate) prologue: Option<Prologue<'t>>,
    /// All but layout and comments.
    pub(crate) meaning: Vec<Fact>,
}

/// `%YAML 1.2` and the like, and where the `---` after them begins.
#[derive(Debug)]
pub(crate) struct Prologue<'t> {
    pub(crate) directives: Vec<&'t str>,
    pub(crate) at: usize,
}

/// Something with bytes of its own.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// Whether an empty line stands between it and what comes before it.
    pub(crate) blank: bool,
}

/// A comment, `#` included.
#[derive(Debug)]
pub(crate) struct Comment<'t> {
    pub(crate) text: &'t str,
    pub(crate) at: usize,
    /// Blanks and text before it on its line, in characters.
    pub(crate) column: usize,
    /// Blanks at the start of its line.
    pub(crate) indent: usize,
    /// The leaf that follows it.
    pub(crate) leaf: usize,
    /// On the line on which the leaf before it ends.
    pub(crate) trailing: bool,
    /// Whether an empty line stands between it and what comes before it.
    pub(crate) blank: bool,
}

/// A node as written.
#[derive(Debug)]
pub(crate) struct Node<'t> {
    /// Anchor and tag, `&name !!str`.
    pub(crate) properties: String,
    /// Its leaves, brackets included.
    pub(crate) leaves: Range<usize>,
    /// Column of a block container's entries.
    pub(crate) column: usize,
    pub(crate) kind: Kind<'t>,
}

#[derive(Debug)]
pub(crate) enum Kind<'t> {
    /// A scalar's own bytes, or an alias with its star.
    Text {
        raw: &'t str,
        value: String,
        plain: bool,
    },
    /// `|` or `>` with what stands behind it, and the lines without their indentation.
    Block {
        header: &'t str,
        lines: Vec<&'t str>,
    },
    Sequence {
        flow: bool,
        items: Vec<Node<'t>>,
    },
    Mapping {
        flow: Flow,
        entries: Vec<(Node<'t>, Node<'t>)>,
    },
}

/// How a map is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Flow {
    Block,
    Braces,
    /// `[key: value]`: one entry, no braces.
    Pair,
}

/// A part of what a text means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Scalar { text: String, plain: bool, anchor: usize, tag: Option<String> },
    Open { map: bool, anchor: usize, tag: Option<String> },
    Close,
    Alias(usize),
}

/// Reads a text as it is written; `None` when it is not YAML.
pub(crate) fn read(text: &str) -> Option<Written<'_>> {
    let mut options = Options::default();
    options.emit_unresolved_aliases = true;
    let mut reader = Reader {
        text,
        at: 0,
        newline: false,
        empty_line: true,
        blank: false,
        keeps: false,
        out: Written::default(),
        properties: VecDeque::new(),
        header: None,
        open: Vec::new(),
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.ok()?;
        let range = span.byte_range().unwrap_or(0..0);
        reader.take(event, range.start.min(text.len())..range.end.clamp(range.start, text.len()))?;
    }
    reader.gap(text.len());
    Some(reader.out)
}

struct Reader<'t> {
    text: &'t str,
    /// All before is read.
    at: usize,
    /// Whether a line ended since the last leaf.
    newline: bool,
    /// Whether the present line is empty so far.
    empty_line: bool,
    /// Whether a line was empty since the last leaf or comment.
    blank: bool,
    /// The last leaf's empty lines at its end are its own.
    keeps: bool,
    out: Written<'t>,
    /// Anchors and tags whose node has not come yet.
    properties: VecDeque<&'t str>,
    /// A block scalar's `|` whose text has not come yet, and where its line ends.
    header: Option<(Range<usize>, usize)>,
    open: Vec<(Node<'t>, Option<Node<'t>>)>,
}

impl<'t> Reader<'t> {
    fn take(&mut self, event: Event<'_>, range: Range<usize>) -> Option<()> {
        match event {
            Event::DocumentStart(true, _) => {
                let before = &self.text[..range.start];
                let directives = before.lines().filter(|line| line.starts_with('%')).map(str::trim_end);
                self.out.prologue = Some(Prologue { directives: directives.collect(), at: range.start });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| tag.original());
                let properties = self.before(range.start, anchor, tag.is_some());
                let plain = style == ScalarStyle::Plain;
                // A key's quotes change nothing, but for the one that merges.
                let key = self
                    .open
                    .last()
                    .is_some_and(|(node, key)| key.is_none() && matches!(node.kind, Kind::Mapping { .. }));
                let told = plain && !(key && text != "<<");
                self.out.meaning.push(Fact::Scalar { text: text.to_string(), plain: told, anchor, tag });
                let node = match style {
                    ScalarStyle::Literal | ScalarStyle::Folded => self.block(range)?,
                    _ => {
                        let raw = self.text.get(range.clone())?;
                        self.leaf(range, Kind::Text { raw, value: text.into_owned(), plain })
                    }
                };
                self.attach(Node { properties, ..node });
            }
            Event::Alias(id) => {
                self.before(range.start, 0, false);
                self.out.meaning.push(Fact::Alias(id));
                let raw = self.text.get(range.clone())?;
                let node = self.leaf(range, Kind::Text { raw, value: raw.to_string(), plain: true });
                self.attach(node);
            }
            Event::SequenceStart(style, anchor, tag) => {
                let tag = tag.map(|tag| tag.original());
                let flow = style == StructureStyle::Flow;
                self.open(range, anchor, tag, false, Kind::Sequence { flow, items: Vec::new() });
            }
            Event::MappingStart(style, anchor, tag) => {
                let tag = tag.map(|tag| tag.original());
                let flow = match style {
                    StructureStyle::Block => Flow::Block,
                    StructureStyle::Flow if range.is_empty() => Flow::Pair,
                    StructureStyle::Flow => Flow::Braces,
                };
                self.open(range, anchor, tag, true, Kind::Mapping { flow, entries: Vec::new() });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(range)?,
            _ => {}
        }
        Some(())
    }

    fn open(&mut self, range: Range<usize>, anchor: usize, tag: Option<String>, map: bool, kind: Kind<'t>) {
        let properties = self.before(range.start, anchor, tag.is_some());
        self.out.meaning.push(Fact::Open { map, anchor, tag });
        let column = column(self.text, range.start);
        let mut node = self.leaf(range, kind);
        (node.properties, node.column) = (properties, column);
        self.open.push((node, None));
    }

    fn close(&mut self, range: Range<usize>) -> Option<()> {
        self.out.meaning.push(Fact::Close);
        let (mut node, _) = self.open.pop()?;
        if matches!(node.kind, Kind::Sequence { flow: true, .. } | Kind::Mapping { flow: Flow::Braces, .. }) {
            self.gap(range.start);
            self.leaf(range, Kind::Sequence { flow: true, items: Vec::new() });
        }
        node.leaves.end = self.out.leaves.len();
        self.attach(node);
        Some(())
    }

    /// Hangs a finished node under the container that is open.
    fn attach(&mut self, node: Node<'t>) {
        let Some((parent, key)) = self.open.last_mut() else {
            self.out.root.get_or_insert(node);
            return;
        };
        match &mut parent.kind {
            Kind::Mapping { entries, .. } => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(node),
            },
            Kind::Sequence { items, .. } => items.push(node),
            Kind::Text { .. } | Kind::Block { .. } => {}
        }
    }

    /// Takes in a leaf's bytes. A scalar without any is a leaf too, so that each comment finds its place.
    fn leaf(&mut self, range: Range<usize>, kind: Kind<'t>) -> Node<'t> {
        let first = self.out.leaves.len();
        if !range.is_empty() || matches!(kind, Kind::Text { .. } | Kind::Block { .. }) {
            self.out.leaves.push(Leaf { blank: self.blank });
            self.at = self.at.max(range.end);
            (self.newline, self.empty_line, self.blank, self.keeps) = (false, false, false, false);
        }
        Node { properties: String::new(), leaves: first..self.out.leaves.len(), column: 0, kind }
    }

    /// A block scalar. Its event covers the text from the first line that is not empty.
    fn block(&mut self, range: Range<usize>) -> Option<Node<'t>> {
        // One without text at the end of a file starts at its own header.
        if self.header.is_none() {
            self.gap(range.end);
        }
        let (header, line_end) = self.header.take()?;
        let header = &self.text[header];
        let indent = if range.start > line_end { column(self.text, range.start) } else { usize::MAX };
        let keeps = header.contains('+');
        let mut lines = Vec::new();
        let (mut end, mut kept) = (line_end, 0);
        let mut at = line_end + 1;
        for line in self.text.get(at..range.end).unwrap_or("").split_inclusive('\n') {
            let content = line.trim_end_matches('\n');
            let blanks = content.len() - content.trim_start_matches(' ').len();
            let content = &content[blanks.min(indent)..];
            // The indentation of what follows is no line.
            if !content.is_empty() || line.ends_with('\n') {
                lines.push(content);
            }
            if !content.is_empty() {
                (end, kept) = (at + line.trim_end_matches('\n').len(), lines.len());
            }
            at += line.len();
        }
        if !keeps {
            lines.truncate(kept);
        }
        let node = self.leaf(range.start..end, Kind::Block { header, lines });
        self.keeps = keeps;
        Some(node)
    }

    /// Reads on to a node that may have an anchor and a tag, and takes these.
    fn before(&mut self, start: usize, anchor: usize, tagged: bool) -> String {
        self.gap(start);
        let mut wanted: Vec<char> = Vec::new();
        wanted.extend((anchor != 0).then_some('&'));
        wanted.extend(tagged.then_some('!'));
        let mut taken = Vec::new();
        self.properties.retain(|property| {
            let at = wanted.iter().position(|sigil| property.starts_with(*sigil));
            taken.extend(at.map(|_| *property));
            at.map(|at| wanted.remove(at)).is_none()
        });
        taken.join(" ")
    }

    /// Reads what stands between leaves: blanks, indicators, anchors, tags, comments.
    fn gap(&mut self, to: usize) {
        while self.at < to {
            let rest = &self.text[self.at..];
            let c = rest.chars().next().unwrap_or(' ');
            let word = rest.find([' ', '\t', '\n', ',', '[', ']', '{', '}']).unwrap_or(rest.len());
            let line = rest.find('\n').unwrap_or(rest.len());
            let mut length = c.len_utf8();
            match c {
                '\n' => {
                    self.blank |= self.empty_line && !self.keeps;
                    (self.newline, self.empty_line) = (true, true);
                }
                ' ' | '\t' => {}
                '#' => {
                    self.comment(&rest[..line]);
                    length = line;
                }
                '&' | '!' => {
                    self.properties.push_back(&rest[..word]);
                    (length, self.empty_line) = (word, false);
                }
                '|' | '>' => {
                    self.header = Some((self.at..self.at + word, self.at + line));
                    (length, self.empty_line) = (word, false);
                }
                '%' => (length, self.empty_line) = (line, false),
                _ => self.empty_line = false,
            }
            self.at += length;
        }
    }

    fn comment(&mut self, text: &'t str) {
        let start = self.text[..self.at].rfind('\n').map_or(0, |i| i + 1);
        let before = &self.text[start..self.at];
        self.out.comments.push(Comment {
            text: text.trim_end(),
            at: self.at,
            column: before.chars().count(),
            indent: before.len() - before.trim_start_matches(' ').len(),
            leaf: self.out.leaves.len(),
            trailing: !self.newline && !self.out.leaves.is_empty(),
            blank: self.blank,
        });
        (self.empty_line, self.blank, self.keeps) = (false, false, false);
    }
}

/// Characters before a byte on its line.
fn column(text: &str, at: usize) -> usize {
    let start = text[..at].rfind('\n').map_or(0, |i| i + 1);
    text[start..at].chars().count()
}
