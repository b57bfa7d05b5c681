//! What `runner seed` says without doing anything.

use super::{Part, Seed};
use crate::database;
use crate::evidence::NodeOutcome;
use crate::guards;
use crate::plan::Loaded;
use crate::report::terminal::grouped;
use planc::graph::{ExecutionGraph, Fixture, FixtureKind, Generator, OnConflict, SqlFixture};

/// One line a fixture: its name, what it makes, where it is written, what it is about.
pub(super) fn list<'a>(parts: impl Iterator<Item = &'a Loaded>) -> String {
    let mut lines: Vec<[String; 4]> = Vec::new();
    for loaded in parts {
        for fixture in &loaded.graph.fixtures {
            let file = loaded.file_of(&fixture.name).unwrap_or_default().to_owned();
            lines.push([fixture.name.clone(), made(fixture), file, fixture.about.clone()]);
        }
    }
    columns(&lines)
}

/// What would be done, in order, and whether a guard would refuse it.
pub(super) fn dry_run(part: &Part, args: &Seed) -> (String, bool) {
    let graph = &part.loaded.graph;
    let mut order = graph.seeding_order();
    if args.reset {
        order.reverse();
    }
    let lines: Vec<[String; 4]> = order
        .iter()
        .map(|fixture| {
            let parents = parents(graph, fixture);
            let after = match parents.is_empty() || args.reset {
                true => String::new(),
                false => format!("after {}", parents.join(", ")),
            };
            [fixture.name.clone(), made(fixture), deed(fixture, args), after]
        })
        .collect();
    let (place, refused) = place(graph, args);
    let rows = graph.fixtures.iter().map(|fixture| fixture.rows).fold(0, u64::saturating_add);
    let count = match order.len() {
        1 => "1 fixture".to_owned(),
        n => format!("{n} fixtures"),
    };
    let what = format!("{count}, {} rows; nothing was read from a database or written\n", grouped(rows));
    (format!("{place}{}{what}", columns(&lines)), refused)
}

/// The database as far as it is known before a run, and whether its name or address would be refused.
fn place(graph: &ExecutionGraph, args: &Seed) -> (String, bool) {
    let Some(url) = &args.database_url else {
        let text = match (&graph.database, graph.services.is_empty()) {
            (None, _) => "database: none named, give --database-url\n",
            (Some(_), true) => "database: the plan's\n",
            (Some(_), false) => "database: the plan's, its services are started first\n",
        };
        return (text.into(), false);
    };
    let hosts = database::hosts_in_url(url);
    let host = hosts.first().map_or(String::new(), |(host, port)| format!(" on {host}:{port}"));
    let name = database::name_in_url(url).unwrap_or_default();
    let mut text = format!("database: `{name}`{host}\n");
    let given = args.database.database_guard.as_deref();
    let records = guards::database_address(graph, url, given);
    let refused: Vec<_> = records.iter().filter(|record| record.outcome != NodeOutcome::Passed).collect();
    for record in &refused {
        let fix = record.fix.as_deref().map_or(String::new(), |fix| format!("\n  help: {fix}"));
        text.push_str(&format!("would be refused: {}{fix}\n", record.detail));
    }
    (text, !refused.is_empty())
}

fn made(fixture: &Fixture) -> String {
    match &fixture.kind {
        FixtureKind::Table(table) => format!("{} rows of `{}`", grouped(fixture.rows), table.table),
        FixtureKind::Http(_) => format!("{} accounts", grouped(fixture.rows)),
        FixtureKind::Sql(sql) if fixture.rows == 0 => scripts(sql),
        FixtureKind::Sql(sql) => format!("{} rows by {}", grouped(fixture.rows), scripts(sql)),
    }
}

fn scripts(sql: &SqlFixture) -> String {
    let files: Vec<&str> = sql.scripts.iter().map(|script| script.file.as_str()).collect();
    files.join(", ")
}

fn deed(fixture: &Fixture, args: &Seed) -> String {
    match (&fixture.kind, args.reset, args.verify) {
        (_, true, _) => "delete these rows and no others".into(),
        (_, _, true) => "compare".into(),
        (FixtureKind::Http(http), ..) => {
            let url = http.create.url.as_literal().unwrap_or("the service");
            format!("{} {url}, each account once", http.create.method)
        }
        (FixtureKind::Sql(_), ..) => "run unless it is as it was run".into(),
        (FixtureKind::Table(table), ..) => {
            let known = table.identity.join("`, `");
            match table.on_conflict {
                OnConflict::Fail => format!("insert; one whose `{known}` is there is an error"),
                OnConflict::Keep => format!("insert where `{known}` is not there, keep the others"),
                OnConflict::Refresh => format!("insert or refresh by `{known}`"),
                OnConflict::Exact => format!("insert or refresh by `{known}`, delete what it no longer has"),
            }
        }
    }
}

/// Fixtures that this one comes after: the plan says so, or its rows refer to theirs.
fn parents(graph: &ExecutionGraph, fixture: &Fixture) -> Vec<String> {
    let mut out = fixture.after.clone();
    out.extend(fixture.children.iter().map(|children| children.of.clone()));
    for column in fixture.columns().values() {
        match &column.generator {
            Generator::Fixture { fixture, .. } => out.push(fixture.clone()),
            Generator::References { table, .. } | Generator::Sample { table, .. } => {
                let makes = |other: &&Fixture| {
                    other.name != fixture.name && other.rows_in().is_some_and(|(made, _)| made == table)
                };
                out.extend(graph.fixtures.iter().filter(makes).map(|other| other.name.clone()));
            }
            _ => {}
        }
    }
    out.sort();
    out.dedup();
    out
}

/// Columns as wide as their widest cell; none at the end of a line that is empty.
fn columns(lines: &[[String; 4]]) -> String {
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..3).map(width).collect();
    let mut out = String::new();
    for [name, made, third, last] in lines {
        let text = format!("  {name:0$}  {made:1$}  {third:2$}  {last}", widths[0], widths[1], widths[2]);
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}
