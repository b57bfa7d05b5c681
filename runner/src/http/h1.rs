//! HTTP/1.1 from the user's side: one exchange at a time, over a stream that one virtual user owns.
//!
//! Our own and not hyper's, because the generator's cost per request is what users pay for: an exchange is one write,
//! one read and no allocation where nothing of the answer is kept, and it is polled by the virtual user itself. An idle
//! connection holds no buffer: all connections of a worker read into one.

mod answer;
mod request;

use super::connection::{Answer, Keep};
use super::error::{Code, Failure};
use super::payload::Payload;
use super::raw::Raw;
use answer::{Framing, Head, MOST_HEAD, Parsed, parse};
use hyper::body::{Body, Bytes};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use answer::Fields;
pub(crate) use request::{TOGETHER, closes, write_field, write_head, write_length, write_line};

/// Where all connections of a worker read to: what is in it is used up before another reads.
#[derive(Clone)]
pub(crate) struct Scratch(Rc<RefCell<Box<[u8]>>>);

impl Default for Scratch {
    fn default() -> Self {
        Scratch(Rc::new(RefCell::new(vec![0; 64 << 10].into())))
    }
}

/// A connection that speaks HTTP/1.1.
pub(super) struct Http1 {
    raw: Raw,
    scratch: Scratch,
    /// It may carry another exchange.
    kept: bool,
}

/// A request as bytes, and what of its answer is wanted.
pub(crate) struct Sending<'a> {
    /// The head, and the body where that is small.
    pub(crate) bytes: &'a [u8],
    /// The body where it is not in `bytes`.
    pub(crate) body: Payload,
    /// That body goes out in chunks, as the head says.
    pub(crate) chunked: bool,
    /// It is a HEAD request: its answer has no body.
    pub(crate) head: bool,
    /// The head says that the connection carries no other request.
    pub(crate) last: bool,
    /// What is kept of the answer.
    pub(crate) wanted: Wanted,
}

/// What is kept of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Header fields.
    pub(crate) fields: Fields,
    /// Body.
    pub(crate) body: Keep,
}

/// Why an exchange failed; `unsent` says that nothing of the request was written.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) failure: Failure,
    pub(crate) unsent: bool,
}

impl Http1 {
    /// Speaks over a stream.
    pub(super) fn new(raw: Raw, scratch: Scratch) -> Self {
        Http1 { raw, scratch, kept: true }
    }

    /// Whether the other side has left it open and said nothing since the last answer.
    pub(super) async fn is_usable(&mut self) -> bool {
        if !self.kept {
            return false;
        }
        let mut byte = [0; 1];
        poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut byte);
            Poll::Ready(Pin::new(&mut self.raw).poll_read(cx, &mut buf).is_pending())
        })
        .await
    }

    /// Sends a request and reads its answer to the end. After a failure the connection is not usable.
    pub(super) async fn exchange(&mut self, sending: &Sending<'_>) -> Result<Answer, Broken> {
        self.kept = false;
        let before = self.raw.clock.sent.get();
        let mut outbox = Outbox::new(sending);
        let mut inbox = Inbox::new(sending);
        let mut unwritten: Option<Failure> = None;
        let end = poll_fn(|cx| {
            if outbox.open {
                match outbox.poll(cx, &mut self.raw) {
                    Poll::Ready(Ok(())) => outbox.open = false,
                    // A server that hung up before it had read all may have said why (RFC 9112, 9.5).
                    Poll::Ready(Err(error)) => {
                        outbox.open = false;
                        let failure = failed(&error, "sending");
                        if self.raw.clock.sent.get() == before {
                            return Poll::Ready(Err(failure));
                        }
                        unwritten = Some(failure);
                    }
                    Poll::Pending => {}
                }
            }
            self.poll_answer(cx, &mut inbox)
        })
        .await;
        let unsent = self.raw.clock.sent.get() == before;
        let head = end.map_err(|failure| Broken { failure: unwritten.take().unwrap_or(failure), unsent })?;
        self.kept = head.kept && !sending.last && !inbox.beyond && !outbox.open && unwritten.is_none();
        Ok(Answer {
            status: head.status,
            version: head.version,
            fields: head.fields,
            body: inbox.body.into(),
        })
    }

    /// The head of an answer that was read to its end.
    fn poll_answer(&mut self, cx: &mut Context<'_>, inbox: &mut Inbox) -> Poll<Result<Head, Failure>> {
        let Http1 { raw, scratch, .. } = self;
        let mut room = scratch.0.borrow_mut();
        loop {
            let mut buf = ReadBuf::new(&mut room);
            let read = ready!(Pin::new(&mut *raw).poll_read(cx, &mut buf));
            read.map_err(|error| failed(&error, "reading the answer"))?;
            if buf.filled().is_empty() {
                return Poll::Ready(inbox.ended());
            }
            raw.clock.read();
            if let Some(head) = inbox.take(buf.filled())? {
                return Poll::Ready(Ok(head));
            }
        }
    }
}

fn failed(error: &io::Error, doing: &str) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Code::Reset,
        io::ErrorKind::BrokenPipe => Code::BrokenPipe,
        io::ErrorKind::UnexpectedEof => Code::Eof,
        _ => Code::Other,
    };
    Failure::new(code, format!("{doing}: {error}"))
}

/// A request on its way out.
struct Outbox<'a> {
    /// What is left of the head.
    bytes: &'a [u8],
    /// What is left of the piece of the body that is going out.
    piece: Bytes,
    body: Payload,
    /// The body goes out in chunks, of which the last is to come.
    chunked: bool,
    open: bool,
}

impl<'a> Outbox<'a> {
    fn new(sending: &Sending<'a>) -> Self {
        let Sending { bytes, chunked, .. } = *sending;
        Outbox { bytes, piece: Bytes::new(), body: sending.body.clone(), chunked, open: true }
    }

    fn poll(&mut self, cx: &mut Context<'_>, raw: &mut Raw) -> Poll<io::Result<()>> {
        while !self.bytes.is_empty() {
            let written = ready!(write(raw, cx, self.bytes))?;
            self.bytes = &self.bytes[written..];
        }
        loop {
            while !self.piece.is_empty() {
                let written = ready!(write(raw, cx, &self.piece))?;
                self.piece = self.piece.split_off(written);
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let piece = frame.into_data().unwrap_or_default();
                    self.piece = if self.chunked { request::chunk(&piece) } else { piece };
                }
                _ if std::mem::take(&mut self.chunked) => self.piece = request::chunk(&[]),
                _ => break,
            }
        }
        // Over TLS a write may still lie in a buffer.
        Pin::new(raw).poll_flush(cx)
    }
}

fn write(raw: &mut Raw, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    match ready!(raw.poll_write_timed(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        written => Poll::Ready(Ok(written)),
    }
}

/// An answer on its way in.
struct Inbox {
    wanted: Wanted,
    to_head: bool,
    /// The beginning of a head that has not come whole.
    held: Vec<u8>,
    head: Option<Head>,
    body: Vec<u8>,
    /// Something came after the answer.
    beyond: bool,
}

impl Inbox {
    fn new(sending: &Sending<'_>) -> Self {
        Inbox {
            wanted: sending.wanted,
            to_head: sending.head,
            held: Vec::new(),
            head: None,
            body: Vec::new(),
            beyond: false,
        }
    }

    /// Takes what has come; the head, once its body has come to its end.
    fn take(&mut self, bytes: &[u8]) -> Result<Option<Head>, Failure> {
        if self.held.is_empty() {
            return self.take_all(bytes);
        }
        let mut joined = std::mem::take(&mut self.held);
        joined.extend_from_slice(bytes);
        self.take_all(&joined)
    }

    fn take_all(&mut self, mut bytes: &[u8]) -> Result<Option<Head>, Failure> {
        while self.head.is_none() {
            match parse(bytes, self.to_head, self.wanted.fields)? {
                Parsed::Partial if bytes.len() > MOST_HEAD => {
                    let message = format!("the answer's head has more than {} KiB", MOST_HEAD >> 10);
                    return Err(Failure::new(Code::Malformed, message));
                }
                Parsed::Partial => {
                    self.held.extend_from_slice(bytes);
                    return Ok(None);
                }
                Parsed::Interim(length) => bytes = &bytes[length..],
                Parsed::Whole(head, length) => {
                    bytes = &bytes[length..];
                    self.head = Some(head);
                }
            }
        }
        let Inbox { wanted, head: Some(head), body, .. } = self else { return Ok(None) };
        let taken = head.body.take(bytes, &mut |content| wanted.body.take(content, body))?;
        self.beyond = taken < bytes.len();
        Ok(self.head.take_if(|head| head.body.ended()))
    }

    /// What the end of the connection makes of it (RFC 9112, 8).
    fn ended(&mut self) -> Result<Head, Failure> {
        let eof = |message: String| Err(Failure::new(Code::Eof, message));
        match self.head.take() {
            Some(head) => match head.body {
                Framing::Close => Ok(head),
                Framing::Length(left) => {
                    eof(format!("the connection ended {left} bytes before the answer did"))
                }
                Framing::Chunked(_) => eof("the connection ended before the answer's last chunk".into()),
            },
            None if self.held.is_empty() => eof("the connection ended before any answer".into()),
            None => eof("the connection ended in the middle of the answer's head".into()),
        }
    }
}

#[cfg(test)]
mod tests;
