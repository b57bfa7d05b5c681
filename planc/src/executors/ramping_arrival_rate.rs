//! Iterations start at a rate that follows stages.

use super::{Executor, Kind, Options, check_pool, optional, pool, required};
use crate::graph::Demand;

pub(super) const EXECUTOR: Executor = Executor {
    name: "ramping-arrival-rate",
    about: "Iterations start at a rate that follows stages (open model).",
    keys: &[
        required("stages", Kind::RateStages),
        required("pre_allocated_vus", Kind::CountOrZero),
        optional("max_vus", Kind::Count),
        optional("start_rate", Kind::Rate),
    ],
    check: check_pool,
    lower,
};

fn lower(options: &Options) -> Demand {
    let (pre_allocated_vus, max_vus) = pool(options);
    Demand::Arrivals {
        start_rate: options.rate("start_rate"),
        pieces: options.rate_pieces(),
        pre_allocated_vus,
        max_vus,
    }
}
