//! Gates in SQL: what the database said, held against what is expected and what the load counted.

use super::gates::{Facts, Unit, show};
use super::pool::{Ground, Seconds};
use super::{Figure, GateResult, GateState};
use crate::evidence::{SqlAnswer, SqlGateRecord};
use crate::expect::{self, Outcome3, shorten};
use crate::values::Values;
use planc::expr::METRIC;
use planc::graph::{
    Aggregate, Bound, Comparison, Expected, Gate, GateLevel, Json, MetricRef, Over, ReadMetric, SqlGate,
    StepId,
};
use planc::units::Fixed;
use std::collections::BTreeMap;
use std::time::Duration;

/// Requests that were cut off and may have been counted: so many are tried.
const MAX_UNKNOWN: u64 = 10_000;
/// So much of a value is shown.
const SHOWN: usize = 120;

/// A gate that cannot be decided: how it came out, and why.
type Undecided = (GateState, String);

impl Facts<'_> {
    /// Judges one gate in SQL.
    pub(super) fn sql_gate(&self, gate: &SqlGate, told: Option<&SqlGateRecord>, run_id: &str) -> GateResult {
        let seen = self.seen(gate, told);
        let numbers = self.numbers(gate);
        let decided = match (&seen, &numbers) {
            (Ok(seen), Ok(numbers)) => Ok(self.compared(gate, seen, numbers, run_id)),
            (Err(undecided), _) | (_, Err(undecided)) => Err(undecided.clone()),
        };
        let (state, note) = match decided {
            Ok((state, note)) => (state, note),
            Err((state, why)) => (state, Some(why)),
        };
        let value = seen.ok();
        let number = value.as_ref().and_then(|seen| seen.value.as_f64()).filter(|_| looks_at_value(gate));
        GateResult {
            metric: gate.name.clone(),
            selector: BTreeMap::new(),
            text: format!("({})", gate.condition()),
            advisory: gate.level == GateLevel::Advisory,
            state,
            value: number.map(Figure),
            bound: None,
            value_text: value.as_ref().map_or("–".into(), |seen| shown(gate, seen)),
            bound_text: gate.condition(),
            samples: u64::from(value.is_some()),
            min_samples: 1,
            interval: None,
            interval_text: "–".into(),
            margin_percent: None,
            within_noise: false,
            breach_stands: state == GateState::Fail,
            note,
        }
    }

    /// What the expectations see.
    fn seen(&self, gate: &SqlGate, told: Option<&SqlGateRecord>) -> Result<SqlAnswer, Undecided> {
        if self.reads_skipped_alone(gate) {
            return Err((GateState::Skipped, "the scenarios that it reads were not run".into()));
        }
        let not_asked = || (GateState::NoData, "it was never asked".to_owned());
        let told = told.ok_or_else(not_asked)?;
        let after = told.after.as_ref().ok_or_else(not_asked)?;
        let failed = |when: &str, why: &String| {
            (GateState::Refused, format!("its statement fails{when}: {}", shorten(why, SHOWN)))
        };
        if let Some(why) = &after.error {
            return Err(failed("", why));
        }
        if !gate.increase {
            return Ok(after.clone());
        }
        let before = told.before.as_ref().ok_or_else(not_asked)?;
        if let Some(why) = &before.error {
            return Err(failed(" before the load", why));
        }
        match less(&after.value, &before.value) {
            Some(value) => Ok(SqlAnswer { value, ..after.clone() }),
            None => {
                let values = [&before.value, &after.value].map(|value| shorten(&value.to_string(), SHOWN));
                let why = format!("from {} to {} is no increase: both must be numbers", values[0], values[1]);
                Err((GateState::Refused, why))
            }
        }
    }

    /// The metrics that the expectations read, by their text.
    fn numbers(&self, gate: &SqlGate) -> Result<BTreeMap<String, f64>, Undecided> {
        let of = |(text, read): (&String, &ReadMetric)| match self.number(&read.of, &read.steps) {
            Ok(number) => Ok((text.clone(), number)),
            Err(why) => Err((GateState::NoData, format!("`{text}` has no value: {why}"))),
        };
        gate.metrics.iter().map(of).collect()
    }

    fn compared(
        &self,
        gate: &SqlGate,
        seen: &SqlAnswer,
        numbers: &BTreeMap<String, f64>,
        run_id: &str,
    ) -> (GateState, Option<String>) {
        let read: Vec<String> = numbers
            .iter()
            .map(|(text, number)| format!("{text} is {}", show(*number, Unit::Plain)))
            .collect();
        let Some(wrong) = self.wrong(gate, seen, numbers, 0, run_id) else {
            return (GateState::Pass, (!read.is_empty()).then(|| read.join(", ")));
        };
        let cut_off = self.cut_off(gate);
        let counted = |more: &u64| self.wrong(gate, seen, numbers, *more, run_id).is_none();
        if (1..=cut_off.min(MAX_UNKNOWN)).any(|more| counted(&more)) {
            let why = format!("{wrong}; {cut_off} requests were cut off, and with them it could have held");
            return (GateState::Unknown, Some([read.join(", "), why].join("; ")));
        }
        let told: Vec<String> = [wrong].into_iter().chain(read).collect();
        (GateState::Fail, Some(told.join("; ")))
    }

    /// What does not hold, with so many more counted than were.
    fn wrong(
        &self,
        gate: &SqlGate,
        seen: &SqlAnswer,
        numbers: &BTreeMap<String, f64>,
        more: u64,
        run_id: &str,
    ) -> Option<String> {
        let mut values = Values::new(self.graph.seed, || 0);
        values.set("run_id", run_id);
        for (text, number) in numbers {
            let counted = gate.metrics.get(text).is_some_and(|read| read.of.aggregate == Aggregate::Count);
            let number = if counted { number + more as f64 } else { *number };
            values.set(format!("{METRIC}.{text}"), whole(number));
        }
        let mut told = Vec::new();
        for expectation in &gate.expect {
            let outcome = match &expectation.what {
                Expected::Rows(matcher) => expect::matches(matcher, Some(&Json::from(seen.rows)), &values),
                Expected::Value(matcher) => {
                    let value = (seen.rows > 0).then_some(&seen.value);
                    expect::matches(matcher, value, &values)
                }
                _ => Outcome3::Different { seen: "an expectation that no statement has".into() },
            };
            match outcome {
                Outcome3::Holds => {}
                Outcome3::Different { seen } => {
                    told.push(format!("expected {}, saw {seen}", expectation.name))
                }
                Outcome3::Absent { .. } => told.push(format!("expected {}, saw no row", expectation.name)),
            }
        }
        (!told.is_empty()).then(|| told.join(", "))
    }

    /// Requests of the steps that a gate reads which were cut off at the end: done or not, they were not counted.
    fn cut_off(&self, gate: &SqlGate) -> u64 {
        let steps = gate.metrics.values().flat_map(|read| &read.steps);
        let mut scenarios: Vec<&str> = steps.filter_map(|step| self.owner.get(&step.0).copied()).collect();
        scenarios.sort_unstable();
        scenarios.dedup();
        let records = scenarios.iter().filter_map(|name| self.load.scenarios.get(*name));
        records.map(|record| record.censored).sum()
    }

    fn reads_skipped_alone(&self, gate: &SqlGate) -> bool {
        let reads: Vec<Gate> = gate.metrics.values().map(|read| as_gate(&read.of, &read.steps)).collect();
        !reads.is_empty() && reads.iter().all(|gate| self.is_skipped(gate))
    }

    /// One number of the whole run; times are milliseconds.
    pub(crate) fn number(&self, of: &MetricRef, steps: &[StepId]) -> Result<f64, String> {
        let gate = as_gate(of, steps);
        let pool = self.pool(&gate, Ground::Load, Seconds::All);
        let measured = self.measure(&gate, Ground::Load, &pool);
        match (measured.refused, measured.value) {
            (Some(why), _) => Err(why),
            (None, None) => Err("no sample was ever emitted".into()),
            (None, Some(value)) if !value.is_finite() => Err("it lies above every bound".into()),
            (None, Some(value)) if self.unit(&gate) == Unit::Time => Ok(value / 1e3),
            (None, Some(value)) => Ok(value),
        }
    }
}

/// A reference as a gate that any sample passes.
pub(super) fn as_gate(of: &MetricRef, steps: &[StepId]) -> Gate {
    Gate {
        metric: of.metric.clone(),
        selector: of.selector.clone(),
        text: String::new(),
        aggregate: of.aggregate,
        op: Comparison::Ge,
        bound: Bound::Number(Fixed(0)),
        level: GateLevel::Advisory,
        min_samples: 1,
        abort_on_fail: false,
        delay_abort_eval: Duration::ZERO,
        confident: false,
        drops: BTreeMap::new(),
        steps: steps.to_vec(),
        over: Over::Load,
    }
}

fn looks_at_value(gate: &SqlGate) -> bool {
    gate.expect.iter().any(|expectation| matches!(expectation.what, Expected::Value(_)))
}

fn shown(gate: &SqlGate, seen: &SqlAnswer) -> String {
    let rows = if seen.rows == 1 { "1 row".to_owned() } else { format!("{} rows", seen.rows) };
    match looks_at_value(gate) {
        true if seen.rows > 0 => sql_value(seen),
        true => "no row".into(),
        false => rows,
    }
}

/// The value of an answer for people.
pub(crate) fn sql_value(answer: &SqlAnswer) -> String {
    match &answer.value {
        Json::String(text) => shorten(text, SHOWN),
        other => shorten(&other.to_string(), SHOWN),
    }
}

/// A number without a fraction as a whole one, so that it equals what a database counts.
fn whole(number: f64) -> Json {
    match number.fract() == 0.0 && number.abs() < 9e15 {
        true => Json::from(number as i64),
        false => Json::from(number),
    }
}

fn less(after: &Json, before: &Json) -> Option<Json> {
    match (after.as_i64(), before.as_i64()) {
        (Some(after), Some(before)) => after.checked_sub(before).map(Json::from),
        _ => Some(whole(after.as_f64()? - before.as_f64()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Evidence, LoadRecord};
    use crate::judge::judge;
    use planc::graph::{ExecutionGraph, Expectation, Expr, JsonTemplate, Matcher, Template};

    const RATE: &str = "http_reqs{status:201}";

    fn graph(increase: bool, matcher: Matcher) -> ExecutionGraph {
        let mut graph = crate::testing::graph(vec![crate::testing::p95()]);
        let read = ReadMetric {
            of: MetricRef {
                metric: "http_reqs".into(),
                selector: BTreeMap::from([("outcome".into(), "ok".into())]),
                aggregate: Aggregate::Count,
            },
            steps: vec![StepId(0)],
        };
        graph.sql_gates.push(SqlGate {
            name: "rows are the 201s".into(),
            statement: Template::literal("select count(*) from orders"),
            expect: vec![Expectation { name: "value fits".into(), what: Expected::Value(matcher) }],
            increase,
            within: None,
            level: GateLevel::Required,
            metrics: BTreeMap::from([(RATE.to_owned(), read)]),
        });
        graph
    }

    fn counted() -> Matcher {
        Matcher::Equals(JsonTemplate::Value(Expr::Path(vec![METRIC.into(), RATE.into()])))
    }

    fn answer(value: impl Into<Json>) -> Option<SqlAnswer> {
        Some(SqlAnswer { rows: 1, value: value.into(), ..SqlAnswer::default() })
    }

    /// Exit, state and note of a run with 1,000 requests.
    fn judged(
        graph: &ExecutionGraph,
        before: Option<SqlAnswer>,
        after: Option<SqlAnswer>,
        change: impl FnOnce(&mut LoadRecord),
    ) -> (u8, GateState, String) {
        let mut evidence: Evidence = crate::testing::evidence(graph);
        change(evidence.load.as_mut().expect("a load"));
        evidence.sql_gates = vec![SqlGateRecord { name: "rows are the 201s".into(), before, after }];
        let verdict = judge(graph, &evidence);
        let gate = verdict.gates.last().expect("the gate").clone();
        (verdict.exit, gate.state, gate.note.unwrap_or_default())
    }

    #[test]
    fn rows_are_held_against_what_was_counted() {
        let graph = graph(false, counted());
        for (value, exit, state, note) in [
            (Json::from(1_000), 0, GateState::Pass, "http_reqs{status:201} is 1000"),
            (Json::from(1_000.0), 0, GateState::Pass, ""),
            (
                Json::from(999),
                99,
                GateState::Fail,
                "expected value fits, saw 999; http_reqs{status:201} is 1000",
            ),
            (Json::from("1000"), 99, GateState::Fail, "saw \"1000\""),
            (Json::Null, 99, GateState::Fail, "saw null"),
        ] {
            let got = judged(&graph, None, answer(value.clone()), |_| {});
            assert_eq!((got.0, got.1), (exit, state), "{value}: {}", got.2);
            assert!(got.2.contains(note), "{value}: {}", got.2);
        }
    }

    #[test]
    fn without_an_answer_there_is_no_pass() {
        let graph = graph(true, counted());
        let failed = Some(SqlAnswer { error: Some("division by zero".into()), ..SqlAnswer::default() });
        let no_row = Some(SqlAnswer::default());
        for (before, after, exit, state, note) in [
            (None, None, 111, GateState::NoData, "never asked"),
            (None, answer(1_000), 111, GateState::NoData, "never asked"),
            (answer(0), failed.clone(), 111, GateState::Refused, "its statement fails: division by zero"),
            (failed, answer(0), 111, GateState::Refused, "fails before the load"),
            (answer(Json::Null), answer(5), 111, GateState::Refused, "from null to 5 is no increase"),
            (answer(7), answer(1_007), 0, GateState::Pass, "is 1000"),
            (answer(7), answer(1_006), 99, GateState::Fail, "saw 999"),
            (answer(0), no_row, 111, GateState::Refused, "no increase"),
        ] {
            let got = judged(&graph, before, after, |_| {});
            assert_eq!((got.0, got.1), (exit, state), "{note}: {}", got.2);
            assert!(got.2.contains(note), "{note}: {}", got.2);
        }
    }

    #[test]
    fn a_metric_that_was_never_emitted_has_no_value() {
        let graph = graph(false, counted());
        let nothing = |load: &mut LoadRecord| {
            load.on_time.series.retain(|series| series.metric != "http_reqs");
            load.steps_played.clear();
        };
        let got = judged(&graph, None, answer(0), nothing);
        assert_eq!((got.0, got.1), (111, GateState::NoData), "{}", got.2);
        assert!(got.2.contains("no sample was ever emitted"), "{}", got.2);
        // Played, and none of that kind came: a true nought.
        let none = |load: &mut LoadRecord| load.on_time.series.retain(|series| series.metric != "http_reqs");
        assert_eq!(judged(&graph, None, answer(0), none).1, GateState::Pass);
    }

    #[test]
    fn requests_that_were_cut_off_may_have_been_written() {
        let graph = graph(false, counted());
        let cut_off = |load: &mut LoadRecord| {
            load.scenarios.values_mut().for_each(|record| record.censored = 3);
        };
        for (value, state) in [
            (1_000, GateState::Pass),
            (1_003, GateState::Unknown),
            (1_004, GateState::Fail),
            (999, GateState::Fail),
        ] {
            assert_eq!(judged(&graph, None, answer(value), cut_off).1, state, "{value}");
        }
    }
}
