//! Sessions as flat operations.

use super::{CaptureOp, HttpOp, Lowering, Op};
use crate::expect::PreparedExpectation;
use crate::load::LoadError;
use crate::text::{Encode, Text};
use planc::graph::{Message, Step, StepKind, WebSocketStep, walk};
use std::collections::BTreeMap;
use std::time::Duration;

/// A step with samples of its own: its number, its name, its tags.
#[derive(Debug)]
pub(crate) struct Tagged {
    /// Step number.
    pub(crate) step: u32,
    /// Name of the step.
    pub(crate) name: String,
    /// Tags without slots.
    pub(crate) tags: BTreeMap<String, String>,
    /// Tags with slots.
    pub(crate) slotted_tags: Vec<(String, Text)>,
}

/// A session's beginning.
#[derive(Debug)]
pub(crate) struct SessionOp {
    /// Its samples.
    pub(crate) tagged: Tagged,
    /// The handshake.
    pub(crate) handshake: HttpOp,
    /// The subprotocol that the server must take.
    pub(crate) subprotocol: Option<String>,
    /// Whether any of its steps waits for messages: otherwise none are kept for it.
    pub(crate) receives: bool,
    /// Where its steps end.
    pub(crate) end: usize,
}

/// A message to the server.
#[derive(Debug)]
pub(crate) struct SendOp {
    /// Its samples.
    pub(crate) tagged: Tagged,
    /// The message.
    pub(crate) text: Text,
}

/// A message that is waited for.
#[derive(Debug)]
pub(crate) struct ReceiveOp {
    /// Its samples.
    pub(crate) tagged: Tagged,
    /// What it must hold.
    pub(crate) expect: Vec<PreparedExpectation>,
    /// Name of the check that it came.
    pub(crate) check: String,
    /// Values kept.
    pub(crate) captures: Vec<CaptureOp>,
    /// How long it may take; none means the session's timeout.
    pub(crate) within: Option<Duration>,
}

/// A ping.
#[derive(Debug)]
pub(crate) struct PingOp {
    /// Its samples.
    pub(crate) tagged: Tagged,
    /// How long the pong may take; none means the session's timeout.
    pub(crate) within: Option<Duration>,
}

/// A close before the end of the session's steps.
#[derive(Debug)]
pub(crate) struct CloseOp {
    /// Step number.
    pub(crate) step: u32,
    /// Name of the step.
    pub(crate) name: String,
    /// Status code of the close frame.
    pub(crate) code: u16,
    /// How long the server may take to close its side; none means the session's timeout.
    pub(crate) within: Option<Duration>,
}

impl Lowering<'_> {
    pub(super) fn session(
        &self,
        step: &Step,
        session: &WebSocketStep,
        group: &str,
        ops: &mut Vec<Op>,
    ) -> Result<(), LoadError> {
        let handshake =
            self.http(step, &session.handshake, group).map_err(|why| self.unprepared(step, &why))?;
        let mut receives = false;
        walk(&session.steps, &mut |inner| receives |= matches!(inner.kind, StepKind::Receive(_)));
        let at = ops.len();
        ops.push(Op::Open(Box::new(SessionOp {
            tagged: self.tagged(step, group),
            handshake,
            subprotocol: session.subprotocol.clone(),
            receives,
            end: 0,
        })));
        self.steps(&session.steps, group, ops)?;
        let behind = ops.len();
        ops.push(Op::SessionEnd);
        if let Op::Open(open) = &mut ops[at] {
            open.end = behind;
        }
        Ok(())
    }

    pub(super) fn in_session(&self, step: &Step, group: &str) -> Result<Op, String> {
        // Its samples are those of an open session.
        let mut tagged = self.tagged(step, group);
        tagged.tags.insert("status".to_owned(), "101".to_owned());
        Ok(match &step.kind {
            StepKind::Send(message) => {
                let text = match message {
                    Message::Json(json) => Text::json(json, &self.names),
                    Message::Text(text) => Text::new(text, Encode::Plain, &self.names),
                };
                Op::Send(Box::new(SendOp { tagged, text }))
            }
            StepKind::Receive(receive) => Op::Receive(Box::new(ReceiveOp {
                tagged,
                expect: receive.expect.iter().map(PreparedExpectation::new).collect::<Result<_, _>>()?,
                check: receive.check(),
                captures: receive.capture.iter().map(|c| self.capture(c)).collect::<Result<_, _>>()?,
                within: receive.within,
            })),
            StepKind::Ping { within } => Op::Ping(Box::new(PingOp { tagged, within: *within })),
            StepKind::Close { code, within } => Op::Close(Box::new(CloseOp {
                step: step.id.0,
                name: step.name.clone(),
                code: *code,
                within: *within,
            })),
            _ => return Err("is no step of a session".to_owned()),
        })
    }

    fn tagged(&self, step: &Step, group: &str) -> Tagged {
        let (tags, slotted_tags) = self.tags(step, group);
        Tagged { step: step.id.0, name: step.name.clone(), tags, slotted_tags }
    }
}
