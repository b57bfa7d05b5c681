//! Gates in SQL: what the database says before the load and after it. What that means is for the judge.

use super::{Part, Run};
use crate::checks::Seen;
use crate::database;
use crate::evidence::{End, NodeOutcome, SqlAnswer, SqlGateRecord};
use crate::guards::record;
use crate::judge;
use planc::graph::{Json, SqlGate};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time that a statement may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Shortest and longest pause before a gate is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

impl Run<'_> {
    /// Before the load: every statement must be one that the database takes, and those on an increase are asked.
    pub fn sql_gates_before(&mut self) -> Part {
        let graph = Arc::clone(&self.graph);
        for gate in &graph.sql_gates {
            let start = Instant::now();
            let mut told = SqlGateRecord { name: gate.name.clone(), ..SqlGateRecord::default() };
            let error = match gate.increase {
                true => {
                    let answer = self.ask(gate)?;
                    let error = answer.error.clone();
                    told.before = Some(answer);
                    error
                }
                false => {
                    let url = self.database.clone().unwrap_or_default();
                    let values = self.values.clone();
                    self.block(database::prepare(&url, &gate.statement, &values))?.err()
                }
            };
            self.sql_gates.push(told);
            if let Some(why) = error {
                let seen = Seen::new(NodeOutcome::Failed, format!("its statement fails: {why}"));
                let fix = "correct the statement, or migrate the database first".to_owned();
                self.note(record("preflight", &format!("SQL gate: {}", gate.name), seen, Some(fix), start));
            }
        }
        self.halt_if_failed("preflight", End::PreflightRefused)
    }

    /// After the load. Whoever stops the run stops the asking.
    pub fn sql_gates(&mut self) {
        let graph = Arc::clone(&self.graph);
        if graph.sql_gates.is_empty() || self.load.is_none() {
            return;
        }
        self.listener.part("gates in SQL");
        for (at, gate) in graph.sql_gates.iter().enumerate() {
            let start = Instant::now();
            if self.ask_until_it_holds(at, gate, start).is_err() {
                return;
            }
            let after = self.sql_gates.get(at).and_then(|told| told.after.clone()).unwrap_or_default();
            let seen = match &after.error {
                Some(why) => Seen::new(NodeOutcome::Failed, format!("its statement fails: {why}")),
                None if self.holds(at) => Seen::new(NodeOutcome::Passed, told(&after)),
                None => Seen::new(NodeOutcome::Different, told(&after)),
            };
            self.note(record("gate", &gate.name, seen, None, start));
        }
    }

    fn ask_until_it_holds(&mut self, at: usize, gate: &SqlGate, start: Instant) -> Part {
        let mut pause = PAUSES.0;
        loop {
            let answer = self.ask(gate)?;
            let Some(told) = self.sql_gates.get_mut(at) else { return Ok(()) };
            told.after = Some(answer);
            let left = gate.within.unwrap_or_default().saturating_sub(start.elapsed());
            if self.holds(at) || left.is_zero() {
                return Ok(());
            }
            self.block(async { tokio::time::sleep(pause.min(left)).await })?;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    fn holds(&self, at: usize) -> bool {
        let Some((told, load)) = self.sql_gates.get(at).zip(self.load.as_ref()) else { return true };
        judge::sql_gate_holds(&self.graph, load, told, &self.run_id)
    }

    fn ask(&self, gate: &SqlGate) -> Result<SqlAnswer, super::Halt> {
        let start = Instant::now();
        let Some(url) = &self.database else {
            return Ok(SqlAnswer {
                error: Some("the plan has no `database`".into()),
                ..SqlAnswer::default()
            });
        };
        let answer = self.block(database::query_within(url, &gate.statement, &self.values, LIMIT))?;
        let milliseconds = start.elapsed().as_millis() as u64;
        Ok(match answer {
            Ok(answer) => SqlAnswer {
                rows: answer.rows,
                value: answer.value.unwrap_or(Json::Null),
                error: None,
                milliseconds,
            },
            Err(why) => {
                SqlAnswer { error: Some(self.masker.hide(&why)), milliseconds, ..SqlAnswer::default() }
            }
        })
    }
}

/// What was seen, in words.
fn told(answer: &SqlAnswer) -> String {
    match answer.rows {
        0 => "no row".into(),
        1 => format!("value {}", judge::sql_value(answer)),
        rows => format!("value {} in the first of {rows} rows", judge::sql_value(answer)),
    }
}
