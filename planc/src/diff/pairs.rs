//! Which part of the new plan is which part of the old one.

use super::side::Side;
use super::visits::{Visit, visits};
use crate::graph::{Branch, Fixture, Scenario, Step, StepId, StepKind};
use crate::parse::show_template;
use std::collections::{BTreeMap, BTreeSet};

/// The parts of two graphs that belong together.
pub(super) struct Pairs<'a> {
    pub(super) old: &'a Side,
    pub(super) new: &'a Side,
    pub(super) scenarios: Matched<'a, Scenario>,
    pub(super) fixtures: Matched<'a, Fixture>,
    /// Steps outside of scenarios (`setup`, `teardown`) and inside, a list of steps an entry.
    pub(super) lists: Vec<StepLists<'a>>,
    /// The new number of an old step.
    pub(super) steps: BTreeMap<StepId, StepId>,
}

/// Old and new things of one kind.
pub(super) struct Matched<'a, T> {
    pub(super) both: Vec<(&'a T, &'a T)>,
    pub(super) removed: Vec<&'a T>,
    pub(super) added: Vec<&'a T>,
}

/// One list of steps on both sides.
pub(super) struct StepLists<'a> {
    /// `` scenario `storm` ``, for people.
    pub(super) of: String,
    /// The scenario, by its new name.
    pub(super) scenario: Option<&'a str>,
    pub(super) old: &'a [Step],
    pub(super) new: &'a [Step],
    pub(super) steps: Matched<'a, Step>,
}

impl<'a> Pairs<'a> {
    pub(super) fn of(old: &'a Side, new: &'a Side) -> Self {
        let scenarios =
            matched(&old.graph.scenarios, &new.graph.scenarios, |s| s.name.clone(), |s| json(&bare(s)));
        let fixtures =
            matched(&old.graph.fixtures, &new.graph.fixtures, |f| f.name.clone(), |f| f.fixture.clone());
        let mut lists = vec![
            list("set-up", None, &old.graph.setup, &new.graph.setup),
            list("teardown", None, &old.graph.teardown, &new.graph.teardown),
        ];
        for (o, n) in &scenarios.both {
            let of = format!("scenario {}", super::change::quoted(&n.name));
            lists.push(list(&format!("set-up of {of}"), None, &o.setup, &n.setup));
            lists.push(list(&of, Some(&n.name), &o.steps, &n.steps));
        }
        let steps = lists.iter().flat_map(|list| &list.steps.both).map(|(o, n)| (o.id, n.id)).collect();
        Pairs { old, new, scenarios, fixtures, lists, steps }
    }

    /// The new name of an old scenario, when it is another.
    pub(super) fn renamed(&self, name: &str) -> Option<&'a str> {
        let pair = self.scenarios.both.iter().find(|(old, _)| old.name == name)?;
        (pair.0.name != pair.1.name).then_some(pair.1.name.as_str())
    }

    /// Old steps that the new plan does not have.
    pub(super) fn gone(&self) -> BTreeSet<StepId> {
        let removed = self.scenarios.removed.iter().flat_map(|s| [&s.setup, &s.steps]);
        let inner = removed.flat_map(|steps| visits(steps)).map(|visit| visit.step.id);
        inner.chain(self.lists.iter().flat_map(|list| &list.steps.removed).map(|step| step.id)).collect()
    }
}

/// Pairs by name, then by a likeness that only one of the rest has on each side.
fn matched<'a, T>(
    old: &'a [T],
    new: &'a [T],
    name: impl Fn(&T) -> String,
    likeness: impl Fn(&T) -> String,
) -> Matched<'a, T> {
    let names: BTreeMap<String, &T> = new.iter().map(|item| (name(item), item)).collect();
    let before: BTreeSet<String> = old.iter().map(&name).collect();
    let mut out = Matched { both: Vec::new(), removed: Vec::new(), added: Vec::new() };
    for item in old {
        match names.get(&name(item)) {
            Some(same) => out.both.push((item, *same)),
            None => out.removed.push(item),
        }
    }
    out.added.extend(new.iter().filter(|item| !before.contains(&name(item))));
    let likes = |items: &[&'a T]| -> Vec<String> { items.iter().map(|item| likeness(item)).collect() };
    let (gone, come) = (likes(&out.removed), likes(&out.added));
    let single = |like: &String| {
        let one = |all: &[String]| all.iter().filter(|other| *other == like).count() == 1;
        one(&gone) && one(&come)
    };
    let mut renamed = Vec::new();
    for (at, like) in gone.iter().enumerate().filter(|(_, like)| single(like)) {
        if let Some(to) = come.iter().position(|other| other == like) {
            renamed.push((at, to));
        }
    }
    out.both.extend(renamed.iter().map(|(at, to)| (out.removed[*at], out.added[*to])));
    let keep = |items: &[&'a T], taken: &dyn Fn(usize) -> bool| -> Vec<&'a T> {
        items.iter().enumerate().filter(|(at, _)| !taken(*at)).map(|(_, item)| *item).collect()
    };
    out.removed = keep(&out.removed, &|at| renamed.iter().any(|pair| pair.0 == at));
    out.added = keep(&out.added, &|at| renamed.iter().any(|pair| pair.1 == at));
    out
}

fn list<'a>(of: &str, scenario: Option<&'a str>, old: &'a [Step], new: &'a [Step]) -> StepLists<'a> {
    StepLists { of: of.to_string(), scenario, old, new, steps: steps(&visits(old), &visits(new)) }
}

/// What two steps must have in common to be one.
type Likeness<'a> = &'a dyn Fn(&Step) -> Option<String>;

/// Requests and groups of two lists, the most alike first.
fn steps<'a>(old: &[Visit<'a>], new: &[Visit<'a>]) -> Matched<'a, Step> {
    let mut pairs: BTreeMap<usize, usize> = BTreeMap::new();
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    let keys: [Likeness; 4] = [
        &|step| Some(json(&bare_step(step))),
        &|step| Some(format!("{} {}", step.name, place(step)?)),
        &|step| place(step),
        &|step| Some(step.name.clone()),
    ];
    for key in keys {
        let mut waiting: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for at in (0..new.len()).rev().filter(|at| !taken.contains(at)) {
            if let Some(key) = key(new[at].step) {
                waiting.entry(key).or_default().push(at);
            }
        }
        for (at, visit) in old.iter().enumerate() {
            if pairs.contains_key(&at) {
                continue;
            }
            let to = key(visit.step).and_then(|key| waiting.get_mut(&key)?.pop());
            if let Some(to) = to {
                pairs.insert(at, to);
                taken.insert(to);
            }
        }
    }
    let rest = |visits: &[Visit<'a>], taken: &dyn Fn(usize) -> bool| -> Vec<&'a Step> {
        visits.iter().enumerate().filter(|(at, _)| !taken(*at)).map(|(_, visit)| visit.step).collect()
    };
    Matched {
        both: pairs.iter().map(|(at, to)| (old[*at].step, new[*to].step)).collect(),
        removed: rest(old, &|at| pairs.contains_key(&at)),
        added: rest(new, &|at| taken.contains(&at)),
    }
}

/// What a step talks to: its endpoint, or method and path.
pub(super) fn place(step: &Step) -> Option<String> {
    match &step.kind {
        StepKind::Http(http) => {
            let address = format!("{} {}", http.request.method, show_template(&http.request.url));
            Some(http.endpoint.as_ref().map_or(address, |endpoint| format!("call {endpoint}")))
        }
        StepKind::Group { name, .. } => Some(format!("group {name}")),
        StepKind::WebSocket(session) => {
            Some(format!("websocket {}", show_template(&session.handshake.request.url)))
        }
        // Their names say what they wait for: in order, where that is another now.
        StepKind::Receive(_) => Some(format!("receive {}", session(step))),
        StepKind::Send(_) => Some(format!("send {}", session(step))),
        StepKind::Ping { .. } => Some(format!("ping {}", session(step))),
        _ => None,
    }
}

fn session(step: &Step) -> &str {
    step.tags.get("url").and_then(|url| url.as_literal()).unwrap_or("")
}

/// A scenario without what a new name or another place in the plan changes.
fn bare(scenario: &Scenario) -> Scenario {
    let mut bare = scenario.clone();
    bare.name.clear();
    bare.needs.clear();
    bare.tags.remove("scenario");
    bare.setup = bare_steps(&scenario.setup);
    bare.steps = bare_steps(&scenario.steps);
    bare
}

/// Steps without their numbers and without the tags that repeat their names and their scenario's.
pub(super) fn bare_steps(steps: &[Step]) -> Vec<Step> {
    steps
        .iter()
        .map(|step| {
            let mut bare = Step { id: StepId(0), ..step.clone() };
            bare.tags.remove("scenario");
            if bare.tags.get("name").is_some_and(|tag| tag.as_literal() == Some(&step.name)) {
                bare.tags.remove("name");
            }
            match &mut bare.kind {
                StepKind::Choose(branches) => {
                    for branch in branches.iter_mut() {
                        *branch = Branch { weight: branch.weight, steps: bare_steps(&branch.steps) };
                    }
                }
                StepKind::Repeat { steps, .. }
                | StepKind::Each { steps, .. }
                | StepKind::When { steps, .. }
                | StepKind::Group { steps, .. } => *steps = bare_steps(steps),
                StepKind::WebSocket(session) => session.steps = bare_steps(&session.steps),
                StepKind::Http(_)
                | StepKind::Pause(_)
                | StepKind::Send(_)
                | StepKind::Receive(_)
                | StepKind::Ping { .. }
                | StepKind::Close { .. } => {}
            }
            bare
        })
        .collect()
}

/// Steps without their pauses.
pub(super) fn restless(mut steps: Vec<Step>) -> Vec<Step> {
    steps.retain(|step| !matches!(step.kind, StepKind::Pause(_)));
    for step in &mut steps {
        match &mut step.kind {
            StepKind::Choose(branches) => {
                branches.iter_mut().for_each(|b| b.steps = restless(std::mem::take(&mut b.steps)));
            }
            StepKind::Repeat { steps, .. }
            | StepKind::Each { steps, .. }
            | StepKind::When { steps, .. }
            | StepKind::Group { steps, .. } => *steps = restless(std::mem::take(steps)),
            StepKind::WebSocket(session) => session.steps = restless(std::mem::take(&mut session.steps)),
            StepKind::Http(_)
            | StepKind::Pause(_)
            | StepKind::Send(_)
            | StepKind::Receive(_)
            | StepKind::Ping { .. }
            | StepKind::Close { .. } => {}
        }
    }
    steps
}

fn bare_step(step: &Step) -> Step {
    let mut bare = bare_steps(std::slice::from_ref(step)).remove(0);
    match &mut bare.kind {
        StepKind::Group { steps, .. } => steps.clear(),
        StepKind::WebSocket(session) => session.steps.clear(),
        _ => {}
    }
    bare
}

/// Canonical text, to compare by.
pub(super) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).map(|value| value.to_string()).unwrap_or_default()
}
