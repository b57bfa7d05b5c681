//! A stall whose truth is known: what callers should have seen follows from the schedule of arrivals and from the
//! server's own log of when it stopped, went on, and answered what had piled up.

use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tests::{Out, Said, alone, command, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

const RATE: f64 = 1_000.0;
const STOPPED: Duration = Duration::from_secs(1);
/// The rest of ten seconds before a stop and after it.
const BEFORE: Duration = Duration::from_millis(4_500);
const AFTER: Duration = Duration::from_millis(4_500);
/// What has piled up is answered a little at a time, as by a server that must do something for each.
const AT_ONCE: u32 = 10;
/// A machine that is shared may delay the generator, which then says so.
const ATTEMPTS: u32 = 3;
/// 2 % of the p95 that such stops give.
const DELAY_THAT_BLURS_US: u64 = 10_000;

#[test]
fn battery_a_stall_is_measured_to_its_truth_with_a_pool_that_suffices() {
    let _alone = alone();
    for attempt in 1..=ATTEMPTS {
        let (out, log, said) = stalled("duration=20s", "max_vus=2000");
        let truth = log.truth();
        let seen = Seen::of(&out);
        assert_eq!((said.code, truth.len()), (99, 20_000), "{}", said.all());
        // By the schedule alone, half of those that met a stop waited half of it or longer; the rest is the drain.
        let least = [(0.95, 0.5), (0.99, 0.9), (1.0, 0.99)];
        assert!(
            least.iter().all(|(q, least)| quantile(&truth, *q) >= least - 0.01),
            "{}",
            quantile(&truth, 0.95)
        );
        let pairs = [(0.95, seen.p95), (0.99, seen.p99), (1.0, seen.max)];
        let off = |(q, seen): &(f64, f64)| (seen / quantile(&truth, *q) - 1.0).abs();
        let told: Vec<String> =
            pairs.iter().map(|p| format!("{} s, truth {} s", p.1, quantile(&truth, p.0))).collect();
        if pairs.iter().all(|pair| off(pair) <= 0.02) {
            return;
        }
        let blurred = seen.delay_us > DELAY_THAT_BLURS_US;
        assert!(
            blurred,
            "off the truth, and the generator says that it was on time: {told:?}\n{}",
            said.all()
        );
        assert!(
            attempt < ATTEMPTS,
            "the machine delays the generator, which says so: {told:?}\n{}",
            said.all()
        );
    }
}

#[test]
fn battery_a_stall_under_any_smaller_pool_is_never_green() {
    let _alone = alone();
    for pool in ["max_vus=900", "max_vus=400", "max_vus=60"] {
        let (out, log, said) = stalled("duration=10s", pool);
        assert!([99, 111].contains(&said.code), "{pool}\n{}", said.all());
        assert!(said.all().contains("http_req_duration{scenario:arrivals}"), "{pool}\n{}", said.all());
        let scenario = &out.evidence()["load"]["scenarios"]["arrivals"];
        let dropped = |whose| scenario[whose].as_u64().expect("a count");
        let dropped = dropped("dropped_by_target") + dropped("dropped_by_generator");
        assert!(dropped > 0, "{pool} suffices, so it proves nothing\n{}", said.all());
        assert_eq!(log.truth().len() as u64 + dropped, 10_000, "{pool}\n{}", said.all());
    }
}

/// A run against a server that stops in the middle of every ten seconds from its first request on.
fn stalled(duration: &str, pool: &str) -> (Out, Arc<Log>, Said) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let log = Arc::<Log>::default();
    let address = runtime.block_on(start(Arc::clone(&log)));
    let out = Out::new();
    let mut command = command("runner");
    command.args(["apply", "tests/battery/stall.yaml", "--set", duration, "--set", pool, "--out", out.arg()]);
    let said = run(command.env("TARGET_URL", format!("http://{address}")));
    runtime.shutdown_background();
    (out, log, said)
}

/// By arrival: when its request came and when it was answered.
#[derive(Default)]
struct Log(Mutex<BTreeMap<u64, (Instant, Instant)>>);

impl Log {
    /// What each arrival of the load should have seen, in seconds, in ascending order.
    fn truth(&self) -> Vec<f64> {
        let log = self.0.lock().expect("no one panics while holding it");
        let due = |k: u64| Duration::from_secs_f64(k as f64 / RATE);
        // Nobody comes before his time: the least delayed of all tells when the schedule began.
        let begin = log.iter().map(|(k, (came, _))| *came - due(*k)).min().expect("requests");
        let mut all: Vec<f64> =
            log.iter().map(|(k, (_, answered))| (*answered - (begin + due(*k))).as_secs_f64()).collect();
        all.sort_by(f64::total_cmp);
        all
    }
}

/// What the run reported, in seconds.
struct Seen {
    p95: f64,
    p99: f64,
    max: f64,
    /// How late the generator ever was to start or to read.
    delay_us: u64,
}

impl Seen {
    fn of(out: &Out) -> Seen {
        let text = std::fs::read_to_string(out.path().join("summary.json")).expect("a summary");
        let summary: Value = serde_json::from_str(&text).expect("JSON");
        let values = &summary["metrics"]["http_req_duration"]["values"];
        let seconds = |name| values[name].as_f64().unwrap_or_else(|| panic!("{name}: {values}")) / 1e3;
        let health = &out.evidence()["load"]["health"];
        Seen {
            p95: seconds("p(95)"),
            p99: seconds("p(99)"),
            max: seconds("max"),
            delay_us: longest(&health["lateness"]).max(longest(&health["loop_delay"])),
        }
    }
}

/// The longest that a distribution of the evidence holds: one pause at the wrong moment is in the maximum.
fn longest(trend: &Value) -> u64 {
    trend["max"].as_u64().expect("the generator started and read")
}

/// The smallest that the share `q` does not exceed.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = ((sorted.len() as f64 * q).ceil() as usize).max(1);
    sorted[rank - 1]
}

/// A request that waits for its turn.
type Waiting = oneshot::Sender<()>;

async fn start(log: Arc<Log>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (queue, turns) = mpsc::unbounded_channel();
    tokio::spawn(serve_by_turns(turns));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A caller that leaves ends its connection and nothing else.
            tokio::spawn(answer(stream, queue.clone(), Arc::clone(&log)));
        }
    });
    address
}

/// Answers by turns, and stops for a while in each period.
async fn serve_by_turns(mut turns: mpsc::UnboundedReceiver<Waiting>) {
    // The rehearsal's one.
    let Some(rehearsed) = turns.recv().await else { return };
    let _ = rehearsed.send(());
    let Some(mut next) = turns.recv().await else { return };
    let mut stop = tokio::time::Instant::now() + BEFORE;
    loop {
        if tokio::time::Instant::now() >= stop {
            tokio::time::sleep_until(stop + STOPPED).await;
            stop += STOPPED + AFTER + BEFORE;
        }
        let _ = next.send(());
        for _ in 1..AT_ONCE {
            if let Ok(more) = turns.try_recv() {
                let _ = more.send(());
            }
        }
        if !turns.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let Some(more) = turns.recv().await else { return };
        next = more;
    }
}

async fn answer(mut stream: TcpStream, queue: mpsc::UnboundedSender<Waiting>, log: Arc<Log>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut bytes = vec![0; 4 << 10];
    loop {
        // Small requests of one caller at a time come whole.
        let n = stream.read(&mut bytes).await.ok().filter(|n| *n > 0)?;
        let came = Instant::now();
        let text = std::str::from_utf8(&bytes[..n]).ok()?;
        let k: u64 = text.split_once("?k=")?.1.split(' ').next()?.parse().ok()?;
        let (turn, mine) = oneshot::channel();
        queue.send(turn).ok()?;
        mine.await.ok()?;
        let answered = Instant::now();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.ok()?;
        // The rehearsal's request bears a number, too, which the load's own takes over.
        log.0.lock().expect("no one panics while holding it").insert(k, (came, answered));
    }
}
