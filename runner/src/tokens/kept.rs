//! Tokens that are kept between runs: a service tells most of them once, and issuing one a run would litter it.
//!
//! One file a token, readable by its owner alone, in `$XDG_STATE_HOME/planc/tokens` or `~/.local/state/planc/tokens`.

use planc::expr::{Expr, Segment};
use planc::graph::{ExecutionGraph, Template, TokenSource};
use planc::show;
use serde::{Deserialize, Serialize};
use sha2::Digest;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where tokens of this user are kept, and what time it is.
#[derive(Debug, Clone)]
pub struct Store {
    folder: Option<PathBuf>,
    /// Seconds since 1970.
    now: i64,
}

/// A token from an earlier run.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The token itself.
    pub token: String,
    /// Seconds since 1970.
    pub issued: i64,
}

/// What the store has for a token.
#[derive(Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// One that may still live.
    Kept(Kept),
    /// One that is not to be used, and why.
    Unfit(String),
}

impl Store {
    /// The store of the user whose environment this is.
    pub fn of(env: &BTreeMap<String, String>, now_micros: i64) -> Store {
        Store { folder: state_folder(env).map(|state| state.join("tokens")), now: now_micros / 1_000_000 }
    }

    /// The token under a key, if it lives for `needed` more.
    pub fn find(&self, key: &str, ttl: Option<Duration>, needed: Duration) -> Found {
        let Some(path) = self.path(key) else { return Found::Nothing };
        let Ok(meta) = fs::symlink_metadata(&path) else { return Found::Nothing };
        if !meta.is_file() || meta.permissions().mode() & 0o077 != 0 {
            return Found::Unfit(format!("the kept one lay open to others in `{}`", path.display()));
        }
        let read = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Kept>(&text).ok());
        let Some(kept) = read else {
            return Found::Unfit(format!("`{}` holds no token", path.display()));
        };
        let age = Duration::from_secs(u64::try_from(self.now - kept.issued).unwrap_or(0));
        match ttl.map(|ttl| ttl.saturating_sub(age)) {
            Some(left) if left < needed => {
                let (left, needed) = (planc::units::show_duration(left), planc::units::show_duration(needed));
                Found::Unfit(format!("the kept one lives {left} more, and the run takes {needed}"))
            }
            _ => Found::Kept(kept),
        }
    }

    /// Keeps a token that was issued just now.
    pub fn keep(&self, key: &str, token: &str) -> Result<(), String> {
        let path = self.path(key).ok_or("neither XDG_STATE_HOME nor HOME names a folder")?;
        let kept = Kept { token: token.to_owned(), issued: self.now };
        let text = serde_json::to_string(&kept).map_err(|error| error.to_string())?;
        write(&path, &text).map_err(|error| format!("cannot write `{}`: {error}", path.display()))
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{key}.json")))
    }
}

/// `$XDG_STATE_HOME/planc` or `~/.local/state/planc`: what is remembered between runs on this machine.
pub fn state_folder(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("planc"))
}

/// Never there half, and never readable by others, not even for a moment.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    seeders::private::replace(path, 0o600, |out| out.write_all(text.as_bytes()))
}

/// What a kept token belongs to: the same target, plan, name and request. Of a target that this run starts the port is
/// a new one each time, and its place in the plan stands for it.
pub fn key(graph: &ExecutionGraph, base: Option<&str>, name: &str, source: &TokenSource) -> String {
    let written = graph.target.as_ref().map(|target| &target.url);
    let ours = written.is_some_and(names_service);
    let target = match base {
        Some(base) if !ours => serde_json::json!(base),
        _ => serde_json::json!(written),
    };
    let belongs = serde_json::json!([graph.plan, name, target, source]);
    let digest = sha2::Sha256::digest(belongs.to_string());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn names_service(url: &Template) -> bool {
    url.segments.iter().any(|segment| {
        matches!(segment, Segment::Slot(Expr::Path(path)) if path.first().is_some_and(|it| it == "services"))
    })
}

/// How long the run will send its tokens: smoke and load with their graceful stops.
pub fn needed(graph: &ExecutionGraph) -> Duration {
    show::outline(graph).duration.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    const KEY: &str = "0123";

    fn store(folder: &Path, now: i64) -> Store {
        let env = [("XDG_STATE_HOME".to_owned(), folder.display().to_string())].into();
        Store::of(&env, now * 1_000_000)
    }

    fn unfit(found: &Found) -> &str {
        match found {
            Found::Unfit(why) => why,
            Found::Kept(_) => panic!("kept"),
            Found::Nothing => panic!("nothing"),
        }
    }

    #[test]
    fn a_token_is_kept_for_its_owner_alone_and_until_it_dies() {
        let folder = tempfile::tempdir().expect("a folder");
        let (at, hour) = (store(folder.path(), 1_000), Duration::from_secs(3_600));
        assert!(at.find(KEY, None, hour) == Found::Nothing);
        at.keep(KEY, "s3cret").expect("kept");
        let path = folder.path().join("planc/tokens/0123.json");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("a folder"))), (0o600, 0o700));
        let kept = Found::Kept(Kept { token: "s3cret".into(), issued: 1_000 });
        assert!(at.find(KEY, None, hour) == kept);
        let later = store(folder.path(), 1_000 + 3_000);
        assert!(later.find(KEY, Some(hour), Duration::from_secs(600)) == kept);
        let told = later.find(KEY, Some(hour), Duration::from_secs(601));
        assert_eq!(unfit(&told), "the kept one lives 10m more, and the run takes 10m1s");
        // A clock that was set back makes no token older.
        assert!(store(folder.path(), 10).find(KEY, Some(hour), hour) == kept);
    }

    #[test]
    fn what_lay_open_or_is_torn_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = store(folder.path(), 1_000);
        at.keep(KEY, "s3cret").expect("kept");
        let path = folder.path().join("planc/tokens/0123.json");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("chmod");
        assert!(unfit(&at.find(KEY, None, Duration::ZERO)).contains("lay open to others"));
        at.keep(KEY, "another").expect("kept");
        assert!(matches!(at.find(KEY, None, Duration::ZERO), Found::Kept(kept) if kept.token == "another"));
        fs::write(&path, "{\"token\":").expect("written");
        assert!(unfit(&at.find(KEY, None, Duration::ZERO)).contains("holds no token"));
        let nowhere = Store::of(&BTreeMap::new(), 0);
        assert!(nowhere.find(KEY, None, Duration::ZERO) == Found::Nothing);
        assert!(nowhere.keep(KEY, "x").expect_err("no folder").contains("HOME"));
    }
}
