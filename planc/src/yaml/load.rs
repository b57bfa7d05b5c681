//! The YAML crate's events into an arena. Aliases stay references here, so a bomb costs nothing.

use super::{MAX_DEPTH, MAX_NODES};
use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError};
use std::collections::BTreeMap;
use std::ops::Range;

/// Place of a node in [`Tree::nodes`].
pub(super) type Index = usize;

/// A document, aliases not yet expanded.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<RawNode>,
    pub(super) root: Option<Index>,
    pub(super) anchors: BTreeMap<usize, Index>,
    /// Where a second document begins.
    pub(super) second_document: Option<usize>,
}

/// A node as written.
#[derive(Debug)]
pub(super) struct RawNode {
    pub(super) range: Range<usize>,
    pub(super) tag: Option<String>,
    pub(super) kind: RawKind,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum RawKind {
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Index>),
    Mapping(Vec<(Index, Index)>),
    Alias(usize),
    /// `*name` for a name that no anchor gave.
    UnknownAlias(String),
}

/// Why a text could not be loaded.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    /// Byte at which it was noticed.
    pub(super) at: usize,
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
    pub(super) too_large: bool,
    pub(super) tab: bool,
    /// A `: ` stands in a text that is not quoted.
    pub(super) stray_colon: bool,
}

impl Problem {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Problem { at, message: message.into(), help: None, too_large: false, tab: false, stray_colon: false }
    }

    fn too_large(at: usize, message: &str) -> Self {
        Problem { too_large: true, ..Problem::new(at, message) }
    }

    pub(super) fn unclosed_quote(at: usize) -> Self {
        Problem {
            help: Some("close the quote on the same line"),
            ..Problem::new(at, "a quote is not closed")
        }
    }

    pub(super) fn moved_by(self, offset: usize) -> Self {
        Problem { at: self.at + offset, ..self }
    }
}

/// Loads the first document of a text.
pub(super) fn load(text: &str) -> Result<Tree, Problem> {
    let mut options = Options::default();
    options.emit_unresolved_aliases = true;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut loader = Loader { text, tree: Tree::default(), open: Vec::new(), documents: 0 };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| problem(text, &error))?;
        let range = span.byte_range().unwrap_or(0..0);
        let range = range.start.min(text.len())..range.end.clamp(range.start, text.len());
        if !loader.take(event, range)? {
            break;
        }
    }
    Ok(loader.tree)
}

struct Loader<'a> {
    text: &'a str,
    tree: Tree,
    /// Containers not yet closed, with the key that waits for its value.
    open: Vec<(Index, Option<Index>)>,
    documents: usize,
}

impl Loader<'_> {
    /// Takes one event in; false when the rest of the stream is of no interest.
    fn take(&mut self, event: Event<'_>, range: Range<usize>) -> Result<bool, Problem> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.tree.second_document = Some(range.start);
                    return Ok(false);
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let kind = RawKind::Scalar { text: text.into_owned(), plain };
                self.add(range, anchor, tag.map(|t| t.original()), kind)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                let index =
                    self.add(range, anchor, tag.map(|t| t.original()), RawKind::Sequence(Vec::new()))?;
                self.open.push((index, None));
            }
            Event::MappingStart(_, anchor, tag) => {
                let index =
                    self.add(range, anchor, tag.map(|t| t.original()), RawKind::Mapping(Vec::new()))?;
                self.open.push((index, None));
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(range),
            Event::Alias(id) => {
                self.add(range, 0, None, RawKind::Alias(id))?;
            }
            Event::UnresolvedAlias(name) => {
                self.add(range, 0, None, RawKind::UnknownAlias(name.into_owned()))?;
            }
            _ => {}
        }
        Ok(true)
    }

    fn add(
        &mut self,
        range: Range<usize>,
        anchor: usize,
        tag: Option<String>,
        kind: RawKind,
    ) -> Result<Index, Problem> {
        let index = self.tree.nodes.len();
        if index >= MAX_NODES {
            return Err(Problem::too_large(range.start, "the file has more than 200,000 nodes"));
        }
        let opens = matches!(kind, RawKind::Sequence(_) | RawKind::Mapping(_));
        if opens && self.open.len() >= MAX_DEPTH {
            return Err(Problem::too_large(range.start, "the file is nested deeper than 64 levels"));
        }
        if anchor != 0 {
            self.tree.anchors.insert(anchor, index);
        }
        self.attach(index, &kind, &range)?;
        self.tree.nodes.push(RawNode { range, tag, kind });
        Ok(index)
    }

    /// Hangs a new node under the innermost open container.
    fn attach(&mut self, index: Index, kind: &RawKind, range: &Range<usize>) -> Result<(), Problem> {
        let Some((parent, waiting)) = self.open.last_mut() else {
            self.tree.root.get_or_insert(index);
            return Ok(());
        };
        match (&mut self.tree.nodes[*parent].kind, waiting.take()) {
            (RawKind::Sequence(items), _) => items.push(index),
            (RawKind::Mapping(entries), Some(key)) => entries.push((key, index)),
            (_, None) => {
                if !matches!(kind, RawKind::Scalar { .. } | RawKind::UnknownAlias(_)) {
                    return Err(Problem::new(range.start, "a key must be a text"));
                }
                *waiting = Some(index);
            }
            _ => {}
        }
        Ok(())
    }

    /// Closes the innermost container. A block container ends with its last child, a flow one with its bracket.
    fn close(&mut self, end: Range<usize>) {
        let Some((index, _)) = self.open.pop() else { return };
        let node = &self.tree.nodes[index];
        let flow = self.text[node.range.start..].starts_with(['[', '{']) && end.end > end.start;
        let (first, last) = match &node.kind {
            RawKind::Sequence(items) => (items.first().copied(), items.last().copied()),
            RawKind::Mapping(entries) => (entries.first().map(|e| e.0), entries.last().map(|e| e.1)),
            _ => (None, None),
        };
        let start = if flow { Some(node.range.start) } else { first.map(|i| self.tree.nodes[i].range.start) };
        let close = if flow { Some(end.end) } else { last.map(|i| self.tree.nodes[i].range.end) };
        let start = start.unwrap_or(node.range.start);
        self.tree.nodes[index].range = start..close.unwrap_or(start).max(start);
    }
}

fn problem(text: &str, error: &ScanError) -> Problem {
    use ErrorKind as K;
    let at = error.marker().byte_offset().unwrap_or(text.len());
    let said = error.info();
    let said = said.rsplit(", ").next().unwrap_or(&said).to_string();
    let mut problem = Problem::new(at, said);
    let (message, help) = match error.kind() {
        K::RecursionLimitExceeded => return Problem::too_large(at, "the file is nested too deep"),
        K::TabInIndentation | K::TabInBlockIndentation | K::TabNotAllowed | K::TabAtBlockScalarStart => {
            problem.tab = true;
            ("a tab where YAML wants blanks", "indent with blanks, two for each level")
        }
        K::UnclosedQuotedScalar => return Problem::unclosed_quote(at),
        K::UnclosedFlowCollection { .. }
        | K::UnexpectedEofFlowSequence
        | K::UnexpectedEofFlowMapping
        | K::UnexpectedEofImplicitFlowMapping => {
            ("a bracket is not closed", "close each `[` with `]` and each `{` with `}`")
        }
        K::MappingValueNotAllowed => {
            problem.stray_colon = true;
            ("a `: ` where no key can stand", "quote a text that has `: ` in it, or mend the indentation")
        }
        K::SimpleKeyExpected | K::InvalidSimpleKey => {
            ("a key without `:`", "write `key: value`, with a blank after the colon")
        }
        K::ExpectedBlockMappingKey | K::InvalidIndentation => (
            "a line that is neither a key nor deeper than the last one",
            "give all keys of a map the same indentation",
        ),
        K::ExpectedFlowMappingSeparator => (
            "expected `,` or `}`",
            "quote texts that have `[ ] { } ,` in them when they stand between brackets",
        ),
        K::ExpectedFlowSequenceSeparator => (
            "expected `,` or `]`",
            "quote texts that have `[ ] { } ,` in them when they stand between brackets",
        ),
        K::UnknownQuotedScalarEscape => (
            "an escape that YAML does not know",
            "write `\\\\` for a backslash, or use single quotes, which have no escapes",
        ),
        K::DirectiveDisallowed | K::InvalidDirectiveName | K::MissingDirectiveName => {
            ("a line that starts with `%`", "quote the text")
        }
        _ => return problem,
    };
    problem.message = message.into();
    problem.help = Some(help);
    problem
}
