//! The arena into a tree: aliases and merge keys expanded under a bound, keys checked.

use super::load::{Index, RawKind, RawNode, Tree};
use super::{
    DASH_WITHOUT_BLANK, DUPLICATE_KEY, Entry, MANY_DOCUMENTS, MAX_DEPTH, MAX_NODES, MAX_TOLD, Node, NodeKind,
    Patches, SYNTAX, TOO_LARGE, UNQUOTED_TEXT,
};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{FileId, Span, Spanned};
use std::collections::BTreeMap;
use std::ops::Range;

/// Expands a document. `None` when it is too large.
pub(super) fn expand(
    tree: &Tree,
    file: FileId,
    text: &str,
    patches: &Patches,
    diagnostics: &mut Diagnostics,
) -> Option<Node> {
    if let Some(at) = tree.second_document {
        let end = text[at..].find('\n').map_or(text.len(), |i| at + i);
        diagnostics.push(
            Diagnostic::error(MANY_DOCUMENTS, Span::new(file, at..end), "a second document in one file")
                .help("keep one plan or fixture in a file"),
        );
    }
    let mut expander =
        Expander { tree, file, text, patches, diagnostics, nodes: 0, path: Vec::new(), merging: false };
    match tree.root {
        Some(root) => expander.node(root),
        None => Some(Node { span: Span::new(file, 0..0), kind: NodeKind::Null }),
    }
}

struct Expander<'a> {
    tree: &'a Tree,
    file: FileId,
    text: &'a str,
    patches: &'a Patches,
    diagnostics: &'a mut Diagnostics,
    nodes: usize,
    /// Nodes around the present one, to see an anchor that holds itself.
    path: Vec<Index>,
    /// Below `<<`, where only anchors can stand.
    merging: bool,
}

impl Expander<'_> {
    fn node(&mut self, index: Index) -> Option<Node> {
        let raw = &self.tree.nodes[index];
        self.nodes += 1;
        if self.nodes > MAX_NODES || self.path.len() > MAX_DEPTH {
            self.too_large(raw);
            return None;
        }
        let span = self.span(raw);
        self.check_tag(raw, span);
        if let RawKind::Alias(id) = raw.kind {
            let target = self.tree.anchors.get(&id).copied().filter(|i| !self.path.contains(i));
            let Some(target) = target else {
                self.tell(Diagnostic::error(SYNTAX, span, "an anchor that holds itself"));
                return Some(Node { span, kind: NodeKind::Null });
            };
            return self.node(target);
        }
        self.path.push(index);
        let kind = self.kind(raw, span);
        self.path.pop();
        Some(Node { span, kind: kind? })
    }

    fn kind(&mut self, raw: &RawNode, span: Span) -> Option<NodeKind> {
        Some(match &raw.kind {
            RawKind::Scalar { text, plain } => self.scalar(raw, text, *plain, span),
            RawKind::UnknownAlias(name) => {
                self.unknown_alias(name, span);
                // Nothing to merge.
                if self.merging {
                    return Some(NodeKind::Mapping(Vec::new()));
                }
                NodeKind::Scalar { text: format!("*{name}"), plain: false }
            }
            RawKind::Sequence(items) => {
                let mut nodes = Vec::with_capacity(items.len());
                for item in items {
                    nodes.push(self.node(*item)?);
                }
                NodeKind::Sequence(nodes)
            }
            RawKind::Mapping(entries) => NodeKind::Mapping(self.mapping(entries)?),
            RawKind::Alias(_) => NodeKind::Null,
        })
    }

    fn mapping(&mut self, pairs: &[(Index, Index)]) -> Option<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::with_capacity(pairs.len());
        let mut seen: BTreeMap<String, Span> = BTreeMap::new();
        let mut merged = Vec::new();
        for (key, value) in pairs {
            let Some((key, plain)) = self.key(*key) else {
                self.node(*value)?;
                continue;
            };
            let outer = std::mem::replace(&mut self.merging, plain && key.value == "<<");
            let value = self.node(*value);
            self.merging = outer;
            let value = value?;
            if let Some(first) = seen.get(&key.value) {
                self.duplicate(&key, *first);
                continue;
            }
            seen.insert(key.value.clone(), key.span);
            if plain && key.value == "<<" {
                merged.push((key.span, value));
            } else {
                entries.push(Entry { key, value });
            }
        }
        for (span, value) in merged {
            self.merge(span, value, &mut entries, &mut seen);
        }
        Some(entries)
    }

    /// Adds the entries of `<<: *defaults` or `<<: [*a, *b]` whose keys are not there yet.
    fn merge(
        &mut self,
        span: Span,
        value: Node,
        entries: &mut Vec<Entry>,
        seen: &mut BTreeMap<String, Span>,
    ) {
        let maps = match value.kind {
            NodeKind::Sequence(items) => items,
            _ => vec![value],
        };
        for map in maps {
            let NodeKind::Mapping(inner) = map.kind else {
                self.tell(
                    Diagnostic::error(SYNTAX, span, format!("`<<` merges maps, not {}", map.describe()))
                        .help("write `<<: *anchor` with an anchor that names a map"),
                );
                continue;
            };
            for entry in inner {
                if !seen.contains_key(&entry.key.value) {
                    seen.insert(entry.key.value.clone(), entry.key.span);
                    entries.push(entry);
                }
            }
        }
    }

    fn key(&mut self, index: Index) -> Option<(Spanned<String>, bool)> {
        let raw = &self.tree.nodes[index];
        let span = self.span(raw);
        self.nodes += 1;
        let (text, plain) = match &raw.kind {
            RawKind::Scalar { text, plain } if !(text.is_empty() && *plain) => (text.clone(), *plain),
            RawKind::UnknownAlias(name) => {
                self.unknown_alias(name, span);
                (format!("*{name}"), false)
            }
            _ => {
                self.tell(
                    Diagnostic::error(SYNTAX, span, "an empty key").help("write a name before the colon"),
                );
                return None;
            }
        };
        let dashed = text.strip_prefix('-').filter(|rest| rest.starts_with(|c: char| c.is_alphabetic()));
        if let Some(rest) = dashed.filter(|_| plain && self.starts_line(span.range())) {
            self.tell(
                Diagnostic::error(DASH_WITHOUT_BLANK, span, format!("`{text}` is a key, not a list entry"))
                    .help(format!("write a blank after the dash: `- {rest}`"))
                    .suggest(Span { end: span.start + 1, ..span }, "- "),
            );
            return None;
        }
        Some((Spanned::new(text, span), plain))
    }

    fn scalar(&mut self, raw: &RawNode, text: &str, plain: bool, span: Span) -> NodeKind {
        if let Some((_, meant)) = self.patches.get(&raw.range.start) {
            let meant = super::traps::without_curly(meant).unwrap_or(meant);
            return NodeKind::Scalar { text: meant.to_string(), plain: false };
        }
        let plain = plain && raw.tag.as_deref() != Some("!!str");
        let dashed = plain
            && text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_alphabetic()))
            && self.starts_line(raw.range.clone());
        if dashed {
            self.tell(
                Diagnostic::error(DASH_WITHOUT_BLANK, span, "a text, not a list")
                    .help("write a blank after each dash")
                    .suggest(Span { end: span.start + 1, ..span }, "- "),
            );
        }
        if let Some(meant) = super::traps::without_curly(text).filter(|_| plain) {
            let quoted = super::traps::quote(text);
            self.tell(
                Diagnostic::error(UNQUOTED_TEXT, span, "curly quotes are part of the text")
                    .help(format!("write plain ones: `{quoted}`"))
                    .suggest(span, quoted),
            );
            return NodeKind::Scalar { text: meant.to_string(), plain: false };
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" if plain => NodeKind::Null,
            "true" | "True" | "TRUE" if plain => NodeKind::Bool(true),
            "false" | "False" | "FALSE" if plain => NodeKind::Bool(false),
            _ => NodeKind::Scalar { text: text.to_string(), plain },
        }
    }

    fn starts_line(&self, range: Range<usize>) -> bool {
        let line = self.text[..range.start].rfind('\n').map_or(0, |i| i + 1);
        self.text[line..range.start].chars().all(|c| c == ' ')
    }

    /// The node's own bytes, without the line break that ends a block scalar.
    fn span(&self, raw: &RawNode) -> Span {
        let mut range = raw.range.clone();
        if let Some((end, _)) = self.patches.get(&range.start) {
            range.end = *end;
        }
        if matches!(raw.kind, RawKind::Scalar { .. }) {
            let text = self.text.get(range.clone()).unwrap_or("");
            range.end -= text.len() - text.trim_end().len();
        }
        Span::new(self.file, range)
    }

    fn check_tag(&mut self, raw: &RawNode, span: Span) {
        let known = ["!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq"];
        if let Some(tag) = raw.tag.as_deref().filter(|tag| !known.contains(tag)) {
            self.tell(
                Diagnostic::error(UNQUOTED_TEXT, span, format!("the tag `{tag}` means nothing in a plan"))
                    .help("quote a text that starts with `!`, or leave the tag out"),
            );
        }
    }

    fn unknown_alias(&mut self, name: &str, span: Span) {
        if self.merging {
            self.tell(
                Diagnostic::error(SYNTAX, span, format!("there is no anchor `{name}`"))
                    .help(format!("write `&{name}` before a map further up, or leave `<<` out")),
            );
            return;
        }
        let quoted = format!("\"*{name}\"");
        self.tell(
            Diagnostic::error(
                UNQUOTED_TEXT,
                span,
                format!("`*{name}` is an alias, and no anchor `&{name}` is there"),
            )
            .help(format!("quote it if a text is meant: `{quoted}`"))
            .suggest(span, quoted),
        );
    }

    fn duplicate(&mut self, key: &Spanned<String>, first: Span) {
        self.tell(
            Diagnostic::error(DUPLICATE_KEY, key.span, format!("the key `{}` is there already", key.value))
                .label("this one is not read")
                .also(first, "first here")
                .help("keep one of the two"),
        );
    }

    fn tell(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < MAX_TOLD {
            self.diagnostics.push(diagnostic);
        }
    }

    fn too_large(&mut self, raw: &RawNode) {
        let what = if self.nodes > MAX_NODES {
            "the file has more than 200,000 nodes once its anchors are expanded"
        } else {
            "the file is nested deeper than 64 levels"
        };
        self.diagnostics.push(Diagnostic::error(TOO_LARGE, self.span(raw), what));
    }
}
