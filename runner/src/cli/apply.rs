//! `runner apply`: a plan, judged.

use super::arguments::Apply;
use super::{Stop, internal, load, print, tell};
use crate::evidence::Evidence;
use crate::exit::Exit;
use crate::judge::{self, Verdict};
use crate::listen::Both;
use crate::live::Live;
use crate::orchestrate::{self, Options};
use crate::output;
use crate::plan::Loaded;
use crate::report::{self, terminal};
use crate::views::has_stages;
use crate::world::World;
use planc::graph::ExecutionGraph;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn apply(args: &Apply, world: &World) -> Result<Exit, Stop> {
    args.output.colour();
    let Loaded { graph, written, warnings } = load(&args.plan, &args.inputs, world)?;
    tell(&warnings);
    for name in &args.only {
        if !graph.scenarios.iter().any(|scenario| scenario.name == *name) {
            let known: Vec<&str> = graph.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
            let message = format!("error: no scenario `{name}`; the plan has {}\n", known.join(", "));
            return Err(Stop(Exit::Usage, message));
        }
    }
    let from_stage = from_stage(&args.from_stage, &graph)?;
    if args.dry_run {
        print(&(planc::show::FORMATS[0].render)(&graph))?;
        return Ok(Exit::Pass);
    }
    let out = args.output.folder(&graph, world);
    // Told before anything is started, not after the load.
    output::probe(&out)
        .map_err(|why| Stop(Exit::OutputLost, format!("error: {why}; nothing was started\n")))?;
    let options = Options {
        set: args.inputs.set.iter().cloned().collect(),
        only: args.only.clone(),
        from_stage,
        skip_seed: args.skip_seed,
        workers: args.workers,
        database_guard: args.database.database_guard.clone(),
        trust_ledger: args.database.trust_ledger,
        keep_stale: false,
        mode: seeders::Mode::Apply,
        out: out.clone(),
        ..Options::default()
    };
    let mut listeners = Both(args.output.teller(written, &graph), Live::new(out.join("live.json")));
    let evidence = orchestrate::apply(&graph, &options, world, &mut listeners).map_err(internal)?;
    drop(listeners);
    let verdict = judge::judge(&evidence.graph, &evidence);
    let lost = write_all(&out, &evidence, &verdict);
    let verdict = verdict.with_lost_outputs(&lost);
    if !lost.is_empty() {
        tell_lost(&out, &evidence, &verdict);
    }
    if args.output.out.is_none() {
        output::point_latest(&out);
    }
    let text = match args.output.quiet {
        true => terminal::verdict_line(&evidence, &verdict),
        false => {
            format!("{}  evidence and reports: {}\n", terminal::outcome(&evidence, &verdict), out.display())
        }
    };
    match print(&text) {
        Ok(()) => Ok(verdict.status),
        Err(Stop(_, why)) => {
            let verdict = verdict.with_lost_outputs(&["cannot write to standard output".to_owned()]);
            tell_lost(&out, &evidence, &verdict);
            // A worse verdict than a lost output stays what it is.
            Err(Stop(verdict.status, format!("{why}{}", terminal::verdict_line(&evidence, &verdict))))
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
