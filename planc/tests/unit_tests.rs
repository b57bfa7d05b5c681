//! Files of unit tests: what they say, and what is wrong with them.

mod support;

use planc::{Files, ReadTests, UnitCase, check, compile, unit_tests};
use support::{options, told};

/// A folder in which `plans/a.test.yaml` has this text.
struct Folder<'a>(&'a str);

impl Files for Folder<'_> {
    fn read(&self, path: &str) -> Result<String, String> {
        match path {
            "plans/a.test.yaml" => Ok(self.0.to_string()),
            "plans/a.yaml" | "plans/runs/a.json" | "shared/b.json" => Ok("{}".into()),
            _ => Err("no such file".into()),
        }
    }
}

const SOUND: &str = "\
plan: a.yaml
profile: stress
set: { rate: 300/s, seed: 7 }
cases:
  - name: green
    evidence: runs/a.json
    expect_verdict: pass
  - { name: red, evidence: ../shared/b.json, expect_verdict: fail, causes: \"p(95) < 1s\" }
";

fn messages(text: &str) -> Vec<String> {
    let done = check(&Folder(text), "plans/a.test.yaml", &options());
    told(&done).into_iter().map(|t| format!("{}:{} {} {}", t.line, t.column, t.code, t.message)).collect()
}

#[test]
fn paths_are_relative_to_the_file() {
    let ReadTests { tests, diagnostics, .. } = unit_tests(&Folder(SOUND), "plans/a.test.yaml");
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let tests = tests.expect("tests");
    assert_eq!(tests.plan, "plans/a.yaml");
    assert_eq!(tests.profile.as_deref(), Some("stress"));
    assert_eq!(tests.set, [("rate".to_string(), "300/s".to_string()), ("seed".into(), "7".into())]);
    let red = UnitCase {
        name: "red".into(),
        evidence: "shared/b.json".into(),
        verdict: "fail",
        causes: vec!["p(95) < 1s".into()],
    };
    assert_eq!(tests.cases[1], red);
    assert_eq!(tests.cases[0].evidence, "plans/runs/a.json");
    assert_eq!(messages(SOUND), Vec::<String>::new());
}

#[test]
fn every_mistake_is_told_at_its_place() {
    let text = "\
plan: b.yaml
profil: stress
cases:
  - name: green
    evidence: runs/none.json
    expect_verdict: passed
  - name: red
    evidence: runs/a.json
    expect_verdict: pass
    causes: [slow]
  - { evidence: runs/a.json, expect_verdict: fail }
";
    assert_eq!(
        messages(text),
        [
            "1:7 P0107 cannot read `plans/b.yaml`: no such file",
            "2:1 P0100 unknown key `profil` in a file of unit tests",
            "5:15 P0107 cannot read `plans/runs/none.json`: no such file",
            "6:21 P0104 unknown verdict `passed`",
            "10:14 P0106 a pass has no cause",
            "11:7 P0101 a case needs `name`",
        ]
    );
    assert_eq!(messages("plan: a.yaml\n"), ["1:1 P0101 a file of unit tests needs `cases`"]);
    assert_eq!(messages("plan: a.yaml\ncases: []\n"), ["2:8 P0101 there is no case"]);
    assert_eq!(messages(""), ["1:1 P0101 the file is empty"]);
    assert_eq!(messages("- a\n"), ["1:3 P0103 a file of unit tests is a map, not a list"]);
}

#[test]
fn a_file_of_unit_tests_is_no_plan() {
    let done = compile(&Folder(SOUND), "plans/a.test.yaml", &options());
    let told: Vec<String> = told(&done).into_iter().map(|t| format!("{} {}", t.line, t.message)).collect();
    assert_eq!(told, ["4 this file holds unit tests of a plan, not a plan"]);
}
