//! What changes mean: plans before and after, and what is told of them.

mod support;

use planc::diff::{Change, Effect, Report, Revision};
use planc::{Options, diff};
use support::Text;

fn report(old: &str, new: &str) -> Report {
    let (old_text, new_text) = (Text(old), Text(new));
    let old = Revision { name: "old", path: "plan.yaml", files: &old_text };
    let new = Revision { name: "new", path: "plan.yaml", files: &new_text };
    let report = diff::plans(Some(&old), &new, &Options::default());
    report.unwrap_or_else(|why| panic!("the old side: {:?}", why.diagnostics.iter().collect::<Vec<_>>()))
}

fn line(change: &Change) -> String {
    let sign = match change.effect {
        Effect::Weakens => change.code.map_or("", |code| code.name),
        Effect::Strengthens => "+",
        Effect::Neutral => "~",
    };
    let profiles = match change.profiles.as_slice() {
        [] => String::new(),
        names => format!(" [{}]", names.join(", ")),
    };
    format!("{sign} {}: {}{profiles}", change.subject, change.message)
}

fn told(old: &str, new: &str) -> Vec<String> {
    let report = report(old, new);
    let errors: Vec<&str> = report
        .diagnostics
        .iter()
        .filter(|d| d.level.as_str() == "error")
        .map(|d| d.message.as_str())
        .collect();
    assert!(errors.is_empty(), "{errors:?}\n{new}");
    report.changes.iter().map(line).collect()
}

#[test]
fn pages_show_exactly_their_code() {
    let mut problems = Vec::new();
    for page in planc::pages().iter().filter(|page| ("P0500".."P0600").contains(&page.code)) {
        let examples: Vec<&str> =
            page.text.split("```yaml\n").skip(1).map(|e| e.split("```").next().unwrap_or("")).collect();
        let [before, after] = examples.as_slice() else {
            panic!("{} needs a before and an after", page.name)
        };
        let report = report(before, after);
        let codes: Vec<&str> = report.changes.iter().filter_map(|change| change.code).map(|c| c.id).collect();
        if codes.is_empty() || codes.iter().any(|code| *code != page.code) || report.diagnostics.has_errors()
        {
            problems.push(format!(
                "{}: {codes:?} {:#?}",
                page.name,
                report.diagnostics.iter().collect::<Vec<_>>()
            ));
        }
        for side in [before, after] {
            let same = told(side, side);
            if !same.is_empty() {
                problems.push(format!("{}: compared with itself: {same:?}", page.name));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

const PLAN: &str = include_str!("diff/plan.yaml");

/// `PLAN` with some texts replaced.
fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(PLAN.to_string(), |plan, (from, to)| {
        assert!(plan.contains(from), "no `{from}` in the plan");
        plan.replace(from, to)
    })
}

/// Cases as text: a line `- from` and a line `+ to` for each edit, then what is told.
#[test]
fn edits_and_what_is_told_of_them() {
    let mut problems = Vec::new();
    for case in include_str!("diff/edits.txt").split("\n\n").filter(|case| !case.trim().is_empty()) {
        let (mut edits, mut wanted, mut from) = (Vec::new(), Vec::new(), None);
        for line in case.lines().filter(|line| !line.starts_with('#')) {
            match (line.strip_prefix("- "), line.strip_prefix("+ "), line.strip_prefix("= ")) {
                (Some(text), ..) => {
                    edits.extend(from.replace(text.replace("\\n", "\n")).map(|from| (from, String::new())));
                }
                (_, Some(text), _) => edits.push((from.take().expect("a from"), text.replace("\\n", "\n"))),
                (.., Some(text)) => wanted.push(text.to_string()),
                _ => panic!("what is `{line}`?"),
            }
        }
        if let Some(from) = from {
            edits.push((from, String::new()));
        }
        if edits.is_empty() {
            continue;
        }
        let edits: Vec<(&str, &str)> = edits.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let found = told(PLAN, &edited(&edits));
        if found != wanted {
            problems.push(format!("{edits:?}\n  {}", found.join("\n  ")));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn order_and_looks_mean_nothing() {
    let blocks: Vec<String> = PLAN.split_inclusive('\n').fold(Vec::new(), |mut blocks, line| {
        match blocks.last_mut() {
            Some(last) if line.starts_with(' ') => String::push_str(last, line),
            _ => blocks.push(line.to_string()),
        }
        blocks
    });
    let turned: String = blocks.iter().rev().map(|block| format!("# moved\n{block}")).collect();
    let turned = turned.replace("duration: 5m", "duration: 300s").replace("p(95) < 300ms", "p95<0.3s");
    assert_ne!(turned, PLAN);
    assert_eq!(told(PLAN, &turned), [""; 0]);
    assert_eq!(told(PLAN, &edited(&[("about: Shoppers", "about: People")])), [""; 0]);
}

#[test]
fn a_new_plan_is_an_addition() {
    let text = Text(PLAN);
    let new = Revision { name: "new", path: "plan.yaml", files: &text };
    let report = diff::plans(None, &new, &Options::default()).expect("compared");
    assert!(!report.weakened());
    let lines: Vec<String> = report.changes.iter().map(line).collect();
    assert!(lines.contains(&"+ scenario `shop`: is new".to_string()), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("+ gate `http_req_failed`")), "{lines:?}");
}

#[test]
fn a_new_side_that_does_not_compile_is_weaker_and_an_old_one_is_no_base() {
    let broken = PLAN.replace("p(95) < 300ms", "p(95) < 300 parsecs");
    let report = report(PLAN, &broken);
    assert!(report.weakened() && report.changes.is_empty());
    let (old_text, new_text) = (Text(&broken), Text(PLAN));
    let old = Revision { name: "old", path: "plan.yaml", files: &old_text };
    let new = Revision { name: "new", path: "plan.yaml", files: &new_text };
    let why = diff::plans(Some(&old), &new, &Options::default()).expect_err("no base");
    assert!(why.diagnostics.has_errors());
}

#[test]
fn what_the_old_side_allowed_has_not_expired() {
    let allowed = edited(&[(
        "name: products,",
        "name: products, allow: [{ lint: unchecked-step, reason: static, until: 2026-01-31 }],",
    )])
    .replace(" expect: { status: 200 } } # products", " }");
    let mended = allowed.replace("2026-01-31", "2027-01-31");
    let (old_text, new_text) = (Text(&allowed), Text(&mended));
    let old = Revision { name: "old", path: "plan.yaml", files: &old_text };
    let new = Revision { name: "new", path: "plan.yaml", files: &new_text };
    let options = Options { today: "2026-06-01".parse().ok(), ..Options::default() };
    let report = diff::plans(Some(&old), &new, &options).expect("a base");
    let lines: Vec<String> = report.changes.iter().map(line).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with("is allowed until 2027-01-31, it was until 2026-01-31"), "{lines:?}");
}

/// The same texts with an input that the environment sets, and what is told of it. The value is the same.
#[test]
fn what_the_environment_may_set_is_told() {
    let cases = [
        ("$.env: test", "$.env: \"{{ inputs.it }}\"", "type: string, default: test", "guard-weakened"),
        (
            "database: \"*_test\"",
            "database: \"{{ inputs.it }}\"",
            "type: string, default: \"*_test\"",
            "guard-weakened",
        ),
        ("at_most: 100 }", "at_most: \"{{ inputs.it }}\" }", "type: integer, default: 100", "guard-weakened"),
        ("at_least: 60", "at_least: \"{{ inputs.it }}\"", "type: integer, default: 60", "guard-weakened"),
        ("p(95) < 300ms", "p(95) < {{ inputs.it }}", "type: duration, default: 300ms", "gate-loosened"),
        ("rate < 1%", "rate < {{ inputs.it }}", "type: share, default: 1%", "gate-loosened"),
        ("rows: 5000", "rows: \"{{ inputs.it }}\"", "type: integer, default: 5000", "seed-reduced"),
        ("vus: 5\n", "vus: \"{{ inputs.it }}\"\n", "type: integer, default: 5", "load-reduced"),
        ("max_vus: 1000", "max_vus: \"{{ inputs.it }}\"", "type: integer, default: 1000", "pool-reduced"),
        (
            "duration: 5m\n    pre",
            "duration: \"{{ inputs.it }}\"\n    pre",
            "type: duration, default: 5m",
            "duration-cut",
        ),
        ("pause: 1s", "pause: \"{{ inputs.it }}\"", "type: duration, default: 1s", "load-reduced"),
        (
            "timeout: 5s",
            "timeout: \"{{ inputs.it }}\"",
            "type: duration, default: 5s",
            "expectation-weakened",
        ),
        ("limit: 500/s", "limit: \"{{ inputs.it }}\"", "type: rate, default: 500/s", "limit-raised"),
    ];
    let mut problems = Vec::new();
    for (from, to, input, code) in cases {
        let declared = |plan: &str, more: &str| {
            plan.replace("inputs:\n", &format!("inputs:\n  it: {{ {input}{more} }}\n"))
        };
        let (fixed, open) = (edited(&[(from, to)]), edited(&[(from, to)]));
        let (fixed, open) = (declared(&fixed, ""), declared(&open, ", env: SHOP_IT"));
        for old in [PLAN, fixed.as_str()] {
            let lines = told(old, &open);
            let fine = matches!(lines.as_slice(), [line] if line.starts_with(code)
                && line.contains("{{ inputs.it }}`, which `SHOP_IT` sets"));
            if !fine {
                problems.push(format!("{to}: {lines:#?}"));
            }
        }
        for (old, new) in [(PLAN, fixed.as_str()), (open.as_str(), fixed.as_str()), (&open, &open)] {
            let weaker: Vec<String> =
                told(old, new).into_iter().filter(|line| !line.starts_with(['+', '~'])).collect();
            if !weaker.is_empty() {
                problems.push(format!("{to}, not weaker: {weaker:#?}"));
            }
        }
        let renamed = open.replace("SHOP_IT", "OTHER_IT");
        let lines = told(&open, &renamed);
        if !matches!(lines.as_slice(), [line] if line.starts_with('~') && line.ends_with("`OTHER_IT` sets; `SHOP_IT` did"))
        {
            problems.push(format!("{to}, renamed: {lines:#?}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_late_guard_is_told_once() {
    let late = |more: &str| {
        edited(&[
            ("$.env: test", "$.env: \"{{ inputs.it }}\""),
            ("inputs:\n", &format!("inputs:\n  it: {{ type: string, default: test{more} }}\n")),
        ])
    };
    let lines = told(PLAN, &late(", late: true"));
    let weaker = lines.iter().filter(|line| line.starts_with("guard-weakened")).count();
    assert_eq!(
        (weaker, lines.len()),
        (1, if lines.iter().any(|l| l.starts_with("~ inputs")) { 2 } else { 1 }),
        "{lines:#?}"
    );
    assert_eq!(told(PLAN, &late(", env: IT, one_of: [test]")), [""; 0]);
}

const SESSION: &str = r#"
plan: live
target: { url: "http://127.0.0.1:8080" }
scenarios:
  live:
    executor: constant-vus
    vus: 20
    duration: 5m
    steps:
      - websocket: /ws
        name: live
        timeout: 2s
        steps:
          - receive: { json: { $.type: welcome } }
            within: 1s
          - pause: 1s
          - ping: { within: 1s }
thresholds:
  ws_connecting: ["p(95) < 500ms"]
  ws_receive_duration: ["p(95) < 500ms"]
  ws_ping: ["p(95) < 500ms"]
  ws_failed: ["rate < 1%"]
"#;

#[test]
fn what_is_waited_for_in_a_session_is_compared() {
    let edits: [(&str, &str, &[&str]); 7] = [
        ("", "", &[]),
        (
            "{ $.type: welcome } }\n            within: 1s",
            "{ $.type: welcome } }\n            within: 2s",
            &[
                "expectation-weakened scenario `live`, step `live: receive json $.type equals welcome`: it may take 2s instead of 1s",
            ],
        ),
        (
            "ping: { within: 1s }",
            "ping: {}",
            &[
                "expectation-weakened scenario `live`, step `live: ping`: it may take as long as the handshake instead of 1s",
            ],
        ),
        (
            "$.type: welcome",
            "$.type: present",
            &[
                "expectation-weakened scenario `live`, step `live: receive json $.type present`: `json $.type equals welcome` is now `json $.type present`",
            ],
        ),
        (
            "timeout: 2s",
            "timeout: 3s",
            &["expectation-weakened scenario `live`, step `live`: an answer may take 3s instead of 2s"],
        ),
        (
            "          - ping: { within: 1s }\n",
            "          - send: ping\n",
            &["step-removed scenario `live`: step `live: ping` is gone"],
        ),
        (
            "        name: live\n",
            "        name: live\n        expect: { status: 2xx }\n",
            &["~ scenario `live`, step `live`: `status is 101` is now `status is 2xx`"],
        ),
    ];
    let mut problems = Vec::new();
    for (from, to, wanted) in edits {
        assert!(SESSION.contains(from), "{from}");
        let mut new = SESSION.replacen(from, to, usize::from(!from.is_empty()));
        if to.contains("send: ping") {
            new = new.replace("  ws_ping: [\"p(95) < 500ms\"]\n", "");
        }
        let found = told(SESSION, &new);
        if !wanted.iter().all(|line| found.iter().any(|f| f == line)) || found.is_empty() != wanted.is_empty()
        {
            problems.push(format!("{to}\n  {}", found.join("\n  ")));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
