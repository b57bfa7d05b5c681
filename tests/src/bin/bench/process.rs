//! Running a contender on a core of its own, with the kernel's account of what it took.

use nix::libc;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a finished process took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// CPU in user mode.
    pub(crate) user: Duration,
    /// CPU in the kernel.
    pub(crate) system: Duration,
    /// Peak resident memory; never told to be less than what this process held when it started the other.
    pub(crate) peak_kib: u64,
}

/// A finished process.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    /// What it took.
    pub(crate) spent: Spent,
    /// Exit code; 128 and more when a signal ended it.
    pub(crate) code: i32,
    /// Its standard output.
    pub(crate) said: String,
}

impl Finished {
    /// What it said, unless it failed.
    pub(crate) fn expect_success(self, command: &Command) -> Result<Finished, String> {
        match self.code {
            0 => Ok(self),
            code => Err(format!("{command:?} ended with status {code}\n{}", self.said)),
        }
    }
}

/// Runs a command on one core to its end.
pub(crate) fn run(command: &mut Command, core: usize) -> Result<Finished, String> {
    pin(command, core);
    let started = Instant::now();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|e| format!("{command:?}: {e}"))?;
    // What it says in errors is shown where it fails, and must not fill its pipe until then.
    let errors = child.stderr.take().map(|mut stderr| {
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        })
    });
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut said).map_err(|e| e.to_string())?;
    }
    let (code, usage) = reap(&child).map_err(|e| format!("{command:?}: {e}"))?;
    let wall = started.elapsed();
    let errors = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
    if code != 0 {
        said.push_str(&errors);
    }
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1_000);
    let spent = Spent {
        wall,
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        peak_kib: usage.ru_maxrss as u64,
    };
    Ok(Finished { spent, code, said })
}

/// Waits for a child and takes its exit code and the kernel's account of it alone.
fn reap(child: &Child) -> std::io::Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid value, and wait4 fills it in for our own child.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::wait4(child.id() as i32, &mut status, 0, &mut usage) < 0 {
            return Err(std::io::Error::last_os_error());
        }
        usage
    };
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) };
    Ok((code, usage))
}

/// Lets a command run on one core only, with as many open files as may be, and end with this process.
pub(crate) fn pin(command: &mut Command, core: usize) {
    // SAFETY: all calls are async-signal-safe and touch only the child.
    unsafe {
        command.pre_exec(move || {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(core, &mut set);
            if libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            // Peers do not raise the limit of open files themselves.
            let mut files = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            if libc::getrlimit(libc::RLIMIT_NOFILE, &mut files) == 0 {
                files.rlim_cur = files.rlim_max;
                libc::setrlimit(libc::RLIMIT_NOFILE, &files);
            }
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_says_and_how_it_ends_is_told() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let finished = run(&mut command, 0).expect("sh runs");
        assert_eq!((finished.code, finished.said.as_str()), (3, "out\nerr\n"));
        assert!(finished.spent.peak_kib > 0 && finished.spent.wall > Duration::ZERO);
        let failed = finished.expect_success(&command).expect_err("it failed");
        assert!(failed.contains("status 3"), "{failed}");
        let killed = run(Command::new("sh").args(["-c", "kill -9 $$"]), 0).expect("sh runs");
        assert_eq!(killed.code, 128 + 9);
    }
}
