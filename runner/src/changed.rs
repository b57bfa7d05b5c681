//! What has changed in the repository since a revision, and whether a plan wants to be run for it. When in doubt it is run:
//! only what is known not to concern a plan leaves it out.

use planc::globs;
use planc::graph::WhenToRun;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output};

/// Variables in which CI says the branch of a checkout that is on none.
const BRANCH_VARIABLES: [&str; 2] = ["GITHUB_REF_NAME", "CI_COMMIT_BRANCH"];

/// The changes of one repository.
pub struct Changes {
    /// The revision as it was named.
    base: String,
    root: PathBuf,
    /// Paths from the root.
    files: Vec<String>,
    /// None where nobody says it.
    branch: Option<String>,
}

/// What becomes of a plan.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is run; why, for people.
    Run(String),
    /// It is left out; why, for people.
    Skip(String),
}

impl Changes {
    /// All that differs from where `base` and the present parted, what is not committed included.
    ///
    /// # Errors
    /// No git, no repository, no such revision, or no common past: then nobody knows what changed.
    pub fn since(base: &str, plan: &Path, env: &BTreeMap<String, String>) -> Result<Changes, String> {
        let folder = plan.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let root = git(folder, &["rev-parse", "--show-toplevel"])?;
        if !root.status.success() {
            let why = last_line(&root.stderr);
            return Err(format!("`{}` is not in a git repository: {why}", plan.display()));
        }
        let root = PathBuf::from(String::from_utf8_lossy(&root.stdout).trim_end_matches('\n'));
        let wanted = format!("{base}^{{commit}}");
        let commit = git(&root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])?;
        if !commit.status.success() {
            let shown = root.display();
            return Err(format!("`{base}` is no revision of `{shown}`: fetch it, or name another"));
        }
        let commit = String::from_utf8_lossy(&commit.stdout).trim().to_owned();
        let range = format!("{commit}...HEAD");
        let committed = ["diff", "--name-only", "-z", "--no-renames", range.as_str(), "--"];
        let mut files = names(&root, &committed).map_err(|why| {
            format!("what changed since `{base}` cannot be told: {why} (in CI, fetch the whole history)")
        })?;
        files.extend(names(&root, &["diff", "--name-only", "-z", "--no-renames", "HEAD", "--"])?);
        files.extend(names(&root, &["ls-files", "-z", "--others", "--exclude-standard"])?);
        files.sort();
        files.dedup();
        let head = git(&root, &["symbolic-ref", "--quiet", "--short", "HEAD"])?;
        let branch = match head.status.success() {
            true => Some(String::from_utf8_lossy(&head.stdout).trim().to_owned()),
            false => BRANCH_VARIABLES.iter().find_map(|name| env.get(*name)).cloned(),
        };
        Ok(Changes { base: base.to_owned(), root, files, branch })
    }

    /// Whether a plan is to be run. `own` are the files that it is made of: when one of them changed, it is.
    pub fn decide(&self, when: Option<&WhenToRun>, own: &[PathBuf]) -> Decision {
        let Some(WhenToRun { paths, always_on }) = when else {
            return Decision::Run("it has no `when_to_run`".into());
        };
        if !always_on.is_empty() {
            match &self.branch {
                Some(branch) if always_on.iter().any(|pattern| globs::matches(pattern, branch)) => {
                    return Decision::Run(format!("on `{branch}` it always is"));
                }
                Some(_) => {}
                None => return Decision::Run("nobody says which branch this is".into()),
            }
        }
        let wanted = |file: &&String| paths.iter().any(|pattern| globs::matches(pattern, file));
        if let Some(file) = self.files.iter().find(wanted) {
            return Decision::Run(format!("`{file}` changed since {}", self.base));
        }
        let own: Vec<String> = own.iter().filter_map(|path| self.in_repository(path)).collect();
        if let Some(file) = self.files.iter().find(|file| own.contains(file)) {
            return Decision::Run(format!("the plan's own `{file}` changed since {}", self.base));
        }
        let base = &self.base;
        Decision::Skip(match paths.as_slice() {
            [one] => format!("nothing in {one} changed since {base}"),
            _ => format!("nothing in any of {} changed since {base}", paths.join(", ")),
        })
    }

    fn in_repository(&self, path: &Path) -> Option<String> {
        absolute(path).strip_prefix(&self.root).ok()?.to_str().map(str::to_owned)
    }
}

/// The names that a command of git lists between zero bytes. One that is not UTF-8 is kept as well as it can be.
fn names(root: &Path, arguments: &[&str]) -> Result<Vec<String>, String> {
    let output = git(root, arguments)?;
    if !output.status.success() {
        return Err(last_line(&output.stderr));
    }
    let parts = output.stdout.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    Ok(parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect())
}

fn git(folder: &Path, arguments: &[&str]) -> Result<Output, String> {
    Command::new("git").arg("-C").arg(folder).args(arguments).output().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "`--if-changed` needs git, and there is no `git` in PATH".to_owned(),
        _ => format!("cannot start git: {e}"),
    })
}

fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim().lines().last().unwrap_or("git said nothing").to_owned()
}

/// Links in its folders followed, as git does; the file itself may be one.
fn absolute(path: &Path) -> PathBuf {
    let name = path.components().next_back().filter(|part| matches!(part, Component::Normal(_)));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), name) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(files: &[&str], branch: Option<&str>) -> Changes {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        Changes { base: "main".into(), root: "/repo".into(), files, branch: branch.map(str::to_owned) }
    }

    fn when(paths: &[&str], always_on: &[&str]) -> WhenToRun {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        WhenToRun { paths: owned(paths), always_on: owned(always_on) }
    }

    #[test]
    fn only_what_is_known_not_to_concern_a_plan_leaves_it_out() {
        let shop = when(&["shop/**"], &[]);
        let main = when(&["shop/**"], &["main", "release/*"]);
        let skipped = Decision::Skip("nothing in shop/** changed since main".into());
        for (changes, when, wanted) in [
            (changes(&["docs/a.md"], Some("x")), Some(&shop), skipped),
            (changes(&[], Some("x")), None, Decision::Run("it has no `when_to_run`".into())),
            (
                changes(&["shop/a.rs"], Some("x")),
                Some(&shop),
                Decision::Run("`shop/a.rs` changed since main".into()),
            ),
            (changes(&[], Some("main")), Some(&main), Decision::Run("on `main` it always is".into())),
            (
                changes(&[], Some("release/2")),
                Some(&main),
                Decision::Run("on `release/2` it always is".into()),
            ),
            (changes(&[], None), Some(&main), Decision::Run("nobody says which branch this is".into())),
            (
                changes(&["plans/storm.yaml"], Some("x")),
                Some(&shop),
                Decision::Run("the plan's own `plans/storm.yaml` changed since main".into()),
            ),
        ] {
            assert_eq!(changes.decide(when, &["/repo/plans/storm.yaml".into()]), wanted);
        }
    }
}
