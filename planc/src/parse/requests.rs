//! HTTP requests as written.

use super::expect::show_template;
use super::{Map, Parser};
use crate::ast::{Body, Jws, Part, Request, Text, Word};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expr::{Parsed, Segment, Template};
use crate::graph::JwsKey;
use crate::source::Span;
use crate::yaml::{Node, NodeKind};

/// Keys that are HTTP methods.
pub(super) const METHODS: [(&str, &str); 7] = [
    ("get", "GET"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("head", "HEAD"),
    ("options", "OPTIONS"),
];

/// What may hold a `jws`.
const SIGNERS: [&str; 2] = ["a step", "an endpoint"];

/// Whose key signs.
const KEYS: [(&str, JwsKey); 2] = [("vu", JwsKey::Vu), ("iteration", JwsKey::Iteration)];

impl Parser<'_> {
    /// The first method key of a map, and the request around it. `None` without a method.
    pub(super) fn request(&mut self, map: &mut Map<'_>) -> Option<Request> {
        let mut found: Option<(&'static str, Span)> = None;
        for (key, _) in METHODS {
            let Some(entry) = map.entry(key) else { continue };
            match found {
                None => found = Some((key, entry.key.span)),
                Some((first, _)) => {
                    let message =
                        format!("a request has one method: `{first}` and `{key}` stand side by side");
                    self.error(codes::CONFLICTING_KEYS, entry.key.span, message);
                }
            }
        }
        let Some((key, span)) = found else {
            let message = format!("{} needs a method and a path, such as `post: /path`", map.what);
            self.error(codes::MISSING_KEY, map.at, message);
            self.skip(map);
            return None;
        };
        self.request_tail(map, key, span)
    }

    /// Marks the keys of a request as known in a check whose kind could not be told.
    pub(super) fn skip(&mut self, map: &mut Map<'_>) {
        map.known.extend([
            "headers",
            "query",
            "json",
            "form",
            "multipart",
            "body",
            "timeout",
            "redirects",
            "expect",
        ]);
    }

    /// Reads the request that `key` begins; its other keys may stand in any place of the map.
    pub(super) fn request_tail(
        &mut self,
        map: &mut Map<'_>,
        key: &'static str,
        span: Span,
    ) -> Option<Request> {
        let method = METHODS.iter().find(|(name, _)| *name == key).map_or("GET", |(_, method)| method);
        let url = map.take(key).and_then(|node| self.url(node));
        let rest = self.request_rest(map, span, method);
        url.map(|url| Request { url, ..rest })
    }

    fn url(&mut self, node: &Node) -> Option<Text> {
        let url = self.text(node)?;
        let starts_well = match url.parsed.value.segments.first() {
            Some(Segment::Literal(text)) => {
                text.starts_with('/') || text.starts_with("http://") || text.starts_with("https://")
            }
            Some(Segment::Slot(_)) => true,
            None => false,
        };
        if !starts_well {
            let shown = show_template(&url.parsed.value);
            self.diagnostics.push(
                Diagnostic::error(
                    codes::BAD_VALUE,
                    url.span,
                    "a request goes to a path or to an absolute URL",
                )
                .help(format!("write `/{shown}`")),
            );
            return None;
        }
        Some(url)
    }

    /// Headers, query, body and limits of a request whose URL is elsewhere.
    pub(super) fn request_rest(&mut self, map: &mut Map<'_>, span: Span, method: &'static str) -> Request {
        let query = map.take("query").map_or(Vec::new(), |node| self.texts(node, "`query`"));
        let mut headers = map.take("headers").map_or(Vec::new(), |node| self.texts(node, "`headers`"));
        for (name, _) in &mut headers {
            name.value = self.header_name(&name.value, name.span);
        }
        headers.sort_by(|a, b| a.0.value.cmp(&b.0.value));
        let body = self.body(map);
        let timeout = self.typed_key(map, "timeout");
        let redirects = self.typed_key(map, "redirects");
        let url = Text { span, parsed: Parsed { value: Template::default(), uses: Vec::new() } };
        Request { method, url, query, headers, body, timeout, redirects }
    }

    pub(super) fn header_name(&mut self, name: &str, span: Span) -> String {
        let fine = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
        if !fine {
            self.error(codes::BAD_VALUE, span, format!("`{name}` is not the name of a header"));
        }
        name.to_ascii_lowercase()
    }

    fn body(&mut self, map: &mut Map<'_>) -> Option<Body> {
        let mut found: Vec<(&str, Span)> = Vec::new();
        let mut body = None;
        for key in ["json", "form", "multipart", "body"] {
            let Some(entry) = map.entry(key) else { continue };
            found.push((key, entry.key.span));
            let read = match key {
                "json" => self.json(&entry.value).map(Body::Json),
                "form" => Some(Body::Form(self.texts(&entry.value, "`form`"))),
                "multipart" => Some(self.multipart(&entry.value, entry.key.span)),
                _ => self.raw_body(&entry.value, entry.key.span),
            };
            body = body.or(read);
        }
        if let [(first, _), (second, span), ..] = found.as_slice() {
            let message = format!("a request has one body: `{first}` and `{second}` stand side by side");
            self.error(codes::CONFLICTING_KEYS, *span, message);
        }
        match map.entry("jws") {
            Some(entry) => {
                let (node, at) = (&entry.value, entry.key.span);
                self.jws(map.what, node, at, body, found.first().copied())
            }
            None => body,
        }
    }

    /// A signed body; `payload` and its key stand beside it.
    fn jws(
        &mut self,
        what: &'static str,
        node: &Node,
        at: Span,
        payload: Option<Body>,
        beside: Option<(&str, Span)>,
    ) -> Option<Body> {
        if !SIGNERS.contains(&what) {
            let message = format!("{what} cannot be signed: keys belong to virtual users");
            let diagnostic = Diagnostic::error(codes::BAD_VALUE, at, message);
            self.diagnostics.push(diagnostic.help("sign in the steps of a scenario, or in its `setup`"));
        }
        if let Some((key, span)) = beside.filter(|(key, _)| *key != "json") {
            let message = format!("`jws` signs a `json` payload: `{key}` cannot stand beside it");
            self.error(codes::CONFLICTING_KEYS, span, message);
        }
        let mut map = self.map(node, "`jws`", Some(at))?;
        let key = map.take("key").and_then(|node| self.choice(node, "`key`", &KEYS));
        let nonce = self.require(&mut map, "nonce").and_then(|node| self.text(node));
        let kid = self.text_key(&mut map, "kid");
        self.finish(map);
        let payload = match payload {
            Some(Body::Json(json)) => Some(json),
            _ => None,
        };
        Some(Body::Jws(Box::new(Jws { key, nonce: nonce?, kid, payload })))
    }

    fn raw_body(&mut self, node: &Node, at: Span) -> Option<Body> {
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            return self.text(node).map(Body::Text);
        }
        let mut map = self.map(node, "`body`", Some(at))?;
        let body = self.content(&mut map);
        self.finish(map);
        body
    }

    /// The one of `text file zeros random` that is there.
    fn content(&mut self, map: &mut Map<'_>) -> Option<Body> {
        const KINDS: [&str; 4] = ["text", "file", "zeros", "random"];
        let here = |key: &&str| map.entries.iter().find(|entry| entry.key.value == **key);
        let found: Vec<(&str, Span)> =
            KINDS.iter().filter_map(|key| Some((*key, here(key)?.key.span))).collect();
        if let [(first, _), (second, span), ..] = found.as_slice() {
            let message =
                format!("{} holds one thing: `{first}` and `{second}` stand side by side", map.what);
            self.error(codes::CONFLICTING_KEYS, *span, message);
        }
        if found.is_empty() && !KINDS.iter().any(|key| map.has_near(key)) {
            let message = format!("{} needs `text`, `file`, `zeros` or `random`", map.what);
            self.error(codes::MISSING_KEY, map.at, message);
        }
        let text = self.text_key(map, "text").map(Body::Text);
        let file = self.typed_key(map, "file").map(Body::File);
        let zeros = self.typed_key(map, "zeros").map(Body::Zeros);
        let random = self.typed_key(map, "random").map(Body::Random);
        text.or(file).or(zeros).or(random)
    }

    fn multipart(&mut self, node: &Node, at: Span) -> Body {
        let mut parts = Vec::new();
        for entry in self.named(node, "`multipart`") {
            // `files: [{ file: a }, { file: b }]` are two parts of one name.
            for item in self.one_or_many(&entry.value) {
                parts.extend(self.part(&entry.key, item));
            }
        }
        if matches!(&node.kind, NodeKind::Null | NodeKind::Mapping(_)) && node_is_empty(node) {
            self.error(codes::MISSING_KEY, at, "there is no part in `multipart`");
        }
        Body::Multipart(parts)
    }

    fn part(&mut self, name: &Word, node: &Node) -> Option<Part> {
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            let content = Body::Text(self.text(node)?);
            return Some(Part { name: name.clone(), content, filename: None, media_type: None });
        }
        let mut map = self.map(node, "a part", Some(name.span))?;
        let content = self.content(&mut map);
        let filename = self.text_key(&mut map, "filename");
        let media_type = self.typed_key(&mut map, "type");
        self.finish(map);
        Some(Part { name: name.clone(), content: content?, filename, media_type })
    }
}

fn node_is_empty(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Mapping(entries) => entries.is_empty(),
        _ => true,
    }
}
