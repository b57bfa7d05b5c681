//! Telling a run while it goes on: lines for what ended, and one bar on a terminal or a line every few
//! seconds elsewhere.

use crate::evidence::{NodeRecord, Tick};
use crate::listen::Listener;
use crate::load::Event;
use crate::plan::Written;
use crate::report::terminal;
use indicatif::{ProgressBar, ProgressStyle};
use seeders::{Misfit, Progress, Receipt};
use std::io::Write;
use std::time::Duration;

/// Ticks between two lines where there is no terminal.
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
    /// A title that is printed with the first line under it.
    title: Option<String>,
}

impl Teller {
    /// `planned` is the longest scenario's time; `interactive` allows a bar.
    pub fn new(quiet: bool, interactive: bool, written: Option<Written>, planned: Duration) -> Self {
        Teller { quiet, interactive, written, planned, bar: None, ticks: 0, part: String::new(), title: None }
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
        let text = match &progress.note {
            Some(note) => format!("{}: {note}", progress.fixture),
            None => progress.fixture.clone(),
        };
        if let Some(bar) = self.bar(progress.total, "  {bar:24} {pos} of {len}  {msg}") {
            bar.set_position(progress.done);
            bar.set_message(text);
        }
    }

    fn receipt(&mut self, receipt: &Receipt) {
        self.end_bar();
        let mark = if receipt.action == seeders::Action::Drift { "✗" } else { "✓" };
        self.print(&format!(
            "  {mark} {}  {} ({} ms)\n",
            receipt.name,
            crate::seeding::told(receipt),
            receipt.milliseconds
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
