//! `runner preflight`: is everything ready for a run?

use super::arguments::Preflight;
use super::{Stop, end_preparation, internal, load, tell};
use crate::exit::Exit;
use crate::orchestrate::{self, Options};
use crate::plan::Loaded;
use crate::world::World;

pub(super) fn preflight(args: &Preflight, world: &World) -> Result<Exit, Stop> {
    args.output.colour();
    let Loaded { graph, written, warnings } = load(&args.plan, &args.inputs, world)?;
    tell(&warnings);
    let options = Options {
        set: args.inputs.set.iter().cloned().collect(),
        database_guard: args.database_guard.clone(),
        out: args.output.folder(&graph, world),
        ..Options::default()
    };
    let mut teller = args.output.teller(written, &graph);
    let evidence = orchestrate::preflight(&graph, &options, world, &mut teller).map_err(internal)?;
    end_preparation(&evidence)
}
