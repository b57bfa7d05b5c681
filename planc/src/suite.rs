//! Suites: several plans with one verdict. What is wrong between them is told here, what is wrong in one of them where that
//! plan is checked.

use crate::ast::Word;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::near::{listed, nearest};
use crate::parse::{self, WrittenPlan, join};
use crate::source::SourceMap;
use crate::{DEFAULT_PROFILE, Files};
use std::collections::BTreeSet;

/// The file that makes a folder a suite.
pub const FILE: &str = "suite.yaml";

/// Plans that are run one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// All plans, each after those that it needs, else in the order of writing.
    pub plans: Vec<SuitePlan>,
    /// The first that does not pass is the last.
    pub fail_fast: bool,
}

/// One plan of a suite and what it is run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuitePlan {
    /// Its name in the suite.
    pub name: String,
    /// Path of the plan, seen from where the suite's own path is seen.
    pub path: String,
    /// The profile.
    pub profile: Option<String>,
    /// Inputs, as `--set` gives them.
    pub set: Vec<(String, String)>,
    /// Plans of the suite that must have passed before.
    pub needs: Vec<String>,
}

/// What reading a suite gave.
#[derive(Debug)]
pub struct ReadSuite {
    /// The text that was read.
    pub sources: SourceMap,
    /// All that is wrong with the suite itself.
    pub diagnostics: Diagnostics,
    /// The suite, unless there is an error.
    pub suite: Option<Suite>,
    /// Its plans as far as they can be read, in any case: what is wrong in them is told too.
    pub plans: Vec<SuitePlan>,
}

/// Whether a file is a suite: it says `suite:` and is no plan.
pub fn is_suite(files: &dyn Files, path: &str) -> bool {
    parse::holds_suite(files, path)
}

/// Whether a text says `plan:` at its top, sound or not.
pub fn is_plan(path: &str, text: &str) -> bool {
    let keys = text.lines().filter(|line| !line.starts_with([' ', '\t', '#', '-']));
    let plan = keys.filter_map(|line| line.split_once(':')).any(|(key, _)| key.trim() == "plan");
    plan && !parse::holds_tests(path)
}

/// Reads a suite and finds out whether its plans are there and take what it gives them.
pub fn read(files: &dyn Files, path: &str) -> ReadSuite {
    let parse::LoadedSuite { sources, mut diagnostics, suite } = parse::load_suite(files, path);
    let mut readable = Vec::new();
    let suite = suite.and_then(|written| {
        unique(&written.plans, &mut diagnostics);
        for plan in &written.plans {
            known_needs(plan, &written.plans, &mut diagnostics);
            if takes(files, &join(path, &plan.path.value), plan, &mut diagnostics) {
                readable.push(given(path, plan));
            }
        }
        let order = order(&written.plans, &mut diagnostics);
        let plans = order.into_iter().map(|at| given(path, &written.plans[at])).collect();
        Some(Suite { name: written.name?.value, plans, fail_fast: written.fail_fast })
    });
    let suite = suite.filter(|_| !diagnostics.has_errors());
    ReadSuite { sources, diagnostics, suite, plans: readable }
}

fn given(suite: &str, plan: &WrittenPlan) -> SuitePlan {
    SuitePlan {
        name: plan.name.value.clone(),
        path: join(suite, &plan.path.value),
        profile: plan.profile.as_ref().map(|profile| profile.value.clone()),
        set: plan.set.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect(),
        needs: plan.needs.iter().map(|need| need.value.clone()).collect(),
    }
}

fn unique(plans: &[WrittenPlan], diagnostics: &mut Diagnostics) {
    let mut known = BTreeSet::new();
    for plan in plans.iter().filter(|plan| !known.insert(plan.name.value.as_str())) {
        let message = format!("another plan of this suite is called `{}`", plan.name.value);
        let first = plans.iter().find(|other| other.name.value == plan.name.value);
        let mut diagnostic = Diagnostic::error(codes::DUPLICATE_NAME, plan.name.span, message)
            .help("give one of them a `name` of its own");
        if let Some(first) = first {
            diagnostic = diagnostic.also(first.name.span, "this one");
        }
        diagnostics.push(diagnostic);
    }
}

fn known_needs(plan: &WrittenPlan, plans: &[WrittenPlan], diagnostics: &mut Diagnostics) {
    let names = || plans.iter().map(|plan| plan.name.value.as_str());
    for need in plan.needs.iter().filter(|need| !names().any(|name| name == need.value)) {
        let message = format!("`{}` is no plan of this suite", need.value);
        let diagnostic = Diagnostic::error(codes::UNKNOWN_REFERENCE, need.span, message);
        diagnostics.push(match nearest(&need.value, names()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")).suggest(need.span, near),
            None => diagnostic.help(format!("its plans are {}", listed(names(), "and"))),
        });
    }
}

/// Whether the plan is there; it must have the profile and the inputs that are named.
fn takes(files: &dyn Files, path: &str, plan: &WrittenPlan, diagnostics: &mut Diagnostics) -> bool {
    if let Err(error) = files.read(path) {
        let message = format!("cannot read `{path}`: {error}");
        diagnostics.push(Diagnostic::error(codes::UNREADABLE_FILE, plan.path.span, message));
        return false;
    }
    // What is wrong in the plan itself is told with the plan.
    let Some(known) = parse::load_plan(files, path).plan else { return true };
    let profiles = || known.profiles.iter().map(|profile| profile.name.value.as_str());
    if let Some(profile) = &plan.profile
        && profile.value != DEFAULT_PROFILE
        && !profiles().any(|name| name == profile.value)
    {
        let message = format!("`{}` has no profile `{}`", plan.path.value, profile.value);
        diagnostics.push(meant(codes::UNKNOWN_PROFILE, profile, message, profiles().collect()));
    }
    let inputs = || known.inputs.iter().map(|input| input.name.value.as_str());
    for (name, _) in plan.set.iter().filter(|(name, _)| !inputs().any(|input| input == name.value)) {
        let message = format!("`{}` has no input `{}`", plan.path.value, name.value);
        diagnostics.push(meant(codes::UNKNOWN_INPUT, name, message, inputs().collect()));
    }
    true
}

fn meant(code: crate::diagnostic::Code, word: &Word, message: String, known: Vec<&str>) -> Diagnostic {
    let diagnostic = Diagnostic::error(code, word.span, message);
    match nearest(&word.value, known.iter().copied()) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")).suggest(word.span, near),
        None if known.is_empty() => diagnostic.help("it has none: leave it out"),
        None => diagnostic.help(format!("it has {}", listed(known, "and"))),
    }
}

/// The plans by number, each after those that it needs. What waits for itself is told, and comes last.
fn order(plans: &[WrittenPlan], diagnostics: &mut Diagnostics) -> Vec<usize> {
    let number = |name: &Word| plans.iter().position(|plan| plan.name.value == name.value);
    let mut order: Vec<usize> = Vec::new();
    loop {
        let ready = (0..plans.len()).find(|at| {
            let needs = || plans[*at].needs.iter().filter_map(number);
            !order.contains(at) && needs().all(|need| order.contains(&need))
        });
        match ready {
            Some(at) => order.push(at),
            None => break,
        }
    }
    let waiting: Vec<usize> = (0..plans.len()).filter(|at| !order.contains(at)).collect();
    let circle = circle(plans, &waiting);
    if let Some(first) = circle.first() {
        let names = listed(circle.iter().map(|at| plans[*at].name.value.as_str()), "and");
        let message = match circle.len() {
            1 => format!("{names} needs itself"),
            _ => format!("{names} need each other"),
        };
        let need =
            plans[*first].needs.iter().find(|need| number(need).is_some_and(|at| circle.contains(&at)));
        let span = need.map_or(plans[*first].name.span, |need| need.span);
        diagnostics.push(Diagnostic::error(codes::CYCLE, span, message));
    }
    order.extend(waiting);
    order
}

/// Those of the waiting plans that wait for each other, not for such as do.
fn circle(plans: &[WrittenPlan], waiting: &[usize]) -> Vec<usize> {
    let Some(start) = waiting.first() else { return Vec::new() };
    let mut path = vec![*start];
    loop {
        let last = &plans[path[path.len() - 1]];
        let next =
            waiting.iter().find(|at| last.needs.iter().any(|need| need.value == plans[**at].name.value));
        // Each that waits, waits for another that does.
        let Some(next) = next else { return path };
        if let Some(at) = path.iter().position(|seen| seen == next) {
            let mut circle = path.split_off(at);
            circle.sort_unstable();
            return circle;
        }
        path.push(*next);
    }
}
