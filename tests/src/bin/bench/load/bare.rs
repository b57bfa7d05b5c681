//! An open model with nothing around it: one timerfd, one epoll, sockets that are there beforehand. What it is late by,
//! and what it spends, is what this machine asks of anybody.

use hdrhistogram::Histogram;
use nix::libc;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// How long answers are waited for when nothing more is due.
const GRACE: Duration = Duration::from_secs(5);
/// The timer's place among the sockets.
const TIMER: u64 = u64::MAX;
/// Bytes of an answer at most.
const ROOM: usize = 4 << 10;

/// What is sent, and how often.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The server: `http://ADDRESS:PORT`.
    url: String,
    /// Path of each request.
    path: String,
    /// Requests a second.
    #[arg(long)]
    rate: u32,
    #[arg(long)]
    seconds: u32,
    /// Connections, opened before the first request is due.
    #[arg(long)]
    connections: usize,
}

/// Sends at a constant rate, waits for the answers and prints what came of it as JSON.
pub(crate) fn measure(arguments: &Arguments) -> Result<(), String> {
    let played = Loop::new(arguments).and_then(Loop::play);
    println!("{}", played.map_err(|e| format!("{}: {e}", arguments.url))?);
    Ok(())
}

struct Loop {
    epoll: OwnedFd,
    timer: TimerFd,
    request: Vec<u8>,
    sockets: Vec<Socket>,
    free: Vec<usize>,
    rate: u32,
    total: u64,
    begun: Instant,
    lateness: Histogram<u64>,
    duration: Histogram<u64>,
    failed: u64,
    dropped: u64,
}

struct Socket {
    stream: TcpStream,
    due: Instant,
    buffer: Box<[u8; ROOM]>,
    filled: usize,
}

impl Loop {
    fn new(arguments: &Arguments) -> std::io::Result<Self> {
        let address = arguments.url.rsplit('/').next().unwrap_or_default();
        // SAFETY: epoll_create1 has no preconditions; the descriptor is ours alone.
        let epoll = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(std::io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        watch(&epoll, timer.as_fd().as_raw_fd(), TIMER)?;
        let mut sockets = Vec::with_capacity(arguments.connections);
        for at in 0..arguments.connections {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            watch(&epoll, stream.as_raw_fd(), at as u64)?;
            sockets.push(Socket { stream, due: Instant::now(), buffer: Box::new([0; ROOM]), filled: 0 });
        }
        let histogram = || Histogram::new(3).expect("three digits are possible");
        Ok(Loop {
            epoll,
            timer,
            request: format!("GET {} HTTP/1.1\r\nHost: {address}\r\n\r\n", arguments.path).into_bytes(),
            free: (0..sockets.len()).collect(),
            sockets,
            rate: arguments.rate,
            total: u64::from(arguments.rate) * u64::from(arguments.seconds),
            begun: Instant::now() + Duration::from_millis(10),
            lateness: histogram(),
            duration: histogram(),
            failed: 0,
            dropped: 0,
        })
    }

    fn due(&self, k: u64) -> Instant {
        self.begun + Duration::from_nanos(k * 1_000_000_000 / u64::from(self.rate))
    }

    fn play(mut self) -> std::io::Result<serde_json::Value> {
        let mut k = 0;
        self.arm(self.due(k))?;
        let last = self.due(self.total);
        let mut ready = [libc::epoll_event { events: 0, u64: 0 }; 256];
        while k < self.total || (self.free.len() < self.sockets.len() && Instant::now() < last + GRACE) {
            for event in wait(&self.epoll, &mut ready)? {
                match event.u64 {
                    TIMER => drop(nix::unistd::read(&self.timer, &mut [0; 8])),
                    at => self.read(at as usize),
                }
            }
            let released = k;
            while k < self.total && self.due(k) <= Instant::now() {
                self.release(k);
                k += 1;
            }
            if k > released && k < self.total {
                self.arm(self.due(k))?;
            }
        }
        Ok(self.told())
    }

    /// Has the timer fire at a moment, and at once when that is past.
    fn arm(&self, due: Instant) -> std::io::Result<()> {
        let wait = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(wait));
        Ok(self.timer.set(expiration, TimerSetTimeFlags::empty())?)
    }

    fn release(&mut self, k: u64) {
        let due = self.due(k);
        let late = Instant::now().saturating_duration_since(due);
        // A growing histogram takes every value.
        let _ = self.lateness.record(late.as_micros() as u64);
        let Some(at) = self.free.pop() else {
            self.dropped += 1;
            return;
        };
        let socket = &mut self.sockets[at];
        (socket.due, socket.filled) = (due, 0);
        if socket.stream.write_all(&self.request).is_err() {
            // It is not used again.
            self.failed += 1;
        }
    }

    fn read(&mut self, at: usize) {
        let socket = &mut self.sockets[at];
        match socket.stream.read(&mut socket.buffer[socket.filled..]) {
            Ok(0) => self.failed += 1,
            Ok(read) => {
                socket.filled += read;
                if whole(&socket.buffer[..socket.filled]) {
                    let took = socket.due.elapsed().as_micros() as u64;
                    let _ = self.duration.record(took);
                    self.free.push(at);
                }
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.failed += 1,
        }
    }

    fn told(&self) -> serde_json::Value {
        json!({
            "requests": self.duration.len(),
            "seconds": self.begun.elapsed().as_secs_f64(),
            "failed": self.failed,
            "dropped": self.dropped,
            "p50_us": self.duration.value_at_quantile(0.5),
            "p99_us": self.duration.value_at_quantile(0.99),
            "lateness_p50_us": self.lateness.value_at_quantile(0.5),
            "lateness_p99_us": self.lateness.value_at_quantile(0.99),
            "lateness_max_us": self.lateness.max(),
        })
    }
}

/// Whether the answer is there to its end; its length must be told.
fn whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let lines = std::str::from_utf8(&answer[..head]).unwrap_or("").lines();
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| answer.len() >= head + 4 + length)
}

fn watch(epoll: &OwnedFd, fd: RawFd, number: u64) -> std::io::Result<()> {
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: number };
    // SAFETY: both descriptors are open, and the kernel copies the event.
    match unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn wait<'a>(epoll: &OwnedFd, ready: &'a mut [libc::epoll_event]) -> std::io::Result<&'a [libc::epoll_event]> {
    // SAFETY: the kernel writes at most as many events as there is room for.
    let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), ready.as_mut_ptr(), ready.len() as i32, 1_000) };
    match usize::try_from(count) {
        Ok(count) => Ok(&ready[..count]),
        Err(_) => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        assert!(!whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na"));
        assert!(whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"));
        assert!(!whole(b"HTTP/1.1 200 OK\r\ncontent-le"));
    }

    #[test]
    fn every_request_that_is_due_is_sent_and_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("a client");
            let mut request = [0; 1 << 10];
            while client.read(&mut request).is_ok_and(|read| read > 0) {
                let answered = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                answered.expect("the client waits");
            }
        });
        let arguments = Arguments { url, path: "/".into(), rate: 50, seconds: 1, connections: 1 };
        let told = Loop::new(&arguments).and_then(Loop::play).expect("played");
        let number = |name: &str| told[name].as_u64().expect("a number");
        // One connection: what was due while it was busy is dropped, and told.
        assert_eq!(number("requests") + number("dropped"), 50, "{told}");
        assert_eq!(number("failed"), 0, "{told}");
        assert!(number("p50_us") <= number("p99_us") && told["seconds"].as_f64().is_some_and(|s| s >= 0.97));
    }
}
