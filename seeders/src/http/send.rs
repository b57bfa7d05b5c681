//! The loop that sends requests, at most so many in flight, and learns from their answers.

use super::answer::{Hold, Outcome, judge};
use super::journal::{Journal, Note};
use super::pace::Pacer;
use super::request::prepare;
use super::secrets::{Secrets, Store};
use super::{Answer, HttpSender, SendError};
use crate::error::{ErrorKind, SeedError};
use crate::generators::Uses;
use crate::ledger::request_uses;
use crate::options::Mask;
use crate::progress::{Meter, Progress};
use crate::rows::RowSource;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use planc::graph::HttpFixture;
use std::iter::Peekable;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Failures after which no further rows are tried.
const GIVE_UP_AFTER: usize = 5;

/// Notes are written together, so many at most and this long after the first of them at the latest.
const NOTES: usize = 64;
const NOTED_WITHIN: Duration = Duration::from_millis(200);

/// What is asked of the service for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// To make the account.
    Create,
    /// Whether it is alive. `made`: it was noted as made.
    Probe { made: bool },
    /// To make its captured values anew.
    Reissue,
}

impl Deed {
    pub(super) fn is_probe(self) -> bool {
        matches!(self, Deed::Probe { .. })
    }
}

/// A row with something to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    pub(super) n: u64,
    pub(super) deed: Deed,
    pub(super) attempt: u32,
    /// How often `create` was sent, of all attempts ever.
    pub(super) sent: u32,
    not_before: Instant,
    /// Its number at the pacer.
    start: u64,
}

impl Task {
    pub(super) fn new(n: u64, deed: Deed, sent: u32, now: Instant) -> Task {
        Task { n, deed, attempt: 1, sent, not_before: now, start: 0 }
    }
}

/// What all requests of a fixture need.
pub(super) struct Ground<'a> {
    pub(super) sender: &'a dyn HttpSender,
    pub(super) source: &'a RowSource,
    pub(super) http: &'a HttpFixture,
    pub(super) mask: &'a Mask,
    pub(super) journal: &'a Journal<'a>,
    /// Accounts that are not to be mended are only probed.
    pub(super) mend: bool,
}

impl Ground<'_> {
    /// Whether an account must be noted before its request leaves.
    fn notes_first(&self, deed: Deed) -> bool {
        deed == Deed::Create && self.http.exists.is_none()
    }
}

/// How far it is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) made: u64,
    pub(super) kept: u64,
    pub(super) reissued: u64,
    pub(super) dead: u64,
    /// Answers of status 429.
    pub(super) limited: u64,
    pub(super) failures: Vec<String>,
}

/// The sending of one fixture, over several lists of tasks.
pub(super) struct Sending<'a> {
    ground: &'a Ground<'a>,
    store: Option<Store>,
    pacer: Pacer,
    /// Nothing leaves before.
    hold: Instant,
    /// Refusals in a row, without a word of how long to wait.
    refusals: u32,
    waiting: Vec<Task>,
    notes: Vec<Note>,
    note_at: Instant,
    meter: Meter,
    pub(super) tally: Tally,
}

type Delivered = (Task, Result<Result<Answer, SendError>, SeedError>);

impl<'a> Sending<'a> {
    pub(super) fn new(ground: &'a Ground<'a>, store: Option<Store>, pacer: Pacer, meter: Meter) -> Self {
        let now = Instant::now();
        Sending {
            ground,
            store,
            pacer,
            hold: now,
            refusals: 0,
            waiting: Vec::new(),
            notes: Vec::new(),
            note_at: now,
            meter,
            tally: Tally::default(),
        }
    }

    /// What the service told of the accounts.
    pub(super) fn secrets(&self) -> Secrets {
        self.store.as_ref().map_or_else(Secrets::default, |store| store.secrets.clone())
    }

    /// Whether the service told something of an account that is not known here.
    pub(super) fn is_untold(&self, n: u64) -> bool {
        self.store.as_ref().is_some_and(|store| store.secrets.row(n).is_none())
    }

    /// Whether it can be asked for an account: a probe may need what the service told of it.
    pub(super) fn can_probe(&self, n: u64) -> bool {
        let http = self.ground.http;
        let Some(probe) = &http.probe else { return false };
        let mut uses = Uses::default();
        request_uses(&probe.request, &mut uses);
        let told = |path: &Vec<String>| http.capture.iter().any(|it| path.first() == Some(&it.name));
        !self.is_untold(n) || !uses.paths.iter().any(told)
    }

    /// Does all tasks, those that follow from them included, until too many have failed.
    pub(super) async fn run(
        &mut self,
        tasks: &mut dyn Iterator<Item = Task>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), SeedError> {
        let ground = self.ground;
        let mut tasks = tasks.peekable();
        let mut flying: FuturesUnordered<BoxFuture<'a, Delivered>> = FuturesUnordered::new();
        let mut writing: Option<BoxFuture<'a, Result<(), SeedError>>> = None;
        loop {
            let next = self.next(&mut tasks);
            let idle = next.is_none() && flying.is_empty();
            if idle && writing.is_none() && self.notes.is_empty() {
                return Ok(());
            }
            let due = idle || self.notes.len() >= NOTES;
            if due && writing.is_none() && !self.notes.is_empty() {
                writing = Some(self.write(ground));
            }
            let room = flying.len() < ground.http.concurrency.max(1) as usize;
            let wake = next.map_or(self.hold, |(_, at)| at);
            tokio::select! {
                biased;
                written = async { match &mut writing { Some(it) => it.await, None => Ok(()) } }, if writing.is_some() => {
                    writing = None;
                    written?;
                }
                Some((task, answer)) = flying.next(), if !flying.is_empty() => {
                    self.settle(task, answer?)?;
                    progress(self.meter.at(self.tally.made + self.tally.kept));
                }
                () = sleep_until(wake), if room && next.is_some() => {
                    if let Some(task) = next.and_then(|(choice, _)| self.take(choice, &mut tasks)) {
                        flying.push(self.start(task)?);
                    }
                }
                () = sleep_until(self.note_at), if writing.is_none() && !self.notes.is_empty() => {
                    writing = Some(self.write(ground));
                }
            }
        }
    }

    /// The next task and when it may leave: one whose wait is over first, then a new one, then the one that waits least.
    fn next(&self, fresh: &mut Peekable<impl Iterator<Item = Task>>) -> Option<(Option<usize>, Instant)> {
        if self.tally.failures.len() >= GIVE_UP_AFTER {
            return None;
        }
        let now = Instant::now();
        let first = (0..self.waiting.len()).min_by_key(|index| self.waiting[*index].not_before);
        let ready = |index: &usize| self.waiting[*index].not_before <= now.max(self.hold);
        let choice = first.filter(|index| ready(index) || fresh.peek().is_none());
        let task = match choice {
            Some(index) => &self.waiting[index],
            None => fresh.peek()?,
        };
        let paced = if task.deed.is_probe() { now } else { self.pacer.due(now) };
        Some((choice, task.not_before.max(self.hold).max(paced)))
    }

    fn take(&mut self, choice: Option<usize>, fresh: &mut impl Iterator<Item = Task>) -> Option<Task> {
        match choice {
            Some(index) => Some(self.waiting.swap_remove(index)),
            None => fresh.next(),
        }
    }

    /// Sends the request of a task; where that is needed, its note is on the disk before.
    fn start(&mut self, mut task: Task) -> Result<BoxFuture<'a, Delivered>, SeedError> {
        let ground = self.ground;
        let request = match task.deed {
            Deed::Create => Some(&ground.http.create),
            Deed::Probe { .. } => ground.http.probe.as_ref().map(|probe| &probe.request),
            Deed::Reissue => ground.http.reissue.as_ref(),
        };
        let told = self.store.as_ref().and_then(|store| store.secrets.row(task.n));
        let request = prepare(ground.source, request.unwrap_or(&ground.http.create), task.n, told)?;
        if !task.deed.is_probe() {
            task.start = self.pacer.took(Instant::now());
        }
        if task.deed == Deed::Create {
            task.sent += 1;
        }
        Ok(Box::pin(async move {
            if ground.notes_first(task.deed)
                && let Err(error) = ground.journal.sent(task.n, task.sent).await
            {
                return (task, Err(error));
            }
            (task, Ok(ground.sender.send(request).await))
        }))
    }

    fn write(&mut self, ground: &'a Ground<'a>) -> BoxFuture<'a, Result<(), SeedError>> {
        let notes = std::mem::take(&mut self.notes);
        Box::pin(async move { ground.journal.note(&notes).await })
    }

    fn note(&mut self, note: Note) {
        if self.notes.is_empty() {
            self.note_at = Instant::now() + NOTED_WITHIN;
        }
        self.notes.push(note);
    }

    fn settle(&mut self, task: Task, answer: Result<Answer, SendError>) -> Result<(), SeedError> {
        let now = Instant::now();
        if !task.deed.is_probe() {
            self.pacer.answered(task.start, now);
        }
        self.tally.limited += u64::from(answer.as_ref().is_ok_and(|answer| answer.status == 429));
        let outcome = judge(self.ground.http, &task, answer);
        if !matches!(outcome, Outcome::Again { .. }) {
            self.refusals = 0;
        }
        match outcome {
            Outcome::Made(told) => {
                if let Some(store) = &mut self.store {
                    store.keep(task.n, told)?;
                }
                self.note(Note::Made(task.n));
                if task.deed == Deed::Create {
                    self.tally.made += 1;
                } else {
                    (self.tally.kept, self.tally.reissued) = (self.tally.kept + 1, self.tally.reissued + 1);
                }
            }
            Outcome::Existed | Outcome::Alive => self.there(task, now),
            Outcome::Dead => self.dead(task, now),
            Outcome::Again { after, hold } => self.again(task, after, hold, now),
            Outcome::Lost(why) => self.lost(task, &why, now),
            Outcome::Failed(why) => {
                if self.ground.notes_first(task.deed) {
                    self.note(Note::Refused(task.n, task.sent));
                }
                self.fail(task.n, &why);
            }
        }
        Ok(())
    }

    /// An account is there; what it told once may not be.
    fn there(&mut self, task: Task, now: Instant) {
        let http = self.ground.http;
        self.note(Note::Made(task.n));
        match (self.is_untold(task.n), &http.reissue) {
            (false, _) => self.tally.kept += 1,
            (true, Some(_)) => self.waiting.push(Task::new(task.n, Deed::Reissue, task.sent, now)),
            (true, None) => {
                let names: Vec<String> = http.capture.iter().map(|it| format!("`{}`", it.name)).collect();
                let why =
                    format!("the account is there and its {} was told to somebody else", names.join(", "));
                self.fail(task.n, &why);
            }
        }
    }

    fn dead(&mut self, task: Task, now: Instant) {
        self.tally.dead += 1;
        if !self.ground.mend {
            return;
        }
        let told_once = task.deed == Deed::Probe { made: true } && !self.ground.http.capture.is_empty();
        let deed = if told_once && self.ground.http.reissue.is_some() { Deed::Reissue } else { Deed::Create };
        self.waiting.push(Task { attempt: task.attempt, ..Task::new(task.n, deed, task.sent, now) });
    }

    fn again(&mut self, task: Task, after: Duration, hold: Hold, now: Instant) {
        if self.ground.notes_first(task.deed) {
            self.note(Note::Refused(task.n, task.sent));
        }
        let not_before = match hold {
            Hold::Row => now + after,
            Hold::Asked => {
                self.hold = self.hold.max(now + after);
                now + after
            }
            Hold::Backoff => {
                // Those that were in flight together are refused together.
                if self.hold <= now {
                    self.refusals += 1;
                    self.hold = now + backoff(self.ground.http, self.refusals);
                }
                self.hold
            }
        };
        self.waiting.push(Task { attempt: task.attempt + 1, not_before, ..task });
    }

    /// Nobody knows whether it was made: the probe does, if there is one.
    fn lost(&mut self, task: Task, why: &str, now: Instant) {
        let http = self.ground.http;
        if task.deed == Deed::Create && self.can_probe(task.n) && task.attempt < http.retry.attempts {
            let probe = Task::new(task.n, Deed::Probe { made: false }, task.sent, now);
            return self.waiting.push(Task { attempt: task.attempt + 1, ..probe });
        }
        self.fail(task.n, why);
    }

    fn fail(&mut self, n: u64, why: &str) {
        let mut why = self.ground.mask.hide(why);
        let told = self.store.as_ref().and_then(|store| store.secrets.row(n));
        for value in told.into_iter().flat_map(|told| told.values()) {
            why = why.replace(&planc::eval::to_text(value), "•••");
        }
        self.tally.failures.push(format!("row {n}: {why}"));
    }

    /// The failures as one error.
    pub(super) fn failed(&self) -> Option<SeedError> {
        let Tally { made, kept, failures, .. } = &self.tally;
        if failures.is_empty() {
            return None;
        }
        let rows = self.ground.source.rows();
        let message = format!("{} of {rows} accounts are there; {}", made + kept, failures.join("; "));
        Some(
            SeedError::new(ErrorKind::Http, message)
                .help("what was made stays: mend the cause and run it again, and it goes on where it was"),
        )
    }
}

/// How long everything waits after so many refusals in a row that say nothing of it: at first 100 ms, or a sixteenth of
/// the limit's period where that is known, then twice as long each time, at most 10 s or the period.
fn backoff(http: &HttpFixture, refusals: u32) -> Duration {
    let per = http.limit.or(http.pace).map_or(Duration::ZERO, |rate| rate.per.min(Duration::from_secs(60)));
    let first = (per / 16).max(Duration::from_millis(100));
    first.saturating_mul(1 << (refusals - 1).min(10)).min(per.max(Duration::from_secs(10)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use planc::units::Rate;

    #[test]
    fn refusals_without_a_word_are_waited_out() {
        let limit = |limit: Option<Rate>| -> HttpFixture {
            let create = planc::graph::Request {
                method: "POST".into(),
                url: planc::graph::Template::literal("/register"),
                query: Default::default(),
                headers: Default::default(),
                body: None,
                timeout: None,
                redirects: 0,
            };
            HttpFixture {
                columns: Default::default(),
                create,
                created: Vec::new(),
                exists: None,
                pace: None,
                limit,
                concurrency: 1,
                retry: planc::graph::Retry { statuses: vec![429], attempts: 5 },
                capture: Vec::new(),
                probe: None,
                reissue: None,
                export: None,
            }
        };
        let waits = |http: &HttpFixture| (1..=5).map(|n| backoff(http, n).as_millis()).collect::<Vec<_>>();
        assert_eq!(waits(&limit(None)), [100, 200, 400, 800, 1_600]);
        assert_eq!(
            waits(&limit(Some(Rate { count: 5, per: Duration::from_secs(60) }))),
            [3_750, 7_500, 15_000, 30_000, 60_000]
        );
    }
}
