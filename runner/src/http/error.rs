//! Why a request has no answer, with the codes that k6 users know.

use std::error::Error as _;
use std::io;

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What kind, the `error_code` tag.
    pub(crate) code: Code,
    /// For people.
    pub(crate) message: String,
    /// The text under which want of files or ports is counted.
    pub(crate) exhausted: Option<&'static str>,
}

/// The `error_code` tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub(crate) enum Code {
    /// Anything else.
    Other = 1000,
    /// No answer within the request's timeout.
    Timeout = 1050,
    /// The name does not resolve.
    Dns = 1101,
    /// The allow-list has no such host; nothing left.
    HostNotAllowed = 1111,
    /// Writing to a closed connection.
    BrokenPipe = 1201,
    /// Connecting failed in another way.
    Dial = 1210,
    /// No connection within the request's timeout.
    DialTimeout = 1211,
    /// Nobody listens.
    DialRefused = 1212,
    /// The connection was reset.
    Reset = 1220,
    /// The connection ended before the answer did.
    Eof = 1221,
    /// The TLS handshake failed.
    Tls = 1300,
    /// The certificate's issuer is not trusted.
    TlsUnknownAuthority = 1310,
    /// The certificate is for another name.
    TlsHostname = 1311,
    /// HTTP/2 failed.
    Http2 = 1600,
    /// The answer is not HTTP, or a message breaks the rules of WebSockets.
    Malformed = 1601,
    /// The server closed a WebSocket that still had steps to do.
    WebSocketClosed = 1701,
}

impl Code {
    /// The tag's value.
    pub(crate) fn tag(self) -> String {
        match self {
            Code::HostNotAllowed => "host_not_allowed".into(),
            other => (other as u16).to_string(),
        }
    }
}

impl Failure {
    /// A failure without more to it.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Failure { code, message: message.into(), exhausted: None }
    }

    /// A failure to connect.
    pub(crate) fn dial(error: &io::Error, to: &str) -> Self {
        let code = match error.kind() {
            io::ErrorKind::ConnectionRefused => Code::DialRefused,
            io::ErrorKind::TimedOut => Code::DialTimeout,
            io::ErrorKind::ConnectionReset => Code::Reset,
            _ => Code::Dial,
        };
        let exhausted = match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => Some("no more open files for connections"),
            Some(libc::EADDRNOTAVAIL) => Some("no more ephemeral ports for connections"),
            _ => None,
        };
        Failure { exhausted, ..Failure::new(code, format!("cannot connect to {to}: {error}")) }
    }

    /// A failed TLS handshake.
    pub(crate) fn tls(error: &io::Error) -> Self {
        use rustls::{CertificateError as Cert, Error as Tls};
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>());
        let code = match inner {
            Some(Tls::InvalidCertificate(Cert::UnknownIssuer)) => Code::TlsUnknownAuthority,
            Some(Tls::InvalidCertificate(Cert::NotValidForName | Cert::NotValidForNameContext { .. })) => {
                Code::TlsHostname
            }
            _ => Code::Tls,
        };
        Failure::new(code, format!("TLS handshake: {error}"))
    }

    /// A failure on an open connection.
    pub(crate) fn exchange(error: &hyper::Error) -> Self {
        let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        let code = match io.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted) => Code::Reset,
            Some(io::ErrorKind::BrokenPipe) => Code::BrokenPipe,
            Some(io::ErrorKind::UnexpectedEof) => Code::Eof,
            _ if error.is_incomplete_message() => Code::Eof,
            _ if error.is_parse() => Code::Malformed,
            _ if error.source().is_some_and(|s| s.to_string().contains("http2")) => Code::Http2,
            _ => Code::Other,
        };
        let message = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Failure::new(code, message)
    }
}
