//! For people at a terminal: read in ten seconds by whoever knows k6.

use super::metrics::{self, Row, TREND_STATS};
use super::{baseline, traces};
use crate::evidence::{Evidence, HealthRecord, HealthSecond, NodeOutcome, NodeRecord, ScenarioRecord, Trend};
use crate::exit::Exit;
use crate::judge::{Distribution, GateResult, GateState, StageRow, Unit, Verdict, show};
use planc::units::show_duration;
use std::time::Duration;

pub(crate) const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
pub(crate) const DIM: &str = "\x1b[2m";
pub(crate) const RED: &str = "\x1b[31m";
pub(crate) const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";

/// Nodes and outcome: for evidence of another day.
pub(crate) fn whole(evidence: &Evidence, verdict: &Verdict) -> String {
    let mut out = String::new();
    let mut kind = "";
    for record in &evidence.nodes {
        if record.kind != kind {
            kind = &record.kind;
            out.push_str(&heading(kind));
        }
        out.push_str(&node(record));
    }
    out.push_str(&outcome(evidence, verdict));
    out
}

/// A part's title.
pub fn heading(name: &str) -> String {
    format!("\n{BOLD}{name}{RESET}\n")
}

/// One node in a line; what failed with its fix.
pub fn node(node: &NodeRecord) -> String {
    let (mark, colour) = match node.outcome {
        NodeOutcome::Passed => ("✓", GREEN),
        NodeOutcome::Overridden | NodeOutcome::Skipped => ("!", YELLOW),
        _ => ("✗", RED),
    };
    let word = match node.outcome {
        NodeOutcome::Passed => "",
        NodeOutcome::Overridden => "overridden: ",
        NodeOutcome::Different => "different: ",
        NodeOutcome::Absent => "absent: ",
        NodeOutcome::Unreachable => "unreachable: ",
        NodeOutcome::Failed => "failed: ",
        NodeOutcome::Skipped => "skipped: ",
    };
    let time = if node.milliseconds >= 10 {
        format!(" {DIM}{} ms{RESET}", node.milliseconds)
    } else {
        String::new()
    };
    let detail = node.detail.replace('\n', "\n      ");
    let dim = if node.outcome == NodeOutcome::Passed { DIM } else { "" };
    let mut out = format!("  {colour}{mark}{RESET} {}  {dim}{word}{detail}{RESET}{time}\n", node.name);
    if let Some(fix) = &node.fix {
        out.push_str(&format!("      {BOLD}fix:{RESET} {fix}\n"));
    }
    out
}

/// What was measured and what it means.
pub fn outcome(evidence: &Evidence, verdict: &Verdict) -> String {
    let mut out = String::new();
    if evidence.load.is_some() {
        section(&mut out, "metrics", metric_lines(evidence));
        section(&mut out, "load", sums(evidence));
        let warnings = verdict.warnings.iter().map(|warning| format!("{YELLOW}!{RESET} {warning}"));
        section(&mut out, "generator", generator(evidence).into_iter().chain(warnings).collect());
        section(&mut out, "stages", stages(verdict));
        section(&mut out, "slowest traces", traces::lines(evidence));
        section(&mut out, "triage", triage(evidence, SHORT));
        section(&mut out, "baseline", baseline::lines(evidence));
        section(&mut out, "gates", verdict.gates.iter().map(gate_line).collect());
        section(&mut out, "not measured", verdict.not_measured.clone());
    }
    let overrides = evidence.overrides.iter();
    let overrides = overrides.map(|o| format!("{YELLOW}!{RESET} {}: {}", o.guard, o.reason)).collect();
    section(&mut out, "overridden guards", overrides);
    out.push_str(&verdict_line(evidence, verdict));
    out
}

/// Names of a stage's columns.
pub(crate) const STAGE_COLUMNS: [&str; 9] =
    ["scenario", "stage", "target", "began", "lasted", "p95", "errors", "settled after", "outcome"];

/// A stage under its columns.
pub(crate) fn stage_cells(row: &StageRow) -> [String; 9] {
    let StageRow { scenario, number, target, began, lasted, held_after, p95, errors, outcome } = row.clone();
    [scenario, number.to_string(), target, began, lasted, p95, errors, held_after, outcome]
}

/// Every stage in a line under its columns, and how far the load came.
pub(crate) fn stages(verdict: &Verdict) -> Vec<String> {
    if verdict.stages.is_empty() {
        return verdict.ceilings.clone();
    }
    let head = STAGE_COLUMNS.map(str::to_owned);
    let rows: Vec<[String; 9]> =
        std::iter::once(head).chain(verdict.stages.iter().map(stage_cells)).collect();
    let widths: [usize; 9] =
        std::array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; 9]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).chain(verdict.ceilings.iter().cloned()).collect()
}

/// A verdict in one word.
pub(crate) fn word(status: Exit) -> &'static str {
    match status {
        Exit::Pass => "pass",
        Exit::Usage => "usage",
        Exit::Internal => "internal error",
        Exit::Fail => "fail",
        Exit::SetupFailed => "set-up failed",
        Exit::TeardownFailed => "teardown failed",
        Exit::PlanRejected => "plan rejected",
        Exit::Interrupted => "interrupted",
        Exit::Invalid => "invalid",
        Exit::Inconclusive => "inconclusive",
        Exit::Refused => "refused",
        Exit::SeedingFailed => "seeding failed",
        Exit::PreflightRefused => "preflight refused",
        Exit::ServiceNotReady => "service not ready",
        Exit::OutputLost => "output lost",
        Exit::DatabaseUnreachable => "database unreachable",
    }
}

/// What became of the iterations, and how the fixtures were hit.
pub(crate) fn sums(evidence: &Evidence) -> Vec<String> {
    let mut out = Vec::new();
    let Some(load) = &evidence.load else { return out };
    if load.scenarios.len() > 1 {
        out.push(conserved("all scenarios", &load.sums()));
    }
    for (name, record) in &load.scenarios {
        out.push(format!("{}; up to {} VUs", conserved(name, record), record.vus_max));
        for (binding, coverage) in &record.coverage {
            let share = coverage.distinct as f64 / coverage.rows.max(1) as f64 * 100.0;
            out.push(format!(
                "{name}: `{binding}` drew {} of {} rows ({share:.0}%), one of them {} times",
                grouped(coverage.distinct),
                grouped(coverage.rows),
                grouped(coverage.most_hits)
            ));
        }
    }
    out
}

/// Lines of one look that a terminal shows; the rest is in the evidence.
const SHORT: usize = 16;

/// What triage found: each entry, and so many lines of what its looks gave.
pub(crate) fn triage(evidence: &Evidence, most: usize) -> Vec<String> {
    let mut out = Vec::new();
    for record in &evidence.triage {
        let when = match record.at_end {
            true => "after the load".to_owned(),
            false => format!("after {}", show_duration(Duration::from_secs(record.at_us / 1_000_000))),
        };
        out.push(format!("{}, {when}: {}; {}", record.name, record.seen, record.cause));
        for look in &record.looks {
            let cut = if look.cut { " (cut)" } else { "" };
            out.push(format!("  {}  {} ms{cut}", look.what, look.milliseconds));
            let said = look.error.as_ref().map_or(look.output.as_str(), String::as_str);
            out.extend(said.lines().take(most).map(|line| format!("    {line}")));
            let rest = said.lines().count().saturating_sub(most);
            if rest > 0 {
                out.push(format!("    … {} more lines", grouped(rest as u64)));
            }
        }
    }
    out
}

/// planned = started + dropped, started = finished + failed + cut off.
fn conserved(name: &str, record: &ScenarioRecord) -> String {
    let planned =
        record.planned.map(|planned| format!("planned {} = ", grouped(planned))).unwrap_or_default();
    format!(
        "{name}: {planned}started {} + dropped {} (target {}, generator {}); started = finished {} + failed {} + \
         cut off {} (requests censored {})",
        grouped(record.started),
        grouped(record.dropped_by_target + record.dropped_by_generator),
        grouped(record.dropped_by_target),
        grouped(record.dropped_by_generator),
        grouped(record.finished),
        grouped(record.failed),
        grouped(record.interrupted),
        grouped(record.censored)
    )
}

pub(crate) use planc::units::grouped;

/// The verdict with its causes.
pub fn verdict_line(evidence: &Evidence, verdict: &Verdict) -> String {
    let colour = match verdict.status {
        Exit::Pass => GREEN,
        Exit::Interrupted | Exit::Inconclusive => YELLOW,
        _ => RED,
    };
    let mut out = format!(
        "\n{colour}{BOLD}{}{RESET}  {} ({}), exit {}\n",
        word(verdict.status),
        evidence.graph.plan,
        evidence.graph.profile,
        verdict.exit
    );
    for cause in &verdict.causes {
        out.push_str(&format!("  {colour}–{RESET} {}\n", cause.text.replace('\n', "\n    ")));
    }
    out
}

fn section(out: &mut String, name: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    out.push_str(&heading(name));
    for line in lines {
        out.push_str(&format!("  {line}\n"));
    }
}

fn metric_lines(evidence: &Evidence) -> Vec<String> {
    let rows = metrics::rows(evidence);
    let width = rows.iter().map(|row| label(row).chars().count()).max().unwrap_or(0) + 2;
    rows.iter()
        .map(|row| {
            let label = label(row);
            let dots = ".".repeat(width - label.chars().count());
            if !row.is_trend() {
                return format!("{label}{DIM}{dots}:{RESET} {}", row.line());
            }
            let figures: Vec<String> =
                TREND_STATS.iter().map(|name| format!("{DIM}{name}={RESET}{:<9}", row.text(name))).collect();
            let infinite = match row.infinite {
                0 => String::new(),
                n => format!("  {RED}{n} of {} above every bound{RESET}", row.samples),
            };
            format!("{label}{DIM}{dots}:{RESET} {}{infinite}", figures.join(" ").trim_end())
        })
        .collect()
}

/// Parts of a metric stand indented under it, as in k6.
fn label(row: &Row) -> String {
    match row.subject.strip_prefix(&row.metric) {
        Some("") | None => row.subject.clone(),
        Some(selector) => format!("  {selector}"),
    }
}

fn generator(evidence: &Evidence) -> Vec<String> {
    let Some(load) = &evidence.load else { return Vec::new() };
    let health = &load.health;
    let late = load.ticks.iter().filter(|tick| tick.late).count();
    let mut lines = Vec::new();
    for (what, trend) in [("lateness of starts", &health.lateness), ("delay of reading", &health.loop_delay)]
    {
        if let Some((p99, max)) = p99_and_max(trend) {
            let limit = show_duration(evidence.graph.health.lateness_p99);
            lines.push(format!("{what}: p99 {p99}, max {max} (limit of p99 {limit})"));
        }
    }
    lines.push(format!("{late} of {} seconds were late", load.ticks.len()));
    let sums = load.sums();
    if let Some(planned) = sums.planned.filter(|planned| *planned > 0) {
        let share = (sums.started + sums.dropped_by_target) as f64 / planned as f64 * 100.0;
        lines.push(format!("offered {share:.2}% of what was planned"));
    }
    lines.push(resources(health));
    lines.extend(machine(health));
    for (what, times) in &health.exhausted {
        lines.push(format!("{RED}{what}{RESET}: {times} times"));
    }
    lines
}

fn resources(health: &HealthRecord) -> String {
    let mut parts = vec![
        format!("{} workers", health.workers),
        format!("CPU {}% of a core, at most {}%", health.cpu_centicores_mean, health.cpu_centicores_max),
    ];
    let share = |ppm: u64| format!("{:.1}%", ppm as f64 / 1e4);
    parts.extend(health.run_queue_delay_ppm.map(|ppm| format!("run-queue delay {}", share(ppm))));
    parts.extend(health.steal_ppm.map(|ppm| format!("steal {}", share(ppm))));
    parts.extend(
        health
            .throttled_us
            .filter(|us| *us > 0)
            .map(|us| format!("throttled {}", show(us as f64, Unit::Time))),
    );
    parts.extend(health.open_files.map(|(most, limit)| format!("{most} of {limit} open files")));
    parts.extend(health.peak_memory.map(|bytes| format!("{} MB of memory", bytes / 1_000_000)));
    parts.join(", ")
}

/// The machine around it, at its worst second.
fn machine(health: &HealthRecord) -> Option<String> {
    type Figure = fn(&HealthSecond) -> Option<u64>;
    let of = |name: &str, figure: Figure, show: fn(u64) -> String| {
        let (mean, max) = health.mean_and_max(figure)?;
        Some(format!("{name} {}, at most {}", show(mean), show(max)))
    };
    let share = |ppm: u64| format!("{:.1}%", ppm as f64 / 1e4);
    let busiest =
        |second: &HealthSecond| second.cores_percent.iter().max().map(|percent| u64::from(*percent));
    let parts: Vec<String> = [
        of("busiest core", busiest, |percent| format!("{percent}%")),
        of("CPU pressure", |second| second.pressure_ppm.map(u64::from), share),
        of("connections", |second| Some(second.connections), grouped),
    ]
    .into_iter()
    .flatten()
    .collect();
    let ports = health.ports.map(|ports| format!(" of {} ports", grouped(ports))).unwrap_or_default();
    (!parts.is_empty()).then(|| format!("{}{ports}", parts.join(", ")))
}

fn p99_and_max(trend: &Trend) -> Option<(String, String)> {
    let mut samples = Distribution::default();
    samples.add(trend);
    Some((show(samples.percentile(99_000_000)?, Unit::Time), show(samples.max()?, Unit::Time)))
}

pub(crate) fn gate_line(gate: &GateResult) -> String {
    let (mark, colour) = match gate.state {
        GateState::Pass => ("✓", GREEN),
        GateState::Fail => ("✗", RED),
        GateState::Skipped => ("–", DIM),
        _ => ("?", YELLOW),
    };
    let mut facts = vec![format!("{BOLD}{}{RESET}", gate.value_text), format!("n={}", grouped(gate.samples))];
    if gate.interval.is_some() {
        facts.push(format!("95% [{}]", gate.interval_text));
    }
    if let Some(margin) = gate.margin_percent {
        facts.push(format!("margin {:.0}%", margin.0));
    }
    if gate.within_noise {
        facts.push(format!("{YELLOW}within noise{RESET}"));
    }
    if gate.advisory {
        facts.push(format!("{DIM}advisory{RESET}"));
    }
    let note = gate.note.as_ref().map(|note| format!("  {DIM}{note}{RESET}")).unwrap_or_default();
    format!("{colour}{mark}{RESET} {} {}  {}{note}", gate.subject(), gate.text, facts.join("  "))
}
