//! Fixtures from SQL scripts: their words, and the texts of the files that they name.

use super::load::{Loader, join};
use super::{Map, Parser};
use crate::ast::{Column, FixtureKind, SqlFixture, Typed, Word};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::Script;
use crate::near::listed;
use crate::source::Span;
use crate::sql;

/// Keys that say what happens to rows which are there, and the script says that.
const NOT_BESIDE: [(&str, &str); 6] = [
    ("children", "a script has its own rows"),
    ("create", "a fixture is made by `create` or by a script, not both"),
    ("rows_from", "a script has its own rows"),
    ("export", "rows of a script are exported by nobody"),
    ("on_conflict", "the script decides what becomes of rows that are there"),
    ("adopt", "the script decides what becomes of rows that are there"),
];

impl Parser<'_> {
    /// What stands beside `sql`; `rows` and `columns` were read already.
    pub(super) fn sql_fixture(
        &mut self,
        map: &mut Map<'_>,
        rows: Option<&Typed<u64>>,
        columns: &[Column],
    ) -> Option<FixtureKind> {
        let node = map.take("sql")?;
        for (key, message) in NOT_BESIDE {
            if let Some(entry) = map.entries.iter().find(|entry| entry.key.value == key) {
                map.known.push(key);
                self.error(codes::CONFLICTING_KEYS, entry.key.span, message);
            }
        }
        let files = self.words(node);
        if files.is_empty() && self.one_or_many(node).is_empty() {
            self.error(codes::BAD_VALUE, node.span, "`sql` names no file");
        }
        let reset = self.word_key(map, "reset");
        let table = map.take("table").and_then(|node| self.word(node));
        let identity = map.take("identity").map(|node| self.words(node));
        let declared = self.declared(map, table, identity, rows, columns);
        if files.is_empty() {
            return Some(FixtureKind::Broken);
        }
        let (scripts, reset_script) = (Vec::new(), None);
        Some(FixtureKind::Sql(Box::new(SqlFixture { files, scripts, reset, reset_script, declared })))
    }

    /// Table and identity of the rows that scenarios may draw: said whole or not at all.
    fn declared(
        &mut self,
        map: &Map<'_>,
        table: Option<Word>,
        identity: Option<Vec<Word>>,
        rows: Option<&Typed<u64>>,
        columns: &[Column],
    ) -> Option<(Word, Vec<Word>)> {
        const KEYS: [&str; 4] = ["table", "identity", "rows", "columns"];
        let there = [table.is_some(), identity.is_some(), rows.is_some(), !columns.is_empty()];
        let first = map.entries.iter().find(|entry| KEYS.contains(&entry.key.value.as_str()))?;
        let missing: Vec<&str> = KEYS.into_iter().filter(|key| !map.has(key) && !map.has_near(key)).collect();
        if !missing.is_empty() {
            let message = "rows that a script makes are declared whole or not at all";
            let keys = listed(missing, "and");
            self.diagnostics.push(Diagnostic::error(codes::MISSING_KEY, first.key.span, message).help(
                format!("add {keys}, so that the rows can be drawn and are looked for after the script"),
            ));
        }
        table.zip(identity).filter(|_| there.iter().all(|there| *there))
    }
}

impl Loader<'_> {
    /// Reads the scripts, relative to the file that names them.
    pub(super) fn scripts(&mut self, fixture: &mut SqlFixture, base: &str) {
        fixture.scripts = fixture.files.iter().filter_map(|word| self.script(word, base)).collect();
        fixture.reset_script = fixture.reset.as_ref().and_then(|word| self.script(word, base));
    }

    fn script(&mut self, word: &Word, base: &str) -> Option<Script> {
        let path = join(base, &word.value);
        let text = self.read(&path, word.span)?;
        let file = self.take_in(&path, text)?;
        let text = self.sources.file(file).text.clone();
        let (statements, complaints) = sql::script(&text);
        if statements.is_empty() && complaints.is_empty() {
            let message = format!("`{}` has no statement", word.value);
            self.diagnostics.push(Diagnostic::error(codes::BAD_VALUE, word.span, message));
        }
        for complaint in complaints {
            let span = Span::new(file, complaint.range);
            self.diagnostics.push(
                Diagnostic::error(codes::SCRIPT_STATEMENT, span, complaint.message)
                    .also(word.span, "this fixture runs it")
                    .help(complaint.help),
            );
        }
        Some(Script { file: word.value.clone(), text })
    }
}
