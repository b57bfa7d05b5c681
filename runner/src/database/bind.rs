//! Statements with their slots bound: as parameters, never as text of the statement.

use super::AsText;
use planc::eval;
use planc::expr::Scope;
use planc::graph::{Segment, Template};

/// The statement with `$1` … in the place of its slots, and what is bound there. A slot inside a quoted text makes that
/// whole text one parameter: `'load-{{ run_id }}'` is bound as one.
pub(super) fn bind(statement: &Template, values: &dyn Scope) -> Result<(String, Vec<AsText>), String> {
    let mut out = Statement::default();
    for segment in &statement.segments {
        match segment {
            Segment::Literal(literal) => out.literal(literal),
            Segment::Slot(expr) => {
                out.slot(&eval::to_text(&eval::eval(expr, values).map_err(|error| error.0)?))?;
            }
        }
    }
    match out.within {
        Within::Text { .. } => Err("a quoted text in the statement is never closed".into()),
        _ => Ok((out.text, out.parameters)),
    }
}

#[derive(Default)]
struct Statement {
    text: String,
    parameters: Vec<AsText>,
    within: Within,
    /// The quoted text being read, as it is written.
    written: String,
    /// What it says.
    said: String,
    slotted: bool,
}

/// Where in a statement the reading is.
#[derive(Default)]
enum Within {
    #[default]
    Code,
    /// `'…'`; with backslashes after an `E`.
    Text { escapes: bool },
    /// `"…"`.
    Name,
    /// `-- …`
    Line,
    /// `/* … */`, which nests.
    Block(u32),
    /// `$tag$ … $tag$`, with the tag.
    Dollars(String),
}

impl Statement {
    fn literal(&mut self, literal: &str) {
        let mut rest = literal;
        while let Some(c) = rest.chars().next() {
            let taken = match self.within {
                Within::Code => self.code(c, rest),
                Within::Text { escapes } => self.quoted(c, rest, escapes),
                _ => self.passed(c, rest),
            };
            rest = &rest[taken..];
        }
    }

    fn code(&mut self, c: char, rest: &str) -> usize {
        let in_word = |text: &str| text.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let taken = match c {
            '\'' => {
                let before = self.text.strip_suffix(['e', 'E']);
                let escapes = before.is_some_and(|before| !in_word(before));
                self.within = Within::Text { escapes };
                self.written = "'".into();
                self.said.clear();
                self.slotted = false;
                return 1;
            }
            '"' => {
                self.within = Within::Name;
                1
            }
            '-' if rest.starts_with("--") => {
                self.within = Within::Line;
                2
            }
            '/' if rest.starts_with("/*") => {
                self.within = Within::Block(1);
                2
            }
            '$' if !in_word(&self.text) => match dollar_tag(rest) {
                Some(tag) => {
                    self.within = Within::Dollars(tag.to_owned());
                    tag.len()
                }
                None => 1,
            },
            _ => c.len_utf8(),
        };
        self.text.push_str(&rest[..taken]);
        taken
    }

    fn quoted(&mut self, c: char, rest: &str, escapes: bool) -> usize {
        let pair = rest.starts_with("''");
        if c == '\'' && !pair {
            match self.slotted {
                true => {
                    let said = std::mem::take(&mut self.said);
                    self.parameter(&said);
                }
                false => self.text.push_str(&format!("{}'", self.written)),
            }
            self.within = Within::Code;
            return 1;
        }
        let escaped =
            (escapes && c == '\\').then(|| rest[1..].chars().next().map_or(1, |c| 1 + c.len_utf8()));
        let taken = escaped.unwrap_or(if pair { 2 } else { c.len_utf8() });
        self.written.push_str(&rest[..taken]);
        self.said.push(c);
        taken
    }

    /// Names, comments and texts between dollar signs: as they are, up to their end.
    fn passed(&mut self, c: char, rest: &str) -> usize {
        let (taken, ends) = match &mut self.within {
            Within::Name => (c.len_utf8(), c == '"'),
            Within::Line => (c.len_utf8(), c == '\n'),
            Within::Block(depth) if rest.starts_with("*/") => {
                *depth -= 1;
                (2, *depth == 0)
            }
            Within::Block(depth) if rest.starts_with("/*") => {
                *depth += 1;
                (2, false)
            }
            Within::Dollars(tag) if rest.starts_with(tag.as_str()) => (tag.len(), true),
            _ => (c.len_utf8(), false),
        };
        if ends {
            self.within = Within::Code;
        }
        self.text.push_str(&rest[..taken]);
        taken
    }

    fn slot(&mut self, value: &str) -> Result<(), String> {
        let place = match &self.within {
            Within::Code => {
                self.parameter(value);
                return Ok(());
            }
            Within::Text { escapes: false } => {
                self.said.push_str(value);
                self.slotted = true;
                return Ok(());
            }
            Within::Text { escapes: true } => "a text with escapes (`E'…'`)",
            Within::Name => "a quoted name",
            Within::Line | Within::Block(_) => "a comment",
            Within::Dollars(_) => "a text between `$` signs",
        };
        Err(format!("a slot stands in {place} of the statement, where nothing can be bound"))
    }

    fn parameter(&mut self, value: &str) {
        self.parameters.push(AsText(value.to_owned()));
        self.text.push_str(&format!("${}", self.parameters.len()));
    }
}

/// The `$tag$` that a text begins with.
fn dollar_tag(rest: &str) -> Option<&str> {
    let end = rest[1..].find('$')? + 2;
    let tag = &rest[..end];
    tag[1..end - 1].chars().all(|c| c.is_alphanumeric() || c == '_').then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Values;

    /// `$x` stands for a slot.
    fn bound(text: &str) -> String {
        let mut values = Values::new(1, || 0);
        values.set("x", "o'clock");
        let mut segments = Vec::new();
        for (at, literal) in text.split("$x").enumerate() {
            if at > 0 {
                segments.push(Segment::Slot(planc::graph::Expr::Path(vec!["x".into()])));
            }
            segments.push(Segment::Literal(literal.into()));
        }
        match bind(&Template { segments }, &values) {
            Ok((text, parameters)) => {
                let parameters: Vec<String> = parameters.into_iter().map(|parameter| parameter.0).collect();
                format!("{text} [{}]", parameters.join("|"))
            }
            Err(why) => why,
        }
    }

    #[test]
    fn a_slot_is_a_parameter_wherever_it_can_be_one() {
        for (text, want) in [
            ("select $x", "select $1 [o'clock]"),
            ("select 1 where a = '$x'", "select 1 where a = $1 [o'clock]"),
            ("a like 'it''s-$x-%' and b = 'c''d'", "a like $1 and b = 'c''d' [it's-o'clock-%]"),
            ("'$x$x'::text || $x", "$1::text || $2 [o'clocko'clock|o'clock]"),
            ("select 'a' -- it's\n, $x", "select 'a' -- it's\n, $1 [o'clock]"),
            ("select /* ' /* ' */ ' */ $x", "select /* ' /* ' */ ' */ $1 [o'clock]"),
            ("select $$it's$$, $a$ $$ ' $a$, $x", "select $$it's$$, $a$ $$ ' $a$, $1 [o'clock]"),
            ("select \"it's\", $x", "select \"it's\", $1 [o'clock]"),
            ("select E'it\\'s', '$x'", "select E'it\\'s', $1 [o'clock]"),
        ] {
            assert_eq!(bound(text), want, "{text}");
        }
    }

    #[test]
    fn where_nothing_can_be_bound_it_is_said() {
        for (text, want) in [
            ("select \"$x\"", "a quoted name"),
            ("select 1 -- $x", "a comment"),
            ("select /* $x */ 1", "a comment"),
            ("select $a$ $x $a$", "a text between `$` signs"),
            ("select E'$x'", "a text with escapes"),
            ("select '$x", "never closed"),
        ] {
            assert!(bound(text).contains(want), "{text}: {}", bound(text));
        }
    }
}
