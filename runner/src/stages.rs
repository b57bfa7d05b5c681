//! How far the stages of each scenario are, and when they go on. Looked at once a second, on the merged stream.

use crate::course::Course;
use crate::evidence::{LineRecord, LineSeen, LineUnit, StageOutcome, StageRecord};
use crate::prepare::Program;
use crate::record::Delta;
use crate::stream::{self, Stream};
use planc::graph::{Bound, Demand, Flat, HoldUntil, MetricRef, Until};
use std::sync::Arc;
use std::time::Duration;

/// Time that all workers get to learn that a hold ends.
const LEAD: Duration = Duration::from_millis(50);

/// The stages of all scenarios that have any.
#[derive(Default)]
pub(crate) struct Stages {
    scenarios: Vec<Staged>,
    stream: Stream,
}

/// One scenario.
struct Staged {
    /// Its number.
    index: usize,
    name: String,
    course: Arc<Course>,
    /// For each stage, where its numbers stand in the stream.
    places: Vec<Vec<usize>>,
    records: Vec<StageRecord>,
    /// Target drops in the newest seconds, newest last.
    drops: Vec<u64>,
    over: bool,
    /// It is to end, and nothing of its stages changes any more.
    halted: bool,
}

/// What the seconds so far say of a hold.
enum Look {
    Holds,
    Settled,
    Ends(StageOutcome),
}

/// What is known of a scenario at the end of a second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standing {
    /// When it began, microseconds of the load.
    pub(crate) began_us: Option<u64>,
    /// When it ended; 0 while it has not.
    pub(crate) ended_us: u64,
    /// Arrivals dropped by the target's fault in this second.
    pub(crate) drops: u64,
}

impl Stages {
    /// The stages of a program, and the numbers of which each second must be told.
    pub(crate) fn new(program: &Program) -> (Stages, Vec<MetricRef>) {
        let mut told: Vec<MetricRef> = Vec::new();
        let mut keep = Duration::ZERO;
        let mut scenarios = Vec::new();
        for (index, scenario) in program.scenarios.iter().enumerate() {
            let demand = scenario.course.demand();
            let holds: Vec<Option<&HoldUntil>> =
                (1..).map_while(|number| Some(demand.piece(number)?.1)).collect();
            if holds.len() < 2 && holds.iter().all(Option::is_none) {
                continue;
            }
            let mut places = Vec::new();
            for hold in holds {
                if let Some(HoldUntil { until: Until::Flat { window, .. }, .. }) = hold {
                    keep = keep.max(*window);
                }
                let numbers = hold.map_or(&[] as &[Flat], HoldUntil::numbers).iter();
                let place = |flat: &Flat| match told.iter().position(|known| *known == flat.number) {
                    Some(at) => at,
                    None => {
                        told.push(flat.number.clone());
                        told.len() - 1
                    }
                };
                places.push(numbers.map(place).collect());
            }
            let (name, course) = (scenario.name.clone(), scenario.course.clone());
            let records = skipped(&name, &course);
            scenarios.push(Staged {
                index,
                name,
                course,
                places,
                records,
                drops: Vec::new(),
                over: false,
                halted: false,
            });
        }
        (Stages { scenarios, stream: Stream::new(seconds(keep)) }, told)
    }

    /// Whether there is anything to look at.
    pub(crate) fn is_empty(&self) -> bool {
        self.scenarios.is_empty()
    }

    /// Takes in what the numbers got in a second; none when the generator was late in it.
    pub(crate) fn push(&mut self, second: Option<Vec<Option<Delta>>>) {
        self.stream.push(second);
    }

    /// Looks at every scenario at the end of a second. `so_far` is asked for where a search must be judged. Tells the
    /// stages that began or ended, and the numbers of the scenarios that end here.
    pub(crate) fn look(
        &mut self,
        at_us: u64,
        now_us: u64,
        standings: &[Standing],
        search: &mut dyn FnMut(&str, u32) -> Option<StageOutcome>,
    ) -> (Vec<StageRecord>, Vec<usize>) {
        let (mut changed, mut halted) = (Vec::new(), Vec::new());
        for staged in self.scenarios.iter_mut().filter(|staged| !staged.over) {
            let standing = standings.get(staged.index).copied().unwrap_or_default();
            staged.drops.push(standing.drops);
            let Some(began) = standing.began_us.filter(|began| *began <= at_us) else { continue };
            let before = staged.records.clone();
            if staged.look(&self.stream, at_us - began, (began, now_us), search) {
                halted.push(staged.index);
            }
            if standing.ended_us > 0 {
                staged.close(began, standing.ended_us);
            }
            let new = staged.records.iter().enumerate();
            let known = |at: usize, record: &StageRecord| {
                before.get(at).is_some_and(|b| b.outcome == record.outcome && b.held_us == record.held_us)
            };
            changed.extend(new.filter(|(at, record)| !known(*at, record)).map(|(_, record)| record.clone()));
        }
        (changed, halted)
    }

    /// The stages so far, in the order in which they began.
    pub(crate) fn records(&self) -> Vec<StageRecord> {
        let mut all: Vec<StageRecord> = self.scenarios.iter().flat_map(|s| s.records.clone()).collect();
        all.sort_by_key(|record| record.began_us);
        all
    }

    /// Ends what is still running, at the end of the load.
    pub(crate) fn finish(&mut self, standings: &[Standing], now_us: u64) {
        for staged in &mut self.scenarios {
            let standing = standings.get(staged.index).copied().unwrap_or_default();
            let ended = if standing.ended_us > 0 { standing.ended_us } else { now_us };
            if let Some(began) = standing.began_us {
                staged.close(began, ended);
            }
        }
    }
}

impl Staged {
    /// Follows the stages until a moment after the scenario's beginning; true when it is to end here.
    fn look(
        &mut self,
        stream: &Stream,
        own_us: u64,
        (began, now_us): (u64, u64),
        search: &mut dyn FnMut(&str, u32) -> Option<StageOutcome>,
    ) -> bool {
        if self.halted {
            return false;
        }
        let broke = self.course.demand().is_held().then(|| self.broken_before(search)).flatten();
        if let Some((number, outcome)) = broke {
            self.end_at(number, outcome, began + own_us);
            return true;
        }
        loop {
            let number = self.follow(began, own_us);
            let Some((_, climbed, None)) = self.course.stage(number) else { return false };
            let hold = self.course.demand().piece(number).and_then(|(_, hold)| hold.cloned());
            let Some(hold) = hold.filter(|_| own_us >= climbed) else { return false };
            match self.hold(stream, number, &hold, own_us - climbed, search) {
                Look::Holds => return false,
                Look::Settled => {
                    let end = (now_us + LEAD.as_micros() as u64).saturating_sub(began).max(climbed);
                    self.course.end_hold(number, end);
                    if let Some(record) = self.records.last_mut() {
                        record.held_us = Some(now_us);
                    }
                    // It goes on for a moment yet.
                    if end > own_us {
                        return false;
                    }
                }
                Look::Ends(outcome) => {
                    self.end_at(number, outcome, began + own_us);
                    return true;
                }
            }
        }
    }

    /// Opens and closes the records of all stages until a moment, and tells the stage that is played then.
    fn follow(&mut self, began: u64, own_us: u64) -> u32 {
        loop {
            let number = self.records.last().map_or(1, |record| match record.outcome {
                StageOutcome::Running => record.number,
                _ => record.number + 1,
            });
            let Some((begin, _, end)) = self.course.stage(number).filter(|(begin, ..)| *begin <= own_us)
            else {
                return number;
            };
            if self.records.last().is_none_or(|record| record.outcome != StageOutcome::Running) {
                self.records.push(StageRecord {
                    scenario: self.name.clone(),
                    number,
                    target: target(self.course.planned(), number),
                    began_us: began + begin,
                    held_us: None,
                    ended_us: 0,
                    outcome: StageOutcome::Running,
                    dropped: 0,
                    lines: Vec::new(),
                });
            }
            match (end.filter(|end| *end <= own_us), self.records.last_mut()) {
                (Some(end), Some(record)) => {
                    record.ended_us = began + end;
                    record.outcome = match record.held_us {
                        Some(_) => StageOutcome::Held,
                        None => StageOutcome::Done,
                    };
                }
                _ => return number,
            }
        }
    }

    /// What is to be made of a hold that has lasted for some time.
    fn hold(
        &mut self,
        stream: &Stream,
        number: u32,
        hold: &HoldUntil,
        waited_us: u64,
        search: &mut dyn FnMut(&str, u32) -> Option<StageOutcome>,
    ) -> Look {
        let waited = Duration::from_micros(waited_us);
        let Until::Flat { numbers, window, tolerance } = &hold.until else {
            return match (waited >= hold.within).then(|| search(&self.name, number)) {
                None => Look::Holds,
                Some(None) => Look::Settled,
                Some(Some(outcome)) => Look::Ends(outcome),
            };
        };
        let full = seconds(*window);
        // The second in which the climb was over is not all of the hold.
        if waited < Duration::from_secs(full as u64) {
            return Look::Holds;
        }
        let places = self.places.get(number as usize - 1).cloned().unwrap_or_default();
        let courses = places.iter().zip(numbers);
        let courses: Vec<_> =
            courses.map(|(at, flat)| (flat, stream.course(*at, flat, full, tolerance.as_f64()))).collect();
        // Who refuses arrivals has not absorbed the load, however flat its latency is.
        let dropped = self.drops.iter().rev().take(full).sum();
        if let Some(record) = self.records.last_mut() {
            record.lines = courses.iter().map(|(flat, course)| told(flat, course, *window)).collect();
            record.dropped = dropped;
        }
        let flat =
            courses.iter().all(|(_, course)| matches!(course, stream::Seen::Line(line) if line.is_flat()));
        if flat && dropped == 0 {
            return Look::Settled;
        }
        if waited < hold.within {
            return Look::Holds;
        }
        let moves = |course: &stream::Seen| match course {
            stream::Seen::Line(line) => !line.is_flat(),
            stream::Seen::Endless(..) => true,
            stream::Seen::Untold(..) => false,
        };
        let untold = courses.iter().find_map(|(flat, course)| match course {
            stream::Seen::Untold(samples, points) => Some((flat, *samples, *points)),
            _ => None,
        });
        Look::Ends(match untold {
            Some((flat, samples, points)) if dropped == 0 && !courses.iter().any(|(_, c)| moves(c)) => {
                let why = format!("`{}`: {}", flat.number, stream::untold(samples, points));
                StageOutcome::Untold { why }
            }
            _ => StageOutcome::NeverSettled,
        })
    }

    /// A step of a search that was over before and broke with what came late.
    fn broken_before(
        &self,
        search: &mut dyn FnMut(&str, u32) -> Option<StageOutcome>,
    ) -> Option<(u32, StageOutcome)> {
        let held = self.records.iter().filter(|record| record.held_us.is_some());
        let mut searched = held.filter(|record| {
            let hold = self.course.demand().piece(record.number).and_then(|(_, hold)| hold);
            hold.is_some_and(|hold| hold.until == Until::GatesHold)
        });
        searched.find_map(|record| Some((record.number, search(&self.name, record.number)?)))
    }

    /// The scenario ends at a moment for what was seen of a stage, and the stage that is played then ends with it.
    fn end_at(&mut self, number: u32, outcome: StageOutcome, at_us: u64) {
        for record in &mut self.records {
            if record.outcome == StageOutcome::Running {
                record.ended_us = at_us;
                record.outcome = StageOutcome::CutOff;
            }
            if record.number == number {
                record.outcome = outcome.clone();
            }
        }
        self.halted = true;
    }

    /// The scenario has ended.
    fn close(&mut self, began: u64, ended_us: u64) {
        if !self.halted {
            self.follow(began, ended_us.saturating_sub(began));
        }
        self.over = true;
        for record in self.records.iter_mut().filter(|record| record.ended_us == 0) {
            record.ended_us = if record.outcome == StageOutcome::NotRun { 0 } else { ended_us };
            if record.outcome == StageOutcome::Running {
                record.outcome = StageOutcome::CutOff;
            }
        }
    }
}

/// Stages before the first that is measured.
fn skipped(name: &str, course: &Course) -> Vec<StageRecord> {
    let skipped = (1..course.first).map(|number| StageRecord {
        scenario: name.to_owned(),
        number,
        target: target(course.planned(), number),
        began_us: 0,
        held_us: None,
        ended_us: 0,
        outcome: StageOutcome::NotRun,
        dropped: 0,
        lines: Vec::new(),
    });
    skipped.collect()
}

/// What is asked at the end of a stage.
fn target(demand: &Demand, number: u32) -> String {
    let at = number as usize - 1;
    match demand {
        Demand::Arrivals { pieces, .. } => pieces.get(at).map_or(String::new(), |p| p.target.to_string()),
        Demand::Users { pieces, .. } => pieces.get(at).map_or(String::new(), |p| format!("{} VUs", p.target)),
        Demand::Iterations { .. } => String::new(),
    }
}

fn told(flat: &Flat, course: &stream::Seen, window: Duration) -> LineRecord {
    let millionths = |value: f64| (value * 1e6).round() as i64;
    LineRecord {
        number: flat.number.to_string(),
        unit: match flat.floor {
            Bound::Duration(_) => LineUnit::Time,
            Bound::Share(_) => LineUnit::Share,
            Bound::Number(_) => LineUnit::Number,
        },
        window_us: window.as_micros() as u64,
        seen: match course {
            stream::Seen::Line(line) => LineSeen::Line {
                mean: millionths(line.mean),
                change: millionths(line.change),
                noise: millionths(line.noise),
                limit: millionths(line.limit),
                flat: line.is_flat(),
            },
            stream::Seen::Endless(points, of) => LineSeen::Endless { points: *points as u64, of: *of as u64 },
            stream::Seen::Untold(samples, points) => {
                LineSeen::Untold { samples: *samples, points: *points as u64 }
            }
        },
    }
}

/// Whole seconds of a window.
fn seconds(window: Duration) -> usize {
    window.as_secs() as usize + usize::from(window.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use planc::graph::{Aggregate, UserPiece};
    use planc::units::{PartsPerMillion, Rate};
    use std::collections::BTreeMap;

    /// Two stages that climb for a second and hold until no more errors come, at most 8 s each.
    fn ramp() -> Demand {
        let number = MetricRef {
            metric: "http_req_failed".into(),
            selector: BTreeMap::new(),
            aggregate: Aggregate::Rate,
        };
        let hold = HoldUntil {
            until: Until::Flat {
                numbers: vec![Flat { number, floor: Bound::Share(PartsPerMillion(1_000)) }],
                window: Duration::from_secs(5),
                tolerance: PartsPerMillion(50_000),
            },
            within: Duration::from_secs(8),
        };
        let piece = |target| UserPiece { target, duration: Duration::from_secs(1), hold: Some(hold.clone()) };
        Demand::Users { start_vus: 1, pieces: vec![piece(10), piece(20)], graceful_ramp_down: Duration::ZERO }
    }

    fn staged(demand: &Demand) -> Stages {
        let course = Arc::new(Course::new(demand, None));
        let staged = Staged {
            index: 0,
            name: "ramp".into(),
            course,
            places: vec![vec![0], vec![0]],
            records: Vec::new(),
            drops: Vec::new(),
            over: false,
            halted: false,
        };
        Stages { scenarios: vec![staged], stream: Stream::new(5) }
    }

    /// Plays seconds: of a hundred requests in each, so many fail and so many arrivals are dropped.
    fn play(stages: &mut Stages, second: impl Fn(u64) -> (u64, u64), seconds: u64) -> Option<u64> {
        for at in 1..=seconds {
            let (failed, drops) = second(at);
            stages.push(Some(vec![Some(Delta::Rate(failed, 100))]));
            let now = at * 1_000_000;
            let standing = Standing { began_us: Some(0), ended_us: 0, drops };
            let (_, halted) = stages.look(now, now + 20_000, &[standing], &mut |_, _| None);
            if !halted.is_empty() {
                return Some(at);
            }
        }
        None
    }

    fn outcomes(stages: &Stages) -> Vec<(u32, StageOutcome)> {
        stages.records().iter().map(|record| (record.number, record.outcome.clone())).collect()
    }

    #[test]
    fn a_stage_goes_on_as_soon_as_it_has_settled() {
        let mut stages = staged(&ramp());
        assert_eq!(play(&mut stages, |_| (0, 0), 9), None);
        // A second of climb, five of window, and the time that workers get to learn of it.
        assert_eq!(stages.scenarios[0].course.stage(1), Some((0, 1_000_000, Some(6_070_000))));
        assert_eq!(outcomes(&stages), [(1, StageOutcome::Held), (2, StageOutcome::Running)]);
        assert_eq!(stages.records()[1].began_us, 6_070_000);
    }

    #[test]
    fn what_moves_waits_and_halts_in_the_end() {
        let mut stages = staged(&ramp());
        assert_eq!(play(&mut stages, |at| (at * 3, 0), 20), Some(9));
        assert_eq!(outcomes(&stages), [(1, StageOutcome::NeverSettled)]);
        assert_eq!(stages.records()[0].ended_us, 9_000_000);
        // What settles late goes on late.
        let mut stages = staged(&ramp());
        assert_eq!(play(&mut stages, |at| (if at < 4 { 50 - 10 * at } else { 0 }, 0), 12), None);
        assert_eq!(outcomes(&stages)[0].1, StageOutcome::Held);
        assert!(stages.records()[0].ended_us > 6_100_000);
    }

    #[test]
    fn arrivals_that_nobody_takes_are_not_absorbed() {
        let mut stages = staged(&ramp());
        assert_eq!(play(&mut stages, |at| (0, u64::from(at > 2)), 20), Some(9));
        assert_eq!(
            (outcomes(&stages), stages.records()[0].dropped),
            (vec![(1, StageOutcome::NeverSettled)], 5)
        );
    }

    #[test]
    fn a_search_asks_when_a_step_is_over_and_again_later() {
        let piece = |count| planc::graph::RatePiece {
            target: Rate { count, per: Duration::from_secs(1) },
            duration: Duration::ZERO,
            hold: Some(HoldUntil { until: Until::GatesHold, within: Duration::from_secs(3) }),
        };
        let demand = Demand::Arrivals {
            start_rate: Rate { count: 1, per: Duration::from_secs(1) },
            pieces: vec![piece(1), piece(2), piece(3)],
            pre_allocated_vus: 1,
            max_vus: 1,
        };
        let mut stages = staged(&demand);
        stages.scenarios[0].places = vec![Vec::new(); 3];
        let broke = |why: &str| Some(StageOutcome::Broke { gate: why.into() });
        let mut asked = Vec::new();
        for at in 1..=8_u64 {
            stages.push(Some(Vec::new()));
            let standing = Standing { began_us: Some(0), ..Standing::default() };
            // What is late of the first step breaks it while the second is played.
            let mut search = |_: &str, number: u32| {
                asked.push((at, number));
                if at == 5 { broke("late") } else { None }
            };
            let now = at * 1_000_000;
            let (_, halted) = stages.look(now, now, &[standing], &mut search);
            assert_eq!(halted.is_empty(), at != 5);
        }
        assert_eq!(asked, [(3, 1), (4, 1), (5, 1)]);
        assert_eq!(
            outcomes(&stages),
            [(1, StageOutcome::Broke { gate: "late".into() }), (2, StageOutcome::CutOff)]
        );
    }
}
