//! An SQL script cut into statements as psql cuts it, and what in it cannot run inside one transaction.
//!
//! Nothing here understands SQL: strings, quoted names, dollar quotes, comments, brackets and the bodies of
//! `BEGIN ATOMIC … END` are skipped, so that a `;` means the end of a statement; the first words tell what it is.

use std::ops::Range;

/// One statement of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its bytes, from the first word up to the `;`, which is left out.
    pub range: Range<usize>,
    /// What it does, by its first words.
    pub deed: Deed,
    /// The rows below a `COPY … FROM stdin`, up to the line `\.`.
    pub data: Option<Range<usize>>,
}

/// What a statement does, as far as its first words tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// `INSERT`.
    Insert,
    /// `UPDATE` or `MERGE`.
    Update,
    /// `DELETE`.
    Delete,
    /// `COPY … FROM stdin`, with its rows below it.
    CopyIn,
    /// Anything else.
    Other,
}

/// What a fixture's one transaction cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Where in the text, in bytes.
    pub range: Range<usize>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to write.
    pub help: String,
}

/// Statements in order and what stands in their way. A `BEGIN` at the very start with its `COMMIT` at the very end is
/// what a fixture does anyway and is left out, as are psql's words about its own output (`\echo`, `\timing`,
/// `\set ON_ERROR_STOP on`).
pub fn script(text: &str) -> (Vec<Statement>, Vec<Complaint>) {
    let mut scan = Scan { text, bytes: text.as_bytes(), at: 0, pieces: Vec::new(), complaints: Vec::new() };
    scan.run();
    let (mut pieces, mut complaints) = (scan.pieces, scan.complaints);
    if let [first, .., last] = pieces.as_slice()
        && opens(&first.words)
        && closes(&last.words)
    {
        pieces.pop();
        pieces.remove(0);
    }
    complaints.extend(pieces.iter().filter_map(Piece::complaint));
    complaints.sort_by_key(|complaint| complaint.range.start);
    let statement = |piece: Piece| Statement { deed: piece.deed(), range: piece.range, data: piece.data };
    (pieces.into_iter().map(statement).collect(), complaints)
}

/// Line and column of a byte of a text, both from 1; columns count characters.
pub fn line_column(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}

/// The first line of a statement, cut at 80 characters.
pub fn first_line(statement: &str) -> String {
    let line = statement.lines().next().unwrap_or_default().trim_end();
    let more = line.len() < statement.trim_end().len();
    let cut: String = line.chars().take(80).collect();
    if more || cut.len() < line.len() { format!("{cut} …") } else { cut }
}

/// Words outside of brackets that tell what a statement is.
const WORDS: usize = 16;

/// psql's words that change nothing of what the script does to the database.
const HARMLESS: [&str; 8] = ["echo", "qecho", "warn", "timing", "pset", "x", "restrict", "unrestrict"];

struct Piece {
    range: Range<usize>,
    /// The first words outside of brackets, in capitals.
    words: Vec<String>,
    data: Option<Range<usize>>,
}

fn opens(words: &[String]) -> bool {
    matches!(strs(words).as_slice(), ["BEGIN"] | ["BEGIN", "WORK" | "TRANSACTION"] | ["START", "TRANSACTION"])
}

fn closes(words: &[String]) -> bool {
    matches!(strs(words).as_slice(), ["COMMIT" | "END"] | ["COMMIT" | "END", "WORK" | "TRANSACTION"])
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

impl Piece {
    fn deed(&self) -> Deed {
        match self.words.first().map_or("", String::as_str) {
            "INSERT" => Deed::Insert,
            "UPDATE" | "MERGE" => Deed::Update,
            "DELETE" => Deed::Delete,
            "COPY" if self.copies_in() => Deed::CopyIn,
            _ => Deed::Other,
        }
    }

    fn copies(&self, way: &str, end: &str) -> bool {
        let words = strs(&self.words);
        words.first() == Some(&"COPY") && words.windows(2).any(|pair| pair == [way, end])
    }

    fn copies_in(&self) -> bool {
        self.copies("FROM", "STDIN")
    }

    fn complaint(&self) -> Option<Complaint> {
        let words = strs(&self.words);
        let told = |what: &str, message: String, help: &str| {
            let end = self.range.start + what.len().min(self.range.len());
            Some(Complaint { range: self.range.start..end, message, help: help.into() })
        };
        if let Some(what) = transaction_word(&words) {
            let help = "take it away: a fixture is one transaction already; savepoints may stay";
            return told(what, format!("`{what}` ends or begins a transaction inside the script"), help);
        }
        if let Some(what) = outside(&words) {
            let help = "do it in a migration, or in a check's `command` before the seeding";
            return told(words[0], format!("{what} cannot run inside a transaction"), help);
        }
        if self.copies("TO", "STDOUT") {
            let help = "take it away: nobody reads what it would write";
            return told("COPY", "a fixture's script writes to no output".into(), help);
        }
        None
    }
}

/// The word that would end or begin a transaction.
fn transaction_word<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        ["ROLLBACK", rest @ ..] if rest.contains(&"TO") => None,
        [first @ ("BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "ABORT"), ..] => Some(first),
        [first @ ("START" | "PREPARE"), "TRANSACTION", ..] => Some(first),
        _ => None,
    }
}

/// What Postgres refuses inside a transaction.
fn outside(words: &[&str]) -> Option<String> {
    match words {
        ["VACUUM", ..] => Some("`VACUUM`".into()),
        [deed @ ("CREATE" | "DROP"), what @ ("DATABASE" | "TABLESPACE" | "SUBSCRIPTION"), ..] => {
            Some(format!("`{deed} {what}`"))
        }
        ["ALTER", "SYSTEM", ..] => Some("`ALTER SYSTEM`".into()),
        ["REINDEX", what @ ("DATABASE" | "SYSTEM" | "SCHEMA"), ..] => Some(format!("`REINDEX {what}`")),
        ["DISCARD", "ALL", ..] => Some("`DISCARD ALL`".into()),
        [deed @ ("CREATE" | "DROP" | "REINDEX" | "ALTER"), rest @ ..] if rest.contains(&"CONCURRENTLY") => {
            Some(format!("`{deed} … CONCURRENTLY`"))
        }
        _ => None,
    }
}

struct Scan<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    pieces: Vec<Piece>,
    complaints: Vec<Complaint>,
}

impl Scan<'_> {
    fn run(&mut self) {
        loop {
            self.blanks();
            match self.peek() {
                None => return,
                Some(b';') => self.at += 1,
                Some(b'\\') => self.meta(),
                Some(_) => self.statement(),
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn starts(&self, with: &str) -> bool {
        self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(with.as_bytes()))
    }

    /// White space and comments.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(byte) if byte.is_ascii_whitespace() => self.at += 1,
                // A byte order mark, as some editors leave it.
                Some(0xef) if self.at == 0 && self.starts("\u{feff}") => self.at += 3,
                _ if self.starts("--") => self.line(),
                _ if self.starts("/*") => self.comment(),
                _ => return,
            }
        }
    }

    /// To the end of the line.
    fn line(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }

    /// A comment, with those inside of it.
    fn comment(&mut self) {
        let (start, mut depth) = (self.at, 0_usize);
        while self.at < self.bytes.len() {
            if self.starts("/*") {
                depth += 1;
                self.at += 2;
            } else if self.starts("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.at += 1;
            }
        }
        self.open(start, 2, "this comment does not end", "write `*/`");
    }

    fn open(&mut self, start: usize, length: usize, message: &str, help: &str) {
        let range = start..(start + length).min(self.bytes.len());
        self.complaints.push(Complaint { range, message: message.into(), help: help.into() });
    }

    /// A line for psql, with the backslash at its start.
    fn meta(&mut self) {
        let start = self.at;
        self.line();
        let line = self.text[start..self.at].trim_end();
        let mut words = line[1..].split_whitespace();
        let word = words.next().unwrap_or_default();
        let settings = word == "set" && matches!(words.next(), Some("ON_ERROR_STOP" | "QUIET"));
        if HARMLESS.contains(&word) || settings {
            return;
        }
        let help = match word {
            "copy" => {
                "write `COPY … FROM stdin;` with the rows below it and `\\.` after them, or a table fixture"
            }
            "set" => "write the value where it is used: nothing is put into the script's text",
            "i" | "ir" | "include" | "include_relative" => {
                "list the files: `sql: [one.sql, two.sql]` runs them in order"
            }
            "c" | "connect" => "take it away: the plan's `database` says where",
            "g" | "gx" | "gset" | "gexec" => "end the statement with `;`",
            _ => "take it away, or say it in SQL",
        };
        let range = start..start + line.len();
        let message = format!("`\\{word}` is a command of psql, not SQL");
        self.complaints.push(Complaint { range, message, help: help.into() });
    }

    fn statement(&mut self) {
        let start = self.at;
        let (mut depth, mut bodies, mut end) = (0_usize, 0_usize, start);
        let mut words: Vec<String> = Vec::new();
        loop {
            self.blanks();
            let Some(byte) = self.peek() else { break };
            match byte {
                b';' if depth == 0 && bodies == 0 => break,
                b'\\' => {
                    self.meta();
                    break;
                }
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                b'\'' => self.string(byte, self.escapes()),
                b'"' => self.string(byte, false),
                b'$' => self.dollars(),
                _ if is_word(byte) => {
                    let word = self.word();
                    bodies = body(bodies, &words, &word);
                    if depth == 0 && words.len() < WORDS {
                        words.push(word);
                    }
                    end = self.at;
                    continue;
                }
                _ => {}
            }
            // A quote that is open at the end of the text has passed it already.
            self.at = (self.at + 1).min(self.bytes.len());
            end = self.at;
        }
        let mut piece = Piece { range: start..end, words, data: None };
        if piece.copies_in() && self.peek() == Some(b';') {
            self.at += 1;
            piece.data = self.rows(start);
        }
        self.pieces.push(piece);
    }

    /// The rows below a COPY, up to `\.` on a line of its own.
    fn rows(&mut self, statement: usize) -> Option<Range<usize>> {
        self.line();
        let start = (self.at + 1).min(self.bytes.len());
        let mut at = start;
        for line in self.text[start..].split_inclusive('\n') {
            if line.trim_end() == "\\." {
                self.at = at + line.len();
                return Some(start..at);
            }
            at += line.len();
        }
        self.at = self.bytes.len();
        self.open(
            statement,
            4,
            "the rows of this `COPY` do not end",
            "write `\\.` on a line of its own below them",
        );
        None
    }

    /// Whether the quote here opens a string with backslashes: `E'…'`.
    fn escapes(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).and_then(|at| self.bytes.get(at)).copied();
        matches!(before(1), Some(b'E' | b'e')) && !before(2).is_some_and(is_word)
    }

    /// A quoted text or name, up to its last quote. Doubled quotes are two strings side by side, which ends the same.
    fn string(&mut self, quote: u8, escapes: bool) {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' if escapes => self.at += 1,
                byte if byte == quote => return,
                _ => {}
            }
            self.at += 1;
        }
        let what = if quote == b'"' { "name" } else { "string" };
        self.open(start, 1, &format!("this quoted {what} does not end"), "close the quote");
    }

    /// `$tag$ … $tag$`, up to its last byte; a `$` of anything else is passed by.
    fn dollars(&mut self) {
        let start = self.at;
        let rest = &self.text[start + 1..];
        let Some(length) = rest.find('$') else { return };
        let tag = &rest[..length];
        let first = tag.bytes().next();
        if first.is_some_and(|byte| byte.is_ascii_digit()) || !tag.bytes().all(is_word) {
            return;
        }
        let quote = &self.text[start..start + length + 2];
        match self.text[start + quote.len()..].find(quote) {
            Some(inside) => self.at = start + quote.len() + inside + quote.len() - 1,
            None => {
                self.at = self.bytes.len();
                self.open(
                    start,
                    quote.len(),
                    "this quoted text does not end",
                    &format!("write `{quote}` after it"),
                );
            }
        }
    }

    /// A word or a number, in capitals.
    fn word(&mut self) -> String {
        let start = self.at;
        // A `$` inside a name is a part of it.
        while self.peek().is_some_and(|byte| is_word(byte) || byte == b'$') {
            self.at += 1;
        }
        self.text[start..self.at].to_uppercase()
    }
}

/// How deep in bodies of `BEGIN ATOMIC … END` the statement stands after a word, as psql counts it.
fn body(depth: usize, before: &[String], word: &str) -> usize {
    let first = before.first().map_or("", String::as_str);
    let makes =
        first == "CREATE" && before.iter().take(4).any(|word| word == "FUNCTION" || word == "PROCEDURE");
    match word {
        "BEGIN" if makes => depth + 1,
        "CASE" if depth > 0 => depth + 1,
        "END" => depth.saturating_sub(1),
        _ => depth,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        let (statements, complaints) = script(text);
        assert_eq!(complaints, [], "{text}");
        statements.iter().map(|statement| &text[statement.range.clone()]).collect()
    }

    #[test]
    fn a_statement_ends_at_its_own_semicolon() {
        for (text, wanted) in [
            ("select 1; select 2", vec!["select 1", "select 2"]),
            (";; -- none; here\n/* nor; /* in */ here; */", vec![]),
            (
                "select 'a;b', \"c;d\", E'it\\'s;', 'it''s;'",
                vec!["select 'a;b', \"c;d\", E'it\\'s;', 'it''s;'"],
            ),
            ("select 'c:\\'; select 1", vec!["select 'c:\\'", "select 1"]),
            (
                "do $$ begin; commit; end $$; select $x$;$$;$x$",
                vec!["do $$ begin; commit; end $$", "select $x$;$$;$x$"],
            ),
            ("prepare p as select $1; select 2", vec!["prepare p as select $1", "select 2"]),
            (
                "create rule r as on insert to t do (select 1; select 2); select 3",
                vec!["create rule r as on insert to t do (select 1; select 2)", "select 3"],
            ),
            (
                "create or replace function f() returns int begin atomic select case when true then 1 end; end; select 3",
                vec![
                    "create or replace function f() returns int begin atomic select case when true then 1 end; end",
                    "select 3",
                ],
            ),
            ("select 'ä;ö' -- ü;\n, 1;", vec!["select 'ä;ö' -- ü;\n, 1"]),
            ("\u{feff}select 1", vec!["select 1"]),
        ] {
            assert_eq!(cut(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_the_transaction_of_a_fixture_says_anyway_is_left_out() {
        assert_eq!(cut("begin;\nselect 1;\nsavepoint a; rollback to a;\ncommit;").len(), 3);
        assert_eq!(cut("\\set ON_ERROR_STOP on\n\\echo hello; world\nselect 1;"), ["select 1"]);
    }

    #[test]
    fn copied_rows_are_no_statements() {
        let text = "copy t (a, b) from stdin with (format csv);\n1,';'\n2,b\n\\.\nselect 1;";
        let (statements, complaints) = script(text);
        assert_eq!(complaints, []);
        assert_eq!(statements[0].deed, Deed::CopyIn);
        assert_eq!(&text[statements[0].data.clone().unwrap()], "1,';'\n2,b\n");
        assert_eq!(&text[statements[1].range.clone()], "select 1");
    }

    #[test]
    fn what_cannot_run_in_a_transaction_is_told_with_its_place() {
        for (text, at, message) in [
            ("select 1;\n commit;\nselect 2;", (2, 2), "`COMMIT` ends or begins a transaction"),
            ("begin; select 1;", (1, 1), "`BEGIN` ends or begins a transaction"),
            ("rollback", (1, 1), "`ROLLBACK` ends"),
            ("vacuum analyze t", (1, 1), "`VACUUM` cannot run inside a transaction"),
            ("create unique index concurrently i on t (a)", (1, 1), "`CREATE … CONCURRENTLY`"),
            ("create database x", (1, 1), "`CREATE DATABASE` cannot"),
            ("select 1;\n\\copy t from 'x.csv'\nselect 2", (2, 1), "`\\copy` is a command of psql"),
            ("select 1 \\gset\nselect :x;", (1, 10), "`\\gset` is a command of psql"),
            ("\\set n 5\nselect 1", (1, 1), "`\\set` is a command of psql"),
            ("copy (select 1) to stdout", (1, 1), "writes to no output"),
            ("select 'abc", (1, 8), "this quoted string does not end"),
            ("do $x$ begin end $y$;", (1, 4), "this quoted text does not end"),
            ("/* a", (1, 1), "this comment does not end"),
            ("copy t from stdin;\n1\n", (1, 1), "the rows of this `COPY` do not end"),
        ] {
            let (_, complaints) = script(text);
            assert!(
                complaints.len() == 1 && complaints[0].message.contains(message),
                "{text}: {complaints:?}"
            );
            assert_eq!(line_column(text, complaints[0].range.start), at, "{text}");
        }
        for fine in
            ["refresh materialized view concurrently v", "create table begin_here (a int)", "select 1"]
        {
            assert_eq!(script(fine).1, [], "{fine}");
        }
    }

    #[test]
    fn a_statement_in_one_line() {
        assert_eq!(first_line("select 1"), "select 1");
        assert_eq!(first_line("insert into t (a)\nselect 1"), "insert into t (a) …");
        assert_eq!(first_line(&"ä".repeat(100)).chars().count(), 82);
    }
}
