//! Against a receiver that decodes what it gets, by the published message format and not by our encoder.

use super::*;
use crate::testing;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

/// Head and body of every request.
type Kept = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Labels and value of every sample of one request.
type Written = Vec<(BTreeMap<String, String>, f64, i64)>;

/// Answers each request with the next of these statuses (the last one for ever) and keeps what it was sent.
fn receiver(statuses: &[u16]) -> (String, Kept) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/api/v1/write", listener.local_addr().expect("an address"));
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (log, statuses) = (Arc::clone(&kept), statuses.to_vec());
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().flatten().enumerate() {
            let mut reader = BufReader::new(stream);
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                head.push_str(&line.to_ascii_lowercase());
                line.clear();
            }
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.trim().parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body).expect("the body");
            log.lock().expect("no panic").push((head, body));
            let status = statuses.get(at).or(statuses.last()).copied().unwrap_or(204);
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 4\r\nconnection: close\r\n\r\nsaid");
            drop(reader.into_inner().write_all(answer.as_bytes()));
        }
    });
    (url, kept)
}

/// A protobuf message as (field number, payload); fixed64 and varints as eight bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = bytes.split_first().expect("a varint goes on");
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let payload = match key & 7 {
            0 => varint(&mut bytes).to_le_bytes().to_vec(),
            wire => {
                let length = if wire == 1 { 8 } else { varint(&mut bytes) as usize };
                let (payload, rest) = bytes.split_at(length);
                bytes = rest;
                payload.to_vec()
            }
        };
        out.push((key >> 3, payload));
    }
    out
}

fn decoded(body: &[u8]) -> Written {
    let plain = snap::raw::Decoder::new().decompress_vec(body).expect("snappy");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let eight = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).expect("eight bytes");
    fields(&plain)
        .into_iter()
        .map(|(number, series)| {
            assert_eq!(number, 1, "WriteRequest.timeseries");
            let (mut labels, mut value, mut at) = (BTreeMap::new(), None, 0);
            for (number, part) in fields(&series) {
                match number {
                    1 => {
                        let mut parts = fields(&part).into_iter().map(|(_, text_)| text(text_));
                        labels.insert(parts.next().expect("a name"), parts.next().expect("a value"));
                    }
                    _ => {
                        for (number, payload) in fields(&part) {
                            match number {
                                1 => value = Some(f64::from_le_bytes(eight(&payload))),
                                _ => at = i64::from_le_bytes(eight(&payload)),
                            }
                        }
                    }
                }
            }
            (labels, value.expect("a sample"), at)
        })
        .collect()
}

fn pushed(statuses: &[u16], streams: usize) -> ([Told; 2], Vec<(String, Vec<u8>)>) {
    let (url, kept) = receiver(statuses);
    let told = push_to(&url, streams);
    let kept = kept.lock().expect("no panic").clone();
    (told, kept)
}

fn push_to(url: &str, streams: usize) -> [Told; 2] {
    let graph = Arc::new(testing::graph(Vec::new()));
    let record = testing::evidence(&graph).load.expect("load");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let headers = vec![("authorization".to_owned(), "Bearer secret".to_owned())];
    let endpoint = Endpoint { url: url.to_owned(), headers };
    let wanted = Wanted { prometheus: Some((endpoint, Duration::from_secs(1))), grafana: None };
    let pusher = Pusher::start(runtime.handle(), wanted, graph, "run-1", || 1_700_000_000_123_456);
    let mut stream = pusher.stream();
    for _ in 0..streams {
        stream(&record);
    }
    pusher.finish(&runtime, &record)
}

#[test]
fn what_arrives_is_what_was_measured() {
    let (told, kept) = pushed(&[204], 1);
    assert_eq!(told[0], Told { pushes: 2, lost: 0, why: None, whole: true });
    let (head, body) = kept.last().expect("a push");
    for wanted in [
        "post /api/v1/write ",
        "content-encoding: snappy",
        "content-type: application/x-protobuf",
        "x-prometheus-remote-write-version: 0.1.0",
        "authorization: bearer secret",
    ] {
        assert!(head.contains(wanted), "lacks {wanted}: {head}");
    }
    let written = decoded(body);
    let graph = testing::graph(Vec::new());
    let points = series::points(&graph, &testing::evidence(&graph).load.expect("load"), "run-1");
    assert_eq!(written.len(), points.len());
    for ((labels, value, at), point) in written.iter().zip(&points) {
        assert_eq!(*labels, point.labels.iter().cloned().collect());
        assert_eq!((*value, *at), (point.value, 1_700_000_000_123));
    }
}

#[test]
fn the_last_push_is_tried_again_and_then_nothing_is_missing() {
    let (told, kept) = pushed(&[503, 500, 204], 1);
    assert_eq!(kept.len(), 3);
    assert_eq!((told[0].pushes, told[0].lost, told[0].whole), (2, 1, true));
    assert_eq!(told[0].why.as_deref(), Some("status 503: said"));
}

#[test]
fn an_endpoint_that_is_away_costs_the_pushes_and_nothing_else() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/api/v1/write", taken.local_addr().expect("an address"));
    drop(taken);
    let told = push_to(&url, 2);
    assert_eq!((told[0].pushes, told[0].lost, told[0].whole), (3, 3, false));
    assert!(told[0].why.is_some());
}

#[test]
fn one_that_never_answers_loses_what_does_not_fit() {
    // Accepts and is silent: the first is on its way, two wait, the rest is lost at once.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let graph = Arc::new(testing::graph(Vec::new()));
    let record = testing::evidence(&graph).load.expect("load");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let endpoint = Endpoint {
        url: format!("http://{}/", listener.local_addr().expect("an address")),
        headers: Vec::new(),
    };
    let wanted = Wanted { prometheus: Some((endpoint, Duration::from_secs(1))), grafana: None };
    let pusher = Pusher::start(runtime.handle(), wanted, graph, "run-1", || 0);
    let mut stream = pusher.stream();
    for _ in 0..20 {
        stream(&record);
    }
    let told = pusher.told.lock().expect("no panic")[0].clone();
    assert!(told.lost >= 17, "{told:?}");
}

#[test]
fn stages_are_marked_in_grafana() {
    let (url, kept) = receiver(&[200]);
    let mut graph = testing::graph(Vec::new());
    graph.scenarios[0].name = "s".into();
    let graph = Arc::new(graph);
    let mut record = testing::evidence(&graph).load.expect("load");
    let scenario = record.scenarios.get_mut("s").expect("the scenario");
    (scenario.began_us, scenario.ended_us) = (Some(2_000_000), 0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let base = url.trim_end_matches("/api/v1/write").to_owned() + "/";
    let endpoint = Endpoint { url: base, headers: vec![("authorization".into(), "Bearer secret".into())] };
    let wanted = Wanted { prometheus: None, grafana: Some(endpoint) };
    let pusher = Pusher::start(runtime.handle(), wanted, graph, "run-1", || 1_000_000);
    pusher.stream()(&record);
    let told = pusher.finish(&runtime, &record);
    assert_eq!((told[0].pushes, told[1].pushes, told[1].lost), (0, 1, 0));
    let kept = kept.lock().expect("no panic").clone();
    let [(head, body)] = kept.as_slice() else { panic!("{kept:?}") };
    assert!(head.starts_with("post /api/annotations ") && head.contains("authorization: bearer secret"));
    let body: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    assert_eq!((&body["time"], &body["tags"][2]), (&3_000.into(), &"run-1".into()));
    assert!(body["text"].as_str().is_some_and(|text| text == "s begins"), "{body}");
}
