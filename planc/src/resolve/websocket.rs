//! WebSocket steps: where a session is open, and what its samples carry.

use super::Resolver;
use super::scope::Scope;
use super::steps::{Around, show_url};
use crate::ast::{self, StepKind};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::graph::{self, Segment, StatusPattern, StepId, Template};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the steps of an open session know of it.
#[derive(Clone)]
pub(super) struct Session {
    name: String,
    /// How long what says nothing of its own may take.
    timeout: Option<Duration>,
    /// Its `url` and `subprotocol` tags, and those that it writes itself.
    tags: BTreeMap<String, Template>,
}

impl Session {
    /// Puts the tags of a step's samples: the session's own, and the step's name where it has one.
    pub(super) fn tag(
        &self,
        own_name: Option<&str>,
        kind: &graph::StepKind,
        tags: &mut BTreeMap<String, Template>,
    ) {
        // Closing emits nothing.
        if matches!(kind, graph::StepKind::Close { .. }) {
            return;
        }
        for (tag, value) in &self.tags {
            tags.entry(tag.clone()).or_insert_with(|| value.clone());
        }
        let name = own_name.unwrap_or(&self.name);
        tags.entry("name".into()).or_insert_with(|| Template::literal(name));
    }
}

impl Resolver<'_> {
    /// A session with its steps, and its name unless it has one.
    pub(super) fn websocket(
        &mut self,
        step: &ast::WebSocketStep,
        id: StepId,
        own_name: &Option<String>,
        scope: &mut Scope,
        around: &Around,
    ) -> Option<(graph::StepKind, String)> {
        let span = self.places[id.0 as usize].span;
        if around.session.is_some() {
            let message = "a session is open already, and a virtual user has one at a time";
            self.error(codes::NO_SESSION, span, message);
        }
        let handshake = self.http_step(&step.handshake, id, scope, &[StatusPattern::Exact(101)]);
        let Some(mut handshake) = handshake else {
            self.places.truncate(id.0 as usize);
            return None;
        };
        handshake.request.url = over_http(handshake.request.url);
        let default_name = format!("websocket {}", shown(&handshake.request.url));
        handshake.request.redirects = 0;
        self.places[id.0 as usize].timeout = handshake.request.timeout;
        let subprotocol = step.subprotocol.as_ref().and_then(|subprotocol| self.typed(subprotocol));
        let session = Session {
            name: own_name.clone().unwrap_or_else(|| default_name.clone()),
            timeout: handshake.request.timeout,
            tags: session_tags(&handshake.request.url, subprotocol.as_deref()),
        };
        let inner = Around { session: Some(session), ..around.clone() };
        let steps = self.steps(&step.steps, scope, &inner);
        let kind =
            graph::StepKind::WebSocket(Box::new(graph::WebSocketStep { handshake, subprotocol, steps }));
        Some((kind, default_name))
    }

    /// A step of an open session, and its name unless it has one.
    pub(super) fn in_session(
        &mut self,
        step: &ast::Step,
        id: StepId,
        session: &Session,
        scope: &mut Scope,
    ) -> (graph::StepKind, String) {
        // Whether its message comes is what it is there to see.
        self.places[id.0 as usize].checked = true;
        let named = |what: &str| format!("{}: {what}", session.name);
        match &step.kind {
            StepKind::Send(message) => {
                let message = match message {
                    ast::Message::Json(json) => graph::Message::Json(self.json(json, scope)),
                    ast::Message::Text(text) => graph::Message::Text(self.text(text, scope)),
                };
                (graph::StepKind::Send(message), named("send"))
            }
            StepKind::Receive(receive) => {
                let expect = self.expectations(&receive.expect, scope);
                let within = self.within(receive.within.as_ref(), id, session);
                let capture = self.captures(&receive.capture, scope);
                self.places[id.0 as usize].expects = expect.iter().map(|one| one.name.clone()).collect();
                let receive = graph::Receive { expect, within, capture };
                let name = named(&receive.check());
                (graph::StepKind::Receive(Box::new(receive)), name)
            }
            StepKind::Close { code, within } => {
                let given = code.as_ref().and_then(|code| self.typed(code).map(|value| (value, code.span())));
                let within = self.within(within.as_ref(), id, session);
                if let Some((value, span)) = given.filter(|(value, _)| !may_be_sent(*value)) {
                    let message = format!("no one may close a session with {value}");
                    self.diagnostics.push(Diagnostic::error(codes::BAD_VALUE, span, message).help(
                        "write 1000, another of 1001 to 1014, or a code of your own from 3000 to 4999",
                    ));
                }
                let code = given.and_then(|(code, _)| u16::try_from(code).ok()).unwrap_or(1000);
                (graph::StepKind::Close { code, within }, named("close"))
            }
            StepKind::Ping { within } => {
                (graph::StepKind::Ping { within: self.within(within.as_ref(), id, session) }, named("ping"))
            }
            _ => unreachable!("asked for the steps of a session alone"),
        }
    }

    fn within(
        &mut self,
        within: Option<&ast::Typed<Duration>>,
        id: StepId,
        session: &Session,
    ) -> Option<Duration> {
        let within = self.part("within", |it| within.and_then(|within| it.typed(within)));
        self.places[id.0 as usize].timeout = within.or(session.timeout);
        within
    }

    /// Tells of a step that needs a session where none is open.
    pub(super) fn outside_of_session(&mut self, step: &ast::Step) {
        self.lost.steps = true;
        let word = word(&step.kind);
        self.diagnostics.push(
            Diagnostic::error(codes::NO_SESSION, step.span, format!("`{word}` needs an open WebSocket"))
                .help("write it under the `steps` of a `websocket`"),
        );
    }

    /// Tells of steps that come after the `close` of their session.
    pub(super) fn closed_too_soon(&mut self, steps: &[ast::Step]) {
        let mut after = steps.iter().skip_while(|step| !matches!(step.kind, StepKind::Close { .. }));
        let Some(close) = after.next() else { return };
        let late = after.find(|step| !word(&step.kind).is_empty());
        if let Some(late) = late {
            let message = format!("`{}` comes after the session is closed", word(&late.kind));
            self.diagnostics.push(
                Diagnostic::error(codes::NO_SESSION, late.span, message)
                    .also(close.span, "closed here")
                    .help("write it before `close`"),
            );
        }
    }
}

/// The word of a step that needs an open session.
fn word(kind: &StepKind) -> &'static str {
    match kind {
        StepKind::Send(_) => "send",
        StepKind::Receive(_) => "receive",
        StepKind::Ping { .. } => "ping",
        StepKind::Close { .. } => "close",
        _ => "",
    }
}

/// What every sample of a session carries besides its name.
pub(super) fn session_tags(url: &Template, subprotocol: Option<&str>) -> BTreeMap<String, Template> {
    let mut tags = BTreeMap::from([("url".to_string(), Template::literal(shown(url)))]);
    tags.extend(subprotocol.map(|name| ("subprotocol".to_string(), Template::literal(name))));
    tags
}

/// The URL that the handshake is sent to.
fn over_http(mut url: Template) -> Template {
    if let Some(Segment::Literal(text)) = url.segments.first_mut() {
        for (from, to) in [("ws://", "http://"), ("wss://", "https://")] {
            if let Some(rest) = text.strip_prefix(from) {
                *text = format!("{to}{rest}");
                break;
            }
        }
    }
    url
}

/// The URL as people know it.
fn shown(url: &Template) -> String {
    let shown = show_url(url);
    match shown.strip_prefix("http") {
        Some(rest) if rest.starts_with("://") || rest.starts_with("s://") => format!("ws{rest}"),
        _ => shown,
    }
}

/// Whether a close frame may carry the code (RFC 6455, section 7.4).
fn may_be_sent(code: u32) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
