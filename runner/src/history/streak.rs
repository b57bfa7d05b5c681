//! How many runs in a row were green, whole, and judged by no less than the latest and the plan as it is now.

use super::{Entry, Record};
use crate::exit::Exit;
use crate::report::terminal::word;
use crate::trim;
use planc::diff;
use planc::graph::{ExecutionGraph, History, Period};
use serde::Serialize;

/// Green runs in a row, counted from the latest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Streak {
    /// So many there are, at most as many as are asked for.
    pub length: u32,
    /// So many are asked for.
    pub wanted: u32,
    /// What counts as one.
    pub per: Period,
    /// What ended it, when it is too short.
    pub broken_by: Option<String>,
}

impl Streak {
    /// Whether it is long enough.
    pub fn holds(&self) -> bool {
        self.length >= self.wanted
    }

    /// One line.
    pub fn text(&self) -> String {
        let what =
            if self.wanted == 1 { self.per.as_str().to_owned() } else { format!("{}s", self.per.as_str()) };
        let so_far = format!("{} of {} {what} in a row are green", self.length, self.wanted);
        match &self.broken_by {
            Some(why) => format!("{so_far}: {why}"),
            None => so_far,
        }
    }
}

/// Counts from the latest backwards. `plan` is the plan as it is now, when it is known.
pub fn streak(entries: &[Entry], plan: Option<&ExecutionGraph>, asked: History) -> Streak {
    let History { streak: wanted, per } = asked;
    let plan = plan.map(trim::judged_part);
    let mut latest: Option<&ExecutionGraph> = None;
    let mut day: Option<jiff::civil::Date> = None;
    let mut length = 0;
    for entry in entries.iter().rev() {
        let own = entry.as_ref().ok().and_then(|(record, _)| date(record));
        // The last day counts when all of its runs are green.
        if length == wanted && (per == Period::Run || own != day) {
            break;
        }
        let broken = green(entry, plan.as_ref(), latest).err().or_else(|| gap(per, day, own));
        if let Some(why) = broken {
            // A day that has begun to count does not when one of its runs is not green.
            let length =
                if per == Period::Day && day == own { length - u32::from(length > 0) } else { length };
            return Streak { length, wanted, per, broken_by: Some(why) };
        }
        latest = latest.or(entry.as_ref().ok().map(|(_, graph)| graph));
        if per == Period::Run || day != own {
            length += 1;
        }
        day = own;
    }
    let broken_by = (length < wanted).then(|| match length {
        0 => "there is no run yet".to_owned(),
        _ => "there is no run before".to_owned(),
    });
    Streak { length, wanted, per, broken_by }
}

/// Whether a run counts; why not.
fn green(
    entry: &Entry,
    plan: Option<&ExecutionGraph>,
    latest: Option<&ExecutionGraph>,
) -> Result<(), String> {
    let (record, graph) = entry.as_ref().map_err(Clone::clone)?;
    let run = format!("the run of {}", when(record));
    if record.status != Exit::Pass {
        let cause = record.causes.first().map(|cause| format!(": {cause}")).unwrap_or_default();
        return Err(format!("{run} ended as {} (exit {}){cause}", word(record.status), record.exit));
    }
    if let Some(what) = record.incomplete.first() {
        return Err(format!("{run} was not a whole one: {what}"));
    }
    for (than, whose) in [(plan, "the plan asks now"), (latest, "the latest run was")] {
        if let Some(change) = than.and_then(|than| diff::weaker(than, graph).into_iter().next()) {
            let asked = format!("{}: {}", change.subject, change.message);
            return Err(format!("{run} was judged by less than {whose}: {asked}"));
        }
    }
    Ok(())
}

/// The day that is missing between two.
fn gap(per: Period, later: Option<jiff::civil::Date>, own: Option<jiff::civil::Date>) -> Option<String> {
    if per == Period::Run || later.is_none() || later == own {
        return None;
    }
    let before = later.and_then(|later| later.yesterday().ok());
    if before == own {
        return None;
    }
    Some(before.map_or("its day is not known".into(), |missing| format!("there was no run on {missing}")))
}

/// The day in UTC on which a run began.
fn date(record: &Record) -> Option<jiff::civil::Date> {
    let time = jiff::Timestamp::from_millisecond(record.started_unix_ms).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).date())
}

/// `2026-11-21 02:30`, in UTC.
pub(super) fn when(record: &Record) -> String {
    match jiff::Timestamp::from_millisecond(record.started_unix_ms) {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => "an unknown time".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{append, read, record};
    use crate::judge::judge;
    use crate::testing::{errors, evidence, graph, p95};
    use planc::graph::{Bound, GateLevel};
    use std::path::Path;
    use std::time::Duration;

    /// Noon of a November day.
    fn noon(day: i64) -> i64 {
        jiff::civil::date(2026, 11, day as i8)
            .at(12, 0, 0, 0)
            .in_tz("UTC")
            .map_or(0, |t| t.timestamp().as_millisecond())
    }

    fn add(store: &Path, at: i64, graph: &ExecutionGraph, slow: bool) {
        let mut evidence = evidence(graph);
        evidence.run_id = format!("r{at}");
        evidence.started_unix_ms = at;
        if slow {
            evidence.load.as_mut().expect("a load").on_time.series[0].samples =
                crate::evidence::Samples::Trend(crate::testing::trend(900_000, 1_000, 0));
        }
        let (record, judged) = record(&evidence, &judge(graph, &evidence));
        append(store, &record, &judged).expect("written");
    }

    fn told(store: &Path, plan: Option<&ExecutionGraph>, per: Period) -> (bool, String) {
        let entries = read(store, "plan").expect("read");
        let streak = streak(&entries, plan, History { streak: 3, per });
        (streak.holds(), streak.text())
    }

    #[test]
    fn three_days_in_a_row() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, graph) = (folder.path(), graph(vec![p95(), errors()]));
        let day = || told(store, Some(&graph), Period::Day);
        assert_eq!(day(), (false, "0 of 3 days in a row are green: there is no run yet".into()));
        add(store, noon(10), &graph, false);
        add(store, noon(12), &graph, false);
        add(store, noon(13), &graph, false);
        assert_eq!(day(), (false, "2 of 3 days in a row are green: there was no run on 2026-11-11".into()));
        assert!(told(store, Some(&graph), Period::Run).0);
        add(store, noon(11), &graph, false);
        assert_eq!(day(), (true, "3 of 3 days in a row are green".into()));
        // A second run of a day does not make another day of it, and a red one takes the day away.
        add(store, noon(11) + 60_000, &graph, false);
        assert!(day().0);
        add(store, noon(11) - 60_000, &graph, true);
        let (holds, text) = day();
        assert!(
            !holds
                && text
                    .starts_with("2 of 3 days in a row are green: the run of 2026-11-11 11:59 ended as fail"),
            "{text}"
        );
    }

    #[test]
    fn a_weaker_gate_ends_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path();
        let strict = graph(vec![p95(), errors()]);
        let mut loose = strict.clone();
        loose.gates[0].bound = Bound::Duration(Duration::from_secs(2));
        loose.gates[0].text = "p(95) < 2s".into();
        for (at, graph) in [(1, &loose), (2, &strict), (3, &strict)] {
            add(store, noon(at), graph, false);
        }
        let (holds, text) = told(store, None, Period::Day);
        assert!(
            !holds && text.contains("2 of 3") && text.contains("than the latest run was: gate"),
            "{text}"
        );
        // Three that are alike, and a plan that has since been made stricter.
        add(store, noon(4), &strict, false);
        assert!(told(store, Some(&strict), Period::Day).0);
        assert!(told(store, Some(&loose), Period::Day).0);
        let mut stricter = strict.clone();
        stricter.gates[0].bound = Bound::Duration(Duration::from_millis(300));
        stricter.gates[0].text = "p(95) < 300ms".into();
        let (holds, text) = told(store, Some(&stricter), Period::Day);
        assert!(!holds && text.contains("0 of 3") && text.contains("than the plan asks now"), "{text}");
    }

    #[test]
    fn neither_does_a_gate_without_teeth_nor_a_shorter_load_count() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, whole) = (folder.path(), graph(vec![p95(), errors()]));
        let mut advisory = whole.clone();
        advisory.gates[0].level = GateLevel::Advisory;
        let mut short = whole.clone();
        if let planc::graph::Demand::Arrivals { pieces, .. } = &mut short.scenarios[0].demand {
            pieces[0].duration = Duration::from_secs(5);
        }
        for (at, weaker) in [(1, &advisory), (2, &short)] {
            add(store, noon(at), weaker, false);
            let (holds, text) = told(store, Some(&whole), Period::Run);
            assert!(!holds && text.contains("than the plan asks now"), "{text}");
        }
    }

    #[test]
    fn a_run_that_was_not_whole_ends_it() {
        let graph = graph(vec![p95(), errors()]);
        let mut resumed = evidence(&graph);
        resumed.load.as_mut().expect("a load").scenarios.get_mut("s").expect("the scenario").from_stage =
            Some(3);
        let mut overridden = evidence(&graph);
        let reason = "gate 25".into();
        overridden.overrides.push(crate::evidence::Override { guard: "staging only".into(), reason });
        for (evidence, wanted) in [
            (resumed, "scenario `s` began at stage 3 (`--from-stage`)"),
            (overridden, "guard `staging only` was overridden"),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut verdict = judge(&graph, &evidence);
            verdict.status = Exit::Pass;
            let (record, judged) = record(&evidence, &verdict);
            append(folder.path(), &record, &judged).expect("written");
            let (holds, text) = told(folder.path(), Some(&graph), Period::Run);
            assert!(!holds && text.contains(&format!("was not a whole one: {wanted}")), "{text}");
        }
    }

    #[test]
    fn what_is_no_record_ends_it_and_half_a_record_is_not_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, graph) = (folder.path(), graph(vec![p95(), errors()]));
        for day in 1..=3 {
            add(store, noon(day), &graph, false);
        }
        let own = crate::history::folder(store, "plan");
        std::fs::write(own.join(".r9.tmp"), "{").expect("written");
        assert!(told(store, Some(&graph), Period::Day).0);
        std::fs::write(own.join(format!("{:014}-x.json", noon(4))), "{").expect("written");
        let (holds, text) = told(store, Some(&graph), Period::Day);
        assert!(!holds && text.contains("is no record of a run"), "{text}");
    }

    #[test]
    fn runs_that_end_together_are_all_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let graph = graph(vec![p95(), errors()]);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (store, graph) = (folder.path(), &graph);
                scope.spawn(move || {
                    (0..10).for_each(|run| add(store, noon(1) + thread * 100 + run, graph, false))
                });
            }
        });
        let entries = read(folder.path(), "plan").expect("read");
        assert_eq!(entries.len(), 80);
        assert!(entries.iter().all(Result::is_ok));
    }
}
