//! A target that stopped answering while it was asked: what closed models cannot see in their percentiles,
//! because a user that waits asks nothing more.

use super::{Case, Cause, CauseKind, Unit, cause, kind_of, show, walk};
use crate::drive::schedule::Arrivals;
use crate::evidence::ScenarioRecord;
use planc::graph::{
    Bound, Comparison, Demand, ExecutionGraph, GateLevel, MetricKind, Over, Pause, Scenario, Step, StepKind,
    has_session,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

impl Case<'_> {
    /// Stretches of time in which requests waited for an answer longer than the plan allows, and none came.
    pub(super) fn silences(&self) -> Vec<Cause> {
        let mut out: Vec<Cause> =
            self.scenarios().filter_map(|(scenario, record)| self.silence_at_end(scenario, record)).collect();
        if out.is_empty() {
            out.extend(self.silence_amid());
        }
        out
    }

    fn silence_at_end(&self, scenario: &Scenario, record: &ScenarioRecord) -> Option<Cause> {
        let (last, ended) = (record.last_answer_us, record.ended_us);
        if last == 0 || ended == 0 || record.failed + record.interrupted + record.censored == 0 {
            return None;
        }
        let patience = patience(self.graph, scenario)?;
        let from = first_asked(scenario, record)?;
        let until = match u128::from(record.censored) * 2 >= u128::from(record.vus_max) {
            // All the others were left waiting, too.
            true => ended,
            // A single stuck request at the end is a sample and no silence: nobody asks any more.
            false => ended.min(last_asked(scenario, record)),
        };
        if until.saturating_sub(from) <= micros(patience) || self.was_late(from, until) {
            return None;
        }
        let text = format!(
            "scenario `{}`: the target stopped answering at {}: no answer came until {}, longer than the {} \
             that the plan allows",
            scenario.name,
            show(last as f64, Unit::Time),
            show(until as f64, Unit::Time),
            show(micros(patience) as f64, Unit::Time),
        );
        Some(cause(CauseKind::Target, text))
    }

    /// Seconds in the midst of the load in which users waited and nothing came back. With one user busy that
    /// is one slow request, which the gates judge.
    fn silence_amid(&self) -> Option<Cause> {
        let loaded: Vec<&Scenario> =
            self.scenarios().map(|(scenario, _)| scenario).filter(|scenario| !scenario.smoke).collect();
        // Users of a session are busy while nothing is asked, and what they wait for has a deadline.
        if loaded.iter().any(|scenario| has_session(&scenario.setup) || has_session(&scenario.steps)) {
            return None;
        }
        let patience: Option<Vec<Duration>> = loaded.iter().map(|s| patience(self.graph, s)).collect();
        let patience = micros(patience?.into_iter().max()?);
        let mut first = None;
        for tick in &self.load.ticks {
            if tick.busy_vus < 2 || tick.requests > 0 || tick.late {
                first = None;
                continue;
            }
            // The users were busy at the end of the second; since when is not known.
            let from = *first.get_or_insert(tick.at_us);
            if tick.at_us - from > patience {
                let text = format!(
                    "the target did not answer any request between {} and {}, longer than the {} that the plan allows",
                    show(from as f64, Unit::Time),
                    show(tick.at_us as f64, Unit::Time),
                    show(patience as f64, Unit::Time),
                );
                return Some(cause(CauseKind::Target, text));
            }
        }
        None
    }

    fn was_late(&self, from: u64, until: u64) -> bool {
        let second = micros(SECOND);
        self.load.ticks.iter().any(|t| t.late && t.at_us > from && t.at_us.saturating_sub(second) < until)
    }
}

/// The longest time without an answer that the plan allows while something is asked: for each request the
/// tightest latency bound on it, or its timeout when there is none, at least a second; and all pauses.
/// None when pauses cannot be bounded.
fn patience(graph: &ExecutionGraph, scenario: &Scenario) -> Option<Duration> {
    let mut longest = SECOND;
    for steps in [&scenario.setup, &scenario.steps] {
        let default = graph.target.as_ref().map_or(SECOND, |target| target.timeout);
        // What says nothing of its own in a session may take as long as its handshake, which was seen before.
        let mut session = default;
        walk(steps, &mut |step| {
            let timeout = match &step.kind {
                StepKind::Http(http) => http.request.timeout.unwrap_or(default),
                StepKind::WebSocket(opened) => {
                    session = opened.handshake.request.timeout.unwrap_or(default);
                    session
                }
                StepKind::Receive(receive) => receive.within.unwrap_or(session),
                StepKind::Ping { within } | StepKind::Close { within, .. } => within.unwrap_or(session),
                _ => return,
            };
            longest = longest.max(bound(graph, step).map_or(timeout, |bound| bound.min(timeout)));
        });
    }
    let (pauses, asks) = pauses(&scenario.steps)?;
    if !asks && !pauses.is_zero() {
        return None;
    }
    Some(longest + pauses + scenario.pause_on_failure.unwrap_or_default())
}

/// The tightest bound on the time of a request.
fn bound(graph: &ExecutionGraph, step: &Step) -> Option<Duration> {
    let on_time = graph.gates.iter().filter(|gate| {
        gate.level == GateLevel::Required
            && gate.steps.contains(&step.id)
            && !matches!(gate.over, Over::Stage { .. })
            && (gate.metric.starts_with("http_req_")
                || matches!(gate.metric.as_str(), "ws_connecting" | "ws_receive_duration" | "ws_ping"))
            && kind_of(graph, &gate.metric) == MetricKind::TimeTrend
            && matches!(gate.op, Comparison::Lt | Comparison::Le)
    });
    let bounds = on_time.filter_map(|gate| match gate.bound {
        Bound::Duration(bound) => Some(bound),
        _ => None,
    });
    bounds.min()
}

/// All pauses once, and whether a request is sent whatever happens; none when pauses may be repeated
/// without a request between them.
fn pauses(steps: &[Step]) -> Option<(Duration, bool)> {
    let (mut sum, mut asks) = (Duration::ZERO, false);
    for step in steps {
        match &step.kind {
            StepKind::Http(_) => asks = true,
            StepKind::Pause(pause) => sum = sum.saturating_add(longest(pause)),
            StepKind::Choose(branches) => {
                for branch in branches {
                    sum = sum.saturating_add(pauses(&branch.steps)?.0);
                }
            }
            // The handshake asks; what is waited for in the session has a deadline of its own.
            StepKind::WebSocket(session) => {
                sum = sum.saturating_add(pauses(&session.steps)?.0);
                asks = true;
            }
            StepKind::Receive(_) | StepKind::Ping { .. } | StepKind::Close { .. } => asks = true,
            StepKind::Send(_) => {}
            StepKind::When { steps, .. } => sum = sum.saturating_add(pauses(steps)?.0),
            StepKind::Group { steps, .. } => {
                let (more, inner) = pauses(steps)?;
                sum = sum.saturating_add(more);
                asks |= inner;
            }
            StepKind::Repeat { steps, .. } | StepKind::Each { steps, .. } => {
                let (more, inner) = pauses(steps)?;
                if !more.is_zero() && !inner {
                    return None;
                }
                sum = sum.saturating_add(more);
            }
        }
    }
    Some((sum, asks))
}

/// Practically the longest: the tails of the unbounded ones are cut where they are hit once in many millions.
fn longest(pause: &Pause) -> Duration {
    match pause {
        Pause::Fixed(time) => *time,
        Pause::Uniform { to, .. } => *to,
        Pause::Normal { mean, deviation } => mean.saturating_add(deviation.saturating_mul(6)),
        Pause::Exponential { mean } => mean.saturating_mul(20),
    }
}

/// When the target was asked for the first time after its last answer, at the latest.
fn first_asked(scenario: &Scenario, record: &ScenarioRecord) -> Option<u64> {
    let last = record.last_answer_us;
    if !matches!(scenario.demand, Demand::Arrivals { .. }) {
        return Some(last);
    }
    let schedule = Arrivals::of(&scenario.demand);
    let begin = match scenario.needs.is_empty() && scenario.setup.is_empty() {
        true => micros(scenario.start_time),
        // Not known; the later it began, the later it asked.
        false => record.ended_us.saturating_sub(micros(scenario.demand.duration())),
    };
    let due = |k| schedule.due(k).map(|due| begin + micros(due));
    let (mut low, mut high) = (0, record.planned.unwrap_or(0));
    while low < high {
        let middle = low + (high - low) / 2;
        match due(middle) {
            Some(due) if due <= last => low = middle + 1,
            _ => high = middle,
        }
    }
    due(low)
}

/// When the scenario stopped asking, at the earliest.
fn last_asked(scenario: &Scenario, record: &ScenarioRecord) -> u64 {
    let length = match &scenario.demand.plain() {
        Demand::Users { start_vus, pieces, .. } => {
            let (mut users, mut length, mut at) = (*start_vus, Duration::ZERO, Duration::ZERO);
            for piece in pieces {
                at += piece.duration;
                if users.max(piece.target) > 0 {
                    length = at;
                }
                users = piece.target;
            }
            length
        }
        demand => demand.duration(),
    };
    let earliest = if scenario.needs.is_empty() {
        Duration::ZERO
    } else {
        let after = scenario.demand.duration().saturating_add(scenario.graceful_stop);
        Duration::from_micros(record.ended_us).saturating_sub(after)
    };
    micros(scenario.start_time.max(earliest).saturating_add(length))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
