//! Iterations start at a fixed rate, whatever the target does.

use super::{Executor, Kind, Misfit, Options, check_pool, optional, pool, required};
use crate::graph::{Demand, RatePiece};
use std::time::Duration;

pub(super) const EXECUTOR: Executor = Executor {
    name: "constant-arrival-rate",
    about: "Iterations start at a fixed rate, whatever the target does (open model).",
    keys: &[
        required("rate", Kind::Rate),
        required("duration", Kind::Duration),
        required("pre_allocated_vus", Kind::CountOrZero),
        optional("max_vus", Kind::Count),
    ],
    check,
    lower,
};

fn check(options: &Options) -> Vec<Misfit> {
    let mut misfits = check_pool(options);
    if options.values.contains_key("rate") && options.rate("rate").count == 0 {
        misfits.push(Misfit {
            key: "rate",
            message: "a constant rate of 0 starts no iteration".into(),
            help: Some("write `rate: 1/s` or more, or leave the scenario out".into()),
        });
    }
    misfits
}

fn lower(options: &Options) -> Demand {
    let rate = options.rate("rate");
    let (pre_allocated_vus, max_vus) = pool(options);
    Demand::Arrivals {
        start_rate: rate,
        pieces: vec![RatePiece {
            target: rate,
            duration: options.duration("duration", Duration::ZERO),
            hold: None,
        }],
        pre_allocated_vus,
        max_vus,
    }
}
