//! So many iterations for each virtual user.

use super::{Executor, Kind, Options, no_misfit, optional};
use crate::graph::Demand;
use std::time::Duration;

pub(super) const EXECUTOR: Executor = Executor {
    name: "per-vu-iterations",
    about: "So many iterations for each virtual user.",
    keys: &[
        optional("vus", Kind::Count),
        optional("iterations", Kind::Count),
        optional("max_duration", Kind::Duration),
    ],
    check: no_misfit,
    lower,
};

fn lower(options: &Options) -> Demand {
    Demand::Iterations {
        vus: options.users("vus", 1),
        iterations: options.count("iterations").unwrap_or(1),
        shared: false,
        max_duration: options.duration("max_duration", Duration::from_secs(600)),
    }
}
