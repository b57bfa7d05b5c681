//! What stands inside `{{ … }}`, word by word, sound or not.

use std::ops::Range;

/// `agent.hostname`: each word with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chain {
    pub(super) words: Vec<Range<usize>>,
    pub(super) role: Role,
}

/// What a chain is to its expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Role {
    /// A name in scope.
    Name,
    /// Comes after `|`.
    Filter,
    /// Comes before `(`.
    Function,
}

/// The insides of the slots of a text; one that is not closed reaches to its end.
pub(super) fn slots(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut at = range.start;
    while let Some(open) = text.get(at..range.end).and_then(|rest| rest.find("{{")) {
        let start = at + open + 2;
        let end = text[start..range.end].find("}}").map_or(range.end, |close| start + close);
        out.push(start..end);
        at = end;
    }
    out
}

/// The chains of an expression.
pub(super) fn chains(text: &str, range: Range<usize>) -> Vec<Chain> {
    let Some(bytes) = text.as_bytes().get(..range.end) else { return Vec::new() };
    let mut out = Vec::new();
    let (mut at, mut role) = (range.start, Role::Name);
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at += 1 + bytes[at + 1..].iter().position(|b| *b == quote).unwrap_or(bytes.len() - at - 1);
                role = Role::Name;
            }
            b'|' => role = Role::Filter,
            byte if is_word(byte) => {
                let words = words(bytes, at);
                at = words.last().map_or(at + 1, |word| word.end);
                let next = bytes[at..].iter().find(|b| **b != b' ');
                if role == Role::Name && next == Some(&b'(') {
                    role = Role::Function;
                }
                if !bytes[words[0].start].is_ascii_digit() {
                    out.push(Chain { words, role });
                }
                role = Role::Name;
                continue;
            }
            b' ' => {}
            _ => role = Role::Name,
        }
        at += 1;
    }
    out
}

fn words(bytes: &[u8], mut at: usize) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    loop {
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        out.push(start..at);
        if bytes.get(at) != Some(&b'.') || !bytes.get(at + 1).is_some_and(|b| is_word(*b)) {
            return out;
        }
        at += 1;
    }
}

/// Whether a byte can stand in a name.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// `metric{tag:value}` by its parts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Selector {
    pub(super) metric: Range<usize>,
    /// Each tag, and its value once there is a colon.
    pub(super) tags: Vec<(Range<usize>, Option<Range<usize>>)>,
}

/// Reads a selector, closed or not.
pub(super) fn selector(text: &str, range: Range<usize>) -> Selector {
    let whole = text.get(range.clone()).unwrap_or("");
    let trimmed = |inner: Range<usize>| {
        let part = &whole[inner.clone()];
        let start = range.start + inner.start + (part.len() - part.trim_start().len());
        start..(start + part.trim().len())
    };
    let Some(open) = whole.find('{') else {
        return Selector { metric: trimmed(0..whole.len()), tags: vec![] };
    };
    let close = whole[open..].find('}').map_or(whole.len(), |close| open + close);
    let mut tags = Vec::new();
    let mut at = open + 1;
    for pair in whole[open + 1..close].split(',') {
        let colon = pair.find(':');
        let tag = trimmed(at..at + colon.unwrap_or(pair.len()));
        tags.push((tag, colon.map(|colon| trimmed(at + colon + 1..at + pair.len()))));
        at += pair.len() + 1;
    }
    Selector { metric: trimmed(0..open), tags }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_and_their_roles() {
        let show = |text: &str| {
            let slots = slots(text, 0..text.len());
            let chains = slots.into_iter().flat_map(|slot| chains(text, slot));
            let words = |chain: Chain| {
                let words: Vec<&str> = chain.words.iter().map(|word| &text[word.clone()]).collect();
                format!("{}{}", words.join("·"), ["", "|", "("][chain.role as usize])
            };
            chains.map(words).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(show("/a/{{ agent.id }}/{{inputs.rate}}"), "agent·id inputs·rate");
        assert_eq!(show("{{ n | pad(5) + 'x y.z' ~ random.int(1, m) }}"), "n pad| random·int( m");
        assert_eq!(show("{{ a | "), "a");
        assert_eq!(show("{{ inputs. }}"), "inputs");
        assert_eq!(show("a.b"), "");
    }

    #[test]
    fn selectors_closed_or_not() {
        let show = |text: &str| {
            let found = selector(text, 0..text.len());
            let tag = |(tag, value): &(Range<usize>, Option<Range<usize>>)| {
                format!(" {}={}", &text[tag.clone()], value.clone().map_or("?", |value| &text[value]))
            };
            format!("{}{}", &text[found.metric.clone()], found.tags.iter().map(tag).collect::<String>())
        };
        assert_eq!(show("checks"), "checks");
        assert_eq!(show("m{a:b, c:d}"), "m a=b c=d");
        assert_eq!(show("m{a:"), "m a=");
        assert_eq!(show("m{a:b,"), "m a=b =?");
    }
}
