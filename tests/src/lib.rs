//! What end-to-end tests share: the real binaries, private Postgres clusters, the proving ground.
//!
//! Everything listens on free loopback ports, lives in a temporary folder and dies with the test
//! process, whatever ends it. Nothing sleeps to wait for a thing: it waits for the condition.

pub mod counting;
pub mod proxy;
pub mod registration;
pub mod remote_write;
pub mod scripted;

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// The path of one of the workspace's binaries, built by `bin/test` or `cargo build --workspace`.
///
/// # Panics
/// When it is not there, with the command that builds it.
pub fn binary(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("a test has a path");
    let folder = exe.parent().expect("a program lies in a folder");
    // Tests lie in target/<profile>/deps, benchmarks beside the other programs.
    let folder = if folder.ends_with("deps") { folder.parent().expect("target/<profile>") } else { folder };
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing; run: cargo build --workspace --bins", path.display());
    path
}

/// The machine, or a part of it, for as long as the value lives.
pub struct Turn {
    _lock: std::fs::File,
}

/// Serialises tests that measure: two loads at once on two cores would judge each other. It holds between the
/// threads of a test program as between programs that run side by side.
pub fn alone() -> Turn {
    turn(std::fs::File::lock)
}

/// For tests that load the machine a little and do not mind others that do so, but must not disturb one that is
/// [`alone`].
pub fn together() -> Turn {
    turn(std::fs::File::lock_shared)
}

fn turn(take: fn(&std::fs::File) -> std::io::Result<()>) -> Turn {
    let exe = std::env::current_exe().expect("a test has a path");
    let file =
        std::fs::File::create(exe.with_file_name("load.lock")).expect("the target folder can be written to");
    take(&file).expect("a lock");
    Turn { _lock: file }
}

/// What a finished command said.
#[derive(Debug)]
pub struct Said {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Both streams, for messages and searches.
    pub fn all(&self) -> String {
        format!("{}\n{}", self.out, self.err)
    }

    /// Asserts the exit code, showing everything when it differs.
    pub fn expect_code(self, code: i32) -> Said {
        assert_eq!(self.code, code, "exit code {} instead of {code}\n{}", self.code, self.all());
        self
    }

    /// Asserts that a text stands in the output.
    pub fn expect(self, text: &str) -> Said {
        assert!(self.all().contains(text), "`{text}` is not in the output\n{}", self.all());
        self
    }

    /// Asserts that a text stands nowhere in the output.
    pub fn expect_without(self, text: &str) -> Said {
        assert!(!self.all().contains(text), "`{text}` is in the output\n{}", self.all());
        self
    }
}

/// A command of the workspace in the repository's root with a bare environment, so that the
/// developer's own settings change nothing.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(binary(name));
    command.current_dir(root()).env_clear().stdin(Stdio::null()).env("NO_COLOR", "1");
    for name in ["PATH", "LANG", "TMPDIR", "PLANC_POSTGRES_BIN"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // Kept data folders and caches of tests never meet those of a developer.
    command.env("HOME", home());
    // Nor does the history of their runs.
    command.env("PLANC_HISTORY", home().join("history"));
    die_with_parent(&mut command);
    command
}

/// A home folder shared by all tests of one process.
fn home() -> PathBuf {
    static HOME: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    HOME.get_or_init(|| {
        let folder =
            tempfile::Builder::new().prefix("planc-test-home").tempdir().expect("a temporary folder");
        // The unprivileged user that runs Postgres must be able to pass through.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("chmod");
        folder
    })
    .path()
    .to_owned()
}

/// Asks the kernel to send SIGTERM when the thread that starts the command ends, so that a killed
/// test leaves nothing behind.
fn die_with_parent(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe and touches only the child.
    unsafe {
        command.pre_exec(|| {
            nix::libc::prctl(nix::libc::PR_SET_PDEATHSIG, nix::libc::SIGTERM);
            Ok(())
        });
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Said {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `runner` with arguments, to its end.
pub fn runner<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Said {
    run(command("runner").args(arguments))
}

/// `planc` with arguments, to its end.
pub fn planc<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Said {
    run(command("planc").args(arguments))
}

/// A folder for the outputs of one run.
pub struct Out(tempfile::TempDir);

impl Out {
    /// An empty folder, gone with the value.
    pub fn new() -> Out {
        Out(tempfile::Builder::new().prefix("planc-test-out").tempdir().expect("a temporary folder"))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The folder as an argument.
    pub fn arg(&self) -> &str {
        self.0.path().to_str().expect("temporary folders are UTF-8")
    }

    /// The evidence of the run that wrote here.
    pub fn evidence(&self) -> Value {
        let path = self.path().join("evidence.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_str(&text).expect("evidence is JSON")
    }

    /// All text that the run left behind, for a search after secrets.
    pub fn everything(&self) -> String {
        fn collect(folder: &Path, text: &mut String) {
            for entry in std::fs::read_dir(folder).expect("the folder can be read").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    collect(&path, text);
                } else {
                    text.push_str(&String::from_utf8_lossy(&std::fs::read(&path).expect("readable")));
                }
            }
        }
        let mut text = String::new();
        collect(self.path(), &mut text);
        text
    }
}

impl Default for Out {
    fn default() -> Self {
        Out::new()
    }
}

/// A child that is killed and reaped when the value goes.
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts a command, output taken from pipes.
    pub fn start(command: &mut Command) -> Running {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
        Running { child }
    }

    /// Process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Reads standard output up to and including the first line that holds `text`.
    pub fn read_until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        let stdout = self.child.stdout.as_mut().expect("stdout is piped");
        let mut byte = [0u8; 1];
        let mut line = Vec::new();
        while let Ok(1) = stdout.read(&mut byte) {
            line.push(byte[0]);
            if byte[0] == b'\n' {
                let text_line = String::from_utf8_lossy(&line).into_owned();
                line.clear();
                seen.push_str(&text_line);
                if text_line.contains(text) {
                    return seen;
                }
            }
        }
        panic!("`{text}` never came; seen:\n{seen}");
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("the child can be waited for").is_some()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).expect("the child is ours");
    }

    /// Waits for the end and takes the rest of the output.
    pub fn finish(mut self) -> Said {
        let mut err = self.child.stderr.take().expect("stderr is piped");
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
            text
        });
        let mut out = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            let _ = stdout.read_to_string(&mut out);
        }
        let status = self.child.wait().expect("the child can be waited for");
        Said { code: status.code().unwrap_or(-1), out, err: errors.join().unwrap_or_default() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The reference target, started on a free port.
pub struct Ground {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    _running: Option<Running>,
}

impl Ground {
    /// One that a runner has started, to look into it and to break it.
    pub fn at(url: &str) -> Ground {
        Ground { url: url.to_owned(), _running: None }
    }

    /// Starts it with these environment variables on a database, or without one.
    pub fn start(database_url: Option<&str>, env: &[(&str, &str)]) -> Ground {
        let mut command = command("proving-ground");
        command.args(["--port", "0"]).envs(env.iter().copied());
        match database_url {
            Some(url) => command.env("DATABASE_URL", url),
            None => command.arg("--no-database"),
        };
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("proving-ground starts");
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().expect("stdout is piped"));
        reader.read_line(&mut line).expect("proving-ground speaks");
        let url = line.trim().rsplit(' ').next().unwrap_or("").to_owned();
        assert!(url.starts_with("http://"), "proving-ground said {line:?}");
        Ground { url, _running: Some(Running { child }) }
    }

    /// A request with an optional JSON body; status and body. Small and blocking: one connection, one answer.
    pub fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let address = self.url.trim_start_matches("http://");
        let mut stream = std::net::TcpStream::connect(address).expect("proving-ground listens");
        let body = body.map(|b| b.to_string()).unwrap_or_default();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nX-Admin-Key: admin\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status line");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Requests counted since the start or the last reset, those to `/_…` left out, whose route holds `part`.
    pub fn requests(&self, part: &str) -> u64 {
        let (_, stats) = self.send("GET", "/_stats", None);
        let requests = stats["requests"].as_object().cloned().unwrap_or_default();
        requests.iter().filter(|(route, _)| route.contains(part)).map(|(_, n)| total(n)).sum()
    }
}

/// The sum of all numbers in a JSON value.
fn total(value: &Value) -> u64 {
    match value {
        Value::Number(n) => n.as_u64().unwrap_or(0),
        Value::Object(map) => map.values().map(total).sum(),
        _ => 0,
    }
}

/// A private Postgres for one test, with one database.
pub struct Database {
    /// Connection string.
    pub url: String,
    _cluster: seeders::cluster::Cluster,
}

impl Database {
    /// Starts a cluster and creates `name` in it.
    pub fn start(name: &str) -> Database {
        use seeders::cluster::{Cluster, ClusterOptions, DataDir};
        let options = ClusterOptions { data: DataDir::Temporary, settings: Default::default(), bin: None };
        let cluster = Cluster::start(options).unwrap_or_else(|e| panic!("a private Postgres: {e}"));
        let database = Database { url: cluster.url("postgres"), _cluster: cluster };
        database.execute(&format!("create database {name}"));
        Database { url: database._cluster.url(name), ..database }
    }

    /// Runs statements.
    pub fn execute(&self, sql: &str) {
        self.execute_in(&self.url, sql);
    }

    /// Runs statements in another database of the cluster.
    pub fn execute_in(&self, url: &str, sql: &str) {
        with(url, async |client| client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")));
    }

    /// Keeps a connection open until the value goes.
    pub fn hold(&self, url: &str) -> (tokio::runtime::Runtime, tokio_postgres::Client) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let client = runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("the cluster listens");
            tokio::spawn(connection);
            client
        });
        (runtime, client)
    }

    /// Drops the database under whoever uses it.
    pub fn drop_it(&self) {
        let name = self.url.rsplit('/').next().expect("a name");
        self.execute_in(&self._cluster.url("postgres"), &format!("drop database {name} with (force)"));
    }

    /// The first column of all rows as text, NULL as `NULL`.
    pub fn column(&self, sql: &str) -> Vec<String> {
        with(&self.url, async |client| {
            let messages = client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
            let mut values = Vec::new();
            for message in messages {
                if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                    values.push(row.get(0).unwrap_or("NULL").to_owned());
                }
            }
            values
        })
    }

    /// The first column of the first row as text.
    pub fn value(&self, sql: &str) -> String {
        self.column(sql).into_iter().next().unwrap_or_else(|| panic!("no row: {sql}"))
    }
}

/// Does something with a connection.
fn with<T>(url: &str, work: impl AsyncFnOnce(&tokio_postgres::Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("the cluster listens");
        let connection = tokio::spawn(connection);
        let result = work(&client).await;
        drop(client);
        let _ = connection.await;
        result
    })
}

/// Waits until a condition holds, looking every 20 ms.
///
/// # Panics
/// When it does not hold within `within`.
pub fn wait_until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < within, "{what} did not come true within {within:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Processes whose command line holds a text, this one left out.
pub fn processes_with(text: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("procfs").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if pid != std::process::id() as i32 && line.contains(text) {
            found.push(pid);
        }
    }
    found
}
