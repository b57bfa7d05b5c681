//! Numbers of the last seconds of a load under way, for what must be noticed while it goes on.

use super::gates::{Facts, Unit, bound_value, show};
use super::pool::{Ground, Pool, Seconds};
use super::sql_gates::as_gate;
use crate::evidence::LoadRecord;
use planc::graph::{Aggregate, Bound, Comparison, ExecutionGraph, Gate, MetricRef, StepId};
use std::collections::{BTreeSet, VecDeque};

/// How far back it is looked.
const WINDOW_US: u64 = 10_000_000;
/// A percentile of fewer samples is a whim.
const FEWEST: u64 = 20;

/// A condition on a number of the last ten seconds.
pub(crate) struct Recent {
    gate: Gate,
    /// Sums as they stood at the ends of the seconds that are kept, oldest first.
    past: VecDeque<(u64, Pool)>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Now {
    /// The condition holds.
    pub(crate) holds: bool,
    /// The value for people.
    pub(crate) text: String,
}

impl Recent {
    /// A condition that was not looked at yet.
    pub(crate) fn new(of: &MetricRef, steps: &[StepId], op: Comparison, bound: Bound) -> Recent {
        Recent { gate: Gate { op, bound, ..as_gate(of, steps) }, past: VecDeque::new() }
    }

    /// Looks at the load as it stands; `None` while there is too little to look at.
    pub(crate) fn look(&mut self, graph: &ExecutionGraph, load: &LoadRecord) -> Option<Now> {
        let facts = Facts::new(graph, load, BTreeSet::new());
        let at = load.duration_us;
        let from = at.saturating_sub(WINDOW_US);
        let (pool, ground) = match graph.scrapes.contains_key(&self.gate.metric) {
            true => {
                let ground = Ground::Stretch(from, at + 1);
                (facts.pool(&self.gate, ground, Seconds::All), ground)
            }
            false => {
                let all = facts.pool(&self.gate, Ground::Load, Seconds::All);
                while self.past.len() > 1 && self.past[1].0 <= from {
                    self.past.pop_front();
                }
                let before = self.past.front().filter(|_| self.gate.aggregate != Aggregate::Count);
                let since = before.map_or(0, |(at, _)| *at);
                let recent = before.map_or_else(|| all.clone(), |(_, before)| all.since(before));
                self.past.push_back((at, all));
                (recent, Ground::Stretch(since, at.max(since + 1)))
            }
        };
        let measured = facts.measure(&self.gate, ground, &pool);
        let few = matches!(self.gate.aggregate, Aggregate::Percentile(_)) && measured.samples < FEWEST;
        let value = measured.value.filter(|_| !few && measured.refused.is_none())?;
        let unit: Unit = facts.unit(&self.gate);
        let holds = self.gate.op.holds(value, bound_value(&self.gate, unit));
        Some(Now { holds, text: show(value, unit) })
    }
}
