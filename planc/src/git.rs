//! Texts as a revision of the repository has them.

use planc::Files;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output};

/// One revision of the repository that a plan lies in.
pub(crate) struct Git {
    root: PathBuf,
    /// The commit's full id: what is read does not change while it is read.
    commit: String,
}

impl Git {
    /// Finds the repository of a plan and what `revision` means in it.
    pub(crate) fn open(plan: &str, revision: &str) -> Result<Self, String> {
        let folder = absolute(plan)?.parent().map(Path::to_path_buf).unwrap_or_default();
        if !folder.is_dir() {
            return Err(format!("there is no folder `{}`", folder.display()));
        }
        let root = run(&folder, &["rev-parse", "--show-toplevel"])?;
        if !root.status.success() {
            return Err(format!("`{plan}` is not in a git repository: {}", last_line(&root.stderr)));
        }
        let root = PathBuf::from(String::from_utf8_lossy(&root.stdout).trim_end_matches('\n'));
        let wanted = format!("{revision}^{{commit}}");
        let commit = run(&root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])?;
        if !commit.status.success() {
            return Err(format!(
                "`{revision}` is no revision of `{}`: fetch it, or name another with `--base`",
                root.display()
            ));
        }
        Ok(Git { root, commit: String::from_utf8_lossy(&commit.stdout).trim().to_string() })
    }

    /// Whether the revision has the file.
    pub(crate) fn has(&self, path: &str) -> Result<bool, String> {
        let object = self.object(path)?;
        Ok(run(&self.root, &["cat-file", "-e", &object])?.status.success())
    }

    /// `<commit>:plans/storm.yaml`.
    fn object(&self, path: &str) -> Result<String, String> {
        let absolute = absolute(path)?;
        let relative = absolute
            .strip_prefix(&self.root)
            .map_err(|_| format!("it lies outside of the repository `{}`", self.root.display()))?;
        let relative = relative.to_str().ok_or("its path is not UTF-8")?;
        Ok(format!("{}:{relative}", self.commit))
    }
}

impl Files for Git {
    fn read(&self, path: &str) -> Result<String, String> {
        let object = self.object(path)?;
        if !self.has(path)? {
            let short: String = self.commit.chars().take(12).collect();
            return Err(format!("it is not in revision {short}"));
        }
        let shown = run(&self.root, &["cat-file", "blob", &object])?;
        if !shown.status.success() {
            return Err(last_line(&shown.stderr));
        }
        String::from_utf8(shown.stdout)
            .map_err(|e| format!("not UTF-8 text at byte {}", e.utf8_error().valid_up_to()))
    }
}

fn run(folder: &Path, arguments: &[&str]) -> Result<Output, String> {
    Command::new("git").arg("-C").arg(folder).args(arguments).output().map_err(|e| match e.kind() {
        ErrorKind::NotFound => "`--base` needs git, and there is no `git` in PATH".to_string(),
        _ => format!("cannot start git: {e}"),
    })
}

fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim().lines().last().unwrap_or("git said nothing").to_string()
}

/// The path from the root of the disk, links in the folders that exist followed as git does. The file itself need not exist.
fn absolute(path: &str) -> Result<PathBuf, String> {
    let here = std::env::current_dir().map_err(|e| e.to_string())?;
    let mut out = PathBuf::new();
    for part in here.join(path).components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    let name = out.file_name().map(ToOwned::to_owned);
    match (out.parent().and_then(|folder| folder.canonicalize().ok()), name) {
        (Some(folder), Some(name)) => Ok(folder.join(name)),
        _ => Ok(out),
    }
}
