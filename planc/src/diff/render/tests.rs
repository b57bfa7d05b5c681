use super::*;
use crate::diff::{Revision, plans};
use crate::{Files, Options};

struct Text(String);

impl Files for Text {
    fn read(&self, _: &str) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

const OLD: &str = r#"
plan: shop
inputs:
  rate: { type: rate, default: 100/s }
profiles:
  stress: { rate: 400/s }
target: { url: "https://shop.staging.example.com", allow_hosts: [shop.staging.example.com] }
guards:
  - name: the shop is a staging shop
    get: /health
    expect: { status: 200, json: { $.env: staging } }
scenarios:
  shoppers:
    executor: constant-arrival-rate
    rate: "{{ inputs.rate }}"
    duration: 5m
    pre_allocated_vus: 100
    max_vus: 1000
    steps:
      - { get: /products, name: "browse | look", tags: { phase: browse }, expect: { status: 200 } }
      - { post: /cart, name: buy, tags: { phase: buy }, json: { sku: 1 }, expect: { status: 201 } }
thresholds:
  http_req_duration: ["p(95) < 300ms"]
  http_server_errors: ["rate < 0.1%"]
  http_req_failed: ["rate < 1%"]
report: { summary: a.json }
"#;

fn compared(edits: &[(&str, &str)]) -> Report {
    let text = edits.iter().fold(OLD.to_string(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let (old, new) = (Text(OLD.into()), Text(text));
    let old = Revision { name: "main:plans/shop.yaml", path: "plans/shop.yaml", files: &old };
    let new = Revision { name: "plans/shop.yaml", path: "plans/shop.yaml", files: &new };
    plans(Some(&old), &new, &Options::default()).expect("the old side compiles")
}

/// A weakening of each look, one in one profile alone, a strengthening, a neutral change.
fn sample() -> Report {
    let guard = "guards:\n  - name: the shop is a staging shop\n    get: /health\n    expect: { status: 200, json: { $.env: staging } }\n";
    compared(&[
        ("p(95) < 300ms", "p(95) < 800ms"),
        ("http_server_errors:", "http_server_errors{phase:buy}:"),
        (guard, ""),
        ("rate: 400/s", "rate: 200/s"),
        ("rate < 1%", "rate < 0.5%"),
        ("a.json", "b.json"),
    ])
}

fn rendered(name: &str, report: &Report) -> String {
    (format(name).expect("known").render)(report, false)
}

#[test]
fn terminal() {
    insta::assert_snapshot!(rendered("terminal", &sample()));
}

#[test]
fn json() {
    insta::assert_snapshot!(rendered("json", &sample()));
}

#[test]
fn markdown() {
    insta::assert_snapshot!(rendered("markdown", &sample()));
}

#[test]
fn a_plan_that_does_not_compile() {
    let broken = compared(&[("p(95) < 300ms", "p(95) < 300 parsecs")]);
    assert!(broken.weakened());
    insta::assert_snapshot!(rendered("terminal", &broken));
    insta::assert_snapshot!(rendered("markdown", &broken));
}

#[test]
fn nothing_is_one_line() {
    let same = compared(&[]);
    assert_eq!(rendered("terminal", &same), "no change of meaning in `plans/shop.yaml`\n");
    assert_eq!(rendered("markdown", &same), "planc diff: no change of meaning in `plans/shop.yaml`\n");
    assert!(!same.weakened());
}

#[test]
fn colour_only_when_asked() {
    let report = sample();
    assert!((FORMATS[0].render)(&report, true).contains('\u{1b}'));
    assert!(!rendered("terminal", &report).contains('\u{1b}'));
}

#[test]
fn a_plan_cannot_write_the_comment() {
    let evil = compared(&[("name: buy", "name: \"`x` <img src=x> @all\\n# h | b\"")]);
    let text = rendered("markdown", &evil);
    assert!(!text.contains("\n# h") && text.contains("`'x' <img src=x> @all # h | b`"), "{text}");
}
