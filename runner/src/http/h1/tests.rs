//! What goes over the wire, as text: line ends are written as `|`.

use super::*;
use crate::http::payload::Piece;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::sync::mpsc::channel;
use std::thread;
use tokio::net::TcpStream;

const ALL: Wanted = Wanted { fields: Fields::All, body: Keep::All };

fn get() -> Sending<'static> {
    let bytes = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";
    Sending { bytes, body: Payload::default(), chunked: false, head: false, last: false, wanted: ALL }
}

fn head() -> Sending<'static> {
    Sending { bytes: b"HEAD / HTTP/1.1\r\nhost: h\r\n\r\n", head: true, ..get() }
}

fn wire(text: &str) -> Vec<u8> {
    text.replace('|', "\r\n").into_bytes()
}

/// What is read up to an empty line.
fn read_head(stream: &mut std::net::TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    String::from_utf8(read).unwrap()
}

/// Closing resets the connection.
fn reset(stream: std::net::TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: a plain setsockopt on a socket that is ours, with a struct of the length given.
    let set = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as u32,
        )
    };
    assert_eq!(set, 0);
}

/// Plays a server's side of one connection, and this side of it.
fn between<T>(
    server: impl FnOnce(std::net::TcpStream) + Send + 'static,
    us: impl AsyncFnOnce(Http1) -> T,
) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || server(listener.accept().unwrap().0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let came = runtime.block_on(async {
        let tcp = TcpStream::connect(address).await.unwrap();
        us(Http1::new(Raw::over(tcp), Scratch::default())).await
    });
    server.join().unwrap();
    came
}

fn told(came: &Result<Answer, Broken>) -> String {
    match came {
        Ok(answer) => format!("{} {:?}", answer.status.as_u16(), String::from_utf8_lossy(&answer.body)),
        Err(broken) => format!("{}: {}", broken.failure.code.tag(), broken.failure.message),
    }
}

/// What comes of a request to a server that says this, and hangs up where that ends in `$`.
fn came_of(sending: &Sending<'_>, says: &str) -> String {
    let (says, hangs_up) = says.strip_suffix('$').map_or((says, false), |says| (says, true));
    let says = wire(says);
    let (done, until) = channel::<()>();
    let server = move |mut stream: std::net::TcpStream| {
        read_head(&mut stream);
        stream.write_all(&says).unwrap();
        if !hangs_up {
            let _ = until.recv();
        }
    };
    between(server, async |mut http1| {
        let came = http1.exchange(sending).await;
        let after = match came {
            Ok(_) if http1.is_usable().await => ", kept",
            Ok(_) => ", not kept",
            Err(_) => "",
        };
        drop(done);
        told(&came) + after
    })
}

#[test]
fn answers() {
    for (says, expected) in [
        ("HTTP/1.1 200 OK|content-length: 5||hello", r#"200 "hello", kept"#),
        ("HTTP/1.1 200 OK|Content-Length: 5|content-length: 5||hello", r#"200 "hello", kept"#),
        ("HTTP/1.1 200|content-length: 0||", r#"200 "", kept"#),
        ("HTTP/1.1 599 |content-length: 2||no", r#"599 "no", kept"#),
        (
            "HTTP/1.1 200 OK|transfer-encoding: chunked||5;a=1;b=\"|\"|hello|",
            "1601: a chunk of the answer's body is broken",
        ),
        (
            "HTTP/1.1 200 OK|transfer-encoding: chunked||5;a=1;b=\"c\"|hello|B |, chunked w|3|ire|0|x: 1|y: 2||",
            r#"200 "hello, chunked wire", kept"#,
        ),
        // Answers before the answer.
        (
            "HTTP/1.1 100 Continue||HTTP/1.1 103 Hints|link: </a>||HTTP/1.1 200 OK|content-length: 2||ok",
            r#"200 "ok", kept"#,
        ),
        // After these another protocol is spoken, or none.
        ("HTTP/1.1 101 Switching Protocols|upgrade: x||", r#"101 "", not kept"#),
        ("HTTP/1.1 200 OK|connection: x, Close|content-length: 2||ok", r#"200 "ok", not kept"#),
        ("HTTP/1.0 200 OK|content-length: 2||ok", r#"200 "ok", not kept"#),
        ("HTTP/1.0 200 OK|content-length: 2|connection: Keep-Alive||ok", r#"200 "ok", kept"#),
        ("HTTP/1.1 200 OK||up to the end$", r#"200 "up to the end", not kept"#),
        ("HTTP/1.1 200 OK|transfer-encoding: gzip||up to the end$", r#"200 "up to the end", not kept"#),
        // These have no body, whatever they say.
        ("HTTP/1.1 204 No Content||", r#"204 "", kept"#),
        ("HTTP/1.1 304 Not Modified|content-length: 99||", r#"304 "", kept"#),
        // What nobody asked for is not the answer to the next request.
        ("HTTP/1.1 204 No Content||HTTP/1.1 200 OK|content-length: 0||", r#"204 "", not kept"#),
        ("HTTP/1.1 200 OK|content-length: 2||okay", r#"200 "ok", not kept"#),
        ("HTTP/1.1 200 OK|transfer-encoding: chunked||0|||", r#"200 "", not kept"#),
    ] {
        assert_eq!(came_of(&get(), says), expected, "{says}");
    }
    let to_head = "HTTP/1.1 200 OK|content-length: 99||";
    assert_eq!(came_of(&head(), to_head), r#"200 "", kept"#);
    let last = Sending { last: true, ..get() };
    assert_eq!(came_of(&last, "HTTP/1.1 200 OK|content-length: 2||ok"), r#"200 "ok", not kept"#);
}

#[test]
fn what_is_no_answer() {
    let many = format!("HTTP/1.1 200 OK|{}|", "a: b|".repeat(257));
    let long = format!("HTTP/1.1 200 OK|a: {}|", "b".repeat(300 << 10));
    for (says, expected) in [
        ("$", "1221: the connection ended before any answer"),
        ("HTTP/1.1 100 Continue||$", "1221: the connection ended before any answer"),
        ("HTTP/1.1 200 OK|conte$", "1221: the connection ended in the middle of the answer's head"),
        (
            "HTTP/1.1 200 OK|content-length: 5||hel$",
            "1221: the connection ended 2 bytes before the answer did",
        ),
        (
            "HTTP/1.1 200 OK|transfer-encoding: chunked||5|hello|$",
            "1221: the connection ended before the answer's last chunk",
        ),
        (
            "HTTP/1.1 200 OK|transfer-encoding: chunked||0|x: 1|$",
            "1221: the connection ended before the answer's last chunk",
        ),
        ("SSH-2.0-x|", "1601: the answer is not HTTP: invalid HTTP version"),
        ("HTTP/1.1 200 OK|content-length: 5|content-length: 6||hello", "1601: the answer has two lengths"),
        ("HTTP/1.1 200 OK|content-length: five||hello", "1601: the content-length is no number"),
        (
            "HTTP/1.1 200 OK|content-length: 5|transfer-encoding: chunked||0||",
            "1601: the answer has both a content-length and a transfer-encoding",
        ),
        (&many, "1601: the answer is not HTTP: too many headers"),
        (&long, "1601: the answer's head has more than 256 KiB"),
    ] {
        assert_eq!(came_of(&get(), says), expected, "{}", &says[..says.len().min(80)]);
    }
}

#[test]
fn an_answer_is_the_same_in_whatever_pieces_it_comes() {
    let text = wire(
        "HTTP/1.1 100 Continue||HTTP/1.1 200 OK|transfer-encoding: chunked|x: y||5;a|hello|0d|, whole world|0|z: 1||",
    );
    for size in 1..=text.len() {
        let mut inbox = Inbox::new(&get());
        let mut pieces = text.chunks(size);
        let head = loop {
            match inbox.take(pieces.next().expect("it ends with the last piece")) {
                Ok(Some(head)) => break head,
                Ok(None) => {}
                Err(failure) => panic!("by {size}: {failure:?}"),
            }
        };
        assert_eq!((pieces.next(), inbox.beyond, head.kept), (None, false, true), "by {size}");
        assert_eq!(
            (&inbox.body[..], head.fields["x"].as_bytes()),
            (&b"hello, whole world"[..], &b"y"[..]),
            "by {size}"
        );
    }
}

#[test]
fn what_is_not_wanted_is_read_and_not_kept() {
    let says = "HTTP/1.1 200 OK|x: y|set-cookie: a=b|content-length: 5||hello";
    let wanted = Wanted { fields: Fields::Acted, body: Keep::Nothing };
    let sending = Sending { wanted, ..get() };
    let mut inbox = Inbox::new(&sending);
    let head = inbox.take(&wire(says)).unwrap().expect("all of it");
    assert_eq!((head.fields.len(), inbox.body.capacity(), inbox.held.capacity()), (1, 0, 0));
    assert_eq!(came_of(&sending, says), r#"200 "", kept"#);
}

#[test]
fn a_body_goes_out_in_chunks_where_the_head_says_so() {
    let pieces =
        [Piece::repeated(Bytes::from_static(b"ab"), 3), Piece::bytes(Bytes::from_static(b"0123456789"))];
    let bytes = &wire("POST / HTTP/1.1|host: h|transfer-encoding: chunked||");
    let sending = Sending { bytes, body: Payload::pieces(pieces), chunked: true, ..get() };
    let (to, from) = channel();
    let server = move |mut stream: std::net::TcpStream| {
        let head = read_head(&mut stream);
        to.send(head + &read_head(&mut stream)).unwrap();
        stream.write_all(&wire("HTTP/1.1 200 OK|content-length: 0||")).unwrap();
    };
    let came = between(server, async |mut http1| told(&http1.exchange(&sending).await));
    assert_eq!(came, r#"200 """#);
    let sent = from.recv().unwrap().replace("\r\n", "|");
    let body = "2|ab|1|a|a|0123456789|0||";
    assert_eq!(sent, format!("POST / HTTP/1.1|host: h|transfer-encoding: chunked||{body}"));
}

/// A request that no socket's buffers hold.
fn large() -> Sending<'static> {
    let body = Piece::repeated(Bytes::from(vec![0; 64 << 10]), 256 << 20).into();
    Sending { bytes: b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 268435456\r\n\r\n", body, ..get() }
}

#[test]
fn an_answer_may_come_before_the_request_was_sent() {
    let early = "HTTP/1.1 413 Too Large|content-length: 2||no";
    assert_eq!(came_of(&large(), early), r#"413 "no", not kept"#);
}

#[test]
fn a_connection_that_breaks_while_it_is_sent_over_was_used() {
    let server = |mut stream: std::net::TcpStream| {
        read_head(&mut stream);
        reset(stream);
    };
    let came = between(server, async |mut http1| http1.exchange(&large()).await);
    let broken = came.expect_err("the server hung up");
    assert!(matches!(broken.failure.code, Code::Reset | Code::BrokenPipe), "{broken:?}");
    assert!(!broken.unsent, "a server may have acted on what it has read");
}

#[test]
fn a_connection_that_broke_before_is_seen_and_not_used() {
    for says in ["", "HTTP/1.1 408 Request Timeout|connection: close|content-length: 0||"] {
        let (connected, until) = channel();
        let server = move |mut stream: std::net::TcpStream| {
            until.recv().unwrap();
            stream.write_all(&wire(says)).unwrap();
            if says.is_empty() {
                reset(stream);
            }
        };
        between(server, async |mut http1| {
            connected.send(()).unwrap();
            while http1.is_usable().await {
                tokio::task::yield_now().await;
            }
            if says.is_empty() {
                let broken = http1.exchange(&get()).await.expect_err("it was reset");
                assert!(broken.unsent, "it may be sent over another: {broken:?}");
            }
        });
    }
}
