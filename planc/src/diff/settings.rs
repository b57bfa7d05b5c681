//! What is left of a plan: services, reports, metrics, seed, inputs.

use super::change::{Change, quoted};
use super::codes;
use super::leaves;
use super::pairs::Pairs;
use crate::graph::{Decision, Report, Service, Triage};
use serde::Serialize;
use std::collections::BTreeMap;

pub(super) fn compare(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    services(pairs, out);
    report(&pairs.old.graph.report, &pairs.new.graph.report, out);
    let (old, new) = (&pairs.old.graph, &pairs.new.graph);
    if old.plan != new.plan {
        let message = format!("is named {}, it was {}", quoted(&new.plan), quoted(&old.plan));
        out.push(Change::neutral("plan", message));
    }
    if old.seed != new.seed {
        let message = format!("is {}, it was {}: other rows, other draws", new.seed, old.seed);
        out.push(Change::neutral("seed", message));
    }
    if old.metrics != new.metrics {
        out.push(Change::neutral("metrics", leaves::told(&old.metrics, &new.metrics)));
    }
    triage(pairs, out);
    if old.scrapes != new.scrapes {
        out.push(Change::neutral("scraped metrics", leaves::told(&old.scrapes, &new.scrapes)));
    }
    if old.open_inputs != new.open_inputs {
        out.push(Change::neutral("inputs", leaves::told(&old.open_inputs, &new.open_inputs)));
    }
}

/// An entry that ends the load is a gate of its own; what the others look at weighs nothing.
fn triage(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    let (old, new) = (&pairs.old.graph.triage, &pairs.new.graph.triage);
    let ends = |entry: &Triage| entry.decision != Decision::Continue;
    let same = |a: &Triage, b: &Triage| a.name == b.name || a.when == b.when;
    for before in old {
        let subject = format!("triage {}", quoted(&before.name));
        match new.iter().find(|after| same(before, after)) {
            None if ends(before) => {
                out.push(Change::weaker(
                    codes::GATE_REMOVED,
                    subject,
                    "is gone, and no longer ends the load",
                ));
            }
            None => out.push(Change::neutral(subject, "is gone")),
            Some(after) if ends(before) && !ends(after) => {
                out.push(Change::weaker(codes::GATE_LOOSENED, subject, "no longer ends the load"));
            }
            Some(after) if after.when != before.when && ends(before) => {
                out.push(Change::weaker(codes::GATE_LOOSENED, subject, "ends the load on another condition"));
            }
            Some(after) if !ends(before) && ends(after) => {
                out.push(Change::stronger(subject, "now ends the load"));
            }
            Some(after) if after != before => out.push(Change::neutral(subject, leaves::told(before, after))),
            Some(_) => {}
        }
    }
    for after in new.iter().filter(|after| !old.iter().any(|before| same(before, after))) {
        let subject = format!("triage {}", quoted(&after.name));
        out.push(if ends(after) {
            Change::stronger(subject, "is new")
        } else {
            Change::neutral(subject, "is new")
        });
    }
}

fn services(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    let named = |services: &[Service]| -> BTreeMap<String, Service> {
        services.iter().map(|service| (service.name.clone(), service.clone())).collect()
    };
    let (old, new) = (named(&pairs.old.graph.services), named(&pairs.new.graph.services));
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        out.push(Change::neutral(format!("service {}", quoted(name)), "is gone"));
    }
    for (name, after) in &new {
        let span = pairs.new.origin(&format!("services.{name}"));
        let subject = format!("service {}", quoted(name));
        match old.get(name) {
            None => out.push(Change::neutral(subject, "is new").at(span)),
            Some(before) if before != after => {
                out.push(Change::neutral(subject, leaves::told(before, after)).at(span));
            }
            Some(_) => {}
        }
    }
}

fn report(old: &Report, new: &Report, out: &mut Vec<Change>) {
    let outputs = |report: &Report| {
        [
            ("summary", report.summary.clone()),
            ("junit", report.junit.clone()),
            ("markdown", report.markdown.clone()),
            ("html", report.html.clone()),
        ]
    };
    for ((name, before), (_, after)) in outputs(old).into_iter().zip(outputs(new)) {
        let subject = format!("report {}", quoted(name));
        match (before, after) {
            (Some(before), None) => {
                let message = format!("{} is not written any more", quoted(&before));
                out.push(Change::weaker(codes::REPORT_REMOVED, subject, message));
            }
            (None, Some(after)) => {
                out.push(Change::stronger(subject, format!("{} is written", quoted(&after))));
            }
            (Some(before), Some(after)) if before != after => {
                let message = format!("is {}, it was {}", quoted(&after), quoted(&before));
                out.push(Change::neutral(subject, message));
            }
            _ => {}
        }
    }
    // They only listen: nothing is judged by them.
    listener("prometheus", &old.prometheus, &new.prometheus, out);
    listener("grafana", &old.grafana, &new.grafana, out);
    if old.baseline != new.baseline {
        out.push(Change::neutral("baseline", leaves::told(&old.baseline, &new.baseline)));
    }
}

fn listener<T: PartialEq + Serialize>(name: &str, old: &Option<T>, new: &Option<T>, out: &mut Vec<Change>) {
    let told = match (old, new) {
        (None, None) => return,
        (None, Some(_)) => "is new".to_string(),
        (Some(_), None) => "is gone".to_string(),
        (Some(old), Some(new)) if old == new => return,
        (Some(old), Some(new)) => leaves::told(old, new),
    };
    out.push(Change::neutral(format!("report {}", quoted(name)), told));
}
