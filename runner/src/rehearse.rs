//! Playing steps once, before or beside the load: nothing of it is counted.

use crate::drive::run::ScenarioRun;
use crate::load::{LoadError, LoadInput, RehearsalFailure, STOP_GRACEFUL, STOP_NOW};
use crate::mask::{HIDDEN, Masker};
use crate::prepare::Program;
use crate::rows::RowSources;
use crate::shared::Shared;
use crate::steps;
use crate::text::{Var, key_of};
use crate::vu::{Vu, VuCore};
use crate::worker::Worker;
use planc::graph::{Json, Step};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::LocalSet;

/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(10);
/// So few characters of a secret tell nothing.
const FEW: usize = 3;

/// Plays every scenario's set-up and one iteration with every branch.
pub(crate) fn scenarios(input: &LoadInput, rows: &RowSources) -> Result<Vec<RehearsalFailure>, LoadError> {
    let mut input = input.clone_for(&format!("{}-rehearsal", input.run_id));
    input.scenarios.sort_unstable();
    input.scenarios.dedup();
    let program = Arc::new(Program::new(&input, rows)?);
    let secrets = secrets(&input);
    let mut failures = Vec::new();
    for index in 0..program.scenarios.len() {
        let played = block_on(&program, index, &input, STOP_GRACEFUL, async |vu| {
            vu.all_branches = true;
            // What it draws at random is not what the load begins with.
            vu.env.random_key = key_of(vu.env.random_key, "rehearsal");
            let scenario = &program.scenarios[index];
            for draw in &scenario.draws {
                match draw.rehearsed() {
                    Ok(row) => vu.env.vars[draw.var] = Var::Row(Rc::new(row)),
                    Err(why) => return Err(LoadError::new(format!("a row of `{}`: {why}", draw.binding))),
                }
            }
            if steps::play(vu, scenario, true).await {
                steps::play(vu, scenario, false).await;
            }
            Ok(())
        })?;
        let (mut vu, stopped) = played;
        if stopped {
            return Err(LoadError::new("the rehearsal was stopped by a signal"));
        }
        failures.append(&mut vu.rehearsal.take().unwrap_or_default());
    }
    Ok(masked(failures, &secrets))
}

/// Plays steps once; captures are added to the input's values.
pub(crate) fn once(
    input: &mut LoadInput,
    steps: &[Step],
    what: &str,
) -> Result<Vec<RehearsalFailure>, LoadError> {
    let program = Arc::new(Program::once(input, steps, what)?);
    let secrets = secrets(input);
    // Whoever stops a run wants its teardown all the same.
    let level = if what == "teardown" { STOP_NOW } else { STOP_GRACEFUL };
    let (mut played, stopped) = block_on(&program, 0, input, level, async |vu| {
        steps::play(vu, &program.scenarios[0], false).await;
        Ok(())
    })?;
    for (name, var) in program.scenarios[0].names.bound.iter().zip(&played.env.vars) {
        if let Var::Value(value) = var {
            input.values.insert(name.clone(), value.clone());
        }
    }
    if stopped {
        return Err(LoadError::new(format!("{what} was stopped by a signal")));
    }
    Ok(masked(played.rehearsal.take().unwrap_or_default(), &secrets))
}

/// A virtual user of its own, on a runtime of its own; says whether the stop flag ended it at this level.
fn block_on(
    program: &Arc<Program>,
    index: usize,
    input: &LoadInput,
    level: u8,
    play: impl AsyncFnOnce(&mut Vu) -> Result<(), LoadError>,
) -> Result<(Vu, bool), LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| LoadError::new(format!("cannot start a worker: {e}")))?;
    let played = LocalSet::new().block_on(&runtime, async {
        let shared = Arc::new(Shared::new(program, 1, input.stop.clone()));
        let worker = Rc::new(Worker::new(program.clone(), shared));
        let run = Rc::new(ScenarioRun::new(&worker, index, 0));
        let core = Rc::new(VuCore { number: 1, ..VuCore::default() });
        let mut vu = Vu::new(worker, run, core);
        vu.rehearsal = Some(Vec::new());
        vu.begin_iteration(0, &program.scenarios[index]);
        let stopped = tokio::select! {
            played = play(&mut vu) => {
                played?;
                false
            }
            () = stop_of(input, level) => true,
        };
        // Connections belong to this runtime.
        vu.connections.clear();
        vu.session = None;
        vu.timer = None;
        Ok((vu, stopped))
    });
    runtime.shutdown_background();
    played
}

async fn stop_of(input: &LoadInput, level: u8) {
    while input.stop.load(Ordering::Relaxed) < level {
        tokio::time::sleep(LOOK).await;
    }
}

/// All texts that must not be shown.
fn secrets(input: &LoadInput) -> Masker {
    let mut masker = Masker::default();
    for (name, open) in &input.graph.open_inputs {
        if let (true, Some(value)) = (open.secret, input.values.get(&format!("inputs.{name}"))) {
            masker.add(&planc::eval::to_text(value));
        }
    }
    for header in input.token_headers.values() {
        masker.add(header);
        if let Some(token) = header.split_whitespace().last() {
            masker.add(token);
        }
    }
    masker
}

fn masked(mut failures: Vec<RehearsalFailure>, masker: &Masker) -> Vec<RehearsalFailure> {
    let secrets = masker.values();
    for failure in &mut failures {
        failure.message = without_beginnings(&masker.hide(&failure.message), &secrets);
    }
    failures
}

/// Hides what is left of a secret where a text was shortened in the middle of it.
fn without_beginnings(text: &str, secrets: &[String]) -> String {
    let mut parts: Vec<String> = text.split('…').map(str::to_owned).collect();
    let last = parts.len() - 1;
    for part in &mut parts[..last] {
        let beginnings = secrets.iter().flat_map(|secret| {
            secret.char_indices().skip(FEW).filter_map(|(end, _)| part.strip_suffix(&secret[..end]))
        });
        if let Some(rest) = beginnings.min_by_key(|rest| rest.len()) {
            *part = format!("{rest}{HIDDEN}");
        }
    }
    parts.join("…")
}

impl LoadInput {
    /// The same under another run id.
    fn clone_for(&self, run_id: &str) -> LoadInput {
        let mut values = self.values.clone();
        values.insert("run_id".into(), Json::String(run_id.to_owned()));
        LoadInput {
            graph: self.graph.clone(),
            values,
            base_url: self.base_url.clone(),
            known_as: self.known_as.clone(),
            token_headers: self.token_headers.clone(),
            base_micros: self.base_micros.clone(),
            secrets: self.secrets.clone(),
            files: self.files.clone(),
            scenarios: self.scenarios.clone(),
            run_id: run_id.to_owned(),
            workers: 1,
            stop: self.stop.clone(),
            clock: self.clock,
            abort: None,
            from_stage: Default::default(),
            search: None,
            scraped: None,
            stream: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_cut_short_is_hidden_too() {
        let secrets = ["s3cret!".to_owned()];
        let hidden = |text| without_beginnings(text, &secrets);
        assert_eq!(hidden("x: s3cr… and s3cret… (s3…)"), "x: •••… and •••… (s3…)");
        assert_eq!(hidden("nothing s3cr"), "nothing s3cr");
    }
}
