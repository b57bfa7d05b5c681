//! A gate that the load cannot give enough samples to.

use super::lengths::pauses;
use super::{Lint, decides, iterations, parts, settling, thousands, users};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{self, Aggregate, Bound, Demand, Expected, Over, StatusPattern, UserPiece};
use crate::near::listed;
use crate::resolved::{Gate, ResolvedPlan, Scenario};
use crate::units::show_duration;
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) const LINT: Lint =
    Lint { code: Code { id: "P0408", name: "under-sampled" }, page: include_str!("under-sampled.md"), check };

/// Percentiles that people claim, highest first.
const PERCENTILES: [(&str, f64); 6] =
    [("p(99.9)", 0.999), ("p(99)", 0.99), ("p(95)", 0.95), ("p(90)", 0.9), ("p(75)", 0.75), ("p(50)", 0.5)];

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    settling::check(&LINT, plan, diagnostics);
    for gate in plan.gates.iter().filter(|gate| gate.reachable && decides(&gate.gate)) {
        if let Some(found) = unexpected(plan, gate) {
            diagnostics.push(found);
            continue;
        }
        if let Some(found) = scraped(plan, gate) {
            diagnostics.push(found);
            continue;
        }
        let Some(terms) = terms(plan, gate) else { continue };
        let expected = terms.iter().map(Term::samples).sum();
        if expected < gate.gate.min_samples as f64 {
            diagnostics.push(explain(gate, &terms, expected));
        }
    }
}

/// A gate on a metric that is scraped too seldom for what it judges.
fn scraped(plan: &ResolvedPlan, gate: &Gate) -> Option<Diagnostic> {
    let scrape = plan.scrapes.get(&gate.gate.metric)?;
    let (length, part) = match &gate.gate.over {
        Over::Load => (load_length(plan)?, "the load".to_string()),
        Over::EveryWindow(length) => (*length, "each window".to_string()),
        Over::Stage { scenario, number } => {
            let (begin, end) = plan.scenario(scenario)?.scenario.demand.stage(*number)?;
            (end - begin, format!("stage {number}"))
        }
        Over::EachStage(_) => return None,
    };
    let every = scrape.every.as_micros().max(1);
    let samples = (length.as_micros() / every) as u64;
    if samples >= gate.gate.min_samples {
        return None;
    }
    let message = format!(
        "`{}` is scraped about {samples} times in {part}, and this gate needs {}",
        gate.gate.metric, gate.gate.min_samples
    );
    let enough = show_duration(Duration::from_millis(
        (length / gate.gate.min_samples.max(1) as u32).as_millis() as u64,
    ));
    Some(
        Diagnostic::warning(LINT.code, gate.span, message)
            .note(format!("{} ÷ {} = {samples}", show_duration(length), show_duration(scrape.every)))
            .note("a gate on fewer samples makes the run invalid")
            .help(format!("write `every: {enough}` or less")),
    )
}

/// How long the load is at least, where the plan alone decides it.
fn load_length(plan: &ResolvedPlan) -> Option<Duration> {
    if plan.lost.steps
        || plan.scenarios.iter().any(|s| !s.sound || matches!(s.scenario.demand, Demand::Iterations { .. }))
    {
        return None;
    }
    let load = plan.scenarios.iter().filter(|scenario| !scenario.scenario.smoke);
    load.map(|s| s.scenario.start_time + s.scenario.demand.duration()).max()
}

/// A gate on answers of a status that no step of it takes for good: where all is well it has no sample.
fn unexpected(plan: &ResolvedPlan, gate: &Gate) -> Option<Diagnostic> {
    let graph = &gate.gate;
    let text = graph.selector.get("status")?;
    let status: u16 = text.parse().ok()?;
    if graph.min_samples == 0 || graph.steps.is_empty() || plan.lost.steps {
        return None;
    }
    let steps = plan.all_steps().into_iter().filter(|step| graph.steps.contains(&step.id));
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    for step in steps {
        let http = step.kind.request()?;
        // What is followed on the way is a sample too.
        if (300..400).contains(&status) && http.request.redirects > 0 {
            return None;
        }
        let mut of_status = http.expect.iter().filter_map(|expect| match &expect.what {
            Expected::Status(statuses) => Some(statuses),
            _ => None,
        });
        let statuses = of_status.next()?;
        if statuses.iter().any(|pattern| pattern.matches(status)) {
            return None;
        }
        wanted.extend(statuses.iter().map(|pattern| match pattern {
            StatusPattern::Exact(status) => status.to_string(),
            StatusPattern::Class(class) => format!("{class}xx"),
        }));
    }
    let span = gate.tag_spans.get("status").map_or(gate.metric_span, |spans| spans.1);
    let message =
        format!("a run in which all is well has no answer of status {text}, and this gate needs some");
    Some(
        Diagnostic::warning(LINT.code, span, message)
            .note(format!("its steps expect {}", listed(wanted.iter().map(String::as_str), "or")))
            .note("a gate on fewer samples makes the run invalid")
            .help("select a status that is expected, or leave `status` out"),
    )
}

/// Samples that the load, or the emptiest part of it that the gate judges, is expected to give a gate; `None` when that
/// hangs on what only the run knows.
pub(crate) fn expected(plan: &ResolvedPlan, gate: &Gate) -> Option<f64> {
    Some(terms(plan, gate)?.iter().map(Term::samples).sum())
}

/// What one scenario gives to a gate.
struct Term<'a> {
    scenario: &'a Scenario,
    iterations: f64,
    /// How the iterations come about, where their number is no option of its own.
    how: Option<String>,
    /// Samples that one iteration gives.
    each: f64,
}

impl Term<'_> {
    fn samples(&self) -> f64 {
        self.iterations * self.each
    }

    /// `` `browse`: 10/s × 1m = 600 iterations, × 0.1 samples each = 60 ``.
    fn show(&self) -> String {
        let name = &self.scenario.scenario.name;
        let how = self.how.as_ref().map_or(String::new(), |how| format!("{how} = "));
        let iterations = shown(self.iterations);
        if self.each == 1.0 {
            return format!("`{name}`: {how}{iterations} iterations, one sample each");
        }
        let each = trimmed(self.each);
        format!("`{name}`: {how}{iterations} iterations, × {each} samples each = {}", shown(self.samples()))
    }
}

/// What each scenario gives; `None` when that hangs on what only the run knows.
fn terms<'a>(plan: &'a ResolvedPlan, gate: &Gate) -> Option<Vec<Term<'a>>> {
    if !gate.counted || plan.lost.steps {
        return None;
    }
    // When windows of several scenarios lie over one another is known only when they have begun.
    let windows = matches!(gate.gate.over, Over::EveryWindow(_));
    if windows && gate.expected.values().filter(|weight| **weight > 0).count() != 1 {
        return None;
    }
    let mut out = Vec::new();
    for (name, weight) in gate.expected.iter().filter(|(_, weight)| **weight > 0) {
        let scenario = plan.scenario(name)?;
        if !scenario.sound {
            return None;
        }
        // What settles at once moves on at once: no more than that is sure to come.
        let demand = &scenario.scenario.demand.shortest();
        let (iterations, how) = match &gate.gate.over {
            Over::Load => count(scenario, demand)?,
            Over::EveryWindow(length) => {
                let part = format!("in the emptiest window of {}", show_duration(*length));
                (parts::emptiest(demand, *length)?, Some(part))
            }
            Over::EachStage(_) => {
                let part = format!("in the first step of {}", parts::shown(demand, 1)?);
                (parts::of_stage(demand, 1)?, Some(part))
            }
            Over::Stage { number, .. } => {
                let part = format!("in stage {number} of {}", parts::shown(demand, *number)?);
                (parts::of_stage(demand, *number)?, Some(part))
            }
        };
        out.push(Term { scenario, iterations, how, each: *weight as f64 / 1e6 });
    }
    (!out.is_empty()).then_some(out)
}

/// Iterations of a scenario and how they come about. Of users that loop it is a ceiling, set by what they pause.
fn count(scenario: &Scenario, demand: &Demand) -> Option<(f64, Option<String>)> {
    let graph = &scenario.scenario;
    match &demand.plain() {
        Demand::Users { start_vus, pieces, .. } => {
            let pauses = pauses(&graph.steps);
            if pauses.is_zero() {
                return None;
            }
            // Each user starts one at once and one more after every pause, if the target takes no time at all.
            let time = users_time(*start_vus, pieces);
            let looped = time.as_secs_f64() / pauses.as_secs_f64();
            let most = (looped + f64::from(graph.demand.max_vus())).ceil();
            let users = thousands(f64::from(graph.demand.max_vus()));
            let how = format!(
                "{} of users' time ÷ pauses of {} + {users} first ones",
                show_duration(time),
                show_duration(pauses)
            );
            Some((most, Some(how)))
        }
        Demand::Iterations { .. } => Some(limited(graph)?),
        Demand::Arrivals { start_rate, pieces, .. } => {
            let how = match pieces.as_slice() {
                [piece] if piece.target == *start_rate => {
                    Some(format!("{start_rate} × {}", show_duration(piece.duration)))
                }
                _ => None,
            };
            Some((iterations(demand)?, how))
        }
    }
}

/// Iterations that are asked for, less those that pauses alone put behind `max_duration`.
fn limited(graph: &graph::Scenario) -> Option<(f64, Option<String>)> {
    let asked = iterations(&graph.demand)?;
    let Demand::Iterations { vus, max_duration, .. } = &graph.demand else { return None };
    let pauses = pauses(&graph.steps);
    if pauses.is_zero() {
        return Some((asked, None));
    }
    let each = max_duration.as_nanos().div_ceil(pauses.as_nanos()) as f64;
    let fit = f64::from(*vus) * each;
    if fit >= asked {
        return Some((asked, None));
    }
    let how = format!(
        "{} × {} that can start within {} at pauses of {}",
        users(f64::from(*vus)),
        thousands(each),
        show_duration(*max_duration),
        show_duration(pauses)
    );
    Some((fit, Some(how)))
}

/// Virtual users times how long each is there.
fn users_time(start: u32, pieces: &[UserPiece]) -> Duration {
    let (mut users, mut sum) = (f64::from(start), 0.0);
    for piece in pieces {
        let target = f64::from(piece.target);
        sum += (users + target) / 2.0 * piece.duration.as_secs_f64();
        users = target;
    }
    Duration::try_from_secs_f64(sum).unwrap_or(Duration::MAX)
}

fn explain(gate: &Gate, terms: &[Term<'_>], expected: f64) -> Diagnostic {
    let graph = &gate.gate;
    let needed = thousands(graph.min_samples as f64);
    let most = terms.iter().any(|term| matches!(term.scenario.scenario.demand, Demand::Users { .. }));
    let about = if most { "at most" } else { "about" };
    let giver = match graph.over {
        Over::Load => "the load gives",
        Over::EveryWindow(_) => "its emptiest window gets",
        Over::Stage { .. } => "the stage gives",
        Over::EachStage(_) => "the first step gives",
    };
    let message =
        format!("`{}` needs {needed} samples, and {giver} {about} {}", graph.condition(), shown(expected));
    let mut diagnostic = Diagnostic::warning(LINT.code, gate.span, message);
    for term in terms {
        diagnostic = diagnostic.note(term.show());
    }
    if !gate.own_min_samples {
        diagnostic.notes.extend(claim(gate));
        diagnostic.notes.extend(let_through(gate, expected));
    }
    let help = wayout(gate, terms, expected);
    diagnostic.note("a gate on fewer samples makes the run invalid").help(help)
}

/// Where the number that is needed is from.
fn claim(gate: &Gate) -> Option<String> {
    let share = share(gate)?;
    let needed = thousands(gate.needed as f64);
    Some(format!(
        "to show it with 95 % certainty takes n good samples where {}ⁿ ≤ 0.05: n = {needed}",
        trimmed(share)
    ))
}

/// Samples that must all be good to show with 95 % certainty that such a share is.
pub(super) fn claim_of(share: f64) -> f64 {
    (0.05_f64.ln() / share.ln()).ceil().max(1.0)
}

/// The share of samples that the gate says to be good.
fn share(gate: &Gate) -> Option<f64> {
    match (gate.gate.aggregate, gate.gate.bound) {
        (Aggregate::Percentile(percent), _) => Some(percent.as_f64() / 100.0),
        (Aggregate::Med, _) => Some(0.5),
        (Aggregate::Rate, Bound::Share(share)) => Some(1.0 - share.as_f64()),
        _ => None,
    }
}

/// How many bad samples a gate does not see.
fn let_through(gate: &Gate, samples: f64) -> Option<String> {
    let through = (samples * (1.0 - share(gate)?) + 1e-9).floor();
    let through = if through < 1.0 { "none".to_string() } else { thousands(through) };
    Some(format!("of {} samples it would let {through} through whatever they are", shown(samples)))
}

/// What to write instead, in numbers where one scenario alone feeds the gate.
fn wayout(gate: &Gate, terms: &[Term<'_>], expected: f64) -> String {
    let mut ways = Vec::new();
    if let [term] = terms
        && gate.gate.over.is_load()
        && let Demand::Arrivals { start_rate, pieces, .. } = &term.scenario.scenario.demand
        && let [piece] = pieces.as_slice()
        && piece.target == *start_rate
    {
        let needed = gate.gate.min_samples as f64 / term.each;
        let longer = (needed / start_rate.per_second()).ceil();
        let faster = (needed / piece.duration.as_secs_f64()).ceil();
        if longer < 1e9 && faster < 1e9 {
            ways.push(format!(
                "`duration: {}` at this rate",
                show_duration(Duration::from_secs(longer as u64))
            ));
            ways.push(format!("`rate: {faster}/s` for this duration"));
        }
    }
    if let (Aggregate::Percentile(percent), false) = (gate.gate.aggregate, gate.own_min_samples) {
        let lower = PERCENTILES.iter().filter(|(_, share)| *share < percent.as_f64() / 100.0);
        let carried = lower.into_iter().find(|(_, share)| share.powf(expected.floor()) <= 0.05);
        ways.extend(carried.map(|(text, _)| format!("`{text}`, the highest of p(50), p(75), p(90), p(95), p(99) and p(99.9) that this load carries")));
    }
    match ways.split_last() {
        None => "raise the rate or the duration, or claim less".into(),
        Some((only, [])) => format!("write {only}, or raise the rate or the duration"),
        Some((last, rest)) => format!("write {} or {last}", rest.join(", ")),
    }
}

fn shown(number: f64) -> String {
    if number < 10.0 && number.fract() > 0.0 { format!("{number:.1}") } else { thousands(number) }
}

/// `0.999`, `12`, without zeros at the end.
fn trimmed(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}
