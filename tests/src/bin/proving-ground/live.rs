//! `/ws`: a room that is joined, echoes, ticks, by WebSocket.
//!
//! The server says `welcome` first. `{"type":"join","room":…}` is answered with `joined`; `{"type":"say",…}` goes to all
//! who joined the same room, as `said`; anything else comes back as `echo`. Every `tick_ms` (1000 unless the query says
//! otherwise, 0 for never) there is a `tick`.

use crate::failure::Failure;
use crate::ground::Shared;
use crate::routes::Routes;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

/// Bytes that are read at once: thousands of sessions lie idle.
const READ_BUFFER: usize = 1_024;
/// Words to a room that wait for a slow member.
const BACKLOG: usize = 64;
const A_DAY: Duration = Duration::from_secs(86_400);

/// What `PUT /_faults` takes for open sessions, besides what breaks a handshake as any other request.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LiveFault {
    /// Nothing is ever said; what comes is read. Pings are not answered either.
    silent: bool,
    /// Closed by the server so long after it was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    close_after_ms: Option<u64>,
    /// Every answer comes so much later.
    delay_ms: u64,
}

/// The rooms that somebody joined.
#[derive(Default)]
pub(crate) struct Rooms {
    rooms: Mutex<HashMap<String, broadcast::Sender<String>>>,
    opened: AtomicU64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wishes {
    tick_ms: Option<u64>,
}

pub(crate) fn routes(routes: &mut Routes) {
    routes.get("/ws", shake);
}

async fn shake(
    State(ground): State<Shared>,
    Query(wishes): Query<Wishes>,
    mut request: Request,
) -> Result<Response, Failure> {
    let headers = request.headers();
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| asks_for_websocket(headers)).cloned();
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (Some(key), Some(upgrade)) = (key, upgrade) else {
        return Err(Failure::error(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket"));
    };
    let protocol = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL).and_then(first_word);
    let every = Duration::from_millis(wishes.tick_ms.unwrap_or(1_000));
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let session = ground.rooms.opened.fetch_add(1, Ordering::Relaxed) + 1;
            // A client that leaves in the middle of a word is no trouble of ours.
            let _ = Session::new(upgraded, ground).await.talk(session, every).await;
        }
    });
    let accept = derive_accept_key(key.as_bytes());
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.extend(HeaderValue::from_str(&accept).map(|accept| (header::SEC_WEBSOCKET_ACCEPT, accept)));
    headers.extend(protocol.map(|protocol| (header::SEC_WEBSOCKET_PROTOCOL, protocol)));
    Ok(response)
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|upgrade| upgrade.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
}

/// The subprotocol that the client wants most.
fn first_word(offered: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_str(offered.to_str().ok()?.split(',').next()?.trim()).ok()
}

type Stream = WebSocketStream<TokioIo<Upgraded>>;
type Talk = Result<(), tokio_tungstenite::tungstenite::Error>;

struct Session {
    stream: Stream,
    ground: Shared,
    room: Option<(String, broadcast::Receiver<String>)>,
}

impl Session {
    async fn new(upgraded: Upgraded, ground: Shared) -> Session {
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
        let io = TokioIo::new(upgraded);
        let stream = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        Session { stream, ground, room: None }
    }

    async fn talk(mut self, number: u64, every: Duration) -> Talk {
        let opened = Instant::now();
        self.say(json!({ "type": "welcome", "session": number })).await?;
        let mut ticks = ticker(every);
        let mut tick = 0_u64;
        loop {
            let fault = self.fault();
            if fault.silent {
                // Reading would answer pings.
                sleep(Duration::from_millis(50)).await;
                continue;
            }
            let end = opened + fault.close_after_ms.map_or(A_DAY, Duration::from_millis);
            tokio::select! {
                heard = self.stream.next() => match heard {
                    Some(Ok(Message::Text(text))) => self.answer(&text).await?,
                    Some(Ok(Message::Close(_))) | None => return Ok(()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                },
                Some(said) = heard_in(&mut self.room) => self.stream.send(Message::Text(said.into())).await?,
                _ = ticks.tick() => {
                    tick += 1;
                    self.say(json!({ "type": "tick", "n": tick })).await?;
                }
                () = sleep_until(end) => return self.leave().await,
            }
        }
    }

    fn fault(&self) -> LiveFault {
        self.ground.faults.live()
    }

    async fn say(&mut self, what: Value) -> Talk {
        let fault = self.fault();
        if fault.silent {
            return Ok(());
        }
        if fault.delay_ms > 0 {
            sleep(Duration::from_millis(fault.delay_ms)).await;
        }
        self.stream.send(Message::Text(what.to_string().into())).await
    }

    async fn answer(&mut self, text: &str) -> Talk {
        let heard: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        let room = heard["room"].as_str().unwrap_or("lobby").to_owned();
        match heard["type"].as_str() {
            Some("join") => {
                self.room = Some((room.clone(), self.ground.rooms.join(&room)));
                self.say(json!({ "type": "joined", "room": room })).await
            }
            Some("say") => {
                let room = self.room.as_ref().map_or(room, |(joined, _)| joined.clone());
                let said = json!({ "type": "said", "room": room, "text": heard["text"] }).to_string();
                let delay = self.fault().delay_ms;
                if delay > 0 {
                    sleep(Duration::from_millis(delay)).await;
                }
                self.ground.rooms.say(&room, said);
                Ok(())
            }
            _ => self.say(json!({ "type": "echo", "of": text })).await,
        }
    }

    async fn leave(mut self) -> Talk {
        let frame = CloseFrame { code: CloseCode::Again, reason: "come back later".into() };
        self.stream.send(Message::Close(Some(frame))).await?;
        while self.stream.next().await.is_some_and(|heard| heard.is_ok()) {}
        Ok(())
    }
}

/// What is said in a room that was joined; never anything where none was.
async fn heard_in(room: &mut Option<(String, broadcast::Receiver<String>)>) -> Option<String> {
    let Some((_, room)) = room else { return std::future::pending().await };
    loop {
        match room.recv().await {
            Ok(said) => return Some(said),
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return std::future::pending().await,
        }
    }
}

fn ticker(every: Duration) -> Interval {
    let every = if every.is_zero() { A_DAY } else { every };
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Rooms {
    fn join(&self, room: &str) -> broadcast::Receiver<String> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        // Rooms that everybody has left go when the next is made.
        if !rooms.contains_key(room) {
            rooms.retain(|_, members| members.receiver_count() > 0);
        }
        rooms.entry(room.to_owned()).or_insert_with(|| broadcast::Sender::new(BACKLOG)).subscribe()
    }

    fn say(&self, room: &str, said: String) {
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(members) = rooms.get(room) {
            // Nobody may be listening any more.
            let _ = members.send(said);
        }
    }
}
