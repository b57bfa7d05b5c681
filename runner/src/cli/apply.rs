//! `runner apply`: a plan, judged.

use super::arguments::{Apply, Inputs};
use super::{Stop, internal, load, print, suite, tell};
use crate::changed::{Changes, Decision};
use crate::evidence::Evidence;
use crate::exit::Exit;
use crate::history;
use crate::judge::{self, Verdict};
use crate::listen::Both;
use crate::live::Live;
use crate::orchestrate::{self, Options};
use crate::output;
use crate::plan::Loaded;
use crate::report::{self, terminal};
use crate::suite::{Asked, Unusable, asked};
use crate::views::has_stages;
use crate::world::World;
use planc::graph::ExecutionGraph;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a run left behind.
pub(super) struct Applied {
    pub(super) evidence: Evidence,
    pub(super) verdict: Verdict,
}

pub(super) fn apply(args: &Apply, world: &World) -> Result<Exit, Stop> {
    args.output.colour();
    match asked(&args.plans) {
        Ok(Asked::One(path)) => one(&path, args, world),
        Ok(Asked::Many(plans)) => suite::apply(plans, args, world),
        Err(Unusable::Usage(why)) => Err(Stop(Exit::Usage, format!("error: {why}\n"))),
        Err(Unusable::Rejected(rendered)) => Err(Stop(Exit::PlanRejected, rendered)),
    }
}

fn one(path: &str, args: &Apply, world: &World) -> Result<Exit, Stop> {
    let loaded = load(path, &args.inputs, world)?;
    tell(&loaded.warnings);
    known_scenarios(&loaded.graph, &args.only)?;
    from_stage(&args.from_stage, &loaded.graph)?;
    if let Some(base) = &args.if_changed {
        match decide(base, path, &loaded, world)? {
            Decision::Skip(why) => {
                print(&format!("skipped: {why}\n"))?;
                return Ok(Exit::Pass);
            }
            Decision::Run(why) => tell(&format!("{path} is run: {why}\n")),
        }
    }
    if args.dry_run {
        print(&(planc::show::FORMATS[0].render)(&loaded.graph))?;
        return Ok(Exit::Pass);
    }
    let out = args.output.folder(&loaded.graph, world);
    writable(args, &out, world)?;
    let Applied { evidence, verdict } = run(args, loaded, &args.inputs, &out, world)?;
    if args.output.out.is_none() {
        output::point_latest(&out);
    }
    show(args, &out, &evidence, verdict)
}

/// Whether a change asks for the plan.
pub(super) fn decide(base: &str, path: &str, loaded: &Loaded, world: &World) -> Result<Decision, Stop> {
    let plan = world.folder.join(path);
    let own = loaded.written.iter().flat_map(|written| written.files());
    let own: Vec<PathBuf> = own.map(|file| world.folder.join(file)).chain([plan.clone()]).collect();
    let changes = Changes::since(base, &plan, &world.env)
        .map_err(|why| Stop(Exit::Usage, format!("error: --if-changed {base}: {why}\n")))?;
    Ok(changes.decide(loaded.graph.when_to_run.as_ref(), &own))
}

/// Told before anything is started, not after the load.
pub(super) fn writable(args: &Apply, out: &Path, world: &World) -> Result<(), Stop> {
    [out, &store(args, world)].into_iter().try_for_each(|folder| {
        let lost = |why| Stop(Exit::OutputLost, format!("error: {why}; nothing was started\n"));
        output::probe(folder).map_err(lost)
    })
}

/// Applies a plan, writes evidence, reports and history.
pub(super) fn run(
    args: &Apply,
    loaded: Loaded,
    inputs: &Inputs,
    out: &Path,
    world: &World,
) -> Result<Applied, Stop> {
    let Loaded { graph, written, .. } = loaded;
    let from_stage = from_stage(&args.from_stage, &graph)?;
    let options = Options {
        set: inputs.set.iter().cloned().collect(),
        only: args.only.clone(),
        from_stage,
        skip_seed: args.skip_seed,
        workers: args.workers,
        database_guard: args.database.database_guard.clone(),
        trust_ledger: args.database.trust_ledger,
        secrets: args.database.secrets.as_ref().map(|folder| world.folder.join(folder)),
        prometheus_rw: args.prometheus_rw.clone(),
        keep_stale: false,
        mode: seeders::Mode::Apply,
        out: out.to_owned(),
        ..Options::default()
    };
    let mut listeners = Both(args.output.teller(written, &graph), Live::new(out.join("live.json")));
    let evidence = orchestrate::apply(&graph, &options, world, &mut listeners).map_err(internal)?;
    drop(listeners);
    let verdict = judge::judge(&evidence.graph, &evidence);
    let lost = write_all(out, &evidence, &verdict);
    let verdict = verdict.with_lost_outputs(&lost);
    let (record, judged) = history::record(&evidence, &verdict);
    let unrecorded = history::append(&store(args, world), &record, &judged).err();
    let verdict = verdict.with_lost_outputs(unrecorded.as_slice());
    if !lost.is_empty() || unrecorded.is_some() {
        tell_lost(out, &evidence, &verdict);
    }
    Ok(Applied { evidence, verdict })
}

/// The outcome on standard output.
fn show(args: &Apply, out: &Path, evidence: &Evidence, verdict: Verdict) -> Result<Exit, Stop> {
    match print(&told(args, out, evidence, &verdict)) {
        Ok(()) => Ok(verdict.status),
        Err(Stop(_, why)) => {
            let verdict = verdict.with_lost_outputs(&["cannot write to standard output".to_owned()]);
            tell_lost(out, evidence, &verdict);
            // A worse verdict than a lost output stays what it is.
            Err(Stop(verdict.status, format!("{why}{}", terminal::verdict_line(evidence, &verdict))))
        }
    }
}

/// The stage to begin at, for each scenario that is named or, by a bare number, that has stages.
fn from_stage(asked: &[String], graph: &ExecutionGraph) -> Result<BTreeMap<String, u32>, Stop> {
    let wrong = |why: String| Stop(Exit::Usage, format!("error: --from-stage: {why}\n"));
    let staged = || graph.scenarios.iter().filter(|scenario| has_stages(&scenario.demand));
    let mut out = BTreeMap::new();
    for text in asked {
        let (name, number) = match text.rsplit_once(':') {
            Some((name, number)) => (Some(name), number),
            None => (None, text.as_str()),
        };
        let number: u32 = number
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| wrong(format!("`{text}` is no stage; write `3` or `ramp:3`")))?;
        let meant: Vec<_> =
            staged().filter(|scenario| name.is_none_or(|name| scenario.name == name)).collect();
        if meant.is_empty() {
            let known: Vec<&str> = staged().map(|scenario| scenario.name.as_str()).collect();
            return Err(wrong(match (name, known.is_empty()) {
                (_, true) => "no scenario of the plan has stages".into(),
                (Some(name), false) => {
                    format!("no scenario `{name}` with stages; there is {}", known.join(", "))
                }
                (None, false) => "no scenario has stages".into(),
            }));
        }
        for scenario in meant {
            let count = (1..).take_while(|number| scenario.demand.piece(*number).is_some()).count();
            if scenario.demand.piece(number).is_none() {
                return Err(wrong(format!("`{}` has {count} stages, and no stage {number}", scenario.name)));
            }
            out.insert(scenario.name.clone(), number);
        }
    }
    out.retain(|_, number| *number > 1);
    Ok(out)
}

/// The outcome, for people.
pub(super) fn told(args: &Apply, out: &Path, evidence: &Evidence, verdict: &Verdict) -> String {
    match args.output.quiet {
        true => terminal::verdict_line(evidence, verdict),
        false => {
            format!("{}  evidence and reports: {}\n", terminal::outcome(evidence, verdict), out.display())
        }
    }
}

pub(super) fn known_scenarios(graph: &ExecutionGraph, only: &[String]) -> Result<(), Stop> {
    let known = || graph.scenarios.iter().map(|scenario| scenario.name.as_str());
    match only.iter().find(|name| !known().any(|known| known == *name)) {
        None => Ok(()),
        Some(name) => {
            let known: Vec<&str> = known().collect();
            let message = format!("error: no scenario `{name}`; the plan has {}\n", known.join(", "));
            Err(Stop(Exit::Usage, message))
        }
    }
}

/// Where the history is kept.
pub(super) fn store(args: &Apply, world: &World) -> PathBuf {
    super::store(args.history.as_deref(), world)
}

/// Evidence, and the reports that the plan asks for; why some could not be written.
fn write_all(out: &Path, evidence: &Evidence, verdict: &Verdict) -> Vec<String> {
    let mut lost: Vec<String> =
        output::write_evidence(&out.join("evidence.json"), evidence).err().into_iter().collect();
    for (path, report) in report::asked(&evidence.graph.report) {
        let text = (report.render)(evidence, verdict);
        lost.extend(output::write(&out.join(path), &text).err());
    }
    lost
}

/// What could be written says that something else could not.
fn tell_lost(out: &Path, evidence: &Evidence, verdict: &Verdict) {
    for (path, report) in report::asked(&evidence.graph.report) {
        let text = (report.render)(evidence, verdict);
        // Whatever is lost now was lost before, and that is told.
        let _ = output::write(&out.join(path), &text);
    }
}
