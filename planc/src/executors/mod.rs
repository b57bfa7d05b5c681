//! Executors: words for shapes of load. Each is one file that says its keys, what must hold between them, and which
//! [`Demand`] it comes down to; parser, engine and graph know no executor by name.

mod constant_arrival_rate;
mod constant_vus;
mod find_max;
mod per_vu_iterations;
mod ramping_arrival_rate;
mod ramping_vus;
mod shared_iterations;

use crate::graph::{Demand, HoldUntil, RatePiece, UserPiece};
use crate::units::Rate;
use std::collections::BTreeMap;
use std::time::Duration;

/// All executors.
pub(crate) const EXECUTORS: &[Executor] = &[
    constant_vus::EXECUTOR,
    ramping_vus::EXECUTOR,
    constant_arrival_rate::EXECUTOR,
    ramping_arrival_rate::EXECUTOR,
    shared_iterations::EXECUTOR,
    per_vu_iterations::EXECUTOR,
    find_max::EXECUTOR,
];

/// One executor.
#[derive(Debug)]
pub(crate) struct Executor {
    /// As written after `executor:`.
    pub(crate) name: &'static str,
    /// What it does, in a sentence.
    pub(crate) about: &'static str,
    /// What it takes besides what every scenario takes.
    pub(crate) keys: &'static [Key],
    /// What must hold between the values.
    pub(crate) check: fn(&Options) -> Vec<Misfit>,
    /// The shape. Every required key has a value when this is called.
    pub(crate) lower: fn(&Options) -> Demand,
}

/// A key of an executor.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) need: Need,
}

/// What stands under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole number from 1 on.
    Count,
    /// A whole number from 0 on.
    CountOrZero,
    Rate,
    Duration,
    UserStages,
    RateStages,
}

/// Whether a key must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    /// The executor fills in k6's default.
    Optional,
}

/// Two values that do not go together.
#[derive(Debug)]
pub(crate) struct Misfit {
    /// The key to point at.
    pub(crate) key: &'static str,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// A resolved value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Count(u64),
    Rate(Rate),
    Duration(Duration),
    UserStages(Vec<Stage<u64>>),
    RateStages(Vec<Stage<Rate>>),
}

/// A stage with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage<T> {
    pub(crate) target: T,
    pub(crate) duration: Duration,
    pub(crate) hold: Option<HoldUntil>,
}

/// The values of an executor's keys that were written and are sound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) values: BTreeMap<&'static str, Value>,
}

impl Options {
    pub(crate) fn count(&self, key: &str) -> Option<u64> {
        match self.values.get(key) {
            Some(Value::Count(count)) => Some(*count),
            _ => None,
        }
    }

    /// A number of virtual users, at most what fits the graph.
    pub(crate) fn users(&self, key: &str, default: u32) -> u32 {
        self.count(key).map_or(default, |count| u32::try_from(count).unwrap_or(u32::MAX))
    }

    pub(crate) fn rate(&self, key: &str) -> Rate {
        match self.values.get(key) {
            Some(Value::Rate(rate)) => *rate,
            _ => Rate { count: 0, per: Duration::from_secs(1) },
        }
    }

    pub(crate) fn duration(&self, key: &str, default: Duration) -> Duration {
        match self.values.get(key) {
            Some(Value::Duration(duration)) => *duration,
            _ => default,
        }
    }

    pub(crate) fn user_pieces(&self) -> Vec<UserPiece> {
        match self.values.get("stages") {
            Some(Value::UserStages(stages)) => stages
                .iter()
                .map(|stage| UserPiece {
                    target: u32::try_from(stage.target).unwrap_or(u32::MAX),
                    duration: stage.duration,
                    hold: stage.hold.clone(),
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn rate_pieces(&self) -> Vec<RatePiece> {
        match self.values.get("stages") {
            Some(Value::RateStages(stages)) => stages
                .iter()
                .map(|stage| RatePiece {
                    target: stage.target,
                    duration: stage.duration,
                    hold: stage.hold.clone(),
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// The executor of a name.
pub(crate) fn by_name(name: &str) -> Option<&'static Executor> {
    EXECUTORS.iter().find(|executor| executor.name == name)
}

/// The executors that take a key.
pub(crate) fn takers(key: &str) -> Vec<&'static str> {
    EXECUTORS.iter().filter(|e| e.keys.iter().any(|k| k.name == key)).map(|e| e.name).collect()
}

const fn required(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, need: Need::Required }
}

const fn optional(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, need: Need::Optional }
}

/// The pool of an open model: `max_vus` is `pre_allocated_vus` unless given, and never below it.
fn pool(options: &Options) -> (u32, u32) {
    let pre_allocated = options.users("pre_allocated_vus", 1);
    (pre_allocated, options.users("max_vus", pre_allocated))
}

fn check_pool(options: &Options) -> Vec<Misfit> {
    let (pre_allocated, max) = pool(options);
    if pre_allocated <= max {
        return Vec::new();
    }
    vec![Misfit {
        key: "max_vus",
        message: format!("`max_vus` is {max}, below `pre_allocated_vus` of {pre_allocated}"),
        help: Some(format!("write `max_vus: {pre_allocated}` or more")),
    }]
}

fn no_misfit(_: &Options) -> Vec<Misfit> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_of_one_kind_or_is_stages() {
        for executor in EXECUTORS {
            for key in executor.keys {
                for other in EXECUTORS.iter().flat_map(|e| e.keys).filter(|k| k.name == key.name) {
                    assert!(key.name == "stages" || key.kind == other.kind, "{}.{}", executor.name, key.name);
                }
            }
        }
    }
}
