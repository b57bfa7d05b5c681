//! Iterations start at a fixed rate, whatever the target does.

use super::{Executor, Kind, Options, check_pool, optional, pool, required};
use crate::graph::{Demand, RatePiece};
use std::time::Duration;

pub(super) const EXECUTOR: Executor = Executor {
    name: "constant-arrival-rate",
    keys: &[
        required("rate", Kind::Rate),
        required("duration", Kind::Duration),
        required("pre_allocated_vus", Kind::CountOrZero),
        optional("max_vus", Kind::Count),
    ],
    check: check_pool,
    lower,
};

fn lower(options: &Options) -> Demand {
    let rate = options.rate("rate");
    let (pre_allocated_vus, max_vus) = pool(options);
    Demand::Arrivals {
        start_rate: rate,
        pieces: vec![RatePiece { target: rate, duration: options.duration("duration", Duration::ZERO) }],
        pre_allocated_vus,
        max_vus,
    }
}
