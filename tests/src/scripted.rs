//! A tiny HTTP server that is well until it is told to misbehave: one thread a connection, raw bytes, so that
//! nothing is too wrong to be said.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its number from 1 in the order of arrival, health left out.
    pub number: u64,
    /// `GET`.
    pub method: String,
    /// Without its query.
    pub path: String,
    /// What stands after `?`.
    pub query: String,
}

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The next request is read.
    Keep,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
}

/// How a request is answered.
pub type Script = fn(&Asked, &mut TcpStream) -> io::Result<Then>;

/// The server. Its threads live until the process ends.
pub struct Scripted {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// Requests up to this number are answered well.
    well: u64,
    script: Script,
    asked: AtomicU64,
    struck: AtomicU64,
}

impl Scripted {
    /// A server that answers so many requests well and all others by the script. Health is always green.
    pub fn start(well: u64, script: Script) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (asked, struck) = (AtomicU64::new(0), AtomicU64::new(0));
        let state = Arc::new(State { well, script, asked, struck });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A client that goes away ends its connection and nothing else.
                std::thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Scripted { address, state }
    }

    /// Requests so far, health left out.
    pub fn asked(&self) -> u64 {
        self.state.asked.load(SeqCst)
    }

    /// Requests that the script answered.
    pub fn struck(&self) -> u64 {
        self.state.struck.load(SeqCst)
    }
}

/// Answers as a server that is well: what was asked for is named in the answer.
pub fn well(asked: &Asked, stream: &mut TcpStream) -> io::Result<Then> {
    let key = asked.query.strip_prefix("k=").unwrap_or("0");
    json(stream, 200, &format!(r#"{{"ok":true,"k":"{key}","token":"token-of-the-run"}}"#))
}

/// An answer with a JSON body.
pub fn json(stream: &mut TcpStream, status: u16, body: &str) -> io::Result<Then> {
    reply(stream, status, "content-type: application/json\r\n", body)
}

/// An answer with header lines, each ended by CRLF.
pub fn reply(stream: &mut TcpStream, status: u16, headers: &str, body: &str) -> io::Result<Then> {
    let length = body.len();
    raw(stream, &format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}"))?;
    Ok(Then::Keep)
}

/// Bytes as they are.
pub fn raw(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())
}

fn serve(stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(mut asked) = read(&mut reader)? {
        let then = if asked.path == "/health" {
            json(&mut writer, 200, r#"{"env":"test"}"#)?
        } else {
            asked.number = state.asked.fetch_add(1, SeqCst) + 1;
            if asked.number <= state.well {
                well(&asked, &mut writer)?
            } else {
                state.struck.fetch_add(1, SeqCst);
                (state.script)(&asked, &mut writer)?
            }
        };
        match then {
            Then::Keep => {}
            Then::Close => return Ok(()),
            Then::Reset => return reset(&writer),
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header == "\r\n" {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    io::copy(&mut reader.take(length), &mut io::sink())?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Ok(Some(Asked { number: 0, method, path: path.to_owned(), query: query.to_owned() }))
}

/// RST in place of FIN.
fn reset(stream: &TcpStream) -> io::Result<()> {
    use nix::libc;
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: a plain setsockopt on a socket that is ours, with a struct of the length given.
    let done = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as u32,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
