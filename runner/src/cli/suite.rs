//! `runner apply` of several plans: one after the other, a verdict each and one for all.

use super::apply::{Applied, decide, run, told, writable};
use super::arguments::{Apply, Inputs};
use super::{Stop, load, print, tell};
use crate::changed::Decision;
use crate::exit::Exit;
use crate::output;
use crate::phases::stamp;
use crate::plan::Loaded;
use crate::report::{self, junit, terminal};
use crate::suite::{self, Judged, Outcome, PlanEnd, PlanOutcome};
use crate::world::World;
use planc::suite::{Suite, SuitePlan};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A plan of the suite, compiled.
struct Ready {
    plan: SuitePlan,
    loaded: Loaded,
    inputs: Inputs,
}

pub(super) fn apply(suite: Suite, args: &Apply, world: &World) -> Result<Exit, Stop> {
    for (flag, given) in [("--only", &args.only), ("--from-stage", &args.from_stage)] {
        if !given.is_empty() {
            let message =
                format!("error: {flag} is about the scenarios of one plan, and these are several\n");
            return Err(Stop(Exit::Usage, message));
        }
    }
    // What is wrong with any of them is told before the first is started.
    let ready = compiled(&suite.plans, args, world)?;
    if args.dry_run {
        for Ready { plan, loaded, .. } in &ready {
            print(&format!("{}{}\n", heading(plan), (planc::show::FORMATS[0].render)(&loaded.graph)))?;
        }
        return Ok(Exit::Pass);
    }
    let unchanged = unchanged(&ready, args, world)?;
    let out = folder(&suite.name, args, world);
    writable(args, &out, world)?;
    let mut outcome = Outcome { suite: suite.name.clone(), plans: Vec::new() };
    let mut lost = Vec::new();
    for Ready { plan, loaded, inputs } in ready {
        let end = match left_out(&plan, &suite, &unchanged, &outcome, args, world) {
            Some(end) => end,
            None => {
                if !args.output.quiet {
                    tell(&heading(&plan));
                }
                let folder = out.join(&plan.name);
                writable(args, &folder, world)?;
                let Applied { evidence, verdict } = run(args, loaded, &inputs, &folder, world)?;
                lost.extend(print(&told(args, &folder, &evidence, &verdict)).err().map(|Stop(_, why)| why));
                PlanEnd::Judged(Judged {
                    plan: evidence.graph.plan.clone(),
                    profile: evidence.graph.profile.clone(),
                    status: verdict.status,
                    exit: verdict.exit,
                    causes: verdict.causes.iter().map(|cause| cause.text.clone()).collect(),
                    milliseconds: (evidence.ended_unix_ms - evidence.started_unix_ms).max(0) as u64,
                    folder: plan.name.clone(),
                    junit: junit::suite(&evidence, &verdict).1,
                    markdown: report::by_name("markdown")
                        .map_or(String::new(), |report| (report.render)(&evidence, &verdict)),
                })
            }
        };
        outcome.plans.push(PlanOutcome { name: plan.name, path: plan.path, end });
    }
    finish(args, &out, &outcome, lost)
}

/// Reports of the whole, and its verdict. What was a pass is none when nobody can look at it.
fn finish(args: &Apply, out: &Path, outcome: &Outcome, mut lost: Vec<String>) -> Result<Exit, Stop> {
    for (file, text) in [
        ("suite.json", suite::json(outcome)),
        ("suite.xml", suite::junit(outcome)),
        ("suite.md", suite::markdown(outcome)),
    ] {
        lost.extend(output::write(&out.join(file), &text).err());
    }
    if args.output.out.is_none() {
        output::point_latest(out);
    }
    let shown = match args.output.quiet {
        true => suite::terminal(outcome),
        false => format!("{}  evidence and reports: {}\n", suite::terminal(outcome), out.display()),
    };
    lost.extend(print(&shown).err().map(|Stop(_, why)| why));
    match (outcome.status(), lost.is_empty()) {
        (status, true) => Ok(status),
        (status, false) => {
            let status = if status == Exit::Pass { Exit::OutputLost } else { status };
            let why: String = lost.iter().map(|why| format!("error: {}\n", why.trim_end())).collect();
            Err(Stop(status, why))
        }
    }
}

/// Every plan as a graph, or the diagnostics of all that have errors.
fn compiled(plans: &[SuitePlan], args: &Apply, world: &World) -> Result<Vec<Ready>, Stop> {
    let mut ready = Vec::new();
    let mut rejected: Option<(Exit, String)> = None;
    let known = given_names(plans);
    for plan in plans {
        let inputs = inputs(plan, args, &known);
        match load(&plan.path, &inputs, world) {
            Ok(loaded) => {
                tell(&loaded.warnings);
                ready.push(Ready { plan: plan.clone(), loaded, inputs });
            }
            Err(Stop(exit, why)) => {
                let (first, all) = rejected.get_or_insert((exit, String::new()));
                *first = if exit == Exit::Usage { exit } else { *first };
                all.push_str(&why);
            }
        }
    }
    for (name, _) in &args.inputs.set {
        if !known.values().any(|names| names.as_ref().is_none_or(|names| names.contains(name))) {
            let message = format!("error: `--set {name}=…` names no input of any of these plans\n");
            return Err(Stop(Exit::Usage, message));
        }
    }
    match rejected {
        Some((exit, why)) => Err(Stop(exit, format!("{why}nothing was started\n"))),
        None => Ok(ready),
    }
}

/// The inputs that each plan declares; none where that cannot be told.
fn given_names(plans: &[SuitePlan]) -> BTreeMap<String, Option<BTreeSet<String>>> {
    let names = |plan: &SuitePlan| planc::inputs(&crate::plan::Disk, &plan.path);
    plans.iter().map(|plan| (plan.path.clone(), names(plan))).collect()
}

/// What the suite gives, and over it what the command line gives to those plans that take it.
fn inputs(plan: &SuitePlan, args: &Apply, known: &BTreeMap<String, Option<BTreeSet<String>>>) -> Inputs {
    let takes = |name: &String| match known.get(&plan.path) {
        Some(Some(names)) => names.contains(name),
        _ => true,
    };
    let own = args.inputs.set.iter().filter(|(name, _)| takes(name));
    Inputs {
        profile: args.inputs.profile.clone().or(plan.profile.clone()),
        set: plan.set.iter().chain(own).cloned().collect(),
    }
}

/// Plans that no change asks for, and why; those that a plan needs which is run are run with it.
fn unchanged(ready: &[Ready], args: &Apply, world: &World) -> Result<BTreeMap<String, String>, Stop> {
    let mut out = BTreeMap::new();
    let Some(base) = &args.if_changed else { return Ok(out) };
    for Ready { plan, loaded, .. } in ready {
        match decide(base, &plan.path, loaded, world)? {
            Decision::Skip(why) => {
                out.insert(plan.name.clone(), why);
            }
            Decision::Run(why) => tell(&format!("{} is run: {why}\n", plan.name)),
        }
    }
    // In their order each comes after those it needs: from the last to the first all are found.
    for Ready { plan, .. } in
        ready.iter().rev().filter(|ready| !out.contains_key(&ready.plan.name)).collect::<Vec<_>>()
    {
        for need in &plan.needs {
            if out.remove(need).is_some() {
                tell(&format!("{need} is run: {} needs it\n", plan.name));
            }
        }
    }
    Ok(out)
}

/// Why a plan is not run now, if it is not.
fn left_out(
    plan: &SuitePlan,
    suite: &Suite,
    unchanged: &BTreeMap<String, String>,
    outcome: &Outcome,
    args: &Apply,
    world: &World,
) -> Option<PlanEnd> {
    if let Some(signal) = world.signals.name() {
        return Some(PlanEnd::Skipped { why: format!("stopped by {signal}") });
    }
    if let Some(why) = unchanged.get(&plan.name) {
        return Some(PlanEnd::Unchanged { why: why.clone() });
    }
    if let Some(need) = plan.needs.iter().find(|need| !outcome.passed(need)) {
        return Some(PlanEnd::Skipped { why: format!("it needs `{need}`, which did not pass") });
    }
    let red = |end: &PlanEnd| matches!(end, PlanEnd::Judged(judged) if judged.status != Exit::Pass);
    let red = outcome.plans.iter().find(|plan| red(&plan.end)).filter(|_| suite.fail_fast || args.fail_fast);
    red.map(|red| PlanEnd::Skipped {
        why: format!("`{}` did not pass, and the first that does not ends all", red.name),
    })
}

fn heading(plan: &SuitePlan) -> String {
    terminal::heading(&format!("plan {} ({})", plan.name, plan.path))
}

fn folder(suite: &str, args: &Apply, world: &World) -> PathBuf {
    let default = || {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let name: String = suite.chars().map(plain).collect();
        world.folder.join(".planc/runs").join(format!("{name}-{}", stamp((world.clock)())))
    };
    args.output.out.as_ref().map_or_else(default, |out| world.folder.join(out))
}
