//! Bodies of requests.

use super::{JsonTemplate, Template};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A request's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// `application/json`.
    Json(JsonTemplate),
    /// `application/x-www-form-urlencoded`.
    Form(BTreeMap<String, Template>),
    /// `multipart/form-data`, in the order in which it is sent.
    Multipart(Vec<Part>),
    /// `text/plain; charset=utf-8` unless a header says otherwise.
    Text(Template),
    /// The bytes of a file, `application/octet-stream`; its path counts from the working folder.
    File(String),
    /// So many zero bytes, `application/octet-stream`.
    Zeros(u64),
    /// So many bytes that do not compress, `application/octet-stream`.
    Random(u64),
    /// `application/jose+json`: signed, as ACME wants its requests (RFC 8555, 6.2).
    Jws(Box<Jws>),
}

/// A signed request: flattened JSON of RFC 7515, ES256.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jws {
    /// Whose key signs.
    pub key: JwsKey,
    /// The server's nonce.
    pub nonce: Template,
    /// URL of the account; without it the public key is sent.
    pub kid: Option<Template>,
    /// What is signed; nothing is a POST-as-GET.
    pub payload: Option<JsonTemplate>,
}

/// Whose key signs a request. Keys come from the plan's seed: the same run after run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JwsKey {
    /// Each virtual user has one.
    Vu,
    /// Each iteration has one.
    Iteration,
}

/// One part of a `multipart` body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Name of the field.
    pub name: String,
    /// What it holds.
    pub content: Content,
    /// What the server is told that the file is called; none for a plain field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<Template>,
    /// Its `content-type`; none for a plain field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
}

/// What a part of a `multipart` body holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Content {
    /// Text.
    Text(Template),
    /// The bytes of a file; its path counts from the working folder.
    File(String),
    /// So many zero bytes.
    Zeros(u64),
    /// So many bytes that do not compress.
    Random(u64),
}

impl Body {
    /// Calls `see` with the path of every name in it.
    pub fn paths(&self, see: &mut dyn FnMut(&[String])) {
        match self {
            Body::Json(json) => json.paths(see),
            Body::Form(fields) => fields.values().for_each(|text| text.paths(see)),
            Body::Multipart(parts) => parts.iter().for_each(|part| part.paths(see)),
            Body::Text(text) => text.paths(see),
            Body::Jws(jws) => {
                jws.nonce.paths(see);
                jws.kid.iter().for_each(|kid| kid.paths(see));
                jws.payload.iter().for_each(|payload| payload.paths(see));
            }
            Body::File(_) | Body::Zeros(_) | Body::Random(_) => {}
        }
    }

    /// Calls `see` with the path of every file that is sent.
    pub fn files<'b>(&'b self, see: &mut dyn FnMut(&'b str)) {
        match self {
            Body::File(path) => see(path),
            Body::Multipart(parts) => {
                for part in parts {
                    if let Content::File(path) = &part.content {
                        see(path);
                    }
                }
            }
            Body::Json(_)
            | Body::Form(_)
            | Body::Text(_)
            | Body::Zeros(_)
            | Body::Random(_)
            | Body::Jws(_) => {}
        }
    }
}

impl Part {
    fn paths(&self, see: &mut dyn FnMut(&[String])) {
        self.filename.iter().for_each(|name| name.paths(see));
        if let Content::Text(text) = &self.content {
            text.paths(see);
        }
    }

    /// What stands before its content: slots of the file's name are already in place.
    ///
    /// `first` is the part that nothing stands before.
    pub fn head(&self, boundary: &str, filename: Option<&str>, first: bool) -> String {
        let mut head = String::from(if first { "--" } else { "\r\n--" });
        head.push_str(boundary);
        head.push_str("\r\ncontent-disposition: form-data; name=\"");
        quoted(&self.name, &mut head);
        if let Some(filename) = filename {
            head.push_str("\"; filename=\"");
            quoted(filename, &mut head);
        }
        head.push('"');
        if let Some(media_type) = &self.media_type {
            head.push_str("\r\ncontent-type: ");
            head.push_str(media_type);
        }
        head.push_str("\r\n\r\n");
        head
    }
}

/// What stands behind the last part.
pub fn multipart_end(boundary: &str) -> String {
    format!("\r\n--{boundary}--\r\n")
}

/// A name between quotes, escaped as browsers do it.
pub fn quoted(name: &str, out: &mut String) {
    for c in name.chars() {
        match c {
            '"' => out.push_str("%22"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_framed_as_browsers_do_it() {
        let part = |filename: Option<&str>, media_type: Option<&str>| Part {
            name: "tr\"ack".into(),
            content: Content::Zeros(1),
            filename: filename.map(Template::literal),
            media_type: media_type.map(String::from),
        };
        let field = part(None, None).head("b", None, true);
        assert_eq!(field, "--b\r\ncontent-disposition: form-data; name=\"tr%22ack\"\r\n\r\n");
        let file = part(Some("x"), Some("audio/mpeg")).head("b", Some("a\r\nb.mp3"), false);
        assert_eq!(
            file,
            "\r\n--b\r\ncontent-disposition: form-data; name=\"tr%22ack\"; filename=\"a%0D%0Ab.mp3\"\r\n\
             content-type: audio/mpeg\r\n\r\n"
        );
        assert_eq!(multipart_end("b"), "\r\n--b--\r\n");
    }
}
