//! Thresholds over a graph without its plan mean what they mean in the plan, errors included.

mod support;

use planc::graph::ExecutionGraph;
use planc::{compile, move_gates, with_gates};
use support::{Text, options};

const PLAN: &str = r#"
plan: shop
target: { url: http://127.0.0.1:1, allow_hosts: [127.0.0.1] }
inputs:
  bound: { type: duration, default: 300ms }
endpoints:
  browse: { get: /browse }
  order: { post: /orders }
metrics:
  sold: counter
scenarios:
  storm:
    executor: constant-arrival-rate
    rate: 100/s
    duration: 60s
    pre_allocated_vus: 10
    max_vus: 100
    steps:
      - call: browse
      - call: order
        json: {}
        tags: { kind: { value: "k-{{ vu }}", values: [k-1, k-2] } }
        record: { sold: 1 }
  people:
    executor: constant-vus
    vus: 5
    duration: 60s
    steps:
      - call: browse
      - choose:
          - weight: 1
            steps: [{ call: order, json: {} }]
          - weight: 3
            steps: [{ pause: 1s }]
thresholds:
  THRESHOLD
"#;

/// What a plan with this threshold, or a graph with it as another, gives: gates, or what is wrong with its help.
fn of_plan(threshold: &str) -> Result<ExecutionGraph, Vec<String>> {
    let text = PLAN.replace("THRESHOLD", threshold);
    shown(compile(&Text(&text), "plan.yaml", &options()))
}

fn shown(done: planc::Compilation) -> Result<ExecutionGraph, Vec<String>> {
    let errors = done.diagnostics.clone().into_sorted().into_iter();
    let errors = errors.filter(|d| d.level == planc::diagnostic::Level::Error);
    let told = errors.map(|d| format!("{} {} | {}", d.code.id, d.message, d.help.unwrap_or_default()));
    done.graph.ok_or_else(|| told.collect())
}

fn recorded() -> ExecutionGraph {
    of_plan("http_req_duration: [max < 10s]").expect("a sound plan")
}

#[test]
fn a_threshold_gives_the_gates_that_it_gives_in_the_plan() {
    for (key, condition) in [
        ("http_req_duration{scenario:storm}", "p(95) < 300ms"),
        ("http_req_failed", "rate<0.01"),
        ("http_req_duration{endpoint:*}", "p99 < 20ms"),
        ("http_req_duration{scenario:*,endpoint:order}", "p(95) < 1s"),
        ("dropped_iterations", "count == 0"),
        ("sold{scenario:storm}", "count > 10"),
        ("checks{check:*}", "rate > 99%"),
        ("iteration_duration{scenario:people}", "med < 1s"),
        ("data_received", "count < 10MiB"),
    ] {
        let planned = of_plan(&format!("\"{key}\": [\"{condition}\"]")).expect(key);
        for text in [format!("{key} {condition}"), format!(" {key}: {condition} ")] {
            let given = shown(with_gates(&recorded(), std::slice::from_ref(&text))).expect(&text);
            assert_eq!(given.gates, planned.gates, "{text}");
            assert_eq!(given.health, planned.health, "{text}");
        }
        let moved = move_gates(&planned, &recorded()).expect(key);
        assert_eq!(moved.gates, planned.gates, "{key}");
        assert_eq!(moved.health, planned.health, "{key}");
    }
}

#[test]
fn mistakes_are_told_as_in_the_plan() {
    for (key, condition, part) in [
        ("http_req_durations", "p(95) < 1s", "did you mean `http_req_duration`?"),
        ("http_req_duration{scenario:strom}", "p(95) < 1s", "did you mean `storm`?"),
        ("http_req_duration{scenaro:storm}", "p(95) < 1s", "did you mean `scenario`?"),
        ("http_req_duration{endpoint:storm}", "p(95) < 1s", "did you mean `scenario:storm`?"),
        ("http_req_duration", "rate < 1%", "a trend has no `rate`"),
        ("http_req_duration", "p(95) 300ms", "is not a threshold"),
        ("http_req_duration{scenario:storm", "p(95) < 1s", "is never closed"),
        ("http_req_failed", "rate < 5", "at most 100%"),
        ("http_req_duration{status:*}", "p(95) < 1s", "needs to know"),
        ("group_duration", "p(95) < 1s", "nothing in this plan emits"),
    ] {
        let planned = of_plan(&format!("\"{key}\": [\"{condition}\"]")).expect_err(key);
        assert!(planned.concat().contains(part), "{key}: {planned:?}");
        let given = with_gates(&recorded(), &[format!("{key}: {condition}")]);
        let places: Vec<String> =
            given.diagnostics.iter().map(|d| given.sources.file(d.primary.span.file).name.clone()).collect();
        assert!(places.iter().all(|name| name == "--threshold"), "{key}: {places:?}");
        // What is never closed has no condition to read either.
        if !condition.is_empty() && !part.contains("closed") {
            assert_eq!(shown(given).expect_err(key), planned, "{key}");
        } else {
            assert!(shown(given).is_err(), "{key}");
        }
    }
    for text in
        ["", "  ", "http_req_duration", "http_req_duration{scenario:storm}:", "p(95) < 1s", "{", "}", "€"]
    {
        assert!(shown(with_gates(&recorded(), &[text.to_string()])).is_err(), "{text}");
    }
}

#[test]
fn every_mistake_is_told_in_one_go() {
    let texts = ["http_reqz count > 1", "http_req_failed rate < 1%", "checks{check:nothing} rate > 1%"];
    let given = shown(with_gates(&recorded(), &texts.map(str::to_string))).expect_err("mistakes");
    assert_eq!(given.len(), 2, "{given:?}");
}

/// Declared values are the text's alone, so any value is possible, and `*` has nothing to stand for.
#[test]
fn values_that_only_the_plan_declares_are_open() {
    let some = |text: &str| shown(with_gates(&recorded(), &[text.to_string()]));
    let gates = some("http_req_duration{kind:k-77} p(95) < 1s").expect("open").gates;
    assert_eq!(gates[0].selector["kind"], "k-77");
    some("http_req_duration{kind:other} p(95) < 1s").expect_err("not even the prefix");
    let told = some("http_req_duration{kind:*} p(95) < 1s").expect_err("open");
    assert!(told[0].contains("P0313"), "{told:?}");
    // Moved from the plan they are what they were there.
    let planned = of_plan("\"http_req_duration{kind:*}\": [p(95) < 1s]").expect("a plan");
    assert_eq!(move_gates(&planned, &recorded()).expect("moved").gates, planned.gates);
}

#[test]
fn step_numbers_are_those_of_the_graph_that_is_judged() {
    let planned =
        of_plan("\"http_req_duration{endpoint:order,scenario:storm}\": [p(95) < 1s]").expect("a plan");
    let text = PLAN.replace("THRESHOLD", "http_reqs: [count > 1]");
    // A pause before the rest moves every number.
    let text = text.replace(
        "    steps:\n      - call: browse\n",
        "    steps:\n      - pause: 1s\n      - call: browse\n",
    );
    let older = compile(&Text(&text), "plan.yaml", &options()).graph.expect("a sound plan");
    let moved = move_gates(&planned, &older).expect("moved");
    let name = |graph: &ExecutionGraph, gates: &ExecutionGraph| -> Vec<String> {
        let id = gates.gates[0].steps[0];
        let steps = graph.scenarios.iter().flat_map(|scenario| &scenario.steps);
        steps.filter(|step| step.id == id).map(|step| step.name.clone()).collect()
    };
    assert_ne!(moved.gates[0].steps, planned.gates[0].steps);
    assert_eq!(name(&older, &moved), name(&planned, &planned));
}

#[test]
fn graphs_of_different_loads_do_not_share_gates() {
    let other = |from: &str, to: &str| {
        let text = PLAN.replace("THRESHOLD", "http_req_failed: [rate < 1%]").replace(from, to);
        let done = compile(&Text(&text), "plan.yaml", &options());
        done.graph.expect("a sound plan")
    };
    let plan = other("", "");
    let why = |onto: &ExecutionGraph| move_gates(&plan, onto).expect_err("different").join("\n");
    let renamed = why(&other("  people:", "  crowd:"));
    assert_eq!(renamed, "it has no scenario `people`\nthe plan has no scenario `crowd` any more");
    let renamed = why(&other("browse", "look"));
    assert!(renamed.contains("it has no step `browse` in scenario `people`"), "{renamed}");
    assert!(renamed.contains("the plan has no step `look` in scenario `storm` any more"), "{renamed}");
    let planned = of_plan("\"sold\": [count > 1]").expect("a plan");
    let unsold = other("        record: { sold: 1 }\n", "");
    let why = move_gates(&planned, &unsold).expect_err("nothing emits it").join("\n");
    assert_eq!(why, "`sold count > 1` cannot be answered: nothing in this plan emits `sold`");
}

#[test]
fn step_numbers_that_are_no_plans_are_refused() {
    let mut graph = recorded();
    graph.scenarios[0].steps[0].id = planc::graph::StepId(u32::MAX);
    shown(with_gates(&graph, &["http_reqs count > 1".to_string()])).expect_err("too many steps");
}
