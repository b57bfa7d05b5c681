//! The generator's own health: CPU, waiting for a core, steal, throttling, open files, memory.

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use std::fs;
use std::time::Instant;

/// Samples once a second; keeps what the load as a whole needs.
pub(crate) struct Health {
    begun: Instant,
    last: Instant,
    cpu_at_begin_us: u64,
    cpu_us: u64,
    /// Largest CPU of any second, hundredths of a core.
    pub(crate) cpu_max: u32,
    queued_at_begin_ns: Option<u64>,
    /// At the last look at which all workers were there.
    queued_ns: Option<u64>,
    steal_at_begin: Option<(u64, u64)>,
    throttled_at_begin_us: Option<u64>,
    open_files_max: u64,
}

/// What was seen over the whole load.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Mean CPU, hundredths of a core.
    pub(crate) cpu_mean: u32,
    /// Largest CPU of any second.
    pub(crate) cpu_max: u32,
    /// Share of wall time in which a thread of ours waited for a core, parts per million.
    pub(crate) run_queue_delay_ppm: Option<u64>,
    /// Steal of the machine, parts per million.
    pub(crate) steal_ppm: Option<u64>,
    /// Microseconds for which the cgroup was throttled.
    pub(crate) throttled_us: Option<u64>,
    /// Open files at the highest and their limit.
    pub(crate) open_files: Option<(u64, u64)>,
    /// Peak resident memory in bytes.
    pub(crate) peak_memory: Option<u64>,
}

/// Raises the limit of open files as far as it goes, and tells it.
pub(crate) fn raise_open_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return u64::MAX };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft }
}

impl Health {
    /// Begins to watch.
    pub(crate) fn new() -> Self {
        let (now, cpu) = (Instant::now(), cpu_us());
        Health {
            begun: now,
            last: now,
            cpu_at_begin_us: cpu,
            cpu_us: cpu,
            cpu_max: 0,
            queued_at_begin_ns: queued_ns(),
            queued_ns: None,
            steal_at_begin: steal(),
            throttled_at_begin_us: throttled_us(),
            open_files_max: 0,
        }
    }

    /// Looks; tells the CPU since the last look in hundredths of a core.
    pub(crate) fn look(&mut self) -> u32 {
        let (now, cpu) = (Instant::now(), cpu_us());
        let wall = now.duration_since(self.last).as_micros().max(1) as u64;
        let centicores = ((cpu - self.cpu_us) * 100 / wall) as u32;
        (self.last, self.cpu_us) = (now, cpu);
        self.cpu_max = self.cpu_max.max(centicores);
        // Threads that have ended no longer count: their sum only grows while all are there.
        self.queued_ns = self.queued_ns.max(queued_ns());
        self.open_files_max = self.open_files_max.max(open_files());
        centicores
    }

    /// What was seen.
    pub(crate) fn seen(&self, threads: u64) -> Seen {
        let wall_us = self.begun.elapsed().as_micros().max(1) as u64;
        let share = |part: u64, whole: u64| part.saturating_mul(1_000_000) / whole.max(1);
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
        let queued = self.queued_ns.zip(self.queued_at_begin_ns);
        let steal = steal().zip(self.steal_at_begin);
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        Seen {
            cpu_mean: ((cpu_us() - self.cpu_at_begin_us) * 100 / wall_us) as u32,
            cpu_max: self.cpu_max,
            run_queue_delay_ppm: queued
                .map(|(now, then)| share(now.saturating_sub(then) / 1_000, wall_us * threads.max(1))),
            steal_ppm: steal
                .map(|(now, then)| share(now.0.saturating_sub(then.0), now.1.saturating_sub(then.1))),
            throttled_us: throttled_us()
                .zip(self.throttled_at_begin_us)
                .map(|(now, then)| now.saturating_sub(then)),
            open_files: (self.open_files_max > 0).then_some((self.open_files_max, limit)),
            peak_memory: usage.map(|usage| usage.max_rss() as u64 * 1_024),
        }
    }
}

fn cpu_us() -> u64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
        let (user, system) = (usage.user_time(), usage.system_time());
        (user.tv_sec() + system.tv_sec()) as u64 * 1_000_000 + (user.tv_usec() + system.tv_usec()) as u64
    })
}

/// Nanoseconds that our live threads were runnable but did not run.
fn queued_ns() -> Option<u64> {
    let threads = fs::read_dir("/proc/self/task").ok()?;
    let waited = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    Some(waited.sum())
}

/// Steal and all time of the machine, in ticks.
fn steal() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> =
        text.lines().next()?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    Some((*fields.get(7)?, fields.iter().take(8).sum()))
}

fn throttled_us() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let text = fs::read_to_string(format!("/sys/fs/cgroup{path}/cpu.stat"))
        .or_else(|_| fs::read_to_string("/sys/fs/cgroup/cpu.stat"))
        .ok()?;
    text.lines().find_map(|line| line.strip_prefix("throttled_usec ")?.trim().parse().ok())
}

/// Open files of this process. Since Linux 6.2 the folder's size says it without listing.
fn open_files() -> u64 {
    match fs::metadata("/proc/self/fd") {
        Ok(folder) if folder.len() > 0 => folder.len(),
        _ => fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
    }
}
