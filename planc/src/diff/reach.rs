//! Where requests may go and as whom: target, hosts, TLS, tokens, endpoints.

use super::change::{Change, quoted, some_of};
use super::checks;
use super::codes;
use super::leaves;
use super::pairs::Pairs;
use super::strength::pattern_covers;
use crate::graph::{Target, Token};
use crate::parse::show_template;
use crate::units::{Rate, show_duration};
use std::time::Duration;

pub(super) fn compare(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    match (&pairs.old.graph.target, &pairs.new.graph.target) {
        (Some(old), Some(new)) => target(pairs, old, new, out),
        (Some(_), None) => out.push(Change::neutral("target", "is gone")),
        (None, Some(_)) => out.push(Change::neutral("target", "is new").at(pairs.new.origin("target.url"))),
        (None, None) => {}
    }
    if pairs.old.graph.database != pairs.new.graph.database {
        let said = |graph: &crate::graph::ExecutionGraph| {
            graph.database.as_ref().map_or("none".to_string(), |url| quoted(&show_template(url)))
        };
        let message = format!("is {}, it was {}", said(&pairs.new.graph), said(&pairs.old.graph));
        out.push(Change::neutral("database", message).at(pairs.new.origin("database")));
    }
    if pairs.old.graph.template != pairs.new.graph.template {
        let message = match pairs.new.graph.template {
            true => "is a clone of a kept, seeded one from now on",
            false => "is no longer a clone of a kept one: what earlier runs left stays in it",
        };
        out.push(Change::neutral("database", message).at(pairs.new.origin("database.template")));
    }
    tokens(pairs, out);
    endpoints(pairs, out);
}

fn target(pairs: &Pairs<'_>, old: &Target, new: &Target, out: &mut Vec<Change>) {
    let span = pairs.new.origin("target.url");
    let uncovered = |hosts: &[String], by: &[String]| -> Vec<String> {
        hosts.iter().filter(|host| !by.iter().any(|wide| pattern_covers(wide, host))).cloned().collect()
    };
    let gained = uncovered(&new.allow_hosts, &old.allow_hosts);
    let lost = uncovered(&old.allow_hosts, &new.allow_hosts);
    let names = |hosts: &[String]| some_of(hosts.iter().map(String::as_str));
    if !gained.is_empty() {
        let message = format!("requests may now go to {}", names(&gained));
        out.push(Change::weaker(codes::GUARD_WEAKENED, "target, `allow_hosts`", message).at(span));
    }
    if !lost.is_empty() {
        let message = format!("requests may no longer go to {}", names(&lost));
        out.push(Change::stronger("target, `allow_hosts`", message).at(span));
    }
    match (old.tls.verify, new.tls.verify) {
        (true, false) => out.push(
            Change::weaker(
                codes::GUARD_WEAKENED,
                "target, `tls`",
                "the certificate is not verified any more",
            )
            .note("whoever answers is taken for the target")
            .at(span),
        ),
        (false, true) => {
            out.push(Change::stronger("target, `tls`", "the certificate is now verified").at(span));
        }
        _ => {}
    }
    if old.timeout != new.timeout {
        let (before, after) = (show_duration(old.timeout), show_duration(new.timeout));
        let message = format!("an answer may take {after} instead of {before}");
        out.push(match new.timeout > old.timeout {
            true => Change::weaker(codes::EXPECTATION_WEAKENED, "target, `timeout`", message)
                .note("a request that was cut off failed; now it is only slow")
                .at(span),
            false => Change::stronger("target, `timeout`", message).at(span),
        });
    }
    let bare = |target: &Target| {
        let mut bare = Target { allow_hosts: Vec::new(), timeout: Duration::ZERO, ..target.clone() };
        bare.tls.verify = true;
        bare
    };
    let (o, n) = (bare(old), bare(new));
    if o != n {
        out.push(Change::neutral("target", leaves::told(&o, &n)).at(span));
    }
}

fn tokens(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    let (old, new) = (&pairs.old.graph.tokens, &pairs.new.graph.tokens);
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        out.push(Change::neutral(format!("token {}", quoted(name)), "is gone"));
    }
    for (name, after) in new {
        let span = pairs.new.origin(&format!("tokens.{name}"));
        let subject = format!("token {}", quoted(name));
        let Some(before) = old.get(name) else {
            out.push(Change::neutral(subject, "is new").at(span));
            continue;
        };
        let minus = |from: &Token, less: &Token| -> Vec<String> {
            from.scopes.iter().filter(|scope| !less.scopes.contains(scope)).cloned().collect()
        };
        let names = |scopes: &[String]| some_of(scopes.iter().map(String::as_str));
        let (gained, lost) = (minus(after, before), minus(before, after));
        if !gained.is_empty() {
            let message = format!("has {} as well", names(&gained));
            let change = Change::weaker(codes::SCOPE_CHANGED, &subject, message);
            out.push(change.note("a token that may more is not refused where its users would be").at(span));
        }
        if !lost.is_empty() {
            out.push(Change::neutral(&subject, format!("no longer has {}", names(&lost))).at(span));
        }
        let checks = |token: &Token| token.verify.iter().cloned().collect::<Vec<_>>();
        let what = format!("{subject}, verify");
        checks::inner(&what, codes::GUARD_WEAKENED, &checks(before), &checks(after), span, out);
        let bare = |token: &Token| Token { scopes: Vec::new(), verify: None, ..token.clone() };
        let (o, n) = (bare(before), bare(after));
        if o != n {
            out.push(Change::neutral(&subject, leaves::told(&o, &n)).at(span));
        }
    }
}

fn endpoints(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    for (name, after) in &pairs.new.endpoints {
        // One that is new or gone is told with the steps that call it.
        let Some(before) = pairs.old.endpoints.get(name) else { continue };
        let span = pairs.new.origin(&format!("endpoints.{name}"));
        let subject = format!("endpoint {}", quoted(name));
        let minus = |from: &super::side::Endpoint, less: &super::side::Endpoint| {
            some_of(from.scopes.difference(&less.scopes).map(String::as_str))
        };
        let (gained, lost) = (minus(after, before), minus(before, after));
        if !lost.is_empty() {
            let change = Change::weaker(codes::SCOPE_CHANGED, &subject, format!("needs no {lost} any more"));
            out.push(change.note("`planc check` no longer asks whether a token has it").at(span));
        }
        if !gained.is_empty() {
            out.push(Change::stronger(&subject, format!("needs {gained}")).at(span));
        }
        limit(&subject, before.limit, after.limit, span, out);
    }
}

fn limit(
    subject: &str,
    old: Option<Rate>,
    new: Option<Rate>,
    span: Option<crate::source::Span>,
    out: &mut Vec<Change>,
) {
    let change = match (old, new) {
        (Some(old), Some(new)) if old.per_second() < new.per_second() => {
            let times = new.per_second() / old.per_second();
            let message = format!("is said to take {new} instead of {old}");
            Change::weaker(codes::LIMIT_RAISED, subject, message)
                .note(format!("{times:.1} times the old limit"))
        }
        (Some(old), None) => {
            Change::weaker(codes::LIMIT_RAISED, subject, format!("has no limit any more, it was {old}"))
        }
        (Some(old), Some(new)) if old.per_second() > new.per_second() => {
            Change::stronger(subject, format!("is said to take {new} instead of {old}"))
        }
        (None, Some(new)) => Change::stronger(subject, format!("is said to take {new}")),
        _ => return,
    };
    out.push(change.at(span));
}
