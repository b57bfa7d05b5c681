//! The bytes of a request's body where nothing is measured: fixtures, guards, tokens, checks.

use planc::eval;
use planc::expr::Scope;
use planc::graph::{Body, Content, Part, Template, multipart_end};
use std::borrow::Cow;

/// A line that stands in no content but by intent.
const BOUNDARY: &str = "planc-7f3c51d09be2486aa4e1";
const OCTETS: &str = "application/octet-stream";

/// A body's `content-type` and its bytes.
///
/// # Errors
/// Why a slot has no value, or a file cannot be read.
pub fn body_bytes(body: &Body, scope: &dyn Scope) -> Result<(Cow<'static, str>, Vec<u8>), String> {
    Ok(match body {
        Body::Json(template) => {
            let value = eval::json(template, scope).map_err(|e| e.0)?;
            ("application/json".into(), value.to_string().into_bytes())
        }
        Body::Form(form) => {
            let mut pairs = Vec::new();
            for (name, value) in form {
                pairs.push(format!("{}={}", encode(name), encode(&text(value, scope)?)));
            }
            ("application/x-www-form-urlencoded".into(), pairs.join("&").into_bytes())
        }
        Body::Multipart(parts) => {
            let kind = format!("multipart/form-data; boundary={BOUNDARY}");
            (kind.into(), multipart(parts, scope)?)
        }
        Body::Text(template) => ("text/plain; charset=utf-8".into(), text(template, scope)?.into_bytes()),
        Body::File(path) => (OCTETS.into(), file(path)?),
        Body::Zeros(length) => (OCTETS.into(), vec![0; *length as usize]),
        Body::Random(length) => (OCTETS.into(), random(*length, scope)),
        // The compiler refuses it here: only virtual users have keys.
        Body::Jws(_) => return Err("only the steps of a scenario are signed".into()),
    })
}

fn multipart(parts: &[Part], scope: &dyn Scope) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let filename = part.filename.as_ref().map(|name| text(name, scope)).transpose()?;
        out.extend_from_slice(part.head(BOUNDARY, filename.as_deref(), at == 0).as_bytes());
        match &part.content {
            Content::Text(template) => out.extend_from_slice(text(template, scope)?.as_bytes()),
            Content::File(path) => out.extend(file(path)?),
            Content::Zeros(length) => out.resize(out.len() + *length as usize, 0),
            Content::Random(length) => out.extend(random(*length, scope)),
        }
    }
    out.extend_from_slice(multipart_end(BOUNDARY).as_bytes());
    Ok(out)
}

fn text(template: &Template, scope: &dyn Scope) -> Result<String, String> {
    eval::render(template, scope).map_err(|e| e.0)
}

fn file(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("cannot read `{path}`: {e}"))
}

fn random(length: u64, scope: &dyn Scope) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length as usize + 8);
    while (bytes.len() as u64) < length {
        bytes.extend_from_slice(&scope.random().to_le_bytes());
    }
    bytes.truncate(length as usize);
    bytes
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use planc::graph::Json;

    struct Nothing;

    impl Scope for Nothing {
        fn get(&self, _: &[String]) -> Option<Json> {
            None
        }
        fn random(&self) -> u64 {
            7
        }
        fn now_micros(&self) -> i64 {
            0
        }
    }

    #[test]
    fn parts_are_sent_in_order_with_one_end() {
        let part = |name: &str, content, filename: Option<&str>| Part {
            name: name.into(),
            content,
            filename: filename.map(Template::literal),
            media_type: filename.map(|_| OCTETS.to_owned()),
        };
        let parts = vec![
            part("title", Content::Text(Template::literal("a song")), None),
            part("file", Content::Zeros(3), Some("a.bin")),
        ];
        let (kind, bytes) = body_bytes(&Body::Multipart(parts), &Nothing).expect("bytes");
        assert_eq!(kind, format!("multipart/form-data; boundary={BOUNDARY}"));
        let expected = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"title\"\r\n\r\na song\r\n\
             --{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
             content-type: {OCTETS}\r\n\r\n\0\0\0\r\n--{BOUNDARY}--\r\n"
        );
        assert_eq!(String::from_utf8(bytes).expect("text"), expected);
    }

    #[test]
    fn a_file_that_is_not_there_is_told_by_name() {
        let why = body_bytes(&Body::File("no/such.mp3".into()), &Nothing).unwrap_err();
        assert!(why.starts_with("cannot read `no/such.mp3`: "), "{why}");
    }
}
