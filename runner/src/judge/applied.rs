//! Whether the load was what the plan says, and whether our own sums add up.

use super::{Case, Cause, CauseKind, GateState, cause, dropped, walk};
use crate::evidence::{End, ScenarioRecord};
use planc::graph::{Demand, Scenario, StepKind, has_session, switched_off};

impl Case<'_> {
    /// What of the plan's load was not applied.
    pub(super) fn load_applied(&self) -> Vec<Cause> {
        let mut out = Vec::new();
        if self.graph.scenarios.iter().all(|scenario| self.skipped.contains(&scenario.name)) {
            out.push(cause(CauseKind::Plan, "no scenario was run, so nothing was measured".into()));
        }
        let mut required = self.required().peekable();
        if required.peek().is_some() && required.all(|gate| gate.state == GateState::Skipped) {
            let text = "every gate was left out with its scenario, so nothing was judged";
            out.push(cause(CauseKind::Plan, text.into()));
        }
        for scenario in self.graph.scenarios.iter().filter(|s| !self.skipped.contains(&s.name)) {
            match self.load.scenarios.get(&scenario.name) {
                Some(record) => self.scenario_applied(scenario, record, &mut out),
                None => {
                    let text = format!("scenario `{}` never ran", scenario.name);
                    out.push(cause(CauseKind::Load, text));
                }
            }
        }
        out
    }

    fn scenario_applied(&self, scenario: &Scenario, record: &ScenarioRecord, out: &mut Vec<Cause>) {
        let name = &scenario.name;
        if record.started == 0 {
            let text = format!("no iteration of `{name}` was started ({} dropped)", dropped(record));
            out.push(cause(CauseKind::Load, text));
            return;
        }
        // Users who sit in a session until the end did what they are there for.
        let sat_it_out = has_session(&scenario.steps) && record.censored < record.interrupted;
        if record.finished + record.failed == 0 && !sat_it_out {
            let text =
                format!("no iteration of `{name}` ended: all {} were cut off at the end", record.interrupted);
            out.push(cause(CauseKind::Target, text));
        }
        self.never_played(scenario, out);
        if record.rows_ran_out {
            let text = format!("scenario `{name}`: the rows of an `exclusive` draw ran out");
            out.push(cause(CauseKind::Plan, text));
        }
        if let Some(planned) = record.planned {
            self.achieved(scenario, record, planned, out);
        }
    }

    /// Arrivals that found no free user were offered and are the target's; iterations of a closed model that
    /// were never begun were not.
    fn achieved(&self, scenario: &Scenario, record: &ScenarioRecord, planned: u64, out: &mut Vec<Cause>) {
        let name = &scenario.name;
        let open = matches!(scenario.demand, Demand::Arrivals { .. });
        let achieved = record.started + if open { record.dropped_by_target } else { 0 };
        let share = self.graph.health.achieved;
        if achieved as f64 >= planned as f64 * share.as_f64() {
            return;
        }
        let percent = achieved as f64 / planned as f64 * 100.0;
        if open {
            let mut text = format!(
                "scenario `{name}`: {achieved} of {planned} planned iterations were offered ({percent:.1}%), \
                 under {share}; {} were dropped because the generator was late",
                record.dropped_by_generator
            );
            if record.dropped_by_generator > 0 {
                text.push_str(&format!("; {}", self.why_late()));
            }
            out.push(cause(CauseKind::Generator, text));
            return;
        }
        let what = match self.is_whole(record) && dropped(record) > 0 {
            true => "`max_duration` ended it after",
            false => "it ended after",
        };
        let text = format!(
            "scenario `{name}`: {what} {achieved} of {planned} iterations ({percent:.1}%), under {share}"
        );
        out.push(cause(CauseKind::Load, text));
    }

    /// Whether nothing ended a scenario before its time.
    fn is_whole(&self, record: &ScenarioRecord) -> bool {
        self.evidence.end == End::Completed && record.stopped_by_step.is_none() && !record.rows_ran_out
    }

    /// Bugs of ours: what they left behind carries no verdict.
    pub(super) fn bugs(&self) -> Vec<Cause> {
        let mut out = Vec::new();
        let mut bug = |text| out.push(cause(CauseKind::Internal, text));
        if let Some(why) = &self.load.error {
            bug(format!("the load engine stopped: {why}"));
        }
        if self.load.health.panicked > 0 {
            bug(format!("{} virtual users panicked", self.load.health.panicked));
        }
        for (scenario, record) in self.scenarios() {
            let ended = record.finished + record.failed + record.interrupted;
            // A scenario that was ended before its time is no pass anyway.
            let planned = record.planned.filter(|_| self.is_whole(record));
            let sums_up = planned.is_none_or(|planned| planned == record.started + dropped(record));
            if ended != record.started || !sums_up {
                bug(format!(
                    "scenario `{}`: the sums do not add up (planned {:?}, started {}, dropped {}, ended {ended})",
                    scenario.name,
                    record.planned,
                    record.started,
                    dropped(record)
                ));
            }
        }
        out
    }

    fn never_played(&self, scenario: &Scenario, out: &mut Vec<Cause>) {
        for steps in [&scenario.setup, &scenario.steps] {
            let switched_off = switched_off(steps);
            walk(steps, &mut |step| {
                let played = self.load.steps_played.get(&step.id.0).copied().unwrap_or(0);
                let does = step.kind.is_answered() || matches!(step.kind, StepKind::Send(_));
                if does && !switched_off.contains(&step.id) && played == 0 {
                    let text = format!("scenario `{}`: step `{}` was never played", scenario.name, step.name);
                    out.push(cause(CauseKind::Load, text));
                }
            });
        }
    }
}
