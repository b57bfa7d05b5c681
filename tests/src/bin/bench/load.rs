//! Generating load, beside peers, in turn on one target in one run.
//!
//! The generator is pinned to core 0, the server to core 1. Each round runs every contender once, in
//! turn, so that a drift of the machine hits all alike. What is printed are medians over the rounds
//! and ratios of medians; CPU is the kernel's own account (user and system) of the finished process.
//! Times that contenders report stand beside those that the server itself took.

pub(crate) mod bare;
mod contender;
mod ours;
mod server;
mod start;
mod table;
mod told;

use crate::process::{self, Spent};
use contender::{Contender, Task};
use server::{Server, Truth};
use std::path::{Path, PathBuf};
use table::{Column, Table};
use told::Told;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Modes; all of them when none is given.
    modes: Vec<Mode>,
    /// Rounds; each runs every contender once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load per contender and round.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Contenders; those that are not there are skipped, and told how they are installed.
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<Contender>,
    /// Connections of the closed loop, which are virtual users for runner.
    #[arg(long, default_value_t = 50)]
    connections: u32,
    /// Rates of the mode `open`, a second.
    #[arg(long, value_delimiter = ',', default_values_t = [2_000, 10_000])]
    rates: Vec<u32>,
    /// Virtual users of the mode `many`, each with a request of a second and then a second of thinking.
    #[arg(long, default_value_t = 10_000)]
    users: u32,
    /// The mode `many` over TLS.
    #[arg(long)]
    tls: bool,
}

/// What kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// A closed loop on an answer of 100 bytes, nothing asked of it.
    Bare,
    /// The same with a check, two tags, a templated path and a JSON body of five substitutions.
    Full,
    /// A constant rate against a server that takes 20 ms.
    Open,
    /// Very many users who mostly wait.
    Many,
    /// Wall time of a whole process that sends one request.
    Start,
}

/// One run of one contender.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    /// What the process took.
    spent: Spent,
    /// What it told.
    told: Told,
    /// What the server knows of it.
    truth: Truth,
}

/// Measures and prints the tables.
pub(crate) fn measure(arguments: &Arguments) -> Result<(), String> {
    let bench = Bench::new(arguments)?;
    let all = [Mode::Bare, Mode::Full, Mode::Open, Mode::Many, Mode::Start];
    let modes = if arguments.modes.is_empty() { &all[..] } else { &arguments.modes };
    for mode in modes {
        match mode {
            Mode::Bare | Mode::Full => bench.closed(*mode)?,
            Mode::Open => arguments.rates.iter().try_for_each(|rate| bench.open(*rate))?,
            Mode::Many => bench.many()?,
            Mode::Start => start::measure(&bench)?,
        }
    }
    Ok(())
}

/// Where everything lies.
struct Bench<'a> {
    arguments: &'a Arguments,
    /// The folder of the binaries.
    bin: PathBuf,
    /// The folder of plans and scripts.
    plans: PathBuf,
    /// Where runs may write.
    out: tempfile::TempDir,
}

impl<'a> Bench<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let out = tempfile::tempdir().map_err(|e| e.to_string())?;
        let bin = own.parent().ok_or("no folder")?.to_owned();
        for needed in ["runner", "proving-ground"] {
            if !bin.join(needed).exists() {
                return Err(format!("{} is missing: cargo build --release --workspace --bins", needed));
            }
        }
        Ok(Bench { arguments, bin, plans: tests::root().join("tests/bench/load"), out })
    }

    fn closed(&self, mode: Mode) -> Result<(), String> {
        let server = Server::start(&self.bin, None)?;
        let what = match mode {
            Mode::Full => "a check, two tags, a templated path, a JSON body of five substitutions",
            _ => "a bare request",
        };
        let title = format!(
            "{} connections in a closed loop, 100-byte answer, {what}; {}",
            self.arguments.connections,
            self.rounds()
        );
        let task = Task { mode, connections: self.arguments.connections, ..self.task(&server) };
        let columns = [
            Column::new("requests/s", 0, |s: &Sample| Some(s.told.rate())).ratio(),
            Column::new("CPU µs/request", 2, |s: &Sample| s.cpu_us(s.told.requests)).ratio(),
            Column::new("user µs", 2, |s: &Sample| s.of_cpu(s.spent.user, s.told.requests)).ratio(),
            Column::new("system µs", 2, |s: &Sample| s.of_cpu(s.spent.system, s.told.requests)).ratio(),
            Column::new("peak MiB", 1, Sample::peak_mib).ratio(),
            Column::new("p50 ms", 3, |s: &Sample| s.told.p50_ms),
            Column::new("p99 ms", 3, |s: &Sample| s.told.p99_ms),
            Column::new("failed", 0, |s: &Sample| Some(s.told.failed)),
        ];
        self.compare(&title, &task, &server, &columns)
    }

    fn open(&self, rate: u32) -> Result<(), String> {
        let server = Server::start(&self.bin, None)?;
        let title =
            format!("{rate} requests/s, whatever comes back, server that takes 20 ms; {}", self.rounds());
        // Four times what is in flight at 20 ms, so that nobody waits for a connection.
        let connections = (rate / 50 * 4).max(50);
        let task = Task { mode: Mode::Open, rate, connections, ..self.task(&server) };
        let columns = [
            Column::new("requests/s", 1, Sample::achieved),
            Column::new("lateness p50 µs", 0, |s: &Sample| s.told.lateness_p50_us),
            Column::new("lateness p99 µs", 0, |s: &Sample| s.told.lateness_p99_us).ratio(),
            Column::new("lateness max µs", 0, |s: &Sample| s.told.lateness_max_us),
            Column::new("p50 ms", 2, |s: &Sample| s.told.p50_ms),
            Column::new("server's p50 ms", 2, |s: &Sample| s.truth.p50_ms),
            Column::new("p99 ms", 2, |s: &Sample| s.told.p99_ms),
            Column::new("server's p99 ms", 2, |s: &Sample| s.truth.p99_ms),
            Column::new("CPU µs/request", 2, |s: &Sample| s.cpu_us(s.truth.requests)).ratio(),
            Column::new("user µs", 2, |s: &Sample| s.of_cpu(s.spent.user, s.truth.requests)),
            Column::new("system µs", 2, |s: &Sample| s.of_cpu(s.spent.system, s.truth.requests)),
            Column::new("peak MiB", 1, Sample::peak_mib).ratio(),
            Column::new("failed", 0, |s: &Sample| Some(s.told.failed)),
        ];
        self.compare(&title, &task, &server, &columns)
    }

    fn many(&self) -> Result<(), String> {
        let users = self.arguments.users;
        let tls = self.arguments.tls.then(|| self.out.path().join("tls"));
        let server = Server::start(&self.bin, tls.as_deref())?;
        let title = format!(
            "{users} users over {}, each a request of 1 s and 1 s of thinking ({} requests/s); {}",
            if self.arguments.tls { "TLS" } else { "TCP" },
            users / 2,
            self.rounds()
        );
        let task = Task { mode: Mode::Many, rate: users / 2, connections: users, ..self.task(&server) };
        let columns = [
            Column::new("requests/s", 0, Sample::achieved),
            Column::new("peak MiB", 1, Sample::peak_mib).ratio(),
            Column::new("KiB a connection", 1, |s: &Sample| {
                (s.truth.connections > 0.0).then(|| s.spent.peak_kib as f64 / s.truth.connections)
            }),
            Column::new("CPU µs/request", 2, |s: &Sample| s.cpu_us(s.truth.requests)).ratio(),
            Column::new("user µs", 2, |s: &Sample| s.of_cpu(s.spent.user, s.truth.requests)),
            Column::new("system µs", 2, |s: &Sample| s.of_cpu(s.spent.system, s.truth.requests)),
            Column::new("connections", 0, |s: &Sample| Some(s.truth.connections)),
            Column::new("opened within ms", 0, |s: &Sample| Some(s.truth.connected_within_ms)),
            Column::new("p50 ms", 2, |s: &Sample| s.told.p50_ms),
            Column::new("server's p50 ms", 2, |s: &Sample| s.truth.p50_ms),
            Column::new("failed", 0, |s: &Sample| Some(s.told.failed)),
        ];
        self.compare(&title, &task, &server, &columns)
    }

    fn task(&self, server: &Server) -> Task<'_> {
        Task {
            mode: Mode::Bare,
            url: server.url.clone(),
            ca: server.ca.clone(),
            connections: 1,
            rate: 0,
            seconds: self.arguments.seconds,
            bin: &self.bin,
            plans: &self.plans,
            out: self.out.path(),
        }
    }

    fn rounds(&self) -> String {
        format!(
            "generator on core 0, server on core 1, {} rounds of {} s",
            self.arguments.rounds, self.arguments.seconds
        )
    }

    /// The contenders that take part in a mode and are there; the others are told.
    fn contenders(&self, mode: Mode) -> Vec<Contender> {
        let asked = &self.arguments.contenders;
        let all = Contender::ALL.iter().copied();
        let wanted = all.filter(|c| asked.is_empty() || asked.contains(c)).filter(|c| c.plays(mode));
        let (there, missing): (Vec<_>, Vec<_>) = wanted.partition(|c| c.is_there());
        for contender in missing {
            eprintln!("bench: {} is not installed and left out: {}", contender.name(), contender.install());
        }
        there
    }

    /// Runs all contenders in turn and prints their table.
    fn compare(
        &self,
        title: &str,
        task: &Task,
        server: &Server,
        columns: &[Column<Sample>],
    ) -> Result<(), String> {
        let contenders = self.contenders(task.mode);
        let mut table = Table::new(contenders.iter().map(|contender| contender.name()).collect());
        let mut complaints = Vec::new();
        for round in 0..self.arguments.rounds {
            for (at, contender) in contenders.iter().enumerate() {
                let sample = self.one(*contender, task, server)?;
                eprintln!("round {} {}: {}", round + 1, contender.name(), sample.line(columns));
                complaints.extend(sample.told.complaints.iter().cloned());
                table.add(at, sample);
            }
        }
        println!("{title}\n\n{}", table.render(columns));
        complaints.sort_unstable();
        complaints.dedup();
        for complaint in complaints {
            println!("runner: {complaint}");
        }
        Ok(())
    }

    fn one(&self, contender: Contender, task: &Task, server: &Server) -> Result<Sample, String> {
        server.forget()?;
        let mut command = contender.command(task)?;
        let finished = process::run(&mut command, 0)?;
        let mut truth = server.truth(task.mode)?;
        let told = contender.told(&command, &finished, task)?;
        if told.beside > 0.0 {
            truth.requests -= told.beside;
            truth.connected_within_ms = truth.after_first_within_ms;
        }
        Ok(Sample { spent: finished.spent, told, truth })
    }
}

impl Sample {
    /// What the server counted, over the time that was asked for.
    fn achieved(&self) -> Option<f64> {
        Some(self.truth.requests / self.told.planned_seconds)
    }

    fn cpu_us(&self, requests: f64) -> Option<f64> {
        self.of_cpu(self.spent.user + self.spent.system, requests)
    }

    fn of_cpu(&self, spent: std::time::Duration, requests: f64) -> Option<f64> {
        (requests > 0.0).then(|| spent.as_secs_f64() * 1e6 / requests)
    }

    fn peak_mib(&self) -> Option<f64> {
        Some(self.spent.peak_kib as f64 / 1024.0)
    }

    /// For whoever watches.
    fn line(&self, columns: &[Column<Sample>]) -> String {
        let told: Vec<String> = columns.iter().filter_map(|column| column.told(self)).collect();
        told.join(", ")
    }
}

/// A path as an argument.
fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is no UTF-8", path.display()))
}
