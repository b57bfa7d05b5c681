//! What an editor is answered: each case is a piece of the plan with the cursor `‸` in it and the answer beside.

mod support;

use planc::Files;
use planc::ide::Document;
use proptest::prelude::*;

const PLAN: &str = r#"plan: storm
inputs:
  rate: { type: rate, default: 100/s, about: heartbeats a second }
  key: { type: secret, env: KEY, default: hunter2, test_only: true }
profiles:
  stress: { rate: 400/s }
target: { url: "http://127.0.0.1:1", allow_hosts: [127.0.0.1] }
fixtures:
  agents: { from: fixtures/agents.yaml, rows: 500 }
tokens:
  fleet: { value: "{{ inputs.key }}", header: "Authorization: Bearer {{ token }}", scopes: [agents.write] }
endpoints:
  heartbeat: { post: "/agents/{id}/heartbeat", scopes: [agents.write] }
metrics:
  limited: rate
scenarios:
  beats:
    executor: constant-arrival-rate
    rate: "{{ inputs.rate }}"
    duration: 30s
    pre_allocated_vus: 50
    max_vus: 800
    draw: { agent: agents }
    steps:
      - call: heartbeat
        path: { id: "{{ agent.id | lower }}" }
        token: fleet
        tags: { phase: beat }
        capture: { next: { json: $.next } }
        record: { limited: { when: "response.status == 429" } }
      - pause: 1s
      - get: "/x/{{ next }}"
  after:
    executor: constant-vus
    vus: 2
    duration: 5s
    needs: beats
    steps: [get: /]
thresholds:
  http_req_duration{scenario:beats}: ["p(95) < 500ms"]
  http_req_failed: rate < 1%
  limited: ["rate < 5%"]
"#;

const FIXTURE: &str = r#"fixture: agents
table: agents
rows: 1000
identity: id
columns:
  id: "ag-{{ n | pad(5) }}"
  os: { weighted: { linux: 80, windows: 20 } }
  name: "host-{{ id }}"
"#;

/// A plan, as it stands, beside its fixture.
struct Open(String);

impl Files for Open {
    fn read(&self, path: &str) -> Result<String, String> {
        match path {
            "plan.yaml" => Ok(self.0.clone()),
            "fixtures/agents.yaml" => Ok(FIXTURE.to_string()),
            _ => Err("no such file".into()),
        }
    }
}

/// The plan with a piece of it in another wording, and where the cursor is.
fn typed(old: &str, new: &str) -> (Open, usize) {
    let from = PLAN.find(old).unwrap_or_else(|| panic!("`{old}` is not in the plan"));
    let cursor = new.find('‸').expect("a cursor");
    let text = [&PLAN[..from], &new.replace('‸', ""), &PLAN[from + old.len()..]].concat();
    (Open(text), from + cursor)
}

/// The plan, and where in it a piece with a cursor is.
fn at(piece: &str) -> (Open, usize) {
    typed(&piece.replace('‸', ""), piece)
}

fn hover((open, at): (Open, usize)) -> String {
    let document = Document::read(&open, "plan.yaml").expect("a document");
    document.hover(at).map_or("-".into(), |hover| hover.text)
}

/// `path:line text` of each place.
fn definition((open, at): (Open, usize)) -> String {
    let document = Document::read(&open, "plan.yaml").expect("a document");
    let places = document.definition(at).into_iter().map(|place| show(&open, &place));
    places.collect::<Vec<_>>().join("; ")
}

fn show(open: &Open, place: &planc::ide::Place) -> String {
    let text = open.read(&place.path).expect("a file");
    let line = text[..place.range.start].matches('\n').count() + 1;
    format!("{}:{line} {}", place.path, &text[place.range.clone()])
}

/// The labels, in order.
fn complete((open, at): (Open, usize)) -> String {
    let document = Document::read(&open, "plan.yaml").expect("a document");
    let found = document.complete(at).into_iter().map(|completion| completion.label);
    found.collect::<Vec<_>>().join(" ")
}

/// The plan's text around a proposal once it is taken.
fn taken((open, at): (Open, usize), label: &str) -> String {
    let document = Document::read(&open, "plan.yaml").expect("a document");
    let found = document.complete(at).into_iter().find(|completion| completion.label == label);
    let found = found.unwrap_or_else(|| panic!("`{label}` is not proposed"));
    let mut text = open.0.clone();
    text.replace_range(found.replace.clone(), &found.insert);
    let line = text[..found.replace.start].rfind('\n').map_or(0, |at| at + 1);
    text[line..].lines().next().unwrap_or("").trim_start().to_string()
}

#[test]
fn names_lead_to_where_they_are_given() {
    for (piece, place) in [
        ("rate: \"{{ inputs.ra‸te }}\"", "plan.yaml:3 rate"),
        ("stress: { ra‸te: 400/s }", "plan.yaml:3 rate"),
        ("call: hea‸rtbeat", "plan.yaml:13 heartbeat"),
        ("token: fle‸et", "plan.yaml:11 fleet"),
        ("{ agent: ag‸ents }", "plan.yaml:9 agents"),
        ("  agen‸ts: { from", "fixtures/agents.yaml:1 fixture"),
        ("from: fixtures/ag‸ents.yaml", "fixtures/agents.yaml:1 "),
        ("{{ ag‸ent.id", "plan.yaml:23 agent"),
        ("{{ agent.i‸d", "fixtures/agents.yaml:6 id"),
        ("/x/{{ ne‸xt }}", "plan.yaml:29 next"),
        ("needs: be‸ats", "plan.yaml:17 beats"),
        ("{scenario:bea‸ts}", "plan.yaml:17 beats"),
        ("record: { lim‸ited", "plan.yaml:15 limited"),
        ("  lim‸ited: [\"rate", "plan.yaml:15 limited"),
        ("heartbeat\", scopes: [agents‸.write]", "plan.yaml:11 agents.write"),
        ("value: \"{{ inputs.ke‸y }}", "plan.yaml:4 key"),
        ("dura‸tion: 30s", ""),
        ("http_req_fa‸iled", ""),
    ] {
        assert_eq!(definition(at(piece)), place, "{piece}");
    }
}

#[test]
fn references_are_all_places_of_a_name() {
    let (open, at) = at("  ra‸te: { type");
    let document = Document::read(&open, "plan.yaml").expect("a document");
    let places: Vec<String> = document.references(at, false).iter().map(|place| show(&open, place)).collect();
    assert_eq!(places, ["plan.yaml:6 rate", "plan.yaml:19 rate"]);
    assert_eq!(document.references(at, true).len(), 3);
}

#[test]
fn hover_tells_what_a_thing_is() {
    for (piece, text) in [
        ("executor: constant-arr‸ival-rate", "Iterations start at a fixed rate"),
        ("executor: constant-arr‸ival-rate", "- needs `rate`, `duration`, `pre_allocated_vus`"),
        ("    max_‸vus: 800", "an arrival that finds none free is dropped"),
        ("    max_‸vus: 800", "Taken by `constant-arrival-rate`, `ramping-arrival-rate` and `find-max`"),
        (
            "inputs.ra‸te }}",
            "input **`rate`**\n\nheartbeats a second\n- type: rate\n- default: `100/s`\n- in profile stress: `400/s`",
        ),
        ("inputs.ke‸y }}", "- type: secret\n- default: •••\n- from the environment: `KEY`"),
        ("{ agent: ag‸ents }", "500 rows into table agents by id (refresh)"),
        ("{ agent: ag‸ents }", "| `os` | `{ weighted: { linux: 80, windows: 20 } }` |"),
        ("{{ agent.i‸d", "column **`id`**\n\n`ag-{{ n \\| pad(5) }}`"),
        ("{{ ag‸ent.id", "One row of the fixture `agents` an iteration, round_robin."),
        ("{{ ne‸xt }}", "Captured from the answer: `{ json: $.next }`"),
        ("id | lo‸wer", "Lower case"),
        ("token: fle‸et", "scopes agents.write"),
        ("token: fle‸et", "- sent by 1 step"),
        (
            "heartbeat\", scopes: [agents‸.write]",
            "- tokens with it: `fleet`\n- endpoints that need it: `heartbeat`",
        ),
        ("call: hea‸rtbeat", "`POST /agents/{id}/heartbeat`"),
        ("  be‸ats:\n", "100/s in 30s"),
        ("  be‸ats:\n", "stress: 400/s in 30s"),
        ("  aft‸er:\n", "2 VUs in 5s"),
        ("  lim‸ited: rate", "a rate of the plan's own"),
    ] {
        let found = hover(at(piece));
        assert!(found.contains(text), "{piece}\nwanted: {text}\nfound: {found}");
    }
    for piece in ["dura‸tion: 30s", "plan: sto‸rm", "path: { i‸d:"] {
        let found = hover(at(piece));
        assert_eq!(found == "-", piece != "dura‸tion: 30s", "{piece}: {found}");
    }
}

#[test]
fn a_secret_is_never_shown() {
    let (open, _) = at("plan: sto‸rm");
    let document = Document::read(&open, "plan.yaml").expect("a document");
    let shown: Vec<String> =
        (0..PLAN.len()).step_by(5).filter_map(|at| document.hover(at)).map(|hover| hover.text).collect();
    assert!(shown.len() > 100, "{}", shown.len());
    assert_eq!(shown.iter().find(|text| text.contains("hunter2")), None);
}

#[test]
fn hover_on_a_gate_tells_what_it_will_see() {
    let latency = "\
**gate** `http_req_duration{scenario:beats}` `p(95) < 500ms`
- fed by: `heartbeat` (beats), `GET /x/{}` (beats)
- samples expected: about 6,000 = beats 3,000 × 2 [default]
- samples expected: about 24,000 = beats 12,000 × 2 [stress]
- samples needed: 59 (to claim it at 95 %); fewer make the run invalid
- dropped iterations count as above the bound: beats";
    assert_eq!(hover(at("http_req_dura‸tion{scen")), latency);
    assert_eq!(hover(at("[\"p(9‸5) < 500ms\"]")), latency);
    let errors = "\
**gate** `http_req_failed` `rate < 1%`
- fed by: `GET /` (after), `heartbeat` (beats), `GET /x/{}` (beats)
- samples expected: after as many as the target answers + beats 3,000 × 2 [default]
- samples expected: after as many as the target answers + beats 12,000 × 2 [stress]
- samples needed: 299 (to claim it at 95 %); fewer make the run invalid";
    assert_eq!(hover(at("http_req_failed: rate‸ < 1%")), errors);
    let nothing = "\
**gate** `http_req_duration{scenario:beets}` `p(95) < 500ms`
- fed by: nothing, no sample of the plan can match
- samples needed: 59 (to claim it at 95 %); fewer make the run invalid";
    assert_eq!(hover(typed("{scenario:beats}", "{scen‸ario:beets}")), nothing);
}

#[test]
fn keys_are_proposed_that_are_not_there() {
    let input = "{ type: rate, default: 100/s, about: heartbeats a second }";
    // What is proposed, and after the bar what is not.
    for (old, new, labels) in [
        ("plan: storm\n", "plan: storm\n‸\n", "setup teardown database services | plan target scenarios get"),
        (
            "    duration: 30s\n",
            "    duration: 30s\n    ‸\n",
            "connections setup tags | duration vus steps get",
        ),
        ("    duration: 30s\n", "    dur‸\n", "duration connections | rate steps"),
        ("      - pause: 1s\n", "      - pause: 1s\n        ‸\n", "name tags | pause get expect steps"),
        ("      - pause: 1s\n", "      - repeat: 2\n        ‸\n", "as steps name | pause get expect"),
        ("        token: fleet\n", "        ‸\n", "token json expect name | call get path as steps pause"),
        ("      - pause: 1s\n", "      - ‸\n", "call get pause choose group"),
        (input, "{ type: rate, ‸ }", "default env one_of | type"),
        (input, "{ ‸", "type default | rate"),
        ("  stress: { rate: 400/s }", "  stress: { rate: 400/s, ‸ }", "key | rate type"),
        ("    needs: beats\n", "    nee‸\n", "needs tags | vus duration pre_allocated_vus"),
        ("{ url: \"http://127.0.0.1:1\",", "{ url: \"http://127.0.0.1:1\", tls: { ‸ },", "verify ca | url"),
    ] {
        let (wanted, unwanted) = labels.split_once(" | ").unwrap_or((labels, "xx"));
        let unwanted: Vec<&str> = unwanted.split(' ').collect();
        let found = complete(typed(old, new));
        let found: Vec<&str> = found.split(' ').collect();
        for word in wanted.split(' ').filter(|word| *word != "duration" || new.contains("dur‸")) {
            assert!(found.contains(&word), "`{word}` is missing at\n{new}\nin {found:?}");
        }
        assert_eq!(found.iter().find(|word| unwanted.contains(word)), None, "{new}");
    }
}

/// Whatever is proposed, the compiler takes it as a key.
#[test]
fn no_key_is_proposed_that_the_compiler_refuses() {
    let steps = [
        "get: /x",
        "call: heartbeat",
        "pause: 1s",
        "choose: []",
        "repeat: 2",
        "each: [1]",
        "when: 'true'",
        "group: g",
    ];
    let steps = steps.map(|step| ("      - pause: 1s\n", format!("      - {step}\n        ‸: x\n")));
    let executors = [
        "constant-vus",
        "ramping-vus",
        "constant-arrival-rate",
        "ramping-arrival-rate",
        "shared-iterations",
        "per-vu-iterations",
    ];
    let executors = executors.map(|executor| {
        (
            "    executor: constant-vus\n    vus: 2\n    duration: 5s\n",
            format!("    executor: {executor}\n    ‸: x\n"),
        )
    });
    let others = [
        ("  limited: rate\n", "  limited: { type: rate, ‸: x }\n"),
        ("{ agent: agents }", "{ agent: { from: agents, ‸: x } }"),
        ("{ post: \"/agents/{id}/heartbeat\",", "{ ‸: x, post: \"/agents/{id}/heartbeat\","),
        ("plan: storm\n", "plan: storm\n‸: x\n"),
    ];
    let others = others.map(|(old, new)| (old, new.to_string()));
    for (old, new) in steps.into_iter().chain(executors).chain(others) {
        let labels = complete(typed(old, &new));
        assert!(!labels.is_empty(), "{new}");
        for label in labels.split(' ') {
            let (open, _) = typed(old, &new.replace('‸', &format!("{label}‸")));
            let compilation = planc::check(&open, "plan.yaml", &planc::Options::default());
            let refused =
                |message: &str| message.contains("unknown key") || message.contains("does not take");
            let refused = compilation.diagnostics.iter().find(|found| refused(&found.message));
            assert_eq!(refused.map(|found| &found.message), None, "{new}");
        }
    }
}

#[test]
fn names_are_proposed_where_they_belong() {
    for (old, new, labels) in [
        ("call: heartbeat", "call: ‸", "heartbeat"),
        ("token: fleet", "token: fl‸", "fleet"),
        ("{ agent: agents }", "{ agent: ‸ }", "agents"),
        ("needs: beats", "needs: [‸]", "beats"),
        ("record: { limited: { when: \"response.status == 429\" } }", "record: { ‸ }", "limited"),
        (
            "executor: constant-vus",
            "executor: ‸",
            "constant-vus ramping-vus constant-arrival-rate ramping-arrival-rate shared-iterations per-vu-iterations find-max",
        ),
        ("{{ inputs.rate }}", "{{ inputs.‸ }}", "key rate"),
        ("{{ inputs.rate }}", "{{ inputs.‸", "key rate"),
        ("{{ agent.id | lower }}", "{{ agent.‸ }}", "id os name"),
        (
            "{{ agent.id | lower }}",
            "{{ ‸ }}",
            "agent run_id vu iteration iteration_global scenario inputs now range random",
        ),
        (
            "/x/{{ next }}",
            "/x/{{ ‸",
            "agent next run_id vu iteration iteration_global scenario inputs now range random",
        ),
        ("response.status == 429", "response.‸", "status headers json body duration"),
        (
            "type: rate, default",
            "type: ‸, default",
            "string url secret rate duration integer number boolean share size",
        ),
    ] {
        let found = complete(typed(old, new));
        match labels {
            "no-gates" => assert!(found.contains("no-gates") && found.contains("unused-input"), "{found}"),
            labels => assert_eq!(found, labels, "{new}"),
        }
    }
    let filters = complete(typed("id | lower", "id | ‸"));
    assert!(filters.starts_with("pad upper lower trim"), "{filters}");
}

const RELATED: &str = r#"plan: related
fixtures:
  agents: { from: fixtures/agents.yaml }
  jobs:
    table: jobs
    children: { of: agents, each: 3 }
    identity: id
    columns:
      id: "{{ parent.id }}-{{ child }}"
      os: { fake: word }
"#;

#[test]
fn rows_by_parent_know_their_parents() {
    let at = |piece: &str| {
        let from = RELATED.find(&piece.replace('‸', "")).expect("a piece of the plan");
        (Open(RELATED.to_string()), from + piece.find('‸').expect("a cursor"))
    };
    assert_eq!(complete(at("parent.‸id")), "id os name n");
    assert!(complete(at("{{ ‸child }}")).contains("parent child"), "{}", complete(at("{{ ‸child }}")));
    assert_eq!(complete(at("of: ‸agents")), "agents");
    assert_eq!(complete(at("of: agents, ‸each")), "each");
    assert!(complete(at("fake: ‸word")).starts_with("name first_name"));
    assert_eq!(definition(at("of: ag‸ents")), "plan.yaml:3 agents");
    assert_eq!(definition(at("parent.i‸d")), "fixtures/agents.yaml:6 id");
    assert!(hover(at("chi‸ld }}")).contains("Which of its parent's children the row is, from 1."));
}

#[test]
fn selectors_are_proposed_from_what_the_steps_emit() {
    let key = "http_req_duration{scenario:beats}";
    let metrics = complete(typed(key, "htt‸"));
    assert!(metrics.starts_with("limited http_reqs http_req_duration "), "{metrics}");
    assert_eq!(
        complete(typed(key, "http_req_duration{‸}")),
        "scenario endpoint error_code expected_response method name outcome phase proto status url"
    );
    assert_eq!(complete(typed(key, "http_req_duration{scenario:‸")), "after beats *");
    assert_eq!(complete(typed(key, "http_req_duration{scenario:after,name:‸}")), "GET /");
    assert_eq!(complete(typed(key, "http_req_duration{scenario:beats,phase:‸}")), "beat");
    assert_eq!(complete(typed(key, "iterations{‸")), "scenario");
    assert_eq!(
        complete(typed("\"p(95) < 500ms\"", "\"‸\"")),
        "p(95) < 500ms p(99) < 1s med < 200ms max < 3s"
    );
    assert_eq!(complete(typed("rate < 1%", "‸")), "rate < 1% rate > 99%");
}

#[test]
fn what_is_taken_fits_the_text() {
    let line = "    duration: 30s\n";
    assert_eq!(taken(typed(line, "    dur‸\n"), "duration"), "duration: ");
    assert_eq!(taken(typed(line, "    dur‸: 30s\n"), "duration"), "duration: 30s");
    assert_eq!(taken(typed(line, "    ‸\n    duration: 30s\n"), "tags"), "tags:");
    assert_eq!(taken(typed("{{ inputs.rate }}", "{{ inputs.k‸ey }}"), "rate"), "rate: \"{{ inputs.rate }}\"");
    let key = "http_req_duration{scenario:beats}";
    let taken = |new, label| taken(typed(key, new), label);
    assert_eq!(
        taken("http_req_duration{scen‸}", "scenario"),
        "http_req_duration{scenario:}: [\"p(95) < 500ms\"]"
    );
    assert_eq!(
        taken("http_req_duration{scenario:b‸}", "after"),
        "http_req_duration{scenario:after}: [\"p(95) < 500ms\"]"
    );
    assert_eq!(taken("‸{scenario:beats}", "http_reqs"), "http_reqs{scenario:beats}: [\"p(95) < 500ms\"]");
}

#[test]
fn a_fixture_alone_is_known_too() {
    let open = Open(FIXTURE.into());
    let document = Document::read(&open, "plan.yaml").expect("a document");
    let at = FIXTURE.find("{{ id }}").expect("there") + 3;
    assert_eq!(show(&open, &document.definition(at)[0]), "plan.yaml:6 id");
    let at = FIXTURE.find("weighted").expect("there");
    assert!(document.hover(at).expect("words").text.contains("weighted choice"));
    let open = Open(FIXTURE.replace("rows: 1000\n", "\n"));
    let document = Document::read(&open, "plan.yaml").expect("a document");
    let at = open.0.find("\n\n").expect("there") + 1;
    let labels: Vec<String> = document.complete(at).into_iter().map(|found| found.label).collect();
    assert!(labels.contains(&"rows".to_string()) && !labels.contains(&"table".to_string()), "{labels:?}");
}

#[test]
fn other_yaml_is_left_alone() {
    let open = Open("services:\n  web: { image: nginx }\nvolumes:\n  data: {}\n".into());
    let document = Document::read(&open, "plan.yaml").expect("a document");
    assert_eq!(document.sort(), None);
    for at in 0..open.0.len() {
        assert_eq!((document.hover(at), document.complete(at)), (None, vec![]), "{at}");
    }
}

#[test]
fn the_outline_has_the_names() {
    let (open, _) = at("plan: sto‸rm");
    let document = Document::read(&open, "plan.yaml").expect("a document");
    let parts = document.outline();
    let shown = parts.iter().map(|part| {
        let inner: Vec<&str> = part.inner.iter().map(|part| part.name.as_str()).collect();
        format!("{}: {}", part.name, inner.join(" "))
    });
    let shown: Vec<String> = shown.collect();
    assert_eq!(shown[1], "inputs: rate key");
    assert_eq!(
        shown.last().map(String::as_str),
        Some("thresholds: http_req_duration{scenario:beats} http_req_failed limited")
    );
    let scenarios = parts.iter().find(|part| part.name == "scenarios").expect("there");
    assert_eq!(&PLAN[scenarios.inner[1].key.clone()], "after");
    assert!(PLAN[scenarios.inner[1].range.clone()].ends_with("steps: [get: /]"));
}

/// Whatever the text is cut down to, every byte of it is answered.
#[test]
fn no_torn_text_panics() {
    for cut in (0..PLAN.len()).step_by(13) {
        let open = Open(PLAN[..cut].to_string());
        let document = Document::read(&open, "plan.yaml").expect("a document");
        for at in [cut.saturating_sub(9), cut, cut + 5] {
            document.hover(at);
            document.definition(at);
            document.complete(at);
        }
        document.outline();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is pasted over whatever, every question has an answer, and what is proposed fits the text.
    #[test]
    fn no_edit_panics(at in 0..PLAN.len(), length in 0usize..40, paste in "[-a-z: \n\t{}\\[\\]\"'&*!|>%@`#.,é😀]{0,12}") {
        let text = [&PLAN[..at], &paste, &PLAN[(at + length).min(PLAN.len())..]].concat();
        let open = Open(text.clone());
        let document = Document::read(&open, "plan.yaml").expect("a document");
        let cursor = at + paste.len();
        document.hover(cursor);
        for place in document.definition(cursor).into_iter().chain(document.references(cursor, true)) {
            prop_assert!(open.read(&place.path).is_ok_and(|text| text.get(place.range).is_some()));
        }
        for found in document.complete(cursor) {
            prop_assert!(text.get(found.replace.clone()).is_some(), "{:?} of {:?}", found, text);
        }
    }
}

/// Fixtures of one folder, one of them from a file of rows.
struct Fixtures(&'static str);

const USERS: &str = "fixture: users\ntable: users\nrows_from: people.csv\nidentity: email\ncolumns:\n  greeting: \"hi {{ first }}\"\n";

impl Files for Fixtures {
    fn read(&self, path: &str) -> Result<String, String> {
        match path {
            "seed/orders.yaml" => Ok(self.0.replace('‸', "")),
            "seed/users.yaml" => Ok(USERS.into()),
            "seed/teams.yaml" => Ok("fixture: teams\nsql: teams.sql\n".into()),
            "seed/people.csv" => Ok("email,first\na@x.test,Ada\n".into()),
            "seed/plan.yaml" => Ok("plan: p\nfixtures: {}\nscenarios: {}\n".into()),
            _ => Err("no such file".into()),
        }
    }

    fn beside(&self, _: &str) -> Vec<String> {
        ["seed/plan.yaml", "seed/teams.yaml", "seed/users.yaml"].map(String::from).to_vec()
    }
}

fn in_folder(text: &'static str) -> (Fixtures, usize) {
    (Fixtures(text), text.find('‸').expect("a cursor"))
}

const ORDERS: &str = "fixture: orders\ntable: orders\nrows: 5\nidentity: id\nafter: [te‸ams]\ncolumns:\n  id: \"{{ n }}\"\n  who: { fixture: users, column: email }\n";

#[test]
fn a_fixture_s_file_knows_its_folder() {
    let proposed = |text: &'static str, path: &str| {
        let (files, at) = in_folder(text);
        let document = Document::read(&files, path).expect("a document");
        let labels: Vec<String> = document.complete(at).into_iter().map(|found| found.label).collect();
        labels.join(" ")
    };
    let orders = "seed/orders.yaml";
    assert_eq!(proposed("fixture: orders\nafter: ‸\n", orders), "teams users");
    assert_eq!(proposed("fixture: orders\nafter: [‸]\n", orders), "teams users");
    assert_eq!(proposed("fixture: orders\nsql: a.sql\nchildren: { of: ‸ }\n", orders), "teams users");
    let column = "fixture: orders\ncolumns:\n  who: { fixture: users, column: ‸ }\n";
    assert_eq!(proposed(column, orders), "greeting email first");
    let parent = "fixture: orders\nchildren: { of: users, each: 2 }\ncolumns:\n  who: \"{{ parent.‸ }}\"\n";
    assert_eq!(proposed(parent, orders), "greeting email first n");
    // Fields of its own file.
    let own = "fixture: orders\ntable: t\nrows_from: people.csv\nidentity: ‸\n";
    assert_eq!(proposed(own, orders), "email first");
    let slot =
        "fixture: orders\ntable: t\nrows_from: people.csv\nidentity: email\ncolumns: { a: \"{{ ‸ }}\" }\n";
    assert!(proposed(slot, orders).starts_with("a email first n rows"), "{}", proposed(slot, orders));
}

#[test]
fn what_a_fixture_s_file_refers_to_is_told_and_found() {
    let (files, at) = in_folder(ORDERS);
    let document = Document::read(&files, "seed/orders.yaml").expect("a document");
    let place = |at: usize| {
        let found = document.definition(at);
        found
            .iter()
            .map(|place| format!("{} {}", place.path, place.range.start))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let hover = |at: usize| document.hover(at).map_or("-".into(), |hover| hover.text);
    assert_eq!(place(at), "seed/teams.yaml 0");
    assert!(hover(at).contains("- script: `teams.sql`"), "{}", hover(at));
    let text = ORDERS.replace('‸', "");
    let users = text.find("users").expect("it refers to them");
    assert_eq!(place(users + 1), "seed/users.yaml 0");
    let field = text.find("email").expect("a field");
    assert_eq!(place(field + 1), "seed/people.csv 0");
    assert!(hover(field + 1).contains("- a field of `people.csv`"), "{}", hover(field + 1));

    let document = Document::read(&files, "seed/users.yaml").expect("a document");
    for field in ["email", "first"] {
        let at = USERS.rfind(field).expect("a field") + 1;
        let told = document.hover(at).map_or("-".into(), |hover| hover.text);
        assert!(told.contains("- a field of `people.csv`"), "{field}: {told}");
    }
}
