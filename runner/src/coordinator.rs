//! Merging what workers hand over: once a second, into samples that were on time and samples that were not.

use crate::clock::Watch;
use crate::evidence::{HealthRecord, HealthSecond, LoadRecord, ScenarioRecord, Tick, ViewRecord};
use crate::health::Health;
use crate::load::{AbortCheck, Event, LoadEnd, Scraped, SearchCheck, Stream};
use crate::prepare::Program;
use crate::record::{Buckets, Merger, Second};
use crate::rows::coverage;
use crate::shared::Shared;
use crate::stages::{Stages, Standing};
use crate::trace::Slowest;
use crate::worker::{Message, TICK, WorkerTick};
use planc::graph::Demand;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

/// What is asked about the load while it goes on.
pub(crate) struct Asked {
    /// Whether a gate ends it.
    pub(crate) abort: Option<AbortCheck>,
    /// Whether a step of a search holds.
    pub(crate) search: Option<SearchCheck>,
}

/// Merges ticks until all workers are done.
pub(crate) struct Coordinator {
    program: Arc<Program>,
    shared: Arc<Shared>,
    asked: Asked,
    stages: Stages,
    scraped: Option<Receiver<Scraped>>,
    stream: Option<Stream>,
    merger: Merger,
    health: Health,
    seconds: Vec<HealthSecond>,
    watch: Watch,
    waiting: Vec<VecDeque<Box<WorkerTick>>>,
    done: Vec<bool>,
    /// By scenario and worker, hits by draw.
    hits: Vec<Vec<Vec<Vec<u32>>>>,
    record: LoadRecord,
    scenarios: Vec<ScenarioRecord>,
    standing: Vec<u32>,
    /// By scenario, arrivals of the newest second that the target had dropped.
    dropped: Vec<u64>,
    played: Vec<u64>,
    lateness: Buckets,
    loop_delay: Buckets,
    exhausted: BTreeMap<String, u64>,
    slowest: Slowest,
    /// Arrivals exist: a second is late by the lateness of starts.
    open_model: bool,
    /// Others exist: a second is late by the probe's delay.
    closed_model: bool,
}

impl Coordinator {
    /// A coordinator of so many workers.
    pub(crate) fn new(
        program: Arc<Program>,
        shared: Arc<Shared>,
        workers: usize,
        asked: Asked,
        watch: Watch,
    ) -> Self {
        let scenarios = program.scenarios.len();
        let (stages, told) = Stages::new(&program);
        Coordinator {
            open_model: program.scenarios.iter().any(|s| matches!(s.demand, Demand::Arrivals { .. })),
            closed_model: program.scenarios.iter().any(|s| !matches!(s.demand, Demand::Arrivals { .. })),
            played: vec![0; program.steps],
            merger: Merger::new(workers, program.views.clone(), told),
            stages,
            dropped: vec![0; scenarios],
            program,
            shared,
            asked,
            scraped: None,
            stream: None,
            health: Health::new(workers),
            seconds: Vec::new(),
            watch,
            waiting: std::iter::repeat_with(VecDeque::new).take(workers).collect(),
            done: vec![false; workers],
            hits: vec![Vec::new(); scenarios],
            record: LoadRecord::default(),
            scenarios: vec![ScenarioRecord::default(); scenarios],
            standing: vec![0; scenarios],
            lateness: Buckets::default(),
            loop_delay: Buckets::default(),
            exhausted: BTreeMap::new(),
            slowest: Slowest::default(),
        }
    }

    /// The same with what is scraped beside the load.
    pub(crate) fn with_scraped(self, scraped: Option<Receiver<Scraped>>) -> Self {
        Coordinator { scraped, ..self }
    }

    /// The same, with someone who hears of the load while it runs.
    pub(crate) fn streaming(self, stream: Option<Stream>) -> Self {
        Coordinator { stream, ..self }
    }

    /// Listens until all workers are done.
    pub(crate) fn listen(
        mut self,
        from: &Receiver<Message>,
        on_event: &mut dyn FnMut(Event),
    ) -> (LoadRecord, LoadEnd) {
        let name = |program: &Program, index: usize| program.scenarios[index].name.clone();
        while !self.done.iter().all(|done| *done) {
            let Ok(message) = from.recv() else {
                self.shared.lost("a worker");
                break;
            };
            match message {
                Message::Began(index) => {
                    on_event(Event::ScenarioStarted { name: name(&self.program, index) });
                }
                Message::Ended(index) => {
                    on_event(Event::ScenarioEnded { name: name(&self.program, index) });
                }
                Message::Tick(worker, tick) => {
                    self.waiting[worker].push_back(tick);
                    self.merge(on_event);
                }
                Message::Done(worker, hits) => {
                    self.done[worker] = true;
                    for (sums, hits) in self.hits.iter_mut().zip(hits) {
                        sums.push(hits);
                    }
                    self.merge(on_event);
                }
            }
        }
        let end = self.shared.end();
        (self.finish(), end)
    }

    /// Merges every tick that all workers have handed over.
    fn merge(&mut self, on_event: &mut dyn FnMut(Event)) {
        loop {
            let all = self.waiting.iter().zip(&self.done).all(|(ticks, done)| *done || !ticks.is_empty());
            if !all || self.waiting.iter().all(VecDeque::is_empty) {
                return;
            }
            let ticks: Vec<_> = self.waiting.iter_mut().map(VecDeque::pop_front).collect();
            let tick = self.merge_one(ticks);
            let scenarios = self.progress();
            self.record.ticks.push(tick.clone());
            on_event(Event::Tick { tick, scenarios });
            self.advance(on_event);
            let ticks = self.record.ticks.len() as u64;
            let streams =
                self.stream.as_ref().is_some_and(|stream| ticks.is_multiple_of(stream.every.max(1)));
            if self.asked.abort.is_none() && !streams {
                continue;
            }
            let mut so_far = self.record.clone();
            self.fill(&mut so_far);
            if let Some(stream) = self.stream.as_mut().filter(|_| streams) {
                (stream.take)(&so_far);
            }
            if let Some(gate) = self.asked.abort.as_ref().and_then(|abort| abort(&so_far)) {
                self.shared.abort(LoadEnd::AbortedByGate(gate));
            }
        }
    }

    /// Lets stages go on that have settled, and ends scenarios that did not.
    fn advance(&mut self, on_event: &mut dyn FnMut(Event)) {
        if self.stages.is_empty() {
            return;
        }
        let second = self.merger.take_second();
        let Some(tick) = self.record.ticks.last() else { return };
        let (at_us, late) = (tick.at_us, tick.late);
        let standings = self.standings();
        let mut stages = std::mem::take(&mut self.stages);
        stages.push((!late).then_some(second));
        let mut so_far: Option<LoadRecord> = None;
        let mut search = |scenario: &str, number: u32| {
            let record = so_far.get_or_insert_with(|| {
                let mut record = self.record.clone();
                self.fill(&mut record);
                record.stages = Vec::new();
                record
            });
            self.asked.search.as_ref()?(record, scenario, number)
        };
        let (changed, halted) = stages.look(at_us, self.shared.now_us(), &standings, &mut search);
        halted.into_iter().for_each(|scenario| self.shared.halt(scenario));
        changed.into_iter().for_each(|stage| on_event(Event::Stage { stage }));
        self.stages = stages;
    }

    fn standings(&self) -> Vec<Standing> {
        let each = self.scenarios.iter().zip(&self.shared.scenarios).zip(&self.dropped);
        each.map(|((record, state), drops)| Standing {
            began_us: record.began_us,
            ended_us: state.ended_us(),
            drops: *drops,
        })
        .collect()
    }

    fn merge_one(&mut self, mut ticks: Vec<Option<Box<WorkerTick>>>) -> Tick {
        let (mut lateness, mut delay) = (Buckets::default(), Buckets::default());
        for tick in ticks.iter().flatten() {
            lateness.merge(&tick.snapshot.lateness);
            delay.merge(&tick.snapshot.loop_delay);
        }
        let limit = self.program.lateness_limit.as_micros() as u64;
        let late = (self.open_model && lateness.quantile(0.99) > limit)
            || (self.closed_model && delay.quantile(0.99) > limit);
        let mut second = Second::default();
        let mut merged = Tick { late, lateness_p99_us: lateness.quantile(0.99), ..Tick::default() };
        let mut alive = vec![0; self.standing.len()];
        let mut most = vec![0; self.standing.len()];
        let mut health = HealthSecond::default();
        self.dropped.fill(0);
        for (worker, tick) in ticks.iter_mut().enumerate() {
            let Some(tick) = tick else { continue };
            health.connections += u64::from(tick.connections);
            self.merger.add(worker, &mut tick.snapshot, late, &mut second);
            self.slowest.merge(std::mem::take(&mut tick.snapshot.slowest));
            for (sum, count) in self.played.iter_mut().zip(&tick.played) {
                *sum += u64::from(*count);
            }
            for (text, count) in &tick.snapshot.exhausted {
                *self.exhausted.entry(text.clone()).or_default() += count;
            }
            for (index, deltas) in tick.scenarios.iter().enumerate() {
                let record = &mut self.scenarios[index];
                *record.planned.get_or_insert(0) += deltas.planned;
                record.started += deltas.started;
                record.finished += deltas.finished;
                record.failed += deltas.failed;
                record.interrupted += deltas.interrupted;
                record.dropped_by_target += deltas.dropped_by_target;
                self.dropped[index] += deltas.dropped_by_target;
                record.dropped_by_generator += deltas.dropped_by_generator;
                record.censored += deltas.censored;
                record.began_us = record.began_us.or(deltas.began_us);
                record.last_answer_us = record.last_answer_us.max(deltas.last_answer_us);
                if matches!(self.program.scenarios[index].demand, Demand::Arrivals { .. }) {
                    health.intended += deltas.planned;
                    health.achieved += deltas.planned - deltas.dropped_by_generator.min(deltas.planned);
                }
                alive[index] += deltas.vus;
                most[index] += deltas.most_vus;
                merged.started += deltas.started;
                merged.dropped += deltas.dropped_by_target + deltas.dropped_by_generator;
                merged.busy_vus += deltas.busy;
            }
        }
        for (record, most) in self.scenarios.iter_mut().zip(&most) {
            record.vus_max = record.vus_max.max(*most);
        }
        merged.vus = alive.iter().sum();
        self.standing = alive;
        self.lateness.merge(&lateness);
        self.loop_delay.merge(&delay);
        merged.requests = second.requests;
        merged.failed = second.failed;
        merged.p50_us = second.duration.quantile(0.50);
        merged.p95_us = second.duration.quantile(0.95);
        merged.p99_us = second.duration.quantile(0.99);
        self.watch.look();
        let ticks = self.record.ticks.len() as u64 + 1;
        merged.at_us = (ticks * TICK.as_micros() as u64).min(self.shared.now_us());
        let (starts_us, reads_us) = (lateness.spread(), delay.spread());
        let mut health = HealthSecond { at_us: merged.at_us, late, starts_us, reads_us, ..health };
        self.health.look(&mut health);
        merged.cpu_centicores = health.cpu_centicores.unwrap_or(0);
        self.seconds.push(health);
        self.take_scraped();
        self.merger.gauge("vus", i64::from(merged.vus) * 1_000, merged.at_us);
        let vus_max: u32 = self.scenarios.iter().map(|record| record.vus_max).sum();
        self.merger.gauge("vus_max", i64::from(vus_max) * 1_000, merged.at_us);
        merged
    }

    /// Takes in what was scraped since the last second.
    fn take_scraped(&mut self) {
        let Some(from) = &self.scraped else { return };
        for Scraped { metric, at, value } in from.try_iter() {
            let at_us = self.shared.now_us().saturating_sub(at.elapsed().as_micros() as u64);
            if let Ok(milli) = &value {
                self.merger.gauge(&metric, *milli, at_us);
            }
            self.record.scrapes.entry(metric).or_default().add(at_us, value);
        }
    }

    fn progress(&self) -> BTreeMap<String, (u32, u64, Option<u64>)> {
        let each = self.program.scenarios.iter().zip(&self.scenarios).zip(&self.standing);
        each.map(|((program, record), vus)| {
            let planned = record.planned.filter(|_| is_counted(&program.demand));
            (program.name.clone(), (*vus, record.started, planned))
        })
        .collect()
    }

    /// The record so far.
    fn fill(&self, record: &mut LoadRecord) {
        (record.on_time, record.late) = self.merger.populations();
        record.duration_us = self.shared.now_us();
        record.views = self.views();
        record.stages = self.stages.records();
        record.steps_played =
            self.played.iter().enumerate().map(|(step, count)| (step as u32, *count)).collect();
        for (at, (program, scenario)) in self.program.scenarios.iter().zip(&self.scenarios).enumerate() {
            let state = &self.shared.scenarios[at];
            let mut scenario = scenario.clone();
            scenario.planned = is_counted(&program.demand).then(|| scenario.planned.unwrap_or(0));
            scenario.ended_us = state.ended_us();
            scenario.from_stage = (program.course.first > 1).then_some(program.course.first);
            scenario.rows_ran_out = state.rows_ran_out.load(Ordering::Relaxed);
            scenario.stopped_by_step =
                state.stopped_by.lock().expect("no one panics while holding it").clone();
            for (draw, plan) in program.draws.iter().enumerate() {
                let hits: Vec<Vec<u32>> =
                    self.hits[at].iter().filter_map(|worker| worker.get(draw).cloned()).collect();
                let rows = plan.rows.rows();
                scenario.coverage.insert(plan.binding.clone(), coverage(rows, &hits));
            }
            record.scenarios.insert(program.name.clone(), scenario);
        }
        record.health = self.health_record();
        record.exemplars = self.slowest.records(&self.program);
        record.error = self.shared.error();
    }

    fn views(&self) -> Vec<ViewRecord> {
        let names: Vec<&str> = self.program.scenarios.iter().map(|s| s.name.as_str()).collect();
        let mut views = self.merger.views(&names);
        for (record, view) in views.iter_mut().zip(self.program.views.iter()) {
            for (program, scenario) in self.program.scenarios.iter().zip(&self.scenarios) {
                if let (Some(clock), Some(begun)) = (view.clocks.get(&program.name), scenario.began_us) {
                    record.scenarios.insert(program.name.clone(), clock.beginning(begun));
                }
            }
        }
        views
    }

    fn health_record(&self) -> HealthRecord {
        let workers = self.done.len() as u32;
        let seen = self.health.seen();
        HealthRecord {
            lateness: self.lateness.to_trend(),
            loop_delay: self.loop_delay.to_trend(),
            workers,
            cpu_centicores_mean: seen.cpu_mean,
            cpu_centicores_max: seen.cpu_max,
            run_queue_delay_ppm: seen.run_queue_delay_ppm,
            steal_ppm: seen.steal_ppm,
            throttled_us: seen.throttled_us,
            open_files: seen.open_files,
            exhausted: self.exhausted.clone(),
            ports: seen.ports,
            peak_memory: seen.peak_memory,
            seconds: self.seconds.clone(),
            panicked: self.shared.panicked(),
            clock_jump_us: self.watch.jump_us(),
        }
    }

    fn finish(mut self) -> LoadRecord {
        self.take_scraped();
        let mut record = std::mem::take(&mut self.record);
        self.stages.finish(&self.standings(), self.shared.now_us());
        self.fill(&mut record);
        record
    }
}

fn is_counted(demand: &Demand) -> bool {
    !matches!(demand, Demand::Users { .. })
}
