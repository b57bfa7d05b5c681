//! A YAML node as a JSON template.

use super::{Parsed, Segment, UNSUPPORTED, fold, parse_template};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::graph::{Json, JsonTemplate};
use crate::source::{SourceMap, Span};
use crate::yaml::{self, Node, NodeKind};
use std::collections::BTreeMap;
use std::ops::Range;

/// Deeper JSON would not survive being written to a graph file and read again.
const MAX_DEPTH: usize = 24;

/// How bytes of a scalar's text map to places in its file: exactly where the text stands in the file as it
/// is, else the whole scalar.
pub fn place_in(sources: &SourceMap, node: &Node) -> impl Fn(Range<usize>) -> Span + use<> {
    let span = node.span;
    let raw = sources.text(span);
    let skip = match &node.kind {
        NodeKind::Scalar { text, .. } => exact_offset(raw, text),
        _ => None,
    };
    move |range| match skip {
        Some(skip) => span.slice(range.start + skip..range.end + skip),
        None => span,
    }
}

/// Bytes before the text in its raw form, when the two are otherwise the same.
fn exact_offset(raw: &str, text: &str) -> Option<usize> {
    if raw == text || raw == text.trim_end() {
        return Some(0);
    }
    let quoted = raw.len() >= 2 && raw.starts_with(['"', '\'']) && raw.is_char_boundary(raw.len() - 1);
    (quoted && &raw[1..raw.len() - 1] == text).then_some(1)
}

/// Turns a YAML node into JSON with slots. Plain scalars that are numbers of YAML's core schema are
/// numbers, quoted ones are texts; a text that is one slot keeps the type of its value.
pub fn json_template(
    sources: &SourceMap,
    node: &Node,
    diagnostics: &mut Diagnostics,
) -> Option<Parsed<JsonTemplate>> {
    let mut walk = Walk { sources, diagnostics, parsed: Vec::new() };
    let value = walk.node(node, 0)?;
    Some(Parsed { value, uses: walk.parsed })
}

struct Walk<'a> {
    sources: &'a SourceMap,
    diagnostics: &'a mut Diagnostics,
    parsed: Vec<super::NameUse>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, depth: usize) -> Option<JsonTemplate> {
        if depth > MAX_DEPTH {
            self.diagnostics.push(Diagnostic::error(
                yaml::TOO_LARGE,
                node.span,
                "JSON nested deeper than 24 levels",
            ));
            return None;
        }
        match &node.kind {
            NodeKind::Null => Some(JsonTemplate::Const(Json::Null)),
            NodeKind::Bool(value) => Some(JsonTemplate::Const((*value).into())),
            NodeKind::Scalar { text, plain } => self.scalar(node, text, *plain),
            NodeKind::Sequence(items) => {
                // All are looked at before one that failed counts.
                let items: Vec<_> = items.iter().map(|item| self.node(item, depth + 1)).collect();
                Some(fold::json_list(items.into_iter().collect::<Option<_>>()?))
            }
            NodeKind::Mapping(entries) => {
                let mut map = BTreeMap::new();
                let mut sound = true;
                for entry in entries {
                    let value = self.node(&entry.value, depth + 1);
                    sound &= value.is_some() && self.key(&entry.key.value, entry.key.span);
                    map.extend(value.map(|value| (entry.key.value.clone(), value)));
                }
                sound.then(|| fold::json_map(map))
            }
        }
    }

    fn key(&mut self, key: &str, span: Span) -> bool {
        let literal = !key.contains("{{");
        if !literal {
            self.diagnostics.push(
                Diagnostic::error(UNSUPPORTED, span, "a template in a key")
                    .help("keys are literal; put what varies into the value"),
            );
        }
        literal
    }

    fn scalar(&mut self, node: &Node, text: &str, plain: bool) -> Option<JsonTemplate> {
        if plain {
            match core_number(text) {
                Some(Ok(number)) => return Some(JsonTemplate::Const(number)),
                Some(Err(message)) => {
                    self.diagnostics.push(
                        Diagnostic::error(yaml::BAD_NUMBER, node.span, message)
                            .help("quote it to send it as text"),
                    );
                    return None;
                }
                None => {}
            }
        }
        let place = place_in(self.sources, node);
        let parsed = parse_template(text, &place, self.diagnostics)?;
        self.parsed.extend(parsed.uses);
        let mut template = parsed.value;
        // One slot alone, with nothing around it, keeps its type.
        let alone = text.starts_with("{{") && text.ends_with("}}") && text.matches("{{").count() == 1;
        Some(match template.segments.as_mut_slice() {
            [Segment::Slot(_)] => match template.segments.pop() {
                Some(Segment::Slot(expr)) => fold::json_value(expr),
                _ => JsonTemplate::Const(Json::Null),
            },
            _ if alone => self.typed(text, &place).unwrap_or_else(|| fold::json_text(template)),
            _ => fold::json_text(template),
        })
    }

    /// A slot alone whose expression was split into segments or folded to text: as a value again.
    fn typed(&mut self, text: &str, place: &dyn Fn(Range<usize>) -> Span) -> Option<JsonTemplate> {
        let parsed = super::parse_expr(text, place, &mut Diagnostics::default())?;
        Some(fold::json_value(parsed.value))
    }
}

/// A plain scalar as a number of YAML's core schema; the error says why JSON cannot hold it.
fn core_number(text: &str) -> Option<Result<Json, String>> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Err(format!("JSON has no `{text}`")));
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) =
            text.strip_prefix(prefix).filter(|d| !d.is_empty() && d.chars().all(|c| c.is_digit(radix)))
        {
            let value = u64::from_str_radix(digits, radix);
            return Some(value.map(Json::from).map_err(|_| format!("`{text}` does not fit in 64 bits")));
        }
    }
    // `10_000`, as everywhere in a plan: underscores between digits of a whole number.
    let grouped = unsigned.contains('_')
        && unsigned.split('_').all(|group| !group.is_empty() && group.chars().all(|c| c.is_ascii_digit()));
    let joined = grouped.then(|| text.replace('_', ""));
    let unsigned = if grouped { &unsigned.replace('_', "") } else { unsigned };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |s: &str| s.chars().all(|c| c.is_ascii_digit());
    let exponent_ok = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    let any = !whole.is_empty() || fraction.is_some_and(|f| !f.is_empty());
    if !any || !digits(whole) || !fraction.is_none_or(digits) || !exponent_ok {
        return None;
    }
    if fraction.is_none() && exponent.is_none() {
        let text = joined.as_deref().unwrap_or(text);
        let signed = text.strip_prefix('+').unwrap_or(text);
        let value = signed.parse::<i64>().map(Json::from).or_else(|_| signed.parse::<u64>().map(Json::from));
        return Some(value.map_err(|_| format!("`{text}` does not fit in 64 bits")));
    }
    let value = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
    Some(value.map(Json::Number).ok_or_else(|| format!("`{text}` is too large for a number")))
}
