//! An OpenAPI file as the catalogue of endpoints, and as what a plan is written from.

#![allow(clippy::disallowed_methods)] // Tests read files.

mod support;

use planc::graph::{ExecutionGraph, StepKind};
use planc::{Compilation, Files, Options};
use std::collections::BTreeMap;
use support::told;

const YAML: &str = include_str!("data/shop.openapi.yaml");
const JSON: &str = include_str!("data/shop.openapi.json");

/// Texts by name.
struct Texts(BTreeMap<&'static str, String>);

impl Files for Texts {
    fn read(&self, path: &str) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".into())
    }
}

fn plan(endpoints: &str, steps: &str) -> String {
    format!(
        "plan: p\ntarget: {{ url: \"http://127.0.0.1:1\" }}\ninputs:\n  key: {{ type: secret, env: KEY }}\n\
         tokens:\n  reader: {{ value: \"{{{{ inputs.key }}}}\", scopes: [orders.read] }}\n\
         endpoints:\n  from: api.yaml\n{endpoints}\nscenarios:\n  s:\n    executor: constant-arrival-rate\n    \
         rate: 10/s\n    duration: 10m\n    pre_allocated_vus: 5\n    max_vus: 600\n    steps:\n{steps}\nthresholds:\n  \
         http_req_failed: [\"rate < 1%\"]\n  http_req_duration: [\"p(95) < 500ms\"]\n"
    )
}

fn compiled(api: &str, endpoints: &str, steps: &str) -> Compilation {
    let texts = BTreeMap::from([("plan.yaml", plan(endpoints, steps)), ("api.yaml", api.to_string())]);
    planc::check(&Texts(texts), "plan.yaml", &Options::default())
}

fn findings(compilation: &Compilation) -> Vec<String> {
    told(compilation).iter().map(|t| format!("{}:{} {} {}", t.file, t.line, t.code, t.message)).collect()
}

fn requests(graph: &ExecutionGraph) -> Vec<String> {
    let steps = graph.scenarios[0].steps.iter();
    steps
        .filter_map(|step| match &step.kind {
            StepKind::Http(http) => {
                let url = http.request.url.as_literal().unwrap_or("…");
                Some(format!("{} {url} as {}", http.request.method, http.endpoint.as_deref()?))
            }
            _ => None,
        })
        .collect()
}

const GET: &str = "      - { call: listOrders, token: reader, expect: { status: 200 } }";

#[test]
fn operations_are_endpoints_under_the_servers_path() {
    let steps = format!(
        "{GET}\n      - {{ call: getOrder, path: {{ id: o-1 }}, expect: {{ status: 200 }} }}\n      \
         - {{ call: GET /health, expect: {{ status: 200 }} }}"
    );
    let done = compiled(YAML, "  listOrders: { limit: 100/s }", &steps);
    assert_eq!(findings(&done), Vec::<String>::new());
    let wanted = [
        "GET /api/v1/orders as listOrders",
        "GET /api/v1/orders/o-1 as getOrder",
        "GET /api/v1/health as GET /health",
    ];
    assert_eq!(requests(&done.graph.expect("a graph")), wanted);
}

#[test]
fn base_takes_the_place_of_the_servers_path_and_own_entries_that_of_the_files() {
    let endpoints = "  base: /v2/\n  listOrders: { limit: 100/s }\n  getOrder: { get: /mine }";
    let steps = format!("{GET}\n      - {{ call: getOrder, expect: {{ status: 200 }} }}");
    let done = compiled(YAML, endpoints, &steps);
    assert_eq!(findings(&done), Vec::<String>::new());
    assert_eq!(
        requests(&done.graph.expect("a graph")),
        ["GET /v2/orders as listOrders", "GET /mine as getOrder"]
    );
}

#[test]
fn json_is_read_with_its_tabs_and_escapes() {
    let done = compiled(JSON, "", GET);
    assert_eq!(findings(&done), Vec::<String>::new());
    assert_eq!(requests(&done.graph.expect("a graph")), ["GET /api/v1/orders as listOrders"]);
}

#[test]
fn scopes_and_limits_of_the_file_are_held_against_the_plan() {
    let steps = format!(
        "{GET}\n      - {{ call: createOrder, token: reader, json: {{}}, expect: {{ status: 201 }} }}"
    );
    let found = findings(&compiled(YAML, "", &steps)).join("\n");
    for wanted in [
        // Of two ways to be let in, both ask for this one and only one for the other.
        "`createOrder` asks for `orders.write`, which token `reader` lacks",
        "600/m",
    ] {
        assert!(found.contains(wanted), "lacks {wanted}:\n{found}");
    }
    assert!(!found.contains("orders.read"), "{found}");
}

#[test]
fn what_is_wrong_in_the_file_is_told_there() {
    for (from, to, wanted) in [
        ("openapi: 3.1.0", "swagger: \"2.0\"", "api.yaml:1 P0103 Swagger \"2.0\" is not read"),
        ("openapi: 3.1.0\n", "", "P0103 this is no OpenAPI file: it has no `openapi: 3…`"),
        (
            "operationId: getOrder",
            "operationId: listOrders",
            "P0213 `listOrders` is the `operationId` of two",
        ),
        ("#/components/pathItems/OneOrder", "other.yaml#/x", "P0211 `other.yaml#/x` is not within this file"),
        (
            "#/components/pathItems/OneOrder",
            "#/components/pathItems/Two",
            "P0211 nothing is at `#/components/pathItems/Two`",
        ),
        (
            "#/components/pathItems/OneOrder",
            "#/paths/~1orders~1{id}",
            "P0211 this reference leads back to itself",
        ),
        ("x-rate-limit: 100/m", "x-rate-limit: often", "P0104 this limit cannot be read"),
        ("{ region: { default: eu } }", "{}", ""),
        (
            ".com/api/v1",
            ".com/{version}",
            "P0104 the path of the server `https://eu.shop.example.com/{version}` cannot",
        ),
    ] {
        let text = YAML.replacen(from, to, 1);
        assert_ne!(text, YAML, "{from}");
        let found = findings(&compiled(&text, "  listOrders: { limit: 100/s }", GET));
        match wanted {
            "" => assert_eq!(found, Vec::<String>::new()),
            wanted => assert!(found.iter().any(|told| told.contains(wanted)), "{wanted}: {found:#?}"),
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_mistake() {
    let texts = BTreeMap::from([("plan.yaml", plan("", GET))]);
    let done = planc::check(&Texts(texts), "plan.yaml", &Options::default());
    assert_eq!(findings(&done), ["plan.yaml:8 P0107 cannot read `api.yaml`: no such file"]);
}

#[test]
fn a_plan_is_written_that_checks_clean() {
    for (text, steps) in [(YAML, 3), (JSON, 2)] {
        let texts = Texts(BTreeMap::from([("api.yaml", text.to_string())]));
        let imported = planc::import::openapi(&texts, "api.yaml", "api.yaml");
        let written = imported.plan.expect("a plan");
        let texts = BTreeMap::from([("plan.yaml", written.clone()), ("api.yaml", text.to_string())]);
        let done = planc::check(&Texts(texts), "plan.yaml", &Options::default());
        let found: Vec<String> = findings(&done).into_iter().filter(|told| !told.contains("limit")).collect();
        assert_eq!(found, Vec::<String>::new(), "{written}");
        assert_eq!(requests(&done.graph.expect("a graph")).len(), steps, "{written}");
        assert_eq!(planc::fmt::format("plan.yaml", &written).expect("formats"), written);
    }
}

#[test]
fn what_is_written() {
    let texts = Texts(BTreeMap::from([("api.yaml", YAML.to_string())]));
    let imported = planc::import::openapi(&texts, "api.yaml", "../api.yaml");
    insta::assert_snapshot!(imported.plan.expect("a plan"));
}
