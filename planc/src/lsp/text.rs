//! Texts as an editor counts them: lines, and columns in the units that were agreed on.

use lsp_types::{Position, PositionEncodingKind, Range as LspRange, TextDocumentContentChangeEvent};
use std::ops::Range;

/// The unit of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Units {
    Utf8,
    Utf16,
}

impl Units {
    /// Bytes when the client can count them; UTF-16, which every client can, otherwise.
    pub(super) fn agreed(offered: Option<&[PositionEncodingKind]>) -> Self {
        let offers = |kind| offered.is_some_and(|offered| offered.contains(&kind));
        if offers(PositionEncodingKind::UTF8) { Units::Utf8 } else { Units::Utf16 }
    }

    pub(super) fn kind(self) -> PositionEncodingKind {
        match self {
            Units::Utf8 => PositionEncodingKind::UTF8,
            Units::Utf16 => PositionEncodingKind::UTF16,
        }
    }

    fn of(self, c: char) -> usize {
        match self {
            Units::Utf8 => c.len_utf8(),
            Units::Utf16 => c.len_utf16(),
        }
    }
}

/// A text and where its lines begin.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    units: Units,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str, units: Units) -> Self {
        let bytes = text.as_bytes();
        // A line ends with `\n`, `\r\n` or `\r`.
        let ends =
            |at: &usize| bytes[*at] == b'\n' || bytes[*at] == b'\r' && bytes.get(at + 1) != Some(&b'\n');
        let starts = std::iter::once(0).chain((0..bytes.len()).filter(ends).map(|at| at + 1)).collect();
        Lines { text, starts, units }
    }

    /// The byte of a position; one beyond its line is the line's end, as the protocol says.
    pub(super) fn byte(&self, position: Position) -> usize {
        let Some(start) = self.starts.get(position.line as usize).copied() else { return self.text.len() };
        let next = self.starts.get(position.line as usize + 1).copied().unwrap_or(self.text.len());
        let line = self.text[start..next].trim_end_matches(['\n', '\r']);
        let mut column = 0;
        for (at, c) in line.char_indices() {
            if column >= position.character as usize {
                return start + at;
            }
            column += self.units.of(c);
        }
        start + line.len()
    }

    pub(super) fn position(&self, byte: usize) -> Position {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= byte) - 1;
        let column = self.text[self.starts[line]..byte].chars().map(|c| self.units.of(c)).sum::<usize>();
        Position::new(line as u32, column as u32)
    }

    pub(super) fn range(&self, range: &Range<usize>) -> LspRange {
        LspRange::new(self.position(range.start), self.position(range.end))
    }
}

/// The text after an edit; without a range it is the whole new text.
pub(super) fn edited(text: String, change: TextDocumentContentChangeEvent, units: Units) -> String {
    let Some(range) = change.range else { return change.text };
    let lines = Lines::of(&text, units);
    let (start, end) = (lines.byte(range.start), lines.byte(range.end));
    let mut text = text;
    text.replace_range(start..end.max(start), &change.text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_counted_in_the_agreed_unit() {
        let text = "a: ü😀x\r\nb\rc\n";
        for (units, character) in [(Units::Utf8, 9), (Units::Utf16, 6)] {
            let lines = Lines::of(text, units);
            let x = text.find('x').expect("there");
            assert_eq!(lines.position(x), Position::new(0, character));
            assert_eq!(lines.byte(Position::new(0, character)), x);
            assert_eq!(lines.byte(Position::new(0, 99)), text.find('\r').expect("there"));
            assert_eq!(lines.position(text.find('c').expect("there")), Position::new(2, 0));
            assert_eq!(lines.byte(Position::new(3, 4)), text.len());
            assert_eq!(lines.byte(Position::new(9, 0)), text.len());
        }
        let offered = [PositionEncodingKind::UTF16, PositionEncodingKind::UTF8];
        assert_eq!(Units::agreed(Some(&offered)), Units::Utf8);
        assert_eq!(Units::agreed(None), Units::Utf16);
    }

    #[test]
    fn edits_land_where_they_are_meant() {
        let change = |range: Option<(u32, u32, u32, u32)>, text: &str| TextDocumentContentChangeEvent {
            range: range.map(|(a, b, c, d)| LspRange::new(Position::new(a, b), Position::new(c, d))),
            range_length: None,
            text: text.into(),
        };
        let edit = |range, new: &str| edited("a: ü😀x\nb: 1\n".into(), change(range, new), Units::Utf16);
        assert_eq!(edit(Some((0, 4, 0, 6)), "y"), "a: üyx\nb: 1\n");
        assert_eq!(edit(Some((0, 99, 1, 0)), "; "), "a: ü😀x; b: 1\n");
        assert_eq!(edit(Some((7, 0, 9, 0)), "c"), "a: ü😀x\nb: 1\nc");
        assert_eq!(edit(Some((1, 3, 0, 0)), "z"), "a: ü😀x\nb: z1\n");
        assert_eq!(edit(None, "new"), "new");
    }
}
