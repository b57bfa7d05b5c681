//! A gate on the time to connect over connections that stay open.

use super::{Lint, decides, iterations, thousands, users};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::graph::{Aggregate, Comparison, Connections};
use crate::resolved::{Gate, ResolvedPlan};

pub(super) const LINT: Lint = Lint {
    code: Code { id: "P0436", name: "reused-connections" },
    page: include_str!("reused-connections.md"),
    check,
};

fn check(plan: &ResolvedPlan, diagnostics: &mut Diagnostics) {
    for gate in plan.gates.iter().filter(|gate| gate.reachable && decides(&gate.gate)) {
        if ["http_req_connecting", "http_req_tls_handshaking"].contains(&gate.gate.metric.as_str()) {
            diagnostics.extend(blind(plan, gate));
        }
    }
}

/// A percentile under which all samples are of requests that found their connection open.
fn blind(plan: &ResolvedPlan, gate: &Gate) -> Option<Diagnostic> {
    let share = match gate.gate.aggregate {
        Aggregate::Percentile(percent) => percent.as_f64() / 100.0,
        Aggregate::Med => 0.5,
        _ => return None,
    };
    if !matches!(gate.gate.op, Comparison::Lt | Comparison::Le) {
        return None;
    }
    let (mut samples, mut opened, mut place) = (0.0, 0.0, None);
    for (name, weight) in &gate.expected {
        let scenario = plan.scenarios.iter().find(|scenario| scenario.scenario.name == *name)?;
        if !scenario.sound || scenario.scenario.connections != Connections::Keep {
            return None;
        }
        samples += iterations(&scenario.scenario.demand)? * (*weight as f64 / 1e6);
        opened += f64::from(scenario.scenario.demand.max_vus());
        place.get_or_insert(scenario.span);
    }
    let above = samples * (1.0 - share);
    if samples <= 0.0 || opened >= above {
        return None;
    }
    let (all, above) = (thousands(samples), thousands(above.floor()));
    let message = format!("`{}` sees requests over connections that are open already", gate.gate.text);
    Some(
        Diagnostic::warning(LINT.code, gate.span, message)
            .also(place?, "its connections are kept")
            .note(format!(
                "{} open as many connections for {all} requests; all other samples are 0",
                users(opened)
            ))
            .note(format!("{above} samples may lie above the bound: it holds however long a handshake takes"))
            .help("write `connections: per_iteration` or `per_request` in the scenario"),
    )
}
