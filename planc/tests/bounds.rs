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

/// A plan of one scenario that repeats its request a million times, so many times over.
fn repeated(depth: usize) -> String {
    let mut steps = "{ get: /, expect: { status: 200 } }".to_string();
    for _ in 0..depth {
        steps = format!("{{ repeat: 1000000, steps: [{steps}] }}");
    }
    format!(
        "plan: x\ntarget: {{ url: \"http://127.0.0.1:1\" }}\nscenarios:\n  one:\n    executor: \
         per-vu-iterations\n    vus: 1\n    iterations: 1\n    steps: [{steps}]\nthresholds:\n  \
         http_req_failed: [\"rate < 1%\"]\n"
    )
}

#[test]
fn requests_beyond_counting_are_an_error() {
    for depth in [3, 20] {
        let told = check(&repeated(depth));
        assert!(told.contains("`one` makes more requests than can be counted"), "{told}");
    }
    assert!(!check(&repeated(2)).contains("counted"));
    let many = repeated(0).replace("    iterations: 1\n", "    iterations: 1000000000000000\n");
    assert!(check(&many).contains("than can be counted"));
}

#[test]
fn a_file_that_is_too_large_is_told_so_and_not_kept() {
    let text = format!("plan: x\n{}", "# comment\n".repeat(600_000));
    let done = planc::check(&support::Text(&text), "plan.yaml", &support::options());
    let told: Vec<&str> = done.diagnostics.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(told, ["the file is larger than 4 MiB"]);
    assert!(done.sources.files().all(|(_, file)| file.text.is_empty()));
}

#[test]
fn a_line_beyond_reading_is_named_and_not_drawn() {
    // Each of the mistakes would draw the whole line.
    let line = (0..3000).map(|i| format!("k{i}: {{ a: 1, a: 2 }}")).collect::<Vec<_>>().join(", ");
    let compilation =
        planc::check(&support::Text(&format!("x: {{ {line} }}\n")), "plan.yaml", &planc::Options::default());
    let findings = planc::render::Findings::of("plan.yaml", compilation);
    let told = (planc::render::FORMATS[0].render)(&findings, planc::render::View::default());
    assert!(told.contains("error[P0003]: the key `a` is there already\n--> plan.yaml:1:18\n"), "{told}");
    assert!(told.len() < 100_000, "{}", told.len());
}

#[test]
fn a_name_that_is_nowhere_is_told_a_few_times_in_one_text() {
    let plan =
        tagged(1, "http_req_failed").replace("get: /", &format!("get: \"/{}\"", "{{ nope }}".repeat(1000)));
    let told = check(&plan).lines().filter(|line| line.contains("`nope`")).count();
    assert_eq!(told, 20);
}
