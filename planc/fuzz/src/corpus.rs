//! What is changed: all plans, fixtures, tests and examples of pages, and the files that they name.

use std::collections::BTreeMap;
use std::path::Path;

/// A text and the path that it is read under, from which other files are found.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Texts to change, and files that inputs may name.
pub(crate) struct Corpus {
    pub(crate) inputs: Vec<Input>,
    pub(crate) files: BTreeMap<String, String>,
}

impl Corpus {
    /// Reads the repository, and what earlier runs kept.
    pub(crate) fn read(root: &Path) -> Corpus {
        let mut files = BTreeMap::new();
        for folder in
            ["plans", "fixtures", "tests/plans", "tests/bench", "planc/tests/ui", "planc/tests/fixtures"]
        {
            collect(root, &root.join(folder), &mut files);
        }
        let plans = files.iter().filter(|(path, _)| path.ends_with(".yaml"));
        let mut inputs: Vec<Input> =
            plans.map(|(path, text)| Input { path: path.clone(), text: text.clone() }).collect();
        for page in planc::pages() {
            for example in page.text.split("```yaml\n").skip(1) {
                let text = example.split("```").next().unwrap_or("").to_string();
                inputs.push(Input { path: "plans/page.yaml".into(), text });
            }
        }
        assert!(inputs.len() > 50, "the repository's plans are not where they were");
        Corpus { inputs, files }
    }
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(root, &path, files);
        } else if let (Ok(text), Ok(name)) = (std::fs::read_to_string(&path), path.strip_prefix(root)) {
            files.insert(name.to_string_lossy().into_owned(), text);
        }
    }
}
