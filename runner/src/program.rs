//! A program of the plan's own, run to its end within bounds of time and output. It and all that it started are killed
//! when it passes one.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// Bytes of output that are read, of each stream.
pub(crate) const MOST: u64 = 1 << 20;

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its status.
    pub(crate) status: ExitStatus,
    /// What it wrote, without blanks around it.
    pub(crate) stdout: String,
    /// Likewise.
    pub(crate) stderr: String,
}

/// Why it did not.
#[derive(Debug)]
pub(crate) enum Unended {
    /// There is no such program.
    Absent,
    /// It ran for longer than it may.
    TooLong,
    /// It wrote more than [`MOST`].
    TooMuch,
    /// It could not be started or waited for.
    Other(String),
}

/// Runs a program.
pub(crate) async fn run(mut command: Command, limit: Duration) -> Result<Ended, Unended> {
    // A group of its own: what it starts is killed with it.
    command.process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Unended::Absent,
        _ => Unended::Other(error.to_string()),
    })?;
    let group = Group(child.id());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let (stdout, stderr) = tokio::try_join!(text(stdout), text(stderr))?;
        let status = child.wait().await.map_err(|error| Unended::Other(error.to_string()))?;
        Ok(Ended { status, stdout, stderr })
    };
    let done = tokio::time::timeout(limit, work).await.unwrap_or(Err(Unended::TooLong));
    drop(group);
    done
}

async fn text(stream: Option<impl AsyncRead + Unpin>) -> Result<String, Unended> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let read = stream.take(MOST + 1).read_to_end(&mut bytes).await;
        read.map_err(|error| Unended::Other(error.to_string()))?;
    }
    match bytes.len() as u64 > MOST {
        true => Err(Unended::TooMuch),
        false => Ok(String::from_utf8_lossy(&bytes).trim().to_owned()),
    }
}

/// A process group that ends with the value.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|group| i32::try_from(group).ok()) {
            // Gone already, as a rule.
            let _ = nix::sys::signal::killpg(
                nix::unistd::Pid::from_raw(group),
                nix::sys::signal::Signal::SIGKILL,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<Ended, Unended> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        runtime.block_on(run(command, limit))
    }

    #[test]
    fn output_and_code_are_told() {
        let ended = sh("echo out; echo err >&2; exit 3", Duration::from_secs(20)).expect("it ends");
        assert_eq!(
            (ended.status.code(), ended.stdout.as_str(), ended.stderr.as_str()),
            (Some(3), "out", "err")
        );
    }

    #[test]
    fn what_it_started_ends_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        // The child keeps the pipe open: without the group the deadline alone would end the wait.
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        assert!(matches!(sh(&script, Duration::from_millis(1_500)), Err(Unended::TooLong)));
        let pid: i32 = std::fs::read_to_string(file).expect("written").trim().parse().expect("a number");
        let gone =
            || nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_err() || is_zombie(pid);
        let start = std::time::Instant::now();
        while !gone() {
            assert!(start.elapsed() < Duration::from_secs(20), "it still runs");
            std::thread::yield_now();
        }
    }

    fn is_zombie(pid: i32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    }

    #[test]
    fn more_output_than_anyone_reads_ends_it() {
        assert!(matches!(sh("yes", Duration::from_secs(60)), Err(Unended::TooMuch)));
    }

    #[test]
    fn a_program_that_is_not_there_is_absent() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let command = Command::new("no-such-program-of-ours");
        assert!(matches!(runtime.block_on(run(command, Duration::from_secs(5))), Err(Unended::Absent)));
    }
}
