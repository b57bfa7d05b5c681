//! Plans with what must be said about them written beside the line: `#~ error P0102 a part of the message`. A line
//! of its own, `#~^ …`, speaks of the line above. What is not expected fails a test as much as what does not come.

#![allow(clippy::disallowed_methods)] // Tests read files.

mod support;

use support::{Disk, options, told};

/// `line level code message` of every expectation in a text.
fn expected(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for part in line.split("#~").skip(1) {
            let above = part.chars().take_while(|c| *c == '^').count();
            let wanted = part.trim_start_matches('^').trim().to_string();
            // `#~` alone on a line may only speak of lines above.
            assert!(above > 0 || !line.trim_start().starts_with("#~"), "line {}: `#~^` is meant", at + 1);
            out.push((at + 1 - above, wanted));
        }
    }
    out
}

fn hold(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("the plan is there");
    let compilation = planc::check(&Disk, path, &options());
    let mut found: Vec<(usize, String)> = told(&compilation)
        .into_iter()
        .filter(|told| told.file == path)
        .map(|told| (told.line, format!("{} {} {}", told.level, told.code, told.message)))
        .collect();
    let mut problems = Vec::new();
    for (line, wanted) in expected(&text) {
        let mut words = wanted.splitn(3, ' ');
        let start = format!("{} {} ", words.next().unwrap_or(""), words.next().unwrap_or(""));
        let part = words.next().unwrap_or("");
        match found
            .iter()
            .position(|(at, told)| *at == line && told.starts_with(&start) && told.contains(part))
        {
            Some(at) => {
                found.remove(at);
            }
            None => problems.push(format!("{path}:{line}: does not come: {wanted}")),
        }
    }
    problems.extend(found.into_iter().map(|(line, told)| format!("{path}:{line}: not expected: {told}")));
    problems
}

/// What is wrong with the expectations of all plans of a folder.
fn hold_all(folder: &str) -> String {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| entry.expect("a file").file_name().into_string().expect("a name in UTF-8"))
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    assert!(names.len() > 1, "{folder}");
    names.iter().flat_map(|name| hold(&format!("{folder}/{name}"))).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_plan_is_told_what_is_written_beside_its_lines() {
    let problems = hold_all("tests/ui");
    assert!(problems.is_empty(), "\n{problems}");
}

/// Defects that real load tests had, each written as the plan that its team would have written. Every one is told.
#[test]
fn every_defect_of_the_real_load_tests_is_told() {
    let folder = "../tests/plans/needs";
    let problems = hold_all(folder);
    assert!(problems.is_empty(), "\n{problems}");
    let table = std::fs::read_to_string(format!("{folder}/README.md")).expect("the table of defects");
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let name = entry.expect("a file").file_name().into_string().expect("a name in UTF-8");
        if name.ends_with(".yaml") {
            let text = std::fs::read_to_string(format!("{folder}/{name}")).expect("the plan is there");
            assert!(!expected(&text).is_empty(), "{name} expects nothing");
            assert!(table.contains(&format!("`{name}`")), "{name} is not in the table");
        }
    }
}
