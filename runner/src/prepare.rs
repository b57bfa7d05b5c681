//! From graph to what workers play: steps as a flat list of operations with jumps, requests as
//! pre-rendered parts with slots. What can go wrong with a plan's texts goes wrong here, before any load.

pub(crate) mod lean;
mod websocket;

pub(crate) use websocket::{CloseOp, PingOp, ReceiveOp, SendOp, SessionOp, Tagged};

use crate::body::{BodyPlan, Ground};
use crate::course::{Course, courses};
use crate::expect::{PreparedExpectation, PreparedPath};
use crate::http::origin::{AllowList, Origin};
use crate::http::tls::Secured;
use crate::load::{LoadError, LoadInput};
use crate::prepare::lean::LeanPlan;
use crate::rows::{DrawPlan, RowSources, draw_key};
use crate::text::{Encode, Names, Text};
use crate::trace::Tracing;
use crate::views::{View, has_stages};
use ::http::header::{CONTENT_TYPE, HeaderName, USER_AGENT};
use ::http::{HeaderMap, HeaderValue, Method};
use planc::expr::{Expr, Segment};
use planc::graph::{
    Capture, CaptureFrom, Connections, Demand, HttpStep, Json, MetricKind, OnFailure, Pause, Protocol,
    Record, Request, Scenario, StatusPattern, Step, StepKind, Template, Tls, walk,
};
use regex::Regex;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// All that workers play, shared by them.
pub(crate) struct Program {
    /// Scenarios in the order asked for.
    pub(crate) scenarios: Vec<ScenarioProgram>,
    /// The target.
    pub(crate) target: Origin,
    /// What the target calls itself; the same but for detours.
    pub(crate) known_as: Origin,
    /// Path under which the target's paths lie, without a slash at its end.
    pub(crate) prefix: String,
    /// Hosts that any request may go to.
    pub(crate) allow: AllowList,
    /// Protocol.
    pub(crate) protocol: Protocol,
    /// TLS.
    pub(crate) tls: Secured,
    /// TLS of WebSockets.
    pub(crate) upgrade_tls: Secured,
    /// SNI in place of the URL's host.
    pub(crate) server_name: Option<String>,
    /// Highest step number plus one.
    pub(crate) steps: usize,
    /// What gates with `window` or `stage` judge.
    pub(crate) views: Arc<Vec<View>>,
    /// An iteration started later than this is the generator's fault.
    pub(crate) lateness_limit: Duration,
}

/// One scenario.
pub(crate) struct ScenarioProgram {
    /// Its name.
    pub(crate) name: String,
    /// Names that its iterations bind.
    pub(crate) names: Names,
    /// Steps once per virtual user.
    pub(crate) setup: Vec<Op>,
    /// One iteration.
    pub(crate) steps: Vec<Op>,
    /// Rows drawn for each iteration.
    pub(crate) draws: Vec<DrawPlan>,
    /// Tags of the scenario's own samples.
    pub(crate) tags: BTreeMap<String, String>,
    /// Shape of the load.
    pub(crate) demand: Demand,
    /// When its stages end.
    pub(crate) course: Arc<Course>,
    /// Start after the load's start (or after `needs` ended).
    pub(crate) start_time: Duration,
    /// Time that iterations get to end by themselves.
    pub(crate) graceful_stop: Duration,
    /// Scenarios that must have ended first, by number.
    pub(crate) needs: Vec<usize>,
    /// When connections are opened.
    pub(crate) connections: Connections,
    /// Pause after a failed iteration.
    pub(crate) pause_on_failure: Option<Duration>,
    /// Key of its random streams.
    pub(crate) key: u64,
    /// Whether its requests carry a `traceparent`.
    pub(crate) trace: Option<Tracing>,
    /// Whether its load goes by stages.
    pub(crate) staged: bool,
}

/// One operation of a flat program.
#[derive(Debug)]
pub(crate) enum Op {
    /// A request.
    Http(Box<HttpOp>),
    /// Think time.
    Pause(u32, Pause),
    /// One of these places, by cumulative weight.
    Choose(ChooseOp),
    /// End of a branch of the choice at `choose`.
    BranchEnd {
        /// Where the choice is.
        choose: usize,
        /// Behind all branches.
        end: usize,
    },
    /// Beginning of `repeat`.
    Repeat(LoopOp),
    /// Beginning of `each`.
    Each(LoopOp),
    /// End of `repeat` and `each`.
    LoopEnd {
        /// First operation of the body.
        body: usize,
    },
    /// Jumps behind the inner steps unless the condition is true.
    When {
        /// Step number.
        step: u32,
        /// Name of the step.
        name: String,
        /// The condition.
        condition: Expr,
        /// Behind the inner steps.
        end: usize,
    },
    /// Beginning of a group.
    Group(GroupOp),
    /// End of a group.
    GroupEnd(GroupOp),
    /// Opens a WebSocket.
    Open(Box<SessionOp>),
    /// End of a session's steps; closes it unless it is closed already.
    SessionEnd,
    /// A message to the server.
    Send(Box<SendOp>),
    /// Waits for a message.
    Receive(Box<ReceiveOp>),
    /// A ping, to be answered.
    Ping(Box<PingOp>),
    /// Closes the session.
    Close(Box<CloseOp>),
}

/// A weighted choice.
#[derive(Debug)]
pub(crate) struct ChooseOp {
    /// Step number.
    pub(crate) step: u32,
    /// Sums of weights up to and including each branch.
    pub(crate) sums: Vec<u64>,
    /// First operation of each branch.
    pub(crate) starts: Vec<usize>,
}

/// A loop's beginning.
#[derive(Debug)]
pub(crate) struct LoopOp {
    /// Step number.
    pub(crate) step: u32,
    /// Name of the step.
    pub(crate) name: String,
    /// Count or list.
    pub(crate) over: Expr,
    /// Number of the name that each turn binds.
    pub(crate) var: Option<usize>,
    /// Behind the loop.
    pub(crate) end: usize,
}

/// A group's beginning or end.
#[derive(Debug)]
pub(crate) struct GroupOp {
    /// Step number.
    pub(crate) step: u32,
    /// Tags of `group_duration`.
    pub(crate) tags: BTreeMap<String, String>,
}

/// A request and all that belongs to it.
#[derive(Debug)]
pub(crate) struct HttpOp {
    /// Step number.
    pub(crate) step: u32,
    /// Name of the step.
    pub(crate) name: String,
    /// Method.
    pub(crate) method: Method,
    /// Where it goes.
    pub(crate) url: UrlPlan,
    /// Headers without slots.
    pub(crate) headers: HeaderMap,
    /// Headers with slots, and whether a secret is in their value.
    pub(crate) slotted: Vec<SlottedHeader>,
    /// Body.
    pub(crate) body: BodyPlan,
    /// Time from being sent to the last byte.
    pub(crate) timeout: Duration,
    /// Redirects followed at most.
    pub(crate) redirects: u32,
    /// Whether the virtual user's jar is read and filled.
    pub(crate) cookies: bool,
    /// What must be seen.
    pub(crate) expect: Vec<PreparedExpectation>,
    /// Values kept.
    pub(crate) captures: Vec<CaptureOp>,
    /// Custom samples.
    pub(crate) records: Vec<RecordOp>,
    /// What a failed expectation does.
    pub(crate) on_failure: OnFailure,
    /// Whether anything reads the body.
    pub(crate) reads_body: bool,
    /// Whether anything reads header fields.
    pub(crate) reads_fields: bool,
    /// The request as bytes, where it can be prepared so.
    pub(crate) lean: Option<LeanPlan>,
    /// Tags without slots.
    pub(crate) tags: BTreeMap<String, String>,
    /// Tags with slots.
    pub(crate) slotted_tags: Vec<(String, Text)>,
}

/// A header with slots, and whether a secret is in its value.
pub(crate) type SlottedHeader = (HeaderName, Text, bool);

/// Where a request goes.
#[derive(Debug)]
pub(crate) enum UrlPlan {
    /// A path of the target, without slots.
    Fixed(::http::Uri),
    /// A path of the target.
    Path(Text),
    /// A path or an absolute URL, known when rendered.
    Any(Text),
}

/// A value kept from a response.
#[derive(Debug)]
pub(crate) struct CaptureOp {
    /// Name in scope.
    pub(crate) name: String,
    /// Its number.
    pub(crate) var: usize,
    /// Where it is found.
    pub(crate) from: CaptureSource,
}

/// Where a captured value is found.
#[derive(Debug)]
pub(crate) enum CaptureSource {
    /// First hit of a path.
    Json(PreparedPath),
    /// Header.
    Header(String),
    /// Cookie.
    Cookie(String),
    /// First group or whole match.
    Regex(Regex),
    /// Whole body.
    Body,
}

/// A custom sample.
#[derive(Debug)]
pub(crate) struct RecordOp {
    /// The metric.
    pub(crate) metric: String,
    /// What it is.
    pub(crate) kind: MetricKind,
    /// Only if; the sample itself for rates.
    pub(crate) when: Option<Expr>,
    /// The value.
    pub(crate) value: Option<Expr>,
    /// Whether the value comes from how long the answer took.
    pub(crate) reads_duration: bool,
}

impl Program {
    /// Prepares the scenarios asked for.
    pub(crate) fn new(input: &LoadInput, rows: &RowSources) -> Result<Program, LoadError> {
        let graph = &input.graph;
        let mut program = Program::empty(input)?;
        let mut wanted: Vec<&Scenario> = Vec::new();
        for name in &input.scenarios {
            let found = graph.scenarios.iter().find(|s| &s.name == name);
            wanted.push(found.ok_or_else(|| LoadError::new(format!("no scenario is named `{name}`")))?);
        }
        let courses = courses(&wanted, &input.from_stage);
        program.views = Arc::new(View::all(graph, &wanted, &courses));
        let values = Arc::new(known_values(input));
        for scenario in &wanted {
            let mut names =
                Names { scenario: scenario.name.clone(), bound: Vec::new(), values: values.clone() };
            let draws = draws(scenario, &mut names, rows, graph.seed)?;
            let mut lowering = Lowering::new(input, names, &scenario.name);
            let setup = lowering.program(&scenario.setup, "::setup")?;
            let steps = lowering.program(&scenario.steps, "")?;
            let tags = lowering.scenario_tags(&scenario.tags)?;
            let needs = scenario.needs.iter().filter_map(|n| wanted.iter().position(|s| &s.name == n));
            program.scenarios.push(ScenarioProgram {
                name: scenario.name.clone(),
                names: lowering.names,
                setup,
                steps,
                draws,
                tags,
                demand: courses[&*scenario.name].demand().clone(),
                course: courses[&*scenario.name].clone(),
                start_time: scenario.start_time,
                graceful_stop: scenario.graceful_stop,
                needs: needs.collect(),
                connections: scenario.connections,
                pause_on_failure: scenario.pause_on_failure,
                key: draw_key(graph.seed, &scenario.name, ""),
                trace: scenario.trace.map(|trace| {
                    Tracing::new(trace, &input.run_id, draw_key(graph.seed, &scenario.name, ""))
                }),
                staged: has_stages(&scenario.demand),
            });
        }
        Ok(program)
    }

    /// Prepares steps that are played once, under a name for people.
    pub(crate) fn once(input: &LoadInput, steps: &[Step], what: &str) -> Result<Program, LoadError> {
        let mut program = Program::empty(input)?;
        let values = Arc::new(known_values(input));
        let names = Names { scenario: what.to_owned(), bound: Vec::new(), values };
        let mut lowering = Lowering::new(input, names, what);
        let steps = lowering.program(steps, &format!("::{what}"))?;
        let demand = Demand::Iterations { vus: 1, iterations: 1, shared: false, max_duration: Duration::MAX };
        program.scenarios.push(ScenarioProgram {
            name: what.to_owned(),
            names: lowering.names,
            setup: Vec::new(),
            steps,
            draws: Vec::new(),
            tags: BTreeMap::new(),
            course: Arc::new(Course::new(&demand, None)),
            demand,
            start_time: Duration::ZERO,
            graceful_stop: Duration::ZERO,
            needs: Vec::new(),
            connections: Connections::Keep,
            pause_on_failure: None,
            key: draw_key(input.graph.seed, what, ""),
            trace: None,
            staged: false,
        });
        Ok(program)
    }

    fn empty(input: &LoadInput) -> Result<Program, LoadError> {
        let graph = &input.graph;
        let target = graph.target.as_ref();
        let (mut origin, path) = Origin::split(&input.base_url).map_err(LoadError::new)?;
        let resolved = origin.resolve();
        // A target that does not resolve is a failure of each request, as any other that cannot be reached.
        drop(resolved);
        let plain = Tls { verify: true, ca: None, client_cert: None, client_key: None, server_name: None };
        let protocol = target.map_or(Protocol::Http1, |t| t.protocol);
        let tls = target.map_or(&plain, |t| &t.tls);
        let server_name = tls.server_name.clone();
        let tls = Secured::new(tls, protocol).map_err(LoadError::new)?;
        Ok(Program {
            scenarios: Vec::new(),
            allow: AllowList::new(target.map_or(&[], |t| &t.allow_hosts), &origin),
            known_as: match &input.known_as {
                Some(url) => Origin::split(url).map_err(LoadError::new)?.0,
                None => origin.clone(),
            },
            target: origin,
            prefix: path.split('?').next().unwrap_or("").trim_end_matches('/').to_owned(),
            protocol,
            upgrade_tls: tls.for_upgrade(protocol),
            tls,
            server_name,
            steps: highest_step(graph) as usize + 1,
            views: Arc::default(),
            lateness_limit: graph.health.lateness_p99,
        })
    }
}

/// What was given, and the inputs that the graph itself has values of.
fn known_values(input: &LoadInput) -> BTreeMap<String, Json> {
    let mut values = input.values.clone();
    for (name, value) in &input.graph.inputs {
        values.entry(format!("inputs.{name}")).or_insert_with(|| value.clone());
    }
    values
}

fn highest_step(graph: &planc::graph::ExecutionGraph) -> u32 {
    let mut highest = 0;
    let mut see = |step: &Step| highest = highest.max(step.id.0);
    walk(&graph.setup, &mut see);
    walk(&graph.teardown, &mut see);
    for scenario in &graph.scenarios {
        walk(&scenario.setup, &mut see);
        walk(&scenario.steps, &mut see);
    }
    highest
}

fn draws(
    scenario: &Scenario,
    names: &mut Names,
    rows: &RowSources,
    seed: u64,
) -> Result<Vec<DrawPlan>, LoadError> {
    let mut plans = Vec::new();
    for draw in &scenario.draw {
        let source = rows.get(&draw.fixture).ok_or_else(|| {
            LoadError::new(format!(
                "scenario `{}` draws from `{}`, which has no rows",
                scenario.name, draw.fixture
            ))
        })?;
        if source.rows() == 0 {
            return Err(LoadError::new(format!("fixture `{}` has no rows to draw", draw.fixture)));
        }
        plans.push(DrawPlan {
            binding: draw.binding.clone(),
            var: names.bind(&draw.binding),
            order: draw.order,
            rows: source.clone(),
            columns: columns_read(scenario, &draw.binding),
            key: draw_key(seed, &scenario.name, &draw.binding),
            cursor: AtomicU64::new(0),
        });
    }
    Ok(plans)
}

/// The columns of a draw that a scenario reads by name; none where it reads the row as a whole.
fn columns_read(scenario: &Scenario, binding: &str) -> Option<Vec<String>> {
    let mut columns = BTreeSet::new();
    let mut whole = false;
    let mut see = |path: &[String]| match path {
        [first] if first == binding => whole = true,
        [first, column, ..] if first == binding => drop(columns.insert(column.clone())),
        _ => {}
    };
    // The graph's own JSON names every path there is, whatever the kind of step.
    for steps in [&scenario.setup, &scenario.steps] {
        let value = serde_json::to_value(steps).expect("the graph has string keys only");
        paths_in(&value, &mut see);
    }
    (!whole).then(|| columns.into_iter().collect())
}

fn paths_in(value: &Json, see: &mut dyn FnMut(&[String])) {
    match value {
        Json::Object(map) => {
            for (key, inner) in map {
                if key == "path"
                    && let Ok(path) = serde_json::from_value::<Vec<String>>(inner.clone())
                {
                    see(&path);
                }
                paths_in(inner, see);
            }
        }
        Json::Array(list) => list.iter().for_each(|inner| paths_in(inner, see)),
        _ => {}
    }
}

struct Lowering<'i> {
    input: &'i LoadInput,
    names: Names,
    scenario: &'i str,
}

impl<'i> Lowering<'i> {
    fn new(input: &'i LoadInput, names: Names, scenario: &'i str) -> Self {
        Lowering { input, names, scenario }
    }

    fn program(&mut self, steps: &[Step], group: &str) -> Result<Vec<Op>, LoadError> {
        // Names first: a capture may be read by a step that stands before it in a loop.
        walk(steps, &mut |step| match &step.kind {
            StepKind::Repeat { binding: Some(name), .. } | StepKind::Each { binding: name, .. } => {
                self.names.bind(name);
            }
            kind => kind.captures().iter().for_each(|capture| _ = self.names.bind(&capture.name)),
        });
        let mut ops = Vec::new();
        self.steps(steps, group, &mut ops)?;
        Ok(ops)
    }

    fn steps(&self, steps: &[Step], group: &str, ops: &mut Vec<Op>) -> Result<(), LoadError> {
        for step in steps {
            let (id, name) = (step.id.0, step.name.clone());
            match &step.kind {
                StepKind::Http(http) => {
                    let op = self.http(step, http, group).map_err(|why| self.unprepared(step, &why))?;
                    ops.push(Op::Http(Box::new(op)));
                }
                StepKind::Pause(pause) => ops.push(Op::Pause(id, pause.clone())),
                StepKind::Choose(branches) => self.choose(id, branches, group, ops)?,
                StepKind::Repeat { count, binding, steps } => {
                    let var = binding.as_ref().and_then(|b| self.var(b));
                    let begin = LoopOp { step: id, name, over: count.clone(), var, end: 0 };
                    self.body(Op::Repeat(begin), steps, group, ops)?;
                }
                StepKind::Each { list, binding, steps } => {
                    let begin = LoopOp { step: id, name, over: list.clone(), var: self.var(binding), end: 0 };
                    self.body(Op::Each(begin), steps, group, ops)?;
                }
                StepKind::When { condition, steps } => {
                    let at = ops.len();
                    ops.push(Op::When { step: id, name, condition: condition.clone(), end: 0 });
                    self.steps(steps, group, ops)?;
                    let behind = ops.len();
                    if let Op::When { end, .. } = &mut ops[at] {
                        *end = behind;
                    }
                }
                StepKind::Group { name, steps } => {
                    ops.push(Op::Group(GroupOp { step: id, tags: self.tags(step, name).0 }));
                    self.steps(steps, name, ops)?;
                    ops.push(Op::GroupEnd(GroupOp { step: id, tags: self.tags(step, name).0 }));
                }
                StepKind::WebSocket(session) => self.session(step, session, group, ops)?,
                StepKind::Send(_) | StepKind::Receive(_) | StepKind::Ping { .. } | StepKind::Close { .. } => {
                    let op = self.in_session(step, group).map_err(|why| self.unprepared(step, &why))?;
                    ops.push(op);
                }
            }
        }
        Ok(())
    }

    fn unprepared(&self, step: &Step, why: &str) -> LoadError {
        LoadError::new(format!("step `{}` of `{}`: {why}", step.name, self.scenario))
    }

    fn var(&self, name: &str) -> Option<usize> {
        self.names.bound.iter().position(|bound| bound == name)
    }

    fn body(&self, begin: Op, steps: &[Step], group: &str, ops: &mut Vec<Op>) -> Result<(), LoadError> {
        let at = ops.len();
        ops.push(begin);
        self.steps(steps, group, ops)?;
        ops.push(Op::LoopEnd { body: at + 1 });
        let behind = ops.len();
        if let Op::Repeat(begin) | Op::Each(begin) = &mut ops[at] {
            begin.end = behind;
        }
        Ok(())
    }

    fn choose(
        &self,
        step: u32,
        branches: &[planc::graph::Branch],
        group: &str,
        ops: &mut Vec<Op>,
    ) -> Result<(), LoadError> {
        let at = ops.len();
        let mut sum = 0;
        let sums = branches.iter().map(|branch| {
            sum += u64::from(branch.weight);
            sum
        });
        ops.push(Op::Choose(ChooseOp { step, sums: sums.collect(), starts: Vec::new() }));
        let mut ends = Vec::new();
        for branch in branches {
            let start = ops.len();
            if let Op::Choose(choose) = &mut ops[at] {
                choose.starts.push(start);
            }
            self.steps(&branch.steps, group, ops)?;
            ends.push(ops.len());
            ops.push(Op::BranchEnd { choose: at, end: 0 });
        }
        let behind = ops.len();
        for at in ends {
            if let Op::BranchEnd { end, .. } = &mut ops[at] {
                *end = behind;
            }
        }
        Ok(())
    }

    fn scenario_tags(
        &self,
        tags: &BTreeMap<String, Template>,
    ) -> Result<BTreeMap<String, String>, LoadError> {
        let mut rendered = BTreeMap::from([("scenario".to_owned(), self.scenario.to_owned())]);
        for (key, template) in tags {
            let text = Text::new(template, Encode::Plain, &self.names);
            // A tag that differs by iteration is on the steps' samples alone.
            if let Some(value) = text.as_literal() {
                rendered.insert(key.clone(), value.to_owned());
            }
        }
        Ok(rendered)
    }

    /// Tags of a step, without and with slots.
    fn tags(&self, step: &Step, group: &str) -> (BTreeMap<String, String>, Vec<(String, Text)>) {
        let mut fixed = BTreeMap::from([
            ("scenario".to_owned(), self.scenario.to_owned()),
            ("name".to_owned(), step.name.clone()),
        ]);
        if !group.is_empty() {
            fixed.insert("group".to_owned(), group.to_owned());
        }
        let mut slotted = Vec::new();
        for (key, template) in &step.tags {
            let text = Text::new(template, Encode::Plain, &self.names);
            match text.as_literal() {
                Some(value) => drop(fixed.insert(key.clone(), value.to_owned())),
                None => slotted.push((key.clone(), text)),
            }
        }
        (fixed, slotted)
    }

    fn http(&self, step: &Step, http: &HttpStep, group: &str) -> Result<HttpOp, String> {
        let request = &http.request;
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|e| e.to_string())?;
        let (mut tags, slotted_tags) = self.tags(step, group);
        let mut default = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                tags.entry(key.to_owned()).or_insert_with(|| value.to_owned());
            }
        };
        default("method", Some(method.as_str()));
        default("endpoint", http.endpoint.as_deref());
        let LoadInput { graph, files, .. } = self.input;
        let ground = Ground { names: &self.names, seed: graph.seed, files };
        let (body, content_type) = BodyPlan::new(request.body.as_ref(), &ground)?;
        let (headers, slotted) = self.headers(http, content_type)?;
        let expect = http.expect.iter().map(PreparedExpectation::new).collect::<Result<Vec<_>, _>>()?;
        let captures = http.capture.iter().map(|c| self.capture(c)).collect::<Result<Vec<_>, _>>()?;
        let records = http.record.iter().map(|r| self.record(r)).collect::<Result<Vec<_>, _>>()?;
        let reads_body = expect.iter().any(PreparedExpectation::reads_body)
            || captures.iter().any(CaptureOp::reads_body)
            || records.iter().any(RecordOp::reads_body);
        let reads_fields = expect.iter().any(PreparedExpectation::reads_fields)
            || captures.iter().any(CaptureOp::reads_fields)
            || records.iter().any(RecordOp::reads_fields);
        let url = self.url(request)?;
        let lean = match graph.target.as_ref().map_or(Protocol::Http1, |target| target.protocol) {
            Protocol::Http1 => {
                let (origin, _) = Origin::split(&self.input.base_url)?;
                LeanPlan::new(&method, &url, &headers, &slotted, &body, &origin.authority)
            }
            Protocol::Http2 => None,
        };
        Ok(HttpOp {
            step: step.id.0,
            name: step.name.clone(),
            method,
            url,
            headers,
            slotted,
            body,
            timeout: request.timeout.or(self.input.graph.target.as_ref().map(|t| t.timeout)).unwrap_or(
                // k6's own, where a graph has no target.
                Duration::from_secs(60),
            ),
            redirects: request.redirects,
            cookies: http.cookies,
            expect,
            captures,
            records,
            on_failure: http.on_failure,
            reads_body,
            reads_fields,
            lean,
            tags,
            slotted_tags,
        })
    }

    fn url(&self, request: &Request) -> Result<UrlPlan, String> {
        let mut text = Text::new(&request.url, Encode::Plain, &self.names);
        let relative = text.beginning().starts_with('/');
        if relative {
            let (_, path) = Origin::split(&self.input.base_url)?;
            let prefix = path.split('?').next().unwrap_or("").trim_end_matches('/').to_owned();
            let mut whole = Text::literal(prefix);
            whole.append(text);
            text = whole;
        }
        let mut joint = if text.has_literal('?') { "&" } else { "?" };
        for (key, value) in &request.query {
            text.push_literal(joint);
            text.push_encoded(&Template::literal(key.clone()), &self.names);
            text.push_literal("=");
            text.push_encoded(value, &self.names);
            joint = "&";
        }
        match text.as_literal() {
            Some(path) if relative => {
                Ok(UrlPlan::Fixed(path.parse().map_err(|e| format!("`{path}` is not a path: {e}"))?))
            }
            _ if relative => Ok(UrlPlan::Path(text)),
            _ => Ok(UrlPlan::Any(text)),
        }
    }

    fn headers(
        &self,
        http: &HttpStep,
        content_type: Option<Cow<'static, str>>,
    ) -> Result<(HeaderMap, Vec<SlottedHeader>), String> {
        let mut fixed = HeaderMap::new();
        let mut slotted = Vec::new();
        fixed.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("planc-runner/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(content_type) = content_type {
            let value = HeaderValue::from_str(&content_type).map_err(|e| e.to_string())?;
            fixed.insert(CONTENT_TYPE, value);
        }
        if let Some(token) = &http.token {
            let value = self.input.token_headers.get(token);
            let value = value.ok_or_else(|| format!("token `{token}` has no value"))?;
            let name = self.input.graph.tokens.get(token).map_or("authorization", |t| t.header.as_str());
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| format!("token `{token}` has characters that no header can carry"))?;
            value.set_sensitive(true);
            fixed.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|e| e.to_string())?, value);
        }
        for (name, template) in &http.request.headers {
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|e| format!("header `{name}`: {e}"))?;
            let text = Text::new(template, Encode::Plain, &self.names);
            let secret = self.reads_secret(template);
            match text.as_literal() {
                Some(value) => {
                    // The value may be a secret: only its name is told.
                    let mut value = HeaderValue::from_str(value)
                        .map_err(|_| format!("header `{name}` has characters that no header can carry"))?;
                    value.set_sensitive(secret);
                    fixed.insert(key, value);
                }
                None => {
                    fixed.remove(&key);
                    slotted.push((key, text, secret));
                }
            }
        }
        Ok((fixed, slotted))
    }

    /// Whether a template reads a secret input.
    fn reads_secret(&self, template: &Template) -> bool {
        let inputs = &self.input.graph.open_inputs;
        let mut reads = false;
        for segment in &template.segments {
            if let Segment::Slot(expr) = segment {
                expr.paths(&mut |path| {
                    reads |= matches!(path, [first, name, ..]
                        if first == "inputs" && inputs.get(name).is_some_and(|open| open.secret));
                });
            }
        }
        reads
    }

    fn capture(&self, capture: &Capture) -> Result<CaptureOp, String> {
        let from = match &capture.from {
            CaptureFrom::Json(path) => CaptureSource::Json(PreparedPath::new(path)?),
            CaptureFrom::Header(name) => CaptureSource::Header(name.clone()),
            CaptureFrom::Cookie(name) => CaptureSource::Cookie(name.clone()),
            CaptureFrom::Regex(pattern) => CaptureSource::Regex(
                Regex::new(pattern).map_err(|e| format!("`{pattern}` is not a regular expression: {e}"))?,
            ),
            CaptureFrom::Body => CaptureSource::Body,
        };
        let var = self.var(&capture.name).expect("all captures were bound before");
        Ok(CaptureOp { name: capture.name.clone(), var, from })
    }

    fn record(&self, record: &Record) -> Result<RecordOp, String> {
        let kind = self.input.graph.metrics.get(&record.metric);
        let kind = *kind.ok_or_else(|| format!("no metric is named `{}`", record.metric))?;
        let mut reads_duration = false;
        if let Some(value) = &record.value {
            value.paths(&mut |path| reads_duration |= path == ["response", "duration"]);
        }
        Ok(RecordOp {
            metric: record.metric.clone(),
            kind,
            when: record.when.clone(),
            value: record.value.clone(),
            reads_duration,
        })
    }
}

impl CaptureOp {
    fn reads_body(&self) -> bool {
        matches!(self.from, CaptureSource::Json(_) | CaptureSource::Regex(_) | CaptureSource::Body)
    }

    fn reads_fields(&self) -> bool {
        matches!(self.from, CaptureSource::Header(_) | CaptureSource::Cookie(_))
    }
}

impl RecordOp {
    fn reads_body(&self) -> bool {
        self.reads(&["json", "body"])
    }

    fn reads_fields(&self) -> bool {
        self.reads(&["headers"])
    }

    /// Whether it looks at one of these parts of the response, or at all of it.
    fn reads(&self, parts: &[&str]) -> bool {
        let mut reads = false;
        for expr in self.when.iter().chain(&self.value) {
            expr.paths(&mut |path| {
                reads |= path.first().is_some_and(|first| first == "response")
                    && path.get(1).is_none_or(|second| parts.contains(&second.as_str()));
            });
        }
        reads
    }
}

impl ScenarioProgram {
    /// The name of a request's step.
    pub(crate) fn step_name(&self, step: u32) -> &str {
        let found = self.setup.iter().chain(&self.steps).find_map(|op| match op {
            Op::Http(op) if op.step == step => Some(op.name.as_str()),
            _ => None,
        });
        found.unwrap_or_default()
    }
}

impl HttpOp {
    /// Whether the plan itself sets this header.
    pub(crate) fn names(&self, header: &HeaderName) -> bool {
        self.headers.contains_key(header) || self.slotted.iter().any(|(name, ..)| name == header)
    }

    /// Whether the value of this header is nobody else's to see.
    pub(crate) fn keeps_secret(&self, header: &HeaderName) -> bool {
        self.headers.get(header).is_some_and(HeaderValue::is_sensitive)
            || self.slotted.iter().any(|(name, _, secret)| name == header && *secret)
    }

    /// The statuses that its expectations ask for.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = &StatusPattern> {
        self.expect.iter().filter_map(PreparedExpectation::statuses).flatten()
    }
}
