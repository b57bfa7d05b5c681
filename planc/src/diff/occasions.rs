//! When a plan is run, and how often it must have been green. A run that is left out finds nothing.

use super::change::{Change, some_of};
use super::codes;
use super::pairs::Pairs;
use crate::graph::{History, WhenToRun};

pub(super) fn compare(pairs: &Pairs<'_>, out: &mut Vec<Change>) {
    let (old, new) = (&pairs.old.graph, &pairs.new.graph);
    when_to_run(old.when_to_run.as_ref(), new.when_to_run.as_ref(), out);
    history(old.history, new.history, out);
}

fn when_to_run(old: Option<&WhenToRun>, new: Option<&WhenToRun>, out: &mut Vec<Change>) {
    const SUBJECT: &str = "when to run";
    let names = |words: &[String]| some_of(words.iter().map(String::as_str));
    let less = |message| Change::weaker(codes::RUNS_LESS, SUBJECT, message);
    match (old, new) {
        (None, Some(new)) => out
            .push(less(format!("a change elsewhere than in {} asks for no run any more", names(&new.paths)))),
        (Some(_), None) => out.push(Change::stronger(SUBJECT, "every change asks for a run")),
        (Some(old), Some(new)) => {
            let minus = |all: &[String], less: &[String]| -> Vec<String> {
                all.iter().filter(|word| !less.contains(word)).cloned().collect()
            };
            let (gone, come) = (minus(&old.paths, &new.paths), minus(&new.paths, &old.paths));
            if !gone.is_empty() {
                out.push(less(format!("a change in {} asks for no run any more", names(&gone))));
            }
            if !come.is_empty() {
                out.push(Change::stronger(SUBJECT, format!("a change in {} asks for a run", names(&come))));
            }
            let (gone, come) = (minus(&old.always_on, &new.always_on), minus(&new.always_on, &old.always_on));
            if !gone.is_empty() {
                out.push(less(format!("on {} it is not always run any more", names(&gone))));
            }
            if !come.is_empty() {
                out.push(Change::stronger(SUBJECT, format!("on {} it is always run", names(&come))));
            }
        }
        (None, None) => {}
    }
}

fn history(old: Option<History>, new: Option<History>, out: &mut Vec<Change>) {
    const SUBJECT: &str = "history";
    if old == new {
        return;
    }
    let said = |asked: Option<History>| match asked {
        None => "no streak is asked for".to_string(),
        Some(History { streak, per }) => {
            format!("{} must be green in a row", crate::units::count(streak, per.as_str()))
        }
    };
    // A day may hold many runs, and needs another to follow: it is worth more than a run.
    let weight = |asked: Option<History>| asked.map_or((0, 0), |asked| (asked.streak, asked.per as u32));
    let (before, after) = (weight(old), weight(new));
    let message = format!("{}; before, {}", said(new), said(old));
    out.push(match after.0 < before.0 || after.1 < before.1 {
        true => Change::weaker(codes::STREAK_SHORTENED, SUBJECT, message),
        false => Change::stronger(SUBJECT, message),
    });
}
