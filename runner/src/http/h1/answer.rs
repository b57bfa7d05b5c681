//! An answer as it comes off the wire (RFC 9112): its head, and where its body ends.

use crate::http::error::{Code, Failure};
use ::http::header::{CONNECTION, CONTENT_LENGTH, LOCATION, SET_COOKIE, TRANSFER_ENCODING};
use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use httparse::Status;
use std::mem::MaybeUninit;

/// Bytes that a head may have at most.
pub(super) const MOST_HEAD: usize = 256 << 10;
/// Fields that a head may have at most.
const MOST_FIELDS: usize = 256;
/// Digits of a chunk's size that can be told from nonsense: 16 are 64 bits.
const MOST_DIGITS: u32 = 16;
/// Bytes of chunk extensions, or of trailers, at most.
const MOST_ASIDE: u32 = 64 << 10;

/// Which header fields of an answer are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fields {
    /// Those by which a user agent acts: cookies and where a redirect leads.
    Acted,
    /// All of them.
    All,
}

/// What stands before a body.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) fields: HeaderMap,
    pub(super) body: Framing,
    /// The connection may carry another exchange, once the body has ended.
    pub(super) kept: bool,
}

/// Where a body ends (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many more bytes.
    Length(u64),
    /// With its last chunk.
    Chunked(Chunks),
    /// With the connection.
    Close,
}

/// A head, whole or not.
#[derive(Debug)]
pub(super) enum Parsed {
    /// More bytes are needed.
    Partial,
    /// 100 to 199, to be passed over, and its length.
    Interim(usize),
    /// A head and its length.
    Whole(Head, usize),
}

/// Reads a head from the beginning of `bytes` (RFC 9112, 4 and 5); `to_head` says that it answers a HEAD request,
/// so that no body follows whatever it says of one (RFC 9110, 9.3.2). A header field that is folded over several
/// lines is refused (RFC 9112, 5.2).
pub(super) fn parse(bytes: &[u8], to_head: bool, fields: Fields) -> Result<Parsed, Failure> {
    let mut room = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, bytes, &mut room)
        .map_err(|error| malformed(format!("the answer is not HTTP: {error}")))?;
    let Status::Complete(length) = parsed else { return Ok(Parsed::Partial) };
    let code = response.code.unwrap_or_default();
    let version = if response.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    // After a 101 another protocol is spoken: it ends the exchange, and with it what the connection is good for.
    let switched = code == 101;
    if (100..200).contains(&code) && !switched {
        return Ok(Parsed::Interim(length));
    }
    let status = StatusCode::from_u16(code).map_err(|_| malformed(format!("there is no status {code}")))?;
    let mut said = Said::default();
    let mut kept = HeaderMap::new();
    for field in response.headers.iter() {
        said.hear(field)?;
        let acted = || is(field, &SET_COOKIE) || is(field, &LOCATION);
        if fields == Fields::All || acted() {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_bytes(field.value);
            if let (Ok(name), Ok(value)) = (name, value) {
                kept.append(name, value);
            }
        }
    }
    let bodiless = to_head || switched || code == 204 || code == 304;
    let body = if bodiless { Framing::Length(0) } else { said.framing(version)? };
    let stays = if version == Version::HTTP_10 { said.keep_alive } else { !switched };
    let kept_open = stays && !said.close && body != Framing::Close;
    Ok(Parsed::Whole(Head { status, version, fields: kept, body, kept: kept_open }, length))
}

fn malformed(message: String) -> Failure {
    Failure::new(Code::Malformed, message)
}

fn is(field: &httparse::Header<'_>, name: &HeaderName) -> bool {
    field.name.len() == name.as_str().len() && field.name.eq_ignore_ascii_case(name.as_str())
}

/// What a head says about its body and its connection.
#[derive(Debug, Default)]
struct Said {
    length: Option<u64>,
    encoded: bool,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Said {
    fn hear(&mut self, field: &httparse::Header<'_>) -> Result<(), Failure> {
        match field.name.len() {
            14 if is(field, &CONTENT_LENGTH) => {
                for part in field.value.split(|byte| *byte == b',') {
                    let length = decimal(part.trim_ascii());
                    let length = length.ok_or_else(|| malformed("the content-length is no number".into()))?;
                    if self.length.replace(length).is_some_and(|before| before != length) {
                        return Err(malformed("the answer has two lengths".into()));
                    }
                }
            }
            17 if is(field, &TRANSFER_ENCODING) => {
                for part in tokens(field.value) {
                    self.encoded = true;
                    // Only the last coding ends a body.
                    self.chunked = part.eq_ignore_ascii_case(b"chunked");
                }
            }
            10 if is(field, &CONNECTION) => {
                for part in tokens(field.value) {
                    self.close |= part.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= part.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the body ends. What could be read in two ways is refused (RFC 9112, 6.1 and 6.3): whatever stands
    /// between us and the server may have read it in the other.
    fn framing(&self, version: Version) -> Result<Framing, Failure> {
        match (self.encoded, self.length) {
            (true, Some(_)) => {
                Err(malformed("the answer has both a content-length and a transfer-encoding".into()))
            }
            (true, None) if version == Version::HTTP_10 => {
                Err(malformed("an answer of HTTP/1.0 has no transfer-encoding".into()))
            }
            (true, None) if self.chunked => Ok(Framing::Chunked(Chunks::default())),
            (_, None) => Ok(Framing::Close),
            (false, Some(length)) => Ok(Framing::Length(length)),
        }
    }
}

/// The elements of a comma-separated field.
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

impl Framing {
    /// Takes what of `bytes` belongs to the body, telling its content; gives how many bytes were taken.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        content: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        match self {
            Framing::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                if taken > 0 {
                    content(&bytes[..taken])?;
                }
                Ok(taken)
            }
            Framing::Chunked(chunks) => chunks.take(bytes, content),
            Framing::Close => {
                content(bytes)?;
                Ok(bytes.len())
            }
        }
    }

    /// Whether nothing of it is to come.
    pub(super) fn ended(&self) -> bool {
        match self {
            Framing::Length(left) => *left == 0,
            Framing::Chunked(chunks) => chunks.at == At::End,
            Framing::Close => false,
        }
    }
}

/// A body in chunks (RFC 9112, 7.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    at: At,
    /// The size being read, or bytes of the chunk that are left.
    size: u64,
    digits: u32,
    /// Bytes of extensions or trailers so far.
    aside: u32,
}

/// Where in a chunked body the next byte stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    Extension,
    SizeEnd,
    Data,
    DataEnd,
    DataEndLf,
    /// At the beginning of a trailer's line.
    Trailer,
    InTrailer,
    LastLf,
    End,
}

impl Chunks {
    fn take(
        &mut self,
        bytes: &[u8],
        content: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        let mut at = 0;
        while at < bytes.len() && self.at != At::End {
            if self.at == At::Data {
                let taken = usize::try_from(self.size).unwrap_or(usize::MAX).min(bytes.len() - at);
                content(&bytes[at..at + taken])?;
                self.size -= taken as u64;
                at += taken;
                if self.size == 0 {
                    self.at = At::DataEnd;
                }
                continue;
            }
            self.at = self.step(bytes[at])?;
            at += 1;
        }
        Ok(at)
    }

    /// What stands after this byte.
    fn step(&mut self, byte: u8) -> Result<At, Failure> {
        let broken = || malformed("a chunk of the answer's body is broken".into());
        match (self.at, byte) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if self.digits < MOST_DIGITS => {
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                self.size = self.size << 4 | u64::from(digit);
                self.digits += 1;
                Ok(At::Size)
            }
            (At::Size, b'\r') if self.digits > 0 => Ok(At::SizeEnd),
            (At::Size, b';' | b' ' | b'\t') if self.digits > 0 => Ok(At::Extension),
            (At::Extension, b'\r') => Ok(At::SizeEnd),
            (At::Extension, b'\n') => Err(broken()),
            (At::Extension, _) => self.aside(At::Extension),
            (At::SizeEnd, b'\n') => {
                self.digits = 0;
                Ok(if self.size == 0 { At::Trailer } else { At::Data })
            }
            (At::DataEnd, b'\r') => Ok(At::DataEndLf),
            (At::DataEndLf, b'\n') => Ok(At::Size),
            (At::Trailer, b'\r') => Ok(At::LastLf),
            (At::InTrailer, b'\n') => Ok(At::Trailer),
            (At::Trailer, b'\n') => Err(broken()),
            (At::Trailer | At::InTrailer, _) => self.aside(At::InTrailer),
            (At::LastLf, b'\n') => Ok(At::End),
            _ => Err(broken()),
        }
    }

    fn aside(&mut self, at: At) -> Result<At, Failure> {
        self.aside += 1;
        if self.aside > MOST_ASIDE {
            return Err(malformed("the answer's chunk extensions or trailers do not end".into()));
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        match parse(text.as_bytes(), false, Fields::All) {
            Ok(Parsed::Whole(head, length)) => {
                assert_eq!(length, text.len());
                head
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }

    /// What a body says when it comes in pieces of `size` bytes, and what of the bytes was not its own.
    fn body(mut framing: Framing, text: &str, size: usize) -> Result<(String, String), Failure> {
        let mut said = Vec::new();
        let mut rest = String::new();
        for piece in text.as_bytes().chunks(size) {
            let taken = framing.take(piece, &mut |content| {
                said.extend_from_slice(content);
                Ok(())
            })?;
            rest.push_str(&String::from_utf8_lossy(&piece[taken..]));
        }
        assert!(framing.ended() || framing == Framing::Close || rest.is_empty(), "{framing:?}");
        Ok((String::from_utf8(said).unwrap(), rest))
    }

    #[test]
    fn a_body_ends_where_the_rfc_says() {
        let chunked = Framing::Chunked(Chunks::default());
        for (lines, framing, kept) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5", Framing::Length(5), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5", Framing::Length(5), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close", Framing::Length(5), false),
            ("HTTP/1.1 200 OK\r\nConnection: Foo, CLOSE\r\ncontent-length: 0", Framing::Length(0), false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", chunked, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked", chunked, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked", chunked, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip", Framing::Close, false),
            ("HTTP/1.1 200", Framing::Close, false),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5", Framing::Length(0), true),
            ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked", Framing::Length(0), true),
            ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x", Framing::Length(0), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5", Framing::Length(5), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive", Framing::Length(5), true),
        ] {
            let head = head(&format!("{lines}\r\n\r\n"));
            assert_eq!((head.body, head.kept), (framing, kept), "{lines}");
        }
        let to_head = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", true, Fields::All);
        assert!(matches!(to_head, Ok(Parsed::Whole(Head { body: Framing::Length(0), kept: true, .. }, _))));
    }

    #[test]
    fn what_is_not_an_answer_is_told() {
        for (text, part) in [
            ("HELLO\r\n\r\n", "not HTTP"),
            ("HTTP/2 200\r\n\r\n", "not HTTP"),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "not HTTP"),
            ("HTTP/1.1 099 Odd\r\n\r\n", "no status 99"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "two lengths"),
            ("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "no number"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "no number"),
            ("HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", "no number"),
            ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", "no number"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "has both"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\n\r\n", "has both"),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0 has no"),
            ("HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n", "not HTTP"),
        ] {
            let error = parse(text.as_bytes(), false, Fields::Acted).expect_err(text);
            assert_eq!(error.code, Code::Malformed);
            assert!(error.message.contains(part), "{text:?}: {}", error.message);
        }
    }

    #[test]
    fn a_head_comes_in_parts_and_after_others() {
        let text = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nset-cookie: a=1\r\nx: y\r\nset-cookie: b=2\r\n\r\nrest";
        for end in 0..40 {
            assert!(matches!(parse(&text[..end], false, Fields::Acted), Ok(Parsed::Partial)), "{end}");
        }
        let Ok(Parsed::Interim(length)) = parse(text, false, Fields::Acted) else {
            panic!("an interim answer")
        };
        let rest = &text[length..];
        for (fields, names) in [(Fields::Acted, 1), (Fields::All, 2)] {
            let Ok(Parsed::Whole(head, length)) = parse(rest, false, fields) else { panic!("a head") };
            assert_eq!(&rest[length..], b"rest");
            assert_eq!((head.fields.keys_len(), head.fields.get_all(SET_COOKIE).iter().count()), (names, 2));
        }
    }

    #[test]
    fn bodies_are_the_same_however_they_come() {
        let chunked = Framing::Chunked(Chunks::default());
        for (framing, text, said, rest) in [
            (Framing::Length(5), "hellomore", "hello", "more"),
            (Framing::Length(0), "more", "", "more"),
            (Framing::Close, "hello", "hello", ""),
            (chunked, "5\r\nhello\r\n0\r\n\r\nmore", "hello", "more"),
            (
                chunked,
                "5;a=\"b\"\r\nhello\r\n00A \r\n, world by\r\n0\r\nx: y\r\nz: 1\r\n\r\n",
                "hello, world by",
                "",
            ),
            (chunked, "0\r\n\r\n", "", ""),
        ] {
            for size in 1..=text.len() {
                assert_eq!(body(framing, text, size), Ok((said.into(), rest.into())), "{text:?} by {size}");
            }
        }
        for text in [
            "x\r\n",
            "\r\n",
            "5\nhello",
            "5\r\nhelloX",
            "5\r\nhello\rX",
            "11111111111111111\r\n",
            "5;\n",
            "0\r\n\rX",
            "0\r\n\n",
        ] {
            let error = body(chunked, text, 3).expect_err(text);
            assert_eq!((error.code, error.message.contains("broken")), (Code::Malformed, true), "{text:?}");
        }
        let endless = format!("5;{}", "x".repeat(1 << 17));
        assert!(body(chunked, &endless, 4096).is_err_and(|error| error.message.contains("do not end")));
    }
}
