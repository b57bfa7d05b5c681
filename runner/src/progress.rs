//! Telling a run while it goes on: lines for what ended, and one bar on a terminal or a line every few
//! seconds elsewhere.

use crate::evidence::{NodeRecord, Tick};
use crate::listen::Listener;
use crate::load::Event;
use crate::plan::Written;
use crate::report::terminal::{self, grouped};
use indicatif::{ProgressBar, ProgressStyle};
use planc::units::show_duration;
use seeders::{Misfit, Progress, Receipt};
use std::io::Write;
use std::time::Duration;

/// Ticks, which are seconds, between two lines where there is no terminal.
const EVERY: u64 = 5;

/// Tells a run on standard output.
pub struct Teller {
    quiet: bool,
    interactive: bool,
    written: Option<Written>,
    planned: Duration,
    bar: Option<ProgressBar>,
    ticks: u64,
    part: String,
    /// What the last line about a fixture said: its name, what it did, and after how many times [`EVERY`] seconds.
    seeding: (String, Option<String>, u64),
    /// A title that is printed with the first line under it.
    title: Option<String>,
}

impl Teller {
    /// `planned` is the longest scenario's time; `interactive` allows a bar.
    pub fn new(quiet: bool, interactive: bool, written: Option<Written>, planned: Duration) -> Self {
        let (part, seeding) = Default::default();
        Teller { quiet, interactive, written, planned, bar: None, ticks: 0, part, seeding, title: None }
    }

    fn print(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        let text = self.title.take().unwrap_or_default() + text;
        let write = || {
            let _ = anstream::stdout().write_all(text.as_bytes());
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn bar(&mut self, length: u64, template: &str) -> Option<&ProgressBar> {
        if !self.interactive || self.quiet {
            return None;
        }
        if self.bar.is_none() {
            let bar = ProgressBar::new(length);
            // The template is one of two literals below.
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("━╸ "));
            }
            self.bar = Some(bar);
        }
        self.bar.as_ref()
    }

    fn end_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Whether a fixture's progress is worth a line: every [`EVERY`] seconds, and when it begins to wait.
    fn is_news(&mut self, progress: &Progress) -> bool {
        let slot = progress.elapsed.as_secs() / EVERY;
        let doing = progress.note.clone().or(progress.doing.map(str::to_owned));
        let now = (progress.fixture.clone(), doing, slot);
        let news = now != self.seeding && (slot > 0 || progress.note.is_some());
        self.seeding = now;
        news
    }

    fn tick(&mut self, tick: &Tick) {
        self.ticks += 1;
        let text = tick_text(tick);
        let seconds = self.planned.as_secs().max(1);
        let at = (tick.at_us / 1_000_000).min(seconds);
        if let Some(bar) = self.bar(seconds, "  {bar:24} {pos}s of {len}s  {msg}") {
            bar.set_position(at);
            bar.set_message(text);
        } else if !self.interactive && self.ticks.is_multiple_of(EVERY) {
            self.print(&format!("  {at}s  {text}\n"));
        }
    }
}

impl Listener for Teller {
    fn part(&mut self, name: &str) {
        self.end_bar();
        if self.part != name {
            self.part = name.to_owned();
            self.title = Some(terminal::heading(name));
        }
    }

    fn node(&mut self, node: &NodeRecord) {
        self.end_bar();
        self.print(&terminal::node(node));
    }

    fn seeding(&mut self, progress: &Progress) {
        if let Some(bar) = self.bar(progress.total, "  {bar:24} {human_pos} of {human_len}  {msg}") {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            bar.set_message(seeding_text(progress));
        } else if !self.interactive && self.is_news(progress) {
            let (done, total) = (grouped(progress.done), grouped(progress.total));
            self.print(&format!("  {done} of {total}  {}\n", seeding_text(progress)));
        }
    }

    fn receipt(&mut self, receipt: &Receipt) {
        self.end_bar();
        let mark = if receipt.action == seeders::Action::Drift { "✗" } else { "✓" };
        self.print(&format!(
            "  {mark} {}  {} ({} ms)\n{}",
            receipt.name,
            crate::seeding::told(receipt),
            receipt.milliseconds,
            crate::seeding::drift_lines(receipt)
        ));
    }

    fn misfits(&mut self, misfits: &[Misfit]) {
        self.end_bar();
        let (placed, rest) = match &self.written {
            Some(written) => written.render(misfits),
            None => (String::new(), misfits.to_vec()),
        };
        let mut text = placed;
        for misfit in rest {
            let level = if misfit.warning { "warning" } else { "error" };
            text.push_str(&format!("{level}[{}]: {misfit}\n", misfit.kind.code().id));
        }
        // Not kept back by `--quiet`: this is why the run ends.
        let _ = anstream::stderr().write_all(text.as_bytes());
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Tick { tick, .. } => self.tick(tick),
            Event::ScenarioStarted { name } => self.print(&format!("  ▶ {name}\n")),
            Event::Stage { stage } => self.print(&format!("  ▸ {}\n", crate::judge::stage_told(stage))),
            Event::ScenarioEnded { name } => self.print(&format!("  ■ {name}\n")),
        }
    }
}

/// A fixture's name, and what it waits for or does, or how fast it is and how long it will take.
fn seeding_text(progress: &Progress) -> String {
    if let Some(told) = progress.note.as_deref().or(progress.doing) {
        return format!("{}: {told}", progress.fixture);
    }
    let mut text = progress.fixture.clone();
    if let Some(rate) = progress.per_second() {
        text.push_str(&format!("  {}/s", grouped(rate)));
    }
    if let Some(left) = progress.left() {
        let whole = Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0));
        text.push_str(&format!("  {} left", show_duration(whole)));
    }
    text
}

/// A second in one line.
fn tick_text(tick: &Tick) -> String {
    let mut text = format!(
        "{} of {} VUs  {} iter/s  {} req/s  p95 {}",
        tick.busy_vus,
        tick.vus,
        tick.started,
        tick.requests,
        crate::judge::show(tick.p95_us as f64, crate::judge::Unit::Time)
    );
    for (count, what) in [(tick.failed, "failed"), (tick.dropped, "dropped")] {
        if count > 0 {
            text.push_str(&format!("  {count} {what}"));
        }
    }
    if tick.late {
        text.push_str("  generator late");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(done: u64, seconds: u64) -> Progress {
        let elapsed = Duration::from_secs(seconds);
        let fixture = "certificates".to_owned();
        Progress { fixture, done, total: 1_000_000, before: 0, elapsed, doing: None, note: None }
    }

    #[test]
    fn a_fixture_in_words() {
        let waiting = Progress { note: Some("waiting".into()), ..progress(0, 0) };
        let merging = Progress { doing: Some("merging"), ..progress(1_000_000, 20) };
        for (progress, text) in [
            (progress(0, 0), "certificates"),
            (progress(250_000, 5), "certificates  50,000/s  15s left"),
            (progress(999_999, 7), "certificates  142,857/s  1s left"),
            (progress(1_000_000, 20), "certificates  50,000/s"),
            (waiting, "certificates: waiting"),
            (merging, "certificates: merging"),
        ] {
            assert_eq!(seeding_text(&progress), text);
        }
    }

    #[test]
    fn a_line_every_five_seconds() {
        let mut teller = Teller::new(true, false, None, Duration::ZERO);
        let waiting = Progress { note: Some("waiting".into()), ..progress(0, 0) };
        let merging = Progress { doing: Some("merging"), ..progress(1_000_000, 11) };
        let steps = [
            (progress(0, 0), false),
            (waiting, true),
            (progress(100, 4), false),
            (progress(200, 5), true),
            (progress(300, 9), false),
            (progress(400, 10), true),
            (merging, true),
        ];
        for (progress, news) in steps {
            assert_eq!(teller.is_news(&progress), news, "{progress:?}");
        }
    }
}
