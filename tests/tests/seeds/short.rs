//! A shipped plan in a short form, whole or broken while it runs.

use serde_json::Value;
use std::time::Duration;
use tests::{Ground, Out, Running, Said, Turn, alone, binary, command, run, wait_until};

/// A plan, what makes it short, and the service that is broken.
pub(crate) struct Short {
    pub(crate) plan: &'static str,
    pub(crate) set: &'static [&'static str],
    /// Its name in the plan.
    pub(crate) service: &'static str,
    /// A part of the routes that the load asks for.
    pub(crate) routes: &'static str,
}

impl Short {
    /// Runs it to its end.
    pub(crate) fn run(&self, more: &[&str]) -> (Said, Out) {
        let _alone = alone();
        let out = Out::new();
        let said = run(&mut self.command(&out, more));
        agree(&out, &said);
        (said, out)
    }

    /// Runs it and breaks the service once the load has begun: before, the rehearsal would have noticed.
    pub(crate) fn broken(&self, more: &[&str], fault: Value) -> (Said, Out) {
        self.broken_at("▶ ", more, fault)
    }

    /// The same, once the run has said this.
    pub(crate) fn broken_at(&self, sign: &str, more: &[&str], fault: Value) -> (Said, Out) {
        let (mut running, out, _alone) = self.start(more);
        let seen = running.read_until(&format!("✓ {}  http", self.service));
        let url = seen.trim_end().rsplit("  ").next().and_then(|end| end.split(' ').next()).expect("its URL");
        let ground = Ground::at(url);
        running.read_until(sign);
        let before = ground.requests(self.routes);
        wait_until("the load", Duration::from_secs(60), || ground.requests(self.routes) > before + 20);
        let (status, told) = ground.send("PUT", "/_faults", Some(fault));
        assert_eq!(status, 200, "{told}");
        let said = running.finish();
        agree(&out, &said);
        (said, out)
    }

    fn start(&self, more: &[&str]) -> (Running, Out, Turn) {
        let turn = alone();
        let out = Out::new();
        (Running::start(&mut self.command(&out, more)), out, turn)
    }

    fn command(&self, out: &Out, more: &[&str]) -> std::process::Command {
        let mut command = command("runner");
        command.args(["apply", self.plan, "--out", out.arg()]);
        command.args(["--set", &format!("server={}", binary("proving-ground").display())]);
        for set in self.set {
            command.args(["--set", set]);
        }
        command.args(more);
        command
    }
}

/// The evidence alone gives the verdict that the run gave.
fn agree(out: &Out, said: &Said) {
    let verdict = judged(out);
    assert_eq!(verdict["exit"], said.code, "{verdict:#}\n{}", said.all());
}

/// The verdict on what a run left behind.
pub(crate) fn judged(out: &Out) -> Value {
    let path = out.path().join("evidence.json");
    let said = run(command("runner").args(["judge", "--format", "json"]).arg(&path));
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}\n{}", said.all()))
}

/// The gates that broke: metric, selector and condition.
pub(crate) fn broken_gates(out: &Out) -> Vec<String> {
    let verdict = judged(out);
    let gates = verdict["gates"].as_array().expect("gates");
    let failed = gates.iter().filter(|gate| gate["state"] == "fail");
    failed.map(|gate| format!("{} {} {}", gate["metric"], gate["selector"], gate["text"])).collect()
}
