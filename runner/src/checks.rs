//! Evaluates a check: looks at the world, compares with what is expected, tries again while it may.
//!
//! Three outcomes beside passing are told apart, since each has another cure: what was looked at is
//! there and different, is not there, or could not be reached.

use crate::client::{Filled, Reply, Web, WebError, fill};
use crate::database;
use crate::evidence::NodeOutcome;
use crate::expect::{self, Observed, Outcome3, shorten};
use crate::program::{self, Ended, Unended};
use crate::seeding;
use crate::values::Values;
use planc::eval;
use planc::graph::{
    Check, ExecutionGraph, Expectation, Expected, Json, Matcher, PostgresFacts, Probe, Template,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Shortest and longest pause between two tries.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));
/// Time that a program may take when the check says nothing.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How it compares.
    pub outcome: NodeOutcome,
    /// What was seen, for people; not masked yet.
    pub detail: String,
}

/// The world as checks see it.
#[derive(Clone)]
pub struct Prober<'a> {
    /// For `foreign_rows`: which rows are ours.
    pub graph: &'a ExecutionGraph,
    /// HTTP, when there is a target or service.
    pub web: Option<&'a Web>,
    /// Base URL of paths.
    pub base: Option<&'a str>,
    /// URL of the plan's database.
    pub database: Option<&'a str>,
    /// Names in scope.
    pub values: Values,
    /// Environment of programs: PATH, HOME, LANG, TMPDIR are taken from it.
    pub env: &'a BTreeMap<String, String>,
    /// Relative paths start here.
    pub folder: &'a Path,
}

impl Seen {
    pub(crate) fn new(outcome: NodeOutcome, detail: impl Into<String>) -> Self {
        Seen { outcome, detail: detail.into() }
    }

    fn passed(detail: impl Into<String>) -> Self {
        Seen::new(NodeOutcome::Passed, detail)
    }
}

impl Prober<'_> {
    /// Evaluates a check, again and again for as long as `within` says.
    pub async fn evaluate(&self, check: &Check) -> Seen {
        self.evaluate_unless(check, &mut || None).await
    }

    /// The same, giving up at once when `gone` tells a reason.
    pub async fn evaluate_unless(
        &self,
        check: &Check,
        gone: &mut (dyn FnMut() -> Option<String> + Send),
    ) -> Seen {
        let start = Instant::now();
        let limit = check.within.unwrap_or_default();
        let mut pause = BACKOFF.0;
        loop {
            let seen = self.once(check, limit.saturating_sub(start.elapsed())).await;
            if seen.outcome == NodeOutcome::Passed {
                return seen;
            }
            if let Some(reason) = gone() {
                return Seen::new(NodeOutcome::Unreachable, reason);
            }
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                let waited = check.within.map(planc::units::show_duration);
                let waited = waited.map(|time| format!(" (tried for {time})")).unwrap_or_default();
                return Seen { detail: format!("{}{waited}", seen.detail), ..seen };
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    async fn once(&self, check: &Check, left: Duration) -> Seen {
        match &check.probe {
            Probe::Http(request) => match fill(request, self.base, &self.values) {
                Ok(mut filled) => {
                    if check.within.is_some() && filled.timeout.is_none() {
                        // A server that accepts and hangs must not eat the whole time of a readiness check.
                        filled.timeout = Some(left.clamp(Duration::from_millis(100), Duration::from_secs(5)));
                    }
                    self.http(&filled, &check.expect).await
                }
                Err(why) => Seen::new(NodeOutcome::Failed, why),
            },
            Probe::Sql { statement } => self.sql(statement, &check.expect).await,
            Probe::Postgres(facts) => self.facts(facts).await,
            Probe::Command { argv, env } => self.command(argv, env, &check.expect, check.within).await,
            Probe::File { path } => self.file(path, &check.expect),
        }
    }

    async fn http(&self, request: &Filled, expect: &[Expectation]) -> Seen {
        let Some(web) = self.web else {
            return Seen::new(NodeOutcome::Failed, "the plan has no `target` to ask");
        };
        match web.send(request).await {
            Ok(reply) => compare_reply(&reply, expect, &self.values),
            Err(WebError::Unreachable(why) | WebError::Unconnected(why)) => {
                Seen::new(NodeOutcome::Unreachable, why)
            }
            Err(error) => Seen::new(NodeOutcome::Failed, error.to_string()),
        }
    }

    async fn sql(&self, statement: &Template, expect: &[Expectation]) -> Seen {
        let Some(url) = self.database else {
            return Seen::new(NodeOutcome::Failed, "the plan has no `database` to ask");
        };
        let client = match database::connect(url).await {
            Ok(client) => client,
            Err(why) => return Seen::new(NodeOutcome::Unreachable, why),
        };
        match database::query(client, statement, &self.values).await {
            Ok(answer) => compare(expect, &self.values, "", |what| match what {
                Expected::Rows(matcher) => Some((matcher, Some(Json::from(answer.rows)))),
                Expected::Value(matcher) => Some((matcher, answer.value.clone())),
                _ => None,
            })
            .unwrap_or_else(|| Seen::passed(format!("{} rows", answer.rows))),
            Err(why) => Seen::new(NodeOutcome::Failed, why),
        }
    }

    async fn facts(&self, facts: &PostgresFacts) -> Seen {
        let Some(url) = self.database else {
            return Seen::new(NodeOutcome::Failed, "the plan has no `database` to ask");
        };
        let client = match database::connect(url).await {
            Ok(client) => client,
            Err(why) => return Seen::new(NodeOutcome::Unreachable, why),
        };
        let failed = |why: String| Seen::new(NodeOutcome::Failed, why);
        let mut told = Vec::new();
        if let Some(pattern) = &facts.database {
            match database::name(&client).await {
                Ok(name) if database::like(pattern, &name) => told.push(format!("database `{name}`")),
                Ok(name) => {
                    let text = format!("the database is named `{name}`, which is not `{pattern}`");
                    return Seen::new(NodeOutcome::Different, text);
                }
                Err(why) => return failed(why),
            }
        }
        for ceiling in &facts.foreign_rows {
            let (table, limit) = (&ceiling.table, ceiling.at_most);
            match seeding::foreign_rows(&client, self.graph, &self.values, table).await {
                Ok(rows) if rows <= limit => told.push(format!("{rows} foreign rows in `{table}`")),
                Ok(rows) => {
                    let text =
                        format!("`{table}` holds {rows} rows that are not ours, at most {limit} are allowed");
                    return Seen::new(NodeOutcome::Different, text);
                }
                Err(why) => return failed(why),
            }
        }
        if let Some(wanted) = facts.free_connections {
            match database::free_connections(&client).await {
                Ok(free) if free >= i64::from(wanted) => told.push(format!("{free} connections free")),
                Ok(free) => {
                    let text = format!("{free} connections are free, {wanted} are wanted");
                    return Seen::new(NodeOutcome::Different, text);
                }
                Err(why) => return failed(why),
            }
        }
        Seen::passed(told.join(", "))
    }

    async fn command(
        &self,
        argv: &[Template],
        env: &BTreeMap<String, Template>,
        expect: &[Expectation],
        within: Option<Duration>,
    ) -> Seen {
        let render = |part: &Template| eval::render(part, &self.values);
        let argv: Result<Vec<String>, _> = argv.iter().map(render).collect();
        let argv = match argv {
            Ok(argv) if !argv.is_empty() => argv,
            Ok(_) => return Seen::new(NodeOutcome::Failed, "no program is named"),
            Err(error) => return Seen::new(NodeOutcome::Failed, error.0),
        };
        let mut own = Vec::new();
        for (name, template) in env {
            match render(template) {
                Ok(value) => own.push((name, value)),
                Err(error) => return Seen::new(NodeOutcome::Failed, error.0),
            }
        }
        let mut command = tokio::process::Command::new(&argv[0]);
        command.args(&argv[1..]).current_dir(self.folder).env_clear();
        command.envs(minimal_env(self.env)).envs(own);
        let limit = within.unwrap_or(COMMAND_LIMIT).max(Duration::from_secs(1));
        let (status, stdout, stderr) = match program::run(command, limit).await {
            Ok(Ended { status, stdout, stderr }) => (status, stdout, stderr),
            Err(Unended::Absent) => {
                return Seen::new(NodeOutcome::Absent, format!("program `{}` was not found", argv[0]));
            }
            Err(Unended::TooLong) => {
                let text = format!("`{}` did not end within {}", argv[0], planc::units::show_duration(limit));
                return Seen::new(NodeOutcome::Unreachable, text);
            }
            Err(Unended::TooMuch) => {
                let text = format!("`{}` wrote more than {} MiB", argv[0], program::MOST >> 20);
                return Seen::new(NodeOutcome::Failed, text);
            }
            Err(Unended::Other(why)) => {
                return Seen::new(NodeOutcome::Failed, format!("cannot run `{}`: {why}", argv[0]));
            }
        };
        let code = status.code().map(Json::from);
        let told = || {
            let code = status.code().map_or_else(|| status.to_string(), |c| format!("exit code {c}"));
            if stderr.is_empty() { code } else { format!("{code}: {}", shorten(&stderr, 200)) }
        };
        let mut seen = compare(expect, &self.values, &stdout, |what| match what {
            Expected::ExitCode(matcher) => Some((matcher, code.clone())),
            Expected::Stdout(matcher) => Some((matcher, Some(Json::from(stdout.clone())))),
            _ => None,
        });
        let asks_for_code =
            expect.iter().any(|expectation| matches!(expectation.what, Expected::ExitCode(_)));
        if seen.is_none() && !asks_for_code && !status.success() {
            seen = Some(Seen::new(NodeOutcome::Different, told()));
        }
        match seen {
            None => Seen::passed(told()),
            Some(seen) if stderr.is_empty() => seen,
            Some(seen) => Seen { detail: format!("{}; {}", seen.detail, shorten(&stderr, 200)), ..seen },
        }
    }

    fn file(&self, path: &Template, expect: &[Expectation]) -> Seen {
        let path = match eval::render(path, &self.values) {
            Ok(path) => path,
            Err(error) => return Seen::new(NodeOutcome::Failed, error.0),
        };
        let place: PathBuf = self.folder.join(&path);
        let exists = place.exists();
        for expectation in expect {
            if let Expected::FileExists(wanted) = &expectation.what
                && *wanted != exists
            {
                return match exists {
                    true => Seen::new(NodeOutcome::Different, format!("`{path}` is there")),
                    false => Seen::new(NodeOutcome::Absent, format!("`{path}` is not there")),
                };
            }
        }
        let reads = expect.iter().any(|e| matches!(e.what, Expected::Body(_) | Expected::Json { .. }));
        let wants_absence = expect.iter().any(|e| matches!(e.what, Expected::FileExists(false)));
        if !reads {
            return match exists || wants_absence {
                true => Seen::passed(format!("`{path}` is as expected")),
                false => Seen::new(NodeOutcome::Absent, format!("`{path}` is not there")),
            };
        }
        let text = match std::fs::read(&place) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).trim_end().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Seen::new(NodeOutcome::Unreachable, format!("cannot read `{path}`: {error}"));
            }
        };
        compare(expect, &self.values, text.as_deref().unwrap_or_default(), |what| match what {
            Expected::Body(matcher) => Some((matcher, text.clone().map(Json::from))),
            _ => None,
        })
        .unwrap_or_else(|| Seen::passed(format!("`{path}` is as expected")))
    }
}

/// Compares an answer with expectations; without any, 2xx and 3xx pass.
pub(crate) fn compare_reply(reply: &Reply, expect: &[Expectation], values: &Values) -> Seen {
    let observed = Observed::new(Some(reply.status), &reply.headers, &reply.body, reply.elapsed);
    let mut wrong = Wrong::default();
    for expectation in expect {
        wrong.take(&expectation.name, expect::check(expectation, &observed, values));
    }
    let asks_for_status = expect.iter().any(|expectation| matches!(expectation.what, Expected::Status(_)));
    if !asks_for_status && !(200..400).contains(&reply.status) {
        let seen = format!("status {}", reply.status);
        wrong.take("status is 2xx or 3xx", Outcome3::Different { seen });
    }
    wrong.seen().unwrap_or_else(|| {
        Seen::passed(format!("status {} in {} ms", reply.status, reply.elapsed.as_millis()))
    })
}

/// PATH, HOME, LANG and TMPDIR of the environment: what programs get to see of it.
pub(crate) fn minimal_env(env: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    const KEPT: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];
    env.iter().filter(|(name, _)| KEPT.contains(&name.as_str()))
}

/// Compares values with the expectations that `look` knows, and those on JSON with `document`; `None` when all hold.
fn compare<'e>(
    expect: &'e [Expectation],
    values: &Values,
    document: &str,
    look: impl Fn(&'e Expected) -> Option<(&'e Matcher, Option<Json>)>,
) -> Option<Seen> {
    let mut wrong = Wrong::default();
    let headers = http::HeaderMap::new();
    let document = Observed::new(None, &headers, document.as_bytes(), Duration::ZERO);
    for expectation in expect {
        if matches!(expectation.what, Expected::Json { .. }) {
            wrong.take(&expectation.name, expect::check(expectation, &document, values));
            continue;
        }
        let Some((matcher, value)) = look(&expectation.what) else { continue };
        let outcome = match &value {
            // What a program or file says is text, but `exit code 0` and a number in a file are meant as such.
            Some(Json::String(text)) => expect::matches_text(matcher, Some(text), values),
            other => expect::matches(matcher, other.as_ref(), values),
        };
        wrong.take(&expectation.name, outcome);
    }
    wrong.seen()
}

/// Expectations that do not hold. The first decides the outcome, all are told.
#[derive(Default)]
struct Wrong {
    outcome: Option<NodeOutcome>,
    told: Vec<String>,
}

impl Wrong {
    fn take(&mut self, name: &str, outcome: Outcome3) {
        let (outcome, told) = match outcome {
            Outcome3::Holds => return,
            Outcome3::Different { seen } => (NodeOutcome::Different, format!("expected {name}, saw {seen}")),
            Outcome3::Absent { what } => (NodeOutcome::Absent, format!("expected {name}, {what} is absent")),
        };
        self.outcome.get_or_insert(outcome);
        self.told.push(told);
    }

    fn seen(self) -> Option<Seen> {
        Some(Seen::new(self.outcome?, self.told.join("; ")))
    }
}
