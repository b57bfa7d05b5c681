//! What is recorded of a request.

use super::{Outcome, Taken, of};
use crate::expect::Observed;
use crate::http::connection::{Opening, Phases};
use crate::prepare::{HttpOp, RecordOp, ScenarioProgram};
use crate::record::{Bundle, Cell as Sample, Dist, Family, GaugeCell, Recorder};
use crate::steps::series::Play;
use crate::text::InScope;
use crate::views::Moment;
use crate::vu::Vu;
use ::http::Version;
use planc::eval::{self, EvalError};
use planc::graph::{Json, MetricKind};
use std::time::Duration;

/// Where the samples of one play of a step go.
pub(super) struct Of<'r> {
    pub(super) recorder: &'r mut Recorder,
    pub(super) op: &'r HttpOp,
    pub(super) variant: u32,
    pub(super) late: bool,
    pub(super) at: Option<Moment>,
}

impl<'r> Of<'r> {
    fn play(&self) -> Play<'r> {
        let HttpOp { step, tags, slotted_tags, .. } = self.op;
        Play { step: *step, tags, slotted: slotted_tags, variant: self.variant, late: self.late, at: self.at }
    }

    /// Adds to a series with more tags than the step's own.
    fn add(
        &mut self,
        family: Family,
        result: u64,
        fresh: impl FnOnce() -> (String, Vec<(&'static str, String)>, Sample),
        add: impl Fn(&mut Sample),
    ) {
        self.play().add(self.recorder, family, result, fresh, add);
    }

    pub(super) fn check(&mut self, family: Family, name: &dyn std::fmt::Display, held: bool) {
        self.play().check(self.recorder, family, 0, name, Vec::new(), held);
    }

    /// Counts every expectation and capture of a step without an answer as one that did not hold.
    pub(super) fn nothing_held(&mut self) {
        for (at, expectation) in self.op.expect.iter().enumerate() {
            self.check(Family::Check(at as u16), &expectation.name, false);
        }
        self.captures_missed();
    }

    pub(super) fn captures_missed(&mut self) {
        for (at, capture) in self.op.captures.iter().enumerate() {
            self.check(Family::Capture(at as u16), &format_args!("capture {}", capture.name), false);
        }
    }

    pub(super) fn request(&mut self, taken: &Taken, add: impl Fn(&mut Bundle)) {
        let code = taken.code.map_or(0, |code| code as u16);
        let proto = u64::from(taken.version == Version::HTTP_2);
        let result =
            u64::from(taken.status) << 32 | u64::from(code) << 16 | (taken.outcome as u64) << 8 | proto;
        let fresh = || {
            let expected = matches!(taken.outcome, Outcome::Ok | Outcome::ExpectedError);
            let mut more = vec![
                ("status", taken.status.to_string()),
                ("outcome", taken.outcome.tag().to_owned()),
                ("expected_response", expected.to_string()),
                ("proto", if proto == 1 { "HTTP/2.0" } else { "HTTP/1.1" }.to_owned()),
            ];
            more.extend(taken.code.map(|code| ("error_code", code.tag())));
            (String::new(), more, Sample::Request(Box::default()))
        };
        self.add(Family::Request, result, fresh, |cell| match cell {
            Sample::Request(bundle) => add(bundle),
            _ => unreachable!("the family says that it is a request"),
        });
    }
}

/// Records the metrics of a hop.
pub(super) fn record(
    vu: &mut Vu,
    op: &HttpOp,
    variant: u32,
    opening: &Opening,
    phases: &Phases,
    taken: &Taken,
) {
    let intended = vu.intended.take();
    if vu.rehearsal.is_some() {
        return;
    }
    let micros = |duration: Duration| duration.as_micros() as u64;
    let service = phases.service();
    let waited = intended.map_or(Duration::ZERO, |due| phases.sent.saturating_duration_since(due));
    let failed = !matches!(taken.outcome, Outcome::Ok | Outcome::ExpectedError);
    let mut recorder = vu.worker.recorder.borrow_mut();
    of(vu, &mut recorder, op, variant).request(taken, |Bundle { totals, times }| {
        totals.requests += 1;
        totals.failed += u64::from(failed);
        totals.server_errors += u64::from(taken.status == 0 || taken.status >= 500);
        totals.limited += u64::from(taken.status == 429);
        totals.sent += phases.bytes_sent;
        totals.received += phases.bytes_received;
        if failed {
            // No phase of a failure is fast: a refused connection did not connect in no time.
            times.iter_mut().for_each(Dist::add_infinite);
            return;
        }
        times[0].add(micros(waited + service));
        times[1].add(micros(service));
        // A connection belongs to its user: there is never a wait for one.
        times[2].add(0);
        times[3].add(micros(opening.connecting));
        times[4].add(micros(opening.handshaking));
        times[5].add(micros(phases.sending));
        times[6].add(micros(phases.waiting));
        times[7].add(micros(phases.receiving));
    });
}

/// Adds to custom metrics.
pub(super) fn custom(
    vu: &mut Vu,
    scenario: &ScenarioProgram,
    op: &HttpOp,
    variant: u32,
    observed: &Observed<'_>,
) {
    for (at, record) in op.records.iter().enumerate() {
        let sample = {
            let scope = InScope { response: Some(observed), ..vu.scope(scenario) };
            custom_sample(record, &scope)
        };
        match sample {
            Ok(None) => {}
            Ok(Some(value)) => add_custom(vu, op, variant, at, record, value),
            Err(error) => crate::steps::no_value(vu, op.step, &op.name, &op.tags, &error),
        }
    }
}

/// A custom sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Custom {
    /// In thousandths.
    Milli(i64),
    /// The time of an answer that never came.
    Infinite,
}

/// Numbers beyond it do not fit in thousandths.
const MOST: f64 = 9e15;

/// The value; none where its condition is false.
fn custom_sample(record: &RecordOp, scope: &InScope<'_>) -> Result<Option<Custom>, EvalError> {
    let holds = match &record.when {
        Some(when) => Some(eval::truthy(&eval::eval(when, scope)?)),
        None => None,
    };
    let value = match &record.value {
        Some(value) => Some(eval::eval(value, scope)?),
        None => None,
    };
    if record.kind == MetricKind::Rate {
        let sample = holds.or_else(|| value.as_ref().map(eval::truthy)).unwrap_or(true);
        return Ok(Some(Custom::Milli(i64::from(sample))));
    }
    if holds == Some(false) {
        return Ok(None);
    }
    let is_trend = matches!(record.kind, MetricKind::Trend | MetricKind::TimeTrend);
    if is_trend && record.reads_duration && scope.response.is_some_and(|seen| seen.status.is_none()) {
        return Ok(Some(Custom::Infinite));
    }
    let number = match &value {
        None => Some(1.0),
        Some(Json::String(text)) => text.trim().parse().ok(),
        Some(Json::Bool(value)) => Some(f64::from(*value)),
        Some(other) => other.as_f64(),
    };
    let number = number.filter(|n| n.abs() < MOST && !(is_trend && *n < 0.0)).ok_or_else(|| {
        let what = if is_trend { "a number of at least 0 and under 9e15" } else { "a number under 9e15" };
        EvalError(format!("`{}` needs {what}, not {}", record.metric, value.unwrap_or_default()))
    })?;
    Ok(Some(Custom::Milli((number * 1_000.0).round() as i64)))
}

fn add_custom(vu: &Vu, op: &HttpOp, variant: u32, at: usize, record: &RecordOp, value: Custom) {
    if vu.rehearsal.is_some() {
        return;
    }
    let fresh = || {
        let cell = match record.kind {
            MetricKind::Counter => Sample::Counter(0, 0),
            MetricKind::Rate => Sample::Rate(0, 0),
            MetricKind::Trend | MetricKind::TimeTrend => Sample::Trend(Default::default()),
            MetricKind::Gauge => Sample::Gauge(GaugeCell::default()),
        };
        (record.metric.clone(), Vec::new(), cell)
    };
    let now_us = vu.worker.shared.now_us();
    let mut recorder = vu.worker.recorder.borrow_mut();
    of(vu, &mut recorder, op, variant).add(Family::Record(at as u16), 0, fresh, |cell| match (value, cell) {
        (Custom::Infinite, Sample::Trend(dist)) => dist.add_infinite(),
        (Custom::Infinite, _) => unreachable!("only trends have infinite samples"),
        (Custom::Milli(value), Sample::Counter(sum, count)) => {
            *sum = sum.saturating_add(value);
            *count += 1;
        }
        (Custom::Milli(value), Sample::Rate(trues, total)) => {
            *trues += value as u64;
            *total += 1;
        }
        // Thousandths of a number, or of the milliseconds that are microseconds.
        (Custom::Milli(value), Sample::Trend(dist)) => dist.add(value.max(0) as u64),
        (Custom::Milli(value), Sample::Gauge(gauge)) => gauge.set(value, now_us),
        (Custom::Milli(_), Sample::Request(_)) => unreachable!("the family says that it is a custom sample"),
    });
}
