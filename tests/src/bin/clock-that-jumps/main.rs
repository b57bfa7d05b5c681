//! `runner` on a machine whose clock is set while it runs: the same program with another clock, since to set the
//! machine's own takes privileges and would break its neighbours.

use runner::world::{Signals, World};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// By how much, and which file makes it jump once it is there.
static JUMP: LazyLock<(i64, PathBuf)> = LazyLock::new(|| {
    let by_ms = std::env::var("CLOCK_JUMPS_BY_MS").ok().and_then(|ms| ms.parse::<i64>().ok());
    let when = std::env::var("CLOCK_JUMPS_WHEN").unwrap_or_default();
    (by_ms.expect("CLOCK_JUMPS_BY_MS says by how much") * 1_000, when.into())
});

fn main() -> ExitCode {
    let world = World {
        env: std::env::vars().collect(),
        clock: jumping,
        folder: std::env::current_dir().unwrap_or_else(|_| ".".into()),
        process: std::process::id(),
        signals: Signals::new(),
    };
    ExitCode::from(runner::cli::run(std::env::args_os(), &world).code())
}

fn jumping() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
    let (by, when) = &*JUMP;
    if when.exists() { now + by } else { now }
}
