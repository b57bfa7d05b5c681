//! The faults: what is broken, how far, and which gates should notice.
//!
//! How far hangs on the plan's own bounds: a target that is slower by the bound, twice the errors that a gate lets pass.
//! Every k-th request is broken, never a random one, so that a mutant that survives once survives again.

use super::proxy::{Act, Decide};
use super::short;
use crate::judge::walk;
use planc::graph::{
    Bound, Comparison, Demand, ExecutionGraph, Fixture, Gate, GateLevel, HttpStep, Segment, ServiceKind,
    Step, StepId, StepKind, Template,
};
use planc::units::show_duration;
use regex::Regex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Every answer is late by the bound on its latency.
    Slow,
    /// Nothing is answered for a while.
    Stall,
    /// Some answers are a 503.
    Errors,
    /// Some answers are a 429.
    Limited,
    /// Every answer has another body.
    OtherBody,
    /// Some connections are reset.
    Reset,
    /// The last request of each iteration is never made.
    Skipped,
    /// Every second row is gone.
    HalfSeed,
    /// The tables have no index.
    NoIndex,
}

/// All faults with the names that the command line and the matrix use, the quick ones first.
pub(crate) const KINDS: [(Kind, &str); 9] = [
    (Kind::Errors, "errors"),
    (Kind::Limited, "rate-limited"),
    (Kind::Reset, "resets"),
    (Kind::OtherBody, "other-body"),
    (Kind::Skipped, "step-skipped"),
    (Kind::Slow, "slow"),
    (Kind::Stall, "stall"),
    (Kind::HalfSeed, "half-seed"),
    (Kind::NoIndex, "no-index"),
];

/// One fault, ready to be done.
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// What is done, with the plan's own numbers.
    pub(crate) about: String,
    /// What is played, where it is other than what is judged.
    pub(crate) played: Option<ExecutionGraph>,
    /// Statements between seeding and preflight.
    pub(crate) statements: Vec<String>,
    /// What becomes of requests.
    pub(crate) decide: Option<Decide>,
}

impl Kind {
    /// Name on the command line.
    pub(crate) fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Whether a gate that breaks under it has shown what it is there for. A bound on latency that only failures,
    /// time-outs and drops break, which all count as above every bound, has not shown that it is a bound.
    pub(crate) fn proves(self, gate: &Gate) -> bool {
        matches!(self, Kind::Slow | Kind::NoIndex) || !bounds_latency(gate)
    }
}

/// What a kind of fault does to this plan, or why it cannot be tried.
pub(crate) fn fault(kind: Kind, graph: &ExecutionGraph) -> Result<Fault, String> {
    let steps = Arc::new(facts(graph));
    let plain = |about: String| Fault { kind, about, played: None, statements: Vec::new(), decide: None };
    let with = |about: String, decide: Decide| Fault { decide: Some(decide), ..plain(about) };
    Ok(match kind {
        Kind::Errors => with(
            format!("503 in place of {} of the answers", shares(&steps)),
            every(steps, |step| step.every, Act::Answer(503)),
        ),
        Kind::Reset => with(
            format!("{} of the connections are reset", shares(&steps)),
            every(steps, |step| step.every, Act::Reset),
        ),
        Kind::Limited => {
            with("429 in place of every fifth answer".into(), every(steps, |_| 5, Act::Answer(429)))
        }
        Kind::OtherBody => {
            with("every answer has another body".into(), Arc::new(|_: &str, _: &str| Act::OtherBody))
        }
        Kind::Slow => {
            let delays = || steps.iter().map(|step| step.delay).filter(|delay| !delay.is_zero());
            let (Some(least), Some(most)) = (delays().min(), delays().max()) else {
                return Err("no gate bounds a latency".into());
            };
            let about = format!("every answer is late by its bound ({})", range(least, most));
            let decide = move |method: &str, path: &str| match of_request(&steps, method, path) {
                Some(step) if !step.delay.is_zero() => Act::Late(step.delay),
                _ => Act::Pass,
            };
            Fault { played: Some(with_room(graph, most)), ..with(about, Arc::new(decide)) }
        }
        Kind::Stall => {
            let bound = steps.iter().map(|step| step.delay).max().unwrap_or_default();
            let length = short::length(graph);
            let stall = bound + length / 6;
            let about = format!("nothing is answered for {}", show_duration(rounded(stall)));
            with(about, stalling(length / 4, stall))
        }
        Kind::Skipped => {
            let played = without_last_steps(graph).ok_or("every scenario makes one request an iteration")?;
            Fault { played: Some(played), ..plain("the last request of each iteration is never made".into()) }
        }
        Kind::HalfSeed => {
            let statements = halve(graph)?;
            Fault { statements, ..plain("every second row of the fixtures is gone".into()) }
        }
        Kind::NoIndex => {
            let statements = drop_indexes(graph)?;
            Fault { statements, ..plain("the fixtures' tables have no index, no primary key".into()) }
        }
    })
}

/// What the gates say of a step, and how its requests are known.
struct Facts {
    method: String,
    path: Regex,
    /// Just above the largest bound on its latency that its timeout lets it reach; zero without a bound.
    delay: Duration,
    /// Every how many of its requests fail, for twice what the loosest gate lets pass.
    every: u64,
    seen: AtomicU64,
}

/// Errors where no gate says how many may be.
const SHARE: f64 = 0.02;
/// The least and the most that is broken.
const SHARES: (f64, f64) = (0.01, 0.5);

fn facts(graph: &ExecutionGraph) -> Vec<Facts> {
    let mut out = Vec::new();
    for scenario in &graph.scenarios {
        for steps in [&scenario.setup, &scenario.steps] {
            walk(steps, &mut |step: &Step| {
                let StepKind::Http(http) = &step.kind else { return };
                out.push(of_step(graph, &scenario.name, step.id, http));
            });
        }
    }
    out
}

fn of_step(graph: &ExecutionGraph, scenario: &str, id: StepId, http: &HttpStep) -> Facts {
    let timeout = graph.target.as_ref().map_or(Duration::from_secs(10), |target| target.timeout);
    let reach = http.request.timeout.unwrap_or(timeout).mul_f64(0.9);
    let of_scenario = |gate: &&Gate| gate.selector.get("scenario").is_none_or(|name| name == scenario);
    let sees = |gate: &&Gate| match gate.steps.is_empty() {
        true => of_scenario(gate),
        false => gate.steps.contains(&id),
    };
    let deciding = || graph.gates.iter().filter(|gate| gate.level == GateLevel::Required).filter(sees);
    let bounds = deciding().filter(|gate| bounds_latency(gate)).filter_map(|gate| match gate.bound {
        Bound::Duration(bound) => Some(bound),
        _ => None,
    });
    let delay = bounds.max().map_or(Duration::ZERO, |bound| (bound.mul_f64(1.02) + MARGIN).min(reach));
    let loosest = deciding()
        .filter_map(allowed_errors)
        .fold(None, |most: Option<f64>, share| Some(most.map_or(share, |most| most.max(share))));
    let share = loosest.map_or(SHARE, |share| share * 2.0).clamp(SHARES.0, SHARES.1);
    Facts {
        method: http.request.method.clone(),
        path: path_of(&http.request.url),
        delay,
        every: (1.0 / share).floor().max(2.0) as u64,
        seen: AtomicU64::new(0),
    }
}

/// What a clock's grain could hide.
const MARGIN: Duration = Duration::from_millis(5);

fn bounds_latency(gate: &Gate) -> bool {
    let upper = matches!(gate.op, Comparison::Lt | Comparison::Le);
    upper && matches!(gate.bound, Bound::Duration(_))
}

/// The share of failed requests that a gate lets pass.
fn allowed_errors(gate: &Gate) -> Option<f64> {
    let Bound::Share(share) = gate.bound else { return None };
    let share = share.as_f64();
    match (gate.metric.as_str(), gate.op) {
        ("http_req_failed" | "http_server_errors", Comparison::Lt | Comparison::Le) => Some(share),
        ("checks", Comparison::Gt | Comparison::Ge) => Some(1.0 - share),
        _ => None,
    }
}

/// A pattern of the ends of the paths that a URL can have: before them stands what the target's own URL has after its
/// host.
fn path_of(url: &Template) -> Regex {
    let mut pattern = String::new();
    for (at, segment) in url.segments.iter().enumerate() {
        match segment {
            Segment::Literal(text) => {
                // Scheme and host are the proxy's own by the time it sees the request.
                let text = match text.split_once("://") {
                    Some((_, rest)) if at == 0 => rest.find('/').map_or("", |slash| &rest[slash..]),
                    _ => text.as_str(),
                };
                let path = text.split('?').next().unwrap_or(text);
                pattern.push_str(&regex::escape(path));
                if path.len() < text.len() {
                    break;
                }
            }
            Segment::Slot(_) => pattern.push_str(".*"),
        }
    }
    pattern.push('$');
    Regex::new(&pattern).unwrap_or_else(|_| Regex::new(".*").expect("a pattern"))
}

/// The step that a request belongs to: the one with the longest pattern that fits, which is the most particular.
fn of_request<'a>(steps: &'a [Facts], method: &str, path: &str) -> Option<&'a Facts> {
    let fits = steps.iter().filter(|step| step.method == method && step.path.is_match(path));
    fits.max_by_key(|step| step.path.as_str().len())
}

fn every(steps: Arc<Vec<Facts>>, k: fn(&Facts) -> u64, act: Act) -> Decide {
    Arc::new(move |method, path| match of_request(&steps, method, path) {
        Some(step) if step.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(k(step)) => act.clone(),
        _ => Act::Pass,
    })
}

/// Passes for `after` from the first request on, then holds everything until `stall` is over.
fn stalling(after: Duration, stall: Duration) -> Decide {
    let first: OnceLock<Instant> = OnceLock::new();
    Arc::new(move |_, _| {
        let since = first.get_or_init(Instant::now).elapsed();
        match since >= after && since < after + stall {
            true => Act::Late(after + stall - since),
            false => Act::Pass,
        }
    })
}

/// `2%` or `1% to 10%`.
fn shares(steps: &[Facts]) -> String {
    let percent = |every: u64| format!("{}%", (1000.0 / every as f64).round() / 10.0);
    let most = steps.iter().map(|step| step.every).min().unwrap_or(50);
    let least = steps.iter().map(|step| step.every).max().unwrap_or(50);
    if least == most { percent(most) } else { format!("{} to {}", percent(least), percent(most)) }
}

fn range(least: Duration, most: Duration) -> String {
    match rounded(least) == rounded(most) {
        true => show_duration(rounded(most)),
        false => format!("{} to {}", show_duration(rounded(least)), show_duration(rounded(most))),
    }
}

fn rounded(duration: Duration) -> Duration {
    Duration::from_millis(duration.as_millis() as u64 / 10 * 10)
}

/// The graph with virtual users for every arrival while each answer is late by so much: the bound is to decide, not the
/// pool.
fn with_room(graph: &ExecutionGraph, delay: Duration) -> ExecutionGraph {
    let mut roomy = graph.clone();
    for scenario in &mut roomy.scenarios {
        let mut requests = 0;
        walk(&scenario.steps, &mut |step: &Step| {
            requests += u32::from(matches!(step.kind, StepKind::Http(_)))
        });
        if let Demand::Arrivals { start_rate, pieces, max_vus, .. } = &mut scenario.demand {
            let rates = pieces.iter().map(|piece| piece.target.per_second());
            let peak = rates.fold(start_rate.per_second(), f64::max);
            let needed = peak * delay.as_secs_f64() * f64::from(requests.max(1)) * 1.5;
            *max_vus = (*max_vus).max((needed.ceil() as u32).min(MOST_VUS));
        }
    }
    roomy
}

/// Virtual users that no slow target is worth.
const MOST_VUS: u32 = 5_000;

/// The graph without the last request of every iteration that makes more than one; none when no iteration does.
fn without_last_steps(graph: &ExecutionGraph) -> Option<ExecutionGraph> {
    let mut mutant = graph.clone();
    let mut any = false;
    for scenario in mutant.scenarios.iter_mut().filter(|scenario| !scenario.smoke) {
        let mut requests = 0;
        walk(&scenario.steps, &mut |step: &Step| {
            requests += usize::from(matches!(step.kind, StepKind::Http(_)))
        });
        any |= requests > 1 && remove_last(&mut scenario.steps);
    }
    any.then_some(mutant)
}

fn remove_last(steps: &mut Vec<Step>) -> bool {
    for at in (0..steps.len()).rev() {
        let removed = match &mut steps[at].kind {
            StepKind::Http(_) => {
                steps.remove(at);
                return true;
            }
            StepKind::WebSocket(session) => remove_last(&mut session.steps),
            StepKind::Pause(_)
            | StepKind::Send(_)
            | StepKind::Receive(_)
            | StepKind::Ping { .. }
            | StepKind::Close { .. } => false,
            StepKind::Choose(branches) => {
                branches.iter_mut().rev().any(|branch| remove_last(&mut branch.steps))
            }
            StepKind::Repeat { steps, .. }
            | StepKind::Each { steps, .. }
            | StepKind::When { steps, .. }
            | StepKind::Group { steps, .. } => remove_last(steps),
        };
        if removed {
            return true;
        }
    }
    false
}

/// Tables that the plan seeds, when its database is one of its own that is gone after the run.
fn own_tables(graph: &ExecutionGraph) -> Result<Vec<String>, String> {
    let slots = graph.database.iter().flat_map(|url| &url.segments);
    let named = |segment: &Segment| match segment {
        Segment::Slot(planc::graph::Expr::Path(path)) => path.get(1).cloned(),
        _ => None,
    };
    let own = slots.filter_map(named).any(|name| {
        graph.services.iter().any(|s| s.name == name && matches!(s.kind, ServiceKind::Postgres { .. }))
    });
    let tables = graph.fixtures.iter().filter_map(Fixture::rows_in).map(|(table, _)| table.to_owned());
    let tables: Vec<String> = tables.collect();
    match (own, tables.is_empty()) {
        (false, _) => {
            Err("the database is not a private one of this plan, and nothing is broken in any other".into())
        }
        (true, true) => Err("no fixture of this plan fills a table".into()),
        (true, false) => Ok(tables),
    }
}

fn halve(graph: &ExecutionGraph) -> Result<Vec<String>, String> {
    let mut statements = vec!["SET session_replication_role = replica".to_owned()];
    for table in own_tables(graph)? {
        let table = quoted(&table);
        statements.push(format!(
            "DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM (SELECT ctid, row_number() OVER (ORDER BY ctid) AS n \
             FROM {table}) AS numbered WHERE n % 2 = 0)"
        ));
    }
    Ok(statements)
}

fn drop_indexes(graph: &ExecutionGraph) -> Result<Vec<String>, String> {
    let tables = own_tables(graph)?;
    Ok(tables.iter().map(|table| drop_indexes_of(&quoted(table))).collect())
}

/// `"schema"."table"`.
fn quoted(table: &str) -> String {
    let part = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    table.split('.').map(part).collect::<Vec<_>>().join(".")
}

/// Constraints that stand on an index first, with what refers to them, then the indexes that stand alone.
fn drop_indexes_of(table: &str) -> String {
    let literal = table.replace('\'', "''");
    format!(
        "DO $harm$ DECLARE it record; BEGIN
           FOR it IN SELECT conname FROM pg_constraint
                     WHERE conrelid = '{literal}'::regclass AND contype IN ('p', 'u', 'x') LOOP
             EXECUTE 'ALTER TABLE {literal} DROP CONSTRAINT ' || quote_ident(it.conname) || ' CASCADE';
           END LOOP;
           FOR it IN SELECT indexrelid::regclass::text AS name FROM pg_index WHERE indrelid = '{literal}'::regclass LOOP
             EXECUTE 'DROP INDEX ' || it.name || ' CASCADE';
           END LOOP;
         END $harm$"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::compiled;

    const PLAN: &str = "
plan: x
target: { url: 'http://127.0.0.1:1/base', allow_hosts: [127.0.0.1], timeout: 2s }
scenarios:
  a:
    executor: constant-arrival-rate
    rate: 10/s
    duration: 1m
    pre_allocated_vus: 50
    steps:
      - { get: '/users/{{ iteration }}?q={{ iteration }}', name: user, expect: { status: 200 } }
      - { get: /users/me, name: me, expect: { status: 200 } }
      - group: pay
        steps: [{ post: /pay, name: pay, expect: { status: 200 } }, { pause: 1s }]
thresholds:
  http_req_duration{name:user}: ['p(95) < 300ms', 'p(99) < 500ms']
  http_req_duration{name:pay}: ['p(95) < 60s']
  http_req_failed{name:user}: ['rate < 0.1%']
  http_req_failed{name:me}: ['rate < 10%']
";

    fn acts(fault: &Fault, method: &str, path: &str, times: usize) -> Vec<Act> {
        let decide = fault.decide.as_ref().expect("a fault of requests");
        (0..times).map(|_| decide(method, path)).collect()
    }

    #[test]
    fn requests_are_known_by_their_most_particular_pattern() {
        let steps = facts(&compiled(PLAN));
        let every = |method, path| of_request(&steps, method, path).map(|step| step.every);
        // 0.1 % twice over is under the least that is broken, 10 % twice over is a fifth.
        assert_eq!(every("GET", "/base/users/17"), Some(100));
        assert_eq!(every("GET", "/users/17"), Some(100));
        assert_eq!(every("GET", "/users/me"), Some(5));
        assert_eq!(every("POST", "/users/me"), None);
        assert_eq!(every("POST", "/pay"), Some(50), "without an error gate");
    }

    #[test]
    fn a_slow_target_is_late_by_each_bound_and_never_by_more_than_the_timeout_allows() {
        let graph = compiled(PLAN);
        let slow = fault(Kind::Slow, &graph).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(acts(&slow, "GET", "/users/1", 1), [Act::Late(Duration::from_millis(515))]);
        assert_eq!(acts(&slow, "POST", "/pay", 1), [Act::Late(Duration::from_millis(1800))]);
        assert_eq!(acts(&slow, "GET", "/users/me", 1), [Act::Pass]);
        let room = slow.played.expect("more users").scenarios[0].demand.max_vus();
        assert_eq!(room, 81, "10/s × 1.8 s × 3 requests, half as much again");
    }

    #[test]
    fn every_kth_request_is_broken_from_the_first_on() {
        let errors = fault(Kind::Errors, &compiled(PLAN)).unwrap_or_else(|why| panic!("{why}"));
        let broken =
            acts(&errors, "GET", "/users/me", 11).iter().filter(|act| **act == Act::Answer(503)).count();
        assert_eq!(broken, 3);
        assert_eq!(errors.about, "503 in place of 1% to 20% of the answers");
    }

    #[test]
    fn the_last_request_is_skipped_wherever_it_stands() {
        let skipped = fault(Kind::Skipped, &compiled(PLAN)).unwrap_or_else(|why| panic!("{why}"));
        let played = skipped.played.expect("another graph");
        let mut names = Vec::new();
        walk(&played.scenarios[0].steps, &mut |step: &Step| {
            names.extend(matches!(step.kind, StepKind::Http(_)).then(|| step.name.clone()));
        });
        assert_eq!(names, ["user", "me"]);
    }

    #[test]
    fn what_the_plan_does_not_own_is_not_broken() {
        let why = fault(Kind::HalfSeed, &compiled(PLAN)).err().expect("refused");
        assert!(why.contains("not a private one of this plan"), "{why}");
    }
}
