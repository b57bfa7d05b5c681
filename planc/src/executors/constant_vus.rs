//! So many virtual users loop for a time.

use super::{Executor, Kind, Options, no_misfit, optional, required};
use crate::graph::{Demand, UserPiece};
use std::time::Duration;

pub(super) const EXECUTOR: Executor = Executor {
    name: "constant-vus",
    about: "So many virtual users loop for a time (closed model).",
    keys: &[optional("vus", Kind::Count), required("duration", Kind::Duration)],
    check: no_misfit,
    lower,
};

fn lower(options: &Options) -> Demand {
    let vus = options.users("vus", 1);
    Demand::Users {
        start_vus: vus,
        pieces: vec![UserPiece {
            target: vus,
            duration: options.duration("duration", Duration::ZERO),
            hold: None,
        }],
        graceful_ramp_down: Duration::ZERO,
    }
}
