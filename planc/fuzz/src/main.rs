//! Feeds planc with plans that are nearly plans, for a fixed time: `planc/fuzz/run --seconds 60`.
//!
//! Each input goes through check, lower, show, fmt and check again, on a small stack, under a bound on its CPU time and
//! on its peak memory. What reaches a new set of diagnostics, and in a build with coverage (`planc/fuzz/guided`) what
//! reaches new code, is kept and changed further. A finding is made small, written to `target/fuzz` and fails the run.

mod corpus;
mod guide;
mod meter;
#[allow(dead_code)] // Shared with the property tests of planc, which use all of it.
#[path = "../../tests/support/mutate.rs"]
mod mutate;
mod target;

use clap::Parser;
use corpus::{Corpus, Input};
use mutate::{Dice, mutate};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use target::Finding;

#[derive(Parser)]
#[command(
    after_help = "Examples:\n  planc/fuzz/run --seconds 60\n  planc/fuzz/run --seed 42\n  planc/fuzz/run --replay target/fuzz/panic-1.yaml"
)]
struct Arguments {
    /// How long to try.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The same seed tries the same inputs; drawn from the clock when not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Tries the inputs in these files and nothing else.
    #[arg(long, num_args = 1..)]
    replay: Vec<PathBuf>,
    /// The CPU time that an input may take, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    limit: u64,
}

/// What main.rs and any thread of a library's user has at least.
const STACK: usize = 2 << 20;
/// An input that takes so much CPU time hangs.
const HANG: Duration = Duration::from_secs(30);
/// So many different findings end a run.
const MOST: usize = 10;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let folder = root().join("target/fuzz");
    if let Err(error) = std::fs::create_dir_all(&folder) {
        eprintln!("fuzz: {}: {error}", folder.display());
        return ExitCode::from(2);
    }
    let (beat, beats) = mpsc::channel();
    let worker = std::thread::Builder::new().stack_size(STACK).spawn({
        let folder = folder.clone();
        move || fuzz(&arguments, &folder, &beat)
    });
    let Ok(worker) = worker else { return ExitCode::from(2) };
    let mut since = meter::process();
    loop {
        match beats.recv_timeout(Duration::from_secs(5)) {
            Ok(()) => since = meter::process(),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if meter::process().saturating_sub(since) < HANG => {}
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("fuzz: an input hangs: {}", folder.join("now.yaml").display());
                return ExitCode::FAILURE;
            }
        }
    }
    match worker.join() {
        Ok(0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Tries inputs until the time is over; how many findings there were.
fn fuzz(arguments: &Arguments, folder: &Path, beat: &mpsc::Sender<()>) -> usize {
    let limit = Duration::from_millis(arguments.limit);
    target::quiet();
    let mut corpus = Corpus::read(&root());
    let mut state = State { folder, limit, beat, found: Vec::new() };
    if !arguments.replay.is_empty() {
        for path in &arguments.replay {
            let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            state.attempt(&corpus, &Input { path: "plans/replayed.yaml".into(), text });
        }
        return state.found.len();
    }
    let clock =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.as_nanos());
    let seed = arguments.seed.unwrap_or(clock as u64);
    println!("fuzz: seed {seed}, {} texts, coverage {}", corpus.inputs.len(), guide::described());
    let mut dice = Dice(seed);
    // As they are first: what ships must hold before it is changed.
    for at in 0..corpus.inputs.len() {
        let input = corpus.inputs[at].clone();
        state.attempt(&corpus, &input);
    }
    let (start, mut tried) = (Instant::now(), 0u64);
    while start.elapsed() < Duration::from_secs(arguments.seconds) && state.found.len() < MOST {
        let input = next(&corpus, &mut dice);
        tried += 1;
        if state.attempt(&corpus, &input) && input.text.len() < 60_000 {
            corpus.inputs.push(input);
        }
        if tried.is_multiple_of(5_000) {
            println!("fuzz: {tried} inputs, {} kept, {}", corpus.inputs.len(), guide::described());
        }
    }
    println!(
        "fuzz: {tried} inputs in {} s, {} kept, {} findings (seed {seed})",
        start.elapsed().as_secs(),
        corpus.inputs.len(),
        state.found.len()
    );
    state.found.len()
}

/// Another input: late ones, which found something new, are changed more often.
fn next(corpus: &Corpus, dice: &mut Dice) -> Input {
    let (a, b) = (dice.below(corpus.inputs.len()), dice.below(corpus.inputs.len()));
    let input = &corpus.inputs[a.max(b)];
    let others: Vec<&str> =
        (0..3).map(|_| corpus.inputs[dice.below(corpus.inputs.len())].text.as_str()).collect();
    Input { path: input.path.clone(), text: mutate(&input.text, &others, dice) }
}

struct State<'a> {
    folder: &'a Path,
    limit: Duration,
    beat: &'a mpsc::Sender<()>,
    /// What tells one finding from another.
    found: Vec<String>,
}

impl State<'_> {
    /// Tries one input; whether it reached something new.
    fn attempt(&mut self, corpus: &Corpus, input: &Input) -> bool {
        let _ = self.beat.send(());
        // What is left when the process dies.
        let _ = std::fs::write(self.folder.join("now.yaml"), &input.text);
        let finding = match target::run(corpus, input, self.limit) {
            Ok(codes) => return guide::is_new(codes),
            Err(finding) => finding,
        };
        if self.found.contains(&finding.key) {
            return false;
        }
        self.found.push(finding.key.clone());
        let small = self.smaller(corpus, input, &finding);
        let path = self.folder.join(format!("{}-{}.yaml", finding.kind, self.found.len()));
        let _ = std::fs::write(&path, &small);
        println!(
            "fuzz: {}: {}\n{}\n",
            path.display(),
            finding.key,
            &small[..small.floor_char_boundary(2000)]
        );
        false
    }

    /// The input without all lines that are not needed for the finding.
    fn smaller(&self, corpus: &Corpus, input: &Input, finding: &Finding) -> String {
        let mut lines: Vec<&str> = input.text.split_inclusive('\n').collect();
        let start = Instant::now();
        let mut size = lines.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < lines.len() && start.elapsed() < Duration::from_secs(20) {
                let mut fewer = lines.clone();
                fewer.drain(at..(at + size).min(lines.len()));
                let text: String = fewer.concat();
                let _ = self.beat.send(());
                match target::run(corpus, &Input { path: input.path.clone(), text }, self.limit) {
                    Err(again) if again.key == finding.key => lines = fewer,
                    _ => at += size,
                }
            }
            size /= 2;
        }
        lines.concat()
    }
}
