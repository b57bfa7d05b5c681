//! Fixture files for a program of your own: found, read and compiled together, parents first.

use crate::rows::{Inputs, RowError, RowSource};
use planc::graph::ExecutionGraph;
use planc::render::{self, Findings, View};
use planc::{Compilation, Files, Options};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// Folders below each other further than this are a circle of links.
const DEEPEST: usize = 32;

/// Why there are no fixtures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FixtureError {
    /// There is nothing to read: no such file or folder, or no fixture in it.
    Files(String),
    /// The files have errors: all of them, at their places, as `planc check` prints them.
    Rejected(String),
}

impl fmt::Display for FixtureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FixtureError::Files(message) => f.write_str(message),
            FixtureError::Rejected(rendered) => f.write_str(rendered.trim_end()),
        }
    }
}

impl std::error::Error for FixtureError {}

/// Fixtures that were compiled together, parents before the rows that refer to them.
#[derive(Debug, Clone)]
pub struct Fixtures {
    graph: ExecutionGraph,
    inputs: Inputs,
    warnings: String,
}

impl Fixtures {
    /// Reads a fixture file, or all those of a folder and the folders below it. See [`FixtureOptions::read`].
    pub fn read(path: impl AsRef<Path>) -> Result<Fixtures, FixtureError> {
        FixtureOptions::default().read([path])
    }

    /// Compiles texts that lie in the program itself. See [`FixtureOptions::compile`].
    pub fn compile<N: Into<String>, T: Into<String>>(
        texts: impl IntoIterator<Item = (N, T)>,
    ) -> Result<Fixtures, FixtureError> {
        FixtureOptions::default().compile(texts)
    }

    /// What will be seeded.
    pub fn graph(&self) -> &ExecutionGraph {
        &self.graph
    }

    /// Values of the inputs, secrets included.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// What `planc check` would warn of; empty when it is content.
    pub fn warnings(&self) -> &str {
        &self.warnings
    }

    /// The rows of a fixture, to know what was seeded without asking the database. `base_micros` is that of the receipt.
    ///
    /// # Errors
    /// No fixture has the name, or its rows cannot be made.
    pub fn rows(&self, fixture: &str, base_micros: i64) -> Result<RowSource, RowError> {
        RowSource::new(&self.graph, fixture, &self.inputs, base_micros)
    }
}

/// What fixture files are compiled with.
#[derive(Clone, Default)]
pub struct FixtureOptions {
    seed: Option<u64>,
    set: Vec<(String, String)>,
    secrets: BTreeMap<String, String>,
}

impl fmt::Debug for FixtureOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets: Vec<&String> = self.secrets.keys().collect();
        let mut shown = f.debug_struct("FixtureOptions");
        shown.field("seed", &self.seed).field("set", &self.set).field("secrets", &secrets).finish()
    }
}

impl FixtureOptions {
    /// Another seed than 1: other rows under the same definitions.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The value of `{{ inputs.NAME }}`. It may shape the fixture (`rows: "{{ inputs.rows }}"`) and stands in the ledger.
    pub fn input(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set.push((name.into(), value.into()));
        self
    }

    /// The value of `{{ inputs.NAME }}`, kept out of the compiled graph, the ledger and every message.
    pub fn secret(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.secrets.insert(name.into(), value.into());
        self
    }

    /// Reads fixture files and folders, those below them included; in a folder everything that is no fixture is passed by.
    ///
    /// # Errors
    /// A path that cannot be read, a folder without any fixture, and everything that is wrong with the fixtures.
    pub fn read<P: AsRef<Path>>(self, paths: impl IntoIterator<Item = P>) -> Result<Fixtures, FixtureError> {
        let mut found = Vec::new();
        for path in paths {
            found.extend(fixture_files(path.as_ref())?);
        }
        self.compile_at(&Disk, found)
    }

    /// Compiles texts, each under the name that messages give it. `rows_from` names another of the texts.
    ///
    /// # Errors
    /// Everything that is wrong with the fixtures.
    pub fn compile<N: Into<String>, T: Into<String>>(
        self,
        texts: impl IntoIterator<Item = (N, T)>,
    ) -> Result<Fixtures, FixtureError> {
        let texts: BTreeMap<String, String> =
            texts.into_iter().map(|(name, text)| (name.into(), text.into())).collect();
        let fixtures = texts.iter().filter(|(_, text)| planc::is_fixture(text)).map(|(name, _)| name.clone());
        let paths: Vec<String> = fixtures.collect();
        if paths.is_empty() {
            return Err(FixtureError::Files(
                "none of the texts is a fixture (`fixture: NAME` at its top)".into(),
            ));
        }
        self.compile_at(&Texts(texts), paths)
    }

    fn compile_at(self, files: &dyn Files, paths: Vec<String>) -> Result<Fixtures, FixtureError> {
        let inputs =
            self.secrets.iter().map(|(name, value)| (format!("inputs.{name}"), value.as_str().into()));
        let inputs: Inputs = inputs.collect();
        let names: BTreeSet<String> = self.secrets.keys().cloned().collect();
        let set = self.set.into_iter().chain(self.secrets).collect();
        let options = Options { set, require_inputs: true, ..Options::default() };
        let Compilation { sources, diagnostics, graph, .. } =
            planc::compile_fixtures(files, &paths, &names, &options);
        let warnings = match diagnostics.is_empty() {
            true => String::new(),
            false => {
                let findings = Findings::from_diagnostics(sources, diagnostics);
                render::terminal(&findings, View { color: false, coverage: false })
            }
        };
        let Some(mut graph) = graph else { return Err(FixtureError::Rejected(warnings)) };
        if let Some(seed) = self.seed {
            planc::relation::reseed(&mut graph, seed);
        }
        Ok(Fixtures { graph, inputs, warnings })
    }
}

/// Files as the operating system has them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<String, String> {
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        String::from_utf8(bytes)
            .map_err(|error| format!("not UTF-8 text at byte {}", error.utf8_error().valid_up_to()))
    }

    fn beside(&self, path: &str) -> Vec<String> {
        let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
        let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten().flatten();
        planc::yaml_beside(path, entries.filter_map(|entry| entry.file_name().into_string().ok()))
    }
}

struct Texts(BTreeMap<String, String>);

impl Files for Texts {
    fn read(&self, path: &str) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "no text has this name".into())
    }
}

/// The fixture files that a path stands for: itself, or those of a folder and the folders below it, by name. Hidden files
/// and folders are passed by.
///
/// # Errors
/// The path is not there, or no fixture is in the folder.
pub fn fixture_files(path: &Path) -> Result<Vec<String>, FixtureError> {
    let unreadable = |path: &Path, why: std::io::Error| {
        FixtureError::Files(format!("cannot read `{}`: {why}", path.display()))
    };
    let known = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if !known.is_dir() {
        return Ok(vec![path.to_string_lossy().into_owned()]);
    }
    let (mut found, mut plan) = (Vec::new(), None);
    let mut folders = vec![(path.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&folder, error))?;
            let file: PathBuf = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if file.is_dir() {
                folders.extend((depth < DEEPEST).then_some((file, depth + 1)));
            } else if file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
                let name = file.to_string_lossy().into_owned();
                let text = Disk.read(&name).unwrap_or_default();
                if planc::is_fixture(&text) {
                    found.push(name);
                } else if planc::suite::is_plan(&name, &text) {
                    plan.get_or_insert(name);
                }
            }
        }
    }
    found.sort();
    if found.is_empty() {
        let mut message =
            format!("no fixture is in `{}` (a YAML file that says `fixture: NAME`)", path.display());
        if let Some(plan) = plan {
            message.push_str(&format!(
                "; `{plan}` is a plan, and `runner seed {plan}` seeds the fixtures that it names"
            ));
        }
        return Err(FixtureError::Files(message));
    }
    Ok(found)
}
