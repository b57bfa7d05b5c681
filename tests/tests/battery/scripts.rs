//! Servers that misbehave: each answers one request.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;
use tests::scripted::{Asked, Then, json, raw, reply, well};

type Done = io::Result<Then>;

pub(crate) fn never_answers(_: &Asked, _: &mut TcpStream) -> Done {
    loop {
        std::thread::park();
    }
}

pub(crate) fn answers_500_at_once(_: &Asked, stream: &mut TcpStream) -> Done {
    json(stream, 500, r#"{"error":"internal"}"#)
}

pub(crate) fn answers_a_wrong_body(_: &Asked, stream: &mut TcpStream) -> Done {
    json(stream, 200, r#"{"ok":false}"#)
}

pub(crate) fn answers_an_html_login_page(_: &Asked, stream: &mut TcpStream) -> Done {
    let page = "<!doctype html><title>Sign in</title><form method=post action=/login></form>";
    reply(stream, 200, "content-type: text/html\r\n", page)
}

/// Every hundredth request, at a gate of 1 %; the first few as well.
pub(crate) fn fails_two_of_a_hundred(asked: &Asked, stream: &mut TcpStream) -> Done {
    if asked.number.is_multiple_of(50) { answers_500_at_once(asked, stream) } else { well(asked, stream) }
}

pub(crate) fn limits_97_of_a_hundred(asked: &Asked, stream: &mut TcpStream) -> Done {
    match asked.number % 100 {
        0..3 => well(asked, stream),
        _ => reply(stream, 429, "retry-after: 1\r\n", ""),
    }
}

pub(crate) fn says_the_token_has_expired(_: &Asked, stream: &mut TcpStream) -> Done {
    json(stream, 401, r#"{"error":"token expired"}"#)
}

pub(crate) fn redirects_in_a_circle(asked: &Asked, stream: &mut TcpStream) -> Done {
    reply(stream, 302, &format!("location: {}?k=again\r\n", asked.path), "")
}

pub(crate) fn redirects_to_a_foreign_host(_: &Asked, stream: &mut TcpStream) -> Done {
    reply(stream, 302, "location: http://localhost:1/item\r\n", "")
}

pub(crate) fn promises_more_than_it_sends(_: &Asked, stream: &mut TcpStream) -> Done {
    raw(stream, "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"ok\":true,\"k\":\"0\"}")?;
    Ok(Then::Close)
}

pub(crate) fn sends_more_than_it_promises(_: &Asked, stream: &mut TcpStream) -> Done {
    raw(stream, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"ok\":true,\"k\":\"0\"}")?;
    Ok(Then::Keep)
}

pub(crate) fn never_ends_its_chunks(_: &Asked, stream: &mut TcpStream) -> Done {
    raw(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
    loop {
        raw(stream, "1\r\n \r\n")?;
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn answers_the_request_before(asked: &Asked, stream: &mut TcpStream) -> Done {
    let key = asked.query.strip_prefix("k=").and_then(|k| k.parse::<u64>().ok()).unwrap_or(0);
    well(&Asked { query: format!("k={}", key.wrapping_sub(1)), ..asked.clone() }, stream)
}

/// The second one comes when the next request may already be under way, and looks like its answer.
pub(crate) fn answers_twice(asked: &Asked, stream: &mut TcpStream) -> Done {
    well(asked, stream)?;
    std::thread::sleep(Duration::from_millis(50));
    well(asked, stream)
}

pub(crate) fn answers_with_32_mebibytes(_: &Asked, stream: &mut TcpStream) -> Done {
    let much = vec![b' '; 1 << 20];
    raw(stream, "HTTP/1.1 200 OK\r\ncontent-length: 33554432\r\n\r\n")?;
    for _ in 0..32 {
        stream.write_all(&much)?;
    }
    Ok(Then::Keep)
}

/// No length: the end of the connection is the end of the body, wherever it comes.
pub(crate) fn closes_amid_a_body_without_length(_: &Asked, stream: &mut TcpStream) -> Done {
    raw(stream, "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{\"ok\":tr")?;
    Ok(Then::Close)
}

pub(crate) fn speaks_http_1_0_and_closes(asked: &Asked, stream: &mut TcpStream) -> Done {
    let key = asked.query.strip_prefix("k=").unwrap_or("0");
    raw(stream, &format!("HTTP/1.0 200 OK\r\n\r\n{{\"ok\":true,\"k\":\"{key}\"}}"))?;
    Ok(Then::Close)
}

pub(crate) fn does_not_speak_http(_: &Asked, stream: &mut TcpStream) -> Done {
    raw(stream, "220 mail.example.test ESMTP\r\n")?;
    Ok(Then::Close)
}

pub(crate) fn gets_slower_with_every_request(asked: &Asked, stream: &mut TcpStream) -> Done {
    std::thread::sleep(Duration::from_micros(asked.number * 1_500));
    well(asked, stream)
}

pub(crate) fn is_slow_on_one_endpoint(asked: &Asked, stream: &mut TcpStream) -> Done {
    if asked.path == "/report" {
        std::thread::sleep(Duration::from_millis(400));
    }
    well(asked, stream)
}

pub(crate) fn needs_20_milliseconds(asked: &Asked, stream: &mut TcpStream) -> Done {
    std::thread::sleep(Duration::from_millis(20));
    well(asked, stream)
}

pub(crate) fn cannot_be_torn_down(asked: &Asked, stream: &mut TcpStream) -> Done {
    if asked.method == "DELETE" { json(stream, 409, r#"{"error":"in use"}"#) } else { well(asked, stream) }
}

pub(crate) fn cannot_be_set_up(asked: &Asked, stream: &mut TcpStream) -> Done {
    match asked.path.as_str() {
        "/shop" => json(stream, 503, r#"{"error":"closed"}"#),
        _ => well(asked, stream),
    }
}
