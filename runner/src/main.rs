//! `runner`: takes in the world, does what the arguments say, exits. The only place that exits.
#![allow(clippy::disallowed_methods)] // The world comes in here, and only here.

use runner::exit::Exit;
use runner::world::{Signals, World};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let world = World {
        env: env.collect(),
        clock: now_micros,
        folder: std::env::current_dir().unwrap_or_else(|_| ".".into()),
        process: std::process::id(),
        signals: Signals::new(),
    };
    // A panic exits with 101 by itself, which is a failed teardown to whoever reads exit codes.
    let exit = catch_unwind(AssertUnwindSafe(|| runner::cli::run(std::env::args_os(), &world)));
    let exit = exit.unwrap_or_else(|_| {
        eprintln!("internal error: this is a bug of ours; all that was started has been stopped");
        Exit::Internal
    });
    ExitCode::from(exit.code())
}

fn now_micros() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}
