//! Unit tests of plans: the gates that a plan has now over runs that were recorded, without any load.

use crate::evidence::Evidence;
use crate::exit::Exit;
use crate::judge::{Verdict, judge};
use crate::output;
use crate::plan::{self, Disk, LoadError, Loaded};
use crate::report::junit::escape;
use crate::report::terminal::{DIM, GREEN, RED, RESET};
use crate::trim;
use planc::graph::ExecutionGraph;
use planc::render::{self, Findings, View};
use planc::{UNIT_TESTS, UnitCase};
use std::path::{Path, PathBuf};

/// One file of unit tests, run.
#[derive(Debug)]
pub struct TestedFile {
    /// Its path.
    pub path: String,
    /// Its cases; or what is wrong with it or with its plan, rendered.
    pub cases: Result<Vec<TestedCase>, String>,
}

/// One case, run.
#[derive(Debug)]
pub struct TestedCase {
    /// Its name.
    pub name: String,
    /// The verdict that it wants, as a word.
    pub expected: &'static str,
    /// The verdict; or why the evidence says nothing about the plan.
    pub got: Result<Verdict, String>,
    /// Texts that stand in no cause.
    pub missing: Vec<String>,
}

impl TestedCase {
    /// Whether it came out as it wants.
    pub fn holds(&self) -> bool {
        self.got.as_ref().is_ok_and(|verdict| word(verdict.status) == self.expected)
            && self.missing.is_empty()
    }
}

/// The files of unit tests under these paths, in order.
///
/// # Errors
/// What cannot be read, or that there is none.
pub fn find(paths: &[PathBuf]) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => search(path, &mut found)?,
            false => found.push(path.clone()),
        }
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        let shown: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
        return Err(format!("no unit tests (*{UNIT_TESTS}) in {}", shown.join(", ")));
    }
    found
        .into_iter()
        .map(|path| path.into_os_string().into_string().map_err(|p| format!("{p:?} is not UTF-8")))
        .collect()
}

fn search(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot read `{}`: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        // A link to a folder may lead back to it.
        if entry.file_type().map_err(failed)?.is_dir() {
            search(&path, found)?;
        } else if path.to_string_lossy().ends_with(UNIT_TESTS) {
            found.push(path);
        }
    }
    Ok(())
}

/// Runs one file.
pub fn run(path: &str, today: Option<jiff::civil::Date>) -> TestedFile {
    TestedFile { path: path.to_owned(), cases: cases(path, today) }
}

fn cases(path: &str, today: Option<jiff::civil::Date>) -> Result<Vec<TestedCase>, String> {
    let read = planc::unit_tests(&Disk, path);
    let Some(tests) = read.tests else {
        let findings = Findings::from_diagnostics(read.sources, read.diagnostics);
        return Err(render::terminal(&findings, View { color: true, coverage: false }));
    };
    // An empty environment: what a test says must not depend on the shell it runs in.
    let options =
        planc::Options { profile: tests.profile, set: tests.set, today, ..planc::Options::default() };
    match plan::load(&Disk, &tests.plan, &options) {
        Ok(Loaded { graph, .. }) => Ok(tests.cases.into_iter().map(|case| test(&graph, case)).collect()),
        Err(LoadError::Usage(why)) => Err(format!("error: {why}\n")),
        Err(LoadError::Rejected(rendered)) => Err(rendered),
    }
}

/// Judges recorded evidence by a plan's gates.
fn test(plan: &ExecutionGraph, case: UnitCase) -> TestedCase {
    let UnitCase { name, evidence, verdict: expected, causes } = case;
    let got = read(&evidence).and_then(|recorded| {
        let graph = planc::move_gates(plan, &recorded.graph).map_err(|why| {
            let why: Vec<String> = why.iter().map(|line| format!("\n{line}")).collect();
            format!("`{evidence}` is of another load than the plan's: record it anew{}", why.concat())
        })?;
        match trim::unanswerable(&recorded, &graph.gates) {
            Some(why) => Err(format!("`{evidence}`: {why}: record it anew")),
            None => Ok(judge(&graph, &recorded)),
        }
    });
    let said = |text: &String| match &got {
        Ok(verdict) => verdict.causes.iter().any(|cause| cause.text.contains(text.as_str())),
        Err(_) => false,
    };
    let missing = causes.into_iter().filter(|text| !said(text)).collect();
    TestedCase { name, expected, got, missing }
}

fn read(path: &str) -> Result<Evidence, String> {
    let evidence = output::read_evidence(Path::new(path))?;
    output::check_identity(&evidence).map_err(|why| format!("`{path}`: {why}"))?;
    Ok(evidence)
}

/// What all files together exit with: one that is wrong first, then a case that does not hold.
pub fn exit(files: &[TestedFile]) -> Exit {
    if files.iter().any(|file| file.cases.is_err()) {
        return Exit::PlanRejected;
    }
    match all(files).all(TestedCase::holds) {
        true => Exit::Pass,
        false => Exit::Fail,
    }
}

fn all(files: &[TestedFile]) -> impl Iterator<Item = &TestedCase> {
    files.iter().flat_map(|file| file.cases.iter().flatten())
}

/// For people: a line a case, what a failing one expected and got, a summary.
pub fn tell(files: &[TestedFile]) -> String {
    let mut out = String::new();
    for file in files {
        out.push_str(&format!("{}\n", file.path));
        match &file.cases {
            Err(rendered) => out.push_str(&format!("{}\n", rendered.trim_end())),
            Ok(cases) => cases.iter().for_each(|case| tell_case(case, &mut out)),
        }
    }
    let (cases, failed) = (all(files).count(), all(files).filter(|case| !case.holds()).count());
    let wrong = files.iter().filter(|file| file.cases.is_err()).count();
    let colour = if failed + wrong == 0 { GREEN } else { RED };
    let mut parts = vec![format!("{} passed", cases - failed)];
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    if wrong > 0 {
        parts.push(format!("{wrong} of {} files could not be run", files.len()));
    }
    out.push_str(&format!("\n{colour}{}{RESET}\n", parts.join(", ")));
    out
}

fn tell_case(case: &TestedCase, out: &mut String) {
    if case.holds() {
        out.push_str(&format!("  {GREEN}ok{RESET}      {}  {DIM}{}{RESET}\n", case.name, case.expected));
        return;
    }
    out.push_str(&format!("  {RED}FAILED{RESET}  {}\n", case.name));
    for line in why(case) {
        out.push_str(&format!("          {}\n", line.replace('\n', "\n            ")));
    }
}

/// Why a case does not hold.
fn why(case: &TestedCase) -> Vec<String> {
    let verdict = match &case.got {
        Err(why) => return vec![why.clone()],
        Ok(verdict) => verdict,
    };
    let mut lines = vec![format!("expected {}, got {}", case.expected, word(verdict.status))];
    lines.extend(case.missing.iter().map(|text| format!("no cause says `{text}`")));
    lines.extend(verdict.causes.iter().map(|cause| format!("– {}", cause.text)));
    lines
}

/// JUnit XML: a suite a file. A file that cannot be run is a test case that errs.
pub fn junit(files: &[TestedFile]) -> String {
    let suites: String = files.iter().map(suite).collect();
    let errors = files.iter().filter(|file| file.cases.is_err()).count();
    let failures = all(files).filter(|case| !case.holds()).count();
    let tests = all(files).count() + errors;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\">\n{suites}</testsuites>\n"
    )
}

fn suite(file: &TestedFile) -> String {
    let path = escape(&file.path);
    let broken = |name: &str, kind: &str, message: &str, body: &str| {
        let (name, message, body) = (escape(name), escape(message), escape(body));
        format!(
            "    <testcase classname=\"{path}\" name=\"{name}\">\n      <{kind} message=\"{message}\">{body}</{kind}>\n\
             \x20   </testcase>\n"
        )
    };
    let one = |case: &TestedCase| {
        if case.holds() {
            return format!("    <testcase classname=\"{path}\" name=\"{}\"/>\n", escape(&case.name));
        }
        let lines = why(case);
        broken(&case.name, "failure", &lines[0], &lines[1..].join("\n"))
    };
    let (tests, failures, errors, cases) = match &file.cases {
        Ok(cases) => {
            let failures = cases.iter().filter(|case| !case.holds()).count();
            (cases.len(), failures, 0, cases.iter().map(one).collect())
        }
        Err(rendered) => {
            let plain = anstream::adapter::strip_str(rendered).to_string();
            (1, 0, 1, broken("the file", "error", "it could not be run", &plain))
        }
    };
    format!(
        "  <testsuite name=\"{path}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">\n{cases}  \
         </testsuite>\n"
    )
}

/// A verdict as `expect_verdict` writes it.
fn word(status: Exit) -> String {
    let value = serde_json::to_value(status).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_word() {
        let words: Vec<String> = crate::exit::TABLE.iter().map(|(exit, ..)| word(*exit)).collect();
        for verdict in planc::VERDICTS {
            assert!(words.iter().any(|word| word == verdict), "{verdict} is no verdict: {words:?}");
        }
    }
}
