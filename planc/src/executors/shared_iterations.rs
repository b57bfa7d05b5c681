//! So many iterations in all, shared out among virtual users as they get free.

use super::{Executor, Kind, Misfit, Options, optional};
use crate::graph::Demand;
use std::time::Duration;

pub(super) const EXECUTOR: Executor = Executor {
    name: "shared-iterations",
    about: "So many iterations in all, shared out among virtual users as they get free.",
    keys: &[
        optional("vus", Kind::Count),
        optional("iterations", Kind::Count),
        optional("max_duration", Kind::Duration),
    ],
    check,
    lower,
};

fn check(options: &Options) -> Vec<Misfit> {
    let (vus, iterations) = (u64::from(options.users("vus", 1)), options.count("iterations").unwrap_or(1));
    if iterations >= vus {
        return Vec::new();
    }
    vec![Misfit {
        key: "iterations",
        message: format!("{iterations} iterations cannot be shared by {vus} virtual users"),
        help: Some(format!("write `iterations: {vus}` or more")),
    }]
}

fn lower(options: &Options) -> Demand {
    Demand::Iterations {
        vus: options.users("vus", 1),
        iterations: options.count("iterations").unwrap_or(1),
        shared: true,
        max_duration: options.duration("max_duration", Duration::from_secs(600)),
    }
}
