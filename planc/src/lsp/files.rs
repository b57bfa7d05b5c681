//! What is open in the editor, over what is on the disk.

use super::text::{self, Units};
use lsp_types::{TextDocumentContentChangeEvent, Url};
use planc::Files;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// A text that the editor holds.
pub(super) struct Buffer {
    pub(super) url: Url,
    pub(super) version: i32,
    text: String,
}

/// Open texts by path; the editor's text wins over the disk's.
pub(super) struct Overlay<'d> {
    disk: &'d dyn Files,
    units: Units,
    pub(super) open: BTreeMap<String, Buffer>,
}

impl<'d> Overlay<'d> {
    pub(super) fn new(disk: &'d dyn Files, units: Units) -> Self {
        Overlay { disk, units, open: BTreeMap::new() }
    }

    pub(super) fn open(&mut self, url: Url, version: i32, text: String) -> String {
        let path = path(&url);
        self.open.insert(path.clone(), Buffer { url, version, text });
        path
    }

    /// Takes edits in their order.
    pub(super) fn edit(&mut self, path: &str, version: i32, changes: Vec<TextDocumentContentChangeEvent>) {
        let Some(buffer) = self.open.get_mut(path) else { return };
        buffer.version = version;
        for change in changes {
            buffer.text = text::edited(std::mem::take(&mut buffer.text), change, self.units);
        }
    }

    /// The address of a path: the editor's own spelling of it, where there is one.
    pub(super) fn url(&self, path: &str) -> Option<Url> {
        match self.open.get(path) {
            Some(buffer) => Some(buffer.url.clone()),
            None => Url::from_file_path(path).ok(),
        }
    }
}

impl Files for Overlay<'_> {
    fn read(&self, path: &str) -> Result<String, String> {
        match self.open.get(path) {
            Some(buffer) => Ok(buffer.text.clone()),
            None => self.disk.read(path),
        }
    }

    fn beside(&self, path: &str) -> Vec<String> {
        self.disk.beside(path)
    }
}

/// The path of an address; a text that was never saved is known by its address alone.
pub(super) fn path(url: &Url) -> String {
    match url.to_file_path() {
        Ok(path) => path.to_string_lossy().into_owned(),
        Err(()) => url.to_string(),
    }
}

/// Files that remember what was asked for, there or not.
pub(super) struct Asked<'f> {
    files: &'f dyn Files,
    pub(super) paths: RefCell<BTreeSet<String>>,
}

impl<'f> Asked<'f> {
    pub(super) fn of(files: &'f dyn Files) -> Self {
        Asked { files, paths: RefCell::default() }
    }
}

impl Files for Asked<'_> {
    fn read(&self, path: &str) -> Result<String, String> {
        self.paths.borrow_mut().insert(path.to_string());
        self.files.read(path)
    }

    fn beside(&self, path: &str) -> Vec<String> {
        self.files.beside(path)
    }
}
