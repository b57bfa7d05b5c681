//! Scenarios: their executor's options, what they draw, what they wait for.

use super::scope::{Scope, Shape};
use super::steps::{Around, announce};
use super::{Resolver, topological};
use crate::ast::{self, Asked, SettingValue, Stage, StepKind, Trace};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::executors::{self, Kind, Options, Value};
use crate::graph::{self, Connections, Demand, Draw, DrawOrder, FindMax, Template, Until};
use crate::near::listed;
use crate::resolved::{Flow, Scenario, StagePlace};
use crate::show;
use crate::source::Span;
use crate::units::PartsPerMillion;
use crate::yaml::TOO_LARGE;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time that iterations get to end by themselves, as in k6.
const GRACEFUL_STOP: Duration = Duration::from_secs(30);

/// More virtual users than this fit no machine that runs this program.
const MAX_USERS: u64 = 1_000_000;

impl Resolver<'_> {
    /// All scenarios, sorted by name.
    pub(super) fn scenarios(&mut self) -> Vec<Scenario> {
        let plan = self.plan;
        self.needs_misfits();
        let place = |scenario: &ast::Scenario| format!("scenarios.{}", scenario.name.value);
        plan.scenarios.iter().map(|one| self.at(&place(one), |it| it.scenario(one))).collect()
    }

    fn needs_misfits(&mut self) {
        let plan = self.plan;
        let mut needs = BTreeMap::new();
        for scenario in &plan.scenarios {
            for need in &scenario.needs {
                if !plan.scenarios.iter().any(|other| other.name.value == need.value) {
                    self.unknown(
                        "scenario",
                        need,
                        plan.scenarios.iter().map(|other| other.name.value.as_str()),
                    );
                }
            }
            let names = scenario.needs.iter().map(|need| need.value.clone()).collect::<Vec<_>>();
            needs.insert(scenario.name.value.clone(), names);
        }
        let Err(cycle) = topological(&needs) else { return };
        let Some(first) = plan.scenarios.iter().find(|scenario| cycle.contains(&scenario.name.value)) else {
            return;
        };
        let span = first.needs.first().map_or(first.name.span, |need| need.span);
        let names = listed(cycle.iter().map(String::as_str), "and");
        let message = match cycle.len() {
            1 => format!("{names} waits for itself"),
            _ => format!("{names} wait for each other"),
        };
        self.error(codes::CYCLE, span, message);
    }

    fn scenario(&mut self, scenario: &ast::Scenario) -> Scenario {
        let name = &scenario.name.value;
        self.origins.insert(format!("scenarios.{name}"), scenario.name.span);
        let (demand, sound, find_max) = self.demand(scenario);
        let (draw, draws) = self.draws(scenario);
        let mut scope = self.scenario_scope(scenario, |_| true);
        let mut around = Around::default();
        self.tags(&scenario.tags, &scope, &mut around);
        let tags = around.tags.clone();
        around.tags.insert("scenario".into(), Template::literal(name.clone()));
        // Before its first iteration a virtual user has no row, unless the row is always its own.
        let mut setup_scope = self.scenario_scope(scenario, |order| order == DrawOrder::PerVu);
        self.used.flow.push(Flow::Begin);
        announce(&scenario.setup, &mut setup_scope);
        announce(&scenario.steps, &mut scope);
        let setup = self.steps(&scenario.setup, &mut setup_scope, &around);
        for captured in setup_scope.unset.keys().filter(|name| setup_scope.names.contains_key(*name)) {
            scope.names.insert(captured.clone(), Shape::Any);
            scope.unset.entry(captured.clone()).or_insert(scenario.name.span);
        }
        let steps = self.steps(&scenario.steps, &mut scope, &around);
        let resolved = graph::Scenario {
            name: name.clone(),
            executor: scenario.executor.map_or(String::new(), |executor| executor.value.name.to_string()),
            demand,
            start_time: self.typed_or(scenario.start_time.as_ref(), Duration::ZERO),
            graceful_stop: self.typed_or(scenario.graceful_stop.as_ref(), GRACEFUL_STOP),
            needs: sorted(scenario.needs.iter().map(|need| need.value.clone()).collect()),
            smoke: self.typed_or(scenario.smoke.as_ref(), false),
            draw,
            connections: scenario.connections.map_or(Connections::Keep, |connections| connections.value),
            pause_on_failure: scenario.pause_on_failure.as_ref().and_then(|pause| self.typed(pause)),
            trace: self.trace(scenario),
            setup,
            steps,
            tags,
            find_max,
        };
        if show::beyond_counting(&resolved) {
            let message = format!("`{name}` makes more requests than can be counted");
            let diagnostic = Diagnostic::error(TOO_LARGE, scenario.name.span, message);
            self.diagnostics
                .push(diagnostic.help("lower the rate, the iterations or the counts of its `repeat`"));
        }
        let options = scenario.options.iter().map(|setting| (setting.key.value, setting.key.span)).collect();
        let stages = scenario.options.iter().flat_map(|setting| stage_places(&setting.value)).collect();
        Scenario { span: scenario.name.span, scenario: resolved, sound, options, stages, draws }
    }

    fn scenario_scope(&self, scenario: &ast::Scenario, drawn: impl Fn(DrawOrder) -> bool) -> Scope {
        let mut scope =
            self.world_scope().plain(["run_id", "vu", "iteration", "iteration_global", "scenario"]);
        for draw in &scenario.draw {
            // A binding that hides a name of the language was refused; the name keeps its meaning.
            if scope.names.contains_key(&draw.binding.value) {
                continue;
            }
            if drawn(draw.order.map_or(DrawOrder::RoundRobin, |order| order.value)) {
                let shape = self.columns.get(&draw.fixture.value).cloned().unwrap_or(Shape::Any);
                scope.names.insert(draw.binding.value.clone(), shape);
            }
        }
        scope
    }

    /// The scenario's own word, or the target's.
    fn trace(&mut self, scenario: &ast::Scenario) -> Option<graph::Trace> {
        let plan = self.plan;
        let written = scenario.trace.as_ref();
        let trace = written.or(plan.target.as_ref().and_then(|target| target.trace.as_ref()))?;
        let sample = match trace {
            Trace::Flag(flag) => self.typed(flag)?.then_some(PartsPerMillion(1_000_000))?,
            Trace::Sample(share) => {
                let (sample, span) = (self.typed(share)?, share.span());
                if sample.0 == 0 {
                    self.diagnostics.push(
                        Diagnostic::error(codes::BAD_VALUE, span, "a share of 0 traces nothing")
                            .help("write `trace: false`, or a share such as `1%`"),
                    );
                    return None;
                }
                sample
            }
        };
        for header in own_traceparents(scenario) {
            self.diagnostics.push(
                Diagnostic::error(codes::CONFLICTING_KEYS, header, "`trace` writes this header itself")
                    .help("leave the header out, or say `trace: false` in this scenario"),
            );
        }
        Some(graph::Trace { sample })
    }

    fn draws(&mut self, scenario: &ast::Scenario) -> (Vec<Draw>, BTreeMap<String, Span>) {
        let plan = self.plan;
        let mut out = Vec::new();
        let mut places = BTreeMap::new();
        for draw in &scenario.draw {
            self.check_binding(&draw.binding);
            places.insert(draw.binding.value.clone(), draw.fixture.span);
            if draw.fixture.value.is_empty() {
                continue;
            }
            self.used.fixtures.insert(draw.fixture.value.clone());
            if !plan.fixtures.iter().any(|fixture| fixture.name.value == draw.fixture.value) {
                self.unknown("fixture", &draw.fixture, plan.fixtures.iter().map(|f| f.name.value.as_str()));
                continue;
            }
            if self.declares_nothing(&draw.fixture.value) {
                let message = format!("the script of `{}` declares no rows to draw from", draw.fixture.value);
                self.diagnostics.push(
                    Diagnostic::error(codes::UNKNOWN_REFERENCE, draw.fixture.span, message)
                        .help("say `table`, `identity`, `rows` and `columns` beside its `sql`"),
                );
                continue;
            }
            out.push(Draw {
                binding: draw.binding.value.clone(),
                fixture: draw.fixture.value.clone(),
                order: draw.order.map_or(DrawOrder::RoundRobin, |order| order.value),
            });
        }
        (out, places)
    }

    /// The shape of the load, and whether it can be trusted.
    fn demand(&mut self, scenario: &ast::Scenario) -> (Demand, bool, Option<FindMax>) {
        let mut options = Options::default();
        let mut sound = true;
        let keys = scenario.executor.map_or(&[] as &[_], |executor| executor.value.keys);
        for setting in &scenario.options {
            let kind = keys.iter().find(|key| key.name == setting.key.value).map(|key| key.kind);
            let users = setting.key.value.ends_with("vus");
            match self.part(setting.key.value, |it| it.setting(&setting.value, kind, users)) {
                Some(value) => {
                    options.values.insert(setting.key.value, value);
                }
                None => sound = false,
            }
        }
        let Some(executor) = scenario.executor else {
            let vus = Demand::Iterations {
                vus: 1,
                iterations: 1,
                shared: true,
                max_duration: Duration::from_secs(1),
            };
            return (vus, false, None);
        };
        let required = |key: &&crate::executors::Key| key.need == crate::executors::Need::Required;
        sound &= keys.iter().filter(required).all(|key| options.values.contains_key(key.name));
        let misfits = if sound { (executor.value.check)(&options) } else { Vec::new() };
        let fits = misfits.is_empty();
        for misfit in misfits {
            let written = scenario.options.iter().find(|setting| setting.key.value == misfit.key);
            let span = written.map_or(executor.span, |setting| setting.key.span);
            let diagnostic = Diagnostic::error(codes::BAD_DEMAND, span, misfit.message);
            let diagnostic = match misfit.help {
                Some(help) => diagnostic.help(help),
                None => diagnostic,
            };
            let diagnostic = match written.and_then(|setting| setting.value.template()) {
                Some(text) => self.with_origin(diagnostic, text),
                None => diagnostic,
            };
            self.diagnostics.push(diagnostic);
        }
        let demand = (executor.value.lower)(&options);
        if sound && fits && demand.duration().is_zero() {
            let written = scenario
                .options
                .iter()
                .find(|s| ["duration", "stages", "max_duration"].contains(&s.key.value));
            let span = written.map_or(executor.span, |setting| setting.key.span);
            let diagnostic = Diagnostic::error(codes::BAD_DEMAND, span, "this scenario lasts no time at all");
            let diagnostic = match written.and_then(|setting| setting.value.template()) {
                Some(text) => self.with_origin(diagnostic, text),
                None => diagnostic,
            };
            self.diagnostics.push(diagnostic);
        }
        let is_search = (1..)
            .map_while(|number| demand.piece(number))
            .any(|(_, hold)| hold.is_some_and(|hold| hold.until == Until::GatesHold));
        let at_least = options.values.contains_key("at_least").then(|| options.rate("at_least"));
        (demand, sound, is_search.then_some(FindMax { at_least }))
    }

    fn setting(&mut self, value: &SettingValue, kind: Option<Kind>, users: bool) -> Option<Value> {
        Some(match value {
            SettingValue::Count(count) => {
                let (value, span) = (self.typed(count)?, count.span());
                if value == 0 && kind == Some(Kind::Count) {
                    self.error(codes::BAD_DEMAND, span, "at least 1 is needed here");
                    return None;
                }
                if users {
                    self.bearable_users(value, span)?;
                }
                Value::Count(value)
            }
            SettingValue::Rate(rate) => {
                let (value, span) = (self.typed(rate)?, rate.span());
                self.bearable(value.per_second(), span)?;
                Value::Rate(value)
            }
            SettingValue::Duration(duration) => Value::Duration(self.typed(duration)?),
            SettingValue::UserStages(stages) => {
                let values = self.stages(stages, |users| *users > 0)?;
                for (value, stage) in values.iter().zip(stages) {
                    self.bearable_users(value.target, stage.target.span())?;
                }
                Value::UserStages(values)
            }
            SettingValue::RateStages(stages) => {
                let values = self.stages(stages, |rate| rate.count > 0)?;
                for (value, stage) in values.iter().zip(stages) {
                    self.bearable(value.target.per_second(), stage.target.span())?;
                }
                Value::RateStages(values)
            }
        })
    }

    fn bearable(&mut self, per_second: f64, span: Span) -> Option<()> {
        if per_second > 10_000_000.0 {
            self.error(codes::BAD_DEMAND, span, "no machine starts so many iterations a second");
            return None;
        }
        Some(())
    }

    fn bearable_users(&mut self, users: u64, span: Span) -> Option<()> {
        if users > MAX_USERS {
            self.error(codes::BAD_DEMAND, span, format!("{users} virtual users are more than {MAX_USERS}"));
            return None;
        }
        Some(())
    }

    fn stages<T: ast::Quantity>(
        &mut self,
        stages: &[Stage<T>],
        asks: impl Fn(&T) -> bool,
    ) -> Option<Vec<executors::Stage<T>>> {
        let mut out = Vec::new();
        let mut sound = !stages.is_empty();
        for stage in stages {
            let (target, duration) = (self.typed(&stage.target), self.typed(&stage.duration));
            let asks = target.as_ref().is_none_or(&asks);
            let hold = stage.hold.as_ref().map(|hold| self.hold(hold, asks));
            match (target, duration, hold) {
                (Some(target), Some(duration), None) => {
                    out.push(executors::Stage { target, duration, hold: None });
                }
                (Some(target), Some(duration), Some(Some(hold))) => {
                    out.push(executors::Stage { target, duration, hold: Some(hold) });
                }
                _ => sound = false,
            }
        }
        sound.then_some(out)
    }
}

fn stage_places(value: &SettingValue) -> Vec<StagePlace> {
    fn places<T>(stages: &[Stage<T>]) -> Vec<StagePlace> {
        let place = |stage: &Stage<T>| StagePlace {
            span: stage.target.span(),
            fixed: matches!(stage.duration, ast::Typed::Given(_)),
        };
        stages.iter().map(place).collect()
    }
    match value {
        SettingValue::UserStages(stages) => places(stages),
        SettingValue::RateStages(stages) => places(stages),
        _ => Vec::new(),
    }
}

/// Where steps of a scenario write a `traceparent` themselves.
fn own_traceparents(scenario: &ast::Scenario) -> Vec<Span> {
    fn of_request(http: &ast::HttpStep, out: &mut Vec<Span>) {
        let (Asked::Direct(request) | Asked::Call(_, request)) = &http.asked;
        let own = request.headers.iter().filter(|(name, _)| name.value == "traceparent");
        out.extend(own.map(|(name, _)| name.span));
    }
    fn visit(steps: &[ast::Step], out: &mut Vec<Span>) {
        for step in steps {
            match &step.kind {
                StepKind::Http(http) => of_request(http, out),
                StepKind::WebSocket(session) => {
                    of_request(&session.handshake, out);
                    visit(&session.steps, out);
                }
                StepKind::Choose(branches) => branches.iter().for_each(|branch| visit(&branch.steps, out)),
                StepKind::Repeat { steps, .. }
                | StepKind::Each { steps, .. }
                | StepKind::When { steps, .. }
                | StepKind::Group { steps, .. } => visit(steps, out),
                StepKind::Pause(_)
                | StepKind::Send(_)
                | StepKind::Receive(_)
                | StepKind::Ping { .. }
                | StepKind::Close { .. }
                | StepKind::Broken => {}
            }
        }
    }
    let mut out = Vec::new();
    visit(&scenario.setup, &mut out);
    visit(&scenario.steps, &mut out);
    out
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}
