//! `planc`: arguments, files, printing, exit code. Everything else is the library's.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // The world comes in here, and only here.

mod folder;
mod git;
mod lsp;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use planc::diff::{self, Revision};
use planc::fmt::Refusal;
use planc::graph::ExecutionGraph;
use planc::render::{self, Findings, View};
use planc::units::PartsPerMillion;
use planc::{Files, Options, Page, show};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

/// Load tests you can merge on: the plan compiler.
#[derive(Parser)]
#[command(
    name = "planc",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  planc check plans/*.yaml --deny warnings      every profile of every plan
  planc graph plans/storm.yaml                  what will happen, how long, how many requests
  planc compile plans/storm.yaml -o storm.graph.json
  planc diff --base main plans/storm.yaml       what a change means: gates loosened, guards dropped
  planc explain P0102
  planc fmt plans/*.yaml

Exit codes: 0 clean, 1 errors (or warnings under --deny warnings), 2 usage or unreadable file."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Finds everything wrong with plans, without running them
    #[command(after_help = "\
Examples:
  planc check plans/storm.yaml
  planc check plans/*.yaml --deny warnings --format github
  planc check plans/storm.yaml --profile stress --set rate=300/s
  planc check plans/*.yaml --format sarif > planc.sarif
  planc check plans/storm.yaml -v --min-coverage 100%
  planc check fixtures/agents.yaml
  planc check plans/certctl            the suite of a folder, or all that is in it

The environment is not read: a check says the same on every machine.
Inputs with `env:` take what --set gives, or their default.")]
    Check(Check),
    /// Draws what a plan will do: order, load, rows, requests, gates
    #[command(after_help = "\
Examples:
  planc graph plans/storm.yaml
  planc graph plans/storm.yaml --profile stress --format mermaid")]
    Graph(Graph),
    /// Writes the execution graph of one profile: what was reviewed is what runs
    #[command(after_help = "\
Examples:
  planc compile plans/storm.yaml -o storm.graph.json
  planc compile plans/storm.yaml --set rate=300/s -o - | jq .scenarios")]
    Compile(Compile),
    /// Tells what a change of a plan means: gates loosened or removed, less load, fewer rows, weaker guards
    #[command(after_help = "\
Examples:
  planc diff old.yaml new.yaml
  planc diff --base main plans/storm.yaml
  planc diff --base origin/main plans/storm.yaml --format markdown > comment.md
  planc diff --base HEAD~1 plans/storm.yaml --profile stress

With --base, fixtures and all else that the plan names come from that revision too; a plan that is not in
it is an addition as a whole. Every profile of both sides is compared unless one is named.

Exit codes: 0 nothing is weaker, 1 something is, or the new plan does not compile,
2 usage, an unreadable file, or an old plan that does not compile.")]
    Diff(Diff),
    /// Formats plans and fixture files in place
    #[command(after_help = "\
Examples:
  planc fmt plans/*.yaml fixtures/*.yaml
  planc fmt --check plans/*.yaml       changes nothing; exit 1 tells that something would
  planc fmt --diff plans/storm.yaml    changes nothing; prints what would
  planc fmt - < plan.yaml > formatted.yaml

The order of keys, quotes, comments and single empty lines stay as they are, and so does the meaning:
the graph's id is the same before and after. A file with mistakes in its YAML is left alone.")]
    Fmt(Fmt),
    /// Writes a plan to start from an OpenAPI file, or fixtures to start from hand-written SQL
    #[command(after_help = "\
Examples:
  planc import openapi openapi.yaml > plans/shop.yaml
  planc import openapi api/openapi.json -o plans/shop.yaml
  planc import sql seed/*.sql -o fixtures

Every operation that reads becomes a step, with an example for what it cannot do without; those that write stand beside
them as comments. The plan names the file (`endpoints: { from: … }`), so that paths, scopes and limits stay its own.

Every INSERT of rows from generate_series or VALUES becomes a fixture. What it cannot say is told with its line and
stands in the file as a comment; files that are there are never written over.

Exit codes: 0 written, 1 the file has errors, 2 usage or unreadable file.")]
    Import(Import),
    /// Writes a scheduled workflow (GitHub, Forgejo) that runs a plan
    #[command(after_help = "\
Examples:
  planc workflow plans/veza/nightly.yaml --schedule \"30 2 * * *\" -o .github/workflows/nightly.yml
  planc workflow plans/storm.yaml --profile stress --runs-on load-generator --install ./ci/install-planc

The workflow checks the plan, applies it, writes the report into the step summary and keeps evidence and plan as an
artifact for 30 days; it is red where the verdict is. Secrets of the plan come from the repository's secrets by the name
of their `env`, other inputs from its variables. A run by hand may give any input that is no secret. Run it in the
repository's root.

Exit codes: 0 written, 1 the plan has errors, 2 usage or unreadable file.")]
    Workflow(Workflow),
    /// Prints the page of a diagnostic
    #[command(
        after_help = "Examples:\n  planc explain P0102\n  planc explain missing-unit\n  planc explain --list"
    )]
    Explain(Explain),
    /// Prints the JSON Schema of plans, fixtures, unit tests or suites, for editors
    #[command(after_help = "\
Examples:
  planc schema > plan.schema.json
  planc schema --of fixture > fixture.schema.json")]
    Schema {
        /// Which kind of file
        #[arg(long, value_enum, default_value = "plan")]
        of: SchemaOf,
    },
    /// Serves an editor over standard input and output (language server protocol)
    #[command(after_help = "\
Started by an editor, not by hand: diagnostics as you type, hover, go to definition, references,
completion, quick fixes. Plans and fixture files are known by their keys; any other YAML is left alone.

Examples:
  nvim:   vim.lsp.start({ name = 'planc', cmd = { 'planc', 'lsp' }, root_dir = vim.fn.getcwd() })
  helix:  [language-server.planc]  command = \"planc\"  args = [\"lsp\"]

planc/README.md says how to set up VS Code, Neovim and Helix.
Exit codes: 0 after `shutdown` and `exit`, 1 when the editor goes without them.")]
    Lsp {
        /// Ignored: standard input and output are all there is; editors like to pass it
        #[arg(long)]
        stdio: bool,
    },
    /// Prints completions for a shell
    #[command(after_help = "Examples:\n  planc completions bash > /etc/bash_completion.d/planc")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(clap::Args)]
struct Check {
    /// Plans, fixture files, suites or unit tests (`*.test.yaml`) to check, or folders of them; `-` for standard input
    #[arg(required = true, value_name = "PLAN")]
    plans: Vec<String>,
    #[command(flatten)]
    inputs: Inputs,
    /// How to write what was found
    #[arg(long, default_value = "terminal", value_parser = names(render::FORMATS.iter().map(|f| f.name)))]
    format: String,
    /// What else makes the exit code 1
    #[arg(long, value_enum)]
    deny: Vec<Deny>,
    /// Fail when gates and expectations cover less of the steps, such as `100%`
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_coverage: Option<PartsPerMillion>,
    /// Also show the files read, what is allowed and why, and the table of gate coverage
    #[arg(short, long)]
    verbose: bool,
}

#[derive(clap::Args)]
struct Graph {
    /// The plan
    plan: String,
    #[command(flatten)]
    inputs: Inputs,
    /// How to draw it
    #[arg(long, default_value = "tree", value_parser = names(show::FORMATS.iter().map(|f| f.name)))]
    format: String,
}

#[derive(clap::Args)]
struct Compile {
    /// The plan
    plan: String,
    #[command(flatten)]
    inputs: Inputs,
    /// File to write, `-` for standard output
    #[arg(short, long, value_name = "FILE")]
    output: String,
}

#[derive(clap::Args)]
struct Diff {
    /// The old and the new plan; with --base the plan alone
    #[arg(required = true, num_args = 1..=2, value_names = ["OLD", "NEW"])]
    plans: Vec<String>,
    /// Revision of the git repository to compare the plan with
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    #[command(flatten)]
    inputs: Inputs,
    /// How to write what was found
    #[arg(long, default_value = "terminal", value_parser = names(diff::render::FORMATS.iter().map(|f| f.name)))]
    format: String,
}

#[derive(clap::Args)]
struct Fmt {
    /// Plans or fixture files; `-` for standard input, which goes to standard output
    #[arg(required = true, value_name = "PLAN")]
    plans: Vec<String>,
    /// Write nothing; exit 1 and tell which files are not formatted
    #[arg(long)]
    check: bool,
    /// Write nothing; print all that would change
    #[arg(long)]
    diff: bool,
}

#[derive(clap::Args)]
struct Workflow {
    /// The plan, seen from the repository's root
    plan: String,
    #[command(flatten)]
    inputs: Inputs,
    /// When it runs by itself: five fields of cron in UTC, such as "30 2 * * *"
    #[arg(long, value_name = "CRON", value_parser = schedule)]
    schedule: Option<planc::workflow::Schedule>,
    /// Label of the machine that runs it (default: ubuntu-24.04)
    #[arg(long, value_name = "LABEL")]
    runs_on: Option<String>,
    /// Command that puts planc and runner on the PATH
    #[arg(long, value_name = "COMMAND")]
    install: Option<String>,
    /// File to write; standard output without it
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
}

#[derive(clap::Args)]
struct Import {
    /// What the file is
    #[arg(value_enum)]
    kind: ImportOf,
    /// OpenAPI 3.0 or 3.1, YAML or JSON; or SQL scripts with `INSERT`s
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Plan to write, or folder for the fixtures of SQL; standard output without it
    #[arg(short, long, value_name = "PLAN|DIR")]
    output: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ImportOf {
    /// A plan from an OpenAPI file
    Openapi,
    /// Fixtures from hand-written SQL seeds
    Sql,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Explain {
    /// A code or a name: `P0102`, `missing-unit`
    code: Option<String>,
    /// List all codes
    #[arg(long)]
    list: bool,
}

#[derive(clap::Args)]
struct Inputs {
    /// Profile of the plan (default: all for check and diff, `default` otherwise)
    #[arg(long)]
    profile: Option<String>,
    /// Value of an input; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Day against which the `until` of every `allow` is held (default: the current day in UTC)
    #[arg(long, value_name = "YYYY-MM-DD")]
    today: Option<jiff::civil::Date>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Deny {
    /// Warnings count as errors
    Warnings,
}

#[derive(Clone, Copy, ValueEnum)]
enum SchemaOf {
    Plan,
    Fixture,
    Test,
    Suite,
}

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

impl Inputs {
    fn options(&self, env: BTreeMap<String, String>, require_inputs: bool) -> Options {
        Options {
            profile: self.profile.clone(),
            set: self.set.clone(),
            env,
            require_inputs,
            today: Some(self.today.unwrap_or_else(today)),
        }
    }
}

fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// Files as the operating system has them.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<String, String> {
        match path {
            "-" | "/dev/stdin" => utf8(standard_input()?),
            _ => Regular.read(path),
        }
    }

    fn beside(&self, path: &str) -> Vec<String> {
        folder::beside(path)
    }
}

/// Files without standard input, which belongs to the editor while it is served.
struct Regular;

impl Files for Regular {
    fn read(&self, path: &str) -> Result<String, String> {
        utf8(regular_file(path)?)
    }

    fn beside(&self, path: &str) -> Vec<String> {
        folder::beside(path)
    }
}

fn utf8(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|e| format!("not UTF-8 text at byte {}", e.utf8_error().valid_up_to()))
}

/// Far over the compiler's own bound, so that its diagnostic is told, not ours.
const MAX_FILE: u64 = 64 << 20;

/// A pipe would block and a device never end: only files are read.
fn regular_file(path: &str) -> Result<Vec<u8>, String> {
    let file = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if file.is_dir() {
        return Err("it is a folder".into());
    }
    if !file.is_file() {
        return Err("it is not a regular file; write `-` to read standard input".into());
    }
    if file.len() > MAX_FILE {
        return Err("the file is larger than 64 MiB".into());
    }
    std::fs::read(path).map_err(|e| e.to_string())
}

/// All of standard input, which can be read only once.
fn standard_input() -> Result<Vec<u8>, String> {
    static INPUT: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();
    let read = || {
        let mut bytes = Vec::new();
        std::io::stdin().lock().take(MAX_FILE).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        Ok(bytes)
    };
    INPUT.get_or_init(read).clone()
}

fn readable(plan: &str) -> Result<(), Unusable> {
    Disk.read(plan).map(drop).map_err(|e| Unusable(format!("cannot read `{plan}`: {e}")))
}

/// Replaces a regular file, or the one that a link names, in one go. A device or pipe is written to and stays what it is.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let tell = |e: std::io::Error| e.to_string();
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => Err("it is a folder".into()),
        Ok(there) if there.is_file() => {
            write_atomically(&path.canonicalize().map_err(tell)?, text).map_err(tell)
        }
        Ok(_) => {
            let mut file = std::fs::OpenOptions::new().write(true).open(path).map_err(tell)?;
            file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(tell)
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            match folder {
                Some(folder) if !folder.exists() => {
                    Err(format!("there is no folder `{}`: make it first", folder.display()))
                }
                // A link to a file that is not there yet makes that file.
                _ if path.is_symlink() => std::fs::write(path, text).map_err(tell),
                _ => write_atomically(path, text).map_err(tell),
            }
        }
        Err(e) => Err(tell(e)),
    }
}

/// Writes beside the file and renames, so that no one ever sees half of it.
fn write_atomically(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or(ErrorKind::InvalidInput)?);
    name.push(format!(".{}.tmp", std::process::id()));
    let beside: PathBuf = path.with_file_name(name);
    let written = std::fs::File::create(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
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

fn names(names: impl Iterator<Item = &'static str>) -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(names)
}

fn schedule(text: &str) -> Result<planc::workflow::Schedule, String> {
    text.parse()
}

fn share(text: &str) -> Result<PartsPerMillion, String> {
    planc::units::parse_share(text).map_err(|error| error.message)
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        _ => Err("write NAME=VALUE".into()),
    }
}
