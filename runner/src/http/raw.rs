//! The stream under whatever is spoken: TCP, with or without TLS, its bytes counted.

use super::connection::{Clock, Dialer, Opening};
use super::error::{Code, Failure};
use super::origin::Origin;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

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

/// An open stream to an origin.
pub(crate) struct Raw {
    stream: Stream,
    /// Moments and bytes of what is spoken over it.
    pub(crate) clock: Rc<Clock>,
    _open: Open,
}

impl Raw {
    /// Opens a stream. Times are told also when it fails.
    pub(crate) async fn open(
        dialer: &Dialer,
        tls: &Arc<ClientConfig>,
        origin: &Origin,
        opening: &mut Opening,
    ) -> Result<Raw, Failure> {
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
            let connected = tokio_rustls::TlsConnector::from(tls.clone()).connect(name, counted).await;
            opening.handshaking = begun.elapsed();
            Stream::Tls(Box::new(connected.map_err(|e| Failure::tls(&e))?))
        } else {
            Stream::Tcp(counted)
        };
        Ok(Raw { stream, clock, _open: open })
    }

    /// Over a socket that is open already.
    #[cfg(test)]
    pub(super) fn over(tcp: TcpStream) -> Raw {
        let clock = Rc::new(Clock::default());
        let stream = Stream::Tcp(Counted { inner: tcp, clock: clock.clone() });
        Raw { stream, clock, _open: Open::new(&Rc::default()) }
    }

    /// Whether both sides agreed on HTTP/2; over TCP that is known beforehand.
    pub(super) fn speaks_http2(&self) -> bool {
        match &self.stream {
            Stream::Tcp(_) => true,
            Stream::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2".as_slice()),
        }
    }

    /// A write of which the moments are kept.
    pub(super) fn poll_write_timed(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let begun = Instant::now();
        let polled = Pin::new(&mut *self).poll_write(cx, buf);
        if polled.is_ready() {
            self.clock.wrote(begun);
        }
        polled
    }

    /// Whether several buffers in one write are worth it.
    pub(super) fn takes_vectors(&self) -> bool {
        matches!(self.stream, Stream::Tcp(_))
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

impl AsyncRead for Raw {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Raw {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.takes_vectors()
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
