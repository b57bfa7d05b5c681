//! `planc`: arguments, files, printing, exit code. Everything else is the library's.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // The world comes in here, and only here.

mod arguments;
mod files;
mod folder;
mod git;
mod lsp;

use arguments::{
    Check, Cli, Command, Compile, Deny, Diff, Explain, Fmt, Graph, Import, ImportOf, SchemaOf, Workflow,
};
use clap::{CommandFactory, Parser};
use files::{Disk, Regular, readable, write};
use planc::diff::{self, Revision};
use planc::fmt::Refusal;
use planc::graph::ExecutionGraph;
use planc::render::{self, Findings, View};
use planc::units::PartsPerMillion;
use planc::{Files, Options, Page, show};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

/// What ends the program before its work is done: a message, exit code 2.
struct Unusable(String);

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Check(args) => check(&args),
        Command::Graph(args) => graph(&args),
        Command::Compile(args) => compile(&args),
        Command::Diff(args) => diff(&args),
        Command::Fmt(args) => fmt(&args),
        Command::Import(args) => import(&args),
        Command::Workflow(args) => workflow(&args),
        Command::Explain(args) => explain(&args),
        Command::Schema { of } => schema(of),
        Command::Lsp { stdio: _ } => lsp::serve(&Regular, today).map_err(Unusable),
        Command::Completions { shell } => completions(shell),
    };
    match outcome {
        Ok(clean) => ExitCode::from(u8::from(!clean)),
        Err(Unusable(message)) => {
            tell(&format!("error: {message}\n"));
            ExitCode::from(2)
        }
    }
}

fn check(args: &Check) -> Result<bool, Unusable> {
    let mut parts = Vec::new();
    let mut unreadable = Vec::new();
    for folder::Part { path, with } in folder::parts(&Disk, &args.plans).map_err(Unusable)? {
        if let Err(Unusable(why)) = readable(&path) {
            unreadable.push(why);
            continue;
        }
        // An empty environment: what a check says must not depend on the shell it runs in.
        let mut options = args.inputs.options(BTreeMap::new(), false);
        let of_suite = with.is_some();
        if let Some((profile, set)) = with {
            options.profile = options.profile.or(profile);
            options.set.splice(0..0, set);
        }
        let mut findings = Findings::of(&path, planc::check(&Disk, &path, &options));
        if of_suite {
            // It is shown for the plan by itself.
            findings.coverage.clear();
        }
        parts.push(findings);
    }
    // What cannot be read hides nothing of what can.
    if parts.is_empty() && !unreadable.is_empty() {
        return Err(Unusable(unreadable.join("\nerror: ")));
    }
    let findings = Findings::merge(parts);
    let summary = findings.summary();
    if args.verbose {
        findings.sources.files().for_each(|(_, file)| tell(&format!("read {}\n", file.name)));
    }
    let format = render::format(&args.format).ok_or_else(|| Unusable("no such format".into()))?;
    print(&(format.render)(&findings, View { color: true, coverage: args.verbose }))?;
    if !unreadable.is_empty() {
        return Err(Unusable(unreadable.join("\nerror: ")));
    }
    let denied = args.deny.contains(&Deny::Warnings) && summary.warnings > 0;
    Ok(summary.errors == 0 && !denied && covered(&findings, args.min_coverage))
}

/// Whether every plan's steps are covered as far as is asked for; tells where they are not.
fn covered(findings: &Findings, least: Option<PartsPerMillion>) -> bool {
    let Some(least) = least else { return true };
    let parts = findings.coverage.iter().flat_map(|(plan, parts)| parts.iter().map(move |part| (plan, part)));
    let mut enough = true;
    for (plan, part) in parts.filter(|(_, part)| part.share() < least) {
        enough = false;
        let (share, least) = (part.share().as_f64() * 100.0, least.as_f64() * 100.0);
        let profiles = match part.profiles.as_slice() {
            [] => String::new(),
            profiles => format!(" in {}", profiles.join(", ")),
        };
        tell(&format!(
            "error: gate coverage of {plan}{profiles} is {share:.0}%, and --min-coverage asks for {least:.0}%: \
             `planc check -v {plan}` shows the table\n"
        ));
    }
    enough
}

fn graph(args: &Graph) -> Result<bool, Unusable> {
    let Some(graph) = compiled(&args.plan, &args.inputs.options(BTreeMap::new(), false))? else {
        return Ok(false);
    };
    let format = show::format(&args.format).ok_or_else(|| Unusable("no such format".into()))?;
    print(&(format.render)(&graph))?;
    Ok(true)
}

fn compile(args: &Compile) -> Result<bool, Unusable> {
    let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let Some(graph) = compiled(&args.plan, &args.inputs.options(env.collect(), true))? else {
        return Ok(false);
    };
    let mut text = serde_json::to_string_pretty(&graph).map_err(|e| Unusable(e.to_string()))?;
    text.push('\n');
    // The stream itself, not the file that it may lead to: what is appended to stays.
    if ["-", "/dev/stdout"].contains(&args.output.as_str()) {
        print(&text)?;
        return Ok(true);
    }
    write(Path::new(&args.output), &text)
        .map_err(|why| Unusable(format!("cannot write `{}`: {why}", args.output)))?;
    tell(&format!("wrote {}, graph {}\n", args.output, graph.id()));
    Ok(true)
}

fn diff(args: &Diff) -> Result<bool, Unusable> {
    let format = diff::render::format(&args.format).ok_or_else(|| Unusable("no such format".into()))?;
    let (old, new) = match (args.plans.as_slice(), &args.base) {
        ([old, new], None) => (old, new),
        ([plan], Some(_)) => (plan, plan),
        ([_], None) => {
            return Err(Unusable(
                "one plan and nothing to compare it with: name two, or `--base REV`".into(),
            ));
        }
        _ => return Err(Unusable("`--base` compares one plan with its past: name that one alone".into())),
    };
    readable(new)?;
    let base = match &args.base {
        Some(revision) => {
            Some((git::Git::open(new, revision).map_err(Unusable)?, format!("{revision}:{old}")))
        }
        None => {
            readable(old)?;
            None
        }
    };
    let old = match &base {
        Some((git, _)) if !git.has(old).map_err(Unusable)? => None,
        Some((git, name)) => Some(Revision { name, path: old, files: git }),
        None => Some(Revision { name: old, path: old, files: &Disk }),
    };
    let new = Revision { name: new, path: new, files: &Disk };
    // An empty environment, as for a check.
    let report = diff::plans(old.as_ref(), &new, &args.inputs.options(BTreeMap::new(), false));
    let report = report.map_err(|why| {
        let findings = Findings::from_diagnostics(why.sources, why.diagnostics);
        tell(&render::terminal(&findings, View { color: true, coverage: false }));
        Unusable("the old plan does not compile: there is nothing to compare with".into())
    })?;
    print(&(format.render)(&report, true))?;
    Ok(!report.weakened())
}

fn fmt(args: &Fmt) -> Result<bool, Unusable> {
    let texts: Vec<String> = args
        .plans
        .iter()
        .map(|plan| Disk.read(plan).map_err(|e| Unusable(format!("cannot read `{plan}`: {e}"))))
        .collect::<Result<_, _>>()?;
    let mut clean = true;
    let mut changed = Vec::new();
    for (plan, text) in args.plans.iter().zip(&texts) {
        let formatted = match planc::fmt::format(plan, text) {
            Ok(formatted) => formatted,
            Err(refusal) => {
                tell(&refused(plan, refusal));
                clean = false;
                continue;
            }
        };
        let stdin = ["-", "/dev/stdin"].contains(&plan.as_str());
        if *text != formatted {
            changed.push(plan);
        }
        if (args.check || args.diff) && *text != formatted {
            print(&difference(plan, text, &formatted, args.diff))?;
        } else if stdin && !args.check && !args.diff {
            print(&formatted)?;
        } else if *text != formatted {
            write(Path::new(plan), &formatted)
                .map_err(|why| Unusable(format!("cannot write `{plan}`: {why}")))?;
            tell(&format!("formatted {plan}\n"));
        }
    }
    if args.check && !changed.is_empty() {
        changed.iter().for_each(|plan| tell(&format!("not formatted: {plan}\n")));
        clean = false;
    }
    Ok(clean)
}

/// Why a file was left alone.
fn refused(plan: &str, refusal: Refusal) -> String {
    match refusal {
        Refusal::Broken { sources, diagnostics } => {
            let diagnostics = diagnostics.into_sorted();
            let findings = Findings { sources, diagnostics, ..Findings::default() };
            let told = render::terminal(&findings, View { color: true, coverage: false });
            format!("{told}`{plan}` is left as it is\n")
        }
        Refusal::Changed => format!(
            "error: formatting `{plan}` would change what it says: it is left as it is\n\
             note: this is a mistake in planc; please report it with the file\n"
        ),
    }
}

/// What formatting changes: all of it, or the first lines.
fn difference(plan: &str, old: &str, new: &str, all: bool) -> String {
    const FIRST: usize = 20;
    let names = (format!("{plan} (as it is)"), format!("{plan} (formatted)"));
    let diff = similar::TextDiff::from_lines(old, new);
    let text = diff.unified_diff().header(&names.0, &names.1).to_string();
    let lines = text.lines().count();
    if all || lines <= FIRST {
        return text;
    }
    let first: String = text.split_inclusive('\n').take(FIRST).collect();
    format!("{first}… {} more lines: `planc fmt --diff {plan}`\n", lines - FIRST)
}

fn import(args: &Import) -> Result<bool, Unusable> {
    args.files.iter().try_for_each(|file| readable(file))?;
    let file = match (args.kind, args.files.as_slice()) {
        (ImportOf::Sql, files) => return import_sql(files, args.output.as_deref()),
        (ImportOf::Openapi, [file]) => file,
        (ImportOf::Openapi, _) => return Err(Unusable("one OpenAPI file makes one plan: name one".into())),
    };
    let from = match &args.output {
        Some(plan) => relative(plan, file),
        None => file.clone(),
    };
    let done = planc::import::openapi(&Disk, file, &from);
    if done.diagnostics.iter().next().is_some() {
        let findings = Findings::from_diagnostics(done.sources, done.diagnostics);
        tell(&render::terminal(&findings, View { color: true, coverage: false }));
    }
    let Some(text) = done.plan else { return Ok(false) };
    deliver(args.output.as_deref(), &text)?;
    Ok(true)
}

/// Fixtures into a folder, one file each, or one below the other on standard output.
fn import_sql(files: &[String], folder: Option<&str>) -> Result<bool, Unusable> {
    let done = planc::import::sql(&Disk, files);
    if done.diagnostics.iter().next().is_some() {
        let findings = Findings::from_diagnostics(done.sources, done.diagnostics);
        tell(&render::terminal(&findings, View { color: true, coverage: false }));
    }
    if done.fixtures.is_empty() {
        tell(
            "error: no statement of it could become a fixture; `sql: FILE` in a fixture runs the script as it is\n",
        );
        return Ok(false);
    }
    let Some(folder) = folder else {
        let texts = done.fixtures.iter().map(|one| format!("# ---- {}.yaml\n{}", one.name, one.text));
        deliver(None, &texts.collect::<Vec<_>>().join("\n"))?;
        return Ok(true);
    };
    let cannot = |error: std::io::Error| Unusable(format!("cannot write to `{folder}`: {error}"));
    std::fs::create_dir_all(folder).map_err(cannot)?;
    let paths: Vec<String> = done
        .fixtures
        .iter()
        .map(|one| format!("{}/{}.yaml", folder.trim_end_matches('/'), one.name))
        .collect();
    if let Some(there) = paths.iter().find(|path| std::path::Path::new(path).exists()) {
        return Err(Unusable(format!("`{there}` is there already: name another folder")));
    }
    for (path, one) in paths.iter().zip(&done.fixtures) {
        deliver(Some(path), &one.text)?;
    }
    Ok(true)
}

fn workflow(args: &Workflow) -> Result<bool, Unusable> {
    readable(&args.plan)?;
    let wanted = planc::workflow::Wanted {
        schedule: args.schedule.clone(),
        runs_on: args.runs_on.clone(),
        install: args.install.clone(),
    };
    let options = args.inputs.options(BTreeMap::new(), false);
    let done = planc::workflow::github(&Disk, &args.plan, &options, &wanted);
    if done.text.is_none() {
        let findings = Findings::from_diagnostics(done.sources, done.diagnostics);
        tell(&render::terminal(&findings, View { color: true, coverage: false }));
    }
    let Some(text) = done.text else { return Ok(false) };
    deliver(args.output.as_deref(), &text)?;
    Ok(true)
}

/// Writes to a file and says so, or to standard output.
fn deliver(output: Option<&str>, text: &str) -> Result<(), Unusable> {
    let Some(path) = output.filter(|path| *path != "-") else { return print(text) };
    write(Path::new(path), text).map_err(|why| Unusable(format!("cannot write `{path}`: {why}")))?;
    tell(&format!("wrote {path}\n"));
    Ok(())
}

/// `file` as seen from the folder of `plan`.
fn relative(plan: &str, file: &str) -> String {
    if file.starts_with('/') {
        return file.to_string();
    }
    let parts = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !["", "."].contains(part)).map(str::to_string).collect()
    };
    let (mut folder, file) = (parts(plan), parts(file));
    folder.pop();
    let same = folder.iter().zip(&file).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_string(), folder.len() - same);
    up.chain(file[same..].iter().cloned()).collect::<Vec<_>>().join("/")
}

fn explain(args: &Explain) -> Result<bool, Unusable> {
    let pages = planc::pages();
    let Some(wanted) = &args.code else {
        let line = |page: &Page| format!("{}  {}\n", page.code, page.name);
        print(&pages.iter().map(line).collect::<String>())?;
        return Ok(true);
    };
    let page = pages.iter().find(|page| page.code.eq_ignore_ascii_case(wanted) || page.name == wanted);
    let page =
        page.ok_or_else(|| Unusable(format!("no diagnostic `{wanted}`: `planc explain --list` has all")))?;
    print(&format!("{}\n", page.text.trim_end()))?;
    Ok(true)
}

fn schema(of: SchemaOf) -> Result<bool, Unusable> {
    let schema = match of {
        SchemaOf::Plan => planc::schema::plan(),
        SchemaOf::Fixture => planc::schema::fixture(),
        SchemaOf::Test => planc::schema::unit_tests(),
        SchemaOf::Suite => planc::schema::suite(),
    };
    print(&format!("{schema:#}\n"))?;
    Ok(true)
}

fn completions(shell: clap_complete::Shell) -> Result<bool, Unusable> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "planc", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(true)
}

/// Compiles one profile and tells what was found on standard error; the graph when there is one.
fn compiled(plan: &str, options: &Options) -> Result<Option<ExecutionGraph>, Unusable> {
    readable(plan)?;
    let mut done = planc::compile(&Disk, plan, options);
    let clean = !done.diagnostics.has_errors();
    let graph = done.graph.take();
    if !done.diagnostics.is_empty() {
        tell(&render::terminal(&Findings::of(plan, done), View { color: true, coverage: false }));
    }
    match graph {
        Some(graph) => Ok(Some(graph).filter(|_| clean)),
        None if clean => Err(Unusable(format!("`{plan}` has no graph"))),
        None => Ok(None),
    }
}

fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// Standard output; colour only on a terminal that wants it. A reader that went away is no error; a full disk is.
fn print(text: &str) -> Result<(), Unusable> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Unusable(format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// Standard error, where nothing can be done about a failure.
fn tell(text: &str) {
    let _ = anstream::stderr().write_all(text.as_bytes());
}
