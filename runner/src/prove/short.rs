//! The short form of a plan: the same load for a shorter time.

use planc::graph::{
    Aggregate, Bound, Comparison, Demand, ExecutionGraph, Gate, HoldUntil, Over, Report, ServiceKind,
};
use planc::units::Fixed;
use std::time::Duration;

/// How long the load of a graph takes, from its start to the last scenario's end.
pub(crate) fn length(graph: &ExecutionGraph) -> Duration {
    let ends = graph.scenarios.iter().map(|scenario| scenario.start_time + scenario.demand.duration());
    ends.max().unwrap_or_default()
}

/// The graph with a load of at most `longest`, rates and users unchanged. Floors of counts shrink with it. Its private
/// databases are fresh ones, so that what is broken in them stays nowhere.
pub(crate) fn shorten(graph: &ExecutionGraph, longest: Duration) -> ExecutionGraph {
    let mut short = graph.clone();
    short.report = Report::default();
    for service in &mut short.services {
        if let ServiceKind::Postgres { keep, .. } = &mut service.kind {
            *keep = None;
        }
    }
    without_holds(&mut short);
    let length = length(&short);
    if length <= longest || length.is_zero() {
        return short;
    }
    let share = longest.as_secs_f64() / length.as_secs_f64();
    for scenario in &mut short.scenarios {
        scenario.start_time = scenario.start_time.mul_f64(share);
        shorten_demand(&mut scenario.demand, share);
    }
    short.gates.iter_mut().for_each(|gate| shorten_gate(gate, share));
    short
}

/// Gates are what is proved: how far a ramp would come is not asked, and a search is held at its first step.
fn without_holds(graph: &mut ExecutionGraph) {
    for scenario in &mut graph.scenarios {
        let search = scenario.find_max.take().is_some();
        let mut demand = scenario.demand.shortest().retimed(&mut |_, climb, hold| {
            *climb += hold.take().map_or(Duration::ZERO, |hold: HoldUntil| hold.within);
        });
        if let (true, Demand::Arrivals { pieces, .. }) = (search, &mut demand) {
            pieces.truncate(1);
        }
        scenario.demand = demand;
    }
    for gate in graph.gates.iter_mut().filter(|gate| matches!(gate.over, Over::EachStage(_))) {
        gate.over = Over::Load;
    }
}

fn shorten_demand(demand: &mut Demand, share: f64) {
    match demand {
        Demand::Arrivals { pieces, .. } => {
            pieces.iter_mut().for_each(|piece| piece.duration = piece.duration.mul_f64(share));
        }
        Demand::Users { pieces, .. } => {
            pieces.iter_mut().for_each(|piece| piece.duration = piece.duration.mul_f64(share));
        }
        Demand::Iterations { iterations, .. } => {
            *iterations = ((*iterations as f64 * share).ceil() as u64).max(1);
        }
    }
}

/// A floor under a count that the whole load would reach is one that a part of it would not.
fn shorten_gate(gate: &mut Gate, share: f64) {
    let floor = matches!(gate.op, Comparison::Gt | Comparison::Ge);
    if let (Aggregate::Count, true, Bound::Number(number)) = (gate.aggregate, floor, gate.bound) {
        let scaled = Fixed((number.as_f64() * share).floor() as i64 * 1_000_000);
        gate.text = gate.text.replace(&number.to_string(), &scaled.to_string());
        gate.bound = Bound::Number(scaled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::compiled;

    #[test]
    fn the_load_is_shorter_and_as_hard() {
        let whole = compiled(
            "plan: x
services: { pg: { ephemeral: postgres, database: x_test, keep: it } }
target: { url: 'http://127.0.0.1:1', allow_hosts: [127.0.0.1] }
scenarios:
  a:
    executor: ramping-arrival-rate
    start_rate: 1/s
    pre_allocated_vus: 5
    stages: [{ target: 50/s, duration: 1m }, { target: 50/s, duration: 3m }]
    steps: [{ get: /, expect: { status: 200 } }]
  b:
    executor: shared-iterations
    iterations: 1000
    vus: 5
    max_duration: 1m
    start_time: 1m
    steps: [{ get: /, expect: { status: 200 } }]
thresholds:
  http_reqs: ['count > 8000']
  http_req_duration: ['p(95) < 1s']
  http_req_failed: ['rate < 1%']
",
        );
        assert_eq!(length(&whole), Duration::from_secs(240));
        let short = shorten(&whole, Duration::from_secs(24));
        let pieces = |graph: &ExecutionGraph| match &graph.scenarios[0].demand {
            Demand::Arrivals { pieces, .. } => {
                pieces.iter().map(|p| (p.target.per_second(), p.duration.as_secs())).collect()
            }
            _ => Vec::new(),
        };
        assert_eq!(pieces(&short), [(50.0, 6), (50.0, 18)]);
        assert!(matches!(short.scenarios[1].demand, Demand::Iterations { iterations: 100, .. }));
        assert_eq!(short.scenarios[1].start_time, Duration::from_secs(6));
        let texts: Vec<&str> = short.gates.iter().map(|gate| gate.text.as_str()).collect();
        assert_eq!(texts, ["p(95) < 1s", "rate < 1%", "count > 800"]);
        assert!(matches!(&short.services[0].kind, ServiceKind::Postgres { keep: None, .. }));
        assert_eq!(shorten(&whole, Duration::from_secs(600)).scenarios, whole.scenarios);
    }
}
