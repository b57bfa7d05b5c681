//! The command line: its commands, their options and their help.

use super::today;
use clap::{Parser, Subcommand, ValueEnum};
use planc::units::PartsPerMillion;
use planc::{Options, diff, render, show};
use std::collections::BTreeMap;

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
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
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
pub(crate) struct Check {
    /// Plans, fixture files, suites or unit tests (`*.test.yaml`) to check, or folders of them; `-` for standard input
    #[arg(required = true, value_name = "PLAN")]
    pub(crate) plans: Vec<String>,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// How to write what was found
    #[arg(long, default_value = "terminal", value_parser = names(render::FORMATS.iter().map(|f| f.name)))]
    pub(crate) format: String,
    /// What else makes the exit code 1
    #[arg(long, value_enum)]
    pub(crate) deny: Vec<Deny>,
    /// Fail when gates and expectations cover less of the steps, such as `100%`
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) min_coverage: Option<PartsPerMillion>,
    /// Also show the files read, what is allowed and why, and the table of gate coverage
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(clap::Args)]
pub(crate) struct Graph {
    /// The plan
    pub(crate) plan: String,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// How to draw it
    #[arg(long, default_value = "tree", value_parser = names(show::FORMATS.iter().map(|f| f.name)))]
    pub(crate) format: String,
}

#[derive(clap::Args)]
pub(crate) struct Compile {
    /// The plan
    pub(crate) plan: String,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// File to write, `-` for standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: String,
}

#[derive(clap::Args)]
pub(crate) struct Diff {
    /// The old and the new plan; with --base the plan alone
    #[arg(required = true, num_args = 1..=2, value_names = ["OLD", "NEW"])]
    pub(crate) plans: Vec<String>,
    /// Revision of the git repository to compare the plan with
    #[arg(long, value_name = "REV")]
    pub(crate) base: Option<String>,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// How to write what was found
    #[arg(long, default_value = "terminal", value_parser = names(diff::render::FORMATS.iter().map(|f| f.name)))]
    pub(crate) format: String,
}

#[derive(clap::Args)]
pub(crate) struct Fmt {
    /// Plans or fixture files; `-` for standard input, which goes to standard output
    #[arg(required = true, value_name = "PLAN")]
    pub(crate) plans: Vec<String>,
    /// Write nothing; exit 1 and tell which files are not formatted
    #[arg(long)]
    pub(crate) check: bool,
    /// Write nothing; print all that would change
    #[arg(long)]
    pub(crate) diff: bool,
}

#[derive(clap::Args)]
pub(crate) struct Workflow {
    /// The plan, seen from the repository's root
    pub(crate) plan: String,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// When it runs by itself: five fields of cron in UTC, such as "30 2 * * *"
    #[arg(long, value_name = "CRON", value_parser = schedule)]
    pub(crate) schedule: Option<planc::workflow::Schedule>,
    /// Label of the machine that runs it (default: ubuntu-24.04)
    #[arg(long, value_name = "LABEL")]
    pub(crate) runs_on: Option<String>,
    /// Command that puts planc and runner on the PATH
    #[arg(long, value_name = "COMMAND")]
    pub(crate) install: Option<String>,
    /// File to write; standard output without it
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct Import {
    /// What the file is
    #[arg(value_enum)]
    pub(crate) kind: ImportOf,
    /// OpenAPI 3.0 or 3.1, YAML or JSON; or SQL scripts with `INSERT`s
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<String>,
    /// Plan to write, or folder for the fixtures of SQL; standard output without it
    #[arg(short, long, value_name = "PLAN|DIR")]
    pub(crate) output: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ImportOf {
    /// A plan from an OpenAPI file
    Openapi,
    /// Fixtures from hand-written SQL seeds
    Sql,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Explain {
    /// A code or a name: `P0102`, `missing-unit`
    pub(crate) code: Option<String>,
    /// List all codes
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(clap::Args)]
pub(crate) struct Inputs {
    /// Profile of the plan (default: all for check and diff, `default` otherwise)
    #[arg(long)]
    pub(crate) profile: Option<String>,
    /// Value of an input; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) set: Vec<(String, String)>,
    /// Day against which the `until` of every `allow` is held (default: the current day in UTC)
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) today: Option<jiff::civil::Date>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Deny {
    /// Warnings count as errors
    Warnings,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum SchemaOf {
    Plan,
    Fixture,
    Test,
    Suite,
}

impl Inputs {
    /// What the library is told of them.
    pub(crate) fn options(&self, env: BTreeMap<String, String>, require_inputs: bool) -> Options {
        Options {
            profile: self.profile.clone(),
            set: self.set.clone(),
            env,
            require_inputs,
            today: Some(self.today.unwrap_or_else(today)),
        }
    }
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
