//! A connection: opened, timed, and used for one exchange at a time.

use super::error::{Code, Failure};
use super::origin::Origin;
use super::payload::Payload;
use super::tls::Secured;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::rt::{Executor, ReadBufCursor};
use hyper::{Request, Response};
use planc::graph::Protocol;
use rustls::pki_types::ServerName;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How connections of a run are made.
pub(crate) struct Dialer {
    /// Protocol spoken.
    pub(crate) protocol: Protocol,
    /// TLS configuration.
    pub(crate) tls: Secured,
    /// Name to verify and send in place of the URL's host.
    pub(crate) server_name: Option<String>,
    /// How many are open.
    pub(crate) open: Rc<Cell<u32>>,
}

/// Counts as one open connection until it is dropped.
struct Open(Rc<Cell<u32>>);

impl Open {
    fn new(count: &Rc<Cell<u32>>) -> Self {
        count.set(count.get() + 1);
        Open(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// An open connection of one virtual user.
pub(crate) struct Connection {
    /// Where it leads.
    pub(crate) origin: Rc<Origin>,
    wire: Wire,
    clock: Rc<Clock>,
    _open: Open,
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
    /// Status, headers, version.
    pub(crate) head: http::response::Parts,
    /// Body; empty unless asked for.
    pub(crate) body: Bytes,
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
const BEGINNING: usize = 64 << 10;

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
    Http1 {
        sender: http1::SendRequest<Payload>,
        /// Driven by whoever awaits an answer; none once it has ended.
        driver: Option<Pin<Box<http1::Connection<Timed, Payload>>>>,
    },
    Http2 {
        sender: http2::SendRequest<Payload>,
        driver: tokio::task::AbortHandle,
    },
}

/// Moments of the current exchange, and bytes of the connection.
#[derive(Default)]
struct Clock {
    first_write: Cell<Option<Instant>>,
    last_write: Cell<Option<Instant>>,
    first_read: Cell<Option<Instant>>,
    last_read: Cell<Option<Instant>>,
    sent: Cell<u64>,
    received: Cell<u64>,
}

impl Connection {
    /// Opens a connection, to be `kept` or not. Times are told also when it fails.
    pub(crate) async fn open(
        dialer: &Dialer,
        origin: &Rc<Origin>,
        kept: bool,
        opening: &mut Opening,
    ) -> Result<Connection, Failure> {
        let begun = Instant::now();
        let tcp = dial(origin).await;
        opening.connecting = begun.elapsed();
        let tcp = tcp?;
        let open = Open::new(&dialer.open);
        let clock = Rc::new(Clock::default());
        let counted = Counted { inner: tcp, clock: clock.clone() };
        let stream = if origin.secure {
            let begun = Instant::now();
            let name = dialer.server_name.clone().unwrap_or_else(|| origin.host.clone());
            let name = ServerName::try_from(name).map_err(|e| Failure::new(Code::Tls, e.to_string()))?;
            let connected =
                tokio_rustls::TlsConnector::from(dialer.tls.of(kept)).connect(name, counted).await;
            opening.handshaking = begun.elapsed();
            let stream = connected.map_err(|e| Failure::tls(&e))?;
            let alpn = stream.get_ref().1.alpn_protocol();
            if dialer.protocol == Protocol::Http2 && alpn != Some(b"h2".as_slice()) {
                return Err(Failure::new(Code::Http2, "the server does not offer HTTP/2"));
            }
            Stream::Tls(Box::new(stream))
        } else {
            Stream::Tcp(counted)
        };
        let wire = Wire::start(dialer.protocol, Timed { stream, clock: clock.clone() }).await;
        let wire = wire.map_err(|e| Failure::exchange(&e))?;
        Ok(Connection { origin: origin.clone(), wire, clock, _open: open })
    }

    /// Whether the other side has left it open. Reads what has arrived since the last exchange.
    pub(crate) async fn is_usable(&mut self) -> bool {
        match &mut self.wire {
            Wire::Http1 { sender, driver: Some(driver) } => {
                let ended = poll_fn(|cx| Poll::Ready(driver.as_mut().poll(cx).is_ready())).await;
                !ended && !sender.is_closed()
            }
            Wire::Http1 { driver: None, .. } => false,
            Wire::Http2 { sender, .. } => !sender.is_closed(),
        }
    }

    /// Sends a request and reads the answer to its end. A request of which nothing was written is given back.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Payload>,
        keep_body: Keep,
    ) -> Result<Answer, (Failure, Option<Request<Payload>>)> {
        self.clock.begin();
        match &mut self.wire {
            Wire::Http1 { sender, driver } => {
                let mut answered = pin!(sender.try_send_request(request));
                let response = driven(driver, |cx| answered.as_mut().poll(cx)).await;
                let response = response.map_err(|mut error| {
                    let unsent = error.take_message();
                    (Failure::exchange(error.error()), unsent)
                })?;
                read_answer(response, keep_body, driver).await.map_err(|failure| (failure, None))
            }
            Wire::Http2 { sender, .. } => {
                let response = sender.try_send_request(request).await.map_err(|mut error| {
                    let unsent = error.take_message();
                    (Failure::exchange(error.error()), unsent)
                })?;
                // The connection's own frames are read too; only this is a byte of the answer.
                self.clock.first_read.set(Some(Instant::now()));
                read_answer(response, keep_body, &mut None).await.map_err(|failure| (failure, None))
            }
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
    async fn start(protocol: Protocol, io: Timed) -> hyper::Result<Wire> {
        match protocol {
            Protocol::Http1 => {
                let (sender, driver) = http1::Builder::new().writev(false).handshake(io).await?;
                Ok(Wire::Http1 { sender, driver: Some(Box::pin(driver)) })
            }
            Protocol::Http2 => {
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
    }
}

async fn dial(origin: &Origin) -> Result<TcpStream, Failure> {
    let mut last = Failure::new(Code::Dns, format!("`{}` has no address", origin.host));
    for address in &origin.addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|e| Failure::dial(&e, &origin.authority))?;
                return Ok(stream);
            }
            Err(error) => last = Failure::dial(&error, &origin.authority),
        }
    }
    Err(last)
}

/// Awaits something of an HTTP/1 connection while driving the connection itself.
async fn driven<T>(
    driver: &mut Option<Pin<Box<http1::Connection<Timed, Payload>>>>,
    mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> T {
    poll_fn(|cx| {
        // Its error is also handed to what is wanted, which tells it better.
        if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
            *driver = None;
        }
        wanted(cx)
    })
    .await
}

async fn read_answer(
    response: Response<Incoming>,
    keep_body: Keep,
    driver: &mut Option<Pin<Box<http1::Connection<Timed, Payload>>>>,
) -> Result<Answer, Failure> {
    let (head, mut incoming) = response.into_parts();
    let mut body = Bytes::new();
    let mut more: Option<Vec<u8>> = None;
    while !hyper::body::Body::is_end_stream(&incoming) {
        let mut frame = incoming.frame();
        let Some(frame) = driven(driver, |cx| Pin::new(&mut frame).poll(cx)).await else { break };
        let Ok(data) = frame.map_err(|e| Failure::exchange(&e))?.into_data() else { continue };
        let kept = more.as_ref().map_or(body.len(), Vec::len);
        match (keep_body, &mut more) {
            (Keep::Nothing, _) => {}
            (Keep::Beginning, _) if kept >= BEGINNING => {}
            (Keep::All, _) if kept + data.len() > MOST_KEPT => {
                let what = format!("a body of more than {} MiB, which a step reads", MOST_KEPT >> 20);
                return Err(Failure::new(Code::Malformed, what));
            }
            (_, Some(more)) => more.extend_from_slice(&data),
            (_, None) if body.is_empty() => body = data,
            (_, None) => more = Some([&body[..], &data[..]].concat()),
        }
    }
    Ok(Answer { head, body: more.map_or(body, Bytes::from) })
}

impl Clock {
    fn begin(&self) {
        self.first_write.set(None);
        self.last_write.set(None);
        self.first_read.set(None);
        self.last_read.set(None);
    }

    fn wrote(&self, begun: Instant) {
        if self.first_write.get().is_none() {
            self.first_write.set(Some(begun));
        }
        self.last_write.set(Some(Instant::now()));
    }

    fn read(&self) {
        let now = Instant::now();
        if self.first_read.get().is_none() && self.first_write.get().is_some() {
            self.first_read.set(Some(now));
        }
        self.last_read.set(Some(now));
    }
}

/// A TCP stream that counts its bytes.
struct Counted {
    inner: TcpStream,
    clock: Rc<Clock>,
}

impl AsyncRead for Counted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        this.clock.received.set(this.clock.received.get() + read as u64);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.wrote(polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

impl Counted {
    fn wrote(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(written)) = &polled {
            self.clock.sent.set(self.clock.sent.get() + *written as u64);
        }
        polled
    }
}

enum Stream {
    Tcp(Counted),
    Tls(Box<tokio_rustls::client::TlsStream<Counted>>),
}

/// What hyper reads and writes: plain bytes with their moments, above TLS so that a late session
/// ticket is not taken for the first byte of an answer.
struct Timed {
    stream: Stream,
    clock: Rc<Clock>,
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
        let polled = match &mut this.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_read(cx, &mut buf),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, &mut buf),
        };
        let read = buf.filled().len();
        if read > 0 {
            this.clock.read();
            // SAFETY: `poll_read` filled these.
            unsafe { cursor.advance(read) };
        }
        polled
    }
}

impl hyper::rt::Write for Timed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let begun = Instant::now();
        let polled = match &mut this.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        };
        if polled.is_ready() {
            this.clock.wrote(begun);
        }
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let begun = Instant::now();
        let polled = match &mut this.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        };
        if polled.is_ready() {
            this.clock.wrote(begun);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self.stream, Stream::Tcp(_))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
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
