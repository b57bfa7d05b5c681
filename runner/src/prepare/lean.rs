//! Requests of which the bytes are known before the load, with holes for what differs.
//!
//! What can be prepared so is most of what plans send: HTTP/1.1 to a path of the target. The rest (HTTP/2, absolute
//! URLs, signed bodies, redirects, headers that say how the message itself is sent) is put together from its parts
//! each time.

use super::{SlottedHeader, UrlPlan};
use crate::body::BodyPlan;
use crate::http::h1::{TOGETHER, write_field, write_length, write_line};
use crate::text::Text;
use ::http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING};
use ::http::{HeaderMap, HeaderName, Method};

/// A request as bytes with holes.
#[derive(Debug)]
pub(crate) struct LeanPlan {
    /// The head up to what depends on the body and the virtual user.
    pub(crate) pieces: Vec<LeanPiece>,
    /// All of it, where nothing differs; a large body is left out.
    pub(crate) whole: Option<Vec<u8>>,
}

/// A stretch of a head.
#[derive(Debug)]
pub(crate) enum LeanPiece {
    /// The same each time.
    Literal(Vec<u8>),
    /// Path and query.
    Target(Text),
    /// The value of a header field.
    Value(HeaderName, Text),
}

impl LeanPlan {
    /// Prepares a request; none where it must be put together each time.
    pub(crate) fn new(
        method: &Method,
        url: &UrlPlan,
        headers: &HeaderMap,
        slotted: &[SlottedHeader],
        body: &BodyPlan,
        authority: &str,
    ) -> Option<LeanPlan> {
        let ours = |name: &HeaderName| [CONNECTION, COOKIE, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name);
        if headers.keys().any(ours) || slotted.iter().any(|(name, ..)| ours(name)) {
            return None;
        }
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        match url {
            UrlPlan::Fixed(uri) => write_line(&mut literal, method, uri.path_and_query()?.as_str()),
            UrlPlan::Path(text) => {
                literal.extend_from_slice(format!("{method} ").as_bytes());
                pieces.push(LeanPiece::Literal(std::mem::take(&mut literal)));
                pieces.push(LeanPiece::Target(text.clone()));
                literal.extend_from_slice(b" HTTP/1.1\r\n");
            }
            UrlPlan::Any(_) => return None,
        }
        if !headers.contains_key(HOST) && !slotted.iter().any(|(name, ..)| *name == HOST) {
            write_field(&mut literal, HOST.as_str(), authority.as_bytes());
        }
        for (name, value) in headers {
            write_field(&mut literal, name.as_str(), value.as_bytes());
        }
        for (name, text, _) in slotted {
            literal.extend_from_slice(format!("{name}: ").as_bytes());
            pieces.push(LeanPiece::Literal(std::mem::take(&mut literal)));
            pieces.push(LeanPiece::Value(name.clone(), text.clone()));
            literal.extend_from_slice(b"\r\n");
        }
        let whole = match body {
            BodyPlan::Jws(_) => return None,
            BodyPlan::Fixed(payload) if pieces.is_empty() => {
                let mut whole = literal.clone();
                write_length(&mut whole, method, payload.length());
                whole.extend_from_slice(b"\r\n");
                if payload.length() <= TOGETHER {
                    payload.append_to(&mut whole);
                }
                Some(whole)
            }
            _ => None,
        };
        pieces.push(LeanPiece::Literal(literal));
        Some(LeanPlan { pieces, whole })
    }
}
