//! What may be asked: every command and its flags.

use crate::exit;
use crate::prove;
use crate::report::REPORTS;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use planc::graph::Period;
use planc::render::FORMATS;
use std::path::PathBuf;
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
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Applies a plan, a compiled graph or a suite of plans and judges it
    #[command(after_help = "\
Examples:
  runner apply plans/storm.yaml --profile stress --set rate=300/s
  runner apply storm.graph.json --out results/storm
  runner apply plans/storm.yaml --only checkout --skip-seed
  runner apply plans/certctl                            its suite.yaml, or all its plans by name
  runner apply plans/a.yaml plans/b.yaml --fail-fast
  runner apply plans/storm.yaml --if-changed origin/main

Several plans are run one after the other, each in a folder of its own under --out, with one verdict for all: the worst.
suite.json, suite.xml (JUnit) and suite.md stand beside them. --set is for those plans that have the input. A plan that
--if-changed leaves out is told as skipped and has no verdict; git that is away or a revision that is unknown is an error.

Every run adds a small file to the history, which `runner history` shows.")]
    Apply(Apply),
    /// Seeds a database: fixture files, folders of them, or the fixtures that plans use
    #[command(after_help = "\
Examples:
  runner seed fixtures --list                                                 what there is
  runner seed fixtures --database-url postgresql://localhost/fleet_test       all of it, parents first
  runner seed fixtures/teams.yaml fixtures/agents.yaml --dry-run              what would be done
  runner seed fixtures --database-url … --verify                              does it hold what the fixtures say?
  runner seed fixtures --database-url … --reset                               deletes these rows and no others
  runner seed fixtures --database-url … --template                            as seeded, from a kept copy, in no time
  runner seed plans/storm.yaml                                                as the plan does before its load

Fixture files are seeded together, whichever file or folder they come from, and may refer to each other; plans are
seeded one after the other, each in its own database. A database that no plan starts must be local and be named
`*_test` (--database-guard states another name). Run it again: what is there is compared, and nothing is written twice.

Exit codes: 0 done, 2 nothing to seed or no database, 104 a fixture has errors, 113 a guard refused, 114 seeding failed
or --verify found a difference.")]
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
    /// Shows the runs of a plan, and whether enough in a row were green
    #[command(after_help = "\
Examples:
  runner history plans/veza/nightly.yaml
  runner history plans/veza/nightly.yaml --streak 3
  runner history plans/storm.yaml --streak 5 --per run --format json

A run counts when it passed, was whole (no --only, no --from-stage, no overridden guard), and was judged by no less than the latest run
and the plan as it is now ask for: gates, load and expectations. With `per: day` all runs of a day (UTC) must count, and
days must follow each other.

Every run is a file of its own, written in one go: runs at the same time, and runs that are killed, spoil nothing. Stores of
several machines are put together by copying them into one folder.

Exit codes: 0, and with --streak 99 when the streak is too short.")]
    History(HistoryArgs),
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
  runner report results --format markdown >> $GITHUB_STEP_SUMMARY
  runner report results --template performance.md.j2 -o performance.md

A template is Jinja over the run: {{ plan }}, {{ verdict.word }}, {{ shown(\"http_req_duration{name:login}\", \"p(95)\") }},
{% for one in exemplars %} … {% endfor %}. Every name is in docs/report-templates.md; one that does not exist is an error
with its line. `report.html.j2` is escaped as HTML.

Exit codes: 0 written, 2 no evidence, or the template is wrong, 117 it could not be written.")]
    Report {
        /// Evidence file, or the folder of a run
        evidence: PathBuf,
        /// How to tell it
        #[arg(long, default_value = "terminal", value_parser = PossibleValuesParser::new(REPORTS.iter().map(|r| r.name)))]
        format: String,
        /// A template of your own (Jinja), in place of a format
        #[arg(long, value_name = "FILE", conflicts_with = "format")]
        template: Option<PathBuf>,
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
pub(super) enum VerdictFormat {
    /// As `runner apply` prints it
    Terminal,
    /// The verdict alone, as JSON
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum TestFormat {
    /// A line a case
    Terminal,
    /// JUnit XML
    Junit,
}

#[derive(Args)]
pub(super) struct Judge {
    /// Evidence file, or the folder of a run
    pub(super) evidence: PathBuf,
    /// Judge by this gate in place of the plan's, all of which are left out; may be given several times
    #[arg(long, value_name = "METRIC{TAG:VALUE} CONDITION")]
    pub(super) threshold: Vec<String>,
    /// Also write what judging needs, without fixture data and request bodies, to commit beside a plan
    #[arg(long, value_name = "FILE", conflicts_with = "threshold")]
    pub(super) trim: Option<PathBuf>,
    /// For people or for programs
    #[arg(long, value_enum, default_value = "terminal")]
    pub(super) format: VerdictFormat,
}

#[derive(Args)]
pub(super) struct Apply {
    /// Plan (YAML) or graph (JSON of `planc compile`); several of them, or a folder, are a suite
    #[arg(required = true, value_name = "PLAN|DIR")]
    pub(super) plans: Vec<String>,
    #[command(flatten)]
    pub(super) inputs: Inputs,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) database: Database,
    /// Print what would be done, touch nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Run this scenario and those it needs; may be given several times
    #[arg(long, value_name = "SCENARIO")]
    pub(super) only: Vec<String>,
    /// Begins staged scenarios at this stage; the load goes there within half a minute. Stages before are not measured
    #[arg(long, value_name = "N|SCENARIO:N")]
    pub(super) from_stage: Vec<String>,
    /// Leave the fixtures as they are
    #[arg(long)]
    pub(super) skip_seed: bool,
    /// Worker threads (default: one a core)
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(super) workers: usize,
    /// Push the metrics here by Prometheus remote write, in place of the plan's `report.prometheus`
    #[arg(long, value_name = "URL")]
    pub(super) prometheus_rw: Option<String>,
    /// Leave out plans whose `when_to_run` names nothing that changed since this revision (`git diff BASE...HEAD`)
    #[arg(long, value_name = "BASE")]
    pub(super) if_changed: Option<String>,
    /// Of several plans, the first that does not pass is the last
    #[arg(long)]
    pub(super) fail_fast: bool,
    /// Folder of the history (default: .runner/history, or PLANC_HISTORY)
    #[arg(long, value_name = "DIR")]
    pub(super) history: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Seed {
    /// Fixtures (YAML), folders of them, plans (YAML), or graphs (JSON)
    #[arg(required = true, value_name = "FIXTURE|DIR|PLAN")]
    pub(super) plans: Vec<String>,
    #[command(flatten)]
    pub(super) inputs: Inputs,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) database: Database,
    /// Database to seed, in place of the plan's
    #[arg(long, value_name = "URL")]
    pub(super) database_url: Option<String>,
    /// Refuse when a table holds more rows than these that no fixture given here makes
    #[arg(long, value_name = "N")]
    pub(super) max_foreign_rows: Option<u64>,
    /// Secret input of fixture files, its value in an environment variable; may be given several times
    #[arg(long, value_name = "NAME=VARIABLE", value_parser = pair)]
    pub(super) secret: Vec<(String, String)>,
    /// Print what would be done, touch nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print which fixtures there are, and where
    #[arg(long)]
    pub(super) list: bool,
    /// Keep the seeded database as a template; when one of these fixtures is kept, begin with a clone of it
    #[arg(long, conflicts_with_all = ["reset", "verify"])]
    pub(super) template: bool,
    /// Drop templates of the database that are not of these fixtures
    #[arg(long, requires = "template")]
    pub(super) prune: bool,
    /// Delete the fixtures' rows, and no others
    #[arg(long, conflicts_with = "verify")]
    pub(super) reset: bool,
    /// Compare and write nothing
    #[arg(long)]
    pub(super) verify: bool,
    /// Move times that are older than their fresh_within to the present, as `apply` does before a load
    #[arg(long)]
    pub(super) fresh: bool,
}

#[derive(Args)]
pub(super) struct Preflight {
    /// Plan (YAML) or graph (JSON)
    pub(super) plan: String,
    #[command(flatten)]
    pub(super) inputs: Inputs,
    #[command(flatten)]
    pub(super) output: Output,
    /// Name of a database that this run does not start, `*` for any run of characters
    #[arg(long, value_name = "PATTERN")]
    pub(super) database_guard: Option<String>,
}

#[derive(Args)]
pub(super) struct Check {
    /// Plans, or fixture files, to check
    #[arg(required = true, value_name = "PLAN")]
    pub(super) plans: Vec<String>,
    /// Read the database too: columns, keys, values, what stands in the way of a reset
    #[arg(long)]
    pub(super) live: bool,
    /// Database to look at, in place of the plan's
    #[arg(long, value_name = "URL", requires = "live")]
    pub(super) database_url: Option<String>,
    /// Name that the database must have, `*` for any run of characters
    #[arg(long, value_name = "PATTERN", requires = "live")]
    pub(super) database_guard: Option<String>,
    /// Profile of the plan (default: all)
    #[arg(long)]
    pub(super) profile: Option<String>,
    /// Value of an input; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) set: Vec<(String, String)>,
    /// How to write what was found
    #[arg(long, default_value = "terminal", value_parser = PossibleValuesParser::new(FORMATS.iter().map(|f| f.name)))]
    pub(super) format: String,
    /// What else makes the exit code 104
    #[arg(long, value_enum)]
    pub(super) deny: Vec<Deny>,
    /// Also show which gates hold which step
    #[arg(short, long)]
    pub(super) verbose: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(super) enum Deny {
    /// Warnings count as errors
    Warnings,
}

#[derive(Args)]
pub(super) struct HistoryArgs {
    /// The plan, as it is now
    pub(super) plan: String,
    #[command(flatten)]
    pub(super) inputs: Inputs,
    /// Exit 99 unless so many in a row are green (default: the plan's `history: { streak }`)
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "0")]
    pub(super) streak: Option<u32>,
    /// What counts as one in a row (default: the plan's `history: { per }`, else every run)
    #[arg(long, value_enum)]
    pub(super) per: Option<PerArg>,
    /// Folder of the history (default: .runner/history, or PLANC_HISTORY)
    #[arg(long, value_name = "DIR")]
    pub(super) history: Option<PathBuf>,
    /// Show no more than the latest
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(super) last: usize,
    /// For people or for programs
    #[arg(long, value_enum, default_value = "terminal")]
    pub(super) format: HistoryFormat,
    /// No colour (NO_COLOR in the environment does the same)
    #[arg(long)]
    pub(super) no_color: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum PerArg {
    /// Every run
    Run,
    /// All runs of a day
    Day,
}

impl From<PerArg> for Period {
    fn from(per: PerArg) -> Period {
        match per {
            PerArg::Run => Period::Run,
            PerArg::Day => Period::Day,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum HistoryFormat {
    /// A line a run
    Terminal,
    /// All records as JSON
    Json,
}

#[derive(Args)]
pub(super) struct Prove {
    /// Plan (YAML) or graph (JSON)
    pub(super) plan: String,
    #[command(flatten)]
    pub(super) inputs: Inputs,
    #[command(flatten)]
    pub(super) output: Output,
    /// Length of each load; longer by itself where a gate needs more samples
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(super) load: Duration,
    /// Try this fault alone; may be given several times
    #[arg(long, value_name = "FAULT", value_parser = faults())]
    pub(super) only: Vec<String>,
    /// A fault that nothing need notice, and why; may be given several times
    #[arg(long, value_name = "FAULT=REASON", value_parser = pair)]
    pub(super) allow: Vec<(String, String)>,
    /// For people or for programs
    #[arg(long, value_enum, default_value = "terminal")]
    pub(super) format: VerdictFormat,
}

#[derive(Args)]
pub(super) struct Inputs {
    /// Profile of the plan
    #[arg(long)]
    pub(super) profile: Option<String>,
    /// Value of an input; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) set: Vec<(String, String)>,
}

#[derive(Args)]
pub(super) struct Output {
    /// Folder for evidence, reports and logs (default: .planc/runs/<plan>-<time>)
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Print the verdict alone
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// No colour (NO_COLOR in the environment does the same)
    #[arg(long)]
    pub(super) no_color: bool,
}

#[derive(Args)]
pub(super) struct Database {
    /// Name of a database that this run does not start and would write to, `*` for any run of characters
    /// (default: *_test, unless the plan has a guard on the name)
    #[arg(long, value_name = "PATTERN")]
    pub(super) database_guard: Option<String>,
    /// Believe the ledger: rows are not compared when it knows the fixture
    #[arg(long)]
    pub(super) trust_ledger: bool,
    /// Folder for what services tell once of accounts, such as API keys (default: ~/.local/state/planc/secrets)
    #[arg(long, value_name = "DIR")]
    pub(super) secrets: Option<PathBuf>,
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
