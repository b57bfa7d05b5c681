//! A program as a service: its own process group, its output in a log, gone when we are gone.

use super::ServiceError;
use crate::mask::Masker;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Lines of a log that are shown when a service is not ready.
const TAIL: usize = 20;
/// Time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// What to start.
#[derive(Clone)]
pub struct Order {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Its working directory.
    pub folder: PathBuf,
    /// Where its output goes.
    pub log: PathBuf,
    /// The log has what an earlier start of it wrote.
    pub append: bool,
}

/// The one thread that starts programs. The death signal of a child belongs to the thread that spawned
/// it, so this one lives as long as the services do.
pub struct Spawner {
    jobs: mpsc::Sender<Job>,
}

type Job = (Command, mpsc::Sender<std::io::Result<std::process::Child>>);

/// A running program.
pub struct Child {
    process: std::process::Child,
    log: PathBuf,
    tail: Arc<Mutex<VecDeque<String>>>,
    stopped: bool,
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16, ServiceError> {
    let listener = TcpListener::bind(("127.0.0.1", 0));
    let port = listener.and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|error| ServiceError::new(format!("no free port: {error}")))
}

impl Spawner {
    /// Starts the thread.
    pub fn start() -> Result<Spawner, ServiceError> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let run = move || {
            for (mut command, reply) in inbox {
                let _ = reply.send(command.spawn());
            }
            // Ending the thread would kill the children; whoever stops the services does that in peace.
            loop {
                std::thread::park();
            }
        };
        std::thread::Builder::new()
            .name("services".into())
            .spawn(run)
            .map_err(|error| ServiceError::new(format!("cannot start a thread: {error}")))?;
        Ok(Spawner { jobs })
    }

    /// Starts a program.
    pub fn spawn(&self, order: Order, masker: &Masker) -> Result<Child, ServiceError> {
        let name = order.argv.first().cloned().unwrap_or_default();
        let failed = |error: std::io::Error| ServiceError {
            message: format!("cannot start `{name}`: {error}"),
            help: (error.kind() == std::io::ErrorKind::NotFound).then(|| {
                format!("build or install `{name}`; the path is relative to {}", order.folder.display())
            }),
        };
        let file = log_file(&order.log, order.append).map_err(failed)?;
        let (output, input) = std::io::pipe().map_err(failed)?;
        let mut command = Command::new(&name);
        command.args(&order.argv[1..]).env_clear().envs(&order.env).current_dir(&order.folder);
        command.stdin(Stdio::null()).stdout(input.try_clone().map_err(failed)?).stderr(input);
        command.process_group(0);
        let parent = std::process::id();
        // SAFETY: prctl and getppid are async-signal-safe, and nothing else is called between fork and exec.
        unsafe {
            command.pre_exec(move || {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::getppid() as u32 != parent {
                    return Err(std::io::Error::other("the runner is gone"));
                }
                Ok(())
            });
        }
        let (reply, answer) = mpsc::channel();
        let gone = || ServiceError::new("the thread that starts services is gone");
        self.jobs.send((command, reply)).map_err(|_| gone())?;
        let process = answer.recv().map_err(|_| gone())?.map_err(failed)?;
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let (lines, masker) = (Arc::clone(&tail), masker.clone());
        let copy = move || copy_log(output, file, &masker, &lines);
        std::thread::Builder::new()
            .name(format!("log {name}"))
            .spawn(copy)
            .map_err(|error| ServiceError::new(format!("cannot start a thread: {error}")))?;
        Ok(Child { process, log: order.log, tail, stopped: false })
    }
}

impl Child {
    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.process.try_wait().ok().flatten()?;
        // The log's last lines may still be in the pipe.
        std::thread::sleep(Duration::from_millis(50));
        Some(format!("it ended with {status}"))
    }

    /// The last lines of its output, masked.
    pub fn tail(&self) -> Vec<String> {
        let lines = self.tail.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// SIGTERM to its group, SIGKILL after a grace.
    pub fn stop(&mut self) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        let group = -(self.process.id() as i32);
        let signal = |signal: i32| {
            // SAFETY: kill has no memory effects; the group is our child's own, which is not reaped yet.
            unsafe { libc::kill(group, signal) };
        };
        if self.process.try_wait().ok().flatten().is_none() {
            signal(libc::SIGTERM);
            let deadline = Instant::now() + GRACE;
            while Instant::now() < deadline && self.process.try_wait().ok().flatten().is_none() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        signal(libc::SIGKILL);
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The log, or nowhere: that outputs cannot be written is told at the end, beside the verdict.
fn log_file(path: &Path, append: bool) -> std::io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut options = File::options();
    options.write(true).create(true).append(append).truncate(!append);
    std::fs::create_dir_all(folder)
        .and_then(|()| options.open(path))
        .or_else(|_| File::options().write(true).open("/dev/null"))
}

/// Copies output line by line into the log, secrets hidden, and keeps the end of it.
fn copy_log(output: PipeReader, mut file: File, masker: &Masker, tail: &Mutex<VecDeque<String>>) {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        let text = masker.hide(String::from_utf8_lossy(&line).trim_end());
        // A full disk must not stop the service: its output is still read, and the tail kept.
        let _ = writeln!(file, "{text}");
        let mut tail = tail.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(text);
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str, folder: &Path, masker: &Masker) -> Child {
        let order = Order {
            argv: ["sh", "-c", script].map(String::from).into(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())]),
            folder: folder.into(),
            log: folder.join("logs/it.log"),
            append: false,
        };
        let spawner = Spawner::start().map_err(|e| e.message).expect("a thread");
        spawner.spawn(order, masker).map_err(|e| e.message).expect("a shell")
    }

    fn alive(pid: u32) -> bool {
        // SAFETY: signal 0 only asks.
        unsafe { libc::kill(pid as i32, 0) == 0 }
    }

    #[test]
    fn output_is_kept_without_secrets_and_the_group_is_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut masker = Masker::default();
        masker.add("hunter22");
        let mut child =
            start("sleep 60 & echo $! > inner; echo key=hunter22; echo done; wait", folder.path(), &masker);
        let deadline = Instant::now() + Duration::from_secs(5);
        while child.tail().len() < 2 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(child.tail(), ["key=•••", "done"]);
        assert_eq!(child.ended(), None);
        let inner = std::fs::read_to_string(folder.path().join("inner")).expect("a pid");
        let inner: u32 = inner.trim().parse().expect("a pid");
        child.stop();
        let deadline = Instant::now() + Duration::from_secs(2);
        // A grandchild is reaped by init, which may take a moment.
        while alive(inner) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let state = std::fs::read_to_string(format!("/proc/{inner}/stat")).unwrap_or_default();
        assert!(!alive(inner) || state.contains(") Z "), "{state}");
    }

    #[test]
    fn a_program_that_ends_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = start("echo no such table; exit 3", folder.path(), &Masker::default());
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut ended = None;
        while ended.is_none() && Instant::now() < deadline {
            ended = child.ended();
        }
        assert_eq!(ended.as_deref(), Some("it ended with exit status: 3"));
        assert_eq!(child.tail(), ["no such table"]);
    }
}
