//! The workflow that `planc workflow` writes.

#![allow(clippy::disallowed_methods)] // Tests read files.

mod support;

use planc::Options;
use planc::diagnostic::Diagnostics;
use planc::source::SourceMap;
use planc::workflow::{Wanted, github};
use planc::yaml::{self, Node, NodeKind};
use support::Text;

const PLAN: &str = r#"
plan: night
inputs:
  base_url: { type: url, env: BASE_URL, default: "http://127.0.0.1:8080/it's" }
  region: { type: string, env: REGION, one_of: [eu, us] }
  key: { type: secret, env: API_KEY }
  length: { type: duration, default: 10m }
profiles:
  big: { length: 2h }
target: { url: "{{ inputs.base_url }}", allow_hosts: [127.0.0.1] }
tokens:
  t: { value: "{{ inputs.key }}" }
scenarios:
  s:
    executor: constant-vus
    duration: "{{ inputs.length }}"
    graceful_stop: 1m
    steps: [{ get: "/{{ inputs.region }}", token: t, expect: { status: 200 } }]
thresholds:
  http_req_failed: ["rate < 1%"]
  http_req_duration: ["p(95) < 500ms"]
"#;

fn written(profile: Option<&str>, wanted: &Wanted) -> String {
    let set = vec![("region".to_string(), "eu".to_string())];
    let options = Options { profile: profile.map(str::to_string), set, ..Options::default() };
    let done = github(&Text(PLAN), "plan.yaml", &options, wanted);
    done.text.expect("a sound plan")
}

fn tree(text: &str) -> Node {
    let mut sources = SourceMap::default();
    let file = sources.add("workflow.yml", text);
    let mut diagnostics = Diagnostics::default();
    let tree = yaml::parse(&sources, file, &mut diagnostics);
    assert_eq!(diagnostics.iter().count(), 0, "{text}");
    tree.expect("a tree")
}

fn at<'n>(node: &'n Node, path: &[&str]) -> &'n Node {
    path.iter().fold(node, |node, key| node.get(key).unwrap_or_else(|| panic!("no `{key}` of {path:?}")))
}

fn text(node: &Node) -> &str {
    match &node.kind {
        NodeKind::Scalar { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plan_that_asks_for_a_streak_keeps_its_history_from_run_to_run() {
    let plan = format!("{PLAN}history: {{ streak: 3, per: day }}\n");
    let set = vec![("region".to_string(), "eu".to_string())];
    let options = Options { profile: Some("big".into()), set, ..Options::default() };
    let done = github(&Text(&plan), "plan.yaml", &options, &Wanted::default());
    let written = done.text.expect("a sound plan");
    tree(&written);
    for wanted in [
        "uses: actions/cache/restore@v4",
        "restore-keys: load-test-history-night-\n",
        "runner history plan.yaml --profile big --no-color >> \"$GITHUB_STEP_SUMMARY\"",
        // A drill by hand is no night.
        "if: always() && github.event_name == 'schedule'\n        uses: actions/cache/save@v4",
    ] {
        assert!(written.contains(wanted), "no {wanted:?} in\n{written}");
    }
}

#[test]
fn what_is_written() {
    let wanted = Wanted { schedule: Some("30 2 * * *".parse().expect("cron")), ..Wanted::default() };
    insta::assert_snapshot!(written(None, &wanted));
}

#[test]
fn it_is_yaml_and_says_what_was_asked_for() {
    let wanted = Wanted {
        schedule: None,
        runs_on: Some("load-generator".into()),
        install: Some("./ci/get \"it\"".into()),
    };
    let text_ = written(Some("big"), &wanted);
    let tree = tree(&text_);
    assert!(tree.get("on").and_then(|on| on.get("schedule")).is_none());
    let job = at(&tree, &["jobs", "load"]);
    assert_eq!(text(at(job, &["runs-on"])), "load-generator");
    // Two hours, a minute to end, and what is beside it.
    assert_eq!(text(at(job, &["timeout-minutes"])), "141");
    let env = at(job, &["env"]);
    assert_eq!(text(at(env, &["API_KEY"])), "${{ secrets.API_KEY }}");
    assert_eq!(text(at(env, &["REGION"])), "${{ vars.REGION }}");
    assert_eq!(text(at(env, &["BASE_URL"])), "${{ vars.BASE_URL || 'http://127.0.0.1:8080/it''s' }}");
    assert_eq!(text(at(env, &["BY_HAND_LENGTH"])), "${{ inputs.length }}");
    assert!(env.get("BY_HAND_KEY").is_none(), "no secret is typed into a form");
    let NodeKind::Sequence(steps) = &at(job, &["steps"]).kind else { panic!("a list of steps") };
    assert_eq!(text(at(&steps[1], &["run"])), "./ci/get \"it\"");
    let load = text(at(&steps[3], &["run"]));
    assert!(load.contains("runner apply plan.yaml --profile big --out load-test"), "{load}");
    assert!(load.contains("${BY_HAND_LENGTH:+--set \"length=$BY_HAND_LENGTH\"}"), "{load}");
}

#[test]
fn a_plan_with_errors_gives_none() {
    let done = github(&Text("plan: x\n"), "plan.yaml", &Options::default(), &Wanted::default());
    assert!(done.text.is_none() && done.diagnostics.has_errors());
}
