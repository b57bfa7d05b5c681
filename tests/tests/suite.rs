//! Several plans with one verdict, plans that a change asks for, and the history of runs.

use runner::history;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::{Ground, Out, Running, Said, command, run, together};

/// A folder of plans against one ground, with a history of its own.
struct Folder {
    folder: tempfile::TempDir,
    ground: Ground,
}

impl Folder {
    fn new() -> Folder {
        let folder =
            tempfile::Builder::new().prefix("planc-test-suite").tempdir().expect("a temporary folder");
        Folder { folder, ground: Ground::start(None, &[]) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    /// A plan of 400 requests to a path, whose p(95) must be under the bound.
    fn plan(&self, name: &str, path: &str, bound: &str, more: &str) {
        let text = format!(
            "plan: {name}
inputs:
  url: {{ type: url, env: GROUND }}
  requests: {{ type: integer, default: 400 }}
target: {{ url: \"{{{{ inputs.url }}}}\", allow_hosts: [127.0.0.1] }}
profiles: {{ small: {{ requests: 320 }} }}
scenarios:
  reads:
    executor: shared-iterations
    vus: 10
    iterations: \"{{{{ inputs.requests }}}}\"
    steps: [{{ get: {path}, expect: {{ status: 200 }} }}]
thresholds:
  http_req_duration: [\"p(95) < {bound}\"]
  http_req_failed: [\"rate < 1%\"]
health: {{ lateness_p99: 10s }}
{more}"
        );
        self.write(&format!("plans/{name}.yaml"), &text);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command("runner");
        command.current_dir(self.folder.path()).env("GROUND", &self.ground.url);
        command.env("PLANC_HISTORY", self.path("history")).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        run(&mut self.command(arguments))
    }

    fn git(&self, arguments: &[&str]) {
        let identity =
            ["-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "init.defaultBranch=main"];
        let mut git = Command::new("git");
        git.current_dir(self.folder.path()).args(identity).args(arguments);
        assert!(git.output().expect("git").status.success(), "{arguments:?}");
    }

    fn requests(&self) -> u64 {
        self.ground.requests("/static") + self.ground.requests("/delay")
    }
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

fn outcomes(out: &Out) -> Vec<String> {
    let suite = json(&out.path().join("suite.json"));
    let plans = suite["plans"].as_array().expect("plans");
    let told = |plan: &Value| {
        let end = plan["status"].as_str().or(plan["outcome"].as_str()).unwrap_or("");
        format!("{} {end}", plan["name"].as_str().unwrap_or(""))
    };
    plans.iter().map(told).collect()
}

/// `green`, `red` (its gate breaks) and `zeal`, in this order.
fn three() -> Folder {
    let folder = Folder::new();
    folder.plan("green", "/static", "5s", "");
    folder.plan("red", "/delay/20", "5ms", "");
    folder.plan("zeal", "/static", "5s", "");
    folder
}

#[test]
fn all_plans_of_a_folder_run_whatever_one_of_them_says() {
    let _together = together();
    let (folder, out) = (three(), Out::new());
    folder.write("plans/compose.yaml", "services:\n  web: {}\n");
    let said = folder.run(&["apply", "plans", "--out", out.arg()]).expect_code(99);
    said.expect("suite plans, exit 99").expect("2 of 3 plans passed").expect("p(95) < 5ms");
    assert_eq!(outcomes(&out), ["green pass", "red fail", "zeal pass"]);
    assert_eq!(json(&out.path().join("suite.json"))["exit"], 99);
    for name in ["green", "red", "zeal"] {
        let evidence = out.path().join(name).join("evidence.json");
        run(command("runner").args(["judge", "--format", "json"]).arg(&evidence))
            .expect_code(if name == "red" { 99 } else { 0 });
    }
    let junit = std::fs::read_to_string(out.path().join("suite.xml")).expect("JUnit");
    assert_eq!(junit.matches("<testsuite ").count(), 3, "{junit}");
    let markdown = std::fs::read_to_string(out.path().join("suite.md")).expect("Markdown");
    assert!(markdown.starts_with("# ❌ suite `plans`: fail  2 of 3"), "{markdown}");
    for name in ["green", "red", "zeal"] {
        assert_eq!(history::read(&folder.path("history"), name).expect("a history").len(), 1, "{name}");
    }
}

#[test]
fn the_first_that_does_not_pass_ends_all_when_asked_to() {
    let _together = together();
    let (folder, out) = (three(), Out::new());
    let plans = ["plans/red.yaml", "plans/green.yaml"];
    let said = folder.run(&["apply", plans[0], plans[1], "--fail-fast", "--quiet", "--out", out.arg()]);
    said.expect_code(99).expect("`red` did not pass, and the first that does not ends all");
    assert_eq!(outcomes(&out), ["red fail", "green skipped"]);
    assert!(history::read(&folder.path("history"), "green").expect("a history").is_empty());
}

#[test]
fn a_plan_whose_need_did_not_pass_is_skipped_and_told() {
    let _together = together();
    let (folder, out) = (three(), Out::new());
    folder.write(
        "plans/suite.yaml",
        "suite: all
plans:
  - { plan: zeal.yaml, needs: [red] }
  - { plan: green.yaml, name: last, profile: small, set: { requests: 350 }, needs: [zeal] }
  - { plan: green.yaml, profile: small }
  - red.yaml
",
    );
    run(tests::command("planc").current_dir(folder.folder.path()).args(["check", "plans"])).expect_code(0);
    let said = folder.run(&["apply", "plans", "--quiet", "--out", out.arg()]).expect_code(99);
    said.expect("it needs `red`, which did not pass").expect("it needs `zeal`, which did not pass");
    assert_eq!(outcomes(&out), ["green pass", "red fail", "zeal skipped", "last skipped"]);
    assert_eq!(json(&out.path().join("green/evidence.json"))["graph"]["profile"], "small");
    let junit = std::fs::read_to_string(out.path().join("suite.xml")).expect("JUnit");
    assert_eq!(junit.matches("<failure message=\"skipped: ").count(), 2, "{junit}");
}

#[test]
fn nothing_is_started_when_one_plan_of_several_has_errors() {
    let folder = three();
    folder.write("plans/wrong.yaml", "plan: wrong\nscenarios: {}\n");
    folder.run(&["apply", "plans"]).expect_code(104).expect("a plan needs at least one scenario");
    folder.write("plans/suite.yaml", "suite: all\nplans: [{ plan: green.yaml, needs: [gren] }, red.yaml]\n");
    folder.run(&["apply", "plans"]).expect_code(104).expect("`gren` is no plan of this suite");
    folder.write("plans/suite.yaml", "suite: all\nplans: [green.yaml, { plan: red.yaml, profile: smal }]\n");
    let said = run(tests::command("planc").current_dir(folder.folder.path()).args(["check", "plans"]));
    said.expect_code(1).expect("`red.yaml` has no profile `smal`").expect("did you mean `small`?");
    folder.write("plans/suite.yaml", "suite: all\nplans: [green.yaml]\n");
    folder.run(&["apply", "plans", "--set", "rate=5/s"]).expect_code(2).expect("names no input of any");
    folder.run(&["apply", "plans", "--only", "reads"]).expect_code(2);
    std::fs::create_dir(folder.path("empty")).expect("made");
    folder.run(&["apply", "empty"]).expect_code(2).expect("there is no plan in `empty`");
    assert_eq!(folder.requests(), 0);
}

#[test]
fn only_changes_that_concern_a_plan_ask_for_a_run() {
    let _together = together();
    let folder = Folder::new();
    let when = "when_to_run: { paths: [\"services/shop/**\"], always_on: [main] }\n";
    folder.plan("shop", "/static", "5s", when);
    folder.write("services/shop/a.rs", "1");
    folder.write("docs/a.md", "1");
    folder.write(".gitignore", "/history\n/.planc\n");
    folder.git(&["init", "--quiet"]);
    folder.git(&["add", "."]);
    folder.git(&["commit", "--quiet", "-m", "one"]);
    let out = Out::new();
    let apply = ["apply", "plans/shop.yaml", "--quiet", "--out", out.arg(), "--if-changed"];
    let since = |base: &str| folder.run(&[&apply[..], &[base]].concat());
    // On main it always runs.
    since("main").expect_code(0).expect("on `main` it always is").expect("pass");
    folder.git(&["checkout", "--quiet", "-b", "topic"]);
    folder.write("docs/a.md", "2");
    folder.git(&["commit", "--quiet", "-am", "two"]);
    let before =
        (folder.requests(), history::read(&folder.path("history"), "shop").expect("a history").len());
    since("main")
        .expect_code(0)
        .expect("skipped: nothing in services/shop/** changed since main")
        .expect_without("pass");
    let after = (folder.requests(), history::read(&folder.path("history"), "shop").expect("a history").len());
    assert_eq!(before, after, "a plan that was left out was run, or has a verdict");
    // What is not committed is changed too, and so is the plan itself.
    folder.write("services/shop/b.rs", "new");
    since("main").expect_code(0).expect("`services/shop/b.rs` changed since main").expect("pass");
    folder.git(&["add", "."]);
    folder.git(&["commit", "--quiet", "-m", "three"]);
    since("main").expect_code(0).expect("pass");
    since("HEAD").expect_code(0).expect("skipped");
    folder.write(
        "plans/shop.yaml",
        &(std::fs::read_to_string(folder.path("plans/shop.yaml")).unwrap() + "# more\n"),
    );
    since("HEAD").expect_code(0).expect("the plan's own `plans/shop.yaml` changed").expect("pass");
    // What nobody knows is an error, never a skip.
    since("no-such-branch").expect_code(2).expect("is no revision of");
    run(folder.command(&[&apply[..], &["main"]].concat()).env("PATH", "/nowhere"))
        .expect_code(2)
        .expect("needs git");
    std::fs::rename(folder.path(".git"), folder.path("git")).expect("moved");
    since("main").expect_code(2).expect("is not in a git repository");
}

#[test]
fn a_suite_leaves_out_what_no_change_asks_for_unless_another_needs_it() {
    let _together = together();
    let folder = Folder::new();
    folder.plan("base", "/static", "5s", "when_to_run: { paths: [base] }\n");
    folder.plan("other", "/static", "5s", "when_to_run: { paths: [other] }\n");
    folder.plan("shop", "/static", "5s", "when_to_run: { paths: [shop] }\n");
    let suite = "suite: all\nplans: [base.yaml, other.yaml, { plan: shop.yaml, needs: [base] }]\n";
    folder.write("plans/suite.yaml", suite);
    folder.write(".gitignore", "/history\n/.planc\n");
    folder.git(&["init", "--quiet"]);
    folder.git(&["add", "."]);
    folder.git(&["commit", "--quiet", "-m", "one"]);
    let out = Out::new();
    let apply = ["apply", "plans", "--quiet", "--out", out.arg(), "--if-changed", "HEAD"];
    folder.run(&apply).expect_code(0).expect("skipped  suite all, exit 0");
    assert_eq!(outcomes(&out), ["base unchanged", "other unchanged", "shop unchanged"]);
    assert_eq!(folder.requests(), 0);
    folder.write("shop/a.rs", "new");
    folder.run(&apply).expect_code(0).expect("base is run: shop needs it");
    assert_eq!(outcomes(&out), ["base pass", "other unchanged", "shop pass"]);
}

#[test]
fn three_green_days_in_a_row_and_what_ends_them() {
    let _together = together();
    let folder = Folder::new();
    folder.plan("night", "/static", "5s", "history: { streak: 3, per: day }\n");
    let plan = "plans/night.yaml";
    let streak = || folder.run(&["history", plan, "--streak", "3"]);
    streak().expect_code(99).expect("0 of 3 days in a row are green: there is no run yet");
    let out = Out::new();
    folder.run(&["apply", plan, "--quiet", "--out", out.arg()]).expect_code(0);
    folder.run(&["history", plan]).expect_code(0).expect("1 run").expect("0 pass");
    streak().expect_code(99).expect("1 of 3 days in a row are green");
    // The days before, as the library would have written them then.
    let store = folder.path("history");
    let today = history::read(&store, "night").expect("a history").remove(0).expect("a record");
    let add = |days: i64, change: &dyn Fn(&mut history::Record)| {
        let (mut record, judged) = today.clone();
        record.started_unix_ms -= days * 86_400_000;
        record.run_id = format!("{}-{days}", record.run_id);
        change(&mut record);
        history::append(&store, &record, &judged).expect("written");
    };
    add(2, &|_| {});
    streak().expect_code(99).expect("1 of 3 days in a row are green: there was no run on");
    add(1, &|_| {});
    streak().expect_code(0).expect("3 of 3 days in a row are green");
    folder.run(&["history", plan, "--streak"]).expect_code(0);
    folder.run(&["history", plan, "--streak", "4"]).expect_code(99).expect("there is no run before");
    // Less was asked of them than the plan asks now.
    folder.plan("night", "/static", "4s", "history: { streak: 3, per: day }\n");
    streak().expect_code(99).expect("0 of 3").expect("was judged by less than the plan asks now");
    folder.run(&["history", plan]).expect_code(0).expect("✗ 0 of 3");
    // More of it, or of its load, is fine.
    folder.plan("night", "/static", "6s", "history: { streak: 3, per: day }\n");
    streak().expect_code(0);
    // A run with a smaller load ends it.
    folder.run(&["apply", plan, "--quiet", "--set", "requests=350", "--out", out.arg()]).expect_code(0);
    streak().expect_code(99).expect("was judged by less than the plan asks now");
    let json: Value =
        serde_json::from_str(&folder.run(&["history", plan, "--format", "json"]).out).expect("JSON");
    assert_eq!(
        (json["runs"].as_array().map(Vec::len), &json["streak"]["holds"]),
        (Some(4), &Value::from(false))
    );
}

#[test]
fn what_says_less_than_the_plan_is_no_part_of_a_streak() {
    let _together = together();
    let folder = Folder::new();
    folder.plan("two", "/static", "5s", "");
    let text = std::fs::read_to_string(folder.path("plans/two.yaml")).expect("the plan");
    let second = "  more: { executor: per-vu-iterations, steps: [{ get: /static/9, expect: { status: 200 } }] }\nthresholds:";
    folder.write("plans/two.yaml", &text.replace("thresholds:", second));
    let (plan, out) = ("plans/two.yaml", Out::new());
    folder.run(&["history", plan, "--streak"]).expect_code(2).expect("give a number");
    folder.run(&["apply", plan, "--quiet", "--out", out.arg()]).expect_code(0);
    folder.run(&["history", plan, "--streak", "1"]).expect_code(0);
    folder.run(&["apply", plan, "--only", "reads", "--quiet", "--out", out.arg()]).expect_code(0);
    let said = folder.run(&["history", plan, "--streak", "1"]).expect_code(99);
    said.expect("was not a whole one: scenario `more` was left out by `--only`");
}

#[test]
fn runs_at_the_same_time_are_all_in_the_history() {
    let _together = together();
    let folder = Folder::new();
    folder.plan("same", "/static", "30s", "");
    let outs = [Out::new(), Out::new(), Out::new()];
    let runs: Vec<Running> = outs
        .iter()
        .map(|out| {
            Running::start(&mut folder.command(&["apply", "plans/same.yaml", "--quiet", "--out", out.arg()]))
        })
        .collect();
    for running in runs {
        running.finish().expect_code(0);
    }
    folder.run(&["history", "plans/same.yaml", "--streak", "3"]).expect_code(0).expect("3 runs");
}

#[test]
fn a_history_that_cannot_be_written_is_told_before_anything_is_started() {
    let folder = Folder::new();
    folder.plan("a", "/static", "5s", "");
    folder.write("history", "a file");
    let out = Out::new();
    folder.run(&["apply", "plans/a.yaml", "--out", out.arg()]).expect_code(117).expect("nothing was started");
    assert_eq!(folder.requests(), 0);
}
