//! Suites: what they say, and what is wrong between their plans.

mod support;

use planc::suite::{self, ReadSuite, SuitePlan};
use planc::{Files, check, compile};
use support::{options, told};

const PLAN: &str = "\
plan: a
inputs:
  rate: { type: rate, default: 10/s }
profiles:
  stress: { rate: 20/s }
target: { url: \"http://127.0.0.1:1\" }
scenarios:
  s: { executor: constant-vus, vus: 1, duration: 1m, steps: [{ get: /, expect: { status: 200 } }] }
";

/// A folder in which `plans/suite.yaml` has this text.
struct Folder<'a>(&'a str);

impl Files for Folder<'_> {
    fn read(&self, path: &str) -> Result<String, String> {
        match path {
            "plans/suite.yaml" => Ok(self.0.to_string()),
            "plans/a.yaml" | "plans/b.yaml" | "shared/c.yml" => Ok(PLAN.into()),
            _ => Err("no such file".into()),
        }
    }
}

fn messages(text: &str) -> Vec<String> {
    let done = check(&Folder(text), "plans/suite.yaml", &options());
    told(&done).into_iter().map(|t| format!("{}:{} {} {}", t.line, t.column, t.code, t.message)).collect()
}

fn names(text: &str) -> Vec<String> {
    let ReadSuite { suite, diagnostics, .. } = suite::read(&Folder(text), "plans/suite.yaml");
    let suite = suite.unwrap_or_else(|| panic!("{diagnostics:?}"));
    suite.plans.into_iter().map(|plan| plan.name).collect()
}

#[test]
fn plans_come_after_what_they_need_and_else_as_written() {
    let text = "\
suite: all
about: of everything one
plans:
  - { plan: a.yaml, name: late, needs: c }
  - b.yaml
  - { plan: ../shared/c.yml, profile: stress, set: { rate: 5/s } }
";
    assert_eq!(messages(text), Vec::<String>::new());
    assert_eq!(names(text), ["b", "c", "late"]);
    let suite = suite::read(&Folder(text), "plans/suite.yaml").suite.expect("a suite");
    let last = SuitePlan {
        name: "c".into(),
        path: "shared/c.yml".into(),
        profile: Some("stress".into()),
        set: vec![("rate".into(), "5/s".into())],
        needs: Vec::new(),
    };
    assert_eq!((suite.name.as_str(), suite.fail_fast, &suite.plans[1]), ("all", false, &last));
    assert!(names("suite: x\nfail_fast: true\nplans: [a.yaml]\n").contains(&"a".to_string()));
}

#[test]
fn every_mistake_is_told_at_its_place() {
    let text = "\
suite: all
fail_fasst: true
plans:
  - { plan: a.yaml, profile: stres }
  - { plan: none.yaml, needs: [aa] }
  - { plan: b.yaml, set: { rat: 5/s }, name: a }
  - { plan: b.yaml, name: ../b }
  - { profile: stress }
";
    assert_eq!(
        messages(text),
        [
            "2:1 P0100 unknown key `fail_fasst` in a suite",
            "4:30 P0303 `a.yaml` has no profile `stres`",
            "5:13 P0107 cannot read `plans/none.yaml`: no such file",
            "5:32 P0211 `aa` is no plan of this suite",
            "6:28 P0302 `b.yaml` has no input `rat`",
            "6:46 P0213 another plan of this suite is called `a`",
            "7:27 P0104 this cannot name a plan of a suite",
            "8:7 P0101 a plan of a suite needs `plan`",
        ]
    );
    assert_eq!(messages("suite: x\n"), ["1:1 P0101 a suite needs `plans`"]);
    assert_eq!(messages("suite: x\nplans: []\n"), ["2:8 P0101 there is no plan"]);
    assert_eq!(messages("suite: x\nplans: a.yaml\n"), ["2:8 P0103 expected a list of plans, found a scalar"]);
}

#[test]
fn a_circle_is_told_without_those_that_wait_for_it() {
    let text = "\
suite: all
plans:
  - { plan: a.yaml, name: waits, needs: [one] }
  - { plan: a.yaml, name: one, needs: [two] }
  - { plan: a.yaml, name: two, needs: [one] }
";
    assert_eq!(messages(text), ["4:40 P0306 `one` and `two` need each other"]);
    let own = "suite: all\nplans: [{ plan: a.yaml, needs: [a] }]\n";
    assert_eq!(messages(own), ["2:33 P0306 `a` needs itself"]);
}

#[test]
fn a_suite_is_no_plan() {
    let text = "suite: all\nplans: [a.yaml]\n";
    let done = compile(&Folder(text), "plans/suite.yaml", &options());
    let told: Vec<String> = told(&done).into_iter().map(|t| format!("{} {}", t.line, t.message)).collect();
    assert_eq!(told, ["1 this file is a suite of plans, not a plan"]);
    assert!(suite::is_plan("a.yaml", PLAN));
    for (path, text) in [
        ("a.test.yaml", "plan: a.yaml\ncases: []\n"),
        ("compose.yaml", "services:\n  plan: x\n"),
        ("f.yaml", "# plan: no\nfixture: f\n"),
    ] {
        assert!(!suite::is_plan(path, text), "{path}");
    }
}
