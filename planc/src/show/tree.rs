//! For people: the order of the run, line by line.

use super::outline::{Outline, ScenarioOutline, outline};
use crate::graph::{ExecutionGraph, History};
use crate::units::show_duration;
use crate::units::{count, grouped};

pub(super) fn render(graph: &ExecutionGraph) -> String {
    let outline = outline(graph);
    let mut out = format!("{}, profile {}, seed {}\n", outline.plan, outline.profile, outline.seed);
    if !outline.about.is_empty() {
        out.push_str(&format!("{}\n", outline.about.trim()));
    }
    occasions(&mut out, graph);
    let mut number = 0;
    for phase in &outline.phases {
        heading(&mut out, &mut number, phase.name);
        let width = phase.items.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(56);
        for (name, detail) in &phase.items {
            let line = format!("   {name:<width$}  {detail}");
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    for (smoke, name) in [(true, "smoke"), (false, "load")] {
        let stage: Vec<_> = outline.scenarios.iter().filter(|s| s.smoke == smoke).collect();
        if !stage.is_empty() {
            heading(&mut out, &mut number, name);
            stage.iter().for_each(|s| scenario(&mut out, s));
        }
    }
    if !(graph.teardown.is_empty() && graph.teardown_commands.is_empty()) {
        heading(&mut out, &mut number, "teardown");
        graph.teardown.iter().for_each(|step| out.push_str(&format!("   {}\n", step.name)));
        for (name, detail) in graph.teardown_commands.iter().map(super::outline::check) {
            out.push_str(&format!("   {name}  {detail}\n"));
        }
    }
    if !outline.gates.is_empty() {
        heading(&mut out, &mut number, "gates");
        gates(&mut out, &outline);
    }
    totals(&mut out, &outline);
    out
}

/// When it is run, and how often it must have been green.
fn occasions(out: &mut String, graph: &ExecutionGraph) {
    if let Some(when) = &graph.when_to_run {
        let branches = match when.always_on.as_slice() {
            [] => String::new(),
            branches => format!(", or on {}", branches.join(", ")),
        };
        out.push_str(&format!("run when {} changed{branches}\n", when.paths.join(", ")));
    }
    if let Some(History { streak, per }) = graph.history {
        let what = count(streak, per.as_str());
        out.push_str(&format!("accepted after {what} in a row that are green\n"));
    }
}

fn heading(out: &mut String, number: &mut u32, name: &str) {
    *number += 1;
    out.push_str(&format!("\n{number}. {name}\n"));
}

fn scenario(out: &mut String, s: &ScenarioOutline) {
    out.push_str(&format!("   {}  {}", s.name, s.executor));
    if !s.needs.is_empty() {
        out.push_str(&format!(", after {}", s.needs.join(", ")));
    }
    if !s.start.is_zero() {
        out.push_str(&format!(", starts at {}", show_duration(s.start)));
    }
    out.push_str(&format!("\n     |{}| {}\n", s.spark, s.words()));
    let amount = match (s.iterations, s.requests) {
        (Some(iterations), Some(requests)) => {
            format!("{}, {}", count(iterations, "iteration"), requests_in_words(requests))
        }
        _ if s.soonest.is_some() => "iterations and requests depend on when its stages settle".to_string(),
        _ => "iterations and requests depend on latency".to_string(),
    };
    out.push_str(&format!("     {amount}\n     {}\n", s.users));
    s.holds.iter().for_each(|hold| out.push_str(&format!("     {hold}\n")));
    if !s.draws.is_empty() {
        out.push_str(&format!("     draws {}\n", s.draws.join(", ")));
    }
    if let Some(share) = &s.traces {
        out.push_str(&format!("     sends traceparent, {share} of the traces recorded\n"));
    }
}

fn requests_in_words((least, most): (u64, Option<u64>)) -> String {
    match most {
        Some(most) if most == least => count(least, "request"),
        Some(most) => format!("{} to {}", grouped(least), count(most, "request")),
        None => format!("at least {}", count(least, "request")),
    }
}

fn gates(out: &mut String, outline: &Outline) {
    let width = outline.gates.iter().map(|gate| gate.0.chars().count()).max().unwrap_or(0);
    let second = outline.gates.iter().map(|gate| gate.1.chars().count()).max().unwrap_or(0);
    for (selector, condition, remark) in &outline.gates {
        let line = format!("   {selector:<width$}  {condition:<second$}  {remark}");
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

fn totals(out: &mut String, outline: &Outline) {
    out.push_str(&format!("\nin all: {}", count(outline.rows, "row")));
    if outline.iterations > 0 || outline.unknown.is_empty() {
        let requests = requests_in_words(outline.requests);
        out.push_str(&format!(", {}, {requests}", count(outline.iterations, "iteration")));
    }
    if !outline.unknown.is_empty() {
        out.push_str(&format!(", {} depends on latency", outline.unknown.join(" and ")));
    }
    let (short, long) = outline.duration;
    out.push_str(&format!("; {}", show_duration(short)));
    if long > short {
        out.push_str(&format!(" to {}", show_duration(long)));
    }
    out.push_str(&format!(" of load\ngraph {}\n", outline.id));
}
