//! Writing evidence and reports: beside the file and renamed, so that no one ever sees half of one.

use crate::evidence::{Evidence, SCHEMA};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a text to a path, making its folder.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    write_with(path, text, File::sync_all)
}

/// The same without waiting for the disk, for what is rewritten each second while something is measured.
pub fn write_unsynced(path: &Path, text: &str) -> Result<(), String> {
    write_with(path, text, |_| Ok(()))
}

fn write_with(path: &Path, text: &str, sync: fn(&File) -> std::io::Result<()>) -> Result<(), String> {
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| format!("cannot write `{shown}`: {error}");
    // What a link points to is written, not the link; a device or pipe is written to, never replaced.
    let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = resolved.as_path();
    if fs::metadata(path).is_ok_and(|known| !known.is_file() && !known.is_dir()) {
        let opened = File::options().write(true).open(path);
        return opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed);
    }
    let name = path.file_name().ok_or_else(|| format!("`{}` names no file", path.display()))?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(own(".tmp"));
    let beside = path.with_file_name(hidden);
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| sync(&file)))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.map_err(failed)
}

/// An ending that no other writer has, of this process or of another, so that two that write the same file at once
/// never meet before the renaming.
fn own(ending: &str) -> String {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    format!(".{}-{}{ending}", std::process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed))
}

/// Writes evidence.
pub fn write_evidence(path: &Path, evidence: &Evidence) -> Result<(), String> {
    let text = serde_json::to_string(evidence).map_err(|e| format!("cannot write the evidence: {e}"))?;
    write(path, &text)
}

/// Whether files can be written to a folder, which is made where it is not there.
pub fn probe(folder: &Path) -> Result<(), String> {
    let file = folder.join(own(".probe"));
    write_unsynced(&file, "")?;
    fs::remove_file(&file).map_err(|error| format!("cannot write to `{}`: {error}", folder.display()))
}

/// Lets `latest` beside a run's folder point to it, for people and for the next command. A help, not an output: where
/// it cannot be made, nothing is lost.
pub fn point_latest(run: &Path) {
    let (Some(runs), Some(name)) = (run.parent(), run.file_name()) else { return };
    let beside = runs.join(".latest.tmp");
    let _ = fs::remove_file(&beside);
    if std::os::unix::fs::symlink(name, &beside).is_ok() {
        let _ = fs::rename(&beside, runs.join("latest"));
    }
}

/// Reads evidence: a file, or the folder of a run.
pub fn read_evidence(path: &Path) -> Result<Evidence, String> {
    #[derive(serde::Deserialize)]
    struct Header {
        schema: u32,
    }
    let file = if path.is_dir() { path.join("evidence.json") } else { path.to_owned() };
    let text = fs::read_to_string(&file).map_err(|e| format!("cannot read `{}`: {e}", file.display()))?;
    let bad = |e: serde_json::Error| format!("`{}` is no evidence: {e}", file.display());
    let header: Header = serde_json::from_str(&text).map_err(bad)?;
    if header.schema != SCHEMA {
        return Err(format!("evidence schema {} is not the {SCHEMA} that this program reads", header.schema));
    }
    serde_json::from_str(&text).map_err(bad)
}

/// Whether the graph inside evidence is the one that it says was applied.
pub fn check_identity(evidence: &Evidence) -> Result<(), String> {
    match evidence.graph.id() == evidence.graph_id {
        true => Ok(()),
        false => Err("the graph inside this evidence is not the one that was applied".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_comes_back_as_it_was_and_gives_the_same_verdict() {
        let folder = tempfile::tempdir().expect("a folder");
        let graph = crate::testing::graph(vec![crate::testing::p95(), crate::testing::errors()]);
        let evidence = crate::testing::evidence(&graph);
        let path = folder.path().join("deep/evidence.json");
        write_evidence(&path, &evidence).expect("written");
        let read = read_evidence(&folder.path().join("deep")).expect("read");
        assert_eq!(read, evidence);
        assert_eq!(crate::judge::judge(&read.graph, &read), crate::judge::judge(&graph, &evidence));
        let left: Vec<_> = fs::read_dir(folder.path().join("deep")).expect("a folder").collect();
        assert_eq!(left.len(), 1, "nothing else is left behind");
    }

    #[test]
    fn many_may_write_to_one_folder_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = folder.path().join("history");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        probe(&history).expect("writable");
                        write_unsynced(&history.join("latest"), "text").expect("written");
                    }
                });
            }
        });
        let left: Vec<_> =
            fs::read_dir(&history).expect("a folder").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["latest"]);
    }

    #[test]
    fn links_keep_and_devices_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").expect("written");
        std::os::unix::fs::symlink(&target, &link).expect("a link");
        write(&link, "new").expect("written");
        assert_eq!(fs::read_to_string(&target).expect("read"), "new");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        write(Path::new("/dev/null"), "text").expect("written");
        assert!(!fs::metadata("/dev/null").expect("there").is_file(), "/dev/null is still a device");
        let error = write(Path::new("/dev/full"), "text").expect_err("no space");
        assert!(error.contains("/dev/full"), "{error}");
    }

    #[test]
    fn a_full_device_is_told() {
        let error = write(Path::new("/dev/full/x"), "text").expect_err("no folder");
        assert!(error.starts_with("cannot write `/dev/full/x`"), "{error}");
        assert!(write(Path::new("/"), "text").is_err());
    }
}
