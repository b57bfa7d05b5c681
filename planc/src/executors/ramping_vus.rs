//! Virtual users loop, their number follows stages.

use super::{Executor, Kind, Options, no_misfit, optional, required};
use crate::graph::Demand;
use std::time::Duration;

pub(super) const EXECUTOR: Executor = Executor {
    name: "ramping-vus",
    about: "Virtual users loop, their number follows stages (closed model).",
    keys: &[
        required("stages", Kind::UserStages),
        optional("start_vus", Kind::CountOrZero),
        optional("graceful_ramp_down", Kind::Duration),
    ],
    check: no_misfit,
    lower,
};

fn lower(options: &Options) -> Demand {
    Demand::Users {
        start_vus: options.users("start_vus", 1),
        pieces: options.user_pieces(),
        graceful_ramp_down: options.duration("graceful_ramp_down", Duration::from_secs(30)),
    }
}
