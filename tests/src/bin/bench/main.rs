//! Benchmarks run by hand, side by side with a peer in one run: `cargo run --release -p tests --bin bench`.
//!
//! The generator is pinned to core 0, the server to core 1. Each round runs every contender once, in
//! turn, so that a drift of the machine hits all alike. What is printed are medians over the rounds
//! and ratios of medians; CPU is the kernel's own account (user and system) of the finished process.

mod accounts;
mod kill;
mod recorder;
mod seed;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::{Parser, Subcommand};
use nix::libc;

/// Measures the closed loop: 50 connections on a static 100-byte answer, runner beside wrk.
#[derive(Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  cargo build --release --workspace --bins\n  target/release/bench --rounds 5 --seconds 10\n  \
                  target/release/bench recorder\n  target/release/bench seed --parts cold,again\n  \
                  target/release/bench accounts --kill --rows 2000"
)]
struct Arguments {
    #[command(subcommand)]
    instead: Option<Instead>,
    /// Rounds; each runs every contender once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load per contender and round.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Connections, which are virtual users for runner.
    #[arg(long, default_value_t = 50)]
    connections: u32,
}

/// What else can be measured.
#[derive(Subcommand)]
enum Instead {
    /// Peak heap of the recorder: a minute of simulated samples beside an hour of them.
    Recorder,
    /// Seeding Postgres, beside the SQL of a team and beside psql's `\copy`.
    Seed(seed::Arguments),
    /// kill -9 at random moments of a large seed: all rows or none, and seeding again completes.
    Kill(kill::Arguments),
    /// Accounts over HTTP against a service that limits registration.
    Accounts {
        /// Accounts to make.
        #[arg(long, default_value_t = 10_000)]
        rows: u64,
        /// Registrations a minute that the service takes.
        #[arg(long, default_value_t = 600)]
        per_minute: u32,
        /// Kill the seeding half-way, once with `exists` and once with a `probe`, and let another go on.
        #[arg(long)]
        kill: bool,
    },
}

/// One run of one contender.
struct Sample {
    requests: f64,
    seconds: f64,
    user: f64,
    system: f64,
    peak_kib: f64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let measured = match &arguments.instead {
        Some(Instead::Recorder) => recorder::measure(),
        Some(Instead::Seed(arguments)) => seed::measure(arguments),
        Some(Instead::Kill(arguments)) => kill::measure(arguments),
        Some(Instead::Accounts { rows, per_minute, kill }) => accounts::measure(*rows, *per_minute, *kill),
        None => measure(&arguments),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), String> {
    let folder = std::env::current_exe().map_err(|e| e.to_string())?;
    let folder = folder.parent().ok_or("no folder")?.to_owned();
    let server = Server::start(&folder)?;
    let out = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut names = vec!["runner"];
    if Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
        names.push("wrk");
    } else {
        eprintln!("bench: wrk is not installed (apt-get install wrk): runner alone is measured");
    }
    let mut samples: Vec<Vec<Sample>> = names.iter().map(|_| Vec::new()).collect();
    for round in 0..arguments.rounds {
        for (index, name) in names.iter().enumerate() {
            let sample = match *name {
                "wrk" => wrk(arguments, &server.url)?,
                _ => runner(arguments, &folder, &server.url, out.path())?,
            };
            eprintln!(
                "round {} {name}: {:.0} requests/s, {:.2} µs CPU a request",
                round + 1,
                sample.requests / sample.seconds,
                (sample.user + sample.system) / sample.requests * 1e6
            );
            samples[index].push(sample);
        }
    }
    report(arguments, &names, &samples);
    Ok(())
}

/// Prints the table of medians and ratios.
fn report(arguments: &Arguments, names: &[&str], samples: &[Vec<Sample>]) {
    println!(
        "closed loop, {} connections, 100-byte answer, generator on core 0, server on core 1, {} rounds of {} s\n",
        arguments.connections, arguments.rounds, arguments.seconds
    );
    println!("| contender | requests/s | CPU µs/request | user µs | system µs | peak memory MiB |");
    println!("|---|---|---|---|---|---|");
    type Figure = fn(&Sample) -> f64;
    let figures: [Figure; 5] = [
        |s| s.requests / s.seconds,
        |s| (s.user + s.system) / s.requests * 1e6,
        |s| s.user / s.requests * 1e6,
        |s| s.system / s.requests * 1e6,
        |s| s.peak_kib / 1024.0,
    ];
    let table: Vec<Vec<f64>> = samples
        .iter()
        .map(|runs| figures.iter().map(|f| median(runs.iter().map(f).collect())).collect())
        .collect();
    for (name, row) in names.iter().zip(&table) {
        println!(
            "| {name} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} |",
            row[0], row[1], row[2], row[3], row[4]
        );
    }
    if let [ours, theirs] = table.as_slice() {
        let ratio: Vec<String> = ours.iter().zip(theirs).map(|(a, b)| format!("{:.2}", a / b)).collect();
        println!("| runner ÷ wrk | {} |", ratio.join(" | "));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn runner(arguments: &Arguments, folder: &Path, url: &str, out: &Path) -> Result<Sample, String> {
    let mut command = Command::new(folder.join("runner"));
    command
        .args(["apply", "tests/bench/closed-loop.yaml", "--quiet", "--workers", "1"])
        .args(["--set", &format!("base_url={url}"), "--set", &format!("vus={}", arguments.connections)])
        .args(["--set", &format!("duration={}s", arguments.seconds)])
        .arg("--out")
        .arg(out);
    let (sample, said) = account(&mut command)?;
    let summary = std::fs::read_to_string(out.join("summary.json")).map_err(|e| format!("{e}\n{said}"))?;
    let summary: serde_json::Value = serde_json::from_str(&summary).map_err(|e| e.to_string())?;
    let requests =
        summary["metrics"]["http_reqs"]["values"]["count"].as_f64().ok_or("no http_reqs in the summary")?;
    let milliseconds = summary["state"]["testRunDurationMs"].as_f64().ok_or("no duration in the summary")?;
    Ok(Sample { requests, seconds: milliseconds / 1e3, ..sample })
}

fn wrk(arguments: &Arguments, url: &str) -> Result<Sample, String> {
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{}", arguments.connections), &format!("-d{}s", arguments.seconds)]);
    command.arg(format!("{url}/static"));
    let (sample, said) = account(&mut command)?;
    // "  1234 requests in 10.00s, 1.23MB read"
    let line = said.lines().find(|l| l.contains("requests in")).ok_or_else(|| format!("wrk said {said}"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let requests: f64 = words[0].parse().map_err(|_| format!("wrk said {line}"))?;
    let seconds: f64 =
        words[3].trim_end_matches([',', 's']).parse().map_err(|_| format!("wrk said {line}"))?;
    Ok(Sample { requests, seconds, ..sample })
}

/// Runs a command pinned to core 0 and takes the kernel's account of it.
fn account(command: &mut Command) -> Result<(Sample, String), String> {
    pin(command, 0);
    let shown = format!("{command:?}");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|e| format!("{shown}: {e}"))?;
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        std::io::Read::read_to_string(&mut stdout, &mut said).map_err(|e| e.to_string())?;
    }
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid value, and wait4 fills it in for our own child.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::wait4(child.id() as i32, &mut status, 0, &mut usage) < 0 {
            return Err(format!("{shown}: {}", std::io::Error::last_os_error()));
        }
        usage
    };
    if status != 0 {
        return Err(format!("{shown} ended with status {}\n{said}", status >> 8));
    }
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    let sample = Sample {
        requests: 0.0,
        seconds: 0.0,
        user: seconds(usage.ru_utime),
        system: seconds(usage.ru_stime),
        peak_kib: usage.ru_maxrss as f64,
    };
    Ok((sample, said))
}

/// Lets a command run on one core only.
fn pin(command: &mut Command, core: usize) {
    // SAFETY: both calls are async-signal-safe and touch only the child.
    unsafe {
        command.pre_exec(move || {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(core, &mut set);
            if libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
}

/// The static answer on core 1.
struct Server {
    url: String,
    child: std::process::Child,
}

impl Server {
    fn start(folder: &Path) -> Result<Server, String> {
        let path: PathBuf = folder.join("proving-ground");
        let mut command = Command::new(&path);
        command.args(["--no-database", "--port", "0", "--workers", "1"]).stdout(Stdio::piped());
        pin(&mut command, 1);
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", path.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no output")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)
            .map_err(|e| e.to_string())?;
        let url = line.trim().rsplit(' ').next().unwrap_or("").to_owned();
        Ok(Server { url, child })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
