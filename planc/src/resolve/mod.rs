//! From [`crate::ast`] to [`crate::resolved`]: names are found, defaults filled in, inputs put in place.

mod baseline;
mod checks;
mod children;
mod conditions;
mod emits;
mod fixtures;
mod gates;
mod generators;
mod holds;
mod index;
mod inputs;
mod metric_refs;
mod metrics;
mod needs;
mod order;
mod over;
mod report;
mod samples;
mod scenarios;
mod scope;
mod scrapes;
mod scripts;
mod services;
mod sql_gates;
mod steps;
mod tokens;
mod triage;
mod unique;
mod websocket;

pub(crate) use emits::{Emitter, TagValue, emitters};
pub(crate) use gates::{default_lateness, resolve as resolve_gates};
pub(crate) use metrics::{Family, built_in, family, is_latency, names as metric_names};
pub(crate) use services::url_host;

use crate::Options;
use crate::ast::{self, InputType, Quantity, Text, Typed};
use crate::codes;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::eval;
use crate::expr::{self, Expr, Parsed};
use crate::graph::{HealthLimits, Json, JsonTemplate, Strains, Template};
use crate::near::nearest;
use crate::parse::unit_diagnostic;
use crate::resolved::{
    Flow, Hang, HealthPlaces, Idle, Input, InputValue, Reference, ResolvedPlan, StepPlace, Used,
};
use crate::source::{Span, Spanned};
use crate::units::PartsPerMillion;
use scope::{Scope, Shape};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The place of what gets its name from what it looks at.
const UNNAMED: &str = "?";

/// Resolves one profile of a plan. What is wrong goes to `diagnostics`; the rest is resolved all the same.
pub(crate) fn resolve(
    plan: &ast::Plan,
    profile: &str,
    options: &Options,
    diagnostics: &mut Diagnostics,
) -> ResolvedPlan {
    needs::check(plan, diagnostics);
    let inputs = inputs::resolve(plan, profile, options, diagnostics);
    let mut resolver = Resolver::new(plan, inputs, diagnostics);
    let seed = resolver.at("seed", |resolver| resolver.typed_or(plan.seed.as_ref(), 1));
    resolver.leave_out();
    let target = resolver.at("target", Resolver::target);
    let database = resolver.at("database", Resolver::database);
    let services = resolver.at("services", Resolver::services);
    let fixtures = resolver.fixtures(seed);
    resolver.unique(seed, &fixtures);
    let tokens = resolver.tokens();
    let endpoints = resolver.endpoints();
    let fixtures = fixtures::fitted(fixtures, &endpoints, &plan.fixtures);
    let guards = resolver.plan_checks(&plan.guards, "guards");
    let preflight = resolver.plan_checks(&plan.preflight, "preflight");
    let metrics = resolver.metrics();
    let scrapes = resolver.scrapes();
    let setup = resolver.at("setup", |resolver| resolver.outer_steps(&plan.setup, "setup"));
    let scenarios = resolver.scenarios();
    let teardown = resolver.at("teardown", |resolver| resolver.outer_steps(&plan.teardown, "teardown"));
    let teardown_commands = resolver.plan_checks(&plan.teardown_commands, "teardown");
    resolver.at = At { place: "health".into(), ..At::default() };
    let achieved = resolver.typed_or(plan.health.achieved.as_ref(), PartsPerMillion(990_000));
    let lateness = plan.health.lateness_p99.as_ref().and_then(|value| resolver.typed(value));
    let strains = resolver.strains();
    let report = resolver.at("report", Resolver::report);
    let Resolver { places, idle, used, origins, inputs, diagnostics, lost, references, .. } = resolver;
    let mut resolved = ResolvedPlan {
        lost,
        seed_only: plan.seed_only,
        name: plan.name.as_ref().map_or(String::new(), |name| name.value.clone()),
        about: plan.about.as_ref().map_or(String::new(), |about| about.value.clone()),
        profile: profile.to_string(),
        seed,
        inputs,
        target,
        database,
        guards,
        services,
        fixtures,
        tokens,
        preflight,
        endpoints,
        metrics,
        scrapes,
        setup,
        teardown,
        teardown_commands,
        scenarios,
        idle,
        places,
        has_thresholds: !plan.thresholds.is_empty() || !plan.sql_gates.is_empty(),
        gates: Vec::new(),
        references,
        sql_gates: Vec::new(),
        triage: Vec::new(),
        health: HealthLimits { lateness_p99: Duration::ZERO, achieved, strains },
        health_places: HealthPlaces {
            lateness_p99: plan.health.lateness_p99.as_ref().map(Typed::span),
            achieved: plan.health.achieved.as_ref().map(Typed::span),
        },
        report,
        when_to_run: plan.when_to_run.clone(),
        history: plan.history,
        used,
        origins,
    };
    gates::resolve(plan, &mut resolved, diagnostics);
    sql_gates::resolve(plan, &mut resolved, diagnostics);
    triage::resolve(plan, &mut resolved, diagnostics);
    resolved.health.lateness_p99 =
        lateness.unwrap_or_else(|| gates::default_lateness(resolved.gates.iter().map(|gate| &gate.gate)));
    resolved
}

/// What is being resolved, for what hangs on inputs.
#[derive(Clone, Default)]
struct At {
    place: String,
    part: String,
    words: Option<String>,
}

/// What resolving needs to know and what it gathers on the way.
struct Resolver<'a> {
    plan: &'a ast::Plan,
    inputs: BTreeMap<String, Input>,
    diagnostics: &'a mut Diagnostics,
    lost: ast::Lost,
    used: Used,
    places: Vec<StepPlace>,
    idle: Vec<(Span, Idle)>,
    origins: BTreeMap<String, Span>,
    /// Numbers that something waits for.
    references: Vec<Reference>,
    /// Columns of each fixture, by the fixture's name in the plan; filled before scenarios are resolved.
    columns: BTreeMap<String, Shape>,
    /// Services that are not started, since their `when` is not so.
    left_out: BTreeSet<String>,
    at: At,
}

impl<'a> Resolver<'a> {
    fn new(plan: &'a ast::Plan, inputs: BTreeMap<String, Input>, diagnostics: &'a mut Diagnostics) -> Self {
        Resolver {
            plan,
            inputs,
            diagnostics,
            lost: plan.lost,
            used: Used::default(),
            places: Vec::new(),
            idle: Vec::new(),
            origins: BTreeMap::new(),
            references: Vec::new(),
            columns: BTreeMap::new(),
            left_out: BTreeSet::new(),
            at: At::default(),
        }
    }

    /// Resolves one place of the plan.
    fn at<R>(&mut self, place: &str, run: impl FnOnce(&mut Self) -> R) -> R {
        let before = std::mem::replace(&mut self.at, At { place: place.to_string(), ..At::default() });
        let done = run(self);
        self.at = before;
        done
    }

    /// Resolves one part of the place that is being resolved.
    fn part<R>(&mut self, part: &str, run: impl FnOnce(&mut Self) -> R) -> R {
        let inner = At { place: self.at.place.clone(), part: part.to_string(), words: None };
        let before = std::mem::replace(&mut self.at, inner);
        let done = run(self);
        self.at = before;
        done
    }

    /// Gives what was resolved at `UNNAMED` its place.
    fn settle(&mut self, place: &str) {
        let unnamed = |hang: &Hang| hang.place == UNNAMED;
        let (found, rest) = std::mem::take(&mut self.used.hangs).into_iter().partition(unnamed);
        self.used.hangs = rest;
        let found: BTreeSet<Hang> = found;
        self.used.hangs.extend(found.into_iter().map(|hang| Hang { place: place.to_string(), ..hang }));
    }

    /// Notes that the place hangs on an input that the plan alone does not decide.
    fn hangs(&mut self, name: &str) {
        let Some(Input { outside: Some(by), kind, .. }) = self.inputs.get(name) else { return };
        // A secret is never in the plan; only what is expected must not hang on it.
        if *kind == Some(InputType::Secret) && !self.at.part.starts_with("expect") {
            return;
        }
        let At { place, part, words } = self.at.clone();
        let words = words.unwrap_or_else(|| format!("{{{{ inputs.{name} }}}}"));
        self.used.hangs.insert(Hang { place, part, by: by.clone(), words });
    }

    fn error(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(code, span, message));
    }

    /// A scope of inputs alone.
    fn inputs_scope(&self) -> Scope {
        if self.plan.lost.block && self.inputs.is_empty() {
            return Scope::default().with("inputs", Shape::Any);
        }
        let fields = self.inputs.keys().map(|name| (name.clone(), Shape::Plain)).collect();
        Scope::default().with("inputs", Shape::Fields(fields))
    }

    /// Inputs and services.
    fn world_scope(&self) -> Scope {
        self.inputs_scope().with("services", services::shapes(self.plan, |_| true))
    }

    /// Checks the names of a template and puts known values in place.
    fn template(&mut self, parsed: &Parsed<Template>, scope: &Scope) -> Template {
        self.check(parsed, scope);
        let folded = fold(&self.inputs, &parsed.value);
        self.speaks_of_left_out(&parsed.uses, |see| folded.paths(see));
        folded
    }

    fn text(&mut self, text: &Text, scope: &Scope) -> Template {
        self.template(&text.parsed, scope)
    }

    fn texts(&mut self, texts: &[(ast::Word, Text)], scope: &Scope) -> BTreeMap<String, Template> {
        texts.iter().map(|(name, text)| (name.value.clone(), self.text(text, scope))).collect()
    }

    fn expr(&mut self, parsed: &Parsed<Expr>, scope: &Scope) -> Expr {
        self.check(parsed, scope);
        let folded = expr::fold_expr(parsed.value.clone(), &|path| closed(&self.inputs, path));
        self.speaks_of_left_out(&parsed.uses, |see| folded.paths(see));
        folded
    }

    fn json(&mut self, parsed: &Parsed<JsonTemplate>, scope: &Scope) -> JsonTemplate {
        self.check(parsed, scope);
        let folded = expr::fold_json(parsed.value.clone(), &|path| closed(&self.inputs, path));
        self.speaks_of_left_out(&parsed.uses, |see| folded.paths(see));
        folded
    }

    /// Checks names, and notes which inputs are used and which captures are read.
    fn check<T>(&mut self, parsed: &Parsed<T>, scope: &Scope) -> bool {
        for name_use in &parsed.uses {
            self.note_read(name_use, scope);
            if let [root, name, ..] = name_use.path.as_slice()
                && root == "inputs"
            {
                let meant = match self.inputs.contains_key(name) {
                    true => Some(name.as_str()),
                    false => nearest(name, self.inputs.keys().map(String::as_str)),
                };
                self.used.inputs.extend(meant.map(str::to_string));
                self.hangs(name);
                if let Some(told_by) = self.inputs.get(name).and_then(|input| input.told_by.clone()) {
                    self.used.told.insert((name_use.span, told_by));
                }
            }
        }
        scope.check(&parsed.uses, self.diagnostics)
    }

    /// Notes that a name is read; one that is misspelt was likely meant.
    fn note_read(&mut self, name_use: &expr::NameUse, scope: &Scope) {
        let Some(root) = name_use.path.first() else { return };
        let known = scope.names.keys().chain(scope.unset.keys());
        self.used.flow.extend(match scope.names.contains_key(root) {
            true => Some(Flow::Read(root.clone())),
            false if scope.unset.contains_key(root) => Some(Flow::Meant(root.clone())),
            false => nearest(root, known.map(String::as_str)).map(|near| Flow::Meant(near.to_string())),
        });
    }

    fn typed_or<T: Quantity>(&mut self, typed: Option<&Typed<T>>, default: T) -> T {
        typed.and_then(|typed| self.typed(typed)).unwrap_or(default)
    }

    fn strains(&mut self) -> Strains {
        let (health, default) = (&self.plan.health, Strains::default());
        Strains {
            cpu: self.typed_or(health.cpu.as_ref(), default.cpu),
            run_queue: self.typed_or(health.run_queue.as_ref(), default.run_queue),
            steal: self.typed_or(health.steal.as_ref(), default.steal),
            throttled: self.typed_or(health.throttled.as_ref(), default.throttled),
            pressure: self.typed_or(health.pressure.as_ref(), default.pressure),
        }
    }

    /// The value of a typed position. `None` when it is wrong, which is reported by then.
    fn typed<T: Quantity>(&mut self, typed: &Typed<T>) -> Option<T> {
        match typed {
            Typed::Given(value) => Some(value.value.clone()),
            Typed::Broken(_) => None,
            Typed::Template(text) => {
                let rendered = self.known_text(text, T::WHAT)?;
                match T::read(&rendered) {
                    Ok(value) => Some(value),
                    Err(error) => {
                        let diagnostic = unit_diagnostic(text.span, &rendered, error, false);
                        let diagnostic = self.with_origin(diagnostic, text);
                        self.diagnostics.push(diagnostic);
                        None
                    }
                }
            }
        }
    }

    /// Renders a template that must be known before the run starts.
    fn known_text(&mut self, text: &Text, what: &str) -> Option<String> {
        let scope = self.inputs_scope();
        let before = self.at.words.replace(crate::parse::show_template(&text.parsed.value));
        let sound = self.check(&text.parsed, &scope);
        self.at.words = before;
        if !sound {
            return None;
        }
        let mut open = None;
        let mut drawn = false;
        for name_use in &text.parsed.uses {
            let Some(name) = name_use.path.get(1) else { continue };
            match self.inputs.get(name).map(|input| &input.value) {
                Some(InputValue::Broken) => return None,
                Some(InputValue::Open { missing, .. }) => {
                    open = Some((name.clone(), name_use.span, *missing))
                }
                _ => {}
            }
        }
        text.parsed.value.calls(&mut |function| drawn |= function != expr::Function::Range);
        if let Some((name, span, missing)) = open {
            self.open_value(&name, span, missing, what);
            return None;
        }
        if drawn {
            self.error(codes::OPEN_VALUE, text.span, format!("{what} must be the same for the whole run"));
            return None;
        }
        match eval::render(&text.parsed.value, &Closed { inputs: &self.inputs }) {
            Ok(rendered) => Some(rendered),
            Err(error) => {
                self.error(codes::BAD_EVALUATION, text.span, format!("this has no value: {}", error.0));
                None
            }
        }
    }

    fn open_value(&mut self, name: &str, span: Span, missing: bool, what: &str) {
        let input = self.inputs.get(name).map(|input| input.span);
        let (code, message, help) = if missing {
            let help = format!("give `{name}` a `default`, or pass `--set {name}=…`");
            (codes::MISSING_INPUT, format!("`{name}` has no value, and {what} is needed here"), help)
        } else {
            let help = "use an input that is neither `late` nor a secret".to_string();
            (
                codes::OPEN_VALUE,
                format!("`{name}` is known only when the run starts, and {what} is needed here"),
                help,
            )
        };
        let mut diagnostic = Diagnostic::error(code, span, message).help(help);
        if let Some(input) = input {
            diagnostic = diagnostic.also(input, "declared here");
        }
        self.diagnostics.push(diagnostic);
    }

    /// Tells where the inputs behind a rendered text got their values.
    fn with_origin(&self, mut diagnostic: Diagnostic, text: &Text) -> Diagnostic {
        for name_use in &text.parsed.uses {
            let Some((name, input)) =
                name_use.path.get(1).and_then(|name| Some((name, self.inputs.get(name)?)))
            else {
                continue;
            };
            if let Some(span) = input.value_span {
                diagnostic = diagnostic.also(span, format!("the value of `{name}`"));
            } else if let Some(told_by) = &input.told_by {
                diagnostic = diagnostic.note(told_by.clone());
            }
        }
        diagnostic
    }

    /// An error for a name that refers to nothing, with the nearest that would; that one counts as used, since it was
    /// likely meant.
    fn unknown<'n>(&mut self, kind: &str, word: &Spanned<String>, known: impl IntoIterator<Item = &'n str>) {
        let known: Vec<&str> = known.into_iter().collect();
        if known.is_empty() && self.plan.lost.block {
            return;
        }
        let diagnostic = Diagnostic::error(
            codes::UNKNOWN_REFERENCE,
            word.span,
            format!("unknown {kind} `{}`", word.value),
        );
        self.diagnostics.push(match nearest(&word.value, known.iter().copied()) {
            Some(near) => {
                let used = match kind {
                    "token" => &mut self.used.tokens,
                    "fixture" => &mut self.used.fixtures,
                    "metric" => &mut self.used.metrics,
                    _ => &mut self.used.endpoints,
                };
                used.insert(near.to_string());
                diagnostic.help(format!("did you mean `{near}`?")).suggest(word.span, near)
            }
            None if known.is_empty() => diagnostic.note(format!("this plan has no {kind}")),
            None => diagnostic.note(format!("known: {}", crate::near::listed(known, "and"))),
        });
    }
}

fn fold(inputs: &BTreeMap<String, Input>, template: &Template) -> Template {
    expr::fold(template.clone(), &|path| closed(inputs, path))
}

/// The value of `inputs.name`, when it may be put into the graph.
fn closed(inputs: &BTreeMap<String, Input>, path: &[String]) -> Option<Json> {
    match path {
        [root, name] if root == "inputs" => match inputs.get(name)? {
            Input { kind: Some(InputType::Secret), .. } => None,
            Input { value: InputValue::Closed(value), .. } => Some(value.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// The inputs that are known, for evaluation at compile time.
struct Closed<'a> {
    inputs: &'a BTreeMap<String, Input>,
}

impl expr::Scope for Closed<'_> {
    fn get(&self, path: &[String]) -> Option<Json> {
        closed(self.inputs, path)
    }

    fn random(&self) -> u64 {
        0
    }

    fn now_micros(&self) -> i64 {
        0
    }
}

/// Orders names so that each comes after those it needs; alphabetical where that leaves a choice. `Err` is a cycle.
fn topological(needs: &BTreeMap<String, Vec<String>>) -> Result<Vec<String>, Vec<String>> {
    let mut out: Vec<String> = Vec::new();
    let mut rest: Vec<&String> = needs.keys().collect();
    while !rest.is_empty() {
        let ready = rest
            .iter()
            .position(|name| needs[*name].iter().all(|need| out.contains(need) || !needs.contains_key(need)));
        match ready {
            Some(at) => out.push(rest.remove(at).clone()),
            None => return Err(cycle(needs, rest[0])),
        }
    }
    Ok(out)
}

/// Follows unmet needs from `start` until a name comes back.
fn cycle(needs: &BTreeMap<String, Vec<String>>, start: &str) -> Vec<String> {
    fn visit(
        needs: &BTreeMap<String, Vec<String>>,
        name: &str,
        path: &mut Vec<String>,
        dead: &mut Vec<String>,
    ) -> bool {
        if let Some(at) = path.iter().position(|known| known == name) {
            path.drain(..at);
            return true;
        }
        if dead.iter().any(|known| known == name) {
            return false;
        }
        path.push(name.to_string());
        for need in needs.get(name).into_iter().flatten() {
            if visit(needs, need, path, dead) {
                return true;
            }
        }
        path.pop();
        dead.push(name.to_string());
        false
    }
    let (mut path, mut dead) = (Vec::new(), Vec::new());
    visit(needs, start, &mut path, &mut dead);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_by_need_and_finds_cycles() {
        let needs = |pairs: &[(&str, &[&str])]| -> BTreeMap<String, Vec<String>> {
            pairs
                .iter()
                .map(|(name, needs)| (name.to_string(), needs.iter().map(|n| n.to_string()).collect()))
                .collect()
        };
        let order = topological(&needs(&[("a", &["c"]), ("b", &[]), ("c", &["elsewhere"])]));
        assert_eq!(order, Ok(vec!["b".into(), "c".into(), "a".into()]));
        let order = topological(&needs(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]));
        assert_eq!(order, Err(vec!["b".into(), "c".into()]));
        assert_eq!(topological(&needs(&[("a", &["a"])])), Err(vec!["a".into()]));
    }
}
