//! The command line: what may be asked is in `arguments`, what each command does in a file of its own.

mod apply;
mod arguments;
mod check;
mod history;
mod judge;
mod preflight;
mod prove;
mod report;
mod seed;
mod suite;
mod test;

use crate::evidence::Evidence;
use crate::exit::Exit;
use crate::output;
use crate::phases::stamp;
use crate::plan::{self, Disk, LoadError, Loaded};
use crate::progress::Teller;
use crate::report::terminal;
use crate::world::World;
use arguments::{Cli, Command, Inputs, Output};
use clap::{CommandFactory, Parser};
use planc::graph::ExecutionGraph;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What ends a command before it has a verdict.
struct Stop(Exit, String);

/// Does what the arguments say.
pub fn run(arguments: impl Iterator<Item = std::ffi::OsString>, world: &World) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Pass };
        }
    };
    let done = match cli.command {
        Command::Apply(args) => apply::apply(&args, world),
        Command::Seed(args) => seed::seed(&args, world),
        Command::Preflight(args) => preflight::preflight(&args, world),
        Command::Check(args) => check::check(&args, world),
        Command::History(args) => history::history(&args, world),
        Command::Judge(args) => judge::judge_again(&args),
        Command::Test { paths, format } => test::test(&paths, format, world),
        Command::Report { evidence, format, template, output } => {
            report::report_again(&evidence, &format, template.as_deref(), output.as_deref())
        }
        Command::Prove(args) => prove::proof(&args, world),
        Command::Completions { shell } => completions(shell),
    };
    done.unwrap_or_else(|Stop(exit, message)| {
        tell(&message);
        exit
    })
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "runner", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Pass)
}

impl Output {
    fn colour(&self) {
        if self.no_color {
            anstream::ColorChoice::Never.write_global();
        }
    }

    fn folder(&self, graph: &ExecutionGraph, world: &World) -> PathBuf {
        let default = || {
            let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
            let name: String = graph.plan.chars().map(plain).collect();
            world.folder.join(".planc/runs").join(format!("{name}-{}", stamp((world.clock)())))
        };
        self.out.as_ref().map_or_else(default, |out| world.folder.join(out))
    }

    fn teller(&self, written: Option<plan::Written>, graph: &ExecutionGraph) -> Teller {
        let ends = graph.scenarios.iter().map(|scenario| scenario.start_time + scenario.demand.duration());
        let planned = ends.max().unwrap_or(Duration::ZERO);
        Teller::new(self.quiet, std::io::stderr().is_terminal(), written, planned)
    }
}

/// Where the history is kept: as asked, as the environment says, else in the working directory.
fn store(asked: Option<&Path>, world: &World) -> PathBuf {
    let told = world.env.get(crate::history::VARIABLE).filter(|folder| !folder.is_empty());
    let folder = asked.or(told.map(Path::new)).unwrap_or(Path::new(crate::history::FOLDER));
    world.folder.join(folder)
}

/// The day in UTC.
fn today(world: &World) -> Option<jiff::civil::Date> {
    let now = jiff::Timestamp::from_microsecond((world.clock)()).ok()?;
    Some(now.to_zoned(jiff::tz::TimeZone::UTC).date())
}

fn load(path: &str, inputs: &Inputs, world: &World) -> Result<Loaded, Stop> {
    let options = planc::Options {
        profile: inputs.profile.clone(),
        set: inputs.set.clone(),
        env: world.env.clone(),
        // What is missing is a guard's refusal, told with all other guards.
        require_inputs: false,
        today: today(world),
    };
    loaded(plan::load(&Disk, path, &options))
}

fn loaded(result: Result<Loaded, LoadError>) -> Result<Loaded, Stop> {
    result.map_err(|error| match error {
        LoadError::Usage(why) => Stop(Exit::Usage, format!("error: {why}\n")),
        LoadError::Rejected(rendered) => Stop(Exit::PlanRejected, rendered),
    })
}

fn end_preparation(evidence: &Evidence) -> Result<Exit, Stop> {
    let verdict = crate::judge::judge_preparation(evidence);
    print(&terminal::verdict_line(evidence, &verdict))?;
    Ok(verdict.status)
}

fn read(path: &Path) -> Result<Evidence, Stop> {
    let evidence = output::read_evidence(path).map_err(|why| Stop(Exit::Usage, format!("error: {why}\n")))?;
    output::check_identity(&evidence).map_err(|why| Stop(Exit::Invalid, format!("error: {why}\n")))?;
    Ok(evidence)
}

fn internal(error: std::io::Error) -> Stop {
    Stop(Exit::Internal, format!("internal error: {error}\n"))
}

/// Standard output. A reader that went away is no error; a full disk is: the output is lost.
fn print(text: &str) -> Result<(), Stop> {
    let mut stdout = anstream::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Stop(Exit::OutputLost, format!("error: cannot write to standard output: {error}\n")))
        }
        _ => Ok(()),
    }
}

/// Standard error, likewise.
fn tell(text: &str) {
    let _ = anstream::stderr().write_all(text.as_bytes());
}
