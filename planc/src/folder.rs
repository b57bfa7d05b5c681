//! What a folder or a suite on the command line stands for.

use planc::Files;
use planc::suite::{self, ReadSuite};
use std::path::Path;

/// A profile and values of inputs that a suite gives to one of its plans.
pub(crate) type With = (Option<String>, Vec<(String, String)>);

/// One file to check, and what it is checked with beside the command line's.
pub(crate) struct Part {
    pub(crate) path: String,
    /// A suite's profile and inputs; none for a file by itself.
    pub(crate) with: Option<With>,
}

/// The files behind the paths of a command line, each once.
///
/// # Errors
/// A folder that cannot be read, or in which there is nothing to check.
pub(crate) fn parts(files: &dyn Files, paths: &[String]) -> Result<Vec<Part>, String> {
    let mut out: Vec<Part> = Vec::new();
    for path in paths {
        for file in listed(files, path)? {
            add(&mut out, file.clone(), None);
            if suite::is_suite(files, &file) {
                let ReadSuite { suite, plans, .. } = suite::read(files, &file);
                for plan in &plans {
                    add(&mut out, plan.path.clone(), None);
                }
                // What a suite gives is tried once it is known to be taken.
                let with = suite.into_iter().flat_map(|suite| suite.plans);
                for plan in with.filter(|plan| plan.profile.is_some() || !plan.set.is_empty()) {
                    add(&mut out, plan.path, Some((plan.profile, plan.set)));
                }
            }
        }
    }
    Ok(out)
}

fn add(out: &mut Vec<Part>, path: String, with: Option<With>) {
    if !out.iter().any(|part| part.path == path && part.with == with) {
        out.push(Part { path, with });
    }
}

/// A file as it is; a folder as its suite, or as all in it that is a plan, a fixture or unit tests, by name.
fn listed(files: &dyn Files, path: &str) -> Result<Vec<String>, String> {
    let folder = Path::new(path);
    if !folder.is_dir() {
        return Ok(vec![path.to_string()]);
    }
    let own = folder.join(suite::FILE);
    if own.is_file() {
        return Ok(vec![own.to_string_lossy().into_owned()]);
    }
    let failed = |error: std::io::Error| format!("cannot read `{path}`: {error}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let yaml = file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        let file = file.to_string_lossy().into_owned();
        if yaml && files.read(&file).is_ok_and(|text| is_ours(&file, &text)) {
            found.push(file);
        }
    }
    found.sort();
    match found.is_empty() {
        true => Err(format!("there is no plan in `{path}`")),
        false => Ok(found),
    }
}

/// The other YAML files in the folder of a file; none where it cannot be read.
pub(crate) fn beside(path: &str) -> Vec<String> {
    let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten().flatten();
    planc::yaml_beside(path, entries.filter_map(|entry| entry.file_name().into_string().ok()))
}

fn is_ours(path: &str, text: &str) -> bool {
    let fixture = text.lines().any(|line| line.starts_with("fixture:"));
    path.ends_with(planc::UNIT_TESTS) || fixture || suite::is_plan(path, text)
}
