//! Files and standard input, read and written.

use super::{Unusable, folder};
use planc::Files;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Files as the operating system has them.
pub(crate) struct Disk;

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
pub(crate) struct Regular;

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

pub(crate) fn readable(plan: &str) -> Result<(), Unusable> {
    Disk.read(plan).map(drop).map_err(|e| Unusable(format!("cannot read `{plan}`: {e}")))
}

/// Replaces a regular file, or the one that a link names, in one go. A device or pipe is written to and stays what it is.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
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
