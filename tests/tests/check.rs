//! `planc check` from end to end on what ships and on what users get wrong.

use serde_json::Value;
use tests::{command, planc, root, run};

fn shipped() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("plans")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml") {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    assert!(found.len() >= 5, "{found:?}");
    found
}

#[test]
fn every_shipped_plan_is_clean_in_every_profile() {
    for plan in shipped() {
        planc(&["check", "--deny", "warnings", &plan]).expect_code(0);
    }
}

#[test]
fn six_mistakes_are_told_at_their_places() {
    let plan = root().join("tests/plans/six-mistakes.yaml");
    let text = std::fs::read_to_string(&plan).unwrap();
    let said = run(command("planc").args(["check", "--format", "json"]).arg(&plan)).expect_code(1);
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}\n{}", said.all()));
    let found: Vec<(u64, String)> = report["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|d| d["level"] == "error")
        .map(|d| {
            (
                d["line"].as_u64().unwrap(),
                format!("{}: {}", d["name"].as_str().unwrap(), d["message"].as_str().unwrap()),
            )
        })
        .collect();
    let expected: Vec<(u64, String)> = text
        .lines()
        .enumerate()
        .filter_map(|(i, line)| Some((i as u64 + 1, line.split("#~ ").nth(1)?.trim().to_owned())))
        .collect();
    assert_eq!(expected.len(), 6);
    for (line, word) in &expected {
        assert!(
            found.iter().any(|(l, m)| l == line && m.contains(word)),
            "line {line}: `{word}` not in {found:#?}"
        );
    }
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn a_file_that_is_not_there_is_usage() {
    planc(&["check", "plans/nothing.yaml"]).expect_code(2).expect("plans/nothing.yaml");
}

#[test]
fn every_page_can_be_read() {
    let list = planc(&["explain", "--list"]).expect_code(0);
    for line in list.out.lines() {
        let code = line.split_whitespace().next().unwrap();
        planc(&["explain", code]).expect_code(0).expect(code);
    }
}

#[test]
fn graphs_are_drawn_in_all_formats() {
    for format in ["tree", "mermaid", "dot", "json"] {
        planc(&["graph", "plans/quickstart.yaml", "--format", format]).expect_code(0).expect("heartbeats");
    }
}
