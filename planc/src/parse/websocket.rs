//! WebSocket steps: the session, and what is done in it.

use super::expect::Subject;
use super::{Map, Parser, scalar_text};
use crate::ast::{Asked, Expect, HttpStep, Message, ReceiveStep, Request, StepKind, WebSocketStep};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::CaptureFrom;
use crate::source::Span;
use crate::yaml::{Node, NodeKind};

/// How a session's URL may begin, besides as a path.
const SCHEMES: [&str; 4] = ["ws://", "wss://", "http://", "https://"];

/// Headers that make a handshake.
const OWN_HEADERS: [&str; 6] = [
    "connection",
    "upgrade",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
];

impl Parser<'_> {
    pub(super) fn websocket(&mut self, map: &mut Map<'_>, node: &Node, span: Span) -> StepKind {
        let where_to = "a WebSocket goes to a path or to a `ws://` or `wss://` URL";
        let url = self.url_of(node, &SCHEMES, where_to);
        let rest = self.request_head(map, span, "GET");
        self.own_headers(&rest);
        let token = self.word_key(map, "token");
        let cookies = self.typed_key(map, "cookies");
        let subprotocol = self.typed_key(map, "subprotocol");
        let expect = map.take("expect").map_or(Vec::new(), |node| self.expect(node, Subject::Handshake));
        let on_failure = self.on_failure(map);
        let steps = self.inner_steps(map);
        let Some(url) = url else { return StepKind::Broken };
        let handshake = HttpStep {
            asked: Asked::Direct(Request { url, ..rest }),
            path_span: None,
            path: Vec::new(),
            token,
            cookies,
            expect,
            // An answer other than 101 is a failure by itself.
            checked: true,
            capture: Vec::new(),
            record: Vec::new(),
            on_failure,
        };
        StepKind::WebSocket(Box::new(WebSocketStep { handshake, subprotocol, steps }))
    }

    /// Refuses headers that the handshake itself sets.
    fn own_headers(&mut self, request: &Request) {
        for (name, _) in &request.headers {
            if !OWN_HEADERS.contains(&name.value.as_str()) {
                continue;
            }
            let message = format!("the handshake itself sets the header `{}`", name.value);
            let diagnostic = Diagnostic::error(codes::DUPLICATE_NAME, name.span, message);
            self.diagnostics.push(match name.value.as_str() {
                "sec-websocket-protocol" => diagnostic.help("write `subprotocol: …` in the step"),
                _ => diagnostic,
            });
        }
    }

    /// `{ json: … }`, `{ text: … }` or the text alone.
    pub(super) fn send(&mut self, node: &Node, at: Span) -> StepKind {
        if scalar_text(node).is_some() {
            return self.text(node).map_or(StepKind::Broken, |text| StepKind::Send(Message::Text(text)));
        }
        let Some(mut map) = self.map(node, "`send`", Some(at)) else { return StepKind::Broken };
        let json = map.take("json").map(|node| self.json(node).map(Message::Json));
        let text = map.take("text").map(|node| self.text(node).map(Message::Text));
        if map.entries.is_empty() {
            self.error(codes::MISSING_KEY, at, "`send` needs `json` or `text`");
        }
        self.finish(map);
        match (json, text) {
            (Some(_), Some(_)) => {
                self.error(codes::CONFLICTING_KEYS, at, "a message is `json` or `text`, not both");
                StepKind::Broken
            }
            (message, other) => message.or(other).flatten().map_or(StepKind::Broken, StepKind::Send),
        }
    }

    pub(super) fn receive(&mut self, map: &mut Map<'_>, node: &Node) -> StepKind {
        let expect = self.message(node);
        let within = self.typed_key(map, "within");
        let capture = map.take("capture").map_or(Vec::new(), |node| self.captures(node));
        for (name, from) in &capture {
            let what = match from {
                CaptureFrom::Header(_) => "headers",
                CaptureFrom::Cookie(_) => "cookies",
                CaptureFrom::Json(_) | CaptureFrom::Regex(_) | CaptureFrom::Body => continue,
            };
            self.diagnostics.push(
                Diagnostic::error(codes::BAD_VALUE, name.span, format!("a message has no {what}"))
                    .help("capture `json`, `regex` or `body` of it"),
            );
        }
        StepKind::Receive(Box::new(ReceiveStep { expect, within, capture }))
    }

    /// What a message must hold; `any` and nothing at all take the next one, whatever it is.
    fn message(&mut self, node: &Node) -> Vec<Expect> {
        if matches!(&node.kind, NodeKind::Scalar { text, .. } if text == "any") {
            return Vec::new();
        }
        let Some(mut map) = self.map(node, "`receive`", None) else { return Vec::new() };
        let mut out = Vec::new();
        self.expect_json(&mut map, &mut out);
        self.expect_body(&mut map, &mut out);
        self.finish(map);
        out
    }

    pub(super) fn ping(&mut self, node: &Node, at: Span) -> StepKind {
        let Some(mut map) = self.map(node, "`ping`", Some(at)) else { return StepKind::Broken };
        let within = self.typed_key(&mut map, "within");
        self.finish(map);
        StepKind::Ping { within }
    }

    pub(super) fn close(&mut self, node: &Node, at: Span) -> StepKind {
        let Some(mut map) = self.map(node, "`close`", Some(at)) else { return StepKind::Broken };
        let code = self.typed_key(&mut map, "code");
        let within = self.typed_key(&mut map, "within");
        self.finish(map);
        StepKind::Close { code, within }
    }
}
