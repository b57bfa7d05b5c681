//! The course of a scenario: when its stages end. Of a stage that is held until the target has settled nobody knows
//! that beforehand: the coordinator fixes it a moment ahead, drivers and recorders read it here. Atomics only.

use planc::graph::{Demand, HoldUntil, Scenario};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// A hold whose end is not known lasts longer than any run.
const FOREVER: Duration = Duration::from_secs(1 << 30);
/// The approach to the stage at which a run is resumed takes no longer.
const APPROACH: Duration = Duration::from_secs(30);

/// When the stages of a scenario end.
#[derive(Debug)]
pub(crate) struct Course {
    planned: Demand,
    demand: Demand,
    /// By stage, microseconds after the scenario's beginning; `u64::MAX` until known.
    ends: Vec<AtomicU64>,
    /// Holds that have ended.
    fixed: AtomicU32,
    /// The first stage that is measured.
    pub(crate) first: u32,
}

impl Course {
    /// The course of a demand, from its first stage on or from a later one. The load goes straight to where that one
    /// begins: linearly over half a minute, or over all the time that the plan climbs to there, whichever is shorter.
    pub(crate) fn new(demand: &Demand, from: Option<u32>) -> Course {
        let first = from.filter(|from| *from > 1 && demand.piece(*from).is_some()).unwrap_or(1);
        let planned = demand.clone();
        let demand = resumed(demand, first);
        let stages = (1..).take_while(|number| demand.piece(*number).is_some()).count();
        let ends = std::iter::repeat_with(|| AtomicU64::new(u64::MAX)).take(stages).collect();
        let course = Course { planned, demand, ends, fixed: AtomicU32::new(0), first };
        course.note();
        course
    }

    /// How many holds have ended: as long as it stays the same, so does the rest.
    pub(crate) fn fixed(&self) -> u32 {
        self.fixed.load(Ordering::Acquire)
    }

    /// The demand as far as it is known: a hold lasts as long as it did, or for ever.
    pub(crate) fn so_far(&self) -> Demand {
        let mut before = Duration::ZERO;
        let ends: Vec<u64> = self.ends.iter().map(|end| end.load(Ordering::Acquire)).collect();
        self.demand.retimed(&mut |number, climb, hold| {
            let climbed = before + *climb;
            if let Some(HoldUntil { within, .. }) = hold {
                let end = ends[number as usize - 1];
                let lasted = Duration::from_micros(end).saturating_sub(climbed);
                *within = if end == u64::MAX { FOREVER } else { lasted };
            }
            before = climbed + hold.as_ref().map_or(Duration::ZERO, |hold| hold.within);
        })
    }

    /// The stage in which a moment lies, microseconds after the scenario's beginning; none before the first that is
    /// measured and behind the last.
    pub(crate) fn stage_at(&self, own_us: u64) -> Option<u32> {
        let before = self.ends.partition_point(|end| end.load(Ordering::Relaxed) <= own_us);
        let number = u32::try_from(before).ok()? + 1;
        (before < self.ends.len() && number >= self.first).then_some(number)
    }

    /// When a stage begins, when its climb is over and when it ends, microseconds after the scenario's beginning, as far
    /// as that is known.
    pub(crate) fn stage(&self, number: u32) -> Option<(u64, u64, Option<u64>)> {
        let at = number.checked_sub(1)? as usize;
        let end = self.ends.get(at)?.load(Ordering::Acquire);
        let begin = match at.checked_sub(1) {
            Some(before) => self.ends[before].load(Ordering::Acquire),
            None => 0,
        };
        let climb = self.demand.piece(number)?.0.as_micros() as u64;
        (begin < u64::MAX).then_some((begin, begin.saturating_add(climb), (end < u64::MAX).then_some(end)))
    }

    /// The demand as the plan has it.
    pub(crate) fn planned(&self) -> &Demand {
        &self.planned
    }

    /// The demand with holds that nobody has ended.
    pub(crate) fn demand(&self) -> &Demand {
        &self.demand
    }

    /// Ends the hold of a stage at a moment, microseconds after the scenario's beginning.
    pub(crate) fn end_hold(&self, number: u32, own_us: u64) {
        if let Some(end) = self.ends.get(number as usize - 1) {
            end.store(own_us, Ordering::Release);
        }
        self.note();
        self.fixed.fetch_add(1, Ordering::AcqRel);
    }

    /// Writes down all ends that follow from those that are known.
    fn note(&self) {
        let mut before = 0_u64;
        for (number, end) in (1..).zip(&self.ends) {
            let Some((climb, hold)) = self.demand.piece(number) else { return };
            before = match (hold, end.load(Ordering::Acquire)) {
                (Some(_), u64::MAX) => return,
                (Some(_), known) => known,
                (None, _) => before.saturating_add(climb.as_micros() as u64),
            };
            end.store(before, Ordering::Release);
        }
    }
}

/// The courses of scenarios by name, some from a later stage on.
pub(crate) fn courses<'s>(
    scenarios: &[&'s Scenario],
    from: &BTreeMap<String, u32>,
) -> BTreeMap<&'s str, Arc<Course>> {
    let course = |s: &Scenario| Arc::new(Course::new(&s.demand, from.get(&s.name).copied()));
    scenarios.iter().map(|scenario| (scenario.name.as_str(), course(scenario))).collect()
}

/// The demand with the stages before `first` cut down to one way to where it begins.
fn resumed(demand: &Demand, first: u32) -> Demand {
    if first == 1 {
        return demand.clone();
    }
    let climbs = (1..first).filter_map(|number| demand.piece(number));
    let climbs = climbs.fold(Duration::ZERO, |sum, (climb, _)| sum.saturating_add(climb));
    let mut demand = demand.retimed(&mut |number, climb, hold| {
        if number < first {
            *hold = None;
            *climb = if number + 1 == first { climbs.min(APPROACH) } else { Duration::ZERO };
        }
    });
    // Levels in between are not jumped to on the way.
    let last = first as usize - 2;
    match &mut demand {
        Demand::Arrivals { start_rate, pieces, .. } => {
            pieces.iter_mut().take(last).for_each(|piece| piece.target = *start_rate);
        }
        Demand::Users { start_vus, pieces, .. } => {
            pieces.iter_mut().take(last).for_each(|piece| piece.target = *start_vus);
        }
        Demand::Iterations { .. } => {}
    }
    demand
}

#[cfg(test)]
mod tests {
    use super::*;
    use planc::graph::{Until, UserPiece};

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn ramp() -> Demand {
        let hold = HoldUntil { until: Until::GatesHold, within: seconds(60) };
        let piece = |target, climb, held: bool| UserPiece {
            target,
            duration: seconds(climb),
            hold: held.then(|| hold.clone()),
        };
        Demand::Users {
            start_vus: 1,
            pieces: vec![piece(10, 5, true), piece(20, 5, false), piece(20, 10, false), piece(30, 5, true)],
            graceful_ramp_down: seconds(1),
        }
    }

    #[test]
    fn ends_become_known_hold_by_hold() {
        let course = Course::new(&ramp(), None);
        assert_eq!(course.stage(1), Some((0, 5_000_000, None)));
        assert_eq!(course.stage(2), None);
        assert_eq!(course.stage_at(900_000_000), Some(1));
        assert!(course.so_far().duration() > seconds(1_000_000));
        course.end_hold(1, 12_500_000);
        assert_eq!(course.fixed(), 1);
        assert_eq!(course.stage(1), Some((0, 5_000_000, Some(12_500_000))));
        assert_eq!(course.stage(4), Some((27_500_000, 32_500_000, None)));
        let at = [12_499_999, 12_500_000, 17_500_000, 27_500_000, u64::MAX - 1].map(|at| course.stage_at(at));
        assert_eq!(at, [Some(1), Some(2), Some(3), Some(4), Some(4)]);
        course.end_hold(4, 40_000_000);
        assert_eq!(course.stage_at(40_000_000), None);
        assert_eq!(course.so_far().duration(), seconds(40));
        assert_eq!(course.so_far().stage(4), Some((Duration::from_millis(27_500), seconds(40))));
    }

    #[test]
    fn a_resumed_one_goes_straight_to_its_stage() {
        let course = Course::new(&ramp(), Some(4));
        assert_eq!(course.stage(4), Some((20_000_000, 25_000_000, None)));
        assert_eq!(course.stage_at(19_999_999), None, "the way there is no stage");
        assert_eq!(course.stage_at(20_000_000), Some(4));
        let Demand::Users { pieces, .. } = course.demand() else { panic!("users") };
        let shape: Vec<_> = pieces.iter().map(|piece| (piece.target, piece.duration.as_secs())).collect();
        assert_eq!(shape, [(1, 0), (1, 0), (20, 20), (30, 5)]);
        assert_eq!(Course::new(&ramp(), Some(2)).stage(2), Some((5_000_000, 10_000_000, Some(10_000_000))));
        assert_eq!(Course::new(&ramp(), Some(9)).first, 1, "there is no such stage");
    }
}
