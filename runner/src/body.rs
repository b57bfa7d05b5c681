//! Request bodies as prepared before the load: what is the same each time is one buffer that all users share, the
//! rest is rendered.

use crate::http::payload::{Payload, Piece};
use crate::sign::JwsPlan;
use crate::text::{Encode, InScope, Names, Text, mix};
use hyper::body::Bytes;
use planc::eval::EvalError;
use planc::graph::{Body, Content, Part, Template, multipart_end};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How many bytes of a `random` body differ before they repeat: more than any common compressor's window.
const RANDOM_CHUNK: usize = 1 << 20;
/// The chunk that a `zeros` body repeats.
const ZERO_CHUNK: usize = 64 << 10;
const OCTETS: &str = "application/octet-stream";

/// Files that bodies are made of, by path.
pub type Files = BTreeMap<String, bytes::Bytes>;

/// A request's body.
#[derive(Debug)]
pub(crate) enum BodyPlan {
    /// The same each time.
    Fixed(Payload),
    /// Text with slots.
    Text(Text),
    /// One after the other.
    Parts(Vec<PartPlan>),
    /// Signed.
    Jws(Box<JwsPlan>),
}

/// A stretch of a `multipart` body.
#[derive(Debug)]
pub(crate) enum PartPlan {
    /// Text with slots.
    Text(Text),
    /// The same each time.
    Fixed(Piece),
}

/// What bodies are made from.
pub(crate) struct Ground<'g> {
    /// Names in scope.
    pub(crate) names: &'g Names,
    /// The plan's seed.
    pub(crate) seed: u64,
    /// Files, read before.
    pub(crate) files: &'g Files,
}

/// A body and the `content-type` that it has unless a header says otherwise.
pub(crate) type Prepared = (BodyPlan, Option<Cow<'static, str>>);

impl BodyPlan {
    /// Prepares a body, or says which file was not read.
    pub(crate) fn new(body: Option<&Body>, ground: &Ground<'_>) -> Result<Prepared, String> {
        let Some(body) = body else { return Ok((BodyPlan::Fixed(Payload::default()), None)) };
        let (plan, kind): (BodyPlan, Cow<'static, str>) = match body {
            Body::Json(json) => (Text::json(json, ground.names).into(), "application/json".into()),
            Body::Form(fields) => {
                (form(fields, ground.names).into(), "application/x-www-form-urlencoded".into())
            }
            Body::Multipart(parts) => {
                let boundary = format!("planc-{:016x}{:016x}", mix(ground.seed), mix(!ground.seed));
                let kind = format!("multipart/form-data; boundary={boundary}");
                (multipart(parts, &boundary, ground)?, kind.into())
            }
            Body::Text(template) => {
                (Text::new(template, Encode::Plain, ground.names).into(), "text/plain; charset=utf-8".into())
            }
            Body::File(path) => (BodyPlan::Fixed(ground.file(path)?.into()), OCTETS.into()),
            Body::Zeros(length) => (BodyPlan::Fixed(zeros(*length).into()), OCTETS.into()),
            Body::Random(length) => (BodyPlan::Fixed(ground.random(*length).into()), OCTETS.into()),
            Body::Jws(jws) => {
                (BodyPlan::Jws(Box::new(JwsPlan::new(jws, ground.names))), "application/jose+json".into())
            }
        };
        Ok((plan, Some(kind)))
    }
}

impl From<Text> for BodyPlan {
    fn from(text: Text) -> Self {
        match text.as_literal() {
            Some(fixed) => BodyPlan::Fixed(Payload::bytes(Bytes::copy_from_slice(fixed.as_bytes()))),
            None => BodyPlan::Text(text),
        }
    }
}

fn form(fields: &BTreeMap<String, Template>, names: &Names) -> Text {
    let mut form = Text::default();
    for (at, (key, value)) in fields.iter().enumerate() {
        form.push_literal(if at == 0 { "" } else { "&" });
        form.push_encoded(&Template::literal(key.clone()), names);
        form.push_literal("=");
        form.push_encoded(value, names);
    }
    form
}

fn multipart(parts: &[Part], boundary: &str, ground: &Ground<'_>) -> Result<BodyPlan, String> {
    let mut plans = Vec::new();
    // What stands between two buffers is one text.
    let mut text = Text::default();
    for (at, part) in parts.iter().enumerate() {
        // The name is rendered in its place: what stands before and after it does not hang on it.
        let head = part.head(boundary, part.filename.as_ref().map(|_| "\0"), at == 0);
        let (before, after) = head.split_once('\0').unwrap_or((&head, ""));
        text.push_literal(before);
        if let Some(filename) = &part.filename {
            text.push_template(filename, Encode::Quoted, ground.names);
        }
        text.push_literal(after);
        let piece = match &part.content {
            Content::Text(template) => {
                text.push_template(template, Encode::Plain, ground.names);
                continue;
            }
            Content::File(path) => ground.file(path)?,
            Content::Zeros(length) => zeros(*length),
            Content::Random(length) => ground.random(*length),
        };
        plans.push(PartPlan::Text(std::mem::take(&mut text)));
        plans.push(PartPlan::Fixed(piece));
    }
    text.push_literal(&multipart_end(boundary));
    plans.push(PartPlan::Text(text));
    let fixed = plans.iter().map(|plan| match plan {
        PartPlan::Fixed(piece) => Some(piece.clone()),
        PartPlan::Text(text) => {
            text.as_literal().map(|text| Piece::bytes(Bytes::copy_from_slice(text.as_bytes())))
        }
    });
    Ok(match fixed.collect::<Option<Vec<Piece>>>() {
        Some(pieces) => BodyPlan::Fixed(Payload::pieces(pieces)),
        None => BodyPlan::Parts(plans),
    })
}

/// A body of parts, its texts rendered into one buffer.
pub(crate) fn render_parts(
    parts: &[PartPlan],
    scope: &InScope<'_>,
    buffer: &mut String,
) -> Result<Payload, EvalError> {
    buffer.clear();
    let mut ends = Vec::with_capacity(parts.len());
    for part in parts {
        if let PartPlan::Text(text) = part {
            text.render(scope, buffer)?;
        }
        ends.push(buffer.len());
    }
    let texts = Bytes::copy_from_slice(buffer.as_bytes());
    let mut from = 0;
    Ok(Payload::pieces(parts.iter().zip(ends).map(|(part, end)| {
        let begin = std::mem::replace(&mut from, end);
        match part {
            PartPlan::Text(_) => Piece::bytes(texts.slice(begin..end)),
            PartPlan::Fixed(piece) => piece.clone(),
        }
    })))
}

fn zeros(length: u64) -> Piece {
    let chunk = Bytes::from(vec![0; ZERO_CHUNK.min(usize::try_from(length).unwrap_or(ZERO_CHUNK))]);
    Piece::repeated(chunk, length)
}

impl Ground<'_> {
    fn file(&self, path: &str) -> Result<Piece, String> {
        let bytes = self.files.get(path).ok_or_else(|| format!("the file `{path}` was not read"))?;
        Ok(Piece::bytes(bytes.clone()))
    }

    fn random(&self, length: u64) -> Piece {
        let words = RANDOM_CHUNK.min(usize::try_from(length).unwrap_or(RANDOM_CHUNK)).div_ceil(8) as u64;
        let chunk = (0..words).flat_map(|at| mix(self.seed ^ mix(at)).to_le_bytes());
        Piece::repeated(Bytes::from(chunk.collect::<Vec<u8>>()), length)
    }
}
