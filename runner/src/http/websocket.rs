//! A WebSocket: its handshake, its messages, its end. Buffers are small, since thousands of sessions lie idle at once.

use super::connection::{Clock, Dialer, MOST_KEPT, Opening};
use super::error::{Code, Failure};
use super::origin::Origin;
use super::raw::Raw;
use ::http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use ::http::{HeaderMap, HeaderValue, Request, Uri, response};
use futures_util::{Sink, SinkExt, StreamExt};
use hyper::body::Bytes;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Bytes that are read at once; longer messages get a buffer of their own length.
const READ_BUFFER: usize = 1_024;
/// Code of a session whose virtual user is gone.
const GOING_AWAY: u16 = 1001;

/// An open WebSocket of one virtual user.
pub(crate) struct Socket {
    stream: WebSocketStream<Raw>,
    clock: Rc<Clock>,
    /// A close frame was sent, or one is not worth sending any more.
    ended: bool,
}

/// What came over a socket.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message.
    Message(Bytes),
    /// The answer to a ping.
    Pong(Bytes),
    /// The other side closed, with this code where it gave one.
    Closed(Option<u16>),
}

/// What a handshake asks for.
pub(crate) struct Asked<'a> {
    /// Where.
    pub(crate) origin: &'a Origin,
    /// Path and query.
    pub(crate) uri: &'a Uri,
    /// Headers beside those of the handshake itself.
    pub(crate) headers: HeaderMap,
    /// The subprotocol that the server must take.
    pub(crate) subprotocol: Option<&'a str>,
    /// TLS sessions are resumed.
    pub(crate) kept: bool,
}

/// An answered handshake; without a socket where the server did not say 101.
pub(crate) type Answered = (response::Parts, Option<Socket>);

impl Socket {
    /// Opens a connection and shakes hands.
    pub(crate) async fn open(dialer: &Dialer, asked: Asked<'_>) -> Result<Answered, Failure> {
        let tls = dialer.upgrade_tls.of(asked.kept);
        let raw = Raw::open(dialer, &tls, asked.origin, &mut Opening::default()).await?;
        let clock = raw.clock.clone();
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(MOST_KEPT))
            .max_frame_size(Some(MOST_KEPT));
        match client_async_with_config(request(asked)?, raw, Some(config)).await {
            Ok((stream, response)) => {
                Ok((response.into_parts().0, Some(Socket { stream, clock, ended: false })))
            }
            Err(Error::Http(response)) => Ok((response.into_parts().0, None)),
            Err(error) => Err(failure(&error)),
        }
    }

    /// Sends a text message.
    pub(crate) async fn send(&mut self, text: String) -> Result<(), Failure> {
        self.put(Message::Text(text.into())).await
    }

    /// Sends a ping.
    pub(crate) async fn ping(&mut self, payload: Bytes) -> Result<(), Failure> {
        self.put(Message::Ping(payload)).await
    }

    /// Sends a close frame. The other side has closed when [`Socket::next`] says so.
    pub(crate) async fn close(&mut self, code: u16) -> Result<(), Failure> {
        self.ended = true;
        self.put(closing(code)).await
    }

    async fn put(&mut self, message: Message) -> Result<(), Failure> {
        self.stream.send(message).await.map_err(|error| failure(&error))
    }

    /// The next thing that comes. Pings are answered on the way.
    pub(crate) async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            return match self.stream.next().await {
                Some(Ok(Message::Ping(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Pong(payload))) => Ok(Event::Pong(payload)),
                Some(Ok(Message::Close(frame))) => {
                    self.ended = true;
                    self.flush_now();
                    Ok(Event::Closed(frame.map(|frame| frame.code.into())))
                }
                Some(Ok(message)) => Ok(Event::Message(message.into_data())),
                None | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => Ok(Event::Closed(None)),
                // Many a server ends the connection in place of answering the close frame.
                Some(Err(_)) if self.ended => Ok(Event::Closed(None)),
                Some(Err(error)) => {
                    self.ended = true;
                    Err(failure(&error))
                }
            };
        }
    }

    /// Bytes sent and received since the last call.
    pub(crate) fn take_bytes(&self) -> (u64, u64) {
        self.clock.take_bytes()
    }

    /// Writes what is buffered, as far as that goes without waiting.
    fn flush_now(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        drop(Pin::new(&mut self.stream).poll_flush(&mut cx));
    }
}

impl Drop for Socket {
    /// A user that is cut off takes its leave where that costs nothing.
    fn drop(&mut self) {
        if !self.ended && Pin::new(&mut self.stream).start_send(closing(GOING_AWAY)).is_ok() {
            self.flush_now();
        }
    }
}

fn closing(code: u16) -> Message {
    Message::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))
}

fn request(asked: Asked<'_>) -> Result<Request<()>, Failure> {
    let Asked { origin, uri, headers, subprotocol, .. } = asked;
    let scheme = if origin.secure { "wss" } else { "ws" };
    let unfit = |what: &str| Failure::new(Code::Other, format!("{what} is not one that a handshake carries"));
    let mut request = Request::new(());
    *request.uri_mut() =
        format!("{scheme}://{}{uri}", origin.authority).parse().map_err(|_| unfit("the path"))?;
    *request.headers_mut() = headers;
    let headers = request.headers_mut();
    if !headers.contains_key(HOST) {
        headers.insert(HOST, HeaderValue::from_str(&origin.authority).map_err(|_| unfit("the host"))?);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    let key = generate_key();
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&key).map_err(|_| unfit("the key"))?);
    if let Some(name) = subprotocol {
        let value = HeaderValue::from_str(name).map_err(|_| unfit("the subprotocol"))?;
        headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
    }
    Ok(request)
}

fn failure(error: &Error) -> Failure {
    let code = match error {
        Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Code::Reset,
            io::ErrorKind::BrokenPipe => Code::BrokenPipe,
            io::ErrorKind::UnexpectedEof => Code::Eof,
            _ => Code::Other,
        },
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete) => {
            Code::Eof
        }
        Error::ConnectionClosed | Error::AlreadyClosed => Code::WebSocketClosed,
        _ => Code::Malformed,
    };
    let message = match code {
        Code::Eof => "the server ended the connection without a close frame".to_owned(),
        _ => error.to_string(),
    };
    Failure::new(code, message)
}
