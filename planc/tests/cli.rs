//! The command line: arguments, streams and exit codes.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // A test drives the program from outside.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own for one test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("planc-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join(name), text).expect("a file");
        name.to_string()
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_planc"));
        command.args(args).current_dir(&self.0).env_remove("CLICOLOR_FORCE").output().expect("planc runs")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The least that compiles.
const SMALL: &str = "\
plan: small
target: { url: 'http://127.0.0.1:1', allow_hosts: [127.0.0.1] }
scenarios:
  one:
    executor: constant-vus
    vus: 1
    duration: 1s
    steps: [get: /]
";

const BROKEN: &str = "plan: demo\ntarget: {{ x }}\n";

#[test]
fn errors_are_printed_and_counted() {
    let folder = Folder::new("errors");
    let plan = folder.file("broken.yaml", BROKEN);
    let done = folder.run(&["check", &plan]);
    assert_eq!(done.status.code(), Some(1));
    let text = out(&done);
    assert!(text.contains("error[P0004]"), "{text}");
    assert!(text.contains("--> broken.yaml:2:9"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour into a pipe: {text}");
}

#[test]
fn json_is_one_object() {
    let folder = Folder::new("json");
    let plan = folder.file("broken.yaml", BROKEN);
    let done = folder.run(&["check", &plan, &plan, "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&out(&done)).expect("json");
    let all = document["diagnostics"].as_array().expect("a list");
    // The same file twice is one file, and told once.
    let found: Vec<_> = all.iter().filter(|d| d["code"] == "P0004").collect();
    assert_eq!(found.len(), 1);
    let keys: Vec<&str> = found[0].as_object().expect("a map").keys().map(String::as_str).collect();
    assert_eq!(
        keys.join(" "),
        "code column end_column end_line file help labels level line message name notes profiles suggestion"
    );
    assert_eq!(
        (found[0]["line"].as_u64(), found[0]["suggestion"]["replacement"].as_str()),
        (Some(2), Some("\"{{ x }}\""))
    );
    assert_eq!(document["summary"]["files"], 1);
}

#[test]
fn github_annotations() {
    let folder = Folder::new("github");
    let plan = folder.file("broken.yaml", BROKEN);
    let text = out(&folder.run(&["check", &plan, "--format", "github"]));
    assert!(
        text.contains(
            "::error file=broken.yaml,line=2,col=9,endLine=2,endColumn=16,title=P0004 unquoted-template::"
        ),
        "{text}"
    );
}

#[test]
fn usage_and_unreadable_files_are_two() {
    let folder = Folder::new("usage");
    folder.file("latin.yaml", "");
    std::fs::write(folder.0.join("latin.yaml"), [b'a', b':', b' ', 0xe9]).expect("a file");
    for (args, told) in [
        (vec!["check"], "PLAN"),
        (vec!["check", "absent.yaml"], "cannot read `absent.yaml`"),
        (vec!["check", "latin.yaml"], "not UTF-8 text at byte 3"),
        (vec!["check", "absent.yaml", "--format", "xml"], "terminal"),
        (vec!["check", "absent.yaml", "--set", "novalue"], "NAME=VALUE"),
        (vec!["graph", "absent.yaml"], "cannot read `absent.yaml`"),
        (vec!["explain", "P9999"], "no diagnostic `P9999`"),
        (vec!["explain"], "required"),
        (vec!["chekc"], "check"),
    ] {
        let done = folder.run(&args);
        assert_eq!(done.status.code(), Some(2), "{args:?}");
        assert!(err(&done).contains(told), "{args:?}: {}", err(&done));
    }
}

#[test]
fn what_cannot_be_read_hides_nothing() {
    let folder = Folder::new("hides");
    let plan = folder.file("broken.yaml", BROKEN);
    let done = folder.run(&["check", "absent.yaml", &plan, "missing.yaml"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(out(&done).contains("broken.yaml:2:9"), "{}", out(&done));
    for name in ["absent.yaml", "missing.yaml"] {
        assert!(err(&done).contains(&format!("error: cannot read `{name}`")), "{}", err(&done));
    }
}

#[test]
fn a_plan_with_errors_leaves_no_graph() {
    let folder = Folder::new("compile");
    let plan = folder.file("broken.yaml", BROKEN);
    let done = folder.run(&["compile", &plan, "-o", "out.json"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(err(&done).contains("error[P0004]"));
    let left: Vec<_> = std::fs::read_dir(&folder.0).expect("a folder").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn explain_schema_completions() {
    let folder = Folder::new("explain");
    for (args, told) in [
        (vec!["explain", "P0004"], "unquoted-template"),
        (vec!["explain", "p0003"], "duplicate-key"),
        (vec!["explain", "yaml-syntax"], "yaml-syntax"),
        (vec!["explain", "--list"], "P0001  yaml-syntax"),
        (vec!["schema"], "\"$schema\""),
        (vec!["schema", "--of", "fixture"], "urn:planc:fixture"),
        (vec!["schema", "--of", "test"], "urn:planc:test"),
        (vec!["schema", "--of", "suite"], "urn:planc:suite"),
        (vec!["completions", "bash"], "_planc"),
        (vec!["check", "--help"], "Examples:"),
        (vec!["check", "--help"], "The environment is not read"),
    ] {
        let done = folder.run(&args);
        assert_eq!(done.status.code(), Some(0), "{args:?}: {}", err(&done));
        assert!(out(&done).contains(told), "{args:?}");
    }
}

/// The plans that ship, by path.
fn shipped() -> Vec<PathBuf> {
    shipped_yaml().into_iter().filter(|path| !is_test(path) && !is_suite(path)).collect()
}

fn is_test(path: &Path) -> bool {
    path.to_string_lossy().ends_with(planc::UNIT_TESTS)
}

fn is_suite(path: &Path) -> bool {
    path.ends_with(planc::suite::FILE)
}

/// The plans that ship, their unit tests and suites.
fn shipped_yaml() -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../plans");
    let mut folders = vec![root];
    let mut plans = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("plans") {
            let path = entry.expect("an entry").path();
            match path.extension() {
                None if path.is_dir() => folders.push(path),
                None => {}
                Some(extension) if extension == "yaml" => plans.push(path),
                Some(_) => {}
            }
        }
    }
    plans.sort();
    plans
}

#[test]
fn shipped_plans_are_drawn_in_every_view() {
    let folder = Folder::new("views");
    for plan in shipped() {
        let plan = plan.to_string_lossy();
        for (view, told) in
            [("tree", "in all: "), ("mermaid", "flowchart TD"), ("dot", "digraph"), ("json", "\"totals\"")]
        {
            let done = folder.run(&["graph", &plan, "--format", view]);
            assert_eq!(done.status.code(), Some(0), "{plan}: {}", err(&done));
            assert!(out(&done).contains(told), "{plan} {view}");
        }
    }
}

#[test]
fn a_compiled_graph_reads_back_as_the_same_graph() {
    let folder = Folder::new("graph");
    for plan in shipped() {
        let plan = plan.to_string_lossy();
        let done = folder.run(&["compile", &plan, "-o", "plan.graph.json"]);
        assert_eq!(done.status.code(), Some(0), "{plan}: {}", err(&done));
        let text = std::fs::read_to_string(folder.0.join("plan.graph.json")).expect("written");
        let graph = planc::graph::ExecutionGraph::from_json(&text).expect("a graph");
        assert!(err(&done).contains(&graph.id()), "{plan}");
        // Standard output gets the very same bytes.
        assert_eq!(out(&folder.run(&["compile", &plan, "-o", "-"])), text, "{plan}");
    }
}

#[test]
fn the_schemas_accept_what_ships() {
    let (plans, fixtures) = (planc::schema::plan(), planc::schema::fixture());
    let fixture_files = ["agents.yaml", "certificates.yaml", "chat/users.yaml"];
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let (tests, suites) = (planc::schema::unit_tests(), planc::schema::suite());
    let schema = |path: &Path| match (is_test(path), is_suite(path)) {
        (true, _) => &tests,
        (_, true) => &suites,
        _ => &plans,
    };
    let files = shipped_yaml().into_iter().map(|path| (path.clone(), schema(&path)));
    for (path, schema) in files.chain(fixture_files.iter().map(|name| (root.join(name), &fixtures))) {
        let mut sources = planc::source::SourceMap::default();
        let mut diagnostics = planc::diagnostic::Diagnostics::default();
        let file = sources.add(path.to_string_lossy(), std::fs::read_to_string(&path).expect("a file"));
        let node = planc::yaml::parse(&sources, file, &mut diagnostics).expect("yaml");
        let validator = jsonschema::validator_for(schema).expect("a schema");
        let errors: Vec<String> =
            validator.iter_errors(&plain(&node)).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", path.display());
    }
}

/// A YAML tree as an editor's validator sees it.
fn plain(node: &planc::yaml::Node) -> serde_json::Value {
    use planc::yaml::NodeKind;
    match &node.kind {
        NodeKind::Null => serde_json::Value::Null,
        NodeKind::Bool(value) => (*value).into(),
        NodeKind::Scalar { text, plain: true } => match text.parse::<serde_json::Number>() {
            Ok(number) => number.into(),
            Err(_) => text.as_str().into(),
        },
        NodeKind::Scalar { text, .. } => text.as_str().into(),
        NodeKind::Sequence(items) => items.iter().map(plain).collect(),
        NodeKind::Mapping(entries) => {
            entries.iter().map(|e| (e.key.value.clone(), plain(&e.value))).collect()
        }
    }
}

#[test]
fn a_graph_goes_where_the_path_leads() {
    let folder = Folder::new("output");
    let plan = folder.file("plan.yaml", SMALL);
    folder.file("real.json", "old");
    std::os::unix::fs::symlink("real.json", folder.0.join("link.json")).expect("a link");
    let done = folder.run(&["compile", &plan, "-o", "link.json"]);
    assert_eq!(done.status.code(), Some(0), "{}", err(&done));
    assert!(folder.0.join("link.json").is_symlink());
    assert!(std::fs::read_to_string(folder.0.join("real.json")).expect("written").contains("\"schema\""));
    // A link to a device: what it names is written to, and the link is still there.
    std::os::unix::fs::symlink("/dev/null", folder.0.join("null")).expect("a link");
    let done = folder.run(&["compile", &plan, "-o", "null"]);
    assert_eq!(done.status.code(), Some(0), "{}", err(&done));
    assert!(folder.0.join("null").is_symlink());
    let (code, told) = (Some(2), err(&folder.run(&["compile", &plan, "-o", "no/where/x.json"])));
    assert_eq!(folder.run(&["compile", &plan, "-o", "no/where/x.json"]).status.code(), code);
    assert!(told.contains("there is no folder `no/where`"), "{told}");
    let streams = ["-", "/dev/stdout"].map(|to| out(&folder.run(&["compile", &plan, "-o", to])));
    assert_eq!(streams[0], streams[1]);
    assert!(err(&folder.run(&["compile", &plan, "-o", "."])).contains("it is a folder"));
}

#[test]
fn a_full_disk_is_noticed() {
    let folder = Folder::new("full");
    let plan = folder.file("plan.yaml", SMALL);
    for args in [
        vec!["schema"],
        vec!["graph", &plan],
        vec!["explain", "P0102"],
        vec!["explain", "--list"],
        vec!["completions", "bash"],
        vec!["check", &plan, "--format", "json"],
        vec!["compile", &plan, "-o", "-"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let mut command = Command::new(env!("CARGO_BIN_EXE_planc"));
        command.args(&args).current_dir(&folder.0).stdout(full).stderr(std::process::Stdio::piped());
        let done = command.output().expect("planc runs");
        assert_eq!(done.status.code(), Some(2), "{args:?}");
        assert!(err(&done).contains("cannot write to standard output"), "{args:?}: {}", err(&done));
    }
}

#[test]
fn a_fixture_is_checked_but_not_compiled_alone() {
    let folder = Folder::new("fixture");
    let text = "fixture: people\ntable: people\nrows: 1\nidentity: id\ncolumns: { id: '{{ n }}' }\n";
    let fixture = folder.file("people.yaml", text);
    let done = folder.run(&["check", &fixture]);
    assert_eq!(done.status.code(), Some(0), "{}", out(&done));
    let done = folder.run(&["compile", &fixture, "-o", "-"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(err(&done).contains("this file is a fixture, not a plan"), "{}", err(&done));
    assert!(err(&done).contains("1 error"), "{}", err(&done));
}

#[test]
fn a_fixture_knows_those_of_its_folder_that_it_refers_to() {
    let folder = Folder::new("beside");
    let table = |name: &str, columns: &str| {
        format!(
            "fixture: {name}\ntable: {name}\nrows: 5\nidentity: id\ncolumns: {{ id: '{{{{ n }}}}', {columns} }}\n"
        )
    };
    let orders = table("orders", "who: { fixture: users, column: mail }");
    folder.file("orders.yaml", &orders);
    folder.file("people.yaml", &table("users", "mail: m, team: { fixture: teams, column: id }"));
    folder.file("teams.yml", &table("teams", "name: t"));
    // Nobody refers to these.
    folder.file("broken.yaml", "fixture: broken\ntable: [\n");
    folder.file("plan.yaml", SMALL);
    for args in [["check", "orders.yaml"], ["check", "./orders.yaml"]] {
        let done = folder.run(&args);
        assert_eq!(done.status.code(), Some(0), "{}", out(&done));
    }
    let read = err(&folder.run(&["check", "-v", "orders.yaml"]));
    assert_eq!(read, "read orders.yaml\nread people.yaml\nread teams.yml\n");

    folder.file("orders.yaml", &orders.replace("column: mail", "column: email"));
    let done = folder.run(&["check", "orders.yaml"]);
    assert!(out(&done).contains("fixture `users` has no column `email`"), "{}", out(&done));
    folder.file("orders.yaml", &orders.replace("fixture: users", "fixture: customers"));
    let done = folder.run(&["check", "orders.yaml"]);
    assert!(out(&done).contains("unknown fixture `customers`"), "{}", out(&done));
}

#[test]
fn what_the_command_line_says_is_told_as_such() {
    let folder = Folder::new("set");
    let plan = folder.file("plan.yaml", SMALL);
    let inputs = "inputs: { rate: { type: string, default: 5/s }, time: { type: duration, default: 1s } }\n";
    let open = SMALL.replace("scenarios:", &format!("{inputs}scenarios:"));
    let open = open.replace("vus: 1", "pre_allocated_vus: 1\n    rate: '{{ inputs.rate }}'");
    let open = folder.file("open.yaml", &open.replace("constant-vus", "constant-arrival-rate"));
    let lasting = SMALL.replace("scenarios:", &format!("{inputs}scenarios:"));
    let lasting =
        folder.file("lasting.yaml", &lasting.replace("duration: 1s", "duration: '{{ inputs.time }}'"));
    for (plan, args, told) in [
        (&plan, ["--profile", "stress"], "this plan has no profiles"),
        (&plan, ["--set", "nope=1"], "it has no inputs"),
        (&open, ["--set", "nope=1"], "it has `rate` and `time`"),
        (&open, ["--set", "rate=0/s"], "it comes from `--set rate=…`"),
        (&open, ["--set", "rate=fast"], "it comes from `--set rate=…`"),
        (&lasting, ["--set", "time=0s"], "it comes from `--set time=…`"),
        (&open, ["--set", "time=1d2"], "it comes from `--set time=…`"),
    ] {
        let done = folder.run(&["check", plan, args[0], args[1]]);
        assert_eq!(done.status.code(), Some(1), "{args:?} {}", out(&done));
        assert!(out(&done).contains(told), "{args:?}: {}", out(&done));
    }
}

#[test]
fn only_files_and_standard_input_are_plans() {
    let folder = Folder::new("pipes");
    let _pipe = Command::new("mkfifo").arg(folder.0.join("pipe")).status().expect("mkfifo");
    for (verb, plan, told) in [
        ("check", "pipe", "not a regular file"),
        ("check", ".", "there is no plan in `.`"),
        ("graph", ".", "it is a folder"),
        ("check", "/dev/zero", "not a regular file"),
    ] {
        let done = folder.run(&[verb, plan]);
        assert_eq!(done.status.code(), Some(2), "{plan}");
        assert!(err(&done).contains(told), "{plan}: {}", err(&done));
    }
    folder.file("plan.yaml", SMALL);
    for plan in ["-", "/dev/stdin"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_planc"));
        let input = std::fs::File::open(folder.0.join("plan.yaml")).expect("the plan");
        let done = command.args(["graph", plan]).stdin(input).output().expect("planc runs");
        assert_eq!(done.status.code(), Some(0), "{plan}: {}", err(&done));
    }
}

/// One step without a gate of its own, and a finding that is allowed until a day.
const COVERED: &str = "\
plan: covered
target: { url: 'http://127.0.0.1:1', allow_hosts: [127.0.0.1] }
scenarios:
  shop:
    executor: constant-arrival-rate
    rate: 50/s
    duration: 5m
    pre_allocated_vus: 200
    steps:
      - { get: /browse, name: browse, expect: { status: 200 } }
      - { get: /search, name: search, expect: { status: 200 }, allow: { lint: ungated-step, reason: new, until: 2026-12-31 } }
thresholds:
  http_req_duration{name:browse}: ['p(95) < 500ms']
  http_req_failed: ['rate < 1%']
";

#[test]
fn coverage_is_shown_and_can_be_asked_for() {
    let folder = Folder::new("coverage");
    let plan = folder.file("covered.yaml", COVERED);
    let day = ["--today", "2026-12-31"];
    let done = folder.run(&[&["check", &plan, "-v", "--deny", "warnings"], &day[..]].concat());
    let text = out(&done);
    assert_eq!(done.status.code(), Some(0), "{text}");
    assert!(text.contains("  shop      search  none           rate < 1%  status is 200\n"), "{text}");
    assert!(text.contains("  83% (5 of 6)\n"), "{text}");
    assert!(text.contains("allowed[P0424] covered.yaml:11:11: "), "{text}");
    assert!(text.contains("  reason: new (until 2026-12-31)\n"), "{text}");
    assert!(text.ends_with("no problems in 1 file, 1 allowed\n"), "{text}");
    for (least, code) in [("83%", 0), ("84%", 1), ("100%", 1)] {
        let done = folder.run(&[&["check", &plan, "--min-coverage", least], &day[..]].concat());
        assert_eq!(done.status.code(), Some(code), "{least}");
        assert_eq!(err(&done).contains("gate coverage of covered.yaml is 83%"), code == 1, "{}", err(&done));
    }
    let json = out(&folder.run(&[&["check", &plan, "--format", "json"], &day[..]].concat()));
    let json: serde_json::Value = serde_json::from_str(&json).expect("json");
    let search = &json["coverage"][0]["steps"][1];
    assert_eq!((&search["latency"], &search["line"]), (&serde_json::json!([]), &serde_json::json!(11)));
    assert_eq!(json["allowed"][0]["reason"], "new");
}

#[test]
fn what_is_allowed_is_told_again_when_its_day_has_passed() {
    let folder = Folder::new("expired");
    let plan = folder.file("covered.yaml", COVERED);
    let done = folder.run(&["check", &plan, "--today", "2027-01-01"]);
    assert_eq!(done.status.code(), Some(1));
    let text = out(&done);
    assert!(text.contains("error[P0315]: `ungated-step` was allowed until 2026-12-31"), "{text}");
    assert!(text.contains("warning[P0424]: no gate bounds the latency of this step"), "{text}");
}

#[test]
fn sarif_holds_against_its_schema() {
    let folder = Folder::new("sarif");
    let covered = folder.file("covered.yaml", COVERED);
    let mistakes = format!("{}/../tests/plans/six-mistakes.yaml", env!("CARGO_MANIFEST_DIR"));
    let text =
        out(&folder.run(&["check", &covered, &mistakes, "--format", "sarif", "--today", "2026-12-31"]));
    let document: serde_json::Value = serde_json::from_str(&text).expect("json");
    let schema = include_str!("data/sarif-2.1.0.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).expect("json");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let wrong: Vec<String> =
        validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let results = document["runs"][0]["results"].as_array().expect("results");
    assert!(results.len() > 6, "{text}");
    let kept: Vec<_> = results.iter().filter(|result| result["suppressions"].is_array()).collect();
    assert_eq!((kept.len(), &kept[0]["suppressions"][0]["justification"]), (1, &serde_json::json!("new")));
    // A result without a rule behind it would not be shown.
    let rules = document["runs"][0]["tool"]["driver"]["rules"].as_array().expect("rules");
    assert!(results.iter().all(|result| rules.iter().any(|rule| rule["id"] == result["ruleId"])));
}

const SHOP: &str = r#"
plan: shop
target: { url: "https://shop.staging.example.com", allow_hosts: [shop.staging.example.com] }
database: "{{ services.postgres.url }}"
services:
  postgres: { ephemeral: postgres, database: shop_test }
guards:
  - name: the shop is a staging shop
    get: /health
    expect: { status: 200, json: { $.env: staging } }
fixtures:
  users: { from: fixtures/users.yaml }
scenarios:
  shoppers:
    executor: constant-arrival-rate
    rate: 100/s
    duration: 5m
    pre_allocated_vus: 200
    draw: { user: users }
    steps:
      - { get: "/products/{{ user.id }}", name: browse, tags: { phase: browse }, expect: { status: 200 } }
      - { post: /cart, name: buy, tags: { phase: buy }, json: { sku: 1 }, expect: { status: 201 } }
thresholds:
  http_req_duration: ["p(95) < 300ms"]
  http_server_errors: ["rate < 0.1%"]
  http_req_failed: ["rate < 1%"]
"#;

const USERS: &str = "fixture: users\ntable: users\nrows: 500\nidentity: id\ncolumns: { id: \"u-{{ n }}\" }\n";

const SHOP_GUARD: &str = "guards:\n  - name: the shop is a staging shop\n    get: /health\n    expect: { status: 200, json: { $.env: staging } }\n";

impl Folder {
    /// The shop's plan and its fixture.
    fn shop(name: &str) -> Self {
        let folder = Folder::new(name);
        std::fs::create_dir_all(folder.0.join("fixtures")).expect("a folder");
        folder.file("fixtures/users.yaml", USERS);
        folder.file("shop.yaml", SHOP);
        folder
    }

    fn git(&self, args: &[&str]) {
        let who = ["-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "init.defaultBranch=main"];
        let done = Command::new("git").args(who).args(args).current_dir(&self.0).output().expect("git runs");
        assert!(done.status.success(), "git {args:?}: {}", err(&done));
    }
}

#[test]
fn diff_tells_what_a_change_means() {
    let folder = Folder::shop("diff");
    let weaker = SHOP
        .replace("p(95) < 300ms", "p(95) < 800ms")
        .replace("http_server_errors:", "http_server_errors{phase:browse}:")
        .replace(SHOP_GUARD, "");
    folder.file("weaker.yaml", &weaker);
    let done = folder.run(&["diff", "shop.yaml", "weaker.yaml"]);
    assert_eq!(done.status.code(), Some(1), "{}", err(&done));
    let text = out(&done);
    for told in ["gate-loosened[P0501]", "gate-narrowed[P0502]", "guard-weakened[P0512]", "\n3 weakenings\n"]
    {
        assert!(text.contains(told), "{told}: {text}");
    }
    let done = folder.run(&["diff", "weaker.yaml", "shop.yaml"]);
    assert_eq!(done.status.code(), Some(1), "a wider selector: {}", out(&done));
    assert!(out(&done).contains("selector-widened[P0503]"), "{}", out(&done));
}

#[test]
fn diff_says_nothing_of_order_and_looks() {
    let folder = Folder::shop("diff-order");
    let (head, gates) = SHOP.split_once("thresholds:\n").expect("gates");
    let mut lines: Vec<&str> = gates.lines().collect();
    lines.reverse();
    let turned = format!("thresholds:\n{}\n# moved{head}", lines.join("   # a gate\n"))
        .replace("duration: 5m", "duration:   300s")
        .replace(
            "{ status: 200, json: { $.env: staging } }",
            "\n      json: { $.env: staging }\n      status: 200",
        );
    folder.file("turned.yaml", &turned);
    let done = folder.run(&["diff", "shop.yaml", "turned.yaml"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", out(&done), err(&done));
    assert_eq!(out(&done), "no change of meaning in `turned.yaml`\n");
}

#[test]
fn diff_through_git_takes_fixtures_from_the_same_revision() {
    let folder = Folder::shop("diff-git");
    folder.git(&["init", "-q"]);
    folder.git(&["add", "."]);
    folder.git(&["commit", "-qm", "first"]);
    folder.file("fixtures/users.yaml", &USERS.replace("rows: 500", "rows: 50"));
    let done = folder.run(&["diff", "--base", "HEAD", "shop.yaml"]);
    assert_eq!(done.status.code(), Some(1), "{}", err(&done));
    assert!(out(&done).contains("fixture `users`: has 50 rows instead of 500"), "{}", out(&done));
    // From a folder inside of the repository, and by an absolute path.
    for plan in ["../shop.yaml".to_string(), folder.0.join("shop.yaml").display().to_string()] {
        let inner = Command::new(env!("CARGO_BIN_EXE_planc"))
            .args(["diff", "--base", "HEAD", &plan])
            .current_dir(folder.0.join("fixtures"))
            .output()
            .expect("planc runs");
        assert_eq!(inner.status.code(), Some(1), "{}", err(&inner));
    }
    folder.file("new.yaml", SHOP);
    let done = folder.run(&["diff", "--base", "HEAD", "new.yaml"]);
    assert_eq!(done.status.code(), Some(0), "{}", err(&done));
    assert!(out(&done).starts_with("`new.yaml` is new: all of it is added\n"), "{}", out(&done));
}

#[test]
fn diff_says_why_it_cannot_compare() {
    let folder = Folder::shop("diff-why");
    let unusable = |args: &[&str], told: &str| {
        let done = folder.run(args);
        assert_eq!(done.status.code(), Some(2), "{args:?}: {}", err(&done));
        assert!(err(&done).contains(told), "{args:?}: {}", err(&done));
    };
    unusable(&["diff", "shop.yaml"], "nothing to compare it with");
    unusable(&["diff", "shop.yaml", "shop.yaml", "--base", "HEAD"], "name that one alone");
    unusable(&["diff", "absent.yaml", "shop.yaml"], "cannot read `absent.yaml`");
    unusable(&["diff", "--base", "HEAD", "shop.yaml"], "is not in a git repository");
    folder.file("broken.yaml", BROKEN);
    unusable(&["diff", "broken.yaml", "shop.yaml"], "the old plan does not compile");
    folder.git(&["init", "-q"]);
    unusable(&["diff", "--base", "nowhere", "shop.yaml"], "`nowhere` is no revision");
    let done = folder.run(&["diff", "shop.yaml", "broken.yaml"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(out(&done).contains("`broken.yaml` does not compile"), "{}", out(&done));
    let mut command = Command::new(env!("CARGO_BIN_EXE_planc"));
    let bare = command.args(["diff", "--base", "HEAD", "shop.yaml"]).current_dir(&folder.0).env("PATH", "");
    let done = bare.output().expect("planc runs");
    assert_eq!(done.status.code(), Some(2));
    assert!(err(&done).contains("no `git` in PATH"), "{}", err(&done));
}

#[test]
fn files_are_formatted_in_place() {
    let folder = Folder::new("fmt");
    let (ugly, pretty) = ("plan:   a # x\ntarget: {url: b}\n", "plan: a   # x\ntarget: { url: b }\n");
    folder.file("ugly.yaml", ugly);
    folder.file("pretty.yaml", pretty);
    let read = |name: &str| std::fs::read_to_string(folder.0.join(name)).expect("a file");
    // Looking changes nothing.
    let done = folder.run(&["fmt", "--check", "ugly.yaml", "pretty.yaml"]);
    assert_eq!(done.status.code(), Some(1));
    assert_eq!(err(&done), "not formatted: ugly.yaml\n");
    let changed = "-plan:   a # x\n-target: {url: b}\n+plan: a   # x\n+target: { url: b }\n";
    assert!(out(&done).contains(changed), "{}", out(&done));
    let done = folder.run(&["fmt", "--diff", "ugly.yaml", "pretty.yaml"]);
    assert_eq!(done.status.code(), Some(0), "{}", err(&done));
    assert!(
        out(&done).starts_with("--- ugly.yaml (as it is)\n+++ ugly.yaml (formatted)\n"),
        "{}",
        out(&done)
    );
    assert_eq!(read("ugly.yaml"), ugly);
    // Formatting writes what changes, through a link too.
    std::os::unix::fs::symlink("ugly.yaml", folder.0.join("link.yaml")).expect("a link");
    let done = folder.run(&["fmt", "link.yaml", "pretty.yaml"]);
    assert_eq!((done.status.code(), err(&done).as_str()), (Some(0), "formatted link.yaml\n"));
    assert!(folder.0.join("link.yaml").is_symlink());
    assert_eq!(read("ugly.yaml"), pretty);
    let done = folder.run(&["fmt", "--check", "ugly.yaml", "pretty.yaml"]);
    assert_eq!((done.status.code(), out(&done).as_str(), err(&done).as_str()), (Some(0), "", ""));
}

#[test]
fn standard_input_is_formatted_to_standard_output() {
    let folder = Folder::new("fmt-pipe");
    folder.file("plan.yaml", "plan:   a\n");
    let run = |args: &[&str]| {
        let input = std::fs::File::open(folder.0.join("plan.yaml")).expect("the plan");
        let mut command = Command::new(env!("CARGO_BIN_EXE_planc"));
        command.args(args).current_dir(&folder.0).stdin(input).output().expect("planc runs")
    };
    let done = run(&["fmt", "-"]);
    assert_eq!((done.status.code(), out(&done).as_str()), (Some(0), "plan: a\n"));
    let done = run(&["fmt", "--check", "-"]);
    assert_eq!((done.status.code(), err(&done).as_str()), (Some(1), "not formatted: -\n"));
}

#[test]
fn files_with_mistakes_in_their_yaml_are_left_as_they_are() {
    let folder = Folder::new("fmt-broken");
    let broken = folder.file("broken.yaml", BROKEN);
    let ugly = folder.file("ugly.yaml", "plan:   a\n");
    let done = folder.run(&["fmt", &broken, &ugly]);
    assert_eq!(done.status.code(), Some(1));
    assert!(err(&done).contains("error[P0004]"), "{}", err(&done));
    assert!(err(&done).contains("`broken.yaml` is left as it is"), "{}", err(&done));
    let read = |name: &str| std::fs::read_to_string(folder.0.join(name)).expect("a file");
    assert_eq!((read("broken.yaml").as_str(), read("ugly.yaml").as_str()), (BROKEN, "plan: a\n"));
    // Nothing is written when a file cannot even be read.
    folder.file("ugly.yaml", "plan:   a\n");
    let done = folder.run(&["fmt", &ugly, "absent.yaml"]);
    assert_eq!(done.status.code(), Some(2));
    assert_eq!(read("ugly.yaml"), "plan:   a\n");
}
