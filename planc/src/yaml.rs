//! YAML text into a tree in which every key and every value has a span.
//!
//! YAML 1.2 core schema: only `true` and `false` are booleans, `no` is a string. Order is kept.
//! Anchors and merge keys (`<<`) are expanded under a bound on nodes and depth. A duplicate key is an
//! error and the first one counts. The only module that knows the YAML crate.

mod expand;
mod load;
mod traps;
pub(crate) mod written;

use crate::Page;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::source::{FileId, SourceMap, Span, Spanned};
use load::Problem;
use std::collections::BTreeMap;
use std::ops::Range;

/// Text that is not YAML.
pub const SYNTAX: Code = Code { id: "P0001", name: "yaml-syntax" };
/// More text, nodes or nesting than any plan needs.
pub const TOO_LARGE: Code = Code { id: "P0002", name: "too-large" };
/// A key that is there already.
pub const DUPLICATE_KEY: Code = Code { id: "P0003", name: "duplicate-key" };
/// `{{ … }}` without quotes where YAML reads braces itself.
pub const UNQUOTED_TEMPLATE: Code = Code { id: "P0004", name: "unquoted-template" };
/// Text that YAML reads as something else unless it is quoted.
pub const UNQUOTED_TEXT: Code = Code { id: "P0005", name: "unquoted-text" };
/// A tab where YAML wants blanks.
pub const TAB: Code = Code { id: "P0006", name: "tab-indentation" };
/// More than one document in a file.
pub const MANY_DOCUMENTS: Code = Code { id: "P0007", name: "many-documents" };
/// A number that JSON cannot hold.
pub const BAD_NUMBER: Code = Code { id: "P0008", name: "bad-number" };
/// `-get` where `- get` was meant.
pub const DASH_WITHOUT_BLANK: Code = Code { id: "P0009", name: "dash-without-blank" };

/// The pages of the codes above, for `planc explain`.
pub const PAGES: &[Page] = &[
    Page { code: "P0001", name: "yaml-syntax", text: include_str!("yaml/pages/yaml-syntax.md") },
    Page { code: "P0002", name: "too-large", text: include_str!("yaml/pages/too-large.md") },
    Page { code: "P0003", name: "duplicate-key", text: include_str!("yaml/pages/duplicate-key.md") },
    Page { code: "P0004", name: "unquoted-template", text: include_str!("yaml/pages/unquoted-template.md") },
    Page { code: "P0005", name: "unquoted-text", text: include_str!("yaml/pages/unquoted-text.md") },
    Page { code: "P0006", name: "tab-indentation", text: include_str!("yaml/pages/tab-indentation.md") },
    Page { code: "P0007", name: "many-documents", text: include_str!("yaml/pages/many-documents.md") },
    Page { code: "P0008", name: "bad-number", text: include_str!("yaml/pages/bad-number.md") },
    Page {
        code: "P0009",
        name: "dash-without-blank",
        text: include_str!("yaml/pages/dash-without-blank.md"),
    },
];

/// The longest text that is read.
pub const MAX_BYTES: usize = 4 << 20;
/// The most nodes that a file may have once anchors are expanded.
pub const MAX_NODES: usize = 200_000;
/// The deepest nesting.
pub const MAX_DEPTH: usize = 64;
/// So many mistakes of one sort are told in one place; the rest are likely the same one again.
const MAX_TOLD: usize = 100;
/// How often a block is mended and parsed again.
const MAX_ROUNDS: usize = 8;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value's own bytes, quotes included; for containers from first to last child or bracket.
    pub span: Span,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`, plain.
    Bool(bool),
    /// Any other scalar. `plain` is false for quoted and block scalars, which are always text.
    Scalar {
        /// The text, escapes resolved.
        text: String,
        /// Written without quotes, so that `5` may be a number.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// A map in the order of writing, keys unique.
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Spanned<String>,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            NodeKind::Mapping(entries) => entries.iter().find(|e| e.key.value == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// `a list`, `a map`, `text` … for messages.
    pub fn describe(&self) -> &'static str {
        match self.kind {
            NodeKind::Null => "nothing",
            NodeKind::Bool(_) => "a boolean",
            NodeKind::Scalar { .. } => "a scalar",
            NodeKind::Sequence(_) => "a list",
            NodeKind::Mapping(_) => "a map",
        }
    }
}

/// Parses a file of the map. Problems go to `diagnostics`; what could be read is returned, so that
/// one syntax error does not hide mistakes in other top-level blocks.
pub fn parse(sources: &SourceMap, file: FileId, diagnostics: &mut Diagnostics) -> Option<Node> {
    let text = &sources.file(file).text;
    if text.len() > MAX_BYTES {
        diagnostics.push(too_large(file));
        return None;
    }
    let mut repair = Repair { file, original: text, patches: Patches::new(), told: 0, tab_told: false };
    let tree = match load::load(text) {
        Ok(tree) => tree,
        Err(first) if first.too_large => {
            diagnostics.push(repair.describe(&first));
            return None;
        }
        Err(first) => {
            let mended = repair.text(diagnostics);
            match load::load(&mended) {
                Ok(tree) => tree,
                Err(problem) => {
                    // Something that no block shows alone: tell what the parser said first.
                    let untold = if mended == *text { &first } else { &problem };
                    diagnostics.push(repair.describe(untold));
                    return None;
                }
            }
        }
    };
    expand::expand(&tree, file, text, &repair.patches, diagnostics)
}

/// What is said of a text longer than [`MAX_BYTES`].
pub(crate) fn too_large(file: FileId) -> Diagnostic {
    Diagnostic::error(TOO_LARGE, Span::new(file, 0..0), "the file is larger than 4 MiB")
        .help("keep generated data in a fixture, not in the plan")
}

/// Values that were replaced by quoted filler of the same length so that the rest could be parsed:
/// from first byte to last byte and the text that was meant.
type Patches = BTreeMap<usize, (usize, String)>;

/// A text on its way to something that parses. Its length never changes, so all spans stay true.
struct Repair<'a> {
    file: FileId,
    original: &'a str,
    patches: Patches,
    told: usize,
    tab_told: bool,
}

impl Repair<'_> {
    /// The text with the mistakes of each top-level block, parsed alone, mended or the block blanked.
    fn text(&mut self, diagnostics: &mut Diagnostics) -> String {
        let mut text = String::with_capacity(self.original.len());
        for block in top_level_blocks(self.original) {
            let mut piece = self.original[block.clone()].to_string();
            if !self.block(&mut piece, &block, diagnostics) {
                piece = blanked(&piece, |c| matches!(c, '\n' | '\r'));
                // Blocks come in order: all patches from here on are this one's.
                self.patches.split_off(&block.start);
            }
            text.push_str(&piece);
        }
        text
    }

    /// Mends one block as far as its traps explain what is wrong; false when something else is.
    fn block(&mut self, piece: &mut String, block: &Range<usize>, diagnostics: &mut Diagnostics) -> bool {
        for _ in 0..MAX_ROUNDS {
            let Err(problem) = load::load(piece) else { return true };
            let problem = problem.moved_by(block.start);
            let (mut traps, quote) = traps::find(self.original, block.clone(), &problem);
            traps.retain(|trap| !self.patched(&trap.range));
            if traps.is_empty() {
                let slips = traps::slips(self.original, block.clone(), piece);
                if !slips.is_empty() {
                    for slip in slips {
                        self.tell(slip.diagnostic(self.file, self.original), diagnostics);
                    }
                    return false;
                }
                let problem = quote.map_or(problem, Problem::unclosed_quote);
                // On a line that was mended it may be an echo.
                if !self.patched(&line_of(self.original, problem.at)) {
                    self.tell(self.describe(&problem), diagnostics);
                }
                return false;
            }
            let mut bytes = std::mem::take(piece).into_bytes();
            for trap in &traps {
                self.patch(&mut bytes, block.start, &trap.range);
                self.tell(trap.diagnostic(self.file, self.original), diagnostics);
            }
            // Whole characters gave way to ASCII.
            *piece = String::from_utf8(bytes).unwrap_or_default();
        }
        false
    }

    /// Puts quoted filler in the place of a value, and keeps the value as text.
    fn patch(&mut self, bytes: &mut [u8], offset: usize, range: &Range<usize>) {
        let filler = &mut bytes[range.start - offset..range.end - offset];
        filler.fill(b'x');
        if let [first, .., last] = filler {
            (*first, *last) = (b'"', b'"');
        }
        self.patches.insert(range.start, (range.end, self.original[range.clone()].to_string()));
    }

    fn tell(&mut self, diagnostic: Diagnostic, diagnostics: &mut Diagnostics) {
        // Who indents with tabs does so everywhere: it is one mistake.
        if diagnostic.code == TAB && std::mem::replace(&mut self.tab_told, true) {
            return;
        }
        self.told += 1;
        if self.told <= MAX_TOLD {
            diagnostics.push(diagnostic);
        }
    }

    /// Whether a patch lies in or over a range.
    fn patched(&self, range: &Range<usize>) -> bool {
        let before = self.patches.range(..range.end).next_back();
        before.is_some_and(|(start, (end, _))| *end > range.start || *start >= range.start)
    }

    /// The diagnostic of a problem that no trap explains.
    fn describe(&self, problem: &Problem) -> Diagnostic {
        let mut start = problem.at.min(self.original.len());
        if problem.tab {
            let line =
                self.original.as_bytes()[..start].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
            start = self.original.as_bytes()[line..start]
                .iter()
                .position(|b| *b == b'\t')
                .map_or(start, |i| line + i);
        }
        while !self.original.is_char_boundary(start) {
            start -= 1;
        }
        let width = self.original[start..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
        let span = Span::new(self.file, start..start + width);
        let code = match () {
            () if problem.too_large => TOO_LARGE,
            () if problem.tab => TAB,
            () => SYNTAX,
        };
        let diagnostic = Diagnostic::error(code, span, problem.message.clone());
        match problem.help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}

/// The text with an ASCII blank for each byte of all characters but those to keep.
fn blanked(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if keep(c) {
            out.push(c);
        } else {
            out.extend(std::iter::repeat_n(' ', c.len_utf8()));
        }
    }
    out
}

/// The line around a byte.
fn line_of(text: &str, at: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let at = at.min(bytes.len());
    let start = bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let end = bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |i| at + i);
    start..end
}

/// The ranges of the top-level blocks: from a line that starts in column 1 to the next such line.
fn top_level_blocks(text: &str) -> Vec<Range<usize>> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let structural =
            line.starts_with(|c: char| !c.is_whitespace() && !matches!(c, '#' | '-' | '.' | ']' | '}' | '%'));
        if structural && at > 0 {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().copied().skip(1).chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).filter(|r| !r.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A text's tree as JSON-like text (quoted scalars as `'…'`), and its diagnostics as `line:column code message`.
    fn read(text: &str) -> (String, Vec<String>) {
        let mut sources = SourceMap::default();
        let file = sources.add("plan.yaml", text);
        let mut diagnostics = Diagnostics::default();
        let node = parse(&sources, file, &mut diagnostics);
        let told = diagnostics.into_sorted().iter().map(|d| tell(&sources, d)).collect();
        (node.map_or("-".into(), |node| show(&node)), told)
    }

    fn tell(sources: &SourceMap, d: &Diagnostic) -> String {
        let (line, column) = sources.file(d.primary.span.file).line_column(d.primary.span.start as usize);
        let fix = d.suggestion.as_ref().map_or(String::new(), |s| format!(" => {}", s.replacement));
        format!("{line}:{column} {} [{}]{fix}", d.code.id, sources.text(d.primary.span))
    }

    fn show(node: &Node) -> String {
        match &node.kind {
            NodeKind::Null => "null".into(),
            NodeKind::Bool(b) => b.to_string(),
            NodeKind::Scalar { text, plain: true } => text.clone(),
            NodeKind::Scalar { text, plain: false } => format!("'{text}'"),
            NodeKind::Sequence(items) => {
                format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
            }
            NodeKind::Mapping(entries) => {
                let inner: Vec<_> =
                    entries.iter().map(|e| format!("{}: {}", e.key.value, show(&e.value))).collect();
                format!("{{{}}}", inner.join(", "))
            }
        }
    }

    #[test]
    fn values() {
        for (text, expected) in [
            ("", "null"),
            ("# only a comment\n", "null"),
            ("a: 1\nb: no\nc: true\nd: ~\ne:\n", "{a: 1, b: no, c: true, d: null, e: null}"),
            ("a: \"5\"\nb: '6'\nc: !!str 7\n", "{a: '5', b: '6', c: '7'}"),
            ("a: |\n  x\n  y\nb: >\n  p\n  q\n", "{a: 'x\ny\n', b: 'p q\n'}"),
            ("- 1\n- [2, {a: b}]\n", "[1, [2, {a: b}]]"),
            ("a: &x {k: 1}\nb: *x\nc: {<<: *x, j: 2}\n", "{a: {k: 1}, b: {k: 1}, c: {j: 2, k: 1}}"),
            ("a: &x {k: 1}\nb: {<<: [*x, *x], k: 3}\n", "{a: {k: 1}, b: {k: 3}}"),
            ("p: /a/{{ id }}/b\n", "{p: /a/{{ id }}/b}"),
            ("\u{feff}a: 1\r\nb: 2\r\n", "{a: 1, b: 2}"),
            ("a: { $.app_env: test }\n", "{a: {$.app_env: test}}"),
        ] {
            let (tree, told) = read(text);
            assert_eq!((tree.as_str(), told), (expected, vec![]), "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_fix_and_the_rest_is_read() {
        for (text, tree, told) in [
            ("a: 1\nb: 2\na: 3\n", "{a: 1, b: 2}", vec!["3:1 P0003 [a]"]),
            ("a: {{ x }}\nb: 2\n", "{a: '{{ x }}', b: 2}", vec!["1:4 P0004 [{{ x }}] => \"{{ x }}\""]),
            (
                "a: {{ x.y }}/z # why\nb: 2\n",
                "{a: '{{ x.y }}/z', b: 2}",
                vec!["1:4 P0004 [{{ x.y }}/z] => \"{{ x.y }}/z\""],
            ),
            (
                "a: { p: {{ x[\"k\"] }}, q: 1 }\n",
                "{a: {p: '{{ x[\"k\"] }}', q: 1}}",
                vec!["1:9 P0004 [{{ x[\"k\"] }}] => '{{ x[\"k\"] }}'"],
            ),
            (
                "a: { p: /v/{{ x }}/y, q: 1 }\n",
                "{a: {p: '/v/{{ x }}/y', q: 1}}",
                vec!["1:9 P0004 [/v/{{ x }}/y] => \"/v/{{ x }}/y\""],
            ),
            ("a: @b\nc: 1\n", "{a: '@b', c: 1}", vec!["1:4 P0005 [@b] => \"@b\""]),
            ("a: `b`\n", "{a: '`b`'}", vec!["1:4 P0005 [`b`] => \"`b`\""]),
            ("a: %5d\n", "{a: '%5d'}", vec!["1:4 P0005 [%5d] => \"%5d\""]),
            ("a: *_test\n", "{a: '*_test'}", vec!["1:4 P0005 [*_test] => \"*_test\""]),
            (
                "a: [ $.ok, $.items[0].id ]\n",
                "{a: [$.ok, '$.items[0].id']}",
                vec!["1:12 P0005 [$.items[0].id] => \"$.items[0].id\""],
            ),
            (
                "a: guard: on\nb: 1\n",
                "{a: 'guard: on', b: 1}",
                vec!["1:4 P0005 [guard: on] => \"guard: on\""],
            ),
            ("a: 1\nb:\n\tc: 2\nd: 3\n", "{a: 1, d: 3}", vec!["3:1 P0006 [\t] =>   "]),
            ("a:\n  b: 1\n\tc: 2\nd: 3\n", "{d: 3}", vec!["3:1 P0006 [\t] =>   "]),
            ("a:\n  - b: 1\n  \tc: 2\nd: 3\n", "{d: 3}", vec!["3:3 P0006 [\t] =>     "]),
            ("a:\n  - b: 1\n  -post: /echo\nd: 3\n", "{d: 3}", vec!["3:3 P0009 [-] => - "]),
            ("a: \"x\nb: 1\n", "{b: 1}", vec!["1:4 P0001 [\"]"]),
            ("a: [1, 2\nb: 1\nc: 2\n", "{b: 1, c: 2}", vec!["1:4 P0001 [[]"]),
            ("a: 1\n---\nb: 2\n", "{a: 1}", vec!["2:1 P0007 [---]"]),
            ("a:\n  -get: /x\n  -b: 1\n", "{a: {}}", vec!["2:3 P0009 [-get] => - ", "3:3 P0009 [-b] => - "]),
            ("a: !secret x\n", "{a: x}", vec!["1:12 P0005 [x]"]),
            ("a: {<<: *x, j: 2}\n", "{a: {j: 2}}", vec!["1:9 P0001 [*x]"]),
            ("a: {<<: [*x], j: 2}\n", "{a: {j: 2}}", vec!["1:10 P0001 [*x]"]),
            ("a: &x [*x]\n", "{a: [null]}", vec!["1:8 P0001 [*x]"]),
            (
                "a: {{ x }}\nb: \"\nc: @z\nd: 4\n",
                "{a: '{{ x }}', c: '@z', d: 4}",
                vec!["1:4 P0004 [{{ x }}] => \"{{ x }}\"", "2:4 P0001 [\"]", "3:4 P0005 [@z] => \"@z\""],
            ),
        ] {
            let told: Vec<String> = told.into_iter().map(String::from).collect();
            assert_eq!(read(text), (tree.to_string(), told), "{text}");
        }
    }

    #[test]
    fn spans_are_the_values_own_bytes() {
        let text = "a: \"x y\"  # c\nb:\n  - 1\n  - {k: v}\nc: |\n  t\n\nd: z\n";
        let mut sources = SourceMap::default();
        let file = sources.add("plan.yaml", text);
        let node = parse(&sources, file, &mut Diagnostics::default()).expect("parses");
        let slice = |key: &str| sources.text(node.get(key).expect("there").span).to_string();
        assert_eq!(slice("a"), "\"x y\"");
        assert_eq!(slice("b"), "1\n  - {k: v}");
        assert_eq!(slice("c"), "t");
        assert_eq!(slice("d"), "z");
    }

    #[test]
    fn bombs_cost_little() {
        let mut bomb = String::from("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
        for i in 1..20 {
            let items = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{items}]\n"));
        }
        let deep = "[".repeat(1000);
        for text in [bomb, deep, "- ".repeat(5000), "x".repeat(MAX_BYTES + 1)] {
            let (tree, told) = read(&text);
            assert_eq!(tree, "-", "{}", &text[..40]);
            assert!(!told.is_empty());
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}|[-a: \n\t{}\\[\\]\"'&*!|>%@`#?,é]{0,60}") {
            let mut sources = SourceMap::default();
            let file = sources.add("plan.yaml", text);
            let mut diagnostics = Diagnostics::default();
            let node = parse(&sources, file, &mut diagnostics);
            prop_assert!(node.is_some() || diagnostics.has_errors());
            for d in diagnostics.iter() {
                prop_assert!(d.primary.span.end as usize <= sources.file(file).text.len());
            }
        }
    }
}
