//! A scheduled workflow (GitHub Actions; Forgejo and Gitea read it too) that runs a plan: its secrets and variables, its
//! inputs for whoever starts it by hand, the report in the step summary, the evidence as an artifact.

use crate::ast::{self, InputType};
use crate::diagnostic::Diagnostics;
use crate::graph::{ExecutionGraph, Json};
use crate::source::SourceMap;
use crate::{Files, Options, compile, parse, show};
use std::fmt::Write;

/// Inputs that a run by hand can give: GitHub takes so many.
const MOST_INPUTS: usize = 10;
/// Minutes for all that is not load: services, seeding, preflight, reports.
const BESIDE: u64 = 20;

/// When a workflow runs: five fields of cron, in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(String);

/// What a workflow is made for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// When it runs by itself.
    pub schedule: Option<Schedule>,
    /// Label of the machine; the usual one without it.
    pub runs_on: Option<String>,
    /// A command that puts `planc` and `runner` on the PATH.
    pub install: Option<String>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Written {
    /// The texts that were read.
    pub sources: SourceMap,
    /// What is wrong with the plan.
    pub diagnostics: Diagnostics,
    /// The workflow, unless there is an error.
    pub text: Option<String>,
}

/// Names of months and days that cron takes, from their first number on.
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Field, its range and the names that stand for numbers from the range's beginning on.
const FIELDS: [(&str, u32, u32, &[&str]); 5] = [
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day of the month", 1, 31, &[]),
    ("month", 1, 12, &MONTHS),
    ("day of the week", 0, 6, &DAYS),
];

impl std::str::FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        if parts.len() != FIELDS.len() {
            let message =
                "a schedule has five fields: minute, hour, day of the month, month, day of the week";
            return Err(format!("{message}; write \"30 2 * * *\" for 02:30 UTC every day"));
        }
        for (part, (name, from, to, words)) in parts.iter().zip(FIELDS) {
            for item in part.split(',') {
                let (range, step) = item.split_once('/').map_or((item, None), |(r, s)| (r, Some(s)));
                let number = |text: &str| {
                    let word = words.iter().position(|word| text.eq_ignore_ascii_case(word));
                    let number = word.map(|at| at as u32 + from).or_else(|| text.parse().ok());
                    number.filter(|number| (from..=to).contains(number))
                };
                let fine = range == "*"
                    || match range.split_once('-') {
                        Some((low, high)) => number(low).zip(number(high)).is_some_and(|(l, h)| l <= h),
                        None => number(range).is_some(),
                    };
                let stepped = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0));
                if !fine || !stepped {
                    return Err(format!(
                        "`{item}` is not a {name}: write {from} to {to}, `*`, `a-b` or `*/n`"
                    ));
                }
            }
        }
        Ok(Schedule(parts.join(" ")))
    }
}

/// Writes the workflow of a plan. `path` is seen from the repository's root, where the workflow runs.
pub fn github(files: &dyn Files, path: &str, options: &Options, wanted: &Wanted) -> Written {
    let done = compile(files, path, options);
    let mut out = Written { sources: done.sources, diagnostics: done.diagnostics, text: None };
    let plan = parse::load_plan(files, path).plan;
    if let (Some(graph), Some(plan)) = (done.graph, plan) {
        out.text = Some(text(&graph, &plan.inputs, path, options.profile.as_deref(), wanted));
    }
    out
}

fn text(
    graph: &ExecutionGraph,
    inputs: &[ast::Input],
    path: &str,
    profile: Option<&str>,
    wanted: &Wanted,
) -> String {
    let by_hand: Vec<&ast::Input> =
        inputs.iter().filter(|input| input.kind != Some(InputType::Secret)).take(MOST_INPUTS).collect();
    let profile = profile.map(|profile| format!(" --profile {}", shell(profile))).unwrap_or_default();
    let mut command = format!("planc workflow {}{profile}", shell(path));
    if let Some(Schedule(cron)) = &wanted.schedule {
        let _ = write!(command, " --schedule \"{cron}\"");
    }
    let mut out = format!(
        "# Written by `{command}`: write it again when the plan's inputs change.\nname: {}\non:\n",
        json(&format!("load test: {}", graph.plan))
    );
    if let Some(Schedule(cron)) = &wanted.schedule {
        let _ = writeln!(out, "  schedule:\n    - cron: {} # UTC", json(cron));
    }
    out.push_str("  workflow_dispatch:\n");
    if !by_hand.is_empty() {
        out.push_str("    inputs:\n");
    }
    for input in &by_hand {
        let name = &input.name.value;
        let now = graph.inputs.get(name).map(plain).filter(|value| !value.is_empty());
        let told = now.map_or_else(|| "no value in the plan".into(), |value| format!("{value} in the plan"));
        let _ = writeln!(out, "      {name}: {{ description: {}, required: false }}", json(&told));
    }
    let minutes = show::outline(graph).duration.1.as_secs().div_ceil(60) + BESIDE;
    let _ = write!(
        out,
        "permissions: {{ contents: read }}\nconcurrency: {{ group: {}, cancel-in-progress: false }}\njobs:\n  load:\n    \
         runs-on: {}\n    timeout-minutes: {minutes}\n",
        json(&format!("load-test-{}", graph.plan)),
        wanted.runs_on.as_deref().unwrap_or("ubuntu-24.04")
    );
    environment(&mut out, inputs, &by_hand);
    out.push_str("    steps:\n      - uses: actions/checkout@v4\n");
    match &wanted.install {
        Some(install) => {
            let _ = writeln!(out, "      - name: install planc and runner\n        run: {}", json(install));
        }
        None => out.push_str(
            "      # The machine must have both: name the command that puts them there with `--install`.\n      \
             - name: planc and runner are there\n        run: planc --version && runner --version\n",
        ),
    }
    let set: String = by_hand
        .iter()
        .map(|input| {
            let name = &input.name.value;
            format!(" \\\n            ${{{}:+--set \"{name}=${}\"}}", variable(name), variable(name))
        })
        .collect();
    let path = shell(path);
    let (before, after) = history(graph, &path, &profile);
    out.push_str(&before);
    let _ = write!(
        out,
        "      - name: the plan is sound\n        run: planc check {path} --deny warnings\n      \
         - name: load\n        run: |\n          runner apply {path}{profile} --out load-test{set}\n      \
         - name: summary\n        if: always() && hashFiles('load-test/evidence.json') != ''\n        \
         run: runner report load-test --format markdown >> \"$GITHUB_STEP_SUMMARY\"\n{after}      \
         - uses: actions/upload-artifact@v4\n        if: always()\n        with:\n          name: load-test\n          \
         path: |\n            load-test\n            {}\n          if-no-files-found: warn\n          retention-days: 30\n",
        path.trim_matches('\'')
    );
    out
}

/// For a plan that asks for a streak: what brings the history of earlier runs, and what keeps and tells it. A run by hand
/// sees it and is no part of it.
fn history(graph: &ExecutionGraph, path: &str, profile: &str) -> (String, String) {
    if graph.history.is_none() {
        return Default::default();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let key: String = graph.plan.chars().map(plain).collect();
    let key = format!("load-test-history-{key}-");
    let before = format!(
        "      - name: the history of earlier runs\n        uses: actions/cache/restore@v4\n        with:\n          \
         path: .runner/history\n          key: {key}${{{{ github.run_id }}}}\n          restore-keys: {key}\n"
    );
    let after = format!(
        "      - name: streak\n        if: always()\n        run: |\n          \
         echo '```' >> \"$GITHUB_STEP_SUMMARY\"\n          \
         runner history {path}{profile} --no-color >> \"$GITHUB_STEP_SUMMARY\"\n          \
         echo '```' >> \"$GITHUB_STEP_SUMMARY\"\n      - name: keep the history\n        \
         if: always() && github.event_name == 'schedule'\n        uses: actions/cache/save@v4\n        with:\n          \
         path: .runner/history\n          key: {key}${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}\n"
    );
    (before, after)
}

/// Secrets from the repository's secrets, other inputs with `env` from its variables, those by hand from the form.
fn environment(out: &mut String, inputs: &[ast::Input], by_hand: &[&ast::Input]) {
    let mut lines = Vec::new();
    for input in inputs {
        let Some(env) = &input.env else { continue };
        let env = &env.value;
        let default = input.default.as_ref().map(|raw| raw.text.clone());
        let value = match (input.kind, default) {
            (Some(InputType::Secret), _) => format!("secrets.{env}"),
            // An empty variable would be an empty value, not the plan's own.
            (_, Some(default)) => format!("vars.{env} || '{}'", default.replace('\'', "''")),
            (_, None) => format!("vars.{env}"),
        };
        lines.push(format!("      {env}: ${{{{ {value} }}}}\n"));
    }
    for input in by_hand {
        let name = &input.name.value;
        // By way of the environment: what someone types into a form is no part of a script.
        lines.push(format!("      {}: ${{{{ inputs.{name} }}}}\n", variable(name)));
    }
    if !lines.is_empty() {
        out.push_str("    env:\n");
        lines.iter().for_each(|line| out.push_str(line));
    }
}

fn variable(name: &str) -> String {
    format!("BY_HAND_{}", name.to_ascii_uppercase().replace('-', "_"))
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

fn json(text: &str) -> String {
    Json::from(text).to_string()
}

/// A word of a shell.
fn shell(text: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_./=:".contains(c);
    if !text.is_empty() && text.chars().all(fine) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn schedules() {
        for fine in ["30 2 * * *", "*/15 0-6 1,15 jan-MAR mon-fri", "0 0 31 12 6", "5/10 * * * *"] {
            assert!(fine.parse::<Schedule>().is_ok(), "{fine}");
        }
        for (wrong, wanted) in [
            ("30 2 * *", "five fields"),
            ("60 2 * * *", "`60` is not a minute"),
            ("0 24 * * *", "`24` is not a hour"),
            ("0 0 0 * *", "`0` is not a day of the month"),
            ("0 0 * foo *", "`foo` is not a month"),
            ("0 0 * * 5-1", "`5-1` is not a day of the week"),
            ("*/0 * * * *", "`*/0` is not a minute"),
            ("@daily", "five fields"),
        ] {
            let told = wrong.parse::<Schedule>().expect_err(wrong);
            assert!(told.contains(wanted), "{wrong}: {told}");
        }
    }
}
