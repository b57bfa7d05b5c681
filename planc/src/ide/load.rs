//! What the run will do with a part of the plan, in the words of `planc graph`.

use super::Document;
use crate::show::{self, ScenarioOutline};
use crate::units::grouped;
use crate::{lower, units};

impl Document<'_> {
    /// What `planc graph` says of a name in a phase, such as a fixture; the default profile's.
    pub(super) fn in_phase(&self, phase: &str, name: &str) -> Option<String> {
        let outline = self.outline_of_run()?;
        let phase = outline.phases.into_iter().find(|known| known.name == phase)?;
        phase.items.into_iter().find(|(known, _)| known == name).map(|(_, detail)| detail)
    }

    /// What a scenario offers, for each profile in which it differs.
    pub(super) fn scenario_load(&self, name: &str) -> Vec<String> {
        let mut told: Vec<(Vec<String>, String)> = Vec::new();
        for (profile, mut resolved) in self.resolved() {
            resolved.scenarios.retain(|scenario| scenario.sound);
            let outline = show::outline(&lower::lower(resolved));
            let Some(scenario) = outline.scenarios.into_iter().find(|known| known.name == name) else {
                continue;
            };
            let words = words(&scenario);
            match told.iter_mut().find(|(_, known)| *known == words) {
                Some((profiles, _)) => profiles.push(profile),
                None => told.push((vec![profile], words)),
            }
        }
        if let [(_, words)] = told.as_slice() {
            return vec![words.clone()];
        }
        told.into_iter().map(|(profiles, words)| format!("{}: {words}", profiles.join(", "))).collect()
    }

    fn outline_of_run(&self) -> Option<show::Outline> {
        let (_, resolved) = self.resolved().into_iter().next()?;
        Some(show::outline(&lower::lower(resolved)))
    }
}

fn words(scenario: &ScenarioOutline) -> String {
    let mut parts = vec![scenario.words(), scenario.users.clone()];
    if let Some(iterations) = scenario.iterations {
        parts.push(format!("{} iterations", grouped(iterations)));
    }
    match scenario.requests {
        Some((least, Some(most))) if least == most => parts.push(format!("{} requests", grouped(least))),
        Some((least, Some(most))) => {
            parts.push(format!("{} to {} requests", grouped(least), grouped(most)));
        }
        Some((least, None)) => parts.push(format!("at least {} requests", grouped(least))),
        None => parts.push("as many iterations as the target answers".into()),
    }
    if !scenario.start.is_zero() {
        parts.push(format!("starts after {}", units::show_duration(scenario.start)));
    }
    parts.join("; ")
}
