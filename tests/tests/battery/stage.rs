//! How a case of the battery is played: a server, a proxy before it, a plan, the real `runner`, one fault.

use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tests::proxy::{Proxy, Wire};
use tests::scripted::{Script, Scripted, well};
use tests::{Out, Running, Said, command, root, run, wait_until};

/// Requests after which the load surely runs, and which are too few to save a gate.
const UNDER_LOAD: u64 = 30;
/// What lasts longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of the outputs, the evidence knows nothing.
const OUTPUT_LOST: i32 = 117;
/// Runs that may leave no summary: there was no run, or no place for it.
const WITHOUT_SUMMARY: [i32; 3] = [2, 104, OUTPUT_LOST];

/// One case of the battery.
pub(crate) struct Case {
    /// A plan of `tests/battery`, and more arguments of `runner apply`.
    pub(crate) plan: &'static str,
    /// What is broken.
    pub(crate) fault: Fault,
    /// The verdict in the words of the terminal.
    pub(crate) verdict: &'static str,
    /// The exit code.
    pub(crate) exit: i32,
    /// What the output and the verdict in the summary must both say.
    pub(crate) words: &'static [&'static str],
    /// What only the output says, before the load begins.
    pub(crate) warning: &'static str,
}

/// What is broken, and when.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// Nothing: the control.
    Nothing,
    /// The server answers by a script once the load runs.
    Server(Script),
    /// The same from the second request on: the first is the rehearsal's.
    ServerAfterOne(Script),
    /// The same from the first request on.
    ServerAtOnce(Script),
    /// The wire breaks once the load runs.
    Wire(Wire),
    /// The wire breaks once the load runs and is mended so many milliseconds later.
    WireFor(Wire, u64),
    /// The wire is broken from the start.
    WireAtOnce(Wire),
    /// Words of the plan are replaced.
    Plan(&'static str, &'static str),
    /// Something else is done to a run.
    Deed(fn(&Stage) -> Said),
    /// What is left of a run that passed is changed and judged again.
    Judged(fn(&Stage) -> Said),
}

/// Where a case is played.
pub(crate) struct Stage {
    /// The target.
    pub(crate) server: Scripted,
    /// Before the target.
    pub(crate) proxy: Proxy,
    /// Outputs.
    pub(crate) out: Out,
    plan: PathBuf,
    arguments: Vec<&'static str>,
}

impl Case {
    /// Plays the case and asserts all that it says.
    pub(crate) fn play(&self) {
        let stage = Stage::new(self);
        let said = match self.fault {
            Fault::Nothing | Fault::Server(_) | Fault::ServerAfterOne(_) | Fault::ServerAtOnce(_) => {
                run(&mut stage.apply())
            }
            Fault::Plan(from, to) => stage.with_other_plan(from, to),
            Fault::Wire(wire) => stage.under_load(|stage, _| stage.proxy.set(wire)),
            Fault::WireFor(wire, ms) => {
                stage.under_load(|stage, _| stage.proxy.set_for(wire, Duration::from_millis(ms)))
            }
            Fault::WireAtOnce(wire) => {
                stage.proxy.set(wire);
                run(&mut stage.apply())
            }
            Fault::Deed(deed) | Fault::Judged(deed) => deed(&stage),
        };
        self.check_output(&said);
        self.check_summary(&stage, &said);
        self.check_fault(&stage);
    }

    fn check_output(&self, said: &Said) {
        let all = said.all();
        assert_eq!(said.code, self.exit, "exit code {} instead of {}\n{all}", said.code, self.exit);
        for word in self.words.iter().chain([&self.verdict, &self.warning]) {
            assert!(all.contains(word), "`{word}` is not in the output\n{all}");
        }
    }

    fn check_summary(&self, stage: &Stage, said: &Said) {
        let path = stage.out.path().join("summary.json");
        let without = WITHOUT_SUMMARY.contains(&self.exit) || matches!(self.fault, Fault::Judged(_));
        if without && !path.exists() {
            return;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{e}\n{}", said.all()));
        let summary: Value = serde_json::from_str(&text).expect("the summary is JSON");
        let verdict = &summary["verdict"];
        assert_eq!(verdict["exit"], self.exit, "{verdict:#}");
        if self.exit != OUTPUT_LOST {
            let again = stage.judge();
            assert_eq!(again.code, self.exit, "the evidence alone gives another verdict\n{}", again.all());
        }
        let status = verdict["status"].as_str().expect("a word").replace('_', " ");
        assert_eq!(status, self.verdict.replace('-', ""), "{verdict:#}");
        let told = strings(verdict);
        for word in self.words {
            assert!(told.contains(word), "`{word}` is not in the summary\n{verdict:#}\n{}", said.all());
        }
    }

    /// Red for another reason than the fault would prove nothing.
    fn check_fault(&self, stage: &Stage) {
        match self.fault {
            Fault::Server(_) | Fault::ServerAfterOne(_) | Fault::ServerAtOnce(_) => {
                assert!(stage.server.struck() > 0, "never struck")
            }
            Fault::Wire(_) | Fault::WireFor(..) | Fault::WireAtOnce(_) => {
                assert!(stage.proxy.broken() > 0, "never broken");
            }
            _ => assert_eq!((stage.server.struck(), stage.proxy.broken()), (0, 0)),
        }
    }
}

impl Stage {
    fn new(case: &Case) -> Stage {
        let server = match case.fault {
            Fault::Server(script) => Scripted::start(UNDER_LOAD, script),
            Fault::ServerAfterOne(script) => Scripted::start(1, script),
            Fault::ServerAtOnce(script) => Scripted::start(0, script),
            _ => Scripted::start(u64::MAX, well),
        };
        let mut words = case.plan.split_whitespace();
        let plan = root().join("tests/battery").join(words.next().expect("a plan")).with_extension("yaml");
        Stage { proxy: Proxy::to(server.address), server, out: Out::new(), plan, arguments: words.collect() }
    }

    /// `runner apply` of the plan against the proxy.
    pub(crate) fn apply(&self) -> Command {
        self.applied_by("runner")
    }

    /// The same by another program.
    pub(crate) fn applied_by(&self, program: &str) -> Command {
        let mut command = command(program);
        command.arg("apply").arg(&self.plan).args(&self.arguments).args(["--out", self.out.arg()]);
        command.env("TARGET_URL", self.proxy.url());
        command
    }

    /// `runner judge` of what the run left behind.
    pub(crate) fn judge(&self) -> Said {
        run(command("runner").arg("judge").arg(self.out.path()))
    }

    /// Does something once the load runs.
    pub(crate) fn under_load(&self, deed: impl FnOnce(&Stage, &mut Running)) -> Said {
        self.under_load_of(&mut self.apply(), deed)
    }

    /// The same under the load of another command.
    pub(crate) fn under_load_of(
        &self,
        command: &mut Command,
        deed: impl FnOnce(&Stage, &mut Running),
    ) -> Said {
        let mut running = Running::start(command);
        self.wait_for_load(&mut running);
        deed(self, &mut running);
        running.finish()
    }

    fn wait_for_load(&self, running: &mut Running) {
        wait_until("load", PATIENCE, || running.ended() || self.server.asked() > UNDER_LOAD);
    }

    /// Runs the plan with words replaced, beside a copy of whatever it refers to.
    fn with_other_plan(&self, from: &str, to: &str) -> Said {
        let text = std::fs::read_to_string(&self.plan).expect("the plan");
        assert!(text.contains(from), "`{from}` is not in {}", self.plan.display());
        let other = self.out.path().join("plan.yaml");
        std::fs::write(&other, text.replace(from, to)).expect("written");
        for rows in ["accounts.json", "none.json"] {
            let from = root().join("tests/battery").join(rows);
            std::fs::copy(from, self.out.path().join(rows)).expect("copied");
        }
        let mut command = command("runner");
        command.arg("apply").arg(&other).args(&self.arguments).args(["--out", self.out.arg()]);
        run(command.env("TARGET_URL", self.proxy.url()))
    }
}

/// All strings of a value, a line each.
fn strings(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        Value::Array(list) => list.iter().map(strings).collect(),
        Value::Object(map) => map.values().map(strings).collect(),
        _ => String::new(),
    }
}
