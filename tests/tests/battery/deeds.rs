//! What is done to a run that neither the server nor the wire can do: signals, starving, disks, clocks, databases.

use crate::stage::Stage;
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tests::proxy::{Proxy, Wire};
use tests::{Database, Ground, Running, Said, command, run, wait_until};

const KEY: &str = "key-of-the-battery";
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn sigterm(stage: &Stage) -> Said {
    stage.under_load(|_, running| running.signal(Signal::SIGTERM))
}

/// A tenth of a core: 50 ms of every 500 ms.
pub(crate) fn starved(stage: &Stage) -> Said {
    stopped_and_gone_on(stage, Duration::from_millis(450), Duration::from_millis(50))
}

pub(crate) fn pauses_of_50_ms(stage: &Stage) -> Said {
    stopped_and_gone_on(stage, Duration::from_millis(50), Duration::from_millis(100))
}

/// The scheduler is somebody else's: stopped for a while, then let go on for a while, until the run ends.
fn stopped_and_gone_on(stage: &Stage, stopped: Duration, going: Duration) -> Said {
    let mut command = stage.apply();
    dies_even_when_stopped(&mut command);
    stage.under_load_of(&mut command, |_, running| {
        while !running.ended() {
            running.signal(Signal::SIGSTOP);
            std::thread::sleep(stopped);
            running.signal(Signal::SIGCONT);
            std::thread::sleep(going);
        }
    })
}

/// A stopped process takes note of SIGKILL alone, should the test be killed meanwhile.
fn dies_even_when_stopped(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe and touches only the child.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

/// An hour forward, as after a suspended machine or a wrong clock that was set right.
pub(crate) fn clock_jumps_forward(stage: &Stage) -> Said {
    clock_jumps(stage, "3600000")
}

pub(crate) fn clock_jumps_back(stage: &Stage) -> Said {
    clock_jumps(stage, "-3600000")
}

/// The runner with another clock in the place of the machine's, which nobody without privileges can set.
fn clock_jumps(stage: &Stage, by_ms: &str) -> Said {
    let when = stage.out.path().join("jump");
    let mut command = stage.applied_by("runner-with-a-clock-that-jumps");
    command.env("CLOCK_JUMPS_BY_MS", by_ms).env("CLOCK_JUMPS_WHEN", &when);
    stage.under_load_of(&mut command, |_, _| std::fs::write(&when, "").expect("written"))
}

/// No file may get longer than the first few bytes, as on a disk that fills up.
pub(crate) fn disk_fills_up(stage: &Stage) -> Said {
    let mut command = stage.apply();
    // SAFETY: both calls are async-signal-safe and touch only the child. A full disk sends no signal.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            setrlimit(Resource::RLIMIT_FSIZE, 1_024, 1_024).map_err(Into::into)
        });
    }
    run(&mut command)
}

pub(crate) fn stdout_is_full(stage: &Stage) -> Said {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
    let mut command = stage.apply();
    let output =
        command.stdout(full).stderr(Stdio::piped()).spawn().and_then(|child| child.wait_with_output());
    let output = output.expect("runner starts");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    Said { code: output.status.code().unwrap_or(-1), out: String::new(), err }
}

/// A gate is loosened in the evidence of a run.
pub(crate) fn gate_loosened_in_the_evidence(stage: &Stage) -> Said {
    with_other_evidence(stage, |evidence| {
        let text = evidence["graph"].to_string();
        assert!(text.contains("p(95) < 300ms"), "{text}");
        let loosened = text.replace("p(95) < 300ms", "p(95) < 900ms");
        evidence["graph"] = serde_json::from_str(&loosened).expect("JSON");
    })
}

/// Failed iterations are made to vanish.
pub(crate) fn failures_taken_out_of_the_evidence(stage: &Stage) -> Said {
    with_other_evidence(stage, |evidence| {
        let started = &mut evidence["load"]["scenarios"]["reads"]["started"];
        *started = json!(started.as_u64().expect("a count") - 10);
    })
}

pub(crate) fn evidence_halved(stage: &Stage) -> Said {
    run(&mut stage.apply()).expect_code(0);
    let path = stage.out.path().join("evidence.json");
    let text = std::fs::read_to_string(&path).expect("evidence");
    std::fs::write(&path, &text[..text.len() / 2]).expect("written");
    forget_summary(stage);
    stage.judge()
}

/// A run that passes, evidence that is changed, and what is judged by it.
fn with_other_evidence(stage: &Stage, change: impl FnOnce(&mut Value)) -> Said {
    run(&mut stage.apply()).expect_code(0);
    let mut evidence = stage.out.evidence();
    change(&mut evidence);
    std::fs::write(stage.out.path().join("evidence.json"), evidence.to_string()).expect("written");
    forget_summary(stage);
    stage.judge()
}

/// The summary of the run that passed is no part of the case.
fn forget_summary(stage: &Stage) {
    std::fs::remove_file(stage.out.path().join("summary.json")).expect("a summary");
}

/// TLS before the target, with a certificate for `right.test`.
pub(crate) fn tls(stage: &Stage) -> Said {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let folder = tests::root().join("tests/battery/tls");
    let chain = vec![CertificateDer::from_pem_file(folder.join("right.pem")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(folder.join("right.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of the provider")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a pair");
    let (config, target) = (Arc::new(config), stage.proxy.address);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || drop(unwrapped(client, config, target)));
        }
    });
    run(stage.apply().env("TARGET_URL", url))
}

/// Carries request and answer by turns.
fn unwrapped(
    client: std::net::TcpStream,
    config: Arc<rustls::ServerConfig>,
    target: std::net::SocketAddr,
) -> std::io::Result<()> {
    use std::io::{Read, Write};
    let session = rustls::ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut client = rustls::StreamOwned::new(session, client);
    let mut server = std::net::TcpStream::connect(target)?;
    let mut bytes = vec![0; 16 << 10];
    loop {
        for to_server in [true, false] {
            let n = if to_server { client.read(&mut bytes)? } else { server.read(&mut bytes)? };
            if n == 0 {
                return Ok(());
            }
            if to_server { server.write_all(&bytes[..n])? } else { client.write_all(&bytes[..n])? }
        }
    }
}

/// The service that the run itself started is killed under load.
pub(crate) fn service_dies(stage: &Stage) -> Said {
    let mut running = Running::start(&mut with_service(stage));
    wait_for_a_second_of_load(stage, &mut running);
    let child = std::fs::read_dir("/proc").expect("procfs").flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse::<i32>().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?.parse::<i32>().ok()?;
        (parent == running.pid()).then_some(pid)
    });
    let child = nix::unistd::Pid::from_raw(child.expect("the service"));
    nix::sys::signal::kill(child, Signal::SIGKILL).expect("it is a child of our child");
    running.finish()
}

fn wait_for_a_second_of_load(stage: &Stage, running: &mut Running) {
    let live = stage.out.path().join("live.json");
    let loaded = || std::fs::read_to_string(&live).is_ok_and(|text| text.contains("\"started\""));
    wait_until("load", PATIENCE, || running.ended() || loaded());
}

/// The service is well.
pub(crate) fn service_lives(stage: &Stage) -> Said {
    run(&mut with_service(stage))
}

fn with_service(stage: &Stage) -> Command {
    let mut command = stage.apply();
    command.args(["--set", &format!("server={}", tests::binary("proving-ground").display())]);
    command
}

/// The reference target on a database of its own, behind the wire.
struct Fleet {
    database: Database,
    wire: Proxy,
    _ground: Ground,
}

impl Fleet {
    fn start() -> Fleet {
        let database = Database::start("fleet_test");
        let env = [("APP_ENV", "test"), ("API_TOKEN", KEY), ("ADMIN_KEY", "admin")];
        let ground = Ground::start(Some(&database.url), &env);
        let target = ground.url.trim_start_matches("http://").parse().expect("an address");
        Fleet { database, wire: Proxy::to(target), _ground: ground }
    }

    fn command(&self, mut command: Command) -> Command {
        command
            .env("TARGET_URL", self.wire.url())
            .env("DATABASE_URL", &self.database.url)
            .env("API_KEY", KEY);
        command
    }

    /// Seeds and does what follows to the rows; the run takes them as they are.
    fn as_left(&self, stage: &Stage, sql: &str) -> Said {
        let mut seed = command("runner");
        seed.args(["seed", "tests/plans/external.yaml", "--set", "agents=400"]);
        run(&mut self.command(seed)).expect_code(0);
        self.database.execute(sql);
        run(self.command(stage.apply()).arg("--skip-seed"))
    }
}

pub(crate) fn fleet(stage: &Stage) -> Said {
    let fleet = Fleet::start();
    run(&mut fleet.command(stage.apply()))
}

pub(crate) fn fleet_without_rows(stage: &Stage) -> Said {
    Fleet::start().as_left(stage, "delete from agents")
}

pub(crate) fn fleet_half_loaded(stage: &Stage) -> Said {
    Fleet::start().as_left(stage, "delete from agents where right(id, 1) in ('2', '4', '6', '8', '0')")
}

/// The database goes while the service is under load; the service itself stays.
pub(crate) fn database_dropped(stage: &Stage) -> Said {
    let fleet = Fleet::start();
    let mut running = Running::start(&mut fleet.command(stage.apply()));
    wait_for_a_second_of_load(stage, &mut running);
    fleet.database.drop_it();
    running.finish()
}

/// A restart behind the proxy: nobody listens for a while.
pub(crate) fn fleet_restarted(stage: &Stage) -> Said {
    let fleet = Fleet::start();
    let mut running = Running::start(&mut fleet.command(stage.apply()));
    wait_for_a_second_of_load(stage, &mut running);
    fleet.wire.set_for(Wire::Refuse, Duration::from_millis(300));
    running.finish()
}

pub(crate) fn handshakes_hang(stage: &Stage) -> Said {
    sessions(stage, json!({ "path_prefix": "/ws", "hang": true }))
}

pub(crate) fn handshakes_refused(stage: &Stage) -> Said {
    sessions(stage, json!({ "path_prefix": "/ws", "error_share": 1.0 }))
}

pub(crate) fn sessions_silent(stage: &Stage) -> Said {
    sessions(stage, json!({ "live": { "silent": true } }))
}

pub(crate) fn sessions_closed_early(stage: &Stage) -> Said {
    sessions(stage, json!({ "live": { "close_after_ms": 100 } }))
}

pub(crate) fn messages_late(stage: &Stage) -> Said {
    sessions(stage, json!({ "live": { "delay_ms": 1_300 } }))
}

pub(crate) fn sessions_well(stage: &Stage) -> Said {
    sessions(stage, Value::Null)
}

/// Sessions with the reference target, which is broken once they are opened at full rate.
fn sessions(stage: &Stage, fault: Value) -> Said {
    let ground = Ground::start(None, &[("APP_ENV", "test")]);
    let mut command = stage.apply();
    let mut running = Running::start(command.env("TARGET_URL", &ground.url));
    if !fault.is_null() {
        wait_until("load", PATIENCE, || running.ended() || ground.requests("/ws") > 15);
        ground.send("PUT", "/_faults", Some(fault));
    }
    running.finish()
}
