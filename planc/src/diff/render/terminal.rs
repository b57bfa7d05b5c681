//! For people: what weakens with its arithmetic, the rest a line each.

use super::{Change, Effect, Report, mistakes, nothing, of, place, profiles, totals};
use crate::render::{self, View};

const RED: &str = "\u{1b}[1;31m";
const GREEN: &str = "\u{1b}[32m";
const BOLD: &str = "\u{1b}[1m";
const RESET: &str = "\u{1b}[0m";

pub(super) fn render(report: &Report, color: bool) -> String {
    if report.diagnostics.has_errors() {
        return broken(report, color);
    }
    if report.changes.is_empty() {
        return format!("{}\n", nothing(report));
    }
    let paint = |style: &str, text: &str| match color {
        true => format!("{style}{text}{RESET}"),
        false => text.to_string(),
    };
    let mut out = String::new();
    if report.old.is_none() {
        out.push_str(&format!("{} is new: all of it is added\n\n", super::super::quoted(&report.new)));
    }
    for change in of(report, Effect::Weakens) {
        let code = change.code.map_or(String::new(), |code| format!("{}[{}]", code.name, code.id));
        let said = format!(": {}: {}", change.subject, change.message);
        out.push_str(&format!("{}{}\n", paint(RED, &code), paint(BOLD, &said)));
        details(report, change, &mut out);
        out.push('\n');
    }
    for (effect, sign) in [(Effect::Strengthens, paint(GREEN, "+")), (Effect::Neutral, "~".to_string())] {
        for change in of(report, effect) {
            let within = profiles(change).map_or(String::new(), |text| format!(", {text}"));
            out.push_str(&format!("{sign} {}: {}{within}\n", change.subject, change.message));
        }
    }
    if !out.ends_with("\n\n") {
        out.push('\n');
    }
    out.push_str(&format!("{}\n", totals(report)));
    out
}

fn details(report: &Report, change: &Change, out: &mut String) {
    if let Some(place) = place(report, change) {
        out.push_str(&format!("  --> {place}\n"));
    }
    for note in change.notes.iter().cloned().chain(profiles(change)) {
        out.push_str(&format!("  = {note}\n"));
    }
}

/// The new side's mistakes, as `planc check` tells them.
fn broken(report: &Report, color: bool) -> String {
    let told = render::terminal(&mistakes(report), View { color, coverage: false });
    format!("{told}{} does not compile: nothing was compared\n", super::super::quoted(&report.new))
}
