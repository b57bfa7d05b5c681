//! The generator's own health: CPU, waiting for a core, steal, throttling, pressure, open files, ports, memory.

use crate::evidence::HealthSecond;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use std::fs;
use std::time::{Duration, Instant};

/// Seconds that come in one burst, after a pause of the whole process, share one look at the machine.
const SHORTEST: Duration = Duration::from_millis(200);

/// Looks once a second; keeps what the load as a whole needs.
pub(crate) struct Health {
    workers: u64,
    begun: Instant,
    first: Counters,
    last: (Instant, Counters),
    cpu_max: u32,
    open_files_max: u64,
}

/// What only grows, as the kernel counts it.
#[derive(Debug, Clone, Default)]
struct Counters {
    cpu_us: u64,
    /// Nanoseconds that our threads could run but did not. Threads that have ended no longer count.
    queued_ns: Option<u64>,
    /// Ticks of the machine, and of each of its cores.
    machine: Option<Ticks>,
    cores: Vec<Ticks>,
    throttled_us: Option<u64>,
    /// Microseconds in which any task of the machine waited for a core.
    pressed_us: Option<u64>,
}

/// Time of a core, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    steal: u64,
    all: u64,
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
    /// Ephemeral ports that there are.
    pub(crate) ports: Option<u64>,
    /// Peak resident memory in bytes.
    pub(crate) peak_memory: Option<u64>,
}

/// Raises the limit of open files as far as it goes, and tells it.
pub(crate) fn raise_open_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return u64::MAX };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft }
}

impl Health {
    /// Begins to watch so many worker threads.
    pub(crate) fn new(workers: usize) -> Self {
        let (now, counters) = (Instant::now(), Counters::read());
        Health {
            workers: workers.max(1) as u64,
            begun: now,
            first: counters.clone(),
            last: (now, counters),
            cpu_max: 0,
            open_files_max: 0,
        }
    }

    /// Fills in what the machine tells of the time since the last look.
    pub(crate) fn look(&mut self, second: &mut HealthSecond) {
        second.open_files = open_files();
        second.sockets = tcp_sockets(&fs::read_to_string("/proc/net/sockstat").unwrap_or_default());
        self.open_files_max = self.open_files_max.max(second.open_files);
        let now = Instant::now();
        let wall = now.duration_since(self.last.0);
        if wall < SHORTEST {
            return;
        }
        let counters = Counters::read();
        let wall_us = wall.as_micros() as u64;
        counters.since(&self.last.1, wall_us, self.workers, second);
        self.cpu_max = self.cpu_max.max(second.cpu_centicores.unwrap_or(0));
        self.last = (now, counters);
    }

    /// What was seen.
    pub(crate) fn seen(&self) -> Seen {
        let wall_us = self.begun.elapsed().as_micros().max(1) as u64;
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
        // Of the last look at which all workers were there, as for the threads.
        let last = &self.last.1;
        let mut whole = HealthSecond::default();
        last.since(&self.first, wall_us, self.workers, &mut whole);
        let throttled = last.throttled_us.zip(self.first.throttled_us);
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        Seen {
            cpu_mean: ((cpu_us().saturating_sub(self.first.cpu_us)) * 100 / wall_us) as u32,
            cpu_max: self.cpu_max,
            run_queue_delay_ppm: whole.run_queue_ppm.map(u64::from),
            steal_ppm: whole.steal_ppm.map(u64::from),
            throttled_us: throttled.map(|(now, then)| now.saturating_sub(then)),
            open_files: (self.open_files_max > 0).then_some((self.open_files_max, limit)),
            ports: ports(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default()),
            peak_memory: usage.map(|usage| usage.max_rss() as u64 * 1_024),
        }
    }
}

impl Counters {
    fn read() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let (machine, cores) = ticks(&stat);
        Counters {
            cpu_us: cpu_us(),
            queued_ns: queued_ns(),
            machine,
            cores,
            throttled_us: throttled_us(),
            pressed_us: fs::read_to_string("/proc/pressure/cpu").ok().and_then(|text| pressed_us(&text)),
        }
    }

    fn since(&self, then: &Counters, wall_us: u64, workers: u64, second: &mut HealthSecond) {
        let wall_us = wall_us.max(1);
        let of_wall = |now: Option<u64>, then: Option<u64>, wall: u64| {
            now.zip(then).map(|(now, then)| share(now.saturating_sub(then), wall))
        };
        second.cpu_centicores = Some((self.cpu_us.saturating_sub(then.cpu_us) * 100 / wall_us) as u32);
        let queued_us = |counters: &Counters| counters.queued_ns.map(|ns| ns / 1_000);
        second.run_queue_ppm = of_wall(queued_us(self), queued_us(then), wall_us * workers);
        second.throttled_ppm = of_wall(self.throttled_us, then.throttled_us, wall_us);
        second.pressure_ppm = of_wall(self.pressed_us, then.pressed_us, wall_us);
        second.steal_ppm = self
            .machine
            .zip(then.machine)
            .map(|(now, then)| share(now.steal.saturating_sub(then.steal), now.all.saturating_sub(then.all)));
        let percent = |(now, then): (&Ticks, &Ticks)| {
            share(now.busy.saturating_sub(then.busy), now.all.saturating_sub(then.all)) / 10_000
        };
        second.cores_percent = self.cores.iter().zip(&then.cores).map(percent).collect();
    }
}

/// Parts per million, at most all of it.
fn share(part: u64, whole: u64) -> u32 {
    (u128::from(part) * 1_000_000 / u128::from(whole.max(1))).min(1_000_000) as u32
}

fn cpu_us() -> u64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
        let (user, system) = (usage.user_time(), usage.system_time());
        (user.tv_sec() + system.tv_sec()) as u64 * 1_000_000 + (user.tv_usec() + system.tv_usec()) as u64
    })
}

fn queued_ns() -> Option<u64> {
    let threads = fs::read_dir("/proc/self/task").ok()?;
    let mut known = false;
    let waited = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        let waited = text.split_whitespace().nth(1)?.parse::<u64>().ok();
        known |= waited.is_some();
        waited
    });
    let sum = waited.sum();
    known.then_some(sum)
}

/// The machine and its cores, from `/proc/stat`.
fn ticks(stat: &str) -> (Option<Ticks>, Vec<Ticks>) {
    let (mut machine, mut cores) = (None, Vec::new());
    for line in stat.lines().take_while(|line| line.starts_with("cpu")) {
        let mut words = line.split_whitespace();
        let name = words.next();
        let n: Vec<u64> = words.take(8).filter_map(|n| n.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal
        let [.., idle, iowait, _, _, steal] = n[..] else { continue };
        let all = n.iter().sum();
        let ticks = Ticks { busy: all - idle - iowait, steal, all };
        match name {
            Some("cpu") => machine = Some(ticks),
            _ => cores.push(ticks),
        }
    }
    (machine, cores)
}

fn pressed_us(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some"))?;
    line.rsplit_once("total=")?.1.trim().parse().ok()
}

/// TCP sockets of the machine that hold a port: in use, or waiting to be forgotten.
fn tcp_sockets(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let of = |name: &str| words.iter().skip_while(|word| **word != name).nth(1)?.parse::<u64>().ok();
    Some(of("inuse")? + of("tw").unwrap_or(0))
}

fn ports(text: &str) -> Option<u64> {
    let mut ends = text.split_whitespace().map(|end| end.parse::<u64>().ok());
    let (low, high) = (ends.next()??, ends.next()??);
    (low <= high).then(|| high - low + 1)
}

/// Under cgroup v2, or v1 with its controllers in folders of their own.
fn throttled_us() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let folders: &[&str] = match controllers.split(',').any(|name| name == "cpu") {
            true => &["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"],
            false if controllers.is_empty() => &["/sys/fs/cgroup"],
            false => return None,
        };
        let places = folders.iter().flat_map(|folder| [format!("{folder}{path}"), (*folder).to_owned()]);
        let mut texts = places.filter_map(|place| fs::read_to_string(format!("{place}/cpu.stat")).ok());
        texts.find_map(|text| throttled_in(&text))
    })
}

fn throttled_in(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| match line.split_once(' ')? {
        ("throttled_usec", us) => us.trim().parse().ok(),
        ("throttled_time", ns) => ns.trim().parse::<u64>().ok().map(|ns| ns / 1_000),
        _ => None,
    })
}

/// Open files of this process. Since Linux 6.2 the folder's size says it without listing.
fn open_files() -> u64 {
    match fs::metadata("/proc/self/fd") {
        Ok(folder) if folder.len() > 0 => folder.len(),
        _ => fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let (machine, cores) = ticks("cpu  10 0 10 70 10 0 0 5 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5\n");
        assert_eq!(machine, Some(Ticks { busy: 25, steal: 5, all: 105 }));
        assert_eq!(cores, [Ticks { busy: 6, steal: 1, all: 8 }]);
        assert_eq!(ticks(""), (None, Vec::new()));
        let pressure = "some avg10=91.03 avg60=95.37 avg300=93.46 total=3488\nfull avg10=0.00 total=7\n";
        assert_eq!(pressed_us(pressure), Some(3_488));
        let sockets = "sockets: used 27\nTCP: inuse 5 orphan 0 tw 7 alloc 1 mem 168\nUDP: inuse 9 mem 0\n";
        assert_eq!(tcp_sockets(sockets), Some(12));
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!(ports(""), None);
        assert_eq!(throttled_in("nr_throttled 3\nthrottled_usec 1500\n"), Some(1_500));
        assert_eq!(throttled_in("nr_throttled 3\nthrottled_time 1500000\n"), Some(1_500));
    }

    #[test]
    fn a_second_is_what_was_counted_in_it() {
        let then = Counters {
            cpu_us: 1_000_000,
            queued_ns: Some(0),
            machine: Some(Ticks { busy: 0, steal: 0, all: 0 }),
            cores: vec![Ticks::default(); 2],
            throttled_us: Some(100),
            pressed_us: None,
        };
        let now = Counters {
            cpu_us: 2_500_000,
            queued_ns: Some(1_000_000_000),
            machine: Some(Ticks { busy: 200, steal: 20, all: 400 }),
            cores: vec![Ticks { busy: 150, steal: 0, all: 200 }, Ticks { busy: 50, steal: 20, all: 200 }],
            throttled_us: Some(400_100),
            pressed_us: Some(1),
        };
        let mut second = HealthSecond::default();
        now.since(&then, 2_000_000, 2, &mut second);
        assert_eq!(second.cpu_centicores, Some(75));
        assert_eq!(second.run_queue_ppm, Some(250_000));
        assert_eq!(second.steal_ppm, Some(50_000));
        assert_eq!(second.throttled_ppm, Some(200_000));
        assert_eq!(second.pressure_ppm, None);
        assert_eq!(second.cores_percent, [75, 25]);
    }

    #[test]
    fn seconds_in_a_burst_are_no_looks() {
        let mut health = Health::new(1);
        let mut second = HealthSecond::default();
        health.last.0 = Instant::now();
        health.look(&mut second);
        assert_eq!(second.cpu_centicores, None);
        assert!(second.open_files > 0);
        health.last.0 -= Duration::from_secs(1);
        health.look(&mut second);
        assert!(second.cpu_centicores.is_some());
    }
}
