//! The history for people and for programs.

use super::streak::when;
use super::{Entry, Record, Streak};
use crate::exit::Exit;
use crate::report::terminal::{DIM, GREEN, RED, RESET, word};
use planc::units::{grouped, show_duration};
use serde_json::json;
use std::time::Duration;

/// A line a run, oldest first, so that the latest stands above the prompt.
pub fn render(title: &str, entries: &[Entry], streak: Option<&Streak>) -> String {
    let mut out = format!("{title}\n");
    let head =
        ["when (UTC)", "verdict", "graph", "machine", "load", "requests", "failed", "p50", "p95", "p99"];
    let rows: Vec<Option<[String; 10]>> =
        entries.iter().map(|entry| entry.as_ref().ok().map(|(record, _)| cells(record))).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|at| {
            let cells = rows.iter().flatten().map(|row| row[at].chars().count());
            cells.chain([head[at].chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &[String]| -> String {
        let cells = cells.iter().zip(&widths).enumerate();
        // Words to the left, numbers to the right.
        let cells = cells.map(|(at, (cell, width))| match at {
            0..4 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    if !entries.is_empty() {
        out.push_str(&format!("\n  {DIM}{}{RESET}\n", line(&head.map(str::to_owned))));
    }
    for (entry, row) in entries.iter().zip(&rows) {
        match (entry, row) {
            (Ok((record, _)), Some(row)) => {
                let green = record.status == Exit::Pass && record.incomplete.is_empty();
                let colour = if green { GREEN } else { RED };
                out.push_str(&format!("{colour}{}{RESET} {}\n", if green { "✓" } else { "✗" }, line(row)));
                for what in record.incomplete.iter().chain(record.causes.first()) {
                    out.push_str(&format!("      {DIM}{}{RESET}\n", what.replace('\n', " ")));
                }
            }
            (Err(why), _) => out.push_str(&format!("{RED}✗{RESET} {why}\n")),
            _ => {}
        }
    }
    if let Some(streak) = streak {
        let (colour, mark) = if streak.holds() { (GREEN, "✓") } else { (RED, "✗") };
        out.push_str(&format!("\n{colour}{mark}{RESET} {}\n", streak.text()));
    }
    out
}

/// All records and the streak as JSON.
pub fn json(entries: &[Entry], streak: Option<&Streak>) -> String {
    let runs: Vec<_> = entries
        .iter()
        .map(|entry| match entry {
            Ok((record, _)) => json!(record),
            Err(why) => json!({ "error": why }),
        })
        .collect();
    let streak = streak.map(|streak| {
        let mut value = json!(streak);
        value["holds"] = json!(streak.holds());
        value
    });
    format!("{:#}\n", json!({ "runs": runs, "streak": streak }))
}

fn cells(record: &Record) -> [String; 10] {
    let time = |us: Option<u64>| match us {
        Some(us) => crate::judge::show(us as f64, crate::judge::Unit::Time),
        None if record.requests > 0 => "∞".into(),
        None => "–".into(),
    };
    let failed = match record.requests {
        0 => "–".into(),
        all => crate::judge::show(record.failed as f64 / all as f64, crate::judge::Unit::Share),
    };
    let short = |id: &str| id.chars().take(12).collect::<String>();
    [
        when(record),
        format!("{} {}", record.exit, word(record.status)),
        short(&record.graph_id),
        record.machine_id.clone(),
        show_duration(match Duration::from_micros(record.load_us) {
            short if short.as_secs() < 10 => Duration::from_millis(record.load_us / 1_000),
            long => Duration::from_secs(long.as_secs()),
        }),
        grouped(record.requests),
        failed,
        time(record.p50_us),
        time(record.p95_us),
        time(record.p99_us),
    ]
}
