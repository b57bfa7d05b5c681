//! What a whole process takes that sends one request: from being started to being gone.

use super::server::Server;
use super::table::{Column, Table};
use super::{Bench, Mode, Task};
use crate::process::{self, Spent};

/// Runs of each contender a round: one alone says little.
const RUNS: usize = 20;

/// Measures and prints the table.
pub(super) fn measure(bench: &Bench) -> Result<(), String> {
    let server = Server::start(&bench.bin, None)?;
    let task = Task { mode: Mode::Start, seconds: 1, ..bench.task(&server) };
    let contenders = bench.contenders(Mode::Start);
    let mut table: Table<Spent> = Table::new(contenders.iter().map(|contender| contender.name()).collect());
    for _ in 0..bench.arguments.rounds {
        for (at, contender) in contenders.iter().enumerate() {
            for _ in 0..RUNS {
                let mut command = contender.command(&task)?;
                table.add(at, process::run(&mut command, 0)?.expect_success(&command)?.spent);
            }
        }
    }
    let columns = [
        Column::new("wall ms", 1, |s: &Spent| Some(s.wall.as_secs_f64() * 1e3)).ratio(),
        Column::new("user ms", 1, |s: &Spent| Some(s.user.as_secs_f64() * 1e3)),
        Column::new("system ms", 1, |s: &Spent| Some(s.system.as_secs_f64() * 1e3)),
        Column::new("peak MiB", 1, |s: &Spent| Some(s.peak_kib as f64 / 1024.0)).ratio(),
    ];
    let runs = bench.arguments.rounds * RUNS;
    println!(
        "one request, from the start of the process to its end, {runs} runs\n\n{}",
        table.render(&columns)
    );
    Ok(())
}
