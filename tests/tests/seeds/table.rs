//! `tests/seeds.md` and the tables beside it: each requirement of a document is met by what its row cites.

mod citation;

use citation::Citation;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tests::root;

/// One requirement of one document.
struct Row {
    id: String,
    requirement: String,
    place: String,
}

/// The tables, by the number of their document.
fn tables() -> BTreeMap<String, PathBuf> {
    let folder = std::fs::read_dir(root().join("tests/seeds")).expect("the folder of the tables").flatten();
    let tables =
        folder.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "md"));
    tables.map(|path| (path.file_stem().expect("a name").to_string_lossy().into_owned(), path)).collect()
}

fn rows(path: &PathBuf) -> Vec<Row> {
    let text = std::fs::read_to_string(path).expect("a table can be read");
    let lines = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #"));
    lines.map(|line| row(line).unwrap_or_else(|| panic!("{}: not a row: {line}", path.display()))).collect()
}

/// The cells of `| 000-01 | requirement | where |`; a bar inside a cell is written `\|`.
fn row(line: &str) -> Option<Row> {
    let line = line.replace("\\|", "\u{1}");
    let cells: Vec<String> =
        line.trim().trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect();
    let [id, requirement, place] = cells.try_into().ok()?;
    Some(Row { id, requirement, place })
}

#[test]
fn ids_are_dense_and_nothing_is_said_twice() {
    let mut said = BTreeMap::new();
    for (seed, path) in tables() {
        for (at, Row { id, requirement, .. }) in rows(&path).into_iter().enumerate() {
            assert_eq!(id, format!("{seed}-{:02}", at + 1), "{}: the next number", path.display());
            assert!(!requirement.is_empty(), "{id}: no requirement");
            if let Some(other) = said.insert((seed.clone(), requirement), id.clone()) {
                panic!("{id} says what {other} says");
            }
        }
    }
    assert!(!said.is_empty(), "no table has a row");
}

#[test]
fn the_index_counts_the_rows() {
    let index = std::fs::read_to_string(root().join("tests/seeds.md")).expect("tests/seeds.md");
    let told: BTreeMap<String, usize> = index
        .lines()
        .filter_map(|line| {
            let (file, rest) = line.strip_prefix("[seeds/")?.split_once(".md]")?;
            let count = rest.split(": ").nth(1)?.split(' ').next()?;
            Some((file.to_owned(), count.parse().unwrap_or_else(|_| panic!("not a count: {line}"))))
        })
        .collect();
    let held: BTreeMap<String, usize> =
        tables().into_iter().map(|(seed, path)| (seed, rows(&path).len())).collect();
    assert_eq!(told, held, "tests/seeds.md (left) and the tables (right)");
}

#[test]
fn every_citation_is_there() {
    let mut wrong = Vec::new();
    for row in tables().values().flat_map(rows) {
        let cited: Vec<&str> = row.place.split('`').skip(1).step_by(2).collect();
        if cited.is_empty() {
            wrong.push(format!("{}: cites nothing", row.id));
        }
        for text in cited {
            let found = Citation::read(text).and_then(|citation| citation.holds());
            wrong.extend(found.err().map(|why| format!("{}: `{text}`: {why}", row.id)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_citation_of_what_is_not_there_is_told() {
    for (text, why) in [
        ("plans/no-such.yaml#plan", "is not there"),
        ("plans/quickstart.yaml#thresholds.http_req_durations", "`thresholds` has no `http_req_durations`"),
        ("plans/quickstart.yaml#scenarios.heartbeats.steps.heartbeet", "`steps` has no `heartbeet`"),
        ("plans/quickstart.yaml#preflight.9", "`preflight` has no `9`"),
        ("tests/tests/apply.rs#no_such_test", "no `fn no_such_test`"),
        ("runner fly", "has no command `fly`"),
        ("runner apply --no-such-flag", "does not know `--no-such-flag`"),
        ("runner apply plans/no-such.yaml", "is not there"),
        ("runner apply plans/certctl/agent-storm.yaml --profile stres", "has no `stres`"),
        ("runner apply plans/quickstart.yaml --set duratoin=5s", "has no `duratoin`"),
        ("planc explain P9999", "no page `P9999`"),
        ("make loadtest", "neither a file nor a command"),
    ] {
        let told = Citation::read(text).and_then(|citation| citation.holds()).expect_err(text);
        assert!(told.contains(why), "{text}: {told}");
    }
    for text in [
        "plans/quickstart.yaml#thresholds.http_req_duration{scenario:people}.0",
        "plans/quickstart.yaml#scenarios.heartbeats.steps.heartbeat.expect.json.$.id",
        "plans/quickstart.yaml#preflight.connections suffice.postgres",
        "plans/quickstart.yaml",
        "tests/tests/apply.rs#usage_errors_are_2",
        "runner apply plans/certctl/agent-storm.yaml --profile stress --set duration=30s",
        "planc explain vacuous-threshold",
        "planc explain P0401",
        "bin/quickstart",
    ] {
        Citation::read(text)
            .and_then(|citation| citation.holds())
            .unwrap_or_else(|why| panic!("{text}: {why}"));
    }
}
