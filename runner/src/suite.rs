//! Several plans, one after the other: which they are, and what they mean together.

mod tell;

use crate::exit::Exit;
use crate::plan::Disk;
use planc::Files;
use planc::render::{self, Findings, View};
use planc::suite::{self, ReadSuite, Suite, SuitePlan};
use serde::Serialize;
use std::path::Path;
pub use tell::{json, junit, markdown, terminal};

/// What the paths of a command line stand for.
pub enum Asked {
    /// One plan or graph.
    One(String),
    /// Several, with one verdict.
    Many(Suite),
}

/// Why they stand for nothing.
#[derive(Debug)]
pub enum Unusable {
    /// Wrong command line.
    Usage(String),
    /// The suite has errors; they are rendered.
    Rejected(String),
}

/// Finds out what paths stand for: a folder is its suite, or all its plans by name.
///
/// # Errors
/// A folder without plans, a suite with mistakes.
pub fn asked(paths: &[String]) -> Result<Asked, Unusable> {
    if let [path] = paths {
        let own = Path::new(path).join(suite::FILE);
        let own = if own.is_file() { own.to_string_lossy().into_owned() } else { path.clone() };
        if !Path::new(&own).is_dir() && suite::is_suite(&Disk, &own) {
            return read(&own).map(Asked::Many);
        }
        if !Path::new(path).is_dir() {
            return Ok(Asked::One(path.clone()));
        }
    }
    let mut plans: Vec<SuitePlan> = Vec::new();
    for path in paths {
        if let Some(suite) = Path::new(path).is_dir().then(|| Path::new(path).join(suite::FILE))
            && suite.is_file()
        {
            let message = format!("`{path}` is a suite: name it alone, or name its plans");
            return Err(Unusable::Usage(message));
        }
        for file in files(path)? {
            let name = unused(&stem(&file), &plans);
            plans.push(SuitePlan { name, path: file, profile: None, set: Vec::new(), needs: Vec::new() });
        }
    }
    let name = match paths {
        [folder] => stem(folder.trim_end_matches('/')),
        _ => "plans".into(),
    };
    Ok(Asked::Many(Suite { name, plans, fail_fast: false }))
}

fn read(path: &str) -> Result<Suite, Unusable> {
    let ReadSuite { sources, diagnostics, suite, .. } = suite::read(&Disk, path);
    suite.ok_or_else(|| {
        let findings = Findings::from_diagnostics(sources, diagnostics);
        Unusable::Rejected(render::terminal(&findings, View { color: true, coverage: false }))
    })
}

/// A file as it is; the plans of a folder by name.
fn files(path: &str) -> Result<Vec<String>, Unusable> {
    let folder = Path::new(path);
    if !folder.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error: std::io::Error| Unusable::Usage(format!("cannot read `{path}`: {error}"));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let yaml = file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        let file = file.to_string_lossy().into_owned();
        if yaml && Disk.read(&file).is_ok_and(|text| suite::is_plan(&file, &text)) {
            found.push(file);
        }
    }
    found.sort();
    match found.is_empty() {
        true => Err(Unusable::Usage(format!("there is no plan in `{path}`"))),
        false => Ok(found),
    }
}

/// `storm` of `plans/storm.yaml`, fit for a folder's name.
fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = [".yaml", ".yml", ".graph.json", ".json"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    match name.chars().map(plain).collect::<String>().trim_start_matches('.') {
        "" => "plan".into(),
        name => name.into(),
    }
}

/// The name, with a number when it is taken.
fn unused(name: &str, plans: &[SuitePlan]) -> String {
    let taken = |name: &str| plans.iter().any(|plan| plan.name == name);
    let mut free = name.to_owned();
    let mut number = 2;
    while taken(&free) {
        free = format!("{name}-{number}");
        number += 1;
    }
    free
}

/// What became of all plans.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The suite's name.
    pub suite: String,
    /// Its plans in their order.
    pub plans: Vec<PlanOutcome>,
}

/// What became of one.
#[derive(Debug, Serialize)]
pub struct PlanOutcome {
    /// Its name in the suite.
    pub name: String,
    /// Path of the plan.
    pub path: String,
    /// How it ended.
    #[serde(flatten)]
    pub end: PlanEnd,
}

/// How one plan of a suite ended.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum PlanEnd {
    /// It was run and judged.
    Judged(Judged),
    /// Nothing that concerns it has changed.
    Unchanged {
        /// What has not.
        why: String,
    },
    /// It was left out for what happened before it.
    Skipped {
        /// What happened.
        why: String,
    },
}

/// A verdict, told in three ways.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// The plan's own name.
    pub plan: String,
    /// The profile.
    pub profile: String,
    /// The verdict.
    pub status: Exit,
    /// Its exit code.
    pub exit: u8,
    /// Why.
    pub causes: Vec<String>,
    /// Milliseconds from start to end.
    pub milliseconds: u64,
    /// Folder of its evidence, inside the suite's.
    pub folder: String,
    /// Its test suite in JUnit XML.
    #[serde(skip)]
    pub junit: String,
    /// Its report in Markdown.
    #[serde(skip)]
    pub markdown: String,
}

/// The worst first. What was decided before a load stands beside what a load showed: nothing was measured at all.
const PRECEDENCE: [Exit; 15] = [
    Exit::Internal,
    Exit::Interrupted,
    Exit::Fail,
    Exit::PlanRejected,
    Exit::Refused,
    Exit::SeedingFailed,
    Exit::ServiceNotReady,
    Exit::PreflightRefused,
    Exit::SetupFailed,
    Exit::Invalid,
    Exit::TeardownFailed,
    Exit::Inconclusive,
    Exit::OutputLost,
    Exit::DatabaseUnreachable,
    Exit::Usage,
];

impl Outcome {
    /// The verdict of all: the worst of any. A plan that was skipped for another is no pass, whatever the other was.
    pub fn status(&self) -> Exit {
        let ends = || self.plans.iter().map(|plan| &plan.end);
        let judged: Vec<Exit> = ends()
            .filter_map(|end| match end {
                PlanEnd::Judged(judged) => Some(judged.status),
                _ => None,
            })
            .collect();
        let worst = PRECEDENCE.into_iter().find(|exit| judged.contains(exit));
        let skipped = ends().any(|end| matches!(end, PlanEnd::Skipped { .. }));
        worst.unwrap_or(if skipped { Exit::Invalid } else { Exit::Pass })
    }

    /// Whether a plan passed. Only then may those go on that need it.
    pub fn passed(&self, name: &str) -> bool {
        let plan = self.plans.iter().find(|plan| plan.name == name);
        plan.is_some_and(|plan| matches!(&plan.end, PlanEnd::Judged(judged) if judged.status == Exit::Pass))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(name: &str, end: PlanEnd) -> PlanOutcome {
        PlanOutcome { name: name.into(), path: format!("{name}.yaml"), end }
    }

    fn judged(status: Exit) -> PlanEnd {
        let name = if status == Exit::Pass { "p0" } else { "p1" };
        PlanEnd::Judged(Judged {
            plan: "p".into(),
            profile: "default".into(),
            status,
            exit: status.code(),
            causes: vec!["a < b".into()],
            milliseconds: 1_500,
            folder: "p".into(),
            junit: format!("  <testsuite name=\"{name}\">a &lt; b</testsuite>\n"),
            markdown: format!("## {name}\n"),
        })
    }

    fn skipped() -> PlanEnd {
        PlanEnd::Skipped { why: "`a` did not pass".into() }
    }

    fn unchanged() -> PlanEnd {
        PlanEnd::Unchanged { why: "nothing in shop/** changed since main".into() }
    }

    fn of(ends: Vec<PlanEnd>) -> Outcome {
        let plans = ends.into_iter().enumerate().map(|(at, end)| plan(&format!("p{at}"), end)).collect();
        Outcome { suite: "all".into(), plans }
    }

    #[test]
    fn the_worst_decides() {
        for (ends, wanted) in [
            (vec![judged(Exit::Pass), judged(Exit::Pass)], Exit::Pass),
            (vec![judged(Exit::Invalid), judged(Exit::Fail), judged(Exit::Pass)], Exit::Fail),
            (vec![judged(Exit::Fail), judged(Exit::Interrupted)], Exit::Interrupted),
            (vec![judged(Exit::Refused), judged(Exit::Invalid)], Exit::Refused),
            (vec![judged(Exit::OutputLost), judged(Exit::Pass)], Exit::OutputLost),
            (vec![judged(Exit::Fail), skipped()], Exit::Fail),
            (vec![judged(Exit::Pass), skipped()], Exit::Invalid),
            (vec![judged(Exit::Pass), unchanged()], Exit::Pass),
            (vec![unchanged()], Exit::Pass),
        ] {
            assert_eq!(of(ends).status(), wanted);
        }
        for (exit, ..) in crate::exit::TABLE.iter().filter(|(exit, ..)| *exit != Exit::Pass) {
            assert_eq!(of(vec![judged(Exit::Pass), judged(*exit)]).status(), *exit, "{exit:?} has no rank");
        }
    }

    #[test]
    fn every_plan_has_its_line_and_its_case() {
        let outcome = of(vec![judged(Exit::Pass), judged(Exit::Fail), skipped(), unchanged()]);
        let plain = anstream::adapter::strip_str(&terminal(&outcome)).to_string();
        for text in [plain, markdown(&outcome), junit(&outcome), json(&outcome)] {
            for wanted in ["p0", "p1", "p2", "p3", "did not pass", "nothing in shop/**"] {
                assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
            }
            assert!(text.contains("a < b") || text.contains("a &lt; b"), "{text}");
        }
        let value: serde_json::Value = serde_json::from_str(&json(&outcome)).expect("JSON");
        assert_eq!((&value["exit"], &value["status"]), (&99.into(), &"fail".into()));
        assert_eq!(value["plans"][2]["outcome"], "skipped");
        assert!(outcome.passed("p0") && !outcome.passed("p1") && !outcome.passed("p3"));
    }
}
