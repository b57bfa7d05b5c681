//! The plan compiler: one YAML load-test plan in, diagnostics or an [`graph::ExecutionGraph`] out.
//!
//! ```text
//! text ─▶ SourceMap ─▶ yaml::Node ─▶ ast::Plan ─▶ ResolvedPlan ─▶ ExecutionGraph
//!              └────────── Diagnostics ◀── parse, resolve, lints
//! ```
//!
//! What is *not* here is what holds it together: nothing reads a file (texts come in through [`Files`]), a clock, the
//! environment or the network; nothing prints; nothing after `parse` sees YAML; `lower` sees no place in a text and
//! cannot fail; no pass stops at the first mistake.

pub mod diagnostic;
pub mod diff;
pub mod draw;
pub mod eval;
pub mod expr;
pub mod fmt;
pub mod globs;
pub mod graph;
pub mod ide;
pub mod import;
pub mod placeholder;
pub mod relation;
pub mod render;
pub mod rows;
pub mod schema;
pub mod show;
pub mod source;
pub mod sql;
pub mod suite;
pub mod units;
pub mod workflow;
pub mod yaml;

mod allows;
mod ast;
mod codes;
mod coverage;
mod executors;
mod gates;
mod lints;
mod lower;
mod near;
mod parse;
mod resolve;
mod resolved;

pub use allows::{Allowed, Allows};
pub use codes::{
    CASE_VARIANT, COLUMN_MISFIT, CONFLICT_TARGET, FOREIGN_KEY_ORDER, LIVE_MISFIT, RESET_BLOCKED,
};
pub use coverage::{Coverage, StepCoverage};
use diagnostic::{Diagnostic, Diagnostics};
pub use gates::{move_gates, with_gates};
use graph::ExecutionGraph;
pub use parse::{ReadTests, UNIT_TESTS, UnitCase, UnitTests, VERDICTS, unit_tests};
use source::{SourceMap, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Pools of the service that want more connections than its server takes; of a server that already runs `runner` knows.
pub const POOL_EXCEEDS_CONNECTIONS: diagnostic::Code = lints::POOL_EXCEEDS_CONNECTIONS;

/// Whether a metric is one of the engine's own.
pub fn is_built_in_metric(name: &str) -> bool {
    resolve::built_in(name).is_some()
}

/// Where texts come from: plans, fixture files, rows.
pub trait Files {
    /// The text of a file, or why it cannot be had.
    fn read(&self, path: &str) -> Result<String, String>;

    /// Paths of the other YAML files in the folder of a file, sorted: there a fixture that is read alone finds those that it
    /// refers to. None where files lie in no folder.
    fn beside(&self, _path: &str) -> Vec<String> {
        Vec::new()
    }
}

/// What [`Files::beside`] gives where a folder's names are known: the paths of its YAML files, `path` left out, sorted.
pub fn yaml_beside(path: &str, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let (folder, own) = path.rfind('/').map_or(("", path), |at| path.split_at(at + 1));
    let yaml = |name: &String| name != own && (name.ends_with(".yaml") || name.ends_with(".yml"));
    let mut out: Vec<String> = names.into_iter().filter(yaml).map(|name| format!("{folder}{name}")).collect();
    out.sort();
    out
}

/// What the command line says about a plan.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--profile`; without it [`compile`] takes `default`, [`check`] takes every one.
    pub profile: Option<String>,
    /// `--set name=value`, later ones win.
    pub set: Vec<(String, String)>,
    /// The environment. Only variables that an input names are looked at.
    pub env: BTreeMap<String, String>,
    /// An input without a value is an error, secrets and late ones excepted: these are for the run to ask for. Otherwise
    /// it is an error only where its value shapes the graph.
    pub require_inputs: bool,
    /// Against which the `until` of every `allow` is held; without it none has expired.
    pub today: Option<jiff::civil::Date>,
}

/// What compiling gave.
#[derive(Debug, Default)]
pub struct Compilation {
    /// All texts that were read.
    pub sources: SourceMap,
    /// All that is wrong or doubtful, in any order.
    pub diagnostics: Diagnostics,
    /// What was found and the plan allows, sorted by place.
    pub allowed: Vec<Allowed>,
    /// What the plan allows, for findings that come later.
    pub allows: Allows,
    /// Which gates and expectations hold which step, for each set of profiles in which that is the same.
    pub coverage: Vec<Coverage>,
    /// The graph, unless there is an error.
    pub graph: Option<ExecutionGraph>,
    /// Paths into the graph (`fixtures.agents.columns.os`) and where the plan says it, for what only the living world
    /// can tell to be wrong.
    pub origins: BTreeMap<String, Span>,
    /// The profiles that were compiled; the graph is that of the first.
    pub profiles: Vec<String>,
}

/// The profile that is meant when none is named.
const DEFAULT_PROFILE: &str = "default";

/// Compiles one profile of a plan.
pub fn compile(files: &dyn Files, path: &str, options: &Options) -> Compilation {
    let profile = options.profile.clone().unwrap_or_else(|| DEFAULT_PROFILE.to_string());
    finish(parse::load_plan(files, path), &[profile], options, false)
}

/// Compiles every profile of a plan, or the one that is named, and tells which profiles each finding holds in. The graph
/// is that of the named or the default profile. A fixture file is checked as [`compile_fixture`] would, a file of unit
/// tests is read as [`unit_tests`] would, a suite as [`suite::read`] would: its plans are checked by themselves.
pub fn check(files: &dyn Files, path: &str, options: &Options) -> Compilation {
    if parse::holds_tests(path) {
        let ReadTests { sources, diagnostics, .. } = unit_tests(files, path);
        return Compilation { sources, diagnostics, ..Compilation::default() };
    }
    if suite::is_suite(files, path) {
        let suite::ReadSuite { sources, diagnostics, .. } = suite::read(files, path);
        return Compilation { sources, diagnostics, ..Compilation::default() };
    }
    let loaded = parse::load_any(files, path);
    let profiles = wanted_profiles(&loaded, options);
    finish(loaded, &profiles, options, options.profile.is_none())
}

/// Names of the inputs that a plan declares; none where it cannot be read, or is no plan.
pub fn inputs(files: &dyn Files, path: &str) -> Option<BTreeSet<String>> {
    let plan = parse::load_plan(files, path).plan?;
    Some(plan.inputs.iter().map(|input| input.name.value.clone()).collect())
}

/// Compiles a fixture file alone, as a plan of its own name that seeds it and loads nothing. Fixtures of other files in
/// its folder that it refers to come with it.
pub fn compile_fixture(files: &dyn Files, path: &str, options: &Options) -> Compilation {
    finish(parse::load_fixture(files, path), &[DEFAULT_PROFILE.to_string()], options, true)
}

/// Compiles fixture files together, as a plan that seeds them all and loads nothing. They know each other by the names
/// that they give themselves; parents come first, whichever file they stand in. Each name in `options.set` is an input,
/// of type `secret` where `secrets` has it (its value stays out of the graph), else of type `string`.
pub fn compile_fixtures(
    files: &dyn Files,
    paths: &[String],
    secrets: &BTreeSet<String>,
    options: &Options,
) -> Compilation {
    let mut loaded = parse::load_fixtures(files, paths);
    if let Some(plan) = &mut loaded.plan {
        plan.inputs = ast::Input::given(options.set.iter().map(|(name, _)| name), secrets, plan.span);
    }
    finish(loaded, &[DEFAULT_PROFILE.to_string()], options, true)
}

/// Whether a text says `fixture:` at its top and not `plan:`, sound or not.
pub fn is_fixture(text: &str) -> bool {
    let keys = text.lines().filter(|line| !line.starts_with([' ', '\t', '#', '-', '{']));
    let mut keys = keys.filter_map(|line| line.split_once(':')).map(|(key, _)| key.trim());
    keys.find(|key| ["plan", "fixture"].contains(key)) == Some("fixture")
}

/// Compiles as [`check`] does and keeps every profile, for a [`diff`].
pub(crate) fn sides(files: &dyn Files, path: &str, options: &Options) -> diff::Sides {
    let loaded = parse::load_any(files, path);
    let profiles = wanted_profiles(&loaded, options);
    let mut sides = Vec::new();
    let done = each_profile(loaded, &profiles, options, options.profile.is_none(), &mut |resolved| {
        sides.push(diff::Side::of(resolved));
    });
    if done.diagnostics.has_errors() {
        sides.clear();
    }
    diff::Sides { sources: done.sources, diagnostics: done.diagnostics, allows: done.allows, sides }
}

/// The named profile, or every one, `default` first.
fn wanted_profiles(loaded: &parse::Loaded, options: &Options) -> Vec<String> {
    let mut profiles = vec![options.profile.clone().unwrap_or_else(|| DEFAULT_PROFILE.to_string())];
    if options.profile.is_none() {
        let declared =
            loaded.plan.iter().flat_map(|plan| &plan.profiles).map(|profile| profile.name.value.clone());
        profiles.extend(declared.filter(|name| name != DEFAULT_PROFILE));
    }
    profiles
}

/// Resolves, lints and lowers the profiles; the first one's graph is given. `all` says that there are no others.
fn finish(loaded: parse::Loaded, profiles: &[String], options: &Options, all: bool) -> Compilation {
    let mut coverage = Vec::new();
    let mut first = None;
    let mut done = each_profile(loaded, profiles, options, all, &mut |resolved| {
        coverage::add(&resolved, &mut coverage);
        first.get_or_insert(resolved);
    });
    if let [same] = coverage.as_mut_slice() {
        same.profiles.clear();
    }
    done.coverage = coverage;
    done.origins = first.as_ref().map_or(BTreeMap::new(), |resolved| resolved.origins.clone());
    done.graph = first.filter(|_| !done.diagnostics.has_errors()).map(lower::lower);
    done
}

/// Resolves and lints the profiles and hands over each; what was found and what of it is allowed.
fn each_profile(
    loaded: parse::Loaded,
    profiles: &[String],
    options: &Options,
    all: bool,
    take: &mut dyn FnMut(resolved::ResolvedPlan),
) -> Compilation {
    let parse::Loaded { sources, mut diagnostics, allows, plan } = loaded;
    let allows = Allows::new(allows, options.today, &mut diagnostics);
    let Some(plan) = plan else {
        return Compilation { sources, diagnostics, allows, ..Compilation::default() };
    };
    let (profiles, unknown) = known_profiles(&plan, profiles);
    diagnostics.extend(unknown);
    let mut found: Vec<(String, Diagnostics)> = Vec::new();
    for profile in &profiles {
        let mut own = Diagnostics::default();
        let resolved = resolve::resolve(&plan, profile, options, &mut own);
        lints::run(&resolved, &mut own);
        own.explain(&resolved.used.told);
        take(resolved);
        found.push((profile.clone(), own));
    }
    diagnostics.extend(merge_profiles(found));
    diagnostics.drop_echoes();
    let allowed = allows.take(&mut diagnostics);
    // Where something could not be read, what it would have given may be what is allowed.
    if all && !diagnostics.has_errors() {
        diagnostics.extend(allows.unneeded(&allowed));
    }
    Compilation { sources, diagnostics, allowed, allows, profiles, ..Compilation::default() }
}

/// The profiles that can be compiled. `default` need not be declared.
fn known_profiles(plan: &ast::Plan, profiles: &[String]) -> (Vec<String>, Option<Diagnostic>) {
    let declared = || plan.profiles.iter().map(|profile| profile.name.value.as_str());
    let known = |name: &String| name == DEFAULT_PROFILE || declared().any(|declared| declared == name);
    let Some(unknown) = profiles.iter().find(|name| !known(name)) else { return (profiles.to_vec(), None) };
    let span = plan.profiles_span.unwrap_or(plan.span);
    let message = match plan.profiles.is_empty() {
        true => format!("this plan has no profiles, and `--profile {unknown}` asks for one"),
        false => format!("this plan has no profile `{unknown}`"),
    };
    let diagnostic = Diagnostic::error(codes::UNKNOWN_PROFILE, span, message);
    let diagnostic = match near::nearest(unknown, declared()) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None if plan.profiles.is_empty() => diagnostic.help("leave `--profile` out"),
        None => diagnostic.help(format!("it has {}", near::listed(declared(), "and"))),
    };
    (vec![DEFAULT_PROFILE.to_string()], Some(diagnostic))
}

/// One list of what several profiles gave. What does not hold in all of them says in which it does.
pub fn merge_profiles(found: Vec<(String, Diagnostics)>) -> Vec<Diagnostic> {
    let all = found.len();
    let mut out: Vec<Diagnostic> = Vec::new();
    let mut known = BTreeMap::new();
    for (profile, diagnostics) in found {
        for diagnostic in diagnostics.iter() {
            let key = (diagnostic.code, diagnostic.primary.span, diagnostic.message.clone());
            let at = *known.entry(key).or_insert(out.len());
            if at == out.len() {
                out.push(diagnostic.clone());
            }
            out[at].profiles.push(profile.clone());
        }
    }
    for diagnostic in &mut out {
        if diagnostic.profiles.len() == all {
            diagnostic.profiles.clear();
        }
    }
    out
}

/// What `planc explain` says about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// `P0102`.
    pub code: &'static str,
    /// `missing-unit`.
    pub name: &'static str,
    /// Markdown, with a bad and a good example where there can be one.
    pub text: &'static str,
}

/// A page for every code, in order.
pub fn pages() -> Vec<Page> {
    let lints =
        lints::LINTS.iter().map(|lint| Page { code: lint.code.id, name: lint.code.name, text: lint.page });
    let mut pages: Vec<Page> = [yaml::PAGES, expr::PAGES, codes::PAGES, diff::PAGES, codes::LIVE_PAGES]
        .concat()
        .into_iter()
        .chain(lints)
        .collect();
    pages.sort_by_key(|page| page.code);
    pages
}
