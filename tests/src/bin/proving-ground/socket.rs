//! Accepted connections, which a handler may ask to be reset.

use crate::ground::Shared;
use crate::tls::Handshakes;
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::server::TlsStream;

/// Who is at the other end, and the way to hang up on them.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    reset: Arc<AtomicBool>,
}

impl Peer {
    /// Has the connection closed with a TCP reset in place of the next byte that would be written to it.
    pub(crate) fn reset(&self) {
        self.reset.store(true, Ordering::Release);
    }
}

/// Accepts connections with `TCP_NODELAY`.
pub(crate) struct Listener {
    address: SocketAddr,
    kind: Kind,
    ground: Shared,
}

enum Kind {
    Plain(TcpListener),
    Tls(Handshakes),
}

impl Listener {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // A load generator connects all its users at once; a short backlog would time SYN retries instead of us.
        socket.listen(4096)
    }

    /// Serves over TLS when the ground is to be spoken to that way.
    pub(crate) fn new(listener: TcpListener, ground: &Shared) -> Result<Self, String> {
        let address = listener.local_addr().map_err(|e| format!("cannot tell the listening address: {e}"))?;
        let kind = match ground.secure {
            true => Kind::Tls(Handshakes::begin(listener, Shared::clone(ground))?),
            false => Kind::Plain(listener),
        };
        Ok(Listener { address, kind, ground: Shared::clone(ground) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl axum::serve::Listener for Listener {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Socket, SocketAddr) {
        let (stream, address) = match &mut self.kind {
            Kind::Tls(handshakes) => handshakes.next().await,
            Kind::Plain(listener) => loop {
                match TcpListener::accept(listener).await {
                    Ok((stream, address)) => {
                        let _ = stream.set_nodelay(true);
                        break (Stream::Plain(stream), address);
                    }
                    // Out of descriptors, or a client that left while it was queued: neither ends the server.
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            },
        };
        self.ground.stats.accepted.one_more();
        (Socket { stream, reset: Arc::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        Self { address: *stream.remote_addr(), reset: Arc::clone(&stream.io().reset) }
    }
}

/// A connection, plain or over TLS.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        }
    }
}

/// A stream that fails instead of writing once its peer is to be reset.
pub(crate) struct Socket {
    stream: Stream,
    reset: Arc<AtomicBool>,
}

impl Socket {
    /// The error makes hyper drop the stream; closing with no linger time is what sends RST and not FIN.
    fn check(&self) -> io::Result<()> {
        if !self.reset.load(Ordering::Acquire) {
            return Ok(());
        }
        let _ = self.stream.tcp().set_zero_linger();
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
