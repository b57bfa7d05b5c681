//! A private Postgres server from the machine's own binaries: its own data folder, socket folder and port, gone when the
//! process that started it is gone, kill -9 included.
//!
//! How that holds together:
//! - The server gets the death signal of the *thread* that spawned it, so a thread of its own spawns it and then waits
//!   for it until it ends.
//! - Credentials are dropped before the death signal is set, because a change of credentials clears it.
//! - A folder is in use while its lock file is locked (flock). The lock goes with the process, so the next start can
//!   sweep what a killed one left behind.
//! - TCP on 127.0.0.1 wants a random password, since any local user could connect; the socket folder is closed to
//!   other users and needs none.

use crate::error;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

/// Environment variable with the folder of `initdb` and `postgres`.
pub const BIN_VARIABLE: &str = "PLANC_POSTGRES_BIN";
/// How long a start may take.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long a stop may take before the server is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Longest path of a Unix socket that all platforms take, less the socket's own name.
const SOCKET_PATH: usize = 80;

/// Where the data lies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DataDir {
    /// In a fresh folder that goes with the server.
    #[default]
    Temporary,
    /// In this folder, made when it is not there and kept for the next start.
    Kept(PathBuf),
}

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// Where the data lies.
    pub data: DataDir,
    /// Server settings (`max_connections`), over the defaults here.
    pub settings: BTreeMap<String, String>,
    /// Folder of `initdb` and `postgres`; none looks for one.
    pub bin: Option<PathBuf>,
}

/// Why there is no server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterError {
    /// What failed: lower case, no full stop.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        error::told(f, &self.message, self.help.as_deref())
    }
}

impl std::error::Error for ClusterError {}

fn fail<T>(message: impl Into<String>, help: &str) -> Result<T, ClusterError> {
    let help = (!help.is_empty()).then(|| help.to_string());
    Err(ClusterError { message: message.into(), help })
}

/// Adds what was being done to an error of the system.
fn doing<T>(result: io::Result<T>, what: &str, path: &Path) -> Result<T, ClusterError> {
    result.or_else(|error| fail(format!("{what} `{}`: {error}", path.display()), ""))
}

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    sockets: PathBuf,
    port: u16,
    password: String,
    temporary: bool,
    server: Option<Server>,
    /// Locked for as long as the folder is in use.
    _lock: File,
    lock_path: PathBuf,
}

#[derive(Debug)]
struct Server {
    pid: u32,
    /// Says once that the server ended.
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Server {
    fn has_ended(&self, within: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        ended.recv_timeout(within) != Err(mpsc::RecvTimeoutError::Timeout)
    }
}

impl Cluster {
    /// Starts a server and waits until it takes connections; blocks for about half a second.
    pub fn start(options: ClusterOptions) -> Result<Cluster, ClusterError> {
        let bin = find_binaries(options.bin.as_deref())?;
        let owner = Owner::find()?;
        let (folder, lock, lock_path, temporary) = match &options.data {
            DataDir::Temporary => {
                let (folder, lock, lock_path) = temporary_folder(&owner)?;
                (folder, lock, lock_path, true)
            }
            DataDir::Kept(folder) => {
                let (lock, lock_path) = kept_folder(folder, &owner)?;
                (folder.clone(), lock, lock_path, false)
            }
        };
        let made = Cluster::start_in(&folder, &bin, &owner, &options.settings, !temporary);
        match made {
            Ok((sockets, port, password, server)) => Ok(Cluster {
                folder,
                sockets,
                port,
                password,
                temporary,
                server: Some(server),
                _lock: lock,
                lock_path,
            }),
            Err(error) => {
                if temporary {
                    let _ = fs::remove_dir_all(&folder);
                    let _ = fs::remove_file(&lock_path);
                }
                Err(error)
            }
        }
    }

    fn start_in(
        folder: &Path,
        bin: &Path,
        owner: &Owner,
        settings: &BTreeMap<String, String>,
        kept: bool,
    ) -> Result<(PathBuf, u16, String, Server), ClusterError> {
        let data = folder.join("data");
        let password_file = folder.join("password");
        if data.join("PG_VERSION").exists() {
            same_major(&data, bin, folder)?;
            previous_is_gone(&data)?;
        } else {
            initdb(folder, &data, &password_file, bin, owner)?;
        }
        let password = doing(fs::read_to_string(&password_file), "reading", &password_file)?;
        let sockets = socket_folder(folder, owner)?;
        let mut last = None;
        for _ in 0..5 {
            let port = free_port()?;
            let log = folder.join("postgres.log");
            let command = postgres(bin, &data, &sockets, port, settings, &log, owner, kept)?;
            match launch(command, &data, &log) {
                Ok(server) => return Ok((sockets, port, password.trim().to_string(), server)),
                // Somebody took the port between looking and starting.
                Err(error) if error.message.contains("could not bind") => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or(ClusterError { message: "no free port".into(), help: None }))
    }

    /// Connection string for a database over TCP, for this and for other programs.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres:{}@127.0.0.1:{}/{}", self.password, self.port, encode(database))
    }

    /// The folder of the Unix socket, closed to other users; it asks for no password.
    pub fn socket_dir(&self) -> &Path {
        &self.sockets
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Process id of the server; 0 after [`Self::stop`].
    pub fn pid(&self) -> u32 {
        self.server.as_ref().map_or(0, |server| server.pid)
    }

    /// The folder with everything of this server: `data`, `postgres.log`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a database, or finds that it is there. True when it was made.
    pub async fn create_database(&self, name: &str) -> Result<bool, ClusterError> {
        let failed = |error: tokio_postgres::Error| {
            let said = error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_string());
            ClusterError { message: format!("database `{name}` cannot be made: {said}"), help: None }
        };
        let (client, connection) =
            tokio_postgres::connect(&self.url("postgres"), tokio_postgres::NoTls).await.map_err(failed)?;
        let talking = tokio::spawn(connection);
        let there = client
            .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
            .await
            .map_err(failed)?
            .is_some();
        if !there {
            let sql = format!("CREATE DATABASE {}", crate::names::ident(name));
            client.batch_execute(&sql).await.map_err(failed)?;
        }
        drop(client);
        let _ = talking.await;
        Ok(!there)
    }

    /// Stops the server: at once when the data is temporary, with a checkpoint when it is kept. A temporary folder is
    /// removed.
    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            let polite = if self.temporary { libc::SIGQUIT } else { libc::SIGINT };
            for (signal, patience) in [(polite, STOP_WITHIN), (libc::SIGKILL, STOP_WITHIN)] {
                if server.has_ended(Duration::ZERO) {
                    break;
                }
                // The waiting thread has not reaped it, so the id is still its own.
                send(server.pid, signal);
                if server.has_ended(patience) {
                    break;
                }
            }
        }
        if !self.sockets.starts_with(&self.folder) {
            let _ = fs::remove_dir_all(&self.sockets);
        }
        if self.temporary {
            let _ = fs::remove_dir_all(&self.folder);
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Folder under which kept data folders belong: `keep: quickstart` is `<base>/kept/quickstart`.
pub fn kept_path(name: &str) -> Result<PathBuf, ClusterError> {
    let plain = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !name.starts_with('.');
    if !plain {
        return fail(format!("`{name}` cannot be a folder's name"), "use letters, digits, `-` and `_`");
    }
    Ok(base_folder(&Owner::find()?).join("kept").join(name))
}

/// Who runs the server: Postgres refuses root.
#[derive(Debug, Clone, Copy)]
struct Owner {
    /// User and group to become; none stays as it is.
    switch: Option<(u32, u32)>,
}

impl Owner {
    fn find() -> Result<Owner, ClusterError> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(Owner { switch: None });
        }
        for name in ["postgres", "nobody"] {
            if let Ok(Some(user)) = nix::unistd::User::from_name(name) {
                return Ok(Owner { switch: Some((user.uid.as_raw(), user.gid.as_raw())) });
            }
        }
        fail(
            "Postgres does not run as root, and there is no user `postgres` or `nobody`",
            "run as an ordinary user",
        )
    }

    fn own(&self, path: &Path) -> Result<(), ClusterError> {
        match self.switch {
            Some((uid, gid)) => {
                doing(std::os::unix::fs::chown(path, Some(uid), Some(gid)), "changing the owner of", path)
            }
            None => Ok(()),
        }
    }

    fn reaches(&self, folder: &Path) -> bool {
        let Some((uid, _)) = self.switch else {
            return true;
        };
        folder
            .ancestors()
            .filter_map(|part| fs::metadata(part).ok())
            .all(|meta| meta.mode() & 0o001 != 0 || (meta.uid() == uid && meta.mode() & 0o100 != 0))
    }
}

/// `$XDG_CACHE_HOME/planc` or `~/.cache/planc`; for root a folder under /var/tmp when the server's user cannot get there.
fn base_folder(owner: &Owner) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    match cache.map(|cache| cache.join("planc")) {
        Some(base) if owner.reaches(&base) => base,
        _ => PathBuf::from(format!("/var/tmp/planc-{}", nix::unistd::geteuid())),
    }
}

/// Finds the folder of `initdb` and `postgres`.
fn find_binaries(given: Option<&Path>) -> Result<PathBuf, ClusterError> {
    let complete = |folder: &Path| folder.join("initdb").exists() && folder.join("postgres").exists();
    let variable = std::env::var_os(BIN_VARIABLE).map(PathBuf::from);
    if let Some(folder) = given.map(Path::to_path_buf).or(variable) {
        if complete(&folder) {
            return Ok(folder);
        }
        return fail(format!("`{}` does not hold `initdb` and `postgres`", folder.display()), "");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    for folder in std::env::split_paths(&path) {
        // Distributions put a link or a wrapper on the PATH; the real one has `postgres` beside it.
        let real = fs::canonicalize(folder.join("initdb")).ok();
        if let Some(folder) = real.as_deref().and_then(Path::parent).filter(|folder| complete(folder)) {
            return Ok(folder.to_path_buf());
        }
    }
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, prefix) in [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql@"),
        ("/usr/local/opt", "postgresql@"),
    ] {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version = name.strip_prefix(prefix).and_then(|version| version.parse().ok());
            let folder = entry.path().join("bin");
            if let Some(version) = version.filter(|_| complete(&folder)) {
                found.push((version, folder));
            }
        }
    }
    match found.into_iter().max() {
        Some((_, folder)) => Ok(folder),
        None => fail(
            "no Postgres server programs (`initdb`, `postgres`) are on this machine",
            "install them (Debian, Ubuntu: `apt-get install postgresql`; Fedora: `dnf install postgresql-server`; macOS: \
             `brew install postgresql@17`), set PLANC_POSTGRES_BIN to their folder, or give the URL of a database instead",
        ),
    }
}

fn make_folder(path: &Path, mode: u32, owner: &Owner) -> Result<(), ClusterError> {
    doing(fs::create_dir_all(path), "making", path)?;
    doing(fs::set_permissions(path, fs::Permissions::from_mode(mode)), "setting the mode of", path)?;
    owner.own(path)
}

/// Makes the base folder; one that belongs to somebody else is refused, since its owner could swap what lies in it.
fn make_base(owner: &Owner) -> Result<PathBuf, ClusterError> {
    let base = base_folder(owner);
    if !base.exists() {
        doing(fs::create_dir_all(&base), "making", &base)?;
        let mode = if owner.switch.is_some() { 0o711 } else { 0o700 };
        doing(fs::set_permissions(&base, fs::Permissions::from_mode(mode)), "setting the mode of", &base)?;
    }
    let meta = doing(fs::symlink_metadata(&base), "looking at", &base)?;
    if !meta.is_dir() || meta.uid() != nix::unistd::geteuid().as_raw() {
        return fail(
            format!("`{}` belongs to somebody else", base.display()),
            "remove it, or set XDG_CACHE_HOME",
        );
    }
    Ok(base)
}

fn open_lock(path: &Path) -> Result<File, ClusterError> {
    doing(File::options().read(true).write(true).create(true).truncate(false).open(path), "opening", path)
}

/// A fresh folder with its lock beside it. What killed processes left is swept meanwhile; nobody waits for that.
fn temporary_folder(owner: &Owner) -> Result<(PathBuf, File, PathBuf), ClusterError> {
    let base = make_base(owner)?.join("run");
    doing(fs::create_dir_all(&base), "making", &base)?;
    let mode = if owner.switch.is_some() { 0o711 } else { 0o700 };
    doing(fs::set_permissions(&base, fs::Permissions::from_mode(mode)), "setting the mode of", &base)?;
    let left = base.clone();
    std::thread::spawn(move || sweep(&left));
    loop {
        let name = uuid::Uuid::new_v4().simple().to_string()[..12].to_string();
        let lock_path = base.join(format!("{name}.lock"));
        let lock = open_lock(&lock_path)?;
        if lock.try_lock().is_err() {
            continue;
        }
        // A sweeper may have taken the file away between opening and locking.
        let same = |meta: fs::Metadata| lock.metadata().is_ok_and(|mine| mine.ino() == meta.ino());
        if !fs::metadata(&lock_path).is_ok_and(same) {
            continue;
        }
        let folder = base.join(&name);
        make_folder(&folder, 0o700, owner)?;
        return Ok((folder, lock, lock_path));
    }
}

/// Removes folders whose lock is free.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let lock_path = entry.path();
        if lock_path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Ok(lock) = File::options().read(true).write(true).open(&lock_path) else {
            continue;
        };
        if lock.try_lock().is_ok() {
            let folder = lock_path.with_extension("");
            // The server of a process killed a moment ago may still be going down.
            let _ = previous_is_gone(&folder.join("data"));
            let _ = fs::remove_dir_all(&folder);
            let _ = fs::remove_file(&lock_path);
        }
    }
}

/// Makes and locks a kept folder.
fn kept_folder(folder: &Path, owner: &Owner) -> Result<(File, PathBuf), ClusterError> {
    if let Some(parent) = folder.parent() {
        if parent.starts_with(base_folder(owner)) {
            make_base(owner)?;
        }
        doing(fs::create_dir_all(parent), "making", parent)?;
        if owner.switch.is_some() && parent.starts_with(base_folder(owner)) {
            doing(
                fs::set_permissions(parent, fs::Permissions::from_mode(0o711)),
                "setting the mode of",
                parent,
            )?;
        }
    }
    make_folder(folder, 0o700, owner)?;
    if !owner.reaches(folder) {
        return fail(
            format!("the user that Postgres runs as cannot get to `{}`", folder.display()),
            "keep the data in a folder that others may pass through, such as under /var/tmp",
        );
    }
    let lock_path = folder.join("lock");
    let lock = open_lock(&lock_path)?;
    match lock.try_lock() {
        Ok(()) => Ok((lock, lock_path)),
        Err(fs::TryLockError::WouldBlock) => fail(
            format!("the data folder `{}` is in use by another run", folder.display()),
            "wait for it to end, or use another name under `keep:`",
        ),
        Err(fs::TryLockError::Error(error)) => doing(Err(error), "locking", &lock_path),
    }
}

fn same_major(data: &Path, bin: &Path, folder: &Path) -> Result<(), ClusterError> {
    let of_data = doing(fs::read_to_string(data.join("PG_VERSION")), "reading PG_VERSION in", data)?;
    let output = doing(
        Command::new(bin.join("postgres")).arg("--version").output(),
        "running",
        &bin.join("postgres"),
    )?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number =
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).unwrap_or("");
    let major =
        |version: &str| -> String { version.trim().chars().take_while(char::is_ascii_digit).collect() };
    if major(number) == major(&of_data) || number.is_empty() {
        return Ok(());
    }
    fail(
        format!(
            "`{}` was made by Postgres {}; the programs here are {}",
            folder.display(),
            of_data.trim(),
            number
        ),
        "remove that folder to start afresh, or set PLANC_POSTGRES_BIN to the programs of that version",
    )
}

/// Waits for the server of a process that died a moment ago; a stale `postmaster.pid` is removed. The caller holds the
/// folder's lock, so no living run uses the data.
fn previous_is_gone(data: &Path) -> Result<(), ClusterError> {
    let pid_file = data.join("postmaster.pid");
    let deadline = Instant::now() + STOP_WITHIN;
    loop {
        let Ok(text) = fs::read_to_string(&pid_file) else {
            return Ok(());
        };
        let pid = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok());
        let alive = pid.is_some_and(|pid| is_server(pid) && working_in(pid, data));
        if !alive {
            let _ = fs::remove_file(&pid_file);
            return Ok(());
        }
        if Instant::now() > deadline {
            return fail(
                format!("a server (process {}) still runs in `{}`", pid.unwrap_or(0), data.display()),
                "stop it",
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process is a Postgres server that still lives; one that waits to be reaped does not.
fn is_server(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((head, tail)) = stat.rsplit_once(')') else {
        return false;
    };
    head.ends_with("(postgres") && !tail.trim_start().starts_with(['Z', 'X'])
}

/// Whether a process works in this folder: a server's working directory is its data folder.
fn working_in(pid: u32, data: &Path) -> bool {
    let here = fs::read_link(format!("/proc/{pid}/cwd"));
    match (here, fs::canonicalize(data)) {
        (Ok(here), Ok(data)) => here == data,
        _ => true,
    }
}

fn initdb(
    folder: &Path,
    data: &Path,
    password_file: &Path,
    bin: &Path,
    owner: &Owner,
) -> Result<(), ClusterError> {
    // Made beside and renamed, so that an interrupted initdb is not taken for a cluster.
    let fresh = folder.join("data.new");
    let _ = fs::remove_dir_all(&fresh);
    let password = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let file = File::options().write(true).create(true).truncate(true).open(password_file);
    doing(file, "making", password_file)?;
    doing(fs::set_permissions(password_file, fs::Permissions::from_mode(0o600)), "closing", password_file)?;
    doing(fs::write(password_file, format!("{password}\n")), "writing", password_file)?;
    owner.own(password_file)?;
    let mut command = Command::new(bin.join("initdb"));
    command
        .args(["-A", "scram-sha-256", "--auth-local=trust", "-U", "postgres", "-E", "UTF8", "--no-locale"])
        .args(["--no-sync", "--no-instructions"])
        .arg(format!("--pwfile={}", password_file.display()))
        .arg("-D")
        .arg(&fresh)
        .stdin(Stdio::null())
        .current_dir("/");
    minimal_environment(&mut command);
    run_as(&mut command, owner, None);
    let output = spawn_and_wait(command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
        return fail(format!("initdb failed: {said}"), "");
    }
    doing(fs::rename(&fresh, data), "renaming", &fresh)
}

fn minimal_environment(command: &mut Command) {
    command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").env("TZ", "UTC");
    // Unpacked builds without an rpath find their libraries by it.
    if let Some(libraries) = std::env::var_os("LD_LIBRARY_PATH") {
        command.env("LD_LIBRARY_PATH", libraries);
    }
}

fn spawn_and_wait(mut command: Command) -> Result<std::process::Output, ClusterError> {
    command.output().or_else(|error| fail(format!("{:?} cannot be run: {error}", command.get_program()), ""))
}

/// Drops root for the server's user; with a signal, the process gets it when the spawning thread ends.
fn run_as(command: &mut Command, owner: &Owner, on_death: Option<i32>) {
    if let Some((uid, gid)) = owner.switch {
        // Clears the supplementary groups too, as the standard library does for root.
        command.uid(uid).gid(gid);
    }
    let Some(signal) = on_death else {
        return;
    };
    let parent = std::process::id();
    // Runs after the change of user, which would clear the death signal.
    let before_exec = move || {
        nix::unistd::setsid()?;
        #[cfg(target_os = "linux")]
        {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::try_from(signal)?)?;
            if nix::unistd::getppid().as_raw() as u32 != parent {
                return Err(io::Error::other("the parent is gone"));
            }
        }
        let _ = (signal, parent);
        Ok(())
    };
    // SAFETY: only async-signal-safe system calls are made between fork and exec; nothing allocates on success.
    unsafe {
        command.pre_exec(before_exec);
    }
}

fn socket_folder(folder: &Path, owner: &Owner) -> Result<PathBuf, ClusterError> {
    let inside = folder.join("s");
    let path = if inside.as_os_str().len() <= SOCKET_PATH {
        inside
    } else {
        let name = format!("planc-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        PathBuf::from("/tmp").join(name)
    };
    make_folder(&path, 0o700, owner)?;
    Ok(path)
}

fn free_port() -> Result<u16, ClusterError> {
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map(|addr| addr.port());
    port.or_else(|error| fail(format!("no free port on 127.0.0.1: {error}"), ""))
}

#[allow(clippy::too_many_arguments)]
fn postgres(
    bin: &Path,
    data: &Path,
    sockets: &Path,
    port: u16,
    settings: &BTreeMap<String, String>,
    log: &Path,
    owner: &Owner,
    kept: bool,
) -> Result<Command, ClusterError> {
    let mut all: BTreeMap<String, String> = [
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("wal_level", "minimal"),
        ("max_wal_senders", "0"),
        ("log_line_prefix", "%m [%p] "),
        ("unix_socket_permissions", "0700"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_string(), value.to_string()))
    .collect();
    all.extend(settings.clone());
    // These are what the caller is told, so they are not the caller's to change.
    all.insert("listen_addresses".into(), "127.0.0.1".into());
    all.insert("port".into(), port.to_string());
    all.insert("unix_socket_directories".into(), sockets.display().to_string());
    let mut command = Command::new(bin.join("postgres"));
    command.arg("-D").arg(data).current_dir("/").stdin(Stdio::null());
    for (name, value) in all {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    minimal_environment(&mut command);
    let file = doing(File::options().create(true).write(true).truncate(true).open(log), "making", log)?;
    let copy = doing(file.try_clone(), "opening", log)?;
    command.stdout(file).stderr(copy);
    // At once for data that nobody wants again; with a checkpoint for data that is kept.
    run_as(&mut command, owner, Some(if kept { libc::SIGINT } else { libc::SIGQUIT }));
    Ok(command)
}

/// Spawns the server from a thread that lives as long as it does, and waits until it is ready.
fn launch(mut command: Command, data: &Path, log: &Path) -> Result<Server, ClusterError> {
    let (started, pid) = mpsc::channel();
    let (ending, ended) = mpsc::channel();
    let thread =
        std::thread::Builder::new().name("planc-postgres".into()).spawn(move || match command.spawn() {
            Ok(mut child) => {
                let _ = started.send(Ok(child.id()));
                let _ = child.wait();
                let _ = ending.send(());
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        });
    if let Err(error) = thread {
        return fail(format!("no thread for the server: {error}"), "");
    }
    let pid = match pid.recv() {
        Ok(Ok(pid)) => pid,
        Ok(Err(error)) => return fail(format!("postgres cannot be started: {error}"), ""),
        Err(_) => return fail("postgres cannot be started", ""),
    };
    let server = Server { pid, ended: Mutex::new(ended) };
    let deadline = Instant::now() + START_WITHIN;
    loop {
        if is_ready(data, pid) {
            return Ok(server);
        }
        if server.has_ended(Duration::from_millis(4)) {
            let said = fs::read_to_string(log).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(6).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            return fail(format!("postgres ended before it was ready: {}", last.join("\n")), "");
        }
        if Instant::now() > deadline {
            send(pid, libc::SIGKILL);
            return fail(
                format!("postgres was not ready within {} s", START_WITHIN.as_secs()),
                "look at its log",
            );
        }
    }
}

/// Line 8 of `postmaster.pid` says `ready`, and line 1 that it is this server who says so.
fn is_ready(data: &Path, pid: u32) -> bool {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else {
        return false;
    };
    let mut lines = text.lines();
    let mine = lines.next().and_then(|line| line.trim().parse::<u32>().ok()) == Some(pid);
    mine && lines.nth(6).is_some_and(|line| line.trim() == "ready")
}

fn send(pid: u32, signal: i32) {
    if let Ok(signal) = nix::sys::signal::Signal::try_from(signal) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal);
    }
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
