//! Triggers and rules of a table: what runs beside a statement, or in its place.

use crate::error::SeedError;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

/// A trigger or rule that is on.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    /// `trigger `append_only`` or `rule `keep``, with its function.
    pub(crate) shown: String,
    /// Runs before a row is inserted: it may fill in what was not supplied.
    pub(crate) before_insert: bool,
    /// Runs on DELETE, or in its place: what it would do there.
    pub(crate) on_delete: Option<&'static str>,
}

/// All that are on, by name.
pub(crate) async fn load(client: &Client, oid: u32) -> Result<Vec<Trigger>, SeedError> {
    let of: [(&(dyn ToSql + Sync), Type); 1] = [(&oid, Type::OID)];
    let triggers = client.query_typed(
        "SELECT t.tgname::text, t.tgtype::int4, p.proname::text, l.lanname::text, p.prosrc \
         FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang \
         WHERE t.tgrelid = $1 AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') ORDER BY t.tgname",
        &of,
    );
    let rules = client.query_typed(
        "SELECT rulename::text, is_instead FROM pg_rewrite \
         WHERE ev_class = $1 AND ev_type = '4' AND ev_enabled IN ('O', 'A') ORDER BY rulename",
        &of,
    );
    let (rows, rules) = tokio::try_join!(biased; triggers, rules)?;
    let mut found: Vec<Trigger> = rows
        .iter()
        .map(|row| {
            let (name, function): (String, String) = (row.get(0), row.get(2));
            let (kind, language, source): (i32, String, String) = (row.get(1), row.get(3), row.get(4));
            let (each_row, before) = (kind & 1 != 0, kind & 2 != 0);
            let refuses = || match language.as_str() {
                "plpgsql" => refusal(&source, each_row && before),
                _ => None,
            };
            let fires = "fires on DELETE, and what it does is more than this fixture's rows";
            let on_delete = (kind & 8 != 0).then(|| refuses().unwrap_or(fires));
            Trigger {
                shown: format!("the trigger `{name}` (function `{function}`)"),
                before_insert: each_row && before && kind & 4 != 0,
                on_delete,
            }
        })
        .collect();
    found.extend(rows_of_rules(&rules));
    Ok(found)
}

fn rows_of_rules(rules: &[tokio_postgres::Row]) -> impl Iterator<Item = Trigger> {
    rules.iter().map(|row| Trigger {
        shown: format!("the rule `{}`", row.get::<_, String>(0)),
        before_insert: false,
        on_delete: Some(match row.get(1) {
            true => "takes the place of every DELETE",
            false => "runs beside every DELETE, and what it does is more than this fixture's rows",
        }),
    })
}

/// How a function in PL/pgSQL can keep a row from being deleted; `None` when its text shows no way.
fn refusal(source: &str, before_row: bool) -> Option<&'static str> {
    let code = uncommented(source).to_ascii_lowercase();
    let words: Vec<&str> = code
        .split(|c: char| c.is_whitespace() || c == ';' || c == '(')
        .filter(|word| !word.is_empty())
        .collect();
    let quiet = ["debug", "log", "info", "notice", "warning"];
    let raises = |pair: &[&str]| pair[0] == "raise" && !quiet.contains(&pair[1]);
    if words.windows(2).any(raises) {
        return Some("can raise an exception on DELETE");
    }
    let drops = |pair: &[&str]| pair[0] == "return" && pair[1] == "null";
    (before_row && words.windows(2).any(drops))
        .then_some("can return NULL before DELETE, which keeps the row")
}

/// The text without comments. Comment marks inside of string literals are taken for comments: what is cut off with them
/// is at worst an exception that is not told.
fn uncommented(source: &str) -> String {
    let mut out = String::new();
    let mut rest = source;
    while let Some(at) = [rest.find("--"), rest.find("/*")].into_iter().flatten().min() {
        out.push_str(&rest[..at]);
        out.push(' ');
        let (end, skip) = if rest[at..].starts_with("--") { ("\n", 0) } else { ("*/", 2) };
        rest = rest[at..].find(end).map_or("", |length| &rest[at + length + skip..]);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_can_refuse() {
        let raises = Some("can raise an exception on DELETE");
        let keeps = Some("can return NULL before DELETE, which keeps the row");
        for (source, before_row, told) in [
            ("BEGIN RAISE EXCEPTION 'append only'; END", false, raises),
            ("begin raise 'append only'; end", true, raises),
            ("BEGIN RAISE NOTICE 'gone'; RETURN OLD; END", true, None),
            ("BEGIN -- RAISE EXCEPTION 'no'\n RETURN OLD; END", true, None),
            ("BEGIN /* RAISE EXCEPTION */ RETURN OLD; END", true, None),
            ("BEGIN RETURN NULL; END", true, keeps),
            ("BEGIN INSERT INTO log VALUES (1); RETURN NULL; END", false, None),
            ("BEGIN PERFORM 1; /* never closed", true, None),
        ] {
            assert_eq!(refusal(source, before_row), told, "{source}");
        }
    }
}
