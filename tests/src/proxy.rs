//! A small TCP proxy that breaks the wire on purpose. Any target can be put behind it; what it does can be
//! changed at any moment, and it counts what it did.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What becomes of bytes and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Everything passes.
    Whole,
    /// Connections are taken, nothing passes in either direction.
    Hang,
    /// Nobody listens; open connections are reset.
    Refuse,
    /// A connection is reset once it is used.
    Reset,
    /// A connection is reset when it is used a second time.
    ResetReused,
    /// Answers pass so many bytes at a time.
    Trickle {
        /// Bytes.
        bytes: usize,
        /// Time between them.
        every: Duration,
    },
    /// Of every piece of an answer so many bytes pass, then the connection ends.
    CutAfter(usize),
    /// Every piece of an answer passes so much later.
    Late(Duration),
    /// Whatever is asked gets this answer before the request has come whole.
    Answers(&'static str),
    /// What was open at this moment is dead without a word; new connections work.
    HalfOpen,
}

/// The proxy; gone with the value.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    wire: watch::Sender<Wire>,
    counts: Arc<Counts>,
    runtime: Option<Runtime>,
    _port: TcpSocket,
}

const BACKLOG: u32 = 1_024;

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    broken: AtomicU64,
    bytes: AtomicU64,
}

impl Proxy {
    /// A whole wire to a target.
    pub fn to(target: SocketAddr) -> Proxy {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let inside = runtime.enter();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        // Bound and never listening: while it lives nobody else gets the port, listened to or not.
        let port = bound(any);
        let address = port.local_addr().expect("an address");
        let listener = bound(address).listen(BACKLOG).expect("the port is ours");
        let (wire, seen) = watch::channel(Wire::Whole);
        let counts = Arc::<Counts>::default();
        runtime.spawn(listen(listener, address, target, seen, Arc::clone(&counts)));
        drop(inside);
        Proxy { address, wire, counts, runtime: Some(runtime), _port: port }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on.
    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }

    /// So from now on, and whole again after a while.
    pub fn set_for(&self, wire: Wire, time: Duration) {
        self.set(wire);
        let again = self.wire.clone();
        self.runtime.as_ref().expect("it runs until it is dropped").spawn(async move {
            tokio::time::sleep(time).await;
            again.send_replace(Wire::Whole);
        });
    }

    /// Connections that were taken.
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Relaxed)
    }

    /// How often a connection was held, reset, cut or slowed down.
    pub fn broken(&self) -> u64 {
        self.counts.broken.load(Relaxed)
    }

    /// Bytes of answers that passed.
    pub fn bytes(&self) -> u64 {
        self.counts.bytes.load(Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Sleepers and held connections are not waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn listen(
    first: TcpListener,
    address: SocketAddr,
    target: SocketAddr,
    mut wire: watch::Receiver<Wire>,
    counts: Arc<Counts>,
) {
    let mut listener = first;
    loop {
        tokio::select! {
            changed = wire.changed() => if changed.is_err() { return },
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                counts.connections.fetch_add(1, Relaxed);
                tokio::spawn(carry(client, target, wire.clone(), Arc::clone(&counts)));
            }
        }
        if *wire.borrow_and_update() == Wire::Refuse {
            drop(listener);
            counts.broken.fetch_add(1, Relaxed);
            if wire.wait_for(|wire| *wire != Wire::Refuse).await.is_err() {
                return;
            }
            listener = bound(address).listen(BACKLOG).expect("the port is ours");
        }
    }
}

/// A socket on a port that others of ours may share.
fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseport(true).expect("an option of every socket");
    socket.bind(address).expect("a port of ours");
    socket
}

/// One connection, both directions.
async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    mut wire: watch::Receiver<Wire>,
    counts: Arc<Counts>,
) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let broke = || counts.broken.fetch_add(1, Relaxed);
    // New connections of a half-open wire are alive.
    let mut dead = false;
    let (mut answered, mut now) = (false, *wire.borrow_and_update());
    loop {
        if now == Wire::Refuse {
            broke();
            return reset(client);
        }
        if dead || now == Wire::Hang {
            broke();
            if wire.changed().await.is_err() {
                return;
            }
        } else {
            tokio::select! {
                changed = wire.changed() => if changed.is_err() { return },
                read = client.read(&mut up) => {
                    let Some(n) = read.ok().filter(|n| *n > 0) else { return };
                    if now == Wire::Reset || now == Wire::ResetReused && answered {
                        broke();
                        return reset(client);
                    }
                    if let Wire::Answers(text) = now {
                        broke();
                        return answer_early(client, text, &mut up).await;
                    }
                    if server.write_all(&up[..n]).await.is_err() {
                        return;
                    }
                }
                read = server.read(&mut down) => {
                    let Some(n) = read.ok().filter(|n| *n > 0) else { return };
                    answered = true;
                    if now != Wire::Whole && now != Wire::HalfOpen && now != Wire::ResetReused {
                        broke();
                    }
                    if deliver(&mut client, &down[..n], now, &counts).await.is_err() {
                        return;
                    }
                }
            }
        }
        if wire.has_changed().unwrap_or(false) || *wire.borrow() != now {
            now = *wire.borrow_and_update();
            dead = now == Wire::HalfOpen;
        }
    }
}

/// A piece of an answer; an error ends the connection.
async fn deliver(client: &mut TcpStream, piece: &[u8], wire: Wire, counts: &Counts) -> std::io::Result<()> {
    let pass = async |client: &mut TcpStream, bytes: &[u8]| {
        counts.bytes.fetch_add(bytes.len() as u64, Relaxed);
        client.write_all(bytes).await
    };
    match wire {
        Wire::Trickle { bytes, every } => {
            for few in piece.chunks(bytes) {
                pass(client, few).await?;
                tokio::time::sleep(every).await;
            }
            Ok(())
        }
        Wire::CutAfter(most) => {
            pass(client, &piece[..piece.len().min(most)]).await?;
            Err(std::io::ErrorKind::ConnectionAborted.into())
        }
        Wire::Late(time) => {
            tokio::time::sleep(time).await;
            pass(client, piece).await
        }
        _ => pass(client, piece).await,
    }
}

/// Answers what has not come whole yet, and reads the rest for nothing.
async fn answer_early(mut client: TcpStream, text: &str, rest: &mut [u8]) {
    if client.write_all(text.as_bytes()).await.is_ok() && client.shutdown().await.is_ok() {
        while client.read(rest).await.is_ok_and(|n| n > 0) {}
    }
}

/// Ends a connection with RST in place of FIN.
fn reset(client: TcpStream) {
    let _ = client.set_zero_linger();
}
