//! Guards: conditions that must hold before anything is written. Static ones look at addresses, names,
//! files and programs; live ones ask the target and the database.

use crate::checks::{Prober, Seen};
use crate::client::{host_allowed, host_of};
use crate::database;
use crate::evidence::{NodeOutcome, NodeRecord, Override};
use planc::expr::{Expr, Segment, Template};
use planc::graph::{Check, ExecutionGraph, Fixture, Probe};
use std::collections::BTreeMap;
use std::time::Instant;

/// Pattern that the name of a database must have which this run did not start and would write to.
pub const DATABASE_GUARD: &str = "*_test";

/// Evaluates one guard of the plan; a reason in its override variable lets the run go on all the same.
pub async fn evaluate(
    guard: &Check,
    prober: &Prober<'_>,
    env: &BTreeMap<String, String>,
) -> (NodeRecord, Option<Override>) {
    let start = Instant::now();
    let seen = prober.evaluate(guard).await;
    let mut record = record("guard", &guard.name, seen, guard.fix.clone(), start);
    if record.outcome == NodeOutcome::Passed {
        return (record, None);
    }
    match reason(guard, env) {
        Some(Ok(reason)) => {
            record.outcome = NodeOutcome::Overridden;
            record.detail = format!("{}; overridden: {reason}", record.detail);
            (record, Some(Override { guard: guard.name.clone(), reason }))
        }
        Some(Err(why)) => {
            record.detail = format!("{}; {why}", record.detail);
            (record, None)
        }
        None => (record, None),
    }
}

/// The reason in a guard's override variable; an error when what stands there is none.
fn reason(guard: &Check, env: &BTreeMap<String, String>) -> Option<Result<String, String>> {
    let variable = guard.override_env.as_ref()?;
    let reason = env.get(variable)?.trim();
    let none = matches!(reason.to_ascii_lowercase().as_str(), "" | "1" | "true" | "yes" | "on" | "y");
    Some(if none {
        Err(format!("`{variable}={reason}` is no reason: say why the guard may be passed over"))
    } else {
        Ok(reason.to_owned())
    })
}

/// The target's address against `allow_hosts`.
pub fn target_address(graph: &ExecutionGraph, base: &str) -> NodeRecord {
    let start = Instant::now();
    let patterns = graph.target.as_ref().map(|target| target.allow_hosts.as_slice()).unwrap_or_default();
    let seen = match host_of(base) {
        Some((host, port)) if host_allowed(patterns, &host, port) => {
            Seen::new(NodeOutcome::Passed, format!("`{host}` is in `allow_hosts`"))
        }
        Some((host, _)) => Seen::new(
            NodeOutcome::Different,
            format!("`{host}` is not in `allow_hosts` ({})", patterns.join(", ")),
        ),
        None => Seen::new(NodeOutcome::Different, format!("`{base}` is not a URL")),
    };
    let fix = "add the host to `target.allow_hosts`, or point the target elsewhere";
    record("guard", "the target's address", seen, Some(fix.into()), start)
}

/// Name and address of a database that this run does not start. `given` is `--database-guard`.
pub fn database_address(graph: &ExecutionGraph, url: &str, given: Option<&str>) -> Vec<NodeRecord> {
    let start = Instant::now();
    let mut out = Vec::new();
    let Some(name) = database::name_in_url(url) else {
        let seen = Seen::new(NodeOutcome::Different, "its URL cannot be read");
        return vec![record("guard", "the database's address", seen, None, start)];
    };
    let patterns = graph.target.as_ref().map(|target| target.allow_hosts.clone()).unwrap_or_default();
    let local = ["127.0.0.1", "localhost", "::1"].map(String::from);
    for (host, port) in database::hosts_in_url(url) {
        let allowed = host.starts_with('/')
            || host_allowed(&local, &host, Some(port))
            || host_allowed(&patterns, &host, Some(port));
        let seen = match allowed {
            true => Seen::new(NodeOutcome::Passed, format!("`{host}`")),
            false => {
                Seen::new(NodeOutcome::Different, format!("`{host}` is neither local nor in `allow_hosts`"))
            }
        };
        let fix = "add the host to `target.allow_hosts`, or give the URL of a test database";
        out.push(record("guard", "the database's address", seen, Some(fix.into()), start));
    }
    // The plan's own guard on the name takes the place of the default one.
    let own: Vec<&str> = graph.guards.iter().filter_map(name_pattern).collect();
    let seeds = graph.fixtures.iter().any(Fixture::in_database);
    let patterns: Vec<&str> = match given {
        Some(pattern) => own.into_iter().chain([pattern]).collect(),
        None if own.is_empty() && seeds => vec![DATABASE_GUARD],
        None => own,
    };
    for pattern in patterns {
        let seen = match database::like(pattern, &name) {
            true => Seen::new(NodeOutcome::Passed, format!("`{name}` is `{pattern}`")),
            false => Seen::new(NodeOutcome::Different, format!("`{name}` is not `{pattern}`")),
        };
        let fix = "give the URL of a test database, or state its name with `--database-guard PATTERN`";
        out.push(record("guard", "the database's name", seen, Some(fix.into()), start));
    }
    out
}

/// Whether a template is the URL of a service that this run starts. A service's name further inside proves nothing
/// about the host.
pub fn is_started_here(graph: &ExecutionGraph, template: &Template) -> bool {
    let Some(Segment::Slot(Expr::Path(path))) = template.segments.first() else { return false };
    match path.as_slice() {
        [root, name, key] if root == "services" && key == "url" => {
            graph.services.iter().any(|service| service.name == *name)
        }
        _ => false,
    }
}

/// A node's record.
pub(crate) fn record(kind: &str, name: &str, seen: Seen, fix: Option<String>, start: Instant) -> NodeRecord {
    let fix = fix.filter(|_| !matches!(seen.outcome, NodeOutcome::Passed | NodeOutcome::Skipped));
    NodeRecord {
        kind: kind.into(),
        name: name.into(),
        outcome: seen.outcome,
        detail: seen.detail,
        fix,
        milliseconds: start.elapsed().as_millis() as u64,
    }
}

fn name_pattern(guard: &Check) -> Option<&str> {
    match &guard.probe {
        // A guard that may be overridden is not decided here, but with its reason.
        Probe::Postgres(facts) if guard.override_env.is_none() => facts.database.as_deref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use planc::graph::PostgresFacts;

    fn guard(override_env: Option<&str>) -> Check {
        Check {
            name: "the database is a test database".into(),
            probe: Probe::Postgres(PostgresFacts {
                database: Some("*_load".into()),
                foreign_rows: Vec::new(),
                free_connections: None,
            }),
            expect: Vec::new(),
            within: None,
            fix: None,
            override_env: override_env.map(String::from),
            static_guard: false,
            skipped: None,
        }
    }

    #[test]
    fn a_reason_is_more_than_yes() {
        let guard = guard(Some("ALLOW"));
        for (value, taken) in
            [("1", false), ("true", false), ("YES", false), (" ", false), ("drill on 3 May", true)]
        {
            let env = BTreeMap::from([("ALLOW".to_owned(), value.to_owned())]);
            assert_eq!(reason(&guard, &env).expect("the variable is set").is_ok(), taken, "{value}");
        }
        assert_eq!(reason(&guard, &BTreeMap::new()), None);
    }

    #[test]
    fn addresses_and_names_of_databases() {
        let mut graph = crate::testing::graph(Vec::new());
        let refused = |graph: &ExecutionGraph, url: &str, given: Option<&str>| {
            let records = database_address(graph, url, given);
            records.iter().filter(|record| record.outcome != NodeOutcome::Passed).count()
        };
        assert_eq!(refused(&graph, "postgres://db.example.com/fleet_test", None), 1);
        assert_eq!(refused(&graph, "postgres://localhost/fleet", None), 0, "nothing is seeded");
        assert_eq!(refused(&graph, "postgres://localhost/fleet", Some("*_test")), 1);
        assert_eq!(refused(&graph, "nonsense", None), 1);
        graph.guards = vec![guard(None)];
        assert_eq!(refused(&graph, "postgres://localhost/fleet_test", None), 1);
        assert_eq!(refused(&graph, "postgres://localhost/fleet_load", None), 0);
    }

    #[test]
    fn the_target_must_be_in_allow_hosts() {
        let graph = crate::testing::graph(Vec::new());
        assert_eq!(target_address(&graph, "http://127.0.0.1:9").outcome, NodeOutcome::Passed);
        assert_eq!(target_address(&graph, "http://prod.example.com").outcome, NodeOutcome::Different);
    }
}
