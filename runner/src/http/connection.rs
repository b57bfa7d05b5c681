//! A connection: opened, timed, and used for one exchange at a time.

use super::error::{Code, Failure};
use super::h1::{Broken, Http1, Scratch, Sending};
use super::origin::Origin;
use super::payload::Payload;
use super::raw::Raw;
use super::tls::Secured;
use ::http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2;
use hyper::rt::{Executor, ReadBufCursor};
use planc::graph::Protocol;
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How connections of a run are made.
pub(crate) struct Dialer {
    /// Protocol spoken.
    pub(crate) protocol: Protocol,
    /// TLS configuration.
    pub(crate) tls: Secured,
    /// TLS configuration of WebSockets, which begin as HTTP/1.1.
    pub(crate) upgrade_tls: Secured,
    /// Name to verify and send in place of the URL's host.
    pub(crate) server_name: Option<String>,
    /// How many are open.
    pub(crate) open: Rc<Cell<u32>>,
    /// Where they read to.
    pub(crate) scratch: Scratch,
}

/// An open connection of one virtual user.
pub(crate) struct Connection {
    /// Where it leads.
    pub(crate) origin: Rc<Origin>,
    wire: Wire,
    clock: Rc<Clock>,
}

/// Where the time of opening went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Opening {
    /// TCP.
    pub(crate) connecting: Duration,
    /// TLS.
    pub(crate) handshaking: Duration,
}

/// A full answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status.
    pub(crate) status: StatusCode,
    /// Version.
    pub(crate) version: Version,
    /// Header fields, all or those by which a user agent acts.
    pub(crate) fields: HeaderMap,
    /// Body; empty unless asked for.
    pub(crate) body: Bytes,
}

/// A request as its protocol sends it.
pub(crate) enum Ask<'a> {
    /// Bytes.
    Http1(Sending<'a>),
    /// Frames, and how much of the answer's body is kept.
    Http2(Box<Request<Payload>>, Keep),
}

/// How much of an answer's body is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It is read and thrown away.
    Nothing,
    /// What people are told of it.
    Beginning,
    /// All of it; an answer of more than [`MOST_KEPT`] bytes has failed.
    All,
}

/// Bytes of a body that are kept at most: a virtual user must stay small.
pub(crate) const MOST_KEPT: usize = 16 << 20;
/// Bytes of a body that are kept for people.
const BEGINNING: usize = 64 << 10;

impl Keep {
    /// Adds a stretch of a body to what is kept of it.
    pub(super) fn take(self, content: &[u8], kept: &mut Vec<u8>) -> Result<(), Failure> {
        match self {
            Keep::Nothing => {}
            Keep::Beginning if kept.len() >= BEGINNING => {}
            Keep::All if kept.len() + content.len() > MOST_KEPT => {
                let what = format!("a body of more than {} MiB, which a step reads", MOST_KEPT >> 20);
                return Err(Failure::new(Code::Malformed, what));
            }
            Keep::Beginning | Keep::All => kept.extend_from_slice(content),
        }
        Ok(())
    }
}

/// When what happened on the wire during an exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Phases {
    /// First write; the moment of sending where nothing was written.
    pub(crate) sent: Instant,
    /// First to last write.
    pub(crate) sending: Duration,
    /// Last write to first byte of the answer.
    pub(crate) waiting: Duration,
    /// First to last byte of the answer.
    pub(crate) receiving: Duration,
    /// Bytes written to the socket.
    pub(crate) bytes_sent: u64,
    /// Bytes read from the socket.
    pub(crate) bytes_received: u64,
}

impl Phases {
    /// Nothing was sent at all.
    pub(crate) fn none() -> Self {
        Phases::at(Instant::now())
    }

    /// Nothing was sent since this moment.
    pub(crate) fn at(sent: Instant) -> Self {
        let none = Duration::ZERO;
        Phases { sent, sending: none, waiting: none, receiving: none, bytes_sent: 0, bytes_received: 0 }
    }

    /// First write to last byte.
    pub(crate) fn service(&self) -> Duration {
        self.sending + self.waiting + self.receiving
    }
}

enum Wire {
    Http1(Http1),
    Http2 { sender: http2::SendRequest<Payload>, driver: tokio::task::AbortHandle },
}

/// Moments of the current exchange, and bytes of the connection.
#[derive(Default)]
pub(crate) struct Clock {
    first_write: Cell<Option<Instant>>,
    last_write: Cell<Option<Instant>>,
    first_read: Cell<Option<Instant>>,
    last_read: Cell<Option<Instant>>,
    /// Bytes written to the socket and not yet taken.
    pub(super) sent: Cell<u64>,
    /// Bytes read from the socket and not yet taken.
    pub(super) received: Cell<u64>,
}

impl Connection {
    /// Opens a connection, to be `kept` or not. Times are told also when it fails.
    pub(crate) async fn open(
        dialer: &Dialer,
        origin: &Rc<Origin>,
        kept: bool,
        opening: &mut Opening,
    ) -> Result<Connection, Failure> {
        let raw = Raw::open(dialer, &dialer.tls.of(kept), origin, opening).await?;
        if dialer.protocol == Protocol::Http2 && !raw.speaks_http2() {
            return Err(Failure::new(Code::Http2, "the server does not offer HTTP/2"));
        }
        let clock = raw.clock.clone();
        let wire = match dialer.protocol {
            Protocol::Http1 => Wire::Http1(Http1::new(raw, dialer.scratch.clone())),
            Protocol::Http2 => Wire::http2(Timed { raw }).await.map_err(|e| Failure::exchange(&e))?,
        };
        Ok(Connection { origin: origin.clone(), wire, clock })
    }

    /// Whether the other side has left it open. Reads what has arrived since the last exchange.
    pub(crate) async fn is_usable(&mut self) -> bool {
        match &mut self.wire {
            Wire::Http1(http1) => http1.is_usable().await,
            Wire::Http2 { sender, .. } => !sender.is_closed(),
        }
    }

    /// Sends a request and reads the answer to its end.
    pub(crate) async fn exchange(&mut self, ask: &Ask<'_>) -> Result<Answer, Broken> {
        self.clock.begin();
        match (&mut self.wire, ask) {
            (Wire::Http1(http1), Ask::Http1(sending)) => http1.exchange(sending).await,
            (Wire::Http2 { sender, .. }, Ask::Http2(request, keep)) => {
                let response =
                    sender.try_send_request(Request::clone(request)).await.map_err(|mut error| {
                        let unsent = error.take_message().is_some();
                        Broken { failure: Failure::exchange(error.error()), unsent }
                    })?;
                // The connection's own frames are read too; only this is a byte of the answer.
                self.clock.first_read.set(Some(Instant::now()));
                read_answer(response, *keep).await.map_err(|failure| Broken { failure, unsent: false })
            }
            _ => unreachable!("a run speaks one protocol"),
        }
    }

    /// Times of the exchange that ended (or is being given up) now.
    pub(crate) fn phases(&self, sent: Instant) -> Phases {
        let clock = &self.clock;
        let first_write = clock.first_write.get().unwrap_or(sent);
        let last_write = clock.last_write.get().unwrap_or(first_write);
        // A server may answer before it has read all: then nothing was waited for.
        let first_read = clock.first_read.get().map(|at| at.max(first_write));
        let last_read = clock.last_read.get();
        Phases {
            sent: first_write,
            sending: first_read.map_or(last_write, |read| read.min(last_write)) - first_write,
            waiting: match first_read {
                Some(first_read) => first_read.saturating_duration_since(last_write),
                None => last_write.elapsed(),
            },
            receiving: match (first_read, last_read) {
                (Some(first), Some(last)) => last.saturating_duration_since(first),
                _ => Duration::ZERO,
            },
            bytes_sent: clock.sent.take(),
            bytes_received: clock.received.take(),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Wire::Http2 { driver, .. } = &self.wire {
            driver.abort();
        }
    }
}

impl Wire {
    async fn http2(io: Timed) -> hyper::Result<Wire> {
        let (sender, driver) = http2::Builder::new(Local)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(1 << 20)
            .handshake(io)
            .await?;
        // Its error reaches the request that waits; nobody else needs it.
        let task = tokio::task::spawn_local(async move { drop(driver.await) });
        Ok(Wire::Http2 { sender, driver: task.abort_handle() })
    }
}

async fn read_answer(response: Response<Incoming>, keep: Keep) -> Result<Answer, Failure> {
    let (head, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        if let Ok(data) = frame.map_err(|e| Failure::exchange(&e))?.into_data() {
            keep.take(&data, &mut body)?;
        }
    }
    Ok(Answer { status: head.status, version: head.version, fields: head.headers, body: body.into() })
}

impl Clock {
    /// Bytes sent and received since the last call.
    pub(crate) fn take_bytes(&self) -> (u64, u64) {
        (self.sent.take(), self.received.take())
    }

    fn begin(&self) {
        self.first_write.set(None);
        self.last_write.set(None);
        self.first_read.set(None);
        self.last_read.set(None);
    }

    /// Something was written, in a call that began at `begun`.
    pub(super) fn wrote(&self, begun: Instant) {
        if self.first_write.get().is_none() {
            self.first_write.set(Some(begun));
        }
        self.last_write.set(Some(Instant::now()));
    }

    /// Something was read.
    pub(super) fn read(&self) {
        let now = Instant::now();
        if self.first_read.get().is_none() && self.first_write.get().is_some() {
            self.first_read.set(Some(now));
        }
        self.last_read.set(Some(now));
    }
}

/// What HTTP/2 reads and writes: plain bytes with their moments, above TLS so that a late session
/// ticket is not taken for the first byte of an answer.
struct Timed {
    raw: Raw,
}

impl hyper::rt::Read for Timed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // SAFETY: the buffer is only lent to `poll_read`, which writes initialised bytes from its start, and the cursor
        // is advanced over exactly those.
        let mut buf = ReadBuf::uninit(unsafe { cursor.as_mut() });
        let polled = Pin::new(&mut this.raw).poll_read(cx, &mut buf);
        let read = buf.filled().len();
        if read > 0 {
            this.raw.clock.read();
            // SAFETY: `poll_read` filled these.
            unsafe { cursor.advance(read) };
        }
        polled
    }
}

impl hyper::rt::Write for Timed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().raw.poll_write_timed(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let begun = Instant::now();
        let polled = Pin::new(&mut this.raw).poll_write_vectored(cx, bufs);
        if polled.is_ready() {
            this.raw.clock.wrote(begun);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.raw.takes_vectors()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().raw).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().raw).poll_shutdown(cx)
    }
}

/// Runs HTTP/2's own tasks on the worker's thread.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}
