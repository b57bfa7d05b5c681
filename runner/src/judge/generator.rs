//! The generator's own health: what makes a measurement void, why it was so, and what to do about it.

use super::{Case, Cause, CauseKind, Distribution, Unit, cause, show};
use crate::evidence::{HealthSecond, Trend};
use planc::graph::Demand;
use planc::units::{PartsPerMillion, show_duration};
use std::time::Duration;

/// A strain is warned of when it lasts for a tenth of the seconds.
const LASTING: usize = 10;

/// Something that keeps a generator from being on time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strain {
    Throttled,
    RunQueue,
    Steal,
    Cpu,
    Pressure,
}

/// The likeliest cause first: what takes the core away before what only shows that it is wanted.
const STRAINS: [Strain; 5] =
    [Strain::Throttled, Strain::RunQueue, Strain::Steal, Strain::Cpu, Strain::Pressure];

impl Case<'_> {
    /// Why the generator voids the measurement.
    pub(super) fn generator_health(&self) -> Vec<Cause> {
        let mut out = Vec::new();
        let health = &self.load.health;
        let limit = self.graph.health.lateness_p99;
        let closed = self.scenarios().any(|(s, _)| !matches!(s.demand, Demand::Arrivals { .. }));
        for (relevant, trend, what) in [
            (self.is_open(), &health.lateness, "starts were late"),
            (closed, &health.loop_delay, "sockets were read late"),
        ] {
            let Some(p99) = p99(trend) else { continue };
            if relevant && p99 > limit.as_micros() as f64 {
                let text = format!(
                    "generator: {what}: p99 {}, limit {}; {}",
                    show(p99, Unit::Time),
                    show_duration(limit),
                    self.why_late()
                );
                out.push(cause(CauseKind::Generator, text));
            }
        }
        for (what, times) in &health.exhausted {
            let text = format!("generator: {what} ({times} times){}", self.more_of(what));
            out.push(cause(CauseKind::Generator, text));
        }
        out.extend(self.clock_jump());
        out
    }

    /// What the target did while a machine slept is in no sample; rows and tokens are of another time than was meant.
    fn clock_jump(&self) -> Option<Cause> {
        let by = self.load.health.clock_jump_us;
        let way = if by < 0 { "back" } else { "forward" };
        let length = show_duration(Duration::from_millis(by.unsigned_abs() / 1_000));
        let text = format!(
            "generator: the clock jumped {way} by {length} during the load; it was set, or the machine was suspended"
        );
        (by != 0).then(|| cause(CauseKind::Generator, text))
    }

    /// The likeliest cause of lateness and its remedy. None of it is a verdict by itself.
    pub(super) fn why_late(&self) -> String {
        let late: Vec<&HealthSecond> = self.load.health.seconds.iter().filter(|second| second.late).collect();
        let all = self.load.health.seconds.iter().collect();
        let seconds: Vec<&HealthSecond> = if late.is_empty() { all } else { late };
        let mut found: Vec<(Strain, u64)> = STRAINS
            .into_iter()
            .filter_map(|strain| Some((strain, self.mean(strain, &seconds)?)))
            .filter(|(strain, share)| *share > u64::from(self.limit(*strain).0))
            .collect();
        // Who waits for a core and whose core is taken away look alike: the larger share explains more.
        let place = |wanted| found.iter().position(|(strain, _)| *strain == wanted);
        if let (Some(queued), Some(stolen)) = (place(Strain::RunQueue), place(Strain::Steal))
            && found[stolen].1 > found[queued].1
        {
            found.swap(queued, stolen);
        }
        let less = if self.is_open() { "lower the rate" } else { "use fewer virtual users" };
        let Some(((strain, share), others)) = found.split_first() else {
            let cpu = self.mean(Strain::Cpu, &seconds);
            let cpu =
                cpu.map_or(String::new(), |cpu| format!(" (own CPU {} of a core a worker)", percent(cpu)));
            return format!(
                "nothing that the machine tells explains it{cpu}: it was stopped or suspended, most likely; \
                 let it run undisturbed, or {less}"
            );
        };
        let mut text = strain.told(percent(*share));
        for (other, share) in others {
            text.push_str(&format!(", {} {}", other.name(), percent(*share)));
        }
        format!("{text}: {}, or {less}", strain.remedy())
    }

    /// Strains that lasted and, by themselves, do no more than to warn.
    pub(super) fn strains(&self) -> Vec<String> {
        let seconds = &self.load.health.seconds;
        let mut out = Vec::new();
        for strain in STRAINS {
            // A closed loop without think time may use its core.
            if strain == Strain::Cpu && !self.is_open() {
                continue;
            }
            let limit = self.limit(strain);
            let shares = seconds.iter().filter_map(|second| self.share(strain, second));
            let over: Vec<u64> = shares.filter(|share| *share > u64::from(limit.0)).collect();
            if let Some(most) = over.iter().max().filter(|_| over.len() * LASTING >= seconds.len()) {
                let (name, most) = (strain.name(), percent(*most));
                let (count, all) = (over.len(), seconds.len());
                out.push(format!(
                    "generator: {name} over {limit} in {count} of {all} seconds, at most {most}"
                ));
            }
        }
        let health = &self.load.health;
        let connections = health.mean_and_max(|second| Some(second.connections)).map(|(_, max)| max);
        let files = health.open_files;
        for (what, used) in [("open files", files), ("ephemeral ports", connections.zip(health.ports))] {
            if let Some((most, limit)) = used.filter(|(most, limit)| most * 10 > limit * 9) {
                out.push(format!("generator: {most} of {limit} {what} were in use"));
            }
        }
        out
    }

    fn is_open(&self) -> bool {
        self.scenarios().any(|(s, _)| matches!(s.demand, Demand::Arrivals { .. }))
    }

    fn limit(&self, strain: Strain) -> PartsPerMillion {
        let limits = &self.graph.health.strains;
        match strain {
            Strain::Throttled => limits.throttled,
            Strain::RunQueue => limits.run_queue,
            Strain::Steal => limits.steal,
            Strain::Cpu => limits.cpu,
            Strain::Pressure => limits.pressure,
        }
    }

    /// Parts per million of a second.
    fn share(&self, strain: Strain, second: &HealthSecond) -> Option<u64> {
        match strain {
            Strain::Throttled => second.throttled_ppm.map(u64::from),
            Strain::RunQueue => second.run_queue_ppm.map(u64::from),
            Strain::Steal => second.steal_ppm.map(u64::from),
            Strain::Cpu => {
                let workers = u64::from(self.load.health.workers.max(1));
                second.cpu_centicores.map(|centicores| u64::from(centicores) * 10_000 / workers)
            }
            Strain::Pressure => second.pressure_ppm.map(u64::from),
        }
    }

    fn mean(&self, strain: Strain, seconds: &[&HealthSecond]) -> Option<u64> {
        let shares: Vec<u64> = seconds.iter().filter_map(|second| self.share(strain, second)).collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<u64>() / shares.len() as u64)
    }

    /// What to do when something of the generator's ran out.
    fn more_of(&self, what: &str) -> String {
        let health = &self.load.health;
        if what.contains("open files") {
            let limit =
                health.open_files.map_or(String::new(), |(_, limit)| format!(", the limit is {limit}"));
            return format!("{limit}: raise it with `ulimit -n`, or use fewer virtual users");
        }
        if what.contains("ephemeral ports") {
            let range = health.ports.map_or(String::new(), |ports| format!(", the machine has {ports}"));
            return format!(
                "{range}: keep connections (`connections: keep`), widen `net.ipv4.ip_local_port_range`, or lower the rate"
            );
        }
        String::new()
    }
}

impl Strain {
    fn name(self) -> &'static str {
        match self {
            Strain::Throttled => "throttling of its cgroup",
            Strain::RunQueue => "waiting for a core (run queue)",
            Strain::Steal => "steal",
            Strain::Cpu => "own CPU of a core a worker",
            Strain::Pressure => "CPU pressure on the machine",
        }
    }

    fn told(self, share: String) -> String {
        match self {
            Strain::Throttled => format!("its cgroup was throttled {share} of the time"),
            Strain::RunQueue => format!("it waited for a core {share} of the time (run queue)"),
            Strain::Steal => format!("the hypervisor gave {share} of the machine's time to others (steal)"),
            Strain::Cpu => format!("each worker used {share} of a core"),
            Strain::Pressure => format!("tasks of the machine waited for a core {share} of the time (PSI)"),
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Strain::Throttled => "raise the CPU quota of its cgroup",
            Strain::RunQueue | Strain::Pressure => "give the generator cores of its own",
            Strain::Steal => "use a machine whose cores are not shared",
            Strain::Cpu => "give it more cores and workers (`--workers`)",
        }
    }
}

fn percent(ppm: u64) -> String {
    match ppm {
        ppm if ppm < 100_000 => format!("{:.1} %", ppm as f64 / 1e4),
        ppm => format!("{:.0} %", ppm as f64 / 1e4),
    }
}

fn p99(trend: &Trend) -> Option<f64> {
    let mut samples = Distribution::default();
    samples.add(trend);
    samples.percentile(99_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Verdict, judge};
    use crate::testing::{errors, evidence, graph, p95, trend};
    use planc::graph::UserPiece;
    use std::time::Duration;

    /// A run of ten seconds, five of them late and as given, the others as idle as can be.
    fn judged(closed: bool, late: bool, strained: HealthSecond) -> Verdict {
        let mut graph = graph(vec![p95(), errors()]);
        if closed {
            let pieces = vec![UserPiece { target: 5, duration: Duration::from_secs(10), hold: None }];
            graph.scenarios[0].demand =
                Demand::Users { start_vus: 5, pieces, graceful_ramp_down: Duration::ZERO };
        }
        let mut evidence = evidence(&graph);
        let load = evidence.load.as_mut().expect("load");
        if closed {
            load.scenarios.get_mut("s").expect("the scenario").planned = None;
        }
        if late {
            load.health.lateness = trend(38_000, 1_000, 0);
            load.health.loop_delay = trend(38_000, 1_000, 0);
        }
        load.health.workers = 2;
        let idle =
            HealthSecond { cpu_centicores: Some(2), run_queue_ppm: Some(0), ..HealthSecond::default() };
        load.health.seconds = (1..=10)
            .map(|second: u64| HealthSecond {
                at_us: second * 1_000_000,
                late: late && second > 5,
                ..if second > 5 { strained.clone() } else { idle.clone() }
            })
            .collect();
        judge(&graph, &evidence)
    }

    #[test]
    fn the_likeliest_cause_is_told_with_its_remedy() {
        let second = HealthSecond { cpu_centicores: Some(40), ..HealthSecond::default() };
        let table = [
            (
                "waiting for a core",
                HealthSecond { run_queue_ppm: Some(610_000), steal_ppm: Some(120_000), ..second.clone() },
                "p99 38.00ms, limit 10ms; it waited for a core 61 % of the time (run queue), steal 12 %: \
                 give the generator cores of its own, or lower the rate",
            ),
            (
                "steal",
                HealthSecond { run_queue_ppm: Some(110_000), steal_ppm: Some(400_000), ..second.clone() },
                "the hypervisor gave 40 % of the machine's time to others (steal), waiting for a core",
            ),
            (
                "throttled",
                HealthSecond { throttled_ppm: Some(900_000), run_queue_ppm: Some(950_000), ..second.clone() },
                "its cgroup was throttled 90 % of the time, waiting for a core (run queue) 95 %: raise the CPU quota",
            ),
            (
                "own CPU",
                HealthSecond { cpu_centicores: Some(196), pressure_ppm: Some(600_000), ..second.clone() },
                "each worker used 98 % of a core, CPU pressure on the machine 60 %: give it more cores",
            ),
            (
                "pressure",
                HealthSecond { pressure_ppm: Some(600_000), ..second.clone() },
                "tasks of the machine waited for a core 60 % of the time (PSI): give the generator cores",
            ),
            (
                "stopped",
                second.clone(),
                "nothing that the machine tells explains it (own CPU 20 % of a core a worker)",
            ),
        ];
        for (name, strained, text) in table {
            let verdict = judged(false, true, strained);
            assert_eq!(verdict.exit, 111, "{name}: {:?}", verdict.causes);
            assert!(verdict.causes[0].text.contains(text), "{name}: {}", verdict.causes[0].text);
            assert_eq!(verdict.causes[0].kind, CauseKind::Generator);
        }
        let verdict = judged(true, true, HealthSecond { run_queue_ppm: Some(610_000), ..second });
        let text = &verdict.causes[0].text;
        assert!(
            text.contains("sockets were read late") && text.ends_with("or use fewer virtual users"),
            "{text}"
        );
    }

    #[test]
    fn strains_alone_only_warn() {
        let strained = HealthSecond {
            cpu_centicores: Some(196),
            run_queue_ppm: Some(610_000),
            steal_ppm: Some(49_000),
            ..HealthSecond::default()
        };
        let verdict = judged(false, false, strained.clone());
        assert_eq!(verdict.exit, 0, "{:?}", verdict.causes);
        assert_eq!(
            verdict.warnings,
            [
                "generator: waiting for a core (run queue) over 10% in 5 of 10 seconds, at most 61 %",
                "generator: own CPU of a core a worker over 90% in 5 of 10 seconds, at most 98 %",
            ]
        );
        // A closed loop without think time may use its core.
        assert_eq!(judged(true, false, strained).warnings.len(), 1);
        assert_eq!(judged(false, false, HealthSecond::default()).warnings, Vec::<String>::new());
    }

    #[test]
    fn what_ran_out_is_told_with_its_remedy() {
        for (what, text) in [
            ("no more open files for connections", "(3 times), the limit is 1024: raise it with `ulimit -n`"),
            ("no more ephemeral ports for connections", "(3 times), the machine has 28232: keep connections"),
            ("more than 10000 values", "(3 times)"),
        ] {
            let graph = graph(vec![p95(), errors()]);
            let mut evidence = evidence(&graph);
            let health = &mut evidence.load.as_mut().expect("load").health;
            health.exhausted.insert(what.into(), 3);
            (health.open_files, health.ports) = (Some((1_024, 1_024)), Some(28_232));
            let verdict = judge(&graph, &evidence);
            assert_eq!(verdict.exit, 111);
            assert!(verdict.causes[0].text.contains(text), "{}", verdict.causes[0].text);
            assert!(verdict.warnings[0].contains("1024 of 1024 open files"), "{:?}", verdict.warnings);
        }
    }
}
