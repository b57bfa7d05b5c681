//! The load: who does what, when and how much.

use super::{FindMax, HoldUntil, Step, Template, Until};
use crate::units::{PartsPerMillion, Rate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Load: who does what, when and how much.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, the `scenario` tag.
    pub name: String,
    /// The executor's name as written, for people.
    pub executor: String,
    /// Shape of the load.
    pub demand: Demand,
    /// Start after the load's start (or after `needs` ended).
    pub start_time: Duration,
    /// Time that iterations get to end by themselves.
    pub graceful_stop: Duration,
    /// Scenarios that must have ended first.
    pub needs: Vec<String>,
    /// Runs before all others, which run only if its gates and expectations hold.
    pub smoke: bool,
    /// Fixtures drawn from.
    pub draw: Vec<Draw>,
    /// When connections are opened.
    pub connections: Connections,
    /// Pause after a failed iteration.
    pub pause_on_failure: Option<Duration>,
    /// Whether its requests carry a `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// Played once by each virtual user before its first iteration.
    pub setup: Vec<Step>,
    /// One iteration.
    pub steps: Vec<Step>,
    /// Tags of all its samples (`scenario` is implied).
    pub tags: BTreeMap<String, Template>,
    /// The load is raised until its own gates break, to learn what it can bear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub find_max: Option<FindMax>,
}

/// A W3C `traceparent` on every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// Share of the requests whose trace is to be recorded; the others say that theirs is not.
    pub sample: PartsPerMillion,
}

/// When connections are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connections {
    /// Kept over iterations.
    Keep,
    /// New for each iteration.
    PerIteration,
    /// New for each request.
    PerRequest,
}

/// Shape of the load. All executors come down to one of these three; pieces are linear between their ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Demand {
    /// Open model: iterations start at computed times, whoever is free plays them.
    Arrivals {
        /// Rate at the start of the first piece.
        start_rate: Rate,
        /// Rate is linear from the last target to this one over each duration; a zero duration jumps.
        pieces: Vec<RatePiece>,
        /// Virtual users made before the start.
        pre_allocated_vus: u32,
        /// Virtual users at most; an arrival that finds none free is dropped.
        max_vus: u32,
    },
    /// Closed model: so many virtual users loop.
    Users {
        /// Users at the start of the first piece.
        start_vus: u32,
        /// Users are linear from the last target to this one.
        pieces: Vec<UserPiece>,
        /// Time that a retired user's iteration gets to end by itself.
        graceful_ramp_down: Duration,
    },
    /// A fixed number of iterations.
    Iterations {
        /// Virtual users.
        vus: u32,
        /// Iterations, over all users or for each.
        iterations: u64,
        /// Over all users (`shared-iterations`) or each (`per-vu-iterations`).
        shared: bool,
        /// Ends the scenario however many are left.
        max_duration: Duration,
    },
}

/// A piece of an open-model demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatePiece {
    /// Rate at its end.
    pub target: Rate,
    /// How long it takes to get there.
    pub duration: Duration,
    /// What it waits for there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldUntil>,
}

/// A piece of a closed-model demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserPiece {
    /// Users at its end.
    pub target: u32,
    /// How long it takes to get there.
    pub duration: Duration,
    /// What it waits for there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldUntil>,
}

/// One row of a fixture for each iteration, bound to a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draw {
    /// Name in scope.
    pub binding: String,
    /// The fixture's name.
    pub fixture: String,
    /// Which row.
    pub order: DrawOrder,
}

/// Which row an iteration gets; k is the scenario's global iteration from 0, rows count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrawOrder {
    /// k mod rows.
    RoundRobin,
    /// With replacement, keyed by (seed, scenario, binding, k).
    Random,
    /// A permutation, then the next permutation.
    Shuffle,
    /// Always the row of the virtual user's number.
    PerVu,
    /// Each row once in the run; running out is invalid.
    Exclusive,
}

impl Demand {
    /// Virtual users that the demand can hold at once.
    pub fn max_vus(&self) -> u32 {
        match self {
            Demand::Arrivals { max_vus, .. } => *max_vus,
            Demand::Users { start_vus, pieces, .. } => {
                pieces.iter().map(|p| p.target).fold(*start_vus, u32::max)
            }
            Demand::Iterations { vus, .. } => *vus,
        }
    }

    /// How long it lasts at most, without graceful stop.
    pub fn duration(&self) -> Duration {
        match self {
            Demand::Iterations { max_duration, .. } => *max_duration,
            _ => self.lengths().iter().fold(Duration::ZERO, |sum, more| sum.saturating_add(*more)),
        }
    }

    /// When stage `number` (from 1) begins and ends at the latest, after the scenario's beginning.
    pub fn stage(&self, number: u32) -> Option<(Duration, Duration)> {
        let lengths = self.lengths();
        let before = number.checked_sub(1)? as usize;
        let begin = lengths.get(..before)?.iter().fold(Duration::ZERO, |sum, more| sum.saturating_add(*more));
        Some((begin, begin.saturating_add(*lengths.get(before)?)))
    }

    /// Climb and hold of each piece together.
    fn lengths(&self) -> Vec<Duration> {
        let length = |duration: Duration, hold: &Option<HoldUntil>| {
            duration.saturating_add(hold.as_ref().map_or(Duration::ZERO, |hold| hold.within))
        };
        match self {
            Demand::Arrivals { pieces, .. } => pieces.iter().map(|p| length(p.duration, &p.hold)).collect(),
            Demand::Users { pieces, .. } => pieces.iter().map(|p| length(p.duration, &p.hold)).collect(),
            Demand::Iterations { .. } => Vec::new(),
        }
    }

    /// Whether the run decides how long some stage lasts.
    pub fn is_held(&self) -> bool {
        (1..).map_while(|number| self.piece(number)).any(|(_, hold)| hold.is_some())
    }

    /// Time to climb and hold of stage `number` (from 1).
    pub fn piece(&self, number: u32) -> Option<(Duration, Option<&HoldUntil>)> {
        let at = number.checked_sub(1)? as usize;
        match self {
            Demand::Arrivals { pieces, .. } => pieces.get(at).map(|p| (p.duration, p.hold.as_ref())),
            Demand::Users { pieces, .. } => pieces.get(at).map(|p| (p.duration, p.hold.as_ref())),
            Demand::Iterations { .. } => None,
        }
    }

    /// The same with other times for its stages: `change` is given the number of a stage (from 1), its time to climb and
    /// its hold.
    pub fn retimed(&self, change: &mut dyn FnMut(u32, &mut Duration, &mut Option<HoldUntil>)) -> Demand {
        let mut demand = self.clone();
        match &mut demand {
            Demand::Arrivals { pieces, .. } => {
                (1..).zip(pieces).for_each(|(number, p)| change(number, &mut p.duration, &mut p.hold));
            }
            Demand::Users { pieces, .. } => {
                (1..).zip(pieces).for_each(|(number, p)| change(number, &mut p.duration, &mut p.hold));
            }
            Demand::Iterations { .. } => {}
        }
        demand
    }

    /// The same where each hold ends as soon as it can.
    pub fn shortest(&self) -> Demand {
        self.retimed(&mut |_, _, hold| {
            if let Some(HoldUntil { until: Until::Flat { window, .. }, within }) = hold {
                *within = *window;
            }
        })
    }

    /// The same with each hold as a flat piece of its own, which lasts as long as the hold may.
    pub fn plain(&self) -> Demand {
        let mut demand = self.clone();
        match &mut demand {
            Demand::Arrivals { pieces, .. } => {
                let plain = |RatePiece { target, duration, hold }: &RatePiece| {
                    let climb = RatePiece { target: *target, duration: *duration, hold: None };
                    let flat = hold.as_ref().map(|hold| RatePiece { duration: hold.within, ..climb.clone() });
                    [Some(climb), flat]
                };
                *pieces = pieces.iter().flat_map(plain).flatten().collect();
            }
            Demand::Users { pieces, .. } => {
                let plain = |UserPiece { target, duration, hold }: &UserPiece| {
                    let climb = UserPiece { target: *target, duration: *duration, hold: None };
                    let flat = hold.as_ref().map(|hold| UserPiece { duration: hold.within, ..climb.clone() });
                    [Some(climb), flat]
                };
                *pieces = pieces.iter().flat_map(plain).flatten().collect();
            }
            Demand::Iterations { .. } => {}
        }
        demand
    }
}
