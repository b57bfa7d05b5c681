//! A server that behaves as badly as a test asks: one thread a connection, raw bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A request as read.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) headers: String,
    pub(super) body: String,
}

/// What to do with a request.
pub(super) enum Deed {
    /// Status, extra header lines (each ended by CRLF), body.
    Reply(u16, String, String),
    /// Raw bytes, then close.
    Raw(Vec<u8>),
    /// Answer and close without saying so before.
    ReplyAndClose,
    /// Never answer.
    Hang,
    /// Reset the connection.
    Reset,
}

pub(super) struct Server {
    pub(super) url: String,
    pub(super) connections: Arc<AtomicUsize>,
    pub(super) seen: Arc<Mutex<Vec<Seen>>>,
}

pub(super) fn ok(body: &str) -> Deed {
    Deed::Reply(200, String::new(), body.to_owned())
}

impl Server {
    pub(super) fn start(deed: impl Fn(&Seen) -> Deed + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (count, log, deed) = (connections.clone(), seen.clone(), Arc::new(deed));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let (log, deed) = (log.clone(), deed.clone());
                std::thread::spawn(move || serve(stream, &log, &*deed));
            }
        });
        Server { url, connections, seen }
    }

    pub(super) fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, log: &Mutex<Vec<Seen>>, deed: &dyn Fn(&Seen) -> Deed) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(request) = read(&mut reader) {
        log.lock().unwrap().push(request.clone());
        let reply = |status: u16, headers: &str, body: &str| {
            format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
        };
        let written = match deed(&request) {
            Deed::Reply(status, headers, body) => writer.write_all(reply(status, &headers, &body).as_bytes()),
            Deed::Raw(bytes) => {
                let _ = writer.write_all(&bytes);
                return;
            }
            Deed::ReplyAndClose => {
                let _ = writer.write_all(reply(200, "", "bye").as_bytes());
                return;
            }
            Deed::Hang => loop {
                std::thread::park();
            },
            Deed::Reset => {
                let linger = libc::linger { l_onoff: 1, l_linger: 0 };
                // SAFETY: a plain setsockopt on a socket that is ours, with a struct of the length given.
                unsafe {
                    libc::setsockopt(
                        writer.as_raw_fd(),
                        libc::SOL_SOCKET,
                        libc::SO_LINGER,
                        (&raw const linger).cast(),
                        size_of::<libc::linger>() as u32,
                    );
                }
                return;
            }
        };
        if written.is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = String::new();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).ok()? == 0 {
            return None;
        }
        if header == "\r\n" {
            break;
        }
        headers.push_str(&header.to_ascii_lowercase());
    }
    let length = headers.lines().find_map(|h| h.strip_prefix("content-length: ")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { line: line.trim().to_owned(), headers, body: String::from_utf8_lossy(&body).into_owned() })
}
