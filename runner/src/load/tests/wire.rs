//! What of a plan's values reaches the wire, and what never may.

use super::server::Seen;
use super::*;

/// A request after one that captured `evil`, and goes on whatever comes of it.
fn with_evil(id: u32, change: impl FnOnce(&mut Request)) -> Step {
    edit(get(id, "/plain"), |h| {
        change(&mut h.request);
        h.on_failure = OnFailure::Continue;
    })
}

#[test]
fn no_value_ends_its_line() {
    let server = Server::start(|_| ok(r#"{"evil": "a\r\nx-evil: b\r\n\r\nGET /evil HTTP/1.1"}"#));
    let header = |name: &str| BTreeMap::from([(name.to_owned(), slot("", "evil"))]);
    let absolute = slot(&format!("{}/", server.url), "evil");
    let first = edit(get(0, "/"), |h| {
        h.capture = vec![Capture { name: "evil".into(), from: CaptureFrom::Json("$.evil".into()) }];
    });
    let steps = vec![
        first,
        with_evil(1, |request| request.url = slot("/x/", "evil")),
        with_evil(2, |request| request.headers = header("x-a")),
        with_evil(3, |request| request.headers = header("host")),
        // Put together from its parts.
        with_evil(4, |request| request.headers = header("connection")),
        with_evil(5, |request| request.url = absolute),
        // Here they have a meaning that carries them.
        with_evil(6, |request| request.query = header("q")),
        with_evil(7, |request| request.body = Some(Body::Form(header("q")))),
    ];
    let (record, _) = load(graph(vec![scenario("s", each(1, 1, true), steps)]), &server.url);
    for id in 1..=5 {
        let step = format!("GET {id}");
        let tags = [("name", step.as_str()), ("outcome", "transport")];
        assert_eq!(count(&record, "http_reqs", &tags), 1, "{step}");
    }
    let encoded = "q=a%0D%0Ax-evil%3A%20b%0D%0A%0D%0AGET%20%2Fevil%20HTTP%2F1.1";
    let seen = server.requests();
    let lines: Vec<&str> = seen.iter().map(|seen| seen.line.as_str()).collect();
    let query = format!("GET /plain?{encoded} HTTP/1.1");
    assert_eq!(lines, ["GET / HTTP/1.1", &query, "GET /plain HTTP/1.1"]);
    assert_eq!(seen[2].body, encoded);
    assert!(seen.iter().all(|seen| !seen.headers.contains("evil")), "{seen:?}");
}

#[test]
fn the_same_request_however_it_is_put_together() {
    let server = Server::start(|_| ok(""));
    let step = |id| {
        edit(http(id, request("POST", slot("/things/", "vu"))), |h| {
            h.request.query = BTreeMap::from([("q".to_owned(), slot("a b", "iteration"))]);
            h.request.headers = BTreeMap::from([
                ("x-fixed".to_owned(), Template::literal("1")),
                ("x-slot".to_owned(), slot("v", "vu")),
            ]);
            h.request.body = Some(Body::Json(JsonTemplate::Map(BTreeMap::from([(
                "n".to_owned(),
                JsonTemplate::Value(path("vu")),
            )]))));
        })
    };
    // An absolute URL is not prepared as bytes.
    let absolute = edit(step(1), |h| h.request.url = slot(&format!("{}/things/", server.url), "vu"));
    let plan = graph(vec![scenario("s", each(1, 1, true), vec![step(0), absolute])]);
    load(plan, &server.url);
    let mut seen = server.requests();
    for seen in &mut seen {
        let mut lines: Vec<&str> = seen.headers.lines().collect();
        lines.sort_unstable();
        seen.headers = lines.join("|");
    }
    let Seen { line, headers, body } = &seen[0];
    assert_eq!(line, "POST /things/1?q=a%20b0 HTTP/1.1");
    assert_eq!(body, r#"{"n":1}"#);
    for part in ["content-length: 7", "content-type: application/json", "x-fixed: 1", "x-slot: v1", "host: "]
    {
        assert_eq!(headers.matches(part).count(), 1, "{headers}");
    }
    assert_eq!((line, headers, body), (&seen[1].line, &seen[1].headers, &seen[1].body));
}
