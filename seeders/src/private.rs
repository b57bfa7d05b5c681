//! Files that their owner alone may read, and files that are never there half.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufWriter};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Opens a file to read it and to append to it. Where it is not there, it and its folder are made for the owner alone.
/// One that others can read is refused.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others can read it"));
    }
    Ok(file)
}

/// Writes a whole file: to one beside it, to the disk, then renamed, so that a reader sees the old one or the new one
/// and a crash leaves one of them. `mode` is that of the new file, from its first byte.
pub fn replace(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut name = path.file_name().ok_or_else(|| io::Error::other("it is no file's path"))?.to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(name);
    let done = fill(&beside, mode, write).and_then(|()| fs::rename(&beside, path));
    if done.is_err() {
        let _ = fs::remove_file(&beside);
        return done;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn fill(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // One that was there already keeps the mode it had.
    file.set_permissions(Permissions::from_mode(mode))?;
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.json");
        replace(&path, 0o644, |out| out.write_all(b"old")).unwrap();
        let failed = replace(&path, 0o600, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "the disk is full");
        assert_eq!((fs::read_to_string(&path).unwrap(), mode(&path)), ("old".into(), 0o644));
        replace(&path, 0o600, |out| out.write_all(b"new")).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap(), mode(&path)), ("new".into(), 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_private_file_is_refused_once_others_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/secrets");
        open(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(open(&path).unwrap_err().to_string(), "others can read it");
    }
}
