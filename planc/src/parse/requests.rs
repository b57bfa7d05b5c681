//! HTTP requests as written.

use super::expect::show_template;
use super::{Map, Parser};
use crate::ast::{Body, Request, Text};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::expr::{Parsed, Segment, Template};
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
        map.known.extend(["headers", "query", "json", "form", "body", "timeout", "redirects", "expect"]);
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
        self.url_of(node, &["http://", "https://"], "a request goes to a path or to an absolute URL")
    }

    /// A path, or a URL of one of these schemes.
    pub(super) fn url_of(&mut self, node: &Node, schemes: &[&str], where_to: &str) -> Option<Text> {
        let url = self.text(node)?;
        let starts_well = match url.parsed.value.segments.first() {
            Some(Segment::Literal(text)) => {
                text.starts_with('/') || schemes.iter().any(|scheme| text.starts_with(scheme))
            }
            Some(Segment::Slot(_)) => true,
            None => false,
        };
        if !starts_well {
            let shown = show_template(&url.parsed.value);
            let diagnostic = Diagnostic::error(codes::BAD_VALUE, url.span, where_to);
            self.diagnostics.push(match shown.contains("://") {
                true => diagnostic,
                false => diagnostic.help(format!("write `/{shown}`")),
            });
            return None;
        }
        Some(url)
    }

    /// Headers, query, body and limits of a request whose URL is elsewhere.
    pub(super) fn request_rest(&mut self, map: &mut Map<'_>, span: Span, method: &'static str) -> Request {
        let head = self.request_head(map, span, method);
        let body = self.body(map);
        let redirects = self.typed_key(map, "redirects");
        Request { body, redirects, ..head }
    }

    /// Query, headers and timeout of a request whose URL is elsewhere.
    pub(super) fn request_head(&mut self, map: &mut Map<'_>, span: Span, method: &'static str) -> Request {
        let query = map.take("query").map_or(Vec::new(), |node| self.texts(node, "`query`"));
        let mut headers = map.take("headers").map_or(Vec::new(), |node| self.texts(node, "`headers`"));
        for (name, _) in &mut headers {
            name.value = self.header_name(&name.value, name.span);
        }
        headers.sort_by(|a, b| a.0.value.cmp(&b.0.value));
        let timeout = self.typed_key(map, "timeout");
        let url = Text { span, parsed: Parsed { value: Template::default(), uses: Vec::new() } };
        Request { method, url, query, headers, body: None, timeout, redirects: None }
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
        self.not_yet(map, "multipart", "`multipart`");
        self.not_yet(map, "jws", "`jws`");
        let mut found: Vec<(&str, Span)> = Vec::new();
        let mut body = None;
        for key in ["json", "form", "body"] {
            let Some(entry) = map.entry(key) else { continue };
            found.push((key, entry.key.span));
            let read = match key {
                "json" => self.json(&entry.value).map(Body::Json),
                "form" => Some(Body::Form(self.texts(&entry.value, "`form`"))),
                _ => self.raw_body(&entry.value, entry.key.span),
            };
            body = body.or(read);
        }
        if let [(first, _), (second, span), ..] = found.as_slice() {
            let message = format!("a request has one body: `{first}` and `{second}` stand side by side");
            self.error(codes::CONFLICTING_KEYS, *span, message);
        }
        body
    }

    fn raw_body(&mut self, node: &Node, at: Span) -> Option<Body> {
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            return self.text(node).map(Body::Text);
        }
        let mut map = self.map(node, "`body`", Some(at))?;
        self.not_yet(&mut map, "file", "a body from a file");
        let text = self.text_key(&mut map, "text").map(Body::Text);
        let zeros = self.typed_key(&mut map, "zeros").map(Body::Zeros);
        let random = self.typed_key(&mut map, "random").map(Body::Random);
        if map.entries.is_empty() {
            self.error(codes::MISSING_KEY, at, "`body` needs `text`, `zeros` or `random`");
        }
        self.finish(map);
        text.or(zeros).or(random)
    }
}
