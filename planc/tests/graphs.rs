//! What graphs hold: the same meaning gives the same bytes, values win in their order, secrets stay out.

mod support;

use planc::graph::{Demand, ExecutionGraph, FixtureKind, StepKind};
use planc::{Compilation, Options};
use proptest::prelude::*;
use support::{Disk, Text, told};

const EVERYTHING: &str = include_str!("ui/everything.yaml");

fn options(set: &[(&str, &str)], env: &[(&str, &str)], profile: Option<&str>) -> Options {
    let own = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<Vec<_>>()
    };
    Options {
        profile: profile.map(str::to_string),
        set: own(set),
        env: own(env).into_iter().collect(),
        require_inputs: false,
        today: None,
    }
}

fn show(compilation: &Compilation) -> Vec<String> {
    told(compilation).iter().map(|t| format!("{} {}", t.code, t.message)).collect()
}

fn graph(text: &str, options: &Options) -> ExecutionGraph {
    let compilation = planc::compile(&Text(text), "plan.yaml", options);
    let told = show(&compilation);
    compilation.graph.unwrap_or_else(|| panic!("{}", told.join("\n")))
}

const SMALL: &str = r#"
plan: small
inputs:
  rate: { type: rate, default: 1/s, env: RATE }
  key: { type: secret, env: KEY }
profiles:
  fast: { rate: 2/s }
target: { url: "http://127.0.0.1:8080" }
tokens:
  t: { value: "{{ inputs.key }}" }
scenarios:
  b:
    executor: constant-arrival-rate
    rate: "{{ inputs.rate }}"
    duration: 1h
    pre_allocated_vus: 10
    steps:
      - { get: "/b/{{ inputs.rate }}", token: t, expect: { status: 200 } }
  a:
    executor: constant-vus
    duration: 1m
    steps: [{ get: /a, expect: { status: 200 } }]
thresholds:
  http_req_failed: [rate < 1%]
  http_req_duration: ["p(95) < 500ms"]
"#;

#[test]
fn order_and_comments_keep_the_id() {
    let blocks: Vec<String> = SMALL.trim().split_inclusive('\n').fold(Vec::new(), |mut blocks, line| {
        match blocks.last_mut() {
            Some(last) if line.starts_with(' ') => String::push_str(last, line),
            _ => blocks.push(line.to_string()),
        }
        blocks
    });
    let turned: String =
        blocks.iter().rev().map(|block| format!("# a comment\n{}\n", block.trim_end())).collect();
    let inner = turned
        .replace(
            "executor: constant-vus\n    duration: 1m",
            "duration: 60s   # the same\n    executor: constant-vus",
        )
        .replace(
            "{ get: \"/b/{{ inputs.rate }}\", token: t }",
            "{ token: t, get: \"/b/{{ inputs.rate }}\" }",
        );
    assert_ne!(turned, inner);
    let plain = graph(SMALL, &Options::default());
    assert_eq!(plain.id(), graph(&turned, &Options::default()).id());
    assert_eq!(plain.id(), graph(&inner, &Options::default()).id());
    assert_ne!(plain.id(), graph(SMALL, &options(&[("rate", "3/s")], &[], None)).id());
    let names: Vec<&str> = plain.scenarios.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(ExecutionGraph::from_json(&String::from_utf8(plain.canonical()).unwrap()).unwrap(), plain);
}

#[test]
fn values_win_in_their_order() {
    let rate = |options: &Options| match &graph(SMALL, options).scenarios[1].demand {
        Demand::Arrivals { start_rate, .. } => start_rate.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(rate(&options(&[], &[], None)), "1/s");
    assert_eq!(rate(&options(&[], &[], Some("fast"))), "2/s");
    assert_eq!(rate(&options(&[], &[("RATE", "3/s")], Some("fast"))), "3/s");
    assert_eq!(rate(&options(&[("rate", "4/s")], &[("RATE", "3/s")], Some("fast"))), "4/s");
}

#[test]
fn secrets_stay_out() {
    let graph = graph(SMALL, &options(&[("key", "hunter2")], &[("KEY", "hunter3")], None));
    let text = String::from_utf8(graph.canonical()).unwrap();
    assert!(!text.contains("hunter"), "{text}");
    assert!(graph.open_inputs["key"].secret);
}

#[test]
fn the_command_line_is_told_what_it_got_wrong() {
    let told = |options: &Options| show(&planc::compile(&Text(SMALL), "plan.yaml", options)).join("; ");
    assert_eq!(
        told(&options(&[("rat", "1/s")], &[], None)),
        "P0302 `--set rat=…` names no input of this plan"
    );
    assert_eq!(told(&options(&[], &[], Some("fats"))), "P0303 this plan has no profile `fats`");
    let bad = told(&options(&[("rate", "fast")], &[], None));
    assert_eq!(bad, "P0301 input `rate`: `fast` is not a rate");
    let required = Options { require_inputs: true, ..Options::default() };
    assert_eq!(told(&required), "");
}

#[test]
fn findings_say_in_which_profiles_they_hold() {
    let text = SMALL.replace(
        "fast: { rate: 2/s }",
        "fast: { rate: 2/s }\n  broken: { rate: 2 }\n  slow: { rate: 100/s }",
    );
    let compilation = planc::check(&Text(&text), "plan.yaml", &Options::default());
    assert_eq!(
        show(&compilation),
        [
            "P0102 input `rate`: a rate needs a unit [broken]",
            "P0409 the pool is used up once an iteration takes 100ms, before it can take 500ms [slow]"
        ]
    );
    assert!(compilation.graph.is_none());
}

#[test]
fn everything_is_lowered() {
    let compilation = planc::compile(&Disk, "tests/ui/everything.yaml", &Options::default());
    let told = show(&compilation);
    let graph = compilation.graph.unwrap_or_else(|| panic!("{told:?}"));
    let fixtures: Vec<&str> = graph.fixtures.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(fixtures, ["accounts", "teams", "users"]);
    assert_eq!(graph.fixture("users").unwrap().fixture, "shop-users");
    assert_eq!(graph.fixture("accounts").unwrap().rows, 2);
    let FixtureKind::Table(users) = &graph.fixture("users").unwrap().kind else { panic!() };
    assert!(users.columns["seen_at"].volatile && users.adopt);
    assert!(users.skip_foreign_key_triggers && users.rebuild_indexes);
    let services: Vec<&str> = graph.services.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(services, ["db", "worker"]);
    let arrivals = graph.scenarios.iter().find(|s| s.name == "arrivals").unwrap();
    let StepKind::Http(order) = &arrivals.steps[0].kind else { panic!() };
    let names: Vec<&str> = order.expect.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "status is 201 or 429",
            "header content-type contains json",
            "json $.gone absent",
            "json $.id matches ^[0-9]+$",
            "json $.state one of new, old",
            "cookie sid present",
            "body contains {{ account.nick }}",
            "duration < 2s",
        ]
    );
    assert_eq!(arrivals.steps[0].tags["url"].as_literal(), Some("/users/{}/orders/{}"));
    assert_eq!(arrivals.steps[0].tags["team"].as_literal(), Some("red"));
    let traced = |name: &str| graph.scenarios.iter().find(|s| s.name == name).unwrap().trace;
    assert_eq!((arrivals.trace.map(|trace| trace.sample.0), traced("vus")), (Some(10_000), None));
    let prometheus = graph.report.prometheus.as_ref().unwrap();
    assert_eq!((prometheus.every.as_secs(), prometheus.headers.len()), (10, 1));
    let strains = graph.health.strains;
    assert_eq!((strains.cpu.0, strains.run_queue.0, strains.throttled.0), (800_000, 200_000, 20_000));
    assert_eq!((strains.steal.0, strains.pressure.0), (10_000, 900_000));
    let parts: Vec<String> =
        graph.gates.iter().filter(|g| !g.over.is_load()).map(|g| g.condition()).collect();
    assert_eq!(parts, ["p(50) < 100ms in stage 3", "med < 1s in every 30s"]);
    let gate = |text: &str| graph.gates.iter().find(|g| g.text == text).unwrap_or_else(|| panic!("{text}"));
    let drops = &gate("p(95) < 500ms").drops;
    // order, one of two branches, next, three items, two letters, two k, pay
    assert_eq!(drops["arrivals"], 11_000_000);
    assert_eq!(drops["ramp"], 1_000_000);
    let users = |name: &String| {
        let of = graph.scenarios.iter().find(|scenario| scenario.name == *name);
        matches!(of.expect("a scenario").demand, Demand::Users { .. })
    };
    assert!(!drops.keys().any(users), "users loop, and nothing is due: {drops:?}");
    assert!(drops.len() > 2, "iterations that `max_duration` leaves over are dropped: {drops:?}");
    assert!(gate("avg < 1s").drops.is_empty(), "drops have no outcome");
    assert_eq!(gate("p(99.9) < 2s").min_samples, 10);
    assert_eq!(gate("p(95) < 500ms").min_samples, 59);
    assert_eq!(graph.gates.iter().filter(|g| g.text == "rate < 50%").count(), 2);
    let ids: Vec<u32> = {
        let mut ids = Vec::new();
        let json = serde_json::to_value(&graph).unwrap();
        collect_ids(&json, &mut ids);
        ids
    };
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..ids.len() as u32).collect::<Vec<_>>(), "dense from 0");
}

fn collect_ids(json: &serde_json::Value, out: &mut Vec<u32>) {
    match json {
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_ids(item, out)),
        serde_json::Value::Object(fields) => {
            if let (Some(id), true) =
                (fields.get("id").and_then(|id| id.as_u64()), fields.contains_key("tags"))
            {
                out.push(id as u32);
            }
            fields.values().for_each(|value| collect_ids(value, out));
        }
        _ => {}
    }
}

#[test]
fn a_fixture_file_alone_is_a_graph() {
    let compilation = planc::compile_fixture(&Disk, "tests/fixtures/agents.yaml", &Options::default());
    assert_eq!(show(&compilation), Vec::<String>::new());
    let graph = compilation.graph.unwrap();
    assert_eq!((graph.plan.as_str(), graph.fixtures.len(), graph.database), ("agents", 1, None));
    assert!(compilation.origins.contains_key("fixtures.agents.columns.os"));
}

/// Texts by path.
struct Texts<'a>(&'a [(&'a str, &'a str)]);

impl planc::Files for Texts<'_> {
    fn read(&self, path: &str) -> Result<String, String> {
        let found = self.0.iter().find(|(name, _)| *name == path);
        found.map(|(_, text)| text.to_string()).ok_or("no such file".into())
    }
}

const ORDERS: &str = "fixture: orders\ntable: orders\nrows: 20\nidentity: id\ncolumns:\n  id: \"o-{{ n }}\"\n  \
    customer: { fixture: customers, column: id }\n";
const CUSTOMERS: &str = "fixture: customers\ntable: customers\nrows: \"{{ inputs.customers }}\"\nidentity: id\n\
    columns:\n  id: \"c-{{ n }}\"\n  token: \"{{ inputs.pepper }}\"\n";

fn together(texts: &[(&str, &str)], set: &[(&str, &str)]) -> Compilation {
    let paths: Vec<String> = texts.iter().map(|(path, _)| path.to_string()).collect();
    let secrets = ["pepper".to_string()].into();
    planc::compile_fixtures(&Texts(texts), &paths, &secrets, &options(set, &[], None))
}

#[test]
fn fixture_files_together_know_each_other_parents_first() {
    let set = [("customers", "5"), ("pepper", "hidden-value")];
    let compilation = together(&[("a/orders.yaml", ORDERS), ("b/customers.yaml", CUSTOMERS)], &set);
    assert_eq!(show(&compilation), Vec::<String>::new());
    let graph = compilation.graph.unwrap();
    let order: Vec<(&str, u64)> = graph.fixtures.iter().map(|f| (f.name.as_str(), f.rows)).collect();
    assert_eq!(order, [("customers", 5), ("orders", 20)]);
    let text = serde_json::to_string(&graph).unwrap();
    assert!(!text.contains("hidden-value"), "{text}");
    assert!(graph.open_inputs["pepper"].secret);
}

#[test]
fn what_is_wrong_between_fixture_files_is_told_once() {
    let twice = together(&[("a.yaml", ORDERS), ("b.yaml", ORDERS), ("c.yaml", "fixture: [")], &[]);
    let told = show(&twice);
    assert!(told.iter().any(|told| told == "P0213 two fixtures are named `orders`"), "{told:?}");
    assert!(told.iter().any(|told| told.starts_with("P00")), "{told:?}");
    assert!(twice.graph.is_none());
    let unset = together(&[("customers.yaml", CUSTOMERS)], &[("pepper", "p")]);
    let told = show(&unset);
    assert!(told.iter().any(|told| told == "P0210 undefined input `customers`"), "{told:?}");
    assert!(together(&[("gone.yaml", ORDERS)][..0], &[]).graph.is_none());
}

#[test]
fn the_example_of_the_language_is_clean_in_every_profile() {
    let compilation = planc::check(&Disk, "tests/ui/agent-storm.yaml", &Options::default());
    assert_eq!(show(&compilation), Vec::<String>::new());
    for profile in ["default", "stress"] {
        let options = options(&[], &[], Some(profile));
        assert!(planc::compile(&Disk, "tests/ui/agent-storm.yaml", &options).graph.is_some(), "{profile}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Whatever is cut, moved or put into a plan: it is told, and nothing panics.
    #[test]
    fn no_mutation_panics(
        cuts in proptest::collection::vec((0usize..12_000, 0usize..30, "[-a-z0-9{}\\[\\]:#\"'%$./ \n~é<>=]{0,6}"), 1..6),
    ) {
        let mut text = EVERYTHING.to_string();
        for (at, length, put) in cuts {
            let floor = |mut at: usize| { while !text.is_char_boundary(at) { at -= 1; } at };
            let start = floor(at.min(text.len()));
            let end = floor((start + length).min(text.len())).max(start);
            text.replace_range(start..end, &put);
        }
        let compilation = planc::check(&Text(&text), "plan.yaml", &Options::default());
        for (_, file) in compilation.sources.files() {
            prop_assert!(compilation.diagnostics.iter().all(|d| d.primary.span.start <= d.primary.span.end
                && d.primary.span.end as usize <= compilation.sources.file(d.primary.span.file).text.len()), "{}", file.name);
        }
        prop_assert_eq!(compilation.graph.is_none(), compilation.diagnostics.has_errors());
    }

    /// A line that is missing is told, or its absence has a meaning: never a panic.
    #[test]
    fn no_missing_lines_panic(gone in proptest::collection::vec(0usize..260, 1..5)) {
        let text: String = EVERYTHING.lines().enumerate()
            .filter(|(at, _)| !gone.contains(at)).map(|(_, line)| format!("{line}\n")).collect();
        let compilation = planc::check(&Text(&text), "plan.yaml", &Options::default());
        prop_assert_eq!(compilation.graph.is_none(), compilation.diagnostics.has_errors());
    }
}

/// What the compiler takes, the editor's schema takes too.
#[test]
fn the_schema_accepts_everything() {
    let validator = jsonschema::validator_for(&planc::schema::plan()).expect("a schema");
    for text in [EVERYTHING, SMALL, include_str!("ui/agent-storm.yaml")] {
        let json = support::as_json(text);
        let errors: Vec<String> =
            validator.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{}", errors.join("\n"));
    }
}
