//! Sessions against servers that say what a test has them say.

use super::*;
use futures_util::{SinkExt, StreamExt};
use std::net::TcpListener;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{Request as Shake, Response as Shaken};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

type Socket = WebSocketStream<TcpStream>;

/// A server that talks to each session as told, until the test ends.
fn server<F: Future<Output = ()> + 'static>(talk: impl Fn(Socket) -> F + Copy + Send + 'static) -> String {
    let (listener, address) = listener();
    let url = format!("http://{address}");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(async move {
                    let shaken = accept_hdr_async(stream, echo_protocol).await;
                    if let Ok(socket) = shaken {
                        talk(socket).await;
                    }
                });
            }
        });
    });
    url
}

fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The same over TLS for `right.test`, saying `welcome` and no more.
fn secure_server(folder: &std::path::Path) -> String {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = vec![CertificateDer::from_pem_file(folder.join("right.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("right.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = config.with_single_cert(chain, key).unwrap();
    // Whatever else the load speaks, a WebSocket begins as HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (listener, address) = listener();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let Ok(mut socket) = accept_hdr_async(stream, echo_protocol).await else { return };
                    drop(socket.send(Frame::Text(r#"{"type":"welcome"}"#.into())).await);
                    while let Some(Ok(_)) = socket.next().await {}
                });
            }
        });
    });
    format!("https://{address}")
}

#[expect(clippy::result_large_err, reason = "as the callback has it")]
fn echo_protocol(asked: &Shake, mut answer: Shaken) -> Result<Shaken, ::http::Response<Option<String>>> {
    let offered = asked.headers().get("sec-websocket-protocol").cloned();
    answer.headers_mut().extend(offered.map(|name| (::http::header::SEC_WEBSOCKET_PROTOCOL, name)));
    Ok(answer)
}

/// `welcome` after some noise, `joined` for each message, until the client closes.
async fn chat(mut socket: Socket) {
    for text in ["noise", r#"{"type":"other"}"#, r#"{"type":"welcome","room":"r7"}"#] {
        socket.send(Frame::Text(text.into())).await.unwrap();
    }
    while let Some(Ok(heard)) = socket.next().await {
        if let Frame::Text(heard) = heard {
            let answer = json!({ "type": "joined", "of": heard.as_str() }).to_string();
            socket.send(Frame::Text(answer.into())).await.unwrap();
        }
    }
}

fn session(id: u32, steps: Vec<Step>) -> Step {
    let StepKind::Http(mut handshake) = get(id, "/ws").kind else { unreachable!("a request") };
    handshake.expect = vec![status(&[StatusPattern::Exact(101)])];
    handshake.request.timeout = Some(HALF);
    let session = WebSocketStep { handshake: *handshake, subprotocol: Some("v1".into()), steps };
    step(id, "live", StepKind::WebSocket(Box::new(session)))
}

fn step(id: u32, name: &str, kind: StepKind) -> Step {
    Step { id: StepId(id), name: name.into(), tags: BTreeMap::new(), kind }
}

fn receive(id: u32, word: &str, capture: Vec<Capture>) -> Step {
    let matcher = Matcher::Equals(JsonTemplate::Const(json!(word)));
    let what = Expected::Json { path: "$.type".into(), matcher };
    let expect = vec![Expectation { name: word.into(), what }];
    let within = Some(Duration::from_millis(300));
    step(id, word, StepKind::Receive(Box::new(Receive { expect, within, capture })))
}

fn say(id: u32, text: Template) -> Step {
    step(id, "say", StepKind::Send(planc::graph::Message::Text(text)))
}

fn rest(id: u32, ms: u64) -> Step {
    step(id, "rest", StepKind::Pause(Pause::Fixed(Duration::from_millis(ms))))
}

fn played(url: &str, steps: Vec<Step>) -> LoadRecord {
    let (record, end) = load(graph(vec![scenario("s", each(2, 3, false), steps)]), url);
    assert_eq!(end, LoadEnd::Completed);
    record
}

fn continued(mut step: Step) -> Step {
    if let StepKind::WebSocket(session) = &mut step.kind {
        session.handshake.on_failure = OnFailure::Continue;
    }
    step
}

fn infinite(record: &LoadRecord, metric: &str) -> (u64, u64) {
    (trends(record, metric, &[]).iter().map(|t| t.infinite).sum(), count(record, metric, &[]))
}

#[test]
fn messages_pass_by_wait_and_are_captured() {
    let url = server(chat);
    let room = Capture { name: "room".into(), from: CaptureFrom::Json("$.room".into()) };
    let of = Capture { name: "of".into(), from: CaptureFrom::Json("$.of".into()) };
    let steps = vec![
        receive(1, "welcome", vec![room]),
        say(2, slot("to ", "room")),
        // What comes during a pause is there for the step after it.
        rest(3, 60),
        receive(4, "joined", vec![of]),
        step(5, "ping", StepKind::Ping { within: None }),
        say(6, slot("again ", "of")),
        receive(7, "joined", vec![]),
        step(8, "close", StepKind::Close { code: 4000, within: None }),
    ];
    let record = played(&url, vec![session(0, steps)]);
    assert_eq!(record.scenarios["s"].finished, 6, "{:?}", record.on_time.series);
    assert_eq!(trues(&record, "ws_failed", &[("status", "101")]), (0, 6));
    assert_eq!(count(&record, "ws_sessions", &[("status", "101"), ("name", "live")]), 6);
    assert_eq!(count(&record, "ws_msgs_received", &[]), 30);
    assert_eq!(count(&record, "ws_msgs_sent", &[]), 12);
    assert_eq!(infinite(&record, "ws_receive_duration"), (0, 18));
    assert_eq!(infinite(&record, "ws_connecting"), (0, 6));
    assert_eq!(infinite(&record, "ws_ping"), (0, 6));
    assert_eq!(infinite(&record, "ws_session_duration"), (0, 6));
    // Two captures and three messages, a pong and a handshake.
    assert_eq!(trues(&record, "checks", &[]), (42, 42));
    // The answer to what was said before the pause is as old as it is, whoever looked at it when.
    assert!(trends(&record, "ws_receive_duration", &[("name", "joined")]).iter().all(|t| t.max < 60_000));
    assert!(count(&record, "data_sent", &[]) > 0 && count(&record, "data_received", &[]) > 0);
    assert_eq!(record.scenarios["s"].censored, 0);
}

#[test]
fn what_never_comes_is_above_every_bound() {
    let url = server(chat);
    let steps = || vec![receive(1, "never", vec![]), say(2, Template::literal("after"))];
    let record = played(&url, vec![session(0, steps())]);
    assert_eq!(record.scenarios["s"].failed, 6);
    assert_eq!(infinite(&record, "ws_receive_duration"), (6, 6));
    assert_eq!(infinite(&record, "ws_session_duration"), (6, 6));
    assert_eq!(infinite(&record, "ws_connecting"), (0, 6));
    assert_eq!(trues(&record, "ws_failed", &[("error_code", "1050")]), (6, 6));
    assert_eq!(trues(&record, "checks", &[("check", "receive never")]), (0, 6));
    assert_eq!(count(&record, "ws_msgs_sent", &[]), 0);
    // The session goes on where the plan lets it, and has failed all the same.
    let record = played(&url, vec![continued(session(0, steps()))]);
    assert_eq!(record.scenarios["s"].finished, 6);
    assert_eq!(trues(&record, "ws_failed", &[]), (6, 6));
    assert_eq!(count(&record, "ws_msgs_sent", &[]), 6);
}

#[test]
fn a_server_that_closes_early_ends_the_session_and_not_what_comes_after_it() {
    let url = server(async |mut socket| {
        socket.send(Frame::Text(r#"{"type":"welcome"}"#.into())).await.unwrap();
        drop(socket.close(None).await);
        while let Some(Ok(_)) = socket.next().await {}
    });
    let inner = vec![rest(4, 5_000), say(5, Template::literal("too late"))];
    let group = StepKind::Group { name: "::talk".into(), steps: inner };
    let looped =
        StepKind::Repeat { count: Expr::Const(json!(3)), binding: None, steps: vec![step(3, "talk", group)] };
    let steps = vec![receive(1, "welcome", vec![]), step(2, "again", looped)];
    let after = session(6, vec![receive(7, "welcome", vec![])]);
    let begun = Instant::now();
    let record = played(&url, vec![continued(session(0, steps)), continued(after)]);
    assert!(begun.elapsed() < Duration::from_secs(5), "the pause was not cut short");
    assert_eq!(record.scenarios["s"].finished, 6, "{:?}", record.on_time.series);
    assert_eq!(trues(&record, "ws_failed", &[("error_code", "1701")]).0, 6);
    assert_eq!(infinite(&record, "group_duration"), (6, 6));
    let plays = |id| record.steps_played.get(&id).copied().unwrap_or(0);
    assert_eq!((plays(4), plays(5), plays(7)), (6, 0, 6));
    assert_eq!(infinite(&record, "ws_receive_duration"), (0, 12));
}

#[test]
fn a_server_that_never_answers_the_close_or_a_ping_has_failed() {
    // Read and thrown away: a WebSocket that were read as one would answer by itself.
    let url = server(async |mut socket| {
        use tokio::io::AsyncReadExt;
        let mut bytes = [0; 1_024];
        while socket.get_mut().read(&mut bytes).await.is_ok_and(|n| n > 0) {}
    });
    let record = played(&url, vec![session(0, vec![say(1, Template::literal("hello"))])]);
    assert_eq!(trues(&record, "ws_failed", &[("error_code", "1050")]), (6, 6));
    let ping = step(1, "ping", StepKind::Ping { within: Some(Duration::from_millis(50)) });
    let record = played(&url, vec![session(0, vec![ping])]);
    assert_eq!(infinite(&record, "ws_ping"), (6, 6));
    assert_eq!(trues(&record, "checks", &[("check", PONG_CHECK)]), (0, 6));
    assert_eq!(trues(&record, "ws_failed", &[]), (6, 6));
}

#[test]
fn no_handshake_leaves_for_a_host_that_is_not_allowed_and_a_refusal_may_be_expected() {
    let refused = Server::start(|_| Deed::Reply(403, String::new(), "no".into()));
    let elsewhere = |step: &mut Step| {
        if let StepKind::WebSocket(session) = &mut step.kind {
            session.handshake.request.url = Template::literal("ws://192.0.2.7/ws");
        }
    };
    let mut away = session(0, vec![rest(1, 1)]);
    elsewhere(&mut away);
    let record = played(&refused.url, vec![away]);
    assert_eq!(trues(&record, "ws_failed", &[("error_code", "host_not_allowed")]), (6, 6));
    assert_eq!(infinite(&record, "ws_connecting"), (6, 6));
    let record = played(&refused.url, vec![session(0, vec![rest(1, 1)])]);
    assert_eq!(trues(&record, "ws_failed", &[("status", "403")]), (6, 6));
    let mut expected = session(0, vec![rest(1, 1)]);
    if let StepKind::WebSocket(session) = &mut expected.kind {
        session.handshake.expect = vec![status(&[StatusPattern::Exact(403)])];
    }
    let record = played(&refused.url, vec![expected]);
    assert_eq!(trues(&record, "ws_failed", &[("status", "403")]), (0, 6));
    assert_eq!(record.scenarios["s"].finished, 6);
}

#[test]
fn sessions_are_secure_where_the_target_is() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/battery/tls");
    let url = secure_server(&folder);
    let steps = || vec![session(0, vec![receive(1, "welcome", vec![])])];
    for (name, protocol, failed) in [
        ("right.test", Protocol::Http1, 0),
        ("right.test", Protocol::Http2, 0),
        ("wrong.test", Protocol::Http1, 6),
    ] {
        let mut graph = graph(vec![scenario("s", each(2, 3, false), steps())]);
        let target = graph.target.as_mut().unwrap();
        target.protocol = protocol;
        target.tls.ca = Some(folder.join("authority.pem").to_string_lossy().into_owned());
        target.tls.server_name = Some(name.into());
        let (record, _) = load(graph, &url);
        assert_eq!(trues(&record, "ws_failed", &[]), (failed, 6), "{name} {:?}", record.on_time.series);
        assert_eq!(infinite(&record, "ws_connecting"), (failed, 6));
        let codes = trues(&record, "ws_failed", &[("error_code", "1311")]);
        assert_eq!(codes, (failed, failed), "the certificate is not for {name}");
    }
}
