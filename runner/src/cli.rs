//! The command line: what may be asked, and what each command does in a few calls.

use crate::check::{self, Request, Unknown};
use crate::evidence::Evidence;
use crate::exit::{self, Exit};
use crate::judge::{self, Verdict};
use crate::listen::Both;
use crate::live::Live;
use crate::orchestrate::{self, Options};
use crate::output;
use crate::phases::stamp;
use crate::plan::{self, Disk, LoadError, Loaded};
use crate::progress::Teller;
use crate::prove::{self, Unproven};
use crate::report::{self, REPORTS, terminal};
use crate::what_if::{self, NoAnswer};
use crate::world::World;
use crate::{trim, unit_tests};
use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use planc::graph::{ExecutionGraph, Expr, Segment, Template};
use planc::render::{FORMATS, Findings, View};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Load tests you can merge on: applies plans.
#[derive(Parser)]
#[command(
    name = "runner",
    version,
    arg_required_else_help = true,
    after_help = format!("\
Examples:
  runner apply plans/storm.yaml                     guards, services, fixtures, preflight, load, verdict
  runner apply plans/storm.yaml --dry-run           what would be done
  runner check --live plans/storm.yaml              do plan and database go together? nothing is written
  runner seed plans/storm.yaml                      fixtures alone
  runner judge .planc/runs/storm-20261121T134502    the verdict again, from the evidence
  runner test plans                                 what the gates say about recorded runs

{}", exit::table_text())
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Applies a plan or a compiled graph and judges it
    #[command(after_help = "\
Examples:
  runner apply plans/storm.yaml --profile stress --set rate=300/s
  runner apply storm.graph.json --out results/storm
  runner apply plans/storm.yaml --only checkout --skip-seed")]
    Apply(Apply),
    /// Seeds the fixtures of plans, or fixtures alone
    #[command(after_help = "\
Examples:
  runner seed plans/storm.yaml
  runner seed fixtures/agents.yaml --database-url postgres://localhost/fleet_test
  runner seed plans/storm.yaml --verify")]
    Seed(Seed),
    /// Guards, tokens and preflight checks alone: is everything ready for a run?
    #[command(after_help = "Examples:\n  runner preflight plans/storm.yaml --profile stress")]
    Preflight(Preflight),
    /// Finds what is wrong with plans, as `planc check` does, and with --live what only the database can tell
    #[command(after_help = "\
Examples:
  runner check --live plans/storm.yaml
  runner check --live plans/*.yaml --deny warnings --format github
  runner check --live plans/storm.yaml --profile stress --set agents=20_000
  runner check --live plans/quickstart.yaml --database-url postgres://reader@db.test/fleet
  runner check --live fixtures/agents.yaml --database-url postgres://localhost/fleet_test

With --live the plan's own database is found as `apply` finds it, the environment included, and its guards hold: the
name must be `*_test` unless the plan or --database-guard says otherwise. A database given by --database-url is yours to
choose, and what its role may not do is not held against the plan. It is read in read-only transactions, in which no
statement takes longer than 30 s. A plan that starts its own Postgres has none before a run: the one that an earlier run
kept (`keep:`) is looked at, or give --database-url.

Exit codes: 0 clean, 104 errors (or warnings under --deny warnings), 2 no database to look at, 113 a guard refused it,
118 it could not be read.")]
    Check(Check),
    /// Gives the verdict of a run again, from its evidence; or the verdict it would have had
    #[command(after_help = "\
Examples:
  runner judge .planc/runs/storm-20261121T134502
  runner judge results --threshold 'http_req_duration{scenario:storm} p(95) < 300ms'
  runner judge results --threshold 'http_req_failed: rate < 0.1%' --threshold 'http_req_duration{endpoint:*} p(99) < 1s'
  runner judge results --trim plans/runs/storm-slow.evidence.json

It exits as the run did, or as it would have done with the gates given here.")]
    Judge(Judge),
    /// Runs the unit tests of plans: recorded evidence under the gates that the plans have now
    #[command(after_help = "\
Examples:
  runner judge .planc/runs/latest --trim plans/runs/storm-slow.evidence.json
  runner test
  runner test plans/storm.test.yaml
  runner test --format junit > unit-tests.xml

A file `storm.test.yaml` beside a plan:
  plan: storm.yaml
  cases:
    - name: a slow service is red
      evidence: runs/storm-slow.evidence.json
      expect_verdict: fail
      causes: [\"http_req_duration{scenario:storm} p(95) < 500ms\"]

Exit codes: 0 every case holds, 99 one does not, 104 a file or its plan has errors, 2 there is no test.")]
    Test {
        /// Files of unit tests (*.test.yaml), or folders to search
        #[arg(default_value = "plans")]
        paths: Vec<PathBuf>,
        /// For people or for programs
        #[arg(long, value_enum, default_value = "terminal")]
        format: TestFormat,
    },
    /// Tells a run again, from its evidence
    #[command(after_help = "\
Examples:
  runner report results/evidence.json --format html -o report.html
  runner report results --format markdown >> $GITHUB_STEP_SUMMARY")]
    Report {
        /// Evidence file, or the folder of a run
        evidence: PathBuf,
        /// How to tell it
        #[arg(long, default_value = "terminal", value_parser = PossibleValuesParser::new(REPORTS.iter().map(|r| r.name)))]
        format: String,
        /// File to write; standard output without it
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Breaks the target on purpose and tells which gate notices what
    #[command(after_help = "\
Runs a short form of the plan unharmed, which must pass, then once for each fault, with a proxy in front of the target
and the plan's private database broken where that is the fault. Every gate must break under a fault that it is there
for, and every fault must be noticed, or be allowed with a reason.

Examples:
  runner prove plans/storm.yaml
  runner prove plans/storm.yaml --load 20s --only slow --only errors
  runner prove plans/storm.yaml --allow no-index=\"the tables are small\" --format json

Exit codes: 0 proven, 99 a gate or a fault is open, else as `runner apply` for the unharmed run.")]
    Prove(Prove),
    /// Prints completions for a shell
    #[command(after_help = "Examples:\n  runner completions bash > /etc/bash_completion.d/runner")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum VerdictFormat {
    /// As `runner apply` prints it
    Terminal,
    /// The verdict alone, as JSON
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum TestFormat {
    /// A line a case
    Terminal,
    /// JUnit XML
    Junit,
}

#[derive(Args)]
struct Judge {
    /// Evidence file, or the folder of a run
    evidence: PathBuf,
    /// Judge by this gate in place of the plan's, all of which are left out; may be given several times
    #[arg(long, value_name = "METRIC{TAG:VALUE} CONDITION")]
    threshold: Vec<String>,
    /// Also write what judging needs, without fixture data and request bodies, to commit beside a plan
    #[arg(long, value_name = "FILE", conflicts_with = "threshold")]
    trim: Option<PathBuf>,
    /// For people or for programs
    #[arg(long, value_enum, default_value = "terminal")]
    format: VerdictFormat,
}

#[derive(Args)]
struct Apply {
    /// Plan (YAML) or graph (JSON of `planc compile`)
    plan: String,
    #[command(flatten)]
    inputs: Inputs,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    database: Database,
    /// Print what would be done, touch nothing
    #[arg(long)]
    dry_run: bool,
    /// Run this scenario and those it needs; may be given several times
    #[arg(long, value_name = "SCENARIO")]
    only: Vec<String>,
    /// Leave the fixtures as they are
    #[arg(long)]
    skip_seed: bool,
    /// Worker threads (default: one a core)
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    workers: usize,
}

#[derive(Args)]
struct Seed {
    /// Plans or fixtures (YAML), or graphs (JSON)
    #[arg(required = true, value_name = "PLAN|FIXTURE")]
    plans: Vec<String>,
    #[command(flatten)]
    inputs: Inputs,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    database: Database,
    /// Database to seed, in place of the plan's
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Delete the fixtures' rows, and no others
    #[arg(long, conflicts_with = "verify")]
    reset: bool,
    /// Compare and write nothing
    #[arg(long)]
    verify: bool,
    /// Move times that are older than their fresh_within to the present, as `apply` does before a load
    #[arg(long)]
    fresh: bool,
}

#[derive(Args)]
struct Preflight {
    /// Plan (YAML) or graph (JSON)
    plan: String,
    #[command(flatten)]
    inputs: Inputs,
    #[command(flatten)]
    output: Output,
    /// Name of a database that this run does not start, `*` for any run of characters
    #[arg(long, value_name = "PATTERN")]
    database_guard: Option<String>,
}

#[derive(Args)]
struct Check {
    /// Plans, or fixture files, to check
    #[arg(required = true, value_name = "PLAN")]
    plans: Vec<String>,
    /// Read the database too: columns, keys, values, what stands in the way of a reset
    #[arg(long)]
    live: bool,
    /// Database to look at, in place of the plan's
    #[arg(long, value_name = "URL", requires = "live")]
    database_url: Option<String>,
    /// Name that the database must have, `*` for any run of characters
    #[arg(long, value_name = "PATTERN", requires = "live")]
    database_guard: Option<String>,
    /// Profile of the plan (default: all)
    #[arg(long)]
    profile: Option<String>,
    /// Value of an input; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// How to write what was found
    #[arg(long, default_value = "terminal", value_parser = PossibleValuesParser::new(FORMATS.iter().map(|f| f.name)))]
    format: String,
    /// What else makes the exit code 104
    #[arg(long, value_enum)]
    deny: Vec<Deny>,
    /// Also show which gates hold which step
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Deny {
    /// Warnings count as errors
    Warnings,
}

#[derive(Args)]
struct Prove {
    /// Plan (YAML) or graph (JSON)
    plan: String,
    #[command(flatten)]
    inputs: Inputs,
    #[command(flatten)]
    output: Output,
    /// Length of each load; longer by itself where a gate needs more samples
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    load: Duration,
    /// Try this fault alone; may be given several times
    #[arg(long, value_name = "FAULT", value_parser = faults())]
    only: Vec<String>,
    /// A fault that nothing need notice, and why; may be given several times
    #[arg(long, value_name = "FAULT=REASON", value_parser = pair)]
    allow: Vec<(String, String)>,
    /// For people or for programs
    #[arg(long, value_enum, default_value = "terminal")]
    format: VerdictFormat,
}

#[derive(Args)]
struct Inputs {
    /// Profile of the plan
    #[arg(long)]
    profile: Option<String>,
    /// Value of an input; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

#[derive(Args)]
struct Output {
    /// Folder for evidence, reports and logs (default: .planc/runs/<plan>-<time>)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the verdict alone
    #[arg(long, short)]
    quiet: bool,
    /// No colour (NO_COLOR in the environment does the same)
    #[arg(long)]
    no_color: bool,
}

#[derive(Args)]
struct Database {
    /// Name of a database that this run does not start and would write to, `*` for any run of characters
    /// (default: *_test, unless the plan has a guard on the name)
    #[arg(long, value_name = "PATTERN")]
    database_guard: Option<String>,
    /// Believe the ledger: rows are not compared when it knows the fixture
    #[arg(long)]
    trust_ledger: bool,
}

/// What ends a command before it has a verdict.
struct Stop(Exit, String);

/// Does what the arguments say.
pub fn run(arguments: impl Iterator<Item = std::ffi::OsString>, world: &World) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Pass };
        }
    };
    let done = match cli.command {
        Command::Apply(args) => apply(&args, world),
        Command::Seed(args) => seed(&args, world),
        Command::Preflight(args) => preflight(&args, world),
        Command::Check(args) => check(&args, world),
        Command::Judge(args) => judge_again(&args),
        Command::Test { paths, format } => test(&paths, format, world),
        Command::Report { evidence, format, output } => report_again(&evidence, &format, output.as_deref()),
        Command::Prove(args) => proof(&args, world),
        Command::Completions { shell } => completions(shell),
    };
    done.unwrap_or_else(|Stop(exit, message)| {
        tell(&message);
        exit
    })
}

fn apply(args: &Apply, world: &World) -> Result<Exit, Stop> {
    args.output.colour();
    let Loaded { graph, written, warnings } = load(&args.plan, &args.inputs, world)?;
    tell(&warnings);
    for name in &args.only {
        if !graph.scenarios.iter().any(|scenario| scenario.name == *name) {
            let known: Vec<&str> = graph.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
            let message = format!("error: no scenario `{name}`; the plan has {}\n", known.join(", "));
            return Err(Stop(Exit::Usage, message));
        }
    }
    if args.dry_run {
        print(&(planc::show::FORMATS[0].render)(&graph))?;
        return Ok(Exit::Pass);
    }
    let out = args.output.folder(&graph, world);
    // Told before anything is started, not after the load.
    output::probe(&out)
        .map_err(|why| Stop(Exit::OutputLost, format!("error: {why}; nothing was started\n")))?;
    let options = Options {
        set: args.inputs.set.iter().cloned().collect(),
        only: args.only.clone(),
        skip_seed: args.skip_seed,
        workers: args.workers,
        database_guard: args.database.database_guard.clone(),
        trust_ledger: args.database.trust_ledger,
        keep_stale: false,
        mode: seeders::Mode::Apply,
        out: out.clone(),
        ..Options::default()
    };
    let mut listeners = Both(args.output.teller(written, &graph), Live::new(out.join("live.json")));
    let evidence = orchestrate::apply(&graph, &options, world, &mut listeners).map_err(internal)?;
    drop(listeners);
    let verdict = judge::judge(&evidence.graph, &evidence);
    let lost = write_all(&out, &evidence, &verdict);
    let verdict = verdict.with_lost_outputs(&lost);
    if !lost.is_empty() {
        tell_lost(&out, &evidence, &verdict);
    }
    if args.output.out.is_none() {
        output::point_latest(&out);
    }
    let text = match args.output.quiet {
        true => terminal::verdict_line(&evidence, &verdict),
        false => {
            format!("{}  evidence and reports: {}\n", terminal::outcome(&evidence, &verdict), out.display())
        }
    };
    match print(&text) {
        Ok(()) => Ok(verdict.status),
        Err(Stop(_, why)) => {
            let verdict = verdict.with_lost_outputs(&["cannot write to standard output".to_owned()]);
            tell_lost(&out, &evidence, &verdict);
            // A worse verdict than a lost output stays what it is.
            Err(Stop(verdict.status, format!("{why}{}", terminal::verdict_line(&evidence, &verdict))))
        }
    }
}

fn seed(args: &Seed, world: &World) -> Result<Exit, Stop> {
    args.output.colour();
    let mode = match (args.reset, args.verify) {
        (true, _) => seeders::Mode::Reset,
        (_, true) => seeders::Mode::Verify,
        _ => seeders::Mode::Apply,
    };
    for path in &args.plans {
        let Loaded { mut graph, written, warnings } = load(path, &args.inputs, world)?;
        tell(&warnings);
        let mut set: BTreeMap<String, String> = args.inputs.set.iter().cloned().collect();
        if let Some(url) = &args.database_url {
            take_database(&mut graph, url, &mut set);
        }
        if graph.database.is_none() && plan::has_tables(&graph) {
            let message = format!("error: `{path}` names no database: give --database-url URL\n");
            return Err(Stop(Exit::Usage, message));
        }
        let options = Options {
            set,
            database_guard: args.database.database_guard.clone(),
            trust_ledger: args.database.trust_ledger,
            keep_stale: !args.fresh,
            mode,
            out: args.output.folder(&graph, world),
            ..Options::default()
        };
        let mut teller = args.output.teller(written, &graph);
        let evidence = orchestrate::seed(&graph, &options, world, &mut teller).map_err(internal)?;
        let exit = end_preparation(&evidence)?;
        if exit != Exit::Pass {
            return Ok(exit);
        }
    }
    Ok(Exit::Pass)
}

fn preflight(args: &Preflight, world: &World) -> Result<Exit, Stop> {
    args.output.colour();
    let Loaded { graph, written, warnings } = load(&args.plan, &args.inputs, world)?;
    tell(&warnings);
    let options = Options {
        set: args.inputs.set.iter().cloned().collect(),
        database_guard: args.database_guard.clone(),
        out: args.output.folder(&graph, world),
        ..Options::default()
    };
    let mut teller = args.output.teller(written, &graph);
    let evidence = orchestrate::preflight(&graph, &options, world, &mut teller).map_err(internal)?;
    end_preparation(&evidence)
}

fn check(args: &Check, world: &World) -> Result<Exit, Stop> {
    let request = Request {
        today: today(world),
        profile: args.profile.clone(),
        set: args.set.clone(),
        live: args.live,
        database_url: args.database_url.clone(),
        database_guard: args.database_guard.clone(),
    };
    for path in &args.plans {
        plan::readable(path).map_err(|why| Stop(Exit::Usage, format!("error: {why}\n")))?;
    }
    let (mut parts, mut unknown) = (Vec::new(), Vec::new());
    for path in &args.plans {
        let checked = check::check(path, &request, world);
        parts.extend(checked.parts);
        unknown.extend(checked.unknown);
        checked.told.iter().for_each(|told| tell(&format!("{told}\n")));
    }
    let findings = Findings::merge(parts);
    let summary = findings.summary();
    // The parser takes names of the list only.
    let Some(format) = planc::render::format(&args.format) else { return Ok(Exit::Usage) };
    print(&(format.render)(&findings, View { color: true, coverage: args.verbose }))?;
    for Unknown { message, help, .. } in &unknown {
        let help = help.as_ref().map(|help| format!("  help: {help}\n")).unwrap_or_default();
        tell(&format!("error: {message}\n{help}"));
    }
    let denied = args.deny.contains(&Deny::Warnings) && summary.warnings > 0;
    Ok(match unknown.first() {
        _ if summary.errors > 0 || denied => Exit::PlanRejected,
        Some(unknown) => unknown.exit,
        None => Exit::Pass,
    })
}

fn proof(args: &Prove, world: &World) -> Result<Exit, Stop> {
    args.output.colour();
    let Loaded { graph, warnings, .. } = load(&args.plan, &args.inputs, world)?;
    tell(&warnings);
    let known = || prove::KINDS.iter().map(|(_, name)| *name);
    for (name, reason) in &args.allow {
        if !known().any(|known| known == name) {
            let all: Vec<&str> = known().collect();
            return Err(Stop(
                Exit::Usage,
                format!("error: no fault `{name}`; there are {}\n", all.join(", ")),
            ));
        }
        if reason.trim().chars().count() < 3 {
            return Err(Stop(Exit::Usage, format!("error: --allow {name} needs a reason\n")));
        }
    }
    let out = args.output.folder(&graph, world);
    output::probe(&out)
        .map_err(|why| Stop(Exit::OutputLost, format!("error: {why}; nothing was started\n")))?;
    let set = args.inputs.set.iter().cloned().collect();
    let request = prove::Request {
        graph: &graph,
        options: Options { set, mode: seeders::Mode::Apply, out: out.clone(), ..Options::default() },
        load: args.load,
        only: args.only.clone(),
        allowed: args.allow.iter().cloned().collect(),
    };
    let mut hear = |told: prove::Told<'_>| {
        if !args.output.quiet {
            tell(&prove::progress(&told));
        }
    };
    match prove::prove(&request, world, &mut hear) {
        Ok(matrix) => {
            print(&match args.format {
                VerdictFormat::Terminal => prove::render(&matrix),
                VerdictFormat::Json => format!("{:#}\n", matrix.json()),
            })?;
            if !args.output.quiet {
                tell(&format!("evidence of every run: {}\n", out.display()));
            }
            Ok(matrix.exit())
        }
        Err(Unproven::NotGreen(run)) => {
            let (evidence, verdict) = *run;
            tell(&terminal::outcome(&evidence, &verdict));
            tell("error: the unharmed run is not green, so that nothing can be proven by breaking it\n");
            Ok(verdict.status)
        }
        Err(Unproven::Interrupted) => Ok(Exit::Interrupted),
        Err(Unproven::Io(error)) => Err(internal(error)),
    }
}

fn judge_again(args: &Judge) -> Result<Exit, Stop> {
    let mut evidence = read(&args.evidence)?;
    let asked = !args.threshold.is_empty();
    if asked {
        evidence = what_if::with_gates(&evidence, &args.threshold).map_err(|why| match why {
            NoAnswer::Rejected(why) => Stop(Exit::Usage, why),
            NoAnswer::NotKept(why) => Stop(Exit::Invalid, why),
        })?;
    }
    let verdict = judge::judge(&evidence.graph, &evidence);
    print(&match args.format {
        VerdictFormat::Terminal if asked => what_if::tell(&evidence, &verdict),
        VerdictFormat::Terminal => terminal::outcome(&evidence, &verdict),
        VerdictFormat::Json => format!("{}\n", serde_json::to_string_pretty(&verdict).unwrap_or_default()),
    })?;
    if let Some(file) = &args.trim {
        let small =
            trim::trimmed(&evidence).map_err(|why| Stop(Exit::Internal, format!("error: {why}\n")))?;
        output::write_evidence(file, &small)
            .map_err(|why| Stop(Exit::OutputLost, format!("error: {why}\n")))?;
        tell(&format!("wrote {}\n", file.display()));
    }
    Ok(verdict.status)
}

fn test(paths: &[PathBuf], format: TestFormat, world: &World) -> Result<Exit, Stop> {
    let found = unit_tests::find(paths).map_err(|why| Stop(Exit::Usage, format!("error: {why}\n")))?;
    let files: Vec<_> = found.iter().map(|path| unit_tests::run(path, today(world))).collect();
    print(&match format {
        TestFormat::Terminal => unit_tests::tell(&files),
        TestFormat::Junit => unit_tests::junit(&files),
    })?;
    Ok(unit_tests::exit(&files))
}

fn report_again(path: &Path, format: &str, to: Option<&Path>) -> Result<Exit, Stop> {
    let evidence = read(path)?;
    let verdict = judge::judge(&evidence.graph, &evidence);
    // The parser takes names of the list only.
    let Some(report) = report::by_name(format) else { return Ok(Exit::Usage) };
    let text = (report.render)(&evidence, &verdict);
    match to {
        None => print(&text)?,
        Some(file) => {
            let plain = anstream::adapter::strip_str(&text).to_string();
            output::write(file, &plain).map_err(|why| Stop(Exit::OutputLost, format!("error: {why}\n")))?;
        }
    }
    Ok(Exit::Pass)
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "runner", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Pass)
}

impl Output {
    fn colour(&self) {
        if self.no_color {
            anstream::ColorChoice::Never.write_global();
        }
    }

    fn folder(&self, graph: &ExecutionGraph, world: &World) -> PathBuf {
        let default = || {
            let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
            let name: String = graph.plan.chars().map(plain).collect();
            world.folder.join(".planc/runs").join(format!("{name}-{}", stamp((world.clock)())))
        };
        self.out.as_ref().map_or_else(default, |out| world.folder.join(out))
    }

    fn teller(&self, written: Option<plan::Written>, graph: &ExecutionGraph) -> Teller {
        let ends = graph.scenarios.iter().map(|scenario| scenario.start_time + scenario.demand.duration());
        let planned = ends.max().unwrap_or(Duration::ZERO);
        Teller::new(self.quiet, std::io::stderr().is_terminal(), written, planned)
    }
}

/// The day in UTC.
fn today(world: &World) -> Option<jiff::civil::Date> {
    let now = jiff::Timestamp::from_microsecond((world.clock)()).ok()?;
    Some(now.to_zoned(jiff::tz::TimeZone::UTC).date())
}

fn load(path: &str, inputs: &Inputs, world: &World) -> Result<Loaded, Stop> {
    let options = planc::Options {
        profile: inputs.profile.clone(),
        set: inputs.set.clone(),
        env: world.env.clone(),
        // What is missing is a guard's refusal, told with all other guards.
        require_inputs: false,
        today: today(world),
    };
    plan::load(&Disk, path, &options).map_err(|error| match error {
        LoadError::Usage(why) => Stop(Exit::Usage, format!("error: {why}\n")),
        LoadError::Rejected(rendered) => Stop(Exit::PlanRejected, rendered),
    })
}

/// Puts a database in the place of the plan's. As an input, so that its password stays out of the graph.
fn take_database(graph: &mut ExecutionGraph, url: &str, set: &mut BTreeMap<String, String>) {
    const NAME: &str = "database_url (--database-url)";
    let slot = Segment::Slot(Expr::Path(vec!["inputs".into(), NAME.into()]));
    graph.database = Some(Template { segments: vec![slot] });
    let input = planc::graph::OpenInput { secret: true, env: None, default: None };
    graph.open_inputs.insert(NAME.into(), input);
    set.insert(NAME.into(), url.into());
}

/// Evidence, and the reports that the plan asks for; why some could not be written.
fn write_all(out: &Path, evidence: &Evidence, verdict: &Verdict) -> Vec<String> {
    let mut lost: Vec<String> =
        output::write_evidence(&out.join("evidence.json"), evidence).err().into_iter().collect();
    for (path, report) in report::asked(&evidence.graph.report) {
        let text = (report.render)(evidence, verdict);
        lost.extend(output::write(&out.join(path), &text).err());
    }
    lost
}

/// What could be written says that something else could not.
fn tell_lost(out: &Path, evidence: &Evidence, verdict: &Verdict) {
    for (path, report) in report::asked(&evidence.graph.report) {
        let text = (report.render)(evidence, verdict);
        // Whatever is lost now was lost before, and that is told.
        let _ = output::write(&out.join(path), &text);
    }
}

fn end_preparation(evidence: &Evidence) -> Result<Exit, Stop> {
    let verdict = judge::judge_preparation(evidence);
    print(&terminal::verdict_line(evidence, &verdict))?;
    Ok(verdict.status)
}

fn read(path: &Path) -> Result<Evidence, Stop> {
    let evidence = output::read_evidence(path).map_err(|why| Stop(Exit::Usage, format!("error: {why}\n")))?;
    output::check_identity(&evidence).map_err(|why| Stop(Exit::Invalid, format!("error: {why}\n")))?;
    Ok(evidence)
}

fn internal(error: std::io::Error) -> Stop {
    Stop(Exit::Internal, format!("internal error: {error}\n"))
}

/// Standard output. A reader that went away is no error; a full disk is: the output is lost.
fn print(text: &str) -> Result<(), Stop> {
    let mut stdout = anstream::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Stop(Exit::OutputLost, format!("error: cannot write to standard output: {error}\n")))
        }
        _ => Ok(()),
    }
}

/// Standard error, likewise.
fn tell(text: &str) {
    let _ = anstream::stderr().write_all(text.as_bytes());
}

fn faults() -> PossibleValuesParser {
    PossibleValuesParser::new(prove::KINDS.iter().map(|(_, name)| *name))
}

fn duration(text: &str) -> Result<Duration, String> {
    planc::units::parse_duration(text).map_err(|error| error.message)
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}
