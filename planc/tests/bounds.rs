//! Plans that are large beyond reason: they are told so, and nothing is made of them.

mod support;

use support::check;

/// A step with three tags of so many values each.
fn tagged(values: usize, selector: &str) -> String {
    let values = (0..values).map(|i| format!("v{i}")).collect::<Vec<_>>().join(", ");
    let tags: String = ["a", "b", "c"]
        .iter()
        .map(|tag| format!("          {tag}: {{ value: \"{{{{ iteration }}}}\", values: [{values}] }}\n"))
        .collect();
    format!(
        "plan: x\ntarget: {{ url: \"http://127.0.0.1:1\" }}\nscenarios:\n  one:\n    executor: constant-vus\n    \
         vus: 1\n    duration: 5m\n    steps:\n      - get: /\n        tags:\n{tags}        \
         expect: {{ status: 200 }}\nthresholds:\n  {selector}: [\"rate < 1%\"]\n"
    )
}

#[test]
fn wildcards_are_not_multiplied_without_end() {
    let told = check(&tagged(200, "http_req_failed{a:*,b:*,c:*}"));
    assert!(told.contains("P0002 `*` stands for more than 10000 combinations of values"), "{told}");
    assert!(!check(&tagged(20, "http_req_failed{a:*,b:*}")).contains("P0002"));
}
