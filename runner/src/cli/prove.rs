//! `runner prove`: which gate notices what.

use super::arguments::{Prove, VerdictFormat};
use super::{Stop, internal, load, print, tell};
use crate::exit::Exit;
use crate::orchestrate::Options;
use crate::output;
use crate::plan::Loaded;
use crate::prove::{self, Unproven};
use crate::report::terminal;
use crate::world::World;

pub(super) fn proof(args: &Prove, world: &World) -> Result<Exit, Stop> {
    args.output.colour();
    let Loaded { graph, warnings, .. } = load(&args.plan, &args.inputs, world)?;
    tell(&warnings);
    let known = || prove::KINDS.iter().map(|(_, name)| *name);
    for (name, reason) in &args.allow {
        if !known().any(|known| known == name) {
            let all: Vec<&str> = known().collect();
            return Err(Stop(
                Exit::Usage,
                format!("error: no fault `{name}`; there are {}\n", all.join(", ")),
            ));
        }
        if reason.trim().chars().count() < 3 {
            return Err(Stop(Exit::Usage, format!("error: --allow {name} needs a reason\n")));
        }
    }
    if prove::has_sessions(&graph) {
        let why = "this plan opens WebSockets, and what `prove` puts before the target to break it carries requests alone";
        return Err(Stop(Exit::Usage, format!("error: {why}; nothing was started\n")));
    }
    let out = args.output.folder(&graph, world);
    output::probe(&out)
        .map_err(|why| Stop(Exit::OutputLost, format!("error: {why}; nothing was started\n")))?;
    let set = args.inputs.set.iter().cloned().collect();
    let request = prove::Request {
        graph: &graph,
        options: Options { set, mode: seeders::Mode::Apply, out: out.clone(), ..Options::default() },
        load: args.load,
        only: args.only.clone(),
        allowed: args.allow.iter().cloned().collect(),
    };
    let mut hear = |told: prove::Told<'_>| {
        if !args.output.quiet {
            tell(&prove::progress(&told));
        }
    };
    match prove::prove(&request, world, &mut hear) {
        Ok(matrix) => {
            print(&match args.format {
                VerdictFormat::Terminal => prove::render(&matrix),
                VerdictFormat::Json => format!("{:#}\n", matrix.json()),
            })?;
            if !args.output.quiet {
                tell(&format!("evidence of every run: {}\n", out.display()));
            }
            Ok(matrix.exit())
        }
        Err(Unproven::NotGreen(run)) => {
            let (evidence, verdict) = *run;
            tell(&terminal::outcome(&evidence, &verdict));
            tell("error: the unharmed run is not green, so that nothing can be proven by breaking it\n");
            Ok(verdict.status)
        }
        Err(Unproven::Interrupted) => Ok(Exit::Interrupted),
        Err(Unproven::Io(error)) => Err(internal(error)),
    }
}
