//! A request as it goes onto the wire (RFC 9112).

use ::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use ::http::{HeaderMap, Method};
use hyper::body::Bytes;

/// Bytes of a body that go out in one write with the head: copying those is cheaper than another write.
pub(crate) const TOGETHER: u64 = 8 << 10;

/// Appends a head. `length` is the body's. A body that the plan itself calls encoded goes out in chunks, which is
/// what the result says: the last coding is always `chunked` (RFC 9112, 6.1).
pub(crate) fn write_head(
    out: &mut Vec<u8>,
    (method, target): (&Method, &str),
    authority: &str,
    fields: &HeaderMap,
    length: u64,
) -> bool {
    let coded = length > 0 && fields.contains_key(TRANSFER_ENCODING);
    write_line(out, method, target);
    if !fields.contains_key(HOST) {
        write_field(out, HOST.as_str(), authority.as_bytes());
    }
    for (name, value) in fields {
        if *name != CONTENT_LENGTH && (coded || *name != TRANSFER_ENCODING) {
            write_field(out, name.as_str(), value.as_bytes());
        }
    }
    match coded {
        true if ends_in_chunks(fields) => {}
        true => write_field(out, TRANSFER_ENCODING.as_str(), b"chunked"),
        false => write_length(out, method, length),
    }
    out.extend_from_slice(b"\r\n");
    coded
}

fn ends_in_chunks(fields: &HeaderMap) -> bool {
    let last = fields.get_all(TRANSFER_ENCODING).iter().next_back();
    last.and_then(|value| value.as_bytes().rsplit(|byte| *byte == b',').next())
        .is_some_and(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Whether a request says that it is the last of its connection (RFC 9112, 9.6).
pub(crate) fn closes(fields: &HeaderMap) -> bool {
    let options = fields.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    options.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(b"close"))
}

/// A piece of a body as a chunk (RFC 9112, 7.1).
pub(super) fn chunk(piece: &[u8]) -> Bytes {
    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
    chunk.extend_from_slice(piece);
    chunk.extend_from_slice(b"\r\n");
    chunk.into()
}

/// Appends the first line.
pub(crate) fn write_line(out: &mut Vec<u8>, method: &Method, target: &str) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Appends a field.
pub(crate) fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the body's length: also a length of 0 where the method is made for a body (RFC 9110, 8.6).
pub(crate) fn write_length(out: &mut Vec<u8>, method: &Method, length: u64) {
    if length > 0 || matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        write_field(out, CONTENT_LENGTH.as_str(), itoa(length, &mut [0; 20]));
    }
}

fn itoa(mut number: u64, room: &mut [u8; 20]) -> &[u8] {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &room[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::{HeaderName, HeaderValue};

    /// The head of a request to `/a?b`; line ends are written as `|`.
    fn head(method: Method, fields: &[(&'static str, &'static str)], length: u64) -> String {
        let fields = fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let fields: Vec<(HeaderName, HeaderValue)> = fields.collect();
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name, value);
        }
        let mut out = Vec::new();
        write_head(&mut out, (&method, "/a?b"), "h:1", &map, length);
        String::from_utf8(out).unwrap().replace("\r\n", "|")
    }

    #[test]
    fn heads_are_as_the_rfc_has_them() {
        let x = ("x-a", "1");
        let te = |value| ("transfer-encoding", value);
        for (written, expected) in [
            (head(Method::GET, &[], 0), "GET /a?b HTTP/1.1|host: h:1||"),
            (head(Method::GET, &[x, ("x-a", "2")], 0), "GET /a?b HTTP/1.1|host: h:1|x-a: 1|x-a: 2||"),
            (head(Method::GET, &[("host", "o")], 0), "GET /a?b HTTP/1.1|host: o||"),
            (head(Method::POST, &[], 0), "POST /a?b HTTP/1.1|host: h:1|content-length: 0||"),
            (head(Method::DELETE, &[], 9), "DELETE /a?b HTTP/1.1|host: h:1|content-length: 9||"),
            // The truth, whatever the plan says.
            (
                head(Method::PUT, &[("content-length", "99")], 1_234_567_890),
                "PUT /a?b HTTP/1.1|host: h:1|content-length: 1234567890||",
            ),
            (
                head(Method::POST, &[te("Chunked"), ("content-length", "9")], 9),
                "POST /a?b HTTP/1.1|host: h:1|transfer-encoding: Chunked||",
            ),
            (
                head(Method::POST, &[te("gzip"), te("br, chunked")], 9),
                "POST /a?b HTTP/1.1|host: h:1|transfer-encoding: gzip|transfer-encoding: br, chunked||",
            ),
            (
                head(Method::POST, &[te("gzip")], 9),
                "POST /a?b HTTP/1.1|host: h:1|transfer-encoding: gzip|transfer-encoding: chunked||",
            ),
            (head(Method::POST, &[te("chunked")], 0), "POST /a?b HTTP/1.1|host: h:1|content-length: 0||"),
        ] {
            assert_eq!(written, expected);
        }
        for number in [0, 9, 10, u64::MAX] {
            assert_eq!(itoa(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }

    #[test]
    fn the_last_request_of_a_connection_says_so() {
        for (value, expected) in
            [("close", true), ("TE, Close", true), ("keep-alive", false), ("closed", false)]
        {
            let fields = HeaderMap::from_iter([(CONNECTION, value.parse().unwrap())]);
            assert_eq!(closes(&fields), expected, "{value}");
        }
        assert!(!closes(&HeaderMap::new()));
    }
}
