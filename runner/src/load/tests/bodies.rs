//! What requests carry, as it arrives.

use super::server::{Server, ok};
use super::{each, edit, graph, http, input, request, scenario, slot};
use crate::load::run_with;
use crate::rows::RowSources;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use planc::graph::{Body, Content, Json, Jws, JwsKey, Part, Step, Template};
use std::collections::BTreeMap;
use std::sync::Arc;

fn post(id: u32, body: Body) -> Step {
    edit(http(id, request("POST", Template::literal("/up"))), |h| h.request.body = Some(body))
}

fn part(name: &str, content: Content, filename: Option<Template>) -> Part {
    let media_type = filename.is_some().then(|| "audio/mpeg".to_owned());
    Part { name: name.into(), content, filename, media_type }
}

/// The parts of what a server saw: head and content of each.
fn parts(headers: &str, body: &str) -> Vec<(String, String)> {
    let (_, boundary) = headers.split_once("multipart/form-data; boundary=").expect("a boundary");
    let boundary = format!("--{}", boundary.lines().next().expect("a line"));
    let body = body.strip_suffix(&format!("{boundary}--\r\n")).expect("an end");
    let line = format!("{boundary}\r\n");
    let parts = body.split(line.as_str()).skip(1);
    let split = |part: &str| {
        let (head, content) = part.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), content.strip_suffix("\r\n").expect("an end").to_owned())
    };
    parts.map(split).collect()
}

#[test]
fn a_multipart_body_arrives_in_parts() {
    let server = Server::start(|_| ok(""));
    let rendered = Body::Multipart(vec![
        part("title", Content::Text(slot("track ", "iteration_global")), None),
        part("file", Content::File("a.mp3".into()), Some(slot("\"", "vu"))),
        part("zeros", Content::Zeros(3), Some(Template::literal("blob"))),
    ]);
    let fixed = Body::Multipart(vec![
        part("a", Content::Text(Template::literal("b")), None),
        part("file", Content::Random(70_000), Some(Template::literal("r"))),
    ]);
    let steps = vec![post(0, rendered), post(1, fixed)];
    let graph = graph(vec![scenario("s", each(1, 2, true), steps)]);
    let mut input = input(graph, &server.url);
    input.files = Arc::new(BTreeMap::from([("a.mp3".to_owned(), bytes::Bytes::from_static(b"ID3!"))]));
    let (record, _) = run_with(input, &RowSources::new(), &mut |_| {}).expect("a load");
    assert_eq!(record.scenarios["s"].finished, 2);
    let seen = server.requests();
    for (turn, seen) in [&seen[0], &seen[2]].into_iter().enumerate() {
        let disposition = "content-disposition: form-data; ";
        let expected = [
            (format!("{disposition}name=\"title\""), format!("track {turn}")),
            (
                format!("{disposition}name=\"file\"; filename=\"%221\"\r\ncontent-type: audio/mpeg"),
                "ID3!".to_owned(),
            ),
            (
                format!("{disposition}name=\"zeros\"; filename=\"blob\"\r\ncontent-type: audio/mpeg"),
                "\0\0\0".to_owned(),
            ),
        ];
        assert_eq!(parts(&seen.headers, &seen.body), expected);
    }
    // The length was announced, or the server would not have read it to its end.
    assert_eq!(seen[1].body, seen[3].body, "what is the same each time is one buffer");
    assert!(seen[1].headers.contains("content-length: 70"), "{}", seen[1].headers);
}

#[test]
fn a_file_is_a_body_and_one_that_was_not_read_ends_it() {
    let server = Server::start(|_| ok(""));
    let graph = graph(vec![scenario("s", each(1, 1, true), vec![post(0, Body::File("a.mp3".into()))])]);
    let error = run_with(input(graph.clone(), &server.url), &RowSources::new(), &mut |_| {}).unwrap_err();
    assert!(error.message.ends_with("the file `a.mp3` was not read"), "{}", error.message);
    let mut input = input(graph, &server.url);
    input.files = Arc::new(BTreeMap::from([("a.mp3".to_owned(), bytes::Bytes::from_static(b"ID3!"))]));
    run_with(input, &RowSources::new(), &mut |_| {}).expect("a load");
    let seen = server.requests();
    assert_eq!((seen.len(), seen[0].body.as_str()), (1, "ID3!"));
    assert!(seen[0].headers.contains("content-type: application/octet-stream"), "{}", seen[0].headers);
}

/// The protected headers of what arrived signed.
fn protected(body: &str) -> Json {
    let body: Json = serde_json::from_str(body).expect("JSON");
    let text = URL_SAFE_NO_PAD.decode(body["protected"].as_str().expect("a text")).expect("base64url");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn a_request_is_signed_by_its_user_for_what_the_target_calls_itself() {
    let server = Server::start(|_| ok(""));
    let signed = |id, key| {
        post(id, Body::Jws(Box::new(Jws { key, nonce: Template::literal("n"), kid: None, payload: None })))
    };
    let steps = vec![signed(0, JwsKey::Vu), signed(1, JwsKey::Iteration)];
    let graph = graph(vec![scenario("s", each(1, 2, true), steps)]);
    run_with(input(graph.clone(), &server.url), &RowSources::new(), &mut |_| {}).expect("a load");
    let mut detour = input(graph, &server.url);
    detour.known_as = Some("https://ca.example.test".into());
    run_with(detour, &RowSources::new(), &mut |_| {}).expect("a load");
    let seen = server.requests();
    assert!(seen.iter().all(|seen| seen.headers.contains("content-type: application/jose+json")));
    let seen: Vec<Json> = seen.iter().map(|seen| protected(&seen.body)).collect();
    let own = format!("{}/up", server.url);
    let urls: Vec<&str> = seen.iter().filter_map(|seen| seen["url"].as_str()).collect();
    assert_eq!(urls[..4], [own.as_str(); 4]);
    assert_eq!(urls[4..], ["https://ca.example.test/up"; 4]);
    let keys: Vec<&Json> = seen.iter().map(|seen| &seen["jwk"]).collect();
    assert_eq!((keys[0], keys[0]), (keys[2], keys[4]), "a user's key is the same run after run");
    assert_ne!(keys[1], keys[3], "each iteration has a key of its own");
    assert_ne!(keys[0], keys[1]);
}
