//! Filling the holes of a request that was prepared as bytes.

use super::hop::{Hop, TRACEPARENT, unix_now};
use crate::body::{self, BodyPlan};
use crate::http::h1::{TOGETHER, write_field, write_length};
use crate::http::origin::Origin;
use crate::http::payload::Payload;
use crate::prepare::lean::{LeanPiece, LeanPlan};
use crate::prepare::{HttpOp, ScenarioProgram};
use crate::vu::Vu;
use ::http::header::{CONTENT_LENGTH, COOKIE, HOST};
use ::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use hyper::body::Bytes;
use planc::eval::EvalError;
use std::rc::Rc;
use std::time::Instant;

/// A request as bytes: the plan's own, or those in the virtual user's room.
pub(super) struct Lean {
    pub(super) origin: Rc<Origin>,
    /// From when the timeout counts.
    pub(super) begun: Instant,
    /// What of the body is not among the bytes.
    pub(super) payload: Payload,
    fixed: bool,
}

impl Lean {
    /// The bytes.
    pub(super) fn bytes<'a>(&self, op: &'a HttpOp, wire: &'a [u8]) -> &'a [u8] {
        match op.lean.as_ref().and_then(|plan| plan.whole.as_deref()) {
            Some(whole) if self.fixed => whole,
            _ => wire,
        }
    }

    /// The same request in its parts, for a redirect.
    pub(super) fn into_hop(self, op: &HttpOp, wire: &[u8]) -> Option<Hop> {
        let bytes = self.bytes(op, wire);
        let mut room = [httparse::EMPTY_HEADER; 256];
        let mut request = httparse::Request::new(&mut room);
        let Ok(httparse::Status::Complete(length)) = request.parse(bytes) else { return None };
        let uri: Uri = request.path?.parse().ok()?;
        let body = Bytes::copy_from_slice(&bytes[length..]);
        let payload = if body.is_empty() { self.payload } else { Payload::bytes(body) };
        let mut headers = HeaderMap::new();
        for field in request.headers.iter() {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            let ours = name == COOKIE || name == CONTENT_LENGTH || (name == HOST && !op.names(&HOST));
            if !ours {
                let mut value = HeaderValue::from_bytes(field.value).ok()?;
                value.set_sensitive(op.keeps_secret(&name));
                headers.append(name, value);
            }
        }
        Some(Hop { origin: self.origin, method: op.method.clone(), uri, headers, payload, begun: self.begun })
    }
}

/// The path in a request's first line.
pub(super) fn path(bytes: &[u8]) -> &str {
    let target = bytes.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    std::str::from_utf8(path).unwrap_or("/")
}

/// Fills the holes.
pub(super) fn render(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &HttpOp,
    plan: &LeanPlan,
) -> Result<Lean, EvalError> {
    let begun = Instant::now();
    let origin = vu.worker.target.clone();
    let lean = |payload, fixed| Lean { origin: origin.clone(), begun, payload, fixed };
    let cookies = op.cookies && !vu.jar.is_empty();
    if let (Some(_), BodyPlan::Fixed(payload), None, false) = (&plan.whole, &op.body, &vu.traced, cookies) {
        let apart = payload.length() > TOGETHER;
        return Ok(lean(if apart { payload.clone() } else { Payload::default() }, true));
    }
    let mut wire = std::mem::take(&mut vu.wire);
    let mut buffer = std::mem::take(&mut vu.buffer);
    wire.clear();
    let written = write(vu, scenario, op, plan, &mut wire, &mut buffer);
    (vu.wire, vu.buffer) = (wire, buffer);
    Ok(lean(written?, false))
}

/// Writes the request; gives what of the body goes out apart.
fn write(
    vu: &Vu,
    scenario: &ScenarioProgram,
    op: &HttpOp,
    plan: &LeanPlan,
    wire: &mut Vec<u8>,
    buffer: &mut String,
) -> Result<Payload, EvalError> {
    let scope = vu.scope(scenario);
    for piece in &plan.pieces {
        match piece {
            LeanPiece::Literal(bytes) => wire.extend_from_slice(bytes),
            LeanPiece::Target(text) => {
                buffer.clear();
                text.render(&scope, buffer)?;
                write_target(wire, buffer)?;
            }
            LeanPiece::Value(name, text) => {
                buffer.clear();
                text.render(&scope, buffer)?;
                if !buffer.bytes().all(is_field_byte) {
                    return Err(EvalError(format!("header `{name}` has characters no header carries")));
                }
                wire.extend_from_slice(buffer.as_bytes());
            }
        }
    }
    if let Some(traced) = &vu.traced {
        write_field(wire, TRACEPARENT.as_str(), traced.header().as_bytes());
    }
    if op.cookies && !vu.jar.is_empty() {
        let origin = &vu.worker.target;
        if let Some(cookies) = vu.jar.header(&origin.host, path(wire), origin.secure, unix_now()) {
            write_field(wire, COOKIE.as_str(), cookies.as_bytes());
        }
    }
    let apart = match &op.body {
        BodyPlan::Fixed(payload) => payload.clone(),
        BodyPlan::Parts(parts) => body::render_parts(parts, &scope, buffer)?,
        BodyPlan::Text(text) => {
            buffer.clear();
            text.render(&scope, buffer)?;
            if buffer.len() as u64 <= TOGETHER {
                write_length(wire, &op.method, buffer.len() as u64);
                wire.extend_from_slice(b"\r\n");
                wire.extend_from_slice(buffer.as_bytes());
                return Ok(Payload::default());
            }
            Payload::bytes(Bytes::copy_from_slice(buffer.as_bytes()))
        }
        BodyPlan::Jws(_) => unreachable!("a signed body is never prepared so"),
    };
    write_length(wire, &op.method, apart.length());
    wire.extend_from_slice(b"\r\n");
    if apart.length() > TOGETHER {
        return Ok(apart);
    }
    apart.append_to(wire);
    Ok(Payload::default())
}

/// Writes path and query; what is unusual in them is left to those who know all of RFC 3986.
fn write_target(wire: &mut Vec<u8>, target: &str) -> Result<(), EvalError> {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"/?=&-._~%+,:;@!$'()*".contains(&byte);
    if target.bytes().all(usual) {
        wire.extend_from_slice(target.as_bytes());
        return Ok(());
    }
    let uri: Uri = target.parse().map_err(|_| EvalError(format!("`{target}` is not a path")))?;
    wire.extend_from_slice(uri.path_and_query().map_or("/", |target| target.as_str()).as_bytes());
    Ok(())
}

/// Whether a field's value may hold it (RFC 9110, 5.5), line ends foremost not.
fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
