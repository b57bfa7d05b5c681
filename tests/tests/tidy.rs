//! Keeps the arrows of the house: which module may name which. Cargo keeps those between crates.

use std::path::{Path, PathBuf};

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a source folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The top module of a file below `src`: `parse/steps.rs` is `parse`.
fn module_of(src: &Path, file: &Path) -> String {
    let relative = file.strip_prefix(src).expect("below src");
    let first = relative.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules that a text names after `crate::`, tests at the end of the file left out.
fn names(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]").next().unwrap_or(text);
    let mut found = Vec::new();
    for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
        for part in line.split("crate::").skip(1) {
            let braces = part.strip_prefix('{');
            let list: Vec<&str> = match braces {
                Some(inner) => inner.split('}').next().unwrap_or("").split(',').collect(),
                None => vec![part],
            };
            for item in list {
                let name: String =
                    item.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if !name.is_empty()
                    && name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
                {
                    found.push(name);
                }
            }
        }
    }
    found
}

/// Every `crate::` name must point to a module that stands later in `order` (or is the file's own).
fn check_order(krate: &str, order: &[&[&str]]) {
    let src = tests::root().join(krate).join("src");
    let rank = |module: &str| order.iter().position(|level| level.contains(&module));
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let own = module_of(&src, &file);
        if own == "main" {
            continue;
        }
        let Some(own_rank) = rank(&own) else {
            wrong.push(format!(
                "{krate}: module `{own}` has no place in the order; add it to tests/tests/tidy.rs"
            ));
            continue;
        };
        let text = std::fs::read_to_string(&file).expect("a source file");
        // `graph`, `expr` and `eval` are one thing in three files: a graph holds expressions, an expression holds JSON,
        // and folding what is constant evaluates it.
        let knot = ["graph", "expr", "eval"];
        for name in names(&text).into_iter().filter(|n| *n != own) {
            if knot.contains(&own.as_str()) && knot.contains(&name.as_str()) {
                continue;
            }
            match rank(&name) {
                Some(other) if other > own_rank => {}
                Some(_) => {
                    wrong.push(format!("{}: `{own}` names `{name}`: the arrow points back", file.display()))
                }
                None => {}
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn planc_points_down() {
    check_order(
        "planc",
        &[
            &["lib", "arguments", "files", "folder", "git", "lsp"],
            &["diff", "ide", "import", "workflow"],
            &["render"],
            &["allows"],
            &["gates", "suite"],
            &["lower", "lints"],
            &["coverage"],
            &["resolve"],
            &["resolved"],
            &["parse"],
            &["ast"],
            &["executors"],
            &["show", "schema", "fmt"],
            &["codes", "near"],
            &["rows"],
            &["relation"],
            &["eval"],
            &["graph", "expr"],
            &["units"],
            &["globs", "sql"],
            &["draw"],
            &["yaml"],
            &["codes", "near", "placeholder"],
            &["diagnostic"],
            &["source"],
        ],
    );
}

#[test]
fn the_engine_never_names_a_report() {
    let src = tests::root().join("runner/src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let engine = ["drive", "worker", "steps", "load", "prepare", "record", "http", "pace", "expect"];
    for file in files.iter().filter(|f| engine.contains(&module_of(&src, f).as_str())) {
        let text = std::fs::read_to_string(file).expect("a source file");
        for name in names(&text) {
            assert!(
                !["report", "orchestrate", "judge", "cli", "progress"].contains(&name.as_str()),
                "{} names `{name}`",
                file.display()
            );
        }
    }
}

#[test]
fn only_planc_reads_yaml() {
    for krate in ["seeders", "runner"] {
        let manifest =
            std::fs::read_to_string(tests::root().join(krate).join("Cargo.toml")).expect("a manifest");
        for word in ["granit", "yaml"] {
            assert!(!manifest.contains(word), "{krate} depends on {word}");
        }
    }
}

#[test]
fn one_place_exits() {
    for krate in ["planc", "seeders", "runner"] {
        let src = tests::root().join(krate).join("src");
        let mut files = Vec::new();
        rust_files(&src, &mut files);
        for file in files {
            let own = module_of(&src, &file);
            let text = std::fs::read_to_string(&file).expect("a source file");
            assert!(
                own == "main" || own == "exit" || !text.contains("process::exit"),
                "{} exits; only main and exit may",
                file.display()
            );
        }
    }
}

#[test]
fn no_test_is_ignored() {
    let mut files = Vec::new();
    for krate in ["planc", "seeders", "runner", "tests"] {
        rust_files(&tests::root().join(krate), &mut files);
    }
    let attribute = concat!("#[ign", "ore");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file");
        assert!(
            !text.contains(attribute),
            "{} ignores a test: let it fail and say what to install",
            file.display()
        );
    }
}
